/* Verbs on paths of one API server: who we are (kubeconfig or service account), how the answer is judged, and nothing about what is in it.
 *
 * The token and the CA are read again when they change (at least once a minute, before the next request when a server was not
 * reached or not believed, and at once after a 401, which is tried again once).  Requests end
 * exactly once through their callback, later, on the loop.  No client-side rate limit here: controller/writer decides when to write. */
#ifndef DRAVE_COMMON_KUBE_CLIENT_H
#define DRAVE_COMMON_KUBE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/http.h"
#include "common/kube_config.h"

struct kube_client;
struct kube_request;

/* What became of a request, as far as a caller has to tell apart. */
enum kube_result {
	KUBE_OK,        /* 2xx */
	KUBE_NOT_FOUND, /* 404 */
	KUBE_EXISTS,    /* 409, reason AlreadyExists */
	KUBE_CONFLICT,  /* 409 else: the version or the UID was another */
	KUBE_GONE,      /* 410: the version is too old (reasons Expired, Gone) */
	KUBE_INVALID,   /* 400, 422: asking again cannot help */
	KUBE_FORBIDDEN, /* 403; 401 after the token was read again */
	KUBE_BUSY,      /* 429: nothing was done */
	KUBE_FAILED,    /* 5xx, or no connection was reached: nothing, or nothing known, was done; see `unknown` */
};

struct kube_answer {
	enum kube_result result;
	int status;             /* HTTP; 0 = none came */
	bool unknown;           /* a write that may have been done: no complete answer, or 5xx/504 (W2-21) */
	const char *reason;     /* of the Status object: "AlreadyExists", "NotFound"; "" if none; borrowed */
	const char *message;    /* one sentence for people, never NULL; borrowed */
	int64_t retry_after_ms; /* -1 = not said */
	const char *body;       /* whole, up to the call's limit; borrowed.  With on_chunk: NULL */
	size_t body_len;
};

struct kube_call {
	const char *method;       /* "GET", "POST", "PUT", "PATCH", "DELETE" */
	const char *path;         /* "/api/v1/nodes?limit=500": already escaped; copied */
	const char *content_type; /* NULL = application/json */
	const void *body;         /* copied */
	size_t body_len;
	uint64_t timeout_ms;      /* 0 = 30 s; watches give KUBE_NO_TIMEOUT and idle_ms */
	uint64_t idle_ms;         /* no byte for so long ends it as KUBE_FAILED; 0 = no such limit */
	size_t body_limit;        /* 0 = 4 MiB; longer answers are KUBE_FAILED */
	/* The body of a 2xx answer in pieces, as they come; false ends the request with KUBE_FAILED.  Errors are gathered as always. */
	bool (*on_chunk)(void *arg, const char *bytes, size_t len);
	void (*on_end)(void *arg, const struct kube_answer *answer);
	void *arg;
};
#define KUBE_NO_TIMEOUT UINT64_MAX

/* config is borrowed for the client's life. */
int kube_client_new(struct kube_client **ret_client, uv_loop_t *loop, struct http *http, const struct kube_config *config, struct err *err);
/* All requests must have ended or been cancelled. */
void kube_client_close(struct kube_client *client);
/* -EINVAL etc. if the request could not even begin; then on_end never comes. */
int kube_start(struct kube_client *client, const struct kube_call *call, struct kube_request **ret_request, struct err *err);
/* on_end does not come any more. */
void kube_cancel(struct kube_request *request);
/* Pure: what a status and the Status object's reason mean. */
enum kube_result kube_judge(int status, const char *reason);
/* Counters by verb and result for metrics: requests that ended, by HTTP status class; 429s; and re-reads of token or CA. */
struct kube_client_counts {
	uint64_t requests, failed, busy, credentials_read;
};
struct kube_client_counts kube_client_counts(const struct kube_client *client);

#endif

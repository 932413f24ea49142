/* HTTP client: libcurl's multi interface on the libuv loop.  The door of libcurl.
 *
 * One http per loop.  A request ends exactly once through its callback, later, on the loop thread: with a status when the
 * whole answer (head and body) came, else with an error text.  HTTP/1.1, keep-alive, no redirects, no proxies from the
 * environment, TLS 1.2 or newer and verified unless told otherwise.  SIGPIPE must be ignored by the program. */
#ifndef DRAVE_COMMON_HTTP_H
#define DRAVE_COMMON_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"

struct http;         /* the multi handle on the loop */
struct http_request; /* one request under way */

/* How to reach one server: kept by the caller while requests that name it are under way. */
struct http_peer {
	const char *ca_file;   /* NULL = the system's */
	const char *cert_file; /* client certificate and key, or NULL */
	const char *key_file;
	const char *ca_pem, *cert_pem, *key_pem; /* the same as texts instead of files, or NULL; copied by http_start */
	const char *connect_to; /* "HOST:PORT" to connect to instead of the URL's, whose name is verified; NULL = the URL's */
	bool verify;           /* false: neither chain nor name are checked */
	uint64_t timeout_ms;   /* the whole request, connecting included; 0 = none (watches) */
	uint64_t connect_timeout_ms;
	unsigned max_connections; /* to this host; 0 = no limit */
};

struct http_answer {
	int status;              /* 0: no complete answer came */
	const char *error;       /* with status 0: one sentence; else NULL.  Borrowed during the callback */
	bool connected;          /* with status 0: did the request reach a connection at all */
	const char *body;        /* the first HTTP_BODY_BYTES of the body, or all of it up to the call's limit; none if chunks were taken; borrowed */
	size_t body_len;
	int64_t retry_after_ms;  /* Retry-After in seconds or as a date (RFC 9110 10.2.3), never negative; -1 = absent or absurd */
	uint64_t bytes_sent;     /* head and body */
};

#define HTTP_BODY_BYTES 65536

struct http_call {
	const char *method; /* "GET", "POST", ... */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; copied */
	const void *body;           /* borrowed until the callback; NULL = none */
	size_t body_len;
	const char *username, *password; /* basic; copied; NULL = none */
	const struct http_peer *peer;
	size_t body_limit; /* of the answer: a longer body ends the request as an error; 0: it is cut at HTTP_BODY_BYTES */
	uint64_t idle_ms;  /* not a byte for so long (rounded up to seconds) ends the request as an error; 0 = no such limit */
	/* Chunks of the body of a 2xx answer as they come (watches); false ends the request.  NULL, or another status: the body is gathered. */
	bool (*on_chunk)(void *arg, const char *bytes, size_t len);
	void (*on_end)(void *arg, const struct http_answer *answer); /* exactly once, never from inside http_start */
	void *arg;
};

int http_new(struct http **ret_http, uv_loop_t *loop, const char *user_agent, struct err *err);
/* All requests must have ended or been cancelled.  Frees in the last close callback. */
void http_close(struct http *http);

/* Starts a request; on an error (bad URL, unreadable certificate) the callback never comes. */
int http_start(struct http *http, const struct http_call *call, struct http_request **ret_request, struct err *err);
/* Ends it now, from outside its callback; on_end is not called any more. */
void http_cancel(struct http_request *request);
/* Retry-After's value (RFC 9110 10.2.3) in milliseconds from now_s (seconds since 1970): seconds, or a date; a date that has passed is 0; -1 for anything else,
 * also for more than seven days. */
int64_t http_parse_retry_after(const char *value, size_t len, int64_t now_s);
/* Version text of the library, for --version. */
const char *http_library(void);

#endif

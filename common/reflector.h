/* One collection of the API server, kept up to date: list (or watch-list), watch, bookmarks, 410, back-off (W2-1 to W2-13).
 *
 *   LISTING -> WATCHING -> (clean end) WATCHING ... (410, ERROR) LISTING ...     any failure waits its back-off in between
 *
 * The owner keeps the objects; the reflector tells what comes and goes.  A relist is told as begin, objects, end: what was not named between begin
 * and end is gone.  Between a failed list's begin and the next begin nothing is taken away.  Absences count only after on_list_end. */
#ifndef DRAVE_COMMON_REFLECTOR_H
#define DRAVE_COMMON_REFLECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/kube_client.h"

struct cJSON;
struct reflector;

struct reflector_ops {
	/* A list begins (again).  Objects that follow come through on_object until on_list_end. */
	void (*on_list_begin)(void *arg);
	/* Added or changed.  false: the object cannot be read; the reflector counts it, discards the whole list or watch, and lists again (C6). */
	bool (*on_object)(void *arg, const struct cJSON *object);
	/* Deleted, with its last state (or a selector does not match any more, W2-9). */
	void (*on_deleted)(void *arg, const struct cJSON *object);
	/* The list is complete.  is_consistent: it was a quorum read, not from a cache that may lag (W2-1).  false: do not believe it (W2-12 guard): the
	 * reflector lists again, consistently, before it goes on. */
	bool (*on_list_end)(void *arg, bool is_consistent);
	/* A newer version is known to have been reached: after each event and bookmark (P-6). */
	void (*on_version)(void *arg, const char *version);
};

struct reflector_options {
	const char *path;       /* "/api/v1/nodes", "/apis/drave.dev/v1alpha1/namespaces/x/collectorsets" */
	const char *query;      /* "fieldSelector=spec.nodeName%3Dn1" or NULL */
	const char *name;       /* for logs and metrics: "nodes" */
	unsigned page_size;     /* 500 */
	uint64_t seed;          /* for jitter of time-outs and back-off */
	uint64_t watch_min_s;   /* timeoutSeconds is drawn from [min, 2 min]; 0 = 300 */
	uint64_t list_limit_ms; /* for the initial events of a watch-list, else by pages from then on; 0 = 60 s */
	bool avoid_watch_list;  /* tests: only list and watch */
};

struct reflector_counts {
	uint64_t lists, watches, events, bookmarks, gone, errors, unreadable;
	bool is_synced;            /* a list was ever complete */
	uint64_t last_heard_ms;    /* monotonic: the last byte or complete answer */
	const char *last_error;    /* "" = none since the last success; lent until the next turn */
};

/* Starts at once; the first list is consistent.  Strings of options are copied. */
int reflector_new(struct reflector **ret_reflector, uv_loop_t *loop, struct kube_client *client, const struct reflector_options *options,
	const struct reflector_ops *ops, void *arg, struct err *err);
/* No callback comes any more; frees in the last close callback. */
void reflector_close(struct reflector *reflector);
/* Lists again, consistently, as soon as possible (on taking over leadership, on doubt). */
void reflector_relist(struct reflector *reflector);
struct reflector_counts reflector_counts(const struct reflector *reflector);

#endif

/* What the API knows of the containers that are followed: labels and the like for their records, and who asks
 * not to be read.  Chooses the source, keeps it going, and says how it does. */
#ifndef DRAVE_COLLECTOR_METADATA_FEED_H
#define DRAVE_COLLECTOR_METADATA_FEED_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "collector/collector_conf.h"
#include "collector/pod_store.h"
#include "common/http.h"

struct metadata_feed;

/* Counters that outlive a reload: the owner's. */
struct metadata_totals {
	struct pod_store_counts store;
	uint64_t requests, failures;
};

struct metadata_feed_events {
	/* As of the pod store. */
	void (*excluded)(void *arg, struct container *container);
	void (*included)(void *arg, struct container *container);
	void (*review)(void *arg);
	/* Once: the source has told who is there, or metadata_wait is over. */
	void (*settled)(void *arg);
	void *arg;
};

struct metadata_feed_env {
	uv_loop_t *loop;
	struct http *http;
	struct metadata_totals *totals;
	struct metadata_feed_events events;
};

/* NULL: there is no source, so nothing is known and nothing waited for.  conf is counted as long as it lives.
 */
struct metadata_feed *metadata_feed_open(const struct metadata_feed_env *env, struct collector_conf *conf);
/* Would one that is opened for this configuration be another one? */
bool metadata_feed_fits(const struct metadata_feed *feed, const struct collector_conf *conf);
/* Once for each tail of the container. */
void metadata_feed_attach(struct metadata_feed *feed, const struct tail *tail);
void metadata_feed_detach(struct metadata_feed *feed, struct container *container);
bool metadata_feed_excludes(const struct metadata_feed *feed, const struct origin *origin);
bool metadata_feed_has_settled(const struct metadata_feed *feed);
/* Is there a container that waits for its metadata? */
bool metadata_feed_is_waited_for(const struct metadata_feed *feed);
/* Nobody waits any more (the end is near). */
void metadata_feed_stop_waiting(struct metadata_feed *feed);
/* Leaves attached containers without metadata.  Frees in the last close callback. */
void metadata_feed_close(struct metadata_feed *feed);

/* For reports.  Texts are lent until the next turn. */
struct metadata_state {
	const char *source; /* "kubelet", "api", "unreachable" */
	const char *error;  /* "" = none */
	bool is_answering;
	const struct pod_store *store;
	const struct metadata_totals *totals;
};
struct metadata_state metadata_feed_state(const struct metadata_feed *feed);

#endif

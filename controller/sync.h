/* One set's syncs: its stages, and what has to be remembered from one to the next.
 *
 *   IDLE -> [DOUBTS] -> decided -> [ALIVE] -> HISTORY -> RELABEL -> DUPLICATES -> CLAIMS -> CREATES ->
 * DELETES -> CLEANING -> STATUS -> IDLE a name that is taken by other content: HISTORY -> COLLISION -> IDLE
 */
#ifndef DRAVE_CONTROLLER_SYNC_H
#define DRAVE_CONTROLLER_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "controller/expectations.h"
#include "controller/recorder.h"
#include "controller/retry_table.h"
#include "controller/store.h"
#include "controller/sync_metrics.h"
#include "controller/writer.h"

struct sync;

struct sync_end {
	bool is_error;            /* to be repeated after a back-off */
	bool is_transient;        /* the server's state and not the set's: the back-off stays short */
	bool wants_more;          /* the burst cut off what was wanted */
	int64_t requeue_after_ms; /* 0 = not needed */
};

struct sync_parts { /* borrowed */
	struct kube_client *client;
	struct writer *writer;
	struct recorder *recorder;
	struct store *store;
	struct expectations *expectations;
	struct retry_table *retries;
	struct sync_metrics *metrics;
	/* A sync has ended; never from inside sync_start. */
	void (*on_end)(void *arg, struct sync *sync, const struct sync_end *end);
	void *arg;
};

/* parts are copied. */
struct sync *sync_new(const struct sync_parts *parts, const struct kube_meta *set);
/* What is under way is cancelled. */
void sync_free(struct sync *sync);
/* True: it is under way and on_end will come.  False: it was over at once, see *ret_end.  Only while it is
 * idle. */
bool sync_start(struct sync *sync, struct sync_end *ret_end);
bool sync_is_busy(const struct sync *sync);
/* Sends nothing new; what is under way ends. */
void sync_stop(struct sync *sync);

const char *sync_uid(const struct sync *sync);
const struct kube_meta *sync_set(const struct sync *sync); /* name, namespace_name, uid */
bool sync_wants_more(const struct sync *sync);
/* When a sync that can only report would have something to do (monotonic). */
int64_t sync_report_ms(const struct sync *sync);
/* One object of /status. */
void sync_write_status(const struct sync *sync, const struct collector_set *set, struct buf *out);

#endif

/* One set after the other: look, decide, act, report (1.15).  Several sets may be acting at once, each set only once.
 *
 *   IDLE -> (due) DECIDED -> HISTORY -> CLAIMS -> CREATES (slow start) -> DELETES -> CLEANING -> STATUS -> IDLE
 *   any stage's error skips to STATUS, and the key comes again after a back-off */
#ifndef DRAVE_CONTROLLER_RECONCILE_H
#define DRAVE_CONTROLLER_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/buf.h"
#include "common/metric.h"
#include "controller/recorder.h"
#include "controller/store.h"
#include "controller/writer.h"

struct reconcile;

struct reconcile_parts { /* borrowed */
	uv_loop_t *loop;
	struct kube_client *client; /* for live GETs */
	struct writer *writer;
	struct recorder *recorder;
	struct store *store;
	struct metric_table *metrics;
};

struct reconcile *reconcile_new(const struct reconcile_parts *parts);
/* May act from now on (synced and leading), or not any more. */
void reconcile_enable(struct reconcile *reconcile, bool is_enabled);
/* What is under way is cancelled; before writer_close and while the metric table lives. */
void reconcile_close(struct reconcile *reconcile);

/* Wake-ups (N-1 to N-8): to be called from the store's hooks. */
void reconcile_on_node(struct reconcile *reconcile, const struct node *before, const struct node *after);
void reconcile_on_pod(struct reconcile *reconcile, const struct pod *before, const struct pod *after);
void reconcile_on_set(struct reconcile *reconcile, const struct collector_set *before, const struct collector_set *after);
void reconcile_on_revision(struct reconcile *reconcile, const struct revision *before, const struct revision *after);

/* JSON array for /status: one object a set with its counters, hash, last error, what it waits for. */
void reconcile_write_status(const struct reconcile *reconcile, struct buf *out);
/* No action is under way and none is due. */
bool reconcile_is_idle(const struct reconcile *reconcile);

#endif

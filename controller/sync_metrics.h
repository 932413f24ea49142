/* What reconcile counts: syncs, what came of their actions, and how each set stands. */
#ifndef DRAVE_CONTROLLER_SYNC_METRICS_H
#define DRAVE_CONTROLLER_SYNC_METRICS_H

#include "common/metric.h"
#include "controller/collector_set.h"
#include "controller/errand.h"

struct sync_metrics {
	struct metric_table *table; /* borrowed */
	struct metric *syncs, *errors, *stale_skips, *sync_seconds, *decision_seconds, *queue_depth;
	struct metric *created, *deleted;
};

/* One set's gauges. */
#define SET_GAUGES 8
struct set_gauges {
	struct metric *gauges[SET_GAUGES];
};

void sync_metrics_init(struct sync_metrics *metrics, struct metric_table *table);
/* An errand that ended, well or not. */
void sync_metrics_count(struct sync_metrics *metrics, const struct errand *errand);
void sync_metrics_show(struct sync_metrics *metrics, struct set_gauges *gauges, const struct kube_meta *set,
    const struct set_status *status);
/* The set is gone. */
void sync_metrics_hide(struct sync_metrics *metrics, struct set_gauges *gauges);

#endif

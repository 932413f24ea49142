/* Sync metrics.  The families drave_controller_* that are about syncs and sets, and nothing about when they
 * happen. */
#include "config.h"
#include "controller/sync_metrics.h"

#include <string.h>

static const double seconds[] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
#define SECONDS_COUNT (sizeof seconds / sizeof seconds[0])

static const struct metric_family family_syncs = {"drave_controller_syncs_total",
    "Looks at a set, from deciding to its status.", METRIC_COUNTER, "", NULL, 0};
static const struct metric_family family_errors = {
    "drave_controller_sync_errors_total", "Syncs that have to be repeated.", METRIC_COUNTER, "", NULL, 0};
static const struct metric_family family_stale = {"drave_controller_stale_skips_total",
    "Syncs put off because the caches did not yet show our own last write.", METRIC_COUNTER, "", NULL, 0};
static const struct metric_family family_sync_seconds = {"drave_controller_sync_duration_seconds",
    "Time of a sync, its writes included.", METRIC_HISTOGRAM, "", seconds, SECONDS_COUNT};
static const struct metric_family family_decision_seconds = {"drave_controller_decision_duration_seconds",
    "Time to decide what a set needs.", METRIC_HISTOGRAM, "", seconds, SECONDS_COUNT};
static const struct metric_family family_depth = {
    "drave_controller_queue_depth", "Sets that wait for a sync, now or later.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_created = {
    "drave_controller_pods_created_total", "Pods that the server made for us.", METRIC_COUNTER, "", NULL, 0};
static const struct metric_family family_deleted = {"drave_controller_pods_deleted_total",
    "Pods that the server deletes for us.", METRIC_COUNTER, "", NULL, 0};
static const struct metric_family family_failures = {"drave_controller_failures_total",
    "Actions that did not end well, by what was to be done and why not.", METRIC_COUNTER, "action,reason",
    NULL, 0};

static const struct {
	struct metric_family family;
	size_t offset;
} set_families[SET_GAUGES] = {
#define SET_FAMILY(name, help, field)                                                                        \
	{                                                                                                    \
		{"drave_controller_set_" name, help, METRIC_GAUGE, "namespace,name", NULL, 0},               \
		    offsetof(struct set_status, field)                                                       \
	}
    SET_FAMILY("desired", "Nodes that should have a pod.", desired),
    SET_FAMILY("current", "Those of them that have one.", current),
    SET_FAMILY("ready", "Those whose pod is ready.", ready),
    SET_FAMILY("available", "Those whose pod has been ready for minReadySeconds.", available),
    SET_FAMILY("unavailable", "Those without an available pod.", unavailable),
    SET_FAMILY("updated", "Those whose pod is of the current template.", updated),
    SET_FAMILY("misscheduled", "Nodes that have a pod and should not.", misscheduled),
    SET_FAMILY("observed_generation", "The generation that was last acted on.", observed_generation),
#undef SET_FAMILY
};

void sync_metrics_init(struct sync_metrics *metrics, struct metric_table *table)
{
	*metrics = (struct sync_metrics){
	    .table = table,
	    .syncs = metric_get(table, &family_syncs),
	    .errors = metric_get(table, &family_errors),
	    .stale_skips = metric_get(table, &family_stale),
	    .sync_seconds = metric_get(table, &family_sync_seconds),
	    .decision_seconds = metric_get(table, &family_decision_seconds),
	    .queue_depth = metric_get(table, &family_depth),
	    .created = metric_get(table, &family_created),
	    .deleted = metric_get(table, &family_deleted),
	};
}

/* "create pod" -> "create_pod" */
static void label_of(char out[32], enum action_kind kind)
{
	(void)snprintf(out, 32, "%s", action_kind_text(kind)); /* all are shorter */
	for (char *c = out; *c != '\0'; c++)
		*c = *c == ' ' ? '_' : *c;
}

void sync_metrics_count(struct sync_metrics *metrics, const struct errand *errand)
{
	char action[32];

	if (errand->end == ERRAND_DONE && errand->kind == ACTION_CREATE_POD)
		metric_add(metrics->created, 1);
	if (errand->end == ERRAND_DONE && errand->kind == ACTION_DELETE_POD)
		metric_add(metrics->deleted, 1);
	if (errand->end == ERRAND_DONE || errand->end == ERRAND_MOOT)
		return;
	label_of(action, errand->kind);
	metric_add(metric_get(metrics->table, &family_failures, action, errand_end_text(errand->end)), 1);
}

void sync_metrics_show(struct sync_metrics *metrics, struct set_gauges *gauges, const struct kube_meta *set,
    const struct set_status *status)
{
	for (size_t i = 0; i < SET_GAUGES; i++) {
		int64_t value;

		memcpy(&value, (const char *)status + set_families[i].offset, sizeof value);
		if (gauges->gauges[i] == NULL)
			gauges->gauges[i] = metric_get(
			    metrics->table, &set_families[i].family, set->namespace_name, set->name);
		metric_set(gauges->gauges[i], (double)value);
	}
}

void sync_metrics_hide(struct sync_metrics *metrics, struct set_gauges *gauges)
{
	for (size_t i = 0; i < SET_GAUGES; i++) {
		if (gauges->gauges[i] != NULL)
			metric_forget(metrics->table, gauges->gauges[i]);
		gauges->gauges[i] = NULL;
	}
}

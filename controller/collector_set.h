/* A CollectorSet: spec (that of a DaemonSet) and status.  Pure. */
#ifndef DRAVE_CONTROLLER_COLLECTOR_SET_H
#define DRAVE_CONTROLLER_COLLECTOR_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/kube_object.h"
#include "controller/pod_template.h"
#include "controller/selector.h"

#define COLLECTOR_SET_API     "drave.dev/v1alpha1"
#define COLLECTOR_SET_KIND    "CollectorSet"
#define COLLECTOR_SET_PLURAL  "collectorsets"

enum update_strategy { ROLLING_UPDATE, ON_DELETE };

/* An IntOrString. */
struct share {
	int64_t number;
	bool is_percent;
};
/* Of total; percentages rounded up (R-). */
int64_t share_of(struct share share, int64_t total);

enum condition_status { CONDITION_UNKNOWN, CONDITION_FALSE, CONDITION_TRUE };
struct condition {
	enum condition_status status;
	const char *reason;   /* static or of the set's memory; CamelCase */
	char message[256];
	int64_t since_ms;     /* lastTransitionTime */
	int64_t observed_generation;
};

struct set_status {
	int64_t desired, current, misscheduled, ready, updated, available, unavailable; /* S-1 to S-5 */
	int64_t observed_generation;
	int64_t collision_count; /* -1 = never set */
	struct condition available_condition, progressing_condition;
};

struct collector_set {
	struct kube_meta meta;
	struct selector *selector;
	struct pod_template *pod_template;
	enum update_strategy strategy;
	struct share max_unavailable, max_surge; /* after defaulting: C-10 */
	int64_t min_ready_s;
	int64_t history_limit;
	struct set_status status;  /* as the server has it */
	char *complaint;           /* why nothing can be done with this spec (V-1 to V-6), or NULL; the set is then left alone and says so in Progressing=False, reason InvalidSpec */
	struct cJSON *tree;        /* as it came, without managedFields: status writes start from it */
};

/* -EINVAL only if it is no object that can be kept (no metadata); what is wrong in the spec becomes the complaint. */
int collector_set_read(struct collector_set **ret_set, const struct cJSON *object, struct err *err);
void collector_set_free(struct collector_set *set);
/* The body of PUT .../status: the set's identity and version with this status; also the strings that printer columns show (nodeSelector, containers, images,
 * labelSelector), since a column shows only the first match of a path. */
void collector_set_status_body(const struct collector_set *set, const struct set_status *status, struct buf *out);
/* Is there a difference worth a write (S-)? */
bool set_status_equal(const struct set_status *a, const struct set_status *b);

#endif

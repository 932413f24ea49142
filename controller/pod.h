/* What the controller has to know of a Pod: a pruned record.  Pure. */
#ifndef DRAVE_CONTROLLER_POD_H
#define DRAVE_CONTROLLER_POD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/kube_object.h"

#define POD_HASH_LABEL       "controller-revision-hash"
#define POD_GENERATION_LABEL "pod-template-generation"

enum pod_phase { POD_PENDING, POD_RUNNING, POD_SUCCEEDED, POD_FAILED, POD_UNKNOWN };

struct pod {
	struct kube_meta meta;
	const char *node_name;   /* spec.nodeName; "" = not bound yet */
	const char *target;      /* B-3: node_name, else the one name that required affinity's matchFields names, else NULL */
	enum pod_phase phase;
	bool is_ready;           /* condition Ready is True */
	int64_t ready_since_ms;  /* its lastTransitionTime; 0 = not said */
	const char *reason;      /* status.reason ("Evicted", "NodeShutdown"); "" = none */
	void *memory;            /* of the texts above, unless they are shared */
};

int pod_read(struct pod **ret_pod, const struct cJSON *object, struct err *err);
/* For pods that are kept: see kube_meta_share.  texts must outlive the pod. */
void pod_share(struct pod *pod, struct shared_texts *texts);
void pod_free(struct pod *pod);

/* Failed or Succeeded. */
bool pod_is_terminal(const struct pod *pod);
/* Has a deletionTimestamp. */
bool pod_is_terminating(const struct pod *pod);
/* Ready for more than min_ready_s (strictly; with 0, ready is enough). */
bool pod_is_available(const struct pod *pod, int64_t min_ready_s, int64_t now_ms);
/* The hash label; "" if it has none. */
const char *pod_hash(const struct pod *pod);
/* Order of L-6 and S-4: bound before unbound, then older first, then by name.  For qsort over struct pod *. */
int pod_compare(const void *a, const void *b);

#endif

/* Tolerations, and taints that nothing tolerates (rules T-1 to T-5, A-1 to A-8).  Pure. */
#ifndef DRAVE_CONTROLLER_TOLERATION_H
#define DRAVE_CONTROLLER_TOLERATION_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "controller/node.h"

struct toleration {
	const char *key;        /* "" = all keys */
	const char *operator_;  /* "" = Equal */
	const char *value;
	const char *effect;     /* "" = all */
};

struct tolerations {
	struct toleration *items;
	size_t count;
	void *memory;
};

/* A pod spec's "tolerations" with the automatic ones (A-1 to A-7; A-7 only with host_network) added as upstream does it: an identical entry (key, effect,
 * operator, value) is replaced, others stay. */
int tolerations_read(struct tolerations *ret_tolerations, const struct cJSON *array, bool host_network, struct err *err);
void tolerations_release(struct tolerations *tolerations);
bool toleration_tolerates(const struct toleration *toleration, const struct taint *taint);
/* The first taint with one of the effects that nothing tolerates, or NULL. */
const struct taint *tolerations_missing(const struct tolerations *tolerations, const struct node *node, bool no_schedule, bool no_execute);
/* The same addition in a pod template's JSON tree (spec.tolerations). */
void tolerations_add_automatic(struct cJSON *pod_spec);
const char *taint_effect_text(enum taint_effect effect);

#endif

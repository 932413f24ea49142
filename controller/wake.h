/* Who has to look when something changed (rules N-1 to N-5).  Pure.
 *
 * Each function gets what was there before and after (NULL: was not, is not) and names the sets through `wake`: in no order, a set perhaps twice.
 * Sets are those of the store; a set that is not there is not woken. */
#ifndef DRAVE_CONTROLLER_WAKE_H
#define DRAVE_CONTROLLER_WAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/collector_set.h"
#include "controller/node.h"
#include "controller/pod.h"
#include "controller/revision.h"

struct wake_hall {
	const struct collector_set *const *sets;
	size_t count;
	/* after_ms: not now, but then (N-1: a pod that is ready becomes available). */
	void (*wake)(void *arg, const struct collector_set *set, int64_t after_ms);
	/* Does a pod of the set aim at that node?  Asked only where the answer decides (N-4). */
	bool (*has_pod)(void *arg, const struct collector_set *set, const char *node_name);
	void *arg;
};

void wake_on_node(const struct wake_hall *hall, const struct node *before, const struct node *after);
void wake_on_pod(const struct wake_hall *hall, const struct pod *before, const struct pod *after);
void wake_on_revision(const struct wake_hall *hall, const struct revision *before, const struct revision *after);
/* The set that controls an object, or NULL: nobody, somebody else, or one that is not there any more (of another UID). */
const struct collector_set *wake_owner(const struct wake_hall *hall, const struct kube_meta *meta);

#endif

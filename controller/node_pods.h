/* Nodes in the order of their names, each with the set's pods that target it: what the core loop, the rolling update and the status walk over.  Pure. */
#ifndef DRAVE_CONTROLLER_NODE_PODS_H
#define DRAVE_CONTROLLER_NODE_PODS_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/decision.h"
#include "controller/placement.h"

struct node_pods {
	const char *name;
	const struct node *node;         /* NULL: there is no such node in the view */
	struct placement placement;      /* both false without a node */
	const struct pod *const *pods;   /* by pod_compare; without those that are both terminal and terminating */
	size_t pod_count;
};

struct node_table {
	struct node_pods *rows; /* by name: R-17 */
	size_t count;
	const struct pod **pods; /* memory of all rows */
};

/* pods as claimed.  Pods without a target are left out (B-3). */
void node_table_make(struct node_table *ret_table, const struct view *view, const struct pod *const *pods, size_t pod_count);
void node_table_release(struct node_table *table);
/* S-1. */
size_t node_table_desired(const struct node_table *table);

#endif

/* What placement has to know of a Node: a pruned record (name, labels, taints).  Pure. */
#ifndef DRAVE_CONTROLLER_NODE_H
#define DRAVE_CONTROLLER_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/kube_object.h"

enum taint_effect { TAINT_NO_SCHEDULE, TAINT_PREFER_NO_SCHEDULE, TAINT_NO_EXECUTE, TAINT_OTHER };

struct taint {
	const char *key;
	const char *value;
	enum taint_effect effect;
};

struct node {
	struct kube_meta meta;
	struct taint *taints;
	size_t taint_count;
	bool is_unschedulable; /* spec.unschedulable: for people only (E-9) */
	void *memory;          /* of the taints */
};

/* A new node from its JSON object; released with node_free.  -EINVAL if it cannot be read. */
int node_read(struct node **ret_node, const struct cJSON *object, struct err *err);
/* For nodes that are kept: see kube_meta_share.  texts must outlive the node. */
void node_share(struct node *node, struct shared_texts *texts);
void node_free(struct node *node);
/* N-3: does the change matter to placement (labels, taints, being deleted, another UID)? */
bool node_differs(const struct node *a, const struct node *b);

#endif

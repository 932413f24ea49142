/* One node and one template: should a pod run here, may one that runs go on, and why (rules E-1 to E-10).  Pure. */
#ifndef DRAVE_CONTROLLER_PLACEMENT_H
#define DRAVE_CONTROLLER_PLACEMENT_H

#include <stdbool.h>

#include "common/buf.h"
#include "controller/node.h"
#include "controller/pod_template.h"

struct placement {
	bool should_run;
	bool should_continue;
};

struct placement placement_decide(const struct pod_template *pod_template, const struct node *node);
/* The same with each rule and its result, one line a rule ("E-3 nodeSelector   no   disk=ssd, the node has disk=hdd"), for --explain. */
struct placement placement_explain(const struct pod_template *pod_template, const struct node *node, struct buf *out);

#endif

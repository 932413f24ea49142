/* Required node affinity: terms of matchExpressions and matchFields (rules E-11 to E-18 of Kubernetes' node selectors).  Pure. */
#ifndef DRAVE_CONTROLLER_AFFINITY_H
#define DRAVE_CONTROLLER_AFFINITY_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/node.h"

struct affinity; /* requiredDuringSchedulingIgnoredDuringExecution, or its absence */

/* From a pod spec's "affinity" object (NULL: absent).  What is wrong inside a term is no error here: that term then matches nothing (E-14). -EINVAL only for wrong JSON
 * types. */
int affinity_read(struct affinity **ret_affinity, const struct cJSON *affinity, struct err *err);
void affinity_free(struct affinity *affinity);
bool affinity_matches(const struct affinity *affinity, const struct node *node);
/* Each term with its result and the reason, one line each, for --explain. */
void affinity_explain(const struct affinity *affinity, const struct node *node, struct buf *out);

#endif

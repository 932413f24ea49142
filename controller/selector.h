/* Label selectors (LabelSelector of metav1): matchLabels and matchExpressions.  Pure. */
#ifndef DRAVE_CONTROLLER_SELECTOR_H
#define DRAVE_CONTROLLER_SELECTOR_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/kube_object.h"

struct selector;

/* -EINVAL with a sentence: no selector, unknown operator, wrong number of values. */
int selector_read(struct selector **ret_selector, const struct cJSON *object, struct err *err);
void selector_free(struct selector *selector);
/* V-2: an empty one ({}) would match everything. */
bool selector_is_empty(const struct selector *selector);
bool selector_matches(const struct selector *selector, const struct kube_labels *labels);
/* "app=x,tier in (a,b)": as kubectl prints it. */
void selector_add_text(const struct selector *selector, struct buf *out);

#endif

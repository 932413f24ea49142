/* Is a set still there, and not being deleted?  One live read before anything is adopted (K-5). */
#ifndef DRAVE_CONTROLLER_ALIVE_H
#define DRAVE_CONTROLLER_ALIVE_H

#include "common/kube_client.h"
#include "common/kube_object.h"

/* kube_start of a GET of the set; on_end gets the answer for alive_judge. */
int alive_ask(struct kube_client *client, const struct kube_meta *set, void (*on_end)(void *arg, const struct kube_answer *answer), void *arg,
	struct kube_request **ret_request, struct err *err);
/* What the answer says of the set with this UID: NULL = it lives, else why not, or why that is not known (lent by the answer). */
const char *alive_judge(const struct kube_answer *answer, const char *uid);

#endif

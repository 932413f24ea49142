/* One write of a set's status, with its one repetition after a conflict (S-8, C-5, W2-20). */
#ifndef DRAVE_CONTROLLER_STATUS_PUT_H
#define DRAVE_CONTROLLER_STATUS_PUT_H

#include <stdbool.h>

#include "common/kube_client.h"
#include "controller/collector_set.h"
#include "controller/writer.h"

struct status_put;

enum status_put_end {
	STATUS_PUT_DONE,
	STATUS_PUT_GONE,  /* the set is not there any more, or another one under its name */
	STATUS_PUT_STALE, /* a raised collision count: the server's is another than ours, so the cache lags
			     (H-6) */
	STATUS_PUT_FAILED,
};

struct status_put_result {
	enum status_put_end end;
	enum kube_result result;
	const char *version; /* of the set now, "" = unknown; lent, as message is */
	const char *message; /* if it failed */
};

struct status_put_parts { /* borrowed until the end */
	struct kube_client *client;
	struct writer *writer;
	/* Once, later; the status_put is gone then. */
	void (*on_end)(void *arg, const struct status_put_result *result);
	void *arg;
};

/* PUT of status over set as it is known; after a conflict a live GET of the set, and the same status over
 * that, once.  Copies what it needs. */
struct status_put *status_put_start(
    const struct status_put_parts *parts, const struct collector_set *set, const struct set_status *status);
/* H-6: GET of the set; if its collision count is the known one (-1 = never set), a PUT with one more. */
/* NULL if the GET could not even begin. */
struct status_put *status_put_raise_collision(
    const struct status_put_parts *parts, const struct kube_meta *set, int64_t known);
/* on_end does not come any more.  Not from inside one. */
void status_put_cancel(struct status_put *put);

#endif

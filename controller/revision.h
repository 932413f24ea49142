/* A ControllerRevision (apps/v1): one template that once was.  Pure. */
#ifndef DRAVE_CONTROLLER_REVISION_H
#define DRAVE_CONTROLLER_REVISION_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/kube_object.h"
#include "controller/collector_set.h"

struct revision {
	struct kube_meta meta;
	int64_t number; /* .revision */
	char *data;     /* canonical bytes of .data (H-1); owned */
	size_t data_len;
};

int revision_read(struct revision **ret_revision, const struct cJSON *object, struct err *err);
void revision_free(struct revision *revision);
/* The hash label; "" if it has none (H-7). */
const char *revision_hash(const struct revision *revision);
/* The name of the set's revision with this hash, as upstream: `<set>-<hash>`, the set's name cut to 223. */
#define REVISION_NAME_BYTES 256
void revision_name(char out[REVISION_NAME_BYTES], const char *set_name, const char *hash);
/* The body of a POST: that name, the labels of the template and the hash label, the set's annotations (the change cause; not what kubectl applied last), owner
 * reference, data, number. */
void revision_body(const struct collector_set *set, const char *hash, int64_t number, const char *data, size_t len, struct buf *out);
/* Oldest first: by number, then creation, then name. For qsort over struct revision *. */
int revision_compare(const void *a, const void *b);

#endif

/* A ControllerRevision (apps/v1): one template that once was.  Pure. */
#ifndef DRAVE_CONTROLLER_REVISION_H
#define DRAVE_CONTROLLER_REVISION_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/kube_object.h"

struct revision {
	struct kube_meta meta;
	int64_t number; /* .revision */
	char *data;     /* canonical bytes of .data (H-1); owned */
	size_t data_len;
};

int revision_read(struct revision **ret_revision, const struct cJSON *object, struct err *err);
void revision_free(struct revision *revision);
/* The hash label; its name if it has none (H-7); "" if the label is missing and asked for strictly. */
const char *revision_hash(const struct revision *revision);
/* The body of a POST: name `<set>-<hash>`, labels of the template and the hash label, owner reference, data, number. */
void revision_body(const struct kube_meta *set, const struct kube_labels *labels, const char *hash, int64_t number, const char *data, size_t len,
	struct buf *out);
/* Oldest first: by number, then creation, then name. For qsort over struct revision *. */
int revision_compare(const void *a, const void *b);

#endif

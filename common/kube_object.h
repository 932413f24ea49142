/* What every Kubernetes object says about itself, read from JSON into one small allocation.  Pure.
 *
 * Objects are kept as pruned records: what nobody here asks for (managedFields, images, annotations unless wanted) is dropped while reading.
 * Field names and meanings: Kubernetes API reference, ObjectMeta v1.  Wrong types are errors: an object is taken whole or not at all. */
#ifndef DRAVE_COMMON_KUBE_OBJECT_H
#define DRAVE_COMMON_KUBE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct cJSON;
struct shared_texts;

struct kube_label {
	const char *key;
	const char *value;
};

/* Sorted by key (bytes), each key once. */
struct kube_labels {
	struct kube_label *items;
	size_t count;
};

/* The owner reference with controller = true. */
struct kube_owner {
	const char *kind; /* NULL: nobody controls the object */
	const char *name;
	const char *uid;
	const char *api_version;
};

struct kube_meta {
	const char *name;
	const char *namespace_name; /* "" for what belongs to the cluster */
	const char *uid;
	const char *resource_version;
	struct kube_labels labels;
	struct kube_owner controller;
	int64_t generation;  /* 0 where the kind has none */
	int64_t created_ms;  /* since 1970; 0 = unknown */
	int64_t deleted_ms;  /* deletionTimestamp; 0 = not being deleted */
	bool has_finalizers;
	bool is_shared, has_shared_name; /* see kube_meta_share */
	void *memory;        /* all strings above, or those that are its own; owned */
};

/* Fills *ret_meta from the object (its "metadata").  -EINVAL with a sentence if name, uid or resourceVersion is missing or anything has the wrong
 * type. */
int kube_meta_read(struct kube_meta *ret_meta, const struct cJSON *object, struct err *err);
/* For records that are kept by the thousand: labels, owner and namespace become shared texts, which must outlive meta; and the name if with_name, where others
 * (pods) tell of it, too.  UID and version stay its own. */
void kube_meta_share(struct kube_meta *meta, struct shared_texts *texts, bool with_name);
void kube_meta_release(struct kube_meta *meta);
/* A deep copy of labels from a JSON object of strings; for selectors and templates.  Released with kube_labels_release. */
int kube_labels_read(struct kube_labels *ret_labels, const struct cJSON *object, struct err *err);
void kube_labels_release(struct kube_labels *labels);
/* The value, or NULL. */
const char *kube_labels_get(const struct kube_labels *labels, const char *key);
bool kube_labels_equal(const struct kube_labels *a, const struct kube_labels *b);

/* Is version a older (-1), the same (0) or newer (1) than b?  Decimal integers: longer wins, then bytes (KEP-5504).  "" is older than all. */
int kube_version_compare(const char *a, const char *b);
/* RFC 3339 with or without fraction and offset -> milliseconds since 1970; 0 if it is none. */
int64_t kube_time_ms(const char *text);
/* "2026-01-31T12:34:56Z", and with six decimals (MicroTime); 32 bytes are enough. */
#define KUBE_TIME_BYTES 32
void kube_time_format(char out[KUBE_TIME_BYTES], int64_t ms);
void kube_micro_time_format(char out[KUBE_TIME_BYTES], int64_t us);

/* Readers of fields that may be absent: false (and err) only if the type is wrong.  The results point into the tree; NULL / the fallback if absent. */
bool kube_text(const struct cJSON *object, const char *key, const char **ret_text, struct err *err);
bool kube_number(const struct cJSON *object, const char *key, int64_t fallback, int64_t *ret_number, struct err *err);
bool kube_child(const struct cJSON *object, const char *key, const struct cJSON **ret_object, struct err *err); /* an object */
bool kube_list(const struct cJSON *object, const char *key, const struct cJSON **ret_array, struct err *err);   /* an array */

#endif

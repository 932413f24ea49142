/* A Pod object of the API -> what is kept of it, and what a container's records carry of that.  Pure.
 *
 * Bounded: what a record carries is written into each one, so labels and annotations of a pod have a budget
 * (in bytes of JSON); what has no room is left out and counted. */
#ifndef DRAVE_COLLECTOR_POD_FACTS_H
#define DRAVE_COLLECTOR_POD_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/metadata_choice.h"
#include "common/err.h"
#include "outputs/record.h"

struct cJSON;
struct chunk;

#define POD_LABEL_BYTES   (32u << 10) /* JSON of a pod's labels and annotations together */
#define OTHER_LABEL_BYTES (8u << 10)  /* of its namespace's, of its node's */
#define LABEL_EXTRA_BYTES 80          /* what a wire format may write around one, at most */
#define POD_CONTAINERS    128
#define FACT_BYTES        1024 /* a longer text (an image's name, say) is no such thing and left out */

struct pod_container {
	const char *name, *image, *image_id, *container_id;
	unsigned restarts; /* the id is that of this run */
	bool is_excluded;
};

struct pod_facts {
	const char *uid;        /* as the log path has it: of a mirror pod, the static pod's, which anybody may claim */
	const char *object_uid; /* the object's own */
	const char *namespace_name, *name;
	struct labels labels, annotations;
	const char *owner_kind, *owner_name, *pod_ip; /* "" = none */
	struct pod_container *containers;
	size_t container_count;
	bool is_excluded; /* drave.dev/exclude: "true"; drave.dev/exclude-CONTAINER says more of that one */
	const char *refused; /* an annotation drave.dev/... that is not understood, "" = none */
	unsigned left_out;   /* labels and annotations without room */
	uint64_t hash;       /* of all this: equal facts have equal ones */
	struct chunk *memory;
};

/* -EINVAL with a sentence if it is no pod. */
int pod_facts_read(struct pod_facts **ret_facts, const struct cJSON *pod,
    const struct metadata_choice *choice, struct err *err);
void pod_facts_free(struct pod_facts *facts);
/* Is the container not to be read?  Of one that the pod does not name, what is said of the pod counts. */
bool pod_facts_excludes(const struct pod_facts *facts, const char *container);
/* Is there any that is not? */
bool pod_facts_has_exclusion(const struct pod_facts *facts);

/* Do both answer pod_facts_excludes alike, for every container?  NULL excludes none. */
bool pod_facts_exclude_alike(const struct pod_facts *a, const struct pod_facts *b);

/* The chosen labels of a namespace or a node. */
struct label_set {
	char *name; /* of the namespace or node */
	struct labels labels;
	unsigned left_out;
	uint64_t hash;
	struct chunk *memory;
};
int label_set_read(struct label_set **ret_set, const struct cJSON *object,
    const struct metadata_choice *choice, enum metadata_kind kind, struct err *err);
void label_set_free(struct label_set *set);

/* What records of this container carry, of which `restart` is the newest run: an older one's id is not it.
 * namespace_labels and node_labels may be NULL.  A copy: it needs none
 * of them any more. */
struct metadata *pod_metadata_new(const struct pod_facts *facts, const char *container, unsigned restart,
    const struct label_set *namespace_labels, const struct label_set *node_labels);
void pod_metadata_free(struct metadata *metadata);

#endif

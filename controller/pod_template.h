/* A set's pod template: what placement asks of it, its canonical bytes and their hash, and the pods made of it.  Pure.
 *
 * The template is kept as it came: fields that we do not know pass through untouched. */
#ifndef DRAVE_CONTROLLER_POD_TEMPLATE_H
#define DRAVE_CONTROLLER_POD_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/affinity.h"
#include "controller/toleration.h"

#define POD_TEMPLATE_BYTES (1536u << 10) /* an object's limit */
#define POD_HASH_BYTES     16            /* with its NUL */

struct pod_template {
	const char *node_name;            /* spec.nodeName or "" (E-2) */
	struct kube_labels node_selector; /* E-3 */
	struct affinity *affinity;        /* E-4 */
	struct tolerations tolerations;   /* with the automatic ones (E-1) */
	struct kube_labels labels;        /* metadata.labels */
	bool has_host_port;               /* hostNetwork or any hostPort: V-9 */
	struct cJSON *tree;               /* the whole template; owned */
};

/* Takes a copy of object ({metadata, spec}).  -EINVAL with a sentence: no spec, wrong types, restartPolicy other than Always, activeDeadlineSeconds, ephemeral
 * containers (V-4). */
int pod_template_read(struct pod_template **ret_template, const struct cJSON *object, struct err *err);
void pod_template_free(struct pod_template *pod_template);

/* Revision data (H-1): {"spec":{"template":{...,"$patch":"replace"}}} as canonical JSON: keys sorted, no white space, numbers as written. */
void pod_template_data(const struct pod_template *pod_template, struct buf *out);
/* Canonical JSON of any tree. */
void pod_template_canonical(const struct cJSON *tree, struct buf *out);
/* H-2: FNV-1a 32 over the data, with the collision count's 8 little-endian bytes behind it if it is >= 0; its decimal digits in the safe alphabet
 * bcdfghjklmnpqrstvwxz2456789 as upstream's SafeEncodeString does. */
void pod_template_hash(char out[POD_HASH_BYTES], const char *data, size_t len, int64_t collision_count);

struct pod_name {
	char text[80];
};
/* DESIGN decision 9: <set, cut to 40>-<10 hex of XXH3-64 of node name, NUL, node UID>-<hash>, and "-<attempt>" for attempt >= 2. */
struct pod_name pod_name_make(const char *set_name, const char *node_name, const char *node_uid, const char *hash, unsigned attempt);

/* Everything of a pod that is the same on all nodes, serialised once; the rest is spliced in for each.  namespace_name, owner as in the set. */
struct pod_mould;
struct pod_mould *pod_mould_new(const struct pod_template *pod_template, const struct kube_meta *set, const char *hash);
void pod_mould_free(struct pod_mould *mould);
/* The body of a POST: tolerations added, required affinity's terms replaced by the one that names the node (B-1), hash label, owner reference with controller and
 * blockOwnerDeletion (B-4). */
void pod_mould_cast(const struct pod_mould *mould, const char *node_name, const char *pod_name, struct buf *out);

#endif

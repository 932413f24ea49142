/* What an action says to the API server: paths and bodies.  Pure.
 *
 * Names of objects are such as the server gave or as we made: DNS labels, which need no escaping. */
#ifndef DRAVE_CONTROLLER_ACTIONS_H
#define DRAVE_CONTROLLER_ACTIONS_H

#include <stdint.h>

#include "common/buf.h"
#include "common/kube_object.h"

#define ACTIONS_MERGE     "application/merge-patch+json"
#define ACTIONS_STRATEGIC "application/strategic-merge-patch+json" /* owner references merge by UID */

/* Paths: new text, the caller frees.  name NULL: the collection (for POST). */
char *actions_pod_path(const char *namespace_name, const char *name);
char *actions_revision_path(const char *namespace_name, const char *name);
char *actions_set_path(const char *namespace_name, const char *name);
char *actions_set_status_path(const char *namespace_name, const char *name);
char *actions_node_path(const char *name);

/* Bodies.  uid: of the object that is meant; with another one the server refuses (K-4, K-5, L-13). */
void actions_adopt_body(const struct kube_meta *set, const char *uid, struct buf *out); /* strategic */
void actions_release_body(const char *set_uid, const char *uid, struct buf *out);       /* strategic */
void actions_hash_label_body(const char *hash, const char *uid, struct buf *out);       /* merge */
void actions_number_body(int64_t number, const char *uid, struct buf *out);             /* merge; revisions */
void actions_delete_body(const char *uid, struct buf *out);                             /* of DELETE */

#endif

/* Read-only copies of what the API server has: nodes, sets, and in the served namespaces pods and revisions; each as a pruned record.
 *
 * The only writer is the reflectors' callbacks.  Pods and revisions that somebody else controls are not kept (K-2). */
#ifndef DRAVE_CONTROLLER_STORE_H
#define DRAVE_CONTROLLER_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/reflector.h"
#include "controller/collector_set.h"
#include "controller/node.h"
#include "controller/pod.h"
#include "controller/revision.h"

enum store_kind { STORE_NODES, STORE_PODS, STORE_SETS, STORE_REVISIONS, STORE_KINDS };

struct store;

/* What changed: before and after (NULL: was not there, is gone).  Both lent; `before` is freed when the call returns, and so is an `after` that is not kept
 * (a pod that somebody else controls from now on). */
struct store_hooks {
	void (*on_node)(void *arg, const struct node *before, const struct node *after);
	void (*on_pod)(void *arg, const struct pod *before, const struct pod *after);
	void (*on_set)(void *arg, const struct collector_set *before, const struct collector_set *after);
	void (*on_revision)(void *arg, const struct revision *before, const struct revision *after);
	void (*on_synced)(void *arg); /* once: all four are complete (P-7) */
};

struct store *store_new(const struct store_hooks *hooks, void *arg);
void store_free(struct store *store);
/* The ops and arg for a reflector of that kind. */
const struct reflector_ops *store_reflector_ops(enum store_kind kind);
void *store_reflector_arg(struct store *store, enum store_kind kind);

bool store_is_synced(const struct store *store);
/* The newest version that the cache of this kind has reached; "" before the first list. */
const char *store_version(const struct store *store, enum store_kind kind);
size_t store_count(const struct store *store, enum store_kind kind);

const struct node *store_node(const struct store *store, const char *name);
const struct collector_set *store_set(const struct store *store, const char *namespace_name, const char *name);
const struct pod *store_pod(const struct store *store, const char *namespace_name, const char *name);
/* Arrays sorted by name, valid until the next change; of one namespace, or of all with NULL. */
const struct node *const *store_nodes(struct store *store, size_t *ret_count);
const struct pod *const *store_pods(struct store *store, const char *namespace_name, size_t *ret_count);
const struct revision *const *store_revisions(struct store *store, const char *namespace_name, size_t *ret_count);
const struct collector_set *const *store_sets(struct store *store, size_t *ret_count);

#endif

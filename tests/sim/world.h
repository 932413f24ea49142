/* The simulator's cluster: what an API server has, as a log of everything that ever happened, and the
 * kubelets that move it.
 *
 * The log is the truth; a cache is a place in it.  A version is a place too, so that own-write tracking can
 * be asked about it.  Objects are immutable and live as long as the world.  Pod names are unique among the
 * living, as the API server holds it. */
#ifndef DRAVE_TESTS_SIM_WORLD_H
#define DRAVE_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/collector_set.h"
#include "controller/node.h"
#include "controller/pod.h"
#include "controller/revision.h"

#define NODE_MAX        64
#define POD_MAX         4096
#define REVISION_MAX    256
#define TEMPLATES       3
#define STRATEGIES      6 /* the first SAFE_STRATEGIES do not surge */
#define SAFE_STRATEGIES 4
#define SET_UID         "set-uid"
#define SET_NAME        "collector"

enum entry_kind { ENTRY_NODE, ENTRY_POD, ENTRY_SET, ENTRY_REVISION, ENTRY_KINDS };

struct entry { /* of the log: the object is now this, or gone (NULL) */
	enum entry_kind kind;
	size_t id;
	const void *object;
};

struct state { /* the server's, or a cache's, whose kinds lag each for itself, as each has a watch of its own
		*/
	size_t positions[ENTRY_KINDS]; /* entries of the log that were taken, of this kind */
	const struct node *nodes[NODE_MAX];
	const struct pod *pods[POD_MAX];
	const struct revision *revisions[REVISION_MAX];
	const struct collector_set *set;
};

struct world {
	uint64_t random;
	struct state now;
	struct entry *log;
	size_t log_len, log_room;
	size_t node_count, pod_count, revision_count; /* ids given so far */
	int template_index, strategy_index;
	int64_t generation, now_ms;
	bool may_surge;
	int min_ready_index;
	size_t births[NODE_MAX];     /* places in the log, by which nodes of one name are told apart */
	bool broken_by_us[NODE_MAX]; /* a pod that was available was taken for an update, and none has been
					available since */
	void **memory;
	size_t memory_count, memory_room;
};

/* Once in the process: the templates and strategies that seeds draw from. */
void world_setup(void);
void world_teardown(void);

void world_init(struct world *world, uint64_t seed, bool may_surge, size_t nodes);
void world_release(struct world *world);
uint64_t world_draw(struct world *world, uint64_t below);
bool world_chance(struct world *world, double probability);
/* Takes one kind of the state on to this place of the log. */
void world_advance(const struct world *world, struct state *state, enum entry_kind kind, size_t position);

/* Changes from outside; false where there was nothing to change. */
void world_add_node(struct world *world);
bool world_remove_node(struct world *world);
bool world_taint_node(struct world *world);
bool world_cordon_node(struct world *world);
bool world_relabel_node(struct world *world);
void world_set_template(struct world *world, int index);
void world_set_strategy(struct world *world, int index);
/* Of a random pod that is not ending. */
bool world_fail_pod(struct world *world, const char *reason);
bool world_unready_pod(struct world *world);
bool world_user_deletes_pod(struct world *world);

/* Its owner is taken away / its label, so that the set has no right to it; of a random one that is ours. */
bool world_orphan_pod(struct world *world);
bool world_unmatch_pod(struct world *world);
bool world_orphan_revision(struct world *world);
/* Another one of the same bytes, under another hash. */
bool world_double_revision(struct world *world);

/* To be called whenever time has passed or pods have moved. */
void world_note_available(struct world *world);
/* Is the selector's label on it?  Has it our owner? */
bool world_matches(const struct kube_meta *meta);
bool world_is_ours(const struct kube_meta *meta);
/* Something matches and is not ours, or the other way round. */
bool world_has_leftovers(const struct world *world);

/* Kubelets and garbage collector: each pod moves on with this chance: bound, ready, ended, collected. */
void world_kubelets(struct world *world, double chance);

/* What controllers ask for. */
const struct pod *world_find_pod(const struct world *world, const char *name, size_t *ret_id);
const struct pod *world_create_pod(
    struct world *world, const char *name, const struct node *node, const char *hash);
bool world_delete_pod(struct world *world, const char *uid);
void world_relabel_pod(struct world *world, const char *uid, const char *hash);
/* false: another one's already, or gone. */
bool world_adopt_pod(struct world *world, const char *uid);
void world_release_pod(struct world *world, const char *uid);
bool world_adopt_revision(struct world *world, const char *hash);
const struct revision *world_find_revision(const struct world *world, const char *hash);
void world_write_revision(
    struct world *world, const struct collector_set *set, const char *hash, int64_t number);
void world_delete_revision(struct world *world, const char *hash);

size_t world_node_id(const struct world *world, const char *name);
/* Has this state an available pod on the pod's node, beside it? */
bool world_has_successor(const struct world *world, const struct state *state, const struct pod *pod);
/* Pods on the node that match and have not ended / that are not ending.  An orphan that is ending is nobody's: it
 * cannot be adopted any more (K-5), and as upstream's, a set does not wait for it. */
int world_living(const struct world *world, const char *node_name, bool count_ending);

#endif

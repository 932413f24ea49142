/* What the simulator consists of: faults, controllers, and the whole; and what a controller does (actor.c).
 */
#ifndef DRAVE_TESTS_SIM_SIMULATION_H
#define DRAVE_TESTS_SIM_SIMULATION_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "controller/decide.h"
#include "controller/expectations.h"
#include "controller/retry_table.h"
#include "tests/sim/world.h"

#define CONTROLLERS 3

enum fault {
	STALE_SYNC,
	EVENT_TWICE,
	RELIST,
	CONFLICT_409,
	REFUSED_500,
	BUSY_429,
	LOST_AFTER,
	LOST_BEFORE,
	KILLED,
	FROZEN,
	THAWED_REFUSED,
	LEADER_CHANGED,
	NODE_ADDED,
	NODE_REMOVED,
	TAINTED,
	CORDONED,
	RELABELLED,
	A_POD_FAILED,
	A_POD_EVICTED,
	A_POD_UNREADY,
	USER_DELETED,
	TEMPLATE_CHANGED,
	ROLLED_BACK,
	STRATEGY_CHANGED,
	EXPIRED,
	NAME_TAKEN,
	SAVED_BY_GET,
	THIRD_LED,
	NOT_YET_AVAILABLE,
	POD_ORPHANED,
	POD_ADOPTED,
	POD_UNMATCHED,
	POD_RELEASED,
	NAME_OF_STRANGER,
	REVISION_DOUBLED,
	DOUBLE_DELETED,
	REVISION_ORPHANED,
	REVISION_ADOPTED,
	FAULT_COUNT
};

struct step { /* one write that a sync still has to do; names are copied, for the cache moves on */
	enum action_kind kind;
	const struct node *node;
	char uid[32], name[96], hash[POD_HASH_BYTES];
	int64_t number;
	bool rests_on_absence, says_vanished, takes_available;
	unsigned attempt;
};

struct controller {
	struct state cache;
	struct expectations *expectations;
	struct retry_table *retries;
	struct step *steps;
	size_t step_count, next_step, step_room;
	const struct collector_set *set; /* that the steps were decided for */
	int64_t budget;                  /* of that sync: nodes that may be unavailable */
	char hash[POD_HASH_BYTES];
	bool is_frozen;
};

struct simulation {
	uint64_t seed;
	struct world world;
	struct controller controllers[CONTROLLERS];
	int leader;
	bool is_quiet; /* no faults any more */
	bool is_traced;
	uint64_t writes;
	uint64_t *faults;
	int last_template;
	const char *complaint; /* the first truth that broke in this seed */
};

#define HOLDS(simulation, truth, ...)                                                                        \
	do {                                                                                                 \
		if (!(truth) && (simulation)->complaint == NULL) {                                           \
			(simulation)->complaint = #truth;                                                    \
			fprintf(stderr, "seed %" PRIu64 ": broken: ", (simulation)->seed);                   \
			fprintf(stderr, __VA_ARGS__);                                                        \
			fprintf(stderr, "\n");                                                               \
		}                                                                                            \
	} while (0)

#define TRACE(simulation, ...)                                                                               \
	do {                                                                                                 \
		if ((simulation)->is_traced)                                                                 \
			printf(__VA_ARGS__);                                                                 \
	} while (0)

struct arrays {
	const struct node *nodes[NODE_MAX];
	const struct pod *pods[POD_MAX];
	const struct revision *revisions[REVISION_MAX];
};

/* A fault of this chance happens, and is counted.  Never in quiet times. */
bool simulation_strikes(struct simulation *simulation, enum fault fault, double probability);

/* The cache: events of one kind up to a place of the log; all of them; is it so far; a list instead of
 * events. */
void actor_hear(
    struct simulation *simulation, struct controller *controller, enum entry_kind kind, size_t position);
void actor_catch_up(struct simulation *simulation, struct controller *controller);
bool actor_is_current(const struct simulation *simulation, const struct controller *controller);
void actor_relist(struct simulation *simulation, struct controller *controller);
/* All that a process has in its memory besides. */
void actor_forget(struct controller *controller);

/* What a sync would decide from; arrays: room for it, of the caller. */
struct view actor_view(
    const struct simulation *simulation, const struct controller *controller, struct arrays *arrays);
/* Decides, and notes the writes to be done. */
void actor_begin_sync(struct simulation *simulation, struct controller *controller);
/* The next of them. */
void actor_do_step(struct simulation *simulation, struct controller *controller);

#endif

/* A lane: one queue of sealed batches that are sent one after the other, so that order holds.
 *
 * lane number = hash(pod uid, container) mod lanes; each destination has its own lanes, so that one that is held stops only its own streams.  A
 * destination is what the output's templates became (output_ops.destination): the topic, with the key and the headers that labels or annotations
 * are in; or the URL and the headers. */
#ifndef DRAVE_COLLECTOR_LANE_H
#define DRAVE_COLLECTOR_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/batch.h"
#include "common/table.h"
#include "outputs/output.h"

struct shipper;

struct lane {
	struct shipper *shipper;    /* whose lane it is */
	char *key;                  /* the lane's number and the expansions, each ended by a NUL: the hash key */
	size_t key_len;
	unsigned number;
	const char *destination[OUTPUT_TEMPLATES]; /* views into key */
	size_t destination_count;
	struct batch *open;         /* the batch being filled, or NULL */
	struct batch *queue;        /* sealed ones, in order; the first may be under way */
	unsigned queued_count;
	unsigned route_count;       /* readers whose records went here last: it stays while there are any */
	size_t memory;              /* of its batches, as the shipper has counted it */
	bool is_proven;             /* it has taken something, and has not held since */
	unsigned attempt;           /* failures in a row */
	uint64_t next_try_ms;       /* monotonic; 0 = at once */
	bool held;                  /* the last answer was HOLD */
	char trouble[BATCH_TEXT_BYTES]; /* why the last try failed; "" when all is well */
	UT_hash_handle hh;
};

/* Sealed batches that a lane may have: one under way, one ready to follow, one being packed.  More would only wait in memory, and a held destination would
 * take the room of the others. */
#define LANE_DEPTH 3

/* Finds or makes the lane of these expansions (key bytes, as in struct lane). */
struct lane *lane_get(struct lane **lanes, const char *key, size_t key_len, unsigned number);
/* Has it no batches? */
bool lane_is_idle(const struct lane *lane);
/* Frees it if it has neither batches nor routes. */
void lane_tidy(struct lane **lanes, struct lane *lane);

#endif

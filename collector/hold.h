/* Files that have lost their names but are still held open for their readers, and how many bytes that may be.
 */
#ifndef DRAVE_COLLECTOR_HOLD_H
#define DRAVE_COLLECTOR_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/tail.h"

/* One of them; embedded in whatever holds the tail. */
struct held {
	struct tail *tail;
	bool is_given_up;
	struct held *prev, *next;
};

struct hold {
	uint64_t limit_bytes;
	struct held *first;               /* in the order in which they lost their names */
	uint64_t gave_up, given_up_bytes; /* counters */
};

void hold_add(struct hold *hold, struct held *held, struct tail *tail);
void hold_remove(struct hold *hold, struct held *held);
size_t hold_count(const struct hold *hold);
/* What is held only because some reader still needs it. */
uint64_t hold_bytes(const struct hold *hold);
/* Gives up the oldest until no more than limit_bytes are held: a loss, counted and told for each. */
void hold_keep_limit(struct hold *hold);

#endif

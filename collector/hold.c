/* Holding on.  A deleted file lives as long as its descriptor, invisible to everyone who looks for what fills
 * the disk; so there is a limit in bytes, and beyond it the file that has been nameless for longest is given
 * up first: it is the one that should have been read long ago.
 *
 * Part of the follower.  Owns the list, not the files.  Closes nothing: a tail that was given up ends when
 * its readers have detached. */
#include "config.h"
#include "collector/hold.h"

#include <inttypes.h>

#include "common/log.h"
#include "common/table.h"

#define LOG_MODULE "follower"

void hold_add(struct hold *hold, struct held *held, struct tail *tail)
{
	held->tail = tail;
	DL_APPEND(hold->first, held);
}

void hold_remove(struct hold *hold, struct held *held)
{
	DL_DELETE(hold->first, held);
	held->tail = NULL;
}

size_t hold_count(const struct hold *hold)
{
	const struct held *held;
	size_t count;

	DL_COUNT(hold->first, held, count);
	return count;
}

static uint64_t needed_bytes(const struct held *held)
{
	return held->is_given_up ? 0 : tail_needed_bytes(held->tail);
}

uint64_t hold_bytes(const struct hold *hold)
{
	const struct held *held;
	uint64_t bytes = 0;

	DL_FOREACH (hold->first, held)
		bytes += needed_bytes(held);
	return bytes;
}

static void give_up(struct hold *hold, struct held *held, uint64_t bytes)
{
	held->is_given_up = true;
	hold->gave_up++;
	hold->given_up_bytes += bytes;
	log_warn("hold_limit reached, a deleted file is given up before all of it was delivered",
	    "container=%s path=%s lost_bytes=%" PRIu64, log_quote(held->tail->container->key),
	    log_quote(held->tail->path), bytes);
	tail_give_up(held->tail);
}

void hold_keep_limit(struct hold *hold)
{
	uint64_t total = hold_bytes(hold);
	struct held *held;

	DL_FOREACH (hold->first, held) {
		uint64_t bytes = needed_bytes(held);

		if (total <= hold->limit_bytes)
			return;
		if (bytes == 0)
			continue;
		give_up(hold, held, bytes);
		total -= bytes;
	}
}

/* How long to wait before the next try.  Pure. */
#ifndef DRAVE_COMMON_BACKOFF_H
#define DRAVE_COMMON_BACKOFF_H

#include <stdint.h>

/* The delay before try number `attempt` (1 = first repetition): doubles from min_ms, never above max_ms, and is drawn evenly from
 * its upper half (half jitter) by `seed`, so that many senders do not come back together. */
uint64_t backoff_ms(unsigned attempt, uint64_t min_ms, uint64_t max_ms, uint64_t seed);

#endif

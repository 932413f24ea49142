/* How a set's creating went so far, and so whether it may go on, and how boldly (X-3, X-8, 1.17).  Pure: the
 * clock is an argument. */
#ifndef DRAVE_CONTROLLER_CREATING_H
#define DRAVE_CONTROLLER_CREATING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct creating {
	int64_t refused_generation; /* 0 = none: what the server calls invalid is not tried again */
	int64_t rests_until_ms;
	unsigned failures_in_a_row;
	int64_t confident_until_ms;
};

/* is_refused: this generation's pods are invalid. */
void creating_failed(struct creating *creating, bool is_refused, int64_t generation, int64_t now_ms);
void creating_went_well(struct creating *creating, size_t count, int64_t now_ms);
/* Milliseconds until pods may be created: 0 = now; -1 = not of this generation. */
int64_t creating_rest(const struct creating *creating, int64_t generation, int64_t now_ms);
/* The first batch of a slow start; `window`: none is needed. */
size_t creating_batch(const struct creating *creating, size_t window, int64_t now_ms);

#endif

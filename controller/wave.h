/* How many errands of a stage may be under way: all that the writer takes, or a slow start of 1, 2, 4, 8, ...
 * each after the one before.  Pure. */
#ifndef DRAVE_CONTROLLER_WAVE_H
#define DRAVE_CONTROLLER_WAVE_H

#include <stdbool.h>
#include <stddef.h>

struct wave {
	size_t count, next; /* of the stage's errands, and the first that was not started */
	size_t in_flight;
	size_t window; /* never more at once */
	size_t batch, batch_end;
	bool stops_on_failure;
	bool is_stopped; /* nothing more is started */
};

/* batch: the first one's size; 0 = no batches, and a failure stops nothing. */
void wave_open(struct wave *wave, size_t count, size_t window, size_t batch);
/* May the next one be started?  Then it is counted as under way, and its index is *ret_index. */
bool wave_take(struct wave *wave, size_t *ret_index);
/* One has ended. */
void wave_ended(struct wave *wave, bool has_failed);
void wave_stop(struct wave *wave);
/* Nothing is under way and nothing more will be. */
bool wave_is_over(const struct wave *wave);
size_t wave_skipped(const struct wave *wave);

#endif

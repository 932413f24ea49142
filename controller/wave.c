/* Wave.  The pace of a stage.
 *
 * With batches, each waits for the one before, doubles it, and a failure ends the wave: what a quota refuses
 * once is not asked for 250 times.  Once a batch would fill the window, waiting for its last would only leave
 * the window empty: from there errands follow one by one, and a failure still lets no more begin.  Pure. */
#include "config.h"
#include "controller/wave.h"

#include "common/must.h"

void wave_open(struct wave *wave, size_t count, size_t window, size_t batch)
{
	*wave = (struct wave){
	    .count = count,
	    .window = window,
	    .batch = batch != 0 ? batch : count,
	    .batch_end = batch != 0 && batch < window ? batch : count,
	    .stops_on_failure = batch != 0,
	};
}

static void open_batch(struct wave *wave)
{
	wave->batch *= 2;
	wave->batch_end = wave->batch < wave->window ? wave->next + wave->batch : wave->count;
}

bool wave_take(struct wave *wave, size_t *ret_index)
{
	if (wave->is_stopped || wave->next >= wave->count || wave->in_flight >= wave->window)
		return false;
	if (wave->next >= wave->batch_end) {
		if (wave->in_flight > 0)
			return false;
		open_batch(wave);
	}
	wave->in_flight++;
	*ret_index = wave->next++;
	return true;
}

void wave_ended(struct wave *wave, bool has_failed)
{
	must(wave->in_flight > 0);
	wave->in_flight--;
	if (has_failed && wave->stops_on_failure)
		wave->is_stopped = true;
}

void wave_stop(struct wave *wave)
{
	wave->is_stopped = true;
}

bool wave_is_over(const struct wave *wave)
{
	return wave->in_flight == 0 && (wave->is_stopped || wave->next >= wave->count);
}

size_t wave_skipped(const struct wave *wave)
{
	return wave->count - wave->next;
}

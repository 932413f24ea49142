/* Creating.  What is remembered of the creates of a set.
 *
 * After a failure creating rests, each time twice as long: events would else make a full quota be asked at
 * once, again and again.  A generation whose pods the server calls invalid rests until the spec changes.
 * Where a whole window of creates went well a moment ago, the next burst begins with a whole window: a slow
 * start for each 250 of 5,000 pods would cost a fifth of the time.  Pure. */
#include "config.h"
#include "controller/creating.h"

#define REST_MIN_MS    50
#define REST_MAX_MS    30000
#define CONFIDENT_MS   60000
#define CONFIDENT_FROM 32 /* creates without a failure */

void creating_failed(struct creating *creating, bool is_refused, int64_t generation, int64_t now_ms)
{
	int64_t rest_ms = REST_MIN_MS;

	for (unsigned i = 0; i < creating->failures_in_a_row && rest_ms < REST_MAX_MS; i++)
		rest_ms *= 2;
	creating->failures_in_a_row++;
	creating->rests_until_ms = now_ms + (rest_ms < REST_MAX_MS ? rest_ms : REST_MAX_MS);
	creating->confident_until_ms = 0;
	if (is_refused)
		creating->refused_generation = generation;
}

void creating_went_well(struct creating *creating, size_t count, int64_t now_ms)
{
	creating->failures_in_a_row = 0;
	if (count >= CONFIDENT_FROM)
		creating->confident_until_ms = now_ms + CONFIDENT_MS;
}

int64_t creating_rest(const struct creating *creating, int64_t generation, int64_t now_ms)
{
	if (creating->refused_generation == generation && generation != 0)
		return -1;
	return creating->rests_until_ms > now_ms ? creating->rests_until_ms - now_ms : 0;
}

size_t creating_batch(const struct creating *creating, size_t window, int64_t now_ms)
{
	return now_ms < creating->confident_until_ms ? window : 1;
}

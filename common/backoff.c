/* Waiting between tries: doubling up to a ceiling, with half jitter.
 *
 * Pure: the attempt and the seed come from the caller, so a test can name every delay. */
#include "config.h"
#include "common/backoff.h"

/* SplitMix64's last step: neighbouring seeds give unrelated numbers. */
static uint64_t mix(uint64_t number)
{
	number += 0x9e3779b97f4a7c15u;
	number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
	number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
	return number ^ (number >> 31);
}

uint64_t backoff_ms(unsigned attempt, uint64_t min_ms, uint64_t max_ms, uint64_t seed)
{
	uint64_t delay = min_ms;
	uint64_t half;

	for (unsigned i = 1; i < attempt && delay < max_ms; i++)
		delay = delay > max_ms / 2 ? max_ms : delay * 2;
	if (delay > max_ms)
		delay = max_ms;
	half = delay / 2;
	return delay - half + mix(seed + attempt) % (half + 1);
}

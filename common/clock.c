/* The clocks of the house, and the one way to write a time.
 *
 * Monotonic time is for waiting (with the machine's sleep for leases), wall time is for records; they never meet.  A test holds both hands still
 * with clock_hold(). The hands are the only state; nothing here sleeps or arms timers. */
#include "config.h"
#include "common/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "common/must.h"

#define NS_PER_SECOND INT64_C(1000000000)

static bool held; /* by a test; programs never set it */
static uint64_t held_monotonic_ms;
static int64_t held_wall_ns;

static struct timespec now_of(clockid_t id)
{
	struct timespec now;

	must(clock_gettime(id, &now) == 0);
	return now;
}

static uint64_t milliseconds_of(clockid_t id)
{
	struct timespec now;

	if (held)
		return held_monotonic_ms;
	now = now_of(id);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_monotonic_ms(void)
{
	return milliseconds_of(CLOCK_MONOTONIC);
}

uint64_t clock_boottime_ms(void)
{
	return milliseconds_of(CLOCK_BOOTTIME);
}

int64_t clock_wall_ns(void)
{
	struct timespec now;

	if (held)
		return held_wall_ns;
	now = now_of(CLOCK_REALTIME);
	return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

void clock_hold(uint64_t monotonic_ms, int64_t wall_ns)
{
	held = true;
	held_monotonic_ms = monotonic_ms;
	held_wall_ns = wall_ns;
}

void clock_release(void)
{
	held = false;
}

void clock_format_ns(char out[CLOCK_TEXT_BYTES], int64_t wall_ns)
{
	int64_t ns = wall_ns % NS_PER_SECOND;
	time_t seconds = (time_t)(wall_ns / NS_PER_SECOND);
	struct tm tm;
	size_t len;

	if (ns < 0) { /* before 1970 the division rounds towards the epoch */
		ns += NS_PER_SECOND;
		seconds--;
	}
	must(gmtime_r(&seconds, &tm) !=
	     NULL); /* 64 bits of nanoseconds reach from 1677 to 2262: four digits always */
	len = strftime(out, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	must(len == 19);
	snprintf(out + len, CLOCK_TEXT_BYTES - len, ".%09uZ", (unsigned)ns);
}

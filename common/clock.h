/* Time, with its units in its names; a test can hold the hands. */
#ifndef DRAVE_COMMON_CLOCK_H
#define DRAVE_COMMON_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC (for timers, ages and deadlines). */
uint64_t clock_monotonic_ms(void);
/* The same of CLOCK_BOOTTIME, which also counts while the machine sleeps (for leases). */
uint64_t clock_boottime_ms(void);
/* Nanoseconds since 1970, UTC (for records; never for timers). */
int64_t clock_wall_ns(void);
/* Tests: all clocks stand still at these values (the first two at the first) until called again; clock_release() lets them run. */
void clock_hold(uint64_t monotonic_ms, int64_t wall_ns);
void clock_release(void);

/* Writes "2026-01-31T12:34:56.123456789Z" (RFC 3339, nanoseconds, UTC) and a NUL; 31 bytes. */
#define CLOCK_TEXT_BYTES 31
void clock_format_ns(char out[CLOCK_TEXT_BYTES], int64_t wall_ns);

#endif

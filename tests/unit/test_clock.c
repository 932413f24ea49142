#include "config.h"

#include "common/clock.h"
#include "tests/unit/unit.h"

START_TEST(times_are_written_as_rfc_3339_with_nanoseconds)
{
	static const struct {
		int64_t wall_ns;
		const char *text;
	} rows[] = {
	    {0, "1970-01-01T00:00:00.000000000Z"},
	    {1, "1970-01-01T00:00:00.000000001Z"},
	    {-1, "1969-12-31T23:59:59.999999999Z"},
	    {-1000000000, "1969-12-31T23:59:59.000000000Z"},
	    {1769862896123456789, "2026-01-31T12:34:56.123456789Z"},
	    {951782400000000000, "2000-02-29T00:00:00.000000000Z"},
	    {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
	    {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[CLOCK_TEXT_BYTES];

		clock_format_ns(text, rows[i].wall_ns);
		ck_assert_str_eq(text, rows[i].text);
	}
}
END_TEST

START_TEST(held_hands_stand_still_until_they_are_let_go)
{
	clock_hold(5, 6);
	ck_assert_uint_eq(clock_monotonic_ms(), 5);
	ck_assert_int_eq(clock_wall_ns(), 6);
	clock_hold(7, 8);
	ck_assert_uint_eq(clock_monotonic_ms(), 7);
	ck_assert_uint_eq(clock_boottime_ms(), 7);
	ck_assert_int_eq(clock_wall_ns(), 8);
	clock_release();
	ck_assert_int_gt(clock_wall_ns(), INT64_C(1700000000000000000));
}
END_TEST

START_TEST(the_monotonic_clock_never_goes_back)
{
	uint64_t before = clock_monotonic_ms();

	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_monotonic_ms();

		ck_assert_uint_ge(now, before);
		before = now;
	}
}
END_TEST

START_TEST(the_clock_since_the_boot_also_counts_sleep)
{
	uint64_t awake = clock_monotonic_ms();

	ck_assert_uint_ge(clock_boottime_ms(), awake);
}
END_TEST

UNIT_MAIN("clock", times_are_written_as_rfc_3339_with_nanoseconds,
    held_hands_stand_still_until_they_are_let_go, the_monotonic_clock_never_goes_back,
    the_clock_since_the_boot_also_counts_sleep)

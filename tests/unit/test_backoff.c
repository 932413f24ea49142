#include "config.h"

#include "common/backoff.h"
#include "tests/unit/unit.h"

START_TEST(delays_double_up_to_the_ceiling)
{
	static const struct {
		unsigned attempt;
		uint64_t full; /* before jitter */
	} rows[] = {{0, 1000}, {1, 1000}, {2, 2000}, {3, 4000}, {6, 32000}, {7, 60000}, {8, 60000},
	    {4000000000u, 60000}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (uint64_t seed = 0; seed < 200; seed++) {
			uint64_t delay = backoff_ms(rows[i].attempt, 1000, 60000, seed);

			ck_assert_uint_ge(delay, rows[i].full / 2);
			ck_assert_uint_le(delay, rows[i].full);
		}
	}
}
END_TEST

START_TEST(seeds_spread_over_the_upper_half)
{
	unsigned in_third[3] = {0};

	for (uint64_t seed = 0; seed < 3000; seed++)
		in_third[(backoff_ms(1, 6000, 60000, seed) - 3000) * 3 / 3001]++;
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_gt(in_third[i], 800);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_delay)
{
	ck_assert_uint_eq(backoff_ms(3, 1000, 60000, 42), backoff_ms(3, 1000, 60000, 42));
}
END_TEST

START_TEST(extreme_numbers_do_not_overflow)
{
	ck_assert_uint_eq(backoff_ms(5, 0, 0, 1), 0);
	ck_assert_uint_eq(backoff_ms(1, 1, 1, 7), 1);
	ck_assert_uint_le(backoff_ms(1, 1000, 10, 7), 10);
	ck_assert_uint_ge(backoff_ms(99, 1, UINT64_MAX, 7), UINT64_MAX / 2);
	ck_assert_uint_ge(backoff_ms(1, UINT64_MAX, UINT64_MAX, 7), UINT64_MAX / 2);
}
END_TEST

UNIT_MAIN("backoff", delays_double_up_to_the_ceiling, seeds_spread_over_the_upper_half,
    the_same_seed_gives_the_same_delay, extreme_numbers_do_not_overflow)

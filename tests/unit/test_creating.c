/* What is remembered of a set's creates. */
#include "config.h"
#include "controller/creating.h"

#include "tests/unit/unit.h"

START_TEST(a_failure_rests_longer_each_time_up_to_half_a_minute)
{
	struct creating creating = {.refused_generation = 0};
	int64_t before = 0;

	ck_assert_int_eq(creating_rest(&creating, 1, 1000), 0);
	for (unsigned i = 0; i < 9; i++) {
		creating_failed(&creating, false, 1, 1000);
		ck_assert_int_gt(creating_rest(&creating, 1, 1000), before);
		before = creating_rest(&creating, 1, 1000);
	}
	for (unsigned i = 0; i < 100; i++)
		creating_failed(&creating, false, 1, 1000);
	ck_assert_int_eq(creating_rest(&creating, 1, 1000), 30000);
	ck_assert_int_eq(creating_rest(&creating, 1, 30999), 1);
	ck_assert_int_eq(creating_rest(&creating, 1, 31000), 0);
	creating_went_well(&creating, 1, 31000);
	creating_failed(&creating, false, 1, 31000);
	ck_assert_int_eq(creating_rest(&creating, 1, 31000), 50);
}
END_TEST

START_TEST(a_refused_generation_rests_until_the_next)
{
	struct creating creating = {.refused_generation = 0};

	creating_failed(&creating, true, 7, 1000);
	ck_assert_int_eq(creating_rest(&creating, 7, 999999), -1);
	ck_assert_int_eq(creating_rest(&creating, 8, 999999), 0);
}
END_TEST

START_TEST(only_a_full_window_that_went_well_makes_bold_and_not_for_long)
{
	struct creating creating = {.refused_generation = 0};

	ck_assert_uint_eq(creating_batch(&creating, 32, 1000), 1);
	creating_went_well(&creating, 31, 1000);
	ck_assert_uint_eq(creating_batch(&creating, 32, 1000), 1);
	creating_went_well(&creating, 32, 1000);
	ck_assert_uint_eq(creating_batch(&creating, 32, 60999), 32);
	ck_assert_uint_eq(creating_batch(&creating, 32, 61000), 1);
	creating_went_well(&creating, 250, 1000);
	creating_failed(&creating, false, 1, 1001);
	ck_assert_uint_eq(creating_batch(&creating, 32, 1002), 1);
}
END_TEST

UNIT_MAIN("creating", a_failure_rests_longer_each_time_up_to_half_a_minute,
    a_refused_generation_rests_until_the_next, only_a_full_window_that_went_well_makes_bold_and_not_for_long)

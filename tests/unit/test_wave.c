/* The pace of a stage: how many start, when, and when no more. */
#include "config.h"
#include "controller/wave.h"

#include "tests/unit/unit.h"

/* Starts all that may start; returns how many did. */
static size_t start_all(struct wave *wave)
{
	size_t index, count = 0;

	while (wave_take(wave, &index)) {
		ck_assert_uint_eq(index, wave->next - 1);
		count++;
	}
	return count;
}

static void end_all(struct wave *wave, size_t count)
{
	for (size_t i = 0; i < count; i++)
		wave_ended(wave, false);
}

START_TEST(a_slow_start_doubles_until_the_window_is_full)
{
	static const size_t batches[] = {1, 2, 4, 8, 16, 32};
	struct wave wave;

	wave_open(&wave, 250, 32, 1);
	for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
		ck_assert_uint_eq(start_all(&wave), batches[i]);
		if (i + 1 < sizeof batches / sizeof batches[0])
			end_all(&wave, batches[i]);
	}
	wave_ended(&wave, false); /* from here one by one */
	ck_assert_uint_eq(start_all(&wave), 1);
	ck_assert(!wave_is_over(&wave));
}
END_TEST

START_TEST(a_batch_waits_for_all_of_the_one_before)
{
	struct wave wave;

	wave_open(&wave, 10, 32, 1);
	ck_assert_uint_eq(start_all(&wave), 1);
	end_all(&wave, 1);
	ck_assert_uint_eq(start_all(&wave), 2);
	wave_ended(&wave, false);
	ck_assert_uint_eq(start_all(&wave), 0);
	wave_ended(&wave, false);
	ck_assert_uint_eq(start_all(&wave), 4);
	end_all(&wave, 4);
	ck_assert_uint_eq(start_all(&wave), 3);
	end_all(&wave, 3);
	ck_assert(wave_is_over(&wave));
	ck_assert_uint_eq(wave_skipped(&wave), 0);
}
END_TEST

START_TEST(a_failure_ends_a_slow_start)
{
	struct wave wave;

	wave_open(&wave, 100, 32, 1);
	end_all(&wave, start_all(&wave));
	ck_assert_uint_eq(start_all(&wave), 2);
	wave_ended(&wave, true);
	ck_assert_uint_eq(start_all(&wave), 0);
	ck_assert(!wave_is_over(&wave));
	wave_ended(&wave, false);
	ck_assert(wave_is_over(&wave));
	ck_assert_uint_eq(wave_skipped(&wave), 97);
}
END_TEST

START_TEST(a_failure_ends_a_full_window_too)
{
	struct wave wave;

	wave_open(&wave, 100, 32, 32);
	ck_assert_uint_eq(start_all(&wave), 32);
	wave_ended(&wave, true);
	ck_assert_uint_eq(start_all(&wave), 0);
	end_all(&wave, 31);
	ck_assert(wave_is_over(&wave));
	ck_assert_uint_eq(wave_skipped(&wave), 68);
}
END_TEST

START_TEST(without_batches_a_failure_ends_nothing)
{
	struct wave wave;

	wave_open(&wave, 40, 32, 0);
	ck_assert_uint_eq(start_all(&wave), 32);
	for (size_t i = 0; i < 8; i++)
		wave_ended(&wave, true);
	ck_assert_uint_eq(start_all(&wave), 8);
	end_all(&wave, 32);
	ck_assert(wave_is_over(&wave));
}
END_TEST

START_TEST(an_empty_one_is_over_at_once_and_a_stopped_one_starts_nothing)
{
	struct wave wave;

	wave_open(&wave, 0, 32, 1);
	ck_assert(wave_is_over(&wave));
	wave_open(&wave, 5, 32, 0);
	wave_stop(&wave);
	ck_assert_uint_eq(start_all(&wave), 0);
	ck_assert(wave_is_over(&wave));
	ck_assert_uint_eq(wave_skipped(&wave), 5);
}
END_TEST

UNIT_MAIN("wave", a_slow_start_doubles_until_the_window_is_full, a_batch_waits_for_all_of_the_one_before,
    a_failure_ends_a_slow_start, a_failure_ends_a_full_window_too, without_batches_a_failure_ends_nothing,
    an_empty_one_is_over_at_once_and_a_stopped_one_starts_nothing)

#include "config.h"

#include "controller/workqueue.h"

#include "tests/unit/unit.h"

static void expect(struct workqueue *queue, int64_t now_ms, const char *key)
{
	const char *got = workqueue_get(queue, now_ms);

	if (key == NULL)
		ck_assert_ptr_null(got);
	else
		ck_assert_str_eq(got, key);
}

START_TEST(a_key_stands_in_it_once_however_often_it_is_added)
{
	struct workqueue *queue = workqueue_new();

	workqueue_add(queue, "a");
	workqueue_add(queue, "a");
	workqueue_add_at(queue, "a", 500);
	ck_assert_uint_eq(workqueue_depth(queue), 1);
	expect(queue, 0, "a");
	ck_assert_uint_eq(workqueue_depth(queue), 0);
	workqueue_done(queue, "a");
	expect(queue, 1000, NULL);
	workqueue_free(queue);
}
END_TEST

START_TEST(keys_that_are_due_come_in_the_order_of_their_arrival)
{
	struct workqueue *queue = workqueue_new();

	workqueue_add(queue, "c");
	workqueue_add(queue, "a");
	workqueue_add(queue, "b");
	workqueue_add(queue, "c");
	expect(queue, 0, "c");
	expect(queue, 0, "a");
	expect(queue, 0, "b");
	expect(queue, 0, NULL);
	workqueue_free(queue);
}
END_TEST

START_TEST(nothing_comes_before_its_time)
{
	struct workqueue *queue = workqueue_new();

	ck_assert_int_eq(workqueue_next_ms(queue, 0), -1);
	workqueue_add_at(queue, "late", 200);
	workqueue_add_at(queue, "early", 100);
	ck_assert_int_eq(workqueue_next_ms(queue, 50), 100);
	ck_assert_int_eq(workqueue_next_ms(queue, 150), 150); /* it is due already */
	expect(queue, 99, NULL);
	expect(queue, 100, "early");
	ck_assert_int_eq(workqueue_next_ms(queue, 100), 200);
	expect(queue, 199, NULL);
	expect(queue, 200, "late");
	ck_assert_int_eq(workqueue_next_ms(queue, 200), -1);
	workqueue_free(queue);
}
END_TEST

START_TEST(of_two_times_the_earlier_counts)
{
	struct workqueue *queue = workqueue_new();

	workqueue_add_at(queue, "a", 100);
	workqueue_add_at(queue, "a", 300);
	ck_assert_int_eq(workqueue_next_ms(queue, 0), 100);
	workqueue_add_at(queue, "a", 40);
	ck_assert_int_eq(workqueue_next_ms(queue, 0), 40);
	workqueue_add(queue, "a");
	expect(queue, 0, "a");
	workqueue_free(queue);
}
END_TEST

START_TEST(a_key_that_is_being_processed_waits_until_that_is_over)
{
	struct workqueue *queue = workqueue_new();

	workqueue_add(queue, "a");
	expect(queue, 0, "a");
	workqueue_add(queue, "a");
	workqueue_add(queue, "b");
	ck_assert_uint_eq(workqueue_depth(queue), 2);
	expect(queue, 0, "b"); /* it holds up nobody else */
	expect(queue, 0, NULL);
	ck_assert_int_eq(workqueue_next_ms(queue, 0), -1);
	workqueue_done(queue, "a");
	expect(queue, 0, "a");
	workqueue_free(queue);
}
END_TEST

START_TEST(a_retry_waits_twice_as_long_each_time_up_to_1000_seconds)
{
	struct workqueue *queue = workqueue_new();
	int64_t now_ms = 0, delay_ms = 5;

	for (int i = 0; i < 40; i++) {
		workqueue_retry(queue, "a", now_ms);
		ck_assert_int_eq(workqueue_next_ms(queue, now_ms), now_ms + delay_ms);
		expect(queue, now_ms + delay_ms - 1, NULL);
		now_ms += delay_ms;
		expect(queue, now_ms, "a");
		workqueue_done(queue, "a");
		delay_ms = 2 * delay_ms < 1000000 ? 2 * delay_ms : 1000000;
	}
	workqueue_free(queue);
}
END_TEST

START_TEST(what_went_well_begins_its_retries_anew)
{
	struct workqueue *queue = workqueue_new();

	for (int i = 0; i < 4; i++) {
		workqueue_retry(queue, "a", 0);
		workqueue_retry(queue, "b", 0);
		expect(queue, 1000, "a");
		expect(queue, 1000, "b");
		workqueue_done(queue, "a");
		workqueue_done(queue, "b");
	}
	workqueue_forget(queue, "a");
	workqueue_forget(queue, "never seen");
	workqueue_retry(queue, "b", 0); /* each key for itself */
	ck_assert_int_eq(workqueue_next_ms(queue, 0), 80);
	workqueue_retry(queue, "a", 0);
	ck_assert_int_eq(workqueue_next_ms(queue, 0), 5);
	workqueue_free(queue);
}
END_TEST

START_TEST(a_wake_up_does_not_wait_for_the_retry)
{
	struct workqueue *queue = workqueue_new();

	for (int i = 0; i < 10; i++)
		workqueue_retry(queue, "a", 0);
	workqueue_add(queue, "a");
	expect(queue, 0, "a");
	workqueue_free(queue);
}
END_TEST

UNIT_MAIN("workqueue", a_key_stands_in_it_once_however_often_it_is_added,
    keys_that_are_due_come_in_the_order_of_their_arrival, nothing_comes_before_its_time,
    of_two_times_the_earlier_counts, a_key_that_is_being_processed_waits_until_that_is_over,
    a_retry_waits_twice_as_long_each_time_up_to_1000_seconds, what_went_well_begins_its_retries_anew,
    a_wake_up_does_not_wait_for_the_retry)

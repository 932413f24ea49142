/* C-4, L-3 and L-4 of the rules of placement. */
#include "config.h"

#include "controller/retry_table.h"

#include "tests/unit/unit.h"

#define NOW INT64_C(1000000000)

static int64_t rest(const struct retry_table *table, int64_t now_ms)
{
	return retry_table_rest(table, "uid", 1, "node", now_ms);
}

static void pod_failed(struct retry_table *table, int64_t now_ms)
{
	retry_table_failed(table, "uid", 1, "node", now_ms);
}

START_TEST(what_never_failed_does_not_rest)
{
	struct retry_table *table = retry_table_new();

	ck_assert_int_eq(rest(table, NOW), 0);
	ck_assert_uint_eq(retry_table_count(table), 0); /* asking leaves nothing behind */
	retry_table_free(table);
}
END_TEST

START_TEST(C4_the_rest_is_a_second_and_doubles_up_to_a_quarter_of_an_hour)
{
	struct retry_table *table = retry_table_new();
	int64_t now_ms = NOW, expected_ms = RETRY_MIN_MS;

	for (int i = 0; i < 20; i++) {
		pod_failed(table, now_ms);
		ck_assert_int_eq(rest(table, now_ms), expected_ms);
		now_ms += expected_ms;
		expected_ms = 2 * expected_ms < RETRY_MAX_MS ? 2 * expected_ms : RETRY_MAX_MS;
	}
	ck_assert_int_eq(expected_ms, RETRY_MAX_MS);
	retry_table_free(table);
}
END_TEST

START_TEST(L4_waiting_does_not_lengthen_it_and_at_its_very_end_it_is_over)
{
	struct retry_table *table = retry_table_new();

	pod_failed(table, NOW);
	pod_failed(table, NOW + 1000);
	ck_assert_int_eq(rest(table, NOW + 1000), 2000);
	ck_assert_int_eq(rest(table, NOW + 1000), 2000);
	ck_assert_int_eq(rest(table, NOW + 2999), 1);
	ck_assert_int_eq(rest(table, NOW + 3000), 0);
	ck_assert_int_eq(rest(table, NOW + 9000), 0);
	retry_table_free(table);
}
END_TEST

START_TEST(L4_a_set_a_generation_and_a_node_rest_each_for_themselves)
{
	struct retry_table *table = retry_table_new();

	for (int i = 0; i < 5; i++)
		pod_failed(table, NOW);
	ck_assert_int_eq(retry_table_rest(table, "other", 1, "node", NOW), 0);
	ck_assert_int_eq(retry_table_rest(table, "uid", 2, "node", NOW), 0);
	ck_assert_int_eq(retry_table_rest(table, "uid", 1, "other", NOW), 0);
	retry_table_failed(table, "uid", 2, "node", NOW); /* a new generation begins anew */
	ck_assert_int_eq(retry_table_rest(table, "uid", 2, "node", NOW), RETRY_MIN_MS);
	ck_assert_int_eq(rest(table, NOW), 16000);
	ck_assert_uint_eq(retry_table_count(table), 2);
	retry_table_free(table);
}
END_TEST

START_TEST(C4_after_half_an_hour_without_a_failure_it_begins_anew)
{
	struct retry_table *table = retry_table_new();

	for (int i = 0; i < 5; i++)
		pod_failed(table, NOW);
	pod_failed(table, NOW + 2 * RETRY_MAX_MS); /* not yet */
	ck_assert_int_eq(rest(table, NOW + 2 * RETRY_MAX_MS), 32000);
	pod_failed(table, NOW + 4 * RETRY_MAX_MS + 1);
	ck_assert_int_eq(rest(table, NOW + 4 * RETRY_MAX_MS + 1), RETRY_MIN_MS);
	retry_table_free(table);
}
END_TEST

START_TEST(C4_what_is_old_is_collected_and_nothing_else)
{
	struct retry_table *table = retry_table_new();

	pod_failed(table, NOW);
	retry_table_failed(table, "uid", 1, "another", NOW + 1);
	retry_table_collect(table, NOW + 2 * RETRY_MAX_MS);
	ck_assert_uint_eq(retry_table_count(table), 2);
	retry_table_collect(table, NOW + 2 * RETRY_MAX_MS + 1);
	ck_assert_uint_eq(retry_table_count(table), 1);
	retry_table_failed(table, "uid", 1, "another", NOW + 2 * RETRY_MAX_MS + 1);
	ck_assert_int_eq(retry_table_rest(table, "uid", 1, "another", NOW + 2 * RETRY_MAX_MS + 1), 2000);
	retry_table_free(table);
}
END_TEST

UNIT_MAIN("retry_table", what_never_failed_does_not_rest,
    C4_the_rest_is_a_second_and_doubles_up_to_a_quarter_of_an_hour,
    L4_waiting_does_not_lengthen_it_and_at_its_very_end_it_is_over,
    L4_a_set_a_generation_and_a_node_rest_each_for_themselves,
    C4_after_half_an_hour_without_a_failure_it_begins_anew, C4_what_is_old_is_collected_and_nothing_else)

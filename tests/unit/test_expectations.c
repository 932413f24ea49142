/* P-1 to P-9 of the rules of placement, as far as they are the table's. */
#include "config.h"

#include "controller/expectations.h"

#include "tests/unit/unit.h"

#define NOW INT64_C(1000000000)

static bool satisfied(const struct expectations *expectations, const char *uid)
{
	return expectations_satisfied(expectations, uid, NOW);
}

START_TEST(P1_what_was_never_set_is_satisfied)
{
	struct expectations *expectations = expectations_new();

	ck_assert(satisfied(expectations, "a"));
	expectations_create_seen(expectations, "a");
	expectations_delete_seen(expectations, "a");
	expectations_unknown(expectations, "a", NOW);
	ck_assert(satisfied(expectations, "a"));
	expectations_set(expectations, "a", 0, 0, NOW);
	ck_assert(satisfied(expectations, "a"));
	expectations_free(expectations);
}
END_TEST

START_TEST(P1_all_creates_and_all_deletes_have_to_be_seen)
{
	struct expectations *expectations = expectations_new();

	expectations_set(expectations, "a", 2, 1, NOW);
	expectations_create_seen(expectations, "a");
	expectations_create_seen(expectations, "a");
	ck_assert(!satisfied(expectations, "a"));
	expectations_delete_seen(expectations, "a");
	ck_assert(satisfied(expectations, "a"));
	expectations_free(expectations);
}
END_TEST

START_TEST(P1_each_set_has_its_own)
{
	struct expectations *expectations = expectations_new();

	expectations_set(expectations, "a", 1, 0, NOW);
	ck_assert(satisfied(expectations, "b"));
	expectations_set(expectations, "b", 1, 0, NOW);
	expectations_create_seen(expectations, "b");
	ck_assert(satisfied(expectations, "b"));
	ck_assert(!satisfied(expectations, "a"));
	expectations_free(expectations);
}
END_TEST

START_TEST(P1_after_five_minutes_nothing_is_awaited_any_more)
{
	struct expectations *expectations = expectations_new();

	expectations_set(expectations, "a", 1, 1, NOW);
	ck_assert(!expectations_satisfied(expectations, "a", NOW + EXPECTATION_TIMEOUT_MS - 1));
	ck_assert(expectations_satisfied(expectations, "a", NOW + EXPECTATION_TIMEOUT_MS));
	expectations_set(expectations, "a", 1, 1, NOW + EXPECTATION_TIMEOUT_MS);
	ck_assert(!expectations_satisfied(expectations, "a", NOW + EXPECTATION_TIMEOUT_MS));
	expectations_free(expectations);
}
END_TEST

START_TEST(P3_what_is_seen_twice_does_no_harm)
{
	struct expectations *expectations = expectations_new();

	expectations_set(expectations, "a", 1, 1, NOW);
	for (int i = 0; i < 3; i++)
		expectations_delete_seen(expectations, "a");
	ck_assert(!satisfied(expectations, "a")); /* a delete is no create */
	expectations_create_seen(expectations, "a");
	ck_assert(satisfied(expectations, "a"));
	expectations_set(expectations, "a", 0, 1, NOW); /* and takes nothing from what comes next */
	ck_assert(!satisfied(expectations, "a"));
	expectations_free(expectations);
}
END_TEST

START_TEST(P4_a_set_that_is_gone_leaves_nothing)
{
	struct expectations *expectations = expectations_new();
	const char *const reached[WRITTEN_KINDS] = {"1", "1", "1"};

	expectations_set(expectations, "a", 5, 5, NOW);
	expectations_wrote(expectations, "a", WRITTEN_POD, "100");
	expectations_forget(expectations, "a");
	expectations_forget(expectations, "a");
	ck_assert(satisfied(expectations, "a"));
	ck_assert(expectations_reached(expectations, "a", reached));
	expectations_free(expectations);
}
END_TEST

START_TEST(P6_a_cache_has_reached_what_was_written_kind_by_kind)
{
	static const struct {
		const char *reached[WRITTEN_KINDS];
		bool is_reached;
	} rows[] = {
	    {{[WRITTEN_POD] = "10", [WRITTEN_SET] = "7", [WRITTEN_REVISION] = ""}, true},
	    {{[WRITTEN_POD] = "11", [WRITTEN_SET] = "8", [WRITTEN_REVISION] = "3"}, true},
	    {{[WRITTEN_POD] = "9", [WRITTEN_SET] = "7", [WRITTEN_REVISION] = ""}, false}, /* 9 < 10 */
	    {{[WRITTEN_POD] = "10", [WRITTEN_SET] = "6", [WRITTEN_REVISION] = ""}, false},
	    {{[WRITTEN_POD] = "", [WRITTEN_SET] = "7", [WRITTEN_REVISION] = "99"}, false},
	};
	struct expectations *expectations = expectations_new();

	expectations_wrote(expectations, "a", WRITTEN_POD, "10");
	expectations_wrote(expectations, "a", WRITTEN_SET, "7");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ck_assert(expectations_reached(expectations, "a", rows[i].reached) == rows[i].is_reached);
		ck_assert(expectations_reached(expectations, "b", rows[i].reached));
	}
	ck_assert(satisfied(expectations, "a")); /* to have written is to expect nothing */
	expectations_free(expectations);
}
END_TEST

START_TEST(P6_the_newest_write_counts_in_whatever_order_the_answers_come)
{
	const char *const reached[WRITTEN_KINDS] = {"99", "99", "99"};
	struct expectations *expectations = expectations_new();

	expectations_wrote(expectations, "a", WRITTEN_REVISION, "100");
	expectations_wrote(expectations, "a", WRITTEN_REVISION, "98");
	ck_assert(!expectations_reached(expectations, "a", reached));
	expectations_free(expectations);
}
END_TEST

START_TEST(P9_the_time_until_they_expire_runs_down)
{
	struct expectations *expectations = expectations_new();

	ck_assert_int_eq(expectations_expire_after(expectations, "a", NOW), 0);
	expectations_set(expectations, "a", 1, 0, NOW);
	ck_assert_int_eq(expectations_expire_after(expectations, "a", NOW), EXPECTATION_TIMEOUT_MS);
	ck_assert_int_eq(
	    expectations_expire_after(expectations, "a", NOW + 1000), EXPECTATION_TIMEOUT_MS - 1000);
	expectations_create_seen(expectations, "a");
	ck_assert_int_eq(expectations_expire_after(expectations, "a", NOW + 1000), 0);
	expectations_free(expectations);
}
END_TEST

START_TEST(a_write_of_unknown_outcome_begins_the_time_anew)
{
	struct expectations *expectations = expectations_new();
	int64_t later_ms = NOW + EXPECTATION_TIMEOUT_MS - 1;

	expectations_set(expectations, "a", 2, 0, NOW);
	expectations_create_seen(expectations, "a");
	expectations_unknown(expectations, "a", later_ms);
	ck_assert_int_eq(expectations_expire_after(expectations, "a", later_ms), EXPECTATION_TIMEOUT_MS);
	expectations_create_seen(expectations, "a"); /* but it asks for nothing more than was */
	ck_assert(expectations_satisfied(expectations, "a", later_ms));
	expectations_free(expectations);
}
END_TEST

UNIT_MAIN("expectations", P1_what_was_never_set_is_satisfied, P1_all_creates_and_all_deletes_have_to_be_seen,
    P1_each_set_has_its_own, P1_after_five_minutes_nothing_is_awaited_any_more,
    P3_what_is_seen_twice_does_no_harm, P4_a_set_that_is_gone_leaves_nothing,
    P6_a_cache_has_reached_what_was_written_kind_by_kind,
    P6_the_newest_write_counts_in_whatever_order_the_answers_come, P9_the_time_until_they_expire_runs_down,
    a_write_of_unknown_outcome_begins_the_time_anew)

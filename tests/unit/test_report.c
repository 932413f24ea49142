/* Which status is written, and when. */
#include "config.h"
#include "controller/report.h"

#include <string.h>

#include "tests/unit/unit.h"

static struct set_status status_of(int64_t ready)
{
	return (struct set_status){
	    .desired = 10,
	    .ready = ready,
	    .observed_generation = 1,
	    .collision_count = -1,
	    .available_condition = {.status = CONDITION_FALSE, .reason = "PodsUnavailable", .since_ms = 5},
	    .progressing_condition = {.status = CONDITION_TRUE, .reason = "RollingOut", .since_ms = 5},
	};
}

START_TEST(what_says_nothing_new_is_not_written)
{
	const struct report report = {.was_written = false};
	struct set_status a = status_of(1), b = status_of(1);

	ck_assert_int_eq(report_due(&report, &a, &b, 1000), -1);
}
END_TEST

START_TEST(counters_are_written_once_a_second)
{
	struct report report = {.was_written = false};
	struct set_status a = status_of(1), b = status_of(2);

	ck_assert_int_eq(report_due(&report, &a, &b, 1000), 0);
	report.was_written = true;
	report.written_ms = 1000;
	ck_assert_int_eq(report_due(&report, &a, &b, 1001), 999);
	ck_assert_int_eq(report_due(&report, &a, &b, 2000), 0);
	a.desired = b.desired = REPORT_LARGE_NODES + 1;
	ck_assert_int_eq(report_due(&report, &a, &b, 2000), 9000);
}
END_TEST

START_TEST(a_new_phase_does_not_wait)
{
	const struct report report = {.was_written = true, .written_ms = 1000};
	struct set_status a = status_of(1), b;

	b = status_of(1);
	b.observed_generation = 2;
	ck_assert_int_eq(report_due(&report, &a, &b, 1001), 0);
	b = status_of(1);
	b.collision_count = 1;
	ck_assert_int_eq(report_due(&report, &a, &b, 1001), 0);
	b = status_of(1);
	b.available_condition.status = CONDITION_TRUE;
	ck_assert_int_eq(report_due(&report, &a, &b, 1001), 0);
	b = status_of(1);
	b.progressing_condition.reason = "RolloutComplete";
	ck_assert_int_eq(report_due(&report, &a, &b, 1001), 0);
}
END_TEST

START_TEST(a_failure_to_create_is_told_with_the_servers_words)
{
	struct report report = {.creation_failed = true, .creation_failure = "exceeded quota: x"};
	struct set_status before = status_of(1), status = status_of(1);

	report_add_failure(&report, &before, 99, &status);
	ck_assert_int_eq(status.progressing_condition.status, CONDITION_FALSE);
	ck_assert_str_eq(status.progressing_condition.reason, "CreationFailed");
	ck_assert_str_eq(status.progressing_condition.message, "exceeded quota: x");
	ck_assert_int_eq(status.progressing_condition.since_ms, 99);
	before = status;
	status = status_of(1);
	report_add_failure(&report, &before, 200, &status);
	ck_assert_int_eq(status.progressing_condition.since_ms, 99); /* it has been so since then */
	report.creation_failed = false;
	status = status_of(1);
	report_add_failure(&report, &before, 300, &status);
	ck_assert_str_eq(status.progressing_condition.reason, "RollingOut");
}
END_TEST

START_TEST(between_bursts_it_is_put_off_for_some_seconds)
{
	struct report report = {.was_written = true, .written_ms = 500};

	ck_assert(!report_is_put_off(&report, false, 1000));
	ck_assert(report_is_put_off(&report, true, 1000));
	ck_assert(report_is_put_off(&report, true, 1000 + REPORT_BURSTS_MS - 1));
	ck_assert(!report_is_put_off(&report, true, 1000 + REPORT_BURSTS_MS)); /* people want to see numbers move */
	ck_assert(report_is_put_off(&report, true, 1001 + REPORT_BURSTS_MS));
	ck_assert(!report_is_put_off(&report, false, 1002 + REPORT_BURSTS_MS)); /* all is done: told at once */
	ck_assert(report_is_put_off(&report, true, 1003 + REPORT_BURSTS_MS));
}
END_TEST

UNIT_MAIN("report", what_says_nothing_new_is_not_written, counters_are_written_once_a_second,
    a_new_phase_does_not_wait, a_failure_to_create_is_told_with_the_servers_words,
    between_bursts_it_is_put_off_for_some_seconds)

#include "config.h"

#include "collector/ledger.h"
#include "tests/unit/unit.h"

static int moved_count;

static void on_moved(struct ledger *ledger)
{
	(void)ledger;
	moved_count++;
}

START_TEST(an_empty_ledger_marks_what_the_reader_needs)
{
	struct ledger ledger;

	ledger_init(&ledger, NULL, NULL);
	ck_assert(ledger_is_empty(&ledger));
	ck_assert_uint_eq(ledger_mark(&ledger, 4711), 4711);
	ledger_release(&ledger);
}
END_TEST

START_TEST(the_mark_waits_for_the_first_open_span)
{
	struct ledger ledger;
	struct span *first, *second, *third;

	moved_count = 0;
	ledger_init(&ledger, NULL, on_moved);
	first = ledger_open(&ledger, 0);
	second = ledger_open(&ledger, 100);
	third = ledger_open(&ledger, 250);
	ledger_settle(&ledger, third);
	ledger_settle(&ledger, second);
	ck_assert_uint_eq(ledger_mark(&ledger, 300), 0);
	ck_assert_int_eq(moved_count, 0);
	ledger_settle(&ledger, first);
	ck_assert_uint_eq(ledger_mark(&ledger, 300), 300);
	ck_assert_int_eq(moved_count, 1);
	ck_assert(ledger_is_empty(&ledger));
	ledger_release(&ledger);
}
END_TEST

START_TEST(the_mark_stops_at_the_floor_of_an_older_unfinished_record)
{
	struct ledger ledger;
	struct span *stderr_line, *stdout_record;

	/* A stdout record began at 0, a stderr line at 100 was handed on before it ended. */
	ledger_init(&ledger, NULL, NULL);
	stderr_line = ledger_open(&ledger, 0);
	stdout_record = ledger_open(&ledger, 0);
	ledger_settle(&ledger, stderr_line);
	ck_assert_uint_eq(ledger_mark(&ledger, 300), 0);
	ledger_settle(&ledger, stdout_record);
	ck_assert_uint_eq(ledger_mark(&ledger, 300), 300);
	ledger_release(&ledger);
}
END_TEST

/* Against a naive model: spans are settled in random order; the mark is the lowest floor of those open, and never falls. */
START_TEST(any_order_of_answers_gives_the_lowest_open_floor)
{
	enum { SPANS = 200 };
	unsigned seed = 42;

	for (int round = 0; round < 50; round++) {
		struct ledger ledger;
		struct span *spans[SPANS];
		uint64_t floors[SPANS], end = 0, last = 0;
		int open[SPANS], open_count = SPANS;

		ledger_init(&ledger, NULL, NULL);
		for (int i = 0; i < SPANS; i++) {
			floors[i] = end;
			spans[i] = ledger_open(&ledger, end);
			open[i] = i;
			end += (unsigned)rand_r(&seed) % 3 * 10;
		}
		while (open_count > 0) {
			int pick = rand_r(&seed) % open_count;
			uint64_t lowest = end;

			ledger_settle(&ledger, spans[open[pick]]);
			open[pick] = open[--open_count];
			for (int i = 0; i < open_count; i++)
				if (floors[open[i]] < lowest)
					lowest = floors[open[i]];
			ck_assert_uint_eq(ledger_mark(&ledger, end), lowest);
			ck_assert_uint_ge(lowest, last);
			last = lowest;
		}
		ledger_release(&ledger);
	}
}
END_TEST

START_TEST(open_spans_go_with_the_ledger)
{
	struct ledger ledger;

	ledger_init(&ledger, NULL, NULL);
	(void)ledger_open(&ledger, 0);
	(void)ledger_open(&ledger, 10);
	ledger_release(&ledger); /* valgrind sees what is left */
}
END_TEST

UNIT_MAIN("ledger", an_empty_ledger_marks_what_the_reader_needs, the_mark_waits_for_the_first_open_span,
	the_mark_stops_at_the_floor_of_an_older_unfinished_record, any_order_of_answers_gives_the_lowest_open_floor,
	open_spans_go_with_the_ledger)

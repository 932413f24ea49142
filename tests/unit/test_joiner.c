#include "config.h"

#include "collector/joiner.h"
#include "tests/unit/unit.h"

#include <string.h>

#define MAX_RECORD 20

static struct joiner joiner;
static struct record record;
static uint64_t cut_bytes, offset, now_ms;

static void setup(void)
{
	joiner_init(&joiner, MAX_RECORD);
	offset = 0;
	now_ms = 1000;
}

static struct piece piece_of(enum record_stream stream, char tag, const char *text)
{
	return (struct piece){
	    .time = "time",
	    .time_len = 4,
	    .time_ns = (int64_t)offset,
	    .text = text,
	    .len = strlen(text),
	    .stream = stream,
	    .is_last = tag == 'F',
	};
}

/* A line of ten bytes more than its text.  Gives the joined text, NULL if it waits. */
static const char *take(enum record_stream stream, char tag, const char *text)
{
	static char joined[MAX_RECORD + 1];
	struct piece piece = piece_of(stream, tag, text);
	uint64_t source_bytes = piece.len + 10, at = offset;

	offset += source_bytes;
	if (!joiner_take(&joiner, &piece, at, source_bytes, now_ms, &record, &cut_bytes))
		return NULL;
	memcpy(joined, record.text, record.len);
	joined[record.len] = '\0';
	ck_assert_int_eq(record.stream, stream);
	ck_assert(!record.partial && !record.unparsed);
	ck_assert_int_eq(record.time_ns, (int64_t)record.offset); /* the first piece's */
	return joined;
}

static const char *out(char tag, const char *text)
{
	return take(RECORD_STDOUT, tag, text);
}

static const char *err(char tag, const char *text)
{
	return take(RECORD_STDERR, tag, text);
}

/* The last record stands for these bytes of the file. */
static void check_place(uint64_t begin, uint64_t source_bytes)
{
	ck_assert_uint_eq(record.offset, begin);
	ck_assert_uint_eq(record.source_bytes, source_bytes);
}

START_TEST(a_whole_record_passes_without_a_copy)
{
	struct piece piece = piece_of(RECORD_STDOUT, 'F', "text");

	setup();
	ck_assert(joiner_take(&joiner, &piece, 77, 14, now_ms, &record, &cut_bytes));
	ck_assert_ptr_eq(record.text, piece.text);
	ck_assert_ptr_eq(record.time, piece.time);
	ck_assert_uint_eq(record.len, 4);
	check_place(77, 14);
	ck_assert_uint_eq(cut_bytes, 0);
	ck_assert(!record.truncated && !record.partial && !record.unparsed);
	ck_assert_ptr_null(joiner.chains[RECORD_STDOUT].text.data);
	joiner_release(&joiner);
}
END_TEST

START_TEST(pieces_are_joined_until_the_last)
{
	setup();
	ck_assert_ptr_null(out('P', "one"));
	ck_assert_ptr_null(out('P', " "));
	ck_assert_ptr_null(out('P', ""));
	ck_assert_str_eq(out('F', "two"), "one two");
	check_place(0, 7 + 40);
	ck_assert_uint_eq(cut_bytes, 0);
	ck_assert_str_eq(out('F', "next"), "next");
	check_place(47, 14);
	joiner_release(&joiner);
}
END_TEST

START_TEST(streams_are_joined_apart)
{
	setup();
	ck_assert_ptr_null(out('P', "o1"));
	ck_assert_ptr_null(err('P', "e1"));
	ck_assert_ptr_null(out('P', "o2"));
	ck_assert_str_eq(err('F', "e2"), "e1e2");
	check_place(12, 24);
	ck_assert_str_eq(err('F', "e3"), "e3");
	ck_assert_str_eq(out('F', "o3"), "o1o2o3");
	check_place(0, 36);
	joiner_release(&joiner);
}
END_TEST

START_TEST(the_first_piece_gives_the_time)
{
	struct piece first = piece_of(RECORD_STDOUT, 'P', "a"), last = piece_of(RECORD_STDOUT, 'F', "b");
	char first_time[] = "2026-01-31T12:34:56.123456789012+01:00";

	setup();
	first.time = first_time;
	first.time_len = strlen(first_time);
	first.time_ns = 5;
	last.time_ns = 6;
	ck_assert(!joiner_take(&joiner, &first, 0, 11, now_ms, &record, &cut_bytes));
	memset(first_time, '#', sizeof first_time); /* the line is gone */
	ck_assert(joiner_take(&joiner, &last, 11, 11, now_ms, &record, &cut_bytes));
	ck_assert_int_eq(record.time_ns, 5);
	ck_assert_uint_eq(record.time_len, 38);
	ck_assert_mem_eq(record.time, "2026-01-31T12:34:56.123456789012+01:00", record.time_len);
	joiner_release(&joiner);
}
END_TEST

START_TEST(a_chain_of_empty_pieces_is_an_empty_text)
{
	setup();
	ck_assert_ptr_null(out('P', ""));
	ck_assert_str_eq(out('F', ""), "");
	ck_assert_ptr_nonnull(record.text);
	check_place(0, 20);
	joiner_release(&joiner);
}
END_TEST

START_TEST(a_whole_record_is_cut_at_the_limit)
{
	setup();
	ck_assert_str_eq(out('F', "12345678901234567890"), "12345678901234567890");
	ck_assert(!record.truncated);
	ck_assert_uint_eq(cut_bytes, 0);
	ck_assert_str_eq(out('F', "12345678901234567890x"), "12345678901234567890");
	ck_assert(record.truncated);
	ck_assert_uint_eq(cut_bytes, 1);
	check_place(30, 31);
	joiner_release(&joiner);
}
END_TEST

START_TEST(a_chain_is_cut_at_the_limit_and_counts_what_it_lost)
{
	setup();
	ck_assert_ptr_null(out('P', "1234567890"));
	ck_assert_ptr_null(out('P', "1234567890x"));
	ck_assert_ptr_null(out('P', "yy"));
	ck_assert_str_eq(out('F', "zzz"), "12345678901234567890");
	ck_assert(record.truncated);
	ck_assert_uint_eq(cut_bytes, 6);
	check_place(0, 26 + 40);
	ck_assert_ptr_null(out('P', "a"));
	ck_assert_str_eq(out('F', "b"), "ab");
	ck_assert(!record.truncated);
	ck_assert_uint_eq(cut_bytes, 0);
	joiner_release(&joiner);
}
END_TEST

START_TEST(open_chains_hold_the_floor_and_their_bytes)
{
	setup();
	ck_assert_uint_eq(joiner_floor(&joiner), UINT64_MAX);
	ck_assert_uint_eq(joiner_pending_bytes(&joiner), 0);
	ck_assert_uint_eq(joiner_oldest_touch(&joiner), UINT64_MAX);
	ck_assert_str_eq(out('F', "whole"), "whole");
	ck_assert_uint_eq(joiner_floor(&joiner), UINT64_MAX);
	ck_assert_ptr_null(err('P', "e"));
	now_ms = 2000;
	ck_assert_ptr_null(out('P', "o"));
	ck_assert_uint_eq(joiner_floor(&joiner), 15);
	ck_assert_uint_eq(joiner_pending_bytes(&joiner), 22);
	ck_assert_uint_eq(joiner_oldest_touch(&joiner), 1000);
	ck_assert_str_eq(err('F', ""), "e");
	ck_assert_uint_eq(joiner_floor(&joiner), 26);
	ck_assert_uint_eq(joiner_pending_bytes(&joiner), 11);
	ck_assert_uint_eq(joiner_oldest_touch(&joiner), 2000);
	joiner_release(&joiner);
}
END_TEST

START_TEST(a_chain_that_is_not_touched_expires_as_partial)
{
	setup();
	ck_assert_ptr_null(out('P', "half"));
	ck_assert_ptr_null(out('P', "12345678901234567890"));
	ck_assert(!joiner_expire(&joiner, 1000, &record, &cut_bytes));
	ck_assert(joiner_expire(&joiner, 1001, &record, &cut_bytes));
	ck_assert(record.partial && record.truncated);
	ck_assert_int_eq(record.stream, RECORD_STDOUT);
	ck_assert_uint_eq(record.len, MAX_RECORD);
	ck_assert_uint_eq(cut_bytes, 4);
	check_place(0, 44);
	ck_assert_uint_eq(joiner_floor(&joiner), UINT64_MAX);
	ck_assert(!joiner_expire(&joiner, UINT64_MAX, &record, &cut_bytes));
	joiner_release(&joiner);
}
END_TEST

START_TEST(a_piece_keeps_its_chain_from_expiring)
{
	setup();
	ck_assert_ptr_null(out('P', "a"));
	now_ms = 5000;
	ck_assert_ptr_null(out('P', "b"));
	ck_assert(!joiner_expire(&joiner, 5000, &record, &cut_bytes));
	ck_assert_str_eq(out('F', "c"), "abc");
	joiner_release(&joiner);
}
END_TEST

START_TEST(chains_expire_in_the_order_in_which_they_began)
{
	setup();
	ck_assert_ptr_null(err('P', "e"));
	ck_assert_ptr_null(out('P', "o"));
	ck_assert_ptr_null(err('P', "e"));
	ck_assert(joiner_expire(&joiner, UINT64_MAX, &record, &cut_bytes));
	ck_assert_int_eq(record.stream, RECORD_STDERR);
	check_place(0, 22);
	ck_assert(joiner_expire(&joiner, UINT64_MAX, &record, &cut_bytes));
	ck_assert_int_eq(record.stream, RECORD_STDOUT);
	check_place(11, 11);
	ck_assert(!joiner_expire(&joiner, UINT64_MAX, &record, &cut_bytes));
	joiner_release(&joiner);
}
END_TEST

START_TEST(a_late_piece_after_the_end_begins_a_new_chain)
{
	setup();
	ck_assert_ptr_null(out('P', "a"));
	ck_assert(joiner_expire(&joiner, UINT64_MAX, &record, &cut_bytes));
	ck_assert_str_eq(out('F', "b"), "b");
	check_place(11, 11);
	ck_assert_ptr_null(out('P', "c"));
	ck_assert_str_eq(out('F', "d"), "cd");
	joiner_release(&joiner);
}
END_TEST

START_TEST(trimming_keeps_open_chains_alone)
{
	setup();
	ck_assert_ptr_null(out('P', "a"));
	ck_assert_ptr_null(err('P', "e"));
	ck_assert_str_eq(err('F', "e"), "ee");
	joiner_trim(&joiner);
	ck_assert_ptr_null(joiner.chains[RECORD_STDERR].text.data);
	ck_assert_str_eq(out('F', "b"), "ab");
	ck_assert_ptr_null(err('P', "f"));
	ck_assert_str_eq(err('F', "g"), "fg");
	joiner_release(&joiner);
}
END_TEST

UNIT_MAIN("joiner", a_whole_record_passes_without_a_copy, pieces_are_joined_until_the_last,
    streams_are_joined_apart, the_first_piece_gives_the_time, a_chain_of_empty_pieces_is_an_empty_text,
    a_whole_record_is_cut_at_the_limit, a_chain_is_cut_at_the_limit_and_counts_what_it_lost,
    open_chains_hold_the_floor_and_their_bytes, a_chain_that_is_not_touched_expires_as_partial,
    a_piece_keeps_its_chain_from_expiring, chains_expire_in_the_order_in_which_they_began,
    a_late_piece_after_the_end_begins_a_new_chain, trimming_keeps_open_chains_alone)

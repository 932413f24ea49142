#include "config.h"

#include "collector/cri.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIME    "2026-01-31T12:34:56.123456789Z"
#define TIME_NS INT64_C(1769862896123456789)

static struct timestamp_cache cache;

static void forget(void)
{
	memset(&cache, 0, sizeof cache);
}

/* The nanoseconds of text, -1 if it is no time; the same with a fresh cache as with one that knows other
 * times. */
static int64_t parsed(const char *text)
{
	struct timestamp_cache fresh = {0};
	int64_t cached_ns = -1, fresh_ns = -1;

	(void)timestamp_parse(&cache, text, strlen(text), &cached_ns);
	(void)timestamp_parse(&fresh, text, strlen(text), &fresh_ns);
	ck_assert_int_eq(cached_ns, fresh_ns);
	return cached_ns;
}

static bool parse(const char *line, struct piece *ret_piece)
{
	return cri_parse(&cache, line, strlen(line), ret_piece);
}

static bool text_is(const struct piece *piece, const char *expected)
{
	return piece->len == strlen(expected) && memcmp(piece->text, expected, piece->len) == 0;
}

/* ---- time ------------------------------------------------------------------------------------ */

START_TEST(a_time_is_nanoseconds_since_1970)
{
	forget();
	ck_assert_int_eq(parsed("1970-01-01T00:00:00Z"), 0);
	ck_assert_int_eq(parsed(TIME), TIME_NS);
	ck_assert_int_eq(parsed("2000-02-29T23:59:59Z"), INT64_C(951868799000000000));
	ck_assert_int_eq(parsed("2261-12-31T23:59:59.999999999Z"), INT64_C(9214646399999999999));
}
END_TEST

START_TEST(every_day_agrees_with_the_c_library)
{
	char text[40];

	forget();
	for (int64_t seconds = 43210; seconds < INT64_C(9214646400); seconds += 86400 * 13 + 77) {
		time_t when = (time_t)seconds;
		struct tm tm;

		ck_assert_ptr_nonnull(gmtime_r(&when, &tm));
		ck_assert_uint_gt(strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm), 0);
		ck_assert_int_eq(parsed(text), seconds * 1000000000);
	}
}
END_TEST

START_TEST(a_fraction_has_any_number_of_digits)
{
	forget();
	ck_assert_int_eq(parsed("1970-01-01T00:00:01.5Z"), 1500000000);
	ck_assert_int_eq(parsed("1970-01-01T00:00:01.000001Z"), 1000001000);
	ck_assert_int_eq(parsed("1970-01-01T00:00:01.123456789999Z"), 1123456789);
	ck_assert_int_eq(parsed("1970-01-01T00:00:01.1234567890123456789Z"), 1123456789); /* the longest */
	ck_assert_int_eq(parsed("1970-01-01T00:00:01.12345678901234567890Z"), -1);
	ck_assert_int_eq(parsed("1970-01-01T00:00:01.Z"), -1);
	ck_assert_int_eq(parsed("1970-01-01T00:00:01,5Z"), -1);
}
END_TEST

START_TEST(an_offset_is_taken_off)
{
	forget();
	ck_assert_int_eq(parsed("2026-01-31T13:34:56.123456789+01:00"), TIME_NS);
	ck_assert_int_eq(parsed("2026-01-31T07:04:56.123456789-05:30"), TIME_NS);
	ck_assert_int_eq(parsed("2026-02-01T12:33:56.123456789+23:59"), TIME_NS);
	ck_assert_int_eq(parsed("2026-01-31T12:34:56.123456789-00:00"), TIME_NS);
	ck_assert_int_eq(parsed("1970-01-01T01:00:00+01:00"), 0);
}
END_TEST

START_TEST(a_leap_second_is_the_end_of_its_minute)
{
	forget();
	ck_assert_int_eq(parsed("1970-01-01T00:00:60.5Z"), 59999999999);
	ck_assert_int_eq(parsed("1970-01-01T00:00:61Z"), -1);
}
END_TEST

START_TEST(what_no_calendar_knows_is_no_time)
{
	static const char *const texts[] = {"", "2026", "2026-01-31T12:34:56", "2026-01-31 12:34:56Z",
	    "2026-01-31t12:34:56Z", "2026-01-31T12:34:56z", "2026-02-29T12:34:56Z", "2100-02-29T12:34:56Z",
	    "2026-04-31T12:34:56Z", "2026-00-01T12:34:56Z", "2026-13-01T12:34:56Z", "2026-01-00T12:34:56Z",
	    "2026-01-32T12:34:56Z", "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:34:5aZ",
	    "2026-01-31T12:34:56Zx", "2026-01-31T12:34:56+1:00", "2026-01-31T12:34:56+01:00x",
	    "2026-01-31T12:34:56+0100", "2026-01-31T12:34:56+24:00", "2026-01-31T12:34:56+01:60",
	    "2026-01-31T12:34:56*01:00", "1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z",
	    "0000-01-01T00:00:00Z", "20260131T12:34:56.0Z", "2026-1-031T12:34:56Z", "+026-01-31T12:34:56Z",
	    "2026-01-31T12.34:56Z", "2026-01-31T12:34.56Z"};

	forget();
	ck_assert_int_eq(parsed(TIME), TIME_NS);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		ck_assert_msg(parsed(texts[i]) == -1, "'%s' was taken", texts[i]);
	ck_assert_int_eq(parsed(TIME), TIME_NS);
}
END_TEST

START_TEST(an_empty_cache_knows_no_time)
{
	char text[] = "0000-00-00T00:00:00Z";
	int64_t ns;

	forget();
	memset(text, 0, 16);
	ck_assert(!timestamp_parse(&cache, text, sizeof text - 1, &ns));
}
END_TEST

START_TEST(minutes_may_come_in_any_order)
{
	forget();
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(parsed("1970-01-01T00:01:00Z"), INT64_C(60000000000));
		ck_assert_int_eq(parsed("1970-01-01T00:02:00Z"), INT64_C(120000000000));
		ck_assert_int_eq(parsed("1970-01-02T00:01:00Z"), INT64_C(86460000000000));
	}
}
END_TEST

/* ---- lines ----------------------------------------------------------------------------------- */

START_TEST(a_line_has_time_stream_tags_and_text)
{
	struct piece piece;

	forget();
	ck_assert(parse(TIME " stderr F some text", &piece));
	ck_assert_uint_eq(piece.time_len, strlen(TIME));
	ck_assert_mem_eq(piece.time, TIME, piece.time_len);
	ck_assert_int_eq(piece.time_ns, TIME_NS);
	ck_assert_int_eq(piece.stream, RECORD_STDERR);
	ck_assert(piece.is_last);
	ck_assert(text_is(&piece, "some text"));

	ck_assert(parse(TIME " stdout P half", &piece));
	ck_assert_int_eq(piece.stream, RECORD_STDOUT);
	ck_assert(!piece.is_last);
	ck_assert(text_is(&piece, "half"));
}
END_TEST

START_TEST(further_tags_are_ignored)
{
	struct piece piece;

	forget();
	ck_assert(parse(TIME " stdout P:x:F:yy  text", &piece));
	ck_assert(!piece.is_last);
	ck_assert(text_is(&piece, " text"));
	ck_assert(parse(TIME " stdout F: text", &piece));
	ck_assert(piece.is_last);
	ck_assert(text_is(&piece, "text"));
	ck_assert(parse(TIME " stdout F:x", &piece));
	ck_assert(text_is(&piece, ""));
}
END_TEST

START_TEST(a_text_may_be_empty)
{
	struct piece piece;

	forget();
	ck_assert(parse(TIME " stdout F ", &piece));
	ck_assert(text_is(&piece, ""));
	ck_assert(parse(TIME " stdout F", &piece));
	ck_assert(text_is(&piece, ""));
	ck_assert(parse("2026-01-31T12:34:56Z stdout F", &piece)); /* the shortest line */
	ck_assert(text_is(&piece, ""));
}
END_TEST

START_TEST(a_text_is_taken_byte_for_byte)
{
	static const char line[] = TIME " stdout F \0 \xff\t\x01 stdout P \r";
	struct piece piece;

	forget();
	ck_assert(cri_parse(&cache, line, sizeof line - 1, &piece));
	ck_assert_ptr_eq(piece.text, line + sizeof TIME + 9);
	ck_assert_ptr_eq(piece.text + piece.len, line + sizeof line - 1);
}
END_TEST

START_TEST(a_long_text_is_a_view)
{
	static char line[1 << 20];
	struct piece piece;

	forget();
	memset(line, 'x', sizeof line);
	memcpy(line, TIME " stdout F ", strlen(TIME " stdout F "));
	ck_assert(cri_parse(&cache, line, sizeof line, &piece));
	ck_assert_uint_eq(piece.len, sizeof line - strlen(TIME " stdout F "));
}
END_TEST

START_TEST(other_lines_are_none)
{
	static const char *const lines[] = {"", " ", "garbage", TIME, TIME " ", TIME " stdout",
	    TIME " stdout ", TIME " stdin F text", TIME " Stdout F text", TIME " stdout X text",
	    TIME " stdout FF text", TIME " stdout F\ttext", TIME " stdout  F text", TIME "  stdout F text",
	    TIME "\tstdout F text", " " TIME " stdout F text", "2026-01-31 stdout F text",
	    "2026-02-30T12:34:56Z stdout F text",
	    "{\"log\":\"text\\n\",\"stream\":\"stdout\",\"time\":\"" TIME "\"}",
	    "2026-01-31T12:34:56.123456789123456789123456789Z stdout F text", TIME " stdoutt F text"};
	struct piece piece = {.len = 77};

	forget();
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		ck_assert_msg(!parse(lines[i], &piece), "'%s' was taken", lines[i]);
	ck_assert_uint_eq(piece.len, 77);
}
END_TEST

START_TEST(every_cut_of_a_line_is_safe)
{
	static const char line[] = "2026-01-31T12:34:56.123456789+01:00 stdout P:x text";
	struct piece piece;

	forget();
	for (size_t len = 0; len < sizeof line; len++) {
		char *exact = malloc(len + 1);

		memcpy(exact, line, len);
		ck_assert_int_eq(cri_parse(&cache, exact, len, &piece),
		    len >= strlen("2026-01-31T12:34:56.123456789+01:00 stdout P"));
		free(exact);
	}
}
END_TEST

UNIT_MAIN("cri", a_time_is_nanoseconds_since_1970, every_day_agrees_with_the_c_library,
    a_fraction_has_any_number_of_digits, an_offset_is_taken_off, a_leap_second_is_the_end_of_its_minute,
    what_no_calendar_knows_is_no_time, an_empty_cache_knows_no_time, minutes_may_come_in_any_order,
    a_line_has_time_stream_tags_and_text, further_tags_are_ignored, a_text_may_be_empty,
    a_text_is_taken_byte_for_byte, a_long_text_is_a_view, other_lines_are_none, every_cut_of_a_line_is_safe)

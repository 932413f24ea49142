#include "config.h"

#include "collector/docker_json.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/must.h"

#define TIME   "2026-01-31T12:34:56.123456789Z"
#define BEHIND "\"stream\":\"stdout\",\"time\":\"" TIME "\"}"

static struct timestamp_cache cache;
static struct buf scratch;
static struct piece piece;

/* Parses the line in a block of just its size. */
static bool parse_bytes(const char *line, size_t len)
{
	char *exact = malloc(len + 1);
	bool is_line;

	memcpy(exact, line, len);
	buf_release(&scratch);
	buf_init(&scratch, 1 << 20);
	is_line = docker_json_parse(&cache, exact, len, &scratch, &piece);
	free(exact);
	return is_line;
}

static bool parse(const char *line)
{
	return parse_bytes(line, strlen(line));
}

/* The text of a line whose log is written so. */
static bool log_is(const char *written, const char *expected, size_t expected_len)
{
	char *line = xasprintf("{\"log\":\"%s\"," BEHIND, written);
	bool is_line = parse(line);

	free(line);
	return is_line && piece.len == expected_len && memcmp(piece.text, expected, expected_len) == 0;
}
#define LOG_IS(written, expected) ck_assert(log_is((written), (expected), sizeof(expected) - 1))

static bool log_is_refused(const char *written)
{
	char *line = xasprintf("{\"log\":\"%s\"," BEHIND, written);
	bool is_line = parse(line);

	free(line);
	return !is_line;
}

START_TEST(a_line_has_log_stream_and_time)
{
	static const char line[] = "{\"log\":\"hello world\\n\",\"stream\":\"stderr\",\"time\":\"" TIME "\"}";

	buf_init(&scratch, 4096);
	ck_assert(docker_json_parse(&cache, line, sizeof line - 1, &scratch, &piece));
	ck_assert_uint_eq(piece.len, 11);
	ck_assert_mem_eq(piece.text, "hello world", 11);
	ck_assert(piece.is_last);
	ck_assert_int_eq(piece.stream, RECORD_STDERR);
	ck_assert_int_eq(piece.time_ns, INT64_C(1769862896123456789));
	ck_assert_ptr_eq(piece.time, strstr(line, TIME)); /* a view of the line */
	ck_assert_uint_eq(piece.time_len, strlen(TIME));
	buf_release(&scratch);
}
END_TEST

START_TEST(a_log_without_newline_is_a_piece)
{
	LOG_IS("half", "half");
	ck_assert(!piece.is_last);
	LOG_IS("", "");
	ck_assert(!piece.is_last);
	LOG_IS("\\n", "");
	ck_assert(piece.is_last);
	LOG_IS("two\\n\\n", "two\n");
	ck_assert(piece.is_last);
	LOG_IS("cr\\r\\n", "cr\r");
	buf_release(&scratch);
}
END_TEST

START_TEST(members_come_in_any_order_among_others)
{
	ck_assert(parse(" { \"time\" : \"" TIME "\" , \"stream\":\"stdout\",\t\"log\":\"a\\n\" } \r"));
	ck_assert_uint_eq(piece.len, 1);
	ck_assert(parse("{\"attrs\":{\"tag\":\"x\",\"n\":[1,-2.5e+3,0,true,false,null,{},[],\"\\u0041\"]},"
			"\"log\":\"a\\n\",\"x\":0," BEHIND));
	ck_assert(parse("{\"lo\\u0067\":\"escaped key\\n\"," BEHIND));
	ck_assert_mem_eq(piece.text, "escaped key", piece.len);
	ck_assert(parse("{\"log\":\"first\\n\",\"log\":[2],\"\":1," BEHIND)); /* twice: as it comes first */
	ck_assert_mem_eq(piece.text, "first", piece.len);
	buf_release(&scratch);
}
END_TEST

START_TEST(what_comes_behind_does_not_touch_the_text)
{
	ck_assert(parse("{\"log\":\"text\\n\",\"more\":\"other text that is longer\"," BEHIND));
	ck_assert_uint_eq(piece.len, 4);
	ck_assert_mem_eq(piece.text, "text", 4);
	buf_release(&scratch);
}
END_TEST

START_TEST(escapes_become_what_they_stand_for)
{
	LOG_IS("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t");
	LOG_IS("\\u0000\\u001f\\u007f", "\0\x1f\x7f");
	LOG_IS("\\u0080\\u07FF\\u0800\\uffff", "\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf");
	LOG_IS("\\ud83d\\ude00 \\uD800\\uDC00\\uDBFF\\uDFFF",
	    "\xf0\x9f\x98\x80 \xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
	LOG_IS("gr\xc3\xbc\xc3\x9f \xff", "gr\xc3\xbc\xc3\x9f \xff");
	LOG_IS("0123456\\t89012345\\t789", "0123456\t89012345\t789");
	buf_release(&scratch);
}
END_TEST

START_TEST(lone_surrogates_are_replaced)
{
	LOG_IS("\\ud800", "\xef\xbf\xbd");
	LOG_IS("\\udc00x", "\xef\xbf\xbdx");
	LOG_IS("\\ud800x", "\xef\xbf\xbdx");
	LOG_IS("\\ud800\\n", "\xef\xbf\xbd");
	LOG_IS("\\ud800\\u0041", "\xef\xbf\xbd\x41");
	LOG_IS("\\ud800\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80");
	LOG_IS("\\ud800\\udbffx", "\xef\xbf\xbd\xef\xbf\xbdx");
	LOG_IS("\\ud800\\ue000", "\xef\xbf\xbd\xee\x80\x80");
	LOG_IS("\\udc00\\ud800", "\xef\xbf\xbd\xef\xbf\xbd");
	buf_release(&scratch);
}
END_TEST

START_TEST(bad_strings_are_refused)
{
	static const char *const written[] = {"\\x", "\\", "\\u", "\\u12", "\\u12g4", "\\U0041",
	    "\\ud800\\u12", "tab\there", "\x01", "\"", "a\"b"};

	for (size_t i = 0; i < sizeof written / sizeof written[0]; i++)
		ck_assert_msg(log_is_refused(written[i]), "'%s' was taken", written[i]);
	ck_assert(!parse_bytes("{\"log\":\"\0\"," BEHIND, sizeof "{\"log\":\"\0\"," BEHIND - 1));
	buf_release(&scratch);
}
END_TEST

START_TEST(other_lines_are_none)
{
	static const char *const lines[] = {"", " ", "{", "{}", "[]", "null", "\"log\"", "{\"log\":\"a\\n\"}",
	    "{\"log\":\"a\\n\",\"stream\":\"stdout\"}", "{\"log\":\"a\\n\",\"time\":\"" TIME "\"}",
	    "{\"stream\":\"stdout\",\"time\":\"" TIME "\"}", "{\"log\":1," BEHIND, "{\"log\":null," BEHIND,
	    "{\"log\":\"a\\n\",\"stream\":\"stdin\",\"time\":\"" TIME "\"}",
	    "{\"log\":\"a\\n\",\"stream\":1,\"time\":\"" TIME "\"}",
	    "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"yesterday\"}",
	    "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"\"}",
	    "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":1}",
	    "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-31T12:34:56.\\u0031Z\"}",
	    "{\"log\":\"a\\n\"," BEHIND "x", "{\"log\":\"a\\n\"," BEHIND "}", "x{\"log\":\"a\\n\"," BEHIND,
	    "{,\"log\":\"a\\n\"," BEHIND, "{\"log\":\"a\\n\",," BEHIND, "{\"log\" \"a\\n\"," BEHIND,
	    "{log:\"a\\n\"," BEHIND, "{\"log\":\"a\\n\",\"x\":," BEHIND,
	    "{\"log\":\"a\\n\",\"x\":tru," BEHIND, "{\"log\":\"a\\n\",\"x\":01," BEHIND,
	    "{\"log\":\"a\\n\",\"x\":+1," BEHIND, "{\"log\":\"a\\n\",\"x\":1.," BEHIND,
	    "{\"log\":\"a\\n\",\"x\":.5," BEHIND, "{\"log\":\"a\\n\",\"x\":1e," BEHIND,
	    "{\"log\":\"a\\n\",\"x\":-," BEHIND, "{\"log\":\"a\\n\",\"x\":[1,]," BEHIND,
	    "{\"log\":\"a\\n\",\"x\":[1}," BEHIND, "{\"log\":\"a\\n\",\"x\":{1:2}," BEHIND,
	    "{\"log\":\"a\\n\",\"x\":{\"a\":1,}," BEHIND, "{\"log\":\"a\\n\",\"x\":NaN," BEHIND,
	    "2026-01-31T12:34:56Z stdout F text"};

	memset(&piece, 7, sizeof piece);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		ck_assert_msg(!parse(lines[i]), "'%s' was taken", lines[i]);
	ck_assert_int_eq(((const char *)&piece)[0], 7); /* untouched */
	buf_release(&scratch);
}
END_TEST

START_TEST(nesting_has_a_limit)
{
	char brackets[200];

	for (int depth = 60; depth < 70; depth++) {
		char *line;

		memset(brackets, '[', (size_t)depth);
		memset(brackets + depth, ']', (size_t)depth);
		line = xasprintf("{\"log\":\"a\\n\",\"x\":%.*s," BEHIND, 2 * depth, brackets);
		ck_assert_int_eq(parse(line), depth <= 64);
		free(line);
	}
	buf_release(&scratch);
}
END_TEST

START_TEST(every_cut_of_a_line_is_refused)
{
	static const char line[] =
	    "{\"log\":\"a\\u00e9\\ud83d\\ude00\\n\",\"x\":[{\"y\":-1.5e3},true,null]," BEHIND;

	for (size_t len = 0; len < sizeof line - 1; len++)
		ck_assert(!parse_bytes(line, len));
	ck_assert(parse_bytes(line, sizeof line - 1));
	buf_release(&scratch);
}
END_TEST

START_TEST(scratch_as_long_as_the_line_is_enough)
{
	static const char line[] = "{\"log\":\"\\ud800\\udbff\\u0001text\\n\"," BEHIND;

	buf_init(&scratch, sizeof line - 1);
	ck_assert(docker_json_parse(&cache, line, sizeof line - 1, &scratch, &piece));
	buf_release(&scratch);
	buf_init(&scratch, sizeof line - 2);
	ck_assert(!docker_json_parse(&cache, line, sizeof line - 1, &scratch, &piece));
	buf_release(&scratch);
}
END_TEST

UNIT_MAIN("docker_json", a_line_has_log_stream_and_time, a_log_without_newline_is_a_piece,
    members_come_in_any_order_among_others, what_comes_behind_does_not_touch_the_text,
    escapes_become_what_they_stand_for, lone_surrogates_are_replaced, bad_strings_are_refused,
    other_lines_are_none, nesting_has_a_limit, every_cut_of_a_line_is_refused,
    scratch_as_long_as_the_line_is_enough)

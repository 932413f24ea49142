#include "config.h"

#include "common/escape.h"
#include "tests/unit/unit.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#define ROOM 4096

static const char *escaped(const char *text, size_t len)
{
	static char out[ROOM];
	size_t written = escape_json(out, text, len);

	out[written] = '\0';
	return out;
}

START_TEST(plain_text_stays_as_it_is)
{
	char text[200];

	for (size_t len = 0; len < sizeof text; len++) {
		memset(text, 'x', len);
		ck_assert_uint_eq(strlen(escaped(text, len)), len);
	}
	ck_assert_str_eq(escaped("\x7f~ /", 4), "\x7f~ /");
}
END_TEST

START_TEST(quotes_backslashes_and_controls_are_escaped)
{
	ck_assert_str_eq(escaped("a\"b\\c", 5), "a\\\"b\\\\c");
	ck_assert_str_eq(escaped("\b\t\n\f\r", 5), "\\b\\t\\n\\f\\r");
	ck_assert_str_eq(escaped("\0\x1f", 2), "\\u0000\\u001f");
}
END_TEST

START_TEST(a_special_byte_at_any_place_is_found)
{
	char text[64], expected[80];

	for (size_t at = 0; at < sizeof text; at++) {
		memset(text, 'x', sizeof text);
		text[at] = '"';
		memset(expected, 'x', sizeof expected);
		expected[at] = '\\';
		expected[at + 1] = '"';
		expected[sizeof text + 1] = '\0';
		ck_assert_str_eq(escaped(text, sizeof text), expected);
	}
}
END_TEST

START_TEST(valid_utf8_passes)
{
	static const char *const texts[] = {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "gr\xc3\xbc\xc3\x9f dich"};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		ck_assert_str_eq(escaped(texts[i], strlen(texts[i])), texts[i]);
}
END_TEST

/* Unicode 15, table 3-8 and its neighbours. */
START_TEST(each_maximal_invalid_part_becomes_one_replacement)
{
	static const struct {
		const char *text;
		const char *expected;
	} rows[] = {
		{"\x80", "\xef\xbf\xbd"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                                     /* overlong */
		{"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                     /* overlong */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                     /* surrogate */
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},     /* beyond U+10FFFF */
		{"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41"},
		{"a\xf0\x9f\x98", "a\xef\xbf\xbd"},                                           /* cut at the end */
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_str_eq(escaped(rows[i].text, strlen(rows[i].text)), rows[i].expected);
}
END_TEST

/* Random bytes with many special ones: what comes out is a JSON string, and the same with and without a limit of room. */
START_TEST(anything_becomes_a_json_string)
{
	static const char alphabet[] = "abcdefgh\"\\\n\x01\xc3\xa9\xf0\x9f\x98\x80\xed\xa0\xff";
	unsigned seed = 7;

	for (int round = 0; round < 3000; round++) {
		char text[200], quoted[ROOM], within[ROOM];
		size_t len = (size_t)rand_r(&seed) % sizeof text, written, taken, room;
		cJSON *parsed;

		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
		quoted[0] = '"';
		written = escape_json(quoted + 1, text, len);
		ck_assert_uint_le(written, ESCAPE_WORST * len);
		memcpy(quoted + 1 + written, "\"", 2);
		parsed = cJSON_Parse(quoted);
		ck_assert_ptr_nonnull(parsed);
		cJSON_Delete(parsed);

		ck_assert_uint_eq(escape_json_within(within, ROOM, text, len, &taken), written);
		ck_assert_uint_eq(taken, len);
		ck_assert_mem_eq(within, quoted + 1, written);

		room = ESCAPE_SLACK + (size_t)rand_r(&seed) % 100;
		memset(within, '#', sizeof within);
		written = escape_json_within(within, room, text, len, &taken);
		ck_assert_uint_le(written, room);
		ck_assert_mem_eq(within, quoted + 1, written);
		ck_assert_int_eq(within[room], '#'); /* not one byte beyond the room */
		ck_assert(taken == len || written + ESCAPE_WORST > room);
	}
}
END_TEST

UNIT_MAIN("escape", plain_text_stays_as_it_is, quotes_backslashes_and_controls_are_escaped, a_special_byte_at_any_place_is_found,
	valid_utf8_passes, each_maximal_invalid_part_becomes_one_replacement, anything_becomes_a_json_string)

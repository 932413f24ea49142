#include "config.h"

#include "common/escape.h"
#include "tests/unit/reference.h"
#include "tests/unit/unit.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
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
	static const char *const texts[] = {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
	    "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
	    "gr\xc3\xbc\xc3\x9f dich"};

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
	    {"\x80", "\xef\xbf\xbd"}, {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},       /* overlong */
	    {"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
	    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* surrogate */
	    {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* beyond U+10FFFF */
	    {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41"},
	    {"a\xf0\x9f\x98", "a\xef\xbf\xbd"}, /* cut at the end */
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_str_eq(escaped(rows[i].text, strlen(rows[i].text)), rows[i].expected);
}
END_TEST

/* ---- against a plain reference --------------------------------------------------------------- */

#define TEXT_MAX 200

/* Each way gives what the reference gives; and with any room what fits of it, cut between characters. */
static void compare(const char *text, size_t len)
{
	char *exact = calloc(1, len + 1), expected[ROOM], out[ROOM], *bounded;
	size_t expected_len = reference_escape(expected, text, len), taken, written, room;

	memcpy(exact, text, len); /* a read past the end is seen */
	bounded = malloc(ESCAPE_WORST * len + ESCAPE_SLACK);
	ck_assert_uint_eq(escape_json(bounded, exact, len), expected_len);
	ck_assert_mem_eq(bounded, expected, expected_len);
	ck_assert_uint_eq(escape_json_portable(bounded, exact, len), expected_len);
	ck_assert_mem_eq(bounded, expected, expected_len);
	free(bounded);
	for (room = 0; room <= expected_len + 20; room += 1 + room / 16) {
		bounded = malloc(room + 1);
		written = escape_json_within(bounded, room, exact, len, &taken);
		ck_assert_uint_le(written, room);
		ck_assert_uint_eq(reference_escape(out, text, taken), written);
		ck_assert_mem_eq(bounded, expected, written);
		ck_assert_mem_eq(out, expected, written);
		ck_assert(taken == len || written + ESCAPE_WORST > room);
		free(bounded);
	}
	ck_assert_uint_eq(escape_json_within(out, sizeof out, exact, len, &taken), expected_len);
	ck_assert_uint_eq(taken, len);
	free(exact);
}

static void same_as_reference(const char *text, size_t len)
{
	char expected[160], out[160 + ESCAPE_SLACK];
	size_t expected_len = reference_escape(expected, text, len);

	if (escape_json(out, text, len) != expected_len || memcmp(out, expected, expected_len) != 0)
		ck_abort_msg("%02x %02x %02x %02x in %zu bytes", (unsigned char)text[0],
		    (unsigned char)text[1], (unsigned char)text[2], (unsigned char)text[3], len);
}

START_TEST(every_text_of_two_bytes_is_as_the_reference_says)
{
	for (unsigned pair = 0; pair < 0x10000; pair++) {
		char text[4] = {(char)(pair >> 8), (char)pair};

		same_as_reference(text, 2);
	}
}
END_TEST

/* All four bytes at the borders of the grammar, with others behind them, so that the fast way sees them. */
START_TEST(every_border_of_utf8_is_as_the_reference_says)
{
	static const unsigned char borders[] = {0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
	    0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8,
	    0xff};
	static const unsigned char last[] = {0x22, 0x7f, 0x80, 0xbf, 0xc0};
	const size_t count = sizeof borders;

	for (size_t i = 0; i < count * count * count * sizeof last; i++) {
		char text[20];

		memset(text, 'x', sizeof text);
		text[0] = (char)borders[i % count];
		text[1] = (char)borders[i / count % count];
		text[2] = (char)borders[i / count / count % count];
		text[3] = (char)last[i / count / count / count];
		same_as_reference(text, sizeof text);
	}
}
END_TEST

START_TEST(random_texts_are_as_the_reference_says)
{
	static const char alphabet[] = "abcdefgh\"\\\n\x01\xc3\xa9\xf0\x9f\x98\x80\xed\xa0\xff";
	unsigned seed = 7;

	for (int round = 0; round < 500; round++) {
		char text[TEXT_MAX];
		size_t len = (size_t)rand_r(&seed) % sizeof text, plain = 1 + (size_t)rand_r(&seed) % 40;

		for (size_t i = 0; i < len; i++)
			text[i] = (size_t)rand_r(&seed) % plain != 0
				      ? 'x'
				      : alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
		compare(text, len);
	}
}
END_TEST

START_TEST(a_reader_of_json_gets_the_text_back)
{
	static const char text[] = "plain \"quoted\" \\back/slash\\ \b\f\n\r\t \x01\x1f\x7f "
				   "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80";
	char quoted[ROOM];
	cJSON *parsed;
	size_t len;

	quoted[0] = '"';
	len = 1 + escape_json(quoted + 1, text, sizeof text - 1);
	quoted[len++] = '"';
	parsed = cJSON_ParseWithLength(quoted, len);
	ck_assert_ptr_nonnull(parsed);
	ck_assert_str_eq(parsed->valuestring, text);
	cJSON_Delete(parsed);
}
END_TEST

START_TEST(no_room_takes_nothing)
{
	size_t taken = 7;

	ck_assert_uint_eq(escape_json_within(NULL, 0, "text", 4, &taken), 0);
	ck_assert_uint_eq(taken, 0);
	ck_assert_uint_eq(escape_json_within(NULL, 0, NULL, 0, &taken), 0);
	ck_assert_uint_eq(taken, 0);
}
END_TEST

UNIT_MAIN("escape", plain_text_stays_as_it_is, quotes_backslashes_and_controls_are_escaped,
    a_special_byte_at_any_place_is_found, valid_utf8_passes,
    each_maximal_invalid_part_becomes_one_replacement, every_text_of_two_bytes_is_as_the_reference_says,
    every_border_of_utf8_is_as_the_reference_says, random_texts_are_as_the_reference_says,
    a_reader_of_json_gets_the_text_back, no_room_takes_nothing)

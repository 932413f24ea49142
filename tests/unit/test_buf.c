#include "config.h"

#include <string.h>

#include "common/buf.h"
#include "tests/unit/unit.h"

START_TEST(an_empty_buf_is_an_empty_text)
{
	struct buf buf;

	buf_init(&buf, 10);
	ck_assert_str_eq(buf_text(&buf), "");
	ck_assert(buf_add(&buf, NULL, 0));
	ck_assert_str_eq(buf_text(&buf), "");
	buf_release(&buf);
}
END_TEST

START_TEST(appended_bytes_stand_in_order)
{
	struct buf buf;

	buf_init(&buf, 1000);
	ck_assert(buf_add(&buf, "ab\0c", 4));
	ck_assert(buf_add_text(&buf, "def"));
	ck_assert(buf_printf(&buf, "-%d-", 7));
	ck_assert_uint_eq(buf.len, 10);
	ck_assert_mem_eq(buf.data, "ab\0cdef-7-", 10);
	buf_release(&buf);
}
END_TEST

START_TEST(the_limit_can_be_filled_to_the_last_byte)
{
	struct buf buf;

	buf_init(&buf, 5);
	ck_assert(buf_add_text(&buf, "abc"));
	ck_assert(buf_printf(&buf, "%s", "de"));
	ck_assert(!buf.overflowed);
	ck_assert_str_eq(buf_text(&buf), "abcde");
	buf_release(&buf);
}
END_TEST

START_TEST(what_exceeds_the_limit_is_refused_whole)
{
	struct buf buf;

	buf_init(&buf, 5);
	ck_assert(buf_add_text(&buf, "abc"));
	ck_assert(!buf_add_text(&buf, "def"));
	ck_assert(buf.overflowed);
	ck_assert(!buf_printf(&buf, "%d", 123));
	ck_assert(!buf_add_json(&buf, "d", 1));
	ck_assert(!buf_reserve(&buf, SIZE_MAX));
	ck_assert_str_eq(buf_text(&buf), "abc");
	buf_clear(&buf);
	ck_assert(!buf.overflowed);
	ck_assert(buf_add_json(&buf, "d", 1));
	ck_assert_str_eq(buf_text(&buf), "\"d\"");
	buf_release(&buf);
}
END_TEST

START_TEST(growth_never_passes_the_limit)
{
	struct buf buf;

	buf_init(&buf, 1001);
	while (buf_add(&buf, "0123456789", 10))
		ck_assert_uint_le(buf.capacity, 1001);
	ck_assert_uint_eq(buf.len, 1000);
	buf_release(&buf);
	ck_assert_uint_eq(buf.limit, 1001);
	ck_assert_uint_eq(buf.capacity, 0);
	ck_assert_ptr_null(buf.data);
}
END_TEST

START_TEST(clearing_keeps_the_memory)
{
	struct buf buf;
	const char *before;

	buf_init(&buf, 1000);
	buf_add_text(&buf, "some text");
	before = buf.data;
	buf_clear(&buf);
	ck_assert_uint_eq(buf.len, 0);
	buf_add_text(&buf, "other");
	ck_assert_ptr_eq(buf.data, before);
	buf_release(&buf);
}
END_TEST

START_TEST(json_strings_are_quoted_and_escaped)
{
	struct buf buf;

	buf_init(&buf, 1000);
	ck_assert(buf_add_json(&buf, "a\"b\\c\n\x01\xff", 8));
	ck_assert_str_eq(buf_text(&buf), "\"a\\\"b\\\\c\\n\\u0001\xef\xbf\xbd\"");
	buf_clear(&buf);
	ck_assert(buf_add_json(&buf, "", 0));
	ck_assert_str_eq(buf_text(&buf), "\"\"");
	buf_release(&buf);
}
END_TEST

/* Longer than one step of the escaper, with a character of four bytes over every possible seam. */
START_TEST(long_json_strings_come_through_whole)
{
	struct buf buf;

	buf_init(&buf, 100000);
	for (size_t shift = 0; shift < 8; shift++) {
		char text[8 + 4 * 1000];
		size_t len = shift;

		memset(text, 'x', shift);
		for (; len + 4 <= sizeof text; len += 4)
			memcpy(text + len, "\xf0\x9f\xaa\xb5", 4);
		buf_clear(&buf);
		ck_assert(buf_add_json(&buf, text, len));
		ck_assert_uint_eq(buf.len, len + 2);
		ck_assert_mem_eq(buf.data + 1, text, len);
	}
	buf_release(&buf);
}
END_TEST

UNIT_MAIN("buf", an_empty_buf_is_an_empty_text, appended_bytes_stand_in_order,
    the_limit_can_be_filled_to_the_last_byte, what_exceeds_the_limit_is_refused_whole,
    growth_never_passes_the_limit, clearing_keeps_the_memory, json_strings_are_quoted_and_escaped,
    long_json_strings_come_through_whole)

#include "config.h"

#include "collector/dead_letter.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/buf.h"
#include "common/file.h"

static const char *const destination[] = {"logs.web"};

static int write_one(struct dead_letter *dead_letter, const char *record, struct err *err)
{
	return dead_letter_write(dead_letter, "too_large", "message size too large", destination, 1, record, strlen(record), err);
}

static void read_letters(const struct dead_letter *dead_letter, struct buf *text)
{
	struct err err;

	buf_init(text, 1 << 20);
	ck_assert_int_eq(file_read(dead_letter_path(dead_letter), text, &err), 0);
}

START_TEST(a_letter_is_one_json_line_with_reason_and_record)
{
	struct scratch scratch;
	struct dead_letter *dead_letter;
	struct err err;
	struct buf text;

	scratch_init(&scratch);
	dead_letter = dead_letter_new(scratch.path, "main", 1 << 20);
	ck_assert_int_eq(access(dead_letter_path(dead_letter), F_OK), -1);
	ck_assert_int_eq(write_one(dead_letter, "{\"log\":\"a\"}", &err), 0);
	ck_assert_int_eq(write_one(dead_letter, "{\"log\":\"b\"}", &err), 0);
	read_letters(dead_letter, &text);
	ck_assert_ptr_nonnull(strstr(buf_text(&text), "\"output\":\"main\",\"reason\":\"too_large\",\"answer\":\"message size too large\","
						      "\"destination\":[\"logs.web\"],\"record\":\"{\\\"log\\\":\\\"a\\\"}\"}\n"));
	ck_assert_ptr_nonnull(strstr(buf_text(&text), "{\\\"log\\\":\\\"b\\\"}\"}\n"));
	buf_release(&text);
	dead_letter_free(dead_letter);
	scratch_release(&scratch);
}
END_TEST

START_TEST(the_limit_holds_and_no_half_letter_is_left)
{
	struct scratch scratch;
	struct dead_letter *dead_letter;
	struct err err;
	struct buf text;
	int written = 0;

	scratch_init(&scratch);
	dead_letter = dead_letter_new(scratch.path, "main", 600);
	while (write_one(dead_letter, "{\"log\":\"a\"}", &err) == 0)
		written++;
	ck_assert_int_eq(err.code, -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "dead_letter_limit"));
	read_letters(dead_letter, &text);
	ck_assert_uint_le(text.len, 600);
	ck_assert_int_gt(written, 1);
	ck_assert_int_eq(text.data[text.len - 1], '\n');
	buf_release(&text);
	dead_letter_free(dead_letter);
	scratch_release(&scratch);
}
END_TEST

START_TEST(a_directory_that_cannot_be_made_is_an_error)
{
	struct scratch scratch;
	struct dead_letter *dead_letter;
	struct err err;

	scratch_init(&scratch);
	scratch_append(&scratch, "dead_letter", "a file is in the way");
	dead_letter = dead_letter_new(scratch.path, "main", 1 << 20);
	ck_assert_int_lt(write_one(dead_letter, "x", &err), 0);
	dead_letter_free(dead_letter);
	scratch_release(&scratch);
}
END_TEST

START_TEST(a_link_in_the_place_of_the_file_is_not_followed)
{
	struct scratch scratch;
	struct dead_letter *dead_letter;
	struct err err;

	scratch_init(&scratch);
	scratch_dir(&scratch, "dead_letter");
	scratch_append(&scratch, "elsewhere", "");
	ck_assert_int_eq(symlink(scratch_path(&scratch, "elsewhere"), scratch_path(&scratch, "dead_letter/main.ndjson")), 0);
	dead_letter = dead_letter_new(scratch.path, "main", 1 << 20);
	ck_assert_int_eq(write_one(dead_letter, "x", &err), -ELOOP);
	dead_letter_free(dead_letter);
	scratch_release(&scratch);
}
END_TEST

UNIT_MAIN("dead_letter", a_letter_is_one_json_line_with_reason_and_record, the_limit_holds_and_no_half_letter_is_left,
	a_directory_that_cannot_be_made_is_an_error, a_link_in_the_place_of_the_file_is_not_followed)

#include "config.h"

#include <errno.h>
#include <string.h>

#include "common/err.h"
#include "tests/unit/unit.h"

START_TEST(the_code_comes_back_and_the_sentence_is_kept)
{
	struct err err = {0};

	ck_assert_int_eq(err_set(&err, -ENOENT, "cannot open '%s': %s", "/x", "no such file"), -ENOENT);
	ck_assert_int_eq(err.code, -ENOENT);
	ck_assert_str_eq(err.text, "cannot open '/x': no such file");
}
END_TEST

START_TEST(nobody_needs_to_want_the_sentence)
{
	ck_assert_int_eq(err_set(NULL, -EIO, "nobody reads this"), -EIO);
}
END_TEST

START_TEST(a_sentence_may_wrap_the_one_before)
{
	struct err err = {0};

	err_set(&err, -EIO, "disk is tired");
	err_set(&err, -EIO, "cannot save: %s", err.text);
	ck_assert_str_eq(err.text, "cannot save: disk is tired");
}
END_TEST

START_TEST(long_sentences_are_cut)
{
	struct err err = {0};
	char text[ERR_TEXT_BYTES * 2];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	err_set(&err, -EIO, "%s", text);
	ck_assert_uint_eq(strlen(err.text), ERR_TEXT_BYTES - 1);
}
END_TEST

UNIT_MAIN("err", the_code_comes_back_and_the_sentence_is_kept, nobody_needs_to_want_the_sentence,
    a_sentence_may_wrap_the_one_before, long_sentences_are_cut)

#include "config.h"

#include "common/shared_texts.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

#define MANY 5000

START_TEST(the_same_text_is_the_same_pointer)
{
	struct shared_texts *texts = shared_texts_new();
	char mine[] = "linux";
	const char *first = shared_texts_take(texts, mine), *second = shared_texts_take(texts, "linux");
	const char *other = shared_texts_take(texts, "linu"), *empty = shared_texts_take(texts, "");

	ck_assert_ptr_eq(first, second);
	ck_assert_ptr_ne(first, mine);
	ck_assert_ptr_ne(first, other);
	ck_assert_str_eq(other, "linu");
	ck_assert_str_eq(empty, "");
	ck_assert_uint_eq(shared_texts_count(texts), 3);
	ck_assert_ptr_null(shared_texts_take(texts, NULL));
	shared_text_give_back(first);
	mine[0] = 'L';
	ck_assert_str_eq(second, "linux"); /* somebody still has it */
	shared_text_give_back(second);
	shared_text_give_back(other);
	shared_text_give_back(empty);
	shared_text_give_back(NULL);
	shared_texts_free(texts);
}
END_TEST

START_TEST(thousands_are_found_again)
{
	static const char *taken[MANY];
	struct shared_texts *texts = shared_texts_new();
	char text[32];

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof text, "node-%d", i);
		taken[i] = shared_texts_take(texts, text);
	}
	ck_assert_uint_eq(shared_texts_count(texts), MANY);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof text, "node-%d", i);
		ck_assert_str_eq(taken[i], text);
		ck_assert_ptr_eq(shared_texts_take(texts, text), taken[i]);
		shared_text_give_back(taken[i]);
		shared_text_give_back(taken[i]);
	}
	shared_texts_free(texts);
}
END_TEST

/* Nodes come and go for ever. */
START_TEST(what_nobody_has_any_more_makes_room)
{
	struct shared_texts *texts = shared_texts_new();
	const char *kept = shared_texts_take(texts, "kept");
	size_t most = 0;
	char text[32];

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof text, "node-%d", i);
		shared_text_give_back(shared_texts_take(texts, text));
		most = shared_texts_count(texts) > most ? shared_texts_count(texts) : most;
	}
	ck_assert_uint_lt(most, 100);
	ck_assert_ptr_eq(shared_texts_take(texts, "kept"), kept);
	shared_text_give_back(kept);
	shared_text_give_back(kept);
	shared_texts_free(texts);
}
END_TEST

UNIT_MAIN("shared_texts", the_same_text_is_the_same_pointer, thousands_are_found_again,
    what_nobody_has_any_more_makes_room)

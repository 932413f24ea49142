#include "config.h"

#include "common/must.h"
#include "tests/unit/unit.h"

struct outer {
	int before;
	int member;
};

START_TEST(container_of_finds_the_embedding_struct)
{
	struct outer outer = {0};

	ck_assert_ptr_eq(container_of(&outer.member, struct outer, member), &outer);
}
END_TEST

START_TEST(copies_are_terminated)
{
	char *copy = xstrndup("abcdef", 3);
	char *text = xasprintf("%d-%s", 7, copy);

	ck_assert_str_eq(copy, "abc");
	ck_assert_str_eq(text, "7-abc");
	free(copy);
	free(text);
}
END_TEST

START_TEST(zero_sizes_are_memory_too)
{
	void *memory = xmalloc(0);

	memory = xrealloc(memory, 0);
	ck_assert_ptr_nonnull(memory);
	free(memory);
}
END_TEST

START_TEST(a_copy_ends_where_its_text_does)
{
	char *whole = xstrndup("text", 128), *cut = xstrndup("text", 2);

	ck_assert_str_eq(whole, "text");
	ck_assert_str_eq(cut, "te");
	free(whole);
	free(cut);
}
END_TEST

UNIT_MAIN("must", container_of_finds_the_embedding_struct, copies_are_terminated, zero_sizes_are_memory_too, a_copy_ends_where_its_text_does)

/* Sets of namespaces that are not served: what passes to the store, and what is kept by name. */
#include "config.h"

#include "controller/strangers.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

/* What came through, one letter a call. */
static char passed[64];
static bool believes;

static void pass(char letter)
{
	size_t len = strlen(passed);

	ck_assert_uint_lt(len + 1, sizeof passed);
	passed[len] = letter;
	passed[len + 1] = '\0';
}

static void store_begin(void *arg)
{
	(void)arg;
	pass('b');
}

static bool store_object(void *arg, const struct cJSON *object)
{
	(void)arg, (void)object;
	pass('o');
	return true;
}

static void store_deleted(void *arg, const struct cJSON *object)
{
	(void)arg, (void)object;
	pass('d');
}

static bool store_end(void *arg, bool is_consistent)
{
	(void)arg, (void)is_consistent;
	pass('e');
	return believes;
}

static void store_version(void *arg, const char *version)
{
	(void)arg;
	ck_assert_str_eq(version, "7");
	pass('v');
}

static const struct reflector_ops store_ops = {
    store_begin, store_object, store_deleted, store_end, store_version};

static struct strangers *make(const char *served)
{
	passed[0] = '\0';
	believes = true;
	return strangers_new(served, &store_ops, NULL);
}

static void tell(struct strangers *strangers, bool is_there, const char *namespace_name, const char *name)
{
	char text[256];
	cJSON *object;

	(void)snprintf(
	    text, sizeof text, "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\"}}", namespace_name, name);
	object = cJSON_Parse(text);
	if (is_there)
		ck_assert(strangers_ops.on_object(strangers, object));
	else
		strangers_ops.on_deleted(strangers, object);
	cJSON_Delete(object);
}

static void shows(struct strangers *strangers, const char *wanted)
{
	struct buf out;

	buf_init(&out, 1 << 16);
	strangers_write(strangers, &out);
	ck_assert_str_eq(buf_text(&out), wanted);
	buf_release(&out);
}

START_TEST(what_is_served_passes_and_the_rest_is_kept_by_name)
{
	struct strangers *strangers = make("mine");

	strangers_ops.on_list_begin(strangers);
	tell(strangers, true, "mine", "a");
	tell(strangers, true, "theirs", "b");
	tell(strangers, true, "theirs", "a");
	tell(strangers, true, "theirs", "a");
	ck_assert(strangers_ops.on_list_end(strangers, true));
	strangers_ops.on_version(strangers, "7");
	tell(strangers, false, "mine", "a");
	ck_assert_str_eq(passed, "boevd");
	ck_assert_uint_eq(strangers_count(strangers), 2);
	shows(strangers, "[\"theirs/a\",\"theirs/b\"]");
	tell(strangers, false, "theirs", "a");
	tell(strangers, false, "theirs", "never seen");
	shows(strangers, "[\"theirs/b\"]");
	ck_assert_str_eq(passed, "boevd");
	strangers_free(strangers);
}
END_TEST

START_TEST(what_a_whole_list_does_not_name_is_gone)
{
	struct strangers *strangers = make("mine");

	tell(strangers, true, "theirs", "a");
	tell(strangers, true, "theirs", "b");
	strangers_ops.on_list_begin(strangers);
	tell(strangers, true, "theirs", "b");
	ck_assert_uint_eq(strangers_count(strangers), 2); /* not before its end */
	strangers_ops.on_list_begin(strangers);           /* the list broke, and begins again */
	tell(strangers, true, "theirs", "b");
	believes = false;
	ck_assert(!strangers_ops.on_list_end(strangers, false));
	ck_assert_uint_eq(strangers_count(strangers), 2); /* nor by a list that the store doubts */
	believes = true;
	ck_assert(strangers_ops.on_list_end(strangers, true));
	shows(strangers, "[\"theirs/b\"]");
	strangers_free(strangers);
}
END_TEST

START_TEST(with_all_namespaces_served_nobody_is_a_stranger)
{
	struct strangers *strangers = make("*");

	tell(strangers, true, "mine", "a");
	tell(strangers, true, "theirs", "a");
	tell(strangers, false, "theirs", "a");
	ck_assert_str_eq(passed, "ood");
	shows(strangers, "[]");
	strangers_free(strangers);
}
END_TEST

START_TEST(what_cannot_be_read_is_left_to_the_store)
{
	struct strangers *strangers = make("mine");
	cJSON *object = cJSON_Parse("{\"metadata\":7}");

	ck_assert(strangers_ops.on_object(strangers, object));
	ck_assert_str_eq(passed, "o");
	cJSON_Delete(object);
	strangers_free(strangers);
}
END_TEST

START_TEST(of_very_many_the_first_are_shown)
{
	struct strangers *strangers = make("mine");
	struct buf out;

	for (int i = 0; i < 2 * STRANGERS_SHOWN; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "s%03d", i);
		tell(strangers, true, "theirs", name);
	}
	ck_assert_uint_eq(strangers_count(strangers), 2 * STRANGERS_SHOWN);
	buf_init(&out, 1 << 16);
	strangers_write(strangers, &out);
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "theirs/s099"));
	ck_assert_ptr_null(strstr(buf_text(&out), "theirs/s100"));
	buf_release(&out);
	strangers_free(strangers);
}
END_TEST

UNIT_MAIN("strangers", what_is_served_passes_and_the_rest_is_kept_by_name,
    what_a_whole_list_does_not_name_is_gone, with_all_namespaces_served_nobody_is_a_stranger,
    what_cannot_be_read_is_left_to_the_store, of_very_many_the_first_are_shown)

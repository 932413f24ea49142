/* What placement knows of a node, and which changes matter to it. */
#include "config.h"

#include "controller/node.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

START_TEST(taints_are_read)
{
	struct node *node = objects_node("n", 1, "{\"zone\":\"a\"}",
	    "[{\"key\":\"a\",\"value\":\"1\",\"effect\":\"NoSchedule\"},{\"key\":\"b\",\"effect\":"
	    "\"NoExecute\"},{"
	    "\"key\":\"c\",\"value\":null,\"effect\":\"PreferNoSchedule\"},{\"key\":\"d\",\"effect\":"
	    "\"Other\"}]");
	static const struct taint expected[] = {{"a", "1", TAINT_NO_SCHEDULE}, {"b", "", TAINT_NO_EXECUTE},
	    {"c", "", TAINT_PREFER_NO_SCHEDULE}, {"d", "", TAINT_OTHER}};

	ck_assert_uint_eq(node->taint_count, 4);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_str_eq(node->taints[i].key, expected[i].key);
		ck_assert_str_eq(node->taints[i].value, expected[i].value);
		ck_assert_int_eq(node->taints[i].effect, expected[i].effect);
	}
	node_free(node);
}
END_TEST

/* Upstream's TestShouldIgnoreNodeUpdate, and what ours does not ignore beside it. */
START_TEST(TestShouldIgnoreNodeUpdate)
{
#define TAINTS(key, value, effect) "[{\"key\":\"" key "\",\"value\":\"" value "\",\"effect\":\"" effect "\"}]"
	static const struct {
		const char *what, *labels, *taints;
		bool differs;
	} rows[] = {
	    {"resourceVersion only", "{\"a\":\"1\"}", TAINTS("k", "v", "NoSchedule"), false},
	    {"label's value", "{\"a\":\"2\"}", TAINTS("k", "v", "NoSchedule"), true},
	    {"label more", "{\"a\":\"1\",\"b\":\"\"}", TAINTS("k", "v", "NoSchedule"), true},
	    {"label less", "{}", TAINTS("k", "v", "NoSchedule"), true},
	    {"taint's value", "{\"a\":\"1\"}", TAINTS("k", "w", "NoSchedule"), true},
	    {"taint's key", "{\"a\":\"1\"}", TAINTS("l", "v", "NoSchedule"), true},
	    {"taint's effect", "{\"a\":\"1\"}", TAINTS("k", "v", "NoExecute"), true},
	    {"taint gone", "{\"a\":\"1\"}", "null", true},
	};
	struct node *before = objects_node("n", 1, "{\"a\":\"1\"}", TAINTS("k", "v", "NoSchedule"));

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct node *after = objects_node("n", 2, rows[i].labels, rows[i].taints);

		ck_assert_msg(node_differs(before, after) == rows[i].differs, "%s", rows[i].what);
		ck_assert_msg(node_differs(after, before) == rows[i].differs, "%s, back", rows[i].what);
		node_free(after);
	}
	node_free(before);
}
END_TEST

START_TEST(another_node_of_that_name_or_its_end_matters)
{
	static const char *const metas[] = {
	    "\"uid\":\"u\"", "\"uid\":\"v\"", "\"uid\":\"u\",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""};
	struct node *nodes[3];

	for (size_t i = 0; i < 3; i++) {
		cJSON *json =
		    objects_json("{\"metadata\":{\"name\":\"n\",\"resourceVersion\":\"1\",%s}}", metas[i]);

		ck_assert_int_eq(node_read(&nodes[i], json, NULL), 0);
		cJSON_Delete(json);
		ck_assert_int_eq(node_differs(nodes[0], nodes[i]), i != 0);
	}
	for (size_t i = 0; i < 3; i++)
		node_free(nodes[i]);
}
END_TEST

START_TEST(wrong_nodes_are_refused)
{
	static const char *const wrong[] = {"1", "{\"taints\":{}}", "{\"taints\":[1]}", "{\"taints\":[{}]}",
	    "{\"taints\":[{\"key\":\"k\"}]}", "{\"taints\":[{\"key\":1,\"effect\":\"NoSchedule\"}]}",
	    "{\"taints\":[{\"key\":\"k\",\"effect\":\"NoSchedule\"},{\"effect\":\"NoSchedule\"}]}"};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		cJSON *json = objects_json(
		    "{\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"1\"},\"spec\":%s}",
		    wrong[i]);
		struct node *node = NULL;

		ck_assert_msg(node_read(&node, json, NULL) == -EINVAL, "%s", wrong[i]);
		ck_assert_ptr_null(node);
		cJSON_Delete(json);
	}
}
END_TEST

UNIT_MAIN("node", taints_are_read, TestShouldIgnoreNodeUpdate, another_node_of_that_name_or_its_end_matters,
    wrong_nodes_are_refused)

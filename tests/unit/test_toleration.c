/* Tolerations against upstream's tables (component-helpers, taints; controller/daemon, util). */
#include "config.h"

#include "controller/toleration.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

static struct tolerations read_tolerations(const char *text, bool host_network)
{
	cJSON *json = objects_json("%s", text);
	struct tolerations tolerations;
	struct err err = {.code = 0};

	ck_assert_msg(tolerations_read(&tolerations, json, host_network, &err) == 0, "%s", err.text);
	cJSON_Delete(json);
	return tolerations;
}

#define TAINT(key, value, effect) "{\"key\":\"" key "\",\"value\":\"" value "\",\"effect\":\"" effect "\"}"
#define TOLERATION(key, op, value, effect)                                                                   \
	"{\"key\":\"" key "\",\"operator\":\"" op "\",\"value\":\"" value "\",\"effect\":\"" effect "\"}"

START_TEST(TestFindMatchingUntoleratedTaint)
{
	static const struct {
		const char *what, *taints, *tolerations;
		bool no_schedule, no_execute;
		const char *missing; /* key of the first one, or NULL */
	} rows[] = {
	    {"empty, empty", "[]", "[]", true, true, NULL},
	    {"tolerations without taints", "[]", "[" TOLERATION("foo", "Equal", "bar", "NoSchedule") "]",
		true, true, NULL},
	    {"match", "[" TAINT("foo", "bar", "NoSchedule") "]",
		"[" TOLERATION("foo", "Equal", "bar", "NoSchedule") "]", true, true, NULL},
	    {"match, operator absent", "[" TAINT("foo", "bar", "NoSchedule") "]",
		"[{\"key\":\"foo\",\"value\":\"bar\"}]", true, true, NULL},
	    {"match, several taints",
		"[" TAINT("foo", "bar", "NoSchedule") "," TAINT("foo2", "bar2", "NoExecute") "]",
		"[" TOLERATION("foo2", "Equal", "bar2", "NoExecute") "," TOLERATION(
		    "foo", "Equal", "bar", "NoSchedule") "]",
		true, true, NULL},
	    {"no match: value", "[" TAINT("foo", "bar", "NoSchedule") "]",
		"[" TOLERATION("foo", "Equal", "baz", "NoSchedule") "]", true, true, "foo"},
	    {"no match: key", "[" TAINT("foo", "bar", "NoSchedule") "]",
		"[" TOLERATION("fo", "Exists", "", "NoSchedule") "]", true, true, "foo"},
	    {"no match: effect", "[" TAINT("foo", "bar", "NoExecute") "]",
		"[" TOLERATION("foo", "Equal", "bar", "NoSchedule") "]", true, true, "foo"},
	    {"no match, but filtered out", "[" TAINT("foo", "bar", "NoExecute") "]", "[]", true, false, NULL},
	    {"no filter", "[" TAINT("foo", "bar", "NoExecute") "]", "[]", true, true, "foo"},
	    {"NoExecute filter", "[" TAINT("one", "", "NoSchedule") "," TAINT("two", "", "NoExecute") "]",
		"[]", false, true, "two"},
	    {"first of two", "[" TAINT("one", "", "NoSchedule") "," TAINT("two", "", "NoExecute") "]", "[]",
		true, true, "one"},
	    {"PreferNoSchedule never counts", "[" TAINT("foo", "bar", "PreferNoSchedule") "]", "[]", true,
		true, NULL},
	    {"empty effect: all", "[" TAINT("foo", "bar", "NoExecute") "]",
		"[" TOLERATION("foo", "Exists", "", "") "]", true, true, NULL},
	    {"empty key with Exists: all", "[" TAINT("foo", "bar", "NoExecute") "]",
		"[{\"operator\":\"Exists\"}]", true, true, NULL},
	    {"Exists takes any value", "[" TAINT("foo", "bar", "NoSchedule") "]",
		"[" TOLERATION("foo", "Exists", "", "NoSchedule") "]", true, true, NULL},
	    {"seconds do not count", "[" TAINT("foo", "bar", "NoExecute") "]",
		"[{\"key\":\"foo\",\"operator\":\"Exists\",\"tolerationSeconds\":0}]", true, true, NULL},
	    {"unknown operator", "[" TAINT("foo", "bar", "NoSchedule") "]",
		"[" TOLERATION("foo", "exists", "bar", "") "]", true, true, "foo"},
	    {"Gt with the gate off", "[" TAINT("sla", "950", "NoSchedule") "]",
		"[" TOLERATION("sla", "Gt", "900", "NoSchedule") "]", true, true, "sla"},
	    {"Lt with the gate off", "[" TAINT("sla", "800", "NoSchedule") "]",
		"[" TOLERATION("sla", "Lt", "900", "NoSchedule") "]", true, true, "sla"},
	    {"Gt with leading zeros", "[" TAINT("sla", "0950", "NoSchedule") "]",
		"[" TOLERATION("sla", "Gt", "0900", "NoSchedule") "]", true, true, "sla"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct tolerations tolerations = read_tolerations(rows[i].tolerations, false);
		struct node *node = objects_node("n", 1, "{}", rows[i].taints);
		const struct taint *missing =
		    tolerations_missing(&tolerations, node, rows[i].no_schedule, rows[i].no_execute);

		ck_assert_msg((missing != NULL) == (rows[i].missing != NULL), "%s", rows[i].what);
		if (missing != NULL)
			ck_assert_str_eq(missing->key, rows[i].missing);
		node_free(node);
		tolerations_release(&tolerations);
	}
}
END_TEST

#define AUTOMATIC(key, effect)                                                                               \
	"{\"key\":\"node.kubernetes.io/" key "\",\"operator\":\"Exists\",\"effect\":\"" effect "\"}"
#define FIRST  AUTOMATIC("not-ready", "NoExecute")
#define SECOND AUTOMATIC("unreachable", "NoExecute")
#define PRESSURE                                                                                             \
	AUTOMATIC("disk-pressure", "NoSchedule")                                                             \
	"," AUTOMATIC("memory-pressure", "NoSchedule") "," AUTOMATIC("pid-pressure", "NoSchedule")
#define LAST AUTOMATIC("unschedulable", "NoSchedule")
#define ALL  FIRST "," SECOND "," PRESSURE "," LAST

/* AddOrUpdateDaemonPodTolerations. */
START_TEST(automatic_tolerations_are_added_in_upstreams_order)
{
	static const struct {
		const char *spec, *expected;
	} rows[] = {
	    {"{}", "{\"tolerations\":[" ALL "]}"},
	    {"{\"tolerations\":null}", "{\"tolerations\":[" ALL "]}"},
	    {"{\"hostNetwork\":false}", "{\"hostNetwork\":false,\"tolerations\":[" ALL "]}"},
	    {"{\"hostNetwork\":true}", "{\"hostNetwork\":true,\"tolerations\":[" ALL
				       "," AUTOMATIC("network-unavailable", "NoSchedule") "]}"},
	    /* what is the template's own comes first and stays */
	    {"{\"tolerations\":[{\"operator\":\"Exists\"}]}",
		"{\"tolerations\":[{\"operator\":\"Exists\"}," ALL "]}"},
	    /* an identical entry is replaced where it stands, with its seconds */
	    {"{\"tolerations\":[{\"key\":\"node.kubernetes.io/"
	     "unreachable\",\"operator\":\"Exists\",\"effect\":"
	     "\"NoExecute\",\"tolerationSeconds\":60},{\"key\":\"x\"}]}",
		"{\"tolerations\":[" SECOND ",{\"key\":\"x\"}," FIRST "," PRESSURE "," LAST "]}"},
	    /* another effect, operator or value makes another entry */
	    {"{\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\"}]}",
		"{\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\"}," ALL
		"]}"},
	    /* and twice the same is replaced twice */
	    {"{\"tolerations\":[" FIRST "," FIRST "]}",
		"{\"tolerations\":[" FIRST "," FIRST "," SECOND "," PRESSURE "," LAST "]}"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		cJSON *spec = objects_json("%s", rows[i].spec),
		      *expected = objects_json("%s", rows[i].expected);
		char *text;

		tolerations_add_automatic(spec);
		text = cJSON_PrintUnformatted(spec);
		ck_assert_msg(cJSON_Compare(spec, expected, true), "row %zu: %s", i, text);
		tolerations_add_automatic(spec); /* again: nothing new */
		ck_assert_msg(cJSON_Compare(spec, expected, true), "row %zu again: %s", i, text);
		cJSON_free(text);
		cJSON_Delete(spec);
		cJSON_Delete(expected);
	}
}
END_TEST

/* what is not added keeps new pods away from nodes that are not ready. */
START_TEST(automatic_tolerations_bear_these_taints_only)
{
	static const struct {
		const char *key, *effect;
		bool only_host_network, bears;
	} rows[] = {
	    {"node.kubernetes.io/not-ready", "NoExecute", false, true},
	    {"node.kubernetes.io/unreachable", "NoExecute", false, true},
	    {"node.kubernetes.io/not-ready", "NoSchedule", false, false},
	    {"node.kubernetes.io/unreachable", "NoSchedule", false, false},
	    {"node.kubernetes.io/unschedulable", "NoSchedule", false, true},
	    {"node.kubernetes.io/network-unavailable", "NoSchedule", true, true},
	    {"node-role.kubernetes.io/control-plane", "NoSchedule", false, false},
	    {"node.kubernetes.io/out-of-service", "NoExecute", false, false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (int host_network = 0; host_network < 2; host_network++) {
			struct tolerations tolerations = read_tolerations("[]", host_network != 0);
			char *taints =
			    xasprintf("[{\"key\":\"%s\",\"effect\":\"%s\"}]", rows[i].key, rows[i].effect);
			struct node *node = objects_node("n", 1, "{}", taints);
			bool bears = rows[i].bears && (!rows[i].only_host_network || host_network != 0);

			ck_assert_msg((tolerations_missing(&tolerations, node, true, true) == NULL) == bears,
			    "%s:%s", rows[i].key, rows[i].effect);
			node_free(node);
			tolerations_release(&tolerations);
			free(taints);
		}
}
END_TEST

START_TEST(wrong_types_are_errors)
{
	static const char *const wrong[] = {"[1]", "[{\"key\":1}]", "[{\"effect\":{}}]"};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		cJSON *json = objects_json("%s", wrong[i]);
		struct tolerations tolerations;
		struct err err = {.code = 0};

		ck_assert_int_eq(tolerations_read(&tolerations, json, false, &err), -EINVAL);
		ck_assert_uint_gt(strlen(err.text), 0);
		cJSON_Delete(json);
	}
}
END_TEST

UNIT_MAIN("toleration", TestFindMatchingUntoleratedTaint, automatic_tolerations_are_added_in_upstreams_order,
    automatic_tolerations_bear_these_taints_only, wrong_types_are_errors)

/* What the core asks of a pod. */
#include "config.h"

#include "controller/pod.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

static struct pod *read_pod(const char *spec, const char *status)
{
	cJSON *json = objects_json(
	    "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"u\",\"resourceVersion\":\"1\"},"
	    "\"spec\":%s,\"status\":%s}",
	    spec, status);
	struct pod *pod = NULL;
	struct err err = {.code = 0};

	ck_assert_msg(pod_read(&pod, json, &err) == 0, "%s", err.text);
	cJSON_Delete(json);
	return pod;
}

#define TERMS(terms)                                                                                         \
	"{\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"              \
	"\"nodeSelectorTerms\":[" terms "]}}}}"
#define FIELD(key, op, values)                                                                               \
	"{\"matchFields\":[{\"key\":\"" key "\",\"operator\":\"" op "\",\"values\":[" values "]}]}"

START_TEST(TestGetTargetNodeName)
{
	static const struct {
		const char *spec, *target;
	} rows[] = {
	    {"{\"nodeName\":\"node-1\"}", "node-1"},
	    {TERMS(FIELD("metadata.name", "In", "\"node-1\"")), "node-1"},
	    {"{\"nodeName\":\"\"}", NULL},
	    {"null", NULL},
	    {"{\"affinity\":null}", NULL},
	    {"{\"affinity\":{\"nodeAffinity\":{}}}", NULL},
	    {TERMS(""), NULL},
	    {TERMS("{}"), NULL},
	    {TERMS(FIELD("metadata.name", "NotIn", "\"node-1\"")), NULL},
	    {TERMS(FIELD("spec.nodeName", "In", "\"node-1\"")), NULL},
	    {TERMS(FIELD("metadata.name", "In", "")), NULL},
	    {TERMS(FIELD("metadata.name", "In", "\"node-1\",\"node-2\"")), NULL},
	    {TERMS("{}," FIELD("metadata.name", "In", "\"node-2\"")), "node-2"},
	    /* the first one decides, also where it is ambiguous */
	    {TERMS(FIELD("metadata.name", "In", "\"node-1\",\"node-2\"") "," FIELD(
		 "metadata.name", "In", "\"node-3\"")),
		NULL},
	    {TERMS(FIELD("metadata.name", "NotIn", "\"node-1\"") "," FIELD(
		 "metadata.name", "In", "\"node-3\"")),
		"node-3"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pod *pod = read_pod(rows[i].spec, "{}");

		if (rows[i].target == NULL)
			ck_assert_msg(pod->target == NULL, "row %zu: %s", i, pod->target);
		else
			ck_assert_msg(
			    pod->target != NULL && strcmp(pod->target, rows[i].target) == 0, "row %zu", i);
		pod_free(pod);
	}
}
END_TEST

/* Upstream's also looks at a template generation, which ours never writes: only the hash counts. */
START_TEST(TestIsPodUpdated)
{
	static const struct {
		const char *labels, *hash;
	} rows[] = {
	    {"{\"controller-revision-hash\":\"123123\"}", "123123"},
	    {"{\"pod-template-generation\":\"12\"}", ""},
	    {"{\"pod-template-generation\":\"12\",\"controller-revision-hash\":\"abc\"}", "abc"},
	    {"{}", ""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pod *pod = objects_pod("p", 1, rows[i].labels, OBJECTS_ORPHAN, "n", "{}");

		ck_assert_str_eq(pod_hash(pod), rows[i].hash);
		pod_free(pod);
	}
}
END_TEST

START_TEST(phases_are_told_apart)
{
	static const struct {
		const char *status;
		enum pod_phase phase;
		bool is_terminal;
	} rows[] = {
	    {"{}", POD_PENDING, false},
	    {"null", POD_PENDING, false},
	    {"{\"phase\":\"\"}", POD_PENDING, false},
	    {"{\"phase\":\"Pending\"}", POD_PENDING, false},
	    {"{\"phase\":\"Running\"}", POD_RUNNING, false},
	    {"{\"phase\":\"Succeeded\"}", POD_SUCCEEDED, true},
	    {"{\"phase\":\"Failed\",\"reason\":\"Evicted\"}", POD_FAILED, true},
	    {"{\"phase\":\"Unknown\"}", POD_UNKNOWN, false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pod *pod = read_pod("{}", rows[i].status);

		ck_assert_int_eq(pod->phase, rows[i].phase);
		ck_assert_int_eq(pod_is_terminal(pod), rows[i].is_terminal);
		ck_assert_str_eq(pod->reason, rows[i].phase == POD_FAILED ? "Evicted" : "");
		ck_assert(!pod_is_terminating(pod));
		pod_free(pod);
	}
}
END_TEST

START_TEST(available_is_ready_for_longer_than_asked)
{
	static const struct {
		const char *conditions;
		int64_t min_ready_s, now_ms;
		bool is_available;
	} rows[] = {
#define READY(status)                                                                                        \
	"[{\"type\":\"Ready\",\"status\":\"" status "\",\"lastTransitionTime\":\"1970-01-01T00:01:40Z\"}]"
	    {"[]", 0, 100000, false},
	    {READY("False"), 0, 200000, false},
	    {READY("Unknown"), 0, 200000, false},
	    {READY("True"), 0, 100000, true},
	    {READY("True"), 10, 110000, false}, /* not yet: strictly longer */
	    {READY("True"), 10, 110001, true},
	    {READY("True"), 10, 109999, false},
	    {"[{\"type\":\"Ready\",\"status\":\"True\"}]", 0, 1, true},
	    {"[{\"type\":\"Ready\",\"status\":\"True\"}]", 1, 200000, false},
	    {"[{\"type\":\"ContainersReady\",\"status\":\"True\"}]", 0, 200000, false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *status = xasprintf("{\"conditions\":%s}", rows[i].conditions);
		struct pod *pod = read_pod("{}", status);

		ck_assert_msg(
		    pod_is_available(pod, rows[i].min_ready_s, rows[i].now_ms) == rows[i].is_available,
		    "row %zu", i);
		pod_free(pod);
		free(status);
	}
}
END_TEST

START_TEST(bound_before_unbound_then_older_then_by_name)
{
	static const struct {
		const char *name, *node, *created;
	} rows[] = {/* as they have to come out */
	    {"z", "n", "2026-01-01T00:00:00Z"}, {"a", "n", "2026-01-01T00:00:01Z"},
	    {"b", "n", "2026-01-01T00:00:01Z"}, {"c", "", "2025-01-01T00:00:00Z"},
	    {"a", "", "2026-01-01T00:00:00Z"}};
	struct pod *pods[5], *sorted[5];

	for (size_t i = 0; i < 5; i++) {
		cJSON *json = objects_pod_json(rows[i].name, 1, "{}", OBJECTS_ORPHAN, rows[i].node, "{}");

		cJSON_AddStringToObject(
		    cJSON_GetObjectItem(json, "metadata"), "creationTimestamp", rows[i].created);
		ck_assert_int_eq(pod_read(&pods[i], json, NULL), 0);
		cJSON_Delete(json);
		sorted[4 - i] = pods[i];
	}
	qsort(sorted, 5, sizeof sorted[0], pod_compare);
	for (size_t i = 0; i < 5; i++) {
		ck_assert_msg(sorted[i] == pods[i], "place %zu", i);
		ck_assert_int_eq(pod_compare(&pods[i], &pods[i]), 0);
	}
	for (size_t i = 0; i < 5; i++)
		pod_free(pods[i]);
}
END_TEST

START_TEST(wrong_types_are_errors)
{
	static const char *const wrong[] = {"\"spec\":1", "\"spec\":{\"nodeName\":1}", "\"status\":[]",
	    "\"status\":{\"phase\":1}", "\"status\":{\"conditions\":{}}",
	    "\"status\":{\"conditions\":[{\"type\":1}]}"};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		cJSON *json = objects_json(
		    "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"resourceVersion\":\"1\"},%s}", wrong[i]);
		struct pod *pod = NULL;

		ck_assert_msg(pod_read(&pod, json, NULL) == -EINVAL, "%s", wrong[i]);
		ck_assert_ptr_null(pod);
		cJSON_Delete(json);
	}
}
END_TEST

UNIT_MAIN("pod", TestGetTargetNodeName, TestIsPodUpdated, phases_are_told_apart,
    available_is_ready_for_longer_than_asked, bound_before_unbound_then_older_then_by_name,
    wrong_types_are_errors)

/* A CollectorSet's spec with its defaults and complaints, its status there and back, and its selector. */
#include "config.h"

#include "controller/collector_set.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

#define TEMPLATE                                                                                             \
	"\"template\":{\"metadata\":{\"labels\":{\"app\":\"a\"}},\"spec\":{\"nodeSelector\":{\"zone\":"      \
	"\"z\"},"                                                                                            \
	"\"containers\":[{\"name\":\"c\",\"image\":\"i\"},{\"name\":\"d\",\"image\":\"j\"}]}}"
#define SELECTOR "\"selector\":{\"matchLabels\":{\"app\":\"a\"}}"

static struct collector_set *read_set(const char *spec, const char *status)
{
	cJSON *json =
	    objects_json("{\"metadata\":{\"name\":\"s\",\"namespace\":\"ns\",\"uid\":\"u\","
			 "\"resourceVersion\":\"7\",\"managedFields\":[{}]},\"spec\":%s,\"status\":%s}",
		spec, status);
	struct collector_set *set = NULL;

	ck_assert_int_eq(collector_set_read(&set, json, NULL), 0);
	cJSON_Delete(json);
	return set;
}

START_TEST(limits_of_a_rolling_update_default_to_exactly_one)
{
	static const struct {
		const char *strategy;
		struct share unavailable, surge;
	} rows[] = {
	    {"null", {1, false}, {0, false}},
	    {"{}", {1, false}, {0, false}},
	    {"{\"type\":\"RollingUpdate\",\"rollingUpdate\":null}", {1, false}, {0, false}},
	    {"{\"rollingUpdate\":{\"maxUnavailable\":\"10%\"}}", {10, true}, {0, false}},
	    {"{\"rollingUpdate\":{\"maxUnavailable\":3,\"maxSurge\":0}}", {3, false}, {0, false}},
	    {"{\"rollingUpdate\":{\"maxSurge\":\"0%\"}}", {1, false}, {0, true}},
	    {"{\"rollingUpdate\":{\"maxSurge\":2}}", {0, false}, {2, false}},
	    {"{\"rollingUpdate\":{\"maxSurge\":\"25%\",\"maxUnavailable\":0}}", {0, false}, {25, true}},
	    {"{\"type\":\"OnDelete\"}", {1, false}, {0, false}},
	    {"{\"type\":\"OnDelete\",\"rollingUpdate\":{\"maxUnavailable\":0}}", {1, false}, {0, false}},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *spec = xasprintf("{" SELECTOR "," TEMPLATE ",\"updateStrategy\":%s}", rows[i].strategy);
		struct collector_set *set = read_set(spec, "null");

		ck_assert_msg(set->complaint == NULL, "%s", set->complaint);
		ck_assert_int_eq(set->max_unavailable.number, rows[i].unavailable.number);
		ck_assert_int_eq(set->max_unavailable.is_percent, rows[i].unavailable.is_percent);
		ck_assert_int_eq(set->max_surge.number, rows[i].surge.number);
		ck_assert_int_eq(set->max_surge.is_percent, rows[i].surge.is_percent);
		ck_assert_int_eq(set->min_ready_s, 0);
		ck_assert_int_eq(set->history_limit, 10);
		collector_set_free(set);
		free(spec);
	}
}
END_TEST

START_TEST(a_wrong_spec_becomes_the_complaint)
{
	static const struct {
		const char *spec, *complaint;
	} rows[] = {
	    {"null", "no selector"},
	    {"{" TEMPLATE "}", "no selector"},
	    {"{" SELECTOR "}", "spec.template is missing"},
	    {"{\"selector\":{\"matchLabels\":{\"app\":\"b\"}}," TEMPLATE "}",
		"does not match the template's labels"},
	    {"{\"selector\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Near\"}]}," TEMPLATE "}",
		"'Near' is no operator"},
	    {"{\"selector\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"In\"}]}," TEMPLATE "}",
		"needs some values"},
	    {"{\"selector\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Exists\",\"values\":["
	     "\"a\"]}]}," TEMPLATE "}",
		"needs no values"},
#define WITH(more)    "{" SELECTOR "," TEMPLATE "," more "}"
#define ROLLING(more) WITH("\"updateStrategy\":{\"rollingUpdate\":{" more "}}")
	    {WITH("\"minReadySeconds\":-1"), "minReadySeconds is negative"},
	    {WITH("\"revisionHistoryLimit\":-1"), "revisionHistoryLimit is negative"},
	    {WITH("\"updateStrategy\":{\"type\":\"Recreate\"}"), "'Recreate' is neither"},
	    {ROLLING("\"maxUnavailable\":0"), "both 0"},
	    {ROLLING("\"maxUnavailable\":\"0%\",\"maxSurge\":0"), "both 0"},
	    {ROLLING("\"maxUnavailable\":1,\"maxSurge\":1"), "both set"},
	    {ROLLING("\"maxUnavailable\":-1"), "no number of nodes"},
	    {ROLLING("\"maxUnavailable\":1.5"), "no number of nodes"},
	    {ROLLING("\"maxSurge\":\"101%\""), "more than 100 %"},
	    {ROLLING("\"maxSurge\":\"5\""), "neither a number nor a percentage"},
	    {ROLLING("\"maxSurge\":\"-5%\""), "neither a number nor a percentage"},
	    {ROLLING("\"maxSurge\":\"5%%\""), "neither a number nor a percentage"},
	    {ROLLING("\"maxSurge\":[]"), "neither a number nor a percentage"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct collector_set *set = read_set(rows[i].spec, "null");
		struct buf out;
		cJSON *body;

		ck_assert_msg(set->complaint != NULL && strstr(set->complaint, rows[i].complaint) != NULL,
		    "row %zu: %s", i, set->complaint != NULL ? set->complaint : "no complaint");
		buf_init(&out, 1 << 16); /* and it can still say so */
		collector_set_status_body(set, &set->status, &out);
		body = cJSON_Parse(buf_text(&out));
		ck_assert_ptr_nonnull(body);
		cJSON_Delete(body);
		buf_release(&out);
		collector_set_free(set);
	}
}
END_TEST

START_TEST(an_object_without_metadata_is_refused)
{
	cJSON *json = objects_json("{\"spec\":{}}");
	struct collector_set *set = NULL;
	struct err err = {.code = 0};

	ck_assert_int_eq(collector_set_read(&set, json, &err), -EINVAL);
	ck_assert_ptr_null(set);
	cJSON_Delete(json);
}
END_TEST

START_TEST(percentages_are_rounded_up)
{
	ck_assert_int_eq(share_of((struct share){3, false}, 100), 3);
	ck_assert_int_eq(share_of((struct share){50, true}, 3), 2);
	ck_assert_int_eq(share_of((struct share){1, true}, 1), 1);
	ck_assert_int_eq(share_of((struct share){10, true}, 0), 0);
	ck_assert_int_eq(share_of((struct share){0, true}, 9), 0);
	ck_assert_int_eq(share_of((struct share){100, true}, 5000), 5000);
}
END_TEST

/* What is written is read back as the same status, and the columns' texts stand beside it. */
START_TEST(status_comes_back_as_it_was_written)
{
	struct collector_set *set = read_set("{" SELECTOR "," TEMPLATE "}", "{}"), *again;
	struct set_status status = {.desired = 9,
	    .current = 8,
	    .misscheduled = 1,
	    .ready = 7,
	    .updated = 6,
	    .available = 5,
	    .unavailable = 4,
	    .observed_generation = 3,
	    .collision_count = 2,
	    .available_condition = {CONDITION_FALSE, "Few", "only \"5\" of 9", INT64_C(1769862896000), 3},
	    .progressing_condition = {CONDITION_TRUE, "Rolling", "", INT64_C(1769862896000), 3}};
	struct buf out;
	cJSON *body, *written;

	ck_assert_int_eq(set->status.collision_count, -1);
	ck_assert(!set_status_equal(&set->status, &status));
	buf_init(&out, 1 << 16);
	collector_set_status_body(set, &status, &out);
	body = cJSON_Parse(buf_text(&out));
	ck_assert_ptr_nonnull(body);
	ck_assert(collector_set_read(&again, body, NULL) == 0);
	ck_assert(set_status_equal(&again->status, &status));
	ck_assert_int_eq(again->status.available_condition.since_ms, INT64_C(1769862896000));
	ck_assert_str_eq(again->meta.uid, "u");
	ck_assert_str_eq(again->meta.resource_version, "7");
	written = cJSON_GetObjectItem(body, "status");
	ck_assert_str_eq(cJSON_GetObjectItem(written, "nodeSelector")->valuestring, "zone=z");
	ck_assert_str_eq(cJSON_GetObjectItem(written, "containers")->valuestring, "c,d");
	ck_assert_str_eq(cJSON_GetObjectItem(written, "images")->valuestring, "i,j");
	ck_assert_str_eq(cJSON_GetObjectItem(written, "labelSelector")->valuestring, "app=a");
	status.ready++;
	ck_assert(!set_status_equal(&again->status, &status));
	ck_assert_ptr_null(cJSON_GetObjectItem(cJSON_GetObjectItem(set->tree, "metadata"), "managedFields"));
	collector_set_free(again);
	collector_set_free(set);
	cJSON_Delete(body);
	buf_release(&out);
}
END_TEST

#define EXPRESSION(key, op, values) "{\"key\":\"" key "\",\"operator\":\"" op "\",\"values\":[" values "]}"

START_TEST(selectors_match_and_print_as_kubectl_prints_them)
{
	static const struct {
		const char *selector, *labels, *text;
		bool matches;
	} rows[] = {
	    {"{}", "{\"a\":\"1\"}", "", true},
	    {"{\"matchLabels\":{\"b\":\"2\",\"a\":\"1\"}}", "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}",
		"a=1,b=2", true},
	    {"{\"matchLabels\":{\"b\":\"2\",\"a\":\"1\"}}", "{\"a\":\"1\"}", "a=1,b=2", false},
	    {"{\"matchExpressions\":[" EXPRESSION("t", "In", "\"y\",\"x\"") "]}", "{\"t\":\"x\"}",
		"t in (x,y)", true},
	    {"{\"matchExpressions\":[" EXPRESSION("t", "In", "\"x\"") "]}", "{}", "t in (x)", false},
	    {"{\"matchExpressions\":[" EXPRESSION("t", "NotIn", "\"x\"") "]}", "{}", "t notin (x)", true},
	    {"{\"matchExpressions\":[" EXPRESSION("t", "NotIn", "\"x\"") "]}", "{\"t\":\"x\"}", "t notin (x)",
		false},
	    {"{\"matchExpressions\":[" EXPRESSION("z", "Exists", "") "," EXPRESSION(
		 "n", "DoesNotExist", "") "]}",
		"{\"z\":\"\"}", "!n,z", true},
	    {"{\"matchExpressions\":[" EXPRESSION("n", "DoesNotExist", "") "],\"matchLabels\":{\"a\":\"1\"}}",
		"{\"a\":\"1\",\"n\":\"\"}", "a=1,!n", false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		cJSON *json = objects_json("%s", rows[i].selector),
		      *pairs = objects_json("%s", rows[i].labels);
		struct selector *selector = NULL;
		struct kube_labels labels;
		struct buf out;

		buf_init(&out, 4096);
		ck_assert_int_eq(selector_read(&selector, json, NULL), 0);
		ck_assert_int_eq(kube_labels_read(&labels, pairs, NULL), 0);
		ck_assert_msg(selector_matches(selector, &labels) == rows[i].matches, "row %zu", i);
		ck_assert_int_eq(selector_is_empty(selector), i == 0);
		selector_add_text(selector, &out);
		ck_assert_str_eq(buf_text(&out), rows[i].text);
		buf_release(&out);
		kube_labels_release(&labels);
		selector_free(selector);
		cJSON_Delete(json);
		cJSON_Delete(pairs);
	}
}
END_TEST

UNIT_MAIN("collector_set", limits_of_a_rolling_update_default_to_exactly_one,
    a_wrong_spec_becomes_the_complaint, an_object_without_metadata_is_refused, percentages_are_rounded_up,
    status_comes_back_as_it_was_written, selectors_match_and_print_as_kubectl_prints_them)

/* Metadata, versions and times of the API server, and how little room the records take. */
#include "config.h"

#include "common/kube_object.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "common/shared_texts.h"
#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

START_TEST(metadata_is_read_whole)
{
	cJSON *json = objects_json(
	    "{\"metadata\":{\"name\":\"n\",\"namespace\":\"ns\",\"uid\":\"u\",\"resourceVersion\":\"7\","
	    "\"generation\":3,\"creationTimestamp\":\"2026-01-31T12:34:56Z\",\"deletionTimestamp\":"
	    "\"2026-01-31T12:34:57Z\",\"finalizers\":[\"f\"],\"labels\":{\"b\":\"2\",\"a\":\"1\"},"
	    "\"ownerReferences\":[{\"kind\":\"Other\",\"name\":\"o\",\"uid\":\"x\",\"apiVersion\":\"v1\"},{"
	    "\"kind\":\"CollectorSet\",\"name\":\"s\",\"uid\":\"y\",\"apiVersion\":\"drave.dev/v1alpha1\","
	    "\"controller\":true}]}}");
	struct kube_meta meta;

	ck_assert_int_eq(kube_meta_read(&meta, json, NULL), 0);
	cJSON_Delete(json); /* nothing is lent */
	ck_assert_str_eq(meta.name, "n");
	ck_assert_str_eq(meta.namespace_name, "ns");
	ck_assert_str_eq(meta.uid, "u");
	ck_assert_str_eq(meta.resource_version, "7");
	ck_assert_int_eq(meta.generation, 3);
	ck_assert_int_eq(meta.created_ms, INT64_C(1769862896000));
	ck_assert_int_eq(meta.deleted_ms, INT64_C(1769862897000));
	ck_assert(meta.has_finalizers);
	ck_assert_uint_eq(meta.labels.count, 2);
	ck_assert_str_eq(meta.labels.items[0].key, "a");
	ck_assert_str_eq(kube_labels_get(&meta.labels, "b"), "2");
	ck_assert_ptr_null(kube_labels_get(&meta.labels, "c"));
	ck_assert_str_eq(meta.controller.kind, "CollectorSet");
	ck_assert_str_eq(meta.controller.name, "s");
	ck_assert_str_eq(meta.controller.uid, "y");
	ck_assert_str_eq(meta.controller.api_version, "drave.dev/v1alpha1");
	kube_meta_release(&meta);
	kube_meta_release(&meta);
}
END_TEST

START_TEST(what_is_absent_is_empty)
{
	cJSON *json = objects_json("{\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"7\","
				   "\"namespace\":null,\"labels\":null,\"ownerReferences\":null}}");
	struct kube_meta meta;

	ck_assert_int_eq(kube_meta_read(&meta, json, NULL), 0);
	ck_assert_str_eq(meta.namespace_name, "");
	ck_assert_uint_eq(meta.labels.count, 0);
	ck_assert_ptr_null(meta.controller.kind);
	ck_assert(!meta.has_finalizers);
	ck_assert_int_eq(meta.created_ms, 0);
	ck_assert_int_eq(meta.deleted_ms, 0);
	kube_meta_release(&meta);
	cJSON_Delete(json);
}
END_TEST

START_TEST(wrong_metadata_is_refused_with_a_sentence)
{
	static const struct {
		const char *text, *sentence;
	} rows[] = {
	    {"[]", "not an object"},
	    {"{}", "without metadata"},
	    {"{\"metadata\":[]}", "'metadata' is not an object"},
	    {"{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"1\"}}", "without name"},
	    {"{\"metadata\":{\"name\":\"n\",\"resourceVersion\":\"1\"}}", "without name, uid"},
	    {"{\"metadata\":{\"name\":\"n\",\"uid\":\"u\"}}", "resourceVersion"},
	    {"{\"metadata\":{\"name\":\"n\",\"uid\":1,\"resourceVersion\":\"1\"}}", "'uid' is not a string"},
#define SOUND "{\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"1\","
	    {SOUND "\"labels\":[]}}", "'labels' is not an object"},
	    {SOUND "\"labels\":{\"a\":1}}}", "'a' is not a string"},
	    {SOUND "\"generation\":1.5}}", "'generation' is not a whole number"},
	    {SOUND "\"finalizers\":{}}}", "'finalizers' is not a list"},
	    {SOUND "\"ownerReferences\":[1]}}", "'ownerReferences'"},
	    {SOUND "\"ownerReferences\":[{\"controller\":true}]}}", "owner reference without kind"},
	    {SOUND "\"deletionTimestamp\":\"soon\"}}", "deletionTimestamp is no time"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		cJSON *json = objects_json("%s", rows[i].text);
		struct kube_meta meta;
		struct err err = {.code = 0};

		ck_assert_msg(kube_meta_read(&meta, json, &err) == -EINVAL, "%s", rows[i].text);
		ck_assert_msg(strstr(err.text, rows[i].sentence) != NULL, "%s", err.text);
		cJSON_Delete(json);
	}
}
END_TEST

START_TEST(of_a_repeated_label_the_last_counts)
{
	cJSON *json = objects_json("{\"a\":\"1\",\"b\":\"1\",\"a\":\"2\",\"c\":\"1\",\"a\":\"3\"}");
	cJSON *other = objects_json("{\"c\":\"1\",\"b\":\"1\",\"a\":\"3\"}");
	struct kube_labels labels, same;

	ck_assert_int_eq(kube_labels_read(&labels, json, NULL), 0);
	ck_assert_int_eq(kube_labels_read(&same, other, NULL), 0);
	ck_assert_uint_eq(labels.count, 3);
	ck_assert_str_eq(kube_labels_get(&labels, "a"), "3");
	ck_assert(kube_labels_equal(&labels, &same));
	kube_labels_release(&same);
	ck_assert(!kube_labels_equal(&labels, &same));
	kube_labels_release(&labels);
	cJSON_Delete(json);
	cJSON_Delete(other);
}
END_TEST

START_TEST(versions_compare_as_numbers)
{
	ck_assert_int_eq(kube_version_compare("9", "10"), -1);
	ck_assert_int_eq(kube_version_compare("10", "9"), 1);
	ck_assert_int_eq(kube_version_compare("12", "13"), -1);
	ck_assert_int_eq(kube_version_compare("13", "13"), 0);
	ck_assert_int_eq(kube_version_compare("", "0"), -1);
	ck_assert_int_eq(kube_version_compare("", ""), 0);
	ck_assert_int_eq(kube_version_compare("99999999999999999999", "100000000000000000000"), -1);
}
END_TEST

START_TEST(times_are_read_and_written)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
	    {"1970-01-01T00:00:01Z", 1000},
	    {"2026-01-31T12:34:56Z", INT64_C(1769862896000)},
	    {"2026-01-31T12:34:56.789Z", INT64_C(1769862896789)},
	    {"2026-01-31T12:34:56.789999999Z", INT64_C(1769862896789)},
	    {"2026-01-31T12:34:56.7Z", INT64_C(1769862896700)},
	    {"2026-01-31T14:04:56+01:30", INT64_C(1769862896000)},
	    {"2026-01-31T11:34:56-01:00", INT64_C(1769862896000)},
	    {"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
	    {"", 0},
	    {"2026-01-31", 0},
	    {"2026-01-31T12:34:56", 0},
	    {"2026-01-31 12:34:56Z", 0},
	    {"2026-13-31T12:34:56Z", 0},
	    {"2026-00-31T12:34:56Z", 0},
	    {"2026-01-32T12:34:56Z", 0},
	    {"2026-01-31T24:34:56Z", 0},
	    {"2026-01-31T12:60:56Z", 0},
	    {"2026-01-31T12:34:56Zx", 0},
	    {"2026-01-31T12:34:56+0130", 0},
	    {"2026-01-31T12:34:56+01:99", 0},
	    {"26-01-31T12:34:56Z", 0},
	};
	char text[KUBE_TIME_BYTES];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(kube_time_ms(rows[i].text) == rows[i].ms, "%s", rows[i].text);
	kube_time_format(text, INT64_C(1769862896789));
	ck_assert_str_eq(text, "2026-01-31T12:34:56Z");
	kube_micro_time_format(text, INT64_C(1769862896000042));
	ck_assert_str_eq(text, "2026-01-31T12:34:56.000042Z");
}
END_TEST

START_TEST(numbers_are_whole_and_fit)
{
	cJSON *json = objects_json("{\"a\":7,\"b\":7.5,\"c\":1e30,\"d\":\"7\",\"e\":null,\"f\":-3}");
	int64_t number;

	ck_assert(kube_number(json, "a", 1, &number, NULL) && number == 7);
	ck_assert(kube_number(json, "f", 1, &number, NULL) && number == -3);
	ck_assert(kube_number(json, "e", 1, &number, NULL) && number == 1);
	ck_assert(kube_number(json, "x", 2, &number, NULL) && number == 2);
	ck_assert(!kube_number(json, "b", 1, &number, NULL));
	ck_assert(!kube_number(json, "c", 1, &number, NULL));
	ck_assert(!kube_number(json, "d", 1, &number, NULL));
	cJSON_Delete(json);
}
END_TEST

#define CLUSTER 5000

/* With as many labels as a managed cluster's nodes carry. */
static struct node *typical_node(int i)
{
	char name[64];
	char *labels = xasprintf(
	    "{\"beta.kubernetes.io/arch\":\"amd64\",\"beta.kubernetes.io/instance-type\":\"m5.xlarge\","
	    "\"beta.kubernetes.io/os\":\"linux\",\"failure-domain.beta.kubernetes.io/"
	    "region\":\"eu-central-1\","
	    "\"failure-domain.beta.kubernetes.io/zone\":\"eu-central-1a\",\"kubernetes.io/arch\":\"amd64\","
	    "\"kubernetes.io/hostname\":\"ip-10-0-%d-%d.eu-central-1.compute.internal\",\"kubernetes.io/os\":"
	    "\"linux\",\"node.kubernetes.io/instance-type\":\"m5.xlarge\",\"topology.kubernetes.io/region\":"
	    "\"eu-central-1\",\"topology.kubernetes.io/zone\":\"eu-central-1a\",\"node-pool\":\"general\"}",
	    i / 256, i % 256);
	struct node *node;

	(void)snprintf(name, sizeof name, "ip-10-0-%d-%d.eu-central-1.compute.internal", i / 256, i % 256);
	node = objects_node(name, 1, labels, "[]");
	free(labels);
	return node;
}

static struct pod *typical_pod(int i)
{
	char name[64], node_name[64];

	(void)snprintf(name, sizeof name, "drave-collector-%010x-6c9f8d7b5", (unsigned)i);
	(void)snprintf(
	    node_name, sizeof node_name, "ip-10-0-%d-%d.eu-central-1.compute.internal", i / 256, i % 256);
	return objects_pod(name, 1,
	    "{\"app.kubernetes.io/name\":\"drave-collector\",\"controller-revision-hash\":\"6c9f8d7b5\"}",
	    objects_owned_by("drave-collector", "2f1c4c1e-8a53-4b39-9d0c-51a1d35a6c3e"), node_name,
	    "{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
	    "\"lastTransitionTime\":\"2026-01-31T12:34:56Z\"}]}");
}

START_TEST(what_is_shared_reads_as_before)
{
	struct shared_texts *texts = shared_texts_new();
	struct node *node = typical_node(7), *again = typical_node(7);
	struct pod *pod = typical_pod(7), *other = typical_pod(8);

	node_share(node, texts);
	pod_share(pod, texts);
	pod_share(other, texts);
	ck_assert(!node_differs(node, again));
	ck_assert_str_eq(node->meta.name, again->meta.name);
	ck_assert_str_eq(node->meta.resource_version, "1");
	ck_assert_ptr_null(node->meta.controller.kind);
	ck_assert_str_eq(pod->meta.name, "drave-collector-0000000007-6c9f8d7b5");
	ck_assert_str_eq(pod->meta.namespace_name, "ns");
	ck_assert_str_eq(pod->meta.controller.name, "drave-collector");
	ck_assert_str_eq(pod_hash(pod), "6c9f8d7b5");
	ck_assert_str_eq(pod->reason, "");
	ck_assert_ptr_eq(pod->node_name, node->meta.name);
	ck_assert_ptr_eq(pod->target, node->meta.name);
	ck_assert_ptr_eq(pod->meta.controller.uid, other->meta.controller.uid);
	pod_free(pod);
	ck_assert_str_eq(other->meta.controller.name, "drave-collector"); /* it has it still */
	pod_free(other);
	node_free(node);
	node_free(again);
	shared_texts_free(texts);
}
END_TEST

START_TEST(five_thousand_nodes_and_pods_fit_in_five_mebibytes)
{
	static struct node *nodes[CLUSTER];
	static struct pod *pods[CLUSTER];
	struct shared_texts *texts;
	size_t before, used;

	node_free(typical_node(0)); /* what is made once is made */
	before = mallinfo2().uordblks;
	texts = shared_texts_new();
	for (int i = 0; i < CLUSTER; i++) {
		nodes[i] = typical_node(i);
		node_share(nodes[i], texts);
		pods[i] = typical_pod(i);
		pod_share(pods[i], texts);
	}
	used = mallinfo2().uordblks - before;
	/* Under sanitizers the figure is not malloc's. */
	ck_assert_msg(getenv("DRAVE_SANITIZED") != NULL || used < (size_t)5 << 20, "%zu KiB", used / 1024);
	for (int i = 0; i < CLUSTER; i++) {
		node_free(nodes[i]);
		pod_free(pods[i]);
	}
	shared_texts_free(texts);
}
END_TEST

UNIT_MAIN("kube_object", metadata_is_read_whole, what_is_absent_is_empty,
    wrong_metadata_is_refused_with_a_sentence, of_a_repeated_label_the_last_counts,
    versions_compare_as_numbers, times_are_read_and_written, numbers_are_whole_and_fit, what_is_shared_reads_as_before,
    five_thousand_nodes_and_pods_fit_in_five_mebibytes)

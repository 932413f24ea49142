/* A template's canonical bytes, their hash, and the pods made of it. */
#include "config.h"

#include "controller/pod_template.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

#define CONTAINERS "\"containers\":[{\"name\":\"c\",\"image\":\"foo/bar\"}]"

static struct pod_template *read_template(const char *text)
{
	cJSON *json = objects_json("%s", text);
	struct pod_template *pod_template = NULL;
	struct err err = {.code = 0};

	ck_assert_msg(pod_template_read(&pod_template, json, &err) == 0, "%s", err.text);
	cJSON_Delete(json);
	return pod_template;
}

static cJSON *cast(const struct pod_template *pod_template, const char *node_name, const char *hash)
{
	static const struct kube_meta set = {.name = "foo", .namespace_name = "ns", .uid = "uid-foo"};
	struct pod_mould *mould = pod_mould_new(pod_template, &set, hash);
	struct buf body;
	cJSON *pod;

	buf_init(&body, 4 * POD_TEMPLATE_BYTES);
	pod_mould_cast(mould, node_name, "foo-0123456789-hash", &body);
	pod = cJSON_Parse(buf_text(&body));
	ck_assert_msg(pod != NULL, "no JSON: %s", buf_text(&body));
	buf_release(&body);
	pod_mould_free(mould);
	return pod;
}

static void check_equal(const cJSON *is, const char *expected, const char *what)
{
	cJSON *wanted = objects_json("%s", expected);
	char *text = cJSON_Print(is);

	ck_assert_msg(cJSON_Compare(is, wanted, true), "%s: %s", what, text);
	cJSON_free(text);
	cJSON_Delete(wanted);
}

#define TOLERATIONS                                                                                          \
	"\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":"     \
	"\"NoExecute\"},{\"key\":\"node.kubernetes.io/unreachable\",\"operator\":\"Exists\",\"effect\":"     \
	"\"NoExecute\"},{\"key\":\"node.kubernetes.io/disk-pressure\",\"operator\":\"Exists\",\"effect\":"   \
	"\"NoSchedule\"},{\"key\":\"node.kubernetes.io/"                                                     \
	"memory-pressure\",\"operator\":\"Exists\",\"effect\":"                                              \
	"\"NoSchedule\"},{\"key\":\"node.kubernetes.io/pid-pressure\",\"operator\":\"Exists\",\"effect\":"   \
	"\"NoSchedule\"},{\"key\":\"node.kubernetes.io/unschedulable\",\"operator\":\"Exists\",\"effect\":"  \
	"\"NoSchedule\"}]"
#define NODE_TERM                                                                                            \
	"\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{\"matchFields\":[{"     \
	"\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"host_1\"]}]}]}"

/* The whole pod, member by member: what the template has, and nothing else beside what is added. */
START_TEST(TestCreatePodTemplate)
{
	struct pod_template *pod_template = read_template(
	    "{\"metadata\":{\"name\":\"ignored\",\"generateName\":\"ignored\",\"labels\":{\"app\":\"a\","
	    "\"controller-revision-hash\":\"stale\"},\"annotations\":{\"note\":\"n\"},\"finalizers\":["
	    "\"example.com/f\"]},\"spec\":{" CONTAINERS ",\"hostPID\":true,\"unheardOf\":{\"x\":[1,2.5]}}}");
	cJSON *before = cJSON_Duplicate(pod_template->tree, true);
	cJSON *pod = cast(pod_template, "host_1", "hash");

	check_equal(pod,
	    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"foo-0123456789-hash\","
	    "\"namespace\":"
	    "\"ns\",\"labels\":{\"app\":\"a\",\"controller-revision-hash\":\"hash\"},\"annotations\":{"
	    "\"note\":\"n\"}"
	    ",\"finalizers\":[\"example.com/f\"],\"ownerReferences\":[{\"apiVersion\":\"drave.dev/v1alpha1\","
	    "\"kind\":\"CollectorSet\",\"name\":\"foo\",\"uid\":\"uid-foo\",\"controller\":true,"
	    "\"blockOwnerDeletion\":true}]},\"spec\":{" CONTAINERS
	    ",\"hostPID\":true,\"unheardOf\":{\"x\":[1,2.5]}," TOLERATIONS
	    ",\"affinity\":{\"nodeAffinity\":{" NODE_TERM "}}}}",
	    "pod");
	ck_assert_msg(cJSON_Compare(before, pod_template->tree, true), "the template was changed");
	cJSON_Delete(pod);
	cJSON_Delete(before);
	pod_template_free(pod_template);
}
END_TEST

#define PREFERRED                                                                                            \
	"\"preferredDuringSchedulingIgnoredDuringExecution\":[{\"weight\":1,\"preference\":{"                \
	"\"matchExpressions\":[{\"key\":\"zone\",\"operator\":\"Exists\"}]}}]"
#define POD_AFFINITY "\"podAffinity\":{\"x\":1},\"podAntiAffinity\":{\"y\":[2]}"

START_TEST(TestReplaceDaemonSetPodNodeNameNodeAffinity)
{
	static const struct {
		const char *what, *affinity, *expected;
	} rows[] = {
	    {"nil affinity", "null", "{\"nodeAffinity\":{" NODE_TERM "}}"},
	    {"empty affinity", "{}", "{\"nodeAffinity\":{" NODE_TERM "}}"},
	    {"nil node affinity", "{\"nodeAffinity\":null," POD_AFFINITY "}",
		"{\"nodeAffinity\":{" NODE_TERM "}," POD_AFFINITY "}"},
	    {"nil required",
		"{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":null," PREFERRED "}}",
		"{\"nodeAffinity\":{" NODE_TERM "," PREFERRED "}}"},
	    {"required replaced",
		"{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
		"\"nodeSelectorTerms\":[{"
		"\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\"}]}]}}}",
		"{\"nodeAffinity\":{" NODE_TERM "}}"},
	    {"preferred kept",
		"{\"nodeAffinity\":{" PREFERRED
		",\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[]}}}",
		"{\"nodeAffinity\":{" NODE_TERM "," PREFERRED "}}"},
	    {"several terms become one",
		"{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
		"\"nodeSelectorTerms\":[{"
		"\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\"}]},{\"matchFields\":[{\"key\":"
		"\"metadata.name\",\"operator\":\"In\",\"values\":[\"host_2\"]}]}]}}," POD_AFFINITY "}",
		"{\"nodeAffinity\":{" NODE_TERM "}," POD_AFFINITY "}"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *text = xasprintf("{\"spec\":{" CONTAINERS ",\"affinity\":%s}}", rows[i].affinity);
		struct pod_template *pod_template = read_template(text);
		cJSON *pod = cast(pod_template, "host_1", "hash");

		check_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(pod, "spec"), "affinity"),
		    rows[i].expected, rows[i].what);
		cJSON_Delete(pod);
		pod_template_free(pod_template);
		free(text);
	}
}
END_TEST

START_TEST(data_is_canonical_and_ends_in_the_golden_hash)
{
	static const char *const same[] = {
	    "{\"metadata\":{\"labels\":{\"b\":\"2\",\"a\":\"1\"}},\"spec\":{\"containers\":[{\"name\":\"c\","
	    "\"image\":\"foo/bar\",\"ports\":[{\"containerPort\":80}]}],\"hostPID\":true}}",
	    " { \"spec\" : { \"hostPID\" : true , \"containers\" : [ { \"ports\" : [ { \"containerPort\" : "
	    "80 } ], "
	    "\"image\" : \"foo\\/bar\", \"name\" : \"\\u0063\" } ] } , \"metadata\" : { \"labels\" : { \"a\" "
	    ": \"1\", "
	    "\"b\" : \"2\" } } } ",
	};
	static const struct {
		int64_t collision_count;
		const char *hash;
	} golden[] = {{-1, "6dd5768685"}, {0, "74d98cf84f"}, {1, "595dd5bfcb"}, {256, "664c8bfd58"}};
	char hash[POD_HASH_BYTES];

	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		struct pod_template *pod_template = read_template(same[i]);
		struct buf data;

		buf_init(&data, POD_TEMPLATE_BYTES);
		pod_template_data(pod_template, &data);
		ck_assert_str_eq(buf_text(&data),
		    "{\"spec\":{\"template\":{\"$patch\":\"replace\",\"metadata\":{\"labels\":{\"a\":\"1\","
		    "\"b\":"
		    "\"2\"}},\"spec\":{\"containers\":[{\"image\":\"foo/bar\",\"name\":\"c\",\"ports\":[{"
		    "\"containerPort\":80}]}],\"hostPID\":true}}}}");
		for (size_t j = 0; j < sizeof golden / sizeof golden[0]; j++) {
			pod_template_hash(hash, data.data, data.len, golden[j].collision_count);
			ck_assert_str_eq(hash, golden[j].hash);
		}
		buf_release(&data);
		pod_template_free(pod_template);
	}
}
END_TEST

/* FNV-1a 32 of "" is 2166136261 and of "foobar" 0xbf9cf968 = 3214735720, by its authors' tables. */
START_TEST(hash_is_fnv1a_in_the_safe_alphabet)
{
	char hash[POD_HASH_BYTES];

	pod_template_hash(hash, "", 0, -1);
	ck_assert_str_eq(hash, "65bb57b6b5");
	pod_template_hash(hash, "foobar", 6, -1);
	ck_assert_str_eq(hash, "7658c79c64");
}
END_TEST

/* A revision that comes back is sorted as a whole, so the data has to be as well. */
START_TEST(data_of_a_template_with_odd_keys_comes_back_the_same)
{
	struct pod_template *pod_template =
	    read_template("{\"#comment\":\"sorts before $\",\"$patch\":\"x\",\"spec\":{" CONTAINERS "}}");
	struct buf data, again;
	cJSON *tree;

	buf_init(&data, POD_TEMPLATE_BYTES);
	buf_init(&again, POD_TEMPLATE_BYTES);
	pod_template_data(pod_template, &data);
	tree = cJSON_Parse(buf_text(&data));
	pod_template_canonical(tree, &again);
	ck_assert_str_eq(buf_text(&data), buf_text(&again));
	ck_assert_ptr_nonnull(strstr(buf_text(&data), "\"$patch\":\"replace\""));
	ck_assert_ptr_null(strstr(buf_text(&data), "\"$patch\":\"x\""));
	cJSON_Delete(tree);
	buf_release(&data);
	buf_release(&again);
	pod_template_free(pod_template);
}
END_TEST

START_TEST(a_node_and_a_revision_have_one_pod_name)
{
	static const char long_name[] = "a-set-with-a-name-that-is-cut-after-40---bytes-of-it";
	struct pod_name one = pod_name_make("foo", "node-1", "uid-1", "abcd", 1);
	struct pod_name two = pod_name_make("foo", "node-1", "uid-1", "abcd", 2);

	ck_assert_str_eq(one.text, pod_name_make("foo", "node-1", "uid-1", "abcd", 1).text);
	ck_assert_uint_eq(strlen(one.text), strlen("foo-0123456789-abcd"));
	ck_assert_uint_eq(strspn(one.text + 4, "0123456789abcdef"), 10);
	ck_assert_str_eq(one.text + 14, "-abcd");
	ck_assert_uint_eq(strncmp(two.text, one.text, strlen(one.text)), 0);
	ck_assert_str_eq(two.text + strlen(one.text), "-2");
	ck_assert_str_ne(one.text, pod_name_make("foo", "node-1", "uid-2", "abcd", 1).text);
	ck_assert_str_ne(one.text, pod_name_make("foo", "node-2", "uid-1", "abcd", 1).text);
	ck_assert_str_ne(
	    pod_name_make("f", "a", "bc", "h", 1).text, pod_name_make("f", "ab", "c", "h", 1).text);
	two = pod_name_make(long_name, "n", "u", "9999999999", UINT32_MAX);
	ck_assert_uint_eq(strncmp(two.text, "a-set-with-a-name-that-is-cut-after-40-", 39), 0);
	ck_assert_ptr_nonnull(strstr(two.text, "-40-"));
	ck_assert_ptr_null(strstr(two.text, "--"));
	ck_assert_str_eq(two.text + strlen(two.text) - 22, "-9999999999-4294967295");
}
END_TEST

START_TEST(what_a_template_may_not_have_is_refused_with_a_sentence)
{
	static const struct {
		const char *text, *sentence;
	} rows[] = {
	    {"{}", "spec.template.spec is missing"},
	    {"{\"spec\":{}}", "containers"},
	    {"{\"spec\":{\"containers\":[]}}", "containers"},
	    {"{\"spec\":{" CONTAINERS ",\"restartPolicy\":\"Never\"}}", "restartPolicy is 'Never'"},
	    {"{\"spec\":{" CONTAINERS ",\"activeDeadlineSeconds\":5}}", "activeDeadlineSeconds"},
	    {"{\"spec\":{" CONTAINERS ",\"ephemeralContainers\":[{}]}}", "ephemeralContainers"},
	    {"{\"spec\":{" CONTAINERS ",\"nodeSelector\":{\"a\":1}}}", "'a' is not a string"},
	    {"{\"spec\":{" CONTAINERS ",\"tolerations\":{}}}", "'tolerations' is not a list"},
	    {"{\"spec\":{" CONTAINERS ",\"affinity\":[]}}", "'affinity' is not an object"},
	    {"{\"spec\":{" CONTAINERS "},\"metadata\":{\"labels\":[]}}", "'labels' is not an object"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		cJSON *json = objects_json("%s", rows[i].text);
		struct pod_template *pod_template = NULL;
		struct err err = {.code = 0};

		ck_assert_int_eq(pod_template_read(&pod_template, json, &err), -EINVAL);
		ck_assert_msg(strstr(err.text, rows[i].sentence) != NULL, "%s", err.text);
		cJSON_Delete(json);
	}
	pod_template_free(read_template(
	    "{\"spec\":{" CONTAINERS ",\"restartPolicy\":\"Always\",\"activeDeadlineSeconds\":null,"
	    "\"ephemeralContainers\":[]}}"));
}
END_TEST

START_TEST(host_ports_are_seen)
{
	static const struct {
		const char *spec;
		bool has;
	} rows[] = {
	    {CONTAINERS, false},
	    {CONTAINERS ",\"hostNetwork\":true", true},
	    {"\"containers\":[{\"ports\":[{\"containerPort\":1}]}]", false},
	    {"\"containers\":[{\"ports\":[{\"hostPort\":0}]}]", false},
	    {"\"containers\":[{},{\"ports\":[{\"hostPort\":9}]}]", true},
	    {CONTAINERS ",\"initContainers\":[{\"ports\":[{\"hostPort\":9}]}]", true},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *text = xasprintf("{\"spec\":{%s}}", rows[i].spec);
		struct pod_template *pod_template = read_template(text);

		ck_assert_msg(pod_template->has_host_port == rows[i].has, "%s", rows[i].spec);
		pod_template_free(pod_template);
		free(text);
	}
}
END_TEST

UNIT_MAIN("pod_template", TestCreatePodTemplate, TestReplaceDaemonSetPodNodeNameNodeAffinity,
    data_is_canonical_and_ends_in_the_golden_hash, hash_is_fnv1a_in_the_safe_alphabet,
    data_of_a_template_with_odd_keys_comes_back_the_same, a_node_and_a_revision_have_one_pod_name,
    what_a_template_may_not_have_is_refused_with_a_sentence, host_ports_are_seen)

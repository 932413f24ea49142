/* Pod objects -> what records carry. */
#include "config.h"
#include "collector/pod_facts.h"

#include <cjson/cJSON.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "outputs/template.h"
#include "tests/unit/unit.h"

static const char *const all_words[] = {"labels", "annotations", "namespace_labels", "node_labels", "owner",
    "image", "image_id", "container_id", "pod_ip"};
static const char *const all_globs[] = {"*"};
static const struct bind_list no_words;
static const struct bind_list every_word = {(char **)(uintptr_t)all_words, 9}; /* nobody writes to them */
static const struct bind_list every_glob = {(char **)(uintptr_t)all_globs, 1};
static const struct metadata_choice everything = {.words = &every_word, .annotations = &every_glob};

static struct pod_facts *facts_of(const char *text, const struct metadata_choice *choice)
{
	cJSON *pod = cJSON_Parse(text);
	struct pod_facts *facts = NULL;
	struct err err = {.code = 0};

	ck_assert_msg(pod != NULL, "no JSON: %s", text);
	ck_assert_msg(pod_facts_read(&facts, pod, choice, &err) == 0, "%s", err.text);
	cJSON_Delete(pod);
	return facts;
}

static void refuse(const char *text)
{
	cJSON *pod = cJSON_Parse(text);
	struct pod_facts *facts = NULL;
	struct err err = {.code = 0};

	ck_assert_msg(pod != NULL, "no JSON: %s", text);
	ck_assert_msg(pod_facts_read(&facts, pod, &everything, &err) < 0, "%s", text);
	ck_assert(err.text[0] != '\0');
	cJSON_Delete(pod);
}

#define POD                                                                                                  \
	"{\"metadata\":{\"name\":\"web-5d9c7b-x2\",\"namespace\":\"shop\",\"uid\":\"u-1\","                  \
	"\"labels\":{\"pod-template-hash\":\"5d9c7b\",\"app\":\"web\"},\"annotations\":{\"a\":\"\\\"1\"},"   \
	"\"ownerReferences\":[{\"kind\":\"Other\",\"name\":\"o\"},"                                          \
	"{\"kind\":\"ReplicaSet\",\"name\":\"web-5d9c7b\",\"controller\":true}]},"                           \
	"\"spec\":{\"containers\":[{\"name\":\"main\",\"image\":\"nginx:1\"},{\"name\":\"side\",\"image\":"  \
	"\"s\"}],"                                                                                           \
	"\"initContainers\":[{\"name\":\"init\",\"image\":\"i\"}]},"                                         \
	"\"status\":{\"podIP\":\"10.0.0.7\",\"containerStatuses\":[{\"name\":\"main\",\"imageID\":\"sha256:" \
	"1\","                                                                                               \
	"\"containerID\":\"containerd://abc\"},{\"name\":\"side\"}],"                                        \
	"\"initContainerStatuses\":[{\"name\":\"init\",\"containerID\":\"plain\"}]}}"

START_TEST(a_pod_is_pruned_to_what_records_carry)
{
	struct pod_facts *facts = facts_of(POD, &everything);
	struct metadata *metadata = pod_metadata_new(facts, "main", 0, NULL, NULL);

	ck_assert_str_eq(facts->uid, "u-1");
	ck_assert_str_eq(facts->namespace_name, "shop");
	ck_assert_str_eq(facts->name, "web-5d9c7b-x2");
	ck_assert_uint_eq(facts->container_count, 3);
	ck_assert_str_eq(facts->refused, "");
	ck_assert(!facts->is_excluded);
	pod_facts_free(facts); /* what records carry does not need them */
	ck_assert_uint_eq(metadata->labels.count, 2);
	ck_assert_str_eq(metadata->labels.items[0].name, "app");
	ck_assert_str_eq(metadata->labels.items[0].value, "web");
	ck_assert_str_eq(metadata->labels.items[1].name, "pod-template-hash");
	ck_assert_uint_eq(metadata->annotations.count, 1);
	ck_assert_str_eq(metadata->annotations.items[0].value, "\"1");
	ck_assert_uint_eq(metadata->namespace_labels.count, 0);
	ck_assert_str_eq(metadata->owner_kind, "Deployment");
	ck_assert_str_eq(metadata->owner_name, "web");
	ck_assert_str_eq(metadata->pod_ip, "10.0.0.7");
	ck_assert_str_eq(metadata->image, "nginx:1");
	ck_assert_str_eq(metadata->image_id, "sha256:1");
	ck_assert_str_eq(metadata->container_id, "abc");
	pod_metadata_free(metadata);
}
END_TEST

START_TEST(each_container_has_its_own)
{
	struct pod_facts *facts = facts_of(POD, &everything);
	struct metadata *init = pod_metadata_new(facts, "init", 0, NULL, NULL),
			*none = pod_metadata_new(facts, "?", 0, NULL, NULL);

	ck_assert_str_eq(init->image, "i");
	ck_assert_str_eq(init->container_id, "plain");
	ck_assert_str_eq(none->image, "");
	ck_assert_uint_eq(none->labels.count, 2);
	pod_metadata_free(init);
	pod_metadata_free(none);
	pod_facts_free(facts);
}
END_TEST

START_TEST(what_was_not_chosen_is_not_kept)
{
	const char *words[] = {"labels:app", NULL};
	struct bind_list metadata_words = {(char **)(uintptr_t)words, 1}, none = {NULL, 0};
	struct metadata_choice choice = {.words = &metadata_words, .annotations = &none};
	struct metadata *metadata;
	struct pod_facts *facts;

	metadata_choice_add_template(&choice, "{annotation:a}");
	facts = facts_of(POD, &choice);
	metadata = pod_metadata_new(facts, "main", 0, NULL, NULL);
	ck_assert_uint_eq(metadata->labels.count, 1);
	ck_assert(!metadata->labels.items[0].is_for_templates_only);
	ck_assert_uint_eq(metadata->annotations.count, 1);
	ck_assert(metadata->annotations.items[0].is_for_templates_only);
	ck_assert_str_eq(metadata->owner_kind, "");
	ck_assert_str_eq(metadata->image, "");
	ck_assert_str_eq(metadata->pod_ip, "");
	pod_metadata_free(metadata);
	pod_facts_free(facts);
	metadata_choice_release(&choice);
}
END_TEST

/* A template may route by it, so it must not hang on how much else the pod says. */
START_TEST(what_a_template_names_is_kept_without_room_for_records)
{
	const struct metadata_choice *all = &everything;
	struct metadata_choice choice = {.words = all->words, .annotations = all->annotations};
	char *large = malloc(POD_LABEL_BYTES + 1), *text;
	struct pod_facts *facts;

	memset(large, 'x', POD_LABEL_BYTES);
	large[POD_LABEL_BYTES - 3 * LABEL_EXTRA_BYTES] = '\0';
	text = xasprintf("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"annotations\":{\"a\":\"%s\",\"b\":\"%.*s\","
			 "\"c\":\"%.*s\",\"d\":\"\"}}}",
	    large, TEMPLATE_VALUE_BYTES, large, TEMPLATE_VALUE_BYTES + 1, large);
	metadata_choice_add_template(&choice, "{annotation:b:-x}{annotation:c}");
	facts = facts_of(text, &choice);
	ck_assert_uint_eq(facts->annotations.count, 3);
	ck_assert_str_eq(facts->annotations.items[0].name, "a");
	ck_assert(!facts->annotations.items[0].is_for_templates_only);
	ck_assert_str_eq(facts->annotations.items[1].name, "b");
	ck_assert(facts->annotations.items[1].is_for_templates_only);
	ck_assert_str_eq(facts->annotations.items[2].name, "d"); /* c is too long for a template, too */
	ck_assert_uint_eq(facts->left_out, 2);
	pod_facts_free(facts);
	metadata_choice_release(&choice);
	free(text);
	free(large);
}
END_TEST

#define OWNED(labels, kind, name)                                                                            \
	"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":{" labels                                    \
	"},\"ownerReferences\":[{\"kind\":\"" kind "\",\"name\":\"" name "\",\"controller\":true}]}}"

START_TEST(only_a_deployments_replica_set_is_named_as_such)
{
	static const struct {
		const char *pod, *kind, *name;
	} rows[] = {
	    {OWNED("\"pod-template-hash\":\"h1\"", "ReplicaSet", "a-b-h1"), "Deployment", "a-b"},
	    {OWNED("\"pod-template-hash\":\"h2\"", "ReplicaSet", "a-b-h1"), "ReplicaSet", "a-b-h1"},
	    {OWNED("", "ReplicaSet", "a-b-h1"), "ReplicaSet", "a-b-h1"},
	    {OWNED("\"pod-template-hash\":\"\"", "ReplicaSet", "a-"), "ReplicaSet", "a-"},
	    {OWNED("\"pod-template-hash\":\"h1\"", "ReplicaSet", "-h1"), "ReplicaSet", "-h1"},
	    {OWNED("\"pod-template-hash\":\"h1\"", "ReplicaSet", "h1"), "ReplicaSet", "h1"},
	    {OWNED("\"pod-template-hash\":\"h1\"", "StatefulSet", "a-h1"), "StatefulSet", "a-h1"},
	    {OWNED("", "CollectorSet", "c"), "CollectorSet", "c"},
	    {OWNED("", "Node", "n"), "", ""},
	    {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"ownerReferences\":[{\"kind\":\"Job\",\"name\":"
	     "\"j\"}]}}",
		"", ""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pod_facts *facts = facts_of(rows[i].pod, &everything);

		ck_assert_str_eq(facts->owner_kind, rows[i].kind);
		ck_assert_str_eq(facts->owner_name, rows[i].name);
		pod_facts_free(facts);
	}
}
END_TEST

/* Bytes that the program has allocated now; 0 under sanitizers, which count for themselves. */
static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

START_TEST(any_number_of_annotations_that_are_not_understood_takes_no_room)
{
	cJSON *pod = cJSON_Parse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"annotations\":{}}}");
	cJSON *annotations = cJSON_GetObjectItem(cJSON_GetObjectItem(pod, "metadata"), "annotations");
	struct metadata_choice none = {.words = &no_words, .annotations = &no_words};
	struct pod_facts *facts;
	char name[64];
	size_t before;

	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof name, "drave.dev/a-name-that-means-nothing-%u", i);
		ck_assert_ptr_nonnull(cJSON_AddStringToObject(annotations, name, "true"));
	}
	before = allocated();
	ck_assert_int_eq(pod_facts_read(&facts, pod, &none, NULL), 0);
	ck_assert_str_eq(facts->refused, "drave.dev/a-name-that-means-nothing-1999");
	ck_assert_uint_lt(allocated() - before, 8192);
	pod_facts_free(facts);
	cJSON_Delete(pod);
}
END_TEST

#define MIRROR                                                                                               \
	"{\"metadata\":{\"name\":\"etcd-n\",\"uid\":\"u-mirror\",\"annotations\":{"                          \
	"\"kubernetes.io/config.hash\":\"h-static\",\"kubernetes.io/config.mirror\":\"h-static\"}}}"

START_TEST(a_static_pod_is_filed_under_the_uid_of_its_logs)
{
	struct pod_facts *facts = facts_of(MIRROR, &everything);

	ck_assert_str_eq(facts->uid, "h-static");
	ck_assert_str_eq(facts->object_uid, "u-mirror");
	pod_facts_free(facts);
	/* kubelet's own list has the static pod itself */
	facts =
	    facts_of("{\"metadata\":{\"name\":\"etcd-n\",\"uid\":\"h-static\",\"annotations\":{"
		     "\"kubernetes.io/config.hash\":\"h-static\",\"kubernetes.io/config.source\":\"file\"}}}",
		&everything);
	ck_assert_str_eq(facts->uid, "h-static");
	pod_facts_free(facts);
}
END_TEST

#define ANNOTATED(annotations)                                                                               \
	"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"annotations\":{" annotations "}}}"

START_TEST(annotations_of_ours_exclude_or_are_refused)
{
	static const struct {
		const char *pod;
		bool is_excluded;
		const char *refused;
	} rows[] = {
	    {ANNOTATED("\"drave.dev/exclude\":\"true\""), true, ""},
	    {ANNOTATED("\"drave.dev/exclude\":\"false\""), false, ""},
	    {ANNOTATED("\"drave.dev/exclude\":\"yes\""), false, "drave.dev/exclude"},
	    {ANNOTATED("\"drave.dev/parser\":\"json\""), false, "drave.dev/parser"},
	    {ANNOTATED("\"drave.dev/parser\":\"json\",\"drave.dev/exclude\":\"true\""), true,
		"drave.dev/parser"},
	    {ANNOTATED("\"drave.dev/locks-state\":\"true\""), false, ""},
	    {ANNOTATED("\"drave.development/x\":\"true\""), false, ""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pod_facts *facts = facts_of(rows[i].pod, &everything);

		ck_assert_int_eq(facts->is_excluded, rows[i].is_excluded);
		ck_assert_str_eq(facts->refused, rows[i].refused);
		pod_facts_free(facts);
	}
}
END_TEST

#define THREE(annotations)                                                                                   \
	"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"annotations\":{" annotations                          \
	"}},\"spec\":{\"containers\":[{\"name\":\"app\"},{\"name\":\"side\"}],"                              \
	"\"initContainers\":[{\"name\":\"init\"}]}}"

START_TEST(a_container_is_excluded_alone_or_spared_alone)
{
	static const struct {
		const char *pod, *excluded, *refused;
	} rows[] = {
	    {THREE(""), "", ""},
	    {THREE("\"drave.dev/exclude\":\"true\""), "app side init other ", ""},
	    {THREE("\"drave.dev/exclude-side\":\"true\""), "side ", ""},
	    {THREE("\"drave.dev/exclude-init\":\"true\",\"drave.dev/exclude-app\":\"true\""), "app init ",
		""},
	    {THREE("\"drave.dev/exclude-app\":\"false\",\"drave.dev/exclude\":\"true\""), "side init other ",
		""},
	    {THREE("\"drave.dev/exclude\":\"false\",\"drave.dev/exclude-app\":\"true\""), "app ", ""},
	    {THREE("\"drave.dev/exclude-ap\":\"true\""), "", "drave.dev/exclude-ap"},
	    {THREE("\"drave.dev/exclude-\":\"true\""), "", "drave.dev/exclude-"},
	    {THREE("\"drave.dev/exclude-app\":\"True\""), "", "drave.dev/exclude-app"},
	};
	static const char *const names[] = {"app", "side", "init", "other"};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pod_facts *facts = facts_of(rows[i].pod, &everything);
		char excluded[64] = "";

		for (size_t j = 0; j < 4; j++) {
			size_t len = strlen(excluded);

			if (pod_facts_excludes(facts, names[j]))
				(void)snprintf(excluded + len, sizeof excluded - len, "%s ", names[j]);
		}
		ck_assert_str_eq(excluded, rows[i].excluded);
		ck_assert_str_eq(facts->refused, rows[i].refused);
		ck_assert_int_eq(pod_facts_has_exclusion(facts), excluded[0] != '\0');
		pod_facts_free(facts);
	}
}
END_TEST

START_TEST(wrong_types_are_refused_whole)
{
	refuse("{}");
	refuse("[]");
	refuse("{\"metadata\":{\"name\":\"p\"}}");
	refuse("{\"metadata\":{\"uid\":\"u\"}}");
	refuse("{\"metadata\":{\"name\":\"p\",\"uid\":7}}");
	refuse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":{\"a\":1}}}");
	refuse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":[]}}");
	refuse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"annotations\":{\"drave.dev/exclude\":true}}}");
	refuse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"spec\":{\"containers\":{}}}");
	refuse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"spec\":{\"containers\":[{\"name\":1}]}}");
	refuse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"status\":{\"podIP\":1}}");
}
END_TEST

START_TEST(of_a_repeated_label_the_last_one_counts)
{
	struct pod_facts *facts = facts_of(
	    "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":{\"b\":\"1\",\"a\":\"2\",\"b\":\"3\"}}}",
	    &everything);

	ck_assert_uint_eq(facts->labels.count, 2);
	ck_assert_str_eq(facts->labels.items[0].name, "a");
	ck_assert_str_eq(facts->labels.items[1].value, "3");
	pod_facts_free(facts);
}
END_TEST

START_TEST(what_has_no_room_is_left_out_and_counted)
{
	size_t big = POD_LABEL_BYTES;
	char *long_text = xmalloc(big + 1), *text;
	struct pod_facts *facts;

	memset(long_text, 'x', big);
	long_text[big] = '\0';
	text = xasprintf(
	    "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":{\"l\":\"1\"},"
	    "\"annotations\":{\"a\":\"%s\",\"b\":\"small\"}},\"spec\":{\"containers\":[{\"name\":\"c\","
	    "\"image\":\"%s\"}]}}",
	    long_text, long_text);
	facts = facts_of(text, &everything);
	ck_assert_uint_eq(facts->left_out, 1);
	ck_assert_uint_eq(facts->labels.count, 1);
	ck_assert_uint_eq(facts->annotations.count, 1);
	ck_assert_str_eq(facts->annotations.items[0].name, "b");
	ck_assert_str_eq(facts->containers[0].image, "");
	pod_facts_free(facts);
	free(text);
	free(long_text);
}
END_TEST

START_TEST(equal_facts_have_equal_hashes)
{
	struct pod_facts *whole = facts_of(THREE(""), &everything),
			 *part = facts_of(THREE("\"drave.dev/exclude-side\":\"true\""), &everything);
	struct pod_facts *facts = facts_of(POD, &everything), *same = facts_of(POD, &everything);
	struct pod_facts *other = facts_of(OWNED("", "Job", "j"), &everything);

	ck_assert(facts->hash == same->hash);
	ck_assert(facts->hash != other->hash);
	ck_assert(whole->hash != part->hash);
	pod_facts_free(whole);
	pod_facts_free(part);
	pod_facts_free(facts);
	pod_facts_free(same);
	pod_facts_free(other);
}
END_TEST

START_TEST(namespace_and_node_give_their_labels)
{
	cJSON *object = cJSON_Parse("{\"metadata\":{\"name\":\"shop\",\"labels\":{\"team\":\"a\"}}}");
	struct pod_facts *facts = facts_of(POD, &everything);
	struct label_set *set = NULL;
	struct metadata *metadata;
	struct err err = {.code = 0};

	ck_assert_int_eq(label_set_read(&set, object, &everything, METADATA_NAMESPACE_LABELS, &err), 0);
	ck_assert_str_eq(set->name, "shop");
	metadata = pod_metadata_new(facts, "main", 0, set, set);
	ck_assert_str_eq(metadata->namespace_labels.items[0].value, "a");
	ck_assert_str_eq(metadata->node_labels.items[0].name, "team");
	label_set_free(set);
	pod_metadata_free(metadata);
	pod_facts_free(facts);
	cJSON_Delete(object);
	object = cJSON_Parse("{\"metadata\":{\"labels\":{\"team\":\"a\"}}}");
	ck_assert_int_lt(label_set_read(&set, object, &everything, METADATA_NAMESPACE_LABELS, &err), 0);
	cJSON_Delete(object);
}
END_TEST

UNIT_MAIN("pod_facts", a_pod_is_pruned_to_what_records_carry, each_container_has_its_own,
    what_was_not_chosen_is_not_kept,
    what_a_template_names_is_kept_without_room_for_records, only_a_deployments_replica_set_is_named_as_such,
    a_static_pod_is_filed_under_the_uid_of_its_logs,
    any_number_of_annotations_that_are_not_understood_takes_no_room, annotations_of_ours_exclude_or_are_refused,
    a_container_is_excluded_alone_or_spared_alone, wrong_types_are_refused_whole,
    of_a_repeated_label_the_last_one_counts, what_has_no_room_is_left_out_and_counted,
    equal_facts_have_equal_hashes, namespace_and_node_give_their_labels)

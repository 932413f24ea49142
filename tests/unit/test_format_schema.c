/* What each schema calls what: whole records as they go out, with all that is known of a pod and with nothing but
 * its path; hostile names and values; and how long it can become at most. */
#include "config.h"

#include "outputs/format_schema.h"
#include "tests/unit/unit.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/pod_facts.h"
#include "common/must.h"

#define TIME    "2026-01-31T12:34:56.789012345Z"
#define TIME_NS INT64_C(1769862896789012345)
#define UID     "0f8fad5b-d9cb-469f-a165-70867728950e"
#define SCHEMAS 4

#define LIST(...)                                                                                            \
	{                                                                                                    \
		(const struct label[]){__VA_ARGS__}, sizeof((const struct label[]){__VA_ARGS__}) / sizeof(struct label) \
	}

static const struct metadata nothing = {.owner_kind = "",
    .owner_name = "",
    .pod_ip = "",
    .image = "",
    .image_id = "",
    .container_id = ""};

/* The record "hello" of a pod with these metadata.  The caller frees. */
static char *encoded(enum metadata_schema schema, const struct metadata *metadata)
{
	const struct origin origin = {.namespace_name = "team-a",
	    .pod = "api-7d4b9",
	    .uid = UID,
	    .container = "app",
	    .node = "node-1",
	    .metadata = metadata};
	const struct source source = {&origin, 0x0123456789abcdef, 3};
	const struct format_options options = {.schema = schema};
	const struct record record = {.time = TIME,
	    .time_len = strlen(TIME),
	    .time_ns = TIME_NS,
	    .text = "hello",
	    .len = 5,
	    .stream = RECORD_STDERR};
	struct buf prepared;
	size_t room, len, taken;
	char *out, *text;

	buf_init(&prepared, FORMAT_PREPARED_BYTES);
	format_ndjson.prepare(&options, &source, &prepared);
	room = format_ndjson.bound(&record, prepared.len);
	out = malloc(room);
	len = format_ndjson.encode(
	    &options, &source, prepared.data, prepared.len, &record, out, room, &taken);
	ck_assert_uint_le(len, room);
	ck_assert_uint_eq(taken, 5);
	text = xstrndup(out, len);
	free(out);
	buf_release(&prepared);
	return text;
}

static void check_line(enum metadata_schema schema, const struct metadata *metadata, const char *expected)
{
	char *text = encoded(schema, metadata);

	ck_assert_str_eq(text, expected);
	free(text);
}

#define FLUENTBIT                                                                                            \
	"{\"time\":\"" TIME "\",\"stream\":\"stderr\",\"log\":\"hello\",\"kubernetes\":{"                    \
	"\"namespace_name\":\"team-a\",\"pod_name\":\"api-7d4b9\",\"pod_id\":\"" UID "\","                   \
	"\"container_name\":\"app\",\"host\":\"node-1\""
#define VECTOR                                                                                               \
	"{\"timestamp\":\"" TIME "\",\"stream\":\"stderr\",\"message\":\"hello\",\"kubernetes\":{"           \
	"\"pod_namespace\":\"team-a\",\"pod_name\":\"api-7d4b9\",\"pod_uid\":\"" UID "\","                   \
	"\"container_name\":\"app\",\"pod_node_name\":\"node-1\""
#define ECS_POD                                                                                              \
	"{\"@timestamp\":\"" TIME "\",\"stream\":\"stderr\",\"message\":\"hello\",\"kubernetes\":{"          \
	"\"namespace\":\"team-a\",\"pod\":{\"name\":\"api-7d4b9\",\"uid\":\"" UID "\""
#define ECS_REST ",\"container\":{\"name\":\"app\"},\"node\":{\"name\":\"node-1\""
#define OTEL                                                                                                 \
	"{\"timeUnixNano\":\"1769862896789012345\",\"attributes\":{\"log.iostream\":\"stderr\"},"            \
	"\"body\":\"hello\",\"resource\":{\"attributes\":{\"k8s.namespace.name\":\"team-a\","                \
	"\"k8s.pod.name\":\"api-7d4b9\",\"k8s.pod.uid\":\"" UID "\",\"k8s.container.name\":\"app\","         \
	"\"k8s.container.restart_count\":3,\"k8s.node.name\":\"node-1\""

START_TEST(what_the_path_tells_is_always_there)
{
	const struct metadata *const none[] = {NULL, &nothing};

	for (size_t i = 0; i < 2; i++) {
		check_line(SCHEMA_FLUENTBIT, none[i], FLUENTBIT "}}");
		check_line(SCHEMA_VECTOR, none[i], VECTOR "}}");
		check_line(SCHEMA_ECS, none[i], ECS_POD "}" ECS_REST "}}}");
		check_line(SCHEMA_OTEL, none[i], OTEL "}}}");
	}
}
END_TEST

START_TEST(what_is_known_has_its_standard_names)
{
	const struct metadata known = {
	    .labels = LIST({"app", "api", false}, {"app.kubernetes.io/name", "api", false}, {"tier", "x", true}),
	    .annotations = LIST({"team/x", "a b", false}),
	    .namespace_labels = LIST({"cost", "7", false}),
	    .node_labels = LIST({"topology.kubernetes.io/zone", "z1", false}),
	    .owner_kind = "Deployment",
	    .owner_name = "api",
	    .pod_ip = "10.1.2.3",
	    .image = "registry:5000/team/api:1.2",
	    .image_id = "registry:5000/team/api@sha256:abc",
	    .container_id = "f00",
	};

	check_line(SCHEMA_FLUENTBIT, &known,
	    FLUENTBIT
	    ",\"pod_ip\":\"10.1.2.3\",\"docker_id\":\"f00\",\"container_image\":\"registry:5000/team/api:1.2\","
	    "\"container_hash\":\"registry:5000/team/api@sha256:abc\","
	    "\"labels\":{\"app\":\"api\",\"app.kubernetes.io/name\":\"api\"},\"annotations\":{\"team/x\":\"a b\"},"
	    "\"node_labels\":{\"topology.kubernetes.io/zone\":\"z1\"},"
	    "\"ownerReferences\":[{\"kind\":\"Deployment\",\"name\":\"api\"}]},"
	    "\"kubernetes_namespace\":{\"name\":\"team-a\",\"labels\":{\"cost\":\"7\"}}}");
	check_line(SCHEMA_VECTOR, &known,
	    VECTOR
	    ",\"pod_ip\":\"10.1.2.3\",\"container_id\":\"f00\",\"container_image\":\"registry:5000/team/api:1.2\","
	    "\"container_image_id\":\"registry:5000/team/api@sha256:abc\","
	    "\"pod_labels\":{\"app\":\"api\",\"app.kubernetes.io/name\":\"api\"},"
	    "\"pod_annotations\":{\"team/x\":\"a b\"},"
	    "\"node_labels\":{\"topology.kubernetes.io/zone\":\"z1\"},"
	    "\"namespace_labels\":{\"cost\":\"7\"},\"pod_owner\":\"Deployment/api\"}}");
	check_line(SCHEMA_ECS, &known,
	    ECS_POD
	    ",\"ip\":\"10.1.2.3\"}" ECS_REST ",\"labels\":{\"topology_kubernetes_io_zone\":\"z1\"}},"
	    "\"labels\":{\"app\":\"api\",\"app_kubernetes_io_name\":\"api\"},\"annotations\":{\"team_x\":\"a b\"},"
	    "\"namespace_labels\":{\"cost\":\"7\"},\"deployment\":{\"name\":\"api\"}},"
	    "\"container\":{\"id\":\"f00\",\"image\":{\"name\":\"registry:5000/team/api:1.2\","
	    "\"hash\":{\"all\":[\"sha256:abc\"]}}}}");
	check_line(SCHEMA_OTEL, &known,
	    OTEL
	    ",\"k8s.pod.ip\":\"10.1.2.3\",\"container.id\":\"f00\",\"container.image.name\":\"registry:5000/team/api\","
	    "\"container.image.tags\":[\"1.2\"],\"container.image.id\":\"registry:5000/team/api@sha256:abc\","
	    "\"k8s.deployment.name\":\"api\",\"k8s.pod.label.app\":\"api\","
	    "\"k8s.pod.label.app.kubernetes.io/name\":\"api\",\"k8s.pod.annotation.team/x\":\"a b\","
	    "\"k8s.namespace.label.cost\":\"7\",\"k8s.node.label.topology.kubernetes.io/zone\":\"z1\"}}}");
}
END_TEST

/* The record's object of this path, "a/b" = its member a's member b.  The caller deletes the record. */
static const cJSON *member(cJSON **ret_record, enum metadata_schema schema, const struct metadata *metadata,
    const char *const *path)
{
	char *text = encoded(schema, metadata);
	const cJSON *at;

	*ret_record = cJSON_Parse(text);
	ck_assert_msg(*ret_record != NULL, "no JSON: %s", text);
	at = *ret_record;
	for (; *path != NULL; path++) {
		at = cJSON_GetObjectItemCaseSensitive(at, *path);
		ck_assert_msg(at != NULL, "no %s in %s", *path, text);
	}
	free(text);
	return at;
}

/* Where labels stand, and what their names have before them. */
static const struct {
	const char *path[3];
	const char *prefix;
} label_places[SCHEMAS] = {
    [SCHEMA_FLUENTBIT] = {{"kubernetes", "labels"}, ""},
    [SCHEMA_VECTOR] = {{"kubernetes", "pod_labels"}, ""},
    [SCHEMA_ECS] = {{"kubernetes", "labels"}, ""},
    [SCHEMA_OTEL] = {{"resource", "attributes"}, "k8s.pod.label."},
};

static void check_label(enum metadata_schema schema, const struct metadata *metadata, const char *name,
    const char *value)
{
	char *full_name = xasprintf("%s%s", label_places[schema].prefix, name);
	cJSON *record;
	const cJSON *labels = member(&record, schema, metadata, label_places[schema].path);
	const cJSON *label = cJSON_GetObjectItemCaseSensitive(labels, full_name);

	ck_assert_msg(label != NULL, "no %s in schema %d", full_name, (int)schema);
	ck_assert_str_eq(label->valuestring, value);
	cJSON_Delete(record);
	free(full_name);
}

START_TEST(labels_may_be_anything)
{
	struct metadata metadata = nothing;

	metadata.labels = (struct labels)LIST({"empty", "", false}, {"q\"uo\\te", "\"\\\n\x01", false},
	    {"\xff", "\xc3(\xe2\x82", false}, {"}", "{\"a\":[", false});
	for (int i = 0; i < SCHEMAS; i++) {
		check_label(i, &metadata, "empty", "");
		check_label(i, &metadata, "q\"uo\\te", "\"\\\n\x01");
		check_label(i, &metadata, "\xef\xbf\xbd", "\xef\xbf\xbd(\xef\xbf\xbd");
		check_label(i, &metadata, "}", "{\"a\":[");
	}
}
END_TEST

START_TEST(labels_for_templates_alone_are_not_written)
{
	struct metadata metadata = nothing;

	metadata.labels = (struct labels)LIST({"tier", "x", true});
	metadata.annotations = (struct labels)LIST({"topic", "x", true});
	check_line(SCHEMA_FLUENTBIT, &metadata, FLUENTBIT "}}");
	check_line(SCHEMA_VECTOR, &metadata, VECTOR "}}");
	check_line(SCHEMA_ECS, &metadata, ECS_POD "}" ECS_REST "}}}");
	check_line(SCHEMA_OTEL, &metadata, OTEL "}}}");
}
END_TEST

/* A document with a field twice would be refused. */
START_TEST(names_that_become_the_same_are_written_once)
{
	struct metadata metadata = nothing;

	metadata.labels = (struct labels)LIST({"a.b", "hidden", true}, {"a.b/c", "first", false},
	    {"a/b.c", "second", false}, {"a_b", "other", false}, {"a_b_c", "third", false});
	check_line(SCHEMA_ECS, &metadata,
	    ECS_POD "}" ECS_REST "},\"labels\":{\"a_b_c\":\"first\",\"a_b\":\"other\"}}}");
	check_label(SCHEMA_FLUENTBIT, &metadata, "a_b_c", "third");
	check_label(SCHEMA_OTEL, &metadata, "a/b.c", "second");
}
END_TEST

START_TEST(owners_go_by_their_kind)
{
	static const struct {
		const char *kind, *ecs, *otel;
	} rows[] = {
	    {"Deployment", "\"deployment\":{\"name\":\"o\"}", "\"k8s.deployment.name\":\"o\""},
	    {"ReplicaSet", "\"replicaset\":{\"name\":\"o\"}", "\"k8s.replicaset.name\":\"o\""},
	    {"StatefulSet", "\"statefulset\":{\"name\":\"o\"}", "\"k8s.statefulset.name\":\"o\""},
	    {"DaemonSet", "\"daemonset\":{\"name\":\"o\"}", "\"k8s.daemonset.name\":\"o\""},
	    {"Job", "\"job\":{\"name\":\"o\"}", "\"k8s.job.name\":\"o\""},
	    {"CronJob", "\"cronjob\":{\"name\":\"o\"}", "\"k8s.cronjob.name\":\"o\""},
	    /* one that would stand in the place of something else */
	    {"Pod", "\"owner\":{\"kind\":\"Pod\",\"name\":\"o\"}",
		"\"k8s.owner.kind\":\"Pod\",\"k8s.owner.name\":\"o\""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct metadata metadata = nothing;
		char *ecs = xasprintf("%s}%s},%s}}", ECS_POD, ECS_REST, rows[i].ecs);
		char *otel = xasprintf("%s,%s}}}", OTEL, rows[i].otel);

		metadata.owner_kind = rows[i].kind;
		metadata.owner_name = "o";
		check_line(SCHEMA_ECS, &metadata, ecs);
		check_line(SCHEMA_OTEL, &metadata, otel);
		free(otel);
		free(ecs);
	}
}
END_TEST

START_TEST(an_image_is_a_name_and_a_tag)
{
	static const struct {
		const char *image, *otel;
	} rows[] = {
	    {"nginx", "\"container.image.name\":\"nginx\""},
	    {"nginx:1", "\"container.image.name\":\"nginx\",\"container.image.tags\":[\"1\"]"},
	    {"host:5000/nginx", "\"container.image.name\":\"host:5000/nginx\""},
	    {"host:5000/a/b:v@sha256:c", "\"container.image.name\":\"host:5000/a/b\",\"container.image.tags\":[\"v\"]"},
	    {"nginx@sha256:c", "\"container.image.name\":\"nginx\""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct metadata metadata = nothing;
		char *otel = xasprintf("%s,%s}}}", OTEL, rows[i].otel);

		metadata.image = rows[i].image;
		check_line(SCHEMA_OTEL, &metadata, otel);
		free(otel);
	}
}
END_TEST

START_TEST(a_time_before_the_epoch_is_none_for_opentelemetry)
{
	const struct origin origin = {.namespace_name = "", .pod = "", .uid = "", .container = "", .node = ""};
	const struct source source = {.origin = &origin};
	const struct format_options options = {.schema = SCHEMA_OTEL};
	const struct record record = {.time = "1969-12-31T23:59:59Z", .time_len = 20, .time_ns = -1000000000};
	char out[2048];
	size_t taken, len = format_ndjson.encode(&options, &source, "", 0, &record, out, sizeof out, &taken);

	ck_assert_uint_gt(len, 20);
	ck_assert_mem_eq(out, "{\"timeUnixNano\":\"0\"", 19);
}
END_TEST

/* ---- how long ----------------------------------------------------------------------------------- */

static char *fill(size_t len, char with)
{
	char *text = malloc(len + 1);

	memset(text, with, len);
	text[len] = '\0';
	return text;
}

/* Labels of so many bytes, each byte of which becomes six. */
static void add_labels_of(cJSON *object, size_t bytes)
{
	char *value = fill(500, '\x01');

	for (size_t i = 0; i < bytes / 500; i++) {
		char name[32];

		(void)snprintf(name, sizeof name, "%zu", i);
		cJSON_AddStringToObject(object, name, value);
	}
	free(value);
}

/* A pod that has all of everything, and each as long as it may be. */
static cJSON *longest_pod(void)
{
	cJSON *pod = cJSON_CreateObject(), *metadata = cJSON_AddObjectToObject(pod, "metadata"), *owner, *container;
	char *fact = fill(FACT_BYTES, '\x01');

	cJSON_AddStringToObject(metadata, "name", "p");
	cJSON_AddStringToObject(metadata, "uid", "u");
	add_labels_of(cJSON_AddObjectToObject(metadata, "labels"), POD_LABEL_BYTES);
	add_labels_of(cJSON_AddObjectToObject(metadata, "annotations"), 256 << 10);
	owner = cJSON_CreateObject();
	cJSON_AddItemToArray(cJSON_AddArrayToObject(metadata, "ownerReferences"), owner);
	cJSON_AddStringToObject(owner, "kind", fact);
	cJSON_AddStringToObject(owner, "name", fact);
	cJSON_AddTrueToObject(owner, "controller");
	container = cJSON_CreateObject();
	cJSON_AddItemToArray(cJSON_AddArrayToObject(cJSON_AddObjectToObject(pod, "spec"), "containers"), container);
	cJSON_AddStringToObject(container, "name", "app");
	cJSON_AddStringToObject(container, "image", fact);
	container = cJSON_CreateObject();
	owner = cJSON_AddObjectToObject(pod, "status");
	cJSON_AddStringToObject(owner, "podIP", fact);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(owner, "containerStatuses"), container);
	cJSON_AddStringToObject(container, "name", "app");
	cJSON_AddStringToObject(container, "imageID", fact);
	cJSON_AddStringToObject(container, "containerID", fact);
	free(fact);
	return pod;
}

static const char *const every_word[] = {"labels", "annotations", "namespace_labels", "node_labels", "owner", "image",
    "image_id", "container_id", "pod_ip"};
static const char *const every_glob[] = {"*"};
static const struct bind_list words = {(char **)(uintptr_t)every_word, 9}, globs = {(char **)(uintptr_t)every_glob, 1};

START_TEST(whatever_a_pod_says_fits_with_its_text)
{
	const struct metadata_choice choice = {.words = &words, .annotations = &globs};
	cJSON *pod = longest_pod();
	char *name = fill(253, 'x'), *node = fill(253, '\x01'), *text = fill(900 << 10, 'x');
	struct label_set *others;
	struct pod_facts *facts;
	struct metadata *metadata;

	ck_assert_int_eq(pod_facts_read(&facts, pod, &choice, NULL), 0);
	ck_assert_uint_gt(facts->left_out, 0);
	ck_assert_int_eq(label_set_read(&others, pod, &choice, METADATA_NODE_LABELS, NULL), 0);
	metadata = pod_metadata_new(facts, "app", 0, others, others);
	ck_assert_str_ne(metadata->image_id, "");
	for (int i = 0; i < SCHEMAS; i++) {
		const struct origin origin = {name, name, name, "app", node, metadata, 1};
		const struct source source = {.origin = &origin};
		const struct format_options options = {.schema = (enum metadata_schema)i};
		const struct record record = {
		    .time = TIME, .time_len = strlen(TIME), .text = text, .len = strlen(text)};
		char *out = malloc(500000); /* less than any output takes */
		size_t len, taken;
		struct buf prepared;
		cJSON *read;

		buf_init(&prepared, FORMAT_PREPARED_BYTES);
		format_ndjson.prepare(&options, &source, &prepared);
		ck_assert_uint_gt(prepared.len, FORMAT_PREPARED_BYTES / 2); /* or this tries nothing */
		len = format_ndjson.encode(&options, &source, prepared.data, prepared.len, &record, out, 500000, &taken);
		ck_assert_uint_le(len, 500000);
		ck_assert_uint_gt(taken, 300000);
		read = cJSON_ParseWithLength(out, len);
		ck_assert_ptr_nonnull(read);
		ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(read, "truncated")));
		cJSON_Delete(read);
		free(out);
		buf_release(&prepared);
	}
	pod_metadata_free(metadata);
	label_set_free(others);
	pod_facts_free(facts);
	cJSON_Delete(pod);
	free(text);
	free(node);
	free(name);
}
END_TEST

UNIT_MAIN("format_schema", what_the_path_tells_is_always_there, what_is_known_has_its_standard_names,
    labels_may_be_anything, labels_for_templates_alone_are_not_written, names_that_become_the_same_are_written_once,
    owners_go_by_their_kind, an_image_is_a_name_and_a_tag, a_time_before_the_epoch_is_none_for_opentelemetry,
    whatever_a_pod_says_fits_with_its_text)

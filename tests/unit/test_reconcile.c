/* Reconcile with all that acts, against a small API server that keeps pods and revisions, and shows each
 * change to the store at once. */
#include "config.h"
#include "controller/reconcile.h"

#include <inttypes.h>

#include "common/log.h"
#include "controller/expectations.h"
#include "tests/unit/objects.h"
#include "tests/unit/rig.h"
#include "tests/unit/unit.h"

#define LABELS   "{\"app\":\"x\"}"
#define POD_SPEC "{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}"
#define PODS     "/api/v1/namespaces/ns/pods"
#define EVENTS   "/apis/events.k8s.io/v1/namespaces/ns/events"
#define SETS     "/apis/drave.dev/v1alpha1/namespaces/ns/collectorsets"
#define HISTORY  "/apis/apps/v1/namespaces/ns/controllerrevisions"

static struct world {
	struct rig rig;
	struct store *store;
	struct recorder *recorder;
	struct reconcile *reconcile;
	struct metric_table *metrics;
	unsigned version;
	cJSON *pods, *revisions, *set; /* arrays, and the live set (NULL: none) */
	/* what the server does */
	unsigned creates_allowed; /* then 403; */
	bool is_invalid, is_namespace_going;
	const char *denial;      /* of an admission policy, by 422; NULL = none */
	unsigned silent_creates; /* so many are done, but not answered well */
	unsigned lost_creates;   /* so many are answered with 500 and not done */
	bool hides_pods;         /* the store does not see new ones */
	unsigned conflicts;      /* so many status writes are refused */
	bool breaks_gets, breaks_status, is_node_there;
	/* what was asked */
	unsigned posts, deletes, patches, puts, gets, node_gets, revision_posts, events, others;
	char reasons[4096]; /* of the events */
	char last_message[256];
} world;

/* ---- the server ----------------------------------------------------------------------------- */

static cJSON *meta_of(const cJSON *object)
{
	return cJSON_GetObjectItem(object, "metadata");
}

static const char *meta_text(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(meta_of(object), key));

	return text != NULL ? text : "";
}

static void put_meta(cJSON *object, const char *key, const char *value)
{
	cJSON_DeleteItemFromObject(meta_of(object), key);
	(void)cJSON_AddStringToObject(meta_of(object), key, value);
}

static cJSON *find(cJSON *array, const char *name)
{
	cJSON *object;

	cJSON_ArrayForEach(object, array) if (strcmp(meta_text(object, "name"), name) == 0) return object;
	return NULL;
}

static void new_version(cJSON *object)
{
	char version[16];

	(void)snprintf(version, sizeof version, "%u", ++world.version);
	put_meta(object, "resourceVersion", version);
}

static void show(enum store_kind kind, const cJSON *object, bool is_gone)
{
	const struct reflector_ops *ops = store_reflector_ops(kind);
	void *arg = store_reflector_arg(world.store, kind);
	char version[16];

	if (is_gone)
		ops->on_deleted(arg, object);
	else
		ck_assert(ops->on_object(arg, object));
	(void)snprintf(version, sizeof version, "%u", world.version);
	for (unsigned i = 0; i < STORE_KINDS; i++) /* as bookmarks would */
		ops->on_version(store_reflector_arg(world.store, (enum store_kind)i), version);
}

static int say(struct buf *body, int code, const char *reason, const char *message)
{
	(void)buf_printf(body,
	    "{\"kind\":\"Status\",\"code\":%d,\"reason\":\"%s\",\"message\":\"%s\",\"details\":{\"causes\":[{"
	    "\"reason\":\"%s\"}]}}",
	    code, reason, message, world.is_namespace_going ? "NamespaceTerminating" : "FieldValueInvalid");
	return code;
}

static int say_object(struct buf *body, int code, const cJSON *object)
{
	char *text = cJSON_PrintUnformatted(object);

	(void)buf_add_text(body, text);
	cJSON_free(text);
	return code;
}

static cJSON *keep_new(cJSON *array, cJSON *object)
{
	char uid[64];

	new_version(object);
	(void)snprintf(uid, sizeof uid, "uid-%u", world.version);
	put_meta(object, "uid", uid);
	put_meta(object, "namespace", "ns");
	put_meta(object, "creationTimestamp", "2026-01-01T00:00:00Z");
	cJSON_AddItemToArray(array, object);
	return object;
}

static int create_pod(const char *text, struct buf *body)
{
	cJSON *pod = cJSON_Parse(text);

	ck_assert_ptr_nonnull(pod);
	world.posts++;
	if (find(world.pods, meta_text(pod, "name")) != NULL) {
		cJSON_Delete(pod);
		return say(body, 409, "AlreadyExists", "exists");
	}
	if (world.creates_allowed == 0 || world.is_invalid || world.is_namespace_going ||
	    world.lost_creates > 0 || world.denial != NULL) {
		cJSON_Delete(pod);
		if (world.denial != NULL)
			return say(body, 422, "Invalid", world.denial);
		if (world.lost_creates > 0)
			return world.lost_creates--, say(body, 500, "InternalError", "lost");
		return world.is_invalid ? say(body, 422, "Invalid", "no such field")
					: say(body, 403, "Forbidden", "exceeded quota");
	}
	world.creates_allowed--;
	pod = keep_new(world.pods, pod);
	if (!world.hides_pods)
		show(STORE_PODS, pod, false);
	if (world.silent_creates > 0)
		return world.silent_creates--, say(body, 504, "Timeout", "no answer in time");
	return say_object(body, 201, pod);
}

static int delete_object(
    cJSON *array, enum store_kind kind, const char *name, const char *text, struct buf *body)
{
	cJSON *options = cJSON_Parse(text), *object = find(array, name);
	const char *uid =
	    cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(options, "preconditions"), "uid"));
	bool is_same = object != NULL && uid != NULL && strcmp(uid, meta_text(object, "uid")) == 0;

	cJSON_Delete(options);
	world.deletes++;
	if (object == NULL)
		return say(body, 404, "NotFound", "gone");
	if (!is_same)
		return say(body, 409, "Conflict", "uid");
	object = cJSON_DetachItemViaPointer(array, object);
	new_version(object);
	show(kind, object, true);
	(void)say_object(body, 200, object);
	cJSON_Delete(object);
	return 200;
}

/* Labels and owners as a patch has them; what else a patch says is put in place of what was. */
static int patch_object(
    cJSON *array, enum store_kind kind, const char *name, const char *text, struct buf *body)
{
	cJSON *patch = cJSON_Parse(text), *object = find(array, name), *item, *changes;

	ck_assert_ptr_nonnull(patch);
	world.patches++;
	if (object == NULL) {
		cJSON_Delete(patch);
		return say(body, 404, "NotFound", "gone");
	}
	ck_assert_str_eq(meta_text(patch, "uid"), meta_text(object, "uid"));
	changes = cJSON_GetObjectItem(meta_of(patch), "labels");
	cJSON_ArrayForEach(item, changes)
	{
		cJSON *labels = cJSON_GetObjectItem(meta_of(object), "labels");

		cJSON_DeleteItemFromObject(labels, item->string);
		(void)cJSON_AddStringToObject(labels, item->string, item->valuestring);
	}
	if ((changes = cJSON_GetObjectItem(meta_of(patch), "ownerReferences")) != NULL) {
		cJSON_DeleteItemFromObject(meta_of(object), "ownerReferences");
		if (cJSON_GetObjectItem(changes->child, "$patch") == NULL)
			cJSON_AddItemToObject(
			    meta_of(object), "ownerReferences", cJSON_Duplicate(changes, true));
	}
	if ((item = cJSON_GetObjectItem(patch, "revision")) != NULL) {
		cJSON_DeleteItemFromObject(object, "revision");
		(void)cJSON_AddNumberToObject(object, "revision", item->valuedouble);
	}
	cJSON_Delete(patch);
	new_version(object);
	show(kind, object, false);
	return say_object(body, 200, object);
}

static int put_status(const char *text, struct buf *body)
{
	cJSON *put = cJSON_Parse(text);
	bool is_refused = world.conflicts > 0 || strcmp(meta_text(put, "resourceVersion"),
						     meta_text(world.set, "resourceVersion")) != 0;

	world.puts++;
	if (world.breaks_status || is_refused) {
		world.conflicts -= world.conflicts > 0;
		cJSON_Delete(put);
		return world.breaks_status ? say(body, 403, "Forbidden", "no rights to the status")
					   : say(body, 409, "Conflict", "modified");
	}
	cJSON_DeleteItemFromObject(world.set, "status");
	cJSON_AddItemToObject(world.set, "status", cJSON_DetachItemFromObject(put, "status"));
	cJSON_Delete(put);
	new_version(world.set);
	show(STORE_SETS, world.set, false);
	return say_object(body, 200, world.set);
}

static int get(const cJSON *object, struct buf *body)
{
	world.gets++;
	if (world.breaks_gets)
		return say(body, 403, "Forbidden", "no reading");
	return object != NULL ? say_object(body, 200, object) : say(body, 404, "NotFound", "not there");
}

static int take_event(const char *text)
{
	cJSON *event = cJSON_Parse(text);
	const char *reason = cJSON_GetStringValue(cJSON_GetObjectItem(event, "reason"));
	size_t len = strlen(world.reasons);

	world.events++;
	if (reason != NULL)
		(void)snprintf(world.reasons + len, sizeof world.reasons - len, "%s ", reason);
	cJSON_Delete(event);
	return 201;
}

static int answer_pods(const char *method, const char *name, const char *text, struct buf *body)
{
	if (strcmp(method, "POST") == 0)
		return create_pod(text, body);
	if (strcmp(method, "DELETE") == 0)
		return delete_object(world.pods, STORE_PODS, name, text, body);
	if (strcmp(method, "PATCH") == 0)
		return patch_object(world.pods, STORE_PODS, name, text, body);
	return get(find(world.pods, name), body);
}

static int answer_revisions(const char *method, const char *name, const char *text, struct buf *body)
{
	cJSON *revision;

	if (strcmp(method, "DELETE") == 0)
		return delete_object(world.revisions, STORE_REVISIONS, name, text, body);
	if (strcmp(method, "PATCH") == 0)
		return patch_object(world.revisions, STORE_REVISIONS, name, text, body);
	if (strcmp(method, "GET") == 0)
		return get(find(world.revisions, name), body);
	world.revision_posts++;
	revision = cJSON_Parse(text);
	if (find(world.revisions, meta_text(revision, "name")) != NULL) {
		cJSON_Delete(revision);
		return say(body, 409, "AlreadyExists", "exists");
	}
	revision = keep_new(world.revisions, revision);
	show(STORE_REVISIONS, revision, false);
	return say_object(body, 201, revision);
}

static int answer(void *arg, const char *method, const char *path, const char *text, struct buf *body)
{
	(void)arg;
	if (strncmp(path, EVENTS, strlen(EVENTS)) == 0)
		return (void)buf_add_text(body, "{}"), take_event(text);
	if (strncmp(path, PODS, strlen(PODS)) == 0)
		return answer_pods(method, path + strlen(PODS) + (path[strlen(PODS)] == '/'), text, body);
	if (strncmp(path, HISTORY, strlen(HISTORY)) == 0)
		return answer_revisions(
		    method, path + strlen(HISTORY) + (path[strlen(HISTORY)] == '/'), text, body);
	if (strncmp(path, "/api/v1/nodes/", 14) == 0) {
		world.node_gets++;
		return world.is_node_there ? (void)buf_add_text(body, "{}"),
		       200                 : say(body, 404, "NotFound", "no node");
	}
	if (strcmp(path, SETS "/logs/status") == 0 && strcmp(method, "PUT") == 0)
		return put_status(text, body);
	if (strcmp(path, SETS "/logs") == 0 && strcmp(method, "GET") == 0)
		return get(world.set, body);
	world.others++;
	return say(body, 405, "MethodNotAllowed", path);
}

/* ---- the world ------------------------------------------------------------------------------ */

static void on_node(void *arg, const struct node *before, const struct node *after)
{
	(void)arg;
	reconcile_on_node(world.reconcile, before, after);
}

static void on_pod(void *arg, const struct pod *before, const struct pod *after)
{
	(void)arg;
	reconcile_on_pod(world.reconcile, before, after);
}

static void on_set(void *arg, const struct collector_set *before, const struct collector_set *after)
{
	(void)arg;
	reconcile_on_set(world.reconcile, before, after);
}

static void on_revision(void *arg, const struct revision *before, const struct revision *after)
{
	(void)arg;
	reconcile_on_revision(world.reconcile, before, after);
}

static void on_synced(void *arg)
{
	(void)arg;
}

static void open_world(void)
{
	static const struct store_hooks hooks = {on_node, on_pod, on_set, on_revision, on_synced};
	struct reconcile_parts parts;

	log_setup(LOG_ERROR, LOG_TEXT);
	memset(&world, 0, sizeof world);
	world.version = 100;
	world.creates_allowed = UINT32_MAX;
	world.pods = cJSON_CreateArray();
	world.revisions = cJSON_CreateArray();
	world.store = store_new(&hooks, NULL);
	world.metrics = metric_table_new();
	rig_open(&world.rig, answer, NULL);
	world.recorder = recorder_new(&world.rig.loop, world.rig.client, "test", rig_may_write, &world.rig);
	parts = (struct reconcile_parts){
	    .loop = &world.rig.loop,
	    .client = world.rig.client,
	    .writer = world.rig.writer,
	    .recorder = world.recorder,
	    .store = world.store,
	    .metrics = world.metrics,
	};
	world.reconcile = reconcile_new(&parts);
}

static void close_world(void)
{
	ck_assert_uint_eq(world.others, 0);
	reconcile_close(world.reconcile);
	recorder_close(world.recorder);
	rig_close(&world.rig);
	store_free(world.store);
	metric_table_free(world.metrics);
	cJSON_Delete(world.pods);
	cJSON_Delete(world.revisions);
	cJSON_Delete(world.set);
}

static void add_nodes(unsigned count)
{
	char name[16];

	for (unsigned i = 0; i < count; i++) {
		cJSON *node;

		(void)snprintf(name, sizeof name, "node-%03u", i);
		node = objects_node_json(name, 1, "{}", "[]");
		show(STORE_NODES, node, false);
		cJSON_Delete(node);
	}
}

static void add_set(void)
{
	world.set = objects_set_json("logs", ++world.version, LABELS, POD_SPEC);
	show(STORE_SETS, world.set, false);
}

static void start(unsigned node_count)
{
	open_world();
	add_nodes(node_count);
	add_set();
	reconcile_enable(world.reconcile, true);
}

static bool metric_is(const char *line)
{
	struct buf text;
	bool is_there;

	buf_init(&text, 1 << 20);
	metric_write(world.metrics, &text);
	is_there = strstr(buf_text(&text), line) != NULL;
	buf_release(&text);
	return is_there;
}

static bool is_quiet(void *arg)
{
	struct writer_counts counts = writer_counts(world.rig.writer);

	(void)arg;
	return reconcile_is_idle(world.reconcile) && counts.in_flight + counts.waiting == 0 &&
	       metric_is("drave_controller_queue_depth 0\n");
}

/* Until nothing is under way and nothing is planned. */
static void settle(void)
{
	rig_run_until(&world.rig, is_quiet, NULL);
}

static bool is_at_least(void *arg)
{
	const unsigned *const *pair = arg;

	return *pair[0] >= *pair[1];
}

static void wait_count(const unsigned *count, unsigned wanted)
{
	const unsigned *pair[2] = {count, &wanted};

	rig_run_until(&world.rig, is_at_least, pair);
}

static bool is_busy_over(void *arg)
{
	struct writer_counts counts = writer_counts(world.rig.writer);

	(void)arg;
	return reconcile_is_idle(world.reconcile) && counts.in_flight + counts.waiting == 0;
}

static int status_number(const char *key)
{
	const cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(world.set, "status"), key);

	return item != NULL ? item->valueint : -1;
}

static const char *condition_text(const char *type, const char *key)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItem(cJSON_GetObjectItem(world.set, "status"), "conditions"))
	{
		if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(item, "type")), type) == 0)
			return cJSON_GetStringValue(cJSON_GetObjectItem(item, key));
	}
	return "(none)";
}

static unsigned writes(void)
{
	return world.posts + world.deletes + world.patches + world.puts + world.revision_posts;
}

/* ---- placing -------------------------------------------------------------------------------- */

START_TEST(TestSimpleDaemonSetLaunchesPods)
{
	start(5);
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 5);
	ck_assert_uint_eq(world.posts, 5);
	ck_assert_uint_eq(world.revision_posts, 1);
	ck_assert_int_eq(status_number("desiredNumberScheduled"), 5);
	ck_assert_int_eq(status_number("currentNumberScheduled"), 5);
	ck_assert_int_eq(status_number("updatedNumberScheduled"), 5);
	ck_assert_int_eq(status_number("observedGeneration"), 1);
	ck_assert(metric_is("drave_controller_pods_created_total 5\n"));
	ck_assert(metric_is("drave_controller_set_desired{namespace=\"ns\",name=\"logs\"} 5\n"));
	close_world();
}
END_TEST

START_TEST(nothing_is_done_before_it_is_enabled)
{
	open_world();
	add_nodes(3);
	add_set();
	for (unsigned i = 0; i < 20; i++)
		(void)uv_run(&world.rig.loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(writes(), 0);
	ck_assert(reconcile_is_idle(world.reconcile));
	close_world();
}
END_TEST

START_TEST(a_settled_set_is_not_written_to)
{
	unsigned before;

	start(3);
	settle();
	before = writes();
	reconcile_enable(world.reconcile, true); /* looked at again */
	settle();
	add_nodes(3); /* heartbeats: the same nodes */
	settle();
	ck_assert_uint_eq(writes(), before);
	close_world();
}
END_TEST

START_TEST(more_than_a_burst_is_placed_burst_by_burst)
{
	start(600);
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 600);
	ck_assert_uint_eq(world.posts, 600);
	ck_assert_int_eq(status_number("currentNumberScheduled"), 600);
	ck_assert_uint_le(world.puts, 12); /* far from one a pod */
	close_world();
}
END_TEST

START_TEST(a_node_that_joins_gets_its_pod_and_one_that_is_tainted_loses_it)
{
	cJSON *node;

	start(2);
	settle();
	node = objects_node_json("late", ++world.version, "{}", "[]");
	show(STORE_NODES, node, false);
	cJSON_Delete(node);
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 3);
	node = objects_node_json("late", ++world.version, "{}", "[{\"key\":\"k\",\"effect\":\"NoExecute\"}]");
	show(STORE_NODES, node, false);
	cJSON_Delete(node);
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 2);
	ck_assert_ptr_nonnull(strstr(world.reasons, "SuccessfulDelete"));
	close_world();
}
END_TEST

/* ---- creates that fail ---------------------------------------------------------------------- */

static bool has_reported(void *arg)
{
	return is_busy_over(NULL) && status_number("desiredNumberScheduled") == *(int *)arg &&
	       strcmp(condition_text("Progressing", "reason"), "CreationFailed") == 0;
}

START_TEST(TestSimpleDaemonSetPodCreateErrors)
{
	int desired = 100;

	open_world();
	world.creates_allowed = 10;
	add_nodes(100);
	add_set();
	reconcile_enable(world.reconcile, true);
	rig_run_until(&world.rig, has_reported, &desired);
	ck_assert_uint_le(world.posts, 15);
	ck_assert_int_eq(status_number("currentNumberScheduled"), 10);
	ck_assert_int_eq(status_number("updatedNumberScheduled"), 10);
	ck_assert_ptr_nonnull(strstr(condition_text("Progressing", "message"), "exceeded quota"));
	ck_assert_ptr_nonnull(strstr(world.reasons, "FailedCreate"));
	world.creates_allowed = UINT32_MAX;
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 100);
	ck_assert_str_ne(condition_text("Progressing", "reason"), "CreationFailed");
	close_world();
}
END_TEST

START_TEST(TestDaemonSetPodCreateExpectationsError)
{
	int desired = 100;
	struct buf status;

	open_world();
	world.creates_allowed = 10;
	add_nodes(100);
	add_set();
	reconcile_enable(world.reconcile, true);
	rig_run_until(&world.rig, has_reported, &desired);
	buf_init(&status, 1 << 16);
	reconcile_write_status(world.reconcile, &status);
	ck_assert_ptr_nonnull(strstr(buf_text(&status), "\"waits_for_own_writes\":false"));
	ck_assert_ptr_nonnull(strstr(buf_text(&status), "exceeded quota"));
	buf_release(&status);
	close_world();
}
END_TEST

START_TEST(deletes_follow_also_where_creates_failed)
{
	cJSON *pod, *node;

	open_world();
	world.creates_allowed = 0;
	add_nodes(1);
	add_set();
	node =
	    objects_node_json("evicts", ++world.version, "{}", "[{\"key\":\"k\",\"effect\":\"NoExecute\"}]");
	show(STORE_NODES, node, false);
	cJSON_Delete(node);
	pod = objects_pod_json(
	    "stray", ++world.version, LABELS, objects_owned_by("logs", "uid-logs"), "evicts", "{}");
	cJSON_AddItemToArray(world.pods, pod);
	show(STORE_PODS, pod, false);
	reconcile_enable(world.reconcile, true);
	wait_count(&world.deletes, 1);
	ck_assert_uint_ge(world.posts, 1);
	close_world();
}
END_TEST

START_TEST(what_the_server_calls_invalid_is_not_tried_again)
{
	int desired = 3;
	unsigned tried;
	cJSON *spec;

	open_world();
	world.is_invalid = true;
	add_nodes(3);
	add_set();
	reconcile_enable(world.reconcile, true);
	rig_run_until(&world.rig, has_reported, &desired);
	tried = world.posts;
	settle();
	add_nodes(4); /* an event more */
	settle();
	ck_assert_uint_eq(world.posts, tried);
	ck_assert_str_eq(condition_text("Progressing", "reason"), "CreationFailed");
	world.is_invalid = false;
	cJSON_SetNumberValue(cJSON_GetObjectItem(meta_of(world.set), "generation"), 2);
	spec = cJSON_GetObjectItem(world.set, "spec");
	(void)cJSON_AddNumberToObject(spec, "minReadySeconds", 1);
	new_version(world.set);
	show(STORE_SETS, world.set, false);
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 4);
	close_world();
}
END_TEST

START_TEST(what_a_policy_denies_is_tried_again)
{
	open_world();
	world.denial = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no params found";
	add_nodes(3);
	add_set();
	reconcile_enable(world.reconcile, true);
	wait_count(&world.posts, 2);
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 0);
	world.denial = NULL;
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 3);
	close_world();
}
END_TEST

START_TEST(a_namespace_that_goes_is_left_in_peace)
{
	open_world();
	world.is_namespace_going = true;
	add_nodes(20);
	add_set();
	reconcile_enable(world.reconcile, true);
	wait_count(&world.puts, 1);
	rig_run_until(&world.rig, is_busy_over, NULL);
	ck_assert_uint_eq(world.posts, 1);
	ck_assert_ptr_null(strstr(world.reasons, "FailedCreate"));
	ck_assert(metric_is("drave_controller_sync_errors_total 0\n"));
	close_world();
}
END_TEST

/* ---- unknown outcomes and taken names ------------------------------------------------------- */

START_TEST(a_write_that_was_done_without_an_answer_is_not_done_again)
{
	open_world();
	world.silent_creates = 1;
	add_nodes(3);
	add_set();
	reconcile_enable(world.reconcile, true);
	wait_count(&world.posts, 3);
	settle();
	ck_assert_uint_eq(world.posts, 3);
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 3);
	close_world();
}
END_TEST

START_TEST(a_write_that_was_lost_is_found_out_and_repeated)
{
	open_world();
	world.lost_creates = 1;
	add_nodes(3);
	add_set();
	reconcile_enable(world.reconcile, true);
	wait_count(&world.posts, 4);
	settle();
	ck_assert_uint_ge(world.gets, 1);
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 3);
	close_world();
}
END_TEST

static void hold_name(const char *owner, const char *more_meta, const char *status)
{
	struct collector_set *set = objects_set("logs", LABELS, POD_SPEC);
	char hash[POD_HASH_BYTES];
	struct pod_name name;
	struct buf data;
	cJSON *pod;

	buf_init(&data, 1 << 20);
	pod_template_data(set->pod_template, &data);
	pod_template_hash(hash, data.data, data.len, -1);
	buf_release(&data);
	collector_set_free(set);
	name = pod_name_make("logs", "node-000", "uid-node-000", hash, 1);
	pod = objects_json("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"uid\":\"holder\","
			   "\"resourceVersion\":\"%u\","
			   "\"labels\":{\"app\":\"x\",\"" POD_HASH_LABEL
			   "\":\"%s\"}%s%s},\"spec\":{\"nodeName\":\"node-000\"},"
			   "\"status\":%s}",
	    name.text, ++world.version, hash, owner, more_meta, status);
	cJSON_AddItemToArray(world.pods, pod);
}

START_TEST(a_name_held_by_a_stranger_makes_us_take_the_next)
{
	open_world();
	hold_name(OBJECTS_ORPHAN, "", "{}");
	add_nodes(1);
	add_set();
	reconcile_enable(world.reconcile, true);
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 2);
	ck_assert_str_eq(strrchr(meta_text(cJSON_GetArrayItem(world.pods, 1), "name"), '-'), "-2");
	ck_assert_uint_eq(world.posts, 2);
	close_world();
}
END_TEST

START_TEST(a_name_held_by_a_pod_that_has_ended_makes_us_take_the_next)
{
	open_world();
	hold_name(objects_owned_by("logs", "uid-logs"), ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"",
	    "{\"phase\":\"Failed\"}");
	add_nodes(1);
	add_set();
	show(STORE_PODS, cJSON_GetArrayItem(world.pods, 0), false);
	reconcile_enable(world.reconcile, true);
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 2);
	ck_assert_str_eq(strrchr(meta_text(cJSON_GetArrayItem(world.pods, 1), "name"), '-'), "-2");
	close_world();
}
END_TEST

START_TEST(a_name_held_by_our_own_pod_is_waited_for_quietly)
{
	open_world();
	hold_name(objects_owned_by("logs", "uid-logs"), "", "{\"phase\":\"Running\"}");
	add_nodes(1);
	add_set();
	reconcile_enable(world.reconcile, true);
	wait_count(&world.gets, 1);
	rig_run_until(&world.rig, is_busy_over, NULL);
	ck_assert_uint_eq(world.posts, 1);
	ck_assert(metric_is("drave_controller_sync_errors_total 0\n"));
	show(STORE_PODS, cJSON_GetArrayItem(world.pods, 0), false); /* the cache catches up */
	settle();
	ck_assert_uint_eq(world.posts, 1);
	ck_assert_int_eq(status_number("currentNumberScheduled"), 1);
	close_world();
}
END_TEST

START_TEST(while_own_pods_are_not_seen_nothing_more_is_created)
{
	open_world();
	world.hides_pods = true;
	add_nodes(2);
	add_set();
	reconcile_enable(world.reconcile, true);
	wait_count(&world.puts, 1);
	reconcile_enable(world.reconcile, true);
	rig_run_until(&world.rig, is_busy_over, NULL);
	ck_assert_uint_eq(world.posts, 2);
	show(STORE_PODS, cJSON_GetArrayItem(world.pods, 0), false);
	show(STORE_PODS, cJSON_GetArrayItem(world.pods, 1), false);
	settle();
	ck_assert_uint_eq(world.posts, 2);
	ck_assert_int_eq(status_number("currentNumberScheduled"), 2);
	close_world();
}
END_TEST

/* arg: the clock that was held. */
static bool is_quiet_as_time_passes(void *arg)
{
	uint64_t *ms = arg;

	*ms += 50;
	clock_hold(*ms, clock_wall_ns());
	return is_quiet(NULL);
}

/* P-1, P-6: the caches stand still (a watch that stalls) for longer than anything is awaited. */
START_TEST(when_expectations_expire_over_stale_caches_no_node_gets_a_second_pod)
{
	uint64_t began_ms = clock_monotonic_ms();

	open_world();
	clock_hold(began_ms, clock_wall_ns());
	world.hides_pods = true;
	add_nodes(3);
	add_set();
	reconcile_enable(world.reconcile, true);
	wait_count(&world.posts, 3);
	rig_run_until(&world.rig, is_busy_over, NULL);
	clock_hold(began_ms + EXPECTATION_TIMEOUT_MS - 1, clock_wall_ns());
	reconcile_enable(world.reconcile, true);
	rig_run_until(&world.rig, is_busy_over, NULL);
	ck_assert_uint_eq(world.posts, 3);
	for (unsigned i = 1; i <= 3; i++) {
		clock_hold(began_ms + i * EXPECTATION_TIMEOUT_MS, clock_wall_ns());
		reconcile_enable(world.reconcile, true);
		wait_count(&world.posts, 3 * (i + 1)); /* it asks again, by the same names */
		rig_run_until(&world.rig, is_busy_over, NULL);
		ck_assert_int_eq(cJSON_GetArraySize(world.pods), 3);
	}
	for (int i = 0; i < 3; i++) /* the watch goes on */
		show(STORE_PODS, cJSON_GetArrayItem(world.pods, i), false);
	began_ms = clock_monotonic_ms();
	rig_run_until(&world.rig, is_quiet_as_time_passes, &began_ms);
	clock_release();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 3);
	ck_assert_uint_eq(world.deletes, 0);
	ck_assert_int_eq(status_number("currentNumberScheduled"), 3);
	close_world();
}
END_TEST

/* ---- adopting, releasing, absence ----------------------------------------------------------- */

static void add_pod(const char *name, const char *labels, const char *owner, const char *node)
{
	cJSON *pod = objects_pod_json(name, ++world.version, labels, owner, node, "{}");

	cJSON_AddItemToArray(world.pods, pod);
	show(STORE_PODS, pod, false);
}

START_TEST(TestDontDoAnythingIfBeingDeletedRace)
{
	open_world();
	add_nodes(5);
	add_set();
	add_pod("orphan", LABELS, OBJECTS_ORPHAN, "node-000");
	put_meta(world.set, "deletionTimestamp", "2026-01-01T00:00:00Z"); /* the cache does not know yet */
	reconcile_enable(world.reconcile, true);
	wait_count(&world.gets, 2);
	ck_assert_uint_eq(writes(), 0);
	close_world();
}
END_TEST

START_TEST(TestDontDoAnythingIfBeingDeleted)
{
	open_world();
	add_nodes(5);
	world.set = objects_set_json("logs", ++world.version, LABELS, POD_SPEC);
	put_meta(world.set, "deletionTimestamp", "2026-01-01T00:00:00Z");
	show(STORE_SETS, world.set, false);
	reconcile_enable(world.reconcile, true);
	settle();
	ck_assert_uint_eq(writes() + world.gets, 0);
	close_world();
}
END_TEST

START_TEST(an_orphan_is_adopted_and_what_no_longer_matches_is_released)
{
	open_world();
	add_nodes(2);
	add_set();
	add_pod("orphan", LABELS, OBJECTS_ORPHAN, "node-000");
	add_pod("astray", "{\"app\":\"z\"}", objects_owned_by("logs", "uid-logs"), "node-001");
	reconcile_enable(world.reconcile, true);
	wait_count(&world.patches, 2);
	ck_assert_ptr_nonnull(cJSON_GetObjectItem(meta_of(find(world.pods, "orphan")), "ownerReferences"));
	ck_assert_ptr_null(cJSON_GetObjectItem(meta_of(find(world.pods, "astray")), "ownerReferences"));
	ck_assert_uint_eq(world.gets, 1); /* once a sync, before adopting */
	close_world();
}
END_TEST

START_TEST(a_missing_node_is_asked_for_before_a_pod_is_deleted_for_it)
{
	cJSON *pod;

	open_world();
	world.is_node_there = true;
	add_nodes(1);
	add_set();
	pod = objects_json(
	    "{\"metadata\":{\"name\":\"unbound\",\"namespace\":\"ns\",\"uid\":\"u1\",\"resourceVersion\":\"%"
	    "u\","
	    "\"labels\":" LABELS "%s},\"spec\":{\"affinity\":{\"nodeAffinity\":{"
	    "\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{\"matchFields\":[{"
	    "\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"far\"]}]}]}}}},\"status\":{}}",
	    ++world.version, objects_owned_by("logs", "uid-logs"));
	cJSON_AddItemToArray(world.pods, pod);
	show(STORE_PODS, pod, false);
	reconcile_enable(world.reconcile, true);
	wait_count(&world.node_gets, 1);
	rig_run_until(&world.rig, is_busy_over, NULL);
	ck_assert_uint_eq(world.deletes, 0);
	world.is_node_there = false;
	wait_count(&world.deletes, 1);
	settle();
	ck_assert_ptr_null(find(world.pods, "unbound"));
	close_world();
}
END_TEST

/* ---- life and death of sets ----------------------------------------------------------------- */

START_TEST(TestExpectationsOnRecreate)
{
	open_world();
	world.hides_pods = true; /* the first life's pods are never seen */
	add_nodes(1);
	add_set();
	reconcile_enable(world.reconcile, true);
	wait_count(&world.posts, 1);
	rig_run_until(&world.rig, is_busy_over, NULL);
	new_version(world.set);
	show(STORE_SETS, world.set, true);
	ck_assert(!metric_is("drave_controller_set_desired{"));
	cJSON_Delete(world.pods);
	world.pods = cJSON_CreateArray();
	cJSON_Delete(world.revisions);
	world.revisions = cJSON_CreateArray();
	put_meta(world.set, "uid", "uid-second-life");
	cJSON_DeleteItemFromObject(world.set, "status");
	new_version(world.set);
	world.hides_pods = false;
	show(STORE_SETS, world.set, false);
	wait_count(&world.posts, 2);
	settle();
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 1);
	close_world();
}
END_TEST

/* A list of the sets, in which only the live one stands, if there is one. */
static void relist_sets(void)
{
	const struct reflector_ops *ops = store_reflector_ops(STORE_SETS);
	void *arg = store_reflector_arg(world.store, STORE_SETS);

	ops->on_list_begin(arg);
	if (world.set != NULL)
		ck_assert(ops->on_object(arg, world.set));
	ck_assert(ops->on_list_end(arg, true));
}

/* Nobody has heard how the set ended: it is missing in a list.  Upstream gets the last state that it knows of
 * it, a tombstone, and queues its key; here too it is looked at, and found to be gone. */
START_TEST(TestDeleteFinalStateUnknown)
{
	cJSON *first;
	unsigned before;

	start(2);
	settle();
	ck_assert(metric_is("drave_controller_set_desired{"));
	first = world.set;
	world.set = NULL;
	relist_sets();
	ck_assert(!metric_is("drave_controller_set_desired{"));
	before = writes();
	add_nodes(3); /* another node is nobody's business now */
	settle();
	ck_assert_uint_eq(writes(), before);
	world.set = first; /* a second life under the same key has nothing of the first */
	put_meta(world.set, "uid", "uid-second-life");
	cJSON_DeleteItemFromObject(world.set, "status");
	new_version(world.set);
	relist_sets();
	wait_count(&world.posts, 3);
	settle();
	ck_assert(metric_is("drave_controller_set_desired{"));
	ck_assert_int_eq(status_number("desiredNumberScheduled"), 3);
	close_world();
}
END_TEST

START_TEST(a_set_that_goes_in_the_middle_takes_its_writes_along)
{
	start(200);
	wait_count(&world.posts, 40);
	new_version(world.set);
	show(STORE_SETS, world.set, true);
	rig_run_until(&world.rig, is_quiet, NULL);
	ck_assert_uint_lt(world.posts, 200);
	close_world();
}
END_TEST

START_TEST(closing_in_the_middle_is_safe)
{
	start(200);
	wait_count(&world.posts, 40);
	close_world();
}
END_TEST

START_TEST(once_disabled_nothing_new_is_sent)
{
	unsigned before, then;

	start(200);
	wait_count(&world.posts, 40);
	then = writes();
	reconcile_enable(world.reconcile, false);
	rig_run_until(&world.rig, is_busy_over, NULL);
	before = writes();
	ck_assert_uint_le(before, then + WRITER_WINDOW);
	for (unsigned i = 0; i < 50; i++)
		(void)uv_run(&world.rig.loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(writes(), before);
	close_world();
}
END_TEST

/* ---- status --------------------------------------------------------------------------------- */

/* Rows of upstream's TestStoreDaemonSetStatus: updates, gets, and whether it is an error. */
static void store_status(unsigned conflicts, bool breaks_gets, unsigned puts, unsigned gets, bool is_error)
{
	open_world(); /* no nodes: only revision and status are written */
	add_set();
	world.conflicts = conflicts;
	world.breaks_gets = breaks_gets;
	reconcile_enable(world.reconcile, true);
	wait_count(&world.puts, puts);
	wait_count(&world.gets, gets);
	rig_run_until(&world.rig, is_busy_over, NULL);
	ck_assert_uint_eq(world.puts, puts);
	ck_assert_uint_eq(world.gets, gets);
	ck_assert(metric_is(
	    is_error ? "drave_controller_sync_errors_total 1\n" : "drave_controller_sync_errors_total 0\n"));
	close_world();
}

START_TEST(TestStoreDaemonSetStatus)
{
	store_status(0, false, 1, 0, false);
	store_status(1, false, 2, 1, false);
	store_status(2, false, 2, 1, true);
	store_status(1, true, 1, 1, true);
}
END_TEST

START_TEST(TestSimpleDaemonSetUpdatesStatusError)
{
	struct buf status;

	open_world();
	world.creates_allowed = 0;
	world.breaks_status = true;
	add_nodes(1);
	add_set();
	reconcile_enable(world.reconcile, true);
	wait_count(&world.puts, 1);
	rig_run_until(&world.rig, is_busy_over, NULL);
	buf_init(&status, 1 << 16);
	reconcile_write_status(world.reconcile, &status);
	ck_assert_ptr_nonnull(strstr(
	    buf_text(&status), "\"last_error\":\"create pod: exceeded quota")); /* before the status's */
	buf_release(&status);
	close_world();
}
END_TEST

/* ---- history -------------------------------------------------------------------------------- */

START_TEST(a_hash_that_is_taken_raises_the_collision_count)
{
	char hash[POD_HASH_BYTES], name[REVISION_NAME_BYTES];
	struct collector_set *set = objects_set("logs", LABELS, POD_SPEC);
	struct buf data;

	open_world();
	add_nodes(1);
	add_set();
	buf_init(&data, 1 << 20);
	pod_template_data(set->pod_template, &data);
	pod_template_hash(hash, data.data, data.len, -1);
	revision_name(name, "logs", hash);
	buf_release(&data);
	collector_set_free(set);
	cJSON_AddItemToArray(
	    world.revisions, objects_json("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"uid\":"
					  "\"taken\",\"resourceVersion\":\"1\"},"
					  "\"data\":{},\"revision\":1}",
				 name)); /* of somebody else, and not in our cache */
	reconcile_enable(world.reconcile, true);
	settle();
	ck_assert_int_eq(status_number("collisionCount"), 1);
	ck_assert_int_eq(cJSON_GetArraySize(world.revisions), 2);
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 1);
	ck_assert_int_eq(status_number("updatedNumberScheduled"), 1);
	close_world();
}
END_TEST

START_TEST(a_new_template_rolls_out_and_leaves_its_history)
{
	start(3);
	settle();
	cJSON_SetNumberValue(cJSON_GetObjectItem(meta_of(world.set), "generation"), 2);
	cJSON_SetValuestring(
	    cJSON_GetObjectItem(
		cJSON_GetObjectItem(
		    cJSON_GetObjectItem(
			cJSON_GetObjectItem(cJSON_GetObjectItem(world.set, "spec"), "template"), "spec"),
		    "containers")
		    ->child,
		"image"),
	    "j");
	new_version(world.set);
	show(STORE_SETS, world.set, false);
	settle(); /* its pods never become ready: one is replaced after the other, since none is available */
	ck_assert_int_eq(cJSON_GetArraySize(world.revisions), 2);
	ck_assert_int_eq(cJSON_GetArraySize(world.pods), 3);
	ck_assert_int_eq(status_number("updatedNumberScheduled"), 3);
	ck_assert_int_eq(status_number("observedGeneration"), 2);
	close_world();
}
END_TEST

UNIT_MAIN("reconcile", TestSimpleDaemonSetLaunchesPods, nothing_is_done_before_it_is_enabled,
    a_settled_set_is_not_written_to, more_than_a_burst_is_placed_burst_by_burst,
    a_node_that_joins_gets_its_pod_and_one_that_is_tainted_loses_it, TestSimpleDaemonSetPodCreateErrors,
    TestDaemonSetPodCreateExpectationsError, deletes_follow_also_where_creates_failed,
    what_the_server_calls_invalid_is_not_tried_again, what_a_policy_denies_is_tried_again,
    a_namespace_that_goes_is_left_in_peace, a_write_that_was_done_without_an_answer_is_not_done_again,
    a_write_that_was_lost_is_found_out_and_repeated, a_name_held_by_a_stranger_makes_us_take_the_next,
    a_name_held_by_a_pod_that_has_ended_makes_us_take_the_next,
    a_name_held_by_our_own_pod_is_waited_for_quietly, while_own_pods_are_not_seen_nothing_more_is_created,
    when_expectations_expire_over_stale_caches_no_node_gets_a_second_pod,
    TestDontDoAnythingIfBeingDeletedRace, TestDontDoAnythingIfBeingDeleted,
    an_orphan_is_adopted_and_what_no_longer_matches_is_released,
    a_missing_node_is_asked_for_before_a_pod_is_deleted_for_it, TestExpectationsOnRecreate,
    TestDeleteFinalStateUnknown, a_set_that_goes_in_the_middle_takes_its_writes_along,
    closing_in_the_middle_is_safe, once_disabled_nothing_new_is_sent, TestStoreDaemonSetStatus,
    TestSimpleDaemonSetUpdatesStatusError, a_hash_that_is_taken_raises_the_collision_count,
    a_new_template_rolls_out_and_leaves_its_history)

/* A cluster of a test's own, and one sync of one set over it, as upstream's tests of the DaemonSet controller
 * drive theirs: what a sync wants is done at once, so the core loop and the rolling update both act in one
 * sync.  Counts creates, deletes and events. */
#ifndef DRAVE_TESTS_SYNC_H
#define DRAVE_TESTS_SYNC_H

#include <string.h>

#include "controller/claim.h"
#include "controller/core_loop.h"
#include "controller/decide.h"
#include "controller/history.h"
#include "controller/rollout.h"
#include "tests/unit/objects.h"

#define SYNC_OBJECTS 512
#define SYNC_LABEL   "{\"name\":\"simple-daemon\",\"type\":\"production\"}"
#define SYNC_LABEL_2 "{\"name\":\"simple-daemon\",\"type\":\"test\"}"
#define SYNC_NODE    "{\"color\":\"blue\",\"speed\":\"fast\"}"
#define SYNC_SPEC    "{\"containers\":[{\"name\":\"c\",\"image\":\"foo/bar\"}]}"
#define SYNC_ROLLING "{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":1}}"
#define SYNC_DELETE  "{\"type\":\"OnDelete\"}"

struct sync {
	cJSON *set_tree;
	struct collector_set *set;
	struct node *nodes[SYNC_OBJECTS];
	cJSON *pod_trees[SYNC_OBJECTS];
	struct pod *pods[SYNC_OBJECTS];
	struct revision *revisions[SYNC_OBJECTS];
	size_t node_count, pod_count, revision_count;
	struct retry_table *retries;
	int64_t now_ms;
	unsigned number;              /* of names and versions */
	int creates, deletes, events; /* of the last sync */
	size_t releases;
	bool is_satisfied, lives; /* lives: the live GET before an adoption finds the set alive */
	size_t create_limit;      /* further creates are refused */
	size_t create_calls;
	struct set_status status; /* after the last sync */
	char hash[POD_HASH_BYTES];
};

/* ---- the cluster --------------------------------------------------------------------------------------- */

static inline void sync_read_set(struct sync *sync)
{
	struct err err;

	collector_set_free(sync->set);
	ck_assert_msg(collector_set_read(&sync->set, sync->set_tree, &err) == 0, "%s", err.text);
}

static inline struct sync *sync_new(const char *pod_spec, const char *strategy)
{
	struct sync *sync = x_new(sync);
	cJSON *update = cJSON_Parse(strategy);

	sync->set_tree = objects_set_json("foo", 1, SYNC_LABEL, pod_spec);
	ck_assert(update != NULL);
	cJSON_AddItemToObject(cJSON_GetObjectItem(sync->set_tree, "spec"), "updateStrategy", update);
	sync->retries = retry_table_new();
	sync->now_ms = 1000000000;
	sync->is_satisfied = sync->lives = true;
	sync->create_limit = SYNC_OBJECTS;
	sync_read_set(sync);
	return sync;
}

static inline void sync_free(struct sync *sync)
{
	for (size_t i = 0; i < sync->node_count; i++)
		node_free(sync->nodes[i]);
	for (size_t i = 0; i < sync->pod_count; i++) {
		pod_free(sync->pods[i]);
		cJSON_Delete(sync->pod_trees[i]);
	}
	for (size_t i = 0; i < sync->revision_count; i++)
		revision_free(sync->revisions[i]);
	collector_set_free(sync->set);
	cJSON_Delete(sync->set_tree);
	retry_table_free(sync->retries);
	free(sync);
}

/* Replaces a member of the set's spec ("minReadySeconds", "updateStrategy") and raises its generation. */
static inline void sync_change(struct sync *sync, const char *key, const char *json)
{
	cJSON *spec = cJSON_GetObjectItem(sync->set_tree, "spec"), *value = cJSON_Parse(json);
	cJSON *generation =
	    cJSON_GetObjectItem(cJSON_GetObjectItem(sync->set_tree, "metadata"), "generation");

	ck_assert(value != NULL);
	cJSON_DeleteItemFromObject(spec, key);
	cJSON_AddItemToObject(spec, key, value);
	cJSON_SetNumberValue(generation, generation->valuedouble + 1);
	sync_read_set(sync);
}

static inline void sync_change_template(struct sync *sync, const char *pod_spec)
{
	char *json = xasprintf("{\"metadata\":{\"labels\":" SYNC_LABEL "},\"spec\":%s}", pod_spec);

	sync_change(sync, "template", json);
	free(json);
}

static inline void sync_change_image(struct sync *sync, const char *image)
{
	char *json = xasprintf("{\"containers\":[{\"name\":\"c\",\"image\":\"%s\"}]}", image);

	sync_change_template(sync, json);
	free(json);
}

static inline void sync_add_node(struct sync *sync, const char *name, const char *labels, const char *taints)
{
	cJSON *tree = objects_node_json(name, ++sync->number, labels, taints);

	ck_assert(sync->node_count < SYNC_OBJECTS);
	ck_assert_int_eq(node_read(&sync->nodes[sync->node_count++], tree, NULL), 0);
	cJSON_Delete(tree);
}

/* node-FROM to node-(FROM + count - 1). */
static inline void sync_add_nodes(struct sync *sync, int from, int count, const char *labels)
{
	char name[32];

	for (int i = from; i < from + count; i++) {
		(void)snprintf(name, sizeof name, "node-%d", i);
		sync_add_node(sync, name, labels, "[]");
	}
}

/* The hash of the template as it is now. */
static inline const char *sync_hash(const struct sync *sync)
{
	static char hash[POD_HASH_BYTES];
	struct buf data;

	buf_init(&data, 2 * POD_TEMPLATE_BYTES);
	pod_template_data(sync->set->pod_template, &data);
	pod_template_hash(hash, data.data, data.len, sync->set->status.collision_count);
	buf_release(&data);
	return hash;
}

static inline void sync_read_pod(struct sync *sync, size_t i)
{
	struct err err;

	pod_free(sync->pods[i]);
	ck_assert_msg(pod_read(&sync->pods[i], sync->pod_trees[i], &err) == 0, "%s", err.text);
}

static inline size_t sync_take_pod(struct sync *sync, cJSON *tree)
{
	ck_assert(sync->pod_count < SYNC_OBJECTS);
	sync->pod_trees[sync->pod_count] = tree;
	sync->pods[sync->pod_count] = NULL;
	sync_read_pod(sync, sync->pod_count);
	return sync->pod_count++;
}

/* A pod bound to the node (nobody's if set_uid is NULL); hash NULL: that of the template now; "" = none. */
static inline size_t sync_add_pod(
    struct sync *sync, const char *node, const char *labels, const char *set_uid, const char *hash)
{
	char name[64];
	cJSON *tree;

	(void)snprintf(name, sizeof name, "%s-%04u", node, ++sync->number);
	tree = objects_pod_json(name, sync->number, labels,
	    set_uid != NULL ? objects_owned_by("foo", set_uid) : OBJECTS_ORPHAN, node, "{}");
	if (hash == NULL || hash[0] != '\0')
		cJSON_AddStringToObject(cJSON_GetObjectItem(cJSON_GetObjectItem(tree, "metadata"), "labels"),
		    POD_HASH_LABEL, hash != NULL ? hash : sync_hash(sync));
	cJSON_AddStringToObject(
	    cJSON_GetObjectItem(tree, "metadata"), "creationTimestamp", "1970-01-01T00:01:40Z");
	return sync_take_pod(sync, tree);
}

static inline void sync_add_pods(
    struct sync *sync, const char *node, const char *labels, const char *set_uid, int count)
{
	for (int i = 0; i < count; i++)
		(void)sync_add_pod(sync, node, labels, set_uid, NULL);
}

static inline void sync_replace_in(cJSON *object, const char *key, cJSON *value)
{
	cJSON_DeleteItemFromObject(object, key);
	cJSON_AddItemToObject(object, key, value);
}

static inline void sync_set_meta(struct sync *sync, size_t i, const char *key, const char *text)
{
	sync_replace_in(cJSON_GetObjectItem(sync->pod_trees[i], "metadata"), key, cJSON_CreateString(text));
	sync_read_pod(sync, i);
}

static inline void sync_created_at(struct sync *sync, size_t i, int64_t second)
{
	char text[KUBE_TIME_BYTES];

	kube_time_format(text, second * 1000);
	sync_set_meta(sync, i, "creationTimestamp", text);
}

static inline void sync_terminate(struct sync *sync, size_t i)
{
	sync_set_meta(sync, i, "deletionTimestamp", "2026-01-01T00:00:00Z");
}

static inline void sync_set_phase(struct sync *sync, size_t i, const char *phase)
{
	sync_replace_in(
	    cJSON_GetObjectItem(sync->pod_trees[i], "status"), "phase", cJSON_CreateString(phase));
	sync_read_pod(sync, i);
}

/* since_s: lastTransitionTime in seconds since 1970; -1 = as now. */
static inline void sync_set_ready(struct sync *sync, size_t i, bool is_ready, int64_t since_s)
{
	char since[KUBE_TIME_BYTES];
	cJSON *conditions;

	kube_time_format(since, since_s >= 0 ? since_s * 1000 : sync->now_ms);
	conditions = objects_json("[{\"type\":\"Ready\",\"status\":\"%s\",\"lastTransitionTime\":\"%s\"}]",
	    is_ready ? "True" : "False", since);
	sync_replace_in(cJSON_GetObjectItem(sync->pod_trees[i], "status"), "conditions", conditions);
	sync_read_pod(sync, i);
}

static inline void sync_all_ready(struct sync *sync)
{
	for (size_t i = 0; i < sync->pod_count; i++)
		if (!sync->pods[i]->is_ready)
			sync_set_ready(sync, i, true, -1);
}

static inline void sync_remove_pod(struct sync *sync, size_t i)
{
	pod_free(sync->pods[i]);
	cJSON_Delete(sync->pod_trees[i]);
	sync->pod_count--;
	memmove(&sync->pods[i], &sync->pods[i + 1], (sync->pod_count - i) * sizeof sync->pods[0]);
	memmove(
	    &sync->pod_trees[i], &sync->pod_trees[i + 1], (sync->pod_count - i) * sizeof sync->pod_trees[0]);
}

/* ---- one sync ------------------------------------------------------------------------------------------ */

static inline struct view sync_view(const struct sync *sync)
{
	return (struct view){
	    .set = sync->set,
	    .nodes = (const struct node *const *)sync->nodes,
	    .node_count = sync->node_count,
	    .pods = (const struct pod *const *)sync->pods,
	    .pod_count = sync->pod_count,
	    .revisions = (const struct revision *const *)sync->revisions,
	    .revision_count = sync->revision_count,
	    .retries = sync->retries,
	    .now_ms = sync->now_ms,
	    .is_satisfied = sync->is_satisfied,
	};
}

static inline bool sync_has_name(const struct sync *sync, const char *name)
{
	for (size_t i = 0; i < sync->pod_count; i++)
		if (strcmp(sync->pods[i]->meta.name, name) == 0)
			return true;
	return false;
}

static inline void sync_create_pod(struct sync *sync, const struct node *node)
{
	struct pod_mould *mould = pod_mould_new(sync->set->pod_template, &sync->set->meta, sync->hash);
	struct pod_name name = pod_name_make("foo", node->meta.name, node->meta.uid, sync->hash, 1);
	char created[KUBE_TIME_BYTES], uid[32], version[32];
	struct buf body;
	cJSON *tree, *meta;

	for (unsigned attempt = 2; sync_has_name(sync, name.text); attempt++)
		name = pod_name_make("foo", node->meta.name, node->meta.uid, sync->hash, attempt);
	buf_init(&body, 4 * POD_TEMPLATE_BYTES);
	pod_mould_cast(mould, node->meta.name, name.text, &body);
	tree = cJSON_Parse(buf_text(&body));
	ck_assert_msg(tree != NULL, "no JSON: %s", buf_text(&body));
	meta = cJSON_GetObjectItem(tree, "metadata");
	kube_time_format(created, sync->now_ms);
	(void)snprintf(uid, sizeof uid, "uid-%u", ++sync->number);
	(void)snprintf(version, sizeof version, "%u", sync->number);
	cJSON_AddStringToObject(meta, "uid", uid);
	cJSON_AddStringToObject(meta, "resourceVersion", version);
	cJSON_AddStringToObject(meta, "creationTimestamp", created);
	cJSON_AddItemToObject(tree, "status", cJSON_CreateObject());
	(void)sync_take_pod(sync, tree);
	buf_release(&body);
	pod_mould_free(mould);
}

/* batches of 1, 2, 4 ...; one with a refusal is the last. */
static inline void sync_create_pods(struct sync *sync, const struct decision *decision)
{
	size_t total = 0, done = 0, batch = 1;
	const struct node *nodes[SYNC_OBJECTS];

	for (size_t i = 0; i < decision->action_count; i++)
		if (decision->actions[i].kind == ACTION_CREATE_POD)
			nodes[total++] = decision->actions[i].node;
	while (done < total) {
		size_t refused = 0;

		if (batch > total - done)
			batch = total - done;
		for (size_t i = 0; i < batch; i++) {
			sync->create_calls++;
			if (sync->create_limit == 0) {
				refused++;
				continue;
			}
			sync->create_limit--;
			sync->creates++;
			sync_create_pod(sync, nodes[done + i]);
		}
		if (refused != 0)
			return;
		done += batch;
		batch *= 2;
	}
}

static inline void sync_delete_pods(struct sync *sync, const struct decision *decision)
{
	for (size_t i = 0; i < decision->action_count; i++)
		for (size_t j = 0; decision->actions[i].kind == ACTION_DELETE_POD && j < sync->pod_count; j++)
			if (sync->pods[j] == decision->actions[i].pod) {
				sync_remove_pod(sync, j);
				sync->deletes++;
				break;
			}
}

static inline void sync_write_revision(struct sync *sync, int64_t number)
{
	struct buf data, body;
	cJSON *tree, *meta;

	buf_init(&data, 2 * POD_TEMPLATE_BYTES);
	buf_init(&body, 4 * POD_TEMPLATE_BYTES);
	pod_template_data(sync->set->pod_template, &data);
	revision_body(sync->set, sync->hash, number, data.data, data.len, &body);
	tree = cJSON_Parse(buf_text(&body));
	ck_assert_msg(tree != NULL, "no JSON: %s", buf_text(&body));
	meta = cJSON_GetObjectItem(tree, "metadata");
	cJSON_AddStringToObject(meta, "uid", sync->hash);
	cJSON_AddStringToObject(meta, "resourceVersion", "1");
	ck_assert_int_eq(revision_read(&sync->revisions[sync->revision_count++], tree, NULL), 0);
	cJSON_Delete(tree);
	buf_release(&data);
	buf_release(&body);
}

static inline void sync_apply_history(struct sync *sync, const struct decision *decision)
{
	for (size_t i = 0; i < decision->action_count; i++)
		if (decision->actions[i].kind == ACTION_CREATE_REVISION)
			sync_write_revision(sync, decision->actions[i].number);
	sync->releases = decision_count(decision, ACTION_RELEASE_POD);
}

/* What decide() does, piece by piece, each piece's wishes fulfilled before the next. */
static inline void sync_pods(struct sync *sync,
    void (*piece)(const struct view *view, const struct node_table *table, struct decision *decision))
{
	struct view view = sync_view(sync);
	struct decision decision, claims;
	struct node_table table;
	const struct pod **pods;
	size_t count;

	decision_init(&decision);
	decision_init(&claims);
	memcpy(decision.hash, sync->hash, sizeof decision.hash);
	count = claim_pods(&view, &pods, &claims);
	node_table_make(&table, &view, pods, count);
	piece(&view, &table, &decision);
	node_table_release(&table);
	free(pods);
	sync->events += (int)decision.note_count;
	sync_create_pods(sync, &decision);
	sync_delete_pods(sync, &decision);
	decision_release(&decision);
	decision_release(&claims);
}

static inline void sync_run(struct sync *sync)
{
	struct view view = sync_view(sync);
	struct decision decision;

	sync->creates = sync->deletes = sync->events = 0;
	sync->create_calls = 0;
	decision_init(&decision);
	view.is_satisfied = false; /* history and claims only */
	decide(&view, &decision);
	memcpy(sync->hash, decision.hash, sizeof sync->hash);
	if (decision.is_idle) {
		sync->events += (int)decision.note_count;
	} else if (sync->lives || decision_count(&decision, ACTION_ADOPT_POD) == 0) {
		sync_apply_history(sync, &decision);
		if (sync->is_satisfied) {
			sync_pods(sync, core_loop);
			sync_pods(sync, rollout_decide);
		}
		view = sync_view(sync);
		decide_status(&view, sync->hash, sync->is_satisfied, &sync->status);
	}
	decision_release(&decision);
}

#define SYNC_EXPECT(sync, c, d, e)                                                                           \
	do {                                                                                                 \
		sync_run(sync);                                                                              \
		ck_assert_msg((sync)->creates == (c) && (sync)->deletes == (d) && (sync)->events == (e),     \
		    "%d creates, %d deletes, %d events instead of %d/%d/%d", (sync)->creates,                \
		    (sync)->deletes, (sync)->events, (c), (d), (e));                                         \
	} while (0)

#endif

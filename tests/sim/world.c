#include "config.h"

#include "tests/sim/world.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define MIN_READY_KINDS 3

static struct collector_set *variants[TEMPLATES][STRATEGIES][MIN_READY_KINDS];
static const int min_ready_seconds[MIN_READY_KINDS] = {0, 4, 15};

static const char *const templates[TEMPLATES] = {
    "{\"containers\":[{\"name\":\"c\",\"image\":\"a\"}]}",
    "{\"containers\":[{\"name\":\"c\",\"image\":\"b\"}]}",
    "{\"containers\":[{\"name\":\"c\",\"image\":\"c\"}],\"nodeSelector\":{\"zone\":\"a\"}}",
};

static const char *const strategies[STRATEGIES] = {
    "{\"rollingUpdate\":{\"maxUnavailable\":1}}",
    "{\"rollingUpdate\":{\"maxUnavailable\":3}}",
    "{\"rollingUpdate\":{\"maxUnavailable\":\"25%\"}}",
    "{\"type\":\"OnDelete\"}",
    "{\"rollingUpdate\":{\"maxUnavailable\":0,\"maxSurge\":1}}",
    "{\"rollingUpdate\":{\"maxUnavailable\":0,\"maxSurge\":\"30%\"}}",
};

void world_setup(void)
{
	struct err err;

	for (int t = 0; t < TEMPLATES; t++) {
		for (int i = 0; i < STRATEGIES * MIN_READY_KINDS; i++) {
			int s = i / MIN_READY_KINDS, m = i % MIN_READY_KINDS;
			char *text = xasprintf("{\"metadata\":{\"name\":\"" SET_NAME
					       "\",\"namespace\":\"ns\",\"uid\":\"" SET_UID
					       "\",\"resourceVersion\":\"1\",\"generation\":1},\"spec\":{"
					       "\"selector\":{\"matchLabels\":{\"app\":\"x\"}},"
					       "\"template\":{\"metadata\":{\"labels\":{\"app\":\"x\"}},"
					       "\"spec\":%s},\"updateStrategy\":%s,"
					       "\"minReadySeconds\":%d,\"revisionHistoryLimit\":2}}",
			    templates[t], strategies[s], min_ready_seconds[m]);
			cJSON *tree = cJSON_Parse(text);

			must(tree != NULL && collector_set_read(&variants[t][s][m], tree, &err) == 0 &&
			     variants[t][s][m]->complaint == NULL);
			cJSON_Delete(tree);
			free(text);
		}
	}
}

void world_teardown(void)
{
	for (int t = 0; t < TEMPLATES; t++)
		for (int s = 0; s < STRATEGIES; s++)
			for (int m = 0; m < MIN_READY_KINDS; m++)
				collector_set_free(variants[t][s][m]);
}

/* ---- memory, chance, log ------------------------------------------------------------------------------- */

static void *keep(struct world *world, void *memory)
{
	if (world->memory_count == world->memory_room) {
		world->memory_room = world->memory_room == 0 ? 1024 : 2 * world->memory_room;
		world->memory = xrealloc(world->memory, world->memory_room * sizeof world->memory[0]);
	}
	world->memory[world->memory_count++] = memory;
	return memory;
}

static const char *keep_text(struct world *world, const char *text)
{
	return keep(world, xstrdup(text));
}

uint64_t world_draw(struct world *world, uint64_t below)
{
	uint64_t z = world->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

bool world_chance(struct world *world, double probability)
{
	return (double)world_draw(world, 1000000) < probability * 1000000;
}

static void apply(struct state *state, const struct entry *entry)
{
	switch (entry->kind) {
	case ENTRY_NODE: state->nodes[entry->id] = entry->object; break;
	case ENTRY_POD: state->pods[entry->id] = entry->object; break;
	case ENTRY_REVISION: state->revisions[entry->id] = entry->object; break;
	case ENTRY_SET: state->set = entry->object; break;
	case ENTRY_KINDS: break;
	}
}

void world_advance(const struct world *world, struct state *state, enum entry_kind kind, size_t position)
{
	for (; state->positions[kind] < position; state->positions[kind]++)
		if (world->log[state->positions[kind]].kind == kind)
			apply(state, &world->log[state->positions[kind]]);
}

static void put(struct world *world, enum entry_kind kind, size_t id, const void *object)
{
	if (world->log_len == world->log_room) {
		world->log_room = world->log_room == 0 ? 1024 : 2 * world->log_room;
		world->log = xrealloc(world->log, world->log_room * sizeof world->log[0]);
	}
	world->log[world->log_len] = (struct entry){.kind = kind, .id = id, .object = object};
	apply(&world->now, &world->log[world->log_len++]);
}

static const char *next_version(struct world *world)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%zu", world->log_len + 1);
	return keep_text(world, text);
}

/* ---- nodes --------------------------------------------------------------------------------------------- */

#define CORDONED "node.kubernetes.io/unschedulable"

static void put_node(
    struct world *world, size_t id, const char *zone, enum taint_effect effect, bool is_cordoned)
{
	struct node *node = keep(world, x_new(node));
	char name[32], uid[32];

	(void)snprintf(name, sizeof name, "node-%02zu", id);
	(void)snprintf(uid, sizeof uid, "node-uid-%zu", world->births[id]);
	node->meta.name = keep_text(world, name);
	node->meta.uid = keep_text(world, uid);
	node->meta.namespace_name = "";
	node->meta.resource_version = next_version(world);
	node->meta.labels.items = keep(world, xcalloc(1, sizeof node->meta.labels.items[0]));
	node->meta.labels.items[0] = (struct kube_label){"zone", zone};
	node->meta.labels.count = 1;
	node->taints = keep(world, xcalloc(2, sizeof node->taints[0]));
	if (effect != TAINT_OTHER)
		node->taints[node->taint_count++] =
		    (struct taint){.key = "dedicated", .value = "", .effect = effect};
	if (is_cordoned)
		node->taints[node->taint_count++] =
		    (struct taint){.key = CORDONED, .value = "", .effect = TAINT_NO_SCHEDULE};
	put(world, ENTRY_NODE, id, node);
}

static bool is_cordoned(const struct node *node)
{
	return node->taint_count != 0 && strcmp(node->taints[node->taint_count - 1].key, CORDONED) == 0;
}

static enum taint_effect effect_of(const struct node *node)
{
	return node->taint_count != 0 && strcmp(node->taints[0].key, CORDONED) != 0 ? node->taints[0].effect
										    : TAINT_OTHER;
}

static const struct node *random_node(struct world *world, size_t *ret_id)
{
	for (int tries = 0; tries < 8; tries++) {
		*ret_id = world_draw(world, world->node_count);
		if (world->now.nodes[*ret_id] != NULL)
			return world->now.nodes[*ret_id];
	}
	return NULL;
}

/* A new one, or one of a name that there was once, which is another node all the same. */
void world_add_node(struct world *world)
{
	size_t id = world->node_count != 0 && world_chance(world, 0.5) ? world_draw(world, world->node_count)
								       : world->node_count;

	if (id == NODE_MAX || world->now.nodes[id] != NULL)
		return;
	world->node_count += id == world->node_count;
	world->births[id] = world->log_len;
	put_node(world, id, world_chance(world, 0.7) ? "a" : "b", TAINT_OTHER, false);
}

bool world_remove_node(struct world *world)
{
	size_t id;

	if (random_node(world, &id) == NULL)
		return false;
	put(world, ENTRY_NODE, id, NULL);
	world->broken_by_us[id] = false;
	return true;
}

bool world_taint_node(struct world *world)
{
	static const enum taint_effect effects[] = {
	    TAINT_OTHER, TAINT_OTHER, TAINT_NO_SCHEDULE, TAINT_NO_EXECUTE};
	const struct node *node;
	size_t id;

	node = random_node(world, &id);
	if (node == NULL)
		return false;
	put_node(
	    world, id, node->meta.labels.items[0].value, effects[world_draw(world, 4)], is_cordoned(node));
	return true;
}

bool world_cordon_node(struct world *world)
{
	const struct node *node;
	size_t id;

	node = random_node(world, &id);
	if (node == NULL)
		return false;
	put_node(world, id, node->meta.labels.items[0].value, effect_of(node), !is_cordoned(node));
	return true;
}

bool world_relabel_node(struct world *world)
{
	const struct node *node;
	size_t id;

	node = random_node(world, &id);
	if (node == NULL)
		return false;
	put_node(world, id, strcmp(node->meta.labels.items[0].value, "a") == 0 ? "b" : "a", effect_of(node),
	    is_cordoned(node));
	return true;
}

size_t world_node_id(const struct world *world, const char *name)
{
	const char *digits = name + sizeof "node-" - 1; /* two of them */

	(void)world;
	return (size_t)(10 * (digits[0] - '0') + digits[1] - '0');
}

/* ---- the set and its revisions ------------------------------------------------------------------------- */

static void put_set(struct world *world)
{
	struct collector_set *set = keep(world, x_new(set));

	*set = *variants[world->template_index][world->strategy_index]
			[world->min_ready_index]; /* lends everything but what follows */
	set->meta.generation = ++world->generation;
	set->meta.resource_version = next_version(world);
	set->status.observed_generation = world->generation;
	put(world, ENTRY_SET, 0, set);
}

void world_set_template(struct world *world, int index)
{
	world->template_index = index;
	put_set(world);
}

void world_set_strategy(struct world *world, int index)
{
	world->strategy_index = index;
	put_set(world);
}

static struct revision *find_revision(const struct world *world, const char *hash, size_t *ret_id)
{
	for (size_t i = 0; i < world->revision_count; i++)
		if (world->now.revisions[i] != NULL &&
		    strcmp(revision_hash(world->now.revisions[i]), hash) == 0) {
			*ret_id = i;
			return (struct revision *)(uintptr_t)world->now.revisions[i];
		}
	return NULL;
}

const struct revision *world_find_revision(const struct world *world, const char *hash)
{
	size_t id;

	return find_revision(world, hash, &id);
}

static struct kube_owner our_owner(void)
{
	return (struct kube_owner){
	    .kind = COLLECTOR_SET_KIND, .name = SET_NAME, .uid = SET_UID, .api_version = COLLECTOR_SET_API};
}

static void fill_labels(struct world *world, struct kube_meta *meta, const char *hash)
{
	meta->namespace_name = "ns";
	meta->labels.items = keep(world, xcalloc(2, sizeof meta->labels.items[0]));
	meta->labels.items[0] = (struct kube_label){"app", "x"};
	meta->labels.items[1] = (struct kube_label){POD_HASH_LABEL, keep_text(world, hash)};
	meta->labels.count = 2;
	meta->controller = our_owner();
}

void world_write_revision(
    struct world *world, const struct collector_set *set, const char *hash, int64_t number)
{
	const struct revision *old;
	struct revision *revision = keep(world, x_new(revision));
	char name[REVISION_NAME_BYTES];
	struct buf data;
	size_t id;

	old = find_revision(world, hash, &id);
	revision_name(name, SET_NAME, hash);
	revision->meta.name = revision->meta.uid = keep_text(world, name);
	revision->meta.resource_version = next_version(world);
	revision->number = number;
	fill_labels(world, &revision->meta, hash);
	if (old != NULL) {
		revision->meta.controller = old->meta.controller;
		revision->data = old->data;
		revision->data_len = old->data_len;
	} else {
		must(world->revision_count < REVISION_MAX);
		id = world->revision_count++;
		buf_init(&data, 2 * POD_TEMPLATE_BYTES);
		pod_template_data(set->pod_template, &data);
		revision->data = keep(world, data.data);
		revision->data_len = data.len;
	}
	put(world, ENTRY_REVISION, id, revision);
}

void world_delete_revision(struct world *world, const char *hash)
{
	size_t id;

	if (find_revision(world, hash, &id) != NULL)
		put(world, ENTRY_REVISION, id, NULL);
}

/* ---- pods ---------------------------------------------------------------------------------------------- */

static const struct pod *find_by(const struct world *world, const char *name, const char *uid, size_t *ret_id)
{
	for (size_t i = world->pod_count; i-- > 0;) {
		const struct pod *pod = world->now.pods[i];

		if (pod != NULL && (name == NULL || strcmp(pod->meta.name, name) == 0) &&
		    (uid == NULL || strcmp(pod->meta.uid, uid) == 0)) {
			*ret_id = i;
			return pod;
		}
	}
	return NULL;
}

const struct pod *world_find_pod(const struct world *world, const char *name, size_t *ret_id)
{
	return find_by(world, name, NULL, ret_id);
}

/* A copy to be changed, with a new version. */
static struct pod *copy_pod(struct world *world, const struct pod *pod)
{
	struct pod *copy = keep(world, x_new(copy));

	*copy = *pod;
	copy->meta.resource_version = next_version(world);
	return copy;
}

const struct pod *world_create_pod(
    struct world *world, const char *name, const struct node *node, const char *hash)
{
	struct pod *pod = keep(world, x_new(pod));
	char uid[32];

	must(world->pod_count < POD_MAX);
	(void)snprintf(uid, sizeof uid, "pod-uid-%zu", world->pod_count);
	pod->meta.name = keep_text(world, name);
	pod->meta.uid = keep_text(world, uid);
	pod->meta.resource_version = next_version(world);
	pod->meta.created_ms = world->now_ms;
	fill_labels(world, &pod->meta, hash);
	pod->node_name = "";
	pod->target = node->meta.name;
	pod->reason = "";
	put(world, ENTRY_POD, world->pod_count++, pod);
	return pod;
}

bool world_delete_pod(struct world *world, const char *uid)
{
	const struct pod *pod;
	struct pod *copy;
	size_t id;

	pod = find_by(world, NULL, uid, &id);
	if (pod == NULL)
		return false;
	if (pod->node_name[0] == '\0') { /* nobody has to end it */
		put(world, ENTRY_POD, id, NULL);
	} else if (!pod_is_terminating(pod)) {
		copy = copy_pod(world, pod);
		copy->meta.deleted_ms = world->now_ms;
		copy->is_ready = false;
		put(world, ENTRY_POD, id, copy);
	}
	return true;
}

void world_relabel_pod(struct world *world, const char *uid, const char *hash)
{
	const struct pod *pod;
	struct pod *copy;
	size_t id;

	pod = find_by(world, NULL, uid, &id);
	if (pod == NULL)
		return;
	copy = copy_pod(world, pod);
	fill_labels(world, &copy->meta, hash);
	copy->meta.labels.items[0] = pod->meta.labels.items[0];
	copy->meta.controller = pod->meta.controller;
	put(world, ENTRY_POD, id, copy);
}

static const struct pod *random_pod(struct world *world, size_t *ret_id)
{
	for (int tries = 0; tries < 16 && world->pod_count != 0; tries++) {
		*ret_id = world_draw(world, world->pod_count);
		if (world->now.pods[*ret_id] != NULL && !pod_is_terminating(world->now.pods[*ret_id]))
			return world->now.pods[*ret_id];
	}
	return NULL;
}

bool world_fail_pod(struct world *world, const char *reason)
{
	const struct pod *pod;
	struct pod *copy;
	size_t id;

	pod = random_pod(world, &id);
	if (pod == NULL || pod->node_name[0] == '\0')
		return false;
	copy = copy_pod(world, pod);
	copy->phase = POD_FAILED;
	copy->is_ready = false;
	copy->reason = reason;
	put(world, ENTRY_POD, id, copy);
	return true;
}

bool world_unready_pod(struct world *world)
{
	const struct pod *pod;
	struct pod *copy;
	size_t id;

	pod = random_pod(world, &id);
	if (pod == NULL || !pod->is_ready)
		return false;
	copy = copy_pod(world, pod);
	copy->is_ready = false;
	put(world, ENTRY_POD, id, copy);
	return true;
}

bool world_user_deletes_pod(struct world *world)
{
	const struct pod *pod;
	size_t id;

	pod = random_pod(world, &id);
	return pod != NULL && world_delete_pod(world, pod->meta.uid);
}

static void move_on(struct world *world, size_t id)
{
	const struct pod *pod = world->now.pods[id];
	size_t node_id = world_node_id(world, pod->target);
	struct pod *copy;

	if (pod_is_terminating(pod) || (world->now.nodes[node_id] == NULL && pod->node_name[0] != '\0')) {
		put(world, ENTRY_POD, id, NULL); /* ended by its kubelet, or collected with its node */
		return;
	}
	if (pod_is_terminal(pod) || pod->is_ready || world->now.nodes[node_id] == NULL)
		return;
	copy = copy_pod(world, pod);
	if (pod->node_name[0] == '\0') {
		copy->node_name = pod->target;
	} else {
		copy->phase = POD_RUNNING;
		copy->is_ready = true;
		copy->ready_since_ms = world->now_ms;
	}
	put(world, ENTRY_POD, id, copy);
}

void world_kubelets(struct world *world, double chance)
{
	for (size_t i = 0; i < world->pod_count; i++)
		if (world->now.pods[i] != NULL && world_chance(world, chance))
			move_on(world, i);
	world_note_available(world);
}

static bool is_available(const struct world *world, const struct pod *pod)
{
	return world_matches(&pod->meta) &&
	       pod_is_available(pod, min_ready_seconds[world->min_ready_index], world->now_ms);
}

void world_note_available(struct world *world)
{
	if (memchr(world->broken_by_us, true, sizeof world->broken_by_us) == NULL)
		return;
	for (size_t i = 0; i < world->pod_count; i++)
		if (world->now.pods[i] != NULL && is_available(world, world->now.pods[i]))
			world->broken_by_us[world_node_id(world, world->now.pods[i]->target)] = false;
}

bool world_has_successor(const struct world *world, const struct state *state, const struct pod *pod)
{
	for (size_t i = 0; i < world->pod_count; i++) {
		const struct pod *other = state->pods[i];

		if (other != NULL && other != pod && strcmp(other->target, pod->target) == 0 &&
		    is_available(world, other))
			return true;
	}
	return false;
}

int world_living(const struct world *world, const char *node_name, bool count_ending)
{
	int count = 0;

	for (size_t i = 0; i < world->pod_count; i++) {
		const struct pod *pod = world->now.pods[i];

		if (pod != NULL && strcmp(pod->target, node_name) == 0 && world_matches(&pod->meta) &&
		    (world_is_ours(&pod->meta) || !pod_is_terminating(pod)) && !pod_is_terminal(pod) &&
		    (count_ending || !pod_is_terminating(pod)))
			count++;
	}
	return count;
}

/* ---- who owns what ------------------------------------------------------------------------------------- */

bool world_matches(const struct kube_meta *meta)
{
	return strcmp(meta->labels.items[0].value, "x") == 0;
}

bool world_is_ours(const struct kube_meta *meta)
{
	return meta->controller.uid != NULL;
}

static const struct pod *random_own_pod(struct world *world, size_t *ret_id)
{
	const struct pod *pod = random_pod(world, ret_id);

	return pod != NULL && world_is_ours(&pod->meta) && world_matches(&pod->meta) ? pod : NULL;
}

bool world_orphan_pod(struct world *world)
{
	const struct pod *pod;
	struct pod *copy;
	size_t id;

	pod = random_own_pod(world, &id);
	if (pod == NULL)
		return false;
	copy = copy_pod(world, pod);
	copy->meta.controller = (struct kube_owner){.uid = NULL};
	put(world, ENTRY_POD, id, copy);
	return true;
}

bool world_unmatch_pod(struct world *world)
{
	const struct pod *pod;
	struct pod *copy;
	size_t id;

	pod = random_own_pod(world, &id);
	if (pod == NULL)
		return false;
	copy = copy_pod(world, pod);
	fill_labels(world, &copy->meta, pod_hash(pod));
	copy->meta.labels.items[0].value = "looked-into";
	put(world, ENTRY_POD, id, copy);
	return true;
}

bool world_adopt_pod(struct world *world, const char *uid)
{
	const struct pod *pod;
	struct pod *copy;
	size_t id;

	pod = find_by(world, NULL, uid, &id);
	if (pod == NULL || world_is_ours(&pod->meta))
		return false;
	copy = copy_pod(world, pod);
	copy->meta.controller = our_owner();
	put(world, ENTRY_POD, id, copy);
	return true;
}

void world_release_pod(struct world *world, const char *uid)
{
	const struct pod *pod;
	struct pod *copy;
	size_t id;

	pod = find_by(world, NULL, uid, &id);
	if (pod == NULL)
		return;
	copy = copy_pod(world, pod);
	copy->meta.controller = (struct kube_owner){.uid = NULL};
	put(world, ENTRY_POD, id, copy);
}

static const struct revision *random_revision(struct world *world, size_t *ret_id)
{
	for (int tries = 0; tries < 16 && world->revision_count != 0; tries++) {
		*ret_id = world_draw(world, world->revision_count);
		if (world->now.revisions[*ret_id] != NULL)
			return world->now.revisions[*ret_id];
	}
	return NULL;
}

/* A copy to be changed, with a new version. */
static struct revision *copy_revision(struct world *world, const struct revision *revision)
{
	struct revision *copy = keep(world, x_new(copy));

	*copy = *revision;
	copy->meta.resource_version = next_version(world);
	return copy;
}

bool world_orphan_revision(struct world *world)
{
	const struct revision *revision;
	struct revision *copy;
	size_t id;

	revision = random_revision(world, &id);
	if (revision == NULL || !world_is_ours(&revision->meta))
		return false;
	copy = copy_revision(world, revision);
	copy->meta.controller = (struct kube_owner){.uid = NULL};
	put(world, ENTRY_REVISION, id, copy);
	return true;
}

bool world_adopt_revision(struct world *world, const char *hash)
{
	const struct revision *revision;
	struct revision *copy;
	size_t id;

	revision = find_revision(world, hash, &id);
	if (revision == NULL || world_is_ours(&revision->meta))
		return false;
	copy = copy_revision(world, revision);
	copy->meta.controller = our_owner();
	put(world, ENTRY_REVISION, id, copy);
	return true;
}

bool world_double_revision(struct world *world)
{
	const struct revision *revision;
	struct revision *copy;
	char hash[24], name[REVISION_NAME_BYTES];
	size_t id;

	revision = random_revision(world, &id);
	if (revision == NULL || world->revision_count == REVISION_MAX)
		return false;
	copy = copy_revision(world, revision);
	(void)snprintf(hash, sizeof hash, "double%zu", world->revision_count);
	revision_name(name, SET_NAME, hash);
	copy->meta.name = copy->meta.uid = keep_text(world, name);
	fill_labels(world, &copy->meta, hash);
	copy->number += (int64_t)world_draw(world, 3) - 1;
	put(world, ENTRY_REVISION, world->revision_count++, copy);
	return true;
}

bool world_has_leftovers(const struct world *world)
{
	for (size_t i = 0; i < world->pod_count; i++) {
		const struct pod *pod = world->now.pods[i];

		if (pod != NULL && !pod_is_terminating(pod) &&
		    world_matches(&pod->meta) != world_is_ours(&pod->meta))
			return true;
	}
	for (size_t i = 0; i < world->revision_count; i++) {
		const struct revision *one = world->now.revisions[i];

		if (one != NULL && !world_is_ours(&one->meta))
			return true;
	}
	return false;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

void world_init(struct world *world, uint64_t seed, bool may_surge, size_t nodes)
{
	*world = (struct world){.random = seed, .now_ms = 1000000000, .may_surge = may_surge};
	while (world->node_count < nodes)
		world_add_node(world);
	world->strategy_index = (int)world_draw(world, may_surge ? STRATEGIES : SAFE_STRATEGIES);
	world->min_ready_index = (int)world_draw(world, MIN_READY_KINDS);
	put_set(world);
}

void world_release(struct world *world)
{
	for (size_t i = 0; i < world->memory_count; i++)
		free(world->memory[i]);
	free(world->memory);
	free(world->log);
}

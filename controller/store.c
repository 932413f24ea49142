/* Store.  What the API server has, as pruned records, one shelf a kind.
 *
 *   reflector -> on_object, on_deleted, on_list_end -> shelf (an array in order of namespace and name) ->
 * hooks (before, after)
 *
 * The array is all there is: found by halving, handed out as it stands.  Lists come in just this order, so
 * that a record is mostly put at the end; a coming or going in between moves pointers, some 40 KiB of them
 * with 5,000 objects.  So a record costs twelve bytes besides itself, and nothing is ever sorted.
 *
 * A relist is a comparison: each list has a number, each object keeps the number of the last list that named
 * it, and what the whole list did not name is gone when it ends, never before.  Should the nodes shrink by
 * more than a fifth at once, the list is doubted until a consistent one says the same (W2-12).  An object
 * that came back under its name with another UID is two events, an end and a beginning.
 *
 * The store owns all objects, lends them, and writes nowhere. */
#include "config.h"
#include "controller/store.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "common/shared_texts.h"

#define LOG_MODULE "store"

#define SHELF_MAGIC   MAGIC('s', 'h', 'l', 'f')
#define VERSION_BYTES 32
#define NODES_DOUBTED 5 /* a list without more than one in five of the nodes is doubted */

/* All records begin with their meta; the kinds differ in what follows. */
struct record {
	struct kube_meta meta;
};
_Static_assert(offsetof(struct node, meta) == 0, "a record begins with its meta");
_Static_assert(offsetof(struct pod, meta) == 0, "a record begins with its meta");
_Static_assert(offsetof(struct collector_set, meta) == 0, "a record begins with its meta");
_Static_assert(offsetof(struct revision, meta) == 0, "a record begins with its meta");

struct shelf {
	unsigned magic;
	enum store_kind kind;
	struct store *store;
	struct record **records; /* by namespace, then name; owned, as they are */
	unsigned *lists;         /* of each record: the last list that named it */
	size_t count, room;
	unsigned list; /* the number of this list or the last */
	bool is_complete;
	bool is_doubted; /* the last list was not believed */
	char version[VERSION_BYTES];
};

struct store {
	struct store_hooks hooks;
	void *arg;
	bool told_synced;
	struct shared_texts *texts; /* of nodes and pods */
	struct shelf shelves[STORE_KINDS];
};

static struct shelf *shelf_of(void *data)
{
	struct shelf *shelf = data;

	must(shelf->magic == SHELF_MAGIC);
	return shelf;
}

/* ---- the kinds ------------------------------------------------------------------------------ */

static int read_record(
    enum store_kind kind, struct record **ret_record, const struct cJSON *object, struct err *err)
{
	union {
		struct node *node;
		struct pod *pod;
		struct collector_set *set;
		struct revision *revision;
	} read;
	int result = -EINVAL;

	switch (kind) {
	case STORE_NODES:
		if ((result = node_read(&read.node, object, err)) == 0)
			*ret_record = (struct record *)(void *)read.node;
		break;
	case STORE_PODS:
		if ((result = pod_read(&read.pod, object, err)) == 0)
			*ret_record = (struct record *)(void *)read.pod;
		break;
	case STORE_SETS:
		if ((result = collector_set_read(&read.set, object, err)) == 0)
			*ret_record = (struct record *)(void *)read.set;
		break;
	case STORE_REVISIONS:
		if ((result = revision_read(&read.revision, object, err)) == 0)
			*ret_record = (struct record *)(void *)read.revision;
		break;
	case STORE_KINDS: must(!"a kind"); break;
	}
	return result;
}

/* Of what is kept by the thousand. */
static void share_record(struct shelf *shelf, struct record *record)
{
	void *object = record;

	if (shelf->kind == STORE_NODES)
		node_share(object, shelf->store->texts);
	else if (shelf->kind == STORE_PODS)
		pod_share(object, shelf->store->texts);
}

static void free_record(enum store_kind kind, struct record *record)
{
	void *object = record;

	if (record == NULL)
		return;
	switch (kind) {
	case STORE_NODES: node_free(object); break;
	case STORE_PODS: pod_free(object); break;
	case STORE_SETS: collector_set_free(object); break;
	case STORE_REVISIONS: revision_free(object); break;
	case STORE_KINDS: must(!"a kind"); break;
	}
}

/* Sets and nodes are kept whatever they are; of pods and revisions only orphans and what a CollectorSet
 * controls. */
static bool is_kept(enum store_kind kind, const struct record *record)
{
	const struct kube_owner *owner = &record->meta.controller;

	if (kind == STORE_NODES || kind == STORE_SETS || owner->kind == NULL)
		return true;
	return strcmp(owner->kind, COLLECTOR_SET_KIND) == 0 && owner->api_version != NULL &&
	       strncmp(owner->api_version, COLLECTOR_SET_API, strcspn(COLLECTOR_SET_API, "/") + 1) == 0;
}

static void tell(struct shelf *shelf, const struct record *before, const struct record *after)
{
	const struct store_hooks *hooks = &shelf->store->hooks;
	void *arg = shelf->store->arg;

	switch (shelf->kind) {
	case STORE_NODES: hooks->on_node(arg, (const void *)before, (const void *)after); break;
	case STORE_PODS: hooks->on_pod(arg, (const void *)before, (const void *)after); break;
	case STORE_SETS: hooks->on_set(arg, (const void *)before, (const void *)after); break;
	case STORE_REVISIONS: hooks->on_revision(arg, (const void *)before, (const void *)after); break;
	case STORE_KINDS: must(!"a kind"); break;
	}
}

/* ---- places --------------------------------------------------------------------------------- */

static int compare(const struct record *record, const char *namespace_name, const char *name)
{
	int order = strcmp(record->meta.namespace_name, namespace_name);

	return order != 0 ? order : strcmp(record->meta.name, name);
}

/* Where it is, or would be. */
static size_t place_of(const struct shelf *shelf, const char *namespace_name, const char *name)
{
	size_t low = 0, high = shelf->count;

	if (shelf->count > 0 && compare(shelf->records[shelf->count - 1], namespace_name, name) < 0)
		return shelf->count; /* as lists come */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(shelf->records[middle], namespace_name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct shelf *shelf, size_t place, const char *namespace_name, const char *name)
{
	return place < shelf->count && compare(shelf->records[place], namespace_name, name) == 0;
}

static void insert(struct shelf *shelf, size_t place, struct record *record)
{
	if (shelf->count == shelf->room) {
		shelf->room = shelf->room == 0 ? 16 : shelf->room + shelf->room / 2;
		shelf->records = xrealloc(shelf->records, shelf->room * sizeof shelf->records[0]);
		shelf->lists = xrealloc(shelf->lists, shelf->room * sizeof shelf->lists[0]);
	}
	memmove(&shelf->records[place + 1], &shelf->records[place],
	    (shelf->count - place) * sizeof shelf->records[0]);
	memmove(
	    &shelf->lists[place + 1], &shelf->lists[place], (shelf->count - place) * sizeof shelf->lists[0]);
	shelf->records[place] = record;
	shelf->lists[place] = shelf->list;
	shelf->count++;
}

static struct record *take_out(struct shelf *shelf, size_t place)
{
	struct record *record = shelf->records[place];
	size_t behind = --shelf->count - place;

	memmove(&shelf->records[place], &shelf->records[place + 1], behind * sizeof shelf->records[0]);
	memmove(&shelf->lists[place], &shelf->lists[place + 1], behind * sizeof shelf->lists[0]);
	return record;
}

/* ---- one object ----------------------------------------------------------------------------- */

static void drop(struct shelf *shelf, size_t place, const struct record *after)
{
	struct record *before = take_out(shelf, place);

	tell(shelf, before, after);
	free_record(shelf->kind, before);
}

static void change(struct shelf *shelf, size_t place, struct record *record)
{
	struct record *before = shelf->records[place];

	shelf->lists[place] = shelf->list;
	if (strcmp(before->meta.resource_version, record->meta.resource_version) == 0) { /* N-1 */
		free_record(shelf->kind, record);
		return;
	}
	share_record(shelf, record);
	shelf->records[place] = record;
	tell(shelf, before, record);
	free_record(shelf->kind, before);
}

/* Takes record. */
static void keep(struct shelf *shelf, struct record *record)
{
	const struct kube_meta *meta = &record->meta;
	size_t place = place_of(shelf, meta->namespace_name, meta->name);
	bool is_known = is_at(shelf, place, meta->namespace_name, meta->name);

	if (is_known && strcmp(shelf->records[place]->meta.uid, meta->uid) != 0) {
		drop(shelf, place, NULL);
		is_known = false;
	}
	if (!is_kept(shelf->kind, record)) {
		if (is_known)
			drop(
			    shelf, place, record); /* somebody else's from now on: whose it was has to know */
		free_record(shelf->kind, record);
	} else if (is_known) {
		change(shelf, place, record);
	} else {
		share_record(shelf, record);
		insert(shelf, place, record);
		tell(shelf, NULL, record);
	}
}

static bool on_object(void *arg, const struct cJSON *object)
{
	struct shelf *shelf = shelf_of(arg);
	struct record *record = NULL;
	struct err err = {.code = 0};

	if (read_record(shelf->kind, &record, object, &err) != 0) {
		log_warn("cannot read an object", "error=%s", log_quote(err.text));
		return false;
	}
	keep(shelf, record);
	return true;
}

static void on_deleted(void *arg, const struct cJSON *object)
{
	struct shelf *shelf = shelf_of(arg);
	struct kube_meta meta;
	struct err err = {.code = 0};
	size_t place;

	if (kube_meta_read(&meta, object, &err) != 0) {
		log_warn("cannot read a deleted object", "error=%s", log_quote(err.text));
		return;
	}
	place = place_of(shelf, meta.namespace_name, meta.name);
	if (is_at(shelf, place, meta.namespace_name, meta.name))
		drop(shelf, place, NULL);
	kube_meta_release(&meta);
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void on_list_begin(void *arg)
{
	shelf_of(arg)->list++;
}

static size_t count_missing(const struct shelf *shelf)
{
	size_t missing = 0;

	for (size_t i = 0; i < shelf->count; i++)
		missing += shelf->lists[i] != shelf->list;
	return missing;
}

static void drop_missing(struct shelf *shelf, size_t missing)
{
	struct record **gone = xcalloc(missing + 1, sizeof gone[0]);
	size_t gone_count = 0, kept = 0;

	for (size_t i = 0; i < shelf->count; i++) {
		if (shelf->lists[i] != shelf->list) {
			gone[gone_count++] = shelf->records[i];
			continue;
		}
		shelf->lists[kept] = shelf->lists[i];
		shelf->records[kept++] = shelf->records[i];
	}
	shelf->count = kept; /* all are out before the first is told of */
	for (size_t i = 0; i < gone_count; i++) {
		tell(shelf, gone[i], NULL);
		free_record(shelf->kind, gone[i]);
	}
	free(gone);
}

static void tell_synced(struct store *store)
{
	if (store->told_synced || !store_is_synced(store))
		return;
	store->told_synced = true;
	store->hooks.on_synced(store->arg);
}

static bool on_list_end(void *arg, bool is_consistent)
{
	struct shelf *shelf = shelf_of(arg);
	size_t missing = count_missing(shelf);

	if (shelf->kind == STORE_NODES && missing * NODES_DOUBTED > shelf->count &&
	    !(shelf->is_doubted && is_consistent)) {
		shelf->is_doubted = true;
		log_warn("a list lacks more than a fifth of the nodes: asking again", "known=%zu missing=%zu",
		    shelf->count, missing);
		return false;
	}
	shelf->is_doubted = false;
	if (missing > 0)
		drop_missing(shelf, missing);
	shelf->is_complete = true;
	tell_synced(shelf->store);
	return true;
}

static void on_version(void *arg, const char *version)
{
	struct shelf *shelf = shelf_of(arg);

	(void)snprintf(
	    shelf->version, sizeof shelf->version, "%s", version); /* versions are 64-bit numbers */
}

const struct reflector_ops *store_reflector_ops(enum store_kind kind)
{
	static const struct reflector_ops ops = {
	    .on_list_begin = on_list_begin,
	    .on_object = on_object,
	    .on_deleted = on_deleted,
	    .on_list_end = on_list_end,
	    .on_version = on_version,
	};

	(void)kind; /* the shelf knows */
	return &ops;
}

void *store_reflector_arg(struct store *store, enum store_kind kind)
{
	return &store->shelves[kind];
}

/* ---- what is there -------------------------------------------------------------------------- */

bool store_is_synced(const struct store *store)
{
	bool is_synced = true;

	for (size_t i = 0; i < STORE_KINDS; i++)
		is_synced = is_synced && store->shelves[i].is_complete;
	return is_synced;
}

const char *store_version(const struct store *store, enum store_kind kind)
{
	return store->shelves[kind].version;
}

size_t store_count(const struct store *store, enum store_kind kind)
{
	return store->shelves[kind].count;
}

static const struct record *record_of(
    const struct store *store, enum store_kind kind, const char *namespace_name, const char *name)
{
	const struct shelf *shelf = &store->shelves[kind];
	size_t place = place_of(shelf, namespace_name, name);

	return is_at(shelf, place, namespace_name, name) ? shelf->records[place] : NULL;
}

const struct node *store_node(const struct store *store, const char *name)
{
	return (const void *)record_of(store, STORE_NODES, "", name);
}

const struct collector_set *store_set(const struct store *store, const char *namespace_name, const char *name)
{
	return (const void *)record_of(store, STORE_SETS, namespace_name, name);
}

const struct pod *store_pod(const struct store *store, const char *namespace_name, const char *name)
{
	return (const void *)record_of(store, STORE_PODS, namespace_name, name);
}

/* ---- arrays --------------------------------------------------------------------------------- */

/* The first place behind a namespace. */
static size_t end_of_namespace(const struct shelf *shelf, const char *namespace_name)
{
	size_t low = 0, high = shelf->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(shelf->records[middle]->meta.namespace_name, namespace_name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct record *const *array_of(
    const struct store *store, enum store_kind kind, const char *namespace_name, size_t *ret_count)
{
	const struct shelf *shelf = &store->shelves[kind];
	size_t first = namespace_name != NULL ? place_of(shelf, namespace_name, "") : 0;
	size_t end = namespace_name != NULL ? end_of_namespace(shelf, namespace_name) : shelf->count;

	*ret_count = end - first;
	return shelf->count > 0 ? (const struct record *const *)shelf->records + first : NULL;
}

const struct node *const *store_nodes(struct store *store, size_t *ret_count)
{
	return (const void *)array_of(store, STORE_NODES, NULL, ret_count);
}

const struct pod *const *store_pods(struct store *store, const char *namespace_name, size_t *ret_count)
{
	return (const void *)array_of(store, STORE_PODS, namespace_name, ret_count);
}

const struct revision *const *store_revisions(
    struct store *store, const char *namespace_name, size_t *ret_count)
{
	return (const void *)array_of(store, STORE_REVISIONS, namespace_name, ret_count);
}

const struct collector_set *const *store_sets(struct store *store, size_t *ret_count)
{
	return (const void *)array_of(store, STORE_SETS, NULL, ret_count);
}

/* ---- birth and end -------------------------------------------------------------------------- */

struct store *store_new(const struct store_hooks *hooks, void *arg)
{
	struct store *store = x_new(store);

	store->hooks = *hooks;
	store->arg = arg;
	store->texts = shared_texts_new();
	for (size_t i = 0; i < STORE_KINDS; i++)
		store->shelves[i] =
		    (struct shelf){.magic = SHELF_MAGIC, .kind = (enum store_kind)i, .store = store};
	return store;
}

void store_free(struct store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < STORE_KINDS; i++) {
		struct shelf *shelf = &store->shelves[i];

		for (size_t j = 0; j < shelf->count; j++)
			free_record(shelf->kind, shelf->records[j]);
		free(shelf->records);
		free(shelf->lists);
	}
	shared_texts_free(store->texts);
	free(store);
}

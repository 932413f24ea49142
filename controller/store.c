/* Store.  What the API server has, as pruned records, one shelf a kind.
 *
 *   reflector -> on_object, on_deleted, on_list_end -> shelf (hash by "namespace/name") -> hooks (before,
 * after)
 *                                                            -> arrays, sorted when somebody asks
 *
 * A relist is a comparison: each list has a number, each object keeps the number of the last list that named
 * it, and what the whole list did not name is gone when it ends, never before.  Should the nodes shrink by
 * more than a fifth at once, the list is doubted until a consistent one says the same (W2-12).  An object
 * that came back under its name with another UID is two events, an end and a beginning.  Nothing is copied
 * for an event: an update puts its object into the sorted array in place of the old one, and only comings and
 * goings make it be sorted again, when it is next asked for.
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
#include "common/table.h"

#define LOG_MODULE "store"

#define SHELF_MAGIC   MAGIC('s', 'h', 'l', 'f')
#define KEY_BYTES     (63 + 1 + 253 + 1) /* namespace, slash, name */
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

struct item {
	struct record *record; /* owned */
	UT_hash_handle hh;
	size_t place;  /* in the shelf's array, while that is fresh */
	unsigned list; /* the last one that named it */
	char key[];    /* "namespace/name", "/name" */
};

struct shelf {
	unsigned magic;
	enum store_kind kind;
	struct store *store;
	struct item *items;
	const struct record **array; /* by namespace, then name; owned */
	size_t array_room;
	bool is_fresh; /* the array shows the items as they are */
	unsigned list; /* the number of this list or the last */
	bool is_complete;
	bool is_doubted; /* the last list was not believed */
	char version[VERSION_BYTES];
};

struct store {
	struct store_hooks hooks;
	void *arg;
	bool told_synced;
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

/* ---- one object ----------------------------------------------------------------------------- */

/* False if it is longer than any valid one. */
static bool make_key(char key[KEY_BYTES], const char *namespace_name, const char *name)
{
	int len = snprintf(key, KEY_BYTES, "%s/%s", namespace_name, name);

	return len > 0 && len < KEY_BYTES;
}

static struct item *find(const struct shelf *shelf, const char *namespace_name, const char *name)
{
	struct item *item = NULL;
	char key[KEY_BYTES];

	if (make_key(key, namespace_name, name))
		HASH_FIND_STR(shelf->items, key, item);
	return item;
}

static void drop(struct shelf *shelf, struct item *item, const struct record *after)
{
	HASH_DEL(shelf->items, item);
	shelf->is_fresh = false;
	tell(shelf, item->record, after);
	free_record(shelf->kind, item->record);
	free(item);
}

static void add(struct shelf *shelf, const char *key, struct record *record)
{
	size_t len = strlen(key);
	struct item *item = xcalloc(1, sizeof *item + len + 1);

	memcpy(item->key, key, len + 1);
	item->record = record;
	item->list = shelf->list;
	HASH_ADD_KEYPTR(hh, shelf->items, item->key, len, item);
	shelf->is_fresh = false;
	tell(shelf, NULL, record);
}

static void change(struct shelf *shelf, struct item *item, struct record *record)
{
	struct record *before = item->record;

	item->list = shelf->list;
	if (strcmp(before->meta.resource_version, record->meta.resource_version) == 0) { /* N-1 */
		free_record(shelf->kind, record);
		return;
	}
	item->record = record;
	if (shelf->is_fresh)
		shelf->array[item->place] = record;
	tell(shelf, before, record);
	free_record(shelf->kind, before);
}

static bool on_object(void *arg, const struct cJSON *object)
{
	struct shelf *shelf = shelf_of(arg);
	struct record *record = NULL;
	struct item *item;
	struct err err = {.code = 0};
	char key[KEY_BYTES];

	if (read_record(shelf->kind, &record, object, &err) != 0) {
		log_warn("cannot read an object", "error=%s", log_quote(err.text));
		return false;
	}
	if (!make_key(key, record->meta.namespace_name, record->meta.name)) {
		free_record(shelf->kind, record);
		return false;
	}
	HASH_FIND_STR(shelf->items, key, item);
	if (item != NULL && strcmp(item->record->meta.uid, record->meta.uid) != 0) {
		drop(shelf, item, NULL);
		item = NULL;
	}
	if (!is_kept(shelf->kind, record)) {
		if (item != NULL)
			drop(shelf, item, record); /* somebody else's from now on: whose it was has to know */
		free_record(shelf->kind, record);
	} else if (item != NULL) {
		change(shelf, item, record);
	} else {
		add(shelf, key, record);
	}
	return true;
}

static void on_deleted(void *arg, const struct cJSON *object)
{
	struct shelf *shelf = shelf_of(arg);
	struct kube_meta meta;
	struct item *item;
	struct err err = {.code = 0};

	if (kube_meta_read(&meta, object, &err) != 0) {
		log_warn("cannot read a deleted object", "error=%s", log_quote(err.text));
		return;
	}
	item = find(shelf, meta.namespace_name, meta.name);
	if (item != NULL)
		drop(shelf, item, NULL);
	kube_meta_release(&meta);
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void on_list_begin(void *arg)
{
	struct shelf *shelf = shelf_of(arg);

	shelf->list++;
}

static bool is_credible(const struct shelf *shelf, bool is_consistent)
{
	size_t count = HASH_COUNT(shelf->items), missing = 0;

	if (shelf->kind != STORE_NODES || (shelf->is_doubted && is_consistent))
		return true;
	for (const struct item *item = shelf->items; item != NULL; item = item->hh.next)
		missing += item->list != shelf->list;
	return missing * NODES_DOUBTED <= count;
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
	struct item *item, *next;

	if (!is_credible(shelf, is_consistent)) {
		shelf->is_doubted = true;
		log_warn("a list lacks more than a fifth of the nodes: asking again", "known=%u",
		    HASH_COUNT(shelf->items));
		return false;
	}
	shelf->is_doubted = false;
	HASH_ITER (hh, shelf->items, item, next) {
		if (item->list != shelf->list)
			drop(shelf, item, NULL);
	}
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
	return HASH_COUNT(store->shelves[kind].items);
}

static const struct record *record_of(
    const struct store *store, enum store_kind kind, const char *namespace_name, const char *name)
{
	const struct item *item = find(&store->shelves[kind], namespace_name, name);

	return item != NULL ? item->record : NULL;
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

static int compare_items(const struct item *a, const struct item *b)
{
	int order = strcmp(a->record->meta.namespace_name, b->record->meta.namespace_name);

	return order != 0 ? order : strcmp(a->record->meta.name, b->record->meta.name);
}

static void freshen(struct shelf *shelf)
{
	size_t count = HASH_COUNT(shelf->items), place = 0;

	if (shelf->is_fresh)
		return;
	if (count > shelf->array_room) {
		shelf->array_room = count + count / 4;
		free(shelf->array);
		shelf->array = xcalloc(shelf->array_room, sizeof shelf->array[0]);
	}
	HASH_SORT(shelf->items, compare_items); /* a merge sort over a list that is nearly in order */
	for (struct item *item = shelf->items; item != NULL; item = item->hh.next) {
		item->place = place;
		shelf->array[place++] = item->record;
	}
	shelf->is_fresh = true;
}

/* The first place whose namespace is not before (or, with `after`, is behind) this one. */
static size_t border(const struct shelf *shelf, const char *namespace_name, bool after)
{
	size_t low = 0, high = HASH_COUNT(shelf->items);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(shelf->array[middle]->meta.namespace_name, namespace_name);

		if (order < 0 || (after && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct record *const *array_of(
    struct store *store, enum store_kind kind, const char *namespace_name, size_t *ret_count)
{
	struct shelf *shelf = &store->shelves[kind];
	size_t first = 0, end = HASH_COUNT(shelf->items);

	freshen(shelf);
	if (namespace_name != NULL) {
		first = border(shelf, namespace_name, false);
		end = border(shelf, namespace_name, true);
	}
	*ret_count = end - first;
	return shelf->array + first;
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
	for (size_t i = 0; i < STORE_KINDS; i++)
		store->shelves[i] =
		    (struct shelf){.magic = SHELF_MAGIC, .kind = (enum store_kind)i, .store = store};
	return store;
}

void store_free(struct store *store)
{
	struct item *item, *next;

	if (store == NULL)
		return;
	for (size_t i = 0; i < STORE_KINDS; i++) {
		struct shelf *shelf = &store->shelves[i];

		HASH_ITER (hh, shelf->items, item, next) {
			HASH_DEL(shelf->items, item);
			free_record(shelf->kind, item->record);
			free(item);
		}
		free(shelf->array);
	}
	free(store);
}

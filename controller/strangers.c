/* Strangers.  A sieve before the store: sets of the served namespace pass, of the others the names are kept,
 * by the same rules as a store's.
 *
 * Owns the names.  Decides nothing but whose a namespace is. */
#include "config.h"
#include "controller/strangers.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "common/kube_object.h"
#include "common/must.h"
#include "common/table.h"

struct stranger {
	char *name;       /* "namespace/name" */
	unsigned listing; /* in which it was last named */
	UT_hash_handle hh;
};

struct strangers {
	char *served;
	const struct reflector_ops *ops;
	void *arg;
	struct stranger *by_name;
	unsigned listing;
};

struct strangers *strangers_new(const char *served, const struct reflector_ops *ops, void *arg)
{
	struct strangers *strangers = x_new(strangers);

	strangers->served = xstrdup(served);
	strangers->ops = ops;
	strangers->arg = arg;
	return strangers;
}

static void drop(struct strangers *strangers, struct stranger *stranger)
{
	HASH_DEL(strangers->by_name, stranger);
	free(stranger->name);
	free(stranger);
}

void strangers_free(struct strangers *strangers)
{
	struct stranger *stranger, *next;

	if (strangers == NULL)
		return;
	HASH_ITER (hh, strangers->by_name, stranger, next)
		drop(strangers, stranger);
	free(strangers->served);
	free(strangers);
}

/* Its name if it is a stranger's, to be freed; NULL if it is served, or cannot be read, which others find
 * out. */
static char *stranger_name(const struct strangers *strangers, const cJSON *object)
{
	const cJSON *meta;
	const char *namespace_name, *name;

	if (strcmp(strangers->served, "*") == 0 || !kube_child(object, "metadata", &meta, NULL) ||
	    meta == NULL || !kube_text(meta, "namespace", &namespace_name, NULL) ||
	    !kube_text(meta, "name", &name, NULL) || namespace_name == NULL || name == NULL ||
	    strcmp(namespace_name, strangers->served) == 0)
		return NULL;
	return xasprintf("%s/%s", namespace_name, name);
}

static void on_list_begin(void *arg)
{
	struct strangers *strangers = arg;

	strangers->listing++;
	strangers->ops->on_list_begin(strangers->arg);
}

static bool on_object(void *arg, const cJSON *object)
{
	struct strangers *strangers = arg;
	char *name = stranger_name(strangers, object);
	struct stranger *stranger;

	if (name == NULL)
		return strangers->ops->on_object(strangers->arg, object);
	HASH_FIND_STR(strangers->by_name, name, stranger);
	if (stranger == NULL) {
		stranger = x_new(stranger);
		stranger->name = xstrdup(name);
		HASH_ADD_KEYPTR(hh, strangers->by_name, stranger->name, strlen(stranger->name), stranger);
	}
	stranger->listing = strangers->listing;
	free(name);
	return true;
}

static void on_deleted(void *arg, const cJSON *object)
{
	struct strangers *strangers = arg;
	char *name = stranger_name(strangers, object);
	struct stranger *stranger;

	if (name == NULL) {
		strangers->ops->on_deleted(strangers->arg, object);
		return;
	}
	HASH_FIND_STR(strangers->by_name, name, stranger);
	if (stranger != NULL)
		drop(strangers, stranger);
	free(name);
}

static bool on_list_end(void *arg, bool is_consistent)
{
	struct strangers *strangers = arg;
	struct stranger *stranger, *next;

	if (!strangers->ops->on_list_end(strangers->arg, is_consistent))
		return false;
	HASH_ITER (hh, strangers->by_name, stranger, next)
		if (stranger->listing != strangers->listing)
			drop(strangers, stranger);
	return true;
}

static void on_version(void *arg, const char *version)
{
	struct strangers *strangers = arg;

	strangers->ops->on_version(strangers->arg, version);
}

const struct reflector_ops strangers_ops = {on_list_begin, on_object, on_deleted, on_list_end, on_version};

size_t strangers_count(const struct strangers *strangers)
{
	return HASH_COUNT(strangers->by_name);
}

static int compare(struct stranger *a, struct stranger *b)
{
	return strcmp(a->name, b->name);
}

void strangers_write(struct strangers *strangers, struct buf *out)
{
	struct stranger *stranger, *next;
	size_t count = 0;

	HASH_SORT(strangers->by_name, compare);
	buf_add_text(out, "[");
	HASH_ITER (hh, strangers->by_name, stranger, next) {
		if (count == STRANGERS_SHOWN)
			break;
		buf_add_text(out, count++ == 0 ? "" : ",");
		buf_add_json(out, stranger->name, strlen(stranger->name));
	}
	buf_add_text(out, "]");
}

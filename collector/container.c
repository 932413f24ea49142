/* A container: who writes, and its files in the order in which they were written.  That order is the promise
 * to whoever reads the logs, so it is decided here alone.
 *
 * Part of the follower.  Owns the texts that name the container; the tails are the follower's. */
#include "config.h"
#include "collector/container.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define CONTAINER_MAGIC MAGIC('C', 'T', 'N', 'R')

struct container *container_get(
    struct container **table, const char *pod_directory, const char *name, const char *node)
{
	struct container *container;
	struct podpath pod;
	char *key;

	must(podpath_parse_pod(pod_directory, &pod));
	key = xasprintf("%s/%s", pod.uid, name);
	HASH_FIND(hh, *table, key, strlen(key), container);
	if (container != NULL) {
		free(key);
		return container;
	}
	container = x_new(container);
	container->magic = CONTAINER_MAGIC;
	container->key = key;
	container->origin = (struct origin){
	    .namespace_name = xstrdup(pod.namespace_name),
	    .pod = xstrdup(pod.pod),
	    .uid = xstrdup(pod.uid),
	    .container = xstrdup(name),
	    .node = node,
	};
	HASH_ADD_KEYPTR(hh, *table, container->key, strlen(container->key), container);
	return container;
}

static void free_text(const char *text)
{
	free((char *)(uintptr_t)text); /* const for everyone but its owner */
}

void container_release(struct container **table, struct container *container)
{
	must(container->magic == CONTAINER_MAGIC);
	if (container->tails != NULL)
		return;
	container->magic = 0;
	HASH_DEL(*table, container);
	free_text(container->origin.namespace_name);
	free_text(container->origin.pod);
	free_text(container->origin.uid);
	free_text(container->origin.container);
	free(container->key);
	free(container);
}

/* ---- order -------------------------------------------------------------------------------------- */

static bool is_over(const struct tail *tail)
{
	return tail->unlinked || tail->truncated;
}

/* By name while both have one.  The last name of a file that is over may belong to another one by now, so it
 * stays between those that were adopted before and after it. */
static int compare(const struct tail *a, const struct tail *b)
{
	int order = 0;

	if (a->name.restart != b->name.restart)
		return a->name.restart < b->name.restart ? -1 : 1;
	if (is_over(a) || is_over(b))
		order = 0;
	else if (a->is_docker && b->is_docker)
		order = (a->age < b->age) - (a->age > b->age);
	else
		order = podpath_compare(&a->name, &b->name);
	return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

void container_insert(struct container *container, struct tail *tail)
{
	struct tail *after = container->tails != NULL ? container->tails->prev : NULL;

	while (after != NULL && compare(tail, after) < 0)
		after = tail_predecessor(after);
	if (after == NULL)
		DL_PREPEND(container->tails, tail);
	else
		DL_APPEND_ELEM(container->tails, after, tail);
}

void container_reorder(struct container *container, struct tail *tail)
{
	const struct tail *before = tail_predecessor(tail), *after = tail->next;

	if ((before == NULL || compare(before, tail) < 0) && (after == NULL || compare(tail, after) < 0))
		return;
	DL_DELETE(container->tails, tail);
	container_insert(container, tail);
}

void container_remove(struct container *container, struct tail *tail)
{
	DL_DELETE(container->tails, tail);
}

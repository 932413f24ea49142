/* One followed file: how it is made, named and put into its place.
 *
 * Part of the follower, which decides when.  Owns the descriptor and the path. */
#include "config.h"
#include "collector/followed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/gzip_file.h"
#include "common/clock.h"
#include "common/must.h"
#include "common/table.h"

#define TAIL_MAGIC MAGIC('T', 'A', 'I', 'L')

struct followed *followed_new(struct container *container, const struct logroot_file *opened)
{
	struct followed *followed = x_new(followed);
	struct tail *tail = &followed->tail;

	tail->magic = TAIL_MAGIC;
	tail->container = container;
	tail->fd = opened->fd;
	tail->identity =
	    (struct tail_identity){.dev = opened->dev, .ino = opened->ino, .birth_ns = opened->birth_ns};
	tail->source.origin = &container->origin;
	tail->size = opened->size;
	tail->changed_ms = clock_monotonic_ms();
	return followed;
}

struct followed *followed_new_generation(struct followed *cut, uint64_t size)
{
	struct tail *old = &cut->tail, *tail;
	const struct logroot_file same = {.fd = old->fd,
	    .dev = old->identity.dev,
	    .ino = old->identity.ino,
	    .birth_ns = old->identity.birth_ns,
	    .size = size};
	struct followed *followed = followed_new(old->container, &same);
	struct place *place = cut->place;

	tail = &followed->tail;
	tail->identity.generation = old->identity.generation + 1;
	tail->source.restart = old->source.restart;
	tail->name = old->name;
	tail->path = xstrdup(old->path);
	tail->is_docker = old->is_docker;
	tail->age = old->age;
	followed->listing = cut->listing;
	old->fd = -1;
	followed_leave(cut);
	if (place != NULL)
		followed_join(followed, place);
	return followed;
}

void followed_free(struct followed *followed)
{
	struct tail *tail = &followed->tail;

	must(tail->magic == TAIL_MAGIC && tail->readers == NULL && !followed->is_marked);
	followed_leave(followed);
	if (tail->gzip != NULL)
		gzip_pool_forget(tail->gzip, tail->fd);
	if (tail->fd >= 0)
		(void)close(tail->fd);
	tail->magic = 0;
	free(tail->path);
	free(followed);
}

struct followed *followed_of(struct tail *tail)
{
	must(tail->magic == TAIL_MAGIC);
	return container_of(tail, struct followed, tail);
}

const char *followed_name(const struct followed *followed)
{
	const char *slash = strrchr(followed->tail.path, '/');

	return slash != NULL ? slash + 1 : followed->tail.path;
}

void followed_set_name(struct followed *followed, const struct place *place, const struct place_file *file)
{
	free(followed->tail.path);
	followed->tail.path = xasprintf("%s/%s", place->path, file->name);
	followed->tail.name = file->as;
	followed->tail.age = file->age;
}

void followed_join(struct followed *followed, struct place *place)
{
	struct followed *files = place->files;

	DL_APPEND2(files, followed, place_prev, place_next);
	place->files = files;
	followed->place = place;
}

void followed_leave(struct followed *followed)
{
	struct followed *files;

	if (followed->place == NULL)
		return;
	files = followed->place->files;
	DL_DELETE2(files, followed, place_prev, place_next);
	followed->place->files = files;
	followed->place = NULL;
}

struct followed *followed_find(const struct place *place, const struct place_file *file)
{
	struct followed *followed;

	DL_FOREACH2 ((struct followed *)place->files, followed, place_next) {
		if (followed->tail.identity.ino == file->ino &&
		    strcmp(followed_name(followed), file->name) == 0)
			return followed;
	}
	return NULL;
}

int place_file_compare(const struct place_file *a, const struct place_file *b)
{
	int order = (a->age < b->age) - (a->age > b->age);

	return order != 0 ? order : podpath_compare(&a->as, &b->as);
}

bool place_file_is_plain_too(
    const struct place_file *packed, const struct place_file *files, size_t file_count)
{
	for (size_t i = 0; i < file_count; i++)
		if (files[i].as.kind == LOGFILE_ROTATED && podpath_compare(&files[i].as, &packed->as) == 0)
			return true;
	return false;
}

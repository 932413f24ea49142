/* Following.  The finder says which names stand where; here they become open files: each file is one tail for
 * as long as it is held, whatever its names, in its container's reading order.
 *
 *      hint "written" --> marked --.
 *      sweep, every 2 s -----------+--> look: grown? cut? nameless? --> wake readers
 *      listing --> known inode: renamed | unknown inode: opened, adopted | not listed: look
 *
 * A turn does what was noted, within a budget, and asks for another turn if something is left.  Between the
 * events and the turn nothing happens.
 *
 * Stands on finder.c, below the collector, which attaches readers in adopted().  Owns the tails, the
 * containers and their descriptors.  Reads no lines and knows no outputs.
 *
 * Identity: as long as a descriptor is held, no other file can have its inode number; so (dev, ino) among
 * held files is exact, and a known one under a new name is a rename, forwards or back.  What a name once
 * meant is never believed.  A .gz has the bytes of a file that was plain: who holds that one goes on with it,
 * else the listener, who knows the checkpoint, says whether the .gz is to be read. */
#include "config.h"
#include "collector/follower.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/container.h"
#include "collector/finder.h"
#include "collector/followed.h"
#include "collector/gzip_file.h"
#include "collector/hold.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"

#define LOG_MODULE "follower"

#define FOLLOWER_MAGIC MAGIC('F', 'L', 'W', 'R')

/* Looks (of about a microsecond each) in one turn: the loop is held for a few milliseconds at most, however
 * many files there are. */
#define TURN_LOOKS 1024
/* A listing that runs while a name moves may miss it; only what two listings missed has gone elsewhere. */
#define MISSED_LISTINGS 2
#define GZIP_READINGS   32 /* compressed files that are unpacked at a time */

struct follower {
	unsigned magic;
	struct follower_events events;
	struct finder *finder;
	char *node_name, *own_uid, *own_namespace, *own_pod;
	uint64_t rescan_interval_ms;
	struct hold hold;
	struct gzip_pool *gzip;
	struct follower_stats stats;
	struct container *containers; /* by key */
	struct tail *by_identity;     /* what is held, truncated ones excepted */
	struct followed *all, *marked;
	struct followed *cursor; /* where the sweep stands in `all`; NULL = it is done */
	unsigned listing;
	bool is_full_sweep, is_full_sweep_due; /* the one under way; another one after it */
	bool is_taking_stock;                  /* what is found now was there before we came */
	bool has_taken_stock;
	bool stopped;
	uv_timer_t sweep_timer, turn_timer;
	int handles; /* not yet closed, and the finder */
};

static struct follower *follower_of(void *data)
{
	struct follower *follower = data;

	must(follower->magic == FOLLOWER_MAGIC);
	return follower;
}

/* ---- looking at one file ------------------------------------------------------------------------ */

static void mark(struct follower *follower, struct followed *followed)
{
	if (followed->is_marked)
		return;
	followed->is_marked = true;
	DL_APPEND2(follower->marked, followed, marked_prev, marked_next);
}

static void unmark(struct follower *follower, struct followed *followed)
{
	if (!followed->is_marked)
		return;
	followed->is_marked = false;
	DL_DELETE2(follower->marked, followed, marked_prev, marked_next);
}

/* What is there of its beginning; in a file that ends here, that is all there will be. */
static void learn(struct follower *follower, struct tail *tail)
{
	if (tail_learn_head(tail, tail->unlinked || tail->truncated || tail->next != NULL))
		follower->events.changed(follower->events.arg, tail);
}

static void lose_name(struct follower *follower, struct followed *followed)
{
	struct tail *tail = &followed->tail;

	if (tail->unlinked)
		return;
	tail->unlinked = true;
	follower->stats.unlinked++;
	hold_add(&follower->hold, &followed->held, tail);
	learn(follower, tail);
	log_debug("file lost its name", "container=%s path=%s size=%" PRIu64, log_quote(tail->container->key),
	    log_quote(tail->path), tail->size);
	tail_wake(tail);
}

static void find_name_again(struct follower *follower, struct followed *followed)
{
	if (!followed->tail.unlinked)
		return;
	followed->tail.unlinked = false;
	hold_remove(&follower->hold, &followed->held);
}

static void grow(struct follower *follower, struct followed *followed, uint64_t size)
{
	struct tail *tail = &followed->tail;

	follower->stats.input_bytes += size - tail->size;
	tail->size = size;
	tail->changed_ms = clock_monotonic_ms();
	learn(follower, tail);
	tail_wake(tail);
}

static void begin_again(struct follower *follower, struct followed *cut, uint64_t size);

static void look_at(struct follower *follower, struct followed *followed)
{
	struct tail *tail = &followed->tail;
	struct stat now;

	if (tail->truncated || fstat(tail->fd, &now) == -1)
		return;
	if (tail->gzip != NULL)
		now.st_size = (off_t)tail->size; /* that of its content, which nobody adds to */
	if ((uint64_t)now.st_size < tail->size) {
		begin_again(follower, followed, (uint64_t)now.st_size);
		return;
	}
	if ((uint64_t)now.st_size > tail->size)
		grow(follower, followed, (uint64_t)now.st_size);
	if (now.st_nlink == 0)
		lose_name(follower, followed);
}

/* A file that was cut and has grown again beyond its old size looks as if it had only grown; its beginning
 * tells. */
static void check_head(struct follower *follower, struct followed *followed)
{
	struct tail *tail = &followed->tail;

	if (tail->truncated || tail->size == followed->checked_size)
		return;
	followed->checked_size = tail->size;
	if (tail_head_changed(tail))
		begin_again(follower, followed, tail->size);
}

/* ---- adoption ----------------------------------------------------------------------------------- */

static struct followed *find_identity(struct follower *follower, uint64_t dev, uint64_t ino)
{
	const struct tail_identity identity = {.dev = dev, .ino = ino};
	struct tail *tail;

	HASH_FIND(hh, follower->by_identity, &identity, offsetof(struct tail_identity, generation), tail);
	return tail != NULL ? followed_of(tail) : NULL;
}

/* From here on it is one of ours: it has its descriptor, identity, names and size. */
static void adopt(struct follower *follower, struct followed *followed)
{
	struct tail *tail = &followed->tail, *before;

	tail->number = follower->stats.adopted++;
	HASH_ADD(hh, follower->by_identity, identity, offsetof(struct tail_identity, generation), tail);
	DL_APPEND2(follower->all, followed, all_prev, all_next);
	container_insert(tail->container, tail);
	follower->stats.tails++;
	if (!tail->was_there)
		follower->stats.input_bytes += tail->size;
	/* Its predecessor's end counts from now on, so what stands there is learned before anyone asks. */
	before = tail_predecessor(tail);
	if (before != NULL) {
		look_at(follower, followed_of(before));
		learn(follower, before);
		tail_wake(before);
	}
	(void)tail_learn_head(tail, tail->unlinked || tail->next != NULL);
	log_debug("following", "container=%s path=%s size=%" PRIu64, log_quote(tail->container->key),
	    log_quote(tail->path), tail->size);
	follower->events.adopted(follower->events.arg, tail);
}

/* The file was cut: what was there before is one tail, what comes from now on another, which takes over the
 * descriptor and the name. */
static void begin_again(struct follower *follower, struct followed *cut, uint64_t size)
{
	struct tail *old = &cut->tail;
	struct followed *followed = followed_new_generation(cut, size);

	follower->stats.truncated++;
	log_warn("file was truncated, reading it from its beginning",
	    "container=%s path=%s size=%" PRIu64 " was=%" PRIu64, log_quote(old->container->key),
	    log_quote(old->path), size, old->size);
	HASH_DEL(follower->by_identity, old);
	old->truncated = true;
	if (old->unlinked) {
		find_name_again(follower, cut);
		followed->tail.unlinked = true;
		hold_add(&follower->hold, &followed->held, &followed->tail);
	}
	learn(follower, old);
	tail_wake(old);
	adopt(follower, followed);
}

/* ---- letting go --------------------------------------------------------------------------------- */

static void let_go(struct follower *follower, struct followed *followed)
{
	struct tail *tail = &followed->tail;

	if (follower->cursor == followed)
		follower->cursor = followed->all_next;
	unmark(follower, followed);
	find_name_again(follower, followed);
	if (!tail->truncated)
		HASH_DEL(follower->by_identity, tail);
	DL_DELETE2(follower->all, followed, all_prev, all_next);
	container_remove(tail->container, tail);
	container_release(&follower->containers, tail->container);
	follower->stats.tails--;
	followed_free(followed);
}

static bool is_done(const struct followed *followed)
{
	const struct tail *tail = &followed->tail;
	bool wanted = followed->place != NULL && followed->place->wanted;

	return tail->readers == NULL && (tail->unlinked || tail->truncated || !wanted);
}

static void release(struct follower *follower, struct followed *followed)
{
	struct tail *after = followed->tail.next;

	follower->events.released(follower->events.arg, &followed->tail);
	let_go(follower, followed);
	if (after != NULL)
		tail_wake(after);
}

/* ---- a listing ---------------------------------------------------------------------------------- */

struct find {
	const struct place_file *file;
	struct logroot_file opened;
};

static int compare_finds(const void *a, const void *b)
{
	return place_file_compare(((const struct find *)a)->file, ((const struct find *)b)->file);
}

static struct followed *known_by_identity(
    struct follower *follower, const struct place *place, const struct place_file *file)
{
	uint64_t dev, ino;

	if (logroot_identify(place->fd, file->name, &dev, &ino) != 0)
		return NULL;
	return find_identity(follower, dev, ino);
}

static void see(
    struct follower *follower, struct followed *followed, struct place *place, const struct place_file *file)
{
	followed->listing = follower->listing;
	followed->missed = 0;
	if (followed->place == place && !followed->tail.unlinked &&
	    strcmp(followed_name(followed), file->name) == 0)
		return;
	followed_leave(followed);
	followed_join(followed, place);
	find_name_again(follower, followed);
	followed_set_name(followed, place, file);
	follower->stats.renamed++;
	followed->tail.changed_ms = clock_monotonic_ms();
	container_reorder(followed->tail.container, &followed->tail);
	log_debug("file was renamed", "container=%s path=%s", log_quote(followed->tail.container->key),
	    log_quote(followed->tail.path));
	follower->events.changed(follower->events.arg, &followed->tail);
	tail_wake(&followed->tail);
}

/* Sees a file that is held already, or opens one that is not: true if there is a new one in *ret_opened. */
static bool take_name(struct follower *follower, struct place *place, const struct place_file *file,
    struct logroot_file *ret_opened)
{
	struct followed *followed = followed_find(place, file);

	if (followed == NULL && file->as.kind == LOGFILE_GZIP)
		return false; /* later, and not for itself */
	if (followed == NULL)
		followed = known_by_identity(follower, place, file);
	if (followed != NULL) {
		see(follower, followed, place, file);
		return false;
	}
	if (finder_open(follower->finder, place, file, ret_opened) != 0)
		return false;
	followed = find_identity(follower, ret_opened->dev, ret_opened->ino);
	if (followed == NULL)
		return true;
	(void)close(ret_opened->fd); /* the name was given to a known file between the two looks */
	see(follower, followed, place, file);
	return false;
}

static struct container *container_of_place(struct follower *follower, const struct place *place)
{
	return container_get(&follower->containers, place->pod, place->container, follower->node_name);
}

static struct followed *make_followed(struct follower *follower, struct place *place, const struct find *find)
{
	struct followed *followed = followed_new(container_of_place(follower, place), &find->opened);

	followed_set_name(followed, place, find->file);
	followed->tail.source.restart = find->file->as.restart;
	followed->tail.is_docker = place->is_docker;
	followed->tail.was_there = follower->is_taking_stock;
	followed->listing = follower->listing;
	followed_join(followed, place);
	return followed;
}

static bool is_first_look(const struct follower *follower)
{
	return follower->is_taking_stock && !follower->has_taken_stock;
}

static bool may_resume(struct follower *follower, const struct place *place, const struct place_file *file)
{
	struct container *container = container_of_place(follower, place);
	bool may = follower->events.may_resume(
	    follower->events.arg, container, file->as.restart, is_first_look(follower));

	container_release(&follower->containers, container);
	return may;
}

static void take_packed(struct follower *follower, struct place *place, const struct place_file *file)
{
	struct find find = {.file = file};
	struct followed *followed;
	struct container *container;

	if (finder_open(follower->finder, place, file, &find.opened) != 0)
		return;
	followed = find_identity(follower, find.opened.dev, find.opened.ino);
	if (followed != NULL) {
		(void)close(find.opened.fd);
		see(follower, followed, place, file);
		return;
	}
	if (gzip_file_size(find.opened.fd, &find.opened.size) != 0)
		find.opened.size = 0;
	followed = make_followed(follower, place, &find);
	followed->tail.gzip = follower->gzip;
	(void)tail_learn_head(&followed->tail, true);
	if (followed->tail.head_len != 0 &&
	    follower->events.resumes(follower->events.arg, &followed->tail, is_first_look(follower))) {
		adopt(follower, followed);
		return;
	}
	container = followed->tail.container;
	followed_free(followed);
	container_release(&follower->containers, container);
}

/* The newest first, after the plain ones: one that the checkpoint knows says of all older ones that they were
 * done with. */
static void take_all_packed(
    struct follower *follower, struct place *place, const struct place_file *files, size_t file_count)
{
	struct find *finds = xcalloc(file_count, sizeof *finds);
	size_t count = 0;

	for (size_t i = 0; i < file_count; i++)
		if (files[i].as.kind == LOGFILE_GZIP && followed_find(place, &files[i]) == NULL &&
		    !place_file_is_plain_too(&files[i], files, file_count) &&
		    may_resume(follower, place, &files[i]))
			finds[count++].file = &files[i];
	qsort(finds, count, sizeof *finds, compare_finds);
	while (count > 0)
		take_packed(follower, place, finds[--count].file);
	free(finds);
}

static void look_for_missing(struct follower *follower, struct place *place)
{
	struct followed *followed, *next;

	DL_FOREACH_SAFE2 ((struct followed *)place->files, followed, next, place_next) {
		if (followed->listing == follower->listing || followed->tail.unlinked)
			continue;
		look_at(follower, followed);
		if (followed->tail.unlinked || followed->tail.truncated)
			continue;
		if (++followed->missed >= MISSED_LISTINGS)
			lose_name(follower, followed);
		else
			finder_try_again(follower->finder, place);
	}
}

static void on_listed(void *arg, struct place *place, const struct place_file *files, size_t file_count)
{
	struct follower *follower = follower_of(arg);
	struct find *finds = xcalloc(file_count, sizeof *finds);
	size_t count = 0;

	follower->listing++;
	/* All names first, so that those already held stand in their new order when others join them. */
	for (size_t i = 0; i < file_count; i++) {
		finds[count].file = &files[i];
		count += take_name(follower, place, &files[i], &finds[count].opened);
	}
	look_for_missing(follower, place);
	qsort(finds, count, sizeof *finds, compare_finds);
	for (size_t i = 0; i < count; i++)
		adopt(follower, make_followed(follower, place, &finds[i]));
	free(finds);
	take_all_packed(follower, place, files, file_count);
}

static void on_lost(void *arg, struct place *place)
{
	struct follower *follower = follower_of(arg);

	while (place->files != NULL) {
		struct followed *followed = place->files;

		look_at(follower, followed);
		followed = place->files; /* a new one, if it was cut */
		followed_leave(followed);
		lose_name(follower, followed);
	}
}

static void on_written(void *arg, struct place *place, const char *name)
{
	struct follower *follower = arg;
	struct followed *followed;

	/* Several may have had this name; the kernel tells the one under which the file was opened, or its
	 * present one. */
	DL_FOREACH2 ((struct followed *)place->files, followed, place_next)
		if (strcmp(followed_name(followed), name) == 0)
			mark(follower, followed);
}

static bool is_own(const struct follower *follower, const struct podpath *pod)
{
	if (follower->own_uid != NULL && strcmp(follower->own_uid, pod->uid) == 0)
		return true;
	return follower->own_namespace != NULL && follower->own_pod != NULL &&
	       strcmp(follower->own_namespace, pod->namespace_name) == 0 &&
	       strcmp(follower->own_pod, pod->pod) == 0;
}

static bool on_wanted(void *arg, const struct place *place)
{
	struct follower *follower = follower_of(arg);
	struct podpath pod;
	struct origin origin;

	must(podpath_parse_pod(place->pod, &pod));
	if (is_own(follower, &pod))
		return false;
	origin = (struct origin){.namespace_name = pod.namespace_name,
	    .pod = pod.pod,
	    .uid = pod.uid,
	    .container = place->container,
	    .node = follower->node_name};
	return follower->events.wanted(follower->events.arg, &origin);
}

/* ---- turns -------------------------------------------------------------------------------------- */

/* inotify tells of files in watched places, so they take turns. */
static bool is_its_turn(const struct follower *follower, const struct followed *followed)
{
	return follower->is_full_sweep || followed->place == NULL || followed->tail.unlinked ||
	       finder_is_its_turn(follower->finder, followed->place);
}

static void sweep_one(struct follower *follower, struct followed *followed)
{
	if (is_its_turn(follower, followed)) {
		look_at(follower, followed);
		check_head(follower, followed);
	}
	if (is_done(followed))
		release(follower, followed);
}

/* A full one looks at every file.  A sweep under way goes on to its end first, or in a storm of overflows the
 * last files would never have their turn. */
static void start_sweep(struct follower *follower, bool is_full)
{
	if (follower->cursor != NULL) {
		follower->is_full_sweep_due = follower->is_full_sweep_due || is_full;
		return;
	}
	follower->is_full_sweep = is_full;
	follower->cursor = follower->all;
}

static void end_sweep(struct follower *follower)
{
	hold_keep_limit(&follower->hold);
	if (!follower->is_full_sweep_due)
		return;
	follower->is_full_sweep_due = false;
	start_sweep(follower, true);
}

/* True if the sweep, if there is one, is not at its end yet. */
static bool sweep_some(struct follower *follower, size_t budget)
{
	if (follower->cursor == NULL)
		return false;
	for (; follower->cursor != NULL && budget > 0; budget--) {
		struct followed *followed = follower->cursor;

		follower->cursor = followed->all_next;
		sweep_one(follower, followed);
	}
	if (follower->cursor == NULL)
		end_sweep(follower);
	return follower->cursor != NULL;
}

static bool look_at_marked(struct follower *follower, size_t budget)
{
	for (; follower->marked != NULL && budget > 0; budget--) {
		struct followed *followed = follower->marked;

		unmark(follower, followed);
		look_at(follower, followed);
	}
	return follower->marked != NULL;
}

static void on_turn(uv_timer_t *timer);

static void take_turn(struct follower *follower)
{
	bool more = look_at_marked(follower, TURN_LOOKS);

	more = finder_turn(follower->finder, TURN_LOOKS) || more;
	more = sweep_some(follower, TURN_LOOKS) || more || follower->marked != NULL;
	if (more && !follower->stopped)
		(void)uv_timer_start(&follower->turn_timer, on_turn, 0, 0);
}

static void on_turn(uv_timer_t *timer)
{
	take_turn(follower_of(timer->data));
}

static void on_told(void *arg)
{
	take_turn(follower_of(arg));
}

static void on_overflow(void *arg)
{
	start_sweep(follower_of(arg), true);
}

/* Everything that was noted, without budget. */
static void finish_turn(struct follower *follower)
{
	while (finder_turn(follower->finder, SIZE_MAX) || look_at_marked(follower, SIZE_MAX) ||
	       sweep_some(follower, SIZE_MAX))
		;
}

/* What is found now was there before us, or before the output for which stock is taken. */
static void take_stock(struct follower *follower)
{
	follower->is_taking_stock = true;
	while (finder_turn(follower->finder, SIZE_MAX))
		;
	follower->is_taking_stock = false;
	if (!follower->has_taken_stock)
		follower->events.looked(follower->events.arg);
	follower->has_taken_stock = true;
}

static void begin_sweep(struct follower *follower, bool is_full)
{
	if (finder_sweep(follower->finder) && !follower->has_taken_stock)
		take_stock(follower);
	start_sweep(follower, is_full);
}

static void on_sweep(uv_timer_t *timer)
{
	struct follower *follower = follower_of(timer->data);

	begin_sweep(follower, false);
	take_turn(follower);
}

void follower_look(struct follower *follower)
{
	begin_sweep(follower, true);
	finder_look(follower->finder);
	finish_turn(follower);
}

void follower_sweep(struct follower *follower)
{
	start_sweep(follower, true);
	while (sweep_some(follower, SIZE_MAX))
		;
}

void follower_review(struct follower *follower)
{
	finder_review(follower->finder);
	if (!follower->stopped)
		(void)uv_timer_start(&follower->turn_timer, on_turn, 0, 0);
}

bool follower_take_stock(struct follower *follower)
{
	finder_review(follower->finder);
	if (follower->has_taken_stock)
		take_stock(follower);
	return follower->has_taken_stock;
}

/* ---- to be asked -------------------------------------------------------------------------------- */

void follower_each(struct follower *follower, void (*visit)(void *arg, struct tail *tail), void *arg)
{
	struct container *container, *next;
	struct tail *tail;

	HASH_ITER (hh, follower->containers, container, next)
		DL_FOREACH (container->tails, tail)
			visit(arg, tail);
}

const struct follower_stats *follower_stats(struct follower *follower)
{
	const struct finder_stats *found = finder_stats(follower->finder);
	struct follower_stats *stats = &follower->stats;

	stats->overflows = found->overflows;
	stats->refused_links = found->refused_links;
	stats->bad_names = found->bad_names;
	stats->open_failures = found->open_failures;
	stats->watches = found->watches;
	stats->gave_up = follower->hold.gave_up;
	stats->given_up_bytes = follower->hold.given_up_bytes;
	stats->held_unlinked = hold_count(&follower->hold);
	stats->held_unlinked_bytes = hold_bytes(&follower->hold);
	stats->containers = HASH_COUNT(follower->containers);
	return stats;
}

/* ---- life --------------------------------------------------------------------------------------- */

static char *copy_of(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

int follower_new(struct follower **ret_follower, uv_loop_t *loop, const struct follower_options *options,
    const struct follower_events *events, struct err *err)
{
	struct follower *follower;

	if (options->path[0] != '/')
		return err_set(err, -EINVAL, "the log root '%s' is no absolute path", options->path);
	follower = x_new(follower);
	follower->magic = FOLLOWER_MAGIC;
	follower->events = *events;
	follower->node_name = xstrdup(options->node_name);
	follower->own_uid = copy_of(options->own_uid);
	follower->own_namespace = copy_of(options->own_namespace);
	follower->own_pod = copy_of(options->own_pod);
	follower->rescan_interval_ms = options->rescan_interval_ms;
	follower->hold.limit_bytes = options->hold_limit;
	follower->gzip = gzip_pool_new(GZIP_READINGS);
	finder_new(&follower->finder, loop, options->path, options->docker_root,
	    &(struct finder_events){.wanted = on_wanted,
		.listed = on_listed,
		.lost = on_lost,
		.written = on_written,
		.overflowed = on_overflow,
		.told = on_told,
		.arg = follower});
	follower->sweep_timer.data = follower;
	follower->turn_timer.data = follower;
	must(uv_timer_init(loop, &follower->sweep_timer) == 0);
	must(uv_timer_init(loop, &follower->turn_timer) == 0);
	follower->handles = 3;
	*ret_follower = follower;
	return 0;
}

int follower_start(struct follower *follower, struct err *err)
{
	int error;

	begin_sweep(follower, true);
	finish_turn(follower);
	error = uv_timer_start(
	    &follower->sweep_timer, on_sweep, follower->rescan_interval_ms, follower->rescan_interval_ms);
	return error == 0 ? 0 : err_set(err, error, "cannot start sweeping: %s", uv_strerror(error));
}

void follower_tune(struct follower *follower, uint64_t rescan_interval_ms, uint64_t hold_limit)
{
	follower->rescan_interval_ms = rescan_interval_ms;
	follower->hold.limit_bytes = hold_limit;
	if (uv_is_active((uv_handle_t *)&follower->sweep_timer))
		(void)uv_timer_start(
		    &follower->sweep_timer, on_sweep, rescan_interval_ms, rescan_interval_ms);
}

void follower_stop(struct follower *follower)
{
	follower->stopped = true;
	(void)uv_timer_stop(&follower->sweep_timer);
	(void)uv_timer_stop(&follower->turn_timer);
	finder_stop(follower->finder);
}

static void part_closed(struct follower *follower)
{
	if (--follower->handles > 0)
		return;
	follower->magic = 0;
	gzip_pool_free(follower->gzip);
	free(follower->node_name);
	free(follower->own_uid);
	free(follower->own_namespace);
	free(follower->own_pod);
	free(follower);
}

static void on_finder_closed(void *arg)
{
	part_closed(follower_of(arg));
}

static void on_timer_closed(uv_handle_t *handle)
{
	part_closed(follower_of(handle->data));
}

void follower_close(struct follower *follower)
{
	struct followed *followed, *next;

	follower_stop(follower);
	DL_FOREACH_SAFE2 (follower->all, followed, next, all_next)
		let_go(follower, followed);
	finder_close(follower->finder, on_finder_closed, follower);
	uv_close((uv_handle_t *)&follower->sweep_timer, on_timer_closed);
	uv_close((uv_handle_t *)&follower->turn_timer, on_timer_closed);
}

struct finder *follower_finder(struct follower *follower)
{
	return follower->finder;
}

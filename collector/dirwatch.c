/* Hints from inotify.  A directory's watch tells of its names and, where asked, of every write below it; the
 * answer is never "this happened" but "look there".
 *
 *      asleep --readable--> read all, tell --rested--> read again: something? tell, and rest
 *         '-------------------------------------------------- nothing?
 *
 * Stands below finder.c.  Owns the inotify descriptor and the watches.  Decides nothing, opens nothing,
 * believes nothing.
 *
 * The kernel never gives a number twice, so an event with a number that is not in the table belongs to no
 * directory of ours: then hints went astray and everything should be looked at.  A watch that we take away
 * stays in the table, without owner, until the kernel's IN_IGNORED: what was queued before is about a
 * directory that nobody wants any more. */
#include "config.h"
#include "collector/dirwatch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"

#define LOG_MODULE "dirwatch"

/* A turn reads at most READ_BYTES * READS_A_TURN: more than the kernel's queue holds of ordinary names
 * (16,384 events of 32 bytes). */
#ifdef DRAVE_DEBUG
#define READ_BYTES (sizeof(struct inotify_event) + 256)
#else
#define READ_BYTES 65536
#endif
#define READS_A_TURN 16

/* IN_EXCL_UNLINK is left out on purpose: what is written to a file that was deleted but is still held is
 * wanted too. */
#define NAMES_MASK (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE)
#define ADD_FLAGS  (IN_ONLYDIR | IN_MASK_CREATE)

#define DIRWATCH_MAGIC MAGIC('D', 'W', 'C', 'H')

struct watch {
	int number;
	void *owner; /* NULL: taken away, IN_IGNORED is still to come */
	UT_hash_handle hh;
};

struct dirwatch {
	unsigned magic;
	int fd; /* -1: no inotify here */
	struct dirwatch_events events;
	struct watch *watches; /* by number */
	struct watch *last;    /* of the event before: mostly the same again */
	size_t owned;          /* watches with an owner */
	size_t limit;
	bool stopped;
	uv_poll_t poll;
	uv_timer_t rest;
	int handles; /* not yet closed */
	void (*closed)(void *arg);
	void *closed_arg;
	_Alignas(struct inotify_event) char bytes[READ_BYTES];
};

static struct dirwatch *dirwatch_of(void *data)
{
	struct dirwatch *watch = data;

	must(watch->magic == DIRWATCH_MAGIC);
	return watch;
}

/* ---- one event ---------------------------------------------------------------------------------- */

static struct watch *watch_numbered(struct dirwatch *watch, int number)
{
	struct watch *one = watch->last;

	if (one == NULL || one->number != number)
		HASH_FIND_INT(watch->watches, &number, one);
	watch->last = one;
	return one;
}

static void forget(struct dirwatch *watch, struct watch *one)
{
	void *owner = one->owner;

	HASH_DEL(watch->watches, one);
	watch->last = NULL;
	free(one);
	if (owner == NULL)
		return;
	watch->owned--;
	watch->events.ended(watch->events.arg, owner);
}

/* Their IN_IGNORED may be among what was lost; what still comes for them counts as astray, which costs one
 * more look. */
static void forget_all_without_owner(struct dirwatch *watch)
{
	struct watch *one, *next;

	HASH_ITER (hh, watch->watches, one, next) {
		if (one->owner == NULL)
			forget(watch, one);
	}
}

static void take_event(struct dirwatch *watch, const struct inotify_event *event)
{
	const struct dirwatch_events *events = &watch->events;
	struct watch *one = watch_numbered(watch, event->wd);

	if (event->mask & IN_Q_OVERFLOW) {
		forget_all_without_owner(watch);
		events->overflowed(events->arg);
	} else if (event->mask & IN_IGNORED) {
		if (one != NULL)
			forget(watch, one);
	} else if (one == NULL) {
		events->overflowed(events->arg);
	} else if (one->owner == NULL || event->len == 0) {
		return; /* taken away; or about the directory itself, which its parent tells too */
	} else if (event->mask & IN_MODIFY) {
		events->written(events->arg, one->owner, event->name);
	} else if (event->mask & NAMES_MASK) {
		events->names_changed(events->arg, one->owner);
	}
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* One buffer: the number of bytes, 0 if there was nothing. */
static size_t read_some(struct dirwatch *watch)
{
	ssize_t len = read(watch->fd, watch->bytes, sizeof watch->bytes);
	size_t at = 0;

	if (len <= 0)
		return 0; /* nothing there (EAGAIN, EINTR): the descriptor stays readable if there is */
	while (at < (size_t)len) {
		const struct inotify_event *event = (const void *)(watch->bytes + at);

		take_event(watch, event);
		at += sizeof *event + event->len;
	}
	return (size_t)len;
}

static bool read_all(struct dirwatch *watch)
{
	bool any = false;

	if (watch->fd < 0)
		return false;
	for (int i = 0; i < READS_A_TURN; i++) {
		size_t len = read_some(watch);

		any = any || len > 0;
		/* A buffer with room for one more event left over was the last one. */
		if (len == 0 || len + sizeof(struct inotify_event) + 256 < sizeof watch->bytes)
			break;
	}
	if (any)
		watch->events.told(watch->events.arg);
	return any;
}

static void on_readable(uv_poll_t *poll, int status, int what);

static void sleep_until_readable(struct dirwatch *watch)
{
	must(uv_poll_start(&watch->poll, UV_READABLE, on_readable) == 0);
}

static void on_rested(uv_timer_t *timer)
{
	struct dirwatch *watch = dirwatch_of(timer->data);

	if (read_all(watch) || watch->stopped)
		return;
	(void)uv_timer_stop(timer);
	sleep_until_readable(watch);
}

static void on_readable(uv_poll_t *poll, int status, int what)
{
	struct dirwatch *watch = dirwatch_of(poll->data);

	(void)status; /* an error shows in the read, and what is lost there the sweep finds */
	(void)what;
	(void)uv_poll_stop(poll);
	(void)uv_timer_start(&watch->rest, on_rested, DIRWATCH_REST_MS, DIRWATCH_REST_MS);
	(void)read_all(watch);
}

void dirwatch_read(struct dirwatch *watch)
{
	(void)read_all(watch);
}

/* ---- watches ------------------------------------------------------------------------------------ */

int dirwatch_add(struct dirwatch *watch, int dir_fd, enum dirwatch_depth depth, void *owner)
{
	uint32_t mask = NAMES_MASK | ADD_FLAGS | (depth == DIRWATCH_WRITES ? IN_MODIFY : 0);
	struct watch *one;
	char path[32];
	int number;

	must(owner != NULL);
	if (watch->fd < 0)
		return -ENOSYS;
	if (watch->owned >= watch->limit || FAULT("dirwatch.add"))
		return -ENOSPC;
	/* By descriptor, so that the watch is on the very directory that was opened safely, whatever its path
	 * leads to now. */
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", dir_fd);
	number = inotify_add_watch(watch->fd, path, mask);
	if (number == -1)
		return -errno;
	one = x_new(one);
	one->number = number;
	one->owner = owner;
	HASH_ADD_INT(watch->watches, number, one);
	watch->owned++;
	return number;
}

void dirwatch_remove(struct dirwatch *watch, int number)
{
	struct watch *one;

	HASH_FIND_INT(watch->watches, &number, one);
	must(one != NULL && one->owner != NULL);
	one->owner = NULL;
	watch->owned--;
	/* Fails only if the kernel took it away first; its IN_IGNORED is queued in either case. */
	(void)inotify_rm_watch(watch->fd, number);
}

size_t dirwatch_count(const struct dirwatch *watch)
{
	return watch->owned;
}

void dirwatch_limit(struct dirwatch *watch, size_t limit)
{
	watch->limit = limit;
}

void dirwatch_overflow(struct dirwatch *watch)
{
	const struct inotify_event event = {.wd = -1, .mask = IN_Q_OVERFLOW};

	take_event(watch, &event);
	watch->events.told(watch->events.arg);
}

/* ---- life --------------------------------------------------------------------------------------- */

void dirwatch_new(struct dirwatch **ret_watch, uv_loop_t *loop, const struct dirwatch_events *events)
{
	struct dirwatch *watch = x_new(watch);

	watch->magic = DIRWATCH_MAGIC;
	watch->events = *events;
	watch->limit = SIZE_MAX;
	watch->poll.data = watch;
	watch->rest.data = watch;
	must(uv_timer_init(loop, &watch->rest) == 0);
	watch->handles = 1;
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd == -1) {
		log_warn("no inotify, files are looked at in turns only", "error=%s", uv_strerror(-errno));
	} else {
		must(uv_poll_init(loop, &watch->poll, watch->fd) == 0);
		watch->handles = 2;
		sleep_until_readable(watch);
	}
	*ret_watch = watch;
}

void dirwatch_stop(struct dirwatch *watch)
{
	watch->stopped = true;
	(void)uv_timer_stop(&watch->rest);
	if (watch->fd >= 0)
		(void)uv_poll_stop(&watch->poll);
}

static void on_closed(uv_handle_t *handle)
{
	struct dirwatch *watch = dirwatch_of(handle->data);
	void (*closed)(void *arg) = watch->closed;
	void *closed_arg = watch->closed_arg;
	struct watch *one, *next;

	if (--watch->handles > 0)
		return;
	HASH_ITER (hh, watch->watches, one, next) {
		HASH_DEL(watch->watches, one);
		free(one);
	}
	if (watch->fd >= 0)
		(void)close(watch->fd);
	watch->magic = 0;
	free(watch);
	closed(closed_arg);
}

void dirwatch_close(struct dirwatch *watch, void (*closed)(void *arg), void *arg)
{
	dirwatch_stop(watch);
	watch->closed = closed;
	watch->closed_arg = arg;
	uv_close((uv_handle_t *)&watch->rest, on_closed);
	if (watch->fd >= 0)
		uv_close((uv_handle_t *)&watch->poll, on_closed);
}

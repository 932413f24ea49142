/* The ring of followed files: finds them (finder, dirwatch), holds them open, notices growth, rotation, truncation and end, and wakes their
 * readers.  Reads no lines and knows no outputs.
 *
 * inotify makes it quick, the sweep makes it true: each rescan_interval held files get an fstat and known directories a look at their
 * mtime, those with a watch in turns (finder.h), the others each time; a directory is listed only if its mtime changed or was fresh at the
 * last listing; everything is listed once a minute, and all is looked at after an overflow of the inotify queue. */
#ifndef DRAVE_COLLECTOR_FOLLOWER_H
#define DRAVE_COLLECTOR_FOLLOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "collector/tail.h"
#include "common/buf.h"
#include "common/err.h"

struct follower_options {
	const char *path;         /* /var/log/pods */
	const char *docker_root;  /* /var/lib/docker/containers, or NULL: links are refused */
	const char *node_name;    /* goes into every origin */
	uint64_t rescan_interval_ms;
	uint64_t hold_limit;      /* bytes of unlinked files that readers still need; beyond it the oldest is given up */
	const char *own_uid, *own_namespace, *own_pod; /* our own pod (POD_UID, or POD_NAMESPACE and POD_NAME), never followed; NULL = unknown */
};

struct follower_events {
	/* Does anybody want this container's logs?  If not, its directory is known by name only: no tail, no watch, no descriptor. */
	bool (*wanted)(void *arg, const struct origin *origin);
	/* A compressed rotated file of this run of the container stands there: may it be one that is to be read on, so that it is worth being opened?
	 * Asked at each listing. */
	bool (*may_resume)(void *arg, const struct container *container, unsigned restart, bool is_first_look);
	/* It was opened, has its name and head, and stands in no list yet: is it to be read?  Then adopted() follows.  Plain files come first, then
	 * these, the newest first. */
	bool (*resumes)(void *arg, struct tail *tail, bool is_first_look);
	/* A file was adopted: attach readers now. tail->prev is read before it, tail->next after it. */
	void (*adopted)(void *arg, struct tail *tail);
	/* The first look over everything has ended, once: what was not adopted by now was gone before we came. */
	void (*looked)(void *arg);
	/* Its head is longer, its first line is whole, or it has another name: what the checkpoint knows of it is to be brought up to date. */
	void (*changed)(void *arg, struct tail *tail);
	/* Its last reader is gone and the follower lets the tail go. If tail->unlinked or tail->truncated, nobody will ever see this file again:
	 * last chance to forget it (the checkpoint's row).  If neither, the file is still there but unwanted since follower_review. */
	void (*released)(void *arg, struct tail *tail);
	void *arg;
};

struct follower_stats { /* counters that only grow, and gauges of now */
	uint64_t input_bytes;          /* growth seen, in all followed files */
	uint64_t adopted, renamed, unlinked, truncated, gave_up;
	uint64_t overflows, refused_links, bad_names, open_failures;
	uint64_t given_up_bytes;
	size_t tails, held_unlinked, watches, containers;
	uint64_t held_unlinked_bytes;
};

int follower_new(struct follower **ret_follower, uv_loop_t *loop, const struct follower_options *options, const struct follower_events *events,
	struct err *err);
/* The first look over everything, then watches and sweeps begin.  The log root need not exist yet: it is waited for (one warning). */
int follower_start(struct follower *follower, struct err *err);
/* Looks over everything now, at once (--once, tests, SIGUSR1). */
void follower_look(struct follower *follower);
/* fstat of every held file now. */
void follower_sweep(struct follower *follower);
/* Other answers of wanted(): asks again for every container; newly wanted files are adopted soon, the others let go once their readers are gone. */
void follower_review(struct follower *follower);
/* The same for an output that has just begun: files are adopted now, and were there before it (tail->was_there).  False: the first look over
 * everything is still to come, and does it. */
bool follower_take_stock(struct follower *follower);
/* New limits (reload). */
void follower_tune(struct follower *follower, uint64_t rescan_interval_ms, uint64_t hold_limit);
/* Calls visit for every tail, containers in no order, a container's tails in theirs. */
void follower_each(struct follower *follower, void (*visit)(void *arg, struct tail *tail), void *arg);
const struct follower_stats *follower_stats(struct follower *follower);
/* No more events; tails stay readable until follower_close. */
void follower_stop(struct follower *follower);
/* All readers must be detached.  Frees in the last close callback. */
void follower_close(struct follower *follower);

/* Tests: how it finds. */
struct finder;
struct finder *follower_finder(struct follower *follower);

#endif

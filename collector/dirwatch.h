/* What happens in directories, as hints.  The door of inotify.
 *
 * One inotify instance on the loop.  A callback only marks what to look at; dirwatch calls `told` once when
 * it has read what there was, and then leaves the kernel's queue alone for DIRWATCH_REST_MS.  It may miss
 * things, and says so (overflowed, refused watches): whoever uses it must also look by himself from time to
 * time. */
#ifndef DRAVE_COLLECTOR_DIRWATCH_H
#define DRAVE_COLLECTOR_DIRWATCH_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* A writer that writes line by line would wake us for each of them; so what comes within this time is taken
 * together.  The first line after a quiet time is told at once; 20 ms is the most that another one waits,
 * well below a batch's age.  (17,000 lines/s into 100 files, read at once: 6.2 % of a core with 10 ms, 3.6 %
 * with 20.) */
#define DIRWATCH_REST_MS 20

struct dirwatch;

struct dirwatch_events {
	/* Names came, went or changed in the directory that was added for owner. */
	void (*names_changed)(void *arg, void *owner);
	/* Someone wrote into the file with this name (which may have another name by now, or none). */
	void (*written)(void *arg, void *owner, const char *name);
	/* The watch is no more: the directory is gone. dirwatch_remove must not be called for it. */
	void (*ended)(void *arg, void *owner);
	/* Hints were lost, nobody knows which. */
	void (*overflowed)(void *arg);
	/* Everything was told: time to act. */
	void (*told)(void *arg);
	void *arg;
};

enum dirwatch_depth {
	DIRWATCH_NAMES, /* only names_changed */
	DIRWATCH_WRITES /* and written */
};

/* Never fails for want of inotify (a limit, a kernel without it): then every dirwatch_add is refused. events
 * is copied. */
void dirwatch_new(struct dirwatch **ret_watch, uv_loop_t *loop, const struct dirwatch_events *events);
/* Watches an open directory (whose descriptor may be closed afterwards). The watch number, or -errno: -ENOSPC
 * when the limit of watches is reached, -EEXIST when this directory is watched already. */
int dirwatch_add(struct dirwatch *watch, int dir_fd, enum dirwatch_depth depth, void *owner);
/* After it owner is named no more. */
void dirwatch_remove(struct dirwatch *watch, int number);
size_t dirwatch_count(const struct dirwatch *watch);
/* Reads what there is now, without waiting for the loop (tests, --once). */
void dirwatch_read(struct dirwatch *watch);
/* No more calls. */
void dirwatch_stop(struct dirwatch *watch);
/* Frees in the last close callback, then calls closed(arg). */
void dirwatch_close(struct dirwatch *watch, void (*closed)(void *arg), void *arg);

/* Tests: as if the kernel allowed no more than this many watches (SIZE_MAX: its own limit), and as if its
 * queue had overflowed. */
void dirwatch_limit(struct dirwatch *watch, size_t limit);
void dirwatch_overflow(struct dirwatch *watch);

#endif

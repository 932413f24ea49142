/* Which log files there are by name: walks the log root (and docker's directories behind links), lists what
 * may have changed, and says what stands there now.  Level-driven: a listing is the truth, watches only say
 * when to make one.
 *
 * A `place` is a directory with log files of one container.  The finder opens files safely for its listener
 * but holds none. */
#ifndef DRAVE_COLLECTOR_FINDER_H
#define DRAVE_COLLECTOR_FINDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "collector/dirwatch.h"
#include "collector/logroot.h"
#include "collector/podpath.h"

struct finder;

struct place {
	const char *pod; /* the name of the pod's directory: podpath_parse_pod takes it apart */
	const char *container;
	const char *path; /* below the log root, or below docker_root */
	bool is_docker;
	bool wanted;
	int fd;      /* the open directory while listed() runs, else -1 */
	void *files; /* the listener's own; NULL at first */
};

struct place_file {
	char *name;
	uint64_t
	    ino; /* as the directory says: mostly, but not on every file system, the file's inode number */
	struct logfile_name as; /* docker: restart from the link's name, rotation is N */
	unsigned age;           /* docker: N, higher is older; else 0 */
};

struct finder_events {
	/* Asked when a container's directory appears, and again by finder_review.  What is not wanted is
	 * neither listed nor watched. */
	bool (*wanted)(void *arg, const struct place *place);
	/* These log files, in no order, stand there now, and no others; .gz too, but not docker's.  They and
	 * place->fd last as long as the call. */
	void (*listed)(void *arg, struct place *place, const struct place_file *files, size_t file_count);
	/* The directory is gone, or another one stands in its place; the listener forgets `place`
	 * (place->files is NULL afterwards). */
	void (*lost)(void *arg, struct place *place);
	/* Someone wrote into the file that has or had this name there. */
	void (*written)(void *arg, struct place *place, const char *name);
	/* Hints were lost, nobody knows which: directories are noted already, files are the listener's. */
	void (*overflowed)(void *arg);
	/* There is something to do: call finder_turn, now or soon. */
	void (*told)(void *arg);
	void *arg;
};

struct finder_stats {
	uint64_t overflows;
	uint64_t refused_links; /* symlinks, hard links, FIFOs, devices, other file systems: refused on
				   principle, each counted once while it stands there */
	uint64_t bad_names;     /* directories whose names are no pod's or container's */
	uint64_t open_failures;
	size_t watches, places;
};

/* docker_root NULL: its links are refused.  events is copied. */
void finder_new(struct finder **ret_finder, uv_loop_t *loop, const char *path, const char *docker_root,
    const struct finder_events *events);
/* Looks whether the root is there (one warning while it is not) and notes that a round of looks is due: at
 * every unwatched directory, and at a share of the watched ones. finder_turn does it.  True if the root is
 * there. */
bool finder_sweep(struct finder *finder);
/* Notes that every directory is to be listed. */
void finder_look(struct finder *finder);
/* Asks wanted() again for every container. */
void finder_review(struct finder *finder);
/* Is this sweep to look at the place? An unwatched one in each; watched ones take turns of
 * FINDER_WATCHED_SHARE sweeps.  With the default interval of 2 s that is every 10 s, which is how often the
 * kubelet rotates: inotify misses changes only where it says so, or on file systems that others write to, and
 * looking at a thousand quiet files in each sweep would cost more than everything else while nothing is
 * written. */
bool finder_is_its_turn(const struct finder *finder, const struct place *place);
#define FINDER_WATCHED_SHARE 5
/* Does what was noted, at most about `budget` looks (a listing counts as FINDER_LISTING_COST of them). True
 * if something is left to do. */
bool finder_turn(struct finder *finder, size_t budget);
#define FINDER_LISTING_COST 16
/* Within listed() only: opens a file of the place. 0, or -errno after it was counted and told where needed,
 * and noted for another try if that may help. */
int finder_open(
    struct finder *finder, struct place *place, const struct place_file *file, struct logroot_file *ret_file);
/* The listener could not take all of this place (no descriptor left): list it again at the next sweep. */
void finder_try_again(struct finder *finder, struct place *place);
const struct finder_stats *finder_stats(struct finder *finder);
/* Tests: its watches; and as if no more than this many descriptors were allowed. */
struct dirwatch *finder_watch(struct finder *finder);
void finder_limit_descriptors(struct finder *finder, int limit);
/* No more events. */
void finder_stop(struct finder *finder);
/* Frees in the last close callback, without calling lost(), then calls closed(arg). */
void finder_close(struct finder *finder, void (*closed)(void *arg), void *arg);

#endif

/* Finding log files by name.  The tree is <root>/<pod>/<container>/<files>; with docker a link there leads to
 * <docker_root>/<id>/<files>.
 *
 *      known --new, told by its watch, mtime moved, long ago, overflow--> due --finder_turn--> listed, known
 *
 * A listing opens the directory, puts a watch on it if it has none (so that nothing falls between the two),
 * reads all names, makes and forgets children, and hands a place's files to the listener.  Between listings a
 * directory costs one stat now and then: a watched one is looked at every FINDER_WATCHED_SHARE sweeps, the
 * others in each; each is listed once a minute whatever its mtime says.
 *
 * Stands between dirwatch.c and logroot.c below and follower.c above.  Owns the directories and their
 * watches.  Holds no file. */
#include "config.h"
#include "collector/finder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"

#define LOG_MODULE "finder"

#define RELIST_MS 60000
/* A change in the same tick of the file system's clock leaves the mtime as it is; the coarsest clocks tick
 * once in 2 s. */
#define FRESH_NS INT64_C(2000000000)

enum dir_kind {
	DIR_ROOT,
	DIR_POD,
	DIR_CONTAINER,
	DIR_DOCKER,  /* behind a link in a container's directory */
	DIR_STRANGE, /* remembered so that it is complained about only once */
};

/* Something in a directory that was complained about already. */
struct complaint {
	uint64_t ino;
	unsigned stamp; /* of the listing that met it last */
	struct complaint *next;
};

struct dir {
	struct place place;
	enum dir_kind kind;
	struct dir *parent;
	struct dir *children;
	struct dir *prev, *next;         /* among its parent's children */
	struct dir *all_prev, *all_next; /* in finder->all */
	struct dir *due_prev, *due_next; /* in finder->due */
	UT_hash_handle hh;
	char *key;                        /* path below the log root, also for DIR_DOCKER; the hash key */
	const char *name;                 /* its last part */
	struct logroot *root;             /* beneath which place.path lies */
	unsigned restart;                 /* DIR_DOCKER */
	char id[LOGROOT_DOCKER_ID_BYTES]; /* DIR_DOCKER: place.path */
	uint64_t entry_ino;               /* as its parent's listing says */
	uint64_t dev, ino;                /* as opened; 0 = never listed */
	int64_t modified_ns;              /* at the last listing */
	uint64_t listed_ms;
	unsigned stamp;   /* of the parent's listing that saw it last */
	unsigned listing; /* its own listings, numbered */
	unsigned turn;    /* which of FINDER_WATCHED_SHARE sweeps looks at it */
	int watch;        /* -1 = none */
	bool is_due;
	bool is_fresh;       /* it had changed just before the last listing: its mtime says nothing yet */
	bool try_again;      /* the last listing was not complete */
	bool has_complained; /* that it cannot be opened */
	struct complaint *complaints;
};

struct finder {
	struct logroot log_root, docker_root;
	bool has_docker;
	struct finder_events events;
	struct finder_stats stats;
	struct dirwatch *watch;
	struct dir *root;
	struct dir *dirs; /* by key */
	struct dir *all;  /* parents before children */
	struct dir *due;
	struct dir *cursor; /* where the sweep stands in `all`; NULL = it is done */
	unsigned sweep;
	unsigned made;        /* directories, to spread their turns */
	int descriptor_limit; /* files may have those below it */
	bool has_warned_root, has_warned_watches, has_warned_descriptors;
	struct place_file *files; /* of the listing under way */
	size_t file_count, file_capacity;
	void (*closed)(void *arg);
	void *closed_arg;
};

static bool holds_logs(const struct dir *dir)
{
	return dir->kind == DIR_CONTAINER || dir->kind == DIR_DOCKER;
}

static struct dir *dir_of(struct place *place)
{
	return container_of(place, struct dir, place);
}

static bool is_of_interest(const struct dir *dir)
{
	return dir->kind != DIR_STRANGE && (!holds_logs(dir) || dir->place.wanted);
}

static void make_due(struct finder *finder, struct dir *dir)
{
	if (dir->is_due || !is_of_interest(dir))
		return;
	dir->is_due = true;
	DL_APPEND2(finder->due, dir, due_prev, due_next);
}

static void not_due(struct finder *finder, struct dir *dir)
{
	if (!dir->is_due)
		return;
	dir->is_due = false;
	DL_DELETE2(finder->due, dir, due_prev, due_next);
}

/* ---- complaints --------------------------------------------------------------------------------- */

/* True if this is the first time as long as it stands there. */
static bool complain_once(struct dir *dir, uint64_t ino)
{
	struct complaint *complaint;

	LL_SEARCH_SCALAR(dir->complaints, complaint, ino, ino);
	if (complaint != NULL) {
		complaint->stamp = dir->listing;
		return false;
	}
	complaint = x_new(complaint);
	complaint->ino = ino;
	complaint->stamp = dir->listing;
	LL_PREPEND(dir->complaints, complaint);
	return true;
}

static void forget_complaints(struct dir *dir, bool all)
{
	struct complaint *complaint, *next;

	LL_FOREACH_SAFE (dir->complaints, complaint, next) {
		if (!all && complaint->stamp == dir->listing)
			continue;
		LL_DELETE(dir->complaints, complaint);
		free(complaint);
	}
}

static void refuse(struct finder *finder, struct dir *dir, const char *name, uint64_t ino, const char *why)
{
	if (!complain_once(dir, ino))
		return;
	finder->stats.refused_links++;
	log_warn("refused to open", "directory=%s name=%s reason=%s", log_quote(dir->key), log_quote(name),
	    log_quote(why));
}

static bool is_short_of_descriptors(int error)
{
	return error == -EMFILE || error == -ENFILE;
}

static void warn_of_descriptors(struct finder *finder)
{
	if (finder->has_warned_descriptors)
		return;
	finder->has_warned_descriptors = true;
	log_warn("no descriptor left, more files are opened as others are let go", "hint=%s",
	    log_quote("raise the limit of open files (RLIMIT_NOFILE)"));
}

/* ---- directories come and go -------------------------------------------------------------------- */

static struct dir *make_dir(struct finder *finder, enum dir_kind kind, struct dir *parent, const char *name)
{
	struct dir *dir = x_new(dir);
	const char *slash;

	dir->kind = kind;
	dir->parent = parent;
	dir->key =
	    parent == NULL || parent->parent == NULL ? xstrdup(name) : xasprintf("%s/%s", parent->key, name);
	slash = strrchr(dir->key, '/');
	dir->name = slash != NULL ? slash + 1 : dir->key;
	dir->root = &finder->log_root;
	dir->watch = -1;
	dir->turn = finder->made++ % FINDER_WATCHED_SHARE;
	dir->place.fd = -1;
	dir->place.path = dir->key;
	if (kind == DIR_CONTAINER) {
		dir->place.pod = parent->name;
		dir->place.container = dir->name;
		dir->place.wanted = finder->events.wanted(finder->events.arg, &dir->place);
	}
	HASH_ADD_KEYPTR(hh, finder->dirs, dir->key, strlen(dir->key), dir);
	DL_APPEND2(finder->all, dir, all_prev, all_next);
	if (parent != NULL)
		DL_APPEND(parent->children, dir);
	finder->stats.places += holds_logs(dir);
	return dir;
}

static struct dir *make_docker_dir(
    struct finder *finder, struct dir *parent, const char *name, const char *id)
{
	struct dir *dir = make_dir(finder, DIR_DOCKER, parent, name);

	memcpy(dir->id, id, sizeof dir->id);
	dir->restart = podpath_parse_file(name).restart;
	dir->root = &finder->docker_root;
	dir->place.path = dir->id;
	dir->place.pod = parent->place.pod;
	dir->place.container = parent->place.container;
	dir->place.is_docker = true;
	dir->place.wanted = parent->place.wanted;
	return dir;
}

static void unwatch(struct finder *finder, struct dir *dir)
{
	if (dir->watch >= 0)
		dirwatch_remove(finder->watch, dir->watch);
	dir->watch = -1;
}

static void free_dir(struct finder *finder, struct dir *dir)
{
	if (finder->cursor == dir)
		finder->cursor = dir->all_next;
	not_due(finder, dir);
	finder->stats.places -= holds_logs(dir);
	HASH_DEL(finder->dirs, dir);
	DL_DELETE2(finder->all, dir, all_prev, all_next);
	if (dir->parent != NULL)
		DL_DELETE(dir->parent->children, dir);
	forget_complaints(dir, true);
	free(dir->key);
	free(dir);
}

static void lose(struct finder *finder, struct dir *dir);

/* The directory that stood here is another one now, or none. */
static void lose_content(struct finder *finder, struct dir *dir)
{
	struct dir *child, *next;

	DL_FOREACH_SAFE (dir->children, child, next)
		lose(finder, child);
	unwatch(finder, dir);
	forget_complaints(dir, true);
	if (holds_logs(dir)) {
		finder->events.lost(finder->events.arg, &dir->place);
		must(dir->place.files == NULL);
	}
}

static void lose(struct finder *finder, struct dir *dir)
{
	lose_content(finder, dir);
	free_dir(finder, dir);
}

/* ---- entries of a listing ----------------------------------------------------------------------- */

struct entry {
	const char *name;
	uint64_t ino;
	mode_t type; /* S_IFREG and so on; 0 = it is gone already */
};

static struct entry entry_of(const struct dirent *dirent, int dir_fd)
{
	struct entry entry = {.name = dirent->d_name, .ino = dirent->d_ino, .type = DTTOIF(dirent->d_type)};
	struct stat stat;

	if (dirent->d_type == DT_UNKNOWN) /* some file systems do not say */
		entry.type =
		    fstatat(dir_fd, entry.name, &stat, AT_SYMLINK_NOFOLLOW) == 0 ? stat.st_mode & S_IFMT : 0;
	return entry;
}

static struct dir *known_child(struct finder *finder, const struct dir *parent, const char *name)
{
	struct dir *child;
	char *key = parent->parent == NULL ? xstrdup(name) : xasprintf("%s/%s", parent->key, name);

	HASH_FIND(hh, finder->dirs, key, strlen(key), child);
	free(key);
	return child;
}

/* The child with this name is there: lists it if it is new or another one. */
static void see_child(struct finder *finder, struct dir *child, const struct entry *entry)
{
	child->stamp = child->parent->listing;
	if (child->entry_ino == entry->ino)
		return;
	child->entry_ino = entry->ino;
	make_due(finder, child);
}

static enum dir_kind kind_of_child(const struct dir *parent, const struct entry *entry)
{
	struct podpath pod;

	if (entry->type != S_IFDIR)
		return DIR_STRANGE;
	if (parent->kind == DIR_ROOT)
		return podpath_parse_pod(entry->name, &pod) ? DIR_POD : DIR_STRANGE;
	return podpath_is_container(entry->name) ? DIR_CONTAINER : DIR_STRANGE;
}

/* In the root and in a pod's directory: only directories with proper names count. */
static void take_subdirectory(struct finder *finder, struct dir *parent, const struct entry *entry)
{
	enum dir_kind kind = kind_of_child(parent, entry);
	struct dir *child = known_child(finder, parent, entry->name);

	if (child != NULL && child->kind != kind) {
		lose(finder, child);
		child = NULL;
	}
	if (child != NULL) {
		see_child(finder, child, entry);
		return;
	}
	child = make_dir(finder, kind, parent, entry->name);
	see_child(finder, child, entry);
	if (kind != DIR_STRANGE)
		return;
	if (entry->type == S_IFLNK) {
		refuse(finder, parent, entry->name, entry->ino, "a symlink");
	} else {
		finder->stats.bad_names++;
		log_debug("not a pod's or container's directory", "path=%s", log_quote(child->key));
	}
}

static void add_file(struct finder *finder, const struct entry *entry, struct logfile_name as, unsigned age)
{
	if (finder->file_count == finder->file_capacity) {
		finder->file_capacity = finder->file_capacity * 2 + 8;
		finder->files = xrealloc(finder->files, finder->file_capacity * sizeof *finder->files);
	}
	finder->files[finder->file_count++] =
	    (struct place_file){.name = xstrdup(entry->name), .ino = entry->ino, .as = as, .age = age};
}

static void take_docker_link(struct finder *finder, struct dir *dir, const struct entry *entry)
{
	struct dir *child = known_child(finder, dir, entry->name);
	char id[LOGROOT_DOCKER_ID_BYTES] = {0};
	int error = logroot_read_docker_link(dir->place.fd, entry->name, finder->docker_root.path, id);

	if (error == -ENOENT)
		return;
	if (error != 0) {
		refuse(finder, dir, entry->name, entry->ino, "a link that leads out of docker's directory");
		return;
	}
	if (child != NULL && strcmp(child->id, id) != 0) {
		lose(finder, child);
		child = NULL;
	}
	if (child == NULL)
		child = make_docker_dir(finder, dir, entry->name, id);
	see_child(finder, child, entry);
}

static void take_log(struct finder *finder, struct dir *dir, const struct entry *entry)
{
	struct logfile_name as = podpath_parse_file(entry->name);

	if (as.kind == LOGFILE_NONE || entry->type == 0)
		return;
	if (entry->type == S_IFREG)
		add_file(finder, entry, as, 0);
	else if (entry->type == S_IFLNK && as.kind == LOGFILE_LIVE && finder->has_docker)
		take_docker_link(finder, dir, entry);
	else
		refuse(finder, dir, entry->name, entry->ino,
		    entry->type == S_IFLNK ? "a symlink" : "not a file");
}

static void take_docker_log(struct finder *finder, struct dir *dir, const struct entry *entry)
{
	struct logfile_name as = {.restart = dir->restart};
	size_t id_len = strlen(dir->id);
	unsigned age;

	if (strncmp(entry->name, dir->id, id_len) != 0 || entry->name[id_len] != '-')
		return;
	as.kind = podpath_parse_docker(entry->name, &age);
	if (as.kind != LOGFILE_LIVE && as.kind != LOGFILE_ROTATED)
		return;
	if (entry->type != S_IFREG) {
		refuse(finder, dir, entry->name, entry->ino, "not a file");
		return;
	}
	if (as.kind == LOGFILE_ROTATED)
		(void)snprintf(as.rotation, sizeof as.rotation, "%u", age);
	add_file(finder, entry, as, age);
}

static void take_entry(struct finder *finder, struct dir *dir, const struct entry *entry)
{
	if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
		return;
	if (dir->kind == DIR_CONTAINER)
		take_log(finder, dir, entry);
	else if (dir->kind == DIR_DOCKER)
		take_docker_log(finder, dir, entry);
	else
		take_subdirectory(finder, dir, entry);
}

/* ---- a listing ---------------------------------------------------------------------------------- */

static void watch_dir(struct finder *finder, struct dir *dir, int fd)
{
	int number;

	if (dir->watch >= 0)
		return;
	number = dirwatch_add(finder->watch, fd, holds_logs(dir) ? DIRWATCH_WRITES : DIRWATCH_NAMES, dir);
	if (number >= 0) {
		dir->watch = number;
	} else if (!finder->has_warned_watches) {
		finder->has_warned_watches = true;
		log_warn("cannot watch every directory, the others are looked at in turns",
		    "watches=%zu error=%s hint=%s", dirwatch_count(finder->watch),
		    log_quote(uv_strerror(number)), log_quote("raise fs.inotify.max_user_watches"));
	}
}

/* It could not be opened or read. */
static void listing_failed(struct finder *finder, struct dir *dir, int error)
{
	dir->try_again = true;
	if (error == -ENOENT || error == -ENOTDIR) {
		/* The parent's listing tells what became of it; docker's directory may come after its link.
		 */
		if (dir->parent != NULL && dir->kind != DIR_DOCKER)
			make_due(finder, dir->parent);
		return;
	}
	if (is_short_of_descriptors(error)) {
		warn_of_descriptors(finder);
		return;
	}
	if (dir->has_complained)
		return;
	dir->has_complained = true;
	if (logroot_is_refusal(error))
		finder->stats.refused_links++;
	else
		finder->stats.open_failures++;
	log_warn(
	    "cannot list directory", "path=%s error=%s", log_quote(dir->key), log_quote(uv_strerror(error)));
}

static void remember(struct dir *dir, const struct logroot_dir *now)
{
	dir->dev = now->dev;
	dir->ino = now->ino;
	dir->modified_ns = now->modified_ns;
	dir->is_fresh = clock_wall_ns() - now->modified_ns < FRESH_NS; /* also if it lies in the future */
	dir->listed_ms = clock_monotonic_ms();
	dir->try_again = false;
	dir->has_complained = false;
	dir->listing++;
}

static void hand_over_files(struct finder *finder, struct dir *dir)
{
	size_t count = finder->file_count;

	if (holds_logs(dir))
		finder->events.listed(finder->events.arg, &dir->place, finder->files, count);
	for (size_t i = 0; i < count; i++)
		free(finder->files[i].name);
	finder->file_count = 0;
}

static void read_entries(struct finder *finder, struct dir *dir, DIR *stream)
{
	struct dir *child, *next;
	const struct dirent *dirent;

	while ((dirent = readdir(stream)) != NULL) {
		struct entry entry = entry_of(dirent, dir->place.fd);

		take_entry(finder, dir, &entry);
	}
	DL_FOREACH_SAFE (dir->children, child, next) {
		if (child->stamp != dir->listing)
			lose(finder, child);
	}
	hand_over_files(finder, dir);
	forget_complaints(dir, false);
}

static void list(struct finder *finder, struct dir *dir)
{
	struct logroot_dir now;
	int fd = logroot_open_dir(dir->root, dir->place.path);
	int error = fd < 0 ? fd : logroot_look_at_dir(fd, &now);
	DIR *stream = error == 0 ? fdopendir(fd) : NULL;

	if (stream == NULL) {
		listing_failed(finder, dir, error != 0 ? error : -errno);
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	if (dir->ino != 0 && (dir->ino != now.ino || dir->dev != now.dev))
		lose_content(finder, dir);
	remember(dir, &now);
	watch_dir(finder, dir, fd);
	dir->place.fd = fd;
	read_entries(finder, dir, stream);
	dir->place.fd = -1;
	(void)closedir(stream);
}

/* ---- looks -------------------------------------------------------------------------------------- */

static bool is_its_turn(const struct finder *finder, const struct dir *dir)
{
	return dir->watch < 0 || dir->try_again || finder->sweep % FINDER_WATCHED_SHARE == dir->turn;
}

bool finder_is_its_turn(const struct finder *finder, const struct place *place)
{
	return is_its_turn(finder, dir_of((struct place *)(uintptr_t)place));
}

/* Lists it later if it may have changed since the last listing. */
static void peek(struct finder *finder, struct dir *dir)
{
	struct logroot_dir now;
	int error;

	if (dir->try_again || dir->is_fresh || clock_monotonic_ms() - dir->listed_ms >= RELIST_MS) {
		make_due(finder, dir);
		return;
	}
	error = logroot_peek(dir->root, dir->place.path, &now);
	if (error != 0)
		listing_failed(finder, dir, error);
	else if (now.ino != dir->ino || now.dev != dir->dev || now.modified_ns != dir->modified_ns)
		make_due(finder, dir);
}

bool finder_turn(struct finder *finder, size_t budget)
{
	while (finder->due != NULL && budget > 0) {
		struct dir *dir = finder->due;

		not_due(finder, dir);
		list(finder, dir);
		budget -= budget < FINDER_LISTING_COST ? budget : FINDER_LISTING_COST;
	}
	while (finder->cursor != NULL && budget > 0) {
		struct dir *dir = finder->cursor;

		finder->cursor = dir->all_next;
		if (!is_of_interest(dir) || !is_its_turn(finder, dir))
			continue;
		peek(finder, dir);
		budget--;
	}
	return finder->due != NULL || finder->cursor != NULL;
}

void finder_look(struct finder *finder)
{
	struct dir *dir;

	DL_FOREACH2 (finder->all, dir, all_next)
		make_due(finder, dir);
	finder->cursor = NULL; /* who lists everything need not look at each before */
}

bool finder_sweep(struct finder *finder)
{
	int found = logroot_check(&finder->log_root);

	if (finder->has_docker && logroot_check(&finder->docker_root) == 1)
		finder_look(finder);
	if (found < 0) {
		if (!finder->has_warned_root)
			log_warn("log root is not there, waiting for it", "path=%s error=%s",
			    log_quote(finder->log_root.path), log_quote(uv_strerror(found)));
		finder->has_warned_root = true;
		finder->cursor =
		    NULL; /* what is known stays known until there is something to compare it with */
		return false;
	}
	finder->has_warned_root = false;
	finder->sweep++;
	finder->cursor = finder->all;
	if (found == 1)
		finder_look(finder);
	return true;
}

static void review(struct finder *finder, struct dir *dir, bool wanted)
{
	struct dir *child;

	if (dir->place.wanted == wanted)
		return;
	dir->place.wanted = wanted;
	if (wanted) {
		make_due(finder, dir);
	} else {
		not_due(finder, dir);
		unwatch(finder, dir);
	}
	DL_FOREACH (dir->children, child)
		review(finder, child, wanted);
}

void finder_review(struct finder *finder)
{
	struct dir *dir;

	DL_FOREACH2 (finder->all, dir, all_next) {
		if (dir->kind == DIR_CONTAINER)
			review(finder, dir, finder->events.wanted(finder->events.arg, &dir->place));
	}
}

/* ---- for the listener --------------------------------------------------------------------------- */

int finder_open(
    struct finder *finder, struct place *place, const struct place_file *file, struct logroot_file *ret_file)
{
	struct dir *dir = dir_of(place);
	int error;

	must(place->fd >= 0);
	error = logroot_open_file(place->fd, file->name, ret_file);
	if (error == 0 && ret_file->fd >= finder->descriptor_limit) {
		(void)close(ret_file->fd);
		error = -EMFILE;
	}
	if (error == 0 || error == -ENOENT)
		return error; /* one that went away between listing and opening has changed its directory
				 again */
	if (logroot_is_refusal(error)) {
		refuse(finder, dir, file->name, file->ino, uv_strerror(error));
		return error;
	}
	finder_try_again(finder, place);
	if (is_short_of_descriptors(error)) {
		warn_of_descriptors(finder);
	} else if (complain_once(dir, file->ino)) {
		finder->stats.open_failures++;
		log_warn("cannot open log file", "directory=%s name=%s error=%s", log_quote(dir->key),
		    log_quote(file->name), log_quote(uv_strerror(error)));
	}
	return error;
}

void finder_try_again(struct finder *finder, struct place *place)
{
	(void)finder;
	dir_of(place)->try_again = true;
}

const struct finder_stats *finder_stats(struct finder *finder)
{
	finder->stats.watches = dirwatch_count(finder->watch);
	return &finder->stats;
}

struct dirwatch *finder_watch(struct finder *finder)
{
	return finder->watch;
}

void finder_limit_descriptors(struct finder *finder, int limit)
{
	finder->descriptor_limit = limit;
}

/* ---- hints -------------------------------------------------------------------------------------- */

static void on_names_changed(void *arg, void *owner)
{
	make_due(arg, owner);
}

static void on_written(void *arg, void *owner, const char *name)
{
	struct finder *finder = arg;
	struct dir *dir = owner;

	finder->events.written(finder->events.arg, &dir->place, name);
}

static void on_watch_ended(void *arg, void *owner)
{
	struct finder *finder = arg;
	struct dir *dir = owner;

	dir->watch = -1;
	make_due(finder, dir->parent != NULL ? dir->parent : dir);
}

static void on_overflow(void *arg)
{
	struct finder *finder = arg;

	finder->stats.overflows++;
	finder_look(finder);
	finder->events.overflowed(finder->events.arg);
}

static void on_told(void *arg)
{
	struct finder *finder = arg;

	finder->events.told(finder->events.arg);
}

/* ---- life --------------------------------------------------------------------------------------- */

void finder_new(struct finder **ret_finder, uv_loop_t *loop, const char *path, const char *docker_root,
    const struct finder_events *events)
{
	struct finder *finder = x_new(finder);
	const struct dirwatch_events watch_events = {.names_changed = on_names_changed,
	    .written = on_written,
	    .ended = on_watch_ended,
	    .overflowed = on_overflow,
	    .told = on_told,
	    .arg = finder};

	finder->events = *events;
	finder->descriptor_limit = logroot_raise_descriptor_limit();
	finder->has_docker = docker_root != NULL;
	logroot_init(&finder->log_root, path);
	logroot_init(&finder->docker_root, docker_root != NULL ? docker_root : "");
	finder->root = make_dir(finder, DIR_ROOT, NULL, "");
	dirwatch_new(&finder->watch, loop, &watch_events);
	*ret_finder = finder;
}

void finder_stop(struct finder *finder)
{
	dirwatch_stop(finder->watch);
}

static void on_watch_closed(void *arg)
{
	struct finder *finder = arg;
	void (*closed)(void *arg) = finder->closed;
	void *closed_arg = finder->closed_arg;

	free(finder->files);
	logroot_release(&finder->log_root);
	logroot_release(&finder->docker_root);
	free(finder);
	closed(closed_arg);
}

void finder_close(struct finder *finder, void (*closed)(void *arg), void *arg)
{
	struct dir *dir, *next;

	finder->closed = closed;
	finder->closed_arg = arg;
	DL_FOREACH_SAFE2 (finder->all, dir, next, all_next) {
		dir->parent = NULL;
		free_dir(finder, dir);
	}
	dirwatch_close(finder->watch, on_watch_closed, finder);
}

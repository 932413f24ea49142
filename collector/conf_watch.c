/* Configuration watch.
 *
 *   CALM --another stamp--> UNREST --the same stamp once more, SETTLE_MS later--> changed()
 *                             '--yet another one--> UNREST, from the beginning
 *
 * A file that someone writes in place is so not read while he writes.  The directory's events only say when
 * to look; a look every LOOK_MS is what counts, for included files and secrets lie elsewhere.
 *
 * Stands beside the collector.  Owns the list of files.  Reads none of them. */
#include "config.h"
#include "collector/conf_watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/dirwatch.h"
#include "common/must.h"

#define WATCH_MAGIC MAGIC('c', 'o', 'n', 'f')
#define LOOK_MS     2000
#define SETTLE_MS   100

struct conf_watch {
	unsigned magic;
	void (*changed)(void *arg);
	void *arg;
	struct sources sources;
	uint64_t seen;    /* the last look's stamp */
	bool is_settling; /* UNREST: the next look is the one that tells whether it is over */
	struct dirwatch *hints;
	uv_timer_t look;
};

static struct conf_watch *watch_of(void *pointer)
{
	struct conf_watch *watch = pointer;

	must(watch->magic == WATCH_MAGIC);
	return watch;
}

/* ---- looking ------------------------------------------------------------------------------------ */

static void on_look(uv_timer_t *timer)
{
	struct conf_watch *watch = watch_of(timer->data);
	uint64_t stamp = sources_stamp(&watch->sources);
	bool is_calm = stamp == watch->sources.stamp, rests = stamp == watch->seen;

	watch->seen = stamp;
	watch->is_settling = !is_calm && !rests;
	(void)uv_timer_start(&watch->look, on_look, watch->is_settling ? SETTLE_MS : LOOK_MS, 0);
	if (!is_calm && rests)
		watch->changed(watch->arg);
}

/* ---- hints -------------------------------------------------------------------------------------- */

/* But a look that settles comes when it is due: hints come at each step of a change, and may not hasten it. */
static void look_soon(void *arg)
{
	struct conf_watch *watch = watch_of(arg);

	if (uv_is_active((uv_handle_t *)&watch->look) && !watch->is_settling)
		(void)uv_timer_start(&watch->look, on_look, 0, 0);
}

static void ignore_names(void *arg, void *owner)
{
	(void)arg, (void)owner; /* what was told is looked at */
}

static void ignore_write(void *arg, void *owner, const char *name)
{
	(void)arg, (void)owner, (void)name;
}

static void ignore_overflow(void *arg)
{
	(void)arg;
}

static void wait_for_hints(struct conf_watch *watch, const char *conf_path)
{
	const char *slash = strrchr(conf_path, '/');
	char *directory = slash == NULL ? xstrdup(".") : xstrndup(conf_path, (size_t)(slash - conf_path) + 1);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd != -1) {
		(void)dirwatch_add(watch->hints, fd, DIRWATCH_NAMES, watch); /* refused: there are no hints */
		(void)close(fd);
	}
	free(directory);
}

/* ---- life --------------------------------------------------------------------------------------- */

struct conf_watch *conf_watch_new(
    uv_loop_t *loop, const char *conf_path, void (*changed)(void *arg), void *arg)
{
	struct conf_watch *watch = x_new(watch);
	const struct dirwatch_events events = {
	    .names_changed = ignore_names,
	    .written = ignore_write,
	    .ended = ignore_names,
	    .overflowed = ignore_overflow,
	    .told = look_soon,
	    .arg = watch,
	};

	watch->magic = WATCH_MAGIC;
	watch->changed = changed;
	watch->arg = arg;
	must(uv_timer_init(loop, &watch->look) == 0);
	watch->look.data = watch;
	dirwatch_new(&watch->hints, loop, &events);
	wait_for_hints(watch, conf_path);
	return watch;
}

void conf_watch_follow(struct conf_watch *watch, struct sources *sources)
{
	sources_release(&watch->sources);
	watch->sources = *sources;
	*sources = (struct sources){.count = 0};
	watch->seen = watch->sources.stamp;
	watch->is_settling = false;
	(void)uv_timer_start(&watch->look, on_look, LOOK_MS, 0);
}

void conf_watch_rest(struct conf_watch *watch)
{
	(void)uv_timer_stop(&watch->look);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct conf_watch *watch = watch_of(handle->data);

	sources_release(&watch->sources);
	watch->magic = 0;
	free(watch);
}

static void on_hints_closed(void *arg)
{
	struct conf_watch *watch = watch_of(arg);

	uv_close((uv_handle_t *)&watch->look, on_timer_closed);
}

void conf_watch_close(struct conf_watch *watch)
{
	dirwatch_stop(watch->hints);
	dirwatch_close(watch->hints, on_hints_closed, watch);
}

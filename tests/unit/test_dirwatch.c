#include "config.h"

#include <errno.h>
#include <limits.h>

#include "collector/dirwatch.h"
#include "common/must.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

struct seen {
	unsigned names, writes, ends, overflows, told;
	char written[64];
	void *owner;
};

struct watched {
	struct scratch scratch;
	uv_loop_t loop;
	struct dirwatch *watch;
	struct seen seen;
	bool closed;
};

static void on_names(void *arg, void *owner)
{
	struct seen *seen = arg;

	seen->names++;
	seen->owner = owner;
}

static void on_written(void *arg, void *owner, const char *name)
{
	struct seen *seen = arg;

	seen->writes++;
	seen->owner = owner;
	(void)snprintf(seen->written, sizeof seen->written, "%s", name);
}

static void on_ended(void *arg, void *owner)
{
	struct seen *seen = arg;

	seen->ends++;
	seen->owner = owner;
}

static void on_overflow(void *arg)
{
	((struct seen *)arg)->overflows++;
}

static void on_told(void *arg)
{
	((struct seen *)arg)->told++;
}

static void watched_init(struct watched *watched)
{
	const struct dirwatch_events events = {.names_changed = on_names,
	    .written = on_written,
	    .ended = on_ended,
	    .overflowed = on_overflow,
	    .told = on_told,
	    .arg = &watched->seen};

	memset(watched, 0, sizeof *watched);
	scratch_init(&watched->scratch);
	scratch_dir(&watched->scratch, "dir");
	ck_assert_int_eq(uv_loop_init(&watched->loop), 0);
	dirwatch_new(&watched->watch, &watched->loop, &events);
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

static void watched_release(struct watched *watched)
{
	dirwatch_close(watched->watch, on_closed, &watched->closed);
	ck_assert_int_eq(uv_run(&watched->loop, UV_RUN_DEFAULT), 0);
	ck_assert(watched->closed);
	ck_assert_int_eq(uv_loop_close(&watched->loop), 0);
	scratch_release(&watched->scratch);
}

static int add(struct watched *watched, const char *path, enum dirwatch_depth depth, void *owner)
{
	int fd = open(scratch_path(&watched->scratch, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int number;

	ck_assert_int_ge(fd, 0);
	number = dirwatch_add(watched->watch, fd, depth, owner);
	ck_assert_int_eq(close(fd), 0);
	return number;
}

/* Turns the loop until *count is at least wanted. */
static void run_until(struct watched *watched, const unsigned *count, unsigned wanted)
{
	while (*count < wanted)
		(void)uv_run(&watched->loop, UV_RUN_ONCE);
}

START_TEST(a_new_name_and_a_write_are_told_apart)
{
	struct watched watched;
	int mine;

	watched_init(&watched);
	ck_assert_int_ge(add(&watched, "dir", DIRWATCH_WRITES, &mine), 0);
	scratch_append(&watched.scratch, "dir/0.log", "hello\n");
	run_until(&watched, &watched.seen.told, 1);
	ck_assert_uint_eq(watched.seen.names, 1);
	ck_assert_uint_eq(watched.seen.writes, 1);
	ck_assert_str_eq(watched.seen.written, "0.log");
	ck_assert_ptr_eq(watched.seen.owner, &mine);
	watched_release(&watched);
}
END_TEST

START_TEST(renames_and_deletions_are_names_that_changed)
{
	struct watched watched;
	int mine;

	watched_init(&watched);
	scratch_append(&watched.scratch, "dir/0.log", "hello\n");
	ck_assert_int_ge(add(&watched, "dir", DIRWATCH_NAMES, &mine), 0);
	scratch_rename(&watched.scratch, "dir/0.log", "dir/0.log.1");
	run_until(&watched, &watched.seen.names, 2);
	scratch_unlink(&watched.scratch, "dir/0.log.1");
	run_until(&watched, &watched.seen.names, 3);
	ck_assert_uint_eq(watched.seen.writes, 0);
	watched_release(&watched);
}
END_TEST

START_TEST(a_deleted_file_that_is_held_still_tells_of_writes)
{
	struct watched watched;
	int mine, fd;

	watched_init(&watched);
	scratch_append(&watched.scratch, "dir/0.log", "hello\n");
	fd = open(scratch_path(&watched.scratch, "dir/0.log"), O_WRONLY | O_APPEND | O_CLOEXEC);
	scratch_unlink(&watched.scratch, "dir/0.log");
	ck_assert_int_ge(add(&watched, "dir", DIRWATCH_WRITES, &mine), 0);
	ck_assert_int_eq(write(fd, "late\n", 5), 5);
	run_until(&watched, &watched.seen.writes, 1);
	ck_assert_int_eq(close(fd), 0);
	watched_release(&watched);
}
END_TEST

START_TEST(a_burst_of_writes_is_told_once_a_rest)
{
	struct watched watched;
	int mine;
	uint64_t begun, lasted;

	watched_init(&watched);
	ck_assert_int_ge(add(&watched, "dir", DIRWATCH_WRITES, &mine), 0);
	begun = uv_hrtime();
	for (int i = 0; i < 500; i++) {
		scratch_append(&watched.scratch, i & 1 ? "dir/0.log" : "dir/1.log", "line\n");
		(void)uv_run(&watched.loop, UV_RUN_NOWAIT);
	}
	run_until(&watched, &watched.seen.writes, 1);
	lasted = (uv_hrtime() - begun) / 1000000;
	/* At once when it begins, and from then on at most one a rest. */
	ck_assert_uint_le(watched.seen.told, 2 + lasted / DIRWATCH_REST_MS);
	watched_release(&watched);
}
END_TEST

START_TEST(a_removed_directory_ends_its_watch)
{
	struct watched watched;
	int mine;

	watched_init(&watched);
	ck_assert_int_ge(add(&watched, "dir", DIRWATCH_NAMES, &mine), 0);
	ck_assert_uint_eq(dirwatch_count(watched.watch), 1);
	scratch_remove(&watched.scratch, "dir");
	run_until(&watched, &watched.seen.ends, 1);
	ck_assert_ptr_eq(watched.seen.owner, &mine);
	ck_assert_uint_eq(dirwatch_count(watched.watch), 0);
	ck_assert_uint_eq(watched.seen.overflows, 0);
	watched_release(&watched);
}
END_TEST

START_TEST(what_was_queued_for_a_removed_watch_is_not_told)
{
	struct watched watched;
	int mine, other, number;

	watched_init(&watched);
	scratch_dir(&watched.scratch, "other");
	number = add(&watched, "dir", DIRWATCH_WRITES, &mine);
	ck_assert_int_ge(add(&watched, "other", DIRWATCH_WRITES, &other), 0);
	scratch_append(&watched.scratch, "dir/0.log", "hello\n");
	dirwatch_remove(watched.watch, number);
	scratch_append(&watched.scratch, "other/0.log", "hello\n");
	run_until(&watched, &watched.seen.writes, 1);
	ck_assert_uint_eq(watched.seen.names, 1);
	ck_assert_ptr_eq(watched.seen.owner, &other);
	ck_assert_uint_eq(watched.seen.overflows, 0);
	ck_assert_uint_eq(watched.seen.ends, 0);
	watched_release(&watched);
}
END_TEST

START_TEST(one_directory_is_not_watched_twice)
{
	struct watched watched;
	int mine, other;

	watched_init(&watched);
	ck_assert_int_ge(add(&watched, "dir", DIRWATCH_NAMES, &mine), 0);
	ck_assert_int_eq(add(&watched, "dir", DIRWATCH_NAMES, &other), -EEXIST);
	watched_release(&watched);
}
END_TEST

START_TEST(the_limit_of_watches_refuses_more)
{
	struct watched watched;
	int mine;

	watched_init(&watched);
	dirwatch_limit(watched.watch, 0);
	ck_assert_int_eq(add(&watched, "dir", DIRWATCH_NAMES, &mine), -ENOSPC);
	watched_release(&watched);
}
END_TEST

START_TEST(an_overflow_is_told)
{
	struct watched watched;

	watched_init(&watched);
	dirwatch_overflow(watched.watch);
	ck_assert_uint_eq(watched.seen.overflows, 1);
	ck_assert_uint_eq(watched.seen.told, 1);
	watched_release(&watched);
}
END_TEST

UNIT_MAIN("dirwatch", a_new_name_and_a_write_are_told_apart, renames_and_deletions_are_names_that_changed,
    a_deleted_file_that_is_held_still_tells_of_writes, a_burst_of_writes_is_told_once_a_rest,
    a_removed_directory_ends_its_watch, what_was_queued_for_a_removed_watch_is_not_told,
    one_directory_is_not_watched_twice, the_limit_of_watches_refuses_more, an_overflow_is_told)

#include "config.h"

#include <errno.h>

#include "collector/finder.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#define POD "logs/shop_web-0_11111111-2222-3333-4444-555555555555"
#define BOX POD "/app"

/* A listener that writes down what it is told: "+name" for each file of a listing, "-place" for a lost place.
 */
struct world {
	struct scratch scratch;
	uv_loop_t loop;
	struct finder *finder;
	struct buf told;
	unsigned listings, turns, overflows;
	bool unwanted, opens, is_closed;
	int last_error;
};

static struct world world;

static bool on_wanted(void *arg, const struct place *place)
{
	(void)arg;
	ck_assert_str_eq(place->container, "app");
	return !world.unwanted;
}

static void on_listed(void *arg, struct place *place, const struct place_file *files, size_t file_count)
{
	struct logroot_file opened;

	(void)arg;
	world.listings++;
	for (size_t i = 0; i < file_count; i++) {
		ck_assert(buf_printf(&world.told, "+%s", files[i].name));
		if (!world.opens)
			continue;
		world.last_error = finder_open(world.finder, place, &files[i], &opened);
		if (world.last_error == 0)
			ck_assert_int_eq(close(opened.fd), 0);
	}
}

static void on_lost(void *arg, struct place *place)
{
	(void)arg;
	ck_assert(buf_printf(&world.told, "-%s", place->container));
}

static void on_written(void *arg, struct place *place, const char *name)
{
	(void)arg;
	ck_assert(buf_printf(&world.told, "~%s/%s", place->container, name));
}

static void on_overflow(void *arg)
{
	(void)arg;
	world.overflows++;
}

static void on_told(void *arg)
{
	(void)arg;
	world.turns++;
	while (finder_turn(world.finder, 100))
		;
}

static void world_init(void)
{
	const struct finder_events events = {.wanted = on_wanted,
	    .listed = on_listed,
	    .lost = on_lost,
	    .written = on_written,
	    .overflowed = on_overflow,
	    .told = on_told};

	log_setup(LOG_ERROR, LOG_TEXT);
	memset(&world, 0, sizeof world);
	scratch_init(&world.scratch);
	scratch_dir(&world.scratch, BOX);
	buf_init(&world.told, 1 << 16);
	ck_assert_int_eq(uv_loop_init(&world.loop), 0);
	finder_new(&world.finder, &world.loop, scratch_path(&world.scratch, "logs"), NULL, &events);
}

static void on_closed(void *arg)
{
	(void)arg;
	world.is_closed = true;
}

static void world_release(void)
{
	finder_close(world.finder, on_closed, NULL);
	ck_assert_int_eq(uv_run(&world.loop, UV_RUN_DEFAULT), 0);
	ck_assert(world.is_closed);
	ck_assert_int_eq(uv_loop_close(&world.loop), 0);
	buf_release(&world.told);
	scratch_release(&world.scratch);
	clock_release();
}

/* One sweep with all that it brings; what the listener was told in it. */
static const char *swept(void)
{
	buf_clear(&world.told);
	world.listings = 0;
	(void)finder_sweep(world.finder);
	while (finder_turn(world.finder, 100))
		;
	return buf_text(&world.told);
}

/* The mtime of a directory, seconds ago. */
static void set_age(const char *path, int seconds)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - seconds}};

	ck_assert_int_eq(utimensat(AT_FDCWD, scratch_path(&world.scratch, path), times, 0), 0);
}

START_TEST(a_place_is_listed_when_it_is_found)
{
	world_init();
	scratch_append(&world.scratch, BOX "/0.log", "");
	scratch_append(&world.scratch, BOX "/0.log.20260131-000001.gz", "");
	scratch_append(&world.scratch, BOX "/0.log.20260131-000002.gz.tmp", "");
	ck_assert_ptr_nonnull(strstr(swept(), "+0.log.20260131-000001.gz"));
	ck_assert_uint_eq(world.told.len, strlen("+0.log+0.log.20260131-000001.gz"));
	ck_assert_uint_eq(finder_stats(world.finder)->places, 1);
	ck_assert_uint_eq(finder_stats(world.finder)->watches, 3);
	world_release();
}
END_TEST

START_TEST(a_quiet_directory_is_not_listed_again)
{
	world_init();
	dirwatch_limit(finder_watch(world.finder), 0);
	set_age(BOX, 100);
	(void)swept();
	ck_assert_uint_eq(world.listings, 1);
	(void)swept();
	ck_assert_uint_eq(world.listings, 0);
	world_release();
}
END_TEST

START_TEST(a_fresh_directory_is_listed_again)
{
	world_init();
	dirwatch_limit(finder_watch(world.finder), 0);
	(void)swept();
	(void)swept();
	ck_assert_uint_eq(world.listings, 1); /* its mtime is too young to say anything */
	set_age(BOX, 100);
	(void)swept();
	(void)swept();
	ck_assert_uint_eq(world.listings, 0);
	world_release();
}
END_TEST

START_TEST(everything_is_listed_once_a_minute)
{
	world_init();
	dirwatch_limit(finder_watch(world.finder), 0);
	clock_hold(1000000, clock_wall_ns());
	set_age(BOX, 100);
	(void)swept();
	clock_hold(1000000 + 59000, clock_wall_ns());
	(void)swept();
	ck_assert_uint_eq(world.listings, 0);
	clock_hold(1000000 + 60000, clock_wall_ns());
	(void)swept();
	ck_assert_uint_eq(world.listings, 1);
	world_release();
}
END_TEST

START_TEST(watched_directories_are_looked_at_in_turns)
{
	unsigned listings = 0;

	world_init();
	(void)swept();
	scratch_append(&world.scratch, BOX "/0.log", ""); /* told by the watch, which nobody reads here */
	for (int i = 0; i < 5; i++) {
		(void)swept();
		listings += world.listings;
	}
	ck_assert_uint_eq(listings, 1);
	world_release();
}
END_TEST

START_TEST(a_directory_made_again_under_its_name_is_another_one)
{
	world_init();
	scratch_append(&world.scratch, BOX "/0.log", "");
	(void)swept();
	scratch_rename(&world.scratch, POD, "logs/away");
	scratch_dir(&world.scratch, BOX);
	scratch_append(&world.scratch, BOX "/1.log", "");
	buf_clear(&world.told);
	finder_look(world.finder);
	while (finder_turn(world.finder, SIZE_MAX))
		;
	ck_assert_str_eq(buf_text(&world.told), "-app+1.log");
	ck_assert_uint_eq(finder_stats(world.finder)->watches, 3);
	world_release();
}
END_TEST

START_TEST(hints_bring_listings_and_writes)
{
	world_init();
	(void)swept();
	buf_clear(&world.told);
	scratch_append(&world.scratch, BOX "/0.log", "hello\n");
	while (world.turns == 0)
		(void)uv_run(&world.loop, UV_RUN_ONCE);
	ck_assert_str_eq(buf_text(&world.told), "~app/0.log+0.log");
	world_release();
}
END_TEST

START_TEST(what_is_not_wanted_is_neither_listed_nor_watched)
{
	world_init();
	world.unwanted = true;
	scratch_append(&world.scratch, BOX "/0.log", "");
	set_age(BOX, 100);
	ck_assert_str_eq(swept(), "");
	ck_assert_uint_eq(finder_stats(world.finder)->watches, 2);
	world.unwanted = false;
	finder_review(world.finder);
	ck_assert_str_eq(swept(), "+0.log");
	ck_assert_uint_eq(finder_stats(world.finder)->watches, 3);
	world.unwanted = true;
	finder_review(world.finder);
	ck_assert_uint_eq(finder_stats(world.finder)->watches, 2);
	finder_look(world.finder);
	ck_assert_str_eq(swept(), "");
	world_release();
}
END_TEST

START_TEST(a_budget_leaves_the_rest_for_the_next_turn)
{
	char path[160];

	world_init();
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(
		    path, sizeof path, "logs/shop_p-%u_%08u-2222-3333-4444-555555555555/app", i, i);
		scratch_dir(&world.scratch, path);
	}
	ck_assert(finder_sweep(world.finder));
	ck_assert(finder_turn(world.finder, 5 * FINDER_LISTING_COST));
	ck_assert_uint_eq(world.listings, 0); /* the root and four pods */
	while (finder_turn(world.finder, FINDER_LISTING_COST))
		;
	ck_assert_uint_eq(world.listings, 21);
	world_release();
}
END_TEST

START_TEST(an_overflow_lists_everything)
{
	world_init();
	(void)swept();
	world.listings = 0;
	dirwatch_overflow(finder_watch(world.finder));
	ck_assert_uint_eq(world.listings, 1);
	ck_assert_uint_eq(world.overflows, 1);
	ck_assert_uint_eq(finder_stats(world.finder)->overflows, 1);
	world_release();
}
END_TEST

START_TEST(a_refusal_is_counted_again_only_after_it_was_gone)
{
	world_init();
	ck_assert_int_eq(symlink("/etc/passwd", scratch_path(&world.scratch, BOX "/0.log")), 0);
	for (int i = 0; i < 3; i++) {
		finder_look(world.finder);
		(void)swept();
	}
	ck_assert_uint_eq(finder_stats(world.finder)->refused_links, 1);
	scratch_unlink(&world.scratch, BOX "/0.log");
	finder_look(world.finder);
	(void)swept();
	ck_assert_int_eq(symlink("/etc/passwd", scratch_path(&world.scratch, BOX "/0.log")), 0);
	finder_look(world.finder);
	(void)swept();
	ck_assert_uint_eq(finder_stats(world.finder)->refused_links, 2);
	world_release();
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_tried_at_each_sweep)
{
	world_init();
	world.opens = true;
	scratch_append(&world.scratch, BOX "/0.log", "");
	finder_limit_descriptors(world.finder, 0);
	ck_assert_str_eq(swept(), "+0.log");
	ck_assert_int_eq(world.last_error, -EMFILE);
	ck_assert_str_eq(swept(), "+0.log");
	finder_limit_descriptors(world.finder, 1024);
	ck_assert_str_eq(swept(), "+0.log");
	ck_assert_int_eq(world.last_error, 0);
	ck_assert_uint_eq(finder_stats(world.finder)->open_failures, 0);
	world_release();
}
END_TEST

UNIT_MAIN("finder", a_place_is_listed_when_it_is_found, a_quiet_directory_is_not_listed_again,
    a_fresh_directory_is_listed_again, everything_is_listed_once_a_minute,
    watched_directories_are_looked_at_in_turns, a_directory_made_again_under_its_name_is_another_one,
    hints_bring_listings_and_writes, what_is_not_wanted_is_neither_listed_nor_watched,
    a_budget_leaves_the_rest_for_the_next_turn, an_overflow_lists_everything,
    a_refusal_is_counted_again_only_after_it_was_gone, a_file_that_cannot_be_opened_is_tried_at_each_sweep)

#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <zlib.h>

#include "collector/dirwatch.h"
#include "collector/finder.h"
#include "collector/follower.h"
#include "common/buf.h"
#include "common/log.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#define POD     "logs/shop_web-0_11111111-2222-3333-4444-555555555555"
#define BOX     POD "/app"
#define LIVE    BOX "/0.log"
#define OLD_1   BOX "/0.log.20260131-000001"
#define OLD_2   BOX "/0.log.20260131-000002"
#define OLD_3   BOX "/0.log.20260131-000003"
#define HOUR_MS 3600000

/* One output, which reads everything at once and acknowledges when the test says so. */
struct test_reader {
	struct tail_reader reader;
	struct world *world;
	struct buf text;
	uint64_t read_offset;
	unsigned woken;
	bool given_up;
	bool holds; /* needs what it read, as if it was not acknowledged */
	struct test_reader *prev, *next;
};

struct world {
	struct scratch scratch;
	uv_loop_t loop;
	struct follower *follower;
	struct follower_options options;
	struct test_reader *readers;
	struct buf shown, all_text;
	unsigned adopted, released, changed, looked;
	unsigned adopted_before_looked;
	const char *unwanted; /* the container that nobody wants */
	const char *resumed;  /* heads of the compressed files that are to be read, in one text */
	struct buf asked;     /* names of the compressed files that were looked into */
	bool readers_hold;
};

static struct world world;

static void read_more(struct test_reader *reader)
{
	const struct tail *tail = reader->reader.tail;
	char bytes[4096];
	ssize_t len;

	while ((len = tail_read(tail, bytes, sizeof bytes, reader->read_offset)) > 0) {
		ck_assert(buf_add(&reader->text, bytes, (size_t)len));
		ck_assert(buf_add(&world.all_text, bytes, (size_t)len));
		reader->read_offset += (uint64_t)len;
	}
	ck_assert_int_eq(len, 0);
}

static void on_wake(struct tail_reader *reader)
{
	struct test_reader *mine = container_of(reader, struct test_reader, reader);

	mine->woken++;
	read_more(mine);
}

static uint64_t on_needs_from(const struct tail_reader *reader)
{
	const struct test_reader *mine =
	    container_of((struct tail_reader *)(uintptr_t)reader, struct test_reader, reader);

	if (mine->given_up)
		return UINT64_MAX;
	return mine->holds ? 0 : mine->read_offset;
}

static void on_give_up(struct tail_reader *reader)
{
	container_of(reader, struct test_reader, reader)->given_up = true;
}

static bool on_wanted(void *arg, const struct origin *origin)
{
	(void)arg;
	return world.unwanted == NULL || strcmp(world.unwanted, origin->container) != 0;
}

static bool on_may_resume(void *arg, const struct container *of, unsigned restart, bool is_first_look)
{
	(void)arg;
	(void)is_first_look;
	ck_assert_str_eq(of->origin.container, "app");
	ck_assert_uint_eq(restart, 0);
	return world.resumed != NULL;
}

static bool on_resumes(void *arg, struct tail *tail, bool is_first_look)
{
	char head[TAIL_HEAD_BYTES + 1] = "";

	(void)arg;
	memcpy(head, tail->head, tail->head_len);
	ck_assert(
	    buf_printf(&world.asked, "%s%s ", is_first_look ? "first:" : "", strrchr(tail->path, '.') - 15));
	return strstr(world.resumed, head) != NULL;
}

static void on_adopted(void *arg, struct tail *tail)
{
	struct test_reader *mine = x_new(mine);

	(void)arg;
	world.adopted++;
	mine->reader =
	    (struct tail_reader){.wake = on_wake, .needs_from = on_needs_from, .give_up = on_give_up};
	mine->holds = world.readers_hold;
	buf_init(&mine->text, 1 << 20);
	DL_APPEND(world.readers, mine);
	tail_attach(tail, &mine->reader);
	read_more(mine);
}

static void on_looked(void *arg)
{
	(void)arg;
	world.looked++;
	world.adopted_before_looked = world.adopted;
}

static void on_changed(void *arg, struct tail *tail)
{
	(void)arg;
	(void)tail;
	world.changed++;
}

static void on_released(void *arg, struct tail *tail)
{
	(void)arg;
	ck_assert_ptr_null(tail->readers);
	world.released++;
}

static void detach(struct test_reader *reader)
{
	tail_detach(&reader->reader);
	DL_DELETE(world.readers, reader);
	buf_release(&reader->text);
	free(reader);
}

static void detach_all(void)
{
	while (world.readers != NULL)
		detach(world.readers);
}

/* Those that have read and acknowledged all of a file that is over. */
static void detach_done(void)
{
	struct test_reader *reader, *next;

	DL_FOREACH_SAFE (world.readers, reader, next) {
		if (reader->reader.tail->unlinked || reader->reader.tail->truncated)
			detach(reader);
	}
}

static void world_init(void)
{
	log_setup(LOG_ERROR, LOG_TEXT);
	memset(&world, 0, sizeof world);
	scratch_init(&world.scratch);
	scratch_dir(&world.scratch, BOX);
	buf_init(&world.shown, 1 << 16);
	buf_init(&world.asked, 1 << 16);
	buf_init(&world.all_text, 1 << 20);
	ck_assert_int_eq(uv_loop_init(&world.loop), 0);
	world.options = (struct follower_options){.path = xstrdup(scratch_path(&world.scratch, "logs")),
	    .node_name = "node-1",
	    .rescan_interval_ms = HOUR_MS,
	    .hold_limit = 1 << 20};
}

static void world_make(void)
{
	const struct follower_events events = {.wanted = on_wanted,
	    .may_resume = on_may_resume,
	    .resumes = on_resumes,
	    .adopted = on_adopted,
	    .looked = on_looked,
	    .changed = on_changed,
	    .released = on_released};
	struct err err;

	ck_assert_int_eq(follower_new(&world.follower, &world.loop, &world.options, &events, &err), 0);
}

static void world_start(void)
{
	struct err err;

	world_make();
	ck_assert_int_eq(follower_start(world.follower, &err), 0);
}

static void world_release(void)
{
	detach_all();
	follower_close(world.follower);
	ck_assert_int_eq(uv_run(&world.loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&world.loop), 0);
	free((char *)(uintptr_t)world.options.path);
	free((char *)(uintptr_t)world.options.docker_root);
	buf_release(&world.shown);
	buf_release(&world.asked);
	buf_release(&world.all_text);
	scratch_release(&world.scratch);
}

static void show_tail(void *arg, struct tail *tail)
{
	const char *slash = strrchr(tail->path, '/');

	(void)arg;
	ck_assert(buf_printf(&world.shown, "%s%s%s%s", world.shown.len > 0 ? " " : "",
	    slash != NULL ? slash + 1 : tail->path, tail->unlinked ? "!" : "", tail->truncated ? "~" : ""));
}

/* The files in reading order: "!" behind one without a name, "~" behind one that was cut. */
static const char *shown(void)
{
	buf_clear(&world.shown);
	follower_each(world.follower, show_tail, NULL);
	return buf_text(&world.shown);
}

static const struct follower_stats *stats(void)
{
	return follower_stats(world.follower);
}

static const char *text_of(struct test_reader *reader)
{
	return buf_text(&reader->text);
}

static struct test_reader *first_reader(void)
{
	ck_assert_ptr_nonnull(world.readers);
	return world.readers;
}

static struct test_reader *last_reader(void)
{
	ck_assert_ptr_nonnull(world.readers);
	return world.readers->prev;
}

/* Turns the loop until the condition holds; the case's timeout is the deadline. */
#define RUN_UNTIL(condition)                                                                                 \
	while (!(condition))                                                                                 \
	(void)uv_run(&world.loop, UV_RUN_ONCE)

static size_t open_descriptors(void)
{
	DIR *stream = opendir("/proc/self/fd");
	size_t count = 0;

	while (readdir(stream) != NULL)
		count++;
	(void)closedir(stream);
	return count;
}

/* ---- finding ------------------------------------------------------------------------------------ */

START_TEST(files_that_are_there_are_adopted_oldest_first)
{
	world_init();
	scratch_append(&world.scratch, BOX "/1.log", "d\n");
	scratch_append(&world.scratch, LIVE, "c\n");
	scratch_append(&world.scratch, OLD_2, "b\n");
	scratch_append(&world.scratch, OLD_1, "a\n");
	world_start();
	ck_assert_str_eq(shown(), "0.log.20260131-000001 0.log.20260131-000002 0.log 1.log");
	ck_assert_str_eq(text_of(first_reader()), "a\n");
	ck_assert_str_eq(text_of(last_reader()), "d\n");
	ck_assert(first_reader()->reader.tail->was_there);
	ck_assert(first_reader()->reader.tail->has_first_line);
	ck_assert_str_eq(first_reader()->reader.tail->container->origin.namespace_name, "shop");
	ck_assert_str_eq(first_reader()->reader.tail->container->origin.container, "app");
	ck_assert_uint_eq(last_reader()->reader.tail->source.restart, 1);
	ck_assert_uint_eq(stats()->input_bytes, 0);
	world_release();
}
END_TEST

START_TEST(a_line_wakes_its_reader_without_a_sweep)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "");
	world_start();
	scratch_append(&world.scratch, LIVE, "hello\n");
	RUN_UNTIL(first_reader()->text.len == 6);
	ck_assert(first_reader()->reader.tail->has_first_line);
	ck_assert_uint_eq(stats()->input_bytes, 6);
	ck_assert_uint_eq(world.changed, 1);
	world_release();
}
END_TEST

START_TEST(a_pod_that_comes_later_is_found_whole)
{
	world_init();
	world_start();
	/* All of it before the loop turns: no watch can have seen the files. */
	scratch_dir(&world.scratch, "logs/shop_db-0_99999999-2222-3333-4444-555555555555/db");
	scratch_append(
	    &world.scratch, "logs/shop_db-0_99999999-2222-3333-4444-555555555555/db/0.log", "old\n");
	scratch_rename(&world.scratch, "logs/shop_db-0_99999999-2222-3333-4444-555555555555/db/0.log",
	    "logs/shop_db-0_99999999-2222-3333-4444-555555555555/db/0.log.20260131-000001");
	scratch_append(
	    &world.scratch, "logs/shop_db-0_99999999-2222-3333-4444-555555555555/db/0.log", "new\n");
	RUN_UNTIL(world.adopted == 2);
	ck_assert_str_eq(shown(), "0.log.20260131-000001 0.log");
	ck_assert_str_eq(buf_text(&world.all_text), "old\nnew\n");
	ck_assert(!first_reader()->reader.tail->was_there);
	ck_assert_uint_eq(stats()->input_bytes, 8);
	world_release();
}
END_TEST

START_TEST(other_names_are_left_alone)
{
	world_init();
	scratch_append(&world.scratch, OLD_1 ".gz", "x");
	scratch_append(&world.scratch, OLD_2 ".tmp", "x");
	scratch_append(&world.scratch, BOX "/notes", "x");
	scratch_dir(&world.scratch, "logs/stranger");
	scratch_dir(&world.scratch, POD "/UPPER");
	world_start();
	follower_look(world.follower);
	ck_assert_uint_eq(world.adopted, 0);
	ck_assert_uint_eq(stats()->bad_names, 2);
	world_release();
}
END_TEST

START_TEST(the_root_is_waited_for_and_found_again)
{
	world_init();
	scratch_remove(&world.scratch, "logs");
	world_start();
	scratch_dir(&world.scratch, BOX);
	scratch_append(&world.scratch, LIVE, "a\n");
	follower_look(world.follower);
	ck_assert_str_eq(shown(), "0.log");
	ck_assert(first_reader()->reader.tail->was_there);

	scratch_rename(&world.scratch, "logs", "away");
	follower_look(world.follower);
	ck_assert_str_eq(shown(), "0.log");
	scratch_rename(&world.scratch, "away", "logs");
	follower_look(world.follower);
	ck_assert_str_eq(shown(), "0.log");
	ck_assert_uint_eq(world.adopted, 1);

	scratch_rename(&world.scratch, "logs", "away");
	scratch_dir(&world.scratch, BOX);
	scratch_append(&world.scratch, LIVE, "b\n");
	follower_look(world.follower);
	ck_assert_str_eq(shown(), "0.log! 0.log");
	ck_assert(!last_reader()->reader.tail->was_there);
	world_release();
}
END_TEST

START_TEST(the_first_look_is_told_once_when_the_root_is_there)
{
	world_init();
	scratch_remove(&world.scratch, "logs");
	world_start();
	ck_assert_uint_eq(world.looked, 0);
	scratch_dir(&world.scratch, BOX);
	scratch_append(&world.scratch, LIVE, "a\n");
	follower_look(world.follower);
	ck_assert_uint_eq(world.looked, 1);
	ck_assert_uint_eq(world.adopted_before_looked, 1);
	follower_look(world.follower);
	follower_review(world.follower);
	ck_assert_uint_eq(world.looked, 1);
	world_release();
}
END_TEST

START_TEST(our_own_pod_is_not_followed)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "a\n");
	world.options.own_uid = "11111111-2222-3333-4444-555555555555";
	scratch_dir(&world.scratch, "logs/shop_me_22222222-2222-3333-4444-555555555555/app");
	scratch_append(&world.scratch, "logs/shop_me_22222222-2222-3333-4444-555555555555/app/0.log", "b\n");
	world.options.own_namespace = "shop";
	world.options.own_pod = "me";
	world_start();
	ck_assert_uint_eq(world.adopted, 0);
	world_release();
}
END_TEST

START_TEST(what_a_review_finds_was_not_there_before_anyone)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "a\n");
	world_start();
	world.unwanted = "app";
	follower_review(world.follower);
	detach(first_reader());
	follower_sweep(world.follower);
	scratch_rename(&world.scratch, LIVE, OLD_1);
	scratch_append(&world.scratch, LIVE, "b\n");
	world.unwanted = NULL;
	follower_review(world.follower);
	RUN_UNTIL(world.adopted == 3);
	ck_assert_str_eq(buf_text(&world.all_text), "a\na\nb\n");
	ck_assert(!first_reader()->reader.tail->was_there && !last_reader()->reader.tail->was_there);
	world_release();
}
END_TEST

START_TEST(stock_that_cannot_be_taken_yet_is_taken_by_the_first_look)
{
	world_init();
	scratch_remove(&world.scratch, "logs");
	world_start();
	ck_assert(!follower_take_stock(world.follower));
	scratch_dir(&world.scratch, BOX);
	scratch_append(&world.scratch, LIVE, "a\n");
	follower_look(world.follower);
	ck_assert(first_reader()->reader.tail->was_there);
	world_release();
}
END_TEST

START_TEST(a_review_adopts_what_is_wanted_now_and_lets_go_of_the_rest)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "a\n");
	scratch_dir(&world.scratch, POD "/side");
	scratch_append(&world.scratch, POD "/side/0.log", "b\n");
	world.unwanted = "app";
	world_start();
	ck_assert_str_eq(buf_text(&world.all_text), "b\n");
	ck_assert_uint_eq(stats()->watches, 3);

	world.unwanted = "side";
	ck_assert(follower_take_stock(world.follower));
	ck_assert_str_eq(buf_text(&world.all_text), "b\na\n");
	ck_assert(last_reader()->reader.tail->was_there);
	follower_sweep(world.follower);
	ck_assert_uint_eq(world.released, 0);
	detach(first_reader());
	follower_sweep(world.follower);
	ck_assert_uint_eq(world.released, 1);
	ck_assert_uint_eq(stats()->watches, 3);
	ck_assert_uint_eq(stats()->containers, 1);
	world_release();
}
END_TEST

/* ---- rotation ----------------------------------------------------------------------------------- */

START_TEST(a_rotated_file_is_the_same_tail_with_another_name)
{
	struct tail *tail;

	world_init();
	scratch_append(&world.scratch, LIVE, "a\n");
	world_start();
	tail = first_reader()->reader.tail;
	scratch_rename(&world.scratch, LIVE, OLD_1);
	RUN_UNTIL(stats()->renamed == 1);
	ck_assert_str_eq(shown(), "0.log.20260131-000001");
	ck_assert_int_eq(tail->name.kind, LOGFILE_ROTATED);
	scratch_append(&world.scratch, OLD_1, "late\n"); /* the writer does not know yet */
	scratch_append(&world.scratch, LIVE, "b\n");
	RUN_UNTIL(world.adopted == 2 && first_reader()->text.len == 7);
	ck_assert_str_eq(shown(), "0.log.20260131-000001 0.log");
	ck_assert_ptr_eq(first_reader()->reader.tail, tail);
	ck_assert_str_eq(text_of(last_reader()), "b\n");
	world_release();
}
END_TEST

START_TEST(renaming_back_makes_no_new_file)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "a\n");
	world_start();
	scratch_rename(&world.scratch, LIVE, OLD_1);
	RUN_UNTIL(stats()->renamed == 1);
	scratch_rename(&world.scratch, OLD_1, LIVE);
	scratch_append(&world.scratch, LIVE, "b\n");
	RUN_UNTIL(stats()->renamed == 2 && first_reader()->text.len == 4);
	ck_assert_str_eq(shown(), "0.log");
	ck_assert_str_eq(text_of(first_reader()), "a\nb\n");
	ck_assert_uint_eq(world.adopted, 1);
	world_release();
}
END_TEST

START_TEST(a_file_renamed_over_another_succeeds_it)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "a\n");
	world_start();
	scratch_append(&world.scratch, LIVE ".tmp", "b\n");
	scratch_rename(&world.scratch, LIVE ".tmp", LIVE);
	RUN_UNTIL(world.adopted == 2);
	ck_assert_str_eq(shown(), "0.log! 0.log");
	ck_assert_str_eq(buf_text(&world.all_text), "a\nb\n");
	/* and the nameless one stays before its successor when that is rotated in turn */
	scratch_rename(&world.scratch, LIVE, OLD_1);
	RUN_UNTIL(stats()->renamed == 1);
	ck_assert_str_eq(shown(), "0.log! 0.log.20260131-000001");
	world_release();
}
END_TEST

START_TEST(two_rotations_in_one_second_lose_nothing)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "a\n");
	world_start();
	scratch_rename(&world.scratch, LIVE, OLD_1);
	scratch_append(&world.scratch, LIVE, "b\n");
	RUN_UNTIL(world.adopted == 2);
	scratch_rename(&world.scratch, LIVE, OLD_1);
	scratch_append(&world.scratch, LIVE, "c\n");
	RUN_UNTIL(world.adopted == 3);
	ck_assert_str_eq(shown(), "0.log.20260131-000001! 0.log.20260131-000001 0.log");
	ck_assert_str_eq(buf_text(&world.all_text), "a\nb\nc\n");
	world_release();
}
END_TEST

START_TEST(a_storm_of_rotations_is_read_in_order)
{
	struct buf wanted;
	char path[128], line[32];

	world_init();
	world_start();
	buf_init(&wanted, 1 << 20);
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(line, sizeof line, "line %u\n", i);
		ck_assert(buf_add_text(&wanted, line));
		scratch_append(&world.scratch, LIVE, line);
		RUN_UNTIL(world.adopted == i + 1);
		(void)snprintf(path, sizeof path, BOX "/0.log.20260131-%06u", i);
		scratch_rename(&world.scratch, LIVE, path);
		if (i >= 3) {
			(void)snprintf(path, sizeof path, BOX "/0.log.20260131-%06u", i - 3);
			scratch_unlink(&world.scratch, path);
		}
		(void)uv_run(&world.loop, UV_RUN_NOWAIT);
		detach_done();
	}
	follower_look(world.follower);
	ck_assert_str_eq(buf_text(&world.all_text), buf_text(&wanted));
	detach_done();
	follower_sweep(world.follower);
	ck_assert_str_eq(shown(), "0.log.20260131-000297 0.log.20260131-000298 0.log.20260131-000299");
	buf_release(&wanted);
	world_release();
}
END_TEST

START_TEST(the_next_restart_comes_after_the_last_file_of_the_one_before)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "a");
	world_start();
	ck_assert(!first_reader()->reader.tail->has_first_line);
	scratch_append(&world.scratch, BOX "/1.log", "b\n");
	RUN_UNTIL(world.adopted == 2);
	ck_assert_str_eq(shown(), "0.log 1.log");
	ck_assert(first_reader()->reader.tail->has_first_line); /* nobody waits for its end any more */
	scratch_rename(&world.scratch, BOX "/1.log", BOX "/1.log.20260131-000001");
	scratch_append(&world.scratch, BOX "/1.log", "c\n");
	RUN_UNTIL(world.adopted == 3);
	ck_assert_str_eq(shown(), "0.log 1.log.20260131-000001 1.log");
	world_release();
}
END_TEST

START_TEST(a_compressed_file_goes_on_through_its_descriptor)
{
	world_init();
	world.readers_hold = true;
	scratch_append(&world.scratch, OLD_1, "a\n");
	scratch_append(&world.scratch, LIVE, "b\n");
	world_start();
	scratch_append(&world.scratch, OLD_1 ".tmp", "zip");
	scratch_rename(&world.scratch, OLD_1 ".tmp", OLD_1 ".gz");
	scratch_unlink(&world.scratch, OLD_1);
	RUN_UNTIL(stats()->unlinked == 1);
	ck_assert_str_eq(shown(), "0.log.20260131-000001! 0.log");
	ck_assert_uint_eq(stats()->held_unlinked_bytes, 2);
	ck_assert_uint_eq(world.adopted, 2);
	world_release();
}
END_TEST

static void pack(const char *name, const char *text)
{
	gzFile file = gzopen(scratch_path(&world.scratch, name), "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
	ck_assert_int_eq(gzclose(file), Z_OK);
}

START_TEST(compressed_files_are_asked_for_the_newest_first_and_read_the_oldest_first)
{
	world_init();
	world.resumed = "b\n c\n";
	pack(OLD_1 ".gz", "a\n");
	pack(OLD_2 ".gz", "b\n");
	pack(OLD_3 ".gz", "c\n");
	scratch_append(&world.scratch, LIVE, "d\n");
	world_start();
	ck_assert_str_eq(buf_text(&world.asked),
	    "first:20260131-000003.gz first:20260131-000002.gz first:20260131-000001.gz ");
	ck_assert_str_eq(shown(), "0.log.20260131-000002.gz 0.log.20260131-000003.gz 0.log");
	ck_assert_uint_eq(world.readers->next->reader.tail->size, 2);
	ck_assert(world.readers->next->reader.tail->has_first_line);
	follower_look(
	    world.follower); /* what is followed is no longer asked for, and nothing of it has changed */
	ck_assert_str_eq(buf_text(&world.asked),
	    "first:20260131-000003.gz first:20260131-000002.gz first:20260131-000001.gz 20260131-000001.gz ");
	ck_assert_uint_eq(world.adopted, 3);
	ck_assert_uint_eq(stats()->truncated + stats()->unlinked, 0);
	scratch_unlink(&world.scratch, OLD_2 ".gz");
	RUN_UNTIL(stats()->unlinked == 1);
	detach_done();
	follower_sweep(world.follower);
	ck_assert_str_eq(shown(), "0.log.20260131-000003.gz 0.log");
	world_release();
}
END_TEST

START_TEST(a_compressed_file_is_not_asked_for_beside_its_plain_one)
{
	world_init();
	world.resumed = "a\n";
	scratch_append(&world.scratch, OLD_1, "a\n");
	pack(OLD_1 ".gz", "a\n");
	pack(OLD_2 ".gz.tmp", "b\n");
	scratch_append(&world.scratch, OLD_3 ".gz", "no gzip file");
	world_start();
	ck_assert_str_eq(buf_text(&world.asked), "");
	ck_assert_str_eq(shown(), "0.log.20260131-000001");
	world_release();
}
END_TEST

START_TEST(a_compressed_file_that_nobody_knows_is_not_even_opened)
{
	size_t descriptors;

	world_init();
	world_start();
	descriptors = open_descriptors();
	pack(OLD_1 ".gz", "a\n");
	follower_look(world.follower);
	ck_assert_uint_eq(world.adopted, 0);
	ck_assert_uint_eq(stats()->containers, 0);
	ck_assert_uint_eq(open_descriptors(), descriptors);
	world_release();
}
END_TEST

/* ---- ends --------------------------------------------------------------------------------------- */

START_TEST(a_deleted_file_is_held_until_its_readers_are_gone)
{
	size_t descriptors;
	int fd;

	world_init();
	world_start();
	descriptors = open_descriptors();
	scratch_append(&world.scratch, LIVE, "a\n");
	follower_look(world.follower);
	fd = open(scratch_path(&world.scratch, LIVE), O_WRONLY | O_APPEND | O_CLOEXEC);
	scratch_remove(&world.scratch, POD);
	RUN_UNTIL(stats()->unlinked == 1);
	ck_assert_int_eq(write(fd, "late\n", 5), 5);
	ck_assert_int_eq(close(fd), 0);
	follower_sweep(world.follower);
	ck_assert_str_eq(text_of(first_reader()), "a\nlate\n");
	ck_assert_uint_eq(world.released, 0);
	ck_assert_uint_eq(stats()->held_unlinked, 1);
	detach(first_reader());
	follower_sweep(world.follower);
	ck_assert_uint_eq(world.released, 1);
	ck_assert_uint_eq(stats()->tails + stats()->containers + stats()->held_unlinked, 0);
	ck_assert_uint_eq(stats()->watches, 1);
	ck_assert_uint_eq(open_descriptors(), descriptors);
	world_release();
}
END_TEST

START_TEST(a_file_that_was_moved_out_is_let_go_too)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "a\n");
	scratch_append(&world.scratch, OLD_1, "b\n");
	world_start();
	scratch_rename(&world.scratch, OLD_1, "elsewhere");
	follower_look(world.follower);
	ck_assert_uint_eq(stats()->unlinked, 0); /* one listing may have missed it */
	follower_look(world.follower);
	ck_assert_str_eq(shown(), "0.log.20260131-000001! 0.log");
	scratch_rename(&world.scratch, "elsewhere", OLD_1);
	follower_look(world.follower);
	ck_assert_str_eq(shown(), "0.log.20260131-000001 0.log");
	ck_assert_uint_eq(world.adopted, 2);
	world_release();
}
END_TEST

START_TEST(a_held_inode_is_never_mistaken_for_a_new_file)
{
	uint64_t ino;
	char path[64] = BOX "/0.log";

	world_init();
	scratch_append(&world.scratch, LIVE, "a\n");
	world_start();
	ino = first_reader()->reader.tail->identity.ino;
	/* held: every new file has another inode, and each is a tail of its own */
	for (unsigned i = 1; i <= 20; i++) {
		scratch_unlink(&world.scratch, path);
		scratch_append(&world.scratch, path, "b\n");
		RUN_UNTIL(world.adopted == i + 1);
		ck_assert_uint_ne(last_reader()->reader.tail->identity.ino, ino);
	}
	/* let go: the number may come again, for a file that is read from its beginning */
	detach_all();
	scratch_unlink(&world.scratch, path);
	follower_look(world.follower);
	ck_assert_uint_eq(stats()->tails, 0);
	scratch_append(&world.scratch, path, "c\n");
	follower_look(world.follower);
	ck_assert_uint_eq(world.adopted, 22);
	ck_assert_str_eq(text_of(first_reader()), "c\n");
	world_release();
}
END_TEST

START_TEST(a_truncated_file_begins_again_as_another_tail)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "hello\nworld\n");
	world_start();
	ck_assert_int_eq(truncate(scratch_path(&world.scratch, LIVE), 0), 0);
	scratch_append(&world.scratch, LIVE, "again\n");
	RUN_UNTIL(world.adopted == 2);
	ck_assert_str_eq(shown(), "0.log~ 0.log");
	ck_assert_uint_eq(first_reader()->reader.tail->size, 12);
	ck_assert_uint_eq(last_reader()->reader.tail->identity.generation, 1);
	ck_assert_str_eq(text_of(last_reader()), "again\n");
	scratch_append(&world.scratch, LIVE, "more\n");
	RUN_UNTIL(last_reader()->text.len == 11);
	detach(first_reader());
	follower_sweep(world.follower);
	ck_assert_uint_eq(world.released, 1);
	ck_assert_str_eq(shown(), "0.log");
	world_release();
}
END_TEST

START_TEST(a_cut_file_that_grew_beyond_its_old_size_is_found_out)
{
	world_init();
	scratch_append(&world.scratch, LIVE, "hello\n");
	world_start();
	ck_assert_int_eq(truncate(scratch_path(&world.scratch, LIVE), 0), 0);
	scratch_append(&world.scratch, LIVE, "another beginning, and a longer one\n");
	follower_sweep(world.follower);
	ck_assert_str_eq(shown(), "0.log~ 0.log");
	ck_assert_str_eq(text_of(last_reader()), "another beginning, and a longer one\n");
	world_release();
}
END_TEST

START_TEST(a_deleted_file_that_is_truncated_ends_as_well)
{
	int fd;

	world_init();
	scratch_append(&world.scratch, LIVE, "hello\n");
	world_start();
	fd = open(scratch_path(&world.scratch, LIVE), O_WRONLY | O_APPEND | O_CLOEXEC);
	scratch_unlink(&world.scratch, LIVE);
	RUN_UNTIL(stats()->unlinked == 1);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	follower_sweep(world.follower);
	ck_assert_str_eq(shown(), "0.log~ 0.log!");
	ck_assert_int_eq(close(fd), 0);
	detach_all();
	follower_sweep(world.follower);
	ck_assert_uint_eq(stats()->tails, 0);
	ck_assert_uint_eq(world.released, 2);
	world_release();
}
END_TEST

START_TEST(beyond_the_hold_limit_the_oldest_is_given_up)
{
	world_init();
	world.options.hold_limit = 10;
	world.readers_hold = true;
	scratch_append(&world.scratch, OLD_1, "123456\n");
	scratch_append(&world.scratch, OLD_2, "123456\n");
	scratch_append(&world.scratch, OLD_3, "1\n");
	world_start();
	scratch_unlink(&world.scratch, OLD_2);
	follower_look(world.follower);
	ck_assert_uint_eq(stats()->gave_up, 0);
	scratch_unlink(&world.scratch, OLD_1);
	scratch_unlink(&world.scratch, OLD_3);
	follower_look(world.follower);
	follower_sweep(world.follower);
	ck_assert_uint_eq(stats()->gave_up, 1);
	ck_assert_uint_eq(stats()->given_up_bytes, 7);
	ck_assert(!first_reader()->given_up);
	ck_assert(first_reader()->next->given_up); /* the one that lost its name first */
	ck_assert_uint_eq(stats()->held_unlinked_bytes, 9);
	world_release();
}
END_TEST

/* ---- traps -------------------------------------------------------------------------------------- */

START_TEST(traps_are_refused_and_counted_once)
{
	world_init();
	scratch_append(&world.scratch, "secret", "secret\n");
	scratch_dir(&world.scratch, "outside/app");
	scratch_append(&world.scratch, "outside/app/0.log", "secret\n");
	ck_assert_int_eq(symlink("../../../secret", scratch_path(&world.scratch, BOX "/0.log")), 0);
	ck_assert_int_eq(mkfifo(scratch_path(&world.scratch, BOX "/1.log"), 0600), 0);
	ck_assert_int_eq(
	    link(scratch_path(&world.scratch, "secret"), scratch_path(&world.scratch, BOX "/2.log")), 0);
	ck_assert_int_eq(symlink("../outside", scratch_path(&world.scratch,
						   "logs/shop_evil_33333333-2222-3333-4444-555555555555")),
	    0);
	scratch_append(&world.scratch, BOX "/3.log", "good\n");
	world_start();
	follower_look(world.follower);
	follower_look(world.follower);
	ck_assert_str_eq(buf_text(&world.all_text), "good\n");
	ck_assert_uint_eq(stats()->refused_links, 4);
	/* a hard link is an ordinary file once its other name is gone */
	scratch_unlink(&world.scratch, "secret");
	follower_look(world.follower);
	ck_assert_str_eq(shown(), "2.log 3.log");
	world_release();
}
END_TEST

static void docker_world(void)
{
	world_init();
	scratch_dir(&world.scratch, "docker/abc123");
	scratch_append(&world.scratch, "docker/abc123/abc123-json.log", "{\"log\":\"a\\n\"}\n");
	world.options.docker_root = xstrdup(scratch_path(&world.scratch, "docker"));
	ck_assert_int_eq(symlink(scratch_path(&world.scratch, "docker/abc123/abc123-json.log"),
			     scratch_path(&world.scratch, BOX "/2.log")),
	    0);
}

START_TEST(dockers_links_are_followed_below_its_root)
{
	docker_world();
	world_start();
	ck_assert_str_eq(shown(), "abc123-json.log");
	ck_assert(first_reader()->reader.tail->is_docker);
	ck_assert_uint_eq(first_reader()->reader.tail->source.restart, 2);
	scratch_append(&world.scratch, "docker/abc123/abc123-json.log", "{}\n");
	RUN_UNTIL(first_reader()->text.len == 17);
	world_release();
}
END_TEST

START_TEST(dockers_rotation_is_followed_by_age)
{
	docker_world();
	scratch_append(&world.scratch, "docker/abc123/abc123-json.log.1", "old\n");
	world_start();
	ck_assert_str_eq(shown(), "abc123-json.log.1 abc123-json.log");
	for (unsigned i = 0; i < 10; i++) {
		scratch_rename(
		    &world.scratch, "docker/abc123/abc123-json.log.1", "docker/abc123/abc123-json.log.2");
		scratch_rename(
		    &world.scratch, "docker/abc123/abc123-json.log", "docker/abc123/abc123-json.log.1");
		scratch_append(&world.scratch, "docker/abc123/abc123-json.log", "new\n");
		RUN_UNTIL(world.adopted == 3 + i);
		detach_done();
		follower_sweep(world.follower);
		ck_assert_str_eq(shown(), "abc123-json.log.2 abc123-json.log.1 abc123-json.log");
	}
	world_release();
}
END_TEST

START_TEST(dockers_next_container_comes_after_the_one_before)
{
	docker_world();
	scratch_dir(&world.scratch, "docker/def456");
	world_start();
	scratch_append(&world.scratch, "docker/def456/def456-json.log", "next\n");
	ck_assert_int_eq(symlink(scratch_path(&world.scratch, "docker/def456/def456-json.log"),
			     scratch_path(&world.scratch, BOX "/3.log")),
	    0);
	RUN_UNTIL(world.adopted == 2);
	ck_assert_str_eq(shown(), "abc123-json.log def456-json.log");
	scratch_unlink(&world.scratch, BOX "/2.log");
	scratch_remove(&world.scratch, "docker/abc123");
	RUN_UNTIL(stats()->unlinked == 1);
	ck_assert_str_eq(shown(), "abc123-json.log! def456-json.log");
	world_release();
}
END_TEST

START_TEST(links_out_of_dockers_root_are_refused)
{
	docker_world();
	ck_assert_int_eq(symlink("/etc/passwd", scratch_path(&world.scratch, BOX "/0.log")), 0);
	scratch_dir(&world.scratch, "docker/bad");
	ck_assert_int_eq(symlink("/etc/passwd", scratch_path(&world.scratch, "docker/bad/bad-json.log")), 0);
	ck_assert_int_eq(symlink(scratch_path(&world.scratch, "docker/bad/bad-json.log"),
			     scratch_path(&world.scratch, BOX "/1.log")),
	    0);
	world_start();
	ck_assert_str_eq(shown(), "abc123-json.log");
	ck_assert_uint_eq(stats()->refused_links, 2);
	world_release();
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------------- */

START_TEST(pods_that_come_and_go_leave_nothing_behind)
{
	char pod[128], path[160];
	size_t descriptors, watches;
	unsigned count = 0;

	world_init();
	scratch_append(&world.scratch, LIVE, "stays\n");
	world_start();
	(void)uv_run(&world.loop, UV_RUN_NOWAIT);
	descriptors = open_descriptors();
	watches = stats()->watches;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 50; i++, count++) {
			(void)snprintf(pod, sizeof pod, "logs/shop_p-%u_%08u-2222-3333-4444-555555555555/app",
			    count, count);
			scratch_dir(&world.scratch, pod);
			(void)snprintf(path, sizeof path, "%s/0.log", pod);
			scratch_append(&world.scratch, path, "x\n");
		}
		RUN_UNTIL(world.adopted == count + 1);
		for (unsigned i = count - 50; i < count; i++) {
			(void)snprintf(
			    pod, sizeof pod, "logs/shop_p-%u_%08u-2222-3333-4444-555555555555", i, i);
			scratch_remove(&world.scratch, pod);
		}
		RUN_UNTIL(stats()->unlinked == count);
		detach_done();
		follower_sweep(world.follower);
	}
	ck_assert_uint_eq(stats()->tails, 1);
	ck_assert_uint_eq(stats()->containers, 1);
	ck_assert_uint_eq(stats()->watches, watches);
	ck_assert_uint_eq(open_descriptors(), descriptors);
	ck_assert_uint_eq(world.all_text.len, 6 + 2 * count);
	world_release();
}
END_TEST

START_TEST(after_an_overflow_everything_is_looked_at)
{
	world_init();
	world_make();
	dirwatch_limit(finder_watch(follower_finder(world.follower)), 0);
	ck_assert_int_eq(follower_start(world.follower, NULL), 0);
	scratch_append(&world.scratch, LIVE, "a\n");
	dirwatch_overflow(finder_watch(follower_finder(world.follower)));
	ck_assert_str_eq(shown(), "0.log");
	ck_assert_uint_eq(stats()->overflows, 1);
	scratch_append(&world.scratch, LIVE, "b\n");
	dirwatch_overflow(finder_watch(follower_finder(world.follower)));
	RUN_UNTIL(first_reader()->text.len == 4);
	world_release();
}
END_TEST

START_TEST(without_watches_the_sweep_does_it_all)
{
	world_init();
	world.options.rescan_interval_ms = 5;
	world_make();
	dirwatch_limit(finder_watch(follower_finder(world.follower)), 0);
	ck_assert_int_eq(follower_start(world.follower, NULL), 0);
	scratch_append(&world.scratch, LIVE, "a\n");
	RUN_UNTIL(world.adopted == 1);
	scratch_append(&world.scratch, LIVE, "b\n");
	RUN_UNTIL(first_reader()->text.len == 4);
	scratch_rename(&world.scratch, LIVE, OLD_1);
	scratch_append(&world.scratch, LIVE, "c\n");
	RUN_UNTIL(world.adopted == 2);
	ck_assert_str_eq(shown(), "0.log.20260131-000001 0.log");
	scratch_unlink(&world.scratch, OLD_1);
	RUN_UNTIL(stats()->unlinked == 1);
	scratch_remove(&world.scratch, POD);
	RUN_UNTIL(stats()->unlinked == 2);
	ck_assert_uint_eq(stats()->watches, 0);
	world_release();
}
END_TEST

START_TEST(without_descriptors_files_wait_for_the_next_sweep)
{
	world_init();
	world.options.rescan_interval_ms = 5;
	scratch_append(&world.scratch, LIVE, "a\n");
	world_make();
	finder_limit_descriptors(follower_finder(world.follower), 0);
	ck_assert_int_eq(follower_start(world.follower, NULL), 0);
	ck_assert_uint_eq(world.adopted, 0);
	finder_limit_descriptors(follower_finder(world.follower), 1024);
	RUN_UNTIL(world.adopted == 1);
	/* and a known file that is renamed meanwhile needs none */
	finder_limit_descriptors(follower_finder(world.follower), 0);
	scratch_rename(&world.scratch, LIVE, OLD_1);
	RUN_UNTIL(stats()->renamed == 1);
	ck_assert_uint_eq(stats()->unlinked, 0);
	world_release();
}
END_TEST

START_TEST(many_files_are_swept_in_more_than_one_turn)
{
	char path[160];

	world_init();
	for (unsigned i = 0; i < 1500; i++) {
		(void)snprintf(path, sizeof path, BOX "/%u.log", i);
		scratch_append(&world.scratch, path, "x\n");
	}
	world_start();
	ck_assert_uint_eq(world.adopted, 1500);
	for (unsigned i = 0; i < 1500; i++) {
		(void)snprintf(path, sizeof path, BOX "/%u.log", i);
		scratch_append(&world.scratch, path, "y\n");
	}
	RUN_UNTIL(world.all_text.len == 6000);
	world_release();
}
END_TEST

UNIT_MAIN("follower", files_that_are_there_are_adopted_oldest_first, a_line_wakes_its_reader_without_a_sweep,
    a_pod_that_comes_later_is_found_whole, other_names_are_left_alone, the_root_is_waited_for_and_found_again,
    the_first_look_is_told_once_when_the_root_is_there, our_own_pod_is_not_followed,
    what_a_review_finds_was_not_there_before_anyone,
    stock_that_cannot_be_taken_yet_is_taken_by_the_first_look,
    a_review_adopts_what_is_wanted_now_and_lets_go_of_the_rest,
    a_rotated_file_is_the_same_tail_with_another_name, renaming_back_makes_no_new_file,
    a_file_renamed_over_another_succeeds_it, two_rotations_in_one_second_lose_nothing,
    a_storm_of_rotations_is_read_in_order, the_next_restart_comes_after_the_last_file_of_the_one_before,
    a_compressed_file_goes_on_through_its_descriptor,
    compressed_files_are_asked_for_the_newest_first_and_read_the_oldest_first,
    a_compressed_file_is_not_asked_for_beside_its_plain_one,
    a_compressed_file_that_nobody_knows_is_not_even_opened, a_deleted_file_is_held_until_its_readers_are_gone,
    a_file_that_was_moved_out_is_let_go_too, a_held_inode_is_never_mistaken_for_a_new_file,
    a_truncated_file_begins_again_as_another_tail, a_cut_file_that_grew_beyond_its_old_size_is_found_out,
    a_deleted_file_that_is_truncated_ends_as_well, beyond_the_hold_limit_the_oldest_is_given_up,
    traps_are_refused_and_counted_once, dockers_links_are_followed_below_its_root,
    dockers_rotation_is_followed_by_age, dockers_next_container_comes_after_the_one_before,
    links_out_of_dockers_root_are_refused, pods_that_come_and_go_leave_nothing_behind,
    after_an_overflow_everything_is_looked_at, without_watches_the_sweep_does_it_all,
    without_descriptors_files_wait_for_the_next_sweep, many_files_are_swept_in_more_than_one_turn)

/* When commits happen, what their ends say, and what a death at any place leaves: with a loop and a worker.
 */
#include "config.h"
#include "collector/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/must.h"
#include "tests/unit/scratch.h"
#include "tests/unit/shaky.h"
#include "tests/unit/unit.h"

#define MARKS 8

/* A collector in small: a loop, a checkpoint, and one output's marks in some files. */
struct house {
	struct scratch scratch;
	uv_loop_t loop;
	struct checkpoint *checkpoint;
	struct segment *segments[MARKS];
	struct mark marks[MARKS];
	bool is_flushed;
	int flush_status;
};

static unsigned told;

static int describe(struct mark *mark, uint32_t *ret_len, uint64_t *ret_hash)
{
	*ret_len = 256;
	*ret_hash = ~mark->offset;
	return 0;
}

static void committed(struct mark *mark)
{
	ck_assert_int_le(mark->synced_offset, mark->durable_offset);
	ck_assert_int_le(mark->durable_offset, mark->offset);
	told++;
}

static bool is_any(void *arg, const struct segment_key *stored)
{
	(void)arg;
	(void)stored;
	return true;
}

static struct segment *get_segment(struct house *house, unsigned number)
{
	char stream[32], path[64];
	struct segment_key key = {.stream = stream, .head_len = 1, .head_hash = number, .path = path};
	struct segment *segment;

	snprintf(stream, sizeof stream, "u/c/%u", number);
	snprintf(path, sizeof path, "/var/log/pods/n_p_u/c/%u.log", number);
	segment = checkpoint_find(house->checkpoint, stream, is_any, NULL);
	return segment != NULL ? segment : checkpoint_add(house->checkpoint, &key);
}

/* Opens and attaches every mark where it was left. */
static void move_in(struct house *house, const char *output)
{
	struct err err;

	ck_assert_int_eq(uv_loop_init(&house->loop), 0);
	ck_assert_msg(checkpoint_open(&house->checkpoint, &house->loop, house->scratch.path, &err) == 0, "%s",
	    err.text);
	for (unsigned i = 0; i < MARKS; i++) {
		struct stored_mark stored = {0};

		house->segments[i] = get_segment(house, i);
		if (checkpoint_load(house->checkpoint, house->segments[i], output, &stored)) {
			ck_assert_int_eq(stored.tail_len, 256);
			ck_assert(stored.tail_hash == ~stored.offset);
		}
		house->marks[i] = (struct mark){
		    .segment = house->segments[i],
		    .output = output,
		    .offset = stored.offset,
		    .durable_offset = stored.offset,
		    .synced_offset = stored.offset,
		    .describe = describe,
		    .committed = committed,
		};
		checkpoint_attach(house->checkpoint, &house->marks[i]);
	}
}

static void on_flushed(void *arg, int status)
{
	struct house *house = arg;

	ck_assert(!house->is_flushed);
	house->is_flushed = true;
	house->flush_status = status;
}

static int flush(struct house *house)
{
	house->is_flushed = false;
	checkpoint_flush(house->checkpoint, on_flushed, house);
	ck_assert(!house->is_flushed);
	while (!house->is_flushed)
		uv_run(&house->loop, UV_RUN_ONCE);
	return house->flush_status;
}

static void detach_all(struct house *house)
{
	for (unsigned i = 0; i < MARKS; i++)
		if (house->marks[i].row != NULL)
			checkpoint_detach(house->checkpoint, &house->marks[i]);
}

static void move_out(struct house *house)
{
	detach_all(house);
	(void)flush(house);
	checkpoint_close(house->checkpoint);
	while (uv_run(&house->loop, UV_RUN_DEFAULT) != 0)
		;
	ck_assert_int_eq(uv_loop_close(&house->loop), 0);
}

static void move_mark(struct house *house, unsigned i, uint64_t offset)
{
	house->marks[i].offset = offset;
	checkpoint_touch(house->checkpoint, &house->marks[i]);
}

static const struct checkpoint_stats *stats(const struct house *house)
{
	return checkpoint_stats(house->checkpoint);
}

/* Runs the loop until *value is what is expected; the test's time limit catches the rest. */
static void run_until(struct house *house, const uint64_t *value, uint64_t expected)
{
	while (*value != expected)
		uv_run(&house->loop, UV_RUN_ONCE);
}

START_TEST(marks_are_there_after_a_restart)
{
	struct house house = {0};

	scratch_init(&house.scratch);
	move_in(&house, "main");
	for (unsigned i = 0; i < MARKS; i++)
		move_mark(&house, i, 100 + i);
	move_out(&house);
	move_in(&house, "main");
	for (unsigned i = 0; i < MARKS; i++)
		ck_assert_int_eq(house.marks[i].offset, 100 + i);
	ck_assert(checkpoint_knows(house.checkpoint, "main"));
	ck_assert(!checkpoint_knows(house.checkpoint, "other"));
	move_out(&house);
	scratch_release(&house.scratch);
}
END_TEST

START_TEST(marks_that_move_in_one_turn_go_in_one_commit)
{
	struct house house = {0};

	scratch_init(&house.scratch);
	move_in(&house, "main");
	told = 0;
	for (unsigned i = 0; i < MARKS; i++)
		move_mark(&house, i, 100);
	ck_assert_int_eq(stats(&house)->commits, 0);
	run_until(&house, &house.marks[0].durable_offset, 100);
	ck_assert_int_eq(stats(&house)->commits, 1);
	ck_assert_int_eq(told, MARKS);
	for (unsigned i = 0; i < MARKS; i++)
		ck_assert_int_eq(house.marks[i].durable_offset, 100);
	move_out(&house);
	scratch_release(&house.scratch);
}
END_TEST

START_TEST(mark_that_moves_while_a_commit_is_under_way_goes_into_the_next)
{
	struct house house = {0};

	scratch_init(&house.scratch);
	move_in(&house, "main");
	move_mark(&house, 0, 100);
	uv_run(&house.loop, UV_RUN_NOWAIT); /* begins it */
	move_mark(&house, 0, 200);
	run_until(&house, &house.marks[0].durable_offset, 100);
	ck_assert_int_eq(stats(&house)->commits, 1);
	run_until(&house, &house.marks[0].durable_offset, 200);
	ck_assert_int_eq(stats(&house)->commits, 2);
	move_out(&house);
	scratch_release(&house.scratch);
}
END_TEST

START_TEST(mark_that_moved_last_is_synced_within_about_a_second)
{
	struct house house = {0};
	uint64_t start_ms = clock_monotonic_ms();

	scratch_init(&house.scratch);
	move_in(&house, "main");
	move_mark(&house, 0, 100);
	run_until(&house, &house.marks[0].durable_offset, 100);
	ck_assert_int_eq(house.marks[0].synced_offset, 0);
	ck_assert_int_eq(stats(&house)->full_commits, 0);
	run_until(&house, &house.marks[0].synced_offset, 100);
	ck_assert_int_eq(stats(&house)->full_commits, 1);
	ck_assert_int_ge(clock_monotonic_ms() - start_ms, 900);
	move_out(&house);
	scratch_release(&house.scratch);
}
END_TEST

START_TEST(sync_does_not_wait)
{
	struct house house = {0};

	scratch_init(&house.scratch);
	move_in(&house, "main");
	move_mark(&house, 0, 100);
	run_until(&house, &house.marks[0].durable_offset, 100);
	checkpoint_sync(house.checkpoint);
	run_until(&house, &house.marks[0].synced_offset, 100);
	move_mark(&house, 1, 50);
	checkpoint_sync(house.checkpoint);
	run_until(&house, &house.marks[1].synced_offset, 50);
	ck_assert_int_eq(stats(&house)->full_commits, 2);
	ck_assert_int_eq(stats(&house)->commits, 3);
	move_out(&house);
	scratch_release(&house.scratch);
}
END_TEST

START_TEST(flush_takes_what_moved_while_a_commit_was_under_way)
{
	struct house house = {0};

	scratch_init(&house.scratch);
	move_in(&house, "main");
	move_mark(&house, 0, 100);
	uv_run(&house.loop, UV_RUN_NOWAIT);
	move_mark(&house, 0, 200);
	ck_assert_int_eq(flush(&house), 0);
	ck_assert_int_eq(house.marks[0].synced_offset, 200);
	ck_assert_int_eq(flush(&house), 0); /* also with nothing to do */
	move_out(&house);
	scratch_release(&house.scratch);
}
END_TEST

static void close_at_once(void *arg, int status)
{
	struct house *house = arg;

	ck_assert_int_eq(status, 0);
	checkpoint_close(house->checkpoint);
}

START_TEST(end_of_a_flush_may_close)
{
	struct house house = {0};

	scratch_init(&house.scratch);
	move_in(&house, "main");
	move_mark(&house, 0, 100);
	detach_all(&house);
	checkpoint_flush(house.checkpoint, close_at_once, &house);
	while (uv_run(&house.loop, UV_RUN_DEFAULT) != 0)
		;
	ck_assert_int_eq(uv_loop_close(&house.loop), 0);
	ck_assert_int_ne(access(scratch_path(&house.scratch, "checkpoint.db-wal"), F_OK), 0);
	scratch_release(&house.scratch);
}
END_TEST

START_TEST(forgotten_segment_is_gone_after_a_restart_and_an_updated_one_is_found)
{
	struct segment_key key = {.stream = "u/c/1", .head_len = 200, .head_hash = 77, .path = "/moved"};
	struct house house = {0};

	scratch_init(&house.scratch);
	move_in(&house, "main");
	move_mark(&house, 0, 100);
	move_mark(&house, 1, 100);
	ck_assert_int_eq(flush(&house), 0);
	checkpoint_detach(house.checkpoint, &house.marks[0]);
	checkpoint_forget(house.checkpoint, house.segments[0]);
	checkpoint_update(house.checkpoint, house.segments[1], &key);
	move_out(&house);
	move_in(&house, "main");
	ck_assert_int_eq(house.marks[0].offset, 0);
	ck_assert_int_eq(house.marks[1].offset, 100);
	move_out(&house);
	scratch_release(&house.scratch);
}
END_TEST

/* ---- failures --------------------------------------------------------------------------------- */

START_TEST(full_disk_is_counted_and_marks_are_written_when_there_is_room)
{
	struct house house = {0};

	scratch_init(&house.scratch);
	shaky_install();
	move_in(&house, "main");
	ck_assert_int_eq(flush(&house), 0);
	shaky_fail_at(1, true, SQLITE_FULL);
	move_mark(&house, 0, 100);
	run_until(&house, &stats(&house)->failures, 2);
	ck_assert(stats(&house)->failing);
	ck_assert_ptr_nonnull(strstr(stats(&house)->last_error, "full"));
	ck_assert_int_eq(house.marks[0].durable_offset, 0);
	move_mark(&house, 0, 200);
	ck_assert_int_eq(flush(&house), -ENOSPC);
	shaky_calm();
	run_until(&house, &house.marks[0].durable_offset, 200);
	ck_assert(!stats(&house)->failing);
	ck_assert_int_eq(stats(&house)->damaged, 0);
	ck_assert_int_eq(access(scratch_path(&house.scratch, "checkpoint.db"), F_OK), 0);
	move_out(&house);
	scratch_release(&house.scratch);
}
END_TEST

static bool has_copy(const struct scratch *scratch)
{
	DIR *dir = opendir(scratch->path);
	bool has = false;
	struct dirent *entry;

	while ((entry = readdir(dir)) != NULL)
		has = has || strstr(entry->d_name, ".damaged-") != NULL;
	closedir(dir);
	return has;
}

static void assert_written_anew(struct house *house)
{
	move_mark(house, 0, 300);
	checkpoint_sync(house->checkpoint);
	run_until(house, &house->marks[0].synced_offset, 300);
	move_out(house);
	move_in(house, "main");
	ck_assert_int_eq(house->marks[0].offset, 300);
	for (unsigned i = 1; i < MARKS; i++)
		ck_assert_int_eq(house->marks[i].offset, 100 + i);
	move_out(house);
}

static void move_in_and_write(struct house *house)
{
	scratch_init(&house->scratch);
	shaky_install();
	move_in(house, "main");
	for (unsigned i = 0; i < MARKS; i++)
		move_mark(house, i, 100 + i);
	ck_assert_int_eq(flush(house), 0);
}

START_TEST(sync_that_failed_is_not_trusted_again)
{
	struct house house = {0};

	move_in_and_write(&house);
	shaky_fail_at(2, false, SQLITE_IOERR_FSYNC); /* the log's write, then its sync */
	move_mark(&house, 0, 200);
	checkpoint_sync(house.checkpoint);
	run_until(&house, &stats(&house)->failures, 1);
	shaky_calm();
	assert_written_anew(&house);
	ck_assert(has_copy(&house.scratch));
	scratch_release(&house.scratch);
}
END_TEST

START_TEST(file_that_vanished_is_written_anew)
{
	struct house house = {0};

	move_in_and_write(&house);
	scratch_unlink(&house.scratch, "checkpoint.db");
	scratch_unlink(&house.scratch, "checkpoint.db-wal");
	assert_written_anew(&house);
	scratch_release(&house.scratch);
}
END_TEST

START_TEST(damage_at_the_start_is_counted_and_no_output_is_new)
{
	static const char *const outputs[] = {"main"};
	struct house house = {0};

	scratch_init(&house.scratch);
	scratch_append(&house.scratch, "checkpoint.db", "");
	move_in(&house, "main");
	ck_assert_int_eq(stats(&house)->damaged, 1);
	checkpoint_retire(house.checkpoint, outputs, 1, clock_wall_ns());
	ck_assert(checkpoint_knows(house.checkpoint, "main"));
	ck_assert(checkpoint_knows(house.checkpoint, "other"));
	ck_assert_int_eq(house.marks[0].offset, 0);
	ck_assert(has_copy(&house.scratch));
	move_out(&house);
	move_in(&house, "main");
	ck_assert_int_eq(stats(&house)->damaged, 0);
	ck_assert(checkpoint_knows(house.checkpoint, "other"));
	move_out(&house);
	scratch_release(&house.scratch);
}
END_TEST

START_TEST(state_directory_that_cannot_be_used_is_told)
{
	struct house house = {0};
	struct err err = {0};

	scratch_init(&house.scratch);
	ck_assert_int_eq(uv_loop_init(&house.loop), 0);
	ck_assert_int_eq(
	    checkpoint_open(&house.checkpoint, &house.loop, scratch_path(&house.scratch, "missing"), &err),
	    -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "missing"));
	ck_assert_int_eq(uv_loop_close(&house.loop), 0);
	scratch_release(&house.scratch);
}
END_TEST

/* ---- death ------------------------------------------------------------------------------------ */

/* What the child tells: how far each mark was moved, and what was told to be on disk. */
struct witness {
	uint64_t moved[MARKS];
	uint64_t durable[MARKS];
	bool is_through;
};

static void tell(struct house *house, struct witness *witness)
{
	for (unsigned i = 0; i < MARKS; i++)
		witness->durable[i] = house->marks[i].durable_offset;
}

/* Some twenty commits, NORMAL and FULL, with marks that come, go, and are forgotten. */
static void live(struct house *house, struct witness *witness)
{
	move_in(house, "main");
	for (unsigned step = 1; step <= 20; step++) {
		for (unsigned i = step % 3; i < MARKS; i += 3) {
			witness->moved[i] = house->marks[i].offset + step;
			move_mark(house, i, witness->moved[i]);
		}
		if (step % 5 == 0)
			checkpoint_sync(house->checkpoint);
		while (house->marks[step % 3].durable_offset != house->marks[step % 3].offset) {
			uv_run(&house->loop, UV_RUN_ONCE);
			tell(house, witness);
		}
	}
	move_out(house);
	witness->is_through = true;
}

/* Each time the child dies a little later, until it lives through; before_life says where it dies. */
static unsigned die_everywhere(void (*before_life)(unsigned death))
{
	struct witness *witness =
	    mmap(NULL, sizeof *witness, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct house house = {0};
	unsigned deaths = 0;

	for (bool is_through = false; !is_through; deaths++) {
		int status;
		pid_t child;

		scratch_init(&house.scratch);
		*witness = (struct witness){0};
		child = fork();
		if (child == 0) {
			before_life(deaths + 1);
			live(&house, witness);
			uv_library_shutdown(); /* joins the workers */
			_exit(0);
		}
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		is_through = witness->is_through;
		ck_assert(is_through ? WIFEXITED(status) && WEXITSTATUS(status) == 0
				     : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		move_in(&house, "main");
		ck_assert_int_eq(stats(&house)->damaged, 0);
		for (unsigned i = 0; i < MARKS; i++) {
			ck_assert_int_le(house.marks[i].offset, witness->moved[i]);
			ck_assert_int_ge(house.marks[i].offset, witness->durable[i]);
		}
		move_out(&house);
		scratch_release(&house.scratch);
	}
	ck_assert_int_eq(munmap(witness, sizeof *witness), 0);
	return deaths;
}

static void die_at_a_call(unsigned death)
{
	shaky_install();
	shaky_kill_at(death * 5 - 4); /* every one is tried in the database's own test */
}

START_TEST(death_at_any_call_leaves_no_mark_ahead_and_none_behind_what_was_told)
{
	ck_assert_int_gt(die_everywhere(die_at_a_call), 10);
}
END_TEST

#ifdef DRAVE_FAULTS
static const char *fatal_point;

static void die_at_a_point(unsigned death)
{
	char text[64];

	snprintf(text, sizeof text, "%s:%u!kill", fatal_point, death);
	ck_assert(fault_setup(text, 1));
}

START_TEST(death_at_any_fault_point_leaves_no_mark_ahead_and_none_behind_what_was_told)
{
	static const char *const points[] = {"checkpoint.made", "checkpoint.begin", "checkpoint.delete",
	    "checkpoint.segment", "checkpoint.output", "checkpoint.commit", "checkpoint.committed"};

	for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
		fatal_point = points[i];
		ck_assert_int_ge(die_everywhere(die_at_a_point), 2);
	}
}
END_TEST

START_TEST(commit_that_fails_at_any_point_is_tried_again)
{
	static const char *const points[] = {
	    "checkpoint.begin:1", "checkpoint.delete:1", "checkpoint.mark:3", "checkpoint.commit:1+"};

	for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
		struct house house = {0};

		scratch_init(&house.scratch);
		ck_assert(fault_setup("", 1));
		move_in(&house, "main");
		ck_assert(fault_setup(points[i], 1));
		for (unsigned j = 0; j < MARKS; j++)
			move_mark(&house, j, 100);
		run_until(&house, &stats(&house)->failures, 1);
		ck_assert(fault_setup("", 1));
		run_until(&house, &house.marks[0].durable_offset, 100);
		move_out(&house);
		move_in(&house, "main");
		ck_assert_int_eq(house.marks[MARKS - 1].offset, 100);
		move_out(&house);
		scratch_release(&house.scratch);
	}
}
END_TEST
#define FAULT_TESTS                                                                                          \
	, death_at_any_fault_point_leaves_no_mark_ahead_and_none_behind_what_was_told,                       \
	    commit_that_fails_at_any_point_is_tried_again
#else
#define FAULT_TESTS
#endif

UNIT_MAIN("checkpoint", marks_are_there_after_a_restart, marks_that_move_in_one_turn_go_in_one_commit,
    mark_that_moves_while_a_commit_is_under_way_goes_into_the_next,
    mark_that_moved_last_is_synced_within_about_a_second, sync_does_not_wait,
    flush_takes_what_moved_while_a_commit_was_under_way, end_of_a_flush_may_close,
    forgotten_segment_is_gone_after_a_restart_and_an_updated_one_is_found,
    full_disk_is_counted_and_marks_are_written_when_there_is_room, sync_that_failed_is_not_trusted_again,
    file_that_vanished_is_written_anew, damage_at_the_start_is_counted_and_no_output_is_new,
    state_directory_that_cannot_be_used_is_told,
    death_at_any_call_leaves_no_mark_ahead_and_none_behind_what_was_told FAULT_TESTS)

#include "config.h"
#include "collector/rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"
#include "tests/unit/unit.h"

#define DAY_NS (INT64_C(24) * 3600 * 1000000000)
#define NOW_NS (INT64_C(1700000000) * 1000000000)

/* A mark whose fingerprint is made of its offset, and which counts what it is told. */
struct probe {
	struct mark mark;
	unsigned told;
	unsigned described;
	int describe_status;
	struct rows *rows;
	struct probe *detaches;  /* when told */
	struct segment *forgets; /* when told, after that */
};

static int describe(struct mark *mark, uint32_t *ret_len, uint64_t *ret_hash)
{
	struct probe *probe = container_of(mark, struct probe, mark);

	probe->described++;
	*ret_len = 77;
	*ret_hash = ~mark->offset;
	return probe->describe_status;
}

static void committed(struct mark *mark)
{
	struct probe *probe = container_of(mark, struct probe, mark);
	struct probe *other = probe->detaches;
	struct segment *segment = probe->forgets;

	probe->told++;
	probe->detaches = NULL;
	probe->forgets = NULL;
	if (other != NULL)
		rows_detach(&other->mark);
	if (segment != NULL)
		rows_forget(probe->rows, segment);
}

static void attach(
    struct rows *rows, struct probe *probe, struct segment *segment, const char *output, uint64_t offset)
{
	*probe = (struct probe){
	    .rows = rows,
	    .mark =
		{
		    .segment = segment,
		    .output = output,
		    .offset = offset,
		    .durable_offset = offset,
		    .synced_offset = offset,
		    .describe = describe,
		    .committed = committed,
		},
	};
	rows_attach(rows, &probe->mark, NOW_NS);
}

static void move(struct rows *rows, struct probe *probe, uint64_t offset)
{
	probe->mark.offset = offset;
	rows_touch(rows, &probe->mark);
}

static struct segment_key key_of(const char *stream, const char *path)
{
	return (struct segment_key){.stream = stream, .ino = 7, .head_len = 5, .head_hash = 55, .path = path};
}

static struct segment *add(struct rows *rows, const char *stream)
{
	struct segment_key key = key_of(stream, "/var/log/pods/x/0.log");

	return rows_add(rows, &key, NOW_NS);
}

/* Takes and settles, and says how many rows that were. */
static size_t commit(struct rows *rows, bool is_full)
{
	const struct db_change *change = rows_take(rows, is_full);
	size_t count = change->mark_count + change->segment_count + change->output_count +
		       change->gone_output_count + change->gone_segment_count;

	rows_settle(rows, is_full);
	return count;
}

static bool any_segment(void *arg, const struct segment_key *stored)
{
	(void)arg;
	(void)stored;
	return true;
}

static void read_segment(struct rows *rows, int64_t id, const char *stream, int64_t seen_at_ns)
{
	struct db_reader reader = rows_reader(rows);
	struct db_segment row = {.id = id, .key = key_of(stream, "/p"), .seen_at_ns = seen_at_ns};

	ck_assert(reader.segment(reader.arg, &row));
}

static bool read_mark(struct rows *rows, int64_t segment, const char *output, uint64_t offset)
{
	struct db_reader reader = rows_reader(rows);
	struct db_mark row = {
	    .segment = segment, .output = output, .value = {.offset = offset, .tail_len = 3, .tail_hash = 9}};

	return reader.mark(reader.arg, &row);
}

static void read_output(struct rows *rows, const char *name, int64_t seen_at_ns)
{
	struct db_reader reader = rows_reader(rows);
	struct db_output row = {.name = name, .seen_at_ns = seen_at_ns};

	ck_assert(reader.output(reader.arg, &row));
}

START_TEST(moved_mark_is_taken_once_with_its_segment)
{
	struct rows *rows = rows_new();
	struct segment *segment = add(rows, "u/c/0");
	const struct db_change *change;
	struct probe probe;

	attach(rows, &probe, segment, "main", 0);
	ck_assert(!rows_moved(rows));
	move(rows, &probe, 10);
	move(rows, &probe, 20);
	ck_assert(rows_moved(rows));
	change = rows_take(rows, false);
	ck_assert_int_eq(change->mark_count, 1);
	ck_assert_int_eq(change->marks[0].value.offset, 20);
	ck_assert_int_eq(change->marks[0].value.tail_len, 77);
	ck_assert(change->marks[0].value.tail_hash == ~UINT64_C(20));
	ck_assert_str_eq(change->marks[0].output, "main");
	ck_assert_int_eq(change->segment_count, 1);
	ck_assert_int_eq(change->segments[0].id, change->marks[0].segment);
	ck_assert_str_eq(change->segments[0].key.stream, "u/c/0");
	rows_settle(rows, false);
	ck_assert_int_eq(probe.described, 1);
	ck_assert_int_eq(probe.told, 1);
	move(rows, &probe, 30);
	ck_assert_int_eq(commit(rows, false), 1); /* the segment has its row */
	rows_detach(&probe.mark);
	rows_free(rows);
}
END_TEST

START_TEST(untouched_segment_is_never_written)
{
	struct rows *rows = rows_new();
	struct segment *segment = add(rows, "u/c/0");
	struct segment_key key = key_of("u/c/0", "/elsewhere");
	struct probe probe;

	attach(rows, &probe, segment, "main", 0);
	rows_update(rows, segment, &key);
	commit(rows, true); /* the output */
	ck_assert_int_eq(commit(rows, true), 0);
	rows_detach(&probe.mark);
	rows_forget(rows, segment);
	ck_assert_int_eq(commit(rows, true), 0);
	rows_free(rows);
}
END_TEST

START_TEST(failed_change_is_taken_again_with_the_newest_value)
{
	struct rows *rows = rows_new();
	const struct db_change *change;
	struct probe probe;

	attach(rows, &probe, add(rows, "u/c/0"), "main", 0);
	move(rows, &probe, 10);
	(void)rows_take(rows, false);
	move(rows, &probe, 20);
	rows_restore(rows);
	ck_assert_int_eq(probe.told, 0);
	ck_assert_int_eq(probe.mark.durable_offset, 0);
	ck_assert(rows_moved(rows));
	change = rows_take(rows, false);
	ck_assert_int_eq(change->mark_count, 1);
	ck_assert_int_eq(change->marks[0].value.offset, 20);
	ck_assert_int_eq(change->segment_count, 1);
	ck_assert_int_eq(change->output_count, 1);
	rows_settle(rows, false);
	ck_assert_int_eq(probe.mark.durable_offset, 20);
	rows_detach(&probe.mark);
	rows_free(rows);
}
END_TEST

START_TEST(mark_that_moves_under_way_is_told_what_was_written_and_stays_dirty)
{
	struct rows *rows = rows_new();
	struct probe probe;

	attach(rows, &probe, add(rows, "u/c/0"), "main", 0);
	move(rows, &probe, 10);
	(void)rows_take(rows, true);
	move(rows, &probe, 20);
	rows_settle(rows, true);
	ck_assert_int_eq(probe.mark.durable_offset, 10);
	ck_assert_int_eq(probe.mark.synced_offset, 10);
	ck_assert(rows_moved(rows));
	rows_detach(&probe.mark);
	rows_free(rows);
}
END_TEST

START_TEST(only_a_full_change_syncs_and_it_is_never_empty_then)
{
	struct rows *rows = rows_new();
	const struct db_change *change;
	struct probe first, second;

	attach(rows, &first, add(rows, "u/c/0"), "main", 0);
	attach(rows, &second, add(rows, "u/c/1"), "main", 0);
	move(rows, &first, 10);
	commit(rows, false);
	move(rows, &second, 5);
	commit(rows, false);
	ck_assert_int_eq(first.mark.durable_offset, 10);
	ck_assert_int_eq(first.mark.synced_offset, 0);
	ck_assert(rows_unsynced(rows));
	change = rows_take(rows, true);
	ck_assert_int_eq(change->mark_count, 1);
	ck_assert_int_eq(change->marks[0].value.offset, 10);
	rows_settle(rows, true);
	ck_assert_int_eq(first.mark.synced_offset, 10);
	ck_assert_int_eq(second.mark.synced_offset, 5);
	ck_assert_int_eq(second.told, 2);
	ck_assert(!rows_unsynced(rows));
	ck_assert_int_eq(commit(rows, true), 0);
	rows_detach(&first.mark);
	rows_detach(&second.mark);
	rows_free(rows);
}
END_TEST

START_TEST(mark_may_go_while_it_is_under_way)
{
	struct rows *rows = rows_new();
	struct segment *segment = add(rows, "u/c/0");
	struct probe *probe = xcalloc(1, sizeof *probe);
	struct stored_mark stored;
	char output[] = "main";

	attach(rows, probe, segment, output, 0);
	move(rows, probe, 10);
	(void)rows_take(rows, false);
	rows_detach(&probe->mark);
	free(probe);
	memset(output, 'x', sizeof output - 1);
	rows_settle(rows, false);
	ck_assert(rows_load(segment, "main", &stored));
	ck_assert_int_eq(stored.offset, 10);
	ck_assert(rows_unsynced(rows));
	ck_assert_int_eq(commit(rows, true), 1);
	rows_free(rows);
}
END_TEST

START_TEST(detached_mark_leaves_its_value_with_its_fingerprint)
{
	struct rows *rows = rows_new();
	struct segment *segment = add(rows, "u/c/0");
	const struct db_change *change;
	struct stored_mark stored;
	struct probe probe;

	attach(rows, &probe, segment, "main", 0);
	ck_assert(!rows_load(segment, "main", &stored));
	move(rows, &probe, 10);
	rows_detach(&probe.mark);
	ck_assert(rows_load(segment, "main", &stored));
	ck_assert_int_eq(stored.offset, 10);
	ck_assert_int_eq(stored.tail_len, 77);
	change = rows_take(rows, false);
	ck_assert_int_eq(change->marks[0].value.tail_len, 77);
	ck_assert_int_eq(probe.described, 1);
	rows_settle(rows, false);
	rows_free(rows);
}
END_TEST

START_TEST(mark_that_cannot_be_described_has_no_fingerprint)
{
	struct rows *rows = rows_new();
	const struct db_change *change;
	struct probe probe;

	attach(rows, &probe, add(rows, "u/c/0"), "main", 0);
	probe.describe_status = -EIO;
	move(rows, &probe, 10);
	change = rows_take(rows, false);
	ck_assert_int_eq(change->marks[0].value.offset, 10);
	ck_assert_int_eq(change->marks[0].value.tail_len, 0);
	ck_assert_int_eq(change->marks[0].value.tail_hash, 0);
	rows_settle(rows, false);
	rows_detach(&probe.mark);
	rows_free(rows);
}
END_TEST

START_TEST(segment_may_be_forgotten_while_it_is_under_way)
{
	struct rows *rows = rows_new();
	struct segment *segment = add(rows, "u/c/0");
	const struct db_change *change;
	struct probe probe;

	attach(rows, &probe, segment, "main", 0);
	move(rows, &probe, 10);
	(void)rows_take(rows, false);
	rows_detach(&probe.mark);
	rows_forget(rows, segment);
	rows_settle(rows, false);
	ck_assert(!rows_unsynced(rows));
	ck_assert(rows_lazy(rows));
	change = rows_take(rows, false);
	ck_assert_int_eq(change->gone_segment_count, 1);
	ck_assert_int_eq(change->mark_count, 0);
	rows_restore(rows);
	change = rows_take(rows, false);
	ck_assert_int_eq(change->gone_segment_count, 1);
	rows_settle(rows, false);
	ck_assert_int_eq(commit(rows, false), 0);
	rows_free(rows);
}
END_TEST

START_TEST(forgetting_under_way_survives_a_failure_too)
{
	struct rows *rows = rows_new();
	struct segment *segment = add(rows, "u/c/0");
	const struct db_change *change;
	struct probe probe;

	attach(rows, &probe, segment, "main", 0);
	move(rows, &probe, 10);
	(void)rows_take(rows, false);
	rows_detach(&probe.mark);
	rows_forget(rows, segment);
	rows_restore(rows);
	ck_assert(!rows_moved(rows));
	change = rows_take(rows, false);
	ck_assert_int_eq(change->segment_count, 0);
	ck_assert_int_eq(change->gone_segment_count, 1);
	rows_settle(rows, false);
	rows_free(rows);
}
END_TEST

START_TEST(whoever_is_told_may_detach_and_forget)
{
	for (int is_full = 0; is_full <= 1; is_full++) {
		struct rows *rows = rows_new();
		struct segment *first = add(rows, "u/c/0"), *second = add(rows, "u/c/1");
		struct probe probes[2];

		attach(rows, &probes[0], first, "main", 0);
		attach(rows, &probes[1], second, "main", 0);
		move(rows, &probes[0], 10);
		move(rows, &probes[1], 10);
		probes[0].detaches = &probes[1];
		probes[0].forgets = second;
		commit(rows, is_full);
		ck_assert_int_eq(probes[0].told, 1);
		ck_assert_int_eq(probes[1].told, 0);
		ck_assert_int_ge(commit(rows, true), 1);
		rows_detach(&probes[0].mark);
		rows_free(rows);
	}
}
END_TEST

START_TEST(newest_segment_is_asked_first_and_given_out_once)
{
	struct rows *rows = rows_new();
	struct segment *first, *second;

	read_segment(rows, 3, "u/c/0", NOW_NS);
	read_segment(rows, 8, "u/c/0", NOW_NS);
	ck_assert(read_mark(rows, 3, "main", 33));
	ck_assert(read_mark(rows, 8, "main", 88));
	rows_skip_absence(rows, NOW_NS);
	second = rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS);
	first = rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS);
	ck_assert_ptr_null(rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS));
	ck_assert_ptr_null(rows_find(rows, "u/c/1", any_segment, NULL, NOW_NS));
	for (int i = 0; i < 2; i++) {
		struct stored_mark stored;

		ck_assert(rows_load(i == 0 ? first : second, "main", &stored));
		ck_assert_int_eq(stored.offset, i == 0 ? 33 : 88);
		ck_assert(!rows_load(first, "other", &stored));
	}
	rows_free(rows);
}
END_TEST

/* ---- what is missing: a text of "output:path+bytes "
 * ------------------------------------------------------- */

static char told[256];
static const char *unwanted;

static bool is_wanted(void *arg, const char *output, const char *path)
{
	(void)arg;
	(void)path;
	return unwanted == NULL || strcmp(unwanted, output) != 0;
}

static void on_missing(void *arg, const struct missing *missing)
{
	size_t len = strlen(told);

	(void)arg;
	(void)snprintf(told + len, sizeof told - len, "%s:%s+%u ", missing->output, missing->path,
	    (unsigned)missing->bytes);
}

static const char *missing_in(struct rows *rows)
{
	told[0] = '\0';
	rows_missing(rows, is_wanted, on_missing, NULL);
	return told;
}

/* A file as the database knows it, with a mark at 100. */
static void read_file(struct rows *rows, int64_t id, const char *stream, const char *path, uint64_t size)
{
	struct db_reader reader = rows_reader(rows);
	struct db_segment segment = {.id = id, .key = key_of(stream, path), .seen_at_ns = NOW_NS};
	struct db_mark mark = {.segment = id, .output = "main", .value = {.offset = 100, .size = size}};

	ck_assert(reader.segment(reader.arg, &segment));
	ck_assert(reader.mark(reader.arg, &mark));
}

static struct rows *rows_with_main(void)
{
	static const char *const outputs[] = {"main"};
	struct rows *rows = rows_new();

	unwanted = NULL;
	rows_retire(rows, outputs, 1, NOW_NS);
	(void)commit(rows, true);
	return rows;
}

START_TEST(files_that_went_by_are_told_once_and_forgotten)
{
	struct rows *rows = rows_with_main();
	struct segment *live;

	read_file(rows, 1, "u/c/0", "p/c/0.log.20260131-000001", 100); /* done with */
	read_file(rows, 2, "u/c/0", "p/c/0.log.20260131-000002", 130);
	read_file(rows, 3, "u/c/0", "p/c/0.log", 100); /* written to after we left */
	live = add(rows, "u/c/0");
	ck_assert_str_eq(missing_in(rows), "main:p/c/0.log.20260131-000002+30 main:p/c/0.log+0 ");
	ck_assert_str_eq(missing_in(rows), "");
	ck_assert_int_eq(rows_of_stream(rows, "u/c/0"), STREAM_UNKNOWN);
	ck_assert_int_eq(commit(rows, true), 3); /* rows to delete */
	rows_release(rows, live);
	rows_free(rows);
}
END_TEST

START_TEST(the_last_known_run_has_lost_its_end_when_later_ones_are_here)
{
	struct rows *rows = rows_with_main();

	read_file(rows, 1, "u/c/8", "p/c/8.log", 100); /* was over: the next one had begun */
	read_file(rows, 2, "u/c/9", "p/c/9.log", 100);
	read_file(rows, 3, "u/d/0", "p/d/0.log", 100); /* another container, and */
	read_file(rows, 4, "u/c2/0", "p/c2/0.log", 100);
	(void)add(rows, "u/c/11");
	(void)add(rows, "u/d1/1");
	ck_assert_str_eq(missing_in(rows), "main:p/c/9.log+0 ");
	ck_assert_str_eq(missing_in(rows), "");
	ck_assert_int_eq(rows_of_stream(rows, "u/c/8"), STREAM_UNKNOWN);
	ck_assert_int_eq(rows_of_stream(rows, "u/c/9"), STREAM_UNKNOWN);
	ck_assert_int_eq(rows_of_stream(rows, "u/d/0"), STREAM_MISSED);
	rows_free(rows);
}
END_TEST

START_TEST(files_of_a_stream_that_is_gone_as_a_whole_are_told_once_and_stay_known)
{
	struct rows *rows = rows_with_main();
	struct stored_mark stored;
	struct segment *segment;

	read_file(rows, 1, "u/c/0", "p/c/0.log", 100); /* who knows whether anything came after */
	read_file(rows, 2, "u/d/0", "p/d/0.log", 170);
	ck_assert_str_eq(missing_in(rows), "main:p/d/0.log+70 ");
	ck_assert_int_eq(commit(rows, true), 1);
	ck_assert_str_eq(missing_in(rows), "");
	segment = rows_find(rows, "u/d/0", any_segment, NULL, NOW_NS);
	ck_assert(rows_load(segment, "main", &stored));
	ck_assert_uint_eq(stored.offset, 100);
	rows_free(rows);
}
END_TEST

START_TEST(what_no_configured_output_wants_is_not_missing)
{
	struct rows *rows = rows_with_main();

	read_file(rows, 1, "u/c/0", "p/c/0.log", 170);
	ck_assert(read_mark(rows, 1, "removed", 5));
	(void)add(rows, "u/c/0");
	unwanted = "main";
	ck_assert_str_eq(missing_in(rows), "");
	ck_assert_int_eq(rows_of_stream(rows, "u/c/0"), STREAM_MISSED);
	unwanted = NULL;
	ck_assert_str_eq(missing_in(rows), "main:p/c/0.log+70 ");
	rows_free(rows);
}
END_TEST

START_TEST(stream_is_missed_while_a_stored_segment_has_no_file)
{
	struct rows *rows = rows_new();

	ck_assert_int_eq(rows_of_stream(rows, "u/c/0"), STREAM_UNKNOWN);
	(void)add(rows, "u/c/0"); /* a file, of which the database knows nothing yet */
	ck_assert_int_eq(rows_of_stream(rows, "u/c/0"), STREAM_UNKNOWN);
	rows_free(rows);
	rows = rows_new();
	read_segment(rows, 3, "u/c/0", NOW_NS);
	ck_assert(read_mark(rows, 3, "main", 33));
	ck_assert_int_eq(rows_of_stream(rows, "u/c/0"), STREAM_MISSED);
	(void)add(rows, "u/c/0");
	ck_assert_int_eq(rows_of_stream(rows, "u/c/0"), STREAM_MISSED);
	ck_assert_ptr_nonnull(rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS));
	ck_assert_int_eq(rows_of_stream(rows, "u/c/0"), STREAM_FOLLOWED);
	ck_assert_int_eq(rows_of_stream(rows, "u/c/1"), STREAM_UNKNOWN);
	rows_free(rows);
}
END_TEST

START_TEST(released_segment_is_found_again_if_there_is_anything_to_remember)
{
	struct rows *rows = rows_new();
	struct segment *segment = add(rows, "u/c/0");
	struct probe probe;

	attach(rows, &probe, segment, "main", 0);
	rows_detach(&probe.mark);
	rows_release(rows, segment);
	ck_assert_ptr_null(rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS));
	segment = add(rows, "u/c/0");
	attach(rows, &probe, segment, "main", 0);
	move(rows, &probe, 10);
	rows_detach(&probe.mark);
	rows_release(rows, segment);
	ck_assert_ptr_eq(rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS), segment);
	ck_assert_int_eq(commit(rows, true), 3);
	rows_free(rows);
}
END_TEST

START_TEST(new_segment_gets_a_number_that_no_row_has)
{
	struct rows *rows = rows_new();
	const struct db_change *change;
	struct probe probe;

	read_segment(rows, 41, "u/c/0", NOW_NS);
	attach(rows, &probe, add(rows, "u/c/0"), "main", 0);
	move(rows, &probe, 1);
	change = rows_take(rows, false);
	ck_assert_int_eq(change->segments[0].id, 42);
	rows_settle(rows, false);
	rows_detach(&probe.mark);
	rows_free(rows);
}
END_TEST

START_TEST(rows_that_cannot_be_are_refused)
{
	struct rows *rows = rows_new();
	struct db_reader reader = rows_reader(rows);
	struct db_segment last = {.id = INT64_MAX, .key = key_of("u/c/9", "/p")};

	read_segment(rows, 1, "u/c/0", NOW_NS);
	ck_assert(!reader.segment(reader.arg, &last));
	ck_assert(!read_mark(rows, 2, "main", 10));
	ck_assert(read_mark(rows, 1, "main", 10));
	ck_assert(!read_mark(rows, 1, "main", 10));
	rows_free(rows);
}
END_TEST

START_TEST(changed_key_of_a_stored_segment_is_written_and_an_equal_one_is_not)
{
	struct rows *rows = rows_new();
	struct segment *segment = add(rows, "u/c/0");
	struct segment_key key = key_of("u/c/0", "/var/log/pods/x/0.log.20260131");
	const struct db_change *change;
	struct probe probe;

	attach(rows, &probe, segment, "main", 0);
	move(rows, &probe, 10);
	commit(rows, true);
	rows_update(rows, segment, &key);
	ck_assert(rows_lazy(rows));
	ck_assert(!rows_moved(rows));
	change = rows_take(rows, false);
	ck_assert_int_eq(change->segment_count, 1);
	ck_assert_str_eq(change->segments[0].key.path, key.path);
	rows_settle(rows, false);
	rows_update(rows, segment, &key);
	ck_assert(!rows_lazy(rows));
	rows_detach(&probe.mark);
	rows_free(rows);
}
END_TEST

START_TEST(mark_attached_at_another_offset_is_written)
{
	struct rows *rows = rows_new();
	struct segment *segment;
	const struct db_change *change;
	struct probe probe;

	read_segment(rows, 1, "u/c/0", NOW_NS);
	ck_assert(read_mark(rows, 1, "main", 500));
	segment = rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS);
	attach(rows, &probe, segment, "main", 500);
	ck_assert(!rows_moved(rows));
	rows_detach(&probe.mark);
	attach(rows, &probe, segment, "main", 0); /* the file is another one */
	ck_assert(rows_moved(rows));
	change = rows_take(rows, false);
	ck_assert_int_eq(change->marks[0].value.offset, 0);
	rows_settle(rows, false);
	rows_detach(&probe.mark);
	rows_free(rows);
}
END_TEST

START_TEST(mark_that_starts_anew_is_not_told_what_its_predecessor_wrote)
{
	struct rows *rows = rows_new();
	struct segment *segment = add(rows, "u/c/0");
	struct probe before, after;

	attach(rows, &before, segment, "main", 0);
	move(rows, &before, 500);
	(void)rows_take(rows, true);
	rows_detach(&before.mark);
	attach(rows, &after, segment, "main", 0);
	rows_settle(rows, true);
	ck_assert_int_eq(after.told, 0);
	ck_assert_int_eq(after.mark.durable_offset, 0);
	ck_assert(rows_moved(rows));
	rows_detach(&after.mark);
	rows_free(rows);
}
END_TEST

START_TEST(output_is_new_at_its_first_start_only)
{
	static const char *const one[] = {"a"}, *const two[] = {"a", "b"};
	struct rows *rows = rows_new();

	ck_assert(!rows_knows(rows, "a"));
	rows_retire(rows, one, 1, NOW_NS);
	ck_assert(!rows_knows(rows, "a"));
	rows_retire(rows, two, 2, NOW_NS);
	ck_assert(rows_knows(rows, "a"));
	ck_assert(!rows_knows(rows, "b"));
	rows_retire(rows, two, 2, NOW_NS);
	ck_assert(rows_knows(rows, "b"));
	rows_free(rows);
}
END_TEST

START_TEST(output_that_was_read_or_has_a_mark_is_known)
{
	static const char *const names[] = {"a", "b", "c"};
	struct rows *rows = rows_new();
	struct probe probe;

	read_segment(rows, 1, "u/c/0", NOW_NS);
	ck_assert(read_mark(rows, 1, "a", 10));
	read_output(rows, "b", NOW_NS);
	rows_skip_absence(rows, NOW_NS);
	rows_retire(rows, names, 3, NOW_NS);
	ck_assert(rows_knows(rows, "a"));
	ck_assert(rows_knows(rows, "b"));
	ck_assert(!rows_knows(rows, "c"));
	attach(rows, &probe, add(rows, "u/c/1"), "c", 0);
	ck_assert(rows_knows(rows, "c"));
	rows_detach(&probe.mark);
	rows_free(rows);
}
END_TEST

START_TEST(after_damage_every_output_is_known)
{
	static const char *const names[] = {"a"};
	struct rows *rows = rows_new();

	read_output(rows, CHECKPOINT_ANY_OUTPUT, NOW_NS);
	rows_skip_absence(rows, NOW_NS);
	rows_retire(rows, names, 1, NOW_NS);
	ck_assert(rows_knows(rows, "a"));
	ck_assert(rows_knows(rows, "z"));
	rows_retire(rows, names, 1, NOW_NS + 8 * DAY_NS);
	ck_assert(!rows_knows(rows, "z"));
	rows_free(rows);
}
END_TEST

START_TEST(rows_of_removed_outputs_and_lost_files_stay_seven_days)
{
	static const char *const both[] = {"a", "b"}, *const one[] = {"a"};
	struct rows *rows = rows_new();
	const struct db_change *change;

	read_segment(rows, 1, "u/c/0", NOW_NS);
	ck_assert(read_mark(rows, 1, "a", 10));
	ck_assert(read_mark(rows, 1, "b", 10));
	rows_skip_absence(rows, NOW_NS);
	rows_retire(rows, both, 2, NOW_NS);
	rows_retire(rows, one, 1, NOW_NS + 2 * DAY_NS);
	rows_retire(rows, one, 1, NOW_NS + 6 * DAY_NS);
	change = rows_take(rows, false);
	ck_assert_int_eq(change->gone_output_count + change->gone_segment_count, 0);
	rows_settle(rows, false);
	rows_retire(rows, one, 1, NOW_NS + 8 * DAY_NS);
	change = rows_take(rows, false);
	ck_assert_int_eq(change->gone_output_count, 0); /* it was there until the second day */
	ck_assert_int_eq(change->gone_segment_count, 1);
	rows_settle(rows, false);
	rows_retire(rows, one, 1, NOW_NS + 10 * DAY_NS);
	change = rows_take(rows, false);
	ck_assert_int_eq(change->gone_output_count, 1);
	ck_assert_str_eq(change->gone_outputs[0], "b");
	rows_settle(rows, false);
	ck_assert(!rows_knows(rows, "b"));
	rows_free(rows);
}
END_TEST

START_TEST(removed_output_takes_its_marks_and_leaves_the_others)
{
	static const char *const one[] = {"a"};
	struct rows *rows = rows_new();
	struct stored_mark stored;
	struct segment *segment;

	read_segment(rows, 1, "u/c/0", NOW_NS);
	ck_assert(read_mark(rows, 1, "a", 10));
	ck_assert(read_mark(rows, 1, "b", 20));
	read_output(rows, "b", NOW_NS - 9 * DAY_NS);
	rows_skip_absence(rows, NOW_NS);
	segment = rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS);
	rows_retire(rows, one, 1, NOW_NS);
	ck_assert(rows_load(segment, "a", &stored));
	ck_assert(!rows_load(segment, "b", &stored));
	(void)rows_take(rows, false);
	rows_restore(rows);
	(void)rows_take(rows, false);
	rows_settle(rows, false);
	rows_free(rows);
}
END_TEST

START_TEST(days_without_a_collector_make_nothing_old)
{
	static const char *const one[] = {"a"};
	struct rows *rows = rows_new();

	read_segment(rows, 1, "u/c/0", NOW_NS);
	read_segment(rows, 2, "u/c/1", NOW_NS - 8 * DAY_NS);
	ck_assert(read_mark(rows, 1, "a", 10));
	read_output(rows, "a", NOW_NS);
	rows_skip_absence(rows, NOW_NS + 100 * DAY_NS);
	rows_retire(rows, one, 1, NOW_NS + 100 * DAY_NS);
	ck_assert_ptr_nonnull(rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS));
	ck_assert_ptr_null(rows_find(rows, "u/c/1", any_segment, NULL, NOW_NS));
	rows_free(rows);
}
END_TEST

START_TEST(files_that_are_here_do_not_grow_old)
{
	static const char *const one[] = {"a"};
	struct rows *rows = rows_new();
	const struct db_change *change;

	read_segment(rows, 1, "u/c/0", NOW_NS);
	rows_skip_absence(rows, NOW_NS);
	(void)rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS);
	rows_retire(rows, one, 1, NOW_NS + 30 * DAY_NS);
	change = rows_take(rows, false);
	ck_assert_int_eq(change->gone_segment_count, 0);
	rows_settle(rows, false);
	rows_refresh(rows, NOW_NS + 30 * DAY_NS);
	change = rows_take(rows, false);
	ck_assert_int_eq(change->segment_count, 1);
	ck_assert(change->segments[0].seen_at_ns == NOW_NS + 30 * DAY_NS);
	ck_assert_int_eq(change->output_count, 1);
	rows_settle(rows, false);
	rows_free(rows);
}
END_TEST

START_TEST(spoilt_database_gets_all_that_it_had_and_no_more)
{
	struct rows *rows = rows_new();
	struct segment *stored, *quiet;
	const struct db_change *change;
	struct probe probes[2];

	read_segment(rows, 1, "u/c/0", NOW_NS);
	ck_assert(read_mark(rows, 1, "main", 10));
	ck_assert(read_mark(rows, 1, "old", 7));
	rows_skip_absence(rows, NOW_NS);
	stored = rows_find(rows, "u/c/0", any_segment, NULL, NOW_NS);
	quiet = add(rows, "u/c/1");
	attach(rows, &probes[0], stored, "main", 10);
	attach(rows, &probes[1], quiet, "main", 0);
	commit(rows, true);
	rows_spoil(rows);
	change = rows_take(rows, true);
	ck_assert_int_eq(change->segment_count, 1);
	ck_assert_int_eq(change->mark_count, 2);
	ck_assert_int_eq(change->output_count, 2);
	rows_settle(rows, true);
	rows_detach(&probes[0].mark);
	rows_detach(&probes[1].mark);
	rows_free(rows);
}
END_TEST

UNIT_MAIN("rows", moved_mark_is_taken_once_with_its_segment, untouched_segment_is_never_written,
    failed_change_is_taken_again_with_the_newest_value,
    mark_that_moves_under_way_is_told_what_was_written_and_stays_dirty,
    only_a_full_change_syncs_and_it_is_never_empty_then, mark_may_go_while_it_is_under_way,
    detached_mark_leaves_its_value_with_its_fingerprint, mark_that_cannot_be_described_has_no_fingerprint,
    segment_may_be_forgotten_while_it_is_under_way, forgetting_under_way_survives_a_failure_too,
    whoever_is_told_may_detach_and_forget, newest_segment_is_asked_first_and_given_out_once,
    released_segment_is_found_again_if_there_is_anything_to_remember,
    files_that_went_by_are_told_once_and_forgotten,
    files_of_a_stream_that_is_gone_as_a_whole_are_told_once_and_stay_known,
    the_last_known_run_has_lost_its_end_when_later_ones_are_here,
    what_no_configured_output_wants_is_not_missing, stream_is_missed_while_a_stored_segment_has_no_file,
    new_segment_gets_a_number_that_no_row_has, rows_that_cannot_be_are_refused,
    changed_key_of_a_stored_segment_is_written_and_an_equal_one_is_not,
    mark_attached_at_another_offset_is_written, mark_that_starts_anew_is_not_told_what_its_predecessor_wrote,
    output_is_new_at_its_first_start_only, output_that_was_read_or_has_a_mark_is_known,
    after_damage_every_output_is_known, rows_of_removed_outputs_and_lost_files_stay_seven_days,
    removed_output_takes_its_marks_and_leaves_the_others, days_without_a_collector_make_nothing_old,
    files_that_are_here_do_not_grow_old, spoilt_database_gets_all_that_it_had_and_no_more)

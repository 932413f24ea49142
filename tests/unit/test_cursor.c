/* The cursor over real files, with an output that takes everything when it is told to. */
#include "config.h"

#include "collector/cursor.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "collector/gzip_file.h"
#include "common/clock.h"
#include "common/must.h"

/* ---- an output that keeps its parcels ----------------------------------------------------------------------------- */

static struct parcel *parcels[64];
static size_t parcel_count;

static void keep(struct output *output, struct parcel *parcel)
{
	(void)output;
	parcels[parcel_count++] = parcel;
}

static struct output_ops ops = {.name = "keep", .send = keep};

/* ---- the bench ---------------------------------------------------------------------------------------------------- */

#define MAX_RECORD 4096

static uv_loop_t loop;
static struct metric_table *metrics;
static struct shipper shipper;
static struct gatherer gatherer;
static struct cursor_env env;
static struct account total;
static struct format_options format_options;
static struct read_buffer buffer;
static struct container container;
static uint64_t now_ms;
static char received[1 << 20]; /* "log" texts of what was sent, each ended by | */

static void ignore_env(struct cursor_env *cursor_env)
{
	(void)cursor_env;
}

static void ignore(void *arg)
{
	(void)arg;
}

static void setup(void)
{
	static const struct metric_family counter = {"c_total", "c", METRIC_COUNTER, "", NULL, 0};
	static const struct metric_family damaged = {"d_total", "d", METRIC_COUNTER, "", NULL, 0};
	static const double bounds[] = {1};
	static const struct metric_family histogram = {"h", "h", METRIC_HISTOGRAM, "", bounds, 1};
	struct metric *any;

	now_ms = 100000;
	clock_hold(now_ms, 1700000000000000000);
	parcel_count = 0;
	received[0] = '\0';
	memset(&total, 0, sizeof total);
	memset(&format_options, 0, sizeof format_options);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	metrics = metric_table_new();
	any = metric_get(metrics, &counter);
	shipper = (struct shipper){.name = "keep", .loop = &loop, .ops = &ops, .format = &format_ndjson, .codec = PACK_NONE, .backoff = {1000, 60000},
		.metrics = {any, any, any, metric_get(metrics, &histogram), {any, any, any, any}}, .on_room = ignore};
	shipper_init(&shipper);
	gatherer = (struct gatherer){.shipper = &shipper, .loop = &loop, .format = &format_ndjson, .format_options = &format_options,
		.batch_bytes = 1 << 20, .batch_records = 10000, .batch_age_ms = 1000, .memory_limit = 64 << 20, .lanes = 1};
	gatherer_init(&gatherer);
	read_buffer_fit(&buffer, MAX_RECORD);
	env = (struct cursor_env){.gatherer = &gatherer, .output = "keep", .format = &format_ndjson, .format_options = &format_options,
		.max_record = MAX_RECORD, .partial_timeout_ms = 10000, .settle_ms = 2000, .total = &total, .buffer = &buffer,
		.records = any, .lost_truncated = any, .lost_hold = any, .damaged_files = metric_get(metrics, &damaged), .wake = ignore_env};
	container = (struct container){.origin = {"ns", "pod", "0000-uid", "app", "node"}};
}

static void teardown(struct cursor **cursors, size_t cursor_count)
{
	shipper_close(&shipper, ignore);
	gatherer_close(&gatherer, NULL, NULL);
	for (size_t i = 0; i < parcel_count; i++) {
		struct answer answer = {.kind = ANSWER_RETRY, .reason = "end", .retry_after_ms = -1};

		parcels[i]->answer(parcels[i], PARCEL_ALL, &answer);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	for (size_t i = 0; i < cursor_count; i++)
		cursor_free(cursors[i]);
	ck_assert_uint_eq(total.terms[ACCOUNT_OPEN] + total.terms[ACCOUNT_IN_FLIGHT] + total.terms[ACCOUNT_PARTIAL], 0);
	ck_assert_int_eq(account_imbalance(&total), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	metric_table_free(metrics);
	read_buffer_release(&buffer);
	buffer = (struct read_buffer){0};
	clock_release();
}

/* A tail over a file of its own that has no name. */
static void make_tail(struct tail *tail, unsigned restart)
{
	static char live[] = "ns_pod_uid/app/0.log";
	char path[] = "/tmp/test_cursor.XXXXXX";

	*tail = (struct tail){.container = &container, .path = live, .fd = mkstemp(path), .has_first_line = true,
		.name = {.kind = LOGFILE_LIVE, .restart = restart}, .source = {.origin = &container.origin, .restart = restart}};
	ck_assert_int_ne(tail->fd, -1);
	unlink(path);
	DL_APPEND(container.tails, tail);
}

static void make_other_tail(struct tail *tail, struct container *other)
{
	make_tail(tail, 0);
	DL_DELETE(container.tails, tail);
	tail->container = other;
	tail->source.origin = &other->origin;
	DL_APPEND(other->tails, tail);
}

static void append_bytes(struct tail *tail, const char *bytes, size_t len)
{
	ck_assert_int_eq(pwrite(tail->fd, bytes, len, (off_t)tail->size), (ssize_t)len);
	tail->size += len;
}

static void append(struct tail *tail, const char *text)
{
	append_bytes(tail, text, strlen(text));
}

static void line(struct tail *tail, const char *stream, const char *tag, const char *text)
{
	char bytes[8192];
	int len = snprintf(bytes, sizeof bytes, "2026-01-31T12:00:00.000000001Z %s %s %s\n", stream, tag, text);

	append_bytes(tail, bytes, (size_t)len);
}

static void turns(void)
{
	for (int i = 0; i < 2000 && env.ready != NULL; i++) { /* a debug build reads in crumbs */
		struct cursor *cursor = env.ready;

		DL_DELETE2(env.ready, cursor, ready_prev, ready_next);
		DL_APPEND2(env.ready, cursor, ready_prev, ready_next);
		cursor_turn(cursor, now_ms);
	}
}

static void wake(struct tail *tail)
{
	struct tail_reader *reader;

	DL_FOREACH (tail->readers, reader)
		reader->wake(reader);
	turns();
}

static void collect(const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->record_count; i++) {
		const char *record = parcel->raw + parcel->records[i].offset;
		const char *log = memmem(record, parcel->records[i].len, "\"log\":\"", 7);
		const char *kubernetes = memmem(record, parcel->records[i].len, "\"kubernetes\"", 12);
		size_t received_len = strlen(received);

		ck_assert_ptr_nonnull(log);
		ck_assert_ptr_nonnull(kubernetes);
		/* with the flags behind the text, if any */
		snprintf(received + received_len, sizeof received - received_len, "%.*s|", (int)(kubernetes - log - 7 - 2), log + 7);
	}
}

static void ship_and_answer(enum answer_kind kind)
{
	struct answer answer = {.kind = kind, .reason = "x", .retry_after_ms = -1};

	gatherer_seal_all(&gatherer);
	while (parcel_count != 0) {
		struct parcel *parcel = parcels[--parcel_count];

		if (kind == ANSWER_SENT)
			collect(parcel);
		parcel->answer(parcel, PARCEL_ALL, &answer);
	}
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

START_TEST(lines_become_records_and_the_mark_follows_the_acknowledgement)
{
	struct tail tail;
	struct cursor *cursor;

	setup();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "one");
	line(&tail, "stderr", "F", "two");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ck_assert_uint_eq(cursor->read_offset, tail.size);
	ck_assert_uint_eq(cursor->mark.offset, 0);
	ck_assert_uint_eq(total.terms[ACCOUNT_OPEN], tail.size);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "one|two|");
	ck_assert_uint_eq(cursor->mark.offset, tail.size);
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], tail.size);
	ck_assert(!cursor_is_done(cursor)); /* the file has a name still */
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(an_unfinished_line_waits_for_its_end)
{
	struct tail tail;
	struct cursor *cursor;

	setup();
	make_tail(&tail, 0);
	append(&tail, "2026-01-31T12:00:00.1Z stdout F hal");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ck_assert_uint_eq(cursor->read_offset, 0);
	ck_assert_uint_eq(total.read, 0);
	append(&tail, "lo\n");
	wake(&tail);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "hallo|");
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(an_unfinished_last_line_is_delivered_when_the_file_has_a_successor)
{
	struct tail old, new;
	struct cursor *cursors[2];

	setup();
	make_tail(&old, 0);
	append(&old, "2026-01-31T12:00:00.1Z stdout F torn");
	cursors[0] = cursor_new(&env, &old, NULL, 0);
	turns();
	make_tail(&new, 1);
	line(&new, "stdout", "F", "next");
	cursors[1] = cursor_new(&env, &new, NULL, 0);
	wake(&old);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, ""); /* its writer may be in the middle of it, and order holds */
	now_ms += 2000;
	cursor_attend(cursors[0], now_ms);
	turns();
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "torn|next|");
	teardown(cursors, 2);
	close(old.fd);
	close(new.fd);
}
END_TEST

START_TEST(the_mark_does_not_pass_an_open_chain)
{
	struct tail tail;
	struct cursor *cursor;
	uint64_t chain, whole;

	setup();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "before");
	chain = tail.size;
	line(&tail, "stdout", "P", "begin-");
	line(&tail, "stderr", "F", "between");
	whole = tail.size;
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ship_and_answer(ANSWER_SENT);
	ck_assert_uint_eq(cursor->mark.offset, chain);
	ck_assert_uint_gt(total.terms[ACCOUNT_PARTIAL], 0);
	line(&tail, "stdout", "F", "end");
	wake(&tail);
	ck_assert_uint_eq(total.terms[ACCOUNT_PARTIAL], 0);
	ck_assert_uint_eq(cursor->mark.offset, chain);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "before|between|begin-end|");
	ck_assert_uint_gt(cursor->mark.offset, whole);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(a_chain_without_growth_is_delivered_as_partial)
{
	struct tail tail;
	struct cursor *cursor;

	setup();
	make_tail(&tail, 0);
	line(&tail, "stdout", "P", "alone");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	now_ms += 9000;
	cursor_attend(cursor, now_ms);
	ck_assert_uint_gt(total.terms[ACCOUNT_PARTIAL], 0);
	now_ms += 2000;
	cursor_attend(cursor, now_ms);
	ck_assert_uint_eq(total.terms[ACCOUNT_PARTIAL], 0);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "alone\",\"partial\":tru|");
	ck_assert_uint_eq(cursor->mark.offset, tail.size);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(a_record_that_spans_a_rotation_is_whole_and_marks_both_files)
{
	struct tail old, new;
	struct cursor *cursors[2];
	uint64_t chain;

	setup();
	make_tail(&old, 0);
	line(&old, "stdout", "F", "first");
	chain = old.size;
	line(&old, "stdout", "P", "be");
	cursors[0] = cursor_new(&env, &old, NULL, 0);
	turns();
	make_tail(&new, 0);
	line(&new, "stdout", "F", "gin");
	line(&new, "stdout", "F", "last");
	cursors[1] = cursor_new(&env, &new, NULL, 0);
	wake(&old);
	ship_and_answer(ANSWER_RETRY);
	ck_assert_uint_eq(cursors[0]->mark.offset, 0);
	shipper_hurry(&shipper);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "first|begin|last|");
	ck_assert_uint_gt(chain, 0);
	ck_assert_uint_eq(cursors[0]->mark.offset, old.size);
	ck_assert_uint_eq(cursors[1]->mark.offset, new.size);
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], old.size + new.size);
	ck_assert_uint_eq(cursors[0]->lent_count, 0);
	teardown(cursors, 2);
	close(old.fd);
	close(new.fd);
}
END_TEST

START_TEST(a_successor_waits_until_its_predecessor_was_read)
{
	struct tail old, new;
	struct cursor *cursors[2];

	setup();
	make_tail(&old, 0);
	line(&old, "stdout", "F", "old");
	make_tail(&new, 1);
	line(&new, "stdout", "F", "new");
	cursors[1] = cursor_new(&env, &new, NULL, 0); /* found first */
	cursors[0] = cursor_new(&env, &old, NULL, 0);
	turns();
	line(&old, "stdout", "F", "late");
	wake(&old);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "old|new|late|");
	ck_assert_uint_gt(env.late_bytes, 0);
	teardown(cursors, 2);
	close(old.fd);
	close(new.fd);
}
END_TEST

START_TEST(nothing_that_is_no_log_line_is_lost)
{
	struct tail tail;
	struct cursor *cursor;

	setup();
	make_tail(&tail, 0);
	append(&tail, "garbage\n\n");
	append_bytes(&tail, "\0\0\0\0", 4);
	line(&tail, "stdout", "F", "ok");
	append(&tail, "{\"log\":\"docker\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-31T12:00:00.1Z\"}\n");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "garbage\",\"unparsed\":tru|\",\"unparsed\":tru|ok|docker|");
	ck_assert_uint_eq(total.dropped[DROP_NUL], 4);
	ck_assert_uint_eq(total.read, tail.size);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(an_overlong_line_is_cut_and_its_rest_is_counted)
{
	struct tail tail;
	struct cursor *cursor;
	char *huge;

	setup();
	huge = malloc(3 * buffer.size);
	make_tail(&tail, 0);
	memset(huge, 'x', 3 * buffer.size);
	append(&tail, "2026-01-31T12:00:00.1Z stdout F ");
	append_bytes(&tail, huge, 3 * buffer.size);
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ship_and_answer(ANSWER_SENT);
	ck_assert_uint_eq(cursor->mark.offset, 0); /* not in the middle of a line */
	append(&tail, "tail\n");
	line(&tail, "stdout", "F", "after");
	wake(&tail);
	ship_and_answer(ANSWER_SENT);
	ck_assert_uint_eq(cursor->mark.offset, tail.size);
	ck_assert_ptr_nonnull(strstr(received, "xxx\",\"truncated\":tru|after|"));
	ck_assert_uint_eq(strspn(received, "x"), MAX_RECORD);
	ck_assert_uint_gt(total.dropped[DROP_TRUNCATED], 2 * buffer.size);
	ck_assert_int_eq(account_imbalance(&total), 0);
	free(huge);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(a_cursor_is_done_when_its_file_is_gone_and_all_is_acknowledged)
{
	struct tail tail;
	struct cursor *cursor;

	setup();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "one");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	tail.unlinked = true;
	wake(&tail);
	ck_assert(!cursor->is_gone);
	ship_and_answer(ANSWER_SENT);
	ck_assert(cursor->is_gone);
	ck_assert_uint_eq(env.gone_count, 1);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(bytes_that_come_after_the_name_is_gone_are_read_before_the_end)
{
	struct tail tail;
	struct cursor *cursor;

	setup();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "one");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	tail.unlinked = true;
	wake(&tail);
	line(&tail, "stdout", "F", "two");
	tail.size = cursor->read_offset; /* nobody has looked yet */
	ship_and_answer(ANSWER_SENT);
	ck_assert(!cursor->is_gone);
	turns();
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "one|two|");
	ck_assert(cursor->is_gone);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(what_a_truncation_took_is_counted_as_lost)
{
	struct tail tail;
	struct cursor *cursor;

	setup();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "one");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	line(&tail, "stdout", "F", "two");
	tail.truncated = true;
	wake(&tail);
	ck_assert_uint_eq(cursor->read_offset, tail.size);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "one|");
	ck_assert(cursor->is_gone);
	ck_assert_uint_lt(total.read, tail.size);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(once_reads_to_the_size_at_the_start)
{
	struct tail tail;
	struct cursor *cursor;

	setup();
	env.reads_to_stop = true;
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "one");
	cursor = cursor_new(&env, &tail, NULL, 0);
	line(&tail, "stdout", "F", "two");
	turns();
	ck_assert(cursor_has_read_all(cursor));
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "one|");
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(a_full_lane_parks_its_readers_until_there_is_room)
{
	struct tail tail;
	struct cursor *cursor;
	uint64_t before;

	setup();
	gatherer.batch_records = 1;
	make_tail(&tail, 0);
	for (int i = 0; i < LANE_DEPTH + 1; i++)
		line(&tail, "stdout", "F", "x");
	before = tail.size;
	line(&tail, "stdout", "F", "y");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ck_assert_uint_eq(cursor->read_offset, before); /* in the middle of a read */
	line(&tail, "stdout", "F", "last");
	wake(&tail);
	wake(&tail);
	ck_assert_ptr_eq(env.parked, cursor);
	ck_assert_uint_eq(cursor->read_offset, before);
	for (int i = 0; i < LANE_DEPTH + 3; i++) {
		ship_and_answer(ANSWER_SENT);
		cursor_unpark(&env);
		turns();
	}
	ck_assert_ptr_null(env.parked);
	ck_assert_str_eq(received, "x|x|x|x|y|last|");
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

/* The last parcel that was sent is delivered, and whoever is parked may look again. */
static void deliver_last(void)
{
	struct answer answer = {.kind = ANSWER_SENT, .retry_after_ms = -1};
	struct parcel *parcel = parcels[--parcel_count];

	collect(parcel);
	parcel->answer(parcel, PARCEL_ALL, &answer);
	cursor_unpark(&env);
	turns();
}

START_TEST(what_others_deliver_makes_no_room_in_a_full_lane)
{
	struct container other;
	struct tail held, quiet;
	struct cursor *cursors[2];
	uint64_t before;

	setup();
	gatherer.batch_records = 1;
	gatherer.templates[0] = template_new("{container}", TEMPLATE_PLAIN);
	gatherer.template_count = 1;
	make_tail(&held, 0);
	for (int i = 0; i < LANE_DEPTH; i++)
		line(&held, "stdout", "F", "held");
	cursors[0] = cursor_new(&env, &held, NULL, 0);
	turns();
	other = (struct container){.origin = {"ns", "pod", "0001-uid", "quiet", "node"}};
	make_other_tail(&quiet, &other);
	cursors[1] = cursor_new(&env, &quiet, NULL, 0);
	before = held.size;
	for (int i = 0; i < 3; i++) {
		line(&held, "stdout", "F", "held");
		wake(&held);
		line(&quiet, "stdout", "F", "quiet");
		wake(&quiet);
		deliver_last(); /* the lane of the quiet one is idle now */
		ck_assert_uint_eq(cursors[0]->read_offset, before);
		ck_assert_ptr_eq(env.parked, cursors[0]);
	}
	ck_assert_str_eq(received, "quiet|quiet|quiet|");
	teardown(cursors, 2);
	close(held.fd);
	close(quiet.fd);
}
END_TEST

#define HELD_COUNT 24

static void turns_to_the_end(void)
{
	for (int i = 0; i < 1000 && env.ready != NULL; i++)
		turns();
}

/* All that was sent is held, but what goes to the container `good`, which is delivered. */
static void hold_all_but_good(void)
{
	struct answer sent = {.kind = ANSWER_SENT, .retry_after_ms = -1}, hold = {.kind = ANSWER_HOLD, .reason = "x", .retry_after_ms = -1};
	struct parcel *given[64];
	size_t given_count = parcel_count;

	memcpy(given, parcels, sizeof given);
	parcel_count = 0;
	for (size_t i = 0; i < given_count; i++)
		given[i]->answer(given[i], PARCEL_ALL, strcmp(given[i]->destination[0], "good") == 0 ? &sent : &hold);
	cursor_unpark(&env);
	turns_to_the_end();
}

/* As pods do it whose labels name topics that do not exist. */
START_TEST(many_destinations_that_hold_leave_half_of_the_memory_to_the_others)
{
	static const struct metric_family limits = {"limits_total", "l", METRIC_COUNTER, "", NULL, 0};
	struct container others[HELD_COUNT], good;
	struct tail tails[HELD_COUNT + 1];
	struct cursor *cursors[HELD_COUNT + 1];
	char names[HELD_COUNT][8], text[1024];

	setup();
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	gatherer.batch_bytes = 64 << 10;
	gatherer.memory_limit = 4 << 20;
	gatherer.templates[0] = template_new("{container}", TEMPLATE_PLAIN);
	gatherer.template_count = 1;
	gatherer.unproven_limits = metric_get(metrics, &limits);
	for (size_t i = 0; i < HELD_COUNT; i++) {
		snprintf(names[i], sizeof names[i], "%zu", i);
		others[i] = (struct container){.origin = {"ns", "pod", "0001-uid", names[i], "node"}};
		make_other_tail(&tails[i], &others[i]);
		for (int j = 0; j < 1000; j++)
			line(&tails[i], "stdout", "F", text);
		cursors[i] = cursor_new(&env, &tails[i], NULL, 0);
	}
	turns_to_the_end();
	ck_assert_uint_ge(shipper.unproven_memory, gatherer.memory_limit / 2);
	hold_all_but_good();
	ck_assert_uint_ge(shipper.unproven_memory, gatherer.memory_limit / 2);
	ck_assert_double_eq(metric_value(gatherer.unproven_limits), 1);
	good = (struct container){.origin = {"ns", "pod", "0001-uid", "good", "node"}};
	make_other_tail(&tails[HELD_COUNT], &good);
	for (int j = 0; j < 1000; j++)
		line(&tails[HELD_COUNT], "stdout", "F", text);
	cursors[HELD_COUNT] = cursor_new(&env, &tails[HELD_COUNT], NULL, 0);
	for (int i = 0; i < 1000 && cursors[HELD_COUNT]->mark.offset != tails[HELD_COUNT].size; i++) {
		turns_to_the_end();
		gatherer_seal_all(&gatherer);
		hold_all_but_good();
		ck_assert(gatherer_has_room(&gatherer));
	}
	ck_assert_uint_eq(cursors[HELD_COUNT]->mark.offset, tails[HELD_COUNT].size);
	for (size_t i = 0; i < HELD_COUNT; i++)
		ck_assert_uint_gt(cursors[i]->read_offset, 0); /* each has been tried */
	teardown(cursors, HELD_COUNT + 1);
	for (size_t i = 0; i <= HELD_COUNT; i++)
		close(tails[i].fd);
}
END_TEST

/* What was written to it is compressed now, as kubelet does it. */
static void pack(struct tail *tail, struct gzip_pool *pool)
{
	char *bytes = xmalloc(tail->size);
	gzFile file;

	ck_assert_int_eq(pread(tail->fd, bytes, tail->size, 0), (ssize_t)tail->size);
	ck_assert_int_eq(ftruncate(tail->fd, 0), 0);
	file = gzdopen(dup(tail->fd), "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(gzwrite(file, bytes, (unsigned)tail->size), (int)tail->size);
	ck_assert_int_eq(gzclose(file), Z_OK);
	free(bytes);
	tail->gzip = pool;
}

static void ten_lines(struct tail *tail)
{
	for (int i = 0; i < 10; i++) {
		char text[32];

		snprintf(text, sizeof text, "%d", i);
		line(tail, "stdout", "F", text);
	}
}

START_TEST(a_compressed_file_is_read_on_at_its_uncompressed_offset)
{
	struct gzip_pool *pool = gzip_pool_new(1);
	struct tail tail;
	struct cursor *cursor;
	uint64_t mark;

	setup();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "acknowledged");
	mark = tail.size;
	ten_lines(&tail);
	pack(&tail, pool);
	cursor = cursor_new(&env, &tail, NULL, mark);
	turns();
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "0|1|2|3|4|5|6|7|8|9|");
	ck_assert_uint_eq(cursor->mark.offset, tail.size);
	ck_assert_uint_eq(total.read, tail.size - mark);
	tail.unlinked = true;
	wake(&tail);
	ck_assert(cursor_is_done(cursor));
	ck_assert_double_eq(metric_value(env.damaged_files), 0);
	teardown(&cursor, 1);
	close(tail.fd);
	gzip_pool_free(pool);
}
END_TEST

START_TEST(a_damaged_file_is_read_to_the_damage_counted_once_and_does_not_stop_the_next)
{
	struct gzip_pool *pool = gzip_pool_new(1);
	struct tail tail, next;
	struct cursor *cursors[3];

	setup();
	make_tail(&tail, 0);
	ten_lines(&tail);
	pack(&tail, pool);
	ck_assert_int_eq(ftruncate(tail.fd, lseek(tail.fd, 0, SEEK_END) - 20), 0);
	make_tail(&next, 0);
	line(&next, "stdout", "F", "next");
	cursors[0] = cursor_new(&env, &tail, NULL, 0);
	cursors[1] = cursor_new(&env, &next, NULL, 0);
	turns();
	ship_and_answer(ANSWER_SENT);
	ck_assert_ptr_eq(strstr(received, "0|1|2|"), received);
	ck_assert_ptr_null(strstr(received, "9|"));
	ck_assert_ptr_nonnull(strstr(received, "|next|"));
	ck_assert(cursor_is_done(cursors[0]));
	ck_assert_uint_eq(cursor_lag(cursors[0]), 0);
	cursors[2] = cursor_new(&env, &tail, NULL, 0); /* another output would meet the same */
	turns();
	ck_assert_double_eq(metric_value(env.damaged_files), 1);
	ship_and_answer(ANSWER_SENT);
	teardown(cursors, 3);
	close(tail.fd);
	close(next.fd);
	gzip_pool_free(pool);
}
END_TEST

START_TEST(a_compressed_file_waits_while_too_many_are_being_read)
{
	struct gzip_pool *pool = gzip_pool_new(1);
	struct tail tail, other;
	struct cursor *cursor;
	char byte;

	setup();
	make_tail(&other, 0);
	ten_lines(&other);
	pack(&other, pool);
	ck_assert_int_eq(tail_read(&other, &byte, 1, 0), 1);
	DL_DELETE(container.tails, &other);
	make_tail(&tail, 0);
	ten_lines(&tail);
	pack(&tail, pool);
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ck_assert_uint_eq(total.read, 0);
	ck_assert(cursor->needs_attention);
	cursor_attend(cursor, now_ms);
	turns();
	ck_assert_uint_eq(total.read, 0);
	gzip_pool_forget(pool, other.fd);
	cursor_attend(cursor, now_ms);
	turns();
	ck_assert_uint_eq(total.read, tail.size);
	ck_assert(!cursor->needs_attention);
	ship_and_answer(ANSWER_SENT);
	teardown(&cursor, 1);
	close(tail.fd);
	close(other.fd);
	gzip_pool_free(pool);
}
END_TEST

/* ---- metadata ----------------------------------------------------------------------------------------------------- */

static unsigned prepared_count;

/* A format that says of the metadata only the image. */
static void prepare_image(const struct format_options *options, const struct source *source, struct buf *out)
{
	const struct metadata *metadata = source->origin->metadata;

	(void)options;
	prepared_count++;
	buf_printf(out, ",\"kubernetes\":\"%s\"}", metadata != NULL ? metadata->image : "unknown");
}

static struct format format_image;

static void setup_image(void)
{
	setup();
	format_image = format_ndjson;
	format_image.prepare = prepare_image;
	env.format = &format_image;
}

/* How many records with this image wait to be answered. */
static size_t count_image(const char *image)
{
	size_t count = 0, len = strlen(image);

	gatherer_seal_all(&gatherer);
	for (size_t i = 0; i < parcel_count; i++)
		for (size_t j = 0; j < parcels[i]->record_count; j++) {
			const char *record = parcels[i]->raw + parcels[i]->records[j].offset;

			count += memcmp(record + parcels[i]->records[j].len - len - 2, image, len) == 0;
		}
	return count;
}

static void know(const struct metadata *metadata)
{
	container.origin.metadata = metadata;
	container.origin.metadata_version++;
}

START_TEST(records_carry_the_metadata_of_their_time)
{
	static const struct metadata first = {.image = "nginx:1"}, second = {.image = "nginx:2"};
	static const struct metric_family family = {"m_total", "m", METRIC_COUNTER, "", NULL, 0};
	struct tail tail;
	struct cursor *cursor;

	setup_image();
	prepared_count = 0;
	env.missing = metric_get(metrics, &family);
	make_tail(&tail, 0);
	cursor = cursor_new(&env, &tail, NULL, 0);
	line(&tail, "stdout", "F", "a");
	wake(&tail);
	ck_assert_double_eq(metric_value(env.missing), 1);
	know(&first);
	line(&tail, "stdout", "F", "b");
	wake(&tail);
	know(&second);
	line(&tail, "stdout", "F", "c");
	line(&tail, "stdout", "F", "d");
	wake(&tail);
	ck_assert_uint_eq(count_image("unknown"), 1);
	ck_assert_uint_eq(count_image("nginx:1"), 1);
	ck_assert_uint_eq(count_image("nginx:2"), 2);
	ck_assert_uint_eq(prepared_count, 3); /* for each version, not for each record */
	ck_assert_double_eq(metric_value(env.missing), 1);
	ship_and_answer(ANSWER_SENT);
	know(NULL);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

static const struct metadata known = {
	.owner_kind = "", .owner_name = "", .pod_ip = "", .image = "", .image_id = "", .container_id = ""};

/* As a label would: the container's records go elsewhere from now on. */
static void lead_to(const char *node)
{
	container.origin.node = node;
	know(&known);
}

static void setup_by_node(void)
{
	setup();
	gatherer.templates[0] = template_new("{node}", TEMPLATE_PLAIN);
	gatherer.template_count = 1;
}

static void refuse_for_now(void)
{
	struct answer answer = {.kind = ANSWER_RETRY, .reason = "x", .retry_after_ms = -1};
	struct parcel *parcel = parcels[--parcel_count];

	parcel->answer(parcel, PARCEL_ALL, &answer);
}

START_TEST(a_container_takes_another_lane_when_nothing_of_it_is_under_way_in_the_old_one)
{
	struct tail tail;
	struct cursor *cursor;
	uint64_t before;

	setup_by_node();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "a");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ck_assert_str_eq(cursor->route.lane->destination[0], "node");
	before = tail.size;
	lead_to("x");
	line(&tail, "stdout", "F", "b");
	wake(&tail); /* a is in the open batch */
	ck_assert_uint_eq(cursor->read_offset, before);
	gatherer_seal_all(&gatherer);
	refuse_for_now();
	wake(&tail); /* a waits to be sent again */
	ck_assert_uint_eq(cursor->read_offset, before);
	ck_assert_ptr_eq(env.parked, cursor);
	shipper_hurry(&shipper);
	ck_assert_uint_eq(parcel_count, 1);
	deliver_last();
	ck_assert_uint_eq(cursor->read_offset, tail.size);
	ck_assert_str_eq(cursor->route.lane->destination[0], "x");
	ck_assert_ptr_eq(shipper.lanes, cursor->route.lane);
	ck_assert_ptr_null(shipper.lanes->hh.next); /* the old lane is gone */
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "a|b|");
	know(NULL);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(other_metadata_that_lead_to_the_same_lane_stop_nobody)
{
	struct tail tail;
	struct cursor *cursor;

	setup_by_node();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "a");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	know(&known);
	line(&tail, "stdout", "F", "b");
	wake(&tail);
	ck_assert_uint_eq(cursor->read_offset, tail.size);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "a|b|");
	know(NULL);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(the_next_file_waits_for_what_its_predecessor_has_under_way_in_the_old_lane)
{
	struct tail old, new;
	struct cursor *cursors[2];

	setup_by_node();
	make_tail(&old, 0);
	line(&old, "stdout", "F", "a");
	cursors[0] = cursor_new(&env, &old, NULL, 0);
	turns();
	gatherer_seal_all(&gatherer);
	refuse_for_now();
	lead_to("x");
	make_tail(&new, 0);
	line(&new, "stdout", "F", "b");
	cursors[1] = cursor_new(&env, &new, NULL, 0);
	wake(&old);
	ck_assert_uint_eq(cursors[1]->read_offset, 0);
	shipper_hurry(&shipper);
	deliver_last();
	ck_assert_uint_eq(cursors[1]->read_offset, new.size);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "a|b|");
	know(NULL);
	teardown(cursors, 2);
	close(old.fd);
	close(new.fd);
}
END_TEST

/* It has a span in the old file, which ends only by reading on. */
START_TEST(a_record_that_spans_a_rotation_does_not_wait_for_itself)
{
	struct tail old, new;
	struct cursor *cursors[2];

	setup_by_node();
	make_tail(&old, 0);
	line(&old, "stdout", "F", "a");
	line(&old, "stdout", "P", "be");
	cursors[0] = cursor_new(&env, &old, NULL, 0);
	turns();
	make_tail(&new, 0);
	cursors[1] = cursor_new(&env, &new, NULL, 0);
	wake(&old);
	ck_assert_uint_eq(cursors[0]->lent_count, 1);
	lead_to("x");
	line(&new, "stdout", "F", "gin");
	wake(&new);
	ck_assert_uint_eq(cursors[1]->read_offset, 0);
	ship_and_answer(ANSWER_SENT);
	cursor_unpark(&env);
	turns();
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "a|begin|");
	ck_assert_str_eq(cursors[1]->route.lane->destination[0], "x");
	know(NULL);
	teardown(cursors, 2);
	close(old.fd);
	close(new.fd);
}
END_TEST

START_TEST(a_chain_whose_time_is_up_does_not_overtake_either)
{
	struct tail tail;
	struct cursor *cursor;

	setup_by_node();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "a");
	line(&tail, "stdout", "P", "b");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	gatherer_seal_all(&gatherer);
	refuse_for_now();
	lead_to("x");
	now_ms += 20000;
	cursor_attend(cursor, now_ms);
	ck_assert_uint_gt(total.terms[ACCOUNT_PARTIAL], 0);
	cursor_dismiss(cursor); /* the end of its reading waits as well */
	turns();
	ck_assert_uint_gt(total.terms[ACCOUNT_PARTIAL], 0);
	shipper_hurry(&shipper);
	deliver_last();
	ck_assert_uint_eq(total.terms[ACCOUNT_PARTIAL], 0);
	ck_assert(!cursor->is_gone);
	ship_and_answer(ANSWER_SENT);
	ck_assert(cursor->is_gone);
	ck_assert_str_eq(received, "a|b\",\"partial\":tru|");
	know(NULL);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(other_metadata_lead_out_of_a_lane_that_others_fill)
{
	struct container other;
	struct tail tail, busy;
	struct cursor *cursors[2];

	setup_by_node();
	gatherer.batch_records = 1;
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "a");
	cursors[0] = cursor_new(&env, &tail, NULL, 0);
	turns();
	deliver_last();
	other = (struct container){.origin = {"ns", "pod", "0001-uid", "busy", "node"}};
	make_other_tail(&busy, &other);
	for (int i = 0; i < LANE_DEPTH; i++)
		line(&busy, "stdout", "F", "busy");
	cursors[1] = cursor_new(&env, &busy, NULL, 0);
	turns();
	line(&tail, "stdout", "F", "b");
	wake(&tail);
	ck_assert(cursors[0]->is_parked);
	lead_to("x");
	wake(&tail); /* as whoever brings the metadata does */
	ck_assert(!cursors[0]->is_parked);
	ck_assert_uint_eq(cursors[0]->read_offset, tail.size);
	ck_assert_str_eq(cursors[0]->route.lane->destination[0], "x");
	know(NULL);
	teardown(cursors, 2);
	close(tail.fd);
	close(busy.fd);
}
END_TEST

/* A URL and a header that come to just 16 KiB with their ends were more than a lane's key once had room for. */
START_TEST(a_destination_is_as_long_as_its_templates)
{
	char url[8001], header[16384 - 2 - 8001 + 1];
	struct tail tail;
	struct cursor *cursor;

	memset(url, 'u', sizeof url - 1);
	memset(header, 'h', sizeof header - 1);
	url[sizeof url - 1] = header[sizeof header - 1] = '\0';
	setup();
	gatherer.templates[0] = template_new(url, TEMPLATE_URL);
	gatherer.templates[1] = template_new(header, TEMPLATE_HEADER);
	gatherer.template_count = 2;
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "a");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ck_assert_str_eq(cursor->route.lane->destination[0], url);
	ck_assert_str_eq(cursor->route.lane->destination[1], header);
	ship_and_answer(ANSWER_SENT);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(a_container_whose_metadata_are_on_their_way_does_not_begin)
{
	struct tail tail;
	struct cursor *cursor;

	setup();
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "a");
	container.awaits_metadata = true;
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	ck_assert_ptr_null(env.ready); /* it does not turn for nothing */
	ck_assert_uint_eq(total.read, 0);
	ck_assert(!cursor_has_read_all(cursor));
	ck_assert_uint_eq(cursor_lag(cursor), tail.size);
	container.awaits_metadata = false;
	wake(&tail);
	ck_assert_uint_eq(total.read, tail.size);
	ship_and_answer(ANSWER_SENT);
	ck_assert_str_eq(received, "a|");
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

START_TEST(a_dismissed_cursor_ends_when_what_it_took_is_acknowledged_and_counts_no_loss)
{
	static const struct metric_family lost = {"lost_total", "l", METRIC_COUNTER, "", NULL, 0};
	struct tail tail;
	struct cursor *cursor;
	uint64_t half;

	setup();
	env.lost_hold = metric_get(metrics, &lost);
	make_tail(&tail, 0);
	line(&tail, "stdout", "F", "a");
	cursor = cursor_new(&env, &tail, NULL, 0);
	turns();
	half = tail.size;
	gatherer_seal_all(&gatherer);
	line(&tail, "stdout", "F", "b");
	cursor_dismiss(cursor);
	turns();
	ck_assert(!cursor->is_gone);
	ship_and_answer(ANSWER_SENT);
	ck_assert(cursor->is_gone);
	ck_assert_str_eq(received, "a|");
	ck_assert_uint_eq(cursor->mark.offset, half);
	ck_assert_double_eq(metric_value(env.lost_hold), 0);
	ck_assert_uint_eq(cursor_lag(cursor), 0);
	teardown(&cursor, 1);
	close(tail.fd);
}
END_TEST

UNIT_MAIN("cursor", records_carry_the_metadata_of_their_time, a_container_takes_another_lane_when_nothing_of_it_is_under_way_in_the_old_one,
	other_metadata_that_lead_to_the_same_lane_stop_nobody, the_next_file_waits_for_what_its_predecessor_has_under_way_in_the_old_lane,
	a_record_that_spans_a_rotation_does_not_wait_for_itself, a_chain_whose_time_is_up_does_not_overtake_either,
	other_metadata_lead_out_of_a_lane_that_others_fill, a_destination_is_as_long_as_its_templates,
	a_container_whose_metadata_are_on_their_way_does_not_begin, a_dismissed_cursor_ends_when_what_it_took_is_acknowledged_and_counts_no_loss,
	a_compressed_file_is_read_on_at_its_uncompressed_offset,
	a_damaged_file_is_read_to_the_damage_counted_once_and_does_not_stop_the_next, a_compressed_file_waits_while_too_many_are_being_read,
	lines_become_records_and_the_mark_follows_the_acknowledgement, an_unfinished_line_waits_for_its_end,
	an_unfinished_last_line_is_delivered_when_the_file_has_a_successor, the_mark_does_not_pass_an_open_chain,
	a_chain_without_growth_is_delivered_as_partial, a_record_that_spans_a_rotation_is_whole_and_marks_both_files,
	a_successor_waits_until_its_predecessor_was_read, nothing_that_is_no_log_line_is_lost,
	an_overlong_line_is_cut_and_its_rest_is_counted, a_cursor_is_done_when_its_file_is_gone_and_all_is_acknowledged,
	bytes_that_come_after_the_name_is_gone_are_read_before_the_end, what_a_truncation_took_is_counted_as_lost,
	once_reads_to_the_size_at_the_start, a_full_lane_parks_its_readers_until_there_is_room,
	what_others_deliver_makes_no_room_in_a_full_lane, many_destinations_that_hold_leave_half_of_the_memory_to_the_others)

/* The shipper against an output that answers by script: what is sent, in which order, and what becomes of each record. */
#include "config.h"

#include "collector/shipper.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

/* ---- a format whose records are their own text -------------------------------------------------------------------- */

static void plain_prepare(const struct format_options *options, const struct source *file, struct buf *out)
{
	(void)options, (void)file, (void)out;
}

static size_t plain_bound(const struct record *record, size_t prepared_len)
{
	return record->len + prepared_len;
}

static size_t plain_encode(const struct format_options *options, const struct source *source, const char *prepared, size_t prepared_len,
	const struct record *record, char *out, size_t room, size_t *ret_taken)
{
	(void)options, (void)source, (void)prepared, (void)prepared_len;
	*ret_taken = record->len < room ? record->len : room;
	memcpy(out, record->text, *ret_taken);
	return *ret_taken;
}

static const struct format plain = {.name = "plain", .begin = "", .separator = "\n", .end = "\n", .prepare = plain_prepare, .bound = plain_bound,
	.encode = plain_encode};

/* ---- an output that answers when it is told to -------------------------------------------------------------------- */

#define SENT_BYTES 65536

static struct {
	struct parcel *parcels[16]; /* not answered yet */
	size_t parcel_count;
	char sent[SENT_BYTES];      /* what was sent, parcel by parcel, in brackets */
} far;

static void note_sent(const char *bytes, size_t len)
{
	size_t sent_len = strlen(far.sent);

	snprintf(far.sent + sent_len, sizeof far.sent - sent_len, "%.*s", (int)len, bytes);
}

static void far_send(struct output *output, struct parcel *parcel)
{
	(void)output;
	far.parcels[far.parcel_count++] = parcel;
	note_sent("(", 1);
	for (size_t i = 0; i < parcel->record_count; i++)
		if (!parcel->records[i].settled)
			note_sent(parcel->raw + parcel->records[i].offset, parcel->records[i].len);
	note_sent(")", 1);
}

static struct parcel *take_parcel(size_t index)
{
	struct parcel *parcel = far.parcels[index];

	ck_assert_uint_lt(index, far.parcel_count);
	memmove(&far.parcels[index], &far.parcels[index + 1], (--far.parcel_count - index) * sizeof far.parcels[0]);
	return parcel;
}

static void answer_all(size_t index, enum answer_kind kind)
{
	struct parcel *parcel = take_parcel(index);
	struct answer answer = {.kind = kind, .reason = "because", .retry_after_ms = -1};

	parcel->answer(parcel, PARCEL_ALL, &answer);
}

/* One letter a record: s sent, r retry, j rejected, J rejected after it was judged alone. */
static void answer_each(size_t index, const char *letters)
{
	struct parcel *parcel = take_parcel(index);

	ck_assert_uint_eq(strlen(letters), parcel->record_count);
	for (size_t i = 0; letters[i] != '\0'; i++) {
		struct answer answer = {.kind = letters[i] == 's' ? ANSWER_SENT : letters[i] == 'r' ? ANSWER_RETRY : ANSWER_REJECTED,
			.reason = "because", .retry_after_ms = -1, .is_alone = letters[i] == 'J'};

		if (letters[i] != '-')
			parcel->answer(parcel, i, &answer);
	}
}

/* ---- the bench: one file, one shipper ----------------------------------------------------------------------------- */

static struct output_ops far_ops = {.name = "far", .send = far_send};
static struct metric_table *metrics;
static uv_loop_t loop;
static struct shipper shipper;
static struct ledger ledger;
static struct account total;
static struct source source;
static uint64_t offset, now_ms;
static int room_count;

static void on_room(void *arg)
{
	(void)arg;
	room_count++;
}

static void setup(bool merges)
{
	static const struct metric_family counter = {"c_total", "c", METRIC_COUNTER, "", NULL, 0};
	static const double bounds[] = {1};
	static const struct metric_family histogram = {"h", "h", METRIC_HISTOGRAM, "", bounds, 1};
	struct metric *any;

	memset(&far, 0, sizeof far);
	memset(&total, 0, sizeof total);
	offset = 0;
	room_count = 0;
	now_ms = 1000;
	clock_hold(now_ms, 0);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	metrics = metric_table_new();
	any = metric_get(metrics, &counter);
	far_ops.merges = merges;
	ledger_init(&ledger, &total, NULL);
	shipper = (struct shipper){
		.name = "far",
		.loop = &loop,
		.ops = &far_ops,
		.format = &plain,
		.codec = PACK_NONE,
		.backoff = {1000, 60000},
		.metrics = {.records = any, .bytes = any, .retries = any, .dropped = {any, any, any, any},
			.latency = metric_get(metrics, &histogram)},
		.on_room = on_room,
	};
	shipper_init(&shipper);
}

static void on_closed(void *arg)
{
	(void)arg;
}

static void teardown(void)
{
	shipper_close(&shipper, on_closed);
	while (far.parcel_count != 0)
		answer_all(0, ANSWER_RETRY);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	ledger_release(&ledger);
	metric_table_free(metrics);
	clock_release();
}

/* A batch whose records are the letters of text, ten bytes of the file each. */
static void ship(unsigned lane_number, const char *text)
{
	char key[2] = {(char)('0' + lane_number), '\0'};
	struct batch *batch = batch_new(shipper_lane(&shipper, key, sizeof key, lane_number), now_ms);

	for (; *text != '\0'; text++, offset += 10) {
		struct record record = {.text = text, .len = 1, .offset = offset, .source_bytes = 10};
		struct batch_entry entry = {.record = &record, .source = &source, .ledger = &ledger, .floor = offset, .format = &plain};
		uint64_t cut;

		account_read(&ledger.account, 10);
		account_add(&ledger.account, ACCOUNT_OPEN, 10);
		batch_append(batch, &entry, &cut);
	}
	shipper_count_memory(&shipper, batch);
	shipper_take(&shipper, batch);
}

static void advance(uint64_t ms)
{
	now_ms += ms;
	clock_hold(now_ms, 0);
	uv_update_time(&loop);
	shipper_hurry(&shipper); /* what the timer would do, without waiting for it */
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

START_TEST(sent_records_are_acked_and_move_the_mark)
{
	setup(false);
	ship(0, "abc");
	ck_assert_uint_eq(total.terms[ACCOUNT_IN_FLIGHT], 30);
	ck_assert_uint_eq(ledger_mark(&ledger, offset), 0);
	answer_all(0, ANSWER_SENT);
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], 30);
	ck_assert_uint_eq(ledger_mark(&ledger, offset), 30);
	ck_assert(shipper_is_idle(&shipper));
	ck_assert_uint_eq(shipper.memory_used, 0);
	ck_assert_int_eq(room_count, 1);
	teardown();
}
END_TEST

START_TEST(a_lane_sends_one_batch_at_a_time_in_order)
{
	setup(false);
	ship(0, "ab");
	ship(0, "cd");
	ship(1, "xy");
	ck_assert_str_eq(far.sent, "(ab)(xy)");
	answer_all(0, ANSWER_SENT);
	ck_assert_str_eq(far.sent, "(ab)(xy)(cd)");
	answer_all(1, ANSWER_SENT);
	answer_all(0, ANSWER_SENT);
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], 60);
	teardown();
}
END_TEST

START_TEST(retry_sends_the_same_again_before_what_follows)
{
	setup(false);
	ship(0, "ab");
	ship(0, "cd");
	answer_all(0, ANSWER_RETRY);
	ck_assert_str_eq(far.sent, "(ab)");
	ck_assert_str_eq(shipper.lanes->trouble, "because");
	advance(1000);
	ck_assert_str_eq(far.sent, "(ab)(ab)");
	answer_all(0, ANSWER_SENT);
	ck_assert_str_eq(far.sent, "(ab)(ab)(cd)");
	ck_assert_str_eq(shipper.lanes->trouble, "");
	teardown();
}
END_TEST

START_TEST(hold_keeps_everything_and_says_so)
{
	setup(false);
	ship(0, "ab");
	for (int i = 0; i < 5; i++) {
		answer_all(0, ANSWER_HOLD);
		ck_assert(shipper.lanes->held);
		ck_assert_uint_eq(total.terms[ACCOUNT_IN_FLIGHT], 20);
		advance(60000);
	}
	answer_all(0, ANSWER_SENT);
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], 20);
	teardown();
}
END_TEST

START_TEST(a_lane_is_proven_by_what_it_takes_until_it_holds)
{
	setup(false);
	ship(0, "ab");
	ck_assert_uint_gt(shipper.memory_used, 0);
	ck_assert_uint_eq(shipper.unproven_memory, shipper.memory_used);
	ship(0, "cd");
	answer_all(0, ANSWER_SENT);
	ck_assert_uint_gt(shipper.memory_used, 0);
	ck_assert_uint_eq(shipper.unproven_memory, 0);
	answer_all(0, ANSWER_RETRY);
	ck_assert_uint_eq(shipper.unproven_memory, 0);
	advance(1000);
	answer_all(0, ANSWER_HOLD);
	ck_assert_uint_eq(shipper.unproven_memory, shipper.memory_used);
	advance(60000);
	answer_all(0, ANSWER_SENT);
	ck_assert_uint_eq(shipper.unproven_memory, 0);
	teardown();
	ck_assert_uint_eq(shipper.unproven_memory, 0);
}
END_TEST

START_TEST(a_rejection_in_company_is_bisected_until_the_culprit_stands_alone)
{
	setup(false);
	ship(0, "abcdXfgh");
	answer_all(0, ANSWER_REJECTED); /* (abcdXfgh) */
	answer_all(0, ANSWER_SENT);     /* (abcd) */
	answer_all(0, ANSWER_REJECTED); /* (Xfgh) */
	answer_all(0, ANSWER_REJECTED); /* (Xf) */
	answer_all(0, ANSWER_REJECTED); /* (X): alone, final */
	answer_all(0, ANSWER_SENT);     /* (f) */
	answer_all(0, ANSWER_SENT);     /* (gh) */
	ck_assert_str_eq(far.sent, "(abcdXfgh)(abcd)(Xfgh)(Xf)(X)(f)(gh)");
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], 70);
	ck_assert_uint_eq(total.dropped[DROP_REJECTED], 10);
	ck_assert_int_eq(account_imbalance(&total), 0);
	ck_assert_uint_eq(ledger_mark(&ledger, offset), 80);
	teardown();
}
END_TEST

START_TEST(records_answered_one_by_one_leave_only_the_others_to_send)
{
	setup(false);
	ship(0, "abcd");
	answer_each(0, "srsr");
	advance(1000);
	ck_assert_str_eq(far.sent, "(abcd)(bd)");
	answer_each(0, "s-s"); /* from b to d; c is settled */
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], 40);
	teardown();
}
END_TEST

/* A file that is done while its batch still waits for records of another one: its reader goes, and its ledger with it. */
START_TEST(a_batch_outlives_the_ledger_of_a_settled_run)
{
	struct ledger *other = calloc(1, sizeof *other);
	struct record record = {.text = "z", .len = 1, .source_bytes = 10};
	struct batch_entry entry = {.record = &record, .source = &source, .ledger = other, .format = &plain};
	struct batch *batch;
	uint64_t cut;

	setup(false);
	ledger_init(other, &total, NULL);
	batch = batch_new(shipper_lane(&shipper, "0", 2, 0), now_ms);
	for (int i = 0; i < 2; i++) {
		account_read(&entry.ledger->account, 10);
		account_add(&entry.ledger->account, ACCOUNT_OPEN, 10);
		batch_append(batch, &entry, &cut);
		entry.ledger = &ledger;
	}
	shipper_count_memory(&shipper, batch);
	shipper_take(&shipper, batch);
	answer_each(0, "sr");
	ck_assert(ledger_is_empty(other));
	ledger_release(other);
	free(other);
	advance(1000);
	answer_all(0, ANSWER_SENT);
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], 20);
	ck_assert_int_eq(account_imbalance(&total), 0);
	teardown();
}
END_TEST

START_TEST(an_output_that_merges_gets_suspects_with_nothing_else_under_way)
{
	setup(true);
	ship(0, "abX");
	ship(1, "yz");
	answer_each(0, "ssj"); /* in company */
	ck_assert_str_eq(far.sent, "(abX)(yz)");
	ship(0, "cd");
	ck_assert_str_eq(far.sent, "(abX)(yz)"); /* X waits for yz */
	answer_all(0, ANSWER_SENT);
	ck_assert_str_eq(far.sent, "(abX)(yz)(X)");
	ship(1, "w");
	ck_assert_str_eq(far.sent, "(abX)(yz)(X)"); /* all wait for X */
	answer_all(0, ANSWER_REJECTED);
	ck_assert_uint_eq(total.dropped[DROP_REJECTED], 10);
	ck_assert_uint_eq(far.parcel_count, 2);
	teardown();
}
END_TEST

START_TEST(a_rejection_that_was_judged_alone_is_final_in_any_company)
{
	setup(true);
	ship(0, "abXd");
	answer_each(0, "ssJs");
	ck_assert_str_eq(far.sent, "(abXd)");
	ck_assert_uint_eq(total.dropped[DROP_REJECTED], 10);
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], 30);
	teardown();
}
END_TEST

START_TEST(a_parcel_tells_of_doubt_and_of_being_alone)
{
	setup(true);
	ship(0, "ab");
	ck_assert(!far.parcels[0]->is_doubted && !far.parcels[0]->is_alone);
	answer_all(0, ANSWER_RETRY);
	advance(2000);
	ck_assert(far.parcels[0]->is_doubted && !far.parcels[0]->is_alone);
	answer_all(0, ANSWER_REJECTED);
	ck_assert(far.parcels[0]->is_alone);
	answer_all(0, ANSWER_SENT);
	answer_all(0, ANSWER_SENT);
	ship(0, "c");
	ck_assert(!far.parcels[0]->is_doubted && !far.parcels[0]->is_alone);
	answer_all(0, ANSWER_SENT);
	teardown();
}
END_TEST

START_TEST(a_single_record_that_did_not_go_alone_is_not_dropped_yet)
{
	setup(true);
	ship(0, "a");
	ship(1, "b");
	answer_all(0, ANSWER_REJECTED);
	ck_assert_uint_eq(total.dropped[DROP_REJECTED], 0);
	answer_all(0, ANSWER_SENT);
	ck_assert_str_eq(far.sent, "(a)(b)(a)");
	answer_all(0, ANSWER_SENT);
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], 20);
	teardown();
}
END_TEST

START_TEST(retry_after_is_respected_within_the_range)
{
	struct parcel *parcel;
	struct answer answer = {.kind = ANSWER_RETRY, .reason = "busy", .retry_after_ms = 30000};

	setup(false);
	ship(0, "a");
	parcel = take_parcel(0);
	parcel->answer(parcel, PARCEL_ALL, &answer);
	ck_assert_uint_eq(shipper.lanes->next_try_ms, now_ms + 30000);
	advance(30000);
	parcel = take_parcel(0);
	answer.retry_after_ms = 86400000;
	parcel->answer(parcel, PARCEL_ALL, &answer);
	ck_assert_uint_eq(shipper.lanes->next_try_ms, now_ms + 60000);
	teardown();
}
END_TEST

START_TEST(closing_frees_what_is_left_and_drops_nothing)
{
	setup(false);
	ship(0, "ab");
	ship(0, "cd");
	shipper_close(&shipper, on_closed);
	answer_all(0, ANSWER_RETRY);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_str_eq(far.sent, "(ab)");
	ck_assert_uint_eq(ledger_mark(&ledger, offset), 0);
	account_unread(&ledger.account);
	ck_assert_uint_eq(total.read, 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	ledger_release(&ledger);
	metric_table_free(metrics);
	clock_release();
}
END_TEST

/* Waits until the worker is done and the parcel is there. */
static void check_body(const char *expected)
{
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_uint_eq(far.parcel_count, 1);
	ck_assert_uint_eq(far.parcels[0]->body_len, strlen(expected));
	ck_assert_mem_eq(far.parcels[0]->body, expected, strlen(expected));
}

START_TEST(a_body_ends_as_its_format_says_once)
{
	static struct format array;

	array = plain;
	array.begin = "[";
	array.separator = ",";
	array.end = "]";
	setup(false);
	shipper.packer = packer_new(&loop, PACK_NONE, 0);
	ship(0, "abc");
	check_body("a\nb\nc\n");
	answer_each(0, "srs");
	advance(1000);
	check_body("b\n");
	answer_all(0, ANSWER_SENT);
	shipper.format = &array;
	ship(0, "de");
	check_body("[d\ne]"); /* ship() stores newlines; what stands between records is the batch's business */
	answer_all(0, ANSWER_SENT);
	teardown();
}
END_TEST

UNIT_MAIN("shipper", sent_records_are_acked_and_move_the_mark, a_lane_sends_one_batch_at_a_time_in_order,
	a_lane_is_proven_by_what_it_takes_until_it_holds, retry_sends_the_same_again_before_what_follows, hold_keeps_everything_and_says_so,
	a_rejection_in_company_is_bisected_until_the_culprit_stands_alone, records_answered_one_by_one_leave_only_the_others_to_send,
	a_batch_outlives_the_ledger_of_a_settled_run, an_output_that_merges_gets_suspects_with_nothing_else_under_way,
    a_rejection_that_was_judged_alone_is_final_in_any_company, a_parcel_tells_of_doubt_and_of_being_alone, a_single_record_that_did_not_go_alone_is_not_dropped_yet,
	retry_after_is_respected_within_the_range, closing_frees_what_is_left_and_drops_nothing, a_body_ends_as_its_format_says_once)

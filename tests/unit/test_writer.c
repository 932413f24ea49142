/* The gate of all writes: its window, its pause, its order, and what it refuses. */
#include "config.h"
#include "controller/writer.h"

#include "tests/unit/rig.h"
#include "tests/unit/unit.h"

static struct rig rig;

static struct {
	unsigned taken, ended, ok, in_flight_max;
	int status;         /* of the next answers */
	unsigned busy_left; /* so many are answered with 429 first */
	enum kube_result last_result;
	int last_status;
	bool last_unknown;
	char order[64]; /* the last letters of the paths */
	uint64_t first_ms, last_ms;
} seen;

static int answer(void *arg, const char *method, const char *path, const char *request_body, struct buf *body)
{
	size_t len = strlen(seen.order);

	(void)arg, (void)method, (void)request_body;
	if (writer_counts(rig.writer).in_flight > seen.in_flight_max)
		seen.in_flight_max = writer_counts(rig.writer).in_flight;
	if (len + 1 < sizeof seen.order)
		seen.order[len] = path[strlen(path) - 1];
	if (seen.taken++ == 0)
		seen.first_ms = clock_monotonic_ms();
	seen.last_ms = clock_monotonic_ms();
	if (seen.busy_left > 0) {
		seen.busy_left--;
		return 429;
	}
	(void)buf_add_text(body, "{}");
	return seen.status;
}

static void on_end(void *arg, const struct kube_answer *result)
{
	(void)arg;
	seen.ended++;
	seen.ok += result->result == KUBE_OK;
	seen.last_result = result->result;
	seen.last_status = result->status;
	seen.last_unknown = result->unknown;
	ck_assert_ptr_nonnull(result->message);
}

static void open_rig(void)
{
	memset(&seen, 0, sizeof seen);
	seen.status = 200;
	rig_open(&rig, answer, NULL);
}

static void put(const char *path, void *arg)
{
	struct kube_call call = {
	    .method = "POST", .path = path, .body = "{}", .body_len = 2, .on_end = on_end, .arg = arg};

	writer_send(rig.writer, &call);
}

static bool has_ended(void *arg)
{
	return seen.ended >= *(unsigned *)arg;
}

static void wait_for(unsigned count)
{
	rig_run_until(&rig, has_ended, &count);
}

START_TEST(no_more_than_the_window_are_under_way)
{
	open_rig();
	for (unsigned i = 0; i < 200; i++)
		put("/x", NULL);
	ck_assert_uint_eq(seen.ended, 0);
	ck_assert_uint_eq(writer_counts(rig.writer).in_flight, WRITER_WINDOW);
	ck_assert_uint_eq(writer_counts(rig.writer).waiting, 200 - WRITER_WINDOW);
	wait_for(200);
	ck_assert_uint_eq(seen.ok, 200);
	ck_assert_uint_le(seen.in_flight_max, WRITER_WINDOW);
	ck_assert_uint_eq(writer_counts(rig.writer).writes, 200);
	ck_assert_uint_eq(writer_counts(rig.writer).in_flight, 0);
	rig_close(&rig);
}
END_TEST

START_TEST(nothing_is_sent_without_a_fresh_lease)
{
	open_rig();
	rig.may_write = false;
	put("/x", NULL);
	ck_assert_uint_eq(seen.ended, 0); /* later, never from inside */
	wait_for(1);
	ck_assert_uint_eq(seen.taken, 0);
	ck_assert_int_eq(seen.last_result, KUBE_FAILED);
	ck_assert_int_eq(seen.last_status, 0);
	ck_assert(!seen.last_unknown);
	ck_assert_uint_eq(writer_counts(rig.writer).refused, 1);
	rig_close(&rig);
}
END_TEST

START_TEST(what_waits_is_asked_again_about_the_lease)
{
	open_rig();
	for (unsigned i = 0; i < WRITER_WINDOW + 5; i++)
		put("/x", NULL);
	rig.may_write = false;
	wait_for(WRITER_WINDOW + 5);
	ck_assert_uint_eq(seen.taken, WRITER_WINDOW);
	ck_assert_uint_eq(writer_counts(rig.writer).refused, 5);
	rig_close(&rig);
}
END_TEST

START_TEST(all_wait_out_a_retry_after)
{
	open_rig();
	rig.far.more_head = "Retry-After: 1\r\n";
	seen.busy_left = 1;
	put("/x", NULL);
	wait_for(1);
	ck_assert_int_eq(seen.last_result, KUBE_BUSY);
	ck_assert_uint_eq(writer_counts(rig.writer).busy, 1);
	ck_assert_uint_eq(writer_counts(rig.writer).window, WRITER_WINDOW / 2);
	put("/y", NULL);
	ck_assert_uint_eq(writer_counts(rig.writer).in_flight, 0);
	wait_for(2);
	ck_assert_uint_ge(seen.last_ms - seen.first_ms, 950);
	ck_assert_int_eq(seen.last_result, KUBE_OK);
	rig_close(&rig);
}
END_TEST

START_TEST(writes_begin_in_the_order_in_which_they_came)
{
	open_rig();
	rig.far.more_head = "Retry-After: 0\r\n";
	seen.busy_left = WRITER_WINDOW * 8; /* until one at a time is left */
	for (unsigned i = 0; i < WRITER_WINDOW * 8; i++)
		put("/x", NULL);
	wait_for(WRITER_WINDOW * 8);
	ck_assert_uint_eq(writer_counts(rig.writer).window, 1);
	memset(seen.order, 0, sizeof seen.order);
	for (const char *path = "abcdefgh"; *path != '\0'; path++) {
		char text[4] = {'/', *path};

		put(text, NULL);
	}
	wait_for(WRITER_WINDOW * 8 + 8);
	ck_assert_str_eq(seen.order, "abcdefgh");
	rig_close(&rig);
}
END_TEST

START_TEST(an_asker_takes_its_writes_along)
{
	int mine = 0, other = 0;

	open_rig();
	for (unsigned i = 0; i < WRITER_WINDOW; i++)
		put("/x", i % 2 == 0 ? &mine : &other);
	put("/x", &mine);
	put("/x", &other);
	writer_drop(rig.writer, &mine);
	wait_for(WRITER_WINDOW / 2 + 1);
	ck_assert_uint_eq(writer_counts(rig.writer).in_flight, 0);
	ck_assert_uint_eq(writer_counts(rig.writer).waiting, 0);
	ck_assert_uint_eq(seen.ended, WRITER_WINDOW / 2 + 1);
	rig_close(&rig);
}
END_TEST

START_TEST(closing_drops_and_cancels)
{
	open_rig();
	for (unsigned i = 0; i < 2 * WRITER_WINDOW; i++)
		put("/x", NULL);
	rig_close(&rig); /* turns the loop to its end */
	ck_assert_uint_eq(seen.ended, 0);
}
END_TEST

START_TEST(failures_are_told_apart)
{
	open_rig();
	seen.status = 409;
	put("/x", NULL);
	wait_for(1);
	seen.status = 500;
	put("/x", NULL);
	wait_for(2);
	ck_assert(seen.last_unknown); /* a write that may have been done */
	ck_assert_uint_eq(writer_counts(rig.writer).conflicts, 1);
	ck_assert_uint_eq(writer_counts(rig.writer).unknown, 1);
	ck_assert_uint_eq(writer_counts(rig.writer).failed, 2);
	rig_close(&rig);
}
END_TEST

START_TEST(the_window_halves_once_a_round_and_grows_by_one)
{
	static const struct {
		unsigned window;
		enum kube_result result;
		unsigned since_decrease, after;
	} rows[] = {
	    {32, KUBE_BUSY, 64, 16},
	    {16, KUBE_BUSY, 1, 16},
	    {16, KUBE_BUSY, 31, 16},
	    {16, KUBE_BUSY, 32, 8},
	    {2, KUBE_BUSY, 4, 1},
	    {1, KUBE_BUSY, 2, 1},
	    {3, KUBE_BUSY, 6, 2},
	    {16, KUBE_OK, 15, 16},
	    {16, KUBE_OK, 16, 17},
	    {16, KUBE_OK, 32, 17},
	    {1, KUBE_OK, 1, 2},
	    {32, KUBE_OK, 32, 32},
	    {16, KUBE_FAILED, 16, 16},
	    {16, KUBE_EXISTS, 16, 17},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(writer_window_after(rows[i].window, rows[i].result, rows[i].since_decrease) ==
				  rows[i].after,
		    "row %zu", i);
}
END_TEST

UNIT_MAIN("writer", no_more_than_the_window_are_under_way, nothing_is_sent_without_a_fresh_lease,
    what_waits_is_asked_again_about_the_lease, all_wait_out_a_retry_after,
    writes_begin_in_the_order_in_which_they_came, an_asker_takes_its_writes_along, closing_drops_and_cancels,
    failures_are_told_apart, the_window_halves_once_a_round_and_grows_by_one)

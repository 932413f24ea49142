/* Standard output into a pipe: every byte comes out, and a reader that is slow or gone blocks nobody. */
#include "config.h"

#include "tests/unit/shipment.h"
#include "tests/unit/stdout_far.h"
#include "tests/unit/unit.h"

#include <sys/ioctl.h>

#define MANY 2000

static struct bench bench;
static struct stdout_far far;
static const struct origin origin = {.namespace_name = "shop", .pod = "cart", .uid = "0b1f", .container = "web", .node = "node-1"};
static const struct source source = {&origin, 1, 0};
static const char *const two[] = {"{\"log\":\"one\"}", "{\"log\":\"two\"}"};

static void setup(void)
{
	bench_init(&bench);
	stdout_far_init(&far);
	bench_open(&bench, &output_stdout, NULL);
}

static void teardown(void)
{
	bench_release(&bench);
	stdout_far_release(&far);
}

static struct shipment *ship(const char *const *texts, size_t count)
{
	struct shipment *shipment = shipment_new(&bench, texts, count, &source, 0, "");

	shipment_send(shipment);
	return shipment;
}

/* 2000 records of 500 bytes: more than a pipe takes. */
static struct shipment *ship_many(void)
{
	static char text[501];
	static const char *texts[MANY];

	memset(text, 'x', sizeof text - 1);
	for (size_t i = 0; i < MANY; i++)
		texts[i] = text;
	return ship(texts, MANY);
}

START_TEST(records_come_out_one_a_line_in_order)
{
	struct shipment *first, *second;

	setup();
	first = ship(two, 2);
	second = ship(two, 1);
	RUN_UNTIL(&bench, first->is_done && second->is_done);
	ck_assert_uint_eq(first->counts[ANSWER_SENT] + second->counts[ANSWER_SENT], 3);
	stdout_far_read(&far);
	ck_assert_str_eq(buf_text(&far.taken), "{\"log\":\"one\"}\n{\"log\":\"two\"}\n{\"log\":\"one\"}\n");
	ck_assert_double_eq(bench_metric(&bench, &output_wire_bytes), (double)far.taken.len);
	shipment_free(first);
	shipment_free(second);
	teardown();
}
END_TEST

static int bytes_in_pipe(void)
{
	int count;

	ck_assert_int_eq(ioctl(far.read_end, FIONREAD, &count), 0);
	return count;
}

START_TEST(a_slow_reader_delays_the_answer_and_loses_nothing)
{
	struct shipment *shipment;

	setup();
	shipment = ship_many();
	RUN_UNTIL(&bench, bytes_in_pipe() >= 60000);
	ck_assert(!shipment->is_done);
	RUN_UNTIL(&bench, (stdout_far_read(&far), shipment->is_done));
	stdout_far_read(&far);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], MANY);
	ck_assert_uint_eq(far.taken.len, MANY * 501);
	shipment_free(shipment);
	teardown();
}
END_TEST

START_TEST(a_pipe_that_does_not_block_is_waited_for_too)
{
	struct shipment *shipment;

	setup();
	ck_assert_int_ne(fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK), -1);
	shipment = ship_many();
	RUN_UNTIL(&bench, (stdout_far_read(&far), shipment->is_done));
	stdout_far_read(&far);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], MANY);
	ck_assert_uint_eq(far.taken.len, MANY * 501);
	shipment_free(shipment);
	teardown();
}
END_TEST

START_TEST(a_reader_that_is_gone_holds_the_records)
{
	struct shipment *shipment;

	setup();
	stdout_far_leave(&far);
	shipment = ship(two, 2);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_HOLD], 2);
	ck_assert_str_eq(shipment->text, strerror(EPIPE));
	shipment_free(shipment);
	teardown();
}
END_TEST

START_TEST(a_stop_does_not_wait_for_a_reader_that_reads_nothing)
{
	struct shipment *writing, *waiting;

	setup();
	writing = ship_many();
	waiting = ship(two, 2);
	RUN_UNTIL(&bench, bytes_in_pipe() >= 60000);
	bench_stop(&bench);
	ck_assert_uint_eq(writing->counts[ANSWER_RETRY], MANY);
	ck_assert_uint_eq(waiting->counts[ANSWER_RETRY], 2);
	shipment_free(writing);
	shipment_free(waiting);
	teardown();
}
END_TEST

UNIT_MAIN("stdout_output", records_come_out_one_a_line_in_order,
    a_slow_reader_delays_the_answer_and_loses_nothing, a_pipe_that_does_not_block_is_waited_for_too,
    a_reader_that_is_gone_holds_the_records, a_stop_does_not_wait_for_a_reader_that_reads_nothing)

/* The contract of outputs/output.h, sentence by sentence, against every output and a far side that does as it
 * is told.
 *
 * Some sentences are held by shipment.h in every test: an answer comes once, on the loop's thread, never from
 * inside send() or stop(), never after the parcel's last one; and a parcel's bytes are gone after that (the
 * sixth sentence, with valgrind). */
#include "config.h"

#include "outputs/output.h"
#include "tests/unit/http_far.h"
#include "tests/unit/kafka_far.h"
#include "tests/unit/shipment.h"
#include "tests/unit/stdout_far.h"
#include "tests/unit/unit.h"

#include <sys/ioctl.h>

#include "common/http.h"
#include "common/log.h"

#define MARKER "content-that-nobody-logs"

/* What the far side does. */
enum manner { TAKES, SILENT, ASKS_LATER, FORBIDS, REJECTS, MANNERS };

/* One output with its far side. */
struct rig {
	const char *name;
	const struct output_ops *ops;
	bool can[MANNERS];
	void (*start)(enum manner manner); /* opens the output too */
	bool (*has_request)(void);         /* SILENT: the far side has what it does not answer */
	void (*relent)(void);              /* from now on it takes; NULL: it cannot change its mind */
	void (*gather)(size_t count); /* what it took so far goes to `taken`: count records are expected */
	void (*release)(void);
};

static struct bench bench;
static void *options;
static struct buf taken; /* the records that the far side has, one a line */
static const struct origin origin = {.namespace_name = "shop", .pod = "cart", .uid = "0b1f", .container = "web", .node = "node-1"};
static const struct source source = {&origin, 1, 0};

static void open_output(const struct output_ops *ops, const char *lines)
{
	options = bench_options(ops, lines);
	bench_open(&bench, ops, options);
}

/* ---- kafka ----------------------------------------------------------------------------------- */

static struct kafka_far *kafka;

static void start_kafka(enum manner manner, const char *more)
{
	char *lines;

	kafka = kafka_far_new();
	lines = xasprintf("brokers = %s\ntopic = %s\nrdkafka.topic.metadata.refresh.interval.ms = 100\n%s",
	    kafka->brokers, kafka->topic, more);
	if (manner == SILENT)
		ck_assert_int_eq(rd_kafka_mock_broker_set_rtt(kafka->cluster, 1, 1000), 0);
	else if (manner == FORBIDS)
		kafka_far_refuse(kafka, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
	else if (manner == REJECTS)
		kafka_far_refuse(kafka, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1);
	open_output(&output_kafka, lines);
	free(lines);
}

static void start_kafka_record(enum manner manner)
{
	start_kafka(manner, "");
}

static void start_kafka_batch(enum manner manner)
{
	start_kafka(manner, "payload = batch\n");
}

static bool kafka_has_request(void)
{
	return true; /* answers are a second late, whenever they are asked for */
}

static void relent_kafka(void)
{
	ck_assert_int_eq(rd_kafka_mock_broker_set_rtt(kafka->cluster, 1, 0), 0);
}

static void take_message(const rd_kafka_message_t *message, size_t index, void *arg)
{
	const char *payload = message->payload;

	(void)index, (void)arg;
	ck_assert(buf_add(&taken, payload, message->len));
	if (payload[message->len - 1] != '\n')
		ck_assert(buf_add(&taken, "\n", 1));
}

static void gather_kafka_record(size_t count)
{
	kafka_far_read(kafka, count, take_message, NULL);
}

static void gather_kafka_batch(size_t count)
{
	kafka_far_read(kafka, (count + 2) / 3, take_message, NULL); /* each parcel has three */
}

static void release_kafka(void)
{
	bench_release(&bench);
	kafka_far_release(kafka);
}

/* ---- http ------------------------------------------------------------------------------------ */

static struct http_far server;

static void start_http(enum manner manner)
{
	static const int statuses[MANNERS] = {
	    [TAKES] = 200, [SILENT] = 200, [ASKS_LATER] = 503, [FORBIDS] = 403, [REJECTS] = 413};
	struct err err = {0};
	char *lines;

	http_far_init(&server, &bench.loop);
	server.status = statuses[manner];
	server.is_mute = manner == SILENT;
	ck_assert_msg(http_new(&bench.env.http, &bench.loop, "test", &err) == 0, "%s", err.text);
	lines = xasprintf("url = http://127.0.0.1:%u/\n", server.port);
	open_output(&output_http, lines);
	free(lines);
}

static bool http_has_request(void)
{
	return server.request_count != 0;
}

static void relent_http(void)
{
	server.status = 200;
	http_far_speak(&server);
}

static void gather_http(size_t count)
{
	(void)count;
	ck_assert(buf_add(&taken, server.taken.data, server.taken.len));
}

static void release_http(void)
{
	bench_close(&bench);
	http_close(bench.env.http);
	http_far_close(&server);
	bench_release(&bench);
	http_far_free(&server);
}

/* ---- stdout ---------------------------------------------------------------------------------- */

static struct stdout_far pipe_far;
static uv_timer_t pipe_reader;

static void on_pipe_reader(uv_timer_t *timer)
{
	(void)timer;
	stdout_far_read(&pipe_far);
}

static void relent_stdout(void)
{
	ck_assert_int_eq(uv_timer_start(&pipe_reader, on_pipe_reader, 0, 1), 0);
}

static void start_stdout(enum manner manner)
{
	stdout_far_init(&pipe_far);
	ck_assert_int_eq(uv_timer_init(&bench.loop, &pipe_reader), 0);
	if (manner == SILENT)
		stdout_far_fill(&pipe_far);
	else if (manner == FORBIDS)
		stdout_far_leave(&pipe_far);
	else
		relent_stdout();
	open_output(&output_stdout, "");
}

static bool stdout_has_request(void)
{
	return pipe_far.junk != 0; /* there is no room for a byte of it */
}

static void gather_stdout(size_t count)
{
	(void)count;
	stdout_far_read(&pipe_far);
	ck_assert(buf_add(&taken, pipe_far.taken.data, pipe_far.taken.len));
}

static void release_stdout(void)
{
	uv_close((uv_handle_t *)&pipe_reader, NULL);
	bench_release(&bench);
	stdout_far_release(&pipe_far);
}

/* ---- null ------------------------------------------------------------------------------------ */

static void start_null(enum manner manner)
{
	static const char *const lines[MANNERS] = {[TAKES] = "",
	    [SILENT] = "delay = 1h\n",
	    [ASKS_LATER] = "answer = retry\n",
	    [FORBIDS] = "answer = hold\n",
	    [REJECTS] = "answer = reject\n"};

	open_output(&output_null, lines[manner]);
}

static bool null_has_request(void)
{
	return true;
}

static void release_null(void)
{
	bench_release(&bench);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Kafka asks for nothing later: librdkafka repeats by itself.  Standard output can only take, wait, or be
 * gone. */
static const struct rig rigs[] = {
    {"kafka, records", &output_kafka, {[TAKES] = true, [SILENT] = true, [FORBIDS] = true, [REJECTS] = true},
	start_kafka_record, kafka_has_request, relent_kafka, gather_kafka_record, release_kafka},
    {"kafka, batches", &output_kafka, {[TAKES] = true, [SILENT] = true, [FORBIDS] = true, [REJECTS] = true},
	start_kafka_batch, kafka_has_request, relent_kafka, gather_kafka_batch, release_kafka},
    {"http", &output_http, {true, true, true, true, true}, start_http, http_has_request, relent_http,
	gather_http, release_http},
    {"stdout", &output_stdout, {[TAKES] = true, [SILENT] = true, [FORBIDS] = true}, start_stdout,
	stdout_has_request, relent_stdout, gather_stdout, release_stdout},
    {"null", &output_null, {true, true, true, true, true}, start_null, null_has_request, NULL, NULL,
	release_null},
};

static void start(const struct rig *rig, enum manner manner)
{
	log_setup(LOG_ERROR, LOG_TEXT);
	bench_init(&bench);
	buf_init(&taken, 1 << 20);
	rig->start(manner);
}

static void finish(const struct rig *rig)
{
	rig->release();
	bench_free_options(rig->ops, options);
	buf_release(&taken);
}

#define FOR_EACH_RIG_THAT(manner)                                                                            \
	for (const struct rig *rig = rigs; rig < rigs + sizeof rigs / sizeof rigs[0]; rig++)                 \
		if (rig->can[manner])

/* Three records named after the letter. */
static struct shipment *ship(char letter)
{
	static char texts[3][64];
	const char *list[3] = {texts[0], texts[1], texts[2]};
	struct destination_text destination[OUTPUT_TEMPLATES] = {{.template = ""}};
	struct shipment *shipment;

	for (int i = 0; i < 3; i++)
		(void)snprintf(texts[i], sizeof texts[i], "{\"log\":\"%c%d %s\"}", letter, i, MARKER);
	if (bench.ops->destination != NULL)
		(void)bench.ops->destination(
	    options, destination); /* plain texts here: they are their own expansions */
	shipment = shipment_new(&bench, list, 3, &source, clock_wall_ns(), destination[0].template);
	shipment_send(shipment);
	return shipment;
}

static void ship_and_expect(const struct rig *rig, char letter, enum answer_kind kind)
{
	struct shipment *shipment = ship(letter);

	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_msg(shipment->counts[kind] == 3, "%s: %u of 3 records have answer %d", rig->name,
	    shipment->counts[kind], (int)kind);
	shipment_free(shipment);
}

/* The far side has exactly the records of these letters, in their order. */
static void expect_taken(const struct rig *rig, const char *letters)
{
	struct buf expected;

	if (rig->gather == NULL)
		return;
	buf_init(&expected, 1 << 20);
	for (const char *letter = letters; *letter != '\0'; letter++)
		for (int i = 0; i < 3; i++)
			buf_printf(&expected, "{\"log\":\"%c%d %s\"}\n", *letter, i, MARKER);
	rig->gather(3 * strlen(letters));
	ck_assert_msg(
	    strcmp(buf_text(&taken), buf_text(&expected)) == 0, "%s has:\n%s", rig->name, buf_text(&taken));
	buf_release(&expected);
}

/* Turns of the loop in which something that should not come had its chance to. */
static void run_idle(void)
{
	for (int i = 0; i < 20; i++)
		uv_run(&bench.loop, UV_RUN_ONCE);
}

/* ---- the sentences --------------------------------------------------------------------------- */

START_TEST(one_each_record_is_answered_exactly_once_later_on_the_loop)
{
	FOR_EACH_RIG_THAT(TAKES)
	{
		struct shipment *a, *b;

		start(rig, TAKES);
		a = ship('a');
		b = ship('b');
		ck_assert(!a->is_done && !b->is_done);
		RUN_UNTIL(&bench, a->is_done && b->is_done);
		run_idle();
		shipment_free(a);
		shipment_free(b);
		finish(rig);
	}
}
END_TEST

START_TEST(two_sent_means_that_the_far_side_has_it)
{
	FOR_EACH_RIG_THAT(TAKES)
	{
		start(rig, TAKES);
		ship_and_expect(rig, 'a', ANSWER_SENT);
		expect_taken(rig, "a");
		finish(rig);
	}
}
END_TEST

START_TEST(two_nothing_is_sent_before_the_far_side_said_so)
{
	FOR_EACH_RIG_THAT(SILENT)
	{
		struct shipment *shipment;

		start(rig, SILENT);
		shipment = ship('a');
		RUN_UNTIL(&bench, rig->has_request());
		run_idle();
		ck_assert_msg(!shipment->is_done, "%s", rig->name);
		if (rig->relent != NULL) {
			rig->relent();
			RUN_UNTIL(&bench, shipment->is_done);
			ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 3);
			expect_taken(rig, "a");
		} else {
			bench_stop(&bench);
		}
		shipment_free(shipment);
		finish(rig);
	}
}
END_TEST

START_TEST(three_retry_leaves_it_to_the_shipper_when_to_send_the_same_again)
{
	FOR_EACH_RIG_THAT(ASKS_LATER)
	{
		start(rig, ASKS_LATER);
		ship_and_expect(rig, 'a', ANSWER_RETRY);
		run_idle();
		if (rig->relent != NULL) {
			rig->relent();
			expect_taken(rig, ""); /* nobody tried again meanwhile */
			ship_and_expect(rig, 'a', ANSWER_SENT);
			buf_clear(&taken);
			expect_taken(rig, "a");
		}
		finish(rig);
	}
}
END_TEST

START_TEST(three_parcels_and_their_records_keep_their_order)
{
	FOR_EACH_RIG_THAT(TAKES)
	{
		start(rig, TAKES);
		for (char letter = 'a'; letter <= 'e'; letter++)
			ship_and_expect(rig, letter, ANSWER_SENT);
		expect_taken(rig, "abcde");
		finish(rig);
	}
}
END_TEST

START_TEST(four_hold_is_the_answer_where_a_person_must_act)
{
	FOR_EACH_RIG_THAT(FORBIDS)
	{
		start(rig, FORBIDS);
		ship_and_expect(rig, 'a', ANSWER_HOLD);
		finish(rig);
	}
}
END_TEST

START_TEST(five_rejected_is_said_of_bytes_that_cannot_be_taken)
{
	FOR_EACH_RIG_THAT(REJECTS)
	{
		struct shipment *shipment;

		start(rig, REJECTS);
		shipment = ship('a');
		RUN_UNTIL(&bench, shipment->is_done);
		ck_assert_uint_eq(shipment->counts[ANSWER_REJECTED], 3);
		ck_assert_str_ne(shipment->reason, "");
		shipment_free(shipment);
		finish(rig);
	}
}
END_TEST

START_TEST(six_bytes_are_borrowed_until_the_answer_and_not_beyond)
{
	FOR_EACH_RIG_THAT(TAKES)
	{
		start(rig, TAKES);
		for (int i = 0; i < 20; i++) /* the memory of one parcel is that of the next */
			ship_and_expect(rig, 'a', ANSWER_SENT);
		expect_taken(rig, "aaaaaaaaaaaaaaaaaaaa");
		finish(rig);
	}
}
END_TEST

START_TEST(seven_stop_has_every_open_record_answered_and_calls_stopped_once)
{
	FOR_EACH_RIG_THAT(SILENT)
	{
		struct shipment *a, *b;

		start(rig, SILENT);
		a = ship('a');
		RUN_UNTIL(&bench, rig->has_request());
		b = ship('b'); /* perhaps the far side has not heard of this one */
		bench_stop(&bench);
		ck_assert_msg(a->is_done && b->is_done, "%s", rig->name);
		ck_assert_uint_eq(a->counts[ANSWER_RETRY] + b->counts[ANSWER_RETRY], 6);
		run_idle();
		ck_assert_uint_eq(bench.stopped_count, 1);
		shipment_free(a);
		shipment_free(b);
		finish(rig);
	}
}
END_TEST

START_TEST(seven_an_idle_output_stops_too)
{
	FOR_EACH_RIG_THAT(TAKES)
	{
		start(rig, TAKES);
		bench_stop(&bench);
		run_idle();
		ck_assert_uint_eq(bench.stopped_count, 1);
		finish(rig);
	}
}
END_TEST

/* Standard error goes to a file; returns what was it. */
static int catch_errors(FILE *file)
{
	int saved = dup(STDERR_FILENO);

	ck_assert_int_ne(saved, -1);
	ck_assert_int_eq(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	return saved;
}

START_TEST(eight_content_is_never_logged)
{
	FOR_EACH_RIG_THAT(REJECTS)
	{
		FILE *file = tmpfile();
		int saved;
		char text[65536];
		size_t len;

		ck_assert_ptr_nonnull(file);
		saved = catch_errors(file);
		start(rig, REJECTS);
		log_setup(LOG_DEBUG, LOG_TEXT);
		ship_and_expect(rig, 'a', ANSWER_REJECTED);
		finish(rig);
		ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
		ck_assert_int_eq(close(saved), 0);
		rewind(file);
		len = fread(text, 1, sizeof text - 1, file);
		text[len] = '\0';
		ck_assert_msg(strstr(text, MARKER) == NULL, "%s: %s", rig->name, text);
		ck_assert_int_eq(fclose(file), 0);
	}
}
END_TEST

START_TEST(each_output_tells_its_name_and_what_it_wants)
{
	for (int i = 0; output_words[i] != NULL; i++) {
		const struct output_ops *ops = output_by_index(i);

		ck_assert_str_eq(ops->name, output_words[i]);
		ck_assert_str_ne(ops->help, "");
		ck_assert(ops->open != NULL && ops->send != NULL && ops->stop != NULL && ops->close != NULL);
	}
}
END_TEST

UNIT_MAIN("output_contract", one_each_record_is_answered_exactly_once_later_on_the_loop,
    two_sent_means_that_the_far_side_has_it, two_nothing_is_sent_before_the_far_side_said_so,
    three_retry_leaves_it_to_the_shipper_when_to_send_the_same_again,
    three_parcels_and_their_records_keep_their_order, four_hold_is_the_answer_where_a_person_must_act,
    five_rejected_is_said_of_bytes_that_cannot_be_taken,
    six_bytes_are_borrowed_until_the_answer_and_not_beyond,
    seven_stop_has_every_open_record_answered_and_calls_stopped_once, seven_an_idle_output_stops_too,
    eight_content_is_never_logged, each_output_tells_its_name_and_what_it_wants)

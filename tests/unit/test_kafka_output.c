/* The Kafka output against mock brokers: what arrives, and how each trouble is answered. */
#include "config.h"

#include "outputs/kafka_output.h"
#include "tests/unit/kafka_far.h"
#include "tests/unit/lost_name.h"
#include "tests/unit/shipment.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "common/log.h"
#include "outputs/kafka_options.h"
#include "outputs/kafka_producer.h"
#include "tests/unit/scratch.h"

static struct bench bench;
static struct kafka_far *far;
static struct kafka_options *options;
static const struct origin origin = {.namespace_name = "shop", .pod = "cart-7f9", .uid = "0b1f", .container = "web", .node = "node-1"},
			   other_origin = {.namespace_name = "shop", .pod = "till-1", .uid = "0b20", .container = "web", .node = "node-1"};
static const struct source source = {&origin, 1, 0}, other_source = {&other_origin, 2, 0};

static void setup(const char *settings)
{
	char *text;

	log_setup(getenv("DRAVE_TEST_LOG") != NULL ? LOG_DEBUG : LOG_ERROR, LOG_TEXT);
	bench_init(&bench);
	far = kafka_far_new();
	text =
	    xasprintf("brokers = %s\ntopic = %s\nrdkafka.topic.metadata.refresh.interval.ms = 100\n"
		      "rdkafka.statistics.interval.ms = 50\nrdkafka.topic.metadata.propagation.max.ms = 100\n"
		      "rdkafka.reconnect.backoff.max.ms = 100\n%s",
		far->brokers, far->topic, settings);
	options = bench_options(&output_kafka, text);
	free(text);
}

static void open_output(void)
{
	bench_open(&bench, &output_kafka, options);
}

static void teardown(void)
{
	bench_release(&bench);
	bench_free_options(&output_kafka, options);
	kafka_far_release(far);
}

static struct shipment *ship(const char *const *texts, size_t count)
{
	struct shipment *shipment = shipment_new(&bench, texts, count, &source, clock_wall_ns(), far->topic);

	shipment_send(shipment);
	return shipment;
}

/* Sends one record again and again until it is answered as expected. */
static void ship_until(enum answer_kind kind)
{
	static const char *const texts[] = {"again"};

	for (uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;;) {
		struct shipment *shipment = ship(texts, 1);
		bool is_it;

		RUN_UNTIL(&bench, shipment->is_done);
		is_it = shipment->counts[kind] == 1;
		shipment_free(shipment);
		if (is_it)
			return;
		ck_assert_uint_lt(clock_monotonic_ms(), deadline_ms);
	}
}

static void status_has(const char *member)
{
	struct buf out;

	buf_init(&out, 4096);
	output_kafka.status(bench.output, &out);
	ck_assert_msg(strstr(buf_text(&out), member) != NULL, "%s is not in %s", member, buf_text(&out));
	buf_release(&out);
}

/* Messages that librdkafka has; its own count (rd_kafka_outq_len) has log lines in it. */
static unsigned long queued_count(void)
{
	static const char name[] = "\"queued_messages\":";
	struct buf out;
	const char *member;
	unsigned long count;

	buf_init(&out, 4096);
	output_kafka.status(bench.output, &out);
	member = strstr(buf_text(&out), name);
	ck_assert_ptr_nonnull(member);
	count = strtoul(member + sizeof name - 1, NULL, 10);
	buf_release(&out);
	return count;
}

/* ---- what arrives ---------------------------------------------------------------------------- */

static const char *const three[] = {"{\"log\":\"one\"}", "{\"log\":\"two\"}", "{\"log\":\"three\"}"};

static void check_header(const rd_kafka_message_t *message, const char *name, const char *expected)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t len;

	ck_assert_int_eq(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
	ck_assert_int_eq(rd_kafka_header_get_last(headers, name, &value, &len), RD_KAFKA_RESP_ERR_NO_ERROR);
	ck_assert_uint_eq(len, strlen(expected));
	ck_assert_mem_eq(value, expected, len);
}

static void look_at_record(const rd_kafka_message_t *message, size_t index, void *arg)
{
	const int64_t *time_ns = arg;

	ck_assert_uint_eq(message->len, strlen(three[index]));
	ck_assert_mem_eq(message->payload, three[index], message->len);
	ck_assert_uint_eq(message->key_len, strlen("shop/cart-7f9/web"));
	ck_assert_mem_eq(message->key, "shop/cart-7f9/web", message->key_len);
	ck_assert_int_eq(rd_kafka_message_timestamp(message, NULL), *time_ns / 1000000);
	check_header(message, "node", "node-1");
	check_header(message, "where", "shop:cart-7f9");
}

START_TEST(a_record_is_a_message_with_key_headers_and_time)
{
	int64_t time_ns = clock_wall_ns() - INT64_C(7200000000000);
	struct shipment *shipment;

	setup("headers = node={node}, where={namespace}:{pod}\n");
	open_output();
	shipment = shipment_new(&bench, three, 3, &source, time_ns, far->topic);
	shipment_send(shipment);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 3);
	shipment_free(shipment);
	kafka_far_read(far, 3, look_at_record, &time_ns);
	teardown();
}
END_TEST

static void look_at_key(const rd_kafka_message_t *message, size_t index, void *arg)
{
	static const char *const keys[] = {"cart-7f9", "till-1", "till-1"};

	(void)arg;
	ck_assert_uint_eq(message->key_len, strlen(keys[index]));
	ck_assert_mem_eq(message->key, keys[index], message->key_len);
}

START_TEST(the_key_is_that_of_each_records_own_source)
{
	struct shipment *shipment;

	setup("key = {pod}\n");
	open_output();
	shipment = shipment_new(&bench, three, 3, &source, clock_wall_ns(), far->topic);
	shipment->records[1].source = shipment->records[2].source = &other_source;
	shipment_send(shipment);
	RUN_UNTIL(&bench, shipment->is_done);
	shipment_free(shipment);
	kafka_far_read(far, 3, look_at_key, NULL);
	teardown();
}
END_TEST

static void look_at_label(const rd_kafka_message_t *message, size_t index, void *arg)
{
	const char *key = index == 0 ? "blue" : "shop/till-1/web";
	rd_kafka_headers_t *headers;
	const void *value;
	size_t len;

	(void)arg;
	ck_assert_uint_eq(message->key_len, strlen(key));
	ck_assert_mem_eq(message->key, key, message->key_len);
	check_header(message, "tier", index == 0 ? "a\r\nb" : "none");
	check_header(message, "where", "till-1");
	ck_assert_int_eq(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
	ck_assert_int_eq(rd_kafka_header_get_last(headers, "app", &value, &len),
	    index == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR__NOENT);
}

/* The source has no metadata any more: what counts is the destination, which is from when the record was read. */
START_TEST(a_label_that_is_not_there_makes_the_key_usual_and_leaves_the_header_out)
{
	static const char *const destinations[][3] = {{"blue", "blue", "a\r\nb"}, {"", "", "none"}};

	setup("key = {label:app}\nheaders = app={label:app}, where={pod}, tier={label:tier:-none}\n");
	open_output();
	for (size_t i = 0; i < 2; i++) {
		struct shipment *shipment =
		    shipment_new(&bench, three, 1, &other_source, clock_wall_ns(), far->topic);

		memcpy(&shipment->destination[1], destinations[i], sizeof destinations[i]);
		shipment_send(shipment);
		RUN_UNTIL(&bench, shipment->is_done);
		shipment_free(shipment);
	}
	kafka_far_read(far, 2, look_at_label, NULL);
	teardown();
}
END_TEST

static void look_at_batch(const rd_kafka_message_t *message, size_t index, void *arg)
{
	static const char expected[] = "{\"log\":\"one\"}\n{\"log\":\"two\"}\n{\"log\":\"three\"}\n";

	(void)index, (void)arg;
	ck_assert_uint_eq(message->len, strlen(expected));
	ck_assert_mem_eq(message->payload, expected, message->len);
	ck_assert_mem_eq(message->key, "node-1/3", message->key_len);
	check_header(message, "content-type", format_ndjson.content_type);
	check_header(message, "content-encoding", "zstd");
	check_header(message, "cluster", "blue");
}

START_TEST(a_batch_is_one_message_that_tells_its_encoding)
{
	struct shipment *shipment;

	setup("payload = batch\nheaders = cluster=blue\n");
	open_output();
	ck_assert(output_kafka.wants_packed(options));
	shipment = shipment_new(&bench, three, 3, &source, clock_wall_ns(), far->topic);
	shipment->parcel.encoding = "zstd"; /* the output does not look into the body */
	shipment->parcel.lane = 3;
	shipment_send(shipment);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 3);
	shipment_free(shipment);
	kafka_far_read(far, 1, look_at_batch, NULL);
	teardown();
}
END_TEST

static void look_at_what_was_left(const rd_kafka_message_t *message, size_t index, void *arg)
{
	(void)arg;
	ck_assert_mem_eq(message->payload, three[index * 2], message->len);
}

START_TEST(settled_records_are_not_sent_again)
{
	struct shipment *shipment;

	setup("");
	open_output();
	shipment = shipment_new(&bench, three, 3, &source, clock_wall_ns(), far->topic);
	shipment_settle(shipment, 1);
	shipment_send(shipment);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 2);
	shipment_free(shipment);
	kafka_far_read(far, 2, look_at_what_was_left, NULL);
	teardown();
}
END_TEST

/* Bytes on the wire for 2000 records of 200 bytes. */
static double wire_bytes(const char *compression, double at_least)
{
	static char text[201];
	static const char *texts[2000];
	struct shipment *shipment;
	double bytes;

	memset(text, 'x', sizeof text - 1);
	for (size_t i = 0; i < 2000; i++)
		texts[i] = text;
	setup("");
	bench.env.compression = compression;
	open_output();
	shipment = ship(texts, 2000);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 2000);
	shipment_free(shipment);
	/* statistics come a little later */
	RUN_UNTIL(&bench, bench_metric(&bench, &output_wire_bytes) > at_least);
	status_has("\"brokers_up\":1");
	bytes = bench_metric(&bench, &output_wire_bytes);
	teardown();
	return bytes;
}

START_TEST(messages_are_compressed_and_the_bytes_on_the_wire_counted)
{
	double plain = wire_bytes("none", 400000), zstd = wire_bytes("zstd", 2000),
	       gzip = wire_bytes("gzip", 2000);

	ck_assert_double_lt(zstd, plain / 8);
	ck_assert_double_lt(gzip, plain / 8);
}
END_TEST

START_TEST(statistics_tell_bytes_brokers_and_round_trips)
{
	static const char json[] = "{ \"name\": "
				   "\"x\",\"tx\":3,\"tx_bytes\":1234,\"brokers\":{\"a\":{\"state\":\"UP\","
				   "\"txbytes\":7,\"int_latency\":{\"avg\":9},"
				   "\"rtt\": { \"min\":1, \"max\":9, \"avg\":250}},\"b\":{\"state\":\"UP\","
				   "\"rtt\": { \"min\":1, \"max\":9, \"avg\":50}},"
				   "\"c\":{\"state\":\"INIT\",\"rtt\":{\"avg\":900}}}}";
	struct kafka_statistics statistics;

	kafka_statistics_read(json, &statistics);
	ck_assert_uint_eq(statistics.wire_bytes, 1234);
	ck_assert_uint_eq(statistics.brokers_up, 2);
	ck_assert_uint_eq(statistics.rtt_us, 250);
	kafka_statistics_read("{}", &statistics);
	ck_assert_uint_eq(statistics.wire_bytes + statistics.brokers_up + statistics.rtt_us, 0);
}
END_TEST

START_TEST(a_time_too_far_ahead_is_counted)
{
	static const struct metric_family family = {
	    "drave_output_clamped_times_total", "", METRIC_COUNTER, "output", NULL, 0};
	struct shipment *shipment;

	setup("");
	open_output();
	shipment =
	    shipment_new(&bench, three, 3, &source, clock_wall_ns() + INT64_C(86400000000000), far->topic);
	shipment->records[0].time_ns = clock_wall_ns();
	shipment_send(shipment);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 3);
	shipment_free(shipment);
	RUN_UNTIL(&bench, bench_metric(&bench, &family) == 2);
	status_has("\"clamped_times\":2");
	teardown();
}
END_TEST

static void look_at_number(const rd_kafka_message_t *message, size_t index, void *arg)
{
	char expected[32];

	(void)arg;
	(void)snprintf(expected, sizeof expected, "%06zu ", index);
	ck_assert_uint_eq(message->len, 1000);
	ck_assert_mem_eq(message->payload, expected, strlen(expected));
}

START_TEST(a_full_queue_makes_records_wait_and_keeps_their_order)
{
	enum { COUNT = 300 };
	static char numbers[COUNT][1001];
	const char *texts[COUNT];
	struct shipment *first, *second;

	setup("");
	bench.env.memory_limit = 8192; /* eight of these messages */
	open_output();
	for (size_t i = 0; i < COUNT; i++) {
		memset(numbers[i], '.', 1000);
		(void)snprintf(numbers[i], 8, "%06zu ", i);
		numbers[i][7] = '.';
		texts[i] = numbers[i];
	}
	first = ship(texts, COUNT / 2);
	second = ship(texts + COUNT / 2, COUNT / 2);
	RUN_UNTIL(&bench, first->is_done && second->is_done);
	ck_assert_uint_eq(first->counts[ANSWER_SENT] + second->counts[ANSWER_SENT], COUNT);
	shipment_free(first);
	shipment_free(second);
	kafka_far_read(far, COUNT, look_at_number, NULL);
	teardown();
}
END_TEST

/* ---- trouble --------------------------------------------------------------------------------- */

START_TEST(a_broker_that_is_down_is_waited_for_and_said_to_be)
{
	struct shipment *shipment;
	struct answer answer;

	setup("");
	ck_assert_int_eq(rd_kafka_mock_broker_set_down(far->cluster, 1), 0);
	open_output();
	ck_assert(!output_kafka.trouble(bench.output, &answer));
	shipment = ship(three, 3);
	RUN_UNTIL(&bench, output_kafka.trouble(bench.output, &answer));
	ck_assert_int_eq(answer.kind, ANSWER_RETRY);
	ck_assert_ptr_nonnull(answer.text);
	ck_assert(!shipment->is_done);
	status_has("\"queued_messages\":3");
	ck_assert_int_eq(rd_kafka_mock_broker_set_up(far->cluster, 1), 0);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 3);
	ck_assert(!output_kafka.trouble(bench.output, &answer));
	shipment_free(shipment);
	teardown();
}
END_TEST

START_TEST(a_missing_topic_holds_until_it_is_there)
{
	struct shipment *shipment;

	setup("");
	rd_kafka_mock_topic_set_error(far->cluster, far->topic, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	open_output();
	shipment = ship(three, 3);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_HOLD], 3);
	ck_assert_str_eq(shipment->reason, "unknown_topic");
	shipment_free(shipment);
	ship_until(ANSWER_HOLD); /* also when it is known to be missing, at once */
	rd_kafka_mock_topic_set_error(far->cluster, far->topic, RD_KAFKA_RESP_ERR_NO_ERROR);
	ship_until(ANSWER_SENT);
	teardown();
}
END_TEST

START_TEST(missing_rights_hold_until_they_are_given)
{
	struct shipment *shipment;

	setup("");
	open_output();
	kafka_far_refuse(far, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
	shipment = ship(three, 3);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_HOLD], 3);
	ck_assert_str_eq(shipment->reason, "unauthorized");
	ck_assert_str_ne(shipment->text, "");
	shipment_free(shipment);
	ship_until(ANSWER_SENT);
	teardown();
}
END_TEST

START_TEST(a_set_that_is_too_large_rejects_each_of_its_records)
{
	struct shipment *shipment;

	setup("");
	open_output();
	kafka_far_refuse(far, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1);
	shipment = ship(three, 3);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_REJECTED], 3);
	ck_assert_str_eq(shipment->reason, "too_large");
	shipment_free(shipment);
	ship_until(ANSWER_SENT);
	teardown();
}
END_TEST

START_TEST(a_record_that_librdkafka_refuses_does_not_touch_its_neighbours)
{
	char *giant = xmalloc(1000002);
	const char *texts[] = {"before", giant, "behind"};
	struct shipment *shipment;

	memset(giant, 'x', 1000001);
	giant[1000001] = '\0';
	setup("");
	open_output();
	shipment = ship(texts, 3);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_int_eq(shipment->kinds[0], ANSWER_SENT);
	ck_assert_int_eq(shipment->kinds[1], ANSWER_REJECTED);
	ck_assert_int_eq(shipment->kinds[2], ANSWER_SENT);
	shipment_free(shipment);
	free(giant);
	teardown();
}
END_TEST

START_TEST(the_longest_record_that_the_limit_allows_is_taken)
{
	size_t len;
	char *longest;
	const char *texts[1];
	struct shipment *shipment;

	setup("headers = where={namespace}/{pod}\n");
	open_output();
	len = output_kafka.record_limit(options);
	ck_assert_uint_gt(len, 990000);
	longest = xmalloc(len + 1);
	memset(longest, 'x', len);
	longest[len] = '\0';
	texts[0] = longest;
	shipment = ship(texts, 1);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 1);
	shipment_free(shipment);
	free(longest);
	teardown();
}
END_TEST

START_TEST(what_brokers_refuse_for_the_moment_is_repeated_without_an_answer)
{
	struct shipment *shipment;

	setup("");
	open_output();
	kafka_far_refuse(far, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, 1);
	kafka_far_refuse(far, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 1);
	kafka_far_refuse(far, RD_KAFKA_RESP_ERR__TRANSPORT, 1);
	shipment = ship(three, 3);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 3);
	shipment_free(shipment);
	teardown();
}
END_TEST

enum { MANY = 100 };
static char names[2 * MANY][8];
static const char *many[2 * MANY];

/* Sets have 20 records, and others wait while one is under way. */
static void setup_many(const char *settings)
{
	char *text = xasprintf("rdkafka.batch.num.messages = 20\n%s", settings);

	for (size_t i = 0; i < 2 * MANY; i++) {
		(void)snprintf(names[i], sizeof names[i], "%03zu", i);
		many[i] = names[i];
	}
	setup(text);
	open_output();
	ck_assert_int_eq(rd_kafka_mock_broker_set_rtt(far->cluster, 1, 20), 0);
	free(text);
}

/* The messages must be one after another, from *arg on. */
static void look_at_next(const rd_kafka_message_t *message, size_t index, void *arg)
{
	const size_t *first = arg;

	ck_assert_uint_eq(message->len, strlen(names[0]));
	ck_assert_mem_eq(message->payload, names[*first + index], message->len);
}

static void refused_for_good(rd_kafka_resp_err_t code, enum answer_kind kind)
{
	struct shipment *refused, *neighbour;
	size_t first = MANY;

	setup_many("");
	kafka_far_refuse(far, code, 1);
	refused = ship(many, MANY);
	neighbour = ship(many + MANY, MANY);
	RUN_UNTIL(&bench, refused->is_done && neighbour->is_done);
	ck_assert_uint_eq(refused->counts[kind], MANY);
	ck_assert_uint_eq(refused->alone_count, 0);
	ck_assert_uint_eq(neighbour->counts[ANSWER_SENT], MANY);
	shipment_free(refused);
	shipment_free(neighbour);
	kafka_far_read(far, MANY, look_at_next, &first); /* and nothing of the refused one's rest before it */
	status_has("\"producers_started\":2");
	teardown();
}

START_TEST(nothing_of_a_parcel_overtakes_its_records_that_are_too_large)
{
	refused_for_good(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ANSWER_REJECTED);
}
END_TEST

START_TEST(nothing_of_a_parcel_overtakes_its_records_that_met_an_unknown_error)
{
	refused_for_good(RD_KAFKA_RESP_ERR_UNKNOWN, ANSWER_RETRY);
}
END_TEST

static struct shipment *ship_carefully(bool is_doubted, bool is_alone, size_t count)
{
	struct shipment *shipment =
	    shipment_new(&bench, many, count, &source, clock_wall_ns(), far->topic);

	shipment->parcel.is_doubted = is_doubted;
	shipment->parcel.is_alone = is_alone;
	shipment_send(shipment);
	return shipment;
}

START_TEST(of_a_doubted_parcel_the_first_record_goes_ahead_and_costs_no_producer)
{
	struct shipment *shipment;
	size_t first = 0;

	setup_many("");
	for (unsigned i = 0; i < 3; i++) {
		kafka_far_refuse(far, RD_KAFKA_RESP_ERR_UNKNOWN, 1);
		shipment = ship_carefully(true, false, MANY);
		RUN_UNTIL(&bench, shipment->is_done);
		ck_assert_uint_eq(shipment->counts[ANSWER_RETRY], MANY);
		shipment_free(shipment);
	}
	shipment = ship_carefully(true, false, MANY);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], MANY);
	shipment_free(shipment);
	kafka_far_read(far, MANY, look_at_next, &first);
	status_has("\"producers_started\":1");
	status_has("\"careful_producer\":\"up\"");
	teardown();
}
END_TEST

START_TEST(few_suspects_are_judged_each_alone)
{
	struct shipment *shipment;
	size_t first = 1;

	setup_many("");
	kafka_far_refuse(far, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1);
	shipment = ship_carefully(false, true, 20);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_int_eq(shipment->kinds[0], ANSWER_REJECTED);
	ck_assert_uint_eq(shipment->alone_count, 1);
	ck_assert_uint_eq(shipment->counts[ANSWER_SENT], 19);
	shipment_free(shipment);
	kafka_far_read(far, 19, look_at_next, &first);
	status_has("\"producers_started\":1");
	teardown();
}
END_TEST

START_TEST(a_stop_recalls_from_both_producers)
{
	struct shipment *usual, *doubted;

	setup_many("");
	ck_assert_int_eq(rd_kafka_mock_broker_set_down(far->cluster, 1), 0);
	usual = ship(many, MANY);
	doubted = ship_carefully(true, false, MANY);
	RUN_UNTIL(&bench, rd_kafka_outq_len(kafka_output_handle(bench.output)) >= MANY);
	status_has("\"careful_producer\":\"up\"");
	bench_stop(&bench);
	ck_assert_uint_eq(usual->counts[ANSWER_RETRY], MANY);
	ck_assert_uint_eq(doubted->counts[ANSWER_RETRY], MANY);
	shipment_free(usual);
	shipment_free(doubted);
	teardown();
}
END_TEST

START_TEST(a_fatal_error_gives_everything_back_and_starts_again)
{
	struct shipment *shipment;

	setup("");
	open_output();
	ck_assert_int_eq(rd_kafka_mock_broker_set_rtt(far->cluster, 1, 20000), 0);
	shipment = ship(three, 3);
	RUN_UNTIL(&bench, queued_count() >= 3);
	ck_assert_int_eq(rd_kafka_test_fatal_error(kafka_output_handle(bench.output),
			     RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "made for a test"),
	    RD_KAFKA_RESP_ERR_NO_ERROR);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_RETRY], 3);
	shipment_free(shipment);
	status_has("made for a test");
	ck_assert_int_eq(rd_kafka_mock_broker_set_rtt(far->cluster, 1, 0), 0);
	ship_until(ANSWER_SENT);
	status_has("\"producers_started\":2");
	teardown();
}
END_TEST

START_TEST(a_fatal_error_for_want_of_rights_holds)
{
	struct shipment *shipment;

	setup("");
	ck_assert_int_eq(rd_kafka_mock_broker_set_down(far->cluster, 1), 0);
	open_output();
	shipment = ship(three, 3);
	RUN_UNTIL(&bench, queued_count() >= 3);
	ck_assert_int_eq(rd_kafka_test_fatal_error(kafka_output_handle(bench.output),
			     RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, "made for a test"),
	    RD_KAFKA_RESP_ERR_NO_ERROR);
	RUN_UNTIL(&bench, shipment->is_done);
	ck_assert_uint_eq(shipment->counts[ANSWER_HOLD], 3);
	ck_assert_str_eq(shipment->reason, "unauthorized");
	shipment_free(shipment);
	teardown();
}
END_TEST

START_TEST(credentials_that_change_are_taken_up)
{
	struct scratch scratch;
	struct shipment *shipment;
	struct answer answer;
	char *settings;

	scratch_init(&scratch);
	scratch_append(&scratch, "password", "wrong\n");
	settings = xasprintf("sasl_mechanism = PLAIN\nusername = drave\npassword_file = %s\n",
	    scratch_path(&scratch, "password"));
	setup(settings); /* the mock knows nothing of SASL: no password is right */
	open_output();
	shipment = ship(three, 3);
	RUN_UNTIL(&bench, output_kafka.trouble(bench.output, &answer) && answer.kind == ANSWER_HOLD);
	ck_assert_str_eq(answer.reason, "unauthenticated");
	status_has("\"producers_started\":1");
	scratch_append(&scratch, "new", "other\n");
	scratch_rename(&scratch, "new", "password");
	RUN_UNTIL(&bench, shipment->is_done); /* the producer with the old password gave it back */
	ck_assert_uint_eq(shipment->counts[ANSWER_RETRY], 3);
	shipment_free(shipment);
	shipment = ship(three, 3);
	RUN_UNTIL(&bench, kafka_output_handle(bench.output) != NULL);
	status_has("\"producers_started\":2");
	bench_stop(&bench);
	shipment_free(shipment);
	free(settings);
	scratch_release(&scratch);
	teardown();
}
END_TEST

/* ---- the end --------------------------------------------------------------------------------- */

START_TEST(a_stop_recalls_what_is_queued_and_what_is_under_way)
{
	struct shipment *queued, *under_way;

	setup("");
	open_output();
	ship_until(ANSWER_SENT);
	ck_assert_int_eq(rd_kafka_mock_broker_set_rtt(far->cluster, 1, 60000), 0);
	under_way = ship(three, 3);
	RUN_UNTIL(&bench, queued_count() >= 3);
	queued = ship(three, 3);
	bench_stop(&bench);
	ck_assert_uint_eq(under_way->counts[ANSWER_RETRY], 3);
	ck_assert_uint_eq(queued->counts[ANSWER_RETRY], 3);
	shipment_free(under_way);
	shipment_free(queued);
	teardown();
}
END_TEST

START_TEST(a_stop_does_not_wait_for_a_resolver_that_hangs)
{
	struct shipment *shipment;
	uint64_t start_ms;

	log_setup(LOG_ERROR, LOG_TEXT);
	bench_init(&bench);
	options = bench_options(&output_kafka, "brokers = " LOST_NAME ":9092\ntopic = logs\n");
	open_output();
	shipment = shipment_new(&bench, three, 3, &source, clock_wall_ns(), "logs");
	shipment_send(shipment);
	RUN_UNTIL(&bench, lost_count != 0);
	start_ms = clock_monotonic_ms();
	bench_stop(&bench);
	ck_assert_uint_lt(clock_monotonic_ms() - start_ms, LOST_MS - 1000);
	ck_assert_uint_eq(shipment->counts[ANSWER_RETRY], 3);
	shipment_free(shipment);
	bench_release(&bench);
	bench_free_options(&output_kafka, options);
	lost_name_wait();
}
END_TEST

START_TEST(a_stop_gives_back_what_waits_for_the_queue)
{
	enum { COUNT = 100 };
	static char text[1001];
	const char *texts[COUNT];
	struct shipment *shipment;

	memset(text, 'x', sizeof text - 1);
	for (size_t i = 0; i < COUNT; i++)
		texts[i] = text;
	setup("");
	bench.env.memory_limit = 8192;
	ck_assert_int_eq(rd_kafka_mock_broker_set_down(far->cluster, 1), 0);
	open_output();
	shipment = ship(texts, COUNT);
	RUN_UNTIL(&bench, queued_count() >= 8);
	bench_stop(&bench);
	ck_assert_uint_eq(shipment->counts[ANSWER_RETRY], COUNT);
	shipment_free(shipment);
	teardown();
}
END_TEST

START_TEST(what_librdkafka_refuses_at_start_is_an_error_with_its_words)
{
	struct output *output;
	struct err err = {0};

	setup("tls = on\nrdkafka.ssl.crl.location = /nowhere/at/all\n");
	ck_assert_int_eq(output_kafka.open(&output, options, &bench.env, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, "librdkafka") != NULL, "%s", err.text);
	teardown();
}
END_TEST

UNIT_MAIN("kafka_output", a_record_is_a_message_with_key_headers_and_time,
    a_label_that_is_not_there_makes_the_key_usual_and_leaves_the_header_out,
    the_key_is_that_of_each_records_own_source, a_batch_is_one_message_that_tells_its_encoding,
    settled_records_are_not_sent_again, messages_are_compressed_and_the_bytes_on_the_wire_counted,
    statistics_tell_bytes_brokers_and_round_trips, a_time_too_far_ahead_is_counted,
    a_full_queue_makes_records_wait_and_keeps_their_order, a_broker_that_is_down_is_waited_for_and_said_to_be,
    a_missing_topic_holds_until_it_is_there, missing_rights_hold_until_they_are_given,
    a_set_that_is_too_large_rejects_each_of_its_records,
    a_record_that_librdkafka_refuses_does_not_touch_its_neighbours,
    the_longest_record_that_the_limit_allows_is_taken,
    what_brokers_refuse_for_the_moment_is_repeated_without_an_answer,
    nothing_of_a_parcel_overtakes_its_records_that_are_too_large,
    nothing_of_a_parcel_overtakes_its_records_that_met_an_unknown_error,
    of_a_doubted_parcel_the_first_record_goes_ahead_and_costs_no_producer, few_suspects_are_judged_each_alone,
    a_stop_recalls_from_both_producers,
    a_fatal_error_gives_everything_back_and_starts_again, a_fatal_error_for_want_of_rights_holds,
    credentials_that_change_are_taken_up, a_stop_recalls_what_is_queued_and_what_is_under_way,
    a_stop_does_not_wait_for_a_resolver_that_hangs,
    a_stop_gives_back_what_waits_for_the_queue, what_librdkafka_refuses_at_start_is_an_error_with_its_words)

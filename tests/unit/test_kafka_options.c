/* Kafka's options: what is refused with which words, and what librdkafka is told. */
#include "config.h"

#include "outputs/kafka_options.h"
#include "outputs/template.h"
#include "tests/unit/unit.h"

#include <string.h>

#include "common/must.h"

static struct kafka_options options;
static struct ini_complaints complaints;

/* Binds the section of these lines; complaints has what was wrong with them. */
static void configure(const char *lines)
{
	char *text = xasprintf("[output:main]\n%s", lines);
	struct ini ini = {0};
	struct bind_target target = {kafka_rows, &options};

	options = (struct kafka_options){0};
	ini_complaints_init(&complaints);
	ini_read_text(&ini, "test.ini", text, strlen(text), getenv, &complaints);
	bind_section(ini.sections, "output:main", &target, 1, &complaints);
	kafka_options_check(&options, ini.sections, "output:main", &complaints);
	ini_release(&ini);
	free(text);
}

static void release(void)
{
	bind_release(kafka_rows, &options);
	ini_complaints_release(&complaints);
}

#define NEEDED "brokers = a:9092\ntopic = logs\n" /* lines 2 and 3 */

/* These further lines give exactly one error, at line 4, with these words. */
static void refuses(const char *lines, const char *words)
{
	char *all = xasprintf(NEEDED "%s", lines);

	configure(all);
	ck_assert_msg(complaints.error_count == 1, "'%s': %u errors\n%s", lines, complaints.error_count,
	    buf_text(&complaints.text));
	ck_assert_msg(
	    strncmp(buf_text(&complaints.text), "test.ini:4: ", 12) == 0, "%s", buf_text(&complaints.text));
	ck_assert_msg(strstr(buf_text(&complaints.text), words) != NULL, "'%s' is not in: %s", words,
	    buf_text(&complaints.text));
	release();
	free(all);
}

static void takes(const char *lines)
{
	char *all = xasprintf(NEEDED "%s", lines);

	configure(all);
	ck_assert_msg(complaints.error_count == 0, "%s", buf_text(&complaints.text));
	release();
	free(all);
}

START_TEST(brokers_and_topic_are_enough_and_needed)
{
	takes("");
	configure("");
	ck_assert_uint_eq(complaints.error_count, 2);
	release();
}
END_TEST

START_TEST(acks_0_is_refused_with_the_reason)
{
	takes("acks = 1\n");
	refuses("acks = 0\n", "nobody answers");
	refuses("acks = 2\n", "must be all or 1");
}
END_TEST

START_TEST(properties_that_librdkafka_does_not_know_are_named_with_its_version)
{
	takes("rdkafka.socket.timeout.ms = 20000\n");
	refuses("rdkafka.socket.timeout = 20000\n", "'socket.timeout' is not known to librdkafka ");
	refuses("rdkafka.socket.timeout = 20000\n", rd_kafka_version_str());
	refuses("rdkafka.socket.timeout.ms = soon\n", "rdkafka.socket.timeout.ms: ");
}
END_TEST

START_TEST(properties_that_promises_rest_on_are_refused_with_the_reason)
{
	static const char *const names[] = {"bootstrap.servers", "acks", "request.required.acks",
	    "message.timeout.ms", "delivery.timeout.ms", "enable.idempotence",
	    "enable.gapless.guarantee", "max.in.flight",
	    "max.in.flight.requests.per.connection", "delivery.report.only.error", "transactional.id",
	    "queue.buffering.max.kbytes", "message.max.bytes", "linger.ms", "compression.type",
	    "sasl.password", "log.queue"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char *line = xasprintf("rdkafka.%s = 1\n", names[i]),
		     *words = xasprintf("rdkafka.%s cannot be set: ", names[i]);

		refuses(line, words);
		free(line);
		free(words);
	}
}
END_TEST

START_TEST(a_batch_takes_neither_key_nor_headers_of_one_container)
{
	takes("payload = batch\nheaders = node={node}, cluster=blue\n");
	refuses("key = {pod}\npayload = batch\n", "payload = batch takes no key");
	refuses(
	    "headers = cluster=blue, pod={pod}\npayload = batch\n", "'pod={pod}' differs within a message");
	refuses("headers = day={date:%d}\npayload = batch\n", "differs within a message");
	refuses("headers = app={label:app:-x}\npayload = batch\n", "differs within a message");
}
END_TEST

START_TEST(a_topic_says_where_records_without_the_label_go)
{
	configure("brokers = a:9092\ntopic = {label:app}\n");
	ck_assert_uint_eq(complaints.error_count, 1);
	ck_assert_ptr_nonnull(strstr(buf_text(&complaints.text), "test.ini:3: a pod may not have the label"));
	release();
	configure("brokers = a:9092\ntopic = {label:app:-other}.{annotation:x:-}\n");
	ck_assert_uint_eq(complaints.error_count, 0);
	release();
	configure("brokers = a:9092\ntopic = {label:app:-other}{label:tier}\n");
	ck_assert_uint_eq(complaints.error_count, 1);
	release();
	configure("brokers = a:9092\ntopic = {label:app}\nfallback_topic = other\n");
	ck_assert_uint_eq(complaints.error_count, 0);
	release();
	takes("key = {label:app}\nheaders = app={label:app}, team={annotation:team/x:-none}\n");
	refuses("fallback_topic = no topic\n", "a topic has");
}
END_TEST

START_TEST(labels_in_key_and_headers_are_part_of_the_destination)
{
	struct destination_text texts[OUTPUT_TEMPLATES];
	struct kafka_places places;

	configure(NEEDED "key = {pod}\nheaders = a={node}\n");
	ck_assert_uint_eq(kafka_options_destination(&options, texts), 1);
	places = kafka_options_places(&options);
	ck_assert(places.key == 0 && places.headers[0] == 0 && places.count == 1);
	release();
	configure(NEEDED "key = {label:k}\nheaders = a={node}, b={annotation:b:-x}, c={label:c}\nfallback_topic = f\n");
	ck_assert_uint_eq(kafka_options_destination(&options, texts), 4);
	ck_assert_str_eq(texts[0].template, "logs");
	ck_assert_str_eq(texts[0].fallback, "f");
	ck_assert_str_eq(texts[1].template, "{label:k}");
	ck_assert_str_eq(texts[2].template, "{annotation:b:-x}");
	ck_assert_str_eq(texts[3].template, "{label:c}");
	ck_assert_ptr_null(texts[3].fallback);
	places = kafka_options_places(&options);
	ck_assert(places.key == 1 && places.headers[0] == 0 && places.headers[1] == 2 && places.headers[2] == 3);
	release();
}
END_TEST

START_TEST(headers_are_names_and_templates)
{
	refuses("headers = cluster\n", "name=template");
	refuses("headers = =blue\n", "name=template");
	refuses("headers = where={nowhere}\n", "unknown placeholder");
}
END_TEST

START_TEST(logins_and_certificates_are_whole)
{
	refuses("sasl_mechanism = PLAIN\n", "needs username and password_file");
	refuses("username = drave\n", "username needs sasl_mechanism");
	refuses("ca_file = /dev/null\n", "ca_file needs tls = on");
	refuses("cert_file = /dev/null\ntls = on\n", "need each other");
	refuses("sasl_mechanism = GSSAPI\n", "not in this version");
}
END_TEST

/* ---- what librdkafka is told ----------------------------------------------------------------- */

static void check_property(rd_kafka_conf_t *conf, const char *name, const char *expected)
{
	char value[256];
	size_t size = sizeof value;

	ck_assert_int_eq(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
	ck_assert_msg(strcmp(value, expected) == 0, "%s = %s, not %s", name, value, expected);
}

static rd_kafka_conf_t *conf_for(const char *lines, struct output_env env, bool is_careful)
{
	struct err err = {0};
	rd_kafka_conf_t *conf;

	configure(lines);
	ck_assert_msg(complaints.error_count == 0, "%s", buf_text(&complaints.text));
	conf = kafka_options_conf(&options, &env, is_careful, NULL, &err);
	ck_assert_msg(conf != NULL, "%s", err.text);
	return conf;
}

static const struct output_env plain_env = {.name = "main",
    .node_name = "node-1",
    .compression = "zstd",
    .compression_level = 3,
    .memory_limit = 8 << 20};

static rd_kafka_conf_t *conf_of(const char *lines, struct output_env env)
{
	return conf_for(lines, env, false);
}

START_TEST(librdkafka_is_told_what_the_promises_need)
{
	rd_kafka_conf_t *conf = conf_of(NEEDED, plain_env);

	check_property(conf, "bootstrap.servers", "a:9092");
	check_property(conf, "acks", "-1");
	check_property(conf, "message.timeout.ms", "0");
	check_property(conf, "enable.idempotence", "true");
	check_property(conf, "enable.gapless.guarantee", "true");
	check_property(conf, "max.in.flight", (unsigned)rd_kafka_version() >= 0x020300ff ? "5" : "1");
	check_property(conf, "delivery.report.only.error", "false");
	check_property(conf, "queue.buffering.max.kbytes", "8192");
	check_property(conf, "queue.buffering.max.messages", "16384");
	check_property(conf, "compression.type", "zstd");
	check_property(conf, "compression.level", "3");
	check_property(conf, "linger.ms", "5");
	check_property(conf, "partitioner", "murmur2_random");
	check_property(conf, "client.id", "node-1");
	rd_kafka_conf_destroy(conf);
	release();
}
END_TEST

START_TEST(the_careful_producer_goes_on_behind_what_is_refused)
{
	rd_kafka_conf_t *conf = conf_for(NEEDED "linger = 50ms\n", plain_env, true);

	check_property(conf, "acks", "-1");
	check_property(conf, "message.timeout.ms", "0");
	check_property(conf, "enable.idempotence", "false");
	check_property(conf, "enable.gapless.guarantee", "false");
	check_property(conf, "linger.ms", "0");
	rd_kafka_conf_destroy(conf);
	release();
}
END_TEST

START_TEST(weaker_acks_give_up_idempotence)
{
	rd_kafka_conf_t *conf = conf_of(NEEDED "acks = 1\n", plain_env);

	check_property(conf, "acks", "1");
	check_property(conf, "enable.idempotence", "false");
	check_property(conf, "enable.gapless.guarantee", "false");
	check_property(conf, "max.in.flight", "1");
	rd_kafka_conf_destroy(conf);
	release();
}
END_TEST

START_TEST(a_batch_is_not_compressed_twice_and_waits_for_no_other)
{
	rd_kafka_conf_t *conf = conf_of(NEEDED "payload = batch\n", plain_env);

	check_property(conf, "compression.type", "none");
	check_property(conf, "linger.ms", "0");
	rd_kafka_conf_destroy(conf);
	release();
}
END_TEST

START_TEST(a_level_that_librdkafka_has_not_becomes_its_highest)
{
	struct output_env env = plain_env;
	rd_kafka_conf_t *conf;

	env.compression_level = 19;
	conf = conf_of(NEEDED, env);
	check_property(conf, "compression.level", "12");
	rd_kafka_conf_destroy(conf);
	release();
}
END_TEST

START_TEST(other_properties_reach_librdkafka)
{
	rd_kafka_conf_t *conf =
	    conf_of(NEEDED "rdkafka.client.id = me\nrdkafka.socket.timeout.ms = 20000\n", plain_env);

	check_property(conf, "client.id", "me");
	check_property(conf, "socket.timeout.ms", "20000");
	rd_kafka_conf_destroy(conf);
	release();
}
END_TEST

START_TEST(the_record_limit_leaves_room_for_the_longest_key_and_headers)
{
	size_t plain, with_headers, batch;

	configure(NEEDED);
	plain = kafka_options_record_limit(&options);
	release();
	configure(NEEDED "headers = a={pod}, b={pod}\n");
	with_headers = kafka_options_record_limit(&options);
	release();
	configure(NEEDED "payload = batch\n");
	batch = kafka_options_record_limit(&options);
	release();
	ck_assert_uint_gt(plain, 998000);
	ck_assert_uint_lt(plain, 1000000 - 63 - 1 - 253 - 1 - 63);
	ck_assert_uint_le(with_headers, plain - 2 * 253);
	configure(NEEDED "headers = a={annotation:a}\n");
	ck_assert_uint_le(kafka_options_record_limit(&options), plain - TEMPLATE_VALUE_BYTES);
	release();
	ck_assert_uint_lt(batch, plain - 3906); /* zstd's worst case: 1 in 256 */
}
END_TEST

UNIT_MAIN("kafka_options", brokers_and_topic_are_enough_and_needed, acks_0_is_refused_with_the_reason,
    properties_that_librdkafka_does_not_know_are_named_with_its_version,
    properties_that_promises_rest_on_are_refused_with_the_reason,
    a_batch_takes_neither_key_nor_headers_of_one_container,
    a_topic_says_where_records_without_the_label_go,
    labels_in_key_and_headers_are_part_of_the_destination, headers_are_names_and_templates,
    logins_and_certificates_are_whole, librdkafka_is_told_what_the_promises_need,
    the_careful_producer_goes_on_behind_what_is_refused, weaker_acks_give_up_idempotence, a_batch_is_not_compressed_twice_and_waits_for_no_other,
    a_level_that_librdkafka_has_not_becomes_its_highest, other_properties_reach_librdkafka,
    the_record_limit_leaves_room_for_the_longest_key_and_headers)

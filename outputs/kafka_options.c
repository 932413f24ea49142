/* Kafka's options.  What its section may say, what of it goes together, and which properties of librdkafka
 * come of it.  Everything else of librdkafka is reached by rdkafka.*, except what our promises rest on.
 *
 * Stands beside the Kafka output.  Owns nothing.  Refuses a property that would make an acknowledgement mean
 * less, let a message expire, or change the order. */
#include "config.h"
#include "outputs/kafka_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "outputs/kafka_verdict.h"
#include "outputs/template.h"

#define LOG_MODULE   "kafka"
#define KAFKA(field) offsetof(struct kafka_options, field)

#define MESSAGE_BYTES     1000000 /* message.max.bytes: librdkafka looks at key and value before compression */
#define MESSAGE_OVERHEAD  1024    /* what else a message and its set have on the wire, generously */
#define HEADER_OVERHEAD   16
#define QUEUED_BYTES_EACH 512        /* librdkafka's own memory for a waiting message, roughly */
#define LEVEL_MAX         12         /* of compression.level, for any codec */
#define FIVE_SINCE        0x020300ff /* before it, answers that were lost for two sets in flight made it give up */
#define SCRAM_SINCE       0x020601ff /* before it, the SCRAM nonce was one that Kafka 4 refuses */

static const char *const payload_words[] = {"record", "batch", NULL};
static const char *const timestamp_words[] = {"log", "ingest", NULL};
static const char *const partitioner_words[] = {
    "murmur2_random", "murmur2", "consistent_random", "consistent", "random", "fnv1a_random", "fnv1a", NULL};
static const char *const mechanism_words[] = {
    "none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI", NULL};

static const char *check_header(const char *text)
{
	const char *equals = strchr(text, '=');

	if (equals == NULL || equals == text)
		return "a header is name=template";
	return template_check(equals + 1);
}

static const char *check_acks(const char *text)
{
	if (strcmp(text, "0") == 0)
		return "with 0 nobody answers, so nothing would ever be known to have arrived; use all";
	return strcmp(text, "all") == 0 || strcmp(text, "1") == 0 ? NULL : "must be all or 1";
}

static const char *check_topic(const char *text)
{
	return kafka_topic_is_legal(text) ? NULL : "a topic has 1 to 249 characters of a-z A-Z 0-9 . _ -";
}

const struct bind_row kafka_rows[] = {
    {.key = "brokers",
	.kind = BIND_TEXT,
	.offset = KAFKA(brokers),
	.required = true,
	.help = "Bootstrap servers, host:port, several by comma."},
    {.key = "topic",
	.kind = BIND_TEMPLATE,
	.offset = KAFKA(topic),
	.required = true,
	.check = template_check,
	.help = "Topic, for instance logs.{namespace}.  What a topic's name cannot have becomes _.  While a "
		"topic does not exist its "
		"records are held, not dropped."},
    {.key = "fallback_topic",
	.kind = BIND_TEXT,
	.offset = KAFKA(fallback_topic),
	.check = check_topic,
	.help = "Topic of records for which the template cannot be filled (a label that the pod does not "
		"have, without {label:NAME:-TEXT}).  Not for missing topics."},
    {.key = "key",
	.kind = BIND_TEMPLATE,
	.offset = KAFKA(key),
	.check = template_check,
	.help = "Message key.  Default: " KAFKA_STREAM_KEY
		", so that a container stays in one partition and in order; it also stands where a key "
		"cannot be filled.  payload = batch uses {node}/LANE and takes no other."},
    {.key = "headers",
	.kind = BIND_LIST,
	.offset = KAFKA(headers),
	.check = check_header,
	.help = "Message headers, name=template, several by comma, 32 at most.  One that cannot be filled "
		"is left out."},
    {.key = "payload",
	.kind = BIND_WORD,
	.offset = KAFKA(payload),
	.words = payload_words,
	.fallback = "record",
	.help = "record: one message a record, compressed by librdkafka as all Kafka clients know it.  "
		"batch: one message carries a batch, "
		"newline-delimited JSON compressed as a whole, with the headers content-type and "
		"content-encoding; faster, for consumers that know it."},
    {.key = "acks",
	.kind = BIND_TEXT,
	.offset = KAFKA(acks),
	.fallback = "all",
	.check = check_acks,
	.help = "all: a record counts as delivered when every in-sync replica has it.  1: when the leader "
		"has it, who may then be lost with it; a set of messages can then overtake one that is "
		"repeated."},
    {.key = "linger",
	.kind = BIND_DURATION,
	.offset = KAFKA(linger_ms),
	.fallback = "5ms",
	.max = 60000,
	.help = "How long librdkafka waits for more messages to share a request.  With payload = batch a "
		"message does not wait: it is a batch already."},
    {.key = "partitioner",
	.kind = BIND_WORD,
	.offset = KAFKA(partitioner),
	.words = partitioner_words,
	.fallback = "murmur2_random",
	.help = "How a key chooses its partition; murmur2_random is what Java producers do."},
    {.key = "timestamp",
	.kind = BIND_WORD,
	.offset = KAFKA(timestamp),
	.words = timestamp_words,
	.fallback = "log",
	.help = "A message's time: of the log line, or of sending.  A log time more than an hour ahead, "
		"which Kafka 4 refuses, becomes "
		"the time of sending and is counted."},
    {.key = "tls",
	.kind = BIND_BOOL,
	.offset = KAFKA(tls),
	.fallback = "off",
	.help = "TLS to the brokers, their certificates verified."},
    {.key = "ca_file",
	.kind = BIND_FILE,
	.offset = KAFKA(ca_file),
	.help = "Authorities that the brokers' certificates are verified with.  Default: the system's."},
    {.key = "cert_file", .kind = BIND_FILE, .offset = KAFKA(cert_file), .help = "Client certificate (PEM)."},
    {.key = "key_file", .kind = BIND_SECRET_FILE, .offset = KAFKA(key_file), .help = "Its key (PEM)."},
    {.key = "sasl_mechanism",
	.kind = BIND_WORD,
	.offset = KAFKA(sasl_mechanism),
	.words = mechanism_words,
	.fallback = "none",
	.later = "OAUTHBEARER,GSSAPI",
	.help = "How to log in at the brokers."},
    {.key = "username", .kind = BIND_TEXT, .offset = KAFKA(username), .help = "User to log in as."},
    {.key = "password_file",
	.kind = BIND_SECRET_FILE,
	.offset = KAFKA(password_file),
	.help = "File with the password; it and the certificates are looked at again when a broker does not "
		"let us in."},
    {.key = "retry_backoff",
	.kind = BIND_DURATION_RANGE,
	.offset = KAFKA(retry_backoff),
	.fallback = "1s..5s",
	.min = 1,
	.max = 3600000,
	.help = "Shortest and longest wait between tries; librdkafka has repeated already, and a topic that "
		"someone creates shall be served within seconds."},
    {.key = "rdkafka.",
	.kind = BIND_PREFIX,
	.offset = KAFKA(rdkafka),
	.secret = true,
	.help = "Any other property of librdkafka, as rdkafka.socket.timeout.ms = 20000."},
    {.key = NULL},
};

/* ---- where records go ------------------------------------------------------------------------- */

static bool needs_metadata(const char *text)
{
	struct template *template = template_new(text, TEMPLATE_PLAIN);
	bool needs = template_needs_metadata(template);

	template_free(template);
	return needs;
}

static const char *header_template(const struct kafka_options *options, size_t number)
{
	return strchr(options->headers.items[number], '=') + 1;
}

struct kafka_places kafka_options_places(const struct kafka_options *options)
{
	struct kafka_places places = {.count = 1};

	_Static_assert(2 + KAFKA_HEADERS_MAX <= OUTPUT_TEMPLATES, "topic, key and headers have their places");
	if (options->key != NULL && needs_metadata(options->key))
		places.key = places.count++;
	for (size_t i = 0; i < options->headers.count; i++)
		if (needs_metadata(header_template(options, i)))
			places.headers[i] = places.count++;
	return places;
}

/* Whatever a topic may not have is replaced when it is used: kafka_topic_name. */
size_t kafka_options_destination(const void *base, struct destination_text *ret_texts)
{
	const struct kafka_options *options = base;
	struct kafka_places places = kafka_options_places(options);

	ret_texts[0] = (struct destination_text){options->topic, TEMPLATE_PLAIN, options->fallback_topic};
	if (places.key != 0)
		ret_texts[places.key] = (struct destination_text){options->key, TEMPLATE_PLAIN, NULL};
	for (size_t i = 0; i < options->headers.count; i++)
		if (places.headers[i] != 0)
			ret_texts[places.headers[i]] =
			    (struct destination_text){header_template(options, i), TEMPLATE_PLAIN, NULL};
	return places.count;
}

/* ---- how long a record may be ---------------------------------------------------------------- */

static size_t longest_expansion(const char *text)
{
	struct template *template = template_new(text, TEMPLATE_PLAIN);
	size_t longest = template_longest(template);

	template_free(template);
	return longest;
}

/* What a message may have beside its value. */
static size_t longest_rest(const struct kafka_options *options)
{
	size_t usual = longest_expansion(KAFKA_STREAM_KEY);
	size_t key = options->key != NULL ? longest_expansion(options->key) : 0;
	size_t rest = MESSAGE_OVERHEAD + (key > usual ? key : usual);

	for (size_t i = 0; i < options->headers.count; i++) {
		const char *equals = strchr(options->headers.items[i], '=');

		rest += (size_t)(equals - options->headers.items[i]) + longest_expansion(equals + 1) +
			HEADER_OVERHEAD;
	}
	if (options->payload == KAFKA_PAYLOAD_BATCH)
		rest +=
		    MESSAGE_BYTES / 128; /* bytes that no codec can make smaller come out a little longer */
	return rest;
}

size_t kafka_options_record_limit(const void *options)
{
	size_t rest = longest_rest(options);

	return rest < MESSAGE_BYTES / 2 ? MESSAGE_BYTES - rest : MESSAGE_BYTES / 2;
}

/* ---- what goes together ---------------------------------------------------------------------- */

/* Properties that are not to be had by rdkafka.*, and why. */
static const struct {
	const char *name;
	const char *why;
} ours[] = {
    {"bootstrap.servers", "use brokers"},
    {"metadata.broker.list", "use brokers"},
    {"acks", "use acks"},
    {"request.required.acks", "use acks"},
    {"linger.ms", "use linger"},
    {"queue.buffering.max.ms", "use linger"},
    {"partitioner", "use partitioner"},
    {"compression.type", "use compression"},
    {"compression.codec", "use compression"},
    {"compression.level", "use compression_level"},
    {"security.protocol", "use tls and sasl_mechanism"},
    {"sasl.mechanism", "use sasl_mechanism"},
    {"sasl.mechanisms", "use sasl_mechanism"},
    {"sasl.username", "use username"},
    {"sasl.password", "use password_file"},
    {"ssl.ca.location", "use ca_file"},
    {"ssl.certificate.location", "use cert_file"},
    {"ssl.key.location", "use key_file"},
    {"message.timeout.ms", "it is 0: a message that expired would be a lost one"},
    {"delivery.timeout.ms", "it is 0: a message that expired would be a lost one"},
    {"enable.idempotence", "the order within a container rests on it"},
    {"enable.gapless.guarantee", "the order within a container rests on it"},
    {"max.in.flight", "the order within a container rests on it"},
    {"max.in.flight.requests.per.connection", "the order within a container rests on it"},
    {"delivery.report.only.error", "a delivery report is what acknowledges a record"},
    {"transactional.id", "transactions are not used"},
    {"message.max.bytes", "records are cut to fit 1,000,000 bytes"},
    {"queue.buffering.max.kbytes", "memory_limit bounds the queue"},
    {"log.queue", "log lines come through the loop"},
    {"plugin.library.paths", "a plug-in could change or drop messages"},
};

static struct ini_place place_of(const struct ini_section *section, const char *key)
{
	return section != NULL ? bind_place(section, key) : (struct ini_place){"(defaults)", 0};
}

static void check_property(
    const char *item, const struct ini_section *section, struct ini_complaints *complaints)
{
	const char *equals = strchr(item, '=');
	char *name = xstrndup(item, (size_t)(equals - item)), *key = xasprintf("rdkafka.%s", name);
	struct ini_place place = place_of(section, key);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	const char *why = NULL;
	char text[512];

	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (strcmp(name, ours[i].name) == 0)
			why = ours[i].why;
	if (why != NULL) {
		ini_error(complaints, place, "%s cannot be set: %s", key, why);
	} else {
		switch (rd_kafka_conf_set(conf, name, equals + 1, text, sizeof text)) {
		case RD_KAFKA_CONF_UNKNOWN:
			ini_error(complaints, place, "%s: '%s' is not known to librdkafka %s", key, name,
			    rd_kafka_version_str());
			break;
		case RD_KAFKA_CONF_INVALID: ini_error(complaints, place, "%s: %s", key, text); break;
		case RD_KAFKA_CONF_OK: break;
		}
	}
	rd_kafka_conf_destroy(conf);
	free(key);
	free(name);
}

/* Does the template become the same for all containers of a node, at any time? */
static bool is_node_wide(const char *text)
{
	static const struct origin one = {.namespace_name = "a", .pod = "a", .uid = "a", .container = "a", .node = "node"};
	static const struct origin other = {.namespace_name = "b", .pod = "b", .uid = "b", .container = "b", .node = "node"};
	struct template *template = template_new(text, TEMPLATE_PLAIN);
	struct buf expansions[2];
	bool is_same;

	buf_init(&expansions[0], BUFSIZ);
	buf_init(&expansions[1], BUFSIZ);
	is_same = !template_needs_stream(template) && !template_needs_time(template) &&
		  !template_needs_metadata(template) &&
		  template_expand(template, &one, RECORD_STDOUT, 0, &expansions[0]) &&
		  template_expand(template, &other, RECORD_STDOUT, 0, &expansions[1]) &&
		  strcmp(buf_text(&expansions[0]), buf_text(&expansions[1])) == 0;
	buf_release(&expansions[0]);
	buf_release(&expansions[1]);
	template_free(template);
	return is_same;
}

static bool can_fail(const char *text)
{
	struct template *template = text != NULL ? template_new(text, TEMPLATE_PLAIN) : NULL;
	bool can = template != NULL && template_can_fail(template);

	template_free(template);
	return can;
}

static void check_templates(
    const struct kafka_options *options, const struct ini_section *section, struct ini_complaints *complaints)
{
	bool is_batch = options->payload == KAFKA_PAYLOAD_BATCH;

	if (can_fail(options->topic) && options->fallback_topic == NULL)
		ini_error(complaints, place_of(section, "topic"),
		    "a pod may not have the label: fallback_topic, or {label:NAME:-TEXT}, says where its records "
		    "go then");
	if (is_batch && options->key != NULL)
		ini_error(complaints, place_of(section, "key"),
		    "payload = batch takes no key: a message has records of several containers");
	if (longest_rest(options) >= MESSAGE_BYTES / 2)
		ini_error(complaints, place_of(section, options->headers.count != 0 ? "headers" : "key"),
		    "key and headers can become longer than a message has room for beside a record");
	if (options->headers.count > KAFKA_HEADERS_MAX)
		ini_error(complaints, place_of(section, "headers"), "there are more than %d headers",
		    KAFKA_HEADERS_MAX);
	for (size_t i = 0; i < options->headers.count; i++) {
		const char *template = strchr(options->headers.items[i], '=') + 1;

		if (is_batch && !is_node_wide(template))
			ini_error(complaints, place_of(section, "headers"),
			    "'%s' differs within a message: payload = batch takes {node} and plain text only",
			    options->headers.items[i]);
	}
}

static void check_security(
    const struct kafka_options *options, const struct ini_section *section, struct ini_complaints *complaints)
{
	const char *login = options->username != NULL ? "username" : "password_file";
	const char *certificate = options->ca_file != NULL     ? "ca_file"
				  : options->cert_file != NULL ? "cert_file"
							       : "key_file";

	if (options->sasl_mechanism != 0 && (options->username == NULL || options->password_file == NULL))
		ini_error(complaints, place_of(section, "sasl_mechanism"),
		    "sasl_mechanism needs username and password_file");
	if (options->sasl_mechanism == 0 && (options->username != NULL || options->password_file != NULL))
		ini_error(complaints, place_of(section, login), "%s needs sasl_mechanism", login);
	if (!options->tls &&
	    (options->ca_file != NULL || options->cert_file != NULL || options->key_file != NULL))
		ini_error(complaints, place_of(section, certificate), "%s needs tls = on", certificate);
	if ((options->cert_file != NULL) != (options->key_file != NULL))
		ini_error(complaints,
		    place_of(section, options->cert_file != NULL ? "cert_file" : "key_file"),
		    "cert_file and key_file need each other");
}

void kafka_options_check(const void *base, const struct ini_section *section, const char *section_name,
    struct ini_complaints *complaints)
{
	const struct kafka_options *options = base;

	(void)section_name;
	check_templates(options, section, complaints);
	check_security(options, section, complaints);
	for (size_t i = 0; i < options->rdkafka.count; i++)
		check_property(options->rdkafka.items[i], section, complaints);
}

/* ---- librdkafka's configuration -------------------------------------------------------------- */

struct setup {
	rd_kafka_conf_t *conf;
	struct err *err;
	int status;
};

static void set(struct setup *setup, const char *name, const char *value)
{
	char text[ERR_TEXT_BYTES / 2];

	if (setup->status != 0 || value == NULL)
		return;
	if (rd_kafka_conf_set(setup->conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
		setup->status = err_set(
		    setup->err, -EINVAL, "librdkafka %s refuses %s: %s", rd_kafka_version_str(), name, text);
}

static void set_number(struct setup *setup, const char *name, uint64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%" PRIu64, value);
	set(setup, name, text);
}

/* What rdkafka.* may change. */
static void set_defaults(struct setup *setup, const struct output_env *env)
{
	uint64_t messages = env->memory_limit / QUEUED_BYTES_EACH;

	set(setup, "client.id", env->node_name);
	set(setup, "socket.keepalive.enable", "true");
	set(setup, "log.connection.close", "false"); /* brokers close idle connections all day */
	set(setup, "statistics.interval.ms", "5000");
	set(setup, "reconnect.backoff.max.ms", "5000");
	set(setup, "topic.metadata.propagation.max.ms", "5000"); /* how soon a missing topic is told */
	set(setup, "topic.metadata.refresh.interval.ms",
	    "30000"); /* how soon rights to write, once given, are noticed */
	set_number(setup, "queue.buffering.max.messages",
	    messages < 1000       ? 1000
	    : messages < 10000000 ? messages
				  : 10000000);
}

static void set_others(struct setup *setup, const struct bind_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *equals = strchr(list->items[i], '=');
		char *name = xstrndup(list->items[i], (size_t)(equals - list->items[i]));

		set(setup, name, equals + 1);
		free(name);
	}
}

bool kafka_options_keep_order(const struct kafka_options *options)
{
	return options->payload == KAFKA_PAYLOAD_RECORD && strcmp(options->acks, "all") == 0;
}

/* Without idempotence one request in flight would not be enough to keep the order: librdkafka makes the next
 * one ready meanwhile, and sends it before it repeats one that was refused.  With it alone the next one goes on
 * behind one that is refused for good; the gapless guarantee makes that a fatal error. */
static void set_promises(struct setup *setup, const struct kafka_options *options, bool is_careful)
{
	bool is_idempotent = strcmp(options->acks, "all") == 0 && !is_careful; /* needs all; a lone message does not need it */
	bool has_five = is_idempotent && (unsigned)rd_kafka_version() >= FIVE_SINCE;

	set(setup, "acks", options->acks);
	set(setup, "enable.idempotence", is_idempotent ? "true" : "false");
	if (kafka_options_keep_order(options) && !is_careful)
		set(setup, "enable.gapless.guarantee", "true");
	set(setup, "max.in.flight", has_five ? "5" : "1");
	set(setup, "message.timeout.ms", "0");
	set(setup, "log.queue", "true");
}

static void set_sizes(struct setup *setup, const struct kafka_options *options, const struct output_env *env,
    bool is_careful)
{
	bool compresses = options->payload == KAFKA_PAYLOAD_RECORD && strcmp(env->compression, "none") != 0;
	uint64_t kbytes = env->memory_limit / 1024;

	set_number(setup, "message.max.bytes", MESSAGE_BYTES);
	set_number(setup, "linger.ms", options->payload == KAFKA_PAYLOAD_BATCH || is_careful ? 0 : options->linger_ms);
	set_number(setup, "queue.buffering.max.kbytes",
	    kbytes < 1           ? 1
	    : kbytes < INT32_MAX ? kbytes
				 : INT32_MAX);
	set(setup, "partitioner", partitioner_words[options->partitioner]);
	set(setup, "compression.type", compresses ? env->compression : "none");
	if (compresses)
		set_number(setup, "compression.level",
		    env->compression_level < LEVEL_MAX ? (uint64_t)env->compression_level : LEVEL_MAX);
}

static void set_security(struct setup *setup, const struct kafka_options *options, const char *password)
{
	bool sasl = options->sasl_mechanism != 0;

	set(setup, "security.protocol",
	    options->tls ? (sasl ? "sasl_ssl" : "ssl") : (sasl ? "sasl_plaintext" : "plaintext"));
	set(setup, "ssl.ca.location", options->ca_file);
	set(setup, "ssl.certificate.location", options->cert_file);
	set(setup, "ssl.key.location", options->key_file);
	if (sasl) {
		set(setup, "sasl.mechanism", mechanism_words[options->sasl_mechanism]);
		set(setup, "sasl.username", options->username);
		set(setup, "sasl.password", password);
	}
}

rd_kafka_conf_t *kafka_options_conf(const struct kafka_options *options, const struct output_env *env,
    bool is_careful, const char *password, struct err *err)
{
	struct setup setup = {rd_kafka_conf_new(), err, 0};

	set_defaults(&setup, env);
	set_others(&setup, &options->rdkafka);
	set(&setup, "bootstrap.servers", options->brokers);
	set_promises(&setup, options, is_careful);
	set_sizes(&setup, options, env, is_careful);
	set_security(&setup, options, password);
	if (setup.status == 0)
		return setup.conf;
	rd_kafka_conf_destroy(setup.conf);
	return NULL;
}

void kafka_options_warn(const struct kafka_options *options, const struct output_env *env)
{
	const char *mechanism = mechanism_words[options->sasl_mechanism];

	if (strncmp(mechanism, "SCRAM", 5) == 0 && (unsigned)rd_kafka_version() < SCRAM_SINCE)
		log_warn("SCRAM of this librdkafka does not work with Kafka 4; use librdkafka 2.6.1 or newer "
			 "(the image has it), or PLAIN over TLS",
		    "output=%s librdkafka=%s", env->name, rd_kafka_version_str());
	if (strcmp(mechanism, "PLAIN") == 0 && !options->tls)
		log_warn("the password goes over the network as it is; use tls = on", "output=%s", env->name);
	if (strcmp(options->acks, "1") == 0)
		log_warn(
		    "acks = 1: records that only the leader has count as delivered, and are lost with it",
		    "output=%s", env->name);
	if (options->payload == KAFKA_PAYLOAD_RECORD && env->compression_level > LEVEL_MAX)
		log_warn("librdkafka compresses at level 12 at most", "output=%s compression_level=%d",
		    env->name, env->compression_level);
}

/* What Kafka's section may say, and what of it goes together.  Everything else of librdkafka is reached by rdkafka.*, except what our promises rest on.
 *
 * Stands beside kafka_output.c.  Also the pure decisions: verdicts on error codes, topic names, message times. */
#include "config.h"
#include "outputs/kafka_output.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

#include "outputs/template.h"

#define KAFKA(field) offsetof(struct kafka_options, field)

const char *const kafka_acks_words[] = {"all", "1", NULL};
const char *const kafka_partitioner_words[] = {
	"murmur2_random", "murmur2", "consistent_random", "consistent", "random", "fnv1a_random", "fnv1a", NULL};
static const char *const payload_words[] = {"record", "batch", NULL};
static const char *const timestamp_words[] = {"log", "ingest", NULL};

static const char *check_header(const char *text)
{
	const char *equals = strchr(text, '=');

	if (equals == NULL || equals == text)
		return "a header is name=template";
	return template_check(equals + 1);
}

const struct bind_row kafka_rows[] = {
	{.key = "brokers", .kind = BIND_TEXT, .offset = KAFKA(brokers), .required = true, .help = "Bootstrap servers, host:port, several by comma."},
	{.key = "topic", .kind = BIND_TEMPLATE, .offset = KAFKA(topic), .required = true, .check = template_check,
		.help = "Topic, for instance logs.{namespace}.  Characters that a topic cannot have become _.  A missing topic holds its records."},
	{.key = "fallback_topic", .kind = BIND_TEXT, .offset = KAFKA(fallback_topic),
		.help = "Topic for records whose topic template cannot be filled (a label that a pod does not have)."},
	{.key = "key", .kind = BIND_TEMPLATE, .offset = KAFKA(key), .check = template_check,
		.help = "Message key.  Default: {namespace}/{pod}/{container}, so that the order of a container holds within its partition."},
	{.key = "headers", .kind = BIND_LIST, .offset = KAFKA(headers), .check = check_header,
		.help = "Message headers, name=template, several by comma."},
	{.key = "payload", .kind = BIND_WORD, .offset = KAFKA(payload), .words = payload_words, .fallback = "record",
		.help = "record: one message a record, compressed by record batches as Kafka does.  batch: one message carries a compressed frame of NDJSON, with the "
			"headers content-encoding and content-type."},
	{.key = "acks", .kind = BIND_WORD, .offset = KAFKA(acks), .words = kafka_acks_words, .fallback = "all",
		.help = "all: every in-sync replica has it.  1: the leader alone, which may lose what it acknowledged."},
	{.key = "linger", .kind = BIND_DURATION, .offset = KAFKA(linger_ms), .fallback = "5ms", .max = 60000,
		.help = "How long librdkafka gathers messages into one request."},
	{.key = "partitioner", .kind = BIND_WORD, .offset = KAFKA(partitioner), .words = kafka_partitioner_words, .fallback = "murmur2_random",
		.help = "How a key chooses its partition; murmur2_random does as Java producers do."},
	{.key = "timestamp", .kind = BIND_WORD, .offset = KAFKA(timestamp), .words = timestamp_words, .fallback = "log",
		.help = "Time of a message: that of the log line, or that of sending.  A log time more than an hour ahead becomes the time of sending."},
	{.key = "tls", .kind = BIND_BOOL, .offset = KAFKA(tls), .fallback = "off", .help = "TLS to the brokers; certificates are verified."},
	{.key = "ca_file", .kind = BIND_FILE, .offset = KAFKA(ca_file), .help = "Authorities that the brokers' certificates are verified with.  Default: the system's."},
	{.key = "cert_file", .kind = BIND_FILE, .offset = KAFKA(cert_file), .help = "Client certificate (PEM)."},
	{.key = "key_file", .kind = BIND_SECRET_FILE, .offset = KAFKA(key_file), .help = "Its key (PEM)."},
	{.key = "sasl_mechanism", .kind = BIND_TEXT, .offset = KAFKA(sasl_mechanism), .help = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or another that librdkafka knows."},
	{.key = "username", .kind = BIND_TEXT, .offset = KAFKA(username), .help = "SASL user."},
	{.key = "password_file", .kind = BIND_SECRET_FILE, .offset = KAFKA(password_file),
		.help = "File with the SASL password; read again when authentication fails."},
	{.key = "retry_backoff", .kind = BIND_DURATION_RANGE, .offset = KAFKA(retry_backoff), .fallback = "1s..60s", .min = 1, .max = 3600000,
		.help = "Shortest and longest wait before messages that failed are produced again; librdkafka's own retries come first."},
	{.key = "rdkafka.", .kind = BIND_PREFIX, .offset = KAFKA(rdkafka), .secret = true,
		.help = "Any other property of librdkafka, as rdkafka.socket.keepalive.enable = true."},
	{.key = NULL},
};

/* ---- what goes together ------------------------------------------------------------------------------------------- */

/* Properties that this program's promises rest on. */
static const struct {
	const char *name;
	const char *instead;
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
	{"message.timeout.ms", "nothing is ever given up here: it is 0"},
	{"delivery.timeout.ms", "nothing is ever given up here: it is 0"},
	{"enable.idempotence", "it is on where this librdkafka does it right"},
	{"max.in.flight", "the order of a container rests on it"},
	{"max.in.flight.requests.per.connection", "the order of a container rests on it"},
	{"delivery.report.only.error", "acknowledgements rest on it"},
	{"transactional.id", "transactions are not used"},
	{"message.max.bytes", "records are cut to fit 1,000,000 bytes"},
	{"queue.buffering.max.kbytes", "memory_limit bounds it"},
	{"log.queue", "it is on"},
};

static void complain(struct ini_complaints *complaints, const struct ini_section *section, const char *key, const char *text)
{
	ini_error(complaints, section != NULL ? bind_place(section, key) : (struct ini_place){"(defaults)", 0}, "%s", text);
}

static void check_property(const char *item, const struct ini_section *section, struct ini_complaints *complaints)
{
	const char *equals = strchr(item, '=');
	char name[128], key[160], why[512];
	rd_kafka_conf_t *conf;

	if (equals == NULL || (size_t)(equals - item) >= sizeof name)
		return;
	memcpy(name, item, (size_t)(equals - item));
	name[equals - item] = '\0';
	snprintf(key, sizeof key, "rdkafka.%s", name);
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
		if (strcmp(name, ours[i].name) == 0) {
			ini_error(complaints, bind_place(section, key), "rdkafka.%s cannot be set: %s", name, ours[i].instead);
			return;
		}
	}
	conf = rd_kafka_conf_new();
	switch (rd_kafka_conf_set(conf, name, equals + 1, why, sizeof why)) {
	case RD_KAFKA_CONF_UNKNOWN:
		ini_error(complaints, bind_place(section, key), "rdkafka.%s is not known to librdkafka %s", name, rd_kafka_version_str());
		break;
	case RD_KAFKA_CONF_INVALID: ini_error(complaints, bind_place(section, key), "rdkafka.%s: %s", name, why); break;
	case RD_KAFKA_CONF_OK: break;
	}
	rd_kafka_conf_destroy(conf);
}

static bool needs_metadata(const char *text)
{
	struct template *template;
	bool needs;

	if (text == NULL || template_check(text) != NULL)
		return false;
	template = template_new(text);
	needs = template_needs_metadata(template);
	template_free(template);
	return needs;
}

static void check_templates(const struct kafka_options *options, const struct ini_section *section, struct ini_complaints *complaints)
{
	static const char later[] = "{label:...} and {annotation:...} need metadata_source, which is none in this version";

	if (needs_metadata(options->topic) && options->fallback_topic == NULL)
		complain(complaints, section, "topic", "a topic with {label:...} or {annotation:...} needs fallback_topic");
	if (needs_metadata(options->key))
		complain(complaints, section, "key", later);
	for (size_t i = 0; i < options->headers.count; i++)
		if (strchr(options->headers.items[i], '=') != NULL && needs_metadata(strchr(options->headers.items[i], '=') + 1))
			complain(complaints, section, "headers", later);
	if (options->fallback_topic != NULL) {
		char name[250];

		kafka_topic_name(options->fallback_topic, name);
		if (strcmp(name, options->fallback_topic) != 0)
			complain(complaints, section, "fallback_topic", "a topic has 1 to 249 characters of a-z A-Z 0-9 . _ -");
	}
}

void kafka_check(const void *base, const struct ini_section *section, const char *section_name, struct ini_complaints *complaints)
{
	const struct kafka_options *options = base;

	(void)section_name;
	if (options->payload == KAFKA_BATCH && options->key != NULL)
		complain(complaints, section, "key", "payload = batch uses the key {node}/{lane}: a message has records of several containers");
	if (options->payload == KAFKA_BATCH && options->headers.count != 0)
		complain(complaints, section, "headers", "payload = batch has headers of its own: a message has records of several containers");
	if (options->sasl_mechanism != NULL && strcmp(options->sasl_mechanism, "GSSAPI") != 0 && strcmp(options->sasl_mechanism, "OAUTHBEARER") != 0 &&
	    (options->username == NULL || options->password_file == NULL))
		complain(complaints, section, "sasl_mechanism", "sasl_mechanism needs username and password_file");
	if (options->sasl_mechanism == NULL && (options->username != NULL || options->password_file != NULL))
		complain(complaints, section, options->username != NULL ? "username" : "password_file", "username and password_file need sasl_mechanism");
	if (!options->tls && (options->ca_file != NULL || options->cert_file != NULL || options->key_file != NULL))
		complain(complaints, section, options->ca_file != NULL ? "ca_file" : options->cert_file != NULL ? "cert_file" : "key_file",
			"certificates need tls = on");
	if ((options->cert_file != NULL) != (options->key_file != NULL))
		complain(complaints, section, options->cert_file != NULL ? "cert_file" : "key_file", "cert_file and key_file need each other");
	for (size_t i = 0; i < options->rdkafka.count; i++)
		check_property(options->rdkafka.items[i], section, complaints);
	check_templates(options, section, complaints);
}

/* ---- pure decisions ----------------------------------------------------------------------------------------------- */

struct answer kafka_verdict(int code)
{
	struct answer answer = {.kind = ANSWER_RETRY, .reason = "transport", .retry_after_ms = -1};

	switch (code) {
	case RD_KAFKA_RESP_ERR_NO_ERROR: answer = (struct answer){.kind = ANSWER_SENT, .reason = "sent", .retry_after_ms = -1}; break;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		answer.kind = ANSWER_REJECTED;
		answer.reason = "too_large";
		break;
	case RD_KAFKA_RESP_ERR_INVALID_MSG:
	case RD_KAFKA_RESP_ERR_INVALID_RECORD:
	case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
	case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
		answer.kind = ANSWER_REJECTED;
		answer.reason = "invalid";
		break;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		answer.kind = ANSWER_HOLD;
		answer.reason = "unauthorized";
		break;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		answer.kind = ANSWER_HOLD;
		answer.reason = "unknown_topic";
		break;
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
	case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
	case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS:
		answer.kind = ANSWER_HOLD;
		answer.reason = "refused";
		break;
	case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
	case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT: answer.reason = "stopped"; break;
	default: break; /* whatever else may pass */
	}
	return answer;
}

void kafka_topic_name(const char *expansion, char out[250])
{
	size_t len = 0;

	for (; expansion[len] != '\0' && len < 249; len++) {
		char c = expansion[len];
		bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';

		out[len] = legal ? c : '_';
	}
	if (len == 0 || (out[0] == '.' && (len == 1 || (len == 2 && out[1] == '.'))))
		out[len++] = '_';
	out[len] = '\0';
}

int64_t kafka_message_time(int64_t log_ns, int64_t now_ms, bool *ret_clamped)
{
	int64_t log_ms = log_ns / 1000000;

	*ret_clamped = log_ms > now_ms + 3600000;
	return *ret_clamped ? now_ms : log_ms;
}

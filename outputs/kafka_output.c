/* Kafka output.  librdkafka's event API: its threads write to an eventfd, the loop drains one queue; no callback of ours runs on a thread of theirs.
 *
 *     send -> enqueue (as far as the queue takes) -> delivery report -> verdict -> answer of that record
 *
 * Stands at the end of the road.  Owns the producer, its topic handles and a posting per parcel.  Message bytes are not copied: they are the parcel's until the
 * report comes.  An acknowledgement is a delivery report and nothing else; librdkafka never gives a message up by itself (message.timeout.ms = 0), we do, by
 * purging at a stop, and its records are then sent again.
 *
 * Producer:   UP --fatal error, or a new password--> PURGING (reports of everything come) --> REBUILDING (destroyed on a worker) --> UP
 * While it is not UP, postings wait. */
#include "config.h"
#include "outputs/kafka_output.h"

#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"
#include "outputs/template.h"

#define LOG_MODULE        "kafka_output"
#define OUTPUT_MAGIC      MAGIC('k', 'o', 'u', 't')
#define MESSAGE_MAX       1000000 /* librdkafka's message.max.bytes: key, headers and value before compression */
#define MESSAGE_OVERHEAD  2048    /* the longest key, and what a message has beside its parts */
#define HEADER_MAX        1024    /* of one expanded header */
#define EVENTS_PER_WAKE   64      /* before the loop looks at other things */
#define QUEUE_MESSAGES    "1000000"
#define STATISTICS_MS     "5000"
#define SECRET_BYTES      65536
#define TEXT_BYTES        200
#define KEY_BYTES         1024
#define IDEMPOTENT_SINCE  0x020300ff /* before 2.3.0 a possibly persisted error can make the idempotent producer fatal */
#define SCRAM_SINCE       0x020601ff /* before 2.6.1 Kafka 4 refuses its SCRAM nonce */

enum producer_state { PRODUCER_UP, PRODUCER_PURGING, PRODUCER_REBUILDING };

struct slot { /* a message's opaque */
	struct posting *posting;
	uint32_t index; /* of its record in the parcel */
	int code;       /* of a message that could not be enqueued */
	bool refused;
};

struct posting { /* a parcel under way */
	struct parcel *parcel;
	struct topic *topic;
	size_t next;             /* the first record that is not enqueued yet */
	size_t unanswered_count;
	size_t refused_count;    /* answered from the next turn of the loop */
	struct posting *prev, *next_posting;
	struct slot slots[];
};

struct topic {
	char *name;
	rd_kafka_topic_t *handle;
	unsigned posting_count;
	bool is_stale; /* to be asked for anew */
	UT_hash_handle hh;
};

struct header {
	char *name;
	struct template *value;
};

struct kafka_output {
	unsigned magic;
	const struct kafka_options *options;
	struct output_env env;
	enum producer_state state;
	rd_kafka_t *producer;
	rd_kafka_queue_t *queue;
	int event_fd;
	uv_poll_t poll;
	uv_timer_t later;         /* answers that may not come from inside send() */
	uv_work_t destroying;
	struct topic *topics;
	struct posting *postings; /* all, in the order of their sending */
	size_t enqueued_count;    /* messages whose report is outstanding */
	struct template *key;
	struct header *headers;
	size_t header_count;
	char *password;
	char *brokers_text;
	char last_error[TEXT_BYTES];
	uint64_t fatal_count, clamped_count, wire_seen;
	struct metric *wire_bytes, *clamped;
	void (*stopped)(void *arg);
	void *stopped_arg;
	bool is_stopping, is_closing;
	int open_handles;
};

static const struct metric_family family_clamped = {"drave_output_clamped_times_total",
	"Records whose log time was more than an hour ahead and became the time of sending.", METRIC_COUNTER, "output", NULL, 0};

static struct kafka_output *output_of(void *pointer)
{
	struct kafka_output *output = pointer;

	must(output->magic == OUTPUT_MAGIC);
	return output;
}

const char *output_kafka_library(void)
{
	static char text[64];

	snprintf(text, sizeof text, "librdkafka %s", rd_kafka_version_str());
	return text;
}

/* ---- the producer ------------------------------------------------------------------------------------------------- */

struct configuring {
	rd_kafka_conf_t *conf;
	struct err *err;
	int status;
};

static void set(struct configuring *configuring, const char *name, const char *value)
{
	char why[512];

	if (configuring->status != 0 || value == NULL)
		return;
	if (rd_kafka_conf_set(configuring->conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
		configuring->status = err_set(configuring->err, -EINVAL, "cannot set %s: %s", name, why);
}

static void set_number(struct configuring *configuring, const char *name, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64, value);
	set(configuring, name, text);
}

static void set_promises(struct configuring *configuring, const struct kafka_output *output)
{
	bool idempotent = output->options->acks == 0 && (unsigned)rd_kafka_version() >= IDEMPOTENT_SINCE;

	set(configuring, "acks", kafka_acks_words[output->options->acks]);
	set(configuring, "enable.idempotence", idempotent ? "true" : "false");
	set(configuring, "max.in.flight.requests.per.connection", idempotent ? "5" : "1"); /* more would reorder when one is retried */
	set(configuring, "message.timeout.ms", "0");
	set(configuring, "message.send.max.retries", "2147483647");
	set(configuring, "topic.metadata.propagation.max.ms", "5000"); /* how soon a missing topic is told */
	set(configuring, "topic.metadata.refresh.interval.ms", "60000");
	set(configuring, "log.queue", "true");
}

static void set_sizes(struct configuring *configuring, const struct kafka_output *output)
{
	bool is_batch = output->options->payload == KAFKA_BATCH;

	set_number(configuring, "linger.ms", output->options->linger_ms);
	set_number(configuring, "message.max.bytes", MESSAGE_MAX);
	set_number(configuring, "queue.buffering.max.kbytes", output->env.memory_limit / 1024 + 1);
	set(configuring, "queue.buffering.max.messages", QUEUE_MESSAGES);
	set(configuring, "compression.type", is_batch ? "none" : output->env.compression);
	if (!is_batch && strcmp(output->env.compression, "none") != 0)
		set_number(configuring, "compression.level", (uint64_t)output->env.compression_level);
	set(configuring, "statistics.interval.ms", STATISTICS_MS);
}

static void set_security(struct configuring *configuring, const struct kafka_output *output)
{
	const struct kafka_options *options = output->options;
	bool sasl = options->sasl_mechanism != NULL;

	set(configuring, "security.protocol", options->tls ? (sasl ? "sasl_ssl" : "ssl") : (sasl ? "sasl_plaintext" : "plaintext"));
	set(configuring, "ssl.ca.location", options->ca_file);
	set(configuring, "ssl.certificate.location", options->cert_file);
	set(configuring, "ssl.key.location", options->key_file);
	set(configuring, "sasl.mechanism", options->sasl_mechanism);
	set(configuring, "sasl.username", options->username);
	set(configuring, "sasl.password", output->password);
}

static void set_others(struct configuring *configuring, const struct kafka_output *output)
{
	const struct bind_list *others = &output->options->rdkafka;

	for (size_t i = 0; i < others->count; i++) {
		char *name = xstrdup(others->items[i]), *equals = strchr(name, '=');

		*equals = '\0';
		set(configuring, name, equals + 1);
		free(name);
	}
}

static char *read_password(const struct kafka_output *output)
{
	struct buf text;
	struct err err;
	char *password = NULL;

	if (output->options->password_file == NULL)
		return NULL;
	buf_init(&text, SECRET_BYTES);
	if (file_read_secret(output->options->password_file, &text, &err) == 0)
		password = xstrdup(buf_text(&text));
	else
		log_error("cannot read password", "output=%s error=%s", output->env.name, log_quote(err.text));
	if (text.data != NULL)
		explicit_bzero(text.data, text.len);
	buf_release(&text);
	return password;
}

static void forget_password(struct kafka_output *output)
{
	if (output->password != NULL)
		explicit_bzero(output->password, strlen(output->password));
	free(output->password);
	output->password = NULL;
}

static void drain(struct kafka_output *output);

static int start_producer(struct kafka_output *output, struct err *err)
{
	struct configuring configuring = {rd_kafka_conf_new(), err, 0};
	uint64_t one = 1;
	char why[512];

	forget_password(output);
	output->password = read_password(output);
	set(&configuring, "bootstrap.servers", output->options->brokers);
	set(&configuring, "client.id", output->env.node_name);
	set(&configuring, "socket.keepalive.enable", "true");
	set(&configuring, "reconnect.backoff.max.ms", "2000");
	set(&configuring, "partitioner", kafka_partitioner_words[output->options->partitioner]);
	set_promises(&configuring, output);
	set_sizes(&configuring, output);
	set_security(&configuring, output);
	set_others(&configuring, output);
	if (configuring.status != 0) {
		rd_kafka_conf_destroy(configuring.conf);
		return configuring.status;
	}
	rd_kafka_conf_set_events(configuring.conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS);
	output->producer = rd_kafka_new(RD_KAFKA_PRODUCER, configuring.conf, why, sizeof why);
	if (output->producer == NULL) {
		rd_kafka_conf_destroy(configuring.conf);
		return err_set(err, -EINVAL, "cannot start librdkafka: %s", why);
	}
	output->queue = rd_kafka_queue_get_main(output->producer);
	must(rd_kafka_set_log_queue(output->producer, NULL) == RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_queue_io_event_enable(output->queue, output->event_fd, &one, sizeof one);
	output->wire_seen = 0;
	output->state = PRODUCER_UP;
	drain(output); /* the descriptor tells only that an empty queue got something, and this one has log lines already */
	return 0;
}

/* ---- topics ------------------------------------------------------------------------------------------------------- */

static struct topic *take_topic(struct kafka_output *output, const char *expansion)
{
	char name[250];
	struct topic *topic;

	kafka_topic_name(expansion, name);
	HASH_FIND_STR(output->topics, name, topic);
	if (topic == NULL) {
		topic = x_new(topic);
		topic->name = xstrdup(name);
		HASH_ADD_KEYPTR(hh, output->topics, topic->name, strlen(topic->name), topic);
	}
	topic->posting_count++;
	return topic;
}

/* A handle keeps what it last knew of its topic; a new one asks the brokers at once. */
static void give_topic(struct topic *topic)
{
	must(topic->posting_count > 0);
	if (--topic->posting_count == 0 && topic->is_stale && topic->handle != NULL) {
		rd_kafka_topic_destroy(topic->handle);
		topic->handle = NULL;
		topic->is_stale = false;
	}
}

static void drop_handles(struct kafka_output *output)
{
	struct topic *topic, *next;

	HASH_ITER (hh, output->topics, topic, next) {
		if (topic->handle != NULL)
			rd_kafka_topic_destroy(topic->handle);
		topic->handle = NULL;
	}
}

/* ---- enqueuing ---------------------------------------------------------------------------------------------------- */

static rd_kafka_headers_t *make_headers(const struct kafka_output *output, const struct parcel_record *record)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(output->header_count);
	struct buf value;

	buf_init(&value, HEADER_MAX);
	for (size_t i = 0; i < output->header_count; i++) {
		buf_clear(&value);
		if (template_expand(output->headers[i].value, record->source->origin, record->stream, record->time_ns, &value))
			must(rd_kafka_header_add(headers, output->headers[i].name, -1, value.data != NULL ? value.data : "", (ssize_t)value.len) ==
			     RD_KAFKA_RESP_ERR_NO_ERROR);
	}
	buf_release(&value);
	return headers;
}

static int64_t message_time(struct kafka_output *output, int64_t log_ns)
{
	int64_t now_ms = clock_wall_ns() / 1000000, time_ms;
	bool clamped;

	if (output->options->timestamp == KAFKA_INGEST)
		return now_ms;
	time_ms = kafka_message_time(log_ns, now_ms, &clamped);
	if (clamped) {
		output->clamped_count++;
		metric_add(output->clamped, 1);
	}
	return time_ms;
}

/* librdkafka copies key and headers, not the value. Returns its error code. */
static rd_kafka_resp_err_t produce(struct kafka_output *output, struct posting *posting, const void *value, size_t len, const char *key,
	size_t key_len, int64_t time_ms, rd_kafka_headers_t *headers, struct slot *slot)
{
	rd_kafka_resp_err_t code;

	if (headers != NULL)
		code = rd_kafka_producev(output->producer, RD_KAFKA_V_RKT(posting->topic->handle), RD_KAFKA_V_VALUE((void *)(uintptr_t)value, len),
			RD_KAFKA_V_KEY(key, key_len), RD_KAFKA_V_TIMESTAMP(time_ms), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(slot),
			RD_KAFKA_V_END);
	else
		code = rd_kafka_producev(output->producer, RD_KAFKA_V_RKT(posting->topic->handle), RD_KAFKA_V_VALUE((void *)(uintptr_t)value, len),
			RD_KAFKA_V_KEY(key, key_len), RD_KAFKA_V_TIMESTAMP(time_ms), RD_KAFKA_V_OPAQUE(slot), RD_KAFKA_V_END);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL)
		rd_kafka_headers_destroy(headers); /* they are the message's only if it was taken */
	return code;
}

static rd_kafka_resp_err_t produce_record(struct kafka_output *output, struct posting *posting, size_t index)
{
	const struct parcel *parcel = posting->parcel;
	const struct parcel_record *record = &parcel->records[index];
	char memory[KEY_BYTES];
	struct buf key = {.data = memory, .capacity = sizeof memory - 1, .limit = sizeof memory - 1}; /* never grows: no allocation a message */

	if (!template_expand(output->key, record->source->origin, record->stream, record->time_ns, &key))
		key.len = 0;
	return produce(output, posting, parcel->raw + record->offset, record->len, key.data, key.len, message_time(output, record->time_ns),
		output->header_count != 0 ? make_headers(output, record) : NULL, &posting->slots[index]);
}

static rd_kafka_resp_err_t produce_batch(struct kafka_output *output, struct posting *posting)
{
	const struct parcel *parcel = posting->parcel;
	rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
	char key[320];
	int key_len = snprintf(key, sizeof key, "%s/%u", output->env.node_name, parcel->lane);

	must(key_len > 0);
	if ((size_t)key_len >= sizeof key)
		key_len = sizeof key - 1;
	rd_kafka_header_add(headers, "content-type", -1, "application/x-ndjson", -1);
	if (parcel->encoding != NULL)
		rd_kafka_header_add(headers, "content-encoding", -1, parcel->encoding, -1);
	return produce(output, posting, parcel->body, parcel->body_len, key, (size_t)key_len, message_time(output, parcel->records[0].time_ns), headers,
		&posting->slots[0]);
}

static void on_later(uv_timer_t *timer);

static void answer_later(struct kafka_output *output)
{
	uv_timer_start(&output->later, on_later, 0, 0);
}

static void refuse(struct kafka_output *output, struct posting *posting, size_t index, rd_kafka_resp_err_t code)
{
	posting->slots[index].code = code;
	posting->slots[index].refused = true;
	posting->refused_count++;
	answer_later(output);
}

/* Enqueues what the queue takes; false: it is full, or the producer is not up. */
static bool enqueue(struct kafka_output *output, struct posting *posting)
{
	bool is_batch = output->options->payload == KAFKA_BATCH;
	size_t end = is_batch ? 1 : posting->parcel->record_count;

	if (posting->topic->handle == NULL)
		posting->topic->handle = rd_kafka_topic_new(output->producer, posting->topic->name, NULL);
	for (; posting->next < end; posting->next++) {
		rd_kafka_resp_err_t code;

		if (!is_batch && posting->parcel->records[posting->next].settled)
			continue;
		code = is_batch ? produce_batch(output, posting) : produce_record(output, posting, posting->next);
		if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
			return false;
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
			output->enqueued_count++;
		else
			refuse(output, posting, posting->next, code);
	}
	return true;
}

/* In the order of sending: a parcel that waits is not overtaken. */
static void enqueue_all(struct kafka_output *output)
{
	struct posting *posting;

	if (output->state != PRODUCER_UP || output->is_stopping)
		return;
	DL_FOREACH2 (output->postings, posting, next_posting)
		if (!enqueue(output, posting))
			return;
}

static void send_parcel(struct output *base, struct parcel *parcel)
{
	struct kafka_output *output = output_of(base);
	size_t slot_count = output->options->payload == KAFKA_BATCH ? 1 : parcel->record_count;
	struct posting *posting = xcalloc(1, sizeof *posting + slot_count * sizeof posting->slots[0]);

	must(!output->is_stopping);
	posting->parcel = parcel;
	posting->topic = take_topic(output, parcel->destination[0]);
	for (size_t i = 0; i < slot_count; i++) {
		posting->slots[i].posting = posting;
		posting->slots[i].index = (uint32_t)i;
		posting->unanswered_count += slot_count == 1 || !parcel->records[i].settled;
	}
	DL_APPEND2(output->postings, posting, prev, next_posting);
	enqueue_all(output);
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

static void remember(struct kafka_output *output, const char *text)
{
	snprintf(output->last_error, sizeof output->last_error, "%s", text);
}

static void answer_slot(struct kafka_output *output, struct slot *slot, rd_kafka_resp_err_t code)
{
	struct posting *posting = slot->posting;
	struct parcel *parcel = posting->parcel;
	struct answer answer = kafka_verdict(code);
	size_t index = output->options->payload == KAFKA_BATCH ? PARCEL_ALL : slot->index;

	if (answer.kind != ANSWER_SENT) {
		answer.text = rd_kafka_err2str(code);
		remember(output, answer.text);
	}
	if (answer.kind == ANSWER_HOLD)
		posting->topic->is_stale = true;
	if (--posting->unanswered_count == 0) { /* the posting goes first: the answer may bring the next parcel */
		DL_DELETE2(output->postings, posting, prev, next_posting);
		give_topic(posting->topic);
		free(posting);
	}
	parcel->answer(parcel, index, &answer);
}

static void answer_refused(struct kafka_output *output, struct posting *posting)
{
	size_t slot_count = output->options->payload == KAFKA_BATCH ? 1 : posting->parcel->record_count;

	for (size_t i = 0; i < slot_count && posting->refused_count != 0; i++) {
		struct slot *slot = &posting->slots[i];
		bool is_last = posting->unanswered_count == 1;

		if (!slot->refused)
			continue;
		slot->refused = false;
		posting->refused_count--;
		answer_slot(output, slot, (rd_kafka_resp_err_t)slot->code);
		if (is_last)
			return; /* the posting is gone */
	}
}

/* What a stop finds waiting outside the queue. */
static void refuse_waiting(struct kafka_output *output)
{
	bool is_batch = output->options->payload == KAFKA_BATCH;
	struct posting *posting;

	DL_FOREACH2 (output->postings, posting, next_posting)
		for (size_t end = is_batch ? 1 : posting->parcel->record_count; posting->next < end; posting->next++)
			if (is_batch || !posting->parcel->records[posting->next].settled)
				refuse(output, posting, posting->next, RD_KAFKA_RESP_ERR__PURGE_QUEUE);
}

static void stop_if_quiet(struct kafka_output *output)
{
	void (*stopped)(void *arg) = output->stopped;

	if (!output->is_stopping || stopped == NULL || output->postings != NULL || output->state == PRODUCER_REBUILDING)
		return;
	output->stopped = NULL;
	stopped(output->stopped_arg);
}

static void on_later(uv_timer_t *timer)
{
	struct kafka_output *output = output_of(timer->data);
	struct posting *posting, *next;

	for (posting = output->postings; posting != NULL; posting = next) {
		next = posting->next_posting;
		answer_refused(output, posting);
	}
	stop_if_quiet(output);
}

/* ---- rebuilding --------------------------------------------------------------------------------------------------- */

static void on_destroy_worker(uv_work_t *work)
{
	struct kafka_output *output = container_of(work, struct kafka_output, destroying);

	rd_kafka_destroy_flags(output->producer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void free_if_closed(struct kafka_output *output);

static void on_destroyed(uv_work_t *work, int status)
{
	struct kafka_output *output = container_of(work, struct kafka_output, destroying);
	struct err err;

	must(status == 0);
	output->producer = NULL;
	if (output->is_closing) {
		free_if_closed(output);
		return;
	}
	output->state = PRODUCER_PURGING;
	if (!output->is_stopping && start_producer(output, &err) != 0) {
		log_error("cannot start the producer again", "output=%s error=%s", output->env.name, log_quote(err.text));
		must(!"a configuration that worked once works again");
	}
	enqueue_all(output);
	stop_if_quiet(output);
}

/* Hands the producer to a worker, since its end may block. */
static void destroy_producer(struct kafka_output *output)
{
	drop_handles(output);
	rd_kafka_queue_io_event_enable(output->queue, -1, NULL, 0);
	rd_kafka_queue_destroy(output->queue);
	output->queue = NULL;
	output->state = PRODUCER_REBUILDING;
	must(uv_queue_work(output->env.loop, &output->destroying, on_destroy_worker, on_destroyed) == 0);
}

/* The purge's reports have come: every message has its answer. */
static void rebuild_if_quiet(struct kafka_output *output)
{
	if (output->state == PRODUCER_PURGING && output->producer != NULL && output->enqueued_count == 0 && !output->is_stopping)
		destroy_producer(output);
}

/* From inside an event; drain goes on with it. */
static void rebuild(struct kafka_output *output)
{
	if (output->state != PRODUCER_UP)
		return;
	output->state = PRODUCER_PURGING;
	rd_kafka_purge(output->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

/* ---- events ------------------------------------------------------------------------------------------------------- */

static void take_reports(struct kafka_output *output, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *message;

	while ((message = rd_kafka_event_message_next(event)) != NULL) {
		must(output->enqueued_count > 0);
		output->enqueued_count--;
		answer_slot(output, message->_private, message->err);
	}
}

static bool password_changed(const struct kafka_output *output)
{
	char *now = read_password(output);
	bool changed = now != NULL && (output->password == NULL || strcmp(now, output->password) != 0);

	if (now != NULL)
		explicit_bzero(now, strlen(now));
	free(now);
	return changed;
}

static void take_error(struct kafka_output *output, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	char why[512];

	remember(output, rd_kafka_event_error_string(event));
	if (code == RD_KAFKA_RESP_ERR__FATAL) {
		(void)rd_kafka_fatal_error(output->producer, why, sizeof why);
		output->fatal_count++;
		log_error("librdkafka gave up, starting it again; nothing is lost", "output=%s error=%s", output->env.name, log_quote(why));
		rebuild(output);
		return;
	}
	if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL) {
		log_error("brokers do not accept us: records are held", "output=%s error=%s", output->env.name, log_quote(output->last_error));
		if (output->options->password_file != NULL && password_changed(output)) {
			log_info("password changed, starting librdkafka again", "output=%s", output->env.name);
			rebuild(output);
		}
		return;
	}
	log_warn("brokers", "output=%s error=%s", output->env.name, log_quote(output->last_error));
}

/* Levels are syslog's. What is worth a line comes as an error event too, so its log lines are for who debugs. */
static void take_log(struct kafka_output *output, rd_kafka_event_t *event)
{
	const char *facility, *text;
	int level;

	if (rd_kafka_event_log(event, &facility, &text, &level) == 0)
		log_debug("librdkafka", "output=%s level=%d facility=%s text=%s", output->env.name, level, facility, log_quote(text));
}

/* "tx_bytes" of the statistics: all bytes that went to brokers. */
static void take_statistics(struct kafka_output *output, rd_kafka_event_t *event)
{
	static const char name[] = "\"tx_bytes\":";
	const char *at = strstr(rd_kafka_event_stats(event), name);
	uint64_t now = at != NULL ? strtoull(at + sizeof name - 1, NULL, 10) : 0;

	if (now > output->wire_seen) {
		metric_add(output->wire_bytes, now - output->wire_seen);
		output->wire_seen = now;
	}
}

static void take_event(struct kafka_output *output, rd_kafka_event_t *event)
{
	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_DR: take_reports(output, event); break;
	case RD_KAFKA_EVENT_ERROR: take_error(output, event); break;
	case RD_KAFKA_EVENT_LOG: take_log(output, event); break;
	case RD_KAFKA_EVENT_STATS: take_statistics(output, event); break;
	default: break;
	}
}

/* Takes what is there, within bounds; what is left is taken in the loop's next turn. */
static void drain(struct kafka_output *output)
{
	uint64_t one = 1;

	for (int i = 0; output->queue != NULL; i++) {
		rd_kafka_event_t *event;

		if (i == EVENTS_PER_WAKE) {
			must(write(output->event_fd, &one, sizeof one) == sizeof one);
			break;
		}
		event = rd_kafka_queue_poll(output->queue, 0);
		if (event == NULL)
			break;
		take_event(output, event);
		rd_kafka_event_destroy(event);
	}
	rebuild_if_quiet(output);
	enqueue_all(output);
	stop_if_quiet(output);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct kafka_output *output = output_of(poll->data);
	uint64_t count;

	(void)status, (void)events;
	if (read(output->event_fd, &count, sizeof count) == -1)
		must(errno == EAGAIN); /* emptied already */
	drain(output);
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

static void make_templates(struct kafka_output *output)
{
	const struct bind_list *list = &output->options->headers;

	output->key = template_new(output->options->key != NULL ? output->options->key : "{namespace}/{pod}/{container}");
	output->headers = xcalloc(list->count, sizeof output->headers[0]);
	for (size_t i = 0; i < list->count; i++) {
		const char *equals = strchr(list->items[i], '=');

		output->headers[i].name = xstrndup(list->items[i], (size_t)(equals - list->items[i]));
		output->headers[i].value = template_new(equals + 1);
	}
	output->header_count = list->count;
}

static void warn_old_library(const struct kafka_output *output)
{
	const char *mechanism = output->options->sasl_mechanism;

	if (mechanism != NULL && strncasecmp(mechanism, "SCRAM", 5) == 0 && (unsigned)rd_kafka_version() < SCRAM_SINCE)
		log_warn("this librdkafka cannot do SCRAM against Kafka 4 brokers: use 2.6.1 or newer (Debian 13), or PLAIN over TLS", "output=%s librdkafka=%s",
			output->env.name, rd_kafka_version_str());
}

static void free_output(struct kafka_output *output)
{
	struct topic *topic, *next;

	HASH_ITER (hh, output->topics, topic, next) {
		HASH_DELETE(hh, output->topics, topic);
		free(topic->name);
		free(topic);
	}
	for (size_t i = 0; i < output->header_count; i++) {
		free(output->headers[i].name);
		template_free(output->headers[i].value);
	}
	free(output->headers);
	template_free(output->key);
	forget_password(output);
	close(output->event_fd);
	output->magic = 0;
	free(output);
}

static void free_if_closed(struct kafka_output *output)
{
	if (output->is_closing && output->open_handles == 0 && output->producer == NULL)
		free_output(output);
}

static int open_output(struct output **ret_output, const void *options, const struct output_env *env, struct err *err)
{
	struct kafka_output *output = x_new(output);
	int status;

	output->magic = OUTPUT_MAGIC;
	output->options = options;
	output->env = *env;
	output->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	must(output->event_fd != -1);
	make_templates(output);
	output->wire_bytes = metric_get(env->metrics, &output_wire_bytes, env->name);
	output->clamped = metric_get(env->metrics, &family_clamped, env->name);
	status = start_producer(output, err);
	if (status != 0) {
		free_output(output);
		return status;
	}
	must(uv_poll_init(env->loop, &output->poll, output->event_fd) == 0);
	must(uv_timer_init(env->loop, &output->later) == 0);
	output->poll.data = output->later.data = output;
	output->open_handles = 2;
	must(uv_poll_start(&output->poll, UV_READABLE, on_poll) == 0);
	warn_old_library(output);
	*ret_output = (struct output *)output;
	return 0;
}

static void stop_output(struct output *base, void (*stopped)(void *arg), void *arg)
{
	struct kafka_output *output = output_of(base);

	output->is_stopping = true;
	output->stopped = stopped;
	output->stopped_arg = arg;
	refuse_waiting(output);
	if (output->state != PRODUCER_REBUILDING && output->producer != NULL)
		rd_kafka_purge(output->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	answer_later(output);
}

static void on_closed(uv_handle_t *handle)
{
	struct kafka_output *output = output_of(handle->data);

	output->open_handles--;
	free_if_closed(output);
}

static void close_output(struct output *base)
{
	struct kafka_output *output = output_of(base);

	must(output->is_stopping && output->postings == NULL);
	output->is_closing = true;
	uv_close((uv_handle_t *)&output->poll, on_closed);
	uv_close((uv_handle_t *)&output->later, on_closed);
	if (output->producer != NULL)
		destroy_producer(output);
}

static void write_status(const struct output *base, struct buf *out)
{
	const struct kafka_output *output = (const struct kafka_output *)base;

	buf_printf(out, "\"queued_messages\":%zu,\"fatal_errors\":%" PRIu64 ",\"clamped_times\":%" PRIu64 ",\"last_error\":", output->enqueued_count,
		output->fatal_count, output->clamped_count);
	buf_add_json(out, output->last_error, strlen(output->last_error));
}

/* ---- what the shipper asks ----------------------------------------------------------------------------------------- */

static bool wants_packed(const void *base)
{
	const struct kafka_options *options = base;

	return options->payload == KAFKA_BATCH;
}

static const struct format *format(const void *options)
{
	(void)options;
	return &format_ndjson;
}

static size_t destination(const void *base, const char **ret_templates)
{
	const struct kafka_options *options = base;

	ret_templates[0] = options->topic;
	return 1;
}

static const char *fallback(const void *base, size_t index)
{
	const struct kafka_options *options = base;

	(void)index;
	return options->fallback_topic;
}

static size_t record_limit(const void *base)
{
	const struct kafka_options *options = base;
	size_t headers = options->headers.count * (HEADER_MAX + 64);

	return MESSAGE_MAX - MESSAGE_OVERHEAD - (headers < MESSAGE_MAX / 2 ? headers : MESSAGE_MAX / 2);
}

static struct bind_range retry_backoff(const void *base)
{
	const struct kafka_options *options = base;

	return options->retry_backoff;
}

const struct output_ops output_kafka = {
	.name = "kafka",
	.help = "Produces to Kafka; an acknowledgement is a delivery report.",
	.rows = kafka_rows,
	.options_size = sizeof(struct kafka_options),
	.merges = true,
	.check = kafka_check,
	.wants_packed = wants_packed,
	.format = format,
	.destination = destination,
	.fallback = fallback,
	.record_limit = record_limit,
	.retry_backoff = retry_backoff,
	.open = open_output,
	.send = send_parcel,
	.stop = stop_output,
	.close = close_output,
	.status = write_status,
};

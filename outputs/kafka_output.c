/* Kafka output.  A record is a message (or a parcel is one), and its delivery report is its answer.
 *
 *     send -> waiting -> enqueued, as far as the queue takes -> delivery report -> verdict -> answer
 *
 * The producer:
 *
 *     NONE --- a parcel waits ---> UP --- fatal error, other credentials, stop ---> LEAVING: all recalled
 *      ^                                                                                |
 *      +--- its threads are gone --- ENDING <--- each has its report, or LEAVE_MS ------+
 *           (at a stop with nothing open: or LEAVE_MS)
 *
 * Stands at the end of the road.  Owns the producer, and of each parcel one struct sending until its last
 * answer.  Message bytes are not copied: they are the parcel's, which is not answered before librdkafka let
 * go of them.  librdkafka never gives a message up by itself (message.timeout.ms = 0) and repeats what
 * brokers refuse for the moment; what keeps it from delivering meanwhile is told by trouble().  Refuses to
 * answer SENT without a report. */
#include "config.h"
#include "outputs/kafka_output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"
#include "outputs/kafka_message.h"
#include "outputs/kafka_options.h"
#include "outputs/kafka_producer.h"
#include "outputs/kafka_verdict.h"

#define LOG_MODULE   "kafka"
#define OUTPUT_MAGIC MAGIC('k', 'o', 'u', 't')
#define WATCH_MS     500   /* how often a producer in trouble, or leaving, is looked at */
#define LEAVE_MS     2000  /* for the reports of recalled messages; what has none is answered at the end */
#define SILENCE_MS   30000 /* messages wait, and no report for so long: not well, whatever the reason */
#define SECRET_BYTES 65536
#define TEXT_BYTES   200

enum producer_state { PRODUCER_NONE, PRODUCER_UP, PRODUCER_LEAVING, PRODUCER_ENDING };
static const char *const state_words[] = {"none", "up", "leaving", "ending"};

/* A parcel under way.  A message's opaque is its element of `index`, which holds its own place: so the
 * sending can be found from it. */
struct sending {
	struct parcel *parcel;
	struct sending *prev, *next;
	uint32_t cursor;        /* the first record that is not enqueued */
	uint32_t end;           /* behind the last record to be sent */
	uint32_t pending_count; /* answers to come, and one more until all is enqueued */
	uint32_t index[];
};

/* What a file was when librdkafka last read it. */
struct stamp {
	dev_t dev;
	ino_t ino;
	struct timespec changed;
};
#define CREDENTIALS 4

struct kafka_output {
	unsigned magic;
	const struct kafka_options *options;
	struct output_env env;
	enum producer_state state;
	struct kafka_producer *producer;
	struct kafka_messages messages;
	struct sending *waiting; /* not wholly enqueued, in order; only the first one may be begun */
	struct sending *enqueued;
	size_t message_count;   /* enqueued and without a report */
	uv_timer_t turn_timer;  /* work that must not happen inside send() or an event */
	uv_timer_t watch_timer; /* runs while there is trouble or the producer leaves */
	struct stamp credentials[CREDENTIALS];

	bool must_leave;        /* the producer is of no use any more */
	struct answer recalled; /* what recalled messages are answered with, with recalled_text */
	char recalled_text[TEXT_BYTES];
	uint64_t left_ms;      /* when it began to leave */
	struct answer trouble; /* what keeps it from delivering; SENT = nothing */
	char trouble_text[TEXT_BYTES];
	uint64_t report_ms; /* of the last report, or of the first enqueuing after there was nothing */
	uint64_t wire_seen, ahead_seen;
	unsigned producer_count; /* that were started */
	char last_error[TEXT_BYTES];
	uint64_t last_error_ms;
	struct metric *wire_bytes, *ahead;
	void (*stopped)(void *arg);
	void *stopped_arg;
	unsigned open_timers;
};

static const struct metric_family family_ahead = {"drave_output_clamped_times_total",
    "Records whose log time was more than an hour ahead and became the time of sending.", METRIC_COUNTER,
    "output", NULL, 0};

static struct kafka_output *output_of(void *pointer)
{
	struct kafka_output *output = pointer;

	must(output->magic == OUTPUT_MAGIC);
	return output;
}

static const struct kafka_output *const_output_of(const void *pointer)
{
	const struct kafka_output *output = pointer;

	must(output->magic == OUTPUT_MAGIC);
	return output;
}

const char *output_kafka_library(void)
{
	static char text[64];

	(void)snprintf(text, sizeof text, "librdkafka %s", rd_kafka_version_str());
	return text;
}

static bool is_batch(const struct kafka_output *output)
{
	return output->options->payload == KAFKA_PAYLOAD_BATCH;
}

static void keep_text(char into[TEXT_BYTES], const char *text)
{
	(void)snprintf(into, TEXT_BYTES, "%.*s", TEXT_BYTES - 1, text);
}

static void note_error(struct kafka_output *output, const char *text)
{
	keep_text(output->last_error, text);
	output->last_error_ms = clock_monotonic_ms();
}

/* ---- credentials ----------------------------------------------------------------------------- */

/* librdkafka reads these files once.  A file that is gone for a moment counts as unchanged. */
static bool stamp_credentials(const struct kafka_output *output, struct stamp stamps[CREDENTIALS])
{
	const struct kafka_options *options = output->options;
	const char *const paths[CREDENTIALS] = {
	    options->ca_file, options->cert_file, options->key_file, options->password_file};
	bool is_changed = false;

	for (size_t i = 0; i < CREDENTIALS; i++) {
		const struct stamp *known = &output->credentials[i];
		struct stat info;

		stamps[i] = *known;
		if (paths[i] == NULL || stat(paths[i], &info) == -1)
			continue;
		stamps[i] = (struct stamp){info.st_dev, info.st_ino, info.st_mtim};
		is_changed = is_changed || known->dev != info.st_dev || known->ino != info.st_ino ||
			     known->changed.tv_sec != info.st_mtim.tv_sec ||
			     known->changed.tv_nsec != info.st_mtim.tv_nsec;
	}
	return is_changed;
}

static bool credentials_changed(const struct kafka_output *output)
{
	struct stamp stamps[CREDENTIALS];

	return stamp_credentials(output, stamps);
}

static rd_kafka_conf_t *make_conf(const struct kafka_output *output, struct err *err)
{
	rd_kafka_conf_t *conf = NULL;
	struct buf password;

	if (output->options->password_file == NULL)
		return kafka_options_conf(output->options, &output->env, NULL, err);
	buf_init(&password, SECRET_BYTES);
	if (file_read_secret(output->options->password_file, &password, err) == 0)
		conf = kafka_options_conf(output->options, &output->env, buf_text(&password), err);
	if (password.data != NULL)
		explicit_bzero(password.data, password.len);
	buf_release(&password);
	return conf;
}

/* ---- answering ------------------------------------------------------------------------------- */

/* One of the sending's pending answers is given, or its enqueuing ended. */
static void settle(struct kafka_output *output, struct sending *sending)
{
	must(sending->pending_count > 0);
	if (--sending->pending_count != 0)
		return;
	DL_DELETE(output->enqueued, sending);
	free(sending);
}

static void answer_one(
    struct kafka_output *output, struct sending *sending, uint32_t index, const struct answer *answer)
{
	struct parcel *parcel = sending->parcel;

	if (answer->kind == ANSWER_SENT)
		output->trouble.kind = ANSWER_SENT;
	settle(output, sending); /* first: the last answer ends the parcel */
	parcel->answer(parcel, is_batch(output) ? PARCEL_ALL : index, answer);
}

static bool is_recall(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

static void on_report(void *arg, void *opaque, rd_kafka_resp_err_t code)
{
	struct kafka_output *output = output_of(arg);
	uint32_t *index = opaque;
	struct sending *sending = container_of(index - *index, struct sending, index[0]);
	struct answer answer = is_recall(code) ? output->recalled : kafka_verdict(code);

	must(output->message_count > 0);
	output->message_count--;
	output->report_ms = clock_monotonic_ms();
	if (answer.kind != ANSWER_SENT && !is_recall(code))
		note_error(output, answer.text);
	answer_one(output, sending, *index, &answer);
}

/* Answers all that is left of these. */
static void give_back(struct sending *sendings, const struct answer *answer)
{
	struct sending *sending, *next;

	DL_FOREACH_SAFE (sendings, sending, next) {
		struct parcel *parcel = sending->parcel;

		free(sending);
		parcel->answer(parcel, PARCEL_ALL, answer);
	}
}

static void give_back_enqueued(struct kafka_output *output, const struct answer *answer)
{
	struct sending *enqueued = output->enqueued, *begun = output->waiting;

	if (begun != NULL && begun->cursor != 0) {
		DL_DELETE(output->waiting, begun);
		DL_APPEND(enqueued, begun);
	}
	output->enqueued = NULL;
	output->message_count = 0;
	give_back(enqueued, answer);
}

static void give_back_waiting(struct kafka_output *output, const struct answer *answer)
{
	struct sending *waiting = output->waiting;

	output->waiting = NULL; /* an answer may bring the next parcel */
	give_back(waiting, answer);
}

/* ---- enqueuing ------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t enqueue_one(
    struct kafka_output *output, rd_kafka_topic_t *topic, struct sending *sending, int64_t now_ns)
{
	rd_kafka_t *rk = kafka_producer_handle(output->producer);
	uint32_t *opaque = &sending->index[sending->cursor];

	*opaque = sending->cursor;
	if (is_batch(output))
		return kafka_messages_enqueue_batch(
		    &output->messages, rk, topic, sending->parcel, now_ns, opaque);
	return kafka_messages_enqueue_record(
	    &output->messages, rk, topic, sending->parcel, sending->cursor, now_ns, opaque);
}

/* Enqueues what the queue takes of the parcel; false if some of it has to wait. */
static bool enqueue(struct kafka_output *output, rd_kafka_topic_t *topic, struct sending *sending)
{
	int64_t now_ns = clock_wall_ns();

	for (; sending->cursor < sending->end; sending->cursor++) {
		rd_kafka_resp_err_t code;

		if (!is_batch(output) && sending->parcel->records[sending->cursor].settled)
			continue;
		code = enqueue_one(output, topic, sending, now_ns);
		if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
			return false;
		if (code == RD_KAFKA_RESP_ERR__FATAL) { /* the error event that tells why is on its way */
			output->must_leave = true;
			return false;
		}
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
			if (output->message_count++ == 0)
				output->report_ms = clock_monotonic_ms();
		} else {
			struct answer answer = kafka_verdict(code);

			note_error(output, answer.text);
			answer_one(output, sending, sending->cursor, &answer);
		}
	}
	return true;
}

static void enqueue_waiting(struct kafka_output *output)
{
	bool has_room = true;

	while (has_room && output->waiting != NULL) {
		struct sending *sending = output->waiting;
		char name[KAFKA_TOPIC_BYTES + 1];
		rd_kafka_topic_t *topic;

		kafka_topic_name(sending->parcel->destination[0], name);
		topic = rd_kafka_topic_new(kafka_producer_handle(output->producer), name, NULL);
		must(topic != NULL);
		kafka_messages_forget(&output->messages);
		has_room = enqueue(output, topic, sending);
		rd_kafka_topic_destroy(topic);
		if (has_room) {
			DL_DELETE(output->waiting, sending);
			DL_APPEND(output->enqueued, sending);
			settle(output, sending);
		}
	}
}

/* ---- the producer's life --------------------------------------------------------------------- */

static void turn(void *arg);

static void on_turn_timer(uv_timer_t *timer)
{
	turn(timer->data);
}

static void turn_soon(struct kafka_output *output)
{
	must(uv_timer_start(&output->turn_timer, on_turn_timer, 0, 0) == 0);
}

static void on_watch(uv_timer_t *timer);

static void watch(struct kafka_output *output)
{
	if (!uv_is_active((uv_handle_t *)&output->watch_timer))
		must(uv_timer_start(&output->watch_timer, on_watch, WATCH_MS, WATCH_MS) == 0);
}

static void on_error(void *arg, rd_kafka_resp_err_t code, bool is_fatal, const char *text)
{
	struct kafka_output *output = output_of(arg);
	struct answer verdict = kafka_verdict(code);

	note_error(output, text);
	if (is_fatal) {
		log_error("librdkafka gave up and is started again; nothing is lost", "output=%s error=%s",
		    output->env.name, log_quote(text));
		output->must_leave = true;
		if (verdict.kind == ANSWER_HOLD) {
			output->recalled = verdict;
			keep_text(output->recalled_text, text);
			output->recalled.text = output->recalled_text;
		}
	} else if (verdict.kind == ANSWER_HOLD) {
		log_error("brokers do not let us in; records are held", "output=%s error=%s",
		    output->env.name, log_quote(text));
	} else {
		log_warn("trouble with the brokers", "output=%s error=%s", output->env.name, log_quote(text));
	}
	if (verdict.kind == ANSWER_HOLD ||
	    (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && output->trouble.kind != ANSWER_HOLD)) {
		output->trouble = verdict;
		keep_text(output->trouble_text, text);
		output->trouble.text = output->trouble_text;
		watch(output);
	}
}

static const struct kafka_producer_calls producer_calls = {
    .report = on_report, .error = on_error, .turn = turn};

static int start_producer(struct kafka_output *output, struct err *err)
{
	rd_kafka_conf_t *conf;
	int status;

	(void)stamp_credentials(
	    output, output->credentials); /* before they are read: a change in between is seen as one */
	conf = make_conf(output, err);
	if (conf == NULL)
		return -EINVAL;
	status = kafka_producer_new(
	    &output->producer, output->env.loop, conf, output->env.name, &producer_calls, output, err);
	if (status != 0)
		return status;
	output->state = PRODUCER_UP;
	output->producer_count++;
	output->must_leave = false;
	output->wire_seen = 0;
	output->recalled = kafka_verdict(RD_KAFKA_RESP_ERR__PURGE_QUEUE);
	return 0;
}

static void start_again(struct kafka_output *output)
{
	struct err err;

	if (start_producer(output, &err) != 0) {
		const struct answer answer = {
		    .kind = ANSWER_HOLD, .reason = "configuration", .text = err.text, .retry_after_ms = -1};

		note_error(output, err.text);
		give_back_waiting(output, &answer);
	}
}

static void leave(struct kafka_output *output)
{
	output->state = PRODUCER_LEAVING;
	output->left_ms = clock_monotonic_ms();
	kafka_producer_recall(output->producer);
	watch(output);
}

static void add_to_metrics(struct kafka_output *output)
{
	uint64_t wire_bytes = kafka_producer_statistics(output->producer)->wire_bytes;

	if (wire_bytes > output->wire_seen) /* the sum shrinks when a broker leaves the cluster */
		metric_add(output->wire_bytes, wire_bytes - output->wire_seen);
	output->wire_seen = wire_bytes;
	metric_add(output->ahead, output->messages.ahead_count - output->ahead_seen);
	output->ahead_seen = output->messages.ahead_count;
}

static void on_ended(void *arg)
{
	struct kafka_output *output = output_of(arg);
	struct answer recalled = output->recalled;

	output->producer = NULL;
	output->state = PRODUCER_NONE;
	give_back_enqueued(output, &recalled); /* nobody has these bytes any more */
	turn(output);
}

static void end(struct kafka_output *output)
{
	add_to_metrics(output);
	output->state = PRODUCER_ENDING;
	kafka_producer_end(output->producer, on_ended);
}

/* Called whenever something has happened: does what follows from it. */
static void turn(void *arg)
{
	struct kafka_output *output = output_of(arg);
	void (*stopped)(void *arg) = output->stopped;

	if (output->state == PRODUCER_NONE && output->waiting != NULL && stopped == NULL)
		start_again(output);
	if (output->state == PRODUCER_UP && (output->must_leave || stopped != NULL))
		leave(output);
	if (output->state == PRODUCER_UP) {
		add_to_metrics(output);
		enqueue_waiting(output);
	}
	if (output->state == PRODUCER_LEAVING && output->message_count == 0)
		end(output);
	if (output->state == PRODUCER_NONE && stopped != NULL) {
		const struct answer answer = kafka_verdict(RD_KAFKA_RESP_ERR__PURGE_QUEUE);

		output->stopped = NULL;
		give_back_waiting(output, &answer);
		stopped(output->stopped_arg);
	}
}

static void on_watch(uv_timer_t *timer)
{
	struct kafka_output *output = output_of(timer->data);

	bool is_late = clock_monotonic_ms() - output->left_ms >= LEAVE_MS;

	if (output->state == PRODUCER_LEAVING && is_late) {
		end(output);
	} else if (output->state == PRODUCER_ENDING && is_late && output->stopped != NULL &&
		   output->message_count == 0) {
		log_warn(
		    "librdkafka does not come to its end, going without it", "output=%s", output->env.name);
		kafka_producer_abandon(output->producer);
	} else if (output->state == PRODUCER_UP && output->trouble.kind != ANSWER_SENT &&
		   credentials_changed(output)) {
		log_info("credentials changed, starting librdkafka again", "output=%s", output->env.name);
		output->must_leave = true;
		turn(output);
	}
	if (output->state == PRODUCER_NONE ||
	    (output->state == PRODUCER_UP && output->trouble.kind == ANSWER_SENT))
		uv_timer_stop(timer);
}

/* ---- operations ------------------------------------------------------------------------------ */

static uint32_t count_unsettled(const struct parcel *parcel, uint32_t *ret_end)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < parcel->record_count; i++) {
		if (!parcel->records[i].settled) {
			count++;
			*ret_end = i + 1;
		}
	}
	return count;
}

static void send_parcel(struct output *base, struct parcel *parcel)
{
	struct kafka_output *output = output_of(base);
	uint32_t end = 1, count = 1;
	struct sending *sending;

	must(output->stopped == NULL);
	if (!is_batch(output))
		count = count_unsettled(parcel, &end);
	must(count != 0);
	sending = xcalloc(1, sizeof *sending + end * sizeof sending->index[0]);
	sending->parcel = parcel;
	sending->end = end;
	sending->pending_count = count + 1;
	DL_APPEND(output->waiting, sending);
	turn_soon(output);
}

static int open_output(
    struct output **ret_output, const void *options, const struct output_env *env, struct err *err)
{
	struct kafka_output *output = x_new(output);
	int status;

	output->magic = OUTPUT_MAGIC;
	output->options = options;
	output->env = *env;
	output->trouble.kind = ANSWER_SENT;
	output->wire_bytes = metric_get(env->metrics, &output_wire_bytes, env->name);
	output->ahead = metric_get(env->metrics, &family_ahead, env->name);
	status = start_producer(output, err);
	if (status != 0) {
		free(output);
		return status;
	}
	kafka_messages_init(&output->messages, output->options, env->node_name);
	must(uv_timer_init(env->loop, &output->turn_timer) == 0 &&
	     uv_timer_init(env->loop, &output->watch_timer) == 0);
	output->turn_timer.data = output->watch_timer.data = output;
	output->open_timers = 2;
	kafka_options_warn(output->options, env);
	*ret_output = (struct output *)output;
	return 0;
}

static void stop_output(struct output *base, void (*stopped)(void *arg), void *arg)
{
	struct kafka_output *output = output_of(base);

	must(output->stopped == NULL);
	output->stopped = stopped;
	output->stopped_arg = arg;
	turn_soon(output);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct kafka_output *output = output_of(handle->data);

	if (--output->open_timers != 0)
		return;
	kafka_messages_release(&output->messages);
	output->magic = 0;
	free(output);
}

static void close_output(struct output *base)
{
	struct kafka_output *output = output_of(base);

	must(output->state == PRODUCER_NONE && output->waiting == NULL && output->enqueued == NULL);
	uv_close((uv_handle_t *)&output->turn_timer, on_timer_closed);
	uv_close((uv_handle_t *)&output->watch_timer, on_timer_closed);
}

static bool is_troubled(const struct output *base, struct answer *ret_answer)
{
	const struct kafka_output *output = const_output_of(base);

	if (output->message_count == 0 && output->waiting == NULL)
		return false; /* brokers may come and go while nobody needs them */
	*ret_answer = output->trouble;
	if (output->trouble.kind != ANSWER_SENT)
		return true;
	if (output->message_count == 0 || clock_monotonic_ms() - output->report_ms < SILENCE_MS)
		return false;
	*ret_answer = (struct answer){.kind = ANSWER_RETRY,
	    .reason = "silence",
	    .text = "messages wait, and brokers report nothing",
	    .retry_after_ms = -1};
	return true;
}

static void write_status(const struct output *base, struct buf *out)
{
	const struct kafka_output *output = const_output_of(base);
	struct kafka_statistics statistics = {0};

	if (output->state == PRODUCER_UP)
		statistics = *kafka_producer_statistics(output->producer);

	buf_add_text(out, "\"brokers\":");
	buf_add_json(out, output->options->brokers, strlen(output->options->brokers));
	buf_printf(out, ",\"producer\":\"%s\",\"producers_started\":%u,\"brokers_up\":%u,\"rtt_ms\":%.3f",
	    state_words[output->state], output->producer_count, statistics.brokers_up,
	    (double)statistics.rtt_us / 1e3);
	buf_printf(out, ",\"queued_messages\":%zu,\"clamped_times\":%" PRIu64, output->message_count,
	    output->messages.ahead_count);
	buf_add_text(out, ",\"last_error\":");
	buf_add_json(out, output->last_error, strlen(output->last_error));
	if (output->last_error[0] != '\0')
		buf_printf(out, ",\"last_error_age_s\":%" PRIu64,
		    (clock_monotonic_ms() - output->last_error_ms) / 1000);
}

rd_kafka_t *kafka_output_handle(const struct output *base)
{
	const struct kafka_output *output = const_output_of(base);

	return output->state == PRODUCER_UP ? kafka_producer_handle(output->producer) : NULL;
}

/* ---- what the shipper asks of the options ---------------------------------------------------- */

static bool wants_packed(const void *base)
{
	const struct kafka_options *options = base;

	return options->payload == KAFKA_PAYLOAD_BATCH;
}

static const struct format *format(const void *options)
{
	(void)options;
	return &format_ndjson;
}

/* Whatever a topic may not have is replaced when it is used: kafka_topic_name. */
static size_t destination(const void *base, struct destination_text *ret_texts)
{
	const struct kafka_options *options = base;

	ret_texts[0] = (struct destination_text){options->topic, TEMPLATE_PLAIN, options->fallback_topic};
	return 1;
}

static struct bind_range retry_backoff(const void *base)
{
	const struct kafka_options *options = base;

	return options->retry_backoff;
}

const struct output_ops output_kafka = {
    .name = "kafka",
    .help = "Produces to Kafka; what a broker's delivery report says is what counts.",
    .rows = kafka_rows,
    .options_size = sizeof(struct kafka_options),
    .merges = true,
    .check = kafka_options_check,
    .wants_packed = wants_packed,
    .format = format,
    .destination = destination,
    .record_limit = kafka_options_record_limit,
    .retry_backoff = retry_backoff,
    .open = open_output,
    .send = send_parcel,
    .stop = stop_output,
    .close = close_output,
    .status = write_status,
    .trouble = is_troubled,
};

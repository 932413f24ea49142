/* Kafka line.  Parcels become messages, their delivery reports become answers, and a producer that is of no
 * use any more is replaced.
 *
 *     take -> waiting -> enqueued, as far as the queue takes -> delivery report -> verdict -> answer
 *
 * The producer:
 *
 *     NONE --- a parcel waits ---> UP --- fatal error, other credentials, stop ---> LEAVING: all recalled
 *      ^                                                                                |
 *      +--- its threads are gone --- ENDING <--- each has its report, or LEAVE_MS ------+
 *           (at a stop with nothing open: or LEAVE_MS)
 *
 * Order.  A producer that keeps the order (kafka_options_conf) treats a refusal for good as a fatal error:
 * what lies behind the refused set comes back without having been sent.  The refused set's parcel gets that
 * answer for all that it still has open, since the rest must not arrive before what was refused; parcels that
 * were only in the way are enqueued again, from their first open record on.  A parcel that has met a failure
 * enqueues nothing more.
 *
 * Stands between the Kafka output and librdkafka.  Owns the producer, and the sendings that it took.  Message
 * bytes are not copied: they are the parcel's, which is not answered before librdkafka let go of them.
 * Refuses to answer SENT without a report. */
#include "config.h"
#include "outputs/kafka_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"
#include "outputs/kafka_verdict.h"

#define LOG_MODULE   "kafka"
#define LINE_MAGIC   MAGIC('k', 'l', 'i', 'n')
#define WATCH_MS     500   /* how often a producer in trouble is looked at */
#define RECALL_MS    20    /* and a leaving one, whose last messages may have been put back into its queue */
#define FLIGHT_MS    1000  /* what is under way may have its answer until then */
#define LEAVE_MS     2000  /* for the reports of recalled messages; what has none is answered at the end */
#define SILENCE_MS   30000 /* messages wait, and no report for so long: not well, whatever the reason */
#define IDLE_MS      60000 /* a careful producer that nobody needed for so long ends */
#define SECRET_BYTES 65536
#define ANSWERED     UINT32_MAX /* in a sending's index */

static struct kafka_line *line_of(void *pointer)
{
	struct kafka_line *line = pointer;

	must(line->magic == LINE_MAGIC);
	return line;
}

const char *kafka_line_state_word(const struct kafka_line *line)
{
	static const char *const words[] = {"none", "up", "leaving", "ending"};

	return words[line->state];
}

static bool is_batch(const struct kafka_line *line)
{
	return line->options->payload == KAFKA_PAYLOAD_BATCH;
}

static void keep_text(char into[KAFKA_TEXT_BYTES], const char *text)
{
	(void)snprintf(into, KAFKA_TEXT_BYTES, "%.*s", KAFKA_TEXT_BYTES - 1, text);
}

static void note_error(struct kafka_line *line, const char *text)
{
	keep_text(line->last_error, text);
	line->last_error_ms = clock_monotonic_ms();
}

/* ---- sendings -------------------------------------------------------------------------------- */

struct kafka_sending *kafka_sending_new(struct parcel *parcel, bool is_one)
{
	uint32_t last = 0, count = 0;
	struct kafka_sending *sending;

	for (uint32_t i = 0; i < parcel->record_count; i++) {
		if (!parcel->records[i].settled) {
			count++;
			last = i + 1;
		}
	}
	if (is_one)
		last = count = 1;
	must(count != 0);
	sending = xcalloc(1, sizeof *sending + last * sizeof sending->index[0]);
	sending->parcel = parcel;
	sending->end = sending->last = last;
	sending->open_count = count;
	sending->failure.kind = ANSWER_SENT;
	for (uint32_t i = 0; !is_one && i < last; i++)
		if (parcel->records[i].settled)
			sending->index[i] = ANSWERED;
	return sending;
}

void kafka_sending_allow(struct kafka_sending *sending, uint32_t count)
{
	must(sending->pending_count == 0 && count != 0);
	sending->cursor = 0;
	while (sending->index[sending->cursor] == ANSWERED)
		sending->cursor++;
	sending->end = sending->cursor;
	for (; sending->end < sending->last && count != 0; sending->end++)
		count -= sending->index[sending->end] != ANSWERED;
}

static void remove_sending(struct kafka_line *line, struct kafka_sending *sending)
{
	if (sending->is_waiting)
		DL_DELETE(line->waiting, sending);
	else
		DL_DELETE(line->enqueued, sending);
	sending->is_waiting = false;
}

static void append_waiting(struct kafka_line *line, struct kafka_sending *sending)
{
	DL_APPEND(line->waiting, sending);
	sending->is_waiting = true;
}

static void stop_waiting(struct kafka_line *line, struct kafka_sending *sending)
{
	DL_DELETE(line->waiting, sending);
	DL_APPEND(line->enqueued, sending);
	sending->is_waiting = false;
}

static void answer_rest(struct kafka_line *line, struct kafka_sending *sending, const struct answer *answer)
{
	struct parcel *parcel = sending->parcel;

	remove_sending(line, sending);
	free(sending);
	parcel->answer(parcel, PARCEL_ALL, answer);
}

/* After an answer to some of it, or its enqueuing: what next? */
static void advance(struct kafka_line *line, struct kafka_sending *sending)
{
	if (sending->failure.kind != ANSWER_SENT) {
		struct answer failure = sending->failure;

		if (sending->pending_count == 0)
			answer_rest(line, sending, &failure);
		else if (sending->is_waiting)
			stop_waiting(line, sending);
	} else if (!sending->is_waiting && sending->pending_count == 0 && !sending->is_recalled) {
		must(sending->end < sending->last);
		remove_sending(line, sending);
		line->calls->passed(line->arg, sending);
	}
}

/* Will what the answer is about never be delivered?  Then nothing has to wait for it. */
static bool is_final(const struct answer *answer)
{
	return answer->kind == ANSWER_REJECTED && answer->is_alone;
}

static void answer_one(
    struct kafka_line *line, struct kafka_sending *sending, uint32_t index, struct answer answer)
{
	struct parcel *parcel = sending->parcel;
	bool is_last = --sending->open_count == 0;

	if (answer.kind == ANSWER_SENT) {
		line->trouble.kind = ANSWER_SENT;
		line->has_sent = true;
	}
	if (answer.kind != ANSWER_SENT && !is_final(&answer) && sending->failure.kind == ANSWER_SENT)
		sending->failure = answer;
	sending->index[index] = ANSWERED;
	if (is_last) { /* the last answer ends the parcel */
		must(sending->pending_count == 0);
		remove_sending(line, sending);
		free(sending);
	}
	parcel->answer(parcel, is_batch(line) ? PARCEL_ALL : index, &answer);
	if (!is_last)
		advance(line, sending);
}

static void on_report(void *arg, void *opaque, rd_kafka_resp_err_t code)
{
	struct kafka_line *line = line_of(arg);
	uint32_t *index = opaque;
	struct kafka_sending *sending = container_of(index - *index, struct kafka_sending, index[0]);

	must(line->message_count > 0 && sending->pending_count > 0);
	line->message_count--;
	sending->pending_count--;
	line->report_ms = clock_monotonic_ms();
	if (code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
		sending->is_recalled = true; /* until the producer is gone */
		line->must_leave = true;
		advance(line, sending);
	} else {
		struct answer answer = kafka_verdict(code);

		if (answer.kind != ANSWER_SENT)
			note_error(line, answer.text);
		answer.is_alone = line->is_careful && sending->parcel->is_alone; /* nobody else's record was in the set */
		answer_one(line, sending, *index, answer);
	}
}

/* ---- enqueuing ------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t enqueue_one(
    struct kafka_line *line, rd_kafka_topic_t *topic, struct kafka_sending *sending, int64_t now_ns)
{
	rd_kafka_t *rk = kafka_producer_handle(line->producer);
	uint32_t *opaque = &sending->index[sending->cursor];

	*opaque = sending->cursor;
	if (is_batch(line))
		return kafka_messages_enqueue_batch(&line->messages, rk, topic, sending->parcel, now_ns, opaque);
	return kafka_messages_enqueue_record(
	    &line->messages, rk, topic, sending->parcel, sending->cursor, now_ns, opaque);
}

enum progress { IS_FULL, IS_DONE, IS_GONE };

/* Enqueues what the queue takes of the sending.  IS_GONE: it is no more, or waits no more. */
static enum progress enqueue(struct kafka_line *line, rd_kafka_topic_t *topic, struct kafka_sending *sending)
{
	int64_t now_ns = clock_wall_ns();

	while (sending->cursor < sending->end) {
		rd_kafka_resp_err_t code;

		if (sending->index[sending->cursor] == ANSWERED) {
			sending->cursor++;
			continue;
		}
		code = enqueue_one(line, topic, sending, now_ns);
		if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
			return IS_FULL;
		if (code == RD_KAFKA_RESP_ERR__FATAL) { /* the error event that tells why is on its way */
			line->must_leave = true;
			return IS_FULL;
		}
		sending->cursor++;
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
			sending->pending_count++;
			if (line->message_count++ == 0)
				line->report_ms = clock_monotonic_ms();
		} else {
			struct answer answer = kafka_verdict(code);
			bool is_gone = sending->open_count == 1 || answer.kind != ANSWER_REJECTED;

			note_error(line, answer.text);
			answer.is_alone = true; /* librdkafka has looked at this record alone */
			answer_one(line, sending, sending->cursor - 1, answer);
			if (is_gone)
				return IS_GONE;
		}
	}
	return IS_DONE;
}

static void enqueue_waiting(struct kafka_line *line)
{
	enum progress progress = IS_DONE;

	while (progress != IS_FULL && line->waiting != NULL && !line->waiting->is_recalled) {
		struct kafka_sending *sending = line->waiting;
		char name[KAFKA_TOPIC_BYTES + 1];
		rd_kafka_topic_t *topic;

		kafka_topic_name(sending->parcel->destination[0], name);
		topic = rd_kafka_topic_new(kafka_producer_handle(line->producer), name, NULL);
		must(topic != NULL);
		kafka_messages_forget(&line->messages);
		progress = enqueue(line, topic, sending);
		rd_kafka_topic_destroy(topic);
		if (progress == IS_DONE) {
			stop_waiting(line, sending);
			advance(line, sending);
		}
	}
}

/* ---- credentials ----------------------------------------------------------------------------- */

/* librdkafka reads these files once.  A file that is gone for a moment counts as unchanged. */
static bool stamp_credentials(const struct kafka_line *line, struct kafka_stamp stamps[KAFKA_CREDENTIALS])
{
	const struct kafka_options *options = line->options;
	const char *const paths[KAFKA_CREDENTIALS] = {
	    options->ca_file, options->cert_file, options->key_file, options->password_file};
	bool is_changed = false;

	for (size_t i = 0; i < KAFKA_CREDENTIALS; i++) {
		const struct kafka_stamp *known = &line->credentials[i];
		struct stat info;

		stamps[i] = *known;
		if (paths[i] == NULL || stat(paths[i], &info) == -1)
			continue;
		stamps[i] = (struct kafka_stamp){info.st_dev, info.st_ino, info.st_mtim};
		is_changed = is_changed || known->dev != info.st_dev || known->ino != info.st_ino ||
			     known->changed.tv_sec != info.st_mtim.tv_sec ||
			     known->changed.tv_nsec != info.st_mtim.tv_nsec;
	}
	return is_changed;
}

static bool credentials_changed(const struct kafka_line *line)
{
	struct kafka_stamp stamps[KAFKA_CREDENTIALS];

	return stamp_credentials(line, stamps);
}

static rd_kafka_conf_t *make_conf(const struct kafka_line *line, struct err *err)
{
	rd_kafka_conf_t *conf = NULL;
	struct buf password;

	if (line->options->password_file == NULL)
		return kafka_options_conf(line->options, line->env, line->is_careful, NULL, err);
	buf_init(&password, SECRET_BYTES);
	if (file_read_secret(line->options->password_file, &password, err) == 0)
		conf = kafka_options_conf(line->options, line->env, line->is_careful, buf_text(&password), err);
	if (password.data != NULL)
		explicit_bzero(password.data, password.len);
	buf_release(&password);
	return conf;
}

/* ---- the producer's life --------------------------------------------------------------------- */

static void on_watch(uv_timer_t *timer);

static void watch(struct kafka_line *line, uint64_t period_ms)
{
	if (!uv_is_active((uv_handle_t *)&line->watch_timer) || uv_timer_get_repeat(&line->watch_timer) != period_ms)
		must(uv_timer_start(&line->watch_timer, on_watch, period_ms, period_ms) == 0);
}

static void note_fatal(struct kafka_line *line, rd_kafka_resp_err_t code, const char *text)
{
	struct answer verdict = kafka_verdict(code);

	line->must_leave = true;
	line->has_refused = code == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE;
	if (line->has_refused)
		log_warn("records were refused; librdkafka is started again, so that none overtakes them", "output=%s error=%s",
		    line->env->name, log_quote(text));
	else
		log_error("librdkafka gave up and is started again; nothing is lost", "output=%s error=%s",
		    line->env->name, log_quote(text));
	if (verdict.kind == ANSWER_HOLD) {
		line->recalled = verdict;
		keep_text(line->recalled_text, text);
		line->recalled.text = line->recalled_text;
	}
}

static void on_error(void *arg, rd_kafka_resp_err_t code, bool is_fatal, const char *text)
{
	struct kafka_line *line = line_of(arg);
	struct answer verdict = kafka_verdict(code);

	note_error(line, text);
	if (is_fatal)
		note_fatal(line, code, text);
	else if (verdict.kind == ANSWER_HOLD)
		log_error("brokers do not let us in; records are held", "output=%s error=%s", line->env->name,
		    log_quote(text));
	else
		log_warn("trouble with the brokers", "output=%s error=%s", line->env->name, log_quote(text));
	if (verdict.kind == ANSWER_HOLD ||
	    (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && line->trouble.kind != ANSWER_HOLD)) {
		line->trouble = verdict;
		keep_text(line->trouble_text, text);
		line->trouble.text = line->trouble_text;
		watch(line, WATCH_MS);
	}
}

static void on_turn(void *arg)
{
	kafka_line_turn(line_of(arg));
}

static int start(struct kafka_line *line, struct err *err)
{
	static const struct kafka_producer_calls calls = {.report = on_report, .error = on_error, .turn = on_turn};
	rd_kafka_conf_t *conf;
	int status;

	(void)stamp_credentials(
	    line, line->credentials); /* before they are read: a change in between is seen as one */
	conf = make_conf(line, err);
	if (conf == NULL)
		return -EINVAL;
	status = kafka_producer_new(
	    &line->producer, line->env->loop, conf, line->env->name, &calls, line, err);
	if (status != 0)
		return status;
	line->state = KAFKA_LINE_UP;
	line->producer_count++;
	line->must_leave = line->has_refused = line->has_sent = false;
	line->wire_seen = 0;
	line->recalled = kafka_verdict(RD_KAFKA_RESP_ERR__PURGE_QUEUE);
	line->report_ms = clock_monotonic_ms();
	return 0;
}

static void give_back(struct kafka_line *line, struct kafka_sending *sendings, const struct answer *answer)
{
	struct kafka_sending *sending, *next;

	DL_FOREACH_SAFE (sendings, sending, next)
		answer_rest(line, sending, answer);
}

static void start_again(struct kafka_line *line)
{
	struct err err;

	if (start(line, &err) != 0) {
		const struct answer answer = {
		    .kind = ANSWER_HOLD, .reason = "configuration", .text = err.text, .retry_after_ms = -1};

		note_error(line, err.text);
		give_back(line, line->waiting, &answer);
	} else if (line->is_careful || line->trouble.kind != ANSWER_SENT) {
		watch(line, WATCH_MS);
	}
}

/* A stop has no time, and other credentials are for connections that do not work.  Else only what is queued is
 * recalled at first: what is under way and gets its answer is not sent twice. */
static void leave(struct kafka_line *line)
{
	line->state = KAFKA_LINE_LEAVING;
	line->left_ms = clock_monotonic_ms();
	line->is_patient = !line->is_stopping && line->trouble.kind == ANSWER_SENT;
	kafka_producer_recall(line->producer, !line->is_patient);
	watch(line, RECALL_MS);
}

static void add_to_metrics(struct kafka_line *line)
{
	uint64_t wire_bytes = kafka_producer_statistics(line->producer)->wire_bytes;

	if (wire_bytes > line->wire_seen) /* the sum shrinks when a broker leaves the cluster */
		metric_add(line->wire_bytes, wire_bytes - line->wire_seen);
	line->wire_seen = wire_bytes;
	metric_add(line->ahead, line->messages.ahead_count - line->ahead_seen);
	line->ahead_seen = line->messages.ahead_count;
}

/* Nobody has any message any more: what is open goes again, or is given back. */
static void come_back(struct kafka_line *line, struct kafka_sending *sending)
{
	struct answer recalled = line->recalled, failure = sending->failure;

	if (failure.kind != ANSWER_SENT) {
		answer_rest(line, sending, &failure);
	} else if (line->is_stopping || recalled.kind == ANSWER_HOLD || !(line->has_sent || line->has_refused)) {
		answer_rest(line, sending, &recalled);
	} else {
		remove_sending(line, sending);
		sending->pending_count = 0;
		sending->is_recalled = false;
		if (line->is_careful)
			kafka_sending_allow(sending, 1);
		else
			kafka_sending_allow(sending, sending->open_count);
		append_waiting(line, sending);
	}
}

static void on_ended(void *arg)
{
	struct kafka_line *line = line_of(arg);
	struct kafka_sending *begun = line->waiting, *sending, *next;

	line->producer = NULL;
	line->state = KAFKA_LINE_NONE;
	line->message_count = 0;
	if (begun != NULL && (begun->is_recalled || begun->pending_count != 0))
		stop_waiting(line, begun);
	DL_FOREACH_SAFE (line->enqueued, sending, next)
		come_back(line, sending);
	kafka_line_turn(line);
}

static void end(struct kafka_line *line)
{
	add_to_metrics(line);
	line->state = KAFKA_LINE_ENDING;
	kafka_producer_end(line->producer, on_ended);
}

void kafka_line_turn(struct kafka_line *line)
{
	if (line->state == KAFKA_LINE_NONE && line->waiting != NULL && !line->is_stopping)
		start_again(line);
	if (line->state == KAFKA_LINE_UP && (line->must_leave || line->is_stopping))
		leave(line);
	if (line->state == KAFKA_LINE_UP) {
		add_to_metrics(line);
		enqueue_waiting(line);
	}
	if (line->state == KAFKA_LINE_LEAVING && line->is_stopping && line->is_patient) {
		line->is_patient = false;
		kafka_producer_recall(line->producer, true);
	}
	if (line->state == KAFKA_LINE_LEAVING && line->message_count == 0)
		end(line);
	if (line->state == KAFKA_LINE_NONE && line->is_stopping) {
		const struct answer answer = kafka_verdict(RD_KAFKA_RESP_ERR__PURGE_QUEUE);

		give_back(line, line->waiting, &answer);
		line->calls->quiet(line->arg);
	}
}

static void watch_leaving(struct kafka_line *line, uint64_t age_ms)
{
	if (age_ms >= LEAVE_MS)
		end(line);
	else if (line->is_patient)
		kafka_producer_recall(line->producer, age_ms >= FLIGHT_MS);
}

static void watch_up(struct kafka_line *line)
{
	bool is_idle = line->is_careful && line->waiting == NULL && line->enqueued == NULL &&
		       clock_monotonic_ms() - line->report_ms >= IDLE_MS;
	bool has_changed = line->trouble.kind != ANSWER_SENT && credentials_changed(line);

	if (has_changed)
		log_info("credentials changed, starting librdkafka again", "output=%s", line->env->name);
	if (!is_idle && !has_changed)
		return;
	line->must_leave = true;
	kafka_line_turn(line);
}

static void on_watch(uv_timer_t *timer)
{
	struct kafka_line *line = line_of(timer->data);
	uint64_t age_ms = clock_monotonic_ms() - line->left_ms;

	if (line->state == KAFKA_LINE_LEAVING) {
		watch_leaving(line, age_ms);
	} else if (line->state == KAFKA_LINE_ENDING && age_ms >= LEAVE_MS && line->is_stopping &&
		   line->message_count == 0) {
		log_warn("librdkafka does not come to its end, going without it", "output=%s", line->env->name);
		kafka_producer_abandon(line->producer);
	} else if (line->state == KAFKA_LINE_UP) {
		watch_up(line);
	}
	if (line->state == KAFKA_LINE_NONE ||
	    (line->state == KAFKA_LINE_UP && line->trouble.kind == ANSWER_SENT && !line->is_careful))
		uv_timer_stop(timer);
}

/* ---- the line -------------------------------------------------------------------------------- */

int kafka_line_open(struct kafka_line *line, struct err *err)
{
	line->magic = LINE_MAGIC;
	line->trouble.kind = ANSWER_SENT;
	if (!line->is_careful) {
		int status = start(line, err);

		if (status != 0)
			return status;
	}
	kafka_messages_init(&line->messages, line->options, line->env->node_name);
	must(uv_timer_init(line->env->loop, &line->watch_timer) == 0);
	line->watch_timer.data = line;
	return 0;
}

void kafka_line_take(struct kafka_line *line, struct kafka_sending *sending)
{
	append_waiting(line, sending);
}

bool kafka_line_is_quiet(const struct kafka_line *line)
{
	return line->state == KAFKA_LINE_NONE && line->waiting == NULL && line->enqueued == NULL;
}

void kafka_line_stop(struct kafka_line *line)
{
	line->is_stopping = true;
}

static void on_closed(uv_handle_t *handle)
{
	struct kafka_line *line = line_of(handle->data);

	line->magic = 0;
	line->closed(line->arg);
}

void kafka_line_close(struct kafka_line *line, void (*closed)(void *arg))
{
	must(kafka_line_is_quiet(line));
	line->closed = closed;
	kafka_messages_release(&line->messages); /* now, while the options are there */
	uv_close((uv_handle_t *)&line->watch_timer, on_closed);
}

bool kafka_line_trouble(const struct kafka_line *line, struct answer *ret_answer)
{
	if (line->message_count == 0 && line->waiting == NULL)
		return false; /* brokers may come and go while nobody needs them */
	*ret_answer = line->trouble;
	if (line->trouble.kind != ANSWER_SENT)
		return true;
	if (line->message_count == 0 || clock_monotonic_ms() - line->report_ms < SILENCE_MS)
		return false;
	*ret_answer = (struct answer){.kind = ANSWER_RETRY,
	    .reason = "silence",
	    .text = "messages wait, and brokers report nothing",
	    .retry_after_ms = -1};
	return true;
}

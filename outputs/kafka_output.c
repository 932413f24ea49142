/* Kafka output.  A record is a message (or a parcel is one), and its delivery report is its answer.
 *
 *     send -> the fast line ----------------------> answers
 *          -> the careful line, a record a time -> the fast line with the rest, or go on so
 *
 * With a message a record, whatever a broker refuses for good costs the fast line its producer (kafka_line.c
 * says why).  What is likely to be refused therefore goes by the careful line, which has a producer of its own
 * while it is needed: of a parcel whose destination refused the one before, the first record, to learn
 * whether the others can follow; and of few suspects that have the output for themselves, each, so that its
 * verdict is its own.
 *
 * Stands at the end of the road.  Owns the two lines.  librdkafka never gives a message up by itself
 * (message.timeout.ms = 0) and repeats what brokers refuse for the moment; what keeps it from delivering
 * meanwhile is told by trouble(). */
#include "config.h"
#include "outputs/kafka_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/must.h"
#include "outputs/kafka_line.h"
#include "outputs/kafka_options.h"

#define OUTPUT_MAGIC MAGIC('k', 'o', 'u', 't')
#define FEW          32 /* suspects: one by one they cost less than starting a producer for each half */

enum { FAST, CAREFUL, LINES };

struct kafka_output {
	unsigned magic;
	const struct kafka_options *options;
	struct output_env env;
	struct kafka_line lines[LINES];
	uv_timer_t turn_timer; /* work that must not happen inside send() or an event */
	void (*stopped)(void *arg);
	void *stopped_arg;
	unsigned open_count; /* of what has to be closed */
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

static void on_turn_timer(uv_timer_t *timer)
{
	struct kafka_output *output = output_of(timer->data);

	for (size_t i = 0; i < LINES; i++)
		kafka_line_turn(&output->lines[i]);
}

static void turn_soon(struct kafka_output *output)
{
	must(uv_timer_start(&output->turn_timer, on_turn_timer, 0, 0) == 0);
}

/* ---- which way ------------------------------------------------------------------------------- */

static bool are_few_suspects(const struct kafka_sending *sending)
{
	return sending->parcel->is_alone && sending->open_count <= FEW;
}

static void route(struct kafka_output *output, struct kafka_sending *sending, bool is_careful)
{
	kafka_sending_allow(sending, is_careful ? 1 : sending->open_count);
	kafka_line_take(&output->lines[is_careful ? CAREFUL : FAST], sending);
	turn_soon(output);
}

static void on_passed(void *arg, struct kafka_sending *sending)
{
	route(output_of(arg), sending, are_few_suspects(sending));
}

static void send_parcel(struct output *base, struct parcel *parcel)
{
	struct kafka_output *output = output_of(base);
	struct kafka_sending *sending =
	    kafka_sending_new(parcel, output->options->payload == KAFKA_PAYLOAD_BATCH);

	must(output->stopped == NULL);
	route(output, sending,
	    kafka_options_keep_order(output->options) && (parcel->is_doubted || are_few_suspects(sending)));
}

/* ---- operations ------------------------------------------------------------------------------ */

static void on_quiet(void *arg)
{
	struct kafka_output *output = output_of(arg);
	void (*stopped)(void *arg) = output->stopped;

	for (size_t i = 0; i < LINES; i++)
		if (!kafka_line_is_quiet(&output->lines[i]))
			return;
	output->stopped = NULL;
	if (stopped != NULL)
		stopped(output->stopped_arg);
}

static int open_output(
    struct output **ret_output, const void *options, const struct output_env *env, struct err *err)
{
	static const struct kafka_line_calls calls = {.passed = on_passed, .quiet = on_quiet};
	struct kafka_output *output = x_new(output);
	int status;

	output->magic = OUTPUT_MAGIC;
	output->options = options;
	output->env = *env;
	for (size_t i = 0; i < LINES; i++)
		output->lines[i] = (struct kafka_line){
		    .options = output->options,
		    .env = &output->env,
		    .calls = &calls,
		    .arg = output,
		    .is_careful = i == CAREFUL,
		    .wire_bytes = metric_get(env->metrics, &output_wire_bytes, env->name),
		    .ahead = metric_get(env->metrics, &family_ahead, env->name),
		};
	status = kafka_line_open(&output->lines[FAST], err);
	if (status != 0) {
		free(output);
		return status;
	}
	must(kafka_line_open(&output->lines[CAREFUL], err) == 0);
	must(uv_timer_init(env->loop, &output->turn_timer) == 0);
	output->turn_timer.data = output;
	output->open_count = LINES + 1;
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
	for (size_t i = 0; i < LINES; i++)
		kafka_line_stop(&output->lines[i]);
	turn_soon(output);
}

static void on_closed(void *arg)
{
	struct kafka_output *output = output_of(arg);

	if (--output->open_count != 0)
		return;
	output->magic = 0;
	free(output);
}

static void on_timer_closed(uv_handle_t *handle)
{
	on_closed(handle->data);
}

static void close_output(struct output *base)
{
	struct kafka_output *output = output_of(base);

	for (size_t i = 0; i < LINES; i++)
		kafka_line_close(&output->lines[i], on_closed);
	uv_close((uv_handle_t *)&output->turn_timer, on_timer_closed);
}

static bool is_troubled(const struct output *base, struct answer *ret_answer)
{
	const struct kafka_output *output = const_output_of(base);

	return kafka_line_trouble(&output->lines[FAST], ret_answer) ||
	       kafka_line_trouble(&output->lines[CAREFUL], ret_answer);
}

static void write_status(const struct output *base, struct buf *out)
{
	const struct kafka_output *output = const_output_of(base);
	const struct kafka_line *fast = &output->lines[FAST], *careful = &output->lines[CAREFUL];
	const struct kafka_line *last = fast->last_error_ms >= careful->last_error_ms ? fast : careful;
	struct kafka_statistics statistics = {0};

	if (fast->state == KAFKA_LINE_UP)
		statistics = *kafka_producer_statistics(fast->producer);

	buf_add_text(out, "\"brokers\":");
	buf_add_json(out, output->options->brokers, strlen(output->options->brokers));
	buf_printf(out, ",\"producer\":\"%s\",\"producers_started\":%u,\"brokers_up\":%u,\"rtt_ms\":%.3f",
	    kafka_line_state_word(fast), fast->producer_count, statistics.brokers_up,
	    (double)statistics.rtt_us / 1e3);
	buf_printf(out, ",\"careful_producer\":\"%s\"", kafka_line_state_word(careful));
	buf_printf(out, ",\"queued_messages\":%zu,\"clamped_times\":%" PRIu64,
	    fast->message_count + careful->message_count,
	    fast->messages.ahead_count + careful->messages.ahead_count);
	buf_add_text(out, ",\"last_error\":");
	buf_add_json(out, last->last_error, strlen(last->last_error));
	if (last->last_error[0] != '\0')
		buf_printf(out, ",\"last_error_age_s\":%" PRIu64,
		    (clock_monotonic_ms() - last->last_error_ms) / 1000);
}

rd_kafka_t *kafka_output_handle(const struct output *base)
{
	const struct kafka_line *fast = &const_output_of(base)->lines[FAST];

	return fast->state == KAFKA_LINE_UP ? kafka_producer_handle(fast->producer) : NULL;
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
    .destination = kafka_options_destination,
    .record_limit = kafka_options_record_limit,
    .retry_backoff = retry_backoff,
    .open = open_output,
    .send = send_parcel,
    .stop = stop_output,
    .close = close_output,
    .status = write_status,
    .trouble = is_troubled,
};

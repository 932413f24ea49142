/* Null output.  Answers every parcel by a script of one word, from the loop's next turn; for measuring everything but the output, and for trying what an output's
 * answers do.  Owns the parcels until then. */
#include "config.h"
#include "outputs/output.h"

#include <stdlib.h>

#include "common/must.h"
#include "common/table.h"

#define OUTPUT_MAGIC MAGIC('n', 'u', 'l', 'l')

struct null_options {
	int answer;
	uint64_t delay_ms;
};

#define NULL_ROW(field) offsetof(struct null_options, field)

static const char *const answer_words[] = {"sent", "retry", "hold", "reject", NULL};

static const struct bind_row rows[] = {
	{.key = "answer", .kind = BIND_WORD, .offset = NULL_ROW(answer), .words = answer_words, .fallback = "sent",
		.help = "What every parcel is answered with."},
	{.key = "delay", .kind = BIND_DURATION, .offset = NULL_ROW(delay_ms), .fallback = "0", .max = 3600000,
		.help = "How long the answer takes."},
	{.key = NULL},
};

struct waiting {
	struct parcel *parcel;
	uint64_t due_ms;
	struct waiting *prev, *next;
};

struct null_output {
	unsigned magic;
	const struct null_options *options;
	uv_loop_t *loop;
	uv_timer_t timer;
	struct waiting *waiting; /* in the order of their time */
	void (*stopped)(void *arg);
	void *stopped_arg;
};

static struct null_output *output_of(void *pointer)
{
	struct null_output *output = pointer;

	must(output->magic == OUTPUT_MAGIC);
	return output;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct null_output *output)
{
	uint64_t now = uv_now(output->loop);

	if (output->stopped != NULL || output->waiting == NULL)
		return;
	uv_timer_start(&output->timer, on_timer, output->waiting->due_ms > now ? output->waiting->due_ms - now : 0, 0);
}

static void answer_first(struct null_output *output)
{
	static const enum answer_kind kinds[] = {ANSWER_SENT, ANSWER_RETRY, ANSWER_HOLD, ANSWER_REJECTED};
	struct waiting *first = output->waiting;
	struct parcel *parcel = first->parcel;
	struct answer answer = {.kind = kinds[output->options->answer], .reason = answer_words[output->options->answer], .retry_after_ms = -1};

	if (output->stopped != NULL)
		answer.kind = ANSWER_RETRY;
	DL_DELETE(output->waiting, first);
	free(first);
	parcel->answer(parcel, PARCEL_ALL, &answer);
}

static void on_timer(uv_timer_t *timer)
{
	struct null_output *output = output_of(timer->data);
	uint64_t now = uv_now(output->loop);

	while (output->waiting != NULL && (output->stopped != NULL || output->waiting->due_ms <= now))
		answer_first(output);
	if (output->stopped != NULL)
		output->stopped(output->stopped_arg);
	else
		arm(output);
}

static void send_parcel(struct output *base, struct parcel *parcel)
{
	struct null_output *output = output_of(base);
	struct waiting *waiting = x_new(waiting);

	waiting->parcel = parcel;
	waiting->due_ms = uv_now(output->loop) + output->options->delay_ms;
	DL_APPEND(output->waiting, waiting);
	arm(output);
}

static int open_output(struct output **ret_output, const void *options, const struct output_env *env, struct err *err)
{
	struct null_output *output = x_new(output);

	(void)err;
	output->magic = OUTPUT_MAGIC;
	output->options = options;
	output->loop = env->loop;
	must(uv_timer_init(env->loop, &output->timer) == 0);
	output->timer.data = output;
	*ret_output = (struct output *)output;
	return 0;
}

static void stop_output(struct output *base, void (*stopped)(void *arg), void *arg)
{
	struct null_output *output = output_of(base);

	output->stopped = stopped;
	output->stopped_arg = arg;
	uv_timer_start(&output->timer, on_timer, 0, 0);
}

static void on_closed(uv_handle_t *handle)
{
	struct null_output *output = output_of(handle->data);

	output->magic = 0;
	free(output);
}

static void close_output(struct output *base)
{
	struct null_output *output = output_of(base);

	must(output->waiting == NULL);
	uv_close((uv_handle_t *)&output->timer, on_closed);
}

const struct output_ops output_null = {
	.name = "null",
	.help = "Takes everything and keeps nothing; for measuring and for tests.",
	.rows = rows,
	.options_size = sizeof(struct null_options),
	.open = open_output,
	.send = send_parcel,
	.stop = stop_output,
	.close = close_output,
};

/* Standard output.  One record a line, in whole parcels, on a worker thread: a reader that is slow or has stopped reading blocks that thread, never the loop.
 *
 * Owns one write at a time; further parcels wait in order.  A reader that is gone (EPIPE) is a far side that does not take anything: the records are held, not
 * dropped, and the collector says so. */
#include "config.h"
#include "outputs/output.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/must.h"
#include "common/table.h"

#define OUTPUT_MAGIC MAGIC('s', 't', 'd', 'o')
#define POLL_MS      100  /* how soon a write that waits for its reader notices that it shall stop */
#define WRITE_BYTES  4096 /* a pipe that poll() calls writable takes so many without blocking, and no more for sure */

struct writing {
	struct parcel *parcel;
	struct writing *prev, *next;
};

struct stdout_output {
	unsigned magic;
	uv_loop_t *loop;
	struct writing *queue; /* the first one is being written */
	uv_work_t work;
	bool is_working;
	int error;             /* of the write that ended */
	size_t written;        /* bytes of the first parcel that are out already */
	atomic_bool is_stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
	struct metric *wire_bytes;
	uv_timer_t later;
};

static struct stdout_output *output_of(void *pointer)
{
	struct stdout_output *output = pointer;

	must(output->magic == OUTPUT_MAGIC);
	return output;
}

/* ---- on the worker ------------------------------------------------------------------------------------------------ */

static bool wait_writable(const struct stdout_output *output)
{
	struct pollfd poller = {.fd = STDOUT_FILENO, .events = POLLOUT};

	while (!atomic_load(&output->is_stopping))
		if (poll(&poller, 1, POLL_MS) != 0)
			return true;
	return false;
}

/* Writes from output->written on; returns 0 when all is out, else the error. */
static int write_bytes(struct stdout_output *output, const char *bytes, size_t len)
{
	while (output->written < len) {
		size_t left = len - output->written;
		ssize_t count;

		if (!wait_writable(output))
			return ECANCELED;
		count = write(STDOUT_FILENO, bytes + output->written, left < WRITE_BYTES ? left : WRITE_BYTES);
		if (count >= 0)
			output->written += (size_t)count;
		else if (errno != EAGAIN && errno != EINTR)
			return errno;
	}
	return 0;
}

static void on_worker(uv_work_t *work)
{
	struct stdout_output *output = container_of(work, struct stdout_output, work);
	const struct parcel *parcel = output->queue->parcel;
	const struct parcel_record *last = &parcel->records[parcel->record_count - 1];

	output->error = write_bytes(output, parcel->raw + parcel->records[0].offset, last->offset + last->len + 1 - parcel->records[0].offset);
}

/* ---- on the loop -------------------------------------------------------------------------------------------------- */

static void work_on(struct stdout_output *output);

static void answer_first(struct stdout_output *output, struct answer answer)
{
	struct writing *first = output->queue;
	struct parcel *parcel = first->parcel;

	DL_DELETE(output->queue, first);
	free(first);
	parcel->answer(parcel, PARCEL_ALL, &answer);
}

static void stop_if_quiet(struct stdout_output *output)
{
	if (output->stopped == NULL || output->is_working)
		return;
	while (output->queue != NULL)
		answer_first(output, (struct answer){.kind = ANSWER_RETRY, .reason = "stopped", .retry_after_ms = -1});
	uv_timer_stop(&output->later);
	output->stopped(output->stopped_arg);
}

static void on_written(uv_work_t *work, int status)
{
	struct stdout_output *output = container_of(work, struct stdout_output, work);
	struct answer answer = {.kind = ANSWER_SENT, .reason = "sent", .retry_after_ms = -1};

	must(status == 0);
	output->is_working = false;
	metric_add(output->wire_bytes, output->written);
	output->written = 0;
	if (output->error != 0)
		answer = (struct answer){.kind = output->error == ECANCELED ? ANSWER_RETRY : ANSWER_HOLD, .reason = "write",
			.text = strerror(output->error), .retry_after_ms = -1};
	answer_first(output, answer);
	if (output->stopped != NULL)
		stop_if_quiet(output);
	else
		work_on(output);
}

static void work_on(struct stdout_output *output)
{
	if (output->queue == NULL || output->is_working)
		return;
	output->is_working = true;
	must(uv_queue_work(output->loop, &output->work, on_worker, on_written) == 0);
}

static void send_parcel(struct output *base, struct parcel *parcel)
{
	struct stdout_output *output = output_of(base);
	struct writing *writing = x_new(writing);

	must(!parcel->has_settled); /* answers are about whole parcels, so no part of one is settled alone */
	writing->parcel = parcel;
	DL_APPEND(output->queue, writing);
	work_on(output);
}

static int open_output(struct output **ret_output, const void *options, const struct output_env *env, struct err *err)
{
	struct stdout_output *output = x_new(output);

	(void)options, (void)err;
	output->magic = OUTPUT_MAGIC;
	output->loop = env->loop;
	output->wire_bytes = metric_get(env->metrics, &output_wire_bytes, env->name);
	must(uv_timer_init(env->loop, &output->later) == 0);
	output->later.data = output;
	*ret_output = (struct output *)output;
	return 0;
}

static void on_later(uv_timer_t *timer)
{
	stop_if_quiet(output_of(timer->data));
}

static void stop_output(struct output *base, void (*stopped)(void *arg), void *arg)
{
	struct stdout_output *output = output_of(base);

	atomic_store(&output->is_stopping, true);
	output->stopped = stopped;
	output->stopped_arg = arg;
	if (!output->is_working)
		uv_timer_start(&output->later, on_later, 0, 0); /* else the worker's end does it */
}

static void on_closed(uv_handle_t *handle)
{
	struct stdout_output *output = output_of(handle->data);

	output->magic = 0;
	free(output);
}

static void close_output(struct output *base)
{
	uv_close((uv_handle_t *)&output_of(base)->later, on_closed);
}

const struct output_ops output_stdout = {
	.name = "stdout",
	.help = "Prints records to standard output, one JSON object a line.",
	.open = open_output,
	.send = send_parcel,
	.stop = stop_output,
	.close = close_output,
};

/* Writer.  The one gate between what is decided and the API server: a queue, a window, a pause.
 *
 *   writer_send -> waiting -> (room in the window, no pause, lease fresh) under way -> on_end
 *                          -> (lease not fresh, or it could not begin)    refused   -> on_end, in a later
 * turn
 *
 * The window follows what the server says: each 429 of a new round halves it, each quiet round adds one.  A
 * 429 also stops the whole queue for its Retry-After, or for a growing while if it has none.  The answer goes
 * to whoever asked; nothing is sent twice here, since only the asker knows what a repetition would mean.
 * Reads do not pass here. */
#include "config.h"
#include "controller/writer.h"

#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/must.h"
#include "common/table.h"

#define WRITER_MAGIC        MAGIC('w', 'r', 'i', 't')
#define WRITER_PAUSE_MIN_MS 800
#define WRITER_PAUSE_MAX_MS 30000           /* without Retry-After (W2-11) */
#define WRITER_RETRY_MAX_MS (5 * 60 * 1000) /* a longer Retry-After is not believed */

/* One write from writer_send to its end. */
struct passage {
	struct writer *writer;
	struct kube_call call; /* on_end and arg are the asker's; path and body are owned */
	struct kube_request *request;
	struct err err; /* refused: why */
	struct passage *prev, *next;
};

struct writer {
	unsigned magic;
	uv_loop_t *loop;
	struct kube_client *client; /* borrowed */
	bool (*may_write)(void *arg);
	void *arg;
	uv_timer_t timer; /* the end of the pause, or at once if something was refused */
	struct passage *waiting, *under_way, *refused;
	unsigned window, since_decrease;
	unsigned busy_in_a_row;
	uint64_t pause_until_ms; /* monotonic */
	struct writer_counts counts;
};

static void writer_pump(struct writer *writer);

static struct writer *writer_of(void *data)
{
	struct writer *writer = data;

	must(writer->magic == WRITER_MAGIC);
	return writer;
}

unsigned writer_window_after(unsigned window, enum kube_result result, unsigned since_decrease)
{
	if (result == KUBE_BUSY) /* what was under way when it shrank, twice as many, says nothing new */
		return since_decrease < 2 * window ? window : (window + 1) / 2;
	if (result == KUBE_FAILED || window >= WRITER_WINDOW || since_decrease == 0)
		return window;
	return since_decrease % window == 0 ? window + 1 : window;
}

static void passage_free(struct passage *passage)
{
	free((void *)(uintptr_t)passage->call.path);
	free((void *)(uintptr_t)passage->call.body);
	free(passage);
}

/* ---- the clockwork -------------------------------------------------------------------------- */

static void deliver_refused(struct writer *writer)
{
	struct passage *refused = writer->refused;

	writer->refused = NULL;
	while (refused != NULL) {
		struct passage *passage = refused;
		struct kube_answer answer = {.result = KUBE_FAILED,
		    .reason = "",
		    .message = passage->err.text,
		    .retry_after_ms = -1,
		    .body = ""};

		DL_DELETE(refused, passage);
		passage->call.on_end(passage->call.arg, &answer);
		passage_free(passage);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct writer *writer = writer_of(timer->data);

	deliver_refused(writer);
	writer_pump(writer);
}

static void arm_timer(struct writer *writer)
{
	uint64_t now = clock_monotonic_ms();

	if (writer->refused != NULL)
		must(uv_timer_start(&writer->timer, on_timer, 0, 0) == 0);
	else if (writer->waiting != NULL && now < writer->pause_until_ms)
		must(uv_timer_start(&writer->timer, on_timer, writer->pause_until_ms - now, 0) == 0);
	else
		(void)uv_timer_stop(&writer->timer); /* cannot fail */
}

/* ---- answers -------------------------------------------------------------------------------- */

static void learn(struct writer *writer, const struct kube_answer *answer)
{
	unsigned window = writer_window_after(writer->window, answer->result, ++writer->since_decrease);

	if (window < writer->window)
		writer->since_decrease = 0;
	writer->window = window;
	if (answer->result == KUBE_BUSY) {
		uint64_t pause_ms = answer->retry_after_ms >= 0
					? (uint64_t)answer->retry_after_ms
					: backoff_ms(++writer->busy_in_a_row, WRITER_PAUSE_MIN_MS,
					      WRITER_PAUSE_MAX_MS, clock_monotonic_ms());
		uint64_t until;

		if (pause_ms > WRITER_RETRY_MAX_MS)
			pause_ms = WRITER_RETRY_MAX_MS;
		until = clock_monotonic_ms() + pause_ms;
		if (until > writer->pause_until_ms)
			writer->pause_until_ms = until;
	} else {
		writer->busy_in_a_row = 0;
	}
}

static void count(struct writer_counts *counts, const struct kube_answer *answer)
{
	counts->writes++;
	counts->failed += answer->result != KUBE_OK;
	counts->conflicts += answer->result == KUBE_CONFLICT || answer->result == KUBE_EXISTS;
	counts->busy += answer->result == KUBE_BUSY;
	counts->unknown += answer->unknown;
}

static void on_answer(void *arg, const struct kube_answer *answer)
{
	struct passage *passage = arg;
	struct writer *writer = writer_of(passage->writer);

	DL_DELETE(writer->under_way, passage);
	writer->counts.in_flight--;
	count(&writer->counts, answer);
	learn(writer, answer);
	passage->call.on_end(passage->call.arg, answer);
	passage_free(passage);
	writer_pump(writer);
}

/* ---- the gate ------------------------------------------------------------------------------- */

static int begin(struct writer *writer, struct passage *passage)
{
	struct kube_call call = passage->call;

	if (!writer->may_write(writer->arg)) {
		writer->counts.refused++;
		return err_set(&passage->err, -EPERM, "not sent: the lease is not fresh");
	}
	call.on_end = on_answer;
	call.arg = passage;
	return kube_start(writer->client, &call, &passage->request, &passage->err);
}

static void writer_pump(struct writer *writer)
{
	while (writer->waiting != NULL && writer->counts.in_flight < writer->window &&
	       clock_monotonic_ms() >= writer->pause_until_ms) {
		struct passage *passage = writer->waiting;

		DL_DELETE(writer->waiting, passage);
		writer->counts.waiting--;
		if (begin(writer, passage) == 0) {
			DL_APPEND(writer->under_way, passage);
			writer->counts.in_flight++;
		} else {
			DL_APPEND(writer->refused, passage);
		}
	}
	arm_timer(writer);
}

void writer_send(struct writer *writer, const struct kube_call *call)
{
	struct passage *passage = x_new(passage);

	passage->writer = writer;
	passage->call = *call;
	passage->call.path = xstrdup(call->path);
	if (call->body != NULL)
		passage->call.body = memcpy(xmalloc(call->body_len + 1), call->body, call->body_len);
	DL_APPEND(writer->waiting, passage);
	writer->counts.waiting++;
	writer_pump(writer);
}

void writer_drop(struct writer *writer, const void *arg)
{
	struct passage *passage, *next;

	DL_FOREACH_SAFE (writer->waiting, passage, next) {
		if (passage->call.arg != arg)
			continue;
		DL_DELETE(writer->waiting, passage);
		writer->counts.waiting--;
		passage_free(passage);
	}
	DL_FOREACH_SAFE (writer->refused, passage, next) {
		if (passage->call.arg != arg)
			continue;
		DL_DELETE(writer->refused, passage);
		passage_free(passage);
	}
	DL_FOREACH_SAFE (writer->under_way, passage, next) {
		if (passage->call.arg != arg)
			continue;
		DL_DELETE(writer->under_way, passage);
		writer->counts.in_flight--;
		kube_cancel(passage->request);
		passage_free(passage);
	}
	writer_pump(writer);
}

struct writer_counts writer_counts(const struct writer *writer)
{
	struct writer_counts counts = writer->counts;

	counts.window = writer->window;
	return counts;
}

/* ---- birth and end -------------------------------------------------------------------------- */

struct writer *writer_new(
    uv_loop_t *loop, struct kube_client *client, bool (*may_write)(void *arg), void *arg)
{
	struct writer *writer = x_new(writer);

	writer->magic = WRITER_MAGIC;
	writer->loop = loop;
	writer->client = client;
	writer->may_write = may_write;
	writer->arg = arg;
	writer->window = WRITER_WINDOW;
	writer->since_decrease = 2 * WRITER_WINDOW; /* the first 429 counts */
	must(uv_timer_init(loop, &writer->timer) == 0);
	writer->timer.data = writer;
	return writer;
}

static void on_closed(uv_handle_t *handle)
{
	free(writer_of(handle->data));
}

static void drop_all(struct passage **list, bool is_under_way)
{
	while (*list != NULL) {
		struct passage *passage = *list;

		DL_DELETE(*list, passage);
		if (is_under_way)
			kube_cancel(passage->request);
		passage_free(passage);
	}
}

void writer_close(struct writer *writer)
{
	drop_all(&writer->waiting, false);
	drop_all(&writer->refused, false);
	drop_all(&writer->under_way, true);
	uv_close((uv_handle_t *)&writer->timer, on_closed);
}

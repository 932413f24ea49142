/* Every write to the API server passes here: at most 32 under way, fewer after a 429 (additive increase, multiplicative decrease), all but the lease wait out
 * Retry-After, and none begins without a fresh lease (C3, X-8, W2-23). */
#ifndef DRAVE_CONTROLLER_WRITER_H
#define DRAVE_CONTROLLER_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/kube_client.h"

#define WRITER_WINDOW 32

struct writer;

struct writer_counts {
	uint64_t writes, failed, conflicts, busy, unknown, refused; /* refused: not sent, because the lease was not fresh */
	unsigned in_flight, waiting, window;
};

/* may_write is asked before each request is sent. */
struct writer *writer_new(uv_loop_t *loop, struct kube_client *client, bool (*may_write)(void *arg), void *arg);
/* Queued writes are dropped, those under way cancelled; no callback comes any more. */
void writer_close(struct writer *writer);
/* As kube_start, in order of arrival; on_end also comes (later) for what was not sent: KUBE_FAILED, status 0, unknown false. path and body are copied;
 * method and content_type are static text. */
void writer_send(struct writer *writer, const struct kube_call *call);
/* The asker goes: its writes (those with this arg) are dropped or cancelled, and their on_end does not come any more.  Not from inside an on_end. */
void writer_drop(struct writer *writer, const void *arg);
struct writer_counts writer_counts(const struct writer *writer);
/* Pure: the window after an answer, which was the since_decrease-th since the window last shrank. */
unsigned writer_window_after(unsigned window, enum kube_result result, unsigned since_decrease);

#endif

/* Metadata from the kubelet: GET /pods (a right on nodes/pods, never nodes/proxy).
 *
 *     WAITING --timer--> ASKING --answer--> WAITING for 30 s
 *                                           or 1 s, if a container came of which something is not known,
 *                                           or 2 s, a few times, if an id is still missing,
 *                                           or longer after each failure, from 1 s to 30 s
 *
 * The list comes in pieces and is taken apart as it comes, so no list is ever a tree; its size and that of
 * each pod are bounded.  Only a list that came whole says who is gone.  A kubelet that refuses us (401, 403)
 * is asked every 30 s, as only an operator can change that.
 *
 * Owns its request and its timer; the pods are the store's. */
#include "config.h"
#include "collector/metadata_kubelet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/event_stream.h"
#include "common/must.h"

#define KUBELET_MAGIC MAGIC('k', 'l', 'e', 't')
#define PATH          "/pods"
#define CALM_MS       30000
#define ASKED_MS      1000
#define MORE_MS       2000 /* ids of containers that have just begun */
#define TIMEOUT_MS    10000
#define RETRY_MIN_MS  1000

struct metadata_kubelet {
	unsigned magic;
	struct kube_client *client;
	struct pod_store *store;
	struct metadata_kubelet_events events;
	uv_timer_t timer;
	struct kube_request *request;
	struct list_stream *list;
	struct err trouble; /* of the list that comes in */
	size_t len;
	uint64_t number; /* of this list */
	uint64_t began_ms;
	unsigned attempt; /* failures in a row */
	bool is_refused;
	bool is_asked;
};

static struct metadata_kubelet *kubelet_of(void *pointer)
{
	struct metadata_kubelet *kubelet = pointer;

	must(kubelet->magic == KUBELET_MAGIC);
	return kubelet;
}

static void on_timer(uv_timer_t *timer);

/* The next request, counted from the beginning of the last one. */
static void schedule(struct metadata_kubelet *kubelet)
{
	uint64_t pause_ms = CALM_MS, since_ms = clock_monotonic_ms() - kubelet->began_ms;

	if (kubelet->request != NULL)
		return;
	if (kubelet->attempt != 0 && !kubelet->is_refused)
		pause_ms = backoff_ms(kubelet->attempt, RETRY_MIN_MS, CALM_MS, kubelet->began_ms);
	else if (kubelet->attempt == 0 && kubelet->is_asked)
		pause_ms = ASKED_MS;
	must(
	    uv_timer_start(&kubelet->timer, on_timer, since_ms < pause_ms ? pause_ms - since_ms : 0, 0) == 0);
}

static bool on_item(void *arg, const struct cJSON *pod)
{
	const struct metadata_kubelet *kubelet = kubelet_of(arg);

	pod_store_put(kubelet->store, pod);
	return true;
}

static bool on_chunk(void *arg, const char *bytes, size_t len)
{
	struct metadata_kubelet *kubelet = kubelet_of(arg);

	kubelet->len += len;
	if (kubelet->len > METADATA_LIST_BYTES) {
		(void)err_set(&kubelet->trouble, -EFBIG, "the kubelet's list of pods is longer than %u bytes",
		    METADATA_LIST_BYTES);
		return false;
	}
	return list_stream_feed(kubelet->list, bytes, len, &kubelet->trouble) == 0;
}

static void on_end(void *arg, const struct kube_answer *answer)
{
	struct metadata_kubelet *kubelet = kubelet_of(arg);
	enum kube_result result = answer->result;
	const char *message = answer->message;

	kubelet->request = NULL;
	if (result == KUBE_OK && list_stream_check(kubelet->list, &kubelet->trouble) != 0)
		result = KUBE_FAILED;
	if (kubelet->trouble.text[0] != '\0')
		message = kubelet->trouble.text;
	list_stream_free(kubelet->list);
	kubelet->list = NULL;
	kubelet->is_refused = result == KUBE_FORBIDDEN;
	kubelet->attempt = result == KUBE_OK ? 0 : kubelet->attempt + 1;
	if (result == KUBE_OK) {
		pod_store_end_list(kubelet->store, kubelet->number, true);
		schedule(kubelet);
		if (!kubelet->is_asked && pod_store_wants_more(kubelet->store))
			must(uv_timer_start(&kubelet->timer, on_timer, MORE_MS, 0) == 0);
	} else {
		pod_store_hear(kubelet->store, false);
		schedule(kubelet);
	}
	kubelet->events.answered(kubelet->events.arg, result, message);
}

static void on_timer(uv_timer_t *timer)
{
	struct metadata_kubelet *kubelet = kubelet_of(timer->data);
	struct kube_call call = {
	    .method = "GET",
	    .path = PATH,
	    .timeout_ms = TIMEOUT_MS,
	    .on_chunk = on_chunk,
	    .on_end = on_end,
	    .arg = kubelet,
	};

	kubelet->is_asked = false;
	kubelet->len = 0;
	kubelet->trouble = (struct err){.code = 0};
	kubelet->began_ms = clock_monotonic_ms();
	kubelet->number = pod_store_begin_list(kubelet->store);
	kubelet->list = list_stream_new(on_item, kubelet);
	if (kube_start(kubelet->client, &call, &kubelet->request, &kubelet->trouble) == 0)
		return;
	list_stream_free(kubelet->list);
	kubelet->list = NULL;
	kubelet->attempt++;
	pod_store_hear(kubelet->store, false);
	schedule(kubelet);
	kubelet->events.answered(kubelet->events.arg, KUBE_FAILED, kubelet->trouble.text);
}

void metadata_kubelet_ask(struct metadata_kubelet *kubelet)
{
	must(kubelet->magic == KUBELET_MAGIC);
	if (kubelet->is_asked)
		return;
	kubelet->is_asked = true;
	if (kubelet->began_ms != 0)
		schedule(kubelet);
}

struct metadata_kubelet *metadata_kubelet_new(uv_loop_t *loop, struct kube_client *client,
    struct pod_store *store, const struct metadata_kubelet_events *events)
{
	struct metadata_kubelet *kubelet = x_new(kubelet);

	kubelet->magic = KUBELET_MAGIC;
	kubelet->client = client;
	kubelet->store = store;
	kubelet->events = *events;
	must(uv_timer_init(loop, &kubelet->timer) == 0);
	kubelet->timer.data = kubelet;
	must(uv_timer_start(&kubelet->timer, on_timer, 0, 0) == 0);
	return kubelet;
}

static void on_closed(uv_handle_t *handle)
{
	free(kubelet_of(handle->data));
}

void metadata_kubelet_close(struct metadata_kubelet *kubelet)
{
	must(kubelet->magic == KUBELET_MAGIC);
	if (kubelet->request != NULL)
		kube_cancel(kubelet->request);
	list_stream_free(kubelet->list);
	uv_close((uv_handle_t *)&kubelet->timer, on_closed);
}

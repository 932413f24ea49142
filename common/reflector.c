/* Reflector.  One collection, first whole, then change by change, and whole again when the thread of changes
 * is lost.
 *
 *     IDLE -> LISTING (watch-list, or pages) -> WATCHING -> (clean end, error) WATCHING ...
 *                  ^                                 |
 *                  +--- 410, what cannot be read ----+
 *
 * Every list is a consistent read: since Kubernetes 1.31 the server answers it from its watch cache, so it
 * costs what a stale one costs.  A request that ends says what comes next, and a timer begins it: nothing is
 * started from inside a callback.  Failures wait between tries, longer each time; the owner keeps what it has
 * meanwhile. */
#include "config.h"

#include "common/reflector.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/event_stream.h"
#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE      "reflector"
#define REFLECTOR_MAGIC MAGIC('r', 'e', 'f', 'l')
#define RETRY_MIN_MS    800 /* W2-11 */
#define RETRY_MAX_MS    30000
#define HEALTHY_MS      120000
#define SHORT_MS        1000 /* a watch that ends sooner, without an event, is a failure (W2-10) */
#define WATCH_MIN_S     300
#define MORE_S          30 /* W2-6 */
#define LIST_TIMEOUT_MS 60000
#define VERSION_BYTES   64 /* W2-18: a decimal integer of 20 digits, by what is known */
#define CONTINUE_BYTES  4096
#define TEXT_BYTES      ERR_TEXT_BYTES
#define INITIAL_END     "k8s.io/initial-events-end"

enum activity { IDLE, LISTING_STREAM, LISTING_PAGES, WATCHING };

struct reflector {
	unsigned magic;
	struct kube_client *client;
	char *path, *query, *name;
	unsigned page_size;
	uint64_t watch_min_s, seed;
	uint64_t list_limit_ms;
	uint64_t watch_limit_ms; /* of this watch: the server ends it before */
	const struct reflector_ops *ops;
	void *arg;
	uv_timer_t timer; /* begins whatever is next */
	enum activity activity, next;
	struct kube_request *request;
	struct event_stream *events;
	struct list_stream *items;
	char version[VERSION_BYTES];
	char more[CONTINUE_BYTES];
	unsigned attempt;  /* failures in a row */
	uint64_t began_ms; /* this request */
	bool has_event;    /* in this request */
	bool is_initial;   /* of a watch-list: what comes is the list */
	bool use_watch_list, use_pages;
	bool in_callback; /* of a chunk: the request must not be cancelled now */
	bool was_noted;   /* why this request ends, more exactly than its answer says */
	bool wants_list;  /* the owner's wish, or doubt */
	bool must_list;   /* the thread is lost */
	struct reflector_counts counts;
	char last_error[TEXT_BYTES];
};

static struct reflector *reflector_of(void *pointer)
{
	struct reflector *reflector = pointer;

	must(reflector->magic == REFLECTOR_MAGIC);
	return reflector;
}

static uint64_t draw(struct reflector *reflector, uint64_t below)
{
	reflector->seed = reflector->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (reflector->seed >> 33) % below;
}

static void note_error(struct reflector *reflector, const char *text)
{
	if (reflector->was_noted)
		return;
	reflector->counts.errors++;
	reflector->was_noted = true;
	(void)snprintf(reflector->last_error, sizeof reflector->last_error, "%s", text);
}

/* What cannot be read: the whole list or watch is discarded (C6). */
static bool refuse(struct reflector *reflector, const char *text)
{
	reflector->counts.unreadable++;
	reflector->must_list = true;
	note_error(reflector, text);
	return false;
}

static void reach(struct reflector *reflector, const char *version)
{
	(void)snprintf(reflector->version, sizeof reflector->version, "%s", version);
	reflector->ops->on_version(reflector->arg, reflector->version);
}

/* ---- what comes next ----------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void go_on(struct reflector *reflector, enum activity next, uint64_t after_ms)
{
	reflector->activity = IDLE;
	reflector->next = next;
	must(uv_timer_start(&reflector->timer, on_timer, after_ms, 0) == 0);
}

static enum activity list_activity(const struct reflector *reflector)
{
	return reflector->use_watch_list ? LISTING_STREAM : LISTING_PAGES;
}

/* retry_after_ms: what the server asked for, or -1. */
static void try_again(struct reflector *reflector, enum activity next, int64_t retry_after_ms)
{
	uint64_t wait_ms;

	reflector->attempt++;
	wait_ms = backoff_ms(reflector->attempt, RETRY_MIN_MS, RETRY_MAX_MS, draw(reflector, UINT32_MAX));
	if (retry_after_ms > (int64_t)wait_ms)
		wait_ms = (uint64_t)retry_after_ms;
	go_on(reflector, next, wait_ms);
}

/* A request that is still under way when it must have ended: the server never answers, or drips bytes for
 * ever (the idle limit sees only silence). */
static void on_overdue(uv_timer_t *timer);

static void limit_request(struct reflector *reflector, uint64_t after_ms)
{
	must(uv_timer_start(&reflector->timer, on_overdue, after_ms, 0) == 0);
}

static void free_streams(struct reflector *reflector)
{
	event_stream_free(reflector->events);
	list_stream_free(reflector->items);
	reflector->events = NULL;
	reflector->items = NULL;
}

/* ---- the list is complete ------------------------------------------------------------------------------ */

/* true: it is believed.  Else it is asked for once more (W2-12). */
static bool end_list(struct reflector *reflector, const char *version)
{
	if (!reflector->ops->on_list_end(reflector->arg, true)) {
		log_warn("a list is doubted and asked for again", "kind=%s", reflector->name);
		reflector->must_list = true;
		return false;
	}
	reach(reflector, version);
	reflector->counts.is_synced = true;
	reflector->counts.last_heard_ms = clock_monotonic_ms();
	reflector->last_error[0] = '\0';
	return true;
}

/* ---- watches ------------------------------------------------------------------------------------------- */

static const char *text_in(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(item) ? item->valuestring : "";
}

static const char *version_of(const cJSON *object)
{
	return text_in(cJSON_GetObjectItemCaseSensitive(object, "metadata"), "resourceVersion");
}

/* W2-13. */
static bool ends_initial_events(const cJSON *object)
{
	const cJSON *annotations = cJSON_GetObjectItemCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(object, "metadata"), "annotations");

	return strcmp(text_in(annotations, INITIAL_END), "true") == 0;
}

static bool take_error(struct reflector *reflector, const cJSON *status)
{
	const cJSON *code = cJSON_GetObjectItemCaseSensitive(status, "code");
	const char *reason = text_in(status, "reason"), *message = text_in(status, "message");

	if ((cJSON_IsNumber(code) && code->valueint == 410) || strcmp(reason, "Expired") == 0 ||
	    strcmp(reason, "Gone") == 0) {
		reflector->counts.gone++;
		reflector->must_list = true;
	}
	note_error(reflector, message[0] != '\0' ? message : "the watch sent an error");
	return false;
}

/* To be kept and sent back as it is: nothing that is empty (the server would begin anywhere), nothing that
 * would have to be cut. */
static bool is_version(const char *version)
{
	size_t len = strlen(version);

	return len > 0 && len < VERSION_BYTES && strcspn(version, " &#%+?/") == len;
}

static bool take_bookmark(struct reflector *reflector, const cJSON *object)
{
	reflector->counts.bookmarks++;
	if (!is_version(version_of(object)))
		return refuse(reflector, "a bookmark has no version");
	if (!reflector->is_initial) {
		reach(reflector, version_of(object));
		return !reflector->wants_list;
	}
	if (!ends_initial_events(object))
		return true;
	reflector->is_initial = false;
	if (!end_list(reflector, version_of(object)))
		return false;
	reflector->activity = WATCHING;
	limit_request(reflector, reflector->watch_limit_ms);
	return !reflector
		    ->wants_list; /* wished for while the list was under way: nobody else would see it now */
}

static bool take_event(void *arg, enum event_type type, const cJSON *object)
{
	struct reflector *reflector = reflector_of(arg);

	if (type == EVENT_ERROR)
		return take_error(reflector, object);
	if (!is_version(version_of(object)))
		return refuse(reflector, "an event has no version");
	switch (type) {
	case EVENT_ERROR: break;
	case EVENT_BOOKMARK: return take_bookmark(reflector, object);
	case EVENT_DELETED: reflector->ops->on_deleted(reflector->arg, object); break;
	case EVENT_ADDED:
	case EVENT_MODIFIED:
		if (!reflector->ops->on_object(reflector->arg, object))
			return refuse(reflector, "an object cannot be read");
		break;
	}
	reflector->counts.events++;
	reflector->has_event = true;
	if (!reflector->is_initial) /* W2-5: synthetic events come in any order */
		reach(reflector, version_of(object));
	return !reflector->wants_list;
}

static bool on_watch_chunk(void *arg, const char *bytes, size_t len)
{
	struct reflector *reflector = reflector_of(arg);
	struct err err;
	int ret;

	reflector->in_callback = true;
	ret = event_stream_feed(reflector->events, bytes, len, &err);
	reflector->in_callback = false;

	reflector->counts.last_heard_ms = clock_monotonic_ms();
	if (ret == 0 && !reflector->is_initial)
		reflector->last_error[0] = '\0';
	return ret == 0 || (ret != -ECANCELED && refuse(reflector, err.text));
}

/* An answer that is not 2xx, or a connection that broke. */
static void watch_failed(struct reflector *reflector, const struct kube_answer *answer)
{
	enum activity again = reflector->is_initial ? list_activity(reflector) : WATCHING;

	switch (answer->result) {
	case KUBE_GONE:
		reflector->counts.gone++;
		try_again(reflector, list_activity(reflector), -1);
		return;
	case KUBE_INVALID: /* a server that does not know watch-lists */
		if (reflector->is_initial && reflector->use_watch_list) {
			log_info(
			    "the server has no watch-list, listing by pages", "kind=%s", reflector->name);
			reflector->use_watch_list = false;
			go_on(reflector, LISTING_PAGES, 0);
			return;
		}
		again = list_activity(reflector);
		break;
	case KUBE_FORBIDDEN:
	case KUBE_NOT_FOUND:
		log_warn("cannot watch", "kind=%s reason=%s", reflector->name, log_quote(answer->message));
		again = list_activity(reflector);
		break;
	case KUBE_OK:
	case KUBE_EXISTS:
	case KUBE_CONFLICT:
	case KUBE_BUSY:
	case KUBE_FAILED: break;
	}
	note_error(reflector, answer->message);
	try_again(reflector, again, answer->retry_after_ms);
}

static void on_watch_end(void *arg, const struct kube_answer *answer)
{
	struct reflector *reflector = reflector_of(arg);
	uint64_t lasted_ms = clock_monotonic_ms() - reflector->began_ms;

	reflector->request = NULL;
	free_streams(reflector);
	if (lasted_ms >= HEALTHY_MS)
		reflector->attempt = 0;
	if (reflector->wants_list) {
		go_on(reflector, list_activity(reflector), 0);
	} else if (reflector->must_list) {
		try_again(reflector, list_activity(reflector), -1);
	} else if (answer->result != KUBE_OK) {
		watch_failed(reflector, answer);
	} else if (reflector->is_initial || (lasted_ms < SHORT_MS && !reflector->has_event)) {
		note_error(reflector, "the watch ended early");
		try_again(reflector, reflector->is_initial ? list_activity(reflector) : WATCHING, -1);
	} else {
		go_on(reflector, WATCHING, 0);
	}
}

static void on_overdue(uv_timer_t *timer)
{
	struct reflector *reflector = reflector_of(timer->data);
	bool is_list = reflector->is_initial || reflector->wants_list;

	must(reflector->request != NULL);
	note_error(reflector, "the watch did not end in its time");
	kube_cancel(reflector->request);
	reflector->request = NULL;
	free_streams(reflector);
	if (reflector->is_initial)
		reflector->use_watch_list =
		    false; /* a server that ignores what was asked for would never end the list */
	try_again(reflector, is_list ? list_activity(reflector) : WATCHING, -1);
}

/* ---- lists by pages ------------------------------------------------------------------------------------ */

static bool take_item(void *arg, const cJSON *item)
{
	struct reflector *reflector = reflector_of(arg);

	return reflector->ops->on_object(reflector->arg, item) ||
	       refuse(reflector, "an object of the list cannot be read");
}

static bool on_list_chunk(void *arg, const char *bytes, size_t len)
{
	struct reflector *reflector = reflector_of(arg);
	struct err err;
	int ret;

	reflector->in_callback = true;
	ret = list_stream_feed(reflector->items, bytes, len, &err);
	reflector->in_callback = false;

	reflector->counts.last_heard_ms = clock_monotonic_ms();
	return ret == 0 || (ret != -ECANCELED && refuse(reflector, err.text));
}

/* A whole page came. */
static void end_page(struct reflector *reflector)
{
	const char *version, *more;
	struct err err = {.text = "the list's version or continuation is too long"};

	if (list_stream_end(reflector->items, &version, &more, &err) < 0 ||
	    strlen(more) >= sizeof reflector->more || !is_version(version)) {
		(void)refuse(reflector, err.text);
		reflector->more[0] = '\0';
		free_streams(reflector);
		try_again(reflector, list_activity(reflector), -1);
		return;
	}
	(void)snprintf(reflector->more, sizeof reflector->more, "%s", more);
	if (more[0] != '\0') {
		go_on(reflector, LISTING_PAGES, 0);
	} else if (end_list(reflector, version)) {
		reflector->use_pages = true;
		go_on(reflector, reflector->wants_list ? list_activity(reflector) : WATCHING, 0);
	} else {
		try_again(reflector, list_activity(reflector), -1);
	}
	free_streams(reflector);
}

static void page_failed(struct reflector *reflector, const struct kube_answer *answer)
{
	free_streams(reflector);
	if (answer->result == KUBE_GONE) { /* W2-2: the token has expired; once more, in one piece */
		reflector->counts.gone++;
		reflector->use_pages = false;
	}
	if (answer->result == KUBE_FORBIDDEN || answer->result == KUBE_NOT_FOUND)
		log_warn("cannot list", "kind=%s reason=%s", reflector->name, log_quote(answer->message));
	reflector->more[0] = '\0';
	note_error(reflector, answer->message);
	try_again(reflector, list_activity(reflector), answer->retry_after_ms);
}

static void on_page_end(void *arg, const struct kube_answer *answer)
{
	struct reflector *reflector = reflector_of(arg);

	reflector->request = NULL;
	if (reflector->wants_list) {
		reflector->more[0] = '\0';
		free_streams(reflector);
		go_on(reflector, list_activity(reflector), 0);
	} else if (answer->result == KUBE_OK) {
		end_page(reflector);
	} else {
		page_failed(reflector, answer);
	}
}

/* ---- requests ------------------------------------------------------------------------------------------ */

/* false: it did not even begin, and is tried again. */
static bool start(struct reflector *reflector, struct kube_call *call, struct buf *path)
{
	struct err err = {.code = 0};

	if (reflector->query != NULL)
		buf_printf(path, "&%s", reflector->query);
	call->method = "GET";
	call->path = buf_text(path);
	call->arg = reflector;
	reflector->began_ms = clock_monotonic_ms();
	reflector->has_event = reflector->was_noted = false;
	if (kube_start(reflector->client, call, &reflector->request, &err) < 0) {
		free_streams(reflector);
		note_error(reflector, err.text);
		try_again(reflector, reflector->next, -1);
		return false;
	}
	return true;
}

static void begin_list(struct reflector *reflector)
{
	reflector->wants_list = reflector->must_list = false;
	reflector->counts.lists++;
	reflector->ops->on_list_begin(reflector->arg);
}

static void begin_watch(struct reflector *reflector, bool with_list, struct buf *path)
{
	uint64_t seconds = reflector->watch_min_s + draw(reflector, reflector->watch_min_s + 1);
	struct kube_call call = {
	    .timeout_ms = KUBE_NO_TIMEOUT,
	    .idle_ms = (seconds + MORE_S) * 1000,
	    .on_chunk = on_watch_chunk,
	    .on_end = on_watch_end,
	};

	reflector->is_initial = with_list;
	reflector->counts.watches++;
	reflector->events = event_stream_new(take_event, reflector);
	if (with_list)
		begin_list(reflector);
	buf_printf(path, "%s?watch=true&allowWatchBookmarks=true&timeoutSeconds=%llu", reflector->path,
	    (unsigned long long)seconds);
	if (with_list)
		buf_add_text(path, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
	else
		buf_printf(path, "&resourceVersion=%s", reflector->version);
	reflector->watch_limit_ms = call.idle_ms;
	if (start(reflector, &call, path))
		limit_request(reflector, with_list ? reflector->list_limit_ms : reflector->watch_limit_ms);
}

/* The token is base64 without letters that a URL would have to escape, but for '=' and '+'. */
static void add_escaped(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
		    (*text >= '0' && *text <= '9') || strchr("-_.~", *text) != NULL)
			buf_add(out, text, 1);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
	}
}

static void begin_page(struct reflector *reflector, struct buf *path)
{
	struct kube_call call = {
	    .timeout_ms = LIST_TIMEOUT_MS, .on_chunk = on_list_chunk, .on_end = on_page_end};

	if (reflector->more[0] == '\0')
		begin_list(reflector);
	reflector->items = list_stream_new(take_item, reflector);
	buf_printf(path, "%s?", reflector->path);
	if (reflector->use_pages)
		buf_printf(path, "limit=%u", reflector->page_size);
	if (reflector->more[0] != '\0') {
		buf_add_text(path, "&continue=");
		add_escaped(path, reflector->more);
	}
	(void)start(reflector, &call, path); /* its time is the call's */
}

static void on_timer(uv_timer_t *timer)
{
	struct reflector *reflector = reflector_of(timer->data);
	struct buf path;

	must(reflector->request == NULL);
	buf_init(&path, 65536);
	reflector->activity = reflector->next;
	if (reflector->next == LISTING_PAGES)
		begin_page(reflector, &path);
	else
		begin_watch(reflector, reflector->next == LISTING_STREAM, &path);
	buf_release(&path);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

int reflector_new(struct reflector **ret_reflector, uv_loop_t *loop, struct kube_client *client,
    const struct reflector_options *options, const struct reflector_ops *ops, void *arg, struct err *err)
{
	struct reflector *reflector = x_new(reflector);
	int ret = uv_timer_init(loop, &reflector->timer);

	if (ret < 0) {
		free(reflector);
		return err_set(err, ret, "cannot start a timer: %s", uv_strerror(ret));
	}
	reflector->magic = REFLECTOR_MAGIC;
	reflector->timer.data = reflector;
	reflector->client = client;
	reflector->path = xstrdup(options->path);
	reflector->query = options->query != NULL ? xstrdup(options->query) : NULL;
	reflector->name = xstrdup(options->name);
	reflector->page_size = options->page_size != 0 ? options->page_size : 500;
	reflector->seed = options->seed;
	reflector->watch_min_s = options->watch_min_s != 0 ? options->watch_min_s : WATCH_MIN_S;
	reflector->list_limit_ms = options->list_limit_ms != 0 ? options->list_limit_ms : LIST_TIMEOUT_MS;
	reflector->use_watch_list = !options->avoid_watch_list;
	reflector->use_pages = true;
	reflector->ops = ops;
	reflector->arg = arg;
	go_on(reflector, list_activity(reflector), 0);
	*ret_reflector = reflector;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct reflector *reflector = handle->data;

	free(reflector->path);
	free(reflector->query);
	free(reflector->name);
	free(reflector);
}

void reflector_close(struct reflector *reflector)
{
	must(reflector->magic == REFLECTOR_MAGIC);
	if (reflector->request != NULL)
		kube_cancel(reflector->request);
	free_streams(reflector);
	reflector->magic = 0;
	uv_close((uv_handle_t *)&reflector->timer, on_closed);
}

/* A request under way sees the wish at its next event; one that is silent is ended. */
void reflector_relist(struct reflector *reflector)
{
	must(reflector->magic == REFLECTOR_MAGIC);
	if (!reflector->in_callback && (reflector->activity == IDLE || reflector->activity == WATCHING)) {
		if (reflector->request != NULL) {
			kube_cancel(reflector->request);
			reflector->request = NULL;
			free_streams(reflector);
		}
		reflector->more[0] = '\0';
		reflector->attempt = 0;
		go_on(reflector, list_activity(reflector), 0);
		return;
	}
	reflector->wants_list = true;
}

struct reflector_counts reflector_counts(const struct reflector *reflector)
{
	struct reflector_counts counts = reflector->counts;

	counts.last_error = reflector->last_error;
	return counts;
}

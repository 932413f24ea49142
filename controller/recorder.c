/* Recorder.  What a person reads under "Events" of `kubectl describe`, without the sync ever waiting for it.
 *
 *   recorder_note -> (known: set, reason, text) the series of that event counts on -> PATCH, or only counted
 * while the set has no token
 *                 -> (new) POST
 *
 * A set may send 25, then one every 300 s; at most 8 requests are under way and 256 wait; after a 429 all
 * that comes during its pause is dropped.  What is dropped is counted and not tried again: the same text
 * comes again if it stays true, and then says how often it was seen.  Tables of sets and of events forget
 * their oldest beyond their limits.  Writes around the writer, since it must never hold up what matters. */
#include "config.h"
#include "controller/recorder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"
#include "controller/collector_set.h"

#define LOG_MODULE "recorder"

#define RECORDER_MAGIC   MAGIC('r', 'e', 'c', 'o')
#define BURST            25
#define REFILL_MS        (300 * 1000)
#define IN_FLIGHT_MAX    8
#define QUEUE_MAX        256
#define SETS_MAX         1024
#define EVENTS_MAX       1024
#define EVENT_IDLE_MS    (30 * 60 * 1000) /* the server forgets an event after an hour */
#define NOTE_BYTES       1024             /* the API's limit */
#define PAUSE_DEFAULT_MS 1000
#define PAUSE_MAX_MS     (5 * 60 * 1000)
#define NAME_BYTES       254
#define BODY_BYTES       16384
#define REPORTER         "drave.dev/controller"

/* What one set may still send. */
struct purse {
	UT_hash_handle hh;
	unsigned tokens;
	uint64_t refilled_ms;
	char uid[]; /* the key */
};

/* An event that was sent and may become a series. */
struct series {
	UT_hash_handle hh;
	char name[NAME_BYTES];
	uint64_t seen_ms;
	uint64_t count;
	char key[]; /* uid, reason, note */
};

struct letter {
	struct recorder *recorder;
	const char *method, *content_type; /* static */
	char *path, *key;
	struct buf body;
	struct kube_request *request;
	struct letter *prev, *next;
};

struct recorder {
	unsigned magic;
	struct kube_client *client; /* borrowed */
	char *identity;
	bool (*may_write)(void *arg);
	void *arg;
	struct purse *purses;
	struct series *series;
	struct letter *waiting, *under_way;
	unsigned waiting_count, in_flight;
	uint64_t pause_until_ms;
	struct recorder_counts counts;
};

static void pump(struct recorder *recorder);

/* ---- limits --------------------------------------------------------------------------------- */

static struct purse *purse_of(struct recorder *recorder, const char *uid, uint64_t now)
{
	struct purse *purse;

	HASH_FIND_STR(recorder->purses, uid, purse);
	if (purse != NULL)
		return purse;
	if (HASH_COUNT(recorder->purses) >= SETS_MAX) {
		struct purse *oldest = recorder->purses;

		HASH_DEL(recorder->purses, oldest);
		free(oldest);
	}
	purse = xcalloc(1, sizeof *purse + strlen(uid) + 1);
	memcpy(purse->uid, uid, strlen(uid) + 1);
	purse->tokens = BURST;
	purse->refilled_ms = now;
	HASH_ADD_KEYPTR(hh, recorder->purses, purse->uid, strlen(uid), purse);
	return purse;
}

static bool spend(struct purse *purse, uint64_t now)
{
	uint64_t gained = (now - purse->refilled_ms) / REFILL_MS;

	purse->refilled_ms += gained * REFILL_MS;
	purse->tokens = gained >= BURST - purse->tokens ? BURST : purse->tokens + (unsigned)gained;
	if (purse->tokens == 0)
		return false;
	if (purse->tokens == BURST)
		purse->refilled_ms = now; /* a full purse gains nothing by waiting */
	purse->tokens--;
	return true;
}

static void forget_series(struct recorder *recorder, struct series *series)
{
	HASH_DEL(recorder->series, series);
	free(series);
}

static struct series *series_of(struct recorder *recorder, const char *key, uint64_t now)
{
	struct series *series;

	HASH_FIND_STR(recorder->series, key, series);
	if (series != NULL && now - series->seen_ms > EVENT_IDLE_MS) {
		forget_series(recorder, series);
		series = NULL;
	}
	return series;
}

static struct series *series_new(struct recorder *recorder, const char *key)
{
	size_t len = strlen(key);
	struct series *series;

	if (HASH_COUNT(recorder->series) >= EVENTS_MAX)
		forget_series(recorder, recorder->series); /* the oldest */
	series = xcalloc(1, sizeof *series + len + 1);
	memcpy(series->key, key, len + 1);
	HASH_ADD_KEYPTR(hh, recorder->series, series->key, len, series);
	return series;
}

/* ---- letters -------------------------------------------------------------------------------- */

static void letter_free(struct letter *letter)
{
	free(letter->path);
	free(letter->key);
	buf_release(&letter->body);
	free(letter);
}

static void on_answer(void *arg, const struct kube_answer *answer)
{
	struct letter *letter = arg;
	struct recorder *recorder = letter->recorder;

	must(recorder->magic == RECORDER_MAGIC);
	DL_DELETE(recorder->under_way, letter);
	recorder->in_flight--;
	if (answer->result == KUBE_OK) {
		recorder->counts.sent++;
	} else {
		struct series *series = series_of(recorder, letter->key, clock_monotonic_ms());

		recorder->counts.dropped++;
		if (series != NULL)
			forget_series(recorder, series); /* there is no such event to go on with */
		log_debug(
		    "event not taken", "status=%d error=%s", answer->status, log_quote(answer->message));
	}
	if (answer->result == KUBE_BUSY) {
		uint64_t pause_ms =
		    answer->retry_after_ms >= 0 ? (uint64_t)answer->retry_after_ms : PAUSE_DEFAULT_MS;

		recorder->pause_until_ms =
		    clock_monotonic_ms() + (pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS);
	}
	letter_free(letter);
	pump(recorder);
}

static bool send_letter(struct recorder *recorder, struct letter *letter)
{
	struct err err = {.code = 0};
	const struct kube_call call = {
	    .method = letter->method,
	    .path = letter->path,
	    .content_type = letter->content_type,
	    .body = letter->body.data,
	    .body_len = letter->body.len,
	    .on_end = on_answer,
	    .arg = letter,
	};

	if (clock_monotonic_ms() < recorder->pause_until_ms || !recorder->may_write(recorder->arg))
		return false;
	return kube_start(recorder->client, &call, &letter->request, &err) == 0;
}

static void pump(struct recorder *recorder)
{
	while (recorder->waiting != NULL && recorder->in_flight < IN_FLIGHT_MAX) {
		struct letter *letter = recorder->waiting;

		DL_DELETE(recorder->waiting, letter);
		recorder->waiting_count--;
		if (send_letter(recorder, letter)) {
			DL_APPEND(recorder->under_way, letter);
			recorder->in_flight++;
		} else {
			recorder->counts.dropped++;
			letter_free(letter);
		}
	}
}

static void post(struct recorder *recorder, struct letter *letter)
{
	if (recorder->waiting_count >= QUEUE_MAX || letter->body.overflowed) {
		recorder->counts.dropped++;
		letter_free(letter);
		return;
	}
	DL_APPEND(recorder->waiting, letter);
	recorder->waiting_count++;
	pump(recorder);
}

static struct letter *letter_new(struct recorder *recorder, const char *key)
{
	struct letter *letter = x_new(letter);

	letter->recorder = recorder;
	letter->key = xstrdup(key);
	buf_init(&letter->body, BODY_BYTES);
	return letter;
}

/* ---- what they say -------------------------------------------------------------------------- */

/* The API wants to know what was done, beside why. */
static const char *action_of(const char *reason)
{
	static const struct {
		const char *reason, *action;
	} actions[] = {
	    {"SuccessfulCreate", "CreatePod"},
	    {"FailedCreate", "CreatePod"},
	    {"SuccessfulDelete", "DeletePod"},
	    {"FailedDelete", "DeletePod"},
	    {"FailedDaemonPod", "DeletePod"},
	    {"SucceededDaemonPod", "DeletePod"},
	};

	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		if (strcmp(actions[i].reason, reason) == 0)
			return actions[i].action;
	}
	return "Reconcile";
}

static void add_member(struct buf *body, const char *key, const char *value)
{
	(void)buf_printf(body, ",\"%s\":", key); /* an overflow is asked about once, in post() */
	(void)buf_add_json(body, value, strlen(value));
}

/* The note's length in bytes up to the limit, without cutting a character in two. */
static size_t note_len(const char *message)
{
	size_t len = strlen(message);

	if (len <= NOTE_BYTES)
		return len;
	for (len = NOTE_BYTES; len > 0 && ((unsigned char)message[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

static void write_event(struct buf *body, const struct recorder *recorder, const struct kube_meta *set,
    const char *name, enum note_type type, const char *reason, const char *message)
{
	char time[KUBE_TIME_BYTES];

	kube_micro_time_format(time, clock_wall_ns() / 1000);
	(void)buf_printf(body,
	    "{\"apiVersion\":\"events.k8s.io/"
	    "v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\"},"
	    "\"eventTime\":\"%s\",\"type\":\"%s\",\"reportingController\":\"" REPORTER "\"",
	    name, set->namespace_name, time, type == NOTE_WARNING ? "Warning" : "Normal");
	add_member(body, "reportingInstance", recorder->identity);
	add_member(body, "action", action_of(reason));
	add_member(body, "reason", reason);
	(void)buf_add_text(body, ",\"note\":");
	(void)buf_add_json(body, message, note_len(message));
	(void)buf_printf(body,
	    ",\"regarding\":{\"apiVersion\":\"" COLLECTOR_SET_API "\",\"kind\":\"" COLLECTOR_SET_KIND
	    "\",\"namespace\":\"%s\",\"name\":\"%s\",\"uid\":\"%s\",\"resourceVersion\":\"%s\"}}",
	    set->namespace_name, set->name, set->uid, set->resource_version);
}

static void send_first(struct recorder *recorder, struct series *series, const struct kube_meta *set,
    enum note_type type, const char *reason, const char *message)
{
	struct letter *letter = letter_new(recorder, series->key);

	(void)snprintf(series->name, sizeof series->name, "%.200s.%016" PRIx64, set->name,
	    (uint64_t)clock_wall_ns() + recorder->counts.sent + recorder->counts.dropped +
		recorder->waiting_count +
		recorder->in_flight); /* unlike the one before even while the clock stands */
	letter->method = "POST";
	letter->path = xasprintf("/apis/events.k8s.io/v1/namespaces/%s/events", set->namespace_name);
	write_event(&letter->body, recorder, set, series->name, type, reason, message);
	post(recorder, letter);
}

static void send_again(struct recorder *recorder, const struct series *series, const struct kube_meta *set)
{
	struct letter *letter = letter_new(recorder, series->key);
	char time[KUBE_TIME_BYTES];

	kube_micro_time_format(time, clock_wall_ns() / 1000);
	letter->method = "PATCH";
	letter->content_type = "application/merge-patch+json";
	letter->path =
	    xasprintf("/apis/events.k8s.io/v1/namespaces/%s/events/%s", set->namespace_name, series->name);
	(void)buf_printf(&letter->body, "{\"series\":{\"count\":%" PRIu64 ",\"lastObservedTime\":\"%s\"}}",
	    series->count, time);
	post(recorder, letter);
}

void recorder_note(struct recorder *recorder, const struct kube_meta *set, enum note_type type,
    const char *reason, const char *message)
{
	uint64_t now = clock_monotonic_ms();
	char *key = xasprintf("%s %s %s", set->uid, reason, message);
	struct series *series = series_of(recorder, key, now);
	bool may_send = spend(purse_of(recorder, set->uid, now), now);

	if (series != NULL) {
		series->count++;
		series->seen_ms = now;
	}
	if (!may_send) {
		recorder->counts.dropped += series == NULL;
	} else if (series != NULL) {
		send_again(recorder, series, set);
	} else {
		series = series_new(recorder, key);
		series->count = 1;
		series->seen_ms = now;
		send_first(recorder, series, set, type, reason, message);
	}
	free(key);
}

struct recorder_counts recorder_counts(const struct recorder *recorder)
{
	return recorder->counts;
}

/* ---- birth and end -------------------------------------------------------------------------- */

struct recorder *recorder_new(uv_loop_t *loop, struct kube_client *client, const char *identity,
    bool (*may_write)(void *arg), void *arg)
{
	struct recorder *recorder = x_new(recorder);

	(void)loop; /* the client's callbacks are all it needs */
	recorder->magic = RECORDER_MAGIC;
	recorder->client = client;
	recorder->identity = xstrndup(identity, 128); /* the API's limit */
	recorder->may_write = may_write;
	recorder->arg = arg;
	return recorder;
}

void recorder_close(struct recorder *recorder)
{
	struct purse *purse, *next_purse;
	struct series *series, *next_series;
	struct letter *letter, *next;

	if (recorder == NULL)
		return;
	DL_FOREACH_SAFE (recorder->waiting, letter, next) {
		DL_DELETE(recorder->waiting, letter);
		letter_free(letter);
	}
	DL_FOREACH_SAFE (recorder->under_way, letter, next) {
		DL_DELETE(recorder->under_way, letter);
		kube_cancel(letter->request);
		letter_free(letter);
	}
	HASH_ITER (hh, recorder->purses, purse, next_purse) {
		HASH_DEL(recorder->purses, purse);
		free(purse);
	}
	HASH_ITER (hh, recorder->series, series, next_series)
		forget_series(recorder, series);
	free(recorder->identity);
	free(recorder);
}

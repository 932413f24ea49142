/* Reconcile.  Which set is looked at when.
 *
 *   store's hooks -> wake -> workqueue (each set once, after a short window) -> turn -> sync -> (error,
 * burst, time) workqueue
 *
 * A change waits 50 ms for its fellows, and 200 ms if the set was looked at within the last second, so that a
 * thousand events are a few looks.  Two things do not wait: a change of the spec, and the last of our own
 * writes becoming visible where a burst cut off what was wanted.  A set whose own writes are not all visible
 * yet has nothing to do but to count, so it is looked at no more often than its status may be written. Errors
 * of the set come back after 5 ms doubling to 1000 s (C-7), those of the server's state after 10 s at most.
 *
 * Owns the queue, the expectations, the back-offs and a sync for each set.  All on the loop; a turn starts a
 * bounded number of syncs. */
#include "config.h"
#include "controller/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"
#include "controller/expectations.h"
#include "controller/retry_table.h"
#include "controller/sync.h"
#include "controller/sync_metrics.h"
#include "controller/wake.h"
#include "controller/workqueue.h"

#define LOG_MODULE "reconcile"

#define RECONCILE_MAGIC  MAGIC('r', 'e', 'c', 'n')
#define KEY_BYTES        (63 + 1 + 253 + 1)
#define WINDOW_MS        50
#define WINDOW_LOADED_MS 200
#define LOADED_MS        1000 /* a sync so short ago means that more is going on */
#define TURN_SYNCS       16
#define STALE_RETRY_MS   500
#define TRANSIENT_MIN_MS 50
#define TRANSIENT_MAX_MS 10000
#define COLLECT_MS       60000

/* A set and its syncs, by "namespace/name". */
struct seat {
	UT_hash_handle hh;
	struct sync *sync;      /* owned */
	int64_t began_ms;       /* the last sync; 0 = never */
	int64_t stale_since_ms; /* 0 = the caches show what we wrote */
	unsigned transient_errors;
	char key[];
};

struct reconcile {
	unsigned magic;
	struct reconcile_parts parts;
	struct sync_metrics metrics;
	struct workqueue *queue;
	struct expectations *expectations;
	struct retry_table *retries;
	struct seat *seats;
	uv_timer_t timer;
	bool is_enabled;
	size_t busy_count;
	int64_t collected_ms;
};

static struct reconcile *reconcile_of(void *data)
{
	struct reconcile *reconcile = data;

	must(reconcile->magic == RECONCILE_MAGIC);
	return reconcile;
}

static int64_t now(void)
{
	return (int64_t)clock_monotonic_ms();
}

/* ---- seats ---------------------------------------------------------------------------------- */

static void make_key(char key[KEY_BYTES], const struct kube_meta *set)
{
	(void)snprintf(key, KEY_BYTES, "%s/%s", set->namespace_name,
	    set->name); /* the API bounds both; a longer one would be cut and not found */
}

static struct seat *find_seat(const struct reconcile *reconcile, const char *key)
{
	struct seat *seat;

	HASH_FIND_STR(reconcile->seats, key, seat);
	return seat;
}

static void drop_seat(struct reconcile *reconcile, struct seat *seat)
{
	if (sync_is_busy(seat->sync)) {
		reconcile->busy_count--;
		workqueue_done(reconcile->queue, seat->key);
	}
	workqueue_forget(reconcile->queue, seat->key);
	expectations_forget(reconcile->expectations, sync_uid(seat->sync)); /* P-4 */
	HASH_DEL(reconcile->seats, seat);
	sync_free(seat->sync);
	free(seat);
}

static void on_sync_end(void *arg, struct sync *sync, const struct sync_end *end);

static struct seat *seat_of(struct reconcile *reconcile, const struct collector_set *set, const char *key)
{
	const struct sync_parts parts = {
	    .client = reconcile->parts.client,
	    .writer = reconcile->parts.writer,
	    .recorder = reconcile->parts.recorder,
	    .store = reconcile->parts.store,
	    .expectations = reconcile->expectations,
	    .retries = reconcile->retries,
	    .metrics = &reconcile->metrics,
	    .on_end = on_sync_end,
	    .arg = reconcile,
	};
	struct seat *seat = find_seat(reconcile, key);
	size_t len = strlen(key);

	if (seat != NULL && strcmp(sync_uid(seat->sync), set->meta.uid) != 0) {
		drop_seat(reconcile, seat);
		seat = NULL;
	}
	if (seat != NULL)
		return seat;
	seat = xcalloc(1, sizeof *seat + len + 1);
	memcpy(seat->key, key, len + 1);
	seat->sync = sync_new(&parts, &set->meta);
	HASH_ADD_KEYPTR(hh, reconcile->seats, seat->key, len, seat);
	return seat;
}

static const struct collector_set *set_of_key(const struct reconcile *reconcile, const char *key)
{
	char namespace_name[KEY_BYTES];
	const char *slash = strchr(key, '/');

	must(slash != NULL);
	(void)snprintf(namespace_name, sizeof namespace_name, "%.*s", (int)(slash - key), key);
	return store_set(reconcile->parts.store, namespace_name, slash + 1);
}

/* ---- turns ---------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct reconcile *reconcile)
{
	int64_t now_ms = now(), next_ms = workqueue_next_ms(reconcile->queue, now_ms);

	metric_set(reconcile->metrics.queue_depth, (double)workqueue_depth(reconcile->queue));
	if (!reconcile->is_enabled || next_ms < 0) {
		(void)uv_timer_stop(&reconcile->timer); /* cannot fail */
		return;
	}
	uv_update_time(reconcile->parts.loop);
	must(uv_timer_start(
		 &reconcile->timer, on_timer, (uint64_t)(next_ms > now_ms ? next_ms - now_ms : 0), 0) == 0);
}

/* After an error: until when. */
static int64_t transient_delay(struct seat *seat)
{
	int64_t delay_ms = TRANSIENT_MIN_MS;

	for (unsigned i = 0; i < seat->transient_errors && delay_ms < TRANSIENT_MAX_MS; i++)
		delay_ms *= 2;
	seat->transient_errors++;
	return delay_ms < TRANSIENT_MAX_MS ? delay_ms : TRANSIENT_MAX_MS;
}

static void settle(struct reconcile *reconcile, struct seat *seat, const struct sync_end *end)
{
	int64_t now_ms = now();

	if (!end->is_error) {
		workqueue_forget(reconcile->queue, seat->key);
		seat->transient_errors = 0;
	} else if (end->is_transient) {
		workqueue_add_at(reconcile->queue, seat->key, now_ms + transient_delay(seat));
	} else {
		workqueue_retry(reconcile->queue, seat->key, now_ms);
	}
	if (end->requeue_after_ms > 0)
		workqueue_add_at(reconcile->queue, seat->key, now_ms + end->requeue_after_ms);
	if (!end->is_error && end->wants_more &&
	    expectations_satisfied(reconcile->expectations, sync_uid(seat->sync), now_ms))
		workqueue_add(reconcile->queue, seat->key);
	workqueue_done(reconcile->queue, seat->key);
}

static void on_sync_end(void *arg, struct sync *sync, const struct sync_end *end)
{
	struct reconcile *reconcile = reconcile_of(arg);
	char key[KEY_BYTES];

	make_key(key, sync_set(sync));
	reconcile->busy_count--;
	settle(reconcile, find_seat(reconcile, key), end);
	arm_timer(reconcile);
}

/* P-6: do the caches show all that we wrote? */
static bool is_stale(struct reconcile *reconcile, struct seat *seat)
{
	const struct store *store = reconcile->parts.store;
	const char *const reached[WRITTEN_KINDS] = {
	    [WRITTEN_POD] = store_version(store, STORE_PODS),
	    [WRITTEN_SET] = store_version(store, STORE_SETS),
	    [WRITTEN_REVISION] = store_version(store, STORE_REVISIONS),
	};

	if (expectations_reached(reconcile->expectations, sync_uid(seat->sync), reached)) {
		seat->stale_since_ms = 0;
		return false;
	}
	if (seat->stale_since_ms == 0)
		seat->stale_since_ms = now();
	if (now() - seat->stale_since_ms < EXPECTATION_TIMEOUT_MS)
		return true;
	log_warn("the caches never showed our last write: going on without", "set=%s", seat->key);
	expectations_forget(
	    reconcile->expectations, sync_uid(seat->sync)); /* the server may have been set back */
	seat->stale_since_ms = 0;
	return false;
}

static void process(struct reconcile *reconcile, const char *key)
{
	const struct collector_set *set = set_of_key(reconcile, key);
	struct seat *seat;
	struct sync_end end;

	if (set == NULL) { /* its end has been seen to by reconcile_on_set */
		workqueue_forget(reconcile->queue, key);
		workqueue_done(reconcile->queue, key);
		return;
	}
	seat = seat_of(reconcile, set, key);
	if (is_stale(reconcile, seat)) {
		metric_add(reconcile->metrics.stale_skips, 1);
		workqueue_add_at(reconcile->queue, seat->key, now() + STALE_RETRY_MS);
		workqueue_done(reconcile->queue, seat->key);
		return;
	}
	seat->began_ms = now();
	if (sync_start(seat->sync, &end))
		reconcile->busy_count++;
	else
		settle(reconcile, seat, &end);
}

static void collect(struct reconcile *reconcile)
{
	if (now() - reconcile->collected_ms < COLLECT_MS)
		return;
	reconcile->collected_ms = now();
	retry_table_collect(reconcile->retries, clock_wall_ns() / 1000000);
}

static void on_timer(uv_timer_t *timer)
{
	struct reconcile *reconcile = reconcile_of(timer->data);

	for (unsigned i = 0; i < TURN_SYNCS && reconcile->is_enabled; i++) {
		const char *key = workqueue_get(reconcile->queue, now());

		if (key == NULL)
			break;
		process(reconcile, key);
	}
	collect(reconcile);
	arm_timer(reconcile);
}

/* ---- wake-ups ------------------------------------------------------------------------------- */

/* When a set that was woken is looked at. */
static int64_t time_to_look(const struct reconcile *reconcile, const struct seat *seat, const char *uid)
{
	int64_t now_ms = now();
	bool is_loaded = seat != NULL && seat->began_ms != 0 && now_ms - seat->began_ms < LOADED_MS;
	int64_t at_ms = now_ms + (is_loaded ? WINDOW_LOADED_MS : WINDOW_MS);

	if (seat == NULL)
		return at_ms;
	if (expectations_satisfied(reconcile->expectations, uid, now_ms))
		return sync_wants_more(seat->sync) ? 0 : at_ms;
	return at_ms > sync_report_ms(seat->sync) ? at_ms : sync_report_ms(seat->sync);
}

static void wake(void *arg, const struct collector_set *set, int64_t after_ms)
{
	struct reconcile *reconcile = reconcile_of(arg);
	char key[KEY_BYTES];

	make_key(key, &set->meta);
	if (after_ms > 0)
		workqueue_add_at(reconcile->queue, key, now() + after_ms);
	else
		workqueue_add_at(
		    reconcile->queue, key, time_to_look(reconcile, find_seat(reconcile, key), set->meta.uid));
}

static bool has_pod(void *arg, const struct collector_set *set, const char *node_name)
{
	struct reconcile *reconcile = reconcile_of(arg);
	size_t count;
	const struct pod *const *pods = store_pods(reconcile->parts.store, set->meta.namespace_name, &count);

	for (size_t i = 0; i < count; i++) {
		if (pods[i]->target != NULL && strcmp(pods[i]->target, node_name) == 0 &&
		    pods[i]->meta.controller.kind != NULL &&
		    strcmp(pods[i]->meta.controller.uid, set->meta.uid) == 0)
			return true;
	}
	return false;
}

static struct wake_hall hall_of(struct reconcile *reconcile)
{
	struct wake_hall hall = {.wake = wake, .has_pod = has_pod, .arg = reconcile};

	hall.sets = store_sets(reconcile->parts.store, &hall.count);
	return hall;
}

void reconcile_on_node(struct reconcile *reconcile, const struct node *before, const struct node *after)
{
	struct wake_hall hall;

	if (!reconcile->is_enabled) /* all are looked at when it becomes so */
		return;
	hall = hall_of(reconcile);
	wake_on_node(&hall, before, after);
	arm_timer(reconcile);
}

/* P-2, P-3. */
static void note_seen(struct reconcile *reconcile, const struct wake_hall *hall, const struct pod *before,
    const struct pod *after)
{
	const struct collector_set *set = wake_owner(hall, after != NULL ? &after->meta : &before->meta);
	bool is_ending = after == NULL || pod_is_terminating(after);

	if (set == NULL)
		return;
	if (before == NULL && !is_ending)
		expectations_create_seen(reconcile->expectations, set->meta.uid);
	else if (is_ending && (before == NULL || !pod_is_terminating(before)))
		expectations_delete_seen(reconcile->expectations, set->meta.uid);
}

void reconcile_on_pod(struct reconcile *reconcile, const struct pod *before, const struct pod *after)
{
	struct wake_hall hall = hall_of(reconcile);

	note_seen(reconcile, &hall, before, after);
	if (!reconcile->is_enabled)
		return;
	wake_on_pod(&hall, before, after);
	arm_timer(reconcile);
}

void reconcile_on_set(
    struct reconcile *reconcile, const struct collector_set *before, const struct collector_set *after)
{
	char key[KEY_BYTES];
	struct seat *seat;

	make_key(key, after != NULL ? &after->meta : &before->meta);
	if (after == NULL) {
		seat = find_seat(reconcile, key);
		expectations_forget(reconcile->expectations, before->meta.uid);
		if (seat != NULL && strcmp(sync_uid(seat->sync), before->meta.uid) == 0)
			drop_seat(reconcile, seat);
	} else if (before == NULL || before->meta.generation != after->meta.generation) {
		workqueue_add(reconcile->queue, key);
	} else {
		wake(reconcile, after, 0);
	}
	arm_timer(reconcile);
}

void reconcile_on_revision(
    struct reconcile *reconcile, const struct revision *before, const struct revision *after)
{
	struct wake_hall hall;

	if (!reconcile->is_enabled)
		return;
	hall = hall_of(reconcile);
	wake_on_revision(&hall, before, after);
	arm_timer(reconcile);
}

/* ---- seen from outside ---------------------------------------------------------------------- */

void reconcile_write_status(const struct reconcile *reconcile, struct buf *out)
{
	const char *separator = "";

	(void)buf_add_text(out, "[");
	for (const struct seat *seat = reconcile->seats; seat != NULL; seat = seat->hh.next) {
		const struct collector_set *set = set_of_key(reconcile, seat->key);

		if (set == NULL)
			continue;
		(void)buf_add_text(out, separator);
		sync_write_status(seat->sync, set, out);
		separator = ",\n";
	}
	(void)buf_add_text(out, "]");
}

bool reconcile_is_idle(const struct reconcile *reconcile)
{
	int64_t now_ms = now(), next_ms = workqueue_next_ms(reconcile->queue, now_ms);

	return reconcile->busy_count == 0 && (!reconcile->is_enabled || next_ms < 0 || next_ms > now_ms);
}

/* ---- birth and end -------------------------------------------------------------------------- */

struct reconcile *reconcile_new(const struct reconcile_parts *parts)
{
	struct reconcile *reconcile = x_new(reconcile);

	reconcile->magic = RECONCILE_MAGIC;
	reconcile->parts = *parts;
	reconcile->queue = workqueue_new();
	reconcile->expectations = expectations_new();
	reconcile->retries = retry_table_new();
	sync_metrics_init(&reconcile->metrics, parts->metrics);
	must(uv_timer_init(parts->loop, &reconcile->timer) == 0);
	reconcile->timer.data = reconcile;
	return reconcile;
}

void reconcile_enable(struct reconcile *reconcile, bool is_enabled)
{
	size_t count;
	const struct collector_set *const *sets = store_sets(reconcile->parts.store, &count);
	char key[KEY_BYTES];

	reconcile->is_enabled = is_enabled;
	for (size_t i = 0; is_enabled && i < count; i++) {
		make_key(key, &sets[i]->meta);
		workqueue_add(reconcile->queue, key);
	}
	for (struct seat *seat = reconcile->seats; !is_enabled && seat != NULL; seat = seat->hh.next)
		sync_stop(seat->sync);
	arm_timer(reconcile);
}

static void on_closed(uv_handle_t *handle)
{
	free(reconcile_of(handle->data));
}

void reconcile_close(struct reconcile *reconcile)
{
	struct seat *seat, *next;

	reconcile->is_enabled = false;
	HASH_ITER (hh, reconcile->seats, seat, next)
		drop_seat(reconcile, seat);
	workqueue_free(reconcile->queue);
	expectations_free(reconcile->expectations);
	retry_table_free(reconcile->retries);
	uv_close((uv_handle_t *)&reconcile->timer, on_closed);
}

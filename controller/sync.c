/* Sync.  One set from a look at it to its status: decide, then act stage by stage.
 *
 * decide() says what is wanted; here each wish becomes an errand that stands on its own, since the caches go
 * on changing while it is under way.  Stages follow one another as 1.15 has them.  An error ends a sync with
 * its status, except that deletes follow also where creates failed (a full quota may wait for just these
 * deletes).  Expectations are set before the first create or delete and lowered by what will never be seen;
 * what the server may have done without telling stays expected and is asked about before the next sync
 * decides, so that an outage costs no five minutes.
 *
 * Remembered between syncs: doubts, the last failure to create (and how long creating rests after it), a
 * generation that the server calls invalid, when the status was last written.  Owns its errands; knows
 * nothing of queues. */
#include "config.h"
#include "controller/sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"
#include "controller/alive.h"
#include "controller/creating.h"
#include "controller/decide.h"
#include "controller/report.h"
#include "controller/status_put.h"
#include "controller/wave.h"

#define LOG_MODULE "sync"

#define SYNC_MAGIC   MAGIC('s', 'y', 'n', 'c')
#define BODY_BYTES   (2u << 20)
#define UNFOUNDED_MS 1000 /* until the cache should have the node that the server has */

enum stage {
	STAGE_IDLE,
	STAGE_DOUBTS,
	STAGE_ALIVE,
	STAGE_HISTORY,
	STAGE_RELABEL,
	STAGE_DUPLICATES,
	STAGE_CLAIMS,
	STAGE_CREATES,
	STAGE_DELETES,
	STAGE_CLEANING,
	STAGE_STATUS,
	STAGE_COLLISION,
};

static const struct {
	const char *name;
	enum action_kind last; /* of the stages with actions: their last kind */
} stages[] = {
    [STAGE_IDLE] = {.name = "idle"},
    [STAGE_DOUBTS] = {.name = "doubts"},
    [STAGE_ALIVE] = {.name = "alive"},
    [STAGE_HISTORY] = {"history", ACTION_CREATE_REVISION},
    [STAGE_RELABEL] = {"relabel", ACTION_RELABEL_POD},
    [STAGE_DUPLICATES] = {"duplicates", ACTION_DELETE_DUPLICATE},
    [STAGE_CLAIMS] = {"claims", ACTION_RELEASE_POD},
    [STAGE_CREATES] = {"creates", ACTION_CREATE_POD},
    [STAGE_DELETES] = {"deletes", ACTION_DELETE_POD},
    [STAGE_CLEANING] = {"cleaning", ACTION_DELETE_REVISION},
    [STAGE_STATUS] = {.name = "status"},
    [STAGE_COLLISION] = {.name = "collision"},
};

struct errands {
	struct errand *items;
	size_t count;
};

struct sync {
	unsigned magic;
	struct sync_parts parts;
	struct errand_base base;
	struct set_gauges gauges;
	/* from one sync to the next */
	struct errands doubts;
	struct report report;
	struct creating creating;
	char last_error[256];
	int64_t ended_ms; /* 0 = never */
	bool wants_more;
	/* of this sync */
	enum stage stage;
	struct errands errands; /* by kind, as decided */
	size_t stage_begin;     /* of the errands: this stage's first */
	struct wave wave;
	struct status_put *put;
	struct kube_request *alive;
	struct sync_end end;
	int64_t generation; /* that was decided on */
	int64_t collision_count;
	bool waits, has_errors, may_raise;
	bool is_inside; /* of an advance: errands that end at once do not advance */
	int64_t started_ms;
};

static void advance(struct sync *sync);
static void decide_now(struct sync *sync);

static int64_t now(void)
{
	return (int64_t)clock_monotonic_ms();
}

static int64_t wall_ms(void)
{
	return clock_wall_ns() / 1000000;
}

static struct sync *sync_of(void *data)
{
	struct sync *sync = data;

	must(sync->magic == SYNC_MAGIC);
	return sync;
}

/* ---- small words ---------------------------------------------------------------------------- */

static void errands_free(struct errands *errands)
{
	for (size_t i = 0; i < errands->count; i++)
		errand_release(&errands->items[i]);
	free(errands->items);
	*errands = (struct errands){.count = 0};
}

static const struct collector_set *current_set(const struct sync *sync)
{
	const struct collector_set *set =
	    store_set(sync->parts.store, sync->base.set.namespace_name, sync->base.set.name);

	return set != NULL && strcmp(set->meta.uid, sync->base.set.uid) == 0 ? set : NULL;
}

static void look(const struct sync *sync, const struct collector_set *set, struct view *ret_view)
{
	const char *namespace_name = sync->base.set.namespace_name;

	*ret_view = (struct view){
	    .set = set,
	    .retries = sync->parts.retries,
	    .now_ms = wall_ms(),
	    .is_satisfied = expectations_satisfied(sync->parts.expectations, sync->base.set.uid, now()),
	};
	ret_view->nodes = store_nodes(sync->parts.store, &ret_view->node_count);
	ret_view->pods = store_pods(sync->parts.store, namespace_name, &ret_view->pod_count);
	ret_view->revisions = store_revisions(sync->parts.store, namespace_name, &ret_view->revision_count);
}

static void requeue_after(struct sync *sync, int64_t after_ms)
{
	if (after_ms > 0 && (sync->end.requeue_after_ms == 0 || after_ms < sync->end.requeue_after_ms))
		sync->end.requeue_after_ms = after_ms;
}

/* The first error of a sync is the one that is told. */
static void note_error(struct sync *sync, const char *what, const char *message, bool is_transient)
{
	if (!sync->has_errors) {
		(void)snprintf(sync->last_error, sizeof sync->last_error, "%s: %.200s", what, message);
		sync->end.is_transient = is_transient;
	}
	sync->has_errors = sync->end.is_error = true;
}

static bool is_transient(enum kube_result result)
{
	return result == KUBE_BUSY || result == KUBE_FAILED || result == KUBE_CONFLICT;
}

static void tell(
    struct sync *sync, enum note_type type, const char *reason, const char *words, const char *what)
{
	char message[320];

	(void)snprintf(message, sizeof message, "%s: %s", words, what);
	recorder_note(sync->parts.recorder, &sync->base.set, type, reason, message);
}

/* ---- the end -------------------------------------------------------------------------------- */

/* What is still unknown outlives the sync. */
static void keep_doubts(struct sync *sync)
{
	size_t count = 0;

	for (size_t i = 0; i < sync->errands.count; i++)
		count += sync->errands.items[i].end == ERRAND_UNKNOWN;
	if (count == 0)
		return;
	expectations_unknown(sync->parts.expectations, sync->base.set.uid, now());
	sync->doubts.items =
	    xrealloc(sync->doubts.items, (sync->doubts.count + count) * sizeof sync->doubts.items[0]);
	for (size_t i = 0; i < sync->errands.count; i++) {
		if (sync->errands.items[i].end != ERRAND_UNKNOWN)
			continue;
		sync->doubts.items[sync->doubts.count++] = sync->errands.items[i];
		sync->errands.items[i] = (struct errand){.end = ERRAND_OPEN};
	}
}

static void end(struct sync *sync)
{
	keep_doubts(sync);
	errands_free(&sync->errands);
	pod_mould_free(sync->base.mould);
	sync->base.mould = NULL;
	buf_release(&sync->base.revision_body);
	buf_release(&sync->base.data);
	requeue_after(
	    sync, expectations_expire_after(sync->parts.expectations, sync->base.set.uid, now())); /* P-9 */
	sync->stage = STAGE_IDLE;
	sync->ended_ms = now();
	sync->wants_more = sync->end.wants_more;
	metric_add(sync->parts.metrics->syncs, 1);
	metric_add(sync->parts.metrics->errors, sync->end.is_error);
	metric_observe(
	    sync->parts.metrics->sync_seconds, (double)(sync->ended_ms - sync->started_ms) / 1000, 1);
	if (sync->end.is_error)
		log_warn("sync failed", "namespace=%s set=%s error=%s", sync->base.set.namespace_name,
		    sync->base.set.name, log_quote(sync->last_error));
	else
		sync->last_error[0] = '\0';
}

/* From a callback: the end has to be told. */
static void go_on(struct sync *sync)
{
	advance(sync);
	if (sync->stage == STAGE_IDLE)
		sync->parts.on_end(sync->parts.arg, sync, &sync->end);
}

/* ---- creates and deletes -------------------------------------------------------------------- */

static void on_create_failed(struct sync *sync, const struct errand *errand)
{
	if (!sync->wave.is_stopped) /* those of the same round say it once */
		creating_failed(&sync->creating, errand->end == ERRAND_REFUSED, sync->generation, now());
	if (errand->result == KUBE_BUSY || sync->base.is_stopping)
		return; /* says nothing about the pods */
	sync->report.creation_failed = true;
	(void)snprintf(
	    sync->report.creation_failure, sizeof sync->report.creation_failure, "%s", errand->message);
	tell(sync, NOTE_WARNING, "FailedCreate", "Error creating", errand->message);
}

static void on_created(struct sync *sync, const struct errand *errand)
{
	struct expectations *expectations = sync->parts.expectations;
	const char *uid = sync->base.set.uid;

	if (errand->end == ERRAND_DONE) {
		expectations_wrote(expectations, uid, WRITTEN_POD, errand->version);
		tell(sync, NOTE_NORMAL, "SuccessfulCreate", "Created pod", errand->name);
	} else if (errand->end == ERRAND_HELD) {
		expectations_wrote(
		    expectations, uid, WRITTEN_POD, errand->version); /* the cache has to see it first */
		expectations_create_seen(expectations, uid);
	} else if (errand->end == ERRAND_FUTILE) {
		wave_stop(&sync->wave); /* expected until the set itself goes */
	} else if (errand->end != ERRAND_UNKNOWN) {
		expectations_create_seen(expectations, uid);
		on_create_failed(sync, errand);
	}
}

static void on_deleted(struct sync *sync, const struct errand *errand)
{
	struct expectations *expectations = sync->parts.expectations;

	if (errand->end == ERRAND_DONE) {
		tell(sync, NOTE_NORMAL, "SuccessfulDelete", "Deleted pod", errand->name);
		return;
	}
	if (errand->end == ERRAND_UNKNOWN)
		return;
	expectations_delete_seen(expectations, sync->base.set.uid);
	if (errand->end == ERRAND_UNFOUNDED)
		requeue_after(sync, UNFOUNDED_MS);
	else if (errand->end != ERRAND_MOOT && errand->result != KUBE_BUSY)
		tell(sync, NOTE_WARNING, "FailedDelete", "Error deleting", errand->message);
}

/* */
static void expect(struct sync *sync)
{
	int64_t creates = 0, deletes = 0;

	for (size_t i = 0; i < sync->errands.count; i++) {
		creates += sync->errands.items[i].kind == ACTION_CREATE_POD;
		deletes += sync->errands.items[i].kind == ACTION_DELETE_POD;
	}
	if (creates + deletes > 0)
		expectations_set(sync->parts.expectations, sync->base.set.uid, creates, deletes, now());
}

/* what was not tried will not be seen. */
static void close_creates(struct sync *sync)
{
	for (size_t i = 0; i < wave_skipped(&sync->wave); i++)
		expectations_create_seen(sync->parts.expectations, sync->base.set.uid);
	if (sync->wave.count == 0 || sync->wave.is_stopped)
		return;
	creating_went_well(&sync->creating, sync->wave.count, now());
	sync->report.creation_failed = false;
}

/* ---- errands of all kinds ------------------------------------------------------------------- */

static enum written_kind written_kind_of(enum action_kind kind)
{
	return kind == ACTION_RELABEL_POD || kind == ACTION_ADOPT_POD || kind == ACTION_RELEASE_POD
		   ? WRITTEN_POD
		   : WRITTEN_REVISION;
}

static void on_verified(struct sync *sync, struct errand *errand)
{
	struct expectations *expectations = sync->parts.expectations;
	const char *uid = sync->base.set.uid;

	if (errand->end == ERRAND_MOOT && errand->kind == ACTION_CREATE_POD) {
		expectations_create_seen(expectations, uid);
	} else if (errand->end == ERRAND_MOOT) {
		expectations_delete_seen(expectations, uid);
	} else if (errand->end == ERRAND_DONE) {
		expectations_wrote(expectations, uid, WRITTEN_POD, errand->version);
	} else {
		errand->end = ERRAND_UNKNOWN;
		note_error(sync, "asking what became of a write", errand->message, true);
	}
}

static void on_errand_end(void *arg, struct errand *errand)
{
	struct sync *sync = sync_of(arg);
	bool is_error = errand_end_is_error(errand->end);

	if (sync->stage == STAGE_DOUBTS) {
		on_verified(sync, errand);
		wave_ended(&sync->wave, false);
	} else {
		sync_metrics_count(sync->parts.metrics, errand);
		if (errand->kind == ACTION_CREATE_POD)
			on_created(sync, errand);
		else if (errand->kind == ACTION_DELETE_POD)
			on_deleted(sync, errand);
		else if (!is_error)
			expectations_wrote(sync->parts.expectations, sync->base.set.uid,
			    written_kind_of(errand->kind), errand->version);
		if (is_error)
			note_error(sync, action_kind_text(errand->kind), errand->message,
			    is_transient(errand->result));
		wave_ended(&sync->wave, is_error);
	}
	if (!sync->is_inside)
		go_on(sync);
}

/* ---- stages --------------------------------------------------------------------------------- */

static bool has_actions(enum stage stage)
{
	return stage >= STAGE_HISTORY && stage <= STAGE_CLEANING;
}

static void open_stage(struct sync *sync, enum stage stage)
{
	size_t end_index = sync->stage_begin;
	size_t batch = 0;

	sync->stage = stage;
	while (end_index < sync->errands.count && sync->errands.items[end_index].kind <= stages[stage].last)
		end_index++;
	if (stage == STAGE_CREATES) {
		expect(sync);
		batch = creating_batch(&sync->creating, WRITER_WINDOW, now());
	}
	wave_open(&sync->wave, end_index - sync->stage_begin, WRITER_WINDOW, batch);
}

static bool has_collision(const struct sync *sync)
{
	for (size_t i = 0; i < sync->errands.count; i++) {
		if (sync->errands.items[i].end == ERRAND_COLLISION)
			return true;
	}
	return false;
}

/* The stage's errands have ended: which stage follows? */
static enum stage next_stage(const struct sync *sync)
{
	if (sync->base.is_stopping)
		return STAGE_IDLE;
	if (sync->stage == STAGE_HISTORY && has_collision(sync))
		return STAGE_COLLISION;
	if (sync->has_errors && sync->stage != STAGE_CREATES)
		return STAGE_STATUS;
	return sync->stage + 1;
}

/* False: errands of the stage are under way. */
static bool run_wave(struct sync *sync)
{
	struct errand *items =
	    sync->stage == STAGE_DOUBTS ? sync->doubts.items : sync->errands.items + sync->stage_begin;
	size_t index;

	if (sync->base.is_stopping)
		wave_stop(&sync->wave);
	while (wave_take(&sync->wave, &index)) {
		if (sync->stage == STAGE_DOUBTS)
			errand_verify(&items[index]);
		else
			errand_start(&items[index]);
	}
	return wave_is_over(&sync->wave);
}

static void close_stage(struct sync *sync)
{
	enum stage next = next_stage(sync);

	if (sync->stage == STAGE_CREATES)
		close_creates(sync);
	if (sync->stage == STAGE_CLAIMS || !sync->has_errors)
		sync->may_raise = !sync->waits; /* S-6: the history is settled */
	sync->stage_begin += sync->wave.count;
	if (has_actions(next))
		open_stage(sync, next);
	else
		sync->stage = next;
}

/* What became clear is forgotten, what did not stays. */
static void close_doubts(struct sync *sync)
{
	size_t kept = 0;

	for (size_t i = 0; i < sync->doubts.count; i++) {
		if (sync->doubts.items[i].end == ERRAND_UNKNOWN)
			sync->doubts.items[kept++] = sync->doubts.items[i];
		else
			errand_release(&sync->doubts.items[i]);
	}
	sync->doubts.count = kept;
	if (kept == 0) {
		errands_free(&sync->doubts);
		decide_now(sync);
	} else {
		sync->stage = STAGE_IDLE;
	}
}

/* ---- alive? (K-5) --------------------------------------------------------------------------- */

static void on_alive(void *arg, const struct kube_answer *answer)
{
	struct sync *sync = sync_of(arg);
	const char *complaint = alive_judge(answer, sync->base.set.uid);

	sync->alive = NULL;
	if (complaint == NULL) {
		open_stage(sync, STAGE_HISTORY);
	} else {
		note_error(sync, "before adopting", complaint, is_transient(answer->result));
		sync->stage = STAGE_IDLE;
	}
	go_on(sync);
}

static void ask_alive(struct sync *sync)
{
	struct err err = {.code = 0};

	sync->stage = STAGE_ALIVE;
	if (alive_ask(sync->parts.client, &sync->base.set, on_alive, sync, &sync->alive, &err) != 0) {
		sync->alive = NULL;
		note_error(sync, "before adopting", err.text, true);
		sync->stage = STAGE_IDLE;
	}
}

/* ---- status --------------------------------------------------------------------------------- */

static void on_put(void *arg, const struct status_put_result *result)
{
	struct sync *sync = sync_of(arg);

	sync->put = NULL;
	if (result->end == STATUS_PUT_DONE) {
		expectations_wrote(
		    sync->parts.expectations, sync->base.set.uid, WRITTEN_SET, result->version);
		sync->report.was_written = true;
		sync->report.written_ms = now();
	} else if (result->end == STATUS_PUT_FAILED || result->end == STATUS_PUT_STALE) {
		note_error(sync, "write status", result->message, is_transient(result->result));
	}
	sync->stage = STAGE_IDLE;
	go_on(sync);
}

static void start_report(struct sync *sync)
{
	const struct status_put_parts parts = {sync->parts.client, sync->parts.writer, on_put, sync};
	const struct collector_set *set = current_set(sync);
	struct set_status status;
	struct view view;
	int64_t due_ms;

	sync->stage = STAGE_IDLE;
	if (set == NULL || set->meta.deleted_ms != 0 || set->meta.generation != sync->generation)
		return; /* gone, going, or about to be looked at again */
	if (report_is_put_off(&sync->report, sync->end.wants_more && !sync->has_errors, now()))
		return;
	look(sync, set, &view);
	decide_status(&view, sync->base.hash, sync->may_raise, &status);
	report_add_failure(&sync->report, &set->status, view.now_ms, &status);
	sync_metrics_show(sync->parts.metrics, &sync->gauges, &sync->base.set, &status);
	due_ms = report_due(&sync->report, &set->status, &status, now());
	if (due_ms == 0) {
		sync->stage = STAGE_STATUS;
		sync->put = status_put_start(&parts, set, &status);
	}
	requeue_after(sync, due_ms);
}

static void start_collision(struct sync *sync)
{
	const struct status_put_parts parts = {sync->parts.client, sync->parts.writer, on_put, sync};

	sync->put = status_put_raise_collision(&parts, &sync->base.set, sync->collision_count);
	if (sync->put == NULL)
		sync->stage = STAGE_IDLE;
}

/* ---- deciding ------------------------------------------------------------------------------- */

static bool may_create(struct sync *sync)
{
	int64_t rest_ms = creating_rest(&sync->creating, sync->generation, now());

	requeue_after(sync, rest_ms);
	return rest_ms == 0;
}

static void prepare_revision(struct sync *sync, const struct collector_set *set, int64_t number)
{
	struct errand_base *base = &sync->base;

	buf_init(&base->data, BODY_BYTES);
	buf_init(&base->revision_body, BODY_BYTES);
	pod_template_data(set->pod_template, &base->data);
	revision_body(set, base->hash, number, base->data.data, base->data.len, &base->revision_body);
}

static void plan(struct sync *sync, const struct collector_set *set, const struct decision *decision)
{
	bool wants_creates = decision_count(decision, ACTION_CREATE_POD) > 0;
	bool may_make = wants_creates && may_create(sync);

	sync->errands.items = xcalloc(decision->action_count + 1, sizeof sync->errands.items[0]);
	for (size_t i = 0; i < decision->action_count; i++) {
		const struct action *action = &decision->actions[i];

		if (action->kind == ACTION_CREATE_POD && !may_make)
			continue;
		if (action->kind == ACTION_CREATE_REVISION)
			prepare_revision(sync, set, action->number);
		errand_init(&sync->errands.items[sync->errands.count++], &sync->base, action);
	}
	if (may_make)
		sync->base.mould = pod_mould_new(set->pod_template, &set->meta, sync->base.hash);
	if (!wants_creates && !decision->waits)
		sync->report.creation_failed = false; /* nothing is missing any more */
	sync->end.wants_more = (may_make && decision_count(decision, ACTION_CREATE_POD) >= DECISION_BURST) ||
			       decision_count(decision, ACTION_DELETE_POD) >= DECISION_BURST;
}

static void begin_stages(struct sync *sync, const struct collector_set *set, const struct decision *decision)
{
	sync->waits = decision->waits;
	if (decision->is_idle) {
		sync->may_raise = true; /* of a complaint: it was looked at */
		sync->stage = set->complaint != NULL ? STAGE_STATUS : STAGE_IDLE;
		return;
	}
	(void)snprintf(sync->base.hash, sizeof sync->base.hash, "%s", decision->hash);
	requeue_after(sync, decision->requeue_after_ms);
	plan(sync, set, decision);
	sync->stage_begin = 0;
	if (decision_count(decision, ACTION_ADOPT_POD) + decision_count(decision, ACTION_ADOPT_REVISION) > 0)
		ask_alive(sync);
	else
		open_stage(sync, STAGE_HISTORY);
}

static void decide_now(struct sync *sync)
{
	const struct collector_set *set = current_set(sync);
	struct decision decision;
	struct view view;
	int64_t began_ns;

	sync->stage = STAGE_IDLE;
	if (set == NULL || sync->base.is_stopping)
		return;
	look(sync, set, &view);
	decision_init(&decision);
	began_ns = (int64_t)uv_hrtime();
	decide(&view, &decision);
	metric_observe(
	    sync->parts.metrics->decision_seconds, (double)((int64_t)uv_hrtime() - began_ns) / 1e9, 1);
	for (size_t i = 0; i < decision.note_count; i++)
		recorder_note(sync->parts.recorder, &set->meta, decision.notes[i].type,
		    decision.notes[i].reason, decision.notes[i].message);
	sync->generation = set->meta.generation;
	sync->collision_count = set->status.collision_count;
	if (set->meta.deleted_ms == 0)
		begin_stages(sync, set, &decision);
	decision_release(&decision);
}

/* ---- the machine ---------------------------------------------------------------------------- */

/* As far as it goes without waiting for an answer. */
static void advance(struct sync *sync)
{
	bool is_waiting = false;

	sync->is_inside = true;
	while (!is_waiting && sync->stage != STAGE_IDLE) {
		if (sync->stage == STAGE_DOUBTS) {
			is_waiting = !run_wave(sync);
			if (!is_waiting)
				close_doubts(sync);
		} else if (has_actions(sync->stage)) {
			is_waiting = !run_wave(sync);
			if (!is_waiting)
				close_stage(sync);
		} else {
			if (sync->stage == STAGE_STATUS && sync->put == NULL)
				start_report(sync);
			else if (sync->stage == STAGE_COLLISION && sync->put == NULL)
				start_collision(sync);
			is_waiting = sync->stage != STAGE_IDLE;
		}
	}
	sync->is_inside = false;
	if (sync->stage == STAGE_IDLE)
		end(sync);
}

bool sync_start(struct sync *sync, struct sync_end *ret_end)
{
	must(sync->stage == STAGE_IDLE);
	sync->end = (struct sync_end){.is_error = false};
	sync->has_errors = sync->waits = sync->may_raise = false;
	sync->started_ms = now();
	sync->stage_begin = 0;
	sync->base.is_stopping = false;
	if (sync->doubts.count > 0) {
		sync->stage = STAGE_DOUBTS;
		wave_open(&sync->wave, sync->doubts.count, WRITER_WINDOW, 0);
	} else {
		decide_now(sync);
	}
	advance(sync);
	*ret_end = sync->end;
	return sync->stage != STAGE_IDLE;
}

void sync_stop(struct sync *sync)
{
	sync->base.is_stopping = true;
}

/* ---- seen from outside ---------------------------------------------------------------------- */

bool sync_is_busy(const struct sync *sync)
{
	return sync->stage != STAGE_IDLE;
}

const char *sync_uid(const struct sync *sync)
{
	return sync->base.set.uid;
}

const struct kube_meta *sync_set(const struct sync *sync)
{
	return &sync->base.set;
}

bool sync_wants_more(const struct sync *sync)
{
	return sync->wants_more;
}

int64_t sync_report_ms(const struct sync *sync)
{
	return sync->report.was_written ? sync->report.written_ms + REPORT_INTERVAL_MS : 0;
}

static void write_counters(const struct set_status *status, struct buf *out)
{
	(void)buf_printf(out,
	    ",\"observed_generation\":%" PRId64 ",\"desired\":%" PRId64 ",\"current\":%" PRId64
	    ",\"ready\":%" PRId64 ",\"updated\":%" PRId64 ",\"available\":%" PRId64
	    ",\"unavailable\":%" PRId64 ",\"misscheduled\":%" PRId64,
	    status->observed_generation, status->desired, status->current, status->ready, status->updated,
	    status->available, status->unavailable, status->misscheduled);
}

static void write_text(struct buf *out, const char *key, const char *text)
{
	(void)buf_printf(out, ",\"%s\":", key);
	(void)buf_add_json(out, text, strlen(text));
}

void sync_write_status(const struct sync *sync, const struct collector_set *set, struct buf *out)
{
	const struct kube_meta *meta = &sync->base.set;

	(void)buf_printf(out, "{\"namespace\":\"%s\",\"name\":\"%s\",\"uid\":\"%s\"", meta->namespace_name,
	    meta->name, meta->uid);
	(void)buf_printf(out, ",\"generation\":%" PRId64, set->meta.generation);
	write_counters(&set->status, out);
	write_text(out, "hash", sync->base.hash);
	write_text(out, "stage", stages[sync->stage].name);
	(void)buf_printf(out, ",\"waits_for_own_writes\":%s,\"unknown_writes\":%zu",
	    expectations_satisfied(sync->parts.expectations, meta->uid, now()) ? "false" : "true",
	    sync->doubts.count);
	write_text(out, "complaint", set->complaint != NULL ? set->complaint : "");
	write_text(
	    out, "creation_failure", sync->report.creation_failed ? sync->report.creation_failure : "");
	write_text(out, "last_error", sync->last_error);
	(void)buf_printf(
	    out, ",\"last_sync_age_ms\":%" PRId64 "}", sync->ended_ms != 0 ? now() - sync->ended_ms : -1);
}

/* ---- birth and end -------------------------------------------------------------------------- */

struct sync *sync_new(const struct sync_parts *parts, const struct kube_meta *set)
{
	struct sync *sync = x_new(sync);

	sync->magic = SYNC_MAGIC;
	sync->parts = *parts;
	sync->base.client = parts->client;
	sync->base.writer = parts->writer;
	sync->base.on_end = on_errand_end;
	sync->base.arg = sync;
	sync->base.set.namespace_name = xstrdup(set->namespace_name);
	sync->base.set.name = xstrdup(set->name);
	sync->base.set.uid = xstrdup(set->uid);
	sync->base.set.resource_version = "";
	return sync;
}

static void cancel_all(struct errands *errands)
{
	for (size_t i = 0; i < errands->count; i++)
		errand_cancel(&errands->items[i]);
	errands_free(errands);
}

void sync_free(struct sync *sync)
{
	if (sync == NULL)
		return;
	if (sync->put != NULL)
		status_put_cancel(sync->put);
	if (sync->alive != NULL)
		kube_cancel(sync->alive);
	cancel_all(&sync->errands);
	cancel_all(&sync->doubts);
	sync_metrics_hide(sync->parts.metrics, &sync->gauges);
	pod_mould_free(sync->base.mould);
	buf_release(&sync->base.revision_body);
	buf_release(&sync->base.data);
	free((void *)(uintptr_t)sync->base.set.namespace_name);
	free((void *)(uintptr_t)sync->base.set.name);
	free((void *)(uintptr_t)sync->base.set.uid);
	free(sync);
}

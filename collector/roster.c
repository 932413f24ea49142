/* Roster.  Who is on duty.
 *
 *   slot:   ON DUTY --changed or removed--> LEAVING (drains, until drained or timed out) --> CLOSING --> ON DUTY with the next configuration, or gone
 *
 * Stands between the collector and its pipelines.  Owns the slots and through them the pipelines.  Between an old pipeline's end and the new one's beginning no
 * turn of the loop passes, so that no file that is held only by its descriptor is let go. */
#include "config.h"
#include "collector/roster.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"

#define LOG_MODULE "roster"
#define REOPEN_MS  1000 /* until an output that could not be opened is tried again */

struct slot {
	struct roster *roster;
	char *name;
	struct pipeline *pipeline;        /* NULL between the old one's end and the new one's beginning */
	struct collector_conf *next_conf; /* counted; NULL: no change is under way */
	bool is_leaving;
	bool is_closing;
	bool is_removed;                  /* there is no next one */
	bool is_taking_stock;             /* what the follower finds now was there before this output */
	uint64_t deadline_ms;             /* of leaving, or of the next try to open */
	struct slot *prev, *next;
};

static struct slot *slot_new(struct roster *roster, const char *name)
{
	struct slot *slot = x_new(slot);

	slot->roster = roster;
	slot->name = xstrdup(name);
	DL_APPEND(roster->slots, slot);
	return slot;
}

static void slot_free(struct slot *slot)
{
	collector_conf_unref(slot->next_conf);
	DL_DELETE(slot->roster->slots, slot);
	free(slot->name);
	free(slot);
}

static struct slot *find_slot(const struct roster *roster, const char *name)
{
	struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (strcmp(slot->name, name) == 0)
			return slot;
	return NULL;
}

/* ---- beginning ---------------------------------------------------------------------------------------------------- */

static void adopt_known(void *arg, struct tail *tail)
{
	struct slot *slot = arg;

	if (tail->fd != -1)
		pipeline_adopt(slot->pipeline, tail, tail->segment, true);
}

/* Opens the slot's output under slot->next_conf; it reads what is known already. */
static int start(struct slot *slot, struct err *err)
{
	struct roster *roster = slot->roster;
	struct collector_conf *conf = slot->next_conf;
	int status = pipeline_new(&slot->pipeline, &roster->env, conf, collector_conf_output(conf, slot->name), err);

	if (status != 0)
		return status;
	slot->next_conf = NULL;
	collector_conf_unref(conf);
	slot->is_taking_stock = true;
	if (roster->follower != NULL)
		follower_each(roster->follower, adopt_known, slot);
	roster->env.wake(roster->env.arg);
	return 0;
}

/* The same while the collector runs: what does not open is tried again, its logs wait. */
static void start_or_wait(struct slot *slot)
{
	struct err err;

	if (start(slot, &err) == 0) {
		log_info("output started", "output=%s", slot->name);
		if (follower_take_stock(slot->roster->follower))
			slot->is_taking_stock = false;
		return;
	}
	log_error("cannot open output, its logs wait", "output=%s error=%s", slot->name, log_quote(err.text));
	slot->deadline_ms = clock_monotonic_ms() + REOPEN_MS;
	slot->roster->changed(slot->roster->arg);
}

int roster_open(struct roster *roster, struct collector_conf *conf, struct err *err)
{
	for (const struct output_conf *output = conf->outputs; output != NULL; output = output->next) {
		struct slot *slot = slot_new(roster, output->name);
		int status;

		slot->next_conf = collector_conf_ref(conf);
		status = start(slot, err);
		if (status != 0)
			return status;
	}
	return 0;
}

void roster_end_stock(struct roster *roster)
{
	struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		slot->is_taking_stock = false;
}

/* ---- changing ----------------------------------------------------------------------------------------------------- */

static bool has_closed(const struct roster *roster)
{
	const struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL)
			return false;
	return true;
}

static void on_closed(void *arg)
{
	struct slot *slot = arg;
	struct roster *roster = slot->roster;

	slot->pipeline = NULL;
	slot->is_leaving = slot->is_closing = false;
	if (roster->is_closing) {
		if (has_closed(roster))
			roster->closed(roster->arg);
	} else if (slot->is_removed) {
		log_info("output removed", "output=%s", slot->name);
		metric_remove(roster->env.metrics, "output", slot->name);
		slot_free(slot);
		follower_review(roster->follower);
	} else {
		start_or_wait(slot);
	}
}

static void close_slot(struct slot *slot)
{
	slot->is_leaving = slot->is_closing = true;
	pipeline_close(slot->pipeline, on_closed, slot);
}

/* next_conf NULL: the output is removed. */
static void leave(struct slot *slot, struct collector_conf *next_conf, uint64_t timeout_ms)
{
	collector_conf_unref(slot->next_conf);
	slot->next_conf = next_conf != NULL ? collector_conf_ref(next_conf) : NULL;
	slot->is_removed = next_conf == NULL;
	if (slot->pipeline == NULL || slot->is_leaving)
		return; /* on its way already */
	slot->is_leaving = true;
	slot->deadline_ms = clock_monotonic_ms() + timeout_ms;
	pipeline_drain(slot->pipeline);
	slot->roster->changed(slot->roster->arg);
}

static bool is_unchanged(const struct slot *slot, const struct collector_conf *conf)
{
	return slot->pipeline != NULL && !slot->is_leaving &&
	       collector_conf_same_output(pipeline_conf(slot->pipeline), pipeline_output(slot->pipeline), conf,
		       collector_conf_output(conf, slot->name));
}

void roster_apply(struct roster *roster, struct collector_conf *conf)
{
	uint64_t timeout_ms = conf->collector.shutdown_timeout_ms;
	struct slot *slot, *next;

	DL_FOREACH_SAFE (roster->slots, slot, next) {
		if (collector_conf_output(conf, slot->name) == NULL)
			leave(slot, NULL, timeout_ms);
		else if (!is_unchanged(slot, conf))
			leave(slot, conf, timeout_ms);
	}
	for (const struct output_conf *output = conf->outputs; output != NULL; output = output->next) {
		if (find_slot(roster, output->name) != NULL)
			continue;
		slot = slot_new(roster, output->name);
		slot->next_conf = collector_conf_ref(conf);
		start_or_wait(slot);
	}
	follower_review(roster->follower);
}

bool roster_watch(struct roster *roster, uint64_t now_ms)
{
	struct slot *slot, *next;
	bool busy = false;

	DL_FOREACH_SAFE (roster->slots, slot, next) {
		if (slot->is_leaving && !slot->is_closing && (pipeline_is_drained(slot->pipeline) || now_ms >= slot->deadline_ms))
			close_slot(slot);
		else if (slot->pipeline == NULL && slot->is_removed)
			slot_free(slot); /* removed while it could not be opened */
		else if (slot->pipeline == NULL && now_ms >= slot->deadline_ms)
			start_or_wait(slot);
	}
	DL_FOREACH (roster->slots, slot)
		busy |= slot->is_leaving || slot->pipeline == NULL;
	return busy;
}

/* ---- all of them -------------------------------------------------------------------------------------------------- */

bool roster_turn(struct roster *roster, uint64_t now_ms)
{
	struct slot *slot;
	bool more = false;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL)
			more |= pipeline_turn(slot->pipeline, now_ms);
	return more;
}

bool roster_wants(const struct roster *roster, const struct origin *origin)
{
	const struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline == NULL || pipeline_wants(slot->pipeline, origin))
			return true; /* an output between two configurations may want it; follower_review asks again */
	return false;
}

void roster_adopt(struct roster *roster, struct tail *tail, struct segment *segment)
{
	struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL && !slot->is_leaving)
			pipeline_adopt(slot->pipeline, tail, segment, tail->was_there && slot->is_taking_stock);
}

void roster_dismiss(struct roster *roster, const struct container *container)
{
	struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL && !slot->is_closing)
			pipeline_dismiss(slot->pipeline, container);
}

void roster_readopt(struct roster *roster, struct container *container)
{
	struct tail *tail;

	DL_FOREACH (container->tails, tail)
		if (tail->fd != -1)
			roster_adopt(roster, tail, tail->segment);
}

void roster_flush(struct roster *roster)
{
	struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL)
			pipeline_flush(slot->pipeline);
}

void roster_drain(struct roster *roster)
{
	struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL && !slot->is_leaving)
			pipeline_drain(slot->pipeline);
}

bool roster_is_drained(const struct roster *roster)
{
	const struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL && !pipeline_is_drained(slot->pipeline))
			return false;
	return true;
}

bool roster_has_read_all(const struct roster *roster)
{
	const struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL && !pipeline_has_read_all(slot->pipeline))
			return false;
	return true;
}

uint64_t roster_acked_bytes(const struct roster *roster)
{
	const struct slot *slot;
	uint64_t sum = 0;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL)
			sum += pipeline_account(slot->pipeline)->terms[ACCOUNT_ACKED];
	return sum;
}

uint64_t roster_lag_bytes(const struct roster *roster)
{
	const struct slot *slot;
	uint64_t sum = 0;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL)
			sum += pipeline_lag_bytes(slot->pipeline);
	return sum;
}

void roster_each(const struct roster *roster, void (*visit)(void *visitor, struct pipeline *pipeline), void *visitor)
{
	const struct slot *slot;

	DL_FOREACH (roster->slots, slot)
		if (slot->pipeline != NULL)
			visit(visitor, slot->pipeline);
}

/* ---- ending ------------------------------------------------------------------------------------------------------- */

void roster_close(struct roster *roster, void (*closed)(void *arg))
{
	struct slot *slot, *next;
	bool was_closed = has_closed(roster);

	roster->is_closing = true;
	roster->closed = closed;
	DL_FOREACH_SAFE (roster->slots, slot, next)
		if (slot->pipeline != NULL && !slot->is_closing)
			close_slot(slot);
	if (was_closed)
		closed(roster->arg);
}

void roster_release(struct roster *roster)
{
	struct slot *slot, *next;

	DL_FOREACH_SAFE (roster->slots, slot, next)
		slot_free(slot);
}

/* Shipper.  Batches wait in lanes, go out one at a time per lane, and come home record by record.
 *
 *     take -> (pack on a worker) -> send -> answers -> settle -> ledger -> checkpoint
 *                      ^                      |
 *                      +-- back-off, smaller <-+
 *
 * Stands between gatherer and output.  Owns sealed batches until their last record is settled.  Refuses to drop anything that could succeed alone, to reorder a
 * lane, and to judge an answer's reason: outputs do that.
 *
 * Going alone: an output that merges records of several parcels into one request (Kafka's message sets) can reject an innocent record for its neighbour's sake.
 * A suspect batch therefore waits until nothing else is under way, and has the output for itself until its suspects are settled. */
#include "config.h"
#include "collector/shipper.h"

#include <errno.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE "shipper"
#define SHIPPER_MAGIC MAGIC('s', 'h', 'i', 'p')

static void pump(struct shipper *shipper, struct lane *lane);
static void pump_all(struct shipper *shipper);
static void close_if_quiet(struct shipper *shipper);

static struct shipper *shipper_of(void *pointer)
{
	struct shipper *shipper = pointer;

	must(shipper->magic == SHIPPER_MAGIC);
	return shipper;
}

void shipper_init(struct shipper *shipper)
{
	shipper->magic = SHIPPER_MAGIC;
	must(uv_timer_init(shipper->loop, &shipper->timer) == 0);
	shipper->timer.data = shipper;
	shipper->seed = clock_monotonic_ms() ^ (uint64_t)(uintptr_t)shipper;
}

struct lane *shipper_lane(struct shipper *shipper, const char *key, size_t key_len, unsigned number)
{
	struct lane *lane = lane_get(&shipper->lanes, key, key_len, number);

	lane->shipper = shipper;
	return lane;
}

static void recount(struct shipper *shipper, struct batch *batch, size_t now)
{
	size_t more = now - batch->counted_memory; /* modulo its range, as it may be less */

	shipper->memory_used += more;
	batch->lane->memory += more;
	if (!batch->lane->is_proven)
		shipper->unproven_memory += more;
	batch->counted_memory = now;
}

void shipper_count_memory(struct shipper *shipper, struct batch *batch)
{
	recount(shipper, batch, batch_memory(batch));
}

void shipper_uncount_memory(struct shipper *shipper, struct batch *batch)
{
	recount(shipper, batch, 0);
}

static void set_proven(struct shipper *shipper, struct lane *lane, bool is_proven)
{
	if (lane->is_proven == is_proven)
		return;
	lane->is_proven = is_proven;
	if (is_proven)
		shipper->unproven_memory -= lane->memory;
	else
		shipper->unproven_memory += lane->memory;
}

bool shipper_is_idle(const struct shipper *shipper)
{
	return shipper->queued_count == 0;
}

/* ---- packing ------------------------------------------------------------------------------------------------------ */

static void on_packed(struct pack_job *job, char *body, size_t body_len)
{
	struct batch *batch = container_of(job, struct batch, job);
	struct shipper *shipper = shipper_of(batch->parcel.slot);

	must(batch->state == BATCH_PACKING);
	batch->body = body;
	batch->body_len = body_len;
	batch->state = BATCH_READY;
	batch->parcel.slot = NULL;
	shipper->packing_count--;
	shipper_count_memory(shipper, batch);
	pump(shipper, batch->lane);
	close_if_quiet(shipper);
}

/* Makes the present range ready to be sent. */
static void prepare(struct shipper *shipper, struct batch *batch)
{
	const struct parcel_record *first = &batch->records[batch->range.first];
	const struct parcel_record *last = &batch->records[batch->range.first + batch->range.count - 1];

	free(batch->body);
	batch->body = NULL;
	batch->body_len = 0;
	shipper_count_memory(shipper, batch);
	if (shipper->packer == NULL) {
		batch->state = BATCH_READY;
		return;
	}
	batch->state = BATCH_PACKING;
	batch->parcel.slot = shipper; /* until the job is done; the output's afterwards */
	batch->job = (struct pack_job){
		.packer = shipper->packer,
		.begin = shipper->format->begin,
		.end = shipper->format->end,
		.bytes = batch->raw + first->offset,
		.len = last->offset + last->len - first->offset,
		.done = on_packed,
	};
	/* A body that ends as every record does lies there whole, separator included: one piece is compressed without a copy. */
	if (strcmp(shipper->format->end, shipper->format->separator) == 0) {
		batch->job.end = "";
		batch->job.len += strlen(shipper->format->separator);
	}
	shipper->packing_count++;
	pack_start(&batch->job);
}

void shipper_take(struct shipper *shipper, struct batch *batch)
{
	struct lane *lane = batch->lane;

	must(batch->state == BATCH_FILLING && batch->record_count != 0 && !shipper->is_closing);
	batch_check(batch);
	for (size_t i = 0; i < batch->run_count; i++)
		account_move(&batch->runs[i].ledger->account, ACCOUNT_OPEN, ACCOUNT_IN_FLIGHT, batch->runs[i].source_bytes);
	batch->range = (struct range){0, (uint32_t)batch->record_count};
	DL_APPEND(lane->queue, batch);
	lane->queued_count++;
	shipper->queued_count++;
	prepare(shipper, batch);
	pump(shipper, lane);
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

static void fate_acked(void *arg, struct ledger *ledger, uint64_t bytes)
{
	(void)arg;
	account_move(&ledger->account, ACCOUNT_IN_FLIGHT, ACCOUNT_ACKED, bytes);
}

static void fate_dropped(void *arg, struct ledger *ledger, uint64_t bytes)
{
	const enum drop_reason *reason = arg;

	account_move_to_drop(&ledger->account, ACCOUNT_IN_FLIGHT, *reason, bytes);
}

/* Why the lane waits, for /status and the log: told once per kind of trouble, not once per try. */
static void note_trouble(struct shipper *shipper, struct lane *lane, const struct answer *answer)
{
	bool hold = answer->kind == ANSWER_HOLD;
	const char *text = answer->text != NULL ? answer->text : answer->reason != NULL ? answer->reason : "no answer";
	const char *where = lane->destination_count != 0 ? lane->destination[0] : "";

	if (lane->trouble[0] == '\0' || lane->held != hold) {
		if (hold)
			log_error("output is held: nothing is lost, but someone must act", "output=%s lane=%u destination=%s answer=%s",
				shipper->name, lane->number, log_quote(where), log_quote(text));
		else
			log_warn("output does not take records, trying again", "output=%s lane=%u destination=%s answer=%s", shipper->name,
				lane->number, log_quote(where), log_quote(text));
	}
	lane->held = hold;
	if (hold)
		set_proven(shipper, lane, false);
	snprintf(lane->trouble, sizeof lane->trouble, "%s", text);
}

static void note_recovery(struct shipper *shipper, struct lane *lane)
{
	if (lane->trouble[0] != '\0')
		log_info("output takes records again", "output=%s lane=%u attempts=%u", shipper->name, lane->number, lane->attempt);
	set_proven(shipper, lane, true);
	lane->trouble[0] = '\0';
	lane->held = false;
	lane->attempt = 0;
	lane->next_try_ms = 0;
}

static void schedule(struct shipper *shipper, struct lane *lane, const struct answer *answer)
{
	uint64_t delay = backoff_ms(++lane->attempt, shipper->backoff.min, shipper->backoff.max, shipper->seed++);

	if (answer->retry_after_ms > 0 && (uint64_t)answer->retry_after_ms > delay)
		delay = (uint64_t)answer->retry_after_ms < shipper->backoff.max ? (uint64_t)answer->retry_after_ms : shipper->backoff.max;
	lane->next_try_ms = clock_monotonic_ms() + delay;
	note_trouble(shipper, lane, answer);
	metric_add(shipper->metrics.retries, 1);
}

/* A record that was rejected alone.  False: it could not be put away and has to wait. */
static bool bury(struct shipper *shipper, struct batch *batch, size_t index, const struct answer *answer)
{
	struct parcel_record *record = &batch->records[index];
	enum drop_reason reason = DROP_REJECTED;
	struct err err = {0};

	if (shipper->dead_letter != NULL) {
		int status = dead_letter_write(shipper->dead_letter, answer->reason, answer->text, batch->lane->destination,
			batch->lane->destination_count, batch->raw + record->offset, record->len, &err);

		if (status != 0) {
			struct answer full = {.kind = ANSWER_HOLD, .reason = "dead_letter", .text = err.text, .retry_after_ms = -1};

			schedule(shipper, batch->lane, &full);
			return false;
		}
		reason = DROP_DEAD_LETTER;
	}
	log_warn("record rejected", "output=%s reason=%s fate=%s answer=%s", shipper->name, answer->reason, drop_reason_names[reason],
		log_quote(answer->text != NULL ? answer->text : ""));
	metric_add(shipper->metrics.dropped[reason], 1);
	batch_settle(batch, index, fate_dropped, &reason);
	return true;
}

static void answer_record(struct shipper *shipper, struct batch *batch, size_t index, const struct answer *answer)
{
	struct parcel_record *record = &batch->records[index];
	bool alone = answer->is_alone || (batch->range.count == 1 && (!shipper->ops->merges || batch->went_alone));

	must(!record->settled && !record->answered);
	record->answered = true;
	batch->unanswered_count--;
	switch (answer->kind) {
	case ANSWER_SENT:
		metric_add(shipper->metrics.records, 1);
		metric_add(shipper->metrics.bytes, record->len + 1);
		batch_settle(batch, index, fate_acked, NULL);
		break;
	case ANSWER_RETRY:
	case ANSWER_HOLD:
		break; /* stays unsettled */
	case ANSWER_REJECTED:
		if (!alone || !bury(shipper, batch, index, answer))
			batch->refused_count++;
		break;
	}
}

static void release_batch(struct shipper *shipper, struct batch *batch)
{
	struct lane *lane = batch->lane;

	metric_observe(shipper->metrics.latency, (double)(clock_monotonic_ms() - batch->opened_ms) / 1e3, batch->record_count);
	DL_DELETE(lane->queue, batch);
	lane->queued_count--;
	shipper->queued_count--;
	shipper_uncount_memory(shipper, batch);
	if (shipper->alone == batch)
		shipper->alone = NULL;
	batch_free(batch);
	note_recovery(shipper, lane);
}

/* The parcel's last record was answered: what next for its batch? */
static void parcel_ended(struct shipper *shipper, struct batch *batch, const struct answer *worst)
{
	struct lane *lane = batch->lane;

	shipper->in_flight_count--;
	batch->state = BATCH_WAITING;
	for (uint32_t i = 0; i < batch->range.count; i++)
		batch->records[batch->range.first + i].answered = false;
	if (worst->kind == ANSWER_RETRY || worst->kind == ANSWER_HOLD)
		schedule(shipper, lane, worst);
	else if (batch->refused_count == 0)
		note_recovery(shipper, lane);
	if (batch->open_count == 0) {
		release_batch(shipper, batch);
		lane_tidy(&shipper->lanes, lane);
		pump_all(shipper);
		shipper->on_room(shipper->arg);
		return;
	}
	if (batch->refused_count != 0) {
		batch->suspect = true;
		if (batch_narrow(batch) && batch->range.count > 1)
			batch_halve(batch);
	}
	if (!batch_narrow(batch)) {
		must(batch_next_range(batch));
		must(batch_narrow(batch));
	}
	if (shipper->is_closing)
		return;
	prepare(shipper, batch);
	pump_all(shipper);
}

static int severity(enum answer_kind kind)
{
	return kind == ANSWER_HOLD ? 2 : kind == ANSWER_RETRY ? 1 : 0;
}

static void on_answer(struct parcel *parcel, size_t index, const struct answer *answer)
{
	struct batch *batch = container_of(parcel, struct batch, parcel);
	struct shipper *shipper = shipper_of(batch->lane->shipper);
	size_t first = batch->range.first, count = batch->range.count;

	must(batch->state == BATCH_IN_FLIGHT);
	if (severity(answer->kind) > severity(batch->worst.kind)) {
		batch->worst = *answer;
		snprintf(batch->worst_text, sizeof batch->worst_text, "%s", answer->text != NULL ? answer->text : answer->reason);
		batch->worst.text = batch->worst_text;
	}
	if (index != PARCEL_ALL) {
		must(index < count);
		answer_record(shipper, batch, first + index, answer);
	} else {
		for (size_t i = first; i < first + count; i++)
			if (!batch->records[i].settled && !batch->records[i].answered)
				answer_record(shipper, batch, i, answer);
	}
	if (batch->unanswered_count == 0) {
		struct answer worst = batch->worst;

		parcel_ended(shipper, batch, &worst);
		close_if_quiet(shipper);
	}
}

/* ---- sending ------------------------------------------------------------------------------------------------------ */

static void send_batch(struct shipper *shipper, struct batch *batch)
{
	const struct parcel_record *records = &batch->records[batch->range.first];
	const struct parcel_record *last = &records[batch->range.count - 1];
	bool is_view = shipper->wants_body && shipper->packer == NULL;
	size_t settled_count = 0;

	for (size_t i = 0; i < batch->range.count; i++)
		settled_count += records[i].settled;
	batch->state = BATCH_IN_FLIGHT;
	batch->refused_count = 0;
	batch->unanswered_count = batch->range.count - settled_count;
	batch->worst = (struct answer){.kind = ANSWER_SENT, .retry_after_ms = -1};
	batch->went_alone = shipper->alone == batch;
	batch->parcel = (struct parcel){
		.raw = batch->raw,
		.records = records,
		.record_count = batch->range.count,
		.body = is_view ? batch->raw + records->offset : batch->body,
		.body_len = is_view ? last->offset + last->len + strlen(shipper->format->end) - records->offset : batch->body_len,
		.encoding = shipper->wants_body ? pack_encoding(shipper->codec) : NULL,
		.destination = batch->lane->destination,
		.lane = batch->lane->number,
		.is_doubted = batch->lane->trouble[0] != '\0',
		.is_alone = batch->went_alone,
		.has_settled = settled_count != 0,
		.answer = on_answer,
	};
	shipper->in_flight_count++;
	shipper->ops->send(shipper->output, &batch->parcel);
}

/* May this batch go now, as far as others are concerned? */
static bool may_go(struct shipper *shipper, struct batch *batch)
{
	if (!shipper->ops->merges)
		return true;
	if (batch->suspect && shipper->alone == NULL)
		shipper->alone = batch;
	if (shipper->alone == NULL)
		return true;
	return shipper->alone == batch && shipper->in_flight_count == 0;
}

static void on_timer(uv_timer_t *timer)
{
	pump_all(shipper_of(timer->data));
}

static void arm(struct shipper *shipper)
{
	uint64_t now = clock_monotonic_ms(), next = UINT64_MAX;
	struct lane *lane, *following;

	HASH_ITER (hh, shipper->lanes, lane, following)
		if (lane->queue != NULL && lane->next_try_ms > now && lane->next_try_ms < next)
			next = lane->next_try_ms;
	if (next == UINT64_MAX)
		uv_timer_stop(&shipper->timer);
	else
		uv_timer_start(&shipper->timer, on_timer, next - now + 1, 0);
}

static void pump(struct shipper *shipper, struct lane *lane)
{
	struct batch *batch = lane->queue;

	if (shipper->is_closing || batch == NULL || batch->state != BATCH_READY)
		return;
	if (lane->next_try_ms > clock_monotonic_ms()) {
		arm(shipper);
		return;
	}
	if (may_go(shipper, batch))
		send_batch(shipper, batch);
}

static void pump_all(struct shipper *shipper)
{
	struct lane *lane, *following;

	if (shipper->alone != NULL)
		pump(shipper, shipper->alone->lane);
	HASH_ITER (hh, shipper->lanes, lane, following)
		pump(shipper, lane);
}

void shipper_hurry(struct shipper *shipper)
{
	struct lane *lane, *following;

	HASH_ITER (hh, shipper->lanes, lane, following) {
		lane->attempt = 0;
		lane->next_try_ms = 0;
	}
	pump_all(shipper);
}

int64_t shipper_oldest_time(const struct shipper *shipper)
{
	int64_t oldest = INT64_MAX;
	struct lane *lane, *following;
	struct batch *batch;

	HASH_ITER (hh, shipper->lanes, lane, following)
		DL_FOREACH (lane->queue, batch)
			if (batch->oldest_time_ns < oldest)
				oldest = batch->oldest_time_ns;
	return oldest;
}

/* ---- closing ------------------------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
	struct shipper *shipper = shipper_of(handle->data);

	packer_free(shipper->packer);
	dead_letter_free(shipper->dead_letter);
	shipper->magic = 0;
	shipper->closed(shipper->arg);
}

static void close_if_quiet(struct shipper *shipper)
{
	struct lane *lane, *following;

	if (!shipper->is_closing || shipper->packing_count != 0 || shipper->in_flight_count != 0 || uv_is_closing((uv_handle_t *)&shipper->timer))
		return;
	HASH_ITER (hh, shipper->lanes, lane, following) {
		struct batch *batch, *next;

		must(lane->open == NULL);
		DL_FOREACH_SAFE (lane->queue, batch, next) {
			DL_DELETE(lane->queue, batch);
			batch_free(batch);
		}
		lane_tidy(&shipper->lanes, lane);
	}
	uv_close((uv_handle_t *)&shipper->timer, on_closed);
}

void shipper_close(struct shipper *shipper, void (*closed)(void *arg))
{
	must(!shipper->is_closing);
	shipper->is_closing = true;
	shipper->closed = closed;
	close_if_quiet(shipper);
}

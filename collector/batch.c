/* Batch.  Bytes for the wire on one side, the runs of files that they stand for on the other.
 *
 * Stands between gatherer and shipper; both append to it or settle it, never at the same time.  Owns its memory.  Does not decide when it is full, and
 * posts nothing to the account: who calls knows why. */
#include "config.h"
#include "collector/batch.h"

#include <stdlib.h>
#include <string.h>

#include "common/escape.h"
#include "common/fault.h"
#include "common/must.h"

#define BATCH_MAGIC MAGIC('b', 'a', 't', 'c')

struct batch *batch_new(struct lane *lane, uint64_t now_ms)
{
	struct batch *batch = x_new(batch);

	batch->magic = BATCH_MAGIC;
	batch->state = BATCH_FILLING;
	batch->lane = lane;
	batch->opened_ms = now_ms;
	batch->oldest_time_ns = INT64_MAX;
	return batch;
}

void batch_free(struct batch *batch)
{
	if (batch == NULL)
		return;
	must(batch->magic == BATCH_MAGIC);
	batch->magic = 0;
	free(batch->raw);
	free(batch->records);
	free(batch->runs);
	free(batch->body);
	free(batch->rest);
	free(batch);
}

size_t batch_memory(const struct batch *batch)
{
	return sizeof *batch + batch->capacity + batch->body_len + batch->record_capacity * sizeof batch->records[0] +
	       batch->run_capacity * sizeof batch->runs[0];
}

/* Makes room for `more` elements; capacities double so that a batch of a few records stays small. */
static void grow(void **memory, size_t *capacity, size_t count, size_t more, size_t least, size_t element_bytes)
{
	size_t wanted = *capacity != 0 ? *capacity : least;

	while (wanted < count + more)
		wanted *= 2;
	if (wanted == *capacity)
		return;
	*memory = xrealloc(*memory, wanted * element_bytes);
	*capacity = wanted;
}

size_t batch_bound(const struct batch_entry *entry)
{
	size_t bound = entry->format->bound(entry->record, entry->prepared_len);

	if (entry->record_limit != 0 && bound > entry->record_limit)
		bound = entry->record_limit;
	return bound + strlen(entry->format->separator);
}

static struct run *add_run(struct batch *batch, struct ledger *ledger, struct span *span)
{
	struct run *run;

	grow((void **)&batch->runs, &batch->run_capacity, batch->run_count, 1, 4, sizeof batch->runs[0]);
	run = &batch->runs[batch->run_count++];
	*run = (struct run){.ledger = ledger, .span = span, .first = (uint32_t)batch->record_count};
	return run;
}

/* The run that the record joins: the last one if the same file goes on, else a new one with a span of its own. */
static struct run *run_for(struct batch *batch, const struct batch_entry *entry)
{
	struct run *last = batch->run_count != 0 ? &batch->runs[batch->run_count - 1] : NULL;

	if (last != NULL && last->carried_bytes == 0 && last->ledger == entry->ledger &&
	    last->first + last->count == batch->record_count && last->span == entry->ledger->spans->prev)
		return last;
	return add_run(batch, entry->ledger, ledger_open(entry->ledger, entry->floor));
}

static void note_runs(struct batch *batch, const struct batch_entry *entry, uint64_t source_bytes)
{
	struct run *run;

	if (entry->carried_span != NULL) {
		run = add_run(batch, entry->carried_ledger, entry->carried_span);
		run->source_bytes = run->fateless_bytes = run->carried_bytes = entry->carried_bytes;
		run->count = run->open_count = 1;
	}
	run = run_for(batch, entry);
	run->source_bytes += source_bytes;
	run->fateless_bytes += source_bytes;
	run->count++;
	run->open_count++;
}

void batch_append(struct batch *batch, const struct batch_entry *entry, uint64_t *ret_cut_bytes)
{
	const struct record *record = entry->record;
	size_t separator_len = strlen(entry->format->separator), bound = batch_bound(entry), taken = 0, written;
	struct parcel_record *slot;
	uint64_t source_bytes;

	must(batch->state == BATCH_FILLING);
	grow((void **)&batch->raw, &batch->capacity, batch->len, bound + ESCAPE_SLACK, 16384, 1);
	written = entry->format->encode(entry->format_options, entry->source, entry->prepared, entry->prepared_len, record,
		batch->raw + batch->len, bound - separator_len, &taken);
	must(written <= bound - separator_len && taken <= record->len);
	memcpy(batch->raw + batch->len + written, entry->format->separator, separator_len);
	*ret_cut_bytes = record->len - taken;
	if (*ret_cut_bytes > record->source_bytes) /* cut from the part that stands in the file before */
		*ret_cut_bytes = record->source_bytes;
	source_bytes = record->source_bytes - *ret_cut_bytes;

	note_runs(batch, entry, source_bytes);
	grow((void **)&batch->records, &batch->record_capacity, batch->record_count, 1, 64, sizeof batch->records[0]);
	slot = &batch->records[batch->record_count++];
	*slot = (struct parcel_record){
		.offset = (uint32_t)batch->len,
		.len = (uint32_t)written,
		.source_bytes = source_bytes,
		.time_ns = record->time_ns,
		.source = entry->source,
		.stream = (uint8_t)record->stream,
	};
	batch->open_count++;
	batch->len += written + separator_len;
	if (record->time_ns < batch->oldest_time_ns)
		batch->oldest_time_ns = record->time_ns;
}

/* The first run whose records reach index; runs stand in the order of their first record. */
static size_t run_at(const struct batch *batch, size_t index)
{
	size_t low = 0, high = batch->run_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (batch->runs[middle].first + batch->runs[middle].count > index)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void batch_settle(struct batch *batch, size_t index, void (*fate)(void *arg, struct ledger *ledger, uint64_t bytes), void *arg)
{
	struct parcel_record *record = &batch->records[index];

	must(!record->settled);
	record->settled = true;
	batch->open_count--;
	for (size_t i = run_at(batch, index); i < batch->run_count && batch->runs[i].first <= index; i++) {
		struct run *run = &batch->runs[i];
		uint64_t bytes = run->carried_bytes != 0 ? run->carried_bytes : record->source_bytes;

		/* The account of a test build must notice a record that is freed without a fate. */
		if (!FAULT("batch.forget")) {
			fate(arg, run->ledger, bytes);
			run->fateless_bytes -= bytes;
		}
		if (--run->open_count != 0)
			continue;
		/* In flight is what lies in a batch.  The run is over: a record of it that got no fate shows in the account now.  Not later: the ledger's
		 * reader may end with this span, long before the batch does. */
		account_take(&run->ledger->account, ACCOUNT_IN_FLIGHT, run->fateless_bytes);
		ledger_settle(run->ledger, run->span);
	}
}

bool batch_narrow(struct batch *batch)
{
	const struct parcel_record *records = batch->records;

	while (batch->range.count != 0 && records[batch->range.first].settled) {
		batch->range.first++;
		batch->range.count--;
	}
	while (batch->range.count != 0 && records[batch->range.first + batch->range.count - 1].settled)
		batch->range.count--;
	return batch->range.count != 0;
}

bool batch_next_range(struct batch *batch)
{
	if (batch->rest_count == 0)
		return false;
	batch->range = batch->rest[--batch->rest_count];
	return true;
}

void batch_halve(struct batch *batch)
{
	uint32_t half = batch->range.count / 2;

	must(batch->range.count >= 2);
	grow((void **)&batch->rest, &batch->rest_capacity, batch->rest_count, 1, 8, sizeof batch->rest[0]);
	batch->rest[batch->rest_count++] = (struct range){batch->range.first + half, batch->range.count - half};
	batch->range.count = half;
}

void batch_check(const struct batch *batch)
{
	must(batch->magic == BATCH_MAGIC);
	must(batch->len <= batch->capacity);
	must(batch->open_count <= batch->record_count);
	must(batch->state == BATCH_FILLING || batch->record_count != 0);
	must(batch->range.first + batch->range.count <= batch->record_count);
}

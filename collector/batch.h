/* A batch: encoded records of one lane and destination, and which bytes of which files they stand for.
 *
 *              batch_append            batch sealed           packed or raw         output->send
 *   (new) ---> FILLING ------------------------------> PACKING ------------> READY ------------> IN_FLIGHT ---> settled, freed
 *              gatherer owns it             worker has its bytes   shipper         output borrows   |
 *                                                                    ^                             | RETRY, HOLD, rejected in company
 *                                                                    +-------- WAITING <-----------+
 */
#ifndef DRAVE_COLLECTOR_BATCH_H
#define DRAVE_COLLECTOR_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/ledger.h"
#include "collector/pack.h"
#include "outputs/format.h"
#include "outputs/output.h"

enum batch_state { BATCH_FILLING, BATCH_PACKING, BATCH_READY, BATCH_IN_FLIGHT, BATCH_WAITING };

/* Consecutive records of one file.  A record that spans a rotation is covered by a run of each file. */
struct run {
	struct ledger *ledger; /* borrowed: a reader stays until its ledger is empty */
	struct span *span;
	uint64_t source_bytes; /* of the whole run, for moving from open to in flight */
	uint64_t fateless_bytes; /* of it, those whose fate nobody has named yet */
	uint64_t carried_bytes; /* not 0: this run is the part of the one record `first` that stands in the file before */
	uint32_t first;
	uint32_t count;
	uint32_t open_count;   /* records not settled */
};

/* Records that still have to be sent as a parcel of their own (after a rejection in company). */
struct range {
	uint32_t first;
	uint32_t count;
};

#define BATCH_TEXT_BYTES 160

struct lane;

struct batch {
	unsigned magic;
	enum batch_state state;
	struct lane *lane;
	struct batch *prev, *next; /* in the lane's queue, or in the gatherer's list of open ones */
	char *raw;
	size_t len, capacity;
	struct parcel_record *records;
	size_t record_count, record_capacity;
	size_t open_count; /* records not settled */
	struct run *runs;
	size_t run_count, run_capacity;
	uint64_t opened_ms;        /* monotonic time of the first record's arrival here */
	int64_t oldest_time_ns;    /* lowest log time in it */
	size_t counted_memory;     /* what of it the shipper has counted */
	char *body;                /* framed and compressed bytes of the present range; NULL = raw goes out as it is */
	size_t body_len;
	struct pack_job job;
	struct range range;        /* what the parcel carries now */
	struct range *rest;        /* further ranges, the next one last */
	size_t rest_count, rest_capacity;
	bool suspect;              /* a record of it was rejected in company: its parcels get smaller, and go alone where the output merges */
	bool went_alone;           /* the parcel under way was sent with nothing else under way */
	size_t refused_count;      /* of the parcel under way */
	size_t unanswered_count;   /* of the parcel under way */
	struct answer worst;       /* of the parcel under way: HOLD before RETRY before the rest */
	char worst_text[BATCH_TEXT_BYTES];
	struct parcel parcel;
};

struct batch *batch_new(struct lane *lane, uint64_t now_ms);
/* Frees the memory.  Says nothing to ledgers: the caller has settled everything, or purges (stop) and reads it again. */
void batch_free(struct batch *batch);
/* Bytes of memory it holds. */
size_t batch_memory(const struct batch *batch);

/* What goes into a batch with a record. */
struct batch_entry {
	const struct record *record;
	const struct source *source;
	struct ledger *ledger;
	uint64_t floor;          /* the ledger's floor for this record */
	const struct format *format;
	const struct format_options *format_options;
	const char *prepared;
	size_t prepared_len;
	size_t record_limit;     /* encoded bytes at most; 0 = none */
	/* the part that stands in the file before, or NULL */
	struct ledger *carried_ledger;
	struct span *carried_span;
	uint64_t carried_bytes;
};

/* Encodes the record behind the others; *ret_cut_bytes = text bytes that record_limit kept out.  Posts nothing to the account. */
void batch_append(struct batch *batch, const struct batch_entry *entry, uint64_t *ret_cut_bytes);
/* An upper bound of what the entry's record will take, separator included. */
size_t batch_bound(const struct batch_entry *entry);

/* Record number index has met its fate: its runs' spans are settled when they were the last.  `fate` posts to the account of each file: called with the
 * file's ledger and the bytes that the record has there. */
void batch_settle(struct batch *batch, size_t index, void (*fate)(void *arg, struct ledger *ledger, uint64_t bytes), void *arg);
/* Narrows the range to its first and last unsettled record; false if all of it is settled. */
bool batch_narrow(struct batch *batch);
/* Takes the next range of the rest; false if there is none. */
bool batch_next_range(struct batch *batch);
/* Halves the range: the second half goes to the rest.  It has two unsettled records at least. */
void batch_halve(struct batch *batch);
void batch_check(const struct batch *batch);

#endif

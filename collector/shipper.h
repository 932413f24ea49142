/* Sealed batches -> output, and answers -> fates.  One per output.
 *
 * Each lane sends one batch at a time, in order.  Every record of a batch ends SENT (acked), dead-lettered or dropped (counted), or it is sent
 * again: after RETRY and HOLD with the output's back-off, after a rejection in company in smaller parcels until it stands alone. */
#ifndef DRAVE_COLLECTOR_SHIPPER_H
#define DRAVE_COLLECTOR_SHIPPER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "collector/batch.h"
#include "collector/dead_letter.h"
#include "collector/lane.h"
#include "collector/pack.h"
#include "common/metric.h"
#include "outputs/output.h"

struct shipper_metrics {
	struct metric *records, *bytes, *retries, *latency;
	struct metric *dropped[DROP_REASONS];
};

struct shipper {
	unsigned magic;
	const char *name;
	uv_loop_t *loop;
	const struct output_ops *ops;
	struct output *output;
	const struct format *format;
	bool wants_body;            /* the output takes bodies, not raw records */
	struct packer *packer;      /* NULL: raw bytes are the body as they are */
	enum pack_codec codec;
	struct bind_range backoff;
	struct dead_letter *dead_letter; /* NULL: what is rejected alone is dropped */
	struct shipper_metrics metrics;
	void (*on_room)(void *arg);  /* memory was freed, and a lane has a batch less */
	void *arg;

	struct lane *lanes;          /* by number and destination */
	size_t memory_used;          /* of all batches, open ones included */
	size_t unproven_memory;      /* of it, in lanes that are not proven */
	unsigned in_flight_count;    /* parcels lent to the output */
	unsigned packing_count;
	unsigned queued_count;       /* sealed batches not yet settled */
	struct batch *alone;         /* waits for, or has, the output for itself */
	uint64_t seed;               /* of the back-off's jitter */
	bool is_closing;             /* nothing is sent any more */
	uv_timer_t timer;
	void (*closed)(void *arg);
};

/* The caller has filled everything above the blank line. */
void shipper_init(struct shipper *shipper);
/* The lane of these expansions; key as in struct lane. */
struct lane *shipper_lane(struct shipper *shipper, const char *key, size_t key_len, unsigned number);
/* The batch grew or shrank: brings memory_used up to date. */
void shipper_count_memory(struct shipper *shipper, struct batch *batch);
/* The batch is about to be freed. */
void shipper_uncount_memory(struct shipper *shipper, struct batch *batch);
/* A sealed batch, to be moved in: joins its lane's queue. */
void shipper_take(struct shipper *shipper, struct batch *batch);
/* Forgets all back-off and tries at once (stop, SIGUSR1). */
void shipper_hurry(struct shipper *shipper);
bool shipper_is_idle(const struct shipper *shipper);
/* Nothing more is sent.  The caller then stops the output, whose last answers end the parcels under way.  Batches that are left when no worker and no
 * output has any are freed without a fate: their bytes are read again.  Then closed(arg), once, later. */
void shipper_close(struct shipper *shipper, void (*closed)(void *arg));
/* Log time of the oldest record that waits in sealed batches, INT64_MAX if none. */
int64_t shipper_oldest_time(const struct shipper *shipper);

#endif

/* Records -> open batches, sealed by size, count and age.  One per output. */
#ifndef DRAVE_COLLECTOR_GATHERER_H
#define DRAVE_COLLECTOR_GATHERER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "collector/shipper.h"
#include "outputs/template.h"

/* Open batches; beyond it the oldest is sealed.  And the most records of a batch whatever is configured: a debug build provokes seals and
 * bisections. */
#ifdef DRAVE_DEBUG
#define GATHERER_OPEN_LIMIT  2
#define GATHERER_RECORDS_MAX 3
#else
#define GATHERER_OPEN_LIMIT  256
#define GATHERER_RECORDS_MAX SIZE_MAX
#endif

/* Lanes that have not taken anything yet, or hold, may have this part of an output's memory together. */
#define UNPROVEN_PART(memory_limit) ((memory_limit) / 2)

struct gatherer {
	struct shipper *shipper;
	uv_loop_t *loop;
	const struct format *format;
	const struct format_options *format_options;
	size_t batch_bytes;      /* encoded, before compression */
	size_t batch_records;
	uint64_t batch_age_ms;
	size_t record_limit;     /* encoded bytes of one record; 0 = none */
	size_t memory_limit;     /* of all batches of this output */
	unsigned lanes;          /* per destination */
	struct metric *unproven_limits; /* how often lanes that are not proven came to their limit */
	struct template *templates[OUTPUT_TEMPLATES];
	const char *fallbacks[OUTPUT_TEMPLATES]; /* what stands for a template that cannot be filled; NULL: it stands empty */
	size_t template_count;

	bool is_at_limit;        /* lanes that are not proven have all that they may have */
	struct batch *open;      /* oldest first */
	unsigned open_count;
	uv_timer_t timer;        /* seals the oldest when its age is reached */
};

/* Where a reader's records go: kept by the reader, so that the destination is not expanded for every record. */
struct route {
	struct lane *lane;   /* counts its routes, and stays while there are any; NULL: none yet */
	unsigned version;    /* of the origin's metadata, by which it was looked up */
	int64_t minute;      /* of the record's time, where a template has {date} */
	int stream;          /* where a template has {stream} */
};

/* The caller has filled what stands above the blank line. */
void gatherer_init(struct gatherer *gatherer);
/* False: memory is used up or nearly; the reader waits for room (shipper's on_room).  Seals the oldest batch then, so that room will come. */
bool gatherer_has_room(struct gatherer *gatherer);
/* How many bytes its reader may read at once; 0: it waits for room, others go on.  The lane that the route last led to has batches enough, or it is not proven and
 * lanes like it have what they may have: each is then tried with one record. */
size_t gatherer_room_of(struct gatherer *gatherer, const struct route *route);
/* True: the metadata of its origin have changed since, and lead to another lane than the one that the route has. */
bool gatherer_has_turned(const struct gatherer *gatherer, struct route *route, const struct origin *origin);
/* May a read that was begun with room be taken further, record by record?  It usually is to its end, as what is left would be read twice. */
bool gatherer_may_go_on(struct gatherer *gatherer, const struct route *route);
/* Encodes the record into its batch.  *ret_cut_bytes: text bytes that record_limit kept out (the caller has posted nothing for them yet).  Posts nothing itself. */
void gatherer_add(struct gatherer *gatherer, struct route *route, const struct batch_entry *entry, uint64_t *ret_cut_bytes);
/* The route leads nowhere until the next record is added: before it is forgotten, or because it would lead elsewhere now.  Also after the shipper is closed. */
void gatherer_leave(struct gatherer *gatherer, struct route *route);
/* Seals everything now. */
void gatherer_seal_all(struct gatherer *gatherer);
/* Frees open batches without a fate (their bytes are read again) and closes the timer. */
void gatherer_close(struct gatherer *gatherer, uv_close_cb closed, void *arg);
int64_t gatherer_oldest_time(const struct gatherer *gatherer);

#endif

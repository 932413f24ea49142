/* A cursor: one output's reading of one file.  Read offset, joiner, ledger and mark.
 *
 *   WAITING (for its predecessor) -> READING -> PASSED (read to the end after a successor was seen; late bytes are still taken) -> done, freed
 */
#ifndef DRAVE_COLLECTOR_CURSOR_H
#define DRAVE_COLLECTOR_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/checkpoint.h"
#include "collector/gatherer.h"
#include "collector/joiner.h"
#include "collector/ledger.h"
#include "collector/read_buffer.h"
#include "collector/tail.h"
#include "common/metric.h"

struct cursor;

/* What all cursors of one output share. */
struct cursor_env {
	struct gatherer *gatherer;
	struct checkpoint *checkpoint; /* NULL: none is kept (--dry-run) */
	const char *output;            /* its name */
	const struct format *format;
	const struct format_options *format_options;
	size_t max_record;
	uint64_t partial_timeout_ms;
	uint64_t settle_ms;            /* how long an unfinished last line of a file with a successor must stay as it is before it is taken for whole */
	struct account *total;
	struct read_buffer *buffer;    /* one for all cursors of the program */
	struct metric *records;
	struct metric *missing;        /* records that go without metadata; NULL where nobody expects any */
	struct metric *lost_truncated, *lost_hold; /* drave_input_lost_bytes_total{reason} */
	struct metric *damaged_files;  /* drave_input_lost_segments_total{reason} */
	uint64_t late_bytes;           /* taken from a file after its successor had begun */
	struct cursor *ready;          /* those with something to read, in turn */
	struct cursor *parked;         /* those whose lane is full, or has to be left first: ready again when there is room */
	struct cursor *attention;      /* those with an open chain or an unfinished last line: looked at by time */
	bool reads_to_stop;            /* --once: nothing beyond stop_at */
	unsigned gone_count;           /* cursors that are done and wait to be freed */
	void (*wake)(struct cursor_env *env); /* there is something to do: a turn is wanted */
};

/* Part of a record that stands in the file before (a rotation came between two pieces). */
struct carried {
	struct cursor *from;
	struct span *span;
	uint64_t bytes;
	const struct source *source;
	uint64_t offset;
};

struct cursor {
	unsigned magic;
	struct cursor_env *env;
	struct tail_reader reader;
	struct mark mark;
	struct ledger ledger;
	struct joiner joiner;
	struct carried carried[3];     /* by stream; from == NULL: none */
	unsigned lent_count;           /* chains of this file that a successor is finishing */
	struct timestamp_cache timestamps;
	struct route route;
	struct buf prepared;           /* the constant tail of its records */
	unsigned prepared_version;     /* of the metadata that it was made from */
	uint64_t read_offset;          /* always at the start of a line */
	uint64_t stop_at;              /* --once: the file's size at the start */
	uint64_t skip_from;            /* the start of an overlong line whose rest is being skipped; UINT64_MAX = none */
	uint64_t leftover_bytes;       /* of an unfinished last line, as last seen */
	uint64_t leftover_since_ms;
	bool is_ready;                 /* in env->ready */
	bool is_parked;                /* in env->parked, by the same links */
	bool needs_attention;          /* in env->attention */
	bool is_open;                  /* its predecessor has passed: it may read */
	bool passed;
	bool is_patient;               /* too many compressed files are being unpacked: tries again by time */
	bool at_end;                   /* its last turn found nothing more */
	bool given_up;
	bool is_dismissed;             /* given up because its pod is excluded; the mark stays, for another time */
	bool is_gone;                  /* done: detached, to be freed by the next cursor_reap */
	struct cursor *ready_prev, *ready_next;
	struct cursor *attention_prev, *attention_next;
	struct cursor *prev, *next;    /* in the pipeline's list */
};

/* Begins at offset and attaches itself to the tail.  segment: the tail's, NULL without checkpoint. */
struct cursor *cursor_new(struct cursor_env *env, struct tail *tail, struct segment *segment, uint64_t offset);
/* Detaches from tail and checkpoint and frees.  Pending bytes leave the account (they are read again). */
void cursor_free(struct cursor *cursor);
/* One turn: at most one read.  False if it has no more to do for now (it left the ready list). */
void cursor_turn(struct cursor *cursor, uint64_t now_ms);
/* Time passed: chains older than partial_timeout, unfinished last lines. */
void cursor_attend(struct cursor *cursor, uint64_t now_ms);
/* Its pod asks not to be read: takes no more, and is done when what it took is acknowledged. */
void cursor_dismiss(struct cursor *cursor);
/* This output's reader of the tail, or NULL. */
struct cursor *cursor_find(const struct cursor_env *env, const struct tail *tail);
/* Bytes that are in the file and not acknowledged. */
uint64_t cursor_lag(const struct cursor *cursor);
/* Everything up to stop_at (--once) or to the end was read. */
bool cursor_has_read_all(const struct cursor *cursor);
/* Its file will bring nothing more, all was acknowledged and is safe on disk: it may be freed. */
bool cursor_is_done(const struct cursor *cursor);

/* Which cursors have something to do: now (ready), when there is room (parked), by time (attention): cursor_lists.c. */

/* It has something to do, and a turn is wanted; a parked one stays parked. */
void cursor_make_ready(struct cursor *cursor);
/* Leaves the ready list: it has nothing to do for now (or is not to do it: draining). */
void cursor_rest(struct cursor *cursor);
/* Has something to do, but no room for it. */
void cursor_park(struct cursor *cursor);
/* There is room again: all parked cursors are ready. */
void cursor_unpark(struct cursor_env *env);
/* Ready, parked or not: something else than room has changed for it. */
void cursor_recall(struct cursor *cursor);
/* Is it to be looked at by time? */
void cursor_want_attention(struct cursor *cursor, bool wanted);
/* It ends. */
void cursor_leave_lists(struct cursor *cursor);

#endif

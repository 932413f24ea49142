/* What rows are made of, for rows.c and rows_age.c only. */
#ifndef DRAVE_COLLECTOR_ROWS_INSIDE_H
#define DRAVE_COLLECTOR_ROWS_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/db_change.h"
#include "collector/mark.h"
#include "common/table.h"

struct known_output {
	char *name;
	int64_t seen_at_ns; /* 0: only its marks are known */
	bool is_configured;
	bool is_new; /* the last rows_retire named it for the first time */
	bool is_dirty;
	size_t attached;                  /* marks */
	struct mark_row *dropped;         /* owned, of one that goes */
	struct known_output *prev, *next; /* among those that go */
	UT_hash_handle hh;
};

struct mark_row {
	struct segment *segment;
	struct known_output *output;
	struct mark *mark;        /* NULL: nobody moves it now */
	struct stored_mark value; /* as read, taken, or left by its mark */
	bool has_value;           /* false: nothing to store */
	bool is_gone;             /* it is to be deleted: in no list any more */
	bool is_dirty, is_unsynced;
	uint64_t durable_offset;
	struct mark_row *next; /* in the segment, or among the dropped */
	struct mark_row *dirty_prev, *dirty_next, *unsynced_prev, *unsynced_next;
};

struct segment {
	int64_t id;
	struct stream *stream;
	struct segment_key key; /* texts owned, but stream is stream->name */
	int64_t seen_at_ns;
	bool is_claimed; /* a file has it */
	bool is_stored;  /* there is or will be a row on disk */
	bool is_old;     /* it was there at the start */
	bool is_gone, is_dirty;
	struct mark_row *rows;
	struct segment *prev, *next; /* in the stream, newest first; or among those that go */
	struct segment *dirty_prev, *dirty_next;
	UT_hash_handle hh; /* by id */
};

struct stream {
	char *name;
	struct segment *segments;
	UT_hash_handle hh;
};

struct rows {
	struct stream *streams;
	struct segment *segments; /* those in streams, by id */
	struct known_output *outputs;
	int64_t next_id;
	struct mark_row *dirty, *unsynced;
	struct segment *dirty_segments;
	struct segment *gone_segments;
	struct known_output *gone_outputs;
	bool is_lazy;
	bool is_taken;
	struct db_change change;
};

/* By name; NULL: there is none.  get makes one. */
struct known_output *rows_find_output(struct rows *rows, const char *name);
struct known_output *rows_get_output(struct rows *rows, const char *name);
struct stream *rows_find_stream(struct rows *rows, const char *name);
struct mark_row *rows_find_row(const struct segment *segment, const char *output);
/* It is configured now. */
void rows_see_output(struct rows *rows, struct known_output *output, int64_t now_ns);
/* What the database is to learn with the next change. */
void rows_dirty_segment(struct rows *rows, struct segment *segment);
void rows_dirty_row(struct rows *rows, struct mark_row *row);
/* What it is to forget: out of sight at once; the memory goes when a change that deletes it was settled. */
void rows_lose_row(struct rows *rows, struct mark_row *row);
void rows_lose_segment(struct rows *rows, struct segment *segment);

#endif

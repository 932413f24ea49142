/* Rows as the database has them, and a change: rows to be deleted, made and replaced in one transaction. */
#ifndef DRAVE_COLLECTOR_DB_CHANGE_H
#define DRAVE_COLLECTOR_DB_CHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "collector/mark.h"

struct db_segment {
	int64_t id; /* 1 or more, given by the caller, never used for another file while its row is there */
	struct segment_key key;
	int64_t seen_at_ns;
	void *owner; /* the caller's; not stored */
};

struct db_mark {
	int64_t segment;
	const char *output;
	struct stored_mark value;
	void *owner; /* the caller's; not stored */
};

struct db_output {
	const char *name;
	int64_t seen_at_ns;
};

/* Zeroed it is empty.  Texts in it are its own copies. */
struct db_change {
	char **gone_outputs; /* with their marks */
	size_t gone_output_count, gone_output_capacity;
	int64_t *gone_segments; /* with their marks */
	size_t gone_segment_count, gone_segment_capacity;
	struct db_segment *segments;
	size_t segment_count, segment_capacity;
	struct db_mark *marks;
	size_t mark_count, mark_capacity;
	struct db_output *outputs;
	size_t output_count, output_capacity;
};

void db_change_add_gone_output(struct db_change *change, const char *name);
void db_change_add_gone_segment(struct db_change *change, int64_t id);
void db_change_add_segment(struct db_change *change, const struct db_segment *row);
void db_change_add_mark(struct db_change *change, const struct db_mark *row);
void db_change_add_output(struct db_change *change, const struct db_output *row);
/* Empties it, keeps the memory of its arrays. */
void db_change_clear(struct db_change *change);
void db_change_release(struct db_change *change);

#endif

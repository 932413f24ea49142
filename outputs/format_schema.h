/* The names under which a record tells its metadata: what format_ndjson writes around the text.  Pure. */
#ifndef DRAVE_OUTPUTS_FORMAT_SCHEMA_H
#define DRAVE_OUTPUTS_FORMAT_SCHEMA_H

#include <stdbool.h>

#include "common/buf.h"
#include "outputs/format.h"
#include "outputs/record.h"

/* A piece of JSON that is copied whole, whatever its length: there is room behind it. */
#define SCHEMA_WORD_BYTES 64
struct schema_word {
	char text[SCHEMA_WORD_BYTES];
	unsigned char len;
};

/* What stands before a record's text. */
struct schema_head {
	struct schema_word time;      /* up to the time */
	struct schema_word stream[3]; /* from behind the time up to the text, by enum record_stream */
	bool has_nanoseconds;         /* the time is their number since 1970, not as it stands in the file */
};

extern const struct schema_head schema_heads[]; /* by enum metadata_schema */

/* Appends to the members of an open object those that are the same for all records of this file, each behind a
 * comma: what its path tells, and what is known of its pod. */
void schema_add_members(enum metadata_schema schema, const struct source *source, struct buf *out);

#endif

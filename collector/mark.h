/* What is remembered of a log file, and of how far an output got in it. */
#ifndef DRAVE_COLLECTOR_MARK_H
#define DRAVE_COLLECTOR_MARK_H

#include <stdint.h>

/* What a file is, for recognising it after a restart. */
struct segment_key {
	const char *stream; /* "<uid>/<container>/<restart>" */
	uint64_t dev, ino, generation;
	int64_t birth_ns;
	uint64_t first_line_hash;
	uint32_t head_len;  /* at most 256 */
	uint64_t head_hash; /* XXH3-64 of the first head_len bytes */
	const char *path;
};

/* What there is of a stream. */
enum stream_rows {
	STREAM_UNKNOWN,  /* nothing in the database */
	STREAM_FOLLOWED, /* segments, and files have them all */
	STREAM_MISSED,   /* a segment that no file has */
};

struct segment;  /* a file's row, in memory until the file is forgotten */
struct mark_row; /* a mark's row, which outlives the mark */

/* One output's mark in one file; embedded in its cursor. */
struct mark {
	struct segment *segment;
	const char *output;      /* borrowed as long as the mark is attached */
	uint64_t offset;         /* everything before it is acknowledged; moved by its owner, who then calls
				    checkpoint_touch */
	uint64_t size;           /* of the file, as its owner knew it when it moved the offset */
	uint64_t durable_offset; /* of the last finished commit */
	uint64_t synced_offset;  /* of the last finished FULL commit */
	/* Fingerprint of the bytes before offset, asked when a commit takes the mark, and when it is
	 * detached; on an error the row gets tail_len 0. */
	int (*describe)(struct mark *mark, uint32_t *ret_len, uint64_t *ret_hash);
	/* A commit that covers durable_offset has ended.  On the loop thread. */
	void (*committed)(struct mark *mark);
	struct mark_row *row; /* private */
};

/* A mark as it stands in its row. */
struct stored_mark {
	uint64_t offset;
	uint32_t tail_len;  /* at most 256; 0 = the bytes before offset could not be read */
	uint64_t tail_hash; /* XXH3-64 of the tail_len bytes before offset */
	uint64_t size;      /* the file's when the mark was taken; 0 = not known */
};

/* What an output had not acknowledged of a file that is gone. */
struct missing {
	const struct segment *segment; /* to tell files apart: two may have had one path */
	const char *output, *path;
	uint64_t offset;
	uint64_t bytes; /* at least */
};

#endif

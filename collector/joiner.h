/* Pieces -> records: joins P...PF chains, one per stream, so that interleaved stdout and stderr stay apart.
 * Pure: time is an argument.
 *
 * Knows nothing of files; the cursor gives it offsets and takes records.  A record whose text would exceed
 * max_record is cut: the text beyond it is dropped, counted in cut_bytes, and the record says truncated. */
#ifndef DRAVE_COLLECTOR_JOINER_H
#define DRAVE_COLLECTOR_JOINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/cri.h"
#include "common/buf.h"
#include "outputs/record.h"

struct chain { /* an unfinished record of one stream; empty: begun is false */
	bool begun;
	bool truncated;
	uint64_t offset;       /* where its first piece begins */
	uint64_t source_bytes; /* of all pieces so far, newlines included */
	uint64_t cut_bytes;    /* of text that max_record kept out so far */
	uint64_t touched_ms;   /* monotonic time of its last piece */
	int64_t time_ns;
	char time[TIMESTAMP_MAX]; /* of the first piece */
	size_t time_len;
	struct buf text;
};

struct joiner {
	struct chain chains[3]; /* by enum record_stream; RECORD_UNKNOWN stays unused */
	size_t max_record;
};

void joiner_init(struct joiner *joiner, size_t max_record);
void joiner_release(struct joiner *joiner);
/* Gives back the memory of finished records, three a file at most: views of them end.  For when nothing more
 * is to be read for now. */
void joiner_trim(struct joiner *joiner);

/* Takes one piece that stands at offset with source_bytes bytes in the file.  True: *ret_record is a whole
 * record (views of the piece or of the chain, valid until the next call); *ret_cut_bytes = text bytes that
 * max_record cut from it.  False: the piece waits in its chain.  A piece that is whole and finds no chain is
 * passed through without a copy. */
bool joiner_take(struct joiner *joiner, const struct piece *piece, uint64_t offset, uint64_t source_bytes,
    uint64_t now_ms, struct record *ret_record, uint64_t *ret_cut_bytes);

/* The oldest chain that was not touched since before_ms (UINT64_MAX: any) as a record with partial = true;
 * false if there is none.  The chain is empty afterwards; call again for the next. */
bool joiner_expire(
    struct joiner *joiner, uint64_t before_ms, struct record *ret_record, uint64_t *ret_cut_bytes);

/* The lowest offset of an open chain, UINT64_MAX if there is none: the mark may not pass it. */
uint64_t joiner_floor(const struct joiner *joiner);
/* Source bytes that wait in open chains: the `partial` term of the account. */
uint64_t joiner_pending_bytes(const struct joiner *joiner);
/* When the oldest open chain was last touched, UINT64_MAX if there is none. */
uint64_t joiner_oldest_touch(const struct joiner *joiner);

#endif

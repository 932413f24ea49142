/* The marks on disk: up to where each output has everything of each file acknowledged.  The door of SQLite.
 *
 * state_dir/checkpoint.db, WAL, user_version 1:
 *   segment(id, stream, dev, ino, generation, birth, first_line_hash, head_len, head_hash, path, seen_at)
 *   mark(output, segment, offset, tail_len, tail_hash)
 *
 * One connection, used by one commit at a time on a worker thread.  Marks that moved are collected on the loop; when a commit ends, the next takes
 * everything that moved since (group commit without a timer), with synchronous=NORMAL (survives kill -9).  Once a second, at stop and when asked
 * (checkpoint_sync), the next commit is FULL (survives a power cut). A commit that fails (disk full, I/O error) is counted, logged and tried again with
 * back-off; marks stay dirty; shipping goes on.
 *
 * A damaged database is moved aside (checkpoint.db.damaged-<time>), counted, and reading begins at the head.  A newer user_version is an error
 * (-EPROTONOSUPPORT, exit 78): never moved aside. */
#ifndef DRAVE_COLLECTOR_CHECKPOINT_H
#define DRAVE_COLLECTOR_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/buf.h"
#include "common/err.h"

struct checkpoint;

/* What a file is, for recognising it after a restart. */
struct segment_key {
	const char *stream; /* "<uid>/<container>/<restart>" */
	uint64_t dev, ino, generation;
	int64_t birth_ns;
	uint64_t first_line_hash;
	uint32_t head_len; /* at most 256 */
	uint64_t head_hash; /* XXH3-64 of the first head_len bytes */
	const char *path;
};

struct segment; /* a row, in memory as long as the checkpoint is open */

/* One output's mark in one file; embedded in its cursor.  One row of table mark. */
struct mark {
	struct segment *segment;
	const char *output;      /* borrowed as long as the mark is attached */
	uint64_t offset;         /* everything before it is acknowledged; moved by its owner, who then calls checkpoint_touch */
	uint64_t durable_offset; /* of the last finished commit */
	uint64_t synced_offset;  /* of the last finished FULL commit */
	/* Fingerprint of the bytes before offset, asked when a commit takes the mark; on an error the row gets tail_len 0. */
	int (*describe)(struct mark *mark, uint32_t *ret_len, uint64_t *ret_hash);
	/* A commit that covers durable_offset has ended.  On the loop thread. */
	void (*committed)(struct mark *mark);
	/* private: */
	bool dirty, in_commit, detached;
	struct mark *prev, *next;
};

struct stored_mark {
	uint64_t offset;
	uint32_t tail_len;
	uint64_t tail_hash;
};

struct checkpoint_stats {
	uint64_t commits, full_commits, failures, damaged;
	bool failing;          /* the last commit failed */
	char last_error[256];
};

/* Opens or makes the database (directory exists, lock held) and loads it. */
int checkpoint_open(struct checkpoint **ret_checkpoint, uv_loop_t *loop, const char *state_dir, struct err *err);

/* Calls visit for each segment of that stream, until it returns true; returns that one, or NULL. The caller compares (identity, head hash). */
struct segment *checkpoint_find(struct checkpoint *checkpoint, const char *stream,
	bool (*is_it)(void *arg, const struct segment_key *stored), void *arg);
/* A new segment; its row is written with the next commit that touches one of its marks. */
struct segment *checkpoint_add(struct checkpoint *checkpoint, const struct segment_key *key);
/* The path, inode or a longer head of a known segment changed. */
void checkpoint_update(struct checkpoint *checkpoint, struct segment *segment, const struct segment_key *key);
/* The file is gone and done for all outputs: its rows go with the next commit.  Marks on it must be detached. */
void checkpoint_forget(struct checkpoint *checkpoint, struct segment *segment);

/* Has this output any row at all? (read_from applies only if not.) */
bool checkpoint_knows(struct checkpoint *checkpoint, const char *output);
/* The stored mark of this output in this segment; false if there is none. */
bool checkpoint_load(struct checkpoint *checkpoint, struct segment *segment, const char *output, struct stored_mark *ret_stored);

void checkpoint_attach(struct checkpoint *checkpoint, struct mark *mark);
/* After it the mark may be freed (a commit that has it under way keeps its own copy of the values).  Its row stays. */
void checkpoint_detach(struct checkpoint *checkpoint, struct mark *mark);
/* mark->offset moved: it goes into the next commit, which starts at once if none is under way. */
void checkpoint_touch(struct checkpoint *checkpoint, struct mark *mark);
/* The next commit shall be FULL (a held file is to be let go); starts one even if nothing moved since the last NORMAL one. */
void checkpoint_sync(struct checkpoint *checkpoint);
/* Commits everything FULL, then calls done(arg, 0 or -errno), once, later. */
void checkpoint_flush(struct checkpoint *checkpoint, void (*done)(void *arg, int status), void *arg);

/* Outputs of the present configuration; rows of others go 7 days after they were last here, segments whose files were not seen for 7 days too. */
void checkpoint_retire(struct checkpoint *checkpoint, const char *const *outputs, size_t output_count, int64_t now_ns);

const struct checkpoint_stats *checkpoint_stats(const struct checkpoint *checkpoint);
/* After checkpoint_flush ended; closes the database. */
void checkpoint_close(struct checkpoint *checkpoint);
const char *checkpoint_library(void);

#endif

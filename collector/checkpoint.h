/* The marks on disk: up to where each output has everything of each file acknowledged.  The database itself
 * is collector/checkpoint_db.h.
 *
 * Marks that moved are collected on the loop; one commit at most is under way, on a worker; when it ends, the
 * next takes everything that moved since (group commit without a timer), with synchronous=NORMAL (survives
 * kill -9).  About once a second, at stop and when asked (checkpoint_sync), the next commit is FULL (survives
 * a power cut).  A commit that fails (disk full, I/O error) is counted, logged once and tried again with
 * back-off; marks stay dirty; shipping goes on.
 *
 * A damaged database is moved aside (checkpoint.db.damaged-<time>), counted, and reading begins at the head:
 * every output is known then (checkpoint_knows).  A newer user_version is an error (-EPROTONOSUPPORT, exit
 * 78): never moved aside. */
#ifndef DRAVE_COLLECTOR_CHECKPOINT_H
#define DRAVE_COLLECTOR_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "collector/mark.h"
#include "common/err.h"

struct checkpoint;

struct checkpoint_stats {
	uint64_t commits, full_commits, failures, damaged;
	bool failing; /* the last commit failed */
	char last_error[256];
};

/* Opens or makes the database (directory exists, lock held) and loads it. */
int checkpoint_open(
    struct checkpoint **ret_checkpoint, uv_loop_t *loop, const char *state_dir, struct err *err);

/* Asks is_it for each segment of that stream that no one has got yet, newest row first, until it returns
 * true; returns that one, or NULL.  The caller compares (identity, head hash).  A segment is given out once,
 * here or by checkpoint_add, until it is released: two files with the same head are two segments. */
struct segment *checkpoint_find(struct checkpoint *checkpoint, const char *stream,
    bool (*is_it)(void *arg, const struct segment_key *stored), void *arg);
enum stream_rows checkpoint_stream(struct checkpoint *checkpoint, const char *stream);
/* A new segment; its row is written with the next commit that touches one of its marks. */
struct segment *checkpoint_add(struct checkpoint *checkpoint, const struct segment_key *key);
/* The path, inode or a longer head of a known segment changed: written within a second, if its row was ever
 * written. */
void checkpoint_update(struct checkpoint *checkpoint, struct segment *segment, const struct segment_key *key);
/* The file is gone and done for all outputs: its rows go within a second.  Marks on it must be detached. */
void checkpoint_forget(struct checkpoint *checkpoint, struct segment *segment);

/* Nobody follows the file any more, but it is there: its rows stay, and it can be found again.  Marks on it
 * must be detached. */
void checkpoint_release(struct checkpoint *checkpoint, struct segment *segment);

/* After the first look: visits each mark of the configured outputs in files that were not found although
 * is_wanted says that the output wants them, if something of them was lost: bytes that were known, or, where
 * other files of the stream are there, the rest of a file that was live when it was last seen.  Each is
 * visited in one run only: the row goes if its stream is still there, and stays if the whole stream may come
 * back. */
void checkpoint_missing(struct checkpoint *checkpoint,
    bool (*is_wanted)(void *arg, const char *output, const char *path),
    void (*visit)(void *arg, const struct missing *missing), void *arg);

/* Has this output been here before? (read_from applies only if not.)  Yes if it has any mark, or was named to
 * checkpoint_retire before the last time, or a damaged database was set aside in the last 7 days. */
bool checkpoint_knows(struct checkpoint *checkpoint, const char *output);
/* The stored mark of this output in this segment; false if there is none. */
bool checkpoint_load(struct checkpoint *checkpoint, struct segment *segment, const char *output,
    struct stored_mark *ret_stored);

/* One mark at most for an output in a segment.  If its offset is not the one stored, it goes into the next
 * commit. */
void checkpoint_attach(struct checkpoint *checkpoint, struct mark *mark);
/* After it the mark may be freed (a commit that has it under way keeps its own copy of the values).  Its row
 * stays. */
void checkpoint_detach(struct checkpoint *checkpoint, struct mark *mark);
/* mark->offset moved: it goes into the next commit, which starts at once if none is under way. */
void checkpoint_touch(struct checkpoint *checkpoint, struct mark *mark);
/* The next commit shall be FULL (a held file is to be let go); starts one even if nothing moved since the
 * last NORMAL one. */
void checkpoint_sync(struct checkpoint *checkpoint);
/* Commits everything FULL, at once and once, then calls done(arg, 0 or -errno), later.  One at a time. */
void checkpoint_flush(struct checkpoint *checkpoint, void (*done)(void *arg, int status), void *arg);

/* Outputs of the present configuration; rows of others go 7 days after they were last here, segments whose
 * files were not seen for 7 days too.  Days on which no collector ran do not count. */
void checkpoint_retire(
    struct checkpoint *checkpoint, const char *const *outputs, size_t output_count, int64_t now_ns);

const struct checkpoint_stats *checkpoint_stats(const struct checkpoint *checkpoint);
/* After checkpoint_flush ended, also from its done; closes the database.  Marks must be detached. */
void checkpoint_close(struct checkpoint *checkpoint);
const char *checkpoint_library(void);

#endif

/* The checkpoint's rows in memory: all of them, and which ones the database does not have yet.  No loop, no
 * database: collector/checkpoint.c says when and carries the changes over.
 *
 * A change is taken, written elsewhere, and then either settled or restored; one at most is taken at a time.
 */
#ifndef DRAVE_COLLECTOR_ROWS_H
#define DRAVE_COLLECTOR_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/checkpoint_db.h"
#include "collector/mark.h"

struct rows;

struct rows *rows_new(void);
/* Marks must be detached. */
void rows_free(struct rows *rows);

/* Fills empty rows from the database. */
struct db_reader rows_reader(struct rows *rows);
/* After reading: moves all seen_at so that the newest one is now.  Time without a collector makes nothing
 * old. */
void rows_skip_absence(struct rows *rows, int64_t now_ns);

/* What checkpoint.h says of the functions of the same name. */
struct segment *rows_find(struct rows *rows, const char *stream,
    bool (*is_it)(void *arg, const struct segment_key *stored), void *arg, int64_t now_ns);
enum stream_rows rows_of_stream(struct rows *rows, const char *stream);
struct segment *rows_add(struct rows *rows, const struct segment_key *key, int64_t now_ns);
void rows_update(struct rows *rows, struct segment *segment, const struct segment_key *key);
void rows_forget(struct rows *rows, struct segment *segment);
void rows_release(struct rows *rows, struct segment *segment);
bool rows_knows(struct rows *rows, const char *output);
bool rows_load(const struct segment *segment, const char *output, struct stored_mark *ret_stored);
void rows_attach(struct rows *rows, struct mark *mark, int64_t now_ns);
void rows_detach(struct mark *mark);
void rows_touch(struct rows *rows, struct mark *mark);
void rows_retire(struct rows *rows, const char *const *outputs, size_t output_count, int64_t now_ns);

/* What checkpoint.h says of checkpoint_missing. */
void rows_missing(struct rows *rows, bool (*is_wanted)(void *arg, const char *output, const char *path),
    void (*visit)(void *arg, const struct missing *missing), void *arg);
/* Files and outputs that are here now were seen now. */
void rows_refresh(struct rows *rows, int64_t now_ns);
/* The database lost everything: all that it had is to be written again. */
void rows_spoil(struct rows *rows);

/* What the database does not have yet: marks that moved; marks that a power cut may take back; rows that only
 * people and the next start want. */
bool rows_moved(const struct rows *rows);
bool rows_unsynced(const struct rows *rows);
bool rows_lazy(const struct rows *rows);

/* A copy of what the database has to learn, valid until it is settled or restored, whatever happens to the
 * rows meanwhile. To be written FULL, it has at least one row if anything is unsynced, because a transaction
 * that writes nothing syncs nothing. */
const struct db_change *rows_take(struct rows *rows, bool is_full);
/* It was written: tells the marks. */
void rows_settle(struct rows *rows, bool is_full);
/* It was not: all of it is dirty again. */
void rows_restore(struct rows *rows);

#endif

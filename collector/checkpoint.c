/* Checkpoint: the marks that moved, on their way to the disk.
 *
 * The last stage on the way home: ledgers move marks, rows (collector/rows.c) remember which ones the
 * database does not have yet, and the checkpoint says when the next commit is due and carries it to a worker
 * and back.
 *
 *   idle --due--> committing (worker) --well--> idle
 *                     |                          ^
 *                     +--failed--> waiting --due-+
 *
 * Owns the rows and the connection, which it lends to the worker as long as a commit is under way; the worker
 * sees copies only.  When the next commit is due is one pure decision (due_in_ms) behind one timer.  If what
 * the database has can no longer be trusted, the next commit sets it aside and writes all rows into a new
 * one.  Decides nothing about marks. */
#include "config.h"
#include "collector/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/checkpoint_db.h"
#include "collector/rows.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE "checkpoint"

#define FULL_INTERVAL_MS    1000
#define REFRESH_INTERVAL_MS 3600000 /* of seen_at */
#define RETRY_MIN_MS        100
#define RETRY_MAX_MS        30000
#define NEVER_MS            UINT64_MAX

#define CHECKPOINT_MAGIC MAGIC('C', 'K', 'P', 'T')

/* What the worker has. */
struct commit {
	const struct db_change *change;
	bool is_full;
	bool is_whole; /* into a new database */
	int status;
	struct err err;
};

struct checkpoint {
	unsigned magic;
	uv_loop_t *loop;
	char *state_dir;
	struct rows *rows;
	struct checkpoint_db
	    *db; /* the worker's while is_committing; NULL if the last try to make a new one failed */
	uv_timer_t timer;
	uv_work_t work;
	struct commit commit;
	bool is_committing;
	bool is_broken; /* the next commit is whole */
	bool sync_wanted;
	bool is_flushing; /* the commit under way is the flush */
	uint64_t full_ms; /* when the last FULL commit began */
	uint64_t refresh_ms, retry_ms, failing_since_ms;
	unsigned failed_tries;
	void (*flushed)(void *arg, int status); /* NULL: no flush is wanted */
	void *flushed_arg;
	struct checkpoint_stats stats;
};

static struct checkpoint *checkpoint_of(void *data)
{
	struct checkpoint *checkpoint = data;

	must(checkpoint->magic == CHECKPOINT_MAGIC);
	return checkpoint;
}

/* ---- when ------------------------------------------------------------------------------------- */

static uint64_t until(uint64_t time_ms, uint64_t now_ms)
{
	return time_ms > now_ms ? time_ms - now_ms : 0;
}

static uint64_t sooner(uint64_t a_ms, uint64_t b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

/* In how many milliseconds the next commit is due; NEVER_MS while one is under way. */
static uint64_t due_in_ms(const struct checkpoint *checkpoint, uint64_t now_ms)
{
	uint64_t due_ms = until(checkpoint->refresh_ms, now_ms);

	if (checkpoint->is_committing)
		return NEVER_MS;
	if (checkpoint->flushed != NULL)
		return 0;
	if (checkpoint->failed_tries > 0)
		return until(checkpoint->retry_ms, now_ms);
	if (rows_moved(checkpoint->rows))
		return 0;
	if (rows_unsynced(checkpoint->rows) && checkpoint->sync_wanted)
		return 0;
	if (rows_unsynced(checkpoint->rows) || rows_lazy(checkpoint->rows))
		due_ms = sooner(due_ms, until(checkpoint->full_ms + FULL_INTERVAL_MS, now_ms));
	return due_ms;
}

static void on_due(uv_timer_t *timer);

/* Even what is due now begins in the loop's next turn: by then an answer that acknowledges many spans has
 * moved all its marks. */
static void schedule(struct checkpoint *checkpoint)
{
	uint64_t due_ms = due_in_ms(checkpoint, clock_monotonic_ms());

	if (due_ms == NEVER_MS)
		must(uv_timer_stop(&checkpoint->timer) == 0);
	else
		must(uv_timer_start(&checkpoint->timer, on_due, due_ms, 0) == 0);
}

/* ---- a commit --------------------------------------------------------------------------------- */

static bool refuse_segment(void *arg, const struct db_segment *row)
{
	(void)arg;
	(void)row;
	return false;
}

static bool refuse_mark(void *arg, const struct db_mark *row)
{
	(void)arg;
	(void)row;
	return false;
}

static bool accept_any_output(void *arg, const struct db_output *row)
{
	(void)arg;
	return strcmp(row->name, CHECKPOINT_ANY_OUTPUT) == 0;
}

/* On the worker: a new database, which can only have the row that says that the old one was set aside. */
static int begin_anew(struct checkpoint *checkpoint, struct err *err)
{
	const struct db_reader reader = {
	    .segment = refuse_segment, .mark = refuse_mark, .output = accept_any_output};
	char name[ASIDE_NAME_BYTES];
	int status;

	checkpoint_db_close(checkpoint->db);
	checkpoint->db = NULL;
	status = checkpoint_db_set_aside(checkpoint->state_dir, name, err);
	return status != 0 ? status
			   : checkpoint_db_open(&checkpoint->db, checkpoint->state_dir, &reader, err);
}

/* On the worker, which has the connection and the copies and touches nothing else. */
static void write_commit(uv_work_t *work)
{
	struct checkpoint *checkpoint = checkpoint_of(work->data);
	struct commit *commit = &checkpoint->commit;

	commit->status = commit->is_whole ? begin_anew(checkpoint, &commit->err) : 0;
	if (commit->status == 0)
		commit->status =
		    checkpoint_db_write(checkpoint->db, commit->change, commit->is_full, &commit->err);
}

static void on_written(uv_work_t *work, int status);

static void begin_commit(struct checkpoint *checkpoint)
{
	struct commit *commit = &checkpoint->commit;
	uint64_t now_ms = clock_monotonic_ms();

	must(!checkpoint->is_committing);
	if (now_ms >= checkpoint->refresh_ms) {
		rows_refresh(checkpoint->rows, clock_wall_ns());
		checkpoint->refresh_ms = now_ms + REFRESH_INTERVAL_MS;
	}
	if (checkpoint->is_broken)
		rows_spoil(checkpoint->rows);
	commit->is_whole = checkpoint->is_broken;
	commit->is_full = checkpoint->is_broken || checkpoint->sync_wanted || checkpoint->flushed != NULL ||
			  now_ms >= checkpoint->full_ms + FULL_INTERVAL_MS;
	commit->change = rows_take(checkpoint->rows, commit->is_full);
	if (commit->is_full) {
		checkpoint->full_ms = now_ms;
		checkpoint->sync_wanted = false;
	}
	checkpoint->is_flushing = checkpoint->flushed != NULL;
	checkpoint->is_committing = true;
	must(uv_queue_work(checkpoint->loop, &checkpoint->work, write_commit, on_written) == 0);
}

static void on_due(uv_timer_t *timer)
{
	begin_commit(checkpoint_of(timer->data));
}

/* ---- its end ---------------------------------------------------------------------------------- */

/* After these the same database is tried again; after all others it is not what it was. */
static bool is_passing(int status)
{
	return status == -ENOSPC || status == -EBUSY;
}

static void note_failure(struct checkpoint *checkpoint)
{
	const struct commit *commit = &checkpoint->commit;
	uint64_t now_ms = clock_monotonic_ms();

	if (checkpoint->failed_tries++ == 0) {
		checkpoint->failing_since_ms = now_ms;
		log_error("cannot write the checkpoint, trying again; what is acknowledged meanwhile is sent "
			  "again after a restart",
		    "error=%s", log_quote(commit->err.text));
	}
	if (!is_passing(commit->status) && !checkpoint->is_broken) {
		checkpoint->is_broken = true;
		checkpoint->stats.damaged += commit->status == -EUCLEAN;
		log_error(
		    "the checkpoint is broken, writing a new one", "error=%s", log_quote(commit->err.text));
	}
	checkpoint->retry_ms = now_ms + backoff_ms(checkpoint->failed_tries, RETRY_MIN_MS, RETRY_MAX_MS,
					    (uintptr_t)checkpoint ^ now_ms);
	checkpoint->stats.failures++;
	checkpoint->stats.failing = true;
	snprintf(checkpoint->stats.last_error, sizeof checkpoint->stats.last_error, "%.*s",
	    (int)sizeof checkpoint->stats.last_error - 1, commit->err.text);
}

static void note_success(struct checkpoint *checkpoint)
{
	if (checkpoint->failed_tries > 0)
		log_info("the checkpoint is written again", "failed_tries=%u failing_ms=%" PRIu64,
		    checkpoint->failed_tries, clock_monotonic_ms() - checkpoint->failing_since_ms);
	checkpoint->failed_tries = 0;
	checkpoint->is_broken = false;
	checkpoint->stats.failing = false;
	checkpoint->stats.commits++;
	checkpoint->stats.full_commits += checkpoint->commit.is_full;
}

/* The callback may close the checkpoint. */
static void tell_flushed(struct checkpoint *checkpoint)
{
	void (*flushed)(void *arg, int status) = checkpoint->flushed;

	checkpoint->flushed = NULL;
	checkpoint->is_flushing = false;
	schedule(checkpoint);
	flushed(checkpoint->flushed_arg, checkpoint->commit.status);
}

static void on_written(uv_work_t *work, int status)
{
	struct checkpoint *checkpoint = checkpoint_of(work->data);

	must(status == 0); /* it is never cancelled */
	checkpoint->is_committing = false;
	if (checkpoint->commit.status == 0) {
		note_success(checkpoint);
		rows_settle(checkpoint->rows, checkpoint->commit.is_full);
	} else {
		note_failure(checkpoint);
		checkpoint->sync_wanted = checkpoint->sync_wanted || checkpoint->commit.is_full;
		rows_restore(checkpoint->rows);
	}
	if (checkpoint->is_flushing)
		tell_flushed(checkpoint);
	else
		schedule(checkpoint);
}

/* ---- what the collector calls ----------------------------------------------------------------- */

struct segment *checkpoint_find(struct checkpoint *checkpoint, const char *stream,
    bool (*is_it)(void *arg, const struct segment_key *stored), void *arg)
{
	return rows_find(checkpoint->rows, stream, is_it, arg, clock_wall_ns());
}

enum stream_rows checkpoint_stream(struct checkpoint *checkpoint, const char *stream)
{
	return rows_of_stream(checkpoint->rows, stream);
}

struct segment *checkpoint_add(struct checkpoint *checkpoint, const struct segment_key *key)
{
	return rows_add(checkpoint->rows, key, clock_wall_ns());
}

void checkpoint_update(struct checkpoint *checkpoint, struct segment *segment, const struct segment_key *key)
{
	rows_update(checkpoint->rows, segment, key);
	schedule(checkpoint);
}

void checkpoint_forget(struct checkpoint *checkpoint, struct segment *segment)
{
	rows_forget(checkpoint->rows, segment);
	schedule(checkpoint);
}

void checkpoint_release(struct checkpoint *checkpoint, struct segment *segment)
{
	rows_release(checkpoint->rows, segment);
}

void checkpoint_missing(struct checkpoint *checkpoint,
    bool (*is_wanted)(void *arg, const char *output, const char *path),
    void (*visit)(void *arg, const struct missing *missing), void *arg)
{
	rows_missing(checkpoint->rows, is_wanted, visit, arg);
	schedule(checkpoint);
}

bool checkpoint_knows(struct checkpoint *checkpoint, const char *output)
{
	return rows_knows(checkpoint->rows, output);
}

bool checkpoint_load(struct checkpoint *checkpoint, struct segment *segment, const char *output,
    struct stored_mark *ret_stored)
{
	(void)checkpoint;
	return rows_load(segment, output, ret_stored);
}

void checkpoint_attach(struct checkpoint *checkpoint, struct mark *mark)
{
	rows_attach(checkpoint->rows, mark, clock_wall_ns());
	schedule(checkpoint);
}

void checkpoint_detach(struct checkpoint *checkpoint, struct mark *mark)
{
	must(checkpoint->magic == CHECKPOINT_MAGIC);
	rows_detach(mark);
}

void checkpoint_touch(struct checkpoint *checkpoint, struct mark *mark)
{
	bool had_moved = rows_moved(checkpoint->rows);

	rows_touch(checkpoint->rows, mark);
	if (!had_moved)
		schedule(checkpoint);
}

void checkpoint_sync(struct checkpoint *checkpoint)
{
	if (checkpoint->sync_wanted)
		return;
	checkpoint->sync_wanted = true;
	schedule(checkpoint);
}

void checkpoint_flush(struct checkpoint *checkpoint, void (*done)(void *arg, int status), void *arg)
{
	must(checkpoint->flushed == NULL && done != NULL);
	checkpoint->flushed = done;
	checkpoint->flushed_arg = arg;
	schedule(checkpoint);
}

void checkpoint_retire(
    struct checkpoint *checkpoint, const char *const *outputs, size_t output_count, int64_t now_ns)
{
	rows_retire(checkpoint->rows, outputs, output_count, now_ns);
	schedule(checkpoint);
}

const struct checkpoint_stats *checkpoint_stats(const struct checkpoint *checkpoint)
{
	return &checkpoint->stats;
}

const char *checkpoint_library(void)
{
	return checkpoint_db_library();
}

/* ---- life ------------------------------------------------------------------------------------- */

static int open_db(struct checkpoint *checkpoint, struct err *err)
{
	struct db_reader reader;

	rows_free(checkpoint->rows);
	checkpoint->rows = rows_new();
	reader = rows_reader(checkpoint->rows);
	return checkpoint_db_open(&checkpoint->db, checkpoint->state_dir, &reader, err);
}

/* A bad disk is met like bad content: with a new file.  If that does not work either, it is told. */
static bool is_damage(int status)
{
	return status == -EUCLEAN || status == -EIO || status == -ESTALE;
}

static int open_again(struct checkpoint *checkpoint, struct err *err)
{
	char name[ASIDE_NAME_BYTES];
	char *reason = xstrdup(err->text);
	int status = checkpoint_db_set_aside(checkpoint->state_dir, name, err);

	if (status == 0) {
		checkpoint->stats.damaged++;
		log_error("the checkpoint is damaged, reading all files from their heads",
		    "error=%s moved_to=%s", log_quote(reason), log_quote(name));
		status = open_db(checkpoint, err);
	}
	free(reason);
	return status;
}

static void free_checkpoint(struct checkpoint *checkpoint)
{
	rows_free(checkpoint->rows);
	free(checkpoint->state_dir);
	checkpoint->magic = 0;
	free(checkpoint);
}

int checkpoint_open(
    struct checkpoint **ret_checkpoint, uv_loop_t *loop, const char *state_dir, struct err *err)
{
	struct checkpoint *checkpoint = x_new(checkpoint);
	struct err sentence = {0};
	int status;

	checkpoint->magic = CHECKPOINT_MAGIC;
	checkpoint->loop = loop;
	checkpoint->state_dir = xstrdup(state_dir);
	checkpoint->work.data = checkpoint;
	status = open_db(checkpoint, &sentence);
	if (is_damage(status))
		status = open_again(checkpoint, &sentence);
	if (status != 0) {
		free_checkpoint(checkpoint);
		return err_set(err, status, "%s", sentence.text);
	}
	rows_skip_absence(checkpoint->rows, clock_wall_ns());
	checkpoint->full_ms = clock_monotonic_ms();
	checkpoint->refresh_ms = checkpoint->full_ms + REFRESH_INTERVAL_MS;
	must(uv_timer_init(loop, &checkpoint->timer) == 0);
	checkpoint->timer.data = checkpoint;
	schedule(checkpoint);
	*ret_checkpoint = checkpoint;
	return 0;
}

static void on_closed(uv_handle_t *timer)
{
	free_checkpoint(checkpoint_of(timer->data));
}

void checkpoint_close(struct checkpoint *checkpoint)
{
	must(!checkpoint->is_committing && checkpoint->flushed == NULL);
	checkpoint_db_close(checkpoint->db);
	checkpoint->db = NULL;
	uv_close((uv_handle_t *)&checkpoint->timer, on_closed);
}

/* Rows: the checkpoint in memory.
 *
 *   mark_row:  dirty --taken--> in the change --settled--> unsynced --a FULL one settled--> synced
 *                ^                    |
 *                +-----restored-------+
 *
 * Stands between the marks, which move, and the database, which follows.  Owns the rows of segments, marks
 * and outputs, and the copies in a change.  A row that goes stays in memory until a change that deletes it
 * was settled: until then an earlier change may still name it.
 *
 * Refuses to move a mark back: what an output acknowledged stays acknowledged, unless a mark is attached at
 * another offset, which says that the file is another one.  Because all rows are here, a database that breaks
 * while it is in use can be written anew. */
#include "config.h"
#include "collector/rows.h"

#include <stdlib.h>
#include <string.h>

#include "collector/rows_inside.h"
#include "common/must.h"
#include "common/table.h"

/* ---- outputs ---------------------------------------------------------------------------------- */

struct known_output *rows_find_output(struct rows *rows, const char *name)
{
	struct known_output *output;

	HASH_FIND_STR(rows->outputs, name, output);
	return output;
}

struct known_output *rows_get_output(struct rows *rows, const char *name)
{
	struct known_output *output = rows_find_output(rows, name);

	if (output != NULL)
		return output;
	output = x_new(output);
	output->name = xstrdup(name);
	HASH_ADD_KEYPTR(hh, rows->outputs, output->name, strlen(output->name), output);
	return output;
}

void rows_see_output(struct rows *rows, struct known_output *output, int64_t now_ns)
{
	output->seen_at_ns = now_ns;
	output->is_dirty = true;
	rows->is_lazy = true;
}

static void free_mark_rows(struct mark_row *first)
{
	struct mark_row *row, *next;

	LL_FOREACH_SAFE (first, row, next) {
		must(row->mark == NULL);
		free(row);
	}
}

static void free_output(struct known_output *output)
{
	free_mark_rows(output->dropped);
	free(output->name);
	free(output);
}

/* ---- segments --------------------------------------------------------------------------------- */

struct stream *rows_find_stream(struct rows *rows, const char *name)
{
	struct stream *stream;

	HASH_FIND_STR(rows->streams, name, stream);
	return stream;
}

static struct stream *get_stream(struct rows *rows, const char *name)
{
	struct stream *stream = rows_find_stream(rows, name);

	if (stream != NULL)
		return stream;
	stream = x_new(stream);
	stream->name = xstrdup(name);
	HASH_ADD_KEYPTR(hh, rows->streams, stream->name, strlen(stream->name), stream);
	return stream;
}

static void free_text(const char *text)
{
	free((char *)(uintptr_t)text);
}

/* All of key but its stream, which a segment never changes. */
static void set_key(struct segment *segment, const struct segment_key *key)
{
	const char *old_path = segment->key.path;

	segment->key = *key;
	segment->key.stream = segment->stream->name;
	segment->key.path = xstrdup(key->path);
	free_text(old_path);
}

static struct segment *make_segment(
    struct rows *rows, int64_t id, const struct segment_key *key, int64_t seen_at_ns)
{
	struct segment *segment = x_new(segment);

	segment->id = id;
	segment->seen_at_ns = seen_at_ns;
	segment->stream = get_stream(rows, key->stream);
	set_key(segment, key);
	DL_PREPEND(segment->stream->segments, segment);
	HASH_ADD(hh, rows->segments, id, sizeof segment->id, segment);
	if (id >= rows->next_id)
		rows->next_id = id + 1;
	return segment;
}

static void free_segment(struct segment *segment)
{
	free_mark_rows(segment->rows);
	free_text(segment->key.path);
	free(segment);
}

void rows_dirty_segment(struct rows *rows, struct segment *segment)
{
	if (segment->is_dirty)
		return;
	segment->is_dirty = true;
	DL_APPEND2(rows->dirty_segments, segment, dirty_prev, dirty_next);
}

static void clean_segment(struct rows *rows, struct segment *segment)
{
	if (!segment->is_dirty)
		return;
	segment->is_dirty = false;
	DL_DELETE2(rows->dirty_segments, segment, dirty_prev, dirty_next);
}

/* Out of sight; the stream goes with its last segment. */
static void hide_segment(struct rows *rows, struct segment *segment)
{
	struct stream *stream = segment->stream;

	HASH_DEL(rows->segments, segment);
	DL_DELETE(stream->segments, segment);
	segment->stream = NULL;
	segment->key.stream = NULL;
	if (stream->segments != NULL)
		return;
	HASH_DEL(rows->streams, stream);
	free(stream->name);
	free(stream);
}

/* ---- marks ------------------------------------------------------------------------------------ */

struct mark_row *rows_find_row(const struct segment *segment, const char *output)
{
	struct mark_row *row;

	LL_FOREACH (segment->rows, row)
		if (strcmp(row->output->name, output) == 0)
			return row;
	return NULL;
}

static struct mark_row *add_row(struct segment *segment, struct known_output *output)
{
	struct mark_row *row = x_new(row);

	row->segment = segment;
	row->output = output;
	LL_PREPEND(segment->rows, row);
	return row;
}

void rows_dirty_row(struct rows *rows, struct mark_row *row)
{
	row->has_value = true;
	if (!row->segment->is_stored)
		rows_dirty_segment(rows, row->segment);
	if (row->is_dirty)
		return;
	row->is_dirty = true;
	DL_APPEND2(rows->dirty, row, dirty_prev, dirty_next);
}

static void clean_row(struct rows *rows, struct mark_row *row)
{
	if (!row->is_dirty)
		return;
	row->is_dirty = false;
	DL_DELETE2(rows->dirty, row, dirty_prev, dirty_next);
}

static void unsync_row(struct rows *rows, struct mark_row *row)
{
	if (row->is_unsynced)
		return;
	row->is_unsynced = true;
	DL_APPEND2(rows->unsynced, row, unsynced_prev, unsynced_next);
}

static void sync_row(struct rows *rows, struct mark_row *row)
{
	if (!row->is_unsynced)
		return;
	row->is_unsynced = false;
	DL_DELETE2(rows->unsynced, row, unsynced_prev, unsynced_next);
}

void rows_lose_row(struct rows *rows, struct mark_row *row)
{
	must(row->mark == NULL);
	row->is_gone = true;
	clean_row(rows, row);
	sync_row(rows, row);
}

/* What the mark says now, with the fingerprint of the bytes before it. */
static void take_value(struct mark_row *row)
{
	struct stored_mark value = {.offset = row->mark->offset, .size = row->mark->size};

	if (row->mark->describe(row->mark, &value.tail_len, &value.tail_hash) != 0) {
		value.tail_len = 0;
		value.tail_hash = 0;
	}
	row->value = value;
}

/* ---- life ------------------------------------------------------------------------------------- */

struct rows *rows_new(void)
{
	struct rows *rows = x_new(rows);

	rows->next_id = 1;
	return rows;
}

void rows_free(struct rows *rows)
{
	struct known_output *output, *next_output;
	struct segment *segment, *next;

	if (rows == NULL)
		return;
	must(!rows->is_taken);
	HASH_ITER (hh, rows->segments, segment, next) {
		hide_segment(rows, segment);
		free_segment(segment);
	}
	DL_FOREACH_SAFE (rows->gone_segments, segment, next)
		free_segment(segment);
	HASH_ITER (hh, rows->outputs, output, next_output) {
		HASH_DEL(rows->outputs, output);
		free_output(output);
	}
	DL_FOREACH_SAFE (rows->gone_outputs, output, next_output)
		free_output(output);
	db_change_release(&rows->change);
	free(rows);
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* Rows come in the order of their ids, so the one with the highest is first in its stream. */
static bool read_segment(void *arg, const struct db_segment *row)
{
	struct rows *rows = arg;
	struct segment *segment;

	if (row->id < rows->next_id || row->id == INT64_MAX)
		return false;
	segment = make_segment(rows, row->id, &row->key, row->seen_at_ns);
	segment->is_stored = segment->is_old = true;
	return true;
}

static bool read_mark(void *arg, const struct db_mark *row)
{
	struct rows *rows = arg;
	struct segment *segment;
	struct mark_row *mark_row;

	HASH_FIND(hh, rows->segments, &row->segment, sizeof row->segment, segment);
	if (segment == NULL || rows_find_row(segment, row->output) != NULL)
		return false;
	mark_row = add_row(segment, rows_get_output(rows, row->output));
	mark_row->has_value = true;
	mark_row->value = row->value;
	mark_row->durable_offset = row->value.offset;
	return true;
}

static bool read_output(void *arg, const struct db_output *row)
{
	struct rows *rows = arg;

	rows_get_output(rows, row->name)->seen_at_ns = row->seen_at_ns;
	return true;
}

struct db_reader rows_reader(struct rows *rows)
{
	return (struct db_reader){
	    .segment = read_segment, .mark = read_mark, .output = read_output, .arg = rows};
}

/* ---- what the collector does ------------------------------------------------------------------ */

struct segment *rows_find(struct rows *rows, const char *name,
    bool (*is_it)(void *arg, const struct segment_key *stored), void *arg, int64_t now_ns)
{
	struct stream *stream = rows_find_stream(rows, name);
	struct segment *segment;

	if (stream == NULL)
		return NULL;
	DL_FOREACH (stream->segments, segment)
		if (!segment->is_claimed && is_it(arg, &segment->key))
			break;
	if (segment == NULL)
		return NULL;
	segment->is_claimed = true;
	segment->seen_at_ns = now_ns;
	return segment;
}

enum stream_rows rows_of_stream(struct rows *rows, const char *name)
{
	const struct stream *stream = rows_find_stream(rows, name);
	enum stream_rows found = STREAM_UNKNOWN;
	const struct segment *segment;

	if (stream == NULL)
		return STREAM_UNKNOWN;
	DL_FOREACH (stream->segments, segment) {
		if (!segment->is_claimed)
			return STREAM_MISSED;
		if (segment->is_stored)
			found = STREAM_FOLLOWED;
	}
	return found;
}

struct segment *rows_add(struct rows *rows, const struct segment_key *key, int64_t now_ns)
{
	struct segment *segment = make_segment(rows, rows->next_id, key, now_ns);

	segment->is_claimed = true;
	return segment;
}

void rows_update(struct rows *rows, struct segment *segment, const struct segment_key *key)
{
	const struct segment_key *old = &segment->key;

	must(!segment->is_gone && strcmp(old->stream, key->stream) == 0);
	if (old->dev == key->dev && old->ino == key->ino && old->generation == key->generation &&
	    old->birth_ns == key->birth_ns && old->first_line_hash == key->first_line_hash &&
	    old->head_len == key->head_len && old->head_hash == key->head_hash &&
	    strcmp(old->path, key->path) == 0)
		return;
	set_key(segment, key);
	if (!segment->is_stored)
		return;
	rows_dirty_segment(rows, segment);
	rows->is_lazy = true;
}

/* Out of sight at once; its memory goes when a change that deletes it was settled. */
void rows_lose_segment(struct rows *rows, struct segment *segment)
{
	struct mark_row *row;

	LL_FOREACH (segment->rows, row)
		rows_lose_row(rows, row);
	clean_segment(rows, segment);
	hide_segment(rows, segment);
	segment->is_gone = true;
	if (!segment->is_stored) {
		free_segment(segment);
		return;
	}
	DL_APPEND(rows->gone_segments, segment);
	rows->is_lazy = true;
}

void rows_forget(struct rows *rows, struct segment *segment)
{
	must(segment->is_claimed && !segment->is_gone);
	rows_lose_segment(rows, segment);
}

void rows_release(struct rows *rows, struct segment *segment)
{
	const struct mark_row *row;
	bool has_value = false;

	must(segment->is_claimed && !segment->is_gone);
	LL_FOREACH (segment->rows, row) {
		must(row->mark == NULL);
		has_value = has_value || row->has_value;
	}
	segment->is_claimed = false;
	if (!has_value)
		rows_lose_segment(rows, segment);
}

bool rows_knows(struct rows *rows, const char *name)
{
	const struct known_output *output = rows_find_output(rows, name);

	return (output != NULL && !output->is_new) || rows_find_output(rows, CHECKPOINT_ANY_OUTPUT) != NULL;
}

bool rows_load(const struct segment *segment, const char *output, struct stored_mark *ret_stored)
{
	const struct mark_row *row = rows_find_row(segment, output);

	if (row == NULL || !row->has_value)
		return false;
	*ret_stored = row->value;
	return true;
}

void rows_attach(struct rows *rows, struct mark *mark, int64_t now_ns)
{
	struct known_output *output = rows_get_output(rows, mark->output);
	struct mark_row *row = rows_find_row(mark->segment, mark->output);

	must(!mark->segment->is_gone);
	if (row == NULL)
		row = add_row(mark->segment, output);
	must(row->mark == NULL);
	row->mark = mark;
	mark->row = row;
	output->attached++;
	output->is_new = false;
	if (output->seen_at_ns == 0)
		rows_see_output(rows, output, now_ns);
	if (mark->offset != row->value.offset)
		rows_dirty_row(rows, row);
}

void rows_detach(struct mark *mark)
{
	struct mark_row *row = mark->row;

	must(row != NULL && row->mark == mark);
	if (row->is_dirty)
		take_value(row);
	row->output->attached--;
	row->mark = NULL;
	mark->row = NULL;
}

void rows_touch(struct rows *rows, struct mark *mark)
{
	must(mark->row != NULL && mark->row->mark == mark);
	must(mark->offset >= mark->durable_offset);
	rows_dirty_row(rows, mark->row);
}

/* ---- changes to come ---------------------------------------------------------------------------- */

void rows_spoil(struct rows *rows)
{
	struct known_output *output;
	struct segment *segment;
	struct mark_row *row;

	for (output = rows->outputs; output != NULL; output = output->hh.next)
		output->is_dirty = true;
	for (segment = rows->segments; segment != NULL; segment = segment->hh.next) {
		if (segment->is_stored)
			rows_dirty_segment(rows, segment);
		LL_FOREACH (segment->rows, row)
			if (row->has_value)
				rows_dirty_row(rows, row);
	}
}

bool rows_moved(const struct rows *rows)
{
	return rows->dirty != NULL;
}

bool rows_unsynced(const struct rows *rows)
{
	return rows->unsynced != NULL;
}

bool rows_lazy(const struct rows *rows)
{
	return rows->is_lazy;
}

/* ---- a change --------------------------------------------------------------------------------- */

static void copy_mark(struct rows *rows, struct mark_row *row)
{
	db_change_add_mark(&rows->change,
	    &(struct db_mark){
		.segment = row->segment->id, .output = row->output->name, .value = row->value, .owner = row});
}

static void take_marks(struct rows *rows, bool is_full)
{
	while (rows->dirty != NULL) {
		struct mark_row *row = rows->dirty;

		clean_row(rows, row);
		if (row->mark != NULL)
			take_value(row);
		copy_mark(rows, row);
	}
	if (is_full && rows->change.mark_count == 0 && rows->unsynced != NULL)
		copy_mark(rows, rows->unsynced);
}

static void take_segments(struct rows *rows)
{
	while (rows->dirty_segments != NULL) {
		struct segment *segment = rows->dirty_segments;

		clean_segment(rows, segment);
		segment->is_stored = true;
		db_change_add_segment(&rows->change, &(struct db_segment){.id = segment->id,
							 .key = segment->key,
							 .seen_at_ns = segment->seen_at_ns,
							 .owner = segment});
	}
}

static void take_outputs(struct rows *rows)
{
	struct known_output *output;

	for (output = rows->outputs; output != NULL; output = output->hh.next) {
		if (output->is_dirty)
			db_change_add_output(&rows->change,
			    &(struct db_output){.name = output->name, .seen_at_ns = output->seen_at_ns});
		output->is_dirty = false;
	}
}

static void take_gone(struct rows *rows)
{
	const struct known_output *output;
	const struct segment *segment;

	DL_FOREACH (rows->gone_outputs, output)
		db_change_add_gone_output(&rows->change, output->name);
	DL_FOREACH (rows->gone_segments, segment)
		db_change_add_gone_segment(&rows->change, segment->id);
}

const struct db_change *rows_take(struct rows *rows, bool is_full)
{
	must(!rows->is_taken);
	take_marks(rows, is_full);
	take_segments(rows);
	take_outputs(rows);
	take_gone(rows);
	rows->is_lazy = false;
	rows->is_taken = true;
	return &rows->change;
}

/* Those that the change deleted stand before those that went since. */
static void free_gone(struct rows *rows)
{
	for (size_t i = 0; i < rows->change.gone_output_count; i++) {
		struct known_output *output = rows->gone_outputs;

		DL_DELETE(rows->gone_outputs, output);
		free_output(output);
	}
	for (size_t i = 0; i < rows->change.gone_segment_count; i++) {
		struct segment *segment = rows->gone_segments;

		DL_DELETE(rows->gone_segments, segment);
		free_segment(segment);
	}
}

/* Tells the mark, if it is still there and not behind what was written (it may be another one by now, at
 * another offset). */
static void tell_mark(const struct mark_row *row, bool is_full)
{
	struct mark *mark = row->mark;

	if (mark == NULL || mark->offset < row->durable_offset)
		return;
	if (mark->durable_offset < row->durable_offset)
		mark->durable_offset = row->durable_offset;
	if (is_full && mark->synced_offset < row->durable_offset)
		mark->synced_offset = row->durable_offset;
	mark->committed(mark);
}

/* The marks that are told may detach any mark and forget any segment, so lists are emptied from their heads;
 * rows stay where they are. */
void rows_settle(struct rows *rows, bool is_full)
{
	struct db_change *change = &rows->change;

	must(rows->is_taken);
	free_gone(rows);
	for (size_t i = 0; i < change->mark_count; i++) {
		struct mark_row *row = change->marks[i].owner;

		row->durable_offset = change->marks[i].value.offset;
		if (!row->is_gone)
			unsync_row(rows, row);
	}
	if (!is_full)
		for (size_t i = 0; i < change->mark_count; i++)
			tell_mark(change->marks[i].owner, false);
	while (is_full && rows->unsynced != NULL) {
		struct mark_row *row = rows->unsynced;

		sync_row(rows, row);
		tell_mark(row, true);
	}
	db_change_clear(change);
	rows->is_taken = false;
}

void rows_restore(struct rows *rows)
{
	struct db_change *change = &rows->change;
	struct known_output *output;

	must(rows->is_taken);
	for (size_t i = 0; i < change->mark_count; i++) {
		struct mark_row *row = change->marks[i].owner;

		if (!row->is_gone)
			rows_dirty_row(rows, row);
	}
	for (size_t i = 0; i < change->segment_count; i++) {
		struct segment *segment = change->segments[i].owner;

		if (!segment->is_gone)
			rows_dirty_segment(rows, segment);
	}
	for (output = rows->outputs; output != NULL; output = output->hh.next)
		output->is_dirty = true;
	rows->is_lazy = true;
	db_change_clear(change);
	rows->is_taken = false;
}

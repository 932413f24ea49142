/* A change: what one transaction of the checkpoint deletes and writes, as copies, so that the rows in memory
 * may move on meanwhile.
 *
 * Made by rows, carried to a worker by checkpoint, written by checkpoint_db.  Owns its texts.  Knows nothing
 * of what the rows mean. */
#include "config.h"
#include "collector/db_change.h"

#include <stdlib.h>

#include "common/must.h"

#define CAPACITY_MIN 16

/* Room for one more element in an array of `count`. */
static void *grown(void *array, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return array;
	*capacity = *capacity * 2 > CAPACITY_MIN ? *capacity * 2 : CAPACITY_MIN;
	return xrealloc(array, *capacity * size);
}

static void free_text(const char *text)
{
	free((char *)(uintptr_t)text);
}

void db_change_add_gone_output(struct db_change *change, const char *name)
{
	change->gone_outputs = grown(change->gone_outputs, change->gone_output_count,
	    &change->gone_output_capacity, sizeof change->gone_outputs[0]);
	change->gone_outputs[change->gone_output_count++] = xstrdup(name);
}

void db_change_add_gone_segment(struct db_change *change, int64_t id)
{
	change->gone_segments = grown(change->gone_segments, change->gone_segment_count,
	    &change->gone_segment_capacity, sizeof change->gone_segments[0]);
	change->gone_segments[change->gone_segment_count++] = id;
}

void db_change_add_segment(struct db_change *change, const struct db_segment *row)
{
	struct db_segment *copy;

	change->segments = grown(
	    change->segments, change->segment_count, &change->segment_capacity, sizeof change->segments[0]);
	copy = &change->segments[change->segment_count++];
	*copy = *row;
	copy->key.stream = xstrdup(row->key.stream);
	copy->key.path = xstrdup(row->key.path);
}

void db_change_add_mark(struct db_change *change, const struct db_mark *row)
{
	change->marks =
	    grown(change->marks, change->mark_count, &change->mark_capacity, sizeof change->marks[0]);
	change->marks[change->mark_count] = *row;
	change->marks[change->mark_count++].output = xstrdup(row->output);
}

void db_change_add_output(struct db_change *change, const struct db_output *row)
{
	change->outputs =
	    grown(change->outputs, change->output_count, &change->output_capacity, sizeof change->outputs[0]);
	change->outputs[change->output_count++] =
	    (struct db_output){.name = xstrdup(row->name), .seen_at_ns = row->seen_at_ns};
}

void db_change_clear(struct db_change *change)
{
	for (size_t i = 0; i < change->gone_output_count; i++)
		free(change->gone_outputs[i]);
	for (size_t i = 0; i < change->segment_count; i++) {
		free_text(change->segments[i].key.stream);
		free_text(change->segments[i].key.path);
	}
	for (size_t i = 0; i < change->mark_count; i++)
		free_text(change->marks[i].output);
	for (size_t i = 0; i < change->output_count; i++)
		free_text(change->outputs[i].name);
	change->gone_output_count = change->gone_segment_count = 0;
	change->segment_count = change->mark_count = change->output_count = 0;
}

void db_change_release(struct db_change *change)
{
	db_change_clear(change);
	free(change->gone_outputs);
	free(change->gone_segments);
	free(change->segments);
	free(change->marks);
	free(change->outputs);
	*change = (struct db_change){0};
}

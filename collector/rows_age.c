/* Rows that grow old.  Rows of outputs that were configured and of files that were seen stay for a week; time
 * in which no collector ran makes nothing old.
 *
 * The other half of rows.c, and like it without loop and database.  Decides which rows go; how a row goes is
 * rows.c's. */
#include "config.h"
#include "collector/rows.h"

#include "collector/rows_inside.h"
#include "common/table.h"

#define KEEP_NS (INT64_C(7) * 24 * 3600 * 1000000000)

static int64_t later(int64_t a_ns, int64_t b_ns)
{
	return a_ns > b_ns ? a_ns : b_ns;
}

void rows_skip_absence(struct rows *rows, int64_t now_ns)
{
	int64_t newest_ns = 0, absence_ns;
	struct known_output *output;
	struct segment *segment;

	for (output = rows->outputs; output != NULL; output = output->hh.next)
		newest_ns = later(newest_ns, output->seen_at_ns);
	for (segment = rows->segments; segment != NULL; segment = segment->hh.next)
		newest_ns = later(newest_ns, segment->seen_at_ns);
	absence_ns = now_ns - newest_ns;
	for (output = rows->outputs; output != NULL; output = output->hh.next) {
		if (output->seen_at_ns == 0)
			rows_see_output(rows, output, now_ns);
		else
			output->seen_at_ns += absence_ns;
	}
	for (segment = rows->segments; segment != NULL; segment = segment->hh.next)
		segment->seen_at_ns += absence_ns;
}

static void drop_output(struct rows *rows, struct known_output *output)
{
	struct segment *segment;
	struct mark_row *row, *next;

	for (segment = rows->segments; segment != NULL; segment = segment->hh.next) {
		LL_FOREACH_SAFE (segment->rows, row, next) {
			if (row->output != output)
				continue;
			rows_lose_row(rows, row);
			LL_DELETE(segment->rows, row);
			LL_PREPEND(output->dropped, row);
		}
	}
	HASH_DEL(rows->outputs, output);
	DL_APPEND(rows->gone_outputs, output);
}

static void see_configured(struct rows *rows, const char *const *names, size_t count, int64_t now_ns)
{
	struct known_output *output;

	for (output = rows->outputs; output != NULL; output = output->hh.next) {
		if (output->is_configured)
			rows_see_output(rows, output, now_ns);
		output->is_configured = false;
		output->is_new = false;
	}
	for (size_t i = 0; i < count; i++) {
		output = rows_find_output(rows, names[i]);
		if (output == NULL) {
			output = rows_get_output(rows, names[i]);
			output->is_new = true;
		}
		output->is_configured = true;
		rows_see_output(rows, output, now_ns);
	}
}

void rows_retire(struct rows *rows, const char *const *outputs, size_t output_count, int64_t now_ns)
{
	struct known_output *output, *next_output;
	struct segment *segment, *next;

	see_configured(rows, outputs, output_count, now_ns);
	HASH_ITER (hh, rows->outputs, output, next_output)
		if (!output->is_configured && output->attached == 0 && now_ns - output->seen_at_ns > KEEP_NS)
			drop_output(rows, output);
	HASH_ITER (hh, rows->segments, segment, next)
		if (!segment->is_claimed && now_ns - segment->seen_at_ns > KEEP_NS)
			rows_lose_segment(rows, segment);
	rows->is_lazy = true;
}

void rows_refresh(struct rows *rows, int64_t now_ns)
{
	struct known_output *output;
	struct segment *segment;

	for (output = rows->outputs; output != NULL; output = output->hh.next)
		if (output->is_configured)
			rows_see_output(rows, output, now_ns);
	for (segment = rows->segments; segment != NULL; segment = segment->hh.next) {
		if (!segment->is_claimed)
			continue;
		segment->seen_at_ns = now_ns;
		if (segment->is_stored)
			rows_dirty_segment(rows, segment);
	}
}

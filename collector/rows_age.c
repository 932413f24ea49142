/* Rows that grow old, and rows whose files are missing.  Rows of outputs that were configured and of files
 * that were seen stay for a week; time in which no collector ran makes nothing old.  A file that was rotated
 * and deleted while nobody looked is told once, and then forgotten.
 *
 * The other half of rows.c, and like it without loop and database.  Decides which rows go; how a row goes is
 * rows.c's. */
#include "config.h"
#include "collector/rows.h"

#include <stdlib.h>
#include <string.h>

#include "collector/podpath.h"
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

/* ---- what is missing -------------------------------------------------------------------------- */

static bool was_live(const struct segment *segment)
{
	const char *slash = strrchr(segment->key.path, '/');

	return slash != NULL && podpath_parse_file(slash + 1).kind == LOGFILE_LIVE;
}

static bool has_others(const struct stream *stream)
{
	const struct segment *segment;

	DL_FOREACH (stream->segments, segment)
		if (segment->is_claimed)
			return true;
	return false;
}

/* What is known of the container's runs after this one.  A stream is "<uid>/<container>/<run>". */
struct later_runs {
	bool are_here;   /* there is a file of one */
	bool were_known; /* before the start */
};

static unsigned long run_of(const char *stream, size_t *ret_container_len)
{
	const char *slash = strrchr(stream, '/');

	*ret_container_len = slash != NULL ? (size_t)(slash - stream) : 0;
	return slash != NULL ? strtoul(slash + 1, NULL, 10) : 0;
}

static struct later_runs find_later_runs(const struct rows *rows, const struct stream *stream)
{
	struct later_runs found = {.are_here = false};
	size_t len, other_len;
	unsigned long run = run_of(stream->name, &len);
	const struct stream *other;
	const struct segment *segment;

	for (other = rows->streams; other != NULL; other = other->hh.next) {
		if (strncmp(other->name, stream->name, len) != 0 || run_of(other->name, &other_len) <= run ||
		    other_len != len)
			continue;
		DL_FOREACH (other->segments, segment) {
			found.are_here = found.are_here || segment->is_claimed;
			found.were_known = found.were_known || segment->is_old;
		}
	}
	return found;
}

/* Has the container gone on without this file, so that it never comes back? */
static bool has_gone_by(const struct rows *rows, const struct segment *segment, bool *ret_has_lost_its_end)
{
	bool has_others_of_its_run = has_others(segment->stream);
	struct later_runs later = {.are_here = false};

	if (!has_others_of_its_run)
		later = find_later_runs(rows, segment->stream);
	*ret_has_lost_its_end =
	    was_live(segment) && (has_others_of_its_run || (later.are_here && !later.were_known));
	return has_others_of_its_run || later.are_here;
}

struct search {
	bool (*is_wanted)(void *arg, const char *output, const char *path);
	void (*visit)(void *arg, const struct missing *missing);
	void *arg;
};

static void tell_missing(
    struct rows *rows, struct mark_row *row, bool has_lost_its_end, const struct search *search)
{
	struct missing missing = {.segment = row->segment,
	    .output = row->output->name,
	    .path = row->segment->key.path,
	    .offset = row->value.offset,
	    .bytes = row->value.size > row->value.offset ? row->value.size - row->value.offset : 0};

	if (missing.bytes != 0 || has_lost_its_end)
		search->visit(search->arg, &missing);
	if (missing.bytes == 0)
		return;
	row->value.size = row->value.offset; /* it is told */
	rows_dirty_row(rows, row);
}

/* True if some output wants it still. */
static bool look_for_marks(
    struct rows *rows, const struct segment *segment, bool has_lost_its_end, const struct search *search)
{
	bool wanted = false;
	struct mark_row *row;

	LL_FOREACH (segment->rows, row) {
		if (!row->has_value || !row->output->is_configured ||
		    !search->is_wanted(search->arg, row->output->name, segment->key.path))
			continue;
		wanted = true;
		tell_missing(rows, row, has_lost_its_end, search);
	}
	return wanted;
}

void rows_missing(struct rows *rows, bool (*is_wanted)(void *arg, const char *output, const char *path),
    void (*visit)(void *arg, const struct missing *missing), void *arg)
{
	const struct search search = {.is_wanted = is_wanted, .visit = visit, .arg = arg};
	struct segment *segment, *next;

	HASH_ITER (hh, rows->segments, segment, next) {
		bool has_lost_its_end, is_over;

		if (segment->is_claimed)
			continue;
		is_over = has_gone_by(rows, segment, &has_lost_its_end);
		if (look_for_marks(rows, segment, has_lost_its_end, &search) && is_over)
			rows_lose_segment(rows, segment);
	}
}

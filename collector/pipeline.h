/* A pipeline: one output with everything that is its own: cursors, batches, lanes, retry state, marks, account and share of memory.  A dead output never slows
 * or loses another one's data. */
#ifndef DRAVE_COLLECTOR_PIPELINE_H
#define DRAVE_COLLECTOR_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "collector/checkpoint.h"
#include "collector/collector_conf.h"
#include "collector/cursor.h"
#include "common/http.h"
#include "common/metric.h"

struct pipeline;

/* drave_input_lost_segments_total{reason}: of all outputs together. */
extern const struct metric_family pipeline_lost_segments;
/* At least these bytes of a file were deleted before the output had them; is_new: no other output has told of it. */
void pipeline_miss(struct pipeline *pipeline, uint64_t bytes, bool is_new);

/* What all pipelines of the program share. */
struct pipeline_env {
	uv_loop_t *loop;
	struct http *http;
	struct metric_table *metrics;
	struct checkpoint *checkpoint; /* NULL: none is kept */
	struct read_buffer *buffer;
	bool expects_metadata;         /* records without any are counted as missing theirs */
	bool reads_to_stop;            /* --once, --dry-run: nothing beyond what was there at the start */
	void (*wake)(void *arg);       /* a turn is wanted */
	void *arg;
};

/* output is one of conf's; conf is counted as long as the pipeline lives.  Nothing is read before the first turn. */
int pipeline_new(struct pipeline **ret_pipeline, const struct pipeline_env *env, struct collector_conf *conf, const struct output_conf *output,
	struct err *err);
const char *pipeline_name(const struct pipeline *pipeline);
/* The configuration that it runs under. */
const struct collector_conf *pipeline_conf(const struct pipeline *pipeline);
const struct output_conf *pipeline_output(const struct pipeline *pipeline);
bool pipeline_wants(const struct pipeline *pipeline, const struct origin *origin);
/* Begins to read the tail if it wants it: at its mark, if the segment has a stored one that fits the file.  was_there: the file was there before the output
 * was, so read_from applies if the checkpoint knows nothing of the output. */
void pipeline_adopt(struct pipeline *pipeline, struct tail *tail, struct segment *segment, bool was_there);
/* The container's pod is excluded: takes no more of its files, and leaves them when what was taken is acknowledged.  When it is not excluded any
 * more, pipeline_adopt takes them up again at their marks. */
void pipeline_dismiss(struct pipeline *pipeline, const struct container *container);
/* Does some reads of cursors that are ready and frees those that are done; true if more could be done at once. */
bool pipeline_turn(struct pipeline *pipeline, uint64_t now_ms);
/* Seals open batches and forgets back-off: what is here goes out now. */
void pipeline_flush(struct pipeline *pipeline);
/* No more reading, except from files that have no name any more (nobody could read them again); flushes. */
void pipeline_drain(struct pipeline *pipeline);
/* Nothing read is unacknowledged (open chains of pieces aside), and nothing waits for a batch. */
bool pipeline_is_drained(const struct pipeline *pipeline);
/* --once: every file was read up to where it ended at the start. */
bool pipeline_has_read_all(const struct pipeline *pipeline);
/* Ends it now; unacknowledged bytes are read again by whoever comes next.  closed comes once, later; the pipeline is freed then. */
void pipeline_close(struct pipeline *pipeline, void (*closed)(void *arg), void *arg);

enum pipeline_health { PIPELINE_OK, PIPELINE_RETRYING, PIPELINE_HELD };
enum pipeline_health pipeline_health(const struct pipeline *pipeline);
const struct account *pipeline_account(const struct pipeline *pipeline);
uint64_t pipeline_lag_bytes(const struct pipeline *pipeline);
/* Bring the gauges up to date (lag, audit). */
void pipeline_measure(struct pipeline *pipeline);
/* One JSON object for /status; rows for /streams, each followed by a comma unless it is the first (*first is kept by the caller). */
void pipeline_write_status(struct pipeline *pipeline, struct buf *out);
void pipeline_write_streams(struct pipeline *pipeline, struct buf *out, bool *first);

#endif

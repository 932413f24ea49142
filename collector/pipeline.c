/* Pipeline.  Builds the road of one output from its configuration and runs its turns.
 *
 *     RUNNING --drain--> DRAINING --close--> CLOSING (shipper quiet, output stopped, gatherer's timer gone) --> freed
 *
 * Stands above cursor, gatherer and shipper; below the collector.  Owns them all, and the output.  Refuses to share anything with other outputs but the
 * files, the checkpoint's connection and the loop. */
#include "config.h"
#include "collector/pipeline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collector/match.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE      "pipeline"
#define PIPELINE_MAGIC  MAGIC('p', 'i', 'p', 'e')
#define READS_PER_TURN  8   /* of all cursors together, before the loop looks at sockets and timers again */
#define ATTEND_MS       250 /* how often chains and unfinished last lines are looked at, while there are any */

struct pipeline {
	unsigned magic;
	struct pipeline_env env;
	struct collector_conf *conf; /* counted: an unchanged output outlives a reload with the configuration that it began with */
	const struct output_conf *conf_output;
	struct cursor_env cursor_env;
	struct gatherer gatherer;
	struct shipper shipper;
	struct format_options format_options;
	struct account account;
	struct cursor *cursors;
	struct metric *lost_deleted, *deleted_files;
	struct metric *lag, *imbalance, *read_bytes, *audit[ACCOUNT_TERMS], *audit_read, *audit_dropped;
	uv_timer_t attend;
	bool first_time;   /* the checkpoint knew nothing of this output at the start: read_from applies */
	bool is_draining;
	bool is_closing;
	unsigned closing_count; /* parts that have not told their end */
	uint64_t resumed, mismatched;
	void (*closed)(void *arg);
	void *closed_arg;
};

static const struct metric_family family_records = {"drave_output_records_total", "Records that the output acknowledged.", METRIC_COUNTER, "output", NULL, 0};
static const struct metric_family family_bytes = {
	"drave_output_bytes_total", "Encoded bytes that the output acknowledged, before compression.", METRIC_COUNTER, "output", NULL, 0};
static const struct metric_family family_retries = {
	"drave_output_retries_total", "Parcels that have to be sent again.", METRIC_COUNTER, "output", NULL, 0};
static const struct metric_family family_unproven = {"drave_output_unproven_limit_total",
	"Times that destinations which hold, or have not taken anything yet, came to their half of the memory.", METRIC_COUNTER, "output", NULL, 0};
static const struct metric_family family_dropped = {"drave_output_dropped_records_total",
	"Records that the output refused although each was sent alone.", METRIC_COUNTER, "output,reason", NULL, 0};
static const double latency_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30, 60, 300, 1800};
static const struct metric_family family_latency = {"drave_delivery_latency_seconds", "From reading a batch's first record to its acknowledgement.",
	METRIC_HISTOGRAM, "output", latency_bounds, sizeof latency_bounds / sizeof latency_bounds[0]};
static const struct metric_family family_read_records = {
	"drave_input_records_total", "Records read, joined from their pieces.", METRIC_COUNTER, "output", NULL, 0};
static const struct metric_family family_missing = {"drave_metadata_missing_records_total",
	"Records that went without metadata, although a source of them is configured.", METRIC_COUNTER, "output", NULL, 0};
static const struct metric_family family_lost = {"drave_input_lost_bytes_total",
	"Bytes that were gone before they could be read.", METRIC_COUNTER, "output,reason", NULL, 0};
const struct metric_family pipeline_lost_segments = {"drave_input_lost_segments_total",
	"Log files of which something was gone before every output had it.", METRIC_COUNTER, "reason", NULL, 0};
static const struct metric_family family_lag = {
	"drave_input_lag_bytes", "Bytes in the log files that the output has not acknowledged.", METRIC_GAUGE, "output", NULL, 0};
static const struct metric_family family_audit = {
	"drave_audit_bytes", "Where the bytes that were read are now, in bytes of the log files.", METRIC_GAUGE, "output,term", NULL, 0};
static const struct metric_family family_imbalance = {
	"drave_audit_imbalance_bytes", "Bytes read whose fate nobody named; anything but 0 is a bug.", METRIC_GAUGE, "output", NULL, 0};

static struct pipeline *pipeline_of(void *pointer)
{
	struct pipeline *pipeline = pointer;

	must(pipeline->magic == PIPELINE_MAGIC);
	return pipeline;
}

static void on_room(void *arg)
{
	struct pipeline *pipeline = pipeline_of(arg);

	cursor_unpark(&pipeline->cursor_env);
	pipeline->env.wake(pipeline->env.arg);
}

static void on_attend(uv_timer_t *timer);

static void on_cursor_wake(struct cursor_env *cursor_env)
{
	struct pipeline *pipeline = container_of(cursor_env, struct pipeline, cursor_env);

	pipeline->env.wake(pipeline->env.arg);
}

/* ---- making ------------------------------------------------------------------------------------------------------- */

static void make_metrics(struct pipeline *pipeline)
{
	struct metric_table *table = pipeline->env.metrics;
	const char *name = pipeline->conf_output->name;
	struct shipper_metrics *shipper = &pipeline->shipper.metrics;

	shipper->records = metric_get(table, &family_records, name);
	shipper->bytes = metric_get(table, &family_bytes, name);
	shipper->retries = metric_get(table, &family_retries, name);
	shipper->latency = metric_get(table, &family_latency, name);
	shipper->dropped[DROP_DEAD_LETTER] = metric_get(table, &family_dropped, name, drop_reason_names[DROP_DEAD_LETTER]);
	shipper->dropped[DROP_REJECTED] = metric_get(table, &family_dropped, name, drop_reason_names[DROP_REJECTED]);
	pipeline->cursor_env.records = metric_get(table, &family_read_records, name);
	if (pipeline->env.expects_metadata)
		pipeline->cursor_env.missing = metric_get(table, &family_missing, name);
	pipeline->cursor_env.lost_truncated = metric_get(table, &family_lost, name, "truncated");
	pipeline->cursor_env.lost_hold = metric_get(table, &family_lost, name, "hold_limit");
	pipeline->cursor_env.damaged_files = metric_get(table, &pipeline_lost_segments, "damaged");
	pipeline->lost_deleted = metric_get(table, &family_lost, name, "deleted");
	pipeline->deleted_files = metric_get(table, &pipeline_lost_segments, "deleted");
	pipeline->lag = metric_get(table, &family_lag, name);
	pipeline->imbalance = metric_get(table, &family_imbalance, name);
	pipeline->audit_read = metric_get(table, &family_audit, name, "read");
	pipeline->audit_dropped = metric_get(table, &family_audit, name, "dropped");
	for (int i = 0; i < ACCOUNT_TERMS; i++)
		pipeline->audit[i] = metric_get(table, &family_audit, name, account_term_names[i]);
}

static const struct format *wire_format(const struct output_conf *conf)
{
	return conf->ops->format != NULL ? conf->ops->format(conf->options) : &format_ndjson;
}

static void make_gatherer(struct pipeline *pipeline)
{
	const struct output_conf *conf = pipeline->conf_output;
	struct destination_text texts[OUTPUT_TEMPLATES];
	struct gatherer *gatherer = &pipeline->gatherer;

	*gatherer = (struct gatherer){
		.shipper = &pipeline->shipper,
		.loop = pipeline->env.loop,
		.format = wire_format(conf),
		.format_options = &pipeline->format_options,
		.batch_bytes = conf->common.batch_size,
		.batch_records = conf->common.batch_records < GATHERER_RECORDS_MAX ? conf->common.batch_records : GATHERER_RECORDS_MAX,
		.batch_age_ms = conf->common.batch_age_ms,
		.record_limit = conf->ops->record_limit != NULL ? conf->ops->record_limit(conf->options) : 0,
		.memory_limit = conf->memory_share,
		.lanes = (unsigned)conf->common.lanes,
		.unproven_limits = metric_get(pipeline->env.metrics, &family_unproven, conf->name),
	};
	gatherer->template_count = conf->ops->destination != NULL ? conf->ops->destination(conf->options, texts) : 0;
	must(gatherer->template_count <= OUTPUT_TEMPLATES);
	for (size_t i = 0; i < gatherer->template_count; i++) {
		gatherer->templates[i] = template_new(texts[i].template, texts[i].place);
		gatherer->fallbacks[i] = texts[i].fallback;
	}
	gatherer_init(gatherer);
}

static void make_shipper(struct pipeline *pipeline)
{
	const struct output_conf *conf = pipeline->conf_output;
	const struct format *format = wire_format(conf);
	bool is_plain = conf->common.compression == PACK_NONE && format->begin[0] == '\0' && strcmp(format->separator, format->end) == 0;
	struct shipper *shipper = &pipeline->shipper;

	*shipper = (struct shipper){
		.name = conf->name,
		.loop = pipeline->env.loop,
		.ops = conf->ops,
		.format = format,
		.wants_body = conf->ops->wants_packed != NULL && conf->ops->wants_packed(conf->options),
		.codec = (enum pack_codec)conf->common.compression,
		.backoff = conf->ops->retry_backoff != NULL ? conf->ops->retry_backoff(conf->options) : (struct bind_range){1000, 60000},
		.metrics = pipeline->shipper.metrics,
		.on_room = on_room,
		.arg = pipeline,
	};
	if (shipper->wants_body && !is_plain)
		shipper->packer = packer_new(pipeline->env.loop, shipper->codec, (int)conf->common.compression_level);
	if (conf->common.on_reject == ON_REJECT_DEAD_LETTER)
		shipper->dead_letter = dead_letter_new(pipeline->conf->collector.state_dir, conf->name, conf->common.dead_letter_limit);
	shipper_init(shipper);
}

static void make_cursor_env(struct pipeline *pipeline)
{
	struct cursor_env *env = &pipeline->cursor_env;

	env->gatherer = &pipeline->gatherer;
	env->checkpoint = pipeline->env.checkpoint;
	env->output = pipeline->conf_output->name;
	env->format = pipeline->gatherer.format;
	env->format_options = &pipeline->format_options;
	env->max_record = pipeline->conf->input.max_record;
	env->partial_timeout_ms = pipeline->conf->input.partial_timeout_ms;
	env->settle_ms = pipeline->conf->input.rescan_interval_ms;
	env->total = &pipeline->account;
	env->buffer = pipeline->env.buffer;
	env->reads_to_stop = pipeline->env.reads_to_stop;
	env->wake = on_cursor_wake;
}

static int open_output(struct pipeline *pipeline, struct err *err)
{
	const struct output_conf *conf = pipeline->conf_output;
	struct output_env env = {
		.loop = pipeline->env.loop,
		.http = pipeline->env.http,
		.metrics = pipeline->env.metrics,
		.name = conf->name,
		.node_name = pipeline->conf->collector.node_name,
		.compression = pack_words[conf->common.compression],
		.compression_level = (int)conf->common.compression_level,
		.memory_limit = conf->memory_share,
	};

	return conf->ops->open(&pipeline->shipper.output, conf->options, &env, err);
}

int pipeline_new(struct pipeline **ret_pipeline, const struct pipeline_env *env, struct collector_conf *conf, const struct output_conf *output,
	struct err *err)
{
	struct pipeline *pipeline = x_new(pipeline);
	int status;

	pipeline->magic = PIPELINE_MAGIC;
	pipeline->env = *env;
	pipeline->conf = collector_conf_ref(conf);
	pipeline->conf_output = output;
	pipeline->format_options = (struct format_options){
		.schema = (enum metadata_schema)output->common.metadata_schema,
		.record_id = output->common.record_id,
	};
	make_metrics(pipeline);
	make_shipper(pipeline);
	make_gatherer(pipeline);
	make_cursor_env(pipeline);
	must(uv_timer_init(env->loop, &pipeline->attend) == 0);
	pipeline->attend.data = pipeline;
	pipeline->first_time = env->checkpoint == NULL || !checkpoint_knows(env->checkpoint, output->name);
	status = open_output(pipeline, err);
	if (status != 0) {
		pipeline_close(pipeline, NULL, NULL);
		return status;
	}
	*ret_pipeline = pipeline;
	return 0;
}

const char *pipeline_name(const struct pipeline *pipeline)
{
	return pipeline->conf_output->name;
}

const struct collector_conf *pipeline_conf(const struct pipeline *pipeline)
{
	return pipeline->conf;
}

const struct output_conf *pipeline_output(const struct pipeline *pipeline)
{
	return pipeline->conf_output;
}

/* ---- adopting ----------------------------------------------------------------------------------------------------- */

bool pipeline_wants(const struct pipeline *pipeline, const struct origin *origin)
{
	const struct input_options *input = &pipeline->conf->input;

	return match_name(&input->include_namespaces, &input->exclude_namespaces, origin->namespace_name) &&
	       match_name(&input->include_pods, &input->exclude_pods, origin->pod) &&
	       match_name(&input->include_containers, &input->exclude_containers, origin->container) &&
	       match_takes(&pipeline->conf_output->common.match, origin->namespace_name, origin->pod, origin->container);
}

/* Does the stored mark still fit the file?  Its bytes before the offset must be the ones that were acknowledged.  tail->size is no witness against
 * it: it is that of the last look, and a reader that was here before a reload may have read further. */
static bool mark_fits(const struct tail *tail, const struct stored_mark *stored)
{
	uint32_t len;
	uint64_t hash;

	if (stored->offset == 0)
		return true;
	if (stored->tail_len == 0 || tail->gzip != NULL)
		return stored->offset <= tail->size;
	return tail_mark_hash(tail, stored->offset, &len, &hash) == 0 && len == stored->tail_len && hash == stored->tail_hash;
}

/* The start of the line that is being written at the end of the file. */
static uint64_t last_line_start(const struct pipeline *pipeline, const struct tail *tail)
{
	uint64_t end = tail->size;

	while (end > 0) {
		size_t len = end < READ_BYTES ? (size_t)end : READ_BYTES;
		ssize_t got = tail_read(tail, pipeline->env.buffer->bytes, len, end - len);
		const char *newline = got > 0 ? memrchr(pipeline->env.buffer->bytes, '\n', (size_t)got) : NULL;

		if (newline != NULL)
			return end - len + (uint64_t)(newline + 1 - pipeline->env.buffer->bytes);
		if (got <= 0)
			return end;
		end -= len;
	}
	return 0;
}

static uint64_t start_offset(struct pipeline *pipeline, struct tail *tail, struct segment *segment, bool was_there)
{
	struct stored_mark stored;

	if (segment != NULL && checkpoint_load(pipeline->env.checkpoint, segment, pipeline->conf_output->name, &stored)) {
		if (mark_fits(tail, &stored)) {
			pipeline->resumed++;
			log_debug("resumed", "output=%s path=%s offset=%" PRIu64, pipeline->conf_output->name, log_quote(tail->path), stored.offset);
			return stored.offset;
		}
		pipeline->mismatched++;
		log_warn("file is not what the checkpoint knows, reading it from its head", "output=%s path=%s offset=%" PRIu64 " size=%" PRIu64,
			pipeline->conf_output->name, log_quote(tail->path), stored.offset, tail->size);
		return 0;
	}
	if (pipeline->first_time && was_there && pipeline->conf->input.read_from == READ_FROM_TAIL)
		return tail->name.kind == LOGFILE_LIVE ? last_line_start(pipeline, tail) : tail->size;
	return 0;
}

/* Does this output still hold a file of the container that it was told to leave?  Then none is taken up: its files are read in their order. */
static bool is_leaving(const struct pipeline *pipeline, const struct container *container)
{
	const struct cursor *cursor;
	struct tail *tail;

	DL_FOREACH (container->tails, tail) {
		cursor = cursor_find(&pipeline->cursor_env, tail);
		if (cursor != NULL && cursor->is_dismissed)
			return true;
	}
	return false;
}

void pipeline_adopt(struct pipeline *pipeline, struct tail *tail, struct segment *segment, bool was_there)
{
	struct stored_mark stored;
	struct cursor *cursor;
	bool is_new;

	if (pipeline->is_closing || tail->container->is_excluded || !pipeline_wants(pipeline, &tail->container->origin))
		return;
	if (cursor_find(&pipeline->cursor_env, tail) != NULL || is_leaving(pipeline, tail->container))
		return;
	is_new = segment != NULL && !checkpoint_load(pipeline->env.checkpoint, segment, pipeline->conf_output->name, &stored);
	cursor = cursor_new(&pipeline->cursor_env, tail, segment, start_offset(pipeline, tail, segment, was_there));
	DL_APPEND(pipeline->cursors, cursor);
	if (is_new) /* also a mark at 0 is worth its row: that the file was seen tells the next start what to look for */
		checkpoint_touch(pipeline->env.checkpoint, &cursor->mark);
}

void pipeline_dismiss(struct pipeline *pipeline, const struct container *container)
{
	for (struct cursor *cursor = pipeline->cursors; cursor != NULL; cursor = cursor->next)
		if (cursor->reader.tail->container == container && !cursor->is_gone)
			cursor_dismiss(cursor);
}

void pipeline_miss(struct pipeline *pipeline, uint64_t bytes, bool is_new)
{
	metric_add(pipeline->lost_deleted, bytes);
	if (is_new)
		metric_add(pipeline->deleted_files, 1);
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

/* The container's pod may have been excluded only for a while. */
static void take_up_again(struct pipeline *pipeline, const struct container *container)
{
	struct tail *tail;

	DL_FOREACH (container->tails, tail)
		if (tail->fd != -1)
			pipeline_adopt(pipeline, tail, tail->segment, false);
}

static void reap(struct pipeline *pipeline)
{
	struct cursor *cursor, *next;

	if (pipeline->cursor_env.gone_count == 0)
		return;
	DL_FOREACH_SAFE (pipeline->cursors, cursor, next) {
		const struct container *container = cursor->reader.tail->container;
		bool was_dismissed = cursor->is_dismissed;

		if (!cursor->is_gone)
			continue;
		DL_DELETE(pipeline->cursors, cursor);
		cursor_free(cursor);
		pipeline->cursor_env.gone_count--;
		if (was_dismissed)
			take_up_again(pipeline, container);
	}
	must(pipeline->cursor_env.gone_count == 0);
}

static void attend_later(struct pipeline *pipeline)
{
	if (pipeline->cursor_env.attention != NULL && !uv_is_active((uv_handle_t *)&pipeline->attend))
		uv_timer_start(&pipeline->attend, on_attend, ATTEND_MS, ATTEND_MS);
}

static void on_attend(uv_timer_t *timer)
{
	struct pipeline *pipeline = pipeline_of(timer->data);
	uint64_t now_ms = clock_monotonic_ms();
	struct cursor *cursor, *next;

	for (cursor = pipeline->cursor_env.attention; cursor != NULL; cursor = next) {
		next = cursor->attention_next;
		if (gatherer_has_room(&pipeline->gatherer))
			cursor_attend(cursor, now_ms);
	}
	if (pipeline->cursor_env.attention == NULL)
		uv_timer_stop(timer);
}

/* While draining, only bytes that nobody could read again are still taken. */
static bool may_turn(const struct pipeline *pipeline, const struct cursor *cursor)
{
	return !pipeline->is_draining || cursor->reader.tail->unlinked;
}

bool pipeline_turn(struct pipeline *pipeline, uint64_t now_ms)
{
	struct cursor *last;

	if (pipeline->is_closing)
		return false;
	for (int reads = 0; reads < READS_PER_TURN && pipeline->cursor_env.ready != NULL; reads++) {
		struct cursor *cursor = pipeline->cursor_env.ready;

		if (!gatherer_has_room(&pipeline->gatherer))
			break;
		/* to the back of the line before its turn, so that each cursor has one read a round */
		last = cursor->ready_prev;
		if (last != cursor) {
			DL_DELETE2(pipeline->cursor_env.ready, cursor, ready_prev, ready_next);
			DL_APPEND2(pipeline->cursor_env.ready, cursor, ready_prev, ready_next);
		}
		if (may_turn(pipeline, cursor))
			cursor_turn(cursor, now_ms);
		else
			cursor_rest(cursor);
	}
	reap(pipeline);
	attend_later(pipeline);
	if (pipeline->is_draining)
		gatherer_seal_all(&pipeline->gatherer);
	return pipeline->cursor_env.ready != NULL && gatherer_has_room(&pipeline->gatherer);
}

void pipeline_flush(struct pipeline *pipeline)
{
	gatherer_seal_all(&pipeline->gatherer);
	shipper_hurry(&pipeline->shipper);
}

void pipeline_drain(struct pipeline *pipeline)
{
	pipeline->is_draining = true;
	pipeline_flush(pipeline);
	on_room(pipeline);
}

static bool has_unnamed_left(const struct pipeline *pipeline)
{
	const struct cursor *const lists[] = {pipeline->cursor_env.ready, pipeline->cursor_env.parked};

	for (size_t i = 0; i < 2; i++)
		for (const struct cursor *cursor = lists[i]; cursor != NULL; cursor = cursor->ready_next)
			if (cursor->reader.tail->unlinked)
				return true;
	return false;
}

bool pipeline_is_drained(const struct pipeline *pipeline)
{
	return shipper_is_idle(&pipeline->shipper) && pipeline->gatherer.open == NULL && !has_unnamed_left(pipeline);
}

bool pipeline_has_read_all(const struct pipeline *pipeline)
{
	for (const struct cursor *cursor = pipeline->cursors; cursor != NULL; cursor = cursor->next)
		if (!cursor_has_read_all(cursor))
			return false;
	return true;
}

/* ---- closing ------------------------------------------------------------------------------------------------------ */

/* Batches name ledgers until the shipper is closed, so the cursors go last. */
static void on_part_closed(struct pipeline *pipeline)
{
	struct cursor *cursor, *next;
	void (*closed)(void *arg);
	void *arg;

	must(pipeline->closing_count > 0);
	if (--pipeline->closing_count != 0)
		return;
	DL_FOREACH_SAFE (pipeline->cursors, cursor, next) {
		DL_DELETE(pipeline->cursors, cursor);
		cursor_free(cursor);
	}
	closed = pipeline->closed;
	arg = pipeline->closed_arg;
	collector_conf_unref(pipeline->conf);
	pipeline->magic = 0;
	free(pipeline);
	if (closed != NULL)
		closed(arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
	on_part_closed(pipeline_of(handle->data));
}

static void on_shipper_closed(void *arg)
{
	on_part_closed(pipeline_of(arg));
}

static void on_output_stopped(void *arg)
{
	struct pipeline *pipeline = pipeline_of(arg);

	pipeline->shipper.ops->close(pipeline->shipper.output);
	on_part_closed(pipeline);
}

void pipeline_close(struct pipeline *pipeline, void (*closed)(void *arg), void *arg)
{
	must(!pipeline->is_closing);
	pipeline->is_closing = true;
	pipeline->closed = closed;
	pipeline->closed_arg = arg;
	pipeline->closing_count = 3 + (pipeline->shipper.output != NULL);
	uv_close((uv_handle_t *)&pipeline->attend, on_timer_closed);
	gatherer_close(&pipeline->gatherer, on_timer_closed, pipeline);
	shipper_close(&pipeline->shipper, on_shipper_closed);
	if (pipeline->shipper.output != NULL)
		pipeline->shipper.ops->stop(pipeline->shipper.output, on_output_stopped, pipeline);
}

/* ---- seen from outside -------------------------------------------------------------------------------------------- */

/* What the output itself says of why it does not deliver; SENT = nothing. */
static struct answer output_trouble(const struct pipeline *pipeline)
{
	const struct shipper *shipper = &pipeline->shipper;
	struct answer answer;

	if (shipper->ops->trouble != NULL && shipper->output != NULL && shipper->ops->trouble(shipper->output, &answer))
		return answer;
	return (struct answer){.kind = ANSWER_SENT, .retry_after_ms = -1};
}

enum pipeline_health pipeline_health(const struct pipeline *pipeline)
{
	enum answer_kind trouble = output_trouble(pipeline).kind;
	enum pipeline_health health = trouble == ANSWER_SENT ? PIPELINE_OK : PIPELINE_RETRYING;
	struct lane *lane, *next;

	if (trouble == ANSWER_HOLD)
		return PIPELINE_HELD;
	HASH_ITER (hh, pipeline->shipper.lanes, lane, next) {
		if (lane->held)
			return PIPELINE_HELD;
		if (lane->trouble[0] != '\0')
			health = PIPELINE_RETRYING;
	}
	return health;
}

const struct account *pipeline_account(const struct pipeline *pipeline)
{
	return &pipeline->account;
}

uint64_t pipeline_lag_bytes(const struct pipeline *pipeline)
{
	uint64_t lag = 0;

	for (const struct cursor *cursor = pipeline->cursors; cursor != NULL; cursor = cursor->next)
		lag += cursor_lag(cursor);
	return lag;
}

static uint64_t dropped_bytes(const struct account *account)
{
	uint64_t sum = 0;

	for (int i = 0; i < DROP_REASONS; i++)
		sum += account->dropped[i];
	return sum;
}

/* The output's balance and that of each file: a slip between two files would cancel out in the sum. */
static int64_t worst_imbalance(const struct pipeline *pipeline)
{
	int64_t worst = account_imbalance(&pipeline->account);

	for (const struct cursor *cursor = pipeline->cursors; worst == 0 && cursor != NULL; cursor = cursor->next)
		worst = account_imbalance(&cursor->ledger.account);
	return worst;
}

void pipeline_measure(struct pipeline *pipeline)
{
	const struct account *account = &pipeline->account;

	metric_set(pipeline->lag, (double)pipeline_lag_bytes(pipeline));
	metric_set(pipeline->imbalance, (double)worst_imbalance(pipeline));
	metric_set(pipeline->audit_read, (double)account->read);
	metric_set(pipeline->audit_dropped, (double)dropped_bytes(account));
	for (int i = 0; i < ACCOUNT_TERMS; i++)
		metric_set(pipeline->audit[i], (double)account->terms[i]);
}

/* Seconds since the oldest record that is here and not acknowledged was logged; 0 when there is none. */
static double lag_seconds(const struct pipeline *pipeline)
{
	int64_t open = gatherer_oldest_time(&pipeline->gatherer), sealed = shipper_oldest_time(&pipeline->shipper);
	int64_t oldest = open < sealed ? open : sealed, now = clock_wall_ns();

	return oldest == INT64_MAX || oldest > now ? 0 : (double)(now - oldest) / 1e9;
}

static void write_account(const struct account *account, struct buf *out)
{
	buf_printf(out, "{\"read\":%" PRIu64, account->read);
	for (int i = 0; i < ACCOUNT_TERMS; i++)
		buf_printf(out, ",\"%s\":%" PRIu64, account_term_names[i], account->terms[i]);
	buf_add_text(out, ",\"dropped\":{");
	for (int i = 0; i < DROP_REASONS; i++)
		buf_printf(out, "%s\"%s\":%" PRIu64, i != 0 ? "," : "", drop_reason_names[i], account->dropped[i]);
	buf_printf(out, "},\"imbalance\":%" PRId64 "}", account_imbalance(account));
}

static void write_lanes(const struct pipeline *pipeline, struct buf *out)
{
	struct lane *lane, *next;
	bool first = true;

	buf_add_text(out, ",\"troubled_lanes\":[");
	HASH_ITER (hh, pipeline->shipper.lanes, lane, next) {
		uint64_t now = clock_monotonic_ms();

		if (lane->trouble[0] == '\0')
			continue;
		buf_printf(out, "%s{\"lane\":%u,\"held\":%s,\"attempts\":%u,\"next_try_ms\":%" PRIu64 ",\"destination\":", first ? "" : ",",
			lane->number, lane->held ? "true" : "false", lane->attempt, lane->next_try_ms > now ? lane->next_try_ms - now : 0);
		buf_add_json(out, lane->destination_count != 0 ? lane->destination[0] : "",
			lane->destination_count != 0 ? strlen(lane->destination[0]) : 0);
		buf_add_text(out, ",\"answer\":");
		buf_add_json(out, lane->trouble, strlen(lane->trouble));
		buf_add_text(out, "}");
		first = false;
	}
	buf_add_text(out, "]");
}

static void write_trouble(const struct pipeline *pipeline, struct buf *out)
{
	struct answer trouble = output_trouble(pipeline);
	const char *text = trouble.text != NULL ? trouble.text : trouble.reason;

	buf_add_text(out, ",\"trouble\":");
	if (trouble.kind == ANSWER_SENT)
		buf_add_text(out, "null");
	else
		buf_add_json(out, text, strlen(text));
}

void pipeline_write_status(struct pipeline *pipeline, struct buf *out)
{
	static const char *const words[] = {[PIPELINE_OK] = "ok", [PIPELINE_RETRYING] = "retrying", [PIPELINE_HELD] = "held"};
	const struct shipper *shipper = &pipeline->shipper;

	buf_printf(out, "{\"name\":\"%s\",\"type\":\"%s\",\"state\":\"%s\"", pipeline_name(pipeline), shipper->ops->name,
		pipeline->is_draining ? "draining" : words[pipeline_health(pipeline)]);
	buf_printf(out, ",\"lag_bytes\":%" PRIu64 ",\"lag_seconds\":%.3f", pipeline_lag_bytes(pipeline), lag_seconds(pipeline));
	buf_printf(out, ",\"records\":%.0f,\"bytes\":%.0f,\"retries\":%.0f", metric_value(shipper->metrics.records),
		metric_value(shipper->metrics.bytes), metric_value(shipper->metrics.retries));
	buf_printf(out, ",\"memory_bytes\":%zu,\"memory_limit\":%zu,\"unproven_bytes\":%zu,\"open_batches\":%u,\"sealed_batches\":%u,\"in_flight\":%u",
		shipper->memory_used, pipeline->gatherer.memory_limit, shipper->unproven_memory, pipeline->gatherer.open_count, shipper->queued_count,
		shipper->in_flight_count);
	buf_printf(out, ",\"resumed_files\":%" PRIu64 ",\"mismatched_files\":%" PRIu64 ",\"late_bytes\":%" PRIu64, pipeline->resumed,
		pipeline->mismatched, pipeline->cursor_env.late_bytes);
	buf_add_text(out, ",\"account\":");
	write_account(&pipeline->account, out);
	write_lanes(pipeline, out);
	write_trouble(pipeline, out);
	buf_add_text(out, ",\"detail\":{");
	if (shipper->ops->status != NULL && shipper->output != NULL)
		shipper->ops->status(shipper->output, out);
	buf_add_text(out, "}}");
}

void pipeline_write_streams(struct pipeline *pipeline, struct buf *out, bool *first)
{
	for (const struct cursor *cursor = pipeline->cursors; cursor != NULL; cursor = cursor->next) {
		const struct tail *tail = cursor->reader.tail;
		const struct origin *origin = &tail->container->origin;

		buf_printf(out, "%s\n{\"output\":\"%s\",\"path\":", *first ? "" : ",", pipeline_name(pipeline));
		*first = false;
		buf_add_json(out, tail->path, strlen(tail->path));
		buf_printf(out, ",\"namespace\":\"%s\",\"pod\":\"%s\",\"uid\":\"%s\",\"container\":\"%s\",\"restart\":%u", origin->namespace_name,
			origin->pod, origin->uid, origin->container, tail->name.restart);
		buf_printf(out, ",\"size\":%" PRIu64 ",\"read_offset\":%" PRIu64 ",\"mark\":%" PRIu64 ",\"committed\":%" PRIu64, tail->size,
			cursor->read_offset, cursor->mark.offset, cursor->mark.durable_offset);
		buf_printf(out, ",\"lag_bytes\":%" PRIu64 ",\"unlinked\":%s,\"waiting\":%s,\"account\":", cursor_lag(cursor),
			tail->unlinked ? "true" : "false", cursor->is_open ? "false" : "true");
		write_account(&cursor->ledger.account, out);
		buf_add_text(out, "}");
	}
}

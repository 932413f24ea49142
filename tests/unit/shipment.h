/* The shipper's side of the output contract, for tests: parcels that watch how they are answered, and a loop
 * that runs until something is true.
 *
 * A shipment frees its parcel's bytes with the last answer, as the shipper may: an output that touches them
 * later is caught by valgrind. */
#ifndef DRAVE_TESTS_SHIPMENT_H
#define DRAVE_TESTS_SHIPMENT_H

#include <check.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/clock.h"
#include "common/must.h"
#include "outputs/output.h"

#define SHIPMENT_RECORDS 4096
#define DEADLINE_MS      30000

/* ---- the loop -------------------------------------------------------------------------------- */

struct bench {
	uv_loop_t loop;
	uv_timer_t beat; /* has uv_run return, so that a condition is looked at */
	pthread_t thread;
	struct metric_table *metrics;
	struct output_env env;
	const struct output_ops *ops;
	struct output *output;
	void *options;   /* lent to the output until it is closed, and spoilt then */
	bool is_sending; /* inside send() */
	unsigned stopped_count;
};

static inline void bench_beat(uv_timer_t *timer)
{
	(void)timer;
}

static inline void bench_init(struct bench *bench)
{
	*bench = (struct bench){.thread = pthread_self()};
	ck_assert_int_eq(uv_loop_init(&bench->loop), 0);
	ck_assert_int_eq(uv_timer_init(&bench->loop, &bench->beat), 0);
	ck_assert_int_eq(uv_timer_start(&bench->beat, bench_beat, 5, 5), 0);
	bench->metrics = metric_table_new();
	bench->env = (struct output_env){
	    .loop = &bench->loop,
	    .metrics = bench->metrics,
	    .name = "main",
	    .node_name = "node-1",
	    .compression = "zstd",
	    .compression_level = 1,
	    .memory_limit = 16 << 20,
	};
}

/* Runs the loop until condition holds; fails the test at the deadline. */
#define RUN_UNTIL(bench, condition)                                                                          \
	for (uint64_t deadline_ms_ = clock_monotonic_ms() + DEADLINE_MS; !(condition);                       \
	     uv_run(&(bench)->loop, UV_RUN_ONCE))                                                            \
	ck_assert_msg(clock_monotonic_ms() < deadline_ms_, "%s did not come true", #condition)

static inline void bench_open(struct bench *bench, const struct output_ops *ops, const void *options)
{
	struct err err = {0};

	bench->ops = ops;
	bench->options = xcalloc(1, ops->options_size + 1);
	if (options != NULL)
		memcpy(bench->options, options, ops->options_size);
	ck_assert_msg(ops->open(&bench->output, bench->options, &bench->env, &err) == 0, "%s", err.text);
}

static inline void bench_stopped(void *arg)
{
	struct bench *bench = arg;

	ck_assert(!bench->is_sending);
	bench->stopped_count++;
}

static inline void bench_stop(struct bench *bench)
{
	bench->is_sending = true;
	bench->ops->stop(bench->output, bench_stopped, bench);
	bench->is_sending = false;
	RUN_UNTIL(bench, bench->stopped_count != 0);
}

static inline void bench_close(struct bench *bench)
{
	if (bench->output == NULL)
		return;
	if (bench->stopped_count == 0)
		bench_stop(bench);
	bench->ops->close(bench->output);
	bench->output = NULL;
	memset(bench->options, 0xa5, bench->ops->options_size);
	free(bench->options);
}

/* Closes the output if there is one, and ends the loop: nothing may be left on it. */
static inline void bench_release(struct bench *bench)
{
	bench_close(bench);
	uv_close((uv_handle_t *)&bench->beat, NULL);
	ck_assert_int_eq(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&bench->loop), 0);
	ck_assert_uint_le(bench->stopped_count, 1);
	metric_table_free(bench->metrics);
}

/* Options of an output from lines of its section, which must be right; freed by bench_free_options. */
static inline void *bench_options(const struct output_ops *ops, const char *lines)
{
	char *text = xasprintf("[output:main]\n%s", lines);
	void *options = xcalloc(1, ops->options_size + 1);
	struct bind_target target = {ops->rows, options};
	struct ini_complaints complaints;
	struct ini ini = {0};

	ini_complaints_init(&complaints);
	ini_read_text(&ini, "test", text, strlen(text), getenv, &complaints);
	if (ops->rows != NULL)
		bind_section(ini.sections, "output:main", &target, 1, &complaints);
	if (ops->check != NULL)
		ops->check(options, ini.sections, "output:main", &complaints);
	ck_assert_msg(complaints.error_count == 0, "%s", buf_text(&complaints.text));
	ini_complaints_release(&complaints);
	ini_release(&ini);
	free(text);
	return options;
}

static inline void bench_free_options(const struct output_ops *ops, void *options)
{
	if (ops->rows != NULL)
		bind_release(ops->rows, options);
	free(options);
}

static inline double bench_metric(struct bench *bench, const struct metric_family *family)
{
	return metric_value(metric_get(bench->metrics, family, "main"));
}

/* ---- a parcel -------------------------------------------------------------------------------- */

struct shipment {
	struct parcel parcel;
	struct bench *bench;
	char *raw, *body;
	struct parcel_record *records;
	const char *destination[OUTPUT_TEMPLATES];
	size_t open_count;
	bool is_done;
	unsigned counts[4]; /* answers by kind */
	unsigned alone_count; /* rejections of a record that was judged alone */
	enum answer_kind kinds[SHIPMENT_RECORDS];
	char reason[64], text[256]; /* of the last answer that was not SENT */
};

static inline void shipment_note(struct shipment *shipment, size_t index, const struct answer *answer)
{
	struct parcel_record *record = &shipment->records[index];

	ck_assert_msg(!record->settled, "record %zu had its final answer before", index);
	ck_assert_msg(!record->answered, "record %zu is answered twice", index);
	record->answered = true;
	shipment->kinds[index] = answer->kind;
	shipment->counts[answer->kind]++;
	shipment->alone_count += answer->kind == ANSWER_REJECTED && answer->is_alone;
	shipment->open_count--;
}

static inline void shipment_answer(struct parcel *parcel, size_t index, const struct answer *answer)
{
	struct shipment *shipment = container_of(parcel, struct shipment, parcel);

	ck_assert_msg(!shipment->is_done, "an answer after the last one");
	ck_assert_msg(!shipment->bench->is_sending, "an answer from inside send() or stop()");
	ck_assert_msg(
	    pthread_equal(pthread_self(), shipment->bench->thread), "an answer from another thread");
	ck_assert_ptr_nonnull(answer->reason);
	if (answer->kind != ANSWER_SENT) {
		(void)snprintf(shipment->reason, sizeof shipment->reason, "%s", answer->reason);
		(void)snprintf(
		    shipment->text, sizeof shipment->text, "%s", answer->text != NULL ? answer->text : "");
	}
	if (index != PARCEL_ALL) {
		ck_assert_uint_lt(index, parcel->record_count);
		shipment_note(shipment, index, answer);
	} else {
		for (size_t i = 0; i < parcel->record_count; i++)
			if (!shipment->records[i].settled && !shipment->records[i].answered)
				shipment_note(shipment, i, answer);
	}
	if (shipment->open_count == 0) {
		shipment->is_done = true;
		free(shipment->raw);
		free(shipment->body);
		free(shipment->records);
		shipment->parcel = (struct parcel){0};
	}
}

/* A parcel of these records (each ended by the separator), of one source, all at time_ns. */
static inline struct shipment *shipment_new(struct bench *bench, const char *const *texts, size_t count,
    const struct source *source, int64_t time_ns, const char *destination)
{
	struct shipment *shipment = x_new(shipment);
	size_t len = 0;

	ck_assert_uint_le(count, SHIPMENT_RECORDS);
	for (size_t i = 0; i < count; i++)
		len += strlen(texts[i]) + 1;
	shipment->bench = bench;
	shipment->raw = xmalloc(len);
	shipment->records = xcalloc(count, sizeof shipment->records[0]);
	shipment->destination[0] = destination;
	shipment->open_count = count;
	len = 0;
	for (size_t i = 0; i < count; i++) {
		size_t text_len = strlen(texts[i]);

		shipment->records[i] = (struct parcel_record){
		    .offset = (uint32_t)len, .len = (uint32_t)text_len, .source = source, .time_ns = time_ns};
		memcpy(shipment->raw + len, texts[i], text_len);
		shipment->raw[len + text_len] = '\n';
		len += text_len + 1;
	}
	shipment->body = xmalloc(len);
	memcpy(shipment->body, shipment->raw, len);
	shipment->parcel = (struct parcel){
	    .raw = shipment->raw,
	    .records = shipment->records,
	    .record_count = count,
	    .body = shipment->body,
	    .body_len = len,
	    .destination = shipment->destination,
	    .answer = shipment_answer,
	};
	return shipment;
}

/* This record has its final answer already. */
static inline void shipment_settle(struct shipment *shipment, size_t index)
{
	shipment->records[index].settled = true;
	shipment->parcel.has_settled = true;
	shipment->open_count--;
}

static inline void shipment_send(struct shipment *shipment)
{
	struct bench *bench = shipment->bench;

	bench->is_sending = true;
	bench->ops->send(bench->output, &shipment->parcel);
	bench->is_sending = false;
}

static inline void shipment_free(struct shipment *shipment)
{
	ck_assert(shipment->is_done);
	free(shipment);
}

#endif

/* The one plug-in interface: what an output is, and the contract between it and the shipper.
 *
 * The shipper lends an output one parcel at a time per lane: a run of encoded records of one destination.  The output answers it record by record,
 * or all at once.  The contract, which tests/unit/test_output_contract.c holds against every output:
 *
 *  1. Each record of a sent parcel that was not yet settled is answered exactly once, later, on the loop thread, never from inside send().
 *  2. ANSWER_SENT means the far side said so: a complete 2xx, a delivery report without error (acks=all).  Queued is not sent.
 *  3. ANSWER_RETRY means: the same bytes again, later; the shipper decides when.  An output never sleeps, never retries beyond what its library does
 *     by itself, never lets a record of a parcel arrive before an earlier one of it that may still
 *     arrive.  So a record's RETRY or HOLD may be the answer to all behind it.
 *  4. ANSWER_HOLD means: nobody is served by trying soon (credentials, permissions, unknown topic): the shipper retries slowly and raises an alarm.
 *     Nothing is ever dropped for it.
 *  5. ANSWER_REJECTED means: these bytes cannot be taken.  Said of a record in company it is not final: the shipper sends smaller parcels until the
 *     record stands alone (and, where the output `merges`, with nothing else under way), or an answer says that it was judged alone.  Only a rejection alone
 *     is final.
 *  6. Bytes are borrowed until the answer.  Library threads never touch our state: they write to a descriptor that the loop polls.
 *  7. stop() has every open record answered (ANSWER_RETRY if its fate is unknown), then calls stopped, once, later.
 *  8. An output never logs a record's content, and not once per record. */
#ifndef DRAVE_OUTPUTS_OUTPUT_H
#define DRAVE_OUTPUTS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/http.h"
#include "common/metric.h"
#include "conf/bind.h"
#include "outputs/format.h"
#include "outputs/record.h"
#include "outputs/template.h"

enum answer_kind { ANSWER_SENT, ANSWER_RETRY, ANSWER_HOLD, ANSWER_REJECTED };

struct answer {
	enum answer_kind kind;
	const char *reason;     /* a word for metrics and dead letters: "too_large", "unauthorized", "refused"; static */
	const char *text;       /* a sentence for /status and the log, or NULL; borrowed during the call */
	int64_t retry_after_ms; /* the far side's wish with RETRY or HOLD; -1 = none */
	bool is_alone;          /* REJECTED: the record was judged by itself, in whatever company it was sent */
};

struct parcel_record {
	uint32_t offset; /* in parcel->raw */
	uint32_t len;    /* without the separator */
	uint64_t source_bytes;
	int64_t time_ns;
	const struct source *source; /* borrowed: outlives the parcel */
	uint8_t stream;              /* enum record_stream */
	bool settled;                /* has its final answer already: outputs skip it */
	bool answered;               /* the shipper's: this sending of it was answered */
};

#define PARCEL_ALL SIZE_MAX

struct parcel {
	const char *raw;                     /* the encoded records, each with its separator */
	const struct parcel_record *records; /* of this parcel */
	size_t record_count;
	const char *body;                    /* framed and compressed, for outputs that want it packed; else NULL */
	size_t body_len;
	const char *encoding;                /* "zstd", "gzip", or NULL: the Content-Encoding of body */
	const char *const *destination;      /* the expanded destination templates, in the order that the output named them */
	unsigned lane;
	bool is_doubted;                     /* its lane's last try failed: a few of its records may show whether the others can follow */
	bool is_alone;                       /* nothing else of this output is under way, nor comes before its last answer */
	bool has_settled;                    /* some records are settled (never so for packed parcels) */
	/* The answer to record number index, or to all that are not settled (PARCEL_ALL).  After the last one the parcel is gone. */
	void (*answer)(struct parcel *parcel, size_t index, const struct answer *answer);
	void *slot;                          /* the output's own, NULL at send */
};

/* What an output gets from the house at open; lives as long as the output. */
extern const struct metric_family output_wire_bytes; /* drave_output_wire_bytes_total{output}: each output counts what it puts on the wire */

struct output_env {
	uv_loop_t *loop;
	struct http *http;
	struct metric_table *metrics;
	const char *name;      /* of the [output:NAME] section: the metric label */
	const char *node_name;
	const char *compression; /* "zstd", "gzip", "none": for outputs that compress themselves */
	int compression_level;
	uint64_t memory_limit; /* bytes its library may hold at most, in its queues */
};

struct output; /* each implementation's own */

/* One of the texts that make a destination. */
struct destination_text {
	const char *template;
	enum template_place place;
	const char *fallback; /* stands where the template cannot be filled (Kafka's fallback_topic); NULL: it stands empty */
};

struct output_ops {
	const char *name;             /* the word of `type` */
	const char *help;             /* one sentence, for the man page */
	const struct bind_row *rows;  /* its own keys of [output:NAME]; NULL = none */
	size_t options_size;
	bool merges;                  /* records of several parcels can be rejected together (Kafka's message sets) */

	/* Judges keys together after binding; section may be NULL.  May be NULL. */
	void (*check)(const void *options, const struct ini_section *section, const char *section_name, struct ini_complaints *complaints);
	/* What follows up to open tells what the output wants; NULL stands for the usual, named last. */
	/* Does it want parcels packed (body) rather than raw records?  Raw. */
	bool (*wants_packed)(const void *options);
	/* The wire format of its records: NDJSON. */
	const struct format *(*format)(const void *options);
	/* The templates whose expansions make the destination: fills at most OUTPUT_TEMPLATES texts, returns how many.  None. */
	size_t (*destination)(const void *options, struct destination_text *ret_texts);
	/* The most bytes of one encoded record, 0 = no limit.  No limit. */
	size_t (*record_limit)(const void *options);
	/* How long between tries after RETRY and HOLD, in ms.  1 s to 60 s. */
	struct bind_range (*retry_backoff)(const void *options);

	/* Validates, allocates, starts; must not wait for the network.  options are borrowed until close. */
	int (*open)(struct output **ret_output, const void *options, const struct output_env *env, struct err *err);
	void (*send)(struct output *output, struct parcel *parcel);
	void (*stop)(struct output *output, void (*stopped)(void *arg), void *arg);
	/* After stopped.  Asynchronous: memory goes in the last close callback of the loop. */
	void (*close)(struct output *output);
	/* Members of a JSON object (without braces) for /status, such as "\"brokers_up\":2"; may append nothing. */
	void (*status)(const struct output *output, struct buf *out);
	/* Does something keep it from delivering, although records wait for no answer but this (a library that goes on trying by itself)?  Then
	 * *ret_answer says what: RETRY or HOLD, reason, text (borrowed until the loop's next turn).  May be NULL: answers tell it all. */
	bool (*trouble)(const struct output *output, struct answer *ret_answer);
};

#define OUTPUT_TEMPLATES 34 /* a URL or topic, and up to 33 header values */

extern const struct output_ops output_kafka;
extern const struct output_ops output_http;
extern const struct output_ops output_stdout;
extern const struct output_ops output_null;

/* Version text of librdkafka, for --version. */
const char *output_kafka_library(void);

/* outputs/outputs.c: all of them. */
extern const char *const output_words[];
const struct output_ops *output_by_index(int index);

#endif

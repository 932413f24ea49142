/* The receiver's account of what arrived: each generated line by its marker, or each record by its bytes. */
#ifndef DRAVE_BENCH_ACCOUNT_H
#define DRAVE_BENCH_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCOUNT_CONTAINERS   65536
#define ACCOUNT_LINES        (1u << 23) /* of one container */
#define ACCOUNT_LATENCIES    (1u << 25)
#define ACCOUNT_REPORT_BYTES 1024

struct record_set;

struct line_bits {
	atomic_ullong words[ACCOUNT_LINES / 64];
};

/* Counters may be added to from any thread. */
struct account {
	atomic_ullong request_count, wire_bytes, body_bytes; /* HTTP: heads included, as they came */
	atomic_ullong message_count;                         /* Kafka */
	atomic_ullong undecodable_count;
	atomic_ullong plain_bytes;
	atomic_ullong first_ns, last_ns; /* CLOCK_MONOTONIC of the first line, and of the last that was new */

	/* Lines by marker; bad: a line number beyond ACCOUNT_LINES. */
	atomic_ullong unique_count, duplicate_count, bad_count;
	_Atomic(struct line_bits *) seen[ACCOUNT_CONTAINERS]; /* a bit for each line */
	atomic_ullong latency_count;
	uint32_t *latencies_us;

	struct record_set *records; /* NULL unless records are told apart */
};

/* tell_records: count records (lines of a body) too, and the different ones among them. */
struct account *account_new(bool tell_records);
/* Accounts for the plain bytes of a body, or of a piece of one: markers that start in the first start_limit
 * of len bytes. */
void account_take(struct account *account, const char *bytes, size_t len, size_t start_limit);
/* Kafka counted by its high watermarks: count more messages, each taken for one new line. */
void account_take_messages(struct account *account, unsigned long long count);
/* Back to zero. */
void account_reset(struct account *account);
/* Writes all counters as one JSON object; with_latency sorts all latencies for it.  Returns its length. */
size_t account_report(struct account *account, bool with_latency, char out[ACCOUNT_REPORT_BYTES]);

#endif

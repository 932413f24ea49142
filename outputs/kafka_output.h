/* Kafka output: its options, and the pure parts that tests look at. */
#ifndef DRAVE_OUTPUTS_KAFKA_OUTPUT_H
#define DRAVE_OUTPUTS_KAFKA_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "conf/bind.h"
#include "outputs/output.h"

enum kafka_payload { KAFKA_RECORD, KAFKA_BATCH };
enum kafka_timestamp { KAFKA_LOG, KAFKA_INGEST };

struct kafka_options {
	char *brokers;
	char *topic;
	char *fallback_topic;
	char *key;
	struct bind_list headers; /* "name=template" */
	int payload;
	int acks;
	uint64_t linger_ms;
	int partitioner;
	int timestamp;
	bool tls;
	char *ca_file, *cert_file, *key_file;
	char *sasl_mechanism;
	char *username;
	char *password_file;
	struct bind_list rdkafka; /* "property=value" */
	struct bind_range retry_backoff;
};

extern const struct bind_row kafka_rows[];
extern const char *const kafka_acks_words[];
extern const char *const kafka_partitioner_words[];

/* Judges keys together (see output_ops.check). */
void kafka_check(const void *options, const struct ini_section *section, const char *section_name, struct ini_complaints *complaints);

/* The answer that a delivery report's error code (rd_kafka_resp_err_t) stands for.  Pure. */
struct answer kafka_verdict(int code);

/* Appends the expansion as a legal topic name: other characters than a-z A-Z 0-9 . _ - become _, at most 249 (Kafka's limit). "." and ".." get an
 * underscore. Pure. */
void kafka_topic_name(const char *expansion, char out[250]);

/* The time that a message carries, in ms: that of the log, unless it is more than an hour ahead of now_ms, which Kafka 4 refuses (KIP-1030); then *ret_clamped. */
int64_t kafka_message_time(int64_t log_ns, int64_t now_ms, bool *ret_clamped);

#endif

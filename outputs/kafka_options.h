/* The keys of [output:NAME] with type = kafka, and what they become in librdkafka. */
#ifndef DRAVE_OUTPUTS_KAFKA_OPTIONS_H
#define DRAVE_OUTPUTS_KAFKA_OPTIONS_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "conf/bind.h"
#include "outputs/output.h"

enum kafka_payload { KAFKA_PAYLOAD_RECORD, KAFKA_PAYLOAD_BATCH };
enum kafka_timestamp { KAFKA_TIMESTAMP_LOG, KAFKA_TIMESTAMP_INGEST };

#define KAFKA_HEADERS_MAX 32
#define KAFKA_STREAM_KEY  "{namespace}/{pod}/{container}" /* what key is unless it is given */

struct kafka_options {
	char *brokers;
	char *topic; /* template */
	char *fallback_topic;
	char *key;                /* template; NULL: the default of the payload */
	struct bind_list headers; /* "name=template" */
	int payload;              /* enum kafka_payload */
	char *acks;
	uint64_t linger_ms;
	int partitioner;
	int timestamp; /* enum kafka_timestamp */
	bool tls;
	char *ca_file, *cert_file, *key_file;
	int sasl_mechanism; /* 0 = none */
	char *username, *password_file;
	struct bind_list rdkafka; /* "property=value" */
	struct bind_range retry_backoff;
};

extern const struct bind_row kafka_rows[];

/* output_ops.check: judges keys together, and asks librdkafka about each rdkafka.* key. */
void kafka_options_check(const void *options, const struct ini_section *section, const char *section_name,
    struct ini_complaints *complaints);
/* output_ops.destination: the topic; then the key, and each header, that labels or annotations are in.  So a message
 * tells what its pod's were when its record was read, however late it is sent. */
size_t kafka_options_destination(const void *options, struct destination_text *ret_texts);
/* Where in it the expansions of the key and of each header stand; 0: labels and annotations are not in it, so
 * it is no part of the destination. */
struct kafka_places {
	size_t key;
	size_t headers[KAFKA_HEADERS_MAX];
	size_t count; /* of all texts, the topic included */
};
struct kafka_places kafka_options_places(const struct kafka_options *options);
/* output_ops.record_limit: what librdkafka takes as one message, less the longest key and headers that the
 * templates can become. */
size_t kafka_options_record_limit(const void *options);

/* Is the order of a container kept by the producer, so that it treats a refusal for good as fatal?  Not with
 * acks = 1, which excludes it; not with payload = batch, where a lane has one message under way. */
bool kafka_options_keep_order(const struct kafka_options *options);
/* librdkafka's configuration, of the careful producer or of the usual one (kafka_line.h), the caller's to hand
 * to rd_kafka_new or to destroy; password may be NULL.  NULL with err filled if librdkafka refuses a property. */
rd_kafka_conf_t *kafka_options_conf(const struct kafka_options *options, const struct output_env *env,
    bool is_careful, const char *password, struct err *err);
/* Says in the log what this library cannot do and what these options give up; once, at start. */
void kafka_options_warn(const struct kafka_options *options, const struct output_env *env);

#endif

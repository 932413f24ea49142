/* Records and batches -> messages of librdkafka: key, headers, time. */
#ifndef DRAVE_OUTPUTS_KAFKA_MESSAGE_H
#define DRAVE_OUTPUTS_KAFKA_MESSAGE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "outputs/kafka_options.h"
#include "outputs/output.h"

struct kafka_header;

/* Embedded; one an output. */
struct kafka_messages {
	const struct kafka_options *options;
	const char *node_name;
	struct template *key, *stream_key; /* the latter where the former cannot be filled */
	size_t key_place;             /* in the destination, if labels are in it; else 0 */
	struct kafka_header *headers; /* as many as the options have */
	struct buf key_text;
	const struct source
	    *source; /* what key and headers were expanded for last, and when in time; NULL = nothing */
	int64_t minute;
	int stream;
	bool depends_on_time, depends_on_stream;
	uint64_t ahead_count; /* messages whose time was more than an hour ahead */
};

/* options and node_name are borrowed until the release. */
void kafka_messages_init(
    struct kafka_messages *messages, const struct kafka_options *options, const char *node_name);
void kafka_messages_release(struct kafka_messages *messages);
/* Forgets for whom it expanded last: a source may be another one at the same address in the next parcel. */
void kafka_messages_forget(struct kafka_messages *messages);

/* Enqueues one record of the parcel, or the packed body as one message; the value is not copied and stays the
 * parcel's.  now_ns is the wall clock.  Returns librdkafka's code; on ERR__QUEUE_FULL the same again later.
 */
rd_kafka_resp_err_t kafka_messages_enqueue_record(struct kafka_messages *messages, rd_kafka_t *rk,
    rd_kafka_topic_t *topic, const struct parcel *parcel, size_t index, int64_t now_ns, void *opaque);
rd_kafka_resp_err_t kafka_messages_enqueue_batch(struct kafka_messages *messages, rd_kafka_t *rk,
    rd_kafka_topic_t *topic, const struct parcel *parcel, int64_t now_ns, void *opaque);

#endif

/* What Kafka's words mean for a record, and what of ours Kafka takes: decisions without state. */
#ifndef DRAVE_OUTPUTS_KAFKA_VERDICT_H
#define DRAVE_OUTPUTS_KAFKA_VERDICT_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "outputs/output.h"

/* The answer to the records of a message, from the code of its delivery report or of the call that should
 * have enqueued it.  Never ANSWER_SENT but for NO_ERROR; a code that nobody here knows is ANSWER_RETRY. */
struct answer kafka_verdict(rd_kafka_resp_err_t code);

#define KAFKA_TOPIC_BYTES 249
/* The expansion of a topic template as Kafka takes it: what is not a letter, a digit, '.', '_' or '-' becomes
 * '_', what is too long is cut, and
 * "", "." and ".." become underscores. */
void kafka_topic_name(const char *expansion, char out[KAFKA_TOPIC_BYTES + 1]);
/* Is it one already? */
bool kafka_topic_is_legal(const char *name);

#define KAFKA_AHEAD_MAX_MS 3600000
/* The time that a message carries, in ms since 1970: the record's, or now if that is none Kafka takes (before
 * 1970, or more than an hour ahead: then *ret_is_ahead is set). */
int64_t kafka_timestamp_ms(int64_t record_ns, int64_t now_ns, bool *ret_is_ahead);

#endif

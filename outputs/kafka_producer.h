/* One librdkafka producer on the loop: its reports and errors come as calls on the loop thread, and its end
 * does not block. */
#ifndef DRAVE_OUTPUTS_KAFKA_PRODUCER_H
#define DRAVE_OUTPUTS_KAFKA_PRODUCER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"

struct kafka_producer;

struct kafka_producer_calls {
	/* A message has its delivery report; librdkafka has let go of its bytes. */
	void (*report)(void *arg, void *opaque, rd_kafka_resp_err_t code);
	/* Something that is not about one message.  Fatal: this producer sends nothing any more; code is then
	 * the cause. */
	void (*error)(void *arg, rd_kafka_resp_err_t code, bool is_fatal, const char *text);
	/* After a number of those: here is the place to act on them. */
	void (*turn)(void *arg);
};

/* conf is taken, whatever comes of it.  calls are borrowed until the end, name for good.  None of them comes
 * from inside this function.  Returns 0 or -errno with err. */
int kafka_producer_new(struct kafka_producer **ret_producer, uv_loop_t *loop, rd_kafka_conf_t *conf,
    const char *name, const struct kafka_producer_calls *calls, void *arg, struct err *err);
rd_kafka_t *kafka_producer_handle(const struct kafka_producer *producer);
/* Asks for messages back, those that are queued or all that has no report: their reports come soon, with
 * ERR__PURGE_QUEUE or ERR__PURGE_INFLIGHT. */
void kafka_producer_recall(struct kafka_producer *producer, bool is_all);
/* Ends it on a thread, since that may block.  Topic handles are gone by then.  No call comes any more, and
 * bytes of messages without a report are free again when ended(arg) comes, once, later. */
void kafka_producer_end(struct kafka_producer *producer, void (*ended)(void *arg));
/* Between these two, and only if every message has its report: waits no longer.  ended(arg) comes soon, and
 * the thread ends when it can, or with the process. */
void kafka_producer_abandon(struct kafka_producer *producer);

/* What librdkafka's statistics said last (statistics.interval.ms). */
struct kafka_statistics {
	uint64_t wire_bytes; /* of all that was sent to brokers */
	uint64_t rtt_us;     /* mean round trip of late, of the slowest broker */
	unsigned brokers_up; /* connected to */
};
const struct kafka_statistics *kafka_producer_statistics(const struct kafka_producer *producer);
/* From their JSON text; what is not found there is 0. */
void kafka_statistics_read(const char *json, struct kafka_statistics *statistics);

#endif

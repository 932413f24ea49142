/* The receiver's three doors. */
#ifndef DRAVE_BENCH_RECEIVE_H
#define DRAVE_BENCH_RECEIVE_H

#include <stdbool.h>

#include "bench/account.h"

struct answers {
	const char *body;  /* of every answer to a POST */
	unsigned delay_ms; /* before it, as from far away */
};

/* One connection until its end; each has a thread of its own.  They close fd. */
void receive_http(int fd, struct account *account, const struct answers *answers);
void receive_tcp(int fd, struct account *account);

/* Starts librdkafka's mock cluster with one broker and one topic in this process; returns its bootstrap
 * servers, or NULL. */
const char *kafka_start(const char *topic, int partition_count);
/* Never returns.  consume: read all messages and account for their lines (a message whose header
 * content-encoding says so is decoded first); else count messages by the high watermarks of the partitions.
 */
_Noreturn void kafka_receive(const char *bootstrap_servers, const char *topic, int partition_count,
    bool consume, struct account *account);

#endif

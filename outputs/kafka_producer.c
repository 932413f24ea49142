/* Kafka producer.  librdkafka's event API: its threads write to an eventfd when its one queue stops being
 * empty, the loop drains that queue.
 *
 *     new --> calls, until --> end: poll closed --> queue given back --> destroyed on a thread --> ended
 *                                                                          abandoned ---------^
 *
 * Stands under the Kafka output.  Owns the handle, the queue, the eventfd.  Nothing here runs on a thread of
 * librdkafka's.  The handle's end has a thread of its own, and no worker of the loop's: it waits for threads
 * that may hang in a resolver for half a minute, and others need the workers.  (Interceptors would tell the
 * bytes on the wire sooner than statistics do, but a producer that has one and cannot be started is freed
 * twice, up to librdkafka 2.8 at least.)  Refuses to judge an error. */
#include "config.h"
#include "outputs/kafka_producer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE     "kafka"
#define PRODUCER_MAGIC MAGIC('k', 'p', 'r', 'o')
#define WORK_PER_TURN  20000 /* events and reports that are taken before the loop looks at other things */
#define SYSLOG_WARNING 4

struct kafka_producer {
	unsigned magic;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	int event_fd;
	uv_poll_t poll; /* of the eventfd; at the end, of the farewell */
	int farewell_fd;
	bool is_abandoned;
	const char *name; /* of the output, for the log */
	const struct kafka_producer_calls *calls;
	void *arg;
	void (*ended)(void *arg);
	struct kafka_statistics statistics;
};

static struct kafka_producer *producer_of(void *pointer)
{
	struct kafka_producer *producer = pointer;

	must(producer->magic == PRODUCER_MAGIC);
	return producer;
}

/* ---- statistics ------------------------------------------------------------------------------ */

/* Statistics are one JSON object.  tx_bytes stands in it once, and a broker has
 * "state":"UP" and "rtt":{..."avg":...}; three numbers are found faster so than by reading hundreds of
 * kilobytes into a tree. */
void kafka_statistics_read(const char *json, struct kafka_statistics *statistics)
{
	static const char bytes_name[] = "\"tx_bytes\":", up_name[] = "\"state\":\"UP\"",
			  rtt_name[] = "\"rtt\":", average_name[] = "\"avg\":";
	const char *bytes = strstr(json, bytes_name);

	*statistics = (struct kafka_statistics){0};
	if (bytes != NULL)
		statistics->wire_bytes = strtoull(bytes + sizeof bytes_name - 1, NULL, 10);
	for (const char *up = strstr(json, up_name); up != NULL; up = strstr(up, up_name)) {
		const char *rtt, *average;
		uint64_t rtt_us;

		up += sizeof up_name - 1;
		statistics->brokers_up++;
		rtt = strstr(up, rtt_name);
		average = rtt != NULL ? strstr(rtt, average_name) : NULL;
		rtt_us = average != NULL ? strtoull(average + sizeof average_name - 1, NULL, 10) : 0;
		if (rtt_us > statistics->rtt_us)
			statistics->rtt_us = rtt_us;
	}
}

/* ---- events ---------------------------------------------------------------------------------- */

static size_t take_reports(struct kafka_producer *producer, rd_kafka_event_t *event)
{
	size_t count = rd_kafka_event_message_count(event);
	const rd_kafka_message_t *message;

	while ((message = rd_kafka_event_message_next(event)) != NULL)
		producer->calls->report(producer->arg, message->_private, message->err);
	return count;
}

static void take_error(struct kafka_producer *producer, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	char text[ERR_TEXT_BYTES];

	if (rd_kafka_event_error_is_fatal(event))
		producer->calls->error(
		    producer->arg, rd_kafka_fatal_error(producer->rk, text, sizeof text), true, text);
	else
		producer->calls->error(producer->arg, code, false, rd_kafka_event_error_string(event));
}

/* These come as error events too, so their lines are for whoever debugs.  And that what keeps the order is
 * called experimental is nothing that an operator could act on. */
static bool is_told_twice(const char *facility, const char *text)
{
	if (strcmp(facility, "CONFWARN") == 0)
		return strstr(text, "enable.gapless.guarantee") != NULL;
	return strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 ||
	       strcmp(facility, "FATAL") == 0;
}

static void take_log(const struct kafka_producer *producer, rd_kafka_event_t *event)
{
	const char *facility, *text;
	int level;

	if (rd_kafka_event_log(event, &facility, &text, &level) != 0)
		return;
	if (level <= SYSLOG_WARNING && !is_told_twice(facility, text))
		log_warn("librdkafka says", "output=%s facility=%s text=%s", producer->name, facility,
		    log_quote(text));
	else
		log_debug("librdkafka says", "output=%s facility=%s text=%s", producer->name, facility,
		    log_quote(text));
}

/* Returns how much work it was. */
static size_t take_event(struct kafka_producer *producer, rd_kafka_event_t *event)
{
	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_DR: return take_reports(producer, event);
	case RD_KAFKA_EVENT_ERROR: take_error(producer, event); break;
	case RD_KAFKA_EVENT_LOG: take_log(producer, event); break;
	case RD_KAFKA_EVENT_STATS:
		kafka_statistics_read(rd_kafka_event_stats(event), &producer->statistics);
		break;
	default: break; /* none else was asked for */
	}
	return 1;
}

/* Has the loop call on_event even though the queue does not become non-empty. */
static void kick(const struct kafka_producer *producer)
{
	uint64_t one = 1;

	must(write(producer->event_fd, &one, sizeof one) == sizeof one);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct kafka_producer *producer = producer_of(poll->data);
	size_t work = 0;
	uint64_t count;

	must(status == 0 && (events & UV_READABLE) != 0);
	if (read(producer->event_fd, &count, sizeof count) == -1)
		must(errno == EAGAIN);
	while (work < WORK_PER_TURN) {
		rd_kafka_event_t *event = rd_kafka_queue_poll(producer->queue, 0);

		if (event == NULL)
			break;
		work += take_event(producer, event);
		rd_kafka_event_destroy(event);
	}
	if (work >= WORK_PER_TURN)
		kick(producer); /* there may be more, which nobody will tell of */
	producer->calls->turn(producer->arg);
}

/* ---- life ------------------------------------------------------------------------------------ */

static rd_kafka_t *start(rd_kafka_conf_t *conf, struct err *err)
{
	char text[ERR_TEXT_BYTES / 2];
	rd_kafka_t *rk;

	rd_kafka_conf_set_events(
	    conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		err_set(err, -EINVAL, "cannot start librdkafka: %s", text);
	}
	return rk;
}

int kafka_producer_new(struct kafka_producer **ret_producer, uv_loop_t *loop, rd_kafka_conf_t *conf,
    const char *name, const struct kafka_producer_calls *calls, void *arg, struct err *err)
{
	struct kafka_producer *producer = x_new(producer);
	uint64_t one = 1;

	producer->magic = PRODUCER_MAGIC;
	producer->farewell_fd = -1;
	producer->name = name;
	producer->calls = calls;
	producer->arg = arg;
	producer->rk = start(conf, err);
	if (producer->rk == NULL) {
		free(producer);
		return -EINVAL;
	}
	producer->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	must(producer->event_fd != -1);
	must(uv_poll_init(loop, &producer->poll, producer->event_fd) == 0);
	producer->poll.data = producer;
	must(uv_poll_start(&producer->poll, UV_READABLE, on_event) == 0);
	producer->queue = rd_kafka_queue_get_main(producer->rk);
	must(rd_kafka_set_log_queue(producer->rk, NULL) == RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_queue_io_event_enable(producer->queue, producer->event_fd, &one, sizeof one);
	kick(producer); /* the queue has log lines already: it will not become non-empty by itself */
	*ret_producer = producer;
	return 0;
}

rd_kafka_t *kafka_producer_handle(const struct kafka_producer *producer)
{
	return producer->rk;
}

void kafka_producer_recall(struct kafka_producer *producer, bool is_all)
{
	int flags = RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING;

	if (is_all)
		flags |= RD_KAFKA_PURGE_F_INFLIGHT;
	must(rd_kafka_purge(producer->rk, flags) == RD_KAFKA_RESP_ERR_NO_ERROR);
}

const struct kafka_statistics *kafka_producer_statistics(const struct kafka_producer *producer)
{
	return &producer->statistics;
}

/* What the thread takes along: nobody else has any of it. */
struct farewell {
	rd_kafka_t *rk;
	int event_fd; /* librdkafka may have looked at it to the last */
	int done_fd;  /* its closing tells the loop, if that still listens */
};

static void *say_farewell(void *arg)
{
	struct farewell *farewell = arg;

	rd_kafka_destroy(farewell->rk);
	must(close(farewell->event_fd) == 0);
	must(close(farewell->done_fd) == 0);
	free(farewell);
	return NULL;
}

/* Returns a descriptor that is at its end when the handle is gone. */
static int start_farewell(const struct kafka_producer *producer)
{
	struct farewell *farewell = x_new(farewell);
	pthread_attr_t detached;
	pthread_t thread;
	int fds[2];

	must(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
	*farewell = (struct farewell){.rk = producer->rk, .event_fd = producer->event_fd, .done_fd = fds[1]};
	must(pthread_attr_init(&detached) == 0);
	must(pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) == 0);
	must(pthread_create(&thread, &detached, say_farewell, farewell) == 0);
	must(pthread_attr_destroy(&detached) == 0);
	return fds[0];
}

static void on_all_closed(uv_handle_t *handle)
{
	struct kafka_producer *producer = producer_of(handle->data);
	void (*ended)(void *arg) = producer->ended;
	void *arg = producer->arg;

	must(close(producer->farewell_fd) == 0);
	producer->magic = 0;
	free(producer);
	ended(arg);
}

static void stop_waiting(struct kafka_producer *producer)
{
	if (!uv_is_closing((uv_handle_t *)&producer->poll))
		uv_close((uv_handle_t *)&producer->poll, on_all_closed);
}

static void on_farewell(uv_poll_t *poll, int status, int events)
{
	must(status == 0 && (events & UV_READABLE) != 0);
	stop_waiting(producer_of(poll->data));
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct kafka_producer *producer = producer_of(handle->data);

	rd_kafka_queue_io_event_enable(producer->queue, -1, NULL, 0);
	rd_kafka_queue_destroy(producer->queue);
	producer->farewell_fd = start_farewell(producer);
	must(uv_poll_init(handle->loop, &producer->poll, producer->farewell_fd) == 0);
	must(uv_poll_start(&producer->poll, UV_READABLE, on_farewell) == 0);
	if (producer->is_abandoned)
		stop_waiting(producer);
}

void kafka_producer_end(struct kafka_producer *producer, void (*ended)(void *arg))
{
	must(producer->ended == NULL);
	producer->ended = ended;
	uv_close((uv_handle_t *)&producer->poll, on_poll_closed);
}

void kafka_producer_abandon(struct kafka_producer *producer)
{
	must(producer->ended != NULL);
	producer->is_abandoned = true;
	if (producer->farewell_fd != -1)
		stop_waiting(producer);
}

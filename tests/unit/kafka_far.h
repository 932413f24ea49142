/* A Kafka cluster inside the test: librdkafka's mock brokers, and a reader that gets back what lies there.
 *
 * Its end takes a second, so tests of one process share the cluster, each with a topic of its own; under
 * CK_FORK=no it ends with the process, in children it dies with them. */
#ifndef DRAVE_TESTS_KAFKA_FAR_H
#define DRAVE_TESTS_KAFKA_FAR_H

#include <check.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define KAFKA_PRODUCE 0

struct kafka_far {
	rd_kafka_t *owner, *reader;
	rd_kafka_mock_cluster_t *cluster;
	const char *brokers;
	unsigned test_count;
	char topic[32]; /* one partition */
};

static inline void kafka_far_silent(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk, (void)level, (void)facility, (void)text;
}

static inline rd_kafka_t *kafka_far_client(rd_kafka_type_t type, const char *brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[256];
	rd_kafka_t *rk;

	rd_kafka_conf_set_log_cb(conf, kafka_far_silent);
	if (brokers != NULL) {
		ck_assert_int_eq(rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text),
		    RD_KAFKA_CONF_OK);
		ck_assert_int_eq(
		    rd_kafka_conf_set(conf, "fetch.wait.max.ms", "5", text, sizeof text), RD_KAFKA_CONF_OK);
	}
	rk = rd_kafka_new(type, conf, text, sizeof text);
	ck_assert_msg(rk != NULL, "%s", text);
	return rk;
}

static inline struct kafka_far *kafka_far_shared(void)
{
	static struct kafka_far shared;

	return &shared;
}

static inline void kafka_far_end(void)
{
	rd_kafka_mock_cluster_destroy(kafka_far_shared()->cluster);
	rd_kafka_destroy(kafka_far_shared()->owner);
}

static inline void kafka_far_begin(struct kafka_far *far)
{
	const char *fork = getenv("CK_FORK");

	far->owner = kafka_far_client(RD_KAFKA_PRODUCER, NULL);
	far->cluster = rd_kafka_mock_cluster_new(far->owner, 1);
	ck_assert_ptr_nonnull(far->cluster);
	far->brokers = rd_kafka_mock_cluster_bootstraps(far->cluster);
	if (fork != NULL && strcmp(fork, "no") == 0)
		ck_assert_int_eq(atexit(kafka_far_end), 0);
}

/* A cluster in order, with a new topic. */
static inline struct kafka_far *kafka_far_new(void)
{
	struct kafka_far *far = kafka_far_shared();

	if (far->owner == NULL)
		kafka_far_begin(far);
	rd_kafka_mock_clear_request_errors(far->cluster, KAFKA_PRODUCE);
	ck_assert_int_eq(rd_kafka_mock_broker_set_up(far->cluster, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
	ck_assert_int_eq(rd_kafka_mock_broker_set_rtt(far->cluster, 1, 0), RD_KAFKA_RESP_ERR_NO_ERROR);
	(void)snprintf(far->topic, sizeof far->topic, "logs-%u", ++far->test_count);
	ck_assert_int_eq(
	    rd_kafka_mock_topic_create(far->cluster, far->topic, 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
	return far;
}

static inline void kafka_far_release(struct kafka_far *far)
{
	if (far->reader != NULL)
		rd_kafka_destroy(far->reader);
	far->reader = NULL;
}

/* The next `count` requests to produce are answered with this code. */
static inline void kafka_far_refuse(struct kafka_far *far, rd_kafka_resp_err_t code, size_t count)
{
	for (size_t i = 0; i < count; i++)
		rd_kafka_mock_push_request_errors(far->cluster, KAFKA_PRODUCE, 1, code);
}

/* Reads the topic from its beginning, until there are count messages, and hands each to
 * look(). */
static inline void kafka_far_read(
    struct kafka_far *far, size_t count, void (*look)(const rd_kafka_message_t *, size_t, void *), void *arg)
{
	uint64_t deadline_ms = clock_monotonic_ms() + 30000;
	rd_kafka_topic_t *handle;

	if (far->reader == NULL)
		far->reader = kafka_far_client(RD_KAFKA_CONSUMER, far->brokers);
	handle = rd_kafka_topic_new(far->reader, far->topic, NULL);
	ck_assert_int_eq(rd_kafka_consume_start(handle, 0, RD_KAFKA_OFFSET_BEGINNING), 0);
	for (size_t i = 0; i < count;) {
		rd_kafka_message_t *message = rd_kafka_consume(handle, 0, 100);

		ck_assert_msg(clock_monotonic_ms() < deadline_ms, "only %zu of %zu messages came", i, count);
		if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			look(message, i++, arg);
		if (message != NULL)
			rd_kafka_message_destroy(message);
	}
	ck_assert_int_eq(rd_kafka_consume_stop(handle, 0), 0);
	rd_kafka_topic_destroy(handle);
}

#endif

/* Kafka door of the receiver: librdkafka's mock cluster and a client that watches it.  The mock keeps only
 * the last 5 MiB of a partition, so a consumer that must see every message has to keep up; counting by high
 * watermarks costs nothing and cannot fall behind, but does not look into messages. */
#include "config.h"
#include "bench/receive.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/decode.h"
#include "common/must.h"

#define MESSAGES_AT_ONCE 1000
#define WATERMARK_US     20000

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[256];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK) {
		fprintf(stderr, "receiver: %s\n", reason);
		exit(1);
	}
}

const char *kafka_start(const char *topic, int partition_count)
{
	char reason[256];
	rd_kafka_t *owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), reason, sizeof reason);
	rd_kafka_mock_cluster_t *cluster = owner != NULL ? rd_kafka_mock_cluster_new(owner, 1) : NULL;

	if (cluster == NULL || rd_kafka_mock_topic_create(cluster, topic, partition_count, 1) != 0)
		return NULL;
	return rd_kafka_mock_cluster_bootstraps(cluster);
}

static rd_kafka_t *open_client(const char *bootstrap_servers)
{
	char reason[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *client;

	set(conf, "bootstrap.servers", bootstrap_servers);
	set(conf, "group.id", "receiver");
	set(conf, "fetch.wait.max.ms", "5");
	set(conf, "fetch.message.max.bytes", "16000000");
	set(conf, "auto.offset.reset", "earliest");
	set(conf, "check.crcs", "false");
	client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
	if (client == NULL) {
		fprintf(stderr, "receiver: %s\n", reason);
		exit(1);
	}
	return client;
}

static const char *encoding_of(const rd_kafka_message_t *message)
{
	static _Thread_local char word[16];
	rd_kafka_headers_t *headers;
	const void *value;
	size_t len;

	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
	    rd_kafka_header_get_last(headers, "content-encoding", &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return "";
	snprintf(word, sizeof word, "%.*s", (int)len, (const char *)value);
	return word;
}

static void take_message(const rd_kafka_message_t *message, struct account *account, struct buf *plain)
{
	const char *encoding = encoding_of(message);

	atomic_fetch_add(&account->message_count, 1);
	atomic_fetch_add(&account->body_bytes, message->len);
	if (!decode_is_needed(encoding)) {
		account_take(account, message->payload, message->len, message->len);
		return;
	}
	buf_clear(plain);
	if (!decode(encoding, message->payload, message->len, plain))
		atomic_fetch_add(&account->undecodable_count, 1);
	account_take(account, plain->data, plain->len, plain->len);
}

static _Noreturn void consume_all(
    rd_kafka_t *client, const char *topic, int partition_count, struct account *account)
{
	rd_kafka_message_t *messages[MESSAGES_AT_ONCE];
	rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	struct buf plain;

	buf_init(&plain, DECODE_MAX_BYTES);
	for (int i = 0; i < partition_count; i++)
		must(rd_kafka_consume_start_queue(handle, i, RD_KAFKA_OFFSET_BEGINNING, queue) == 0);
	for (;;) {
		ssize_t count = rd_kafka_consume_batch_queue(queue, 100, messages, MESSAGES_AT_ONCE);

		for (ssize_t i = 0; i < count; i++) {
			if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
				take_message(messages[i], account, &plain);
			rd_kafka_message_destroy(messages[i]);
		}
	}
}

static _Noreturn void count_all(
    rd_kafka_t *client, const char *topic, int partition_count, struct account *account)
{
	unsigned long long counted = 0;

	for (;;) {
		unsigned long long sum = 0;

		for (int i = 0; i < partition_count; i++) {
			int64_t low, high;

			if (rd_kafka_query_watermark_offsets(client, topic, i, &low, &high, 2000) == 0)
				sum += (unsigned long long)high;
		}
		if (sum > counted) {
			account_take_messages(account, sum - counted);
			counted = sum;
		}
		usleep(WATERMARK_US);
	}
}

_Noreturn void kafka_receive(const char *bootstrap_servers, const char *topic, int partition_count,
    bool consume, struct account *account)
{
	rd_kafka_t *client = open_client(bootstrap_servers);

	if (consume)
		consume_all(client, topic, partition_count, account);
	count_all(client, topic, partition_count, account);
}

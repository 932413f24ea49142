/* Kafka mock.  A Kafka cluster in a process of its own: librdkafka's mock brokers, driven by lines of text,
 * so that a flow test in any language can make a cluster answer what a real one cannot be made to answer on
 * demand.
 *
 *   kafka_mock [BROKERS]          1 to 16 brokers (1), numbered from 1
 *
 * Its first line on standard output is the list of bootstrap servers (127.0.0.1:PORT,...).  Then it reads
 * commands from standard input, one a line, and answers each by one line: `ok`, or `error SENTENCE`.  At
 * `quit` or at the end of its input it ends with 0, so no cluster outlives the test that started it.
 *
 *   topic NAME PARTITIONS [REPLICAS]   create a topic; one that nobody created appears when it is asked for
 *   topic_error NAME CODE              metadata of this topic says CODE from now on; 0 ends it
 *   error APIKEY CODE...               the next requests of this kind fail, one for each CODE
 *   clear APIKEY                       forget the codes that are still to come
 *   down BROKER                        disconnect, refuse connections; partitions keep their leader
 *   up BROKER                          accept again
 *   rtt BROKER MS                      answer so much later
 *   leader TOPIC PARTITION BROKER      the partition's leader; -1 leaves it without one
 *   api APIKEY MIN MAX                 the versions that brokers offer of this request; -1 -1 hides it
 *   quit
 *
 * APIKEY is a number of Kafka's protocol or one of produce, fetch, metadata, init_producer_id.  CODE is a
 * number of Kafka's protocol or a name as librdkafka writes it (7 is REQUEST_TIMED_OUT); _TRANSPORT closes
 * the connection instead of answering.  BROKER -1 means all brokers.
 *
 * It keeps the last 5 MiB or 100,000 sets of messages of a partition and nothing on disk: whoever counts what
 * arrived must read along.  Debian 12's librdkafka 2.0.2 is enough for all of this. */
#include "config.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BROKERS_MAX    16
#define WORDS_MAX      64
#define LINE_MAX_BYTES 4096

struct command {
	const char *name;
	int argument_min, argument_max;
	/* Returns NULL, or the sentence that says what is wrong. */
	const char *(*run)(rd_kafka_mock_cluster_t *cluster, int count, char **arguments);
};

/* ---- words -> values ------------------------------------------------------------------------------ */

static bool number_of(const char *word, long min, long max, int *ret_number)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(word, &end, 10);
	if (errno != 0 || end == word || *end != '\0' || number < min || number > max)
		return false;
	*ret_number = (int)number;
	return true;
}

static bool api_key_of(const char *word, int16_t *ret_key)
{
	static const struct {
		const char *name;
		int16_t key;
	} names[] = {{"produce", 0}, {"fetch", 1}, {"metadata", 3}, {"init_producer_id", 22}};
	int number;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(word, names[i].name) == 0) {
			*ret_key = names[i].key;
			return true;
		}
	if (!number_of(word, 0, 1000, &number))
		return false;
	*ret_key = (int16_t)number;
	return true;
}

static bool code_of(const char *word, rd_kafka_resp_err_t *ret_code)
{
	const struct rd_kafka_err_desc *codes;
	size_t code_count;
	int number;

	if (number_of(word, -1000, 1000, &number)) {
		*ret_code = (rd_kafka_resp_err_t)number;
		return true;
	}
	rd_kafka_get_err_descs(&codes, &code_count);
	for (size_t i = 0; i < code_count; i++)
		if (codes[i].name != NULL && strcmp(word, codes[i].name) == 0) {
			*ret_code = codes[i].code;
			return true;
		}
	return false;
}

static bool broker_of(const char *word, int *ret_broker)
{
	return number_of(word, -1, BROKERS_MAX, ret_broker) && *ret_broker != 0;
}

static const char *sentence(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : rd_kafka_err2str(code);
}

/* ---- commands ------------------------------------------------------------------------------------- */

static const char *topic(rd_kafka_mock_cluster_t *cluster, int count, char **arguments)
{
	int partition_count, replica_count = 1;

	if (!number_of(arguments[1], 1, 10000, &partition_count))
		return "partitions must be 1 to 10000";
	if (count > 2 && !number_of(arguments[2], 1, BROKERS_MAX, &replica_count))
		return "replicas must be 1 to 16";
	return sentence(rd_kafka_mock_topic_create(cluster, arguments[0], partition_count, replica_count));
}

static const char *topic_error(rd_kafka_mock_cluster_t *cluster, int count, char **arguments)
{
	rd_kafka_resp_err_t code;

	(void)count;
	if (!code_of(arguments[1], &code))
		return "unknown error code";
	rd_kafka_mock_topic_set_error(cluster, arguments[0], code);
	return NULL;
}

static const char *error(rd_kafka_mock_cluster_t *cluster, int count, char **arguments)
{
	rd_kafka_resp_err_t codes[WORDS_MAX];
	int16_t key;

	if (!api_key_of(arguments[0], &key))
		return "unknown api key";
	for (int i = 1; i < count; i++)
		if (!code_of(arguments[i], &codes[i - 1]))
			return "unknown error code";
	rd_kafka_mock_push_request_errors_array(cluster, key, (size_t)count - 1, codes);
	return NULL;
}

static const char *clear(rd_kafka_mock_cluster_t *cluster, int count, char **arguments)
{
	int16_t key;

	(void)count;
	if (!api_key_of(arguments[0], &key))
		return "unknown api key";
	rd_kafka_mock_clear_request_errors(cluster, key);
	return NULL;
}

static const char *down(rd_kafka_mock_cluster_t *cluster, int count, char **arguments)
{
	int broker;

	(void)count;
	if (!broker_of(arguments[0], &broker))
		return "no such broker";
	return sentence(rd_kafka_mock_broker_set_down(cluster, broker));
}

static const char *up(rd_kafka_mock_cluster_t *cluster, int count, char **arguments)
{
	int broker;

	(void)count;
	if (!broker_of(arguments[0], &broker))
		return "no such broker";
	return sentence(rd_kafka_mock_broker_set_up(cluster, broker));
}

static const char *rtt(rd_kafka_mock_cluster_t *cluster, int count, char **arguments)
{
	int broker, delay_ms;

	(void)count;
	if (!broker_of(arguments[0], &broker))
		return "no such broker";
	if (!number_of(arguments[1], 0, 3600000, &delay_ms))
		return "the delay must be 0 to 3600000 milliseconds";
	return sentence(rd_kafka_mock_broker_set_rtt(cluster, broker, delay_ms));
}

static const char *leader(rd_kafka_mock_cluster_t *cluster, int count, char **arguments)
{
	int partition, broker;

	(void)count;
	if (!number_of(arguments[1], 0, 10000, &partition))
		return "no such partition";
	if (!broker_of(arguments[2], &broker))
		return "no such broker";
	return sentence(rd_kafka_mock_partition_set_leader(cluster, arguments[0], partition, broker));
}

static const char *api(rd_kafka_mock_cluster_t *cluster, int count, char **arguments)
{
	int min, max;
	int16_t key;

	(void)count;
	if (!api_key_of(arguments[0], &key))
		return "unknown api key";
	if (!number_of(arguments[1], -1, 1000, &min) || !number_of(arguments[2], -1, 1000, &max))
		return "versions must be -1 to 1000";
	return sentence(rd_kafka_mock_set_apiversion(cluster, key, (int16_t)min, (int16_t)max));
}

static const struct command commands[] = {
    {"topic", 2, 3, topic},
    {"topic_error", 2, 2, topic_error},
    {"error", 2, WORDS_MAX - 1, error},
    {"clear", 1, 1, clear},
    {"down", 1, 1, down},
    {"up", 1, 1, up},
    {"rtt", 2, 2, rtt},
    {"leader", 3, 3, leader},
    {"api", 3, 3, api},
};

static const char *obey(rd_kafka_mock_cluster_t *cluster, int word_count, char **words)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		const struct command *command = &commands[i];

		if (strcmp(words[0], command->name) != 0)
			continue;
		if (word_count - 1 < command->argument_min || word_count - 1 > command->argument_max)
			return "wrong number of arguments";
		return command->run(cluster, word_count - 1, words + 1);
	}
	return "unknown command";
}

/* ---- the process ---------------------------------------------------------------------------------- */

static int split(char *line, char **words)
{
	int count = 0;
	char *rest = NULL;

	for (char *word = strtok_r(line, " \t\r\n", &rest); word != NULL && count < WORDS_MAX;
	     word = strtok_r(NULL, " \t\r\n", &rest))
		words[count++] = word;
	return count;
}

static void serve(rd_kafka_mock_cluster_t *cluster)
{
	char line[LINE_MAX_BYTES];
	char *words[WORDS_MAX];

	while (fgets(line, sizeof line, stdin) != NULL) {
		int word_count = split(line, words);
		const char *wrong;

		if (word_count == 0)
			continue;
		if (strcmp(words[0], "quit") == 0)
			break;
		wrong = obey(cluster, word_count, words);
		if (wrong == NULL)
			puts("ok");
		else
			printf("error %s\n", wrong);
		fflush(stdout);
	}
}

/* The mock's brokers report each refused connection; a test that asked for it need not read about it. */
static void stay_silent(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk, (void)level, (void)facility, (void)text;
}

int main(int argc, char **argv)
{
	char reason[256];
	int broker_count = 1;
	rd_kafka_conf_t *conf;
	rd_kafka_t *owner;
	rd_kafka_mock_cluster_t *cluster;

	if (argc > 2 || (argc == 2 && !number_of(argv[1], 1, BROKERS_MAX, &broker_count))) {
		fprintf(stderr, "usage: kafka_mock [BROKERS]   (1 to %d)\n", BROKERS_MAX);
		return 64;
	}
	conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, stay_silent);
	owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
	if (owner == NULL) {
		fprintf(stderr, "kafka_mock: %s\n", reason);
		return 1;
	}
	cluster = rd_kafka_mock_cluster_new(owner, broker_count);
	if (cluster == NULL) {
		fprintf(stderr, "kafka_mock: no mock cluster\n");
		return 1;
	}
	puts(rd_kafka_mock_cluster_bootstraps(cluster));
	fflush(stdout);
	serve(cluster);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(owner);
	return 0;
}

/* What Kafka's words mean, as a table; topic names; times. */
#include "config.h"

#include "outputs/kafka_verdict.h"
#include "tests/unit/unit.h"

#include <string.h>

struct expectation {
	rd_kafka_resp_err_t code;
	enum answer_kind kind;
	const char *reason;
};

static const struct expectation expectations[] = {
    {RD_KAFKA_RESP_ERR_NO_ERROR, ANSWER_SENT, "sent"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ANSWER_REJECTED, "too_large"},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, ANSWER_REJECTED, "too_large"},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, ANSWER_REJECTED, "invalid"},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, ANSWER_REJECTED, "invalid"},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, ANSWER_REJECTED, "invalid_timestamp"},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ANSWER_HOLD, "unauthorized"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, ANSWER_HOLD, "unauthorized"},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR__SSL, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ANSWER_HOLD, "unknown_topic"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, ANSWER_HOLD, "unknown_topic"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, ANSWER_HOLD, "unknown_topic"},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, ANSWER_HOLD, "invalid_topic"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, ANSWER_HOLD, "unsupported"},
    {RD_KAFKA_RESP_ERR__PURGE_QUEUE, ANSWER_RETRY, "taken_back"},
    {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, ANSWER_RETRY, "taken_back"},
    {RD_KAFKA_RESP_ERR__FATAL, ANSWER_RETRY, "fatal"},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR__TRANSPORT, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, ANSWER_RETRY, "broker"},
    {RD_KAFKA_RESP_ERR_UNKNOWN, ANSWER_RETRY, "broker"},
};

START_TEST(each_code_has_its_verdict)
{
	for (size_t i = 0; i < sizeof expectations / sizeof expectations[0]; i++) {
		struct answer answer = kafka_verdict(expectations[i].code);

		ck_assert_msg(
		    answer.kind == expectations[i].kind, "%s", rd_kafka_err2name(expectations[i].code));
		ck_assert_str_eq(answer.reason, expectations[i].reason);
		ck_assert_int_eq(answer.retry_after_ms, -1);
		ck_assert_int_eq(answer.text == NULL, answer.kind == ANSWER_SENT);
	}
}
END_TEST

START_TEST(no_code_but_no_error_means_sent_and_few_mean_rejected)
{
	const struct rd_kafka_err_desc *descriptions;
	size_t count, rejected_count = 0;

	rd_kafka_get_err_descs(&descriptions, &count);
	for (size_t i = 0; i < count; i++) {
		struct answer answer = kafka_verdict(descriptions[i].code);

		ck_assert_int_eq(
		    answer.kind == ANSWER_SENT, descriptions[i].code == RD_KAFKA_RESP_ERR_NO_ERROR);
		rejected_count += answer.kind == ANSWER_REJECTED && descriptions[i].desc != NULL;
	}
	ck_assert_uint_eq(rejected_count, 7);
	ck_assert_int_eq(kafka_verdict((rd_kafka_resp_err_t)12345).kind, ANSWER_RETRY);
}
END_TEST

static void check_name(const char *expansion, const char *expected)
{
	char name[KAFKA_TOPIC_BYTES + 1];

	kafka_topic_name(expansion, name);
	ck_assert_str_eq(name, expected);
	ck_assert(kafka_topic_is_legal(name));
	ck_assert_int_eq(kafka_topic_is_legal(expansion), strcmp(expansion, expected) == 0);
}

START_TEST(topic_names_are_what_kafka_takes)
{
	char longer[400], cut[KAFKA_TOPIC_BYTES + 1];

	check_name("logs.kube-system", "logs.kube-system");
	check_name("logs/kube system", "logs_kube_system");
	check_name("l\xc3\xb6gs", "l__gs");
	check_name("", "_");
	check_name(".", "_");
	check_name("..", "__");
	check_name("...", "...");
	check_name("a.", "a.");
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	memset(cut, 'a', sizeof cut - 1);
	cut[sizeof cut - 1] = '\0';
	check_name(longer, cut);
}
END_TEST

START_TEST(a_time_that_kafka_would_refuse_becomes_now)
{
	const int64_t now = INT64_C(1700000000000000000), hour = INT64_C(3600000000000);
	bool is_ahead;

	ck_assert_int_eq(kafka_timestamp_ms(now - 5 * hour, now, &is_ahead), (now - 5 * hour) / 1000000);
	ck_assert(!is_ahead);
	ck_assert_int_eq(kafka_timestamp_ms(now + hour, now, &is_ahead), (now + hour) / 1000000);
	ck_assert(!is_ahead);
	ck_assert_int_eq(kafka_timestamp_ms(now + hour + 1000000, now, &is_ahead), now / 1000000);
	ck_assert(is_ahead);
	ck_assert_int_eq(kafka_timestamp_ms(INT64_MAX, now, &is_ahead), now / 1000000);
	ck_assert(is_ahead);
	ck_assert_int_eq(kafka_timestamp_ms(-1000000, now, &is_ahead), now / 1000000);
	ck_assert(!is_ahead);
	ck_assert_int_eq(kafka_timestamp_ms(0, now, &is_ahead), now / 1000000);
}
END_TEST

UNIT_MAIN("kafka_verdict", each_code_has_its_verdict, no_code_but_no_error_means_sent_and_few_mean_rejected,
    topic_names_are_what_kafka_takes, a_time_that_kafka_would_refuse_becomes_now)

/* Kafka's verdicts.  One table says what each error code means for the records that it was said of; what
 * stands in no row is the world's weather.
 *
 * Stands beside the Kafka output, which acts on it.  Owns nothing.  Refuses to call anything lost: a record
 * is rejected only where its own bytes are the reason, held where a person must act, and tried again in every
 * other case. */
#include "config.h"
#include "outputs/kafka_verdict.h"

#include <string.h>

struct row {
	rd_kafka_resp_err_t code;
	enum answer_kind kind;
	const char *reason;
};

/* Codes of librdkafka begin with ERR__, those of the protocol with ERR_. */
static const struct row rows[] = {
    {RD_KAFKA_RESP_ERR_NO_ERROR, ANSWER_SENT, "sent"},

    /* the record itself; said of a whole set of messages, so that the innocent ones come again in smaller
       parcels */
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ANSWER_REJECTED, "too_large"},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, ANSWER_REJECTED, "too_large"},
    {RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, ANSWER_REJECTED, "too_large"},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, ANSWER_REJECTED, "invalid"},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, ANSWER_REJECTED, "invalid"},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, ANSWER_REJECTED, "invalid_timestamp"},
    {RD_KAFKA_RESP_ERR__BAD_MSG, ANSWER_REJECTED, "invalid"},

    /* the topic, or the way the broker is set up */
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ANSWER_HOLD, "unknown_topic"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, ANSWER_HOLD, "unknown_topic"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, ANSWER_HOLD, "unknown_topic"},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, ANSWER_HOLD, "invalid_topic"},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, ANSWER_HOLD, "refused"},
    {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, ANSWER_HOLD, "refused"},
    {RD_KAFKA_RESP_ERR_INVALID_CONFIG, ANSWER_HOLD, "refused"},
    {RD_KAFKA_RESP_ERR_INVALID_REQUEST, ANSWER_HOLD, "refused"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, ANSWER_HOLD, "unsupported"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, ANSWER_HOLD, "unsupported"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, ANSWER_HOLD, "unsupported"},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, ANSWER_HOLD, "unsupported"},
    {RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, ANSWER_HOLD, "unsupported"},

    /* rights */
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ANSWER_HOLD, "unauthorized"},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, ANSWER_HOLD, "unauthorized"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, ANSWER_HOLD, "unauthorized"},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ANSWER_HOLD, "unauthorized"},
    {RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED, ANSWER_HOLD, "unauthorized"},

    /* credentials */
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR__SSL, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR_SECURITY_DISABLED, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_EXPIRED, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR_UNACCEPTABLE_CREDENTIAL, ANSWER_HOLD, "unauthenticated"},
    {RD_KAFKA_RESP_ERR_PRINCIPAL_DESERIALIZATION_FAILURE, ANSWER_HOLD, "unauthenticated"},

    /* ours: a stop or a new producer took the message back, its fate may be unknown */
    {RD_KAFKA_RESP_ERR__PURGE_QUEUE, ANSWER_RETRY, "taken_back"},
    {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, ANSWER_RETRY, "taken_back"},
    {RD_KAFKA_RESP_ERR__FATAL, ANSWER_RETRY, "fatal"},
};

struct answer kafka_verdict(rd_kafka_resp_err_t code)
{
	struct answer answer = {.kind = ANSWER_RETRY, .reason = "broker", .retry_after_ms = -1};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (rows[i].code == code) {
			answer.kind = rows[i].kind;
			answer.reason = rows[i].reason;
			break;
		}
	}
	if (answer.kind != ANSWER_SENT)
		answer.text = rd_kafka_err2str(code);
	return answer;
}

static bool is_topic_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       byte == '.' || byte == '_' || byte == '-';
}

void kafka_topic_name(const char *expansion, char out[KAFKA_TOPIC_BYTES + 1])
{
	size_t len = 0, dot_count = 0;

	for (; expansion[len] != '\0' && len < KAFKA_TOPIC_BYTES; len++) {
		out[len] = is_topic_byte(expansion[len]) ? expansion[len] : '_';
		dot_count += out[len] == '.';
	}
	if (len == 0)
		out[len++] = '_';
	else if (dot_count == len && len <= 2)
		memset(out, '_', len);
	out[len] = '\0';
}

bool kafka_topic_is_legal(const char *name)
{
	char legal[KAFKA_TOPIC_BYTES + 1];

	kafka_topic_name(name, legal);
	return strcmp(name, legal) == 0;
}

int64_t kafka_timestamp_ms(int64_t record_ns, int64_t now_ns, bool *ret_is_ahead)
{
	int64_t record_ms = record_ns / 1000000, now_ms = now_ns / 1000000;

	*ret_is_ahead = record_ms > now_ms + KAFKA_AHEAD_MAX_MS;
	return *ret_is_ahead || record_ms <= 0 ? now_ms : record_ms;
}

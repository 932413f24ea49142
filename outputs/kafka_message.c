/* Kafka messages.
 *
 * payload = record: the value is the record as the format wrote it, without separator; the key and the
 * headers' values are expanded from templates, once for all records in a row that have the same source.  Those
 * that labels or annotations are in come expanded, with the parcel's destination: as they were when its records
 * were read.
 * payload = batch: the value is the parcel's body, key is NODE/LANE, and there are the headers content-type
 * and, if the body is compressed, content-encoding before those that were configured.
 *
 * rd_kafka_produceva() costs 232 ns a record of 300 bytes (librdkafka 2.0.2),
 * producev() 249, produce_batch() 200; the last can carry neither time nor headers, so there is one way for
 * all.
 *
 * Stands between the Kafka output and librdkafka's produce call.  Owns the compiled templates and their last
 * expansions, which librdkafka copies; does not own a value, which it does not. */
#include "config.h"
#include "outputs/kafka_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "outputs/kafka_verdict.h"
#include "outputs/template.h"

#define FIXED_PARTS   6    /* topic, value, key, time, opaque, flags */
#define BATCH_HEADERS 2
#define NS_PER_MINUTE INT64_C(60000000000)

struct kafka_header {
	char *name;
	struct template *template;
	size_t place; /* in the destination, if labels are in it; else 0 */
	struct buf value;
	bool is_filled;
};

static bool needs_time(const struct kafka_messages *messages)
{
	bool needs = template_needs_time(messages->key);

	for (size_t i = 0; i < messages->options->headers.count; i++)
		needs = needs || template_needs_time(messages->headers[i].template);
	return needs;
}

static bool needs_stream(const struct kafka_messages *messages)
{
	bool needs = template_needs_stream(messages->key);

	for (size_t i = 0; i < messages->options->headers.count; i++)
		needs = needs || template_needs_stream(messages->headers[i].template);
	return needs;
}

/* Also of the key of payload = batch. */
static size_t longest_key(const struct kafka_messages *messages)
{
	size_t filled = template_longest(messages->key), usual = template_longest(messages->stream_key);
	size_t batch = strlen(messages->node_name) + 16;

	usual = usual > batch ? usual : batch;
	return filled > usual ? filled : usual;
}

void kafka_messages_init(
    struct kafka_messages *messages, const struct kafka_options *options, const char *node_name)
{
	const struct bind_list *list = &options->headers;
	struct kafka_places places;

	must(list->count <= KAFKA_HEADERS_MAX);
	places = kafka_options_places(options);
	*messages =
	    (struct kafka_messages){.options = options, .node_name = node_name, .key_place = places.key};
	messages->stream_key = template_new(KAFKA_STREAM_KEY, TEMPLATE_PLAIN);
	messages->key = template_new(options->key != NULL ? options->key : KAFKA_STREAM_KEY, TEMPLATE_PLAIN);
	buf_init(&messages->key_text, longest_key(messages));
	messages->headers = xcalloc(list->count + 1, sizeof messages->headers[0]);
	for (size_t i = 0; i < list->count; i++) {
		const char *equals = strchr(list->items[i], '=');

		messages->headers[i].name = xstrndup(list->items[i], (size_t)(equals - list->items[i]));
		messages->headers[i].template = template_new(equals + 1, TEMPLATE_PLAIN);
		messages->headers[i].place = places.headers[i];
		buf_init(&messages->headers[i].value, template_longest(messages->headers[i].template));
	}
	messages->depends_on_time = needs_time(messages);
	messages->depends_on_stream = needs_stream(messages);
}

void kafka_messages_release(struct kafka_messages *messages)
{
	for (size_t i = 0; messages->headers != NULL && i < messages->options->headers.count; i++) {
		free(messages->headers[i].name);
		template_free(messages->headers[i].template);
		buf_release(&messages->headers[i].value);
	}
	free(messages->headers);
	template_free(messages->key);
	template_free(messages->stream_key);
	buf_release(&messages->key_text);
	*messages = (struct kafka_messages){0};
}

void kafka_messages_forget(struct kafka_messages *messages)
{
	messages->source = NULL;
}

/* The text at this place of the parcel's destination, or, where it has none, the template filled for this
 * record.  False if that cannot be filled. */
static bool fill(const struct template *template, size_t place, const struct parcel *parcel,
    const struct parcel_record *record, struct buf *out)
{
	if (place != 0)
		return parcel->destination[place][0] != '\0' && buf_add_text(out, parcel->destination[place]);
	return template_expand(template, record->source->origin, (enum record_stream)record->stream,
	    record->time_ns, out);
}

/* Brings the headers' values and, if there is one, the template of the key up to this record.  A key that
 * cannot be filled becomes the usual one, so that the container's order holds; such a header is left out. */
static void expand(struct kafka_messages *messages, const struct parcel *parcel,
    const struct parcel_record *record, bool with_key)
{
	int64_t minute = messages->depends_on_time ? record->time_ns / NS_PER_MINUTE : 0;
	int stream = messages->depends_on_stream ? record->stream : 0;

	if (messages->source == record->source && messages->minute == minute && messages->stream == stream)
		return;
	messages->source = record->source;
	messages->minute = minute;
	messages->stream = stream;
	if (with_key) {
		buf_clear(&messages->key_text);
		if (!fill(messages->key, messages->key_place, parcel, record, &messages->key_text))
			must(fill(messages->stream_key, 0, parcel, record, &messages->key_text));
	}
	for (size_t i = 0; i < messages->options->headers.count; i++) {
		struct kafka_header *header = &messages->headers[i];

		buf_clear(&header->value);
		header->is_filled = fill(header->template, header->place, parcel, record, &header->value);
	}
}

struct content {
	const char *value;
	size_t len;
	int64_t time_ms;
	bool is_ahead; /* its own time was too far ahead */
	void *opaque;
};

static void set_time(const struct kafka_messages *messages, const struct parcel_record *record,
    int64_t now_ns, struct content *content)
{
	if (messages->options->timestamp == KAFKA_TIMESTAMP_LOG)
		content->time_ms = kafka_timestamp_ms(record->time_ns, now_ns, &content->is_ahead);
	else
		content->time_ms = now_ns / 1000000;
}

static size_t add_header(rd_kafka_vu_t *parts, size_t count, const char *name, const char *value, size_t len)
{
	parts[count] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADER};
	parts[count].u.header.name = name;
	parts[count].u.header.val = len != 0 ? value : "";
	parts[count].u.header.size = (ssize_t)len;
	return count + 1;
}

static size_t add_headers(const struct kafka_messages *messages, rd_kafka_vu_t *parts, size_t count)
{
	for (size_t i = 0; i < messages->options->headers.count; i++) {
		const struct kafka_header *header = &messages->headers[i];

		if (header->is_filled)
			count = add_header(
			    parts, count, header->name, header->value.data, header->value.len);
	}
	return count;
}

/* The parts are set one by one: whole ones are large, and this runs once a record. */
static size_t add_fixed(const struct kafka_messages *messages, rd_kafka_vu_t *parts, rd_kafka_topic_t *topic,
    const struct content *content)
{
	parts[0].vtype = RD_KAFKA_VTYPE_RKT;
	parts[0].u.rkt = topic;
	parts[1].vtype = RD_KAFKA_VTYPE_VALUE;
	parts[1].u.mem.ptr = (void *)(uintptr_t)content->value;
	parts[1].u.mem.size = content->len;
	parts[2].vtype = RD_KAFKA_VTYPE_KEY;
	parts[2].u.mem.ptr = messages->key_text.data;
	parts[2].u.mem.size = messages->key_text.len;
	parts[3].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
	parts[3].u.i64 = content->time_ms;
	parts[4].vtype = RD_KAFKA_VTYPE_OPAQUE;
	parts[4].u.ptr = content->opaque;
	parts[5].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
	parts[5].u.i = 0; /* neither copied nor freed */
	return FIXED_PARTS;
}

static rd_kafka_resp_err_t enqueue(struct kafka_messages *messages, rd_kafka_t *rk,
    const rd_kafka_vu_t *parts, size_t count, const struct content *content)
{
	rd_kafka_error_t *error = rd_kafka_produceva(rk, parts, count);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

	if (error != NULL) {
		code = rd_kafka_error_code(error);
		rd_kafka_error_destroy(error);
	} else {
		messages->ahead_count += content->is_ahead;
	}
	return code;
}

rd_kafka_resp_err_t kafka_messages_enqueue_record(struct kafka_messages *messages, rd_kafka_t *rk,
    rd_kafka_topic_t *topic, const struct parcel *parcel, size_t index, int64_t now_ns, void *opaque)
{
	const struct parcel_record *record = &parcel->records[index];
	struct content content = {
	    .value = parcel->raw + record->offset, .len = record->len, .opaque = opaque};
	rd_kafka_vu_t parts[FIXED_PARTS + KAFKA_HEADERS_MAX];
	size_t count;

	set_time(messages, record, now_ns, &content);
	expand(messages, parcel, record, true);
	count = add_fixed(messages, parts, topic, &content);
	count = add_headers(messages, parts, count);
	return enqueue(messages, rk, parts, count, &content);
}

rd_kafka_resp_err_t kafka_messages_enqueue_batch(struct kafka_messages *messages, rd_kafka_t *rk,
    rd_kafka_topic_t *topic, const struct parcel *parcel, int64_t now_ns, void *opaque)
{
	struct content content = {.value = parcel->body, .len = parcel->body_len, .opaque = opaque};
	rd_kafka_vu_t parts[FIXED_PARTS + BATCH_HEADERS + KAFKA_HEADERS_MAX];
	size_t count;

	set_time(messages, &parcel->records[0], now_ns, &content);
	expand(messages, parcel, &parcel->records[0], false);
	buf_clear(&messages->key_text);
	must(buf_printf(&messages->key_text, "%s/%u", messages->node_name, parcel->lane));
	count = add_fixed(messages, parts, topic, &content);
	count = add_header(
	    parts, count, "content-type", format_ndjson.content_type, strlen(format_ndjson.content_type));
	if (parcel->encoding != NULL)
		count =
		    add_header(parts, count, "content-encoding", parcel->encoding, strlen(parcel->encoding));
	count = add_headers(messages, parts, count);
	return enqueue(messages, rk, parts, count, &content);
}

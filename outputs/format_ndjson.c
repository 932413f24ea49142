/* NDJSON and JSON arrays: one object a record, in the field names that Fluent Bit's users know.  Pure.
 *
 *   {"time":"2026-01-31T12:34:56.789012345Z","stream":"stdout","log":"...",
 *    "truncated":true, "partial":true, "unparsed":true,            only where it is so
 *    "id":"<uid>/<container>/<restart>/<16 hex>/<offset>",         record_id = on
 *    "kubernetes":{"namespace_name":"...","pod_name":"...","pod_id":"...","container_name":"...","host":"..."}}
 *
 * Stands on the hot path: everything that is the same for a file is built once (prepare) and copied. */
#include "config.h"
#include "outputs/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/escape.h"
#include "common/must.h"

/* What a record takes beside its text, its time and the prepared tail: the longest stream, all flags, and slack. */
#define ENVELOPE_BYTES 192
#define ID_BYTES       512 /* uid, container, restart, hash, offset */

static char *put(char *out, const char *text, size_t len)
{
	memcpy(out, text, len);
	return out + len;
}
#define PUT(out, literal) put((out), (literal), sizeof(literal) - 1)

static void add_member(struct buf *out, const char *before, const char *value)
{
	must(buf_add_text(out, before) && buf_add_json(out, value, strlen(value)));
}

static void prepare(const struct format_options *options, const struct origin *origin, struct buf *out)
{
	(void)options;
	add_member(out, ",\"kubernetes\":{\"namespace_name\":", origin->namespace_name);
	add_member(out, ",\"pod_name\":", origin->pod);
	add_member(out, ",\"pod_id\":", origin->uid);
	add_member(out, ",\"container_name\":", origin->container);
	add_member(out, ",\"host\":", origin->node);
	must(buf_add_text(out, "}}"));
}

static size_t bound(const struct record *record, size_t prepared_len)
{
	return ENVELOPE_BYTES + ID_BYTES + record->time_len + ESCAPE_WORST * record->len + prepared_len + ESCAPE_SLACK;
}

static char *put_id(char *out, const struct source *source, const struct record *record)
{
	int len = snprintf(out, ID_BYTES, ",\"id\":\"%s/%s/%u/%016" PRIx64 "/%" PRIu64 "\"", source->origin->uid, source->origin->container,
		source->restart, source->first_line_hash, record->offset);

	must(len > 0 && len < ID_BYTES);
	return out + len;
}

static char *put_flags(char *out, const struct record *record, bool truncated)
{
	if (truncated)
		out = PUT(out, ",\"truncated\":true");
	if (record->partial)
		out = PUT(out, ",\"partial\":true");
	if (record->unparsed)
		out = PUT(out, ",\"unparsed\":true");
	return out;
}

static char *put_stream(char *out, enum record_stream stream)
{
	switch (stream) {
	case RECORD_STDOUT: return PUT(out, "\",\"stream\":\"stdout\",\"log\":\"");
	case RECORD_STDERR: return PUT(out, "\",\"stream\":\"stderr\",\"log\":\"");
	case RECORD_UNKNOWN: break;
	}
	return PUT(out, "\",\"stream\":\"unknown\",\"log\":\"");
}

static size_t encode(const struct format_options *options, const struct source *source, const char *prepared, size_t prepared_len,
	const struct record *record, char *out, size_t room, size_t *ret_taken)
{
	size_t around = ENVELOPE_BYTES + ID_BYTES + record->time_len + prepared_len;
	char *start = out;
	bool truncated = record->truncated;

	must(room >= around + ESCAPE_SLACK);
	out = PUT(out, "{\"time\":\"");
	out = put(out, record->time, record->time_len);
	out = put_stream(out, record->stream);
	if (room >= around + ESCAPE_WORST * record->len + ESCAPE_SLACK) {
		out += escape_json(out, record->text, record->len);
		*ret_taken = record->len;
	} else {
		out += escape_json_within(out, room - around, record->text, record->len, ret_taken);
		truncated |= *ret_taken < record->len;
	}
	*out++ = '"';
	if (truncated | record->partial | record->unparsed)
		out = put_flags(out, record, truncated);
	if (options->record_id)
		out = put_id(out, source, record);
	out = put(out, prepared, prepared_len);
	return (size_t)(out - start);
}

const struct format format_ndjson = {
	.name = "ndjson",
	.content_type = "application/x-ndjson",
	.begin = "",
	.separator = "\n",
	.end = "\n",
	.prepare = prepare,
	.bound = bound,
	.encode = encode,
};

const struct format format_json_array = {
	.name = "json_array",
	.content_type = "application/json",
	.begin = "[",
	.separator = ",",
	.end = "]",
	.prepare = prepare,
	.bound = bound,
	.encode = encode,
};

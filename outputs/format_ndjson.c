/* NDJSON and JSON arrays: one object a record, in the field names of the chosen schema.  Pure.
 *
 *     {"time":"2026-01-31T12:34:56.789012345Z","stream":"stdout","log":"...",
 *      "truncated":true,"partial":true,"unparsed":true,            each only where it is so
 *      "id":"<uid>/<container>/<restart>/<16 hex>/<offset>",       record_id = on
 *      "kubernetes":{"namespace_name":"...","pod_name":"...","pod_id":"...","container_name":"...","host":"...",...}}
 *
 * without blanks and newlines.  The two formats differ in what stands around and between records.
 *
 * Stands on the hot path: everything that is the same for a file is built once (prepare) and copied.  Owns
 * nothing.  Refuses to write a byte beyond the room: a text that does not fit is cut between two characters
 * and the record says so. */
#include "config.h"
#include "outputs/format.h"

#include <string.h>

#include "common/escape.h"
#include "common/must.h"
#include "outputs/format_schema.h"

#define HEAD_BYTES   (2 * SCHEMA_WORD_BYTES) /* without the time, or with one in nanoseconds */
#define FLAGS_BYTES  64 /* ","truncated":true,"partial":true,"unparsed":true */
#define NAME_BYTES   64 /* longest uid and container: the grammar of Kubernetes */
#define NUMBER_BYTES 20 /* of a uint64_t */
#define ID_BYTES     (2 * ESCAPE_WORST * NAME_BYTES + 2 * NUMBER_BYTES + 64)
#define TAIL_BYTES   (FLAGS_BYTES + ID_BYTES)

static inline char *put(char *out, const char *text, size_t len)
{
	memcpy(out, text, len);
	return out + len;
}
#define PUT(out, literal) put((out), (literal), sizeof(literal) - 1)

/* ---- what is the same for all records of a container ---------------------------------------------- */

static void prepare(const struct format_options *options, const struct source *source, struct buf *out)
{
	schema_add_members(options->schema, source, out);
	must(buf_add_text(out, "}"));
}

static size_t bound(const struct record *record, size_t prepared_len)
{
	return HEAD_BYTES + record->time_len + ESCAPE_WORST * record->len + TAIL_BYTES + prepared_len +
	       ESCAPE_SLACK;
}

/* ---- what is not ---------------------------------------------------------------------------------- */

static char *put_number(char *out, uint64_t number)
{
	char digits[NUMBER_BYTES], *at = digits + sizeof digits;

	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	return put(out, at, (size_t)(digits + sizeof digits - at));
}

static char *put_hex(char *out, uint64_t number)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		*out++ = "0123456789abcdef"[number >> shift & 15];
	return out;
}

static char *put_name(char *out, const char *name)
{
	size_t len = strlen(name);

	must(len <= NAME_BYTES);
	return out + escape_json(out, name, len);
}

static char *put_id(char *out, const struct source *source, uint64_t offset)
{
	out = PUT(out, ",\"id\":\"");
	out = put_name(out, source->origin->uid);
	*out++ = '/';
	out = put_name(out, source->origin->container);
	*out++ = '/';
	out = put_number(out, source->restart);
	*out++ = '/';
	out = put_hex(out, source->first_line_hash);
	*out++ = '/';
	out = put_number(out, offset);
	*out++ = '"';
	return out;
}

/* Copies more than there is, since that is quicker; what is too much is written over. */
static inline char *put_word(char *out, const struct schema_word *word)
{
	memcpy(out, word->text, SCHEMA_WORD_BYTES / 2);
	if (word->len > SCHEMA_WORD_BYTES / 2)
		memcpy(out + SCHEMA_WORD_BYTES / 2, word->text + SCHEMA_WORD_BYTES / 2, SCHEMA_WORD_BYTES / 2);
	return out + word->len;
}

static inline char *put_head(char *out, const struct format_options *options, const struct record *record)
{
	const struct schema_head *head = &schema_heads[options->schema];

	out = put_word(out, &head->time);
	if (!head->has_nanoseconds)
		out = put(out, record->time, record->time_len);
	else /* 0 stands for a time that is not known, and there is nothing below it */
		out = put_number(out, record->time_ns > 0 ? (uint64_t)record->time_ns : 0);
	return put_word(out, &head->stream[record->stream]);
}

/* From the quote that ends the text up to what was prepared. */
static inline char *put_tail(char *out, const struct format_options *options, const struct source *source,
    const struct record *record, bool truncated)
{
	*out++ = '"';
	if (truncated)
		out = PUT(out, ",\"truncated\":true");
	if (record->partial)
		out = PUT(out, ",\"partial\":true");
	if (record->unparsed)
		out = PUT(out, ",\"unparsed\":true");
	return options->record_id ? put_id(out, source, record->offset) : out;
}

/* As much of the text as the room takes when the longest tail comes behind it.  Returns where it ends. */
static char *put_cut_text(char *out, size_t room, const struct format_options *options,
    const struct source *source, size_t prepared_len, const struct record *record, size_t *ret_taken)
{
	char tail[TAIL_BYTES + ESCAPE_SLACK];
	size_t behind = (size_t)(put_tail(tail, options, source, record, true) - tail) + prepared_len;

	must(room >= behind);
	return out + escape_json_within(out, room - behind, record->text, record->len, ret_taken);
}

static size_t encode(const struct format_options *options, const struct source *source, const char *prepared,
    size_t prepared_len, const struct record *record, char *out, size_t room, size_t *ret_taken)
{
	char *start = out;

	*ret_taken = record->len;
	if (room >= bound(record, prepared_len)) {
		out = put_head(out, options, record);
		out += escape_json(out, record->text, record->len);
	} else {
		must(room >= bound(&(struct record){.time_len = record->time_len}, prepared_len));
		out = put_head(out, options, record);
		out = put_cut_text(
		    out, room - (size_t)(out - start), options, source, prepared_len, record, ret_taken);
	}
	out = put_tail(out, options, source, record, record->truncated || *ret_taken < record->len);
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

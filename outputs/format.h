/* Wire formats: record -> bytes of a batch, and how a batch is framed as one body.  Pure.
 *
 * A format is a const struct in outputs/format_NAME.c, listed in outputs/formats.c. */
#ifndef DRAVE_OUTPUTS_FORMAT_H
#define DRAVE_OUTPUTS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "outputs/record.h"

/* Whose names the fields of a record have (outputs/format_schema.c). */
enum metadata_schema { SCHEMA_FLUENTBIT, SCHEMA_VECTOR, SCHEMA_ECS, SCHEMA_OTEL };
extern const char *const metadata_schema_words[];

struct format_options {
	enum metadata_schema schema;
	bool record_id; /* "id" in each record: <uid>/<container>/<restart>/<16 hex: first line>/<offset> */
};

#define FORMAT_PREPARED_BYTES (128u << 10)

struct format {
	const char *name; /* the word in the configuration: "ndjson" */
	const char *content_type;
	const char *begin;     /* stands before the first record of a body: "" or "[" */
	const char *separator; /* one byte, stored behind every record in the batch: "\n" or "," */
	const char *end;       /* stands after the last record instead of its separator */

	/* Appends to out what is the same for every record of this file as long as its origin's metadata are
	 * (closing braces too): FORMAT_PREPARED_BYTES at most, since metadata have budgets (collector/pod_facts.h) and
	 * names are not longer than Kubernetes has them.  Kept by the caller and lent to encode. */
	void (*prepare)(const struct format_options *options, const struct source *source, struct buf *out);
	/* The most bytes that encode can write for this record, separator not counted. */
	size_t (*bound)(const struct record *record, size_t prepared_len);
	/* Writes the record into out (room >= bound(), or room >= the bound of an empty text: then the text
	 * is cut to fit and the record says "truncated").  Returns the bytes written; *ret_taken = how many
	 * bytes of record->text went in.  The time is copied as it is: timestamp_parse has let nothing in
	 * that JSON would have to escape. */
	size_t (*encode)(const struct format_options *options, const struct source *source,
	    const char *prepared, size_t prepared_len, const struct record *record, char *out, size_t room,
	    size_t *ret_taken);
};

extern const struct format format_ndjson;
extern const struct format format_json_array;

/* NULL-terminated words for the option row, and the format by its index there. */
extern const char *const format_words[];
const struct format *format_by_index(int index);

#endif

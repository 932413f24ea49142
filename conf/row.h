/* One option: what a module says about a key of its own, for those who bind it and those who print it.  Pure.
 */
#ifndef DRAVE_CONF_ROW_H
#define DRAVE_CONF_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum bind_kind {
	BIND_TEXT,  /* char *; NULL when neither given nor defaulted */
	BIND_LIST,  /* struct bind_list; commas, or the key repeated */
	BIND_BOOL,  /* bool: on off true false yes no */
	BIND_COUNT, /* uint64_t, plain number */
	BIND_SIZE,  /* uint64_t bytes: KiB MiB GiB Ki Mi Gi = 1024, KB MB GB = 1000, bare = bytes; bare K M G
		       refused as ambiguous */
	BIND_DURATION, /* uint64_t milliseconds: ms s m h d, combinations (1m30s); a bare number is refused, 0
			  is fine */
	BIND_DURATION_RANGE, /* struct bind_range, milliseconds: "1s..60s" */
	BIND_WORD,           /* int: index in .words, a NULL-terminated list */
	BIND_FILE,           /* char *: must be a readable file at check time */
	BIND_SECRET_FILE, /* char *: the same; readable by others than its owner and group: one warning; never
			     printed */
	BIND_TEMPLATE,    /* char *: checked by .check */
	BIND_PREFIX,      /* struct bind_list of "name=value": every key that begins with .key ("header.",
			     "rdkafka.") */
};

struct bind_list {
	char **items; /* owned */
	size_t count;
};

struct bind_range {
	uint64_t min;
	uint64_t max;
};

struct bind_row {
	const char *key;
	enum bind_kind kind;
	size_t offset;
	const char *fallback; /* as it would be written in the file; NULL = none */
	uint64_t min, max;    /* numbers, in the unit of the field; max 0 = no bound */
	const char *const *words;
	bool required;
	bool secret;       /* masked by --print-config */
	const char *later; /* words of .words (comma separated) or "*" for the whole key: known, but "not in
			      this version" ("*": offset is not used) */
	/* Judges a text (each item of a list): NULL = fine, else the complaint, static text. */
	const char *(*check)(const char *text);
	const char *help; /* one sentence or two for the sample and the man page */
};

/* Does the whole key belong to a later version? */
bool row_is_later(const struct bind_row *row);
/* Does this word of it? */
bool row_is_later_word(const struct bind_row *row, const char *word);
/* "kafka, http, stdout": the words of this version. */
void row_add_words(const struct bind_row *row, struct buf *out);
/* A number in the notation of the row: "5s", "1MiB", "3". */
void row_add_number(const struct bind_row *row, uint64_t number, struct buf *out);

#endif

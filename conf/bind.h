/* Option rows -> struct fields.  Each module lists its own options as rows; this machine fills its struct from a section, finds every
 * error, and prints the same rows as sample configuration, man page table and --print-config.
 *
 *   static const struct bind_row rows[] = {
 *       { .key = "brokers", .kind = BIND_TEXT, .offset = offsetof(struct kafka_options, brokers), .required = true,
 *         .help = "Bootstrap servers, host:port, several by comma." },
 *       { .key = "linger", .kind = BIND_DURATION, .offset = ..., .fallback = "5ms", .min = 0, .max = 60000, .help = "..." },
 *       { .key = NULL } };
 *
 * Bound structs are immutable; bind_release frees what the rows own (texts and lists). */
#ifndef DRAVE_CONF_BIND_H
#define DRAVE_CONF_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "conf/ini.h"

enum bind_kind {
	BIND_TEXT,        /* char *; NULL when neither given nor defaulted */
	BIND_LIST,        /* struct bind_list; commas, or the key repeated */
	BIND_BOOL,        /* bool: on off true false yes no */
	BIND_COUNT,       /* uint64_t, plain number */
	BIND_SIZE,        /* uint64_t bytes: KiB MiB GiB Ki Mi Gi = 1024, KB MB GB = 1000, bare = bytes; bare K M G refused as ambiguous */
	BIND_DURATION,    /* uint64_t milliseconds: ms s m h d, combinations (1m30s); a bare number is refused, 0 is fine */
	BIND_DURATION_RANGE, /* struct bind_range, milliseconds: "1s..60s" */
	BIND_WORD,        /* int: index in .words, a NULL-terminated list */
	BIND_FILE,        /* char *: must be a readable file at check time */
	BIND_SECRET_FILE, /* char *: the same; readable by others than its owner and group: one warning; never printed */
	BIND_TEMPLATE,    /* char *: checked by .check */
	BIND_PREFIX,      /* struct bind_list of "name=value": every key that begins with .key ("header.", "rdkafka.") */
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
	bool secret;          /* masked by --print-config */
	const char *later;    /* words of .words (comma separated) or "*" for the whole key: known, but "not in this version" */
	/* Judges a text (each item of a list): NULL = fine, else the complaint, static text. */
	const char *(*check)(const char *text);
	const char *help;     /* one sentence or two for the sample and the man page */
};

/* Fills the struct at `into` from the section (NULL: all defaults): unknown keys with the nearest known one, bad values, bounds, missing ones become
 * complaints.  Several row tables may share one section: pass them all (NULL-terminated list of tables and structs). */
struct bind_target {
	const struct bind_row *rows;
	void *into;
};
void bind_section(const struct ini_section *section, const char *section_name, const struct bind_target *targets, size_t target_count,
	struct ini_complaints *complaints);
void bind_release(const struct bind_row *rows, void *from);

/* Do two bound structs say the same in every row?  (Reload: an output is unchanged if its rows are equal.) */
bool bind_equal(const struct bind_row *rows, const void *a, const void *b);

/* "key = value" lines of the effective configuration, secrets masked. */
void bind_print(const struct bind_row *rows, const void *from, struct buf *out);
/* The commented-out sample of these rows, for collector.ini. */
void bind_print_sample(const struct bind_row *rows, struct buf *out);
/* The option table of these rows in mdoc, for the man page. */
void bind_print_man(const struct bind_row *rows, struct buf *out);

/* The place (file and line) of a key of a section, for complaints that need two keys to see; the section's own if it is absent. */
struct ini_place bind_place(const struct ini_section *section, const char *key);

/* Nearest of the names to word by edit distance (at most 3 and less than half its length), or NULL. */
const char *bind_nearest(const char *word, const char *const *names, size_t name_count);

/* Pure parsers, for tests and for whoever else reads such values.  Return false if text is none. */
bool bind_parse_size(const char *text, uint64_t *ret_bytes, const char **ret_complaint);
bool bind_parse_duration(const char *text, uint64_t *ret_ms, const char **ret_complaint);

#endif

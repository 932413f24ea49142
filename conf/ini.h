/* INI text -> a list of settings.  The door of libinih, used through ini_parse_stream() with our own reader, which lifts its
 * limits: any line length up to INI_LINE_BYTES, exact line numbers, `\` at a line's end, leading blanks, include.
 *
 *   ; and # at a line's start, and " ;" after a value, begin comments.  A line that ends in `\` goes on with the next one, whose
 *   leading blanks go; comment lines in between are left out.  ${VAR} and ${VAR:-default} are filled in from the
 *   environment ($${ is a literal ${), never in comments.  `include = GLOB` in [collector] or [controller] reads further files there, relative
 *   to the file that names them, in name order, depth 8; a file that comes twice, or in a circle, is an error.
 *
 * Errors do not stop the reading: all of them are found in one run and kept in the list. */
#ifndef DRAVE_CONF_INI_H
#define DRAVE_CONF_INI_H

#include <stddef.h>

#include "common/buf.h"

#define INI_LINE_BYTES  65536
#define INI_FILE_BYTES  (1 << 20)
#define INI_DEPTH       8

/* Where something was said: a file and a line, or a command line option ("-o", 0). */
struct ini_place {
	const char *file; /* owned by the ini */
	unsigned line;
};

struct ini_setting {
	const char *key;
	const char *value; /* filled in and trimmed; NULL: could not be filled in, which was complained about */
	struct ini_place place;
	struct ini_setting *next;
};

struct ini_section {
	const char *name; /* "output:main" */
	struct ini_place place;
	struct ini_setting *settings; /* in order */
	struct ini_section *next;
};

/* Errors and warnings of one configuration, in the order found; each is "file:line: message". */
struct ini_complaints {
	struct buf text;     /* one a line */
	unsigned error_count;
	unsigned warning_count;
};

/* Where it was looked: a file, or the pattern of an include. */
struct ini_source {
	const char *pattern;
	struct ini_source *next;
};

struct ini {
	struct ini_section *sections; /* in the order of the files: filters rely on it */
	struct ini_source *sources;   /* the last one first; none of a text */
	void *memory;                 /* all strings and nodes */
};

void ini_complaints_init(struct ini_complaints *complaints);
/* As after init. */
void ini_complaints_clear(struct ini_complaints *complaints);
void ini_complaints_release(struct ini_complaints *complaints);
void ini_error(struct ini_complaints *complaints, struct ini_place place, const char *format, ...) __attribute__((format(printf, 3, 4)));
void ini_warning(struct ini_complaints *complaints, struct ini_place place, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Reads path and what it includes into *ini (empty before).  Syntax errors, missing variables, duplicate sections,
 * unreadable files: complaints.  Repeated keys are kept in order: conf/bind knows which may be.  `environment` is getenv or a test's. */
void ini_read_file(struct ini *ini, const char *path, char *(*environment)(const char *name), struct ini_complaints *complaints);
/* The same from memory; name stands in the places, and include is refused.  For tests and the fuzz target. */
void ini_read_text(struct ini *ini, const char *name, const char *text, size_t len, char *(*environment)(const char *name),
	struct ini_complaints *complaints);
/* -o section.key=value, on top of what was read: replaces the key, or adds it and its section. */
void ini_override(struct ini *ini, const char *assignment, struct ini_complaints *complaints);
void ini_release(struct ini *ini);

#endif

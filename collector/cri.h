/* One line of a CRI log file:  <RFC 3339 time> <stdout|stderr> <tags> <text>.  Pure.
 * Source: the CRI logging format (kubelet and containerd write it, conmon too, with local time offsets). */
#ifndef DRAVE_COLLECTOR_CRI_H
#define DRAVE_COLLECTOR_CRI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "outputs/record.h"

/* What one line of a file says, whichever of the formats it has: a whole record or a piece of one.  Views into the line. */
struct piece {
	const char *time;
	size_t time_len;
	int64_t time_ns;
	const char *text; /* without the line's newline */
	size_t len;
	enum record_stream stream;
	bool is_last; /* F, or a docker line whose log ends in a newline: the record ends here */
};

#define TIMESTAMP_MAX 40 /* bytes of the longest text that is taken for a time; the joiner keeps one */

/* The part of a time that seldom changes, kept from line to line so that it is not parsed again; start from zero. */
struct timestamp_cache {
	char minute[17]; /* "2026-01-31T12:34" */
	int64_t minute_ns;
	char offset[7];
	int64_t offset_ns;
};

/* Parses "2026-01-31T12:34:56[.fraction](Z|+hh:mm|-hh:mm)"; more than nine digits of fraction are cut.  False if it is none (also impossible
 * dates).  Seconds of 60 are taken as 59.999... of the same minute's end. */
bool timestamp_parse(struct timestamp_cache *cache, const char *text, size_t len, int64_t *ret_ns);

/* line is without its newline.  Tags are separated by ':'; the first is P or F, unknown further ones are ignored.  False: no CRI line. */
bool cri_parse(struct timestamp_cache *cache, const char *line, size_t len, struct piece *ret_piece);

#endif

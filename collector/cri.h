/* One line of a CRI log file:  <RFC 3339 time> <stdout|stderr> <tags> <text>.  Pure.
 * Source: the CRI logging format (kubelet and containerd write it, conmon too, with local time offsets). */
#ifndef DRAVE_COLLECTOR_CRI_H
#define DRAVE_COLLECTOR_CRI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "outputs/record.h"

/* What one line of a file says, whichever of the formats it has: a whole record or a piece of one.  Views
 * into the line. */
struct piece {
	const char *time;
	size_t time_len;
	int64_t time_ns;
	const char *text; /* without the line's newline */
	size_t len;
	enum record_stream stream;
	bool is_last; /* F, or a docker line whose log ends in a newline: the record ends here */
};

/* Bytes of the longest text that is taken for a time (19 digits of fraction with Z): the joiner keeps one. */
#define TIMESTAMP_MAX 40

/* The part of a time that seldom changes, kept from line to line so that it is not parsed again; start from
 * zero. */
struct timestamp_cache {
	bool is_filled;
	char minute[16]; /* "2026-01-31T12:34" */
	int64_t minute_ns;
};

/* Parses "2026-01-31T12:34:56[.fraction](Z|+hh:mm|-hh:mm)" of the years 1970 to 2261.  Digits beyond the
 * ninth of the fraction count for nothing.  False if it is none (also impossible dates, and what is longer
 * than TIMESTAMP_MAX); what is one needs no escaping in JSON.  Second 60 is taken as the last nanosecond of
 * its minute. */
bool timestamp_parse(struct timestamp_cache *cache, const char *text, size_t len, int64_t *ret_ns);

/* line is without its newline.  Tags are separated by ':'; the first is P or F, further ones are ignored.
 * Behind them comes a blank, and the text is what follows, byte for byte; both may be missing.  False: no CRI
 * line, *ret_piece is then as it was. */
bool cri_parse(struct timestamp_cache *cache, const char *line, size_t len, struct piece *ret_piece);

#endif

/* JSON string escaping at the speed of the hot path, and the check that what goes out is UTF-8 (RFC 8259, RFC
 * 3629).  Pure.
 *
 * Bytes that are no valid UTF-8 (also overlong forms, surrogates and beyond U+10FFFF) become U+FFFD, one for
 * each maximal invalid prefix (Unicode 15, section 3.9, "U+FFFD substitution of maximal subparts"). */
#ifndef DRAVE_COMMON_ESCAPE_H
#define DRAVE_COMMON_ESCAPE_H

#include <stddef.h>

/* No input byte becomes more than this many output bytes ("\u0001"). */
#define ESCAPE_WORST 6
/* What escape_json may write beyond the bytes it reports (whole vectors are stored): have that much room. */
#define ESCAPE_SLACK 16

/* Escapes text into out and returns how many bytes it wrote; no quotes are added.  out has room for
 * ESCAPE_WORST * len + ESCAPE_SLACK bytes.  Never fails. */
size_t escape_json(char *out, const char *text, size_t len);

/* The same without instructions of a certain machine: what escape_json is where there is no SSE2, and
 * everywhere for tests. */
size_t escape_json_portable(char *out, const char *text, size_t len);

/* The same within `room` bytes of output (not a byte more is written): stops before the first character that
 * does not fit, never in the middle of one, and tells in *ret_taken how many input bytes it took. */
size_t escape_json_within(char *out, size_t room, const char *text, size_t len, size_t *ret_taken);

#endif

/* Content encodings, undone: gzip, deflate, zstd. */
#ifndef DRAVE_BENCH_DECODE_H
#define DRAVE_BENCH_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/* The most that one body may hold, as it comes and decoded. */
#define DECODE_MAX_BYTES (1u << 30)

/* Appends the plain bytes to out.  encoding is the word of a Content-Encoding header.  False if the bytes are
 * not what it says; what could be read is in out then.  Thread-safe. */
bool decode(const char *encoding, const char *bytes, size_t len, struct buf *out);
/* Whether the word names an encoding at all ("", "identity" and unknown words do not). */
bool decode_is_needed(const char *encoding);

#endif

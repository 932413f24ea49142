/* Records that an output refused although each stood alone: kept with the reason in state_dir/dead_letter/NAME.ndjson.
 *
 * One JSON object a line:  {"at":"<RFC 3339>","output":"...","reason":"...","answer":"...","destination":["..."],"record":"<the encoded record as a string>"} */
#ifndef DRAVE_COLLECTOR_DEAD_LETTER_H
#define DRAVE_COLLECTOR_DEAD_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct dead_letter;

/* Nothing is made on disk before the first letter. */
struct dead_letter *dead_letter_new(const char *state_dir, const char *output, uint64_t limit);
void dead_letter_free(struct dead_letter *dead_letter);
/* Appends one letter whole, or nothing.  -ENOSPC when the file's limit is reached, -errno when it cannot be written: the record must wait then. */
int dead_letter_write(struct dead_letter *dead_letter, const char *reason, const char *answer, const char *const *destination,
	size_t destination_count, const char *record, size_t record_len, struct err *err);
const char *dead_letter_path(const struct dead_letter *dead_letter);

#endif

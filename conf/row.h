/* What one option row says, for those who bind it and those who print it.  Pure. */
#ifndef DRAVE_CONF_ROW_H
#define DRAVE_CONF_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "conf/bind.h"

/* Does the whole key belong to a later version? */
bool row_is_later(const struct bind_row *row);
/* Does this word of it? */
bool row_is_later_word(const struct bind_row *row, const char *word);
/* "kafka, http, stdout": the words of this version. */
void row_add_words(const struct bind_row *row, struct buf *out);
/* A number in the notation of the row: "5s", "1MiB", "3". */
void row_add_number(const struct bind_row *row, uint64_t number, struct buf *out);

#endif

/* Option rows, read aloud.
 *
 * Binding and printing must agree on what belongs to this version and on how a number looks; both ask here.
 * Pure. */
#include "config.h"
#include "conf/row.h"

#include <inttypes.h>
#include <string.h>

#include "conf/units.h"

bool row_is_later(const struct bind_row *row)
{
	return row->later != NULL && strcmp(row->later, "*") == 0;
}

bool row_is_later_word(const struct bind_row *row, const char *word)
{
	size_t word_len = strlen(word);

	for (const char *at = row->later; at != NULL && *at != '\0'; at += strspn(at, ", ")) {
		size_t len = strcspn(at, ",");

		if (len == word_len && memcmp(at, word, len) == 0)
			return true;
		at += len;
	}
	return false;
}

void row_add_words(const struct bind_row *row, struct buf *out)
{
	const char *between = "";

	for (const char *const *word = row->words; *word != NULL; word++) {
		if (row_is_later_word(row, *word))
			continue;
		buf_printf(out, "%s%s", between, *word);
		between = ", ";
	}
}

void row_add_number(const struct bind_row *row, uint64_t number, struct buf *out)
{
	if (row->kind == BIND_SIZE)
		units_add_size(out, number);
	else if (row->kind == BIND_COUNT)
		buf_printf(out, "%" PRIu64, number);
	else
		units_add_duration(out, number);
}

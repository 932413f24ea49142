/* The rows once more, as text: what is in force, the sample file, and the table of the man page.
 *
 * All three come from the rows that bind.c reads by, so that no paper can tell of an option that is not
 * there, or of another default.  Rows and words of a later version are left out.  Pure. */
#include "config.h"
#include "conf/bind.h"

#include <inttypes.h>
#include <string.h>

#include "common/must.h"
#include "conf/row.h"
#include "conf/units.h"

#define MASK          "***"
#define SAMPLE_COLUMN 100

/* ---- what is in force ----------------------------------------------------------------------- */

/* A text as it must stand in a file to be read back: "${" would be a variable. */
static void add_plain(struct buf *out, const char *text)
{
	for (const char *dollar; (dollar = strstr(text, "${")) != NULL; text = dollar + 2)
		buf_printf(out, "%.*s$${", (int)(dollar - text), text);
	buf_add_text(out, text);
}

static void add_list(struct buf *out, const struct bind_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		buf_add_text(out, i == 0 ? "" : ", ");
		add_plain(out, list->items[i]);
	}
}

static void add_value(const struct bind_row *row, const void *field, struct buf *out)
{
	const struct bind_range *range = field;

	switch (row->kind) {
	case BIND_TEXT:
	case BIND_FILE:
	case BIND_SECRET_FILE:
	case BIND_TEMPLATE: add_plain(out, *(char *const *)field); break;
	case BIND_LIST: add_list(out, field); break;
	case BIND_BOOL: buf_add_text(out, *(const bool *)field ? "on" : "off"); break;
	case BIND_COUNT: buf_printf(out, "%" PRIu64, *(const uint64_t *)field); break;
	case BIND_SIZE: units_add_size(out, *(const uint64_t *)field); break;
	case BIND_DURATION: units_add_duration(out, *(const uint64_t *)field); break;
	case BIND_DURATION_RANGE:
		units_add_duration(out, range->min);
		buf_add_text(out, "..");
		units_add_duration(out, range->max);
		break;
	case BIND_WORD: buf_add_text(out, row->words[*(const int *)field]); break;
	case BIND_PREFIX: must(!"a kind of row with a value");
	}
}

/* One line for each key that a prefix row took. */
static void print_prefixed(const struct bind_row *row, const struct bind_list *list, struct buf *out)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *sign = strchr(list->items[i], '=');

		must(sign != NULL);
		buf_printf(out, "%s%.*s = ", row->key, (int)(sign - list->items[i]), list->items[i]);
		if (row->secret)
			buf_add_text(out, MASK);
		else
			add_plain(out, sign + 1);
		buf_add_text(out, "\n");
	}
}

static bool is_empty(const struct bind_row *row, const void *field)
{
	switch (row->kind) {
	case BIND_TEXT:
	case BIND_FILE:
	case BIND_SECRET_FILE:
	case BIND_TEMPLATE: return *(char *const *)field == NULL;
	case BIND_LIST:
	case BIND_PREFIX: return ((const struct bind_list *)field)->count == 0;
	case BIND_BOOL:
	case BIND_COUNT:
	case BIND_SIZE:
	case BIND_DURATION:
	case BIND_DURATION_RANGE:
	case BIND_WORD: break;
	}
	return false;
}

void bind_print(const struct bind_row *rows, const void *from, struct buf *out)
{
	for (; rows->key != NULL; rows++) {
		const void *field = (const char *)from + rows->offset;

		if (row_is_later(rows) || (is_empty(rows, field) && rows->fallback == NULL))
			continue;
		if (rows->kind == BIND_PREFIX) {
			print_prefixed(rows, field, out);
			continue;
		}
		buf_printf(out, "%s =", rows->key);
		if (!is_empty(rows, field)) {
			buf_add_text(out, " ");
			if (rows->secret)
				buf_add_text(out, MASK);
			else
				add_value(rows, field, out);
		}
		buf_add_text(out, "\n");
	}
}

/* ---- what may be written -------------------------------------------------------------------- */

/* "Size, 1KiB to 1GiB" */
static void add_numbers(const struct bind_row *row, const char *noun, struct buf *out)
{
	buf_add_text(out, noun);
	if (row->min > 0) {
		buf_add_text(out, row->max > 0 ? ", " : ", at least ");
		row_add_number(row, row->min, out);
	}
	if (row->max > 0) {
		buf_add_text(out, row->min > 0 ? " to " : ", at most ");
		row_add_number(row, row->max, out);
	}
}

/* The kind of value in words: "One of kafka, http", "Size, at most 1GiB". */
static void add_syntax(const struct bind_row *row, struct buf *out)
{
	switch (row->kind) {
	case BIND_TEXT: buf_add_text(out, "Text"); break;
	case BIND_LIST: buf_add_text(out, "List, by commas or the key repeated"); break;
	case BIND_BOOL: buf_add_text(out, "on or off"); break;
	case BIND_COUNT: add_numbers(row, "Number", out); break;
	case BIND_SIZE: add_numbers(row, "Size", out); break;
	case BIND_DURATION: add_numbers(row, "Duration", out); break;
	case BIND_DURATION_RANGE: add_numbers(row, "Range of durations", out); break;
	case BIND_WORD:
		buf_add_text(out, "One of ");
		row_add_words(row, out);
		break;
	case BIND_FILE: buf_add_text(out, "Name of a file"); break;
	case BIND_SECRET_FILE: buf_add_text(out, "Name of a file with a secret"); break;
	case BIND_TEMPLATE: buf_add_text(out, "Text with {fields}"); break;
	case BIND_PREFIX: buf_printf(out, "Text, for every key that begins with %s", row->key); break;
	}
	if (row->required && row->fallback == NULL)
		buf_add_text(out, "; required");
}

/* ---- the sample ----------------------------------------------------------------------------- */

/* Text as comment lines, broken between words. */
static void add_comment(struct buf *out, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (column == 0 || column + 1 + len > SAMPLE_COLUMN) {
			buf_add_text(out, column == 0 ? "#" : "\n#");
			column = 1;
		}
		buf_add_text(out, " ");
		buf_add(out, text, len);
		column += 1 + len;
		text += len;
		text += strspn(text, " ");
	}
	buf_add_text(out, "\n");
}

void bind_print_sample(const struct bind_row *rows, struct buf *out)
{
	for (; rows->key != NULL; rows++) {
		struct buf comment;

		if (row_is_later(rows))
			continue;
		buf_init(&comment, 4096);
		buf_printf(&comment, "%s  ", rows->help);
		add_syntax(rows, &comment);
		buf_add_text(&comment, ".");
		add_comment(out, buf_text(&comment));
		buf_release(&comment);
		buf_printf(out, ";%s%s =%s%s\n\n", rows->key, rows->kind == BIND_PREFIX ? "NAME" : "",
		    rows->fallback != NULL ? " " : "", rows->fallback != NULL ? rows->fallback : "");
	}
}

/* ---- the man page --------------------------------------------------------------------------- */

/* Backslashes lose their meaning, in macro arguments quotes too. */
static void add_roff(struct buf *out, const char *text, size_t len, bool in_quotes)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\')
			buf_add_text(out, "\\e");
		else if (text[i] == '"' && in_quotes)
			buf_add_text(out, "\\(dq");
		else
			buf_add(out, text + i, 1);
	}
}

/* A macro argument: in quotes and behind a character of no width, so that no word of it is taken for a macro.
 */
static void add_argument(struct buf *out, const char *text)
{
	buf_add_text(out, "\"\\&");
	add_roff(out, text, strlen(text), true);
	buf_add_text(out, "\"");
}

/* One sentence a line, as mdoc wants it. */
static void add_sentences(struct buf *out, const char *text)
{
	while (*text != '\0') {
		const char *stop = strstr(text, ". ");
		size_t len = stop != NULL ? (size_t)(stop - text) + 1 : strlen(text);

		if (text[0] == '.' || text[0] == '\'') /* would begin a request */
			buf_add_text(out, "\\&");
		add_roff(out, text, len, false);
		buf_add_text(out, "\n");
		text += len;
		text += strspn(text, " ");
	}
}

void bind_print_man(const struct bind_row *rows, struct buf *out)
{
	for (; rows->key != NULL; rows++) {
		struct buf syntax;

		if (row_is_later(rows))
			continue;
		buf_add_text(out, ".It Ic ");
		add_argument(out, rows->key);
		if (rows->kind == BIND_PREFIX)
			buf_add_text(out, " Ns Ar NAME");
		buf_add_text(out, "\n");
		add_sentences(out, rows->help);
		buf_init(&syntax, 4096);
		add_syntax(rows, &syntax);
		buf_add_text(&syntax, rows->fallback != NULL ? "; default" : ".");
		add_sentences(out, buf_text(&syntax));
		buf_release(&syntax);
		if (rows->fallback != NULL) {
			buf_add_text(out, ".Ql ");
			add_argument(out, rows->fallback);
			buf_add_text(out, " .\n");
		}
	}
}

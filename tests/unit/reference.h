/* What JSON escaping and the repair of UTF-8 have to give, in the plainest words: tests and fuzz targets hold
 * the fast ways against it. */
#ifndef DRAVE_TESTS_REFERENCE_H
#define DRAVE_TESTS_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Unicode 15, table 3-7: the bytes of the longest beginning of a character at text (len > 0), and whether it
 * is whole. */
static size_t reference_character(const char *text, size_t len, bool *ret_is_whole)
{
	static const struct {
		unsigned char first_min, first_max, second_min, second_max, len;
	} rows[] = {{0x00, 0x7f, 0, 0, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
	    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
	    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
	const unsigned char *bytes = (const unsigned char *)text;

	*ret_is_whole = false;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t at = 1;

		if (bytes[0] < rows[i].first_min || bytes[0] > rows[i].first_max)
			continue;
		while (at < rows[i].len && at < len && bytes[at] >= (at == 1 ? rows[i].second_min : 0x80) &&
		       bytes[at] <= (at == 1 ? rows[i].second_max : 0xbf))
			at++;
		*ret_is_whole = at == rows[i].len;
		return at;
	}
	return 1;
}

/* The text with U+FFFD for what is no UTF-8; out has room for 3 * len bytes. */
static inline size_t reference_repair(char *out, const char *text, size_t len)
{
	size_t at = 0, written = 0, taken;

	for (; at < len; at += taken) {
		bool is_whole;

		taken = reference_character(text + at, len - at, &is_whole);
		memcpy(out + written, is_whole ? text + at : "\xef\xbf\xbd", is_whole ? taken : 3);
		written += is_whole ? taken : 3;
	}
	return written;
}

/* The same as the inside of a JSON string; out has room for 6 * len + 1 bytes. */
static inline size_t reference_escape(char *out, const char *text, size_t len)
{
	static const char with_letter[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";
	size_t at = 0, written = 0, taken;

	for (; at < len; at += taken) {
		const char *found = text[at] != '\0' ? strchr(with_letter, text[at]) : NULL;

		taken = 1;
		if (found != NULL) {
			written += (size_t)snprintf(out + written, 3, "\\%c", letters[found - with_letter]);
		} else if ((unsigned char)text[at] < 0x20) {
			written += (size_t)snprintf(out + written, 7, "\\u%04x", text[at]);
		} else {
			bool is_whole;

			taken = reference_character(text + at, len - at, &is_whole);
			written += reference_repair(out + written, text + at, taken);
		}
	}
	return written;
}

#endif

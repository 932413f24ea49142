/* JSON escaping.  Log text is mostly plain: sixteen bytes (or eight) are looked at and stored at once, and only where one of them needs care does the text go byte
 * by byte until it is plain again.  Pure.
 *
 * Stands on the hot path, below every wire format.  Owns nothing.  Refuses to pass on anything but valid UTF-8. */
#include "config.h"
#include "common/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define REPLACEMENT     "\xef\xbf\xbd" /* U+FFFD */
#define REPLACEMENT_LEN 3

/* ---- runs of plain bytes: 0x20 to 0x7f without quote and backslash ------------------------------------------------- */

#define WORD_BYTES 8
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high bit of each byte of word that is no plain byte; false hits only behind the first true one, which is all that counts. */
static inline uint64_t special_bytes(uint64_t word)
{
	uint64_t quote = word ^ EACH('"'), backslash = word ^ EACH('\\');

	return ((word - EACH(0x20)) | (quote - EACH(1)) | (backslash - EACH(1)) | word) & EACH(0x80);
}

/* Copies plain bytes, eight at a time, and returns how many; stores up to WORD_BYTES beyond. Little and big endian alike count by memory order. */
static inline size_t copy_plain_words(char *out, const char *text, size_t len)
{
	size_t at = 0;

	while (at + WORD_BYTES <= len) {
		uint64_t word, special;

		memcpy(&word, text + at, sizeof word);
		memcpy(out + at, &word, sizeof word);
		special = special_bytes(word);
		if (special != 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
			return at + (size_t)(__builtin_ctzll(special) / 8);
#else
			return at + (size_t)(__builtin_clzll(special) / 8);
#endif
		}
		at += WORD_BYTES;
	}
	return at;
}

#ifdef __SSE2__
#include <emmintrin.h>

/* The same with sixteen. */
static inline size_t copy_plain(char *out, const char *text, size_t len)
{
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
	size_t at = 0;

	while (at + 16 <= len) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
		__m128i special = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
			_mm_cmplt_epi8(bytes, space)); /* signed: 0x80 and above are below the space too */
		unsigned mask = (unsigned)_mm_movemask_epi8(special);

		_mm_storeu_si128((__m128i *)(void *)(out + at), bytes);
		if (mask != 0)
			return at + (size_t)__builtin_ctz(mask);
		at += 16;
	}
	return at + copy_plain_words(out + at, text + at, len - at);
}
#else
#define copy_plain copy_plain_words
#endif

/* ---- single characters -------------------------------------------------------------------------------------------- */

static inline bool is_plain(unsigned char byte)
{
	return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static size_t escape_control(char *out, unsigned char byte)
{
	static const char short_forms[32] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	if (byte >= 0x20 || short_forms[byte] != '\0') {
		out[1] = byte >= 0x20 ? (char)byte : short_forms[byte];
		return 2;
	}
	memcpy(out + 1, "u00", 3);
	out[4] = hex[byte >> 4];
	out[5] = hex[byte & 15];
	return 6;
}

/* How a sequence of UTF-8 begins: its length, and what its second byte may be (Unicode 15, table 3-7).  0: no byte begins so. */
struct lead {
	unsigned char len, second_min, second_max;
};

static struct lead lead_of(unsigned char byte)
{
	if (byte >= 0xc2 && byte <= 0xdf)
		return (struct lead){2, 0x80, 0xbf};
	if (byte >= 0xe0 && byte <= 0xef)
		return (struct lead){3, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
	if (byte >= 0xf0 && byte <= 0xf4)
		return (struct lead){4, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
	return (struct lead){0, 0, 0};
}

/* Looks at a sequence that begins with a byte of 0x80 or more: how many bytes belong to it, and whether they are whole. */
static size_t utf8_sequence(const unsigned char *text, size_t len, bool *ret_valid)
{
	struct lead lead = lead_of(text[0]);
	size_t at = 1;

	*ret_valid = false;
	if (lead.len == 0 || len < 2 || text[1] < lead.second_min || text[1] > lead.second_max)
		return 1;
	for (at = 2; at < lead.len; at++)
		if (at >= len || text[at] < 0x80 || text[at] > 0xbf)
			return at;
	*ret_valid = true;
	return lead.len;
}

/* Writes the character at text (six bytes at most) and tells how many bytes it took. */
static size_t escape_one(char *out, const char *text, size_t len, size_t *ret_taken)
{
	unsigned char byte = (unsigned char)text[0];
	bool valid;

	*ret_taken = 1;
	if (is_plain(byte)) {
		*out = (char)byte;
		return 1;
	}
	if (byte < 0x80)
		return escape_control(out, byte);
	*ret_taken = utf8_sequence((const unsigned char *)text, len, &valid);
	if (!valid) {
		memcpy(out, REPLACEMENT, REPLACEMENT_LEN);
		return REPLACEMENT_LEN;
	}
	memcpy(out, text, *ret_taken);
	return *ret_taken;
}

/* ---- whole texts -------------------------------------------------------------------------------------------------- */

size_t escape_json(char *out, const char *text, size_t len)
{
	char *start = out;
	size_t at = 0;

	for (;;) {
		size_t plain = copy_plain(out, text + at, len - at), taken;

		out += plain;
		at += plain;
		if (at == len)
			return (size_t)(out - start);
		out += escape_one(out, text + at, len - at, &taken);
		at += taken;
	}
}

size_t escape_json_within(char *out, size_t room, const char *text, size_t len, size_t *ret_taken)
{
	char *start = out, *end = out + room;
	size_t at = 0;

	while (at < len && out < end) {
		size_t left = (size_t)(end - out), taken, written;
		size_t run = len - at < left ? len - at : left;
		char one[ESCAPE_WORST];

		/* Whole words are stored, so the last of the room goes byte by byte. */
		if (run >= ESCAPE_SLACK) {
			size_t plain = copy_plain(out, text + at, run - ESCAPE_SLACK + 1);

			out += plain;
			at += plain;
			if (plain != 0)
				continue;
		}
		written = escape_one(one, text + at, len - at, &taken);
		if (written > left)
			break;
		memcpy(out, one, written);
		out += written;
		at += taken;
	}
	*ret_taken = at;
	return (size_t)(out - start);
}

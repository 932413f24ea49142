/* JSON escaping.  Log text is mostly plain: sixteen bytes (or eight) are looked at and stored at once, and
 * only where one of them needs care is that one byte replaced, or a run of UTF-8 checked, before the next
 * sixteen.  Pure.
 *
 * Stands on the hot path, below every wire format.  Owns nothing.  Refuses to pass on anything but valid
 * UTF-8. */
#include "config.h"
#include "common/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/word.h"

#define REPLACEMENT     "\xef\xbf\xbd" /* U+FFFD */
#define REPLACEMENT_LEN 3

/* Where reading and writing stand. */
struct pass {
	const char *text, *end;
	char *out;
};

static inline bool is_high(char byte)
{
	return (unsigned char)byte >= 0x80;
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

/* How a sequence begins: its length, and what its second byte may be (Unicode 15, table 3-7).  0: no byte
 * begins so. */
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

/* Looks at a sequence that begins with a byte of 0x80 or more: how many bytes belong to it, and whether they
 * are whole. */
static size_t sequence_len(const unsigned char *text, size_t len, bool *ret_is_valid)
{
	struct lead lead = lead_of(text[0]);

	*ret_is_valid = false;
	if (lead.len == 0 || len < 2 || text[1] < lead.second_min || text[1] > lead.second_max)
		return 1;
	for (size_t at = 2; at < lead.len; at++)
		if (at >= len || text[at] < 0x80 || text[at] > 0xbf)
			return at;
	*ret_is_valid = true;
	return lead.len;
}

/* The length of the valid sequence in the low bytes of word, 0 if there is none.  Not valid are
 *   two bytes     before c2 (overlong)
 *   three bytes   below U+0800 (overlong); ed with a second byte from a0 on (surrogates)
 *   four bytes    below U+10000 (overlong); f4 with a second byte from 90 on, and f5 to f7 (beyond U+10FFFF)
 */
static inline size_t valid_len(uint32_t word)
{
	if ((word & 0xc0e0) == 0x80c0)
		return (word & 0x1e) != 0 ? 2 : 0;
	if ((word & 0xc0c0f0) == 0x8080e0)
		return (word & 0x200f) != 0 && (word & 0x200f) != 0x200d ? 3 : 0;
	if ((word & 0xc0c0c0f8) == 0x808080f0)
		return (word & 0x3007) != 0 && ((word & 4) == 0 || (word & 0x3003) == 0) ? 4 : 0;
	return 0;
}

/* One character beyond ASCII, or the replacement of an invalid one.  Takes and gives a copy: the seldom way
 * must not keep the fast one from registers. */
static struct pass pass_sequence(struct pass pass)
{
	bool is_valid;
	size_t len =
	    sequence_len((const unsigned char *)pass.text, (size_t)(pass.end - pass.text), &is_valid);
	size_t written = is_valid ? len : REPLACEMENT_LEN;

	memcpy(pass.out, is_valid ? pass.text : REPLACEMENT, written);
	pass.text += len;
	pass.out += written;
	return pass;
}

/* Characters beyond ASCII, as many as there are in a row. */
static inline void pass_high(struct pass *pass)
{
	do {
		size_t len = 0;

		if (pass->end - pass->text >= WORD_BYTES) {
			uint64_t word = word_load(pass->text);

			word_store(pass->out, word);
			len = valid_len((uint32_t)word);
		}
		if (len == 0) {
			*pass = pass_sequence(*pass);
			continue;
		}
		pass->text += len;
		pass->out += len;
	} while (pass->text < pass->end && is_high(*pass->text));
}

/* ---- ASCII that has to be escaped ------------------------------------------------------------ */

#define SHORT(letter)                                                                                        \
	{                                                                                                    \
		"\\" letter, 2                                                                               \
	}
#define LONG(hex)                                                                                            \
	{                                                                                                    \
		"\\u00" hex, 6                                                                               \
	}

static const struct escape {
	char bytes[7];
	unsigned char len;
} escapes[0x80] = {
    LONG("00"),
    LONG("01"),
    LONG("02"),
    LONG("03"),
    LONG("04"),
    LONG("05"),
    LONG("06"),
    LONG("07"),
    SHORT("b"),
    SHORT("t"),
    SHORT("n"),
    LONG("0b"),
    SHORT("f"),
    SHORT("r"),
    LONG("0e"),
    LONG("0f"),
    LONG("10"),
    LONG("11"),
    LONG("12"),
    LONG("13"),
    LONG("14"),
    LONG("15"),
    LONG("16"),
    LONG("17"),
    LONG("18"),
    LONG("19"),
    LONG("1a"),
    LONG("1b"),
    LONG("1c"),
    LONG("1d"),
    LONG("1e"),
    LONG("1f"),
    ['"'] = SHORT("\""),
    ['\\'] = SHORT("\\"),
};

/* The byte that is not plain, and the run that it begins. */
static inline void pass_special(struct pass *pass)
{
	const struct escape *escape;

	if (is_high(*pass->text)) {
		pass_high(pass);
		return;
	}
	escape = &escapes[(unsigned char)*pass->text++];
	memcpy(
	    pass->out, escape->bytes, sizeof *escape); /* eight at once; what is too much is written over */
	pass->out += escape->len;
}

/* ---- runs of plain bytes: 0x20 to 0x7f without quote and backslash --------------------------- */

/* Eight bytes at a time, up to the end. */
static inline void pass_words(struct pass *pass, const char *text, size_t len)
{
	while (pass->text < pass->end) {
		size_t rest = (size_t)(pass->end - pass->text), plain;
		uint64_t word = rest >= WORD_BYTES ? word_load(pass->text) : word_load_rest(text, len, rest);
		uint64_t special = word_below(word, 0x20) | word_equal(word, '"') | word_equal(word, '\\') |
				   (word & WORD_EACH(0x80));

		word_store(pass->out, word);
		plain = word_first(special); /* zeros behind a short rest are special too */
		pass->text += plain;
		pass->out += plain;
		if (plain < WORD_BYTES && pass->text < pass->end)
			pass_special(pass);
	}
}

size_t escape_json_portable(char *out, const char *text, size_t len)
{
	struct pass pass = {text, text + len, out};

	pass_words(&pass, text, len);
	return (size_t)(pass.out - out);
}

#ifdef __SSE2__
#include <emmintrin.h>

#define BLOCK 16

/* A block of ASCII of which the bytes in the mask have to be escaped; another one stands behind it.  All its
 * quotes are found at one look, so that the processor need not wait for one to begin with the next: JSON in a
 * log has one every few bytes. */
static inline void pass_masked(struct pass *pass, unsigned mask)
{
	const char *text = pass->text;
	unsigned from = 0;

	do {
		unsigned special = (unsigned)__builtin_ctz(mask);
		const struct escape *escape = &escapes[(unsigned char)text[special]];

		memcpy(pass->out, text + from, BLOCK);
		pass->out += special - from;
		memcpy(pass->out, escape, sizeof *escape);
		pass->out += escape->len;
		from = special + 1;
		mask &= mask - 1;
	} while (mask != 0);
	memcpy(pass->out, text + from, BLOCK);
	pass->out += BLOCK - from;
	pass->text += BLOCK;
}

/* A block at a time, as long as there is a whole one. */
static inline void pass_vectors(struct pass *pass)
{
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
	const __m128i space = _mm_set1_epi8(0x20);

	while (pass->end - pass->text >= BLOCK) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)pass->text);
		__m128i quoted = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
		/* The comparison is signed: 0x80 and above are below the space too. */
		__m128i special = _mm_or_si128(quoted, _mm_cmplt_epi8(bytes, space));
		unsigned mask = (unsigned)_mm_movemask_epi8(special);

		_mm_storeu_si128((__m128i *)(void *)pass->out, bytes);
		if (mask == 0) {
			pass->text += BLOCK;
			pass->out += BLOCK;
		} else if (_mm_movemask_epi8(bytes) == 0 && pass->end - pass->text >= 2 * BLOCK) {
			pass_masked(pass, mask);
		} else {
			unsigned plain = (unsigned)__builtin_ctz(mask);

			pass->text += plain;
			pass->out += plain;
			pass_special(pass);
		}
	}
}

size_t escape_json(char *out, const char *text, size_t len)
{
	struct pass pass = {text, text + len, out};

	pass_vectors(&pass);
	pass_words(&pass, text, len);
	return (size_t)(pass.out - out);
}
#else
size_t escape_json(char *out, const char *text, size_t len)
{
	return escape_json_portable(out, text, len);
}
#endif

/* ---- with little room ------------------------------------------------------------------------ */

/* The most of len bytes that end between two characters.  A byte that follows three continuation bytes
 * belongs to no character with them. */
static size_t whole_characters(const char *text, size_t len, size_t wanted)
{
	size_t at = wanted;

	if (wanted >= len)
		return len;
	while (at > 0 && wanted - at < 4 && ((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	return wanted - at < 4 ? at : wanted;
}

/* Escapes one character into out, which has room for a word, and returns its bytes. */
static size_t escape_one(char *out, const char *text, size_t len, size_t *ret_taken)
{
	struct pass pass = {text, text + len, out};

	if (is_high(*text))
		pass = pass_sequence(pass);
	else if (escapes[(unsigned char)*text].len != 0)
		pass_special(&pass);
	else
		*pass.out++ = *pass.text++;
	*ret_taken = (size_t)(pass.text - text);
	return (size_t)(pass.out - out);
}

size_t escape_json_within(char *out, size_t room, const char *text, size_t len, size_t *ret_taken)
{
	size_t at = 0, written = 0;

	while (at < len) {
		size_t left = room - written, sure = 0, taken, one_len;
		char one[WORD_BYTES];

		/* What fits whatever it is goes fast; the last characters go one by one. */
		if (left > ESCAPE_SLACK)
			sure = whole_characters(text + at, len - at, (left - ESCAPE_SLACK) / ESCAPE_WORST);
		if (sure != 0) {
			written += escape_json(out + written, text + at, sure);
			at += sure;
			continue;
		}
		one_len = escape_one(one, text + at, len - at, &taken);
		if (one_len > left)
			break;
		memcpy(out + written, one, one_len);
		written += one_len;
		at += taken;
	}
	*ret_taken = at;
	return written;
}

/* Eight bytes of text at a time, as one number: how parsers look at text on any machine.  Pure. */
#ifndef DRAVE_COMMON_WORD_H
#define DRAVE_COMMON_WORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WORD_BYTES 8
/* The same byte eight times. */
#define WORD_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Eight bytes from text; the first one is the lowest in the number, whatever the machine's order. */
static inline uint64_t word_load(const char *text)
{
	uint64_t word;

	memcpy(&word, text, sizeof word);
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(word) : word;
}

/* Back to memory, all eight. */
static inline void word_store(char *out, uint64_t word)
{
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		word = __builtin_bswap64(word);
	memcpy(out, &word, sizeof word);
}

/* The last `rest` bytes (fewer than eight) of a text of len bytes, zeros behind them.  Never reads beyond the
 * text. */
static inline uint64_t word_load_rest(const char *text, size_t len, size_t rest)
{
	uint64_t word = 0;

	if (rest == 0)
		return 0;
	if (len >= WORD_BYTES)
		return word_load(text + len - WORD_BYTES) >> (8 * (WORD_BYTES - rest));
	for (size_t i = 0; i < rest; i++)
		word |= (uint64_t)(unsigned char)text[len - rest + i] << (8 * i);
	return word;
}

/* Marks (high bit) of the bytes below limit (at most 0x80), bytes of 0x80 and more left out.  Behind the
 * first mark there may be false ones. */
static inline uint64_t word_below(uint64_t word, unsigned char limit)
{
	return (word - WORD_EACH(limit)) & ~word & WORD_EACH(0x80);
}

/* Marks of the bytes that are this one (below 0x80).  Behind the first mark there may be false ones. */
static inline uint64_t word_equal(uint64_t word, unsigned char byte)
{
	return word_below(word ^ WORD_EACH(byte), 1);
}

/* The place of the first mark, 8 if there is none. */
static inline size_t word_first(uint64_t marks)
{
	return marks != 0 ? (size_t)__builtin_ctzll(marks) / 8 : WORD_BYTES;
}

#endif

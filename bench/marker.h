/* The marker that every generated line carries, found again in whatever an agent ships.
 *
 *   rid=CCCC-SSSSSSSS                      written at once
 *   rid=CCCC-SSSSSSSS-TTTTTTTTTTTTTTTT     written over time; T = CLOCK_REALTIME in nanoseconds
 *
 * All hexadecimal, C = index of the container, S = number of the line within it.  Nothing in a marker is ever
 * escaped, so the receiver needs no knowledge of an agent's record format. */
#ifndef DRAVE_BENCH_MARKER_H
#define DRAVE_BENCH_MARKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define MARKER_MIN 17
#define MARKER_MAX 34

struct marker {
	unsigned container;
	unsigned line;
	uint64_t sent_ns; /* 0: written at once */
};

typedef void marker_fn(void *arg, const struct marker *marker);

static inline bool marker_number(const char *text, int digits, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (int i = 0; i < digits; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= '0' && c <= '9')
			number = number << 4 | (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			number = number << 4 | (unsigned)(c - 'a' + 10);
		else
			return false;
	}
	*ret_number = number;
	return true;
}

/* Reads the marker at text, which starts with "rid="; nothing happens if it is none. */
static inline void marker_read(const char *text, const char *end, marker_fn *found, void *arg)
{
	uint64_t container, line, sent_ns = 0;

	if (end - text < MARKER_MIN || text[8] != '-')
		return;
	if (!marker_number(text + 4, 4, &container) || !marker_number(text + 9, 8, &line))
		return;
	if (end - text < MARKER_MAX || text[17] != '-' || !marker_number(text + 18, 16, &sent_ns))
		sent_ns = 0;
	found(arg, &(struct marker){(unsigned)container, (unsigned)line, sent_ns});
}

/* Calls found for every marker that starts in the first start_limit of len bytes. */
static inline void marker_scan(const char *bytes, size_t len, size_t start_limit, marker_fn *found, void *arg)
{
	const char *end = bytes + len;
	size_t i = 0;

	if (start_limit > len)
		start_limit = len;
#ifdef __SSE2__
	for (; i + 16 + 3 <= len && i < start_limit; i += 16) {
		__m128i first = _mm_loadu_si128((const __m128i *)(const void *)(bytes + i));
		__m128i fourth = _mm_loadu_si128((const __m128i *)(const void *)(bytes + i + 3));
		unsigned hits = (unsigned)_mm_movemask_epi8(_mm_and_si128(
		    _mm_cmpeq_epi8(first, _mm_set1_epi8('r')), _mm_cmpeq_epi8(fourth, _mm_set1_epi8('='))));

		for (; hits != 0; hits &= hits - 1) {
			size_t at = i + (size_t)__builtin_ctz(hits);

			if (at < start_limit && bytes[at + 1] == 'i' && bytes[at + 2] == 'd')
				marker_read(bytes + at, end, found, arg);
		}
	}
#endif
	for (; i + MARKER_MIN <= len && i < start_limit; i++)
		if (bytes[i] == 'r' && bytes[i + 1] == 'i' && bytes[i + 2] == 'd' && bytes[i + 3] == '=')
			marker_read(bytes + i, end, found, arg);
}

#endif

/* CRI lines.  A search for a blank, a look at what stands at known distances from it, and no copy.  Pure.
 *
 * Stands on the hot path between the cursor's lines and the joiner.  The time stays the text that it is in
 * the file, because records carry it so; its value is computed from a cached minute, since consecutive lines
 * seldom differ in more than seconds.
 *
 * Refuses every time that would need escaping or that no calendar knows: such a line is delivered whole, as
 * unparsed. */
#include "config.h"
#include "collector/cri.h"

#include <string.h>

#include "common/word.h"

#define SECOND_NS  INT64_C(1000000000)
#define MINUTE_NS  (60 * SECOND_NS)
#define MINUTE_LEN 16 /* "2026-01-31T12:34" */
#define SECOND_LEN 19 /* "2026-01-31T12:34:56" */
#define TIME_MIN   20 /* with Z */
#define STREAM_LEN 6  /* "stdout", "stderr" */
#define LINE_MIN   (TIME_MIN + 1 + STREAM_LEN + 1 + 1)

/* ---- time ------------------------------------------------------------------------------------ */

static bool digits(const char *text, size_t count, unsigned *ret_value)
{
	unsigned value = 0;

	for (size_t i = 0; i < count; i++) {
		unsigned digit = (unsigned)(unsigned char)text[i] - '0';

		if (digit > 9)
			return false;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return true;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && is_leap ? 29 : days[month - 1];
}

/* Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is the last. */
static int64_t days_since_epoch(unsigned year, unsigned month, unsigned day)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t era = y / 400, year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/* "2026-01-31T12:34" -> nanoseconds, as if it were UTC. */
static bool parse_minute(const char *text, int64_t *ret_ns)
{
	unsigned year, month, day, hour, minute;

	if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':')
		return false;
	if (!digits(text, 4, &year) || !digits(text + 5, 2, &month) || !digits(text + 8, 2, &day) ||
	    !digits(text + 11, 2, &hour) || !digits(text + 14, 2, &minute))
		return false;
	if (year < 1970 || year > 2261) /* nanoseconds since 1970 end in 2262 */
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 ||
	    minute > 59)
		return false;
	*ret_ns = (days_since_epoch(year, month, day) * 1440 + hour * 60 + minute) * MINUTE_NS;
	return true;
}

static bool find_minute(struct timestamp_cache *cache, const char *text)
{
	if (cache->is_filled && memcmp(cache->minute, text, MINUTE_LEN) == 0)
		return true;
	if (!parse_minute(text, &cache->minute_ns))
		return false; /* what was kept stays true */
	memcpy(cache->minute, text, MINUTE_LEN);
	cache->is_filled = true;
	return true;
}

/* Eight digits at once: -1 if one of them is none. */
static int64_t eight_digits(const char *text)
{
	const uint64_t pairs = UINT64_C(0x000000ff000000ff);
	uint64_t word = word_load(text), high = WORD_EACH(0xf0), upper, lower;

	if ((word & high) != WORD_EACH('0') || ((word + WORD_EACH(6)) & high) != WORD_EACH('0'))
		return -1;
	word -= WORD_EACH('0');
	word = word * 10 + (word >> 8); /* every second byte is a number of two digits now */
	upper = (word & pairs) * (100 + (UINT64_C(1000000) << 32));
	lower = (word >> 16 & pairs) * (1 + (UINT64_C(10000) << 32));
	return (int64_t)((upper + lower) >> 32);
}

/* ".123456789": at least one digit.  Returns how many bytes it is, 0 if it is none. */
static size_t parse_fraction(const char *text, size_t len, int64_t *ret_ns)
{
	int64_t value = 0, scale = SECOND_NS;
	size_t at = 1;

	if (len > 8 && (value = eight_digits(text + 1)) >= 0) {
		at += 8;
		scale = 10;
	} else {
		value = 0;
	}
	for (; at < len && (unsigned char)(text[at] - '0') <= 9; at++) {
		if (scale == 1)
			continue; /* less than a nanosecond */
		value = value * 10 + (text[at] - '0');
		scale /= 10;
	}
	*ret_ns = value * scale;
	return at > 1 ? at : 0;
}

/* "Z", "+01:00", "-05:30": nanoseconds to subtract. */
static bool parse_offset(const char *text, size_t len, int64_t *ret_ns)
{
	unsigned hours, minutes;

	*ret_ns = 0;
	if (len == 1 && text[0] == 'Z')
		return true;
	if (len != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':')
		return false;
	if (!digits(text + 1, 2, &hours) || !digits(text + 4, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret_ns = (int64_t)(hours * 60 + minutes) * MINUTE_NS * (text[0] == '-' ? -1 : 1);
	return true;
}

bool timestamp_parse(struct timestamp_cache *cache, const char *text, size_t len, int64_t *ret_ns)
{
	int64_t fraction_ns = 0, offset_ns;
	unsigned second;
	size_t at = SECOND_LEN;

	if (len < TIME_MIN || len > TIMESTAMP_MAX || text[MINUTE_LEN] != ':' ||
	    !digits(text + MINUTE_LEN + 1, 2, &second) || second > 60 || !find_minute(cache, text))
		return false;
	if (text[at] == '.') {
		size_t fraction_len = parse_fraction(text + at, len - at, &fraction_ns);

		if (fraction_len == 0)
			return false;
		at += fraction_len;
	}
	if (!parse_offset(text + at, len - at, &offset_ns))
		return false;
	if (second == 60) { /* a leap second has no number of its own */
		second = 59;
		fraction_ns = SECOND_NS - 1;
	}
	*ret_ns = cache->minute_ns + (int64_t)second * SECOND_NS + fraction_ns - offset_ns;
	return true;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool parse_stream(const char *text, enum record_stream *ret_stream)
{
	if (memcmp(text, "stdout", STREAM_LEN) == 0)
		*ret_stream = RECORD_STDOUT;
	else if (memcmp(text, "stderr", STREAM_LEN) == 0)
		*ret_stream = RECORD_STDERR;
	else
		return false;
	return true;
}

/* Where the text begins: behind the tags and their blank.  NULL: no tags.  tags < end. */
static const char *parse_tags(const char *tags, const char *end, bool *ret_is_last)
{
	const char *after = tags + 1;

	if (*tags != 'P' && *tags != 'F')
		return NULL;
	*ret_is_last = *tags == 'F';
	if (after < end && *after == ':') { /* further tags */
		after = memchr(after, ' ', (size_t)(end - after));
		if (after == NULL)
			return end;
	}
	if (after == end)
		return end;
	return *after == ' ' ? after + 1 : NULL;
}

bool cri_parse(struct timestamp_cache *cache, const char *line, size_t len, struct piece *ret_piece)
{
	const char *end = line + len, *time_end, *stream, *tags;
	struct piece piece = {.time = line};

	if (len < LINE_MIN)
		return false;
	time_end = memchr(line, ' ', len < TIMESTAMP_MAX + 1 ? len : TIMESTAMP_MAX + 1);
	if (time_end == NULL || end - time_end < 1 + STREAM_LEN + 1 + 1)
		return false;
	stream = time_end + 1;
	tags = stream + STREAM_LEN + 1;
	if (tags[-1] != ' ' || !parse_stream(stream, &piece.stream))
		return false;
	piece.text = parse_tags(tags, end, &piece.is_last);
	if (piece.text == NULL)
		return false;
	piece.len = (size_t)(end - piece.text);
	piece.time_len = (size_t)(time_end - line);
	if (!timestamp_parse(cache, line, piece.time_len, &piece.time_ns))
		return false;
	*ret_piece = piece;
	return true;
}

/* CRI lines.  Three searches for a blank and a look at the time; no regular expression, no copy.  Pure.
 *
 * Stands on the hot path between the cursor's lines and the joiner.  The time stays the text that it is in the file, because records carry it so; its value is
 * computed from a cached minute, since consecutive lines seldom differ in more than seconds. */
#include "config.h"
#include "collector/cri.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)
#define MINUTE_NS (60 * (int64_t)SECOND_NS)
#define LINE_MIN   29 /* the shortest line: a time of 20, "stdout", one tag */
#define MINUTE_LEN 16 /* "2026-01-31T12:34" */

/* ---- time --------------------------------------------------------------------------------------------------------- */

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
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar: years begin in March, so that the leap day is the last. */
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

	if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':')
		return false;
	if (!digits(text, 4, &year) || !digits(text + 5, 2, &month) || !digits(text + 8, 2, &day) || !digits(text + 11, 2, &hour) ||
	    !digits(text + 14, 2, &minute))
		return false;
	if (year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59)
		return false; /* nanoseconds since 1970 end in 2262 */
	*ret_ns = (days_since_epoch(year, month, day) * 1440 + hour * 60 + minute) * MINUTE_NS;
	return true;
}

/* ".123456789": at least one digit; digits beyond the ninth say less than a nanosecond.  Returns how many bytes it is, 0 if it is none. */
static size_t parse_fraction(const char *text, size_t len, int64_t *ret_ns)
{
	static const int64_t scale[] = {1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
	int64_t value = 0;
	size_t at = 1, used = 0;

	for (; at < len && text[at] >= '0' && text[at] <= '9'; at++) {
		if (used == 9)
			continue;
		value = value * 10 + (text[at] - '0');
		used++;
	}
	*ret_ns = value * scale[used];
	return used != 0 ? at : 0;
}

/* "Z", "+01:00", "-05:30": nanoseconds to subtract. */
static bool parse_offset(const char *text, size_t len, int64_t *ret_ns)
{
	unsigned hours, minutes;

	if (len == 1 && (text[0] == 'Z' || text[0] == 'z')) {
		*ret_ns = 0;
		return true;
	}
	if (len != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' || !digits(text + 1, 2, &hours) || !digits(text + 4, 2, &minutes) ||
	    hours > 23 || minutes > 59)
		return false;
	*ret_ns = (int64_t)(hours * 60 + minutes) * MINUTE_NS * (text[0] == '-' ? -1 : 1);
	return true;
}

bool timestamp_parse(struct timestamp_cache *cache, const char *text, size_t len, int64_t *ret_ns)
{
	int64_t fraction_ns = 0, offset_ns;
	unsigned second;
	size_t at = 19;

	if (len < 20 || text[16] != ':' || !digits(text + 17, 2, &second) || second > 60)
		return false;
	if (memcmp(cache->minute, text, MINUTE_LEN) != 0) {
		int64_t minute_ns;

		if (!parse_minute(text, &minute_ns))
			return false;
		memcpy(cache->minute, text, MINUTE_LEN);
		cache->minute_ns = minute_ns;
	}
	if (text[at] == '.') {
		size_t taken = parse_fraction(text + at, len - at, &fraction_ns);

		if (taken == 0)
			return false;
		at += taken;
	}
	if (!parse_offset(text + at, len - at, &offset_ns))
		return false;
	if (second == 60) { /* a leap second: the last nanosecond of its minute */
		second = 59;
		fraction_ns = (int64_t)SECOND_NS - 1;
	}
	*ret_ns = cache->minute_ns + (int64_t)second * (int64_t)SECOND_NS + fraction_ns - offset_ns;
	return true;
}

/* ---- lines -------------------------------------------------------------------------------------------------------- */

static bool parse_stream(const char *text, size_t len, enum record_stream *ret_stream)
{
	if (len != 6)
		return false;
	if (memcmp(text, "stdout", 6) == 0)
		*ret_stream = RECORD_STDOUT;
	else if (memcmp(text, "stderr", 6) == 0)
		*ret_stream = RECORD_STDERR;
	else
		return false;
	return true;
}

bool cri_parse(struct timestamp_cache *cache, const char *line, size_t len, struct piece *ret_piece)
{
	const char *end = line + len, *time_end, *stream, *stream_end, *tags;
	struct piece piece = {.time = line};

	if (len < LINE_MIN)
		return false;
	time_end = memchr(line, ' ', len < TIMESTAMP_MAX + 1 ? len : TIMESTAMP_MAX + 1);
	if (time_end == NULL)
		return false;
	stream = time_end + 1;
	stream_end = stream + 6;
	if (end - stream_end < 2 || *stream_end != ' ' || !parse_stream(stream, 6, &piece.stream))
		return false;
	tags = stream_end + 1;
	if ((tags[0] != 'P' && tags[0] != 'F') || (tags + 1 < end && tags[1] != ' ' && tags[1] != ':'))
		return false;
	piece.is_last = tags[0] == 'F';
	piece.text = tags + 1;
	if (piece.text < end && *piece.text == ':') { /* further tags, unknown to us */
		piece.text = memchr(piece.text, ' ', (size_t)(end - piece.text));
		if (piece.text == NULL)
			piece.text = end;
	}
	if (piece.text < end)
		piece.text++; /* the blank; without it the text is empty */
	piece.len = (size_t)(end - piece.text);
	piece.time_len = (size_t)(time_end - line);
	if (!timestamp_parse(cache, line, piece.time_len, &piece.time_ns))
		return false;
	*ret_piece = piece;
	return true;
}

/* Numbers with units.
 *
 * A unit must be named wherever two readings are possible: M may mean 1000 or 1024 times 1000, a bare 30
 * seconds or milliseconds. Such a text is refused with what to write instead.  Pure. */
#include "config.h"
#include "conf/units.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const char too_large[] = "is too large";

/* Takes digits off *text. */
static bool take_number(const char **text, uint64_t *ret_number, const char **ret_complaint)
{
	const char *at = *text;
	uint64_t number = 0;

	if (*at < '0' || *at > '9') {
		*ret_complaint = "is no number";
		return false;
	}
	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(number, 10u, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number)) {
			*ret_complaint = too_large;
			return false;
		}
	}
	*text = at;
	*ret_number = number;
	return true;
}

static const struct unit *find_unit(const struct unit *units, const char *name, size_t len)
{
	for (; units->name != NULL; units++) {
		if (strlen(units->name) == len && memcmp(units->name, name, len) == 0)
			return units;
	}
	return NULL;
}

bool units_parse_count(const char *text, uint64_t *ret_count, const char **ret_complaint)
{
	uint64_t count;

	if (!take_number(&text, &count, ret_complaint))
		return false;
	if (*text != '\0') {
		*ret_complaint = "is no plain number";
		return false;
	}
	*ret_count = count;
	return true;
}

bool units_parse_bool(const char *text, bool *ret_value, const char **ret_complaint)
{
	static const char *const words[2][3] = {{"off", "false", "no"}, {"on", "true", "yes"}};

	for (int value = 0; value < 2; value++) {
		for (size_t i = 0; i < 3; i++) {
			if (strcasecmp(text, words[value][i]) != 0)
				continue;
			*ret_value = value == 1;
			return true;
		}
	}
	*ret_complaint = "is neither on nor off";
	return false;
}

/* ---- sizes ---------------------------------------------------------------------------------- */

static const struct unit size_units[] = {
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"KB", 1000},
    {"Gi", UINT64_C(1) << 30},
    {"Mi", UINT64_C(1) << 20},
    {"Ki", UINT64_C(1) << 10},
    {"", 1},
    {NULL, 0},
};
#define SIZE_UNITS_WRITTEN 6

static const char *size_unit_complaint(const char *unit)
{
	if (strcmp(unit, "K") == 0)
		return "is ambiguous: write KiB (1024 bytes) or KB (1000)";
	if (strcmp(unit, "M") == 0)
		return "is ambiguous: write MiB (1024 KiB) or MB (1000 KB)";
	if (strcmp(unit, "G") == 0)
		return "is ambiguous: write GiB (1024 MiB) or GB (1000 MB)";
	return "has an unknown unit: write KiB, MiB, GiB, KB, MB, GB or plain bytes";
}

bool units_parse_size(const char *text, uint64_t *ret_bytes, const char **ret_complaint)
{
	const struct unit *unit;
	uint64_t number;

	if (!take_number(&text, &number, ret_complaint))
		return false;
	text += strspn(text, " ");
	unit = find_unit(size_units, text, strlen(text));
	if (unit == NULL) {
		*ret_complaint = size_unit_complaint(text);
		return false;
	}
	if (__builtin_mul_overflow(number, unit->factor, &number)) {
		*ret_complaint = too_large;
		return false;
	}
	*ret_bytes = number;
	return true;
}

void units_add_size(struct buf *out, uint64_t bytes)
{
	for (size_t i = 0; bytes > 0 && i < SIZE_UNITS_WRITTEN; i++) {
		if (bytes % size_units[i].factor != 0)
			continue;
		buf_printf(out, "%" PRIu64 "%s", bytes / size_units[i].factor, size_units[i].name);
		return;
	}
	buf_printf(out, "%" PRIu64, bytes);
}

/* ---- durations ------------------------------------------------------------------------------ */

static const struct unit duration_units[] = {
    {"d", 86400000},
    {"h", 3600000},
    {"m", 60000},
    {"s", 1000},
    {"ms", 1},
    {NULL, 0},
};

/* Takes one "30s" off *text and adds it to *ms. */
static bool take_span(const char **text, uint64_t *ms, const char **ret_complaint)
{
	const struct unit *unit;
	uint64_t number;
	size_t len;

	if (!take_number(text, &number, ret_complaint))
		return false;
	*text += strspn(*text, " ");
	len = strspn(*text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	unit = find_unit(duration_units, *text, len);
	if (unit == NULL) {
		*ret_complaint = len == 0 ? "has no unit: write ms, s, m, h or d"
					  : "has an unknown unit: write ms, s, m, h or d";
		return false;
	}
	if (__builtin_mul_overflow(number, unit->factor, &number) ||
	    __builtin_add_overflow(*ms, number, ms)) {
		*ret_complaint = too_large;
		return false;
	}
	*text += len;
	*text += strspn(*text, " ");
	return true;
}

bool units_parse_duration(const char *text, uint64_t *ret_ms, const char **ret_complaint)
{
	uint64_t ms = 0;

	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return true;
	}
	do {
		if (!take_span(&text, &ms, ret_complaint))
			return false;
	} while (*text != '\0');
	*ret_ms = ms;
	return true;
}

void units_add_duration(struct buf *out, uint64_t ms)
{
	if (ms == 0)
		buf_add_text(out, "0");
	for (const struct unit *unit = duration_units; unit->name != NULL; unit++) {
		if (ms >= unit->factor)
			buf_printf(out, "%" PRIu64 "%s", ms / unit->factor, unit->name);
		ms %= unit->factor;
	}
}

bool units_parse_duration_range(
    const char *text, uint64_t *ret_min, uint64_t *ret_max, const char **ret_complaint)
{
	const char *dots = strstr(text, "..");
	char first[64];
	uint64_t min, max;

	if (dots == NULL || (size_t)(dots - text) >= sizeof first) {
		*ret_complaint = "is no range: write 1s..60s";
		return false;
	}
	memcpy(first, text, (size_t)(dots - text));
	first[dots - text] = '\0';
	text = dots + 2;
	text += strspn(text, " ");
	if (!units_parse_duration(first, &min, ret_complaint) ||
	    !units_parse_duration(text, &max, ret_complaint))
		return false;
	if (min > max) {
		*ret_complaint = "ends before it begins";
		return false;
	}
	*ret_min = min;
	*ret_max = max;
	return true;
}

/* JSON escaping: the first byte says how much room there is, the rest is text.
 *
 * Both ways give what the reference gives, a reader of JSON gets the repaired text back, and within any room
 * there stand whole characters of it. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "common/escape.h"
#include "common/must.h"
#include "tests/unit/reference.h"

static void check_whole(const char *text, size_t len)
{
	char *expected = xmalloc(6 * len + 1), *out = xmalloc(ESCAPE_WORST * len + ESCAPE_SLACK);
	size_t expected_len = reference_escape(expected, text, len);

	must(escape_json(out, text, len) == expected_len);
	must(memcmp(out, expected, expected_len) == 0);
	must(escape_json_portable(out, text, len) == expected_len);
	must(memcmp(out, expected, expected_len) == 0);
	free(out);
	free(expected);
}

static void check_round_trip(const char *text, size_t len)
{
	char *quoted = xmalloc(ESCAPE_WORST * len + ESCAPE_SLACK + 2), *repaired = xmalloc(3 * len + 1);
	size_t quoted_len = 1 + escape_json(quoted + 1, text, len),
	       repaired_len = reference_repair(repaired, text, len);
	cJSON *parsed;

	quoted[0] = quoted[quoted_len++] = '"';
	parsed = cJSON_ParseWithLength(quoted, quoted_len);
	must(parsed != NULL);
	must(memcmp(parsed->valuestring, repaired, repaired_len) == 0); /* NULs included */
	must(parsed->valuestring[repaired_len] == '\0');
	cJSON_Delete(parsed);
	free(repaired);
	free(quoted);
}

static void check_within(const char *text, size_t len, size_t room)
{
	char *out = xmalloc(room), *expected = xmalloc(6 * len + 1);
	size_t taken, written = escape_json_within(out, room, text, len, &taken);
	size_t whole_len = reference_escape(expected, text, len);

	must(written <= room && taken <= len);
	must(memcmp(out, expected, written) == 0);
	must(reference_escape(expected, text, taken) == written);
	must(taken == len ? written == whole_len : written + ESCAPE_WORST > room);
	free(expected);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text;

	if (len == 0)
		return 0;
	text = xmalloc(len - 1);
	memcpy(text, bytes + 1, len - 1); /* a block of its own: a read past its end is seen */
	check_whole(text, len - 1);
	check_round_trip(text, len - 1);
	check_within(text, len - 1, bytes[0]);
	check_within(text, len - 1, 6 * len);
	free(text);
	return 0;
}

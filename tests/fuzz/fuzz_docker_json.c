/* docker's lines, in two ways.  If the first byte is even, the rest is a line: what is taken means the same
 * to a reader of JSON.  If it is odd, the rest is a log text: a line made of it is taken and gives the text
 * back. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "collector/docker_json.h"
#include "common/must.h"
#include "tests/unit/reference.h"

#define TIME "2026-01-31T12:34:56.123456789Z"

static struct timestamp_cache cache;

static bool text_is(const cJSON *item, const char *text, size_t len)
{
	return cJSON_IsString(item) && memcmp(item->valuestring, text, len) == 0 &&
	       item->valuestring[len] == '\0';
}

/* cJSON refuses lone surrogates and reads keys up to a NUL, so such lines are left to the unit test. */
static bool is_comparable(const char *line, size_t len)
{
	return memmem(line, len, "\\ud", 3) == NULL && memmem(line, len, "\\uD", 3) == NULL &&
	       memmem(line, len, "\\u0000", 6) == NULL;
}

static void check_piece(const struct piece *piece, const char *line, size_t len)
{
	cJSON *object = cJSON_ParseWithLength(line, len),
	      *log = cJSON_GetObjectItemCaseSensitive(object, "log");
	char *text = xmalloc(piece->len + 1);
	struct timestamp_cache fresh = {0};
	int64_t time_ns;

	memcpy(text, piece->text, piece->len);
	text[piece->len] = '\n';
	must(object != NULL);
	must(text_is(log, text, piece->len + piece->is_last));
	must(text_is(
	    cJSON_GetObjectItemCaseSensitive(object, "stream"), record_stream_name(piece->stream), 6));
	must(text_is(cJSON_GetObjectItemCaseSensitive(object, "time"), piece->time, piece->time_len));
	must(piece->time > line && piece->time + piece->time_len < line + len);
	must(timestamp_parse(&fresh, piece->time, piece->time_len, &time_ns) && time_ns == piece->time_ns);
	free(text);
	cJSON_Delete(object);
}

static void check_line(const char *line, size_t len)
{
	struct buf scratch;
	struct piece piece;

	buf_init(&scratch, len + 1);
	if (docker_json_parse(&cache, line, len, &scratch, &piece) && is_comparable(line, len))
		check_piece(&piece, line, len);
	buf_release(&scratch);
}

static void check_text(const char *text, size_t len)
{
	static const char before[] = "{\"log\":\"",
			  behind[] = "\",\"stream\":\"stderr\",\"time\":\"" TIME "\"}";
	char *line = xmalloc(6 * len + 1 + sizeof before + sizeof behind), *repaired = xmalloc(3 * len + 1),
	     *at = line;
	size_t repaired_len = reference_repair(repaired, text, len);
	bool is_last = repaired_len > 0 && repaired[repaired_len - 1] == '\n';
	struct piece piece;
	struct buf scratch;

	at = (char *)memcpy(at, before, sizeof before - 1) + sizeof before - 1;
	at += reference_escape(at, text, len);
	at = (char *)memcpy(at, behind, sizeof behind - 1) + sizeof behind - 1;
	buf_init(&scratch, (size_t)(at - line));
	must(docker_json_parse(&cache, line, (size_t)(at - line), &scratch, &piece));
	must(piece.is_last == is_last && piece.len + is_last == repaired_len);
	must(memcmp(piece.text, repaired, piece.len) == 0);
	must(piece.stream == RECORD_STDERR && piece.time_len == sizeof TIME - 1 &&
	     memcmp(piece.time, TIME, piece.time_len) == 0);
	buf_release(&scratch);
	free(repaired);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text;

	if (len == 0)
		return 0;
	text = xmalloc(len - 1);
	memcpy(text, bytes + 1, len - 1);
	if (bytes[0] % 2 == 0)
		check_line(text, len - 1);
	else
		check_text(text, len - 1);
	free(text);
	return 0;
}

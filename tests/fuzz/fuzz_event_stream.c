/* Watches and lists: any bytes, as a watch and as a list, whole and in small pieces.
 *
 * Beyond not crashing: the pieces make no difference, neither to what comes out nor to the verdict. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "common/event_stream.h"
#include "common/must.h"

/* All that came out, in one number. */
static void add(uint64_t *sum, unsigned type, const cJSON *object)
{
	char *text = cJSON_PrintUnformatted(object);

	must(text != NULL);
	*sum = (*sum ^ type) * UINT64_C(1099511628211);
	for (const char *c = text; *c != '\0'; c++)
		*sum = (*sum ^ (unsigned char)*c) * UINT64_C(1099511628211);
	cJSON_free(text);
}

static bool on_event(void *arg, enum event_type type, const cJSON *object)
{
	add(arg, (unsigned)type + 1, object);
	return true;
}

static bool on_item(void *arg, const cJSON *item)
{
	must(cJSON_IsObject(item));
	add(arg, 0, item);
	return true;
}

static uint64_t watch(const char *bytes, size_t len, size_t piece)
{
	uint64_t sum = 0;
	struct event_stream *stream = event_stream_new(on_event, &sum);
	struct err err;
	int ret = 0;

	for (size_t at = 0; ret == 0 && at < len; at += piece)
		ret = event_stream_feed(stream, bytes + at, len - at < piece ? len - at : piece, &err);
	event_stream_free(stream);
	return sum * 3 + (uint64_t)(int64_t)ret;
}

static uint64_t list(const char *bytes, size_t len, size_t piece)
{
	const char *version, *more;
	uint64_t sum = 0;
	struct list_stream *stream = list_stream_new(on_item, &sum);
	struct err err;
	int ret = 0;

	for (size_t at = 0; ret == 0 && at < len; at += piece)
		ret = list_stream_feed(stream, bytes + at, len - at < piece ? len - at : piece, &err);
	if (ret == 0) {
		ret = list_stream_end(stream, &version, &more, &err);
		must(ret < 0 || (version[0] != '\0' && strlen(more) < len));
	}
	list_stream_free(stream);
	return sum * 3 + (uint64_t)(int64_t)ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *text = (const char *)bytes;

	for (size_t piece = 1; piece <= 64; piece *= 4) {
		must(watch(text, len, piece) == watch(text, len, len + 1));
		must(list(text, len, piece) == list(text, len, len + 1));
	}
	return 0;
}

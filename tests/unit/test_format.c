/* What every wire format of today promises: the object, its limits, and that a reader of JSON gets the values
 * back. */
#include "config.h"

#include "outputs/format.h"
#include "tests/unit/unit.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"

#define TIME "2026-01-31T12:34:56.789012345Z"

static const struct origin origin = {
    .namespace_name = "team-a", .pod = "api-7d4b9", .uid = "0f8fad5b-d9cb-469f-a165-70867728950e",
    .container = "app", .node = "node-1"};
static const struct source source = {&origin, 0x0123456789abcdef, 3};
static const struct format_options plain = {.record_id = false}, with_id = {.record_id = true};

#define KUBERNETES                                                                                           \
	"\"kubernetes\":{\"namespace_name\":\"team-a\",\"pod_name\":\"api-7d4b9\","                          \
	"\"pod_id\":\"0f8fad5b-d9cb-469f-a165-70867728950e\",\"container_name\":\"app\",\"host\":\"node-"    \
	"1\"}}"

static struct record record_of(const char *text, size_t len)
{
	return (struct record){.time = TIME,
	    .time_len = strlen(TIME),
	    .text = text,
	    .len = len,
	    .offset = 18446744073709551615u};
}

/* Encodes within room in a block of just that size; the caller frees. */
static char *encode_within(
    const struct format_options *options, const struct record *record, size_t room, size_t *ret_taken)
{
	struct buf prepared;
	char *out = malloc(room), *text;
	size_t len;

	buf_init(&prepared, 65536);
	format_ndjson.prepare(options, &source, &prepared);
	len =
	    format_ndjson.encode(options, &source, prepared.data, prepared.len, record, out, room, ret_taken);
	ck_assert_uint_le(len, room);
	text = xstrndup(out, len);
	free(out);
	buf_release(&prepared);
	return text;
}

static size_t bound_of(const struct record *record)
{
	struct buf prepared;
	size_t bound;

	buf_init(&prepared, 65536);
	format_ndjson.prepare(&plain, &source, &prepared);
	bound = format_ndjson.bound(record, prepared.len);
	buf_release(&prepared);
	return bound;
}

static char *encode(const struct format_options *options, const struct record *record)
{
	size_t taken;
	char *text = encode_within(options, record, bound_of(record), &taken);

	ck_assert_uint_eq(taken, record->len);
	return text;
}

static void check_text(
    const struct format_options *options, const struct record *record, const char *expected)
{
	char *text = encode(options, record);

	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(a_record_is_one_object)
{
	struct record record = record_of("hello", 5);

	check_text(
	    &plain, &record, "{\"time\":\"" TIME "\",\"stream\":\"stdout\",\"log\":\"hello\"," KUBERNETES);
	record.stream = RECORD_STDERR;
	record.len = 0;
	check_text(&plain, &record, "{\"time\":\"" TIME "\",\"stream\":\"stderr\",\"log\":\"\"," KUBERNETES);
}
END_TEST

START_TEST(flags_stand_where_they_are_so)
{
	struct record record = record_of("x", 1);

	record.truncated = true;
	check_text(&plain, &record,
	    "{\"time\":\"" TIME "\",\"stream\":\"stdout\",\"log\":\"x\",\"truncated\":true," KUBERNETES);
	record.partial = true;
	record.truncated = false;
	check_text(&plain, &record,
	    "{\"time\":\"" TIME "\",\"stream\":\"stdout\",\"log\":\"x\",\"partial\":true," KUBERNETES);
	record.partial = false;
	record.unparsed = true;
	record.stream = RECORD_UNKNOWN;
	check_text(&plain, &record,
	    "{\"time\":\"" TIME "\",\"stream\":\"unknown\",\"log\":\"x\",\"unparsed\":true," KUBERNETES);
	record.partial = record.truncated = true;
	check_text(&plain, &record,
	    "{\"time\":\"" TIME "\",\"stream\":\"unknown\",\"log\":\"x\",\"truncated\":true,\"partial\":true,"
	    "\"unparsed\":true," KUBERNETES);
}
END_TEST

START_TEST(an_id_names_file_and_offset)
{
	struct record record = record_of("x", 1);

	check_text(&with_id, &record,
	    "{\"time\":\"" TIME
	    "\",\"stream\":\"stdout\",\"log\":\"x\",\"id\":\"0f8fad5b-d9cb-469f-a165-70867728950e/app/3/"
	    "0123456789abcdef/18446744073709551615\"," KUBERNETES);
	record.offset = 0;
	record.partial = true;
	check_text(&with_id, &record,
	    "{\"time\":\"" TIME "\",\"stream\":\"stdout\",\"log\":\"x\",\"partial\":true,\"id\":\"0f8fad5b-"
	    "d9cb-469f-a165-70867728950e"
	    "/app/3/0123456789abcdef/0\"," KUBERNETES);
}
END_TEST

START_TEST(a_reader_of_json_gets_hostile_texts_back)
{
	static const char *const texts[] = {"\"quoted\"", "back\\slash", "{\"a\":[1,\"b\"]}",
	    "tab\tcr\r\x1b[0m", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "\xe2\x80\xa8", "</script>", "%s%n",
	    "\x7f", "\",\"stream\":\"stderr"};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct record record = record_of(texts[i], strlen(texts[i]));
		char *text = encode(&with_id, &record);
		cJSON *object = cJSON_Parse(text);

		ck_assert_ptr_nonnull(object);
		ck_assert_str_eq(cJSON_GetObjectItem(object, "log")->valuestring, texts[i]);
		ck_assert_str_eq(cJSON_GetObjectItem(object, "stream")->valuestring, "stdout");
		ck_assert_int_eq(cJSON_GetArraySize(object), 5);
		cJSON_Delete(object);
		free(text);
	}
}
END_TEST

START_TEST(bytes_that_are_no_text_are_replaced)
{
	struct record record = record_of("a\0b\xff\xc3(", 6);

	check_text(&plain, &record,
	    "{\"time\":\"" TIME
	    "\",\"stream\":\"stdout\",\"log\":\"a\\u0000b\xef\xbf\xbd\xef\xbf\xbd(\"," KUBERNETES);
}
END_TEST

START_TEST(a_node_name_may_be_anything)
{
	struct origin strange = origin;
	const struct source from = {.origin = &strange};
	struct buf prepared;
	cJSON *object;

	strange.node = "\"node\"\\\n\xff";
	buf_init(&prepared, 65536);
	buf_add_text(&prepared, "{\"a\":1");
	format_ndjson.prepare(&plain, &from, &prepared);
	object = cJSON_ParseWithLength(prepared.data, prepared.len);
	ck_assert_ptr_nonnull(object);
	ck_assert_str_eq(cJSON_GetObjectItem(cJSON_GetObjectItem(object, "kubernetes"), "host")->valuestring,
	    "\"node\"\\\n\xef\xbf\xbd");
	cJSON_Delete(object);
	buf_release(&prepared);
}
END_TEST

static char *fill(size_t len, const char *with)
{
	char *text = malloc(len);
	size_t with_len = strlen(with);

	for (size_t i = 0; i < len; i++)
		text[i] = with[i % with_len];
	return text;
}

START_TEST(a_large_text_stays_within_its_bound)
{
	static const char *const kinds[] = {"x", "\x01", "\"", "\xff", "\xf0\x9f\x98\x80"};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		char *large = fill(1 << 20, kinds[i]), *text;
		struct record record = record_of(large, 1 << 20);
		cJSON *object;

		record.stream = RECORD_UNKNOWN;
		record.truncated = record.partial = record.unparsed = true;
		text = encode(&with_id, &record);
		object = cJSON_Parse(text);
		ck_assert_ptr_nonnull(object);
		if (kinds[i][0] == 'x')
			ck_assert_uint_eq(strlen(cJSON_GetObjectItem(object, "log")->valuestring), 1 << 20);
		cJSON_Delete(object);
		free(text);
		free(large);
	}
}
END_TEST

/* With whatever room there is: valid JSON, the text's beginning in whole characters, and hardly any room left
 * over. */
START_TEST(a_text_is_cut_to_the_room)
{
	char *long_text = fill(43 * 14, "ab\"\x01gr\xc3\xbc\xc3\x9f\xf0\x9f\x98\x80");
	struct record record = record_of(long_text, 43 * 14), empty = record_of("", 0);
	size_t bound = bound_of(&record);

	for (size_t room = bound_of(&empty); room < bound; room++) {
		size_t taken;
		char *text = encode_within(&with_id, &record, room, &taken);
		cJSON *object = cJSON_Parse(text), *log = cJSON_GetObjectItem(object, "log");

		ck_assert_ptr_nonnull(log);
		ck_assert_uint_eq(strlen(log->valuestring), taken);
		ck_assert_mem_eq(log->valuestring, long_text, taken);
		ck_assert_int_eq(cJSON_IsTrue(cJSON_GetObjectItem(object, "truncated")), taken < record.len);
		ck_assert(taken == record.len || strlen(text) + 6 > room);
		cJSON_Delete(object);
		free(text);
	}
	free(long_text);
}
END_TEST

START_TEST(records_stand_between_the_words_of_their_format)
{
	for (int i = 0; i < 2; i++) {
		const struct format *format = format_by_index(i);
		struct record record = record_of("x", 1);
		char *text = encode(&plain, &record), *body, *wanted;

		ck_assert_str_eq(format->name, format_words[i]);
		ck_assert_uint_eq(strlen(format->separator), 1);
		body = xasprintf("%s%s%s%s%s", format->begin, text, format->separator, text, format->end);
		wanted = i == 0 ? xasprintf("%s\n%s\n", text, text) : xasprintf("[%s,%s]", text, text);
		ck_assert_str_eq(body, wanted);
		free(wanted);
		free(body);
		free(text);
	}
}
END_TEST

START_TEST(streams_have_names)
{
	ck_assert_str_eq(record_stream_name(RECORD_STDOUT), "stdout");
	ck_assert_str_eq(record_stream_name(RECORD_STDERR), "stderr");
	ck_assert_str_eq(record_stream_name(RECORD_UNKNOWN), "unknown");
}
END_TEST

UNIT_MAIN("format", a_record_is_one_object, flags_stand_where_they_are_so, an_id_names_file_and_offset,
    a_reader_of_json_gets_hostile_texts_back, bytes_that_are_no_text_are_replaced,
    a_node_name_may_be_anything, a_large_text_stays_within_its_bound, a_text_is_cut_to_the_room,
    records_stand_between_the_words_of_their_format, streams_have_names)

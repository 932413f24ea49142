/* Watches and lists in whatever pieces they come: whole objects, or a refusal of the whole. */
#include "config.h"

#include "common/event_stream.h"
#include "tests/unit/unit.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"

/* What came, as text: "ADDED a; BOOKMARK b; " or "a; b; ". */
struct seen {
	struct buf text;
	unsigned count, stop_at; /* 0 = never */
};

static const char *name_of(const cJSON *object)
{
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(object, "name");

	return cJSON_IsString(name) ? name->valuestring : "?";
}

static bool see_event(void *arg, enum event_type type, const cJSON *object)
{
	static const char *const names[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"};
	struct seen *seen = arg;

	ck_assert(buf_printf(&seen->text, "%s %s; ", names[type], name_of(object)));
	return ++seen->count != seen->stop_at;
}

static bool see_item(void *arg, const cJSON *item)
{
	struct seen *seen = arg;

	ck_assert(buf_printf(&seen->text, "%s; ", name_of(item)));
	return ++seen->count != seen->stop_at;
}

static void seen_init(struct seen *seen)
{
	*seen = (struct seen){.count = 0};
	buf_init(&seen->text, 1 << 20);
}

/* Feeds text in pieces of that size, each in a block of just its size. */
static int feed(int (*one)(void *stream, const char *bytes, size_t len, struct err *err), void *stream,
    const char *text, size_t len, size_t piece, struct err *err)
{
	int ret = 0;

	for (size_t at = 0; ret == 0 && at < len; at += piece) {
		size_t size = len - at < piece ? len - at : piece;
		char *exact = xmalloc(size);

		memcpy(exact, text + at, size);
		ret = one(stream, exact, size, err);
		free(exact);
	}
	return ret;
}

static int feed_watch(void *stream, const char *bytes, size_t len, struct err *err)
{
	return event_stream_feed(stream, bytes, len, err);
}

static int feed_list(void *stream, const char *bytes, size_t len, struct err *err)
{
	return list_stream_feed(stream, bytes, len, err);
}

/* ---- watches ------------------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	int ret;
	const char *seen;
} watches[] = {
    {"", 0, ""},
    {"\n\r\n \n", 0, ""},
    {"{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}\n", 0, "ADDED a; "},
    {"{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}\r\n", 0, "ADDED a; "},
    {"{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}", 0, ""}, /* not ended: not there */
    {"{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}\n{\"object\":{\"name\":\"b\"},\"type\":\"DELETED\"}\n{"
     "\"type\":\"MOD",
	0, "ADDED a; DELETED b; "},
    {"{\"type\":\"MODIFIED\",\"object\":{\"name\":\"a\\n\\u0022}{\",\"new\":[{}]}}\n", 0,
	"MODIFIED a\n\"}{; "},
    {"{\"type\":\"BOOKMARK\",\"object\":{}}\n{\"type\":\"ERROR\",\"object\":{\"name\":\"e\"}}\n", 0,
	"BOOKMARK ?; ERROR e; "},
    {"{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}\nhello\n", -EBADMSG, "ADDED a; "},
    {"{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}\n", -EBADMSG, ""}, /* cut */
    {"{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}{\"type\":\"DELETED\",\"object\":{\"name\":\"a\"}}\n",
	-EBADMSG, ""},
    {"{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}x\n", -EBADMSG, ""},
    {"{\"type\":\"added\",\"object\":{\"name\":\"a\"}}\n", -EBADMSG, ""},
    {"{\"type\":7,\"object\":{\"name\":\"a\"}}\n", -EBADMSG, ""},
    {"{\"type\":\"ADDED\",\"object\":[]}\n", -EBADMSG, ""},
    {"{\"type\":\"ADDED\",\"object\":null}\n", -EBADMSG, ""},
    {"{\"type\":\"ADDED\"}\n", -EBADMSG, ""},
    {"{\"object\":{}}\n", -EBADMSG, ""},
    {"[]\n", -EBADMSG, ""},
    {"null\n", -EBADMSG, ""},
};

START_TEST(w2_4_events_are_cut_at_newlines_in_whatever_pieces_they_come)
{
	for (size_t i = 0; i < sizeof watches / sizeof watches[0]; i++)
		for (size_t piece = 1; piece < 200; piece = piece * 2 + 1) {
			struct event_stream *stream;
			struct seen seen;
			struct err err;
			int ret;

			seen_init(&seen);
			stream = event_stream_new(see_event, &seen);
			ret = feed(feed_watch, stream, watches[i].text, strlen(watches[i].text), piece, &err);
			ck_assert_msg(ret == watches[i].ret, "row %zu, pieces of %zu: %d", i, piece, ret);
			ck_assert_msg(strcmp(buf_text(&seen.text), watches[i].seen) == 0,
			    "row %zu, pieces of %zu: %s", i, piece, buf_text(&seen.text));
			event_stream_free(stream);
			buf_release(&seen.text);
		}
}
END_TEST

START_TEST(a_watch_ends_where_its_reader_says_so)
{
	static const char text[] = "{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}\n{\"type\":\"ADDED\","
				   "\"object\":{\"name\":\"b\"}}\n";
	struct event_stream *stream;
	struct seen seen;
	struct err err;

	seen_init(&seen);
	seen.stop_at = 1;
	stream = event_stream_new(see_event, &seen);
	ck_assert_int_eq(event_stream_feed(stream, text, sizeof text - 1, &err), -ECANCELED);
	ck_assert_str_eq(buf_text(&seen.text), "ADDED a; ");
	event_stream_free(stream);
	buf_release(&seen.text);
}
END_TEST

/* An event whose line has that many bytes, its newline not counted. */
static char *event_of(size_t len)
{
	static const char head[] = "{\"type\":\"ADDED\",\"object\":{\"name\":\"big\",\"fill\":\"",
			  tail[] = "\"}}\n";
	size_t fill = len + 1 - (sizeof head - 1) - (sizeof tail - 1);
	char *text = xmalloc(len + 2);

	memcpy(text, head, sizeof head - 1);
	memset(text + sizeof head - 1, 'x', fill);
	memcpy(text + sizeof head - 1 + fill, tail, sizeof tail);
	return text;
}

START_TEST(w2_4_an_event_is_taken_up_to_the_limit_and_refused_above_it)
{
	static const struct {
		size_t len;
		int ret;
		const char *seen;
	} rows[] = {{EVENT_BYTES, 0, "ADDED big; "}, {EVENT_BYTES + 1, -EFBIG, ""}};

	for (size_t i = 0; i < 2; i++) {
		char *text = event_of(rows[i].len);
		struct event_stream *stream;
		struct seen seen;
		struct err err;

		seen_init(&seen);
		stream = event_stream_new(see_event, &seen);
		ck_assert_int_eq(feed(feed_watch, stream, text, rows[i].len + 1, 16384, &err), rows[i].ret);
		ck_assert_str_eq(buf_text(&seen.text), rows[i].seen);
		event_stream_free(stream);
		buf_release(&seen.text);
		free(text);
	}
}
END_TEST

/* ---- lists --------------------------------------------------------------------------------------------- */

#define META "\"metadata\":{\"resourceVersion\":\"7\"}"

static const struct {
	const char *text;
	int feed_ret, end_ret;
	const char *seen, *version, *more;
} lists[] = {
    {"{\"kind\":\"NodeList\"," META ",\"items\":[]}", 0, 0, "", "7", ""},
    {"{" META ",\"items\":null}", 0, 0, "", "7", ""},
    {" \n{ \"items\" : [ {\"name\":\"a\"} ,\n {\"name\":\"b\",\"x\":[{\"y\":{}}]} ] , " META " }\n", 0, 0,
	"a; b; ", "7", ""},
    {"{\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"abc=\",\"remainingItemCount\":3},\"items\":[{"
     "\"name\":\"a\"}]}",
	0, 0, "a; ", "9", "abc="},
    {"{" META ",\"items\":[{\"name\":\"]},{\\\"\\\\\"},{\"items\":[{\"name\":\"no\"}],\"name\":\"b\"}]}", 0,
	0, "]},{\"\\; b; ", "7", ""},
    {"{\"metadata\":{\"resourceVersion\":\"7\",\"items\":[1,2]},\"items\":[{\"name\":\"a\"}]}", 0, 0, "a; ",
	"7", ""},
    /* What is no list is no empty list. */
    {"{" META "}", 0, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":{}}", 0, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":\"[]\"}", 0, -EBADMSG, "", NULL, NULL},
    {"{\"kind\":\"Status\",\"status\":\"Failure\"}", 0, -EBADMSG, "", NULL, NULL},
    {"{\"items\":[{\"name\":\"a\"}]}", 0, -EBADMSG, "a; ", NULL, NULL},
    {"{\"metadata\":{\"resourceVersion\":\"\"},\"items\":[]}", 0, -EBADMSG, "", NULL, NULL},
    {"{\"metadata\":{\"resourceVersion\":7},\"items\":[]}", 0, -EBADMSG, "", NULL, NULL},
    {"{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":5},\"items\":[]}", 0, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":[],\"x\":}", 0, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":null,\"items\":[{\"name\":\"a\"}]}", 0, -EBADMSG, "a; ", NULL, NULL},
    /* Cut anywhere. */
    {"", 0, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":[{\"name\":\"a\"}", 0, -EBADMSG, "a; ", NULL, NULL},
    {"{" META ",\"items\":[{\"name\":\"a\"},{\"na", 0, -EBADMSG, "a; ", NULL, NULL},
    {"{" META ",\"items\":[{\"name\":\"a\"}]", 0, -EBADMSG, "a; ", NULL, NULL},
    /* Not JSON. */
    {"<html>", -EBADMSG, -EBADMSG, "", NULL, NULL},
    {"[]", -EBADMSG, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":[]}{", -EBADMSG, 0, "", NULL, NULL},
    {"{" META ",\"items\":[],\"items\":[{\"name\":\"a\"}]}", -EBADMSG, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":[5]}", -EBADMSG, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":[\"x\"]}", -EBADMSG, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":[{\"name\":\"a\"},]}", -EBADMSG, -EBADMSG, "a; ", NULL, NULL},
    {"{" META ",\"items\":[,{\"name\":\"a\"}]}", -EBADMSG, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":[{\"name\":\"a\"},,{}]}", -EBADMSG, -EBADMSG, "a; ", NULL, NULL},
    {"{" META ",\"items\":[{\"name\":\"a\"} {}]}", -EBADMSG, -EBADMSG, "a; ", NULL, NULL},
    {"{" META ",\"items\":[{\"name\":[}]}", -EBADMSG, -EBADMSG, "", NULL, NULL},
    {"{" META ",\"items\":[{\"name\"}]}", -EBADMSG, -EBADMSG, "", NULL, NULL},
};

START_TEST(w2_14_items_are_cut_out_of_a_list_in_whatever_pieces_it_comes)
{
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		for (size_t piece = 1; piece < 200; piece = piece * 2 + 1) {
			const char *version, *more;
			struct list_stream *stream;
			struct seen seen;
			struct err err;
			int ret;

			seen_init(&seen);
			stream = list_stream_new(see_item, &seen);
			ret = feed(feed_list, stream, lists[i].text, strlen(lists[i].text), piece, &err);
			ck_assert_msg(ret == lists[i].feed_ret, "row %zu, pieces of %zu: %d", i, piece, ret);
			ck_assert_msg(strcmp(buf_text(&seen.text), lists[i].seen) == 0,
			    "row %zu, pieces of %zu: %s", i, piece, buf_text(&seen.text));
			if (ret == 0) {
				ret = list_stream_end(stream, &version, &more, &err);
				ck_assert_msg(
				    ret == lists[i].end_ret, "row %zu, pieces of %zu: end %d", i, piece, ret);
			}
			if (lists[i].version != NULL) {
				ck_assert_str_eq(version, lists[i].version);
				ck_assert_str_eq(more, lists[i].more);
			}
			list_stream_free(stream);
			buf_release(&seen.text);
		}
}
END_TEST

START_TEST(a_list_ends_where_its_reader_says_so)
{
	static const char text[] = "{" META ",\"items\":[{\"name\":\"a\"},{\"name\":\"b\"}]}";
	struct list_stream *stream;
	struct seen seen;
	struct err err;

	seen_init(&seen);
	seen.stop_at = 1;
	stream = list_stream_new(see_item, &seen);
	ck_assert_int_eq(list_stream_feed(stream, text, sizeof text - 1, &err), -ECANCELED);
	ck_assert_str_eq(buf_text(&seen.text), "a; ");
	list_stream_free(stream);
	buf_release(&seen.text);
}
END_TEST

START_TEST(neither_an_item_nor_the_rest_of_a_list_grows_without_limit)
{
	static const struct {
		const char *head;
		int ret;
	} rows[] = {{"{\"items\":[{\"x\":\"", -EFBIG}, {"{\"x\":\"", -EBADMSG}};
	char *fill = xmalloc(65536);

	memset(fill, 'x', 65536);
	for (size_t i = 0; i < 2; i++) {
		struct list_stream *stream;
		struct seen seen;
		struct err err;
		size_t sent = 0;
		int ret;

		seen_init(&seen);
		stream = list_stream_new(see_item, &seen);
		ret = list_stream_feed(stream, rows[i].head, strlen(rows[i].head), &err);
		for (; ret == 0 && sent <= EVENT_BYTES; sent += 65536)
			ret = list_stream_feed(stream, fill, 65536, &err);
		ck_assert_int_eq(ret, rows[i].ret);
		list_stream_free(stream);
		buf_release(&seen.text);
	}
	free(fill);
}
END_TEST

UNIT_MAIN("event_stream", w2_4_events_are_cut_at_newlines_in_whatever_pieces_they_come,
    a_watch_ends_where_its_reader_says_so, w2_4_an_event_is_taken_up_to_the_limit_and_refused_above_it,
    w2_14_items_are_cut_out_of_a_list_in_whatever_pieces_it_comes, a_list_ends_where_its_reader_says_so,
    neither_an_item_nor_the_rest_of_a_list_grows_without_limit)

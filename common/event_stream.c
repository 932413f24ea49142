/* Event stream.  Bytes come in whatever pieces the network makes; objects leave whole.  A watch is cut at its
 * newlines.  A list is one document that may be as large as the cluster: a scanner that knows only strings
 * and brackets cuts the elements of its `items` out, and what is left of the document is small enough for a
 * tree.  What is cut off or too large is refused as a whole (C6).  Pure. */
#include "config.h"

#include "common/event_stream.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define REST_BYTES 65536 /* of a list without its items */
#define KEY_BYTES  16

/* One JSON value and nothing behind it; NULL if it is anything else. */
static cJSON *parse_whole(const char *text, size_t len)
{
	const char *end = NULL;
	cJSON *tree = cJSON_ParseWithLengthOpts(text, len, &end, false);

	while (tree != NULL && end < text + len && strchr(" \t\r\n", *end) != NULL && *end != '\0')
		end++;
	if (tree == NULL || end == text + len)
		return tree;
	cJSON_Delete(tree);
	return NULL;
}

/* ---- watches ------------------------------------------------------------------------------------------- */

struct event_stream {
	bool (*on_event)(void *arg, enum event_type type, const cJSON *object);
	void *arg;
	struct buf line;
};

static const char *const type_names[] = {
    [EVENT_ADDED] = "ADDED",
    [EVENT_MODIFIED] = "MODIFIED",
    [EVENT_DELETED] = "DELETED",
    [EVENT_BOOKMARK] = "BOOKMARK",
    [EVENT_ERROR] = "ERROR",
};

struct event_stream *event_stream_new(
    bool (*on_event)(void *arg, enum event_type type, const cJSON *object), void *arg)
{
	struct event_stream *stream = x_new(stream);

	stream->on_event = on_event;
	stream->arg = arg;
	buf_init(&stream->line, EVENT_BYTES);
	return stream;
}

void event_stream_free(struct event_stream *stream)
{
	if (stream == NULL)
		return;
	buf_release(&stream->line);
	free(stream);
}

static bool find_type(const cJSON *event, enum event_type *ret_type)
{
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(event, "type");

	for (size_t i = 0; cJSON_IsString(type) && i < sizeof type_names / sizeof type_names[0]; i++)
		if (strcmp(type->valuestring, type_names[i]) == 0) {
			*ret_type = (enum event_type)i;
			return true;
		}
	return false;
}

static int take_line(struct event_stream *stream, const char *line, size_t len, struct err *err)
{
	const cJSON *object;
	enum event_type type;
	cJSON *event;
	int ret = 0;

	while (len != 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
		len--;
	if (len == 0)
		return 0;
	event = parse_whole(line, len);
	object = cJSON_GetObjectItemCaseSensitive(event, "object");
	if (!find_type(event, &type) || !cJSON_IsObject(object))
		ret = err_set(err, -EBADMSG, "the watch sent something that is no event");
	else if (!stream->on_event(stream->arg, type, object))
		ret = err_set(err, -ECANCELED, "the watch was ended");
	cJSON_Delete(event);
	return ret;
}

int event_stream_feed(struct event_stream *stream, const char *bytes, size_t len, struct err *err)
{
	const char *newline;
	int ret = 0;

	while (ret == 0 && (newline = memchr(bytes, '\n', len)) != NULL) {
		size_t part = (size_t)(newline - bytes);

		if (stream->line.len == 0) { /* the usual case: no copy */
			ret = take_line(stream, bytes, part, err);
		} else if (!buf_add(&stream->line, bytes, part)) {
			ret = err_set(
			    err, -EFBIG, "an event of the watch is larger than %u bytes", EVENT_BYTES);
		} else {
			ret = take_line(stream, stream->line.data, stream->line.len, err);
			buf_clear(&stream->line);
		}
		bytes = newline + 1;
		len -= part + 1;
	}
	if (ret == 0 && len != 0 && !buf_add(&stream->line, bytes, len))
		ret = err_set(err, -EFBIG, "an event of the watch is larger than %u bytes", EVENT_BYTES);
	return ret;
}

/* ---- lists --------------------------------------------------------------------------------------------- */

/* Where the scanner stands.  All but OUTSIDE are inside of `items`. */
enum place { OUTSIDE, BEFORE_FIRST, AFTER_ITEM, AFTER_COMMA, IN_ITEM };

struct list_stream {
	bool (*on_item)(void *arg, const cJSON *item);
	void *arg;
	struct buf rest; /* the document with its items left out */
	struct buf item;
	enum place place;
	unsigned depth;
	bool in_string, is_escaped, is_complete, has_items;
	char key[KEY_BYTES]; /* the last string at depth 1, cut */
	size_t key_len;
	cJSON *document;
};

struct list_stream *list_stream_new(bool (*on_item)(void *arg, const cJSON *item), void *arg)
{
	struct list_stream *stream = x_new(stream);

	stream->on_item = on_item;
	stream->arg = arg;
	buf_init(&stream->rest, REST_BYTES);
	buf_init(&stream->item, EVENT_BYTES);
	return stream;
}

void list_stream_free(struct list_stream *stream)
{
	if (stream == NULL)
		return;
	buf_release(&stream->rest);
	buf_release(&stream->item);
	cJSON_Delete(stream->document);
	free(stream);
}

/* Inside a string: its end, escapes, and at depth 1 its letters, for it may be a key. */
static void scan_string(struct list_stream *stream, char c)
{
	if (stream->is_escaped)
		stream->is_escaped = false;
	else if (c == '\\')
		stream->is_escaped = true;
	else if (c == '"')
		stream->in_string = false;
	if (stream->in_string && stream->depth == 1 && stream->key_len < KEY_BYTES)
		stream->key[stream->key_len++] = c;
}

/* Outside of strings: brackets.  false: more closed than opened. */
static bool scan_token(struct list_stream *stream, char c)
{
	if (c == '"') {
		stream->in_string = true;
		if (stream->depth == 1)
			stream->key_len = 0;
	} else if (c == '{' || c == '[') {
		stream->depth++;
	} else if (c == '}' || c == ']') {
		if (stream->depth == 0)
			return false;
		stream->depth--;
	}
	return true;
}

static bool scan(struct list_stream *stream, char c)
{
	if (!stream->in_string)
		return scan_token(stream, c);
	scan_string(stream, c);
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int refuse(struct err *err)
{
	return err_set(err, -EBADMSG, "the answer is no list");
}

static int end_item(struct list_stream *stream, struct err *err)
{
	cJSON *item = parse_whole(stream->item.data, stream->item.len);
	int ret = 0;

	if (!cJSON_IsObject(item))
		ret = err_set(err, -EBADMSG, "an item of the list is no object");
	else if (!stream->on_item(stream->arg, item))
		ret = err_set(err, -ECANCELED, "the list was ended");
	cJSON_Delete(item);
	buf_clear(&stream->item);
	stream->place = AFTER_ITEM;
	return ret;
}

static int take_between(struct list_stream *stream, char c, struct err *err)
{
	if (is_space(c))
		return 0;
	if (c == ',' && stream->place == AFTER_ITEM) {
		stream->place = AFTER_COMMA;
		return 0;
	}
	if (c == '{' && stream->place != AFTER_ITEM) {
		stream->place = IN_ITEM;
		(void)scan(stream, c);
		return buf_add(&stream->item, &c, 1) ? 0 : refuse(err);
	}
	if (c != ']' || stream->place == AFTER_COMMA)
		return refuse(err);
	stream->place = OUTSIDE;
	(void)scan(stream, c);
	return buf_add(&stream->rest, &c, 1) ? 0 : refuse(err);
}

static int take_outside(struct list_stream *stream, char c, struct err *err)
{
	static const char items[] = "items";
	bool begins_items = c == '[' && !stream->in_string && stream->depth == 1 &&
			    stream->key_len == sizeof items - 1 &&
			    memcmp(stream->key, items, sizeof items - 1) == 0;

	if (stream->is_complete || (stream->depth == 0 && c != '{'))
		return is_space(c) ? 0 : refuse(err);
	if (!scan(stream, c) || !buf_add(&stream->rest, &c, 1))
		return refuse(err);
	stream->is_complete = stream->depth == 0;
	if (!begins_items)
		return 0;
	if (stream->has_items)
		return refuse(err); /* which of the two would be meant? */
	stream->has_items = true;
	stream->place = BEFORE_FIRST;
	return 0;
}

/* How many bytes of an item can be taken at one look: up to and with the next one that the scanner must see.
 */
static size_t plain_run(const char *bytes, size_t len, bool in_string)
{
	size_t i = 0;

	if (in_string)
		while (i + 1 < len && bytes[i] != '"' && bytes[i] != '\\')
			i++;
	else
		while (i + 1 < len && bytes[i] != '"' && bytes[i] != '{' && bytes[i] != '}' &&
		       bytes[i] != '[' && bytes[i] != ']')
			i++;
	return i;
}

static int take_in_item(
    struct list_stream *stream, const char *bytes, size_t len, size_t *ret_taken, struct err *err)
{
	size_t run = stream->is_escaped ? 0 : plain_run(bytes, len, stream->in_string);

	*ret_taken = run + 1;
	if (!buf_add(&stream->item, bytes, run + 1))
		return err_set(err, -EFBIG, "an item of the list is larger than %u bytes", EVENT_BYTES);
	(void)scan(stream, bytes[run]);
	return stream->depth == 2 && !stream->in_string ? end_item(stream, err) : 0;
}

int list_stream_feed(struct list_stream *stream, const char *bytes, size_t len, struct err *err)
{
	size_t taken;
	int ret = 0;

	while (ret == 0 && len != 0) {
		taken = 1;
		if (stream->place == IN_ITEM)
			ret = take_in_item(stream, bytes, len, &taken, err);
		else if (stream->place == OUTSIDE)
			ret = take_outside(stream, *bytes, err);
		else
			ret = take_between(stream, *bytes, err);
		bytes += taken;
		len -= taken;
	}
	return ret;
}

int list_stream_check(struct list_stream *stream, struct err *err)
{
	const cJSON *items;

	if (!stream->is_complete)
		return err_set(err, -EBADMSG, "the list was cut");
	cJSON_Delete(stream->document);
	stream->document = parse_whole(stream->rest.data, stream->rest.len);
	items = cJSON_GetObjectItemCaseSensitive(stream->document, "items");
	if (stream->has_items ? !cJSON_IsArray(items)
			      : !cJSON_IsNull(items)) /* a single object is no empty list */
		return refuse(err);
	return 0;
}

int list_stream_end(
    struct list_stream *stream, const char **ret_version, const char **ret_continue, struct err *err)
{
	const cJSON *metadata, *version, *more;
	int ret = list_stream_check(stream, err);

	if (ret != 0)
		return ret;
	metadata = cJSON_GetObjectItemCaseSensitive(stream->document, "metadata");
	version = cJSON_GetObjectItemCaseSensitive(metadata, "resourceVersion");
	more = cJSON_GetObjectItemCaseSensitive(metadata, "continue");
	if (!cJSON_IsString(version) || version->valuestring[0] == '\0')
		return err_set(err, -EBADMSG, "the list has no resourceVersion");
	if (more != NULL && !cJSON_IsString(more))
		return err_set(err, -EBADMSG, "the list's continue is no text");
	*ret_version = version->valuestring;
	*ret_continue = more != NULL ? more->valuestring : "";
	return 0;
}

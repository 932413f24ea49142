/* Bytes of a watch or of a list, in whatever pieces they come -> whole JSON objects.  Pure.
 *
 * A watch is one JSON object a line; a list is one document, of which `items[]` are cut out one by one, so that no list is ever a tree.
 * A line or item over EVENT_BYTES, or a document that is no list, is an error: the caller discards the whole (C6). */
#ifndef DRAVE_COMMON_EVENT_STREAM_H
#define DRAVE_COMMON_EVENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

#define EVENT_BYTES (4u << 20)

struct cJSON;

enum event_type { EVENT_ADDED, EVENT_MODIFIED, EVENT_DELETED, EVENT_BOOKMARK, EVENT_ERROR };

struct event_stream; /* of one watch */
/* on_event gets each event; `object` is lent.  false stops: event_stream_feed then returns -ECANCELED. */
struct event_stream *event_stream_new(bool (*on_event)(void *arg, enum event_type type, const struct cJSON *object), void *arg);
void event_stream_free(struct event_stream *stream);
/* 0; -EBADMSG: no event of a watch; -EFBIG: too large; -ECANCELED. */
int event_stream_feed(struct event_stream *stream, const char *bytes, size_t len, struct err *err);

struct list_stream; /* of one page of a list */
struct list_stream *list_stream_new(bool (*on_item)(void *arg, const struct cJSON *item), void *arg);
void list_stream_free(struct list_stream *stream);
int list_stream_feed(struct list_stream *stream, const char *bytes, size_t len, struct err *err);
/* After the last byte: was it a whole list? */
int list_stream_check(struct list_stream *stream, struct err *err);
/* The same for a list of the API server, which has a version.  Its metadata.resourceVersion and metadata.continue ("" if none), lent until list_stream_free. */
int list_stream_end(struct list_stream *stream, const char **ret_version, const char **ret_continue, struct err *err);

#endif

/* Growable bytes with a limit that must be named.  Not a string: `data` ends in no NUL unless buf_text() is asked. */
#ifndef DRAVE_COMMON_BUF_H
#define DRAVE_COMMON_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;   /* owned; NULL while nothing was stored */
	size_t len;
	size_t capacity;
	size_t limit; /* no buf ever holds more; what would exceed it is refused whole and sets `overflowed` */
	bool overflowed;
};

void buf_init(struct buf *buf, size_t limit);
/* Frees the bytes; the buf is as after buf_init with the same limit. */
void buf_release(struct buf *buf);
/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *buf);
/* Room for `more` bytes behind the content, or false if the limit forbids it.  Grows by half at least. */
bool buf_reserve(struct buf *buf, size_t more) __attribute__((warn_unused_result));
/* The appenders return false and append nothing when the limit forbids it. */
bool buf_add(struct buf *buf, const void *bytes, size_t len);
bool buf_add_text(struct buf *buf, const char *text);
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* Appends text as a JSON string with its quotes (common/escape.h does the escaping). */
bool buf_add_json(struct buf *buf, const char *text, size_t len);
/* The content with a NUL behind it (not counted in len).  Valid until the next change. */
const char *buf_text(struct buf *buf);

#endif

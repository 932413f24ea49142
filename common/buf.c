/* Bytes that grow up to a limit with a name.
 *
 * Every place that gathers bytes of unknown number uses this, so that "how much at most" is answered where
 * the buf is made. Memory always holds one byte more than `capacity`, which is why buf_text() can end the
 * content with a NUL at any time, also at the limit.  What would exceed the limit is refused whole: a buf
 * never ends in the middle of what was appended. */
#include "config.h"
#include "common/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/escape.h"
#include "common/must.h"

#define FIRST_CAPACITY 64
#define JSON_STEP      1024

void buf_init(struct buf *buf, size_t limit)
{
	must(limit > 0);
	*buf = (struct buf){.limit = limit};
}

void buf_release(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){.limit = buf->limit};
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->overflowed = false;
}

static size_t grown_capacity(const struct buf *buf, size_t needed)
{
	size_t capacity = buf->capacity + buf->capacity / 2;

	if (capacity < FIRST_CAPACITY)
		capacity = FIRST_CAPACITY;
	if (capacity < needed)
		capacity = needed;
	return capacity < buf->limit ? capacity : buf->limit;
}

bool buf_reserve(struct buf *buf, size_t more)
{
	must(buf->len <= buf->limit);
	if (more > buf->limit - buf->len) {
		buf->overflowed = true;
		return false;
	}
	if (buf->data != NULL && more <= buf->capacity - buf->len)
		return true;
	buf->capacity = grown_capacity(buf, buf->len + more);
	buf->data = xrealloc(buf->data, buf->capacity + 1);
	return true;
}

bool buf_add(struct buf *buf, const void *bytes, size_t len)
{
	if (!buf_reserve(buf, len))
		return false;
	if (len > 0)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	return true;
}

bool buf_add_text(struct buf *buf, const char *text)
{
	return buf_add(buf, text, strlen(text));
}

bool buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	int len;

	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, again);
	va_end(again);
	must(len >= 0);
	if (!buf_reserve(buf, (size_t)len))
		return false;
	vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
	buf->len += (size_t)len;
	return true;
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	bool fits;

	va_start(args, format);
	fits = buf_vprintf(buf, format, args);
	va_end(args);
	return fits;
}

/* Escaped in steps: the worst case of the whole text would rarely be needed and may lie beyond the limit. */
bool buf_add_json(struct buf *buf, const char *text, size_t len)
{
	size_t before = buf->len;
	char step[JSON_STEP];
	bool fits = buf_add(buf, "\"", 1);

	while (fits && len > 0) {
		size_t taken = 0;
		size_t written = escape_json_within(step, sizeof step, text, len, &taken);

		must(taken > 0 && taken <= len);
		fits = buf_add(buf, step, written);
		text += taken;
		len -= taken;
	}
	fits = fits && buf_add(buf, "\"", 1);
	if (!fits)
		buf->len = before;
	return fits;
}

const char *buf_text(struct buf *buf)
{
	if (buf->data == NULL)
		return "";
	buf->data[buf->len] = '\0';
	return buf->data;
}

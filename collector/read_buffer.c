/* Read buffer.  Stands below tail (which fills it) and cursor (which takes lines out of it); there is one, because cursors take turns. */
#include "config.h"
#include "collector/read_buffer.h"

#include <stdlib.h>

#include "common/must.h"

#define SLACK_BYTES (64u << 10) /* a line's prefix, and docker's escapes of a piece */

void read_buffer_fit(struct read_buffer *buffer, size_t max_record)
{
	size_t size = max_record + SLACK_BYTES;

	if (size < READ_BYTES)
		size = READ_BYTES;
	if (size <= buffer->size)
		return;
	read_buffer_release(buffer);
	*buffer = (struct read_buffer){.bytes = xmalloc(size), .size = size};
	buf_init(&buffer->unescaped, size);
}

void read_buffer_release(struct read_buffer *buffer)
{
	free(buffer->bytes);
	buf_release(&buffer->unescaped);
}

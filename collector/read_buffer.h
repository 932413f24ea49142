/* The buffer that all cursors of the program read into, one after another.  A turn never leaves bytes in it, so it may grow between two turns. */
#ifndef DRAVE_COLLECTOR_READ_BUFFER_H
#define DRAVE_COLLECTOR_READ_BUFFER_H

#include "common/buf.h"

/* One read; a line that is longer is read again with more.  A debug build reads in crumbs, so that nearly every line is cut by a read's end. */
#ifdef DRAVE_DEBUG
#define READ_BYTES 192u
#else
#define READ_BYTES (256u << 10)
#endif

struct read_buffer {
	char *bytes;
	size_t size;
	struct buf unescaped; /* the text of one docker line */
};

/* Room for records of `max_record` bytes with what stands around them in a line, and for one usual read.  It only grows: who still reads with
 * a smaller limit keeps what he needs.  The first call takes a zeroed struct. */
void read_buffer_fit(struct read_buffer *buffer, size_t max_record);

void read_buffer_release(struct read_buffer *buffer);

#endif

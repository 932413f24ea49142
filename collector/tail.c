/* One open log file.  Outputs come and go as readers; the file's name comes and goes too; the descriptor and
 * what was learned of the file's beginning stay until both are gone.
 *
 *      adopted --name gone--> unlinked --.
 *         |                              +-- no reader left --> released by the follower
 *         '-----cut-------> truncated --'
 *
 * Stands between follower.c, which owns tails and moves them through these states, and the cursors, which
 * read.  Knows no lines (but the first one's end), no directories and no outputs. */
#include "config.h"
#include "collector/tail.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "collector/gzip_file.h"
#include "common/fault.h"
#include "common/file.h"
#include "common/must.h"

#define MARK_HASHED_BYTES 256

struct tail *tail_predecessor(const struct tail *tail)
{
	return tail == tail->container->tails ? NULL : tail->prev;
}

void tail_attach(struct tail *tail, struct tail_reader *reader)
{
	must(reader->wake != NULL && reader->needs_from != NULL && reader->give_up != NULL);
	reader->tail = tail;
	DL_APPEND(tail->readers, reader);
}

void tail_detach(struct tail_reader *reader)
{
	must(reader->tail != NULL);
	DL_DELETE(reader->tail->readers, reader);
	reader->tail = NULL;
	reader->prev = reader->next = NULL;
}

ssize_t tail_read(const struct tail *tail, void *into, size_t len, uint64_t offset)
{
	if (tail->truncated)
		return 0;
	if (FAULT("tail.read"))
		return -EIO;
	if (tail->gzip != NULL)
		return offset == tail->size ? 0 : gzip_pool_read(tail->gzip, tail->fd, into, len, offset);
	return file_pread(tail->fd, into, len, (off_t)offset);
}

/* ---- fingerprints ------------------------------------------------------------------------------- */

uint64_t tail_head_hash(const struct tail *tail, size_t len)
{
	must(len <= tail->head_len);
	return XXH3_64bits(tail->head, len);
}

int tail_mark_hash(const struct tail *tail, uint64_t offset, uint32_t *ret_len, uint64_t *ret_hash)
{
	char bytes[MARK_HASHED_BYTES];
	size_t len = offset < sizeof bytes ? (size_t)offset : sizeof bytes;
	ssize_t got;

	if (tail->gzip != NULL)
		return -ENOTSUP; /* the stream has gone on to what is read */
	got = tail_read(tail, bytes, len, offset - len);
	if (got < 0)
		return (int)got;
	if ((size_t)got < len)
		return -ENODATA;
	*ret_len = (uint32_t)len;
	*ret_hash = XXH3_64bits(bytes, len);
	return 0;
}

static void set_first_line(struct tail *tail, const char *line, size_t len)
{
	tail->source.first_line_hash = XXH3_64bits(line, len);
	tail->has_first_line = true;
}

/* Once it was cut, only what was learned before is left of it. */
static ssize_t read_beginning(const struct tail *tail, char *into, size_t len)
{
	ssize_t got;

	if (tail->truncated) {
		memcpy(into, tail->head, tail->head_len);
		return (ssize_t)tail->head_len;
	}
	got = tail->gzip != NULL ? gzip_file_head(tail->fd, into, len) : tail_read(tail, into, len, 0);
	return got < 0 ? 0 : got; /* the readers meet the same error, and say so */
}

/* True if the head is longer than before. */
static bool keep_head(struct tail *tail, const char *bytes, size_t len)
{
	if (len > sizeof tail->head)
		len = sizeof tail->head;
	if (len <= tail->head_len)
		return false;
	memcpy(tail->head + tail->head_len, bytes + tail->head_len, len - tail->head_len);
	tail->head_len = len;
	return true;
}

bool tail_learn_head(struct tail *tail, bool is_last_chance)
{
	char bytes[SOURCE_HASHED_BYTES];
	size_t len = tail->size < sizeof bytes ? (size_t)tail->size : sizeof bytes;
	const char *end;
	bool learned;
	ssize_t got;

	if (tail->has_first_line && (tail->head_len == sizeof tail->head || tail->head_len == len))
		return false;
	got = read_beginning(tail, bytes, len);
	if ((size_t)got >= tail->head_len && memcmp(bytes, tail->head, tail->head_len) != 0)
		return false; /* the file was cut and has grown again: nothing to be learned for this tail */
	learned = keep_head(tail, bytes, (size_t)got);
	if (tail->has_first_line)
		return learned;
	end = memchr(bytes, '\n', (size_t)got);
	if (end != NULL)
		set_first_line(tail, bytes, (size_t)(end - bytes));
	else if (is_last_chance || (size_t)got == sizeof bytes)
		set_first_line(tail, bytes, (size_t)got);
	return learned || tail->has_first_line;
}

bool tail_head_changed(const struct tail *tail)
{
	char bytes[TAIL_HEAD_BYTES];
	ssize_t got = tail->gzip == NULL ? tail_read(tail, bytes, tail->head_len, 0) : 0;

	return got == (ssize_t)tail->head_len && memcmp(bytes, tail->head, tail->head_len) != 0;
}

/* ---- all readers -------------------------------------------------------------------------------- */

void tail_wake(struct tail *tail)
{
	struct tail_reader *reader, *next;

	DL_FOREACH_SAFE (tail->readers, reader, next)
		reader->wake(reader);
}

uint64_t tail_needed_bytes(const struct tail *tail)
{
	const struct tail_reader *reader;
	uint64_t lowest = tail->size;

	DL_FOREACH (tail->readers, reader) {
		uint64_t from = reader->needs_from(reader);

		if (from < lowest)
			lowest = from;
	}
	return tail->size - lowest;
}

void tail_give_up(struct tail *tail)
{
	struct tail_reader *reader, *next;

	DL_FOREACH_SAFE (tail->readers, reader, next)
		reader->give_up(reader);
}

/* Gzip files.  Cursors read at offsets, a little back now and then (an unfinished line is read again); a
 * deflate stream only goes forwards.  Between the two stands a reading: where a stream is, and the last bytes
 * that came out of it.
 *
 *     file bytes -> input -> inflate -> caller's memory
 *                                '----> recent, the RECENT_BYTES before position
 *
 * Stands beside tail.c, which asks it for the files that are compressed.  Owns the readings, which belong to
 * a descriptor as long as its owner lets them; two outputs at two places of one file have two.  There are
 * only so many, so a reading that nobody used for a while is taken over.
 *
 * Refuses to believe a damaged file: bytes before the damage are given out, then it says so. */
#include "config.h"
#include "collector/gzip_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/must.h"

#define INPUT_BYTES  (16u << 10)
#define RECENT_BYTES (64u << 10)
#define IDLE_MS      1000             /* before another file may have its reading */
#define GZIP_WINDOW  (MAX_WBITS + 16) /* zlib's word for "gzip header and trailer" */
#define SMALLEST     18               /* header and trailer without anything between */
#define SIZE_FIELD   4

struct reading {
	int fd; /* -1: free */
	z_stream stream;
	off_t input_offset;
	uint64_t position; /* uncompressed: what comes out next */
	int error;         /* 0, or -errno for whatever comes next */
	bool is_between;   /* a member has ended, another may follow */
	bool is_over;
	size_t recent_len;
	uint64_t used_ms;
	unsigned char input[INPUT_BYTES];
	unsigned char recent[RECENT_BYTES]; /* the last recent_len bytes before position, at its beginning */
};

struct gzip_pool {
	size_t limit;
	struct reading **readings; /* `limit` places, NULL where none was needed yet */
};

/* ---- one stream, forwards ----------------------------------------------------------------------- */

static void begin(struct reading *reading, int fd)
{
	reading->fd = fd;
	reading->stream = (z_stream){0};
	must(inflateInit2(&reading->stream, GZIP_WINDOW) == Z_OK); /* else no memory */
	reading->input_offset = 0;
	reading->position = 0;
	reading->error = 0;
	reading->is_between = false;
	reading->is_over = false;
	reading->recent_len = 0;
}

static void end(struct reading *reading)
{
	if (reading->fd == -1)
		return;
	(void)inflateEnd(&reading->stream); /* an unfinished stream is no error */
	reading->fd = -1;
}

/* More of the file, if what was read of it is used up.  At its end the stream is over between members, and
 * damaged in the middle of one. */
static void refill(struct reading *reading)
{
	ssize_t got;

	if (reading->stream.avail_in != 0)
		return;
	got = file_pread(reading->fd, reading->input, sizeof reading->input, reading->input_offset);
	if (got < 0) {
		reading->error = (int)got;
	} else if (got == 0) {
		reading->is_over = reading->is_between;
		reading->error = reading->is_between ? 0 : -EBADMSG;
	} else {
		reading->input_offset += got;
		reading->stream.next_in = reading->input;
		reading->stream.avail_in = (uInt)got;
	}
}

/* What follows a member may be another one, or padding, which ends the file as gzip itself has it. */
static void begin_member(struct reading *reading)
{
	if (!reading->is_between)
		return;
	if (reading->stream.next_in[0] != 0x1f) {
		reading->is_over = true;
		return;
	}
	must(inflateReset(&reading->stream) == Z_OK);
	reading->is_between = false;
}

/* Unpacks up to len bytes; fewer at the end, or with reading->error set. */
static size_t unpack(struct reading *reading, void *into, size_t len)
{
	z_stream *stream = &reading->stream;
	bool is_starved = false; /* else more may come out, although all that was read has gone in */
	int answer;

	stream->next_out = into;
	stream->avail_out = (uInt)len;
	while (stream->avail_out != 0 && !reading->is_over && reading->error == 0) {
		if (is_starved || reading->is_between)
			refill(reading);
		if (reading->is_over || reading->error != 0)
			break;
		begin_member(reading);
		if (reading->is_over)
			break;
		answer = inflate(stream, Z_NO_FLUSH);
		must(answer != Z_MEM_ERROR && answer != Z_STREAM_ERROR);
		reading->is_between = answer == Z_STREAM_END;
		is_starved = stream->avail_in == 0 && stream->avail_out != 0;
		if (answer != Z_OK && answer != Z_STREAM_END && answer != Z_BUF_ERROR)
			reading->error = -EBADMSG;
	}
	len -= stream->avail_out;
	reading->position += len;
	return len;
}

static void remember(struct reading *reading, const unsigned char *bytes, size_t len)
{
	size_t keep = len < RECENT_BYTES ? RECENT_BYTES - len : 0;

	if (len > RECENT_BYTES) {
		bytes += len - RECENT_BYTES;
		len = RECENT_BYTES;
	}
	if (keep > reading->recent_len)
		keep = reading->recent_len;
	memmove(reading->recent, reading->recent + reading->recent_len - keep, keep);
	memcpy(reading->recent + keep, bytes, len);
	reading->recent_len = keep + len;
}

/* Forwards to offset, or to the end before it. */
static void skip_to(struct reading *reading, uint64_t offset)
{
	while (reading->position < offset) {
		uint64_t left = offset - reading->position;
		size_t len = left < RECENT_BYTES ? (size_t)left : RECENT_BYTES;

		reading->recent_len = unpack(reading, reading->recent, len);
		if (reading->recent_len < len)
			return;
	}
}

static size_t take_recent(const struct reading *reading, unsigned char *into, size_t len, uint64_t offset)
{
	size_t back = offset < reading->position ? (size_t)(reading->position - offset) : 0;

	if (len > back)
		len = back;
	memcpy(into, reading->recent + reading->recent_len - back, len);
	return len;
}

static ssize_t read_at(struct reading *reading, unsigned char *into, size_t len, uint64_t offset)
{
	size_t had, got;

	skip_to(reading, offset);
	if (reading->position < offset)
		return reading->error;
	had = take_recent(reading, into, len, offset);
	got = had < len ? unpack(reading, into + had, len - had) : 0;
	remember(reading, into + had, got);
	return had + got == 0 && len != 0 ? reading->error : (ssize_t)(had + got);
}

/* ---- without a pool ----------------------------------------------------------------------------- */

int gzip_file_size(int fd, uint64_t *ret_size)
{
	unsigned char bytes[SIZE_FIELD];
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (st.st_size < SMALLEST)
		return -EBADMSG;
	got = file_pread(fd, bytes, 2, 0);
	if (got == 2 && (bytes[0] != 0x1f || bytes[1] != 0x8b))
		return -EBADMSG;
	if (got == 2)
		got = file_pread(fd, bytes, sizeof bytes, st.st_size - SIZE_FIELD);
	if (got != SIZE_FIELD)
		return got < 0 ? (int)got : -EBADMSG;
	*ret_size = (uint64_t)bytes[0] | (uint64_t)bytes[1] << 8 | (uint64_t)bytes[2] << 16 |
		    (uint64_t)bytes[3] << 24;
	return 0;
}

ssize_t gzip_file_head(int fd, void *into, size_t len)
{
	struct reading *reading = x_new(reading);
	ssize_t got;

	begin(reading, fd);
	got = read_at(reading, into, len, 0);
	end(reading);
	free(reading);
	return got;
}

/* ---- the pool ----------------------------------------------------------------------------------- */

struct gzip_pool *gzip_pool_new(size_t limit)
{
	struct gzip_pool *pool = x_new(pool);

	pool->limit = limit;
	pool->readings = xcalloc(limit, sizeof pool->readings[0]);
	return pool;
}

static void free_reading(struct gzip_pool *pool, size_t place)
{
	if (pool->readings[place] == NULL)
		return;
	end(pool->readings[place]);
	free(pool->readings[place]);
	pool->readings[place] = NULL;
}

void gzip_pool_free(struct gzip_pool *pool)
{
	if (pool == NULL)
		return;
	for (size_t i = 0; i < pool->limit; i++)
		free_reading(pool, i);
	free(pool->readings);
	free(pool);
}

void gzip_pool_forget(struct gzip_pool *pool, int fd)
{
	for (size_t i = 0; i < pool->limit; i++)
		if (pool->readings[i] != NULL && pool->readings[i]->fd == fd)
			free_reading(pool, i);
}

static void drop(struct gzip_pool *pool, const struct reading *reading)
{
	for (size_t i = 0; i < pool->limit; i++)
		if (pool->readings[i] == reading)
			free_reading(pool, i);
}

static bool can_serve(const struct reading *reading, int fd, uint64_t offset)
{
	return reading->fd == fd && reading->position - reading->recent_len <= offset;
}

/* The one that has the least to skip; NULL if all are beyond. */
static struct reading *find(const struct gzip_pool *pool, int fd, uint64_t offset)
{
	struct reading *best = NULL;

	for (size_t i = 0; i < pool->limit; i++) {
		struct reading *reading = pool->readings[i];

		if (reading != NULL && can_serve(reading, fd, offset) &&
		    (best == NULL || reading->position > best->position))
			best = reading;
	}
	return best;
}

/* A place for another reading: an empty one, or the one that was not used for longest; NULL if all are in
 * use. */
static struct reading **make_place(const struct gzip_pool *pool, uint64_t now_ms)
{
	struct reading **oldest = NULL;

	for (size_t i = 0; i < pool->limit; i++) {
		struct reading **place = &pool->readings[i];

		if (*place == NULL)
			return place;
		if (oldest == NULL || (*place)->used_ms < (*oldest)->used_ms)
			oldest = place;
	}
	return oldest != NULL && now_ms - (*oldest)->used_ms >= IDLE_MS ? oldest : NULL;
}

static struct reading *begin_another(const struct gzip_pool *pool, int fd, uint64_t now_ms)
{
	struct reading **place = make_place(pool, now_ms);

	if (place == NULL)
		return NULL;
	if (*place == NULL) {
		*place = x_new(*place);
		(*place)->fd = -1;
	}
	end(*place);
	begin(*place, fd);
	return *place;
}

ssize_t gzip_pool_read(struct gzip_pool *pool, int fd, void *into, size_t len, uint64_t offset)
{
	uint64_t now_ms = clock_monotonic_ms();
	struct reading *reading = find(pool, fd, offset);
	ssize_t got;

	if (reading == NULL)
		reading = begin_another(pool, fd, now_ms);
	if (reading == NULL)
		return -EAGAIN;
	reading->used_ms = now_ms;
	got = read_at(reading, into, len, offset);
	if (got <= 0 && len != 0) /* nothing more will come of it */
		drop(pool, reading);
	return got;
}

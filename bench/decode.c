/* Decoding.  The receiver must read whatever an agent sends: several gzip members or zstd frames one after
 * the other, and streams that were flushed but not ended.  Not for speed records: its CPU is measured apart
 * from the agent's. */
#include "config.h"
#include "bench/decode.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

#include "common/must.h"

#define ROOM_BYTES (1u << 20)

static bool inflate_all(z_stream *stream, struct buf *out)
{
	int result = Z_OK;

	while (stream->avail_in > 0 || result == Z_OK) {
		size_t room;

		if (!buf_reserve(out, ROOM_BYTES))
			return false;
		room = out->capacity - out->len;
		stream->next_out = (Bytef *)out->data + out->len;
		stream->avail_out = (uInt)room;
		result = inflate(stream, Z_NO_FLUSH);
		out->len += room - stream->avail_out;
		if (result == Z_STREAM_END) {
			if (stream->avail_in == 0)
				return true;
			result = inflateReset(stream); /* one more member */
		}
		if (result != Z_OK)
			return false;
	}
	return true;
}

static bool decode_zlib(const char *bytes, size_t len, struct buf *out)
{
	z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)len};
	bool is_good;

	must(inflateInit2(&stream, 15 + 32) == Z_OK); /* gzip or zlib, whichever it is */
	is_good = inflate_all(&stream, out);
	inflateEnd(&stream);
	return is_good;
}

static bool decode_zstd(const char *bytes, size_t len, struct buf *out)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer in = {bytes, len, 0};
	bool was_full = false;
	size_t result = 0;

	must(stream != NULL);
	while (in.pos < in.size || was_full) {
		ZSTD_outBuffer room;

		if (!buf_reserve(out, ROOM_BYTES))
			break;
		room = (ZSTD_outBuffer){out->data, out->capacity, out->len};
		result = ZSTD_decompressStream(stream, &room, &in);
		if (ZSTD_isError(result))
			break;
		was_full = room.pos == room.size;
		out->len = room.pos;
	}
	ZSTD_freeDStream(stream);
	return in.pos == in.size && !ZSTD_isError(result);
}

bool decode(const char *encoding, const char *bytes, size_t len, struct buf *out)
{
	if (strcasecmp(encoding, "zstd") == 0)
		return decode_zstd(bytes, len, out);
	return decode_zlib(bytes, len, out);
}

bool decode_is_needed(const char *encoding)
{
	return strcasecmp(encoding, "zstd") == 0 || strcasecmp(encoding, "gzip") == 0 ||
	       strcasecmp(encoding, "deflate") == 0;
}

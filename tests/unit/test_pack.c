#include "config.h"

#include "collector/pack.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "common/must.h"

#define TEXT "{\"log\":\"a line\"}\n"

static char *repeated(size_t times, size_t *ret_len)
{
	size_t one = strlen(TEXT);
	char *text = xmalloc(one * times);

	for (size_t i = 0; i < times; i++)
		memcpy(text + i * one, TEXT, one);
	*ret_len = one * times;
	return text;
}

static void pack_text(enum pack_codec codec, int level, const char *begin, const char *end, const char *bytes, size_t len, char **ret_body,
	size_t *ret_body_len)
{
	struct packer *packer = packer_new(NULL, codec, level);
	struct pack_job job = {.packer = packer, .begin = begin, .end = end, .bytes = bytes, .len = len};

	pack_now(&job, ret_body, ret_body_len);
	packer_free(packer);
}

static void assert_framed(const char *plain, size_t plain_len, const char *begin, const char *bytes, size_t len, const char *end)
{
	ck_assert_uint_eq(plain_len, strlen(begin) + len + strlen(end));
	ck_assert_mem_eq(plain, begin, strlen(begin));
	ck_assert_mem_eq(plain + strlen(begin), bytes, len);
	ck_assert_mem_eq(plain + strlen(begin) + len, end, strlen(end));
}

START_TEST(zstd_gives_back_the_bytes_and_tells_their_size)
{
	static const char *const frames[][2] = {{"", "\n"}, {"", ""}, {"[", "]"}};

	for (size_t i = 0; i < 3; i++) {
		size_t len, body_len, plain_len;
		char *text = repeated(5000, &len), *body, *plain = xmalloc(len + 2);

		pack_text(PACK_ZSTD, 1, frames[i][0], frames[i][1], text, len, &body, &body_len);
		ck_assert_uint_eq(ZSTD_getFrameContentSize(body, body_len), len + strlen(frames[i][0]) + strlen(frames[i][1]));
		plain_len = ZSTD_decompress(plain, len + 2, body, body_len);
		ck_assert(!ZSTD_isError(plain_len));
		assert_framed(plain, plain_len, frames[i][0], text, len, frames[i][1]);
		ck_assert_uint_lt(body_len, len / 20);
		free(text);
		free(body);
		free(plain);
	}
}
END_TEST

START_TEST(gzip_gives_back_the_bytes)
{
	size_t len, body_len;
	char *text = repeated(5000, &len), *body, *plain = xmalloc(len + 2);
	z_stream stream = {0};

	pack_text(PACK_GZIP, 1, "[", "]", text, len, &body, &body_len);
	ck_assert_int_eq(inflateInit2(&stream, 15 + 16), Z_OK);
	stream.next_in = (Bytef *)body;
	stream.avail_in = (uInt)body_len;
	stream.next_out = (Bytef *)plain;
	stream.avail_out = (uInt)len + 2;
	ck_assert_int_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_framed(plain, stream.total_out, "[", text, len, "]");
	inflateEnd(&stream);
	free(text);
	free(body);
	free(plain);
}
END_TEST

START_TEST(none_only_frames)
{
	char *body;
	size_t body_len;

	pack_text(PACK_NONE, 1, "[", "]", "1,2", 3, &body, &body_len);
	assert_framed(body, body_len, "[", "1,2", 3, "]");
	free(body);
}
END_TEST

static struct {
	char *body;
	size_t body_len;
	int count;
} arrived;

static void on_done(struct pack_job *job, char *body, size_t body_len)
{
	(void)job;
	free(arrived.body);
	arrived.body = body;
	arrived.body_len = body_len;
	arrived.count++;
}

START_TEST(jobs_run_on_workers_and_reuse_contexts)
{
	uv_loop_t loop;
	size_t len;
	char *text = repeated(1000, &len);
	struct packer *packer;
	struct pack_job jobs[4];

	memset(&arrived, 0, sizeof arrived);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	packer = packer_new(&loop, PACK_ZSTD, 1);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 4; i++) {
			jobs[i] = (struct pack_job){.packer = packer, .begin = "", .end = "\n", .bytes = text, .len = len, .done = on_done};
			pack_start(&jobs[i]);
		}
		uv_run(&loop, UV_RUN_DEFAULT);
	}
	ck_assert_int_eq(arrived.count, 12);
	ck_assert_uint_eq(ZSTD_getFrameContentSize(arrived.body, arrived.body_len), len + 1);
	free(arrived.body);
	free(text);
	packer_free(packer);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

UNIT_MAIN("pack", zstd_gives_back_the_bytes_and_tells_their_size, gzip_gives_back_the_bytes, none_only_frames,
	jobs_run_on_workers_and_reuse_contexts)

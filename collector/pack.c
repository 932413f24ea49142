/* Packing.  One codec call a batch, level 1 unless told otherwise, contexts reused: a new zstd context a call would cost as much as compressing 40 KiB.
 *
 * Stands beside the shipper: a batch's bytes are lent to a worker and come back as a body.  One-shot zstd frames carry their content size and a
 * checksum; gzip is RFC 1952.  Owns the contexts.  Knows no batches and no outputs. */
#include "config.h"
#include "collector/pack.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "common/must.h"

const char *const pack_words[] = {[PACK_ZSTD] = "zstd", [PACK_GZIP] = "gzip", [PACK_NONE] = "none", NULL};

struct context { /* of one job at a time */
	struct context *next;
	ZSTD_CCtx *zstd;
	z_stream gzip;
	char *scratch; /* compressed bytes before they are copied to a body of their own size */
	size_t scratch_size;
};

struct packer {
	uv_loop_t *loop;
	enum pack_codec codec;
	int level;
	struct context *idle;
	unsigned busy_count;
};

const char *pack_encoding(enum pack_codec codec)
{
	return codec == PACK_NONE ? NULL : pack_words[codec];
}

struct packer *packer_new(uv_loop_t *loop, enum pack_codec codec, int level)
{
	struct packer *packer = x_new(packer);

	packer->loop = loop;
	packer->codec = codec;
	packer->level = level;
	return packer;
}

static struct context *context_take(struct packer *packer)
{
	struct context *context = packer->idle;

	packer->busy_count++;
	if (context != NULL) {
		packer->idle = context->next;
		return context;
	}
	context = x_new(context);
	if (packer->codec == PACK_ZSTD) {
		context->zstd = ZSTD_createCCtx();
		must(context->zstd != NULL);
		must(!ZSTD_isError(ZSTD_CCtx_setParameter(context->zstd, ZSTD_c_compressionLevel, packer->level)));
		must(!ZSTD_isError(ZSTD_CCtx_setParameter(context->zstd, ZSTD_c_checksumFlag, 1)));
	} else if (packer->codec == PACK_GZIP) {
		must(deflateInit2(&context->gzip, packer->level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	}
	return context;
}

static void context_give(struct packer *packer, struct context *context)
{
	must(packer->busy_count > 0);
	packer->busy_count--;
	context->next = packer->idle;
	packer->idle = context;
}

void packer_free(struct packer *packer)
{
	if (packer == NULL)
		return;
	must(packer->busy_count == 0);
	while (packer->idle != NULL) {
		struct context *context = packer->idle;

		packer->idle = context->next;
		ZSTD_freeCCtx(context->zstd);
		if (packer->codec == PACK_GZIP)
			deflateEnd(&context->gzip);
		free(context->scratch);
		free(context);
	}
	free(packer);
}

static void scratch_reserve(struct context *context, size_t size)
{
	if (context->scratch_size >= size)
		return;
	free(context->scratch);
	context->scratch = xmalloc(size);
	context->scratch_size = size;
}

static size_t pack_zstd(struct context *context, const struct pack_job *job)
{
	size_t begin_len = strlen(job->begin), end_len = strlen(job->end), total = begin_len + job->len + end_len;
	ZSTD_inBuffer parts[] = {{job->begin, begin_len, 0}, {job->bytes, job->len, 0}, {job->end, end_len, 0}};
	ZSTD_outBuffer out;
	size_t left = 0;

	scratch_reserve(context, ZSTD_compressBound(total));
	out = (ZSTD_outBuffer){context->scratch, context->scratch_size, 0};
	if (begin_len + end_len == 0) { /* one call, no copy into the context's own window */
		size_t written = ZSTD_compress2(context->zstd, context->scratch, context->scratch_size, job->bytes, job->len);

		must(!ZSTD_isError(written));
		return written;
	}
	must(!ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context->zstd, total)));
	for (size_t i = 0; i < 3; i++) {
		do {
			left = ZSTD_compressStream2(context->zstd, &out, &parts[i], i == 2 ? ZSTD_e_end : ZSTD_e_continue);
			must(!ZSTD_isError(left));
		} while (i == 2 ? left != 0 : parts[i].pos < parts[i].size);
	}
	return out.pos;
}

static size_t pack_gzip(struct context *context, const struct pack_job *job)
{
	const char *parts[] = {job->begin, job->bytes, job->end};
	size_t lens[] = {strlen(job->begin), job->len, strlen(job->end)};
	z_stream *stream = &context->gzip;

	must(deflateReset(stream) == Z_OK);
	scratch_reserve(context, deflateBound(stream, lens[0] + lens[1] + lens[2]) + 64);
	stream->next_out = (Bytef *)context->scratch;
	stream->avail_out = (uInt)context->scratch_size;
	for (size_t i = 0; i < 3; i++) {
		stream->next_in = (Bytef *)(uintptr_t)parts[i]; /* zlib reads only, its type is older than const */
		stream->avail_in = (uInt)lens[i];
		must(deflate(stream, i == 2 ? Z_FINISH : Z_NO_FLUSH) == (i == 2 ? Z_STREAM_END : Z_OK) || lens[i] == 0);
	}
	return context->scratch_size - stream->avail_out;
}

static void pack_none(struct pack_job *job)
{
	size_t begin_len = strlen(job->begin), end_len = strlen(job->end);

	job->body_len = begin_len + job->len + end_len;
	job->body = xmalloc(job->body_len);
	memcpy(job->body, job->begin, begin_len);
	memcpy(job->body + begin_len, job->bytes, job->len);
	memcpy(job->body + begin_len + job->len, job->end, end_len);
}

static void pack(struct pack_job *job)
{
	struct context *context = job->context;

	if (job->packer->codec == PACK_NONE) {
		pack_none(job);
		return;
	}
	job->body_len = job->packer->codec == PACK_ZSTD ? pack_zstd(context, job) : pack_gzip(context, job);
	job->body = xmalloc(job->body_len);
	memcpy(job->body, context->scratch, job->body_len);
}

static void on_worker(uv_work_t *work)
{
	pack(container_of(work, struct pack_job, work));
}

static void on_packed(uv_work_t *work, int status)
{
	struct pack_job *job = container_of(work, struct pack_job, work);

	must(status == 0); /* jobs are never cancelled */
	context_give(job->packer, job->context);
	job->done(job, job->body, job->body_len);
}

void pack_start(struct pack_job *job)
{
	job->context = context_take(job->packer);
	must(uv_queue_work(job->packer->loop, &job->work, on_worker, on_packed) == 0);
}

void pack_now(struct pack_job *job, char **ret_body, size_t *ret_body_len)
{
	job->context = context_take(job->packer);
	pack(job);
	context_give(job->packer, job->context);
	*ret_body = job->body;
	*ret_body_len = job->body_len;
}

const char *pack_library(void)
{
	static char text[64];

	snprintf(text, sizeof text, "zstd %s, zlib %s", ZSTD_versionString(), zlibVersion());
	return text;
}

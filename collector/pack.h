/* Bytes of a batch -> body of a request: framed and compressed, on a worker thread.  The door of zstd and zlib. */
#ifndef DRAVE_COLLECTOR_PACK_H
#define DRAVE_COLLECTOR_PACK_H

#include <stddef.h>
#include <uv.h>

enum pack_codec { PACK_ZSTD, PACK_GZIP, PACK_NONE };
/* Words for the option row (NULL-terminated), and the Content-Encoding of each (NULL for none). */
extern const char *const pack_words[];
const char *pack_encoding(enum pack_codec codec);

struct packer; /* codec contexts, lent to one job each and reused */

struct packer *packer_new(uv_loop_t *loop, enum pack_codec codec, int level);
/* No job may be under way. */
void packer_free(struct packer *packer);

struct pack_job {
	struct packer *packer;
	const char *begin;   /* texts around the bytes: static */
	const char *end;
	const char *bytes;   /* borrowed until done */
	size_t len;
	void (*done)(struct pack_job *job, char *body, size_t body_len); /* on the loop; body is the callee's, to be freed with free() */
	/* private: */
	uv_work_t work;
	void *context;
	char *body;
	size_t body_len;
};

/* The caller fills the public members and keeps the job until done. */
void pack_start(struct pack_job *job);
/* Compresses at once, on this thread: what the worker does; for tests. */
void pack_now(struct pack_job *job, char **ret_body, size_t *ret_body_len);
const char *pack_library(void);

#endif

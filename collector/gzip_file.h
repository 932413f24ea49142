/* Reading inside gzip files by their uncompressed offsets: a rotated log that kubelet compressed while no
 * collector ran is read on where its plain file was left.  zlib's second door. */
#ifndef DRAVE_COLLECTOR_GZIP_FILE_H
#define DRAVE_COLLECTOR_GZIP_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gzip_pool;

/* At most `limit` files are unpacked at a time, each with GZIP_READING_BYTES or so; the memory is taken when
 * a file is first read. */
struct gzip_pool *gzip_pool_new(size_t limit);
void gzip_pool_free(struct gzip_pool *pool);
#define GZIP_READING_BYTES (128u << 10)

/* How many bytes the file behind fd says that it unpacks to (modulo 4 GiB, and of the last member if there
 * are several: a hint, though what kubelet writes has one).  0 or -errno; -EBADMSG: it is no gzip file. */
int gzip_file_size(int fd, uint64_t *ret_size);

/* The first bytes, unpacked without a pool: as many as there are up to len, -errno (-EBADMSG: damaged before
 * the first byte). */
ssize_t gzip_file_head(int fd, void *into, size_t len);

/* Reads at an uncompressed offset: bytes, 0 at the end, -errno.  Short reads happen only at the end, or
 * before damage, where the next read says -EBADMSG.  -EAGAIN: too many files are being read, try again later.
 *
 * Going on from where a read ended, or up to 64 KiB before, costs the unpacking of what is read; anything
 * further back begins at the file's head again. */
ssize_t gzip_pool_read(struct gzip_pool *pool, int fd, void *into, size_t len, uint64_t offset);

/* The descriptor is about to be closed.  (A reading that has come to the end goes by itself.) */
void gzip_pool_forget(struct gzip_pool *pool, int fd);

#endif

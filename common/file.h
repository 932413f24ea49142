/* Whole files and durable replacement; EINTR is dealt with here and nowhere else. */
#ifndef DRAVE_COMMON_FILE_H
#define DRAVE_COMMON_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/err.h"

/* Appends the file's content to out.  -EFBIG if it has more than out may still take.  Returns 0 or -errno and fills err. */
int file_read(const char *path, struct buf *out, struct err *err);
/* The same, without trailing newline and blanks, for secrets (*_file keys). */
int file_read_secret(const char *path, struct buf *out, struct err *err);
/* pread/read/write with EINTR repeated: bytes or -errno. */
ssize_t file_pread(int fd, void *into, size_t len, off_t offset);
ssize_t file_write_all(int fd, const void *bytes, size_t len);
/* Writes path.tmp, fsync, rename over path, fsync of the directory.  Mode 0600. */
int file_replace(const char *path, const void *bytes, size_t len, struct err *err);
/* mkdir -p, mode 0700 for what it makes. */
int file_make_dirs(const char *path, struct err *err);

#endif

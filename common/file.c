/* Whole files: read with a limit, replaced so that either the old or the new content survives a crash.
 *
 * The home of EINTR.  Replacement is write to path.tmp, fsync, rename, fsync of the directory; each of these
 * steps is a fault point.  Log files are not read here: collector/tail.c keeps its descriptors itself and
 * only borrows file_pread(). */
#include "config.h"
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/must.h"

#define READ_STEP 65536

static ssize_t read_again(int fd, void *into, size_t len)
{
	ssize_t got;

	do
		got = read(fd, into, len);
	while (got == -1 && errno == EINTR);
	return got == -1 ? -errno : got;
}

/* Reads to the end.  At the limit one more byte is asked for, to tell "just fits" from "too long". */
static int read_all(int fd, struct buf *out)
{
	for (;;) {
		size_t room = out->limit - out->len;
		char probe;
		ssize_t got;

		if (room == 0) {
			got = read_again(fd, &probe, 1);
			return got > 0 ? -EFBIG : (int)got;
		}
		must(buf_reserve(out, room < READ_STEP ? room : READ_STEP));
		got = read_again(fd, out->data + out->len, room < READ_STEP ? room : READ_STEP);
		if (got <= 0)
			return (int)got;
		out->len += (size_t)got;
	}
}

int file_read(const char *path, struct buf *out, struct err *err)
{
	size_t before = out->len;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int result;

	if (fd == -1) {
		result = -errno;
		return err_set(err, result, "cannot open '%s': %s", path, strerror(-result));
	}
	result = read_all(fd, out);
	(void)close(fd); /* read only: nothing can be lost here */
	if (result == 0)
		return 0;
	out->len = before;
	if (result == -EFBIG)
		return err_set(
		    err, result, "cannot read '%s': more than %zu bytes", path, out->limit - before);
	return err_set(err, result, "cannot read '%s': %s", path, strerror(-result));
}

int file_read_secret(const char *path, struct buf *out, struct err *err)
{
	size_t before = out->len;
	int result = file_read(path, out, err);

	if (result != 0)
		return result;
	while (out->len > before && strchr(" \t\r\n", out->data[out->len - 1]) != NULL &&
	       out->data[out->len - 1] != '\0')
		out->len--;
	return 0;
}

ssize_t file_pread(int fd, void *into, size_t len, off_t offset)
{
	ssize_t got;

	do
		got = pread(fd, into, len, offset);
	while (got == -1 && errno == EINTR);
	return got == -1 ? -errno : got;
}

ssize_t file_write_all(int fd, const void *bytes, size_t len)
{
	const char *next = bytes;
	size_t left = len;

	while (left > 0) {
		ssize_t wrote = write(fd, next, left);

		if (wrote == -1 && errno == EINTR)
			continue;
		if (wrote == -1)
			return -errno;
		next += wrote;
		left -= (size_t)wrote;
	}
	return (ssize_t)len;
}

static int sync_fd(int fd)
{
	return fsync(fd) == -1 ? -errno : 0;
}

/* Writes bytes to a new file at path and makes them durable. */
static int write_durably(const char *path, const void *bytes, size_t len)
{
	int fd, result = 0;
	ssize_t wrote;

	if (unlink(path) == -1 && errno != ENOENT) /* what a crash left behind, with whatever mode it had */
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	wrote = FAULT("file.write") ? -EIO : file_write_all(fd, bytes, len);
	if (wrote < 0)
		result = (int)wrote;
	if (result == 0)
		result = FAULT("file.fsync") ? -EIO : sync_fd(fd);
	if (close(fd) == -1 && result == 0)
		result = -errno;
	return result;
}

/* A rename is durable once its directory is. */
static int sync_directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *directory =
	    slash == NULL ? xstrdup(".") : xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd == -1 ? -errno : 0;

	free(directory);
	if (fd == -1)
		return result;
	result = FAULT("file.fsync_directory") ? -EIO : sync_fd(fd);
	(void)close(fd);
	return result;
}

int file_replace(const char *path, const void *bytes, size_t len, struct err *err)
{
	char *temporary = xasprintf("%s.tmp", path);
	int result = write_durably(temporary, bytes, len);

	if (result != 0) {
		err_set(err, result, "cannot write '%s': %s", temporary, strerror(-result));
		goto out;
	}
	result = FAULT("file.rename") ? -EIO : rename(temporary, path) == -1 ? -errno : 0;
	if (result != 0) {
		err_set(err, result, "cannot rename '%s' to '%s': %s", temporary, path, strerror(-result));
		goto out;
	}
	result = sync_directory_of(path);
	if (result != 0)
		err_set(err, result, "cannot sync the directory of '%s': %s", path, strerror(-result));
out:
	free(temporary);
	return result;
}

static int make_dir(const char *path)
{
	struct stat st;
	int result;

	if (mkdir(path, 0700) == 0)
		return 0;
	result = -errno;
	if (stat(path, &st) == 0) /* there already, or a mount point whose parent is read-only */
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	return result;
}

int file_make_dirs(const char *path, struct err *err)
{
	char *copy = xstrdup(path);
	int result = 0;

	for (char *at = copy + 1; copy[0] != '\0' && result == 0; at++) {
		char kept = *at;

		if (kept != '/' && kept != '\0')
			continue;
		*at = '\0';
		result = make_dir(copy);
		if (result != 0)
			err_set(err, result, "cannot make directory '%s': %s", copy, strerror(-result));
		*at = kept;
		if (kept == '\0')
			break;
	}
	free(copy);
	return result;
}

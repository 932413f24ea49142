/* A directory of its own for a test, and what tests do in it.  Paths are relative to it. */
#ifndef DRAVE_TESTS_SCRATCH_H
#define DRAVE_TESTS_SCRATCH_H

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
	char path[64];
};

static inline void scratch_init(struct scratch *scratch)
{
	const char *above = getenv("TMPDIR");

	ck_assert_int_lt(snprintf(scratch->path, sizeof scratch->path, "%s/drave-test-XXXXXX",
			     above != NULL && strlen(above) < 32 ? above : "/tmp"),
	    (int)sizeof scratch->path);
	ck_assert_ptr_nonnull(mkdtemp(scratch->path));
}

static inline int scratch_remove_one(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
	(void)stat;
	(void)kind;
	(void)place;
	return remove(path);
}

/* The directory or file at path with everything in it; "" for all. */
static inline void scratch_remove(const struct scratch *scratch, const char *path)
{
	char whole[PATH_MAX];

	(void)snprintf(whole, sizeof whole, "%s/%s", scratch->path, path);
	(void)nftw(whole, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The absolute path, in one of four rotating buffers. */
static inline const char *scratch_path(const struct scratch *scratch, const char *path)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *whole = paths[next++ % 4];

	(void)snprintf(whole, PATH_MAX, "%s/%s", scratch->path, path);
	return whole;
}

/* Makes path and all above it. */
static inline void scratch_dir(const struct scratch *scratch, const char *path)
{
	char whole[PATH_MAX];

	(void)snprintf(whole, sizeof whole, "%s/%s", scratch->path, path);
	for (char *slash = whole + strlen(scratch->path) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		(void)mkdir(whole, 0755);
		*slash = '/';
	}
	(void)mkdir(whole, 0755);
	ck_assert_int_eq(access(whole, F_OK), 0);
}

/* Appends text to the file, which is made if it is not there. */
static inline void scratch_append(const struct scratch *scratch, const char *path, const char *text)
{
	int fd = open(scratch_path(scratch, path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(close(fd), 0);
}

static inline void scratch_rename(const struct scratch *scratch, const char *from, const char *to)
{
	ck_assert_int_eq(rename(scratch_path(scratch, from), scratch_path(scratch, to)), 0);
}

static inline void scratch_unlink(const struct scratch *scratch, const char *path)
{
	ck_assert_int_eq(unlink(scratch_path(scratch, path)), 0);
}

static inline void scratch_release(const struct scratch *scratch)
{
	scratch_remove(scratch, "");
}

#endif

/* Standard output as a pipe that the test reads. */
#ifndef DRAVE_TESTS_STDOUT_FAR_H
#define DRAVE_TESTS_STDOUT_FAR_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"

struct stdout_far {
	int read_end; /* -1: the reader is gone */
	int saved;    /* what standard output was */
	size_t junk;  /* bytes that lie in the pipe before what the output writes */
	struct buf taken;
};

static inline void stdout_far_init(struct stdout_far *far)
{
	int ends[2];

	*far = (struct stdout_far){0};
	buf_init(&far->taken, 16 << 20);
	ck_assert_ptr_ne(signal(SIGPIPE, SIG_IGN), SIG_ERR);
	(void)fflush(stdout);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_ne(fcntl(ends[0], F_SETFL, O_NONBLOCK), -1);
	far->read_end = ends[0];
	far->saved = dup(STDOUT_FILENO);
	ck_assert_int_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
	ck_assert_int_eq(close(ends[1]), 0);
}

/* Fills the pipe, so that a writer has to wait for the reader. */
static inline void stdout_far_fill(struct stdout_far *far)
{
	char junk[4096];
	ssize_t count;

	memset(junk, '#', sizeof junk);
	ck_assert_int_ne(fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK), -1);
	while ((count = write(STDOUT_FILENO, junk, sizeof junk)) > 0)
		far->junk += (size_t)count;
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_ne(fcntl(STDOUT_FILENO, F_SETFL, 0), -1);
}

/* Takes what is in the pipe. */
static inline void stdout_far_read(struct stdout_far *far)
{
	char bytes[65536];
	ssize_t count;

	while ((count = read(far->read_end, bytes, sizeof bytes)) > 0) {
		size_t skipped = far->junk < (size_t)count ? far->junk : (size_t)count;

		far->junk -= skipped;
		ck_assert(buf_add(&far->taken, bytes + skipped, (size_t)count - skipped));
	}
}

static inline void stdout_far_leave(struct stdout_far *far)
{
	ck_assert_int_eq(close(far->read_end), 0);
	far->read_end = -1;
}

static inline void stdout_far_release(struct stdout_far *far)
{
	ck_assert_int_eq(dup2(far->saved, STDOUT_FILENO), STDOUT_FILENO);
	ck_assert_int_eq(close(far->saved), 0);
	if (far->read_end != -1)
		stdout_far_leave(far);
	buf_release(&far->taken);
}

#endif

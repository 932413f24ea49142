/* One collector a node: whoever has the lock on state_dir/lock reads the logs, every other one stands by.
 *
 * Taken before the database or a log is opened.  Owns one descriptor, and through it the lock; the kernel
 * lets go when the process ends, so there is no stale lock to break and the content of the file means
 * nothing.
 *
 * The file could be deleted and made again under a holder: then two processes would hold two different files.
 * So a lock counts only if the name still leads to the file that was locked. */
#include "config.h"
#include "collector/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/must.h"

#define LOCK_NAME "lock"
#define TRIES_MAX 8

/* The directory, open, and found fit to be written to: a collector that stands by must be able to take over.
 */
static int open_state_dir(const char *state_dir, int *ret_fd, struct err *err)
{
	int status = file_make_dirs(state_dir, err);
	int fd;

	if (status != 0)
		return status;
	fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return err_set(
		    err, -errno, "cannot open state directory '%s': %s", state_dir, strerror(errno));
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == -1) {
		status = err_set(
		    err, -errno, "cannot write to state directory '%s': %s", state_dir, strerror(errno));
		(void)close(fd); /* read only */
		return status;
	}
	*ret_fd = fd;
	return 0;
}

/* Does the name in the directory still lead to the file behind fd? */
static bool is_still_named(int dir_fd, int fd)
{
	struct stat named, locked;

	return fstatat(dir_fd, LOCK_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &locked) == 0 &&
	       named.st_dev == locked.st_dev && named.st_ino == locked.st_ino;
}

/* One try.  0 = locked; -EBUSY = another process has it; -EAGAIN = the file was exchanged meanwhile. */
static int lock_file(int dir_fd, int *ret_fd)
{
	int fd = openat(
	    dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	int status = 0;

	if (fd == -1)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		status = errno == EINTR ? -EAGAIN : errno == EWOULDBLOCK ? -EBUSY : -errno;
	else if (!is_still_named(dir_fd, fd))
		status = -EAGAIN;
	if (status != 0)
		(void)close(fd); /* nothing was written */
	else
		*ret_fd = fd;
	return status;
}

int lock_try(struct lock *lock, const char *state_dir, bool *ret_held, struct err *err)
{
	int dir_fd = -1, status;

	must(lock->fd == -1);
	status = open_state_dir(state_dir, &dir_fd, err);
	if (status != 0)
		return status;
	status = -EAGAIN;
	for (int i = 0; i < TRIES_MAX && status == -EAGAIN; i++)
		status = lock_file(dir_fd, &lock->fd);
	(void)close(dir_fd); /* read only */
	if (status != 0 && status != -EBUSY && status != -EAGAIN)
		return err_set(
		    err, status, "cannot lock '%s/%s': %s", state_dir, LOCK_NAME, strerror(-status));
	*ret_held = status == 0;
	return 0;
}

void lock_release(struct lock *lock)
{
	if (lock->fd != -1)
		(void)close(lock->fd); /* nothing was written; the lock goes with the descriptor */
	lock->fd = -1;
}

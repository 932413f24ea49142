/* Safe opening.  Pods can write below the log root, so every name there may be a trap: a symlink to a host
 * file, a FIFO that blocks, a device, a second name of a file that is not theirs.  The kernel checks the way
 * (openat2: beneath, no symlinks), this file checks the end of it.
 *
 * Stands beneath finder.c, which is its only user.  Owns the descriptor of the root.  Reads no log and knows
 * no pod. */
#include "config.h"
#include "collector/logroot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/must.h"

#define DIR_FLAGS  (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* Set once, when a kernel or a seccomp filter first says that there is no openat2; true for the whole process
 * then. */
static bool no_openat2;

void logroot_forget_openat2(bool forget)
{
	no_openat2 = forget;
}

void logroot_init(struct logroot *root, const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	*root = (struct logroot){.path = xstrndup(path, len), .fd = -1};
}

static void let_go(struct logroot *root)
{
	if (root->fd >= 0)
		(void)close(root->fd);
	root->fd = -1;
}

void logroot_release(struct logroot *root)
{
	let_go(root);
	free(root->path);
	root->path = NULL;
}

int logroot_check(struct logroot *root)
{
	struct stat there;
	int fd;

	/* The way to the root is the operator's: symlinks are allowed here, and only here. */
	if (stat(root->path, &there) == -1) {
		int error = errno;

		let_go(root);
		return -error;
	}
	if (root->fd >= 0 && there.st_dev == root->dev && there.st_ino == root->ino)
		return 0;
	let_go(root);
	fd = open(root->path, DIR_FLAGS);
	if (fd == -1)
		return -errno;
	if (fstat(fd, &there) == -1) {
		int error = errno;

		(void)close(fd);
		return -error;
	}
	root->fd = fd;
	root->dev = there.st_dev;
	root->ino = there.st_ino;
	return 1;
}

/* ---- the way ------------------------------------------------------------------------------------ */

static int open_resolved(int dir_fd, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {.flags = (uint64_t)flags, .resolve = resolve};
	long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof how);

	return fd == -1 ? -errno : (int)fd;
}

static bool says_no_openat2(int error)
{
	return error == -ENOSYS || error == -EPERM;
}

/* One component; never follows a link. */
static int open_step(int dir_fd, const char *name, int flags)
{
	int fd;

	if (strcmp(name, "..") == 0 || strchr(name, '/') != NULL)
		return -EXDEV;
	fd = openat(dir_fd, name, flags | O_NOFOLLOW);
	/* O_DIRECTORY turns "it is a link" into "it is no directory"; either way it is refused. */
	return fd == -1 ? -errno : fd;
}

/* What openat2 does in one call, component by component. */
static int open_dir_by_steps(int root_fd, const char *path)
{
	char name[NAME_MAX + 1];
	int fd = open_step(root_fd, ".", DIR_FLAGS);

	while (fd >= 0 && *path != '\0') {
		size_t len = strcspn(path, "/");
		int next = -ENAMETOOLONG;

		if (len < sizeof name) {
			memcpy(name, path, len);
			name[len] = '\0';
			next = open_step(fd, name, DIR_FLAGS);
		}
		(void)close(fd);
		fd = next;
		path += len + (path[len] == '/');
	}
	return fd;
}

int logroot_open_dir(const struct logroot *root, const char *path)
{
	int fd;

	if (root->fd < 0)
		return -ENOENT;
	if (FAULT("logroot.dir"))
		return -EMFILE;
	if (!no_openat2) {
		fd = open_resolved(root->fd, *path != '\0' ? path : ".", DIR_FLAGS,
		    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
		if (!says_no_openat2(fd))
			return fd;
		no_openat2 = true;
	}
	return open_dir_by_steps(root->fd, path);
}

static int open_name(int dir_fd, const char *name)
{
	int fd;

	if (strchr(name, '/') != NULL)
		return -EXDEV;
	if (!no_openat2) {
		fd = open_resolved(dir_fd, name, FILE_FLAGS,
		    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
		if (!says_no_openat2(fd))
			return fd;
		no_openat2 = true;
	}
	return open_step(dir_fd, name, FILE_FLAGS);
}

/* ---- the end of the way ------------------------------------------------------------------------- */

static int64_t nanoseconds(int64_t seconds, int64_t rest)
{
	return seconds * 1000000000 + rest;
}

static void fill_dir(struct logroot_dir *dir, const struct stat *stat)
{
	*dir = (struct logroot_dir){
	    .dev = stat->st_dev,
	    .ino = stat->st_ino,
	    .modified_ns = nanoseconds(stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec),
	};
}

int logroot_look_at_dir(int dir_fd, struct logroot_dir *ret_dir)
{
	struct stat there;

	if (fstat(dir_fd, &there) == -1)
		return -errno;
	fill_dir(ret_dir, &there);
	return 0;
}

int logroot_peek(const struct logroot *root, const char *path, struct logroot_dir *ret_dir)
{
	struct stat there;

	if (root->fd < 0)
		return -ENOENT;
	if (fstatat(root->fd, *path != '\0' ? path : ".", &there, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	if (!S_ISDIR(there.st_mode))
		return -ENOTDIR;
	fill_dir(ret_dir, &there);
	return 0;
}

int logroot_identify(int dir_fd, const char *name, uint64_t *ret_dev, uint64_t *ret_ino)
{
	struct stat there;

	if (fstatat(dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	*ret_dev = there.st_dev;
	*ret_ino = there.st_ino;
	return 0;
}

/* Where openat2 has not refused another mount already, the device must be the directory's. */
static int check_device(int dir_fd, const struct statx *file)
{
	struct stat dir;

	if (!no_openat2)
		return 0;
	if (fstat(dir_fd, &dir) == -1)
		return -errno;
	return dir.st_dev == makedev(file->stx_dev_major, file->stx_dev_minor) ? 0 : -EXDEV;
}

static int check_file(int dir_fd, const struct statx *file)
{
	if (!S_ISREG(file->stx_mode))
		return -ENOTSUP;
	if (file->stx_nlink == 0)
		return -ENOENT;
	if (file->stx_nlink > 1)
		return -EMLINK;
	return check_device(dir_fd, file);
}

int logroot_open_file(int dir_fd, const char *name, struct logroot_file *ret_file)
{
	struct statx file;
	int fd = FAULT("logroot.file") ? -EMFILE : open_name(dir_fd, name);
	int error;

	if (fd < 0)
		return fd == -ENXIO ? -ENOTSUP : fd; /* ENXIO: a socket, or a device without a driver */
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &file) == -1)
		error = -errno;
	else
		error = check_file(dir_fd, &file);
	if (error != 0) {
		(void)close(fd);
		return error;
	}
	*ret_file = (struct logroot_file){
	    .fd = fd,
	    .dev = makedev(file.stx_dev_major, file.stx_dev_minor),
	    .ino = file.stx_ino,
	    .size = file.stx_size,
	};
	if (file.stx_mask & STATX_BTIME)
		ret_file->birth_ns = nanoseconds(file.stx_btime.tv_sec, file.stx_btime.tv_nsec);
	return 0;
}

bool logroot_is_refusal(int error)
{
	return error == -ELOOP || error == -EXDEV || error == -EMLINK || error == -ENOTSUP;
}

#define SPARE_DESCRIPTORS 256

int logroot_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return SPARE_DESCRIPTORS;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > INT_MAX)
		return INT_MAX;
	if (limit.rlim_cur <= 2 * SPARE_DESCRIPTORS)
		return (int)limit.rlim_cur / 2;
	return (int)limit.rlim_cur - SPARE_DESCRIPTORS;
}

/* ---- docker's links ----------------------------------------------------------------------------- */

static bool is_docker_id(const char *text, size_t len)
{
	if (len == 0 || len >= LOGROOT_DOCKER_ID_BYTES)
		return false;
	return strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz") >= len;
}

int logroot_read_docker_link(
    int dir_fd, const char *name, const char *docker_root, char ret_id[LOGROOT_DOCKER_ID_BYTES])
{
	char text[PATH_MAX], expected[2 * LOGROOT_DOCKER_ID_BYTES + sizeof "/-json.log"];
	size_t root_len = strlen(docker_root), id_len;
	ssize_t len = readlinkat(dir_fd, name, text, sizeof text - 1);
	const char *rest;

	if (len == -1)
		return -errno;
	text[len] = '\0';
	if (strncmp(text, docker_root, root_len) != 0 || text[root_len] != '/')
		return -EXDEV;
	rest = text + root_len + 1;
	id_len = strcspn(rest, "/");
	if (!is_docker_id(rest, id_len))
		return -EXDEV;
	(void)snprintf(expected, sizeof expected, "%.*s/%.*s-json.log", (int)id_len, rest, (int)id_len, rest);
	if (strcmp(rest, expected) != 0)
		return -EXDEV;
	memcpy(ret_id, rest, id_len);
	ret_id[id_len] = '\0';
	return 0;
}

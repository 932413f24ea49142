/* Opening files in a tree that strangers write to.  The door of openat2.
 *
 * Nothing is opened by an absolute path and nothing through a symlink: directories are opened beneath the
 * descriptor of the root, files beneath the descriptor of their directory, and what was opened is looked at
 * before anyone reads from it. */
#ifndef DRAVE_COLLECTOR_LOGROOT_H
#define DRAVE_COLLECTOR_LOGROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct logroot {
	char *path; /* owned; absolute, without a final slash */
	int fd;     /* -1 while there is no such directory */
	uint64_t dev, ino;
};

/* The root is not opened yet: logroot_check does it. */
void logroot_init(struct logroot *root, const char *path);
void logroot_release(struct logroot *root);

/* Opens the root, again if another directory stands at its path by now. Returns 1 if it was opened, 0 if it
 * is the one held already, -errno if there is none (then fd is -1 and what was held is let go). */
int logroot_check(struct logroot *root);

/* A directory beneath the root, "" for the root itself: a descriptor for reading it, or -errno (-ELOOP or
 * -EXDEV: a symlink stands in the way). */
int logroot_open_dir(const struct logroot *root, const char *path);

struct logroot_dir {
	uint64_t dev, ino;
	int64_t modified_ns; /* wall clock */
};
/* What an open directory is; and the same for one beneath the root by its path, without opening it. 0 or
 * -errno. */
int logroot_look_at_dir(int dir_fd, struct logroot_dir *ret_dir);
int logroot_peek(const struct logroot *root, const char *path, struct logroot_dir *ret_dir);

/* The identity that a name in an open directory stands for, without opening or following it. 0 or -errno. */
int logroot_identify(int dir_fd, const char *name, uint64_t *ret_dev, uint64_t *ret_ino);

struct logroot_file {
	int fd; /* the caller closes it */
	uint64_t dev, ino;
	int64_t birth_ns; /* 0 where the file system has none */
	uint64_t size;
};
/* Opens `name` in an open directory for reading, if it is an ordinary file there with one name. 0 or -errno;
 * what is refused on principle is -ELOOP (a symlink), -EXDEV (of another file system), -EMLINK (has other
 * names: a hard link), -ENOTSUP (FIFO, device, directory); -ENOENT also if it lost its name meanwhile. */
int logroot_open_file(int dir_fd, const char *name, struct logroot_file *ret_file);
/* Is this an error that says "refused on principle"? */
bool logroot_is_refusal(int error);

/* Each file that is followed takes a descriptor: raises the limit as far as it goes.  Returns the number from
 * which on descriptors are left to everything that is no log file (connections, the checkpoint, directories
 * being listed). */
int logroot_raise_descriptor_limit(void);

/* docker's link in a container's directory: `<docker_root>/<id>/<id>-json.log`. Writes <id>; -EXDEV if it
 * points anywhere else. */
#define LOGROOT_DOCKER_ID_BYTES 65
int logroot_read_docker_link(
    int dir_fd, const char *name, const char *docker_root, char ret_id[LOGROOT_DOCKER_ID_BYTES]);

/* Tests: as if the kernel had no openat2. */
void logroot_forget_openat2(bool forget);

#endif

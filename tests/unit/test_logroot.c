#include "config.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "collector/logroot.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

struct tree {
	struct scratch scratch;
	struct logroot root;
	int dir_fd; /* of root/pod/box */
};

static void tree_init(struct tree *tree)
{
	scratch_init(&tree->scratch);
	scratch_dir(&tree->scratch, "root/pod/box");
	scratch_dir(&tree->scratch, "outside");
	scratch_append(&tree->scratch, "outside/secret", "secret\n");
	logroot_init(&tree->root, scratch_path(&tree->scratch, "root/"));
	ck_assert_int_eq(logroot_check(&tree->root), 1);
	tree->dir_fd = logroot_open_dir(&tree->root, "pod/box");
	ck_assert_int_ge(tree->dir_fd, 0);
}

static void tree_release(struct tree *tree)
{
	ck_assert_int_eq(close(tree->dir_fd), 0);
	logroot_release(&tree->root);
	scratch_release(&tree->scratch);
	logroot_forget_openat2(false);
}

static void link_to(const struct tree *tree, const char *target, const char *path)
{
	ck_assert_int_eq(symlink(target, scratch_path(&tree->scratch, path)), 0);
}

START_TEST(ordinary_file_opens_with_its_identity)
{
	struct tree tree;
	struct logroot_file file;
	struct stat stat;

	tree_init(&tree);
	scratch_append(&tree.scratch, "root/pod/box/0.log", "hello\n");
	ck_assert_int_eq(logroot_open_file(tree.dir_fd, "0.log", &file), 0);
	ck_assert_int_eq(fstat(file.fd, &stat), 0);
	ck_assert_uint_eq(file.ino, stat.st_ino);
	ck_assert_uint_eq(file.dev, stat.st_dev);
	ck_assert_uint_eq(file.size, 6);
	ck_assert_int_eq(fcntl(file.fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(close(file.fd), 0);
	ck_assert_int_eq(logroot_open_file(tree.dir_fd, "1.log", &file), -ENOENT);
	tree_release(&tree);
}
END_TEST

static void refuse_all_traps(void)
{
	struct tree tree;
	struct logroot_file file;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock;

	tree_init(&tree);
	link_to(&tree, "../../../outside/secret", "root/pod/box/link");
	link_to(&tree, "0.log", "root/pod/box/near");
	scratch_append(&tree.scratch, "root/pod/box/0.log", "hello\n");
	ck_assert_int_eq(mkfifo(scratch_path(&tree.scratch, "root/pod/box/fifo"), 0600), 0);
	ck_assert_int_eq(link(scratch_path(&tree.scratch, "outside/secret"),
			     scratch_path(&tree.scratch, "root/pod/box/hard")),
	    0);
	scratch_dir(&tree.scratch, "root/pod/box/dir");
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/root/pod/box/sock", tree.scratch.path);
	ck_assert_int_eq(bind(sock, (const struct sockaddr *)&address, sizeof address), 0);

	ck_assert_int_eq(logroot_open_file(tree.dir_fd, "link", &file), -ELOOP);
	ck_assert_int_eq(logroot_open_file(tree.dir_fd, "near", &file), -ELOOP);
	ck_assert_int_eq(logroot_open_file(tree.dir_fd, "fifo", &file), -ENOTSUP);
	ck_assert_int_eq(logroot_open_file(tree.dir_fd, "hard", &file), -EMLINK);
	ck_assert_int_eq(logroot_open_file(tree.dir_fd, "dir", &file), -ENOTSUP);
	ck_assert_int_eq(logroot_open_file(tree.dir_fd, "sock", &file), -ENOTSUP);
	ck_assert_int_eq(logroot_open_file(tree.dir_fd, "../box/0.log", &file), -EXDEV);
	ck_assert(logroot_is_refusal(-ELOOP) && logroot_is_refusal(-EXDEV) && logroot_is_refusal(-EMLINK));
	ck_assert(
	    logroot_is_refusal(-ENOTSUP) && !logroot_is_refusal(-ENOENT) && !logroot_is_refusal(-EMFILE));
	ck_assert_int_eq(close(sock), 0);
	tree_release(&tree);
}

START_TEST(symlinks_fifos_hard_links_and_sockets_are_refused)
{
	refuse_all_traps();
}
END_TEST

START_TEST(traps_are_refused_without_openat2_too)
{
	logroot_forget_openat2(true);
	refuse_all_traps();
}
END_TEST

static void refuse_links_on_the_way(void)
{
	struct tree tree;
	int fd;

	tree_init(&tree);
	link_to(&tree, "../outside", "root/evil");
	link_to(&tree, "box", "root/pod/alias");
	ck_assert_int_lt(logroot_open_dir(&tree.root, "evil"), 0);
	ck_assert_int_lt(logroot_open_dir(&tree.root, "evil/x"), 0);
	ck_assert_int_lt(logroot_open_dir(&tree.root, "pod/alias"), 0);
	ck_assert_int_lt(logroot_open_dir(&tree.root, "../outside"), 0);
	ck_assert_int_eq(logroot_open_dir(&tree.root, "pod/none"), -ENOENT);
	fd = logroot_open_dir(&tree.root, "");
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	tree_release(&tree);
}

START_TEST(a_linked_directory_on_the_way_is_refused)
{
	refuse_links_on_the_way();
}
END_TEST

START_TEST(a_linked_directory_is_refused_without_openat2_too)
{
	logroot_forget_openat2(true);
	refuse_links_on_the_way();
}
END_TEST

/* ---- traps that are laid between two looks ---- */

#define RACE_ROUNDS 5000

/* Exchanges two names under the tree as fast as it can. */
struct swapper {
	char one[PATH_MAX], other[PATH_MAX];
	unsigned swap_count;
	atomic_bool must_end;
};

static void *swap(void *arg)
{
	struct swapper *swapper = arg;

	while (!swapper->must_end)
		swapper->swap_count +=
		    renameat2(AT_FDCWD, swapper->one, AT_FDCWD, swapper->other, RENAME_EXCHANGE) == 0;
	return NULL;
}

/* Opens what is a log file or a directory at one moment and a link out of the root at the next, until both were met often. */
static void race(const char *one, const char *other)
{
	unsigned opened = 0, refused = 0;
	struct swapper swapper = {.swap_count = 0};
	struct stat secret;
	struct tree tree;
	pthread_t thread;

	tree_init(&tree);
	scratch_append(&tree.scratch, "root/pod/box/0.log", "log\n");
	scratch_append(&tree.scratch, "outside/0.log", "secret\n");
	link_to(&tree, "../../../outside/0.log", "root/pod/box/trap");
	link_to(&tree, "../../outside", "root/pod/trap");
	ck_assert_int_eq(stat(scratch_path(&tree.scratch, "outside/0.log"), &secret), 0);
	(void)snprintf(swapper.one, sizeof swapper.one, "%s/%s", tree.scratch.path, one);
	(void)snprintf(swapper.other, sizeof swapper.other, "%s/%s", tree.scratch.path, other);
	ck_assert_int_eq(pthread_create(&thread, NULL, swap, &swapper), 0);
	for (unsigned round = 0; round < RACE_ROUNDS || opened < 10 || refused < 10; round++) {
		int dir_fd = logroot_open_dir(&tree.root, "pod/box");
		struct logroot_file file;

		if (dir_fd >= 0 && logroot_open_file(dir_fd, "0.log", &file) == 0) {
			opened++;
			ck_assert_uint_ne(file.ino, secret.st_ino);
			ck_assert_int_eq(close(file.fd), 0);
		} else {
			refused++;
		}
		if (dir_fd >= 0)
			ck_assert_int_eq(close(dir_fd), 0);
	}
	swapper.must_end = true;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_gt(swapper.swap_count, 0);
	tree_release(&tree);
}

static void race_with_both(void)
{
	race("root/pod/box/0.log", "root/pod/box/trap");
	race("root/pod/box", "root/pod/trap");
}

START_TEST(a_link_that_is_swapped_in_opens_nothing_outside)
{
	race_with_both();
}
END_TEST

START_TEST(a_link_that_is_swapped_in_opens_nothing_without_openat2_either)
{
	logroot_forget_openat2(true);
	race_with_both();
}
END_TEST

START_TEST(a_root_that_vanishes_is_opened_again_when_it_comes_back)
{
	struct tree tree;

	tree_init(&tree);
	ck_assert_int_eq(logroot_check(&tree.root), 0);
	scratch_rename(&tree.scratch, "root", "away");
	ck_assert_int_eq(logroot_check(&tree.root), -ENOENT);
	ck_assert_int_eq(tree.root.fd, -1);
	ck_assert_int_eq(logroot_open_dir(&tree.root, "pod"), -ENOENT);
	scratch_dir(&tree.scratch, "root");
	ck_assert_int_eq(logroot_check(&tree.root), 1);
	ck_assert_int_eq(logroot_check(&tree.root), 0);
	tree_release(&tree);
}
END_TEST

START_TEST(peeking_tells_what_opening_would)
{
	struct tree tree;
	struct logroot_dir peeked, opened;

	tree_init(&tree);
	ck_assert_int_eq(logroot_peek(&tree.root, "pod/box", &peeked), 0);
	ck_assert_int_eq(logroot_look_at_dir(tree.dir_fd, &opened), 0);
	ck_assert_uint_eq(peeked.ino, opened.ino);
	ck_assert_uint_eq(peeked.dev, opened.dev);
	ck_assert_int_eq(peeked.modified_ns, opened.modified_ns);
	scratch_append(&tree.scratch, "root/pod/box/0.log", "");
	ck_assert_int_eq(logroot_peek(&tree.root, "pod/box/0.log", &peeked), -ENOTDIR);
	ck_assert_int_eq(logroot_peek(&tree.root, "pod/none", &peeked), -ENOENT);
	tree_release(&tree);
}
END_TEST

START_TEST(only_dockers_own_links_are_read)
{
	static const struct {
		const char *target;
		int result;
	} links[] = {
	    {"/docker/abc123/abc123-json.log", 0},
	    {"/docker/abc123/abc124-json.log", -EXDEV},
	    {"/docker/abc123/abc123-json.log.1", -EXDEV},
	    {"/docker/abc123/../abc123/abc123-json.log", -EXDEV},
	    {"/docker/../etc/shadow", -EXDEV},
	    {"/docker/..", -EXDEV},
	    {"/docker//-json.log", -EXDEV},
	    {"/docker", -EXDEV},
	    {"/dockers/abc123/abc123-json.log", -EXDEV},
	    {"docker/abc123/abc123-json.log", -EXDEV},
	};
	struct tree tree;
	char id[LOGROOT_DOCKER_ID_BYTES], name[8];

	tree_init(&tree);
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
		(void)snprintf(name, sizeof name, "%zu", i);
		ck_assert_int_eq(symlinkat(links[i].target, tree.dir_fd, name), 0);
		ck_assert_int_eq(logroot_read_docker_link(tree.dir_fd, name, "/docker", id), links[i].result);
	}
	ck_assert_int_eq(logroot_read_docker_link(tree.dir_fd, "0", "/docker", id), 0);
	ck_assert_str_eq(id, "abc123");
	scratch_append(&tree.scratch, "root/pod/box/plain", "");
	ck_assert_int_eq(logroot_read_docker_link(tree.dir_fd, "plain", "/docker", id), -EINVAL);
	tree_release(&tree);
}
END_TEST

UNIT_MAIN("logroot", ordinary_file_opens_with_its_identity, symlinks_fifos_hard_links_and_sockets_are_refused,
    traps_are_refused_without_openat2_too, a_linked_directory_on_the_way_is_refused,
    a_linked_directory_is_refused_without_openat2_too, a_link_that_is_swapped_in_opens_nothing_outside,
    a_link_that_is_swapped_in_opens_nothing_without_openat2_either,
    a_root_that_vanishes_is_opened_again_when_it_comes_back, peeking_tells_what_opening_would,
    only_dockers_own_links_are_read)

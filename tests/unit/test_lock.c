#include "config.h"
#include "collector/lock.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static struct lock taken(const char *dir)
{
	struct lock lock = {-1};
	struct err err;
	bool held = false;

	ck_assert_int_eq(lock_try(&lock, dir, &held, &err), 0);
	ck_assert(held);
	ck_assert_int_ge(lock.fd, 0);
	return lock;
}

static void assert_taken_by_another(const char *dir)
{
	struct lock lock = {-1};
	struct err err;
	bool held = true;

	ck_assert_int_eq(lock_try(&lock, dir, &held, &err), 0);
	ck_assert(!held);
	ck_assert_int_eq(lock.fd, -1);
}

START_TEST(first_one_gets_it_and_the_next_one_waits)
{
	struct scratch scratch;
	struct lock lock;

	scratch_init(&scratch);
	lock = taken(scratch.path);
	assert_taken_by_another(scratch.path);
	lock_release(&lock);
	ck_assert_int_eq(lock.fd, -1);
	lock = taken(scratch.path);
	lock_release(&lock);
	lock_release(&lock);
	scratch_release(&scratch);
}
END_TEST

START_TEST(a_killed_holder_lets_go)
{
	struct scratch scratch;
	struct lock lock;
	int ready[2];
	pid_t child;
	char byte;

	scratch_init(&scratch);
	ck_assert_int_eq(pipe(ready), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		lock = taken(scratch.path);
		ck_assert_int_eq(write(ready[1], "x", 1), 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	assert_taken_by_another(scratch.path);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	lock = taken(scratch.path);
	lock_release(&lock);
	ck_assert_int_eq(close(ready[0]), 0);
	ck_assert_int_eq(close(ready[1]), 0);
	scratch_release(&scratch);
}
END_TEST

START_TEST(missing_directory_is_made_for_us_alone)
{
	struct scratch scratch;
	struct stat st;
	struct lock lock;

	scratch_init(&scratch);
	lock = taken(scratch_path(&scratch, "var/lib/drave"));
	ck_assert_int_eq(stat(scratch_path(&scratch, "var/lib/drave"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(scratch_path(&scratch, "var/lib/drave/lock"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	lock_release(&lock);
	scratch_release(&scratch);
}
END_TEST

START_TEST(descriptor_is_not_inherited_by_other_programs)
{
	struct scratch scratch;
	struct lock lock;

	scratch_init(&scratch);
	lock = taken(scratch.path);
	ck_assert_int_eq(fcntl(lock.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	lock_release(&lock);
	scratch_release(&scratch);
}
END_TEST

static void assert_cannot_be_tried(const char *dir, int status)
{
	struct lock lock = {-1};
	struct err err = {0};
	bool held = false;

	ck_assert_int_eq(lock_try(&lock, dir, &held, &err), status);
	ck_assert(!held);
	ck_assert_int_eq(lock.fd, -1);
	ck_assert_ptr_nonnull(strstr(err.text, dir));
}

START_TEST(a_file_or_a_link_in_the_way_is_told)
{
	struct scratch scratch;

	scratch_init(&scratch);
	scratch_append(&scratch, "file", "");
	assert_cannot_be_tried(scratch_path(&scratch, "file"), -ENOTDIR);
	scratch_dir(&scratch, "state");
	ck_assert_int_eq(symlink("../file", scratch_path(&scratch, "state/lock")), 0);
	assert_cannot_be_tried(scratch_path(&scratch, "state"), -ELOOP);
	scratch_release(&scratch);
}
END_TEST

START_TEST(a_directory_that_cannot_be_written_is_told)
{
	struct scratch scratch;
	int status;
	pid_t child;

	scratch_init(&scratch);
	scratch_dir(&scratch, "state");
	scratch_append(&scratch, "state/lock", "");
	ck_assert_int_eq(chmod(scratch_path(&scratch, "state/lock"), 0666), 0);
	ck_assert_int_eq(chmod(scratch_path(&scratch, "state"), 0555), 0);
	ck_assert_int_eq(chmod(scratch.path, 0755), 0);
	child = fork(); /* root may write everywhere, so another user tries */
	if (child == 0) {
		if (geteuid() == 0 && seteuid(65534) == -1)
			_exit(2);
		assert_cannot_be_tried(scratch_path(&scratch, "state"), -EACCES);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert_int_eq(chmod(scratch_path(&scratch, "state"), 0755), 0);
	scratch_release(&scratch);
}
END_TEST

START_TEST(a_lock_file_that_was_exchanged_does_not_admit_a_second_holder_to_the_old_one)
{
	struct scratch scratch;
	struct lock first, second;

	scratch_init(&scratch);
	first = taken(scratch.path);
	scratch_unlink(&scratch, "lock");
	second = taken(scratch.path); /* the name counts */
	lock_release(&first);
	assert_taken_by_another(scratch.path);
	lock_release(&second);
	scratch_release(&scratch);
}
END_TEST

UNIT_MAIN("lock", first_one_gets_it_and_the_next_one_waits, a_killed_holder_lets_go,
    missing_directory_is_made_for_us_alone, descriptor_is_not_inherited_by_other_programs,
    a_file_or_a_link_in_the_way_is_told, a_directory_that_cannot_be_written_is_told,
    a_lock_file_that_was_exchanged_does_not_admit_a_second_holder_to_the_old_one)

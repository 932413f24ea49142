#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/file.h"
#include "tests/unit/unit.h"

#ifdef DRAVE_FAULTS

START_TEST(only_the_named_reach_strikes)
{
	ck_assert(fault_setup("a.b:3", 1));
	for (int reach = 1; reach <= 6; reach++) {
		ck_assert_int_eq(FAULT("a.b"), reach == 3);
		ck_assert(!FAULT("a"));
	}
}
END_TEST

START_TEST(a_plus_means_this_reach_and_all_later)
{
	ck_assert(fault_setup("x:9,a.b:3+", 1));
	for (int reach = 1; reach <= 6; reach++)
		ck_assert_int_eq(FAULT("a.b"), reach >= 3);
}
END_TEST

START_TEST(chance_is_seeded)
{
	int strikes[2] = {0};

	for (int round = 0; round < 2; round++) {
		ck_assert(fault_setup("a:p0.25", 7));
		for (int reach = 0; reach < 4000; reach++)
			strikes[round] += FAULT("a");
	}
	ck_assert_int_eq(strikes[0], strikes[1]);
	ck_assert_int_gt(strikes[0], 850);
	ck_assert_int_lt(strikes[0], 1150);
}
END_TEST

START_TEST(kill_ends_the_process_at_that_reach)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		(void)fault_setup("a:2!kill", 1);
		(void)FAULT("a");
		(void)FAULT("a");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const char *const rows[] = {
	    "a", "a:", ":1", "a:0", "a:x", "a:1!", "a:1!die", "a:p2", "a:p", "a:1,b", ","};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(!fault_setup(rows[i], 1), "'%s' was taken", rows[i]);
	ck_assert(fault_setup("", 1));
}
END_TEST

START_TEST(each_step_of_a_replacement_can_fail)
{
	static const char *const rows[] = {
	    "file.write:1", "file.fsync:1", "file.rename:1", "file.fsync_directory:1"};
	char path[] = "/tmp/drave-fault-XXXXXX";
	struct err err;

	(void)close(mkstemp(path));
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ck_assert(fault_setup(rows[i], 1));
		ck_assert_int_eq(file_replace(path, "x", 1, &err), -EIO);
	}
	ck_assert_int_eq(file_replace(path, "x", 1, &err), 0);
	(void)unlink(path);
}
END_TEST

UNIT_MAIN("fault", only_the_named_reach_strikes, a_plus_means_this_reach_and_all_later, chance_is_seeded,
    kill_ends_the_process_at_that_reach, nonsense_is_refused, each_step_of_a_replacement_can_fail)

#else

START_TEST(ordinary_builds_have_no_fault_points)
{
	ck_assert(!FAULT("anything"));
}
END_TEST

UNIT_MAIN("fault", ordinary_builds_have_no_fault_points)

#endif

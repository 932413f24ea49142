/* What each unit test's main looks like: one suite, one case, the tests in order.
 *
 *   START_TEST(partial_line_waits_for_its_end) { ... } END_TEST
 *   UNIT_MAIN("cri", partial_line_waits_for_its_end, ...)
 */
#ifndef DRAVE_TESTS_UNIT_H
#define DRAVE_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

static int unit_run(const char *name, const TTest *const *tests, size_t test_count)
{
	Suite *suite = suite_create(name);
	TCase *cases = tcase_create(name);
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < test_count; i++)
		tcase_add_test(cases, tests[i]);
	tcase_set_timeout(cases, 60);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#define UNIT_MAIN(name, ...)                                                                                            \
	int main(void)                                                                                                  \
	{                                                                                                               \
		const TTest *const tests[] = {__VA_ARGS__};                                                             \
		return unit_run((name), tests, sizeof tests / sizeof tests[0]);                                         \
	}

#endif

#include "config.h"

#include "collector/match.h"
#include "tests/unit/unit.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

/* The list of an option; its texts are not owned. */
static struct bind_list list_of(const char *const *items)
{
	struct bind_list list = {.items = (char **)(uintptr_t)items};

	while (items[list.count] != NULL)
		list.count++;
	return list;
}
#define LIST(...) list_of((const char *const[]){__VA_ARGS__, NULL})

static bool takes(struct bind_list list, const char *namespace_name, const char *pod, const char *container)
{
	for (size_t i = 0; i < list.count; i++)
		ck_assert_msg(match_check(list.items[i]) == NULL, "'%s': %s", list.items[i],
		    match_check(list.items[i]));
	return match_takes(&list, namespace_name, pod, container);
}

START_TEST(an_empty_list_takes_everything)
{
	struct bind_list none = {0};

	ck_assert(match_takes(&none, "ns", "pod", "app"));
	ck_assert(match_name(&none, &none, "ns"));
}
END_TEST

START_TEST(missing_parts_match_all)
{
	ck_assert(takes(LIST("prod"), "prod", "pod", "app"));
	ck_assert(!takes(LIST("prod"), "prod2", "pod", "app"));
	ck_assert(takes(LIST("prod/api-0"), "prod", "api-0", "app"));
	ck_assert(!takes(LIST("prod/api-0"), "prod", "api-1", "app"));
	ck_assert(takes(LIST("prod/api-0/app"), "prod", "api-0", "app"));
	ck_assert(!takes(LIST("prod/api-0/app"), "prod", "api-0", "sidecar"));
	ck_assert(takes(LIST("//app"), "any", "pod", "app"));
	ck_assert(!takes(LIST("//app"), "any", "pod", "sidecar"));
	ck_assert(takes(LIST("/api-*"), "any", "api-0", "app"));
	ck_assert(takes(LIST("prod/"), "prod", "api-0", "app"));
}
END_TEST

START_TEST(globs_stay_within_their_part)
{
	ck_assert(takes(LIST("*"), "prod", "pod", "app"));
	ck_assert(takes(LIST("prod-*"), "prod-eu", "pod", "app"));
	ck_assert(!takes(LIST("prod-*"), "prod", "pod", "app"));
	ck_assert(takes(LIST("prod*"), "prod", "pod", "app"));
	ck_assert(takes(LIST("*/api-?"), "prod", "api-0", "app"));
	ck_assert(!takes(LIST("*/api-?"), "prod", "api-10", "app"));
	ck_assert(takes(LIST("*/api-[0-4]"), "prod", "api-3", "app"));
	ck_assert(!takes(LIST("*/api-[!0-4]"), "prod", "api-3", "app"));
	ck_assert(takes(LIST("*/*.v2"), "prod", "api.v2", "app"));
	ck_assert(!takes(LIST("*app"), "prod", "pod", "app"));
}
END_TEST

START_TEST(the_last_pattern_that_fits_decides)
{
	struct bind_list list = LIST("prod-*", "!prod-test", "prod-test/api-*", "!*/*/istio-proxy");

	ck_assert(takes(list, "prod-eu", "pod", "app"));
	ck_assert(!takes(list, "prod-test", "pod", "app"));
	ck_assert(takes(list, "prod-test", "api-0", "app"));
	ck_assert(!takes(list, "prod-test", "api-0", "istio-proxy"));
	ck_assert(!takes(list, "prod-eu", "pod", "istio-proxy"));
	ck_assert(!takes(list, "dev", "pod", "app"));
}
END_TEST

START_TEST(a_first_exclusion_takes_the_rest)
{
	struct bind_list list = LIST("!kube-system", "!*/noisy-*");

	ck_assert(takes(list, "prod", "pod", "app"));
	ck_assert(!takes(list, "kube-system", "pod", "app"));
	ck_assert(!takes(list, "prod", "noisy-0", "app"));
}
END_TEST

START_TEST(exclusion_wins_over_inclusion)
{
	struct bind_list none = {0}, include = LIST("prod-*", "dev"), exclude = LIST("prod-test");

	ck_assert(match_name(&include, &none, "prod-eu"));
	ck_assert(match_name(&include, &none, "dev"));
	ck_assert(!match_name(&include, &none, "kube-system"));
	ck_assert(match_name(&include, &exclude, "prod-eu"));
	ck_assert(!match_name(&include, &exclude, "prod-test"));
	ck_assert(match_name(&none, &exclude, "kube-system"));
	ck_assert(!match_name(&none, &exclude, "prod-test"));
}
END_TEST

START_TEST(patterns_that_can_never_fit_are_refused)
{
	static const char *const patterns[] = {"", "!", "a/b/c/d", "Prod", "kube_system", "a b", "{a", "a\\*",
	    "a[", "a[b", "a[]", "a[!]", "a[b/c]", "a[[b]", "\xc3\xa4", "prod:api"};
	char long_pattern[300];

	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
		ck_assert_msg(match_check(patterns[i]) != NULL, "'%s' was taken", patterns[i]);
		ck_assert_msg(match_check_name(patterns[i]) != NULL, "'%s' was taken", patterns[i]);
	}
	memset(long_pattern, 'a', sizeof long_pattern);
	long_pattern[256] = '\0';
	ck_assert_ptr_nonnull(match_check(long_pattern));
	long_pattern[255] = '\0';
	ck_assert_ptr_null(match_check(long_pattern));
}
END_TEST

START_TEST(one_name_is_one_part)
{
	ck_assert_ptr_null(match_check_name("prod-*"));
	ck_assert_ptr_null(match_check_name("api-[0-9].[!a-c]?"));
	ck_assert_ptr_nonnull(match_check_name("prod/api"));
	ck_assert_ptr_nonnull(match_check_name("!prod"));
	ck_assert_ptr_null(match_check("!prod/api-*"));
}
END_TEST

START_TEST(many_stars_cost_little)
{
	char name[254];
	clock_t start = clock();

	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	ck_assert(!takes(
	    LIST("*", "!*a*a*a*a*a*a*a*a*a*a*a*a*a*", "*b*a*[a-b]*?*a*[!c]*a*?*a*d"), name, name, name));
	ck_assert_uint_lt((unsigned long)((clock() - start) / (CLOCKS_PER_SEC / 10)), 10);
}
END_TEST

UNIT_MAIN("match", an_empty_list_takes_everything, missing_parts_match_all, globs_stay_within_their_part,
    the_last_pattern_that_fits_decides, a_first_exclusion_takes_the_rest, exclusion_wins_over_inclusion,
    patterns_that_can_never_fit_are_refused, one_name_is_one_part, many_stars_cost_little)

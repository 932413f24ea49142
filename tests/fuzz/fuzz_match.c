/* Globs: the first line holds patterns, separated by commas; the second a name of three parts.
 *
 * Each pattern and its exclusion are each other's opposite, and the last one decides. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "collector/match.h"
#include "common/must.h"

#define PATTERNS_MAX 16

struct names {
	const char *namespace_name, *pod, *container;
};

static bool takes(char **patterns, size_t count, const struct names *names)
{
	struct bind_list list = {.items = patterns, .count = count};

	return match_takes(&list, names->namespace_name, names->pod, names->container);
}

/* pattern has no '!' before it. */
static void check_one(char *pattern, const struct names *names)
{
	char *opposite = xasprintf("!%s", pattern);
	struct bind_list one = {.items = &pattern, .count = 1}, none = {0};

	must(match_check(opposite) == NULL);
	must(takes(&pattern, 1, names) == !takes(&opposite, 1, names));
	if (match_check_name(pattern) == NULL) {
		must(match_name(&one, &none, names->namespace_name) == takes(&pattern, 1, names));
		must(match_name(&none, &one, names->namespace_name) == !takes(&pattern, 1, names));
		must(!match_name(&one, &one, names->namespace_name));
	}
	free(opposite);
}

static size_t split(char *text, char **ret_patterns)
{
	size_t count = 0;
	char *pattern;

	while (count < PATTERNS_MAX && (pattern = strsep(&text, ",")) != NULL)
		if (match_check(pattern) == NULL)
			ret_patterns[count++] = pattern;
	return count;
}

static const char *next_name(char **rest)
{
	const char *name = strsep(rest, "/");

	return name != NULL ? name : "";
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = xstrndup((const char *)bytes, len), *rest = text, *first = strsep(&rest, "\n");
	char *patterns[PATTERNS_MAX + 1];
	static char all[] = "*", nothing[] = "!*";
	size_t count = split(first, patterns);
	struct names names;

	names.namespace_name = next_name(&rest);
	names.pod = next_name(&rest);
	names.container = next_name(&rest);
	for (size_t i = 0; i < count; i++)
		if (patterns[i][0] != '!')
			check_one(patterns[i], &names);
	(void)takes(patterns, count, &names);
	patterns[count] = all;
	must(takes(patterns, count + 1, &names));
	patterns[count] = nothing;
	must(!takes(patterns, count + 1, &names));
	free(text);
	return 0;
}

/* Globs over namespace/pod/container.  Pure; the glob itself is fnmatch(3). */
#include "config.h"
#include "collector/match.h"

#include <fnmatch.h>
#include <string.h>

#define PART_BYTES 256

/* Copies the part of pattern up to the next slash; "*" where it is missing or empty. Returns what follows. */
static const char *next_part(const char *pattern, char part[PART_BYTES])
{
	size_t len = strcspn(pattern, "/");

	if (len == 0 || len >= PART_BYTES) {
		memcpy(part, "*", 2);
	} else {
		memcpy(part, pattern, len);
		part[len] = '\0';
	}
	return pattern + len + (pattern[len] == '/');
}

const char *match_check(const char *pattern)
{
	unsigned slashes = 0;

	if (*pattern == '!')
		pattern++;
	if (*pattern == '\0')
		return "a pattern is empty";
	for (const char *at = pattern; *at != '\0'; at++)
		slashes += *at == '/';
	if (slashes > 2)
		return "a pattern has at most three parts: namespace/pod/container";
	if (strlen(pattern) >= PART_BYTES)
		return "a pattern is longer than 255 bytes";
	return NULL;
}

static bool fits(const char *pattern, const char *namespace_name, const char *pod, const char *container)
{
	const char *const names[] = {namespace_name, pod, container};

	for (size_t i = 0; i < 3; i++) {
		char part[PART_BYTES];

		pattern = next_part(pattern, part);
		if (fnmatch(part, names[i], 0) != 0)
			return false;
	}
	return true;
}

bool match_takes(const struct bind_list *patterns, const char *namespace_name, const char *pod, const char *container)
{
	bool taken = patterns->count == 0 || patterns->items[0][0] == '!';

	for (size_t i = 0; i < patterns->count; i++) {
		const char *pattern = patterns->items[i];
		bool excludes = pattern[0] == '!';

		if (fits(pattern + excludes, namespace_name, pod, container))
			taken = !excludes;
	}
	return taken;
}

static bool any_fits(const struct bind_list *globs, const char *name)
{
	for (size_t i = 0; i < globs->count; i++)
		if (fnmatch(globs->items[i], name, 0) == 0)
			return true;
	return false;
}

bool match_name(const struct bind_list *include, const struct bind_list *exclude, const char *name)
{
	return (include->count == 0 || any_fits(include, name)) && !any_fits(exclude, name);
}

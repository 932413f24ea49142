/* Globs over namespace/pod/container.  Pure; the glob itself is fnmatch(3).
 *
 * Stands where the configuration is checked, and where a file is adopted: once for each output.  Owns
 * nothing.  Refuses patterns that could never fit a name of Kubernetes, since such a one is a slip that would
 * leave logs out in silence. */
#include "config.h"
#include "collector/match.h"

#include <fnmatch.h>
#include <string.h>

#define PART_BYTES 256

/* Copies the part of pattern up to the next slash; "*" where it is missing or empty.  Returns what follows.
 */
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

/* Sets ([a-z], [!a-z]) are closed, hold something, and end before the next part. */
static const char *check_sets(const char *pattern)
{
	for (const char *open = strchr(pattern, '['); open != NULL; open = strchr(open, '[')) {
		open += 1 + (open[1] == '!' || open[1] == '^');
		if (*open == ']')
			return "a set in brackets is empty";
		open += strcspn(open, "[]/");
		if (*open != ']')
			return "'[' without ']'";
	}
	return NULL;
}

static const char *check_glob(const char *pattern, unsigned max_parts)
{
	unsigned parts = 1;

	if (*pattern == '\0')
		return "a pattern is empty";
	if (strlen(pattern) >= PART_BYTES)
		return "a pattern is longer than 255 bytes";
	if (pattern[strspn(pattern, "abcdefghijklmnopqrstuvwxyz0123456789-.*?[]!^/")] != '\0')
		return "no name has such a character: patterns are made of a-z 0-9 - . * ? [a-z] [!a-z]";
	for (const char *at = pattern; *at != '\0'; at++)
		parts += *at == '/';
	if (parts > max_parts)
		return max_parts == 1 ? "a pattern for one name has no '/'"
				      : "a pattern has at most three parts: namespace/pod/container";
	return check_sets(pattern);
}

const char *match_check(const char *pattern)
{
	return check_glob(pattern + (pattern[0] == '!'), 3);
}

const char *match_check_name(const char *pattern)
{
	if (pattern[0] == '!')
		return "exclusions have a key of their own: exclude_...";
	return check_glob(pattern, 1);
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

bool match_takes(
    const struct bind_list *patterns, const char *namespace_name, const char *pod, const char *container)
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

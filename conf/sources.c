/* Sources.  Remembers names, and makes one number of what they stand for.
 *
 * Kubernetes changes a mounted ConfigMap or Secret by swapping a link in the path, so files are looked at
 * through links: another inode is another file.  What is not there counts too: it may come.
 *
 * Owns the names.  Reads no content, and decides nothing. */
#include "config.h"
#include "conf/sources.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/must.h"

#define SUFFIX    "_file"
#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

void sources_add(struct sources *sources, const char *pattern)
{
	sources->patterns = xrealloc(sources->patterns, (sources->count + 1) * sizeof sources->patterns[0]);
	sources->patterns[sources->count++] = xstrdup(pattern);
}

static bool names_file(const struct ini_setting *setting)
{
	size_t len = strlen(setting->key), suffix = sizeof SUFFIX - 1;

	return setting->value != NULL && setting->value[0] != '\0' && len > suffix &&
	       strcmp(setting->key + len - suffix, SUFFIX) == 0;
}

void sources_add_ini(struct sources *sources, const struct ini *ini)
{
	for (const struct ini_source *source = ini->sources; source != NULL; source = source->next)
		sources_add(sources, source->pattern);
	for (const struct ini_section *section = ini->sections; section != NULL; section = section->next)
		for (const struct ini_setting *setting = section->settings; setting != NULL;
		     setting = setting->next)
			if (names_file(setting))
				sources_add(sources, setting->value);
}

static void mix(uint64_t *hash, const void *bytes, size_t len)
{
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < len; i++)
		*hash = (*hash ^ byte[i]) * FNV_PRIME;
}

static void mix_number(uint64_t *hash, uint64_t number)
{
	mix(hash, &number, sizeof number);
}

static void mix_file(uint64_t *hash, const char *path)
{
	struct stat info = {.st_ino = 0};

	mix(hash, path, strlen(path) + 1);
	if (stat(path, &info) == -1)
		return;
	mix_number(hash, info.st_dev);
	mix_number(hash, info.st_ino);
	mix_number(hash, (uint64_t)info.st_size);
	mix_number(hash, (uint64_t)info.st_mtim.tv_sec);
	mix_number(hash, (uint64_t)info.st_mtim.tv_nsec);
	mix_number(hash, (uint64_t)info.st_ctim.tv_sec);
	mix_number(hash, (uint64_t)info.st_ctim.tv_nsec);
}

uint64_t sources_stamp(const struct sources *sources)
{
	uint64_t hash = FNV_START;

	for (size_t i = 0; i < sources->count; i++) {
		glob_t found = {0};

		/* A name that stands for no file comes back as it is. */
		if (glob(sources->patterns[i], GLOB_NOCHECK, NULL, &found) == 0)
			for (size_t j = 0; j < found.gl_pathc; j++)
				mix_file(&hash, found.gl_pathv[j]);
		globfree(&found);
	}
	return hash;
}

bool sources_equal(const struct sources *a, const struct sources *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->patterns[i], b->patterns[i]) != 0)
			return false;
	return true;
}

void sources_release(struct sources *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		free(sources->patterns[i]);
	free(sources->patterns);
	*sources = (struct sources){.count = 0};
}

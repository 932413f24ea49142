/* The main of fuzz targets in ordinary builds: runs the target over each seed.
 *
 *   fuzz_NAME              all files of $srcdir/tests/fuzz/seeds/NAME, and the empty input
 *   fuzz_NAME FILE...      these
 *
 * A target without seeds is an error: it would pass without having done anything. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/must.h"

#define SEED_BYTES (16 << 20)

static bool replay_file(const char *path)
{
	struct buf seed;
	struct err err;
	void *exact; /* a block of just this size, so that a read past the end is seen */
	bool is_read;

	buf_init(&seed, SEED_BYTES);
	is_read = file_read(path, &seed, &err) == 0;
	if (!is_read)
		fprintf(stderr, "%s\n", err.text);
	exact = xmalloc(seed.len);
	if (seed.len > 0)
		memcpy(exact, seed.data, seed.len);
	if (is_read)
		(void)LLVMFuzzerTestOneInput(exact, seed.len); /* 0 always */
	free(exact);
	buf_release(&seed);
	return is_read;
}

static int is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Returns how many seeds were run; -1 if one could not be. */
static int replay_folder(const char *folder)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, is_seed, alphasort);
	bool all_read = count >= 0;

	for (int i = 0; i < count; i++) {
		char *path = xasprintf("%s/%s", folder, entries[i]->d_name);

		all_read = replay_file(path) && all_read;
		free(path);
		free(entries[i]);
	}
	free(entries);
	return all_read ? count : -1;
}

/* "tests/fuzz/fuzz_ini" -> "<srcdir>/tests/fuzz/seeds/ini"; the caller frees. */
static char *seed_folder(const char *program)
{
	const char *name = strrchr(program, '/');
	const char *srcdir = getenv("srcdir");

	name = name == NULL ? program : name + 1;
	if (strncmp(name, "fuzz_", 5) == 0)
		name += 5;
	return xasprintf("%s/tests/fuzz/seeds/%s", srcdir != NULL ? srcdir : ".", name);
}

int main(int argc, char **argv)
{
	bool all_read = true;
	char *folder;
	int count;

	for (int i = 1; i < argc; i++)
		all_read = replay_file(argv[i]) && all_read;
	if (argc > 1)
		return all_read ? EXIT_SUCCESS : EXIT_FAILURE;
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0); /* 0 always */
	folder = seed_folder(argv[0]);
	count = replay_folder(folder);
	printf("%s: %d seeds\n", folder, count);
	free(folder);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Watcher.  The floor of the idle scenario: holds every file open, watches its directory, and looks at the
 * size of each every two seconds, as an agent must that trusts no hint.  It reads nothing and remembers
 * nothing.
 *
 *   watcher DIR SECONDS
 *
 * DIR is a tree of bench/gen.  Prints {"cpu_s":...,"rss_kb":...} of those seconds, the start left out. */
#include "config.h"

#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/must.h"

#define SWEEP_MS 2000

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static long resident_kb(void)
{
	char line[128];
	long kb = 0;
	FILE *file = fopen("/proc/self/status", "re");

	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return kb;
}

/* The files that containers/ links to, each with a watch on the directory that it lies in. */
static int *open_all(const char *dir, int inotify, size_t *ret_count)
{
	char *pattern = xasprintf("%s/containers/*.log", dir);
	glob_t found;
	int *files;

	if (glob(pattern, 0, NULL, &found) != 0) {
		fprintf(stderr, "watcher: no such files: %s\n", pattern);
		exit(1);
	}
	files = xcalloc(found.gl_pathc, sizeof *files);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char path[PATH_MAX];

		must(realpath(found.gl_pathv[i], path) != NULL);
		files[i] = open(path, O_RDONLY | O_CLOEXEC);
		must(files[i] != -1);
		must(inotify_add_watch(inotify, dirname(path), IN_CREATE | IN_MODIFY | IN_MOVE | IN_DELETE) !=
		     -1);
	}
	*ret_count = found.gl_pathc;
	globfree(&found);
	free(pattern);
	return files;
}

int main(int argc, char **argv)
{
	int inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct pollfd hints = {.fd = inotify, .events = POLLIN};
	size_t count;
	double start;
	int *files;

	if (argc != 3 || inotify == -1) {
		fputs("usage: watcher DIR SECONDS\n", stderr);
		return 64;
	}
	files = open_all(argv[1], inotify, &count);
	start = cpu_seconds();
	for (long left_ms = strtol(argv[2], NULL, 10) * 1000; left_ms > 0; left_ms -= SWEEP_MS) {
		must(poll(&hints, 1, SWEEP_MS) != -1);
		for (size_t i = 0; i < count; i++) {
			struct stat info;

			must(fstat(files[i], &info) == 0);
		}
	}
	printf("{\"cpu_s\":%.6f,\"rss_kb\":%ld}\n", cpu_seconds() - start, resident_kb());
	free(files);
	return 0;
}

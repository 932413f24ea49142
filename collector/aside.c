/* Aside: where damaged databases go.
 *
 * Used by checkpoint_db, which says when.  Owns nothing; the copies belong to whoever looks after the node.
 */
#include "config.h"
#include "collector/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"

#define COPIES_MAX  3
#define INFIX       ".damaged-"
#define SAME_SECOND 100

/* The file itself last: until then the next start finds the damage again. */
static const char *const endings[] = {"-wal", "-shm", ""};
#define ENDINGS (sizeof endings / sizeof endings[0])

/* The length of "checkpoint.db.damaged-20260131T123456Z" in this or in one of its -wal and -shm; 0 if it is
 * none of them. */
static size_t copy_len(const char *entry, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(entry, name, len) != 0 || strncmp(entry + len, INFIX, strlen(INFIX)) != 0)
		return 0;
	len += strlen(INFIX);
	return len + strcspn(entry + len, "-");
}

/* How many copies there are, and the name of the oldest.  In the order of names the files of one copy follow
 * each other. */
static unsigned count_copies(int dir_fd, const char *name, char oldest[NAME_MAX + 1])
{
	char last[NAME_MAX + 1] = "";
	struct dirent **entries = NULL;
	int entry_count = scandirat(dir_fd, ".", &entries, NULL, alphasort);
	unsigned count = 0;

	for (int i = 0; i < entry_count; i++) {
		size_t len = copy_len(entries[i]->d_name, name);

		if (len != 0 && (strncmp(entries[i]->d_name, last, len) != 0 || last[len] != '\0')) {
			snprintf(last, sizeof last, "%.*s", (int)len, entries[i]->d_name);
			if (count++ == 0)
				snprintf(oldest, NAME_MAX + 1, "%s", last);
		}
		free(entries[i]);
	}
	free(entries);
	return count;
}

bool aside_has_copy(int dir_fd, const char *name)
{
	char oldest[NAME_MAX + 1];

	return count_copies(dir_fd, name, oldest) > 0;
}

static void remove_oldest(int dir_fd, const char *name)
{
	char oldest[NAME_MAX + 1], path[NAME_MAX + 8];

	if (count_copies(dir_fd, name, oldest) <= COPIES_MAX)
		return;
	for (size_t i = 0; i < ENDINGS; i++) {
		snprintf(path, sizeof path, "%s%s", oldest, endings[i]);
		(void)unlinkat(
		    dir_fd, path, 0); /* mostly there is none; what cannot go now goes the next time */
	}
}

static bool is_taken(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* By the second, and a number behind it as long as there is such a copy already. */
static void name_copy(int dir_fd, const char *name, char copy[ASIDE_NAME_BYTES])
{
	char time[CLOCK_TEXT_BYTES];

	clock_format_ns(time, clock_wall_ns()); /* "2026-01-31T12:34:56.123456789Z" */
	for (unsigned i = 0; i < SAME_SECOND; i++) {
		snprintf(copy, ASIDE_NAME_BYTES, "%.24s" INFIX "%.4s%.2s%.5s%.2s%.2sZ", name, time, time + 5,
		    time + 8, time + 14, time + 17);
		if (i > 0)
			snprintf(copy + strlen(copy), ASIDE_NAME_BYTES - strlen(copy), "%02u", i);
		if (!is_taken(dir_fd, copy))
			return;
	}
}

int aside_move(int dir_fd, const char *name, char ret_copy[ASIDE_NAME_BYTES])
{
	char copy[ASIDE_NAME_BYTES];
	bool any = false;

	name_copy(dir_fd, name, copy);
	for (size_t i = 0; i < ENDINGS; i++) {
		char from[NAME_MAX + 1], to[ASIDE_NAME_BYTES + 8];

		snprintf(from, sizeof from, "%s%s", name, endings[i]);
		snprintf(to, sizeof to, "%s%s", copy, endings[i]);
		if (FAULT("checkpoint.aside"))
			return -EIO;
		if (renameat(dir_fd, from, dir_fd, to) == 0)
			any = true;
		else if (errno != ENOENT)
			return -errno;
	}
	remove_oldest(dir_fd, name);
	if (fsync(dir_fd) == -1)
		return -errno;
	snprintf(ret_copy, ASIDE_NAME_BYTES, "%s", any ? copy : "");
	return 0;
}

/* The files that a configuration came from, and how they were when it was read: so it can be asked later
 * whether it has to be read again.  Asking costs a stat() for each file. */
#ifndef DRAVE_CONF_SOURCES_H
#define DRAVE_CONF_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/ini.h"

struct sources {
	char **patterns; /* names and patterns of files; owned */
	size_t count;
	uint64_t stamp; /* of what they named when they were read */
};

/* Adds a file, or a pattern as `include` has it; copies it. */
void sources_add(struct sources *sources, const char *pattern);
/* Adds what the ini was read from, and the files that its *_file keys name. */
void sources_add_ini(struct sources *sources, const struct ini *ini);
/* Which files there are now, each by device, inode, size and times: the same number means that nothing was
 * changed, or swapped by a link on the way to it. */
uint64_t sources_stamp(const struct sources *sources);
/* The same files and patterns, in the same order? */
bool sources_equal(const struct sources *a, const struct sources *b);
/* Leaves it empty. */
void sources_release(struct sources *sources);

#endif

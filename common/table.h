/* Hash tables and lists: the door of uthash and utlist.  A table or list that cannot grow is a bug, so it aborts. */
#ifndef DRAVE_COMMON_TABLE_H
#define DRAVE_COMMON_TABLE_H

#include "common/must.h"

#define HASH_NONFATAL_OOM 0
#define uthash_fatal(message) must(!(message))
#ifdef __clang__ /* which does not read the "fall through" comments in these macros; gcc does, in every other build */
#pragma clang diagnostic ignored "-Wimplicit-fallthrough"
#endif
#include <uthash.h>
#include <utlist.h>

#endif

/* A damaged database is moved aside under a name that tells the time: evidence, and a sign for the next start
 * that rows were lost.
 *
 *   NAME, NAME-wal, NAME-shm  ->  NAME.damaged-20260131T123456Z, and so on */
#ifndef DRAVE_COLLECTOR_ASIDE_H
#define DRAVE_COLLECTOR_ASIDE_H

#include <stdbool.h>

#define ASIDE_NAME_BYTES 64

/* Moves what there is of it and makes that durable.  ret_copy gets the new name; "" if there was nothing.  At
 * most three copies are kept, the oldest goes.  -errno on failure; then part of it may have moved, but the
 * file itself goes last.  Nothing may have it open. */
int aside_move(int dir_fd, const char *name, char ret_copy[ASIDE_NAME_BYTES]);
/* Does any copy lie there? */
bool aside_has_copy(int dir_fd, const char *name);

#endif

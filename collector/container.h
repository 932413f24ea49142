/* The containers whose logs are followed, and in which order the files of one are read. */
#ifndef DRAVE_COLLECTOR_CONTAINER_H
#define DRAVE_COLLECTOR_CONTAINER_H

#include "collector/tail.h"

/* The container of this pod directory (a name that podpath_parse_pod takes) in the table, made if it is not
 * there. node is borrowed. */
struct container *container_get(
    struct container **table, const char *pod_directory, const char *name, const char *node);
/* Takes it out of the table and frees it, if no tail of it is left. */
void container_release(struct container **table, struct container *container);

/* Puts a tail at its place in the reading order. */
void container_insert(struct container *container, struct tail *tail);
/* Its name is another one: puts it where it belongs now, if that is elsewhere. */
void container_reorder(struct container *container, struct tail *tail);
void container_remove(struct container *container, struct tail *tail);

#endif

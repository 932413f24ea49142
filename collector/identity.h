/* Which row of the checkpoint a file is: tail->segment. */
#ifndef DRAVE_COLLECTOR_IDENTITY_H
#define DRAVE_COLLECTOR_IDENTITY_H

#include <stdbool.h>

#include "collector/checkpoint.h"
#include "collector/tail.h"

/* A compressed file of this run of the container: may it be one that is to be read on? */
bool identity_may_resume(
    struct checkpoint *checkpoint, const struct container *container, unsigned restart, bool is_first_look);
/* Is this compressed file to be read?  Its head is known, plain and newer files stand in their list. */
bool identity_resumes(struct checkpoint *checkpoint, struct tail *tail, bool is_first_look);
/* The file's row, a new one if it is not known. */
struct segment *identity_claim(struct checkpoint *checkpoint, struct tail *tail);
/* The file's head has grown, its first line is whole, or it has another name. */
void identity_update(struct checkpoint *checkpoint, const struct tail *tail);
/* Nobody reads the file any more.  If it is gone its row goes, too. */
void identity_release(struct checkpoint *checkpoint, struct tail *tail);

#endif

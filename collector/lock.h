/* One collector per node: a lock on the state directory (flock on state_dir/lock, close-on-exec).  The kernel
 * lets go of it when the process ends, however it ends. */
#ifndef DRAVE_COLLECTOR_LOCK_H
#define DRAVE_COLLECTOR_LOCK_H

#include <stdbool.h>

#include "common/err.h"

struct lock {
	int fd; /* -1: not held */
};

/* Makes the directory if needed (0700).  *ret_held = false if another process has it; call again to try once
 * more. -errno when it cannot be tried (read-only, not permitted): the operator's mistake. */
int lock_try(struct lock *lock, const char *state_dir, bool *ret_held, struct err *err);
void lock_release(struct lock *lock);

#endif

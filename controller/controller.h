/* Builds the controller's parts and connects them; signals, standing by, leading, stopping.
 *
 *   SYNCING -> STANDBY (not leading) -> LEADING -> STOPPING (TERM: finish what is under way, give the lease back) -> CLOSED */
#ifndef DRAVE_CONTROLLER_CONTROLLER_H
#define DRAVE_CONTROLLER_CONTROLLER_H

#include "controller/controller_conf.h"

/* Runs until TERM, INT (exit 0) or the lease is lost (exit 75, a supervisor starts it anew); takes conf. Returns the exit code. */
int controller_run(struct controller_conf *conf);

#endif

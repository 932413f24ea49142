/* Builds the controller's parts and connects them; signals, standing by, leading, stopping.
 *
 *   SYNCING -> STANDBY (not leading) -> LEADING -> STOPPING (TERM: finish what is under way, give the lease back) -> CLOSED */
#ifndef DRAVE_CONTROLLER_CONTROLLER_H
#define DRAVE_CONTROLLER_CONTROLLER_H

#include "controller/controller_conf.h"

struct controller_args {
	const char *conf_path;        /* read again by SIGHUP */
	bool may_be_missing;          /* it is only the default one */
	const char *const *overrides; /* NULL-terminated */
};

/* Runs until TERM, INT (exit 0) or the lease is lost (exit 75, a supervisor starts it anew); takes conf. Returns the exit code (sysexits.h). */
int controller_run(const struct controller_args *args, struct controller_conf *conf);

#endif

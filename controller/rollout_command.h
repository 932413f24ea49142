/* drave-controller rollout status | history | undo | restart NAME: what kubectl refuses for custom kinds, with the user's own kubeconfig. */
#ifndef DRAVE_CONTROLLER_ROLLOUT_COMMAND_H
#define DRAVE_CONTROLLER_ROLLOUT_COMMAND_H

#include "controller/controller_conf.h"

/* argv as after "rollout": ACTION NAME [--namespace N] [--to-revision N] [--revision N] [--timeout D] [--watch=false] ...  Returns the exit code. */
int rollout_command_run(const struct controller_conf *conf, int argc, char **argv);

#endif

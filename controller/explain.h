/* --explain NODE: each rule and its result for that node and each set, from a live cluster or from files. */
#ifndef DRAVE_CONTROLLER_EXPLAIN_H
#define DRAVE_CONTROLLER_EXPLAIN_H

#include "controller/controller_conf.h"

/* files: paths of JSON files (objects or lists: nodes, sets, pods; as `kubectl get -o json` prints them), NULL-terminated; none: the cluster.  Prints to standard
 * output; returns the exit code (0; 65 for unreadable objects; 69 no server; 66 no such node or file). */
int explain_run(const struct controller_conf *conf, const char *node_name, const char *const *files);

#endif

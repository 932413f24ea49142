/* A pod on each node that should have one, and none elsewhere (rules L-1 to L-13).  Pure. */
#ifndef DRAVE_CONTROLLER_CORE_LOOP_H
#define DRAVE_CONTROLLER_CORE_LOOP_H

#include "controller/node_pods.h"

/* Adds CREATE_POD and DELETE_POD actions (each at most DECISION_BURST), notes, and when to look again. */
void core_loop(const struct view *view, const struct node_table *table, struct decision *decision);

#endif

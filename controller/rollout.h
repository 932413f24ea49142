/* Old pods make room for new ones under a budget (rules, 1.13).  Pure. */
#ifndef DRAVE_CONTROLLER_ROLLOUT_H
#define DRAVE_CONTROLLER_ROLLOUT_H

#include "controller/node_pods.h"

struct rollout_budget {
	int64_t max_surge, max_unavailable; /* numbers of nodes (TestGetUnavailableNumbers) */
	int64_t desired;
};
struct rollout_budget rollout_budget(const struct view *view, const struct node_table *table);
/* Adds CREATE_POD and DELETE_POD actions; nothing with ON_DELETE. */
void rollout_decide(const struct view *view, const struct node_table *table, struct decision *decision);

#endif

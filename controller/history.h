/* Which revision is the set's template of now, and what of the history must change for it (rules H-1 to H-9).  Pure. */
#ifndef DRAVE_CONTROLLER_HISTORY_H
#define DRAVE_CONTROLLER_HISTORY_H

#include "controller/decision.h"

/* Fills decision->hash and adds the history's actions; pods as claimed (also terminal and terminating ones). */
void history_decide(const struct view *view, const struct revision *const *revisions, size_t revision_count, const struct pod *const *pods,
	size_t pod_count, struct decision *decision);
/* H-8: what lies beyond the limit and is neither current nor carried by a live pod, oldest first. */
void history_clean(const struct view *view, const struct revision *const *revisions, size_t revision_count, const struct pod *const *pods,
	size_t pod_count, struct decision *decision);

#endif

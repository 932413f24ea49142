/* One sync of one set, as a pure function: (set, nodes, pods, revisions, clock, back-off) -> actions, events, when to look again.  Pure.
 *
 * decide() is the whole of §1.15's order: history, claims, core loop, and the rolling update if the core loop wants nothing.  The pieces are open to the
 * tests that hold them to upstream's, one by one. */
#ifndef DRAVE_CONTROLLER_DECIDE_H
#define DRAVE_CONTROLLER_DECIDE_H

#include "controller/decision.h"

void decide(const struct view *view, struct decision *ret_decision);

/* The counters as they are now (S-1 to S-7), the conditions derived from them and from the status before; hash: what counts as updated.
 * raise_generation: this sync got as far as reconciling (S-6). */
void decide_status(const struct view *view, const char *hash, bool raise_generation, struct set_status *ret_status);

#endif

/* Which pods and revisions are a set's: kept, adopted, released (rules K-1 to K-6).  Pure. */
#ifndef DRAVE_CONTROLLER_CLAIM_H
#define DRAVE_CONTROLLER_CLAIM_H

#include "controller/decision.h"

/* The pods that are ours after this sync (kept and adopted), in no order; adds ADOPT and RELEASE actions.  *ret_pods is the caller's to free. */
size_t claim_pods(const struct view *view, const struct pod ***ret_pods, struct decision *decision);
size_t claim_revisions(const struct view *view, const struct revision ***ret_revisions, struct decision *decision);

#endif

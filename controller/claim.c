/* Claim.  A set owns what its selector matches and nobody else controls; what it owned and no longer matches
 * it lets go.  Being deleted it neither takes nor lets go (K-4, K-5).  The same for pods and revisions. Pure.
 */
#include "config.h"

#include "controller/claim.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

enum claim { CLAIM_NONE, CLAIM_KEEP, CLAIM_ADOPT, CLAIM_RELEASE };

static enum claim claim_one(const struct collector_set *set, const struct kube_meta *meta)
{
	bool matches;

	if (strcmp(meta->namespace_name, set->meta.namespace_name) != 0)
		return CLAIM_NONE;
	matches = selector_matches(set->selector, &meta->labels);
	if (meta->controller.kind != NULL) {
		if (strcmp(meta->controller.uid, set->meta.uid) != 0)
			return CLAIM_NONE;
		if (matches)
			return CLAIM_KEEP;
		return set->meta.deleted_ms != 0 ? CLAIM_NONE : CLAIM_RELEASE;
	}
	return matches && set->meta.deleted_ms == 0 && meta->deleted_ms == 0 ? CLAIM_ADOPT : CLAIM_NONE;
}

size_t claim_pods(const struct view *view, const struct pod ***ret_pods, struct decision *decision)
{
	const struct pod **pods = xcalloc(view->pod_count + 1, sizeof pods[0]);
	size_t count = 0;

	for (size_t i = 0; i < view->pod_count; i++) {
		enum claim claim = claim_one(view->set, &view->pods[i]->meta);

		if (claim == CLAIM_ADOPT)
			decision_add(decision, ACTION_ADOPT_POD)->pod = view->pods[i];
		else if (claim == CLAIM_RELEASE)
			decision_add(decision, ACTION_RELEASE_POD)->pod = view->pods[i];
		if (claim == CLAIM_KEEP || claim == CLAIM_ADOPT)
			pods[count++] = view->pods[i];
	}
	*ret_pods = pods;
	return count;
}

size_t claim_revisions(
    const struct view *view, const struct revision ***ret_revisions, struct decision *decision)
{
	const struct revision **revisions = xcalloc(view->revision_count + 1, sizeof revisions[0]);
	size_t count = 0;

	for (size_t i = 0; i < view->revision_count; i++) {
		enum claim claim = claim_one(view->set, &view->revisions[i]->meta);

		if (claim == CLAIM_ADOPT)
			decision_add(decision, ACTION_ADOPT_REVISION)->revision = view->revisions[i];
		else if (claim == CLAIM_RELEASE)
			decision_add(decision, ACTION_RELEASE_REVISION)->revision = view->revisions[i];
		if (claim == CLAIM_KEEP || claim == CLAIM_ADOPT)
			revisions[count++] = view->revisions[i];
	}
	*ret_revisions = revisions;
	return count;
}

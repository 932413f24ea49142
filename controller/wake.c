/* Wake.  From "this object was so and is now so" to "these sets have to look".
 *
 * What is controlled wakes its owner, an orphan those whose selector matches; a change of owner wakes both.
 * A node wakes the sets for which its change makes a difference: placement is asked before and after, so a
 * heartbeat, or a label that no set asks about, wakes nobody.  It decides only who looks, never what they
 * will do: waking too many costs time, waking too few would leave a node without its pod, so every doubt
 * wakes.  Keeps nothing.  Pure. */
#include "config.h"
#include "controller/wake.h"

#include <string.h>

#include "controller/placement.h"

/* ---- pods and revisions --------------------------------------------------------------------- */

static bool is_same_owner(const struct kube_owner *a, const struct kube_owner *b)
{
	if (a->kind == NULL || b->kind == NULL)
		return a->kind == b->kind;
	return strcmp(a->uid, b->uid) == 0;
}

const struct collector_set *wake_owner(const struct wake_hall *hall, const struct kube_meta *meta)
{
	if (meta->controller.kind == NULL || strcmp(meta->controller.kind, COLLECTOR_SET_KIND) != 0)
		return NULL;
	for (size_t i = 0; i < hall->count; i++) {
		const struct kube_meta *set = &hall->sets[i]->meta;

		if (strcmp(set->uid, meta->controller.uid) == 0 &&
		    strcmp(set->namespace_name, meta->namespace_name) == 0)
			return hall->sets[i];
	}
	return NULL;
}

static void wake_owner_of(const struct wake_hall *hall, const struct kube_meta *meta, int64_t after_ms)
{
	const struct collector_set *set = wake_owner(hall, meta);

	if (set != NULL)
		hall->wake(hall->arg, set, after_ms);
}

/* N-2. */
static void wake_matching(const struct wake_hall *hall, const struct kube_meta *orphan)
{
	for (size_t i = 0; i < hall->count; i++) {
		const struct collector_set *set = hall->sets[i];

		if (set->selector != NULL && !selector_is_empty(set->selector) &&
		    strcmp(set->meta.namespace_name, orphan->namespace_name) == 0 &&
		    selector_matches(set->selector, &orphan->labels))
			hall->wake(hall->arg, set, 0);
	}
}

static void wake_on_owned(
    const struct wake_hall *hall, const struct kube_meta *before, const struct kube_meta *after)
{
	bool owner_changed;

	if (after == NULL) {
		wake_owner_of(hall, before, 0); /* an orphan's end concerns nobody */
		return;
	}
	if (before != NULL && strcmp(before->resource_version, after->resource_version) == 0)
		return; /* N-1 */
	owner_changed = before != NULL && !is_same_owner(&before->controller, &after->controller);
	if (owner_changed)
		wake_owner_of(hall, before, 0);
	if (after->controller.kind != NULL)
		wake_owner_of(hall, after, 0);
	else if (after->deleted_ms == 0 &&
		 (before == NULL || owner_changed || !kube_labels_equal(&before->labels, &after->labels)))
		wake_matching(hall, after);
}

void wake_on_pod(const struct wake_hall *hall, const struct pod *before, const struct pod *after)
{
	const struct collector_set *set;

	wake_on_owned(hall, before != NULL ? &before->meta : NULL, after != NULL ? &after->meta : NULL);
	if (after == NULL || !after->is_ready || (before != NULL && before->is_ready))
		return;
	set = wake_owner(hall, &after->meta);
	if (set != NULL && set->min_ready_s > 0) /* it becomes available without another event */
		hall->wake(hall->arg, set, (set->min_ready_s + 1) * 1000);
}

void wake_on_revision(
    const struct wake_hall *hall, const struct revision *before, const struct revision *after)
{
	wake_on_owned(hall, before != NULL ? &before->meta : NULL, after != NULL ? &after->meta : NULL);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static struct placement placement_of(const struct collector_set *set, const struct node *node)
{
	if (node == NULL || set->pod_template == NULL)
		return (struct placement){.should_run = false};
	return placement_decide(set->pod_template, node);
}

static bool concerns(const struct wake_hall *hall, const struct collector_set *set, const struct node *before,
    const struct node *after)
{
	struct placement then = placement_of(set, before), now = placement_of(set, after);

	if (then.should_run != now.should_run || then.should_continue != now.should_continue)
		return true;
	if (now.should_run && now.should_continue)
		return !hall->has_pod(hall->arg, set, after->meta.name);
	/* N-4, and L-11 where the node is gone: a pod is where none should be, or is counted as misscheduled.
	 */
	return hall->has_pod(hall->arg, set, after != NULL ? after->meta.name : before->meta.name);
}

void wake_on_node(const struct wake_hall *hall, const struct node *before, const struct node *after)
{
	if (before != NULL && after != NULL && !node_differs(before, after))
		return; /* N-3 */
	for (size_t i = 0; i < hall->count; i++) {
		if (concerns(hall, hall->sets[i], before, after))
			hall->wake(hall->arg, hall->sets[i], 0);
	}
}

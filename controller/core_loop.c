/* Core loop.  Node by node: a pod where one should run, none where none may go on, and no more than the
 * update strategy allows.  It never creates where any pod stands on the node, unless the set surges (L-7,
 * L-8): replacing is strictly after.  Pure. */
#include "config.h"

#include "controller/core_loop.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

struct pass { /* of one sync */
	const struct view *view;
	struct decision *decision;
	size_t creates, deletes;
	bool surges;
	const struct pod **running; /* scratch: of the node at hand, neither ended nor ending */
	size_t running_count;
	struct action beyond_the_burst; /* counted, and done by a later sync */
};

static void create(struct pass *pass, const struct node *node)
{
	if (pass->creates++ < DECISION_BURST)
		decision_add(pass->decision, ACTION_CREATE_POD)->node = node;
}

static struct action *remove_pod(struct pass *pass, const struct pod *pod, const char *reason)
{
	struct action *action;

	if (pass->deletes++ >= DECISION_BURST)
		return &pass->beyond_the_burst;
	action = decision_add(pass->decision, ACTION_DELETE_POD);
	action->pod = pod;
	action->reason = reason;
	return action;
}

static void look_again(struct decision *decision, int64_t after_ms)
{
	if (decision->requeue_after_ms == 0 || after_ms < decision->requeue_after_ms)
		decision->requeue_after_ms = after_ms;
}

/* L-3, L-4. */
static void replace_failed(struct pass *pass, const struct node_pods *row, const struct pod *pod)
{
	const struct kube_meta *set = &pass->view->set->meta;
	int64_t generation = pass->view->set->status.observed_generation, now_ms = pass->view->now_ms;
	int64_t rest_ms = retry_table_rest(pass->view->retries, set->uid, generation, row->name, now_ms);

	if (rest_ms > 0) {
		look_again(pass->decision, rest_ms);
		return;
	}
	retry_table_failed(pass->view->retries, set->uid, generation, row->name, now_ms);
	decision_note(pass->decision, NOTE_WARNING, "FailedDaemonPod",
	    "Found failed daemon pod %s/%s on node %s, will try to kill it", set->namespace_name,
	    pod->meta.name, row->name);
	(void)remove_pod(pass, pod, "failed");
}

/* L-2, L-3, L-5: what has ended goes; the rest is running. */
static void sort_out(struct pass *pass, const struct node_pods *row)
{
	pass->running_count = 0;
	for (size_t i = 0; i < row->pod_count; i++) {
		const struct pod *pod = row->pods[i];

		if (pod_is_terminating(pod))
			continue;
		if (pod->phase == POD_FAILED) {
			replace_failed(pass, row, pod);
		} else if (pod->phase == POD_SUCCEEDED) {
			decision_note(pass->decision, NOTE_NORMAL, "SucceededDaemonPod",
			    "Found succeeded daemon pod %s/%s on node %s, will try to delete it",
			    pass->view->set->meta.namespace_name, pod->meta.name, row->name);
			(void)remove_pod(pass, pod, "succeeded");
		} else {
			pass->running[pass->running_count++] = pod;
		}
	}
}

/* L-9: the oldest of the current hash and the oldest of any other may stand side by side until the new one is
 * available. */
static void prune_surge(struct pass *pass)
{
	const struct pod *oldest_new = NULL, *oldest_old = NULL;

	for (size_t i = 0; i < pass->running_count; i++) {
		const struct pod *pod = pass->running[i],
				 **oldest = strcmp(pod_hash(pod), pass->decision->hash) == 0 ? &oldest_new
											     : &oldest_old;

		if (*oldest == NULL)
			*oldest = pod;
		else
			(void)remove_pod(pass, pod, "one too many");
	}
	if (oldest_new == NULL || oldest_old == NULL)
		return;
	if (!oldest_old->is_ready)
		(void)remove_pod(pass, oldest_old, "outdated and not ready");
	else if (pod_is_available(oldest_new, pass->view->set->min_ready_s, pass->view->now_ms))
		(void)remove_pod(pass, oldest_old, "outdated, its successor is available");
}

static void keep(struct pass *pass, const struct node_pods *row)
{
	sort_out(pass, row);
	if (pass->running_count == 0 && pass->surges && row->placement.should_run) {
		create(pass, row->node);
	} else if (pass->running_count > 1 && pass->surges) {
		prune_surge(pass);
	} else if (!pass->surges) {
		for (size_t i = 1; i < pass->running_count; i++) /* L-6: rows are in its order */
			(void)remove_pod(pass, pass->running[i], "one too many");
	}
}

static void clear(struct pass *pass, const struct node_pods *row, const char *reason)
{
	for (size_t i = 0; i < row->pod_count; i++)
		if (!pod_is_terminating(row->pods[i]))
			(void)remove_pod(pass, row->pods[i], reason);
}

/* L-11: the garbage collector takes the bound pods of vanished nodes, but cannot see where an unbound one was
 * to go. */
static void clear_vanished(struct pass *pass, const struct node_pods *row)
{
	for (size_t i = 0; i < row->pod_count; i++)
		if (row->pods[i]->node_name[0] == '\0' && !pod_is_terminating(row->pods[i]))
			remove_pod(pass, row->pods[i], "its node does not exist")->rests_on_absence = true;
}

void core_loop(const struct view *view, const struct node_table *table, struct decision *decision)
{
	struct pass pass = {
	    .view = view,
	    .decision = decision,
	    .surges = view->set->strategy == ROLLING_UPDATE && share_of(view->set->max_surge, 1) > 0,
	    .running = xcalloc(view->pod_count + 1, sizeof pass.running[0]),
	};

	for (size_t i = 0; i < table->count; i++) {
		const struct node_pods *row = &table->rows[i];

		if (row->node == NULL)
			clear_vanished(&pass, row);
		else if (row->placement.should_run && row->pod_count == 0)
			create(&pass, row->node);
		else if (row->placement.should_continue)
			keep(&pass, row);
		else
			clear(&pass, row, "the node does not match");
	}
	free(pass.running);
}

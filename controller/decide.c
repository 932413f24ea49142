/* Decide.  The order of a sync, and the counters that tell the world how it stands.  Pure. */
#include "config.h"

#include "controller/decide.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "controller/claim.h"
#include "controller/core_loop.h"
#include "controller/history.h"
#include "controller/rollout.h"

/* ---- actions ------------------------------------------------------------------------------------------- */

/* By stage; within a stage as they were found. */
static void sort_by_stage(struct decision *decision)
{
	struct action *sorted = xcalloc(decision->action_count + 1, sizeof sorted[0]);
	size_t count = 0;

	for (int kind = 0; kind <= ACTION_DELETE_REVISION; kind++)
		for (size_t i = 0; i < decision->action_count; i++)
			if ((int)decision->actions[i].kind == kind)
				sorted[count++] = decision->actions[i];
	free(decision->actions);
	decision->actions = sorted;
	decision->action_room = decision->action_count + 1;
}

/* N-6: a pod that is ready becomes available by time alone, which no event tells. */
static void wait_for_available(
    const struct view *view, const struct node_table *table, struct decision *decision)
{
	int64_t min_ready_ms = view->set->min_ready_s * 1000, now_ms = view->now_ms;

	for (size_t i = 0; min_ready_ms > 0 && i < table->count; i++) {
		for (size_t j = 0; j < table->rows[i].pod_count; j++) {
			const struct pod *pod = table->rows[i].pods[j];
			int64_t rest_ms = pod->ready_since_ms + min_ready_ms + 1 - now_ms;

			if (!pod->is_ready || pod_is_available(pod, view->set->min_ready_s, now_ms))
				continue;
			if (pod->ready_since_ms == 0 ||
			    rest_ms > min_ready_ms + 1) /* a clock that is ahead (#77203) */
				rest_ms = min_ready_ms;
			if (decision->requeue_after_ms == 0 || rest_ms < decision->requeue_after_ms)
				decision->requeue_after_ms = rest_ms;
		}
	}
}

/* A pod that is to be relabelled (H-5) still looks old, but runs the present template: the rollout waits
 * for its label. */
static bool may_roll_out(const struct decision *decision)
{
	return decision_count(decision, ACTION_CREATE_POD) == 0 &&
	       decision_count(decision, ACTION_DELETE_POD) == 0 &&
	       decision_count(decision, ACTION_RELABEL_POD) == 0;
}

static void decide_pods(
    const struct view *view, const struct pod *const *pods, size_t pod_count, struct decision *decision)
{
	struct node_table table;

	node_table_make(&table, view, pods, pod_count);
	core_loop(view, &table, decision);
	if (may_roll_out(decision))
		rollout_decide(view, &table, decision);
	wait_for_available(view, &table, decision);
	node_table_release(&table);
}

void decide(const struct view *view, struct decision *ret_decision)
{
	const struct collector_set *set = view->set;
	struct decision *decision = ret_decision;
	const struct revision **revisions;
	const struct pod **pods;
	size_t revision_count, pod_count;

	if (set->complaint != NULL || set->meta.deleted_ms != 0) {
		decision->is_idle = true;
		return;
	}
	if (selector_is_empty(set->selector)) { /* V-2 */
		decision_note(decision, NOTE_WARNING, "SelectingAll",
		    "This collector set is selecting all pods. A non-empty selector is required.");
		decision->is_idle = true;
		return;
	}
	revision_count = claim_revisions(view, &revisions, decision);
	pod_count = claim_pods(view, &pods, decision);
	history_decide(view, revisions, revision_count, pods, pod_count, decision);
	decision->waits = !view->is_satisfied;
	if (!decision->waits) {
		decide_pods(view, pods, pod_count, decision);
		history_clean(view, revisions, revision_count, pods, pod_count, decision);
	}
	sort_by_stage(decision);
	free(revisions);
	free(pods);
}

/* ---- status -------------------------------------------------------------------------------------------- */

static void set_condition(struct condition *condition, const struct view *view, int64_t generation,
    enum condition_status status, const char *reason)
{
	if (condition->status != status || condition->since_ms == 0)
		condition->since_ms = view->now_ms;
	condition->status = status;
	condition->reason = reason;
	condition->observed_generation = generation;
}

#define SAY(condition, ...) (void)snprintf((condition)->message, sizeof(condition)->message, __VA_ARGS__)

static void judge_available(const struct view *view, struct set_status *status)
{
	struct condition *condition = &status->available_condition;

	if (status->unavailable > 0) {
		set_condition(
		    condition, view, status->observed_generation, CONDITION_FALSE, "PodsUnavailable");
		SAY(condition, "%" PRId64 " of %" PRId64 " nodes have no available pod", status->unavailable,
		    status->desired);
	} else {
		set_condition(condition, view, status->observed_generation, CONDITION_TRUE,
		    status->desired != 0 ? "AllAvailable" : "NoNodes");
		SAY(condition,
		    status->desired != 0 ? "all %" PRId64 " nodes have an available pod"
					 : "%" PRId64 " nodes are to have a pod",
		    status->desired);
	}
}

static void judge_progressing(const struct view *view, struct set_status *status)
{
	bool is_updated = status->updated >= status->desired,
	     is_complete = is_updated && status->unavailable == 0 && status->misscheduled == 0;
	bool waits_for_user = !is_updated && view->set->strategy == ON_DELETE;
	struct condition *condition = &status->progressing_condition;

	set_condition(condition, view, status->observed_generation, CONDITION_TRUE,
	    is_complete      ? "RolloutComplete"
	    : waits_for_user ? "WaitingForDelete"
			     : "RollingOut");
	SAY(condition, "%" PRId64 " of %" PRId64 " pods are updated, %" PRId64 " available", status->updated,
	    status->desired, status->available);
}

static void count_row(
    const struct view *view, const struct node_pods *row, const char *hash, struct set_status *status)
{
	const struct pod *first;

	if (!row->placement.should_run) {
		status->misscheduled += row->node != NULL && row->pod_count != 0;
		return;
	}
	status->desired++;
	if (row->pod_count == 0)
		return;
	first = row->pods[0];
	status->current++;
	status->ready += first->is_ready;
	status->available += pod_is_available(first, view->set->min_ready_s, view->now_ms);
	status->updated += strcmp(pod_hash(first), hash) == 0;
}

static void count_nodes(const struct view *view, const char *hash, struct set_status *status)
{
	struct decision claims;
	const struct pod **pods;
	struct node_table table;
	size_t pod_count;

	decision_init(&claims);
	pod_count = claim_pods(view, &pods, &claims);
	node_table_make(&table, view, pods, pod_count);
	status->desired = status->current = status->misscheduled = status->ready = status->updated =
	    status->available = 0;
	for (size_t i = 0; i < table.count; i++)
		count_row(view, &table.rows[i], hash, status);
	status->unavailable = status->desired - status->available;
	node_table_release(&table);
	free(pods);
	decision_release(&claims);
}

void decide_status(
    const struct view *view, const char *hash, bool raise_generation, struct set_status *ret_status)
{
	const struct collector_set *set = view->set;
	struct set_status status = set->status;

	if (raise_generation)
		status.observed_generation = set->meta.generation;
	if (set->complaint != NULL) {
		set_condition(&status.progressing_condition, view, status.observed_generation,
		    CONDITION_FALSE, "InvalidSpec");
		SAY(&status.progressing_condition, "%s", set->complaint);
	} else if (!selector_is_empty(set->selector)) {
		count_nodes(view, hash, &status);
		judge_available(view, &status);
		judge_progressing(view, &status);
	}
	*ret_status = status;
}

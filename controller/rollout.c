/* Rollout.  Which old pods may go now (without surge), or which nodes may have a new one beside the old (with
 * surge).  What is unavailable already counts first, whoever is to blame; replacing it costs nothing of the
 * budget.  Nodes are taken in the order of their names.  Pure. */
#include "config.h"

#include "controller/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

struct row_pods { /* of one node, without those that are ending */
	const struct pod *new_pod, *old_pod;
	bool is_excess; /* two of a kind: the core loop's matter */
};

struct budgeted { /* what is decided before the budget is known */
	const struct pod **free_pods, **candidate_pods, **leaving_pods;
	size_t free_count, candidate_count, leaving_count;
	const struct node **free_nodes, **candidate_nodes;
	size_t free_node_count, candidate_node_count;
};

static struct row_pods find(const struct node_pods *row, const char *hash)
{
	struct row_pods found = {.is_excess = false};

	for (size_t i = 0; i < row->pod_count; i++) {
		const struct pod **slot =
		    strcmp(pod_hash(row->pods[i]), hash) == 0 ? &found.new_pod : &found.old_pod;

		if (pod_is_terminating(row->pods[i]))
			continue;
		if (*slot != NULL)
			found.is_excess = true;
		*slot = row->pods[i];
	}
	return found;
}

/* Nodes that have or should have a pod. */
static bool counts(const struct node_pods *row)
{
	return row->pod_count != 0 || row->placement.should_run;
}

struct rollout_budget rollout_budget(const struct view *view, const struct node_table *table)
{
	struct rollout_budget budget = {.desired = (int64_t)node_table_desired(table)};

	if (view->set->strategy == ROLLING_UPDATE) {
		budget.max_surge = share_of(view->set->max_surge, budget.desired);
		budget.max_unavailable = share_of(view->set->max_unavailable, budget.desired);
	}
	if (budget.desired > 0 && budget.max_surge == 0 && budget.max_unavailable == 0)
		budget.max_unavailable = 1;
	return budget;
}

static bool is_available(const struct view *view, const struct pod *pod)
{
	return pod_is_available(pod, view->set->min_ready_s, view->now_ms);
}

static void budgeted_init(struct budgeted *ret_budgeted, size_t rows)
{
	*ret_budgeted = (struct budgeted){
	    .free_pods = xcalloc(rows + 1, sizeof ret_budgeted->free_pods[0]),
	    .candidate_pods = xcalloc(rows + 1, sizeof ret_budgeted->candidate_pods[0]),
	    .leaving_pods = xcalloc(rows + 1, sizeof ret_budgeted->leaving_pods[0]),
	    .free_nodes = xcalloc(rows + 1, sizeof ret_budgeted->free_nodes[0]),
	    .candidate_nodes = xcalloc(rows + 1, sizeof ret_budgeted->candidate_nodes[0]),
	};
}

static void budgeted_release(struct budgeted *budgeted)
{
	free(budgeted->free_pods);
	free(budgeted->candidate_pods);
	free(budgeted->leaving_pods);
	free(budgeted->free_nodes);
	free(budgeted->candidate_nodes);
}

static void delete_pods(
    struct decision *decision, const struct pod *const *pods, size_t count, const char *reason)
{
	for (size_t i = 0; i < count && decision_count(decision, ACTION_DELETE_POD) < DECISION_BURST; i++) {
		struct action *action = decision_add(decision, ACTION_DELETE_POD);

		action->pod = pods[i];
		action->reason = reason;
	}
}

static void create_pods(struct decision *decision, const struct node *const *nodes, size_t count)
{
	for (size_t i = 0; i < count && decision_count(decision, ACTION_CREATE_POD) < DECISION_BURST; i++)
		decision_add(decision, ACTION_CREATE_POD)->node = nodes[i];
}

static size_t at_most(size_t count, int64_t limit)
{
	return limit <= 0 ? 0 : (size_t)limit < count ? (size_t)limit : count;
}

/* */
static void replace(const struct view *view, const struct node_table *table, struct rollout_budget budget,
    struct decision *decision)
{
	struct budgeted budgeted;
	int64_t unavailable = 0;

	budgeted_init(&budgeted, table->count);
	for (size_t i = 0; i < table->count; i++) {
		const struct node_pods *row = &table->rows[i];
		struct row_pods found = find(row, decision->hash);

		if (!counts(row))
			continue;
		if (found.is_excess || (found.old_pod == NULL) == (found.new_pod == NULL)) {
			unavailable++;
		} else if (found.new_pod != NULL) {
			unavailable += !is_available(view, found.new_pod);
		} else if (!is_available(view, found.old_pod)) {
			budgeted.free_pods[budgeted.free_count++] = found.old_pod;
			unavailable++;
		} else {
			budgeted.candidate_pods[budgeted.candidate_count++] = found.old_pod;
		}
	}
	delete_pods(decision, budgeted.free_pods, budgeted.free_count, "outdated and not available");
	delete_pods(decision, budgeted.candidate_pods,
	    at_most(budgeted.candidate_count, budget.max_unavailable - unavailable), "outdated");
	budgeted_release(&budgeted);
}

/* One node of a set that surges; returns 1 if it uses the surge's budget. */
static int64_t surge_on(
    const struct view *view, const struct node_pods *row, struct row_pods found, struct budgeted *budgeted)
{
	if (found.old_pod == NULL) /* */
		return 0;
	if (found.new_pod != NULL) { /* */
		if (!is_available(view, found.new_pod))
			return 1;
		budgeted->free_pods[budgeted->free_count++] = found.old_pod;
		return 0;
	}
	if (row->node == NULL)
		return 0;
	if (!is_available(view, found.old_pod)) { /* */
		if (row->placement.should_run)
			budgeted->free_nodes[budgeted->free_node_count++] = row->node;
		else
			budgeted->free_pods[budgeted->free_count++] = found.old_pod;
	} else if (row->placement.should_run) { /* */
		budgeted->candidate_nodes[budgeted->candidate_node_count++] = row->node;
	} else {
		budgeted->leaving_pods[budgeted->leaving_count++] = found.old_pod;
	}
	return 0;
}

/* of nodes, whether they are wanted any more or not. */
static bool has_available(const struct view *view, struct row_pods found)
{
	const struct pod *pod = found.old_pod != NULL ? found.old_pod : found.new_pod;

	return pod != NULL && is_available(view, pod);
}

/* */
static void surge(const struct view *view, const struct node_table *table, struct rollout_budget budget,
    struct decision *decision)
{
	int64_t surging = 0, available = 0;
	struct budgeted budgeted;

	budgeted_init(&budgeted, table->count);
	for (size_t i = 0; i < table->count; i++) {
		const struct node_pods *row = &table->rows[i];
		struct row_pods found = find(row, decision->hash);

		if (!counts(row))
			continue;
		if (found.is_excess) {
			surging++;
			continue;
		}
		available += has_available(view, found);
		surging += surge_on(view, row, found, &budgeted);
	}
	create_pods(decision, budgeted.free_nodes, budgeted.free_node_count);
	create_pods(decision, budgeted.candidate_nodes,
	    at_most(budgeted.candidate_node_count, budget.max_surge - surging));
	delete_pods(decision, budgeted.free_pods, budgeted.free_count, "outdated");
	delete_pods(decision, budgeted.leaving_pods,
	    at_most(budgeted.leaving_count, available - budget.desired), "the node is not wanted any more");
	budgeted_release(&budgeted);
}

void rollout_decide(const struct view *view, const struct node_table *table, struct decision *decision)
{
	struct rollout_budget budget = rollout_budget(view, table);

	if (view->set->strategy == ON_DELETE) /* */
		return;
	if (budget.max_surge > 0)
		surge(view, table, budget, decision);
	else
		replace(view, table, budget, decision);
}

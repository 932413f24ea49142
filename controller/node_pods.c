/* Node pods.  Nodes by name, pods by the node that they are for, merged in one pass.  A pod whose node is not
 * in the view has a row all the same: its node may be gone, or not yet seen.  Pure. */
#include "config.h"

#include "controller/node_pods.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

static int compare_nodes(const void *a, const void *b)
{
	return strcmp(
	    (*(const struct node *const *)a)->meta.name, (*(const struct node *const *)b)->meta.name);
}

static int compare_targets(const void *a, const void *b)
{
	int order = strcmp((*(const struct pod *const *)a)->target, (*(const struct pod *const *)b)->target);

	return order != 0 ? order : pod_compare(a, b);
}

static struct node_pods *add_row(
    struct node_table *table, const struct view *view, const char *name, const struct node *node)
{
	struct node_pods *row = &table->rows[table->count++];

	row->name = name;
	row->node = node;
	if (node != NULL)
		row->placement = placement_decide(view->set->pod_template, node);
	return row;
}

void node_table_make(
    struct node_table *ret_table, const struct view *view, const struct pod *const *pods, size_t pod_count)
{
	const struct node **nodes = xcalloc(view->node_count + 1, sizeof nodes[0]);
	size_t kept = 0, next_node = 0;

	*ret_table = (struct node_table){
	    .rows = xcalloc(view->node_count + pod_count + 1, sizeof ret_table->rows[0]),
	    .pods = xcalloc(pod_count + 1, sizeof ret_table->pods[0]),
	};
	if (view->node_count != 0)
		memcpy(nodes, view->nodes, view->node_count * sizeof nodes[0]);
	for (size_t i = 0; i < pod_count; i++)
		if (pods[i]->target != NULL && !(pod_is_terminal(pods[i]) && pod_is_terminating(pods[i])))
			ret_table->pods[kept++] = pods[i];
	qsort(nodes, view->node_count, sizeof nodes[0], compare_nodes);
	qsort(ret_table->pods, kept, sizeof ret_table->pods[0], compare_targets);
	for (size_t i = 0; i < kept || next_node < view->node_count;) {
		int order = i == kept ? -1
			    : next_node == view->node_count
				? 1
				: strcmp(nodes[next_node]->meta.name, ret_table->pods[i]->target);
		struct node_pods *row =
		    order <= 0 ? add_row(ret_table, view, nodes[next_node]->meta.name, nodes[next_node])
			       : add_row(ret_table, view, ret_table->pods[i]->target, NULL);

		next_node += order <= 0;
		row->pods = &ret_table->pods[i];
		while (i < kept && strcmp(ret_table->pods[i]->target, row->name) == 0) {
			row->pod_count++;
			i++;
		}
	}
	free(nodes);
}

void node_table_release(struct node_table *table)
{
	free(table->rows);
	free(table->pods);
	*table = (struct node_table){.count = 0};
}

size_t node_table_desired(const struct node_table *table)
{
	size_t desired = 0;

	for (size_t i = 0; i < table->count; i++)
		desired += table->rows[i].placement.should_run;
	return desired;
}

/* Placement.  One node against one template, rule by rule.  What is not asked here (conditions, resources,
 * ports, spec.unschedulable) does not count: the scheduler and the kubelet judge that (E-9).  Pure. */
#include "config.h"

#include "controller/placement.h"

#include <string.h>

static bool name_matches(const struct pod_template *pod_template, const struct node *node)
{
	return pod_template->node_name[0] == '\0' || strcmp(pod_template->node_name, node->meta.name) == 0;
}

/* The first pair of nodeSelector that the node has not, or NULL. */
static const struct kube_label *missing_label(
    const struct pod_template *pod_template, const struct node *node)
{
	for (size_t i = 0; i < pod_template->node_selector.count; i++) {
		const struct kube_label *wanted = &pod_template->node_selector.items[i];
		const char *value = kube_labels_get(&node->meta.labels, wanted->key);

		if (value == NULL || strcmp(value, wanted->value) != 0)
			return wanted;
	}
	return NULL;
}

struct placement placement_decide(const struct pod_template *pod_template, const struct node *node)
{
	if (!name_matches(pod_template, node) || missing_label(pod_template, node) != NULL ||
	    !affinity_matches(pod_template->affinity, node))
		return (struct placement){.should_run = false, .should_continue = false};
	return (struct placement){
	    .should_run = tolerations_missing(&pod_template->tolerations, node, true, true) == NULL,
	    .should_continue = tolerations_missing(&pod_template->tolerations, node, false, true) == NULL,
	};
}

/* ---- for people ---------------------------------------------------------------------------------------- */

static void add_rule(struct buf *out, const char *rule, const char *what, bool passes)
{
	buf_printf(out, "%-10s %-30s %-5s", rule, what, passes ? "yes" : "no");
}

static void explain_selector(
    const struct pod_template *pod_template, const struct node *node, struct buf *out)
{
	const struct kube_label *missing = missing_label(pod_template, node);
	const char *value;

	add_rule(out, "E-3", "nodeSelector", missing == NULL);
	if (missing == NULL) {
		buf_add_text(
		    out, pod_template->node_selector.count == 0 ? "none\n" : "the node has all its labels\n");
		return;
	}
	value = kube_labels_get(&node->meta.labels, missing->key);
	if (value != NULL)
		buf_printf(
		    out, "%s=%s, the node has %s=%s\n", missing->key, missing->value, missing->key, value);
	else
		buf_printf(out, "%s=%s, the node has no such label\n", missing->key, missing->value);
}

/* The lines of affinity_explain, each below the other. */
static void explain_affinity(
    const struct pod_template *pod_template, const struct node *node, struct buf *out)
{
	struct buf lines;
	char *line, *rest;

	buf_init(&lines, out->limit);
	affinity_explain(pod_template->affinity, node, &lines);
	add_rule(out, "E-4", "required node affinity", affinity_matches(pod_template->affinity, node));
	(void)buf_text(&lines);
	rest = lines.data;
	for (bool is_first = true; rest != NULL && (line = strsep(&rest, "\n")) != NULL && line[0] != '\0';
	     is_first = false)
		buf_printf(out, "%*s%s\n", is_first ? 0 : 46, "", line);
	buf_release(&lines);
}

static void explain_taints(
    const struct tolerations *tolerations, const struct node *node, bool no_schedule, struct buf *out)
{
	const struct taint *missing = tolerations_missing(tolerations, node, no_schedule, true);

	if (no_schedule)
		add_rule(out, "E-5", "NoSchedule and NoExecute taints", missing == NULL);
	else
		add_rule(out, "E-6", "NoExecute taints", missing == NULL);
	if (missing != NULL)
		buf_printf(out, "nothing tolerates %s%s%s:%s\n", missing->key,
		    missing->value[0] != '\0' ? "=" : "", missing->value, taint_effect_text(missing->effect));
	else
		buf_add_text(
		    out, node->taint_count == 0 ? "the node has no taints\n" : "all are tolerated\n");
}

struct placement placement_explain(
    const struct pod_template *pod_template, const struct node *node, struct buf *out)
{
	struct placement placement = placement_decide(pod_template, node);

	add_rule(out, "E-2", "template's nodeName", name_matches(pod_template, node));
	buf_printf(out, "%s\n", pod_template->node_name[0] != '\0' ? pod_template->node_name : "none");
	explain_selector(pod_template, node, out);
	explain_affinity(pod_template, node, out);
	explain_taints(&pod_template->tolerations, node, true, out);
	explain_taints(&pod_template->tolerations, node, false, out);
	if (node->is_unschedulable)
		buf_printf(out, "%-10s %-30s %-5s%s\n", "E-9", "cordoned", "-",
		    "does not count: its taint is tolerated (A-6)");
	if (node->meta.deleted_ms != 0)
		buf_printf(out, "%-10s %-30s %-5s%s\n", "E-10", "being deleted", "-", "still a node");
	buf_printf(
	    out, "%-10s %-30s %s\n", "=>", "a pod should run here", placement.should_run ? "yes" : "no");
	buf_printf(out, "%-10s %-30s %s\n", "=>", "one that runs may go on",
	    placement.should_continue ? "yes" : "no");
	return placement;
}

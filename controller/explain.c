/* Explain.  Says for one node and each set what the rules say, which pods are there, and what the controller
 * would do next.
 *
 * It is the core that speaks: placement_explain for the rules and decide() for the next step, over objects
 * that were just listed, or read from files. Nothing is remembered from sync to sync here, so back-off after
 * failed pods and expectations do not show; that is said where it matters.
 *
 * Stands beside the controller, as a command of its own.  Owns the objects while it runs.  Writes nothing but
 * standard output. */
#include "config.h"
#include "controller/explain.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/must.h"
#include "controller/decide.h"
#include "controller/placement.h"
#include "controller/session.h"

#define FILE_BYTES (256u << 20)
#define OUT_BYTES  (16u << 20)
#define SETS_PATH  "/apis/" COLLECTOR_SET_API "/" COLLECTOR_SET_PLURAL

/* Everything that was found. */
struct scene {
	struct node **nodes;
	struct pod **pods;
	struct revision **revisions;
	struct collector_set **sets;
	size_t node_count, pod_count, revision_count, set_count;
	const char *served; /* namespace, "*", or NULL = not known */
};

/* ---- objects
 * ------------------------------------------------------------------------------------------------------ */

/* Room for one more pointer. */
static void *grown(void *array, size_t count)
{
	return (count & (count - 1)) == 0 ? xrealloc(array, (count == 0 ? 1 : 2 * count) * sizeof(void *))
					  : array;
}

static int add_node(struct scene *scene, const cJSON *object, struct err *err)
{
	scene->nodes = grown(scene->nodes, scene->node_count);
	return node_read(&scene->nodes[scene->node_count], object, err) == 0 ? (scene->node_count++, 0)
									     : -EINVAL;
}

static int add_pod(struct scene *scene, const cJSON *object, struct err *err)
{
	scene->pods = grown(scene->pods, scene->pod_count);
	return pod_read(&scene->pods[scene->pod_count], object, err) == 0 ? (scene->pod_count++, 0) : -EINVAL;
}

static int add_revision(struct scene *scene, const cJSON *object, struct err *err)
{
	scene->revisions = grown(scene->revisions, scene->revision_count);
	return revision_read(&scene->revisions[scene->revision_count], object, err) == 0
		   ? (scene->revision_count++, 0)
		   : -EINVAL;
}

static int add_set(struct scene *scene, const cJSON *object, struct err *err)
{
	scene->sets = grown(scene->sets, scene->set_count);
	return collector_set_read(&scene->sets[scene->set_count], object, err) == 0 ? (scene->set_count++, 0)
										    : -EINVAL;
}

static const struct kind {
	const char *name;
	int (*add)(struct scene *scene, const cJSON *object, struct err *err);
} kinds[] = {
    {"Node", add_node},
    {"Pod", add_pod},
    {"ControllerRevision", add_revision},
    {COLLECTOR_SET_KIND, add_set},
};

static void scene_release(struct scene *scene)
{
	for (size_t i = 0; i < scene->node_count; i++)
		node_free(scene->nodes[i]);
	for (size_t i = 0; i < scene->pod_count; i++)
		pod_free(scene->pods[i]);
	for (size_t i = 0; i < scene->revision_count; i++)
		revision_free(scene->revisions[i]);
	for (size_t i = 0; i < scene->set_count; i++)
		collector_set_free(scene->sets[i]);
	free(scene->nodes);
	free(scene->pods);
	free(scene->revisions);
	free(scene->sets);
}

/* ---- from files
 * --------------------------------------------------------------------------------------------------- */

/* Is it an object of that kind, or a list of them ("NodeList", whose items do not say it again)? */
static bool is_kind(const char *text, const char *kind)
{
	size_t len = strlen(kind);

	return strncmp(text, kind, len) == 0 && (text[len] == '\0' || strcmp(text + len, "List") == 0);
}

/* An object, or a list of them; of kinds that do not matter here, nothing is taken.  list_kind: what items
 * are that do not say it. */
static int add_any(struct scene *scene, const cJSON *object, const char *list_kind, struct err *err)
{
	const cJSON *items, *item;
	const char *kind;

	if (!kube_list(object, "items", &items, err) || !kube_text(object, "kind", &kind, err))
		return -EINVAL;
	if (kind == NULL)
		kind = list_kind;
	if (items != NULL) {
		cJSON_ArrayForEach(item, items) if (add_any(scene, item, kind, err) != 0) return -EINVAL;
		return 0;
	}
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (is_kind(kind, kinds[i].name))
			return kinds[i].add(scene, object, err);
	return 0;
}

/* Returns the exit code. */
static int read_one(struct scene *scene, const char *path, struct err *err)
{
	struct buf text;
	cJSON *object = NULL;
	struct err inner = {0};
	int code = EX_OK;

	buf_init(&text, FILE_BYTES);
	if (file_read(path, &text, err) != 0) {
		code = EX_NOINPUT;
	} else if ((object = cJSON_ParseWithLength(buf_text(&text), text.len)) == NULL) {
		(void)err_set(err, -EBADMSG, "'%s' is no JSON", path);
		code = EX_DATAERR;
	} else if (add_any(scene, object, "", &inner) != 0) {
		(void)err_set(err, -EINVAL, "%s: %s", path, inner.text);
		code = EX_DATAERR;
	}
	cJSON_Delete(object);
	buf_release(&text);
	return code;
}

/* ---- from the cluster
 * --------------------------------------------------------------------------------------------- */

struct listing {
	struct scene *scene;
	int (*add)(struct scene *scene, const cJSON *object, struct err *err);
	bool is_unreadable;
	struct err *err;
};

static bool on_item(void *arg, const cJSON *item)
{
	struct listing *listing = arg;

	listing->is_unreadable = listing->add(listing->scene, item, listing->err) != 0;
	return !listing->is_unreadable;
}

/* Returns the exit code; *ret_result tells why it is EX_UNAVAILABLE. */
static int list(struct scene *scene, struct session *session, const char *path,
    int (*add)(struct scene *, const cJSON *, struct err *), enum kube_result *ret_result, struct err *err)
{
	struct err first = {0}, sentence = {0};
	struct listing listing = {scene, add, false, &first};

	*ret_result = session_list(session, path, on_item, &listing, &sentence);
	if (*ret_result == KUBE_OK)
		return EX_OK;
	(void)err_set(
	    err, -EIO, "cannot list '%s': %s", path, listing.is_unreadable ? first.text : sentence.text);
	return listing.is_unreadable ? EX_DATAERR : EX_UNAVAILABLE;
}

/* All sets, or those of the served namespace if the reader may not see all. */
static int list_sets(struct scene *scene, struct session *session, struct err *err)
{
	enum kube_result result;
	int code = list(scene, session, SETS_PATH, add_set, &result, err);

	if (result == KUBE_FORBIDDEN && strcmp(scene->served, "*") != 0) {
		char *path = xasprintf(
		    "/apis/" COLLECTOR_SET_API "/namespaces/%s/" COLLECTOR_SET_PLURAL, scene->served);

		code = list(scene, session, path, add_set, &result, err);
		free(path);
	}
	return code;
}

static int list_namespace(struct scene *scene, struct session *session, const char *name, struct err *err)
{
	char *pods = xasprintf("/api/v1/namespaces/%s/pods", name);
	char *revisions = xasprintf("/apis/apps/v1/namespaces/%s/controllerrevisions", name);
	enum kube_result result;
	int code = list(scene, session, pods, add_pod, &result, err);

	if (code == EX_OK)
		code = list(scene, session, revisions, add_revision, &result, err);
	free(pods);
	free(revisions);
	return code;
}

static bool is_first_of_its_namespace(const struct scene *scene, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(scene->sets[i]->meta.namespace_name, scene->sets[index]->meta.namespace_name) == 0)
			return false;
	return true;
}

/* Returns the exit code. */
static int list_all(struct scene *scene, struct session *session, struct err *err)
{
	enum kube_result result;
	int code = list(scene, session, "/api/v1/nodes", add_node, &result, err);

	if (code == EX_OK)
		code = list_sets(scene, session, err);
	for (size_t i = 0; code == EX_OK && i < scene->set_count; i++)
		if (is_first_of_its_namespace(scene, i))
			code = list_namespace(scene, session, scene->sets[i]->meta.namespace_name, err);
	return code;
}

/* ---- telling
 * ------------------------------------------------------------------------------------------------------ */

static void tell_node(const struct node *node, struct buf *out)
{
	buf_printf(out, "node %s\n  labels", node->meta.name);
	for (size_t i = 0; i < node->meta.labels.count; i++)
		buf_printf(out, "%s %s=%s", i == 0 ? "" : ",", node->meta.labels.items[i].key,
		    node->meta.labels.items[i].value);
	buf_printf(out, "%s\n  taints", node->meta.labels.count == 0 ? " none" : "");
	for (size_t i = 0; i < node->taint_count; i++)
		buf_printf(out, "%s %s%s%s:%s", i == 0 ? "" : ",", node->taints[i].key,
		    node->taints[i].value[0] != '\0' ? "=" : "", node->taints[i].value,
		    taint_effect_text(node->taints[i].effect));
	buf_add_text(out, node->taint_count == 0 ? " none\n" : "\n");
	if (node->meta.deleted_ms != 0)
		buf_add_text(out, "  is being deleted\n");
}

/* What a sync of this set would see: its namespace's objects, as a store would keep them. */
struct slice {
	const struct pod **pods;
	const struct revision **revisions;
	size_t pod_count, revision_count;
};

static bool is_strange(const struct kube_meta *meta, const struct collector_set *set)
{
	return strcmp(meta->namespace_name, set->meta.namespace_name) != 0;
}

static void slice_make(struct slice *slice, const struct scene *scene, const struct collector_set *set)
{
	*slice = (struct slice){
	    .pods = xcalloc(scene->pod_count + 1, sizeof slice->pods[0]),
	    .revisions = xcalloc(scene->revision_count + 1, sizeof slice->revisions[0]),
	};
	for (size_t i = 0; i < scene->pod_count; i++)
		if (!is_strange(&scene->pods[i]->meta, set))
			slice->pods[slice->pod_count++] = scene->pods[i];
	for (size_t i = 0; i < scene->revision_count; i++)
		if (!is_strange(&scene->revisions[i]->meta, set))
			slice->revisions[slice->revision_count++] = scene->revisions[i];
}

static bool is_of(const struct pod *pod, const struct collector_set *set)
{
	return strcmp(pod->meta.namespace_name, set->meta.namespace_name) == 0 &&
	       pod->meta.controller.uid != NULL && strcmp(pod->meta.controller.uid, set->meta.uid) == 0;
}

static void tell_pod(
    const struct pod *pod, const struct collector_set *set, const char *hash, struct buf *out)
{
	static const char *const phases[] = {[POD_PENDING] = "Pending",
	    [POD_RUNNING] = "Running",
	    [POD_SUCCEEDED] = "Succeeded",
	    [POD_FAILED] = "Failed",
	    [POD_UNKNOWN] = "Unknown"};
	int64_t now_ms = clock_wall_ns() / 1000000;

	buf_printf(out, "  pod %s: %s%s%s%s, %s, revision %s (%s)%s\n", pod->meta.name, phases[pod->phase],
	    pod->reason[0] != '\0' ? " (" : "", pod->reason, pod->reason[0] != '\0' ? ")" : "",
	    pod_is_available(pod, set->min_ready_s, now_ms) ? "available"
	    : pod->is_ready                                 ? "ready, not for min_ready_seconds yet"
							    : "not ready",
	    pod_hash(pod)[0] != '\0' ? pod_hash(pod) : "unknown",
	    strcmp(pod_hash(pod), hash) == 0 ? "current" : "outdated",
	    pod_is_terminating(pod) ? ", is being deleted" : "");
}

static void tell_pods(const struct slice *slice, const struct collector_set *set, const struct node *node,
    const char *hash, struct buf *out)
{
	size_t count = 0;

	for (size_t i = 0; i < slice->pod_count; i++) {
		const struct pod *pod = slice->pods[i];

		if (is_of(pod, set) && pod->target != NULL && strcmp(pod->target, node->meta.name) == 0) {
			tell_pod(pod, set, hash, out);
			count++;
		}
	}
	if (count == 0)
		buf_add_text(out, "  no pod here\n");
}

static bool concerns(const struct action *action, const struct node *node)
{
	return action->node == node || (action->pod != NULL && action->pod->target != NULL &&
					   strcmp(action->pod->target, node->meta.name) == 0);
}

/* What decide() wants done, of which only this node's part is told. */
static void tell_next(const struct decision *decision, const struct node *node, struct buf *out)
{
	size_t count = 0, others = 0;

	for (size_t i = 0; i < decision->action_count; i++) {
		const struct action *action = &decision->actions[i];

		if (!concerns(action, node)) {
			others++;
			continue;
		}
		count++;
		buf_printf(out, "  next: %s%s%s%s%s%s\n", action_kind_text(action->kind),
		    action->pod != NULL ? " " : "", action->pod != NULL ? action->pod->meta.name : "",
		    action->reason != NULL ? " (" : "", action->reason != NULL ? action->reason : "",
		    action->reason != NULL ? ")" : "");
	}
	if (count == 0)
		buf_add_text(out, decision->is_idle ? "  next: nothing, the set is left alone\n"
						    : "  next: nothing on this node\n");
	if (others > 0)
		buf_printf(out, "  elsewhere: %zu action%s of this set\n", others, others == 1 ? "" : "s");
	for (size_t i = 0; i < decision->note_count; i++)
		buf_printf(out, "  event: %s %s\n", decision->notes[i].reason, decision->notes[i].message);
	if (decision->requeue_after_ms != 0)
		buf_printf(out, "  looks again in %.1f s\n", (double)decision->requeue_after_ms / 1e3);
}

/* The rules, below the set's name. */
static void tell_rules(const struct collector_set *set, const struct node *node, struct buf *out)
{
	struct buf rules;
	char *line, *rest;

	buf_init(&rules, OUT_BYTES);
	(void)placement_explain(set->pod_template, node, &rules);
	(void)buf_text(&rules);
	rest = rules.data;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (line[0] != '\0')
			buf_printf(out, "  %s\n", line);
	buf_release(&rules);
}

static void tell_sync(
    const struct scene *scene, const struct collector_set *set, const struct node *node, struct buf *out)
{
	struct retry_table *retries = retry_table_new();
	struct decision decision;
	struct slice slice;
	struct view view;

	slice_make(&slice, scene, set);
	view = (struct view){
	    .set = set,
	    .nodes = (const struct node *const *)scene->nodes,
	    .node_count = scene->node_count,
	    .pods = slice.pods,
	    .pod_count = slice.pod_count,
	    .revisions = slice.revisions,
	    .revision_count = slice.revision_count,
	    .retries = retries,
	    .now_ms = clock_wall_ns() / 1000000,
	    .is_satisfied = true,
	};
	decision_init(&decision);
	decide(&view, &decision);
	tell_pods(&slice, set, node, decision.hash, out);
	tell_next(&decision, node, out);
	decision_release(&decision);
	retry_table_free(retries);
	free(slice.pods);
	free(slice.revisions);
}

static void tell_set(
    const struct scene *scene, const struct collector_set *set, const struct node *node, struct buf *out)
{
	buf_printf(out, "\ncollectorset %s/%s\n", set->meta.namespace_name, set->meta.name);
	if (scene->served != NULL && strcmp(scene->served, "*") != 0 &&
	    strcmp(scene->served, set->meta.namespace_name) != 0)
		buf_printf(out, "  is not served: the controller serves namespace %s\n", scene->served);
	if (set->meta.deleted_ms != 0)
		buf_add_text(out, "  is being deleted\n");
	if (set->complaint != NULL) {
		buf_printf(out, "  cannot be acted on: %s\n", set->complaint);
		return;
	}
	tell_rules(set, node, out);
	tell_sync(scene, set, node, out);
}

static const struct node *find_node(const struct scene *scene, const char *name)
{
	for (size_t i = 0; i < scene->node_count; i++)
		if (strcmp(scene->nodes[i]->meta.name, name) == 0)
			return scene->nodes[i];
	return NULL;
}

static int compare_sets(const void *a, const void *b)
{
	const struct kube_meta *left = &(*(struct collector_set *const *)a)->meta,
			       *right = &(*(struct collector_set *const *)b)->meta;
	int order = strcmp(left->namespace_name, right->namespace_name);

	return order != 0 ? order : strcmp(left->name, right->name);
}

static int tell(const struct scene *scene, const char *node_name, struct err *err)
{
	const struct node *node = find_node(scene, node_name);
	struct buf out;

	if (node == NULL) {
		(void)err_set(err, -ENOENT, "there is no node '%s' among %zu", node_name, scene->node_count);
		return EX_NOINPUT;
	}
	buf_init(&out, OUT_BYTES);
	tell_node(node, &out);
	if (scene->set_count > 0)
		qsort(scene->sets, scene->set_count, sizeof scene->sets[0], compare_sets);
	for (size_t i = 0; i < scene->set_count; i++)
		tell_set(scene, scene->sets[i], node, &out);
	if (scene->set_count == 0)
		buf_add_text(&out, "\nthere is no CollectorSet\n");
	fputs(buf_text(&out), stdout);
	buf_release(&out);
	return EX_OK;
}

int explain_run(const struct controller_conf *conf, const char *node_name, const char *const *files)
{
	struct scene scene = {.served = conf->namespace_name};
	struct session *session = NULL;
	struct err err = {0};
	int code = EX_OK;

	for (size_t i = 0; code == EX_OK && files[i] != NULL; i++)
		code = read_one(&scene, files[i], &err);
	if (files[0] == NULL && session_open(&session, conf->kubeconfig, NULL, &err) != 0)
		code = EX_UNAVAILABLE;
	if (session != NULL) {
		if (scene.served == NULL)
			scene.served = session_namespace(session);
		code = list_all(&scene, session, &err);
	}
	if (code == EX_OK)
		code = tell(&scene, node_name, &err);
	if (code != EX_OK)
		fprintf(stderr, "drave-controller: %s\n", err.text);
	scene_release(&scene);
	session_close(session);
	return code;
}

/* Metadata from the API server: reflectors over pods, and where records carry their labels, namespaces and
 * the node.
 *
 * A ReplicaSet's Deployment is named by rule (pod_facts.c), so ReplicaSets are not read.  A list is not
 * final: the server may learn of a pod later than its files stand here (mirror pods do).
 *
 * Owns the reflectors; what they bring is the store's. */
#include "config.h"
#include "collector/metadata_api.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/must.h"
#include "common/reflector.h"

#define QUERY_BYTES 2048

struct labels_source { /* what a reflector of namespaces or nodes is given */
	struct pod_store *store;
	enum metadata_kind kind;
};

struct metadata_api {
	struct pod_store *store;
	struct labels_source namespaces_source, nodes_source;
	struct reflector *pods, *namespaces, *nodes; /* the last two NULL where nobody wants their labels */
	uint64_t number;
};

static void ignore_version(void *arg, const char *version)
{
	(void)arg, (void)version;
}

/* ---- pods --------------------------------------------------------------------------------------- */

static void on_pods_begin(void *arg)
{
	struct metadata_api *api = arg;

	api->number = pod_store_begin_list(api->store);
}

/* What cannot be read is passed over: one odd pod must not cost all others their labels. */
static bool on_pod(void *arg, const struct cJSON *object)
{
	pod_store_put(((struct metadata_api *)arg)->store, object);
	return true;
}

static void on_pod_deleted(void *arg, const struct cJSON *object)
{
	pod_store_remove(((struct metadata_api *)arg)->store, object);
}

static bool on_pods_end(void *arg, bool is_consistent)
{
	struct metadata_api *api = arg;

	(void)is_consistent; /* an older list is better than none: its changes follow */
	pod_store_end_list(api->store, api->number, false);
	return true;
}

static const struct reflector_ops pod_ops = {
    .on_list_begin = on_pods_begin,
    .on_object = on_pod,
    .on_deleted = on_pod_deleted,
    .on_list_end = on_pods_end,
    .on_version = ignore_version,
};

/* ---- labels of namespaces and the node ---------------------------------------------------------- */

static void on_labels_begin(void *arg)
{
	const struct labels_source *source = arg;

	pod_store_begin_labels(source->store, source->kind);
}

static bool on_labels(void *arg, const struct cJSON *object)
{
	const struct labels_source *source = arg;

	pod_store_put_labels(source->store, source->kind, object);
	return true;
}

static void on_labels_deleted(void *arg, const struct cJSON *object)
{
	const struct labels_source *source = arg;

	pod_store_remove_labels(source->store, source->kind, object);
}

static bool on_labels_end(void *arg, bool is_consistent)
{
	const struct labels_source *source = arg;

	(void)is_consistent;
	pod_store_end_labels(source->store, source->kind);
	return true;
}

static const struct reflector_ops label_ops = {
    .on_list_begin = on_labels_begin,
    .on_object = on_labels,
    .on_deleted = on_labels_deleted,
    .on_list_end = on_labels_end,
    .on_version = ignore_version,
};

/* ---- life --------------------------------------------------------------------------------------- */

/* fieldSelector=FIELD=NAME, escaped for a URL. */
static void add_selector(struct buf *query, const char *field, const char *name)
{
	must(buf_printf(query, "fieldSelector=%s%%3D", field));
	for (; *name != '\0'; name++) {
		bool is_plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
				(*name >= '0' && *name <= '9') || strchr("-._", *name) != NULL;

		must(is_plain ? buf_add(query, name, 1)
			      : buf_printf(query, "%%%02X", (unsigned)(unsigned char)*name));
	}
}

static uint64_t seed_of(const char *node_name)
{
	uint64_t seed = uv_hrtime();

	for (; *node_name != '\0'; node_name++)
		seed = seed * 31 + (unsigned char)*node_name;
	return seed;
}

int metadata_api_new(struct metadata_api **ret_api, uv_loop_t *loop, struct kube_client *client,
    struct pod_store *store, const struct metadata_choice *choice, const char *node_name, struct err *err)
{
	struct metadata_api *api = x_new(api);
	struct reflector_options pods = {.path = "/api/v1/pods", .name = "pods", .seed = seed_of(node_name)};
	struct reflector_options nodes = {.path = "/api/v1/nodes", .name = "nodes", .seed = pods.seed + 1};
	struct reflector_options namespaces = {
	    .path = "/api/v1/namespaces", .name = "namespaces", .seed = pods.seed + 2};
	struct buf of_node, node;
	int ret;

	buf_init(&of_node, QUERY_BYTES);
	buf_init(&node, QUERY_BYTES);
	add_selector(&of_node, "spec.nodeName", node_name);
	add_selector(&node, "metadata.name", node_name);
	pods.query = buf_text(&of_node);
	nodes.query = buf_text(&node);
	api->store = store;
	api->namespaces_source = (struct labels_source){store, METADATA_NAMESPACE_LABELS};
	api->nodes_source = (struct labels_source){store, METADATA_NODE_LABELS};
	ret = reflector_new(&api->pods, loop, client, &pods, &pod_ops, api, err);
	if (ret == 0 && metadata_choice_has(choice, METADATA_NAMESPACE_LABELS)) {
		pod_store_expect(store, METADATA_NAMESPACE_LABELS);
		ret = reflector_new(
		    &api->namespaces, loop, client, &namespaces, &label_ops, &api->namespaces_source, err);
	}
	if (ret == 0 && metadata_choice_has(choice, METADATA_NODE_LABELS)) {
		pod_store_expect(store, METADATA_NODE_LABELS);
		ret = reflector_new(&api->nodes, loop, client, &nodes, &label_ops, &api->nodes_source, err);
	}
	buf_release(&of_node);
	buf_release(&node);
	if (ret != 0)
		metadata_api_close(api);
	else
		*ret_api = api;
	return ret;
}

void metadata_api_close(struct metadata_api *api)
{
	struct reflector *const reflectors[] = {api->pods, api->namespaces, api->nodes};

	for (size_t i = 0; i < 3; i++)
		if (reflectors[i] != NULL)
			reflector_close(reflectors[i]);
	free(api); /* no callback comes any more */
}

struct metadata_api_state metadata_api_state(const struct metadata_api *api)
{
	const struct reflector *const reflectors[] = {api->pods, api->namespaces, api->nodes};
	struct reflector_counts of_pods = reflector_counts(api->pods);
	struct metadata_api_state state = {
	    .is_answering = of_pods.is_synced && of_pods.last_error[0] == '\0', .error = ""};

	for (size_t i = 0; i < 3; i++) {
		struct reflector_counts counts;

		if (reflectors[i] == NULL)
			continue;
		counts = reflector_counts(reflectors[i]);
		state.requests += counts.lists + counts.watches;
		state.failures += counts.errors;
		if (counts.last_error[0] != '\0' && state.error[0] == '\0')
			state.error = counts.last_error;
	}
	return state;
}

/* Objects as an API server might send them, read as each kind that the controller keeps: what is taken agrees
 * with itself, and what a template gives survives the way to the server and back. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "controller/collector_set.h"
#include "controller/node.h"
#include "controller/placement.h"
#include "controller/pod.h"
#include "controller/revision.h"

#define BYTES_MAX (16u << 20)

/* Sorted, each once, and found again. */
static void check_labels(const struct kube_labels *labels)
{
	for (size_t i = 0; i < labels->count; i++) {
		must(i == 0 || strcmp(labels->items[i - 1].key, labels->items[i].key) < 0);
		must(kube_labels_get(labels, labels->items[i].key) == labels->items[i].value);
	}
}

static void check_meta(const struct kube_meta *meta)
{
	must(meta->name != NULL && meta->uid != NULL && meta->resource_version != NULL);
	must(meta->namespace_name != NULL);
	must(kube_version_compare(meta->resource_version, meta->resource_version) == 0);
	must((meta->controller.kind == NULL) == (meta->controller.uid == NULL));
	check_labels(&meta->labels);
}

static void check_pod(const cJSON *object)
{
	struct pod *pod = NULL;

	if (pod_read(&pod, object, NULL) < 0)
		return;
	check_meta(&pod->meta);
	must(pod->node_name[0] == '\0' || strcmp(pod->target, pod->node_name) == 0);
	must(!pod_is_available(pod, 0, 0) || pod->is_ready);
	must(pod_compare(&pod, &pod) == 0);
	pod_free(pod);
}

static void check_canonical(const struct buf *data)
{
	char *text = xstrndup(data->data, data->len);
	cJSON *tree = cJSON_Parse(text);
	struct buf again;

	must(tree != NULL);
	buf_init(&again, BYTES_MAX);
	pod_template_canonical(tree, &again);
	must(again.len == data->len && memcmp(again.data, data->data, data->len) == 0);
	buf_release(&again);
	cJSON_Delete(tree);
	free(text);
}

/* The pod that is made of the set is read back as one for that node. */
static void check_mould(const struct collector_set *set, const char *hash)
{
	struct pod_mould *mould = pod_mould_new(set->pod_template, &set->meta, hash);
	struct buf body;
	cJSON *tree;

	buf_init(&body, BYTES_MAX);
	pod_mould_cast(mould, "node \"1\"", "name", &body);
	tree = cJSON_Parse(buf_text(&body));
	must(tree != NULL);
	cJSON_Delete(tree);
	buf_release(&body);
	pod_mould_free(mould);
}

static void check_template(const struct collector_set *set, const struct node *node)
{
	struct placement placement;
	char hash[POD_HASH_BYTES];
	struct buf out;

	buf_init(&out, BYTES_MAX);
	pod_template_data(set->pod_template, &out);
	check_canonical(&out);
	pod_template_hash(hash, out.data, out.len, set->status.collision_count);
	check_mould(set, hash);
	buf_clear(&out);
	placement = placement_explain(set->pod_template, node, &out);
	must(!placement.should_run || placement.should_continue);
	must(placement.should_run == placement_decide(set->pod_template, node).should_run);
	buf_release(&out);
}

static void check_set(const cJSON *object, const struct node *node)
{
	struct collector_set *set = NULL;
	struct buf out;
	cJSON *tree;

	if (collector_set_read(&set, object, NULL) < 0)
		return;
	check_meta(&set->meta);
	must(set_status_equal(&set->status, &set->status));
	buf_init(&out, BYTES_MAX);
	collector_set_status_body(set, &set->status, &out);
	tree = cJSON_Parse(buf_text(&out));
	must(tree != NULL);
	cJSON_Delete(tree);
	buf_release(&out);
	if (set->complaint == NULL) {
		must(set->strategy == ON_DELETE ||
		     (set->max_surge.number == 0) != (set->max_unavailable.number == 0));
		must(selector_matches(set->selector, &set->pod_template->labels));
		check_template(set, node);
	}
	collector_set_free(set);
}

static void check_revision(const cJSON *object)
{
	struct revision *revision = NULL;

	if (revision_read(&revision, object, NULL) < 0)
		return;
	check_meta(&revision->meta);
	must(revision_compare(&revision, &revision) == 0);
	revision_free(revision);
}

static struct node *plain_node(void)
{
	cJSON *json = cJSON_Parse("{\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"1\"}}");
	struct node *node = NULL;

	must(node_read(&node, json, NULL) == 0);
	cJSON_Delete(json);
	return node;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = xstrndup((const char *)bytes, len);
	cJSON *object = cJSON_Parse(text);
	struct node *node = NULL;

	if (object != NULL) {
		if (node_read(&node, object, NULL) == 0) {
			check_meta(&node->meta);
			must(!node_differs(node, node));
		} else {
			node = plain_node();
		}
		check_pod(object);
		check_set(object, node);
		check_revision(object);
		node_free(node);
		cJSON_Delete(object);
	}
	(void)kube_time_ms(text);
	free(text);
	return 0;
}

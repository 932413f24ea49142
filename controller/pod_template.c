/* Pod template.  The tree stays as it came; beside it stands what placement asks for, read once.  A mould is
 * a pod printed once for all nodes, with two gaps: its name and its node's, so that 5,000 pods cost one tree
 * and 5,000 splices.  Pure. */
#include "config.h"

#include "controller/pod_template.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/must.h"
#include "controller/pod.h"

#define SET_NAME_BYTES 40
#define API_VERSION    "drave.dev/v1alpha1"
#define KIND           "CollectorSet"

static cJSON *child(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static bool has_host_port(const cJSON *spec)
{
	static const char *const lists[] = {"containers", "initContainers"};
	const cJSON *container, *port;

	if (cJSON_IsTrue(child(spec, "hostNetwork")))
		return true;
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		cJSON_ArrayForEach(container, child(spec, lists[i])) cJSON_ArrayForEach(port,
		    child(container, "ports")) if (cJSON_IsNumber(child(port, "hostPort")) &&
						   child(port, "hostPort")->valuedouble > 0) return true;
	return false;
}

/* V-4. */
static int check_spec(const cJSON *spec, struct err *err)
{
	const char *restart_policy;
	const cJSON *containers;

	if (!kube_text(spec, "restartPolicy", &restart_policy, err) ||
	    !kube_list(spec, "containers", &containers, err))
		return -EINVAL;
	if (cJSON_GetArraySize(containers) == 0)
		return err_set(err, -EINVAL, "spec.template.spec.containers has none");
	if (restart_policy != NULL && strcmp(restart_policy, "Always") != 0)
		return err_set(err, -EINVAL,
		    "spec.template.spec.restartPolicy is '%.40s', but a pod on each node can only have "
		    "Always",
		    restart_policy);
	if (child(spec, "activeDeadlineSeconds") != NULL &&
	    !cJSON_IsNull(child(spec, "activeDeadlineSeconds")))
		return err_set(err, -EINVAL, "spec.template.spec.activeDeadlineSeconds cannot be used");
	if (cJSON_GetArraySize(child(spec, "ephemeralContainers")) != 0)
		return err_set(err, -EINVAL, "spec.template.spec.ephemeralContainers cannot be used");
	return 0;
}

static int read_all(struct pod_template *pod_template, struct err *err)
{
	const cJSON *metadata, *spec, *labels = NULL, *selector, *affinity, *tolerations;
	const char *node_name;
	int ret;

	if (!kube_child(pod_template->tree, "metadata", &metadata, err) ||
	    !kube_child(pod_template->tree, "spec", &spec, err))
		return -EINVAL;
	if (spec == NULL)
		return err_set(err, -EINVAL, "spec.template.spec is missing");
	if ((metadata != NULL && !kube_child(metadata, "labels", &labels, err)) ||
	    !kube_text(spec, "nodeName", &node_name, err) ||
	    !kube_child(spec, "nodeSelector", &selector, err) ||
	    !kube_child(spec, "affinity", &affinity, err) ||
	    !kube_list(spec, "tolerations", &tolerations, err))
		return -EINVAL;
	pod_template->node_name = node_name != NULL ? node_name : "";
	pod_template->has_host_port = has_host_port(spec);
	ret = check_spec(spec, err);
	if (ret == 0)
		ret = kube_labels_read(&pod_template->labels, labels, err);
	if (ret == 0)
		ret = kube_labels_read(&pod_template->node_selector, selector, err);
	if (ret == 0)
		ret = affinity_read(&pod_template->affinity, affinity, err);
	if (ret == 0)
		ret = tolerations_read(
		    &pod_template->tolerations, tolerations, cJSON_IsTrue(child(spec, "hostNetwork")), err);
	return ret;
}

int pod_template_read(struct pod_template **ret_template, const cJSON *object, struct err *err)
{
	struct pod_template *pod_template;
	int ret;

	if (object == NULL || !cJSON_IsObject(object))
		return err_set(err, -EINVAL, "spec.template is missing");
	pod_template = x_new(pod_template);
	pod_template->tree = cJSON_Duplicate(object, true);
	must(pod_template->tree != NULL);
	ret = read_all(pod_template, err);
	if (ret < 0) {
		pod_template_free(pod_template);
		return ret;
	}
	*ret_template = pod_template;
	return 0;
}

void pod_template_free(struct pod_template *pod_template)
{
	if (pod_template == NULL)
		return;
	kube_labels_release(&pod_template->labels);
	kube_labels_release(&pod_template->node_selector);
	affinity_free(pod_template->affinity);
	tolerations_release(&pod_template->tolerations);
	cJSON_Delete(pod_template->tree);
	free(pod_template);
}

/* ---- canonical bytes and their hash -------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
	return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

static void add_object(const cJSON *tree, struct buf *out)
{
	size_t count = (size_t)cJSON_GetArraySize(tree), i = 0;
	const cJSON **items = xcalloc(count + 1, sizeof items[0]), *item;

	cJSON_ArrayForEach(item, tree) items[i++] = item;
	if (count > 1)
		qsort(items, count, sizeof items[0], compare_keys);
	buf_add_text(out, "{");
	for (i = 0; i < count; i++) {
		buf_add_text(out, i != 0 ? "," : "");
		buf_add_json(out, items[i]->string, strlen(items[i]->string));
		buf_add_text(out, ":");
		pod_template_canonical(items[i], out);
	}
	buf_add_text(out, "}");
	free(items);
}

static void add_printed(const cJSON *tree, struct buf *out)
{
	char *text = cJSON_PrintUnformatted(tree);

	must(text != NULL);
	buf_add_text(out, text);
	cJSON_free(text);
}

void pod_template_canonical(const cJSON *tree, struct buf *out)
{
	const cJSON *item;

	if (cJSON_IsObject(tree)) {
		add_object(tree, out);
	} else if (cJSON_IsArray(tree)) {
		buf_add_text(out, "[");
		cJSON_ArrayForEach(item, tree)
		{
			buf_add_text(out, item != tree->child ? "," : "");
			pod_template_canonical(item, out);
		}
		buf_add_text(out, "]");
	} else if (cJSON_IsString(tree)) {
		buf_add_json(out, tree->valuestring, strlen(tree->valuestring));
	} else {
		add_printed(tree, out);
	}
}

/* Through a tree, so that "$patch" stands where the sorting of a revision that comes back will put it. */
void pod_template_data(const struct pod_template *pod_template, struct buf *out)
{
	cJSON *tree = cJSON_Duplicate(pod_template->tree, true);

	must(tree != NULL);
	cJSON_DeleteItemFromObjectCaseSensitive(tree, "$patch");
	must(cJSON_AddStringToObject(tree, "$patch", "replace") != NULL);
	buf_add_text(out, "{\"spec\":{\"template\":");
	pod_template_canonical(tree, out);
	buf_add_text(out, "}}");
	cJSON_Delete(tree);
}

static uint32_t fnv1a(uint32_t hash, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * UINT32_C(16777619);
	return hash;
}

void pod_template_hash(char out[POD_HASH_BYTES], const char *data, size_t len, int64_t collision_count)
{
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	uint32_t hash = fnv1a(UINT32_C(2166136261), data, len);
	char count[8] = {0};

	if (collision_count >= 0) {
		for (int i = 0; i < 4; i++)
			count[i] = (char)((uint64_t)collision_count >> (8 * i) & 0xff);
		hash = fnv1a(hash, count, sizeof count);
	}
	(void)snprintf(out, POD_HASH_BYTES, "%u", (unsigned)hash);
	for (size_t i = 0; out[i] != '\0'; i++)
		out[i] = alphabet[(size_t)(unsigned char)out[i] % (sizeof alphabet - 1)];
}

struct pod_name pod_name_make(
    const char *set_name, const char *node_name, const char *node_uid, const char *hash, unsigned attempt)
{
	size_t set_len = strnlen(set_name, SET_NAME_BYTES);
	struct pod_name name;
	char identity[512]; /* node name, NUL, node UID: a name has at most 253 bytes, a UID 36 */
	size_t len;

	while (set_len > 1 &&
	       (set_name[set_len - 1] == '-' || set_name[set_len - 1] == '.')) /* "a.-b" is no name */
		set_len--;
	len = (size_t)snprintf(identity, sizeof identity, "%s%c%s", node_name, '\0', node_uid);
	len = len < sizeof identity ? len : sizeof identity - 1;
	len = (size_t)snprintf(name.text, sizeof name.text, "%.*s-%010llx-%s", (int)set_len, set_name,
	    (unsigned long long)XXH3_64bits(identity, len) >> 24, hash);
	must(len < sizeof name.text);
	if (attempt >= 2)
		(void)snprintf(name.text + len, sizeof name.text - len, "-%u", attempt);
	return name;
}

/* ---- moulds -------------------------------------------------------------------------------------------- */

struct pod_mould {
	struct buf head, middle, tail; /* before the pod's name, between it and the node's, behind that */
};

/* An object's members without its braces, with a comma before them if there are any. */
static void add_members(const cJSON *object, struct buf *out)
{
	char *text = cJSON_PrintUnformatted(object);
	size_t len;

	must(text != NULL);
	len = strlen(text);
	if (len > 2) {
		buf_add_text(out, ",");
		buf_add(out, text + 1, len - 2);
	}
	cJSON_free(text);
}

static cJSON *copy_or_new(const cJSON *object)
{
	cJSON *copy = cJSON_IsObject(object) ? cJSON_Duplicate(object, true) : cJSON_CreateObject();

	must(copy != NULL);
	return copy;
}

/* Takes the member out of the object: its copy, or an empty object. */
static cJSON *detach(cJSON *object, const char *key)
{
	cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(object, key);

	if (cJSON_IsObject(item))
		return item;
	cJSON_Delete(item);
	return copy_or_new(NULL);
}

static void add_owner(cJSON *metadata, const struct kube_meta *set)
{
	cJSON *owners = cJSON_AddArrayToObject(metadata, "ownerReferences"), *owner = copy_or_new(NULL);

	must(owners != NULL && cJSON_AddItemToArray(owners, owner));
	must(cJSON_AddStringToObject(owner, "apiVersion", API_VERSION) != NULL &&
	     cJSON_AddStringToObject(owner, "kind", KIND) != NULL &&
	     cJSON_AddStringToObject(owner, "name", set->name) != NULL &&
	     cJSON_AddStringToObject(owner, "uid", set->uid) != NULL &&
	     cJSON_AddTrueToObject(owner, "controller") != NULL &&
	     cJSON_AddTrueToObject(owner, "blockOwnerDeletion") != NULL);
}

/* All but the name: labels, annotations and finalizers of the template, namespace, hash label, owner (B-4).
 */
static cJSON *mould_metadata(const cJSON *template_metadata, const struct kube_meta *set, const char *hash)
{
	static const char *const kept[] = {"annotations", "finalizers"};
	cJSON *metadata = copy_or_new(NULL), *labels = copy_or_new(child(template_metadata, "labels"));

	must(cJSON_AddStringToObject(metadata, "namespace", set->namespace_name) != NULL);
	cJSON_DeleteItemFromObjectCaseSensitive(labels, POD_HASH_LABEL);
	must(cJSON_AddStringToObject(labels, POD_HASH_LABEL, hash) != NULL &&
	     cJSON_AddItemToObject(metadata, "labels", labels));
	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
		if (child(template_metadata, kept[i]) != NULL)
			must(cJSON_AddItemToObject(
			    metadata, kept[i], cJSON_Duplicate(child(template_metadata, kept[i]), true)));
	add_owner(metadata, set);
	return metadata;
}

struct pod_mould *pod_mould_new(
    const struct pod_template *pod_template, const struct kube_meta *set, const char *hash)
{
	struct pod_mould *mould = x_new(mould);
	cJSON *metadata = mould_metadata(child(pod_template->tree, "metadata"), set, hash);
	cJSON *spec = copy_or_new(child(pod_template->tree, "spec")), *affinity, *node_affinity;

	tolerations_add_automatic(spec);
	affinity = detach(spec, "affinity");
	node_affinity = detach(affinity, "nodeAffinity");
	cJSON_DeleteItemFromObjectCaseSensitive(
	    node_affinity, "requiredDuringSchedulingIgnoredDuringExecution");
	buf_init(&mould->head, POD_TEMPLATE_BYTES);
	buf_init(&mould->middle, 2 * POD_TEMPLATE_BYTES);
	buf_init(&mould->tail, 2 * POD_TEMPLATE_BYTES);
	buf_add_text(&mould->head, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":");
	add_members(metadata, &mould->middle);
	buf_add_text(&mould->middle,
	    "},\"spec\":{\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":"
	    "{\"nodeSelectorTerms\":[{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\","
	    "\"values\":[");
	buf_add_text(&mould->tail, "]}]}]}");
	add_members(node_affinity, &mould->tail);
	buf_add_text(&mould->tail, "}");
	add_members(affinity, &mould->tail);
	buf_add_text(&mould->tail, "}");
	add_members(spec, &mould->tail);
	buf_add_text(&mould->tail, "}}");
	cJSON_Delete(metadata);
	cJSON_Delete(spec);
	cJSON_Delete(affinity);
	cJSON_Delete(node_affinity);
	return mould;
}

void pod_mould_free(struct pod_mould *mould)
{
	if (mould == NULL)
		return;
	buf_release(&mould->head);
	buf_release(&mould->middle);
	buf_release(&mould->tail);
	free(mould);
}

void pod_mould_cast(
    const struct pod_mould *mould, const char *node_name, const char *pod_name, struct buf *out)
{
	buf_add(out, mould->head.data, mould->head.len);
	buf_add_json(out, pod_name, strlen(pod_name));
	buf_add(out, mould->middle.data, mould->middle.len);
	buf_add_json(out, node_name, strlen(node_name));
	buf_add(out, mould->tail.data, mould->tail.len);
}

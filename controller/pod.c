/* Pod.  What the core asks of a pod: whose it is, which node it is for, how it fares.  Everything else of the
 * object is dropped while reading.  Pure. */
#include "config.h"

#include "controller/pod.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/shared_texts.h"

static const struct {
	const char *text;
	enum pod_phase phase;
} phases[] = {
    {"Pending", POD_PENDING},
    {"Running", POD_RUNNING},
    {"Succeeded", POD_SUCCEEDED},
    {"Failed", POD_FAILED},
};

static enum pod_phase phase_of(const char *text)
{
	if (text == NULL || text[0] == '\0') /* not yet set by the API server */
		return POD_PENDING;
	for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
		if (strcmp(text, phases[i].text) == 0)
			return phases[i].phase;
	return POD_UNKNOWN;
}

static const cJSON *child(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool text_is(const cJSON *item, const char *wanted)
{
	return cJSON_IsString(item) && strcmp(item->valuestring, wanted) == 0;
}

/* The only value of a list, or NULL. */
static const char *only_value(const cJSON *values)
{
	if (cJSON_GetArraySize(values) != 1 || !cJSON_IsString(values->child))
		return NULL;
	return values->child->valuestring;
}

/* B-3: the first matchField `metadata.name In` decides, also where it names several nodes and so none. */
static const char *affinity_target(const cJSON *spec)
{
	const cJSON *required = child(
	    child(child(spec, "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution");
	const cJSON *term, *requirement;

	cJSON_ArrayForEach(term, child(required, "nodeSelectorTerms"))
	    cJSON_ArrayForEach(requirement, child(term, "matchFields"))
	{
		if (text_is(child(requirement, "key"), "metadata.name") &&
		    text_is(child(requirement, "operator"), "In"))
			return only_value(child(requirement, "values"));
	}
	return NULL;
}

static bool read_ready(struct pod *pod, const cJSON *status, struct err *err)
{
	const cJSON *conditions, *condition;
	const char *type, *is_true, *since;

	if (!kube_list(status, "conditions", &conditions, err))
		return false;
	cJSON_ArrayForEach(condition, conditions)
	{
		if (!kube_text(condition, "type", &type, err) ||
		    !kube_text(condition, "status", &is_true, err) ||
		    !kube_text(condition, "lastTransitionTime", &since, err))
			return false;
		if (type == NULL || strcmp(type, "Ready") != 0)
			continue;
		pod->is_ready = is_true != NULL && strcmp(is_true, "True") == 0;
		pod->ready_since_ms = since != NULL ? kube_time_ms(since) : 0;
	}
	return true;
}

static bool read_body(struct pod *pod, const cJSON *object, struct err *err)
{
	const char *node_name = NULL, *phase = NULL, *reason = NULL, *target;
	const cJSON *spec, *status;
	size_t name_size, target_size, reason_size;
	char *memory;

	if (!kube_child(object, "spec", &spec, err) || !kube_child(object, "status", &status, err))
		return false;
	if (spec != NULL && !kube_text(spec, "nodeName", &node_name, err))
		return false;
	if (status != NULL &&
	    (!kube_text(status, "phase", &phase, err) || !kube_text(status, "reason", &reason, err) ||
		!read_ready(pod, status, err)))
		return false;
	pod->phase = phase_of(phase);
	target = node_name != NULL && node_name[0] != '\0' ? node_name : affinity_target(spec);
	name_size = node_name != NULL ? strlen(node_name) + 1 : 1;
	target_size = target != NULL && target != node_name ? strlen(target) + 1 : 0;
	reason_size = reason != NULL ? strlen(reason) + 1 : 1;
	pod->memory = memory = xcalloc(1, name_size + target_size + reason_size);
	memcpy(memory, node_name != NULL ? node_name : "", name_size);
	pod->node_name = memory;
	memcpy(memory + name_size, reason != NULL ? reason : "", reason_size);
	pod->reason = memory + name_size;
	if (target_size != 0)
		memcpy(memory + name_size + reason_size, target, target_size);
	pod->target = target == NULL     ? NULL
		      : target_size != 0 ? memory + name_size + reason_size
					 : pod->node_name;
	return true;
}

int pod_read(struct pod **ret_pod, const cJSON *object, struct err *err)
{
	struct pod *pod = x_new(pod);
	int ret = kube_meta_read(&pod->meta, object, err);

	if (ret == 0 && !read_body(pod, object, err))
		ret = -EINVAL;
	if (ret < 0) {
		pod_free(pod);
		return ret;
	}
	*ret_pod = pod;
	return 0;
}

void pod_share(struct pod *pod, struct shared_texts *texts)
{
	kube_meta_share(&pod->meta, texts, false);
	pod->node_name = shared_texts_take(texts, pod->node_name); /* the node's own name, mostly */
	pod->target = shared_texts_take(texts, pod->target);
	pod->reason = shared_texts_take(texts, pod->reason);
	free(pod->memory);
	pod->memory = NULL;
}

void pod_free(struct pod *pod)
{
	if (pod == NULL)
		return;
	if (pod->meta.is_shared) {
		shared_text_give_back(pod->node_name);
		shared_text_give_back(pod->target);
		shared_text_give_back(pod->reason);
	}
	kube_meta_release(&pod->meta);
	free(pod->memory);
	free(pod);
}

bool pod_is_terminal(const struct pod *pod)
{
	return pod->phase == POD_FAILED || pod->phase == POD_SUCCEEDED;
}

bool pod_is_terminating(const struct pod *pod)
{
	return pod->meta.deleted_ms != 0;
}

bool pod_is_available(const struct pod *pod, int64_t min_ready_s, int64_t now_ms)
{
	if (!pod->is_ready)
		return false;
	return min_ready_s == 0 ||
	       (pod->ready_since_ms != 0 && pod->ready_since_ms + min_ready_s * 1000 < now_ms);
}

const char *pod_hash(const struct pod *pod)
{
	const char *hash = kube_labels_get(&pod->meta.labels, POD_HASH_LABEL);

	return hash != NULL ? hash : "";
}

int pod_compare(const void *a, const void *b)
{
	const struct pod *left = *(const struct pod *const *)a, *right = *(const struct pod *const *)b;
	bool left_bound = left->node_name[0] != '\0', right_bound = right->node_name[0] != '\0';

	if (left_bound != right_bound)
		return left_bound ? -1 : 1;
	if (left->meta.created_ms != right->meta.created_ms)
		return left->meta.created_ms < right->meta.created_ms ? -1 : 1;
	return strcmp(left->meta.name, right->meta.name);
}

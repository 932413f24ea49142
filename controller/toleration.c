/* Toleration.  Which taints a pod bears, and the tolerations that every pod of a set gets whether its
 * template names them or not.  Pure. */
#include "config.h"

#include "controller/toleration.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

/* in upstream's order, which shows in the pod's spec. */
static const struct automatic {
	const char *key, *effect;
	bool only_host_network;
} automatic[] = {
    {"node.kubernetes.io/not-ready", "NoExecute", false},
    {"node.kubernetes.io/unreachable", "NoExecute", false},
    {"node.kubernetes.io/disk-pressure", "NoSchedule", false},
    {"node.kubernetes.io/memory-pressure", "NoSchedule", false},
    {"node.kubernetes.io/pid-pressure", "NoSchedule", false},
    {"node.kubernetes.io/unschedulable", "NoSchedule", false},
    {"node.kubernetes.io/network-unavailable", "NoSchedule", true},
};

const char *taint_effect_text(enum taint_effect effect)
{
	switch (effect) {
	case TAINT_NO_SCHEDULE: return "NoSchedule";
	case TAINT_PREFER_NO_SCHEDULE: return "PreferNoSchedule";
	case TAINT_NO_EXECUTE: return "NoExecute";
	case TAINT_OTHER: break;
	}
	return "an unknown effect";
}

static bool text_is(const cJSON *object, const char *key, const char *wanted)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return strcmp(cJSON_IsString(item) ? item->valuestring : "", wanted) == 0;
}

static cJSON *automatic_item(const struct automatic *one)
{
	cJSON *item = cJSON_CreateObject();

	must(item != NULL);
	must(cJSON_AddStringToObject(item, "key", one->key) != NULL &&
	     cJSON_AddStringToObject(item, "operator", "Exists") != NULL &&
	     cJSON_AddStringToObject(item, "effect", one->effect) != NULL);
	return item;
}

/* Identical entries (key, effect, operator, value; their seconds do not count) are replaced where they stand.
 */
static void add_or_replace(cJSON *array, const struct automatic *one)
{
	bool is_there = false;

	for (int i = 0; i < cJSON_GetArraySize(array); i++) {
		const cJSON *item = cJSON_GetArrayItem(array, i);

		if (text_is(item, "key", one->key) && text_is(item, "effect", one->effect) &&
		    text_is(item, "operator", "Exists") && text_is(item, "value", "")) {
			must(cJSON_ReplaceItemInArray(array, i, automatic_item(one)));
			is_there = true;
		}
	}
	if (!is_there)
		must(cJSON_AddItemToArray(array, automatic_item(one)));
}

static void add_all(cJSON *array, bool host_network)
{
	for (size_t i = 0; i < sizeof automatic / sizeof automatic[0]; i++)
		if (!automatic[i].only_host_network || host_network)
			add_or_replace(array, &automatic[i]);
}

void tolerations_add_automatic(cJSON *pod_spec)
{
	cJSON *array = cJSON_GetObjectItemCaseSensitive(pod_spec, "tolerations");

	if (!cJSON_IsArray(array)) { /* absent or null */
		cJSON_DeleteItemFromObjectCaseSensitive(pod_spec, "tolerations");
		array = cJSON_AddArrayToObject(pod_spec, "tolerations");
		must(array != NULL);
	}
	add_all(array, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(pod_spec, "hostNetwork")));
}

static int read_one(const cJSON *item, struct toleration *ret_toleration, struct err *err)
{
	const char **const fields[] = {&ret_toleration->key, &ret_toleration->operator_,
	    &ret_toleration->value, &ret_toleration->effect};
	static const char *const names[] = {"key", "operator", "value", "effect"};

	if (!cJSON_IsObject(item))
		return err_set(err, -EINVAL, "a toleration is not an object");
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (!kube_text(item, names[i], fields[i], err))
			return -EINVAL;
		if (*fields[i] == NULL)
			*fields[i] = "";
	}
	return 0;
}

/* The texts are lent by the array, which the tolerations keep as their memory. */
int tolerations_read(
    struct tolerations *ret_tolerations, const cJSON *array, bool host_network, struct err *err)
{
	struct tolerations tolerations = {.count = 0};
	cJSON *copy = array != NULL ? cJSON_Duplicate(array, true) : cJSON_CreateArray();
	const cJSON *item;
	int ret = 0;

	must(copy != NULL);
	add_all(copy, host_network);
	tolerations.memory = copy;
	tolerations.items = xcalloc((size_t)cJSON_GetArraySize(copy), sizeof tolerations.items[0]);
	cJSON_ArrayForEach(item, copy)
	{
		ret = read_one(item, &tolerations.items[tolerations.count++], err);
		if (ret < 0) {
			tolerations_release(&tolerations);
			return ret;
		}
	}
	*ret_tolerations = tolerations;
	return 0;
}

void tolerations_release(struct tolerations *tolerations)
{
	free(tolerations->items);
	cJSON_Delete(tolerations->memory);
	*tolerations = (struct tolerations){.count = 0};
}

/* T-1 to T-3.  The operators Lt and Gt (T-4) are behind a gate upstream that is off, so they tolerate
 * nothing. */
bool toleration_tolerates(const struct toleration *toleration, const struct taint *taint)
{
	if (toleration->effect[0] != '\0' &&
	    strcmp(toleration->effect, taint_effect_text(taint->effect)) != 0)
		return false;
	if (toleration->key[0] != '\0' && strcmp(toleration->key, taint->key) != 0)
		return false;
	if (toleration->operator_[0] == '\0' || strcmp(toleration->operator_, "Equal") == 0)
		return strcmp(toleration->value, taint->value) == 0;
	return strcmp(toleration->operator_, "Exists") == 0;
}

static bool is_tolerated(const struct tolerations *tolerations, const struct taint *taint)
{
	for (size_t i = 0; i < tolerations->count; i++)
		if (toleration_tolerates(&tolerations->items[i], taint))
			return true;
	return false;
}

const struct taint *tolerations_missing(
    const struct tolerations *tolerations, const struct node *node, bool no_schedule, bool no_execute)
{
	for (size_t i = 0; i < node->taint_count; i++) {
		const struct taint *taint = &node->taints[i];

		if (((taint->effect == TAINT_NO_SCHEDULE && no_schedule) ||
			(taint->effect == TAINT_NO_EXECUTE && no_execute)) &&
		    !is_tolerated(tolerations, taint))
			return taint;
	}
	return NULL;
}

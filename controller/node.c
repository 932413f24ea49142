/* Node.  A Node object is 10 to 20 KB of JSON; placement needs its name, labels and taints, which is what is
 * kept.  Conditions, capacity and images are not even looked at (E-9).  Pure. */
#include "config.h"

#include "controller/node.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

static enum taint_effect effect_of(const char *text)
{
	if (strcmp(text, "NoSchedule") == 0)
		return TAINT_NO_SCHEDULE;
	if (strcmp(text, "NoExecute") == 0)
		return TAINT_NO_EXECUTE;
	return strcmp(text, "PreferNoSchedule") == 0 ? TAINT_PREFER_NO_SCHEDULE : TAINT_OTHER;
}

/* A taint's texts, lent by the tree; an absent value is the empty one. */
static bool read_taint(const cJSON *item, struct taint *ret_taint, struct err *err)
{
	const char *effect;

	if (!cJSON_IsObject(item)) {
		(void)err_set(err, -EINVAL, "a taint is not an object");
		return false;
	}
	if (!kube_text(item, "key", &ret_taint->key, err) ||
	    !kube_text(item, "value", &ret_taint->value, err) || !kube_text(item, "effect", &effect, err))
		return false;
	if (ret_taint->key == NULL || effect == NULL) {
		(void)err_set(err, -EINVAL, "a taint without key or effect");
		return false;
	}
	ret_taint->effect = effect_of(effect);
	if (ret_taint->value == NULL)
		ret_taint->value = "";
	return true;
}

static char *copy_text(const char **text, char *into)
{
	size_t size = strlen(*text) + 1;

	memcpy(into, *text, size);
	*text = into;
	return into + size;
}

static int read_taints(struct node *node, const cJSON *taints, struct err *err)
{
	size_t bytes = 0, i = 0;
	struct taint taint;
	const cJSON *item;
	char *cursor;

	cJSON_ArrayForEach(item, taints)
	{
		if (!read_taint(item, &taint, err))
			return -EINVAL;
		node->taint_count++;
		bytes += strlen(taint.key) + strlen(taint.value) + 2;
	}
	if (node->taint_count == 0)
		return 0;
	node->memory = xmalloc(node->taint_count * sizeof taint + bytes);
	node->taints = node->memory;
	cursor = (char *)node->memory + node->taint_count * sizeof taint;
	cJSON_ArrayForEach(item, taints)
	{
		must(read_taint(item, &node->taints[i], NULL));
		cursor = copy_text(&node->taints[i].key, cursor);
		cursor = copy_text(&node->taints[i].value, cursor);
		i++;
	}
	return 0;
}

int node_read(struct node **ret_node, const cJSON *object, struct err *err)
{
	struct node *node = x_new(node);
	const cJSON *spec, *taints = NULL;
	int ret = kube_meta_read(&node->meta, object, err);

	if (ret == 0 && !kube_child(object, "spec", &spec, err))
		ret = -EINVAL;
	if (ret == 0 && spec != NULL) {
		node->is_unschedulable =
		    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(spec, "unschedulable"));
		ret = kube_list(spec, "taints", &taints, err) ? read_taints(node, taints, err) : -EINVAL;
	}
	if (ret < 0) {
		node_free(node);
		return ret;
	}
	*ret_node = node;
	return 0;
}

void node_share(struct node *node, struct shared_texts *texts)
{
	kube_meta_share(&node->meta, texts, true); /* its name is its label's value and its pods' target, too */
}

void node_free(struct node *node)
{
	if (node == NULL)
		return;
	kube_meta_release(&node->meta);
	free(node->memory);
	free(node);
}

bool node_differs(const struct node *a, const struct node *b)
{
	if (strcmp(a->meta.uid, b->meta.uid) != 0 || (a->meta.deleted_ms != 0) != (b->meta.deleted_ms != 0) ||
	    a->taint_count != b->taint_count || !kube_labels_equal(&a->meta.labels, &b->meta.labels))
		return true;
	for (size_t i = 0; i < a->taint_count; i++)
		if (a->taints[i].effect != b->taints[i].effect ||
		    strcmp(a->taints[i].key, b->taints[i].key) != 0 ||
		    strcmp(a->taints[i].value, b->taints[i].value) != 0)
			return true;
	return false;
}

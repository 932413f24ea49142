/* Revision.  A ControllerRevision keeps one template as a patch; two are the same if their canonical bytes
 * are (H-1).  Pure. */
#include "config.h"

#include "controller/revision.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "controller/pod.h"

#define NAME_PREFIX_BYTES 223
#define LAST_APPLIED      "kubectl.kubernetes.io/last-applied-configuration"

int revision_read(struct revision **ret_revision, const cJSON *object, struct err *err)
{
	struct revision *revision = x_new(revision);
	const cJSON *data = NULL;
	struct buf text;
	int ret = kube_meta_read(&revision->meta, object, err);

	if (ret == 0 && (!kube_number(object, "revision", 0, &revision->number, err) ||
			    !kube_child(object, "data", &data, err)))
		ret = -EINVAL;
	if (ret < 0) {
		revision_free(revision);
		return ret;
	}
	buf_init(&text, 2 * POD_TEMPLATE_BYTES);
	if (data != NULL)
		pod_template_canonical(data, &text);
	(void)buf_text(&text);
	revision->data_len = text.len;
	revision->data = text.data; /* moved */
	*ret_revision = revision;
	return 0;
}

void revision_free(struct revision *revision)
{
	if (revision == NULL)
		return;
	kube_meta_release(&revision->meta);
	free(revision->data);
	free(revision);
}

const char *revision_hash(const struct revision *revision)
{
	const char *hash = kube_labels_get(&revision->meta.labels, POD_HASH_LABEL);

	return hash != NULL ? hash : "";
}

void revision_name(char out[REVISION_NAME_BYTES], const char *set_name, const char *hash)
{
	(void)snprintf(out, REVISION_NAME_BYTES, "%.*s-%s", NAME_PREFIX_BYTES, set_name, hash);
}

static cJSON *object_in(cJSON *parent, const char *key)
{
	cJSON *object = cJSON_AddObjectToObject(parent, key);

	must(object != NULL);
	return object;
}

static void set_text(cJSON *object, const char *key, const char *text)
{
	must(cJSON_AddStringToObject(object, key, text) != NULL);
}

static void add_metadata(cJSON *metadata, const struct collector_set *set, const char *hash)
{
	const cJSON *annotations = cJSON_GetObjectItemCaseSensitive(
			cJSON_GetObjectItemCaseSensitive(set->tree, "metadata"), "annotations"),
		    *item;
	const struct kube_labels *labels = &set->pod_template->labels;
	char name[REVISION_NAME_BYTES];
	cJSON *copy, *owners, *owner;

	revision_name(name, set->meta.name, hash);
	set_text(metadata, "name", name);
	set_text(metadata, "namespace", set->meta.namespace_name);
	copy = object_in(metadata, "labels");
	for (size_t i = 0; i < labels->count; i++)
		if (strcmp(labels->items[i].key, POD_HASH_LABEL) != 0)
			set_text(copy, labels->items[i].key, labels->items[i].value);
	set_text(copy, POD_HASH_LABEL, hash);
	copy = object_in(metadata, "annotations");
	cJSON_ArrayForEach(
	    item, annotations) if (cJSON_IsString(item) && strcmp(item->string, LAST_APPLIED) != 0)
	    set_text(copy, item->string, item->valuestring);
	owners = cJSON_AddArrayToObject(metadata, "ownerReferences");
	owner = cJSON_CreateObject();
	must(owners != NULL && owner != NULL && cJSON_AddItemToArray(owners, owner));
	set_text(owner, "apiVersion", COLLECTOR_SET_API);
	set_text(owner, "kind", COLLECTOR_SET_KIND);
	set_text(owner, "name", set->meta.name);
	set_text(owner, "uid", set->meta.uid);
	must(cJSON_AddTrueToObject(owner, "controller") != NULL &&
	     cJSON_AddTrueToObject(owner, "blockOwnerDeletion") != NULL);
}

void revision_body(const struct collector_set *set, const char *hash, int64_t number, const char *data,
    size_t len, struct buf *out)
{
	cJSON *metadata = cJSON_CreateObject();
	char *text;

	must(metadata != NULL);
	add_metadata(metadata, set, hash);
	text = cJSON_PrintUnformatted(metadata);
	must(text != NULL);
	buf_printf(out,
	    "{\"apiVersion\":\"apps/"
	    "v1\",\"kind\":\"ControllerRevision\",\"metadata\":%s,\"revision\":%" PRId64 ",\"data\":",
	    text, number);
	buf_add(out, data, len);
	buf_add_text(out, "}");
	cJSON_free(text);
	cJSON_Delete(metadata);
}

int revision_compare(const void *a, const void *b)
{
	const struct revision *left = *(const struct revision *const *)a,
			      *right = *(const struct revision *const *)b;

	if (left->number != right->number)
		return left->number < right->number ? -1 : 1;
	if (left->meta.created_ms != right->meta.created_ms)
		return left->meta.created_ms < right->meta.created_ms ? -1 : 1;
	return strcmp(left->meta.name, right->meta.name);
}

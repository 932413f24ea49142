/* Kube object.  What all Kubernetes objects say about themselves, cut down to what somebody here asks for.
 * One allocation holds all strings of an object: it is measured first and filled then.  Where records are
 * kept by the thousand, what they have in common is moved to shared texts.  It owns nothing of the JSON tree
 * that it reads.  Pure. */
#include "config.h"

#include "common/kube_object.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/must.h"
#include "common/shared_texts.h"

/* ---- reading fields ---------------------------------------------------------------------------------- */

/* NULL both where the key is absent and where it is null, which the API takes for the same. */
static const cJSON *field(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return item == NULL || cJSON_IsNull(item) ? NULL : item;
}

static bool wrong_type(const char *key, const char *wanted, struct err *err)
{
	(void)err_set(err, -EINVAL, "'%.100s' is not %s", key, wanted);
	return false;
}

bool kube_text(const cJSON *object, const char *key, const char **ret_text, struct err *err)
{
	const cJSON *item = field(object, key);

	if (item != NULL && !cJSON_IsString(item))
		return wrong_type(key, "a string", err);
	*ret_text = item != NULL ? item->valuestring : NULL;
	return true;
}

bool kube_number(const cJSON *object, const char *key, int64_t fallback, int64_t *ret_number, struct err *err)
{
	const cJSON *item = field(object, key);

	if (item != NULL &&
	    (!cJSON_IsNumber(item) || item->valuedouble < -9.0e15 || item->valuedouble > 9.0e15 ||
		item->valuedouble != (double)(int64_t)item->valuedouble))
		return wrong_type(key, "a whole number", err);
	*ret_number = item != NULL ? (int64_t)item->valuedouble : fallback;
	return true;
}

bool kube_child(const cJSON *object, const char *key, const cJSON **ret_object, struct err *err)
{
	const cJSON *item = field(object, key);

	if (item != NULL && !cJSON_IsObject(item))
		return wrong_type(key, "an object", err);
	*ret_object = item;
	return true;
}

bool kube_list(const cJSON *object, const char *key, const cJSON **ret_array, struct err *err)
{
	const cJSON *item = field(object, key);

	if (item != NULL && !cJSON_IsArray(item))
		return wrong_type(key, "a list", err);
	*ret_array = item;
	return true;
}

/* ---- labels -------------------------------------------------------------------------------------------- */

/* By key; of the same key the earlier one first, which lies lower in the memory that they share. */
static int compare_labels(const void *a, const void *b)
{
	const struct kube_label *left = a, *right = b;
	int order = strcmp(left->key, right->key);

	return order != 0 ? order : (left->key > right->key) - (left->key < right->key);
}

/* How many, and the bytes of their texts; false unless all are strings. */
static bool measure_labels(const cJSON *object, size_t *ret_count, size_t *ret_bytes, struct err *err)
{
	const cJSON *item;

	*ret_count = *ret_bytes = 0;
	cJSON_ArrayForEach(item, object)
	{
		if (!cJSON_IsString(item))
			return wrong_type(item->string, "a string", err);
		*ret_count += 1;
		*ret_bytes += strlen(item->string) + strlen(item->valuestring) + 2;
	}
	return true;
}

/* A copy at *cursor, which moves behind it. */
static const char *put(char **cursor, const char *text)
{
	char *copy = *cursor;
	size_t len = text != NULL ? strlen(text) : 0;

	if (len != 0)
		memcpy(copy, text, len);
	copy[len] = '\0';
	*cursor += len + 1;
	return copy;
}

/* Of a repeated key the last one counts, as for every reader of JSON in the cluster. */
static void fill_labels(struct kube_labels *labels, const cJSON *object, char **cursor)
{
	const cJSON *item;
	size_t kept = 0;

	labels->count = 0;
	cJSON_ArrayForEach(item, object)
	{
		labels->items[labels->count].key = put(cursor, item->string);
		labels->items[labels->count++].value = put(cursor, item->valuestring);
	}
	if (labels->count > 1)
		qsort(labels->items, labels->count, sizeof labels->items[0], compare_labels);
	for (size_t i = 0; i < labels->count; i++) {
		if (kept != 0 && strcmp(labels->items[kept - 1].key, labels->items[i].key) == 0)
			labels->items[kept - 1] = labels->items[i];
		else
			labels->items[kept++] = labels->items[i];
	}
	labels->count = kept;
}

int kube_labels_read(struct kube_labels *ret_labels, const cJSON *object, struct err *err)
{
	size_t count, bytes;
	char *memory, *cursor;

	*ret_labels = (struct kube_labels){.count = 0};
	if (object == NULL)
		return 0;
	if (!cJSON_IsObject(object))
		return err_set(err, -EINVAL, "labels are not an object");
	if (!measure_labels(object, &count, &bytes, err))
		return -EINVAL;
	if (count == 0)
		return 0;
	memory = xmalloc(count * sizeof(struct kube_label) + bytes);
	ret_labels->items = (struct kube_label *)(void *)memory;
	cursor = memory + count * sizeof(struct kube_label);
	fill_labels(ret_labels, object, &cursor);
	return 0;
}

void kube_labels_release(struct kube_labels *labels)
{
	free(labels->items);
	*labels = (struct kube_labels){.count = 0};
}

const char *kube_labels_get(const struct kube_labels *labels, const char *key)
{
	size_t low = 0, high = labels->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(labels->items[middle].key, key);

		if (order == 0)
			return labels->items[middle].value;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool kube_labels_equal(const struct kube_labels *a, const struct kube_labels *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i].key, b->items[i].key) != 0 ||
		    strcmp(a->items[i].value, b->items[i].value) != 0)
			return false;
	return true;
}

/* ---- metadata ------------------------------------------------------------------------------------------ */

struct meta_texts { /* lent by the tree */
	const char *name, *namespace_name, *uid, *version, *created, *deleted;
	const char *owner_kind, *owner_name, *owner_uid, *owner_api;
	const cJSON *labels;
};

/* The owner reference with controller = true; at most one has it. */
static bool find_controller(const cJSON *metadata, struct meta_texts *texts, struct err *err)
{
	const cJSON *owners, *owner;

	if (!kube_list(metadata, "ownerReferences", &owners, err))
		return false;
	cJSON_ArrayForEach(owner, owners)
	{
		if (!cJSON_IsObject(owner))
			return wrong_type("ownerReferences", "a list of objects", err);
		if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(owner, "controller")))
			continue;
		if (!kube_text(owner, "kind", &texts->owner_kind, err) ||
		    !kube_text(owner, "name", &texts->owner_name, err) ||
		    !kube_text(owner, "uid", &texts->owner_uid, err) ||
		    !kube_text(owner, "apiVersion", &texts->owner_api, err))
			return false;
		if (texts->owner_kind == NULL || texts->owner_uid == NULL) {
			(void)err_set(err, -EINVAL, "an owner reference without kind or uid");
			return false;
		}
	}
	return true;
}

static bool read_texts(const cJSON *metadata, struct meta_texts *texts, struct err *err)
{
	if (!kube_text(metadata, "name", &texts->name, err) ||
	    !kube_text(metadata, "namespace", &texts->namespace_name, err) ||
	    !kube_text(metadata, "uid", &texts->uid, err) ||
	    !kube_text(metadata, "resourceVersion", &texts->version, err) ||
	    !kube_text(metadata, "creationTimestamp", &texts->created, err) ||
	    !kube_text(metadata, "deletionTimestamp", &texts->deleted, err) ||
	    !kube_child(metadata, "labels", &texts->labels, err))
		return false;
	if (texts->name == NULL || texts->uid == NULL || texts->version == NULL) {
		(void)err_set(err, -EINVAL, "metadata without name, uid or resourceVersion");
		return false;
	}
	return find_controller(metadata, texts, err);
}

static size_t size_of(const char *text)
{
	return (text != NULL ? strlen(text) : 0) + 1;
}

static void fill_meta(
    struct kube_meta *meta, const struct meta_texts *texts, size_t label_count, size_t label_bytes)
{
	size_t table = label_count * sizeof(struct kube_label);
	char *cursor;

	meta->memory =
	    xmalloc(table + label_bytes + size_of(texts->name) + size_of(texts->namespace_name) +
		    size_of(texts->uid) + size_of(texts->version) + size_of(texts->owner_kind) +
		    size_of(texts->owner_name) + size_of(texts->owner_uid) + size_of(texts->owner_api));
	meta->labels.items = label_count != 0 ? meta->memory : NULL;
	cursor = (char *)meta->memory + table;
	fill_labels(&meta->labels, texts->labels, &cursor);
	meta->name = put(&cursor, texts->name);
	meta->namespace_name = put(&cursor, texts->namespace_name);
	meta->uid = put(&cursor, texts->uid);
	meta->resource_version = put(&cursor, texts->version);
	if (texts->owner_kind != NULL) {
		meta->controller.kind = put(&cursor, texts->owner_kind);
		meta->controller.name = put(&cursor, texts->owner_name);
		meta->controller.uid = put(&cursor, texts->owner_uid);
		meta->controller.api_version = put(&cursor, texts->owner_api);
	}
}

int kube_meta_read(struct kube_meta *ret_meta, const cJSON *object, struct err *err)
{
	struct meta_texts texts = {.labels = NULL};
	struct kube_meta meta = {.generation = 0};
	const cJSON *metadata, *finalizers;
	size_t label_count, label_bytes;

	if (!cJSON_IsObject(object))
		return err_set(err, -EINVAL, "not an object");
	if (!kube_child(object, "metadata", &metadata, err))
		return -EINVAL;
	if (metadata == NULL)
		return err_set(err, -EINVAL, "an object without metadata");
	if (!read_texts(metadata, &texts, err) ||
	    !kube_number(metadata, "generation", 0, &meta.generation, err) ||
	    !kube_list(metadata, "finalizers", &finalizers, err) ||
	    !measure_labels(texts.labels, &label_count, &label_bytes, err))
		return -EINVAL;
	meta.has_finalizers = cJSON_GetArraySize(finalizers) != 0;
	meta.created_ms = texts.created != NULL ? kube_time_ms(texts.created) : 0;
	meta.deleted_ms = texts.deleted != NULL ? kube_time_ms(texts.deleted) : 0;
	if (texts.deleted != NULL && meta.deleted_ms == 0)
		return err_set(err, -EINVAL, "deletionTimestamp is no time");
	fill_meta(&meta, &texts, label_count, label_bytes);
	*ret_meta = meta;
	return 0;
}

void kube_meta_share(struct kube_meta *meta, struct shared_texts *texts, bool with_name)
{
	const struct kube_meta read = *meta;
	size_t table = read.labels.count * sizeof(struct kube_label);
	char *cursor;

	must(!read.is_shared);
	meta->memory = xmalloc(table + (with_name ? 0 : size_of(read.name)) + size_of(read.uid) +
			       size_of(read.resource_version));
	meta->labels.items = read.labels.count != 0 ? meta->memory : NULL;
	for (size_t i = 0; i < read.labels.count; i++) {
		meta->labels.items[i].key = shared_texts_take(texts, read.labels.items[i].key);
		meta->labels.items[i].value = shared_texts_take(texts, read.labels.items[i].value);
	}
	cursor = (char *)meta->memory + table;
	meta->name = with_name ? shared_texts_take(texts, read.name) : put(&cursor, read.name);
	meta->uid = put(&cursor, read.uid);
	meta->resource_version = put(&cursor, read.resource_version);
	meta->namespace_name = shared_texts_take(texts, read.namespace_name);
	meta->controller.kind = shared_texts_take(texts, read.controller.kind);
	meta->controller.name = shared_texts_take(texts, read.controller.name);
	meta->controller.uid = shared_texts_take(texts, read.controller.uid);
	meta->controller.api_version = shared_texts_take(texts, read.controller.api_version);
	meta->is_shared = true;
	meta->has_shared_name = with_name;
	free(read.memory);
}

static void give_back_texts(const struct kube_meta *meta)
{
	for (size_t i = 0; i < meta->labels.count; i++) {
		shared_text_give_back(meta->labels.items[i].key);
		shared_text_give_back(meta->labels.items[i].value);
	}
	if (meta->has_shared_name)
		shared_text_give_back(meta->name);
	shared_text_give_back(meta->namespace_name);
	shared_text_give_back(meta->controller.kind);
	shared_text_give_back(meta->controller.name);
	shared_text_give_back(meta->controller.uid);
	shared_text_give_back(meta->controller.api_version);
}

void kube_meta_release(struct kube_meta *meta)
{
	if (meta->is_shared)
		give_back_texts(meta);
	free(meta->memory);
	*meta = (struct kube_meta){.generation = 0};
}

/* ---- versions and times -------------------------------------------------------------------------------- */

int kube_version_compare(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	int order = a_len == b_len ? strcmp(a, b) : a_len < b_len ? -1 : 1;

	return (order > 0) - (order < 0);
}

/* Exactly `count` digits, or -1. */
static int digits(const char **text, int count)
{
	int number = 0;

	for (int i = 0; i < count; i++) {
		if ((*text)[i] < '0' || (*text)[i] > '9')
			return -1;
		number = number * 10 + ((*text)[i] - '0');
	}
	*text += count;
	return number;
}

static bool skip(const char **text, char wanted)
{
	return *(*text)++ == wanted;
}

/* "Z", "+01:30" -> milliseconds to take away; false if it is neither or not the end. */
static bool read_offset(const char *text, int64_t *ret_offset_ms)
{
	int sign, hours, minutes;

	if (text[0] == 'Z' && text[1] == '\0') {
		*ret_offset_ms = 0;
		return true;
	}
	if (text[0] != '+' && text[0] != '-')
		return false;
	sign = *text++ == '-' ? -1 : 1;
	hours = digits(&text, 2);
	if (hours < 0 || hours > 23 || !skip(&text, ':'))
		return false;
	minutes = digits(&text, 2);
	*ret_offset_ms = sign * (hours * 60 + minutes) * INT64_C(60000);
	return minutes >= 0 && minutes < 60 && *text == '\0';
}

int64_t kube_time_ms(const char *text)
{
	struct tm tm = {.tm_isdst = 0};
	int64_t ms = 0, offset_ms;
	bool is_date;

	is_date =
	    (tm.tm_year = digits(&text, 4)) >= 0 && skip(&text, '-') && (tm.tm_mon = digits(&text, 2)) > 0 &&
	    skip(&text, '-') && (tm.tm_mday = digits(&text, 2)) > 0 && skip(&text, 'T') &&
	    (tm.tm_hour = digits(&text, 2)) >= 0 && skip(&text, ':') && (tm.tm_min = digits(&text, 2)) >= 0 &&
	    skip(&text, ':') && (tm.tm_sec = digits(&text, 2)) >= 0;
	if (!is_date || tm.tm_mon > 12 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60)
		return 0;
	if (*text == '.') {
		int64_t unit = 100;

		for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10)
			ms += (*text - '0') * unit;
	}
	if (!read_offset(text, &offset_ms))
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * 1000 + ms - offset_ms;
}

static size_t format_second(char out[KUBE_TIME_BYTES], int64_t second)
{
	time_t time = (time_t)second;
	struct tm tm;

	must(gmtime_r(&time, &tm) != NULL);
	return strftime(out, KUBE_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
}

void kube_time_format(char out[KUBE_TIME_BYTES], int64_t ms)
{
	size_t len = format_second(out, ms / 1000);

	(void)snprintf(out + len, KUBE_TIME_BYTES - len, "Z");
}

void kube_micro_time_format(char out[KUBE_TIME_BYTES], int64_t us)
{
	size_t len = format_second(out, us / 1000000);

	(void)snprintf(out + len, KUBE_TIME_BYTES - len, ".%06dZ", (int)(us % 1000000));
}

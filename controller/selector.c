/* Selector.  A LabelSelector as a list of requirements, all of which must hold; matchLabels are requirements
 * `In` with one value.  Pure. */
#include "config.h"

#include "controller/selector.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

enum operation { OPERATION_IN, OPERATION_NOT_IN, OPERATION_EXISTS, OPERATION_DOES_NOT_EXIST };

static const char *const operation_names[] = {"In", "NotIn", "Exists", "DoesNotExist"};

struct requirement {
	char *key;
	enum operation operation;
	char **values; /* sorted */
	size_t value_count;
	bool is_pair; /* of matchLabels: printed "key=value" */
};

struct selector {
	struct requirement *requirements;
	size_t count;
};

static struct requirement *add(struct selector *selector, const char *key, enum operation operation)
{
	struct requirement *requirement;

	selector->requirements =
	    xrealloc(selector->requirements, (selector->count + 1) * sizeof selector->requirements[0]);
	requirement = &selector->requirements[selector->count++];
	*requirement = (struct requirement){.key = xstrdup(key), .operation = operation};
	return requirement;
}

static void add_value(struct requirement *requirement, const char *value)
{
	requirement->values =
	    xrealloc(requirement->values, (requirement->value_count + 1) * sizeof requirement->values[0]);
	requirement->values[requirement->value_count++] = xstrdup(value);
}

static int operation_of(const char *text)
{
	for (size_t i = 0; i < sizeof operation_names / sizeof operation_names[0]; i++)
		if (text != NULL && strcmp(text, operation_names[i]) == 0)
			return (int)i;
	return -1;
}

static int read_expression(struct selector *selector, const cJSON *expression, struct err *err)
{
	struct requirement *requirement;
	const char *key, *text;
	const cJSON *values, *value;
	int operation;

	if (!cJSON_IsObject(expression))
		return err_set(err, -EINVAL, "a match expression is not an object");
	if (!kube_text(expression, "key", &key, err) || !kube_text(expression, "operator", &text, err) ||
	    !kube_list(expression, "values", &values, err))
		return -EINVAL;
	if (key == NULL || key[0] == '\0')
		return err_set(err, -EINVAL, "a match expression without key");
	operation = operation_of(text);
	if (operation < 0)
		return err_set(
		    err, -EINVAL, "'%.100s' is no operator of a label selector", text != NULL ? text : "");
	if ((operation <= OPERATION_NOT_IN) != (cJSON_GetArraySize(values) > 0))
		return err_set(err, -EINVAL, "operator %s of '%.100s' needs %s values",
		    operation_names[operation], key, operation <= OPERATION_NOT_IN ? "some" : "no");
	requirement = add(selector, key, (enum operation)operation);
	cJSON_ArrayForEach(value, values)
	{
		if (!cJSON_IsString(value))
			return err_set(err, -EINVAL, "a value of '%.100s' is not a string", key);
		add_value(requirement, value->valuestring);
	}
	return 0;
}

static int read_all(struct selector *selector, const cJSON *object, struct err *err)
{
	const cJSON *labels, *expressions, *item;
	struct requirement *requirement;
	int ret;

	if (!kube_child(object, "matchLabels", &labels, err) ||
	    !kube_list(object, "matchExpressions", &expressions, err))
		return -EINVAL;
	cJSON_ArrayForEach(item, labels)
	{
		if (!cJSON_IsString(item))
			return err_set(err, -EINVAL, "the label '%.100s' is not a string", item->string);
		requirement = add(selector, item->string, OPERATION_IN);
		requirement->is_pair = true;
		add_value(requirement, item->valuestring);
	}
	cJSON_ArrayForEach(item, expressions)
	{
		ret = read_expression(selector, item, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(((const struct requirement *)a)->key, ((const struct requirement *)b)->key);
}

static int compare_values(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The order in which kubectl prints; to matching it is all the same. */
static void sort(struct selector *selector)
{
	if (selector->count > 1)
		qsort(
		    selector->requirements, selector->count, sizeof selector->requirements[0], compare_keys);
	for (size_t i = 0; i < selector->count; i++)
		if (selector->requirements[i].value_count > 1)
			qsort(selector->requirements[i].values, selector->requirements[i].value_count,
			    sizeof selector->requirements[i].values[0], compare_values);
}

int selector_read(struct selector **ret_selector, const cJSON *object, struct err *err)
{
	struct selector *selector;
	int ret;

	if (object == NULL || !cJSON_IsObject(object))
		return err_set(err, -EINVAL, "there is no selector");
	selector = x_new(selector);
	ret = read_all(selector, object, err);
	if (ret < 0) {
		selector_free(selector);
		return ret;
	}
	sort(selector);
	*ret_selector = selector;
	return 0;
}

void selector_free(struct selector *selector)
{
	if (selector == NULL)
		return;
	for (size_t i = 0; i < selector->count; i++) {
		for (size_t j = 0; j < selector->requirements[i].value_count; j++)
			free(selector->requirements[i].values[j]);
		free(selector->requirements[i].values);
		free(selector->requirements[i].key);
	}
	free(selector->requirements);
	free(selector);
}

bool selector_is_empty(const struct selector *selector)
{
	return selector->count == 0;
}

static bool has_value(const struct requirement *requirement, const char *value)
{
	for (size_t i = 0; i < requirement->value_count; i++)
		if (strcmp(requirement->values[i], value) == 0)
			return true;
	return false;
}

static bool holds(const struct requirement *requirement, const struct kube_labels *labels)
{
	const char *value = kube_labels_get(labels, requirement->key);

	switch (requirement->operation) {
	case OPERATION_IN: return value != NULL && has_value(requirement, value);
	case OPERATION_NOT_IN: return value == NULL || !has_value(requirement, value);
	case OPERATION_EXISTS: return value != NULL;
	case OPERATION_DOES_NOT_EXIST: return value == NULL;
	}
	return false;
}

bool selector_matches(const struct selector *selector, const struct kube_labels *labels)
{
	for (size_t i = 0; i < selector->count; i++)
		if (!holds(&selector->requirements[i], labels))
			return false;
	return true;
}

static void add_requirement_text(const struct requirement *requirement, struct buf *out)
{
	if (requirement->operation >= OPERATION_EXISTS) {
		buf_printf(
		    out, "%s%s", requirement->operation == OPERATION_EXISTS ? "" : "!", requirement->key);
		return;
	}
	if (requirement->is_pair) {
		buf_printf(out, "%s=%s", requirement->key, requirement->values[0]);
		return;
	}
	buf_printf(out, "%s %s (", requirement->key, requirement->operation == OPERATION_IN ? "in" : "notin");
	for (size_t i = 0; i < requirement->value_count; i++)
		buf_printf(out, "%s%s", i != 0 ? "," : "", requirement->values[i]);
	buf_add_text(out, ")");
}

void selector_add_text(const struct selector *selector, struct buf *out)
{
	for (size_t i = 0; i < selector->count; i++) {
		buf_add_text(out, i != 0 ? "," : "");
		add_requirement_text(&selector->requirements[i], out);
	}
}

/* Affinity.  Terms are ORed, what is in a term is ANDed, and a term that is wrong in itself matches nothing
 * while the others go on counting (E-14): so a term keeps its complaint instead of spoiling the whole.  Pure.
 */
#include "config.h"

#include "controller/affinity.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define NAME_FIELD "metadata.name"

enum operation { OP_IN, OP_NOT_IN, OP_EXISTS, OP_DOES_NOT_EXIST, OP_GT, OP_LT };

static const char *const operation_names[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"};

struct requirement {
	const char *key;
	enum operation operation;
	const char **values;
	size_t value_count;
	int64_t bound; /* of Gt and Lt */
	bool is_field; /* of the node's name instead of a label */
};

struct term {
	struct requirement *requirements;
	size_t count;
	const char *complaint; /* static; NULL = sound */
};

struct affinity {
	struct term *terms;
	size_t count;
	cJSON *tree; /* whose texts the requirements lend; NULL: no required affinity, everything matches
			(E-11) */
};

/* ---- syntax -------------------------------------------------------------------------------------------- */

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* 1 to 63 letters, digits, '-', '_', '.', the first and the last a letter or digit. */
static bool is_name(const char *text, size_t len)
{
	if (len == 0 || len > 63 || !is_alphanumeric(text[0]) || !is_alphanumeric(text[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alphanumeric(text[i]) && text[i] != '-' && text[i] != '_' && text[i] != '.')
			return false;
	return true;
}

/* A DNS subdomain of at most 253 bytes. */
static bool is_prefix(const char *text, size_t len)
{
	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool is_inner = i != 0 && i + 1 < len && text[i - 1] != '.' && text[i + 1] != '.';

		if (text[i] >= 'A' && text[i] <= 'Z')
			return false;
		if (!is_alphanumeric(text[i]) && !(text[i] == '-' && is_inner) &&
		    !(text[i] == '.' && is_inner && text[i - 1] != '-'))
			return false;
	}
	return true;
}

static bool is_label_key(const char *key)
{
	const char *slash = strchr(key, '/');

	if (slash == NULL)
		return is_name(key, strlen(key));
	return is_prefix(key, (size_t)(slash - key)) && is_name(slash + 1, strlen(slash + 1));
}

static bool is_label_value(const char *value)
{
	return value[0] == '\0' || is_name(value, strlen(value));
}

/* A decimal number of 64 bits as Go's ParseInt takes it: a sign may stand before it, nothing behind. */
static bool parse_number(const char *text, int64_t *ret_number)
{
	char *end;

	if (!is_alphanumeric(text[0]) && text[0] != '-' && text[0] != '+')
		return false;
	errno = 0;
	*ret_number = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && end != text;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* NULL = sound, else what is wrong with it (E-15 to E-17). */
static const char *check_requirement(struct requirement *requirement)
{
	size_t count = requirement->value_count;

	if (requirement->is_field) {
		if (strcmp(requirement->key, NAME_FIELD) != 0)
			return "matchFields knows only " NAME_FIELD;
		if (requirement->operation > OP_NOT_IN)
			return "matchFields knows only In and NotIn";
		return count == 1 ? NULL : "matchFields needs exactly one value";
	}
	if (!is_label_key(requirement->key))
		return "the key is no label's";
	switch (requirement->operation) {
	case OP_IN:
	case OP_NOT_IN:
		if (count == 0)
			return "In and NotIn need values";
		break;
	case OP_EXISTS:
	case OP_DOES_NOT_EXIST: return count == 0 ? NULL : "Exists and DoesNotExist take no values";
	case OP_GT:
	case OP_LT:
		if (count != 1 || !parse_number(requirement->values[0], &requirement->bound))
			return "Gt and Lt need exactly one whole number";
		break;
	}
	for (size_t i = 0; i < count; i++)
		if (!is_label_value(requirement->values[i]))
			return "a value is no label's";
	return NULL;
}

static bool find_operation(const char *text, enum operation *ret_operation)
{
	for (size_t i = 0; i < sizeof operation_names / sizeof operation_names[0]; i++)
		if (text != NULL && strcmp(text, operation_names[i]) == 0) {
			*ret_operation = (enum operation)i;
			return true;
		}
	return false;
}

static int read_values(struct requirement *requirement, const cJSON *values, struct err *err)
{
	const cJSON *value;

	requirement->values = xcalloc((size_t)cJSON_GetArraySize(values) + 1, sizeof requirement->values[0]);
	cJSON_ArrayForEach(value, values)
	{
		if (!cJSON_IsString(value))
			return err_set(err, -EINVAL, "a value of node affinity is not a string");
		requirement->values[requirement->value_count++] = value->valuestring;
	}
	return 0;
}

static int read_requirement(struct term *term, const cJSON *item, bool is_field, struct err *err)
{
	struct requirement *requirement = &term->requirements[term->count++];
	const char *operation;
	const cJSON *values;
	int ret;

	requirement->is_field = is_field;
	if (!cJSON_IsObject(item))
		return err_set(err, -EINVAL, "a requirement of node affinity is not an object");
	if (!kube_text(item, "key", &requirement->key, err) ||
	    !kube_text(item, "operator", &operation, err) || !kube_list(item, "values", &values, err))
		return -EINVAL;
	if (requirement->key == NULL)
		requirement->key = "";
	ret = read_values(requirement, values, err);
	if (ret < 0)
		return ret;
	if (!find_operation(operation, &requirement->operation))
		term->complaint = "unknown operator";
	else if (term->complaint == NULL)
		term->complaint = check_requirement(requirement);
	return 0;
}

static int read_term(struct term *term, const cJSON *object, struct err *err)
{
	const cJSON *expressions, *fields, *item;
	int ret;

	if (!cJSON_IsObject(object))
		return err_set(err, -EINVAL, "a term of node affinity is not an object");
	if (!kube_list(object, "matchExpressions", &expressions, err) ||
	    !kube_list(object, "matchFields", &fields, err))
		return -EINVAL;
	term->requirements =
	    xcalloc((size_t)cJSON_GetArraySize(expressions) + (size_t)cJSON_GetArraySize(fields) + 1,
		sizeof term->requirements[0]);
	cJSON_ArrayForEach(item, expressions)
	{
		ret = read_requirement(term, item, false, err);
		if (ret < 0)
			return ret;
	}
	cJSON_ArrayForEach(item, fields)
	{
		ret = read_requirement(term, item, true, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_terms(struct affinity *affinity, struct err *err)
{
	const cJSON *terms, *item;
	int ret;

	if (!kube_list(affinity->tree, "nodeSelectorTerms", &terms, err))
		return -EINVAL;
	affinity->terms = xcalloc((size_t)cJSON_GetArraySize(terms) + 1, sizeof affinity->terms[0]);
	cJSON_ArrayForEach(item, terms)
	{
		ret = read_term(&affinity->terms[affinity->count++], item, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int affinity_read(struct affinity **ret_affinity, const cJSON *object, struct err *err)
{
	struct affinity *affinity = x_new(affinity);
	const cJSON *node_affinity = NULL, *required = NULL;
	int ret = 0;

	if (object != NULL && !cJSON_IsObject(object))
		ret = err_set(err, -EINVAL, "affinity is not an object");
	else if (object != NULL &&
		 (!kube_child(object, "nodeAffinity", &node_affinity, err) ||
		     (node_affinity != NULL &&
			 !kube_child(node_affinity, "requiredDuringSchedulingIgnoredDuringExecution",
			     &required, err))))
		ret = -EINVAL;
	if (ret == 0 && required != NULL) {
		affinity->tree = cJSON_Duplicate(required, true);
		must(affinity->tree != NULL);
		ret = read_terms(affinity, err);
	}
	if (ret < 0) {
		affinity_free(affinity);
		return ret;
	}
	*ret_affinity = affinity;
	return 0;
}

void affinity_free(struct affinity *affinity)
{
	if (affinity == NULL)
		return;
	for (size_t i = 0; i < affinity->count; i++) {
		for (size_t j = 0; j < affinity->terms[i].count; j++)
			free(affinity->terms[i].requirements[j].values);
		free(affinity->terms[i].requirements);
	}
	free(affinity->terms);
	cJSON_Delete(affinity->tree);
	free(affinity);
}

/* ---- matching ------------------------------------------------------------------------------------------ */

static bool has_value(const struct requirement *requirement, const char *value)
{
	for (size_t i = 0; i < requirement->value_count; i++)
		if (strcmp(requirement->values[i], value) == 0)
			return true;
	return false;
}

static bool holds(const struct requirement *requirement, const struct node *node)
{
	const char *value =
	    requirement->is_field ? node->meta.name : kube_labels_get(&node->meta.labels, requirement->key);
	int64_t number;

	switch (requirement->operation) {
	case OP_IN: return value != NULL && has_value(requirement, value);
	case OP_NOT_IN: return value == NULL || !has_value(requirement, value);
	case OP_EXISTS: return value != NULL;
	case OP_DOES_NOT_EXIST: return value == NULL;
	case OP_GT: return value != NULL && parse_number(value, &number) && number > requirement->bound;
	case OP_LT: return value != NULL && parse_number(value, &number) && number < requirement->bound;
	}
	return false;
}

/* The first requirement that does not hold, or NULL. */
static const struct requirement *failing(const struct term *term, const struct node *node)
{
	for (size_t i = 0; i < term->count; i++)
		if (!holds(&term->requirements[i], node))
			return &term->requirements[i];
	return NULL;
}

static bool term_matches(const struct term *term, const struct node *node)
{
	return term->complaint == NULL && term->count != 0 && failing(term, node) == NULL;
}

bool affinity_matches(const struct affinity *affinity, const struct node *node)
{
	if (affinity->tree == NULL)
		return true;
	for (size_t i = 0; i < affinity->count; i++)
		if (term_matches(&affinity->terms[i], node))
			return true;
	return false;
}

/* ---- for people ---------------------------------------------------------------------------------------- */

static void add_requirement(const struct requirement *requirement, struct buf *out)
{
	buf_printf(out, "%s %s", requirement->key, operation_names[requirement->operation]);
	for (size_t i = 0; i < requirement->value_count; i++)
		buf_printf(out, "%s%s", i == 0 ? " [" : ", ", requirement->values[i]);
	buf_add_text(out, requirement->value_count != 0 ? "]" : "");
}

static void explain_term(const struct term *term, const struct node *node, struct buf *out)
{
	const struct requirement *missing;
	const char *value;

	if (term->complaint != NULL) {
		buf_printf(out, "no, the term is wrong: %s", term->complaint);
		return;
	}
	if (term->count == 0) {
		buf_add_text(out, "no, the term is empty");
		return;
	}
	missing = failing(term, node);
	buf_add_text(out, missing == NULL ? "yes: " : "no: ");
	for (size_t i = 0; missing == NULL && i < term->count; i++) {
		buf_add_text(out, i != 0 ? " and " : "");
		add_requirement(&term->requirements[i], out);
	}
	if (missing == NULL)
		return;
	add_requirement(missing, out);
	value = missing->is_field ? node->meta.name : kube_labels_get(&node->meta.labels, missing->key);
	buf_printf(out, value != NULL ? ", the node has '%s'" : ", the node has no such label", value);
}

void affinity_explain(const struct affinity *affinity, const struct node *node, struct buf *out)
{
	if (affinity->tree == NULL)
		buf_add_text(out, "none required\n");
	else if (affinity->count == 0)
		buf_add_text(out, "no terms, which match nothing\n");
	for (size_t i = 0; i < affinity->count; i++) {
		buf_printf(out, "term %zu: ", i + 1);
		explain_term(&affinity->terms[i], node, out);
		buf_add_text(out, "\n");
	}
}

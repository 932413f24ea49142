/* Collector set.  A DaemonSet's spec under another kind.  The CRD's schema refuses what is wrong at
 * admission; what got past it all the same (an older CRD, a template without schema) becomes the set's
 * complaint here, and the set is left alone until it is mended.  Pure. */
#include "config.h"

#include "controller/collector_set.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define HISTORY_LIMIT 10 /* C-9 */

static const char *const condition_texts[] = {
    [CONDITION_UNKNOWN] = "Unknown",
    [CONDITION_FALSE] = "False",
    [CONDITION_TRUE] = "True",
};

int64_t share_of(struct share share, int64_t total)
{
	return share.is_percent ? (share.number * total + 99) / 100 : share.number;
}

/* ---- spec ---------------------------------------------------------------------------------------------- */

/* An IntOrString; the fallback if absent. */
static int read_share(
    const cJSON *object, const char *key, struct share fallback, struct share *ret_share, struct err *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	char *end;

	*ret_share = fallback;
	if (item == NULL || cJSON_IsNull(item))
		return 0;
	if (cJSON_IsNumber(item)) {
		*ret_share = (struct share){.number = (int64_t)item->valuedouble};
		if (item->valuedouble < 0 || item->valuedouble > 1e9 ||
		    item->valuedouble != (double)ret_share->number)
			return err_set(err, -EINVAL, "%s is no number of nodes", key);
		return 0;
	}
	if (!cJSON_IsString(item) || item->valuestring[0] < '0' || item->valuestring[0] > '9')
		return err_set(err, -EINVAL, "%s is neither a number nor a percentage", key);
	errno = 0;
	*ret_share = (struct share){.number = strtoll(item->valuestring, &end, 10), .is_percent = true};
	if (errno != 0 || strcmp(end, "%") != 0)
		return err_set(err, -EINVAL, "%s is neither a number nor a percentage", key);
	if (ret_share->number > 100)
		return err_set(err, -EINVAL, "%s is more than 100 %%", key);
	return 0;
}

/* V-6, which says nothing about OnDelete.  Where only maxSurge is given, and is not zero, maxUnavailable
 * defaults to 0: upstream's default of 1 would make every such spec a wrong one. */
static int read_rolling_update(struct collector_set *set, const cJSON *strategy, struct err *err)
{
	const cJSON *rolling;
	int ret;

	if (!kube_child(strategy, "rollingUpdate", &rolling, err))
		return -EINVAL;
	ret = read_share(rolling, "maxSurge", (struct share){.number = 0}, &set->max_surge, err);
	if (ret == 0)
		ret = read_share(rolling, "maxUnavailable",
		    (struct share){.number = set->max_surge.number == 0}, &set->max_unavailable, err);
	if (ret < 0)
		return ret;
	if (set->max_surge.number == 0 && set->max_unavailable.number == 0)
		return err_set(err, -EINVAL, "maxUnavailable and maxSurge are both 0");
	if (set->max_surge.number != 0 && set->max_unavailable.number != 0)
		return err_set(
		    err, -EINVAL, "maxUnavailable and maxSurge are both set; one of them has to be 0");
	return 0;
}

static int read_strategy(struct collector_set *set, const cJSON *spec, struct err *err)
{
	const cJSON *strategy;
	const char *type;

	if (!kube_child(spec, "updateStrategy", &strategy, err) || !kube_text(strategy, "type", &type, err))
		return -EINVAL;
	if (type == NULL || type[0] == '\0' || strcmp(type, "RollingUpdate") == 0)
		set->strategy = ROLLING_UPDATE;
	else if (strcmp(type, "OnDelete") == 0)
		set->strategy = ON_DELETE;
	else
		return err_set(
		    err, -EINVAL, "updateStrategy.type '%.40s' is neither RollingUpdate nor OnDelete", type);
	set->max_unavailable = (struct share){.number = 1};
	return set->strategy == ROLLING_UPDATE ? read_rolling_update(set, strategy, err) : 0;
}

static int read_numbers(struct collector_set *set, const cJSON *spec, struct err *err)
{
	if (!kube_number(spec, "minReadySeconds", 0, &set->min_ready_s, err) ||
	    !kube_number(spec, "revisionHistoryLimit", HISTORY_LIMIT, &set->history_limit, err))
		return -EINVAL;
	if (set->min_ready_s < 0 || set->min_ready_s > INT32_MAX)
		return err_set(err, -EINVAL, "minReadySeconds is negative or too large");
	if (set->history_limit < 0)
		return err_set(err, -EINVAL, "revisionHistoryLimit is negative");
	return 0;
}

static int read_spec(struct collector_set *set, struct err *err)
{
	const cJSON *spec, *selector, *pod_template;
	int ret;

	if (!kube_child(set->tree, "spec", &spec, err) || !kube_child(spec, "selector", &selector, err) ||
	    !kube_child(spec, "template", &pod_template, err))
		return -EINVAL;
	ret = selector_read(&set->selector, selector, err);
	if (ret == 0)
		ret = pod_template_read(&set->pod_template, pod_template, err);
	if (ret == 0 && !selector_matches(set->selector, &set->pod_template->labels))
		ret = err_set(err, -EINVAL, "selector does not match the template's labels");
	if (ret == 0)
		ret = read_strategy(set, spec, err);
	return ret == 0 ? read_numbers(set, spec, err) : ret;
}

/* ---- status -------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t offset;
	int64_t fallback;
} counters[] = {
    {"currentNumberScheduled", offsetof(struct set_status, current), 0},
    {"numberMisscheduled", offsetof(struct set_status, misscheduled), 0},
    {"desiredNumberScheduled", offsetof(struct set_status, desired), 0},
    {"numberReady", offsetof(struct set_status, ready), 0},
    {"observedGeneration", offsetof(struct set_status, observed_generation), 0},
    {"updatedNumberScheduled", offsetof(struct set_status, updated), 0},
    {"numberAvailable", offsetof(struct set_status, available), 0},
    {"numberUnavailable", offsetof(struct set_status, unavailable), 0},
    {"collisionCount", offsetof(struct set_status, collision_count), -1},
};
#define COUNTER_COUNT (sizeof counters / sizeof counters[0])

static int64_t *counter(struct set_status *status, size_t i)
{
	return (int64_t *)(void *)((char *)status + counters[i].offset);
}

static int64_t counter_value(const struct set_status *status, size_t i)
{
	struct set_status copy = *status;

	return *counter(&copy, i);
}

static bool read_condition(struct set_status *status, const cJSON *item, struct err *err)
{
	const char *type, *text, *reason, *message, *since;
	struct condition *condition;

	if (!kube_text(item, "type", &type, err) || !kube_text(item, "status", &text, err) ||
	    !kube_text(item, "reason", &reason, err) || !kube_text(item, "message", &message, err) ||
	    !kube_text(item, "lastTransitionTime", &since, err) || type == NULL || text == NULL)
		return false;
	if (strcmp(type, "Available") == 0)
		condition = &status->available_condition;
	else if (strcmp(type, "Progressing") == 0)
		condition = &status->progressing_condition;
	else
		return true;
	for (size_t i = 0; i < sizeof condition_texts / sizeof condition_texts[0]; i++)
		if (strcmp(text, condition_texts[i]) == 0)
			condition->status = (enum condition_status)i;
	condition->reason = reason != NULL ? reason : "";
	(void)snprintf(condition->message, sizeof condition->message, "%s", message != NULL ? message : "");
	condition->since_ms = since != NULL ? kube_time_ms(since) : 0;
	return kube_number(item, "observedGeneration", 0, &condition->observed_generation, err);
}

/* A status is ours to write: one that cannot be read counts as none and is written anew. */
static void read_status(struct set_status *status, const cJSON *object)
{
	const cJSON *item;

	*status = (struct set_status){.available_condition.reason = "", .progressing_condition.reason = ""};
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		if (object == NULL ||
		    !kube_number(object, counters[i].name, counters[i].fallback, counter(status, i), NULL))
			*counter(status, i) = counters[i].fallback;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(object, "conditions"))(void)
	    read_condition(status, item, NULL);
}

int collector_set_read(struct collector_set **ret_set, const cJSON *object, struct err *err)
{
	struct collector_set *set = x_new(set);
	struct err complaint;
	int ret = kube_meta_read(&set->meta, object, err);

	if (ret < 0) {
		free(set);
		return ret;
	}
	set->tree = cJSON_Duplicate(object, true);
	must(set->tree != NULL);
	cJSON_DeleteItemFromObjectCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(set->tree, "metadata"), "managedFields");
	read_status(&set->status, cJSON_GetObjectItemCaseSensitive(set->tree, "status"));
	if (read_spec(set, &complaint) < 0)
		set->complaint = xstrdup(complaint.text);
	*ret_set = set;
	return 0;
}

void collector_set_free(struct collector_set *set)
{
	if (set == NULL)
		return;
	kube_meta_release(&set->meta);
	selector_free(set->selector);
	pod_template_free(set->pod_template);
	cJSON_Delete(set->tree);
	free(set->complaint);
	free(set);
}

static bool condition_equal(const struct condition *a, const struct condition *b)
{
	return a->status == b->status && strcmp(a->reason, b->reason) == 0 &&
	       strcmp(a->message, b->message) == 0 && a->observed_generation == b->observed_generation;
}

bool set_status_equal(const struct set_status *a, const struct set_status *b)
{
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		if (counter_value(a, i) != counter_value(b, i))
			return false;
	return condition_equal(&a->available_condition, &b->available_condition) &&
	       condition_equal(&a->progressing_condition, &b->progressing_condition);
}

/* ---- the body of a status write ------------------------------------------------------------------------ */

static void add_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, "\"%s\":", key);
	buf_add_json(out, text, strlen(text));
}

static void add_condition(struct buf *out, const char *type, const struct condition *condition)
{
	char since[KUBE_TIME_BYTES];

	kube_time_format(since, condition->since_ms);
	buf_printf(out,
	    "{\"type\":\"%s\",\"status\":\"%s\",\"lastTransitionTime\":\"%s\",\"observedGeneration\":%" PRId64
	    ",",
	    type, condition_texts[condition->status], since, condition->observed_generation);
	add_text(out, "reason", condition->reason);
	buf_add_text(out, ",");
	add_text(out, "message", condition->message);
	buf_add_text(out, "}");
}

/* "a,b": one field of each container. */
static void list_containers(const cJSON *containers, const char *key, struct buf *out)
{
	const cJSON *container, *item;

	cJSON_ArrayForEach(container, containers)
	{
		item = cJSON_GetObjectItemCaseSensitive(container, key);
		buf_printf(
		    out, "%s%s", out->len != 0 ? "," : "", cJSON_IsString(item) ? item->valuestring : "");
	}
}

static void add_columns(const struct collector_set *set, struct buf *out)
{
	const cJSON *spec = cJSON_GetObjectItemCaseSensitive(set->pod_template->tree, "spec");
	const cJSON *containers = cJSON_GetObjectItemCaseSensitive(spec, "containers");
	struct buf text;

	buf_init(&text, POD_TEMPLATE_BYTES);
	for (size_t i = 0; i < set->pod_template->node_selector.count; i++)
		buf_printf(&text, "%s%s=%s", i != 0 ? "," : "", set->pod_template->node_selector.items[i].key,
		    set->pod_template->node_selector.items[i].value);
	add_text(out, "nodeSelector", text.len != 0 ? buf_text(&text) : "<none>");
	buf_clear(&text);
	list_containers(containers, "name", &text);
	buf_add_text(out, ",");
	add_text(out, "containers", buf_text(&text));
	buf_clear(&text);
	list_containers(containers, "image", &text);
	buf_add_text(out, ",");
	add_text(out, "images", buf_text(&text));
	buf_clear(&text);
	selector_add_text(set->selector, &text);
	buf_add_text(out, ",");
	add_text(out, "labelSelector", text.len != 0 ? buf_text(&text) : "<all>");
	buf_release(&text);
}

void collector_set_status_body(
    const struct collector_set *set, const struct set_status *status, struct buf *out)
{
	buf_printf(out,
	    "{\"apiVersion\":\"" COLLECTOR_SET_API "\",\"kind\":\"" COLLECTOR_SET_KIND "\",\"metadata\":{");
	add_text(out, "name", set->meta.name);
	buf_add_text(out, ",");
	add_text(out, "namespace", set->meta.namespace_name);
	buf_add_text(out, ",");
	add_text(out, "uid", set->meta.uid);
	buf_add_text(out, ",");
	add_text(out, "resourceVersion", set->meta.resource_version);
	buf_add_text(out, "},\"status\":{");
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		if (counter_value(status, i) >= 0)
			buf_printf(out, "\"%s\":%" PRId64 ",", counters[i].name, counter_value(status, i));
	buf_add_text(out, "\"conditions\":[");
	add_condition(out, "Available", &status->available_condition);
	buf_add_text(out, ",");
	add_condition(out, "Progressing", &status->progressing_condition);
	buf_add_text(out, "]");
	if (set->complaint == NULL) {
		buf_add_text(out, ",");
		add_columns(set, out);
	}
	buf_add_text(out, "}}");
}

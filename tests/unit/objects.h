/* Objects of the API server as a test needs them: their JSON, and the records read from it. */
#ifndef DRAVE_TESTS_OBJECTS_H
#define DRAVE_TESTS_OBJECTS_H

#include <check.h>
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/must.h"
#include "controller/collector_set.h"
#include "controller/node.h"
#include "controller/pod.h"
#include "controller/revision.h"

__attribute__((format(printf, 1, 2))) static inline cJSON *objects_json(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	cJSON *tree;

	va_start(args, format);
	ck_assert_int_ge(vasprintf(&text, format, args), 0);
	va_end(args);
	tree = cJSON_Parse(text);
	ck_assert_msg(tree != NULL, "no JSON: %s", text);
	free(text);
	return tree;
}

/* What is put behind "uid" in a pod's or a revision's metadata: whose it is. */
static inline const char *objects_owned_by(const char *set_name, const char *set_uid)
{
	static char texts[4][512];
	static unsigned turn;
	char *text = texts[turn++ % 4];

	(void)snprintf(text, sizeof texts[0],
	    ",\"ownerReferences\":[{\"apiVersion\":\"" COLLECTOR_SET_API "\",\"kind\":\"" COLLECTOR_SET_KIND
	    "\",\"name\":\"%s\",\"uid\":\"%s\",\"controller\":true,\"blockOwnerDeletion\":true}]",
	    set_name, set_uid);
	return text;
}
#define OBJECTS_ORPHAN ""

/* labels: "{\"zone\":\"a\"}"; taints: "[...]". */
static inline cJSON *objects_node_json(
    const char *name, unsigned version, const char *labels, const char *taints)
{
	return objects_json(
	    "{\"metadata\":{\"name\":\"%s\",\"uid\":\"uid-%s\",\"resourceVersion\":\"%u\",\"labels\":%s},"
	    "\"spec\":{\"taints\":%s}}",
	    name, name, version, labels, taints);
}

static inline cJSON *objects_set_json(
    const char *name, unsigned version, const char *labels, const char *pod_spec)
{
	return objects_json("{\"apiVersion\":\"" COLLECTOR_SET_API "\",\"kind\":\"" COLLECTOR_SET_KIND
			    "\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"uid\":\"uid-%s\","
			    "\"resourceVersion\":\"%u\","
			    "\"generation\":1},\"spec\":{\"selector\":{\"matchLabels\":%s},\"template\":{"
			    "\"metadata\":{\"labels\":%s},"
			    "\"spec\":%s}}}",
	    name, name, version, labels, labels, pod_spec);
}

/* owner: objects_owned_by() or OBJECTS_ORPHAN; more: further members of metadata
 * (",\"deletionTimestamp\":...") or "". */
static inline cJSON *objects_pod_json(const char *name, unsigned version, const char *labels,
    const char *owner, const char *node_name, const char *status)
{
	return objects_json("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"uid\":\"uid-%s\","
			    "\"resourceVersion\":\"%u\","
			    "\"labels\":%s%s},\"spec\":{\"nodeName\":\"%s\"},\"status\":%s}",
	    name, name, version, labels, owner, node_name, status);
}

static inline struct node *objects_node(
    const char *name, unsigned version, const char *labels, const char *taints)
{
	cJSON *json = objects_node_json(name, version, labels, taints);
	struct node *node = NULL;
	struct err err = {.code = 0};

	ck_assert_msg(node_read(&node, json, &err) == 0, "%s", err.text);
	cJSON_Delete(json);
	return node;
}

static inline struct collector_set *objects_set(const char *name, const char *labels, const char *pod_spec)
{
	cJSON *json = objects_set_json(name, 1, labels, pod_spec);
	struct collector_set *set = NULL;
	struct err err = {.code = 0};

	ck_assert_msg(collector_set_read(&set, json, &err) == 0, "%s", err.text);
	ck_assert_msg(set->complaint == NULL, "%s", set->complaint);
	cJSON_Delete(json);
	return set;
}

static inline struct pod *objects_pod(const char *name, unsigned version, const char *labels,
    const char *owner, const char *node_name, const char *status)
{
	cJSON *json = objects_pod_json(name, version, labels, owner, node_name, status);
	struct pod *pod = NULL;
	struct err err = {.code = 0};

	ck_assert_msg(pod_read(&pod, json, &err) == 0, "%s", err.text);
	cJSON_Delete(json);
	return pod;
}

#endif

/* Schemas.  The same facts in the names that four families of readers know.  Pure.
 *
 *     fluentbit   "kubernetes":{"namespace_name":..,"pod_name":..,"labels":{..},..}, "kubernetes_namespace":{..}
 *     vector      "kubernetes":{"pod_namespace":..,"pod_name":..,"pod_labels":{..},..}
 *     ecs         "kubernetes":{"namespace":..,"pod":{"name":..},"labels":{..},..}, "container":{..}
 *     otel        "resource":{"attributes":{"k8s.namespace.name":..,"k8s.pod.label.NAME":..,..}}
 *
 * Namespace, pod, uid, container and node come from the path and the configuration, so they are in each record.
 * Everything else stands where it is known: what has no value is left out, but a label may be empty.
 *
 * Elasticsearch takes the dots of a name for objects, so that a label "app" and one "app.kubernetes.io/name"
 * would exclude each other.  In ecs the names of labels and annotations therefore have "_" for "." and "/"; of
 * those that become the same, the first one (by its own name) is written, because a document with a field
 * twice would be refused.
 *
 * Runs once for a file and each change of its metadata, never for a record. */
#include "config.h"
#include "outputs/format_schema.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

const char *const metadata_schema_words[] = {"fluentbit", "vector", "ecs", "otel", NULL};

/* ---- before the text ---------------------------------------------------------------------------- */

#define WORD(literal)                                                                                        \
	{                                                                                                    \
		literal, sizeof(literal) - 1                                                                 \
	}
#define STREAMS(before, behind)                                                                              \
	{                                                                                                    \
		[RECORD_STDOUT] = WORD(before "stdout" behind),                                              \
		[RECORD_STDERR] = WORD(before "stderr" behind),                                              \
		[RECORD_UNKNOWN] = WORD(before "unknown" behind),                                            \
	}

const struct schema_head schema_heads[] = {
    [SCHEMA_FLUENTBIT] = {WORD("{\"time\":\""), STREAMS("\",\"stream\":\"", "\",\"log\":\""), false},
    [SCHEMA_VECTOR] = {WORD("{\"timestamp\":\""), STREAMS("\",\"stream\":\"", "\",\"message\":\""), false},
    [SCHEMA_ECS] = {WORD("{\"@timestamp\":\""), STREAMS("\",\"stream\":\"", "\",\"message\":\""), false},
    [SCHEMA_OTEL] = {WORD("{\"timeUnixNano\":\""),
	STREAMS("\",\"attributes\":{\"log.iostream\":\"", "\"},\"body\":\""), true},
};

/* ---- members ------------------------------------------------------------------------------------ */

/* A comma unless the object has only been opened. */
static void separate(struct buf *out)
{
	if (out->len == 0 || out->data[out->len - 1] != '{')
		must(buf_add_text(out, ","));
}

static void open_object(struct buf *out, const char *name)
{
	separate(out);
	must(buf_printf(out, "\"%s\":{", name));
}

static void close_object(struct buf *out)
{
	must(buf_add_text(out, "}"));
}

/* name is ours and needs no escaping. */
static void add_text(struct buf *out, const char *name, const char *value)
{
	separate(out);
	must(buf_printf(out, "\"%s\":", name) && buf_add_json(out, value, strlen(value)));
}

static void add_known(struct buf *out, const char *name, const char *value)
{
	if (value[0] != '\0')
		add_text(out, name, value);
}

/* ---- labels ------------------------------------------------------------------------------------- */

struct naming {
	const char *prefix;  /* before each name */
	bool is_underscored; /* "_" for "." and "/" */
};

static char underscored(char byte)
{
	return byte == '.' || byte == '/' ? '_' : byte;
}

static bool become_same(const char *a, const char *b)
{
	while (*a != '\0' && underscored(*a) == underscored(*b))
		a++, b++;
	return underscored(*a) == underscored(*b);
}

/* Is the label for records, and nothing before it taken for it? */
static bool is_written(const struct naming *naming, const struct labels *labels, size_t index)
{
	if (labels->items[index].is_for_templates_only)
		return false;
	for (size_t i = 0; naming->is_underscored && i < index; i++)
		if (!labels->items[i].is_for_templates_only &&
		    become_same(labels->items[i].name, labels->items[index].name))
			return false;
	return true;
}

static void add_label(struct buf *out, const struct naming *naming, const struct label *label)
{
	char *name = xasprintf("%s%s", naming->prefix, label->name);

	for (char *at = name; naming->is_underscored && *at != '\0'; at++)
		*at = underscored(*at);
	separate(out);
	must(buf_add_json(out, name, strlen(name)) && buf_add_text(out, ":") &&
	     buf_add_json(out, label->value, strlen(label->value)));
	free(name);
}

/* As members of the object that is open. */
static void add_labels_here(struct buf *out, const struct naming *naming, const struct labels *labels)
{
	for (size_t i = 0; i < labels->count; i++)
		if (is_written(naming, labels, i))
			add_label(out, naming, &labels->items[i]);
}

/* As an object of their own, if there are any. */
static void add_labels(
    struct buf *out, const char *name, const struct naming *naming, const struct labels *labels)
{
	size_t before = out->len, opened;

	open_object(out, name);
	opened = out->len;
	add_labels_here(out, naming, labels);
	if (out->len == opened)
		out->len = before;
	else
		close_object(out);
}

static const struct naming as_they_are = {.prefix = ""};

/* ---- Fluent Bit and Vector ---------------------------------------------------------------------- */

/* The members of "kubernetes". */
struct names {
	const char *namespace_name, *pod, *uid, *container, *node;
	const char *pod_ip, *container_id, *image, *image_id;
	const char *labels, *annotations, *node_labels;
};

static const struct names fluentbit_names = {
    .namespace_name = "namespace_name",
    .pod = "pod_name",
    .uid = "pod_id",
    .container = "container_name",
    .node = "host",
    .pod_ip = "pod_ip",
    .container_id = "docker_id",
    .image = "container_image",
    .image_id = "container_hash",
    .labels = "labels",
    .annotations = "annotations",
    .node_labels = "node_labels",
};

static const struct names vector_names = {
    .namespace_name = "pod_namespace",
    .pod = "pod_name",
    .uid = "pod_uid",
    .container = "container_name",
    .node = "pod_node_name",
    .pod_ip = "pod_ip",
    .container_id = "container_id",
    .image = "container_image",
    .image_id = "container_image_id",
    .labels = "pod_labels",
    .annotations = "pod_annotations",
    .node_labels = "node_labels",
};

static void add_by_names(struct buf *out, const struct names *names, const struct origin *origin)
{
	const struct metadata *metadata = origin->metadata;

	add_text(out, names->namespace_name, origin->namespace_name);
	add_text(out, names->pod, origin->pod);
	add_text(out, names->uid, origin->uid);
	add_text(out, names->container, origin->container);
	add_text(out, names->node, origin->node);
	if (metadata == NULL)
		return;
	add_known(out, names->pod_ip, metadata->pod_ip);
	add_known(out, names->container_id, metadata->container_id);
	add_known(out, names->image, metadata->image);
	add_known(out, names->image_id, metadata->image_id);
	add_labels(out, names->labels, &as_they_are, &metadata->labels);
	add_labels(out, names->annotations, &as_they_are, &metadata->annotations);
	add_labels(out, names->node_labels, &as_they_are, &metadata->node_labels);
}

/* As an object reference of the API, with what is known of it. */
static void add_owner_reference(struct buf *out, const struct metadata *metadata)
{
	if (metadata->owner_name[0] == '\0')
		return;
	must(buf_add_text(out, ",\"ownerReferences\":[{"));
	add_text(out, "kind", metadata->owner_kind);
	add_text(out, "name", metadata->owner_name);
	must(buf_add_text(out, "}]"));
}

static void add_fluentbit(struct buf *out, const struct source *source)
{
	const struct origin *origin = source->origin;
	const struct metadata *metadata = origin->metadata;

	open_object(out, "kubernetes");
	add_by_names(out, &fluentbit_names, origin);
	if (metadata != NULL)
		add_owner_reference(out, metadata);
	close_object(out);
	if (metadata == NULL || metadata->namespace_labels.count == 0)
		return;
	open_object(out, "kubernetes_namespace");
	add_text(out, "name", origin->namespace_name);
	add_labels(out, "labels", &as_they_are, &metadata->namespace_labels);
	close_object(out);
}

static void add_vector(struct buf *out, const struct source *source)
{
	const struct metadata *metadata = source->origin->metadata;

	open_object(out, "kubernetes");
	add_by_names(out, &vector_names, source->origin);
	if (metadata != NULL) {
		add_labels(out, "namespace_labels", &as_they_are, &metadata->namespace_labels);
		if (metadata->owner_name[0] != '\0') {
			char *owner = xasprintf("%s/%s", metadata->owner_kind, metadata->owner_name);

			add_text(out, "pod_owner", owner);
			free(owner);
		}
	}
	close_object(out);
}

/* ---- owners by their kind ----------------------------------------------------------------------- */

static const struct {
	const char *kind, *name;
} owner_kinds[] = {
    {"Deployment", "deployment"},
    {"ReplicaSet", "replicaset"},
    {"StatefulSet", "statefulset"},
    {"DaemonSet", "daemonset"},
    {"Job", "job"},
    {"CronJob", "cronjob"},
    {"ReplicationController", "replicationcontroller"},
};

/* What names with this kind are made of; NULL for a kind that no schema knows (a CollectorSet, say). */
static const char *owner_kind_name(const char *kind)
{
	for (size_t i = 0; i < sizeof owner_kinds / sizeof owner_kinds[0]; i++)
		if (strcmp(owner_kinds[i].kind, kind) == 0)
			return owner_kinds[i].name;
	return NULL;
}

/* ---- Elastic Common Schema ---------------------------------------------------------------------- */

static void add_object_with_name(struct buf *out, const char *object, const char *name)
{
	open_object(out, object);
	add_text(out, "name", name);
	close_object(out);
}

static void add_ecs_owner(struct buf *out, const struct metadata *metadata)
{
	const char *kind = owner_kind_name(metadata->owner_kind);

	if (metadata->owner_name[0] == '\0')
		return;
	if (kind != NULL) {
		add_object_with_name(out, kind, metadata->owner_name);
		return;
	}
	open_object(out, "owner");
	add_text(out, "kind", metadata->owner_kind);
	add_text(out, "name", metadata->owner_name);
	close_object(out);
}

/* "registry/name@sha256:..." -> "sha256:..." */
static const char *digest_of(const char *image_id)
{
	const char *at = strrchr(image_id, '@');

	return at != NULL ? at + 1 : image_id;
}

static void add_ecs_container(struct buf *out, const struct metadata *metadata)
{
	if (metadata->container_id[0] == '\0' && metadata->image[0] == '\0' && metadata->image_id[0] == '\0')
		return;
	open_object(out, "container");
	add_known(out, "id", metadata->container_id);
	if (metadata->image[0] != '\0' || metadata->image_id[0] != '\0') {
		open_object(out, "image");
		add_known(out, "name", metadata->image);
		if (metadata->image_id[0] != '\0') {
			const char *digest = digest_of(metadata->image_id);

			open_object(out, "hash");
			must(buf_add_text(out, "\"all\":[") && buf_add_json(out, digest, strlen(digest)) &&
			     buf_add_text(out, "]"));
			close_object(out);
		}
		close_object(out);
	}
	close_object(out);
}

static void add_ecs(struct buf *out, const struct source *source)
{
	static const struct naming naming = {.prefix = "", .is_underscored = true};
	const struct origin *origin = source->origin;
	const struct metadata *metadata = origin->metadata;

	open_object(out, "kubernetes");
	add_text(out, "namespace", origin->namespace_name);
	open_object(out, "pod");
	add_text(out, "name", origin->pod);
	add_text(out, "uid", origin->uid);
	if (metadata != NULL)
		add_known(out, "ip", metadata->pod_ip);
	close_object(out);
	add_object_with_name(out, "container", origin->container);
	open_object(out, "node");
	add_text(out, "name", origin->node);
	if (metadata != NULL)
		add_labels(out, "labels", &naming, &metadata->node_labels);
	close_object(out);
	if (metadata != NULL) {
		add_labels(out, "labels", &naming, &metadata->labels);
		add_labels(out, "annotations", &naming, &metadata->annotations);
		add_labels(out, "namespace_labels", &naming, &metadata->namespace_labels);
		add_ecs_owner(out, metadata);
	}
	close_object(out);
	if (metadata != NULL)
		add_ecs_container(out, metadata);
}

/* ---- OpenTelemetry ------------------------------------------------------------------------------ */

static void add_otel_owner(struct buf *out, const struct metadata *metadata)
{
	const char *kind = owner_kind_name(metadata->owner_kind);
	char *name;

	if (metadata->owner_name[0] == '\0')
		return;
	if (kind == NULL) {
		add_text(out, "k8s.owner.kind", metadata->owner_kind);
		add_text(out, "k8s.owner.name", metadata->owner_name);
		return;
	}
	name = xasprintf("k8s.%s.name", kind);
	add_text(out, name, metadata->owner_name);
	free(name);
}

/* "registry:5000/name:tag@sha256:..." is a name and a tag. */
static void add_otel_image(struct buf *out, const char *image)
{
	size_t len = strcspn(image, "@");
	const char *slash = memrchr(image, '/', len), *base = slash != NULL ? slash + 1 : image;
	const char *colon = memchr(base, ':', (size_t)(image + len - base));
	char *name = xstrndup(image, colon != NULL ? (size_t)(colon - image) : len);

	add_known(out, "container.image.name", name);
	free(name);
	if (colon == NULL)
		return;
	must(buf_add_text(out, ",\"container.image.tags\":[") &&
	     buf_add_json(out, colon + 1, (size_t)(image + len - colon - 1)) && buf_add_text(out, "]"));
}

static void add_otel_metadata(struct buf *out, const struct metadata *metadata)
{
	static const struct naming pod_label = {.prefix = "k8s.pod.label."};
	static const struct naming annotation = {.prefix = "k8s.pod.annotation."};
	static const struct naming namespace_label = {.prefix = "k8s.namespace.label."};
	static const struct naming node_label = {.prefix = "k8s.node.label."};

	add_known(out, "k8s.pod.ip", metadata->pod_ip);
	add_known(out, "container.id", metadata->container_id);
	add_otel_image(out, metadata->image);
	add_known(out, "container.image.id", metadata->image_id);
	add_otel_owner(out, metadata);
	add_labels_here(out, &pod_label, &metadata->labels);
	add_labels_here(out, &annotation, &metadata->annotations);
	add_labels_here(out, &namespace_label, &metadata->namespace_labels);
	add_labels_here(out, &node_label, &metadata->node_labels);
}

static void add_otel(struct buf *out, const struct source *source)
{
	const struct origin *origin = source->origin;

	open_object(out, "resource");
	open_object(out, "attributes");
	add_text(out, "k8s.namespace.name", origin->namespace_name);
	add_text(out, "k8s.pod.name", origin->pod);
	add_text(out, "k8s.pod.uid", origin->uid);
	add_text(out, "k8s.container.name", origin->container);
	must(buf_printf(out, ",\"k8s.container.restart_count\":%u", source->restart));
	add_text(out, "k8s.node.name", origin->node);
	if (origin->metadata != NULL)
		add_otel_metadata(out, origin->metadata);
	close_object(out);
	close_object(out);
}

/* ---- all of them -------------------------------------------------------------------------------- */

void schema_add_members(enum metadata_schema schema, const struct source *source, struct buf *out)
{
	switch (schema) {
	case SCHEMA_FLUENTBIT: add_fluentbit(out, source); break;
	case SCHEMA_VECTOR: add_vector(out, source); break;
	case SCHEMA_ECS: add_ecs(out, source); break;
	case SCHEMA_OTEL: add_otel(out, source); break;
	}
}

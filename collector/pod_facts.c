/* Pod facts.  A Pod object has a hundred kilobytes, of which records carry a few hundred bytes.  Pure.
 *
 *     metadata.uid, name, namespace, labels, annotations, ownerReferences (the controlling one)
 *     spec.containers[], initContainers[], ephemeralContainers[]: name, image
 *     status.podIP, status.*ContainerStatuses[]: name, imageID, containerID
 *
 * Static pods: kubelet names the log directory by the hash of the pod's configuration.  The API server knows
 * such a pod by its mirror, which has a uid of its own and that hash in an annotation.  Anybody can write such
 * an annotation, so that uid means something only together with the pod's names.
 *
 * A Deployment's pods belong to a ReplicaSet "<deployment>-<hash>", and carry the same hash in a label of the
 * Deployment controller; so the Deployment's name is known without a right to read ReplicaSets.
 *
 * Owns its texts, in chunks that are freed as one. */
#include "config.h"
#include "collector/pod_facts.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/kube_object.h"
#include "common/must.h"
#include "outputs/template.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define CHUNK_BYTES   1000
#define UID_BYTES     63
#define OWN_PREFIX    "drave.dev/"
#define EXCLUDE       "drave.dev/exclude"
#define LOCKS_STATE   "drave.dev/locks-state" /* read by the admission policy of sets */
#define CONFIG_HASH   "kubernetes.io/config.hash"
#define CONFIG_MIRROR "kubernetes.io/config.mirror"
#define TEMPLATE_HASH "pod-template-hash"

/* ---- texts that are freed together -------------------------------------------------------------- */

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(max_align_t) char bytes[];
};

static void *take(struct chunk **memory, size_t size)
{
	struct chunk *chunk = *memory;
	void *taken;

	size = (size + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
	if (chunk == NULL || chunk->size - chunk->used < size) {
		size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;

		chunk = xmalloc(sizeof *chunk + room);
		*chunk = (struct chunk){.next = *memory, .size = room};
		*memory = chunk;
	}
	taken = chunk->bytes + chunk->used;
	chunk->used += size;
	return taken;
}

static const char *keep(struct chunk **memory, const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;
	char *copy;

	if (len == 0)
		return "";
	copy = take(memory, len + 1);
	memcpy(copy, text, len + 1);
	return copy;
}

static void free_chunks(struct chunk *chunk)
{
	while (chunk != NULL) {
		struct chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	return XXH3_64bits_withSeed(text, strlen(text) + 1, hash);
}

/* ---- labels ------------------------------------------------------------------------------------- */

struct found {
	const cJSON *item;
	size_t place;
	bool is_for_records;
};

static int compare_found(const void *a, const void *b)
{
	const struct found *left = a, *right = b;
	int order = strcmp(left->item->string, right->item->string);

	return order != 0 ? order : (left->place > right->place) - (left->place < right->place);
}

/* Bytes of the text as JSON, at most. */
static size_t cost_of(const char *text)
{
	size_t cost = 0;

	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		cost += byte < 0x20 ? 6 : byte == '"' || byte == '\\' ? 2 : byte >= 0x80 ? 3 : 1;
	}
	return cost;
}

struct budget {
	size_t left;
	unsigned left_out;
};

static bool pays(struct budget *budget, const cJSON *item)
{
	size_t cost = cost_of(item->string) + cost_of(item->valuestring) + LABEL_EXTRA_BYTES;

	if (cost > budget->left) {
		budget->left_out++;
		return false;
	}
	budget->left -= cost;
	return true;
}

/* Kept whatever room there is: there are no more of these than names in the configuration, and they are
 * short. A longer value is none for a template. */
static bool serves_template(const struct metadata_choice *choice, enum metadata_kind kind, const cJSON *item)
{
	return metadata_choice_is_in_template(choice, kind, item->string) &&
	       strlen(item->valuestring) <= TEMPLATE_VALUE_BYTES;
}

/* By name; of a repeated name the last one counts, as for every reader of JSON in the cluster. */
static struct found *sort_items(const cJSON *object, size_t *ret_count)
{
	size_t count = (size_t)cJSON_GetArraySize(object), kept = 0;
	struct found *found = xcalloc(count + 1, sizeof *found);
	const cJSON *item;
	size_t i = 0;

	cJSON_ArrayForEach(item, object)
	{
		found[i] = (struct found){item, i, false};
		i++;
	}
	qsort(found, count, sizeof *found, compare_found);
	for (i = 0; i < count; i++) {
		if (kept != 0 && strcmp(found[kept - 1].item->string, found[i].item->string) == 0)
			kept--;
		found[kept++] = found[i];
	}
	*ret_count = kept;
	return found;
}

static int read_labels(struct labels *ret_labels, struct chunk **memory, struct budget *budget,
    const cJSON *object, const struct metadata_choice *choice, enum metadata_kind kind, struct err *err)
{
	struct found *found;
	struct label *items;
	size_t count, chosen = 0;
	const cJSON *item;

	*ret_labels = (struct labels){.count = 0};
	cJSON_ArrayForEach(item, object)
	{
		if (!cJSON_IsString(item) || item->string == NULL)
			return err_set(err, -EINVAL, "a label or annotation is no string");
	}
	found = sort_items(object, &count);
	for (size_t i = 0; i < count; i++) {
		item = found[i].item;
		found[i].is_for_records =
		    metadata_choice_use(choice, kind, item->string) == METADATA_FOR_RECORDS &&
		    pays(budget, item);
		if (found[i].is_for_records || serves_template(choice, kind, item))
			found[chosen++] = found[i];
	}
	items = take(memory, (chosen + 1) * sizeof *items);
	for (size_t i = 0; i < chosen; i++)
		items[i] = (struct label){
		    .name = keep(memory, found[i].item->string),
		    .value = keep(memory, found[i].item->valuestring),
		    .is_for_templates_only = !found[i].is_for_records,
		};
	ret_labels->count = chosen;
	ret_labels->items = items;
	free(found);
	return 0;
}

static uint64_t hash_labels(uint64_t hash, const struct labels *labels)
{
	for (size_t i = 0; i < labels->count; i++)
		hash = hash_text(hash_text(hash, labels->items[i].name), labels->items[i].value);
	return hash_text(hash, "");
}

static void copy_labels(struct labels *copy, struct chunk **memory, const struct labels *labels)
{
	struct label *items = take(memory, (labels->count + 1) * sizeof *items);

	for (size_t i = 0; i < labels->count; i++)
		items[i] = (struct label){
		    .name = keep(memory, labels->items[i].name),
		    .value = keep(memory, labels->items[i].value),
		    .is_for_templates_only = labels->items[i].is_for_templates_only,
		};
	*copy = (struct labels){items, labels->count};
}

/* ---- a pod -------------------------------------------------------------------------------------- */

/* What the reading of one pod goes through. */
struct reading {
	struct pod_facts *facts;
	const struct metadata_choice *choice;
	const cJSON *metadata, *spec, *status, *labels, *annotations;
	struct err *err;
};

/* A text of the kind, if it is wanted and can be one. */
static const char *keep_fact(const struct reading *reading, enum metadata_kind kind, const char *text)
{
	if (text == NULL || strlen(text) > FACT_BYTES || !metadata_choice_has(reading->choice, kind))
		return "";
	return keep(&reading->facts->memory, text);
}

static const char *annotation_of(const cJSON *metadata, const char *name)
{
	const cJSON *annotations = cJSON_GetObjectItemCaseSensitive(metadata, "annotations");
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(annotations, name);

	return cJSON_IsString(value) ? value->valuestring : NULL;
}

static const char *own_uid(const cJSON *metadata)
{
	const cJSON *uid = cJSON_GetObjectItemCaseSensitive(metadata, "uid");

	return cJSON_IsString(uid) && uid->valuestring[0] != '\0' && strlen(uid->valuestring) <= UID_BYTES
		   ? uid->valuestring
		   : NULL;
}

static const char *log_uid(const cJSON *metadata)
{
	const char *mirror = annotation_of(metadata, CONFIG_MIRROR),
		   *hash = annotation_of(metadata, CONFIG_HASH);
	const char *static_uid = mirror != NULL ? (hash != NULL ? hash : mirror) : NULL;

	if (static_uid != NULL && static_uid[0] != '\0' && strlen(static_uid) <= UID_BYTES)
		return static_uid;
	return own_uid(metadata);
}

/* The controlling owner's kind and name; none is fine, and so is a mirror pod's node. */
static bool find_owner(const struct reading *reading, const char **ret_kind, const char **ret_name)
{
	const cJSON *owners, *owner;

	*ret_kind = *ret_name = NULL;
	if (!kube_list(reading->metadata, "ownerReferences", &owners, reading->err))
		return false;
	cJSON_ArrayForEach(owner, owners)
	{
		if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(owner, "controller")))
			continue;
		if (!kube_text(owner, "kind", ret_kind, reading->err) ||
		    !kube_text(owner, "name", ret_name, reading->err))
			return false;
	}
	if (*ret_kind == NULL || *ret_name == NULL || strcmp(*ret_kind, "Node") == 0)
		*ret_kind = *ret_name = NULL;
	return true;
}

/* The length of the Deployment's name in its ReplicaSet's, 0 if that belongs to none. */
static size_t deployment_len(const struct reading *reading, const char *kind, const char *name)
{
	const cJSON *hash = cJSON_GetObjectItemCaseSensitive(reading->labels, TEMPLATE_HASH);
	size_t name_len = strlen(name), hash_len;

	if (strcmp(kind, "ReplicaSet") != 0 || !cJSON_IsString(hash) || hash->valuestring[0] == '\0')
		return 0;
	hash_len = strlen(hash->valuestring);
	if (name_len < hash_len + 2 || name[name_len - hash_len - 1] != '-' ||
	    strcmp(name + name_len - hash_len, hash->valuestring) != 0)
		return 0;
	return name_len - hash_len - 1;
}

static bool read_owner(const struct reading *reading)
{
	struct pod_facts *facts = reading->facts;
	const char *kind, *name;
	char *deployment;
	size_t len;

	if (!find_owner(reading, &kind, &name))
		return false;
	len = kind != NULL ? deployment_len(reading, kind, name) : 0;
	deployment = len != 0 ? xstrndup(name, len) : NULL;
	facts->owner_kind = keep_fact(reading, METADATA_OWNER, deployment != NULL ? "Deployment" : kind);
	facts->owner_name = keep_fact(reading, METADATA_OWNER, deployment != NULL ? deployment : name);
	free(deployment);
	return true;
}

static struct pod_container *find_container(struct pod_facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->container_count; i++)
		if (strcmp(facts->containers[i].name, name) == 0)
			return &facts->containers[i];
	return NULL;
}

/* Calls visit for each named object of the list. */
static bool each_named(const struct reading *reading, const cJSON *parent, const char *key,
    bool (*visit)(const struct reading *reading, const char *name, const cJSON *object))
{
	const cJSON *list, *object;
	const char *name;

	if (!kube_list(parent, key, &list, reading->err))
		return false;
	cJSON_ArrayForEach(object, list)
	{
		if (!kube_text(object, "name", &name, reading->err))
			return false;
		if (name != NULL && name[0] != '\0' && strlen(name) <= UID_BYTES &&
		    !visit(reading, name, object))
			return false;
	}
	return true;
}

static bool take_container(const struct reading *reading, const char *name, const cJSON *object)
{
	struct pod_facts *facts = reading->facts;
	const char *image;

	if (!kube_text(object, "image", &image, reading->err))
		return false;
	if (facts->container_count == POD_CONTAINERS || find_container(facts, name) != NULL)
		return true;
	facts->containers[facts->container_count++] = (struct pod_container){
	    .name = keep(&facts->memory, name),
	    .image = keep_fact(reading, METADATA_IMAGE, image),
	    .image_id = "",
	    .container_id = "",
	};
	return true;
}

static bool take_status(const struct reading *reading, const char *name, const cJSON *object)
{
	struct pod_container *container = find_container(reading->facts, name);
	const cJSON *restarts = cJSON_GetObjectItemCaseSensitive(object, "restartCount");
	const char *image_id, *container_id, *scheme;

	if (!kube_text(object, "imageID", &image_id, reading->err) ||
	    !kube_text(object, "containerID", &container_id, reading->err))
		return false;
	if (container == NULL)
		return true;
	if (cJSON_IsNumber(restarts) && restarts->valuedouble > 0 && restarts->valuedouble < UINT_MAX)
		container->restarts = (unsigned)restarts->valuedouble;
	scheme = container_id != NULL ? strstr(container_id, "://") : NULL;
	container->image_id = keep_fact(reading, METADATA_IMAGE_ID, image_id);
	container->container_id =
	    keep_fact(reading, METADATA_CONTAINER_ID, scheme != NULL ? scheme + 3 : container_id);
	return true;
}

static bool read_containers(const struct reading *reading)
{
	static const char *const specs[] = {"containers", "initContainers", "ephemeralContainers"};
	static const char *const statuses[] = {
	    "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"};
	struct pod_facts *facts = reading->facts;
	size_t count = 0;

	for (size_t i = 0; i < 3; i++)
		count +=
		    (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(reading->spec, specs[i]));
	if (count > POD_CONTAINERS)
		count = POD_CONTAINERS;
	facts->containers = take(&facts->memory, (count + 1) * sizeof facts->containers[0]);
	for (size_t i = 0; i < 3; i++)
		if (!each_named(reading, reading->spec, specs[i], take_container))
			return false;
	for (size_t i = 0; i < 3; i++)
		if (!each_named(reading, reading->status, statuses[i], take_status))
			return false;
	return true;
}

/* What the annotation's name says is excluded or not: the pod, or one of its containers; NULL = nothing that
 * there is. */
static bool *find_flag(struct pod_facts *facts, const char *name)
{
	struct pod_container *container;

	if (strcmp(name, EXCLUDE) == 0)
		return &facts->is_excluded;
	if (strncmp(name, EXCLUDE "-", sizeof EXCLUDE) != 0)
		return NULL;
	container = find_container(facts, name + sizeof EXCLUDE);
	return container != NULL ? &container->is_excluded : NULL;
}

/* False: it is not understood. */
static bool take_own_annotation(struct pod_facts *facts, const char *name, const char *value)
{
	bool is_true = strcmp(value, "true") == 0, *flag = find_flag(facts, name);

	if (flag == NULL || (!is_true && strcmp(value, "false") != 0))
		return false;
	*flag = is_true;
	return true;
}

/* Is it addressed to us, and not the one about the whole pod? */
static bool is_further_own(const char *name)
{
	return strncmp(name, OWN_PREFIX, sizeof OWN_PREFIX - 1) == 0 && strcmp(name, EXCLUDE) != 0 &&
	       strcmp(name, LOCKS_STATE) != 0;
}

/* Annotations that are addressed to us.  What is said of a container goes before what is said of its pod,
 * however they are sorted. */
static void read_own_annotations(const struct reading *reading)
{
	struct pod_facts *facts = reading->facts;
	const char *whole = annotation_of(reading->metadata, EXCLUDE), *refused = NULL;
	const cJSON *item;

	if (whole != NULL && !take_own_annotation(facts, EXCLUDE, whole))
		refused = EXCLUDE;
	for (size_t i = 0; i < facts->container_count; i++)
		facts->containers[i].is_excluded = facts->is_excluded;
	cJSON_ArrayForEach(item, reading->annotations)
	{
		if (is_further_own(item->string) &&
		    !take_own_annotation(facts, item->string, item->valuestring) &&
		    strlen(item->string) <= FACT_BYTES)
			refused = item->string;
	}
	facts->refused = keep(&facts->memory, refused); /* one of them: a pod may have any number */
}

bool pod_facts_excludes(const struct pod_facts *facts, const char *container)
{
	for (size_t i = 0; i < facts->container_count; i++)
		if (strcmp(facts->containers[i].name, container) == 0)
			return facts->containers[i].is_excluded;
	return facts->is_excluded;
}

bool pod_facts_has_exclusion(const struct pod_facts *facts)
{
	for (size_t i = 0; i < facts->container_count; i++)
		if (facts->containers[i].is_excluded)
			return true;
	return facts->is_excluded;
}

/* Of all containers that `named` names. */
static bool exclude_alike(const struct pod_facts *a, const struct pod_facts *b, const struct pod_facts *named)
{
	for (size_t i = 0; i < named->container_count; i++) {
		const char *name = named->containers[i].name;

		if (pod_facts_excludes(a, name) != pod_facts_excludes(b, name))
			return false;
	}
	return true;
}

bool pod_facts_exclude_alike(const struct pod_facts *a, const struct pod_facts *b)
{
	if (a == NULL || b == NULL)
		return (a == NULL || !pod_facts_has_exclusion(a)) && (b == NULL || !pod_facts_has_exclusion(b));
	return a->is_excluded == b->is_excluded && exclude_alike(a, b, a) && exclude_alike(a, b, b);
}

static bool read_all_labels(const struct reading *reading)
{
	struct pod_facts *facts = reading->facts;
	struct budget budget = {.left = POD_LABEL_BYTES};

	if (read_labels(&facts->labels, &facts->memory, &budget, reading->labels, reading->choice,
		METADATA_LABELS, reading->err) != 0 ||
	    read_labels(&facts->annotations, &facts->memory, &budget, reading->annotations, reading->choice,
		METADATA_ANNOTATIONS, reading->err) != 0)
		return false;
	facts->left_out = budget.left_out;
	return true;
}

static bool read_identity(const struct reading *reading)
{
	struct pod_facts *facts = reading->facts;
	const char *name, *namespace_name;

	if (!kube_text(reading->metadata, "name", &name, reading->err) ||
	    !kube_text(reading->metadata, "namespace", &namespace_name, reading->err))
		return false;
	if (own_uid(reading->metadata) == NULL || name == NULL || strlen(name) > FACT_BYTES ||
	    (namespace_name != NULL && strlen(namespace_name) > FACT_BYTES)) {
		(void)err_set(reading->err, -EINVAL, "a pod without name or uid");
		return false;
	}
	facts->uid = keep(&facts->memory, log_uid(reading->metadata));
	facts->object_uid = keep(&facts->memory, own_uid(reading->metadata));
	facts->name = keep(&facts->memory, name);
	facts->namespace_name = keep(&facts->memory, namespace_name);
	return true;
}

static uint64_t hash_facts(const struct pod_facts *facts)
{
	const char *const texts[] = {facts->uid, facts->object_uid, facts->namespace_name, facts->name,
	    facts->owner_kind, facts->owner_name, facts->pod_ip, facts->refused,
	    facts->is_excluded ? "x" : ""};
	uint64_t hash = hash_labels(hash_labels(facts->left_out, &facts->labels), &facts->annotations);

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		hash = hash_text(hash, texts[i]);
	for (size_t i = 0; i < facts->container_count; i++) {
		const struct pod_container *container = &facts->containers[i];

		hash = hash_text(hash_text(hash, container->name), container->image);
		hash = hash_text(hash_text(hash, container->image_id), container->container_id);
		hash = hash_text(hash + container->restarts, container->is_excluded ? "x" : "");
	}
	return hash;
}

int pod_facts_read(
    struct pod_facts **ret_facts, const cJSON *pod, const struct metadata_choice *choice, struct err *err)
{
	struct reading reading = {.facts = x_new(reading.facts), .choice = choice, .err = err};
	const char *pod_ip = NULL;

	if (!kube_child(pod, "metadata", &reading.metadata, err) ||
	    !kube_child(pod, "spec", &reading.spec, err) ||
	    !kube_child(pod, "status", &reading.status, err) ||
	    !kube_child(reading.metadata, "labels", &reading.labels, err) ||
	    !kube_child(reading.metadata, "annotations", &reading.annotations, err) ||
	    !read_identity(&reading) || !read_all_labels(&reading) || !read_owner(&reading) ||
	    !read_containers(&reading) || !kube_text(reading.status, "podIP", &pod_ip, err)) {
		pod_facts_free(reading.facts);
		return -EINVAL;
	}
	reading.facts->pod_ip = keep_fact(&reading, METADATA_POD_IP, pod_ip);
	read_own_annotations(&reading);
	reading.facts->hash = hash_facts(reading.facts);
	*ret_facts = reading.facts;
	return 0;
}

void pod_facts_free(struct pod_facts *facts)
{
	if (facts == NULL)
		return;
	free_chunks(facts->memory);
	free(facts);
}

/* ---- a namespace, a node ------------------------------------------------------------------------ */

int label_set_read(struct label_set **ret_set, const cJSON *object, const struct metadata_choice *choice,
    enum metadata_kind kind, struct err *err)
{
	struct label_set *set = x_new(set);
	struct budget budget = {.left = OTHER_LABEL_BYTES};
	const cJSON *metadata, *labels;
	const char *name = NULL;

	if (!kube_child(object, "metadata", &metadata, err) || !kube_text(metadata, "name", &name, err) ||
	    !kube_child(metadata, "labels", &labels, err) || name == NULL || name[0] == '\0' ||
	    strlen(name) > FACT_BYTES ||
	    read_labels(&set->labels, &set->memory, &budget, labels, choice, kind, err) != 0) {
		label_set_free(set);
		return err_set(err, -EINVAL, "no object with a name and labels");
	}
	set->name = xstrdup(name);
	set->left_out = budget.left_out;
	set->hash = hash_labels(0, &set->labels);
	*ret_set = set;
	return 0;
}

void label_set_free(struct label_set *set)
{
	if (set == NULL)
		return;
	free_chunks(set->memory);
	free(set->name);
	free(set);
}

/* ---- what records carry ------------------------------------------------------------------------- */

struct carried_metadata {
	struct metadata metadata;
	struct chunk *memory;
};

struct metadata *pod_metadata_new(const struct pod_facts *facts, const char *container, unsigned restart,
    const struct label_set *namespace_labels, const struct label_set *node_labels)
{
	static const struct pod_container unknown = {"", "", "", "", 0, false};
	static const struct labels none = {.count = 0};
	struct carried_metadata *carried = x_new(carried);
	struct chunk **memory = &carried->memory;
	const struct pod_container *found = &unknown;

	for (size_t i = 0; i < facts->container_count; i++)
		if (strcmp(facts->containers[i].name, container) == 0)
			found = &facts->containers[i];
	carried->metadata = (struct metadata){
	    .owner_kind = keep(memory, facts->owner_kind),
	    .owner_name = keep(memory, facts->owner_name),
	    .pod_ip = keep(memory, facts->pod_ip),
	    .image = keep(memory, found->image),
	    .image_id = keep(memory, found->image_id),
	    .container_id = keep(memory, found->restarts >= restart ? found->container_id : ""),
	};
	copy_labels(&carried->metadata.labels, memory, &facts->labels);
	copy_labels(&carried->metadata.annotations, memory, &facts->annotations);
	copy_labels(&carried->metadata.namespace_labels, memory,
	    namespace_labels != NULL ? &namespace_labels->labels : &none);
	copy_labels(
	    &carried->metadata.node_labels, memory, node_labels != NULL ? &node_labels->labels : &none);
	return &carried->metadata;
}

void pod_metadata_free(struct metadata *metadata)
{
	struct carried_metadata *carried;

	if (metadata == NULL)
		return;
	carried = container_of(metadata, struct carried_metadata, metadata);
	free_chunks(carried->memory);
	free(carried);
}

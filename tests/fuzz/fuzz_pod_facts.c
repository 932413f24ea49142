/* Pods as a kubelet or an API server might send them: what is kept agrees with itself, is bounded, and is
 * what the records of each container carry. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "collector/pod_facts.h"
#include "common/must.h"
#include "outputs/template.h"

static const char *const all_words[] = {
    "labels:a*", "annotations", "namespace_labels", "owner", "image", "image_id", "container_id", "pod_ip"};
static const char *const all_globs[] = {"*"};
static const struct bind_list every_word = {(char **)(uintptr_t)all_words, 8}; /* nobody writes to them */
static const struct bind_list every_glob = {(char **)(uintptr_t)all_globs, 1};

static void check_labels(const struct labels *labels, size_t limit)
{
	size_t bytes = 0;

	for (size_t i = 0; i < labels->count; i++) {
		must(i == 0 || strcmp(labels->items[i - 1].name, labels->items[i].name) < 0);
		must(!labels->items[i].is_for_templates_only || strlen(labels->items[i].value) <= TEMPLATE_VALUE_BYTES);
		if (!labels->items[i].is_for_templates_only)
			bytes += strlen(labels->items[i].name) + strlen(labels->items[i].value) + LABEL_EXTRA_BYTES;
	}
	must(bytes <= limit);
}

static void check_container(const struct pod_facts *facts, const char *name)
{
	struct metadata *metadata = pod_metadata_new(facts, name, 0, NULL, NULL);

	must(metadata->labels.count == facts->labels.count);
	must(metadata->annotations.count == facts->annotations.count);
	must(strlen(metadata->image) <= FACT_BYTES && strlen(metadata->container_id) <= FACT_BYTES);
	must(!pod_facts_excludes(facts, name) || pod_facts_has_exclusion(facts));
	must((metadata->owner_kind[0] == '\0') <= (metadata->owner_name[0] == '\0'));
	pod_metadata_free(metadata);
}

static void check_pod(const cJSON *object, const struct metadata_choice *choice)
{
	struct pod_facts *facts = NULL, *again = NULL;

	if (pod_facts_read(&facts, object, choice, NULL) < 0)
		return;
	must(strlen(facts->uid) < 64 && strlen(facts->name) <= FACT_BYTES && strlen(facts->namespace_name) <= FACT_BYTES);
	check_labels(&facts->labels, POD_LABEL_BYTES);
	check_labels(&facts->annotations, POD_LABEL_BYTES);
	must(facts->container_count <= POD_CONTAINERS);
	for (size_t i = 0; i < facts->container_count; i++)
		check_container(facts, facts->containers[i].name);
	check_container(facts, "none");
	must(pod_facts_read(&again, object, choice, NULL) == 0 && again->hash == facts->hash);
	pod_facts_free(again);
	pod_facts_free(facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct metadata_choice choice = {.words = &every_word, .annotations = &every_glob};
	char *text = xstrndup((const char *)bytes, len);
	cJSON *object = cJSON_Parse(text);
	struct label_set *set = NULL;

	metadata_choice_add_template(&choice, "{label:tier}");
	if (object != NULL) {
		check_pod(object, &choice);
		if (label_set_read(&set, object, &choice, METADATA_NAMESPACE_LABELS, NULL) == 0)
			check_labels(&set->labels, OTHER_LABEL_BYTES);
		label_set_free(set);
		cJSON_Delete(object);
	}
	metadata_choice_add_template(&choice, text);
	metadata_choice_release(&choice);
	free(text);
	return 0;
}

/* Which metadata is wanted.  A word of the option `metadata` is a kind, or for labels a kind and a glob over
 * their names: "labels", "owner", "labels:app*".  Pure; the glob itself is
 * fnmatch(3).
 *
 * What only a template names is kept too, but is not for the records. */
#include "config.h"
#include "collector/metadata_choice.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "outputs/template.h"

#define GLOB_BYTES 318 /* the longest name of a label: prefix, slash and name */

static const char *const kind_words[METADATA_KINDS] = {
    [METADATA_LABELS] = "labels",
    [METADATA_ANNOTATIONS] = "annotations",
    [METADATA_NAMESPACE_LABELS] = "namespace_labels",
    [METADATA_NODE_LABELS] = "node_labels",
    [METADATA_OWNER] = "owner",
    [METADATA_IMAGE] = "image",
    [METADATA_IMAGE_ID] = "image_id",
    [METADATA_CONTAINER_ID] = "container_id",
    [METADATA_POD_IP] = "pod_ip",
};

static bool has_names(enum metadata_kind kind)
{
	return kind == METADATA_LABELS || kind == METADATA_NAMESPACE_LABELS || kind == METADATA_NODE_LABELS;
}

/* The kind at the start of the word, or METADATA_KINDS; *ret_glob = what follows its colon, NULL without one.
 */
static enum metadata_kind kind_of(const char *word, const char **ret_glob)
{
	size_t len = strcspn(word, ":");
	enum metadata_kind kind = 0;

	while (kind < METADATA_KINDS &&
	       (strlen(kind_words[kind]) != len || memcmp(kind_words[kind], word, len) != 0))
		kind++;
	*ret_glob = word[len] == ':' ? word + len + 1 : NULL;
	return kind;
}

const char *metadata_choice_check_glob(const char *glob)
{
	if (glob[0] == '\0')
		return "a pattern is empty";
	if (strlen(glob) > GLOB_BYTES)
		return "a pattern is longer than 317 bytes";
	if (glob[strspn(glob, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./*?[]!^")] !=
	    '\0')
		return "no label or annotation has such a character: patterns are made of A-Z a-z 0-9 - _ . "
		       "/ * ? "
		       "[a-z] [!a-z]";
	return NULL;
}

const char *metadata_choice_check(const char *word)
{
	const char *glob;
	enum metadata_kind kind = kind_of(word, &glob);

	if (kind == METADATA_KINDS)
		return "unknown kind of metadata; known: labels, annotations, namespace_labels, node_labels, "
		       "owner, image, "
		       "image_id, container_id, pod_ip";
	if (glob != NULL && kind == METADATA_ANNOTATIONS)
		return "which annotations is said by the key 'annotations'";
	if (glob != NULL && !has_names(kind))
		return "only labels, namespace_labels and node_labels take a pattern";
	return glob != NULL ? metadata_choice_check_glob(glob) : NULL;
}

bool metadata_choice_has(const struct metadata_choice *choice, enum metadata_kind kind)
{
	const char *glob;

	for (size_t i = 0; i < choice->words->count; i++)
		if (kind_of(choice->words->items[i], &glob) == kind)
			return true;
	return false;
}

static bool is_in(const struct bind_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], name) == 0)
			return true;
	return false;
}

static bool fits_any(const struct bind_list *globs, const char *name)
{
	for (size_t i = 0; i < globs->count; i++)
		if (fnmatch(globs->items[i], name, 0) == 0)
			return true;
	return false;
}

static bool is_for_records(const struct metadata_choice *choice, enum metadata_kind kind, const char *name)
{
	const char *glob;

	if (kind == METADATA_ANNOTATIONS)
		return metadata_choice_has(choice, kind) && fits_any(choice->annotations, name);
	for (size_t i = 0; i < choice->words->count; i++)
		if (kind_of(choice->words->items[i], &glob) == kind &&
		    (glob == NULL || fnmatch(glob, name, 0) == 0))
			return true;
	return false;
}

enum metadata_use metadata_choice_use(
    const struct metadata_choice *choice, enum metadata_kind kind, const char *name)
{
	if (is_for_records(choice, kind, name))
		return METADATA_FOR_RECORDS;
	return metadata_choice_is_in_template(choice, kind, name) ? METADATA_FOR_TEMPLATES : METADATA_UNUSED;
}

bool metadata_choice_is_in_template(
    const struct metadata_choice *choice, enum metadata_kind kind, const char *name)
{
	if (kind == METADATA_LABELS)
		return is_in(&choice->template_labels, name);
	return kind == METADATA_ANNOTATIONS && is_in(&choice->template_annotations, name);
}

/* ---- templates ---------------------------------------------------------------------------------- */

static void add_name(void *arg, bool is_annotation, const char *name)
{
	struct metadata_choice *choice = arg;
	struct bind_list *list = is_annotation ? &choice->template_annotations : &choice->template_labels;

	if (is_in(list, name))
		return;
	list->items = xrealloc(list->items, (list->count + 1) * sizeof list->items[0]);
	list->items[list->count++] = xstrdup(name);
}

void metadata_choice_add_template(struct metadata_choice *choice, const char *text)
{
	struct template *template;

	if (template_check(text) != NULL)
		return;
	template = template_new(text, TEMPLATE_PLAIN);
	template_each_name(template, add_name, choice);
	template_free(template);
}

static bool has_all(const struct bind_list *list, const struct bind_list *names)
{
	for (size_t i = 0; i < names->count; i++)
		if (!is_in(list, names->items[i]))
			return false;
	return list->count == names->count; /* each stands in it once */
}

bool metadata_choice_same_templates(const struct metadata_choice *a, const struct metadata_choice *b)
{
	return has_all(&a->template_labels, &b->template_labels) &&
	       has_all(&a->template_annotations, &b->template_annotations);
}

static void release_list(struct bind_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct bind_list){.count = 0};
}

void metadata_choice_release(struct metadata_choice *choice)
{
	release_list(&choice->template_labels);
	release_list(&choice->template_annotations);
}

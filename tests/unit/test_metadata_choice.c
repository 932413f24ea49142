/* Words of `metadata`, globs of `annotations`, names in templates. */
#include "config.h"
#include "collector/metadata_choice.h"

#include <string.h>

#include "tests/unit/unit.h"

static struct bind_list list_of(const char *const *items)
{
	struct bind_list list = {(char **)(uintptr_t)items, 0}; /* nobody writes to them */

	while (items[list.count] != NULL)
		list.count++;
	return list;
}

START_TEST(a_word_is_a_kind_and_for_labels_a_pattern)
{
	ck_assert_ptr_null(metadata_choice_check("labels"));
	ck_assert_ptr_null(metadata_choice_check("node_labels:topology.kubernetes.io/*"));
	ck_assert_ptr_null(metadata_choice_check("pod_ip"));
	ck_assert_ptr_nonnull(metadata_choice_check("label"));
	ck_assert_ptr_nonnull(metadata_choice_check("labelsx"));
	ck_assert_ptr_nonnull(metadata_choice_check(""));
	ck_assert_ptr_nonnull(metadata_choice_check("owner:x"));
	ck_assert_ptr_nonnull(metadata_choice_check("annotations:x"));
	ck_assert_ptr_nonnull(metadata_choice_check("labels:"));
	ck_assert_ptr_nonnull(metadata_choice_check("labels:a b"));
	ck_assert_ptr_null(metadata_choice_check_glob("prometheus.io/*"));
	ck_assert_ptr_nonnull(metadata_choice_check_glob("a{b}"));
}
END_TEST

START_TEST(records_get_what_was_chosen_and_templates_what_they_name)
{
	const char *words[] = {"labels:app*", "annotations", "node_labels", NULL},
		   *globs[] = {"team/*", NULL};
	struct bind_list metadata = list_of(words), annotations = list_of(globs);
	struct metadata_choice choice = {.words = &metadata, .annotations = &annotations};

	metadata_choice_add_template(&choice, "logs.{label:tier}.{label:tier}-{annotation:drave/topic}");
	metadata_choice_add_template(&choice, "{namespace}{label:app:-{other}");
	metadata_choice_add_template(&choice, "{{label:literal}}");
	metadata_choice_add_template(&choice, "{label:wrong}{label:");
	ck_assert_uint_eq(choice.template_labels.count, 2);
	ck_assert_str_eq(choice.template_labels.items[0], "tier");
	ck_assert_str_eq(choice.template_labels.items[1], "app");
	ck_assert_uint_eq(choice.template_annotations.count, 1);
	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_LABELS, "app"), METADATA_FOR_RECORDS);
	ck_assert_int_eq(
	    metadata_choice_use(&choice, METADATA_LABELS, "app.kubernetes.io/name"), METADATA_FOR_RECORDS);
	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_LABELS, "tier"), METADATA_FOR_TEMPLATES);
	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_LABELS, "other"), METADATA_UNUSED);
	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_ANNOTATIONS, "team/x"), METADATA_FOR_RECORDS);
	ck_assert_int_eq(
	    metadata_choice_use(&choice, METADATA_ANNOTATIONS, "drave/topic"), METADATA_FOR_TEMPLATES);
	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_ANNOTATIONS, "tier"), METADATA_UNUSED);
	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_NODE_LABELS, "zone"), METADATA_FOR_RECORDS);
	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_NAMESPACE_LABELS, "zone"), METADATA_UNUSED);
	ck_assert(metadata_choice_is_in_template(&choice, METADATA_LABELS, "app")); /* and for records */
	ck_assert(!metadata_choice_is_in_template(&choice, METADATA_LABELS, "drave/topic"));
	ck_assert(!metadata_choice_is_in_template(&choice, METADATA_NODE_LABELS, "app"));
	ck_assert(metadata_choice_has(&choice, METADATA_NODE_LABELS));
	ck_assert(!metadata_choice_has(&choice, METADATA_OWNER));
	metadata_choice_release(&choice);
}
END_TEST

START_TEST(annotations_need_both_keys)
{
	const char *words[] = {"labels", NULL}, *globs[] = {"*", NULL};
	struct bind_list metadata = list_of(words), annotations = list_of(globs);
	struct metadata_choice choice = {.words = &metadata, .annotations = &annotations};

	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_ANNOTATIONS, "a"), METADATA_UNUSED);
	words[0] = "annotations";
	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_ANNOTATIONS, "a"), METADATA_FOR_RECORDS);
	annotations.count = 0;
	ck_assert_int_eq(metadata_choice_use(&choice, METADATA_ANNOTATIONS, "a"), METADATA_UNUSED);
}
END_TEST

UNIT_MAIN("metadata_choice", a_word_is_a_kind_and_for_labels_a_pattern,
    records_get_what_was_chosen_and_templates_what_they_name, annotations_need_both_keys)

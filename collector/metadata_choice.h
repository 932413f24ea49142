/* Which metadata is wanted: what the configuration chose for the records, and what templates name.  Pure. */
#ifndef DRAVE_COLLECTOR_METADATA_CHOICE_H
#define DRAVE_COLLECTOR_METADATA_CHOICE_H

#include <stdbool.h>

#include "conf/row.h"

enum metadata_kind {
	METADATA_LABELS,
	METADATA_ANNOTATIONS,
	METADATA_NAMESPACE_LABELS,
	METADATA_NODE_LABELS,
	METADATA_OWNER,
	METADATA_IMAGE,
	METADATA_IMAGE_ID,
	METADATA_CONTAINER_ID,
	METADATA_POD_IP,
	METADATA_KINDS,
};

struct metadata_choice {
	const struct bind_list *words;       /* of `metadata`: a kind, or KIND:GLOB for labels; borrowed */
	const struct bind_list *annotations; /* globs; borrowed */
	struct bind_list template_labels;    /* names that templates have; owned */
	struct bind_list template_annotations;
};

/* For option rows: NULL = fine, else the complaint. */
const char *metadata_choice_check(const char *word);
const char *metadata_choice_check_glob(const char *glob);

/* Is anything of this kind wanted in records? */
bool metadata_choice_has(const struct metadata_choice *choice, enum metadata_kind kind);
enum metadata_use { METADATA_UNUSED, METADATA_FOR_TEMPLATES, METADATA_FOR_RECORDS };
/* What is the label (or annotation) with this name for? */
enum metadata_use metadata_choice_use(
    const struct metadata_choice *choice, enum metadata_kind kind, const char *name);
/* Does a template name it?  Then it is kept, whether or not there is room for it in records. */
bool metadata_choice_is_in_template(
    const struct metadata_choice *choice, enum metadata_kind kind, const char *name);
/* Adds the names in {label:NAME} and {annotation:NAME} of a text; one that is no template has none. */
void metadata_choice_add_template(struct metadata_choice *choice, const char *text);
/* Do the templates name the same? */
bool metadata_choice_same_templates(const struct metadata_choice *a, const struct metadata_choice *b);
void metadata_choice_release(struct metadata_choice *choice);

#endif

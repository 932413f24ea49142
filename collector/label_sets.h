/* Labels of namespaces, or of nodes, by their names, as a source lists them.  Pure. */
#ifndef DRAVE_COLLECTOR_LABEL_SETS_H
#define DRAVE_COLLECTOR_LABEL_SETS_H

#include <stdbool.h>
#include <stddef.h>

#include "collector/pod_facts.h"

struct label_entry;

struct label_sets {
	enum metadata_kind kind;
	size_t limit;
	bool is_expected; /* a source will bring them */
	bool is_complete; /* it has: who is not here has none */
	bool is_late;     /* someone has waited for them in vain */
	struct label_entry *table;
};

/* NULL = not known.  Lent until the next change. */
const struct label_set *label_sets_find(const struct label_sets *sets, const char *name);
/* The same where there is but one, whatever its name. */
const struct label_set *label_sets_first(const struct label_sets *sets);
/* Are these labels, found or NULL, still to come? */
bool label_sets_lack(const struct label_sets *sets, const struct label_set *labels);

/* A list comes: what is not named until label_sets_end is gone. */
void label_sets_begin(struct label_sets *sets);
enum label_sets_news { LABELS_SAME, LABELS_NEW, LABELS_NO_ROOM };
/* Takes the labels. */
enum label_sets_news label_sets_put(struct label_sets *sets, struct label_set *labels);
void label_sets_remove(struct label_sets *sets, const char *name);
void label_sets_end(struct label_sets *sets);
void label_sets_release(struct label_sets *sets);

#endif

/* Label sets.  A table that a source keeps up to date: it lists, changes and removes.
 *
 * Part of the pod store, which says whom the news concern.  Owns the labels. */
#include "config.h"
#include "collector/label_sets.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/table.h"

struct label_entry {
	struct label_set *labels;
	bool was_seen; /* in the list that is coming in */
	UT_hash_handle hh;
};

static struct label_entry *find(const struct label_sets *sets, const char *name)
{
	struct label_entry *entry;

	HASH_FIND_STR(sets->table, name, entry);
	return entry;
}

static void free_entry(struct label_sets *sets, struct label_entry *entry)
{
	HASH_DEL(sets->table, entry);
	label_set_free(entry->labels);
	free(entry);
}

const struct label_set *label_sets_find(const struct label_sets *sets, const char *name)
{
	const struct label_entry *entry = find(sets, name);

	return entry != NULL ? entry->labels : NULL;
}

const struct label_set *label_sets_first(const struct label_sets *sets)
{
	return sets->table != NULL ? sets->table->labels : NULL;
}

bool label_sets_lack(const struct label_sets *sets, const struct label_set *labels)
{
	return sets->is_expected && !sets->is_complete && labels == NULL;
}

void label_sets_begin(struct label_sets *sets)
{
	struct label_entry *entry, *next;

	HASH_ITER (hh, sets->table, entry, next)
		entry->was_seen = false;
}

enum label_sets_news label_sets_put(struct label_sets *sets, struct label_set *labels)
{
	struct label_entry *entry = find(sets, labels->name);

	if (entry != NULL && entry->labels->hash == labels->hash) {
		entry->was_seen = true;
		label_set_free(labels);
		return LABELS_SAME;
	}
	if (entry != NULL)
		free_entry(sets, entry);
	else if (HASH_COUNT(sets->table) >= sets->limit) {
		label_set_free(labels);
		return LABELS_NO_ROOM;
	}
	entry = x_new(entry);
	*entry = (struct label_entry){.labels = labels, .was_seen = true};
	HASH_ADD_KEYPTR(hh, sets->table, labels->name, strlen(labels->name), entry);
	return LABELS_NEW;
}

void label_sets_remove(struct label_sets *sets, const char *name)
{
	struct label_entry *entry = find(sets, name);

	if (entry != NULL)
		free_entry(sets, entry);
}

void label_sets_end(struct label_sets *sets)
{
	struct label_entry *entry, *next;

	HASH_ITER (hh, sets->table, entry, next)
		if (!entry->was_seen)
			free_entry(sets, entry);
	sets->is_complete = true;
}

void label_sets_release(struct label_sets *sets)
{
	struct label_entry *entry, *next;

	HASH_ITER (hh, sets->table, entry, next)
		free_entry(sets, entry);
}

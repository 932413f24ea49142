/* History.  Revisions are compared by their bytes, never by their hash: the hash only names them (H-1, H-2).
 * So going back to an old template finds the old revision again, and pods that still carry its hash are not
 * restarted (H-4).  Pure. */
#include "config.h"

#include "controller/history.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

struct sorted { /* the set's revisions: those equal to the template, and the others; oldest first */
	const struct revision **equal, **old;
	size_t equal_count, old_count;
};

/* H-7: a revision without the label is known by its name, which becomes the label. */
static const char *hash_of(const struct revision *revision)
{
	const char *hash = revision_hash(revision);

	return hash[0] != '\0' ? hash : revision->meta.name;
}

static void sort(
    struct sorted *ret_sorted, const struct revision *const *revisions, size_t count, const struct buf *data)
{
	*ret_sorted = (struct sorted){
	    .equal = xcalloc(count + 1, sizeof ret_sorted->equal[0]),
	    .old = xcalloc(count + 1, sizeof ret_sorted->old[0]),
	};
	for (size_t i = 0; i < count; i++) {
		if (revisions[i]->data_len == data->len &&
		    memcmp(revisions[i]->data, data->data, data->len) == 0)
			ret_sorted->equal[ret_sorted->equal_count++] = revisions[i];
		else
			ret_sorted->old[ret_sorted->old_count++] = revisions[i];
	}
	if (ret_sorted->equal_count > 1)
		qsort(ret_sorted->equal, ret_sorted->equal_count, sizeof ret_sorted->equal[0],
		    revision_compare);
	if (ret_sorted->old_count > 1)
		qsort(ret_sorted->old, ret_sorted->old_count, sizeof ret_sorted->old[0], revision_compare);
}

static void release(struct sorted *sorted)
{
	free(sorted->equal);
	free(sorted->old);
}

static void template_bytes(const struct view *view, struct buf *out)
{
	buf_init(out, 2 * POD_TEMPLATE_BYTES);
	pod_template_data(view->set->pod_template, out);
}

/* H-5: all but the newest equal one go, and pods that carry their hashes get that of the one that stays. */
static void drop_duplicates(
    const struct sorted *sorted, const struct pod *const *pods, size_t pod_count, struct decision *decision)
{
	const char *kept = hash_of(sorted->equal[sorted->equal_count - 1]);

	for (size_t i = 0; i + 1 < sorted->equal_count; i++) {
		const char *hash = hash_of(sorted->equal[i]);

		for (size_t j = 0; j < pod_count; j++) {
			if (strcmp(pod_hash(pods[j]), hash) == 0 && strcmp(hash, kept) != 0) {
				struct action *action = decision_add(decision, ACTION_RELABEL_POD);

				action->pod = pods[j];
				action->hash = kept;
			}
		}
		decision_add(decision, ACTION_DELETE_DUPLICATE)->revision = sorted->equal[i];
	}
}

static void set_hash(struct decision *decision, const char *hash)
{
	size_t len = strnlen(hash, POD_HASH_BYTES - 1);

	memcpy(decision->hash, hash, len);
	decision->hash[len] = '\0';
}

void history_decide(const struct view *view, const struct revision *const *revisions, size_t revision_count,
    const struct pod *const *pods, size_t pod_count, struct decision *decision)
{
	const struct revision *current;
	struct sorted sorted;
	int64_t number;
	struct buf data;

	for (size_t i = 0; i < revision_count; i++)
		if (revision_hash(revisions[i])[0] == '\0')
			decision_add(decision, ACTION_LABEL_REVISION)->revision = revisions[i];
	template_bytes(view, &data);
	sort(&sorted, revisions, revision_count, &data);
	number = sorted.old_count != 0 ? sorted.old[sorted.old_count - 1]->number + 1 : 1;
	if (sorted.equal_count == 0) {
		pod_template_hash(decision->hash, data.data, data.len, view->set->status.collision_count);
		decision_add(decision, ACTION_CREATE_REVISION)->number = number;
	} else {
		current = sorted.equal[sorted.equal_count - 1];
		set_hash(decision, hash_of(current));
		drop_duplicates(&sorted, pods, pod_count, decision);
		if (current->number < number) {
			struct action *action = decision_add(decision, ACTION_RENUMBER_REVISION);

			action->revision = current;
			action->number = number;
		}
	}
	release(&sorted);
	buf_release(&data);
}

static bool is_carried(const struct revision *revision, const struct pod *const *pods, size_t pod_count)
{
	for (size_t i = 0; i < pod_count; i++)
		if (strcmp(pod_hash(pods[i]), hash_of(revision)) == 0)
			return true;
	return false;
}

void history_clean(const struct view *view, const struct revision *const *revisions, size_t revision_count,
    const struct pod *const *pods, size_t pod_count, struct decision *decision)
{
	struct sorted sorted;
	struct buf data;
	int64_t surplus;

	template_bytes(view, &data);
	sort(&sorted, revisions, revision_count, &data);
	surplus = (int64_t)sorted.old_count - view->set->history_limit;
	for (size_t i = 0; i < sorted.old_count && surplus > 0; i++) {
		if (is_carried(sorted.old[i], pods, pod_count))
			continue;
		decision_add(decision, ACTION_DELETE_REVISION)->revision = sorted.old[i];
		surplus--;
	}
	release(&sorted);
	buf_release(&data);
}

/* H-1 to H-9 of the rules of placement, as far as the core decides them; the template now is that of image
 * "now". */
#include "config.h"

#include "controller/history.h"

#include "tests/unit/sync.h"
#include "tests/unit/unit.h"

#define DATA                                                                                                 \
	"{\"spec\":{\"template\":{\"$patch\":\"replace\",\"metadata\":{\"labels\":" SYNC_LABEL "},"          \
	"\"spec\":{\"containers\":[{\"image\":\"%s\",\"name\":\"c\"}]}}}}"

static struct sync *now(void)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	sync_change_image(sync, "now");
	return sync;
}

/* hash: of the label; NULL = it has none. */
static const struct revision *add(
    struct sync *sync, const char *name, int64_t number, const char *hash, const char *image)
{
	char *data = xasprintf(DATA, image);
	char *label = hash != NULL ? xasprintf(",\"" POD_HASH_LABEL "\":\"%s\"", hash) : xstrdup("");
	cJSON *tree = objects_json("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"uid\":\"%s\","
				   "\"resourceVersion\":\"1\",\"labels\":{\"type\":\"production\"%s}},"
				   "\"revision\":%" PRId64 ",\"data\":%s}",
	    name, name, label, number, data);

	ck_assert_int_eq(revision_read(&sync->revisions[sync->revision_count], tree, NULL), 0);
	cJSON_Delete(tree);
	free(label);
	free(data);
	return sync->revisions[sync->revision_count++];
}

static struct decision decide_history(const struct sync *sync)
{
	struct view view = sync_view(sync);
	struct decision decision;

	decision_init(&decision);
	history_decide(&view, view.revisions, view.revision_count, view.pods, view.pod_count, &decision);
	return decision;
}

static struct decision clean_history(const struct sync *sync)
{
	struct view view = sync_view(sync);
	struct decision decision;

	decision_init(&decision);
	history_clean(&view, view.revisions, view.revision_count, view.pods, view.pod_count, &decision);
	return decision;
}

/* "kind name number; ...", in their order. */
static const char *written(const struct decision *decision)
{
	static char text[1024];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < decision->action_count; i++) {
		const struct action *action = &decision->actions[i];

		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s %s %" PRId64, i != 0 ? "; " : "",
		    action_kind_text(action->kind),
		    action->revision != NULL ? action->revision->meta.name
		    : action->pod != NULL    ? action->hash
					     : "-",
		    action->number);
		ck_assert_uint_lt(len, sizeof text);
	}
	return text;
}

#define EXPECT(sync, what, hash_now, text)                                                                   \
	do {                                                                                                 \
		struct decision decision_ = what(sync);                                                      \
                                                                                                             \
		ck_assert_str_eq(written(&decision_), (text));                                               \
		ck_assert_str_eq(decision_.hash, (hash_now));                                                \
		decision_release(&decision_);                                                                \
	} while (0)

START_TEST(H1_sameness_goes_by_bytes_and_not_by_hash)
{
	struct sync *sync = now();

	(void)add(sync, "named-otherwise", 1, "odd", "now");
	EXPECT(sync, decide_history, "odd", "");
	sync_free(sync);
	sync = now();
	(void)add(sync, "same-hash", 1, sync_hash(sync), "before"); /* H-6 is for who writes it */
	EXPECT(sync, decide_history, sync_hash(sync), "create revision - 2");
	sync_free(sync);
}
END_TEST

START_TEST(H2_a_new_revision_is_named_by_the_collision_count_too_an_old_one_is_not)
{
	struct sync *sync = now();
	char *before = xstrdup(sync_hash(sync));

	sync->set->status.collision_count = 1;
	ck_assert_str_ne(before, sync_hash(sync));
	EXPECT(sync, decide_history, sync_hash(sync), "create revision - 1");
	(void)add(sync, "r", 1, before, "now");
	EXPECT(sync, decide_history, before, "");
	free(before);
	sync_free(sync);
}
END_TEST

START_TEST(H4_a_new_template_is_numbered_after_the_highest)
{
	struct sync *sync = now();

	EXPECT(sync, decide_history, sync_hash(sync), "create revision - 1");
	(void)add(sync, "r7", 7, "h7", "seventh");
	(void)add(sync, "r3", 3, "h3", "third");
	EXPECT(sync, decide_history, sync_hash(sync), "create revision - 8");
	sync_free(sync);
}
END_TEST

START_TEST(H4_going_back_raises_the_number_of_the_old_one)
{
	struct sync *sync = now();

	(void)add(sync, "r1", 1, "h1", "now");
	(void)add(sync, "r2", 2, "h2", "second");
	(void)add(sync, "r5", 5, "h5", "fifth");
	(void)sync_add_pod(sync, "node-0", SYNC_LABEL, "uid-foo", "h1"); /* stays as it is */
	(void)sync_add_pod(sync, "node-1", SYNC_LABEL, "uid-foo", "h5");
	EXPECT(sync, decide_history, "h1", "renumber revision r1 6");
	sync_free(sync);
}
END_TEST

START_TEST(H4_what_is_current_already_is_left_alone)
{
	struct sync *sync = now();

	(void)add(sync, "r3", 3, "h3", "now");
	(void)add(sync, "r2", 2, "h2", "second");
	EXPECT(sync, decide_history, "h3", "");
	sync_free(sync);
}
END_TEST

START_TEST(H5_of_several_equal_ones_the_highest_stays_and_pods_get_its_hash)
{
	struct sync *sync = now();

	(void)add(sync, "r4", 4, "h4", "now");
	(void)add(sync, "r1", 1, "h1", "now");
	(void)add(sync, "r2", 2, "h2", "now");
	(void)add(sync, "r3", 3, "h3", "other");
	(void)sync_add_pod(sync, "node-0", SYNC_LABEL, "uid-foo", "h4");
	(void)sync_add_pod(sync, "node-1", SYNC_LABEL, "uid-foo", "h2");
	(void)sync_add_pod(sync, "node-2", SYNC_LABEL, "uid-foo", "h3");
	(void)sync_add_pod(sync, "node-3", SYNC_LABEL, "uid-foo", "");
	EXPECT(sync, decide_history, "h4",
	    "delete duplicate revision r1 0; relabel pod h4 0; delete duplicate revision r2 0");
	sync_free(sync);
}
END_TEST

START_TEST(H5_the_one_that_stays_may_have_to_be_raised_as_well)
{
	struct sync *sync = now();

	(void)add(sync, "r1", 1, "h1", "now");
	(void)add(sync, "r2", 2, "h2", "now");
	(void)add(sync, "r9", 9, "h9", "other");
	EXPECT(sync, decide_history, "h2", "delete duplicate revision r1 0; renumber revision r2 10");
	sync_free(sync);
}
END_TEST

START_TEST(H7_a_revision_without_the_label_is_known_by_its_name)
{
	struct sync *sync = now();

	(void)add(sync, "foo-abc", 1, NULL, "now");
	(void)add(sync, "foo-old", 0, NULL, "before");
	EXPECT(sync, decide_history, "foo-abc", "label revision foo-abc 0; label revision foo-old 0");
	sync_free(sync);
}
END_TEST

START_TEST(H8_what_is_beyond_the_limit_goes_the_oldest_first_and_never_the_current_one)
{
	struct sync *sync = now();

	sync_change(sync, "revisionHistoryLimit", "2");
	(void)add(sync, "r5", 5, "h5", "e");
	(void)add(sync, "r2", 2, "h2", "b");
	(void)add(sync, "r1", 1, "h1", "now");
	(void)add(sync, "r4", 4, "h4", "d");
	EXPECT(sync, clean_history, "", "delete revision r2 0");
	(void)add(sync, "r3", 3, "h3", "c");
	EXPECT(sync, clean_history, "", "delete revision r2 0; delete revision r3 0");
	sync_change(sync, "revisionHistoryLimit", "4");
	EXPECT(sync, clean_history, "", "");
	sync_change(sync, "revisionHistoryLimit", "0");
	EXPECT(sync, clean_history, "",
	    "delete revision r2 0; delete revision r3 0; delete revision r4 0; delete revision r5 0");
	sync_free(sync);
}
END_TEST

START_TEST(H8_what_a_pod_carries_stays_and_another_one_goes_for_it)
{
	struct sync *sync = now();

	sync_change(sync, "revisionHistoryLimit", "1");
	(void)add(sync, "r1", 1, "h1", "a");
	(void)add(sync, "r2", 2, NULL, "b"); /* H-7: by its name */
	(void)add(sync, "r3", 3, "h3", "c");
	(void)add(sync, "r4", 4, "h4", "now");
	(void)sync_add_pod(sync, "node-0", SYNC_LABEL, "uid-foo", "h1");
	EXPECT(sync, clean_history, "", "delete revision r2 0; delete revision r3 0");
	(void)sync_add_pod(sync, "node-1", SYNC_LABEL, "uid-foo", "r2");
	EXPECT(sync, clean_history, "", "delete revision r3 0");
	sync_free(sync);
}
END_TEST

START_TEST(H9_a_pod_that_has_ended_and_is_ending_still_holds_its_revision)
{
	struct sync *sync = now();
	size_t pod;

	sync_change(sync, "revisionHistoryLimit", "0");
	(void)add(sync, "r1", 1, "h1", "a");
	(void)add(sync, "r2", 2, "h2", "now");
	pod = sync_add_pod(sync, "node-0", SYNC_LABEL, "uid-foo", "h1");
	sync_set_phase(sync, pod, "Failed");
	sync_terminate(sync, pod);
	EXPECT(sync, clean_history, "", "");
	sync_remove_pod(sync, pod);
	EXPECT(sync, clean_history, "", "delete revision r1 0");
	sync_free(sync);
}
END_TEST

UNIT_MAIN("history", H1_sameness_goes_by_bytes_and_not_by_hash,
    H2_a_new_revision_is_named_by_the_collision_count_too_an_old_one_is_not,
    H4_a_new_template_is_numbered_after_the_highest, H4_going_back_raises_the_number_of_the_old_one,
    H4_what_is_current_already_is_left_alone,
    H5_of_several_equal_ones_the_highest_stays_and_pods_get_its_hash,
    H5_the_one_that_stays_may_have_to_be_raised_as_well, H7_a_revision_without_the_label_is_known_by_its_name,
    H8_what_is_beyond_the_limit_goes_the_oldest_first_and_never_the_current_one,
    H8_what_a_pod_carries_stays_and_another_one_goes_for_it,
    H9_a_pod_that_has_ended_and_is_ending_still_holds_its_revision)

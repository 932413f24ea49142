/* Upstream's catalogue of rolling updates (update_test.go), in strict parity: under upstream's names, with
 * upstream's numbers of creates and deletes in each sync. */
#include "config.h"

#include "tests/unit/sync.h"
#include "tests/unit/unit.h"

#define UID "uid-foo"

/* A set with its pods on nodes 0 to count - 1. */
static struct sync *placed(int count)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	sync_add_nodes(sync, 0, count, "{}");
	SYNC_EXPECT(sync, count, 0, 0);
	return sync;
}

static void set_unavailable(struct sync *sync, const char *max_unavailable)
{
	char *json = xasprintf(
	    "{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":%s}}", max_unavailable);

	sync_change(sync, "updateStrategy", json);
	free(json);
}

static void set_surge(struct sync *sync, const char *max_surge)
{
	char *json =
	    xasprintf("{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":0,\"maxSurge\":%s}}",
		max_surge);

	sync_change(sync, "updateStrategy", json);
	free(json);
}

/* Readiness of the first `count` pods that fit: of the new hash, of another, or of any. */
enum which { NEW, OLD, ANY };
static void set_ready(struct sync *sync, bool is_ready, size_t count, enum which which)
{
	const char *hash = sync_hash(sync);

	for (size_t i = 0; i < sync->pod_count && count > 0; i++) {
		bool is_new = strcmp(pod_hash(sync->pods[i]), hash) == 0;

		if (sync->pods[i]->is_ready == is_ready || (which == NEW && !is_new) ||
		    (which == OLD && is_new))
			continue;
		sync_set_ready(sync, i, is_ready, -1);
		count--;
	}
}

START_TEST(TestDaemonSetUpdatesPods)
{
	static const int expected[][2] = {{0, 2}, {2, 0}, {0, 2}, {2, 0}, {0, 1}, {1, 0}, {0, 0}};
	struct sync *sync = placed(5);

	sync_all_ready(sync);
	sync_change_image(sync, "foo2/bar2");
	set_unavailable(sync, "2");
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		SYNC_EXPECT(sync, expected[i][0], expected[i][1], 0);
		sync_all_ready(sync);
	}
	ck_assert_int_eq(sync->status.updated, 5);
	sync_free(sync);
}
END_TEST

START_TEST(TestDaemonSetUpdatesPodsWithMaxSurge)
{
	struct sync *sync = placed(5);

	sync_all_ready(sync);
	sync_change_image(sync, "foo2/bar2");
	set_surge(sync, "2");
	SYNC_EXPECT(sync, 2, 0, 0);
	SYNC_EXPECT(sync, 0, 0, 0);
	sync_all_ready(sync);
	SYNC_EXPECT(sync, 2, 2, 0);
	SYNC_EXPECT(sync, 0, 0, 0);
	sync_all_ready(sync);
	SYNC_EXPECT(sync, 1, 2, 0);
	SYNC_EXPECT(sync, 0, 0, 0);
	sync_all_ready(sync);
	SYNC_EXPECT(sync, 0, 1, 0);
	SYNC_EXPECT(sync, 0, 0, 0);
	sync_free(sync);
}
END_TEST

/* How many nodes have an available pod. */
static int available(const struct sync *sync)
{
	int count = 0;

	for (size_t i = 0; i < sync->node_count; i++)
		for (size_t j = 0; j < sync->pod_count; j++)
			if (strcmp(sync->pods[j]->target, sync->nodes[i]->meta.name) == 0 &&
			    sync->pods[j]->is_ready) {
				count++;
				break;
			}
	return count;
}

START_TEST(TestDaemonSetUpdatesPodsNotMatchTainstWithMaxSurge)
{
	struct sync *sync = sync_new(
	    "{\"tolerations\":[{\"key\":\"node-role.kubernetes.io/control-plane\",\"operator\":\"Exists\"}],"
	    "\"containers\":[{\"name\":\"c\",\"image\":\"foo/bar\"}]}",
	    SYNC_ROLLING);
	int rounds = 0;

	set_surge(sync, "1");
	sync_add_nodes(sync, 1, 4, "{}");
	sync_add_node(sync, "node-0", "{}",
	    "[{\"key\":\"node-role.kubernetes.io/control-plane\",\"effect\":\"NoSchedule\"}]");
	SYNC_EXPECT(sync, 5, 0, 0);
	sync_all_ready(sync);
	sync_change_image(sync, "foo2/bar2"); /* and without toleration */
	do {
		sync_run(sync);
		ck_assert_int_le(sync->creates, 1);
		ck_assert_int_ge(available(sync), 4);
		sync_all_ready(sync);
	} while ((sync->creates != 0 || sync->deletes != 0) && ++rounds < 20);
	ck_assert_uint_eq(sync->pod_count, 4);
	ck_assert_int_eq(sync->status.updated, 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_str_ne(sync->pods[i]->target, "node-0");
	sync_free(sync);
}
END_TEST

START_TEST(TestDaemonSetUpdatesWhenNewPodIsNotReady)
{
	struct sync *sync = placed(5);

	sync_all_ready(sync);
	sync_change_image(sync, "foo2/bar2");
	set_unavailable(sync, "3");
	SYNC_EXPECT(sync, 0, 3, 0);
	SYNC_EXPECT(sync, 3, 0, 0);
	for (int i = 0; i < 5; i++)
		SYNC_EXPECT(sync, 0, 0, 0);
	sync_free(sync);
}
END_TEST

START_TEST(TestDaemonSetUpdatesSomeOldPodsNotReady)
{
	struct sync *sync = placed(5);

	set_ready(sync, true, 3, ANY); /* 2 old ones stay unready */
	set_unavailable(sync, "2");
	sync_change_image(sync, "foo2/bar2");
	SYNC_EXPECT(sync, 0, 2, 0);
	SYNC_EXPECT(sync, 2, 0, 0);
	SYNC_EXPECT(sync, 0, 0, 0);
	sync_change_image(sync, "foo3/bar3"); /* the 2 of foo2 are old and unready now */
	SYNC_EXPECT(sync, 0, 2, 0);
	SYNC_EXPECT(sync, 2, 0, 0);
	SYNC_EXPECT(sync, 0, 0, 0);
	sync_free(sync);
}
END_TEST

START_TEST(TestDaemonSetUpdatesSaveOldHealthyPods)
{
	struct sync *sync = placed(20);
	unsigned seed = 1;
	char number[16], image[32];

	set_ready(sync, true, 10, ANY);
	for (int i = 0; i < 10; i++) {
		(void)snprintf(number, sizeof number, "%d", 1 + rand_r(&seed) % 10);
		(void)snprintf(image, sizeof image, "image/%d", i);
		set_unavailable(sync, number);
		sync_change_image(sync, image);
		SYNC_EXPECT(sync, 0, 10, 0);
		SYNC_EXPECT(sync, 10, 0, 0);
		SYNC_EXPECT(sync, 0, 0, 0);
	}
	set_unavailable(sync, "11");
	sync_change_image(sync, "image/last");
	SYNC_EXPECT(sync, 0, 11, 0);
	sync_free(sync);
}
END_TEST

START_TEST(TestDaemonSetUpdatesAllOldNotReadyPodsAndNewNotReadyPods)
{
	struct sync *sync = placed(100);
	char *old = xstrdup(sync_hash(sync));

	sync_change_image(sync, "foo2/bar2");
	set_unavailable(sync, "10");
	for (size_t i = 0; i < 88; i++) {
		sync_replace_in(
		    cJSON_GetObjectItem(cJSON_GetObjectItem(sync->pod_trees[i], "metadata"), "labels"),
		    POD_HASH_LABEL, cJSON_CreateString(sync_hash(sync)));
		sync_read_pod(sync, i);
	}
	for (size_t i = 90; i < 100; i++)
		sync_set_ready(sync, i, true, -1);
	ck_assert_str_eq(pod_hash(sync->pods[99]), old);
	SYNC_EXPECT(sync, 0, 2, 0);
	SYNC_EXPECT(sync, 2, 0, 0);
	SYNC_EXPECT(sync, 0, 0, 0);
	free(old);
	sync_free(sync);
}
END_TEST

START_TEST(TestDaemonSetUpdatesAllOldPodsNotReady)
{
	struct sync *sync = placed(5);

	sync_change_image(sync, "foo2/bar2");
	set_unavailable(sync, "3");
	SYNC_EXPECT(sync, 0, 5, 0);
	SYNC_EXPECT(sync, 5, 0, 0);
	SYNC_EXPECT(sync, 0, 0, 0);
	sync_free(sync);
}
END_TEST

/* An available old pod on a node that has no new one yet becomes unready. */
static void spoil_one_old(struct sync *sync)
{
	const char *hash = sync_hash(sync);

	for (size_t i = 0; i < sync->pod_count; i++) {
		bool has_new = false;

		for (size_t j = 0; j < sync->pod_count; j++)
			has_new |= strcmp(sync->pods[j]->target, sync->pods[i]->target) == 0 &&
				   strcmp(pod_hash(sync->pods[j]), hash) == 0;
		if (!has_new) {
			sync_set_ready(sync, i, false, -1);
			return;
		}
	}
	ck_abort_msg("each node has a new pod");
}

static void expect_at(struct sync *sync, int64_t second, int creates, int deletes)
{
	sync->now_ms = second * 1000;
	SYNC_EXPECT(sync, creates, deletes, 0);
}

START_TEST(TestDaemonSetUpdatesAllOldPodsNotReadyMaxSurge)
{
	struct sync *sync = placed(5);

	sync_change_image(sync, "foo2/bar2");
	set_surge(sync, "3");
	expect_at(sync, 100, 5, 0); /* all old ones are unready: new ones at once, whatever the limit */
	expect_at(sync, 200, 0, 5); /* and the old ones need not wait for them */
	set_ready(sync, true, 5, ANY);
	sync_change(sync, "minReadySeconds", "15");
	sync_change_image(sync, "foo3/bar3");
	expect_at(sync, 300, 3, 0);
	set_ready(sync, true, 2, NEW);
	spoil_one_old(sync);
	expect_at(sync, 310, 1, 0);
	expect_at(sync, 320, 1, 3);
	set_ready(sync, true, 3, NEW);
	expect_at(sync, 340, 0, 2);
	expect_at(sync, 350, 0, 0);
	sync_free(sync);
}
END_TEST

START_TEST(TestDaemonSetUpdatesNoTemplateChanged)
{
	struct sync *sync = placed(5);

	set_unavailable(sync, "3");
	SYNC_EXPECT(sync, 0, 0, 0);
	set_unavailable(sync, "1");
	SYNC_EXPECT(sync, 0, 0, 0);
	sync_free(sync);
}
END_TEST

START_TEST(TestGetUnavailableNumbers)
{
	static const struct {
		const char *name;
		int nodes, pods;
		bool surges;
		const char *share;
		int64_t max_surge, max_unavailable;
	} rows[] = {
	    {"no nodes", 0, 0, false, "1", 0, 1},
	    {"two nodes with ready pods", 2, 2, false, "1", 0, 1},
	    {"two nodes, one node without pods", 2, 1, false, "1", 0, 1},
	    {"two nodes, MaxUnavailable in percents", 2, 2, false, "\"50%\"", 0, 1},
	    {"two nodes, MaxSurge in percents", 2, 2, true, "\"50%\"", 1, 0},
	    {"two nodes, MaxSurge is 100%", 2, 2, true, "\"100%\"", 2, 0},
	    {"percents are rounded up", 3, 3, false, "\"50%\"", 0, 2},
	    {"percents of surge too", 3, 3, true, "\"34%\"", 2, 0},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);
		struct rollout_budget budget;
		struct node_table table;
		struct view view;

		sync_add_nodes(sync, 0, rows[i].nodes, "{}");
		for (int j = 0; j < rows[i].pods; j++)
			sync_add_pods(sync, sync->nodes[j]->meta.name, SYNC_LABEL, UID, 1);
		(rows[i].surges ? set_surge : set_unavailable)(sync, rows[i].share);
		view = sync_view(sync);
		node_table_make(&table, &view, view.pods, view.pod_count);
		budget = rollout_budget(&view, &table);
		ck_assert_msg(budget.max_surge == rows[i].max_surge &&
				  budget.max_unavailable == rows[i].max_unavailable,
		    "%s: %d %d", rows[i].name, (int)budget.max_surge, (int)budget.max_unavailable);
		node_table_release(&table);
		sync_free(sync);
	}
}
END_TEST

START_TEST(an_impossible_budget_counts_as_one_unavailable)
{
	struct sync *sync = placed(2);
	struct rollout_budget budget;
	struct node_table table;
	struct view view;

	sync->set->max_unavailable = sync->set->max_surge = (struct share){.number = 0};
	view = sync_view(sync);
	node_table_make(&table, &view, view.pods, view.pod_count);
	budget = rollout_budget(&view, &table);
	ck_assert_int_eq(budget.max_unavailable, 1);
	node_table_release(&table);
	sync_free(sync);
}
END_TEST

START_TEST(TestControlledHistories)
{
	struct sync *sync = placed(1);
	const struct revision **revisions;
	struct decision decision;
	struct revision *orphan;
	struct view view;
	cJSON *tree =
	    objects_json("{\"metadata\":{\"name\":\"r\",\"namespace\":\"%s\",\"uid\":\"r\","
			 "\"resourceVersion\":\"1\",\"labels\":" SYNC_LABEL "},\"revision\":7,\"data\":{}}",
		"ns");

	ck_assert_int_eq(revision_read(&orphan, tree, NULL), 0);
	sync->revisions[sync->revision_count++] = orphan;
	view = sync_view(sync);
	decision_init(&decision);
	ck_assert_uint_eq(claim_revisions(&view, &revisions, &decision), 2);
	ck_assert_uint_eq(decision_count(&decision, ACTION_ADOPT_REVISION), 1);
	decision_release(&decision);
	free(revisions);
	sync_replace_in(cJSON_GetObjectItem(tree, "metadata"), "namespace", cJSON_CreateString("another"));
	revision_free(orphan);
	ck_assert_int_eq(revision_read(&sync->revisions[1], tree, NULL), 0);
	view = sync_view(sync);
	ck_assert_uint_eq(claim_revisions(&view, &revisions, &decision), 1);
	ck_assert_uint_eq(decision_count(&decision, ACTION_ADOPT_REVISION), 0);
	free(revisions);
	decision_release(&decision);
	cJSON_Delete(tree);
	sync_free(sync);
}
END_TEST

START_TEST(going_back_restarts_only_what_had_gone_on)
{
	struct sync *sync = placed(4);
	char *first = xstrdup(sync->hash);

	sync_all_ready(sync);
	sync_change_image(sync, "foo2/bar2");
	SYNC_EXPECT(sync, 0, 1, 0);
	SYNC_EXPECT(sync, 1, 0, 0); /* never gets ready */
	SYNC_EXPECT(sync, 0, 0, 0);
	sync_change_template(sync, SYNC_SPEC);
	SYNC_EXPECT(sync, 0, 1, 0);
	ck_assert_str_eq(sync->hash, first);
	SYNC_EXPECT(sync, 1, 0, 0);
	sync_all_ready(sync);
	SYNC_EXPECT(sync, 0, 0, 0);
	ck_assert_int_eq(sync->status.updated, 4);
	ck_assert_uint_eq(sync->revision_count, 2);
	free(first);
	sync_free(sync);
}
END_TEST

/* H-5: they run the present template under the name of a revision that was its double. */
START_TEST(a_pod_that_is_to_be_relabelled_is_not_replaced)
{
	struct sync *sync = placed(2);
	struct decision decision;
	struct view view;

	sync_all_ready(sync);
	(void)snprintf(sync->hash, sizeof sync->hash, "double");
	sync_write_revision(sync, 9);
	view = sync_view(sync);
	decision_init(&decision);
	decide(&view, &decision);
	ck_assert_str_eq(decision.hash, "double");
	ck_assert_uint_eq(decision_count(&decision, ACTION_RELABEL_POD), 2);
	ck_assert_uint_eq(decision_count(&decision, ACTION_DELETE_DUPLICATE), 1);
	ck_assert_uint_eq(decision_count(&decision, ACTION_DELETE_POD), 0);
	decision_release(&decision);
	sync_free(sync);
}
END_TEST

START_TEST(on_delete_leaves_replacing_to_the_user)
{
	struct sync *sync = placed(3);

	sync_all_ready(sync);
	sync_change(sync, "updateStrategy", SYNC_DELETE);
	sync_change_image(sync, "foo2/bar2");
	SYNC_EXPECT(sync, 0, 0, 0);
	ck_assert_int_eq(sync->status.updated, 0);
	ck_assert_str_eq(sync->status.progressing_condition.reason, "WaitingForDelete");
	sync_remove_pod(sync, 1);
	SYNC_EXPECT(sync, 1, 0, 0);
	ck_assert_int_eq(sync->status.updated, 1);
	sync_free(sync);
}
END_TEST

UNIT_MAIN("update", TestDaemonSetUpdatesPods, TestDaemonSetUpdatesPodsWithMaxSurge,
    TestDaemonSetUpdatesPodsNotMatchTainstWithMaxSurge, TestDaemonSetUpdatesWhenNewPodIsNotReady,
    TestDaemonSetUpdatesSomeOldPodsNotReady, TestDaemonSetUpdatesSaveOldHealthyPods,
    TestDaemonSetUpdatesAllOldNotReadyPodsAndNewNotReadyPods, TestDaemonSetUpdatesAllOldPodsNotReady,
    TestDaemonSetUpdatesAllOldPodsNotReadyMaxSurge, TestDaemonSetUpdatesNoTemplateChanged,
    TestGetUnavailableNumbers, an_impossible_budget_counts_as_one_unavailable, TestControlledHistories,
    going_back_restarts_only_what_had_gone_on,
    a_pod_that_is_to_be_relabelled_is_not_replaced, on_delete_leaves_replacing_to_the_user)

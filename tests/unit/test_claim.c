/* K-1 to K-6 of the rules of placement. */
#include "config.h"

#include "controller/claim.h"

#include "tests/unit/sync.h"
#include "tests/unit/unit.h"

#define OURS   "uid-foo"
#define THEIRS "uid-bar"
#define NOBODY NULL
#define OTHER  "{\"app\":\"other\"}"

enum fate { LEFT_ALONE, KEPT, ADOPTED, RELEASED };

/* The same object once as a pod and once as a revision: what becomes of it?  K-6 holds for each row. */
static void expect(struct sync *sync, const char *labels, const char *owner_uid, const char *more,
    const char *namespace_name, enum fate fate)
{
	cJSON *tree =
	    objects_json("{\"metadata\":{\"name\":\"x\",\"namespace\":\"%s\",\"uid\":\"uid-x\","
			 "\"resourceVersion\":\"1\",\"labels\":%s%s%s},\"spec\":{\"nodeName\":\"node-0\"},"
			 "\"status\":{},\"revision\":1,\"data\":{}}",
		namespace_name, labels,
		owner_uid != NULL ? objects_owned_by("foo", owner_uid) : OBJECTS_ORPHAN, more);
	const struct revision **revisions;
	const struct pod **pods;
	struct decision decision;
	struct view view;

	ck_assert_int_eq(pod_read(&sync->pods[0], tree, NULL), 0);
	ck_assert_int_eq(revision_read(&sync->revisions[0], tree, NULL), 0);
	cJSON_Delete(tree);
	sync->pod_count = sync->revision_count = 1;
	view = sync_view(sync);
	decision_init(&decision);
	ck_assert_uint_eq(claim_pods(&view, &pods, &decision), fate == KEPT || fate == ADOPTED);
	ck_assert_uint_eq(claim_revisions(&view, &revisions, &decision), fate == KEPT || fate == ADOPTED);
	ck_assert_uint_eq(decision.action_count, fate == ADOPTED || fate == RELEASED ? 2 : 0);
	if (fate == KEPT || fate == ADOPTED) {
		ck_assert_ptr_eq(pods[0], sync->pods[0]);
		ck_assert_ptr_eq(revisions[0], sync->revisions[0]);
	}
	if (fate == ADOPTED || fate == RELEASED) {
		ck_assert_int_eq(
		    decision.actions[0].kind, fate == ADOPTED ? ACTION_ADOPT_POD : ACTION_RELEASE_POD);
		ck_assert_ptr_eq(decision.actions[0].pod, sync->pods[0]);
		ck_assert_int_eq(decision.actions[1].kind,
		    fate == ADOPTED ? ACTION_ADOPT_REVISION : ACTION_RELEASE_REVISION);
		ck_assert_ptr_eq(decision.actions[1].revision, sync->revisions[0]);
	}
	free(pods);
	free(revisions);
	decision_release(&decision);
	pod_free(sync->pods[0]);
	revision_free(sync->revisions[0]);
	sync->pod_count = sync->revision_count = 0;
}

#define DELETED ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""

static struct sync *being_deleted(void)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	cJSON_AddStringToObject(
	    cJSON_GetObjectItem(sync->set_tree, "metadata"), "deletionTimestamp", "2026-01-01T00:00:00Z");
	sync_read_set(sync);
	return sync;
}

START_TEST(K1_what_nobody_owns_and_does_not_match_is_none_of_ours)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	expect(sync, OTHER, NOBODY, "", "ns", LEFT_ALONE);
	expect(sync, "{}", NOBODY, "", "ns", LEFT_ALONE);
	sync_free(sync);
}
END_TEST

START_TEST(K2_what_another_set_controls_is_never_touched)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	expect(sync, SYNC_LABEL, THEIRS, "", "ns", LEFT_ALONE); /* of the same name, too: the UID counts */
	expect(sync, OTHER, THEIRS, "", "ns", LEFT_ALONE);
	sync_free(sync);
}
END_TEST

START_TEST(K3_what_is_ours_and_matches_is_kept_also_while_the_set_is_being_deleted)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	expect(sync, SYNC_LABEL, OURS, "", "ns", KEPT);
	expect(sync, SYNC_LABEL, OURS, DELETED, "ns", KEPT);
	sync_free(sync);
	sync = being_deleted();
	expect(sync, SYNC_LABEL, OURS, "", "ns", KEPT);
	sync_free(sync);
}
END_TEST

START_TEST(K4_what_is_ours_and_matches_no_more_is_released_unless_the_set_is_being_deleted)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	expect(sync, OTHER, OURS, "", "ns", RELEASED);
	expect(sync, SYNC_LABEL_2, OURS, "", "ns", RELEASED); /* half of the labels are not enough */
	expect(sync, OTHER, OURS, DELETED, "ns", RELEASED);
	sync_free(sync);
	sync = being_deleted();
	expect(sync, OTHER, OURS, "", "ns", LEFT_ALONE);
	sync_free(sync);
}
END_TEST

START_TEST(K5_an_orphan_that_matches_is_adopted_unless_it_or_the_set_is_being_deleted)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	expect(sync, SYNC_LABEL, NOBODY, "", "ns", ADOPTED);
	expect(sync, SYNC_LABEL, NOBODY, DELETED, "ns", LEFT_ALONE);
	sync_free(sync);
	sync = being_deleted();
	expect(sync, SYNC_LABEL, NOBODY, "", "ns", LEFT_ALONE);
	sync_free(sync);
}
END_TEST

START_TEST(K5_another_namespace_is_none_of_ours_whatever_the_labels_say)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	expect(sync, SYNC_LABEL, NOBODY, "", "another", LEFT_ALONE);
	expect(sync, SYNC_LABEL, OURS, "", "another", LEFT_ALONE);
	expect(sync, OTHER, OURS, "", "another", LEFT_ALONE);
	sync_free(sync);
}
END_TEST

START_TEST(K5_an_owner_that_does_not_control_leaves_an_orphan)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	expect(sync, SYNC_LABEL, NOBODY,
	    ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"name\":\"t\",\"uid\":\"t\"}]",
	    "ns", ADOPTED);
	sync_free(sync);
}
END_TEST

UNIT_MAIN("claim", K1_what_nobody_owns_and_does_not_match_is_none_of_ours,
    K2_what_another_set_controls_is_never_touched,
    K3_what_is_ours_and_matches_is_kept_also_while_the_set_is_being_deleted,
    K4_what_is_ours_and_matches_no_more_is_released_unless_the_set_is_being_deleted,
    K5_an_orphan_that_matches_is_adopted_unless_it_or_the_set_is_being_deleted,
    K5_another_namespace_is_none_of_ours_whatever_the_labels_say,
    K5_an_owner_that_does_not_control_leaves_an_orphan)

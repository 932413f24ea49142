/* Who wakes: upstream's table of informer events (its names, its cases), and what ours adds. */
#include "config.h"
#include "controller/wake.h"

#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

#define LABELS  "{\"app\":\"x\"}"
#define LABELS2 "{\"app\":\"y\"}"
#define SPEC    "{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}"
#define READY                                                                                                \
	"{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:"   \
	"00:00Z\"}]}"

/* Three sets: 0 and 1 select app=x, 2 selects app=y. */
struct hall {
	struct wake_hall hall;
	struct collector_set *sets[3];
	unsigned woken[3];
	int64_t later_ms[3]; /* the last wake that was not for now */
	bool has_pod;
	unsigned asked;
};

static void note_wake(void *arg, const struct collector_set *set, int64_t after_ms)
{
	struct hall *hall = arg;

	for (size_t i = 0; i < 3; i++) {
		if (hall->sets[i] != set)
			continue;
		if (after_ms > 0)
			hall->later_ms[i] = after_ms;
		else
			hall->woken[i]++;
	}
}

static bool tell_pod(void *arg, const struct collector_set *set, const char *node_name)
{
	struct hall *hall = arg;

	(void)set;
	ck_assert_str_eq(node_name, "node1");
	hall->asked++;
	return hall->has_pod;
}

static void open_hall(struct hall *hall, const char *spec)
{
	*hall = (struct hall){.has_pod = false};
	hall->sets[0] = objects_set("set0", LABELS, spec);
	hall->sets[1] = objects_set("set1", LABELS, spec);
	hall->sets[2] = objects_set("set2", LABELS2, spec);
	hall->hall = (struct wake_hall){
	    .sets = (const struct collector_set *const *)hall->sets,
	    .count = 3,
	    .wake = note_wake,
	    .has_pod = tell_pod,
	    .arg = hall,
	};
}

static void expect_woken(struct hall *hall, unsigned a, unsigned b, unsigned c)
{
	ck_assert_uint_eq(hall->woken[0], a);
	ck_assert_uint_eq(hall->woken[1], b);
	ck_assert_uint_eq(hall->woken[2], c);
	hall->woken[0] = hall->woken[1] = hall->woken[2] = 0;
}

static void close_hall(struct hall *hall)
{
	for (size_t i = 0; i < 3; i++)
		collector_set_free(hall->sets[i]);
}

static struct pod *owned(unsigned set, unsigned version, const char *labels, const char *status)
{
	char name[8], uid[16];

	(void)snprintf(name, sizeof name, "set%u", set);
	(void)snprintf(uid, sizeof uid, "uid-set%u", set);
	return objects_pod("pod", version, labels, objects_owned_by(name, uid), "node1", status);
}

static struct pod *orphan(unsigned version, const char *labels)
{
	return objects_pod("pod", version, labels, OBJECTS_ORPHAN, "node1", "{}");
}

/* Takes both pods. */
static void happen(struct hall *hall, struct pod *before, struct pod *after)
{
	wake_on_pod(&hall->hall, before, after);
	pod_free(before);
	pod_free(after);
}

/* ---- pods ----------------------------------------------------------------------------------- */

START_TEST(TestAddPod)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, NULL, owned(0, 1, LABELS, "{}"));
	expect_woken(&hall, 1, 0, 0);
	happen(&hall, NULL, owned(1, 1, LABELS, "{}"));
	expect_woken(&hall, 0, 1, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(TestAddPodOrphan)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, NULL, orphan(1, LABELS));
	expect_woken(&hall, 1, 1, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(TestUpdatePod)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, owned(0, 1, LABELS, "{}"), owned(0, 2, LABELS, "{}"));
	expect_woken(&hall, 1, 0, 0);
	happen(&hall, owned(1, 1, LABELS, "{}"), owned(1, 2, LABELS, "{}"));
	expect_woken(&hall, 0, 1, 0);
	happen(&hall, owned(1, 2, LABELS, "{}"), owned(1, 2, LABELS2, "{}"));
	expect_woken(&hall, 0, 0, 0); /* the same version is the same object */
	close_hall(&hall);
}
END_TEST

START_TEST(TestUpdatePodOrphanSameLabels)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, orphan(1, LABELS), orphan(2, LABELS));
	expect_woken(&hall, 0, 0, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(TestUpdatePodOrphanWithNewLabels)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, orphan(1, "{\"app\":\"x\",\"foo\":\"bar\"}"), orphan(2, LABELS));
	expect_woken(&hall, 1, 1, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(TestUpdatePodChangeControllerRef)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, owned(1, 1, LABELS, "{}"), owned(0, 2, LABELS, "{}"));
	expect_woken(&hall, 1, 1, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(TestUpdatePodControllerRefRemoved)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, owned(0, 1, LABELS, "{}"), orphan(2, LABELS));
	expect_woken(&hall, 2, 1, 0); /* as its owner and as one who matches */
	close_hall(&hall);
}
END_TEST

START_TEST(TestDeletePod)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, owned(0, 1, LABELS, "{}"), NULL);
	expect_woken(&hall, 1, 0, 0);
	happen(&hall, owned(1, 1, LABELS, "{}"), NULL);
	expect_woken(&hall, 0, 1, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(TestDeletePodOrphan)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, orphan(1, LABELS), NULL);
	expect_woken(&hall, 0, 0, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(TestDeleteNoDaemonPod)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(
	    &hall, objects_pod("p", 1, LABELS, objects_owned_by("other", "uid-other"), "node1", "{}"), NULL);
	expect_woken(&hall, 0, 0, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(an_owner_of_another_life_is_not_woken)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	happen(&hall, NULL,
	    objects_pod("p", 1, LABELS, objects_owned_by("set0", "uid-of-before"), "node1", "{}"));
	expect_woken(&hall, 0, 0, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(a_pod_that_becomes_ready_wakes_again_when_it_becomes_available)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	hall.sets[0]->min_ready_s = 5;
	happen(&hall, owned(0, 1, LABELS, "{}"), owned(0, 2, LABELS, READY));
	expect_woken(&hall, 1, 0, 0);
	ck_assert_int_eq(hall.later_ms[0], 6000);
	hall.later_ms[0] = 0;
	happen(&hall, owned(0, 2, LABELS, READY), owned(0, 3, LABELS, READY));
	ck_assert_int_eq(hall.later_ms[0], 0);
	happen(&hall, owned(1, 1, LABELS, "{}"), owned(1, 2, LABELS, READY)); /* minReadySeconds is 0 */
	ck_assert_int_eq(hall.later_ms[1], 0);
	close_hall(&hall);
}
END_TEST

/* ---- nodes ---------------------------------------------------------------------------------- */

#define SELECTIVE "{\"nodeSelector\":{\"disk\":\"ssd\"},\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}"
#define SSD       "{\"disk\":\"ssd\"}"
#define NOTAINT   "[]"
#define TAINT     "[{\"key\":\"mine\",\"effect\":\"NoSchedule\"}]"
#define EVICTION  "[{\"key\":\"mine\",\"effect\":\"NoExecute\"}]"

/* Takes both nodes. */
static void change_node(struct hall *hall, struct node *before, struct node *after)
{
	wake_on_node(&hall->hall, before, after);
	node_free(before);
	node_free(after);
}

START_TEST(TestAddNode)
{
	struct hall hall;

	open_hall(&hall, SELECTIVE);
	change_node(&hall, NULL, objects_node("node1", 1, "{}", NOTAINT));
	expect_woken(&hall, 0, 0, 0);
	change_node(&hall, NULL, objects_node("node1", 1, SSD, NOTAINT));
	expect_woken(&hall, 1, 1, 1);
	close_hall(&hall);
}
END_TEST

START_TEST(TestUpdateNode)
{
	struct hall hall;

	open_hall(&hall, SELECTIVE);
	hall.has_pod = true;
	change_node(&hall, objects_node("node1", 1, SSD, NOTAINT), objects_node("node1", 2, SSD, NOTAINT));
	expect_woken(&hall, 0, 0, 0); /* nothing changed, or only what is allocatable */
	change_node(&hall, objects_node("node1", 1, "{}", NOTAINT), objects_node("node1", 2, SSD, NOTAINT));
	expect_woken(&hall, 1, 1, 1); /* labels */
	change_node(&hall, objects_node("node1", 1, SSD, TAINT), objects_node("node1", 2, SSD, NOTAINT));
	expect_woken(&hall, 1, 1, 1); /* taints */
	close_hall(&hall);
}
END_TEST

START_TEST(TestShouldIgnoreNodeUpdate)
{
	struct hall hall;

	open_hall(&hall, SPEC);
	change_node(&hall, objects_node("node1", 1, SSD, NOTAINT), objects_node("node1", 2, SSD, NOTAINT));
	expect_woken(&hall, 0, 0, 0);
	ck_assert_uint_eq(hall.asked, 0);
	change_node(&hall, objects_node("node1", 1, SSD, NOTAINT), objects_node("node1", 2, "{}", NOTAINT));
	expect_woken(&hall, 1, 1, 1); /* upstream's: it should have a pod and has none */
	change_node(&hall, objects_node("node1", 1, SSD, NOTAINT), objects_node("node1", 2, SSD, EVICTION));
	expect_woken(&hall, 1, 1, 1);
	close_hall(&hall);
}
END_TEST

START_TEST(a_label_that_no_set_asks_about_wakes_nobody_where_the_pod_is)
{
	struct hall hall;

	open_hall(&hall, SELECTIVE);
	hall.has_pod = true;
	change_node(&hall, objects_node("node1", 1, SSD, NOTAINT),
	    objects_node("node1", 2, "{\"disk\":\"ssd\",\"rack\":\"7\"}", NOTAINT));
	expect_woken(&hall, 0, 0, 0);
	close_hall(&hall);
}
END_TEST

START_TEST(a_node_that_should_have_none_wakes_if_there_is_a_pod)
{
	struct hall hall;

	open_hall(&hall, SELECTIVE);
	change_node(&hall, NULL, objects_node("node1", 1, "{}", NOTAINT));
	expect_woken(&hall, 0, 0, 0);
	hall.has_pod = true;
	change_node(&hall, NULL, objects_node("node1", 1, "{}", NOTAINT));
	expect_woken(&hall, 1, 1, 1);
	close_hall(&hall);
}
END_TEST

START_TEST(a_node_that_leaves_wakes_those_who_wanted_it_and_those_whose_pod_aims_at_it)
{
	struct hall hall;

	open_hall(&hall, SELECTIVE);
	change_node(&hall, objects_node("node1", 1, SSD, NOTAINT), NULL);
	expect_woken(&hall, 1, 1, 1);
	change_node(&hall, objects_node("node1", 1, "{}", NOTAINT), NULL);
	expect_woken(&hall, 0, 0, 0);
	hall.has_pod = true;
	change_node(&hall, objects_node("node1", 1, "{}", NOTAINT), NULL);
	expect_woken(&hall, 1, 1, 1);
	close_hall(&hall);
}
END_TEST

UNIT_MAIN("wake", TestAddPod, TestAddPodOrphan, TestUpdatePod, TestUpdatePodOrphanSameLabels,
    TestUpdatePodOrphanWithNewLabels, TestUpdatePodChangeControllerRef, TestUpdatePodControllerRefRemoved,
    TestDeletePod, TestDeletePodOrphan, TestDeleteNoDaemonPod, an_owner_of_another_life_is_not_woken,
    a_pod_that_becomes_ready_wakes_again_when_it_becomes_available, TestAddNode, TestUpdateNode,
    TestShouldIgnoreNodeUpdate, a_label_that_no_set_asks_about_wakes_nobody_where_the_pod_is,
    a_node_that_should_have_none_wakes_if_there_is_a_pod,
    a_node_that_leaves_wakes_those_who_wanted_it_and_those_whose_pod_aims_at_it)

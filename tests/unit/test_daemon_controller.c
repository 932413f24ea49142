/* Upstream's catalogue of the DaemonSet controller's unit tests (daemon_controller_test.go), in strict
 * parity: under upstream's names, with upstream's numbers. */
#include "config.h"

#include "tests/unit/sync.h"
#include "tests/unit/unit.h"

#define UID       "uid-foo"
#define NODE_NAME "{\"nodeName\":\"%s\",\"containers\":[{\"name\":\"c\",\"image\":\"foo/bar\"}]}"
#define SELECTED                                                                                             \
	"{\"nodeSelector\":{\"color\":\"blue\"},\"containers\":[{\"name\":\"c\",\"image\":\"foo/bar\"}]}"
#define TOLERANT                                                                                             \
	"{\"tolerations\":[{\"key\":\"dedicated\",\"value\":\"user1\",\"effect\":\"NoSchedule\"}],"          \
	"\"containers\":[{\"name\":\"c\",\"image\":\"foo/bar\"}]}"
#define NO_LABELS "{}"
#define NO_TAINTS "[]"

/* Both strategies, one after the other: in a loop test, _i says which. */
static const char *const strategies[] = {SYNC_ROLLING, SYNC_DELETE};
#define EACH_STRATEGY(sync, spec)                                                                            \
	for (size_t strategy = 0; strategy < 2; strategy++)                                                  \
		for (struct sync *sync = sync_new((spec), strategies[strategy]); sync != NULL;               \
		     sync_free(sync), sync = NULL)

START_TEST(TestSimpleDaemonSetLaunchesPods)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 5, NO_LABELS);
		SYNC_EXPECT(sync, 5, 0, 0);
		SYNC_EXPECT(sync, 0, 0, 0);
	}
}
END_TEST

START_TEST(TestSimpleDaemonSetScheduleDaemonSetPodsLaunchesPods)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 5, NO_LABELS);
		SYNC_EXPECT(sync, 5, 0, 0);
		for (size_t i = 0; i < 5; i++) {
			cJSON *spec = cJSON_GetObjectItem(sync->pod_trees[i], "spec");
			cJSON *terms = cJSON_GetObjectItem(
			    cJSON_GetObjectItem(
				cJSON_GetObjectItem(cJSON_GetObjectItem(spec, "affinity"), "nodeAffinity"),
				"requiredDuringSchedulingIgnoredDuringExecution"),
			    "nodeSelectorTerms");

			ck_assert_ptr_null(cJSON_GetObjectItem(spec, "nodeName"));
			ck_assert_int_eq(cJSON_GetArraySize(terms), 1);
			ck_assert_int_eq(
			    cJSON_GetArraySize(cJSON_GetObjectItem(terms->child, "matchFields")), 1);
			ck_assert_str_eq(sync->pods[i]->target, sync->nodes[i]->meta.name);
		}
	}
}
END_TEST

START_TEST(TestSimpleDaemonSetPodCreateErrors)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 100, NO_LABELS);
		sync->create_limit = 10;
		SYNC_EXPECT(sync, 10, 0, 0);
		ck_assert_uint_le(sync->create_calls, 15);
		ck_assert_int_eq(sync->status.desired, 100);
		ck_assert_int_eq(sync->status.current, 10);
		ck_assert_int_eq(sync->status.updated, 10);
	}
}
END_TEST

START_TEST(TestSimpleDaemonSetUpdatesStatusAfterLaunchingPods)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 5, NO_LABELS);
		SYNC_EXPECT(sync, 5, 0, 0);
		ck_assert_int_eq(sync->status.current, 5);
		ck_assert_int_eq(sync->status.updated, 5);
	}
}
END_TEST

START_TEST(TestNoNodesDoesNothing)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	SYNC_EXPECT(sync, 0, 0, 0);
}
END_TEST

START_TEST(TestOneNodeDaemonLaunchesPod)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_node(sync, "only-node", NO_LABELS, NO_TAINTS);
		SYNC_EXPECT(sync, 1, 0, 0);
	}
}
END_TEST

/* And TestNetworkUnavailableNodeDaemonLaunchesPod: conditions without their taints count for nothing. */
START_TEST(TestNotReadyNodeDaemonDoesLaunchPod)
{
	static const char *const conditions[] = {
	    "{\"type\":\"Ready\",\"status\":\"False\"}",
	    "{\"type\":\"NetworkUnavailable\",\"status\":\"True\"}",
	};

	for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++)
		EACH_STRATEGY(sync, SYNC_SPEC)
		{
			cJSON *tree = objects_node_json("troubled", 1, NO_LABELS, NO_TAINTS);

			cJSON_AddItemToObject(
			    tree, "status", objects_json("{\"conditions\":[%s]}", conditions[i]));
			ck_assert_int_eq(node_read(&sync->nodes[sync->node_count++], tree, NULL), 0);
			cJSON_Delete(tree);
			SYNC_EXPECT(sync, 1, 0, 0);
		}
}
END_TEST

START_TEST(TestInsufficientCapacityNodeDaemonDoesNotUnscheduleRunningPod)
{
	char *spec = xasprintf(NODE_NAME, "too-much-mem");

	EACH_STRATEGY(sync, spec)
	{
		sync_add_node(sync, "too-much-mem", NO_LABELS, NO_TAINTS);
		(void)sync_add_pod(
		    sync, "too-much-mem", "{}", NULL, ""); /* a foreign one that takes all the room */
		SYNC_EXPECT(sync, 1, 0, 0);
	}
	free(spec);
}
END_TEST

START_TEST(TestInsufficientCapacityNodeSufficientCapacityWithNodeLabelDaemonLaunchPod)
{
	EACH_STRATEGY(sync, SELECTED)
	{
		sync_add_node(sync, "not-enough-resource", NO_LABELS, NO_TAINTS);
		sync_add_node(sync, "enough-resource", SYNC_NODE, NO_TAINTS);
		SYNC_EXPECT(sync, 1, 0, 0);
		ck_assert_str_eq(sync->pods[0]->target, "enough-resource");
	}
}
END_TEST

START_TEST(TestDontDoAnythingIfBeingDeleted)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 5, NO_LABELS);
		sync_replace_in(cJSON_GetObjectItem(sync->set_tree, "metadata"), "deletionTimestamp",
		    cJSON_CreateString("2026-01-01T00:00:00Z"));
		sync_read_set(sync);
		SYNC_EXPECT(sync, 0, 0, 0);
	}
}
END_TEST

START_TEST(TestDontDoAnythingIfBeingDeletedRace)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 5, NO_LABELS);
		sync_add_pods(
		    sync, "node-0", SYNC_LABEL, NULL, 1); /* to be adopted, so the set is asked for live */
		sync->lives = false;
		SYNC_EXPECT(sync, 0, 0, 0);
	}
}
END_TEST

START_TEST(TestPortConflictWithSameDaemonPodDoesNotDeletePod)
{
	EACH_STRATEGY(
	    sync, "{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[{\"hostPort\":666}]}]}")
	{
		sync_add_node(sync, "port-conflict", NO_LABELS, NO_TAINTS);
		sync_add_pods(sync, "port-conflict", SYNC_LABEL, UID, 1);
		SYNC_EXPECT(sync, 0, 0, 0);
	}
}
END_TEST

START_TEST(TestNoPortConflictNodeDaemonLaunchesPod)
{
	EACH_STRATEGY(
	    sync, "{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[{\"hostPort\":6662}]}]}")
	{
		sync_add_node(sync, "no-port-conflict", NO_LABELS, NO_TAINTS);
		(void)sync_add_pod(sync, "no-port-conflict", "{}", NULL, "");
		SYNC_EXPECT(sync, 1, 0, 0);
	}
}
END_TEST

START_TEST(TestPodIsNotDeletedByDaemonsetWithEmptyLabelSelector)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_change(sync, "selector", "{}");
		sync_add_nodes(sync, 0, 1, NO_LABELS);
		(void)sync_add_pod(sync, "node-0", "{\"mykey\":\"myvalue\"}", NULL, "");
		SYNC_EXPECT(sync, 0, 0, 1);
	}
}
END_TEST

START_TEST(TestDealsWithExistingPods)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 5, NO_LABELS);
		sync_add_pods(sync, "node-1", SYNC_LABEL, UID, 1);
		sync_add_pods(sync, "node-2", SYNC_LABEL, UID, 2);
		sync_add_pods(sync, "node-3", SYNC_LABEL, UID, 5);
		sync_add_pods(sync, "node-4", SYNC_LABEL_2, UID, 2);
		SYNC_EXPECT(sync, 2, 5, 0);
		ck_assert_uint_eq(sync->releases, 2);
	}
}
END_TEST

START_TEST(TestSelectorDaemonLaunchesPods)
{
	EACH_STRATEGY(sync, SELECTED)
	{
		sync_add_nodes(sync, 0, 4, NO_LABELS);
		sync_add_nodes(sync, 4, 3, SYNC_NODE);
		SYNC_EXPECT(sync, 3, 0, 0);
	}
}
END_TEST

START_TEST(TestSelectorDaemonDeletesUnselectedPods)
{
	EACH_STRATEGY(sync, SELECTED)
	{
		sync_add_nodes(sync, 0, 5, NO_LABELS);
		sync_add_nodes(sync, 5, 5, SYNC_NODE);
		sync_add_pods(sync, "node-0", SYNC_LABEL_2, UID, 2);
		sync_add_pods(sync, "node-1", SYNC_LABEL, UID, 3);
		sync_add_pods(sync, "node-1", SYNC_LABEL_2, UID, 1);
		sync_add_pods(sync, "node-4", SYNC_LABEL, UID, 1);
		SYNC_EXPECT(sync, 5, 4, 0);
	}
}
END_TEST

START_TEST(TestSelectorDaemonDealsWithExistingPods)
{
	EACH_STRATEGY(sync, SELECTED)
	{
		sync_add_nodes(sync, 0, 5, NO_LABELS);
		sync_add_nodes(sync, 5, 5, SYNC_NODE);
		sync_add_pods(sync, "node-0", SYNC_LABEL, UID, 1);
		sync_add_pods(sync, "node-1", SYNC_LABEL, UID, 3);
		sync_add_pods(sync, "node-1", SYNC_LABEL_2, UID, 2);
		sync_add_pods(sync, "node-2", SYNC_LABEL, UID, 4);
		sync_add_pods(sync, "node-6", SYNC_LABEL, UID, 13);
		sync_add_pods(sync, "node-7", SYNC_LABEL_2, UID, 4);
		sync_add_pods(sync, "node-9", SYNC_LABEL, UID, 1);
		sync_add_pods(sync, "node-9", SYNC_LABEL_2, UID, 1);
		SYNC_EXPECT(sync, 3, 20, 0);
	}
}
END_TEST

START_TEST(TestBadSelectorDaemonDoesNothing)
{
	EACH_STRATEGY(
	    sync, "{\"nodeSelector\":{\"color\":\"red\"},\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}")
	{
		sync_add_nodes(sync, 0, 4, NO_LABELS);
		sync_add_nodes(sync, 4, 3, SYNC_NODE);
		SYNC_EXPECT(sync, 0, 0, 0);
	}
}
END_TEST

/* TestNameDaemonSetLaunchesPods, TestBadNameDaemonSetDoesNothing, TestNameAndSelectorDaemonSetLaunchesPods,
 * TestInconsistentNameSelectorDaemonSetDoesNothing. */
START_TEST(TestNameAndSelectorDaemonSets)
{
	static const struct {
		const char *spec;
		int creates;
	} rows[] = {
	    {"{\"nodeName\":\"node-0\",\"containers\":[{}]}", 1},
	    {"{\"nodeName\":\"node-10\",\"containers\":[{}]}", 0},
	    {"{\"nodeName\":\"node-6\",\"nodeSelector\":{\"color\":\"blue\"},\"containers\":[{}]}", 1},
	    {"{\"nodeName\":\"node-0\",\"nodeSelector\":{\"color\":\"blue\"},\"containers\":[{}]}", 0},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		EACH_STRATEGY(sync, rows[i].spec)
		{
			sync_add_nodes(sync, 0, 4, NO_LABELS);
			sync_add_nodes(sync, 4, 3, SYNC_NODE);
			SYNC_EXPECT(sync, rows[i].creates, 0, 0);
		}
}
END_TEST

START_TEST(TestNodeAffinityDaemonLaunchesPods)
{
	EACH_STRATEGY(sync,
	    "{\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
	    "\"nodeSelectorTerms\":[{\"matchExpressions\":"
	    "[{\"key\":\"color\",\"operator\":\"In\",\"values\":[\"blue\"]}]}]}}},\"containers\":[{\"name\":"
	    "\"c\",\"image\":\"i\"}]}")
	{
		sync_add_nodes(sync, 0, 4, NO_LABELS);
		sync_add_nodes(sync, 4, 3, SYNC_NODE);
		SYNC_EXPECT(sync, 3, 0, 0);
	}
}
END_TEST

START_TEST(TestNumberReadyStatus)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 2, NO_LABELS);
		sync_add_pods(sync, "node-0", SYNC_LABEL, UID, 1);
		sync_add_pods(sync, "node-1", SYNC_LABEL, UID, 1);
		sync_run(sync);
		ck_assert_int_eq(sync->status.ready, 0);
		sync_all_ready(sync);
		sync_run(sync);
		ck_assert_int_eq(sync->status.ready, 2);
	}
}
END_TEST

START_TEST(TestObservedGeneration)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 1, NO_LABELS);
		sync_run(sync);
		ck_assert_int_eq(sync->status.observed_generation, 1);
	}
}
END_TEST

START_TEST(TestDaemonKillFailedPods)
{
	static const struct {
		int failed, normal, creates, deletes, events;
	} rows[] = {{0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}, {1, 0, 0, 1, 1}, {1, 3, 0, 3, 1}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		EACH_STRATEGY(sync, SYNC_SPEC)
		{
			sync_add_nodes(sync, 0, 1, NO_LABELS);
			for (int j = 0; j < rows[i].failed; j++)
				sync_set_phase(
				    sync, sync_add_pod(sync, "node-0", SYNC_LABEL, UID, NULL), "Failed");
			sync_add_pods(sync, "node-0", SYNC_LABEL, UID, rows[i].normal);
			SYNC_EXPECT(sync, rows[i].creates, rows[i].deletes, rows[i].events);
		}
}
END_TEST

START_TEST(TestDaemonKillFailedPodsBackoff)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		int64_t rest_ms;

		sync_add_nodes(sync, 0, 1, NO_LABELS);
		sync_set_phase(sync, sync_add_pod(sync, "node-0", SYNC_LABEL, UID, NULL), "Failed");
		SYNC_EXPECT(sync, 0, 1, 1);
		sync_set_phase(sync, sync_add_pod(sync, "node-0", SYNC_LABEL, UID, NULL), "Failed");
		rest_ms = retry_table_rest(
		    sync->retries, UID, sync->set->status.observed_generation, "node-0", sync->now_ms);
		ck_assert_int_eq(rest_ms, RETRY_MIN_MS);
		SYNC_EXPECT(sync, 0, 0, 0);
		ck_assert_int_eq(rest_ms, retry_table_rest(sync->retries, UID,
					      sync->set->status.observed_generation, "node-0", sync->now_ms));
		sync->now_ms += rest_ms;
		SYNC_EXPECT(sync, 0, 1, 1);
	}
}
END_TEST

START_TEST(TestNoScheduleTaintedDoesntEvicitRunningIntolerantPod)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_node(sync, "tainted", NO_LABELS,
		    "[{\"key\":\"dedicated\",\"value\":\"user1\",\"effect\":\"NoSchedule\"}]");
		sync_add_pods(sync, "tainted", SYNC_LABEL, UID, 1);
		SYNC_EXPECT(sync, 0, 0, 0);
	}
}
END_TEST

START_TEST(TestNoExecuteTaintedDoesEvicitRunningIntolerantPod)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_node(sync, "tainted", NO_LABELS,
		    "[{\"key\":\"dedicated\",\"value\":\"user1\",\"effect\":\"NoExecute\"}]");
		sync_add_pods(sync, "tainted", SYNC_LABEL, UID, 1);
		SYNC_EXPECT(sync, 0, 1, 0);
	}
}
END_TEST

START_TEST(TestTaintedNodeDaemonDoesNotLaunchIntolerantPod)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_node(sync, "tainted", NO_LABELS,
		    "[{\"key\":\"dedicated\",\"value\":\"user1\",\"effect\":\"NoSchedule\"}]");
		SYNC_EXPECT(sync, 0, 0, 0);
	}
}
END_TEST

START_TEST(TestTaintedNodeDaemonLaunchesToleratePod)
{
	EACH_STRATEGY(sync, TOLERANT)
	{
		sync_add_node(sync, "tainted", NO_LABELS,
		    "[{\"key\":\"dedicated\",\"value\":\"user1\",\"effect\":\"NoSchedule\"}]");
		SYNC_EXPECT(sync, 1, 0, 0);
	}
}
END_TEST

/* TestNotReadyNodeDaemonLaunchesPod, TestUnreachableNodeDaemonLaunchesPod,
 * TestTaintPressureNodeDaemonLaunchesPod and, by its taint, a cordoned one. */
START_TEST(TestTaintsOfTroubledNodesAreTolerated)
{
	static const char *const taints[] = {
	    "[{\"key\":\"node.kubernetes.io/not-ready\",\"effect\":\"NoExecute\"}]",
	    "[{\"key\":\"node.kubernetes.io/unreachable\",\"effect\":\"NoExecute\"}]",
	    "[{\"key\":\"node.kubernetes.io/"
	    "disk-pressure\",\"effect\":\"NoSchedule\"},{\"key\":\"node.kubernetes.io/memory-pressure\","
	    "\"effect\":\"NoSchedule\"},{\"key\":\"node.kubernetes.io/"
	    "pid-pressure\",\"effect\":\"NoSchedule\"}]",
	    "[{\"key\":\"node.kubernetes.io/unschedulable\",\"effect\":\"NoSchedule\"}]",
	};

	for (size_t i = 0; i < sizeof taints / sizeof taints[0]; i++)
		EACH_STRATEGY(sync, SYNC_SPEC)
		{
			sync_add_node(sync, "troubled", NO_LABELS, taints[i]);
			SYNC_EXPECT(sync, 1, 0, 0);
		}
}
END_TEST

START_TEST(TestNodeDaemonLaunchesToleratePod)
{
	EACH_STRATEGY(sync, TOLERANT)
	{
		sync_add_nodes(sync, 0, 1, NO_LABELS);
		SYNC_EXPECT(sync, 1, 0, 0);
	}
}
END_TEST

START_TEST(TestDaemonSetRespectsTermination)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_nodes(sync, 0, 1, SYNC_NODE);
		sync_terminate(sync, sync_add_pod(sync, "node-0", SYNC_LABEL, UID, NULL));
		SYNC_EXPECT(sync, 0, 0, 0);
	}
}
END_TEST

START_TEST(TestDeleteUnscheduledPodForNotExistingNode)
{
	EACH_STRATEGY(sync, SYNC_SPEC)
	{
		sync_add_node(sync, "node-0", NO_LABELS, NO_TAINTS);
		sync_add_pods(sync, "node-0", SYNC_LABEL, UID, 1);
		sync_add_pods(sync, "node-1", SYNC_LABEL, UID, 1);
		sync_replace_in(sync->pod_trees[sync_add_pod(sync, "node-2", SYNC_LABEL, UID, NULL)], "spec",
		    cJSON_Parse("{\"affinity\":{\"nodeAffinity\":{"
				"\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{"
				"\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":["
				"\"node-2\"]}]}]}}}}"));
		sync_read_pod(sync, 2);
		SYNC_EXPECT(sync, 0, 1, 0);
		ck_assert_uint_eq(sync->pod_count, 2);
		ck_assert_str_eq(sync->pods[1]->target, "node-1");
	}
}
END_TEST

START_TEST(TestGetNodesToDaemonPods)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);
	struct node_table table;
	struct decision decision;
	const struct pod **pods;
	struct view view;
	size_t count, ended;

	sync_add_nodes(sync, 0, 2, NO_LABELS);
	sync_add_pods(sync, "node-0", SYNC_LABEL, UID, 1);
	sync_add_pods(sync, "node-0", SYNC_LABEL, NULL, 1); /* an orphan */
	sync_add_pods(sync, "node-1", SYNC_LABEL, UID, 1);
	sync_add_pods(sync, "node-1", SYNC_LABEL, "uid-other", 1);
	sync_add_pods(sync, "node-1", SYNC_LABEL_2, UID, 1);
	sync_set_phase(sync, sync_add_pod(sync, "node-0", SYNC_LABEL, UID, NULL), "Failed");
	ended = sync_add_pod(sync, "node-1", SYNC_LABEL, UID, NULL);
	sync_set_phase(sync, ended, "Succeeded");
	sync_terminate(sync, ended);
	view = sync_view(sync);
	decision_init(&decision);
	count = claim_pods(&view, &pods, &decision);
	ck_assert_uint_eq(count, 5); /* the one that has ended and is ending is claimed, but in no row */
	node_table_make(&table, &view, pods, count);
	ck_assert_uint_eq(table.count, 2);
	ck_assert_uint_eq(table.rows[0].pod_count, 3);
	ck_assert_uint_eq(table.rows[1].pod_count, 1);
	node_table_release(&table);
	free(pods);
	decision_release(&decision);
	sync_free(sync);
}
END_TEST

/* ---- surge --------------------------------------------------------------------------------------------- */

#define SURGE "{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":0,\"maxSurge\":1}}"

START_TEST(TestSurgeDealsWithExistingPods)
{
	struct sync *sync = sync_new(SYNC_SPEC, SURGE);

	sync_add_nodes(sync, 0, 5, NO_LABELS);
	sync_add_pods(sync, "node-1", SYNC_LABEL, UID, 1);
	sync_add_pods(sync, "node-2", SYNC_LABEL, UID, 2);
	sync_add_pods(sync, "node-3", SYNC_LABEL, UID, 5);
	sync_add_pods(sync, "node-4", SYNC_LABEL_2, UID, 2);
	SYNC_EXPECT(sync, 2, 5, 0);
	sync_free(sync);
}
END_TEST

/* node-1: a new pod, the oldest old one, a younger old one; node-2: one pod.  Returns the new one's place;
 * the others follow it. */
static size_t surging(struct sync *sync, bool oldest_is_ready)
{
	size_t first;

	sync_add_nodes(sync, 0, 5, NO_LABELS);
	first = sync_add_pod(sync, "node-1", SYNC_LABEL, UID, NULL);
	sync_created_at(sync, first, 100);
	sync_created_at(sync, sync_add_pod(sync, "node-1", SYNC_LABEL, UID, ""), 50);
	if (oldest_is_ready)
		sync_set_ready(sync, first + 1, true, 0);
	sync_created_at(sync, sync_add_pod(sync, "node-1", SYNC_LABEL, UID, ""), 60);
	sync_set_ready(sync, first + 2, true, 0);
	sync_add_pods(sync, "node-2", SYNC_LABEL, UID, 1);
	return first;
}

START_TEST(TestSurgePreservesReadyOldPods)
{
	struct sync *sync = sync_new(SYNC_SPEC, SURGE);
	char *younger;

	(void)surging(sync, true);
	younger = xstrdup(sync->pods[2]->meta.name);
	SYNC_EXPECT(sync, 3, 1, 0);
	ck_assert(!sync_has_name(sync, younger));
	free(younger);
	sync_free(sync);
}
END_TEST

START_TEST(TestSurgeCreatesNewPodWhenAtMaxSurgeAndOldPodDeleted)
{
	struct sync *sync = sync_new(SYNC_SPEC, SURGE);
	static const char *const names[] = {"node-0", "node-1", "node-2", "node-3", "node-4"};

	sync_add_nodes(sync, 0, 5, NO_LABELS);
	for (size_t i = 0; i < 5; i++)
		sync_set_ready(sync, sync_add_pod(sync, names[i], SYNC_LABEL, UID, ""), true, 0);
	(void)sync_add_pod(sync, "node-0", SYNC_LABEL, UID, NULL); /* the surge */
	sync_terminate(sync, 4);
	SYNC_EXPECT(sync, 1, 0, 0);
	ck_assert_str_eq(sync->pods[6]->target, "node-4");
	sync_free(sync);
}
END_TEST

START_TEST(TestSurgeDeletesUnreadyOldPods)
{
	struct sync *sync = sync_new(SYNC_SPEC, SURGE);

	(void)surging(sync, false);
	SYNC_EXPECT(sync, 3, 2, 0);
	sync_free(sync);
}
END_TEST

/* TestSurgePreservesOldReadyWithUnsatisfiedMinReady (10 s), TestSurgeDeletesOldReadyWithUnsatisfiedMinReady
 * (20 s). */
START_TEST(TestSurgeOldReadyWithUnsatisfiedMinReady)
{
	static const struct {
		int64_t ready_for_s;
		int deletes;
	} rows[] = {{10, 1}, {20, 2}};

	for (size_t i = 0; i < 2; i++) {
		struct sync *sync = sync_new(SYNC_SPEC, SURGE);

		sync_change(sync, "minReadySeconds", "15");
		sync_set_ready(sync, surging(sync, true), true, sync->now_ms / 1000 - rows[i].ready_for_s);
		SYNC_EXPECT(sync, 3, rows[i].deletes, 0);
		sync_free(sync);
	}
}
END_TEST

/* ---- beyond the catalogue ------------------------------------------------------------------------------ */

START_TEST(a_node_that_is_relabelled_loses_its_pod_whatever_the_strategy)
{
	EACH_STRATEGY(sync, SELECTED)
	{
		sync_add_node(sync, "node-0", "{\"color\":\"green\"}", NO_TAINTS);
		sync_add_pods(sync, "node-0", SYNC_LABEL, UID, 1);
		SYNC_EXPECT(sync, 0, 1, 0);
	}
}
END_TEST

START_TEST(nothing_is_done_while_expectations_are_open)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	sync_add_nodes(sync, 0, 3, NO_LABELS);
	sync->is_satisfied = false;
	SYNC_EXPECT(sync, 0, 0, 0);
	ck_assert_int_eq(sync->status.desired, 3);
	ck_assert_int_eq(sync->status.observed_generation, 0);
	sync_free(sync);
}
END_TEST

START_TEST(a_sync_creates_and_deletes_at_most_the_burst)
{
	struct sync *sync = sync_new(SYNC_SPEC, SYNC_ROLLING);

	sync_add_nodes(sync, 0, 300, NO_LABELS);
	SYNC_EXPECT(sync, 250, 0, 0);
	SYNC_EXPECT(sync, 50, 0, 0);
	sync_free(sync);
}
END_TEST

START_TEST(a_wrong_spec_is_left_alone_and_says_so)
{
	struct sync *sync = sync_new("{\"restartPolicy\":\"Never\",\"containers\":[{}]}", SYNC_ROLLING);
	struct set_status status;
	struct view view;

	sync_add_nodes(sync, 0, 1, NO_LABELS);
	SYNC_EXPECT(sync, 0, 0, 0);
	view = sync_view(sync);
	decide_status(&view, "", true, &status);
	ck_assert_int_eq(status.progressing_condition.status, CONDITION_FALSE);
	ck_assert_str_eq(status.progressing_condition.reason, "InvalidSpec");
	ck_assert_ptr_nonnull(strstr(status.progressing_condition.message, "restartPolicy"));
	sync_free(sync);
}
END_TEST

UNIT_MAIN("daemon_controller", TestSimpleDaemonSetLaunchesPods,
    TestSimpleDaemonSetScheduleDaemonSetPodsLaunchesPods, TestSimpleDaemonSetPodCreateErrors,
    TestSimpleDaemonSetUpdatesStatusAfterLaunchingPods, TestNoNodesDoesNothing, TestOneNodeDaemonLaunchesPod,
    TestNotReadyNodeDaemonDoesLaunchPod, TestInsufficientCapacityNodeDaemonDoesNotUnscheduleRunningPod,
    TestInsufficientCapacityNodeSufficientCapacityWithNodeLabelDaemonLaunchPod,
    TestDontDoAnythingIfBeingDeleted, TestDontDoAnythingIfBeingDeletedRace,
    TestPortConflictWithSameDaemonPodDoesNotDeletePod, TestNoPortConflictNodeDaemonLaunchesPod,
    TestPodIsNotDeletedByDaemonsetWithEmptyLabelSelector, TestDealsWithExistingPods,
    TestSelectorDaemonLaunchesPods, TestSelectorDaemonDeletesUnselectedPods,
    TestSelectorDaemonDealsWithExistingPods, TestBadSelectorDaemonDoesNothing, TestNameAndSelectorDaemonSets,
    TestNodeAffinityDaemonLaunchesPods, TestNumberReadyStatus, TestObservedGeneration,
    TestDaemonKillFailedPods, TestDaemonKillFailedPodsBackoff,
    TestNoScheduleTaintedDoesntEvicitRunningIntolerantPod, TestNoExecuteTaintedDoesEvicitRunningIntolerantPod,
    TestTaintedNodeDaemonDoesNotLaunchIntolerantPod, TestTaintedNodeDaemonLaunchesToleratePod,
    TestTaintsOfTroubledNodesAreTolerated, TestNodeDaemonLaunchesToleratePod,
    TestDaemonSetRespectsTermination, TestDeleteUnscheduledPodForNotExistingNode, TestGetNodesToDaemonPods,
    TestSurgeDealsWithExistingPods, TestSurgePreservesReadyOldPods,
    TestSurgeCreatesNewPodWhenAtMaxSurgeAndOldPodDeleted, TestSurgeDeletesUnreadyOldPods,
    TestSurgeOldReadyWithUnsatisfiedMinReady, a_node_that_is_relabelled_loses_its_pod_whatever_the_strategy,
    nothing_is_done_while_expectations_are_open, a_sync_creates_and_deletes_at_most_the_burst,
    a_wrong_spec_is_left_alone_and_says_so)

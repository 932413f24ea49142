/* Should a pod run on this node, may one go on: upstream's rows, and each rule's line for people. */
#include "config.h"

#include "controller/placement.h"

#include <string.h>

#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

#define CONTAINERS "\"containers\":[{\"name\":\"c\",\"image\":\"foo/bar\"}]"
#define PORT       "\"containers\":[{\"name\":\"c\",\"ports\":[{\"hostPort\":666}]}]"
#define RESOURCES                                                                                            \
	"\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"memory\":\"75M\",\"cpu\":\"75m\"}}}" \
	"]"
#define AFFINITY(value)                                                                                      \
	"\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"               \
	"\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"type\",\"operator\":\"In\",\"values\":["   \
	"\"" value "\"]}]}]}}}"
#define TOLERATING(key, effect)                                                                              \
	"\"tolerations\":[{\"key\":\"" key "\",\"operator\":\"Exists\",\"effect\":\"" effect "\"}]"

struct row {
	const char *what, *spec, *node_spec;
	bool should_run, should_continue;
};

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *spec = xasprintf("{%s}", rows[i].spec);
		struct collector_set *set = objects_set("foo", "{\"a\":\"b\"}", spec);
		cJSON *json = objects_json(
		    "{\"metadata\":{\"name\":\"test-node\",\"uid\":\"u\",\"resourceVersion\":\"1\","
		    "\"labels\":{"
		    "\"type\":\"production\"}},\"spec\":%s,\"status\":{\"allocatable\":{\"memory\":\"100M\","
		    "\"cpu\":\"200m\"}}}",
		    rows[i].node_spec);
		struct node *node = NULL;
		struct placement placement, explained;
		struct buf out;

		ck_assert_int_eq(node_read(&node, json, NULL), 0);
		placement = placement_decide(set->pod_template, node);
		ck_assert_msg(placement.should_run == rows[i].should_run, "%s: run", rows[i].what);
		ck_assert_msg(
		    placement.should_continue == rows[i].should_continue, "%s: continue", rows[i].what);
		buf_init(&out, 1 << 16);
		explained = placement_explain(set->pod_template, node, &out);
		ck_assert_msg(explained.should_run == placement.should_run &&
				  explained.should_continue == placement.should_continue,
		    "%s: explained otherwise", rows[i].what);
		buf_release(&out);
		node_free(node);
		cJSON_Delete(json);
		collector_set_free(set);
		free(spec);
	}
}

/* Ports and resources that others hold do not count here, so that the rows differ in the template only. */
START_TEST(TestNodeShouldRunDaemonPod)
{
	static const struct row rows[] = {
	    {"ShouldRunDaemonPod", "\"restartPolicy\":\"Always\"," CONTAINERS, "{}", true, true},
	    {"InsufficientResourceError", RESOURCES, "{}", true, true},
	    {"ErrPodNotMatchHostName", "\"nodeName\":\"other-node\"," RESOURCES, "{}", false, false},
	    {"ErrPodNotFitsHostPorts", PORT, "{}", true, true},
	    {"InsufficientResourceError with a pod present", RESOURCES ",\"nodeName\":\"test-node\"", "{}",
		true, true},
	    {"enough resources with a pod present", RESOURCES, "null", true, true},
	    {"ErrNodeSelectorNotMatch", "\"nodeSelector\":{\"type\":\"test\"}," CONTAINERS, "{}", false,
		false},
	    {"ShouldRunDaemonPod, selector", "\"nodeSelector\":{\"type\":\"production\"}," CONTAINERS, "{}",
		true, true},
	    {"ErrPodAffinityNotMatch", AFFINITY("test") "," CONTAINERS, "{}", false, false},
	    {"ShouldRunDaemonPod, affinity", AFFINITY("production") "," CONTAINERS, "{}", true, true},
	    {"ShouldRunDaemonPod on an unschedulable node", CONTAINERS,
		"{\"unschedulable\":true,\"taints\":[{\"key\":\"node.kubernetes.io/"
		"unschedulable\",\"effect\":"
		"\"NoSchedule\"}]}",
		true, true},
	};
	check(rows, sizeof rows / sizeof rows[0]);
}
END_TEST

START_TEST(taints_keep_out_and_only_no_execute_drives_out)
{
	static const struct row rows[] = {
	    {"NoSchedule", CONTAINERS, "{\"taints\":[{\"key\":\"k\",\"effect\":\"NoSchedule\"}]}", false,
		true},
	    {"NoExecute", CONTAINERS, "{\"taints\":[{\"key\":\"k\",\"effect\":\"NoExecute\"}]}", false,
		false},
	    {"PreferNoSchedule", CONTAINERS, "{\"taints\":[{\"key\":\"k\",\"effect\":\"PreferNoSchedule\"}]}",
		true, true},
	    {"both, one tolerated", TOLERATING("k", "NoExecute") "," CONTAINERS,
		"{\"taints\":[{\"key\":\"k\",\"effect\":\"NoExecute\"},{\"key\":\"k\",\"effect\":"
		"\"NoSchedule\"}]}",
		false, true},
	    {"tolerated", TOLERATING("k", "") "," CONTAINERS,
		"{\"taints\":[{\"key\":\"k\",\"effect\":\"NoExecute\"},{\"key\":\"k\",\"effect\":"
		"\"NoSchedule\"}]}",
		true, true},
	    {"not ready, as the node lifecycle controller taints", CONTAINERS,
		"{\"taints\":[{\"key\":\"node.kubernetes.io/not-ready\",\"effect\":\"NoExecute\"},{\"key\":"
		"\"node.kubernetes.io/not-ready\",\"effect\":\"NoSchedule\"}]}",
		false, true},
	    {"no network", CONTAINERS,
		"{\"taints\":[{\"key\":\"node.kubernetes.io/"
		"network-unavailable\",\"effect\":\"NoSchedule\"}]}",
		false, true},
	    {"no network, but the host's", "\"hostNetwork\":true," CONTAINERS,
		"{\"taints\":[{\"key\":\"node.kubernetes.io/"
		"network-unavailable\",\"effect\":\"NoSchedule\"}]}",
		true, true},
	    {"selector and affinity, one fails",
		"\"nodeSelector\":{\"type\":\"production\"}," AFFINITY("test") "," CONTAINERS, "{}", false,
		false},
	    {"a taint does not save what does not match", "\"nodeSelector\":{\"type\":\"test\"}," CONTAINERS,
		"{\"taints\":[{\"key\":\"k\",\"effect\":\"NoSchedule\"}]}", false, false},
	};
	check(rows, sizeof rows / sizeof rows[0]);
}
END_TEST

UNIT_MAIN("placement", TestNodeShouldRunDaemonPod, taints_keep_out_and_only_no_execute_drives_out)

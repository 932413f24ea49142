#!/usr/bin/env python3
"""The integration tests of upstream's DaemonSet, by their names, held to CollectorSet: fake nodes, and a control plane with all its parts.

Upstream runs most of them for both update strategies; so does this, as subtests of the names that do.
"""

import copy

from kit import case, cluster, sets
from kit.sets import HASH, IMAGE, SetCase, rolling
from kit.wait import until

STRATEGIES = ({"type": "OnDelete"}, rolling(1))
NOT_READY = "node.kubernetes.io/not-ready"


def nodes(count):
    return [f"node-{i}" for i in range(count)]


class CatalogueCase(SetCase):
    def for_each_strategy(self, test):
        self.controller()
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy["type"]):
                test({"updateStrategy": strategy})
                for node in self.cluster.list("nodes"):
                    self.cluster.remove_node(node["metadata"]["name"])
                self.counted(desiredNumberScheduled=0)  # so the controller knows before nodes of these names come again
                self.cluster.delete("collectorsets", sets.NAME, self.ns, propagationPolicy="Background")
                for pod in self.cluster.pods(self.ns):  # no kubelet ends them
                    self.cluster.delete("pods", pod["metadata"]["name"], self.ns, gracePeriodSeconds=0)
                self.until(lambda: not self.cluster.pods(self.ns), "all gone")

    def node_without_kubelet(self, name, **spec):
        """As upstream's tests have them: nothing but what is written about it."""
        body = self.cluster.node(name)
        del body["metadata"]["annotations"]
        body["spec"].update(spec)
        return self.cluster.create("nodes", body)

    def without_node_lifecycle(self):
        """No taint follows from a condition."""
        if self.cluster.is_fake:
            self.cluster.set(lifecycle=False)
        else:
            self.cluster.pause("controller-manager")
            self.addCleanup(self.cluster.resume, "controller-manager")


@cluster.on_both
class CatalogueTest(CatalogueCase):
    def test_one_node_daemon_launches_pod(self):
        """TestOneNodeDaemonLaunchesPod"""
        def test(spec):
            self.make(**spec)
            self.cluster.add_nodes(*nodes(1))
            self.placed(*nodes(1))
            self.counted(numberReady=1)
        self.for_each_strategy(test)

    def test_simple_daemon_set_launches_pods(self):
        """TestSimpleDaemonSetLaunchesPods"""
        def test(spec):
            self.make(**spec)
            self.cluster.add_nodes(*nodes(5))
            self.placed(*nodes(5))
            self.counted(numberReady=5)
        self.for_each_strategy(test)

    def test_simple_daemon_set_restarts_pods_on_terminal_phase(self):
        """TestSimpleDaemonSetRestartsPodsOnTerminalPhase"""
        self.controller()
        self.cluster.add_nodes(*nodes(3))
        for phase, finalizers in (("Succeeded", None), ("Failed", None), ("Succeeded", ["drave.dev/test"]), ("Failed", ["drave.dev/test"])):
            with self.subTest(phase=phase, finalizers=finalizers):
                self.make()
                self.placed(*nodes(3))
                old = self.pods()[0]
                if finalizers:
                    self.cluster.patch("pods", old["metadata"]["name"], {"metadata": {"finalizers": finalizers}}, self.ns)
                self.write_phase(old, phase)
                self.until(lambda: old["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in self.pods()}, "no longer alive")
                self.placed(*nodes(3))
                if finalizers:
                    self.assertTrue(self.is_there(old), "the old one is held, and did not stop its successor")
                    self.cluster.patch("pods", old["metadata"]["name"], {"metadata": {"finalizers": None}}, self.ns)
                self.gone(old)
                self.counted(numberReady=3)
                self.cluster.delete("collectorsets", sets.NAME, self.ns, propagationPolicy="Background")
                self.until(lambda: not self.cluster.pods(self.ns), "all gone")

    def test_daemon_set_with_node_selector_launches_pods(self):
        """TestDaemonSetWithNodeSelectorLaunchesPods: terms are alternatives, of labels and of the name."""
        terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["test"]}]},
                 {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
        def test(spec):
            self.make(pod={"affinity": affinity}, **spec)
            self.cluster.add_nodes(*nodes(4))
            self.cluster.add_nodes("zone-0", "zone-1", labels={"zone": "test"})
            self.placed("node-1", "zone-0", "zone-1")
            self.counted(desiredNumberScheduled=3, numberReady=3)
        self.for_each_strategy(test)

    def test_not_ready_node_daemon_does_launch_pod(self):
        """TestNotReadyNodeDaemonDoesLaunchPod: the condition alone keeps nothing away."""
        self.without_node_lifecycle()
        self.controller()
        self.make()
        self.node_without_kubelet("node-0")
        self.cluster.untaint("node-0", NOT_READY)   # admission's gift to every new node
        self.cluster.condition("node-0", "Ready", "False")
        self.until(lambda: [pod["spec"].get("nodeName") for pod in self.pods()] == ["node-0"], "a pod bound there")

    def test_a_taint_that_follows_from_not_ready_keeps_new_pods_away(self):
        """What upstream's test does not see, since it runs without the node lifecycle: NotReady becomes a NoSchedule taint as well."""
        self.controller()
        self.node_without_kubelet("node-0")
        self.cluster.condition("node-0", "Ready", "False")
        until(lambda: any(t["key"] == NOT_READY and t["effect"] == "NoSchedule" for t in self.cluster.get("nodes", "node-0")["spec"].get("taints", ())), "tainted")
        self.make("wary")
        self.make("eager", pod={"tolerations": [{"key": NOT_READY, "operator": "Exists"}]})
        self.placed("node-0", name="eager", ready=False)
        self.counted("wary", desiredNumberScheduled=0)
        self.assertEqual(self.places("wary"), [])

    def test_insufficient_capacity_node(self):
        """TestInsufficientCapacityNode: the pod is made on both, and the scheduler binds what fits."""
        self.controller()
        pod = {"containers": [{"name": "c", "image": "one", "resources": {"requests": {"memory": "75M", "cpu": "75m"}}}]}
        self.make(pod=pod)
        room = {"pods": "110", "memory": "100M", "cpu": "200m"}
        self.cluster.add_nodes("small", allocatable={**room, "cpu": "50m"})
        self.until(lambda: any(c.get("reason") == "Unschedulable" for pod in self.pods() for c in pod["status"].get("conditions", ())), "an unschedulable pod")
        self.cluster.add_nodes("big", allocatable=room)
        self.until(lambda: sorted((cluster.node_of(pod), "nodeName" in pod["spec"]) for pod in self.pods()) == [("big", True), ("small", False)], "one bound")
        self.counted(desiredNumberScheduled=2, currentNumberScheduled=2, numberReady=1, numberUnavailable=1)

    def test_launch_with_hash_collision(self):
        """TestLaunchWithHashCollision: the name of the new revision is taken by other data."""
        self.controller()
        self.cluster.add_nodes(*nodes(1))
        self.make(updateStrategy=rolling(1))
        self.rolled_out(1)
        self.change(IMAGE, "two")
        self.rolled_out(1)
        taken = self.revisions()[-1]["metadata"]["name"]
        self.change(IMAGE, "one")
        self.rolled_out(1)
        self.until(lambda: all(sets.image_of(pod) == "one" for pod in self.cluster.pods(self.ns)), "the first template back")
        self.cluster.delete("controllerrevisions", taken, self.ns)
        self.cluster.create("controllerrevisions", {"metadata": {"name": taken}, "revision": 7, "data": {"spec": {"template": "of somebody else"}}}, self.ns)
        self.assertEqual(self.status().get("collisionCount", 0), 0)
        self.change(IMAGE, "two")
        self.counted(collisionCount=1)
        self.rolled_out(1)
        self.assertEqual([sets.image_of(pod) for pod in self.pods()], ["two"])
        self.assertNotEqual(self.revisions()[-1]["metadata"]["name"], taken)
        self.assertEqual(self.cluster.get("controllerrevisions", taken, self.ns)["revision"], 7, "somebody else's is as it was")

    def test_dsc_updates_pod_label_after_dedup_cur_histories(self):
        """TestDSCUpdatesPodLabelAfterDedupCurHistories: of two equal revisions one stays, and the pods carry its label."""
        self.controller()
        self.cluster.add_nodes(*nodes(2))
        self.make()
        self.rolled_out(2)
        first, = self.revisions()
        pods = {pod["metadata"]["uid"] for pod in self.pods()}
        second = copy.deepcopy(first)
        second["metadata"] = {"name": f"{sets.NAME}-double", "ownerReferences": first["metadata"]["ownerReferences"],
                              "labels": {**first["metadata"]["labels"], HASH: "double"}}
        self.cluster.create("controllerrevisions", {**second, "revision": first["revision"] + 1}, self.ns)
        self.change("/metadata/annotations", {"look": "again"}, "add")
        self.until(lambda: [revision["metadata"]["name"] for revision in self.revisions()] == [f"{sets.NAME}-double"], "one of both left")
        self.until(lambda: {pod["metadata"]["labels"][HASH] for pod in self.pods()} == {"double"}, "pods relabelled")
        self.assertEqual({pod["metadata"]["uid"] for pod in self.pods()}, pods, "none was restarted")

    def test_tainted_node(self):
        """TestTaintedNode"""
        def test(spec):
            self.make(**spec)
            self.cluster.add_nodes("tainted", taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}])
            self.cluster.add_nodes("clean")
            self.placed("clean")
            self.counted(desiredNumberScheduled=1, numberReady=1)
            self.cluster.untaint("tainted", "a")
            self.placed("clean", "tainted")
            self.counted(desiredNumberScheduled=2, numberReady=2)
        self.for_each_strategy(test)

    def test_unschedulable_node_daemon_does_launch_pod(self):
        """TestUnschedulableNodeDaemonDoesLaunchPod: with the host's network it waits neither for a cordon's end nor for the network."""
        def test(spec):
            self.make(pod={"hostNetwork": True}, **spec)
            self.cluster.add_nodes("cordoned")
            self.cluster.cordon("cordoned")
            until(lambda: any(t["key"] == "node.kubernetes.io/unschedulable" for t in self.cluster.get("nodes", "cordoned")["spec"].get("taints", ())), "tainted")
            self.cluster.add_nodes("no-network", taints=[{"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"}])
            self.cluster.condition("no-network", "NetworkUnavailable", "True")
            self.placed("cordoned", "no-network")
            self.cluster.delete("pods", next(pod for pod in self.pods() if cluster.node_of(pod) == "cordoned")["metadata"]["name"], self.ns)
            self.placed("cordoned", "no-network")
            self.counted(desiredNumberScheduled=2, numberReady=2)
        self.for_each_strategy(test)

    def test_update_status_despite_pod_creation_failure(self):
        """TestUpdateStatusDespitePodCreationFailure"""
        self.controller()
        if self.cluster.is_fake:
            self.cluster.rule(verb="create", path=f"{self.ns}/pods", nth="3+", status=403, reason="Forbidden", message="exceeded quota")
        else:
            self.cluster.create("resourcequotas", {"metadata": {"name": "two"}, "spec": {"hard": {"pods": "2"}}}, self.ns)
            until(lambda: self.cluster.get("resourcequotas", "two", self.ns).get("status", {}).get("hard"), "the quota at work")
        self.cluster.add_nodes(*nodes(5))
        self.make()
        self.counted(desiredNumberScheduled=5, currentNumberScheduled=2, numberReady=2, numberUnavailable=3)
        self.until(lambda: any(event["reason"] == "FailedCreate" for event in self.cluster.list("events", self.ns)), "told in an event")

    def test_daemon_set_rolling_update_with_tolerations(self):
        """TestDaemonSetRollingUpdateWithTolerations: with a surge, what is no longer wanted stays until the new ones are available."""
        self.controller()
        for i, zone in enumerate(("y", "y", "z", "z", "common", "common")):
            self.cluster.add_nodes(f"node-{i}", taints=[{"key": f"zone-{zone}", "effect": "NoSchedule"}])
        tolerate = lambda *zones: [{"key": f"zone-{zone}", "operator": "Exists"} for zone in zones]
        self.make(pod={"tolerations": tolerate("y", "common")}, minReadySeconds=2, updateStrategy=rolling(0, 1))
        self.placed("node-0", "node-1", "node-4", "node-5")
        self.rolled_out(4)
        self.change("/spec/template/spec/tolerations", tolerate("z", "common"))
        self.until(lambda: len(self.pods()) == 7, "4 old ones, 2 on new nodes and one of the surge")
        self.placed("node-2", "node-3", "node-4", "node-5")
        self.rolled_out(4)
        self.change("/spec/template/spec/tolerations", tolerate("y", "z", "common"))
        self.until(lambda: len(self.pods()) == 7, "4 old ones, 2 on new nodes and one of the surge")
        self.change("/spec/minReadySeconds", 0)
        self.placed(*nodes(6))
        self.rolled_out(6)
        self.change("/spec/template/spec/tolerations", [])
        self.placed()
        self.rolled_out(0)


# Each fault as rules of the fake API server for the controller's requests.
STATUS_CONFLICT = {"verb": "update|patch", "path": "collectorsets/[^/]+/status", "status": 409, "reason": "Conflict", "message": "test", "times": 2}
STALE_READ = {"verb": "list|watch", "path": "/pods", "expire": True, "times": 1}
FAILED_CREATE = {"verb": "create", "path": "/pods", "status": 500, "reason": "InternalError", "message": "test", "chance": 0.3}
LOST_ANSWER = {"verb": "create", "path": "/pods", "close": "after", "times": 3}


@cluster.only("fake")
class DaemonSetReconcileRobustnessMatrix(CatalogueCase):
    """TestDaemonSetReconcileRobustnessMatrix: a real API server does not fail on demand."""

    def matrix(self, *rules):
        numbers = [self.cluster.rule(agent="drave-controller", **rule) for rule in rules]
        count = 40
        self.cluster.add_nodes(*nodes(count))
        self.controller()
        self.make()
        self.placed(*nodes(count))
        self.rolled_out(count)
        for rule, number in zip(rules, numbers):
            self.assertGreater(self.cluster.struck(number), 0, f"{rule} never struck")
        self.never_two()

    def never_two(self):
        alive = {}
        for change in self.cluster.history("pods"):
            pod = change["object"]
            if pod["metadata"]["namespace"] != self.ns:
                continue
            alive.pop(pod["metadata"]["name"], None)
            if change["type"] != "DELETED" and cluster.is_alive(pod):
                self.assertNotIn(cluster.node_of(pod), alive.values(), "two pods on a node")
                alive[pod["metadata"]["name"]] = cluster.node_of(pod)

    def test_baseline(self):
        self.matrix()

    def test_conflicts_of_the_status(self):
        self.matrix(STATUS_CONFLICT)

    def test_a_cache_that_has_to_begin_anew(self):
        self.matrix(STALE_READ)

    def test_creating_fails_often(self):
        self.matrix(FAILED_CREATE)

    def test_created_but_never_told(self):
        self.matrix(LOST_ANSWER)

    def test_all_at_once(self):
        self.matrix(STATUS_CONFLICT, STALE_READ, LOST_ANSWER, FAILED_CREATE)


if __name__ == "__main__":
    case.main(needs_collector=False)

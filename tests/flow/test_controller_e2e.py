#!/usr/bin/env python3
"""The end-to-end tests of upstream's DaemonSet, by their names, held to CollectorSet; and what an operator does to one with kubectl."""

import json
import os
import random
import subprocess

from kit import case, cluster, sets
from kit.controller import PROGRAM
from kit.sets import HASH, IMAGE, SetCase, collector_set, image_of, rolling
from kit.wait import until

NODES = ("n1", "n2", "n3")
SEED = int(os.environ.get("DRAVE_SEED", 1))


class EndToEndCase(SetCase):
    def setUp(self):
        super().setUp()
        self.cluster.add_nodes(*NODES)

    def kubectl(self, *words, **more):
        return self.cluster.kubectl("-n", self.ns, *words, **more)

    def controller(self, name="controller", **rows):
        """With the rights that the manifests give it, and no other."""
        return super().controller(name, kubeconfig=self.cluster.rights_in(self.ns), **rows)

    def uids(self):
        return {pod["metadata"]["uid"] for pod in self.pods()}

    def placed_and_counted(self, count=len(NODES)):
        self.rolled_out(count)
        self.placed(*NODES)


@cluster.on_both
class DaemonSetTest(EndToEndCase):
    """Daemon set [Serial]"""

    def test_should_run_and_stop_simple_daemon(self):
        self.controller()
        self.make()
        self.placed_and_counted()
        self.delete_pod(self.pods()[0])
        self.placed_and_counted()
        self.kubectl("delete", "collectorset", sets.NAME)
        self.until(lambda: not self.pods(alive=False), "the pods gone with their set")

    def complex_daemon(self, select):
        """select(colour) is the value of a field of the pod's spec, whose name it also returns."""
        self.controller()
        field, blue = select("blue")
        self.make(pod={field: blue}, updateStrategy={"type": "OnDelete"})
        self.counted(desiredNumberScheduled=0, numberMisscheduled=0)
        self.assertEqual(self.places(), [])
        self.kubectl("label", "node", "n2", "colour=blue")
        self.placed("n2")
        self.kubectl("label", "node", "n2", "colour=green", "--overwrite")
        self.placed()
        patch = {"spec": {"template": {"spec": {field: select("green")[1]}}, "updateStrategy": {"type": "RollingUpdate"}}}
        self.kubectl("patch", "collectorset", sets.NAME, "--type=merge", "-p", json.dumps(patch))
        self.placed("n2")
        self.rolled_out(1)

    def test_should_run_and_stop_complex_daemon(self):
        self.complex_daemon(lambda colour: ("nodeSelector", {"colour": colour}))

    def test_should_run_and_stop_complex_daemon_with_node_affinity(self):
        def select(colour):
            term = {"matchExpressions": [{"key": "colour", "operator": "In", "values": [colour]}]}
            return "affinity", {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
        self.complex_daemon(select)

    def test_should_retry_creating_failed_daemon_pods(self):
        self.controller()
        self.make()
        self.placed_and_counted()
        failed = self.pods()[0]
        self.write_phase(failed, "Failed")
        self.gone(failed)
        self.placed_and_counted()
        self.until(lambda: any(event["reason"] == "FailedDaemonPod" for event in self.cluster.list("events", self.ns)), "told in an event")

    def test_should_not_update_pod_when_spec_was_updated_and_update_strategy_is_on_delete(self):
        self.controller()
        self.make(updateStrategy={"type": "OnDelete"})
        self.placed_and_counted()
        first = self.revisions()[0]["metadata"]["labels"][HASH]
        before = self.uids()
        self.change(IMAGE, "two")
        self.counted(updatedNumberScheduled=0, numberAvailable=3)
        self.assertEqual([revision["revision"] for revision in self.revisions()], [1, 2])
        self.assertEqual((self.uids(), {pod["metadata"]["labels"][HASH] for pod in self.pods()}), (before, {first}))
        self.delete_pod(self.pods()[0])
        self.placed(*NODES)
        self.assertEqual(sorted(map(image_of, self.pods())), ["one", "one", "two"])

    def test_should_update_pod_when_spec_was_updated_and_update_strategy_is_rolling_update(self):
        self.controller()
        self.make(updateStrategy=rolling(1))
        self.placed_and_counted()
        self.change(IMAGE, "two")

        def is_done_within_budget():
            available = sum(map(cluster.is_pod_ready, self.pods()))
            self.assertGreaterEqual(available, 2, self.told())
            return all(image_of(pod) == "two" for pod in self.pods(alive=False)) and available == 3
        self.until(is_done_within_budget, "all updated")
        self.rolled_out(3)
        self.assertEqual([revision["revision"] for revision in self.revisions()], [1, 2])

    def test_should_rollback_without_unnecessary_restarts(self):
        self.controller()
        self.make(updateStrategy=rolling(1))
        self.placed_and_counted()
        self.change("/spec/template/spec/containers/0/resources", {"requests": {"cpu": "1000"}}, "add")     # which no node has
        self.until(lambda: any("resources" in pod["spec"]["containers"][0] and pod["spec"]["containers"][0]["resources"] for pod in self.pods()), "a bad pod")
        untouched = {pod["metadata"]["uid"] for pod in self.pods() if cluster.is_pod_ready(pod)}
        self.assertEqual(len(untouched), 2)
        self.change("/spec/template/spec/containers/0", {"name": "c", "image": "one"})
        self.placed_and_counted()
        self.assertLess(untouched, self.uids())

    def test_should_surge_pods_onto_nodes_when_spec_was_updated(self):
        """... and update strategy is RollingUpdate, while pods are deleted and become unready."""
        draw = random.Random(SEED)
        self.controller()
        self.cluster.add_nodes("n4", "n5")
        nodes = (*NODES, "n4", "n5")
        self.make(updateStrategy=rolling(0, "20%"), minReadySeconds=1)
        self.rolled_out(5)
        faults = ["delete", "unready", "delete", "unready"]     # from the end

        def disturb(pods):
            old = [pod for pod in pods if image_of(pod) == "one" and cluster.is_pod_ready(pod)]
            if not faults or draw.random() > 0.3 or not old:
                return
            if faults.pop() == "delete":
                self.cluster.delete("pods", draw.choice(pods)["metadata"]["name"], self.ns)
            else:
                self.write_ready(draw.choice(old), False)

        def is_done():
            pods = self.pods()
            by_node = {}
            for pod in pods:
                by_node.setdefault(cluster.node_of(pod), []).append(image_of(pod))
            for node, images in by_node.items():
                self.assertEqual(len(images), len(set(images)), f"two of one version on {node}: {self.told()}")
                self.assertLessEqual(len(images), 2)
            if all(image_of(pod) == "two" and cluster.is_pod_ready(pod) for pod in pods) and len(pods) == 5:
                return True
            disturb(pods)
            return False

        self.change(IMAGE, "two")
        self.until(is_done, f"all updated; seed {SEED}")
        self.placed(*nodes)
        self.rolled_out(5)
        self.assertEqual(len(self.revisions()), 2)
        self.assertLess(len(faults), 4, f"no fault happened; seed {SEED}")

    def test_a_surge_never_leaves_a_node_without(self):
        """The same undisturbed: at no moment a node is without an available pod."""
        self.controller()
        self.make(updateStrategy=rolling(0, 1))
        self.placed_and_counted()
        self.change(IMAGE, "two")

        def is_done():
            ready = {cluster.node_of(pod) for pod in self.pods() if cluster.is_pod_ready(pod)}
            self.assertEqual(ready, set(NODES), self.told())
            return all(image_of(pod) == "two" for pod in self.pods(alive=False))
        self.until(is_done, "all updated")
        self.rolled_out(3)

    def test_should_list_and_delete_a_collection_of_daemon_sets(self):
        self.controller()
        self.make()
        self.make("other")
        self.placed(*NODES)
        self.placed(*NODES, name="other")
        listed = json.loads(self.kubectl("get", "cset", "-l", "app=agent", "-o", "json"))["items"]
        self.assertEqual([item["metadata"]["name"] for item in listed], [sets.NAME])
        self.cluster.must("DELETE", cluster.path_of("collectorsets", self.ns) + "?labelSelector=app%3Dagent")
        self.until(lambda: not self.pods(alive=False), "its pods gone")
        self.assertIsNone(self.held())
        self.placed(*NODES, name="other")

    def test_should_verify_changes_to_a_daemon_set_status(self):
        self.controller()
        self.make()
        self.placed_and_counted()
        mine = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        before = self.held()["metadata"]["generation"]
        version = self.held()["metadata"]["resourceVersion"]
        with self.cluster.watch("collectorsets", self.ns, resourceVersion=version) as watch:
            conditions = json.loads(self.kubectl("get", "collectorset", sets.NAME, "--subresource=status", "-o", "json"))["status"]["conditions"]
            self.cluster.patch("collectorsets/status", sets.NAME, {"status": {"conditions": [*conditions, mine]}}, self.ns)
            seen = watch.until("MODIFIED", sets.NAME)
        self.assertIn(mine, seen["status"]["conditions"])
        self.assertEqual(self.held()["metadata"]["generation"], before)
        self.cluster.patch("collectorsets/status", sets.NAME, {"status": {"numberReady": 99}}, self.ns)
        self.counted(numberReady=3)     # what is untrue does not stay

    def test_restarting_the_controller_does_not_disturb_pods(self):
        """[Disruptive] DaemonRestart"""
        first = self.controller()
        self.make()
        self.placed_and_counted()
        before = self.uids()
        first.kill()
        gone = self.pods()[0]
        self.cluster.delete("pods", gone["metadata"]["name"], self.ns)
        self.cluster.add_nodes("n4")
        self.controller("second")
        self.placed(*NODES, "n4")
        self.rolled_out(4)
        self.assertLess(before - {gone["metadata"]["uid"]}, self.uids())


@cluster.on_both
class KubectlTest(EndToEndCase):
    """What an operator does."""

    def setUp(self):
        super().setUp()
        self.controller()
        self.kubectl("apply", "-f", "-", input=json.dumps(collector_set(updateStrategy=rolling(1))))
        self.kubectl("wait", "--for=condition=Available", f"cset/{sets.NAME}", "--timeout=60s")
        self.placed_and_counted()

    def rollout(self, *words):
        environment = {name: text for name, text in os.environ.items() if not name.startswith("KUBE")}
        done = subprocess.run([PROGRAM, "rollout", *words, "-n", self.ns], capture_output=True, text=True, timeout=60,
                              env={**environment, "KUBECONFIG": self.cluster.admin, "HOME": self.dir})
        self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def test_apply_again_changes_nothing(self):
        before = self.uids()
        told = self.kubectl("apply", "-f", "-", input=json.dumps(collector_set(updateStrategy=rolling(1))))
        self.assertIn("unchanged", told)
        self.assertEqual(self.uids(), before)

    def test_an_edit_rolls_out(self):
        change = [{"op": "replace", "path": IMAGE, "value": "two"}]
        self.kubectl("patch", "cset", sets.NAME, "--type=json", "-p", json.dumps(change))
        self.rollout("status", sets.NAME, "--timeout", "60s")
        self.until(lambda: sorted(map(image_of, self.pods())) == ["two"] * 3, "all pods of the new template")
        self.kubectl("wait", "--for=condition=Available", f"cset/{sets.NAME}", "--timeout=60s")

    def test_deleted_in_the_background(self):
        self.kubectl("delete", "cset", sets.NAME, "--cascade=background")
        self.until(lambda: not self.pods(alive=False) and not self.revisions(), "pods and revisions gone")

    def test_deleted_in_the_foreground_it_goes_last(self):
        held = self.pods()[0]["metadata"]["name"]
        self.cluster.patch("pods", held, {"metadata": {"finalizers": ["drave.dev/test"]}}, self.ns)
        self.kubectl("delete", "cset", sets.NAME, "--cascade=foreground", "--wait=false")
        self.until(lambda: [pod["metadata"]["name"] for pod in self.pods(alive=False)] == [held], "the others gone, and none made anew")
        self.assertEqual(self.held()["metadata"]["finalizers"], ["foregroundDeletion"])
        self.cluster.patch("pods", held, {"metadata": {"finalizers": None}}, self.ns)
        self.until(lambda: self.held() is None, "the set gone")
        self.assertEqual(self.pods(alive=False), [])

    def test_a_deleted_pod_is_told_from_its_successor_of_the_same_name(self):
        """On the fake cluster kubectl is slow between its look at the pod and its watch of the name: left to itself, it waited for ever."""
        if self.cluster.is_fake:
            self.cluster.rule(path=r"/pods\?fieldSelector=metadata\.name", agent="kubectl", delay=1)
        for _ in range(3):
            gone = self.pods()[0]
            self.delete_pod(gone)
            self.placed_and_counted()
            self.assertIn(gone["metadata"]["name"], [pod["metadata"]["name"] for pod in self.pods()])

    def test_orphans_are_adopted_by_a_set_of_the_same_selector(self):
        before = self.uids()
        self.kubectl("delete", "cset", sets.NAME, "--cascade=orphan")
        self.until(lambda: self.held() is None, "the set gone")
        self.assertEqual(self.uids(), before)
        self.assertFalse(any(pod["metadata"].get("ownerReferences") for pod in self.pods()))
        made = self.make(updateStrategy=rolling(1))
        self.placed_and_counted()
        self.assertEqual(self.uids(), before, "adopted, and as they were")
        self.assertEqual({pod["metadata"]["ownerReferences"][0]["uid"] for pod in self.pods()}, {made["metadata"]["uid"]})
        self.assertEqual([revision["revision"] for revision in self.revisions()], [1])

    def test_rollout_history_undo_and_restart(self):
        self.change(IMAGE, "two")
        self.assertIn("successfully rolled out", self.rollout("status", f"cset/{sets.NAME}"))
        self.assertEqual([line.split()[0] for line in self.rollout("history", sets.NAME).splitlines()[2:]], ["1", "2"])
        self.rollout("undo", sets.NAME)
        self.rollout("status", sets.NAME)
        self.until(lambda: sorted(map(image_of, self.pods())) == ["one"] * 3, "the first template back")
        before = self.uids()
        self.rollout("restart", sets.NAME)
        self.rollout("status", sets.NAME)
        self.until(lambda: len(self.uids()) == 3 and not self.uids() & before, "all pods new")


@cluster.only("real")
class RealServerTest(EndToEndCase):
    """See only_on_one_cluster.txt."""

    def test_what_is_listed_tells_how_it_stands(self):
        """By the columns of the definition, which the fake API server does not read."""
        self.controller()
        self.make()
        self.placed_and_counted()
        head, row = self.kubectl("get", "cset").splitlines()
        self.assertEqual(head.split()[:6], ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE"])
        self.assertEqual(row.split()[:6], [sets.NAME, "3", "3", "3", "3", "3"])

    def test_a_collector_set_takes_the_pods_of_a_daemon_set(self):
        """The way from a DaemonSet, which the fake cluster has nobody to serve."""
        ours = collector_set(updateStrategy=rolling(1))
        theirs = {**ours, "apiVersion": "apps/v1", "kind": "DaemonSet"}
        self.kubectl("apply", "-f", "-", input=json.dumps(theirs))
        self.placed(*NODES)
        before = self.uids()
        self.kubectl("delete", "daemonset", sets.NAME, "--cascade=orphan")
        until(lambda: self.cluster.get("daemonsets", sets.NAME, self.ns) is None, "the DaemonSet gone")
        self.assertEqual(self.uids(), before)
        self.controller()
        made = self.make(updateStrategy=rolling(1))

        def is_done_within_budget():
            pods = self.pods()
            self.assertGreaterEqual(sum(map(cluster.is_pod_ready, pods)), 2, self.told())
            self.assertEqual(len(set(map(cluster.node_of, pods))), len(pods), f"two on a node: {self.told()}")
            owners = [owner["uid"] for pod in pods for owner in pod["metadata"].get("ownerReferences", ())]
            return owners == [made["metadata"]["uid"]] * 3 and not self.uids() & before
        self.until(is_done_within_budget, "all pods replaced by ours")
        self.placed_and_counted()
        self.kubectl("delete", "cset", sets.NAME)
        self.until(lambda: not self.pods(alive=False) and not self.revisions(), "nothing left")


if __name__ == "__main__":
    case.main(needs_collector=False)

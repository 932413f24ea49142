#!/usr/bin/env python3
"""Upstream as the oracle: the same drawn spec as a DaemonSet and as a CollectorSet, on the same drawn nodes, on a real control plane.

After each drawn change both must have come to the same nodes, the same counters, and node by node the same pod: spec, annotations and labels, names and revision
labels aside.  DRAVE_SCENARIOS=N draws more, DRAVE_SEED=S begins at another seed; a failure names the seed and the changes that led to it.
"""

import os
import time

from kit import case, cluster
from kit.draw import TAINT_KEYS, Draw
from kit.wait import until

SCENARIOS = int(os.environ.get("DRAVE_SCENARIOS", 4 if case.IS_SANITIZED else 20))
FIRST_SEED = int(os.environ.get("DRAVE_SEED", 1))
CHANGES = 5
STEADY_SECONDS = 0.5    # for so long both must be seen at rest and equal: longer than either needs to notice a change
KINDS = {"daemonsets": ("apps/v1", "DaemonSet"), "collectorsets": (cluster.API, "CollectorSet")}
COUNTERS = ("desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled", "numberReady", "updatedNumberScheduled", "numberAvailable",
            "numberUnavailable")
OWN_LABELS = ("app", "controller-revision-hash", "pod-template-generation")


def target(pod):
    """The node that a pod is bound to, or is for."""
    if pod["spec"].get("nodeName"):
        return pod["spec"]["nodeName"]
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return terms[0]["matchFields"][0]["values"][0]


def essence(pod):
    """What both must agree on.  The account's token has a random volume name."""
    spec = dict(pod["spec"])
    spec["volumes"] = [volume for volume in spec.get("volumes", []) if not volume["name"].startswith("kube-api-access-")]
    spec["containers"] = [{**container, "volumeMounts": [mount for mount in container.get("volumeMounts", [])
                                                         if not mount["name"].startswith("kube-api-access-")]} for container in spec["containers"]]
    meta = pod["metadata"]
    return {"spec": spec, "annotations": meta.get("annotations", {}),
            "labels": {key: text for key, text in meta["labels"].items() if key not in OWN_LABELS}, "finalizers": meta.get("finalizers")}


@cluster.only("real")
class UpstreamOracle(cluster.ClusterCase):
    def test_a_collector_set_does_what_a_daemon_set_does(self):
        self.cluster.kubectl("apply", "-k", os.path.join(cluster.ROOT, "deploy/crd"))
        self.controller()
        for seed in range(FIRST_SEED, FIRST_SEED + SCENARIOS):
            with self.subTest(seed=seed):
                scenario = Scenario(self, seed)
                try:
                    scenario.run()
                finally:
                    scenario.clear()


class Scenario:
    def __init__(self, test, seed):
        self.test, self.cluster, self.ns, self.seed = test, test.cluster, test.ns, seed
        self.draw = Draw(seed)
        self.name = f"s{seed}"
        self.nodes = []
        self.history = []

    def run(self):
        for _ in range(self.draw.random.randint(4, 7)):
            self.add_node()
        spec = self.draw.spec(self.nodes)
        for plural in KINDS:
            self.create(plural, spec)
        self.compare("created")
        for _ in range(CHANGES):
            change = self.draw.change()
            getattr(self, change.replace(" ", "_"))()
            self.compare(change)

    def clear(self):
        """Also after a failure: what one scenario leaves behind would be another one's."""
        for plural in KINDS:
            self.cluster.delete(plural, self.name, self.ns, propagationPolicy="Background")
        until(lambda: not self.cluster.pods(self.ns), "all pods gone with their sets")
        for node in self.nodes:
            self.cluster.remove_node(node)

    # ---- both sets

    def create(self, plural, spec):
        api, kind = KINDS[plural]
        template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": self.labels(plural)}}
        self.cluster.create(plural, {"apiVersion": api, "kind": kind, "metadata": {"name": self.name},
                                     "spec": {**spec, "selector": {"matchLabels": self.labels(plural)}, "template": template}}, self.ns)

    def labels(self, plural):
        return {"app": f"{self.name}-{plural}"}

    def replace_in_both(self, path, value):
        for plural in KINDS:
            self.cluster.patch(plural, self.name, [{"op": "replace", "path": path, "value": value}], self.ns, kind="json")

    def pods(self, plural):
        return self.cluster.pods(self.ns, f"app={self.labels(plural)['app']}")

    # ---- what happens

    def add_node(self):
        name = f"{self.name}-{self.draw.node_name()}"
        self.nodes.append(name)
        self.cluster.add_nodes(name, labels=self.draw.labels(), taints=self.draw.taints())

    def remove_node(self):
        """And what the garbage collector would do a while later: no kubelet ends the pods of a node that is gone."""
        if len(self.nodes) < 3:
            return
        name = self.nodes.pop(self.draw.random.randrange(len(self.nodes)))
        self.cluster.remove_node(name)
        for plural in KINDS:
            for pod in self.pods(plural):
                if pod["spec"].get("nodeName") == name:
                    self.cluster.delete("pods", pod["metadata"]["name"], self.ns, gracePeriodSeconds=0)

    def relabel(self):
        labels = self.draw.labels()
        self.cluster.label(self.draw.pick(self.nodes), **{key: labels.get(key) for key in ("zone", "disk", "generation")})

    def taint(self):
        drawn = self.draw.taints()
        self.cluster._change_taints(self.draw.pick(self.nodes), lambda taints: [taint for taint in taints if taint["key"] not in TAINT_KEYS] + drawn)

    def cordon(self):
        self.cluster.cordon(self.draw.pick(self.nodes), self.draw.chance(0.6))

    def template(self):
        template = self.draw.template(self.nodes)
        self.replace_in_both("/spec/template/spec", template["spec"])

    def image(self):
        self.replace_in_both("/spec/template/spec/containers/0/image", self.draw.image())

    def strategy(self):
        self.replace_in_both("/spec/updateStrategy", self.draw.spec(self.nodes)["updateStrategy"])

    def pods_of_one_node(self):
        """A pod of each set on one node that has both."""
        by_node = [{target(pod): pod for pod in self.pods(plural)} for plural in KINDS]
        shared = sorted(set(by_node[0]) & set(by_node[1]))
        node = self.draw.pick(shared) if shared else None
        return [pods[node] for pods in by_node] if node else []

    def delete_pod(self):
        for pod in self.pods_of_one_node():
            self.cluster.delete("pods", pod["metadata"]["name"], self.ns)

    def fail_pod(self):
        for pod in self.pods_of_one_node():
            self.cluster.patch("pods/status", pod["metadata"]["name"], {"status": {"phase": "Failed"}}, self.ns)

    # ---- the comparison

    def facts(self, plural):
        """None while the set is on its way."""
        item = self.cluster.get(plural, self.name, self.ns)
        pods = self.pods(plural)
        status = item.get("status", {})
        if status.get("observedGeneration") != item["metadata"]["generation"]:
            return None
        if any(pod["metadata"].get("deletionTimestamp") or pod["status"].get("phase") not in ("Running", "Pending") for pod in pods):
            return None
        return {"counters": {name: status.get(name, 0) for name in COUNTERS},
                "pods": sorted(((target(pod), essence(pod)) for pod in pods), key=lambda pair: pair[0])}

    def compare(self, change):
        self.history.append(change)
        seen, since = {}, None

        def both_rest_and_agree():
            nonlocal seen, since
            seen = {plural: self.facts(plural) for plural in KINDS}
            first, second = seen.values()
            if first is None or first != second:
                since = None
                return False
            since = since or time.monotonic()
            return time.monotonic() - since >= STEADY_SECONDS

        until(both_rest_and_agree, lambda: f"seed {self.seed}, after {', '.join(self.history)}: both the same:\n{difference(seen)}", step=0.1)


def difference(seen):
    first, second = seen.values()
    if first is None or second is None:
        return {plural: "at rest" if facts else "on its way" for plural, facts in seen.items()}
    nodes = [[node for node, _ in facts["pods"]] for facts in (first, second)]
    told = f"counters {first['counters']}\n     and {second['counters']}\nnodes {nodes[0]}\n  and {nodes[1]}\n"
    for (node, upstream), (_, ours) in zip(first["pods"], second["pods"]):
        if nodes[0] == nodes[1] and upstream != ours:
            return f"{told}{node}: {upstream}\n{' ' * len(node)}  {ours}"
    return told


if __name__ == "__main__":
    case.main()

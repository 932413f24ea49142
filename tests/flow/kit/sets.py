"""CollectorSets under test: what they are made of, and what is waited for."""

import functools
import json

from kit import cluster
from kit.wait import until

NAME = "agent"
HASH = "controller-revision-hash"
IMAGE = "/spec/template/spec/containers/0/image"


def collector_set(name=NAME, pod=None, **spec):
    """pod: fields of the template's spec; spec: those of the set's beside selector and template."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "one"}], **(pod or {})}}
    return {"apiVersion": cluster.API, "kind": "CollectorSet", "metadata": {"name": name, "labels": labels},
            "spec": {"selector": {"matchLabels": labels}, "template": template, **spec}}


def rolling(unavailable=0, surge=0):
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}


@functools.cache
def define(served):
    """Once for a cluster; the fake one knows the resource by itself."""
    if not served.is_fake:
        served.install_definition()


def image_of(pod):
    return pod["spec"]["containers"][0]["image"]


def has_condition(item, type_, status="True"):
    return any(c["type"] == type_ and c["status"] == status for c in item.get("status", {}).get("conditions") or ())


class SetCase(cluster.ClusterCase):
    """One set, called agent unless a test says otherwise, and what became of it."""

    def setUp(self):
        super().setUp()
        define(self.cluster)

    def make(self, name=NAME, **more):
        return self.cluster.create("collectorsets", collector_set(name, **more), self.ns)

    def held(self, name=NAME):
        return self.cluster.get("collectorsets", name, self.ns)

    def status(self, name=NAME):
        return self.held(name).get("status", {})

    def change(self, path, value, op="replace", name=NAME):
        """One JSON patch operation on the set."""
        return self.cluster.patch("collectorsets", name, [{"op": op, "path": path, "value": value}], self.ns, "json")

    def pods(self, name=NAME, alive=True):
        return self.cluster.pods(self.ns, f"app={name}", alive=alive)

    def places(self, name=NAME):
        return sorted(map(cluster.node_of, self.pods(name)))

    def revisions(self, name=NAME):
        return sorted(self.cluster.list("controllerrevisions", self.ns, f"app={name}"), key=lambda revision: revision["revision"])

    def told(self):
        return json.dumps({"set": self.held(), "pods": [(pod["metadata"]["name"], cluster.node_of(pod), image_of(pod), pod["metadata"].get("deletionTimestamp"),
                                                         pod["status"].get("phase")) for pod in self.cluster.pods(self.ns)]})

    def until(self, condition, what):
        """With the set and its pods in the complaint."""
        return until(condition, lambda: f"{what}\n{self.told()}", step=0.03)

    def placed(self, *nodes, name=NAME, ready=True):
        """Exactly one living pod on each of these nodes."""
        self.until(lambda: self.places(name) == sorted(nodes) and (not ready or all(map(cluster.is_pod_ready, self.pods(name)))), f"a pod on each of {nodes}")

    def counted(self, name=NAME, **counters):
        """The status of the present generation says so; what is not there is 0."""
        def does():
            item = self.held(name)
            status = item.get("status", {})
            return status.get("observedGeneration") == item["metadata"]["generation"] and all(status.get(key, 0) == n for key, n in counters.items())
        self.until(does, f"counted {counters}")

    def rolled_out(self, count, name=NAME):
        self.counted(name, desiredNumberScheduled=count, currentNumberScheduled=count, updatedNumberScheduled=count, numberAvailable=count)

    def write_phase(self, pod, phase):
        self.cluster.patch("pods/status", pod["metadata"]["name"], {"status": {"phase": phase}}, self.ns)

    def write_ready(self, pod, is_ready):
        self.cluster.patch("pods/status", pod["metadata"]["name"], {"status": {"conditions": [{"type": "Ready", "status": str(is_ready)}]}},
                           self.ns, "strategic")

    def is_there(self, pod):
        """That very one; its successor may have its name."""
        held = self.cluster.get("pods", pod["metadata"]["name"], pod["metadata"]["namespace"])
        return bool(held) and held["metadata"]["uid"] == pod["metadata"]["uid"]

    def gone(self, pod):
        self.until(lambda: not self.is_there(pod), f"{pod['metadata']['name']} gone")

    def delete_pod(self, pod):
        """By kubectl, whose own wait looks for the UID once and then for the name: if the successor came in between, it would wait for that one's end."""
        self.cluster.kubectl("-n", pod["metadata"]["namespace"], "delete", "pod", pod["metadata"]["name"], "--wait=false")
        self.gone(pod)

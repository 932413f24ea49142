#!/usr/bin/env python3
"""docs/MIGRATING.md, tried: its commands are run on a cluster, its configurations are checked, and what it says about positions is seen."""

import json
import os
import re
import shutil
import subprocess
import unittest

from kit import case, cluster, sets
from kit.controller import PROGRAM
from kit.wait import until

PAPER = os.path.join(cluster.ROOT, "docs/MIGRATING.md")
MANIFESTS = os.path.join(cluster.ROOT, "tests/flow/manifests")
BLOCK = re.compile(r"^<!-- (?P<how>run|check): (?P<name>[\w-]+) -->\n```\w+\n(?P<text>.*?)^```$", re.M | re.S)
SECRETS = "/etc/drave/"     # where the paper's configurations keep their files
NS = "logging"              # which stands in the commands for the namespace of the test
SET = "log-agent"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


def blocks(how):
    with open(PAPER, encoding="utf-8") as file:
        return {found["name"]: found["text"] for found in BLOCK.finditer(file.read()) if found["how"] == how}


class PaperTest(unittest.TestCase):
    def test_every_block_of_ours_has_a_name_and_is_tried(self):
        with open(PAPER, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(len(re.findall(r"^```(?:sh|ini)$", text, re.M)), len(BLOCK.findall(text)), "a block without a name")
        self.assertEqual(set(blocks("run")), {"manifest", "move", "look", "back"})
        self.assertEqual(set(blocks("check")), {"fluent-bit", "vector", "filebeat", "beside"})

    def test_the_manifests_that_it_names_are_those_that_are_moved(self):
        with open(PAPER, encoding="utf-8") as file:
            self.assertEqual(set(re.findall(r"tests/flow/manifests/([\w.-]+)", file.read())), set(os.listdir(MANIFESTS)))


class MovingCase(sets.SetCase):
    """A directory with the manifests, in which blocks of the paper are run by a shell."""

    def setUp(self):
        super().setUp()
        shutil.copytree(MANIFESTS, self.dir, dirs_exist_ok=True)
        os.symlink(os.path.join(cluster.ROOT, "deploy"), os.path.join(self.dir, "deploy"))
        os.mkdir(os.path.join(self.dir, "bin"))
        for program in (cluster.kubectl_path(), PROGRAM):
            os.symlink(os.path.abspath(program), os.path.join(self.dir, "bin", os.path.basename(program)))

    def spawn(self, name, change):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("KUBE")}
        path = f"{self.dir}/bin:{os.environ['PATH']}"
        text = re.sub(rf"-n {NS}\b", f"-n {self.ns}", change(blocks("run")[name]))
        return subprocess.Popen(["bash", "-euo", "pipefail", "-c", text], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, env={**environment, "PATH": path, "KUBECONFIG": self.cluster.admin, "HOME": self.dir})

    def shell(self, name, watch=lambda: None, change=lambda text: text):
        """Runs a block to its end, and calls watch() all the time."""
        process = self.spawn(name, change)
        try:
            until(lambda: watch() or process.poll() is not None, lambda: f"the end of {name}: {self.told()}", step=0.03)
        finally:
            if process.poll() is None:
                process.kill()
            out, _ = process.communicate()
        self.assertEqual(process.returncode, 0, f"{name}: {out}")
        return out

    def agents(self, alive=True):
        return self.cluster.pods(self.ns, f"app.kubernetes.io/name={SET}", alive=alive)

    def uids(self):
        return {pod["metadata"]["uid"] for pod in self.agents()}

    def owners(self):
        return {(owner["kind"], owner["name"]) for pod in self.agents() for owner in pod["metadata"].get("ownerReferences") or ()}

    def one_by_one(self):
        """Never two of one node, never more than one node without."""
        pods = self.agents()
        places = [cluster.node_of(pod) for pod in pods]
        self.assertEqual(len(set(places)), len(places), f"two on a node: {places}")
        self.assertGreaterEqual(sum(map(cluster.is_pod_ready, pods)), len(self.nodes) - 1, places)

    def ready(self):
        until(lambda: sorted(map(cluster.node_of, self.agents())) == sorted(self.nodes) and all(map(cluster.is_pod_ready, self.agents())),
              lambda: f"a pod on each of {self.nodes}: {self.agents()}")


@cluster.on_both
class FromDaemonSetTest(MovingCase):
    """On the fake cluster, which nobody serves DaemonSets on, the test plays their controller for the way here."""
    nodes = ("cp", "n1", "n2")

    def setUp(self):
        super().setUp()
        self.cluster.add_nodes("cp", labels={CONTROL_PLANE: ""}, taints=[{"key": CONTROL_PLANE, "effect": "NoSchedule"}])
        self.cluster.add_nodes("n1", "n2")
        self.cluster.add_nodes("apart", taints=[{"key": "example.com/apart", "effect": "NoSchedule"}])
        self.cluster.kubectl("-n", self.ns, "apply", "-f", os.path.join(MANIFESTS, "log-agent.yaml"))
        if self.cluster.is_fake:
            self.play_daemon_set()
        self.ready()
        self.assertEqual(self.owners(), {("DaemonSet", SET)})
        self.before = self.uids()
        self.controller(namespace="*")

    def play_daemon_set(self):
        """What upstream's controller would have made: a revision and pods, with defaults in them that the manifest does not have."""
        made = self.cluster.get("daemonsets", SET, self.ns)
        template = made["spec"]["template"]
        owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": SET, "uid": made["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}
        labels = {**template["metadata"]["labels"], "controller-revision-hash": "7d9f6c5b48", "pod-template-generation": "1"}
        spec = {**template["spec"], "dnsPolicy": "ClusterFirst"}
        self.cluster.create("controllerrevisions", {"metadata": {"name": f"{SET}-7d9f6c5b48", "labels": labels, "ownerReferences": [owner]}, "revision": 1,
                                                    "data": {"spec": {"template": {**template, "spec": spec, "$patch": "replace"}}}}, self.ns)
        for node in self.nodes:
            term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
            affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
            self.cluster.create("pods", {"metadata": {"generateName": f"{SET}-", "labels": labels, "ownerReferences": [owner]},
                                         "spec": {**spec, "affinity": affinity}}, self.ns)

    def revisions(self):
        return sorted(item["revision"] for item in self.cluster.list("controllerrevisions", self.ns))

    def test_the_pods_are_adopted_and_replaced_one_by_one(self):
        self.shell("manifest")
        self.assertEqual(self.uids(), self.before, "a dry run changes nothing")
        self.shell("move", self.one_by_one)
        self.ready()
        self.assertEqual(self.owners(), {("CollectorSet", SET)})
        self.assertFalse(self.uids() & self.before)
        self.assertIsNone(self.cluster.get("daemonsets", SET, self.ns))
        told = self.shell("look")
        self.assertRegex(told, rf"{SET} +3 +3 +3 +3 +3" if not self.cluster.is_fake else SET)
        self.assertEqual(self.revisions(), [1, 2])
        self.assertEqual(re.findall(r"^(\d+) +\S+ +\S+Z +<none>$", told, re.M), ["1", "2"])

    def test_undo_goes_back_to_the_template_of_the_daemon_set(self):
        self.shell("manifest")
        self.shell("move", self.one_by_one)
        after = self.uids()
        environment = {"KUBECONFIG": self.cluster.admin, "HOME": self.dir, "PATH": os.environ["PATH"]}
        for words in (("undo", SET), ("status", SET)):
            subprocess.run([PROGRAM, "rollout", *words, "-n", self.ns], env=environment, check=True, timeout=60, stdout=subprocess.DEVNULL)
        self.ready()
        self.assertFalse(self.uids() & after)
        self.assertEqual(self.cluster.get("collectorsets", SET, self.ns)["spec"]["template"]["spec"]["dnsPolicy"], "ClusterFirst")
        self.assertEqual(self.revisions(), [2, 3], "its revision is the newest now")

    def test_on_delete_leaves_them_until_somebody_deletes_them(self):
        self.shell("manifest")
        path = os.path.join(self.dir, f"{SET}-set.yaml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("    type: RollingUpdate\n    rollingUpdate:\n      maxUnavailable: 1\n", "    type: OnDelete\n"))
        self.shell("move", self.one_by_one, lambda block: "\n".join(line for line in block.splitlines() if "rollout" not in line))
        until(lambda: self.owners() == {("CollectorSet", SET)}, lambda: f"adopted: {self.agents()}")
        until(lambda: self.cluster.get("collectorsets", SET, self.ns).get("status", {}).get("numberAvailable") == 3, "counted")
        self.assertEqual(self.uids(), self.before)
        gone = self.agents()[0]
        self.delete_pod(gone)
        self.ready()
        self.assertEqual(self.before - self.uids(), {gone["metadata"]["uid"]})

    def test_a_drained_node_gets_its_pod_back(self):
        self.shell("manifest")
        self.shell("move")
        before = {cluster.node_of(pod): pod["metadata"]["uid"] for pod in self.agents()}
        self.cluster.kubectl("drain", "n1", "--ignore-daemonsets", "--timeout=60s")
        self.ready()
        after = {cluster.node_of(pod): pod["metadata"]["uid"] for pod in self.agents()}
        self.assertEqual({node for node in before if before[node] != after[node]}, {"n1"})


@cluster.only("real")
class BackToDaemonSetTest(MovingCase):
    """See only_on_one_cluster.txt."""
    nodes = ("cp", "n1", "n2")

    def test_there_and_back(self):
        self.cluster.add_nodes("cp", labels={CONTROL_PLANE: ""}, taints=[{"key": CONTROL_PLANE, "effect": "NoSchedule"}])
        self.cluster.add_nodes("n1", "n2")
        self.controller(namespace="*")
        self.shell("manifest")
        self.cluster.kubectl("-n", self.ns, "apply", "-f", os.path.join(self.dir, f"{SET}-set.yaml"))
        self.ready()
        before = self.uids()
        self.shell("back", self.one_by_one)
        self.ready()
        self.assertEqual(self.owners(), {("DaemonSet", SET)})
        self.assertFalse(self.uids() & before)
        between = self.uids()
        self.shell("move", self.one_by_one)
        self.ready()
        self.assertEqual(self.owners(), {("CollectorSet", SET)})
        self.assertFalse(self.uids() & between)


@cluster.on_both
class ManifestTest(MovingCase):
    """DaemonSets that clusters really have, with two lines changed."""

    def setUp(self):
        super().setUp()
        add = self.cluster.add_nodes
        add("cp", labels={CONTROL_PLANE: ""}, taints=[{"key": CONTROL_PLANE, "effect": "NoSchedule"}])
        add("n1", "n2")
        add("arm", labels={"kubernetes.io/arch": "arm64"})
        add("risc", labels={"kubernetes.io/arch": "riscv64"})
        add("windows", labels={"kubernetes.io/os": "windows"}, taints=[{"key": "os", "value": "windows", "effect": "NoSchedule"}])
        add("apart", taints=[{"key": "example.com/apart", "effect": "NoSchedule"}, {"key": "example.com/out", "effect": "NoExecute"}])
        self.cluster.cordon("n2")
        self.controller(namespace="*")

    def runs(self, manifest, namespace, *nodes):
        name = manifest.removesuffix(".yaml")
        words = {SET: name, f"-n {NS}": f"-n {namespace or NS}", "--dry-run=server": ""}
        self.shell("manifest", change=lambda block: re.sub("|".join(words), lambda found: words[found[0]], block))
        with open(os.path.join(MANIFESTS, manifest), encoding="utf-8") as one, open(os.path.join(self.dir, f"{name}-set.yaml"), encoding="utf-8") as other:
            changed = [(old, new) for old, new in zip(one.read().splitlines(), other.read().splitlines(), strict=True) if old != new]
        namespace = namespace or self.ns
        self.assertEqual(changed, [("apiVersion: apps/v1", f"apiVersion: {cluster.API}"), ("kind: DaemonSet", "kind: CollectorSet")])
        selector = self.cluster.get("collectorsets", name, namespace)["spec"]["selector"]["matchLabels"]
        labels = ",".join(f"{key}={value}" for key, value in selector.items())

        def is_so():
            pods = [pod for pod in self.cluster.pods(namespace, labels, alive=True) if pod["spec"].get("nodeName")]
            status = self.cluster.get("collectorsets", name, namespace).get("status", {})
            return sorted(map(cluster.node_of, pods)) == sorted(nodes) and status.get("desiredNumberScheduled") == len(nodes)
        until(is_so, lambda: f"on {nodes}: {[(cluster.node_of(pod), pod['status']) for pod in self.cluster.pods(namespace, labels)]}")
        for pod in self.cluster.pods(namespace, labels):
            self.assertEqual(pod["spec"]["serviceAccountName"], name)

    def test_a_log_agent(self):
        self.runs("log-agent.yaml", None, "cp", "n1", "n2", "arm", "risc")

    def test_the_exporter_of_node_figures(self):
        self.runs("node-exporter.yaml", "monitoring", "cp", "n1", "n2", "arm", "risc", "apart")

    def test_a_network_plug_in(self):
        self.runs("network-plugin.yaml", "kube-system", "cp", "n1", "n2", "arm", "apart")


class ConfigurationTest(case.FlowCase):
    """Every block of ours, with the files that it names in a directory of the test's."""

    def configuration(self, name):
        text = blocks("check")[name]
        for file in set(re.findall(SECRETS + r"(\S+)", text)):
            with open(os.path.join(self.dir, file), "w") as secret:
                secret.write("secret")
            os.chmod(os.path.join(self.dir, file), 0o600)
        return text.replace(SECRETS, f"{self.dir}/")

    def run_with(self, text, *arguments):
        under_test = self.collector({}, start=False)
        under_test.environment = {"NODE_NAME": case.NODE}
        under_test.configure(text)
        status, out = under_test.run(*arguments)
        return status, out.decode(), under_test.errors()

    def test_they_are_right(self):
        self.kubelet()
        for name in blocks("check"):
            with self.subTest(name):
                status, out, told = self.run_with(self.configuration(name), "--check-config")
                self.assertEqual(status, 0, out + told)
                self.assertNotRegex(told, r"level=(warn|error)")

    def records(self, name):
        """What the block would send of a node with one container of three lines."""
        status, out, told = self.run_with(self.configuration(name), "--dry-run", "-o", f"input:pods.path={self.dir}/pods",
                                          "-o", f"collector.state_dir={self.dir}", "-o", "kubernetes.metadata_source=none")
        self.assertEqual(status, 0, told)
        return [json.loads(line) for line in out.splitlines()]

    def test_records_have_the_fields_that_the_paper_names(self):
        self.kubelet().container().write(3)
        with open(PAPER, encoding="utf-8") as file:
            paper = file.read()
        inner = re.search(r"in the same fields \(`\"log\"`, `\"stream\"`, `\"kubernetes\": \{(.+?)\}`\)", paper)[1]
        expected = {"fluent-bit": {"log", "stream", *(f"kubernetes.{field}" for field in re.findall(r"\w+", inner))}}
        for name, schema in (("vector", "vector"), ("filebeat", "ecs")):
            row = re.search(rf"^\| fields (.+?) \| `metadata_schema = {schema}`, the same \|$", paper, re.M)[1]
            expected[name] = set(re.findall(r"`([@\w.]+)`", row))
        for name, fields in expected.items():
            records = self.records(name)
            self.assertEqual(len(records), 3)
            for field in fields:
                value = records[0]
                for step in field.split("."):
                    self.assertIn(step, value, f"{name}: {field} in {records[0]}")
                    value = value[step]


class PositionTest(case.FlowCase):
    """What read_from makes of files that another agent has read, or has not: compressed, rotated and live ones."""

    def setUp(self):
        super().setUp()
        self.end, self.witness = self.endpoint(), self.oracle()
        self.container = self.kubelet().container()
        self.compressed, self.rotated, self.live = range(0, 10), range(10, 30), range(30, 60)
        self.container.write(10)
        self.container.rotate()
        self.container.write(20)
        self.container.rotate()
        self.container.write(30)
        self.assertEqual([os.path.splitext(path)[1] == ".gz" for path in self.container.rotated()], [True, False])

    def arrived_numbers(self, read_from, *expected):
        under_test = self.collector({"main": self.end}, input={"read_from": read_from})
        self.seen(under_test, self.container)
        self.container.write(5)
        expected = sorted(number for numbers in (*expected, range(60, 65)) for number in numbers)

        def have():
            self.end.pump(self.witness)
            return sorted(self.witness.copies[self.container.key])
        until(lambda: have() >= expected, lambda: f"{have()} instead of {expected}")
        self.settled(under_test)
        under_test.stop()
        self.assertEqual(have(), expected)

    def test_head_takes_all_that_is_not_compressed(self):
        self.arrived_numbers("head", self.rotated, self.live)

    def test_tail_takes_what_comes(self):
        self.arrived_numbers("tail")


if __name__ == "__main__":
    case.main()

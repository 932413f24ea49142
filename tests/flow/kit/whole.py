"""The whole, as deploy/ installs it, on a real node: with a real Kafka broker, an HTTP end and pods that write.

    with Whole(LOG_INTERVAL="3s") as whole:
        whole.install()
        whole.begin_writing()
        whole.pump(); whole.faults()
"""

import atexit
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request

from kit import cluster, node
from kit.broker import Broker
from kit.collector import PROGRAM
from kit.controller import PROGRAM as CONTROLLER
from kit.endpoint import Endpoint
from kit.wait import until

NAMESPACE = "work"
SYSTEM, SET, TOPIC = cluster.SYSTEM, "drave-collector", "logs"
DEPLOY = os.path.join(cluster.ROOT, "deploy")
TOOLS = ("containerd", "runc", "ip", "iptables", "busybox", "gcc", "openssl", "curl", "java", "mvn", "kcat")
BATCH_RECORDS, LANES = 500, 2
IN_FLIGHT = 2 * LANES * BATCH_RECORDS       # of an output, in records: what may be sent twice when its answer is lost
STEP_SECONDS = 120                          # for what a busy machine may need long for: a pod's start, a rollout
CONFIGURATION = """\
[collector]
listen = [${{POD_IP:-127.0.0.1}}]:9818

[kubernetes]
metadata_source = {source}

[output:kafka]
type = kafka
brokers = {brokers}
topic = {topic}
batch_records = {records}
lanes = {lanes}
batch_age = {age}

[output:http]
type = http
url = {url}
batch_records = {records}
lanes = {lanes}
batch_age = {age}
"""


def missing():
    """What this machine lacks for it, in words."""
    lacks = [program for program in TOOLS if not shutil.which(program)]
    return lacks + ["Go 1.26"] * (not cluster.has_go()) + ["root"] * (os.geteuid() != 0)


def programs():
    """SRC=DEST of both programs and the libraries that they load."""
    wanted = {PROGRAM: "/usr/bin/drave-collector", CONTROLLER: "/usr/bin/drave-controller"}
    for program in (PROGRAM, CONTROLLER):
        for line in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines():
            path = next((word for word in line.split() if word.startswith("/")), None)
            if path:
                wanted[os.path.realpath(path)] = path
    return [f"{source}={destination}" for source, destination in wanted.items()]


class Whole:
    """settings: node.sh's."""

    def __init__(self, **settings):
        self.settings = settings
        self.words = {"source": "auto", "age": "200ms", "records": BATCH_RECORDS, "lanes": LANES}    # of the configuration
        self.absences = []      # of the collector: (from, to)
        self.cuts = 0           # how often it, or an end, went without a word: each may have sent twice what was in flight

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.cluster = node.NodeCluster(**self.settings)
            stack.callback(self._end)
            self.broker = Broker(os.path.join(self.cluster.dir, "kafka")).start()
            stack.callback(self.broker.stop)
            self.broker.create(TOPIC, 4)
            self.http = Endpoint(host=node.ADDRESS)
            stack.callback(self.http.stop)
            self.topic = node.Topic(self.broker.address, TOPIC)
            stack.callback(self.topic.stop)
            self.truth = node.Truth(self.cluster.log_dir, NAMESPACE)
            stack.callback(self.truth.stop)
            self.arrivals = {name: node.Arrivals(name, NAMESPACE) for name in ("kafka", "http")}
            self.stack = stack.pop_all()
        atexit.register(self.stack.close)   # for who is interrupted and never comes to __exit__
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def _end(self):
        """The last of the clean-ups.  What is left of the node is a fault of node.sh."""
        self.cluster.stop()
        remains = self.cluster.remains()
        self.cluster.remove()
        if remains:
            raise AssertionError(f"left behind: {remains}")

    # ---- what is installed ---------------------------------------------------------------------------

    def install(self):
        self.load_image()
        self.cluster.install_definition()
        self.apply()
        self.collector()

    def load_image(self):
        """The one that DRAVE_IMAGE names (deploy/image/build makes it), or one of the same name from the programs under test."""
        if os.environ.get("DRAVE_IMAGE"):
            return self.cluster.load_image(os.environ["DRAVE_IMAGE"])
        with open(os.path.join(cluster.ROOT, "configure.ac")) as file:
            version = re.search(r"AC_INIT\(\[drave\], \[(.*?)\]", file.read())[1]
        self.cluster.make_image(f"drave:{version}", "", *programs())

    def apply(self, **words):
        """kubectl apply -k, with this machine's ends, and with other words of the configuration."""
        self.words.update(words)
        text = CONFIGURATION.format(brokers=self.broker.address, topic=TOPIC, url=self.http.url, **self.words)
        overlay = os.path.join(self.cluster.dir, "overlay")
        os.makedirs(overlay, exist_ok=True)
        patch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SET, "namespace": SYSTEM}, "data": {"collector.ini": text}}
        with open(os.path.join(overlay, "kustomization.yaml"), "w") as file:
            json.dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
                       "resources": [os.path.relpath(DEPLOY, overlay)], "patches": [{"patch": json.dumps(patch)}]}, file)
        self.cluster.kubectl("apply", "-k", overlay)

    def begin_writing(self):
        """Pods of all kinds; they write until they are deleted."""
        self.cluster.namespace(NAMESPACE)
        self.write("fast-a", 300)
        self.write("fast-b", 300, annotations={"example.org/note": "n"})
        self.write("slow", 2)
        self.write("long", 4, every=2)
        self.write("crashing", 100, 150, 3, restart="Always")
        until(lambda: len([pod for pod in self.pods() if cluster.is_pod_ready(pod)]) >= 4, self.told, STEP_SECONDS, 0.1)

    def write(self, name, *words, **more):
        self.cluster.writer(name, NAMESPACE, *words, labels={"app": name, "team": "drive"}, **more)

    def end_writing(self):
        self.cluster.kubectl("-n", NAMESPACE, "delete", "pods", "--all")

    def change_template(self):
        """Returns the pod that collects now, and will be replaced."""
        before = self.collector()
        note = {"spec": {"template": {"metadata": {"annotations": {"example.org/roll": str(time.time_ns())}}}}}
        self.cluster.kubectl("-n", SYSTEM, "patch", "cset", SET, "--type=merge", "-p", json.dumps(note))
        return before

    def rolled(self, before):
        """Waits until that pod is gone; the one that collects in its place."""
        until(lambda: not self.is_there(before), lambda: f"the old one gone: {self.told()}", STEP_SECONDS, 0.1)
        return self.collector()

    # ---- what is looked at ---------------------------------------------------------------------------

    def pods(self):
        return self.cluster.pods(NAMESPACE)

    def pod(self, name):
        return self.cluster.get("pods", name, NAMESPACE)

    def collectors(self, alive=True):
        return self.cluster.pods(SYSTEM, f"app.kubernetes.io/name={SET}", alive=alive)

    def is_there(self, pod):
        """A collector's pod, perhaps about to end."""
        held = self.cluster.get("pods", pod["metadata"]["name"], SYSTEM)
        return bool(held) and held["metadata"]["uid"] == pod["metadata"]["uid"]

    def collector(self):
        """The one pod that collects, once it is the only one, ready, and says that it runs."""
        def found():
            pods = self.collectors()
            return pods[0] if len(pods) == 1 and cluster.is_pod_ready(pods[0]) and self.state(pods[0]) == "running" else None
        return until(found, lambda: f"one collector runs: {self.told()}", STEP_SECONDS, 0.1)

    @staticmethod
    def ask(pod, path):
        """Of the collector's own server; empty if it does not answer.  The address of a pod that ended swallows what is sent to it."""
        if not pod["status"].get("podIP"):
            return ""
        try:
            with urllib.request.urlopen(f"http://{pod['status']['podIP']}:9818{path}", timeout=2) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def state(self, pod):
        return json.loads(self.ask(pod, "/status") or "{}").get("state")

    def told(self):
        """Everything that may explain a failure."""
        logs = (f"---- {pod['metadata']['name']}\n" + self.cluster.kubectl("-n", SYSTEM, "logs", pod["metadata"]["name"], "--tail=40", check=False).stdout
                for pod in self.cluster.pods(SYSTEM))
        return self.cluster.kubectl("get", "pods,cset,events", "-A", "-o", "wide") + "".join(logs)

    # ---- what arrived --------------------------------------------------------------------------------

    def pump(self):
        self.topic.pump(self.arrivals["kafka"])
        self.http.pump(self.arrivals["http"])

    def wanted(self):
        """What was written up to now, without what nobody could have read."""
        excused = self.truth.excused(self.absences)
        return {container: [line for line in lines if (container, line) not in excused] for container, lines in self.truth.written().items()}

    def has(self, wanted):
        self.pump()
        return all(end.has(wanted) for end in self.arrivals.values())

    def faults(self, wanted):
        written = self.truth.written()
        return [fault for end in self.arrivals.values() for fault in end.faults(wanted, written, self.cuts * IN_FLIGHT)]

    def tally(self, wanted):
        """What has been seen so far, in words."""
        twice = ", ".join(f"{name} {end.duplicates}" for name, end in self.arrivals.items())
        return f"{sum(map(len, wanted.values())):,} lines in {len(self.truth.segments)} files, {self.truth.rotations('')} rotations; twice: {twice} ... "

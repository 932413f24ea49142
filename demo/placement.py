"""The demo's second part: drave-controller places the collectors.

An API server of the tests' (tests/fake/kube) runs in this process, with kubelets whose pods are real drave-collectors, each following its own node's tree.  A node
joins, one is cordoned, the template changes and rolls, one leaves; the pods write all the while, and in the end every line is counted at both ends.
"""

import json
import os
import sys
import time
import urllib.request

from demo import ARRIVAL_SECONDS, OUTPUTS, Collector, Process, Writer, begin, fetch, start_receivers

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests/fake"))

from kube_api import KubeApi        # noqa: E402 (the path comes first)

PODS_PER_NODE, RATE = 4, 300e3
STEP_SECONDS = 60
NAMESPACE, NAME = "drave-system", "drave-collector"
SETS = f"/apis/drave.dev/v1alpha1/namespaces/{NAMESPACE}/collectorsets"
LABELS = {"app.kubernetes.io/name": NAME}


class Nodes:
    """The nodes' trees, and what the kubelets start on them: see kube/kubelet.py for what a runner is."""

    def __init__(self, options, directory, ends):
        self.options, self.directory, self.ends = options, directory, ends
        self.writers, self.collectors = {}, []

    def home(self, node):
        return os.path.join(self.directory, node)

    def begin_writing(self, node, seconds, children):
        writer = begin(children, Writer(self.options.build, self.home(node), seconds, PODS_PER_NODE, RATE, PODS_PER_NODE * len(self.writers)))
        self.writers[node] = writer
        writer.go()

    def lines(self):
        return sum(writer.lines for writer in self.writers.values())

    # ---- the kubelets'

    def start(self, pod):
        node = pod["spec"]["nodeName"]
        self.collectors.append(Collector(self.options.build, self.home(node), os.path.join(self.home(node), "pods"), *self.ends, node=node))
        return self.collectors[-1]

    def is_ready(self, collector):
        return collector.is_ready()

    def exit_status(self, collector):
        return collector.process.poll()

    def stop(self, collector):
        collector.process.terminate()

    def kill(self, collector):
        """Of a pod whose node has gone, and at the end: it may finish what it has; placed_collectors() sees to its end."""
        collector.process.terminate()


class Controller(Process):
    def __init__(self, options, directory, api):
        kubeconfig = os.path.join(directory, "kubeconfig")
        with open(kubeconfig, "w") as file:
            json.dump({"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "demo", "cluster": {"server": f"http://127.0.0.1:{api.port}"}}],
                       "users": [{"name": "demo", "user": {}}], "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo"}}],
                       "current-context": "demo"}, file)
        self.log = os.path.join(directory, "controller.log")
        rows = {"kubeconfig": kubeconfig, "namespace": NAMESPACE, "lease_namespace": NAMESPACE, "listen": "127.0.0.1:0"}
        with open(self.log, "w") as log:
            super().__init__([os.path.join(options.build, "drave-controller"), "--config", os.devnull,
                              *(word for key, value in rows.items() for word in ("-o", f"controller.{key}={value}"))], stderr=log)


class Show:
    """The set's counters after each step, as they come."""

    def __init__(self, api, nodes):
        self.api, self.nodes, self.start = api, nodes, time.monotonic()

    def status(self):
        text = fetch(self.api.port, f"{SETS}/{NAME}")
        return json.loads(text) if text else {}

    def until(self, step, **wanted):
        """Waits until status says what is wanted of its counters."""
        deadline = time.monotonic() + STEP_SECONDS
        while True:
            found = self.status()
            status = found.get("status", {})
            if status.get("observedGeneration") == found.get("metadata", {}).get("generation") and all(status.get(key) == n for key, n in wanted.items()):
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"demo: {step}: never happened: {wanted}, but {status}")
            time.sleep(0.05)
        counters = " ".join(f"{word} {status[key]}" for word, key in (("desired", "desiredNumberScheduled"), ("ready", "numberReady"),
                                                                      ("updated", "updatedNumberScheduled"), ("available", "numberAvailable")))
        print(f"{time.monotonic() - self.start:3.0f} s  {step:62} {counters}   {self.nodes.lines():8,} lines written", flush=True)


def call(api, method, path, body, content_type="application/json"):
    request = urllib.request.Request(f"http://127.0.0.1:{api.port}{path}", json.dumps(body).encode(), {"Content-Type": content_type}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def add_node(api, name):
    call(api, "POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                                        "status": {"conditions": [{"type": "Ready", "status": "True"}]}})


def template(version):
    return {"metadata": {"labels": LABELS}, "spec": {"tolerations": [{"operator": "Exists"}],
                                                     "containers": [{"name": "collector", "image": f"drave:{version}"}]}}


def act(api, nodes, show, children):
    """What happens while the pods write."""
    for name in ("node-1", "node-2", "node-3"):
        add_node(api, name)
        nodes.begin_writing(name, 4 if name == "node-3" else 12, children)
    call(api, "POST", SETS, {"metadata": {"name": NAME}, "spec": {"selector": {"matchLabels": LABELS}, "template": template("1")}})
    show.until("a CollectorSet is created for three nodes", desiredNumberScheduled=3, numberAvailable=3, updatedNumberScheduled=3)
    add_node(api, "node-4")
    nodes.begin_writing("node-4", 8, children)
    show.until("node-4 joins", desiredNumberScheduled=4, numberAvailable=4)
    call(api, "PATCH", "/api/v1/nodes/node-2", {"spec": {"unschedulable": True}}, "application/merge-patch+json")
    show.until("node-2 is cordoned: its collector stays, there are logs to ship", desiredNumberScheduled=4, numberAvailable=4)
    call(api, "PATCH", f"{SETS}/{NAME}", {"spec": {"template": template("2")}}, "application/merge-patch+json")
    show.until("the template changes: one node after the other takes it", updatedNumberScheduled=4, numberAvailable=4)
    wait_for(nodes.writers["node-3"].is_done, "the end of node-3's writer")
    call(api, "DELETE", "/api/v1/nodes/node-3", {})
    show.until("node-3 leaves", desiredNumberScheduled=3, currentNumberScheduled=3, numberAvailable=3)


def wait_for(condition, what):
    deadline = time.monotonic() + STEP_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"demo: never happened: {what}")
        time.sleep(0.1)


def placed_collectors(options, directory, children):
    """Returns the exit status."""
    print(f"\ndrave-controller: collectors on the nodes of a cluster, {PODS_PER_NODE} pods on each", flush=True)
    home = os.path.join(directory, "cluster")
    os.mkdir(home)
    nodes = Nodes(options, home, start_receivers(options.build, children))
    api = KubeApi(runner=nodes, ready_seconds=0.05).start()
    call(api, "POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    controller = begin(children, Controller(options, home, api))
    show = Show(api, nodes)
    try:
        act(api, nodes, show, children)
        wait_for(lambda: all(writer.is_done() for writer in nodes.writers.values()), "the writers' end")
        expected = nodes.lines()
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while min(end.stats()["unique"] for end in nodes.ends) < expected and time.monotonic() < deadline:
            time.sleep(0.1)
        status = controller.end()
    finally:
        controller.end(seconds=2)
        api.stop()
        for collector in nodes.collectors:
            collector.end()
    time.sleep(0.5)     # whatever is still under way to the Kafka consumer
    return verdict(nodes, expected, status, controller)


def verdict(nodes, expected, status, controller):
    print(f"\n  {'':8} {'written':>12} {'delivered':>12} {'lost':>8} {'duplicated':>12}")
    rows = [(name, end.stats()) for name, end in zip(OUTPUTS, nodes.ends)]
    for name, stats in rows:
        print(f"  {name:8} {expected:12,} {stats['unique']:12,} {max(0, expected - stats['unique']):8,} {stats['dup']:12,}")
    is_good = status == 0 and all(stats["unique"] >= expected > 0 for _, stats in rows)
    if is_good:
        print(f"\nEvery line of every node arrived at both ends, through {len(nodes.collectors)} collectors that the controller placed.")
    else:
        with open(controller.log) as log:
            print(f"\nLines are missing, or the controller ended with {status}. Its last words:\n{''.join(log.readlines()[-20:])}")
    return 0 if is_good else 1

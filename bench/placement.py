#!/usr/bin/env python3
"""Measures how fast controllers place a pod on each of many fake nodes, on a real API server.  Standard library only.

  placement.py run --controller FILE [--nodes N] [--runs N] [--case NAME ...] [--idle SECONDS] --work DIR --out FILE
  placement.py report FILE ...

The cluster is that of tests/real/kubernetes: etcd, API server, scheduler, controller-manager and kwok's nodes, all on this machine.  Cases take turns on
it, odd rounds in reverse order, each after the pods of the one before it are gone:

  drave              drave-controller with a CollectorSet
  daemonset          upstream's DaemonSet controller as it comes (20 requests a second)
  daemonset-raised   the same with --kube-api-qps=2000 --kube-api-burst=4000
  plain              this script posts the same pods over 32 connections: what the API server itself can do

A pod counts as placed when the API server tells a watch of it.  Calls are what the client under test counts of itself.
"""

import argparse
import contextlib
import http.client
import json
import os
import queue
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CONTROL_PLANE = os.path.join(ROOT, "tests/real/kubernetes/control-plane.sh")
CRD = os.path.join(ROOT, "deploy/crd")
NAMESPACE = "bench"
NAME = "placed"
CONNECTIONS = 32
CASES = ("drave", "daemonset", "daemonset-raised", "plain")
RAISED = "--kube-api-qps=2000 --kube-api-burst=4000"
POLL_SECONDS = 0.2
WARM_UP_NODES = 500
LABELS = {"app": "placed"}
# What controllers add to every pod of theirs, so that plain creation posts no less.
ADDED = [{"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": effect} for taint, effect in (
    ("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("disk-pressure", "NoSchedule"), ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"), ("unschedulable", "NoSchedule"))]
TEMPLATE = {
    "metadata": {"labels": LABELS},
    "spec": {
        "tolerations": [{"operator": "Exists"}],
        "containers": [{
            "name": "collector", "image": "registry.invalid/collector:1", "args": ["--config", "/etc/collector.ini"],
            "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            "volumeMounts": [{"name": "logs", "mountPath": "/var/log/pods", "readOnly": True}]}],
        "volumes": [{"name": "logs", "hostPath": {"path": "/var/log/pods"}}],
    },
}


# ---- the cluster -------------------------------------------------------------------------------------------------------------------

class Cluster:
    def __init__(self, work):
        self.dir = os.path.join(work, "cluster")
        shutil.rmtree(self.dir, ignore_errors=True)     # of an earlier run
        self.port = free_ports(6)
        self.script("start", self.dir, str(self.port))
        pki = os.path.join(self.dir, "pki")
        self.context = ssl.create_default_context(cafile=os.path.join(pki, "ca.crt"))
        self.context.load_cert_chain(os.path.join(pki, "admin.crt"), os.path.join(pki, "admin.key"))
        self.kubeconfig = os.path.join(self.dir, "admin.kubeconfig")

    def script(self, *words, **environment):
        subprocess.run([CONTROL_PLANE, *words], check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})

    def stop(self):
        self.script("stop", self.dir)

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=120)

    def call(self, method, path, body=None, connection=None):
        """The answer's object; an HTTP error ends the benchmark, for a figure with errors in it says nothing."""
        connection = connection or self.connect()
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 404 and method in ("GET", "DELETE"):
            return None
        if answer.status >= 300:
            raise SystemExit(f"placement: {method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def in_parallel(self, method, path, bodies):
        """All bodies over CONNECTIONS connections; each sends one after the other."""
        todo = queue.SimpleQueue()
        for body in bodies:
            todo.put(body)

        def work():
            connection = self.connect()
            with contextlib.suppress(queue.Empty):
                while True:
                    self.call(method, path, todo.get_nowait(), connection)
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def restart_controller_manager(self, flags):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.script("kill", self.dir, "controller-manager")
        self.script("start", self.dir, str(self.port), CONTROLLER_MANAGER_FLAGS=flags)

    def pid(self, name):
        with open(os.path.join(self.dir, f"{name}.pid")) as file:
            return int(file.read())

    def count(self, path):
        return len(self.call("GET", path + "?resourceVersion=0")["items"])


def free_ports(count):
    """The first of `count` ports in a row that nobody has."""
    for first in range(20000, 32000, 16):
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise SystemExit("placement: no free ports")


def fake_node(index):
    name = f"node-{index:05d}"
    room = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
                         "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                                    "topology.kubernetes.io/zone": f"zone-{index % 3}", "node.kubernetes.io/instance-type": "m.large"}},
            "status": {"allocatable": room, "capacity": room}}


def prepare(cluster, nodes):
    cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    cluster.in_parallel("POST", "/api/v1/nodes", [fake_node(index) for index in range(nodes)])
    subprocess.run(["kubectl", "--kubeconfig", cluster.kubeconfig, "apply", "-k", CRD], check=True, stdout=subprocess.DEVNULL)
    wait_until(lambda: all(is_ready(node) for node in cluster.call("GET", "/api/v1/nodes?resourceVersion=0")["items"]), 600, "nodes ready")
    wait_until(lambda: cluster.call("GET", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), 60, "the service account")


def is_ready(node):
    """Taints do not count: their removal takes minutes on a thousand new nodes, and the template tolerates them."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


def wait_until(condition, seconds, what):
    print(f"waiting for {what}", file=sys.stderr)
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"placement: waited {seconds} s for {what}")
        time.sleep(POLL_SECONDS)


# ---- watching pods -----------------------------------------------------------------------------------------------------------------

class Watch:
    """Counts the namespace's pods as the API server tells of them: first and last creation, and who runs.  A watch that ends goes on where it was."""

    def __init__(self, cluster):
        self.cluster, self.is_closed = cluster, False
        self.path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        self.version = cluster.call("GET", self.path)["metadata"]["resourceVersion"]
        self.created, self.running = {}, set()
        self.last_created = self.last_running = None
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while not self.is_closed:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = self.cluster.connect()
                connection.request("GET", f"{self.path}?watch=1&allowWatchBookmarks=true&resourceVersion={self.version}")
                for line in connection.getresponse():
                    if self.is_closed:
                        return
                    self.take(json.loads(line))

    def take(self, event):
        if event["type"] == "ERROR":
            raise SystemExit(f"placement: the watch broke: {event['object']}")
        pod, now = event["object"], time.monotonic()
        name, self.version = pod["metadata"].get("name"), pod["metadata"]["resourceVersion"]
        if event["type"] == "ADDED":
            self.created[name] = self.last_created = now
        if pod.get("status", {}).get("phase") == "Running" and name not in self.running:
            self.running.add(name)
            self.last_running = now

    def close(self):
        self.is_closed = True


# ---- the cases ---------------------------------------------------------------------------------------------------------------------

def cpu_seconds(pid):
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def memory_mib(pid, field):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


def metric_sum(text, name):
    """The sum over all members of a counter, 0 if there is none."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((name + "{", name + " ")))


class Drave:
    calls_metric = "drave_controller_api_requests_total"

    def __init__(self, cluster, options):
        self.cluster = cluster
        self.log = open(os.path.join(options.work, "controller.log"), "a+")
        self.log.seek(0, os.SEEK_END)
        start = self.log.tell()
        self.process = subprocess.Popen(
            [options.controller, "-o", f"controller.kubeconfig={cluster.kubeconfig}", "-o", f"controller.namespace={NAMESPACE}",
             "-o", f"controller.lease_namespace={NAMESPACE}", "-o", "controller.listen=127.0.0.1:0", "--log-format", "json"],
            stderr=self.log)
        self.pid = self.process.pid
        wait_until(lambda: self.listening(start), 60, "the controller to listen")
        wait_until(lambda: self.status()["state"] == "leading", 60, "the controller to lead")

    def listening(self, start):
        with open(self.log.name) as file:
            file.seek(start)
            for line in file:
                with contextlib.suppress(ValueError):
                    fields = json.loads(line)
                    if "port" in fields:
                        self.port = int(fields["port"])
                        return True
        if self.process.poll() is not None:
            raise SystemExit(f"placement: the controller ended; see {self.log.name}")
        return False

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.read().decode()

    def status(self):
        return json.loads(self.get("/status"))

    def calls(self):
        return metric_sum(self.get("/metrics"), self.calls_metric)

    def create(self):
        self.cluster.call("POST", f"/apis/drave.dev/v1alpha1/namespaces/{NAMESPACE}/collectorsets",
                          {"apiVersion": "drave.dev/v1alpha1", "kind": "CollectorSet", "metadata": {"name": NAME}, "spec": spec()})

    def delete(self):
        self.cluster.call("DELETE", f"/apis/drave.dev/v1alpha1/namespaces/{NAMESPACE}/collectorsets/{NAME}")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


class DaemonSet:
    calls_metric = "rest_client_requests_total"

    def __init__(self, cluster, flags):
        self.cluster = cluster
        cluster.restart_controller_manager(flags)
        self.pid = cluster.pid("controller-manager")
        wait_until(self.listening, 60, "the controller-manager to listen")

    def listening(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.calls() > 0
        return False

    def calls(self):
        connection = http.client.HTTPSConnection("127.0.0.1", self.cluster.port + 3, context=insecure(self.cluster), timeout=30)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"placement: the controller-manager tells no metrics: {answer.status} {answer.reason}")
        return metric_sum(answer.read().decode(), self.calls_metric)

    def create(self):
        self.cluster.call("POST", f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets",
                          {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": NAME}, "spec": spec()})

    def delete(self):
        self.cluster.call("DELETE", f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{NAME}?propagationPolicy=Background")

    def close(self):
        pass


class Plain:
    """The same pods as a controller makes them, serialised beforehand."""

    def __init__(self, cluster, nodes):
        self.cluster, self.pid, self.sent = cluster, os.getpid(), 0
        self.bodies = [plain_pod(f"node-{index:05d}") for index in range(nodes)]

    def calls(self):
        return self.sent

    def create(self):
        self.thread = threading.Thread(
            target=self.cluster.in_parallel, args=("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", self.bodies))
        self.thread.start()
        self.sent += len(self.bodies)

    def delete(self):
        self.thread.join()

    def close(self):
        pass


def insecure(cluster):
    """The controller-manager's own certificate is self-signed, and its address is loopback."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    pki = os.path.join(cluster.dir, "pki")
    context.load_cert_chain(os.path.join(pki, "admin.crt"), os.path.join(pki, "admin.key"))
    return context


def spec():
    return {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}


def plain_pod(node):
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod",
                       "metadata": {"name": f"{NAME}-{node}", "labels": {**LABELS, "controller-revision-hash": "5d8f7b6c9"}},
                       "spec": {**TEMPLATE["spec"], "tolerations": TEMPLATE["spec"]["tolerations"] + ADDED, "affinity": affinity}}).encode()


def open_case(case, cluster, options):
    if case == "drave":
        return Drave(cluster, options)
    if case == "plain":
        return Plain(cluster, options.nodes)
    return DaemonSet(cluster, RAISED if case.endswith("raised") else "")


def clear(cluster):
    """Are no pods left?  Else deletes them: the garbage collector's 20 a second would take minutes."""
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    if cluster.count(pods) == 0:
        return True
    with contextlib.suppress(SystemExit, http.client.RemoteDisconnected):   # thousands may take longer than a request is allowed to
        cluster.call("DELETE", pods)
    time.sleep(1)
    return False


def measure(case, client, cluster, options):
    watch = Watch(cluster)
    calls, cpu, start = client.calls(), cpu_seconds(client.pid), time.monotonic()
    client.create()
    wait_until(lambda: len(watch.created) >= options.nodes, 3600, f"{options.nodes} pods")
    row = {"case": case, "nodes": options.nodes, "placed_s": watch.last_created - start}
    wait_until(lambda: len(watch.running) >= options.nodes, 3600, f"{options.nodes} pods to run")
    row["running_s"] = watch.last_running - start
    row["rate"] = options.nodes / row["placed_s"]
    row["cpu_s"] = cpu_seconds(client.pid) - cpu
    row["calls"] = client.calls() - calls
    row["rss_mib"], row["rss_peak_mib"] = memory_mib(client.pid, "VmRSS"), memory_mib(client.pid, "VmHWM")
    if case == "drave" and options.idle:
        time.sleep(5)   # the last status has been written
        calls, cpu = client.calls(), cpu_seconds(client.pid)
        time.sleep(options.idle)
        row["idle_calls_per_minute"] = (client.calls() - calls) * 60 / options.idle
        row["idle_cpu_percent"] = (cpu_seconds(client.pid) - cpu) * 100 / options.idle
    extra = len(watch.created) - options.nodes
    row["too_many"] = extra
    watch.close()
    return row


def take_turn(case, cluster, options):
    """One row, as soon as there is one; afterwards the cluster is as before."""
    client = open_case(case, cluster, options)
    yield measure(case, client, cluster, options)
    client.delete()
    wait_until(lambda: clear(cluster), 1800, "the pods to go")
    client.close()


def run(options):
    os.makedirs(options.work, exist_ok=True)
    cluster = Cluster(options.work)
    try:
        prepare(cluster, options.nodes)
        for _ in take_turn("plain", cluster, argparse.Namespace(nodes=min(options.nodes, WARM_UP_NODES))):
            pass    # the first one pays for a cold server
        with open(options.out, "a") as out:
            for number in range(options.runs):
                for case in options.case[::-1] if number % 2 else options.case:
                    for row in take_turn(case, cluster, options):
                        line = json.dumps({**row, "run": number})
                        print(line, flush=True)
                        out.write(line + "\n")
                        out.flush()
    finally:
        cluster.stop()


# ---- the report --------------------------------------------------------------------------------------------------------------------

COLUMNS = (("placed s", "placed_s", "%.2f"), ("pods/s", "rate", "%.0f"), ("× plain", "times_plain", "%.2f"), ("running s", "running_s", "%.2f"),
           ("calls", "calls", "%.0f"), ("CPU s", "cpu_s", "%.2f"), ("RSS MiB", "rss_mib", "%.1f"), ("peak RSS MiB", "rss_peak_mib", "%.1f"),
           ("idle calls/min", "idle_calls_per_minute", "%.1f"), ("idle CPU %", "idle_cpu_percent", "%.3f"), ("too many", "too_many", "%.0f"))


def cell(values, form):
    if not values:
        return "-"
    low, high = form % min(values), form % max(values)
    return form % statistics.median(values) + (f" ({low}-{high})" if low != high else "")


def report(paths):
    rows = [json.loads(line) for path in paths for line in open(path)]
    plain = {(row["nodes"], row["run"]): row["rate"] for row in rows if row["case"] == "plain"}
    for row in rows:
        if (row["nodes"], row["run"]) in plain:
            row["times_plain"] = row["rate"] / plain[row["nodes"], row["run"]]
    print("| nodes | case | runs | " + " | ".join(title for title, _, _ in COLUMNS) + " |")
    print("|---" * (3 + len(COLUMNS)) + "|")
    for nodes in sorted({row["nodes"] for row in rows}):
        for case in CASES:
            mine = [row for row in rows if row["nodes"] == nodes and row["case"] == case]
            if mine:
                cells = [cell([row[key] for row in mine if key in row], form) for _, key, form in COLUMNS]
                print(f"| {nodes} | {case} | {len(mine)} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run")
    one.add_argument("--controller", required=True, type=os.path.abspath)
    one.add_argument("--nodes", type=int, default=1000)
    one.add_argument("--runs", type=int, default=3)
    one.add_argument("--case", action="append", choices=CASES)
    one.add_argument("--idle", type=int, default=60)
    one.add_argument("--work", required=True, type=os.path.abspath)
    one.add_argument("--out", required=True)
    verbs.add_parser("report").add_argument("files", nargs="+")
    options = parser.parse_args()
    if options.verb == "report":
        return report(options.files)
    options.case = options.case or list(CASES)
    return run(options)


if __name__ == "__main__":
    sys.exit(main())

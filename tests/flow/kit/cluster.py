"""A Kubernetes cluster for tests: the fake one (tests/fake/kube_api.py) or the real one (tests/real/kubernetes) behind one face.

    @cluster.on_both
    class SomeTest(cluster.ClusterCase):
        def test_something(self):
            self.cluster.add_nodes("a", "b")

makes SomeTestOnFake and SomeTestOnReal.  The clusters are started once for a script; each test has a namespace of its own and finds no nodes.
DRAVE_CLUSTER=fake or real runs only one.  The real one needs Go; without it its tests are skipped, but not under CI=true.
"""

import atexit
import functools
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

from kit import case
from kit.broker import free_ports
from kit.certificates import Authority
from kit.controller import Controller
from kit.wait import until

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
FAKE = os.path.join(ROOT, "tests/fake/kube_api.py")
REAL = os.path.join(ROOT, "tests/real/kubernetes/control-plane.sh")
CACHE = os.path.join(os.environ.get("DRAVE_REAL_CACHE", os.path.expanduser("~/.cache/drave-real")), "kubernetes")
KUBECTL_MINOR = 28      # older ones do not know what we use
API = "drave.dev/v1alpha1"
SYSTEM = "drave-system"
PLACES = {
    "namespaces": "/api/v1", "nodes": "/api/v1", "pods": "/api/v1", "events": "/api/v1", "serviceaccounts": "/api/v1", "configmaps": "/api/v1",
    "resourcequotas": "/api/v1",
    "controllerrevisions": "/apis/apps/v1", "daemonsets": "/apis/apps/v1", "leases": "/apis/coordination.k8s.io/v1",
    "collectorsets": f"/apis/{API}", "customresourcedefinitions": "/apis/apiextensions.k8s.io/v1",
    **{plural: "/apis/rbac.authorization.k8s.io/v1" for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")},
    "flowschemas": "/apis/flowcontrol.apiserver.k8s.io/v1", "priorityclasses": "/apis/scheduling.k8s.io/v1", "deployments": "/apis/apps/v1", "secrets": "/api/v1",
}
PATCHES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json", "strategic": "application/strategic-merge-patch+json"}


class Refused(AssertionError):
    """The API server answered with an error: .code, .reason, .message, .status (the document)."""

    def __init__(self, method, path, code, status):
        self.code, self.status = code, status
        self.reason, self.message = status.get("reason", ""), status.get("message", "")
        super().__init__(f"{method} {path}: {code} {self.reason}: {self.message}")


def path_of(resource, namespace=None, name=None, sub=None):
    """pods/status and the like may be given as the resource."""
    resource, _, sub = resource.partition("/") if not sub else (resource, "", sub)
    parts = [PLACES[resource]] + (["namespaces", namespace] if namespace else []) + [resource] + ([name] if name else []) + ([sub] if sub else [])
    return "/".join(parts)


class Cluster:
    """What tests do to either."""
    is_fake = False

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="drave-cluster-")
        self.connections = threading.local()
        self.tls = None

    # ---- the API, as the administrator ---------------------------------------------------------------

    def call(self, method, path, body=None, content_type="application/json", headers=()):
        """(code, document): of whatever is answered."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        for again in (False, True):
            connection = self._connection()
            try:
                connection.request(method, path, data, {"Content-Type": content_type, "User-Agent": "drave-tests", **self.credentials, **dict(headers)})
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                self.connections.held = None
                if again or method == "POST":
                    raise
        try:
            return answer.status, json.loads(text) if text else {}
        except ValueError:
            return answer.status, text.decode()

    def _connection(self):
        held = getattr(self.connections, "held", None)
        if held is None or held.sock is None:
            held = self.connections.held = self.connect()
        return held

    def disconnect(self):
        if getattr(self.connections, "held", None):
            self.connections.held.close()

    def connect(self):
        host, port = self.url.split("//")[1].split(":")
        return http.client.HTTPSConnection(host, int(port), timeout=60, context=self.tls) if self.tls else \
            http.client.HTTPConnection(host, int(port), timeout=60)

    def must(self, method, path, body=None, **more):
        code, document = self.call(method, path, body, **more)
        if code >= 300:
            raise Refused(method, path, code, document)
        return document

    def get(self, resource, name, namespace=None):
        """The object, or None."""
        code, document = self.call("GET", path_of(resource, namespace, name))
        if code == 404:
            return None
        if code >= 300:
            raise Refused("GET", path_of(resource, namespace, name), code, document)
        return document

    def list(self, resource, namespace=None, labels=None, fields=None):
        query = urllib.parse.urlencode({key: text for key, text in (("labelSelector", labels), ("fieldSelector", fields)) if text})
        return self.must("GET", path_of(resource, namespace) + (f"?{query}" if query else ""))["items"]

    def create(self, resource, body, namespace=None):
        return self.must("POST", path_of(resource, namespace), body)

    def replace(self, resource, body, sub=None):
        meta = body["metadata"]
        return self.must("PUT", path_of(resource, meta.get("namespace"), meta["name"], sub), body)

    def patch(self, resource, name, body, namespace=None, kind="merge"):
        return self.must("PATCH", path_of(resource.split("/")[0], namespace, name, resource.partition("/")[2]), body, content_type=PATCHES[kind])

    def delete(self, resource, name, namespace=None, **options):
        """options: propagationPolicy, gracePeriodSeconds, preconditions.  Already gone is as good."""
        code, document = self.call("DELETE", path_of(resource, namespace, name), options)
        if code >= 300 and code != 404:
            raise Refused("DELETE", path_of(resource, namespace, name), code, document)

    def ensure(self, resource, body, namespace=None):
        """Creates it, or writes it over what is there."""
        code, document = self.call("POST", path_of(resource, namespace), body)
        if code == 409:
            held = self.get(resource, body["metadata"]["name"], namespace)
            body = {**body, "metadata": {**body["metadata"], "resourceVersion": held["metadata"]["resourceVersion"]}}
            return self.must("PUT", path_of(resource, namespace, body["metadata"]["name"]), body)
        if code >= 300:
            raise Refused("POST", path_of(resource, namespace), code, document)
        return document

    def pods(self, namespace, labels=None, alive=False):
        """alive: neither ending nor ended."""
        found = self.list("pods", namespace, labels)
        return [pod for pod in found if not alive or is_alive(pod)]

    def watch(self, resource, namespace=None, **query):
        """A Watch of a connection of its own, closed by the caller."""
        query = {"watch": "1", "timeoutSeconds": "60", **query}
        return Watch(self, f"{path_of(resource, namespace)}?{urllib.parse.urlencode(query)}")

    # ---- kubectl -------------------------------------------------------------------------------------

    def kubectl(self, *arguments, input=None, kubeconfig=None, check=True, environment=None):
        """Its standard output; with check=False the finished process."""
        done = subprocess.run([kubectl_path(), *map(str, arguments)], input=input, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "KUBECONFIG": kubeconfig or self.admin, "HOME": self.dir, **(environment or {})})
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
        return done.stdout if check else done

    def apply(self, *documents, **more):
        """By kubectl apply, as people do."""
        return self.kubectl("apply", "-f", "-", input="\n---\n".join(map(json.dumps, documents)), **more)

    # ---- nodes ---------------------------------------------------------------------------------------

    def add_nodes(self, *names, labels=None, taints=None, allocatable=None):
        """Makes them and waits until they are Ready."""
        for name in names:
            self.create("nodes", self.node(name, labels, taints, allocatable))
        until(lambda: all(self.node_is_ready(self.get("nodes", name)) for name in names), f"nodes ready: {names}")

    add_node = add_nodes

    @staticmethod
    def node(name, labels=None, taints=None, allocatable=None):
        room = allocatable or {"cpu": "32", "memory": "256Gi", "pods": "110"}
        return {"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
                             "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", **(labels or {})}},
                "spec": {"taints": taints or []},
                "status": {"allocatable": room, "capacity": room, "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}}

    @staticmethod
    def node_is_ready(node):
        """Says so, and the taint of new nodes is gone."""
        conditions = {c["type"]: c["status"] for c in (node or {}).get("status", {}).get("conditions", ())}
        return conditions.get("Ready") == "True" and not any(t["key"] == "node.kubernetes.io/not-ready" for t in node["spec"].get("taints") or ())

    def remove_node(self, name):
        self.delete("nodes", name)

    def label(self, node, **labels):
        """None takes a label away; for keys with dots give **{...}."""
        self.patch("nodes", node, {"metadata": {"labels": labels}})

    def taint(self, node, key, effect="NoSchedule", value=""):
        self._change_taints(node, lambda taints: [*taints, {"key": key, "effect": effect, **({"value": value} if value else {})}])

    def untaint(self, node, key):
        self._change_taints(node, lambda taints: [taint for taint in taints if taint["key"] != key])

    def _change_taints(self, node, change):
        def attempt():
            held = self.get("nodes", node)
            wanted = {"metadata": {"resourceVersion": held["metadata"]["resourceVersion"]}, "spec": {"taints": change(held["spec"].get("taints") or [])}}
            code, _ = self.call("PATCH", path_of("nodes", None, node), wanted, PATCHES["merge"])
            return code == 200
        until(attempt, f"taints of {node} written")

    def cordon(self, node, is_on=True):
        self.patch("nodes", node, {"spec": {"unschedulable": is_on}})

    def condition(self, node, type_, status):
        """What the kubelet would say: Ready False, Ready Unknown, DiskPressure True ..."""
        body = {"status": {"conditions": [{"type": type_, "status": status, "reason": "Test", "message": "set by a test"}]}}
        self.patch("nodes/status", node, body, kind="strategic")

    # ---- namespaces and identities -------------------------------------------------------------------

    def namespace(self, name, labels=None):
        self.create("namespaces", {"metadata": {"name": name, "labels": labels or {}}})
        until(lambda: self.get("serviceaccounts", "default", name), f"the default account of {name}")
        return name

    def identity(self, namespace, account, name=None):
        """The path of a kubeconfig with a service account's token in a file of its own (see token_file)."""
        name = name or f"{namespace}-{account}"
        path = os.path.join(self.dir, f"{name}.kubeconfig")
        self.renew_token(namespace, account, name)
        self._write_kubeconfig(path, {"tokenFile": self.token_file(name)}, namespace)
        return path

    def token_file(self, name):
        return os.path.join(self.dir, f"{name}.token")

    def account(self, namespace, account):
        """The API as that service account sees it: call(method, path, body, content_type) -> (code, document)."""
        return Account(self, self.renew_token(namespace, account))

    def renew_token(self, namespace, account, name=None):
        """A new token for an identity; the old one stays good until it expires."""
        name = name or f"{namespace}-{account}"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        token = self.must("POST", path_of("serviceaccounts", namespace, account, "token"), request)["status"]["token"]
        with open(f"{self.token_file(name)}.new", "w") as file:
            file.write(token)
        os.rename(f"{self.token_file(name)}.new", self.token_file(name))
        return token

    def _write_kubeconfig(self, path, user, namespace="default"):
        cluster = {"server": self.url, **({"certificate-authority": self.ca_file} if self.ca_file else {})}
        document = {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "test", "cluster": cluster}], "users": [{"name": "test", "user": user}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}], "current-context": "test"}
        with open(path, "w") as file:
            json.dump(document, file)

    # ---- what deploy/ ships --------------------------------------------------------------------------

    def install_definition(self):
        """CollectorSet, from deploy/crd."""
        self.kubectl("apply", "-k", os.path.join(ROOT, "deploy/crd"))
        until(lambda: self.call("GET", path_of("collectorsets"))[0] == 200, "the resource served")

    def install_rights(self):
        """Namespace and account of the controller, from deploy/base/controller; the path of its kubeconfig.  They stay when a test ends."""
        files = [os.path.join(ROOT, "deploy/base/controller", name) for name in ("namespace.yaml", "rights.yaml")]
        self.kubectl("apply", "-f", files[0], "-f", files[1])
        return self.identity(SYSTEM, "drave-controller")

    def rights_in(self, namespace):
        """The same rights for an account of the same name in another namespace; the path of its kubeconfig."""
        for document in self._rights:
            document = json.loads(json.dumps(document).replace(SYSTEM, namespace))
            if document["kind"].startswith("Cluster"):
                document["metadata"]["name"] += f"-{namespace}"
                document.get("roleRef", {})["name"] = document["metadata"]["name"]
            plural = document["kind"].lower() + "s"
            self.ensure(plural, document, None if document["kind"].startswith("Cluster") else namespace)
            if document["kind"].startswith("Cluster"):
                self.given.append((plural, document["metadata"]["name"]))
        return self.identity(namespace, "drave-controller")

    @functools.cached_property
    def given(self):
        """What clear() takes away again: cluster-wide rights."""
        return []

    @functools.cached_property
    def _rights(self):
        """deploy/base/controller/rights.yaml, as objects."""
        text = self.kubectl("create", "--dry-run=client", "-o", "json", "-f", os.path.join(ROOT, "deploy/base/controller/rights.yaml"))
        found, decoder = [], json.JSONDecoder()
        while text.strip():
            document, end = decoder.raw_decode(text)
            found.append(document)
            text = text[end:].lstrip()
        return found

    # ---- outages, on either --------------------------------------------------------------------------

    def down(self):
        """Nobody listens, all connections are cut; what is stored stays."""
        raise NotImplementedError

    def up(self):
        raise NotImplementedError

    def freeze(self):
        """Connections stay, and nothing is answered."""
        raise NotImplementedError

    def thaw(self):
        raise NotImplementedError

    # ---- between tests -------------------------------------------------------------------------------

    def clear(self):
        """No nodes, no sets, no namespaces but those of the beginning and the controller's own, empty."""
        self._end_all("collectorsets")
        for item in self.list("namespaces"):
            if not re.fullmatch(rf"default|kube-.*|{SYSTEM}", item["metadata"]["name"]):
                self.delete("namespaces", item["metadata"]["name"])
        self._end_all("pods", gracePeriodSeconds=0)
        for resource in ("controllerrevisions", "leases"):
            self._end_all(resource, SYSTEM)
        for node in self.list("nodes"):
            self.delete("nodes", node["metadata"]["name"])
        while self.given:
            self.delete(*self.given.pop())
        until(lambda: not self._all("pods") and not self.list("nodes"), "an empty cluster")

    def _end_all(self, resource, namespace=None, **options):
        for item in self._all(resource, namespace):
            meta = item["metadata"]
            if meta.get("finalizers"):
                self.call("PATCH", path_of(resource, meta["namespace"], meta["name"]), {"metadata": {"finalizers": None}}, PATCHES["merge"])
            self.delete(resource, meta["name"], meta["namespace"], **options)

    def _all(self, resource, namespace=None):
        code, document = self.call("GET", path_of(resource, namespace))
        return document["items"] if code == 200 else []


class Account:
    """See Cluster.account: a token, and no certificate."""

    def __init__(self, cluster, token):
        self.cluster, self.token = cluster, token
        self.headers = {}       # of the last answer
        self.tls = ssl.create_default_context(cafile=cluster.ca_file) if cluster.ca_file else None

    def call(self, method, path, body=None, content_type="application/json"):
        host, port = self.cluster.url.split("//")[1].split(":")
        connection = http.client.HTTPSConnection(host, int(port), timeout=60, context=self.tls) if self.tls else \
            http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": content_type, "Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            text, self.headers = answer.read(), answer.headers
            return answer.status, json.loads(text) if text.startswith(b"{") else text.decode()
        finally:
            connection.close()


class Watch:
    """The stream of a watch: .code, next() -> (type, object), None at its clean end; ConnectionError if it broke."""

    def __init__(self, cluster, path):
        self.connection = cluster.connect()
        self.connection.request("GET", path, headers={"User-Agent": "drave-watch", **cluster.credentials})
        self.answer = self.connection.getresponse()
        self.code = self.answer.status
        self.bytes = b""

    def next(self):
        while b"\n" not in self.bytes:
            chunk = self._chunk()
            if not chunk:
                return None
            self.bytes += chunk
        line, self.bytes = self.bytes.split(b"\n", 1)
        event = json.loads(line)
        return event["type"], event["object"]

    def _chunk(self):
        """http.client does not tell a broken stream from one that ended."""
        size = self.answer.fp.readline()
        data = self.answer.fp.read(int(size, 16) + 2) if size.strip() else b""
        if len(data) < 2 or len(data) < int(size, 16) + 2:
            raise ConnectionError("the stream broke")
        return data[:-2]

    def until(self, type_, name=None):
        """Skips to the first such event; what there was before is lost."""
        while True:
            event = self.next()
            if event is None:
                raise AssertionError(f"the watch ended before {type_} {name or ''}")
            if event[0] == type_ and name in (None, event[1]["metadata"].get("name")):
                return event[1]

    def close(self):
        self.answer.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def is_alive(pod):
    return not pod["metadata"].get("deletionTimestamp") and pod.get("status", {}).get("phase") not in ("Failed", "Succeeded")


def is_pod_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions") or ())


def node_of(pod):
    """Where it runs, or is to run by its affinity."""
    if pod["spec"].get("nodeName"):
        return pod["spec"]["nodeName"]
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return terms[0]["matchFields"][0]["values"][0]


# ---- the fake one -----------------------------------------------------------------------------------


class FakeCluster(Cluster):
    """kube_api.py in a process of its own.  settings: see kube/players.py.  Without TLS kubectl sends no token and is nobody."""
    is_fake = True
    name = "fake"
    TOKEN = "admin-token"

    def __init__(self, tls=True, **settings):
        super().__init__()
        words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
        self.credentials, self.ca_file, scheme = {"Authorization": f"Bearer {self.TOKEN}"}, None, "http"
        if tls:
            words += ["--tls", self._new_authority("pki")]
            scheme = "https"
        with open(os.path.join(self.dir, "kube_api.err"), "wb") as log:
            self.process = subprocess.Popen([sys.executable, "-B", FAKE, "--token", f"{self.TOKEN}=system:admin", *words], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log)
        told = json.loads(self.process.stdout.readline() or "{}")
        if not told:
            raise AssertionError(f"kube_api.py did not start:\n{self.errors()}")
        self.url, self.control_port = f"{scheme}://127.0.0.1:{told['port']}", told["control"]
        self.admin = os.path.join(self.dir, "admin.kubeconfig")
        self._write_kubeconfig(self.admin, {"token": self.TOKEN})

    def _new_authority(self, name):
        authority = Authority(os.path.join(self.dir, name))
        self.ca_file, self.tls = authority.ca, ssl.create_default_context(cafile=authority.ca)
        return authority.good()

    def replace_authority(self):
        """The server goes down, and comes back with a certificate of another authority, which ca_file and the administrator know, and nobody else."""
        self.down()
        self.disconnect()
        self.control("POST", "/certificate", {"pem": self._new_authority(f"pki-{len(os.listdir(self.dir))}")})
        self._write_kubeconfig(self.admin, {"token": self.TOKEN})
        self.up()

    def errors(self):
        with open(os.path.join(self.dir, "kube_api.err")) as log:
            return log.read()

    def stop(self):
        self.disconnect()
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def control(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=60)
        try:
            connection.request(method, path, json.dumps(body or {}))
            answer = connection.getresponse()
            document = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {document}")
        return document

    # ---- what only a fake can do ---------------------------------------------------------------------

    def rule(self, **words):
        """A fault rule (kube/faults.py); its number."""
        return self.control("POST", "/rules", words)["id"]

    def unrule(self, number=None):
        self.control("DELETE", f"/rules/{number}" if number else "/rules")

    def struck(self, number):
        return next(rule["struck"] for rule in self.control("GET", "/rules") if rule["id"] == number)

    def log(self, since=0, **wanted):
        """The requests after number `since` that match verb, path, agent, user."""
        return self.control("GET", "/log?" + urllib.parse.urlencode({"since": since, **wanted}))

    def last_request(self):
        rows = self.log()
        return rows[-1]["n"] if rows else 0

    def history(self, resource, since=0):
        """Every change there was: version, type, object."""
        return self.control("GET", f"/history?resource={resource}&since={since}")

    def order_watches(self, how, path="", agent=""):
        """close, end, expire, half, garbage; how many obeyed."""
        return self.control("POST", "/watches", {"how": how, "path": path, "agent": agent})["count"]

    def watches(self):
        return self.control("GET", "/watches")

    def compact(self, resource=None):
        self.control("POST", "/compact", {"resource": resource} if resource else {})

    def set(self, **settings):
        self.control("PATCH", "/settings", settings)

    def revoke(self, token):
        self.control("DELETE", f"/tokens/{token}")

    def down(self):
        self.control("POST", "/down")

    def up(self):
        self.control("POST", "/up")

    def freeze(self):
        self.control("POST", "/freeze")

    def thaw(self):
        self.control("POST", "/thaw")

    def clear(self):
        self.thaw()
        self.up()
        self.unrule()
        self.set(scheduler=True, lifecycle=True, collector=True, kubelet=True, ready_seconds=0.05, end_seconds=0.05, dead_nodes=[], pod_gc_seconds=0.5,
                 rbac=True, watch_list=True, cache_is_unpaged=True, bookmark_seconds=1.0)
        super().clear()


# ---- the real one -----------------------------------------------------------------------------------


class RealCluster(Cluster):
    """etcd, API server, controller-manager, scheduler and kwok, on ports and in a directory of its own."""
    name = "real"
    PORTS = 6

    def __init__(self, **environment):
        super().__init__()
        self.environment = {**os.environ, **environment}
        _script("install")
        self.port = free_ports(self.PORTS)
        self.home = os.path.join(self.dir, "cp")
        self.admin = _script("start", self.home, self.port, env=self.environment)
        self.url, self.ca_file, self.credentials = f"https://127.0.0.1:{self.port}", os.path.join(self.home, "pki/ca.crt"), {}
        self.tls = ssl.create_default_context(cafile=self.ca_file)
        self.tls.load_cert_chain(os.path.join(self.home, "pki/admin.crt"), os.path.join(self.home, "pki/admin.key"))

    def stop(self):
        self.disconnect()
        _script("stop", self.home)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start_again(self):
        """Whatever of it was killed; data stays."""
        _script("start", self.home, self.port, env=self.environment)

    def kill(self, component):
        """etcd, apiserver, controller-manager, scheduler, kwok."""
        _script("kill", self.home, component)

    def pause(self, component):
        _script("pause", self.home, component)

    def resume(self, component):
        _script("resume", self.home, component)

    def down(self):
        self.kill("apiserver")

    def up(self):
        self.start_again()

    def freeze(self):
        self.pause("apiserver")

    def thaw(self):
        self.resume("apiserver")

    def errors(self):
        return ""


def _script(*words, env=None):
    done = subprocess.run([REAL, *map(str, words)], env=env, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"control-plane.sh {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


# ---- which there are --------------------------------------------------------------------------------


@functools.cache
def kubectl_path():
    """One that is new enough: $DRAVE_KUBECTL, the PATH's, or the one built with Go."""
    for candidate in (os.environ.get("DRAVE_KUBECTL"), shutil.which("kubectl"), os.path.join(CACHE, "kubectl")):
        if candidate and os.access(candidate, os.X_OK):
            told = subprocess.run([candidate, "version", "--client", "-o", "json"], capture_output=True, text=True).stdout
            found = re.search(r'"gitVersion": "v1\.(\d+)', told)  # "minor" is empty in one built as a module
            if found and int(found[1]) >= KUBECTL_MINOR:
                return candidate
    if has_go():
        _script("install", "kubectl")
        return os.path.join(CACHE, "kubectl")
    if case.IS_CI:
        raise AssertionError("neither kubectl nor Go")
    raise unittest.SkipTest(f"no kubectl of 1.{KUBECTL_MINOR} or newer, and no Go to build it")


@functools.cache
def has_go():
    told = subprocess.run(["go", "version"], capture_output=True, text=True).stdout if shutil.which("go") else ""
    found = re.search(r"go1\.(\d+)", told)
    return bool(found) and int(found[1]) >= 26


@functools.cache
def start(name):
    """The script's cluster of that name, stopped when it ends."""
    if name == "real" and not has_go():
        if case.IS_CI:
            raise AssertionError("no Go 1.26 for the real control plane")
        raise unittest.SkipTest("no Go 1.26 for the real control plane")
    cluster = RealCluster() if name == "real" else FakeCluster()
    atexit.register(cluster.stop)
    return cluster


class ClusterCase(case.FlowCase):
    """One test on the cluster `backend`: self.cluster, self.ns, and controllers that end with it."""
    backend = "fake"

    def setUp(self):
        super().setUp()
        self.cluster = start(self.backend)
        self.addCleanup(self.cluster.clear)
        self.ns = self.cluster.namespace(re.sub(r"[^a-z0-9]+", "-", self._testMethodName.lower())[-50:].strip("-"))

    def _clean(self):
        super()._clean()
        if self._failed():
            print(self.cluster.errors(), file=sys.stderr)

    def controller(self, name="controller", start=True, kubeconfig=None, **rows):
        """Serves the test's namespace, as the administrator unless kubeconfig says who."""
        controller = Controller(self.dir, {"kubeconfig": kubeconfig or self.cluster.admin, "namespace": self.ns, "lease_namespace": self.ns, **rows}, name)
        self.collectors.append(controller)
        return controller.start() if start else controller


def on_both(case_type):
    """Makes of a ClusterCase one for each cluster, in its module."""
    module = sys.modules[case_type.__module__]
    made = []
    for name in ("fake", "real"):
        if os.environ.get("DRAVE_CLUSTER", name) == name:
            made.append(type(f"{case_type.__name__}On{name.title()}", (case_type,), {"backend": name, "__module__": module.__name__}))
            setattr(module, made[-1].__name__, made[-1])
    return made


def only(name):
    """A class of tests for one cluster alone; the decorated class says why."""
    def mark(case_type):
        case_type.backend = name
        return case_type if os.environ.get("DRAVE_CLUSTER", name) == name else None
    return mark

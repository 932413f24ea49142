#!/usr/bin/env python3
"""What deploy/ ships, on a real control plane with RBAC, admission policies and quotas on: two commands install it, the controller works with
nothing but its own account, what that account must not do is refused, and one command takes all of it away again.

The API server here demands a quota for pods of the system's priorities, as some clusters do.
"""

import copy
import json
import os
import tempfile

from kit import case, cluster
from kit.cluster import ROOT, SYSTEM, path_of
from kit.wait import until

CRD = os.path.join(ROOT, "deploy/crd")
DEPLOY = os.path.join(ROOT, "deploy")
OVERLAYS = sorted(os.listdir(os.path.join(ROOT, "deploy/overlays")))
SET, CONTROLLER = "drave-collector", "drave-controller"
NODES = ("n1", "n2", "n3")
IMAGE = "/spec/template/spec/containers/0/image"
CRITICAL = {"resource": "pods", "matchScopes": [
    {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical", "system-cluster-critical"]}]}
ADMISSION = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": [
    {"name": "ResourceQuota", "configuration": {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration",
                                                "limitedResources": [CRITICAL]}}]}


class DeployCase(cluster.ClusterCase):
    def install(self, what=DEPLOY):
        self.cluster.kubectl("apply", "-k", CRD)
        self.cluster.kubectl("apply", "-k", what)
        self.addCleanup(self.uninstall, what)

    def setUp(self):
        super().setUp()
        until(lambda: {item["metadata"]["name"] for item in self.cluster.list("namespaces") if not item["metadata"]["name"].startswith("kube-")} ==
              {"default", self.ns}, "what the last test had is gone")

    def uninstall(self, what=DEPLOY):
        for collector in self.collectors:
            collector.end()
        self.cluster.kubectl("delete", "-k", what, "--ignore-not-found", "--wait=false")

    def own_controller(self, **rows):
        """With the account that the manifests give it."""
        kubeconfig = self.cluster.identity(SYSTEM, CONTROLLER)
        return self.controller(kubeconfig=kubeconfig, **{"namespace": SYSTEM, "lease_namespace": SYSTEM, **rows})

    def pods(self, namespace=SYSTEM, name=SET):
        return self.cluster.pods(namespace, f"app.kubernetes.io/name={name}", alive=True)

    def told(self):
        return json.dumps([self.cluster.get("collectorsets", SET, SYSTEM), self.cluster.list("events", SYSTEM)])

    def placed(self, image):
        def are():
            pods = self.pods()
            return sorted(map(cluster.node_of, pods)) == sorted(NODES) and all(map(cluster.is_pod_ready, pods)) and \
                {pod["spec"]["containers"][0]["image"] for pod in pods} == {image}
        until(are, lambda: f"one ready collector of {image} on each node: {self.told()}")

    def image(self):
        return self.cluster.get("collectorsets", SET, SYSTEM)["spec"]["template"]["spec"]["containers"][0]["image"]

    def add_set(self, name, namespace):
        labels = {"app": name}
        return self.cluster.create("collectorsets", {
            "apiVersion": cluster.API, "kind": "CollectorSet", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "theirs"}]}}}}, namespace)


@cluster.only("real")
class InstallTest(DeployCase):
    """See only_on_one_cluster.txt."""

    def inventory(self):
        """All there is, but for what comes and goes by itself."""
        words = self.cluster.kubectl("api-resources", "--verbs=list", "-o", "name").split()
        kinds = ",".join(word for word in words if not word.startswith(("events", "leases", "componentstatuses")))
        items = self.cluster.kubectl("get", kinds, "-A", "--ignore-not-found", "--no-headers", "-o", "custom-columns=:.kind,:.metadata.namespace,:.metadata.name")
        return {tuple(line.split()) for line in items.splitlines()}

    def test_two_commands_install_and_one_takes_it_away(self):
        self.cluster.kubectl("delete", "-k", CRD, "--ignore-not-found")
        self.cluster.add_nodes(*NODES)
        before = self.inventory()
        self.cluster.kubectl("apply", "-k", CRD)
        self.cluster.kubectl("apply", "-k", DEPLOY)
        self.addCleanup(self.uninstall)
        self.add_set("theirs", self.ns)
        self.own_controller()
        self.placed(self.image())
        self.cluster.kubectl("wait", "-n", SYSTEM, "--for=condition=Available", f"cset/{SET}", f"deployment/{CONTROLLER}", "--timeout=60s")
        until(lambda: self.cluster.get("resourcequotas", "drave-critical-pods", SYSTEM)["status"]["used"] == {"pods": "5"},
              lambda: f"five pods counted: {self.cluster.get('resourcequotas', 'drave-critical-pods', SYSTEM)}")

        changed = self.cluster.patch("collectorsets", SET, [{"op": "replace", "path": IMAGE, "value": "drave:next"}], SYSTEM, "json")
        self.placed("drave:next")
        self.assertEqual(self.cluster.get("collectorsets", SET, SYSTEM)["spec"], changed["spec"])

        for collector in self.collectors:
            collector.stop()
        self.cluster.kubectl("delete", "-k", DEPLOY)
        self.assertEqual(self.inventory() - before, {
            ("CustomResourceDefinition", "<none>", "collectorsets.drave.dev"), ("APIService", "<none>", "v1alpha1.drave.dev"),
            ("CollectorSet", self.ns, "theirs")})
        self.assertEqual(before - self.inventory(), set())


def changed(pod, change):
    pod = copy.deepcopy(pod)
    change(pod["metadata"], pod["spec"], pod["spec"]["containers"][0])
    return pod


def security(**values):
    return lambda meta, spec, container: container["securityContext"].update(values)


def host_path(path, name="more", **mount):
    """Mounted as well."""
    def change(meta, spec, container):
        spec["volumes"].append({"name": name, "hostPath": {"path": path}})
        container["volumeMounts"].append({"name": name, "mountPath": "/more", **mount})
    return change


def volume(**source):
    return lambda meta, spec, container: spec["volumes"].append({"name": "more", **source})


def of_spec(**values):
    return lambda meta, spec, container: spec.update(values)


def of_container(**values):
    return lambda meta, spec, container: container.update(values)


def mount(name, **values):
    return lambda meta, spec, container: next(m for m in container["volumeMounts"] if m["name"] == name).update(values)


def environment(**variable):
    return lambda meta, spec, container: container["env"].append(variable)


SECRET_REF = {"secretKeyRef": {"name": "s", "key": "k"}}
# What the pods are that the controller's account must not make, and a word of the refusal.
REFUSED_PODS = {
    "another image": (of_container(image="evil:1"), "image"),
    "another command": (of_container(command=["/bin/sh"]), "image or command"),
    "other arguments": (of_container(args=["-o", "x.y=z"]), "image or command"),
    "a container more": (lambda meta, spec, container: spec["containers"].append({**container, "name": "more"}), "image or command"),
    "an init container": (lambda meta, spec, container: spec.update(initContainers=[{**container, "name": "init", "livenessProbe": None, "readinessProbe": None}]), "image or command"),
    "another variable": (environment(name="LD_PRELOAD", value="/var/lib/drave/x.so"), "environment"),
    "a secret in a variable": (environment(name="S", valueFrom=SECRET_REF), "environment"),
    "all of a secret in variables": (of_container(envFrom=[{"secretRef": {"name": "s"}}]), "environment"),
    "the controller's account": (of_spec(serviceAccountName=CONTROLLER), "another account"),
    "the default account": (of_spec(serviceAccountName="default"), "another account"),
    "the host's network": (of_spec(hostNetwork=True), "host's network"),
    "the host's processes": (of_spec(hostPID=True), "host's network"),
    "the host's IPC": (of_spec(hostIPC=True), "host's network"),
    "a port of the host": (of_container(ports=[{"containerPort": 9818, "hostPort": 9818}]), "host's network"),
    "privileged": (security(privileged=True, allowPrivilegeEscalation=True), "privileged"),
    "privilege escalation": (security(allowPrivilegeEscalation=True), "privileged"),
    "a capability": (security(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "privileged"),
    "capabilities that are kept": (security(capabilities={}), "privileged"),
    "a writable root": (security(readOnlyRootFilesystem=False), "privileged"),
    "all of /proc": (lambda meta, spec, container: (spec.update(hostUsers=False), container["securityContext"].update(procMount="Unmasked")), "privileged"),
    "no security context": (of_container(securityContext=None), "privileged"),
    "no seccomp": (lambda meta, spec, container: spec["securityContext"].pop("seccompProfile"), "seccomp"),
    "no seccomp in the container": (security(seccompProfile={"type": "Unconfined"}), "privileged"),
    "no AppArmor": (security(appArmorProfile={"type": "Unconfined"}), "seccomp"),
    "a sysctl": (lambda meta, spec, container: spec["securityContext"].update(sysctls=[{"name": "kernel.shm_rmid_forced", "value": "1"}]), "seccomp"),
    "SELinux off": (security(seLinuxOptions={"type": "spc_t"}), "SELinux"),
    "the host's root": (host_path("/", readOnly=True), "a volume is neither"),
    "the host's /etc": (host_path("/etc", readOnly=True), "a volume is neither"),
    "all of /var/log": (host_path("/var/log", readOnly=True), "a volume is neither"),
    "the logs under another spelling": (host_path("/var/log/pods/", readOnly=True), "a volume is neither"),
    "writable logs": (mount("logs", readOnly=False), "writable"),
    "writable logs, mounted again": (host_path("/var/log/pods"), "writable"),
    "writable logs of docker": (host_path("/var/lib/docker/containers"), "writable"),
    "mounts that reach the host": (mount("state", mountPropagation="Bidirectional"), ""),
    "mounts that come from the host": (mount("state", mountPropagation="HostToContainer"), "writable"),
    "a secret": (volume(secret={"secretName": "s"}), "a volume is a secret"),
    "a projected secret": (volume(projected={"sources": [{"secret": {"name": "s"}}]}), "a volume is neither"),
    "a network disk": (volume(nfs={"server": "x", "path": "/"}), "a volume is neither"),
    "a claim": (volume(persistentVolumeClaim={"claimName": "c"}), "a volume is neither"),
    "no owner": (lambda meta, spec, container: meta.pop("ownerReferences"), "CollectorSet"),
    "another owner": (lambda meta, spec, container: meta["ownerReferences"][0].update(uid="00000000-0000-0000-0000-000000000000"), "not of the CollectorSet"),
    "an owner of another kind": (lambda meta, spec, container: meta["ownerReferences"][0].update(kind="DaemonSet", apiVersion="apps/v1"), "no CollectorSet"),
    "an owner that does not control": (lambda meta, spec, container: meta["ownerReferences"][0].update(controller=False), "no CollectorSet"),
}


def pod_of(set_, name="p"):
    template = copy.deepcopy(set_["spec"]["template"])
    owner = {"apiVersion": set_["apiVersion"], "kind": set_["kind"], "name": set_["metadata"]["name"], "uid": set_["metadata"]["uid"],
             "controller": True, "blockOwnerDeletion": True}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": name, "ownerReferences": [owner]}, "spec": template["spec"]}


@cluster.only("real")
class RightsTest(DeployCase):
    """See only_on_one_cluster.txt."""

    def make(self, pod, namespace=SYSTEM):
        """A dry run as the controller: (code, message)."""
        code, document = self.account.call("POST", path_of("pods", namespace) + "?dryRun=All", pod)
        return code, document.get("message", "")

    def is_refused(self, pod, word, namespace=SYSTEM):
        code, message = self.make(pod, namespace)
        self.assertEqual(code, 403, message)
        self.assertIn(word, message)

    def asked(self, account, verb, resource, namespace=None, name=None, sub=None, group=""):
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            "user": f"system:serviceaccount:{SYSTEM}:{account}", "groups": ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated"],
            "resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace, "name": name, "subresource": sub, "group": group}}}
        return self.cluster.must("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"]

    def warnings(self, document):
        """What the API server warns of when this is made; kubectl shows it."""
        connection = self.cluster.connect()
        try:
            connection.request("POST", path_of("collectorsets", self.ns) + "?dryRun=All", json.dumps(document), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 201, answer.read())
            return " ".join(answer.headers.get_all("Warning", []))
        finally:
            connection.close()

    def test_what_is_refused_and_what_is_not(self):
        self.install()
        self.account = self.cluster.account(SYSTEM, CONTROLLER)
        pod = pod_of(self.cluster.get("collectorsets", SET, SYSTEM))
        for evil in (of_container(image="evil:1"), of_spec(hostNetwork=True)):      # of two policies
            until(lambda: self.make(changed(pod, evil))[0] == 403, lambda: f"the policy in force: {self.make(changed(pod, evil))}")
        until(lambda: self.make(pod)[0] == 201, lambda: f"what is wanted goes: {self.make(pod)}")
        for what, (change, word) in REFUSED_PODS.items():
            with self.subTest(pod=what):
                code, message = self.make(changed(pod, change))
                self.assertIn(code, (403, 422) if word == "" else (403,), message)
                self.assertIn(word, message)
        self.assertEqual(self.made_without_sets(), {201})
        for what in ("rights", "flow", "changes", "quota", "restricted", "overlays", "collector", "warnings", "absence"):
            with self.subTest(what):
                self.cluster.disconnect()   # it may have been idle for longer than the server keeps it
                getattr(self, f"look_at_{what}")(pod)

    def made_without_sets(self):
        """By others than the controller, where nothing of drave is: what a policy can spoil that is missing its parameters."""
        pod = {"metadata": {"name": "any"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        return {self.cluster.call("POST", path_of("pods", namespace) + "?dryRun=All", pod)[0] for namespace in (self.ns, "kube-system", SYSTEM)}

    def look_at_absence(self, pod):
        """Without the set: others are not hindered, and the pattern holds."""
        self.cluster.delete("collectorsets", SET, SYSTEM)
        until(lambda: self.make(changed(pod, of_container(image="evil:1")))[0] == 201, "the set gone for the policy")
        self.assertEqual(self.made_without_sets(), {201})
        self.is_refused(changed(pod, security(privileged=True, allowPrivilegeEscalation=True)), "privileged")

    def look_at_rights(self, pod):
        """By requests that are really sent: what RBAC does not give."""
        self.is_refused(pod, "cannot create resource", self.ns)
        for path in ("/api/v1/secrets", path_of("secrets", SYSTEM), path_of("secrets", SYSTEM, "s"), path_of("configmaps", SYSTEM), path_of("pods"),
                     path_of("pods", self.ns), path_of("leases", SYSTEM, "another"), path_of("nodes", None, "n1")):
            self.assertEqual(self.account.call("GET", path)[0], 403, path)
        for path in ("/api/v1/nodes/n1/proxy/pods", f"{path_of('pods', SYSTEM, 'p')}/exec?command=sh", f"{path_of('pods', SYSTEM, 'p')}/log"):
            self.assertEqual(self.account.call("GET", path)[0], 403, path)
        token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        for method, path, body in (
                ("POST", path_of("serviceaccounts", SYSTEM, SET, "token"), token), ("DELETE", path_of("nodes", None, "n1"), None),
                ("DELETE", path_of("collectorsets", SYSTEM, SET), None), ("PUT", path_of("collectorsets", SYSTEM, SET), {}),
                ("POST", path_of("daemonsets", SYSTEM), {}), ("POST", path_of("deployments", SYSTEM), {}), ("POST", path_of("rolebindings", SYSTEM), {}),
                ("POST", path_of("clusterrolebindings"), {}), ("POST", path_of("pods", SYSTEM, "p", "binding"), {}),
                ("PATCH", path_of("pods", SYSTEM, "p", "ephemeralcontainers"), {})):
            more = ("application/merge-patch+json",) if method == "PATCH" else ()
            code, answer = self.account.call(method, path, body, *more)
            self.assertEqual(code, 403, f"{method} {path}: {answer}")

    def look_at_flow(self, pod):
        """The server tells by which FlowSchema it put a request in its queue."""
        for path, name in ((path_of("nodes"), "drave-controller"), (path_of("leases", SYSTEM, "drave-controller"), "drave-controller-lease")):
            uid = self.cluster.get("flowschemas", name)["metadata"]["uid"]

            def is_in_flow():
                self.account.call("GET", path)
                return self.account.headers["X-Kubernetes-PF-FlowSchema-UID"] == uid
            until(is_in_flow, lambda: f"{path} goes by {name}: {self.account.headers}")

    def look_at_changes(self, pod):
        """Of a pod that is there: whose it is may be changed, and nothing else."""
        self.cluster.create("pods", changed(pod, of_container(image="drave:old")), SYSTEM)
        there = path_of("pods", SYSTEM, "p")
        merge, strategic = "application/merge-patch+json", "application/strategic-merge-patch+json"
        code, answer = self.account.call("PATCH", there, {"spec": {"containers": [{"name": "collector", "image": "evil:1"}]}}, strategic)
        self.assertEqual(code, 403, answer)
        self.assertIn("whose a pod is", answer["message"])
        self.assertEqual(self.account.call("PATCH", there, {"metadata": {"ownerReferences": None}}, merge)[0], 200)
        self.assertEqual(self.account.call("PATCH", there, {"metadata": {"ownerReferences": pod["metadata"]["ownerReferences"]}}, merge)[0], 200)
        self.assertEqual(self.account.call("PUT", there, {})[0], 403)
        self.assertEqual(self.account.call("DELETE", there)[0], 200)

    def look_at_quota(self, pod):
        critical = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c"},
                    "spec": {"priorityClassName": "system-node-critical", "containers": [{"name": "c", "image": "i"}]}}
        code, answer = self.cluster.call("POST", path_of("pods", self.ns) + "?dryRun=All", critical)
        self.assertGreaterEqual(code, 400, "the API server of this test demands a quota")
        self.assertIn("insufficient quota", answer["message"])
        self.cluster.patch("resourcequotas", "drave-critical-pods", {"spec": {"hard": {"pods": "0"}}}, SYSTEM)
        until(lambda: "exceeded quota" in self.make(pod)[1], "a full quota refused")
        self.cluster.patch("resourcequotas", "drave-critical-pods", {"spec": {"hard": {"pods": "10010"}}}, SYSTEM)
        until(lambda: self.make(pod)[0] == 201, "room again")

    def look_at_restricted(self, pod):
        """The controller could live in a namespace of the strictest level; its collectors could not."""
        strict = self.cluster.namespace("strict", {f"pod-security.kubernetes.io/{what}": "restricted" for what in ("enforce", "warn")})
        for account in (SET, CONTROLLER):
            self.cluster.create("serviceaccounts", {"metadata": {"name": account}}, strict)
        deployment = self.cluster.get("deployments", CONTROLLER, SYSTEM)
        template = deployment["spec"]["template"]
        for spec, code in ((template["spec"], 201), (pod["spec"], 403)):
            spec = {key: value for key, value in spec.items() if key != "priorityClassName"}    # for which there is no quota here
            got, answer = self.cluster.call("POST", path_of("pods", strict) + "?dryRun=All", {"metadata": {"name": "c"}, "spec": spec})
            self.assertEqual(got, code, answer)
        self.assertIn("PodSecurity", answer["message"])
        there = {**deployment, "metadata": {"name": CONTROLLER, "namespace": strict}}
        told = self.cluster.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(there), check=False)
        self.assertEqual((told.returncode, told.stderr), (0, ""))

    def look_at_overlays(self, pod):
        """All of them apply, and their pods are within the pattern."""
        for what in (DEPLOY, *(os.path.join(DEPLOY, "overlays", name) for name in OVERLAYS)):
            done = self.cluster.kubectl("apply", "--dry-run=server", "-k", what, "-o", "json", check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), what)
            sets = [item for item in json.loads(done.stdout)["items"] if item["kind"] == "CollectorSet"]
            self.assertEqual([item["metadata"]["name"] for item in sets], [SET])
            self.assertEqual(self.make(pod_of(sets[0])), (201, ""), what)

    def look_at_collector(self, pod):
        for verb, resource, more in (("get", "nodes", {"sub": "pods"}), ("list", "pods", {}), ("watch", "pods", {})):
            self.assertTrue(self.asked(SET, verb, resource, **more), (verb, resource))
        for verb, resource, more in (
                ("get", "nodes", {"sub": "proxy"}), ("list", "nodes", {}), ("list", "namespaces", {}), ("get", "secrets", {"namespace": SYSTEM}), ("list", "secrets", {}),
                ("list", "configmaps", {}), ("get", "pods", {"sub": "exec", "namespace": SYSTEM}), ("create", "pods", {"namespace": SYSTEM}),
                ("get", "leases", {"group": "coordination.k8s.io", "namespace": SYSTEM}), ("list", "collectorsets", {"group": "drave.dev"})):
            self.assertFalse(self.asked(SET, verb, resource, **more), (verb, resource))

    def look_at_warnings(self, pod):
        """V-9, V-10."""
        def set_(strategy, annotations=None, **spec):
            labels = {"app": "w"}
            return {"apiVersion": cluster.API, "kind": "CollectorSet", "metadata": {"name": "w"}, "spec": {
                "selector": {"matchLabels": labels}, "updateStrategy": {"rollingUpdate": strategy},
                "template": {"metadata": {"labels": labels, "annotations": annotations or {}}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}}}

        def writes(path="/state", **mount_):
            return {"volumes": [{"name": "v", "hostPath": {"path": path}}],
                    "containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v", **mount_}]}]}
        port = {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 1, "hostPort": 1}]}]}
        surge, calm = {"maxSurge": 1, "maxUnavailable": 0}, {"maxUnavailable": 1}
        locks = {"drave.dev/locks-state": "true"}
        for strategy, annotations, spec, word in (
                (surge, None, {"hostNetwork": True}, "host's port"), (surge, None, port, "host's port"), ({"maxSurge": "10%"}, None, port, "host's port"),
                (surge, None, writes(), "same hostPath"), (surge, {"drave.dev/locks-state": "no"}, writes(), "same hostPath"),
                (calm, None, {"hostNetwork": True}, ""), (calm, None, port, ""), (calm, None, writes(), ""), (surge, None, {}, ""),
                (surge, locks, writes(), ""), (surge, None, writes(readOnly=True), ""), ({"maxSurge": "0%", "maxUnavailable": 1}, None, port, "")):
            with self.subTest(strategy=strategy, spec=spec):
                told = self.warnings(set_(strategy, annotations, **spec))
                self.assertIn(word, told)
                self.assertEqual(word == "", told == "", told)


@cluster.only("real")
class EverywhereTest(DeployCase):
    """overlays/all-namespaces; see only_on_one_cluster.txt."""

    def test_sets_of_all_namespaces_are_served_and_nothing_else(self):
        self.install(os.path.join(DEPLOY, "overlays/all-namespaces"))
        self.cluster.add_nodes(*NODES)
        theirs = self.add_set("theirs", self.ns)
        self.own_controller(namespace="*")
        until(lambda: sorted(map(cluster.node_of, self.cluster.pods(self.ns, "app=theirs", alive=True))) == sorted(NODES), "their pods placed")
        self.placed(self.image())
        account = self.cluster.account(SYSTEM, CONTROLLER)
        pod = pod_of(theirs)

        def make(namespace, pod):
            code, answer = account.call("POST", path_of("pods", namespace) + "?dryRun=All", pod)
            return code, answer.get("message", "")
        self.assertEqual(make(self.ns, pod), (201, ""))
        ownerless = changed(pod, lambda meta, spec, container: meta.pop("ownerReferences"))
        daemon = changed(pod, lambda meta, spec, container: meta["ownerReferences"][0].update(kind="DaemonSet", apiVersion="apps/v1"))
        for namespace, wrong, word in ((self.ns, ownerless, "no CollectorSet as its owner"), (self.ns, daemon, "no CollectorSet as its owner"),
                                       ("kube-system", ownerless, "no CollectorSet as its owner"), (SYSTEM, pod, "denied request")):    # by two policies
            until(lambda: make(namespace, wrong)[0] == 403, lambda: f"refused in {namespace}, once the policies are in force: {make(namespace, wrong)}")
            self.assertIn(word, make(namespace, wrong)[1])
        self.assertEqual(account.call("GET", "/api/v1/secrets")[0], 403)
        self.assertEqual(account.call("GET", path_of("leases", self.ns))[0], 403)


def demand_quota():
    """For the API server that this script starts."""
    directory = tempfile.TemporaryDirectory(prefix="drave-deploy-")
    path = os.path.join(directory.name, "admission.json")
    with open(path, "w") as file:
        json.dump(ADMISSION, file)
    os.environ["APISERVER_FLAGS"] = f"--admission-control-config-file={path}"
    return directory


if __name__ == "__main__":
    with demand_quota():
        case.main(needs_collector=False)

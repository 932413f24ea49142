#!/usr/bin/env python3
"""The CollectorSet's definition on the real API server: what it takes, what it refuses (V-1 to V-8), what kubectl shows of it."""

import copy
import json
import unittest

from kit import case, cluster
from kit.cluster import Refused, path_of
from kit.wait import until

# A whole DaemonSet spec, as log agents, network plug-ins and node exporters have them.
DAEMON_SET_SPEC = {
    "selector": {"matchLabels": {"app": "agent"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["node", "edge"]}]},
    "minReadySeconds": 5, "revisionHistoryLimit": 3,
    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%", "maxSurge": 0}},
    "template": {
        "metadata": {"labels": {"app": "agent", "tier": "node"}, "annotations": {"checksum/config": "1"}, "creationTimestamp": None},
        "spec": {
            "serviceAccountName": "default", "hostNetwork": True, "hostPID": True, "dnsPolicy": "ClusterFirstWithHostNet", "restartPolicy": "Always",
            "priorityClassName": "system-node-critical", "terminationGracePeriodSeconds": 30, "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]}]}}},
            "initContainers": [{"name": "init", "image": "init:1", "command": ["true"]}],
            "containers": [
                {"name": "agent", "image": "agent:1", "args": ["--a=b"], "resources": {"limits": {"memory": "200Mi"}, "requests": {"cpu": "100m"}},
                 "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}], "ports": [{"containerPort": 9100, "hostPort": 9100}],
                 "securityContext": {"capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
                 "volumeMounts": [{"name": "logs", "mountPath": "/var/log", "readOnly": True}],
                 "livenessProbe": {"httpGet": {"path": "/", "port": 9100}, "periodSeconds": 5}},
                {"name": "sidecar", "image": "sidecar:2"}],
            "volumes": [{"name": "logs", "hostPath": {"path": "/var/log", "type": ""}}],
            "aFieldOfTheFuture": {"x": [1, 2.5, "3"]}}}}


def collector_set(name="s", **spec):
    """A small one; spec replaces what is given."""
    usual = {"selector": {"matchLabels": {"app": "x"}},
             "template": {"metadata": {"labels": {"app": "x", "tier": "1"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}
    return {"apiVersion": cluster.API, "kind": "CollectorSet", "metadata": {"name": name}, "spec": {**usual, **spec}}


def template(**spec):
    return {"metadata": {"labels": {"app": "x", "tier": "1"}}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


class DefinitionCase(cluster.ClusterCase):
    def setUp(self):
        super().setUp()
        self.cluster.install_definition()

    def takes(self, body):
        return self.cluster.must("POST", path_of("collectorsets", self.ns) + "?dryRun=All&fieldValidation=Strict", body)

    def refuses(self, body, words):
        with self.assertRaises(Refused) as caught:
            self.takes(body)
        self.assertEqual(caught.exception.code, 422, caught.exception)
        self.assertIn(words, caught.exception.message)


@cluster.only("real")
class DefinitionTest(DefinitionCase):
    """The fake does not judge by schema and rules."""

    def test_a_daemon_set_becomes_ours_by_its_kind(self):
        made = self.takes({**collector_set(), "spec": copy.deepcopy(DAEMON_SET_SPEC)})
        self.assertEqual(made["spec"]["template"], DAEMON_SET_SPEC["template"])
        daemon_set = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "s"}, "spec": copy.deepcopy(DAEMON_SET_SPEC)}
        del daemon_set["spec"]["template"]["spec"]["aFieldOfTheFuture"]
        defaulted = self.cluster.must("POST", path_of("daemonsets", self.ns) + "?dryRun=All", daemon_set)
        self.takes({**collector_set(), "spec": defaulted["spec"]})  # as kubectl get -o yaml has it

    def test_defaults(self):
        spec = self.takes(collector_set())["spec"]
        self.assertEqual((spec["updateStrategy"], spec["revisionHistoryLimit"]), ({"type": "RollingUpdate"}, 10))

    def test_V1_selector_selects_the_template(self):
        self.takes(collector_set(selector={"matchLabels": {"app": "x", "tier": "1"}}))
        body = collector_set()
        del body["spec"]["selector"]
        self.refuses(body, "spec.selector: Required value")
        for labels in ({"app": "y"}, {"app": "x", "more": "1"}):
            self.refuses(collector_set(selector={"matchLabels": labels}), "selector.matchLabels does not match")
        self.refuses(collector_set(template={"spec": template()["spec"]}), "does not match")

    def test_V1_expressions_too(self):
        def expressions(*rows):
            return collector_set(selector={"matchExpressions": [dict(zip(("key", "operator", "values"), row)) for row in rows]})
        for row in (("app", "In", ["x", "y"]), ("app", "NotIn", ["y"]), ("app", "Exists"), ("more", "DoesNotExist"), ("more", "NotIn", ["x"])):
            self.takes(expressions(row))
        for row in (("app", "In", ["y"]), ("app", "NotIn", ["x", "y"]), ("app", "DoesNotExist"), ("more", "Exists"), ("more", "In", ["x"])):
            self.refuses(expressions(("app", "Exists"), row), "selector.matchExpressions does not match")
        self.refuses(expressions(("app", "In", [])), "In and NotIn need values")
        self.refuses(expressions(("app", "Exists", ["x"])), "Exists and DoesNotExist have none")
        self.refuses(expressions(("app", "Near", ["x"])), "Unsupported value")

    def test_V2_an_empty_selector(self):
        for selector in ({}, {"matchLabels": {}}, {"matchExpressions": []}):
            self.refuses(collector_set(selector=selector), "an empty selector would select all pods")

    def test_V3_selector_is_immutable(self):
        made = self.cluster.create("collectorsets", collector_set(), self.ns)
        made["spec"]["selector"] = {"matchLabels": {"tier": "1"}}
        with self.assertRaises(Refused) as caught:
            self.cluster.replace("collectorsets", made)
        self.assertIn("selector is immutable", caught.exception.message)
        made["spec"].update(collector_set()["spec"], minReadySeconds=7)
        self.assertEqual(self.cluster.replace("collectorsets", made)["metadata"]["generation"], 2)

    def test_V4_the_template(self):
        for spec in ({"restartPolicy": "Always"}, {"restartPolicy": ""}, {"ephemeralContainers": []}):
            self.takes(collector_set(template=template(**spec)))
        for policy in ("Never", "OnFailure"):
            self.refuses(collector_set(template=template(restartPolicy=policy)), "restartPolicy")
        self.refuses(collector_set(template=template(activeDeadlineSeconds=5)), "activeDeadlineSeconds is forbidden")
        self.refuses(collector_set(template=template(ephemeralContainers=[{"name": "e", "image": "i"}])), "ephemeral containers are forbidden")
        self.refuses(collector_set(template=template(containers=[])), "spec.template.spec.containers")

    def test_V5_numbers(self):
        self.takes(collector_set(minReadySeconds=0, revisionHistoryLimit=0))
        for name in ("minReadySeconds", "revisionHistoryLimit"):
            for wrong in (-1, 1 << 31):
                self.refuses(collector_set(**{name: wrong}), name)

    def rolling(self, unavailable=None, surge=None):
        shares = {name: value for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)) if value is not None}
        return collector_set(updateStrategy={"type": "RollingUpdate", "rollingUpdate": shares})

    def test_V6_exactly_one_is_not_zero(self):
        for unavailable, surge in ((None, None), (1, None), (None, 1), (1, 0), (0, 1), ("10%", 0), ("0%", "20%"), ("100%", "0%"), (None, 0), (5000, "0%")):
            with self.subTest(unavailable=unavailable, surge=surge):
                self.takes(self.rolling(unavailable, surge))
        for unavailable, surge in ((0, None), (0, 0), ("0%", 0), ("00%", "0%")):
            self.refuses(self.rolling(unavailable, surge), "cannot both be 0")
        for unavailable, surge in ((1, 1), ("10%", 1), (2, "100%")):
            self.refuses(self.rolling(unavailable, surge), "one of maxUnavailable and maxSurge has to be 0")
        for wrong in (-1, "101%", "10", "-1%", "a%", "1.5%", 1.5, True):
            self.refuses(self.rolling(unavailable=wrong), "maxUnavailable")
            self.refuses(self.rolling(surge=wrong), "maxSurge")

    def test_V6_strategies(self):
        for type_ in ("OnDelete", "RollingUpdate", ""):
            self.takes(collector_set(updateStrategy={"type": type_}))
        self.refuses(collector_set(updateStrategy={"type": "Sometimes"}), "Unsupported value")

    def status(self, **status):
        return self.cluster.patch("collectorsets/status", "s", {"status": status}, self.ns)

    def test_V7_status(self):
        self.cluster.create("collectorsets", collector_set(), self.ns)
        self.status(numberReady=0, collisionCount=1)
        self.status(collisionCount=2)
        for status in ({"numberReady": -1}, {"collisionCount": 1}, {"collisionCount": None}):
            with self.assertRaises(Refused) as caught:
                self.status(**status)
            self.assertEqual(caught.exception.code, 422)

    def test_V8_generation_is_of_the_spec(self):
        made = self.cluster.create("collectorsets", {**collector_set(), "status": {"numberReady": 5}}, self.ns)
        self.assertEqual((made["metadata"]["generation"], made.get("status")), (1, None))
        self.assertEqual(self.status(numberReady=3)["metadata"]["generation"], 1)
        changed = self.cluster.patch("collectorsets", "s", {"spec": {"minReadySeconds": 1}, "status": {"numberReady": 9}}, self.ns)
        self.assertEqual((changed["metadata"]["generation"], changed["status"]["numberReady"]), (2, 3))

    def test_a_misspelt_field_is_refused(self):
        with self.assertRaises(Refused) as caught:
            self.takes(collector_set(minReadySecond=1))
        self.assertIn('unknown field "spec.minReadySecond"', caught.exception.message)

    def test_no_scale(self):
        """As a DaemonSet."""
        self.cluster.create("collectorsets", collector_set(), self.ns)
        self.assertEqual(self.cluster.call("GET", path_of("collectorsets", self.ns, "s", "scale"))[0], 404)


@cluster.on_both
class KubectlTest(DefinitionCase):
    def test_columns_are_those_of_a_daemon_set(self):
        self.cluster.apply({**collector_set(), "metadata": {"name": "s", "namespace": self.ns}})
        self.cluster.patch("collectorsets/status", "s", {"status": {
            "desiredNumberScheduled": 7, "currentNumberScheduled": 6, "numberReady": 5, "updatedNumberScheduled": 4, "numberAvailable": 3,
            "nodeSelector": "disk=ssd", "containers": "a,b", "images": "x,y", "labelSelector": "app=x"}}, self.ns)
        shown = self.cluster.kubectl("get", "cset", "-n", self.ns, "-o", "wide").splitlines()
        self.assertEqual(shown[0].split(), "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE CONTAINERS IMAGES SELECTOR".split())
        cells = shown[1].split()
        self.assertEqual(cells[:7] + cells[8:], ["s", "7", "6", "5", "4", "3", "disk=ssd", "a,b", "x,y", "app=x"])
        narrow = self.cluster.kubectl("get", "collectorsets", "-n", self.ns).splitlines()[0]
        self.assertTrue(narrow.rstrip().endswith("AGE"), narrow)

    def test_the_definition_is_established(self):
        self.cluster.kubectl("wait", "--for=condition=Established", "crd/collectorsets.drave.dev", "--timeout=60s")

    def test_wait_for_a_condition(self):
        self.cluster.create("collectorsets", collector_set(), self.ns)
        conditions = [{"type": "Available", "status": "True", "reason": "AllAvailable", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}]
        self.cluster.patch("collectorsets/status", "s", {"status": {"conditions": conditions}}, self.ns)
        self.cluster.kubectl("wait", "-n", self.ns, "--for=condition=Available", "cset/s", "--timeout=60s")

    def test_defaults_are_filled_in(self):
        made = self.cluster.create("collectorsets", collector_set(), self.ns)
        self.assertEqual(made["spec"]["revisionHistoryLimit"], 10)


@cluster.on_both
class RightsTest(DefinitionCase):
    """deploy/base/controller: what the controller needs, and no more."""

    def setUp(self):
        super().setUp()
        self.kubeconfig = self.cluster.install_rights()
        with open(self.cluster.token_file("drave-system-drave-controller")) as file:
            self.head = [("Authorization", f"Bearer {file.read()}")]
        until(lambda: self.ask("GET", path_of("nodes")) == 200, "its rights")

    def ask(self, method, path, body=None, content_type="application/json"):
        """The code that it gets; as the account, not by the administrator's certificate."""
        if self.cluster.is_fake:
            return self.cluster.call(method, path, body, content_type, self.head)[0]
        verb = {"GET": ["get"], "POST": ["create", "-f", "-"], "DELETE": ["delete"]}[method]
        done = self.cluster.kubectl(*verb, "--raw", path, input=json.dumps(body) if body else None, kubeconfig=self.kubeconfig, check=False)
        return 200 if done.returncode == 0 else 403 if "Forbidden" in done.stderr or "forbidden" in done.stderr else done.stderr

    def test_what_it_may(self):
        for path in (path_of("nodes"), path_of("collectorsets"), path_of("collectorsets", self.ns), path_of("pods", "drave-system"),
                     path_of("controllerrevisions", "drave-system")):
            self.assertEqual(self.ask("GET", path), 200, path)
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "drave-controller"}, "spec": {"holderIdentity": "x"}}
        self.assertIn(self.ask("POST", path_of("leases", "drave-system"), lease), (200, 201))
        self.assertEqual(self.ask("GET", path_of("leases", "drave-system", "drave-controller")), 200)

    def test_what_it_may_not(self):
        for path in (path_of("pods", self.ns), path_of("pods"), "/api/v1/namespaces/drave-system/secrets", path_of("configmaps", "drave-system"),
                     path_of("leases", "drave-system", "another"), path_of("nodes", None, "n1")):
            self.assertEqual(self.ask("GET", path), 403, path)
        for path in (path_of("nodes", None, "n1"), path_of("collectorsets", "drave-system", "s")):
            self.assertEqual(self.ask("DELETE", path), 403, path)
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        self.assertEqual(self.ask("POST", path_of("pods", self.ns), pod), 403)


if __name__ == "__main__":
    case.main(needs_collector=False)

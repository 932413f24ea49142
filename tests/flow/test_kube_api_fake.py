#!/usr/bin/env python3
"""The fake API server is what the real one is, as far as a controller can tell; and it fails as it is told to."""

import json
import os
import subprocess
import sys
import unittest

from kit import case, cluster
from kit.cluster import Refused, is_pod_ready, node_of, path_of
from kit.wait import until

sys.path.insert(0, os.path.dirname(cluster.FAKE))
import kube_api  # noqa: E402 (the path comes first)

SET_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "controller": True, "blockOwnerDeletion": True}


def pod(name, labels=None, **spec):
    return {"metadata": {"name": name, "labels": labels or {}},
            "spec": {"containers": [{"name": "c", "image": "none"}], "terminationGracePeriodSeconds": 1, **spec}}


def config_map(name, labels=None, **more):
    return {"metadata": {"name": name, "labels": labels or {}}, "data": {"a": "1"}, **more}


def affinity(node):
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}}}


class ApiCase(cluster.ClusterCase):
    def setUp(self):
        super().setUp()
        self.api = self.cluster

    def make(self, resource, body):
        return self.api.create(resource, body, self.ns)

    def refused(self, code, reason, action, *arguments, **more):
        with self.assertRaises(Refused) as caught:
            action(*arguments, **more)
        self.assertEqual((caught.exception.code, caught.exception.reason), (code, reason), caught.exception)
        return caught.exception

    def names(self, *arguments, **more):
        return [item["metadata"]["name"] for item in self.api.list(*arguments, **more)]


@cluster.on_both
class ObjectsTest(ApiCase):
    def test_a_name_is_taken_once(self):
        self.make("configmaps", config_map("a"))
        self.refused(409, "AlreadyExists", self.make, "configmaps", config_map("a"))

    def test_a_generated_name_begins_as_asked(self):
        made = self.make("configmaps", {"metadata": {"generateName": "x-"}})
        self.assertRegex(made["metadata"]["name"], "^x-[a-z0-9]{5}$")

    def test_nothing_is_made_without_its_namespace(self):
        self.refused(404, "NotFound", self.api.create, "configmaps", config_map("a"), "nowhere")

    def test_an_old_version_is_a_conflict(self):
        old = self.make("configmaps", config_map("a"))
        self.api.patch("configmaps", "a", {"data": {"a": "2"}}, self.ns)
        self.refused(409, "Conflict", self.api.replace, "configmaps", {**old, "data": {"a": "3"}})

    def test_another_uid_is_another_object(self):
        self.make("configmaps", config_map("a"))
        other = {"metadata": {"uid": "11111111-1111-4111-8111-111111111111", "labels": {"x": "y"}}}
        self.refused(422, "Invalid", self.api.patch, "configmaps", "a", other, self.ns)
        self.refused(409, "Conflict", self.api.replace, "configmaps", {"metadata": {"name": "a", "namespace": self.ns, **other["metadata"]}})
        options = {"preconditions": {"uid": "11111111-1111-4111-8111-111111111111"}}
        self.refused(409, "Conflict", self.api.delete, "configmaps", "a", self.ns, **options)

    def test_a_write_that_changes_nothing_makes_no_version(self):
        made = self.make("configmaps", config_map("a"))
        same = self.api.patch("configmaps", "a", {"data": {"a": "1"}}, self.ns)
        self.assertEqual(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"])

    def test_strategic_patch_takes_one_owner_away(self):
        uids = [self.make("configmaps", config_map(f"owner-{i}"))["metadata"]["uid"] for i in range(2)]
        owners = [{**SET_OWNER, "name": f"owner-{i}", "uid": uid, "controller": i == 0} for i, uid in enumerate(uids)]
        self.make("pods", {**pod("p"), "metadata": {"name": "p", "ownerReferences": owners}})
        left = self.api.patch("pods", "p", {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": uids[0]}]}}, self.ns, "strategic")
        self.assertEqual([owner["uid"] for owner in left["metadata"]["ownerReferences"]], [uids[1]])

    def test_json_patch_tests_first(self):
        self.make("configmaps", config_map("a"))
        change = [{"op": "test", "path": "/data/a", "value": "2"}, {"op": "replace", "path": "/data/a", "value": "3"}]
        self.refused(422, "Invalid", self.api.patch, "configmaps", "a", change, self.ns, "json")
        change[0]["value"] = "1"
        self.assertEqual(self.api.patch("configmaps", "a", change, self.ns, "json")["data"], {"a": "3"})

    def test_two_controllers_are_refused(self):
        owners = [{**SET_OWNER, "name": name, "uid": name * 8} for name in "ab"]
        self.refused(422, "Invalid", self.make, "configmaps", {"metadata": {"name": "x", "ownerReferences": owners}})

    def test_a_pod_without_image_is_refused(self):
        self.refused(422, "Invalid", self.make, "pods", {**pod("p"), "spec": {"containers": [{"name": "c"}]}})

    def test_a_pod_of_an_unknown_account_is_refused(self):
        self.refused(403, "Forbidden", self.make, "pods", pod("p", serviceAccountName="nobody"))

    def test_a_dry_run_makes_nothing_but_refuses(self):
        path = path_of("pods", self.ns) + "?dryRun=All"
        self.assertEqual(self.api.call("POST", path, pod("p"))[0], 201)
        self.assertEqual(self.api.call("POST", path, {**pod("p"), "spec": {"containers": []}})[0], 422)
        self.assertIsNone(self.api.get("pods", "p", self.ns))

    def test_selectors_of_labels(self):
        for name, labels in (("a", {"app": "x", "tier": "1"}), ("b", {"app": "y"}), ("c", {})):
            self.make("configmaps", config_map(name, labels))
        for text, names in (("app=x", "a"), ("app!=x", "bc"), ("app in (x,y)", "ab"), ("app notin (x)", "bc"), ("app", "ab"), ("!app", "c"), ("app,tier=1", "a")):
            found = [name for name in self.names("configmaps", self.ns, labels=text) if len(name) == 1]
            self.assertEqual("".join(found), names, text)

    def test_selectors_of_fields(self):
        self.make("pods", pod("a"))
        self.assertEqual(self.names("pods", self.ns, fields="spec.nodeName="), ["a"])
        self.assertEqual(self.names("pods", self.ns, fields="metadata.name=b"), [])
        self.refused(400, "BadRequest", self.api.list, "pods", self.ns, fields="spec.colour=red")

    def test_a_lease_knows_its_version(self):
        lease = self.make("leases", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}})
        again = self.api.replace("leases", {**lease, "spec": {**lease["spec"], "holderIdentity": "b"}})
        self.refused(409, "Conflict", self.api.replace, "leases", lease)
        del again["metadata"]["resourceVersion"]
        self.refused(422, "Invalid", self.api.replace, "leases", {**again, "spec": {"holderIdentity": "c"}})

    def test_a_revision_keeps_its_data(self):
        revision = {"metadata": {"name": "r"}, "revision": 1, "data": {"spec": {"template": {"a": 1}}}}
        self.make("controllerrevisions", revision)
        self.assertEqual(self.api.patch("controllerrevisions", "r", {"revision": 2}, self.ns)["revision"], 2)
        self.refused(422, "Invalid", self.api.patch, "controllerrevisions", "r", {"data": {"spec": 3}}, self.ns)


@cluster.on_both
class ReadingTest(ApiCase):
    def test_pages_are_of_one_moment(self):
        for i in range(7):
            self.make("configmaps", config_map(f"a{i}", {"page": "1"}))
        path, names, versions = path_of("configmaps", self.ns) + "?limit=3&labelSelector=page%3D1", [], set()
        page = self.api.must("GET", path)
        self.make("configmaps", config_map("a9", {"page": "1"}))
        self.api.delete("configmaps", "a6", self.ns)
        while True:
            names += [item["metadata"]["name"] for item in page["items"]]
            versions.add(page["metadata"]["resourceVersion"])
            if not page["metadata"].get("continue"):
                break
            page = self.api.must("GET", f"{path}&continue={page['metadata']['continue']}")
        self.assertEqual((names, len(versions)), ([f"a{i}" for i in range(7)], 1))

    def test_a_version_of_the_future_is_too_large(self):
        code, status = self.api.call("GET", path_of("pods") + "?resourceVersion=999999999999&timeoutSeconds=1&resourceVersionMatch=NotOlderThan&limit=1")
        self.assertEqual((code, status["reason"]), (504, "Timeout"))
        self.assertIn("Too large resource version", status["message"])

    def test_a_watch_goes_on_where_the_list_ended(self):
        self.make("configmaps", config_map("a"))
        version = self.api.must("GET", path_of("configmaps", self.ns))["metadata"]["resourceVersion"]
        self.api.patch("configmaps", "a", {"data": {"a": "2"}}, self.ns)
        self.make("configmaps", config_map("b"))
        self.api.delete("configmaps", "a", self.ns)
        with self.api.watch("configmaps", self.ns, resourceVersion=version) as watch:
            events = [watch.next() for _ in range(3)]
        self.assertEqual([(type_, item["metadata"]["name"]) for type_, item in events], [("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")])
        versions = [int(item["metadata"]["resourceVersion"]) for _, item in events]
        self.assertEqual(versions, sorted(set(versions)))

    def test_a_watch_of_one_name_tells_its_end_however_late_it_comes(self):
        """As kubectl delete waits: a list of the name, then a watch from there, which may begin when the pod is gone and another has its name."""
        query = {"fieldSelector": "metadata.name=a"}
        for _ in range(20):
            uid = self.make("pods", pod("a"))["metadata"]["uid"]
            listed = self.api.must("GET", path_of("pods", self.ns) + "?fieldSelector=metadata.name%3Da")
            self.assertEqual([item["metadata"]["uid"] for item in listed["items"]], [uid])
            self.api.delete("pods", "a", self.ns)
            self.make("pods", pod("b"))
            self.make("pods", pod("a"))
            with self.api.watch("pods", self.ns, resourceVersion=listed["metadata"]["resourceVersion"], **query) as watch:
                self.assertEqual(watch.until("DELETED")["metadata"]["uid"], uid)
                self.assertEqual(watch.until("ADDED", "a")["kind"], "Pod")
            for name in ("a", "b"):
                self.api.delete("pods", name, self.ns)

    def test_a_watch_without_version_begins_with_what_there_is(self):
        self.make("configmaps", config_map("a", {"w": "1"}))
        with self.api.watch("configmaps", self.ns, labelSelector="w=1") as watch:
            self.assertEqual(watch.next()[0], "ADDED")
            self.api.delete("configmaps", "a", self.ns)
            self.assertEqual(watch.next()[0], "DELETED")

    def test_what_ceases_to_match_is_deleted_with_its_last_matching_state(self):
        made = self.make("configmaps", config_map("a", {"w": "1"}))
        with self.api.watch("configmaps", self.ns, labelSelector="w=1", resourceVersion=made["metadata"]["resourceVersion"]) as watch:
            changed = self.api.patch("configmaps", "a", {"metadata": {"labels": {"w": "2"}}}, self.ns)
            type_, last = watch.next()
            self.assertEqual((type_, last["metadata"]["labels"], last["metadata"]["resourceVersion"]),
                             ("DELETED", {"w": "1"}, changed["metadata"]["resourceVersion"]))
            self.api.patch("configmaps", "a", {"metadata": {"labels": {"w": "1"}}}, self.ns)
            self.assertEqual(watch.next()[0], "ADDED")

    def test_initial_events_end_with_a_bookmark(self):
        for name in "ab":
            self.make("configmaps", config_map(name, {"w": "1"}))
        with self.api.watch("configmaps", self.ns, labelSelector="w=1", sendInitialEvents="true", allowWatchBookmarks="true",
                            resourceVersionMatch="NotOlderThan") as watch:
            events = [watch.next() for _ in range(3)]
            self.assertEqual([type_ for type_, _ in events], ["ADDED", "ADDED", "BOOKMARK"])
            self.assertEqual(events[2][1]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true")
            self.make("configmaps", config_map("c", {"w": "1"}))
            self.assertEqual(watch.next()[0], "ADDED")

    def test_initial_events_need_to_know_how_old_they_may_be(self):
        with self.api.watch("configmaps", self.ns, sendInitialEvents="true", allowWatchBookmarks="true") as watch:
            self.assertEqual(watch.code, 422)

    def test_a_watch_ends_cleanly_at_its_time(self):
        with self.api.watch("configmaps", self.ns, timeoutSeconds=1, labelSelector="none=1") as watch:
            self.assertIsNone(watch.next())


@cluster.on_both
class DeletionTest(ApiCase):
    def owned(self, name, owner, **more):
        reference = {**SET_OWNER, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        return self.make("configmaps", {"metadata": {"name": name, "ownerReferences": [reference], **more}})

    def test_a_pod_that_runs_nowhere_goes_at_once(self):
        self.make("pods", pod("p", nodeSelector={"no": "where"}))
        self.api.delete("pods", "p", self.ns)
        self.assertIsNone(self.api.get("pods", "p", self.ns))

    def test_a_finalizer_holds(self):
        self.make("configmaps", {"metadata": {"name": "a", "finalizers": ["drave.dev/test"]}})
        self.api.delete("configmaps", "a", self.ns)
        self.assertIn("deletionTimestamp", self.api.get("configmaps", "a", self.ns)["metadata"])
        self.api.patch("configmaps", "a", {"metadata": {"finalizers": None}}, self.ns)
        self.assertIsNone(self.api.get("configmaps", "a", self.ns))

    def test_in_the_background_dependents_follow(self):
        owner = self.make("configmaps", config_map("owner"))
        self.owned("dependent", owner)
        self.api.delete("configmaps", "owner", self.ns, propagationPolicy="Background")
        self.assertIsNone(self.api.get("configmaps", "owner", self.ns))
        until(lambda: self.api.get("configmaps", "dependent", self.ns) is None, "the dependent's end")

    def test_in_the_foreground_the_owner_goes_last(self):
        owner = self.make("configmaps", config_map("owner"))
        self.owned("dependent", owner, finalizers=["drave.dev/test"])
        self.api.delete("configmaps", "owner", self.ns, propagationPolicy="Foreground")
        until(lambda: self.api.get("configmaps", "dependent", self.ns)["metadata"].get("deletionTimestamp"), "the dependent's deletion")
        self.assertEqual(self.api.get("configmaps", "owner", self.ns)["metadata"]["finalizers"], ["foregroundDeletion"])
        self.api.patch("configmaps", "dependent", {"metadata": {"finalizers": None}}, self.ns)
        until(lambda: self.api.get("configmaps", "owner", self.ns) is None, "the owner's end")

    def test_orphans_stay(self):
        owner = self.make("configmaps", config_map("owner"))
        self.owned("dependent", owner)
        self.api.delete("configmaps", "owner", self.ns, propagationPolicy="Orphan")
        until(lambda: self.api.get("configmaps", "owner", self.ns) is None, "the owner's end")
        self.assertNotIn("ownerReferences", self.api.get("configmaps", "dependent", self.ns)["metadata"])

    def test_what_has_an_owner_that_never_was_goes(self):
        self.owned("dependent", {"metadata": {"name": "ghost", "uid": "22222222-2222-4222-8222-222222222222"}})
        until(lambda: self.api.get("configmaps", "dependent", self.ns) is None, "the dependent's end")

    def test_a_namespace_takes_all_with_it(self):
        self.api.namespace("short-lived")
        self.api.create("configmaps", {"metadata": {"name": "a", "finalizers": ["drave.dev/test"]}}, "short-lived")
        self.api.delete("namespaces", "short-lived")
        until(lambda: self.api.get("configmaps", "a", "short-lived")["metadata"].get("deletionTimestamp"), "its deletion")
        refused = self.refused(403, "Forbidden", self.api.create, "configmaps", config_map("b"), "short-lived")
        self.assertEqual(refused.status["details"]["causes"][0]["reason"], "NamespaceTerminating")
        self.api.patch("configmaps", "a", {"metadata": {"finalizers": None}}, "short-lived")
        until(lambda: self.api.get("namespaces", "short-lived") is None, "the namespace's end")


@cluster.on_both
class PlayersTest(ApiCase):
    def ready(self, name):
        return until(lambda: (found := self.api.get("pods", name, self.ns)) and is_pod_ready(found) and found, f"{name} ready")

    def test_a_pod_goes_where_its_affinity_says_and_becomes_ready(self):
        self.api.add_nodes("n1", "n2")
        self.make("pods", pod("p", affinity=affinity("n2")))
        self.assertEqual(self.ready("p")["spec"]["nodeName"], "n2")

    def test_an_untolerated_taint_keeps_a_pod_waiting(self):
        self.api.add_nodes("n1", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}])
        self.make("pods", pod("p"))
        def condition():
            return next((c for c in self.api.get("pods", "p", self.ns)["status"].get("conditions") or () if c["type"] == "PodScheduled"), {})
        until(lambda: condition().get("reason") == "Unschedulable", "said to be unschedulable")
        self.api.untaint("n1", "k")
        self.ready("p")

    def test_a_cordon_is_a_taint(self):
        self.api.add_nodes("n1")
        self.api.cordon("n1")
        until(lambda: [t["key"] for t in self.api.get("nodes", "n1")["spec"].get("taints") or ()] == ["node.kubernetes.io/unschedulable"], "its taint")
        self.api.cordon("n1", False)
        until(lambda: not self.api.get("nodes", "n1")["spec"].get("taints"), "no taint")

    def test_a_deleted_pod_ends_and_frees_its_name(self):
        self.api.add_nodes("n1")
        self.make("pods", pod("p"))
        self.ready("p")
        self.api.delete("pods", "p", self.ns)
        until(lambda: self.api.get("pods", "p", self.ns) is None, "its end")
        self.make("pods", pod("p"))
        self.ready("p")

    def test_a_failed_pod_is_shown_and_deleted_at_once(self):
        self.api.add_nodes("n1")
        self.make("pods", pod("p"))
        self.ready("p")
        self.api.patch("pods/status", "p", {"status": {"phase": "Failed", "reason": "Evicted"}}, self.ns)
        self.assertEqual(self.api.get("pods", "p", self.ns)["status"]["reason"], "Evicted")
        self.api.delete("pods", "p", self.ns)
        until(lambda: self.api.get("pods", "p", self.ns) is None, "its end")

    def test_no_execute_evicts_who_does_not_tolerate_it(self):
        self.api.add_nodes("n1")
        self.make("pods", pod("out"))
        self.make("pods", pod("stays", tolerations=[{"operator": "Exists"}]))
        self.ready("out"), self.ready("stays")
        self.api.taint("n1", "k", "NoExecute")
        until(lambda: self.api.get("pods", "out", self.ns) is None, "the eviction")
        self.assertTrue(cluster.is_alive(self.api.get("pods", "stays", self.ns)))

    def test_labels_ask_for_bad_pods(self):
        self.api.add_nodes("n1")
        self.make("pods", pod("fails", {"fake.drave.dev/start": "fail"}))
        self.make("pods", pod("never", {"fake.drave.dev/start": "never"}))
        until(lambda: self.api.get("pods", "fails", self.ns)["status"]["phase"] == "Failed", "its failure")
        until(lambda: self.api.get("pods", "never", self.ns)["status"]["phase"] == "Running", "running")
        self.assertFalse(is_pod_ready(self.api.get("pods", "never", self.ns)))


@cluster.on_both
class KubectlTest(ApiCase):
    def kubectl(self, *arguments, **more):
        return self.api.kubectl("-n", self.ns, *arguments, **more)

    def test_apply_get_edit_patch_describe_delete(self):
        document = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", **config_map("a", {"l": "m"})})
        self.assertIn("created", self.kubectl("apply", "-f", "-", input=document))
        self.assertIn("unchanged", self.kubectl("apply", "-f", "-", input=document))
        self.assertIn("configured", self.kubectl("apply", "-f", "-", input=document.replace('"1"', '"before"')))
        self.kubectl("edit", "configmap", "a", environment={"EDITOR": "sed -i s/before/after/"})
        self.assertEqual(self.kubectl("get", "configmap", "a", "-o", "jsonpath={.data.a}"), "after")
        self.kubectl("patch", "configmap", "a", "-p", '{"data":{"b":"4"}}')
        self.assertIn("b:\n----\n4", self.kubectl("describe", "configmap", "a"))
        self.kubectl("label", "configmap", "a", "x=y")
        self.assertEqual(self.kubectl("get", "cm", "-l", "x=y", "-o", "name"), "configmap/a\n")
        self.assertIn("deleted", self.kubectl("delete", "configmap", "a"))

    def test_apply_on_the_server(self):
        document = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", **config_map("a", {"l": "m"})})
        for _ in range(2):
            self.assertIn("serverside-applied", self.kubectl("apply", "--server-side", "-f", "-", input=document))

    def test_wait_and_drain(self):
        self.api.add_nodes("n1")
        self.make("pods", pod("p"))
        self.kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
        self.assertIn("Running", self.kubectl("get", "pods"))
        self.kubectl("drain", "n1", "--force", "--timeout=60s")
        self.assertIsNone(self.api.get("pods", "p", self.ns))
        self.assertIn("SchedulingDisabled", self.kubectl("get", "nodes"))

    def test_namespaces_and_tokens(self):
        self.kubectl("create", "namespace", "by-kubectl")
        until(lambda: self.api.get("serviceaccounts", "default", "by-kubectl"), "its account")
        self.assertGreater(len(self.api.kubectl("create", "token", "default", "-n", "by-kubectl")), 20)
        self.kubectl("delete", "namespace", "by-kubectl")

    def test_an_identity_has_its_own_rights(self):
        self.make("serviceaccounts", {"metadata": {"name": "reader"}})
        self.make("configmaps", config_map("a"))
        kubeconfig = self.api.identity(self.ns, "reader")
        refused = self.kubectl("get", "configmap", "a", kubeconfig=kubeconfig, check=False)
        self.assertIn("Forbidden", refused.stderr)
        self.make("roles", {"metadata": {"name": "reader"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]})
        self.make("rolebindings", {"metadata": {"name": "reader"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
                                   "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": self.ns}]})
        until(lambda: self.kubectl("get", "configmap", "a", kubeconfig=kubeconfig, check=False).returncode == 0, "the right to read")
        self.assertNotEqual(self.kubectl("get", "configmaps", kubeconfig=kubeconfig, check=False).returncode, 0)

    def test_events_have_two_faces(self):
        event = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": self.ns}, "eventTime": "2026-01-02T03:04:05.000006Z",
                 "reportingController": "drave.dev/controller", "reportingInstance": "c-1", "action": "Create", "reason": "SuccessfulCreate", "type": "Normal",
                 "note": "Created pod: p", "regarding": {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "namespace": self.ns, "uid": "u-1"}}
        path = f"/apis/events.k8s.io/v1/namespaces/{self.ns}/events"
        self.assertEqual(self.api.call("POST", path, event)[0], 201)
        self.assertEqual(self.api.call("POST", path, {**event, "metadata": {"name": "f"}, "action": ""})[0], 422)
        self.assertEqual(self.api.call("PATCH", f"{path}/e", {"note": "another"}, "application/merge-patch+json")[0], 422)
        series = {"series": {"count": 2, "lastObservedTime": "2026-01-02T03:04:06.000006Z"}}
        self.assertEqual(self.api.call("PATCH", f"{path}/e", series, "application/merge-patch+json")[0], 200)
        shown = self.kubectl("get", "events", "--field-selector", "involvedObject.uid=u-1")
        self.assertIn("Created pod: p", shown)


class FaultsTest(ApiCase):
    """Only the fake can be told to fail."""
    backend = "fake"

    def test_a_rule_strikes_as_often_as_it_says(self):
        number = self.api.rule(verb="create", path="configmaps", nth="2-3", status=503, retry_after=2)
        codes = [self.api.call("POST", path_of("configmaps", self.ns), config_map(name))[0] for name in "abcd"]
        self.assertEqual((codes, self.api.struck(number)), ([201, 503, 503, 201], 2))

    def test_retry_after_is_in_the_head(self):
        self.api.rule(path="configmaps", status=429, retry_after=7)
        connection = self.api.connect()
        connection.request("GET", path_of("configmaps", self.ns), headers=self.api.credentials)
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["Retry-After"], json.loads(answer.read())["details"]["retryAfterSeconds"]), (429, "7", 7))
        connection.close()

    def test_closed_before_nothing_is_done_closed_after_it_is(self):
        for when, is_done in (("before", False), ("after", True)):
            number = self.api.rule(verb="create", path="configmaps", close=when)
            with self.assertRaises((OSError, cluster.http.client.HTTPException)):
                self.make("configmaps", config_map(when))
            self.api.unrule(number)
            self.assertEqual(self.api.get("configmaps", when, self.ns) is not None, is_done)

    def test_an_error_after_the_deed(self):
        self.api.rule(verb="create", path="configmaps", status=504, after=True, times=1)
        self.refused(504, "Timeout", self.make, "configmaps", config_map("a"))
        self.assertIsNotNone(self.api.get("configmaps", "a", self.ns))

    def test_answers_can_be_cut_garbled_stale_short_and_expired(self):
        for name in "abc":
            self.make("configmaps", config_map(name, {"w": "1"}))
        path = path_of("configmaps", self.ns) + "?labelSelector=w%3D1"
        number = self.api.rule(verb="list", path="configmaps", garbage="{nonsense")
        self.assertEqual(self.api.call("GET", path), (200, "{nonsense"))
        self.api.unrule(number)
        number = self.api.rule(verb="list", path="configmaps", truncate=50)
        with self.assertRaises(cluster.http.client.HTTPException):
            self.api.call("GET", path)
        self.api.unrule(number)
        for words, count in (({"stale": 1}, 2), ({"keep": 1}, 1)):
            number = self.api.rule(verb="list", path="configmaps", **words)
            self.assertEqual(len(self.api.must("GET", path)["items"]), count)
            self.api.unrule(number)
        self.api.rule(verb="list", path="configmaps", expire=True)
        self.assertEqual(self.api.call("GET", path)[0], 410)

    def test_watches_obey(self):
        for how in ("close", "half", "end", "expire", "garbage"):
            with self.api.watch("configmaps", self.ns, labelSelector="none=1", allowWatchBookmarks="true") as watch:
                until(lambda: self.api.order_watches(how, "none%3D1") == 1, "one that obeys")
                if how == "end":
                    self.assertIsNone(watch.next())
                elif how == "expire":
                    self.assertEqual((watch.until("ERROR")["code"], watch.next()), (410, None))
                else:
                    with self.assertRaises((ValueError, ConnectionError)):
                        while watch.next():
                            pass
            until(lambda: not any("none" in row["path"] for row in self.api.watches()), "its end")

    def test_a_forgotten_version_is_an_error_in_the_stream(self):
        """The real one forgets too, but not soon enough for a test."""
        old = self.make("configmaps", config_map("a"))["metadata"]["resourceVersion"]
        self.make("configmaps", config_map("b"))
        self.api.compact("configmaps")
        with self.api.watch("configmaps", self.ns, resourceVersion=old) as watch:
            type_, status = watch.next()
            self.assertEqual((watch.code, type_, status["code"], status["reason"]), (200, "ERROR", 410, "Expired"))

    def test_a_continue_token_is_forgotten(self):
        for i in range(3):
            self.make("configmaps", config_map(f"a{i}"))
        path = path_of("configmaps", self.ns) + "?limit=1"
        token = self.api.must("GET", path)["metadata"]["continue"]
        self.api.compact("configmaps")
        self.assertEqual(self.api.call("GET", f"{path}&continue={token}")[0], 410)

    def test_a_server_without_watch_lists_says_so(self):
        self.api.set(watch_list=False)
        with self.api.watch("configmaps", self.ns, sendInitialEvents="true", allowWatchBookmarks="true", resourceVersionMatch="NotOlderThan") as watch:
            self.assertEqual(watch.code, 422)

    def test_an_unknown_token_is_nobody(self):
        self.assertEqual(self.api.call("GET", path_of("nodes"), headers=[("Authorization", "Bearer who")])[0], 401)

    def test_a_rule_demands_a_token(self):
        self.api.rule(path="nodes", token="the-new-one")
        self.assertEqual(self.api.call("GET", path_of("nodes"))[0], 401)

    def test_down_and_up_again_with_everything(self):
        self.make("configmaps", config_map("a"))
        with self.api.watch("configmaps", self.ns) as watch:
            self.api.down()
            with self.assertRaises(OSError):
                self.api.call("GET", path_of("nodes"))
            with self.assertRaises(ConnectionError):
                while watch.next():
                    pass
        self.api.up()
        self.assertIsNotNone(self.api.get("configmaps", "a", self.ns))

    def test_frozen_it_answers_when_it_thaws(self):
        self.api.freeze()
        connection = self.api.connect()
        connection.sock or connection.connect()
        connection.sock.settimeout(0.3)
        connection.request("GET", path_of("nodes"), headers=self.api.credentials)
        with self.assertRaises(TimeoutError):
            connection.getresponse()
        connection.close()
        self.api.thaw()
        self.assertEqual(self.api.list("nodes"), [])

    def test_the_log_tells_all(self):
        before = self.api.last_request()
        self.make("configmaps", config_map("a"))
        self.api.call("GET", path_of("configmaps", self.ns, "missing"))
        rows = self.api.log(before, path="configmaps")
        self.assertEqual([(row["verb"], row["code"], row["agent"]) for row in rows], [("create", 201, "drave-tests"), ("get", 404, "drave-tests")])

    def test_a_dead_node_does_nothing_and_a_vanished_one_loses_its_pods(self):
        self.api.add_nodes("n1", "n2")
        self.make("pods", pod("p", affinity=affinity("n1")))
        until(lambda: is_pod_ready(self.api.get("pods", "p", self.ns)), "ready")
        self.api.set(dead_nodes=["n1"])
        self.api.delete("pods", "p", self.ns)
        self.make("pods", pod("q", affinity=affinity("n2")))
        until(lambda: is_pod_ready(self.api.get("pods", "q", self.ns)), "the other node's work")
        self.assertEqual(node_of(self.api.get("pods", "p", self.ns)), "n1")
        self.api.remove_node("n1")
        until(lambda: self.api.get("pods", "p", self.ns) is None, "collected")

    def test_without_tls(self):
        plain = cluster.FakeCluster(tls=False)
        self.addCleanup(plain.stop)
        self.assertIn("kube-system", [item["metadata"]["name"] for item in plain.list("namespaces")])


class Sleeper:
    """A runner whose pods are processes that sleep."""

    def __init__(self):
        self.processes = []

    def start(self, item):
        self.processes.append(subprocess.Popen(["sleep", "600"]))
        return self.processes[-1]

    def is_ready(self, process):
        return process.poll() is None

    def exit_status(self, process):
        return process.poll()

    def stop(self, process):
        process.terminate()

    def kill(self, process):
        process.kill()
        process.wait()


class RunnerTest(unittest.TestCase):
    """A kubelet that runs something real: as the demo uses it, in its own process."""

    def setUp(self):
        self.runner = Sleeper()
        self.server = kube_api.KubeApi(runner=self.runner).start()
        self.addCleanup(self.server.stop)
        kinds = self.server.store.kinds
        self.pods = kinds.find("", "v1", "pods")
        until(lambda: self.server.store.peek(("", "serviceaccounts"), "default", "default"), "the default account")
        self.server.store.create(kinds.find("", "v1", "nodes"), "", cluster.Cluster.node("n1"))
        self.server.store.create(self.pods, "default", pod("p"))

    def has(self, ready, restarts):
        status = self.server.store.get(self.pods, "default", "p")["status"].get("containerStatuses", [{}])[0]
        return (status.get("ready"), status.get("restartCount")) == (ready, restarts)

    def test_a_pod_is_a_process(self):
        until(lambda: self.has(True, 0), "ready")
        self.runner.processes[0].kill()
        until(lambda: self.has(True, 1), "started again")
        self.server.store.delete(self.pods, "default", "p")
        until(lambda: self.server.store.peek(("", "pods"), "default", "p") is None, "its end")
        self.assertEqual([process.poll() for process in self.runner.processes], [-9, -15])

    def test_the_server_takes_its_processes_with_it(self):
        until(lambda: self.has(True, 0), "ready")
        self.server.stop()
        self.assertEqual(self.runner.processes[0].poll(), -9)


if __name__ == "__main__":
    case.main(needs_collector=False)

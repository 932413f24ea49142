#!/usr/bin/env python3
"""Metadata from the API server, and which source is taken where both may answer."""

import unittest

from kit import case
from kit.cluster import FakeCluster
from kit.kubelet import Pod
from kit.metadata import FAR, NEAR, MetadataCase
from kit.wait import until

PODS = "^/api/v1/pods"


class ClusterCase(MetadataCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = FakeCluster(scheduler=False, lifecycle=False, collector=False, kubelet=False)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.create("namespaces", {"metadata": {"name": "shop"}})
        until(lambda: cls.cluster.get("serviceaccounts", "default", "shop"), "the account without which it takes no pod")

    def setUp(self):
        super().setUp()
        self.began = self.cluster.last_request()
        self.addCleanup(self.clear)

    def clear(self):
        self.cluster.thaw()
        self.cluster.up()
        self.cluster.disconnect()
        self.cluster.unrule()
        for pod in self.cluster.list("pods", "shop"):
            self.cluster.delete("pods", pod["metadata"]["name"], "shop", gracePeriodSeconds=0)

    def pod(self, name, uid=None, node="node-1", containers=("app",), **metadata):
        """The object, and its directory under the uid of its logs; its containers have not begun."""
        body = {"metadata": {"name": name, **metadata},
                "spec": {"nodeName": node, "containers": [{"name": each, "image": "i"} for each in containers]}}
        made = self.cluster.create("pods", body, "shop")
        pod = Pod(self.node, "shop", name, uid or made["metadata"]["uid"])
        self.node.pods.append(pod)
        return pod

    def annotate(self, pod, **annotations):
        self.cluster.patch("pods", pod.name, {"metadata": {"annotations": {f"drave.dev/{key}": value for key, value in annotations.items()}}}, "shop")

    def remove(self, pod):
        self.cluster.delete("pods", pod.name, "shop", gracePeriodSeconds=0)

    def follow_api(self, **rows):
        return self.collector({"main": self.end}, kubernetes={"metadata_source": "api", "kubeconfig": self.cluster.admin, "metadata_wait": FAR, **rows})

    def asked(self, path=PODS):
        """What our collector asked for."""
        return [row for row in self.cluster.log(self.began, path=path) if "drave-collector" in (row["agent"] or "")]

    def all_known(self, collector):
        """All that is written arrives, with metadata."""
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 0)


class ApiTest(ClusterCase):
    def test_pods_that_are_there_and_pods_that_come(self):
        first = self.pod("first").container()
        first.write(20)
        self.pod("elsewhere", node="node-2")
        collector = self.follow_api()
        self.all_known(collector)
        later = self.pod("later").container()
        later.write(20)
        self.all_known(collector)
        self.knows(collector, source="api", answering=True, pods=2)
        self.assertTrue(all("fieldSelector=spec.nodeName%3Dnode-1" in row["path"] for row in self.asked()))
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_a_pod_that_the_server_learns_of_late(self):
        """Its list is not final: the files of a mirror pod stand there first."""
        uid = "0123456789abcdef0123456789abcdef"
        container = Pod(self.node, "shop", "etcd-node-1", uid).container()
        container.write(20)
        collector = self.follow_api()
        self.knows(collector, answering=True, waiting_containers=1)
        mirror = self.pod("etcd-node-1", uid, annotations={"kubernetes.io/config.hash": uid, "kubernetes.io/config.mirror": uid})
        self.all_known(collector)
        container.write(20)
        self.remove(mirror)  # and made anew, by kubelet: the same pod, with another object
        self.pod("etcd-node-1", uid, annotations={"kubernetes.io/config.hash": uid, "kubernetes.io/config.mirror": uid})
        container.restart()
        container.write(20)
        self.all_known(collector)
        self.knows(collector, pods=1)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_a_pod_that_claims_to_be_the_mirror_of_another(self):
        """Whoever may make pods writes any uid into its annotations; the names are not his to choose."""
        pod = self.pod("web-1")
        container = pod.container()
        container.write(20)
        collector = self.follow_api()
        self.all_known(collector)
        claims = {"kubernetes.io/config.hash": pod.uid, "kubernetes.io/config.mirror": "x", "drave.dev/exclude": "true"}
        self.pod("impostor", annotations=claims, labels={"app": "his"})
        self.knows(collector, pods=2)
        container.write(20)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_same_name_and_another_uid(self):
        first = self.pod("db-0")
        one = first.container()
        one.write(20)
        collector = self.follow_api()
        self.all_known(collector)
        self.remove(first)
        two = self.pod("db-0", labels={"app": "new"}).container()
        one.write(20)  # its last lines come after its successor's first
        two.write(20)
        self.all_known(collector)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_a_pod_that_is_gone_is_known_until_its_last_line(self):
        pod = self.pod("job")
        container = pod.container()
        container.write(20)
        self.end.gate.clear()
        collector = self.collector({"main": self.http(self.end, lanes=1, batch_records=10)},
                                   kubernetes={"metadata_source": "api", "kubeconfig": self.cluster.admin, "metadata_wait": FAR})
        self.knows(collector, pods=1)
        until(lambda: self.end.open_count > 0, "a request under way")
        container.write(2000)
        self.seen(collector, container)
        written = self.node.written
        self.remove(pod)
        pod.delete()
        marker = self.pod("marker")
        self.knows(collector, pods=2)  # the watch has come this far
        self.remove(marker)
        self.end.gate.set()
        self.arrived(self.end, self.judge_of, written)
        self.assertEqual(self.missing(collector), 0)
        self.finish(self.end, self.judge_of, written, collector)

    def carries(self, container, wanted):
        """Writes lines until one has this of metadata."""
        def does():
            container.write(1)
            self.arrived(self.end, self.judge_of, self.node.written)
            carried = {**self.judge_of.records[-1], **self.judge_of.records[-1]["kubernetes"]}
            return {key: carried.get(key) for key in wanted} == wanted
        until(does, lambda: f"{wanted}: {self.judge_of.records[-1]}")

    def test_what_records_carry_and_how_it_changes(self):
        self.cluster.patch("namespaces", "shop", {"metadata": {"labels": {"team": "blue"}}})
        self.cluster.ensure("nodes", {"metadata": {"name": "node-1", "labels": {"zone": "a", "other": "x"}}})
        self.cluster.ensure("nodes", {"metadata": {"name": "node-2", "labels": {"zone": "b"}}})
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d9c7b", "uid": "1", "controller": True}
        pod = self.pod("web-5d9c7b-x2", labels={"pod-template-hash": "5d9c7b", "app": "v1"}, ownerReferences=[owner])
        container = pod.container()
        collector = self.follow_api(metadata="labels:app*, namespace_labels, node_labels:zone, owner, image")
        self.carries(container, {"labels": {"app": "v1"}, "kubernetes_namespace": {"name": "shop", "labels": {"team": "blue"}}, "node_labels": {"zone": "a"},
                                 "ownerReferences": [{"kind": "Deployment", "name": "web"}], "container_image": "i"})
        self.cluster.patch("pods", pod.name, {"metadata": {"labels": {"app": "v2"}}}, "shop")
        self.carries(container, {"labels": {"app": "v2"}})
        self.cluster.patch("namespaces", "shop", {"metadata": {"labels": {"team": "green"}}})
        self.carries(container, {"kubernetes_namespace": {"name": "shop", "labels": {"team": "green"}}})
        self.cluster.patch("nodes", "node-1", {"metadata": {"labels": {"zone": "c"}}})
        self.carries(container, {"labels": {"app": "v2"}, "node_labels": {"zone": "c"}})
        self.assertEqual(self.missing(collector), 0)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_410_of_the_watch(self):
        first = self.pod("first").container()
        first.write(20)
        collector = self.follow_api()
        self.all_known(collector)
        lists = len([row for row in self.asked() if "sendInitialEvents" in row["path"]])
        self.assertEqual(self.cluster.order_watches("expire", path=PODS), 1)
        until(lambda: len([row for row in self.asked() if "sendInitialEvents" in row["path"]]) > lists, "listed again")
        self.pod("later").container().write(20)
        first.write(20)
        self.all_known(collector)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_server_down_for_a_while(self):
        first = self.pod("first").container()
        first.write(20)
        collector = self.follow_api(metadata_wait=NEAR)
        self.all_known(collector)
        self.cluster.down()
        self.knows(collector, answering=False, error=None)
        unknown = Pod(self.node, "shop", "unknown", "00000000-0000-0000-0000-000000000001").container()
        for container in (first, unknown):
            container.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 20)
        self.cluster.up()
        self.cluster.disconnect()
        self.knows(collector, answering=True, error="")
        self.pod("later").container().write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 20)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_exclusion_comes_and_goes_by_the_watch(self):
        pod = self.pod("noisy", containers=("app", "side"))
        app, side = pod.container("app"), pod.container("side")
        for container in (app, side):
            container.write(20)
        collector = self.follow_api()
        self.all_known(collector)
        self.annotate(pod, **{"exclude-side": "true"})
        until(lambda: [row["container"] for row in collector.streams() if row["output"]] == ["app"], "one of its containers let go")
        self.annotate(pod, exclude="true")
        self.let_go(collector, "noisy")
        self.assertEqual(collector.metric("drave_input_lag_bytes"), 0)
        for container in (app, side):
            container.write(20)
        self.annotate(pod, exclude=None, **{"exclude-side": None})
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_labels_of_the_namespace_are_waited_for(self):
        rule = self.cluster.rule(verb="list|watch", path="^/api/v1/namespaces", status=503)
        container = self.pod("first").container()
        container.write(20)
        collector = self.follow_api(metadata="labels, namespace_labels")
        self.knows(collector, pods=1, waiting_containers=1)
        self.cluster.unrule(rule)
        self.all_known(collector)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_records_carry_labels_of_their_namespace_and_node(self):
        self.cluster.create("nodes", {"metadata": {"name": "node-1", "labels": {"zone": "z1", "other": "x"}}})
        self.addCleanup(self.cluster.delete, "nodes", "node-1")
        self.cluster.namespace("paid", {"cost": "7"})
        self.addCleanup(self.cluster.delete, "namespaces", "paid")
        made = self.cluster.create("pods", {"metadata": {"name": "web"}, "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "i"}]}}, "paid")
        self.addCleanup(self.cluster.delete, "pods", "web", "paid", gracePeriodSeconds=0)
        pod = Pod(self.node, "paid", "web", made["metadata"]["uid"])
        pod.container().write(1)
        collector = self.follow_api(metadata="namespace_labels, node_labels:z*")
        until(lambda: self.end.taken, "a record")
        record = self.end.taken[0]
        self.assertEqual(record["kubernetes"]["node_labels"], {"zone": "z1"})
        self.assertEqual(record["kubernetes_namespace"], {"name": "paid", "labels": {"cost": "7"}})
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_labels_of_the_namespace_are_not_waited_for_for_ever(self):
        self.cluster.rule(verb="list|watch", path="^/api/v1/namespaces", status=403)
        container = self.pod("first").container()
        container.write(20)
        collector = self.follow_api(metadata="labels, namespace_labels", metadata_wait=NEAR)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.knows(collector, began_without=1, error=None)
        self.finish(self.end, self.judge_of, self.node.written, collector)


class AutoTest(ClusterCase):
    """The kubelet first; the API server where it does not answer."""

    def setUp(self):
        super().setUp()
        self.kubelet_end = self.kubelet_api()
        self.container = self.pod("web").container()
        self.container.write(20)
        self.kubelet_end.put(self.container.pod)

    def follow_auto(self, **rows):
        return self.follows(self.kubelet_end, kubeconfig=self.cluster.admin, metadata_source="auto", **rows)

    def end_well(self, collector):
        self.container.write(20)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_kubelet_that_answers_is_the_source(self):
        collector = self.follow_auto()
        self.all_known(collector)
        self.knows(collector, source="kubelet", answering=True)
        self.assertEqual(self.asked(), [])
        self.end_well(collector)

    def test_kubelet_that_refuses_us(self):
        self.kubelet_end.status = 403
        collector = self.follow_auto()
        self.all_known(collector)
        self.knows(collector, source="api", answering=True, error="")
        self.assertEqual(len(self.kubelet_end.asked), 1)
        self.assertEqual(collector.errors().count("no metadata from their source"), 1)
        self.end_well(collector)

    def test_kubelet_that_is_not_there(self):
        self.kubelet_end.stop()
        collector = self.follow_auto()
        self.all_known(collector)
        self.knows(collector, source="api", answering=True)
        self.end_well(collector)

    def test_neither_is_there_and_then_the_api_server(self):
        self.kubelet_end.stop()
        self.cluster.down()
        collector = self.follow_auto()
        self.knows(collector, source="api", answering=False, error=None)
        self.cluster.up()
        self.all_known(collector)
        self.end_well(collector)

    def test_neither_is_there_and_then_the_kubelet(self):
        """It is asked again when the API server has had its time."""
        self.kubelet_end.status = 403
        self.cluster.down()
        collector = self.follow_auto()
        self.knows(collector, source="api", answering=False, error=None)
        self.kubelet_end.status = 200
        self.all_known(collector)
        self.knows(collector, source="kubelet", answering=True, error="")
        self.end_well(collector)

    def test_kubelet_stays_the_source_when_it_fails_later(self):
        collector = self.follow_auto()
        self.all_known(collector)
        self.knows(collector, source="kubelet", answering=True)
        self.kubelet_end.status = 500
        self.another_list(self.kubelet_end)
        self.knows(collector, source="kubelet", answering=False, error=None)
        self.kubelet_end.status = 200
        self.knows(collector, source="kubelet", answering=True, error="")
        self.assertEqual(self.asked(), [])
        self.end_well(collector)

    def test_what_only_the_api_server_has(self):
        collector = self.follow_auto(metadata="labels, node_labels")
        self.all_known(collector)
        self.knows(collector, source="api", answering=True)
        self.assertEqual(self.kubelet_end.asked, [])
        self.end_well(collector)

    def test_outside_of_a_cluster_there_is_none(self):
        collector = self.collector({"main": self.end}, start=False)
        collector.environment = {"KUBERNETES_SERVICE_HOST": ""}
        collector.start()
        self.assertEqual(collector.status()["metadata"], {"source": "none"})
        self.assertNotIn("metadata", collector.errors())
        self.end_well(collector)

    def test_in_a_pod_without_an_account_there_is_none_and_a_line_says_so(self):
        collector = self.collector({"main": self.end}, start=False)
        collector.environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
        collector.start()
        self.assertEqual(collector.status()["metadata"], {"source": "none"})
        self.assertEqual(collector.errors().count("no source of metadata"), 1)
        self.end_well(collector)


if __name__ == "__main__":
    case.main()

#!/usr/bin/env python3
"""What outputs make of metadata: records in each schema, destinations by labels, and pods that say too much."""

import copy
import json
import signal
import threading
import unittest

from kit import case, mock
from kit.endpoint import OK, Answer
from kit.metadata import FAR, MetadataCase
from kit.wait import until

BUSY, FORBIDDEN = Answer(status=503), Answer(status=403)
EVERYTHING = "labels, annotations, owner, image, image_id, container_id, pod_ip"
LABELS = {"app": "web", "app.kubernetes.io/name": "shop \"1\"", "empty": "", "pod-template-hash": "h1"}
ANNOTATIONS = {"team/x": "blue", "secret/y": "not chosen"}
OWNER = {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-h1", "uid": "u", "controller": True}]}


class SchemaTest(MetadataCase):
    def fluentbit(self, pod):
        return {"kubernetes": {"namespace_name": "shop", "pod_name": "web-1", "pod_id": pod.uid, "pod_ip": "10.1.2.3", "container_name": "app", "host": "node-1",
                               "docker_id": "app-1", "container_image": "registry.example/app:1", "container_hash": "sha256:app", "labels": LABELS,
                               "annotations": {"team/x": "blue"}, "ownerReferences": [{"kind": "Deployment", "name": "web"}]}}

    def vector(self, pod):
        return {"kubernetes": {"pod_namespace": "shop", "pod_name": "web-1", "pod_uid": pod.uid, "pod_ip": "10.1.2.3", "container_name": "app",
                               "pod_node_name": "node-1", "container_id": "app-1", "container_image": "registry.example/app:1",
                               "container_image_id": "sha256:app", "pod_labels": LABELS, "pod_annotations": {"team/x": "blue"},
                               "pod_owner": "Deployment/web"}}

    def ecs(self, pod):
        labels = {"app": "web", "app_kubernetes_io_name": "shop \"1\"", "empty": "", "pod-template-hash": "h1"}
        return {"kubernetes": {"namespace": "shop", "pod": {"name": "web-1", "uid": pod.uid, "ip": "10.1.2.3"}, "container": {"name": "app"},
                               "node": {"name": "node-1"}, "labels": labels, "annotations": {"team_x": "blue"}, "deployment": {"name": "web"}},
                "container": {"id": "app-1", "image": {"name": "registry.example/app:1", "hash": {"all": ["sha256:app"]}}}}

    def otel(self, pod):
        labels = {f"k8s.pod.label.{name}": value for name, value in LABELS.items()}
        return {"resource": {"attributes": {"k8s.namespace.name": "shop", "k8s.pod.name": "web-1", "k8s.pod.uid": pod.uid, "k8s.pod.ip": "10.1.2.3",
                                            "k8s.container.name": "app", "k8s.container.restart_count": 0, "k8s.node.name": "node-1",
                                            "container.id": "app-1", "container.image.name": "registry.example/app", "container.image.tags": ["1"],
                                            "container.image.id": "sha256:app", "k8s.deployment.name": "web",
                                            "k8s.pod.annotation.team/x": "blue", **labels}}}

    def test_a_record_in_each_schema(self):
        """Time, stream and text under their names, and all the rest word for word."""
        api, ends = self.kubelet_api(), {name: self.endpoint() for name in ("fluentbit", "vector", "ecs", "otel")}
        container = self.node.container()
        api.put(container.pod, LABELS, ANNOTATIONS, **OWNER)
        now, stream, text = container.line(stream="stderr")
        container.put(container.encode(now, stream, text))
        collector = self.follows(api, {name: self.http(end, metadata_schema=name, record_id="on") for name, end in ends.items()},
                                 metadata=EVERYTHING, annotations="team/*")
        until(lambda: all(len(end.taken) == 1 for end in ends.values()), "a record at each end")
        collector.stop()
        records = {name: end.taken[0] for name, end in ends.items()}
        self.assertEqual(len({record.pop("id") for record in records.values()}), 1, "the same id in all of them")
        text = text.decode()
        self.assertEqual(records["fluentbit"], {"time": now, "stream": "stderr", "log": text, **self.fluentbit(container.pod)})
        self.assertEqual(records["vector"], {"timestamp": now, "stream": "stderr", "message": text, **self.vector(container.pod)})
        self.assertEqual(records["ecs"], {"@timestamp": now, "stream": "stderr", "message": text, **self.ecs(container.pod)})
        nanoseconds = records["otel"].pop("timeUnixNano")
        self.assertEqual(records["otel"], {"attributes": {"log.iostream": "stderr"}, "body": text, **self.otel(container.pod)})
        self.assertEqual(nanoseconds[-9:], now[-10:-1])

    def test_another_schema_by_a_reload(self):
        """What goes to one end changes its names, the other one goes on; nothing is lost or sent twice."""
        api, other, other_judge = self.kubelet_api(), self.endpoint(), self.oracle()
        container = self.node.container()
        container.write(20)
        api.put(container.pod, LABELS)
        collector = self.follows(api, {"main": self.end, "other": other})
        self.arrived(self.end, self.judge_of, self.node.written)
        self.arrived(other, other_judge, self.node.written)
        self.settled(collector)
        sections = copy.deepcopy(self.sections)
        sections["output:main"]["metadata_schema"] = "vector"
        collector.configure(sections)
        collector.signal(signal.SIGHUP)
        until(lambda: collector.status()["reloads"] == 1, "reloaded")
        container.write(20)
        self.arrived(other, other_judge, self.node.written)
        until(lambda: len(self.end.taken) == 20, "the rest")
        self.assertTrue(all(record["kubernetes"]["pod_labels"] == LABELS and "message" in record for record in self.end.taken))
        self.settled(collector)
        collector.stop()
        self.judge(other, other_judge, self.node.written)
        self.assertEqual(len(self.end.taken), 20)

    def test_another_kubelet_by_a_reload(self):
        """It changes nothing in what records say: what is under way stays under way, while another output begins anew."""
        old, new, other = self.kubelet_api(), self.kubelet_api(), self.endpoint()
        container = self.node.container()
        container.write(20)
        for api in (old, new):
            api.put(container.pod, LABELS)
        self.end.gate.clear()
        other.gate.clear()
        collector = self.collector({"main": self.end, "other": other}, collector={"shutdown_timeout": "200ms"},
                                   kubernetes={"metadata_source": "kubelet", "metadata_wait": FAR, "kubelet_url": old.url})
        until(lambda: self.end.open_count == other.open_count == 1, "both under way")
        sections = copy.deepcopy(self.sections)
        sections["kubernetes"]["kubelet_url"] = new.url
        sections["output:other"]["batch_age"] = "51ms"
        collector.configure(sections)
        collector.signal(signal.SIGHUP)
        until(lambda: other.number == 2, "the other one again")
        self.assertGreater(len(new.asked), 0)
        self.assertEqual(self.end.number, 1)
        self.end.gate.set()
        other.gate.set()
        container.write(20)
        self.finish(self.end, self.judge_of, self.node.written, collector)
        self.assertEqual(self.missing(collector), 0)

    def test_annotations_of_a_quarter_of_a_megabyte(self):
        """What has no room is left out and counted; records go on, also long ones."""
        api = self.kubelet_api()
        container = self.node.container()
        api.put(container.pod, LABELS, {f"a/{number:03}": "\x01" * 1000 for number in range(256)})
        container.write(20)
        container.write(2, size=800_000)
        collector = self.follows(api, annotations="*")
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertGreater(collector.metric("drave_metadata_events_total", event="left_out"), 200)
        self.finish(self.end, self.judge_of, self.node.written, collector)


class DestinationTest(MetadataCase):
    """Labels choose where records go."""

    def setUp(self):
        super().setUp()
        self.api = self.kubelet_api()
        self.came = []  # (path, headers, records)
        self.end.behave = self.note

    def note(self, request):
        self.came.append((request.path, request.headers, request.records))
        return OK

    def labelled(self, pod, labels=None, annotations=None):
        container = self.node.container(pod=pod)
        container.write(20)
        self.api.put(container.pod, labels, annotations)
        return container

    def pods_by(self, key):
        """key of (path, headers) -> names of pods whose records came so."""
        found = {}
        for path, headers, records in self.came:
            found.setdefault(key(path, headers), set()).update(record["kubernetes"]["pod_name"] for record in records)
        return found

    def follow(self, **rows):
        return self.follows(self.api, {"main": self.http(self.end, **rows)})

    def test_url_and_headers(self):
        """An annotation that only a template names is known too, and not in records; nobody breaks out of a path or a header."""
        self.labelled("labelled", {"app": "web"}, {"team/x": "blue"})
        self.labelled("evil", {}, {"team/x": "../a b\r\nX-Evil: yes?c#d"})
        self.labelled("up", {"app": "x"}, {"team/x": ".."})
        self.labelled("long", {"app": "x"}, {"team/x": "y" * 254})
        self.labelled("bare")
        collector = self.follow(url=f"{self.end.url}/{{label:app:-none}}/{{annotation:team/x:-grey}}?p={{pod}}", **{"header.X-Team": "{annotation:team/x}"})
        self.finish(self.end, self.judge_of, self.node.written, collector)
        self.assertEqual(self.pods_by(lambda path, headers: (path, headers.get("X-Team"), headers.get("X-Evil"))), {
            ("/in/web/blue?p=labelled", "blue", None): {"labelled"},
            ("/in/none/..%2Fa%20b%0D%0AX-Evil%3A%20yes%3Fc%23d?p=evil", "../a b__X-Evil: yes?c#d", None): {"evil"},
            ("/in/x/__?p=up", "..", None): {"up"},
            ("/in/x/grey?p=long", None, None): {"long"},
            ("/in/none/grey?p=bare", None, None): {"bare"}})
        self.assertTrue(all("annotations" not in record["kubernetes"] for _, _, records in self.came for record in records))

    def test_labels_that_change(self):
        """Later records go elsewhere; what was written before stays where it is."""
        container = self.labelled("web", {"app": "old"})
        collector = self.follow(url=f"{self.end.url}/{{label:app:-none}}")
        self.arrived(self.end, self.judge_of, self.node.written)
        self.api.put(container.pod, {"app": "new"})
        self.another_list(self.api)
        self.knows(collector, pods=2)
        container.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.finish(self.end, self.judge_of, self.node.written, collector)
        count = {}
        for path, _, records in self.came:
            count[path] = count.get(path, 0) + len(records)
        self.assertEqual(count, {"/in/old": 20, "/in/new": 20})

    def test_order_holds_when_a_header_changes(self):
        """What is written after the change waits for what was refused before it."""
        container = self.labelled("web", {"app": "old"})
        refused, is_open = [], threading.Event()

        def refuse_old(request):
            if request.headers.get("X-App") == "old" and not is_open.is_set():
                refused.append(request.number)
                return BUSY
            return self.note(request)

        self.end.behave = refuse_old
        collector = self.follow(**{"header.X-App": "{label:app}"})
        until(lambda: refused, "a refusal")
        self.api.put(container.pod, {"app": "new"})
        self.another_list(self.api)
        self.knows(collector, pods=2)
        container.write(20)
        self.sizes_seen(collector, self.node.sizes)
        count = len(refused)
        until(lambda: len(refused) > count + 1, "two more refusals")
        is_open.set()
        self.finish(self.end, self.judge_of, self.node.written, collector)
        came = [headers.get("X-App") for _, headers, records in self.came]
        self.assertEqual(came, ["old"] * came.count("old") + ["new"] * came.count("new"))
        self.assertIn("new", came)

    def test_what_a_wrong_label_held_goes_by_the_right_one_after_a_restart(self):
        """And not before, in front of what was read first."""
        container = self.labelled("web", {"app": "wrong"})
        refused = []

        def refuse_wrong(request):
            if request.path != "/in/wrong":
                return self.note(request)
            refused.append(request.number)
            return FORBIDDEN

        self.end.behave = refuse_wrong
        collector = self.follow(url=f"{self.end.url}/{{label:app:-none}}")
        until(lambda: refused, "a refusal")
        self.api.put(container.pod, {"app": "right"})
        self.another_list(self.api)
        self.knows(collector, pods=2)
        container.write(20)
        self.sizes_seen(collector, self.node.sizes)
        count = len(refused)
        until(lambda: len(refused) > count, "another refusal")
        self.assertEqual(self.came, [])
        collector.kill()
        collector.start()
        self.finish(self.end, self.judge_of, self.node.written, collector)
        self.assertEqual(self.pods_by(lambda path, headers: path), {"/in/right": {"web"}})

    def test_many_destinations_that_hold_do_not_stop_the_others(self):
        """Together they would have more than all the memory; nothing of them is lost."""
        bad = [self.labelled(f"bad-{number}", {"app": f"bad-{number}"}) for number in range(10)]
        is_open = threading.Event()
        self.end.behave = lambda request: self.note(request) if is_open.is_set() or "/bad-" not in request.path else FORBIDDEN
        for container in bad:
            container.write(2000)
        collector = self.follows(self.api, {"main": self.http(self.end, url=f"{self.end.url}/{{label:app:-none}}", batch_size="64KiB")}, start=False)
        self.sections["collector"]["memory_limit"] = "1MiB"
        collector.configure(self.sections)
        collector.start()
        until(lambda: collector.metric("drave_output_unproven_limit_total"), "the limit is reached")
        good = self.labelled("good", {"app": "good"})
        self.another_list(self.api)
        good.write(2000)
        until(lambda: sum(len(records) for path, _, records in self.came if path == "/in/good") == 2020, lambda: collector.get("/status"))
        self.assertEqual({path for path, _, _ in self.came} - {"/in/none"}, {"/in/good"})
        is_open.set()
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_without_a_cluster_the_text_behind_stands(self):
        container = self.node.container(pod="web")
        container.write(20)
        collector = self.collector({"main": self.http(self.end, url=f"{self.end.url}/{{label:app:-none}}")}, start=False)
        collector.environment = {"KUBERNETES_SERVICE_HOST": ""}
        collector.start()
        self.assertIn("templates that name labels cannot be filled", collector.errors())
        self.finish(self.end, self.judge_of, self.node.written, collector)
        self.assertEqual(self.pods_by(lambda path, headers: path), {"/in/none": {"web"}})


class TopicTest(MetadataCase):
    def begin(self, **rows):
        self.api, self.mock = self.kubelet_api(), mock.Mock()
        self.addCleanup(self.mock.stop)
        for topic in ("logs.web", "logs.none", "logs.a_b___none", "logs.a_b___", "other"):
            self.mock.tell("topic", topic, 1, 1)
        for pod, labels, annotations in (("web", {"app": "web"}, {}), ("odd", {}, {"topic": "a b/ü"}), ("bare", {}, {})):
            container = self.node.container(pod=pod)
            container.write(20)
            self.api.put(container.pod, labels, annotations)
        self.under_test = self.follows(self.api, {"main": {"type": "kafka", "brokers": self.mock.address, "batch_age": "50ms", "retry_backoff": "50ms..500ms",
                                                          **rows}})
        self.sizes_seen(self.under_test, self.node.sizes)
        self.settled(self.under_test)
        self.under_test.stop()

    def came(self, topic):
        """Messages of this topic, as (pod, key, headers), each of which came twenty times."""
        found = {}
        for message in self.mock.read(topic):
            record = json.loads(message.value)
            what = record["kubernetes"]["pod_name"], message.key, message.headers
            found[what] = found.get(what, 0) + 1
            self.judge_of.take(record)
        self.assertEqual(set(found.values()) | {20}, {20})
        return set(found)

    def test_topic_key_and_headers(self):
        self.begin(topic="logs.{annotation:topic:-}{label:app:-none}", key="{label:app}", headers="app={label:app}, tier={label:tier:-x}")
        self.assertEqual(self.came("logs.web"), {("web", b"web", "app=web,tier=x")})
        self.assertEqual(self.came("logs.none"), {("bare", b"shop/bare/app", "tier=x")})
        self.assertEqual(self.came("logs.a_b___none"), {("odd", b"shop/odd/app", "tier=x")})
        self.assertEqual(self.judge_of.verdict(self.node.written).faults(), [])

    def test_fallback_topic(self):
        self.begin(topic="logs.{annotation:topic}", fallback_topic="other")
        self.assertEqual({pod for pod, _, _ in self.came("logs.a_b___")}, {"odd"})
        self.assertEqual({pod for pod, _, _ in self.came("other")}, {"web", "bare"})
        self.assertEqual(self.judge_of.verdict(self.node.written).faults(), [])


if __name__ == "__main__":
    case.main()

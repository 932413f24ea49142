#!/usr/bin/env python3
"""What the kubelet or the API server knows of pods: who is asked, how, for how long, and what happens when nobody answers."""

import os
import signal
import time
import unittest

from kit import case
from kit.metadata import FAR, NEAR, MetadataCase
from kit.wait import until

class TlsTest(MetadataCase):
    """The kubelet proves who it is, or is not told who we are."""

    def follow_tls(self, api, authority, **rows):
        return self.follows(api, kubeconfig=self.kubeconfig(), **{"kubelet_ca_file": authority.ca, **rows})

    def test_certificate_and_token(self):
        authority = self.authority()
        api = self.kubelet_api(authority.good())
        container = self.node.container()
        container.write(20)
        api.put(container.pod, {"app": "web"})
        collector = self.follow_tls(api, authority)
        self.finish(self.end, self.judge_of, self.node.written, collector)
        self.assertEqual(api.unauthorized, 0)

    def test_name_of_the_node_alone(self):
        """As in a kubelet's self-signed certificate: no address, so the name has to be said."""
        authority = self.authority()
        api = self.kubelet_api(authority.good("node", "DNS:node-1"))
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        collector = self.follow_tls(api, authority, kubelet_server_name="node-1")
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def refused(self, api, authority):
        container = self.node.container()
        container.write(20)
        collector = self.follow_tls(api, authority, metadata_wait=NEAR)
        self.knows(collector, answering=False, error=None)
        self.assertEqual(api.asked, [], "not even a request")
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 20)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_wrong_name_is_refused(self):
        authority = self.authority()
        self.refused(self.kubelet_api(authority.wrong_name()), authority)

    def test_stranger_is_refused(self):
        authority = self.authority()
        self.refused(self.kubelet_api(authority.self_signed()), authority)

    def test_insecure_is_explicit_and_warned_about(self):
        authority = self.authority()
        api = self.kubelet_api(authority.wrong_name())
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        collector = self.follow_tls(api, authority, kubelet_insecure="on")
        self.assertIn("certificates are not verified", collector.errors())
        self.finish(self.end, self.judge_of, self.node.written, collector)


class WaitTest(MetadataCase):
    """A container begins when its pod is known, or has waited long enough, or nobody knows it."""

    def test_late_metadata_within_the_wait(self):
        api = self.kubelet_api()
        api.delay = 0.3
        containers = self.node.fleet(5)
        for container in containers:
            container.write(20)
            api.put(container.pod)
        collector = self.follows(api)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_unknown_pod_is_asked_for(self):
        """Not after 30 seconds, but at once; the one a list does not have is nobody's, and not waited for."""
        api = self.kubelet_api()
        collector = self.follows(api)
        self.knows(collector, answering=True)
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        self.arrived(self.end, self.judge_of, self.node.written)
        stranger = self.node.container(pod="stranger")
        stranger.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 20)
        self.assertTrue(all(b - a > 0.95 for a, b in zip(api.asked, api.asked[1:])), "at most once a second")
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_nothing_is_read_before(self):
        api = self.kubelet_api()
        api.delay = 3600
        container = self.node.container()
        container.write(20)
        collector = self.follows(api)
        self.knows(collector, waiting_containers=1)
        self.assertEqual(collector.metric("drave_audit_bytes", term="read"), 0)
        self.assertGreater(collector.metric("drave_input_lag_bytes"), 0)
        collector.stop()
        self.assertEqual(self.end.taken, [])

    def test_beyond_the_wait(self):
        """Records go on without and are counted; those that come after the metadata are not."""
        api = self.kubelet_api()
        api.stop()
        containers = self.node.fleet(4)
        for container in containers:
            container.write(20)
            api.put(container.pod)
        collector = self.follows(api, metadata_wait=NEAR)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 80)
        began = time.monotonic()
        later = self.node.container(pod="later")
        later.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertLess(time.monotonic() - began, 5, "a source that is known dead is not waited for again")
        api.put(later.pod)
        api.start()
        self.knows(collector, answering=True, pods=5)
        for container in self.node.containers:
            container.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 100)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_source_none_waits_for_nothing(self):
        container = self.node.container()
        container.write(20)
        collector = self.collector({"main": self.end}, kubernetes={"metadata_source": "none", "metadata_wait": FAR})
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(collector.status()["metadata"], {"source": "none"})
        self.assertNotIn("drave_metadata", collector.metrics().text)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_once_waits_too(self):
        """Also for longer than anything else may stand still."""
        api = self.kubelet_api()
        api.delay = 1
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        collector = self.follows(api, start=False)
        self.sections["collector"]["shutdown_timeout"] = "300ms"
        collector.configure(self.sections)
        status, _ = collector.run("--once")
        self.assertEqual(status, 0, collector.errors())
        self.judge(self.end, self.judge_of, self.node.written)


class TroubleTest(MetadataCase):
    """The source fails in all ways; nothing ends, nothing is lost."""

    def goes_on(self, api, **rows):
        container = self.node.container()
        container.write(20)
        collector = self.follows(api, **{"metadata_wait": NEAR, **rows})
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 20)
        return collector

    def mends(self, api, collector):
        for container in self.node.containers:
            api.put(container.pod)
        self.knows(collector, answering=True, error="")
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_403_is_told_and_goes_on(self):
        api = self.kubelet_api()
        api.status = 403
        collector = self.goes_on(api)
        told = self.knows(collector, answering=False, error=None)
        self.assertGreater(told["failures"], 0)
        self.assertEqual(collector.metric("drave_metadata_source_up", source="kubelet"), 0)
        self.assertEqual(collector.errors().count("no metadata from their source"), 1)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_500_is_tried_again(self):
        api = self.kubelet_api()
        api.status = 500
        collector = self.goes_on(api)
        api.status = 200
        self.mends(api, collector)

    def test_no_list(self):
        api = self.kubelet_api()
        api.body = b"<html>"
        collector = self.goes_on(api)
        api.body = None
        self.mends(api, collector)

    def test_a_cut_list_takes_nobody_away(self):
        api = self.kubelet_api()
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, self.node.written)
        api.body = b'{"kind":"PodList","items":[{"metadata":'
        asked = len(api.asked)
        self.node.container(pod="asks").write(20)
        until(lambda: len(api.asked) > asked, "a request")
        self.knows(collector, answering=False, pods=1)
        api.body = None
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_a_list_whose_connection_breaks_takes_nobody_away(self):
        api = self.kubelet_api()
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, self.node.written)
        del api.pods[container.pod.uid]
        api.cut = 0.5
        self.another_list(api)
        told = self.knows(collector, answering=False, error=None)
        self.assertGreaterEqual(told["pods"], 1)
        api.put(container.pod)
        api.cut = None
        self.knows(collector, answering=True, error="")
        self.finish(self.end, self.judge_of, self.node.written, collector)
        self.assertEqual(collector.errors().count("metadata come again"), 1)

    def test_down_later(self):
        """Who is known stays known; who comes then is waited for once, and the kubelet is asked until it answers."""
        api = self.kubelet_api()
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        collector = self.follows(api, metadata_wait=NEAR)
        self.arrived(self.end, self.judge_of, self.node.written)
        api.stop()
        later = self.node.container(pod="later")
        for each in (container, later):
            each.write(20)
        api.put(later.pod)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 20)
        self.knows(collector, answering=False, error=None, began_without=1)
        api.start()
        self.knows(collector, answering=True, error="", pods=2)
        later.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 20)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_a_large_list_is_taken_apart_as_it_comes(self):
        """10 MB of pods, of which records need little."""
        api = self.kubelet_api()
        containers = self.node.fleet(100)
        for container in containers:
            container.write(5)
            api.put(container.pod, {"app": "web"}, managedFields=[{"manager": "x" * 100_000}])
        collector = self.follows(api)
        self.knows(collector, answering=True, pods=100)
        self.arrived(self.end, self.judge_of, self.node.written)
        if not case.IS_SANITIZED:
            self.assertLess(collector.metric("process_resident_memory_bytes"), 24 << 20)
        self.assertEqual(self.missing(collector), 0)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_a_token_is_read_again_when_it_was_replaced(self):
        authority = self.authority()
        api = self.kubelet_api(authority.good())
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        token = os.path.join(self.dir, "token")
        self.put_token(token, api.token)
        collector = self.follows(api, kubeconfig=self.kubeconfig(tokenFile=token), kubelet_ca_file=authority.ca)
        self.arrived(self.end, self.judge_of, self.node.written)
        api.token = "another-token"
        self.put_token(token, api.token)
        self.another_list(api)
        self.node.containers[-1].write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(api.unauthorized, 1)
        self.assertEqual(self.missing(collector), 0)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def put_token(self, path, token):
        with open(f"{path}.new", "w") as file:
            file.write(token)
        os.rename(f"{path}.new", path)

    def test_credentials_that_come_later(self):
        """Who names an account is not taken for nobody while its token cannot be read."""
        authority = self.authority()
        api = self.kubelet_api(authority.good())
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        token = os.path.join(self.dir, "token")
        collector = self.follows(api, kubeconfig=self.kubeconfig(tokenFile=token), kubelet_ca_file=authority.ca, metadata_wait=NEAR)
        self.knows(collector, answering=False, error=None)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.put_token(token, api.token)
        self.knows(collector, answering=True, error="", pods=1)
        self.assertEqual(api.unauthorized, 0)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_odd_pods_cost_nobody_else(self):
        api = self.kubelet_api()
        container = self.node.container()
        container.write(20)
        api.pods["odd"] = {"metadata": {"name": 7}}
        api.put(container.pod)
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertGreater(collector.metric("drave_metadata_events_total", event="unreadable"), 0)
        self.assertEqual(self.missing(collector), 0)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_a_list_that_is_none_of_a_kubelet_is_not_read_to_its_end(self):
        api = self.kubelet_api()
        api.body = b'{"kind":"PodList","items":[' + b" " * (65 << 20) + b"]}"
        collector = self.goes_on(api)
        self.assertIn("longer than", self.knows(collector, answering=False, error=None)["error"])
        self.finish(self.end, self.judge_of, self.node.written, collector)


class ExcludeTest(MetadataCase):
    EXCLUDE = {"drave.dev/exclude": "true"}

    def two(self, api, annotations):
        kept, other = self.node.container(pod="kept"), self.node.container(pod="other")
        for container in (kept, other):
            container.write(20)
        api.put(kept.pod)
        api.put(other.pod, annotations=annotations)
        return kept, other

    def test_excluded_from_the_start(self):
        api = self.kubelet_api()
        kept, other = self.two(api, self.EXCLUDE)
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, {kept.key: 20})
        told = self.knows(collector, excluded=[{"namespace": "shop", "pod": "other", "uid": other.pod.uid, "container": "app"}])
        self.assertEqual(told["refused"], [])
        rows = collector.streams()
        self.assertEqual([row["pod"] for row in rows if row.get("excluded")], ["other"])
        self.let_go(collector, "other")
        self.assertEqual(collector.metric("drave_metadata_excluded_pods"), 1)
        other.write(20)
        kept.write(20)
        self.finish(self.end, self.judge_of, {kept.key: 40}, collector)
        self.assertEqual(set(self.judge_of.copies), {kept.key})

    def test_included_again(self):
        api = self.kubelet_api()
        kept, other = self.two(api, self.EXCLUDE)
        collector = self.follows(api)
        self.knows(collector, excluded=None)
        self.let_go(collector, "other")
        api.put(other.pod)
        self.another_list(api)
        self.knows(collector, excluded=[])
        other.write(20)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_excluded_while_it_is_read(self):
        """What was read arrives, what comes then does not, and nothing comes twice when it is read again."""
        api = self.kubelet_api()
        kept, other = self.two(api, {})
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, self.node.written)
        api.put(other.pod, annotations=self.EXCLUDE)
        self.another_list(api)
        self.let_go(collector, "other")
        other.write(20)
        kept.write(20)
        self.arrived(self.end, self.judge_of, {kept.key: 40, other.key: 20})
        self.assertEqual(len(self.judge_of.copies[other.key]), 20)
        api.put(other.pod)
        self.another_list(api)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_marks_of_an_excluded_pod_last(self):
        """Across a restart, a rotation, and rows of files that nobody has open: read on where it was, nothing twice."""
        api = self.kubelet_api()
        kept, other = self.two(api, {})
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, self.node.written)
        api.put(other.pod, annotations=self.EXCLUDE)
        self.another_list(api)
        self.let_go(collector, "other")
        other.write(20)
        self.settled(collector)
        collector.stop()
        other.rotate()
        other.write(20)
        collector.start()
        self.knows(collector, excluded=None)
        self.let_go(collector, "other")
        self.assertEqual(collector.metric("drave_input_lag_bytes"), 0)
        other.write(20)
        api.put(other.pod)
        self.another_list(api)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_read_from_tail_skips_nothing_of_a_pod_that_is_included_again(self):
        """Its log was rotated meanwhile: the new file is no file that was there before the output."""
        api = self.kubelet_api()
        kept, other = self.two(api, {})
        before = self.node.written
        collector = self.follows(api, read_from="tail")
        until(lambda: len(collector.streams()) == 2, "both found")
        kept.write(20)
        other.write(20)
        until(lambda: len(self.end.taken) >= 40, "what came arrived")
        api.put(other.pod, annotations=self.EXCLUDE)
        self.another_list(api)
        self.let_go(collector, "other")
        other.rotate()
        other.write(20)
        api.put(other.pod)
        self.another_list(api)
        other.write(20)
        until(lambda: len(self.end.taken) >= 80, "all that came arrived")
        collector.stop()
        self.end.pump(self.judge_of)
        for container in (kept, other):
            expected = list(range(before[container.key], container.sequence))
            self.assertEqual(sorted(self.judge_of.copies[container.key]), expected)

    def test_excluded_and_back_while_the_output_is_away(self):
        api, away = self.kubelet_api(), self.endpoint()
        kept, other = self.two(api, {})
        collector = self.follows(api, {"main": self.end, "away": away})
        self.arrived(self.end, self.judge_of, self.node.written)
        away.gate.clear()
        other.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        for annotations in (self.EXCLUDE, {}, self.EXCLUDE, {}):
            api.put(other.pod, annotations=annotations)
            self.another_list(api)
            self.knows(collector, excluded=None if annotations else [])
        other.write(20)
        away.gate.set()
        other_judge = self.oracle()
        self.arrived(away, other_judge, self.node.written)
        self.finish(self.end, self.judge_of, self.node.written, collector)
        self.judge(away, other_judge, self.node.written)

    def test_one_container_of_a_pod(self):
        api = self.kubelet_api()
        pod = self.node.pod()
        app, side = pod.container("app"), pod.container("side")
        for container in (app, side):
            container.write(20)
        api.put(pod, annotations={"drave.dev/exclude-side": "true"})
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, {app.key: 20})
        self.knows(collector, excluded=[{"namespace": "shop", "pod": pod.name, "uid": pod.uid, "container": "side"}])
        until(lambda: [row["container"] for row in collector.streams() if row["output"]] == ["app"], "its files let go")
        self.assertEqual(set(self.judge_of.copies), {app.key})
        api.put(pod, annotations={"drave.dev/exclude": "true", "drave.dev/exclude-side": "false"})
        self.another_list(api)
        until(lambda: [row["container"] for row in collector.streams() if row["output"] and row["pod"] == pod.name] == ["side"], "the other way round")
        self.assertEqual(collector.metric("drave_metadata_excluded_pods"), 1)
        api.put(pod)
        self.another_list(api)
        app.write(20)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def deleted_while_away(self, api, container, collector):
        """kubelet rotates its files away, as many as there are."""
        self.settled(collector)
        collector.stop()
        container.write(20)
        for _ in range(self.node.max_files + 1):
            container.rotate()
            container.write(20)
        api.delay = 0.3  # longer than the first look takes
        collector.start()

    def lost(self, collector):
        return collector.metric("drave_input_lost_segments_total"), collector.metric("drave_input_lost_bytes_total")

    def test_files_of_an_excluded_pod_that_are_deleted_are_no_gap(self):
        api = self.kubelet_api()
        kept, other = self.two(api, self.EXCLUDE)
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, {kept.key: 20})
        self.let_go(collector, "other")
        self.deleted_while_away(api, other, collector)
        self.knows(collector, answering=True, excluded=None)
        kept.write(20)
        self.arrived(self.end, self.judge_of, {kept.key: 40})
        self.assertEqual(self.lost(collector), (0, 0))
        self.finish(self.end, self.judge_of, {kept.key: 40}, collector)
        self.assertEqual(set(self.judge_of.copies), {kept.key})

    def test_files_of_another_pod_that_are_deleted_are_one(self):
        api = self.kubelet_api()
        kept, other = self.two(api, {})
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.deleted_while_away(api, other, collector)
        until(lambda: self.lost(collector)[0] == 1, "counted")
        api.delay = 3600  # nor does it take a source that answers
        self.deleted_while_away(api, other, collector)
        self.assertEqual(self.lost(collector)[0], 0)
        self.sections["kubernetes"]["metadata_wait"] = NEAR
        collector.configure(self.sections)
        collector.signal(signal.SIGHUP)
        until(lambda: self.lost(collector)[0] == 1, "counted")
        self.settled(collector)

    def test_other_annotations_of_ours_are_refused_and_harmless(self):
        api = self.kubelet_api()
        self.two(api, {"drave.dev/parser": "json", "drave.dev/exclude": "maybe"})
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, self.node.written)
        told = self.knows(collector, refused=None)["refused"]
        self.assertEqual([(row["pod"], row["annotation"].split("/")[0]) for row in told], [("other", "drave.dev")])
        self.assertEqual(collector.errors().count("has no effect"), 1)
        self.finish(self.end, self.judge_of, self.node.written, collector)


class GoneTest(MetadataCase):
    def test_a_pod_that_is_gone_is_known_until_its_last_line(self):
        api = self.kubelet_api()
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        self.end.gate.clear()
        collector = self.follows(api, {"main": self.http(self.end, lanes=1, batch_records=10)})
        self.knows(collector, pods=1)
        until(lambda: self.end.open_count > 0, "a request under way")
        container.write(2000)
        written = self.node.written
        self.seen(collector, container)
        del api.pods[container.pod.uid]
        container.pod.delete()
        asker = self.node.container(pod="asker")
        asker.write(1)
        api.put(asker.pod)
        asked = len(api.asked)
        until(lambda: len(api.asked) > asked, "a list without it")
        self.end.gate.set()
        written[asker.key] = 1
        self.arrived(self.end, self.judge_of, written)
        self.assertEqual(self.missing(collector), 0)
        self.finish(self.end, self.judge_of, written, collector)


class RestartTest(MetadataCase):
    def test_each_run_has_its_own_id_or_none(self):
        api = self.kubelet_api()
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, self.node.written)
        asked = len(api.asked)
        container.restart()
        container.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        until(lambda: len(api.asked) > asked, "asked at once")
        api.put(container.pod)

        def carries_the_new_one():
            container.write(1)
            self.arrived(self.end, self.judge_of, self.node.written)
            return self.judge_of.records[-1]["kubernetes"].get("docker_id") == "app-2"
        until(carries_the_new_one, "the new id")
        ids = [record["kubernetes"].get("docker_id") for record in self.judge_of.records]
        self.assertEqual(set(ids[:20]), {"app-1"})
        self.assertEqual(set(ids[20:]), {None, "app-2"})
        self.finish(self.end, self.judge_of, self.node.written, collector)


class ReloadTest(MetadataCase):
    def test_another_source_is_taken_by_a_reload(self):
        api = self.kubelet_api()
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        collector = self.follows(api, metadata_source="none")
        self.arrived(self.end, self.judge_of, self.node.written)
        self.sections["kubernetes"]["metadata_source"] = "kubelet"
        collector.configure(self.sections)
        collector.signal(signal.SIGHUP)
        self.knows(collector, source="kubelet", answering=True, pods=1)
        container.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 0)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def reload(self, collector, **rows):
        self.sections["kubernetes"].update(rows)
        collector.configure(self.sections)
        reloads = collector.status()["reloads"]
        collector.signal(signal.SIGHUP)
        until(lambda: collector.status()["reloads"] > reloads, "reloaded")

    def test_other_labels_are_asked_for_again_and_waited_for(self):
        api = self.kubelet_api()
        containers = self.node.fleet(3)
        for container in containers:
            container.write(20)
            api.put(container.pod, {"app": "web"})
        collector = self.follows(api, metadata="labels")
        self.arrived(self.end, self.judge_of, self.node.written)
        api.delay = 0.5
        self.reload(collector, metadata="labels:x*, owner")
        for container in containers:
            container.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        api.delay = 3600
        self.reload(collector, metadata="owner", metadata_wait=NEAR)
        for container in containers:
            container.write(20)
        self.arrived(self.end, self.judge_of, self.node.written)
        self.assertEqual(self.missing(collector), 60)
        self.finish(self.end, self.judge_of, self.node.written, collector)

    def test_without_a_source_nobody_is_excluded(self):
        api = self.kubelet_api()
        kept, other = self.node.container(pod="kept"), self.node.container(pod="other")
        for container in (kept, other):
            container.write(20)
        api.put(kept.pod)
        api.put(other.pod, annotations={"drave.dev/exclude": "true"})
        collector = self.follows(api)
        self.arrived(self.end, self.judge_of, {kept.key: 20})
        self.let_go(collector, "other")
        self.reload(collector, metadata_source="none")
        self.arrived(self.end, self.judge_of, self.node.written)
        self.reload(collector, metadata_source="kubelet")
        self.let_go(collector, "other")
        other.write(20)
        kept.write(20)
        self.finish(self.end, self.judge_of, {kept.key: 40, other.key: 20}, collector)

    def test_read_from_tail_is_for_the_output_that_begins_and_no_other(self):
        """A reload puts one output in the place of another, and ends an exclusion: what it finds was there before the new one, not before that
        which stays."""
        api, elsewhere, second, other_judge = self.kubelet_api(), self.kubelet_api(), self.endpoint(), self.oracle()
        container = self.node.container()
        container.write(20)
        api.put(container.pod)
        elsewhere.put(container.pod)
        collector = self.follows(api, {"main": self.end, "away": self.endpoint()}, read_from="tail")
        until(lambda: len(collector.streams()) == 2, "found")
        container.write(20)
        until(lambda: len(self.end.taken) >= 20, "what came arrived")
        api.put(container.pod, annotations={"drave.dev/exclude": "true"})
        self.another_list(api)
        self.let_go(collector, container.pod.name)
        container.rotate()
        container.write(20)
        del self.sections["output:away"]
        self.sections["output:second"] = self.http(second)
        self.reload(collector, kubelet_url=elsewhere.url)
        until(lambda: len(self.end.taken) >= 40, "what stood in the new file arrived")
        container.write(20)
        until(lambda: len(self.end.taken) >= 60 and len(second.taken) >= 20, "what came arrived at both")
        collector.stop()
        for end, judge, first in ((self.end, self.judge_of, 20), (second, other_judge, 60)):
            end.pump(judge)
            self.assertEqual(sorted(judge.copies[container.key]), list(range(first, 80)))

    def test_labels_that_a_kubelet_does_not_know_are_an_operators_mistake(self):
        for kind in ("namespace_labels", "node_labels:zone"):
            collector = self.collector({"main": self.end}, kubernetes={"metadata_source": "kubelet", "metadata": f"labels, {kind}"}, start=False)
            status, _ = collector.run("--check-config")
            self.assertEqual(status, 78)
            self.assertIn("a kubelet does not know labels of namespaces and nodes", collector.errors())

    def test_api_without_a_cluster_is_an_operators_mistake(self):
        collector = self.collector({"main": self.end}, kubernetes={"metadata_source": "api"}, start=False)
        status, _ = collector.run("--check-config")
        self.assertEqual(status, 78)
        self.assertIn("needs a kubeconfig", collector.errors())


if __name__ == "__main__":
    case.main()

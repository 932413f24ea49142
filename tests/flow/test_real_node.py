#!/usr/bin/env python3
"""The whole on a real node: kubelet and containerd write, rotate and compress; what deploy/ installs collects, places and rolls; a real Kafka broker and an
HTTP end receive.  Every line is counted, against what the harness read from each log file by a descriptor of its own.

One cluster for all tests.  The pods write all the while; each test ends when what was written up to then has arrived, in order, and nothing twice but
what a kill -9 allows.
"""

import json
import os
import signal
import sys
import time
import unittest

from kit import case, cluster, whole
from kit.collector import Metrics
from kit.wait import until
from kit.whole import NAMESPACE, STEP_SECONDS, SYSTEM

NO_LOSS = ("drave_input_lost_segments_total", "drave_input_lost_bytes_total", "drave_output_dropped_records_total", "drave_audit_imbalance_bytes")


def run_of(pod):
    """Which run of which pod."""
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


@cluster.only("real")
class RealNodeTest(unittest.TestCase):
    """The fake one's nodes run nothing."""

    @classmethod
    def setUpClass(cls):
        cls.whole = cls.enterClassContext(whole.Whole(LOG_MAX_SIZE="100Ki", LOG_INTERVAL="3s", RESTART_PERIOD="2s", SYNC_INTERVAL="3s"))
        cls.cluster, cls.truth = cls.whole.cluster, cls.whole.truth
        cls.whole.install()
        cls.whole.begin_writing()

    def metric(self, name, **labels):
        return Metrics(self.whole.ask(self.whole.collector(), "/metrics")).sum(name, **labels)

    def all_arrived(self):
        """What is written up to now arrives at both ends; what came is right in every way."""
        wanted = self.whole.wanted()
        until(lambda: self.whole.has(wanted), lambda: f"all arrived: {self.whole.faults(wanted)}\n{self.whole.told()}", STEP_SECONDS, 0.2)
        self.assertEqual(self.whole.faults(wanted), [])
        self.assertEqual(self.whole.http.errors, [])
        for name in NO_LOSS:
            self.assertEqual(self.metric(name), 0, name)
        print(self.whole.tally(wanted), file=sys.stderr)

    def until(self, condition, what):
        return until(condition, lambda: f"{what}\n{self.whole.told()}", STEP_SECONDS, 0.1)

    def restarts(self, pod, namespace=NAMESPACE):
        return self.cluster.get("pods", pod, namespace)["status"]["containerStatuses"][0]["restartCount"]

    def rotations(self, pod):
        return self.truth.rotations(f"{NAMESPACE}_{pod}_")

    def test_every_line_arrives_through_rotation_restarts_and_deletion(self):
        self.whole.write("job", 500, 1500)
        self.whole.write("victim", 300)
        self.until(lambda: self.rotations("victim") >= 1, "a victim whose file was rotated")
        self.cluster.kubectl("-n", NAMESPACE, "delete", "pod", "victim")
        self.until(lambda: self.whole.pod("job")["status"]["phase"] == "Succeeded", "the job done")
        self.until(lambda: self.restarts("crashing") >= 3, "three restarts")
        self.until(lambda: self.rotations("fast-a") >= 5, "rotated again and again")
        self.assertTrue(any(name.endswith(".gz") for _, _, names in os.walk(self.cluster.log_dir) for name in names), "nothing is compressed")
        self.assertTrue(any(segment.gone is not None for segment in self.truth.segments.values()), "nothing was deleted")
        self.all_arrived()

    def test_records_carry_the_labels_that_kubectl_shows(self):
        """By auto, from the kubelet, whose certificate the cluster's authority has signed."""
        self.use(source="auto")
        self.records_carry_labels("kubelet")

    def test_records_carry_them_from_the_api_server_too(self):
        self.use(source="api")
        self.records_carry_labels("api")

    def test_a_changed_configmap_is_taken_without_a_restart(self):
        """Each output ends, and goes on where it was."""
        self.use(age="100ms")
        self.all_arrived()

    def use(self, **words):
        """Applies a configuration with these words, and waits until the collector has taken it."""
        if words.items() <= self.whole.words.items():
            return
        before, count = self.whole.collector(), self.metric("drave_config_reloads_total", result="taken")
        self.whole.apply(**words)
        self.until(lambda: self.metric("drave_config_reloads_total", result="taken") > count, "the configuration taken")
        self.assertEqual(run_of(self.whole.collector()), run_of(before))

    def records_carry_labels(self, source):
        self.until(lambda: self.metric("drave_metadata_source_up", source=source) == 1, f"{source} answers")
        self.cluster.kubectl("-n", NAMESPACE, "label", "--overwrite", "pod", "slow", f"source={source}")
        pods = {pod["metadata"]["uid"]: pod for pod in json.loads(self.cluster.kubectl("-n", NAMESPACE, "get", "pods", "-o", "json"))["items"]}
        ends = self.whole.arrivals.values()

        def equal():
            self.whole.pump()
            return all(end.facts.get(uid, {}).get("labels") == pod["metadata"]["labels"] for end in ends for uid, pod in pods.items())
        self.until(equal, "the labels of all pods at both ends")
        self.assertEqual({fact["host"] for end in ends for fact in end.facts.values()}, {self.cluster.NODE})
        self.all_arrived()

    def test_ends_may_be_away_while_files_are_compressed_and_deleted(self):
        self.whole.http.stop()
        self.whole.broker.pause()
        away = time.monotonic()
        self.until(lambda: self.truth.lives_within(f"{NAMESPACE}_fast-a_", away), "a file that was born, compressed and deleted meanwhile")
        self.whole.broker.resume()
        self.whole.http.start()
        self.whole.cuts += 1
        self.all_arrived()

    def test_a_killed_collector_goes_on_where_it_was(self):
        before = self.whole.collector()
        name, count, start = before["metadata"]["name"], before["status"]["containerStatuses"][0]["restartCount"], time.monotonic()
        self.cluster.kill(before, "collector")
        self.whole.cuts += 1
        self.until(lambda: self.restarts(name, SYSTEM) > count, "started again")
        self.whole.collector()
        self.whole.absences.append((start, time.monotonic()))
        self.all_arrived()

    def test_a_rollout_hands_the_node_over(self):
        after = self.whole.rolled(self.whole.change_template())
        self.assertIn("standing by", self.cluster.kubectl("-n", SYSTEM, "logs", after["metadata"]["name"]))
        self.assertEqual(self.restarts(after["metadata"]["name"], SYSTEM), 0)
        self.all_arrived()


if __name__ == "__main__":
    lacks = whole.missing()
    if lacks and case.IS_CI:
        sys.exit(f"missing for a real node: {', '.join(lacks)}")
    if lacks:
        print(f"skipped, missing: {', '.join(lacks)}")
        sys.exit(77)
    signal.signal(signal.SIGTERM, signal.default_int_handler)   # end as by Ctrl-C: the node must not stay behind
    case.main()

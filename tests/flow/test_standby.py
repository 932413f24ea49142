#!/usr/bin/env python3
"""Two collectors on one node: the second is ready, touches nothing, and takes over the moment the first lets go."""

import json
import os
import signal
import time
import unittest

from kit import case
from kit.endpoint import OK, Answer
from kit.load import Load
from kit.wait import until


class StandbyTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node, self.end, self.witness = self.kubelet(), self.endpoint(), self.oracle()
        self.container = self.node.container()
        self.container.write(200)
        self.first = self.collector({"main": self.end})
        self.arrived(self.end, self.witness, self.node.written)
        self.settled(self.first)

    def second(self, **rows):
        second = self.collector({"main": self.end}, "second", start=False, collector=rows)
        second.start()
        until(lambda: "standby" in second.get("/status")[1], lambda: second.get("/status")[1])
        return second

    def holds_no_log(self, collector):
        files = [os.readlink(f"/proc/{collector.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{collector.process.pid}/fd")]
        return not any(file.startswith(self.node.pods_dir) and file.endswith(".log") or "checkpoint" in file for file in files)

    def takes_over(self, second):
        self.container.write(200)
        until(lambda: "standby" not in second.get("/status")[1] and second.is_ready(), lambda: second.get("/status")[1])
        self.container.write(50)
        self.finish(self.end, self.witness, self.node.written, second)

    def test_waits_and_takes_over_after_term(self):
        second = self.second()
        self.container.write(100)
        self.arrived(self.end, self.witness, self.node.written)
        self.assertTrue(self.holds_no_log(second))
        self.assertEqual(json.loads(second.get("/status")[1])["state"], "standby")
        self.settled(self.first)
        self.first.stop()
        self.takes_over(second)

    def test_is_ready_while_it_stands_by_and_says_so(self):
        second = self.second()
        self.assertTrue(second.is_ready())
        self.assertEqual(second.metric("drave_standby"), 1)
        self.assertEqual(self.first.metric("drave_standby"), 0)
        self.first.stop()
        self.takes_over(second)

    def test_rollout_without_a_gap_or_a_second_reader(self):
        """Surge after surge under load: TERM to the one that reads, the next takes over, kubelet rotates and compresses all the while."""
        load = Load(self.dir, seed=2, pods=4, rate=1500, size=300, rotate_bytes=300_000, max_files=1000)
        reader = self.first
        with load:
            for number in range(5):
                surge = self.collector({"main": self.end}, f"surge-{number}", start=False)
                surge.start()
                self.assertEqual(surge.status()["state"], "standby")
                self.assertTrue(self.holds_no_log(surge))
                reader.stop()
                until(lambda: surge.status()["state"] == "running", "taken over")
                before = self.end.number
                until(lambda: self.end.number > before + 3, "delivering")
                reader = surge
        self.assertEqual(reader.metric("drave_input_lost_segments_total"), 0)
        self.finish(self.end, self.witness, {**self.node.written, **load.written}, reader)

    def test_what_is_given_up_at_the_hand_over_is_counted_by_the_next(self):
        """A deleted file ends with the descriptor of the first one, which could not deliver it in time."""
        self.sections["collector"]["shutdown_timeout"] = "200ms"
        self.first.configure(self.sections)
        self.first.signal(signal.SIGHUP)
        until(lambda: self.first.status()["reloads"] == 1, "reloaded")
        self.end.behave = lambda request: Answer(503)
        self.container.write(200)
        self.seen(self.first, self.container)
        os.remove(self.container.rotate())
        self.container.write(10)
        self.seen(self.first, self.container)
        until(lambda: self.first.metric("drave_input_held_files") == 1, "held")
        unread = sum(row["size"] - row["committed"] for row in self.first.streams() if row["unlinked"])
        second = self.second()
        self.first.signal(signal.SIGTERM)
        self.first.wait()
        self.end.behave = lambda request: OK
        until(lambda: second.status()["state"] == "running", "taken over")
        until(lambda: second.metric("drave_input_lost_segments_total", reason="deleted") == 1, "counted")
        self.assertEqual(second.metric("drave_input_lost_bytes_total", reason="deleted"), unread)
        self.settled(second)
        self.end.pump(self.witness)
        self.assertEqual(self.witness.verdict(self.node.written).lost, {self.container.key: list(range(200, 400))})
        second.stop()

    def test_takes_over_after_kill(self):
        second = self.second()
        self.first.kill()
        self.takes_over(second)

    def test_standby_ends_on_term(self):
        self.second().stop()
        self.first.stop()

    def test_busy_port_is_tried_again(self):
        second = self.collector({"main": self.end}, "second", start=False, collector={"listen": f"127.0.0.1:{self.first.find_port()}"})
        second.spawn()
        until(lambda: "port is busy" in second.errors(), "it says why it waits")
        until(lambda: second.errors().count("standing by") == 1, "it stands by meanwhile")
        time.sleep(2.5)  # more than two tries
        self.assertTrue(second.is_running)
        self.assertEqual(second.errors().count("port is busy"), 1)
        self.first.stop()
        second.port = self.first.port
        until(second.is_ready, lambda: f"ready\n{second.errors()}")
        self.takes_over(second)


if __name__ == "__main__":
    case.main()

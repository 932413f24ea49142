#!/usr/bin/env python3
"""Two collectors on one node: the second is ready, touches nothing, and takes over the moment the first lets go."""

import json
import os
import unittest

from kit import case
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
        self.assertTrue(second.is_running)
        self.first.stop()
        second.port = self.first.port
        until(second.is_ready, lambda: f"ready\n{second.errors()}")
        self.takes_over(second)


if __name__ == "__main__":
    case.main()

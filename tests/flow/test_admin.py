#!/usr/bin/env python3
"""What is served: /metrics, /livez, /readyz, /status, /streams and a page for people."""

import http.client
import json
import shutil
import signal
import subprocess
import unittest

from kit import case
from kit.wait import until

METRICS = ("drave_input_bytes_total", "drave_input_records_total", "drave_input_lag_bytes", "drave_output_records_total", "drave_output_bytes_total",
           "drave_output_wire_bytes_total", "drave_output_retries_total", "drave_delivery_latency_seconds_count", "drave_audit_bytes",
           "drave_audit_imbalance_bytes", "drave_build_info", "process_cpu_seconds_total", "process_resident_memory_bytes")


class AdminTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node, self.end, self.witness = self.kubelet(), self.endpoint(), self.oracle()
        containers = self.node.fleet(3)
        self.under_test = self.collector({"main": self.end})
        for container in containers:
            container.write(100)
        self.arrived(self.end, self.witness, self.node.written)
        self.settled(self.under_test)

    def test_probes(self):
        self.assertEqual([self.under_test.get(path)[0] for path in ("/livez", "/readyz", "/status", "/streams", "/metrics", "/")], [200] * 6)

    def test_metrics_are_there_and_count(self):
        metrics = self.under_test.metrics()
        for name in METRICS:
            self.assertTrue(metrics.has(name), f"{name} in\n{metrics.text}")
        total = sum(container.byte_count for container in self.node.containers)
        self.assertEqual(metrics.sum("drave_input_bytes_total"), total)
        self.assertEqual(metrics.sum("drave_input_records_total", output="main"), 300)
        self.assertEqual(metrics.sum("drave_output_records_total", output="main"), 300)
        self.assertEqual(metrics.sum("drave_audit_bytes", output="main", term="read"), total)
        self.assertEqual(metrics.sum("drave_audit_bytes", output="main", term="acked"), total)
        self.assertEqual(metrics.sum("drave_delivery_latency_seconds_count", output="main"), 300)
        self.assertLess(metrics.sum("drave_output_wire_bytes_total"), metrics.sum("drave_output_bytes_total"))

    def test_promtool_has_nothing_to_say(self):
        if not shutil.which("promtool") and not case.IS_CI:
            self.skipTest("no promtool")
        checked = subprocess.run(["promtool", "check", "metrics"], input=self.under_test.metrics().text, capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))

    def test_status_is_json(self):
        status = self.under_test.status()
        for member in ("version", "revision", "state"):
            self.assertIn(member, status)
        self.assertIn("main", json.dumps(status))

    def test_streams_has_a_row_for_each_file_and_output(self):
        streams = self.under_test.streams()
        rows = streams if isinstance(streams, list) else next(value for value in streams.values() if isinstance(value, list))
        self.assertEqual(len(rows), 3)
        text = json.dumps(rows)
        for container in self.node.containers:
            self.assertIn(container.pod.name, text)

    def test_other_paths_and_methods_are_refused(self):
        self.assertEqual(self.under_test.get("/nothing")[0], 404)
        self.assertEqual(self.under_test.get("/../../etc/passwd")[0], 404)
        connection = http.client.HTTPConnection("127.0.0.1", self.under_test.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("POST", "/metrics", b"x")
        self.assertIn(connection.getresponse().status, (405, 501))

    def test_usr1_flushes_and_usr2_dumps(self):
        container = self.node.containers[0]
        self.under_test.stop()
        self.sections["output:main"]["batch_age"] = "10m"
        self.under_test.configure(self.sections)
        self.under_test.start()
        container.write(5)
        until(lambda: self.under_test.metric("drave_input_records_total", output="main") >= 5, "read")
        self.assertEqual(len(self.end.taken), 0)
        self.under_test.signal(signal.SIGUSR1)
        self.arrived(self.end, self.witness, self.node.written)
        seen = len(self.under_test.errors())
        self.under_test.signal(signal.SIGUSR2)
        until(lambda: "main" in self.under_test.errors()[seen:], "a dump")
        self.settled(self.under_test)
        self.under_test.stop()

    def test_json_log_is_json(self):
        self.under_test.stop()
        self.under_test.start("--log-format", "json", "--log-level", "debug")
        self.under_test.stop()
        lines = self.under_test.errors().splitlines()
        self.assertTrue(lines)
        for line in lines:
            json.loads(line)


if __name__ == "__main__":
    case.main()

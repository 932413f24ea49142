#!/usr/bin/env python3
"""The account is no decoration: a build that frees one record silently must show it."""

import subprocess
import sys
import unittest

from kit import case, collector
from kit.wait import until


class AccountFaultTest(case.FlowCase):
    def imbalance(self, fault):
        """Works on with that fault, and returns what the account shows once all is quiet."""
        node, endpoint, oracle = self.kubelet(), self.endpoint(), self.oracle()
        under_test = self.collector({"main": endpoint}, start=False)
        under_test.environment = {"DRAVE_FAULT": fault} if fault else {}
        under_test.start()
        for container in node.fleet(3):
            container.write(500)
        total = sum(container.byte_count for container in node.containers)
        until(lambda: under_test.metric("drave_audit_bytes", term="read") >= total, "all read")
        until(lambda: endpoint.pump(oracle) or oracle.delivered_count() >= 1499, "all but one delivered")
        if not fault:
            self.settled(under_test)
        else:
            until(lambda: under_test.metric("drave_audit_imbalance_bytes") != 0, lambda: f"an imbalance:\n{under_test.metrics().text}")
        return under_test.metric("drave_audit_imbalance_bytes")

    def test_balance_without_a_fault(self):
        self.assertEqual(self.imbalance(None), 0)

    def test_record_forgotten_before_its_batch(self):
        self.assertNotEqual(self.imbalance("cursor.forget:700"), 0)

    def test_record_forgotten_when_its_batch_is_answered(self):
        self.assertNotEqual(self.imbalance("batch.forget:700"), 0)


if __name__ == "__main__":
    version = subprocess.run([collector.PROGRAM, "--version"], capture_output=True, text=True).stdout
    if "fault" not in version:
        print("skipped: the program was built without --enable-faults")
        sys.exit(collector.SKIP)
    case.main()

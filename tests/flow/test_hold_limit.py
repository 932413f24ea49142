#!/usr/bin/env python3
"""Deleted files are held open for a dead output up to hold_limit; beyond it the oldest are given up, and every byte of them is counted."""

import unittest

from kit import case
from kit.wait import until


class HoldLimitTest(case.FlowCase):
    def away(self, limit, rounds):
        """A dead output while rotation deletes; returns what is needed to go on."""
        node, endpoint = self.kubelet(max_files=3), self.endpoint()
        container = node.container()
        container.write(50)
        collector = self.collector({"main": self.http(endpoint, batch_size="160KiB")}, input={"hold_limit": limit},
                                   collector={"memory_limit": "1MiB"})  # so that most of it is not read
        oracle = self.oracle()
        self.arrived(endpoint, oracle, node.written)
        self.settled(collector)
        endpoint.stop()
        self.ends = []  # the last line of each file that was rotated
        for _ in range(rounds):
            container.write(200, size=1500)
            self.seen(collector, container)
            container.rotate()
            self.ends.append(container.sequence - 1)
        container.write(50)
        return node, container, endpoint, collector, oracle

    def test_within_the_limit_nothing_is_lost(self):
        node, container, endpoint, collector, oracle = self.away("100MiB", 20)
        endpoint.start()
        self.finish(endpoint, oracle, node.written, collector)

    def test_beyond_the_limit_the_oldest_is_lost_and_counted(self):
        node, container, endpoint, collector, oracle = self.away("1MiB", 20)
        until(lambda: collector.metric("drave_input_lost_bytes_total", output="main") > 0, "loss counted")
        endpoint.start()
        self.settled(collector)
        metrics = collector.metrics()
        self.assertGreater(metrics.sum("drave_input_lost_segments_total"), 0)
        self.assertEqual(metrics.sum("drave_input_lost_bytes_total", output="main") + metrics.sum("drave_audit_bytes", output="main", term="acked"),
                         container.byte_count)
        collector.stop()
        endpoint.pump(oracle)
        verdict = oracle.verdict(node.written)
        self.assertEqual(verdict.faults()[1:], [], "a loss, and nothing else")
        lost = verdict.lost[container.key]
        # A file is given up from where it was read to its end.  Where batches shrink late, there may be room to begin one before that happens to it.
        self.assertEqual([line for line in lost if line + 1 not in lost and line not in self.ends], [], "only ends of files")
        self.assertLess(lost[-1], container.sequence - 250, "the newest are kept")


if __name__ == "__main__":
    case.main()

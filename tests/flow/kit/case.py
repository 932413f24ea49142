"""The test case: a directory, a node, ends and collectors, and the clean-up of them all.

Every test ends through finish(): nothing lost, the account even, exit 0 after TERM.
"""

import os
import shutil
import sys
import tempfile
import unittest

from kit import collector as collectors
from kit.collector import Collector
from kit.endpoint import Endpoint
from kit.kubelet import Kubelet
from kit.oracle import Oracle
from kit.wait import until

IS_LONG = os.environ.get("DRAVE_LONG") == "1"
IS_SANITIZED = os.environ.get("DRAVE_SANITIZED") == "1"
IS_CI = os.environ.get("CI") == "true"
NODE = "node-1"


class FlowCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix=f"drave-{self._testMethodName[:30]}-")
        self.addCleanup(self._clean)
        self.collectors = []
        self.endpoints = []

    def _clean(self):
        for collector in self.collectors:
            collector.end()
        for endpoint in self.endpoints:
            endpoint.stop()
        if self._failed():
            for collector in self.collectors:
                print(f"---- {collector.log}, its end\n{collector.errors(since_start=False)[-6000:]}", file=sys.stderr)
        if self._failed() and os.environ.get("DRAVE_KEEP"):
            print(f"kept: {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def _failed(self):
        return any(test is self for test, _ in self._outcome.result.errors + self._outcome.result.failures)

    def kubelet(self, **options):
        return Kubelet(self.dir, **options)

    def endpoint(self, *arguments, **options):
        endpoint = Endpoint(*arguments, **options)
        self.endpoints.append(endpoint)
        return endpoint

    def http(self, endpoint, **rows):
        """An output's rows; batches leave at once unless rows say otherwise, and a retry comes soon."""
        return {"type": "http", "url": endpoint.url, "batch_age": "50ms", "retry_backoff": "50ms..500ms", "timeout": "5s", **rows}

    def collector(self, outputs, name="collector", start=True, **sections):
        """outputs: name -> rows, or an endpoint."""
        rows = {"collector": sections.pop("collector", {}),
                "input:pods": {"path": os.path.join(self.dir, "pods"), "docker_root": os.path.join(self.dir, "docker"),
                               "rescan_interval": "200ms", **sections.pop("input", {})}}
        for output, settings in outputs.items():
            rows[f"output:{output}"] = self.http(settings) if isinstance(settings, Endpoint) else settings
        self.sections = {**rows, **sections}
        collector = Collector(self.dir, self.sections, name)
        self.collectors.append(collector)
        return collector.start() if start else collector

    def oracle(self, **options):
        return Oracle(host=NODE, **options)

    def seen(self, collector, *containers):
        """Waits until the collector holds the live files of these containers and knows their sizes: from then on rotation takes nothing away."""
        self.sizes_seen(collector, {container.name_below_root: os.path.getsize(container.path) for container in containers})

    def sizes_seen(self, collector, sizes):
        """The same for a kubelet's or a load's .sizes; before settled(), where nobody waits for arrivals."""
        until(lambda: sizes.items() <= {(row["path"], row["size"]) for row in collector.streams()},
              lambda: f"seen: {sizes} in {collector.get('/streams')[1]}")

    # ---- ends of a test ------------------------------------------------------------------------------

    def arrived(self, endpoint, oracle, written, seconds=None):
        """Waits until every written line is there; the verdict names what is missing if it never is."""
        def complete():
            endpoint.pump(oracle)
            return oracle.has(written)
        until(complete, lambda: f"all delivered: {oracle.verdict(written)}", seconds, step=0.02)

    def judge(self, endpoint, oracle, written, duplicates=0):
        endpoint.pump(oracle)
        self.assertEqual(oracle.verdict(written).faults(duplicates), [])
        self.assertEqual(endpoint.errors, [])

    def settled(self, collector, outputs=1):
        """The account: everything acknowledged, and what was read is what was accounted for."""
        until(lambda: collector.metric("drave_input_lag_bytes") == 0 and collector.metric("drave_audit_bytes", term="in_flight") == 0,
              lambda: f"everything acknowledged:\n{collector.metrics().text}")
        self.assertEqual(collector.metric("drave_audit_imbalance_bytes"), 0, collector.metrics().text)

    def finish(self, endpoint, oracle, written, collector, duplicates=0):
        """The usual end: all there, the account even, a clean exit, and not a line more than allowed."""
        self.arrived(endpoint, oracle, written)
        self.settled(collector)
        collector.stop()
        self.judge(endpoint, oracle, written, duplicates)


def need(*programs):
    """Skips the whole script where a program is missing; under CI it must be there."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing and IS_CI:
        sys.exit(f"missing: {' '.join(missing)}")
    if missing:
        print(f"skipped, missing: {' '.join(missing)}")
        sys.exit(collectors.SKIP)


def main(needs_collector=True):
    """What each script calls at its end."""
    if needs_collector and not os.access(collectors.PROGRAM, os.X_OK):
        sys.exit(f"DRAVE_COLLECTOR names no program: {collectors.PROGRAM!r}")
    unittest.main(verbosity=2)

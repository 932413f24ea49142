#!/usr/bin/env python3
"""The output is away while rotation compresses and deletes: what the collector holds open still arrives."""

import os
import time
import unittest

from kit import case, endpoint as ends
from kit.endpoint import Answer, OK
from kit.load import Load
from kit.wait import until

AWAY_SECONDS = 600 if case.IS_LONG else 30
RATE = 2000
MEMORY_KIB = 64 << 10
LANES, BATCH_RECORDS = 2, 200


class OutageTest(case.FlowCase):
    def outage(self, go, come_back, endpoint):
        """Half a minute in which each container rotates about ten times, of which kubelet keeps three files, the older ones compressed."""
        oracle = self.oracle()
        collector = self.collector({"main": endpoint})
        load = Load(self.dir, pods=12, rate=RATE, rotate_bytes=RATE * AWAY_SECONDS * 190 // 12 // 10, max_files=3)
        with load:
            until(lambda: len(endpoint.taken) > RATE, "a calm beginning")
            go()
            gone = time.monotonic()
            until(lambda: time.monotonic() - gone >= AWAY_SECONDS, "a long absence", seconds=2 * AWAY_SECONDS, step=0.5)
        self.assertFalse(oracle.has(load.written))
        metrics = collector.metrics()
        self.assertGreater(metrics.sum("drave_input_lag_bytes"), sum(load.sizes.values()), "more than the live files")
        self.assertTrue(any(name.endswith(".gz") for _, _, names in os.walk(self.dir) for name in names))
        if not case.IS_SANITIZED:
            self.assertLess(metrics.sum("process_resident_memory_bytes"), MEMORY_KIB << 10)
        come_back()
        self.finish(endpoint, oracle, load.written, collector, duplicates=1000)

    def test_nobody_listens(self):
        endpoint = self.endpoint()
        self.outage(endpoint.stop, endpoint.start, endpoint)

    def test_nothing_but_503_and_hangs(self):
        endpoint = self.endpoint()
        def trouble(request):
            return Answer(trouble=ends.HANG) if request.number % 4 == 0 else Answer(503)
        self.outage(lambda: setattr(endpoint, "behave", trouble), lambda: setattr(endpoint, "behave", lambda request: OK), endpoint)


class StormTest(case.FlowCase):
    """Kills and troubles together, in the mixture in which two well-known agents lose lines and their order."""

    def test_kills_and_troubles(self):
        seconds = 300 if case.IS_LONG else 20
        endpoint, oracle = self.endpoint(), self.oracle()
        collector = self.collector({"main": self.http(endpoint, lanes=LANES, batch_records=BATCH_RECORDS, timeout="1s")})
        troubles = [lambda request: Answer(503), lambda request: Answer(429, {"Retry-After": "1"}),
                    lambda request: Answer(trouble=ends.HANG), lambda request: Answer(trouble=ends.RESET),
                    lambda request: Answer(trouble=ends.SILENT_CLOSE), lambda request: Answer(delay=0.2)]
        load = Load(self.dir, pods=12, rate=RATE, lines=RATE * seconds, rotate_bytes=400_000, max_files=50)
        kills = 0
        with load:
            for trouble in troubles:
                for habit in (trouble, lambda request: OK):
                    endpoint.behave = habit
                    before = endpoint.number
                    until(lambda: endpoint.number > before + 5, "requests")
                    collector.kill()
                    kills += 1
                    collector.start()
            load.wait()
        self.finish(endpoint, oracle, load.written, collector, duplicates=kills * 2 * LANES * BATCH_RECORDS)
        print(f"{sum(load.written.values())} lines, {kills} kills, {oracle.wrong.duplicate_count} twice")


if __name__ == "__main__":
    case.main()

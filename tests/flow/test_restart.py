#!/usr/bin/env python3
"""Ended again and again in the middle of everything, by KILL and by TERM: nothing lost, order kept, duplicates within what was in flight."""

import os
import signal
import sqlite3
import unittest

from kit import case
from kit.load import Load
from kit.wait import until

CYCLES = 200 if case.IS_LONG else 50
LANES, BATCH_RECORDS, BATCH_KIB, MEMORY_KIB = 2, 100, 160, 1024


class RestartTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.end = self.endpoint()
        self.load = Load(self.dir, pods=6, rate=2500, size=1000, rotate_bytes=1_500_000, max_files=1000)
        self.under_test = self.collector({"main": self.http(self.end, lanes=LANES, batch_records=BATCH_RECORDS, batch_size=f"{BATCH_KIB}KiB")},
                                         collector={"memory_limit": f"{MEMORY_KIB}KiB"}, start=False)
        self.witness = self.oracle()
        self.resumed = 0

    def highest_mark(self):
        """What a new process finds: read from the database itself, of live files only."""
        path = os.path.join(self.under_test.state_dir, "checkpoint.db")
        if not os.path.exists(path):
            return 0
        with sqlite3.connect(path) as database:
            rows = database.execute("SELECT max(offset) FROM mark JOIN segment ON segment.id = mark.segment WHERE path LIKE '%.log'").fetchone()
        database.close()
        return rows[0] or 0

    def begin(self):
        self.resumed += self.highest_mark() > 0
        self.under_test.start()
        before = self.end.number
        until(lambda: self.end.number > before + 3, "progress")

    def in_the_middle(self):
        """Unread bytes, and a batch without an answer."""
        self.end.gate.clear()
        until(lambda: self.end.open_count > 0, "a batch under way")
        until(lambda: self.under_test.metric("drave_input_lag_bytes") > MEMORY_KIB << 10, "more behind than memory can hold")
        self.assertTrue(any(row["size"] > row["read_offset"] for row in self.under_test.streams()))

    def cycles(self, end_it, duplicates_allowed):
        with self.load:
            for _ in range(CYCLES):
                self.begin()
                end_it()
                self.end.gate.set()
                self.end.pump(self.witness)
        self.assertGreaterEqual(self.resumed, CYCLES * 4 // 5)
        self.under_test.start()
        self.finish(self.end, self.witness, self.load.written, self.under_test, duplicates_allowed)
        print(f"{sum(self.load.written.values())} lines, {CYCLES} ends, {self.resumed} resumed above 0, "
              f"{self.witness.wrong.duplicate_count} duplicates (at most {duplicates_allowed})")

    def test_killed(self):
        def kill():
            self.in_the_middle()
            self.under_test.kill()
        self.cycles(kill, CYCLES * 2 * LANES * BATCH_RECORDS)

    def test_terminated_with_the_output_up(self):
        def terminate():
            self.in_the_middle()
            self.under_test.signal(signal.SIGTERM)
            self.end.gate.set()
            self.assertEqual(self.under_test.wait(), 0)
        self.cycles(terminate, 0)

    def test_terminated_with_the_output_down_ends_in_time_and_loses_nothing(self):
        kubelet = self.kubelet()
        container = kubelet.container()
        container.write(1000)
        self.end.stop()
        self.under_test.sections = self.sections
        self.sections["collector"]["shutdown_timeout"] = "1s"
        self.under_test.configure(self.sections)
        self.under_test.start()
        self.under_test.signal(signal.SIGTERM)
        self.under_test.wait(20)
        self.end.start()
        self.under_test.start()
        self.finish(self.end, self.witness, kubelet.written, self.under_test)

    def test_second_term_ends_at_once(self):
        container = self.kubelet().container()
        container.write(1000)
        self.end.gate.clear()
        self.under_test.start()
        until(lambda: self.end.open_count > 0, "a batch under way")
        self.under_test.signal(signal.SIGTERM)
        until(lambda: "stopping" in self.under_test.errors(), "the first one heard")
        self.under_test.signal(signal.SIGTERM)
        self.under_test.wait(5)

    def test_two_restarts_without_writes_send_nothing(self):
        kubelet = self.kubelet()
        for container in kubelet.fleet(3):
            container.write(200)
            container.rotate()
            container.write(200)
        self.under_test.start()
        self.arrived(self.end, self.witness, kubelet.written)
        self.settled(self.under_test)
        for _ in range(2):
            self.under_test.stop()
            self.under_test.start()
            self.settled(self.under_test)
        self.under_test.stop()
        self.judge(self.end, self.witness, kubelet.written)

    def test_other_options_after_a_restart_go_on_at_the_same_place(self):
        """How an output packs and sends is no part of where it stands."""
        kubelet = self.kubelet()
        containers = kubelet.fleet(3)
        self.sections["collector"]["memory_limit"] = "64MiB"
        for rows in ({"lanes": 1}, {"lanes": 7, "batch_records": 10}, {"compression": "gzip"}, {"compression": "none", "format": "json_array"},
                     {"batch_size": "64KiB", "batch_age": "5ms"}, {"match": "*"}, {"record_id": "on"}, {}):
            self.under_test.configure({**self.sections, "output:main": self.http(self.end, **rows)})
            self.under_test.start()
            for container in containers:
                container.write(100)
                container.write(size=40_000)
            containers[0].rotate(between=5)
            self.arrived(self.end, self.witness, kubelet.written)
            self.settled(self.under_test)
            self.under_test.stop()
        self.judge(self.end, self.witness, kubelet.written)


if __name__ == "__main__":
    case.main()

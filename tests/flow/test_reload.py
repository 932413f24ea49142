#!/usr/bin/env python3
"""SIGHUP while busy: all or nothing, what is unchanged goes on undisturbed, what changed starts again at its marks."""

import copy
import signal
import unittest

from kit import case
from kit.load import Load
from kit.wait import until


class ReloadTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.first, self.second = self.endpoint(), self.endpoint()
        self.witnesses = self.oracle(), self.oracle()

    def begin(self, outputs=None):
        self.under_test = self.collector(outputs or {"first": self.http(self.first, batch_records=100), "second": self.http(self.second, batch_records=100)})
        return self.under_test

    def reload(self, change, answer=None):
        """Writes the changed configuration, asks for it, and waits until it is in force, or until the collector says `answer` to it."""
        sections = change if isinstance(change, str) else copy.deepcopy(self.sections)
        if not isinstance(change, str):
            change(sections)
        self.under_test.configure(sections)
        seen, count = len(self.under_test.errors()), self.under_test.status()["reloads"]
        self.under_test.signal(signal.SIGHUP)
        if answer:
            until(lambda: answer in self.under_test.errors()[seen:], lambda: f"{answer!r} in\n{self.under_test.errors()[seen:]}")
        else:
            until(lambda: self.under_test.status()["reloads"] > count, lambda: f"reloaded\n{self.under_test.errors()[seen:]}")
        if not isinstance(sections, str):
            self.sections = sections
        return self.under_test.errors()[seen:]

    def end_well(self, written, duplicates=(0, 0)):
        for endpoint, oracle in zip((self.first, self.second), self.witnesses):
            self.arrived(endpoint, oracle, written)
        self.settled(self.under_test)
        self.under_test.stop()
        for endpoint, oracle, allowed in zip((self.first, self.second), self.witnesses, duplicates):
            self.judge(endpoint, oracle, written, allowed)

    def busy(self, change, times=6, duplicates=(0, 0)):
        """Reloads in the middle of a load with rotation."""
        self.begin()
        load = Load(self.dir, pods=6, rate=3000, rotate_bytes=200_000, max_files=1000)
        with load:
            for time in range(times):
                before = self.first.number, self.second.number
                until(lambda: self.first.number > before[0] + 3 and self.second.number > before[1] + 3, "progress")
                self.reload(lambda sections: change(sections, time))
        self.end_well(load.written, duplicates)

    def test_nothing_changed(self):
        self.busy(lambda sections, time: None)

    def test_one_output_changed_the_other_undisturbed(self):
        def change(sections, time):
            sections["output:second"]["batch_age"] = f"{60 + time}ms"
        # Often: once the marks of the old one were taken for those of another file, where it had read further than the last look at the file saw.
        self.busy(change, times=30)

    def test_changed_one_that_is_dead_starts_again_at_its_marks(self):
        node = self.kubelet()
        container = node.container()
        container.write(500)
        self.begin()
        for endpoint, oracle in zip((self.first, self.second), self.witnesses):
            self.arrived(endpoint, oracle, node.written)
        self.settled(self.under_test)
        self.second.stop()
        container.write(500)
        self.arrived(self.first, self.witnesses[0], node.written)
        other = self.endpoint()
        def change(sections):
            sections["output:second"]["url"] = other.url
            sections["collector"]["shutdown_timeout"] = "200ms"
        self.reload(change)
        until(lambda: len(other.taken) >= 500, "the rest at the new place")
        self.assertEqual(len(other.taken), 500)
        other.pump(self.witnesses[1])
        self.end_well(node.written)

    def test_larger_max_record_is_obeyed(self):
        """The buffer for lines was made for the first configuration; it has to grow with the second."""
        container, long = self.kubelet().container(), "x" * 500_000
        line = f"2026-01-31T12:34:56.789012345Z stdout F {long}\n".encode()
        self.under_test = self.collector({"first": self.first}, input={"max_record": "4KiB"})
        container.put(line)
        until(lambda: len(self.first.taken) == 1, "the cut record")
        self.assertEqual((self.first.taken[0]["log"], self.first.taken[0]["truncated"]), (long[:4096], True))
        self.reload(lambda sections: sections["input:pods"].__setitem__("max_record", "900KiB"))
        container.put(line)
        until(lambda: len(self.first.taken) == 2, "the whole record")
        self.assertEqual(self.first.taken[1]["log"], long)
        self.settled(self.under_test)
        self.under_test.stop()

    def test_output_added_reads_from_the_head(self):
        node = self.kubelet()
        node.container().write(300)
        self.begin({"first": self.http(self.first)})
        self.arrived(self.first, self.witnesses[0], node.written)
        self.reload(lambda sections: sections.__setitem__("output:second", self.http(self.second)))
        self.end_well(node.written)

    def test_output_removed_and_back_goes_on_where_it_was(self):
        node = self.kubelet()
        container = node.container()
        container.write(300)
        self.begin()
        for endpoint, oracle in zip((self.first, self.second), self.witnesses):
            self.arrived(endpoint, oracle, node.written)
        self.settled(self.under_test)
        rows = self.sections["output:second"]
        self.reload(lambda sections: sections.pop("output:second"))
        container.write(100)
        self.arrived(self.first, self.witnesses[0], node.written)
        self.assertEqual(len(self.second.taken), 0)
        self.reload(lambda sections: sections.__setitem__("output:second", rows))
        self.end_well(node.written)

    def test_bad_configuration_is_refused_whole(self):
        node = self.kubelet()
        container = node.container()
        container.write(100)
        self.begin()
        def spoil(sections):
            sections["output:first"]["batch_age"] = "9 parsecs"
            sections["output:second"]["url"] = "http://127.0.0.1:1/"
            sections["output:third"] = {"type": "null"}
        told = self.reload(spoil, answer="batch_age")
        self.assertRegex(told, r"collector\.ini:\d+: ")
        container.write(100)
        self.end_well(node.written)

    def test_file_that_is_gone_is_refused(self):
        node = self.kubelet()
        container = node.container()
        self.begin()
        self.reload("[collector\n", answer="collector.ini:1: ")
        container.write(100)
        self.end_well(node.written)

    def test_what_cannot_change_is_refused_with_the_reason(self):
        node = self.kubelet()
        container = node.container()
        self.begin()
        for key, value in (("node_name", "other"), ("state_dir", f"{self.dir}/other"), ("listen", "127.0.0.1:1")):
            def change(sections):
                sections["collector"][key] = value
                sections["output:second"]["url"] = "http://127.0.0.1:1/"
            sections = copy.deepcopy(self.sections)
            self.reload(change, answer=key)
            self.sections = sections
        container.write(100)
        self.end_well(node.written)

    def test_match_taken_away_and_given_back(self):
        node = self.kubelet()
        container = node.container()
        container.write(100)
        self.begin()
        for endpoint, oracle in zip((self.first, self.second), self.witnesses):
            self.arrived(endpoint, oracle, node.written)
        self.settled(self.under_test)
        self.reload(lambda sections: sections["output:second"].__setitem__("match", "nobody"))
        container.write(100)
        self.arrived(self.first, self.witnesses[0], node.written)
        self.assertEqual(self.second.taken, [])
        self.reload(lambda sections: sections["output:second"].pop("match"))
        self.end_well(node.written)


if __name__ == "__main__":
    case.main()

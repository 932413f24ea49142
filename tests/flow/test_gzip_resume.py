#!/usr/bin/env python3
"""The collector is away while kubelet rotates, compresses and deletes: what is left is read, also inside .gz; what is gone is counted."""

import gzip
import os
import signal
import sqlite3
import unittest

from kit import case
from kit.endpoint import OK, Answer
from kit.wait import until

# What was in flight when it was killed may come twice: 2 x lanes batches of this many records.
IN_FLIGHT = 2 * 2 * 50


class GzipResumeTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.end, self.witness = self.endpoint(), self.oracle()

    def watch(self, max_files=5, **rows):
        self.node = self.kubelet(max_files=max_files)
        self.container = self.node.container()
        self.under_test = self.collector({"main": self.http(self.end, batch_records=50, record_id="on", **rows)})

    def read_so_far(self):
        self.arrived(self.end, self.witness, self.node.written)
        self.settled(self.under_test)

    def kill_with_unread_bytes(self):
        """Some acknowledged, some in flight, some not even read."""
        self.container.write(500)
        self.read_so_far()
        self.end.gate.clear()
        self.container.write(3000, size=300)
        self.seen(self.under_test, self.container)
        until(lambda: self.end.open_count > 0, "a batch under way")
        self.under_test.kill()
        self.end.gate.set()
        self.end.pump(self.witness)

    def away(self, rotations, lines=300):
        for _ in range(rotations):
            self.container.rotate()
            self.container.write(lines)

    def lost(self):
        return self.under_test.metric("drave_input_lost_segments_total"), self.under_test.metric("drave_input_lost_bytes_total")

    def end_well(self, duplicates=0):
        self.finish(self.end, self.witness, self.node.written, self.under_test, duplicates)

    def copies(self):
        """id -> the texts that came under it."""
        texts = {}
        for record in list(self.end.taken):
            texts.setdefault(record["id"], []).append(record["log"])
        return texts

    def packed(self):
        return [path for path in self.container.rotated() if path.endswith(".gz")]

    def test_killed_with_unread_bytes_and_compressed_meanwhile(self):
        self.watch()
        self.kill_with_unread_bytes()
        self.away(2)
        self.assertEqual(len(self.packed()), 1)
        self.under_test.start()
        self.read_so_far()
        self.assertEqual(self.lost(), (0, 0))
        self.end_well(IN_FLIGHT)

    def test_compressed_files_that_nobody_ever_saw_are_read_too(self):
        self.watch(max_files=8)
        self.container.write(100)
        self.read_so_far()
        self.under_test.stop()
        self.container.write(100)
        self.away(5)
        self.assertEqual(len(self.packed()), 4)
        self.under_test.start()
        self.end_well()

    def test_what_was_done_with_is_not_read_again(self):
        self.watch(max_files=8)
        self.container.write(100)
        for _ in range(5):
            self.read_so_far()
            self.away(1)
        self.read_so_far()
        self.assertEqual(len(self.packed()), 4)
        for away in (0, 1, 0, 2, 0):
            self.under_test.stop()
            self.away(away)
            self.under_test.start()
            self.read_so_far()
        self.under_test.kill()
        self.away(1)
        self.under_test.start()
        self.end_well()

    def test_new_node_leaves_compressed_files_alone(self):
        self.node = self.kubelet(max_files=8)
        self.container = self.node.container()
        self.container.write(100)
        self.away(3)
        expected = 300 * 2  # the newest rotated file and the live one
        self.under_test = self.collector({"main": self.end})
        until(lambda: len(self.end.taken) >= expected, "the plain ones")
        self.settled(self.under_test)
        self.under_test.stop()
        self.assertEqual(len(self.end.taken), expected)

    def test_killed_again_inside_the_compressed_file(self):
        self.watch()
        self.kill_with_unread_bytes()
        self.away(2)
        self.end.gate.clear()
        self.under_test.start()
        until(lambda: self.end.open_count > 0, "a batch under way")
        self.under_test.kill()
        self.end.gate.set()
        self.under_test.start()
        before = self.end.number
        until(lambda: self.end.number > before + 5, "some of it")
        self.under_test.kill()
        self.under_test.start()
        self.end_well(3 * IN_FLIGHT)

    def test_ids_are_those_of_the_plain_file(self):
        """What was in flight at the kill comes again from the .gz, under the same id."""
        self.watch()
        self.end.gate.clear()
        self.container.write(200)
        self.seen(self.under_test, self.container)
        until(lambda: self.end.open_count > 0, "a batch under way")
        self.under_test.kill()
        self.end.gate.set()
        until(lambda: self.end.open_count == 0, "answered")
        before = self.copies()
        self.away(2)
        self.under_test.start()
        until(lambda: len(self.copies()) >= self.container.sequence, "all of them")
        self.settled(self.under_test)
        self.assertEqual(len(self.copies()), self.container.sequence)
        self.assertTrue(all(len(set(logs)) == 1 for logs in self.copies().values()))
        self.assertTrue(all(len(self.copies()[name]) == 2 for name in before))
        self.end_well(IN_FLIGHT)

    def test_run_that_ended_meanwhile_is_read_with_the_next(self):
        self.watch()
        self.kill_with_unread_bytes()
        self.away(2)
        self.container.restart()
        self.container.write(100)
        self.away(2, 100)
        self.under_test.start()
        self.end_well(IN_FLIGHT)

    def test_two_outputs_go_on_at_two_places(self):
        self.node = self.kubelet()
        self.container = self.node.container()
        other, other_witness = self.endpoint(), self.oracle()
        self.under_test = self.collector({"main": self.http(self.end, batch_records=50), "other": self.http(other, batch_records=50)})
        other.gate.clear()
        self.container.write(2000, size=300)
        self.arrived(self.end, self.witness, self.node.written)
        until(lambda: other.open_count > 0, "a batch under way")
        self.under_test.kill()
        other.gate.set()
        self.away(2)
        self.under_test.start()
        self.arrived(other, other_witness, self.node.written)
        self.end_well(IN_FLIGHT)
        self.judge(other, other_witness, self.node.written, IN_FLIGHT)

    def test_what_kubelet_deleted_unread_is_counted_once(self):
        self.watch()
        self.container.write(500)
        self.read_so_far()
        self.end.behave = lambda request, last=self.end.number + 5: OK if request.number < last else Answer(503)
        self.container.write(3000, size=300)
        self.seen(self.under_test, self.container)
        until(lambda: self.under_test.metric("drave_output_retries_total") > 0, "the output down")
        until(lambda: self.under_test.streams()[0]["committed"] > 0, "some of it")
        committed, size = self.under_test.streams()[0]["committed"], self.under_test.streams()[0]["size"]
        self.under_test.kill()
        self.end.behave = lambda request: OK
        self.away(6)
        self.under_test.start()
        last = self.container.sequence - 1
        until(lambda: self.end.pump(self.witness) or last in self.witness.copies[self.container.key], "the live file's last line")
        self.settled(self.under_test)
        segments, lost = self.lost()
        self.assertEqual(segments, 1)  # of a second one nobody ever knew anything
        self.assertTrue(0 < lost <= size - committed, f"{lost} of {size} - {committed}")
        self.assertIn("file was deleted before all of it was delivered", self.under_test.errors())
        here = 300 * 5  # the live file's lines, and those of the four rotated ones
        self.end.pump(self.witness)
        arrived = self.witness.copies[self.container.key]
        self.assertTrue(all(number in arrived for number in range(self.container.sequence - here, self.container.sequence)))
        self.under_test.stop()
        self.under_test.start()
        self.settled(self.under_test)
        self.assertEqual(self.lost(), (0, 0))

    def leave_two_files_unread(self, lines):
        """A rotated and the live one, with the output away: how many of their bytes nobody has acknowledged."""
        self.watch()
        self.container.write(500)
        self.read_so_far()
        self.end.behave = lambda request: Answer(503)
        self.container.write(lines, size=300)
        self.seen(self.under_test, self.container)
        self.container.rotate()
        self.container.write(lines, size=300)
        self.seen(self.under_test, self.container)
        rows = self.under_test.streams()
        self.assertEqual(len(rows), 2)
        return sum(row["size"] - row["committed"] for row in rows)

    def noted_size(self):
        """What the checkpoint on disk knows of the sizes of files."""
        database = sqlite3.connect(os.path.join(self.under_test.state_dir, "checkpoint.db"))
        (size,) = database.execute("SELECT sum(size) FROM mark").fetchone()
        database.close()
        return size

    def kubelet_deletes_them(self):
        self.end.behave = lambda request: OK
        self.away(6)
        self.under_test.start()
        last = self.container.sequence - 1
        until(lambda: self.end.pump(self.witness) or last in self.witness.copies[self.container.key], "the live file's last line")
        self.settled(self.under_test)

    def test_two_files_deleted_after_a_stop_are_counted_to_the_byte(self):
        unread = self.leave_two_files_unread(1000)
        self.sections["collector"]["shutdown_timeout"] = "200ms"
        self.under_test.configure(self.sections)
        self.under_test.signal(signal.SIGHUP)
        until(lambda: self.under_test.status()["reloads"] == 1, "reloaded")
        self.under_test.signal(signal.SIGTERM)
        self.under_test.wait()
        self.kubelet_deletes_them()
        self.assertEqual(self.lost(), (2, unread))
        self.under_test.stop()

    def test_two_files_deleted_after_a_kill_are_counted_to_a_mebibyte(self):
        unread = self.leave_two_files_unread(9000)
        self.assertGreater(unread, 5 << 20)
        size = sum(row["size"] for row in self.under_test.streams())
        until(lambda: self.noted_size() >= size - (2 << 20), lambda: f"{size} bytes noted but for two mebibytes: {self.noted_size()}")
        self.under_test.kill()
        self.kubelet_deletes_them()
        segments, lost = self.lost()
        self.assertEqual(segments, 2)
        self.assertTrue(unread - (2 << 20) <= lost <= unread, f"{lost} of {unread}")
        self.under_test.stop()

    def test_run_whose_file_was_deleted_after_the_next_one_is_a_gap(self):
        """Who was the last one that we knew lost its end, and nobody knows how much that is."""
        self.watch()
        self.container.write(100)
        self.read_so_far()
        self.settled(self.under_test)
        self.under_test.stop()
        first = self.container.path
        self.container.write(50)
        for _ in range(2):
            self.container.restart()
            self.container.write(10)
        os.remove(first)
        expected = {self.container.key: 120}
        self.under_test.start()
        self.arrived(self.end, self.witness, expected)
        self.assertEqual(self.lost(), (1, 0))
        self.settled(self.under_test)
        self.under_test.stop()
        self.under_test.start()
        self.settled(self.under_test)
        self.assertEqual(self.lost(), (0, 0))
        self.under_test.stop()

    def test_run_that_was_over_is_no_gap_when_it_is_deleted(self):
        self.watch()
        first = self.container.path
        for _ in range(2):
            self.container.write(100)
            self.read_so_far()
            self.container.restart()
        self.container.write(10)
        self.read_so_far()
        self.settled(self.under_test)
        self.under_test.stop()
        self.container.restart()
        self.container.write(10)
        os.remove(first)
        self.under_test.start()
        self.read_so_far()
        self.assertEqual(self.lost(), (0, 0))
        self.end_well()

    def test_many_runs_later(self):
        """A compressed file is read on a node that knows the container, however often it has begun anew."""
        self.watch()
        self.container.write(10)
        self.read_so_far()
        self.under_test.stop()
        for _ in range(40):
            self.container.restart()
            self.container.write(1)
        self.away(3, 20)
        self.assertEqual(len(self.packed()), 2)
        self.under_test.start()
        self.end_well()

    def test_what_was_delivered_is_no_loss_when_it_is_deleted(self):
        self.watch()
        self.container.write(100)
        self.read_so_far()
        self.away(1)
        self.read_so_far()
        self.under_test.stop()
        os.remove(self.container.rotated()[0])
        self.container.write(10)
        self.under_test.start()
        self.read_so_far()
        self.assertEqual(self.lost(), (0, 0))
        self.under_test.stop()
        self.container.pod.delete()
        self.under_test.start()
        self.settled(self.under_test)
        self.assertEqual(self.lost(), (0, 0))
        self.under_test.stop()
        self.judge(self.end, self.witness, self.node.written)

    def test_damaged_file_is_read_up_to_the_damage_and_the_next_goes_on(self):
        self.watch()
        self.kill_with_unread_bytes()
        self.away(2)
        path = self.packed()[0]
        os.truncate(path, os.path.getsize(path) * 3 // 4)
        self.under_test.start()
        until(lambda: self.under_test.metric("drave_input_lost_segments_total", reason="damaged") == 1, "counted")
        last = self.container.sequence - 1
        until(lambda: self.end.pump(self.witness) or last in self.witness.copies[self.container.key], "the live file's last line")
        self.assertEqual(self.under_test.metric("drave_audit_imbalance_bytes"), 0)

    def test_file_that_lacks_its_end_is_read_as_far_as_it_goes(self):
        """Of what follows the last byte of its content: nothing of it is lost, but that there is no more nobody can know."""
        self.watch()
        self.kill_with_unread_bytes()
        self.away(2)
        path = self.packed()[0]
        os.truncate(path, os.path.getsize(path) - 8)
        self.under_test.start()
        until(lambda: self.under_test.metric("drave_input_lost_segments_total", reason="damaged") == 1, "counted")
        self.read_so_far()
        self.assertEqual(self.under_test.metric("drave_input_lost_bytes_total"), 0)
        self.end_well(IN_FLIGHT)

    def test_half_written_and_strange_files_are_left_alone(self):
        self.watch()
        self.container.write(100)
        self.read_so_far()
        self.under_test.stop()
        for name, data in (("20990101-000000.gz.tmp", gzip.compress(b"x\n")), ("20990101-000000.tmp", b"x\n"), ("20990101-000001.gz", b"x\n"),
                           ("20990101-000002.gz", b""), ("20990101-000003.gz", gzip.compress(b""))):
            with open(f"{self.container.path}.{name}", "wb") as file:
                file.write(data)
        self.container.write(10)
        self.under_test.start()
        self.end_well()


if __name__ == "__main__":
    case.main()

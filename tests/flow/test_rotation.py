#!/usr/bin/env python3
"""Rotation in all its forms, while the collector reads and while it is away."""

import os
import sqlite3
import unittest

from kit import case
from kit.wait import until


class RotationTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node, self.end, self.witness = self.kubelet(max_files=100), self.endpoint(), self.oracle()

    def watch(self, **rows):
        self.under_test = self.collector({"main": self.http(self.end, **rows)})

    def read_so_far(self):
        self.arrived(self.end, self.witness, self.node.written)

    def end_well(self, duplicates=0):
        self.finish(self.end, self.witness, self.node.written, self.under_test, duplicates)

    def test_rename_while_reading(self):
        container = self.node.container()
        self.watch()
        for _ in range(30):
            container.write(50)
            self.seen(self.under_test, container)
            container.rotate(between=5)
        container.write(10)
        self.end_well()

    def test_rename_back_goes_on_with_the_same_file(self):
        container = self.node.container()
        self.watch()
        for _ in range(20):
            container.write(20)
            container.rotate_and_fail(between=5)
        self.read_so_far()
        container.write(5)
        self.end_well()

    def test_late_lines_of_the_renamed_file_are_sent(self):
        container = self.node.container()
        self.watch()
        for _ in range(20):
            container.write(20)
            self.seen(self.under_test, container)
            container.rotate(between=2, late=5)
            container.write(3)
        self.end_well()

    def test_nothing_at_the_path_for_a_while(self):
        container = self.node.container()
        container.write(20)
        self.watch()
        self.read_so_far()
        os.rename(container.path, f"{container.path}.{self.node.rotation_name()}")
        container.write(20)
        self.read_so_far()  # through the descriptor, with nothing at the path
        container.end()
        container.open()
        container.write(20)
        self.end_well()

    def test_two_rotations_within_a_second_overwrite_the_name_but_not_the_file(self):
        container = self.node.container()
        self.watch()
        container.write(50)
        self.read_so_far()
        self.node.rotation_name = lambda: "20260101-000000"
        for _ in range(5):
            container.write(50)
            self.read_so_far()
            container.clean = lambda: None
            container.rotate()
        container.write(50)
        self.end_well()

    def test_new_file_renamed_over_the_live_one(self):
        """As CRI-O reopens: 0.log.tmp over 0.log."""
        container = self.node.container()
        container.write(30)
        self.watch()
        self.read_so_far()
        for _ in range(5):
            path = container.path
            fd = os.open(f"{path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.rename(f"{path}.tmp", path)
            container.end()
            container.fd = fd
            container.write(30)
            self.read_so_far()
        self.end_well()

    def test_restarts_follow_in_order(self):
        container = self.node.container()
        self.watch()
        for _ in range(15):
            container.write(40)
            container.restart()
        container.write(1)
        self.end_well()

    def test_crash_loop_leaves_only_the_last_files(self):
        container = self.node.container()
        self.watch()
        for _ in range(10):
            container.write(20)
            self.read_so_far()
            container.restart()
            if container.restarts >= 2:
                os.remove(os.path.join(container.dir, f"{container.restarts - 2}.log"))
        self.end_well()

    def test_storm(self):
        containers = self.node.fleet(40)
        self.watch()
        for round in range(60 if case.IS_LONG else 15):
            for container in containers:
                container.write(10)
                container.rotate(between=1)
            # A file is deleted two rounds after its birth.  Found in time is what the collector must be; how many rotations a second
            # this machine plays is no matter of the test.
            until(lambda: self.under_test.metric("drave_input_events_total", event="adopted") >= 40 * (round + 1), "found")
        self.end_well()

    def test_pod_deleted_with_unread_lines(self):
        """Its file is open already; what is in it arrives."""
        containers = self.node.fleet(3)
        containers[0].write(10)
        self.watch(batch_records=50)
        self.read_so_far()
        self.end.gate.clear()
        for container in containers:
            container.write(2000)
        self.seen(self.under_test, *containers)
        containers[0].pod.delete()
        containers[1].pod.delete()
        self.end.gate.set()
        self.end_well()

    def test_short_pods(self):
        self.watch()
        for number in range(20):
            container = self.node.container(pod=f"job-{number}")
            container.write(100)
            self.read_so_far()
            container.pod.delete()
        self.end_well()

    def test_copytruncate_starts_anew(self):
        container = self.node.container()
        self.watch()
        for _ in range(10):
            container.write(30)
            self.read_so_far()
            os.ftruncate(container.fd, 0)
            container.write(10)  # shorter than before
            self.read_so_far()
        self.end_well()

    def test_truncated_and_grown_past_the_old_end_while_away(self):
        container = self.node.container()
        container.write(30)
        self.watch()
        self.read_so_far()
        self.settled(self.under_test)
        self.under_test.stop()
        os.ftruncate(container.fd, 0)
        container.write(200)
        self.under_test.start()
        self.end_well()

    def test_truncated_and_still_shorter_than_its_mark_while_away(self):
        container = self.node.container()
        container.write(200)
        self.watch()
        self.read_so_far()
        self.settled(self.under_test)
        self.under_test.stop()
        os.ftruncate(container.fd, 0)
        container.write(10)
        self.under_test.start()
        self.end_well()

    def test_deleted_and_written_anew_while_away_with_the_same_inode_or_another(self):
        container = self.node.container()
        self.watch()
        for length in (300, 30, 300):  # shorter and longer than the mark
            container.write(100)
            self.read_so_far()
            self.settled(self.under_test)
            self.under_test.stop()
            container.end()
            os.remove(container.path)
            container.open()
            container.write(length)
            self.under_test.start()
        self.end_well()

    def test_copied_and_truncated_while_away(self):
        """The copy has what was unread, under another inode; the file itself begins anew."""
        container = self.node.container()
        container.write(100)
        self.watch()
        self.read_so_far()
        self.settled(self.under_test)
        self.under_test.stop()
        container.write(50)
        container.copytruncate()
        container.write(200)
        self.under_test.start()
        self.end_well()

    def test_another_file_with_the_very_inode_is_not_taken_for_the_one_before(self):
        container = self.node.container()
        self.watch()
        for length in (300, 30):
            container.write(100)
            self.read_so_far()
            self.settled(self.under_test)
            self.under_test.stop()
            container.end()
            os.remove(container.path)
            container.open()
            container.write(length)
            self.take_for_the_same(container)
            self.under_test.start()
        self.end_well()

    def take_for_the_same(self, container):
        """The checkpoint's row gets the identity of what stands there now, as if the file system had used the inode again."""
        stat = os.stat(container.path)
        database = sqlite3.connect(os.path.join(self.under_test.state_dir, "checkpoint.db"))
        with database:
            changed = database.execute("UPDATE segment SET dev = ?, ino = ?", (stat.st_dev, stat.st_ino)).rowcount
        database.close()
        self.assertEqual(changed, 1)

    def test_rotated_while_away_is_finished_first(self):
        container = self.node.container()
        container.write(100)
        self.watch()
        self.read_so_far()
        self.settled(self.under_test)
        self.under_test.stop()
        container.write(100)
        container.rotate()
        container.write(100)
        self.under_test.start()
        self.end_well()

    def test_new_node_reads_plain_rotated_files_oldest_first_and_then_the_live_one(self):
        container = self.node.container()
        container.write(50)
        os.rename(container.path, f"{container.path}.20260101-000000")
        container.end()
        container.open()
        container.write(50)
        os.rename(container.path, f"{container.path}.20260102-000000")
        container.end()
        container.open()
        container.write(50)
        self.watch()
        self.end_well()

    def test_inode_used_again_by_a_new_pod(self):
        self.watch()
        for number in range(20):
            container = self.node.container(pod=f"web-{number}")
            container.write(20 + number)
            self.read_so_far()
            container.pod.delete()
        self.end_well()

    def test_same_content_in_a_file_of_another_inode_is_resumed_not_repeated(self):
        """A restored or copied volume."""
        container = self.node.container()
        container.write(50)
        self.watch()
        self.read_so_far()
        self.settled(self.under_test)
        self.under_test.stop()
        with open(container.path, "rb") as old:
            content = old.read()
        container.end()
        os.rename(container.path, os.path.join(self.dir, "kept-so-that-the-inode-stays-taken"))
        container.open()
        os.write(container.fd, content)
        container.write(10)
        self.under_test.start()
        self.end_well()

    def test_read_from_tail_skips_what_is_there_and_takes_what_comes(self):
        old = self.node.container()
        old.write(50)
        self.under_test = self.collector({"main": self.end}, input={"read_from": "tail"})
        until(lambda: self.under_test.streams(), "found")
        first = old.sequence
        old.write(10)
        new = self.node.container(pod="later")
        new.write(10)
        until(lambda: len(self.end.taken) >= 20, "both")
        self.under_test.stop()
        self.end.pump(self.witness)
        self.assertEqual(sorted(self.witness.copies[old.key]), list(range(first, first + 10)))
        self.assertEqual(sorted(self.witness.copies[new.key]), list(range(10)))


if __name__ == "__main__":
    case.main()

#!/usr/bin/env python3
"""What no well-behaved runtime writes: delivered or cut with a flag, never lost, never fatal."""

import os
import unittest

from kit import case
from kit.wait import until

TIME = "2026-01-31T12:34:56.123456789Z"


def cri(text, tag="F", stream="stdout"):
    text = text if isinstance(text, bytes) else text.encode()
    return f"{TIME} {stream} {tag} ".encode() + text + b"\n"


class BadInputTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node, self.end = self.kubelet(), self.endpoint()
        self.container = self.node.container()

    def watch(self, **input_):
        self.under_test = self.collector({"main": self.end}, input={"partial_timeout": "300ms", **input_})

    def records(self, count):
        until(lambda: len(self.end.taken) >= count, lambda: f"{count} records: {self.end.taken}")
        return self.end.taken

    def end_well(self, count):
        """Nothing came twice, the account is even, and it still reads."""
        self.container.put(cri("still reading"))
        self.assertEqual(self.records(count + 1)[-1]["log"], "still reading")
        self.assertEqual(len(self.end.taken), count + 1)
        self.settled(self.under_test)
        self.under_test.stop()

    def delivers(self, data, *logs, **input_):
        """data in one go gives these texts."""
        self.container.put(data)
        self.watch(**input_)
        self.assertEqual([record["log"] for record in self.records(len(logs))], list(logs))
        self.end_well(len(logs))

    def test_texts_arrive_byte_for_byte(self):
        texts = ["", " ", "  leading and trailing  ", "tab\there", "cr\r", "quote \" backslash \\ slash /", "\x01\x02\x1f\x7f", "nul\0inside",
                 "Zoë 漢字 😀", "\ufeffbom", "\u2028\u2029", "{\"a\":1}", "[", "null"]
        self.delivers(b"".join(map(cri, texts)), *texts)

    def test_invalid_utf8_becomes_replacement_characters(self):
        bad = [b"\xff", b"a\xc3", b"\xc3(", b"\xe2\x82", b"\xe2\x82(", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xc0\x80", b"ok\x80\x80ok"]
        self.delivers(b"".join(map(cri, bad)), *(text.decode(errors="replace") for text in bad))

    def test_line_that_is_none_of_ours_is_delivered_whole(self):
        garbage = ["garbage", "", "2026-01-31 stdout F no time", f"{TIME} stdin F no stream", f"{TIME} stdout X no tag", f"{TIME} stdout", TIME]
        self.container.put(cri("before") + b"".join(line.encode() + b"\n" for line in garbage) + cri("after"))
        self.watch()
        records = self.records(len(garbage) + 2)
        self.assertEqual([record["log"] for record in records], ["before", *garbage, "after"])
        for record in records[1:-1]:
            self.assertEqual((record["stream"], record["unparsed"]), ("unknown", True))
            self.assertRegex(record["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)$")
        self.end_well(len(records))

    def test_further_tags_are_ignored(self):
        self.delivers(cri("one ", "P:x:y") + cri("two", "F:z"), "one two")

    def test_streams_are_joined_apart(self):
        self.delivers(cri("o1", "P") + cri("e1", "P", "stderr") + cri("o2", "P") + cri("e2", "F", "stderr") + cri("o3"), "e1e2", "o1o2o3")

    def test_line_without_newline_waits_while_its_file_is_live(self):
        self.container.put(cri("whole") + cri("torn")[:-3])
        self.watch()
        self.records(1)
        self.container.put(cri("torn")[-3:])
        self.assertEqual([record["log"] for record in self.records(2)], ["whole", "torn"])
        self.end_well(2)

    def test_line_without_newline_is_delivered_when_its_file_has_a_successor(self):
        self.container.put(cri("torn")[:-1])
        self.watch()
        self.container.restart()
        self.container.put(cri("next"))
        self.assertEqual([record["log"] for record in self.records(2)], ["torn", "next"])
        self.end_well(2)

    def test_line_without_newline_is_delivered_when_its_file_is_gone(self):
        self.container.put(cri("whole") + cri("torn")[:-1])
        self.watch()
        self.records(1)
        self.container.pod.delete()
        self.assertEqual([record["log"] for record in self.records(2)], ["whole", "torn"])
        self.under_test.stop()

    def test_one_byte_writes(self):
        self.watch()
        for byte in cri("slowly") + cri("does it"):
            self.container.put(bytes([byte]))
        self.assertEqual([record["log"] for record in self.records(2)], ["slowly", "does it"])
        self.end_well(2)

    def test_chain_that_never_ends_is_delivered_as_partial(self):
        self.container.put(cri("half", "P"))
        self.watch()
        record = self.records(1)[0]
        self.assertEqual((record["log"], record["partial"], record["time"]), ("half", True, TIME))
        self.end_well(1)

    def test_chain_at_a_restart_is_delivered_as_partial(self):
        """containerd writes a last line without newline as P, and nothing follows it."""
        self.container.put(cri("last words", "P"))
        self.watch()
        self.container.restart()
        self.container.put(cri("hello"))
        told = {record["log"]: record.get("partial") for record in self.records(2)}
        self.assertEqual(told, {"last words": True, "hello": None})
        self.end_well(2)

    def test_chain_over_a_rotation_is_one_record(self):
        self.watch(partial_timeout="1h")
        self.container.put(cri("begun ", "P"))
        self.container.rotate()
        self.container.put(cri("and ended"))
        self.records(1)
        self.assertEqual("".join(record["log"] for record in self.end.taken), "begun and ended")
        self.under_test.stop()

    def test_huge_record_is_cut_and_says_so(self):
        piece = "0123456789abcdef" * 1024
        self.container.put(b"".join(cri(piece, "P") for _ in range(200)) + cri("end") + cri("next"))
        self.watch()
        huge, following = self.records(2)
        self.assertTrue(huge["truncated"])
        self.assertLessEqual(len(huge["log"]), 900 << 10)
        self.assertGreater(len(huge["log"]), 800 << 10)
        self.assertTrue((piece * 201).startswith(huge["log"]))
        self.assertEqual(following["log"], "next")
        self.assertGreater(self.under_test.metric("drave_audit_bytes", term="dropped"), 2 << 20)
        self.end_well(2)

    def test_huge_line_in_one_piece_is_cut_and_says_so(self):
        self.container.put(cri("x" * (4 << 20)) + cri("next"))
        self.watch()
        huge, following = self.records(2)
        self.assertEqual((set(huge["log"]), huge["truncated"], following["log"]), ({"x"}, True, "next"))
        self.end_well(2)

    def test_huge_line_without_end_does_not_grow_memory(self):
        self.container.put(cri("y" * (64 << 20))[:-1])
        self.watch()
        until(lambda: self.under_test.metric("drave_input_lag_bytes") < 2 << 20 or self.end.taken, "read as far as it goes")
        self.container.put(b"\n" + cri("next"))
        until(lambda: self.end.taken and self.end.taken[-1]["log"] == "next", "the next line")
        self.under_test.stop()

    def test_max_record_is_obeyed(self):
        self.delivers(cri("abcdefgh" * 1024) + cri("short"), ("abcdefgh" * 1024)[:4096], "short", max_record="4KiB")

    def test_gap_of_nul_bytes(self):
        """A power cut leaves zeros where lines were."""
        self.container.put(cri("before") + bytes(100_000) + cri("glued") + cri("after"))
        self.watch()
        until(lambda: self.end.taken and self.end.taken[-1]["log"] == "after", "the line after the gap")
        self.assertEqual(self.end.taken[0]["log"], "before")
        self.end_well(len(self.end.taken))

    def test_empty_files_and_strange_names_are_no_trouble(self):
        pods = self.node.pods_dir
        for name in ("no-underscores", "a_b", "_x_", "UPPER_case_1", "a_b_c_d", "shop_web_../x"):
            os.makedirs(os.path.join(pods, name, "app"), exist_ok=True)
            with open(os.path.join(pods, name, "app", "0.log"), "wb") as file:
                file.write(cri("not ours"))
        with open(os.path.join(pods, "file"), "w") as file:
            file.write("x")
        for name in ("0.log.tmp", "x.log", "0.log.20260101-000000.tmp", "0.log.20260101-000000.gz.tmp", "-1.log", "0.txt"):
            with open(os.path.join(self.container.dir, name), "wb") as file:
                file.write(cri("not a log file"))
        os.makedirs(os.path.join(self.container.dir, "7.log"))
        self.delivers(b"" + cri("ours"), "ours")

    def test_links_and_devices_are_refused(self):
        secret = os.path.join(self.dir, "secret")
        with open(secret, "wb") as file:
            file.write(cri("secret"))
        os.symlink(secret, os.path.join(self.container.dir, "1.log"))
        os.symlink("/dev/zero", os.path.join(self.container.dir, "2.log"))
        os.mkfifo(os.path.join(self.container.dir, "3.log"))
        os.symlink("4.log", os.path.join(self.container.dir, "4.log"))
        os.symlink(os.path.join(self.node.docker_dir, "..", "secret"), os.path.join(self.container.dir, "5.log"))
        os.symlink(self.dir, os.path.join(self.node.pods_dir, "shop_link_11111111-1111-4111-8111-111111111111"))
        self.delivers(cri("ours"), "ours")

    def test_damaged_gzip_is_no_trouble(self):
        for name, data in (("20260101-000000", b"not gzip"), ("20260101-000001", b"\x1f\x8b\x08\0\0\0\0\0\0\3"), ("20260101-000002", b"")):
            with open(os.path.join(self.container.dir, f"0.log.{name}.gz"), "wb") as file:
                file.write(data)
        self.delivers(cri("ours"), "ours")

    def test_tree_that_is_not_there_yet_is_waited_for(self):
        os.rename(self.node.pods_dir, f"{self.node.pods_dir}.away")
        self.watch()
        self.assertIn("pods", self.under_test.errors())
        self.container.put(cri("ours"))
        os.rename(f"{self.node.pods_dir}.away", self.node.pods_dir)
        self.records(1)
        self.end_well(1)


if __name__ == "__main__":
    case.main()

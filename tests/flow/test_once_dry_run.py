#!/usr/bin/env python3
"""--once, --dry-run and the other ways to run it to its end, with their exit codes."""

import json
import os
import unittest

from kit import case
from kit.endpoint import Answer

OK, USAGE, UNAVAILABLE, LOCKED, CONFIG = 0, 64, 69, 75, 78


class OnceTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node, self.end, self.witness = self.kubelet(), self.endpoint(), self.oracle()
        for container in self.node.fleet(3):
            container.write(500)
        self.node.containers[0].rotate()
        self.node.containers[0].write(10)
        self.under_test = self.collector({"main": self.end}, start=False, collector={"shutdown_timeout": "500ms"})

    def test_reads_all_and_ends(self):
        status, _ = self.under_test.run("--once")
        self.assertEqual(status, OK, self.under_test.errors())
        self.judge(self.end, self.witness, self.node.written)

    def test_second_run_sends_only_what_is_new(self):
        self.under_test.run("--once")
        self.node.containers[1].write(20)
        status, _ = self.under_test.run("--once")
        self.assertEqual(status, OK, self.under_test.errors())
        self.judge(self.end, self.witness, self.node.written)

    def test_nothing_to_read_is_fine(self):
        for container in self.node.containers:
            container.pod.delete()
        self.assertEqual(self.under_test.run("--once")[0], OK, self.under_test.errors())

    def test_dead_output_is_unavailable(self):
        self.end.stop()
        status, _ = self.under_test.run("--once")
        self.assertEqual(status, UNAVAILABLE, self.under_test.errors())
        self.assertRegex(self.under_test.errors(), r"unacknowledged_bytes=[1-9]")

    def test_refusing_output_is_unavailable_and_nothing_is_lost(self):
        self.end.behave = lambda request: Answer(403)
        self.assertEqual(self.under_test.run("--once")[0], UNAVAILABLE, self.under_test.errors())
        self.end.behave = lambda request: Answer(200)
        self.assertEqual(self.under_test.run("--once")[0], OK, self.under_test.errors())
        self.judge(self.end, self.witness, self.node.written)

    def test_held_lock_is_a_temporary_failure(self):
        first = self.collector({"main": self.end}, "first")
        status, _ = self.under_test.run("--once")
        self.assertEqual(status, LOCKED, self.under_test.errors())
        first.stop()

    def test_line_without_newline_and_open_chain_are_reported_as_pending(self):
        container = self.node.containers[2]
        container.put(b"2026-01-31T12:34:56Z stdout F torn")
        status, _ = self.under_test.run("--once")
        self.assertEqual(status, OK, self.under_test.errors())
        self.assertRegex(self.under_test.errors(), r"left for the next run.*bytes=34\b")
        self.judge(self.end, self.witness, self.node.written)


class DryRunTest(case.FlowCase):
    def test_prints_records_and_leaves_no_trace(self):
        node, end, oracle = self.kubelet(), self.endpoint(), self.oracle()
        for container in node.fleet(2):
            container.write(300)
        state = os.path.join(self.dir, "untouched")
        under_test = self.collector({"main": end}, start=False)
        under_test.state_dir = state
        self.sections["collector"]["state_dir"] = state
        under_test.configure(self.sections)
        before = os.listdir(state)
        status, out = under_test.run("--dry-run")
        self.assertEqual(status, OK, under_test.errors())
        oracle.take_all(map(json.loads, out.splitlines()))
        self.assertEqual(oracle.verdict(node.written).faults(), [])
        self.assertEqual((os.listdir(state), end.number), (before, 0))

    def test_stdout_output_prints_too(self):
        node, oracle = self.kubelet(), self.oracle()
        node.container().write(300)
        under_test = self.collector({"main": {"type": "stdout"}}, start=False)
        status, out = under_test.run("--once")
        self.assertEqual(status, OK, under_test.errors())
        oracle.take_all(map(json.loads, out.splitlines()))
        self.assertEqual(oracle.verdict(node.written).faults(), [])


class CommandLineTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.kubelet()
        with open(os.path.join(self.dir, "password"), "w") as file:
            file.write("canary-secret\n")
        os.chmod(os.path.join(self.dir, "password"), 0o600)
        self.under_test = self.collector({"main": {"type": "http", "url": "http://127.0.0.1:1/in", "username": "drave",
                                                   "password_file": os.path.join(self.dir, "password")}}, start=False)

    def run_with(self, *arguments):
        status, out = self.under_test.run(*arguments)
        return status, out.decode(), self.under_test.errors()

    def plain(self):
        self.sections["output:main"] = {"type": "null"}
        self.under_test.configure(self.sections)

    def test_unknown_option_is_a_usage_error(self):
        status, _, told = self.run_with("--no-such-option")
        self.assertEqual(status, USAGE)
        self.assertIn("no-such-option", told)

    def test_bad_override_is_a_usage_or_configuration_error(self):
        self.plain()
        for override in ("nonsense", "collector.no_such_key=1", "output:main.lanes=many"):
            status, _, told = self.run_with("-o", override, "--check-config")
            self.assertIn(status, (USAGE, CONFIG), told)

    def test_override_counts(self):
        self.plain()
        status, out, told = self.run_with("-o", "collector.node_name=other", "--print-config")
        self.assertEqual(status, OK, told)
        self.assertRegex(out, r"node_name\s*=\s*other")

    def test_help_and_version(self):
        status, out, _ = self.run_with("--help")
        self.assertEqual(status, OK)
        for option in ("--config", "--check-config", "--print-config", "--log-level", "--once", "--dry-run", "--version"):
            self.assertIn(option, out)
        status, out, _ = self.run_with("--version")
        self.assertEqual(status, OK)
        for library in ("zstd", "rdkafka", "curl", "sqlite", "uv"):
            self.assertIn(library, out.lower())

    def test_check_config_says_yes(self):
        self.plain()
        self.assertEqual(self.run_with("--check-config")[0], OK)

    def test_print_config_masks_secrets(self):
        status, out, told = self.run_with("--print-config")
        self.assertEqual(status, OK, told)
        self.assertNotIn("canary", out + told)

    def test_credentials_in_a_url_are_refused_and_not_repeated(self):
        self.sections["output:main"]["url"] = "http://user:canary-url@127.0.0.1:1/in"
        self.under_test.configure(self.sections)
        status, out, told = self.run_with("--check-config")
        self.assertEqual(status, CONFIG)
        self.assertIn("password_file", told)
        self.assertNotIn("canary", out + told)

    def test_missing_configuration_is_a_configuration_error(self):
        os.remove(self.under_test.config)
        status, _, told = self.run_with()
        self.assertEqual(status, CONFIG)
        self.assertIn(self.under_test.config, told)

    def test_state_directory_that_cannot_be_is_an_operator_error(self):
        self.plain()
        with open(os.path.join(self.dir, "file"), "w"):
            pass
        status, _, told = self.run_with("-o", f"collector.state_dir={self.dir}/file/state")
        self.assertIn(status, (73, CONFIG), told)
        self.assertIn(f"{self.dir}/file", told)


if __name__ == "__main__":
    case.main()

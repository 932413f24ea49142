#!/usr/bin/env python3
"""The controller's command line: every mistake of a configuration in one run, as file:line: message, exit 78; and what is printed."""

import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.environ.get("DRAVE_CONTROLLER", "")

BAD = """\
; line 1
[controller]
kubeconfig = /no/such/file
namespace = Not_A_Name
listen = nowhere
log_levle = info
log_format = xml
leader_election = maybe
lease_name = a b
lease_duration = 15
renew_deadline = 10s
retry_period = ${NO_SUCH_VARIABLE}

[colector]
"""

# line -> words that its message must contain
EXPECTED = {3: "kubeconfig", 4: "namespace", 5: "listen", 6: "log_level", 7: "log_format", 8: "leader_election", 9: "lease_name",
            10: "lease_duration", 12: "NO_SUCH_VARIABLE", 14: "unknown section"}


class ControllerConfigTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="drave-controller-config-")
        self.addCleanup(directory.cleanup)
        self.dir = directory.name
        self.path = os.path.join(self.dir, "controller.ini")

    def run_with(self, text, *arguments):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.run_bare("--config", self.path, *arguments)

    def run_bare(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBE")}
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False,
                              env={**environment, "HOME": self.dir})

    def test_all_mistakes_in_one_run(self):
        for arguments in (("--check-config",), ()):
            result = self.run_with(BAD, *arguments)
            self.assertEqual(result.returncode, 78, result.stderr)
            lines = result.stderr.splitlines()
            for line, word in EXPECTED.items():
                self.assertTrue(any(told.startswith(f"{self.path}:{line}: ") and word in told for told in lines),
                                f"line {line} ({word}) in:\n{result.stderr}")

    def test_nearest_key_is_suggested(self):
        result = self.run_with("[controller]\nlog_levle = info\n", "-t")
        self.assertRegex(result.stderr, r":2: .*log_levle.*'log_level'")

    def test_times_of_the_lease_must_fit(self):
        result = self.run_with("[controller]\nlease_duration = 5s\n", "--check-config")
        self.assertEqual(result.returncode, 78)
        self.assertIn(f"{self.path}:2: lease_duration must be longer than renew_deadline", result.stderr)

    def test_a_good_one_is_silent(self):
        result = self.run_with("[controller]\nnamespace = *\n", "--check-config")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_a_file_that_was_named_must_be_there(self):
        result = self.run_bare("--config", os.path.join(self.dir, "none.ini"), "--check-config")
        self.assertEqual(result.returncode, 78)
        self.assertIn("none.ini", result.stderr)

    def test_what_is_in_force_is_printed_and_read_back(self):
        printed = self.run_with("[controller]\nnamespace = *\nretry_period = 1s\n", "--print-config", "-o", "controller.lease_name=x")
        self.assertEqual(printed.returncode, 0, printed.stderr)
        self.assertRegex(printed.stdout, r"(?m)^namespace = \*$")
        self.assertRegex(printed.stdout, r"(?m)^lease_name = x$")
        again = self.run_with(printed.stdout, "--print-config")
        self.assertEqual(again.stdout, printed.stdout)

    def test_the_sample_is_all_defaults(self):
        sample = self.run_bare("--print-sample")
        defaults = self.run_with("", "--print-config").stdout
        self.assertEqual(self.run_with(sample.stdout, "--print-config").stdout, defaults)
        self.assertEqual(self.run_with(sample.stdout.replace("\n;listen", "\nlisten"), "--print-config").stdout, defaults)

    def test_usage(self):
        for arguments, status, word in ((("--nonsense",), 64, "--help"), (("surplus",), 64, "surplus"), (("--explain",), 64, "--help"),
                                        (("rollout",), 64, "rollout --help"), (("rollout", "pause", "x"), 64, "pause"),
                                        (("rollout", "status", "a", "b"), 64, "rollout --help"),
                                        (("rollout", "undo", "a", "--to-revision", "x"), 64, "no number"),
                                        (("rollout", "status", "a", "--timeout", "5"), 64, "--timeout"),
                                        (("rollout", "status", "--help"), 0, "Usage"), (("--help",), 0, "Usage"),
                                        (("--version",), 0, "drave-controller")):
            result = self.run_bare(*arguments)
            self.assertEqual(result.returncode, status, f"{arguments}: {result.stderr}")
            self.assertIn(word, result.stdout + result.stderr, arguments)

    def test_no_way_to_a_server_is_a_mistake_of_the_configuration(self):
        result = self.run_with("[controller]\n")
        self.assertEqual(result.returncode, 78)
        self.assertRegex(result.stderr, r"(?m)^drave-controller: ")

    def test_versions_of_the_libraries_are_told(self):
        told = self.run_bare("--version").stdout
        for library in ("libuv", "libcurl", "cJSON", "yaml", "libmicrohttpd"):
            self.assertIn(library, told)


if __name__ == "__main__":
    if not os.access(PROGRAM, os.X_OK):
        sys.exit(f"DRAVE_CONTROLLER names no program: {PROGRAM!r}")
    unittest.main(verbosity=2)

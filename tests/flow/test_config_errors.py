#!/usr/bin/env python3
"""Every mistake in a configuration is told in one run, as file:line: message; exit 78."""

import os
import unittest

from kit import case

BAD = """\
; line 1
[collector]
node_name = n
shutdown_timeout = 30
memory_limit = 32M
log_levle = info
listen = nowhere

[input:pods]
path = ${NO_SUCH_VARIABLE}
read_from = middle
multiline = java

[output:main]
type = http
url = ftp://example/
lanes = 0
compression = lz4
password_file = /no/such/file
username = x

[output:main]
type = null

[output:other]
type = kafka

[outptu:third]
type = null
"""

# line -> words that its message must contain
EXPECTED = {4: "shutdown_timeout", 5: "memory_limit", 6: "log_level", 7: "listen", 10: "NO_SUCH_VARIABLE", 11: "read_from", 12: "not in this version",
            16: "url", 17: "lanes", 18: "compression", 19: "password_file", 22: "output:main", 28: "outptu"}


class ConfigErrorsTest(case.FlowCase):
    def told(self, text, *arguments):
        self.kubelet()
        collector = self.collector({"main": {"type": "null"}}, start=False)
        collector.configure(text)
        status, _ = collector.run(*arguments)
        return status, collector.errors(), collector.config

    def errors_by_line(self, told, path):
        found = {}
        for line in told.splitlines():
            at = line.find(f"{path}:")
            if at >= 0:
                number, _, message = line[at + len(path) + 1:].partition(":")
                found.setdefault(int(number), []).append(message)
        return found

    def test_all_of_them_in_one_run(self):
        for arguments in (("--check-config",), ()):
            status, told, path = self.told(BAD, *arguments) if arguments else self.again()
            self.assertEqual(status, 78, told)
            found = self.errors_by_line(told, path)
            for line, word in EXPECTED.items():
                self.assertTrue(any(word in message for message in found.get(line, [])), f"line {line} ({word}) in:\n{told}")

    def again(self):
        collector = self.collectors[-1]
        status, _ = collector.run()
        return status, collector.errors(), collector.config

    def test_nearest_key_is_suggested(self):
        _, told, _ = self.told("[collector]\nlog_levle = info\n[output:a]\ntype = null\n", "--check-config")
        self.assertRegex(told, r":2: .*log_levle.*log_level\b")

    def test_later_versions_keys_are_told_apart_from_mistakes(self):
        status, told, _ = self.told("[output:a]\ntype = http\nurl = http://x/\nformat = elasticsearch\n[parser:p]\ntype = json\n", "--check-config")
        self.assertEqual(status, 78)
        self.assertRegex(told, r":4: .*not in this version")
        self.assertRegex(told, r":5: .*not in this version")

    def test_include_cycle(self):
        status, told, path = self.told("[collector]\ninclude = *.ini\n[output:a]\ntype = null\n", "--check-config")
        self.assertEqual(status, 78)
        self.assertRegex(told, r"collector\.ini:2: ")

    def test_error_in_an_included_file_names_that_file(self):
        self.told("[output:a]\ntype = null\n", "--check-config")
        os.makedirs(os.path.join(self.dir, "more"))
        with open(os.path.join(self.dir, "more", "10-a.ini"), "w") as file:
            file.write("\n\n[output:b]\ntype = null\nlanes = many\n")
        collector = self.collectors[-1]
        collector.configure("[collector]\ninclude = more/*.ini\n[output:a]\ntype = null\n")
        status, _ = collector.run("--check-config")
        self.assertEqual(status, 78)
        self.assertRegex(collector.errors(), r"10-a\.ini:5: ")

    def test_labels_that_nobody_knows_are_an_error_unless_something_stands_for_them(self):
        none = "[kubernetes]\nmetadata_source = none\n[output:a]\ntype = kafka\nbrokers = b:9092\n"
        status, told, _ = self.told(f"{none}topic = {{label:app:-x}}\nkey = {{pod}}{{label:app}}\nheaders = a={{node}}, b={{annotation:b}}\n", "--check-config")
        self.assertEqual(status, 78)
        self.assertRegex(told, r":6: warning: 'topic' .*none never knows")
        self.assertRegex(told, r":7: 'key' .*none never knows")
        self.assertRegex(told, r":8: 'headers' .*none never knows")
        status, told, _ = self.told(f"{none}topic = {{label:app}}\nfallback_topic = x\nkey = {{pod}}\n", "--check-config")
        self.assertEqual(status, 0, told)
        self.assertRegex(told, r":6: warning: 'topic' ")

    def test_a_name_of_a_node_has_a_limit(self):
        status, told, _ = self.told(f"[collector]\nnode_name = {'n' * 254}\n[output:a]\ntype = null\n", "--check-config")
        self.assertEqual(status, 78)
        self.assertRegex(told, r":2: node_name is longer than 253 bytes")

    def test_no_output_is_an_error(self):
        self.assertEqual(self.told("[collector]\nnode_name = n\n", "--check-config")[0], 78)

    def test_too_little_memory_for_the_outputs_is_an_error(self):
        status, told, _ = self.told("[collector]\nmemory_limit = 4MiB\n[output:a]\ntype = http\nurl = http://x/\nbatch_size = 1MiB\n", "--check-config")
        self.assertEqual(status, 78)
        self.assertIn("memory_limit", told)

    def test_binary_rubbish_does_not_crash_it(self):
        self.told("[output:a]\ntype = null\n", "--check-config")
        for text in ("\0\0\0", "[", "=", "[]\n=\n", "[output:a]\ntype\n", "x" * 100_000, "[output:" + "a" * 5000 + "]\ntype = null\n"):
            collector = self.collectors[-1]
            collector.configure(text)
            self.assertEqual(collector.run("--check-config")[0], 78, repr(text[:40]))


if __name__ == "__main__":
    case.main()

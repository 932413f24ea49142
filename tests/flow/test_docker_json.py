#!/usr/bin/env python3
"""docker's json-file logs behind links: pieces joined, rotation by number, links followed below docker_root only."""

import json
import os
import unittest

from kit import case


class DockerTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node, self.end, self.witness = self.kubelet(), self.endpoint(), self.oracle()
        self.container = self.node.container(docker=True)

    def watch(self):
        self.under_test = self.collector({"main": self.end})

    def end_well(self):
        self.finish(self.end, self.witness, self.node.written, self.under_test)

    def test_lines_and_pieces(self):
        self.container.write(200)
        self.watch()
        self.container.write(size=100_000)
        self.container.write(50)
        self.end_well()

    def test_rotation_while_reading(self):
        self.watch()
        for _ in range(10):
            self.container.write(50)
            self.arrived(self.end, self.witness, self.node.written)
            self.container.rotate()
        self.container.write(5)
        self.end_well()

    def test_rotation_while_away(self):
        self.container.write(50)
        self.watch()
        self.arrived(self.end, self.witness, self.node.written)
        self.settled(self.under_test)
        self.under_test.stop()
        self.container.write(50)
        self.container.rotate()
        self.container.write(50)
        self.under_test.start()
        self.end_well()

    def test_restart_makes_a_new_link(self):
        self.watch()
        for _ in range(5):
            self.container.write(30)
            self.container.restart()
        self.container.write(3)
        self.end_well()

    def test_mixed_with_cri_on_one_node(self):
        other = self.node.container(pod="cri")
        self.watch()
        for _ in range(5):
            self.container.write(30)
            other.write(30)
        self.end_well()

    def test_members_in_any_order_and_escapes(self):
        texts = ["tab\t\"quoted\" \\ \u20ac \U0001f600 \x01", "", "cr\r"]
        lines = [json.dumps({"stream": "stderr", "attrs": {"a": ["b", {"c": 1}]}, "time": "2026-01-31T12:34:56.1Z", "log": f"{text}\n"}) for text in texts]
        self.container.put("".join(f"{line}\n" for line in lines).encode())
        self.watch()
        case.until(lambda: len(self.end.taken) == 3, lambda: f"three: {self.end.taken}")
        self.assertEqual([(record["log"], record["stream"], record["time"]) for record in self.end.taken],
                         [(text, "stderr", "2026-01-31T12:34:56.1Z") for text in texts])
        self.under_test.stop()

    def test_link_out_of_the_docker_root_is_refused(self):
        secret = os.path.join(self.dir, "secret-json.log")
        with open(secret, "w") as file:
            file.write('{"log":"secret\\n","stream":"stdout","time":"2026-01-31T12:34:56Z"}\n')
        os.symlink(secret, os.path.join(self.container.dir, "7.log"))
        self.container.write(10)
        self.watch()
        self.end_well()


if __name__ == "__main__":
    case.main()

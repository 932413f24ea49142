#!/usr/bin/env python3
"""What goes over the wire is what independent programs decode: zstd -d, gzip -d."""

import json
import subprocess
import unittest

from kit import case
from kit.endpoint import parse

TOOLS = {"zstd": ["zstd", "-dcq"], "gzip": ["gzip", "-dc"], "": ["cat"]}


class DecodersTest(case.FlowCase):
    def works(self, encoding, **rows):
        kubelet, oracle, endpoint = self.kubelet(), self.oracle(), self.endpoint(keep_wire=True)
        for container in kubelet.fleet(3):
            container.write(2000)
            container.write(size=200_000)
        collector = self.collector({"main": self.http(endpoint, **rows)})
        self.finish(endpoint, oracle, kubelet.written, collector)
        self.assertEqual({wire[0] for wire in endpoint.wires}, {encoding})
        by_tool = self.oracle()
        for _, wire in endpoint.wires:
            plain = subprocess.run(TOOLS[encoding], input=wire, capture_output=True, check=True).stdout
            by_tool.take_all(parse(plain))
        self.assertEqual(by_tool.verdict(kubelet.written).faults(), [])
        return endpoint

    def test_zstd(self):
        endpoint = self.works("zstd", compression="zstd")
        for _, wire in endpoint.wires:
            frames = subprocess.run(["zstd", "-lv", "-"], input=wire, capture_output=True)
            self.assertEqual(wire[:4], b"\x28\xb5\x2f\xfd", frames)

    def test_zstd_is_the_default(self):
        self.works("zstd")

    def test_high_level(self):
        self.works("zstd", compression_level=9)

    def test_gzip(self):
        self.works("gzip", compression="gzip")

    def test_none(self):
        self.works("", compression="none")

    def test_json_array(self):
        endpoint = self.works("zstd", format="json_array")
        for _, wire in endpoint.wires:
            plain = subprocess.run(TOOLS["zstd"], input=wire, capture_output=True, check=True).stdout
            self.assertIsInstance(json.loads(plain), list)


if __name__ == "__main__":
    case.need("zstd", "gzip")
    case.main()

#!/usr/bin/env python3
"""The kit itself: an oracle that misses a fault, or a node that writes what no kubelet writes, would prove nothing."""

import gzip
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import unittest
from unittest import mock

from kit import case, endpoint as ends, stamp, zstd
from kit.certificates import Authority
from kit.collector import Metrics, configuration
from kit.endpoint import Answer, Endpoint
from kit.load import Load
from kit.oracle import Oracle

KEY = "shop/web-1/uid-1/app"


def record(sequence, key=KEY, stream="stdout", claimed=None, is_ordered=True):
    namespace, pod, uid, container = (claimed or key).split("/")
    return {"time": "t0", "stream": stream, "log": stamp.make(key, stream, sequence, "t0", "text", is_ordered),
            "kubernetes": {"namespace_name": namespace, "pod_name": pod, "pod_id": uid, "container_name": container, "host": case.NODE}}


class OracleTest(unittest.TestCase):
    def faults(self, records, written=4, duplicates=0):
        oracle = Oracle(host=case.NODE)
        oracle.take_all(records)
        return oracle.verdict({KEY: written}).faults(duplicates)

    def test_all_in_order_is_no_fault(self):
        self.assertEqual(self.faults(map(record, range(4))), [])

    def test_loss_is_named(self):
        self.assertEqual(self.faults(map(record, (0, 3))), [f"lost 2: {KEY}: 1-2"])

    def test_lost_container_is_named(self):
        self.assertEqual(self.faults([]), [f"lost 4: {KEY}: 0-3"])

    def test_duplicate_is_named_beyond_what_is_allowed(self):
        twice = list(map(record, (0, 1, 2, 3, 2)))
        self.assertEqual(self.faults(twice), [f"duplicated 1 (allowed 0): {KEY}: 2"])
        self.assertEqual(self.faults(twice, duplicates=1), [])

    def test_line_that_nobody_wrote_is_no_line_written(self):
        self.assertEqual(self.faults(map(record, (0, 1, 2, 4))), [f"lost 1: {KEY}: 3"])

    def test_swap_is_named(self):
        self.assertEqual(self.faults(map(record, (0, 2, 1, 3))), [f"out of order 1: {KEY}: [(1, 2)]"])

    def test_swap_of_two_streams_is_named_too(self):
        records = [record(0), record(2, stream="stderr"), record(1), record(3)]
        self.assertEqual(self.faults(records), [f"out of order 1: {KEY}: [(1, 2)]"])

    def test_repeated_delivery_is_not_out_of_order(self):
        self.assertEqual(self.faults(map(record, (0, 1, 2, 1, 2, 3)), duplicates=2), [])

    def test_late_line_is_not_out_of_order(self):
        self.assertEqual(self.faults([record(0), record(2), record(1, is_ordered=False), record(3)]), [])

    def test_corruption_is_named(self):
        damaged = record(1)
        damaged["log"] = damaged["log"].replace("text", "texT")
        self.assertEqual(self.faults([record(0), damaged, record(2), record(3)]),
                         [f"lost 1: {KEY}: 1", f"corrupted 1: {[damaged['log']]}"])

    def test_misattribution_is_named(self):
        for claimed in ("shop/web-2/uid-1/app", "other/web-1/uid-1/app", "shop/web-1/uid-2/app", "shop/web-1/uid-1/side"):
            faults = self.faults([record(0, claimed=claimed), record(1), record(2), record(3)])
            self.assertRegex(faults[0], "misattributed 1")
            self.assertIn(claimed, faults[0])

    def test_wrong_stream_time_or_host_is_misattributed(self):
        for field, value in (("stream", "stderr"), ("time", "t1")):
            self.assertRegex(self.faults([{**record(0), field: value}], written=1)[0], "misattributed 1")
        elsewhere = record(0)
        elsewhere["kubernetes"]["host"] = "node-2"
        self.assertRegex(self.faults([elsewhere], written=1)[0], "misattributed 1")


def read_cri(container):
    """A naive reader of all that is on disk of one restart, oldest first: its complete lines as records."""
    data = b""
    for path in [*container.rotated(), container.path]:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            data += file.read()
    chains, namespace_pod_uid = {}, os.path.basename(container.pod.dir).split("_")
    for line in data.split(b"\n")[:-1]:
        when, stream, tag, text = line.split(b" ", 3)
        first, pieces = chains.setdefault(stream, (when, []))
        pieces.append(text)
        if tag == b"F":
            del chains[stream]
            namespace, pod, uid = namespace_pod_uid
            yield {"time": first.decode(), "stream": stream.decode(), "log": b"".join(pieces).decode(),
                   "kubernetes": {"namespace_name": namespace, "pod_name": pod, "pod_id": uid, "container_name": container.name}}


class KubeletTest(case.FlowCase):
    def faults(self, kubelet, container):
        oracle = Oracle()
        oracle.take_all(read_cri(container))
        return oracle.verdict(kubelet.written).faults()

    def test_naive_reader_finds_every_line_in_order(self):
        kubelet = self.kubelet(max_files=50)
        container = kubelet.container(zone="+01:00")
        for _ in range(6):
            container.write(100)
            container.write(size=50000)
            container.write_interleaved()
            container.rotate(between=5)
            container.rotate_and_fail()
        self.assertEqual(self.faults(kubelet, container), [])

    def test_rotation_compresses_the_older_and_deletes_the_oldest(self):
        container = self.kubelet().container()
        for _ in range(6):
            container.write(10)
            container.rotate()
        names = [os.path.basename(path) for path in container.rotated()]
        self.assertEqual(len(names), 4)  # and 0.log: kubelet keeps five
        self.assertEqual([name.endswith(".gz") for name in names], [True, True, True, False])
        self.assertRegex(names[-1], r"^0\.log\.\d{8}-\d{6}$")

    def test_late_lines_go_to_the_renamed_file(self):
        container = self.kubelet().container()
        container.write(1)
        renamed = container.rotate(between=2, late=3)
        container.write(1)
        with open(renamed, "rb") as file:
            self.assertEqual(file.read().count(b"\n"), 6)
        with open(container.path, "rb") as file:
            self.assertEqual(file.read().count(b"\n"), 1)

    def test_docker_lines_are_cut_and_linked(self):
        container = self.kubelet().container(docker=True)
        container.write(5)
        container.write(size=40000)
        container.rotate()
        container.write(2)
        self.assertTrue(os.path.islink(container.path))
        with open(f"{container.target}.1") as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual([line["log"].endswith("\n") for line in lines], [True] * 5 + [False, False, True])

    def test_restart_goes_on_with_the_next_file(self):
        container = self.kubelet().container()
        container.write(1)
        container.restart()
        container.write(1)
        self.assertEqual(sorted(os.listdir(container.dir)), ["0.log", "1.log"])

    def test_deleted_pod_is_gone(self):
        container = self.kubelet().container()
        container.pod.delete()
        self.assertFalse(os.path.exists(container.dir))

    def test_same_seed_makes_the_same_tree(self):
        trees = []
        for directory in ("a", "b"):
            kubelet = case.Kubelet(os.path.join(self.dir, directory), seed=7)
            trees.append([container.key for container in kubelet.fleet(3)])
        self.assertEqual(trees[0], trees[1])

    def test_load_writes_what_it_says_at_20000_lines_a_second(self):
        before = os.times().children_user
        load = Load(self.dir, pods=4, rate=0, lines=40000, rotate_bytes=1 << 20, max_files=100).start()
        written = load.wait()
        seconds = os.times().children_user - before
        self.assertEqual(sum(written.values()) // 16 * 16, 40000)
        self.assertLess(seconds, 2, "slower than 20,000 lines a second of its own processor")


class EndpointTest(case.FlowCase):
    def post(self, endpoint, body, context=None, **headers):
        kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
        connection = kind("127.0.0.1", endpoint.port, timeout=10, **({"context": context} if context else {}))
        self.addCleanup(connection.close)
        connection.request("POST", "/in", body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        answer.read()
        return answer

    def test_decodes_what_it_takes(self):
        endpoint = self.endpoint()
        body = b'{"log":"a"}\n{"log":"b"}\n'
        packed = subprocess.run(["zstd", "-q", "-c"], input=body, capture_output=True).stdout
        self.post(endpoint, body)
        self.post(endpoint, gzip.compress(body), Content_Encoding="gzip")
        self.post(endpoint, packed, Content_Encoding="zstd")
        self.post(endpoint, b'[{"log":"a"},{"log":"b"}]')
        self.assertEqual([record["log"] for record in endpoint.taken], ["a", "b"] * 4)

    def test_large_frames_decode_and_cut_ones_do_not(self):
        body = os.urandom(700000) + bytes(3000000)
        packed = subprocess.run(["zstd", "-q", "-c"], input=body, capture_output=True).stdout
        self.assertEqual(zstd.decompress(packed + packed), body + body)
        with self.assertRaises(ValueError):
            zstd.decompress(packed[:-3])

    def test_refusals_take_nothing(self):
        endpoint = self.endpoint(ends.refuse_marked(b"POISON"))
        self.assertEqual(self.post(endpoint, b'{"log":"POISON"}\n').status, 400)
        self.assertEqual(self.post(endpoint, b'{"log":"good"}\n').status, 200)
        endpoint.behave = ends.at_most(4)
        self.assertEqual(self.post(endpoint, b'{"log":"good"}\n').status, 413)
        endpoint.behave = ends.authorized(lambda: ends.basic("a", "b"))
        self.assertEqual(self.post(endpoint, b"{}").status, 401)
        self.assertEqual(self.post(endpoint, b"{}", Authorization="Basic YTpi").status, 200)
        self.assertEqual(len(endpoint.taken), 2)
        self.assertEqual(endpoint.statuses(), [400, 200, 413, 401, 200])

    def test_troubles_are_troubles(self):
        for trouble, error in ((ends.RESET, ConnectionError), (ends.SILENT_CLOSE, http.client.RemoteDisconnected),
                               (ends.HALF_BODY, http.client.IncompleteRead)):
            endpoint = self.endpoint(lambda request: Answer(trouble=trouble))
            with self.assertRaises(error, msg=trouble):
                self.post(endpoint, b"{}" * 100000)
            self.assertEqual(endpoint.taken, [])

    def test_hang_lasts_until_the_client_goes(self):
        endpoint = self.endpoint(lambda request: Answer(trouble=ends.HANG))
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=0.3)
        connection.request("POST", "/in", b"{}")
        self.addCleanup(connection.close)
        with self.assertRaises(socket.timeout):
            connection.getresponse()

    def test_gate_stores_and_then_waits(self):
        endpoint = self.endpoint()
        endpoint.gate.clear()
        poster = threading.Thread(target=self.post, args=(endpoint, b'{"log":"a"}\n'))
        poster.start()
        case.until(lambda: endpoint.taken and endpoint.open_count, "stored")
        self.assertTrue(poster.is_alive())
        endpoint.gate.set()
        poster.join()

    def test_certificates_are_what_they_are_called(self):
        authority = Authority(os.path.join(self.dir, "tls"))
        context = ssl.create_default_context(cafile=authority.ca)
        self.assertEqual(self.post(self.endpoint(certificate=authority.good()), b"{}", context).status, 200)
        for certificate, complaint in ((authority.expired(), "expired"), (authority.wrong_name(), "mismatch"),
                                       (authority.self_signed(), "self.signed")):
            with self.assertRaisesRegex(ssl.SSLCertVerificationError, complaint):
                self.post(self.endpoint(certificate=certificate), b"{}", context)

    def test_stopped_end_refuses_and_comes_back_on_its_port(self):
        endpoint = self.endpoint()
        endpoint.stop()
        with self.assertRaises(ConnectionError):
            self.post(endpoint, b"{}")
        endpoint.start()
        self.assertEqual(self.post(endpoint, b"{}").status, 200)


class ListTest(unittest.TestCase):
    def test_what_runs_on_one_cluster_alone_is_listed_with_its_reason(self):
        here = os.path.dirname(os.path.abspath(__file__))
        marked, listed = set(), set()
        for script in filter(re.compile(r"test_\w+\.py$").match, os.listdir(here)):
            with open(os.path.join(here, script)) as file:
                marked |= {(script, name, where) for where, name in re.findall(r'^@cluster\.only\("(\w+)"\)\nclass (\w+)', file.read(), re.M)}
        with open(os.path.join(here, "only_on_one_cluster.txt")) as file:
            for script, name, where, _reason in (line.split(None, 3) for line in file if not line.startswith("#")):
                listed.add((script, name, where))
        self.assertEqual(listed, marked)


class RestTest(unittest.TestCase):
    def test_metrics_are_summed_over_labels(self):
        metrics = Metrics('# HELP a b\na_total{output="x",reason="r\\"s"} 2\na_total{output="y",reason="t"} 3\nb 1.5e3\n')
        self.assertEqual(metrics.sum("a_total"), 5)
        self.assertEqual(metrics.sum("a_total", output="y"), 3)
        self.assertEqual(metrics.sum("b"), 1500)
        self.assertFalse(metrics.has("c"))

    def test_configuration_is_ini(self):
        self.assertEqual(configuration({"output:a": {"type": "null", "lanes": 2}}), "[output:a]\ntype = null\nlanes = 2\n")

    def test_missing_program_is_a_skip_but_not_under_ci(self):
        with mock.patch.object(case, "IS_CI", False), mock.patch("builtins.print"), self.assertRaises(SystemExit) as end:
            case.need("no-such-program")
        self.assertEqual(end.exception.code, 77)
        with mock.patch.object(case, "IS_CI", True), self.assertRaises(SystemExit) as end:
            case.need("no-such-program")
        self.assertNotEqual(end.exception.code, 77)


if __name__ == "__main__":
    case.main(needs_collector=False)

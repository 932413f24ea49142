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
import time
import unittest
import zlib
from unittest import mock

from kit import case, endpoint as ends, node, stamp, zstd
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


class RealNodeTest(case.FlowCase):
    """What the test on a real node counts with, on files made by hand."""
    UID, CONTAINER = "uid-1", ("uid-1", "writer")

    def setUp(self):
        super().setUp()
        self.home = os.path.join(self.dir, "work_pod-1_uid-1/writer")
        os.makedirs(self.home)
        self.truth = node.Truth(self.dir, "work")
        self.addCleanup(self.truth.stop)
        self.end = node.Arrivals("end", "work")

    @staticmethod
    def line(sequence, stream="stdout", run=7):
        head = f"{run} {stream} {sequence} "
        return f"{head}{zlib.crc32(f'{head}text'.encode()):08x} text"

    def write(self, name, *pieces):
        """pieces: tag and text"""
        with open(os.path.join(self.home, name), "a") as file:
            file.writelines(f"2026-01-01T00:00:00.0Z stdout {tag} {text}\n" for tag, text in pieces)

    def write_lines(self, name, *sequences, run=7):
        self.write(name, *(("F", self.line(sequence, run=run)) for sequence in sequences))

    def rename(self, before, after):
        self.truth.look()
        os.rename(os.path.join(self.home, before), os.path.join(self.home, after))

    def deliver(self, *sequences, **more):
        self.end.take_all({"log": self.line(sequence, **more), "stream": more.get("stream", "stdout"), "kubernetes":
                           {"namespace_name": "work", "pod_id": "uid-1", "container_name": "writer"}} for sequence in sequences)

    def faults(self, duplicates=0):
        written = self.truth.written()
        return self.end.faults(written, written, duplicates)

    def test_files_are_read_through_rotation_compression_and_deletion(self):
        self.write_lines("0.log", 0, 1)
        self.rename("0.log", "0.log.20260101-000000")
        self.write_lines("0.log", 2)
        self.rename("0.log.20260101-000000", "0.log.20260101-000000.gz")
        os.unlink(os.path.join(self.home, "0.log.20260101-000000.gz"))
        self.write_lines("1.log", 0, run=8)
        self.assertEqual(self.truth.written(), {self.CONTAINER: [(7, "stdout", 0), (7, "stdout", 1), (7, "stdout", 2), (8, "stdout", 0)]})
        self.assertEqual(self.truth.rotations("work_pod-1_"), 1)
        self.assertEqual([segment.gone is not None for segment in self.truth.of_container[self.CONTAINER]], [True, False, False])

    def test_compressed_file_is_not_gone(self):
        self.write_lines("0.log", 0)
        self.rename("0.log", "0.log.20260101-000000")
        self.truth.look()
        self.rename("0.log.20260101-000000", "0.log.20260101-000000.gz")
        self.truth.look()
        self.assertIsNone(self.truth.of_container[self.CONTAINER][0].gone)

    def test_line_goes_on_in_the_next_file(self):
        self.write("0.log", ("P", self.line(0)[:9]))
        self.rename("0.log", "0.log.20260101-000000")
        self.write("0.log", ("F", self.line(0)[9:]))
        self.assertEqual(self.truth.written(), {self.CONTAINER: [(7, "stdout", 0)]})

    def test_file_that_the_harness_missed_is_told(self):
        self.write_lines("0.log", 0, 2)
        with self.assertRaisesRegex(AssertionError, "the harness has not seen .* 1 to 1"):
            self.truth.written()

    def test_only_a_life_within_an_absence_is_excused(self):
        self.write_lines("0.log", 0)
        start = time.monotonic()
        self.truth.look()
        os.unlink(os.path.join(self.home, "0.log"))
        self.write_lines("1.log", 0, run=8)
        self.truth.look()
        end = time.monotonic()
        segment = self.truth.of_container[self.CONTAINER][0]
        segment.born = start
        self.assertEqual(self.truth.excused([(start, end)]), {(self.CONTAINER, (7, "stdout", 0))})
        self.assertEqual(self.truth.excused([(start, segment.gone - 1e-9), (segment.born + 1e-9, end)]), set())

    def test_arrivals_name_each_kind_of_fault(self):
        self.write_lines("0.log", 0, 1, 2, 3)
        self.deliver(0, 1, 2, 3)
        self.assertEqual(self.faults(), [])
        self.deliver(2)
        self.assertEqual((self.faults(), self.faults(duplicates=1)), (["end: duplicated 1, allowed 0"], []))
        self.end.seen[self.CONTAINER].remove((7, "stdout", 3))
        self.end.order[self.CONTAINER] = [(7, "stdout", 1), (7, "stdout", 0), (7, "stdout", 2)]
        self.deliver(4)
        self.end.take_all([{"log": self.line(5)[:-1], "stream": "stdout", "kubernetes":
                            {"namespace_name": "work", "pod_id": "uid-1", "container_name": "writer"}}])
        self.assertEqual([re.match(r"end: (\D+) 1", fault)[1] for fault in self.faults(1)], ["lost", "out of order", "never written", "corrupted"])


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

#!/usr/bin/env python3
"""Apache Kafka itself, read back by kcat: keys, headers, codecs; brokers that stop, die, hang and move; doors that stay shut."""

import calendar
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from kit import case
from kit.broker import Broker
from kit.certificates import Authority
from kit.load import Load
from kit.wait import until


class KafkaCase(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node, self.witness = self.kubelet(), self.oracle()
        self.topic = self._testMethodName.replace("_", "-")[:60]

    def kafka(self, broker, **rows):
        return {"type": "kafka", "brokers": broker.address, "topic": self.topic, "batch_age": "50ms", **rows}

    def begin(self, broker, **rows):
        self.under_test = self.collector({"main": self.kafka(broker, **rows)})

    def secret(self, text):
        path = os.path.join(self.dir, "password")
        with open(f"{path}.new", "w") as file:
            file.write(f"{text}\n")
        os.chmod(f"{path}.new", 0o600)
        os.rename(f"{path}.new", path)
        return path

    def all_acknowledged(self, source):
        self.sizes_seen(self.under_test, source.sizes)
        self.settled(self.under_test)

    def end_well(self, broker, load=None, duplicates=0):
        """Everything acknowledged, a clean end, and in the topic what was written; returns the messages."""
        self.all_acknowledged(load or self.node)
        self.under_test.stop()
        messages = broker.read(self.topic)
        self.witness.take_all(json.loads(message.value) for message in messages)
        verdict = self.witness.verdict((load or self.node).written)
        self.assertEqual(verdict.faults(duplicates), [])
        return messages

    def holds(self, word):
        """It says why nothing passes, drops nothing, and stays ready."""
        until(lambda: word in self.under_test.get("/status")[1].lower() + self.under_test.errors().lower(),
              lambda: f"{word!r} in {self.under_test.get('/status')[1]}\n{self.under_test.errors()}")
        self.assertEqual(self.under_test.metric("drave_output_dropped_records_total"), 0)
        self.assertTrue(self.under_test.is_ready())


class OneBrokerTest(KafkaCase):
    """One broker serves them all; it makes no topic by itself."""

    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix="drave-broker-")
        cls.addClassCleanup(shutil.rmtree, cls.home)
        cls.broker = Broker(cls.home, tls=1, sasl=1, acl=1, user="drave:secret", set="auto.create.topics.enable=false").start()
        cls.addClassCleanup(cls.broker.stop)

    def test_records_have_key_headers_time_and_zstd(self):
        self.broker.create(self.topic, partitions=3)
        for container in self.node.fleet(4):
            container.write(300)
        self.begin(self.broker, headers="node={node}, origin={namespace}/{pod}", compression="zstd")
        messages = self.end_well(self.broker)
        for message in messages:
            record = json.loads(message.value)
            kubernetes = record["kubernetes"]
            key = f"{kubernetes['namespace_name']}/{kubernetes['pod_name']}/{kubernetes['container_name']}"
            self.assertEqual(message.key.decode(), key)
            self.assertEqual(message.headers, f"node=node-1,origin={kubernetes['namespace_name']}/{kubernetes['pod_name']}")
            self.assertEqual(message.timestamp, _milliseconds(record["time"]))
        by_pod = {message.key: {other.partition for other in messages if other.key == message.key} for message in messages}
        self.assertTrue(all(len(partitions) == 1 for partitions in by_pod.values()), "a container stays in one partition")
        dump = self.broker.dump(self.topic, messages[0].partition)
        self.assertIn("compresscodec: zstd", dump)
        self.assertNotIn("compresscodec: none", dump)

    def test_topic_of_a_template(self):
        names = [f"{self.topic}.{namespace}" for namespace in ("shop", "team-a")]
        for name in names:
            self.broker.create(name)
        for namespace in ("shop", "team-a"):
            self.node.container(namespace=namespace).write(100)
        self.begin(self.broker, topic=f"{self.topic}.{{namespace}}")
        self.all_acknowledged(self.node)
        self.under_test.stop()
        for name in names:
            messages = self.broker.read(name)
            self.assertEqual(len(messages), 100)
            self.witness.take_all(json.loads(message.value) for message in messages)
        self.assertEqual(self.witness.verdict(self.node.written).faults(), [])

    def test_batch_payload_is_what_zstd_decodes(self):
        self.broker.create(self.topic, 2)
        for container in self.node.fleet(4):
            container.write(1000)
        self.begin(self.broker, payload="batch", lanes=2)
        self.all_acknowledged(self.node)
        self.under_test.stop()
        messages = self.broker.read(self.topic)
        for message in messages:
            self.assertIn("content-encoding=zstd", message.headers)
            self.assertRegex(message.key.decode(), r"^node-1/[01]$")
            plain = subprocess.run(["zstd", "-dcq"], input=message.value, capture_output=True, check=True).stdout
            self.witness.take_all(map(json.loads, plain.splitlines()))
        self.assertEqual(self.witness.verdict(self.node.written).faults(), [])
        self.assertLess(len(messages), 200)

    def test_terminated_and_started_again_sends_nothing_twice(self):
        self.broker.create(self.topic)
        containers = self.node.fleet(3)
        self.begin(self.broker)
        for _ in range(5):
            for container in containers:
                container.write(200)
                container.rotate()
            until(lambda: self.under_test.metric("drave_output_records_total") > 0, "progress")
            self.under_test.stop()
            self.under_test.start()
        self.end_well(self.broker)

    def test_killed_and_started_again_loses_nothing(self):
        self.broker.create(self.topic)
        load = Load(self.dir + "/load", pods=4, rate=3000, rotate_bytes=300_000, max_files=100)
        os.makedirs(self.dir + "/load")
        self.under_test = self.collector({"main": self.kafka(self.broker, lanes=2, batch_records=100)}, input={"path": f"{self.dir}/load/pods"})
        with load:
            for _ in range(8):
                until(lambda: self.under_test.metric("drave_output_records_total") > 500, "progress")
                self.under_test.kill()
                self.under_test.start()
        self.end_well(self.broker, load, duplicates=8 * 2 * 2 * 100)

    def test_missing_topic_is_waited_for(self):
        self.node.container().write(200)
        self.begin(self.broker)
        self.holds("topic")
        self.broker.create(self.topic)
        self.end_well(self.broker)

    def test_topic_that_is_deleted_is_waited_for_and_goes_on_when_it_is_back(self):
        """What lay in it is gone with it; what came since is not."""
        self.broker.create(self.topic)
        container = self.node.container()
        container.write(200)
        self.begin(self.broker)
        self.all_acknowledged(self.node)
        self.broker.topics("--delete", "--topic", self.topic)
        first = container.sequence
        container.write(200)
        self.holds("topic")
        self.broker.create(self.topic)
        self.all_acknowledged(self.node)
        self.under_test.stop()
        self.witness.take_all(json.loads(message.value) for message in self.broker.read(self.topic))
        self.assertEqual(sorted(self.witness.copies[container.key]), list(range(first, container.sequence)))

    def test_held_topic_stops_only_its_own_streams(self):
        for namespace in ("shop", "team-a"):
            self.node.container(namespace=namespace).write(200)
        self.broker.create(f"{self.topic}.shop")
        self.begin(self.broker, topic=f"{self.topic}.{{namespace}}")
        until(lambda: self.under_test.metric("drave_output_records_total") == 200, "the other one's records")
        self.node.containers[0].write(100)
        until(lambda: self.under_test.metric("drave_output_records_total") == 300, "more of them")
        self.broker.create(f"{self.topic}.team-a")
        self.all_acknowledged(self.node)
        self.under_test.stop()
        for name in ("shop", "team-a"):
            self.witness.take_all(json.loads(message.value) for message in self.broker.read(f"{self.topic}.{name}"))
        self.assertEqual(self.witness.verdict(self.node.written).faults(), [])

    def test_not_authorized_is_waited_for(self):
        self.broker.create(self.topic)
        self.broker.acls("--add", "--allow-principal", "User:somebody", "--operation", "All", "--topic", self.topic)
        self.node.container().write(200)
        self.begin_sasl("secret")
        self.holds("authoriz")
        self.broker.acls("--add", "--allow-principal", "User:drave", "--operation", "All", "--topic", self.topic)
        self.end_well(self.broker)

    def test_rights_to_see_but_not_to_write_hold_their_topic_and_no_other(self):
        """Only producing shows that they are missing, each time that it is tried; the usual producer is not started again for that."""
        containers = {namespace: self.node.container(namespace=namespace) for namespace in ("closed", "open")}
        for namespace, container in containers.items():
            self.broker.create(f"{self.topic}.{namespace}")
            container.write(300)
        topic = f"{self.topic}.closed"
        self.broker.acls("--add", "--allow-principal", "User:drave", "--operation", "Describe", "--topic", topic)
        self.begin_sasl("secret", topic=f"{self.topic}.{{namespace}}", retry_backoff="50ms..500ms")
        self.holds("authoriz")
        retries = self.under_test.metric("drave_output_retries_total")
        until(lambda: self.under_test.metric("drave_output_retries_total") > retries + 5, "more tries")
        containers["open"].write(300)
        until(lambda: self.under_test.metric("drave_output_records_total") == 600, "the other one's records")
        self.assertLessEqual(self.producers_started(), 2)
        self.broker.acls("--add", "--allow-principal", "User:drave", "--operation", "Write", "--topic", topic)
        self.all_acknowledged(self.node)
        self.under_test.stop()
        for namespace in containers:
            self.witness.take_all(json.loads(message.value) for message in self.broker.read(f"{self.topic}.{namespace}"))
        self.assertEqual(self.witness.verdict(self.node.written).faults(), [])

    def producers_started(self):
        return json.loads(self.under_test.get("/status")[1])["outputs"][0]["detail"]["producers_started"]

    def test_sets_larger_than_the_topic_takes_are_taken_apart_in_order(self):
        """No record is too large, but most sets are, and the small ones behind them are not."""
        self.broker.create(self.topic, 2, 1, "max.message.bytes=20000", "compression.type=uncompressed")
        for container in self.node.fleet(3):
            container.write(1000)
        self.begin(self.broker, compression="none", **{"rdkafka.batch.num.messages": 100})
        self.end_well(self.broker)
        self.assertIn("records were refused", self.under_test.errors())
        self.assertNotIn("record rejected", self.under_test.errors())

    def begin_sasl(self, password, **rows):
        self.begin(self.broker, brokers=self.broker.sasl_address, tls="on", ca_file=self.broker.tls_file("ca.crt"), sasl_mechanism="PLAIN",
                   username="drave", password_file=self.secret(password), **rows)

    def test_tls(self):
        self.broker.create(self.topic)
        self.node.container().write(300)
        self.begin(self.broker, brokers=self.broker.tls_address, tls="on", ca_file=self.broker.tls_file("ca.crt"))
        self.end_well(self.broker)

    def test_tls_with_another_authority_is_refused(self):
        self.broker.create(self.topic)
        self.node.container().write(100)
        self.begin(self.broker, brokers=self.broker.tls_address, tls="on", ca_file=Authority(os.path.join(self.dir, "tls")).ca)
        self.holds("ssl")
        self.assertEqual(self.broker.read(self.topic), [])

    def test_sasl_plain(self):
        self.broker.create(self.topic)
        self.node.container().write(300)
        self.begin_sasl("secret")
        self.end_well(self.broker)

    def test_wrong_password_is_waited_for_and_the_right_one_is_read_again(self):
        self.broker.create(self.topic)
        self.node.container().write(200)
        self.begin_sasl("wrong-secret")
        self.holds("authentication")
        self.assertNotIn("wrong-secret", self.under_test.errors())
        self.secret("secret")
        self.end_well(self.broker)

    def test_message_too_large_goes_alone_and_is_a_dead_letter(self):
        self.broker.create(self.topic, 1, 1, "max.message.bytes=20000", "compression.type=uncompressed")
        container = self.node.container()
        container.write(300)
        container.put(container.encode(container.now(), "stdout", os.urandom(60_000).hex().encode()))
        container.write(300)
        self.begin(self.broker, compression="none")
        self.end_well(self.broker)
        with open(os.path.join(self.under_test.state_dir, "dead_letter", "main.ndjson")) as file:
            self.assertEqual(len(file.readlines()), 1)

    def test_long_records_fit(self):
        """What escaping makes larger than Kafka takes is cut further, and says so."""
        self.broker.create(self.topic)
        container = self.node.container()
        container.write(size=800_000)
        container.put(b"".join(container.pieces(container.now(), "stdout", b"\x01" * 500_000)))
        container.write(5)
        self.begin(self.broker)
        self.witness.strangers = True
        self.end_well(self.broker)
        self.assertTrue(self.witness.strange[0]["truncated"])


class OutageTest(KafkaCase):
    def test_stopped_killed_and_paused_in_the_middle(self):
        broker = Broker(os.path.join(self.dir, "broker")).start()
        self.addCleanup(broker.kill)
        broker.create(self.topic)
        os.makedirs(f"{self.dir}/load")
        self.under_test = self.collector({"main": self.kafka(broker)}, input={"path": f"{self.dir}/load/pods"})
        load = Load(f"{self.dir}/load", pods=6, rate=2000, rotate_bytes=200_000, max_files=4)
        def progress():
            before = self.under_test.metric("drave_output_records_total")
            until(lambda: self.under_test.metric("drave_output_records_total") > before + 1000, "progress")
        with load:
            for go, come_back in ((broker.stop, broker.start), (broker.kill, broker.start), (broker.pause, broker.resume)):
                progress()
                go()
                before = self.under_test.metric("drave_input_lag_bytes", output="main")
                until(lambda: self.under_test.metric("drave_input_lag_bytes", output="main") > before + 500_000, "falling behind")
                self.assertEqual(self.under_test.metric("drave_output_dropped_records_total"), 0)
                come_back()
            progress()
        self.end_well(broker, load, duplicates=sum(load.written.values()) // 4)
        print(f"{sum(load.written.values())} records, {self.witness.wrong.duplicate_count} twice")

    def test_leader_moves_between_two_brokers(self):
        first = Broker(os.path.join(self.dir, "first")).start()
        self.addCleanup(first.kill)
        second = Broker(os.path.join(self.dir, "second"), join=first.port).start()
        self.addCleanup(second.kill)
        first.topics("--create", "--topic", self.topic, "--replica-assignment", f"{second.port}:1")
        os.makedirs(f"{self.dir}/load")
        self.under_test = self.collector({"main": self.kafka(first, brokers=f"{first.address},{second.address}")}, input={"path": f"{self.dir}/load/pods"})
        load = Load(f"{self.dir}/load", pods=4, rate=2000)
        def progress():
            before = self.under_test.metric("drave_output_records_total")
            until(lambda: self.under_test.metric("drave_output_records_total") > before + 2000, "progress")
        with load:
            progress()
            self.assertEqual(first.leader(self.topic), second.port)
            second.kill()
            progress()
            self.assertEqual(first.leader(self.topic), 1)
            second.start()
            progress()
        self.end_well(first, load, duplicates=sum(load.written.values()) // 4)


def _milliseconds(text):
    seconds, fraction = text.rstrip("Z").split(".")
    return calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * 1000 + int(fraction[:3])


if __name__ == "__main__":
    case.need("java", "mvn", "kcat", "openssl", "zstd")
    case.main()

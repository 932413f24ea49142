#!/usr/bin/env python3
"""Errors that a real broker cannot be made to give, one by one: nothing is lost."""

import json
import os
import unittest

from kit import case, mock, zstd
from kit.wait import until


class KafkaMockTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node, self.witness = self.kubelet(), self.oracle()

    def cluster(self, brokers=1):
        self.mock = mock.Mock(brokers)
        self.addCleanup(self.mock.stop)
        self.mock.tell("topic", "logs", 2, min(brokers, 2))

    def begin(self, **rows):
        self.under_test = self.collector({"main": {"type": "kafka", "brokers": self.mock.address, "topic": "logs", "batch_age": "50ms",
                                                   "retry_backoff": "50ms..500ms", **rows}})

    def work(self, lines=300):
        for container in self.node.containers or self.node.fleet(3):
            container.write(lines)

    def all_acknowledged(self):
        self.sizes_seen(self.under_test, self.node.sizes)
        self.settled(self.under_test)

    def end_well(self, duplicates=0):
        self.all_acknowledged()
        self.assertEqual(self.under_test.metric("drave_output_dropped_records_total"), 0)
        self.under_test.stop()
        self.witness.take_all(json.loads(message.value) for message in self.mock.read("logs"))
        self.assertEqual(self.witness.verdict(self.node.written).faults(duplicates), [])

    def survives(self, *codes):
        """Some produce requests in a row get these answers, in the middle of other work."""
        self.cluster()
        self.begin()
        self.work()
        self.all_acknowledged()
        self.mock.tell("error", "produce", *codes)
        for _ in range(3):
            self.work()
        self.end_well()

    def test_not_leader(self):
        self.survives("NOT_LEADER_FOR_PARTITION", "NOT_LEADER_FOR_PARTITION")

    def test_leader_not_available(self):
        self.survives("LEADER_NOT_AVAILABLE")

    def test_request_timed_out(self):
        self.survives("REQUEST_TIMED_OUT", "REQUEST_TIMED_OUT", "REQUEST_TIMED_OUT")

    def test_not_enough_replicas(self):
        self.survives("NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "NOT_ENOUGH_REPLICAS")

    def test_storage_error(self):
        self.survives("KAFKA_STORAGE_ERROR")

    def test_connection_closed_instead_of_an_answer(self):
        self.survives("_TRANSPORT", "_TRANSPORT", "_TRANSPORT")

    def test_unknown_server_error(self):
        self.survives(-1, -1)

    def test_not_authorized_for_a_while(self):
        self.survives("TOPIC_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED")

    def test_out_of_order_sequence(self):
        self.survives(45)

    def test_set_too_large_is_taken_apart(self):
        """The set fails by its size, its records do not."""
        self.survives("MSG_SIZE_TOO_LARGE")

    def test_all_errors_in_a_row(self):
        self.survives("REQUEST_TIMED_OUT", "NOT_LEADER_FOR_PARTITION", "_TRANSPORT", "NOT_ENOUGH_REPLICAS", "MSG_SIZE_TOO_LARGE", "TOPIC_AUTHORIZATION_FAILED")

    def keeps_order(self, *codes):
        """Sets are small and answers slow, so that others wait behind each one that gets one of these answers; every third does."""
        self.cluster()
        self.mock.tell("rtt", -1, 10)
        self.work()
        self.mock.tell("error", "produce", *(word for code in codes for word in (0, 0, code)))
        self.begin(**{"rdkafka.batch.num.messages": 20})
        self.all_acknowledged()
        self.end_well()

    def test_order_holds_while_sets_are_refused_for_the_moment(self):
        self.keeps_order("REQUEST_TIMED_OUT", "NOT_ENOUGH_REPLICAS", "NOT_LEADER_FOR_PARTITION")

    def test_order_holds_while_answers_are_lost(self):
        self.keeps_order("_TRANSPORT", "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "_TRANSPORT")

    def test_order_holds_while_sets_are_refused_for_good(self):
        self.keeps_order(-1, "MSG_SIZE_TOO_LARGE", "TOPIC_AUTHORIZATION_FAILED")

    def test_batches_keep_their_order_whatever_is_answered(self):
        """One message a lane under way: nothing can overtake it, with any librdkafka."""
        self.cluster()
        self.begin(payload="batch", batch_records=50)
        self.work()
        self.all_acknowledged()
        for _ in range(5):
            self.mock.tell("error", "produce", "REQUEST_TIMED_OUT", -1, "NOT_ENOUGH_REPLICAS", -1, "_TRANSPORT")
            self.work()
        self.all_acknowledged()
        self.under_test.stop()
        for message in self.mock.read("logs"):
            self.witness.take_all(map(json.loads, zstd.decompress(message.value).splitlines()))
        self.assertEqual(self.witness.verdict(self.node.written).faults(), [])

    def test_unknown_topic_holds(self):
        self.cluster()
        self.mock.tell("topic_error", "logs", 3)
        self.work()
        self.begin()
        until(lambda: "topic" in self.under_test.errors().lower(), lambda: self.under_test.errors())
        self.assertEqual(self.under_test.metric("drave_output_dropped_records_total"), 0)
        self.mock.tell("topic_error", "logs", 0)
        self.end_well()

    def test_broker_down_for_a_while(self):
        self.cluster()
        self.begin()
        self.work()
        self.all_acknowledged()
        self.mock.tell("down", -1)
        self.work()
        until(lambda: self.under_test.metric("drave_input_lag_bytes") > 0, "lag")
        self.mock.tell("up", -1)
        self.end_well()

    def test_leader_moves(self):
        self.cluster(brokers=3)
        self.begin()
        for leader in (1, 2, 3, 1):
            for partition in (0, 1):
                self.mock.tell("leader", "logs", partition, leader)
            self.work(100)
        self.end_well()

    def test_partition_without_leader_is_waited_for(self):
        self.cluster(brokers=2)
        self.begin()
        self.work(100)
        self.all_acknowledged()
        for partition in (0, 1):
            self.mock.tell("leader", "logs", partition, -1)
        self.work(100)
        until(lambda: self.under_test.metric("drave_input_lag_bytes") > 0, "lag")
        for partition in (0, 1):
            self.mock.tell("leader", "logs", partition, 2)
        self.end_well()

    def test_slow_broker(self):
        self.cluster()
        self.mock.tell("rtt", -1, 300)
        self.begin()
        self.work()
        self.end_well()

    def test_full_queue_is_back_pressure(self):
        self.cluster()
        self.mock.tell("rtt", -1, 100)
        self.work(3000)
        self.begin(**{"rdkafka.queue.buffering.max.messages": 500})
        self.end_well()

    def test_killed_while_brokers_take_everything_and_say_nothing(self):
        """Enqueued is not delivered: what had no report comes again."""
        self.cluster()
        self.mock.tell("rtt", -1, 600_000)
        self.work()
        self.begin()
        until(lambda: self.under_test.metric("drave_audit_bytes", term="in_flight") > 0, "under way")
        self.assertEqual(self.under_test.metric("drave_audit_bytes", term="acked"), 0)
        self.under_test.kill()
        self.mock.tell("rtt", -1, 0)
        self.under_test.start()
        self.end_well(duplicates=sum(self.node.written.values()))

    def test_stops_with_the_brokers_down(self):
        """Unacknowledged records are purged, not waited for, and come again."""
        self.cluster()
        self.mock.tell("down", -1)
        self.work()
        self.sections = None
        self.begin()
        self.sections["collector"]["shutdown_timeout"] = "500ms"
        self.under_test.kill()
        self.under_test.configure(self.sections)
        self.under_test.start()
        until(lambda: self.under_test.metric("drave_audit_bytes", term="in_flight") > 0, "under way")
        self.under_test.signal(15)
        self.under_test.wait(10)
        self.mock.tell("up", -1)
        self.under_test.start()
        self.end_well()


if __name__ == "__main__":
    case.need("kcat")
    if not os.access(mock.PROGRAM, os.X_OK):
        raise SystemExit(f"DRAVE_KAFKA_MOCK names no program: {mock.PROGRAM!r}")
    case.main()

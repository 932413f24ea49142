#!/usr/bin/env python3
"""What the collector makes of each answer, and of each way not to answer."""

import json
import os
import signal
import time
import unittest

from kit import case, endpoint as ends
from kit.certificates import Authority
from kit.endpoint import OK, Answer
from kit.wait import until


class AnswersCase(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node, self.witness = self.kubelet(), self.oracle()

    def begin(self, endpoint, lines=400, **rows):
        """Two containers full of lines, and a collector that sends them in batches of fifty."""
        for container in self.node.fleet(2):
            container.write(lines)
        self.end = endpoint
        self.under_test = self.collector({"main": self.http(endpoint, batch_records=50, **rows)})

    def end_well(self, duplicates=0):
        self.finish(self.end, self.witness, self.node.written, self.under_test, duplicates)


class StatusTest(AnswersCase):
    def survives(self, answer, refused=4):
        """The first requests get this answer, later ones are taken: nothing is lost or doubled."""
        self.begin(self.endpoint(ends.first(refused, answer)))
        self.end_well()
        wanted = answer.trouble or answer.status
        self.assertGreaterEqual(self.end.statuses().count(wanted), refused if answer.trouble != ends.RESET else 0)

    def holds(self, status):
        self.begin(self.endpoint(lambda request: Answer(status)))
        until(lambda: len(self.end.requests) >= 2, "tries")
        self.assertEqual(self.end.taken, [])
        self.assertEqual(self.under_test.metric("drave_output_dropped_records_total"), 0)
        self.assertTrue(self.under_test.is_ready(), "readiness never depends on the back-end")
        self.end.behave = lambda request: OK
        self.end_well()

    def test_408_is_tried_again(self):
        self.survives(Answer(408))

    def test_425_is_tried_again(self):
        self.survives(Answer(425))

    def test_429_is_tried_again(self):
        self.survives(Answer(429))

    def test_500_is_tried_again(self):
        self.survives(Answer(500))

    def test_502_is_tried_again(self):
        self.survives(Answer(502))

    def test_503_is_tried_again(self):
        self.survives(Answer(503))

    def test_504_is_tried_again(self):
        self.survives(Answer(504))

    def test_599_is_tried_again(self):
        self.survives(Answer(599))

    def test_reset_in_the_upload_is_tried_again(self):
        self.survives(Answer(trouble=ends.RESET))

    def test_close_before_the_status_is_tried_again(self):
        self.survives(Answer(trouble=ends.SILENT_CLOSE))

    def test_half_a_body_is_not_an_acknowledgement(self):
        self.survives(Answer(200, trouble=ends.HALF_BODY, body=b"x" * 100))

    def test_hang_ends_at_the_timeout(self):
        self.begin(self.endpoint(ends.first(2, Answer(trouble=ends.HANG))), timeout="500ms")
        self.end_well()

    def test_401_holds(self):
        self.holds(401)

    def test_403_holds(self):
        self.holds(403)

    def test_404_holds(self):
        self.holds(404)

    def test_407_holds(self):
        self.holds(407)

    def test_421_holds(self):
        self.holds(421)

    def test_other_4xx_holds(self):
        self.holds(418)

    def test_redirect_holds_and_is_not_followed(self):
        other = self.endpoint()
        self.begin(self.endpoint(lambda request: Answer(307, {"Location": other.url})))
        until(lambda: len(self.end.requests) >= 2, "tries")
        self.assertEqual(other.number, 0)
        self.end.behave = lambda request: OK
        self.end_well()

    def test_401_for_one_batch_in_the_middle_loses_nothing(self):
        """A peer took the next good answer for the lost one's."""
        self.begin(self.endpoint(lambda request: Answer(401) if request.number == 3 else OK))
        self.end_well()

    def test_every_2xx_is_an_acknowledgement(self):
        answers = iter([201, 202, 204, 206, 299] * 100)
        self.begin(self.endpoint(lambda request: Answer(next(answers), body=b"")))
        self.end_well()

    def test_endless_answer_is_not_kept(self):
        self.begin(self.endpoint(lambda request: Answer(body=b"z" * (3 << 20)) if request.number < 3 else OK))
        self.end_well(duplicates=3 * 50)

    def test_held_output_is_told_in_status(self):
        self.begin(self.endpoint(lambda request: Answer(403)))
        until(lambda: "403" in self.under_test.get("/status")[1], lambda: f"403 in {self.under_test.get('/status')[1]}")
        self.assertIn("403", self.under_test.errors())
        self.end.behave = lambda request: OK
        self.end_well()


class RetryAfterTest(AnswersCase):
    def waits(self, header, at_least):
        """How long after the first refusal a lane comes again."""
        times = []
        def behave(request):
            times.append(request.arrived)
            return Answer(503, {"Retry-After": header()}) if len(times) == 1 else OK
        self.begin(self.endpoint(behave), lanes=1, retry_backoff="10ms..5s")
        self.end_well()
        self.assertGreaterEqual(times[1] - times[0], at_least)

    def test_seconds_are_waited(self):
        self.waits(lambda: "1", 0.95)

    def test_date_is_waited_for(self):
        self.waits(lambda: ends.in_seconds_as_date(2), 0.9)

    def test_nonsense_is_ignored(self):
        nonsense = ["soon", "-5", "", "1.5.3", ends.in_seconds_as_date(-3600)]
        self.begin(self.endpoint(lambda request: Answer(503, {"Retry-After": nonsense.pop()}) if nonsense else OK), lanes=1)
        self.end_well()
        self.assertEqual(nonsense, [])

    def test_absurd_wait_does_not_keep_it_from_ending(self):
        self.begin(self.endpoint(lambda request: Answer(503, {"Retry-After": "99999999999999999999"})))
        until(lambda: self.end.requests, "a refusal")
        self.under_test.signal(signal.SIGTERM)
        self.end.behave = lambda request: OK
        self.under_test.wait(40)
        self.under_test.start()
        self.end_well()


class RejectionTest(AnswersCase):
    def dead_letters(self):
        with open(os.path.join(self.under_test.state_dir, "dead_letter", "main.ndjson")) as file:
            return [json.loads(line) for line in file]

    def poison(self, count):
        """Some lines that the end does not like, among others."""
        container = self.node.containers[0]
        for _ in range(count):
            container.put(container.encode(container.now(), "stdout", b"POISON"))
            container.write(60)

    def rejects(self, status):
        self.begin(self.endpoint(ends.refuse_marked(b"POISON", status)), lines=100)
        self.poison(3)
        self.end_well()
        letters = self.dead_letters()
        self.assertEqual(len(letters), 3)
        for letter in letters:
            self.assertIn("POISON", json.dumps(letter))
            self.assertIn("reason", letter)
        self.assertEqual(os.stat(os.path.join(self.under_test.state_dir, "dead_letter", "main.ndjson")).st_mode & 0o077, 0)

    def test_400_is_bisected_to_the_one_record(self):
        self.rejects(400)

    def test_422_is_bisected_to_the_one_record(self):
        self.rejects(422)

    def test_413_is_halved(self):
        self.begin(self.endpoint(ends.at_most(3000)))
        self.end_well()
        self.assertIn(413, self.end.statuses())

    def test_413_for_one_record_alone_is_a_dead_letter(self):
        self.begin(self.endpoint(ends.at_most(3000)), lines=100)
        container = self.node.containers[0]
        container.put(container.encode(container.now(), "stdout", b"large" * 2000))
        container.write(10)
        self.end_well()
        self.assertEqual(len(self.dead_letters()), 1)

    def test_drop_counts_what_it_drops(self):
        self.begin(self.endpoint(ends.refuse_marked(b"POISON")), lines=100, on_reject="drop")
        self.poison(4)
        self.arrived(self.end, self.witness, self.node.written)
        until(lambda: self.under_test.metric("drave_output_dropped_records_total", output="main") == 4, "four dropped")
        self.assertGreater(self.under_test.metric("drave_audit_bytes", output="main", term="dropped"), 0)
        self.end_well()
        self.assertFalse(os.path.exists(os.path.join(self.under_test.state_dir, "dead_letter", "main.ndjson")))

    def test_full_dead_letter_file_holds(self):
        """What finds no room there stays where it is, and arrives once the end takes it."""
        self.begin(self.endpoint(ends.refuse_marked(b"POISON")), lines=20, dead_letter_limit="1KiB", lanes=1)
        self.poison(30)
        file = os.path.join(self.under_test.state_dir, "dead_letter", "main.ndjson")
        until(lambda: os.path.exists(file) and self.end.statuses().count(400) > 20, "rejections")
        self.assertLessEqual(os.path.getsize(file), 1024)
        self.assertFalse(self.witness.has(self.node.written))
        self.end.behave = lambda request: OK
        self.witness.strangers = True
        self.end_well()
        self.assertEqual(len(self.witness.strange) + len(self.dead_letters()), 30)
        self.assertGreater(len(self.dead_letters()), 0)


class TlsTest(AnswersCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(os.path.join(self.dir, "tls"))

    def refuses(self, certificate):
        """Not a byte is taken while the certificate is wrong; with the right one everything comes."""
        self.begin(self.endpoint(certificate=certificate), ca_file=self.authority.ca)
        until(lambda: "certificate" in self.under_test.errors().lower() or "ssl" in self.under_test.errors().lower(), "a complaint")
        self.assertEqual(self.end.number, 0)
        self.end.stop()
        self.end.certificate = self.authority.good()
        self.end.start()
        self.end_well()

    def test_good_certificate(self):
        self.begin(self.endpoint(certificate=self.authority.good()), ca_file=self.authority.ca)
        self.end_well()

    def test_expired_certificate_is_refused(self):
        self.refuses(self.authority.expired())

    def test_certificate_for_another_name_is_refused(self):
        self.refuses(self.authority.wrong_name())

    def test_self_signed_certificate_is_refused(self):
        self.refuses(self.authority.self_signed())

    def test_tls_verify_off_takes_any(self):
        self.begin(self.endpoint(certificate=self.authority.self_signed()), tls_verify="off")
        self.end_well()


class CredentialsTest(AnswersCase):
    def write_secret(self, text):
        with open(os.path.join(self.dir, "secret.new"), "w") as file:
            file.write(text)
        os.chmod(os.path.join(self.dir, "secret.new"), 0o600)
        os.rename(os.path.join(self.dir, "secret.new"), os.path.join(self.dir, "secret"))
        return os.path.join(self.dir, "secret")

    def changes(self, first, second, header, **rows):
        """The right secret works; once the end wants another, nothing passes until the file has it."""
        wanted = [header(first)]
        self.write_secret(f"{first}\n")
        self.begin(self.endpoint(ends.authorized(lambda: wanted[0])), **rows)
        self.arrived(self.end, self.witness, self.node.written)
        wanted[0] = header(second)
        self.node.containers[0].write(100)
        until(lambda: 401 in self.end.statuses(), "a refusal")
        self.write_secret(f"{second}\n")
        self.end_well()
        for text in (first, second):
            self.assertNotIn(text, self.under_test.errors())

    def test_basic_password_is_read_again_when_it_changes(self):
        self.changes("first-pass", "second-pass", lambda text: ends.basic("drave", text), username="drave", password_file=os.path.join(self.dir, "secret"))

    def test_bearer_token_is_read_again_when_it_changes(self):
        self.changes("first-token", "second-token", lambda text: f"Bearer {text}", token_file=os.path.join(self.dir, "secret"))

    def test_headers_are_sent(self):
        seen = []
        def behave(request):
            seen.append((request.headers.get("X-Scope-OrgID"), request.headers.get("Content-Type"), request.path))
            return OK
        self.begin(self.endpoint(behave), **{"header.X-Scope-OrgID": "team-a"})
        self.end_well()
        self.assertEqual(set(seen), {("team-a", "application/x-ndjson", "/in")})


class ConnectionTest(AnswersCase):
    def test_nobody_listens_costs_little(self):
        """Refused connections are tried again with back-off, not in a circle."""
        endpoint = self.endpoint()
        endpoint.stop()
        self.begin(endpoint)
        until(lambda: self.under_test.metric("drave_output_retries_total") >= 3, "tries")
        before = self.under_test.metric("drave_output_retries_total"), time.monotonic()
        until(lambda: time.monotonic() > before[1] + 1, "a second")
        self.assertLess(self.under_test.metric("drave_output_retries_total") - before[0], 60)
        endpoint.start()
        self.end_well()

    def test_connections_are_kept(self):
        connections = set()
        def behave(request):
            connections.add(request._handler.client_address)
            return OK
        self.begin(self.endpoint(behave), lines=1000, lanes=2)
        self.end_well()
        self.assertLessEqual(len(connections), 4)


if __name__ == "__main__":
    case.main()

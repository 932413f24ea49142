#!/usr/bin/env python3
"""Every line once, whole, rightly attributed and in order: the plain road, and the same with an end that stumbles."""

import unittest

from kit import case
from kit.endpoint import OK, Answer


class OrderTest(case.FlowCase):
    def work(self, endpoint, rounds=8, **rows):
        kubelet, oracle = self.kubelet(), self.oracle()
        containers = kubelet.fleet(5)
        sidecar = containers[0].pod.container("side", zone="+01:00")
        for container in [*containers, sidecar]:
            container.write(300)
        collector = self.collector({"main": self.http(endpoint, **rows)})
        for round_ in range(rounds):
            for container in [*containers, sidecar]:
                container.write(100)
                container.write_interleaved()
                container.write(size=50000)
            containers[round_ % 5].rotate(between=10)
            containers[(round_ + 2) % 5].restart()
        self.finish(endpoint, oracle, kubelet.written, collector)

    def test_calm_weather(self):
        self.work(self.endpoint())

    def test_small_batches_on_many_lanes(self):
        self.work(self.endpoint(), batch_records=20, lanes=4)

    def test_every_third_request_fails(self):
        self.work(self.endpoint(lambda request: Answer(503) if request.number % 3 == 2 else OK), batch_records=50, lanes=3)

    def test_one_slow_answer_does_not_let_others_overtake(self):
        self.work(self.endpoint(lambda request: Answer(delay=0.3) if request.number % 7 == 3 else OK), batch_records=50, lanes=2)


if __name__ == "__main__":
    case.main()

#!/usr/bin/env python3
"""Who is read and who gets what: include_*, exclude_*, match."""

import unittest

from kit import case


class MatchTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node = self.kubelet()
        self.containers = [self.node.container(container, pod, namespace)
                           for namespace in ("shop", "team-a", "kube-system") for pod in ("web-1", "db-1") for container in ("app", "istio-proxy")]

    def sees(self, wanted, outputs=None, **input_):
        """Exactly the containers for which wanted(namespace, pod, container) arrive."""
        endpoint, oracle = self.endpoint(), self.oracle()
        for container in self.containers:
            container.write(20)
        collector = self.collector({"main": self.http(endpoint, **(outputs or {}))}, input=input_)
        written = {container.key: container.sequence for container in self.containers
                   if wanted(container.pod.namespace, container.pod.name, container.name)}
        self.assertTrue(written)
        self.finish(endpoint, oracle, written, collector)
        self.assertEqual(set(oracle.copies), set(written))

    def test_all_by_default(self):
        self.sees(lambda namespace, pod, container: True)

    def test_include_namespaces(self):
        self.sees(lambda namespace, pod, container: namespace != "kube-system", include_namespaces="shop, team-*")

    def test_exclude_namespaces(self):
        self.sees(lambda namespace, pod, container: namespace != "kube-system", exclude_namespaces="kube-*")

    def test_pods(self):
        self.sees(lambda namespace, pod, container: pod == "web-1", include_pods="web-*", exclude_pods="db-?")

    def test_containers(self):
        self.sees(lambda namespace, pod, container: container == "app", exclude_containers="istio-*")

    def test_match_of_an_output(self):
        self.sees(lambda namespace, pod, container: namespace == "shop" or (namespace, pod) == ("team-a", "db-1"), {"match": "shop, team-a/db-*"})

    def test_match_with_exclusion(self):
        self.sees(lambda namespace, pod, container: namespace != "kube-system" and container == "app", {"match": "*/*/app, !kube-system"})

    def test_two_outputs_share_out(self):
        first, second, oracles = self.endpoint(), self.endpoint(), (self.oracle(), self.oracle())
        for container in self.containers:
            container.write(20)
        collector = self.collector({"first": self.http(first, match="shop"), "second": self.http(second, match="!shop")})
        for endpoint, oracle, is_shop in ((first, oracles[0], True), (second, oracles[1], False)):
            written = {container.key: 20 for container in self.containers if (container.pod.namespace == "shop") == is_shop}
            self.arrived(endpoint, oracle, written)
            self.assertEqual(set(oracle.copies), set(written))
        self.settled(collector)
        collector.stop()

    def test_own_pod_is_never_followed(self):
        endpoint, oracle = self.endpoint(), self.oracle()
        own = self.node.container("collector", "drave-x", "drave-system")
        for container in [*self.containers, own]:
            container.write(10)
        collector = self.collector({"main": endpoint}, start=False)
        collector.environment = {"POD_UID": own.pod.uid}
        collector.start()
        self.finish(endpoint, oracle, {container.key: 10 for container in self.containers}, collector)
        self.assertNotIn(own.key, oracle.copies)


if __name__ == "__main__":
    case.main()

#!/usr/bin/env python3
"""The program drave-controller around its parts: leading and standing by, signals, what is served, and --explain."""

import json
import os
import re
import shutil
import signal
import subprocess

from kit import case, cluster
from kit.wait import until

NODES = ("n1", "n2", "n3")
METRICS = ("drave_build_info", "drave_controller_leading", "drave_controller_synced", "drave_controller_objects", "drave_controller_unserved_sets",
           "drave_controller_reflector_total", "drave_controller_api_requests_total", "drave_controller_writes_total",
           "drave_controller_writes_in_flight", "drave_controller_events_total", "drave_controller_lease_transitions",
           "process_resident_memory_bytes")


def collector_set(name, **pod):
    labels = {"app": name}
    return {"apiVersion": cluster.API, "kind": "CollectorSet", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}], **pod}}}}


class ProgramTest(cluster.ClusterCase):
    def setUp(self):
        super().setUp()
        self.cluster.add_nodes(*NODES)

    def place(self, name="agent", namespace=None):
        self.cluster.create("collectorsets", collector_set(name), namespace or self.ns)

    def placed(self, *nodes, namespace=None):
        """Waits until exactly these nodes have one pod each that is Ready."""
        def are_there():
            pods = self.cluster.pods(namespace or self.ns, alive=True)
            return sorted(map(cluster.node_of, pods)) == sorted(nodes) and all(map(cluster.is_pod_ready, pods))
        until(are_there, lambda: f"a pod on each of {nodes}: {[cluster.node_of(pod) for pod in self.cluster.pods(namespace or self.ns)]}")

    def lease(self):
        return self.cluster.get("leases", "drave-controller", self.ns)["spec"]

    def leads(self, controller):
        until(controller.is_leading, lambda: f"leading\n{controller.errors()}")

    def never_two(self):
        """At no time a node had two pods that were alive."""
        alive = {}
        for change in self.cluster.history("pods"):
            pod = change["object"]
            if pod["metadata"]["namespace"] != self.ns:
                continue
            name, is_there = pod["metadata"]["name"], change["type"] != "DELETED" and cluster.is_alive(pod)
            alive.pop(name, None)
            if is_there:
                node = cluster.node_of(pod)
                self.assertNotIn(node, alive.values(), f"two pods on {node}: {name} and {alive}")
                alive[name] = node

    # ---- leading -------------------------------------------------------------------------------------

    def test_it_leads_and_places_a_pod_on_each_node(self):
        self.place()
        controller = self.controller()
        self.placed(*NODES)
        self.leads(controller)
        self.assertEqual(self.lease()["holderIdentity"], controller.status()["identity"])
        self.cluster.add_nodes("n4")
        self.placed(*NODES, "n4")
        self.never_two()
        controller.stop()

    def test_term_gives_the_lease_back(self):
        controller = self.controller()
        self.leads(controller)
        controller.stop()
        self.assertEqual((self.lease()["holderIdentity"], self.lease()["leaseDurationSeconds"]), ("", 1))

    def test_two_controllers_hand_over(self):
        self.place()
        first = self.controller("first")
        self.placed(*NODES)
        self.leads(first)
        second = self.controller("second")
        self.assertEqual(second.state, "standby")
        self.assertEqual(second.get("/livez")[0], 200)
        caches = second.status()["caches"]
        self.assertEqual((caches["nodes"]["objects"], caches["pods"]["objects"], caches["sets"]["objects"]), (3, 3, 1))
        self.assertEqual(second.status()["lease"]["holder"], first.status()["identity"])
        first.stop()
        self.leads(second)
        self.assertEqual(second.status()["lease"]["transitions"], 1)
        self.cluster.add_nodes("n4")
        self.placed(*NODES, "n4")
        self.never_two()

    def test_a_standby_writes_nothing(self):
        first = self.controller("first")
        self.leads(first)
        second = self.controller("second")
        self.place()
        self.placed(*NODES)
        self.assertEqual(second.status()["writer"]["writes"], 0)

    def test_after_a_kill_another_takes_over_when_the_lease_is_over(self):
        self.place()
        first = self.controller("first")
        self.placed(*NODES)
        self.leads(first)
        second = self.controller("second")
        first.kill()
        self.cluster.add_nodes("n4")
        self.placed(*NODES, "n4")
        self.assertTrue(second.is_leading())
        self.never_two()

    def test_a_leader_that_was_frozen_ends_with_75(self):
        first = self.controller("first")
        self.leads(first)
        second = self.controller("second")
        first.signal(signal.SIGSTOP)
        self.leads(second)
        self.place()
        self.placed(*NODES)
        first.signal(signal.SIGCONT)
        self.assertEqual(first.wait(), 75)
        self.assertIn("the lease is lost", first.errors())
        self.placed(*NODES)
        self.never_two()

    def test_a_lease_that_another_wrote_its_name_into_is_lost(self):
        controller = self.controller()
        self.leads(controller)
        self.cluster.patch("leases", "drave-controller", {"spec": {"holderIdentity": "somebody"}}, self.ns)
        self.assertEqual(controller.wait(), 75)
        self.assertEqual(self.lease()["holderIdentity"], "somebody")

    def test_a_server_that_is_back_in_time_costs_nothing(self):
        self.place()
        controller = self.controller(lease_duration="60s", renew_deadline="50s")
        self.placed(*NODES)
        self.leads(controller)
        pods = {pod["metadata"]["uid"] for pod in self.cluster.pods(self.ns)}
        self.cluster.down()
        until(lambda: "the lease is out of reach" in controller.errors(), "an attempt without a server")
        self.assertEqual((controller.get("/livez")[0], controller.get("/readyz")[0], controller.state), (200, 200, "leading"))
        self.cluster.up()
        until(lambda: self.cluster.get("nodes", "n1"), "the server back")
        self.cluster.add_nodes("n4")
        self.placed(*NODES, "n4")
        self.assertEqual(pods - {pod["metadata"]["uid"] for pod in self.cluster.pods(self.ns)}, set())
        self.never_two()

    def test_a_server_that_stays_away_costs_the_lease(self):
        controller = self.controller()
        self.leads(controller)
        self.cluster.down()
        self.assertEqual(controller.wait(), 75)

    def test_without_election_there_is_no_lease(self):
        self.place()
        controller = self.controller(leader_election="off")
        self.placed(*NODES)
        self.assertIsNone(self.cluster.get("leases", "drave-controller", self.ns))
        self.assertIsNone(controller.status()["lease"])
        controller.stop()

    def test_a_lease_out_of_reach_is_sought_until_it_can_be_had(self):
        rule = self.cluster.rule(path="/leases", status=403, reason="Forbidden", message="test")
        controller = self.controller()
        until(lambda: self.cluster.struck(rule) >= 2, "the lease asked for twice")
        self.assertEqual(controller.state, "standby")
        self.cluster.unrule(rule)
        self.leads(controller)

    # ---- namespaces ----------------------------------------------------------------------------------

    def test_sets_elsewhere_are_left_alone_and_told(self):
        other = self.cluster.namespace(f"{self.ns}-other"[-63:])
        self.place("theirs", other)
        self.place()
        controller = self.controller()
        self.placed(*NODES)
        self.assertEqual(controller.status()["unserved"], [f"{other}/theirs"])
        self.assertEqual(controller.metric("drave_controller_unserved_sets"), 1)
        self.assertEqual(self.cluster.pods(other), [])
        self.cluster.delete("collectorsets", "theirs", other)
        until(lambda: controller.status()["unserved"] == [], "forgotten with its deletion")

    def test_all_namespaces(self):
        other = self.cluster.namespace(f"{self.ns}-other"[-63:])
        self.place("theirs", other)
        self.place()
        controller = self.controller(namespace="*")
        self.placed(*NODES)
        self.placed(*NODES, namespace=other)
        self.assertEqual({row["namespace"] for row in controller.status()["sets"]}, {self.ns, other})

    # ---- what is served ------------------------------------------------------------------------------

    def test_what_is_served(self):
        self.place()
        controller = self.controller()
        self.placed(*NODES)
        self.leads(controller)
        self.assertEqual([controller.get(path)[0] for path in ("/", "/metrics", "/livez", "/readyz", "/status")], [200] * 5)
        self.assertIn("<td>agent<td", controller.get("/")[1])
        status = controller.status()
        self.assertEqual((status["state"], status["namespace"]), ("leading", self.ns))
        self.assertTrue(status["lease"]["fresh"])
        self.assertEqual([row["name"] for row in status["sets"]], ["agent"])
        until(lambda: controller.status()["sets"][0]["available"] == 3, lambda: f"three available: {controller.status()}")
        metrics = controller.metrics()
        for name in METRICS:
            self.assertTrue(metrics.has(name), f"{name} in\n{metrics.text}")
        self.assertEqual(metrics.sum("drave_controller_objects", kind="nodes"), 3)
        self.assertEqual(metrics.sum("drave_controller_leading"), 1)
        self.assertGreaterEqual(metrics.sum("drave_controller_writes_total", result="all"), 3)

    def test_promtool_has_nothing_to_say(self):
        if not shutil.which("promtool") and not case.IS_CI:
            self.skipTest("no promtool")
        self.place()
        controller = self.controller()
        self.placed(*NODES)
        checked = subprocess.run(["promtool", "check", "metrics"], input=controller.metrics().text, capture_output=True, text=True, check=False)
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))

    def test_it_is_alive_but_not_ready_before_the_caches_are_complete(self):
        rule = self.cluster.rule(path="/nodes", freeze=True)
        controller = self.controller(start=False).spawn()
        until(lambda: controller.get("/readyz") == (503, "syncing\n"), lambda: f"not ready: {controller.get('/readyz')}")
        self.assertEqual(controller.get("/livez")[0], 200)
        self.assertFalse(controller.status()["caches"]["nodes"]["synced"])
        self.cluster.unrule(rule)
        until(controller.is_ready, lambda: f"ready\n{controller.errors()}")

    def test_nothing_is_decided_before_a_leader_has_listed_everything(self):
        first = self.controller("first")
        self.leads(first)
        second = self.controller("second")
        rule = self.cluster.rule(path="/pods", verb="list|watch", freeze=True)
        first.stop()
        until(lambda: second.status()["lease"]["leading"], "the lease")
        self.place()
        until(lambda: second.status()["caches"]["sets"]["objects"] == 1, "the set seen")
        until(lambda: self.cluster.struck(rule) >= 1, "the pods asked for")
        self.assertEqual((second.state, second.status()["writer"]["writes"]), ("standby", 0))
        self.cluster.unrule(rule)
        self.leads(second)
        self.placed(*NODES)

    def test_a_lease_that_comes_before_the_first_lists_end(self):
        rule = self.cluster.rule(path="/(nodes|pods|collectorsets|controllerrevisions)[?]", verb="list|watch", delay=0.3)
        self.place()
        controller = self.controller(start=False).spawn()
        until(lambda: controller.get("/status")[0] == 200 and controller.status()["lease"]["leading"], "the lease")
        self.assertEqual(controller.state, "syncing")
        self.assertGreaterEqual(self.cluster.struck(rule), 4)
        self.leads(controller)
        self.placed(*NODES)

    # ---- signals -------------------------------------------------------------------------------------

    def test_hup_reloads_the_log_and_refuses_the_rest(self):
        controller = self.controller()
        rows = {"kubeconfig": self.cluster.admin, "namespace": self.ns, "lease_namespace": self.ns}
        controller.configure({**rows, "log_level": "debug"})
        controller.signal(signal.SIGHUP)
        until(lambda: "log reloaded" in controller.errors(), "the reload told")
        controller.configure({**rows, "log_level": "error", "namespace": "other"})
        controller.signal(signal.SIGHUP)
        until(lambda: re.search(r"reload refused.*key=namespace", controller.errors()), "the refusal told")
        controller.configure("[controller]\nnonsense = 1\n")
        controller.signal(signal.SIGHUP)
        until(lambda: re.search(r"the old configuration stays.*nonsense", controller.errors()), "the mistake told")
        self.assertEqual(controller.status()["namespace"], self.ns)
        controller.stop()

    def test_usr2_prints_the_state(self):
        controller = self.controller()
        controller.signal(signal.SIGUSR2)
        dumped = until(lambda: re.search(r'^\{"version".*?\]\}$', controller.errors(), re.M | re.S), "the state")
        self.assertEqual(json.loads(dumped[0])["namespace"], self.ns)

    def test_a_second_signal_ends_at_once(self):
        controller = self.controller(lease_duration="120s", renew_deadline="100s")
        self.leads(controller)
        self.cluster.freeze()
        controller.signal(signal.SIGTERM)
        until(lambda: controller.state == "stopping", "stopping")
        self.assertEqual(controller.get("/readyz")[0], 503)
        controller.signal(signal.SIGTERM)
        self.assertEqual(controller.wait(10), 1)

    def test_a_stop_waits_for_the_writes_under_way(self):
        self.cluster.rule(path="/pods$", verb="create", delay=0.5)
        self.place()
        controller = self.controller()
        until(lambda: controller.status()["writer"]["in_flight"] > 0, "a write under way", step=0.001)
        controller.stop()
        pods = {pod["metadata"]["name"] for pod in self.cluster.pods(self.ns)}
        made = self.cluster.log(verb="create", path="/pods$")
        self.assertEqual(len(pods), len([row for row in made if self.ns in row["path"]]))
        self.assertEqual(self.lease()["holderIdentity"], "")

    # ---- memory --------------------------------------------------------------------------------------

    def test_placing_on_three_hundred_nodes_takes_little_memory(self):
        """DESIGN allows 16 MiB with 5,000 nodes, which no test has time for; 300 took 11.5 when this was written, and 15.8 before.

        With the libraries of Debian 13 they take 15.1."""
        told = subprocess.run([os.environ["DRAVE_CONTROLLER"], "--version"], capture_output=True, text=True, check=True).stdout
        limit_mib = 13 if "(OpenSSL/3.0" in told else 16
        for i in range(300):
            self.cluster.create("nodes", self.cluster.node(f"m{i}"))
        self.place()
        controller = self.controller()
        until(lambda: self.cluster.get("collectorsets", "agent", self.ns).get("status", {}).get("numberReady") == 300 + len(NODES), "all ready")
        if not case.IS_SANITIZED:
            with open(f"/proc/{controller.process.pid}/status") as file:
                peak_kib = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
            self.assertLess(peak_kib, limit_mib << 10)
        controller.stop()

    # ---- explaining ----------------------------------------------------------------------------------

    def explain(self, node, *files):
        controller = self.controller(f"explain-{len(self.collectors)}", start=False)
        code, out = controller.run("--explain", node, *files)
        return code, out.decode(), controller.errors()

    def test_explain_from_the_cluster_and_from_files(self):
        self.place()
        self.cluster.taint("n3", "gpu")
        self.controller()
        self.placed("n1", "n2")
        code, told, _ = self.explain("n1")
        self.assertEqual(code, 0, told)
        self.assertRegex(told, rf"(?m)^collectorset {self.ns}/agent$")
        self.assertRegex(told, r"(?m)^  pod agent-\S+: Running, available, revision \S+ \(current\)$")
        self.assertRegex(told, r"(?m)^  next: nothing on this node$")
        code, told, _ = self.explain("n3")
        self.assertRegex(told, r"(?m)^  E-5 .* no .*nothing tolerates gpu:NoSchedule$")
        self.assertIn("  no pod here\n", told)
        files = [self.saved("nodes"), *(self.saved(resource, self.ns) for resource in ("pods", "collectorsets", "controllerrevisions"))]
        self.assertEqual(self.explain("n3", *files)[:2], (code, told))

    def saved(self, resource, namespace=None):
        path = os.path.join(self.dir, f"{resource}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.cluster.must("GET", cluster.path_of(resource, namespace)), file)
        return path

    def test_explain_of_what_is_not_there(self):
        code, _, complained = self.explain("n9")
        self.assertEqual(code, 66)
        self.assertIn("there is no node 'n9' among 3", complained)
        self.cluster.down()
        code, told, complained = self.explain("n1")
        self.assertEqual((code, told), (69, ""))
        self.assertRegex(complained, r"(?m)^drave-controller: cannot list '/api/v1/nodes': .+")


if __name__ == "__main__":
    case.main(needs_collector=False)

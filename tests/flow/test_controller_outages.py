#!/usr/bin/env python3
"""drave-controller through outages: of the API server and etcd, of itself, of its leader, and of single requests.

Whatever happens, a node never has two pods of a set that have not ended; afterwards the set comes to what it asks for, and then nothing more
is written.  Every change of every pod is looked at, not only how it ends.  DRAVE_SEED=S draws the kills of another seed, which a run prints;
DRAVE_KILLS=N so many of them.
"""

import http.client
import json
import os
import random
import shutil
import signal
import threading

from kit import case, cluster
from kit.wait import until

NODES = [f"n{number}" for number in range(10)]
KILLS = int(os.environ.get("DRAVE_KILLS", 60 if case.IS_SANITIZED else 200))
SEED = int(os.environ.get("DRAVE_SEED", random.SystemRandom().randrange(1 << 32)))
OURS = "drave-controller"   # how its user agent begins
COUNTERS = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable")
LEASE_LOST = 75
STREAM_SECONDS = 70     # a watch ends by itself after a minute


def collector_set(name, image, **spec):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {"apiVersion": cluster.API, "kind": "CollectorSet", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": template,
                     "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}, **spec}}


def image_of(pod):
    return pod["spec"]["containers"][0]["image"]


class Witness:
    """Sees each change of a namespace's pods: who was created, who was told to end, and where two of a set met on a node."""

    def __init__(self, cluster_, namespace):
        self.cluster, self.ns = cluster_, namespace
        self.created, self.ending, self.held, self.meetings = set(), set(), {}, []

    def see(self, type_, pod):
        name, owners = pod["metadata"]["name"], pod["metadata"].get("ownerReferences")
        self.created.add(name)
        if type_ == "DELETED" or pod["metadata"].get("deletionTimestamp"):
            self.ending.add(name)
        if type_ == "DELETED" or pod.get("status", {}).get("phase") in ("Failed", "Succeeded"):
            self.held.pop(name, None)
            return
        place = (owners[0]["uid"] if owners else None, cluster.node_of(pod))
        self.meetings += [f"{name} and {other} on {place[1]}" for other, where in self.held.items() if where == place and other != name]
        self.held[name] = place


class FakeWitness(Witness):
    """From the history which the fake server keeps."""
    version = 0

    def catch_up(self):
        for change in self.cluster.history("pods", self.version):
            self.version = change["version"]
            if change["object"]["metadata"]["namespace"] == self.ns:
                self.see(change["type"], change["object"])

    def stop(self):
        pass


class RealWitness(Witness):
    """A watch in a thread, begun again after each outage."""

    def __init__(self, *words):
        super().__init__(*words)
        self.lock, self.is_stopping, self.stream = threading.Lock(), threading.Event(), None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.is_stopping.is_set():
            try:
                self._watch(self._list())
            except (OSError, http.client.HTTPException, ValueError, cluster.Refused, TypeError, AttributeError):
                self.is_stopping.wait(0.02)     # the server is away: ask again soon
        self.cluster.disconnect()

    def _list(self):
        told = self.cluster.must("GET", cluster.path_of("pods", self.ns))
        with self.lock:
            there = {pod["metadata"]["name"] for pod in told["items"]}
            for name in set(self.held) - there:
                self.ending.add(name)
                del self.held[name]
            for pod in told["items"]:
                self.see("ADDED", pod)
        return told["metadata"]["resourceVersion"]

    def _watch(self, version):
        with self.cluster.watch("pods", self.ns, resourceVersion=version) as self.stream:
            while not self.is_stopping.is_set():
                event = self.stream.next()
                if event is None or event[0] == "ERROR":
                    return
                with self.lock:
                    self.see(*event)

    def catch_up(self):
        """Until it knows what a list shows."""
        def knows():
            there = {pod["metadata"]["name"] for pod in self.cluster.pods(self.ns)}
            with self.lock:
                return set(self.held) == there
        until(knows, lambda: f"the watch at the list's state: {sorted(self.held)}")

    def stop(self):
        self.is_stopping.set()
        if self.stream and self.stream.connection.sock:
            self.stream.connection.sock.shutdown(2)
        self.thread.join(STREAM_SECONDS)


class OutageCase(cluster.ClusterCase):
    def setUp(self):
        super().setUp()
        if not self.cluster.is_fake:
            self.cluster.install_definition()
        self.nodes = list(NODES)
        self.cluster.add_nodes(*self.nodes)
        self.witness = (FakeWitness if self.cluster.is_fake else RealWitness)(self.cluster, self.ns)
        self.addCleanup(self.witness.stop)
        self.name, self.image = "agent", "i:1"

    # ---- what is asked for ---------------------------------------------------------------------------

    def place(self, **spec):
        self.cluster.create("collectorsets", collector_set(self.name, self.image, **spec), self.ns)

    def roll(self, image):
        self.image = image
        self.cluster.patch("collectorsets", self.name,
                           {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}, self.ns)

    def updated(self):
        return sum(image_of(pod) == self.image for pod in self.cluster.pods(self.ns, alive=True))

    def rolling(self, image):
        """A rollout begun, and in its middle."""
        self.roll(image)
        until(lambda: self.updated() >= 2, lambda: f"two pods of {image}")
        self.assertLess(self.updated(), len(self.nodes) - 2, "the rollout was over before the fault")

    # ---- what has to hold ----------------------------------------------------------------------------

    def is_there(self):
        held = self.cluster.get("collectorsets", self.name, self.ns)
        status = held.get("status", {})
        if status.get("observedGeneration") != held["metadata"]["generation"] or any(status.get(c, 0) != len(self.nodes) for c in COUNTERS):
            return False
        pods = [pod for pod in self.cluster.pods(self.ns) if pod["metadata"].get("ownerReferences", [{}])[0].get("uid") == held["metadata"]["uid"]]
        return sorted(map(cluster.node_of, pods)) == sorted(self.nodes) and all(image_of(pod) == self.image for pod in pods)

    def converged(self, *controllers):
        """Each node has its pod of the wanted image, and the status says so.  A controller that lost its lease is started again, as a kubelet would."""
        def came():
            for controller in controllers:
                if not controller.is_running:
                    self.assertEqual(controller.process.returncode, LEASE_LOST, controller.errors())
                    controller.spawn()
            return self.is_there()
        until(came, lambda: f"{self.image} everywhere: {self.cluster.get('collectorsets', self.name, self.ns)} "
                            f"{[(cluster.node_of(p), image_of(p)) for p in self.cluster.pods(self.ns)]}", seconds=180)
        self.judge()

    def judge(self):
        self.witness.catch_up()
        self.assertEqual(self.witness.meetings, [])

    def idle(self, *controllers):
        """From here a new node is worth one new pod, and nothing else is: what a controller with work left over would have done by then."""
        self.judge()
        created, ending = set(self.witness.created), set(self.witness.ending)
        self.nodes.append(f"late{len(self.nodes)}")
        self.cluster.add_nodes(self.nodes[-1])
        self.converged(*controllers)
        self.assertEqual((len(self.witness.created - created), self.witness.ending - ending), (1, set()))


# ---- the control plane ------------------------------------------------------------------------------


@cluster.only("real")
class ControlPlaneOutages(OutageCase):
    """Of the real one, each in the middle of a rollout."""

    def through(self, strike, heal, **rows):
        controller = self.controller(lease_duration="15s", renew_deadline="10s", **rows)
        self.place(minReadySeconds=1)
        self.converged(controller)
        self.rolling("i:2")
        strike()
        until(lambda: not controller.is_running or "the lease is out of reach" in controller.errors(), lambda: f"noticed\n{controller.errors()}")
        heal()
        until(self.answers, "an API server that stores")
        self.cluster.kill("kwok")       # it forgets a pod whose status it could not write; begun anew it looks at all of them
        self.cluster.start_again()
        self.converged(controller)
        self.idle(controller)

    def answers(self):
        try:
            return self.cluster.call("PATCH", cluster.path_of("namespaces", None, self.ns), {"metadata": {"labels": {"up": "yes"}}},
                                     cluster.PATCHES["merge"])[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def test_the_api_server_is_killed_and_started_again(self):
        self.through(self.cluster.down, self.cluster.up)

    def test_the_api_server_is_paused(self):
        self.through(self.cluster.freeze, self.cluster.thaw)

    def test_etcd_is_killed_and_started_again(self):
        self.through(lambda: self.cluster.kill("etcd"), self.cluster.start_again)

    def test_etcd_is_paused(self):
        self.through(lambda: self.cluster.pause("etcd"), lambda: self.cluster.resume("etcd"))


# ---- the controller itself --------------------------------------------------------------------------


class KilledController(OutageCase):
    """SIGKILL anywhere.  Without election, so that the next one goes on at once: with all that its predecessor left half done."""

    def test_kills_at_random_points_of_creation_rollout_and_rollback(self):
        print(f"seed {SEED}")
        self.draw, self.images, self.sets, self.request = random.Random(SEED), 1, 0, 0
        self.controller_ = self.controller(start=False, leader_election="off")
        self.place()
        for number in range(1, KILLS + 1):
            with self.subTest(seed=SEED, kill=number):
                self.change()
                self.controller_.spawn()
                if number % 20 == 0:
                    self.converged()
                else:
                    self.wait_for_requests(self.draw.randint(0, 60))
                self.controller_.kill()
                self.judge()
        self.controller_.spawn()
        self.converged()
        self.idle()

    def change(self):
        change = self.draw.choice(("create", "roll", "roll", "back", "end a pod", "nothing"))
        if change == "create":
            self.cluster.delete("collectorsets", self.name, self.ns, propagationPolicy="Background")
            self.sets += 1
            self.name = f"agent-{self.sets}"
            self.place()
        elif change == "roll":
            self.images += 1
            self.roll(f"i:{self.images}")
        elif change == "back":
            self.roll(f"i:{max(1, self.images - 1)}")
        elif change == "end a pod":
            pods = self.cluster.pods(self.ns)
            if pods:
                self.cluster.delete("pods", self.draw.choice(pods)["metadata"]["name"], self.ns)

    def wait_for_requests(self, count):
        """Until it has sent so many, or has nothing left to do."""
        seen = 0

        def is_time():
            nonlocal seen
            rows = self.cluster.log(since=self.request)
            self.request = rows[-1]["n"] if rows else self.request
            seen += sum(row["agent"].startswith(OURS) for row in rows)
            return seen >= count or self.is_there()
        until(is_time, lambda: f"{count} requests\n{self.controller_.errors()}", step=0.001)


class Leaders(OutageCase):
    """Each replica has an account of its own, so that the server's log tells whose a write is."""
    ROUNDS = ("kill", "freeze") if case.IS_SANITIZED else ("kill", "freeze", "kill", "freeze")

    def setUp(self):
        super().setUp()
        self.cluster.set(ready_seconds=0.2)
        role, group = {"kind": "ClusterRole", "name": "outages"}, {"kind": "Group", "name": f"system:serviceaccounts:{self.ns}"}
        self.cluster.ensure("clusterroles", {"metadata": {"name": "outages"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]})
        self.cluster.ensure("clusterrolebindings", {"metadata": {"name": "outages"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", **role},
                                                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", **group}]})
        self.addCleanup(self.cluster.delete, "clusterrolebindings", "outages")
        self.replicas, self.count = [], 0

    def replica(self):
        self.count += 1
        account = f"r{self.count}"
        self.cluster.create("serviceaccounts", {"metadata": {"name": account}}, self.ns)
        self.replicas.append(self.controller(account, kubeconfig=self.cluster.identity(self.ns, account)))

    def leader(self):
        return next((replica for replica in self.replicas if replica.is_leading()), None)

    def through(self, replicas):
        for _ in range(replicas):
            self.replica()
        self.place()
        self.converged()
        for number, how in enumerate(self.ROUNDS, 2):
            old = until(self.leader, "a leader")
            self.rolling(f"i:{number}")
            self.replicas.remove(old)
            old.signal(signal.SIGKILL if how == "kill" else signal.SIGSTOP)
            until(self.leader, "another leader")
            if how == "freeze":
                old.signal(signal.SIGCONT)
            self.assertEqual(old.wait(), -signal.SIGKILL if how == "kill" else LEASE_LOST)
            self.replica()
            self.converged()
        self.idle()
        self.one_at_a_time(len(self.ROUNDS) + 1)

    def one_at_a_time(self, leaders):
        """Nobody wrote again once another had written."""
        rows = [row for row in self.cluster.log(verb="create|update|patch|delete", path=f"/namespaces/{self.ns}/(pods|collectorsets|controllerrevisions)",
                                                agent=OURS)]
        users = [row["user"] for row in rows]
        turns = [user for number, user in enumerate(users) if number == 0 or users[number - 1] != user]
        self.assertEqual((len(turns), len(set(turns))), (leaders, leaders), turns)

    def test_of_two_the_leader_is_killed_frozen_and_thawed(self):
        self.through(2)

    def test_of_three_the_leader_is_killed_frozen_and_thawed(self):
        self.through(3)


# ---- single requests --------------------------------------------------------------------------------


class Faults(OutageCase):
    """TestDaemonSetReconcileRobustnessMatrix, and what else a server does on a bad day: during creation and a rollout, and it must have struck."""

    def setUp(self):
        super().setUp()
        self.cluster.set(ready_seconds=0.1)

    def through(self, *rules, orders=(), **rows):
        numbers = [self.cluster.rule(agent=OURS, **rule) for rule in rules]
        controller = self.controller(start=False, **rows).spawn()
        self.place()
        self.converged(controller)
        if orders:
            self.rolling("i:2")
            for how in orders:
                self.assertGreater(until(lambda: self.cluster.order_watches(how, agent=OURS), f"a watch to {how}"), 0)
            self.converged(controller)
        self.roll("i:3")
        self.converged(controller)
        for rule, number in zip(rules, numbers):
            self.assertGreaterEqual(self.cluster.struck(number), 1, f"never struck: {rule}")
            self.cluster.unrule(number)
        self.idle(controller)

    def test_without_a_fault(self):
        self.through()

    def test_two_conflicts_of_the_status(self):
        self.through({"verb": "update|patch", "path": "/collectorsets/[^/]+/status", "status": 409, "reason": "Conflict", "times": 2})

    def test_conflicts_of_pods_and_revisions(self):
        self.through({"verb": "create", "path": "/pods$", "status": 409, "reason": "Conflict", "times": 3},
                     {"verb": "create", "path": "/controllerrevisions", "status": 409, "reason": "Conflict", "times": 1},
                     {"verb": "delete", "path": "/pods/", "status": 409, "reason": "Conflict", "times": 3})

    def test_a_third_of_creations_and_deletions_fail(self):
        self.through({"verb": "create|delete", "path": "/pods", "status": 500, "reason": "InternalError", "chance": 0.3})

    def test_all_creations_fail_for_a_while(self):
        self.through({"verb": "create", "path": "/pods", "status": 500, "reason": "InternalError", "times": 5})

    def test_a_tenth_of_everything_fails(self):
        self.through({"status": 500, "reason": "InternalError", "chance": 0.1})

    def test_too_many_requests_with_a_time_to_wait(self):
        self.through({"verb": "create|update|patch|delete", "path": "/(pods|collectorsets)", "status": 429, "reason": "TooManyRequests", "retry_after": 1,
                      "times": 6}, {"verb": "list|watch", "path": "/pods", "status": 429, "reason": "TooManyRequests", "retry_after": 1, "times": 1})

    def test_timeouts_after_the_write_was_done(self):
        self.through({"verb": "create", "path": "/pods", "status": 504, "reason": "Timeout", "after": True, "chance": 0.4},
                     {"verb": "delete", "path": "/pods", "status": 504, "reason": "Timeout", "after": True, "chance": 0.4})

    def test_connections_cut_after_the_write_was_done(self):
        self.through({"verb": "create", "path": "/pods", "close": "after", "chance": 0.4}, {"verb": "delete", "path": "/pods", "close": "after", "chance": 0.4})

    def test_connections_cut_before_the_write_was_done(self):
        self.through({"verb": "create|delete", "path": "/pods", "close": "before", "chance": 0.4})

    def test_watches_drop(self):
        self.through(orders=("close", "end", "half", "garbage", "close"))

    def test_watches_expire(self):
        self.through({"verb": "watch", "path": "/pods", "expire": True, "nth": "2-3"}, orders=("expire", "expire"))

    def test_lists_expire(self):
        self.cluster.set(watch_list=False)
        self.through({"verb": "list", "path": "/(pods|nodes)", "expire": True, "times": 2})

    def test_lists_of_an_older_state(self):
        self.cluster.set(watch_list=False)
        self.through({"verb": "list", "path": "/pods", "stale": 8, "nth": "2+"}, orders=("expire", "expire"))

    def test_half_answers(self):
        self.cluster.set(watch_list=False)
        self.through({"verb": "list", "path": "/(pods|nodes|collectorsets)", "truncate": 150, "times": 3},
                     {"verb": "watch", "path": "/pods", "truncate": 700, "times": 3},
                     {"verb": "create", "path": "/pods", "truncate": 40, "times": 3})

    def test_half_documents(self):
        self.cluster.set(watch_list=False)
        self.through({"verb": "list", "path": "/(pods|nodes|collectorsets)", "garbage": '{"kind": "PodList", "items": [{"metadata": {"na', "times": 3},
                     {"verb": "create", "path": "/pods", "garbage": '{"kind": "Pod", "metada', "times": 2})

    def test_slow_answers(self):
        self.through({"verb": "create|delete|watch", "path": "/pods", "delay": 0.2})

    def test_an_authority_that_is_replaced(self):
        """With token and authority where the kubelet puts them, behind a link that it swaps: the API server comes back with a certificate of a new
        authority and knows the old token no more; as soon as the files say so too, the same process goes on."""
        account, projected = self.account(), os.path.join(self.dir, "projected")
        kubeconfig = os.path.join(self.dir, "in-cluster.kubeconfig")

        def project(number):
            """As the kubelet's atomic writer does."""
            directory = os.path.join(projected, f"..{number}")
            os.makedirs(directory)
            shutil.copy(self.cluster.ca_file, os.path.join(directory, "ca.crt"))
            with open(os.path.join(directory, "token"), "w", encoding="utf-8") as file:
                file.write(self.cluster.renew_token(self.ns, account))
            os.symlink(f"..{number}", os.path.join(projected, "..data_tmp"))
            os.rename(os.path.join(projected, "..data_tmp"), os.path.join(projected, "..data"))

        project(1)
        with open(self.cluster.identity(self.ns, account), encoding="utf-8") as file:
            document = json.load(file)
        document["clusters"][0]["cluster"]["certificate-authority"] = os.path.join(projected, "..data/ca.crt")
        document["users"][0]["user"] = {"tokenFile": os.path.join(projected, "..data/token")}
        with open(kubeconfig, "w", encoding="utf-8") as file:
            json.dump(document, file)
        with open(os.path.join(projected, "..data/token"), encoding="utf-8") as file:
            old = file.read()
        controller = self.controller(kubeconfig=kubeconfig, lease_duration="300s", renew_deadline="240s")
        self.place()
        self.converged(controller)
        self.rolling("i:2")
        process = controller.process.pid
        before = controller.metric("drave_controller_credentials_read_total")
        self.cluster.replace_authority()
        seen = self.cluster.last_request()
        self.cluster.revoke(old)
        failed = controller.metric("drave_controller_api_requests_total", result="failed")
        until(lambda: controller.metric("drave_controller_api_requests_total", result="failed") > failed, "a request that trusts nobody")
        self.assertEqual(self.cluster.log(since=seen, agent=OURS), [])
        project(2)
        self.converged(controller)
        self.assertGreater(controller.metric("drave_controller_credentials_read_total"), before)
        self.assertEqual(controller.process.pid, process)
        self.idle(controller)

    def account(self):
        """One that may do everything."""
        account = "rotated"
        self.cluster.create("serviceaccounts", {"metadata": {"name": account}}, self.ns)
        self.cluster.ensure("clusterroles", {"metadata": {"name": account}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]})
        self.cluster.ensure("clusterrolebindings", {"metadata": {"name": account}, "roleRef": {"kind": "ClusterRole", "name": account},
                                                    "subjects": [{"kind": "ServiceAccount", "namespace": self.ns, "name": account}]})
        self.addCleanup(self.cluster.delete, "clusterrolebindings", account)
        return account

    def test_a_token_that_is_replaced(self):
        account = self.account()
        kubeconfig = self.cluster.identity(self.ns, account)
        file = self.cluster.token_file(f"{self.ns}-{account}")
        with open(file, encoding="utf-8") as text:
            old = text.read()
        controller = self.controller(kubeconfig=kubeconfig)
        self.place()
        self.converged(controller)
        self.rolling("i:2")
        self.cluster.revoke(old)
        until(lambda: any(row["code"] == 401 for row in self.cluster.log(agent=OURS)), "a request that is refused")
        self.cluster.renew_token(self.ns, account)
        self.converged(controller)
        self.idle(controller)


if __name__ == "__main__":
    case.main(needs_collector=False)

#!/usr/bin/env python3
"""drave-controller rollout status | history | undo | restart, with the rights and the kubeconfig of whoever calls it."""

import json
import os
import re
import subprocess

from kit import case, cluster
from kit.controller import PROGRAM
from kit.wait import until

NODES = ("n1", "n2", "n3")
RESTARTED = "kubectl.kubernetes.io/restartedAt"


class RolloutCommandTest(cluster.ClusterCase):
    def setUp(self):
        super().setUp()
        self.cluster.add_nodes(*NODES)
        self.create()

    def create(self, **spec):
        labels = {"app": "agent"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "one", "unknownField": {"kept": True}}]}}
        self.cluster.create("collectorsets", {"apiVersion": cluster.API, "kind": "CollectorSet", "metadata": {"name": "agent"},
                                              "spec": {"selector": {"matchLabels": labels}, "template": template, **spec}}, self.ns)

    def spawn(self, *words):
        environment = {name: text for name, text in os.environ.items() if not name.startswith("KUBE")}
        return subprocess.Popen([PROGRAM, "rollout", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**environment, "KUBECONFIG": self.cluster.admin, "HOME": self.dir})

    def rollout(self, *words, status=0):
        """Its standard output, or its complaint if it is to fail."""
        process = self.spawn(*words, "-n", self.ns)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, status, f"{words}: {out}{err}")
        return err if status else out

    def template(self):
        return self.cluster.get("collectorsets", "agent", self.ns)["spec"]["template"]

    def image(self):
        return self.template()["spec"]["containers"][0]["image"]

    def write_image(self, image):
        self.cluster.patch("collectorsets", "agent", [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}],
                           self.ns, kind="json")
        self.rollout("status", "agent", "--timeout", "60s")

    def numbers(self):
        return [int(line.split()[0]) for line in self.rollout("history", "agent").splitlines()[2:]]

    def images(self):
        return sorted({pod["spec"]["containers"][0]["image"] for pod in self.cluster.pods(self.ns, alive=True)})

    # ---- status --------------------------------------------------------------------------------------

    def test_status_waits_and_tells_how_far_it_is(self):
        self.controller()
        self.write_image("one")
        self.cluster.set(ready_seconds=0.5)
        self.rollout("restart", "agent")
        lines = self.rollout("status", "agent").splitlines()
        self.assertEqual(lines[-1], 'collector set "agent" successfully rolled out')
        self.assertGreater(len(lines), 1)
        for line in lines[:-1]:
            self.assertRegex(line, r"^Waiting for collector set (spec update to be observed\.\.\.|\"agent\" rollout to finish: "
                                   r"\d out of 3 new pods have been updated\.\.\.|\"agent\" rollout to finish: \d of 3 updated pods are available\.\.\.)$")
        self.assertEqual(len(lines), len(set(lines)), "each is told once")

    def test_status_without_watching_says_how_it_stands(self):
        self.assertEqual(self.rollout("status", "cset/agent", "--watch=false"), "Waiting for collector set spec update to be observed...\n")

    def test_status_gives_up_after_its_time(self):
        complaint = self.rollout("status", "agent", "--timeout", "1s", status=1)
        self.assertIn("timed out", complaint)

    def test_status_ends_when_the_set_is_deleted(self):
        process = self.spawn("status", "agent", "-n", self.ns)
        process.stdout.readline()
        self.cluster.delete("collectorsets", "agent", self.ns)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 66)
        self.assertIn("there is no CollectorSet 'agent'", err)

    def test_status_of_what_cannot_be_rolled_out(self):
        self.cluster.patch("collectorsets", "agent", {"spec": {"updateStrategy": {"type": "OnDelete"}}}, self.ns)
        self.assertIn("only available for RollingUpdate", self.rollout("status", "agent", status=1))
        self.cluster.patch("collectorsets", "agent", {"spec": {"updateStrategy": {"type": "Sometimes"}}}, self.ns)
        self.assertIn("cannot be rolled out", self.rollout("status", "agent", status=1))

    # ---- history -------------------------------------------------------------------------------------

    def test_history_lists_revisions_and_shows_their_templates(self):
        self.controller()
        self.write_image("one")
        self.write_image("two")
        told = self.rollout("history", "collectorsets.drave.dev/agent")
        self.assertRegex(told, r"^collectorset\.drave\.dev/agent\nREVISION +HASH +CREATED +CHANGE-CAUSE\n1 +\w+ +\S+Z +<none>\n2 +\w+ +\S+Z +<none>\n$")
        told = self.rollout("history", "agent", "--revision", "1")
        head, _, template = told.partition("\nPod Template:\n")
        self.assertEqual(head, "collectorset.drave.dev/agent with revision #1")
        wanted = self.template()
        wanted["spec"]["containers"][0]["image"] = "one"
        self.assertEqual(json.loads(template), wanted)
        self.assertIn("unable to find revision 7", self.rollout("history", "agent", "--revision", "7", status=66))

    def test_history_of_another_set_is_none_of_ours(self):
        self.controller()
        self.write_image("one")
        revision = self.cluster.list("controllerrevisions", self.ns)[0]
        revision["metadata"] = {"name": "strange", "ownerReferences": [{**revision["metadata"]["ownerReferences"][0], "uid": "another"}]}
        self.cluster.create("controllerrevisions", {**revision, "revision": 9}, self.ns)
        self.assertEqual(self.numbers(), [1])

    def test_history_says_why_a_revision_came(self):
        """By the annotation, as it was when the revision was made; what is said later about the same template does not count."""
        self.controller()
        self.write_image("one")
        for image, cause in (("two", "image two, for speed"), ("three", "kubectl set image")):
            self.cluster.patch("collectorsets", "agent", {"metadata": {"annotations": {"kubernetes.io/change-cause": cause}}, "spec": {
                "template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}, self.ns)
            self.rollout("status", "agent", "--timeout", "60s")
        self.cluster.kubectl("-n", self.ns, "annotate", "collectorset", "agent", "kubernetes.io/change-cause=too late", "--overwrite")
        causes = [re.split(r" {2,}", line)[-1] for line in self.rollout("history", "agent").splitlines()[2:]]
        self.assertEqual(causes, ["<none>", "image two, for speed", "kubectl set image"])

    # ---- undo ----------------------------------------------------------------------------------------

    def test_undo_goes_back_to_the_one_before_whole(self):
        self.controller()
        self.write_image("one")
        before = self.template()
        self.cluster.patch("collectorsets", "agent", {"spec": {"template": {"spec": {"hostNetwork": True}}}}, self.ns)
        self.rollout("status", "agent")
        self.assertEqual(self.rollout("undo", "agent"), "collectorset.drave.dev/agent rolled back\n")
        self.assertEqual(self.template(), before)   # what only the new one had is gone, what we do not know is there
        self.rollout("status", "agent")
        self.assertEqual(self.numbers(), [2, 3])    # H-4: the old one is the newest now
        self.assertEqual(self.rollout("undo", "agent"), "collectorset.drave.dev/agent rolled back\n")
        self.assertTrue(self.template()["spec"]["hostNetwork"])

    def test_undo_to_a_revision(self):
        self.controller()
        for image in ("one", "two", "three"):
            self.write_image(image)
        self.rollout("undo", "agent", "--to-revision", "1")
        self.rollout("status", "agent")
        self.assertEqual(self.image(), "one")
        until(lambda: self.images() == ["one"], "all pods of the old template")
        skipped = self.rollout("undo", "agent", "--to-revision", "4")
        self.assertRegex(skipped, r"skipped rollback \(current template already matches revision 4\)")
        self.assertIn("unable to find revision 1 ", self.rollout("undo", "agent", "--to-revision=1", status=66))

    def test_undo_needs_a_past(self):
        self.controller()
        self.write_image("one")
        self.assertIn("no revision to roll back to", self.rollout("undo", "agent", status=1))

    def test_what_the_controller_wrote_meanwhile_does_not_stop_it(self):
        self.controller()
        self.write_image("one")
        self.write_image("two")
        rule = self.cluster.rule(path="/collectorsets/agent$", verb="patch", status=409, reason="Conflict", message="test", times=2)
        self.rollout("undo", "agent")
        self.assertEqual(self.cluster.struck(rule), 2)
        self.assertEqual(self.image(), "one")
        self.cluster.rule(path="/collectorsets/agent$", verb="patch", status=409, reason="Conflict", message="for ever")
        self.assertIn("for ever", self.rollout("undo", "agent", status=69))
        self.assertEqual(self.image(), "one")

    def test_a_version_that_was_read_is_written_with(self):
        """The API server would refuse it otherwise: shown by a change between reading and writing."""
        self.controller()
        self.write_image("one")
        self.write_image("two")
        self.cluster.rule(path="/collectorsets/agent$", verb="patch", delay=1, times=1)
        process = self.spawn("undo", "agent", "-n", self.ns)
        until(lambda: [row for row in self.cluster.log(verb="patch", path="/collectorsets/agent$", agent="drave-controller")], "the patch sent")
        self.cluster.patch("collectorsets", "agent", {"metadata": {"labels": {"changed": "meanwhile"}}}, self.ns)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (0, "collectorset.drave.dev/agent rolled back\n"), err)
        answers = [row for row in self.cluster.log(verb="patch", path="/collectorsets/agent$", agent="drave-controller")]
        self.assertGreaterEqual(len(answers), 2)
        self.assertEqual(self.image(), "one")

    # ---- restart -------------------------------------------------------------------------------------

    def test_restart_makes_all_pods_anew(self):
        self.controller()
        self.write_image("one")
        before = {pod["metadata"]["uid"] for pod in self.cluster.pods(self.ns)}
        self.assertEqual(self.rollout("restart", "agent"), "collectorset.drave.dev/agent restarted\n")
        self.assertRegex(self.template()["metadata"]["annotations"][RESTARTED], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(self.template()["spec"]["containers"][0]["unknownField"], {"kept": True})
        self.rollout("status", "agent")
        until(lambda: len(self.cluster.pods(self.ns)) == 3, "the old ones gone")
        self.assertEqual(before & {pod["metadata"]["uid"] for pod in self.cluster.pods(self.ns)}, set())

    # ---- who, where ----------------------------------------------------------------------------------

    def test_what_is_not_there(self):
        for verb in ("status", "history", "undo", "restart"):
            self.assertIn(f"there is no CollectorSet 'none' in namespace '{self.ns}'", self.rollout(verb, "none", status=66))

    def test_no_server_and_no_right(self):
        self.cluster.rule(path="/collectorsets/agent", status=403, reason="Forbidden", message="user x cannot get")
        self.assertIn("user x cannot get", self.rollout("restart", "agent", status=69))
        self.cluster.down()
        self.assertRegex(self.rollout("history", "agent", status=69), r"cannot read CollectorSet 'agent': .+")

    def test_the_namespace_is_the_contexts_unless_named(self):
        process = self.spawn("history", "agent")
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 66)
        self.assertIn("in namespace 'default'", err)
        path = os.path.join(self.dir, "kubeconfig")
        with open(self.cluster.admin, encoding="utf-8") as file, open(path, "w", encoding="utf-8") as copy:
            copy.write(re.sub(r'"namespace": "default"', f'"namespace": "{self.ns}"', file.read()))
        process = self.spawn("history", "agent", "--kubeconfig", path)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)

    def test_another_context_is_taken_if_one_asks_for_it(self):
        with open(self.cluster.admin, encoding="utf-8") as file:
            document = json.load(file)
        document["contexts"].append({"name": "mine", "context": {**document["contexts"][0]["context"], "namespace": self.ns}})
        document["contexts"].append({"name": "nobody", "context": {**document["contexts"][0]["context"], "user": "none"}})
        path = os.path.join(self.dir, "kubeconfig")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)
        for words, status, told in ((("--context", "mine"), 0, "agent"), (("--context=mine", "-n", "default"), 66, "in namespace 'default'"),
                                    (("--context", "none"), 69, "there is no context 'none'"), (("--context", "nobody"), 69, "there is no user 'none'")):
            process = self.spawn("history", "agent", "--kubeconfig", path, *words)
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, status, f"{words}: {out}{err}")
            self.assertIn(told, out + err)


if __name__ == "__main__":
    case.main(needs_collector=False)

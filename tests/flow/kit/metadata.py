"""What tests of metadata share: a node, a kubelet that tells of its pods, and a collector that asks."""

import json
import os

from kit import case
from kit.certificates import Authority
from kit.kubelet_api import TOKEN, KubeletApi
from kit.oracle import Oracle
from kit.wait import until

FAR = "60s"    # a wait that no test sees the end of
NEAR = "500ms"


class Keeper(Oracle):
    """An oracle that keeps what it was given."""

    def __init__(self, **options):
        super().__init__(**options)
        self.records = []

    def take(self, record):
        self.records.append(record)
        super().take(record)


class MetadataCase(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node = self.kubelet()
        self.end, self.judge_of = self.endpoint(), Keeper(host=case.NODE)

    def authority(self):
        return Authority(os.path.join(self.dir, "pki"))

    def kubelet_api(self, certificate=None):
        api = KubeletApi(certificate)
        self.addCleanup(api.stop)
        return api

    def kubeconfig(self, url="http://127.0.0.1:1", ca_file=None, **user):
        """user: what to say instead of the token."""
        path = os.path.join(self.dir, "kubeconfig")
        cluster = {"server": url, **({"certificate-authority": ca_file} if ca_file else {})}
        with open(path, "w") as file:
            json.dump({"clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": user or {"token": TOKEN}}],
                       "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}, file)
        return path

    def follows(self, api, outputs=None, start=True, read_from="head", **rows):
        kubernetes = {"metadata_source": "kubelet", "metadata_wait": FAR, "kubelet_url": api.url, **rows}
        return self.collector(outputs or {"main": self.end}, kubernetes=kubernetes, input={"read_from": read_from}, start=start)

    def knows(self, collector, **wanted):
        """Waits until /status says so of metadata; None stands for any text."""
        def agrees():
            told = collector.status()["metadata"]
            return all(told.get(key) == value if value is not None else told.get(key) for key, value in wanted.items()) and told
        return until(agrees, lambda: f"{wanted}: {collector.status()['metadata']}")

    def another_list(self, api):
        """A container that nobody knows makes the collector ask."""
        asked = len(api.asked)
        asker = self.node.container(pod=f"asker-{asked}")
        api.put(asker.pod)
        until(lambda: len(api.asked) > asked, "another list")

    def let_go(self, collector, *pods):
        """Waits until no output holds a file of these pods."""
        until(lambda: not any(row["pod"] in pods and row["output"] for row in collector.streams()), "its files let go")

    def missing(self, collector):
        return collector.metrics().sum("drave_metadata_missing_records_total")

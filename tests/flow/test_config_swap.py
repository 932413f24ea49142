#!/usr/bin/env python3
"""A mounted ConfigMap changes under a running collector, exactly as the kubelet does it: a new directory with all files, a link to it that is renamed
over the old one, the old directory removed.  Nobody sends a signal."""

import os
import shutil
import signal

from kit import case
from kit.collector import configuration
from kit.wait import until


class ConfigMap:
    """A volume as the kubelet's atomic writer makes it."""

    def __init__(self, directory):
        self.dir, self.number, self.here = directory, 0, None
        os.makedirs(directory)

    def path(self, name):
        return os.path.join(self.dir, name)

    def put(self, **files):
        """name with _ for its dot -> text"""
        files = {name.replace("_", "."): text for name, text in files.items()}
        old, self.here = self.here, f"..2026_11_29_20_00_00.{self.number}"
        self.number += 1
        os.mkdir(self.path(self.here))
        for name, text in files.items():
            with open(os.path.join(self.dir, self.here, name), "w") as file:
                file.write(text)
        os.symlink(self.here, self.path("..data_tmp"))
        os.rename(self.path("..data_tmp"), self.path("..data"))
        for name in files:
            if not os.path.lexists(self.path(name)):
                os.symlink(os.path.join("..data", name), self.path(name))
        if old:
            shutil.rmtree(self.path(old))


class ConfigSwapTest(case.FlowCase):
    def setUp(self):
        super().setUp()
        self.node = self.kubelet()
        self.container = self.node.container()
        self.first, self.second = self.endpoint(), self.endpoint()
        self.witness = self.oracle()
        self.mount = ConfigMap(os.path.join(self.dir, "etc"))

    def text(self, end=None, name="collector", **more):
        """A whole configuration; more: section__key = value."""
        sections = {"collector": {"node_name": case.NODE, "state_dir": os.path.join(self.dir, f"state-{name}"), "listen": "127.0.0.1:0"},
                    "input:pods": {"path": os.path.join(self.dir, "pods"), "docker_root": os.path.join(self.dir, "docker"), "rescan_interval": "200ms"}}
        if end:
            sections["output:main"] = self.http(end)
        for key, value in more.items():
            section, key = key.split("__")
            sections.setdefault(section.replace("output_", "output:"), {})[key] = value
        return configuration(sections)

    def begin(self, name="collector"):
        collector = self.collector({"main": self.first}, name=name, start=False)
        os.makedirs(os.path.join(self.dir, f"state-{name}"))
        collector.config = self.mount.path("collector.ini")
        return collector.start()

    def reloads(self, collector):
        return collector.metric("drave_config_reloads_total", result="taken"), collector.metric("drave_config_reloads_total", result="refused")

    def counted(self, collector, taken, refused):
        until(lambda: self.reloads(collector) == (taken, refused), lambda: f"{taken} taken, {refused} refused, and not {self.reloads(collector)}:\n{collector.errors()}")
        self.assertEqual(collector.metric("drave_config_last_reload_successful"), 1 if collector.status()["last_reload_successful"] else 0)

    def delivered(self, *ends):
        def are():
            for end in ends:
                end.pump(self.witness)
            return self.witness.has(self.node.written)
        until(are, lambda: f"all delivered: {self.witness.verdict(self.node.written)}")

    def end_well(self, collector):
        self.settled(collector)
        collector.stop()
        self.assertEqual(self.witness.verdict(self.node.written).faults(0), [])

    def test_a_swap_is_taken_without_a_restart(self):
        self.mount.put(collector_ini=self.text(self.first))
        collector = self.begin()
        self.container.write(200)
        self.delivered(self.first)
        self.settled(collector)
        self.mount.put(collector_ini=self.text(self.second))
        self.counted(collector, 1, 0)
        self.container.write(200)
        self.delivered(self.second)
        self.assertEqual(collector.status()["reloads"], 1)
        self.end_well(collector)

    def test_a_bad_one_is_refused_and_the_old_goes_on(self):
        self.mount.put(collector_ini=self.text(self.first))
        collector = self.begin()
        self.mount.put(collector_ini=self.text(self.second, output_main__batch_size="many"))
        self.counted(collector, 0, 1)
        self.assertFalse(collector.status()["last_reload_successful"])
        self.assertRegex(collector.errors(), r"collector\.ini:\d+: [^\n]*batch_size")
        self.container.write(200)
        self.delivered(self.first)
        self.settled(collector)
        self.mount.put(collector_ini=self.text(self.second))
        self.counted(collector, 1, 1)
        self.assertTrue(collector.status()["last_reload_successful"])
        self.container.write(200)
        self.delivered(self.second)
        self.end_well(collector)

    def test_included_files_count(self):
        more = ConfigMap(os.path.join(self.dir, "more"))
        more.put(main_ini=configuration({"output:main": self.http(self.first)}))
        self.mount.put(collector_ini=self.text(collector__include=more.path("*.ini")))
        collector = self.begin()
        self.container.write(100)
        self.delivered(self.first)
        self.settled(collector)
        more.put(main_ini="[output:main]\ntype = http\n")
        self.counted(collector, 0, 1)
        more.put(main_ini=configuration({"output:main": self.http(self.second)}))
        self.counted(collector, 1, 1)
        self.container.write(100)
        self.delivered(self.second)
        self.settled(collector)
        more.put(main_ini=configuration({"output:main": self.http(self.second)}), other_ini=configuration({"output:other": {"type": "null"}}))
        self.counted(collector, 2, 1)
        self.assertEqual([output["name"] for output in collector.status()["outputs"]], ["main", "other"])
        self.end_well(collector)

    def test_a_secret_that_comes_later_than_its_name(self):
        """The kubelet brings ConfigMaps and Secrets each in its time."""
        secret = ConfigMap(os.path.join(self.dir, "secret"))
        self.mount.put(collector_ini=self.text(self.first))
        collector = self.begin()
        self.mount.put(collector_ini=self.text(self.second, output_main__token_file=secret.path("token")))
        self.counted(collector, 0, 1)
        secret.put(token="t\n")
        self.counted(collector, 1, 1)
        self.container.write(100)
        self.delivered(self.second)
        self.end_well(collector)

    def test_a_file_that_is_written_in_place_is_taken_too(self):
        self.mount.put(collector_ini=self.text(self.first))
        collector = self.begin()
        with open(self.mount.path("collector.ini"), "w") as file:
            file.write(self.text(self.second))
        until(lambda: self.reloads(collector)[0] >= 1, "taken")
        self.container.write(100)
        self.delivered(self.second)
        self.end_well(collector)

    def test_one_that_waits_for_a_signal_waits(self):
        """Beside one that does not: when that has taken two, the other had the time to take one."""
        self.mount.put(collector_ini=self.text(self.first, "auto"))
        auto = self.begin("auto")
        mount, self.mount = self.mount, ConfigMap(os.path.join(self.dir, "etc-2"))
        self.mount.put(collector_ini=self.text(self.first, "signal", collector__reload="signal"))
        waits = self.begin("signal")
        for number in (1, 2):
            for volume, name, more in ((self.mount, "signal", {"collector__reload": "signal"}), (mount, "auto", {})):
                volume.put(collector_ini=self.text(self.second, name, output_main__batch_age=f"{60 + number}ms", **more))
            self.counted(auto, number, 0)
        self.assertEqual(self.reloads(waits), (0, 0))
        waits.signal(signal.SIGHUP)
        self.counted(waits, 1, 0)
        for collector in (auto, waits):
            collector.stop()


if __name__ == "__main__":
    case.main()

#!/usr/bin/env python3
"""Runs log agents over generated logs and measures them beside the machine's own limits.  Standard library only.

  bench.py catchup --tools DIR --data DIR --work DIR --bin NAME=PATH ... --case NAME/VARIANT ... [--runs N] --out FILE
  bench.py steady  --tools DIR --work DIR --files N --rate BYTES --seconds S ... (same options)
  bench.py idle    --tools DIR --work DIR --files N --seconds S ...
  bench.py report  FILE ...

--tools is where gen, receiver and limits were built (BUILD/bench).  A case is a file adapters/NAME/VARIANT.conf; its first
word picks the receiver: http-, tcp-, kafka-, null-.  adapters/NAME/cmd is the command line.  @WORDS@ in both are filled in.
A case limits/ROW is a skeleton agent of bench/limits; catchup adds the one that belongs to each case by itself, so that every
ratio comes from the same rounds.  steady and idle put their floor into the row of each run.  Cases alternate: the first run of each,
then the second of each in reverse order ...
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

from report import report

HERE = os.path.dirname(os.path.abspath(__file__))
POLL_SECONDS = 0.02
PRIMING_LINES = 10          # of gen, in each file
NS = 10**9
KEPT_PAGES = 1 << 22


# ---- what the system tells of a process ----------------------------------------------------------------

def cpu_ns(pid):
    """All its threads, also those that have ended; 0 once it is gone."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def proc_status(pid):
    """VmHWM, VmRSS, RssAnon in KiB, and Threads."""
    try:
        with open(f"/proc/{pid}/status") as file:
            pairs = (line.split(":", 1) for line in file)
            return {name: int(value.split()[0]) for name, value in pairs if name in ("VmHWM", "VmRSS", "RssAnon", "Threads")}
    except OSError:
        return {}


def user_and_system_seconds(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0, 0.0
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def bytes_read(pid):
    try:
        with open(f"/proc/{pid}/io") as file:
            return int(file.readline().split()[1])
    except OSError:
        return 0


def loopback_bytes():
    with open("/proc/net/dev") as file:
        line = next(line for line in file if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[0])


def warm(data):
    """Reads all log files once, so that every case finds them in the page cache."""
    for root, _, names in os.walk(os.path.join(data, "pods")):
        for name in names:
            with open(os.path.join(root, name), "rb", buffering=0) as file:
                while file.read(KEPT_PAGES):
                    pass


def manifest(data):
    with open(os.path.join(data, "manifest.json")) as file:
        return json.load(file)


# ---- the far end ---------------------------------------------------------------------------------------

class Receiver:
    """bench/receiver as a process; it tells where it listens."""

    def __init__(self, options, case, consume=False):
        variant = case.split("/")[1]
        command = [tool(options, "receiver"), "--answer", '{"errors":false,"items":[]}', "--delay-ms", str(options.delay_ms)]
        self.kind = variant.split("-")[0]
        if self.kind == "tcp":
            command += ["--tcp", "0"]
        if self.kind == "kafka":
            # One message a line is counted by high watermarks; a message that holds a batch must be read, and the
            # partitions must be many, because the mock keeps only 5 MiB of each.
            consume = consume or variant.startswith("kafka-batch")
            command += ["--kafka", "logs", "--partitions", "64" if consume else "4", "--consume", str(int(consume))]
        self.process = subprocess.Popen(pinned(options, 1, command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.ends = {}
        while (line := self.process.stdout.readline().split()) != ["ready"]:
            if not line:
                raise SystemExit("bench: the receiver did not start")
            self.ends[line[0]] = line[1]

    def end(self, name):
        return self.ends.get(name, "0")

    def stats(self, with_latency=False):
        return json.loads(self._get("/stats?lat" if with_latency else "/stats"))

    def reset(self):
        self._get("/reset")

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ends['http']}{path}", timeout=60) as answer:
            return answer.read()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def tool(options, name):
    return os.path.join(options.tools, name)


def pinned(options, which, command):
    return ["taskset", "-c", options.pin.split(":")[which], *command] if options.pin else command


# ---- the agent -----------------------------------------------------------------------------------------

def write_pod_objects(data, directory):
    """One <namespace>_<pod>.meta a pod: the object as the API server gives it, cut to what agents copy."""
    os.makedirs(directory)
    for name in os.listdir(os.path.join(data, "containers")):
        pod, namespace, rest = name[:-4].split("_", 2)
        container, identity = rest.rsplit("-", 1)
        image = f"registry.example.com/shop/{container}:1.42.0"
        labels = {"app.kubernetes.io/name": container, "app.kubernetes.io/instance": container + "-prod",
                  "app.kubernetes.io/component": "backend", "app.kubernetes.io/version": "1.42.0",
                  "pod-template-hash": identity[:10], "team": "shop"}
        status = {"name": container, "image": image, "imageID": image, "containerID": "containerd://" + identity}
        pod_object = {"apiVersion": "v1", "kind": "Pod",
                      "metadata": {"name": pod, "namespace": namespace, "labels": labels,
                                   "uid": f"{identity[:8]}-41d4-4a1b-9c1e-{identity[8:20]}"},
                      "spec": {"nodeName": "node-17.eu-west-1.compute.internal", "containers": [{"name": container, "image": image}]},
                      "status": {"podIP": "10.42.3.17", "containerStatuses": [status]}}
        with open(os.path.join(directory, f"{namespace}_{pod}.meta"), "w") as file:
            json.dump(pod_object, file)
    return directory


class Agent:
    """The process under measurement, in an empty working folder."""

    def __init__(self, options, case, data, receiver, file_count):
        name, variant = case.split("/", 1)
        self.work = os.path.join(options.work, "run")
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        adapter = os.path.join(HERE, "adapters", name)
        with open(os.path.join(adapter, variant + ".conf")) as file:
            template = file.read()
        data = os.path.abspath(data)
        config = os.path.join(self.work, "agent.conf")
        end = receiver.end if receiver else lambda _: "0"
        words = {"@BIN@": options.programs[name], "@CONF@": config, "@WORK@": self.work, "@DATA@": data, "@ADAPTER@": adapter,
                 "@HTTP_PORT@": end("http"), "@TCP_PORT@": end("tcp"), "@BROKERS@": end("brokers"),
                 "@FILES@": str(file_count), "@FILES_K@": str(file_count * 1000), "@FILES_2K@": str(file_count * 2000 + 10000),
                 "@DATA_DOTS@": data.strip("/").replace("/", ".")}
        if "@META@" in template:
            words["@META@"] = write_pod_objects(data, os.path.join(self.work, "meta"))
        with open(config, "w") as file:
            file.write(fill(template, words))
        with open(os.path.join(adapter, "cmd")) as file:
            command = shlex.split(fill(file.read(), words))
        self.log = open(os.path.join(self.work, "agent.log"), "w")
        self.peak = {}
        self.resident = []
        self.started = time.monotonic_ns()
        self.process = subprocess.Popen(pinned(options, 0, command), stdout=self.log, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, cwd=self.work)

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def sample(self):
        """Notes its memory; returns its CPU time in ns."""
        now = proc_status(self.pid)
        self.peak = {name: max(value, self.peak.get(name, 0)) for name, value in now.items()} or self.peak
        self.resident.append(now.get("VmRSS", 0))
        return cpu_ns(self.pid)

    def memory(self):
        return {"rss_peak_kb": self.peak.get("VmHWM", 0), "anon_peak_kb": self.peak.get("RssAnon", 0),
                "threads": self.peak.get("Threads", 0)}

    def stop(self):
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(8)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def fill(text, words):
    for word, value in words.items():
        text = text.replace(word, value)
    return text


# ---- scenarios: each takes one case and returns one row ------------------------------------------------

def skeleton_row(options, case, data, consume=False):
    """A row of bench/limits, with the same receiver and the same account as an agent."""
    receiver = Receiver(options, case, consume)
    lines = manifest(data)["lines"]
    command = [tool(options, "limits"), "--data", data, "--runs", "1", "--json", "1", "--row", case.split("/")[1]]
    command += ["--brokers", receiver.end("brokers")] if receiver.kind == "kafka" else ["--http", receiver.end("http")]
    warm(data)
    loopback = loopback_bytes()
    done = subprocess.run(pinned(options, 0, command), stdout=subprocess.PIPE, text=True, check=True)
    time.sleep(1)
    told, stats = json.loads(done.stdout), receiver.stats()
    receiver.stop()
    return {"lines": lines, **{name: told[name] for name in ("bytes", "wall_s", "cpu_s", "rss_peak_kb")},
            "lost": lines - stats["unique"], "dup": stats["dup"],
            "wire": loopback_bytes() - loopback if receiver.kind == "kafka" else stats["wire"]}


def catchup(options, case):
    """Everything is there already: how long, and for how much, until the last line has arrived."""
    if case.startswith("limits/"):
        return skeleton_row(options, case, options.data)
    written = manifest(options.data)
    warm(options.data)
    receiver = None if "/null-" in case else Receiver(options, case)
    loopback = loopback_bytes()
    agent = Agent(options, case, options.data, receiver, written["files"])
    arrival = wait_for_lines(options, agent, receiver, written) if receiver else wait_for_quiet(options, agent, written)
    row = {"lines": written["lines"], "bytes": written["bytes"], "files": written["files"],
           "wall_s": (arrival["at"] - agent.started) / NS, "cpu_s": arrival["cpu"] / NS, "user_s": arrival["user_system"][0],
           "system_s": arrival["user_system"][1], **agent.memory()}
    if receiver:
        time.sleep(1)  # for duplicates
        stats = receiver.stats()
        row.update(lost=written["lines"] - stats["unique"], dup=stats["dup"], undecodable=stats["undecodable"],
                   plain=stats["plain"], requests=stats["requests"], receiver_cpu_s=cpu_ns(receiver.process.pid) / NS,
                   wire=loopback_bytes() - loopback if receiver.kind == "kafka" else stats["wire"])
    agent.stop()
    if receiver:
        receiver.stop()
    return row


def wait_for_lines(options, agent, receiver, written):
    """What it had cost when the last new line arrived."""
    arrival = {"at": agent.started, "cpu": 0, "user_system": (0, 0)}
    unique, changed = -1, time.monotonic_ns()
    while True:
        time.sleep(POLL_SECONDS)
        cpu, now, stats = agent.sample(), time.monotonic_ns(), receiver.stats()
        if stats["unique"] != unique:
            unique, changed = stats["unique"], now
            arrival = {"at": stats["last"], "cpu": cpu, "user_system": user_and_system_seconds(agent.pid)}
        is_late = now - changed > options.stall * NS or now - agent.started > options.limit * NS
        if unique >= written["lines"] or is_late or not agent.is_running():
            return arrival


def wait_for_quiet(options, agent, written):
    """Without a receiver: done when all was read and 1.5 s cost under 30 ms of CPU."""
    history = []
    while True:
        time.sleep(POLL_SECONDS)
        now = time.monotonic_ns()
        history.append({"at": now, "cpu": agent.sample(), "user_system": user_and_system_seconds(agent.pid)})
        while len(history) > 2 and now - history[1]["at"] >= 1.5 * NS:
            history.pop(0)
        is_quiet = now - history[0]["at"] >= 1.4 * NS and history[-1]["cpu"] - history[0]["cpu"] < 30e6
        is_late = now - agent.started > options.limit * NS
        if is_late or not agent.is_running() or (is_quiet and bytes_read(agent.pid) >= written["bytes"]):
            return history[0]


def steady(options, case):
    """Lines come one write at a time: what a second of that costs, and how late they arrive."""
    data = os.path.join(options.work, "steady")
    shutil.rmtree(data, ignore_errors=True)
    writer = subprocess.Popen([tool(options, "gen"), "--dir", data, "--mode", "steady", "--files", str(options.files), "--seed", "7",
                               "--rate", str(options.rate), "--seconds", str(options.seconds)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    writer.stdout.readline()
    receiver = None if "/null-" in case else Receiver(options, case, consume=True)
    agent = Agent(options, case, data, receiver, options.files)
    time.sleep(options.settle)
    if receiver:
        receiver.reset()  # the priming lines are old by now
    agent.resident = []
    start = {"at": time.monotonic_ns(), "cpu": agent.sample(), "user_system": user_and_system_seconds(agent.pid),
             "loopback": loopback_bytes()}
    writer.stdin.write("go\n")
    writer.stdin.flush()
    while writer.poll() is None:
        time.sleep(0.1)
        agent.sample()
    cpu_s, seconds = (agent.sample() - start["cpu"]) / NS, (time.monotonic_ns() - start["at"]) / NS
    user_system = user_and_system_seconds(agent.pid)
    resident = sorted(agent.resident[len(agent.resident) // 2:])
    written = manifest(data)
    lines = written["lines"] - options.files * PRIMING_LINES
    row = {"files": options.files, "rate": options.rate, "seconds": seconds, "lines": lines, "bytes": written["bytes"], "cpu_s": cpu_s,
           "cpu_pct": 100 * cpu_s / seconds, "user_s": user_system[0] - start["user_system"][0],
           "system_s": user_system[1] - start["user_system"][1], "rss_kb": resident[len(resident) // 2], **agent.memory()}
    if receiver:
        row.update(arrived(receiver, lines), wire=loopback_bytes() - start["loopback"])
        if receiver.kind == "http":
            row["wire"] = receiver.stats()["wire"]
    agent.stop()
    if receiver:
        receiver.stop()
    if not options.no_skeleton and skeleton_of(case):
        floor = skeleton_row(options, skeleton_of(case), data, consume=True)
        row.update(floor_cpu_s=floor["cpu_s"], floor_rss_kb=floor["rss_peak_kb"])
    return row


def arrived(receiver, lines):
    deadline = time.monotonic() + 12
    while receiver.stats()["unique"] < lines and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)  # for duplicates
    stats = receiver.stats(with_latency=True)
    return {"lost": lines - stats["unique"], "dup": stats["dup"], "requests": stats["requests"],
            **{name: stats[name] for name in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")}}


def idle(options, case):
    """Files that nobody writes to: what watching them costs."""
    data = os.path.join(options.work, f"idle{options.files}")
    if not os.path.exists(os.path.join(data, "manifest.json")):
        subprocess.run([tool(options, "gen"), "--dir", data, "--mode", "idle", "--files", str(options.files), "--seed", "9"],
                       check=True, stdout=subprocess.DEVNULL)
    receiver = None if "/null-" in case else Receiver(options, case)
    agent = Agent(options, case, data, receiver, options.files)
    end = time.monotonic() + options.settle
    while time.monotonic() < end:
        time.sleep(0.05)
        agent.sample()
    start_cpu, start = agent.sample(), time.monotonic_ns()
    time.sleep(options.seconds)
    cpu, now = agent.sample(), time.monotonic_ns()
    memory = proc_status(agent.pid)
    row = {"files": options.files, "cpu_pct": 100 * (cpu - start_cpu) / (now - start), "start_cpu_s": start_cpu / NS,
           "rss_kb": memory.get("VmRSS", 0), "anon_kb": memory.get("RssAnon", 0), **agent.memory()}
    if receiver:
        row["lost"] = options.files * PRIMING_LINES - receiver.stats()["unique"]
    agent.stop()
    if receiver:
        receiver.stop()
    if not options.no_skeleton:
        done = subprocess.run([tool(options, "watcher"), data, str(int(options.seconds))], stdout=subprocess.PIPE, text=True, check=True)
        floor = json.loads(done.stdout)
        row.update(floor_cpu_pct=100 * floor["cpu_s"] / options.seconds, floor_rss_kb=floor["rss_kb"])
    return row


# ---- rounds --------------------------------------------------------------------------------------------

def skeleton_of(case):
    """The row of bench/limits that does the same work as this case, and nothing else; None if there is none."""
    name, variant = case.split("/")
    words = variant.split("-")
    if name == "limits" or words[0] not in ("http", "kafka"):
        return None
    metadata = "labels" if "k8s" in variant else "path" if name == "drave" else "file"
    if words[0] == "kafka":
        codec = words[1] if words[1] in ("batch", "none") else "zstd"
        return f"limits/kafka-{codec}-{'path' if codec != 'zstd' else metadata}"
    return f"limits/http-{'none' if 'none' in words else 'zstd'}-{metadata}"


def with_skeletons(cases):
    skeletons = dict.fromkeys(filter(None, map(skeleton_of, cases)))
    return list(dict.fromkeys([*skeletons, *cases]))


SHOWN = ("case", "files", "wall_s", "cpu_s", "cpu_pct", "rss_peak_kb", "rss_kb", "anon_peak_kb", "lost", "dup", "wire", "p50_ms",
         "p99_ms", "floor_cpu_s", "floor_cpu_pct", "floor_rss_kb")


def rounded(value):
    return round(value, 3) if isinstance(value, float) else value


def run_rounds(options):
    scenario = {"catchup": catchup, "steady": steady, "idle": idle}[options.scenario]
    cases = with_skeletons(options.case) if options.scenario == "catchup" and not options.no_skeleton else options.case
    for run in range(options.runs):
        for case in cases if run % 2 == 0 else cases[::-1]:
            row = {"scenario": options.scenario, "case": case, "skeleton": skeleton_of(case), "run": run, **scenario(options, case)}
            with open(options.out, "a") as file:
                file.write(json.dumps(row) + "\n")
            print({name: rounded(row[name]) for name in SHOWN if name in row}, flush=True)


def main():
    if sys.argv[1:2] == ["report"]:
        return report(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", choices=["catchup", "steady", "idle"])
    parser.add_argument("--tools", required=True)
    parser.add_argument("--work", required=True, help="a folder for what a run needs; emptied")
    parser.add_argument("--data", help="a tree that gen wrote (catchup)")
    parser.add_argument("--bin", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--case", action="append", default=[], metavar="NAME/VARIANT")
    parser.add_argument("--no-skeleton", action="store_true", help="only the cases that are named, and no floor")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", required=True, help="one JSON object a run is appended")
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--rate", type=float, default=5e6)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--settle", type=float, default=4, help="seconds from the start of the agent to the measurement")
    parser.add_argument("--stall", type=float, default=20, help="give up after so many seconds without a new line")
    parser.add_argument("--limit", type=float, default=300, help="give up after so many seconds")
    parser.add_argument("--delay-ms", type=int, default=0, help="the receiver answers so much later")
    parser.add_argument("--pin", default="", metavar="AGENT:RECEIVER", help="CPUs for taskset")
    options = parser.parse_args()
    if options.scenario == "catchup" and not options.data:
        parser.error("catchup needs --data")
    options.programs = {name: os.path.abspath(path) for name, path in (word.split("=", 1) for word in options.bin)}
    missing = {case.split("/")[0] for case in options.case} - {"limits", *options.programs}
    if missing:
        parser.error(f"no --bin for {', '.join(sorted(missing))}")
    options.work = os.path.abspath(options.work)
    os.makedirs(options.work, exist_ok=True)
    run_rounds(options)


if __name__ == "__main__":
    main()

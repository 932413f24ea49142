#!/usr/bin/env python3
"""The demo behind demo.sh: a node's logs, drave-collector, a Kafka cluster and an HTTP end, all on loopback in a temporary directory.  Then placement.py.

What is shown while it runs comes from the collector's own /metrics and /status.  The verdict does not: every written line carries a
marker, and the two receivers (bench/receiver) know each line that reached them.  Lines of real logs (--logs) carry none; there
the receivers count the records and tell different ones apart by their ids, and the verdict compares with what the collector read.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PODS, BYTES_PER_SECOND = 8, 5e6
ROTATE_BYTES = 2_000_000
RESTARTS = 4                # over the whole run
ARRIVAL_SECONDS = 30        # how long the ends may be behind when the writer has ended
OUTPUTS = ("kafka", "http")


# ---- processes -----------------------------------------------------------------------------------------

class Process:
    """A child in a session of its own, so that Ctrl-C reaches only the demo, which then ends its children in order."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, start_new_session=True, text=True, **options)

    def end(self, number=signal.SIGTERM, seconds=10):
        """Returns the exit status; insists if need be."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


class Receiver(Process):
    """bench/receiver: one far end."""

    def __init__(self, build, *arguments):
        super().__init__([os.path.join(build, "bench/receiver"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.ends = {}
        while (line := self.process.stdout.readline().split()) != ["ready"]:
            if not line:
                raise SystemExit("demo: the receiver did not start")
            self.ends[line[0]] = line[1]

    def stats(self):
        return json.loads(fetch(self.ends["http"], "/stats"))


class Writer(Process):
    """bench/gen: pods that log, rotate and restart.  It tells what it has written so far."""

    def __init__(self, build, directory, seconds, pods=PODS, rate=BYTES_PER_SECOND, first=0):
        super().__init__([os.path.join(build, "bench/gen"), "--dir", directory, "--mode", "steady", "--files", str(pods), "--first", str(first),
                          "--rate", str(rate), "--seconds", str(seconds), "--seed", str(time.time_ns()),
                          "--rotate-bytes", str(ROTATE_BYTES), "--restart-seconds", str(seconds / RESTARTS), "--progress", "1"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines, self.bytes, self.rotations, self.restarts = 0, 0, 0, 0
        self.process.stdout.readline()  # "primed"

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self):
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "written":
                self.lines, self.bytes, self.rotations, self.restarts = map(int, words[1:])

    def is_done(self):
        return self.process.poll() is not None and not self.listener.is_alive()


class Collector(Process):
    """drave-collector with one Kafka and one HTTP output."""

    CONFIG = """\
[collector]
node_name = {node}
state_dir = {directory}/state
listen    = 127.0.0.1:0

[input:pods]
path = {logs}

[kubernetes]
metadata_source = none

[output:kafka]
type      = kafka
brokers   = {brokers}
topic     = logs
record_id = on

[output:http]
type      = http
url       = http://127.0.0.1:{http_port}/
record_id = on
"""

    def __init__(self, build, directory, logs, kafka, http, node="demo-node"):
        config = os.path.join(directory, "collector.ini")
        os.makedirs(os.path.join(directory, "state"), exist_ok=True)
        with open(config, "w") as file:
            file.write(self.CONFIG.format(directory=directory, logs=logs, node=node, brokers=kafka.ends["brokers"], http_port=http.ends["http"]))
        self.log = os.path.join(directory, f"collector-{time.time_ns()}.log")   # each its own: its port stands there
        self.port = None
        with open(self.log, "w") as log:
            super().__init__([os.path.join(build, "drave-collector"), "--config", config, "--log-format", "json"], stderr=log)

    def wait_until_ready(self):
        while self.process.poll() is None:
            if self.is_ready():
                return
            time.sleep(0.02)
        raise SystemExit(f"demo: the collector ended with {self.process.returncode}:\n{self.last_words()}")

    def is_ready(self):
        self.port = self.port or self._find_port()
        return bool(self.port and fetch(self.port, "/readyz"))

    def _find_port(self):
        """It tells in its log which free port it took."""
        with open(self.log) as log:
            entries = (json.loads(line) for line in log if line.startswith("{") and line.endswith("\n"))
            return next((entry["port"] for entry in entries if "port" in entry), None)

    def look(self):
        """Its view of itself now; None once it is gone."""
        metrics, status = fetch(self.port, "/metrics"), fetch(self.port, "/status")
        return View(parse_metrics(metrics), json.loads(status)) if metrics and status else None

    def last_words(self):
        with open(self.log) as log:
            return "".join(log.readlines()[-20:])


def fetch(port, path):
    """The body; empty if there is nobody or it is no success."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def parse_metrics(text):
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


class View:
    """One look at the collector."""

    def __init__(self, metrics, status):
        self.at = time.monotonic()
        self.metrics = metrics
        self.states = {output["name"]: output["state"] for output in status["outputs"]}

    def of(self, output, name):
        """Of one output, all its other labels together."""
        return sum(value for key, value in self.metrics.items() if key.startswith(name + "{") and f'output="{output}"' in key)

    def read(self, output):
        return int(self.of(output, "drave_input_records_total"))

    @property
    def cpu_seconds(self):
        return self.metrics.get("process_cpu_seconds_total", 0)

    @property
    def resident_bytes(self):
        return self.metrics.get("process_resident_memory_bytes", 0)


# ---- what is shown while it runs -----------------------------------------------------------------------

def size(count):
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


class Screen:
    """On a terminal a table that renews itself in place, elsewhere one line a second."""

    TABLE = "  {:8} {:>12} {:>10} {:>11} {:>10} {:>7} {:>9}  {}"

    def __init__(self, title, seconds):
        self.title, self.seconds = title, seconds
        self.is_terminal = sys.stdout.isatty()
        self.pause = 0.25 if self.is_terminal else 1
        self.shown_lines = 0
        self.start = time.monotonic()
        self.views = []             # of the last second or so: rates are over them
        self.peak_bytes = 0
        self.sent = {}              # output -> (bytes on the wire, encoded bytes at that time)
        if not self.is_terminal:
            print(title, flush=True)

    def show(self, view, source):
        """source says what there is to read, in a few words."""
        self.views = [old for old in self.views if view.at - old.at < 1.5] + [view]
        self.peak_bytes = max(self.peak_bytes, view.resident_bytes)
        for output in OUTPUTS:
            self.note_sent(view, output)
        second = min(view.at - self.start, self.seconds)
        if self.is_terminal:
            self._renew([f"{self.title:70}{second:5.0f} s of {self.seconds}", "", f"  {source}", "",
                         self.TABLE.format("output", "delivered", "lines/s", "encoded", "on wire", "ratio", "lag", "state"),
                         *(self.TABLE.format(output, *self.columns(view, output)) for output in OUTPUTS)])
        else:
            told = (self.columns(view, output) for output in OUTPUTS)
            print(f"{second:3.0f} s  {source}", *(f"{output} {delivered} ({rate}/s, {ratio}), lag {lag}, {state}"
                  for output, (delivered, rate, _, _, ratio, lag, state) in zip(OUTPUTS, told)), sep=" | ", flush=True)

    def note_sent(self, view, output):
        """Kafka tells its bytes on the wire only now and then: the ratio is one of that moment."""
        encoded, wire = (int(view.of(output, f"drave_output_{name}_total")) for name in ("bytes", "wire_bytes"))
        if wire and self.sent.get(output, (0, 0))[0] != wire:
            self.sent[output] = wire, encoded

    def columns(self, view, output):
        wire, encoded = self.sent.get(output, (0, 0))
        return (f"{view.of(output, 'drave_output_records_total'):,.0f}", f"{self.rate(output, 'drave_output_records_total'):,.0f}",
                size(self.rate(output, "drave_output_bytes_total")) + "/s", size(wire), f"{encoded / wire:.1f}x" if wire else "-",
                size(view.of(output, "drave_input_lag_bytes")), view.states.get(output, "?"))

    def rate(self, output, name):
        first, last = self.views[0], self.views[-1]
        return (last.of(output, name) - first.of(output, name)) / (last.at - first.at) if last is not first else 0

    def _renew(self, lines):
        if self.shown_lines:
            sys.stdout.write(f"\033[{self.shown_lines}A")
        sys.stdout.write("".join(f"\033[2K{line}\n" for line in lines))
        sys.stdout.flush()
        self.shown_lines = len(lines)


# ---- the two ways to run it ----------------------------------------------------------------------------

def written_logs(options, directory, children):
    """Pods of our own.  Returns the exit status."""
    kafka, http = start_receivers(options.build, children)
    writer = begin(children, Writer(options.build, directory + "/node", options.seconds))
    collector = begin(children, Collector(options.build, directory, directory + "/node/pods", kafka, http))
    collector.wait_until_ready()
    screen = Screen(f"drave-collector: {PODS} pods, {BYTES_PER_SECOND / 1e6:.0f} MB/s, to Kafka and HTTP", options.seconds)
    writer.go()
    while not writer.is_done():
        time.sleep(screen.pause)
        screen.show(look(collector), f"written {writer.lines:,} lines, {size(writer.bytes)}; "
                                     f"{writer.rotations} rotations, {writer.restarts} restarts")
    if writer.process.returncode:
        raise SystemExit("demo: the writer failed")
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while min(end.stats()["unique"] for end in (kafka, http)) < writer.lines and time.monotonic() < deadline:
        time.sleep(0.1)
    view = look(collector)
    status = collector.end(seconds=40)
    time.sleep(0.5)  # whatever is still under way to the Kafka consumer
    rows = [(name, writer.lines, stats["unique"], stats["dup"]) for name, stats in stats_of(kafka, http)]
    is_good = verdict("written", rows, status, collector)
    print(f"{size(writer.bytes)} in {writer.rotations} rotations and {writer.restarts} restarts.", cost(view, screen))
    return 0 if is_good else 1


def found_logs(options, directory, children):
    """Logs that are there.  Returns the exit status."""
    kafka, http = start_receivers(options.build, children, "--records", "1")
    collector = begin(children, Collector(options.build, directory, os.path.abspath(options.logs), kafka, http))
    collector.wait_until_ready()
    screen = Screen(f"drave-collector: {options.logs}, from the head, to Kafka and HTTP", options.seconds)
    while time.monotonic() < screen.start + options.seconds:
        time.sleep(screen.pause)
        view = look(collector)
        screen.show(view, f"{view.metrics['drave_input_files']:,.0f} files, {max(map(view.read, OUTPUTS)):,} lines read")
    read, status = stop_and_learn(collector)
    deadline = time.monotonic() + 5  # whatever is still under way to the Kafka consumer
    while time.monotonic() < deadline and any(stats["distinct"] < read[name] for name, stats in stats_of(kafka, http)):
        time.sleep(0.1)
    rows = [(name, read[name], stats["distinct"], stats["records"] - stats["distinct"]) for name, stats in stats_of(kafka, http)]
    is_good = verdict("read", rows, status, collector)
    print(cost(view, screen))
    return 0 if is_good else 1


def stop_and_learn(collector):
    """The logs may go on growing, so what was read is known only when reading has ended: at TERM, of which it tells until its end."""
    read = {output: 0 for output in OUTPUTS}
    collector.process.send_signal(signal.SIGTERM)
    while collector.process.poll() is None:
        view = collector.look()
        if view:
            read = {output: max(read[output], view.read(output)) for output in OUTPUTS}
        time.sleep(0.01)
    return read, collector.process.returncode


def start_receivers(build, children, *arguments):
    kafka = begin(children, Receiver(build, "--kafka", "logs", "--partitions", "8", "--consume", "1", *arguments))
    return kafka, begin(children, Receiver(build, *arguments))


def begin(children, process):
    children.append(process)
    return process


def look(collector):
    view = collector.look()
    if view is None:
        raise SystemExit(f"demo: the collector is gone:\n{collector.last_words()}")
    return view


def stats_of(kafka, http):
    return zip(OUTPUTS, (kafka.stats(), http.stats()))


def verdict(source, rows, status, collector):
    """Prints what arrived; true if nothing is missing."""
    print(f"\n  {'':8} {source:>12} {'delivered':>12} {'lost':>8} {'duplicated':>12}")
    for name, expected, delivered, duplicated in rows:
        print(f"  {name:8} {expected:12,} {delivered:12,} {max(0, expected - delivered):8,} {duplicated:12,}")
    is_good = status == 0 and all(expected > 0 and delivered >= expected for _, expected, delivered, _ in rows)
    if is_good:
        print("\nEvery line arrived at both ends.", end=" ")
    else:
        reason = f"The collector ended with {status}." if status else "Lines are missing." if rows[0][1] else "There was nothing to read."
        print(f"\n{reason} Its last words:\n{collector.last_words()}")
    return is_good


def cost(view, screen):
    return f"The collector took {view.cpu_seconds:.1f} s of CPU and {screen.peak_bytes / (1 << 20):.0f} MiB of memory."


# ---- the process ---------------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="where drave-collector, bench/gen and bench/receiver are")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--logs", help="a directory like /var/log/pods")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = tempfile.mkdtemp(prefix="drave-demo-")
    children = []
    try:
        if options.logs:
            return found_logs(options, directory, children)
        from placement import placed_collectors   # which needs the processes above
        return written_logs(options, directory, children) or placed_collectors(options, directory, children)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    finally:
        for child in reversed(children):
            child.end(seconds=2)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

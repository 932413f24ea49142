#!/usr/bin/env python3
"""The demo behind demo.sh --cluster: the whole as it is installed, on a real Kubernetes node that this machine plays.

Control plane, kubelet, containerd and a Kafka broker run in a network of their own (tests/flow/kit/whole.py).  Pods write while the kubelet rotates and
compresses; the template is rolled once, so that one collector hands the node to the next.  Each log file is read beside the collector, and every line is
looked for at both ends.
"""

import argparse
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests/flow"))

ARRIVAL_SECONDS = 30
LOOK_SECONDS = 2


def step(text, start=time.monotonic()):
    print(f"{time.monotonic() - start:4.0f} s  {text}", flush=True)


def view(whole):
    """One line: what was written, what arrived, who collects."""
    whole.pump()
    lines = sum(map(len, whole.truth.written().values()))
    restarts = sum(status["restartCount"] for pod in whole.pods() for status in pod["status"].get("containerStatuses", ()))
    arrived = ", ".join(f"{name} {end.count():,}" for name, end in whole.arrivals.items())
    return f"written {lines:,} lines, {whole.truth.rotations('')} rotations, {restarts} restarts | arrived: {arrived} | {collectors(whole)}"


def collectors(whole):
    """Each with its own word for what it does; one that does not answer begins or ends."""
    return ", ".join(f"{pod['metadata']['name']} {whole.state(pod) or ('ends' if 'deletionTimestamp' in pod['metadata'] else 'starts')}"
                     for pod in whole.collectors(alive=False))


def watch(whole, seconds):
    """Half way the template changes."""
    end = time.monotonic() + seconds
    rolled = False
    while time.monotonic() < end or not rolled:
        time.sleep(LOOK_SECONDS)
        step(view(whole))
        if not rolled and time.monotonic() > end - seconds / 2:
            hand_over(whole)
            rolled = True


def hand_over(whole):
    """Tells each change of who collects until the old one is gone."""
    before, shown = whole.change_template(), ""
    step("the template changes")
    while whole.is_there(before):
        found = collectors(whole)
        if found != shown:
            step(f"collectors: {found}")
        shown = found
        time.sleep(0.1)
    step(f"collectors: {whole.rolled(before)['metadata']['name']} alone, running")


def verdict(whole, wanted):
    written = sum(map(len, wanted.values()))
    print(f"\n  {'':8} {'written':>12} {'delivered':>12} {'lost':>8} {'duplicated':>12}")
    for name, end in whole.arrivals.items():
        print(f"  {name:8} {written:12,} {end.count():12,} {max(0, written - end.count()):8,} {end.duplicates:12,}")
    faults = whole.faults(wanted)
    print("\nEvery line of every pod arrived at both ends, in order." if not faults else "\n".join(["", *faults]))
    return 1 if faults else 0


def show(whole, seconds):
    """Returns the exit status."""
    step("a control plane, a node with the kubelet and containerd, a Kafka broker: up")
    whole.install()
    step("kubectl apply -k: the controller has placed the collector, which runs")
    whole.begin_writing()
    watch(whole, seconds)
    whole.end_writing()
    wanted = whole.wanted()
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while not whole.has(wanted) and time.monotonic() < deadline:
        time.sleep(0.1)
    return verdict(whole, wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="where the programs are")
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    for variable, program in (("DRAVE_COLLECTOR", "drave-collector"), ("DRAVE_CONTROLLER", "drave-controller")):
        os.environ[variable] = os.path.join(os.path.abspath(options.build), program)
    from kit import whole       # reads these variables
    lacks = whole.missing()
    if lacks:
        sys.exit(f"demo: a real node needs what is missing here: {', '.join(lacks)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    step("building Kubernetes where that has not been done yet, which takes some ten minutes; starting it")
    try:
        with whole.Whole(LOG_MAX_SIZE="100Ki", LOG_INTERVAL="3s", RESTART_PERIOD="2s") as stage:
            return show(stage, options.seconds)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())

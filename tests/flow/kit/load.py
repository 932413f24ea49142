"""A process of its own that keeps containers busy: steady lines, rotation by size, restarts.

    with Load(root, pods=6, rate=20000, rotate_bytes=1 << 20) as load:
        ...
    load.written        key -> lines, for the oracle
"""

import argparse
import json
import os
import select
import subprocess
import sys
import time

from kit.wait import until

TICK_SECONDS = 0.01


class Load:
    """Writes from start() until stop(), or until `lines` are written; then .written says what."""

    def __init__(self, root, **options):
        kit = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.command = [sys.executable, "-m", "kit.load", "--root", root]
        for name, value in options.items():
            self.command += [f"--{name.replace('_', '-')}", str(value)]
        self.environment = {**os.environ, "PYTHONPATH": kit}
        self.written = None  # container's key -> lines
        self.sizes = None    # live file -> bytes

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def stop(self):
        """Ends the writing and learns what was written."""
        if self.written is None:
            out, _ = self.process.communicate(timeout=60)  # closes its standard input: that ends it
            assert self.process.returncode == 0, "the load failed"
            self.written, self.sizes = json.loads(out)
        return self.written

    def wait(self):
        """For the end of a load with a number of lines."""
        until(lambda: select.select([self.process.stdout], [], [], 1)[0], "the load's end", seconds=1200)
        return self.stop()

    __enter__ = start

    def __exit__(self, *exception):
        if exception[0]:
            self.process.kill()
            self.process.communicate()
        else:
            self.stop()


def main():
    from kit.kubelet import Kubelet
    parser = argparse.ArgumentParser(prog="kit.load", description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--pods", type=int, default=6)
    parser.add_argument("--rate", type=float, default=5000, help="lines a second; 0 = as many as it can")
    parser.add_argument("--lines", type=int, default=0, help="end after so many; 0 = when standard input closes")
    parser.add_argument("--size", type=int, default=None, help="bytes of text; mixed unless given")
    parser.add_argument("--rotate-bytes", type=int, default=0)
    parser.add_argument("--max-files", type=int, default=5)
    parser.add_argument("--restart-chance", type=float, default=0, help="at each tick")
    parser.add_argument("--seed", type=int, default=1)
    run(parser.parse_args(), Kubelet)


def run(options, kubelet_type):
    kubelet = kubelet_type(options.root, options.seed, options.max_files)
    kubelet.fleet(options.pods)
    start, written = time.monotonic(), 0
    while not options.lines or written < options.lines:
        due = options.rate * (time.monotonic() - start) if options.rate else written + 1000
        due = min(due, options.lines) if options.lines else due
        while written < due:
            container = kubelet.random.choice(kubelet.containers)
            container.write(16, size=options.size)
            written += 16
            disturb(container, options)
        if select.select([sys.stdin], [], [], TICK_SECONDS if options.rate else 0)[0]:
            break
    json.dump((kubelet.written, kubelet.sizes), sys.stdout)


def disturb(container, options):
    if options.rotate_bytes and os.fstat(container.fd).st_size >= options.rotate_bytes:
        container.rotate(between=container.random.randrange(8))
    if options.restart_chance and container.random.random() < options.restart_chance:
        container.restart()


if __name__ == "__main__":
    main()

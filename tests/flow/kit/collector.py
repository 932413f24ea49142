"""The program under test: its configuration, its process, and what it shows of itself."""

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request

from kit.wait import until

SKIP = 77
PROGRAM = os.environ.get("DRAVE_COLLECTOR", "")


def configuration(sections):
    """{"output:main": {"type": "http", ...}, ...} -> INI text."""
    lines = []
    for name, rows in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {value}" for key, value in rows.items()]
    return "\n".join(lines) + "\n"


class Collector:
    """One process; start() waits until it is ready, stop() until it has ended well."""
    program = PROGRAM

    def __init__(self, directory, sections, name="collector"):
        self.dir = directory
        self.state_dir = sections.get("collector", {}).get("state_dir", os.path.join(directory, "state"))
        self.config = os.path.join(directory, f"{name}.ini")
        self.log = os.path.join(directory, f"{name}.err")
        self.process = None
        self.port = None
        self.arguments = []
        self.environment = {}
        self.configure(sections)

    def configure(self, sections):
        """Writes the configuration; a dictionary gets what every test needs, text stays as it is."""
        if isinstance(sections, dict):
            sections = {name: dict(rows) for name, rows in sections.items()}
            collector = sections.setdefault("collector", {})
            for key, value in (("node_name", "node-1"), ("state_dir", self.state_dir), ("listen", "127.0.0.1:0")):
                collector.setdefault(key, value)
            os.makedirs(collector["state_dir"], exist_ok=True)
            sections = configuration(sections)
        with open(f"{self.config}.new", "w") as file:
            file.write(sections)
        os.rename(f"{self.config}.new", self.config)

    # ---- its process ---------------------------------------------------------------------------------

    def spawn(self, *arguments, **options):
        """Starts it and waits for nothing."""
        self.port = None
        with open(self.log, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen([self.program, "--config", self.config, *self.arguments, *arguments], stderr=log,
                                            env={**os.environ, **self.environment}, **options)
        return self

    def start(self, *arguments):
        self.spawn(*arguments)
        until(lambda: self.is_ready() or self._died(), lambda: f"ready\n{self.errors()}")
        return self

    def _died(self):
        status = self.process.poll()
        if status is not None:
            raise AssertionError(f"{os.path.basename(self.program)} ended with {status}:\n{self.errors()}")

    def run(self, *arguments, seconds=60):
        """Runs it to its end: (exit status, standard output)."""
        self.spawn(*arguments, stdout=subprocess.PIPE)
        try:
            out, _ = self.process.communicate(timeout=seconds)
        finally:
            self.end()
        return self.process.returncode, out

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=60):
        """TERM, then a clean end."""
        self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        assert status == 0, f"exit {status} after TERM:\n{self.errors()}"

    def wait(self, seconds=60):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {seconds} s:\n{self.errors()}") from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """For a test's clean-up: whatever state it is in."""
        if self.process and self.process.poll() is None:
            self.kill()

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def errors(self, since_start=True):
        """What it wrote to standard error."""
        with open(self.log, "rb") as log:
            log.seek(self.log_start if since_start else 0)
            return log.read().decode(errors="replace")

    # ---- what it shows -------------------------------------------------------------------------------

    def find_port(self):
        """The admin port, which it tells in its log."""
        if self.port is None:
            told = re.findall(r"listening[^\n]*?port\W+(\d+)", self.errors())
            self.port = int(told[-1]) if told else None
        return self.port

    def get(self, path):
        """(status, body); (None, "") while nobody answers."""
        if not self.find_port():
            return None, ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()
        except OSError:
            return None, ""

    def is_ready(self):
        return self.get("/readyz")[0] == 200

    def status(self):
        return json.loads(self.get("/status")[1])

    def streams(self):
        return json.loads(self.get("/streams")[1])

    def metrics(self):
        return Metrics(self.get("/metrics")[1])

    def metric(self, name, **labels):
        return self.metrics().sum(name, **labels)


class Metrics:
    """Prometheus text, as {(name, labels): value}."""

    def __init__(self, text):
        self.text = text
        self.values = {}
        for name, labels, value in re.findall(r"^([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
            pairs = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
            self.values[name, pairs] = float(value)

    def sum(self, name, **labels):
        """Over all members with these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(value for (other, pairs), value in self.values.items() if other == name and wanted <= pairs)

    def has(self, name):
        return any(other == name for other, _ in self.values)

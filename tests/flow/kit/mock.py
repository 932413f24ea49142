"""librdkafka's mock cluster in a process of its own (tests/fake/kafka_mock), for errors that a real broker cannot be made to give."""

import os
import subprocess

from kit.broker import read

PROGRAM = os.environ.get("DRAVE_KAFKA_MOCK", "")


class Mock:
    """Ends with the test: its standard input closes."""

    def __init__(self, brokers=1):
        self.process = subprocess.Popen([PROGRAM, str(brokers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.address = self.process.stdout.readline().strip()

    def tell(self, *words):
        """One command of kafka_mock, answered by ok."""
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        assert answer == "ok", f"{words}: {answer}"

    def read(self, topic):
        return read(self.address, topic)

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

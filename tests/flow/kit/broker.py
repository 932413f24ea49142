"""A real Kafka broker (tests/real/kafka), read back by kcat."""

import os
import random
import socket
import subprocess
from typing import NamedTuple

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../real/kafka/kafka.sh")


class Message(NamedTuple):
    partition: int
    offset: int
    timestamp: int      # milliseconds
    headers: str        # name=value, by comma
    key: bytes
    value: bytes


class Broker:
    """One broker in its own directory; settings are kafka.sh's variables: tls=1, sasl=1, acl=1, join=PORT, ..."""

    def __init__(self, directory, **settings):
        self.dir = directory
        self.environment = {**os.environ, **{f"KAFKA_{name.upper()}": str(value) for name, value in settings.items()}}
        self.host = os.environ.get("REAL_ADDRESS", "127.0.0.1")     # where kafka.sh listens
        self.port = free_ports()

    def start(self):
        self._run("start", str(self.port))
        return self

    def stop(self):
        self._run("stop")

    def kill(self):
        self._run("kill")

    def pause(self):
        self._run("pause")

    def resume(self):
        self._run("resume")

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def tls_address(self):
        return f"{self.host}:{self.port + 1}"

    @property
    def sasl_address(self):
        return f"{self.host}:{self.port + 2}"

    def tls_file(self, name):
        return os.path.join(self.dir, "tls", name)

    def topics(self, *arguments):
        return self._run("topics", *arguments)

    def create(self, topic, partitions=1, replicas=1, *settings):
        extra = [word for setting in settings for word in ("--config", setting)]
        self.topics("--create", "--topic", topic, "--partitions", str(partitions), "--replication-factor", str(replicas), *extra)

    def alter(self, topic, setting):
        self._run("configs", "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", setting)

    def acls(self, *arguments):
        return self._run("acls", *arguments)

    def dump(self, topic, partition=0):
        """What lies on its disk, as text."""
        return self._run("dump", topic, str(partition))

    def leader(self, topic):
        """The node id of partition 0's leader."""
        line = next(line for line in self.topics("--describe", "--topic", topic).splitlines() if "Partition: 0" in line)
        return int(line.split("Leader:")[1].split()[0])

    def read(self, topic):
        return read(self.address, topic)

    def _run(self, command, *arguments):
        done = subprocess.run([SCRIPT, command, self.dir, *arguments], env=self.environment, capture_output=True, text=True, timeout=180)
        if done.returncode:
            raise AssertionError(f"kafka.sh {command} {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


def read(address, topic):
    """Every message of the topic, in the order of the offsets within each partition."""
    form = "%p %o %T %K %S %h\\n%k%s\\n"
    done = subprocess.run(["kcat", "-b", address, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", form], capture_output=True, timeout=120)
    if done.returncode:
        raise AssertionError(f"kcat: {done.stderr.decode(errors='replace')}")
    return list(_messages(done.stdout))


def _messages(data):
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        partition, offset, timestamp, key_len, value_len, headers = data[at:end].decode().split(" ", 5)
        key_len, value_len = max(0, int(key_len)), max(0, int(value_len))
        key = data[end + 1:end + 1 + key_len]
        value = data[end + 1 + key_len:end + 1 + key_len + value_len]
        yield Message(int(partition), int(offset), int(timestamp), headers, key, value)
        at = end + 1 + key_len + value_len + 1


def free_ports(count=4):
    """The first of count free ports in a row."""
    while True:
        first = random.randrange(20000, 32000)
        if all(_is_free(port) for port in range(first, first + count)):
            return first


def _is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False

"""A cluster with a real node (tests/real/kubernetes/node.sh) in a network of its own, which this process enters; and what is known of the node's log files.

    cluster = NodeCluster(directory)        control plane and node; from now on this process and its children are in their network
    truth = Truth(cluster.log_dir, "work")  reads every log file of that namespace's pods from its birth on
    cluster.stop()                          nothing is left

Truth holds a descriptor of every file, so it reads what the kubelet compresses and deletes, and knows when each file came and went.
"""

import ctypes
import glob
import json
import os
import re
import resource
import shutil
import ssl
import subprocess
import threading
import time
import zlib
from collections import defaultdict

from kit.cluster import ROOT, Cluster

REAL = os.path.join(ROOT, "tests/real")
HOST, PLANE, NODE, IMAGE = (os.path.join(REAL, name) for name in ("host.sh", "kubernetes/control-plane.sh", "kubernetes/node.sh", "kubernetes/image.py"))
ADDRESS, PORT = "10.88.0.1", 6443
CLONE_NEWNET = 0x40000000


def run(script, *words, **environment):
    done = subprocess.run([script, *map(str, words)], env={**os.environ, **environment}, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise AssertionError(f"{os.path.basename(script)} {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout


def enter_network(fd):
    """This thread's, and that of whatever it starts from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network")


class NodeCluster(Cluster):
    """settings: LOG_MAX_SIZE and the like, for node.sh.  One at a time in a process."""
    NODE = "node-a"

    def __init__(self, **settings):
        super().__init__()
        run(PLANE, "install")
        run(NODE, "install")
        self.network = f"drave-{os.getpid()}"
        self.plane, self.node_dir = os.path.join(self.dir, "cp"), os.path.join(self.dir, "node")
        self.log_dir = os.path.join(self.node_dir, "log/pods")
        self.admin = os.path.join(self.plane, "admin.kubeconfig")
        self.url, self.ca_file, self.credentials = f"https://{ADDRESS}:{PORT}", os.path.join(self.plane, "pki/ca.crt"), {}
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.old_networks = networks()
        try:
            run(HOST, "up", self.network, PORT)
            with open(f"/run/netns/{self.network}") as network:
                enter_network(network.fileno())
            os.environ["REAL_ADDRESS"] = ADDRESS
            run(PLANE, "start", self.plane, PORT, "controller-manager", "scheduler")
            self.tls = ssl.create_default_context(cafile=self.ca_file)
            self.tls.load_cert_chain(os.path.join(self.plane, "pki/admin.crt"), os.path.join(self.plane, "pki/admin.key"))
            run(NODE, "start", self.node_dir, self.plane, self.NODE, **settings)
            self.cgroup = f"drave-node-{os.stat(self.node_dir).st_ino}"
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Everything, in whatever state it is; its directory stays, see remove()."""
        self.disconnect()
        if os.path.isdir(self.node_dir):
            run(NODE, "stop", self.node_dir)
        if os.path.isdir(self.plane):
            run(PLANE, "stop", self.plane)
        os.environ.pop("REAL_ADDRESS", None)
        enter_network(self.home)
        os.close(self.home)
        if self.network in networks():
            run(HOST, "down", self.network)

    def remains(self):
        """What is left of the node on this machine, a line each; after stop() there is nothing."""
        with open("/proc/self/mountinfo") as mounts:
            found = [f"mount {line}" for line in mounts if self.dir in line]
        found += [f"cgroup {path}" for path in glob.glob(f"/sys/fs/cgroup/{self.cgroup}") + glob.glob(f"/sys/fs/cgroup/*/{self.cgroup}")]
        found += [f"network {name}" for name in networks() - self.old_networks]
        for path in glob.glob("/proc/[0-9]*"):
            told = _content(f"{path}/cmdline"), _content(f"{path}/cgroup")
            if self.dir in told[0] or self.cgroup in told[1]:
                found.append(f"process {path} {told[0]}")
        return found

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- its pods ------------------------------------------------------------------------------------

    def make_image(self, name, entry_point, *files):
        """files: SRC=DEST, as image.py takes them."""
        archive = os.path.join(self.dir, f"{re.sub('[^a-z0-9]', '-', name)}.tar")
        run(IMAGE, archive, name, entry_point, *files)
        self.load_image(archive)

    def load_image(self, archive):
        run(NODE, "image", self.node_dir, archive)

    def kill(self, pod, container):
        """kill -9 of its first process."""
        statuses = {status["name"]: status for status in self.get("pods", pod["metadata"]["name"], pod["metadata"]["namespace"])["status"]["containerStatuses"]}
        run(NODE, "kill", self.node_dir, statuses[container]["containerID"].removeprefix("containerd://"))

    def writer(self, name, namespace, rate, count=0, status=0, every=0, **more):
        """A pod that writes (tests/real/kubernetes/writer.c); more: labels, annotations, restart."""
        return self.create("pods", {
            "metadata": {"name": name, "labels": more.get("labels", {}), "annotations": more.get("annotations", {})},
            "spec": {"terminationGracePeriodSeconds": 1, "restartPolicy": more.get("restart", "Never"), "tolerations": [{"operator": "Exists"}],
                     "containers": [{"name": "writer", "image": "localhost/writer:1", "imagePullPolicy": "Never",
                                     "args": [str(word) for word in (rate, count, status, every)]}]}}, namespace)


def networks():
    return set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()


def _content(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""       # it ended meanwhile


# ---- what was written --------------------------------------------------------------------------------


def read_line(text):
    """(run, stream, sequence) of a writer's line; None if it is not what was written."""
    parts = text.split(" ", 4)
    if len(parts) != 5:
        return None
    run_, stream, sequence, crc, rest = parts
    if f"{zlib.crc32(f'{run_} {stream} {sequence} {rest}'.encode(errors='surrogatepass')):08x}" != crc:
        return None
    return int(run_), stream, int(sequence)


class Segment:
    """One log file, by its inode: from its birth on, whatever it is called."""

    def __init__(self, fd, container, restart, name):
        self.fd, self.container, self.restart, self.name = fd, container, restart, name
        self.born, self.gone = time.monotonic(), None
        self.offset, self.rest = 0, b""
        self.pieces = []        # of each CRI line: (stream, tag, text), or what the text says if it is a writer's whole line

    def read(self):
        while data := os.pread(self.fd, 1 << 20, self.offset):
            self.offset += len(data)
            *whole, self.rest = (self.rest + data).split(b"\n")
            for line in whole:
                _, stream, tag, text = line.decode().split(" ", 3)
                self.pieces.append(tag != "P" and read_line(text) or (stream, tag, text))


def joined(segments):
    """The lines of a container's segments, each with the segment in which it was completed; a line may go on in the next one."""
    open_text = {}      # stream -> text so far
    for segment in segments:
        for piece in segment.pieces:
            if isinstance(piece[0], int):
                yield piece, segment
                continue
            stream, tag, text = piece
            text = open_text.pop(stream, "") + text
            if tag == "P":
                open_text[stream] = text
            elif known := read_line(text):
                yield known, segment
            else:
                raise AssertionError(f"a pod wrote what is no line of its: {text[:200]}")


class Truth:
    """What the pods of a namespace wrote: every file there was, read by a descriptor that is held from its birth on."""
    POD = re.compile(r"(?P<namespace>[^_]+)_(?P<pod>[^_]+)_(?P<uid>[^_]+)")
    FILE = re.compile(r"(\d+)\.log(\.\d{8}-\d{6})?")

    def __init__(self, log_dir, namespace):
        self.log_dir, self.namespace = log_dir, namespace
        self.segments = {}                      # inode -> Segment
        self.of_container = defaultdict(list)   # (pod uid, container) -> segments, in the order of their birth
        self.ended = threading.Event()
        self.lock = threading.Lock()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def stop(self):
        self.ended.set()
        self.thread.join()
        for segment in self.segments.values():
            os.close(segment.fd)

    def _watch(self):
        """A segment lives for seconds at least: a look each 50 ms misses none."""
        while not self.ended.wait(0.05):
            self.look()

    def look(self):
        with self.lock:
            seen = set()
            for pod in _names(self.log_dir):
                found = self.POD.fullmatch(pod)
                if found and found["namespace"] == self.namespace:
                    for container in _names(os.path.join(self.log_dir, pod)):
                        self._look_into(os.path.join(self.log_dir, pod, container), (found["uid"], container), seen)
            for inode, segment in self.segments.items():
                if segment.gone is None and inode not in seen:
                    segment.gone = time.monotonic()
                segment.read()

    def _look_into(self, directory, container, seen):
        entries = {entry.name: entry.inode() for entry in _entries(directory)}
        for name, inode in entries.items():
            known = self.FILE.fullmatch(name)
            if known and inode not in self.segments:
                self._adopt(os.path.join(directory, name), container, int(known[1]))
            elif known:
                self.segments[inode].name = os.path.join(directory, name)
        names = {os.path.join(directory, name) for name in entries}
        for segment in self.of_container[container]:
            if segment.name in names or f"{segment.name}.gz" in names or f"{segment.name}.tmp" in names:
                seen.add(os.fstat(segment.fd).st_ino)

    def _adopt(self, path, container, restart):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return      # renamed in between: the next look finds it
        inode = os.fstat(fd).st_ino
        if inode in self.segments:
            os.close(fd)
            return
        self.segments[inode] = segment = Segment(fd, container, restart, path)
        self.of_container[container].append(segment)

    # ---- what is known -------------------------------------------------------------------------------

    def rotations(self, pod):
        """How often files of the pod whose directory's name begins so were renamed."""
        with self.lock:
            return sum(f"/{pod}" in segment.name and not segment.name.endswith(".log") for segment in self.segments.values())

    def lives_within(self, pod, start):
        """How many of such a pod's files were born after that time, and are deleted."""
        with self.lock:
            return sum(f"/{pod}" in segment.name and segment.gone is not None and segment.born >= start for segment in self.segments.values())

    def written(self):
        """(uid, container) -> its lines, in the order in which a faithful reader completes them.  A gap in their numbers would be the harness's own loss."""
        self.look()
        lines = {}
        with self.lock:
            for container, segments in self.of_container.items():
                lines[container] = [line for line, _ in joined(self._in_order(segments))]
        for container, found in lines.items():
            next_of = defaultdict(int)
            for run_, stream, sequence in found:
                if sequence != next_of[run_, stream]:
                    raise AssertionError(f"the harness has not seen {container} {run_} {stream} {next_of[run_, stream]} to {sequence - 1}")
                next_of[run_, stream] += 1
        return lines

    def excused(self, absences):
        """Lines of segments whose whole life fell into one of the collector's absences: (from, to) in monotonic seconds."""
        with self.lock:
            return {(container, line) for container, segments in self.of_container.items() for line, segment in joined(self._in_order(segments))
                    if segment.gone is not None and any(start <= segment.born and segment.gone <= end for start, end in absences)}

    @staticmethod
    def _in_order(segments):
        return sorted(segments, key=lambda segment: segment.restart)     # and by birth, as they stand


def _names(directory):
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _entries(directory):
    try:
        with os.scandir(directory) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


# ---- what arrived ------------------------------------------------------------------------------------


class Arrivals:
    """One end's records of a namespace, in the order of their arrival."""

    def __init__(self, name, namespace):
        self.name, self.namespace = name, namespace
        self.order = defaultdict(list)      # (uid, container) -> lines, at their first arrival
        self.seen = defaultdict(set)
        self.duplicates = 0
        self.corrupted = []
        self.facts = {}                     # uid -> the latest record's "kubernetes"

    def take_all(self, records):
        for record in records:
            kubernetes = record["kubernetes"]
            if kubernetes["namespace_name"] == self.namespace:
                self._take(record, kubernetes)

    def _take(self, record, kubernetes):
        container = kubernetes["pod_id"], kubernetes["container_name"]
        line = read_line(record["log"])
        if line is None or line[1] != record["stream"] or record.get("truncated") or record.get("partial"):
            self.corrupted.append(record["log"][:200])
        elif line in self.seen[container]:
            self.duplicates += 1
        else:
            self.seen[container].add(line)
            self.order[container].append(line)
            self.facts[container[0]] = kubernetes

    def count(self):
        """Different lines."""
        return sum(map(len, self.seen.values()))

    def has(self, written):
        return all(len(self.seen[container]) >= len(lines) for container, lines in written.items())

    def faults(self, wanted, written, duplicates=0):
        """One sentence for each kind of fault; wanted must be there, written may."""
        lost = [(container, line) for container, lines in wanted.items() for line in lines if line not in self.seen[container]]
        disordered = [(container, line) for container in self.order for line in self._overtaken(container, written.get(container, ()))]
        unknown = [(container, line) for container in self.seen for line in self.seen[container] - set(written.get(container, ()))]
        found = [f"{self.name}: {what} {len(items)}: {items[:5]}" for what, items in
                 (("lost", lost), ("out of order", disordered), ("never written", unknown), ("corrupted", self.corrupted)) if items]
        if self.duplicates > duplicates:
            found.append(f"{self.name}: duplicated {self.duplicates}, allowed {duplicates}")
        return found

    def _overtaken(self, container, lines):
        places = {line: place for place, line in enumerate(lines)}
        highest = -1
        for line in self.order[container]:
            place = places.get(line, highest + 1)
            if place < highest:
                yield line
            highest = max(highest, place)


class Topic:
    """Reads a topic as it grows, by kcat; pump() gives on what came."""

    def __init__(self, address, topic):
        self.process = subprocess.Popen(["kcat", "-b", address, "-C", "-t", topic, "-o", "beginning", "-u", "-q", "-f", "%s\\n"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.lock = threading.Lock()
        self.taken = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            with self.lock:
                self.taken.append(line)

    def pump(self, arrivals):
        with self.lock:
            lines, self.taken = self.taken, []
        arrivals.take_all(map(json.loads, lines))

    def stop(self):
        self.process.kill()
        self.process.wait()

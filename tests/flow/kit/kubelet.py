"""A node's log tree, as kubelet and the container runtime write it.

    ROOT/pods/<namespace>_<pod>_<uid>/<container>/<restart>.log        CRI lines, or a link into
    ROOT/docker/<id>/<id>-json.log                                     docker's json-file

Rotation is kubelet's: delete what is too many, compress older plain files through .tmp, rename 0.log to 0.log.YYYYMMDD-HHMMSS, let the
runtime open a new one.  Everything random comes from one seed.  The clock that names rotated files runs ahead of the real one, so
that two rotations need not be a second apart.
"""

import gzip
import json
import os
import random
import shutil
import time
import uuid

from kit import stamp

PIECE_BYTES = 16384  # the runtime cuts longer lines
TEXTS = ("GET /api/v1/items/{n} 200 {n}us", "user=\"Zoë\" path=C:\\temp\\{n} ok", "\tat dev.example.Main.run(Main.java:{n})",
         "{{\"level\":\"info\",\"n\":{n},\"msg\":\"häuser\"}}", "", "carriage return at the end\r", "control \x01\x1f\x7f and {n} € 😀")


class Kubelet:
    """The node: makes pods, and keeps for the oracle how many lines each container wrote."""

    def __init__(self, root, seed=1, max_files=5):
        self.pods_dir = os.path.join(root, "pods")
        self.docker_dir = os.path.join(root, "docker")
        self.random = random.Random(seed)
        self.max_files = max_files
        self.rotation_clock = int(time.time())
        self.pods = []
        self.containers = []
        os.makedirs(self.pods_dir, exist_ok=True)  # a load may write beside another
        os.makedirs(self.docker_dir, exist_ok=True)

    def pod(self, name="web-1", namespace="shop"):
        pod = Pod(self, namespace, name, str(uuid.UUID(int=self.random.getrandbits(128), version=4)))
        self.pods.append(pod)
        return pod

    def container(self, name="app", pod="web-1", namespace="shop", **kind):
        """A container in a new pod: the usual case."""
        return self.pod(pod, namespace).container(name, **kind)

    def fleet(self, count):
        """count pods of one container each."""
        return [self.container(pod=f"web-{number}") for number in range(count)]

    @property
    def written(self):
        return {container.key: container.sequence for container in self.containers}

    @property
    def sizes(self):
        """Live files below the log root -> bytes."""
        return {container.name_below_root: os.path.getsize(container.path) for container in self.containers if os.path.exists(container.path)}

    def rotation_name(self):
        self.rotation_clock = max(self.rotation_clock + 1, int(time.time()))
        return time.strftime("%Y%m%d-%H%M%S", time.localtime(self.rotation_clock))


class Pod:
    def __init__(self, kubelet, namespace, name, uid):
        self.kubelet, self.namespace, self.name, self.uid = kubelet, namespace, name, uid
        self.dir = os.path.join(kubelet.pods_dir, f"{namespace}_{name}_{uid}")
        self.containers = []

    def container(self, name="app", docker=False, zone="Z"):
        kind = DockerContainer if docker else CriContainer
        container = kind(self, name, zone)
        self.containers.append(container)
        self.kubelet.containers.append(container)
        return container

    def delete(self):
        """The pod is gone: its directory too, whatever was read."""
        for container in self.containers:
            container.end()
        shutil.rmtree(self.dir)


class Container:
    """What the two kinds share: numbering, texts, times."""

    def __init__(self, pod, name, zone):
        self.pod, self.name, self.zone = pod, name, zone
        self.kubelet, self.random = pod.kubelet, pod.kubelet.random
        self.key = f"{pod.namespace}/{pod.name}/{pod.uid}/{name}"
        self.dir = os.path.join(pod.dir, name)
        self.sequence = 0
        self.byte_count = 0  # of everything written, prefixes included
        self.restarts = 0
        self.fd = None
        os.makedirs(self.dir)
        self.open()

    @property
    def path(self):
        return os.path.join(self.dir, f"{self.restarts}.log")

    @property
    def name_below_root(self):
        return os.path.relpath(self.path, self.kubelet.pods_dir)

    def now(self):
        nanoseconds = time.time_ns()
        offset = 3600 if self.zone == "+01:00" else 0
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 10**9 + offset))
        return f"{seconds}.{nanoseconds % 10**9:09d}{self.zone}"

    def text(self, size=None):
        text = self.random.choice(TEXTS).format(n=self.random.randrange(10**6))
        return text if size is None else (text + "x" * size)[:size]

    def line(self, stream=None, text=None, size=None, is_ordered=True):
        """The next line: (time, stream, its bytes)."""
        stream = stream or ("stderr" if self.random.random() < 0.1 else "stdout")
        now = self.now()
        stamped = stamp.make(self.key, stream, self.sequence, now, self.text(size) if text is None else text, is_ordered)
        self.sequence += 1
        return now, stream, stamped.encode()

    def write(self, count=1, **line):
        """count lines, in one write each sixteen, now and then torn in the middle of one."""
        while count > 0:
            burst = min(count, 16)
            self.put(b"".join(self.encode(*self.line(**line)) for _ in range(burst)))
            count -= burst

    def put(self, data):
        """Bytes as they are, torn now and then."""
        self.byte_count += len(data)
        cut = self.random.randrange(len(data)) if data and self.random.random() < 0.05 else 0
        if cut:
            os.write(self.fd, data[:cut])
        written = cut
        while written < len(data):
            written += os.write(self.fd, data[written:])

    def end(self):
        if self.fd is not None:
            os.close(self.fd)
        self.fd = None

    def restart(self):
        """The container died and runs again: N.log -> N+1.log."""
        self.end()
        self.restarts += 1
        self.open()


class CriContainer(Container):
    """containerd and CRI-O: `<time> <stream> <P|F> <text>`."""

    def open(self):
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def encode(self, now, stream, text):
        return b"".join(self.pieces(now, stream, text))

    def pieces(self, now, stream, text):
        """P ... P F of 16 KiB each."""
        head = f"{now} {stream} ".encode()
        last = max(0, (len(text) - 1) // PIECE_BYTES)
        for index in range(last + 1):
            tag = b"F " if index == last else b"P "
            yield head + tag + text[index * PIECE_BYTES:(index + 1) * PIECE_BYTES] + b"\n"

    def write_interleaved(self, size=40000):
        """Long lines of both streams, piece by piece in turn; the standard error's is complete first."""
        err = list(self.pieces(*self.line(stream="stderr", size=size)))
        out = list(self.pieces(*self.line(stream="stdout", size=size)))
        for pair in zip(out, err):
            self.put(b"".join(pair) if pair[0] is not out[-1] else pair[1] + pair[0])

    # ---- rotation ------------------------------------------------------------------------------------

    def rotated(self):
        """The rotated files of this restart, oldest first."""
        start = f"{self.restarts}.log."
        return [os.path.join(self.dir, name) for name in sorted(os.listdir(self.dir)) if name.startswith(start)]

    def rotate(self, between=0, late=0):
        """kubelet's rotation; `between` lines are written while the path is absent, `late` ones to the old file after the new one began."""
        self.clean()
        target = f"{self.path}.{self.kubelet.rotation_name()}"
        os.rename(self.path, target)
        self.write(between)
        old, self.fd = self.fd, None
        self.open()
        new, self.fd = self.fd, old
        self.write(late, is_ordered=False)
        self.fd = new
        os.close(old)
        return target

    def clean(self):
        """Deletes the rotated files beyond max_files - 2, and compresses the rest."""
        for path in self.rotated():
            if path.endswith(".tmp"):
                os.remove(path)
        rotated = self.rotated()
        excess = max(0, len(rotated) - (self.kubelet.max_files - 2))
        for path in rotated[:excess]:
            os.remove(path)
        for path in rotated[excess:]:
            if not path.endswith(".gz"):
                compress(path)

    def rotate_and_fail(self, between=3):
        """The runtime could not reopen: kubelet renames back, and the same file goes on."""
        target = f"{self.path}.{self.kubelet.rotation_name()}"
        os.rename(self.path, target)
        self.write(between)
        os.rename(target, self.path)

    def copytruncate(self):
        """What logrotate does where nobody reopens: copy, then cut to nothing."""
        shutil.copyfile(self.path, f"{self.path}.{self.kubelet.rotation_name()}")
        os.ftruncate(self.fd, 0)


class DockerContainer(Container):
    """docker behind cri-dockerd: json-file, reached by a link; rotated by docker to .1, .2, ..."""

    def open(self):
        self.id = f"{self.random.getrandbits(256):064x}"
        os.makedirs(os.path.join(self.kubelet.docker_dir, self.id))
        self.target = os.path.join(self.kubelet.docker_dir, self.id, f"{self.id}-json.log")
        self._open_target()
        os.symlink(self.target, self.path)

    def _open_target(self):
        self.fd = os.open(self.target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def encode(self, now, stream, text):
        """16 KiB pieces, of which only the last has a newline in its log."""
        text = text.decode() + "\n"
        pieces = [text[at:at + PIECE_BYTES] for at in range(0, len(text), PIECE_BYTES)]
        return b"".join(json.dumps({"log": piece, "stream": stream, "time": now}, ensure_ascii=False,
                                   separators=(",", ":")).encode() + b"\n" for piece in pieces)

    def rotate(self, max_files=3):
        for number in range(max_files - 1, 1, -1):
            if os.path.exists(f"{self.target}.{number - 1}"):
                os.rename(f"{self.target}.{number - 1}", f"{self.target}.{number}")
        os.rename(self.target, f"{self.target}.1")
        os.close(self.fd)
        self._open_target()


def compress(path):
    """As kubelet does: PATH.tmp, PATH.gz, then PATH goes."""
    temporary = f"{path}.tmp"
    with open(path, "rb") as plain, gzip.open(temporary, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed)
    os.rename(temporary, f"{path}.gz")
    os.remove(path)

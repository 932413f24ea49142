#!/usr/bin/env python3
"""The format of an image archive:  archive.py OUT.tar NAME:TAG TREE CONFIG.json SECONDS

TREE becomes the only layer, CONFIG.json the image's "config" (OCI's words: Cmd, Env, Labels ...), SECONDS since 1970 the time of
everything in it. The same input makes the same bytes.

What is written is what `docker save` writes since 25, and what docker load, podman load, ctr images import and skopeo read: an OCI image
layout (oci-layout, index.json, blobs/) with docker's older manifest.json beside it, which names the same blobs.
"""

import datetime
import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
OCI = "application/vnd.oci.image."


class Layer:
    """A file tree as a layer's tar; all of it belongs to root and is of one time."""

    def __init__(self, seconds=0):
        self.seconds = seconds
        self.buffer = io.BytesIO()
        self.archive = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)

    def directory(self, name, mode=0o755):
        self._add(name, tarfile.DIRTYPE, mode)

    def link(self, name, target):
        self._add(name, tarfile.SYMTYPE, 0o777, target=target)

    def file(self, name, content, mode):
        self._add(name, tarfile.REGTYPE, mode, content=content)

    def tree(self, root):
        """All that lies in a directory, in order of names."""
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(folders + files):
                self._take(os.path.join(folder, name), os.path.relpath(os.path.join(folder, name), root))

    def _take(self, path, name):
        status = os.lstat(path)
        if os.path.islink(path):
            self.link(name, os.readlink(path))
        elif os.path.isdir(path):
            self.directory(name, status.st_mode & 0o7777)
        else:
            with open(path, "rb") as file:
                self.file(name, file.read(), status.st_mode & 0o7777)

    def _add(self, name, kind, mode, target="", content=b""):
        entry = tarfile.TarInfo(name.lstrip("/"))
        entry.type, entry.mode, entry.linkname, entry.size, entry.mtime = kind, mode, target, len(content), self.seconds
        self.archive.addfile(entry, io.BytesIO(content))

    def bytes(self):
        self.archive.close()
        return self.buffer.getvalue()


def full_name(name):
    """As registries' clients understand it: drave:1 is docker.io/library/drave:1."""
    first, slash, _ = name.partition("/")
    if not slash:
        return "docker.io/library/" + name
    return name if "." in first or ":" in first or first == "localhost" else "docker.io/" + name


def write(out, name, layer, config, seconds=0):
    """An archive with one image of one layer; layer is a Layer."""
    blobs = {}

    def blob(content, kind):
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": OCI + kind, "digest": "sha256:" + digest, "size": len(content)}

    def text(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    plain = layer.bytes()
    packed = blob(gzip.compress(plain, 9, mtime=0), "layer.v1.tar+gzip")
    created = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    conf = blob(text({"architecture": MACHINES.get(platform.machine(), platform.machine()), "os": "linux", "created": created, "config": config,
                      "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]},
                      "history": [{"created": created, "created_by": "deploy/image/archive.py"}]}), "config.v1+json")
    manifest = blob(text({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": conf, "layers": [packed]}), "manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": full_name(name), "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    members = dict(blobs)
    members["index.json"] = text({"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [manifest]})
    members["oci-layout"] = text({"imageLayoutVersion": "1.0.0"})
    members["manifest.json"] = text([{"Config": path_of(conf), "RepoTags": [name], "Layers": [path_of(packed)]}])
    outer = Layer(seconds)
    for directory in ("blobs", "blobs/sha256"):
        outer.directory(directory)
    for member in sorted(members):
        outer.file(member, members[member], 0o644)
    with open(out, "wb") as file:
        file.write(outer.bytes())


def path_of(descriptor):
    return "blobs/" + descriptor["digest"].replace(":", "/")


def main(out, name, tree, config, seconds):
    layer = Layer(int(seconds))
    layer.tree(tree)
    with open(config, encoding="utf-8") as file:
        write(out, name, layer, json.load(file), int(seconds))


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])

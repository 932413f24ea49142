#!/usr/bin/env python3
"""Makes a docker-archive image from files, without a registry: image.py OUT.tar NAME:TAG 'ENTRY ARG...' SRC=DEST...

SRC is a file, or ->TARGET for a symbolic link.
"""

import hashlib
import io
import json
import os
import sys
import tarfile

DIRECTORIES = ("bin", "tmp", "etc", "usr/sbin", "etc/drave", "var/log", "var/lib/drave", "proc", "sys", "dev", "run")


def layer_of(files):
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for name in DIRECTORIES:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for file in files:
            add(archive, *file.split("=", 1))
    return layer.getvalue()


def add(archive, source, destination):
    destination = destination.lstrip("/")
    if source.startswith("->"):
        entry = tarfile.TarInfo(destination)
        entry.type, entry.linkname = tarfile.SYMTYPE, source[2:]
        archive.addfile(entry)
        return
    source = os.path.realpath(source)
    entry = archive.gettarinfo(source, destination)
    entry.mode, entry.uid, entry.gid = 0o755, 0, 0
    with open(source, "rb") as content:
        archive.addfile(entry, content)


def main(out, name, entry_point, *files):
    layer = layer_of(files)
    conf = json.dumps({"architecture": "amd64", "os": "linux",
                       "config": {"Entrypoint": entry_point.split(), "Env": ["PATH=/bin:/usr/bin:/usr/sbin"]},
                       "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    conf_name = hashlib.sha256(conf).hexdigest() + ".json"
    manifest = json.dumps([{"Config": conf_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(out, "w") as archive:
        for member, content in ((conf_name, conf), ("layer.tar", layer), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])

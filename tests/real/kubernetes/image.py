#!/usr/bin/env python3
"""Makes an image from files, without a registry: image.py OUT.tar NAME:TAG 'ENTRY ARG...' SRC=DEST...

SRC is a file, or ->TARGET for a symbolic link.  drave's own image is made by deploy/image/build, whose archive format this shares.
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../../deploy/image"))

import archive

DIRECTORIES = ("bin", "tmp", "etc", "usr/sbin", "etc/drave", "var/log", "var/lib/drave", "proc", "sys", "dev", "run")


def layer_of(files):
    layer = archive.Layer()
    for name in DIRECTORIES:
        layer.directory(name)
    for file in files:
        source, destination = file.split("=", 1)
        if source.startswith("->"):
            layer.link(destination, source[2:])
        else:
            with open(source, "rb") as content:
                layer.file(destination, content.read(), 0o755)
    return layer


def main(out, name, entry_point, *files):
    archive.write(out, name, layer_of(files), {"Entrypoint": entry_point.split(), "Env": ["PATH=/bin:/usr/bin:/usr/sbin"]})


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])

"""The manifests: every configuration in them passes --check-config, their images are of this version, and the archive carries all of them.

The variable DRAVE_BUILD names the build directory; a collector that is not built there is told and passed over, except under CI=true."""

import os
import re
import subprocess
import tempfile

from house import main

BLOCK = re.compile(r"^( *)collector\.ini: \|-?\n((?:\1 +[^\n]*\n|\n)+)", re.M)
IMAGE = re.compile(r"^\s*(?:- )?image: *drave:(\S+)", re.M)


def files(root):
    for directory, _, names in os.walk(os.path.join(root, "deploy")):
        for name in sorted(names):
            yield os.path.relpath(os.path.join(directory, name), root)


def text_of(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def configurations(path, text):
    """(line before its first one, text) of each."""
    if path.endswith("/collector.ini"):
        yield 0, text
    elif path.endswith(".yaml"):
        for match in BLOCK.finditer(text):
            lines = match.group(2).splitlines()
            margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
            yield text.count("\n", 0, match.start(2)), "\n".join(line[margin:] for line in lines) + "\n"


def check_configuration(binary, path, before, text):
    """As a pod would read it, complaints at their lines here."""
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([binary, "--check-config", "--config", file.name], capture_output=True, text=True, check=False, timeout=60,
                              env={**os.environ, "POD_IP": "fd00::1", "NODE_NAME": "n"})
    if done.returncode:
        for line, told in re.findall(rf"^{re.escape(file.name)}(?::(\d+))?: (.*)$", done.stderr, re.M) or [("", f"--check-config ended with {done.returncode}")]:
            yield f"{path}:{before + int(line or 1)}: {told}"


def check(root):
    binary = os.path.join(os.environ.get("DRAVE_BUILD", root), "drave-collector")
    version = re.search(r"AC_INIT\(\[drave\], \[([^\]]+)\]", text_of(root, "configure.ac")).group(1)
    carried = set(re.findall(r"[\w./-]+", text_of(root, "deploy/Makefile.inc")))
    has_binary = os.path.exists(binary)
    if not has_binary and os.environ.get("CI") == "true":
        yield "deploy:1: drave-collector is not built, so no configuration was checked"
    elif not has_binary:
        print("lint manifests: drave-collector is not built, configurations passed over")
    for path in files(root):
        if path not in carried and path != "deploy/Makefile.inc" and "__pycache__" not in path:
            yield f"{path}:1: is not named in deploy/Makefile.inc, so the archive lacks it"
        if not path.endswith((".yaml", ".ini")):
            continue
        text = text_of(root, path)
        for match in IMAGE.finditer(text):
            if match.group(1) != version:
                yield f"{path}:{text.count(chr(10), 0, match.start(1)) + 1}: the image is not of version {version}"
        for before, configuration in configurations(path, text) if has_binary else ():
            yield from check_configuration(binary, path, before, configuration)


if __name__ == "__main__":
    main("manifests", check)

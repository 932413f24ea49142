"""Each header compiles behind nothing but config.h, guards itself by its path, and each .c includes config.h and then its own header first.

The compiler and its flags come from the variables CC and LINT_CFLAGS (make lint sets them)."""

import concurrent.futures
import os
import re
import shlex
import subprocess

from house import ROOMS, main, sources


def order_findings(source, headers):
    """config.h first, then the file's own header; a part of a module (bind_print.c) may have its module's (bind.h)."""
    names = [name for _, name, is_ours in source.includes if is_ours]
    if not names or names[0] != "config.h":
        yield f"{source.path}:1: the first include is not \"config.h\""
        return
    own = source.module + ".h"
    while own not in headers and "_" in os.path.basename(own):
        own = own.rsplit("_", 1)[0] + ".h"
    if own in headers and (len(names) < 2 or names[1] != own):
        yield f"{source.path}:1: the second include is not its own header \"{own}\""


def guard_findings(source):
    guard = "DRAVE_" + re.sub(r"[^A-Z0-9]", "_", source.module.upper())
    if not re.search(rf"^#ifndef {guard}(_H)?\n#define {guard}(_H)?$", source.text, re.M):
        yield f"{source.path}:1: no include guard {guard}_H"


def compile_alone(root, path):
    command = shlex.split(os.environ.get("CC", "cc")) + shlex.split(os.environ.get("LINT_CFLAGS", "-I" + root))
    command += ["-fsyntax-only", "-x", "c", "-"]
    result = subprocess.run(command, input=f'#include "config.h"\n#include "{path}"\n', capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return []
    first = next((line for line in result.stderr.splitlines() if "error" in line), "cannot be compiled")
    return [f"{path}:1: does not compile alone: {first}"]


def check(root):
    all_sources = sources(root)
    headers = {source.path for source in all_sources if source.is_header}
    for source in all_sources:
        if source.is_header and source.folder in ROOMS:
            yield from guard_findings(source)
        elif source.folder in ROOMS:
            yield from order_findings(source, headers)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for findings in pool.map(lambda path: compile_alone(root, path), sorted(headers)):
            yield from findings


if __name__ == "__main__":
    main("headers", check)

"""The sample configuration and the option tables of the man pages are what the programs print from their option rows.

The variable DRAVE_BUILD names the build directory; a program that is not built there is told and passed over, except under
CI=true."""

import difflib
import os
import re
import subprocess

from house import main

# program -> (sample file, option that prints it), (man page, option that prints its table)
SAMPLES = [
    ("drave-collector", "conf/collector.ini", "--print-sample"),
    ("drave-controller", "conf/controller.ini", "--print-sample"),
]
TABLES = [
    ("drave-collector", "docs/man/drave-collector.ini.5", "--print-man"),
    ("drave-controller", "docs/man/drave-controller.ini.5", "--print-man"),
]
# A man page holds its table between these two lines.
TABLE = re.compile(r'^\.\\" begin options\n(.*?)^\.\\" end options\n', re.S | re.M)


def printed(program, option):
    result = subprocess.run([program, option], capture_output=True, text=True, check=False, timeout=60)
    return result.stdout if result.returncode == 0 else None


def difference(path, wanted, found):
    """The first line that differs, as a finding."""
    wanted_lines, found_lines = wanted.splitlines(), found.splitlines()
    for tag, start, _, from_found, _ in difflib.SequenceMatcher(None, found_lines, wanted_lines, False).get_opcodes():
        if tag != "equal":
            shown = wanted_lines[from_found] if from_found < len(wanted_lines) else "(the end)"
            yield f"{path}:{start + 1}: is not what the rows say: '{shown}'"
            return


def compare(root, build, program, path, option, cut):
    full = os.path.join(root, path)
    binary = os.path.join(build, program)
    if not os.path.exists(full):
        return
    if not os.path.exists(binary):
        if os.environ.get("CI") == "true":
            yield f"{path}:1: {program} is not built, so nothing was compared"
        else:
            print(f"lint samples: {program} is not built, {path} passed over")
        return
    wanted = printed(binary, option)
    with open(full, encoding="utf-8") as file:
        found = cut(file.read())
    if wanted is None:
        yield f"{path}:1: {program} {option} failed"
    elif found is None:
        yield f"{path}:1: the lines 'begin options' and 'end options' are missing"
    else:
        yield from difference(path, wanted, found)


def table_of(text):
    match = TABLE.search(text)
    return match.group(1) if match else None


def check(root):
    build = os.environ.get("DRAVE_BUILD", root)
    for program, path, option in SAMPLES:
        yield from compare(root, build, program, path, option, lambda text: text)
    for program, path, option in TABLES:
        yield from compare(root, build, program, path, option, table_of)


if __name__ == "__main__":
    main("samples", check)

"""The sample configuration and the option tables of the man pages are what the programs print from their option rows.

The variable DRAVE_BUILD names the build directory; a program that is not built there is told and passed over, except under
CI=true.  With --write (make samples) the files are brought up to date instead."""

import difflib
import os
import re
import subprocess
import sys

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


def write(root):
    """Brings the files that are there up to date with the programs that are built."""
    build = os.environ.get("DRAVE_BUILD", root)
    for program, path, option in SAMPLES + TABLES:
        full, binary = os.path.join(root, path), os.path.join(build, program)
        text = printed(binary, option) if os.path.exists(full) and os.path.exists(binary) else None
        if text is None:
            continue
        if option == "--print-man":
            with open(full, encoding="utf-8") as file:
                page = file.read()
            match = TABLE.search(page)
            if not match:
                sys.exit(f"{path}:1: the lines 'begin options' and 'end options' are missing")
            text = page[:match.start(1)] + text + page[match.end(1):]
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(sys.argv[1])
    else:
        main("samples", check)

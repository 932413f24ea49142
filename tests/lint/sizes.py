"""Functions of at most 60 lines, files of at most 800.

tests/lint/sizes.allow lists what is longer, as "path lines" or "path:function lines".  It may only shrink: an entry that is
larger than the truth, or no longer needed, is a finding too."""

import json
import os
import subprocess

from house import ROOMS, main, sources

FUNCTION_LINES = 60
FILE_LINES = 800
ALLOW = "tests/lint/sizes.allow"


def read_allowed(root):
    allowed = {}
    path = os.path.join(root, ALLOW)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.strip() and not line.startswith("#"):
                    name, lines = line.rsplit(None, 1)
                    allowed[name] = int(lines)
    return allowed


def functions(root, paths):
    """(path, name, line, length) of each function, by universal-ctags."""
    command = ["ctags", "--output-format=json", "--fields=+ne", "--kinds-C=f", "--language-force=C", "-f", "-", *paths]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    for line in result.stdout.splitlines():
        tag = json.loads(line)
        if tag.get("_type") == "tag" and "end" in tag:
            yield tag["path"], tag["name"], tag["line"], tag["end"] - tag["line"] + 1


def measured(root):
    """(place, name in the allow file, lines, limit) of everything that has a limit."""
    house = sources(root, ROOMS)
    for source in house:
        yield f"{source.path}:1", source.path, source.text.count("\n"), FILE_LINES
    for path, name, line, length in functions(root, [source.path for source in house]) if house else ():
        yield f"{path}:{line}", f"{path}:{name}", length, FUNCTION_LINES


def check(root):
    allowed = read_allowed(root)
    for place, name, lines, limit in measured(root):
        granted = allowed.pop(name, None)
        if granted is None and lines > limit:
            yield f"{place}: {name} has {lines} lines, {limit} are the limit"
        elif granted is not None and lines > granted:
            yield f"{place}: {name} has {lines} lines, {granted} were granted, and the list may only shrink"
        elif granted is not None and lines < granted:
            yield f"{ALLOW}:1: {name} has {lines} lines: " + (f"write {lines}" if lines > limit else "take it off the list")
    for name in allowed:
        yield f"{ALLOW}:1: there is no {name}"


if __name__ == "__main__":
    main("sizes", check)

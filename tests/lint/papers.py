"""What the papers name is there: files, functions as `file.c:function`, and the targets of local links; no merge was left half done.

Words in capitals stand for names yet to be chosen (`outputs/NAME_output.c`), except in docs/, whose papers are named so."""

import os
import re

from house import main

NAMED = re.compile(r"`((?:collector|controller|conf|common|outputs|tests|docs|deploy|tools|bench)/[\w./-]+?\.\w+)(?::(\w+))?`")
PLACEHOLDER = re.compile(r"^(?!docs/).*[A-Z]{4}")
CONFLICT = re.compile(r"^(<{7}|>{7}) ")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def papers(root):
    folder = os.path.join(root, "docs")
    yield "README.md"
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if name.endswith(".md"):
            yield f"docs/{name}"


def findings_in(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, 1):
        if CONFLICT.match(line):
            yield f"{path}:{number}: left over from a merge"
        for named, function in NAMED.findall(line):
            full = os.path.join(root, named)
            if PLACEHOLDER.match(named):
                continue
            if not os.path.exists(full):
                yield f"{path}:{number}: there is no {named}"
            elif function:
                with open(full, encoding="utf-8") as file:
                    if not re.search(rf"^\w[^;{{\n]*\b{function}\(", file.read(), re.M):
                        yield f"{path}:{number}: {named} has no function {function}"
        for target in LINK.findall(line):
            if not os.path.exists(os.path.join(root, os.path.dirname(path), target)):
                yield f"{path}:{number}: the link leads nowhere: {target}"


def check(root):
    for path in papers(root):
        if os.path.exists(os.path.join(root, path)):
            yield from findings_in(root, path)


if __name__ == "__main__":
    main("papers", check)

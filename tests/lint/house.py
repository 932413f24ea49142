"""What all lints need: the sources of the tree, their includes, and one way to report."""

import os
import re
import sys

# The rooms of the house.  tests and bench may use everything, and nothing uses them.
ROOMS = ("common", "conf", "outputs", "collector", "controller")
YARDS = ("tests", "bench")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)
HIDDEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


class Source:
    """One .c or .h file: its path from the root, its text, and its includes as (line, name, is_ours)."""

    def __init__(self, root, path):
        self.path = path
        self.folder = path.split("/")[0]
        self.module = path[:-2]
        self.is_header = path.endswith(".h")
        with open(os.path.join(root, path), encoding="utf-8") as file:
            self.text = file.read()
        self.includes = [
            (self.line_at(match.start()), match.group(1) or match.group(2), match.group(1) is not None)
            for match in INCLUDE.finditer(self.text)
        ]

    def line_at(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def head(self):
        """The comment at the top of the file, or an empty text."""
        match = re.match(r"\s*/\*(.*?)\*/", self.text, re.S)
        return match.group(1) if match else ""

    def code(self):
        """The text with comments, strings and characters blanked out; offsets and lines stay as they are."""
        return HIDDEN.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), self.text)


def sources(root, folders=ROOMS + YARDS):
    """All C sources below the folders, sorted by path."""
    found = []
    for folder in folders:
        for directory, below, files in os.walk(os.path.join(root, folder)):
            below[:] = [name for name in below if not name.startswith(".")]
            found += [os.path.relpath(os.path.join(directory, name), root) for name in files if name.endswith((".c", ".h"))]
    return [Source(root, path) for path in sorted(found)]


def main(name, check):
    """Runs check(root), which yields findings as "file:line: message"; exit status 1 if there is one."""
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    findings = list(check(root))
    for finding in findings:
        print(finding)
    print(f"lint {name}: {len(findings)} findings" if findings else f"lint {name}: clean")
    sys.exit(1 if findings else 0)

"""The programs are built hardened: position-independent, relocations read-only at start, no executable stack, fortified, with stack protector.

The variable DRAVE_BUILD names the build directory; a program that is not built there is passed over.  Read from the binary itself,
since a flag of configure can be taken without any effect."""

import os
import re
import subprocess

from house import main

PROGRAMS = ("drave-collector", "drave-controller")
# what it is -> what readelf must say of it
SIGNS = {
    "position-independent": r"Type:\s+DYN",
    "relocations read-only": r"GNU_RELRO",
    "all bound at start": r"BIND_NOW|Flags:.*\bNOW\b",
    "stack not executable": r"GNU_STACK(?:\s+0x\w+){5}\s+RW\s",
    "fortified": r"\b__\w+_chk@",
    "stack protector": r"\b__stack_chk_fail@",
}


def check(root):
    build = os.environ.get("DRAVE_BUILD", root)
    for program in PROGRAMS:
        path = os.path.join(build, program)
        if not os.path.exists(path):
            continue
        told = subprocess.run(["readelf", "-hdlW", "--dyn-syms", path], capture_output=True, text=True, check=True).stdout
        for sign, pattern in SIGNS.items():
            if not re.search(pattern, told):
                yield f"{program}:1: not hardened: {sign}"


if __name__ == "__main__":
    main("hardening", check)

"""Every C source is named in its room's Makefile.inc: what is not, does not go into the source archive, and the build from there fails."""

import os
import re

from house import main, sources


def named(root, folder):
    """The words of the folder's Makefile.inc."""
    path = os.path.join(root, folder, "Makefile.inc")
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as file:
        return set(re.findall(r"[\w./-]+", file.read()))


def check(root):
    words = {}
    for source in sources(root):
        if source.folder not in words:
            words[source.folder] = named(root, source.folder)
        is_known = source.path in words[source.folder] or not source.is_header and source.module in words[source.folder]
        if not is_known:
            yield f"{source.path}:1: not named in {source.folder}/Makefile.inc, so the archive lacks it"


if __name__ == "__main__":
    main("archive", check)

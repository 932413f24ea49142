"""Who may include whom: folders one way, modules without a cycle, one door for each library, pure files without the world."""

import fnmatch
import os
import re

from house import ROOMS, YARDS, main, sources

# What of other rooms a room may include, as patterns of paths.
EDGES = {
    "common": [],
    "conf": ["common/*"],
    "outputs": ["common/*", "conf/*"],
    "collector": [
        "common/*", "conf/*", "outputs/output.h", "outputs/outputs.h", "outputs/record.h", "outputs/template.h", "outputs/format*.h",
    ],
    "controller": ["common/*", "conf/*"],
}

# Headers of libraries and of the kernel that only one module may know, as patterns of paths.
DOORS = {
    "curl/*": ["common/http.c"],
    "microhttpd.h": ["common/admin.c"],
    "librdkafka/*": ["outputs/kafka_*.[ch]"],
    "zstd*.h": ["collector/pack.c"],
    "zlib.h": ["collector/pack.c", "collector/gzip_file.c"],
    "cjson/*": ["common/kube_*.[ch]", "common/event_stream.c", "common/reflector.c", "collector/pod_facts.c", "controller/*.c"],
    "yaml.h": ["common/kube_config.c"],
    "cJSON.h": [],
    "sqlite3.h": ["collector/checkpoint_db.c"],
    "ini.h": ["conf/ini.c"],
    "sys/inotify.h": ["collector/dirwatch.c"],
    "uthash.h": ["common/table.h"],
    "utlist.h": ["common/table.h"],
    "utarray.h": [],
    "utstring.h": [],
    "utringbuffer.h": [],
}

# What a file marked "Pure." may reach neither itself nor through a header of ours.
WORLD = ["uv.h", "common/clock.h", "common/http.h", "common/admin.h", "sys/socket.h", "netinet/*", "arpa/*", "netdb.h", "poll.h", "sys/epoll.h"]
CLOCKS = re.compile(r"\b(clock_gettime|gettimeofday|time|timespec_get)\s*\(")


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def folder_findings(source, root):
    for line, name, is_ours in source.includes:
        if not is_ours or name == "config.h":
            continue
        if not os.path.exists(os.path.join(root, name)):
            yield f"{source.path}:{line}: '{name}' is no path from the root"
            continue
        target = name.split("/")[0]
        if source.folder in YARDS or target == source.folder:
            continue
        if not matches(name, EDGES[source.folder]):
            yield f"{source.path}:{line}: {source.folder} may not include '{name}'"


def door_findings(source):
    if source.folder not in ROOMS:
        return
    for line, name, _ in source.includes:
        for pattern, doors in DOORS.items():
            if fnmatch.fnmatchcase(name, pattern) and not matches(source.path, doors):
                yield f"{source.path}:{line}: '{name}' belongs behind {', '.join(doors) or 'nothing here'}"


def cycle_findings(all_sources):
    """Depth first over the modules (foo.c and foo.h are one); each cycle is told once, at the include that closes it."""
    edges, places = {}, {}
    known = {source.module for source in all_sources}
    for source in all_sources:
        targets = edges.setdefault(source.module, set())
        for line, name, is_ours in source.includes:
            if is_ours and name[:-2] in known and name[:-2] != source.module:
                targets.add(name[:-2])
                places.setdefault((source.module, name[:-2]), f"{source.path}:{line}")
    done, path = set(), []

    def walk(module):
        if module in path:
            circle = path[path.index(module):] + [module]
            yield f"{places[(path[-1], module)]}: a circle of modules: {' -> '.join(circle)}"
            return
        if module in done:
            return
        path.append(module)
        for target in sorted(edges.get(module, ())):
            yield from walk(target)
        path.pop()
        done.add(module)

    for module in sorted(edges):
        yield from walk(module)


def reached(source, by_path, seen):
    """All that a source includes, through headers of ours too, with the way there."""
    for line, name, is_ours in source.includes:
        if name in seen:
            continue
        seen.add(name)
        yield line, name, [name]
        if is_ours and name in by_path:
            for _, deeper, way in reached(by_path[name], by_path, seen):
                yield line, deeper, [name] + way


def pure_findings(all_sources):
    by_path = {source.path: source for source in all_sources}
    pure = {source.module for source in all_sources if re.search(r"\bPure\.", source.head())}
    for source in all_sources:
        if source.module not in pure:
            continue
        for line, name, way in reached(source, by_path, set()):
            if matches(name, WORLD):
                yield f"{source.path}:{line}: a pure file reaches '{name}'" + (f" by {' -> '.join(way)}" if len(way) > 1 else "")
        for match in CLOCKS.finditer(source.code()):
            yield f"{source.path}:{source.line_at(match.start())}: a pure file asks the clock: {match.group(1)}()"


def check(root):
    all_sources = sources(root)
    for source in all_sources:
        yield from folder_findings(source, root)
        yield from door_findings(source)
    yield from cycle_findings([source for source in all_sources if source.folder in ROOMS])
    yield from pure_findings(all_sources)


if __name__ == "__main__":
    main("layers", check)

"""Tables from the rows that bench.py wrote: medians, with least and most in parentheses."""

import json
import statistics

MB, MIB_IN_KB = 1e6, 1024

# title -> (key, scale, format); the ratio to the skeleton is made per round
COLUMNS = {
    "catchup": {"wall s": ("wall_s", 1, "%.2f"), "MB/s": ("mb_per_s", 1, "%.0f"), "CPU s": ("cpu_s", 1, "%.2f"),
                "CPU ms per MB": ("ms_per_mb", 1, "%.2f"), "× skeleton": ("times_skeleton", 1, "%.2f"), "user s": ("user_s", 1, "%.2f"),
                "system s": ("system_s", 1, "%.2f"), "peak RSS MiB": ("rss_peak_kb", 1 / MIB_IN_KB, "%.1f"),
                "anon MiB": ("anon_peak_kb", 1 / MIB_IN_KB, "%.1f"), "wire MB": ("wire", 1 / MB, "%.1f"), "lost": ("lost", 1, "%d"),
                "dup": ("dup", 1, "%d")},
    "steady": {"files": ("files", 1, "%d"), "CPU %": ("cpu_pct", 1, "%.2f"), "CPU s": ("cpu_s", 1, "%.2f"),
               "floor CPU s": ("floor_cpu_s", 1, "%.2f"), "RSS MiB": ("rss_kb", 1 / MIB_IN_KB, "%.1f"),
               "floor RSS MiB": ("floor_rss_kb", 1 / MIB_IN_KB, "%.1f"), "anon MiB": ("anon_peak_kb", 1 / MIB_IN_KB, "%.1f"),
               "p50 ms": ("p50_ms", 1, "%.1f"), "p99 ms": ("p99_ms", 1, "%.1f"), "max ms": ("max_ms", 1, "%.1f"),
               "wire MB": ("wire", 1 / MB, "%.1f"), "lost": ("lost", 1, "%d"), "dup": ("dup", 1, "%d")},
    "idle": {"files": ("files", 1, "%d"), "CPU %": ("cpu_pct", 1, "%.3f"), "floor CPU %": ("floor_cpu_pct", 1, "%.3f"),
             "RSS MiB": ("rss_kb", 1 / MIB_IN_KB, "%.1f"), "floor RSS MiB": ("floor_rss_kb", 1 / MIB_IN_KB, "%.1f"),
             "anon MiB": ("anon_kb", 1 / MIB_IN_KB, "%.1f"), "CPU s to start": ("start_cpu_s", 1, "%.2f"), "lost": ("lost", 1, "%d")},
}
SAME_ROUND = (("case", "skeleton"), ("run", "run"), ("bytes", "bytes"))


def report(paths):
    rows = [json.loads(line) for path in paths for line in open(path)]
    for scenario, columns in COLUMNS.items():
        mine = [row for row in rows if row["scenario"] == scenario]
        if not mine:
            continue
        for row in mine:
            derive(row, mine)
        print(f"\n## {scenario}\n\n| case | runs | {' | '.join(columns)} |\n|---|{'---|' * (len(columns) + 1)}")
        for key in dict.fromkeys((row["case"], row.get("files")) for row in mine):
            group = [row for row in mine if (row["case"], row.get("files")) == key]
            print(f"| {key[0]} | {len(group)} | {' | '.join(cell(group, *column) for column in columns.values())} |")


def derive(row, rows):
    mb = row.get("bytes", 0) / MB
    if mb and row.get("wall_s"):
        row["mb_per_s"] = mb / row["wall_s"]
    if mb and row.get("cpu_s"):
        row["ms_per_mb"] = 1000 * row["cpu_s"] / mb
    same_round = [other for other in rows if all(other.get(name) == row.get(key) for name, key in SAME_ROUND)]
    if same_round:
        row["times_skeleton"] = row["cpu_s"] / same_round[-1]["cpu_s"]


def cell(group, key, scale, form):
    values = sorted(row[key] * scale for row in group if row.get(key) is not None)
    if not values:
        return "-"
    median = form % statistics.median(values)
    return median if values[0] == values[-1] else f"{median} ({form % values[0]}-{form % values[-1]})"

"""Compares what was written with what arrived, container by container, and names what differs."""

from collections import Counter, defaultdict

from kit import stamp

FIELDS = ("namespace_name", "pod_name", "pod_id", "container_name")  # in the order of a stamp's key


class Verdict:
    """What is wrong, by container; empty where nothing is.  Its text names the first of each kind."""

    def __init__(self):
        self.written = 0
        self.delivered = 0                     # different lines
        self.lost = {}                         # key -> sequences
        self.duplicated = {}                   # key -> {sequence: extra copies}
        self.disordered = {}                   # key -> (sequence, the higher one before it)
        self.misattributed = []                # (stamp, what the record claims)
        self.corrupted = []                    # log texts whose stamp is damaged or missing

    @property
    def lost_count(self):
        return sum(map(len, self.lost.values()))

    @property
    def duplicate_count(self):
        return sum(sum(copies.values()) for copies in self.duplicated.values())

    def faults(self, duplicates_allowed=0):
        """One sentence for each kind of fault; none when all is well."""
        found = []
        if self.lost:
            found.append(f"lost {self.lost_count}: {_some({k: _runs(v) for k, v in self.lost.items()})}")
        if self.duplicate_count > duplicates_allowed:
            found.append(f"duplicated {self.duplicate_count} (allowed {duplicates_allowed}): "
                         f"{_some({k: _runs(v) for k, v in self.duplicated.items()})}")
        if self.disordered:
            found.append(f"out of order {sum(map(len, self.disordered.values()))}: {_some(self.disordered)}")
        if self.misattributed:
            found.append(f"misattributed {len(self.misattributed)}: {self.misattributed[:3]}")
        if self.corrupted:
            found.append(f"corrupted {len(self.corrupted)}: {[text[:200] for text in self.corrupted[:3]]}")
        return found

    def __str__(self):
        return "; ".join([f"written {self.written}, delivered {self.delivered}", *self.faults()])


class Oracle:
    """Takes records in the order of their arrival; verdict() compares them with the number of lines that each container wrote."""

    def __init__(self, host=None, strangers=False):
        self.host = host                       # the node's name, checked when given
        self.strangers = strangers             # lines without a stamp are expected and kept aside
        self.strange = []                      # those records
        self.copies = defaultdict(Counter)     # key -> sequence -> how often it came
        self.highest = defaultdict(lambda: -1)
        self.wrong = Verdict()

    def take(self, record):
        text = record.get("log", "")
        known = stamp.read(text)
        if known is None or record.get("truncated") or record.get("partial"):
            if self.strangers:
                self.strange.append(record)
            else:
                self.wrong.corrupted.append(text)
            return
        self._attribute(known, record)
        copies = self.copies[known.key]
        copies[known.sequence] += 1
        if copies[known.sequence] == 1 and known.is_ordered:
            if known.sequence < self.highest[known.key]:
                self.wrong.disordered.setdefault(known.key, []).append((known.sequence, self.highest[known.key]))
            else:
                self.highest[known.key] = known.sequence

    def take_all(self, records):
        for record in records:
            self.take(record)

    def _attribute(self, known, record):
        kubernetes = record.get("kubernetes", {})
        claims = "/".join(str(kubernetes.get(field)) for field in FIELDS)
        host_is_right = self.host is None or kubernetes.get("host") == self.host
        if (claims, record.get("stream"), record.get("time")) != (known.key, known.stream, known.time) or not host_is_right:
            self.wrong.misattributed.append((known, (claims, record.get("stream"), record.get("time"), kubernetes.get("host"))))

    def has(self, written):
        """Whether every line arrived at least once; cheap, for waiting."""
        return all(len(self.copies[key]) >= count for key, count in written.items())

    def delivered_count(self):
        return sum(map(len, self.copies.values()))

    def verdict(self, written):
        """written: key -> number of lines, numbered from 0."""
        verdict = self.wrong
        verdict.written = sum(written.values())
        verdict.delivered = self.delivered_count()
        verdict.lost, verdict.duplicated = {}, {}
        for key in {*written, *self.copies}:
            copies = self.copies[key]
            lost = [sequence for sequence in range(written.get(key, 0)) if sequence not in copies]
            extra = {sequence: count - 1 for sequence, count in copies.items() if count > 1}
            if lost:
                verdict.lost[key] = lost
            if extra:
                verdict.duplicated[key] = extra
        return verdict


def _runs(sequences):
    """[1, 2, 3, 7] -> "1-3 7"."""
    runs = []
    for sequence in sorted(sequences):
        if runs and runs[-1][1] == sequence - 1:
            runs[-1][1] = sequence
        else:
            runs.append([sequence, sequence])
    shown = " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs[:6])
    return shown + (" ..." if len(runs) > 6 else "")


def _some(by_key):
    shown = [f"{key}: {what if isinstance(what, str) else what[:3]}" for key, what in sorted(by_key.items())[:4]]
    return ", ".join(shown) + (f", and {len(by_key) - 4} containers more" if len(by_key) > 4 else "")

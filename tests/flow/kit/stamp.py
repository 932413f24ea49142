"""What a written line carries, so that it can be known again wherever it arrives.

    <namespace>/<pod>/<uid>/<container> <stream> <sequence>[~] <time> <crc> <text>

The sequence runs per container, from 0 and over restarts, in the order in which a faithful reader completes the lines.  A ~ after it
marks a line whose place in the order is not promised (written to a rotated file after its successor began).  The CRC covers the rest.
"""

from typing import NamedTuple
from zlib import crc32


class Stamp(NamedTuple):
    key: str
    stream: str
    sequence: int
    is_ordered: bool
    time: str


def make(key, stream, sequence, time, text, is_ordered=True):
    place = sequence if is_ordered else f"{sequence}~"
    head = f"{key} {stream} {place} {time}"
    return f"{head} {crc32(f'{head} {text}'.encode()):08x} {text}"


def read(line):
    """The stamp of a line; None when it has none, or is not what was written."""
    parts = line.split(" ", 5)
    if len(parts) != 6:
        return None
    key, stream, place, time, crc, text = parts
    if f"{crc32(f'{key} {stream} {place} {time} {text}'.encode(errors='surrogatepass')):08x}" != crc:
        return None
    return Stamp(key, stream, int(place.rstrip("~")), not place.endswith("~"), time)

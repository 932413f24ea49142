"""Calls that are not used here, each with what to use instead.  Variable-length arrays are the compiler's to find (-Wvla)."""

import re

from house import main, sources

BANNED = {
    "strcpy": "memcpy or snprintf", "strcat": "struct buf", "strncpy": "memcpy", "strncat": "struct buf",
    "sprintf": "snprintf or buf_printf", "vsprintf": "vsnprintf or buf_vprintf", "gets": "file_read",
    "strtok": "strcspn", "atoi": "strtoull", "atol": "strtoull", "atof": "strtod",
    "gmtime": "gmtime_r", "localtime": "UTC and gmtime_r", "asctime": "clock_format_ns", "ctime": "clock_format_ns",
    "alloca": "xmalloc", "tmpnam": "mkstemp", "mktemp": "mkstemp", "rand": "a seed from the caller",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")


def check(root):
    for source in sources(root):
        for match in CALL.finditer(source.code()):
            line = source.line_at(match.start())
            yield f"{source.path}:{line}: {match.group(1)}() is not used here: take {BANNED[match.group(1)]}"


if __name__ == "__main__":
    main("banned", check)

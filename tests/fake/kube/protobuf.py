"""Reads the few protobuf messages that kubectl sends even to a server that only speaks JSON: into what their JSON would be.

A body is the magic "k8s\\0" and a message Unknown {1: TypeMeta {1: apiVersion, 2: kind}, 2: the object}.
"""

MAGIC = b"k8s\0"
META = {1: ("name", str), 3: ("namespace", str), 5: ("uid", str)}
DELETE_OPTIONS = {1: ("gracePeriodSeconds", int), 2: ("preconditions", {1: ("uid", str)}), 4: ("propagationPolicy", str)}
MESSAGES = {
    "Namespace": {1: ("metadata", META)},
    "TokenRequest": {1: ("metadata", META), 2: ("spec", {4: ("expirationSeconds", int)})},
    "Eviction": {1: ("metadata", META), 2: ("deleteOptions", DELETE_OPTIONS)},
    "DeleteOptions": DELETE_OPTIONS,
}


def read(body):
    """ValueError if it is nothing of these."""
    if not body.startswith(MAGIC):
        raise ValueError("no protobuf of Kubernetes")
    outer = dict(_fields(body[len(MAGIC):]))
    type_meta = _message(outer[1], {1: ("apiVersion", str), 2: ("kind", str)})
    if type_meta["kind"] not in MESSAGES:
        raise ValueError(f"no protobuf for {type_meta['kind']} here")
    return {**type_meta, **_message(outer[2], MESSAGES[type_meta["kind"]])}


def _message(data, known):
    found = {}
    for number, value in _fields(data):
        name, kind = known.get(number, (None, None))
        if name:
            found[name] = _message(value, kind) if isinstance(kind, dict) else value.decode() if kind is str else value
    return found


def _fields(data):
    place = 0
    while place < len(data):
        tag, place = _number(data, place)
        if tag & 7 == 0:
            value, place = _number(data, place)
        elif tag & 7 == 2:
            length, place = _number(data, place)
            value, place = data[place:place + length], place + length
        else:
            raise ValueError(f"wire type {tag & 7}")
        yield tag >> 3, value


def _number(data, place):
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place

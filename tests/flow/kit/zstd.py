"""libzstd's decoder through ctypes, for speed; test_decoders proves the same bytes with the zstd program."""

import ctypes
import ctypes.util

CHUNK_BYTES = 1 << 18


class _Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]


def _load():
    library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer)]
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    return library


_library = _load()


def decompress(packed):
    """All frames of packed, which must end where a frame ends."""
    stream = _library.ZSTD_createDStream()
    try:
        return _decompress(stream, packed)
    finally:
        _library.ZSTD_freeDStream(stream)


def _decompress(stream, packed):
    room = ctypes.create_string_buffer(CHUNK_BYTES)
    source = ctypes.create_string_buffer(packed, len(packed))
    input_ = _Buffer(ctypes.addressof(source), len(packed), 0)
    parts, hint, was_full = [], 0, False
    while input_.pos < input_.size or was_full:
        output = _Buffer(ctypes.addressof(room), CHUNK_BYTES, 0)
        hint = _library.ZSTD_decompressStream(stream, output, input_)
        if _library.ZSTD_isError(ctypes.c_size_t(hint)):
            raise ValueError("not zstd")
        parts.append(room.raw[:output.pos])
        was_full = output.pos == CHUNK_BYTES and hint != 0
    if hint:
        raise ValueError("cut zstd frame")
    return b"".join(parts)

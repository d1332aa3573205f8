"""The messages of an e3 stream as they were packed, on msgpack alone: numpy takes 0.2 s to load, which many checks do not need."""
import struct

import msgpack

KINDS = {1: "head", 2: "frame", 3: "pred", 4: "evict", 5: "attn", 6: "end", 7: "abort", 8: "truth", 9: "mask", 10: "correct", 11: "edge"}


def raw(path):
    """Yields (kind, fields) of every message, arrays as {dtype, shape, data}; the stream must be complete."""
    last = None
    with open(path, "rb") as f:
        while envelope := f.read(6):
            tag, length, kind = struct.unpack(">BIB", envelope)
            if tag != 0xC9 or kind not in KINDS:
                raise SystemExit(f"{path}: no message at byte {f.tell() - 6}")
            body = f.read(length)
            if len(body) != length:
                raise SystemExit(f"{path}: truncated")
            last = KINDS[kind]
            yield last, msgpack.unpackb(body, raw=False, strict_map_key=True)
    if last != "end":
        raise SystemExit(f"{path}: ends with {last}, not with end")

#!/usr/bin/python3
"""Changes an e3 stream, for tests of damage: edit_stream.py IN OUT CODE [OUT CODE]... OUT may be "-".

CODE is Python that changes `m`, a list of [kind number, fields] (fields as msgpack decodes them, arrays still bytes), and then
`raw`, the bytes of the stream, when it mentions raw: "m[1][1]['w'] = 0", "raw = raw[:100]". A line with raw runs after m is packed.
"""
import struct
import sys

import msgpack


def edit(data, to, code):
    m, at, offsets = [], 0, []
    while at < len(data):
        tag, length, kind = struct.unpack(">BIB", data[at:at + 6])
        assert tag == 0xC9
        m.append([kind, msgpack.unpackb(data[at + 6:at + 6 + length], raw=False)])
        at += 6 + length
    lines = code.split("\n")
    scope = {"m": m, "nan": float("nan"), "inf": float("inf"), "struct": struct}
    exec("\n".join(x for x in lines if "raw" not in x), scope)
    raw = bytearray()
    for kind, fields in scope["m"]:
        body = msgpack.packb(fields)
        offsets.append(len(raw))
        raw += struct.pack(">BIB", 0xC9, len(body), kind) + body
    scope.update(raw=raw, at=offsets)
    exec("\n".join(x for x in lines if "raw" in x), scope)
    with open(1 if to == "-" else to, "wb", closefd=to != "-") as f:
        f.write(scope["raw"])


def main():
    data = open(sys.argv[1], "rb").read()
    assert len(sys.argv) >= 4 and len(sys.argv) % 2 == 0, __doc__
    for to, code in zip(sys.argv[2::2], sys.argv[3::2]):
        edit(data, to, code)


main()

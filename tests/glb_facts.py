#!/usr/bin/python3
"""Opens a GLB without anybody's help and prints one line per primitive: mode, vertices, bounds. Exit 1 when it is damaged."""
import json
import struct
import sys

MODES = {0: "POINTS", 1: "LINES", 4: "TRIANGLES"}


def main():
    data = open(sys.argv[1], "rb").read()
    magic, version, total = struct.unpack("<4sII", data[:12])
    assert magic == b"glTF" and version == 2 and total == len(data), "container"
    length, kind = struct.unpack("<I4s", data[12:20])
    assert kind == b"JSON" and length % 4 == 0
    doc = json.loads(data[20:20 + length])
    rest = data[20 + length:]
    size, kind = struct.unpack("<I4s", rest[:8])
    assert kind == b"BIN\0" and len(rest) == 8 + size, "binary chunk"
    for view in doc["bufferViews"]:
        assert view.get("byteOffset", 0) + view["byteLength"] <= doc["buffers"][0]["byteLength"] <= size, "buffer view"
    for mesh in doc["meshes"]:
        for p in mesh["primitives"]:
            a = doc["accessors"][p["attributes"]["POSITION"]]
            view = doc["bufferViews"][a["bufferView"]]
            at = 8 + view.get("byteOffset", 0) + a.get("byteOffset", 0)
            stride = view.get("byteStride", 12)
            low, high = [float("inf")] * 3, [float("-inf")] * 3
            for k in range(a["count"]):
                v = struct.unpack_from("<3f", rest, at + k * stride)
                low, high = [min(x, y) for x, y in zip(low, v)], [max(x, y) for x, y in zip(high, v)]
            near = all(abs(x - y) <= 1e-6 * max(1, abs(y)) for x, y in zip(low + high, a["min"] + a["max"]))
            assert near, f"bounds {a['min']} {a['max']}, data {low} {high}"
            print(MODES.get(p.get("mode", 4), p["mode"]), a["count"], *(f"{x:.6g}" for x in low + high))


main()

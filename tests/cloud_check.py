#!/usr/bin/python3
"""Reads clouds that e3-export wrote, with numpy alone: cloud_check.py WHAT ARGUMENT...

axes PLAIN TURNED AXES STREAM: TURNED is PLAIN in other axes, upright as the first camera of the stream.
"""
import sys

import numpy as np

import e3read
import make_pred

TYPES = {"float": "<f4", "double": "<f8", "uchar": "u1", "int": "<i4"}


def need(good, text):
    if not good:
        sys.exit("differs: " + text)


def ply(path):
    """Comments and the records of the only element."""
    header, data = open(path, "rb").read().split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    need(lines[:2] == ["ply", "format binary_little_endian 1.0"], f"{path}: header")
    n = next(int(x.split()[2]) for x in lines if x.startswith("element vertex"))
    v = np.frombuffer(data, [(x.split()[2], TYPES[x.split()[1]]) for x in lines if x.startswith("property")])
    need(len(v) == n, f"{path}: {len(v)} records, the header says {n}")
    return [x for x in lines if x.startswith("comment")], v


def stack(v, *names):
    return np.stack([v[n] for n in names], -1).astype(float)


def turn_of(axes, stream):
    """Written out from the words of e3-export(1): x right, y up, z backward; x right, y forward, z up."""
    first = next(p for p in e3read.messages(stream, "pred"))
    camera = make_pred.rotation(np.float32(first["pose"][3:7]).astype(float))
    rows = {"y-up": [[1, 0, 0], [0, -1, 0], [0, 0, -1]], "z-up": [[1, 0, 0], [0, 0, 1], [0, -1, 0]]}[axes]
    return np.array(rows) @ camera


def axes(plain, turned, name, stream):
    say, a = ply(plain)
    other, b = ply(turned)
    turn = turn_of(name, stream)
    off = np.abs(stack(a, *"xyz") @ turn.T - stack(b, *"xyz")).max()
    need(off < 1e-5 and np.abs(turn - np.eye(3)).max() > 0.5, f"positions by {off}")
    for k in a.dtype.names:
        need(k in "xyz" or k in ("nx", "ny", "nz") or np.array_equal(a[k], b[k]), k)
    if "nx" in a.dtype.names:
        off = np.abs(stack(a, "nx", "ny", "nz") @ turn.T - stack(b, "nx", "ny", "nz")).max()
        need(off < 1e-5, f"normals by {off}")
    up = {"y-up": "y up", "z-up": "z up"}[name]
    need("y down" in say[0] and up in other[0], f"comments {say} {other}")
    print(f"{len(a)} points: {other[0]}")


if __name__ == "__main__":
    {"axes": axes}[sys.argv[1]](*sys.argv[2:])

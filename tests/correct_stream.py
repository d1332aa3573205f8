#!/usr/bin/python3
"""Corrections of a prediction stream, independently of the C code: correct_stream.py IN CORRECTED APPLIED SPEC...

SPEC is FROM,TO,SCALE,X,Y,Z,W,TX,TY,TZ; with a '/' before it, its inverse. CORRECTED is IN with a correct for each SPEC before the end,
and right after frame TO a wrong one that it replaces. APPLIED is IN with the similarities applied and no corrections.
"""
import struct
import sys

import msgpack
import numpy as np

from e3read import arrays
from make_pred import array, message, rotation


def product(a, b):
    x, y, z, w = a
    p, q, r, s = b
    return np.array([w * p + x * s + y * r - z * q, w * q - x * r + y * s + z * p, w * r + x * q - y * p + z * s,
                     w * s - x * p - y * q - z * r])


def parse(text):
    v = [float(x) for x in text.lstrip("/").split(",")]
    first, last, s, q, t = int(v[0]), int(v[1]), v[2], np.array(v[3:7]), np.array(v[7:])
    if text[0] == "/":
        back = rotation(q).T
        s, q, t = 1 / s, q * [-1, -1, -1, 1], -back @ t / s
    return first, last, s, q, t


def messages(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        _, length, kind = struct.unpack(">BIB", data[at:at + 6])
        yield kind, msgpack.unpackb(data[at + 6:at + 6 + length], raw=False)
        at += 6 + length


def applied(p, s, q, t):
    """The pred with y = s R x + t applied."""
    p, got, r = dict(p), arrays(p), rotation(q)
    if "points" in p:
        p["points"] = array((s * (got["points"].astype(float) @ r.T) + t).astype(np.float32))
    if "depth" in p:
        p["depth"] = array((s * got["depth"].astype(float)).astype(np.float32))
    if "pose" in p:
        at, turn = got["pose"][:3].astype(float), got["pose"][3:7].astype(float)
        new = product(turn / np.linalg.norm(turn), q * [-1, -1, -1, 1] / np.linalg.norm(q))
        p["pose"] = array(np.array([*(s * at - rotation(new) @ t), *new, *got["pose"][7:]], np.float32))
    return p


def main():
    source, corrected, plain, *specs = sys.argv[1:]
    specs = [parse(x) for x in specs]
    correct = lambda i, spec, wrong: message(10, {"i": i, "from": spec[0], "to": spec[1],
                                                  "sim": [spec[2] * wrong, *map(float, spec[3]), *map(float, spec[4] * wrong)]})
    last = -1
    with open(corrected, "wb") as a, open(plain, "wb") as b:
        for kind, m in messages(source):
            if kind == 6:
                for x in specs:
                    a.write(correct(last, x, 1.0))
            a.write(message(kind, {**m, "corrects": 1} if kind == 1 else m))
            done = m
            if kind == 3:
                last = m["i"]
                for x in specs:
                    if x[0] <= last <= x[1]:
                        done = applied(m, *x[2:])
                    if x[1] == last:
                        a.write(correct(last, x, 7.0))
            b.write(message(kind, done))


main()

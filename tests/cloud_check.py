#!/usr/bin/python3
"""Reads clouds that e3-export wrote, with numpy alone: cloud_check.py WHAT ARGUMENT...

axes PLAIN TURNED AXES STREAM   TURNED is PLAIN in other axes, upright as the first camera of the stream
normals PLY STREAM              of the predictions of tests/splat_check.py views: flat where the room is, towards the cameras
without WITH PLAIN              the same but for the normals
finite PLY                      every number is
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


def normals(path, stream):
    """In one direction over a wall, where Open3D or a mesh would have it; the neighbour's difference is the truth."""
    _, v = ply(path)
    preds = e3read.messages(stream, "pred")
    n, x = stack(v, "nx", "ny", "nz"), stack(v, *"xyz")
    length = np.linalg.norm(n, axis=1)
    have = length > 0
    need(have.mean() > 0.9 and np.abs(length[have] - 1).max() < 1e-5, f"lengths; {have.mean()} known")
    at = 0
    for p in preds:
        h, w = p["h"], p["w"]
        part, where = n[at:at + h * w].reshape(h, w, 3), x[at:at + h * w].reshape(h, w, 3)
        at += h * w
        camera = -make_pred.rotation(np.asarray(p["pose"][3:7], float)).T @ np.asarray(p["pose"][:3], float)
        need(((part * (camera - where)).sum(-1)[np.linalg.norm(part, axis=-1) > 0] > 0).all(), "away from the camera")
        across, down = where[1:-1, 2:] - where[1:-1, :-2], where[2:, 1:-1] - where[:-2, 1:-1]
        want = np.cross(down, across)
        want /= np.linalg.norm(want, axis=-1, keepdims=True)
        angle = np.degrees(np.arccos(np.clip(np.abs((want * part[1:-1, 1:-1]).sum(-1)), 0, 1)))
        need(np.percentile(angle, 80) < 2, f"frame {p['i']}: 80 % of the normals within {np.percentile(angle, 80)} degrees")
    print(f"{have.sum()} of {len(v)} normals, 80 % within {np.percentile(angle, 80):.2f} degrees")


def without(path, plain):
    (_, a), (_, b) = ply(path), ply(plain)
    need(set(a.dtype.names) - set(b.dtype.names) == {"nx", "ny", "nz"}, f"{a.dtype.names} {b.dtype.names}")
    need(all(np.array_equal(a[k], b[k]) for k in b.dtype.names), "other properties")


def finite(path):
    _, v = ply(path)
    need(all(np.isfinite(v[k]).all() for k in v.dtype.names), "not finite")


if __name__ == "__main__":
    {"axes": axes, "normals": normals, "without": without, "finite": finite}[sys.argv[1]](*sys.argv[2:])

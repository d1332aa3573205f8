#!/usr/bin/python3
"""Writes a prediction stream of a made-up scene, independently of the C code: make_pred.py OUT [KEY=VALUE]... OUT may be "-".

A camera moves along x past a wavy wall; depth, point map, poses and confidences agree with each other. Keys: frames w h seed;
src_w src_h fit (sx,sy,tx,ty); without (comma list of pose depth points); nan (points spoiled per frame); conf (all confidences);
colour (all pixels, r,g,b); end=0 leaves the end out; abort=TEXT ends with an abort instead; repeat=N goes through the frames N
times, with new numbers.
"""
import struct
import sys

import msgpack
import numpy as np


def array(v):
    kinds = {"float32": "f32", "uint8": "u8"}
    v = np.ascontiguousarray(v)
    return {"dtype": kinds[str(v.dtype)], "shape": list(v.shape), "data": v.tobytes()}


def message(kind, fields):
    body = msgpack.packb(fields)
    return struct.pack(">BIB", 0xC9, len(body), kind) + body


def rotation(q):
    x, y, z, w = q
    s = 2 / (x * x + y * y + z * z + w * w)
    return np.array([[1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
                     [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
                     [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)]])


def scene(frames=3, w=24, h=16, seed=1, src_w=0, src_h=0, fit=None, without="", nan=0, conf=None, colour=None, **_):
    """The fields of each pred, with numpy arrays."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[0:h, 0:w]
    for i in range(frames):
        q = np.array([0.02 * i, -0.05 * i, 0.01, 1.1])
        t = np.array([0.3 * i, -0.02 * i, 0.01 * i])
        pose = np.array([*t, *q, 0.8, 1.0 + 0.001 * i], np.float32)
        t, q = pose[:3].astype(float), pose[3:7].astype(float)
        fy, fx = h / 2 / np.tan(float(pose[7]) / 2), w / 2 / np.tan(float(pose[8]) / 2)
        depth = (3 + np.sin(u / 5 + i) + 0.5 * np.cos(v / 3)).astype(np.float32)
        cam = np.stack([(u + 0.5 - w / 2) * depth / fx, (v + 0.5 - h / 2) * depth / fy, depth], -1).astype(float)
        points = ((cam - t) @ rotation(q)).astype(np.float32)
        sure = (1 + rng.exponential(2, (h, w))).astype(np.float32)
        rgb = rng.integers(0, 256, (h, w, 3)).astype(np.uint8)
        if conf is not None:
            sure[:] = conf
        if colour is not None:
            rgb[:] = colour
        for k in rng.choice(h * w, nan, replace=False):
            points.reshape(-1, 3)[k, k % 3] = np.nan if k % 2 else np.inf
        p = {"i": i, "pts": 0.5 * i, "src_i": 15 * i, "src_w": src_w or w, "src_h": src_h or h, "rot": 0,
             "fit": fit or [1.0, 1.0, 0.0, 0.0], "w": w, "h": h, "rgb": rgb, "pose": pose,
             "depth": depth, "depth_conf": (sure * np.float32(1.25)).astype(np.float32), "points": points, "points_conf": sure,
             "ms": 1.5}
        for name in without.split(","):
            p.pop(name, None)
            p.pop(name + "_conf", None)
        yield p


def head(frames):
    return {"v": 1, "tool": "make_pred", "version": "1", "source": "made up", "frames": frames, "fps": 2.0, "model": "none",
            "layers": 2, "tokens_per_frame": 11, "patch_grid": [2, 3], "policy": "none", "budget": None, "device": "cpu",
            "kv_token_bytes": 64}


def write(to, preds, options):
    to.write(message(1, head(options.get("frames", 3) * options.get("repeat", 1))))
    packed = [{k: array(v) if isinstance(v, np.ndarray) else v for k, v in p.items()} for p in preds]
    n = 0
    for _ in range(options.get("repeat", 1)):
        for p in packed:
            to.write(message(3, {**p, "i": p["i"] + n, "src_i": p["src_i"] + 15 * n, "pts": p["pts"] + 0.5 * n}))
        n += len(packed)
    if "abort" in options:
        to.write(message(7, {"tool": "e3-infer", "code": 1, "text": options["abort"]}))
    elif options.get("end", 1):
        to.write(message(6, {"frames": n, "seconds": 1.0, "peak_rss": 1, "cache_now": 1, "cache_peak": 2, "cache_full": 3}))


def parse(words):
    out = {}
    for word in words:
        key, value = word.split("=", 1)
        if key in ("fit", "colour"):
            out[key] = [float(x) if key == "fit" else int(x) for x in value.split(",")]
        elif key in ("without", "abort"):
            out[key] = value
        else:
            out[key] = float(value) if key == "conf" else int(value)
    return out


if __name__ == "__main__":
    chosen = parse(sys.argv[2:])
    with open(1 if sys.argv[1] == "-" else sys.argv[1], "wb", closefd=sys.argv[1] != "-") as out:
        write(out, scene(**chosen), chosen)

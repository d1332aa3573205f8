#!/usr/bin/python3
"""Writes the streams of tests/wire_samples.h with Python's msgpack: golden.py >golden.e3; golden.py --segments >segments.e3, a
stream in segments that is corrected. An independent witness of the format.

golden.py FOLDER writes the seeds of the fuzz target instead: each kind of message after a head, and small hostile bodies.
"""
import os
import struct
import sys

import msgpack
import numpy as np

KIND = {"head": 1, "frame": 2, "pred": 3, "evict": 4, "attn": 5, "end": 6, "abort": 7, "truth": 8, "mask": 9, "correct": 10, "edge": 11}
W, H = 6, 4
NAN = float("nan")


class Single(float):
    """A real number that travels as 32 bits."""


def array(values, dtype, shape):
    name = {"u1": "u8", "<u4": "u32", "<f2": "f16", "<f4": "f32"}[dtype]
    return {"dtype": name, "shape": list(shape), "data": np.asarray(values).astype(dtype).tobytes()}


def pack(value):
    """msgpack.packb, except that Single becomes a 32-bit float."""
    if isinstance(value, Single):
        return msgpack.packb(float(value), use_single_float=True)
    if isinstance(value, dict):
        return msgpack.Packer().pack_map_header(len(value)) + b"".join(msgpack.packb(k) + pack(v) for k, v in value.items())
    if isinstance(value, list):
        return msgpack.Packer().pack_array_header(len(value)) + b"".join(map(pack, value))
    return msgpack.packb(value)


def message(kind, **fields):
    body = pack(fields)
    return struct.pack(">BIB", 0xC9, len(body), KIND[kind]) + body


def source(i):
    return {"i": i, "pts": 0.5 * i, "src_i": 15 * i, "src_w": 1920, "src_h": 1080, "rot": 90, "fit": [0.25, 0.5, -1.5, 2.0],
            "w": W, "h": H}


def rgb(i):
    return array((np.arange(W * H * 3) * 7 + 31 * i) % 256, "u1", (H, W, 3))


def dense(shape, dtype="<f4"):
    v = np.arange(np.prod(shape), dtype=np.float32) / 8 - 3
    v[1] = np.nan
    if v.size > 2:
        v[2] = np.inf
    return array(v, dtype, shape)


def pred(i, dtype, name={}, **more):
    return message("pred", **source(i), **name, rgb=rgb(i), pose=array([1, 2, 3, 0, 0, 0.5, -1, 0.75, 1.25], "<f4", (9,)),
                   depth=dense((H, W), dtype), depth_conf=dense((H, W), dtype), points=dense((H, W, 3), dtype),
                   points_conf=dense((H, W), dtype), ms=12.5, **more)


def layer(k):
    return {"layer": k, "k_before": 1564, "k_after": 1564 if k else 1561, "budget": 1560.25, "alpha": 0.5, "variance": 0.125,
            "saturated": 7, "protected": 787, "score_q": array([NAN] * 9 if k else np.arange(9), "<f4", (9,)),
            "max_evicted": Single(NAN if k else 0.5), "min_kept": Single(NAN if k else 0.625),
            "removed": array([] if k else [790, 1000, 70001], "<u4", (0 if k else 3,))}


def head(**more):
    return message("head", v=1, tool="e3-infer", version="0.1.0", source="clip.mp4", frames=2, fps=2.5, model="tiny", layers=24,
                   tokens_per_frame=782, patch_grid=[21, 37], policy="evict3r", budget=70000, device="cpu", kv_token_bytes=8192, **more)


def attn(i, **more):
    return message("attn", i=i, **more, layer=11, key=array([0, 5, 783], "<u4", (3,)), mass=dense((3,)), frame_mass=dense((2,)),
                   map=dense((2, 3)))


def end():
    return message("end", frames=2, seconds=1.75, peak_rss=1 << 33, cache_now=1000, cache_peak=2000, cache_full=(1 << 64) - 1)


def segments():
    yield head(corrects=1)
    yield pred(0, "<f4", segment=0, world=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    yield pred(1, "<f4", {"name": "IMG_0001.jpg"}, segment=1, world=[0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, -2.0])
    yield message("evict", i=1, segment=1, first=1, layers=[layer(0), layer(1)])
    yield message("evict", i=1, layers=[layer(0), layer(1)])
    yield attn(2, segment=1, first=1)
    yield message("edge", i=1, type="loop", a=0, b=1, frames=[0, 1], sim=[1.25, 0.0, 0.0, 0.5, 0.5, -1.0, 2.5, 3.0],
                  sigma=[0.015625, 0.0625, 0.03125])
    yield message("correct", i=1, **{"from": 0}, to=1, sim=[0.75, 0.0, 0.0, 0.0, 1.0, 0.125, 0.0, -4.0])
    yield end()


def stream():
    yield head()
    yield message("frame", **source(0), rgb=rgb(0))
    yield message("truth", i=0, w=W, h=H, depth=dense((H, W)), pose=array([0, 0, 0, 0, 0, 0, 1, 1, 1.5], "<f4", (9,)),
                  intrinsics=[500.5, 501.0, 3.0, 2.0], unit="m")
    yield message("mask", i=0, **{"class": "sky"}, fit=[0.125, 0.25, 0.0, -1.0], mask=array([255, 0, 255, 0, 255, 0], "u1", (2, 3)))
    yield pred(0, "<f4")
    yield message("evict", i=0, layers=[layer(0), layer(1)])
    yield attn(0)
    yield pred(1, "<f2")
    yield end()


def seeds():
    """Name and bytes of the corpus in tests/fuzz/corpus/stream."""
    messages = list(stream())
    head, end = messages[0], message("end", frames=0, seconds=0.5)
    for k, part in enumerate(list(segments())[2:-1], 2):
        name = next(k for k, v in KIND.items() if v == part[5])
        yield f"segments-{name}-{k}", next(segments()) + part + message("end", frames=int(name == "pred"), seconds=0.5)
    for part in messages[1:-1]:
        kind = part[5]
        name = next(k for k, v in KIND.items() if v == kind)
        i = messages.index(part)
        yield f"{name}-{i}", head + part + message("end", frames=int(kind in (2, 3)), seconds=0.5)
    yield "abort", message("abort", tool="e3-decode", code=1, text="opening: x: No such file or directory")
    yield "small-head", message("head", v=1, tool="", version="", source="-", frames=None, fps=0.0) + end
    yield "unknown-keys", head + message("truth", i=0, new={"deep": [1, [None, True], msgpack.ExtType(5, b"x")]}) + end
    for name, body in {"huge-array": b"\xdd\x0f\xff\xff\xff", "huge-map": b"\xdf\xff\xff\xff\xff", "deep": b"\x81\xa1x" + b"\x91" * 20,
                       "huge-bin": b"\x81\xa1x\xc6\xff\xff\xff\xff", "reserved": b"\x81\xa1x\xc1", "empty": b""}.items():
        yield name, head + struct.pack(">BIB", 0xC9, len(body), KIND["frame"]) + body
    yield "claims-512M", head + struct.pack(">BIB", 0xC9, 512 << 20, KIND["pred"]) + b"\x80"


if __name__ == "__main__":
    if sys.argv[1:] == ["--segments"]:
        sys.stdout.buffer.write(b"".join(segments()))
    elif len(sys.argv) > 1:
        for name, data in seeds():
            with open(os.path.join(sys.argv[1], name), "wb") as f:
                f.write(data)
    else:
        sys.stdout.buffer.write(b"".join(stream()))

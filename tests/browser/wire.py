"""The wire of e3-view's page (e3-view(5)), written independently of the C and JavaScript code: records packed, and read."""
import io
import json
import struct

import numpy as np
from PIL import Image

HELLO, FRAME, PICTURE, DEPTH, CONFIDENCE, KEPT, CORRECT, CHUNK, STATUS = range(1, 10)
HEADER = struct.Struct("<IBBHII")
FRAME_BODY = struct.Struct("<3d16f2H2f2I")
POSE, HAS_PICTURE, HAS_DEPTH, HAS_KEPT, HAS_CHUNK = 1, 2, 4, 8, 16
POINT = np.dtype([("at", "<u2", 3), ("rgb", "u1", 3), ("sure", "u1")])


def record(kind, body, run=0, n=0, flags=0, seq=0):
    size = -(-(HEADER.size + len(body)) // 4) * 4
    return (HEADER.pack(size, kind, run, flags, n, seq) + body).ljust(size, b"\0")


def in_json(kind, value, **more):
    return record(kind, json.dumps(value).encode(), **more)


def numbered(data, seq):
    """The same record with this sequence number."""
    return data[:12] + struct.pack("<I", seq) + data[16:]


def rotation(q):
    x, y, z, w = np.asarray(q, float) / np.linalg.norm(q)
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                     [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                     [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def camera(p):
    """Of a prediction: camera to world as 3 x 4, and fx, fy, cx, cy in pixels whose centres are at whole numbers."""
    r = rotation(p["pose"][3:7])
    k = [p["w"] / 2 / np.tan(p["pose"][8] / 2), p["h"] / 2 / np.tan(p["pose"][7] / 2), p["w"] / 2, p["h"] / 2]
    return np.hstack([r.T, (-r.T @ p["pose"][:3].astype(float))[:, None]]), k


def points(p, step=1):
    """Of a prediction: points in its camera's space, n x 3, their colours and their rows in the picture."""
    _, k = camera(p)
    v, u = (x.ravel() for x in np.mgrid[0:p["h"]:step, 0:p["w"]:step])
    d = p["depth"][v, u].astype(float)
    good = np.isfinite(d) & (d > 0)
    v, u, d = v[good], u[good], d[good]
    return np.stack([(u + 0.5 - k[2]) * d / k[0], (v + 0.5 - k[3]) * d / k[1], d], -1), p["rgb"][v, u], p["depth_conf"][v, u]


def image(kind, a):
    to = io.BytesIO()
    Image.fromarray(a).save(to, kind)
    return to.getvalue()


def ramp(values, first):
    """8 bit of a range: bytes first..255, and the range."""
    good = np.isfinite(values)
    lo, hi = (float(values[good].min()), float(values[good].max())) if good.any() else (0.0, 1.0)
    scale = (255 - first) / (hi - lo) if hi > lo else 0
    return np.where(good, np.rint(first + (np.where(good, values, lo) - lo) * scale), 0).astype(np.uint8), lo, hi


def hello(head, live=True, epoch="5eed", more=(), frames=None):
    runs = [{"name": f"run {k}", "source": h["source"], "model": h["model"], "policy": h["policy"], "budget_bytes": None,
             "device": h["device"], "layers": h["layers"], "tokens_per_frame": h["tokens_per_frame"],
             "special": h["tokens_per_frame"] - h["patch_grid"][0] * h["patch_grid"][1], "patch_grid": h["patch_grid"],
             "kv_token_bytes": h["kv_token_bytes"], "fps": h["fps"], "frames": frames} for k, h in enumerate([head, *more])]
    return in_json(HELLO, {"protocol": 1, "version": "0", "epoch": epoch, "live": live, "runs": runs, "points": 10000000})


def of_prediction(p, n, run=0, chunk=True, step=1, seed=1):
    """All records of one prediction: frame, picture, depth, confidence, chunk."""
    to_world, k = camera(p)
    flags = POSE | HAS_PICTURE | HAS_DEPTH | (HAS_CHUNK if chunk else 0)
    body = FRAME_BODY.pack(p["i"], p["pts"], p.get("t_capture", 0), *to_world.ravel(), k[0] / p["w"], k[1] / p["h"], k[2] / p["w"],
                           k[3] / p["h"], p["w"], p["h"], p["ms"], p.get("latency", 0), 0, p.get("segment", 0))
    yield record(FRAME, body, run, n, flags)
    yield record(PICTURE, image("JPEG", p["rgb"]), run, n)
    with np.errstate(divide="ignore"):
        for kind, values, first in (DEPTH, 1 / p["depth"].astype(float), 1), (CONFIDENCE, np.log(p["depth_conf"].astype(float)), 0):
            a, lo, hi = ramp(values, first)
            yield record(kind, struct.pack("<HHff", p["w"], p["h"], lo, hi) + image("PNG", a), run, n)
    if chunk:
        xyz, rgb, sure = points(p, step)
        order = np.random.default_rng(seed).permutation(len(xyz))
        low, size = xyz.min(0), np.maximum(xyz.max(0) - xyz.min(0), 1e-12)
        out = np.zeros(len(xyz), POINT)
        out["at"] = np.rint((xyz - low) / size * 65535)[order]
        out["rgb"] = rgb[order]
        level, _, _ = ramp(np.log(sure.astype(float)), 0)
        out["sure"] = (level[order] >> 3) << 3
        yield record(CHUNK, struct.pack("<3I6f", len(out), 0, len(out), *low, *size) + out.tobytes(), run, n)


def kept(n, rows, cols, layers, entries, full=True, run=0):
    """entries: {frame: [layers that hold each patch]}."""
    body = struct.pack("<4HI", rows, cols, layers, full, len(entries))
    for frame, held in entries.items():
        some = [(k, c) for k, c in enumerate(held) if c]
        body += struct.pack("<3I", frame, sum(c for _, c in some), len(some)) + b"".join(struct.pack("<HBB", k, c, 0) for k, c in some)
    return record(KEPT, body, run, n)


def correct(first, last, s=1.0, q=(0, 0, 0, 1), t=(0, 0, 0), run=0, n=0):
    return record(CORRECT, struct.pack("<10d", first, last, s, *q, *t), run, n)


def status(frames, state="live", **more):
    import time
    return in_json(STATUS, {"frames": frames, "fps": 2.0, "ms": 1.5, "latency": 0, "cache": 0, "budget": 0, "dropped": 0, "clients": 1,
                            "state": state, "reason": "", "clock": time.time(), **more})


def read(data):
    """Every record of a byte string: (kind, run, flags, n, seq, body)."""
    at = 0
    while at < len(data):
        size, kind, run, flags, n, seq = HEADER.unpack_from(data, at)
        if size % 4 or size < HEADER.size or at + size > len(data):
            raise ValueError(f"record of {size} bytes at byte {at} of {len(data)}")
        yield kind, run, flags, n, seq, data[at + HEADER.size:at + size]
        at += size


def read_chunk(body):
    """Of a chunk: points in the camera's space, colours, offset and total."""
    count, offset, total = struct.unpack_from("<3I", body)
    low, size = np.frombuffer(body, "<f4", 3, 12).astype(float), np.frombuffer(body, "<f4", 3, 24).astype(float)
    a = np.frombuffer(body, POINT, count, 36)
    return low + size * a["at"] / 65535, a["rgb"], offset, total

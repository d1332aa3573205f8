"""Reads e3 streams and safetensors for the checks in this folder: an independent reader, on msgpack and numpy only."""
import json
import struct

import numpy as np

from e3raw import raw

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U32": "<u4", "U16": "<u2", "U8": "u1",
         "f32": "<f4", "f16": "<f2", "u32": "<u4", "u8": "u1"}


def arrays(value):
    """Replaces {dtype, shape, data} maps by numpy arrays, at any depth."""
    if isinstance(value, dict):
        if value.keys() == {"dtype", "shape", "data"}:
            return np.frombuffer(value["data"], TYPES[value["dtype"]]).reshape(value["shape"])
        return {k: arrays(v) for k, v in value.items()}
    if isinstance(value, list):
        return [arrays(v) for v in value]
    return value


def stream(path):
    """Yields (kind, fields) of every message; the stream must be complete."""
    for kind, fields in raw(path):
        yield kind, arrays(fields)


def messages(path, kind):
    return [m for k, m in stream(path) if k == kind]


def safetensors(path):
    with open(path, "rb") as f:
        raw = f.read()
    n = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, t in json.loads(raw[8:8 + n]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            out[name] = np.frombuffer(raw[8 + n + a:8 + n + b], TYPES[t["dtype"]]).reshape(t["shape"])
    return out


def relative(a, b):
    """Relative L2 distance of a from the reference b; infinite when a holds anything non-finite."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise SystemExit(f"shapes differ: {a.shape}, expected {b.shape}")
    if not np.isfinite(a).all():
        return float("inf")
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))


def camera(pose):
    """[R|T] of a pose T, quaternion xyzw, ... (doc/network.md 6)."""
    t, (x, y, z, w) = np.asarray(pose[:3], float), np.asarray(pose[3:7], float)
    k = 2 / (x * x + y * y + z * z + w * w)
    r = np.array([[1 - k * (y * y + z * z), k * (x * y - z * w), k * (x * z + y * w)],
                  [k * (x * y + z * w), 1 - k * (x * x + z * z), k * (y * z - x * w)],
                  [k * (x * z - y * w), k * (y * z + x * w), 1 - k * (x * x + y * y)]])
    return np.hstack([r, t[:, None]])

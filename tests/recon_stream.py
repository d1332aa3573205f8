#!/usr/bin/python3
"""Streams for the tests of e3-eval recon, and the same figures by numpy.

recon_stream.py predict IN OUT [CODE]   the truth of a frame stream as predictions: depth, camera, and points in the first camera's frame.
                                        CODE changes `p` [h,w,3], `d` [h,w] and the camera's position `c` of the frame `i`; `rng` is there
recon_stream.py judge STREAM JSON PLY NAME [KEY=VALUE]...
                                        the report of e3-eval recon --json --ply PLY on it, all by brute force. crop=224 icp=0.1 proj=0
"""
import json
import sys

import numpy as np

from e3read import stream
from make_pred import array, head, message, rotation


def camera(pose):
    pose = np.asarray(pose, float)
    return rotation(pose[3:7]), pose[:3]


def unproject(d, k, pose):
    """World points of a depth map."""
    r, t = camera(pose)
    v, u = np.mgrid[0:d.shape[0], 0:d.shape[1]]
    x = np.stack([(u - k[2]) * d / k[0], (v - k[3]) * d / k[1], d.astype(float)], -1)
    return (x - t) @ r


def predict(source, to, code=""):
    first, frame, out, rng = None, {}, [], np.random.default_rng(1)
    for kind, m in stream(source):
        if kind == "frame":
            frame[m["i"]] = m
        elif kind == "truth":
            f, k, pose = frame[m["i"]], np.array(m["intrinsics"]), m["pose"].astype(float)
            first = first or camera(pose)
            r = camera(pose)[0]
            scope = {"np": np, "i": m["i"], "rng": rng, "d": m["depth"].astype(float), "c": -r.T @ pose[:3],
                     "p": unproject(m["depth"].astype(float), k, pose) @ first[0].T + first[1]}
            exec(code, scope)
            h, w = m["depth"].shape
            fov = 2 * np.arctan([h / 2 / k[1], w / 2 / k[0]])
            p = {key: f[key] for key in ("i", "pts", "src_i", "src_w", "src_h", "rot", "fit", "w", "h")}
            p.update(rgb=array(f["rgb"]), pose=array(np.array([*(-r @ scope["c"]), *pose[3:7], *fov], np.float32)),
                     depth=array(scope["d"].astype(np.float32)), points=array(scope["p"].astype(np.float32)), ms=1.0)
            p["depth_conf"] = p["points_conf"] = array(np.ones((h, w), np.float32))
            out += [message(3, p), message(8, {key: array(v) if isinstance(v, np.ndarray) else v for key, v in m.items()})]
        elif kind == "head":
            first_message = message(1, dict(head(0), source=m["source"]))
    with open(to, "wb") as file:
        file.write(b"".join([first_message, *out, message(6, {"frames": len(out) // 2, "seconds": 1.0})]))


# --- the figures, by numpy ---

def lower(x):
    return np.sort(x)[(len(x) - 1) // 2]


def neighbours(a, b, k=1):
    """Of each of a the k nearest of b: rows and distances."""
    row = np.empty((len(a), k), int)
    for at in range(0, len(a), 256):
        d = ((a[at:at + 256, None] - b[None]) ** 2).sum(-1)
        row[at:at + 256] = np.argpartition(d, k - 1, axis=1)[:, :k] if k > 1 else d.argmin(1)[:, None]
    return row, np.sqrt(((a[:, None] - b[row]) ** 2).sum(-1))


def umeyama(x, y, scale):
    mx, my = x.mean(0), y.mean(0)
    u, s, vt = np.linalg.svd((y - my).T @ (x - mx) / len(x))
    sign = np.diag([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    r, c = u @ sign @ vt, (np.diag(s) @ sign).trace() / ((x - mx) ** 2).sum(1).mean() if scale else 1.0
    return c, r, my - c * r @ mx


def icp(x, y, radius):
    steps, before = 0, None
    while True:
        row, d = (v[:, 0] for v in neighbours(x, y))
        ok = d < radius
        now = ok.mean(), np.sqrt((d[ok] ** 2).mean()) if ok.any() else 0.0
        if steps == 30 or (steps and abs(now[0] - before[0]) < 1e-6 and abs(now[1] - before[1]) < 1e-6):
            return x, steps, now
        if ok.any():
            _, r, t = umeyama(x[ok], y[row[ok]], False)
            x = x @ r.T + t
        steps, before = steps + 1, now


def normals(x):
    row, _ = neighbours(x, x, 30)
    p = x[row] - x[row].mean(1, keepdims=True)
    return np.linalg.eigh(np.einsum("nki,nkj->nij", p, p) / 30)[1][:, :, 0]


def ply(path):
    """Colours and coordinates, by what the header says."""
    raw = open(path, "rb").read()
    at = raw.index(b"end_header\n") + 11
    lines = [x.split() for x in raw[:at].decode("ascii").splitlines()]
    assert lines[0] == ["ply"] and lines[1] == ["format", "binary_little_endian", "1.0"], lines
    kinds = {"double": "<f8", "float": "<f4", "uchar": "u1"}
    data = np.frombuffer(raw[at:], [(x[2], kinds[x[1]]) for x in lines if x[0] == "property"])
    assert len(data) == int([x for x in lines if x[0] == "element"][0][2])
    return np.stack([data[k] for k in "xyz"], 1), np.stack([data[k] for k in ("red", "green", "blue")], 1)


def clouds(path, o):
    """Predicted and true points, colours, what is inside the crop."""
    pred, truth = {}, {}
    for kind, m in stream(path):
        if kind in ("pred", "truth"):
            (pred if kind == "pred" else truth)[m["i"]] = m
    out, first = [], None
    for i in sorted(truth):
        p, t = pred[i], truth[i]
        first = first or camera(t["pose"])
        h, w = t["depth"].shape
        gt = unproject(t["depth"], t["intrinsics"], t["pose"]) @ first[0].T + first[1]
        fov = p["pose"][7:].astype(float)
        k = [w / 2 / np.tan(fov[1] / 2), h / 2 / np.tan(fov[0] / 2), w / 2, h / 2]
        x = unproject(p["depth"], k, p["pose"]) if o["proj"] else p["points"].astype(float)
        v, u = np.mgrid[0:h, 0:w]
        half = o["crop"] // 2
        inside = (u >= w // 2 - half) & (u < w // 2 + half) & (v >= h // 2 - half) & (v < h // 2 + half)
        ok = t["depth"] > 0
        out.append((x[ok], gt[ok], p["rgb"][ok], inside[ok]))
    return (np.concatenate(v) for v in zip(*out))


def judge(path, report, folder, name, o):
    x, y, rgb, inside = clouds(path, o)
    size = []
    for c in (x, y):
        c[:, 2] -= lower(c[:, 2])
        size.append(lower(np.linalg.norm(c - [lower(c[:, a]) for a in range(3)], axis=1)))
    x = x * (size[1] / size[0])
    x, y, rgb = x[inside], y[inside], rgb[inside]
    if o["proj"]:
        c, r, t = umeyama(x, y, True)
        x = c * x @ r.T + t
    moved, steps, (fitness, rmse) = icp(x, y, o["icp"])
    n, m = normals(moved), normals(y)
    a, da = (v[:, 0] for v in neighbours(moved, y))
    b, db = (v[:, 0] for v in neighbours(y, moved))
    na, nb = abs((n * m[a]).sum(1)), abs((m * n[b]).sum(1))
    want = {"points": len(x), "scale": size[1] / size[0], "fitness": fitness, "rmse": rmse, "steps": steps, "acc": da.mean(),
            "acc_med": np.median(da), "comp": db.mean(), "comp_med": np.median(db), "nc1": na.mean(), "nc1_med": np.median(na), "nc2": nb.mean(),
            "nc2_med": np.median(nb), "nc": (na.mean() + nb.mean()) / 2}
    got = json.load(open(report))["sequences"][0]["recon"]["points"]
    for key, value in want.items():
        within = 1e-4 if key.startswith("nc") else 2e-6 # neighbours of a normal may be as far away as others; the streams are float32
        if not abs(got[key] - value) <= within * max(1, abs(value)):
            raise SystemExit(f"{key}: {got[key]!r}, numpy says {value!r}")
    for end, points in (("-gt", y), ("-mask", x), ("-mask_align", moved)):
        xyz, colour = ply(f"{folder}/{name}{end}.ply")
        assert np.abs(xyz - points).max() < 1e-5, (end, np.abs(xyz - points).max())
        assert (colour == rgb).all(), end
    print("#", {k: round(float(v), 6) for k, v in want.items()})


def main(args):
    if args[0] == "predict":
        predict(*args[1:])
        return
    o = {"crop": 224, "icp": 0.1, "proj": 0}
    for word in args[5:]:
        key, value = word.split("=", 1)
        o[key] = type(o[key])(value)
    judge(*args[1:5], o)


if __name__ == "__main__":
    main(sys.argv[1:])

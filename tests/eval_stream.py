#!/usr/bin/python3
"""Streams with truth for the tests of e3-eval, and the same figures by numpy.

eval_stream.py write OUT [KEY=VALUE]... [-- OUT [KEY=VALUE]...]...     prediction streams with truth
eval_stream.py predict IN OUT OFF         the truth of a frame stream as predictions of the truth's size, and with known errors: depth x 1.1,
                                          positions x 2, cameras turned by 5 degrees about their own z
eval_stream.py judge STREAM JSON [CAP]    the report of e3-eval --json on it (--align median,scale,metric,lstsq) against numpy

Keys of write: frames w h (of the prediction), tw th (of the truth; its depth is constant then), src_w src_h fit, seed;
depth=A,B,NOISE: predicted depth is A x truth + B, times (1 + NOISE x normal); depth_at=wave|checker|ramp; path=S: predicted positions are
S x the true ones; turn=DEGREES: predicted cameras are turned about their own z by that much; jitter: noise of predicted positions;
order=before|after: truth before or after its prediction; holes: pixels without truth a frame; nan: pixels predicted NaN in frame 1;
truth=all|none|odd|depth|pose; name: the source; still=1: the camera does not move; unit.
"""
import json
import sys

import numpy as np

from e3read import stream
from make_pred import array, head, message, rotation


def quaternion(axis, angle):
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    return np.array([*(np.sin(angle / 2) * axis), np.cos(angle / 2)])


def product(a, b):
    x, y, z, w = a
    p, q, r, s = b
    return np.array([w * p + x * s + y * r - z * q, w * q - x * r + y * s + z * p, w * r + x * q - y * p + z * s,
                     w * s - x * p - y * q - z * r])


def camera(i, still):
    """World from camera: position and quaternion."""
    t = 0 if still else i
    return np.array([0.3 * t, 0.1 * np.sin(t), 0.05 * t * t]), quaternion([0.2, 1, 0.1], 0.06 * t + 0.01)


def encode(c, q):
    q = np.array([-q[0], -q[1], -q[2], q[3]])
    return np.array([*(-rotation(q) @ c), *q, 0.8, 1.0], np.float32)


def frames(o):
    rng = np.random.default_rng(o["seed"])
    a, b, noise = (float(x) for x in o["depth"].split(","))
    for i in range(o["frames"]):
        v, u = np.mgrid[0:o["h"], 0:o["w"]]
        depth = 3 + np.sin(u / 5 + i) + 0.5 * np.cos(v / 3)
        truth = depth
        if o["depth_at"] == "ramp":
            depth = 2 + 0.01 * u + 0.02 * v
        if o["tw"]:
            depth, truth = np.full_like(depth, 2.5), np.full((o["th"], o["tw"]), 2.5)
        pred = (a * depth + b) * (1 + noise * rng.normal(size=depth.shape))
        if o["depth_at"] == "checker":
            pred = depth * np.where((u + v) % 2, 1.1, 0.9)
        truth = truth.astype(np.float32)
        truth.reshape(-1)[rng.choice(truth.size, o["holes"], replace=False)] = 0
        pred = pred.astype(np.float32)
        if i == 1:
            pred.reshape(-1)[rng.choice(pred.size, o["nan"], replace=False)] = np.nan
        c, q = camera(i, o["still"])
        turned = product(q, quaternion([0, 0, 1], np.radians(o["turn"])))
        moved = o["path"] * c + o["jitter"] * rng.normal(size=3)
        yield i, pred, encode(moved, turned), truth, encode(c, q)


def write(path, o):
    with open(path, "wb") as to:
        h = head(o["frames"])
        h["source"] = o["name"]
        to.write(message(1, h))
        for i, pred, pose, truth, true_pose in frames(o):
            p = {"i": i, "pts": 0.5 * i, "src_i": i, "src_w": o["src_w"] or o["w"], "src_h": o["src_h"] or o["h"], "rot": 0,
                 "fit": [float(x) for x in o["fit"].split(",")], "w": o["w"], "h": o["h"],
                 "rgb": array(np.full((o["h"], o["w"], 3), 40 * (i % 6), np.uint8)), "pose": array(pose), "depth": array(pred),
                 "depth_conf": array(np.ones_like(pred)), "ms": 1.5}
            t = {"i": i, "w": truth.shape[1], "h": truth.shape[0], "depth": array(truth), "pose": array(true_pose)}
            if o["unit"]:
                t["unit"] = o["unit"]
            for part in ("depth", "pose"):
                if o["truth"] in ("depth", "pose") and part != o["truth"]:
                    t.pop(part)
            told = o["truth"] != "none" and not (o["truth"] == "odd" and i % 2 == 0)
            if told and o["order"] == "before":
                to.write(message(8, t))
            to.write(message(3, p))
            if told and o["order"] == "after":
                to.write(message(8, t))
        to.write(message(6, {"frames": o["frames"], "seconds": 1.0, "peak_rss": 1, "cache_now": 1, "cache_peak": 2 << 20,
                             "cache_full": 3 << 20}))


def predict(source, perfect, off):
    """Reads frames with truth."""
    frame, preds = {}, []
    for kind, m in stream(source):
        if kind == "frame":
            frame[m["i"]] = m
        elif kind == "truth":
            f = frame[m["i"]]
            h, w = m["depth"].shape if "depth" in m else (f["h"], f["w"])
            p = {k: f[k] for k in ("i", "pts", "src_i", "src_w", "src_h", "rot")}
            p.update(fit=[1.0, 1.0, 0.0, 0.0], w=w, h=h, rgb=array(np.zeros((h, w, 3), np.uint8)), ms=1.0)
            preds.append((p, m))
    for path, factor, move, turn in ((perfect, 1.0, 1.0, 0.0), (off, 1.1, 2.0, 5.0)):
        with open(path, "wb") as to:
            to.write(message(1, head(len(preds))))
            for p, m in preds:
                told = {k: array(v) if isinstance(v, np.ndarray) else v for k, v in m.items()}
                p = dict(p)
                if "depth" in m:
                    p["depth"] = array((m["depth"] * np.float32(factor)).astype(np.float32))
                    p["depth_conf"] = array(np.ones_like(m["depth"]))
                if "pose" in m:
                    t, q = m["pose"][:3].astype(float), m["pose"][3:7].astype(float)
                    q = q / np.linalg.norm(q)
                    back = product(quaternion([0, 0, 1], np.radians(-turn)), q) # camera from world, turned afterwards
                    c = -rotation(q).T @ t
                    p["pose"] = array(np.array([*(-rotation(back) @ (move * c)), *back, *m["pose"][7:]], np.float32))
                to.write(message(3, p))
                to.write(message(8, told))
            to.write(message(6, {"frames": len(preds), "seconds": 1.0}))


# --- the figures, by numpy ---

def scores(p, g, s, t=0.0):
    q = s * p + t
    out = {"abs_rel": np.mean(abs(q - g) / g), "sq_rel": np.mean((q - g) ** 2 / g), "rmse": np.sqrt(np.mean((q - g) ** 2))}
    q = np.maximum(q, 1e-5)
    out["log_rmse"] = np.sqrt(np.mean((np.log(q) - np.log(g)) ** 2))
    ratio = np.maximum(q / g, g / q)
    out.update(d103=np.mean(ratio < 1.03), d1=np.mean(ratio < 1.25), d2=np.mean(ratio < 1.25 ** 2), d3=np.mean(ratio < 1.25 ** 3))
    out.update(pixels=len(g))
    return out


def lower(x):
    return np.sort(x)[(len(x) - 1) // 2]


def fits(p, g):
    yield "median", lower(g) / lower(p), 0.0
    s = g.mean() / p.mean()
    for _ in range(10):
        w = 1 / (abs(s * p - g) + 1e-8)
        s = (w * p * g).sum() / (w * p * p).sum()
    yield "scale", max(s, 1e-3), 0.0
    yield "metric", 1.0, 0.0
    yield "lstsq", *np.linalg.lstsq(np.stack([p, np.ones_like(p)], 1), g, rcond=None)[0]


def world(pose):
    r = rotation(np.asarray(pose[3:7], float))
    m = np.eye(4)
    m[:3, :3], m[:3, 3] = r.T, -r.T @ np.asarray(pose[:3], float)
    return m


def angle(r):
    return np.degrees(np.arctan2(np.linalg.norm([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]), np.trace(r) - 1))


def drift(est, ref, scale):
    """KITTI's relative errors over 1 to 8 tenths of the path."""
    at = np.concatenate([[0], np.cumsum([np.linalg.norm(b[:3, 3] - a[:3, 3]) for a, b in zip(ref, ref[1:])])])
    off, turn = [], []
    for tenths in range(1, 9):
        length = at[-1] * tenths / 10
        for i in range(len(ref)):
            later = np.flatnonzero(at > at[i] + length)
            if len(later):
                a, b = (np.linalg.inv(m[i]) @ m[later[0]] for m in (est, ref))
                a[:3, 3] *= scale
                e = np.linalg.inv(a) @ b
                off.append(np.linalg.norm(e[:3, 3]) / length), turn.append(angle(e[:3, :3]) / length)
    return {"drift_t": np.mean(off), "drift_r": np.mean(turn), "path_length": at[-1]}


def path(est, ref):
    x, y = np.array([m[:3, 3] for m in est]), np.array([m[:3, 3] for m in ref])
    mx, my = x.mean(0), y.mean(0)
    u, d, vt = np.linalg.svd((y - my).T @ (x - mx) / len(x))
    sign = np.diag([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    r, s = u @ sign @ vt, np.trace(np.diag(d) @ sign) / ((x - mx) ** 2).sum(1).mean()
    aligned = []
    for m in est:
        a = np.eye(4)
        a[:3, :3], a[:3, 3] = r @ m[:3, :3], s * r @ m[:3, 3] + my - s * r @ mx
        aligned.append(a)
    ate = [np.linalg.norm(a[:3, 3] - b[:3, 3]) for a, b in zip(aligned, ref)]
    inv = np.linalg.inv
    e = [inv(inv(ref[i]) @ ref[i + 1]) @ inv(aligned[i]) @ aligned[i + 1] for i in range(len(ref) - 1)]
    rms = lambda v: np.sqrt(np.mean(np.square(v)))
    turn = [angle(a[:3, :3].T @ b[:3, :3]) for a, b in zip(est, ref)]
    return {"ate": rms(ate), "ate_mean": np.mean(ate), "ate_median": np.median(ate), "ate_max": np.max(ate), "scale": s,
            "rpe_t": rms([np.linalg.norm(m[:3, 3]) for m in e]), "rpe_r": rms([angle(m[:3, :3]) for m in e]),
            "rotation": np.mean(turn), "rotation_max": np.max(turn), "frames": len(ref),
            **drift(est, ref, s)}


def pairs(est, ref):
    """Of poses world from camera: the motion of a pair, G_i inv(G_j) with G = camera from world, is inv(M_i) M_j."""
    inv, worst, rot, tra = np.linalg.inv, [], [], []
    for i in range(len(ref)):
        for j in range(i + 1, len(ref)):
            a, b = inv(ref[i]) @ ref[j], inv(est[i]) @ est[j]
            rot.append(angle(a[:3, :3].T @ b[:3, :3]))
            u, v = (m[:3, 3] / (np.linalg.norm(m[:3, 3]) + 1e-15) for m in (a, b))
            t = np.degrees(np.arccos(np.sqrt(1 - max(1 - (u @ v) ** 2, 1e-15))))
            tra.append(min(t, abs(180 - t)))
    rot, tra = np.array(rot), np.array(tra)
    worst = np.maximum(rot, tra)
    out = {"pairs": len(worst)}
    for k in (30, 15, 5, 3):
        histogram, _ = np.histogram(worst, bins=np.arange(k + 1))
        out[f"auc{k}"] = np.mean(np.cumsum(histogram / len(worst)))
        out[f"rra{k}"], out[f"rta{k}"] = np.mean(rot < k), np.mean(tra < k)
    return out


def compare(name, got, want, tolerance):
    for key, value in want.items():
        if not abs(got[key] - value) <= tolerance * max(1, abs(value)):
            raise SystemExit(f"{name} {key}: {got[key]!r}, numpy says {value!r}")


def judge(path_, report, cap):
    pred, truth = {}, {}
    for kind, m in stream(path_):
        if kind == "pred":
            pred[m["i"]] = m
        elif kind == "truth":
            truth[m["i"]] = m
    seq = json.load(open(report))["sequences"][0]
    both = [i for i in sorted(pred) if i in truth]
    per_image, p_all, g_all = [], [], []
    for i in both:
        g = truth[i]["depth"].astype(float)
        m = (g > 0) & (g < cap)
        p, g = pred[i]["depth"].astype(float)[m], g[m]
        per_image.append(scores(p, g, lower(g) / lower(p)))
        p_all.append(p), g_all.append(g)
    n = np.array([s["pixels"] for s in per_image])
    mean = {k: (np.array([s[k] for s in per_image]) * n).sum() / n.sum() for k in per_image[0] if k != "pixels"}
    compare("depth", seq["depth"]["per image"], mean, 1e-10)
    p, g = np.concatenate(p_all), np.concatenate(g_all)
    for name, s, t in fits(p, g):
        compare(f"video {name}", seq["video_depth"][name], {**scores(p, g, s, t), "s": s, "t": t}, 1e-7)
    est, ref = ([world(d[i]["pose"]) for i in both] for d in (pred, truth))
    compare("pose", seq["pose"]["Sim(3)"], path(est, ref), 1e-9)
    compare("pairs", seq["pairs"]["all pairs"], pairs(est, ref), 1e-9)


DEFAULTS = {"frames": 6, "w": 24, "h": 16, "tw": 0, "th": 0, "src_w": 0, "src_h": 0, "fit": "1,1,0,0", "seed": 1, "depth": "1,0,0",
            "depth_at": "wave", "path": 1.0, "turn": 0.0, "jitter": 0.0, "order": "after", "holes": 0, "nan": 0, "truth": "all",
            "name": "made up", "still": 0, "unit": ""}


def main(args):
    if args[0] == "judge":
        judge(args[1], args[2], float(args[3]) if args[3:] else np.inf)
        return
    if args[0] == "predict":
        predict(*args[1:])
        return
    for word in args[1:]:
        if word == "--":
            write(to, o)
        elif "=" in word.rsplit("/", 1)[-1]:
            key, value = word.split("=", 1)
            o[key] = type(o[key])(value)
        else:
            to, o = word, dict(DEFAULTS)
    write(to, o)


if __name__ == "__main__":
    main(sys.argv[1:])

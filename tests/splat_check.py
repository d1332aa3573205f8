#!/usr/bin/python3
"""A small renderer of 3D Gaussians, by the formulas of the paper (Kerbl et al. 2023), for the files of e3-export --splat.

views TRUTH OUT                 a stream whose predictions are the true depth and pose of every second frame of e3-scene
pictures SPLAT TRUTH [FOLDER]   renders the other frames and compares them with the true pictures: PSNR of the file, and of
                                the file with wrong sizes, wrong rotations and swapped colours, which must be worse
record SPLAT                    what viewers ask of the file
"""
import sys

import numpy as np

import cloud_check
import e3read
import make_pred

need = cloud_check.need
SH_0 = 0.28209479177387814
NAMES = ("x y z nx ny nz f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3").split()


def views(truth, out):
    frames, truths = e3read.messages(truth, "frame"), e3read.messages(truth, "truth")
    preds = []
    for f, t in zip(frames[::2], truths[::2]):
        w, h = f["w"], f["h"]
        p = {k: f[k] for k in ("i", "pts", "src_i", "rot", "w", "h", "src_w", "src_h", "fit", "rgb")}
        preds.append({**p, "pose": t["pose"], "depth": t["depth"], "depth_conf": np.full((h, w), 2, np.float32), "ms": 1.0})
    make_pred.write(open(out, "wb"), preds, {"frames": len(preds)})


def rotations(q):
    """Of quaternions w x y z."""
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z), 1 - 2 * (x * x + z * z),
            2 * (y * z - w * x), 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return np.stack(rows, -1).reshape(-1, 3, 3)


def splats(path):
    _, v = cloud_check.ply(path)
    return {"x": cloud_check.stack(v, *"xyz"), "r": rotations(cloud_check.stack(v, *NAMES[13:])),
            "s": np.exp(cloud_check.stack(v, *NAMES[10:13])), "o": 1 / (1 + np.exp(-v["opacity"].astype(float))),
            "c": np.clip(cloud_check.stack(v, *NAMES[6:9]) * SH_0 + 0.5, 0, 1)}


def render(g, truth):
    """The picture that this camera sees, [h][w][3] in 0..1, on grey."""
    w, h = truth["w"], truth["h"]
    fx, fy, cx, cy = truth["intrinsics"]
    turn = make_pred.rotation(np.asarray(truth["pose"][3:7], float))
    x = g["x"] @ turn.T + np.asarray(truth["pose"][:3], float)
    z = x[:, 2]
    u, v = fx * x[:, 0] / z + cx + 0.5, fy * x[:, 1] / z + cy + 0.5  # the truth has the first centre at 0
    zero = np.zeros_like(z)
    jacobian = np.stack([fx / z, zero, -fx * x[:, 0] / z**2, zero, fy / z, -fy * x[:, 1] / z**2], -1).reshape(-1, 2, 3)
    m = jacobian @ turn @ g["r"] * g["s"][:, None, :]
    cov = m @ m.transpose(0, 2, 1)
    a, b, c = cov[:, 0, 0] + 0.3, cov[:, 0, 1], cov[:, 1, 1] + 0.3
    det = a * c - b * b
    reach = np.ceil(3 * np.sqrt(np.maximum(a, c)))
    keep = (z > 0.05) & (u > -reach) & (u < w + reach) & (v > -reach) & (v < h + reach) & (reach < 200)
    rank = np.argsort(z[keep], kind="stable")
    u, v, a, b, c, det, reach, o, rgb = (k[keep][rank] for k in (u, v, a, b, c, det, reach, g["o"], g["c"]))
    pixel, which, alpha = [], [], []
    for r in np.unique(reach):  # those of one size together
        k = np.flatnonzero(reach == r)
        span = np.arange(-int(r), int(r) + 1)
        dy, dx = (n.ravel() for n in np.meshgrid(span, span, indexing="ij"))
        px, py = np.floor(u[k]).astype(int)[:, None] + dx, np.floor(v[k]).astype(int)[:, None] + dy
        ex, ey = px + 0.5 - u[k][:, None], py + 0.5 - v[k][:, None]
        power = (c[k][:, None] * ex**2 - 2 * b[k][:, None] * ex * ey + a[k][:, None] * ey**2) / det[k][:, None]
        al = np.minimum(o[k][:, None] * np.exp(-power / 2), 0.99)
        good = (px >= 0) & (px < w) & (py >= 0) & (py < h) & (al > 1 / 255)
        pixel.append((py * w + px)[good])
        which.append(np.broadcast_to(k[:, None], px.shape)[good])
        alpha.append(al[good])
    pixel, which, alpha = (np.concatenate(n) for n in (pixel, which, alpha))
    rank = np.lexsort((which, pixel))
    pixel, which, alpha = pixel[rank], which[rank], alpha[rank]
    through = np.concatenate([[0], np.cumsum(np.log1p(-alpha))])
    first = np.searchsorted(pixel, pixel, "left")
    weight = alpha * np.exp(through[:-1] - through[first])
    image = np.stack([np.bincount(pixel, weight * rgb[which, k], w * h) for k in range(3)], -1)
    left = 1 - np.bincount(pixel, weight, w * h)
    return (image + 0.5 * left[:, None]).reshape(h, w, 3), left.mean()


def psnr(g, frames, truths, folder=None):
    out, left = [], []
    for f, t in zip(frames, truths):
        want = f["rgb"].reshape(f["h"], f["w"], 3) / 255
        got, rest = render(g, t)
        out.append(-10 * np.log10(((got - want) ** 2).mean()))
        left.append(rest)
        if folder:
            from PIL import Image
            both = np.concatenate([got, want], 1)
            Image.fromarray(np.rint(255 * np.clip(both, 0, 1)).astype(np.uint8)).save(f"{folder}/{f['i']:06d}.png")
    return np.array(out), np.mean(left)


def pictures(path, truth, folder=None):
    frames, truths = e3read.messages(truth, "frame")[1::2], e3read.messages(truth, "truth")[1::2]
    g = splats(path)
    best, left = psnr(g, frames, truths, folder)
    print(f"{len(g['x'])} splats, {len(frames)} pictures from elsewhere: PSNR {best.mean():.2f} dB, {100 * left:.2f} % see-through")
    identity = np.broadcast_to(np.eye(3), g["r"].shape)
    wrong = {"a third of the size": dict(g, s=g["s"] / 3), "three times the size": dict(g, s=g["s"] * 3),
             "without rotation": dict(g, r=identity), "the transposed rotation": dict(g, r=g["r"].transpose(0, 2, 1)),
             "colours swapped": dict(g, c=g["c"][:, ::-1])}
    for name, other in wrong.items():
        value, left = psnr(other, frames[:1], truths[:1])  # one picture is enough to be worse in
        print(f"{name}: {value[0]:.2f} dB against {best[0]:.2f}, {100 * left:.2f} % see-through")
        need(value[0] < best[0] - 0.5, f"{name} is as good")
    need(best.mean() > 27, f"PSNR {best.mean()}")


def record(path):
    say, v = cloud_check.ply(path)
    need(list(v.dtype.names) == NAMES and v.dtype.itemsize == 4 * len(NAMES), f"properties {v.dtype.names}")
    need(all(np.isfinite(v[k]).all() for k in NAMES), "values that are not finite")
    q = cloud_check.stack(v, *NAMES[13:])
    need(np.abs(np.linalg.norm(q, axis=1) - 1).max() < 1e-6, "rotations")
    n, s = cloud_check.stack(v, "nx", "ny", "nz"), np.exp(cloud_check.stack(v, *NAMES[10:13]))
    flat = np.linalg.norm(n, axis=1) > 0.5
    need(np.abs(rotations(q)[flat][:, :, 2] - n[flat]).max() < 1e-5 and (s[flat, 2] < s[flat, 0] / 5).all(), "discs")
    need(flat.mean() > 0.99 and s.min() > 0, f"{flat.mean()} flat")
    print(f"{len(v)} splats, {100 * flat.mean():.1f} % flat: {say[0]}")


if __name__ == "__main__":
    {"views": views, "pictures": pictures, "record": record}[sys.argv[1]](*sys.argv[2:])

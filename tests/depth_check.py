#!/usr/bin/python3
"""Depth files of e3-export, read back with numpy and zlib alone: depth_check.py WHAT ARGUMENT...

same STREAM EXR PFM [PNG]      the folders hold the depth of the stream, as its pixels are or with PNG at the source's size
plane OUT                      writes a stream of a plane, once cropped and once padded
on-plane EXR                   the depths at the source's size are exactly on that plane; nothing outside of the crop
colours EXR COLOUR             pictures of the same depth
shrink TRUTH OUT               a stream whose predictions are the true depth of a stream of e3-scene
truth SMALL BIG EXR            depth of SMALL, written at the size of the stream BIG, against its truth; beside two simple ways
"""
import os
import struct
import sys
import zlib

import numpy as np

import e3read
import export_check
import make_pred

need = export_check.need


def exr(path):
    """The channels of a scanline file without or with ZIP compression, and its attributes."""
    raw = open(path, "rb").read()
    magic, version = struct.unpack_from("<II", raw)
    need(magic == 20000630 and version & 0xff == 2 and not version & 0xfffffb00, f"{path}: magic {magic}, version {version}")
    at, attributes = 8, {}

    def word():
        nonlocal at
        end = raw.index(b"\0", at)
        text, at = raw[at:end].decode(), end + 1
        return text
    while name := word():
        kind, size = word(), struct.unpack_from("<I", raw, at)[0]
        attributes[name] = (kind, raw[at + 4:at + 4 + size])
        at += 4 + size
    x0, y0, x1, y1 = struct.unpack("<4i", attributes["dataWindow"][1])
    need((x0, y0) == (0, 0) and attributes["displayWindow"][1] == attributes["dataWindow"][1], f"{path}: window")
    w, h, chans = x1 + 1, y1 + 1, attributes["channels"][1]
    need(chans == b"Z\0" + struct.pack("<IIII", 2, chans[6], 1, 1) + b"\0", f"{path}: channels {chans}")
    zipped = attributes["compression"][1][0]
    rows = {0: 1, 3: 16}[zipped]
    out = np.empty((h, w), np.float32)
    for k in range((h + rows - 1) // rows):
        offset = struct.unpack_from("<Q", raw, at + 8 * k)[0]
        y, size = struct.unpack_from("<iI", raw, offset)
        n = min(rows, h - y)
        data = raw[offset + 8:offset + 8 + size]
        if zipped and size < 4 * w * n:
            b = np.frombuffer(zlib.decompress(data), np.uint8).astype(np.int64)
            b = np.cumsum(np.concatenate([b[:1], b[1:] - 128])).astype(np.uint8)
            half = (len(b) + 1) // 2
            pairs = np.empty(len(b), np.uint8)
            pairs[0::2], pairs[1::2] = b[:half], b[half:]
            data = pairs.tobytes()
        out[y:y + n] = np.frombuffer(data, "<f4").reshape(n, w)
    return out, attributes


def pfm(path):
    raw = open(path, "rb").read()
    kind, size, scale, data = raw.split(b"\n", 3)
    w, h = map(int, size.split())
    need(kind == b"Pf" and float(scale) == -1, f"{path}: header")
    return np.frombuffer(data, "<f4").reshape(h, w)[::-1]


def known(d):
    return np.where(np.isfinite(d) & (d > 1e-8), d, 0)


def same(stream, exrs, pfms, pngs=None):
    preds = e3read.messages(stream, "pred")
    for p in preds:
        name = f"/{p['i']:06d}."
        got, attributes = exr(exrs + name + "exr")
        need(np.array_equal(got, pfm(pfms + name + "pfm")), f"EXR and PFM of frame {p['i']}")
        need(b"0 = unknown" in attributes["comments"][1], "comments")
        need(attributes["e3:frame"] == ("int", struct.pack("<i", p["i"])), "frame")
        source = got.shape == (p["src_h"], p["src_w"]) != (p["h"], p["w"])
        need(source or np.array_equal(got, known(p["depth"].reshape(p["h"], p["w"]))), f"frame {p['i']}")
        if not pngs:
            continue
        v, text = export_check.png(pngs + name + "png")
        off = np.abs(v[:, :, 0] - got * float(text["depth_scale"])).max()
        need(off <= 0.5001 and got.max() * float(text["depth_scale"]) <= 65535, f"PNG of frame {p['i']} by {off}")
    need(len(os.listdir(exrs)) == len(preds), "number of files")
    print(f"{len(preds)} frames of {got.shape[1]}x{got.shape[0]}, alike")


def colours(exrs, folder):
    """Of the size of the depth, and in its order: the nearest pixel and the farthest have other colours, equal depth has one."""
    for name in sorted(os.listdir(exrs)):
        d, image = exr(f"{exrs}/{name}")[0], export_check.png(f"{folder}/{name[:-3]}png")[0]
        need(image.shape == (*d.shape, 3), f"size {image.shape}")
        code = (image.astype(int) << [16, 8, 0]).sum(-1).ravel()[np.argsort(d, axis=None)]
        changes = (np.diff(code) != 0).sum()
        need(10 < changes < 256, f"{name}: the colour changes {changes} times with depth")


# A 300 x 400 picture is scaled to 112 x 154, and rows 21 to 133 of that are what the network sees; one of 400 x 300 is scaled to
# 112 x 84 and has padding above and below, with values that nobody may use.
NET = (112, 112)
VIEWS = [((300, 400), (112 / 300, 154 / 400, 0.0, -21.0)), ((400, 300), (112 / 400, 84 / 300, 0.0, 14.0))]


def slanted(x, y):
    """Depth of a plane at coordinates of the source, where the first pixel's centre is at 0.5."""
    return 1 / (0.3 + 0.0008 * (x - 150) - 0.0006 * (y - 200))


def plane(out):
    preds = []
    for i, (src, (sx, sy, tx, ty)) in enumerate(VIEWS):
        y, x = np.mgrid[0:NET[1], 0:NET[0]] + 0.5
        x, y = (x - tx) / sx, (y - ty) / sy
        depth = np.where((y > 0) & (y < src[1]), slanted(x, y), 77).astype(np.float32)
        p = next(make_pred.scene(frames=1, w=NET[0], h=NET[1], src_w=src[0], src_h=src[1], fit=[sx, sy, tx, ty]))
        preds.append(dict(p, depth=depth, i=i, pts=float(i), src_i=i))
    make_pred.write(open(out, "wb"), preds, {"frames": 2})


def on_plane(exrs):
    for i, (src, fit) in enumerate(VIEWS):
        got, _ = exr(f"{exrs}/{i:06d}.exr")
        y, x = np.mgrid[0:src[1], 0:src[0]] + 0.5
        row = fit[1] * y[:, 0] + fit[3]
        inside = (row >= 0) & (row < NET[1])
        need(got.shape == inside.shape + src[:1] and not got[~inside].any(), "what the network did not see")
        need(inside.sum() == (290, 300)[i], f"{inside.sum()} rows")
        off = np.abs(got / slanted(x, y) - 1)[inside].max()
        need(off < 2e-6, f"off the plane by {off}")
        print(f"{inside.sum()} of {src[1]} rows seen, on the plane within {off:.1e} of the depth")


def shrink(truth, out):
    """Predictions that are true, of the frames of e3-scene, with the source four times as large."""
    frames = {k: e3read.messages(truth, k) for k in ("frame", "truth")}
    preds = []
    for f, t in zip(frames["frame"], frames["truth"]):
        w, h = f["w"], f["h"]
        p = {k: f[k] for k in ("i", "pts", "src_i", "rot", "w", "h")}
        preds.append({**p, "src_w": 4 * w, "src_h": 4 * h, "fit": [0.25, 0.25, 0.0, 0.0], "rgb": f["rgb"], "pose": t["pose"],
                      "depth": t["depth"], "depth_conf": np.full((h, w), 2, np.float32), "ms": 1.0})
    make_pred.write(open(out, "wb"), preds, {"frames": len(preds)})


def windows(v, r, most):
    """Largest or smallest within r pixels."""
    from scipy import ndimage
    return (ndimage.maximum_filter if most else ndimage.minimum_filter)(v, 2 * r + 1, mode="nearest")


def between(d, truth, r):
    """Values that no surface near the pixel has."""
    from scipy import ndimage
    edge = windows(truth, r, True) > 1.05 * windows(truth, r, False)
    best = np.full(d.shape, np.inf)
    for dy in range(-r, r + 1):
        for dx in range(-r, r + 1):
            t = ndimage.shift(truth, (dy, dx), order=0, mode="nearest")
            best = np.minimum(best, np.abs(d / t - 1))
    return edge, edge & (best > 0.01)


def truth(small, big, exrs):
    preds, frames = e3read.messages(small, "pred"), e3read.messages(big, "truth")
    rows = {"nearest": [], "bilinear": [], "e3-export": []}
    for p, t in zip(preds, frames):
        want = t["depth"].reshape(t["h"], t["w"]).astype(float)
        d = p["depth"].reshape(p["h"], p["w"]).astype(float)
        got, _ = exr(f"{exrs}/{p['i']:06d}.exr")
        need(got.shape == want.shape, f"size {got.shape}")
        y, x = (np.arange(n) * 0.25 + 0.125 - 0.5 for n in want.shape)
        yi, xi = (np.clip(np.floor(v), 0, n - 2).astype(int) for v, n in zip((y, x), d.shape))
        fy, fx = np.clip(y - yi, 0, 1)[:, None], np.clip(x - xi, 0, 1)[None]
        a, b, c, e = (d[np.ix_(yi + j, xi + k)] for j in (0, 1) for k in (0, 1))
        ways = {"nearest": d[np.ix_(np.rint(y).astype(int), np.rint(x).astype(int))],
                "bilinear": (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + e * fx) * fy, "e3-export": got}
        for name, v in ways.items():
            edge, mixed = between(v, want, 4)
            off = np.abs(v / want - 1)
            rows[name].append([np.median(off[~edge]), off[~edge].mean(), off.mean(), (off > 0.05).mean(),
                               mixed.sum() / edge.sum()])
    print("relative error of depth: median and mean off the edges, mean of all; share of pixels beyond 5 %; of pixels at edges "
          "whose depth is between two surfaces")
    mean = {k: np.mean(v, 0) for k, v in rows.items()}
    for name, v in mean.items():
        print(f"{name:10} {v[0]:.2e} {v[1]:.2e} {v[2]:.2e} {100 * v[3]:6.3f} % {100 * v[4]:6.3f} %")
    ours, near, line = mean["e3-export"], mean["nearest"], mean["bilinear"]
    need(ours[1] < near[1] / 5 and ours[2] < near[2] and ours[2] < line[2] and ours[3] < line[3], "no better than a simple way")
    need(ours[4] < 0.006 and line[4] > 0.2, f"mixed: {ours[4]}")


if __name__ == "__main__":
    {"same": same, "plane": plane, "on-plane": on_plane, "shrink": shrink, "colours": colours, "truth": truth}[sys.argv[1]](*sys.argv[2:])

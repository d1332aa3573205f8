#!/usr/bin/python3
"""Reads back what e3-export wrote, without its code, and compares it with the stream: export_check.py WHAT ARGUMENT...

Exit 0 and a line with the figures, or 1 and what differs.
"""
import json
import math
import os
import struct
import sys
import zlib

import numpy as np

import e3read
import make_pred

WHAT = {}


def check(f):
    WHAT[f.__name__.replace("_", "-")] = f
    return f


def need(good, text):
    if not good:
        sys.exit("differs: " + text)


def glb(path):
    raw = open(path, "rb").read()
    magic, version, total, n, kind = struct.unpack("<4sIII4s", raw[:20])
    need((magic, version, total, kind) == (b"glTF", 2, len(raw), b"JSON"), f"{path}: container")
    doc, rest, binary = json.loads(raw[20:20 + n]), raw[20 + n:], b""
    if rest:
        m, kind = struct.unpack("<I4s", rest[:8])
        need(kind == b"BIN\0" and m == len(rest) - 8 == doc["buffers"][0]["byteLength"], f"{path}: binary chunk")
        binary = rest[8:]

    def accessor(k):
        a = doc["accessors"][k]
        view = doc["bufferViews"][a["bufferView"]]
        dtype = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}[a["componentType"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[a["type"]]
        at = view["byteOffset"] + a.get("byteOffset", 0)
        return np.frombuffer(binary, dtype, a["count"] * width, at).reshape(a["count"], width)

    return doc, accessor


def cloud(doc, accessor):
    """Positions, colours, confidences of the POINTS primitive."""
    for mesh in doc.get("meshes", []):
        p = mesh["primitives"][0]
        if p.get("mode", 4) == 0:
            a = p["attributes"]
            return accessor(a["POSITION"]), accessor(a["COLOR_0"]), accessor(a["_CONFIDENCE"]) if "_CONFIDENCE" in a else None
    return np.zeros((0, 3), np.float32), np.zeros((0, 4), np.uint16), None


def candidates(path, source="points"):
    """Every point of a stream in order, finite ones only: xyz, confidence, colour, frame."""
    xyz, conf, rgb, frame = [], [], [], []
    for p in e3read.messages(path, "pred"):
        w = p["points"] if source == "points" else unproject(p)
        c = p[source + "_conf"].reshape(-1)
        w, c3 = w.reshape(-1, 3), p["rgb"].reshape(-1, 3)
        good = np.isfinite(w).all(1) & np.isfinite(c)
        xyz.append(w[good]), conf.append(c[good]), rgb.append(c3[good]), frame.append(np.full(good.sum(), p["i"]))
    return np.concatenate(xyz), np.concatenate(conf), np.concatenate(rgb), np.concatenate(frame)


def camera(p):
    pose = p["pose"].astype(float)
    r, t, h, w = make_pred.rotation(pose[3:7]), pose[:3], p["h"], p["w"]
    return r, t, w / 2 / math.tan(pose[8] / 2), h / 2 / math.tan(pose[7] / 2)


def unproject(p):
    r, t, fx, fy = camera(p)
    v, u = np.mgrid[0:p["h"], 0:p["w"]]
    d = p["depth"].reshape(p["h"], p["w"]).astype(float)
    cam = np.stack([(u + 0.5 - p["w"] / 2) * d / fx, (v + 0.5 - p["h"] / 2) * d / fy, d], -1)
    return ((cam - t) @ r).astype(np.float32)


def expected(stream, pct, source="points"):
    xyz, conf, rgb, frame = candidates(stream, source)
    threshold = np.float32(np.percentile(conf, pct)) if pct else np.float32(0)
    keep = (conf >= threshold) & (conf > 1e-5)
    return xyz[keep], conf[keep], rgb[keep], frame[keep]


def linear(rgb):
    c = rgb / 255.0
    return np.floor(65535 * np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) + 0.5).astype(np.uint16)


@check
def upstream_input(npz, to):
    """A stream with the contents of the reference's npz."""
    z = np.load(npz)
    n, h, w = z["world_points_conf"].shape

    def preds():
        for i in range(n):
            e = z["extrinsic"][i].astype(float)
            q = [0, 0, 0, 0.5 * math.sqrt(1 + np.trace(e[:, :3]))]
            q[0], q[1], q[2] = ((e[2, 1] - e[1, 2]) / 4 / q[3], (e[0, 2] - e[2, 0]) / 4 / q[3], (e[1, 0] - e[0, 1]) / 4 / q[3])
            yield {"i": i, "pts": float(i), "src_i": i, "src_w": w, "src_h": h, "rot": 0, "fit": [1.0, 1.0, 0.0, 0.0], "w": w, "h": h,
                   "rgb": (255 * z["images"][i]).astype(np.uint8).transpose(1, 2, 0),
                   "pose": np.array([*e[:, 3], *q, 0.8, 1.0], np.float32), "points": z["world_points"][i],
                   "points_conf": z["world_points_conf"][i], "ms": 1.0}

    with open(to, "wb") as f:
        make_pred.write(f, preds(), {"frames": n})


@check
def upstream_golden(ours, golden):
    """Every fact of the reference's file (doc/formats.md 1.7); floats of cameras to float32 rounding, points exactly."""
    a, get_a = glb(ours)
    b, get_b = glb(golden)
    worst = 0.0
    need(set(a) == set(b), f"members {sorted(a)}, expected {sorted(b)}")
    need(a["bufferViews"] == b["bufferViews"] and a["buffers"] == b["buffers"], "buffers")
    need(a["meshes"] == b["meshes"] and a["materials"] == b["materials"] and a["scenes"] == b["scenes"], "meshes, materials or scenes")
    for x, y in zip(a["nodes"], b["nodes"], strict=True):
        need({**x, "matrix": 0} == {**y, "matrix": 0}, f"node {x}, expected {y}")
        need(np.allclose(x.get("matrix", 0), y.get("matrix", 0), rtol=0, atol=1e-15), f"matrix {x}, expected {y}")
    for k, (x, y) in enumerate(zip(a["accessors"], b["accessors"], strict=True)):
        need({**x, "min": 0, "max": 0} == {"byteOffset": 0, **y, "min": 0, "max": 0}, f"accessor {x}, expected {y}")
        got, want = get_a(k), get_b(k)
        need(np.array_equal(np.float32(x["min"]), got.min(0)) and np.array_equal(np.float32(x["max"]), got.max(0)), f"bounds of accessor {k}")
        if k <= 3 or got.dtype != np.float32:  # 3: the camera whose pose needs no rounding
            need(np.array_equal(got, want), f"values of accessor {k}")
        else:
            worst = max(worst, float(np.abs(got - want).max()))
    need(worst <= 2.0 ** -24, f"camera vertices by {worst:.2e}")
    print(f"upstream file: points and colours equal, camera vertices within {worst:.1e}")


@check
def points(path, stream, pct="20", source="points", limit="0"):
    """Points of a GLB: the expected ones in order; with a limit, that many of them, in order."""
    xyz, conf, rgb, _ = expected(stream, float(pct), source)
    p, c, s = cloud(*glb(path))
    if int(limit):
        need(len(p) == min(int(limit), len(xyz)), f"{len(p)} points, expected {limit} of {len(xyz)}")
        at = {x.tobytes(): k for k, x in enumerate(xyz)}
        chosen = [at.get(x.tobytes(), -1) for x in p]
        need(min(chosen) >= 0 and chosen == sorted(chosen), "the chosen points are not a subset in order")
        xyz, conf, rgb = xyz[chosen], conf[chosen], rgb[chosen]
        low = sum(k < len(at) / 2 for k in chosen)
        need(abs(low - len(p) / 2) < 3 * math.sqrt(len(p)), f"{low} of {len(p)} from the first half")
    need(p.shape == xyz.shape, f"{p.shape}, expected {xyz.shape}")
    exact = np.array_equal(p, xyz) if source == "points" else np.abs(p - xyz).max() <= 1e-6 * np.abs(xyz).max()
    need(exact, f"positions by {np.abs(p - xyz).max():.2e}")
    want = linear(rgb) if c.dtype == np.uint16 else rgb
    need(np.array_equal(c[:, :3], want) and (c[:, 3] == (65535 if c.dtype == np.uint16 else 255)).all(), "colours")
    need(s is None or np.array_equal(s[:, 0], conf), "confidences")
    print(f"{len(p)} points as expected")


@check
def voxels(path, stream, size):
    """One point per cell, in the order of their first points: the mean, weighted by confidence; colours in linear light."""
    xyz, conf, rgb, _ = expected(stream, 0)
    cells = {}
    for k, cell in enumerate(map(tuple, np.floor(xyz.astype(float) / float(size)).astype(int))):
        cells.setdefault(cell, []).append(k)

    def mean(v):
        return np.array([np.average(v[k].astype(float), axis=0, weights=conf[k]) for k in map(np.array, cells.values())])

    def srgb(v):
        v = v / 65535
        return 255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * np.maximum(v, 1e-9) ** (1 / 2.4) - 0.055)

    p, c, _ = cloud(*glb(path))
    need(len(p) == len(cells), f"{len(p)} points, expected {len(cells)}")
    worst = np.abs(p - mean(xyz)).max()
    need(worst <= 2e-6 * np.abs(xyz).max(), f"positions by {worst:.2e}")
    off = np.abs(srgb(c[:, :3]) - srgb(mean(linear(rgb)))).max()
    need(off <= 0.6, f"colours by {off:.2f} of 255")  # half of a byte of sRGB
    need(max(map(len, cells.values())) > 3, "no cell has many points")
    print(f"{len(p)} cells as expected, of up to {max(map(len, cells.values()))} points")


@check
def cameras(path, stream, drawn=None):
    """Nodes put each camera where the stream has it, with its lens and its own name; the frustums of the frames `drawn` are one mesh whose
    corners are the corners of the pictures."""
    doc, get = glb(path)
    preds = e3read.messages(stream, "pred")
    nodes = [n for n in doc["nodes"] if n["name"].startswith("cam_")]
    need(len(nodes) == len(preds), f"{len(nodes)} cameras, expected {len(preds)}")
    need([n["name"] for n in nodes] == ["cam_%06d" % p["i"] for p in preds] and all(c["name"] for c in doc["cameras"]), "names of cameras")
    mesh = {m["name"]: m["primitives"][0] for m in doc["meshes"]}
    need(set(mesh) == {"points", "frustums", "trajectory"} and all(len(m["primitives"]) == 1 for m in doc["meshes"]), "meshes")
    drawn = range(len(preds)) if drawn is None else [int(k) for k in drawn.split(",")]
    v, ends = get(mesh["frustums"]["attributes"]["POSITION"]), get(mesh["frustums"]["indices"]).reshape(-1, 2)
    colour = get(mesh["frustums"]["attributes"]["COLOR_0"]) / 255
    need(mesh["frustums"]["mode"] == 1 and len(v) == 6 * len(drawn) and len(ends) == 10 * len(drawn), f"{len(v) // 6} frustums")
    need((ends // 6 == np.arange(10 * len(drawn))[:, None] // 10).all(), "a line between two frustums")
    worst, depths = 0.0, []
    for k, (node, p) in enumerate(zip(nodes, preds)):
        r, t, fx, fy = camera(p)
        to_world = make_pred.rotation(node["rotation"]) @ np.diag([1, -1, -1])
        worst = max(worst, np.abs(to_world - r.T).max(), np.abs(np.array(node["translation"]) + r.T @ t).max())
        lens = doc["cameras"][node["camera"]]["perspective"]
        need(abs(lens["yfov"] - p["pose"][7]) < 1e-7 and abs(lens["aspectRatio"] - p["w"] / fx / (p["h"] / fy)) < 1e-6, "lens")
        if k not in drawn:
            continue
        at = 6 * list(drawn).index(k)
        x = v[at:at + 6] @ r.T + t
        depth = x[1, 2]
        depths.append(depth)
        size = 1.25 if k in (0, len(preds) - 1) else 1
        need(abs(lens["znear"] * size / depth - 0.01) < 1e-5, "near plane")
        half = depth * np.array([p["w"] / 2 / fx, p["h"] / 2 / fy])
        want = [[0, 0, 0], *([*(half * s), depth] for s in ([-1, -1], [1, -1], [1, 1], [-1, 1])), [0, -1.4 * half[1], depth]]
        need(np.allclose(x, want, atol=2e-6 * max(1, np.abs(t).max())), "frustum corners")
        c = colour[at]
        first, last = c[1] > 2 * max(c[0], c[2]), c[0] > 20 * max(c[1], c[2])
        need(first == (k == 0) and last == (k == len(preds) - 1) and (colour[at:at + 6] == c).all(), f"colour of {k}: {c}")
    line = get(mesh["trajectory"]["attributes"]["POSITION"])
    need(np.allclose(line, [n["translation"] for n in nodes], atol=1e-6), "trajectory")
    m = np.array(doc["nodes"][0]["matrix"]).reshape(4, 4).T
    r, t, _, _ = camera(preds[0])
    e0 = np.vstack([np.column_stack([r, t]), [0, 0, 0, 1]])
    worst = max(worst, np.abs(m - np.diag([1, -1, -1, 1]) @ e0).max())
    need(worst < 1e-7, f"cameras by {worst:.2e}")
    print(f"{len(nodes)} cameras within {worst:.1e}, {len(drawn)} frustums")


@check
def ply(path, stream, pct="20", frame="-1"):
    raw = open(path, "rb").read()
    header, data = raw.split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    need(lines[:2] == ["ply", "format binary_little_endian 1.0"], "header")
    n = next(int(x.split()[2]) for x in lines if x.startswith("element vertex"))
    types = {"float": "<f4", "uchar": "u1", "int": "<i4"}
    v = np.frombuffer(data, [(x.split()[2], types[x.split()[1]]) for x in lines if x.startswith("property")])
    need(len(v) == n, f"{len(v)} records, header says {n}")
    xyz, conf, rgb, frames = expected(stream, float(pct))
    if int(frame) >= 0:
        mine = frames == int(frame)
        xyz, conf, rgb, frames = xyz[mine], conf[mine], rgb[mine], frames[mine]
    need(np.array_equal(np.stack([v["x"], v["y"], v["z"]], 1), xyz), "positions")
    need(np.array_equal(np.stack([v["red"], v["green"], v["blue"]], 1), rgb), "colours")
    need("confidence" not in v.dtype.names or np.array_equal(v["confidence"], conf), "confidences")
    need("frame" not in v.dtype.names or np.array_equal(v["frame"], frames), "frames")
    print(f"{n} points of {v.dtype.itemsize} bytes as expected")


@check
def trajectory(stream, tum, kitti, intrinsics, where="model"):
    preds, worst, last = e3read.messages(stream, "pred"), 0.0, None
    lines = [x.split() for x in open(tum) if not x.startswith("#")]
    matrices, pixels = np.loadtxt(kitti, ndmin=2), np.loadtxt(intrinsics, ndmin=2)
    need(len(lines) == len(matrices) == len(pixels) == len(preds), "number of lines")
    for p, line, m, k in zip(preds, lines, matrices, pixels):
        r, t, fx, fy = camera(p)
        time, at, q = float(line[0]), np.array(line[1:4], float), np.array(line[4:], float)
        need(time == round(p["pts"], 6) and abs(np.linalg.norm(q) - 1) < 1e-8, "time or quaternion")
        need(last is None or q @ last > 0, "sign of the quaternion")
        last, back = q, make_pred.rotation(q).T
        worst = max(worst, np.abs(back - r).max(), np.abs(-back @ at - t).max())
        m = m.reshape(3, 4)
        worst = max(worst, np.abs(m[:, :3].T - r).max(), np.abs(-m[:, :3].T @ m[:, 3] - t).max())
        sx, sy, tx, ty = p["fit"] if where == "source" else (1, 1, 0, 0)
        size = (p["src_w"], p["src_h"]) if where == "source" else (p["w"], p["h"])
        want = [fx / sx, fy / sy, (p["w"] / 2 - tx) / sx, (p["h"] / 2 - ty) / sy, *size]
        need(np.allclose(k, want, rtol=1e-8), f"intrinsics {k}, expected {want}")
    need(worst < 1e-6, f"poses by {worst:.2e}")
    print(f"{len(preds)} poses back within {worst:.1e}")


@check
def npz(path, stream, copied="0", pose="sent"):
    preds, z = e3read.messages(stream, "pred"), np.load(path)
    s, h, w = len(preds), preds[0]["h"], preds[0]["w"]
    want = {k: np.stack([p[name].reshape(h, w, *tail) for p in preds]) for k, name, tail in (
        ("world_points", "points", (3,)), ("world_points_conf", "points_conf", ()), ("depth", "depth", (1,)),
        ("depth_conf", "depth_conf", ())) if name in preds[0]}
    want["images"] = np.stack([p["rgb"].transpose(2, 0, 1).astype(np.float32) / np.float32(255) for p in preds])
    if "pose" in preds[0]:
        cams = [camera(p) for p in preds]
        want["pose_enc"] = np.stack([p["pose"] for p in preds])
        want["extrinsic"] = np.stack([np.column_stack([r, t]) for r, t, _, _ in cams])
        want["intrinsic"] = np.stack([[[fx, 0, w / 2], [0, fy, h / 2], [0, 0, 1]] for _, _, fx, fy in cams])
        if "depth" in preds[0]:
            want["world_points_from_depth"] = want["world_points"] if int(copied) else np.stack([unproject(p) for p in preds])
    need(set(z.files) == set(want), f"keys {sorted(z.files)}, expected {sorted(want)}")
    for k, v in want.items():
        got = z[k]
        need(got.dtype == np.float32 and got.shape == v.shape and got.shape[0] == s, f"{k}: {got.dtype} {got.shape}, expected {v.shape}")
        near = k in ("extrinsic", "intrinsic", "world_points_from_depth") or (k == "pose_enc" and pose != "sent")
        need(np.allclose(got, v, rtol=1e-6, atol=1e-6) if near else np.array_equal(got, v, equal_nan=True), k)
    need(z.zip.testzip() is None, "checksums")
    print(f"{len(want)} arrays of {s} frames as expected")


def png(path):
    """Width, height, samples [h][w][channels], text: a decoder of its own, enough for what we write."""
    raw = open(path, "rb").read()
    need(raw[:8] == b"\x89PNG\r\n\x1a\n", "PNG signature")
    at, idat, text = 8, b"", {}
    while at < len(raw):
        n, kind = struct.unpack(">I4s", raw[at:at + 8])
        body = raw[at + 8:at + 8 + n]
        need(struct.unpack(">I", raw[at + 8 + n:at + 12 + n])[0] == zlib.crc32(kind + body), "PNG checksum")
        if kind == b"IHDR":
            w, h, bits, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            idat += body
        elif kind == b"tEXt":
            key, value = body.decode().split("\0", 1)
            text[key] = value
        at += 12 + n
    need(interlace == 0 and colour in (0, 2), "PNG form")
    step = bits // 8 * (3 if colour == 2 else 1)
    rows, last, data = [], np.zeros(w * step, int), np.frombuffer(zlib.decompress(idat), np.uint8).reshape(h, w * step + 1).astype(int)
    for line in data:
        kind, row = line[0], line[1:]
        if kind == 1:
            row = np.cumsum(row.reshape(-1, step), 0).ravel() & 255
        elif kind == 2:
            row = (row + last) & 255
        elif kind:
            row, up = row.tolist(), last.tolist()
            for k in range(len(row)):
                a, b, c = row[k - step] if k >= step else 0, up[k], up[k - step] if k >= step else 0
                guess = (a + b) // 2 if kind == 3 else min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
                row[k] = (row[k] + guess) & 255
            row = np.array(row)
        rows.append(row)
        last = row
    v = np.array(rows).reshape(h, w, -1)
    return (v[:, :, 0::2] << 8 | v[:, :, 1::2] if bits == 16 else v), text


@check
def depth(stream, folder, factor="0"):
    preds = e3read.messages(stream, "pred")
    d = np.stack([p["depth"].reshape(p["h"], p["w"]).astype(float) for p in preds])
    known = np.isfinite(d) & (d > 1e-8)
    usual = [f for f in (5000, 1000, 256) if d[known].max() * f <= 65535]
    scale = float(factor) or (usual[0] if usual else math.floor(65535 / d[known].max()))
    for p, image, good in zip(preds, d, known):
        v, text = png(f"{folder}/{p['i']:06d}.png")
        need(float(text["depth_scale"]) == scale, f"scale {text}, expected {scale}")
        want = np.where(good, np.rint(np.where(good, image, 0) * scale), 0)
        want[want > 65535] = 0
        need(np.array_equal(v[:, :, 0], want), f"frame {p['i']}")
    need(len(os.listdir(folder)) == len(preds), "number of files")
    print(f"{len(preds)} depth images, scale {scale:g}, largest value {int(want.max())}")


@check
def depth_color(stream, folder):
    """Turbo of 1/depth between run-wide percentiles, by the knots of doc/formats.md 2.5 at places where they are exact."""
    knots = {0: (0x30, 0x12, 0x3b), 255: (0x7a, 0x04, 0x03), 8: (0x39, 0x2a, 0x73), 117: (0x80, 0xff, 0x53), 202: (0xf2, 0x60, 0x14)}
    preds = e3read.messages(stream, "pred")
    d = np.stack([p["depth"].reshape(p["h"], p["w"]) for p in preds])
    known = np.isfinite(d) & (d > 1e-8)
    inverse = np.float32(1) / np.where(known, d, 1)
    low, high = np.percentile(inverse[known], [2, 98])
    seen = 0
    for p, v, good in zip(preds, inverse.astype(float), known):
        image, _ = png(f"{folder}/{p['i']:06d}.png")
        need((image[~good] == 128).all(), "unknown depth is not grey")
        x = 256 * (v - low) / (high - low)
        for index, rgb in knots.items():
            # not on an edge between two entries, where the last bit of 1/depth decides
            inside = good & (np.clip(x, 0, 255.5).astype(int) == index) & ((abs(x - np.rint(x)) > 1e-4) | (x < 0) | (x > 256))
            need((image[inside] == rgb).all(), f"entry {index}")
            seen += int(inside.sum())
    need(seen > 20, f"only {seen} pixels at known entries")
    print(f"{seen} pixels at known entries as expected")


@check
def run_json(path, stream):
    preds, run = e3read.messages(stream, "pred"), json.load(open(path))
    need(run["complete"] and run["frames_total"] == len(preds) == len(run["frames"]) and run["source"] == "made up", "run")
    for p, f in zip(preds, run["frames"]):
        need([f["index"], f["source_frame"], f["pts"], f["src_w"], f["src_h"], f["fit"]] ==
             [p[k] for k in ("i", "src_i", "pts", "src_w", "src_h", "fit")], f"frame {f}")
    xyz = expected(stream, 20)[0]
    want = [np.percentile(xyz[:, k], 95) - np.percentile(xyz[:, k], 5) for k in range(3)]
    need(run["points"]["kept"] == len(xyz) and abs(run["scene_scale"] / np.linalg.norm(want) - 1) < 1e-8, "points or scale")
    need(run["points"]["threshold"] == float("%.9g" % np.percentile(candidates(stream)[1], 20)), "threshold")
    print(f"{len(preds)} frames, scale {run['scene_scale']:g}")


@check
def peak_memory(*command):
    """Runs a command; prints the most memory it held, in KiB."""
    import resource
    import subprocess
    subprocess.run(command, check=True)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


@check
def same_points(a, b):
    need(np.array_equal(cloud(*glb(a))[0], cloud(*glb(b))[0]), "points")


@check
def count(path, n):
    p = cloud(*glb(path))[0]
    need(len(p) == int(n), f"{len(p)} points, expected {n}")


if __name__ == "__main__":
    WHAT[sys.argv[1]](*sys.argv[2:])

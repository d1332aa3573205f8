#!/usr/bin/python3
"""Streams in segments whose truth is known, and what became of them: for tests of e3-align.

align_stream.py make OUT [KEY=VALUE]...    writes a prediction stream; OUT may be "-". Keys:
    frames, rounds   of a camera that goes round a circle (96, 2)
    segment          new frames of each segment (8); 0: a stream without segments
    drift            part by which each join makes the next segment too large (0.03)
    noise            deviation of the joins: radians, and units (0)
    loops            every so many frames of the later rounds a loop to the round before (0: none)
    false            loops between places that are not the same (0)
    joins            0: the stream has no join edges
    first            number of the first segment (0); frame: index of the first frame (0)
    order            "late": edges come after the first frame of their segment
    step             seconds between frames (0.1); half: 1 for f16
    line             1: the camera goes straight
    tum, gps, lla    FILEs to write: the truth, in metres in a world of its own
    truth            FILE to write: the truth in the world of the first segment, as TUM
    length           I,J: prints the distance of two cameras in metres
align_stream.py check STREAM TUM LIMIT     compares the stream's poses and depths, as its corrections leave them, with the truth:
    prints the root mean square of the centres, the largest angle and error of the scale; exit 1 when one is above LIMIT
align_stream.py same A B                   exit 1 unless every message of A but head and end is in B with the same bytes, in order
"""
import struct
import sys

import msgpack
import numpy as np

W, H = 4, 3
METRIC = (2.5, np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.array([10.0, -20, 3]))
RESERVED = {1, 6}


def mul(a, b):
    return a[0] * b[0], a[1] @ b[1], a[0] * a[1] @ b[2] + a[2]


def inverse(a):
    return 1 / a[0], a[1].T, -(a[1].T @ a[2]) / a[0]


def turn(w):
    w = np.asarray(w, float)
    angle = np.linalg.norm(w)
    if angle < 1e-15:
        return np.eye(3)
    k = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]]) / angle
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def quaternion(r):
    m = np.array([[r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0], [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
                  [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], 0],
                  [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)]]) / 3
    q = np.linalg.eigh(m)[1][:, -1]
    return q if q[3] >= 0 else -q


def rotation(q):
    x, y, z, w = np.asarray(q, float) / np.linalg.norm(q)
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                     [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                     [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def packed(a):
    return [float(a[0]), *map(float, quaternion(a[1])), *map(float, a[2])]


def unpacked(v):
    return v[0], rotation(v[1:5]), np.array(v[5:8])


def message(kind, **fields):
    body = msgpack.packb(fields)
    return struct.pack(">BIB", 0xC9, len(body), kind) + body


def array(v, dtype):
    names = {"<f4": "f32", "<f2": "f16", "u1": "u8"}
    return {"dtype": names[dtype], "shape": list(np.shape(v)), "data": np.asarray(v, dtype).tobytes()}


def moved(a, camera):
    """A camera (world from camera) where the similarity takes it."""
    return a[1] @ camera[0], a[0] * a[1] @ camera[1] + a[2]


def path(o):
    """World from camera for each frame: a circle of radius 3, or a line; the first camera is the world."""
    cameras = []
    for i in range(o["frames"]):
        angle = 2 * np.pi * o["rounds"] * i / o["frames"]
        if o["line"]:
            cameras.append((np.eye(3), np.array([0.1 * i, 0, 0])))
        else:
            r = turn([0, angle, 0]) @ turn([0.1 * np.sin(3 * angle), 0, 0])
            cameras.append((r, np.array([3 * np.sin(angle), 0.2 * np.sin(2 * angle), 3 * np.cos(angle)])))
    first = (1.0, cameras[0][0].T, -cameras[0][0].T @ cameras[0][1])
    return [moved(first, c) for c in cameras]


def depth_of(i):
    return 2 + np.arange(W * H).reshape(H, W) / 10 + 0.01 * (i % 7)


def own_worlds(cameras, o):
    """Of each segment: from its own coordinates to the world."""
    n = -(-o["frames"] // o["segment"])
    worlds = [(1.0, np.eye(3), np.zeros(3))]
    for k in range(1, n):
        r, c = cameras[k * o["segment"]]
        worlds.append((float(np.exp(0.3 * np.sin(k))), r, c))
    return worlds


def pred(i, camera, scale, o, world, segment):
    r, c = camera
    q = quaternion(r.T)
    pose = np.array([*(-r.T @ c), *q, 0.8, 1.0], np.float32)
    dense = "<f2" if o["half"] else "<f4"
    depth = depth_of(i) * scale
    p = {"i": o["frame"] + i, "pts": o["step"] * i, "src_i": i, "src_w": W, "src_h": H, "rot": 0, "fit": [1.0, 1.0, 0.0, 0.0],
         "w": W, "h": H, "rgb": array(np.full((H, W, 3), 100), "u1"), "pose": array(pose, "<f4"),
         "depth": array(depth, dense), "depth_conf": array(np.full((H, W), 2), dense), "ms": 1.0}
    if world is not None:
        p.update(segment=segment, world=packed(world))
    return message(3, **p)


def edge(i, kind, a, b, frames, sim, sigma):
    return message(11, i=i, type=kind, a=a, b=b, frames=frames, sim=packed(sim), sigma=[float(s) for s in sigma])


def noisy(sim, pivot, rng, noise, drift):
    """The similarity with errors; the drift of its scale leaves the pivot where it is."""
    s, r, t = sim
    to = s * r @ pivot + t
    s, r = s * (1 + drift), r @ turn(noise * rng.normal(size=3))
    return s, r, to - s * r @ pivot + noise * rng.normal(size=3)


def write_known(o, cameras):
    for key, metric in (("tum", True), ("truth", False), ("gps", True), ("lla", True)):
        if not o[key]:
            continue
        with open(o[key], "w") as f:
            f.write(f"# {key} of a circle\n")
            for i, camera in enumerate(cameras):
                r, c = moved(METRIC, camera) if metric else camera
                q = quaternion(r)
                if key == "lla":  # 48.5° north, on the sphere that fits there closely enough for a few metres
                    c = (48.5 + c[1] / 111194.94, 9.0 + c[0] / 73898.23, 400 + c[2])
                numbers = [o["step"] * i, *c] + ([] if key in ("gps", "lla") else list(q))
                f.write(" ".join(f"{v:.12g}" for v in numbers) + "\n")
    if o["length"]:
        i, j = map(int, o["length"].split(","))
        print(METRIC[0] * np.linalg.norm(cameras[i][1] - cameras[j][1]))


def make(out, o):
    rng = np.random.default_rng(3)
    cameras = path(o)
    messages = [message(1, v=1, tool="e3-infer", version="1", source="made", frames=o["frames"], fps=10.0, model="made", layers=2,
                        tokens_per_frame=5, patch_grid=[2, 2], policy="none", budget=None, device="cpu", kv_token_bytes=4)]
    a_round, size = round(o["frames"] / o["rounds"]), o["segment"]
    own = own_worlds(cameras, o) if size else None
    world, first, waiting = (1.0, np.eye(3), np.zeros(3)), o["first"], []
    for i in range(o["frames"]):
        k = i // size if size else 0
        if size and i % size == 0 and k:
            shared = moved(inverse(own[k]), cameras[i - 1])[1]
            z = noisy(mul(inverse(own[k - 1]), own[k]), shared, rng, o["noise"], o["drift"])
            world = mul(world, z)
            if o["joins"]:
                sigma = (0.01, 0.02, 0.02)
                waiting.append((11, k, edge(o["frame"] + i - 1, "join", first + k - 1, first + k, [o["frame"] + i - 1] * 2, z, sigma)))
        if o["order"] != "late":
            messages += [w[2] for w in waiting]
            waiting = []
        if size:
            relation = mul(world, inverse(own[k]))
            messages.append(pred(i, moved(relation, cameras[i]), relation[0], o, world, first + k))
        else:
            messages.append(pred(i, cameras[i], 1.0, o, None, 0))
        messages += [w[2] for w in waiting]
        waiting = []
        there = o["frame"] + i
        if o["loops"] and i >= a_round and i % o["loops"] == 0:
            j = (i - a_round) // size
            z = mul(inverse(own[j]), own[k])
            messages.append(edge(there, "loop", first + j, first + k, [there - a_round, there], z, (1e-4, 1e-4, 1e-4)))
        if i >= a_round and o["false"] > 0 and i % 5 == 2:
            o["false"] -= 1
            j = max(0, (i - a_round * 3 // 2) // size)
            messages.append(edge(there, "loop", first + j, first + k, [o["frame"] + j * size, there], (1.0, np.eye(3), np.zeros(3)), (0.02, 0.05, 0.05)))
    messages.append(message(6, frames=o["frames"], seconds=1.0, peak_rss=0, cache_now=0, cache_peak=0, cache_full=0))
    write_known(o, cameras)
    with open(1 if out == "-" else out, "wb", closefd=out != "-") as f:
        f.write(b"".join(messages))


def read(name):
    data, at = open(name, "rb").read(), 0
    while at < len(data):
        tag, length, kind = struct.unpack(">BIB", data[at:at + 6])
        assert tag == 0xC9
        yield kind, data[at:at + 6 + length]
        at += 6 + length


def check(stream, tum, limit):
    truth = [list(map(float, line.split())) for line in open(tum) if line[0] != "#"]
    preds, corrections, worlds = [], [], {}
    for kind, raw in read(stream):
        m = msgpack.unpackb(raw[6:])
        if kind == 3:
            preds.append(m)
        elif kind == 10:
            corrections.append(m)
    newest = {}
    for m in corrections:
        assert m["from"] <= m["to"] <= m["i"], m
        for i in range(m["from"], m["to"] + 1):
            newest[i] = m["sim"]
    assert len(preds) == len(truth)
    square, angle, scale = 0.0, 0.0, 0.0
    for k, (p, t) in enumerate(zip(preds, truth)):
        pose = np.frombuffer(p["pose"]["data"], "<f4").astype(float)
        depth = np.frombuffer(p["depth"]["data"], "<f2" if p["depth"]["dtype"] == "f16" else "<f4").astype(float)
        r = rotation(pose[3:7]).T
        camera, s = (r, -r @ pose[:3]), 1.0
        if p["i"] in newest:
            sim = unpacked(newest[p["i"]])
            camera, s = moved(sim, camera), sim[0]
        d = np.mean(s * depth / depth_of(k).ravel())
        square += np.sum((camera[1] - np.array(t[1:4])) ** 2) / len(preds)
        angle = max(angle, np.arccos(min(1, (np.trace(camera[0].T @ rotation(t[4:8])) - 1) / 2)) if len(t) > 4 else 0)
        scale = max(scale, abs(d / (METRIC[0] if "metric" in tum else 1) - 1))
        if "world" in p:
            worlds[p["segment"]] = worlds.get(p["segment"], 0) + 1
    rms = square ** 0.5
    print(f"rms {rms:.3g} angle {angle:.3g} scale {scale:.3g} corrections {len(corrections)} segments {len(worlds)}")
    return 0 if max(rms, angle, scale) <= limit else 1


def same(a, b):
    left, right = ([raw for kind, raw in read(x) if kind not in RESERVED] for x in (a, b))
    at = 0
    for raw in left:
        while at < len(right) and right[at] != raw:
            at += 1
        if at == len(right):
            print("a message is missing or differs")
            return 1
        at += 1
    print(f"{len(left)} messages of {len(right)}")
    return 0


def main():
    if sys.argv[1] == "check":
        sys.exit(check(sys.argv[2], sys.argv[3], float(sys.argv[4])))
    if sys.argv[1] == "same":
        sys.exit(same(sys.argv[2], sys.argv[3]))
    o = {"frames": 96, "rounds": 2.0, "segment": 8, "drift": 0.03, "noise": 0.0, "loops": 0, "false": 0, "joins": 1, "first": 0, "frame": 0,
         "order": "", "step": 0.1, "half": 0, "line": 0, "tum": "", "gps": "", "lla": "", "truth": "", "length": ""}
    for pair in sys.argv[3:]:
        key, value = pair.split("=", 1)
        o[key] = type(o[key])(value)
    make(sys.argv[2], o)


main()

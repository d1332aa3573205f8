#!/usr/bin/python3
"""Walks whose place in the world is known, and what e3-export made of them: place_check.py WHAT ARGUMENT...

walk OUT DIR [KEY=VALUE]...   writes a prediction stream, and into DIR the truth: t.tum, xyz.csv, gps.csv, and more. Keys: frames;
    line=1 goes straight on; pitch, how far the cameras look down, degrees. The cameras are upright, 100 m long is the way.
moved A B RUN                 the files in folder B are those in A, moved by the similarity in RUN, a run.json
place RUN LIMIT               the similarity in RUN is the true one, but for an error of LIMIT in scale and angle
lengths TUM DIR LIMIT         distances between cameras are the true ones, but for a part of LIMIT
upright GLB DIR DEGREES [placed]    the world node of the GLB makes the true vertical y
"""
import json
import math
import sys

import numpy as np

import export_check
import make_pred

SCALE, ORIGIN = 2.5, (48.775, 9.18, 250.0)
A, E2 = 6378137.0, (2 - 1 / 298.257223563) / 298.257223563


def earth(lat, lon, alt):
    lat, lon = np.radians(lat), np.radians(lon)
    n = A / np.sqrt(1 - E2 * np.sin(lat) ** 2)
    return np.array([(n + alt) * np.cos(lat) * np.cos(lon), (n + alt) * np.cos(lat) * np.sin(lon), (n * (1 - E2) + alt) * np.sin(lat)])


def geodetic(enu):
    """Where on the Earth a place is, in metres east, north and up of ORIGIN: by Newton's method on the forward formula."""
    lat, lon = np.radians(ORIGIN[:2])
    axes = np.array([[-np.sin(lon), np.cos(lon), 0], [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)],
                     [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]])
    goal, at = earth(*ORIGIN) + axes.T @ enu, np.array(ORIGIN)
    for _ in range(5):
        steps = np.array([1e-5, 1e-5, 1.0])
        jacobian = np.stack([(earth(*(at + steps * e)) - earth(*at)) / steps[k] for k, e in enumerate(np.eye(3))], 1)
        at = at + np.linalg.solve(jacobian, goal - earth(*at))
    return at


def cameras(n, line, pitch):
    """World from camera in metres, z up: 100 m round a block, or straight on."""
    for i in range(n):
        a = 2 * math.pi * i / (n - 1)
        where = np.array([100 * i / (n - 1), 0, 1.5]) if line else np.array([18 * math.sin(a), 13.6 * (1 - math.cos(a)), 1.5 + 0.3 * math.sin(3 * a)])
        yaw, down = (0 if line else a), math.radians(pitch)
        ahead = np.array([math.cos(yaw) * math.cos(down), math.sin(yaw) * math.cos(down), -math.sin(down)])
        right = np.array([math.sin(yaw), -math.cos(yaw), 0])
        yield np.stack([right, np.cross(ahead, right), ahead], 1), where


def quaternion(r):
    """x y z w of a rotation, from the eigenvector that it leaves alone in Bar-Itzhack's matrix."""
    k = np.array([[r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0], [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
                  [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], 0],
                  [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)]]) / 3
    return np.linalg.eigh(k)[1][:, -1]


def walk(out, folder, *words):
    o = {"frames": 51, "line": 0, "pitch": 12, **{k: float(v) for k, v in (w.split("=") for w in words)}}
    n = int(o["frames"])
    world = list(cameras(n, o["line"], o["pitch"]))
    r0, c0 = world[0]
    preds, rng = list(make_pred.scene(frames=n, w=12, h=8)), np.random.default_rng(2)
    for p, (r, c) in zip(preds, world):
        own, at = r0.T @ r, r0.T @ (c - c0) / SCALE
        p["pose"] = np.array([*(-own.T @ at), *quaternion(own.T), 0.8, 1.0], np.float32)
        cam = export_check.unproject({**p, "pose": np.array([0, 0, 0, 0, 0, 0, 1, 0.8, 1.0])}).astype(float)
        p["points"] = (cam @ own.T + at).astype(np.float32)
        p["pts"] = 2.0 * p["i"]
    with open(out, "wb") as f:
        make_pred.write(f, preds, {"frames": n})
    np.savez(f"{folder}/truth.npz", r0=r0, c0=c0, centres=[c for _, c in world])
    rows = [(2.0 * i, c, quaternion(r), geodetic(c)) for i, (r, c) in enumerate(world)]
    bad = rng.permutation(n)[: round(0.3 * n)]
    noise = rng.normal(size=(n, 3))

    def save(name, head, line, use=range(n)):
        with open(f"{folder}/{name}", "w") as f:
            f.write(head + "\n" + "".join(line(k, *rows[k]) + "\n" for k in use))

    join = lambda s, v: s.join(f"{x:.12g}" for x in v)
    save("t.tum", "# timestamp tx ty tz qx qy qz qw", lambda k, t, c, q, g: join(" ", [t, *c, *q]))
    save("xyz.csv", "time,x,y,z", lambda k, t, c, q, g: join(",", [t, *c]))
    save("gps.csv", "time,lat,lon,alt", lambda k, t, c, q, g: join(",", [t, *g]))
    save("bad.csv", "z,y,x,time", lambda k, t, c, q, g: join(",", [*(c[::-1] + (40 * noise[k] if k in bad else 0)), t]))
    save("phone.csv", '"Time [s]";Latitude;Longitude;Speed;Altitude', lambda k, t, c, q, g: join(";", [t + 1.7e9, *geodetic(c + 0.5 * noise[k])[:2]]) + f";;{g[2]:.9g}")
    save("hole.csv", "time,x,y,z", lambda k, t, c, q, g: join(",", [t, *c]), [k for k in range(n) if not 10 <= k < 40])
    save("plain.txt", "# time x y z", lambda k, t, c, q, g: join(" ", [t, *c]))
    save("one.csv", "time,x,y,z", lambda k, t, c, q, g: join(",", [t, 5, 5, 5]))
    save("later.csv", "time,x,y,z", lambda k, t, c, q, g: join(",", [t + 1000, *c]))


def similarity(run):
    placed = json.load(open(run))["placed"]
    return placed["scale"], make_pred.rotation(placed["rotation"]), np.array(placed["translation"])


def moved(a, b, run):
    s, r, t = similarity(run)
    worst = {}

    def same(name, got, want):
        worst[name] = float(np.abs(got - want).max() / max(1, np.abs(want).max()))

    def at(x):
        return s * np.asarray(x, float) @ r.T + t

    for name in ("c.ply",):
        read = lambda path: np.frombuffer(open(path, "rb").read().split(b"end_header\n", 1)[1], "<f4,<f4,<f4,u1,u1,u1,<f4")
        x, y = read(f"{a}/{name}"), read(f"{b}/{name}")
        same("ply", np.stack([y[f"f{k}"] for k in range(3)], 1), at(np.stack([x[f"f{k}"] for k in range(3)], 1)))
    x, y = (export_check.cloud(*export_check.glb(f"{f}/c.glb"))[0] for f in (a, b))
    same("glb", y, at(x))
    nodes = [[n["translation"] for n in export_check.glb(f"{f}/c.glb")[0]["nodes"] if n["name"].startswith("cam_")] for f in (a, b)]
    export_check.need(len(nodes[0]) > 1, "cameras of the GLB")
    same("glb cameras", np.array(nodes[1]), at(nodes[0]))
    x, y = np.loadtxt(f"{a}/c.tum"), np.loadtxt(f"{b}/c.tum")
    same("tum", y[:, 1:4], at(x[:, 1:4]))
    turned = np.array([r @ make_pred.rotation(q) for q in x[:, 4:]])
    same("tum turn", np.array([make_pred.rotation(q) for q in y[:, 4:]]), turned)
    x, y = (np.loadtxt(f"{f}/c.kitti").reshape(-1, 3, 4) for f in (a, b))
    same("kitti", y[:, :, 3], at(x[:, :, 3]))
    same("kitti turn", y[:, :, :3], turned)
    x, y = np.load(f"{a}/c.npz"), np.load(f"{b}/c.npz")
    same("npz points", y["world_points"], at(x["world_points"]))
    same("npz from depth", y["world_points_from_depth"], at(x["world_points_from_depth"]))
    same("npz depth", y["depth"], s * x["depth"])
    same("npz extrinsic", -np.einsum("nji,nj->ni", y["extrinsic"][:, :, :3], y["extrinsic"][:, :, 3]),
         at(-np.einsum("nji,nj->ni", x["extrinsic"][:, :, :3], x["extrinsic"][:, :, 3])))
    pfm = lambda f: np.frombuffer(open(f"{f}/pfm/000003.pfm", "rb").read()[-12 * 8 * 4:], "<f4")
    same("pfm", pfm(b), s * pfm(a))
    same("intrinsics", np.loadtxt(f"{b}/c.txt"), np.loadtxt(f"{a}/c.txt"))
    bad = {k: v for k, v in worst.items() if not v < 2e-6}
    export_check.need(not bad, f"{bad}")
    print(f"{len(worst)} arrays moved, within {max(worst.values()):.1e}")


def place(run, limit):
    s, r, _ = similarity(run)
    z = np.load(run.rsplit("/", 1)[0] + "/truth.npz")
    angle = math.acos(min(1, (np.trace(r.T @ z["r0"]) - 1) / 2))
    print(f"scale off by {abs(s / SCALE - 1):.1e}, angle {angle:.1e}")
    export_check.need(abs(s / SCALE - 1) < float(limit) and angle < float(limit), "the place")


def lengths(tum, folder, limit):
    got, true = np.loadtxt(tum)[:, 1:4], np.load(f"{folder}/truth.npz")["centres"]
    pairs = [(0, 10), (0, 25), (7, 33), (12, 49), (20, 40)]
    part = max(abs(np.linalg.norm(got[i] - got[j]) / np.linalg.norm(true[i] - true[j]) - 1) for i, j in pairs)
    print(f"known distances within {part:.2e}; the way is {np.linalg.norm(np.diff(got, axis=0), axis=1).sum():.2f} m")
    export_check.need(part < float(limit), "distances")


def upright(path, folder, degrees, placed=None):
    doc, _ = export_check.glb(path)
    m = np.array(doc["nodes"][0]["matrix"]).reshape(4, 4).T[:3, :3]
    up = m @ [0, 0, 1] if placed else m @ (np.load(f"{folder}/truth.npz")["r0"].T @ [0, 0, 1])
    off = math.degrees(math.acos(min(1, up[1])))
    print(f"up is off by {off:.2f} degrees")
    export_check.need(off < float(degrees), "up")


if __name__ == "__main__":
    {f.__name__: f for f in (walk, moved, place, lengths, upright)}[sys.argv[1]](*sys.argv[2:])

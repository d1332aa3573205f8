#!/usr/bin/python3
"""How far a mesh is from the true surface: mesh_truth.py MESH.ply STREAM TRUTH [NEAR [fit]]

MESH is what e3-export --mesh made of STREAM, a PLY in the stream's axes. TRUTH has the true depth and poses: a safetensors file as
pipelines/demo has it, or a stream of e3-scene. The mesh is brought to the truth by one similarity: scale from the medians of the
depths, rotation and position from the cameras. With `fit` the similarity is the one that fits the pixels best: what is left then is
the error of the shape, not that of the place. Prints: the median and the 95th percentile of the distance from points spread evenly
over the mesh to the true surface; the share of them that is farther than NEAR (default 0.03); the share of the true surface that is
within NEAR of the mesh; triangles; and the median angle between the mesh's normals and its triangles.
"""
import os
import sys

import numpy as np
from scipy.spatial import cKDTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from demo_truth import centre, rotation, similarity
from e3read import safetensors, stream

SAMPLES = 200000


def read_ply(path):
    data = open(path, "rb").read()
    head, body = data.split(b"end_header\n", 1)
    n = {w[1]: int(w[2]) for w in (line.split() for line in head.decode().split("\n")) if w[:1] == ["element"]}
    v = np.dtype([("xyz", "<f4", 3), ("normal", "<f4", 3), ("rgb", "u1", 3)])
    f = np.dtype([("n", "u1"), ("at", "<i4", 3)])
    vertices = np.frombuffer(body, v, n["vertex"])
    faces = np.frombuffer(body, f, n["face"], n["vertex"] * v.itemsize)
    assert len(body) == n["vertex"] * v.itemsize + n["face"] * f.itemsize and (faces["n"] == 3).all()
    return vertices, faces["at"]


def read_truth(path):
    """Depth, poses and intrinsics of each frame; the centre of the first pixel is at 0."""
    if path.endswith(".safetensors"):
        t = safetensors(path)
        d = t["depth"].astype(np.float64)
        h, w = d.shape[1:]
        k = [(w / 2 / np.tan(p[8] / 2), h / 2 / np.tan(p[7] / 2), w / 2 - 0.5, h / 2 - 0.5) for p in t["pose"].astype(np.float64)]
        return d, t["pose"], k
    t = [m for kind, m in stream(path) if kind == "truth"]
    return np.stack([m["depth"] for m in t]).astype(np.float64), np.stack([m["pose"] for m in t]), [m["intrinsics"] for m in t]


def surface(depth, poses, k, cell):
    """Points of the true surface, one for each cell of a grid."""
    out = np.empty((0, 3))
    v, u = np.mgrid[0:depth.shape[1], 0:depth.shape[2]]
    for d, p, (fx, fy, cx, cy) in zip(depth, poses, k):
        x = np.stack([(u - cx) * d / fx, (v - cy) * d / fy, d], -1)[d > 0]
        out = np.concatenate([out, (x - p[:3]) @ rotation(p)])
        out = out[np.unique(np.floor(out / cell).astype(np.int64), axis=0, return_index=True)[1]]
    return out


def placed(stream_preds, depth, poses, fit):
    """The similarity that takes the prediction to the truth: scale, rotation, translation."""
    ours = np.stack([p["depth"] for p in stream_preds]).astype(np.float64)
    known = depth > 0
    s = np.median(depth[known]) / np.median(ours[known])
    m = sum(rotation(t).T @ rotation(p["pose"]) for p, t in zip(stream_preds, poses))
    u, _, vt = np.linalg.svd(m)
    r = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    a, b = (np.array([centre(p) for p in x]) for x in ([p["pose"] for p in stream_preds], poses))
    t = (b - s * a @ r.T).mean(0)
    return (s, r, t) if not fit else fitted(stream_preds, depth, poses, s, r, t)


def fitted(stream_preds, depth, poses, s, r, t):
    """The same, moved so that the 80 % of the pixels that fit best lie as near as they can to where they should."""
    h, w = depth.shape[1:]
    v, u = np.mgrid[0:h:8, 0:w:8]
    world = [], []
    for p, d, q in zip(stream_preds, depth, poses):
        for d, pose, to in (p["depth"], p["pose"], world[0]), (d, q, world[1]):
            d = d[::8, ::8].astype(np.float64)
            fx, fy = w / 2 / np.tan(pose[8] / 2), h / 2 / np.tan(pose[7] / 2)
            x = np.stack([(u + 0.5 - w / 2) * d / fx, (v + 0.5 - h / 2) * d / fy, d], -1).reshape(-1, 3)
            to.append((x - pose[:3]) @ rotation(pose))
    ours, true = (np.concatenate(x) for x in world)
    for _ in range(10):
        error = np.linalg.norm(s * ours @ r.T + t - true, axis=1)
        near = error <= np.percentile(error, 80)
        s, r, t = similarity(ours[near], true[near])
    return s, r, t


def sample(xyz, faces, n):
    a, b, c = (xyz[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    rng = np.random.default_rng(1)
    k = rng.choice(len(faces), n, p=area / area.sum())
    x, y = rng.random((2, n))
    x, y = np.where(x + y > 1, 1 - x, x), np.where(x + y > 1, 1 - y, y)
    return a[k] + x[:, None] * (b - a)[k] + y[:, None] * (c - a)[k]


def main():
    if len(sys.argv) not in (4, 5, 6) or sys.argv[5:] not in ([], ["fit"]):
        print(__doc__, file=sys.stderr)
        return 2
    near = float(sys.argv[4]) if len(sys.argv) > 4 else 0.03
    fit = len(sys.argv) == 6
    vertices, faces = read_ply(sys.argv[1])
    preds = [m for kind, m in stream(sys.argv[2]) if kind == "pred"]
    depth, poses, k = read_truth(sys.argv[3])
    s, r, t = placed(preds, depth, poses, fit)
    truth = surface(depth, poses, k, near / 6)
    xyz = s * vertices["xyz"].astype(np.float64) @ r.T + t
    points = sample(xyz, faces, SAMPLES)
    d = cKDTree(truth).query(points, workers=-1)[0]
    back = cKDTree(points).query(truth, workers=-1)[0]
    normal = np.cross(xyz[faces[:, 1]] - xyz[faces[:, 0]], xyz[faces[:, 2]] - xyz[faces[:, 0]])
    turned = (vertices["normal"][faces[:, 0]] @ r.T * normal).sum(1) / np.maximum(np.linalg.norm(normal, axis=1), 1e-30)
    print(f"median {np.median(d):.4f}  p95 {np.percentile(d, 95):.4f}  beyond {np.mean(d > near):.4f}  "
          f"covered {np.mean(back < near):.4f}  triangles {len(faces)}  normals {np.degrees(np.arccos(np.clip(np.median(turned), -1, 1))):.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

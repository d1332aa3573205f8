#!/usr/bin/python3
"""Reads COLMAP models and transforms.json, for the tests of e3-export --colmap; independent of the C code.

colmap_check.py same DIR              .bin and .txt of DIR/sparse/0, DIR/transforms.json, DIR/points.ply and DIR/images agree
colmap_check.py exact DIR [MOST]      every point projects onto its observations, within 0.1 pixels, and has the colour that is there, but for
                                      1 % of them within MOST
colmap_check.py rays DIR              each point has one observation, exactly where it is
colmap_check.py moved MODEL MODEL     prints the largest distance between the centres of the same images, and the change of f in %
"""
import json
import os
import struct
import sys

import numpy as np
from PIL import Image

from make_pred import rotation

NONE = 2**64 - 1


class Bytes:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data, self.at = f.read(), 0

    def take(self, kinds):
        v = struct.unpack_from("<" + kinds, self.data, self.at)
        self.at += struct.calcsize("<" + kinds)
        return v

    def text(self):
        end = self.data.index(b"\0", self.at)
        text, self.at = self.data[self.at:end].decode(), end + 1
        return text


def read_bin(folder):
    """cameras {id: [model, w, h, params]}, images {id: [q, t, camera, name, xy, point ids]}, points {id: [xyz, rgb, error, track]}"""
    cameras, images, points = {}, {}, {}
    f = Bytes(folder + "/cameras.bin")
    for _ in range(f.take("Q")[0]):
        i, model, w, h = f.take("IiQQ")
        cameras[i] = [{0: "SIMPLE_PINHOLE", 1: "PINHOLE"}[model], w, h, f.take("4d" if model else "3d")]
    g = Bytes(folder + "/images.bin")
    for _ in range(g.take("Q")[0]):
        i, *v, camera = g.take("I7dI")
        name = g.text()
        n = g.take("Q")[0]
        flat = np.frombuffer(g.data, np.dtype([("xy", "<f8", 2), ("id", "<u8")]), n, g.at)
        g.at += 24 * n
        images[i] = [tuple(v[:4]), tuple(v[4:]), camera, name, flat["xy"], flat["id"].astype(np.int64)]
    p = Bytes(folder + "/points3D.bin")
    for _ in range(p.take("Q")[0]):
        i, x, y, z, r, g_, b, error, n = p.take("Q3d3BdQ")
        points[i] = [(x, y, z), (r, g_, b), error, list(zip(*[iter(p.take("%dI" % (2 * n)))] * 2))]
    for one in f, g, p:
        assert one.at == len(one.data), "bytes after the end"
    return cameras, images, points


def lines(path):
    with open(path) as f:
        return [x.rstrip("\n").split(" ") for x in f if not x.startswith("#")]


def read_txt(folder):
    cameras = {int(x[0]): [x[1], int(x[2]), int(x[3]), tuple(map(float, x[4:]))] for x in lines(folder + "/cameras.txt")}
    images, points, two = {}, {}, lines(folder + "/images.txt")
    for a, b in zip(two[::2], two[1::2]):
        v = [float(x) for x in a[1:8]]
        b = np.array([float(x) for x in b if x]).reshape(-1, 3)
        assert len(a) == 10, a
        images[int(a[0])] = [tuple(v[:4]), tuple(v[4:]), int(a[8]), a[9], b[:, :2], b[:, 2].astype(np.int64)]
    for x in lines(folder + "/points3D.txt"):
        track = [int(k) for k in x[8:] if k]
        points[int(x[0])] = [tuple(map(float, x[1:4])), tuple(map(int, x[4:7])), float(x[7]), list(zip(track[::2], track[1::2]))]
    return cameras, images, points


def read_ply(path):
    with open(path, "rb") as f:
        data = f.read()
    end = data.index(b"end_header\n") + 11
    kinds = {"float": "<f4", "uchar": "u1"}
    return np.frombuffer(data[end:], [(x.split()[2], kinds[x.split()[1]]) for x in data[:end].decode().split("\n") if x.startswith("property")])


def equal(a, b):
    assert a[0] == b[0]
    assert a[1].keys() == b[1].keys() and a[2].keys() == b[2].keys()
    for i, x in a[1].items():
        y = b[1][i]
        assert x[2:4] == y[2:4] and np.allclose(x[0] + x[1], y[0] + y[1], rtol=0, atol=1e-14), (x[:4], y[:4])
        assert np.abs(x[4] - y[4]).max(initial=0) < 1e-3 and (x[5] == y[5]).all()
    for i, x in a[2].items():
        assert x == b[2][i], (x, b[2][i])


def linked(model):
    """Observations and tracks name each other."""
    cameras, images, points = model
    n = 0
    for i, (_, _, track_error, track) in points.items():
        assert track_error >= 0 and len(set(k for k, _ in track)) == len(track)
        for image, k in track:
            assert images[image][5][k] == i
            n += 1
    assert n == sum(len(x[5]) for x in images.values())
    for q, _, camera, *_ in images.values():
        assert camera in cameras and abs(np.linalg.norm(q) - 1) < 1e-12 and q[0] >= 0


def pose(image):
    w, x, y, z = image[0]
    return rotation([x, y, z, w]), np.array(image[1])


def same(folder):
    model = read_bin(folder + "/sparse/0")
    equal(model, read_txt(folder + "/sparse/0"))
    linked(model)
    cameras, images, points = model
    assert list(images) == list(range(1, len(images) + 1)) and list(points) == list(range(1, len(points) + 1))
    names = [x[3] for x in images.values()]
    assert names == sorted(names) == sorted(os.listdir(folder + "/images")), names
    j = json.load(open(folder + "/transforms.json"))
    a = np.array(j["applied_transform"])
    assert np.allclose(a[:, :3] @ a[:, :3].T, np.eye(3)) and np.linalg.det(a[:, :3]) > 0 and len(j["frames"]) == len(images)
    for (i, x), f in zip(images.items(), j["frames"]):
        k, (model_name, w, h, p) = {**j, **f}, cameras[x[2]]
        assert model_name == "PINHOLE" and (k["fl_x"], k["fl_y"], k["cx"], k["cy"], k["w"], k["h"]) == (*p, w, h)
        assert Image.open(folder + "/" + f["file_path"]).size == (w, h) and f["file_path"] == "images/" + x[3] and f["colmap_im_id"] == i
        r, t = pose(x)
        m = np.eye(4)
        m[:3, :3], m[:3, 3] = r.T @ np.diag([1, -1, -1]), -r.T @ t
        full = np.vstack([a, [0, 0, 0, 1]])
        assert np.allclose(full @ m, f["transform_matrix"], atol=1e-12)
    ply = read_ply(folder + "/" + j["ply_file_path"])
    xyz = np.array([x[0] for x in points.values()]).reshape(-1, 3)
    at = np.stack([ply[c] for c in "xyz"], -1)
    assert np.allclose(xyz @ a[:, :3].T, at, rtol=1e-6, atol=1e-6)
    assert (np.stack([ply[c] for c in ("red", "green", "blue")], -1) == np.array([x[1] for x in points.values()]).reshape(-1, 3)).all()
    length = np.linalg.norm(np.stack([ply["n" + c] for c in "xyz"], -1), axis=1)
    assert ((length == 0) | (abs(length - 1) < 0.02)).all() and (length == 0).sum() <= 0.1 * len(length)
    print(f"{len(cameras)} cameras, {len(images)} images, {len(points)} points, {sum(len(x[5]) for x in images.values())} observations")


def errors(model):
    """For each image the distances between observations and projections."""
    cameras, images, points = model
    ids = {i: k for k, i in enumerate(points)}
    xyz = np.array([x[0] for x in points.values()])
    for x in images.values():
        r, t = pose(x)
        f = cameras[x[2]][3]
        c = xyz[[ids[i] for i in x[5]]] @ r.T + t
        yield x, c, np.linalg.norm(c[:, :2] / c[:, 2:] * f[:2] + f[2:] - x[4], axis=1)


def exact(folder, most=20):
    model = read_bin(folder + "/sparse/0")
    points, sums, off = model[2], {}, []
    for image, _, e in errors(model):
        assert len(e) and e.max() < 0.1, (image[3], len(e), e.max())
        picture = np.asarray(Image.open(folder + "/images/" + image[3]).convert("RGB")).astype(float)
        at = np.minimum(np.floor(image[4]).astype(int), [picture.shape[1] - 1, picture.shape[0] - 1])
        off.append(np.abs(picture[at[:, 1], at[:, 0]] - [points[i][1] for i in image[5]]).max(axis=1))
        for i, one in zip(image[5], e):
            sums.setdefault(i, []).append(one)
    for i, e in sums.items():
        assert len(e) > 1 and abs(np.mean(e) - points[i][2]) < 1e-3, (i, e, points[i][2])
    off = np.concatenate(off)
    print(f"error {np.concatenate([e for e in sums.values()]).mean():.4f} px, colours off by {np.median(off):.1f}, {np.percentile(off, 99):.1f}")
    assert np.median(off) <= 2 and np.percentile(off, 99) <= float(most)  # half a pixel of the network off: 39
    assert len(sums) > 0.6 * len(points), (len(sums), len(points))


def rays(folder):
    """Each point has one observation, exactly where it is."""
    model = read_bin(folder + "/sparse/0")
    assert all(len(x[3]) == 1 and x[2] < 1e-3 for x in model[2].values())
    assert max(e.max(initial=0) for *_, e in errors(model)) < 1e-3


def centres(model):
    return {x[3]: -pose(x)[0].T @ pose(x)[1] for x in model[1].values()}


def moved(a, b):
    a, b = read_bin(a), read_bin(b)
    p, q = centres(a), centres(b)
    assert p.keys() == q.keys()
    f = [abs(y[3][0] / x[3][0] - 1) for x, y in zip(a[0].values(), b[0].values())]
    errs = [np.concatenate([e for *_, e in errors(m)]) for m in (a, b)]
    print("%.6g %.6g %.4g %.4g" % (max(np.linalg.norm(p[k] - q[k]) for k in p), 100 * max(f), errs[0].mean(), errs[1].mean()))


if __name__ == "__main__":
    {"same": same, "exact": exact, "rays": rays, "moved": moved}[sys.argv[1]](*sys.argv[2:])

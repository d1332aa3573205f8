"""sets_check.py NAME ROOT DECODED SCENE [SIZE]: what e3-decode --dataset made of a tree that e3-scene --as wrote, against the scene's own
stream (rendered with the same camera) and against the reference's loaders, written here with Pillow."""
import glob
import math
import os
import sys

import numpy as np
from PIL import Image

import e3read

name, root, decoded, scene = sys.argv[1:5]
size = int(sys.argv[5]) if len(sys.argv) > 5 else 224
IMAGES = {"sintel": "training/final/*/*.png", "kitti": "depth_selection/*/image_gathered/*/*.png", "bonn": "rgbd_bonn_dataset/*/rgb_110/*.png",
          "nyu": "val/nyu_images/*.png", "7scenes": "*/*/*.color.png", "nrgbd": "*/images/*.png", "tum": "*/rgb_90/*.png",
          "scannet": "*/color_90/*.jpg", "co3d": "*/*/images/*.jpg"}
# half a step of the format, and float32
STEP = {"sintel": 0, "kitti": 0.5 / 256, "bonn": 0.5 / 5000, "nyu": 0, "7scenes": 0.5 / 1000, "nrgbd": 0.5 / 1000}
PATCH = 14


def even(x):
    return int(round(x))  # Python rounds half to even


def loader_a(im, crop):
    s = max(im.size)
    im = im.resize(tuple(even(x * size / s) for x in im.size), Image.LANCZOS if s > size else Image.BICUBIC)
    cx, cy = im.size[0] // 2, im.size[1] // 2
    hw, hh = 2 * cx // PATCH * PATCH // 2, 2 * cy // PATCH * PATCH // 2
    return im.crop((cx - hw, cy - hh, cx + hw, cy + hh)) if crop else im.resize((2 * hw, 2 * hh), Image.LANCZOS)


def loader_b(im, depth, f):
    """The principal point is the middle: nothing is cut before the resize."""
    w, h = im.size
    tw, th = size, even(size * 0.75 / PATCH) * PATCH
    s = max(tw / w, th / h) + 1e-8
    nw, nh = math.floor(w * s), math.floor(h * s)
    left, top = even(0.5 * (nw - tw)), even(0.5 * (nh - th))
    im = im.resize((nw, nh), Image.LANCZOS if s < 1 else Image.BICUBIC).crop((left, top, left + tw, top + th))
    rows, columns = np.floor(np.arange(nh) * (h / nh)).astype(int), np.floor(np.arange(nw) * (w / nw)).astype(int)
    k = [f * s, f * s] + [(c / 2 + 0.5) * s - 0.5 * (c * s - n) - 0.5 - at for c, n, at in ((w, nw, left), (h, nh, top))]
    return im, depth[rows[top:top + th]][:, columns[left:left + tw]], k


def matrix(pose):
    t, (x, y, z, w) = np.asarray(pose[:3], float), np.asarray(pose[3:7], float)
    r = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                  [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])
    return np.vstack([np.column_stack([r, t]), [0, 0, 0, 1]])


def near(what, got, want, within):
    off = np.abs(np.asarray(got, float) - np.asarray(want, float)).max()
    if not off <= within:
        raise SystemExit(f"{name}: {what}: off by {off}, at most {within} is right")
    return off


frames, truths = e3read.messages(decoded, "frame"), e3read.messages(decoded, "truth")
truth_of = e3read.messages(scene, "truth")
images = sorted(glob.glob(os.path.join(root, IMAGES[name])), key=lambda p: (len(p), p))
assert frames and len(frames) == len(truths), f"{len(frames)} frames, {len(truths)} truths"
order = [images.index(os.path.join(root, p)) for p in ()] or [f["src_i"] for f in frames]
if name in ("sintel", "co3d"):
    order = [k - (name == "sintel") for k in order]  # Sintel counts from 1, CO3D's index is that of the list
first = matrix(truth_of[order[0]]["pose"])
worst = 0.0
for f, t, k in zip(frames, truths, order):
    im, want = Image.open(images[k]).convert("RGB"), truth_of[k]
    if name in ("7scenes", "nrgbd"):  # rendered one pixel wider and higher, that pixel cut off
        want = dict(want, depth=want["depth"][:-1, :-1])
    depth, intrinsics = want["depth"], want["intrinsics"]
    if name in ("sintel", "kitti", "bonn", "nyu"):
        im = loader_a(im, False)
    elif name in ("tum", "scannet"):
        im, depth = loader_a(im, True), None
    elif name == "co3d":
        im, depth = im.resize((224, 224), Image.BICUBIC), None
    else:
        im, depth, intrinsics = loader_b(im, depth, want["intrinsics"][0])
    assert f["prepared"] == 1 and f["w"] % PATCH == f["h"] % PATCH == 0 and f["i"] == t["i"]
    if not np.array_equal(f["rgb"], np.asarray(im)):
        raise SystemExit(f"{name}: frame {f['i']}: the loader's pixels differ from Pillow's")
    if (depth is None) != ("depth" not in t):
        raise SystemExit(f"{name}: depth where there should be none, or none")
    if depth is not None:
        beyond = {"7scenes": 10, "nrgbd": 10, "bonn": 65535 / 5000}.get(name, np.inf)
        depth = np.where(depth > beyond, 0, depth)
        worst = max(worst, near("depth", t["depth"], depth, STEP[name] + 1e-6))
    if name in ("sintel", "7scenes", "nrgbd"):
        near("intrinsics", t["intrinsics"], intrinsics, 1e-9 if name == "sintel" else 1e-4)
    elif "intrinsics" in t:
        raise SystemExit(f"{name}: intrinsics that the data set does not state")
    if name in ("kitti", "bonn", "nyu"):
        if "pose" in t:
            raise SystemExit(f"{name}: a pose that the data set does not have")
    else:
        near("pose", matrix(t["pose"]), matrix(want["pose"]) @ np.linalg.inv(first), 2e-6)
print(f"# {name}: {len(frames)} frames, depth off by {worst:.2e} at most (half a step is {STEP.get(name, 0):.2e})")

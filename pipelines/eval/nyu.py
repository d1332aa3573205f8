#!/usr/bin/env python3
"""nyu.py [--split SPLITS.mat] FROM TO: NYU-v2 as it is handed out, turned into TO/val/nyu_images/*.png and TO/val/nyu_depths/*.npy.

FROM is a folder of .h5 files (rgb [3, h, w] of 8 bits, depth [h, w] in metres: the 654 of val/official that the papers' preparation
reads), or nyu_depth_v2_labeled.mat with the file that names its test pictures. What is there already is kept, so that a run that was
stopped continues where it was. Needs h5py, numpy and Pillow; --split needs scipy."""
import argparse
import glob
import os
import sys

try:
    import h5py
    import numpy as np
    from PIL import Image
except ImportError as e:
    sys.exit(f"nyu.py: {e}: apt-get install python3-h5py python3-numpy python3-pil, or pip install h5py numpy pillow")


def die(text):
    sys.exit(f"nyu.py: {text}")


def write(path, save):
    """Whole or not at all."""
    part = f"{path}.part{os.path.splitext(path)[1]}"
    save(part)
    os.replace(part, path)


def opened(path):
    try:
        return h5py.File(path, "r")
    except OSError as e:
        die(f"{path}: {e}")


def put(to, stem, rgb, depth, source):
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        die(f"{source}: rgb is {rgb.dtype} {rgb.shape}: expected 8 bits, three channels")
    if depth.shape != rgb.shape[:2] or not np.isfinite(depth).all():
        die(f"{source}: depth is {depth.shape}, the picture {rgb.shape[:2]}" if depth.shape != rgb.shape[:2] else f"{source}: depth is not finite")
    write(os.path.join(to, "nyu_images", stem + ".png"), lambda p: Image.fromarray(rgb).save(p))
    write(os.path.join(to, "nyu_depths", stem + ".npy"), lambda p: np.save(p, np.ascontiguousarray(depth, "<f4")))


def missing(to, stem):
    return not all(os.path.exists(os.path.join(to, f"nyu_{kind}", stem + end)) for kind, end in (("images", ".png"), ("depths", ".npy")))


def field(file, key, source):
    if key not in file:
        die(f"{source}: no {key} in it: found {', '.join(sorted(file)) or 'nothing'}")
    return file[key]


def from_folder(folder, to):
    files = sorted(glob.glob(os.path.join(glob.escape(folder), "*.h5")))
    if not files:
        die(f"{folder}: no .h5 files: expected those of val/official")
    for path in files:
        stem = os.path.splitext(os.path.basename(path))[0]
        if missing(to, stem):
            with opened(path) as f:
                rgb, depth = field(f, "rgb", path)[()], field(f, "depth", path)[()]
                put(to, stem, rgb.transpose(1, 2, 0) if rgb.ndim == 3 else rgb, depth, path)
    return len(files)


def test_numbers(path):
    try:
        from scipy.io import loadmat
    except ImportError:
        die("--split needs scipy: apt-get install python3-scipy, or pip install scipy")
    split = loadmat(path)
    if "testNdxs" not in split:
        die(f"{path}: no testNdxs in it")
    return sorted(int(n) for n in split["testNdxs"].ravel())


def from_mat(path, split, to):
    if not split:
        die(f"{path}: the papers use its 654 test pictures: give --split splits.mat")
    with opened(path) as f:
        images, depths = field(f, "images", path), field(f, "depths", path)  # MATLAB's axes: [n, 3, w, h] and [n, w, h]
        numbers = test_numbers(split)
        if not numbers or numbers[0] < 1 or numbers[-1] > len(images):
            die(f"{split}: picture {numbers[-1] if numbers else 0}: {path} has 1 to {len(images)}")
        for n in numbers:
            if missing(to, f"{n:05d}"):
                put(to, f"{n:05d}", np.ascontiguousarray(images[n - 1].transpose(2, 1, 0)), depths[n - 1].T, f"{path}: picture {n}")
    return len(numbers)


def main():
    parser = argparse.ArgumentParser(prog="nyu.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", metavar="SPLITS.mat")
    parser.add_argument("source", metavar="FROM")
    parser.add_argument("to", metavar="TO")
    a = parser.parse_args()
    to = os.path.join(a.to, "val")
    try:
        for kind in ("nyu_images", "nyu_depths"):
            os.makedirs(os.path.join(to, kind), exist_ok=True)
        n = from_folder(a.source, to) if os.path.isdir(a.source) else from_mat(a.source, a.split, to)
    except (OSError, ValueError) as e:
        die(f"{a.source}: {e}")
    print(f"{n} pictures in {to}", file=sys.stderr)


main()

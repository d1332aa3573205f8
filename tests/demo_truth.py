#!/usr/bin/python3
"""Errors of a prediction stream of the demo clip against its ground truth, as pipelines/demo/README.md defines them.

usage: demo_truth.py STREAM TRUTH [RUN]
Prints one line of figures. With RUN (none, P0.2, P0.1) compares them with the figures of the independent implementation in
that README: exit 1 when one is off by more than 2 %.
"""
import sys

import numpy as np

from e3read import messages, safetensors

NAMES = ("AbsRel", "d<1.25", "d<1.03", "ATE", "rotation")
# pipelines/demo/README.md, in the order of NAMES.
EXPECTED = {
    "none": (0.0483, 0.9597, 0.6484, 0.0049, 0.518),
    "P0.2": (0.0462, 0.9706, 0.6333, 0.0044, 0.398),
    "P0.1": (0.0449, 0.9713, 0.6161, 0.0053, 0.311),
}
# Half a unit of the last digit the README gives, beside the 2 %.
ROUNDING = (0.00005, 0.00005, 0.00005, 0.00005, 0.0005)


def rotation(pose):
    x, y, z, w = np.asarray(pose[3:7], np.float64) / np.linalg.norm(pose[3:7])
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def centre(pose):
    return -rotation(pose).T @ np.asarray(pose[:3], np.float64)


def similarity(a, b):
    """Umeyama: scale, rotation, translation that take the points a closest to b."""
    ma, mb = a.mean(0), b.mean(0)
    u, d, vt = np.linalg.svd((b - mb).T @ (a - ma) / len(a))
    sign = np.diag([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    r = u @ sign @ vt
    s = np.trace(np.diag(d) @ sign) / ((a - ma) ** 2).sum(1).mean()
    return s, r, mb - s * r @ ma


def figures(depth, poses, true_depth, true_poses):
    known = true_depth > 0
    d, t = depth[known].astype(np.float64), true_depth[known].astype(np.float64)
    d *= np.median(t) / np.median(d)
    ratio = np.maximum(d / t, t / d)
    a, b = (np.array([centre(p) for p in x]) for x in (poses, true_poses))
    s, r, move = similarity(a, b)
    ate = np.sqrt((((s * a @ r.T + move) - b) ** 2).sum(1).mean())
    turn = [np.arccos(np.clip((np.trace(rotation(p) @ rotation(q).T) - 1) / 2, -1, 1)) for p, q in zip(poses, true_poses)]
    return (np.mean(np.abs(d - t) / t), np.mean(ratio < 1.25), np.mean(ratio < 1.03), ate, np.degrees(np.mean(turn)))


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[3:] and sys.argv[3] not in EXPECTED:
        print(__doc__, file=sys.stderr)
        return 2
    preds = messages(sys.argv[1], "pred")
    truth = safetensors(sys.argv[2])
    if [p["i"] for p in preds] != list(range(len(truth["pose"]))):
        print(f"expected {len(truth['pose'])} predictions in order, got {len(preds)}")
        return 1
    got = figures(np.stack([p["depth"] for p in preds]), [p["pose"] for p in preds], truth["depth"], truth["pose"])
    print("  ".join(f"{n} {v:.4f}" for n, v in zip(NAMES, got)))
    rc = 0
    for name, value, want, slack in zip(NAMES, got, EXPECTED[sys.argv[3]] if sys.argv[3:] else (), ROUNDING):
        if not abs(value - want) <= 0.02 * want + slack:
            print(f"{name}: {value:.5f}, expected {want} within 2 %")
            rc = 1
    return rc


if __name__ == "__main__":
    sys.exit(main())

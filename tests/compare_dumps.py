#!/usr/bin/python3
"""Compares two folders that e3-infer --dump wrote: compare_dumps.py A B [BOUND].

A line for each activation, in the order in which a frame computes them: relative L2 distance of A from B, largest difference, values
that are not finite. The first one beyond BOUND (default 1e-5) is named at the end; exit 1 then, or when a file is missing in B.
Between the CPU and CUDA with --precision f32 use 1e-4.
"""
import os
import sys

import numpy as np

STAGES = ["vit", "agg", "camera", "depth", "point"]
PARTS = ["frame", "global", "trunk", "pose"]


def place(name):
    """Where an activation stands in the work of a frame. vit.tokens follows the blocks of the ViT; a dense head fuses its levels from the
    last to the first."""
    frame, stage, *rest = name.removesuffix(".npy").split(".")
    block, part = (int(rest[0]), rest[-1]) if rest[0].isdigit() else (1 << 30, rest[0])
    return frame, STAGES.index(stage), part == "fused", -block if part == "fused" else block, PARTS.index(part) if part in PARTS else 0


def main():
    a, b, bound = sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 1e-5
    first = None
    for name in sorted((n for n in os.listdir(a) if n.endswith(".npy")), key=place):
        got = np.load(f"{a}/{name}").astype(np.float64)
        if not os.path.exists(f"{b}/{name}"):
            print(f"{name:40s} missing in {b}")
            return 1
        want = np.load(f"{b}/{name}").astype(np.float64)
        if got.shape != want.shape:
            print(f"{name:40s} shape {got.shape}, expected {want.shape}")
            return 1
        off = np.abs(got - want)
        relative = np.linalg.norm(got - want) / max(np.linalg.norm(want), 1e-300)
        bad = int((~np.isfinite(got)).sum())
        print(f"{name:40s} relative L2 {relative:.2e}  max {off.max():.2e}  non-finite {bad}")
        if first is None and not relative <= bound:
            first = name
    print(f"first beyond {bound:g}: {first or 'none'}")
    return 1 if first else 0


if __name__ == "__main__":
    sys.exit(main())

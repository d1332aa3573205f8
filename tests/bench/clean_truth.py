#!/usr/bin/python3
"""How clean the points of e3-export are: clean_truth.py STREAM TRUTH [MODE...]

Exports STREAM once for each cleaning MODE (none, edges, consistent), with the default percentile of confidence and without, merged
as by default; and as by default until now: points that are not merged. TRUTH has the true depth and poses: a safetensors file as
pipelines/demo has it, or a stream of e3-scene. Points are brought to the truth by the similarity that fits the 80 % of the pixels
that fit best. Prints a row for each: points; the share of them that flies, farther than 0.03 from the true surface; the share of the
true surface, one sample for each cell of 0.01, that has a point within 0.03, and that beside the first row's; size of the GLB;
seconds of processor time.
"""
import os
import resource
import subprocess
import sys
import tempfile

import numpy as np
from scipy.spatial import cKDTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from e3read import messages
from export_check import glb, cloud
from mesh_truth import placed, read_truth, surface

NEAR, CELL = 0.03, 0.01
ROWS = [("none", "--clean none --conf-pct 0 --voxel none"), ("none", "--clean none --conf-pct 20 --voxel none")]
for mode, usual in ("none", 20), ("edges", 20), ("consistent", 35):
    ROWS += [(mode, f"--clean {mode} --conf-pct 0 --voxel auto"), (mode, f"--clean {mode} --conf-pct {usual} --voxel auto")]


def used():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def thinned(x, cell):
    """One point of each cell: enough to tell what is near a surface."""
    return x[np.unique(np.floor(x / cell).astype(np.int64), axis=0, return_index=True)[1]]


def main():
    if len(sys.argv) < 3 or set(sys.argv[3:]) - {r[0] for r in ROWS}:
        print(__doc__, file=sys.stderr)
        return 2
    stream, (depth, poses, k) = sys.argv[1], read_truth(sys.argv[2])
    s, r, t = placed(messages(stream, "pred"), depth, poses, True)
    true = surface(depth, poses, k, CELL)
    tree, first = cKDTree(true), None
    print(f"{'options':46} {'points':>8} {'flying':>8} {'covered':>8} {'of first':>8} {'MB':>6} {'s':>6}")
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "x.glb")
        for mode, options in ROWS:
            if sys.argv[3:] and mode not in sys.argv[3:]:
                continue
            before = used()
            subprocess.run(["e3-export", "-q", "--align", "none", "--no-cameras", "--max-points", "0", *options.split(), "--glb", out, stream],
                           check=True)
            seconds = used() - before
            x = s * cloud(*glb(out))[0].astype(float) @ r.T + t
            flying = np.mean(~np.isfinite(tree.query(x[::len(x) // 400000 + 1], distance_upper_bound=NEAR)[0]))
            covered = np.mean(np.isfinite(cKDTree(thinned(x, CELL / 4)).query(true, distance_upper_bound=NEAR)[0]))
            first = first or covered
            print(f"{options:46} {len(x):8} {100 * flying:7.2f}% {100 * covered:7.1f}% {100 * covered / first:7.1f}% "
                  f"{os.path.getsize(out) / 1e6:6.1f} {seconds:6.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Compares a prediction stream of a full seeded network with its golden file: golden_full.py STREAM GOLDEN RUN. GOLDEN and RUN:
full.golden and off or p50; lingbot-full.golden and s1, s8 or s2w3k2.

Prints every figure. Exit 1 when a dense output is further than 2e-4 (relative L2) from the golden one, LingBot-Map's further than 2e-5 and
its poses than 1e-4, or when the tokens kept by the first eviction (p50, frame 4) agree less than Jaccard 0.99 in some layer.
"""
import sys

import numpy as np

from e3read import camera, relative, safetensors, stream

FIELDS = {"depth": "depth", "dconf": "depth_conf", "pts": "points", "pconf": "points_conf"}
STEP = 8
FIRST_EVICTION = 4
BOUND, JACCARD = 2e-4, 0.99
LINGBOT, LINGBOT_POSE, LINGBOT_STEP = 2e-5, 1e-4, 64


def outputs(preds, golden, run):
    ok, lingbot = True, f"{run}.w2c.0" in golden
    bound, step = (LINGBOT, LINGBOT_STEP) if lingbot else (BOUND, STEP)
    for i, p in enumerate(preds):
        line = [f"frame {i}:"]
        for name, field in FIELDS.items():
            if f"{run}.{name}.{i}" not in golden:
                continue
            r = relative(p[field][::step, ::step], golden[f"{run}.{name}.{i}"])
            line.append(f"{name} {r:.1e}")
            ok &= r <= bound
        if lingbot:
            r = relative(camera(p["pose"]), golden[f"{run}.w2c.{i}"])
            ok &= r <= LINGBOT_POSE
        else:
            r = relative(p["pose"], golden[f"{run}.pose.{i}"])
        line.append(f"pose {r:.1e}")
        print("  ".join(line))
    print(f"dense outputs within {bound:.0e}" if ok else "OUT OF BOUNDS")
    return ok


def kept(evicts, golden, n):
    """Worst Jaccard over the layers of frame 4's kept set; arrival order is the order of ids, and nothing left before."""
    worst = 1.0
    for entry in evicts[FIRST_EVICTION]["layers"]:
        ids = np.arange(n * (FIRST_EVICTION + 1))
        gone = np.concatenate([l["removed"] for e in evicts[:FIRST_EVICTION + 1] for l in e["layers"] if l["layer"] == entry["layer"]])
        ours = np.setdiff1d(ids, gone)
        theirs = golden.get(f"p50.keep.{FIRST_EVICTION}.{entry['layer']}", ids)
        j = len(np.intersect1d(ours, theirs)) / len(np.union1d(ours, theirs))
        worst = min(worst, j)
    print(f"kept set at frame {FIRST_EVICTION}: worst Jaccard {worst:.5f} over {len(evicts[FIRST_EVICTION]['layers'])} layers")
    return worst >= JACCARD


def main():
    path, golden, run = sys.argv[1], safetensors(sys.argv[2]), sys.argv[3]
    preds, evicts, n = [], [], 0
    for kind, m in stream(path):
        if kind == "head":
            n = m["tokens_per_frame"]
        elif kind == "pred":
            n = n or 5 + (m["w"] // 14) * (m["h"] // 14)
            preds.append(m)
        elif kind == "evict":
            evicts.append(m)
    if len(preds) != 9:
        print(f"expected 9 predictions, got {len(preds)}")
        return 1
    ok = outputs(preds, golden, run)
    if run == "p50":
        ok &= kept(evicts, golden, n)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

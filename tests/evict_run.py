#!/usr/bin/python3
"""A synthetic run with eviction, and the truth about it, for tests of e3-evict-stats.

evict_run.py write STREAM TRUTH.npz [KEY=VALUE]...   writes the stream, and which tokens were alive after each step
evict_run.py judge TRUTH.npz JSON TSV_DIR            compares the tool's figures with those counted from the truth

Keys: frames layers rows cols special seed p (budget, a fraction) map (1: attention with maps) attn (comma list of layers) first
(index of the first frame) step (between indices). The truth is a table of booleans over (layer, step, frame, index), from which
every figure is counted here, in another way than the tool does.
"""
import csv
import json
import struct
import sys

import msgpack
import numpy as np


def array(v):
    kinds = {"float32": "f32", "uint8": "u8", "uint32": "u32"}
    v = np.ascontiguousarray(v)
    return {"dtype": kinds[str(v.dtype)], "shape": list(v.shape), "data": v.tobytes()}


def message(kind, fields):
    body = msgpack.packb(fields)
    return struct.pack(">BIB", 0xC9, len(body), kind) + body


def picture(t, rows, cols, cell=8):
    y, x = np.mgrid[0:rows * cell, 0:cols * cell]
    return np.stack([120 + 60 * np.sin(x / 7 + t / 3), 120 + 60 * np.cos(y / 5), 100 + 0 * x], -1).astype(np.uint8)


def single(v):
    return struct.unpack("f", struct.pack("f", v))[0]


def write(to, truth, frames=9, layers=3, rows=3, cols=4, special=2, seed=1, p=0.4, map=0, attn="", first=0, step=1):
    rng = np.random.default_rng(seed)
    n = special + rows * cols
    budget = int(p * frames * layers * n)
    alive = np.zeros((layers, frames, frames, n), bool)  # layer, step, frame, index
    protected = np.zeros((frames, n), bool)
    protected[0], protected[:, :special] = True, True
    drawn = [int(x) for x in attn.split(",") if x != ""] if isinstance(attn, str) else [attn]
    mass_sums = {}
    with open(to, "wb") as f:
        f.write(message(1, {"v": 1, "tool": "e3-infer", "version": "1", "source": "made up", "frames": frames, "fps": 2.0, "model": "m",
                            "layers": layers, "tokens_per_frame": n, "patch_grid": [rows, cols], "policy": "evict3r",
                            "budget": budget, "device": "cpu", "kv_token_bytes": 1000}))
        for t in range(frames):
            i = first + step * t
            rgb = picture(t, rows, cols)
            depth = (2 + np.sin(rgb[..., 0] / 40)).astype(np.float32)
            f.write(message(3, {"i": i, "pts": i / 2, "src_i": i, "src_w": rgb.shape[1], "src_h": rgb.shape[0], "rot": 0,
                                "fit": [1.0, 1.0, 0.0, 0.0], "w": rgb.shape[1], "h": rgb.shape[0], "rgb": array(rgb),
                                "depth": array(depth), "depth_conf": array(depth + 1), "ms": 1.0}))
            held = alive[:, t - 1].copy() if t else np.zeros((layers, frames, n), bool)
            held[:, t] = True
            for layer in drawn:
                key = np.flatnonzero(held[layer].ravel()).astype(np.uint32)
                probs = rng.random((n, len(key)))
                probs = (probs / probs.sum(1, keepdims=True)).astype(np.float32)
                mass = probs.sum(0)
                per_frame = np.zeros(t + 1, np.float32)
                np.add.at(per_frame, key // n, mass / n)
                mass_sums[f"mass_{layer}_{t}"] = per_frame
                record = {"i": i, "layer": layer, "key": array(key), "mass": array(mass.astype(np.float32)), "frame_mass": array(per_frame)}
                if map:
                    record["map"] = array(probs)
                f.write(message(5, record))
            share = rng.random(layers) + 0.3
            share /= share.sum()
            decides = 0 < t < frames - 1
            records = []
            for layer in range(layers):
                before, prot = int(held[layer].sum()), int((held[layer] & protected).sum())
                floor = max(share[layer] * budget, prot)
                goes = max(0, before - int(np.ceil(floor))) if decides else 0
                score = rng.random((frames, n)).astype(np.float32)
                free = np.flatnonzero((held[layer] & ~protected).ravel())
                order = free[np.argsort(score.ravel()[free], kind="stable")]
                gone, stay = np.sort(order[:goes]).astype(np.uint32), order[goes:]
                value = score.ravel()[order]
                quantiles = np.quantile(value, [0, .01, .05, .25, .5, .75, .95, .99, 1]) if decides and len(value) else np.full(9, np.nan)
                records.append({"layer": layer, "k_before": before, "k_after": before - len(gone),
                                "budget": floor if decides else float(before), "alpha": share[layer] if decides else 0.0,
                                "variance": 0.5, "saturated": 0, "protected": prot if decides or t == 0 else 0,
                                "score_q": array(quantiles.astype(np.float32)),
                                "max_evicted": single(score.ravel()[order[goes - 1]]) if goes else float("nan"),
                                "min_kept": single(score.ravel()[stay[0]]) if decides and len(stay) else float("nan"),
                                "removed": array(gone)})
                held[layer].ravel()[gone] = False
            alive[:, t] = held
            f.write(message(4, {"i": i, "layers": records}))
        f.write(message(6, {"frames": frames, "seconds": 1.0, "peak_rss": 1, "cache_now": 1, "cache_peak": 2, "cache_full": 3}))
    np.savez(truth, alive=alive, shape=[layers, frames, rows, cols, special], budget=budget, **mass_sums)


def table(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


class Judge:
    def __init__(self):
        self.n = self.bad = 0

    def same(self, what, got, want):
        got = np.nan if got is None else float(got)
        self.n += 1
        if not (abs(got - want) <= 2e-6 * max(1, abs(want)) or (np.isnan(got) and np.isnan(want))):
            self.bad += 1
            print(f"{what}: {got}, expected {want}")


def jaccard(a, b):
    return (a & b).sum() / (a | b).sum() if (a | b).any() else np.nan


def survival(judge, rows, lives):
    """lives: (steps kept, died) of every patch; S from all ages up to each."""
    s, seen = 1.0, 0
    for row in rows:
        age = int(row["age"])
        at_risk = sum(1 for life, died in lives if life >= age)
        deaths = sum(1 for life, died in lives if life == age and died)
        s *= 1 - deaths / at_risk
        judge.same(f"{row['layer']} at risk {age}", row["at_risk"], at_risk)
        judge.same(f"{row['layer']} deaths {age}", row["deaths"], deaths)
        judge.same(f"{row['layer']} survival {age}", row["survival"], s)
        seen += 1
    judge.same("ages", seen, max(life for life, died in lives) + 1)


def judge_run(truth, report, tables):
    z = np.load(truth)
    layers, frames, rows, cols, special = (int(x) for x in z["shape"])
    n, alive, budget = special + rows * cols, z["alive"], int(z["budget"])
    patches = alive[..., special:]
    j = Judge()
    with open(report) as f:
        x = json.load(f)
    total = alive.sum((0, 2, 3))
    before = [layers * n] + [int(total[t - 1]) + layers * n for t in range(1, frames)]
    removed = [before[t] - int(total[t]) for t in range(frames)]
    last = max((t for t in range(frames) if removed[t]), default=None)
    for name, want in {"frames": frames, "layers": layers, "tokens_per_frame": n, "special_tokens": special, "violations_total": 0,
                       "tokens_removed": sum(removed), "protected_evicted": 0, "budget_use": total[last] / budget,
                       "first_frame_kept": 1, "special_kept": 1 if special else np.nan}.items():
        j.same(name, x[name], want)
    cache = {"tokens_now": total[-1], "tokens_peak": max(before), "tokens_without_eviction": layers * frames * n,
             "bytes_now": 1000 * total[-1], "bytes_peak": 1000 * max(before), "bytes_without_eviction": 1000 * layers * frames * n,
             "kept_fraction": total[-1] / (layers * frames * n)}
    for name, want in cache.items():
        j.same(name, x["cache"][name], want)
    born = [patches[:, t, t] for t in range(frames)]
    stillborn = [(~b).sum() for b in born]
    j.same("stillborn", x["stillborn"], sum(stillborn[1:]) / (layers * rows * cols * (frames - 1)))
    for f in range(frames):
        j.same(f"importance {f}", x["importance"][f], patches[:, -1, f].sum() / (layers * n))
    # lives: steps alive, and whether the end came inside the run
    lives = {layer: [] for layer in range(layers)}
    for layer in range(layers):
        for f in range(1, frames):
            for p in range(rows * cols):
                kept = int(patches[layer, f:, f, p].sum())
                died = kept < frames - f
                lives[layer].append((kept if died else frames - 1 - f, died))
    rows_of = table(f"{tables}/survival.tsv")
    for layer in range(layers):
        survival(j, [r for r in rows_of if r["layer"] == str(layer)], lives[layer])
    survival(j, [r for r in rows_of if r["layer"] == "all"], sum(lives.values(), []))
    for t, row in enumerate(table(f"{tables}/per_step.tsv")):
        ages = np.repeat(np.arange(t, -1, -1), patches[:, t, :t + 1].sum((0, 2)))
        for q in (5, 25, 50, 75, 95):
            j.same(f"age {t} {q}", row[f"age_{q}"], np.quantile(ages, q / 100, method="inverted_cdf"))
        for name, want in {"step": t, "tokens_before": before[t], "tokens_after": total[t], "removed": removed[t],
                           "turnover": removed[t] / before[t], "kept_fraction": total[t] / (layers * n * (t + 1)),
                           "budget_use": total[t] / budget, "stillborn": stillborn[t] / (layers * rows * cols),
                           "age_max": ages.max(), "bytes": 1000 * total[t]}.items():
            j.same(f"step {t} {name}", row[name], want)
    for row in table(f"{tables}/per_layer.tsv"):
        t, layer = int(row["step"]), int(row["layer"])
        held = alive[layer, t].sum()
        j.same(f"{t} {layer} k_after", row["k_after"], held)
        j.same(f"{t} {layer} kept_fraction", row["kept_fraction"], held / (n * (t + 1)))
        j.same(f"{t} {layer} budget use", row["budget_use"], held / np.ceil(float(row["budget"])))
        j.same(f"{t} {layer} stillborn", row["stillborn"], (~patches[layer, t, t]).sum() / (rows * cols))
        j.same(f"{t} {layer} gap", row["gap"], np.float64(row["min_kept"]) - np.float64(row["max_evicted"]))
        if layer + 1 < layers:
            j.same(f"{t} {layer} jaccard", row["jaccard_next"], jaccard(patches[layer, t], patches[layer + 1, t]))
    for row in table(f"{tables}/agreement.tsv"):
        a, b = int(row["layer"]), int(row["other"])
        j.same(f"agreement {a} {b}", row["jaccard"], jaccard(patches[a, -1], patches[b, -1]))
    for f, row in enumerate(table(f"{tables}/frames.tsv")):
        for layer in range(layers):
            j.same(f"kept {f} {layer}", row[f"kept_{layer:02d}"], patches[layer, -1, f].sum())
    with open(f"{tables}/summary.json") as f:
        j.same("summary.json equals the report", float(json.load(f) == x), 1)
    print(f"# {j.n} figures compared, {j.bad} differ; {sum(removed)} tokens removed")
    return 1 if j.bad or j.n < 100 else 0


def main():
    if sys.argv[1] == "judge":
        return judge_run(*sys.argv[2:])
    options = dict(a.split("=") for a in sys.argv[4:])
    write(sys.argv[2], sys.argv[3], **{k: v if k == "attn" else float(v) if k == "p" else int(v) for k, v in options.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""A synthetic run in segments, for tests of e3-evict-stats: every segment is a run of evict_run.py of its own.

evict_segments.py write DIR [KEY=VALUE]...   DIR/run.e3, the stream, and DIR/N.e3 and DIR/N.npz, each segment alone
evict_segments.py judge DIR                  DIR/tsv and DIR/run.json (of run.e3) against DIR/N.tsv (of each alone) and the tables of tokens
evict_segments.py pictures DIR               DIR/png (--style hide), DIR/now (--view now), DIR/attn against the tables of tokens

Keys: segments, length (frames of a segment), overlap, start (index of the first frame), and those of evict_run.py.
"""
import json
import os
import struct
import sys

import msgpack
import numpy as np

import evict_run


def messages(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        _, length, kind = struct.unpack(">BIB", data[at:at + 6])
        yield kind, msgpack.unpackb(data[at + 6:at + 6 + length], raw=False)
        at += 6 + length


def write(folder, segments=3, length=8, overlap=3, start=0, seed=1, **more):
    stride, parts = length - overlap, []
    for k in range(segments):
        evict_run.write(f"{folder}/{k}.e3", f"{folder}/{k}.npz", frames=length, first=start + stride * k, seed=seed + k, **more)
        of_frame = {}
        for kind, m in messages(f"{folder}/{k}.e3"):
            if kind in (3, 4, 5):
                if k and kind != 3:
                    m = {"i": m["i"], "segment": k, "first": start + stride * k, **m}
                of_frame.setdefault(m["i"], []).append((kind, m))
            elif kind == 1:
                head = m
            else:
                end = m
        parts.append(of_frame)
    frames = stride * (segments - 1) + length
    head["frames"] = end["frames"] = frames
    answered = {}
    with open(f"{folder}/run.e3", "wb") as f:
        f.write(evict_run.message(1, head))
        for i in range(start, start + frames):
            holding = [k for k in range(segments) if i in parts[k]]
            answered[i - start] = holding[0]
            for kind, m in parts[holding[0]][i]:
                f.write(evict_run.message(kind, m))
            for k in holding[1:]:
                f.write(evict_run.message(4, dict(parts[k][i])[4]))
        f.write(evict_run.message(6, end))
    with open(f"{folder}/plan.json", "w") as f:
        json.dump({"segments": segments, "length": length, "overlap": overlap, "start": start, "frames": frames,
                   "answered": [answered[t] for t in range(frames)]}, f)


def load(folder):
    plan = json.load(open(f"{folder}/plan.json"))
    return plan, [np.load(f"{folder}/{k}.npz") for k in range(plan["segments"])]


def judge(folder):
    plan, z = load(folder)
    j = evict_run.Judge()
    n, length, stride = plan["segments"], plan["length"], plan["length"] - plan["overlap"]
    _, _, rows, cols, special = (int(x) for x in z[0]["shape"])
    layers, per_frame = len(z[0]["alive"]), special + rows * cols
    alive = [x["alive"] for x in z]
    patches = [a[..., special:] for a in alive]
    # a line of each table is that of the segment alone, but for the step
    for name in ("per_step", "per_layer", "frames"):
        lines = evict_run.table(f"{folder}/tsv/{name}.tsv")
        for k in range(n):
            own = [x for x in lines if x["segment"] == str(k)]
            alone = evict_run.table(f"{folder}/{k}.tsv/{name}.tsv")
            j.same(f"{name}: lines of segment {k}", len(own), len(alone))
            for a, b in zip(own, alone):
                for key in b:
                    if key != "step":
                        j.same(f"{name} {k} {key}", a[key], float(b[key]))
        if name != "per_layer":
            j.same(f"{name}: steps", [int(x["step"]) for x in lines] == list(range(n * length)), 1)
    # survival: the counts of all segments
    alone = [{(x["layer"], x["age"]): x for x in evict_run.table(f"{folder}/{k}.tsv/survival.tsv")} for k in range(n)]
    left = {}
    for x in evict_run.table(f"{folder}/tsv/survival.tsv"):
        key = (x["layer"], x["age"])
        risk, deaths = (sum(int(a[key][w]) for a in alone if key in a) for w in ("at_risk", "deaths"))
        left[x["layer"]] = left.get(x["layer"], 1) * (1 - deaths / risk)
        j.same(f"at risk {key}", x["at_risk"], risk)
        j.same(f"deaths {key}", x["deaths"], deaths)
        j.same(f"survival {key}", x["survival"], left[x["layer"]])
    for x in evict_run.table(f"{folder}/tsv/agreement.tsv"):
        a, b = (np.concatenate([p[int(x[w]), -1].ravel() for p in patches]) for w in ("layer", "other"))
        j.same("agreement", x["jaccard"], evict_run.jaccard(a, b))
    # the figures of the whole: tokens over both caches while two overlap
    held = [a.sum((0, 2, 3)) for a in alive]
    peak, now = 0, 0
    for t in range(plan["frames"]):
        inside = [k for k in range(plan["answered"][t], n) if 0 <= t - stride * k < length]
        before = {k: int(held[k][t - stride * k - 1]) if t > stride * k else 0 for k in inside}
        for k in inside:
            peak = max(peak, sum(before.values()) + layers * per_frame)
            before[k] = int(held[k][t - stride * k])
        now = sum(before.values())
    full = layers * per_frame * plan["frames"]
    x = json.load(open(f"{folder}/run.json"))
    ones = [json.load(open(f"{folder}/{k}.json")) for k in range(n)]
    for key, want in {"frames": plan["frames"], "violations_total": 0, "first_frame_kept": 1, "special_kept": 1 if special else np.nan,
                      "tokens_removed": sum(o["tokens_removed"] for o in ones), "stillborn": np.mean([o["stillborn"] for o in ones])}.items():
        j.same(key, x[key], want)
    for key, want in {"tokens_now": now, "tokens_peak": peak, "tokens_without_eviction": full, "kept_fraction": now / full}.items():
        j.same(key, x["cache"][key], want)
    for t, k in enumerate(plan["answered"]):
        j.same(f"importance {t}", x["importance"][t], ones[k]["importance"][t - stride * k])
    for k, s in enumerate(x["segments"]):
        want = {"segment": k, "first": plan["start"] + stride * k, "last": plan["start"] + stride * k + length - 1, "frames": length,
                "answered": plan["answered"].count(k), "tokens_removed": ones[k]["tokens_removed"], "tokens_at_end": int(held[k][-1])}
        for key, value in want.items():
            j.same(f"segment {k} {key}", s[key], value)
    j.same("segments", len(x["segments"]), n)
    print(f"# {j.n} figures compared, {j.bad} differ")
    return 1 if j.bad or j.n < 500 else 0


def pictures(folder):
    from PIL import Image
    plan, z = load(folder)
    length, stride, frames = plan["length"], plan["length"] - plan["overlap"], plan["frames"]
    alive, seen = [x["alive"] for x in z], 0
    cell, layers = 65, len(z[0]["alive"])

    def patch(im, x0, y0, p, size):
        return im[y0 + p // 4 * size + size // 2, x0 + p % 4 * size + size // 2].astype(int)

    # at the end of the segment that answered
    for layer in range(layers):
        im = np.asarray(Image.open(f"{folder}/png/L{layer:02d}.png"))
        columns = (im.shape[1] - 24) // (4 * cell + 8)
        for t in range(frames):
            k = plan["answered"][t]
            for p in range(12):
                px = patch(im, 16 + t % columns * (4 * cell + 8), 48 + t // columns * (3 * cell + 32), p, cell)
                kept = alive[k][layer, -1, t - stride * k, 2 + p]
                assert (px == 255).all() != kept, (layer, t, p, px)
                seen += not kept
    # as they were in the cache that answered: what an earlier segment saw is gone
    im = np.asarray(Image.open(f"{folder}/now/L00.png"))
    shots = [round(x) for x in np.linspace(0, frames - 1, 12)]
    size, gone = cell // 2, 0
    for row, t in enumerate(shots):
        k = plan["answered"][t]
        for column, f in enumerate(shots[:row + 1]):
            for p in range(12):
                px = patch(im, 16 + 96 + column * (4 * size + 8), 48 + row * (3 * size + 32), p, size)
                kept = f >= stride * k and alive[k][0, t - stride * k, f - stride * k, 2 + p]
                assert (px == 255).all() != kept, (t, f, p, px)
                gone += f < stride * k
    # attention: nothing on frames before the segment
    for layer in (0, 2):
        want = np.zeros((frames, frames))
        for t in range(frames):
            k = plan["answered"][t]
            want[t, stride * k:t + 1] = z[k][f"mass_{layer}_{t - stride * k}"]
        got = np.loadtxt(f"{folder}/attn/frame_mass_layer_{layer:02d}.tsv")
        assert np.abs(got - want).max() < 1e-6, layer
    im, zoom, n, grey = np.asarray(Image.open(f"{folder}/attn/layer_00.png")).astype(int), 720 // (frames * 14), 14, 0
    for t in range(frames):
        k = plan["answered"][t]
        for token in range(frames * n):
            px, f = im[64 + t * zoom * n + 7, 94 + token * zoom + zoom // 2], token // n
            if token % n in (0, n - 1):
                continue # beside a border of frames
            local = f - stride * k
            held = f == t or (stride * k <= f < t and alive[k][0, t - stride * k - 1, local, token % n])
            assert (px == 128).all() == (f <= t and not held), (t, token, px)
            grey += f < stride * k
    print(f"# {seen} evicted patches, {gone} of earlier segments, {grey} grey tokens of earlier segments")
    return 0 if seen > 50 and gone > 50 and grey > 500 else 1


def main():
    what, folder, *words = sys.argv[1:]
    if what != "write":
        return {"judge": judge, "pictures": pictures}[what](folder)
    os.makedirs(folder, exist_ok=True)
    pairs = dict(w.split("=") for w in words)
    write(folder, **{k: v if k == "attn" else float(v) if k == "p" else int(v) for k, v in pairs.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())

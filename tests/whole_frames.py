#!/usr/bin/python3
"""whole_frames.py POLICY STREAM DUMP: the frames that a run of e3-infer kept, against the formulas of doc/network.md 9.7 on the patch
tokens that the same run dumped."""
import sys
import numpy as np
from e3read import stream


def keep(policy, frames, f):
    """The frames to keep of these (ascending), f: features by frame."""
    K, R = {"k4": (4, 1), "k6": (6, 3), "k8": (8, 4)}[policy]
    if len(frames) <= K:
        return frames
    now = frames[-1]
    if policy != "k8":
        newest, old = frames[-R:], frames[1:-R]
        r = {j: max(f[j] @ f[g] for g in newest) for j in old}
        return sorted([frames[0]] + newest + sorted(old, key=lambda j: (r[j], j))[:K - 1 - R])
    chosen = [0] + [j for j in frames if now - j <= 3]
    rest = [j for j in frames if j not in chosen]
    anchor = list(chosen)
    old = [j for j in rest if now - j >= 48]
    chosen += sorted(old, key=lambda j: (max(f[j] @ f[a] for a in anchor), j))[:1]
    chosen += [j for j in rest if 16 <= now - j <= 47][:1] + [j for j in rest if 4 <= now - j <= 15][:1]
    rest = [j for j in rest if j not in chosen]
    return sorted(chosen + rest[len(rest) - (8 - len(chosen)):])


def main():
    policy, name, dump = sys.argv[1:]
    m = list(stream(name))
    N, f, held, went = m[0][1]["tokens_per_frame"], {}, [], 0
    for i, record in enumerate(x for k, x in m if k == "evict"):
        mean = np.load(f"{dump}/frame{i:06d}.vit.tokens.npy").astype(float).mean(0)
        f[i] = mean / np.linalg.norm(mean)
        want = keep(policy, held + [i], f)
        gone = sorted(set(held + [i]) - set(want))
        ids = [j * N + k for j in gone for k in range(N)]
        for layer in record["layers"]:
            assert list(layer["removed"]) == ids, (policy, i, layer["layer"], gone, sorted({int(t) // N for t in layer["removed"]}))
        held, went = want, went + len(gone)
    assert went == i + 1 - len(held), (went, i)
    print(f"{policy}: {went} frames went, kept at the end: {held}")


main()

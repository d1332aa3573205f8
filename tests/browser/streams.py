"""Streams for the tests of the page, made once in a folder."""
import os
import struct
import subprocess

import numpy as np

import e3raw
import e3read
import make_pred
import recon_stream


def run(*words):
    subprocess.run(words, check=True)


def exact(folder, frames=12, seed=7):
    """A rendered room, 84 x 63: exact depth and poses as predictions."""
    room, out = f"{folder}/room{seed}.e3", f"{folder}/exact{seed}.e3"
    if not os.path.exists(out):
        run("e3-scene", "-q", "--seed", str(seed), "--frames", str(frames), "--size", "84x63", "-o", room)
        recon_stream.predict(room, out)
    return out


def made_up(folder, frames=3):
    """A wavy wall of smooth colours whose confidence grows from left to right."""
    out = folder + "/wall.e3"
    with open(out, "wb") as f:
        f.write(make_pred.message(1, make_pred.head(frames)))
        for p in make_pred.scene(frames=frames, w=84, h=63):
            v, u = np.mgrid[0:63, 0:84]
            p["rgb"] = np.stack([60 + 2 * u, 200 - v, 60 + 2 * v], -1).astype(np.uint8)
            p["depth_conf"] = (1 + 0.08 * u).astype(np.float32)
            del p["points"], p["points_conf"]
            f.write(make_pred.message(3, {k: make_pred.array(x) if isinstance(x, np.ndarray) else x for k, x in p.items()}))
        f.write(make_pred.message(6, {"frames": frames, "seconds": 1.0}))
    return out


def evicted(folder, *options):
    """What e3-infer says with a small network of random weights: its cache is real, its points are not."""
    exact(folder)
    out = f"{folder}/{'-'.join(options).strip('-') or 'whole'}.e3"
    run("e3-infer", "-q", "--model", "seed:tiny:1", "--segment", "0", *options, f"{folder}/room7.e3", "-o", out)
    return out


def with_cache(folder, *options):
    """Exact predictions with the records of a cache: the bytes of (head, [(prediction, what was evicted after it)]), and `held` of it."""
    path = evicted(folder, *options)
    its = list(messages(path))
    evicts = [m for kind, m in its if kind == "evict"]
    return its[0][1], list(zip([m for kind, m in messages(exact(folder)) if kind == "pred"], evicts)), held(path)


def messages(path):
    """The bytes of every message of a file, with their kinds."""
    with open(path, "rb") as f:
        while envelope := f.read(6):
            _, length, kind = struct.unpack(">BIB", envelope)
            yield e3raw.KINDS[kind], envelope + f.read(length)


def predictions(path):
    return e3read.messages(path, "pred")


def held(path):
    """{frame: {frame: [how many layers hold each patch]}}: what the cache holds after each frame, by the records of what was evicted."""
    head, out, cache = None, {}, {}
    for kind, m in e3read.stream(path):
        if kind == "head":
            head = m
        elif kind == "evict":
            n, patches = head["tokens_per_frame"], head["patch_grid"][0] * head["patch_grid"][1]
            for layer in m["layers"]:
                kept = cache.setdefault(layer["layer"], set())
                kept.update(range(m["i"] * n, (m["i"] + 1) * n))
                kept.difference_update(layer["removed"].tolist())
            now = {}
            for kept in cache.values():
                for token in kept:
                    if token % n >= n - patches:
                        now.setdefault(token // n, [0] * patches)[token % n - (n - patches)] += 1
            out[m["i"]] = now
    return out




def write(path, data):
    with open(path, "wb") as f:
        f.write(data)

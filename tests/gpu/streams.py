#!/usr/bin/python3
"""e3-infer --streams on CUDA: streams.py speed FRAMES FOLDER [OPTIONS], check FOLDER, clips FOLDER. Pictures are noise, 518 × 392 unless SIZE says
another one; the model is seed:full:1, or BENCH_MODEL.

speed: frames/s of 1, 2, 4 and 8 streams (or COUNTS) together, the pauses between frames of each stream, device memory.
check: three streams of different lengths together against each alone, in 16 bits and in f32: relative L2 of depth and points, poses,
and how many of the kept tokens are the same.
clips: CLIPS (8) folders of CLIP_FRAMES (48) pictures through e3-clips, from pictures to trajectories: a process for each, then with
--streams 1, 2 and 4. Clips in an hour, the start of e3-infer included.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..")]
from driver import Watch  # noqa: E402
from end_to_end import write  # noqa: E402
from table import done, row  # noqa: E402

MODEL = os.environ.get("BENCH_MODEL", "seed:full:1")
W, H = (int(x) for x in os.environ.get("SIZE", "518x392").split("x"))
TOGETHER = "{}: stream {} of 3 against alone"
BASE = ["e3-infer", "--device", "cuda", "--model", MODEL]


def noise(seed, n):
    return list(np.random.default_rng(seed).integers(0, 256, (n, H, W, 3), np.uint8))


def together(files, outputs, *options, said=None):
    """Runs them together; per stream the times at which its frames were done."""
    command = BASE + ["-v", "--log-every", "1", *options]
    if len(files) > 1:
        command += ["--streams", str(len(files))]
    for o in outputs:
        command += ["-o", o]
    arrived, other = {f: [] for f in files}, []
    with subprocess.Popen(command + files, stderr=subprocess.PIPE, text=True) as p:
        for line in p.stderr:
            m = re.search(r"frame (\d+): ([0-9.]+) ms", line)
            if m:
                name = next((f for f in files if f in line), files[0])
                arrived[name].append(time.time())
                continue
            other.append(line)
            if "together on average" in line or "expected" in line or "failed" in line:
                print("  " + line.rstrip())
    if p.returncode:
        raise SystemExit(f"{''.join(other[-5:])}{' '.join(command)}: exit {p.returncode}")
    return arrived


def speed(n, folder, *options):
    counts = [int(x) for x in os.environ.get("COUNTS", "1,2,4,8").split(",")]
    paths, one, label = [], None, "".join(f", {x}" for x in options if x in ("int8", "fp8"))
    left = [c for c in counts if not done(f"{c} at a time{label}")]
    if not left:
        return
    counts = sorted({counts[0], *left})  # the first is what the others are compared with
    pictures = noise(1, 5)
    write(os.path.join(folder, "frames.e3"), pictures, n)
    for k in range(max(counts)):
        path = os.path.join(folder, f"s{k}.e3")
        if not os.path.exists(path):
            os.symlink(os.path.abspath(os.path.join(folder, "frames.e3")), path)
        paths.append(path)
    for count in counts:
        with Watch() as memory:
            arrived = together(paths[:count], ["/dev/null"] * count, *options)
        start = max(t[min(9, n // 3)] for t in arrived.values())
        end = min(t[-1] for t in arrived.values())
        frames = sum(sum(start < x <= end for x in t) for t in arrived.values())
        rate = frames / (end - start)
        gaps = np.concatenate([np.diff([x for x in t if start <= x <= end]) for t in arrived.values()]) * 1e3
        one = one or rate
        print(f"{count} streams {' '.join(options)}: {rate:.1f} frames/s in all (x{rate / one:.2f}), {rate / count:.1f} each; between frames of a stream "
              f"p50 {np.median(gaps):.2f} ms, p99 {np.percentile(gaps, 99):.2f}; device memory at most {memory.most:.0f} MiB", flush=True)
        row(f"{count} at a time{label}", f"{rate:.1f} frames/s, x{rate / one:.2f}", f"p99 {np.percentile(gaps, 99):.1f} ms, {memory.most:.0f} MiB")


def difference(a, b):
    """Of two streams of predictions: relative L2 of depth and points, of poses, share of the kept tokens that both have."""
    from e3read import stream
    got = [[], []]
    for k, path in enumerate((a, b)):
        got[k] = list(stream(path))
    both = [[m for kind, m in g if kind == "pred"] for g in got]
    evict = [[m for kind, m in g if kind == "evict"] for g in got]
    assert len(both[0]) == len(both[1]) and len(evict[0]) == len(evict[1])

    def l2(field, part=slice(None)):
        x, y = (np.concatenate([np.asarray(m[field], np.float64).reshape(-1)[part] for m in b]) for b in both)
        return np.linalg.norm(x - y) / np.linalg.norm(y)
    same = total = 0
    for x, y in zip(*evict):
        for p, q in zip(x["layers"], y["layers"]):
            r, s = (set(np.asarray(v["removed"]).tolist()) for v in (p, q))
            same, total = same + len(r & s), total + len(r | s)
    return l2("depth"), l2("points"), l2("pose"), same / total if total else 1.0


def check(folder):
    frames = (5, 7, 8)
    paths = [os.path.join(folder, f"c{k}.e3") for k in range(3)]
    for k, path in enumerate(paths):
        write(path, noise(10 + k, frames[k]), frames[k])
    bad = False
    for precision, bounds in (("f32", (1e-4, 1e-4, 1e-4, 0.99)), ("bf16", (5e-3, 5e-3, 2e-2, 0.90))):
        if all(done(TOGETHER.format(precision, k)) for k in range(3)):
            continue
        how = ["--precision", precision, "--budget", "3f", "--segment", "0", "--policy", "evict3r"]
        alone, many = ([os.path.join(folder, f"{name}{k}.e3") for k in range(3)] for name in ("alone", "many"))
        for path, to in zip(paths, alone):
            together([path], [to], *how)
        together(paths, many, *how)
        for k in range(3):
            d = difference(many[k], alone[k])
            ok = all(x <= y for x, y in zip(d[:3], bounds)) and d[3] >= bounds[3]
            bad |= not ok
            text = f"depth {d[0]:.1e}, points {d[1]:.1e}, pose {d[2]:.1e}, same tokens evicted {d[3]:.4f}"
            print(f"{TOGETHER.format(precision, k)}: {text}{'' if ok else '  NOT OK'}", flush=True)
            row(TOGETHER.format(precision, k), text, f"{bounds}", ok)
    return 1 if bad else 0


def write_png(path, px):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = np.concatenate([np.zeros((px.shape[0], 1), np.uint8), px.reshape(px.shape[0], -1)], 1)  # before each row its filter: none
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", px.shape[1], px.shape[0], 8, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)) + chunk(b"IEND", b""))


def clips(folder):
    n, frames = int(os.environ.get("CLIPS", 8)), int(os.environ.get("CLIP_FRAMES", 48))
    ways, label = ([], ["--streams", "1"], ["--streams", "2"], ["--streams", "4"]), f"e3-clips {{}}: {n} clips of {frames} frames"
    lacks = [tool for tool in ("e3-clips", "e3-decode", "e3-export", "parallel") if not shutil.which(tool)]
    if lacks:
        text = f"left out: {', '.join(lacks)} not there"
        print(text)
        row("e3-clips", text, ok=None)
        return 0
    if done(label.format("--streams 4")):
        return 0
    paths = [os.path.join(folder, f"clip{k}") for k in range(n)]
    for path in paths:
        os.mkdir(path)
        for i, px in enumerate(noise(7, min(8, frames))):
            write_png(os.path.join(path, f"{i:04d}.png"), px)
        for i in range(8, frames):
            os.link(os.path.join(path, f"{i % 8:04d}.png"), os.path.join(path, f"{i:04d}.png"))
    one, bad = None, False
    for how in ways:
        command = ["e3-clips", "run", "-q", *how, "--infer", f"--device cuda --model {MODEL} --budget 10f", "--export", "--tum {}/trajectory.txt",
                   os.path.join(folder, "out" + "".join(how)), *paths]
        start = time.time()
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.time() - start
        records = [json.loads(line) for line in ended.stdout.splitlines()]
        good = ended.returncode == 0 and len(records) == n and all(r["status"] == "done" and r["frames"] == frames for r in records)
        one, bad = one or seconds, bad or not good
        name = label.format(' '.join(how) or 'as it is')
        print(f"{name}: {seconds:.2f} s, {3600 * n / seconds:.0f} an hour (x{one / seconds:.2f}), {n * frames / seconds:.1f} frames/s{'' if good else '  NOT OK'}", flush=True)
        if not good:
            print(ended.stdout[-1500:] + ended.stderr[-1500:])
        row(name, f"{3600 * n / seconds:.0f} clips an hour, x{one / seconds:.2f}", "all done", good)
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1] in ("check", "clips"):
        sys.exit({"check": check, "clips": clips}[sys.argv[1]](sys.argv[2]))
    speed(int(sys.argv[2]), sys.argv[3], *(sys.argv[4:] or ["--budget", "10f", "--segment", "0"]))

#!/usr/bin/python3
"""e3-infer on CUDA as a user runs it, all outputs to /dev/null: end_to_end.py FRAMES FOLDER [STREAM]. Repeats the pictures of STREAM,
or noise of 518 × 392, FRAMES times. Prints frames/s, the spread of the time per frame, time to the first frame, device memory.

OLD=DIR compares with an older build: DIR has its e3-infer with libe3-cuda.so beside it, or is its build folder. Both run in turn, ROUNDS
times (2), so that both have the same hour of the same machine. ONLY=N runs the first N of the rows.
"""
import os
import re
import struct
import subprocess
import sys
import time

import msgpack
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from driver import Watch  # noqa: E402
from table import done, row  # noqa: E402


def messages(pictures, n, tell=True, **more):
    """A frame stream of n frames, the pictures again and again, as bytes; its head says how many they are if `tell`. more: fields of frames."""
    def message(kind, body):
        data = msgpack.packb(body)
        return struct.pack(">BIB", 0xC9, len(data), kind) + data
    yield message(1, {"v": 1, "tool": "bench", "version": "0", "source": "repeated", "frames": n if tell else None, "fps": 30.0})
    for i in range(n):
        px = pictures[i % len(pictures)]
        h, w = px.shape[:2]
        yield message(2, {"i": i, "pts": i / 30, "src_i": i, "src_w": w, "src_h": h, "rot": 0, "fit": [1.0, 1.0, 0.0, 0.0], "w": w, "h": h,
                          "rgb": {"dtype": "u8", "shape": [h, w, 3], "data": px.tobytes()}, **more})
    yield message(6, {"frames": n, "seconds": 0.0})


def write(path, pictures, n):
    with open(path, "wb") as f:
        f.writelines(messages(pictures, n))


def run(stream, n, *options, model=None, infer="e3-infer", said=None):
    """One run: a dict of figures. Lines of e3-infer that are about no frame are printed, or go to the list `said` with their time."""
    command = [infer, "--device", "cuda", "--model", model or os.environ.get("BENCH_MODEL", "seed:full:1"), "--log-every", "1", *options, stream]
    memory = Watch()
    start = time.time()
    memory.start()
    arrived, ms, last = [], [], -1
    with open(os.devnull, "wb") as null, subprocess.Popen(command, stdout=null, stderr=subprocess.PIPE, text=True) as p:
        for line in p.stderr:
            m = re.search(r"frame (\d+): ([0-9.]+) ms", line)
            if m:
                arrived.append(time.time())
                last = int(m.group(1))
                ms.append(float(m.group(2)))
            elif said is not None:
                said.append((time.time() - start, line.rstrip()))
            else:
                print("  " + line.rstrip())
    memory.stop()
    first = n - len(arrived)  # frames of a start come with its last one
    if p.returncode or not 0 <= first < 20 or last != n - 1:
        reason = "".join(f"{line}\n" for _, line in (said or [])[-5:])  # (else it was printed)
        raise SystemExit(f"{reason}{' '.join(command)}: exit {p.returncode} after {len(arrived)} lines, the last for frame {last}")
    got = {"first": arrived[0] - start, "memory": memory.most}
    if n > 21:
        gaps = np.diff(arrived)[19 - first:] * 1e3
        got.update(rate=(n - 20) / (arrived[-1] - arrived[19 - first]), p50=np.median(gaps), p99=np.percentile(gaps, 99), session=np.median(ms[20 - first:]))
    return got


def measure(stream, n, *options, model=None, label=""):
    name = (label + " ".join(options)) or "no option"
    if done(name):
        return
    got = run(stream, n, *options, model=model)
    print(f"{name:34s} {n} frames: {got['rate']:6.1f} frames/s from frame 20, between frames p50 {got['p50']:.2f} ms, "
          f"p99 {got['p99']:.2f} (x{got['p99'] / got['p50']:.2f}); session p50 {got['session']:.2f} ms; "
          f"first frame after {got['first']:.1f} s; device memory at most {got['memory']:.0f} MiB", flush=True)
    row(name, f"{got['rate']:.1f} frames/s, p50 {got['p50']:.2f}, p99 {got['p99']:.2f} ms", f"{got['memory']:.0f} MiB")


def program(old):
    """The old build's e3-infer: DIR/e3-infer or DIR/bin/e3-infer."""
    for path in os.path.join(old, "e3-infer"), os.path.join(old, "bin", "e3-infer"):
        if os.access(path, os.X_OK):
            return path
    raise SystemExit(f"OLD={old}: no e3-infer there")


def compare(stream, n, old, *options, model=None, label=""):
    """Two builds in turn: the median over the rounds of p50 and p99, before and after."""
    name = ((label + " ".join(options)) or "no option") + ", before → after"
    if done(name):
        return
    rounds = int(os.environ.get("ROUNDS", "2"))
    got = {"before": [], "after": []}
    for _ in range(rounds):
        got["before"].append(run(stream, n, *options, model=model, infer=program(old), said=[]))
        got["after"].append(run(stream, n, *options, model=model, said=[]))
    mid = {who: {k: float(np.median([g[k] for g in runs])) for k in ("rate", "p50", "p99", "first", "memory")} for who, runs in got.items()}
    b, a = mid["before"], mid["after"]
    print(f"{name:34s} {rounds} × {n} frames: {b['rate']:.1f} → {a['rate']:.1f} frames/s (×{a['rate'] / b['rate']:.2f}); p50 {b['p50']:.2f} → {a['p50']:.2f} ms; "
          f"p99 {b['p99']:.2f} → {a['p99']:.2f}; first frame {b['first']:.1f} → {a['first']:.1f} s; memory {b['memory']:.0f} → {a['memory']:.0f} MiB", flush=True)
    row(name, f"{b['rate']:.1f} → {a['rate']:.1f} frames/s", f"p50 {b['p50']:.2f} → {a['p50']:.2f}, p99 {b['p99']:.2f} → {a['p99']:.2f} ms")


def offers(*options):
    """Does this build take these options? What it does not know has no row."""
    return subprocess.run(["e3-infer", "--device", "cuda", "--plan", "--model", "seed:tiny:7", "--size", "70x70", *options],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 2  # 2: options


# What is measured, in this order. New modes go here; a row whose options this build refuses is left out.
ROWS = ("--budget 10f --segment 0", "--budget 10f --segment 0 --half",
        "--budget 10f --segment 0 --precision int8", "--budget 10f --segment 0 --precision fp8",
        "--budget 10f --segment 0 --kv fp8", "--budget 10f --segment 0 --kv int8", "--budget 10f --segment 0 --kv k8v4",
        "--budget 10f --segment 0 --precision int8 --kv int8",
        "--budget 10f", "--budget 10f --segment 11f --loops", "--budget 4f --segment 0", "--policy k4", "--budget 8f --segment 0", "--policy k8",
        "--policy xstream --budget 10f", "--policy frames --budget 10f")
NEW = ("--precision", "--kv")  # options that an older build may not have


def wanted():
    rows = [r.split() for r in ROWS]
    return [r for r in rows if not any(o in r for o in NEW) or offers(*r)][:int(os.environ.get("ONLY", len(ROWS)))]


def main():
    n, folder = int(sys.argv[1]), sys.argv[2]
    if len(sys.argv) > 3:
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
        from e3read import messages
        pictures = [f["rgb"] for f in messages(sys.argv[3], "frame")]
    else:
        pictures = list(np.random.default_rng(1).integers(0, 256, (9, 392, 518, 3), np.uint8))
    stream = os.path.join(folder, "frames.e3")
    write(stream, pictures, n)
    old = os.environ.get("OLD")
    for options in wanted():
        if not old:
            measure(stream, n, *options)
        elif not any(o in options for o in NEW):
            compare(stream, n, old, *options)
    if os.environ.get("ONLY") or n < 100:
        return
    small = list(np.random.default_rng(2).integers(0, 256, (9, 154, 518, 3), np.uint8))
    for seen, many, options, label in (small, n, ("--budget", "10f", "--segment", "0"), "518x154 "), (pictures, 100, ("--no-evict",), ""):
        write(stream, seen, many)
        if old:
            compare(stream, many, old, *options, label=label)
        else:
            measure(stream, many, *options, label=label)
    if not old:
        families(stream, n)


def families(stream, n):
    """LingBot-Map beside StreamVGGT, at the size of its authors' figures; its own rule (--start 8 --window 64) is the default."""
    write(stream, list(np.random.default_rng(1).integers(0, 256, (9, 378, 518, 3), np.uint8)), n)
    for options in "", "--keyframe 2", "--budget 10f", "--budget 72f --policy evict3r":
        measure(stream, n, *options.split(), model="seed:lingbot-full:1", label="lingbot 518x378 ")
    measure(stream, n, "--budget", "10f", "--outputs", "pose,depth", label="streamvggt 518x378 ")


if __name__ == "__main__":
    main()

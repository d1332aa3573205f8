#!/usr/bin/python3
"""e3-infer on CUDA as a user runs it, all outputs to /dev/null: end_to_end.py FRAMES FOLDER [STREAM]. Repeats the pictures of STREAM,
or noise of 518 × 392, FRAMES times. Prints frames/s, the spread of the time per frame, time to the first frame, device memory."""
import os
import re
import struct
import subprocess
import sys
import threading
import time

import msgpack
import numpy as np


def write(path, pictures, n):
    def message(f, kind, body):
        data = msgpack.packb(body)
        f.write(struct.pack(">BIB", 0xC9, len(data), kind) + data)
    with open(path, "wb") as f:
        message(f, 1, {"v": 1, "tool": "bench", "version": "0", "source": "repeated", "frames": n, "fps": 30.0})
        for i in range(n):
            px = pictures[i % len(pictures)]
            h, w = px.shape[:2]
            message(f, 2, {"i": i, "pts": i / 30, "src_i": i, "src_w": w, "src_h": h, "rot": 0, "fit": [1.0, 1.0, 0.0, 0.0], "w": w, "h": h,
                           "rgb": {"dtype": "u8", "shape": [h, w, 3], "data": px.tobytes()}})
        message(f, 6, {"frames": n, "seconds": 0.0})


class Memory(threading.Thread):
    """Highest device memory in use by anyone while it runs (MiB)."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.last, self.on = 0, 0, True

    def run(self):
        while self.on:
            text = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True).stdout
            now = [int(x) for x in text.split()[:1] if x.isdigit()]
            self.most, self.last = max([self.most] + now), (now or [self.last])[0]
            time.sleep(0.3)


def measure(stream, n, *options, model=os.environ.get("BENCH_MODEL", "seed:full:1"), label=""):
    command = ["e3-infer", "--device", "cuda", "--model", model, "--log-every", "1", *options, stream]
    memory = Memory()
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
            else:
                print("  " + line.rstrip())
    memory.on = False
    memory.join()
    first = n - len(arrived)  # frames of a start come with its last one
    if p.returncode or not 0 <= first < 20 or last != n - 1:
        raise SystemExit(f"{' '.join(command)}: exit {p.returncode} after {len(arrived)} lines, the last for frame {last}")
    gaps = np.diff(arrived)[19 - first:] * 1e3
    print(f"{label + ' '.join(options):34s} {n} frames: {(n - 20) / (arrived[-1] - arrived[19 - first]):6.1f} frames/s from frame 20, between frames p50 {np.median(gaps):.2f} ms, "
          f"p99 {np.percentile(gaps, 99):.2f} (x{np.percentile(gaps, 99) / np.median(gaps):.2f}); session p50 {np.median(ms[20 - first:]):.2f} ms; "
          f"first frame after {arrived[0] - start:.1f} s; device memory at most {memory.most} MiB", flush=True)


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
    for options in ("--budget 10f --segment 0", "--budget 10f", "--budget 10f --segment 11f --loops", "--budget 4f --segment 0", "--policy k4", "--budget 8f --segment 0", "--policy k8", "--policy xstream --budget 10f", "--policy frames --budget 10f"):
        measure(stream, n, *options.split())
    if n >= 100:
        write(stream, pictures, 100)
        measure(stream, 100, "--no-evict")
        families(stream, n)


def families(stream, n):
    """LingBot-Map beside StreamVGGT, at the size of its authors' figures; its own rule (--start 8 --window 64) is the default."""
    write(stream, list(np.random.default_rng(1).integers(0, 256, (9, 378, 518, 3), np.uint8)), n)
    for options in "", "--keyframe 2", "--budget 10f", "--budget 72f --policy evict3r":
        measure(stream, n, *options.split(), model="seed:lingbot-full:1", label="lingbot 518x378 ")
    measure(stream, n, "--budget", "10f", "--outputs", "pose,depth", label="streamvggt 518x378 ")


if __name__ == "__main__":
    main()

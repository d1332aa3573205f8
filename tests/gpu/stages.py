#!/usr/bin/python3
"""A frame operation by operation: stages.py FRAMES BUDGET. Runs tests/gpu/bench and prints what it says; with PORTABLE=1 also with the
kernels that every GPU has (E3_CUDA_PORTABLE), and how fast they are beside the others; with OLD=DIR (DIR/bench or DIR/tests/gpu/bench)
also the older build, and each operation before and after."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from table import row  # noqa: E402


def bench(path, words, **more):
    """The lines of a run, printed as they come: figures by label."""
    env = dict(os.environ, **more)
    beside = os.path.dirname(path) if os.path.exists(os.path.join(os.path.dirname(path), "libe3-cuda.so")) else os.path.join(os.path.dirname(path), "..", "..", "lib", "e3")
    env["LD_LIBRARY_PATH"] = beside + ":" + env.get("LD_LIBRARY_PATH", "")
    got = {}
    with subprocess.Popen([path, "cuda", *words], stdout=subprocess.PIPE, text=True, env=env) as p:
        for line in p.stdout:
            print(line.rstrip(), flush=True)
            median = re.search(r"median ([0-9.]+) ms .*p99 ([0-9.]+)", line)
            op = re.match(r"(.{36}) +\d* +([0-9.]+) ", line + " ")
            if median:
                got["a frame, median"], got["a frame, p99"] = float(median.group(1)), float(median.group(2))
            elif op:
                got[op.group(1).strip()] = float(op.group(2))
    if p.returncode:
        raise SystemExit(f"{path}: exit {p.returncode}")
    return got


def beside(what, first, second, names):
    print(f"{what:44s} {names[0]:>10s} {names[1]:>10s}")
    for label in first:
        if label in second:
            print(f"{label:44s} {first[label]:10.3f} {second[label]:10.3f} ms  ×{first[label] / max(second[label], 1e-6):.2f}")


def main():
    words = sys.argv[1:]
    here = os.path.join(os.environ.get("B", "build"), "tests", "gpu", "bench")
    now = bench(here, words)
    for label, ms in now.items():
        if ms >= 0.1:
            row(label, f"{ms:.3f} ms")
    if os.environ.get("PORTABLE"):
        print("with the kernels of every GPU:")
        portable = bench(here, words, E3_CUDA_PORTABLE="1")
        beside("this GPU's kernels, every GPU's", now, portable, ("own", "portable"))
        share = now["a frame, median"] / portable["a frame, median"]
        row("kernels of every GPU: a frame, median", f"{portable['a frame, median']:.2f} ms, {100 * share:.0f} % of the speed", ">= 45 %", share >= 0.45)
    old = os.environ.get("OLD")
    if old:
        path = next((p for p in (os.path.join(old, "bench"), os.path.join(old, "tests", "gpu", "bench")) if os.access(p, os.X_OK)), None)
        if not path:
            raise SystemExit(f"OLD={old}: no bench there")
        before = bench(path, words)
        beside("before and after", before, now, ("before", "after"))
        for label in "a frame, median", "a frame, p99":
            row(f"{label}, before → after", f"{before[label]:.3f} → {now[label]:.3f} ms")


if __name__ == "__main__":
    main()

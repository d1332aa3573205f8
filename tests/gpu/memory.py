#!/usr/bin/python3
"""Device memory as e3-infer promises it, on a GPU: memory.py FOLDER [table]. The full seeded network, noise of 518 × 392. Prints every
figure; exit 1 when one promise is broken:

- it is the same from the second frame to the last, whether the length of the stream is known or not;
- --plan says beforehand what a run takes;
- --vram stays below what it was given, as the driver counts it, in segments and in one piece, and uses nearly all of it; too little is
  refused, naming the smallest that works; that works;
- 3G are enough for 8 frames of cache with weights and cache in 8 bits;
- --device auto finds the GPU.

With `table` instead: what --plan says and what a run takes, for every precision, packing of the cache and budget that this build has.
--plan counts what is in use on the device, so plans are made one at a time; the runs go side by side where the driver tells what each
process has.
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import driver  # noqa: E402
from e3read import stream  # noqa: E402
from parity import offers, write_frames  # noqa: E402
from table import done, row  # noqa: E402

MODEL = os.environ.get("BENCH_MODEL", "seed:full:1")
SLACK = 48  # MiB that --vram may leave: ends of pages, and blocks of 2 MiB


def infer(*options, code=0):
    done = subprocess.run(["e3-infer", "--model", MODEL, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != code:
        raise SystemExit(f"e3-infer {' '.join(options)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done


class Used(list):
    """MiB in use after each frame, as e3-infer sees it; driver: at most during the run, as the driver does."""

    def __init__(self, frames, driver_most):
        super().__init__(frames)
        self.driver = driver_most

    def most(self):
        return max([self.driver, *self])


def memory(*options):
    with driver.Watch(0.002) as watch:
        text = infer("--device", "cuda", "--log-every", "1", "-o", "/dev/null", *options).stderr
    return Used((float(x) for x in re.findall(r"frame \d+: .*, device ([0-9.]+) MiB", text)), watch.most)


def check(ok, text):
    print(("ok - " if ok else "not ok - ") + text, flush=True)
    what, colon, value = text.partition(": ")
    row(what if colon else text, value, ok=bool(ok))
    return ok


def same(what, used):
    return check(len(set(used[1:])) == 1, f"{what}: {used[0]:.1f} MiB after the first frame, then {used[1]:.1f} to {used[-1]:.1f} after {len(used)}")


PRECISIONS = ("bf16", "f32", "int8", "fp8")
CACHES = ("bf16", "fp8", "int8", "k8v4")


BUDGETS = (4, 10, 50)
SIDE = 4   # runs at a time
APART = 2  # MiB between plan and run: the driver hands out 2 MiB at a time


def modes():
    """Every precision with every cache, as options."""
    for precision in PRECISIONS:
        for kv in CACHES:
            options = (["--precision", precision] if precision != "bf16" else []) + (["--kv", kv] if kv != "bf16" else [])
            if offers(options):
                yield f"{precision}, cache {'as it is' if kv == 'bf16' else kv}", options


def within(what, used, total, least=True):
    """--vram: what it was given, nearly all of it."""
    ok = used.most() <= total and (not least or total - SLACK <= used.most())
    return check(ok, f"{what}: {used[-1]:.1f} of {total} MiB, {used.driver:.1f} as the driver counts")


def planned(text, what):
    return float(re.search(rf"^{what} +([0-9.]+) MiB", text, re.M).group(1))


def takes(frames, *options):
    """Of a run: MiB in use on the device as e3-infer sees it after the last frame, and of its process as the driver does, 0 if it does not say."""
    command = ["e3-infer", "--model", MODEL, "--device", "cuda", "--log-every", "1", "-o", "/dev/null", *options, frames]
    with driver.Watch(0.01) as watch, subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as p:
        said = p.stderr.read()
    seen = re.findall(r"frame \d+: .*, device ([0-9.]+) MiB", said)
    if p.returncode or not seen:
        raise SystemExit(f"{' '.join(command)}: exit {p.returncode}\n{said[-2000:]}")
    return float(seen[-1]), watch.of.get(p.pid, 0.0)


def table(folder):
    """--plan beside what six frames take: after the second a run takes no more (the promises above)."""
    frames, ok = f"{folder}/six.e3", True
    write_frames(frames, list(np.random.default_rng(1).integers(0, 256, (6, 392, 518, 3), np.uint8)), tell=False)
    wanted = [(f"{name}, {n} frames", [*options, "--budget", f"{n}f", "--segment", "0"]) for name, options in modes() for n in BUDGETS]
    wanted = [w for w in wanted if not done(w[0])]
    device, process = takes(frames, *wanted[0][1]) if wanted else (0.0, 0.0)
    if process:
        print(f"# one run alone: {device:.1f} MiB in use on the device, {process:.1f} of its process")
    side = SIDE if process else 1
    # A few rows at a time, so that what is stopped has left most of its rows: their plans, then their runs.
    for some in (wanted[k:k + side] for k in range(0, len(wanted), side)):
        plans = [infer("--device", "cuda", "--plan", "--size", "518x392", *options).stdout for _, options in some]
        with ThreadPoolExecutor(side) as pool:
            used = list(pool.map(lambda w: takes(frames, *w[1]), some))
        for (name, _), plan, (total_used, own) in zip(some, plans, used):
            got = own + device - process if process else total_used  # (what is in use beside a process is what it was for the one alone)
            total, kept = planned(plan, "total"), re.search(r"with ([0-9.]+) kept for matrices", plan)  # taken only as far as calibration needs it
            text = f"{got:.0f} MiB, planned {total:.0f}: weights {planned(plan, 'weights'):.0f}, scratch {planned(plan, 'scratch'):.0f}, cache {planned(plan, 'cache'):.0f}"
            ok &= check(-APART <= total - got <= APART + (float(kept.group(1)) if kept else 0), f"{name}: {text}")
    return 0 if ok else 1


def main():
    folder, ok = sys.argv[1], True
    if sys.argv[2:] == ["table"]:
        return table(folder)
    before = driver.used()
    if before > 16:
        print(f"# {before:.0f} MiB are in use already: what --vram is compared with includes them")
    pictures = list(np.random.default_rng(1).integers(0, 256, (60, 392, 518, 3), np.uint8))
    known, unknown = f"{folder}/known.e3", f"{folder}/unknown.e3"
    write_frames(known, pictures)
    write_frames(unknown, pictures, tell=False)
    endless = memory("--budget", "10f", unknown)
    ok &= same("--budget 10f, length unknown", endless)
    ok &= same("--budget 10f, 60 frames", memory("--budget", "10f", known))
    ok &= same("--budget 10f --segment 0", memory("--budget", "10f", "--segment", "0", unknown))
    ok &= same("--budget 10f --segment 11f --loops", memory("--budget", "10f", "--segment", "11f", "--loops", unknown))
    ok &= same("--P 0.2, 60 frames", memory("--P", "0.2", known))

    plan = infer("--device", "cuda", "--plan", "--budget", "10f", "--size", "518x392").stdout
    print(re.sub("(?m)^", "# ", plan.rstrip()))
    total = float(re.search(r"^total +([0-9.]+) MiB", plan, re.M).group(1))
    ok &= check(abs(total - endless[-1]) <= 2, f"--plan: says {total:.1f} MiB, the run takes {endless[-1]:.1f}")

    for piece in [], ["--segment", "0"]:
        used = memory("--vram", "6G", *piece, unknown)
        ok &= same(" ".join(["--vram 6G", *piece]), used)
        ok &= within(" ".join(["--vram 6G", *piece]), used, 6144)
        small = ["--vram", "3G", "--precision", "int8", "--kv", "int8", *piece]
        if offers(small[2:6]):
            plan = infer("--device", "cuda", "--plan", "--size", "518x392", *small).stdout
            keeps = float(re.search(r"([0-9.]+) frames in each of", plan).group(1))
            used = memory(*small, unknown)
            ok &= same(" ".join(small), used)
            ok &= within(" ".join(small), used, 3072)
            ok &= check(keeps >= 8, f"{' '.join(small)}, frames of cache: {keeps:.1f}")
    refused = infer("--device", "cuda", "--vram", "2G", "-o", "/dev/null", unknown, code=1).stderr.strip()
    least = re.search(r"--vram: 2048 MiB is too small: .*; the smallest that works is (\d+)M", refused)
    ok &= check(least is not None, f"--vram 2G: {refused}")
    if least:
        used = memory("--vram", least.group(1) + "M", unknown)
        ok &= within(f"--vram {least.group(1)}M, the smallest", used, int(least.group(1)), False)

    write_frames(known, pictures[:2])
    out = f"{folder}/out.e3"
    infer("--budget", "4f", "-o", out, known)
    device = next(m["device"] for kind, m in stream(out) if kind == "head")
    name = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    ok &= check(device == name, f"--device auto: {device}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

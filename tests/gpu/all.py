#!/usr/bin/python3
"""make gpu, and ./run in the kit of make gpu-kit: all there is for a GPU, then one table of what it found. all.py [--missing] [PART...]

PARTS="ops stages" names parts, too; none is all of them. RESULTS=DIR (default: gpu-results in the build folder) gets the table, the rows of
which it is made and what each part printed. A part that lacks something (a tool, a golden file) says so in its row and the others go on.

LIMIT=540: so many seconds in all. Checks of results come first, side by side where the GPU has room; then, alone, what is timed or counts the
device's memory, the most important first; then checks that took longer than their share. What did not fit has a row that says so.
--missing goes on with the same folder RESULTS: parts that were left out or stopped, without the rows they have.

Without a GPU every part is started all the same, to see that it finds its modules and libraries. Exit 1 if anything is not as it should be.
"""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import table

B = os.environ.setdefault("B", "build")
PYTHON = os.environ.setdefault("PYTHON", "/usr/bin/python3")
SHARED = os.environ.get("E3_SHARED") or "../shared"
RESULTS = os.environ.get("RESULTS") or os.path.join(B, "gpu-results")
ROWS = os.path.join(RESULTS, "rows")
try:
    LIMIT = float(os.environ.get("LIMIT") or "inf")
except ValueError:
    raise SystemExit(f"make gpu: LIMIT: expected seconds, got '{os.environ['LIMIT']}'") from None
CHECKS = 0.4       # of LIMIT: what the checks may take before the timings
ROOM = 40000       # MiB of a GPU on which the checks run side by side
LEAST = 0.04       # of LIMIT: with so much left a part is begun that goes on by rows
USABLE = 0.98      # of LIMIT: the rest is for stopping a part, and for the table
LOADING = re.compile(r"Error: No module named|ImportError|error while loading shared|cannot open shared object|version .* not found|plug-in .* is not installed|command not found|No such file")


class Part(NamedTuple):
    name: str
    # About how many seconds it takes on an H200, as seen, the checks side by side; load and peer reckoned. It is stopped after five times that.
    usual: int
    command: str
    lacks: str = ""
    alone: bool = True
    by_rows: bool = True  # stopped, it goes on with the rows it does not have; others begin anew


def imports(modules):
    """What is said when they cannot be imported, or nothing."""
    done = subprocess.run([PYTHON, "-c", f"import {modules}"], capture_output=True, text=True, check=False)
    return done.stderr.strip().split("\n")[-1]


def parts():
    """The most important first."""
    py = imports("msgpack, numpy")
    sanitizer = py or ("" if shutil.which("compute-sanitizer") else "compute-sanitizer is not installed")
    full = os.path.join(SHARED, "golden/full.golden.safetensors")
    return [
        Part("ops", 40, "tests/gpu/ops.sh", alone=False),
        Part("parity", 150, "tests/gpu/parity.sh", py or ("" if os.path.exists(full) else f"{full} is not there"), False),
        Part("together", 60, "tests/gpu/bench.sh together", py, False),
        Part("memcheck", 20, "env TOOLS=memcheck tests/gpu/sanitize.sh", sanitizer, False),
        Part("racecheck", 190, "env TOOLS=racecheck tests/gpu/sanitize.sh", sanitizer, False),
        Part("stages", 5, "tests/gpu/bench.sh stages", py, by_rows=False),
        Part("speed", 190, "tests/gpu/bench.sh speed", py),
        Part("memory", 35, "tests/gpu/memory.sh", py, by_rows=False),
        Part("streams", 110, "tests/gpu/bench.sh streams", py),
        Part("table", 150, "tests/gpu/memory.sh table", py),
        Part("flat", 110, f"{PYTHON} -B tests/gpu/long.py {os.environ.get('FLAT_FRAMES', 20000)}", py, by_rows=False),
        Part("load", 60, "tests/gpu/bench.sh load", py),
        Part("peer", 150, "tests/gpu/bench.sh peer", py or imports("torch")),
    ]


class Run:
    """Starts parts and closes each with a row. end: when LIMIT is over."""

    def __init__(self, gpu, end):
        self.gpu, self.end, self.alive, self.over = gpu, end, set(), False

    def part(self, part, end, show=True):
        """Runs it up to `end` at most. show: what it prints goes to the terminal as well as to its log."""
        earlier, left, start = took(part), end - time.monotonic(), time.monotonic()
        if part.lacks:
            return close(part, "left out", part.lacks, None)
        if left < (LEAST * LIMIT if part.by_rows else part.usual):
            return close(part, f"left out, {earlier} s so far" if earlier else "left out", f"LIMIT={LIMIT:.0f} leaves {max(left, 0):.0f} s, it takes about {part.usual}; --missing goes on", None)
        own, log = 5 * part.usual if self.gpu else 60, os.path.join(RESULTS, part.name + ".log")
        print(f"==== {part.name}{'' if show else f' ({log})'}", flush=True)
        p = subprocess.Popen(part.command.split(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                             env=dict(os.environ, GPU_ROWS=os.path.abspath(ROWS), GPU_PART=part.name, PYTHONUNBUFFERED="1"))
        self.alive.add(p)
        reader = threading.Thread(target=copy, args=(p.stdout, log, show), daemon=True)
        reader.start()
        stopped = ""
        try:
            p.wait(min(own, left))
        except subprocess.TimeoutExpired:
            stopped = f"LIMIT={LIMIT:.0f}" if left < own else f"its limit is {own} s"
        stop(p)
        reader.join(5)
        self.alive.discard(p)
        if self.over:
            return None
        close(part, *self.verdict(part, log, stopped, p.returncode, round(time.monotonic() - start) + earlier))
        return show or print(f"==== {part.name}: {table.read(ROWS)[part.name, table.ALL][0]}", flush=True)

    def verdict(self, part, log, stopped, rc, seconds):
        """What its last row says: value, bound, ok."""
        bad = any(ok is False for (name, what), (_, _, ok) in table.read(ROWS).items() if name == part.name and what != table.ALL)
        with open(log, errors="replace") as f:
            said = [line.strip() for line in f if line.strip()] or [""]
        lost = next((line for line in said if LOADING.search(line)), "")
        if not self.gpu:
            return ("it does not start", lost, False) if lost else (f"no GPU: begun, ended after {seconds} s", next((line for line in said if "no CUDA" in line), said[-1]), None)
        if stopped:
            return f"stopped after {seconds} s", f"{stopped}; --missing goes on", None if "LIMIT" in stopped else False
        if rc and not bad:
            return f"broke off after {seconds} s", f"{said[-1]} ({log})", False
        return f"{seconds} s", log if bad else "", not bad

    def checks(self, some, end, side):
        with ThreadPoolExecutor(max(len(some), 1) if side else 1) as pool:
            try:
                list(pool.map(lambda part: self.part(part, end, False), some))
            except BaseException:
                self.abandon()
                raise

    def abandon(self):
        self.over = True
        for p in list(self.alive):
            stop(p)


def copy(pipe, log, show):
    with open(log, "ab") as f:
        for line in pipe:
            f.write(line)
            f.flush()
            if show:
                sys.stdout.write(line.decode(errors="replace"))
                sys.stdout.flush()


def stop(p):
    """A part and all it started."""
    for how in signal.SIGTERM, signal.SIGKILL:
        try:
            os.killpg(p.pid, how)
            p.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def close(part, value, bound="", ok=True):
    table.add(ROWS, part.name, table.ALL, value, bound, ok)


def took(part):
    """Seconds of earlier runs, by the row that closed them."""
    said = re.search(r"(\d+) s", table.read(ROWS).get((part.name, table.ALL), [""])[0])
    return int(said.group(1)) if said else 0


def missing(part):
    """It was never closed, or was left out or stopped, or broke off: no row of it says what is wrong."""
    rows = table.read(ROWS)
    value, _, ok = rows.get((part.name, table.ALL), ["", "", None])
    return ok is None or value.startswith(("stopped", "broke off", "it does not start"))


def machine(again):
    """Rows of what this is measured on and with. Returns what nvidia-smi says of the GPU's memory, MiB, and why there is no GPU."""
    probe = subprocess.run(["e3-infer", "--device", "cuda", "--plan", "--model", "seed:tiny:7", "--budget", "2f", "--size", "70x70"], capture_output=True, text=True, check=False)
    without = probe.stderr.strip() or f"e3-infer --plan: exit {probe.returncode}" if probe.returncode else ""
    with open(os.path.join(B, "lib/e3/libe3-cuda.so"), "rb") as f:
        build = hashlib.sha256(f.read()).hexdigest()[:12]
    before = table.read(ROWS).get(("machine", "libe3-cuda.so, SHA-256"), [build])[0]
    if again and before != build:
        raise SystemExit(f"make gpu: {RESULTS} is of another build ({before}, this one is {build}): give another RESULTS, or leave out --missing")
    smi = []
    if shutil.which("nvidia-smi"):
        smi = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=False).stdout.split("\n")[0].split(", ")
    table.add(ROWS, "machine", "GPU, driver", "none" if without else ", ".join(smi[:2]) or "nvidia-smi is not installed", without, not without)
    table.add(ROWS, "machine", "processors", len(os.sched_getaffinity(0)))
    table.add(ROWS, "machine", "libe3-cuda.so, SHA-256", build)
    return int(smi[2]) if len(smi) == 3 else 0, without


def main():
    start = time.monotonic()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    os.environ["PATH"] = os.path.join(os.path.abspath(B), "bin") + ":" + os.environ["PATH"]
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(__doc__.strip())
        return 0
    again = "--missing" in words
    names, every = [w for w in words if w != "--missing"] or os.environ.get("PARTS", "").split(), parts()
    unknown = set(names) - {p.name for p in every}
    if unknown:
        raise SystemExit(f"make gpu: no part '{min(unknown)}': {' '.join(p.name for p in every)}")
    os.makedirs(RESULTS, exist_ok=True)
    if not again:
        for name in "rows", "table", *(p.name + ".log" for p in every):
            if os.path.exists(os.path.join(RESULTS, name)):
                os.unlink(os.path.join(RESULTS, name))
    room, without = machine(again)
    if without:
        print(f"{without}\nno GPU: every part is started all the same, to see that it finds what it needs", flush=True)
    wanted = [p for p in every if (not names or p.name in names) and (not again or missing(p))]
    checks, alone = [p for p in wanted if not p.alone], [p for p in wanted if p.alone]
    run = Run(not without, start + USABLE * LIMIT)
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="e3-gpu.") as folder:
        os.environ["TMPDIR"] = folder
        try:
            run.checks(checks, start + (CHECKS if alone else USABLE) * LIMIT, room >= ROOM)
            for part in alone:
                run.part(part, run.end)
            run.checks([p for p in checks if "LIMIT=" in table.read(ROWS)[p.name, table.ALL][1]], run.end, room >= ROOM)
        finally:
            run.abandon()
    print("==== results")
    rows = table.read(ROWS)
    text = table.show(rows)
    print(text)
    with open(os.path.join(RESULTS, "table"), "w") as f:
        f.write(text + "\n")
    return 1 if any(ok is False for _, _, ok in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

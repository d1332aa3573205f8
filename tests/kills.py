#!/usr/bin/python3
"""Kills stages at random moments: kills.py FOLDER [TIMES [SEED]], by hand; it takes minutes.

Three stages (e3-scene or e3-cat, e3-infer, e3-export or e3-cat) are joined by pipes, files, ipc, tcp or CURVE in turn, and one of them gets
SIGKILL. The others must end by themselves within seconds; an output is whole, or a FILE.partial that e3-dump reads to its end, or not there;
and after a run that is not disturbed nothing is left but what is documented (e3(7)): the FILE.tmp.PID of a stream whose writer was killed.
"""
import os
import random
import shutil
import socket
import subprocess
import sys
import time

TRANSPORTS = ["pipe", "file", "ipc", "tcp", "curve"]
INFER = ["e3-infer", "-q", "--device", "cpu", "--threads", "1", "--model", "seed:tiny:7", "--segment", "0", "--budget", "2f"]
LIMIT = 20


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def endpoints(transport, name):
    """Options of the writer, of the reader, and the reader's input."""
    wait = ["--timeout", "3"]
    if transport == "ipc":
        return [*wait, "-o", f"zmq:push:ipc://{os.getcwd()}/{name}"], wait, f"zmq:pull:ipc://{os.getcwd()}/{name}"
    address = f"tcp://127.0.0.1:{port()}"
    keys = [[], []]
    if transport == "curve":
        keys = [["--curve-key", "../w.key", "--curve-server", "../r.key.pub"], ["--curve-key", "../r.key", "--curve-allow", "../w.key.pub"]]
    return [*keys[0], *wait, "-o", f"zmq:push:{address}"], [*keys[1], *wait], f"zmq:pull:{address}"


def commands(transport, frames):
    first = ["e3-scene", "-q", "--size", "112x84", "--frames", str(frames)]
    last = ["e3-export", "-q", "--glb", "out.glb", "--depth-pfm", "depth"]
    if transport == "pipe":
        return [first, [*INFER, "-"], [*last, "-"]]
    if transport == "file":
        return [["e3-cat", "-q", "../frames.e3", "-o", "copy.e3"], [*INFER, "../frames.e3", "-o", "preds.e3", "--save-cache", "cache", "--save-every", "2"],
                [*last, "../preds.e3"]]
    out1, in1, at1 = endpoints(transport, "a")
    out2, in2, at2 = endpoints(transport, "b")
    if transport == "curve":  # a tool has one key for both sides: the middle stage only forwards to a file
        return [[*first, *out1], [*INFER, *in1, at1, "-o", "preds.e3"]]
    return [[*first, *out1], [*INFER, *in1, at1, *out2], [*last, *in2, at2]]


def start(transport, frames, err):
    stages, given = [], None
    line = commands(transport, frames)
    for k, command in enumerate(line):
        piped = transport == "pipe" and k + 1 < len(line)
        p = subprocess.Popen(command, stdin=given or subprocess.DEVNULL, stdout=subprocess.PIPE if piped else subprocess.DEVNULL, stderr=err)
        if given:
            given.close()
        given = p.stdout if piped else None
        stages.append(p)
    return stages


def finish(stages):
    """Waits; the slowest, or None for one that hangs."""
    begun = time.monotonic()
    for p in stages:
        try:
            p.wait(max(0.1, LIMIT - (time.monotonic() - begun)))
        except subprocess.TimeoutExpired:
            for q in stages:
                q.kill()
                q.wait()
            return None
    return time.monotonic() - begun


def faults():
    """Outputs that are neither whole nor a part that can be read."""
    bad = []
    for n in sorted(os.listdir(".")):
        if n.endswith((".e3", ".e3.partial")):
            r = subprocess.run(["e3-dump", n], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=LIMIT, check=False)
            if r.returncode:
                bad.append(f"{n}: {r.stderr.decode().strip()}")
        elif n in ("out.glb", "out.glb.partial"):
            data = open(n, "rb").read()
            if data[:4] != b"glTF" or int.from_bytes(data[8:12], "little") != len(data):
                bad.append(n)
        elif n == "cache":
            r = subprocess.run([*INFER[:1], "-q", "--device", "cpu", "--model", "seed:tiny:7", "--load-cache", n, "../frames.e3", "-o", "/dev/null"],
                               stderr=subprocess.PIPE, timeout=LIMIT, check=False)
            if r.returncode:
                bad.append(f"cache: {r.stderr.decode().strip()}")
    return bad


def left():
    return sorted(n for at, dirs, names in os.walk(".") for n in names + dirs if ".tmp." in n)


def main():
    folder, times = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    chance = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    for k in ("w.key", "r.key"):
        if not os.path.exists(k):
            subprocess.run(["e3-cat", "--keygen", k], check=True)
    subprocess.run(["e3-scene", "-q", "--size", "112x84", "--frames", "40", "-o", "frames.e3"], check=True)
    subprocess.run([*INFER, "frames.e3", "-o", "preds.e3"], check=True)
    rows, wrong = {}, 0
    for k in range(times):
        transport = TRANSPORTS[k % len(TRANSPORTS)]
        shutil.rmtree("run", ignore_errors=True)
        os.mkdir("run")
        os.chdir("run")
        with open("../err", "wb") as err:
            stages = start(transport, 40, err)
            time.sleep(chance.uniform(0.01, 0.25))
            victim = chance.choice(stages)
            killed = victim.poll() is None
            victim.kill()
            took = finish(stages)
        bad = ["hangs"] if took is None else []
        bad += faults()
        row = rows.setdefault(transport, {"runs": 0, "killed": 0, "hangs": 0, "bad": 0, "slowest": 0.0, "left": 0, "unswept": 0})
        row["left"] += len(left())
        # The next run.
        with open("../err2", "wb") as err:
            again = start(transport, 4, err)
            after = finish(again)
        if after is None or any(p.returncode for p in again):
            bad.append(f"the next run fails: {open('../err2', encoding='utf-8', errors='replace').read().strip()}")
        unswept = [n for n in left() if not n.startswith(("copy.e3.tmp.", "preds.e3.tmp."))]
        row["runs"] += 1
        row["killed"] += killed
        row["hangs"] += took is None
        row["unswept"] += len(unswept)
        row["slowest"] = max(row["slowest"], took or 0)
        bad += [f"left: {n}" for n in unswept]
        row["bad"] += bool(bad)
        wrong += bool(bad)
        for b in bad:
            print(f"{k} {transport} {victim.args[0]}: {b}", flush=True)
        os.chdir("..")
    for t, r in rows.items():
        print(f"{t:6} {r['runs']} runs, {r['killed']} stages killed while running, {r['hangs']} hang, {r['bad']} wrong, slowest end {r['slowest']:.2f} s, "
              f"{r['left']} temporary files left by kills, {r['unswept']} after the next run")
    return 1 if wrong else 0


sys.exit(main())

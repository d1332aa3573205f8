#!/usr/bin/python3
"""Signals to every tool, at every moment: signals.py FOLDER [--full] [--only WORD].

Each case runs a tool on a pipe, sends it signals before the first frame, in the middle, or once its input has ended, and looks at what is
left: the exit status, the time, the files, the processes. Without --full one signal is used for each moment of a case, in turn. Prints a
table; exits 1 when a row is not as it must be. The tools are found on PATH; the network is small, on the CPU. How long a tool may take is
counted in processor time, and in time that all its threads sleep: on a busy machine it is not the tool that is slow. --full, for a machine
that does nothing else, counts all of it.
"""
import argparse
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

SECONDS = 2.0  # to exit; the table has the largest
LIMIT = 300
INFER = ["e3-infer", "-q", "--device", "cpu", "--threads", "1", "--model", "seed:tiny:7", "--segment", "0", "--budget", "2f"]
WAYS = ["INT", "TERM", "HUP", "TERM TERM", "timeout"]
MOMENTS = ["before", "middle", "finish"]


def run(*command, **more):
    return subprocess.run(command, check=True, timeout=LIMIT, **more)


def output(*command):
    return run(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


# A case: name, command (IN is the pipe), what feeds it, the files it writes; each of these says what it must be afterwards:
#   stream   whole, with at least a frame, if it was not stopped before the first
#   whole    a file that is complete or is not there
#   figure   the same, and of a run that was stopped it may be missing
#   folder   of whole files
#   text     standard output: lines
CASES = [
    ("e3", ["e3", "-q", "-o", "out", "--device", "cpu", "--threads", "1", "--model", "seed:tiny:7", "--segment", "0", "--budget", "2f", "-"], "ppm",
     {"out": "folder"}),
    ("e3-decode", ["e3-decode", "-q", "-", "-o", "out"], "ppm", {"out": "stream"}),
    ("e3-decode --png", ["e3-decode", "-q", "-", "--png", "out"], "ppm", {"out": "folder"}),
    ("e3-decode --dataset", ["e3-decode", "-q", "--dataset", "scannet", "--root", "set", "--task", "pose", "--repeat", "1000", "-o", "out"], None, {"out": "stream"}),
    ("e3-infer", [*INFER, "IN", "-o", "out"], "frames", {"out": "stream"}),
    ("e3-infer --save-cache", [*INFER, "IN", "-o", "out", "--save-cache", "cache"], "frames", {"out": "stream", "cache": "whole"}),
    ("e3-cat --tee", ["e3-cat", "-q", "IN", "-o", "out", "--tee", "copy"], "preds", {"out": "stream", "copy": "stream"}),
    ("e3-mask", ["e3-mask", "-q", "--from", "masks", "--class", "sky", "IN", "-o", "out"], "frames", {"out": "stream"}),
    ("e3-align", ["e3-align", "-q", "IN", "-o", "out", "--report", "facts"], "preds", {"out": "stream", "facts": "figure"}),
    ("e3-align --final", ["e3-align", "-q", "--final", "IN", "-o", "out"], "preds", {"out": "stream"}),
    ("e3-export", ["e3-export", "-q", "IN", "--glb", "out", "--tum", "path", "--depth-pfm", "depth"], "preds",
     {"out": "whole", "path": "whole", "depth": "folder"}),
    ("e3-evict-stats", ["e3-evict-stats", "-q", "IN", "-o", "out", "--tsv", "tables"], "preds", {"out": "whole", "tables": "folder"}),
    ("e3-evict-stats --pass", ["e3-evict-stats", "-q", "IN", "--pass", "-o", "out"], "preds", {"out": "figure"}),
    ("e3-view --output", ["e3-view", "-q", "--listen", "127.0.0.1:0", "IN", "-o", "out"], "preds", {"out": "stream"}),
    ("e3-eval", ["e3-eval", "-q", "IN", "-o", "out"], "told", {"out": "figure"}),
    ("e3-dump", ["e3-dump", "IN"], "preds", {"stdout": "text"}),
    ("e3-scene", ["e3-scene", "-q", "--endless", "-o", "out"], None, {"out": "stream"}),
    ("e3-scene --as", ["e3-scene", "-q", "--as", "scannet", "--size", "160x120", "--frames", "100000", "set2"], None, {"set2": "folder"}),
    ("e3-model seed", ["e3-model", "seed", "--config", "full", "--seed", "1", "--dtype", "bf16", "-o", "out"], None, {"out": "figure"}),
    ("e3-model convert", ["e3-model", "convert", "seed:full:1", "out"], None, {"out": "figure"}),
    ("e3-infer, loading", ["e3-infer", "-q", "--device", "cpu", "--model", "seed:full:1", "frames.e3", "-o", "out"], None, {"out": "nothing"}),
]


def prepare():
    """The inputs, in the current folder."""
    run("e3-scene", "-q", "--size", "112x84", "--frames", "6", "-o", "frames.e3")
    run(*INFER, "frames.e3", "-o", "told.e3")
    run("e3-cat", "-q", "told.e3", "-o", "preds.e3")
    run("e3-scene", "-q", "--as", "scannet", "--frames", "4", "set")
    os.mkdir("masks")
    for k in range(6):
        with open(f"masks/{k}.pgm", "wb") as f:
            f.write(b"P5 2 2 255 \0\xff\0\xff")
    with open("ppm", "wb") as f:
        f.write((b"P6\n320 240\n255\n" + bytes(range(256)) * 900) * 6)


def feed_of(kind, moment):
    """The bytes to write, and whether the pipe is closed after them."""
    if moment == "before":
        return b"", False
    data = open("ppm" if kind == "ppm" else kind + ".e3", "rb").read()
    if moment == "middle" and kind != "ppm":
        end = data.rindex(b"\xc9\x00\x00")
        assert data[end + 5] == 6
        data = data[:end]
    return data, moment == "finish"


def unread(fd):
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]


def until(what, condition):
    """Waits; what is then missing shows in the row."""
    deadline = time.monotonic() + LIMIT / 3
    while not condition():
        if time.monotonic() > deadline:
            print(f"# waited too long: {what}")
            return
        time.sleep(0.002)


def handles_signals(pid):
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("SigCgt"):
            return int(line.split()[1], 16) & 0x4002 == 0x4002
    return False


def size(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def begun(case, folder):
    """Has it written something that counts? Of a tool that writes at the end: has it had the time to read?"""
    kinds = set(case[3].values())
    names = [os.path.join(at, n) for at, _, names in os.walk(folder) for n in names]
    if case[0] == "e3":
        return any("/run.e3.tmp." in n and size(n) > 4000 for n in names)
    if "folder" in kinds and case[0].startswith(("e3-decode", "e3-scene")):
        return sum(n.endswith((".png", ".jpg")) for n in names) > 1
    if case[3].get("out") in ("stream", "figure") and (case[2] is None or "stream" in kinds) and "--final" not in case[0]:
        return any("/out.tmp." in n and size(n) > 4000 for n in names)
    time.sleep(0.05)
    return True


def facts(path):
    """The fields of a stat file of /proc from the state on; of a process that is gone, none."""
    try:
        return open(path, encoding="utf-8", errors="replace").read().rsplit(")", 1)[1].split()
    except OSError:
        return []


def members(session):
    """Processes of this session that still run."""
    all_ = ((int(pid), facts(f"/proc/{pid}/stat")) for pid in os.listdir("/proc") if pid.isdigit())
    return [pid for pid, f in all_ if f and int(f[3]) == session and f[0] != "Z"]


def worked(session):
    """Processor seconds of the session so far."""
    return sum(sum(map(int, facts(f"/proc/{pid}/stat")[11:15])) for pid in members(session)) / os.sysconf("SC_CLK_TCK")


def asleep(session):
    """No thread of the session has anything to do, nor waits for a disk."""
    for pid in members(session):
        for thread in os.listdir(f"/proc/{pid}/task") if os.path.isdir(f"/proc/{pid}/task") else []:
            if facts(f"/proc/{pid}/task/{thread}/stat")[:1] in (["R"], ["D"]):
                return False
    return True


def ending(p, before):
    """Waits for the end: the status, and the seconds that it worked and that it slept."""
    slept, last, was = 0.0, time.monotonic(), False
    deadline = last + LIMIT
    while last < deadline:
        pid, status, used = os.wait4(p.pid, os.WNOHANG)
        if pid:
            p.returncode = os.waitstatus_to_exitcode(status)
            return p.returncode, used.ru_utime + used.ru_stime - before, slept
        still, now = asleep(p.pid), time.monotonic()
        slept += min(now - last, 0.1) if still and was else 0  # (this process may have waited for a processor itself)
        last, was = now, still
        time.sleep(0.01)
    return "hangs", 0.0, slept


def send(p, way):
    if p.poll() is not None:
        return 0
    if way == "timeout":  # as timeout(1): to the child, then to its group
        os.kill(p.pid, signal.SIGTERM)
        os.killpg(p.pid, signal.SIGTERM)
        return 143
    for name in way.split():
        p.send_signal(signal.Signals["SIG" + name])
    return 128 + signal.Signals["SIG" + name]


def looks(path, kind, old):
    """What is there, in a word, and whether it is whole."""
    if not os.path.exists(path):
        return "-", kind not in ("stream", "whole", "folder", "text")
    if kind == "folder":
        names = [n for _, _, names in os.walk(path) for n in names]
        return f"{len(names)} files", bool(names)
    data = open(path, "rb").read()
    if data == old:
        return "old", kind in ("figure", "nothing")
    if kind != "stream":
        return "new", len(data) > 0 and kind != "nothing"
    lines = output("e3-dump", "--json", path).splitlines()
    frames = sum(b'"kind":"frame"' in x or b'"kind":"pred"' in x for x in lines)
    return f"{frames} frames", frames > 0 and b'"kind":"end"' in lines[-1] and b'"cut"' not in lines[-1]


def one(case, moment, way, wall):
    """Runs one row: (words for the table, faults)."""
    name, command, kind, outputs = case
    folder = "case"
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    old = b"what was here before\n"
    for n, what in outputs.items():
        if what not in ("folder", "text"):
            open(os.path.join(folder, n), "wb").write(old)
    for n in ("set", "masks", "frames.e3"):
        os.symlink(f"../{n}", os.path.join(folder, n))
    pipe = os.path.join(folder, "in")
    os.mkfifo(pipe)
    faults, fd, stdin = [], -1, subprocess.DEVNULL
    if "-" in command:
        stdin = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(stdin, True)
        fd = os.open(pipe, os.O_WRONLY)
    with open(os.path.join(folder, "stdout"), "wb") as out, open(os.path.join(folder, "err"), "wb") as err:
        p = subprocess.Popen(["in" if x == "IN" else x for x in command], cwd=folder, stdin=stdin, stdout=out, stderr=err, start_new_session=True)
    if "-" in command:
        os.close(stdin)
    took = 0.0
    try:
        until("signals", lambda: handles_signals(p.pid))
        if kind:
            if fd < 0:
                fd = os.open(pipe, os.O_RDWR)  # it has a reader at once
            data, close = feed_of(kind, moment)
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)
            while data:
                data = data[os.write(fd, data):]
            until("reading", lambda: unread(fd) == 0)
            if close:
                os.close(fd)
                fd = -1
        if moment != "before":
            until("output", lambda: begun(case, folder) or p.poll() is not None)
        before = worked(p.pid)
        start = time.monotonic()
        expected = send(p, way)
        status, busy, slept = (p.returncode, 0.0, 0.0) if p.returncode is not None else ending(p, before)
        took = time.monotonic() - start
    finally:
        left = members(p.pid)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        p.wait()
        if fd >= 0:
            os.close(fd)
    status = 128 - status if isinstance(status, int) and status < 0 else status
    if status != expected and not (moment == "finish" and status == 0):
        faults.append(f"exit {status}, expected {expected}")
    if max(busy, slept, took if wall else 0) > SECONDS:
        faults.append(f"late: worked {busy:.2f} s, slept {slept:.2f} s")
    if left:
        faults.append(f"{len(left)} processes left")
    words = []
    for n, what in outputs.items():
        path = os.path.join(folder, n)
        word, good = looks(path, what, old)
        if moment == "before":
            good = word == "old" or (what in ("folder", "text") and word in ("-", "1 files", "0 files", "new"))
        if what == "text" and moment != "before":
            good = os.stat(path).st_size > 1000
        words.append(f"{n}: {word}")
        if not good:
            faults.append(f"{n}: {word}")
    stray = [n for at, dirs, names in os.walk(folder) for n in names + dirs if ".tmp." in n or n.endswith(".partial")]
    if stray:
        faults.append("left behind: " + " ".join(stray))
    if faults:
        faults.append(open(os.path.join(folder, "err"), encoding="utf-8", errors="replace").read().strip()[-300:])
    return f"{status:>5} {took:5.2f} s  {', '.join(words)}", faults


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("folder")
    parse.add_argument("--full", action="store_true")
    parse.add_argument("--only", default="")
    o = parse.parse_args()
    os.makedirs(o.folder, exist_ok=True)
    os.chdir(o.folder)
    prepare()
    rows = bad = turn = 0
    longest = 0.0
    for case in CASES:
        if o.only not in case[0] or (not o.full and "--full" in case[2:3]):
            continue
        for moment in MOMENTS if case[2] else ["middle"]:
            turn += 1
            for way in WAYS if o.full else [WAYS[turn % len(WAYS)]]:
                words, faults = one(case, moment, way, o.full)
                rows, bad = rows + 1, bad + bool(faults)
                longest = max(longest, float(words.split()[1]))
                print(f"{case[0]:22} {moment:7} {way:10} {words}" + (f"  WRONG: {'; '.join(faults)}" if faults else ""), flush=True)
    print(f"# {rows} rows, {bad} wrong, {longest:.2f} s at most")
    return 1 if bad else 0


sys.exit(main())

#!/usr/bin/python3
"""Kills e3-infer at random frames, resumes, joins, compares: resume_kill.py FRAMES FOLDER TIMES SEED [OPTIONS...].

FRAMES is a stream of frames. Each time, e3-infer gets all of them but not the end, and is killed once its output has passed a random
size: by SIGTERM with --save-cache, or by SIGKILL with --save-every as well. A second e3-infer goes on from the cache it left (from
nothing, if it left none), e3-cat joins the two, and the result must be the stream of a run that nobody stopped. Each OPTIONS is a way to
run, used in turn: an odd number, so that each is killed by both signals."""
import os
import random
import signal
import subprocess
import sys
import time

from e3read import stream
from stream_equal import VARYING, packed

HOW = ["--budget 3f", "--P 0.4", "--no-evict", "--policy random --budget 3f", "--policy window --budget 2.5f", "--P 0.3 --compat evict3r",
       "--budget 300 --camera-frames 4 --attn-layers 1"]
INFER = ["e3-infer", "-q", "--device", "cpu", "--threads", "1", "--model", "seed:tiny:7"]
LIMIT = 300


def run(*command, **files):
    subprocess.run(command, check=True, timeout=LIMIT, **files)


def infer(options, source, to):
    with open(to, "wb") as f:
        run(*INFER, *options, source, stdout=f)


def ends(data, kinds):
    """Where the messages of these kinds end."""
    at, out = 0, []
    while at < len(data):
        kind = data[at + 5]
        at += 6 + int.from_bytes(data[at + 1:at + 5], "big")
        if kind in kinds:
            out.append(at)
    return out


def stop(options, frames, to, kill, after):
    """Runs it on frames, of which no more come, kills it when `after` bytes have come out. True: as it should end."""
    with open(to, "wb") as f:
        p = subprocess.Popen([*INFER, *options, "-"], stdin=subprocess.PIPE, stdout=f)
    p.stdin.write(frames)
    p.stdin.flush()
    deadline = time.monotonic() + LIMIT
    while os.stat(to).st_size < after and time.monotonic() < deadline:
        time.sleep(0.001)
    p.send_signal(kill)
    status = p.wait(LIMIT)  # with standard input still open: nothing waits for it
    p.stdin.close()
    return status == (-9 if kill == signal.SIGKILL else 143)


def same(a, b):
    one, two = list(stream(a)), list(stream(b))
    if [k for k, _ in one] != [k for k, _ in two]:
        return f"messages: {len(one)}, {len(two)}"
    for (kind, x), (_, y) in zip(one, two):
        for name in (x.keys() | y.keys()) - VARYING:
            if packed(x.get(name)) != packed(y.get(name)):
                return f"{kind} {x.get('i', '')}: {name}"
    return None


def main():
    source, folder, times, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    hows = sys.argv[5:] or HOW
    chance = random.Random(seed)
    cache, first, second, whole = (os.path.join(folder, n) for n in ("c.e3cache", "1.e3", "2.e3", "whole.e3"))
    frames = open(source, "rb").read()
    end = frames.rindex(b"\xc9\x00\x00")  # the last message
    assert frames[end + 5] == 6
    resumed, nowhere = set(), 0
    for k in range(times):
        how = hows[k % len(hows)].split()
        kill = signal.SIGKILL if k % 2 else signal.SIGTERM
        through = os.path.join(folder, f"through{k % len(hows)}.e3")
        if not os.path.exists(through):
            infer(how, source, through)
        if os.path.exists(cache):
            os.unlink(cache)
        save = ["--save-cache", cache] + (["--save-every", str(chance.randint(1, 3))] if kill == signal.SIGKILL else [])
        after = chance.randint(1, int(os.stat(through).st_size * 0.95))
        # So many frames as that takes, and two that are under way: else a busy machine, where it is killed late, is through all of them.
        needed = sum(at < after for at in ends(open(through, "rb").read(), {3})) + 3
        given = ([0, *ends(frames, {2})] + [end] * 4)[needed]
        if not stop([*how, *save], frames[:min(given, end)], first, kill, after):
            sys.exit(f"run {k}: {' '.join(how)}: wrong exit status after {kill.name}")
        if os.path.exists(cache):
            extra = [how[-2], how[-1]] if "--attn-layers" in how else []
            infer(["--load-cache", cache, *extra], source, second)
            head = next(stream(second))[1]
            resumed.add(head["seen"])
            run("e3-cat", "-q", first, "--then", second, whole)
        else:
            nowhere += 1
            if kill == signal.SIGTERM:
                sys.exit(f"run {k}: {' '.join(how)}: no cache after SIGTERM")
            infer(how, source, whole)
        different = same(through, whole)
        if different:
            sys.exit(f"run {k}: {' '.join(how)}, {kill.name} after {after} bytes: {different}")
    print(f"# {times} kills: resumed after {sorted(resumed)} frames, {nowhere} times from nothing")
    if len(resumed) < min(5, times // 2):
        sys.exit("hardly anything was tested")
    left = [n for n in os.listdir(folder) if ".tmp." in n]
    # A killed run may leave the file it was writing; nothing else is left, and nobody takes it for a cache.
    if len(left) > times // 2:
        sys.exit(f"left behind: {left}")


main()

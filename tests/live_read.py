"""live_read.py [--wait SECONDS] [--take N] [--until EXPRESSION]: reads a live stream from standard input, a line for each frame: its index
in the source, its time, its age when it was read, the mean of its pixels; then waits, as a slow stage would. It stops after N frames,
or at the end, which must then be there, or when EXPRESSION holds, where `seen` are the frames so far, each with .i, .pts and .age: a busy
machine makes some frames late, and what never holds, in 100 frames, is an error.
live_read.py --constant FILE: the difference of t_capture and pts is the same for all frames."""
import argparse
import collections
import struct
import sys
import time

import msgpack

FRAME, END = 2, 6
args = argparse.ArgumentParser()
args.add_argument("--wait", type=float, default=0)
args.add_argument("--take", type=int, default=-1)
args.add_argument("--until")
args.add_argument("--constant")
args = args.parse_args()
source = open(args.constant, "rb") if args.constant else sys.stdin.buffer
kind, last, differences, seen = None, None, [], []
Frame = collections.namedtuple("Frame", "i pts age")
while args.take and (envelope := source.read(6)):
    _, length, kind = struct.unpack(">BIB", envelope)
    m = msgpack.unpackb(source.read(length))
    if kind != FRAME:
        continue
    age = time.time() - m["t_capture"]
    if last is not None and m["pts"] <= last:
        raise SystemExit(f"time stands still at {last}")
    last = m["pts"]
    differences.append(m["t_capture"] - m["pts"])
    if not args.constant:
        pixels = m["rgb"]["data"]
        print(m["src_i"], f"{m['pts']:.6f} {age:.3f} {sum(pixels) / len(pixels):.1f}", flush=True)
        time.sleep(args.wait)
        args.take -= 1
        seen.append(Frame(m["src_i"], m["pts"], age))
        if args.until and eval(f"({args.until})", {"seen": seen}):
            sys.exit()
        if args.until and len(seen) == 100:
            raise SystemExit(f"never: {args.until}")
if args.until:
    raise SystemExit(f"not before the end: {args.until}")
if args.take and kind != END:
    raise SystemExit("the stream has no end")
if args.constant and max(differences) - min(differences) > 0.002:
    raise SystemExit(f"t_capture - pts varies by {max(differences) - min(differences)} s")

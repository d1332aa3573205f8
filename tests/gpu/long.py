#!/usr/bin/python3
"""A long stream on a GPU takes no more at its end than at its beginning: long.py FRAMES [OPTIONS of e3-infer]. The full seeded network,
noise of FLAT_SIZE (224x56, small so that it takes one or two minutes), one piece with 10 frames of cache, a stream that does not say how
long it is. Device memory by the driver and by e3-infer, resident memory and the time of a frame are read at frames 100, 300, 1000, ... and
FRAMES. Exit 1 when device memory is not the same from frame 100 on, resident memory grew by more than 4 MiB, or the last frames took 10 % longer.
"""
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "bench")]
import driver  # noqa: E402
from end_to_end import messages  # noqa: E402
from flat import marks, resident  # noqa: E402
from table import row  # noqa: E402

MODEL = os.environ.get("BENCH_MODEL", "seed:full:1")
GROWS, SLOWER, EVERY = 4, 1.10, 100  # MiB, times, frames a line of e3-infer


def feed(pipe, n):
    w, h = (int(x) for x in os.environ.get("FLAT_SIZE", "224x56").split("x"))
    pictures = list(np.random.default_rng(1).integers(0, 256, (9, h, w, 3), np.uint8))
    try:
        with pipe:
            for message in messages(pictures, n, tell=False, prepared=1):
                pipe.write(message)
    except BrokenPipeError:
        pass  # its exit status says why


def follow(n, options):
    """By frame, every EVERY of them: when it was done, and at the marks what is in use: MiB of the device by e3 and by the driver, of the process."""
    command = ["e3-infer", "--device", "cuda", "--model", MODEL, "--log-every", str(EVERY), "-o", "/dev/null", *options]
    done, at, other = {}, {}, []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        threading.Thread(target=feed, args=(p.stdin, n), daemon=True).start()
        for line in p.stderr:
            m = re.search(rb"frame (\d+): .*, device ([0-9.]+) MiB", line)
            if not m:
                other.append(line.decode())
                continue
            frame = int(m.group(1)) + 1
            done[frame] = time.time()
            if frame in marks(n):
                at[frame] = (float(m.group(2)), driver.processes().get(p.pid, driver.used()), resident(p.pid))
    if p.returncode or n not in at:
        raise SystemExit(f"{' '.join(command)}: exit {p.returncode} after {max(done, default=0)} of {n} frames\n{''.join(other)[-2000:]}")
    return done, at


def main():
    n, options = int(sys.argv[1]) // EVERY * EVERY, sys.argv[2:] or ["--budget", "10f", "--segment", "0"]
    if n < 3 * EVERY:
        raise SystemExit(f"long.py: needs at least {3 * EVERY} frames")
    done, at = follow(n, options)
    frames = sorted(done)
    ms = {b: (done[b] - done[a]) * 1e3 / (b - a) for a, b in zip(frames, frames[1:])}

    def pace(end):
        """Of the tenth of the stream up to `end`, or what there is of it."""
        return float(np.median([ms[f] for f in ms if end - max(n // 10, 2 * EVERY) < f <= end]))
    for f, (device, counted, rss) in at.items():
        print(f"frame {f:6d}: device {device:.1f} MiB by e3-infer, {counted:.1f} by the driver; resident {rss:.1f} MiB"
              + (f"; {pace(f):.3f} ms a frame" if f > EVERY else ""))
    first, last = at[EVERY], at[n]
    early, late = pace(EVERY + max(n // 10, 2 * EVERY)), pace(n)
    name = f"{n} frames, {' '.join(options)}"
    same = all(x[:2] == first[:2] for x in at.values())
    ok = row(f"{name}: device memory", f"{first[0]:.1f} MiB at frame {EVERY}, {last[0]:.1f} at the end", "the same", same)
    ok &= row("resident memory", f"{first[2]:.1f} MiB, then {last[2]:.1f}", f"at most {GROWS} more", last[2] - first[2] <= GROWS)
    ok &= row("a frame", f"{early:.3f} ms, then {late:.3f}", f"at most x{SLOWER}", late <= SLOWER * early)
    print(f"{name}: {'flat' if ok else 'NOT FLAT'}; {len(ms) * EVERY / (done[n] - done[EVERY]):.1f} frames/s")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

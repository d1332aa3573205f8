#!/usr/bin/python3
"""e3-export over long streams, with every output at once: export_long.py [--size WxH] [--cycle N] [--outputs a,b,..] [--advance X] [FRAMES...]

A camera goes to and fro before a wall, N frames (500) for each time, so more frames see no more of it, unless it advances. Prints, for each number of frames
(500 5000), seconds, peak memory and the size of each output. Then, with 150 small frames, that every other output is there when one fails:
a folder in its way, there before or come since; a threshold that no point reaches; a full disk (only root can make one)."""
import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/..")
import make_pred  # noqa: E402

FILES = {"glb": "x.glb", "ply": "x.ply", "splat": "x.splat.ply", "tum": "x.tum", "kitti": "x.kitti", "intrinsics-txt": "x.txt", "npz": "x.npz",
         "mesh": "x.mesh.glb", "mcap": "x.mcap", "run-json": "x.json"}
FOLDERS = {"depth": "d", "depth-color": "c", "depth-pfm": "p", "depth-exr": "e", "colmap": "m"}
POINTS = {"glb", "ply", "splat", "mcap"}


def frames(w, h, cycle):
    """The predictions of one time to and fro: exact depth of a wall with a pattern, packed but for their numbers."""
    v, u = np.mgrid[0:h, 0:w] + 0.5
    sure = (1 + np.random.default_rng(1).exponential(2, (h, w))).astype(np.float32)
    for i in range(cycle):
        a = 2 * math.pi * i / cycle
        yaw, centre = 0.3 * math.sin(2 * a), np.array([2 * math.sin(a), 0.3 * math.sin(3 * a), 0.2 * math.cos(a)])
        q = np.array([0, math.sin(yaw / 2), 0, math.cos(yaw / 2)])
        r = make_pred.rotation(q)
        fy, fx = h / 2 / math.tan(0.4), w / 2 / math.tan(0.5)
        rays = np.stack([(u - w / 2) / fx, (v - h / 2) / fy, np.ones_like(u)], -1) @ r
        depth = (3 - centre[2]) / rays[..., 2]
        x = centre + rays * depth[..., None]
        rgb = np.stack([128 + 100 * np.sin(4 * x[..., 0]), 128 + 100 * np.cos(5 * x[..., 1]), 60 + 60 * np.sin(x[..., 0] * 9) ** 2], -1)
        yield {"pts": 0.1 * i, "src_w": w, "src_h": h, "rot": 0, "fit": [1.0, 1.0, 0.0, 0.0], "w": w, "h": h, "ms": 1.0,
               "rgb": make_pred.array(rgb.astype(np.uint8)), "pose": make_pred.array(np.array([*(-r @ centre), *q, 0.8, 1.0], np.float32)),
               "depth": make_pred.array(depth.astype(np.float32)), "depth_conf": make_pred.array(sure)}


def further(p, x):
    """The same picture, seen from x further along the wall."""
    pose = np.frombuffer(p["pose"]["data"], np.float32).copy()
    pose[:3] -= (make_pred.rotation(pose[3:7].astype(float)) @ [x, 0, 0]).astype(np.float32)
    return {**p, "pose": make_pred.array(pose)}


def feed(to, packed, n, advance, midway):
    try:
        to.write(make_pred.message(1, make_pred.head(n)))
        for i in range(n):
            p = further(packed[i % len(packed)], advance * i)
            if i == n // 2:
                midway()
            to.write(make_pred.message(3, {"i": i, "src_i": i, **p, "pts": 0.1 * i}))
        to.write(make_pred.message(6, {"frames": n, "seconds": 1.0, "peak_rss": 1, "cache_now": 1, "cache_peak": 2, "cache_full": 3}))
        to.close()
    except BrokenPipeError:
        pass


def export(packed, n, out, names, extra=(), midway=lambda: None, advance=0.0):
    """Exit status, seconds, peak MiB, what was said, paths of the outputs. midway() is called when half of the frames have been sent."""
    paths = {k: os.path.join(out, v) for k, v in {**FILES, **FOLDERS}.items() if k in names}
    command = ["e3-export", *extra, *(x for k, p in paths.items() for x in (f"--{k}", p))]
    said, start = tempfile.TemporaryFile(), time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said)
    thread = threading.Thread(target=feed, args=(child.stdin, packed, n, advance, midway))
    thread.start()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    thread.join()
    said.seek(0)
    return os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss / 1024, said.read().decode(), paths


def bytes_of(path):
    if os.path.isdir(path):
        return sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(path) for f in files)
    return os.path.getsize(path) if os.path.exists(path) else 0


def measure(packed, counts, names, advance):
    peaks = []
    for n in counts:
        with tempfile.TemporaryDirectory() as out:
            rc, seconds, peak, said, paths = export(packed, n, out, names, advance=advance)
            if rc:
                sys.exit(f"exit {rc}: {said}")
            sizes = "  ".join(f"{k} {bytes_of(p) / 1e6:.1f}" for k, p in paths.items())
            print(f"e3-export, {n} frames, {len(paths)} outputs: {seconds:.0f} s, peak memory {peak:.1f} MiB; MB: {sizes}", flush=True)
            peaks.append(peak)
    if len(peaks) > 1:
        print(f"  peak memory at {counts[-1]} frames is {peaks[-1] / peaks[0]:.3f} of that at {counts[0]}: "
              f"{1048576 * (peaks[-1] - peaks[0]) / (counts[-1] - counts[0]):.0f} bytes a frame")


def case(what, packed, n, out, names, failing, extra=(), midway=lambda: None):
    """Of a run in which `failing` cannot be made, everything else is there."""
    rc, _, _, said, paths = export(packed, n, out, names, extra, midway)
    missing = [k for k, p in paths.items() if k not in failing and not bytes_of(p)]
    wrong = [] if rc == 1 else [f"exit {rc}"]
    print(f"  {what}: {len(paths) - len(failing) - len(missing)} of {len(paths) - len(failing)} others made"
          + "".join(f"; {x}" for x in wrong + [f"no {m}" for m in missing]), flush=True)
    if missing or wrong:
        print(said)
    return not missing and not wrong


def failures(packed, n, names):
    good = True
    for k in names:
        with tempfile.TemporaryDirectory() as out:
            path = os.path.join(out, {**FILES, **FOLDERS}[k])
            if k in FILES:
                os.makedirs(path + "/in/the/way")
            else:
                open(path, "w").close()
            rc, _, _, said, paths = export(packed, n, out, names)
            left = [x for x, p in paths.items() if x != k and bytes_of(p)]
            refused = rc in (1, 2) and not left
            good &= refused
            print(f"  {'a folder' if k in FILES else 'a file'} in the way of {k}: {'refused at once' if refused else 'WRONG: ' + said}")
        if k in FILES:
            with tempfile.TemporaryDirectory() as out:
                way = os.path.join(out, FILES[k])
                good &= case(f"a folder that comes in the way of {k}", packed, n, out, names, {k}, midway=lambda w=way: os.makedirs(w + "/x"))
    with tempfile.TemporaryDirectory() as out:
        failing = (POINTS | {"mesh", "colmap"}) & set(names)
        good &= case("no point is confident enough", packed, n, out, names, failing, ["--conf-min", "1e6"])
    for k in names:
        with tempfile.TemporaryDirectory() as out:
            small = os.path.join(out, "small")
            os.mkdir(small)
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", small], stderr=subprocess.DEVNULL).returncode:
                print("  a full disk: not tried, since tmpfs cannot be mounted")
                break
            try:
                where = {**FILES, **FOLDERS}[k]
                (FILES if k in FILES else FOLDERS)[k] = "small/" + where
                good &= case(f"no room for {k}", packed, n, out, names, {k})
            finally:
                (FILES if k in FILES else FOLDERS)[k] = where
                subprocess.run(["umount", small], check=True)
    return good


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--size", default="112x84")
    p.add_argument("--cycle", type=int, default=500)
    p.add_argument("--outputs", default=",".join({**FILES, **FOLDERS}))
    p.add_argument("--advance", type=float, default=0, help="how far the camera moves on along the wall in each frame; it is 3 away")
    p.add_argument("--no-failures", action="store_true")
    p.add_argument("frames", type=int, nargs="*", default=[500, 5000])
    o = p.parse_args()
    names = [k for k in {**FILES, **FOLDERS} if k in o.outputs.split(",")]
    packed = list(frames(*map(int, o.size.split("x")), o.cycle))
    measure(packed, o.frames, names, o.advance)
    return 0 if o.no_failures or failures(list(frames(28, 21, 50)), 150, names) else 1


if __name__ == "__main__":
    shutil.which("e3-export") or sys.exit("e3-export is not in PATH")
    sys.exit(main())

#!/usr/bin/python3
"""pictures.py WHAT: pictures of every kind, made here, read by e3-decode and compared with what Pillow gives. One line for each that differs; exit 1."""
import io
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.dirname(__file__))
import e3read

T = tempfile.mkdtemp(dir=os.environ.get("T"))
bad = 0


def pic(seed, w=61, h=43):
    """A smooth picture without symmetry."""
    rng = np.random.default_rng(seed)
    return Image.fromarray((rng.random((6, 8, 3)) * 255).astype(np.uint8)).resize((w, h), Image.BICUBIC)


def saved(im, kind, **options):
    to = io.BytesIO()
    im.save(to, kind, **options)
    return to.getvalue()


def jpg(seed, **options):
    return saved(pic(seed), "JPEG", quality=90, **options)


def rgb(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def decode(*args, data=None):
    """Exit status, standard error, head, frames."""
    out = os.path.join(T, "s")
    if os.path.exists(out):
        os.remove(out)
    run = subprocess.run(["e3-decode", "-o", out, *args], input=data, stdin=None if data is not None else subprocess.DEVNULL,
                         stderr=subprocess.PIPE, timeout=60)
    head, frames = None, []
    if os.path.exists(out):
        for kind, m in e3read.stream(out):
            if kind == "head":
                head = m
            elif kind == "frame":
                frames.append(m)
    return run.returncode, run.stderr.decode(), head, frames


def check(name, ok, *about):
    global bad
    if not ok:
        bad += 1
        print(name, *about)


def same(name, frames, want, most=0):
    """The pictures of the frames, to within `most` of 255."""
    if len(frames) != len(want):
        return check(name, False, f"{len(frames)} frames, expected {len(want)}")
    for k, (f, t) in enumerate(zip(frames, want)):
        if f["rgb"].shape != t.shape:
            check(name, False, f"frame {k}: {f['rgb'].shape}, expected {t.shape}")
        else:
            off = int(np.abs(f["rgb"].astype(int) - t).max())
            check(name, off <= most, f"frame {k}: off by {off}")


def box(kind, data):
    return struct.pack(">I", 8 + len(data)) + kind + data


def pipes():
    """What cameras and phones put behind a JPEG, on a pipe."""
    a, b, c = (jpg(k) for k in range(3))
    png = saved(pic(3), "PNG")
    progressive = saved(pic(4, 300, 200), "JPEG", progressive=True)
    mp4 = box(b"ftyp", b"mp42\0\0\0\0isommp42") + box(b"moov", b"x" * 100) + box(b"mdat", bytes(range(256)) * 40 + a[:200])
    large = box(b"ftyp", b"isom\0\0\0\0") + struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 16 + 2 * len(b) + 300000) + b + bytes(300000) + b
    endless = box(b"ftyp", b"isom\0\0\0\0") + struct.pack(">I", 0) + b"mdat" + b
    samsung = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + mp4 + b"SEFHxxxx\x01SEFT"
    mpo = saved(pic(0), "MPO", save_all=True, append_images=[pic(1)])
    scan = progressive.rfind(b"\xff\xda")
    table = [
        ("one after another", a + b + c, [a, b, c], ""),
        ("padded", a + bytes(1000) + b + bytes(3) + c + bytes(77), [a, b, c], ""),
        ("a megabyte of padding", a + bytes(1 << 20) + b, [a, b], ""),
        ("motion photos", a + mp4 + b + mp4, [a, b], ""),
        ("a video with pictures in it", a + large + c, [a, c], ""),
        ("a video without end", a + endless, [a], ""),
        ("a maker's own data", a + samsung + b + c, [a, b, c], "35 bytes after JPEGs"),
        ("MPO", mpo + b, [mpo, b], ""),
        ("MPO twice", mpo + mpo, [mpo, mpo], ""),
        ("JPEG and PNG", a + png + b + mp4 + png, [a, png, b, png], ""),
        ("without end markers", a[:-2] + b[:-2] + c[:-2], [a, b, c], ""),
        ("cut in the middle", a + b[:-300] + c, [a, c], "picture 1: truncated"),
        ("junk", a + b"this is no picture" * 10 + b, [a, b], "180 bytes after JPEGs"),
        ("progressive without end marker", progressive[:-2] + a, [progressive, a], ""),
        ("progressive without its last scan", progressive[:scan] + a, [a], "picture 0: truncated"),
    ]
    for name, data, want, says in table:
        rc, text, _, frames = decode("-", data=data)
        check(name, rc == 0 and says in text and bool(says) == bool(text), rc, text)
        same(name, frames, [rgb(w) for w in want])
    rc, text, _, frames = decode("-", data=a + b[:-300])
    check("cut at the end", rc == 1 and "picture 1: truncated" in text, rc, text)


def files():
    """JPEG files with something behind the picture, or without their end marker."""
    a = jpg(0)
    for name, data in (("motion", a + box(b"ftyp", b"mp42\0\0\0\0isom") + box(b"mdat", jpg(1))), ("no end marker", a[:-2]),
                       ("mpo", saved(pic(0), "MPO", save_all=True, append_images=[pic(1)])), ("half a marker", a[:-1])):
        path = os.path.join(T, "file.jpg")
        with open(path, "wb") as f:
            f.write(data)
        rc, text, head, frames = decode("--strict", path)
        check(name, rc == 0 and not text and head["frames"] == 1, rc, text)
        same(name, frames, [rgb(data if name == "mpo" else a)])
    path = os.path.join(T, "file.jpg")
    with open(path, "wb") as f:
        f.write(a[:-20])
    rc, text, _, _ = decode(path)
    check("data lack", rc == 1 and "truncated" in text, rc, text)


globals()[sys.argv[1]]()
sys.exit(bad > 0)

#!/usr/bin/python3
"""pictures_more.py WHAT: more of what pictures.py does: the ends and the EXIF of PNG, names by a pattern."""
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image

import pictures
from pictures import T, check, decode, jpg, pic, rgb, same, saved, written


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_ends():
    """PNG without their end, or with a damaged one: Pillow reads them."""
    a, b = (saved(pic(k), "PNG") for k in (1, 2))
    for name, data in (("without end", a[:-12]), ("half an end", a[:-5]), ("damaged end", a[:-1] + b"x"), ("junk", a + b"junk" * 9)):
        rc, text, head, frames = decode("--strict", written("file.png", data))
        check(name, rc == 0 and not text and head["frames"] == 1, rc, text)
        same(name, frames, [rgb(a)])
    rc, text, _, frames = decode(written("file.png", a[:-40]))
    check("data lack", rc == 1 and "file.png: truncated: the PNG data end before the picture is complete" in text, rc, text)
    rc, text, _, frames = decode("-", data=a[:-12] + b + b[:-12] + jpg(3) + a[:-12])
    check("on a pipe", rc == 0 and not text, rc, text)
    same("on a pipe", frames, [rgb(a), rgb(b), rgb(b), rgb(jpg(3)), rgb(a)])
    written("ends/1.png", a[:-12])
    written("ends/2.png", a[:-60])
    rc, text, head, frames = decode("--images", os.path.join(T, "whole"), os.path.join(T, "ends"))
    check("folder", rc == 0 and head["frames"] == 1 and "2.png: truncated" in text, rc, text, head)
    same("folder", frames, [rgb(open(os.path.join(T, "whole/1.png"), "rb").read())])


def png_exif():
    """Where programs put the EXIF of a PNG, beside the chunk that is made for it."""
    exif = Image.Exif()
    exif[0x112] = 6
    exif = exif.tobytes()
    dump = b"\nexif\n%8d\n" % len(exif) + b"\n".join(exif.hex().encode()[k:k + 72] for k in range(0, 2 * len(exif), 72)) + b"\n"
    text, packed = b"Raw profile type exif\0" + dump, b"Raw profile type exif\0\0" + zlib.compress(dump)
    plain, damaged = saved(pic(1), "PNG"), b"Raw profile type exif\0\0" + zlib.compress(dump)[:9]
    for name, extra in (("eXIf as in JPEG", chunk(b"eXIf", exif)), ("text", chunk(b"tEXt", text)), ("packed text", chunk(b"zTXt", packed)),
                        ("damaged", chunk(b"zTXt", damaged) + chunk(b"tEXt", text[:40]))):
        want = pic(1) if name == "damaged" else pic(1).transpose(Image.ROTATE_270)
        for data in (plain[:33] + extra + plain[33:], plain[:-12] + extra + plain[-12:]):
            rc, said, _, frames = decode(written("exif.png", data))
            check(name, rc == 0 and not said, rc, said)
            same(name, frames, [np.asarray(want)])


def patterns():
    """Names by a pattern: all numbers, in order, across gaps; in quotes as in a shell; a file of that very name."""
    numbers = (1, 2, 8, 9, 10, 100)
    for n in numbers:
        written(f"numbers/a{n}.png", saved(pic(n), "PNG"))
        written(f"numbers/b{n:02d}.png", saved(pic(n), "PNG"))
        written(f"numbers/c{n}.png", saved(pic(n), "PNG"))
    for other in ("a.png", "a1.jpg", "a1b.png", "xa1.png", "b7.png", "b007.png"):
        written("numbers/" + other, saved(pic(0), "PNG"))
    want = [np.asarray(pic(n)) for n in numbers]
    for pattern in ("a%d.png", "b%02d.png", "[c]*.png"):
        rc, text, head, frames = decode(os.path.join(T, "numbers", pattern))
        gap = "numbers are missing, the first: 3" in text
        check(pattern, rc == 0 and head["frames"] == 6 and gap == ("%" in pattern), rc, text)
        same(pattern, frames, want)
    rc, text, _, _ = decode(os.path.join(T, "numbers/a%03d.jpg"))
    check("no such names", rc == 1 and "a%03d.jpg: no file has such a name" in text, rc, text)
    rc, text, _, frames = decode(written("numbers/a%d.png", saved(pic(5), "PNG")))
    same("a file of that name", frames, [np.asarray(pic(5))])


globals()[sys.argv[1]]()
sys.exit(pictures.bad > 0)

#!/usr/bin/python3
"""pictures.py WHAT: pictures of every kind, made here, read by e3-decode and compared with what Pillow gives. One line for each that differs; exit 1."""
import io
import os
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image, ImageOps

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
                         stderr=subprocess.PIPE, timeout=300)
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
        ("a maker's own data", a + samsung + b + c, [a, b, c], "35 bytes between pictures were skipped"),
        ("MPO", mpo + b, [mpo, b], ""),
        ("MPO twice", mpo + mpo, [mpo, mpo], ""),
        ("JPEG and PNG", a + png + b + mp4 + png, [a, png, b, png], ""),
        ("PNG, padded, and junk", png + bytes(100) + png + b"junk and junk and junk and junk" + a, [png, png, a], "31 bytes between pictures"),
        ("padded without end markers", a[:-2] + bytes(900) + b[:-2] + bytes(5), [a, b], ""),
        ("without end markers", a[:-2] + b[:-2] + c[:-2], [a, b, c], ""),
        ("cut in the middle", a + b[:-300] + c, [a, c], "picture 1: truncated"),
        ("junk", a + b"this is no picture" * 10 + b, [a, b], "180 bytes between pictures were skipped"),
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
                       ("padded without end marker", a[:-2] + bytes(3000)),
                       ("mpo", saved(pic(0), "MPO", save_all=True, append_images=[pic(1)])), ("half a marker", a[:-1])):
        path = os.path.join(T, "file.jpg")
        with open(path, "wb") as f:
            f.write(data)
        rc, text, head, frames = decode("--strict", path)
        check(name, rc == 0 and not text and head["frames"] == 1, rc, text)
        same(name, frames, [rgb(data if name == "mpo" else a)])
    scan = a.rfind(b"\xff\xda")
    gaps = a[: (scan + len(a)) // 2] + a[-2:]  # half of the data, and the end marker
    rc, text, _, frames = decode(written("file.jpg", gaps))
    check("half, with an end marker", rc == 0 and text.count("file.jpg: JPEG data are damaged or missing inside") == 1, rc, text)
    same("half, with an end marker", frames, [rgb(gaps)])
    for given in (written("file.jpg", gaps),), ("-",):
        rc, text, _, frames = decode("--strict", *given, data=gaps if given == ("-",) else None)
        check("half, with an end marker, --strict", rc == 1 and not frames and text.count("JPEG data are damaged or missing inside") == 1, rc, text)
    for name, more in (("stream", jpg(1)), ("padded stream", bytes(99) + jpg(1))):
        rc, text, _, frames = decode(written("file.jpg", a + more))
        check(name, rc == 0 and len(frames) == 1 and "file.jpg: only the first of its pictures is used" in text, rc, text)
    check("preview behind", decode(written("file.jpg", a + saved(pic(1, 20, 14), "JPEG")))[:2] == (0, ""))
    for padding in b"", bytes(3000):
        rc, text, _, _ = decode(written("file.jpg", a[:-20] + padding))
        check("data lack", rc == 1 and "truncated" in text, rc, text)


def over_white(im):
    px = np.asarray(im.convert("RGBA")).astype(int)
    c, a = px[..., :3], px[..., 3:]
    return ((c * a + 255 * (255 - a) + 127) // 255).astype(np.uint8)


def written(name, data):
    path = os.path.join(T, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    return path


def heif(name, *options):
    """pic(7) by heif-enc."""
    png, out = written("heif.png", saved(pic(7, 62, 44), "PNG")), os.path.join(T, name)
    subprocess.run(["heif-enc", *options, png, "-o", out], check=True, stdout=subprocess.DEVNULL)
    with open(out, "rb") as f:
        return f.read()


def by_heif_convert(data, suffix):
    path, out = written("convert." + suffix, data), os.path.join(T, "convert.png")
    subprocess.run(["heif-convert", path, out], check=True, stdout=subprocess.DEVNULL)
    return np.asarray(Image.open(out).convert("RGB"))


def kinds_table():
    """Name, bytes, what comes (None: as Pillow reads it), by how much it may differ."""
    base = pic(7)
    rgba, la, grey = base.copy(), base.convert("L"), base.convert("L")
    fade = Image.fromarray(np.tile(np.linspace(0, 255, 61), (43, 1)).astype(np.uint8))
    rgba.putalpha(fade)
    la.putalpha(fade)
    grey16 = Image.fromarray(np.asarray(grey).astype("<u2") * 257)
    palette, bits, g = base.quantize(32), grey.convert("1"), np.asarray(grey.convert("RGB"))
    heic, avif = heif("a.heic", "-q", "90"), heif("a.avif", "-q", "90")
    cut = written("wide.png", saved(base, "PNG"))
    jxl = os.path.join(T, "a.jxl")
    made = subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", cut, "-distance", "0", jxl], stderr=subprocess.DEVNULL).returncode
    table = [
        ("WebP, lossy", saved(base, "WEBP", quality=80), None, 0),
        ("WebP, lossless", saved(base, "WEBP", lossless=True), None, 0),
        ("WebP, alpha", saved(rgba, "WEBP", lossless=True, exact=True), over_white(rgba), 0),
        ("TIFF", saved(base, "TIFF"), None, 0),
        ("TIFF, LZW", saved(base, "TIFF", compression="tiff_lzw"), None, 0),
        ("TIFF, deflate", saved(base, "TIFF", compression="tiff_adobe_deflate"), None, 0),
        ("TIFF, JPEG", saved(base, "TIFF", compression="jpeg"), None, 2),
        ("TIFF, grey", saved(grey, "TIFF"), g, 0),
        ("TIFF, grey of 16 bits", saved(grey16, "TIFF"), g, 0),
        ("TIFF, alpha", saved(rgba, "TIFF"), over_white(rgba), 1),
        ("TIFF, grey and alpha", saved(la, "TIFF"), over_white(la), 1),
        ("TIFF, palette", saved(palette, "TIFF"), None, 0),
        ("TIFF, fax", saved(bits, "TIFF", compression="group4"), None, 0),
        ("TIFF, CMYK", saved(base.convert("CMYK"), "TIFF"), None, 2),
        ("BMP", saved(base, "BMP"), None, 0),
        ("BMP, grey", saved(grey, "BMP"), g, 0),
        ("BMP, palette", saved(palette, "BMP"), None, 0),
        ("BMP, one bit", saved(bits, "BMP"), None, 0),
        ("BMP, alpha", saved(rgba, "BMP"), over_white(rgba), 1),
        ("GIF", saved(palette, "GIF"), None, 0),
        ("JPEG 2000", saved(base, "JPEG2000"), None, 0),
        ("JPEG 2000, grey of 16 bits", saved(grey16, "JPEG2000"), g, 1),
        ("JPEG 2000, alpha", saved(rgba, "JPEG2000"), over_white(rgba), 1),
        ("HEIC", heic, by_heif_convert(heic, "heic"), 0),
        ("AVIF", avif, by_heif_convert(avif, "avif"), 0),
    ]
    if made == 0:
        with open(jxl, "rb") as f:
            table.append(("JPEG XL", f.read(), rgb(saved(base, "PNG")), 1))
    return table


def kinds():
    """Every kind in a folder, without telling names; on a pipe; cut in half it is damaged."""
    table = kinds_table()
    want = [rgb(data) if to is None else to for _, data, to, _ in table]
    for k, (name, data, _, _) in enumerate(table):
        written(f"kinds/{k}", data)
        written(f"cut/{k}.png", data[: len(data) // 2])
    rc, text, head, frames = decode("--strict", os.path.join(T, "kinds"))
    check("all kinds", rc == 0 and head["frames"] == len(table) and "pictures of different kinds: 3 WebP, 11 TIFF" in text, rc, text)
    for (name, _, _, most), f, t in zip(table, frames, want):
        same(name, [f], [t], most)
    written("cut/good.png", saved(pic(1), "PNG"))
    rc, text, head, frames = decode(os.path.join(T, "cut"))
    same("beside those that are cut", frames, [rgb(saved(pic(1), "PNG"))])
    for k, (name, _, _, _) in enumerate(table):
        check(name + ", cut", f"reading: {T}/cut/{k}.png: " in text and rc == 0, rc, text)
    check("cut", f"{len(table)} pictures were left out, the first: " in text, text)
    lasts = ("TIFF", "JPEG 2000", "JPEG XL", "GIF")  # they end where the stream ends
    several = [k for k, row in enumerate(table) if not row[0].startswith(lasts)]
    rc, text, _, frames = decode("-", data=b"".join(table[k][1] for k in several))
    check("several on a pipe", rc == 0 and not text, rc, text)
    check("several on a pipe", len(frames) == len(several), len(frames))
    for k, f in zip(several, frames):
        same(table[k][0] + ", on a pipe", [f], [want[k]], table[k][3])
    rc, text, _, frames = decode("-", data=b"".join(table[k][1] for k in several[::-1]))
    check("several on a pipe, HEIF first", rc == 0 and not text and len(frames) == len(several), rc, text, len(frames))
    for k in {row[0].split(",")[0]: k for k, row in enumerate(table) if k not in several}.values():
        rc, text, _, frames = decode("-", data=table[k][1])
        check(table[k][0] + ", on a pipe", rc == 0 and not text, rc, text)
        same(table[k][0] + ", on a pipe", frames, [want[k]], table[k][3])


def turned():
    """Orientation 1 to 8 in every kind that has it; HEIF's own turning and mirroring, and EXIF beside it."""
    for kind, suffix, options in (("JPEG", "jpg", {"quality": 95}), ("PNG", "png", {}), ("WEBP", "webp", {"lossless": True}), ("TIFF", "tif", {})):
        want = []
        for o in range(1, 9):
            exif = Image.Exif()
            exif[0x112] = o
            extra = {"tiffinfo": {0x112: o}} if kind == "TIFF" else {"exif": exif}
            data = saved(pic(o), kind, **options, **extra)
            written(f"turned/{suffix}/{o}.{suffix}", data)
            stored = rgb(data) if kind == "JPEG" else np.asarray(pic(o))
            way = Image.Exif()
            way[0x112] = o
            upright = Image.open(io.BytesIO(saved(Image.fromarray(stored), "PNG", exif=way)))
            want.append((stored, np.asarray(ImageOps.exif_transpose(upright))))
        folder = os.path.join(T, "turned", suffix)
        rc, text, head, frames = decode(folder)
        check(kind, "pictures of different sizes: 61 x 43 (4, the first: " in text and "43 x 61 (4, the first: " in text, text)
        same(kind, frames, [t for _, t in want])
        check(kind, [f["rot"] for f in frames] == [0, 0, 180, 180, 90, 90, 270, 270], [f["rot"] for f in frames])
        for option in (["--no-autorotate"], ["--compat", "upstream"]):
            same(f"{kind} {option}", decode(*option, folder)[3], [s for s, _ in want])


def with_property(data, kind, value):
    """The HEIF file with one more property of its primary item: "irot" or "imir"."""
    def at(path, start, end):
        for name in path:
            k = start
            while data[k + 4:k + 8] != name:
                k += struct.unpack(">I", data[k:k + 4])[0]
                assert k < end
            start, end, box_at = k + (12 if name == b"meta" else 8), k + struct.unpack(">I", data[k:k + 4])[0], k
        return box_at, start, end

    prop, data = box(kind, bytes([value])), bytearray(data)
    item = at([b"meta", b"pitm"], 0, len(data))[1]
    primary = struct.unpack(">H", data[item + 4:item + 6])[0]
    _, start, end = at([b"meta", b"iprp", b"ipco"], 0, len(data))
    count, k = 1, start
    while k < end:
        count, k = count + 1, k + struct.unpack(">I", data[k:k + 4])[0]
    k = at([b"meta", b"iprp", b"ipma"], 0, len(data))[1]
    assert data[k] == 0 and data[k + 3] & 1 == 0
    k += 8
    while struct.unpack(">H", data[k:k + 2])[0] != primary:
        k += 3 + data[k + 2]
    there = k + 3 + data[k + 2]
    data[k + 2] += 1
    grown = len(prop) + 1
    _, iloc, _ = at([b"meta", b"iloc"], 0, len(data))
    assert data[iloc] in (0, 1) and data[iloc + 4] == 0x44
    n, k = struct.unpack(">H", data[iloc + 6:iloc + 8])[0], iloc + 8
    for _ in range(n):
        base = data[iloc + 5] >> 4
        method = struct.unpack(">H", data[k + 2:k + 4])[0] & 15 if data[iloc] else 0
        k += 4 + (2 if data[iloc] else 0) + base
        extents, k = struct.unpack(">H", data[k:k + 2])[0], k + 2
        for _ in range(extents):
            if method == 0:
                data[k:k + 4] = struct.pack(">I", struct.unpack(">I", data[k:k + 4])[0] + grown)
            k += 8
    for path in ([b"meta"], [b"meta", b"iprp"], [b"meta", b"iprp", b"ipma"], [b"meta", b"iprp", b"ipco"]):
        b, more = at(path, 0, len(data))[0], grown
        more = 1 if path[-1] == b"ipma" else len(prop) if path[-1] == b"ipco" else grown
        data[b:b + 4] = struct.pack(">I", struct.unpack(">I", data[b:b + 4])[0] + more)
    data[there:there] = bytes([0x80 | count])
    return bytes(data[:end] + prop + data[end:])


def heif_turned():
    exif = Image.Exif()
    exif[0x112] = 6
    jpeg = written("exif.jpg", saved(pic(7, 62, 44), "JPEG", quality=95, exif=exif))
    for suffix in ("heic", "avif"):
        out = os.path.join(T, "exif." + suffix)
        subprocess.run(["heif-enc", jpeg, "-o", out], check=True, stdout=subprocess.DEVNULL)
        with open(out, "rb") as f:
            data = f.read()  # EXIF says 6, and no property turns it: the standard lets the properties decide
        plain, want = by_heif_convert(data, suffix), []
        assert plain.shape == (44, 62, 3)
        written(f"h{suffix}/0.{suffix}", data)
        want.append((plain, plain))
        for angle in (1, 2, 3):
            written(f"h{suffix}/{angle}.{suffix}", with_property(data, b"irot", angle))
            want.append((plain, np.rot90(plain, angle)))
        for axis in (0, 1):
            mirrored = with_property(data, b"imir", axis)
            written(f"h{suffix}/{4 + axis}.{suffix}", mirrored)
            want.append((plain, by_heif_convert(mirrored, suffix)))
            check(f"{suffix} mirrored", not np.array_equal(want[-1][1], plain))
        folder = os.path.join(T, "h" + suffix)
        same(suffix, decode(folder)[3], [t for _, t in want])
        same(suffix + " as stored", decode("--no-autorotate", folder)[3], [s for s, _ in want])


def refused():
    """What is not read, by its name; files of a folder that are no pictures, in one note."""
    png = saved(pic(1), "PNG")
    dng = saved(pic(1), "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    table = (("a.dng", dng, "a camera's raw file: not read"), ("a.tif", dng, "a camera's raw file: not read"),
             ("a.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(64), "a camera's raw file"),
             ("a.jpg", jpg(1).replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), "a JPEG of 12 bits a sample: only 8 are read"),
             ("c.jpg", jpg(1).replace(b"\xff\xc0\0\x11", b"\xff\xf7\0\x11"), "a JPEG-LS: not read"),
             ("b.jpg", jpg(1).replace(b"\xff\xc0\0\x11", b"\xff\xc3\0\x11"), "a lossless JPEG"),
             ("a.webp", saved(pic(1), "WEBP", save_all=True, append_images=[pic(2)]), "an animated WebP: not read"))
    for name, data, says in table:
        rc, text, _, frames = decode(written("refused/" + name, data))
        check(name, rc == 1 and f"reading: {T}/refused/{name}: {says}" in text and not frames, rc, text)
    folder = os.path.join(T, "refused")
    os.symlink("gone", os.path.join(folder, "d.jpg"))
    written("refused/good.jpg", png)  # by its bytes a PNG
    for name in ("b.txt", "c.mov", "a.aae", "d.json", ".hidden"):
        written("refused/" + name, b"P5 is how a text may begin")
    rc, text, _, frames = decode(folder)
    same("folder", frames, [rgb(png)])
    check("folder", "left out: 4 files that are not pictures, or of a kind that is not read (a.aae, b.txt, c.mov, ...)" in text, text)
    os.makedirs(os.path.join(T, "outer/inner"))
    rc, said, _, _ = decode(os.path.join(T, "outer"))
    check("folders", rc == 1 and "outer: no pictures in this folder; folders inside it are not searched" in said, said)
    check("folder", "left out: 2 files of a camera's raw kind, which is not read (a.cr2, a.dng)" in text, text)
    check("folder", "6 pictures were left out, the first: " in text and "a.tif: a camera's raw file" in text and "a.webp" in text, text)


def animated():
    """An animation alone is a video, among others its first image; one that does not move is a picture."""
    frames = [pic(k) for k in range(10)]
    more = {"save_all": True, "append_images": frames[1:], "duration": 100}
    png = saved(frames[0], "PNG", **more)
    gif = saved(frames[0].quantize(64), "GIF", **{**more, "append_images": [f.quantize(64) for f in frames[1:]]})
    for name, data in (("a.png", png), ("b.gif", gif)):
        path = written("animated/" + name, data)
        rc, text, head, got = decode("--all", path)
        check(name, rc == 0 and not text and len(got) == 10 and head["frames"] == 10, rc, text, len(got))
        rc, text, head, got = decode(path)
        check(name + ", every 0.5 s", rc == 0 and len(got) == 2, rc, text, len(got))
        rc, text, head, got = decode("--all", "-", data=data)
        check(name + ", on a pipe", (len(got), "has several images" in text) == ((1, True) if name == "a.png" else (10, False)), text, len(got))
    fade = Image.fromarray(np.tile(np.linspace(0, 255, 61), (43, 1)).astype(np.uint8))
    faded = [f.copy() for f in frames[:3]]
    for f in faded:
        f.putalpha(fade)
    alpha = written("alpha.png", saved(faded[0], "PNG", save_all=True, append_images=faded[1:], duration=100))
    same("APNG with alpha", decode("--all", alpha)[3], [over_white(f) for f in faded])
    same("APNG", decode("--all", os.path.join(T, "animated/a.png"))[3], [np.asarray(f) for f in frames])
    rc, text, head, got = decode(os.path.join(T, "animated"))
    check("folder", len(got) == 2 and "a.png: has several images: only the first is used, and so with others" in text, text)
    still = saved(frames[3].quantize(64), "GIF")
    for args, data in (([written("still.gif", still)], None), (["-"], still)):
        rc, text, head, got = decode(*args, data=data)
        check("GIF", rc == 0 and not text and head["frames"] == 1, rc, text)
        same("GIF", got, [rgb(still)])
    pages = written("pages.tif", saved(frames[5], "TIFF", save_all=True, append_images=[frames[6]]))
    rc, text, head, got = decode(pages)
    check("pages", rc == 0 and f"reading: {pages}: has several images: only the first is used" in text, rc, text)
    same("pages", got, [np.asarray(frames[5])])
    subprocess.run(["heif-enc", *(written(f"{k}.png", saved(pic(k, 62, 44), "PNG")) for k in (1, 2)), "-o", os.path.join(T, "two.heic")], check=True, stdout=subprocess.DEVNULL)
    rc, text, head, got = decode(os.path.join(T, "two.heic"))
    check("HEIC of two", rc == 0 and len(got) == 1 and "two.heic: has several images: only the first is used" in text, rc, text)
    tga = written("still.tga", saved(frames[4], "TGA"))  # of a kind that only FFmpeg knows
    same("TGA", decode(tga)[3], [np.asarray(frames[4])])


def names_of(frames):
    return [f.get("name") for f in frames]


def images():
    """--images: the very pictures that were sent, whatever the frames were resized to; names that are unique and stay."""
    turn = Image.Exif()
    turn[0x112] = 6
    rgba = pic(4).copy()
    rgba.putalpha(128)
    a = jpg(1)
    kept = {"01.jpg": a, "02.png": saved(pic(2), "PNG"), "03.JPEG": saved(pic(3).convert("L"), "JPEG")}  # copied
    folder = [("04.jpg", saved(pic(4), "JPEG", exif=turn)), ("05.png", saved(rgba, "PNG")), ("06.tif", saved(pic(6), "TIFF")),
              ("07.heic", heif("a.heic")), ("08.jpg", a[:-2]), ("09.webp", saved(pic(9), "WEBP"))]
    for name, data in [*kept.items(), *folder, ("10.jpg", kept["02.png"]), ("11.jpg", a + box(b"ftyp", b"mp42\0\0\0\0") + box(b"mdat", a))]:
        written("sent/" + name, data)
    out, source = os.path.join(T, "images"), os.path.join(T, "sent")
    plain = decode(source)[3]
    rc, text, head, frames = decode("--fit", "56", "--images", out, source)
    check("images", rc == 0 and len(frames) == 11, rc, text)
    names = ["01.jpg", "02.png", "03.JPEG", "04.png", "05.png", "06.png", "07.png", "08.png", "09.png", "10.png", "11.jpg"]
    check("names", names_of(frames) == names and sorted(os.listdir(out)) == sorted(names), names_of(frames), os.listdir(out))
    check("names without images", names_of(plain) == sorted(os.listdir(source)), names_of(plain))
    for name, f, sent in zip(names, plain, frames):
        with open(os.path.join(out, name), "rb") as file:
            data = file.read()
        same(name, [f], [rgb(data)])
        check(name, sent["rgb"].shape[1] == 56 and (sent["src_h"], sent["src_w"]) == f["rgb"].shape[:2], sent["rgb"].shape)
        check(name + " is the file itself", name not in kept or data == kept[name])
        check(name + " ends after its picture", name != "11.jpg" or data == a)
    rc, text, _, _ = decode("--images", out, source)
    check("not empty", rc == 1 and f"opening: {out}: not empty (" in text, rc, text)

    for k, name in enumerate(("a/1.png", "b/1.png", "c/1_2.png", "d/1.tif")):
        written("same/" + name, saved(pic(k), "TIFF" if name.endswith("tif") else "PNG"))
    folders = [os.path.join(T, "same", k) for k in "abcd"]
    twice = os.path.join(T, "twice")
    frames = decode("--images", twice, *folders)[3]
    check("same names", names_of(frames) == ["1.png", "1_2.png", "1_2_2.png", "1_3.png"], names_of(frames))
    same("same names", frames, [rgb(open(os.path.join(twice, n), "rb").read()) for n in names_of(frames)])
    check("same names", names_of(decode(*folders)[3]) == ["1.png", "1_2.png", "1_2_2.png", "1.tif"])
    written("odd/a.png", kept["02.png"])
    os.rename(os.path.join(T, "odd/a.png"), os.path.join(T.encode(), b"odd/odd\xff\n.png"))
    check("odd name", names_of(decode(os.path.join(T, "odd"))[3]) == ["odd__.png"])

    clip, video = os.path.join(os.path.dirname(__file__), "../pipelines/demo/clip.mp4"), os.path.join(T, "video")
    rc, text, head, frames = decode("--images", video, clip)
    check("video", names_of(frames) == [f"frame_{k:06d}.png" for k in range(5, 48, 6)], names_of(frames))
    same("video", frames, [rgb(open(os.path.join(video, n), "rb").read()) for n in sorted(os.listdir(video))])
    check("video without images", names_of(decode(clip)[3]) == [None] * 8)
    decode(source)
    passed = os.path.join(T, "passed")
    subprocess.run(["e3-cat", "-o", passed, os.path.join(T, "s")], check=True)
    check("e3-cat", [m["name"] for kind, m in e3read.stream(passed) if kind == "frame"] == sorted(os.listdir(source)))


def images_live():
    """Pictures are there while the stream runs; a folder that goes away ends the run."""
    png = saved(pic(1), "PNG")
    for gone in (False, True):
        out = os.path.join(T, f"live{gone}")
        with open(os.path.join(T, "err"), "w+b") as err:
            run = subprocess.Popen(["e3-decode", "-o", os.path.join(T, "s"), "--images", out, "-"], stdin=subprocess.PIPE, stderr=err)
            until = time.time() + 300
            run.stdin.write(png)
            run.stdin.flush()
            path = os.path.join(out, "frame_000000.png")
            while not os.path.exists(path) and time.time() < until:
                time.sleep(0.01)
            check("live", os.path.exists(path), "no picture before the end of the input")
            if gone:
                os.remove(path)
                os.rmdir(out)
                run.stdin.write(png)
            run.stdin.close()
            check("live", run.wait(300) == int(gone), run.returncode)
            err.seek(0)
            said = err.read().decode()
            check("live", not gone or f"creating a directory: {out}: it was removed during the run" in said, said)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    sys.exit(bad > 0)

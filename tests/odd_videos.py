#!/usr/bin/python3
"""Videos that the ffmpeg program does not write.
odd_videos.py fields FRAMES OUT      H.264 whose frames are two field pictures each, 16x32 pixels
odd_videos.py empty N IN.mp4 OUT     the last N samples get size 0
odd_videos.py free BYTES IN.mp4 OUT  a box of this size before the data
odd_videos.py still FIRST N IN.mp4 OUT  N frames from FIRST on take no time
odd_videos.py unrated IN.webm OUT    without a frame rate"""
import struct, sys


class Bits:
    def __init__(self):
        self.s = ""

    def u(self, n, v):
        self.s += format(v, "0%db" % n) if n else ""
        return self

    def ue(self, *values):
        for v in values:
            b = format(v + 1, "b")
            self.s += "0" * (len(b) - 1) + b
        return self

    def end(self):
        self.s += "1"
        return self.bytes()

    def bytes(self):
        self.s += "0" * (-len(self.s) % 8)
        return int(self.s, 2).to_bytes(len(self.s) // 8, "big")


def nal(head, payload):
    out = bytearray()
    for b in payload:  # 00 00 0x inside a unit would look like a start code
        if len(out) > 1 and out[-1] == out[-2] == 0 and b <= 3:
            out.append(3)
        out.append(b)
    return b"\0\0\0\1" + bytes([head]) + bytes(out)


def fields(frames):
    sps = Bits().u(8, 77).u(8, 0).u(8, 10).ue(0, 0, 2, 1).u(1, 0).ue(0, 0).u(1, 0).u(1, 0).u(1, 1).u(1, 0).u(1, 0).end()
    pps = Bits().ue(0, 0).u(1, 0).u(1, 0).ue(0, 0, 0).u(1, 0).u(2, 0).ue(0, 0, 0).u(1, 1).u(1, 0).u(1, 0).end()
    out = b""
    for k in range(2 * frames):
        idr, frame = k % 20 == 0, k // 2 % 10
        out += nal(9, b"\xf0")
        if idr:
            out += nal(0x67, sps) + nal(0x68, pps)
        b = Bits().ue(0, 7, 0).u(4, frame).u(1, 1).u(1, k % 2)
        if idr:
            b.ue(k // 20 % 2).u(2, 0)
        else:
            b.u(1, 0)
        luma = 40 + 4 * k % 200
        head = b.ue(0, 1, 25).bytes()  # a macroblock of plain samples
        out += nal(0x65 if idr else 0x61, head + bytes([luma]) * 256 + bytes([128]) * 128 + b"\x80")
    return out


def box(data, path):
    """Where the box at this path begins and ends."""
    at, end = 0, len(data)
    for name in path:
        while at < end:
            n = struct.unpack(">I", data[at:at + 4])[0]
            if data[at + 4:at + 8] == name:
                break
            at += n
        at, end = at + 8, at + n
    return at, end


TABLE = [b"moov", b"trak", b"mdia", b"minf", b"stbl"]


def empty(n, data):
    data = bytearray(data)
    at, _ = box(data, TABLE + [b"stsz"])
    count = struct.unpack(">I", data[at + 8:at + 12])[0]
    data[at + 12 + 4 * (count - n):at + 12 + 4 * count] = bytes(4 * n)
    return data


def still(first, n, data):
    """The index comes last, and its table of durations has one entry."""
    at, end = box(data, TABLE + [b"stts"])
    count, step = struct.unpack(">II", data[at + 8:at + 16])
    table = struct.pack(">II6I", 0, 3, first, step, n, 0, count - first - n, step)
    out = bytearray(data)
    for k in range(1, len(TABLE) + 1):
        size = box(data, TABLE[:k])[0] - 8
        out[size:size + 4] = struct.pack(">I", struct.unpack(">I", data[size:size + 4])[0] + len(table) - (end - at))
    return out[:at - 8] + struct.pack(">I", 8 + len(table)) + b"stts" + table + out[end:]


def free(size, data):
    data = bytearray(data)
    at, _ = box(data, TABLE + [b"stco"])
    for k in range(struct.unpack(">I", data[at + 4:at + 8])[0]):
        here = at + 8 + 4 * k
        data[here:here + 4] = struct.pack(">I", struct.unpack(">I", data[here:here + 4])[0] + size)
    start = box(data, [b"ftyp"])[1]
    return data[:start] + struct.pack(">I", size) + b"free" + bytes(size - 8) + data[start:]


what, *args, out = sys.argv[1:]
if what == "fields":
    made = fields(int(args[0]))
else:
    given = open(args[-1], "rb").read()
    made = {"empty": lambda: empty(int(args[0]), given), "free": lambda: free(int(args[0]), given),
            "still": lambda: still(int(args[0]), int(args[1]), given),
            "unrated": lambda: given.replace(b"\x23\xe3\x83", b"\x23\xe3\x7f")}[what]()
open(out, "wb").write(made)

"""frames.py STREAM: "frames=N fps=F n=FRAMES", then of each frame its source index, time, size, rotation and the SHA-256 of its
pixels. Needs msgpack only, so that it starts fast; a stream that does not close with `end` is an error."""
import hashlib
import struct
import sys

import msgpack

HEAD, FRAME, END = 1, 2, 6
head, kind, rows = None, None, []
with open(sys.argv[1], "rb") as f:
    while envelope := f.read(6):
        _, length, kind = struct.unpack(">BIB", envelope)
        m = msgpack.unpackb(f.read(length))
        if kind == HEAD:
            head = m
        elif kind == FRAME:
            sha = hashlib.sha256(m["rgb"]["data"]).hexdigest()
            rows.append("%d %.3f %dx%d rot%d %s" % (m["src_i"], m["pts"], m["w"], m["h"], m["rot"], sha))
if kind != END:
    raise SystemExit("the stream has no end")
print("frames=%s fps=%.6g n=%d" % (head["frames"], head["fps"], len(rows)))
print("\n".join(rows))

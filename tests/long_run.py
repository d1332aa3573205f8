#!/usr/bin/python3
"""A prediction stream of any length: long_run.py FRAMES LAYERS SIDE [SEGMENT]. Pictures of two pixels; SIDE × SIDE patches and 5 special
tokens a frame, of which every layer keeps those of frame 0 and of the newest 8 frames. SEGMENT: a new cache after so many frames."""
import struct
import sys

import msgpack

KEEP = 8


def message(kind, **fields):
    body = msgpack.packb(fields)
    sys.stdout.buffer.write(struct.pack(">BIB", 0xC9, len(body), kind) + body)


def array(dtype, shape, data):
    return {"dtype": dtype, "shape": shape, "data": data}


def main():
    frames, layers, side, segment = [*map(int, sys.argv[1:]), sys.maxsize][:4]
    n = side * side + 5
    rgb, pose = array("u8", [1, 2, 3], bytes(6)), array("f32", [9], struct.pack("<9f", 0, 0, 0, 0, 0, 0, 1, 1, 1))
    scores = array("f32", [9], struct.pack("<9f", *range(9)))
    message(1, v=1, tool="long_run", version="1", source="-", frames=None, fps=0, model="m", layers=layers, tokens_per_frame=n,
            patch_grid=[side, side], policy="window", budget=layers * n * (KEEP + 1), device="cpu", kv_token_bytes=8)
    for i in range(frames):
        message(3, i=i, pts=i, src_i=i, src_w=2, src_h=1, rot=0, fit=[1, 1, 0, 0], w=2, h=1, rgb=rgb, pose=pose, ms=1.0)
        at = i % segment
        ids = range((at - KEEP) * n, (at - KEEP + 1) * n) if at > KEEP else ()
        before = min(at + 1, KEEP + 2) * n
        message(4, i=i, segment=i // segment, first=i - at, layers=[
            dict(layer=k, k_before=before, k_after=before - len(ids), saturated=0, protected=n, budget=float(n * (KEEP + 1)),
                 alpha=1 / layers, variance=0.0, score_q=scores, max_evicted=1.0, min_kept=2.0,
                 removed=array("u32", [len(ids)], struct.pack(f"<{len(ids)}I", *ids))) for k in range(layers)])
    message(6, frames=frames, seconds=0)


main()

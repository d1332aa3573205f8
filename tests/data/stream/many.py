#!/usr/bin/python3
"""A stream of N predictions with truth and eviction records around them, on standard output: many.py N [W H]."""
import sys

import numpy as np

import golden
from golden import array, layer, message


def main():
    n = int(sys.argv[1])
    w, h = map(int, sys.argv[2:4]) if len(sys.argv) > 2 else (8, 6)
    out = sys.stdout.buffer
    out.write(message("head", v=1, tool="many", version="1", source="-", frames=n, fps=1.0, model="none"))
    for i in range(n):
        fields = {**golden.source(i), "w": w, "h": h}
        depth = array(np.arange(w * h) + i, "<f4", (h, w))
        out.write(message("truth", i=i, unit="m"))
        out.write(message("pred", **fields, rgb=array(np.zeros(w * h * 3), "u1", (h, w, 3)), depth=depth, depth_conf=depth, ms=1.0))
        out.write(message("evict", i=i, layers=[layer(0)]))
    out.write(message("end", frames=n, seconds=1.0, added_later="kept"))


main()

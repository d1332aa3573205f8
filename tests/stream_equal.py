#!/usr/bin/python3
"""Are two streams equal? stream_equal.py A B [KIND...]: bit for bit, kind by kind (all kinds, or those named), but for the
fields that tell time and memory. Prints what differs first; exit 0 equal, 1 different."""
import sys

import msgpack

from e3raw import raw

VARYING = {"ms", "seconds", "peak_rss"}


def plain(value):
    if hasattr(value, "tobytes"):  # an array of numpy, of those who read with e3read
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def packed(value):  # NaN equals itself in bytes
    return msgpack.packb(plain(value))


def main():
    kinds = sys.argv[3:]
    a, b = ([(k, m) for k, m in raw(p) if not kinds or k in kinds] for p in sys.argv[1:3])
    if len(a) != len(b) or not a:
        print(f"{len(a)} messages, {len(b)} messages")
        return 1
    for (ka, ma), (kb, mb) in zip(a, b):
        where = f"{ka} {ma.get('i', '')}".strip()
        if ka != kb or ma.keys() != mb.keys():
            print(f"{where}: fields {sorted(ma)} and {kb} {sorted(mb)}")
            return 1
        for name in ma.keys() - VARYING:
            if packed(ma[name]) != packed(mb[name]):
                print(f"{where}: {name} differs")
                return 1
    print(f"{len(a)} messages equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())

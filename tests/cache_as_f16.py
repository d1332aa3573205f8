"""A saved cache of the CPU as CUDA would have written it, with keys and values in f16: cache_as_f16.py FROM TO. One piece without a side,
no frames that are described (e3-cache(5))."""
import json
import struct
import sys
import zlib

import numpy as np

data = open(sys.argv[1], "rb").read()
version, length = struct.unpack_from("<II", data, 8)
head = json.loads(data[16:16 + length])
assert head["type"] == "f32"
at, out = 16 + length + 4, bytearray()


def take(n):
    global at
    at += n
    return data[at - n:at]


def close():
    """The checksum of everything before it, in both files."""
    assert struct.unpack("<I", take(4))[0] == zlib.crc32(data[:at - 4])
    out.extend(struct.pack("<I", zlib.crc32(out)))


head["type"], head["device"] = "f16", "cuda"
text = json.dumps(head).encode()
out += data[:8] + struct.pack("<II", version, len(text)) + text
out += struct.pack("<I", zlib.crc32(out))
for n in head["slots"]:
    out += take(16 * n)
    values = np.frombuffer(take(8 * n * head["heads"] * head["head_dim"]), np.float32)
    out += values.astype(np.float16).tobytes()
    close()
for _ in range(head["camera_caches"]):
    out += take(8 * head["camera_keys"] * head["camera_heads"] * head["camera_head_dim"])
    close()
if at < len(data):
    out += take(len(data) - at - 4)
    close()
assert at == len(data)
open(sys.argv[2], "wb").write(out)

#!/usr/bin/python3
"""How soon e3-infer answers: load.py FOLDER [FILE]. The time from its start to the first frame's result, with the full network from
FILE.safetensors (made by `e3-model seed` in FOLDER when it is not given: 4.7 GB), from the same tensors as a .pth, and with seeded
weights. The files are in the page cache. Prints the phases that e3-infer -v tells; exit 1 when a file takes longer than 2 s."""
import json
import os
import pickle
import struct
import subprocess
import sys
import types
import zipfile

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from end_to_end import run, write  # noqa: E402
from table import done, row  # noqa: E402

MOST = 2.0  # seconds
TIMES = 3


class Storage:
    """What stands for a tensor's values in the pickle: its file in the archive."""

    def __init__(self, key, n):
        self.key, self.n = key, n


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return ("storage", sys.modules["torch"].FloatStorage, obj.key, "cpu", obj.n) if isinstance(obj, Storage) else None


def names_of_torch():
    """torch's names, without torch: a pickle has only names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        raise NotImplementedError
    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch", "__qualname__": "FloatStorage"})
    utils._rebuild_tensor_v2, torch._utils = _rebuild_tensor_v2, utils
    sys.modules.update({"torch": torch, "torch._utils": utils})


class Tensor:
    def __init__(self, key, shape):
        self.key, self.shape = key, shape

    def __reduce__(self):
        n, stride, step = int(np.prod(self.shape)), [], 1
        for d in reversed(self.shape):
            stride.insert(0, step)
            step *= d
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (Storage(self.key, n), 0, tuple(self.shape), tuple(stride), False, {})


def write_pth(source, target):
    """The tensors of a safetensors file (f32) as torch.save lays them down: a zip, uncompressed, values aligned to 64 bytes."""
    names_of_torch()
    raw = np.memmap(source, np.uint8, "r")
    length = struct.unpack("<Q", raw[:8].tobytes())[0]
    head = {k: t for k, t in json.loads(raw[8:8 + length].tobytes()).items() if k != "__metadata__"}
    if any(t["dtype"] != "F32" for t in head.values()):
        raise SystemExit(f"{source}: not all of it is F32")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as z:
        with z.open("archive/data.pkl", "w") as f:
            Pickler(f, protocol=2).dump({k: Tensor(str(n), t["shape"]) for n, (k, t) in enumerate(head.items())})
        for n, t in enumerate(head.values()):
            info = zipfile.ZipInfo(f"archive/data/{n}")
            gap = -(z.fp.tell() + 30 + len(info.filename) + 4) % 64
            info.extra = struct.pack("<HH", 0x4246, gap) + b"Z" * gap
            with z.open(info, "w") as f:
                f.write(raw[8 + length + t["data_offsets"][0]:8 + length + t["data_offsets"][1]])
        z.writestr("archive/version", "3\n")


def first_frame(stream, n, model):
    """The median of some runs, and what -v said in it."""
    runs = []
    for _ in range(TIMES):
        said = []
        runs.append((run(stream, n, "-v", "--budget", "10f", "--segment", "0", model=model, said=said)["first"], said))
    runs.sort(key=lambda r: r[0])
    return runs[TIMES // 2]


def measure(stream, model, what, bounded):
    label = f"first frame after start, {what}"
    if done(label):
        return True
    if os.path.exists(model):
        subprocess.run(["cat", model], stdout=subprocess.DEVNULL, check=True)
    first, said = first_frame(stream, 3, model)
    print(f"{label}: {first:.2f} s (median of {TIMES})", flush=True)
    for at, line in said:
        print(f"  {at:6.2f} s  {line}")
    return row(label, f"{first:.2f} s", f"<= {MOST} s" if bounded else "", not bounded or first <= MOST)


def main():
    folder = sys.argv[1]
    stream, full, pth = f"{folder}/frames.e3", f"{folder}/full.safetensors", f"{folder}/full.pth"
    write(stream, list(np.random.default_rng(1).integers(0, 256, (3, 392, 518, 3), np.uint8)), 3)
    ok = measure(stream, "seed:full:1", "seeded", False)
    if len(sys.argv) > 2:
        full = sys.argv[2]
    else:
        subprocess.run(["e3-model", "seed", "--config", "full", "--seed", "1", "-o", full], check=True)
    ok &= measure(stream, full, "safetensors, f32", True)
    write_pth(full, pth)
    ok &= measure(stream, pth, "pth, f32", True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Writes a checkpoint as torch.save does, without torch: write_pth.py OUT CODE.

CODE is Python that sets `state` to what is saved, made of storage(values, dtype, extra=0) and tensor(storage, shape, stride, offset=0);
`load(path)` gives the tensors of a safetensors file as numpy arrays, `whole(array, dtype)` a tensor of one. dtype: Float, Double, Half,
BFloat16, Long. extra: bytes behind the storage's elements.
"""
import collections
import io
import json
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

NUMPY = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": "<u2", "Long": "<i8"}
torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
sys.modules.update({"torch": torch, "torch._utils": utils})
for dtype in NUMPY:
    setattr(torch, dtype + "Storage", type(dtype + "Storage", (), {"__module__": "torch"}))


def _rebuild_tensor_v2(*_):
    raise NotImplementedError


_rebuild_tensor_v2.__module__ = "torch._utils"
utils._rebuild_tensor_v2 = _rebuild_tensor_v2
storages = []


class Storage:
    def __init__(self, values, dtype, extra):
        v = np.ascontiguousarray(values)
        if dtype == "BFloat16": # rounded to nearest, ties to even
            u = v.astype("<f4").view("<u4").astype(np.uint64)
            v = ((u + 0x7fff + (u >> 16 & 1)) >> 16).astype("<u2")
        self.dtype, self.data, self.n, self.key = dtype, v.astype(NUMPY[dtype]).tobytes() + bytes(extra), v.size, str(len(storages))
        storages.append(self)


class Tensor:
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return utils._rebuild_tensor_v2, (*self.args, False, collections.OrderedDict())


def storage(values, dtype="Float", extra=0):
    return Storage(values, dtype, extra)


def tensor(s, shape, stride, offset=0):
    return Tensor(s, offset, tuple(shape), tuple(stride))


def whole(array, dtype="Float"):
    a = np.asarray(array)
    return tensor(storage(a, dtype), a.shape, [int(np.prod(a.shape[k + 1:])) for k in range(a.ndim)])


def load(path):
    b = open(path, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    header = json.loads(b[8:8 + n])
    header.pop("__metadata__", None)
    types_ = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}
    return {k: np.frombuffer(b[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]], types_[v["dtype"]]).reshape(v["shape"])
            for k, v in header.items()}


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return "storage", getattr(torch, obj.dtype + "Storage"), obj.key, "cpu", obj.n
        return None


def main():
    scope = {"np": np, "storage": storage, "tensor": tensor, "whole": whole, "load": load, "OrderedDict": collections.OrderedDict}
    exec(sys.argv[2], scope)
    out = io.BytesIO()
    Pickler(out, 2).dump(scope["state"])
    with zipfile.ZipFile(sys.argv[1], "w") as z:
        z.writestr("archive/data.pkl", out.getvalue())
        for s in storages:
            z.writestr("archive/data/" + s.key, s.data)
        z.writestr("archive/version", "3\n")


main()

#!/usr/bin/python3
"""Masks of a stream against those that numpy makes of the same pictures and the same ONNX model.

mask_check.py STREAM MODEL KEY=VALUE...
Keys: classes=NAME:INDEX,...; rule=argmax|threshold|labels; threshold; sigmoid=1; stretch=1; bgr=1; size=WxH of what the model takes;
mean, std (one number); side (longest of a mask). Pixels whose value is within 1e-5 of the limit may be either.
"""
import sys

import numpy as np
import onnx
from onnx import numpy_helper

from e3read import stream


# --- OpenCV's bilinear resize ---

def taps(n, to):
    at = (np.arange(to) + 0.5) * (n / to) - 0.5
    first = np.floor(at).astype(int)
    part = at - first
    part[first < 0], first[first < 0] = 0, 0
    part[first >= n - 1], first[first >= n - 1] = 0, n - 1
    return first, np.minimum(first + 1, n - 1), part


def resize_bytes(x, w, h):
    """In fixed point, with weights of 11 bits."""
    if x.shape[:2] == (h, w):
        return x
    (x0, x1, fx), (y0, y1, fy) = taps(x.shape[1], w), taps(x.shape[0], h)
    x = x.astype(np.int64).reshape(*x.shape[:2], -1)
    ax, ay = (np.stack([np.rint((1 - f) * 2048), np.rint(f * 2048)]).astype(np.int64) for f in (fx, fy))
    rows = x[:, x0] * ax[0][None, :, None] + x[:, x1] * ax[1][None, :, None]
    out = ((ay[0][:, None, None] * (rows[y0] >> 4)) >> 16) + ((ay[1][:, None, None] * (rows[y1] >> 4)) >> 16)
    return ((out + 2) >> 2).astype(np.uint8).squeeze()


def resize_reals(x, w, h):
    (x0, x1, fx), (y0, y1, fy) = taps(x.shape[-1], w), taps(x.shape[-2], h)
    x = x[..., x0] * (1 - fx) + x[..., x1] * fx
    return x[..., y0, :] * (1 - fy)[:, None] + x[..., y1, :] * fy[:, None]


# --- the operations of the models in tests/onnx_models.py ---

def conv(x, w, b, a):
    p, d = a.get("pads", [0] * 4)[0], a.get("dilations", [1])[0]
    n, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    h, width = x.shape[2] - d * (kh - 1), x.shape[3] - d * (kw - 1)
    out = np.zeros((1, n, h, width), np.float32) + b.reshape(1, n, 1, 1)
    for i in range(kh):
        for j in range(kw):
            out += np.einsum("oc,nchw->nohw", w[:, :, i, j], x[:, :, i * d:i * d + h, j * d:j * d + width])
    return out


def pool(x, k, how, fill):
    h, w = -(-x.shape[2] // k) * k, -(-x.shape[3] // k) * k
    x = np.pad(x, ((0, 0), (0, 0), (0, h - x.shape[2]), (0, w - x.shape[3])), constant_values=fill)
    return how(x.reshape(1, x.shape[1], h // k, k, w // k, k), axis=(3, 5))


def run(model, x, output):
    g = model.graph
    values = {w.name: numpy_helper.to_array(w) for w in g.initializer} | {g.input[0].name: x}
    for node in g.node:
        i = [values.get(name) for name in node.input]
        a = {at.name: onnx.helper.get_attribute_value(at) for at in node.attribute}
        op = node.op_type
        if op == "Conv":
            y = conv(i[0], i[1], i[2], a)
        elif op == "BatchNormalization":
            scale, bias, mean, var = (v.reshape(1, -1, 1, 1) for v in i[1:])
            y = (i[0] - mean) / np.sqrt(var + a["epsilon"]) * scale + bias
        elif op == "MaxPool":
            y = pool(i[0], 2, np.max, -np.inf)
        elif op == "AveragePool":
            y = pool(i[0], a["kernel_shape"][0], np.mean, 0)
        elif op == "Slice":
            axis = int(i[3][0]) if len(i) > 3 else 0
            y = i[0].take(range(int(i[1][0]), min(int(i[2][0]), i[0].shape[axis])), axis=axis)
        elif op == "Resize":
            y = resize_reals(i[0], int(i[3][3]), int(i[3][2]))
        else:
            y = {"Relu": lambda: np.maximum(i[0], 0), "Sigmoid": lambda: 1 / (1 + np.exp(-i[0])), "Add": lambda: i[0] + i[1],
                 "Concat": lambda: np.concatenate(i, axis=a["axis"]), "Shape": lambda: np.array(i[0].shape),
                 "Transpose": lambda: i[0].transpose(a["perm"]), "ArgMax": lambda: i[0].argmax(axis=a["axis"])}[op]()
        values[node.output[0]] = y.astype(np.float32) if y.dtype == np.float64 else y
    return values[output or g.output[0].name]


# --- masks ---

def expected(o, model, rgb):
    """For each class the mask, and where it may be either."""
    h, w = rgb.shape[:2]
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    last = shape[3] == 3
    iw, ih = o["size"] or (shape[2:0:-1] if last else shape[3:1:-1])
    x = resize_bytes(rgb, iw, ih)
    if o["bgr"]:
        x = x[:, :, ::-1]
    x = ((x.astype(np.float32) / np.float32(255) - o["mean"]) / o["std"]).astype(np.float32)
    y = run(model, x[None] if last else x.transpose(2, 0, 1)[None], None)
    y = y[0] if y.ndim < 4 else y[0].transpose(2, 0, 1) if last else y[0]
    y = y.reshape(-1, *y.shape[-2:])
    by = min(1, o["side"] / max(w, h)) if o["side"] else 1
    mw, mh = max(1, int(w * by + 0.5)), max(1, int(h * by + 0.5))
    for name, k in o["classes"]:
        limit = 0 if o["rule"] == "argmax" else 0.5 if o["rule"] == "labels" else o["threshold"]
        if o["rule"] == "argmax":
            others = np.delete(y, k, axis=0).max(axis=0)
            v = y[k] - others
            v[(y[:k] == y[k]).any(axis=0)] = -1e-30
        elif o["rule"] == "labels":
            v = (y[0] == k).astype(np.float64)
        else:
            v = 1 / (1 + np.exp(-y[k].astype(np.float64))) if o["sigmoid"] else y[k]
        if o["stretch"]:
            v = ((v - v.min()) / (v.max() - v.min()) * 255).astype(np.uint8) if v.max() > v.min() else np.zeros(v.shape, np.uint8)
            yield name, resize_bytes(v, mw, mh) >= limit, np.zeros((mh, mw), bool)
        else:
            v = resize_reals(v.astype(np.float64), mw, mh)
            yield name, v >= limit, abs(v - limit) < 1e-5


def main():
    o = {"classes": "sky:0", "rule": "threshold", "threshold": "0.5", "sigmoid": "", "stretch": "", "bgr": "", "size": "", "mean": "", "std": "",
         "side": "1024"} | dict(a.split("=") for a in sys.argv[3:])
    o["classes"] = [(c.split(":")[0], int(c.split(":")[1])) for c in o["classes"].split(",")]
    o["threshold"], o["side"] = float(o["threshold"]), int(o["side"])
    o["size"] = [int(v) for v in o["size"].split("x")] if o["size"] else None
    o["mean"] = np.full(3, float(o["mean"])) if o["mean"] else np.array([0.485, 0.456, 0.406])
    o["std"] = np.full(3, float(o["std"])) if o["std"] else np.array([0.229, 0.224, 0.225])
    model, want, frames, share = onnx.load(sys.argv[2]), [], 0, []
    for kind, m in stream(sys.argv[1]):
        if kind in ("frame", "pred"):
            assert not want, "masks are missing"
            want = [(m["i"], *e) for e in expected(o, model, m["rgb"])]
            frames += 1
        elif kind == "mask":
            i, name, mask, either = want.pop(0)
            assert (m["i"], m["class"]) == (i, name), (m["i"], m["class"], i, name)
            assert m["mask"].shape == mask.shape and set(np.unique(m["mask"])) <= {0, 255} and "fit" not in m, m["mask"].shape
            bad = ((m["mask"] == 255) != mask) & ~either
            assert not bad.any(), f"frame {i}: {name}: {bad.sum()} of {bad.size} pixels differ"
            assert either.mean() < 0.01, either.mean()
            share.append(mask.mean())
    assert frames and not want
    print(f"{frames} frames, of the class: " + " ".join(f"{s:.3f}" for s in share))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Small ONNX models for the tests of e3-mask, made with python3-onnx, and a U2-Net of the size of skyseg.onnx with random weights.

onnx_models.py FOLDER            the small ones
onnx_models.py --u2net FILE      the large one (44 million weights; 176 MB)
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

F = T.FLOAT


class Graph:
    """Nodes and weights of a model under construction."""

    def __init__(self, seed=1):
        self.nodes, self.weights, self.count, self.rng = [], [], 0, np.random.default_rng(seed)

    def weight(self, values, dtype=np.float32):
        self.count += 1
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), f"w{self.count}"))
        return f"w{self.count}"

    def add(self, op, *inputs, to=None, **attributes):
        self.count += 1
        to = to or str(self.count)
        self.nodes.append(helper.make_node(op, list(inputs), [to], **attributes))
        return to

    def save(self, path, inputs, outputs, opset=11):
        graph = helper.make_graph(self.nodes, "g", [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs],
                                  [helper.make_tensor_value_info(n, t, s) for n, t, s in outputs], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)
        onnx.save(model, path)


# --- U2-Net (Qin et al., 2020), as PyTorch exports it: sizes are taken from the tensors that are joined later ---

def conv(g, x, n_in, n_out, dilation=1, size=3):
    std = (2 / (n_in * size * size)) ** 0.5
    w = g.weight(g.rng.standard_normal((n_out, n_in, size, size), np.float32) * np.float32(std))
    pad = dilation * (size // 2)
    return g.add("Conv", x, w, g.weight(np.zeros(n_out)), dilations=[dilation] * 2, kernel_shape=[size] * 2, pads=[pad] * 4, strides=[1, 1])


def rebn(g, x, n_in, n_out, dilation=1):
    x = conv(g, x, n_in, n_out, dilation)
    one, zero = np.ones(n_out), np.zeros(n_out)
    return g.add("Relu", g.add("BatchNormalization", x, g.weight(one), g.weight(zero), g.weight(zero), g.weight(one), epsilon=1e-5))


def pool(g, x):
    return g.add("MaxPool", x, ceil_mode=1, kernel_shape=[2, 2], pads=[0] * 4, strides=[2, 2])


def upsample(g, x, like):
    """F.upsample(x, size=like.shape[2:], mode='bilinear')."""
    part = [g.weight([2], np.int64), g.weight([4], np.int64), g.weight([0], np.int64)]
    size = g.add("Slice", g.add("Shape", like), part[0], part[1], part[2])
    first = g.add("Slice", g.add("Shape", x), part[2], part[0], part[2])
    to = g.add("Concat", first, size, axis=0)
    empty = g.weight([])
    return g.add("Resize", x, empty, empty, to, coordinate_transformation_mode="pytorch_half_pixel", cubic_coeff_a=-0.75, mode="linear",
                 nearest_mode="floor")


def rsu(g, x, n_in, mid, out, height):
    x = rebn(g, x, n_in, out)
    down, at = [], x
    for k in range(height - 1):
        at = rebn(g, pool(g, at) if k else at, mid if k else out, mid)
        down.append(at)
    up = rebn(g, at, mid, mid, 2)
    for k in reversed(range(height - 1)):
        up = rebn(g, g.add("Concat", up, down[k], axis=1), 2 * mid, mid if k else out)
        if k:
            up = upsample(g, up, down[k - 1])
    return g.add("Add", up, x)


def rsu4f(g, x, n_in, mid, out):
    x = rebn(g, x, n_in, out)
    down = [rebn(g, x, out, mid)]
    for d in (2, 4):
        down.append(rebn(g, down[-1], mid, mid, d))
    up = rebn(g, down[2], mid, mid, 8)
    for k, d in ((2, 4), (1, 2), (0, 1)):
        up = rebn(g, g.add("Concat", up, down[k], axis=1), 2 * mid, mid if k else out, d)
    return g.add("Add", up, x)


def u2net(path, side=320, scale=1, seed=1):
    """scale divides the channels."""
    g = Graph(seed)
    n = lambda c: max(1, c // scale)
    encoders = [(3, 32, 64, 7), (64, 32, 128, 6), (128, 64, 256, 5), (256, 128, 512, 4), (512, 256, 512, 0), (512, 256, 512, 0)]
    decoders = [(1024, 256, 512, 0), (1024, 128, 256, 4), (512, 64, 128, 5), (256, 32, 64, 6), (128, 16, 64, 7)]

    def block(x, spec, n_in):
        return rsu(g, x, n_in, n(spec[1]), n(spec[2]), spec[3]) if spec[3] else rsu4f(g, x, n_in, n(spec[1]), n(spec[2]))

    levels, x, channels = [], "input.1", 3
    for spec in encoders:
        x = block(pool(g, x) if levels else x, spec, channels)
        levels.append(x)
        channels = n(spec[2])
    sides = [(levels[-1], channels)]
    for spec, like in zip(decoders, reversed(levels[:-1])):
        like_n = n(encoders[levels.index(like)][2])
        x = block(g.add("Concat", upsample(g, x, like), like, axis=1), spec, channels + like_n)
        channels = n(spec[2])
        sides.append((x, channels))
    maps = [conv(g, at, c, 1) for at, c in reversed(sides)]
    maps = maps[:1] + [upsample(g, m, maps[0]) for m in maps[1:]]
    fused = conv(g, g.add("Concat", *maps, axis=1), 6, 1, size=1)
    names = [str(1959 + k) for k in range(7)]
    for m, name in zip([fused] + maps, names):
        g.add("Sigmoid", m, to=name)
    shape = [1, 1, side, side]
    g.save(path, [("input.1", F, [1, 3, side, side])], [(name, F, shape) for name in names])


# --- models whose masks numpy computes too (tests/mask_check.py) ---

def linear(g, x, weights, bias):
    w = np.asarray(weights, np.float32)
    return g.add("Conv", x, g.weight(w.reshape(*w.shape, 1, 1)), g.weight(bias), kernel_shape=[1, 1])


def small(folder):
    # As skyseg.onnx: seven outputs, of which the first counts: sigmoid(3 (blue - red - 1)).
    g = Graph()
    x = linear(g, "input.1", [[-3, 0, 3], [5, 5, 5]], [-3, 0])
    halves = [g.add("Slice", x, g.weight([k], np.int64), g.weight([k + 1], np.int64), g.weight([1], np.int64)) for k in (0, 1)]
    names = [str(1959 + k) for k in range(7)]
    g.add("Sigmoid", halves[0], to=names[0])
    for name in names[1:]:
        g.add("Sigmoid", halves[1], to=name)
    g.save(f"{folder}/sky.onnx", [("input.1", F, [1, 3, 320, 320])], [(n, F, [1, 1, 320, 320]) for n in names])
    # Three classes, the highest of red, green, blue; any size.
    g = Graph()
    linear(g, "image", np.eye(3), [0, 0, 0.001])
    g.nodes[-1].output[0] = "scores"
    g.save(f"{folder}/rgb.onnx", [("image", F, [1, 3, None, None])], [("scores", F, [1, 3, None, None])])
    # The same with the channels last, and as labels.
    g = Graph()
    y = linear(g, g.add("Transpose", "image", perm=[0, 3, 1, 2]), np.eye(3), [0, 0, 0.001])
    g.add("Transpose", y, perm=[0, 2, 3, 1], to="scores")
    g.save(f"{folder}/last.onnx", [("image", F, [1, 24, 32, 3])], [("scores", F, [1, 24, 32, 3])])
    g = Graph()
    y = linear(g, "image", np.eye(3), [0, 0, 0.001])
    g.add("ArgMax", y, axis=1, keepdims=0, to="labels")
    g.save(f"{folder}/labels.onnx", [("image", F, [1, 3, 24, 32])], [("labels", T.INT64, [1, 24, 32])])
    # One channel of logits, at a quarter of the size, of a model that takes blue, green, red as 0..1.
    g = Graph()
    y = linear(g, "image", [[8, 0, -8]], [0])
    g.add("AveragePool", y, kernel_shape=[4, 4], strides=[4, 4], to="logits")
    g.save(f"{folder}/logits.onnx", [("image", F, [1, 3, 64, 64])], [("logits", F, [1, 1, 16, 16])])
    # What is refused.
    g = Graph()
    g.add("Add", "a", "b", to="sum")
    g.save(f"{folder}/two.onnx", [("a", F, [1, 3, 8, 8]), ("b", F, [1, 3, 8, 8])], [("sum", F, [1, 3, 8, 8])])
    g = Graph()
    g.add("Relu", "image", to="out")
    g.save(f"{folder}/gray.onnx", [("image", F, [1, 1, 8, 8])], [("out", F, [1, 1, 8, 8])])
    g = Graph()
    g.add("NoSuchOperation", "image", to="out")
    g.save(f"{folder}/unknown.onnx", [("image", F, [1, 3, 8, 8])], [("out", F, [1, 3, 8, 8])])
    u2net(f"{folder}/u2.onnx", side=72, scale=16)


if __name__ == "__main__":
    if sys.argv[1] == "--u2net":
        u2net(sys.argv[2])
    else:
        small(sys.argv[1])

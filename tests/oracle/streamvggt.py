#!/usr/bin/python3
"""StreamVGGT and Evict3R's eviction in float64, written from doc/network.md alone: the second opinion tests/test_model_session.c
compares the C network with. Needs torch; not run by the tests, which read the numbers it wrote.

  streamvggt.py check FILE   this program against the reference: tests/data/golden/tiny.golden.safetensors
  streamvggt.py write FILE   tests/data/model/custom.safetensors: networks of other dimensions (CUSTOM below)

Weights are seeded (doc/design.md 6); names and shapes are those of doc/network.md 1. Pictures are a formula (picture()).
"""
import json
import math
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

D = torch.float64
TINY = dict(embed=128, patch=14, registers=4, vit_registers=4, vit_depth=2, vit_heads=2, vit_hidden=512, pos_grid=5, layers=4,
            head_dim=64, hidden=512, camera_depth=2, camera_heads=4, camera_hidden=1024, camera_mlp=128, dpt_layers=(0, 1, 2, 3),
            depth=dict(features=32, oc=(32, 64, 128, 128), hidden=32, up=(4, 2)),
            point=dict(features=32, oc=(32, 64, 128, 128), hidden=32, up=(4, 2)), qk_norm=True, bf16=False, seed=7)
CUSTOM = {
    # Three heads of 32, a wide grid of one odd and one even side, bf16 angles, MLPs that are not four times as wide.
    "wide": dict(embed=96, patch=14, registers=2, vit_registers=3, vit_depth=1, vit_heads=4, vit_hidden=200, pos_grid=4, layers=5,
                 head_dim=32, hidden=300, camera_depth=3, camera_heads=6, camera_hidden=440, camera_mlp=50, dpt_layers=(0, 1, 3, 4),
                 depth=dict(features=24, oc=(16, 24, 36, 20), hidden=12, up=(4, 2)),
                 point=dict(features=16, oc=(12, 32, 20, 28), hidden=7, up=(4, 2)), qk_norm=True, bf16=True, seed=11,
                 size=(42, 84), frames=6, P=0.4, temp=0.015),
    # Heads of 48, patches of 8, a tall grid smaller than the embedding's, other strides in the two dense heads.
    "tall": dict(embed=144, patch=8, registers=3, vit_registers=1, vit_depth=2, vit_heads=2, vit_hidden=576, pos_grid=6, layers=6,
                 head_dim=48, hidden=432, camera_depth=1, camera_heads=3, camera_hidden=300, camera_mlp=144, dpt_layers=(1, 2, 4, 5),
                 depth=dict(features=32, oc=(24, 20, 16, 40), hidden=32, up=(3, 2)),
                 point=dict(features=40, oc=(8, 16, 24, 32), hidden=20, up=(2, 5)), qk_norm=True, bf16=False, seed=12,
                 size=(56, 24), frames=6, P=0.4, temp=0.02),
    # No registers, no norm of queries and keys, no point head, heads of 12, one row of patches, one DPT level of one row.
    "bare": dict(embed=36, patch=4, registers=0, vit_registers=0, vit_depth=1, vit_heads=3, vit_hidden=36, pos_grid=2, layers=4,
                 head_dim=12, hidden=72, camera_depth=1, camera_heads=2, camera_hidden=36, camera_mlp=9, dpt_layers=(0, 1, 2, 3),
                 depth=dict(features=8, oc=(4, 8, 4, 8), hidden=3, up=(1, 3)), qk_norm=False, bf16=False, seed=13,
                 size=(4, 44), frames=6, P=0.4, temp=0.05),
}


# ---- names, shapes, seeded values (doc/network.md 1, doc/design.md 6) ----

def shapes(c):
    C, E, out = c["embed"], 2 * c["embed"], {}

    def norm(name, n):
        out[name + ".weight"] = out[name + ".bias"] = (n,)

    def linear(name, *shape):
        out[name + ".weight"], out[name + ".bias"] = shape, shape[:1]

    def block(name, width, hidden, head_dim=0):
        norm(name + ".norm1", width), norm(name + ".norm2", width)
        linear(name + ".attn.qkv", 3 * width, width), linear(name + ".attn.proj", width, width)
        if head_dim:
            norm(name + ".attn.q_norm", head_dim), norm(name + ".attn.k_norm", head_dim)
        out[name + ".ls1.gamma"] = out[name + ".ls2.gamma"] = (width,)
        linear(name + ".mlp.fc1", hidden, width), linear(name + ".mlp.fc2", width, hidden)

    out["aggregator.camera_token"] = (1, 2, 1, C)
    out["aggregator.register_token"] = (1, 2, c["registers"], C)
    V = "aggregator.patch_embed."
    out[V + "cls_token"] = (1, 1, C)
    if c["vit_registers"]:
        out[V + "register_tokens"] = (1, c["vit_registers"], C)
    out[V + "pos_embed"] = (1, 1 + c["pos_grid"] ** 2, C)
    linear(V + "patch_embed.proj", C, 3, c["patch"], c["patch"])
    norm(V + "norm", C)
    for k in range(c["vit_depth"]):
        block(f"{V}blocks.{k}", C, c["vit_hidden"])
    for k in range(c["layers"]):
        for family in "frame", "global":
            block(f"aggregator.{family}_blocks.{k}", C, c["hidden"], c["head_dim"] if c["qk_norm"] else 0)
    H = "camera_head."
    out[H + "empty_pose_tokens"] = (1, 1, 9)
    linear(H + "embed_pose", E, 9), linear(H + "poseLN_modulation.1", 3 * E, E)
    norm(H + "token_norm", E), norm(H + "trunk_norm", E)
    linear(H + "pose_branch.fc1", c["camera_mlp"], E), linear(H + "pose_branch.fc2", 9, c["camera_mlp"])
    for k in range(c["camera_depth"]):
        block(f"{H}trunk.{k}", E, c["camera_hidden"])
    for head, channels in ("depth", 2), ("point", 4):
        if head not in c:
            continue
        d, p = c[head], head + "_head."
        f, oc = d["features"], d["oc"]
        norm(p + "norm", E)
        for k in range(4):
            linear(f"{p}projects.{k}", oc[k], E, 1, 1)
            out[f"{p}scratch.layer{k + 1}_rn.weight"] = (f, oc[k], 3, 3)
            linear(f"{p}scratch.refinenet{k + 1}.out_conv", f, f, 1, 1)
            for unit in (1, 2) if k < 3 else (2,):
                for conv in 1, 2:
                    linear(f"{p}scratch.refinenet{k + 1}.resConfUnit{unit}.conv{conv}", f, f, 3, 3)
        for k in 0, 1:
            linear(f"{p}resize_layers.{k}", oc[k], oc[k], d["up"][k], d["up"][k])
        linear(p + "resize_layers.3", oc[3], oc[3], 3, 3)
        linear(p + "scratch.output_conv1", f // 2, f, 3, 3)
        linear(p + "scratch.output_conv2.0", d["hidden"], f // 2, 3, 3)
        linear(p + "scratch.output_conv2.2", channels, d["hidden"], 1, 1)
    return out


def seeded(name, shape, seed):
    mask, golden = (1 << 64) - 1, 0x9E3779B97F4A7C15
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 & mask
    h = (h + seed * golden) & mask
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(golden)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    u = ((z ^ z >> np.uint64(31)) >> np.uint64(40)).astype(np.float64) * 2.0 ** -24
    if name.endswith(".gamma"):
        base, scale = 0.2, 0.1
    elif name.endswith(("q_norm.weight", "k_norm.weight")):
        base, scale = 1.5, 0.5
    elif name.endswith(".weight") and len(shape) == 1:
        base, scale = 1.0, 0.2
    elif name.endswith(".bias"):
        base, scale = 0.0, 0.05
    elif name.endswith(".weight"):
        transposed = name.endswith(("resize_layers.0.weight", "resize_layers.1.weight"))
        base, scale = 0.0, math.sqrt(3 / (shape[0] if transposed else math.prod(shape[1:])))
    else:
        base, scale = 0.0, 0.5
    return torch.from_numpy((base + scale * (2 * u - 1)).astype(np.float32).astype(np.float64).reshape(shape))


def picture(i, h, w):
    """u8 [h,w,3]: slanted waves that move with the frame."""
    y, x, c = np.meshgrid(np.arange(h), np.arange(w), np.arange(3), indexing="ij")
    return ((x * (7 + c) + y * (5 + i) + x * y * (1 + c) // 8 + 40 * i) % 256).astype(np.uint8)


# ---- parts ----

class Net:
    def __init__(self, c, h, w):
        self.c, self.h, self.w = c, h, w
        self.gh, self.gw = h // c["patch"], w // c["patch"]
        self.t = {name: seeded(name, shape, c["seed"]) for name, shape in shapes(c).items()}
        self.special = 1 + c["registers"]
        self.N = self.special + self.gh * self.gw
        self.rope = self.rope_table()
        self.position = self.position_table()

    def lin(self, name, x):
        return F.linear(x, self.t[name + ".weight"].flatten(1), self.t[name + ".bias"])

    def ln(self, name, x, eps):
        return F.layer_norm(x, x.shape[-1:], self.t[name + ".weight"], self.t[name + ".bias"], eps)

    def conv(self, name, x, **how):
        return F.conv2d(x[None], self.t[name + ".weight"], self.t.get(name + ".bias"), **how)[0]

    def rope_table(self):
        """cos, sin [N, head_dim]: the angle of every channel, y half first (5.3)."""
        quarter = self.c["head_dim"] // 4
        f = torch.tensor([100.0 ** (-k / quarter) for k in range(quarter)], dtype=D)
        at = torch.zeros(self.N, 2, dtype=D)
        n = torch.arange(self.gh * self.gw)
        at[self.special:, 0], at[self.special:, 1] = n // self.gw + 1, n % self.gw + 1
        if self.c["bf16"]:
            f = f.float().bfloat16().to(D)
        angle = torch.cat([at[:, :1] * f, at[:, :1] * f, at[:, 1:] * f, at[:, 1:] * f], 1)
        if self.c["bf16"]:
            angle = angle.float().bfloat16().to(D)
        return angle.cos(), angle.sin()

    def rotate(self, u):
        a, b, c, d = u.chunk(4, -1)
        return u * self.rope[0] + torch.cat([-b, a, -d, c], -1) * self.rope[1]

    def position_table(self):
        m, pos = self.c["pos_grid"], self.t["aggregator.patch_embed.pos_embed"][0]
        grid = pos[1:].reshape(m, m, -1)
        grid = torch.einsum("ym,xn,mnc->yxc", cubic_weights(m, self.gh), cubic_weights(m, self.gw), grid)
        return pos[0], grid.reshape(self.gh * self.gw, -1)

    def block(self, name, x, heads, eps, rope=False, cache=None):
        """x [rows, width]; cache: list of (k, v) [heads, keys, d] to append to and to look at. Returns x and the mass."""
        rows, width = x.shape
        d = width // heads
        q, k, v = self.lin(name + ".attn.qkv", self.ln(name + ".norm1", x, eps)).reshape(rows, 3, heads, d).permute(1, 2, 0, 3)
        if name + ".attn.q_norm.weight" in self.t:
            q, k = self.ln(name + ".attn.q_norm", q, eps), self.ln(name + ".attn.k_norm", k, eps)
        if rope:
            q, k = self.rotate(q), self.rotate(k)
        if cache is not None:
            cache["k"], cache["v"] = torch.cat([cache["k"], k], 1), torch.cat([cache["v"], v], 1)
            k, v = cache["k"], cache["v"]
        p = (q @ k.transpose(1, 2) / math.sqrt(d)).softmax(-1)
        y = (p @ v).transpose(0, 1).reshape(rows, width)
        x = x + self.t[name + ".ls1.gamma"] * self.lin(name + ".attn.proj", y)
        hidden = F.gelu(self.lin(name + ".mlp.fc1", self.ln(name + ".norm2", x, eps)))
        return x + self.t[name + ".ls2.gamma"] * self.lin(name + ".mlp.fc2", hidden), p.mean(0).sum(0)

    def patches(self, rgb):
        c, V = self.c, "aggregator.patch_embed."
        x = torch.from_numpy(rgb.astype(np.float64)).permute(2, 0, 1) / 255
        mean, std = torch.tensor([0.485, 0.456, 0.406], dtype=D), torch.tensor([0.229, 0.224, 0.225], dtype=D)
        x = (x - mean[:, None, None]) / std[:, None, None]
        x = self.conv(V + "patch_embed.proj", x, stride=c["patch"]).flatten(1).T
        first, grid = self.position
        x = torch.cat([self.t[V + "cls_token"][0] + first, self.t.get(V + "register_tokens", x[None, :0])[0], x + grid])
        for k in range(c["vit_depth"]):
            x, _ = self.block(f"{V}blocks.{k}", x, c["vit_heads"], 1e-6)
        return self.ln(V + "norm", x, 1e-6)[-self.gh * self.gw:]

    def aggregate(self, rgb, first, caches):
        c, slot = self.c, 0 if first else 1
        heads = c["embed"] // c["head_dim"]
        x = torch.cat([self.t["aggregator.camera_token"][0, slot], self.t["aggregator.register_token"][0, slot], self.patches(rgb)])
        pairs, masses = [], []
        for k in range(c["layers"]):
            x, _ = self.block(f"aggregator.frame_blocks.{k}", x, heads, 1e-5, True)
            frame = x
            x, mass = self.block(f"aggregator.global_blocks.{k}", x, heads, 1e-5, True, caches[k])
            pairs.append(torch.cat([frame, x], 1))
            masses.append(mass)
        return pairs, masses

    def camera(self, token, caches, shared):
        H, c, e = "camera_head.", self.c, None
        p = self.ln(H + "token_norm", token[None], 1e-5)
        for it in range(4):
            m = self.lin(H + "embed_pose", self.t[H + "empty_pose_tokens"][0] if e is None else e)
            a, b, g = self.lin(H + "poseLN_modulation.1", F.silu(m)).chunk(3, -1)
            x = p + g * (F.layer_norm(p, p.shape[-1:], eps=1e-6) * (1 + b) + a)
            for k in range(c["camera_depth"]):
                x, _ = self.block(f"{H}trunk.{k}", x, c["camera_heads"], 1e-5, cache=caches[0 if shared else it][k])
            d = self.lin(H + "pose_branch.fc2", F.gelu(self.lin(H + "pose_branch.fc1", self.ln(H + "trunk_norm", x, 1e-5))))
            e = d if e is None else e + d
        return torch.cat([e[0, :7], e[0, 7:].relu()])

    def uv(self, channels, h, w):
        aspect, q = self.w / self.h, channels // 4
        span = math.hypot(aspect, 1)
        f = torch.tensor([100.0 ** (-k / q) for k in range(q)], dtype=D)
        u = torch.linspace(-1, 1, w, dtype=D) * (aspect / span * (w - 1) / w) if w > 1 else torch.zeros(1, dtype=D)
        v = torch.linspace(-1, 1, h, dtype=D) * (1 / span * (h - 1) / h) if h > 1 else torch.zeros(1, dtype=D)
        u, v = f[:, None, None] * u, f[:, None, None] * v[:, None]
        return 0.1 * torch.cat([t.expand(q, h, w) for t in (u.sin(), u.cos(), v.sin(), v.cos())])

    def dpt(self, head, pairs):
        c, p, up, S = self.c[head], head + "_head.", self.c[head]["up"], head + "_head.scratch."
        r = []
        for k, layer in enumerate(self.c["dpt_layers"]):
            x = self.ln(p + "norm", pairs[layer][self.special:], 1e-5).T.reshape(-1, self.gh, self.gw)
            x = self.conv(f"{p}projects.{k}", x)
            x = x + self.uv(x.shape[0], self.gh, self.gw)
            if k < 2:
                x = F.conv_transpose2d(x[None], self.t[f"{p}resize_layers.{k}.weight"], self.t[f"{p}resize_layers.{k}.bias"], stride=up[k])[0]
            elif k == 3:
                x = self.conv(p + "resize_layers.3", x, stride=2, padding=1)
            r.append(self.conv(f"{S}layer{k + 1}_rn", x, padding=1))

        def rcu(name, x):
            z = x.relu()
            return z + self.conv(f"{S}{name}.conv2", self.conv(f"{S}{name}.conv1", z, padding=1).relu(), padding=1)

        def enlarge(x, size):
            return F.interpolate(x[None], size=tuple(size), mode="bilinear", align_corners=True)[0]

        y = None
        for k in 4, 3, 2, 1:
            x = r[k - 1] if y is None else y + rcu(f"refinenet{k}.resConfUnit1", r[k - 1])
            size = r[k - 2].shape[1:] if k > 1 else [2 * n for n in r[0].shape[1:]]
            y = self.conv(f"{S}refinenet{k}.out_conv", enlarge(rcu(f"refinenet{k}.resConfUnit2", x), size))
        z = enlarge(self.conv(S + "output_conv1", y, padding=1), (self.h, self.w))
        z = z + self.uv(z.shape[0], self.h, self.w)
        z = self.conv(S + "output_conv2.2", self.conv(S + "output_conv2.0", z, padding=1).relu())
        value = z[:-1].exp() if head == "depth" else z[:-1].sign() * z[:-1].abs().expm1()
        return value.permute(1, 2, 0), 1 + z[-1].exp()


def cubic_weights(nin, nout):
    """Antialiased bicubic, a = -0.5 (3.2, 4.1): [nout, nin]."""
    def kernel(t, a=-0.5):
        t = abs(t)
        return ((a + 2) * t - (a + 3)) * t * t + 1 if t < 1 else a * (((t - 5) * t + 8) * t - 4) if t < 2 else 0.0
    out, scale = torch.zeros(nout, nin, dtype=D), nin / nout
    fs = max(scale, 1.0)
    for o in range(nout):
        centre = (o + 0.5) * scale
        lo, hi = max(0, int(centre - 2 * fs + 0.5)), min(nin, int(centre + 2 * fs + 0.5))
        for j in range(lo, hi):
            out[o, j] = kernel((j - centre + 0.5) / fs)
        out[o] /= out[o].sum()
    return out


# ---- eviction (9; defaults doc/design.md 4) ----

class Evictor:
    """starve: the rules of doc/network.md 9.2 to the letter, sums in f64. Otherwise protected tokens never leave: a layer's share is
    at least what is protected, and what that takes comes from the other layers in proportion."""

    def __init__(self, net, frames, P, temp, starve):
        self.net, self.n, self.temp, self.starve = net, frames, temp, starve
        self.total = frames * net.c["layers"] * net.N * P
        L = net.c["layers"]
        self.ids, self.cum, self.seen = ([torch.zeros(0, dtype=D) for _ in range(L)] for _ in range(3))
        # Special tokens of the newest frames, as many frames as the average layer has room for beside frame 0.
        self.newest = max(1, math.floor((self.total / L - net.N) / net.special))
        self.margin = math.inf

    def protected(self, ids, i):
        frame, special = ids // self.net.N, ids % self.net.N < self.net.special
        return (frame == 0) | (special if self.starve else special & (frame + self.newest > i))

    def budgets(self, alpha, floors):
        """total * alpha, but at least floors: layers below theirs are held there, the rest scaled down."""
        held = torch.zeros(len(alpha), dtype=torch.bool)
        while True:
            rest = alpha * (self.total - floors[held].sum()) / alpha[~held].sum()
            b = torch.where(held, floors, rest)
            if self.starve or not (b < floors)[~held].any():
                return b
            held |= b < floors

    def step(self, i, caches, masses):
        N, L = self.net.N, self.net.c["layers"]
        for l in range(L):
            fresh = torch.arange(i * N, (i + 1) * N, dtype=D)
            self.ids[l] = torch.cat([self.ids[l], fresh])
            self.cum[l] = torch.cat([self.cum[l], torch.zeros(N, dtype=D)])
            self.seen[l] = torch.cat([self.seen[l], torch.zeros(N, dtype=D)])
        removed = [[] for _ in range(L)]
        if i == self.n - 1 and i > 0:
            return removed, None
        if i == 0:
            for l in range(L):
                self.cum[l][:], self.seen[l][:] = math.inf, 1
            return removed, None
        variance = torch.stack([m.var(unbiased=False) for m in masses])
        alpha = (-variance / self.temp).softmax(0)
        B = self.budgets(alpha, torch.tensor([float(self.protected(ids, i).sum()) for ids in self.ids], dtype=D))
        for l in range(L):
            K = len(self.ids[l])
            self.cum[l] = self.cum[l] + masses[l] * K
            self.seen[l] = self.seen[l] + 1
            prot = self.protected(self.ids[l], i)
            score = torch.where(prot, torch.tensor(math.inf, dtype=D), self.cum[l] / (self.seen[l] + 1e-6))
            gone = int(N * (i + 1) - B[l]) - (N * (i + 1) - K) if self.starve else min(K - math.ceil(B[l]), int((~prot).sum()))
            off = abs(float(B[l]) - round(float(B[l]))) # almost an integer: an f32 run may keep one token more or less
            self.margin = min(self.margin, off or math.inf)
            if gone <= 0:
                continue
            order = sorted(range(K), key=lambda k: (float(score[k]), float(self.ids[l][k])))
            if gone < K and math.isfinite(score[order[gone - 1]]):
                self.margin = min(self.margin, float(score[order[gone]] / score[order[gone - 1]] - 1))
            stay = torch.tensor(sorted(order[gone:]), dtype=torch.long)
            removed[l] = sorted(int(self.ids[l][k]) for k in order[:gone])
            for a in self.ids, self.cum, self.seen:
                a[l] = a[l][stay]
            caches[l]["k"], caches[l]["v"] = caches[l]["k"][:, stay], caches[l]["v"][:, stay]
        return removed, (variance, alpha, B)


def empty(n, heads, d):
    return [dict(k=torch.zeros(heads, 0, d, dtype=D), v=torch.zeros(heads, 0, d, dtype=D)) for _ in range(n)]


def run(net, images, P=None, temp=0.5, starve=False):
    """Yields a dictionary for every frame: dense outputs, both poses, masses, what left."""
    c = net.c
    caches = empty(c["layers"], c["embed"] // c["head_dim"], c["head_dim"])
    cams = [empty(c["camera_depth"], c["camera_heads"], 2 * c["embed"] // c["camera_heads"]) for _ in range(5)]
    evictor = Evictor(net, len(images), P, temp, starve) if P else None
    for i, rgb in enumerate(images):
        pairs, masses = net.aggregate(rgb, i == 0, caches)
        out = dict(masses=masses, removed=None)
        if evictor:
            out["removed"], out["shares"] = evictor.step(i, caches, masses)
        out["pose"] = net.camera(pairs[-1][0], cams[:1], True)
        out["pose_periter"] = net.camera(pairs[-1][0], cams[1:], False)
        out["depth"], out["dconf"] = net.dpt("depth", pairs)
        if "point" in c:
            out["pts"], out["pconf"] = net.dpt("point", pairs)
        yield out
    if evictor:
        print(f"  smallest margin between what left and what stayed: {evictor.margin:.1e}")


# ---- files ----

TYPES = {"F32": "<f4", "I32": "<i4", "U8": "u1"}


def read(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, t in json.loads(raw[8:8 + n]).items():
        if name != "__metadata__":
            a, b = (8 + n + x for x in t["data_offsets"])
            out[name] = np.frombuffer(raw[a:b], TYPES[t["dtype"]]).reshape(t["shape"])
    return out


def write(path, arrays):
    header, data = {}, b""
    for name, a in arrays.items():
        dtype, a = ("I32", a.astype("<i4")) if a.dtype.kind == "i" else ("F32", a.astype("<f4"))
        header[name] = dict(dtype=dtype, shape=list(a.shape), data_offsets=[len(data), len(data) + a.nbytes])
        data += a.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def check(path):
    golden, worst = read(path), 0.0
    images = [golden[f"image.{i}"].transpose(1, 2, 0) for i in range(8)]
    net = Net(TINY, *images[0].shape[:2])
    for name, P, temp in ("off", None, 0), ("p30", 0.3, 0.5), ("p50", 0.5, 0.1):
        ids = [np.zeros(0, int)] * TINY["layers"]
        for i, out in enumerate(run(net, images, P, temp, starve=True)):
            for what in "pose", "pose_periter", "depth", "dconf", "pts", "pconf":
                want = golden[f"{name}.{what}.{i}"]
                worst = max(worst, np.linalg.norm(out[what].numpy().reshape(want.shape) - want) / np.linalg.norm(want))
            for l in range(TINY["layers"]):
                if f"{name}.colsum.{i}.{l}" in golden:
                    want = golden[f"{name}.colsum.{i}.{l}"]
                    worst = max(worst, np.linalg.norm(out["masses"][l].numpy() - want) / np.linalg.norm(want))
                ids[l] = np.append(ids[l], np.arange(i * net.N, (i + 1) * net.N))
                keep = ~np.isin(ids[l], out["removed"][l] if P else [])
                if f"{name}.keep.{i}.{l}" in golden:
                    assert np.array_equal(np.flatnonzero(keep), golden[f"{name}.keep.{i}.{l}"]), (name, i, l)
                ids[l] = ids[l][keep]
        print(f"{name}: kept sets equal, worst relative L2 so far {worst:.1e}")
    assert worst < 1e-6, worst


def write_custom(path):
    arrays = {}
    for name, c in CUSTOM.items():
        h, w = c["size"]
        net = Net(c, h, w)
        images = [picture(i, h, w) for i in range(c["frames"])]
        print(f"{name}: {sum(t.numel() for t in net.t.values())} parameters in {len(net.t)} tensors, {net.N} tokens per frame")
        for mode, P, starve in ("off", None, False), ("default", c["P"], False), ("starve", c["P"], True):
            for i, out in enumerate(run(net, images, P, c["temp"], starve)):
                if mode == "off" and i not in (0, 1, c["frames"] - 1):
                    continue
                key = f"{name}.{mode}.{i}."
                arrays[key + "pose"] = torch.stack([out["pose"], out["pose_periter"]]).numpy()
                # Some 17 pixels of the dense channels, and the root mean square of each over all pixels.
                dense = torch.cat([out[k].reshape(h * w, -1) for k in ("depth", "dconf", "pts", "pconf") if k in out], 1)
                if mode != "starve":
                    arrays[key + "dense"] = dense[::h * w // 17 | 1].numpy()
                arrays[key + "rms"] = dense.square().mean(0).sqrt().numpy()
                if out["removed"] and any(out["removed"]):
                    arrays[key + "removed"] = np.array([n for ids in out["removed"] for n in [len(ids)] + ids])
                    arrays[key + "shares"] = torch.stack(out["shares"]).numpy()
    write(path, arrays)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    {"check": check, "write": write_custom}[sys.argv[1]](sys.argv[2])

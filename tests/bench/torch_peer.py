#!/usr/bin/python3
"""What PyTorch makes of e3's network on the same GPU: StreamVGGT's network transcribed from doc/network.md, frame by frame over a cache
that grows. It is not the authors' code, which is not here; it shows how fast plain PyTorch is with the same products. Needs torch.

  torch_peer.py FRAMES [--evict FRAMES] [--published] [--size 518x392]   frames/s and device memory
  torch_peer.py e3 FRAMES   the same of e3-infer, on the same pictures
  torch_peer.py check       the transcription against tests/data/golden/tiny.golden.safetensors, in f32, with and without eviction

Everything is bf16 (weights, residual stream, heads), attention is scaled_dot_product_attention, keys are cached after norm and rotation,
and the cache grows by torch.cat: each of these is as fast as or faster than the published program. With --published it does what that
does where it is slower (doc/network.md 5.4, 11): f32 weights under autocast, heads in f32 (convolutions in TF32), keys cached before
norm and rotation, which are done again for the whole cache in every frame.
--evict N: Evict3R's rule with a budget of N frames, by what it needs: probabilities in memory, summed for every key, masks that compact
the cache. In the global blocks; with --published in all blocks of the ViT and the aggregator, as there.
Weights are noise. Pictures go to the device one by one; results stay there. cuDNN's benchmark mode is off, as there: it searches anew for
every length of the cache.
"""
import argparse
import contextlib
import math
import os
import sys
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(here, "..", "oracle"), os.path.join(here, "..", "gpu")]
from streamvggt import TINY, cubic_weights, read, seeded, shapes  # noqa: E402
from table import done, row  # noqa: E402

DENSE = dict(features=256, oc=(256, 512, 1024, 1024), hidden=32, up=(4, 2))
FULL = dict(embed=1024, patch=14, registers=4, vit_registers=4, vit_depth=24, vit_heads=16, vit_hidden=4096, pos_grid=37, layers=24,
            head_dim=64, hidden=4096, camera_depth=4, camera_heads=16, camera_hidden=8192, camera_mlp=1024, dpt_layers=(4, 11, 17, 23),
            depth=DENSE, point=DENSE, qk_norm=True, bf16=True, seed=1)


class Peer:
    """c: the configuration. make(name, shape): a tensor of weights. budget: tokens in all layers, or None."""

    def __init__(self, c, h, w, make, published=False, budget=None, temp=0.5):
        self.c, self.h, self.w, self.published, self.budget, self.temp = c, h, w, published, budget, temp
        self.gh, self.gw, self.special = h // c["patch"], w // c["patch"], 1 + c["registers"]
        self.n, self.frame = self.special + self.gh * self.gw, 0
        self.t = {name: make(name, shape) for name, shape in shapes(c).items()}
        some = self.t["aggregator.camera_token"]
        self.device, self.dtype = some.device, some.dtype
        self.autocast = published and self.device.type == "cuda"
        self.cos, self.sin = self.rope()
        self.first, self.grid = self.positions()
        self.mean, self.std = (self.put(torch.tensor(x)[:, None, None]) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        self.uvs = {}
        self.k, self.v, self.cum, self.exposed = ([None] * c["layers"] for _ in range(4))
        self.at = [None] * c["layers"]  # which row of the rotation's table each cached key has
        self.camera_cache = [[None, None] for _ in range(c["camera_depth"])]

    def put(self, x):
        return x.to(self.device, self.dtype)

    def lin(self, name, x):
        return F.linear(x, self.t[name + ".weight"].flatten(1), self.t[name + ".bias"])

    def ln(self, name, x, eps):
        return F.layer_norm(x, x.shape[-1:], self.t[name + ".weight"], self.t[name + ".bias"], eps)

    def conv(self, name, x, **how):
        return F.conv2d(x, self.t[name + ".weight"], self.t.get(name + ".bias"), **how)

    def rope(self):
        quarter = self.c["head_dim"] // 4
        f = torch.tensor([100.0 ** (-k / quarter) for k in range(quarter)])
        at, n = torch.zeros(self.n, 2), torch.arange(self.gh * self.gw)
        at[self.special:, 0], at[self.special:, 1] = n // self.gw + 1, n % self.gw + 1
        f = f.bfloat16().float() if self.c["bf16"] else f
        angle = torch.cat([at[:, :1] * f, at[:, :1] * f, at[:, 1:] * f, at[:, 1:] * f], 1)
        angle = angle.bfloat16().float() if self.c["bf16"] else angle
        return self.put(angle.cos()), self.put(angle.sin())

    def rotate(self, u, rows=slice(None)):
        a, b, c, d = u.chunk(4, -1)
        return u * self.cos[rows] + torch.cat([-b, a, -d, c], -1) * self.sin[rows]

    def positions(self):
        m, pos = self.c["pos_grid"], self.t["aggregator.patch_embed.pos_embed"][0].float().cpu()
        y, x = (cubic_weights(m, n).float() for n in (self.gh, self.gw))
        grid = torch.einsum("ym,xn,mnc->yxc", y, x, pos[1:].reshape(m, m, -1))
        return self.put(pos[:1]), self.put(grid.reshape(self.gh * self.gw, -1))

    def uv(self, channels, h, w):
        if (channels, h, w) not in self.uvs:
            aspect, q = self.w / self.h, channels // 4
            span, f = math.hypot(aspect, 1), torch.tensor([100.0 ** (-k / q) for k in range(q)])
            u = f[:, None, None] * torch.linspace(-1, 1, w) * (aspect / span * (w - 1) / w)
            v = f[:, None, None] * torch.linspace(-1, 1, h)[:, None] * (1 / span * (h - 1) / h)
            table = 0.1 * torch.cat([t.expand(q, h, w) for t in (u.sin(), u.cos(), v.sin(), v.cos())])
            self.uvs[channels, h, w] = self.put(table)
        return self.uvs[channels, h, w]

    def past(self, layer, k, v):
        """Keys and values of a global block: what is cached and the new ones. Cached as they come if `published`."""
        if self.k[layer] is not None:
            k, v = torch.cat([self.k[layer], k], 1), torch.cat([self.v[layer], v], 1)
        self.k[layer], self.v[layer] = k, v
        rows = torch.arange(self.n, device=self.device)
        self.at[layer] = rows if self.at[layer] is None else torch.cat([self.at[layer], rows])
        return k, v

    def block(self, name, x, heads, eps, rope=False, layer=None, camera=None):
        """x [rows, width]. layer: of the global blocks. Returns x and, if the rule needs it, what each key got in sum."""
        rows, width = x.shape
        d, mass = width // heads, None
        q, k, v = self.lin(name + ".attn.qkv", self.ln(name + ".norm1", x, eps)).view(rows, 3, heads, d).permute(1, 2, 0, 3)
        if layer is not None and self.published:
            k, v = self.past(layer, k, v)
        if rope:
            every = self.at[layer] if layer is not None and self.published else slice(None)
            q, k = self.rotate(self.ln(name + ".attn.q_norm", q, eps)), self.rotate(self.ln(name + ".attn.k_norm", k, eps), every)
            q, k = q.to(v.dtype), k.to(v.dtype)
        if layer is not None and not self.published:
            k, v = self.past(layer, k, v)
        if camera is not None:
            if camera[0] is not None:
                k, v = torch.cat([camera[0], k], 1), torch.cat([camera[1], v], 1)
            camera[:] = k, v
        if self.budget and camera is None and (layer is not None or self.published):
            p = ((q * d ** -0.5) @ k.transpose(1, 2)).softmax(-1, dtype=torch.float32)
            mass = p.mean(0).sum(0)
            y = p.to(v.dtype) @ v
        else:
            y = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        y = y.transpose(0, 1).reshape(rows, width)
        x = x + self.t[name + ".ls1.gamma"] * self.lin(name + ".attn.proj", y)
        hidden = F.gelu(self.lin(name + ".mlp.fc1", self.ln(name + ".norm2", x, eps)))
        return x + self.t[name + ".ls2.gamma"] * self.lin(name + ".mlp.fc2", hidden), mass

    def aggregate(self, rgb):
        c, V, slot = self.c, "aggregator.patch_embed.", min(self.frame, 1)
        x = (self.put(rgb.to(self.device).permute(2, 0, 1)) / 255 - self.mean) / self.std
        x = self.conv(V + "patch_embed.proj", x[None], stride=c["patch"])[0].flatten(1).T
        x = torch.cat([self.t[V + "cls_token"][0] + self.first, self.t[V + "register_tokens"][0], x + self.grid])
        for k in range(c["vit_depth"]):
            x, _ = self.block(f"{V}blocks.{k}", x, c["vit_heads"], 1e-6)
        x = self.ln(V + "norm", x, 1e-6)[-self.gh * self.gw:]
        x = torch.cat([self.t["aggregator.camera_token"][0, slot], self.t["aggregator.register_token"][0, slot], x])
        heads, pairs, masses = c["embed"] // c["head_dim"], {}, []
        for k in range(c["layers"]):
            seen, _ = self.block(f"aggregator.frame_blocks.{k}", x, heads, 1e-5, True)
            x, mass = self.block(f"aggregator.global_blocks.{k}", seen, heads, 1e-5, True, layer=k)
            masses.append(mass)
            if k in c["dpt_layers"] or k == c["layers"] - 1:
                pairs[k] = torch.cat([seen, x], 1)
        return pairs, masses

    def camera(self, token):
        H, c, e = "camera_head.", self.c, None
        p = self.ln(H + "token_norm", token[None], 1e-5)
        for _ in range(4):
            m = self.lin(H + "embed_pose", self.t[H + "empty_pose_tokens"][0] if e is None else e)
            a, b, g = self.lin(H + "poseLN_modulation.1", F.silu(m)).chunk(3, -1)
            x = p + g * (F.layer_norm(p, p.shape[-1:], eps=1e-6) * (1 + b) + a)
            for k in range(c["camera_depth"]):
                x, _ = self.block(f"{H}trunk.{k}", x, c["camera_heads"], 1e-5, camera=self.camera_cache[k])
            d = self.lin(H + "pose_branch.fc2", F.gelu(self.lin(H + "pose_branch.fc1", self.ln(H + "trunk_norm", x, 1e-5))))
            e = d if e is None else e + d
        return torch.cat([e[0, :7], e[0, 7:].relu()])

    def dpt(self, head, pairs):
        c, p, S, r = self.c[head], head + "_head.", head + "_head.scratch.", []
        for k, layer in enumerate(self.c["dpt_layers"]):
            x = self.ln(p + "norm", pairs[layer][self.special:], 1e-5).T.reshape(1, -1, self.gh, self.gw)
            x = self.conv(f"{p}projects.{k}", x)
            x = x + self.uv(x.shape[1], self.gh, self.gw)
            if k < 2:
                x = F.conv_transpose2d(x, self.t[f"{p}resize_layers.{k}.weight"], self.t[f"{p}resize_layers.{k}.bias"], stride=c["up"][k])
            elif k == 3:
                x = self.conv(p + "resize_layers.3", x, stride=2, padding=1)
            r.append(self.conv(f"{S}layer{k + 1}_rn", x, padding=1))

        def rcu(name, x):
            z = x.relu()
            return z + self.conv(f"{S}{name}.conv2", self.conv(f"{S}{name}.conv1", z, padding=1).relu_(), padding=1)

        def enlarge(x, size):
            return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)

        y = None
        for k in 4, 3, 2, 1:
            x = r[k - 1] if y is None else y + rcu(f"refinenet{k}.resConfUnit1", r[k - 1])
            size = r[k - 2].shape[2:] if k > 1 else [2 * n for n in r[0].shape[2:]]
            y = self.conv(f"{S}refinenet{k}.out_conv", enlarge(rcu(f"refinenet{k}.resConfUnit2", x), size))
        z = enlarge(self.conv(S + "output_conv1", y, padding=1), (self.h, self.w))
        z = z + self.uv(z.shape[1], self.h, self.w)
        z = self.conv(S + "output_conv2.2", self.conv(S + "output_conv2.0", z, padding=1).relu_())[0].float()
        value = z[:-1].exp() if head == "depth" else z[:-1].sign() * z[:-1].abs().expm1()
        return value.permute(1, 2, 0), 1 + z[-1].exp()

    def evict(self, masses):
        """doc/network.md 9.2, but for the last frame of a known length."""
        n, i, layers = self.n, self.frame, self.c["layers"]
        variance = torch.stack([m.var(unbiased=False) for m in masses])
        keep = n * (i + 1) - self.budget * (-variance / self.temp).softmax(0)
        gone = keep.trunc().long().tolist()
        for l, mass in enumerate(masses):
            held, fresh = mass.numel(), torch.zeros(n, device=mass.device, dtype=torch.float16)
            score = (mass * held).half()
            if i == 0:
                self.cum[l], self.exposed[l] = torch.full_like(fresh, math.inf), torch.ones_like(fresh, dtype=torch.long)
                continue
            self.cum[l] = score + torch.cat([self.cum[l], fresh])
            self.exposed[l] = torch.cat([self.exposed[l] + 1, torch.ones_like(fresh, dtype=torch.long)])
            self.cum[l][held - n:held - n + self.special] = math.inf
            if max(gone) <= 0 or gone[l] - (n * (i + 1) - held) <= 0:
                continue
            out = torch.topk(self.cum[l].float() / (self.exposed[l] + 1e-6), gone[l] - (n * (i + 1) - held), largest=False).indices
            stay = torch.ones(held, dtype=torch.bool, device=mass.device)
            stay[out] = False
            self.cum[l], self.exposed[l], self.at[l] = self.cum[l][stay], self.exposed[l][stay], self.at[l][stay]
            self.k[l], self.v[l] = self.k[l][:, stay], self.v[l][:, stay]

    def step(self, rgb, last=False):
        with torch.autocast("cuda", torch.bfloat16) if self.autocast else contextlib.nullcontext():
            pairs, masses = self.aggregate(rgb)
        if self.budget and not last:
            self.evict(masses)
        out = dict(pose=self.camera(pairs[self.c["layers"] - 1][0]))
        out["depth"], out["dconf"] = self.dpt("depth", pairs)
        out["pts"], out["pconf"] = self.dpt("point", pairs)
        self.frame += 1
        return out


def check():
    """The same numbers as the reference's. Sets that are kept hang on ties of f16 sums, so with eviction the bound is wider."""
    golden, ok = read(os.path.join(here, "..", "data", "golden", "tiny.golden.safetensors")), True
    torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = [golden[f"image.{i}"].transpose(1, 2, 0) for i in range(8)]
    h, w = images[0].shape[:2]

    def make(name, shape):
        return seeded(name, shape, TINY["seed"]).to(device, torch.float32)

    for run, P, temp, published in ("off", None, 0, False), ("off", None, 0, True), ("p50", 0.5, 0.1, False), ("p50", 0.5, 0.1, True):
        n = (1 + TINY["registers"]) + h * w // TINY["patch"] ** 2
        peer = Peer(TINY, h, w, make, published, P and P * len(images) * TINY["layers"] * n, temp)
        peer.autocast = False  # the golden file is f32
        worst = dict.fromkeys(("pose", "depth", "dconf", "pts", "pconf"), 0.0)
        for i, rgb in enumerate(images):
            got = peer.step(torch.from_numpy(np.ascontiguousarray(rgb)), i == len(images) - 1)
            for what in worst:
                want = golden[f"{run}.{what}.{i}"]
                x = got[what].double().cpu().numpy().reshape(want.shape)
                worst[what] = max(worst[what], float(np.linalg.norm(x - want) / np.linalg.norm(want)))
        bound = 1e-4 if run == "off" else 1e-2
        good = max(worst.values()) <= bound
        row(f"against the golden file: {run}{', as published' if published else ''}", f"{max(worst.values()):.1e}", f"<= {bound}", good)
        ok &= good
        print(f"{run}{', as published' if published else ''}: " + "  ".join(f"{k} {x:.1e}" for k, x in worst.items()) + f" (<= {bound})" + ("" if good else "  OUT OF BOUNDS"))
    return 0 if ok else 1


def speed(o):
    w, h = (int(x) for x in o.size.split("x"))
    name = "PyTorch, the same network" + (", as published" if o.published else "") + (f", eviction to {o.evict} frames" if o.evict else "")
    if done(name):
        return 0
    dtype = torch.float32 if o.published else torch.bfloat16
    torch.manual_seed(1)

    def make(name, shape):
        x = torch.randn(shape, device="cuda", dtype=dtype)
        if name.endswith((".gamma", "norm.weight", "norm1.weight", "norm2.weight")):
            return x * 0.05 + (0.2 if name.endswith(".gamma") else 1)
        return x * (0.02 if name.endswith(".bias") else math.prod(shape[1:]) ** -0.5 if name.endswith(".weight") else 0.3)

    n = 1 + FULL["registers"] + h * w // FULL["patch"] ** 2
    peer = Peer(FULL, h, w, make, o.published, o.evict and o.evict * FULL["layers"] * n)
    pictures = [torch.from_numpy(x) for x in np.random.default_rng(1).integers(0, 256, (9, h, w, 3), np.uint8)]
    at = []
    for i in range(o.frames):
        got = peer.step(pictures[i % 9], i == o.frames - 1)
        torch.cuda.synchronize()
        at.append(time.perf_counter())
    finite = all(bool(x.isfinite().all()) for x in got.values())
    left, total = torch.cuda.mem_get_info()
    seconds, gaps = at[-1] - at[0], np.diff(at) * 1e3
    print(f"{name}: {o.frames} frames of {o.size}: {(o.frames - 1) / seconds:.2f} frames/s, a frame p50 {np.median(gaps):.1f} ms, the last {gaps[-1]:.1f} ms; "
          f"device memory {(total - left) / 2 ** 20:.0f} MiB, PyTorch's tensors at most {torch.cuda.max_memory_allocated() / 2 ** 20:.0f}"
          + ("" if finite else "; NOT FINITE"), flush=True)
    row(name, f"{(o.frames - 1) / seconds:.2f} frames/s over {o.frames}", f"{(total - left) / 2 ** 20:.0f} MiB", finite)
    return 0 if finite else 1


def beside(n):
    from end_to_end import measure, write  # they need msgpack
    with tempfile.TemporaryDirectory() as folder:
        write(f"{folder}/frames.e3", list(np.random.default_rng(1).integers(0, 256, (9, 392, 518, 3), np.uint8)), n)
        measure(f"{folder}/frames.e3", n, "--no-evict")
        measure(f"{folder}/frames.e3", n, "--budget", "10f", "--segment", "0")
    return 0


def main():
    if sys.argv[1:] == ["check"]:
        return check()
    if sys.argv[1:2] == ["e3"]:
        return beside(int(sys.argv[2]))
    p = argparse.ArgumentParser()
    p.add_argument("frames", type=int)
    p.add_argument("--evict", type=int)
    p.add_argument("--published", action="store_true")
    p.add_argument("--size", default="518x392")
    return speed(p.parse_args())


if __name__ == "__main__":
    with torch.inference_mode():
        sys.exit(main())

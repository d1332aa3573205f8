#!/usr/bin/python3
"""What the live page costs: view.py [bytes|latency|memory|clients]... (all of them). Needs chromium for latency and memory.

bytes     what goes to a client for one frame of 518 x 392, by kind of record
latency   from the capture of a frame to its first painting in a browser on this machine: ten frames of 518 x 392 a second
memory    of e3-view and of the browser over VIEW_FRAMES (5,000) frames, as many as come, with --points 500000
clients   frames/s of the demo's pipeline without e3-view, and with 0, 1 and 8 clients, one of which never reads"""
import os
import subprocess
import sys
import threading
import time

import numpy as np

TESTS = os.path.dirname(os.path.abspath(__file__)) + "/.."
sys.path[:0] = [TESTS, TESTS + "/browser", TESTS + "/bench"]
from devtools import Browser, find  # noqa: E402
from export_long import frames, further  # noqa: E402
from make_pred import array, head, message  # noqa: E402
from viewer import Client, Server, build  # noqa: E402
import wire  # noqa: E402

DEMO = TESTS + "/../pipelines/demo"
KINDS = {wire.FRAME: "frame", wire.PICTURE: "picture", wire.DEPTH: "depth", wire.CONFIDENCE: "confidence", wire.KEPT: "kept", wire.CHUNK: "points"}
# Noted before the page's own code runs: what it sends.
LISTEN = ("(s => WebSocket.prototype.send = function (d) { (window.sent ||= []).push(d); return s.call(this, d); })"
          "(WebSocket.prototype.send)")


def row(what, figure, unit, how):
    print(f"{what:<34} {figure:>12} {unit:>10}   {how}", flush=True)


def begin(count):
    """A head that promises no records of the cache: frames are shown at once."""
    return message(1, {k: v for k, v in head(count).items() if k not in ("layers", "tokens_per_frame", "patch_grid", "kv_token_bytes")})


def smooth(w, h, cycle):
    """Predictions of one time to and fro, whose confidences are no noise: they grow from the left to the right."""
    sure = array(np.broadcast_to(np.linspace(1.1, 9, w, dtype=np.float32), (h, w)))
    return [{**p, "depth_conf": sure} for p in frames(w, h, cycle)]


def stream(count, w, h, cycle=100):
    """Messages of a camera that goes along a wall, and the end."""
    yield begin(count)
    made = smooth(w, h, cycle)
    for i in range(count):
        yield message(3, {**further(made[i % cycle], 0.5 * (i // cycle)), "i": i, "src_i": i, "pts": 0.1 * i})
    yield message(6, {"frames": count, "seconds": 1.0})


def measure_bytes(count=50):
    """A client that keeps up: it has everything of a frame before the next one comes."""
    total, points, had = {}, 0, set()
    with Server("--stay", feed=True) as server:
        messages, client = stream(count, 518, 392), Client(server)
        server.send(next(messages) + next(messages))
        want, n = {wire.FRAME, wire.PICTURE, wire.DEPTH, wire.CONFIDENCE, wire.CHUNK}, 0
        for kind, _, _, its, body, size in client.records():
            if kind in want and its == n:
                total[kind] = total.get(kind, 0) + size
                had.add(kind)
                if kind == wire.CHUNK:
                    xyz, _, offset, whole = wire.read_chunk(body)
                    points += len(xyz)
                    if offset + len(xyz) < whole:
                        had.discard(kind)
            if had == want:
                n, had = n + 1, set()
                if n == count:
                    break
                server.send(next(messages))
    per = {KINDS[k]: b / count / 1000 for k, b in total.items()}
    row("e3-view, one frame of 518 x 392", f"{sum(per.values()):.0f}", "kB",
        ", ".join(f"{k} {b:.2f}" for k, b in per.items()) + f"; {points / count:.0f} points of {518 * 392}")


def measure_latency(count=int(os.environ.get("LATENCY_FRAMES", 200)), rate=10):
    made = smooth(518, 392, 50)
    with Browser() as browser, Server("--stay", feed=True) as server:
        page = browser.page(1280, 800, listen=False)
        page.call("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        page.open(server.url)
        page.wait("window.e3")
        server.send(begin(count))
        taken, next_one = {}, time.monotonic()
        for i in range(count):
            while time.monotonic() < next_one:
                browser.receive(next_one - time.monotonic())
            next_one += 1 / rate
            taken[i] = time.time()
            server.send(message(3, {**further(made[i % 50], 0.5 * (i // 50)), "i": i, "src_i": i, "pts": i / rate, "t_capture": taken[i]}))
        page.wait(f"sent.some(m => {{ const p = JSON.parse(m).painted; return p && p.n === {count - 1}; }})")
        painted = {m["n"]: m["clock"] for m in page.js("sent.map(m => JSON.parse(m).painted).filter(p => p)")}
    late = np.array([painted[n] - t for n, t in taken.items() if n in painted and n >= 20]) * 1000
    row("e3-view, capture to painted", f"{np.median(late):.0f}", "ms", f"p50; p99 {np.percentile(late, 99):.0f} ms; {len(late)} of "
        f"{count - 20} frames painted, {rate} a second, 518 x 392, chromium with software WebGL on the same cores")


def measure_memory(count=None):
    count = count or int(os.environ.get("VIEW_FRAMES", 5000))
    marks = [m for m in (100, 300, 600, 1000, 2000, 3000, 4000) if m < count] + [count]
    with Browser() as browser, Server("--stay", "--points", "500000", feed=True) as server:
        page = browser.page(1000, 700, listen=False)
        page.open(server.url)
        page.wait("window.e3")
        out, messages, sent = [], stream(count, 112, 84), 0
        server.send(next(messages))
        for mark in marks:
            while sent < mark:
                server.send(next(messages))
                sent += 1
                if sent % 50 == 0:
                    page.wait(f"e3.run(0) && e3.run(0).count >= {sent}")
            page.wait(f"e3.run(0) && e3.run(0).count >= {mark}")
            page.js("e3.settled().then(() => 1)")
            heap = page.js("gc(), gc(), performance.memory.usedJSHeapSize") / 2**20
            out.append((mark, server.memory(), heap, browser.memory(), page.js("e3.scene.stats().points")))
    print(f"e3-view --points 500000, {count} frames of 112 x 84: MiB of the server, of the page's JavaScript, of the browser; points in the page")
    for line in out:
        print("  %6d %8.1f %8.1f %8.0f %9d" % line)


def pipeline(clients, view=True, stopped=1):
    """Frames/s of the demo's pipeline with so many clients, one of which stops reading."""
    model = ["e3-infer", "-q", "--model", DEMO + "/model.safetensors", "--P", "0.2"]
    decode = subprocess.Popen(["e3-decode", "-q", "--all", DEMO + "/clip.mp4"], stdout=subprocess.PIPE)
    opened, gate = [], threading.Event()

    def read(client):
        gate.wait()
        try:
            for _ in client.records():
                pass
        except Exception:  # the server ends: so does the connection
            pass

    if view:
        up, down = os.pipe()
        with Server("--pass", stdin=up) as server:
            os.close(up)
            opened = [Client(server) for _ in range(clients)]
            threads = [threading.Thread(target=read, args=(c,), daemon=True) for c in opened[stopped if clients else 0:]]
            for t in threads:
                t.start()
            gate.set()
            begin = time.monotonic()
            infer = subprocess.Popen(model, stdin=decode.stdout, stdout=down)
            os.close(down)
            infer.wait()
            took = time.monotonic() - begin
            server.process.wait()
    else:
        begin = time.monotonic()
        infer = subprocess.Popen(model, stdin=decode.stdout, stdout=subprocess.DEVNULL)
        infer.wait()
        took = time.monotonic() - begin
    decode.stdout.close()
    decode.wait()
    return 48 / took


def measure_clients(repeat=int(os.environ.get("REPEAT", 3))):
    best = lambda **how: max(pipeline(**how) for _ in range(repeat))  # noqa: E731
    figures = [best(clients=0, view=False)] + [best(clients=n) for n in (0, 1, 8)]
    row("demo, infer | e3-view --pass", f"{figures[1]:.2f}", "frames/s", f"no client; alone {figures[0]:.2f}; 1 client, which never reads, "
        f"{figures[2]:.2f}; 8, one of which never reads, {figures[3]:.2f}; the fastest of {repeat}, all on {os.cpu_count()} cores")


def main():
    build()
    for what in sys.argv[1:] or ["bytes", "latency", "memory", "clients"]:
        if what in ("latency", "memory") and not find():
            print(f"e3-view, {what}: needs chromium")
            continue
        {"bytes": measure_bytes, "latency": measure_latency, "memory": measure_memory, "clients": measure_clients}[what]()


main()

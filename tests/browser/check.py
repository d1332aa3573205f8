#!/usr/bin/python3
"""The page of e3-view in a real browser: check.py CASE FOLDER. FOLDER: streams and screenshots. Fails with what it found."""
import json
import os
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, HERE + "/.."]
import make_pred  # noqa: E402
import streams  # noqa: E402
import wire  # noqa: E402
from devtools import Browser, Wrong  # noqa: E402
from expected import cloud, compare, draw  # noqa: E402
from fake import Fake  # noqa: E402

DARK = (16, 18, 22)  # the canvas where there is nothing


BEGIN = time.monotonic()


def expect(what, good, found=""):
    print(f"# {time.monotonic() - BEGIN:.1f} s: {what}: {found if found != '' else good}", flush=True)
    if not good:
        raise Wrong(f"{what}: {found}")


def settle(page):
    page.js("e3.settled().then(() => true)")


def slide(page, name, value):
    page.js(f"(e => {{ e.value = {json.dumps(value)}; for (const k of ['input', 'change']) e.dispatchEvent(new Event(k, {{ bubbles: true }})); }})"
            f"(document.getElementById('{name}'))")


def tick(page, name, on):
    page.js(f"(e => e.checked === {json.dumps(on)} || e.click())(document.getElementById('{name}'))")


def plain(page, **more):
    """Points only, all of them, in their own colours."""
    for name, value in {"confidence": 0, "edge": 7, **more}.items():
        slide(page, name, value)
    for name in ("edl", "frusta"):
        tick(page, name, False)
    page.js("e3.scene.set({ path: false })")
    settle(page)


def match(page, what, predictions, folder=None, background=DARK, moved=None, found=0.97, colour=0.9):
    """The canvas has the points of these predictions where they must be, and nothing else."""
    m = page.js("e3.scene.matrices()")
    shot = page.screenshot("#scene", folder and f"{folder}/{what.replace(' ', '-')}.png")
    expect(f"{what}: size of the canvas", shot.shape[:2] == (m["height"], m["width"]), f"{shot.shape}, {m['width']} x {m['height']}")
    got = compare(shot, *draw(*cloud(predictions, moved=moved), m), background)
    expect(what, got["pixels"] > 2000 and got["found"] >= found and got["wanted"] >= found and got["colour"] >= colour, got)
    return shot, m


def differs(page, what, predictions, background=DARK, moved=None):
    """The canvas does not have these: that match can tell them apart."""
    m = page.js("e3.scene.matrices()")
    got = compare(page.screenshot("#scene"), *draw(*cloud(predictions, moved=moved), m), background)
    expect(f"{what} differs", got["found"] < 0.9 or got["wanted"] < 0.9 or got["colour"] < 0.8, got)


def clean(page, *urls, allowed=()):
    """The page said nothing wrong, and asked nobody else."""
    wrong = [e for e in page.errors if not any(a in e for a in allowed)]
    expect("no error in the console", not wrong, wrong)
    known = ("data:", "blob:", "about:", *urls, *(u.replace("http", "ws", 1) for u in urls))
    other = [r for r in page.requests if not r.startswith(known)]
    expect("no request to anywhere else", not other, other or f"{len(page.requests)} requests")


def foreign(folder):
    """Another server: broken records, corrections, a connection that breaks in a record, another epoch."""
    path = streams.exact(folder)
    predictions = streams.predictions(path)[:4]
    head = make_pred.head(0)
    with Browser() as browser, Fake() as server:
        page = browser.page(900, 600)
        page.media(prefers_color_scheme="dark")
        page.open(server.url)
        client = server.client()
        client.send(wire.hello(head))
        for n, p in enumerate(predictions):
            client.send(*wire.of_prediction(p, n))
        page.wait("window.e3 && e3.run(0) && e3.run(0).count === 4")
        client.wait(lambda m: m.get("ack") == client.seq, "that it has everything")
        settle(page)
        plain(page)
        match(page, "sent by another server", predictions)
        # broken ones are left out, and the page goes on
        good = list(wire.of_prediction(predictions[3], 4))
        for bad in (b"", b"\0" * 4, good[0][:20], good[0][:16], b"\xff" * 64, wire.record(99, b"new"), wire.record(wire.HELLO, b"{"),
                    wire.record(wire.CHUNK, b"\xff" * 36, n=4), good[1][:8] + good[4][8:], wire.record(wire.PICTURE, b"no JPEG", n=3)):
            client.raw(bad)
        client.raw(b"text", code=1)
        client.send(*good, wire.status(5))
        page.wait("e3.run(0).count === 5")
        settle(page)
        refused = [e for e in page.errors if e.startswith("e3-view: ")]
        expect("what was refused is said", len(refused) == 9, refused)
        # a correction moves points, and what was sent stays
        turn = np.hstack([1.5 * wire.rotation([0, 0.3, 0, 1]), [[0.2], [0.1], [0.4]]])
        client.send(wire.correct(2, 3, 1.5, [0, 0.3, 0, 1], [0.2, 0.1, 0.4]))
        client.wait(lambda m: m.get("ack") == client.seq, "that it has the correction")
        settle(page)
        page.key("f")
        settle(page)
        moved = {2: turn, 3: turn}
        match(page, "corrected", [*predictions, predictions[3]], folder, moved=moved)
        differs(page, "uncorrected", predictions)
        # it breaks in the middle of a record
        client.sock.sendall(b"\x82\x7e\xff\xff" + good[1][:100])
        client.drop()
        client = server.client()
        client.send(wire.hello(head, epoch="other"), *wire.of_prediction(predictions[1], 0))
        page.wait("e3.run(0).count === 1")
        settle(page)
        plain(page)
        match(page, "another epoch", predictions[1:2])
        clean(page, server.url, allowed=("WebSocket connection to", "e3-view: "))


CASES = {f.__name__: f for f in (foreign,)}


def main():
    os.environ["PATH"] = os.path.join(os.environ["B"], "bin") + os.pathsep + os.environ["PATH"]
    try:
        CASES[sys.argv[1]](sys.argv[2])
    except Wrong as e:
        sys.exit(f"{sys.argv[1]}: {e}")


if __name__ == "__main__":
    main()

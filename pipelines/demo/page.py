#!/usr/bin/python3
"""page.png: the page of e3-view on the demo's run, in a browser.

    e3-decode --all pipelines/demo/clip.mp4 | e3-infer --P 0.2 --model pipelines/demo/model.safetensors -o run.e3
    pipelines/demo/page.py run.e3 pipelines/demo/page.png

Needs chromium, python3-websocket and Pillow, which reduces the picture to 256 colours, and e3-view on the PATH or below $B.
"""
import os
import sys

from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../../tests/browser")
from devtools import Browser  # noqa: E402
from viewer import Server, build  # noqa: E402

SIZE = (1200, 750)
FRAME = 40  # the moment that is shown
YAW, NEARER = 0.25, 0.8  # from behind the camera, a little to its left


def main(run, out):
    build()
    with Browser() as browser, Server(run) as server:
        page = browser.page(*SIZE)
        page.media(prefers_color_scheme="dark")
        page.open(server.url)
        page.wait("window.e3 && e3.run(0) && e3.run(0).count === 48 && e3.scene.stats().points > 230000")
        page.js(f"e3.app.player.seek({FRAME}), 1")
        page.js("e3.settled().then(() => 1)")
        page.js(f"e3.scene.setView({{ yaw: {YAW}, distance: {NEARER} * e3.scene.getView().distance }}), 1")
        page.js("e3.settled().then(() => 1)")
        page.screenshot(path=out)
    Image.open(out).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, optimize=True)


main(*sys.argv[1:])

#!/usr/bin/python3
"""The page of e3-view in a real browser: check.py CASE FOLDER. FOLDER: streams and screenshots. Fails with what it found."""
import json
import os
import re
import shutil
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, HERE + "/.."]
import make_pred  # noqa: E402
import streams  # noqa: E402
import wire  # noqa: E402
from devtools import PATIENCE, Browser, Wrong  # noqa: E402
from expected import cloud, compare, draw, grown  # noqa: E402
from fake import Fake  # noqa: E402
from viewer import Server, build  # noqa: E402

DARK = (16, 18, 22)  # the canvas where there is nothing


BEGIN = time.monotonic()


def expect(what, good, found=""):
    print(f"# {time.monotonic() - BEGIN:.1f} s: {what}: {found if found != '' else good}", flush=True)
    if not good:
        raise Wrong(f"{what}: {found}")


def settle(page):
    page.js("e3.settled().then(() => true)")


def opened(browser, url, frames, width=800, height=520, **size):
    """A page that has all frames of its runs, and all their points."""
    page = browser.page(width, height, **size)
    page.media(prefers_color_scheme="dark")
    page.open(url)
    for k, count in enumerate(frames):
        whole(page, k, count)
    settle(page)
    return page


def whole(page, k, count):
    page.wait(f"window.e3 && e3.run({k}) && e3.run({k}).count === {count} && "
              f"e3.scene.cloud.runs[{k}].every(f => f.held === f.total && (f.total > 0 || !e3.run({k}).flag(f.n, {wire.HAS_CHUNK})))")


def slide(page, name, value):
    page.js(f"(e => {{ e.value = {json.dumps(value)}; for (const k of ['input', 'change']) e.dispatchEvent(new Event(k, {{ bubbles: true }})); }})"
            f"(document.getElementById('{name}'))")


def tick(page, name, on):
    page.js(f"(e => e.checked === {json.dumps(on)} || e.click())(document.getElementById('{name}'))")


def plain(page, **more):
    """Points only, all of them, in their own colours."""
    for name, value in {"confidence": 0, "edge": 0, **more}.items():
        slide(page, name, value)
    for name in ("edl", "frusta"):
        tick(page, name, False)
    page.js("e3.scene.set({ path: false })")
    settle(page)


def shot(page, path=None):
    return page.screenshot("#scene", path)


def lit(picture):
    """Which pixels are not the dark background."""
    return np.abs(picture.astype(int) - DARK).max(-1) > 10


def against(picture, m, predictions, background=DARK, moved=None, top=3):
    """How far a picture of the canvas is from what these predictions must give; without its edge, where the focus is drawn."""
    seen, rgb = draw(*cloud(predictions, moved=moved), m)
    inside = slice(top, -3), slice(3, -3)
    return compare(picture[inside], seen[inside], rgb[inside], background)


def agrees(got, found=0.97):
    return got["pixels"] > 2000 and got["found"] >= found and got["wanted"] >= 0.97 and got["colour"] >= 0.9


def match(page, what, predictions, folder=None, found=0.97, **how):
    """The canvas has the points of these predictions where they must be, and nothing else. What comes meanwhile, a picture of the frame or
    a status, may have it drawn coarsely for a moment: so it is looked at again before it is wrong."""
    until = time.monotonic() + PATIENCE / 2
    while True:
        settle(page)
        m = page.js("e3.scene.matrices()")
        picture = shot(page, folder and f"{folder}/{what.replace(' ', '-')}.png")
        got = against(picture, m, predictions, **how) if picture.shape[:2] == (m["height"], m["width"]) else {"shape": picture.shape}
        if "shape" not in got and agrees(got, found):
            break
        if time.monotonic() > until:
            raise Wrong(f"{what}: {got}")
    expect(what, True, got)
    return picture


def differs(page, what, predictions, **how):
    """The canvas does not have these: that match can tell them apart."""
    got = against(shot(page), page.js("e3.scene.matrices()"), predictions, **how)
    expect(f"{what} differs", not agrees(got), got)


def clean(page, *urls, allowed=()):
    """The page said nothing wrong, and asked nobody else."""
    wrong = [e for e in page.errors if not any(a in e for a in allowed)]
    expect("no error in the console", not wrong, wrong)
    known = ("data:", "blob:", "about:", *urls, *(u.replace("http", "ws", 1) for u in urls))
    other = [r for r in page.requests if not r.startswith(known)]
    expect("no request to anywhere else", not other, other or f"{len(page.requests)} requests")


def shows(folder):
    path = streams.exact(folder)
    predictions = streams.predictions(path)
    with Browser() as browser, Server(path) as server:
        page = opened(browser, server.url, [len(predictions)])
        tick(page, "frusta", False)
        settle(page)
        expect("with nothing set the points are there", lit(shot(page)).mean() > 0.05, lit(shot(page)).mean())
        plain(page)
        match(page, "all points", predictions, folder)
        differs(page, "another room", streams.predictions(streams.exact(folder, seed=8)))
        page.drag(200, 200, 120, 45)
        settle(page)
        match(page, "turned by the mouse", predictions, folder)
        clean(page, server.url)


def number(page, text):
    return page.js(f"e3.{text}")


def live(folder):
    """Frames as they come; what the cache holds; a page that comes late; why a source failed."""
    head, made, held = streams.with_cache(folder, "--budget", "3f")
    half, frames = 6, len(made)
    with Browser() as browser, Server("--stay", feed=True) as server:
        server.send(head)
        page = browser.page(800, 520)
        page.open(server.url)
        page.wait("window.e3")
        server.send(b"".join(p + e for p, e in made[:half]))
        page.wait("e3.run(0) && e3.run(0).count === 6 && e3.scene.options[0].to === 5")
        page.wait("e3.scene.stats().points > 0")
        some = number(page, "scene.stats().points")
        page.key(" ")  # pauses: the rest comes, what is shown stays
        server.send(b"".join(p + e for p, e in made[half:]))
        page.wait(f"e3.run(0).count === {frames}")
        page.wait(f"e3.scene.stats().points > {some}")
        expect("a paused page stays where it was", number(page, "scene.options[0].to") == 5, number(page, "scene.options[0].to"))
        page.key("k")
        page.wait(f"e3.scene.options[0].to === {frames - 1}")
        late = opened(browser, server.url, [frames])
        late.wait(f"e3.scene.stats().points === {number(page, 'scene.stats().points')}")
        for who in (page, late):
            for n in (frames - 1, 7):
                who.js(f"e3.app.player.seek({n}), 1")
                got = who.wait(f"(s => s && s.missing === null && s.n === {n} && JSON.stringify([...s.frames].map(([f, h]) => [f, [...h.cells]])))"
                               f"(e3.run(0).kept.at({n}))")
                got = {f: cells for f, cells in json.loads(got)}
                expect(f"the cache after frame {n}", got == held[n], f"{sum(map(sum, got.values()))} tokens of {len(got)} frames")
        server.send(make_pred.message(7, {"tool": "e3-infer", "code": 1, "text": "the lens cap is on"}))
        for who in (page, late):
            who.wait("document.body.textContent.includes('the lens cap is on')")
            clean(who, server.url)


def shares(page):
    """Which columns of the strip under the timeline are not empty, and where the timeline is."""
    return page.js("(r => [r.x, r.y, r.width, r.height])(document.getElementById('timeline').getBoundingClientRect())")


def controls(folder):
    """Scrubbing, the keyboard, sliders, colours."""
    path = streams.exact(folder)
    predictions = streams.predictions(path)
    count = len(predictions)
    with Browser() as browser, Server(path) as server:
        page = opened(browser, server.url, [count])
        plain(page)
        x, y, w, _ = shares(page)
        page.click(x + 10 + (w - 20) * 4.5 / count, y + 12)  # the middle of frame 4 on the ruler
        page.wait("e3.scene.options[0].to === 4")
        settle(page)
        match(page, "until frame 4", predictions[:5], folder)
        differs(page, "the whole run", predictions)
        page.key("End")
        page.wait(f"e3.scene.options[0].to === {count - 1}")
        page.key(",")
        page.wait(f"e3.scene.options[0].to === {count - 2}")
        page.key("Home")
        page.wait("e3.scene.options[0].to === 0")
        settle(page)
        match(page, "frame 0", predictions[:1], found=0.92)  # e3-view leaves points at depth edges out; other frames see what is there
        slide(page, "window", "all")
        page.wait(f"e3.scene.options[0].to === {count - 1}")
        settle(page)
        before = match(page, "the whole run from frame 0", predictions)
        drawn = lit(before).sum()
        slide(page, "size", "0.25")
        settle(page)
        small = lit(shot(page)).sum()
        expect("smaller points cover less", 0 < small < 0.9 * drawn, f"{small} of {drawn} pixels")
        slide(page, "size", "1")
        slide(page, "edge", "7")
        settle(page)
        fewer = lit(shot(page)).sum()
        expect("points at depth edges are hidden", 0 < fewer < drawn, f"{fewer} of {drawn} pixels")
        slide(page, "edge", "0")
        for colour in ("depth", "time", "confidence"):
            slide(page, "colour", colour)
            settle(page)
            other = shot(page)
            both = lit(other) & lit(before)
            away = np.abs(other[both].astype(int) - before[both]).mean()
            expect(f"coloured by {colour}", both.sum() > 0.98 * drawn and away > 20, f"{away:.0f} levels from the picture's colours")
        slide(page, "colour", "rgb")
        # through the camera of a frame: the picture of that frame
        slide(page, "window", "until")
        page.key("Home")
        page.key("3")
        settle(page)
        match(page, "through the camera", predictions[:1], folder, found=0.9)
        clean(page, server.url)


def confidence(folder):
    """The slider of confidence, against the confidences of the stream."""
    path = streams.made_up(folder, frames=1)  # of a place that two frames see one point may be left out
    predictions = streams.predictions(path)
    with Browser() as browser, Server(path) as server:
        page = opened(browser, server.url, [len(predictions)])
        plain(page)
        match(page, "every confidence", predictions)
        lo, hi = number(page, "run(0).info.confidence")
        slide(page, "confidence", "16")
        settle(page)
        for p in predictions:
            sure = (np.log(p["depth_conf"].astype(float)) - lo) / (hi - lo) * 31 >= 15.5
            p["depth"] = np.where(sure, p["depth"], 0)
        match(page, "the surer half", predictions)
        clean(page, server.url)


def restarted(folder):
    """The server is ended and started again, with another run: the page connects again and shows that, and nothing of before."""
    one, two = streams.exact(folder), streams.exact(folder, seed=8)
    with Browser() as browser:
        with Server(one) as server:
            page = opened(browser, server.url, [12])
            plain(page)
            match(page, "before", streams.predictions(one))
            port = server.port
            expect("ended by a signal", server.stop() in (0, 130))
            page.wait("document.getElementById('state').textContent !== '' && !e3.app.link.open")
        with Server(two, port=port) as server:
            page.wait("e3.app.link.open && e3.run(0) && e3.run(0).info.source.includes('scene 8')")
            whole(page, 0, 12)
            settle(page)
            page.key("f")
            plain(page)
            match(page, "after", streams.predictions(two))
            clean(page, server.url, allowed=("WebSocket connection to", "ERR_CONNECTION"))


def two(folder):
    """Two recordings side by side: one camera, linked timelines."""
    paths = streams.exact(folder), streams.exact(folder, seed=8)
    predictions = [streams.predictions(p) for p in paths]
    with Browser() as browser, Server(*paths) as server:
        page = opened(browser, server.url, [12, 12])
        plain(page)
        page.drag(150, 200, 60, 30)
        settle(page)
        for what, upto in ("both", 12), ("both until frame 5", 6):
            if upto < 12:
                x, y, w, _ = shares(page)
                page.click(x + 10 + (w - 20) * 5.5 / 12, y + 12)
                page.wait("e3.scene.options[0].to === 5 && e3.scene.options[1].to === 5")
                settle(page)
            m = page.js("e3.scene.matrices()")
            picture = shot(page, f"{folder}/{what.replace(' ', '-')}.png")
            expect("nothing moved meanwhile", page.js("e3.settled().then(() => e3.scene.matrices())") == m)
            for k, half in enumerate((picture[:, :m["width"]], picture[:, -m["width"]:])):
                name = page.js(f"(r => r.bottom - document.getElementById('scene').getBoundingClientRect().y)"
                               f"(document.getElementById('name-{'ab'[k]}').getBoundingClientRect())")
                for other in (k, 1 - k):
                    got = against(half, m, predictions[other][:upto], top=int(name) + 2)
                    expect(f"{what}: half {k}, run {other}", agrees(got) == (other == k), got)
        clean(page, server.url)


def html(folder):
    """One file, opened from the disk."""
    path, out = streams.exact(folder), folder + "/scan.html"
    streams.run("e3-view", "-q", "--html", out, path)
    with Browser() as browser:
        page = opened(browser, "file://" + out, [12])
        plain(page)
        # a file is made of the stream, in which points within a pixel of one that is there are left out: small pictures have gaps
        match(page, "from a file", streams.predictions(path), found=0.87)
        page.key("Home")
        page.wait("e3.scene.options[0].to === 0")
        settle(page)
        match(page, "its frame 0", streams.predictions(path)[:1], found=0.92)
        clean(page, "file://" + out)


def phone(folder):
    """A phone: everything fits, fingers turn and zoom; dark and light."""
    path = streams.exact(folder)
    with Browser() as browser, Server(path) as server:
        page = opened(browser, server.url, [12], 390, 844, ratio=2, mobile=True)
        page.screenshot(path=folder + "/phone-dark.png")
        wide = page.js("[document.documentElement.scrollWidth, innerWidth, visualViewport.scale]")
        expect("nothing is wider than the screen", wide[0] <= 390 and wide[1] == 390 and wide[2] == 1, wide)
        box = page.js("(r => [r.x, r.y, r.width, r.height])(document.getElementById('scene').getBoundingClientRect())")
        expect("the scene has most of the screen", box[2] == 390 and box[3] >= 0.5 * 844, box)
        small = page.js("""[...document.querySelectorAll('header button, footer button, header label')]
            .filter(e => e.checkVisibility()).map(e => [e.id || e.title, e.getBoundingClientRect()])
            .filter(([, r]) => r.width < 24 || r.height < 24 || r.x < 0 || r.right > 390 || r.bottom > 844).map(([n]) => n)""")
        expect("what is touched can be touched", not small, small)
        before = page.js("e3.scene.getView()")
        x, y = 195, box[1] + box[3] / 2
        page.touch("Start", (x, y))
        for k in range(1, 5):
            page.touch("Move", (x + 10 * k, y + 5 * k))
        page.touch("End")
        page.wait(f"e3.scene.getView().yaw !== {before['yaw']}")
        page.touch("Start", (x - 30, y), (x + 30, y))
        for k in range(1, 5):
            page.touch("Move", (x - 30 - 10 * k, y), (x + 30 + 10 * k, y))
        page.touch("End")
        page.wait(f"e3.scene.getView().distance < {before['distance'] * 0.9}")
        page.media(prefers_color_scheme="light")
        settle(page)
        page.screenshot(path=folder + "/phone-light.png")
        corner = shot(page)[-5, 5]
        expect("light as the system", corner.min() > 200, corner.tolist())
        clean(page, server.url)


def taken(folder):
    """What is taken away: PLY, GLB, a link, a screenshot; a measured distance."""
    path = streams.exact(folder)
    with Browser() as browser, Server(path) as server:
        page = opened(browser, server.url, [12])
        plain(page)
        page.key("Home")
        page.key(".")
        page.wait("e3.scene.options[0].to === 1")
        settle(page)
        points = number(page, "scene.cloud.runs[0][0].held + e3.scene.cloud.runs[0][1].held")
        shutil.rmtree(folder + "/down", ignore_errors=True)
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder + "/down")
        for button, ending in ("save-ply", "ply"), ("save-glb", "glb"), ("shot", "png"):
            if ending != "png":
                page.click(*page.middle("#save"))
            page.click(*page.middle("#" + button))
            data = downloaded(folder + "/down", ending)
            if ending == "ply":
                head = data[:data.index(b"end_header")].decode()
                expect("points in the PLY", f"element vertex {points}\n" in head, f"{points}, {head}")
            elif ending == "glb":
                made = json.loads(data[20:20 + int.from_bytes(data[12:16], "little")])
                expect("points in the GLB", sum(a["count"] for a in made["accessors"][:1]) == points, points)
                streams.write(folder + "/down/is.glb", data)
            else:
                expect("a screenshot", data.startswith(b"\x89PNG"), len(data))
        page.drag(200, 200, 90, -40)
        settle(page)
        page.click(*page.middle("#link"))
        page.wait("location.hash.length > 1")
        link, view = page.js("location.href"), page.js("e3.scene.getView()")
        other = opened(browser, link, [12])
        expect("a link carries the view", other.js("e3.scene.getView()") == view, view)
        expect("a link carries the time", number(other, "scene.options[0].to") == 1)
        # two points on the screen: their distance is that of the points there
        page.key("m")
        at = page.js("(r => [r.x, r.y])(document.getElementById('scene').getBoundingClientRect())")
        ends = []
        for x, y in measured(page):
            ends.append(page.js(f"e3.scene.pick({x}, {y}).point"))
            page.click(at[0] + x, at[1] + y)
        far = float(np.linalg.norm(np.subtract(*ends)))
        said = page.wait("document.getElementById('measure-text').textContent.match(/[0-9]/) && document.getElementById('measure-text').textContent")
        found = [float(v) for v in re.findall(r"\d+\.?\d*", said)]
        expect("the distance", any(abs(v - far) <= 0.01 * far for v in found), f"{said}, {far}")
        clean(page, server.url)


def measured(page):
    """Two places on the canvas where there are points, far from each other."""
    solid = ~grown(~lit(shot(page)), 4)
    y, x = np.nonzero(solid)
    return [(int(x[k]), int(y[k])) for k in (np.argmin(x), np.argmax(x))]


def downloaded(folder, ending):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        names = os.listdir(folder) if os.path.isdir(folder) else []
        # The browser puts an empty file of that name there while it writes to another one.
        for name in names if not any(n.endswith(".crdownload") for n in names) else ():
            if name.endswith("." + ending) and os.path.getsize(f"{folder}/{name}"):
                with open(f"{folder}/{name}", "rb") as f:
                    return f.read()
        time.sleep(0.05)
    raise Wrong(f"no .{ending} was downloaded")


def foreign(folder):
    """Another server: broken records, corrections, a connection that breaks in a record, another epoch."""
    path = streams.exact(folder)
    predictions = streams.predictions(path)[:4]
    head = make_pred.head(0)
    with Browser() as browser, Fake() as server:
        page = browser.page(800, 520)
        page.media(prefers_color_scheme="dark")
        page.open(server.url)
        client = server.client()
        client.send(wire.hello(head))
        for n, p in enumerate(predictions):
            client.send(*wire.of_prediction(p, n))
        whole(page, 0, 4)
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


CASES = {f.__name__: f for f in (shows, live, controls, confidence, restarted, two, html, phone, taken, foreign)}


def main():
    build()
    try:
        CASES[sys.argv[1]](sys.argv[2])
    except Wrong as e:
        sys.exit(f"{sys.argv[1]}: {e}")


if __name__ == "__main__":
    main()

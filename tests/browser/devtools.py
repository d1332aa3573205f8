"""Drives Debian's chromium, headless, by the DevTools protocol: pages, mouse, touch, keys, screenshots, what the page said and asked for.

    with Browser() as browser:
        page = browser.page(1000, 700)
        page.open("http://127.0.0.1:8033/")
        page.wait("document.title !== ''")

The browser has a temporary profile, no network but loopback, and WebGL by software. It is killed with everything that it started
when the block is left, and by the kernel when this process dies.
"""
import base64
import ctypes
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import numpy as np
import websocket
from PIL import Image

FLAGS = ["--headless", "--no-sandbox", "--remote-debugging-port=0", "--remote-allow-origins=*", "--no-first-run", "--mute-audio",
         "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-extensions", "--disable-default-apps", "--disable-dev-shm-usage", "--disable-breakpad", "--disable-field-trial-config",
         "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--force-color-profile=srgb", "--hide-scrollbars",
         "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
         "--enable-precise-memory-info", "--js-flags=--expose-gc",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]
PATIENCE = 180  # seconds for anything that is waited for: a loaded machine is slow, a failure waits this long once
SUBREAPER, DEATHSIG = 36, 1


class Wrong(Exception):
    """What a test found."""


def find():
    """The browser's program, or None."""
    return os.environ.get("E3_TEST_BROWSER") or shutil.which("chromium")


def descendants(pid):
    """All processes below pid, the deepest last."""
    parent = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                parent[int(name)] = int(f.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    out = [pid]
    for p in out:
        out += [c for c, its in parent.items() if its == p]
    return out[1:]


def resident(pids):
    """MiB that the processes hold: of memory that several share, each has its part."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except OSError:
            continue
    return total / 1024


class Browser:
    def __init__(self, flags=()):
        self.folder = tempfile.mkdtemp(prefix="e3-browser-")
        self.said = open(self.folder + "/said", "w+")
        libc = ctypes.CDLL(None)
        libc.prctl(SUBREAPER, 1)  # what the browser leaves behind becomes a child of this process, and can be found
        environ = {**os.environ, "HOME": self.folder, "XDG_CONFIG_HOME": self.folder, "XDG_CACHE_HOME": self.folder}
        environ.pop("DISPLAY", None)
        self.process = subprocess.Popen([find(), f"--user-data-dir={self.folder}/profile", *FLAGS, *flags, "about:blank"],
                                        stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said, env=environ,
                                        preexec_fn=lambda: libc.prctl(DEATHSIG, signal.SIGKILL))
        try:
            self.socket = self.connect()
        except BaseException:
            self.close()
            raise
        self.last, self.pages, self.waiting = 0, {}, {}

    def connect(self):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with open(self.folder + "/profile/DevToolsActivePort") as f:
                    port, path = f.read().split()
                return websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=PATIENCE, max_size=None)
            except (OSError, ValueError):
                time.sleep(0.02)
        self.said.seek(0)
        raise Wrong(f"the browser does not start: {self.said.read()[-2000:]}")

    def call(self, method, session=None, **params):
        """Sends one command and returns its result; events that come before it go to their pages."""
        number = self.post(method, session, **params)
        until = time.monotonic() + PATIENCE
        while number not in self.waiting:
            if time.monotonic() > until:
                raise Wrong(f"{method}: no answer within {PATIENCE} s")
            self.receive(until - time.monotonic())
        answer = self.waiting.pop(number)
        if "error" in answer:
            raise Wrong(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def post(self, method, session=None, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self.socket.send(json.dumps(message))
        return self.last

    def receive(self, seconds):
        """Reads one message; returns whether one came."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            message = json.loads(self.socket.recv())
        except websocket.WebSocketTimeoutException:
            return False
        if "id" in message:
            self.waiting[message["id"]] = message
        elif message.get("sessionId") in self.pages:
            self.pages[message["sessionId"]].event(message["method"], message["params"])
        return True

    def page(self, width=1000, height=700, listen=True, **size):
        """A new window: a tab that is not in front draws nothing. listen: errors and requests are noted, which costs time."""
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network") if listen else ("Page",):
            page.call(domain + ".enable")
        page.resize(width, height, **size)
        return page

    def memory(self):
        """MiB of all processes of the browser."""
        return resident([self.process.pid, *descendants(self.process.pid)])

    def close(self):
        """Kills what belongs to this browser, and waits until it is gone."""
        ours = [p for p in descendants(os.getpid()) if p == self.process.pid or self.is_ours(p)]
        for pid in ours:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        for pid in ours:
            while os.path.exists(f"/proc/{pid}"):
                try:
                    os.waitpid(pid, 0)
                except ChildProcessError:
                    time.sleep(0.01)  # its parent dies, then it is this process's
        self.said.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_ours(self, pid):
        """Does the process belong to this browser? All of its processes have its temporary folder as home."""
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                return f"HOME={self.folder}\0".encode() in f.read()
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Page:
    """One tab. errors: what the console and the page's own exceptions said; requests: every address that it asked for."""

    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target
        self.errors, self.requests = [], []

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def event(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(params["url"])

    def resize(self, width, height, ratio=1, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=ratio, mobile=mobile)
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def media(self, **features):
        """media(prefers_color_scheme="dark")"""
        self.call("Emulation.setEmulatedMedia", features=[{"name": k.replace("_", "-"), "value": v} for k, v in features.items()])

    def open(self, url):
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise Wrong(f"{url}: {answer['errorText']}")
        self.wait("document.readyState === 'complete'")

    def js(self, text):
        """The value of an expression, awaited when it is a promise; it must be JSON."""
        answer = self.call("Runtime.evaluate", expression=text, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise Wrong(f"{text}: {details.get('exception', {}).get('description') or details['text']}")
        return answer["result"].get("value")

    def wait(self, text, seconds=PATIENCE):
        """Waits until the expression is true, and returns its value if that is a number or text; one that throws is not true yet."""
        until, wrong = time.monotonic() + seconds, None
        while time.monotonic() < until:
            try:
                true, value = self.js(f"(async () => (v => [!!v, Object(v) === v ? null : v])(await ({text})))()")
                if true:
                    return value
                wrong = value
            except Wrong as e:
                wrong = e
            self.browser.receive(0.02)
        raise Wrong(f"not within {seconds} s: {text} (last: {wrong}){''.join(chr(10) + e for e in self.errors)}")

    def screenshot(self, selector=None, path=None):
        """The page, or one element of it, as an array h x w x 3; path: also written there as PNG."""
        clip = {}
        if selector:
            box = self.js(f"(r => [r.x, r.y, r.width, r.height])(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")
            clip = {"clip": dict(zip(("x", "y", "width", "height", "scale"), (*box, 1)))}
        png = base64.b64decode(self.call("Page.captureScreenshot", format="png", **clip)["data"])
        if path:
            with open(path, "wb") as f:
                f.write(png)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def mouse(self, kind, x, y, button="none", **more):
        self.call("Input.dispatchMouseEvent", type="mouse" + kind, x=x, y=y, button=button,
                  buttons={"left": 1, "right": 2, "middle": 4}.get(button, 0), **more)

    def click(self, x, y, count=1):
        for n in range(1, count + 1):
            self.mouse("Pressed", x, y, "left", clickCount=n)
            self.mouse("Released", x, y, "left", clickCount=n)

    def drag(self, x, y, dx, dy, button="left", steps=4):
        self.mouse("Moved", x, y)
        self.mouse("Pressed", x, y, button, clickCount=1)
        for k in range(1, steps + 1):
            self.mouse("Moved", x + dx * k / steps, y + dy * k / steps, button)
        self.mouse("Released", x + dx, y + dy, button, clickCount=1)

    def wheel(self, x, y, by):
        self.mouse("Wheel", x, y, deltaX=0, deltaY=by)

    def touch(self, kind, *points):
        self.call("Input.dispatchTouchEvent", type="touch" + kind, touchPoints=[{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)])

    def key(self, key, code=None, modifiers=0):
        """Presses a key: " ", "ArrowLeft", "f"."""
        text = {"text": key} if len(key) == 1 else {}
        if code is None:
            code = {" ": "Space"}.get(key) or (f"Key{key.upper()}" if len(key) == 1 and key.isalpha() else f"Digit{key}" if key.isdigit() else key)
        virtual = ord(key.upper()) if len(key) == 1 else {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36,
                                                         "End": 35, "Escape": 27, "Enter": 13, "Tab": 9}.get(key, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=code, modifiers=modifiers, windowsVirtualKeyCode=virtual, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=code, modifiers=modifiers, windowsVirtualKeyCode=virtual)

    def middle(self, selector):
        """The middle of an element, in the page's pixels."""
        return self.js(f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
        self.browser.pages.pop(self.session, None)

"""A server of the page under the test's control: the page of lib/view/page, and records that the test sends, when and as it wants.

    with Fake() as server:
        page.open(server.url)
        client = server.client()       # the connection that the page has made
        client.send(record)            # numbered by itself
        client.heard                   # what the page said, as JSON
"""
import base64
import hashlib
import json
import os
import re
import socket
import struct
import threading
import time

from devtools import PATIENCE, Wrong
from wire import numbered

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib/view/page")
TYPES = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript"}
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
          "frame-ancestors 'none'")
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def bundle():
    """The page's modules as one, as the build makes it."""
    out = []
    for name in open(PAGE + "/order").read().split():
        for line in open(f"{PAGE}/{name}", encoding="utf-8"):
            if not line.startswith("import "):
                out.append(re.sub("^export ", "", line))
    return "".join(out).encode()


class Client:
    """One WebSocket connection."""

    def __init__(self, sock):
        self.sock, self.seq, self.heard, self.gone = sock, 0, [], False

    def raw(self, data, code=2):
        head = bytes([0x80 | code])
        n = len(data)
        head += bytes([n]) if n < 126 else struct.pack(">BH", 126, n) if n < 65536 else struct.pack(">BQ", 127, n)
        self.sock.sendall(head + data)

    def send(self, *records):
        for data in records:
            self.seq += 1
            self.raw(numbered(data, self.seq))

    def listen(self, stream):
        while len(head := stream.read(2)) == 2:
            n = head[1] & 127
            if n > 125:
                n = int.from_bytes(stream.read(2 if n == 126 else 8), "big")
            mask = stream.read(4)
            body = bytes(b ^ mask[k % 4] for k, b in enumerate(stream.read(n)))
            if head[0] & 15 == 1:
                self.heard.append(json.loads(body))
            elif head[0] & 15 == 8:
                break
        self.gone = True

    def wait(self, test, what):
        """Waits until something that the page said passes the test, and returns it."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for message in list(self.heard):
                if test(message):
                    return message
            time.sleep(0.01)
        raise Wrong(f"the page did not say {what}; it said {self.heard[-5:]}")

    def drop(self):
        """The connection breaks, without a word."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Fake:
    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.clients, self.taken, self.asked = [], 0, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        stream = sock.makefile("rb")
        try:
            words = stream.readline().split()
            headers = {}
            while line := stream.readline().strip():
                key, _, value = line.partition(b":")
                headers[key.decode().lower()] = value.strip().decode()
            if len(words) < 2:
                return
            path = words[1].decode().split("?")[0]
            self.asked.append(path)
            if "sec-websocket-key" in headers:
                accept = base64.b64encode(hashlib.sha1((headers["sec-websocket-key"] + MAGIC).encode()).digest()).decode()
                sock.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              f"Sec-WebSocket-Accept: {accept}\r\n"
                              + (f"Sec-WebSocket-Protocol: {headers['sec-websocket-protocol']}\r\n" if "sec-websocket-protocol" in headers else "")
                              + "\r\n").encode())
                client = Client(sock)
                self.clients.append(client)
                client.listen(stream)
                return
            body, status = self.file(path)
            kind = TYPES.get(path.rsplit(".", 1)[-1], "text/html; charset=utf-8")
            sock.sendall(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
                         f"Content-Security-Policy: {POLICY}\r\n\r\n".encode() + body)
        except OSError:
            pass
        finally:
            sock.close()

    def file(self, path):
        if path == "/page.js":
            return bundle(), "200 OK"
        name = os.path.basename(path) or "index.html"
        try:
            with open(f"{PAGE}/{name}", "rb") as f:
                return f.read(), "200 OK"
        except OSError:
            return b"", "404 Not Found"

    def client(self):
        """The next connection that was made."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if len(self.clients) > self.taken:
                self.taken += 1
                return self.clients[self.taken - 1]
            time.sleep(0.01)
        raise Wrong(f"the page did not connect; it asked for {self.asked}")

    def close(self):
        self.listener.close()
        for client in self.clients:
            client.drop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

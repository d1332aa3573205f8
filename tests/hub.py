#!/usr/bin/python3
"""A hub of models on the loopback, with TLS, for tests of e3-model fetch: hub.py FOLDER.

FOLDER holds cert.pem and key.pem, `data` (the file that is served) and `mode` (words, read at every request). Two servers: the hub on
127.0.0.1, and on 127.0.0.2 where the data lies; FOLDER/ports has their ports. Each request is a line of FOLDER/log: hub or data, the path,
and the headers Range, If-Range and Authorization. Words of `mode`, with a number after a colon:

    status:N     the hub answers N                  nosum        no SHA-256             direct    the hub has the data itself
    error:N      the data's server answers N, once  wrong        a byte is another one  whole     no ranges: always the whole file
    cut:N        every answer ends after N bytes    stall:N      nothing comes after N bytes
    moved        the hub's address is another one   away         the hub sends to another host without saying anything of the file
    endless:N    the data's server answers N, and a body without an end
    slow         16 KiB every 80 ms                 plain        the data is at an address without TLS
"""
import hashlib
import http.server
import os
import ssl
import sys
import threading
import time

folder = sys.argv[1]
ports = {}


def mode():
    words = open(f"{folder}/mode", encoding="ascii").read().split()
    return {w.split(":")[0]: int(w.split(":")[1]) if ":" in w else True for w in words}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", headers.get("Content-Length", len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        said = " ".join(f"{k}={self.headers[k]}" for k in ("Range", "If-Range", "Authorization") if self.headers[k])
        with open(f"{folder}/log", "a", encoding="utf-8") as f:
            f.write(f"{self.server.name} {self.path} {said}".rstrip() + "\n")
        try:
            getattr(self, self.server.name)(mode(), open(f"{folder}/data", "rb").read())
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass
        self.close_connection = True

    def hub(self, m, data):
        facts = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        away = {"Location": "http://data.invalid/1" if "plain" in m else f"https://127.0.0.2:{ports['data']}/store/1?signed=yes"}
        if "status" in m:
            self.answer(m["status"], {"X-Error-Message": "Access to this model is restricted."}, b"<html>")
        elif "moved" in m and "/other/" not in self.path:
            self.answer(307, {"Location": "/other" + self.path})
        elif "direct" in m:
            self.send(m, data, {} if "nosum" in m else facts)
        else:
            self.answer(302, away if "nosum" in m or "away" in m else facts | away)

    def data(self, m, data):
        if "error" in m:
            open(f"{folder}/mode", "w").write("")
            self.answer(m["error"], {})
        elif "endless" in m:
            self.send_response(m["endless"])
            self.end_headers()
            while True:
                self.wfile.write(bytes(65536))
        else:
            self.send(m, data, {})

    def send(self, m, data, facts):
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        first = 0
        if "wrong" in m:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if self.headers["Range"] and "whole" not in m and self.headers["If-Range"] in (None, tag):
            first = int(self.headers["Range"].split("=")[1].rstrip("-"))
        self.send_response(206 if first else 200)
        for key, value in facts.items():
            self.send_header(key, value)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(data) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        part = data[first:]
        limit = m.get("cut", m.get("stall", len(part)))
        for at in range(0, min(limit, len(part)), 16384):
            self.wfile.write(part[at:min(at + 16384, limit)])
            if "slow" in m:
                time.sleep(0.08)
        self.wfile.flush()
        if "stall" in m and limit < len(part):
            time.sleep(600)


def serve(name, host):
    server = http.server.ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads, server.name = True, name
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    # The handshake is each connection's own, so that one that waits keeps no other from being accepted.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    ports[name] = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()


serve("data", "127.0.0.2")
serve("hub", "127.0.0.1")
with open(f"{folder}/ports.tmp", "w", encoding="ascii") as f:
    f.write(f"{ports['hub']} {ports['data']}\n")
os.rename(f"{folder}/ports.tmp", f"{folder}/ports")
while os.path.exists(f"{folder}/ports"):
    time.sleep(0.2)

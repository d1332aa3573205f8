#!/usr/bin/python3
"""A camera as cheap ones are, in the network: http_camera.py PORT [FILE]. Pictures of 64 x 48, 20 a second, as parts of one HTTP answer.
/cam goes on for ever, /short ends after 20 pictures as the protocol has it (the last chunk), /cut by a connection that breaks off in
the middle of a picture. /file is FILE, with its length, and /part a quarter less of it. Says "ready", and "GET PATH" for each question;
ends with its standard input."""
import http.server
import io
import os
import sys
import threading
import time

from PIL import Image

BOUNDARY = "e3frame"


def picture(k):
    to = io.BytesIO()
    Image.new("RGB", (64, 48), (4 * k % 256, 128, 0)).save(to, "JPEG")
    return to.getvalue()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def do_GET(self):
        print("GET", self.path, flush=True)
        self.close_connection = True
        if self.path in ("/file", "/part"):
            data = open(sys.argv[2], "rb").read()
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data if self.path == "/file" else data[:len(data) * 3 // 4])
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=" + BOUNDARY)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        begun = time.monotonic()
        for k in range(1 << 30 if self.path == "/cam" else 20):
            jpeg = picture(k)
            if self.path == "/cut" and k == 19:
                jpeg = jpeg[:100]
            self.chunk(f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode() + jpeg + b"\r\n")
            time.sleep(max(0, begun + 0.05 * (k + 1) - time.monotonic()))
        if self.path == "/short":
            self.wfile.write(b"0\r\n\r\n")


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
server.handle_error = lambda *who: None  # clients that leave
print("ready", flush=True)
sys.stdin.read()
os._exit(0)

#!/usr/bin/python3
"""A client of e3-view, written without a WebSocket library so that it can misbehave.

    view_client.py take URL SECONDS [JSON...]   sends the messages, acknowledges what comes, and prints counts by type of record as
                                                JSON once `until` holds or the time is over
"""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import time
from urllib.parse import urlsplit

GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
NAMES = ['', 'hello', 'frame', 'picture', 'depth', 'confidence', 'kept', 'correct', 'chunk', 'status']


def connect(url, timeout=120):
    """A socket to the server of the URL."""
    u = urlsplit(url)
    s = socket.create_connection((u.hostname, u.port), timeout)
    if u.scheme == 'https':
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        s = context.wrap_socket(s)
    return s


def request(url, path=None, method='GET', **headers):
    """The bytes of a request; a header given as None is left out."""
    u = urlsplit(url)
    path = path or u.path + ('?' + u.query if u.query else '')
    lines = {'Host': u.netloc, **{k.replace('_', '-'): v for k, v in headers.items()}}
    return ('%s %s HTTP/1.1\r\n' % (method, path) +
            ''.join('%s: %s\r\n' % (k, v) for k, v in lines.items() if v is not None) + '\r\n').encode()


def read_head(s):
    """Status, headers and the first bytes of the body; status 0 where the server hangs up."""
    got = b''
    while b'\r\n\r\n' not in got:
        try:
            part = s.recv(65536)
        except ConnectionError:
            part = b''
        if not part:
            return 0, {}, got
        got += part
    head, body = got.split(b'\r\n\r\n', 1)
    first, *lines = head.decode('latin-1').split('\r\n')
    return int(first.split()[1]), {k.lower(): v.strip() for k, v in (x.split(':', 1) for x in lines)}, body


def get(url, path=None, **headers):
    with connect(url) as s:
        s.sendall(request(url, path, **headers))
        status, head, body = read_head(s)
        while status and headers.get('method') != 'HEAD' and len(body) < int(head.get('content-length', 0)):
            part = s.recv(65536)
            if not part:
                break
            body += part
        return status, head, body


def ws_path(url):
    u = urlsplit(url)
    return '/ws' + ('?' + u.query if u.query else '')


class Client:
    """A WebSocket. Raises Refused where the handshake fails."""

    class Refused(Exception):
        pass

    def __init__(self, url, path=None, timeout=120, **headers):
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {'Upgrade': 'websocket', 'Connection': 'Upgrade', 'Sec_WebSocket_Key': key, 'Sec_WebSocket_Version': '13', **headers}
        self.s = connect(url, timeout)
        self.s.sendall(request(url, path or ws_path(url), **headers))
        status, head, self.rest = read_head(self.s)
        if status != 101:
            self.s.close()
            raise self.Refused('%d %s' % (status, self.rest.decode(errors='replace').strip()))
        want = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        assert head['sec-websocket-accept'] == want
        self.closed = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def frame(self, payload, opcode=1, final=True, masked=True, length=None):
        """A frame as it is, right or wrong."""
        n = len(payload) if length is None else length
        head = bytes([(0x80 if final else 0) | opcode])
        bit = 0x80 if masked else 0
        head += bytes([bit | n]) if n < 126 else bytes([bit | 126]) + struct.pack('>H', n) if n < 65536 else bytes([bit | 127]) + struct.pack('>Q', n)
        mask = os.urandom(4) if masked else b''
        if masked:
            payload = bytes(b ^ mask[k % 4] for k, b in enumerate(payload))
        self.s.sendall(head + mask + payload)

    def say(self, value):
        self.frame(json.dumps(value).encode())

    def exactly(self, n):
        while len(self.rest) < n:
            part = self.s.recv(1 << 20)
            if not part:
                raise ConnectionError('closed')
            self.rest += part
        out, self.rest = self.rest[:n], self.rest[n:]
        self.taken += out
        return out

    def next(self):
        """The next record; None after a close, whose code and text are in self.closed."""
        while True:
            self.taken = b''
            try:
                first, second = self.exactly(2)
                n = second & 127
                if n > 125:
                    n = struct.unpack('>H', self.exactly(2))[0] if n == 126 else struct.unpack('>Q', self.exactly(8))[0]
                body = self.exactly(n)
            except ConnectionError:
                self.closed = self.closed or (0, '')
                return None
            except (TimeoutError, socket.timeout):
                self.rest = self.taken + self.rest  # a part of a frame has come
                raise
            opcode = first & 15
            if opcode == 8:
                self.closed = (struct.unpack('>H', body[:2])[0], body[2:].decode()) if len(body) >= 2 else (1005, '')
                return None
            if opcode == 9:
                self.frame(body, 10)
            elif opcode == 2:
                return Record(body)


class Record:
    def __init__(self, bytes_):
        self.bytes = bytes_
        size, type_, self.run, self.flags, self.n, self.seq = struct.unpack('<IBBHII', bytes_[:16])
        assert size == len(bytes_) and size % 4 == 0, (size, len(bytes_))
        self.type, self.body = NAMES[type_], bytes_[16:]

    def json(self):
        return json.loads(self.body.rstrip(b'\0'))

    def points(self):
        """(count, offset, total) of a chunk."""
        return struct.unpack('<III', self.body[:12])


def take(url, seconds, *messages, until=None):
    """Records for so long, or until a function of all so far holds."""
    out, end = [], time.monotonic() + seconds
    with Client(url, timeout=seconds) as c:
        for m in messages:
            c.say(m)
        while time.monotonic() < end:
            c.s.settimeout(max(0.01, end - time.monotonic()))
            try:
                r = c.next()
            except (TimeoutError, socket.timeout):
                break
            if r is None:
                break
            out.append(r)
            c.say({'ack': r.seq})
            if until and until(out):
                break
    return out


def summary(records):
    counts = {}
    for r in records:
        counts[r.type] = counts.get(r.type, 0) + 1
    return counts


if __name__ == '__main__':
    if sys.argv[1] == 'take':
        got = take(sys.argv[2], float(sys.argv[3]), *map(json.loads, sys.argv[4:]))
        print(json.dumps(summary(got)))

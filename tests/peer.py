#!/usr/bin/python3
"""Peers of other kinds, written with nothing of e3: peer.py WHAT ADDRESS [ARGUMENT]. Each ends by itself, at the latest after two minutes.

push FILE          sends the messages of a stream with a plain PUSH socket
pull               prints how many messages came with a plain PULL socket, to the end of the stream
sub                prints how many messages came within 3 s with a plain SUB socket, and the kind of the first
parts, short, noise, kind, head, length   sends a good head and then what a reader has to refuse
huge PORT          (ADDRESS is a host) claims, in the ZeroMQ protocol itself, a message of a tebibyte
stray PORT         (ADDRESS is a host) three clients that are no peers: one says nothing, one speaks HTTP, one the oldest ZeroMQ protocol
ssh PORT           (ADDRESS is a host) is a server of another protocol; prints "listening"
"""
import socket
import struct
import sys
import time

import msgpack
import zmq


def message(kind, **fields):
    body = msgpack.packb(fields)
    return struct.pack(">BIB", 0xC9, len(body), kind) + body


HEAD = message(1, v=1, tool="peer", version="1", source="-", frames=None, fps=0)
BAD = {"parts": [b"\xc9", b"rest"], "short": [b"\xc9\0\0"], "noise": [b"GET / HTTP/1.1\r\n\r\n"], "kind": [message(99, i=0)],
       "head": [message(1, v=1, tool="x" * 70000)], "length": [struct.pack(">BIB", 0xC9, 1000, 2) + b"\x80"]}


def messages(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        n = 6 + struct.unpack(">I", data[at + 1:at + 5])[0]
        yield data[at:at + n]
        at += n


def send(address, parts):
    sock = zmq.Context.instance().socket(zmq.PUSH)
    sock.linger = 120000
    sock.connect(address)
    for part in parts:
        sock.send_multipart(part) if isinstance(part, list) else sock.send(part)
    time.sleep(0.5)  # fixed: the receiver reads, or refuses, while this side is still connected
    sock.close()


def receive(kind, address):
    sock = zmq.Context.instance().socket(kind)
    sock.linger = 0
    if kind == zmq.SUB:
        sock.subscribe(b"")
    sock.connect(address)
    came, until = [], time.monotonic() + (3 if kind == zmq.SUB else 120)
    while (left := until - time.monotonic()) > 0:
        if sock.poll(int(left * 1000) + 1):
            came.append(sock.recv()[5])
            if came[-1] in (6, 7):
                break
    print(len(came), *came[:1] if kind == zmq.SUB else ())
    sock.close()


def huge(host, port):
    with socket.create_connection((host, int(port)), 120) as s:
        s.settimeout(120)
        s.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31))
        ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"
        s.sendall(b"\x04" + bytes([len(ready)]) + ready)
        time.sleep(0.5)  # fixed: the handshake is over before the message comes
        s.sendall(b"\x00" + bytes([len(HEAD)]) + HEAD + b"\x02" + struct.pack(">Q", 1 << 40) + bytes(1000))
        time.sleep(0.5)  # fixed: the receiver sees the size before the connection closes


def stray(host, port):
    for hello in (b"", b"GET / HTTP/1.1\r\nHost: e3\r\n\r\n", b"\x01\x00" + bytes([len(HEAD) + 1]) + b"\x00" + HEAD):
        with socket.create_connection((host, int(port)), 120) as s:
            s.sendall(hello)
            time.sleep(0.3)  # fixed: the listener reads this before the connection closes


def ssh(host, port):
    with socket.create_server((host, int(port))) as server:
        print("listening", flush=True)
        server.settimeout(120)
        clients = []
        try:
            while True:
                clients.append(server.accept()[0])
                clients[-1].sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        except TimeoutError:
            pass


def main():
    what, address, *rest = sys.argv[1:]
    if what == "push":
        send(address, messages(rest[0]))
    elif what in ("pull", "sub"):
        receive(zmq.PULL if what == "pull" else zmq.SUB, address)
    elif what in ("huge", "stray", "ssh"):
        {"huge": huge, "stray": stray, "ssh": ssh}[what](address, rest[0])
    else:
        bad = BAD[what]
        send(address, [HEAD, bad if len(bad) > 1 else bad[0]])


main()

#!/usr/bin/python3
"""Small messages through three stages: flat_stages.py N ADDRESS ADDRESS. Starts e3-cat three times, from a pipe to one address, to the
other, to a pipe; sends N frames, checks that what comes out is what went in, and compares the stages' resident memory at a tenth
and at nine tenths of the stream. Exit 1 when it grew by more than 1 MiB."""
import hashlib
import struct
import subprocess
import sys
import threading

import msgpack


def message(kind, **fields):
    body = msgpack.packb(fields)
    return struct.pack(">BIB", 0xC9, len(body), kind) + body


def messages(n):
    rgb = {"dtype": "u8", "shape": [1, 2, 3], "data": b"123456"}
    yield message(1, v=1, tool="flat", version="1", source="-", frames=n, fps=0)
    for i in range(n):
        yield message(2, i=i, pts=i, src_i=i, src_w=2, src_h=1, rot=0, fit=[1, 1, 0, 0], w=2, h=1, rgb=rgb)
    yield message(6, frames=n, seconds=0)


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def feed(to, n, digest, measured):
    for k, m in enumerate(messages(n)):
        to.write(m)
        digest.update(m)
        if k == n * 9 // 10:  # the rest could lie in sockets while the first stages end
            to.flush()
            measured.wait(60)
    to.close()


def main():
    n, first, second = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    last = subprocess.Popen(["e3-cat", "zmq:pull:" + second], stdout=subprocess.PIPE)
    middle = subprocess.Popen(["e3-cat", "zmq:pull:" + first, "zmq:push:" + second])
    begin = subprocess.Popen(["e3-cat", "-", "zmq:push:" + first], stdin=subprocess.PIPE)
    stages, sent, came, memory = (begin, middle, last), hashlib.sha256(), hashlib.sha256(), {}
    measured = threading.Event()
    feeder = threading.Thread(target=feed, args=(begin.stdin, n, sent, measured))
    feeder.start()
    for k in range(n + 2):
        envelope = last.stdout.read(6)
        if len(envelope) < 6:
            break
        came.update(envelope + last.stdout.read(struct.unpack(">I", envelope[1:5])[0]))
        if k in (n // 10, n * 9 // 10):
            memory[k] = [resident(p.pid) for p in stages]
            if len(memory) == 2:
                measured.set()
    measured.set()
    feeder.join()
    codes = [p.wait(30) for p in stages]
    print(f"# resident KiB of the stages: {memory}")
    if codes != [0, 0, 0] or sent.digest() != came.digest():
        print(f"exit {codes}; what came is {'' if sent.digest() == came.digest() else 'not '}what was sent")
        return 1
    grown = max(b - a for a, b in zip(*memory.values()))
    return int(grown > 1024)


sys.exit(main())

#!/usr/bin/python3
"""Listens on a network interface, and looks for pictures in what it heard.

wiretap.py listen INTERFACE FILE   writes the payload of every TCP packet to FILE, after SIGTERM until none comes; says "listening" when it does
wiretap.py find FILE STREAM        how many of the samples of STREAM's pictures (32 bytes each) are in FILE: "FOUND of ALL"
"""
import signal
import socket
import sys

from e3read import stream

ALL_PROTOCOLS, OUTGOING = 3, 4


def payload(packet):
    """The bytes a TCP packet carries (IPv4 on Ethernet), or nothing."""
    if packet[12:14] != b"\x08\x00" or packet[23] != 6:
        return b""
    ip = (packet[14] & 15) * 4
    end = 14 + int.from_bytes(packet[16:18], "big")
    start = 14 + ip + (packet[14 + ip + 12] >> 4) * 4
    return packet[start:end] if end > start else packet[start:]  # a length of 0: more than 64 KiB, put together by the system


def listen(interface, path):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    tap.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE: beyond the limit of the system
    tap.bind((interface, 0))
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    tap.settimeout(0.3)
    with open(path, "wb") as out:
        print("listening", flush=True)
        while True:
            try:
                out.write(payload(tap.recv(1 << 18)))
            except TimeoutError:
                if stopped:
                    break


def samples(path):
    """Pieces of picture rows that are not one colour."""
    for kind, m in stream(path):
        if "rgb" in m:
            for row in m["rgb"][::8]:
                piece = row.tobytes()[60:92]
                if len(set(piece)) > 8:
                    yield piece


def main():
    if sys.argv[1] == "listen":
        listen(*sys.argv[2:])
    heard = open(sys.argv[2], "rb").read()
    wanted = list(samples(sys.argv[3]))
    print(sum(piece in heard for piece in wanted), "of", len(wanted))


main()

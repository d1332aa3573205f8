#!/usr/bin/python3
"""Memory over a long stream: flat.py FRAMES COMMAND...  Runs COMMAND (an e3-infer that reads standard input), counts the
predictions it writes and prints its resident memory at frames 100, 300, 1000, ... and FRAMES, in MiB, and their ratio."""
import struct
import subprocess
import sys


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmRSS"))


def marks(total):
    return sorted({m for m in (100, 300, 1000, 3000, 10000, 30000, 100000) if m < total} | {total})


def main():
    total, command = int(sys.argv[1]), sys.argv[2:]
    at = marks(total)
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    seen, memory = 0, {}
    while envelope := child.stdout.read(6):
        _, length, kind = struct.unpack(">BIB", envelope)
        child.stdout.read(length)
        if kind == 3:
            seen += 1
            if seen in at:
                memory[seen] = resident(child.pid)
    if child.wait() != 0 or seen != total:
        print(f"exit {child.returncode} after {seen} of {total} frames", file=sys.stderr)
        return 1
    print("  ".join(f"{n}: {m:.1f}" for n, m in memory.items()), f" frame {total} / frame 100: {memory[total] / memory[100]:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""The rows that the parts of `make gpu` leave behind, and the table that it ends with.

A part adds a row with `row`, where GPU_ROWS names the file: one JSON list a line. Without GPU_ROWS nothing is kept: a part run alone
prints as before. A shell script adds one with `table.py add PART WHAT VALUE [BOUND [ok|bad|skipped]]`. `table.py show FILE` prints the
table; exit 1 if a row is bad.
"""
import json
import os
import sys


def row(part, what, value, bound="", ok=True):
    """ok: True, False, or None for what was left out. Returns ok, so that it can stand in a condition."""
    path = os.environ.get("GPU_ROWS")
    if path:
        with open(path, "a") as f:
            f.write(json.dumps([part, what, str(value), str(bound), ok]) + "\n")
    return ok


def read(path):
    """A part that was killed may have left half a line."""
    rows = []
    with open(path) as f:
        for line in f:
            try:
                rows.append(json.loads(line))
            except ValueError:
                rows.append(["table", "a row that is no JSON", line.strip()[:40], "", False])
    return rows


def show(path):
    rows, last = read(path), None
    wide = max([len(r[1]) for r in rows] + [20])
    print(f"{'part':10s} {'what':{wide}s} {'value':>34s}  bound")
    for part, what, value, bound, ok in rows:
        mark = {True: "", False: "  NOT OK", None: "  (left out)"}[ok]
        print(f"{part if part != last else '':10s} {what:{wide}s} {value:>34s}  {bound}{mark}".rstrip())
        last = part
    bad = sum(r[4] is False for r in rows)
    out = sum(r[4] is None for r in rows)
    print(f"{len(rows)} rows: {bad} not ok, {out} left out")
    return 1 if bad else 0


def main():
    if sys.argv[1:2] == ["show"] and len(sys.argv) == 3:
        return show(sys.argv[2])
    if sys.argv[1:2] == ["add"] and 5 <= len(sys.argv) <= 7:
        words = sys.argv[2:] + ["", "ok"][len(sys.argv) - 5:]
        row(*words[:4], ok={"ok": True, "bad": False, "skipped": None}[words[4]])
        return 0
    print("table.py add PART WHAT VALUE [BOUND [ok|bad|skipped]] | show FILE", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""The rows that the parts of `make gpu` leave behind (tests/gpu/all.py), and the table that it ends with.

A part adds a row with `row`: all.py says in which file (GPU_ROWS: a JSON list a line) and under which part (GPU_PART). A row of the same
part and name takes the place of the earlier one. A part that was stopped goes on where it was: it leaves out the rows that are `done`.
Without GPU_ROWS nothing is kept and nothing is done: a part run alone prints as before. A shell script adds one with
`table.py add WHAT VALUE [BOUND [ok|bad|skipped]]` and asks with `table.py done WHAT`.
"""
import json
import os
import sys

ALL = "all of it"  # the row with which all.py closes a part


def row(what, value, bound="", ok=True):
    """ok: True, False, or None for what was left out. Returns ok, so that it can stand in a condition."""
    path = os.environ.get("GPU_ROWS")
    if path:
        add(path, os.environ["GPU_PART"], what, value, bound, ok)
    return ok


def add(path, part, what, value, bound="", ok=True):
    """In one write, since parts that run side by side share the file."""
    with open(path, "a") as f:
        f.write(json.dumps([part, what, str(value), str(bound), ok if ok is None else bool(ok)]) + "\n")


def done(what):
    """Does an earlier run of this part have the row, good or bad?"""
    path = os.environ.get("GPU_ROWS")
    return bool(path) and read(path).get((os.environ["GPU_PART"], what), ["", "", None])[2] is not None


def read(path):
    """By part and name: value, bound, ok. A part that was killed may have left half a line."""
    rows = {}
    if os.path.exists(path):
        with open(path) as f:
            for line in f:
                try:
                    part, what, *rest = json.loads(line)
                except ValueError:
                    part, what, rest = "table", "a row that is no JSON", [line.strip()[:40], "", False]
                rows[part, what] = rest
    return rows


def show(rows):
    """The table as text: part after part, what closes a part as its last row."""
    parts = list(dict.fromkeys(part for part, _ in rows))
    order = sorted(rows, key=lambda k: (parts.index(k[0]), k[1] == ALL))
    wide, last = max([len(what) for _, what in rows] + [20]), None
    lines = [f"{'part':10s} {'what':{wide}s} {'value':>34s}  bound"]
    for part, what in order:
        value, bound, ok = rows[part, what]
        mark = {True: "", False: "  NOT OK", None: "  (left out)"}[ok]
        lines.append(f"{part if part != last else '':10s} {what:{wide}s} {value:>34s}  {bound}{mark}".rstrip())
        last = part
    count = [ok for _, _, ok in rows.values()]
    return "\n".join(lines + [f"{len(rows)} rows: {count.count(False)} not ok, {count.count(None)} left out"])


def main():
    if sys.argv[1:2] == ["add"] and 4 <= len(sys.argv) <= 6:
        words = sys.argv[2:] + ["", "ok"][len(sys.argv) - 4:]
        row(*words[:3], ok={"ok": True, "bad": False, "skipped": None}[words[3]])
        return 0
    if sys.argv[1:2] == ["done"] and len(sys.argv) == 3:
        return 0 if done(sys.argv[2]) else 1
    print("table.py add WHAT VALUE [BOUND [ok|bad|skipped]] | done WHAT", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

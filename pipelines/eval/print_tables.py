"""print_tables.py [--json] OUT ROWS: the tables of what run.sh measured, averaged as the papers' scripts average, beside the published
figures. ROWS has a line TABLE|ROW|SET|TASK|STRIDE|KEEP|FOLDER|FIGURES for each row. Exit 1 when a row lacks sequences."""
import glob
import json
import os
import sys

# title, factor, digits
WHAT = {"abs_rel": ("Abs Rel", 1, 3), "d1": ("δ<1.25 %", 100, 1), "ate": ("ATE", 1, 3), "rpe_t": ("RPE trans", 1, 3),
        "rpe_r": ("RPE rot", 1, 3), "acc": ("Acc", 1, 3), "comp": ("Comp", 1, 3), "nc": ("NC", 1, 3), "acc_med": ("median Acc", 1, 3),
        "comp_med": ("Comp", 1, 3), "nc_med": ("NC", 1, 3), "auc30": ("AUC@30", 100, 1), "memory": ("GB", 1 / 2**30, 2)}
KEY = {"depth": "depth", "video-depth": "video_depth", "recon": "recon", "pose": "pose", "pairs": "pairs"}
WEIGHT = {"depth": "pixels", "video-depth": "pixels"}
SOURCE = {"evict3r": "Evict3R, arXiv 2509.17650", "streamvggt": "StreamVGGT, arXiv 2507.11539",
          "estream": "eStreamVGGT, supplementary tables of github.com/UniverseXing/eStreamVGGT",
          "long": "long sequences, doc/evaluation.md 9.4"}


class Tables:
    """What was read on the way: which weights, devices and versions the figures come from, how memory was counted."""

    def __init__(self):
        self.weights, self.versions, self.memory = set(), set(), set()

    def figures(self, path, task):
        """Of one sequence (or category): the only alignment that was asked for, and the memory it took."""
        with open(path) as f:
            report = json.load(f)
        self.versions.add(report["version"])
        runs = [s for s in report["sequences"] if s.get("model")]
        self.weights.update(f"{s['model']} on {s['device']}" for s in runs)
        used = [s.get("device_used") or s.get("peak_rss") or 0 for s in runs]
        self.memory.update("GPU" if s.get("device_used") else "CPU" for s in runs)
        return dict(next(iter(report["average"][KEY[task]].values())), memory=max(used, default=0))


def average(task, rows, key):
    """None: there is nothing to average."""
    rows = [r for r in rows if r.get(key) is not None]
    if not rows:
        return None
    if key == "memory":  # the papers print the highest
        return max(r[key] for r in rows)
    if task == "pose":  # the papers average what was written with six decimals
        return sum(round(r[key], 6) for r in rows) / len(rows)
    weight = [r[WEIGHT[task]] if task in WEIGHT else 1 for r in rows]
    return sum(w * r[key] for w, r in zip(weight, rows)) / sum(weight) if sum(weight) else None


def wanted(folder, task):
    """(how many are published, how many of them are whole here, what is wrong with the first that is not)"""
    published = whole = 0
    why = ""
    seen = set()
    with open(os.path.join(folder, "list")) as f:
        for line in f:
            if line.startswith("#"):
                continue
            name, _, _, _, _, is_published, missing = line.rstrip("\n").split("\t")
            name = name.split("/")[0] if task == "pairs" else name
            if is_published != "yes" or name in seen:
                continue
            seen.add(name)
            published += 1
            whole += missing == "-"
            if missing != "-" and not why:
                why = missing if missing != "not found" else f"{name}: not found"
    return published, whole, why


def reason(path):
    """Why a sequence failed: a stage that was killed, or the last message."""
    with open(path, errors="replace") as f:
        said = f.read().strip().splitlines() or ["no message"]
    return next((line for line in said if "was ended by signal" in line), said[-1])


def measured(tables, folder, task):
    """The figures there are, what to say of them, and whether that is all of them."""
    none = os.path.join(folder, "none")
    if os.path.exists(none):
        with open(none) as f:
            return [], f.read().strip(), False
    if not os.path.exists(os.path.join(folder, "list")):
        return [], "not measured", False
    published, whole, why = wanted(folder, task)
    rows = [tables.figures(p, task) for p in sorted(glob.glob(os.path.join(glob.escape(folder), "*.json")))]
    failed = sorted(glob.glob(os.path.join(glob.escape(folder), "*.err")))
    note = f"{len(rows)} of {published}"
    if failed:
        note += f"; {len(failed)} failed, first {os.path.basename(failed[0])[:-4]}: {reason(failed[0])}"
    elif len(rows) < whole:
        note += f"; {whole - len(rows)} not yet measured"
    elif len(rows) < published and why:
        note += f"; {why}"
    return rows, note, len(rows) == published


def cells(task, have, published):
    """[(key, ours, theirs, mark)]: theirs is a number, a word, or None; mark is "?" where it is doubtful."""
    out = []
    for item in published.split():
        key, text = item.split("=")
        mark, text = ("?", text[:-1]) if text.endswith("?") else ("", text)
        try:
            theirs = None if text == "-" else float(text) * (2**30 if key == "memory" else 1)
        except ValueError:
            theirs = text
        out.append((key, average(task, have, key), theirs, mark))
    return out


def selection(frames):
    """Which frames of a sequence, in words."""
    if frames == "-":
        return ""
    every, _, most = frames.removeprefix("whole:").partition(":")
    ordinal = every + {"2": "nd", "3": "rd"}.get(every, "th")
    return ("" if every == "1" else f" every {ordinal}") + (f" {most} frames" if most else "")


def show(key, value):
    _, factor, digits = WHAT[key]
    return "-" if value is None else value if isinstance(value, str) else f"{factor * value:.{digits}f}"


def lines_of(out, name):
    path = os.path.join(out, name)
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return f.read().splitlines()


def print_text(out, tables, done):
    for table in dict.fromkeys(r["table"] for r in done):
        print(f"{table}: {SOURCE[table.split('-')[0]]}; ours / published")
        for r in (r for r in done if r["table"] == table):
            text = "   ".join(f"{WHAT[k][0]} {show(k, ours)} / {show(k, theirs)}{mark}" for k, ours, theirs, mark in r["cells"])
            print(f"  {r['set'] + selection(r['stride']):<20} {r['row']:<12} {text}   ({r['note']})")
        print()
    if tables.weights:
        print("weights: " + ", ".join(sorted(tables.weights)))
    for line in lines_of(out, "identity"):
        print(line)
    for line in lines_of(out, "machines"):
        print(f"ran: {line}")
    if len(tables.versions) > 1:
        print("versions differ: figures come from e3 " + ", ".join(sorted(tables.versions)))
    shown = [c for r in done for c in r["cells"]]
    if any(c[0] == "memory" for c in shown) and tables.memory:
        what = {"GPU": "GPU memory e3-infer took", "CPU": "highest resident memory of e3-infer on the CPU"}
        print("GB (2^30 bytes): " + ", ".join(what[m] for m in sorted(tables.memory)) + "; published: PyTorch's peak allocated")
    if any(c[3] for c in shown):
        print("?: a figure from one place only, or recalled")


def print_json(out, tables, done):
    rows = [dict(r, figures={k: {"ours": ours, "published": theirs, "doubtful": bool(mark)} for k, ours, theirs, mark in r["cells"]}) for r in done]
    for r in rows:
        del r["cells"]
    json.dump({"rows": rows, "weights": sorted(tables.weights), "versions": sorted(tables.versions), "identity": lines_of(out, "identity"),
               "machines": lines_of(out, "machines"), "memory": sorted(tables.memory)}, sys.stdout, ensure_ascii=False)
    print()


def main(args):
    as_json = args[:1] == ["--json"]
    out, rows_path = args[as_json:]
    with open(rows_path) as f:
        rows = [line.rstrip("\n").split("|") for line in f]
    tables, done = Tables(), []
    for table, row, name, task, stride, keep, folder, published in rows:
        have, note, complete = measured(tables, folder, task)
        done.append({"table": table, "source": SOURCE[table.split("-")[0]], "row": row, "set": name, "task": task, "stride": stride,
                     "infer": keep.replace(",", " "), "sequences": len(have), "complete": complete, "note": note,
                     "cells": cells(task, have, published)})
    (print_json if as_json else print_text)(out, tables, done)
    return 0 if all(r["complete"] for r in done) else 1


sys.exit(main(sys.argv[1:]))

"""print_tables.py OUT ROWS: the tables of what run.sh measured, averaged as the papers' scripts average, beside the published figures.
ROWS has a line TABLE|ROW|SET|TASK|STRIDE|KEEP|FOLDER|FIGURES for each row. Exit 1 when a row lacks sequences."""
import glob
import json
import os
import sys

WHAT = {"abs_rel": ("Abs Rel", 1), "d1": ("δ<1.25 %", 100), "ate": ("ATE", 1), "rpe_t": ("RPE trans", 1), "rpe_r": ("RPE rot", 1),
        "acc": ("Acc", 1), "comp": ("Comp", 1), "nc": ("NC", 1), "auc30": ("AUC@30", 100)}
KEY = {"depth": "depth", "video-depth": "video_depth", "recon": "recon", "pose": "pose", "pairs": "pairs"}
WEIGHT = {"depth": "pixels", "video-depth": "pixels"}
SOURCE = {"evict3r": "Evict3R, arXiv 2509.17650", "streamvggt": "StreamVGGT, arXiv 2507.11539"}


weights = set()


def figures(path, task):
    """Of one sequence (or category): the only alignment that was asked for."""
    with open(path) as f:
        report = json.load(f)
    weights.update(f"{s['model']} on {s['device']}" for s in report["sequences"] if s.get("model"))
    return next(iter(report["average"][KEY[task]].values()))


def average(task, rows, key):
    if task == "pose":  # the papers average what was written with six decimals
        return sum(round(r[key], 6) for r in rows) / len(rows)
    weight = [r[WEIGHT[task]] if task in WEIGHT else 1 for r in rows]
    return sum(w * r[key] for w, r in zip(weight, rows)) / sum(weight) if sum(weight) else float("nan")


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


def measured(folder, task):
    """The figures there are, and what to say of them."""
    reason = os.path.join(folder, "none")
    if os.path.exists(reason):
        with open(reason) as f:
            return [], f.read().strip()
    if not os.path.exists(os.path.join(folder, "list")):
        return [], "not measured"
    published, whole, why = wanted(folder, task)
    rows = [figures(p, task) for p in sorted(glob.glob(os.path.join(folder, "*.json")))]
    failed = sorted(glob.glob(os.path.join(folder, "*.err")))
    note = f"{len(rows)} of {published}"
    if failed:
        with open(failed[0], errors="replace") as f:
            last = f.read().strip().splitlines()
        note += f"; {len(failed)} failed, first {os.path.basename(failed[0])[:-4]}: {last[-1] if last else 'no message'}"
    elif len(rows) < published and why:
        note += f"; {why}"
    return rows, note


def main(out, rows_path):
    with open(rows_path) as f:
        rows = [line.rstrip("\n").split("|") for line in f]
    complete = True
    for table in dict.fromkeys(r[0] for r in rows):
        print(f"{table}: {SOURCE[table.split('-')[0]]}; ours / published")
        for _, row, name, task, stride, _, folder, published in (r for r in rows if r[0] == table):
            have, note = measured(folder, task)
            cells = []
            for item in published.split():
                key, value = item.split("=")
                title, scale = WHAT[key]
                mark, value = ("?", value[:-1]) if value.endswith("?") else ("", value)
                digits = 1 if scale == 100 else 3
                ours = f"{scale * average(task, have, key):.{digits}f}" if have else "-"
                cells.append(f"{title} {ours} / {scale * float(value):.{digits}f}{mark}")
            every = "" if stride == "-" else f" every {stride}th"
            print(f"  {name + every:<20} {row:<12} {'   '.join(cells)}   ({note})")
            part = note.split(";")[0].split(" of ")
            complete = complete and len(part) == 2 and part[0] == part[1]
        print()
    if weights:
        print("weights: " + ", ".join(sorted(weights)))
    identity = os.path.join(out, "identity")
    if os.path.exists(identity):
        with open(identity) as f:
            print(f.read(), end="")
    if any("?" in r[7] for r in rows):
        print("?: a figure from one place only, or recalled")
    return 0 if complete else 1


sys.exit(main(*sys.argv[1:3]))

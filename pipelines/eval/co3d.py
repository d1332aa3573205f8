#!/usr/bin/env python3
"""co3d.py CO3D TO: the annotations CATEGORY_test.jgz that the evaluation reads, made of a CO3Dv2 as it is handed out: of each category's
frame_annotations.jgz, sequence_annotations.jgz and set_lists/set_lists_fewview_dev.json the frames of the subset "test" in sequences whose
viewpoint_quality_score exceeds 0.5, in the order of the set list. Give TO to e3-decode as --annotations (or make it CO3D itself). A category
that is there already is kept. Names on the command line after TO: only these categories."""
import argparse
import glob
import gzip
import json
import os
import sys

QUALITY = 0.5


def die(text):
    sys.exit(f"co3d.py: {text}")


def read(path):
    try:
        with (gzip.open if path.endswith(".jgz") else open)(path, "rb") as f:
            return json.load(f)
    except (OSError, EOFError, ValueError) as e:
        die(f"{path}: {e}")


def convert(folder):
    """{sequence: [frame, ...]} of one category."""
    good = {}
    for s in read(os.path.join(folder, "sequence_annotations.jgz")):
        score = s.get("viewpoint_quality_score")
        good[s["sequence_name"]] = score is not None and score > QUALITY
    place = {(f["sequence_name"], f["frame_number"]): f["viewpoint"] for f in read(os.path.join(folder, "frame_annotations.jgz"))}
    lists = os.path.join(folder, "set_lists", "set_lists_fewview_dev.json")
    out = {}
    for sequence, number, path in read(lists).get("test") or die(f"{lists}: no subset test in it"):
        if not good.get(sequence):
            continue
        view = place.get((sequence, number)) or die(f"{folder}/frame_annotations.jgz: lacks frame {number} of {sequence}, which {lists} names")
        out.setdefault(sequence, []).append({"filepath": path, **{k: view[k] for k in ("R", "T", "focal_length", "principal_point")}})
    return out


def main():
    parser = argparse.ArgumentParser(prog="co3d.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="CO3D")
    parser.add_argument("to", metavar="TO")
    parser.add_argument("category", nargs="*", metavar="CATEGORY")
    a = parser.parse_args()
    names = a.category or sorted(p.split(os.sep)[-2] for p in glob.glob(os.path.join(glob.escape(a.source), "*", "frame_annotations.jgz")))
    if not names:
        die(f"{a.source}: expected CATEGORY/frame_annotations.jgz")
    os.makedirs(a.to, exist_ok=True)
    for name in names:
        path = os.path.join(a.to, name + "_test.jgz")
        if os.path.exists(path):
            continue
        try:
            text = json.dumps(convert(os.path.join(a.source, name)))
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            die(f"{a.source}/{name}: not CO3Dv2's annotations: {type(e).__name__}: {e}")
        with gzip.open(path + ".part", "wt") as f:
            f.write(text)
        os.replace(path + ".part", path)
        print(path, file=sys.stderr)


main()

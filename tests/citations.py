#!/usr/bin/python3
"""Checks citations of doc/: citations.py [--paths] [FILE...] (default: every tracked file). Exit 1 when one names a file or a section that does
not exist; prints FILE:LINE and the citation.

A citation is "doc/FILE.md", followed or not by sections: "doc/network.md 5.2", "doc/formats.md 5.1 to 5.4, 7", "doc/network.md 1 and 2".
Inside doc/FILE.md "§5.2" is a section of the same file. A section is a heading "## N. Title" or "### N.M Title".
With --paths also the paths of source files, as lib/wire/kinds.c, in Markdown files of doc/ and of the root.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
NUMBER = r"\d+(?:\.\d+)?(?![\d.]*\d)"
# Between the words of a citation there may be the end of a line and the next line's comment mark.
GAP = r"(?:[ \t]|\n[ \t]*(?:\*|//|#|\.\\\")?[ \t]*)"
CITATION = re.compile(rf"doc/([a-z0-9_-]+\.md)((?:{GAP}+{NUMBER}(?:(?:,{GAP}*|-|{GAP}+(?:and|to){GAP}+){NUMBER})*)?)")
OWN = re.compile(rf"§({NUMBER})")
SOURCE = re.compile(r"(?<![\w/.])(?:lib|cmd|kernels|man|pipelines|tests)/[a-z0-9_./-]+\.(?:cuh?|[ch157]|py|bats|bash|sh)(?!\w)")


def sections(path):
    with open(path, encoding="utf-8") as f:
        return set(re.findall(r"^#{2,4} (\d+(?:\.\d+)?)\.? ", f.read(), re.M))


def tracked():
    # safe.directory: a checkout may belong to another user (CI runs as root)
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [os.path.join(ROOT, name) for name in listed.decode().split("\0") if name and not name.startswith("tests/fuzz/corpus/")]


def where(path, text, match):
    return f"{os.path.relpath(path)}:{text.count(chr(10), 0, match.start()) + 1}"


def main():
    docs = {name: sections(os.path.join(ROOT, "doc", name)) for name in os.listdir(os.path.join(ROOT, "doc")) if name.endswith(".md")}
    bad, files = 0, sys.argv[1:]
    paths = files[:1] == ["--paths"]
    files = files[1:] if paths else files
    for path in files or tracked():
        try:
            with open(path, encoding="utf-8") as f:
                text = f.read()
        except (UnicodeDecodeError, FileNotFoundError):  # binary, or deleted and not yet committed
            continue
        place = os.path.relpath(path, ROOT)
        found = [(m, m[1], re.findall(NUMBER, m[2])) for m in CITATION.finditer(text)]
        if os.path.dirname(place) == "doc":
            found += [(m, os.path.basename(path), [m[1]]) for m in OWN.finditer(text)]
        if paths and place.endswith(".md") and (files or os.path.dirname(place) in ("", "doc")):
            for m in SOURCE.finditer(text):
                if not os.path.exists(os.path.join(ROOT, m[0])):
                    print(f"{where(path, text, m)}: {m[0]} does not exist")
                    bad += 1
        for m, name, numbers in found:
            missing = [n for n in numbers if n not in docs[name]] if name in docs else None
            if missing != []:
                print(f"{where(path, text, m)}: doc/{name}" + (f" has no section {', '.join(missing)}" if missing else " does not exist"))
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

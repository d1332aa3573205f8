#!/usr/bin/python3
"""Checks citations of doc/: citations.py [FILE...] (default: every tracked file). Exit 1 when one names a file or a section that does
not exist; prints FILE:LINE and the citation.

A citation is "doc/FILE.md", followed or not by sections: "doc/network.md 5.2", "doc/formats.md 5.1 to 5.4, 7", "doc/network.md 1 and 2".
Inside doc/FILE.md "§5.2" is a section of the same file. A section is a heading "## N. Title" or "### N.M Title".
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


def sections(path):
    with open(path, encoding="utf-8") as f:
        return set(re.findall(r"^#{2,4} (\d+(?:\.\d+)?)\.? ", f.read(), re.M))


def tracked():
    # safe.directory: a checkout may belong to another user (CI runs as root)
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [os.path.join(ROOT, name) for name in listed.decode().split("\0") if name and not name.startswith("tests/fuzz/corpus/")]


def main():
    docs = {name: sections(os.path.join(ROOT, "doc", name)) for name in os.listdir(os.path.join(ROOT, "doc")) if name.endswith(".md")}
    bad = 0
    for path in sys.argv[1:] or tracked():
        try:
            with open(path, encoding="utf-8") as f:
                text = f.read()
        except (UnicodeDecodeError, FileNotFoundError):  # binary, or deleted and not yet committed
            continue
        found = [(m, m[1], re.findall(NUMBER, m[2])) for m in CITATION.finditer(text)]
        if os.path.dirname(os.path.relpath(path, ROOT)) == "doc":
            found += [(m, os.path.basename(path), [m[1]]) for m in OWN.finditer(text)]
        for m, name, numbers in found:
            missing = [n for n in numbers if n not in docs[name]] if name in docs else None
            if missing != []:
                where = f"{os.path.relpath(path)}:{text.count(chr(10), 0, m.start()) + 1}"
                print(f"{where}: doc/{name}" + (f" has no section {', '.join(missing)}" if missing else " does not exist"))
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""What the options of the tools read and write, from their tables: lines of TOOL, "reads" or "writes", option, argument.

usage: claims.py ROOT    (with the tools in PATH)

Every option of --help whose argument is a file, a folder or an endpoint must say in its row what happens to it; one that does not is
reported as "unknown". The matrix of claims.bats is made of these lines, so that a new option is in it."""
import glob
import os
import re
import subprocess
import sys

ROWS = {"READS": "reads", "READS_IN": "reads", "CALL_READS": "reads", "WRITES": "writes", "WRITES_IN": "writes",
        "WRITES_BACK": "writes", "SENDS": "writes", "CALL_SENDS": "writes"}
PATHS = {"FILE", "DIR", "PATH", "ENDPOINT", "INPUT", "FOLDER", "OUT", "IN", "OUTPUT"}
WORDS = {"CHOICE", "NAMED"}  # one of a list: no path
PLAIN = {"NAME", "PATTERN", "URL", "HOST:PORT", "TEXT"}  # the arguments of E3_OPT_TEXT: no paths


def rows(files):
    """The rows with an argument: name, kind, argument."""
    for file in files:
        for kind, name, arg in re.findall(r'E3_OPT_([A-Z_]+)\(\s*"([^"]+)",[^"]*"([^"]*)"', open(file).read()):
            yield name.split(",")[0], kind, arg


def claimed(files):
    """Options whose file is claimed by hand, since their argument may also be a word."""
    for file in files:
        yield from re.findall(r'e3_opts_claim\(&\(e3_claim\)\{\.use = E3_READS, [^}]*\.by = "--([a-z-]+)"', open(file).read())


root = sys.argv[1]
shared = list(rows([f"{root}/lib/stage/options.c"]))
for folder in sorted(glob.glob(f"{root}/cmd/*")):
    tool = os.path.basename(folder)
    role = {}
    for name, kind, arg in [*rows(sorted(glob.glob(folder + "/*.c"))), *shared]:
        if kind in ROWS:
            role[name] = ROWS[kind]
        elif kind in WORDS:
            role[name] = ""
        elif kind == "TEXT" and arg not in PLAIN:
            print(tool, "unknown", name, arg)
    for name in claimed(sorted(glob.glob(folder + "/*.c"))):
        role[name] = "reads"
    if tool == "e3-export":
        for name in re.findall(r'^\t\{"([a-z-]+)"', open(f"{root}/lib/export/formats.c").read(), re.M):
            role[name] = "writes"
    text = subprocess.run([tool, "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    for name, arg in re.findall(r"^ {2}(?:-., | {4})--([a-z0-9-]+) ([A-Z]+)\b", text, re.M):
        if arg in PATHS or role.get(name):
            what = role.get(name, "unknown")
            if what:
                print(tool, what, name, arg)

#!/usr/bin/python3
"""make gpu-kit: build/e3-gpu-kit.tar.xz, what `make gpu` needs on a machine that has an NVIDIA driver, python3 and numpy and nothing of ours.

  kit.py pack            fills build/kit/e3-gpu-kit, looks at it as `check` does and packs it
  kit.py fill FOLDER     fills a folder
  kit.py check FOLDER    that every module is in it which a script of it imports, and every library that a program needs. Exit 1 if not.

Libraries are found beside the programs (the Makefile links them so): what Python loads stays that machine's own. GOLDEN=0 leaves out the
golden files of E3_SHARED and the photographs they are about, 9 MB. OLD_KIT=DIR also packs an older build, as `old`: DIR is its build folder
or an unpacked kit. `run` (tests/gpu/kit_run.sh) is what is started there.
"""
import ast
import glob
import os
import re
import shutil
import subprocess
import sys
import time

B = os.environ.get("B", "build")
SHARED = os.environ.get("E3_SHARED") or "../shared"
# The C library and its parts must be those of the machine; the driver and the toolkit (or PyTorch) bring the others.
OUTSIDE = re.compile(r"(linux-vdso|ld-linux[\w-]*|lib(c|m|dl|rt|pthread|resolv|util|cuda|nvidia-[\w-]+|cublasLt))\.so")
MODULES = {"numpy", "torch"}  # not in the kit; torch is needed by the part peer alone
OURS = "tests/gpu/*.py tests/gpu/*.sh tests/bench/*.py tests/oracle/*.py tests/*.py tests/data/golden/tiny.golden.safetensors LICENSE"
README = """What `make gpu` does, for a machine without our libraries: HACKING.md, "On a GPU". Made of {commit}.

    LIMIT=540 ./run              every part, in nine minutes at most; ./run PART... for some; the table is results/table
    LIMIT=540 ./run --missing    what did not fit; RESULTS=DIR goes on with another folder, of the same kit on another machine
    OLD=old ./run stages speed   two builds in turn, if an older one was packed (old/)
    ./run -- e3-infer ...        a command of your own with these programs: data/clip.e3 is the demo clip, data/frames.e3 some of it in 518x392

What the machine has to have: an NVIDIA driver for the CUDA that {cublas} is of; that library, from the CUDA toolkit or from PyTorch's
package nvidia-cublas (run looks in both); glibc {glibc} or newer on x86-64; bash, python3 with numpy. Not required: PyTorch (part peer) and
compute-sanitizer (memcheck, racecheck).
"""


def put(source, target, strip=False):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(source, target)
    if strip:
        subprocess.run(["strip", target], check=True)


def programs(kit):
    """Every ELF file in it."""
    for path in sorted(glob.glob(f"{kit}/**", recursive=True)):
        if os.path.isfile(path):
            with open(path, "rb") as f:
                if f.read(4) == b"\x7fELF":
                    yield path


def libraries(path):
    """What the loader finds for it: names and paths, an empty path for what it does not find."""
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    return re.findall(r"^\s+(\S+) => (/\S+|)", said, re.M)


def older(kit, folder):
    for name, needed in ("bin/e3-infer", True), ("lib/e3/libe3-cuda.so", True), ("tests/gpu/bench", False):
        found = [p for p in (f"{folder}/{name}", f"{folder}/build/{name}", f"{folder}/{os.path.basename(name)}") if os.path.isfile(p)]
        if not found and needed:
            raise SystemExit(f"gpu-kit: OLD_KIT={folder}: there is no {name}")
        if not found or name.startswith("lib"):
            for path in found[:1]:
                put(path, f"{kit}/old/{name}", True)
            continue
        # It may have been linked to look for libraries elsewhere: it is told where they are.
        put(found[0], f"{kit}/old/{name}.elf", True)
        with open(f"{kit}/old/{name}", "w") as f:
            f.write('#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\n'
                    f'LD_LIBRARY_PATH=$here/{"../" * (name.count("/") + 1)}build/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} exec "$here/{os.path.basename(name)}.elf" "$@"\n')
        os.chmod(f"{kit}/old/{name}", 0o755)


def fill(kit):
    for name in "e3-infer", "e3-model":
        put(f"{B}/kit/bin/{name}", f"{kit}/build/bin/{name}", True)
    put(f"{B}/lib/e3/libe3-cuda.so", f"{kit}/build/lib/e3/libe3-cuda.so", True)
    for path in glob.glob(f"{B}/tests/gpu/*"):
        if re.fullmatch(r"bench|test_gpu_\w+", os.path.basename(path)):
            put(path, f"{kit}/build/tests/gpu/{os.path.basename(path)}", True)
    if os.environ.get("OLD_KIT"):
        older(kit, os.environ["OLD_KIT"])
    for path in list(programs(kit)):
        for name, found in libraries(path):
            if found and not OUTSIDE.match(name) and not os.path.exists(f"{kit}/build/lib/{name}"):
                put(found, f"{kit}/build/lib/{name}")
    for path in sum((glob.glob(pattern) for pattern in OURS.split()), []):
        put(path, f"{kit}/{path}")
    put("tests/gpu/kit_run.sh", f"{kit}/run")
    import msgpack
    for path in glob.glob(os.path.join(os.path.dirname(msgpack.__file__), "*.py")):
        put(path, f"{kit}/py/msgpack/{os.path.basename(path)}")
    streams = [("pipelines/demo/clip.mp4", "data/clip.e3", "--all"), ("pipelines/demo/clip.mp4", "data/frames.e3", "--every", "0.5", "--fit", "518")]
    if os.environ.get("GOLDEN", "1") != "0":
        for name in "golden/full.golden.safetensors", "golden/lingbot/lingbot-full.golden.safetensors":
            if os.path.exists(f"{SHARED}/{name}"):
                put(f"{SHARED}/{name}", f"{kit}/shared/{name}")
        if os.path.exists(f"{SHARED}/data/building"):
            streams.append((f"{SHARED}/data/building", "shared/photographs.e3", "--all", "--fit", "518"))
    for source, target, *how in streams:
        os.makedirs(os.path.dirname(f"{kit}/{target}"), exist_ok=True)
        subprocess.run([f"{B}/bin/e3-decode", "-q", *how, source, "-o", f"{kit}/{target}"], check=True)
    describe(kit)


def describe(kit):
    cublas = next((name for name, _ in libraries(f"{kit}/build/lib/e3/libe3-cuda.so") if "cublasLt" in name), "libcublasLt.so")
    symbols = subprocess.run(["objdump", "-T", *programs(kit)], capture_output=True, text=True, check=False).stdout
    glibc = max(re.findall(r"GLIBC_([0-9.]+)", symbols), key=lambda v: [int(x) for x in v.split(".")])
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()
    with open(f"{kit}/README", "w") as f:
        f.write(README.format(commit=commit or "a tree without git", cublas=cublas, glibc=glibc))


def imported(path):
    """Modules that a script imports, anywhere in it, and in the Python of a shell script."""
    with open(path) as f:
        text = f.read()
    if path.endswith(".sh"):
        text = "\n".join(re.findall(r"<<'PY'.*?\n(.*?)\nPY\n", text, re.S))
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, ast.Import):
            yield from (a.name.split(".")[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def check(kit):
    """Begins with what is started and follows what that names or imports. Returns what is wrong."""
    wrong, seen, left = [], set(), ["run", "tests/gpu/all.py"]
    folders = ["tests/gpu", "tests", "tests/bench", "tests/oracle", "py"]
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        if not os.path.exists(f"{kit}/{name}"):
            wrong.append(f"{name} is not in it")
            continue
        with open(f"{kit}/{name}") as f:
            left += re.findall(r"tests/[a-z]+/\w+\.(?:py|sh)\b", re.sub(r'""".*?"""|^[ \t]*#[^\n]*', "", f.read(), flags=re.S | re.M))
        for module in imported(f"{kit}/{name}") if name != "run" else ():
            at = [p for d in folders for p in (f"{d}/{module}.py", f"{d}/{module}/__init__.py") if os.path.exists(f"{kit}/{p}")]
            if at:
                left += [p for p in at[:1] if not p.startswith("py/")]
            elif module not in sys.stdlib_module_names | MODULES:
                wrong.append(f"{name} imports {module}, which is not in it")
    for path in programs(kit):
        for name, found in libraries(path):
            started = "/build/bin/" in path or "/build/tests/" in path  # the others find theirs through the program that loads them
            there = os.path.exists(f"{kit}/build/lib/{name}") and (not started or os.path.realpath(found or "/").startswith(os.path.realpath(kit) + "/"))
            if not there and not OUTSIDE.match(name):
                wrong.append(f"{os.path.relpath(path, kit)} needs {name}, which it does not find in the kit")
    return wrong


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    command, kit = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else f"{B}/kit/e3-gpu-kit"
    if command in ("pack", "fill"):
        shutil.rmtree(kit, ignore_errors=True)
        fill(kit)
    wrong = check(kit)
    if wrong:
        raise SystemExit("\n".join(f"gpu-kit: {line}" for line in wrong))
    if command == "pack":
        start, archive = time.monotonic(), f"{B}/e3-gpu-kit.tar.xz"
        subprocess.run(["tar", "--sort=name", "--owner=0", "--group=0", "-C", os.path.dirname(kit), "-cJf", archive, os.path.basename(kit)], check=True,
                       env=dict(os.environ, XZ_OPT="-T0 -3"))
        print(f"{archive}: {os.path.getsize(archive) / 1e6:.1f} MB, compressed in {time.monotonic() - start:.0f} s. There: tar xf e3-gpu-kit.tar.xz; "
              "LIMIT=540 e3-gpu-kit/run")


if __name__ == "__main__":
    main()

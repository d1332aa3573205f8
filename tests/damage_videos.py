#!/usr/bin/python3
"""Damages videos at random and compares e3-decode with the ffmpeg program: damage_videos.py DIR [RUNS [SEED [FILE...]]]

Makes videos of many containers and codecs in DIR (those that are there are used again). Each run damages one (bits flipped, a hole of
zeros, a cut at the end, in the beginning or inside, a block twice or moved) and requires:
  - no signal, no hang, exit 0 or 1, no word of a sanitizer;
  - nothing lost without a word: the frames sent, those that a warning says were left out and those that it says were announced and did
    not come are at least those that the ffmpeg program decodes with as many threads, and frames that it does not decode are not sent;
  - exit 1 only with a message, and only where the ffmpeg program has no frame;
  - a number that was announced came, or a warning gives both.
Prints a line for each run that fails, and a summary. The exit status is 1 if any failed."""
import os, random, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import e3read  # noqa: E402

X264, X265 = "-c:v libx264 -bf 2 -g 20", "-c:v libx265 -x265-params keyint=20:log-level=none"
VPX = "-cpu-used 8 -deadline realtime -g 20"
SOURCES = [("h264.mp4", X264), ("fast.mp4", X264 + " -movflags +faststart"),
           ("frag.mp4", X264 + " -movflags frag_keyframe+empty_moov"), ("h264.mkv", X264), ("h264.ts", X264),
           ("h264.avi", X264), ("h264.flv", X264), ("h264.h264", X264), ("hevc.mp4", X265), ("hevc.mkv", X265),
           ("hevc.ts", X265), ("mpeg4.avi", "-c:v mpeg4 -bf 2 -g 20"), ("mpeg4.mkv", "-c:v mpeg4 -bf 2 -g 20"),
           ("mpeg2.ts", "-c:v mpeg2video -bf 2 -g 20"), ("mpeg2.mpg", "-c:v mpeg2video -bf 2 -g 20"),
           ("vp8.webm", "-c:v libvpx " + VPX), ("vp9.webm", "-c:v libvpx-vp9 " + VPX),
           ("mjpeg.avi", "-c:v mjpeg"), ("prores.mov", "-c:v prores_ks"), ("ffv1.mkv", "-c:v ffv1 -g 10"),
           ("wmv.wmv", "-c:v wmv2 -g 20")]


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)


def make(folder, name, options):
    path = os.path.join(folder, name)
    if not os.path.exists(path) or not os.path.getsize(path):
        sound = [] if name.endswith((".h264", ".wmv", ".webm", ".flv")) else "-f lavfi -i sine=d=2 -c:a mp2 -shortest".split()
        if name in ("h264.mp4", "hevc.mkv"):
            sound = []
        a = "ffmpeg -v error -y -f lavfi -i testsrc2=s=64x48:r=25:d=2".split() + sound[:4]
        p = run(*a, "-pix_fmt", "yuv422p10le" if "prores" in name else "yuv420p", *options.split(), *sound[4:], path)
        if p.returncode:
            sys.exit("making %s: %s" % (name, p.stderr.decode()))
    return open(path, "rb").read()


def damaged(data, r):
    """The bytes with one kind of damage, and its name."""
    out, n = bytearray(data), len(data)
    kind = r.choice(["flips", "hole", "cut end", "cut begin", "removed", "twice", "moved", "noise"])
    at, size = r.randrange(n), r.choice([1, 30, 188, 1000, 4000])
    if kind == "flips":
        for _ in range(r.choice([1, 4, 20, 60])):
            out[r.randrange(n)] ^= 1 << r.randrange(8)
    elif kind == "hole":
        out[at:at + size] = bytes(len(out[at:at + size]))
    elif kind == "noise":
        out[at:at + size] = r.randbytes(len(out[at:at + size]))
    elif kind == "cut end":
        del out[max(at, 100):]
    elif kind == "cut begin":
        del out[:at // 2]
    elif kind == "removed":
        del out[at:at + size]
    elif kind == "twice":
        out[at:at] = out[at:at + size]
    else:
        block = out[at:at + size]
        del out[at:at + size]
        to = r.randrange(len(out) + 1)
        out[to:to] = block
    return bytes(out), "%s at %d" % (kind, at)


def by_ffmpeg(path):
    p = run("ffmpeg", "-nostdin", "-v", "error", "-threads", "2", "-i", path, "-map", "0:v:0", "-vsync", "passthrough", "-f", "framecrc", "-")
    return sum(not line.startswith(b"#") for line in p.stdout.splitlines())


def packets(path):
    """The ffmpeg program may show the last picture of damaged MPEG-4 twice: more frames than there are packets."""
    p = run("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size", "-of", "csv=p=0", path)
    return len(p.stdout.split())


def by_e3(path, out):
    """Exit status, messages, frames announced and sent."""
    for p in (out, out + ".partial"):
        if os.path.exists(p):
            os.remove(p)
    try:
        p = run("e3-decode", "--all", "--threads", "2", "-o", out, path)
    except subprocess.TimeoutExpired:
        return None, "hangs", None, 0
    announced, sent = None, 0
    name = out if os.path.exists(out) else out + ".partial"
    if os.path.exists(name):
        try:
            for kind, m in e3read.stream(name):
                announced = m["frames"] if kind == "head" else announced
                sent += kind == "frame"
        except SystemExit:
            pass # it breaks off where the input did
    return p.returncode, p.stderr.decode(errors="replace"), announced, sent


def faults(path, out):
    """What is wrong with this run, as a list of words; and its figures."""
    seen = by_ffmpeg(path)
    rc, text, announced, sent = by_e3(path, out)
    left = re.search(r"(\d+) frames? before the first one left out", text)
    left = int(left.group(1)) if left else 0
    if rc == 0 and announced is not None and re.search(r"\d+ frames? (was|were) announced, \d+ came", text):
        left += max(0, announced - sent)
    bad = []
    if rc not in (0, 1):
        bad.append("exit %s" % rc)
    if "Sanitizer" in text or "runtime error" in text:
        bad.append("sanitizer")
    if sent + left < seen and sent + left < packets(path):
        bad.append("lost")
    if sent > seen:
        bad.append("more")
    if rc == 1 and (seen > 0 or "e3-decode: " not in text):
        bad.append("refused")
    if rc == 0 and announced not in (None, sent) and "announced" not in text:
        bad.append("announced")
    return bad, "ffmpeg %d, exit %s, announced %s, sent %d, left out %d: %s" % (seen, rc, announced, sent, left, text[-300:].strip())


def main():
    folder, runs, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200, int(sys.argv[3]) if len(sys.argv) > 3 else 1
    only, failed = sys.argv[4:], 0
    wanted = [(name, options) for name, options in SOURCES if not only or name in only][:runs]
    sources = [(name, make(folder, name, options)) for name, options in wanted]
    for k in range(runs):
        name, data = sources[k % len(sources)]
        harmed, what = damaged(data, random.Random(seed * 100003 + k))
        path = os.path.join(folder, "bad." + name.split(".")[1])
        with open(path, "wb") as f:
            f.write(harmed)
        bad, figures = faults(path, os.path.join(folder, "out.e3"))
        if bad:
            failed += 1
            print("run %d: %s, %s: %s: %s" % (k, name, what, ", ".join(bad), figures.replace("\n", " // ")), flush=True)
            os.replace(path, os.path.join(folder, "failed.%d.%s" % (k, name)))
    print("%d damaged videos of %d kinds, seed %d: %d failed" % (runs, len(sources), seed, failed))
    sys.exit(failed > 0)


main()

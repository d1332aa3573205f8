#!/bin/bash
# The full networks (seeded, 1.19 and 1.16 billion parameters) on the CPU against full.golden and lingbot-full.golden: five runs
# over nine photographs, many minutes and nearly 7 GiB. Needs the large files of tests/data/golden/README.md in E3_SHARED.
# make parity
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
export PATH=$B/bin:$PATH
shared=${E3_SHARED:-../shared}
golden=$shared/golden/full.golden.safetensors
lingbot=$shared/golden/lingbot/lingbot-full.golden.safetensors
for f in "$golden" "$lingbot"; do [ -e "$f" ] || { echo "parity: needs $f" >&2; exit 1; }; done
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
rc=0

e3-decode --all "$shared/data/building" >"$out/frames.e3" || exit 1
parity() { # parity GOLDEN RUN OPTION...
	local file=$1 run=$2 before
	shift 2
	before=$("$B/bench/sgemm" 3)
	echo "== $run: e3-infer $*"
	e3-infer -q --device cpu "$@" "$out/frames.e3" >"$out/$run.e3" || return 1
	/usr/bin/python3 -B tests/golden_full.py "$out/$run.e3" "$file" "$run" || rc=1
	/usr/bin/python3 -B - "$out/$run.e3" "$before" "$("$B/bench/sgemm" 3)" <<'PY' || rc=1
import sys
sys.path.insert(0, "tests")
from e3read import messages
preds, rate = messages(sys.argv[1], "pred"), (float(sys.argv[2]) + float(sys.argv[3])) / 2
end = messages(sys.argv[1], "end")[0]
# doc/network.md 10: 2.66 TFLOP, and 0.1065 more for each cached frame.
work = [2660 + 106.5 * i for i in range(len(preds))]
seconds = [p["ms"] / 1e3 for p in preds]
print(f"sgemm before and after {sys.argv[2]} and {sys.argv[3]} GFLOP/s")
print("seconds by frame: " + " ".join(f"{s:.1f}" for s in seconds))
if sys.argv[1].endswith("/off.e3"):
    print(f"share of the sgemm rate: first frame {100 * work[0] / seconds[0] / rate:.0f} %, all {100 * sum(work) / sum(seconds) / rate:.0f} %")
print(f"{end['seconds']:.0f} s, peak memory {end['peak_rss'] / 2**30:.2f} GiB")
sys.exit(end["peak_rss"] > 7 * 2**30)
PY
}
parity "$golden" off --model seed:full:1 --compat evict3r --no-evict || rc=1
parity "$golden" p50 --model seed:full:1 --compat evict3r --P 0.5 --temp 0.5 || rc=1
own=(--model seed:lingbot-full:1 --policy lingbot)
parity "$lingbot" s1 "${own[@]}" --start 1 --window 64 || rc=1
parity "$lingbot" s8 "${own[@]}" --start 8 --window 64 || rc=1
parity "$lingbot" s2w3k2 "${own[@]}" --start 2 --window 3 --keyframe 2 || rc=1
exit "$rc"

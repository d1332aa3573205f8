#!/bin/bash
# The full network (seeded, 1.19 billion parameters) on the CPU against full.golden: two runs over nine photographs, several
# minutes and nearly 7 GiB. Needs ../shared. make parity
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
export PATH=$B/bin:$PATH
shared=${E3_SHARED:-../shared}
golden=$shared/golden/full.golden.safetensors
[ -e "$golden" ] || { echo "parity: needs $golden" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
rc=0

e3-decode --all "$shared/data/building" >"$out/frames.e3" || exit 1
parity() { # parity RUN OPTION...
	local run=$1 rate
	shift
	rate=$("$B/bench/sgemm" 3)
	echo "== $run: e3-infer --model seed:full:1 --compat evict3r $*"
	/usr/bin/time -f "%e %M" -o "$out/time" e3-infer --model seed:full:1 --compat evict3r "$@" "$out/frames.e3" >"$out/$run.e3" || return 1
	/usr/bin/python3 -B tests/golden_full.py "$out/$run.e3" "$golden" "$run" || rc=1
	/usr/bin/python3 -B - "$out/$run.e3" "$rate" "$out/time" <<'PY' || rc=1
import sys
sys.path.insert(0, "tests")
from e3read import messages
preds, rate = messages(sys.argv[1], "pred"), float(sys.argv[2])
wall, kib = open(sys.argv[3]).read().split()
# spec/model.md 10: 2.66 TFLOP, and 0.1065 more for each cached frame.
work = [2660 + 106.5 * i for i in range(len(preds))]
print("sgemm in the same run %.0f GFLOP/s" % rate)
print("GFLOP/s by frame (as if nothing had left): " + " ".join("%.0f" % (w / p["ms"] * 1e3) for w, p in zip(work, preds)))
share = work[0] / preds[0]["ms"] * 1e3 / rate
print("first frame %.1f s: %.0f %% of the sgemm rate; wall %s s; peak memory %.2f GiB" %
      (preds[0]["ms"] / 1e3, 100 * share, wall, int(kib) / 2**20))
sys.exit(int(kib) > 7 * 2**20)
PY
}
parity off --no-evict || rc=1
parity p50 --P 0.5 --temp 0.5 || rc=1
exit "$rc"

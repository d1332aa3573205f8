#!/bin/bash
# compute-sanitizer on the tiny seeded model: out-of-bounds accesses (memcheck) and races in shared memory (racecheck), with the kernels
# this GPU gets and with those every GPU has; memcheck in f32 too (two frames of that are more than 100 s under racecheck on an H200).
# Needs a GPU. make sanitize-gpu; TOOLS="memcheck" for one of them
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
export PATH=$B/bin:$PATH
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
rc=0

"${PYTHON:-/usr/bin/python3}" -B - "$out/frames.e3" <<'PY' || exit 1
import sys
sys.path[:0] = ["tests/gpu", "tests"]
import numpy as np
from parity import write_frames
# Resized to 70 × 70: 30 tokens a frame, not a multiple of any tile. The second frame evicts.
write_frames(sys.argv[1], list(np.random.default_rng(1).integers(0, 256, (4, 112, 112, 3), np.uint8)))
PY
check() { # check TOOL OPTION...
	local tool=$1
	shift
	echo "== $tool: e3-infer --model seed:tiny:7 $* ${E3_CUDA_PORTABLE:+(portable)}"
	# A graph that no longer fits is made anew (kernels/plugin.cu): the call that says so is no error.
	compute-sanitizer --tool "$tool" --report-api-errors no --error-exitcode 9 "$(command -v e3-infer)" -q --device cuda --model seed:tiny:7 \
		-o /dev/null "$@" "$out/frames.e3" >"$out/log" 2>&1 || { rc=1; head -60 "$out/log"; }
	grep SUMMARY "$out/log"
}
for tool in ${TOOLS:-memcheck racecheck}; do
	check "$tool" --budget 2f
	E3_CUDA_PORTABLE=1 check "$tool" --budget 2f --attn-layers 1 --attn-map
	[ "$tool" = racecheck ] || check "$tool" --budget 2f --precision f32
	[ "$tool" = racecheck ] || check "$tool" --budget 2f --policy spread
done
exit "$rc"

#!/bin/bash
# compute-sanitizer on the tiny seeded model: out-of-bounds accesses (memcheck) and races in shared memory (racecheck), with the kernels
# this GPU gets and with those every GPU has, in 16 bits and in f32. Needs a GPU. make sanitize-gpu; TOOLS="memcheck" for one of them
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
export PATH=$B/bin:$PATH
python=${PYTHON:-/usr/bin/python3}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
rc=0
command -v compute-sanitizer >/dev/null || { echo "sanitize: compute-sanitizer is not installed (it comes with the CUDA toolkit)" >&2; exit 1; }

"$python" -B - "$out" <<'PY' || exit 1
import sys
sys.path[:0] = ["tests/gpu", "tests"]
import numpy as np
from parity import write_frames
# Resized to 70 × 70: 30 tokens a frame, not a multiple of any tile. The second frame evicts.
write_frames(sys.argv[1] + "/frames.e3", list(np.random.default_rng(1).integers(0, 256, (4, 112, 112, 3), np.uint8)))
# 70 × 14, for what is slow: 10 tokens and a fifth of the pixels.
small = list(np.random.default_rng(1).integers(0, 256, (3, 112, 560, 3), np.uint8))
write_frames(sys.argv[1] + "/small.e3", small)
write_frames(sys.argv[1] + "/one.e3", small[:1])
PY
kernels=() # what of all kernels is looked at
check() { # check TOOL FRAMES OPTION...
	local tool=$1 frames=$2 ok=ok start=$SECONDS what
	shift 2
	what="$tool, ${*:-no option}${E3_CUDA_PORTABLE:+, kernels of every GPU}${kernels[*]:+, ${kernels[*]#--}}"
	! "$python" -B tests/gpu/table.py 'done' "$what" || return 0
	echo "== $what"
	# A graph that no longer fits is made anew (kernels/plugin.cu): the call that says so is no error.
	compute-sanitizer --tool "$tool" --report-api-errors no --error-exitcode 9 "${kernels[@]}" "$(command -v e3-infer)" -q --device cuda \
		--model seed:tiny:7 -o /dev/null "$@" "$out/$frames" >"$out/log" 2>&1 || { rc=1 ok=bad; head -60 "$out/log"; }
	grep SUMMARY "$out/log" || { rc=1 ok=bad; tail -5 "$out/log"; }
	"$python" -B tests/gpu/table.py add "$what" "$(sed -n 's/^=* *[A-Z]* SUMMARY: //p' "$out/log" | head -1)" "$((SECONDS - start)) s" "$ok"
}
for tool in ${TOOLS:-memcheck racecheck}; do
	check "$tool" frames.e3 --budget 2f
	E3_CUDA_PORTABLE=1 check "$tool" frames.e3 --budget 2f --attn-layers 1 --attn-map
	if [ "$tool" != racecheck ]; then
		check "$tool" frames.e3 --budget 2f --precision f32
		check "$tool" frames.e3 --budget 2f --policy spread
		continue
	fi
	# The f32 convolutions go through shared memory value by value and take 25 s a frame on an H200: one frame of theirs, which has all of
	# them; then the others, also of a frame that evicts.
	kernels=(--kernel-name kernel_substring=conv)
	check "$tool" one.e3 --budget 2f --precision f32
	kernels=(--kernel-name-exclude kernel_substring=conv)
	check "$tool" small.e3 --budget 2f --precision f32
	kernels=()
	# All kernels: in 16 bits compute-sanitizer 13.0 itself faults when some kernels of a launch are left out.
	check "$tool" small.e3 --budget 2f --policy spread
done
exit "$rc"

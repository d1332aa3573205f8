#!/bin/bash
# make gpu: everything there is for a GPU, part after part, then one table of what all of them found. PARTS="ops stages" for some of them,
# FLAT_FRAMES=3000 for a shorter stream. A part that lacks something (a tool, a golden file) says so in its row and the others go on. Exit 1
# if anything is not as it should be.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
python=${PYTHON:-/usr/bin/python3}
shared=${E3_SHARED:-../shared}
results=$B/gpu-results
export PATH=$B/bin:$PATH GPU_ROWS=$results/rows
mkdir -p "$results"
: >"$GPU_ROWS"
add() { "$python" -B tests/gpu/table.py add "$@"; }

command -v "$python" >/dev/null || { echo "make gpu: needs $python" >&2; exit 1; }
# The kernels' own answer to whether there is a GPU, with their reason.
e3-infer --device cuda --plan --model seed:tiny:7 --budget 2f --size 70x70 >/dev/null || exit 1
gpu=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -1)
add machine "GPU, driver" "${gpu:-nvidia-smi is not installed}"
add machine "processors" "$(nproc)"

# part NAME NEEDS COMMAND...: NEEDS is empty, or what is missing.
part() {
	local name=$1 missing=$2 start=$SECONDS
	shift 2
	[[ " ${PARTS:-$name} " == *" $name "* ]] || return 0
	echo "==== $name"
	if [ -n "$missing" ]; then
		echo "left out: $missing"
		add "$name" "left out" "$missing" "" skipped
		return 0
	fi
	if "$@" 2>&1 | tee "$results/$name.log"; then
		add "$name" "all of it" "$((SECONDS - start)) s"
	else
		add "$name" "all of it" "failed after $((SECONDS - start)) s" "$results/$name.log" bad
	fi
}
modules=$("$python" -c 'import msgpack, numpy' 2>&1 | tail -1)
sanitizer=$(command -v compute-sanitizer >/dev/null || echo "compute-sanitizer is not installed")
golden=${modules:-$([ -e "$shared/golden/full.golden.safetensors" ] || echo "$shared/golden/full.golden.safetensors is not there")}

part ops "" tests/gpu/ops.sh
part memory "$modules" tests/gpu/memory.sh
part sanitize "${sanitizer:-$modules}" tests/gpu/sanitize.sh
part parity "$golden" tests/gpu/parity.sh
part stages "$modules" tests/gpu/bench.sh stages
part speed "$modules" tests/gpu/bench.sh speed
part streams "$modules" tests/gpu/bench.sh streams
part load "$modules" tests/gpu/bench.sh load
part table "$modules" tests/gpu/memory.sh table
part flat "$modules" "$python" -B tests/gpu/long.py "${FLAT_FRAMES:-20000}"
peer=${modules:-$("$python" -c 'import torch' 2>&1 | tail -1)}
part peer "$peer" tests/gpu/bench.sh peer

echo "==== results"
"$python" -B tests/gpu/table.py show "$GPU_ROWS" | tee "$results/table"

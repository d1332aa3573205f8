#!/bin/bash
# The golden files on CUDA. Needs a GPU and the large files of tests/data/golden/README.md in E3_SHARED. PHOTOGRAPHS=FILE gives
# them as a frame stream, for a machine without e3-decode.
# make parity-gpu
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
export PATH=$B/bin:$PATH
shared=${E3_SHARED:-../shared}
[ -e "$shared/golden/full.golden.safetensors" ] || { echo "parity: needs $shared/golden/full.golden.safetensors" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
frames=${PHOTOGRAPHS:-$out/frames.e3}
[ -n "${PHOTOGRAPHS:-}" ] || e3-decode --all --fit 518 "$shared/data/building" >"$frames" || exit 1
rc=0
"${PYTHON:-/usr/bin/python3}" -B tests/gpu/parity.py "$shared/golden/full.golden.safetensors" "$frames" "$@" || rc=1
lingbot=$shared/golden/lingbot/lingbot-full.golden.safetensors
if [ -e "$lingbot" ]; then
	"${PYTHON:-/usr/bin/python3}" -B tests/gpu/parity_lingbot.py "$lingbot" "$frames" "$@" || rc=1
else
	echo "parity: skipped LingBot-Map: needs $lingbot" >&2
fi
exit "$rc"

#!/bin/bash
# The golden files on CUDA. Needs a GPU and ../shared; FRAMES=FILE: the photographs as a stream, when they cannot be decoded here.
# make parity-gpu
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
export PATH=$B/bin:$PATH
shared=${E3_SHARED:-../shared}
[ -e "$shared/golden/full.golden.safetensors" ] || { echo "parity: needs $shared/golden/full.golden.safetensors" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
frames=${FRAMES:-$out/frames.e3}
[ -n "${FRAMES:-}" ] || e3-decode --all --fit 518 "$shared/data/building" >"$frames" || exit 1
"${PYTHON:-/usr/bin/python3}" -B tests/gpu/parity.py "$shared/golden" "$frames" "$@"

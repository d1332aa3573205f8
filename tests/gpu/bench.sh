#!/bin/bash
# make bench-gpu: what CUDA reaches on this machine: operation by operation, then end to end as a user sees it, and memory.
# Prints, asserts nothing. FRAMES=500 frames of the end-to-end run.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
export PATH=$B/bin:$PATH
n=${FRAMES:-500}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

"$B/tests/gpu/bench" cuda 100 10 || exit 1
"${PYTHON:-/usr/bin/python3}" -B tests/gpu/end_to_end.py "$n" "$out"

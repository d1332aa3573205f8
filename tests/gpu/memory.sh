#!/bin/bash
# What e3-infer promises about device memory. Needs a GPU. Part of make test-gpu. memory.sh table: what every mode takes
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
export PATH=$B/bin:$PATH
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"${PYTHON:-/usr/bin/python3}" -B tests/gpu/memory.py "$out" "$@"

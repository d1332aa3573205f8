#!/bin/bash
# Every operation on CUDA against the CPU backend. Needs a GPU. Part of make test-gpu
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
export CMOCKA_MESSAGE_OUTPUT=TAP LD_LIBRARY_PATH=$B/lib/e3:${LD_LIBRARY_PATH:-}
"$B/tests/gpu/test_gpu_ops" | tee "$B/gpu-ops.tap"
rc=$?
"${PYTHON:-/usr/bin/python3}" -B tests/gpu/table.py add ops "operations against the CPU" \
	"$(grep -c '^ok' "$B/gpu-ops.tap") of $(grep -cE '^(not )?ok' "$B/gpu-ops.tap") tests, $(grep -c '^# .*relative' "$B/gpu-ops.tap") comparisons" "" \
	"$([ $rc = 0 ] && echo ok || echo bad)"
exit $rc

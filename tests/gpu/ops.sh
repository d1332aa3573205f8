#!/bin/bash
# Every operation on CUDA against the CPU backend; frames begun ahead against frames in order. Needs a GPU. Part of make test-gpu
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
export CMOCKA_MESSAGE_OUTPUT=TAP LD_LIBRARY_PATH=$B/lib/e3:${LD_LIBRARY_PATH:-}
rc=0
for test in "$B"/tests/gpu/test_gpu_*; do
	[[ -x $test && ${test##*/} != *.* ]] || continue
	! "${PYTHON:-/usr/bin/python3}" -B tests/gpu/table.py 'done' "tests of ${test##*/test_gpu_}" || continue
	ok=ok tap=$B/${test##*/}.tap
	"$test" | tee "$tap" || rc=1 ok=bad
	[ "$ok" = bad ] || grep -q '^ok' "$tap" || ok=skipped
	"${PYTHON:-/usr/bin/python3}" -B tests/gpu/table.py add "tests of ${test##*/test_gpu_}" \
		"$(grep -c '^ok' "$tap") of $(grep -cE '^(not )?ok' "$tap") tests, $(grep -c '^# .*relative' "$tap") comparisons" "" $ok
done
exit $rc

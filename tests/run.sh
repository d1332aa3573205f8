#!/bin/bash
# Runs every test under prove: cmocka programs and bats files, as TAP, two at a time. tests/run.sh [FILE...] runs only those.
# Environment: B (build folder, default build), E3_SHARED (the large files of tests/data/golden/README.md; default ../shared
# beside the checkout, when it exists), JOBS (2).
# OpenBLAS picks its kernels by the processor; to see other kernels' numbers set OPENBLAS_CORETYPE, which is passed on.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
# What loads numpy need not start threads, which takes as long as the rest of it. (The tools see to that themselves: tests/limits.bats.)
export OPENBLAS_NUM_THREADS=1
export B=${B:-$PWD/build} CMOCKA_MESSAGE_OUTPUT=TAP LC_ALL=C.UTF-8
case $B in /*) ;; *) B=$PWD/$B ;; esac
if [ -z "${E3_SHARED:-}" ] && [ -d ../shared ]; then
	E3_SHARED=$(cd ../shared && pwd)
	export E3_SHARED
fi

if [ $# -gt 0 ]; then
	files=("$@")
else
	# The longest first, so that all workers end together.
	files=("$B"/tests/test_{track,model}_saved)
	for f in fuzz faults e3-view-page pipeline eval-tables e3-clips live damage readme e3-infer e3-decode claims study; do
		files+=("tests/$f.bats")
	done
	for f in tests/*.bats tests/test_*.c; do
		[[ $f != *.c ]] || f=$B/${f%.c}
		[[ " ${files[*]} " == *" $f "* ]] || files+=("$f")
	done
fi

rm -rf "$B/tap"
mkdir -p "$B/tap"
# prove's closing lines are held back, so that they come last, after what failed (in full) and what was skipped.
prove --jobs "${JOBS:-2}" --timer --exec tests/tap.sh "${files[@]}" </dev/null 2>&1 |
	awk -v closing="$B/tap/closing" '/^(All tests successful|Files=|Result:)/ { print >closing; next } { print; fflush() }'
rc=$?
shopt -s nullglob
taps=("$B"/tap/*.tap)
awk '/^(ok|not ok|1\.\.)/ { show = /^not ok/ && !/# *(TO[D]O|SKIP)/; if (show) print "\n" FILENAME }
	show' ${taps[@]+"${taps[@]}"} </dev/null
grep -ihE '^ok .*# *skip' ${taps[@]+"${taps[@]}"} </dev/null | sed -E 's/^ok [0-9]+ -? */skipped: /'
# The dearest files: user and system time of everything they started, in seconds.
awk 'FNR == 2 { split($1 $2, t, /[ms]/); n = FILENAME; sub(/.*\//, "", n); sub(/\.tap\.times$/, "", n); all += s = 60 * t[1] + t[2] + 60 * t[3] + t[4]; printf "%7.1f %s\n", s, n }
	END { printf "%7.1f processor seconds in all; the most:\n", all }' "$B"/tap/*.times | sort -rn | head -16
cat "$B/tap/closing"
exit "$rc"

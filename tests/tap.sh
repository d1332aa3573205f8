#!/bin/sh
# Runs one test file for prove: a .bats file through bats, anything else as a program printing TAP.
# The TAP is kept in $B/tap, where tests/run.sh looks for what was skipped; beside it the processor time that the file took.
out=$B/tap/$(basename "$1").tap
case $1 in
*.bats) run="bats --tap" ;;
*) run= ;;
esac
{
	# A file that hangs fails, with everything it started. The longest take four minutes of processor time, so a busy machine is not one.
	# shellcheck disable=SC2086 # one word or none
	timeout -k 10 3000 $run "$1"
	echo $? >"$out.rc"
} | tee "$out"
times >"$out.times"
exit "$(cat "$out.rc")"

#!/bin/sh
# Runs one test file for prove: a .bats file through bats, a .sh file through bash, anything else as a program printing TAP.
# The TAP is kept in $B/tap, where tests/run.sh looks for what was skipped.
out=$B/tap/$(basename "$1").tap
case $1 in
*.bats) run="bats --tap" ;;
*) run= ;;
esac
{
	# shellcheck disable=SC2086 # one word or none
	$run "$1"
	echo $? >"$out.rc"
} | tee "$out"
exit "$(cat "$out.rc")"

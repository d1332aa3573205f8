# shellcheck shell=bash
# Sourced by the pipelines: a command ends as a whole, however its script is stopped.

# in_group COMMAND...: runs it in a process group of its own and returns its status when all of its processes have ended. INT, TERM and
# HUP are passed on to the group as TERM, and what has not ended ten seconds later is killed; then the status is 130.
in_group() {
	local pid='' since='' stopped=0 status=0
	trap 'stopped=$((stopped + 1)) since=${since:-$EPOCHSECONDS}; [ -z "$pid" ] || kill -TERM -- "-$pid" 2>/dev/null || true' INT TERM HUP
	set -m
	"$@" &
	pid=$!
	set +m
	[ "$stopped" -eq 0 ] || kill -TERM -- "-$pid" 2>/dev/null || true
	wait "$pid" || status=$?
	while kill -0 -- "-$pid" 2>/dev/null; do
		[ "$stopped" -eq 0 ] || [ $((EPOCHSECONDS - since)) -lt 10 ] || kill -KILL -- "-$pid" 2>/dev/null || true
		sleep 0.05
	done
	trap - INT TERM HUP
	[ "$stopped" -eq 0 ] || return 130
	return "$status"
}

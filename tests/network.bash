# Loaded by tests of endpoints: processes that have to end, keys, streams.

# ends STATUS PID [SECONDS]: the process ends by itself in time (15 s as wait_until counts), with this status.
ends() {
	local rc=0
	wait_until "${3:-15}" gone "$2" || true
	if kill -9 "$2" 2>/dev/null; then
		echo "process $2 did not end"
		return 1
	fi
	wait "$2" || rc=$?
	[ "$rc" -eq "$1" ] || { echo "exit $rc, expected $1"; return 1; }
}

said() { # said FILE TEXT: the text is, or comes to be within 10 s, in the file
	! wait_until 10 has_text "$1" "$2" || return 0
	echo "'$2' is not in:"
	cat "$1"
	return 1
}

nothing_left() {
	local left
	left=$(find "$T" -name '*.tmp.*')
	[ -z "$left" ] || { echo "left behind: $left"; return 1; }
}

many() { # many N [W H]: a stream of N predictions
	/usr/bin/python3 -B "$ROOT/tests/data/stream/many.py" "$@"
}

peer() {
	/usr/bin/python3 -B "$ROOT/tests/peer.py" "$@"
}

# kinds FILE: "kind:index ..." and the counts in head and end.
kinds() {
	e3-dump --json "$1" | /usr/bin/python3 -c '
import json, sys
print(*("%s:%s" % (m["kind"], m.get("i", m.get("frames"))) for m in map(json.loads, sys.stdin)))'
}

# held FILE FIFO: sends the stream through the FIFO, but holds back its end until the file "go" is there.
held() {
	local n
	n=$(e3-dump --json "$1" | tail -1 | sed 's/.*"bytes":\([0-9]*\).*/\1/')
	{
		head -c "-$n" "$1"
		wait_until 20 test -e "$T/go"
		tail -c "$n" "$1"
	} >"$2"
}

#!/usr/bin/env bats
# The page of e3-view as far as it needs no browser: its decoder, and what it knows and asks for (tests/view/*.mjs say what).
load common

prepare() {
	command -v node >/dev/null || skip "needs node"
}

node_test() { # FILE
	node "$ROOT/tests/view/$1" >"$T/log" 2>&1 || { cat "$T/log"; return 1; }
	# A file without tests succeeds too.
	[ "$(grep -c '^ok ' "$T/log")" -ge "$2" ] || { cat "$T/log"; return 1; }
}

@test "the decoder takes records of every kind, and refuses what the format forbids" {
	node_test wire.mjs 6
}

@test "what the page knows of runs, cache, time, links and the connection" {
	node_test state.mjs 13
}

@test "every control of the page has a name and says what it does; nothing is inline" {
	/usr/bin/python3 -B "$ROOT/tests/view/controls.py" "$ROOT/lib/view/page/index.html"
}

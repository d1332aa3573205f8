#!/usr/bin/env bats
# The page of e3-view in a real browser: chromium, headless, driven by tests/browser/devtools.py. What the canvas must show is computed
# from the stream by tests/browser/expected.py and compared with the screenshot, pixel by pixel. Skipped where there is no chromium.
load common

page() { # page CASE: of tests/browser/check.py
	[ -n "${E3_TEST_BROWSER:-}" ] || command -v chromium >/dev/null || skip "needs chromium"
	/usr/bin/python3 -c 'import websocket' 2>/dev/null || skip "needs python3-websocket"
	/usr/bin/python3 -B "$ROOT/tests/browser/check.py" "$1" "$BATS_FILE_TMPDIR"
}

@test "broken records are refused and said; corrections move points; a connection that breaks; another epoch" {
	page foreign
}

#!/usr/bin/env bats
# The page of e3-view in a real browser: chromium, headless, driven by tests/browser/devtools.py. What the canvas must show is computed
# from the stream by tests/browser/expected.py and compared with the screenshot, pixel by pixel. Skipped where there is no chromium.
load common

page() { # page CASE: of tests/browser/check.py
	[ -n "${E3_TEST_BROWSER:-}" ] || command -v chromium >/dev/null || skip "needs chromium"
	/usr/bin/python3 -c 'import websocket' 2>/dev/null || skip "needs python3-websocket"
	/usr/bin/python3 -B "$ROOT/tests/browser/check.py" "$1" "$BATS_FILE_TMPDIR"
}

@test "the page shows the points of a recording, each where and as the projection says; it asks nobody else" {
	page shows
}

@test "live: frames as they come, a paused page, a late one, what the cache holds after a frame, why a source failed" {
	page live
}

@test "scrubbing, keys, sliders, colours, through the camera" {
	page controls
}

@test "the slider of confidence hides what the stream is less sure of" {
	page confidence
}

@test "a server that was restarted: the page connects again, and shows the new run only" {
	page restarted
}

@test "two recordings side by side: one camera, one time" {
	page two
}

@test "--html: one file, opened from the disk" {
	page html
}

@test "on a phone everything fits; fingers turn and zoom; dark and light" {
	page phone
}

@test "what is taken away: PLY, GLB, a screenshot, a link that carries the view; a measured distance" {
	page taken
	[ ! -e "$ROOT/tests/node_modules/gltf-validator/package.json" ] || node "$ROOT/tests/validate_gltf.js" "$BATS_FILE_TMPDIR/down/is.glb"
}

@test "broken records are refused and said; corrections move points; a connection that breaks; another epoch" {
	page foreign
}

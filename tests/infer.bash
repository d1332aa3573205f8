# What the tests of e3-infer share: eight frames, a small seeded network, and Python that looks into its stream.

setup_file() {
	export PATH="$B/bin:$PATH"
	local f=$BATS_FILE_TMPDIR
	e3-decode --all --max-frames 8 "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" >"$f/frames.e3"
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/edit_stream.py" "$f/frames.e3" "$f/endless.e3" 'm[0][1]["frames"] = None'
	e3-infer -q --model seed:tiny:7 --no-evict "$f/frames.e3" >"$f/all.e3"
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f "$f/frames.e3" >"$f/three.e3"
}

prepare() {
	f=$BATS_FILE_TMPDIR
	frames=$f/frames.e3
	export HOME=$T/home PYTHONPATH=$ROOT/tests PYTHONDONTWRITEBYTECODE=1
	mkdir "$HOME"
}

# infer ARG...: the small seeded network on the eight frames, to $T/o.e3, messages to $T/e.
infer() {
	e3-infer --device cpu --model seed:tiny:7 --segment 0 "$@" "$frames" >"$T/o.e3" 2>"$T/e" || { echo "exit $?: $*"; cat "$T/e"; return 1; }
}
same() { # same A B [KIND...]: equal streams
	/usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$@"
}
differ() { ! same "$@" >/dev/null; }
edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }

# check STREAM: runs Python from standard input with h (head), p (predictions), e (evict records), a (attention), n (end).
check() {
	{ cat <<-'PY'; cat; } >"$T/check.py"
		import sys
		import numpy as np
		from e3read import stream, relative
		m = list(stream(sys.argv[1]))
		h, n = m[0][1], m[-1][1]
		p, e, a = ([x for k, x in m if k == kind] for kind in ("pred", "evict", "attn"))
	PY
	/usr/bin/python3 "$T/check.py" "$1"
}

#!/usr/bin/env bats
# e3-infer --segment with --save-cache, --save-every, --load-cache, --continue, --freeze: a chain of segments that was stopped and resumed
# equals one that was not stopped. tests/test_track_saved.c cuts it after every frame, in every mode.
load common
bats_require_minimum_version 1.5.0

setup_file() {
	export PATH="$B/bin:$PATH"
	local f=$BATS_FILE_TMPDIR
	e3-decode --all --max-frames 14 --fit 70 "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" >"$f/frames.e3"
	e3-infer -q --device cpu --model seed:tiny:7 --budget 3f --segment 5f --overlap 2 "$f/frames.e3" >"$f/through.e3"
}

prepare() {
	f=$BATS_FILE_TMPDIR
	frames=$f/frames.e3
	export PYTHONPATH=$ROOT/tests PYTHONDONTWRITEBYTECODE=1
}

infer() {
	e3-infer -q --device cpu --model seed:tiny:7 "$@"
}
same() { /usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$@"; }
edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }
python() { /usr/bin/python3 -B - "$@"; }

# cut N FILE: the first N frames, with a head that still says 14.
cut_after() {
	e3-cat --take "$1" "$frames" >"$T/cut.e3"
	edit "$T/cut.e3" "$2" 'm[0][1]["frames"] = 14'
}

# (five ways to run, each by both signals)
@test "segments killed at 10 random frames by SIGTERM and SIGKILL, resumed and joined: the stream of a run that was never stopped" {
	mkdir "$T/k"
	timeout 1200 /usr/bin/python3 -B "$ROOT/tests/resume_kill.py" "$frames" "$T/k" 10 "${RESUME_SEED:-20261129}" "--budget 3f --segment 5f --overlap 2" \
		"--P 0.6 --policy spread --segment 4f --overlap 1" "--budget 2.5f --policy random --segment 6f --overlap 3" "--no-evict --segment 5f --overlap 1" \
		"--budget 3f --segment 4f --overlap 2 --attn-layers 1"
}

@test "segments saved at every frame: what was computed beside is delivered before, and in its place" {
	infer --budget 3f --segment 5f --overlap 2 --save-cache "$T/c" --save-every 1 "$frames" >"$T/x.e3" 2>"$T/e"
	[ ! -s "$T/e" ] || { cat "$T/e"; return 1; }
	same "$T/x.e3" "$f/through.e3"
}

@test "segments cut before, inside and after an overlap and at a joint: joined, every message is there once" {
	for k in 2 4 5 6 7 8 9; do
		cut_after "$k" "$T/part.e3"
		infer --budget 3f --segment 5f --overlap 2 --save-cache "$T/c" "$T/part.e3" >"$T/1.e3"
		infer --load-cache "$T/c" "$frames" >"$T/2.e3"
		e3-cat -q "$T/1.e3" --then "$T/2.e3" >"$T/x.e3"
		same "$T/x.e3" "$f/through.e3" || { echo "cut after $k frames"; return 1; }
		[ "$(e3-dump --json "$T/2.e3" | head -1 | grep -oE '"seen":[0-9]+')" = "\"seen\":$k" ]
	done
	# Nothing new: an empty stream, and the file is the same.
	cut_after 4 "$T/part.e3"
	infer --budget 3f --segment 5f --overlap 2 --save-cache "$T/c" "$T/part.e3" >"$T/1.e3"
	infer --load-cache "$T/c" --save-cache "$T/again" "$T/part.e3" >"$T/2.e3"
	cmp "$T/again" "$T/c"
	[ "$(e3-dump "$T/2.e3" | wc -l)" -eq 2 ]
}

@test "segments: the saved options may be repeated, not contradicted; a fraction is one of a segment, whatever the length" {
	cut_after 7 "$T/part.e3"
	infer --budget 3f --segment 5f --overlap 2 --save-cache "$T/c" "$T/part.e3" >"$T/1.e3"
	infer --load-cache "$T/c" "$frames" >"$T/2.e3"
	infer --load-cache "$T/c" --segment 5f --overlap 2 --budget 3f "$frames" >"$T/3.e3"
	same "$T/3.e3" "$T/2.e3"
	infer --load-cache "$T/c" --segment 5f "$frames" >"$T/3.e3" # an overlap that is not said is not asked for
	same "$T/3.e3" "$T/2.e3"
	fails 1 "$T/c: was saved with --segment 5f, this run asks for --segment 6f" -- infer --load-cache "$T/c" --segment 6f "$frames"
	fails 1 "$T/c: was saved with --overlap 2, this run asks for --overlap 1" -- infer --load-cache "$T/c" --segment 5f --overlap 1 "$frames"
	infer --segment 0 --budget 3f --save-cache "$T/plain" "$T/part.e3" >"$T/1.e3"
	fails 1 "$T/plain: was saved with no --segment, this run asks for --segment 5f" -- infer --load-cache "$T/plain" --segment 5f "$frames"
	fails 1 "$T/c: was saved with no --loops, this run asks for --loops" -- infer --load-cache "$T/c" --loops "$frames"
	fails 2 "--overlap: needs --segment" -- infer --load-cache "$T/c" --overlap 2 "$frames"
	# The stream is longer than it was said to be: without segments a fraction would change, with them it does not.
	e3-cat --take 7 "$frames" >"$T/seven.e3"
	infer --P 0.6 --segment 5f --overlap 2 --save-cache "$T/p" "$T/seven.e3" >"$T/1.e3"
	infer --load-cache "$T/p" "$frames" >"$T/2.e3"
	[ "$(e3-dump "$T/2.e3" | grep -c '^pred')" -eq 7 ]
	infer --P 0.6 --segment 9f --overlap 2 --save-cache "$T/p" "$T/seven.e3" >"$T/1.e3"
	fails 1 "--P 0.6 was of 7 frames; with this stream there are 9" -- infer --load-cache "$T/p" "$frames"
	# Half a file, and one damaged byte in what the chain keeps.
	n=$(stat -c %s "$T/c")
	head -c $((n - 1)) "$T/c" >"$T/bad"
	fails 1 "$T/bad: truncated: $((n - 1)) bytes, expected $n" -- infer --load-cache "$T/bad" -o "$T/o.e3" "$frames"
	{ head -c $((n - 100)) "$T/c"; printf 'x'; tail -c 99 "$T/c"; } >"$T/bad"
	fails 1 "$T/bad: beside the session: damaged: the checksum is " -- infer --load-cache "$T/bad" -o "$T/o.e3" "$frames"
	[ ! -e "$T/o.e3" ]
}

@test "segments: --continue takes another clip into the same chain; after an announced end the next joint comes later" {
	# The second half of the clip as a clip of its own, numbered from 0; its length is not known before, as with --continue.
	edit "$frames" "$T/endless.e3" 'm[0][1]["frames"] = None'
	infer --budget 3f --segment 5f --overlap 2 "$T/endless.e3" >"$T/through.e3"
	e3-cat --take 7 "$T/endless.e3" | infer --budget 3f --segment 5f --overlap 2 --save-cache "$T/c" >"$T/1.e3"
	edit "$frames" "$T/half.e3" 'del m[1:8]; m[0][1]["frames"] = 7; m[-1][1]["frames"] = 7
for k, x in m[1:-1]: x["i"] -= 7; x["pts"] -= 0.5'
	infer --load-cache "$T/c" --continue "$T/half.e3" >"$T/2.e3"
	e3-cat -q "$T/1.e3" --then "$T/2.e3" >"$T/x.e3"
	python "$T/x.e3" "$T/through.e3" <<-'PY'
		import sys
		from e3read import stream
		from stream_equal import packed
		a, b = ([(k, x) for k, x in stream(p) if k in ("pred", "evict", "edge")] for p in sys.argv[1:])
		assert [k for k, x in a] == [k for k, x in b]
		for (k, x), (_, y) in zip(a, b):
		    assert all(packed(x[n]) == packed(y[n]) for n in (x.keys() | y.keys()) - {"ms", "pts"}), (k, x["i"])
		assert max(x["segment"] for k, x in a if k == "pred" and "segment" in x) == 3
	PY
	# Eight frames fill two segments, so none was begun beside the second: frames 8 and 9 are shared, and 10 is of the third.
	e3-cat --take 8 "$frames" | infer --budget 3f --segment 5f --overlap 2 --save-cache "$T/c" >"$T/1.e3"
	infer --load-cache "$T/c" --continue "$T/half.e3" >"$T/2.e3"
	e3-cat -q "$T/1.e3" --then "$T/2.e3" >"$T/x.e3"
	python "$T/x.e3" <<-'PY'
		import sys
		from e3read import stream
		m = list(stream(sys.argv[1]))
		assert [x.get("segment", 0) for k, x in m if k == "pred"] == [0] * 5 + [1] * 5 + [2] * 3 + [3] * 2
		assert [(x["i"], x["a"], x["b"]) for k, x in m if k == "edge"] == [(4, 0, 1), (9, 1, 2), (12, 2, 3)]
	PY
}

@test "segments: --freeze answers with the last segment, in the world of the stream, and begins no other" {
	cut_after 7 "$T/part.e3" # one of the two shared frames of segments 1 and 2
	infer --budget 3f --segment 5f --overlap 2 --save-cache "$T/c" "$T/part.e3" >"$T/1.e3"
	sum=$(sha256sum <"$T/c")
	edit "$frames" "$T/back.e3" 'n = len(m) - 2
m[1:-1] = [[k, dict(x, i=n - 1 - x["i"])] for k, x in m[-2:0:-1]]'
	infer --load-cache "$T/c" --freeze "$frames" >"$T/ahead"
	infer --load-cache "$T/c" --freeze "$T/back.e3" >"$T/back"
	infer --load-cache "$T/c" "$frames" >"$T/next"
	python "$T/ahead" "$T/back" "$T/next" <<-'PY'
		import sys
		from e3read import stream
		from stream_equal import packed
		a, b, c = (list(stream(p)) for p in sys.argv[1:])
		pick = lambda m, kind: [x for k, x in m if k == kind]
		h = a[0][1]
		assert h["frozen"] == 1 and h["seen"] == 7, h
		assert len(pick(a, "pred")) == len(pick(a, "evict")) == 14 and not pick(a, "edge")
		for x, y in zip(pick(a, "pred"), reversed(pick(b, "pred"))):
		    assert all(packed(x[k]) == packed(y[k]) for k in x.keys() - {"ms", "i"}), x["i"]
		world = pick(c, "pred")[0]["world"]
		assert world[0] != 1 and all(x["segment"] == 1 and list(x["world"]) == list(world) for x in pick(a, "pred"))
		assert all(x["segment"] == 1 and x["first"] == 0 for x in pick(a, "evict")) # frames of another stream
		# The picture that would have come next is answered as it would have been.
		x, y = pick(a, "pred")[7], pick(c, "pred")[0]
		assert x["i"] == y["i"] == 7 and all(packed(x[k]) == packed(y[k]) for k in x.keys() - {"ms"})
	PY
	[ "$(sha256sum <"$T/c")" = "$sum" ]
	infer --load-cache "$T/c" --freeze --attn-layers 1 "$frames" | e3-dump >"$T/dump" # also frames before the segment's first
	grep -q '^attn .* i=0 segment=1 first=0 ' "$T/dump" || { head "$T/dump"; return 1; }
}

@test "segments: when the input fails in an overlap, what was computed beside is delivered before the cache is saved" {
	# The last whole frame is frame 4, at the joint.
	edit "$frames" "$T/cut.e3" 'del m[6:]'
	size=$(stat -c %s "$T/cut.e3")
	head -c $((size + 100)) "$frames" >"$T/cut.e3"
	fails 1 "truncated" -- infer --budget 3f --segment 5f --overlap 2 --save-cache "$T/c" "$T/cut.e3"
	infer --load-cache "$T/c" "$frames" >"$T/2.e3"
	[ "$(e3-dump --json "$T/2.e3" | head -1 | grep -oE '"seen":[0-9]+')" = '"seen":5' ]
	e3-cat -q "$T/stdout" --then "$T/2.e3" >"$T/x.e3"
	same "$T/x.e3" "$f/through.e3"
}

#!/usr/bin/env bats
# e3-infer --save-cache, --load-cache, --continue, --freeze and e3-cat --then: a run that was stopped and resumed equals one that was not stopped.
# That sessions give the same bits in every mode, and that every damaged byte is noticed, is tested in tests/test_model_saved.c.
load common
bats_require_minimum_version 1.5.0

setup_file() {
	export PATH="$B/bin:$PATH"
	local f=$BATS_FILE_TMPDIR
	e3-decode --all --max-frames 14 --fit 70 "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" >"$f/frames.e3"
	e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 3f "$f/frames.e3" >"$f/through.e3"
	e3-cat --take 6 "$f/frames.e3" >"$f/six.e3"
	e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 3f --save-cache "$f/six.e3cache" "$f/six.e3" >"$f/first.e3"
}

prepare() {
	f=$BATS_FILE_TMPDIR
	frames=$f/frames.e3
	cache=$f/six.e3cache
	export PYTHONPATH=$ROOT/tests PYTHONDONTWRITEBYTECODE=1
}

infer() {
	e3-infer -q --device cpu --model seed:tiny:7 "$@"
}
same() { /usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$@"; }
edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }
python() { /usr/bin/python3 -B - "$@"; }

# (seven ways to run, each by both signals)
@test "killed at 14 random frames by SIGTERM and SIGKILL, resumed and joined: the stream of a run that was never stopped" {
	mkdir "$T/k"
	timeout 1200 /usr/bin/python3 -B "$ROOT/tests/resume_kill.py" "$frames" "$T/k" 14 "${RESUME_SEED:-20261123}"
}

@test "what CUDA saved in half precision is resumed on the CPU" {
	infer --segment 0 --budget 3f --save-cache "$T/c" "$f/six.e3" | e3-dump >/dev/null
	/usr/bin/python3 -B "$ROOT/tests/cache_as_f16.py" "$T/c" "$T/half"
	[ "$(stat -c %s "$T/half")" -lt "$(stat -c %s "$T/c")" ]
	infer --load-cache "$T/c" "$frames" >"$T/a.e3"
	infer --load-cache "$T/half" "$frames" >"$T/b.e3"
	python "$T/a.e3" "$T/b.e3" <<-'PY'
		import sys
		from e3read import messages, relative
		a, b = (list(messages(p, "pred")) for p in sys.argv[1:])
		assert len(a) == len(b) == 8
		differ = [relative(y["depth"], x["depth"]) for x, y in zip(a, b)]
		assert 0 < max(differ) < 1e-3, differ
	PY
	head -c $(($(stat -c %s "$T/half") - 1)) "$T/half" >"$T/short"
	fails 1 "truncated" -- infer --load-cache "$T/short" -o "$T/o.e3" "$frames"
}

@test "a resumed run needs no options again; its head says after which frame it continues, its end counts on" {
	infer --load-cache "$cache" "$frames" >"$T/second.e3"
	python "$T/second.e3" "$f/through.e3" <<-'PY'
		import sys
		from e3read import stream
		a, b = (list(stream(p)) for p in sys.argv[1:])
		h, n, m = a[0][1], a[-1][1], b[-1][1]
		assert h["seen"] == 6 and h["after"] == 5 and h["frames"] == 8 and "frozen" not in h, h
		assert [x["i"] for k, x in a if k == "pred"] == [x["i"] for k, x in a if k == "evict"] == list(range(6, 14))
		assert n["frames"] == 8 and all(n[k] == m[k] for k in ("cache_now", "cache_peak", "cache_full")), (n, m)
	PY
	e3-infer --device cpu --model seed:tiny:7 --load-cache "$cache" "$frames" 2>"$T/e" | e3-dump >/dev/null
	grep -q 'the saved session has seen 6 frames of this stream, which are skipped' "$T/e"
	# The same with the options said again, and with an input that begins where the cache ends.
	infer --load-cache "$cache" --budget 3f --policy evict3r --temp 0.5 --fit-mode crop "$frames" >"$T/x.e3"
	same "$T/x.e3" "$T/second.e3"
	e3-cat --skip 6 "$frames" | infer --load-cache "$cache" >"$T/x.e3"
	same "$T/x.e3" "$T/second.e3"
	e3-cat -q "$f/first.e3" --then "$T/second.e3" >"$T/x.e3"
	same "$T/x.e3" "$f/through.e3" pred evict end
	# Nothing new: an empty stream, and the cache is unchanged.
	infer --load-cache "$cache" --save-cache "$T/again" "$f/six.e3" >"$T/x.e3"
	cmp "$T/again" "$cache"
	[ "$(e3-dump "$T/x.e3" | wc -l)" -eq 2 ]
}

@test "ground truth and masks are passed on once, wherever the run was stopped" {
	edit "$frames" "$T/truth.e3" 'for k in range(14, 0, -1): m.insert(k + 1, [8, {"i": k - 1, "unit": "m", "pose": {"dtype": "f32", "shape": [9], "data": struct.pack("<9f", *range(k, k + 9))}}])'
	edit "$T/truth.e3" "$T/mixed.e3" 'm[10] = [9, {"i": 4, "class": "sky", "mask": {"dtype": "u8", "shape": [4, 4], "data": bytes(16)}}]'
	infer --segment 0 --budget 3f "$T/mixed.e3" >"$T/through.e3"
	# Cut before the mask of frame 4, after it, and saved when frame 5 came and gone at once.
	for cut in 10 11; do
		rm -f "$T/c"
		mkfifo "$T/in"
		e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 3f --save-cache "$T/c" <"$T/in" >"$T/1.e3" & # not the function: the signal is for the tool
		pid=$!
		exec 7>"$T/in"
		edit "$T/mixed.e3" - "del m[$cut:]" >&7
		wait_until 20 size_above "$T/1.e3" $((cut == 10 ? 535999 : 536099))
		wait_until 10 all_read "$T/in"
		kill -TERM "$pid"
		rc=0
		wait "$pid" || rc=$?
		exec 7>&-
		rm "$T/in"
		[ "$rc" -eq 143 ]
		[ "$(e3-dump "$T/1.e3" | grep -c '^\(truth\|mask\)')" -eq $((cut - 6)) ]
		infer --load-cache "$T/c" "$T/mixed.e3" >"$T/2.e3"
		e3-cat -q "$T/1.e3" --then "$T/2.e3" >"$T/x.e3"
		same "$T/x.e3" "$T/through.e3"
	done
	infer --segment 0 --budget 3f --save-cache "$T/c" --save-every 5 "$T/truth.e3" >"$T/1.e3"
	e3-cat --take 7 "$T/truth.e3" | infer --segment 0 --budget 3f --save-cache "$T/c" >"$T/1.e3"
	infer --load-cache "$T/c" --continue "$T/truth.e3" >"$T/2.e3"
	python "$T/2.e3" <<-'PY'
		import sys
		from e3read import stream
		m = list(stream(sys.argv[1]))
		assert [x["i"] for k, x in m if k == "truth"] == [x["i"] for k, x in m if k == "pred"] == list(range(7, 21))
		assert [x["pose"][0] for k, x in m if k == "truth"] == list(range(1, 15))
	PY
}

@test "--continue takes another clip as new pictures, with continued numbers; such a run can be stopped and resumed too" {
	# The second half of the clip as a clip of its own, numbered from 0.
	edit "$frames" "$T/half.e3" 'del m[1:7]; m[0][1]["frames"] = 8; m[-1][1]["frames"] = 8
for k, x in m[1:-1]: x["i"] -= 6; x["pts"] -= 0.5'
	infer --load-cache "$cache" --continue "$T/half.e3" >"$T/second.e3"
	e3-cat -q "$f/first.e3" --then "$T/second.e3" >"$T/x.e3"
	python "$T/x.e3" "$f/through.e3" <<-'PY'
		import sys
		from e3read import stream
		from stream_equal import packed
		a, b = ([x for k, x in stream(p) if k in ("pred", "evict")] for p in sys.argv[1:])
		assert len(a) == len(b) == 28
		for x, y in zip(a, b):
		    assert all(packed(x[k]) == packed(y[k]) for k in x.keys() - {"ms", "pts"}), x["i"]
		    assert abs(x.get("pts", 0) - y.get("pts", 0)) < 1e-9, (x["pts"], y["pts"])
	PY
	# Stopped after three frames of the second clip, resumed with that clip: no --continue any more.
	e3-cat --take 3 "$T/half.e3" | infer --load-cache "$cache" --continue --save-cache "$T/c" >"$T/2.e3"
	infer --load-cache "$T/c" "$T/half.e3" >"$T/3.e3"
	e3-cat -q "$f/first.e3" --then "$T/2.e3" --then "$T/3.e3" >"$T/y.e3"
	same "$T/y.e3" "$T/x.e3" pred evict
	# A fraction stays the tokens it was, or becomes another budget.
	infer --P 0.5 --save-cache "$T/p" "$f/six.e3" >"$T/1.e3"
	infer --load-cache "$T/p" --continue "$T/half.e3" >"$T/2.e3"
	[ "$(e3-dump --json "$T/2.e3" | head -1 | grep -o '"budget":[0-9]*')" = '"budget":300' ]
	infer --load-cache "$T/p" --continue --budget 2f "$T/half.e3" >"$T/2.e3"
	[ "$(e3-dump --json "$T/2.e3" | head -1 | grep -o '"budget":[0-9]*')" = '"budget":200' ]
	fails 1 "was of 6 frames; with this stream there are 14" -- infer --load-cache "$T/p" "$frames"
}

@test "--freeze answers in any order, changes nothing, and marks the stream as frozen" {
	sum=$(sha256sum <"$cache")
	edit "$frames" "$T/back.e3" 'n = len(m) - 2
m[1:-1] = [[k, dict(x, i=n - 1 - x["i"])] for k, x in m[-2:0:-1]]'
	infer --load-cache "$cache" --freeze --attn-layers 1 "$frames" >"$T/ahead"
	infer --load-cache "$cache" --freeze --attn-layers 1 "$T/back.e3" >"$T/back"
	e3-cat --skip 6 "$frames" | infer --load-cache "$cache" >"$T/next"
	python "$T/ahead" "$T/back" "$T/next" <<-'PY'
		import sys
		from e3read import stream
		from stream_equal import packed
		a, b, c = (list(stream(p)) for p in sys.argv[1:])
		h = a[0][1]
		assert h["frozen"] == 1 and h["seen"] == 6 and h["frames"] == 14, h
		pick = lambda m, kind: [x for k, x in m if k == kind]
		assert len(pick(a, "pred")) == len(pick(b, "pred")) == 14
		for kind in "pred", "evict", "attn":
		    for x, y in zip(pick(a, kind), reversed(pick(b, kind))):
		        assert all(packed(x[k]) == packed(y[k]) for k in x.keys() - {"ms", "i"}), (kind, x["i"])
		for x in pick(a, "evict"):
		    assert all(r["k_before"] == r["k_after"] and not len(r["removed"]) for r in x["layers"])
		for x in pick(a, "attn"):  # each is the seventh frame to itself
		    assert x["key"][-1] == 7 * 25 - 1 and len(x["frame_mass"]) == 7 and abs(x["frame_mass"].sum() - 1) < 1e-5
		# The picture that would have come next is answered as it would have been.
		x, y = pick(a, "pred")[6], pick(c, "pred")[0]
		assert x["i"] == y["i"] == 6 and all(packed(x[k]) == packed(y[k]) for k in x.keys() - {"ms"})
		assert a[-1][1]["cache_now"] == pick(c, "head")[0]["kv_token_bytes"] * sum(r["k_after"] for r in pick(a, "evict")[0]["layers"])
	PY
	[ "$(sha256sum <"$cache")" = "$sum" ]
	fails 1 "made by e3-infer --freeze: the cache did not change" -- e3-evict-stats "$T/ahead"
}

@test "contradicting options exit 2; options that contradict the saved cache exit 1 with both values" {
	fails 2 "--save-every: needs --save-cache" -- infer --save-every 3 "$frames"
	fails 2 "--continue: needs --load-cache" -- infer --continue "$frames"
	fails 2 "--freeze: needs --load-cache" -- infer --freeze "$frames"
	fails 2 "--freeze does not change the cache: it takes no --continue and no --save-cache" -- infer --load-cache "$cache" --freeze --save-cache "$T/c" "$frames"
	fails 2 "--freeze does not change the cache: it takes no --continue and no --save-cache" -- infer --load-cache "$cache" --freeze --continue "$frames"
	fails 2 "--load-cache: the file states the budget" -- infer --load-cache "$cache" --vram 6G "$frames"
	fails 2 "--continue: the number of frames in all is not known" -- infer --load-cache "$cache" --continue --P 0.5 "$frames"
	fails 2 "--save-cache: needs a file" -- infer --save-cache - "$frames"
	while IFS='|' read -r options saved asked; do
		read -r -a words <<<"$options"
		fails 1 "$cache: was saved with $saved, this run asks for $asked" -- infer --load-cache "$cache" "${words[@]}" "$frames"
	done <<-'ROWS'
		--budget 4f|--budget 3f|--budget 4f
		--budget 300|--budget 3f|--budget 300
		--P 0.5|--budget 3f|--P 0.5
		--no-evict|--policy evict3r|--policy none
		--policy random|--policy evict3r|--policy random
		--policy spread|--policy evict3r|--policy spread
		--temp 0.4|--temp 0.5|--temp 0.4
		--camera-frames 9|--camera-frames 1024|--camera-frames 9
		--compat starve|--compat (none)|--compat starve
		--fit-mode pad|--fit-mode crop|--fit-mode pad
	ROWS
}

@test "another network, other pictures, another size or a damaged file is refused without output" {
	fails 1 "belongs to the network seed:tiny:7 (" -- e3-infer -q --model seed:tiny:8 --load-cache "$cache" -o "$T/o.e3" "$frames"
	edit "$frames" "$T/x.e3" 'd = bytearray(m[6][1]["rgb"]["data"]); d[77] ^= 1; m[6][1]["rgb"]["data"] = bytes(d)'
	fails 1 "reading frame 5: not the picture that the saved session saw as frame 5 of " -- infer --load-cache "$cache" -o "$T/o.e3" "$T/x.e3"
	edit "$frames" "$T/x.e3" 'd = bytearray(m[1][1]["rgb"]["data"]); d[0] ^= 1; m[1][1]["rgb"]["data"] = bytes(d)'
	fails 1 "give --continue" -- infer --load-cache "$cache" -o "$T/o.e3" "$T/x.e3"
	e3-decode -q --all --max-frames 9 "$DEMO/clip.mp4" >"$T/crop.e3"
	edit "$T/crop.e3" "$T/x.e3" 'for k, x in m[1:-1]: x["h"] //= 2; x["rgb"]["shape"] = [x["h"], x["w"], 3]; x["rgb"]["data"] = x["rgb"]["data"][:x["h"] * x["w"] * 3]'
	fails 1 "reading frame 0: 70 × 28 for the network, 70 × 56 in the saved cache" -- infer --load-cache "$cache" -o "$T/o.e3" "$T/x.e3"
	fails 1 "reading frame 0: 70 × 28 for the network, 70 × 56 in the saved cache" -- infer --load-cache "$cache" --continue -o "$T/o.e3" "$T/x.e3"
	n=$(stat -c %s "$cache")
	head -c $((n - 1)) "$cache" >"$T/c"
	fails 1 "$T/c: truncated: $((n - 1)) bytes, expected $n" -- infer --load-cache "$T/c" -o "$T/o.e3" "$frames"
	/usr/bin/python3 -c 'import sys; d = bytearray(open(sys.argv[1], "rb").read()); d[90000] ^= 1; open(sys.argv[2], "wb").write(d)' "$cache" "$T/c"
	fails 1 "$T/c: layer 0: damaged: the checksum is " -- infer --load-cache "$T/c" -o "$T/o.e3" "$frames"
	fails 1 "is not a cache that e3-infer saved" -- infer --load-cache "$frames" -o "$T/o.e3" "$frames"
	fails 1 "No such file or directory" -- infer --load-cache "$T/none" -o "$T/o.e3" "$frames"
	infer --segment 0 --budget 3f --outputs depth --save-cache "$T/c" "$f/six.e3" | e3-dump >/dev/null
	fails 1 "has no camera memory, since it was saved without poses: leave pose out of --outputs" -- infer --load-cache "$T/c" -o "$T/o.e3" "$frames"
	[ ! -e "$T/o.e3" ]
}

@test "no input, or no place for the saved cache: told before the network is loaded" {
	late() { fails 1 "$1" -- e3-infer --device cpu --model seed:full:1 "${@:2}" && ! grep "loading the model" "$T/stderr"; }
	touch "$T/file"
	late "e3-infer: saving the cache: opening: $T/file/c: creating a directory: $T/file: exists and is not a directory" --save-cache "$T/file/c" -o "$T/o.e3" "$frames"
	late "e3-infer: saving the cache: opening: $T: Is a directory" --save-cache "$T" -o "$T/o.e3" "$frames"
	late "e3-infer: opening: $T/none: No such file or directory" --save-cache "$T/c" -o "$T/o.e3" "$T/none"
	[ "$(find "$T" -name '[co]*.e3*' -o -name 'c*')" = "" ] || { ls "$T"; return 1; }
}

@test "no room for the saved cache: an error, the old file stays, the predictions are complete" {
	infer --segment 0 --budget 3f --save-cache "$T/c" "$f/six.e3" | e3-dump >/dev/null
	sum=$(sha256sum <"$T/c")
	set -o pipefail
	# A file may not grow beyond 200 KiB; standard output is a pipe.
	rc=0
	(trap '' XFSZ; ulimit -f 200; infer --segment 0 --budget 3f --save-cache "$T/c" --save-every 4 "$frames" 2>"$T/e") | e3-cat - "$T/o.e3" || rc=$?
	[ "$rc" -eq 1 ] || { echo "exit $rc"; cat "$T/e"; return 1; }
	[ "$(grep -c 'saving the cache: writing: .*: File too large; the run continues$' "$T/e")" -eq 3 ]
	[ "$(tail -1 "$T/e")" = "e3-infer: saving the cache: writing: $T/c: File too large" ]
	same "$T/o.e3" "$f/through.e3"
	[ "$(sha256sum <"$T/c")" = "$sum" ]
	[ "$(find "$T" -name '*.tmp.*')" = "" ]
	fails 1 "saving the cache: writing: /dev/full: No space left on device" -- infer --segment 0 --budget 3f --save-cache /dev/full -o "$T/p.e3" "$frames"
	same "$T/p.e3" "$f/through.e3"
}

@test "the temporary file of a killed save is removed by the next save or load; that of killed predictions stays" {
	echo half >"$T/c.tmp.4194305"
	echo half >"$T/o.e3.tmp.4194305"
	infer --segment 0 --budget 3f --save-cache "$T/c" -o "$T/o.e3" "$f/six.e3"
	[ ! -e "$T/c.tmp.4194305" ]
	[ -e "$T/o.e3.tmp.4194305" ]
	echo half >"$T/c.tmp.4194305"
	infer --load-cache "$T/c" --budget 3f -o "$T/p.e3" "$frames"
	[ ! -e "$T/c.tmp.4194305" ]
}

@test "when the input fails the cache is saved, and the failure is passed on" {
	head -c 90000 "$frames" >"$T/cut.e3"
	fails 1 "truncated" -- infer --segment 0 --budget 3f --save-cache "$T/c" "$T/cut.e3"
	infer --load-cache "$T/c" "$frames" >"$T/2.e3"
	seen=$(e3-dump --json "$T/2.e3" | head -1 | grep -oE '"seen":[0-9]+')
	[ "$seen" = '"seen":7' ]
	e3-cat -q "$T/stdout" --then "$T/2.e3" >"$T/x.e3"
	same "$T/x.e3" "$f/through.e3"
	# A file keeps what the cache counts, and the message says how to go on.
	for cut in 30000 90000 150000; do
		head -c $cut "$frames" >"$T/cut.e3"
		fails 1 "truncated" -- infer --segment 0 --budget 3f --save-cache "$T/c" -o "$T/1.e3" "$T/cut.e3"
		[ ! -e "$T/1.e3" ]
		grep -q "to go on: --load-cache $T/c -o REST, .*; e3-cat $T/1.e3.partial --then REST joins both" "$T/stderr"
		infer --load-cache "$T/c" -o "$T/2.e3" "$frames"
		e3-cat -q "$T/1.e3.partial" --then "$T/2.e3" -o "$T/x.e3"
		same "$T/x.e3" "$f/through.e3"
	done
}

@test "a policy of whole frames: a session that was resumed is saved as one that was not" {
	edit "$frames" "$T/endless.e3" 'm[0][1]["frames"] = None'
	edit "$f/six.e3" "$T/part.e3" 'm[0][1]["frames"] = None'
	infer --policy k4 --save-cache "$T/whole" "$T/endless.e3" >"$T/o.e3"
	infer --policy k4 --save-cache "$T/c" "$T/part.e3" >"$T/1.e3"
	infer --load-cache "$T/c" --save-cache "$T/c" "$T/endless.e3" >"$T/2.e3"
	cmp "$T/c" "$T/whole"
	e3-cat -q "$T/1.e3" --then "$T/2.e3" "$T/x.e3"
	same "$T/x.e3" "$T/o.e3"
}

@test "a signal while frames are skipped: nothing is said of those that had not come" {
	mkfifo "$T/in"
	e3-infer --device cpu --model seed:tiny:7 --load-cache "$cache" "$T/in" -o "$T/2.e3" 2>"$T/e" &
	pid=$!
	exec 7>"$T/in"
	head -c 40000 "$f/six.e3" >&7 # three frames of six
	wait_until 60 all_read "$T/in"
	kill -INT $pid
	rc=0
	wait $pid || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ]
	! grep "nothing is new" "$T/e" || return 1
}

@test "a clip that is complete: a stream without frames, which the next tools explain, and no file is lost" {
	e3-infer --device cpu --model seed:tiny:7 --load-cache "$cache" --save-cache "$T/c" "$f/six.e3" -o "$T/2.e3" 2>"$T/e"
	grep -qx "e3-infer: $cache: the saved session has seen all 6 frames of this stream: nothing is new, and the output has no frames" "$T/e"
	cmp "$T/c" "$cache"
	why="it continues another stream after its frame 5, and nothing was new: that one is complete"
	fails 1 "exporting: the stream has no predictions: $why" -- e3-export --tum "$T/t" "$T/2.e3"
	fails 1 "it has no predictions: $why" -- e3-eval "$T/2.e3"
	fails 1 "nothing to show: $why" -- e3-view --html "$T/h" "$T/2.e3"
	e3-align "$T/2.e3" | e3-dump -q - >"$T/dump"
	e3-cat -q "$f/first.e3" --then "$T/2.e3" "$T/o.e3"
	same "$T/o.e3" "$f/first.e3"
	cp "$f/first.e3" "$T/there.e3"
	fails 1 "the stream has no frame: the file stays as it was" -- infer --load-cache "$cache" "$f/six.e3" -y -o "$T/there.e3"
	cmp "$T/there.e3" "$f/first.e3"
}

@test "e3-cat --then refuses gaps, foreign parts and frozen answers, and cuts a part without an end where the next begins" {
	infer --load-cache "$cache" "$frames" >"$T/2.e3"
	e3-cat --take 4 "$f/first.e3" >"$T/short.e3"
	fails 1 "joining: $T/short.e3: ends with frame 3, but $T/2.e3 continues after frame 5" -- e3-cat "$T/short.e3" --then "$T/2.e3" "$T/o.e3"
	fails 1 "does not continue another stream" -- e3-cat "$T/2.e3" --then "$f/first.e3" "$T/o.e3"
	infer --load-cache "$cache" --freeze "$frames" >"$T/3.e3"
	fails 1 "does not continue another stream" -- e3-cat "$f/first.e3" --then "$T/3.e3" "$T/o.e3"
	head -c 300000 "$f/first.e3" >"$T/cut.e3"
	fails 1 "truncated" -- e3-cat "$T/cut.e3" --then "$T/2.e3" "$T/o.e3"
	[ ! -e "$T/o.e3" ]
	head -c -50 "$f/through.e3" >"$T/cut.e3" # all frames, no end: those after frame 5 come from the other
	e3-cat "$T/cut.e3" --then "$T/2.e3" "$T/o.e3"
	same "$T/o.e3" "$f/through.e3"
	e3-cat --skip 4 --take 4 "$f/through.e3" >"$T/x.e3"
	e3-cat "$f/first.e3" --then "$T/2.e3" --skip 4 --take 4 >"$T/y.e3"
	same "$T/x.e3" "$T/y.e3" pred evict
	fails 1 "continues another stream after its frame 5, and the records of that one are needed too: join both with e3-cat --then" -- e3-evict-stats "$T/2.e3"
	e3-evict-stats --check "$T/o.e3" | grep -q .
}

#!/usr/bin/env bats
# e3-infer --loops with --save-cache, --load-cache, --freeze: joints that are aligned directly and loops that are found, before and after a
# session was stopped. tests/test_track_saved.c cuts trials at every frame.
load common
bats_require_minimum_version 1.5.0

setup_file() {
	export PATH="$B/bin:$PATH"
}

prepare() {
	export PYTHONPATH=$ROOT/tests PYTHONDONTWRITEBYTECODE=1
}

edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }

@test "loops: the demo model finds one before and one after the cut, which is in the middle of a trial: the stream of a run that was not stopped" {
	run_it() { e3-infer -q --device cpu --threads 1 --outputs pose,depth "$@"; }
	e3-scene --seed 7 --kind revisit --size 112x84 --frames 80 | e3-cat --take 76 >"$T/frames.e3"
	edit "$T/frames.e3" "$T/all.e3" 'm[0][1]["frames"] = 76'
	edit "$T/all.e3" "$T/begin" 'del m[[k for k, x in enumerate(m) if x[0] == 2][69]:]'
	# A frame of this network takes a quarter of a second: the run that is not stopped is the one that saves, after 68 frames.
	mkfifo "$T/in"
	run_it --budget 2f --segment 6f --loops --save-cache "$T/now" --save-every 68 "$T/in" >"$T/through.e3" 2>"$T/e" &
	exec 7>"$T/in"
	cat "$T/begin" >&7
	wait_until 100 test -e "$T/now"
	ln "$T/now" "$T/c"
	tail -c +$(($(stat -c %s "$T/begin") + 1)) "$T/all.e3" >&7
	exec 7>&-
	wait $! || { cat "$T/e"; return 1; }
	! cmp -s "$T/now" "$T/c" || return 1 # saved again at the end
	e3-cat -q --take 68 "$T/through.e3" >"$T/1.e3"
	e3-infer -v --device cpu --threads 1 --outputs pose,depth --load-cache "$T/c" "$T/all.e3" >"$T/2.e3" 2>"$T/e"
	grep -qE "^e3-infer: loops: $(e3-dump "$T/through.e3" | grep -c '^edge.* type=loop') found in [0-9]+ trials$" "$T/e" || { cat "$T/e"; return 1; }
	e3-cat -q "$T/1.e3" --then "$T/2.e3" >"$T/x.e3"
	/usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$T/x.e3" "$T/through.e3" pred evict edge truth end # (the part that was taken says that it has 68 frames)
	/usr/bin/python3 -B - "$T/1.e3" "$T/2.e3" <<-'PY'
		import sys
		from e3read import stream
		for path, joints in zip(sys.argv[1:], (10, 1)):
		    e = [x for k, x in stream(path) if k == "edge"]
		    direct = [x for x in e if x["type"] == "join" and x["sigma"][0] < 0.02]
		    loops = [x for x in e if x["type"] == "loop"]
		    assert len(direct) >= joints and loops, (path, len(direct), len(loops))
		    print(path, len(direct), "joints aligned directly,", len(loops), "loops")
	PY
}

@test "loops: the saved options may be repeated, not contradicted; --freeze looks for none" {
	run_it() { e3-infer -q --device cpu --model seed:tiny:7 "$@"; }
	e3-decode --all --max-frames 14 --fit 70 "$ROOT/pipelines/demo/clip.mp4" >"$T/frames.e3"
	e3-cat --take 9 "$T/frames.e3" >"$T/cut.e3"
	edit "$T/cut.e3" "$T/part.e3" 'm[0][1]["frames"] = 14'
	run_it --budget 3f --segment 5f --loops --loop-places 9 --save-cache "$T/c" "$T/part.e3" >"$T/1.e3"
	run_it --load-cache "$T/c" "$T/frames.e3" >"$T/2.e3"
	run_it --load-cache "$T/c" --loops --loop-places 9 --segment 5f --overlap 1 "$T/frames.e3" >"$T/3.e3"
	/usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$T/2.e3" "$T/3.e3"
	run_it --load-cache "$T/c" --loops "$T/frames.e3" >"$T/3.e3" # places that are not said are not asked for
	/usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$T/2.e3" "$T/3.e3"
	fails 1 "$T/c: was saved with --loop-places 9, this run asks for --loop-places 8" -- run_it --load-cache "$T/c" --loop-places 8 "$T/frames.e3"
	run_it --budget 3f --segment 5f --save-cache "$T/none" "$T/part.e3" >"$T/1.e3"
	fails 1 "$T/none: was saved with no --loops, this run asks for --loops" -- run_it --load-cache "$T/none" --loops "$T/frames.e3"
	fails 1 "$T/none: was saved with no --loops, this run asks for --loop-places 7" -- run_it --load-cache "$T/none" --loop-places 7 "$T/frames.e3"
	run_it --load-cache "$T/c" --freeze "$T/frames.e3" >"$T/f.e3"
	run_it --load-cache "$T/none" --freeze "$T/frames.e3" >"$T/g.e3"
	/usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$T/f.e3" "$T/g.e3"
	# A stream that was to fit into one segment has no places yet; it goes on, and has some then.
	e3-cat --take 5 "$T/frames.e3" | run_it --budget 3f --segment 5f --loops --save-cache "$T/one" >"$T/1.e3"
	run_it --load-cache "$T/one" --save-cache "$T/two" "$T/frames.e3" >"$T/2.e3"
	[ "$(e3-dump "$T/2.e3" | grep -c '^pred')" -eq 9 ]
	run_it --load-cache "$T/two" --continue "$T/frames.e3" >"$T/3.e3"
	[ "$(e3-dump "$T/3.e3" | grep -c '^pred')" -eq 14 ]
}

#!/usr/bin/env bats
# The pipeline as a whole, on the bundled clip with the bundled model: errors against the ground truth, what eviction changes
# and does not change, results as they come, the demo itself.
load common

# One run of each policy, used by several tests: the demo's own script is the one with --P 0.2. The others are without points, which
# have no part in the figures, and with one thread, which is less work in all and gives the same bits.
setup_file() {
	export PATH="$B/bin:$PATH"
	local demo=$BATS_TEST_DIRNAME/../pipelines/demo f=$BATS_FILE_TMPDIR
	e3-decode --all "$demo/clip.mp4" >"$f/frames.e3"
	e3-cat --take 8 "$f/frames.e3" >"$f/eight.e3"
	e3-infer -q --threads 1 --model "$demo/model.safetensors" --no-evict --outputs pose,depth "$f/frames.e3" >"$f/none.e3"
	"$demo/run.sh" "$f/out" >"$f/demo.o" 2>"$f/demo.e" || { cat "$f/demo.o" "$f/demo.e"; return 1; }
	ln "$f/out/demo.e3" "$f/P0.2.e3"
	e3-infer -q --threads 1 --model "$demo/model.safetensors" --P 0.1 --outputs pose,depth "$f/frames.e3" >"$f/P0.1.e3"
}

prepare() {
	f=$BATS_FILE_TMPDIR
}

py() {
	local script=$1
	shift
	/usr/bin/python3 -B "$ROOT/tests/$script" "$@"
}

@test "demo without eviction: errors within 2 % of the independent implementation" {
	py demo_truth.py "$f/none.e3" "$DEMO/truth.safetensors" none
}

@test "demo with --P 0.2: errors within 2 % of the independent implementation" {
	py demo_truth.py "$f/P0.2.e3" "$DEMO/truth.safetensors" P0.2
}

@test "demo with --P 0.1: errors within 2 % of the independent implementation" {
	py demo_truth.py "$f/P0.1.e3" "$DEMO/truth.safetensors" P0.1
}

@test "e3-eval gives the figures of the three runs against one truth" {
	e3-eval --json --truth "$DEMO/truth.safetensors" "$f/none.e3" "$f/P0.2.e3" "$f/P0.1.e3" >"$T/j"
	/usr/bin/python3 -B - "$ROOT/tests" "$T/j" <<-'PY'
		import json, sys
		sys.path.insert(0, sys.argv[1])
		from demo_truth import EXPECTED, NAMES, ROUNDING
		for s in json.load(open(sys.argv[2]))["sequences"]:
		    v, p = s["video_depth"]["median"], s["pose"]["Sim(3)"]
		    for name, x, want, slack in zip(NAMES, (v["abs_rel"], v["d1"], v["d103"], p["ate"], p["rotation"]), EXPECTED[s["name"]], ROUNDING):
		        print(s["name"], name, x, want)
		        assert abs(x - want) <= 0.02 * want + slack, (s["name"], name)
	PY
}

@test "the check of those figures notices one frame with a wrong scale, and two swapped cameras" {
	for damage in 'f = m[91][1]["depth"]; f["data"] = (1.5 * np.frombuffer(f["data"], "<f4")).astype("<f4").tobytes()' \
		'm[11][1]["pose"], m[91][1]["pose"] = m[91][1]["pose"], m[11][1]["pose"]'; do
		py edit_stream.py "$f/P0.1.e3" "$T/x.e3" "import numpy as np; $damage"
		run py demo_truth.py "$T/x.e3" "$DEMO/truth.safetensors" P0.1
		[ "$status" -eq 1 ] || { echo "unnoticed: $damage"; return 1; }
	done
}

@test "a budget larger than the clip changes nothing: predictions equal --no-evict bit for bit" {
	e3-infer -q --model "$DEMO/model.safetensors" --segment 0 --budget 10f --outputs pose,depth "$f/eight.e3" >"$T/x.e3"
	e3-cat --take 8 "$f/none.e3" >"$T/none.e3"
	py stream_equal.py "$T/x.e3" "$T/none.e3" pred
	# The comparison does notice differences.
	for run in P0.1 none; do e3-cat --skip 40 "$f/$run.e3" >"$T/$run.e3"; done
	run py stream_equal.py "$T/P0.1.e3" "$T/none.e3" pred
	[ "$status" -eq 1 ]
}

@test "the same run twice gives the same stream" {
	e3-cat --take 4 "$f/frames.e3" >"$T/few.e3"
	for k in 1 2; do
		e3-infer -q --model "$DEMO/model.safetensors" --segment 0 --budget 2f "$T/few.e3" >"$T/$k.e3"
	done
	py stream_equal.py "$T/1.e3" "$T/2.e3"
}

@test "the cache keeps the fraction that --P gives, and reports it" {
	/usr/bin/python3 -B - "$ROOT/tests" "$f" <<-'PY'
		import sys
		sys.path.insert(0, sys.argv[1])
		from e3read import messages
		for run, share in (("none", 1), ("P0.2", 0.2), ("P0.1", 0.1)):
		    path = f"{sys.argv[2]}/{run}.e3"
		    head, end = messages(path, "head")[0], messages(path, "end")[0]
		    n, layers = head["tokens_per_frame"], head["layers"]
		    assert (n, layers) == (197, 8), (n, layers)
		    # The last frame does not evict: look at the one before.
		    kept = [sum(l["k_after"] for l in e["layers"]) / layers for e in messages(path, "evict")]
		    print(f"{run}: kept per layer {kept[-2]:.0f} of {47 * n}, highest {max(kept[:-1]):.0f}; cache {end['cache_peak'] / 2**20:.1f} MiB, without eviction {end['cache_full'] / 2**20:.1f}")
		    assert end["cache_full"] == 48 * n * layers * head["kv_token_bytes"], end
		    if share == 1:
		        assert kept[-1] == 48 * n and end["cache_peak"] == end["cache_full"]
		    else:
		        # A layer that has not yet what its share allows leaves budget unused; rounding up adds at most one a layer.
		        assert 0.9 * share * 48 * n <= kept[-2] <= share * 48 * n + 1, kept[-2]
		        assert end["cache_peak"] <= (share * 48 + 1.05) * n * layers * head["kv_token_bytes"], end
	PY
}

@test "e3-infer takes at most 400 MiB for the demo" {
	! ldd "$B/bin/e3-infer" | grep -q asan || skip "not under a sanitizer"
	peak=$(e3-dump --json "$f/P0.2.e3" | tail -1 | /usr/bin/python3 -c 'import json, sys; print(json.loads(sys.stdin.read())["peak_rss"])')
	echo "# peak $((peak >> 20)) MiB on $(nproc) cores"
	[ "$peak" -le $((400 << 20)) ]
}

@test "the prediction of a frame is written before the next frame is read" {
	mkfifo "$T/pictures"
	e3-decode -q - <"$T/pictures" | e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f | e3-dump >"$T/o" &
	exec 7>"$T/pictures"
	ffmpeg -v error -i "$DEMO/clip.mp4" -frames:v 3 -f image2 -c:v ppm "$T/%d.ppm"
	for k in 1 2 3; do
		cat "$T/$k.ppm" >&7
		# The pipe is still open, and nothing more will come until this prediction has been seen.
		wait_until 10 count_is "$T/o" "pred bytes=" "$k" || { echo "no prediction of picture $k"; cat "$T/o"; return 1; }
	done
	exec 7>&-
	wait
	[ "$(grep -c '^end' "$T/o")" -eq 1 ]
}

@test "pipe, file and ZeroMQ carry the same stream" {
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f "$f/eight.e3" >"$T/direct.e3"
	e3-cat "$f/eight.e3" | e3-cat | e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f -o "$T/file.e3" -
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f "zmq:pull:ipc://$T/s" >"$T/zmq.e3" &
	timeout 300 e3-cat -o "zmq:push:ipc://$T/s" "$f/eight.e3"
	wait $!
	py stream_equal.py "$T/direct.e3" "$T/file.e3"
	py stream_equal.py "$T/direct.e3" "$T/zmq.e3"
}

@test "make demo's script: a GLB that opens, a contact sheet, and figures" {
	py glb_facts.py "$f/out/demo.glb" | tee "$T/facts"
	grep -q '^POINTS [0-9]\{5,\}' "$T/facts"
	grep -q '^LINES \|^TRIANGLES ' "$T/facts"
	# PNG signature, and at least as large as eight frames side by side.
	[ "$(head -c 8 "$f/out/demo.png" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ]
	grep -q 'frames/s' "$f/demo.o"
	grep -q 'without eviction' "$f/demo.o"
}

@test "make install: tools, manual pages and the demo model, which e3-infer finds from there; make uninstall" {
	# Installs what is already built; MAKEFLAGS of a make that started this test would interfere.
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" B="$B" DESTDIR="$T/installed" PREFIX=/usr install
	for t in $(sed -n 's/^TOOLS := //p' "$ROOT/Makefile"); do [ -x "$T/installed/usr/bin/$t" ]; done
	[ -f "$T/installed/usr/share/man/man7/e3.7" ]
	"$T/installed/usr/share/e3/recipes/resume.sh" -h | grep '^  resume.sh CLIP OUT' >/dev/null
	[ -f "$T/installed/usr/share/man/man5/e3-stream.5" ]
	[ -f "$T/installed/usr/share/man/man1/e3-infer.1" ]
	e3-cat --take 1 "$f/frames.e3" >"$T/one.e3"
	HOME=$T "$T/installed/usr/bin/e3-infer" -v --no-evict "$T/one.e3" >"$T/x.e3" 2>"$T/e"
	grep -qF 'share/e3/demo.safetensors' "$T/e"
	grep -q 'knows rendered rooms only' "$T/e"
	e3-infer -q --model "$DEMO/model.safetensors" --no-evict "$T/one.e3" >"$T/y.e3"
	py stream_equal.py "$T/x.e3" "$T/y.e3" pred
	echo other >"$T/installed/usr/bin/other"
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" B="$B" DESTDIR="$T/installed" PREFIX=/usr uninstall
	[ "$(find "$T/installed" -type f)" = "$T/installed/usr/bin/other" ]
}

@test "a network without a head for points: the default leaves them out, asked for they are refused; e3-export makes them from depth" {
	e3-decode --all --max-frames 3 "$DEMO/clip.mp4" >"$T/three.e3"
	e3-infer -q --device cpu --model seed:lingbot-tiny:7 --no-evict "$T/three.e3" >"$T/o.e3"
	/usr/bin/python3 -B - "$T/o.e3" "$ROOT/tests" <<-'PY'
		import sys
		sys.path.insert(0, sys.argv[2])
		from e3read import messages
		h, p = messages(sys.argv[1], "head")[0], messages(sys.argv[1], "pred")
		assert h["model"] == "seed:lingbot-tiny:7" and h["tokens_per_frame"] == 6 + h["patch_grid"][0] * h["patch_grid"][1], h
		assert len(p) == 3
		for x in p:
		    assert "points" not in x and x["depth"].min() > 0 and len(x["pose"]) == 9
	PY
	for list in points depth,points pose,depth,points; do
		fails 1 "opening: outputs: points: the model has no point head" -- e3-infer --model seed:lingbot-tiny:7 --no-evict --outputs "$list" "$T/three.e3"
	done
	e3-infer -q --device cpu --model seed:lingbot-tiny:7 --no-evict --outputs all "$T/three.e3" >"$T/all.e3"
	/usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$T/o.e3" "$T/all.e3"
	e3-export -q --conf-pct 0 --ply "$T/points.ply" "$T/o.e3"
	[ "$(grep -a -m1 -o '^element vertex [0-9]*' "$T/points.ply" | cut -d' ' -f3)" -gt 100 ]
}

#!/usr/bin/env bats
# e3-evict-stats: figures against an independent count of the tokens alive, pictures pixel by pixel, --pass, damaged streams.
load common

run_py() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/evict_run.py" "$@"; }
edit() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/edit_stream.py" "$@"; }

prepare() {
	run_py write "$T/run.e3" "$T/truth.npz" attn=0,2
}

@test "every figure equals an independent count, for several shapes" {
	for options in "seed=1" "seed=2 frames=16 layers=1" "seed=3 frames=5 rows=1 cols=7 special=1" "seed=4 p=0.9" \
		"seed=5 first=7 step=3 special=0" "seed=6 layers=8 frames=12 p=0.25"; do
		# shellcheck disable=SC2086
		run_py write "$T/x.e3" "$T/x.npz" $options
		e3-evict-stats --check --json --tsv "$T/tsv" "$T/x.e3" >"$T/x.json"
		run_py judge "$T/x.npz" "$T/x.json" "$T/tsv"
	done
}

@test "the report for people has at most 25 lines and the right figures" {
	e3-evict-stats "$T/run.e3" >"$T/o"
	[ "$(wc -l <"$T/o")" -le 25 ]
	[ "$(awk '{ if (length > n) n = length } END { print n }' "$T/o")" -le 120 ]
	/usr/bin/python3 -B - "$T/truth.npz" "$T/o" <<-'PY'
		import sys
		import numpy as np
		z = np.load(sys.argv[1])
		alive, text = z["alive"], open(sys.argv[2]).read()
		now, full = int(alive[:, -1].sum()), 3 * 14 * 9
		for want in (f"run         made up, 9 frames, model m on cpu\n", f"3 layers, 14 tokens a frame: 2 special, 3 x 4 patches\n",
		             f"policy      evict3r, budget {int(z['budget'])} tokens:", f"{now} tokens now,", f"{full} without eviction",
		             f"{100 * now / full:.1f} % kept"):
		    assert want in text, want
	PY
	e3-evict-stats --check "$T/run.e3" | grep -qx 'check       9 steps of 3 layers: every rule holds'
}

@test "--pass forwards every byte; the report goes to standard error or -o" {
	e3-evict-stats "$T/run.e3" >"$T/report"
	e3-evict-stats --pass <"$T/run.e3" >"$T/out.e3" 2>"$T/e"
	cmp "$T/run.e3" "$T/out.e3"
	cmp "$T/report" "$T/e"
	e3-evict-stats --pass --json -o "$T/report.json" <"$T/run.e3" 2>"$T/e" | cmp - "$T/run.e3"
	[ ! -s "$T/e" ]
	e3-evict-stats --json "$T/run.e3" | cmp - "$T/report.json"
	# When a stage upstream fails, the stage downstream is told which and why.
	edit "$T/run.e3" "$T/abort.e3" 'm[-1] = [7, {"tool": "e3-x", "code": 1, "text": "no more film"}]'
	e3-evict-stats --pass "$T/abort.e3" 2>"$T/e" | e3-cat >"$T/out.e3" 2>"$T/e2" && return 1
	grep -q 'no more film' "$T/e"
	grep -q 'e3-x.*no more film' "$T/e2"
}

# planted RULE CODE: damages the run with CODE; --check names the rule, exits 1, and still reports.
planted() {
	edit "$T/run.e3" "$T/bad.e3" "e = [f for k, f in m if k == 4]
$2"
	fails 1 "checking: $T/bad.e3: " -- e3-evict-stats --check "$T/bad.e3"
	grep -q "^violation   frame .*: $1: expected " "$T/stdout" || { echo "not named $1:"; cat "$T/stdout"; return 1; }
	e3-evict-stats --check --json "$T/bad.e3" 2>/dev/null >"$T/j" || true
	/usr/bin/python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); assert sys.argv[2] in [v["rule"] for v in j["violations"]]' "$T/j" "$1"
}

@test "--check names the rule that a record violates" {
	big='l = max(e[5]["layers"], key=lambda l: len(l["removed"]["data"]));'
	planted alive "$big l['removed']['data'] = l['removed']['data'][:-4] + struct.pack('<I', 14 * 6 + 3)"
	planted count "l = e[5]['layers'][1]; l['k_before'] += 2; l['k_after'] += 2"
	planted budget "$big l['budget'] -= 2"
	planted budget "$big l['budget'] += 2"
	planted protected "$big l['removed']['data'] = struct.pack('<I', 3) + l['removed']['data'][4:]"
	planted protected "$big l['protected'] += 1"
	planted alpha "$big l['alpha'] += 1e-4"
	planted order "$big l['max_evicted'] = l['min_kept'] + 0.5"
}

@test "without --check, records that cannot be replayed are refused; the message names the first" {
	edit "$T/run.e3" "$T/bad.e3" 'del m[next(k for k, x in enumerate(m) if x[0] == 4 and x[1]["i"] == 3)]'
	fails 1 "frame 4, layer 0: count: expected" -- e3-evict-stats --png "$T/png" --tsv "$T/tsv" "$T/bad.e3"
	[ ! -s "$T/stdout" ]
	[ ! -e "$T/png" ]
	[ ! -e "$T/tsv" ]
	e3-cat --skip 4 "$T/run.e3" "$T/cut.e3"
	fails 1 "the beginning of the stream is missing: at frame 4 the cache already holds" -- e3-evict-stats "$T/cut.e3"
	edit "$T/run.e3" "$T/bad.e3" '[f for k, f in m if k == 4][2]["layers"].pop()'
	fails 1 "frame 2: eviction record of 2 layers, the head says 3" -- e3-evict-stats --check "$T/bad.e3"
	edit "$T/run.e3" "$T/bad.e3" 'm[0][1]["patch_grid"] = [30000, 30000]'
	fails 1 "30000 x 30000 patches" -- e3-evict-stats "$T/bad.e3"
}

@test "streams with nothing to report are refused with the reason" {
	edit "$T/run.e3" "$T/x.e3" 'm[:] = [x for x in m if x[0] != 4]'
	fails 1 "$T/x.e3: 9 predictions, but no eviction records" -- e3-evict-stats "$T/x.e3"
	edit "$T/run.e3" "$T/x.e3" 'm[:] = [x for x in m if x[0] in (1, 6)]; m[-1][1]["frames"] = 0'
	fails 1 "the stream has no frames" -- e3-evict-stats "$T/x.e3"
	edit "$T/run.e3" "$T/x.e3" 'del m[0][1]["model"]; m[:] = [m[0], m[-1]]; m[-1][1]["frames"] = 0'
	fails 1 "holds frames, not predictions: put e3-infer between" -- e3-evict-stats "$T/x.e3"
	edit "$T/run.e3" "$T/x.e3" 'm[:] = [x for x in m if x[0] in (1, 4, 6)]; m[-1][1]["frames"] = 0'
	fails 1 "no pictures" -- e3-evict-stats --sheet "$T/s.png" "$T/x.e3"
	edit "$T/run.e3" "$T/x.e3" 'm[:] = [x for x in m if x[0] != 5]'
	fails 1 "no attention records" -- e3-evict-stats --attn "$T/a" "$T/x.e3"
	[ ! -e "$T/a" ]
	[ ! -e "$T/s.png" ]
}

@test "a run of one frame gives every output" {
	run_py write "$T/one.e3" "$T/one.npz" frames=1 attn=1
	e3-evict-stats --check --png "$T/png" --tsv "$T/tsv" --sheet "$T/s.png" --attn "$T/a" "$T/one.e3" >"$T/o"
	grep -q '^eviction    nothing was removed$' "$T/o"
	[ "$(cat "$T/a/attn/frame_mass_layer_01.tsv")" = 1 ]
	[ "$(wc -l <"$T/tsv/per_step.tsv")" -eq 2 ]
	head -c 8 "$T/s.png" | cmp - <(printf '\x89PNG\r\n\x1a\n')
}

@test "sheets show the patches that were kept, in every style" {
	for style in hide dim mark; do e3-evict-stats --png "$T/$style" --style "$style" "$T/run.e3" >/dev/null; done
	e3-evict-stats --png "$T/age" --view age --layers 1 "$T/run.e3" >/dev/null
	[ "$(cd "$T/age" && echo L*.png)" = L01.png ]
	e3-evict-stats --png "$T/now" --view now --grid --layers 0 "$T/run.e3" >/dev/null
	e3-evict-stats --png "$T/only" --view layers "$T/run.e3" >/dev/null
	[ ! -e "$T/only/L00.png" ]
	[ -s "$T/only/layers.png" ]
	/usr/bin/python3 -B - "$T" <<-'PY'
		import sys
		import numpy as np
		from PIL import Image
		T = sys.argv[1]
		alive = np.load(T + "/truth.npz")["alive"]
		W, H, C, seen = 260, 195, 65, 0
		def centres(im, k):
		    columns = (im.shape[1] - 24) // (W + 8)
		    x0, y0 = 16 + k % columns * (W + 8), 48 + k // columns * (H + 32)
		    return [(p, im[y0 + p // 4 * C + C // 2, x0 + p % 4 * C + C // 2].astype(int)) for p in range(12)]
		for layer in range(3):
		    hide, dim, mark = (np.asarray(Image.open(f"{T}/{s}/L{layer:02d}.png")) for s in ("hide", "dim", "mark"))
		    for f in range(9):
		        for (p, h), (_, d), (_, m) in zip(centres(hide, f), centres(dim, f), centres(mark, f)):
		            kept = alive[layer, -1, f, 2 + p]
		            assert (h == 255).all() != kept, (layer, f, p, h)
		            assert (d.ptp() == 0 and d.max() < 64) != kept, (layer, f, p, d)
		            assert not kept or (h == d).all() and (h == m).all()
		            assert kept or m[0] > 134 and m[1] < 130, m
		            seen += not kept
		assert seen > 50, seen
		layers = np.asarray(Image.open(T + "/only/layers.png"))
		green = {}
		for f in range(9):
		    for p, px in centres(layers, f):
		        green.setdefault(int(alive[:, -1, f, 2 + p].sum()), []).append(px[1])
		assert max(green[0]) < min(green[3]), green
		print(f"# {seen} evicted patches checked in three styles")
	PY
}

@test "the contact sheet shows frames, depth and kept patches" {
	e3-evict-stats --sheet "$T/s.png" --columns 3 "$T/run.e3" >/dev/null
	edit "$T/run.e3" "$T/flat.e3" 'for k, f in m:
	if k == 3: del f["depth"], f["depth_conf"]'
	e3-evict-stats --sheet "$T/flat.png" --columns 3 "$T/flat.e3" >/dev/null
	/usr/bin/python3 -B - "$T" <<-'PY'
		import sys
		import numpy as np
		from PIL import Image
		T = sys.argv[1]
		alive = np.load(T + "/truth.npz")["alive"]
		im, flat = (np.asarray(Image.open(f"{T}/{n}.png")).astype(int) for n in ("s", "flat"))
		step = 195 + 8 + 22
		assert im.shape[0] - flat.shape[0] == step
		top = 48 + 22
		for column, f in enumerate((0, 4, 8)):
		    x = 16 + column * 268
		    seen, depth, kept = (im[top + k * step:top + k * step + 195, x:x + 260] for k in range(3))
		    for p in range(12):
		        y, c = p // 4 * 65 + 32, p % 4 * 65 + 32
		        n = alive[:, -1, f, 2 + p].sum()
		        a, b = seen[y, c], kept[y, c]
		        assert (a == b).all() if n == 3 else (b < a).all() if n else b.ptp() == 0, (f, p, n, a, b)
		    x32 = np.arange(32)
		    far = 2 + np.sin((120 + 60 * np.sin(x32 / 7 + f / 3)).astype(np.uint8) / 40)
		    near, away = (depth[100, int((k + 0.5) * 260 / 32)] for k in (far.argmin(), far.argmax()))
		    assert near[0] > near[2] and away[2] >= away[0], (f, near, away)
	PY
}

@test "attention tables are exact, and maps show evicted keys in grey" {
	e3-evict-stats --attn "$T" --range 0:0.2 "$T/run.e3" >/dev/null
	run_py write "$T/map.e3" "$T/map.npz" attn=0,2 map=1
	e3-evict-stats --attn "$T/m" --row-scale frames --cmap grey --range 0:1 "$T/map.e3" >/dev/null
	e3-evict-stats --attn "$T/two" --layers 2 --attn-size 32 "$T/run.e3" >/dev/null
	[ ! -e "$T/two/attn/layer_00.png" ]
	[ -s "$T/two/attn/layer_02.png" ]
	[ -s "$T/attn/mean.png" ]
	[ -s "$T/attn/frame_mass_mean.png" ]
	/usr/bin/python3 -B - "$T" <<-'PY'
		import sys
		import numpy as np
		from PIL import Image
		T = sys.argv[1]
		z = np.load(T + "/truth.npz")
		alive, n, S = z["alive"], 14, 9
		tables = {}
		for layer in (0, 2):
		    want = np.zeros((S, S))
		    for t in range(S):
		        want[t, :t + 1] = z[f"mass_{layer}_{t}"]
		    got = tables[layer] = np.loadtxt(f"{T}/attn/frame_mass_layer_{layer:02d}.tsv")
		    assert np.abs(got - want).max() < 1e-6
		    assert np.abs(got.sum(1) - 1).max() < 1e-5
		assert np.abs(np.loadtxt(f"{T}/attn/frame_mass_mean.tsv") - (tables[0] + tables[2]) / 2).max() < 1e-6
		assert np.abs(np.loadtxt(f"{T}/two/attn/frame_mass_layer_02.tsv") - tables[2]).max() == 0
		zoom, x0, y0 = 5, 94, 64
		for path, full in ((f"{T}/attn/layer_00.png", False), (f"{T}/m/attn/layer_00.png", True)):
		    im, grey = np.asarray(Image.open(path)).astype(int), 0
		    for t in range(S):
		        for token in range(S * n):
		            px = im[y0 + t * zoom * n + 7, x0 + token * zoom + 2]
		            f, k = divmod(token, n)
		            held = f == t or (f < t and alive[0, t - 1, f, k])
		            is_grey = (px == 128).all()
		            grey += is_grey
		            if full and held:
		                continue  # a grey map may pass through grey
		            assert is_grey == (f <= t and not held), (path, t, token, px)
		            assert f <= t or (px == ((0, 0, 0) if full else (68, 1, 84))).all(), px
		    assert grey > 50
		print("# grey cells", grey)
	PY
}

@test "attention records that do not fit are refused" {
	first='a = [f for k, f in m if k == 5]'
	edit "$T/run.e3" "$T/x.e3" "$first; a[4]['layer'] = 3"
	fails 1 "attention at frame 2: layer 3: the network has layers 0 to 2" -- e3-evict-stats --attn "$T/a" "$T/x.e3"
	edit "$T/run.e3" "$T/x.e3" "$first; a[4]['key']['data'] = a[4]['key']['data'][:-4] + struct.pack('<I', 42)"
	fails 1 "key 42: token ids end at 41 here" -- e3-evict-stats --attn "$T/a" "$T/x.e3"
	edit "$T/run.e3" "$T/x.e3" "$first; a[5]['layer'] = 0"
	fails 1 "layer 0: two records" -- e3-evict-stats --attn "$T/a" "$T/x.e3"
	[ ! -e "$T/a" ]
}

@test "after SIGINT the frames so far are reported; exit 130" {
	mkfifo "$T/in"
	e3-evict-stats --json "$T/in" >"$T/o" 2>"$T/e" &
	pid=$!
	exec 9>"$T/in"
	/usr/bin/python3 - "$T/run.e3" >&9 <<-'PY'
		import struct, sys
		data, at, records = open(sys.argv[1], "rb").read(), 0, 0
		while records < 4:
		    _, n, kind = struct.unpack(">BIB", data[at:at + 6])
		    at += 6 + n
		    records += kind == 4
		sys.stdout.buffer.write(data[:at])
	PY
	wait_until 10 all_read "$T/in"
	kill -INT $pid
	rc=0
	wait $pid || rc=$?
	exec 9>&-
	[ "$rc" -eq 130 ]
	/usr/bin/python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); assert j["interrupted"] and j["frames"] == 4, j' "$T/o"
}

@test "wrong options, files that cannot be written and full disks are errors" {
	fails 2 "option --range: expected LO:HI with LO below HI" -- e3-evict-stats --range 3:1 "$T/run.e3"
	fails 2 "option --range: expected LO:HI or p and a percentile" -- e3-evict-stats --range 99 "$T/run.e3"
	fails 2 "option --cmap: expected one of viridis|plasma|magma|turbo|grey|gist_rainbow, got 'jet'" -- e3-evict-stats --cmap jet "$T/run.e3"
	fails 2 "expected one INPUT" -- e3-evict-stats a b
	fails 1 "layer 7: the network has layers 0 to 2" -- e3-evict-stats --png "$T/p" --layers 7 "$T/run.e3"
	fails 1 "/dev/full" -- e3-evict-stats -o /dev/full "$T/run.e3"
	# Files that cannot be written are reported before the stream is read, because it may not come a second time.
	fails 1 "e3-evict-stats: opening: $T/run.e3/report: creating a directory: $T/run.e3: exists and is not" -- e3-evict-stats -o "$T/run.e3/report"
	fails 1 "e3-evict-stats: opening: $T/run.e3/x.png: creating a directory: $T/run.e3: exists and is not" -- e3-evict-stats --sheet "$T/run.e3/x.png"
	fails 1 "truncated: empty" -- e3-evict-stats -o "$T/report" --sheet "$T/x.png"
	[ ! -e "$T/report" ]
	[ ! -e "$T/x.png" ]
	[ -z "$(find "$T" -name '*.tmp.*')" ]
	fails 1 "missing.e3" -- e3-evict-stats "$T/missing.e3"
	e3-evict-stats "$T/run.e3" >/dev/full 2>"$T/e" && return 1
	grep -q 'No space left' "$T/e"
}

# grows FRAMES SEGMENT: by how many bytes for each frame from FRAMES to twice as many, in a long run of 8 layers of 201 tokens
grows() {
	local n
	for n in "$1" $(($1 * 2)); do
		/usr/bin/python3 -B "$BATS_TEST_DIRNAME/long_run.py" "$n" 8 14 "$2" >"$T/$n.e3"
		/usr/bin/python3 - "$T/$n.e3" >"$T/$n.kib" <<-'PY'
			import os, subprocess, sys
			p = subprocess.Popen(["e3-evict-stats", "--pass", sys.argv[1]], stdout=open(sys.argv[1] + ".copy", "wb"), stderr=subprocess.DEVNULL)
			_, status, use = os.wait4(p.pid, 0)
			assert status == 0
			print(use.ru_maxrss)
		PY
		cmp "$T/$n.e3" "$T/$n.e3.copy" || return 1
	done
	echo $((($(cat "$T/$(($1 * 2)).kib") - $(cat "$T/$1.kib")) * 1024 / $1))
}

@test "memory grows by what the manual says, with --pass too" {
	local manual=$ROOT/man/e3-evict-stats.1 grew
	grep -q 'for each frame 200 bytes, and for each of its layers 110\.' "$manual"
	grep -q 'each layer of a frame takes 90 more and two for each token if one was$' "$manual"
	for row in "1500 100000000 $((200 + 8 * (110 + 90 + 2 * 201)))" "4000 20 $((200 + 8 * 110))"; do
		read -r n segment says <<<"$row"
		grew=$(grows "$n" "$segment")
		echo "segments of $segment: $grew bytes a frame, the manual says $says"
		[ "$grew" -le $((says * 5 / 4)) ]
		[ "$grew" -ge $((says / 2)) ]
	done
}

@test "the figures do not depend on whether the tokens of segments that are over are kept" {
	e3-scene -q --seed 4 --frames 40 --size 112x84 | e3-infer -q --device cpu --model seed:tiny:7 --budget 6f -o "$T/x.e3"
	[ "$(e3-evict-stats --json "$T/x.e3" | tee "$T/a" | grep -c '"segments"')" -eq 1 ]
	e3-evict-stats --json --png "$T/pictures" "$T/x.e3" >"$T/b"
	cmp "$T/a" "$T/b"
	[ "$(e3-evict-stats --check "$T/x.e3" | grep -c 'every rule holds')" -eq 1 ]
}

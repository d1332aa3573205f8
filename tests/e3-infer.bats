#!/usr/bin/env bats
# e3-infer as a tool: its options, what it refuses and in which words, what its stream says. Numbers of the network are elsewhere
# (tests/test_model_*.c, tests/pipeline.bats), conduct common to all tools in tests/conduct.bats.
load common
load infer
bats_require_minimum_version 1.5.0

@test "without --model the bundled demo model is used; -v names it" {
	e3-cat --take 2 "$frames" >"$T/two.e3"
	e3-infer -v --P 0.75 "$T/two.e3" >"$T/o.e3" 2>"$T/e"
	grep -q 'model: the bundled demo model' "$T/e"
	check "$T/o.e3" <<-'PY'
		assert h["tool"] == "e3-infer" and h["policy"] == "evict3r" and h["device"] == "cpu" and h["frames"] == 2, h
		assert h["layers"] == 8 and h["tokens_per_frame"] == 197 and h["patch_grid"] == [12, 16] and h["kv_token_bytes"] == 2 * 4 * 192
		assert h["budget"] == 0.75 * 2 * 8 * 197 and h["source"].endswith("clip.mp4")
		for i, x in enumerate(p):
		    assert x["i"] == i and x["w"] == 224 and x["h"] == 168 and x["rgb"].shape == (168, 224, 3) and x["ms"] > 0
		    assert x["depth"].shape == x["depth_conf"].shape == x["points_conf"].shape == (168, 224) and x["points"].shape == (168, 224, 3)
		    assert x["depth"].min() > 0 and x["depth_conf"].min() >= 1 and x["points_conf"].min() >= 1
		    assert 0.9 < np.linalg.norm(x["pose"][3:7]) < 1.1 and 0.5 < x["pose"][7] < 1.5  # a camera, not noise
	PY
}

@test "which model is used: --model, else E3_MODEL, else the first file of ~/.cache/e3 by name" {
	mkdir -p "$HOME/.cache/e3"
	touch "$HOME/.cache/e3/.hidden.safetensors" "$HOME/.cache/e3/notes.txt"
	e3-cat --take 1 "$frames" | e3-infer -v --segment 0 --budget 2f 2>"$T/e" | e3-dump >/dev/null
	grep -q 'the bundled demo model' "$T/e"
	for k in b a c; do echo "not a model" >"$HOME/.cache/e3/$k.safetensors"; done
	fails 1 "$HOME/.cache/e3/a.safetensors" -- e3-infer "$frames"
	head -1 "$T/stderr" | grep -qF "e3-infer: model: $HOME/.cache/e3/a.safetensors"
	E3_MODEL=$T/absent.pth fails 1 "$T/absent.pth: No such file" -- e3-infer "$frames"
	E3_MODEL=$T/absent.pth e3-infer -q --model seed:tiny:7 --no-evict "$frames" >"$T/x.e3"
	same "$T/x.e3" "$f/all.e3"
	E3_MODEL=seed:tiny:7 e3-infer --device cpu --no-evict "$frames" >"$T/x.e3" 2>"$T/e"
	same "$T/x.e3" "$f/all.e3"
	[ ! -s "$T/e" ]
	fails 1 "expected seed:CONFIG:N: no configuration 'small': expected tiny, full, lingbot-tiny or lingbot-full" -- e3-infer --model seed:small:1 "$frames"
}

@test "options that exclude each other, and arguments out of range: exit 2" {
	fails 2 "--P and --budget: give only one of them" -- e3-infer --P 0.5 --budget 3f "$frames"
	fails 2 "--no-evict and --policy none keep everything" -- e3-infer --no-evict --P 0.5 "$frames"
	fails 2 "--no-evict and --policy none keep everything" -- e3-infer --policy none -b 3f "$frames"
	fails 2 "--attn-map: needs --attn-layers" -- e3-infer --attn-map "$frames"
	fails 2 "expected at most one input" -- e3-infer "$frames" "$frames"
	while read -r -a words; do
		fails 2 "option ${words[0]}" -- e3-infer "${words[@]}" "$frames"
	done <<-'ROWS'
		--P 0
		--P 1.5
		--P x
		--budget 0
		--budget 3x
		--budget f
		--budget -3f
		--budget nanG
		--policy newest
		--compat all
		--compat evict3r,
		--outputs depth,colour
		--attn-layers 1,,2
		--attn-layers -1
		--attn-layers 256
		--temp 0
		--frames 0
		--threads 0
		--camera-frames 1
		--fit-mode stretch
		--device gpu
		--precision f64
		--log-every 0
	ROWS
}

@test "--device cuda fails without a GPU; auto falls back to the CPU, and says why with -v" {
	[ ! -e /dev/nvidiactl ] || skip "there is an NVIDIA driver here"
	fails 1 "e3-infer: opening the device: cuda: " -- e3-infer --device cuda --model seed:tiny:7 --no-evict "$frames"
	e3-infer --model seed:tiny:7 --no-evict "$frames" >"$T/o.e3" 2>"$T/e"
	[ ! -s "$T/e" ]
	e3-infer -v --model seed:tiny:7 --no-evict "$frames" 2>"$T/e" >/dev/null
	grep -q '^e3-infer: device: the CPU (' "$T/e"
	same "$T/o.e3" "$f/all.e3"
	infer --device cpu --no-evict
	[ ! -s "$T/e" ]
}

@test "a budget that is too small is refused; the smallest one, which the error names, works" {
	# N = 25, four layers: frame 0 and five special tokens are 120 tokens, 1.2 frames a layer.
	for b in 1f 119 0.1M; do
		fails 1 "the smallest that works is --budget 1.2000f, 120 or " -- e3-infer -q --model seed:tiny:7 --budget $b "$frames"
	done
	fails 1 "the smallest that works is --P 0.1500" -- e3-infer -q --model seed:tiny:7 --P 0.1 "$frames"
	for b in 1.2f 120 "$(grep -oE '[0-9.]+M' <<<"$(e3-infer -q --model seed:tiny:7 --segment 0 --budget 1f "$frames" 2>&1 >/dev/null)")"; do
		infer --segment 0 --budget "$b"
		[ "$(e3-dump "$T/o.e3" | grep -c '^pred')" -eq 8 ]
	done
	infer --P 0.15
	infer --P 0.01 --compat starve # the released code takes anything
}

@test "one picture, or two: nothing is evicted, so any --P works" {
	for n in 1 2; do
		e3-decode --all --max-frames $n "$DEMO/clip.mp4" >"$T/few.e3"
		for how in '' '--P 0.01'; do
			# shellcheck disable=SC2086 # words
			e3-infer -q --model seed:tiny:7 $how "$T/few.e3" | e3-dump --json | grep '"pose"' >"$T/o"
			e3-infer -q --model seed:tiny:7 --no-evict "$T/few.e3" | e3-dump --json | grep '"pose"' >"$T/all"
			[ "$(wc -l <"$T/o")" -eq $n ]
			diff <(sed 's/"ms": *[0-9.]*//' "$T/o") <(sed 's/"ms": *[0-9.]*//' "$T/all")
		done
	done
	# The length was a lie: room for the frames that come after all.
	e3-decode --all --max-frames 5 "$DEMO/clip.mp4" |
		/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" /dev/stdin "$T/more.e3" 'm[0][1]["frames"] = None'
	e3-infer -q --model seed:tiny:7 --P 0.01 --frames 2 "$T/more.e3" >"$T/o.e3"
	[ "$(e3-dump "$T/o.e3" | grep -c '^pred')" -eq 5 ]
}

@test "units of --budget: frames, tokens, thousands, MiB" {
	for b in 3f:300 300:300 0.3k:300 2M:1624; do
		infer --segment 0 --budget "${b%:*}"
		check "$T/o.e3" <<<"assert h['budget'] == ${b#*:}, h['budget']"
	done
	infer -b 3f
	same "$T/o.e3" "$f/three.e3"
}

@test "--P needs the length of the stream: from the head, else from --frames" {
	fails 1 "--P: the stream does not say how many frames it has: give --frames N, or an absolute budget" -- \
		e3-infer -q --model seed:tiny:7 --P 0.4 "$f/endless.e3"
	fails 1 "--P: the stream does not say" -- e3-infer -q --model seed:tiny:7 "$f/endless.e3" # --P 0.5 is the default
	infer --P 0.4
	e3-infer -q --model seed:tiny:7 --P 0.4 --frames 8 "$f/endless.e3" >"$T/x.e3"
	same "$T/o.e3" "$T/x.e3" pred evict
	infer --P 0.4 --frames 100
	grep -q -- '--frames 100: the stream says 8: using that' "$T/e"
	same "$T/o.e3" "$T/x.e3" pred evict
	# An absolute budget, or none, needs no length.
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f "$f/endless.e3" >"$T/x.e3"
	same "$T/x.e3" "$f/three.e3" pred evict
	e3-infer -q --model seed:tiny:7 --no-evict "$f/endless.e3" >"$T/x.e3"
	same "$T/x.e3" "$f/all.e3" pred
}

@test "eviction records describe the cache, the end record its size" {
	for how in "--budget 3f" "--P 0.4" "--P 0.4 --compat evict3r" "--policy window --budget 2.5f" "--policy random --budget 2.5f" \
		"--policy spread --budget 2.5f" "--policy spread --P 0.4"; do
		read -r -a words <<<"$how"
		infer "${words[@]}"
		check "$T/o.e3" <<-'PY'
			held, peak = [set() for _ in range(4)], 0
			N = h["tokens_per_frame"]
			assert N == 25 and len(p) == len(e) == 8
			for i, record in enumerate(e):
			    assert record["i"] == i and len(record["layers"]) == 4
			    for l, r in enumerate(record["layers"]):
			        held[l] |= set(range(i * N, (i + 1) * N))
			        removed = list(r["removed"])
			        assert r["layer"] == l and r["k_before"] == len(held[l]) and removed == sorted(set(removed)) and set(removed) <= held[l]
			        held[l] -= set(removed)
			        assert r["k_after"] == len(held[l])
			    peak = max(peak, sum(r["k_before"] for r in record["layers"]))
			    if 0 < i < 7 or (i == 7 and any(len(r["removed"]) for r in record["layers"])):
			        assert abs(sum(r["alpha"] for r in record["layers"]) - 1) < 1e-6
			        assert sum(r["k_after"] for r in record["layers"]) < h["budget"] + 4
			assert sum(len(r["removed"]) for record in e for r in record["layers"]) > 100
			assert n["frames"] == 8 and n["cache_full"] == 8 * N * 4 * h["kv_token_bytes"] and n["cache_peak"] == peak * h["kv_token_bytes"]
			assert n["cache_now"] == sum(map(len, held)) * h["kv_token_bytes"] and n["peak_rss"] > 1e7 and n["seconds"] > 0
		PY
	done
}

@test "--policy window keeps the newest tokens, none keeps all; random and evict3r give other results" {
	infer --policy window --budget 3f
	check "$T/o.e3" <<-'PY'
		assert h["policy"] == "window"
		patches = set()  # but for frame 0; specials are protected
		for i, record in enumerate(e):
		    patches |= {t for t in range(25 * i, 25 * i + 25) if i and t % 25 >= 5}
		    gone = {t for t in record["layers"][2]["removed"] if t % 25 >= 5}
		    patches -= gone
		    assert gone or i < 3
		    assert not gone or 25 <= min(gone) and max(gone) < min(patches), i
	PY
	mv "$T/o.e3" "$T/window.e3"
	infer --policy random --budget 3f
	differ "$T/o.e3" "$T/window.e3" pred
	differ "$T/o.e3" "$f/three.e3" pred
	infer --policy none
	same "$T/o.e3" "$f/all.e3"
}

@test "the manual lists the policies that the program has" {
	e3-infer --policy '?' </dev/null 2>"$T/err" || true
	have=$(sed -n 's/.*expected one of \(.*\), got .*/\1/p' "$T/err")
	[ -n "$have" ]
	[ "$have" = "$(sed -n 's/^\.It Fl -policy Cm //p' "$ROOT/man/e3-infer.1" | sed 's/ | /|/g')" ]
	for policy in ${have//|/ }; do
		grep -qx "\.It Cm $policy" "$ROOT/man/e3-infer.1" || { echo "e3-infer(1) does not describe $policy"; return 1; }
		e3-infer --help | grep -q "^ *$policy  *[a-z]" || { echo "--help does not describe $policy"; return 1; }
	done
}

@test "--policy spread: keeps even parts of all frames, protects only the newest special tokens; same bits with any number of threads, length known or not" {
	for k in 1 2 3; do
		infer --policy spread --budget 2.5f --threads $k
		[ $k -eq 1 ] && cp "$T/o.e3" "$T/one.e3"
		same "$T/o.e3" "$T/one.e3"
	done
	differ "$T/o.e3" "$f/three.e3" pred
	check "$T/o.e3" <<-'PY'
		assert h["policy"] == "spread"
		for layer in range(4):
		    held = set()
		    for i, record in enumerate(e):
		        r = record["layers"][layer]
		        held |= set(range(25 * i, 25 * i + 25))
		        held -= set(r["removed"])
		        assert r["protected"] == (25 + 5 if i else 25)
		        assert set(range(25)) | set(range(25 * i, 25 * i + 5)) <= held
		    parts = [sum(t // 25 == i for t in held) for i in range(1, 8)]
		    assert sum(parts) + 25 == len(held) and min(parts) >= 1, parts
	PY
	e3-infer -q --model seed:tiny:7 --policy spread --budget 2.5f "$f/endless.e3" >"$T/x.e3"
	same "$T/x.e3" "$T/one.e3" pred evict
	e3-evict-stats --check "$T/one.e3" >"$T/stats"
	grep -q '^policy *spread, budget 250 tokens' "$T/stats"
	infer --policy spread --P 0.4
	e3-evict-stats --check "$T/o.e3" >"$T/stats"
	for words in f16-sums starve evict3r camera,starve; do
		fails 2 "--policy spread cannot be combined with --compat" -- e3-infer --policy spread --compat $words "$frames"
	done
	infer --policy spread --P 0.4 --compat camera
	differ "$T/o.e3" "$T/one.e3" pred
}

@test "--temp: a high temperature shares evenly, a low one does not" {
	for t in 100 0.01; do
		infer --P 0.5 --temp $t
		check "$T/o.e3" <<-PY
			alpha = [r["alpha"] for r in e[3]["layers"]]
			assert (max(alpha) - min(alpha) < 0.001) == ($t > 1), alpha
		PY
	done
}

@test "--compat: each word has its effect, evict3r is all three" {
	infer --no-evict --compat camera
	check "$T/o.e3" >"$T/1" <<<"print([x['depth'].tobytes()[:64] for x in p], [list(x['pose']) for x in p])"
	check "$f/all.e3" >"$T/2" <<<"print([x['depth'].tobytes()[:64] for x in p], [list(x['pose']) for x in p])"
	run ! cmp -s "$T/1" "$T/2"
	[ "$(cut -d']' -f1 "$T/1")" = "$(cut -d']' -f1 "$T/2")" ] # depth is the same
	# Starved layers lose frame 0.
	infer --P 0.3 --temp 0.01 --compat starve
	check "$T/o.e3" <<<"assert any(t < 25 for x in e for r in x['layers'] for t in r['removed'])"
	infer --P 0.3 --temp 0.01
	check "$T/o.e3" <<<"assert not any(t < 25 for x in e for r in x['layers'] for t in r['removed'])"
	infer --P 0.3 --compat evict3r
	mv "$T/o.e3" "$T/x.e3"
	infer --P 0.3 --compat camera,f16-sums,starve
	same "$T/o.e3" "$T/x.e3"
	infer --P 0.3 --compat starve,camera # scores in half precision are other scores
	differ "$T/o.e3" "$T/x.e3" evict
}

@test "--outputs: only the outputs asked for, with the same values" {
	for list in pose depth points pose,depth; do
		infer --no-evict --outputs $list
		check "$T/o.e3" <<-PY
			whole = [x for k, x in stream("$f/all.e3") if k == "pred"]
			want = "$list".split(",")
			fields = dict(pose=["pose"], depth=["depth", "depth_conf"], points=["points", "points_conf"])
			for x, y in zip(p, whole):
			    for name, keys in fields.items():
			        for k in keys:
			            assert (k in x) == (name in want), (k, want)
			            assert k not in x or np.array_equal(x[k], y[k]), k
		PY
	done
}

@test "--half sends dense maps in half precision, poses unchanged" {
	infer --no-evict --half
	check "$T/o.e3" <<-PY
		for x, y in zip(p, [x for k, x in stream("$f/all.e3") if k == "pred"]):
		    assert np.array_equal(x["pose"], y["pose"])
		    for k in "depth", "depth_conf", "points", "points_conf":
		        assert x[k].dtype == np.float16 and np.array_equal(x[k], y[k].astype(np.float16)), k
	PY
}

@test "the name of a frame's picture is that of its prediction" {
	edit "$frames" "$T/named.e3" 'for k in (1, 2, 4): m[k][1]["name"] = "IMG %d.jpg" % k'
	frames=$T/named.e3 infer --no-evict
	check "$T/o.e3" <<<'assert [x.pop("name", None) for x in p] == ["IMG 1.jpg", "IMG 2.jpg", None, "IMG 4.jpg"] + 4 * [None], p[0].keys()'
	edit "$T/o.e3" "$T/x.e3" 'for x in m: x[1].pop("name", None)'
	same "$T/x.e3" "$f/all.e3"
}

@test "--attn-layers and --attn-map: records of those layers, and nothing else changes" {
	infer --segment 0 --budget 3f --attn-layers 0,3 --attn-map
	same "$T/o.e3" "$f/three.e3" pred evict
	check "$T/o.e3" <<-'PY'
		assert [(x["i"], x["layer"]) for x in a] == [(i, l) for i in range(8) for l in (0, 3)]
		held = {0: set(), 3: set()}
		for x in a:
		    i, l = x["i"], x["layer"]
		    held[l] |= set(range(25 * i, 25 * i + 25))
		    key = list(x["key"])
		    assert key == sorted(held[l])  # the keys this frame saw: before its own eviction
		    assert abs(x["mass"].sum() - 25) < 1e-3 and abs(x["frame_mass"].sum() - 1) < 1e-5 and len(x["frame_mass"]) == i + 1
		    assert x["map"].shape == (25, len(key)) and np.abs(x["map"].sum(1) - 1).max() < 1e-5
		    assert relative(x["map"].sum(0), x["mass"]) < 1e-5
		    by_frame = [x["mass"][np.array(key) // 25 == k].sum() / 25 for k in range(i + 1)]
		    assert relative(x["frame_mass"], by_frame) < 1e-5
		    held[l] -= set(e[i]["layers"][l]["removed"])
	PY
	infer --no-evict --attn-layers 2
	check "$T/o.e3" <<<'assert len(a) == 8 and all("map" not in x for x in a)'
	fails 1 "--attn-layers: layer 4: the model has layers 0 to 3" -- e3-infer -q --model seed:tiny:7 --no-evict --attn-layers 0,4 "$frames"
}

@test "--threads: the same bits with one, two and three" {
	for k in 1 2 3; do
		infer --segment 0 --budget 3f --threads $k
		same "$T/o.e3" "$f/three.e3"
	done
}

@test "--fit-mode: crop fills the width, pad the square" {
	infer --no-evict --fit-mode pad
	check "$T/o.e3" <<-'PY'
		assert h["patch_grid"] == [5, 5] and p[0]["w"] == p[0]["h"] == 70
		assert (p[0]["rgb"][:7] == 255).all() and (p[0]["rgb"][-7:] == 255).all() and not (p[0]["rgb"][7:63] == 255).all()
		assert p[0]["fit"][3] == 7, p[0]["fit"]
	PY
	check "$f/all.e3" <<<'assert h["patch_grid"] == [4, 5] and p[0]["rgb"].shape == (56, 70, 3)'
}

@test "--camera-frames: poses change once a frame is forgotten, maps never" {
	infer --no-evict --camera-frames 4
	check "$T/o.e3" <<-PY
		for x, y in zip(p, [x for k, x in stream("$f/all.e3") if k == "pred"]):
		    assert np.array_equal(x["pose"], y["pose"]) == (x["i"] < 4), x["i"]
		    assert np.array_equal(x["depth"], y["depth"])
	PY
}

@test "--log-every, -v and -q" {
	infer --segment 0 --budget 3f --log-every 3
	grep -cE '^e3-infer: frame [25]: [0-9.]+ ms, [0-9.]+ frames/s, cache 0\.[0-9] MiB, resident [0-9.]+ MiB$' "$T/e" | grep -qx 2
	[ "$(wc -l <"$T/e")" -eq 2 ]
	infer --segment 0 --budget 3f -v
	grep -q 'e3-infer: model: seed:tiny:7: ' "$T/e"
	grep -q 'e3-infer: frames: 70 × 56, 25 tokens each; cache: ' "$T/e"
	grep -q 'e3-infer: 8 frames in ' "$T/e"
	infer --segment 0 --budget 3f -q --log-every 1
	[ ! -s "$T/e" ]
}

@test "frames that change shape in mid-stream are refused" {
	edit "$frames" "$T/x.e3" 'f = m[3][1]; f["h"] //= 2; f["rgb"]["shape"] = [f["h"], f["w"], 3]; f["rgb"]["data"] = f["rgb"]["data"][:f["h"] * f["w"] * 3]'
	fails 1 "reading frame 2: 70 × 28 for the network, 70 × 56 before: all frames of a stream must have one shape" -- \
		e3-infer -q --model seed:tiny:7 --no-evict -o "$T/out.e3" "$T/x.e3"
	[ ! -e "$T/out.e3" ]
}

@test "a stream that already carries predictions is refused" {
	fails 1 "holds predictions already, not frames: e3-export --glb out.glb" -- e3-infer -q --model seed:tiny:7 --no-evict "$f/all.e3"
}

@test "an empty stream gives an empty stream" {
	edit "$frames" "$T/x.e3" 'm[0][1]["frames"] = 0; m[-1][1]["frames"] = 0; del m[1:-1]'
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f "$T/x.e3" >"$T/o.e3"
	check "$T/o.e3" <<<'assert not p and not e and n["frames"] == 0 and h["layers"] == 4 and h["model"]'
}

@test "ground truth is forwarded after the prediction of its frame" {
	edit "$frames" "$T/x.e3" 'for k in range(8, 0, -1): m.insert(k + 1, [8, {"i": k - 1, "unit": "m", "pose": {"dtype": "f32", "shape": [9], "data": struct.pack("<9f", *range(9))}}])'
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f "$T/x.e3" >"$T/o.e3"
	same "$T/o.e3" "$f/three.e3" pred evict
	check "$T/o.e3" <<-'PY'
		kinds = [k for k, _ in m]
		assert kinds == ["head"] + ["pred", "evict", "truth"] * 8 + ["end"], kinds
		assert all(list(x["pose"]) == list(range(9)) and x["unit"] == "m" for k, x in m if k == "truth")
	PY
}

@test "masks are forwarded after the prediction of their frame; what they cover is said in pixels of the source" {
	# The frames show the left half of a source of twice the width: frame 0 has two masks, the second one of the whole source.
	edit "$frames" "$T/x.e3" 'm[0][1]["frames"] = m[-1][1]["frames"] = 2; del m[3:-1]
for k, x in m[1:3]: x["src_w"] *= 2
px = {"dtype": "u8", "shape": [3, 4], "data": bytes([255, 0] * 6)}
m.insert(2, [9, {"i": 0, "class": "sky", "mask": px}])
m.insert(3, [9, {"i": 0, "class": "person", "fit": [0.5, 0.25, 1, -2], "mask": px}])
m.insert(5, [9, {"i": 1, "class": "sky", "mask": px}])'
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f "$T/x.e3" >"$T/o.e3"
	check "$T/o.e3" <<-'PY'
		kinds = [k for k, _ in m]
		assert kinds == ["head", "pred", "evict", "mask", "mask", "pred", "evict", "mask", "end"], kinds
		masks = [x for k, x in m if k == "mask"]
		assert [(x["i"], x["class"]) for x in masks] == [(0, "sky"), (0, "person"), (1, "sky")]
		assert all(x["mask"].tobytes() == bytes([255, 0] * 6) and x["mask"].shape == (3, 4) for x in masks)
		assert masks[1]["fit"] == [0.5, 0.25, 1, -2]
		w, h = p[0]["src_w"] / 2, p[0]["src_h"]
		assert np.allclose(masks[0]["fit"], [4 / w, 3 / h, 0, 0], atol=1e-12) and masks[2]["fit"] == masks[0]["fit"], masks[0]["fit"]
	PY
	# It must be known what it covers.
	edit "$T/x.e3" "$T/late.e3" 'm.insert(4, m.pop(5))'
	fails 1 "reading the mask of frame 1: a mask without fit, expected directly after its frame" -- e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f "$T/late.e3" -o "$T/late.out"
}

@test "an abort from upstream is forwarded and names the stage that failed first" {
	edit "$frames" "$T/x.e3" 'm[5:] = [[7, {"tool": "e3-decode", "code": 1, "text": "decoding: clip.mp4: damaged"}]]'
	rc=0
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f "$T/x.e3" >"$T/o.e3" 2>"$T/e" || rc=$?
	[ "$rc" -eq 1 ]
	grep -q 'e3-decode.*decoding: clip.mp4: damaged' "$T/e"
	rc=0
	e3-dump "$T/o.e3" >"$T/o" 2>"$T/e" || rc=$?
	[ "$rc" -eq 1 ]
	[ "$(grep -c '^pred' "$T/o")" -eq 4 ] # what was done stays done
	grep -q 'e3-decode.*decoding: clip.mp4: damaged' "$T/e"
}

@test "SIGINT in mid-stream: the output has the frames so far and an end; exit 130" {
	mkfifo "$T/in"
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 3f <"$T/in" >"$T/o.e3" 2>"$T/e" &
	pid=$!
	exec 7>"$T/in"
	edit "$frames" - 'del m[6:]' >&7
	wait_until 10 size_above "$T/o.e3" 399999
	wait_until 10 all_read "$T/in"
	kill -INT "$pid"
	rc=0
	wait "$pid" || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ] || { echo "exit $rc"; cat "$T/e"; return 1; }
	check "$T/o.e3" <<<'assert len(p) == len(e) == n["frames"] == 5, (len(p), n)'
}

@test "--plan prints the memory of a run and reads no stream; --vram needs a device with its own memory" {
	e3-infer -q --model seed:tiny:1 --plan --segment 0 --budget 10f --size 70x56 </dev/null >"$T/plan"
	grep -q "^frames  *70 × 56, 25 tokens each$" "$T/plan"
	grep -q "keeps 1000 tokens: 10.00 frames in each of 4 layers$" "$T/plan"
	awk '/^(device|weights|scratch|cache)/ { sum += $2 } /^total/ { total = $2 } END { exit !(total > 0 && sum > total - 1 && sum < total + 1) }' "$T/plan"
	e3-infer -q --model seed:tiny:1 --plan | grep -q '^stream  *100 frames, as an example: --frames says how many'
	! e3-infer -q --model seed:tiny:1 --plan --frames 100 | grep '^stream' || return 1
	fails 1 "planning: --budget is too small" -- e3-infer -q --model seed:tiny:1 --plan --budget 1f --size 70x56
	fails 2 "--size: needs --plan" -- e3-infer --size 70x56
	fails 2 "--vram states a budget" -- e3-infer --vram 6G --budget 10f
	fails 2 "expected a size such as 6G or 6000M" -- e3-infer --vram 6f
	fails 1 "--vram: the CPU has no device memory" -- e3-infer --device cpu --model seed:tiny:1 --plan --vram 6G
}

@test "--plan needs neither weights nor a stream: the full network's memory in a moment" {
	# The whole run would load 4540 MiB; this fits into 1 GiB of addresses. The process, which is counted too, keeps some of loading.
	(ulimit -v 1000000 && e3-infer -q --device cpu --model seed:full:1 --plan --budget 10f --size 518x392) >"$T/plan"
	grep -q '^model  *seed:full:1, MIT, 1190.6 M parameters' "$T/plan"
	awk '/^weights/ { w = $2 } END { exit !(w > 4555 && w < 4580) }' "$T/plan"
	# What a run of the demo model takes, within a few MiB
	e3-infer -q --device cpu --threads 1 --plan --segment 0 --budget 4f --size 224x168 >"$T/plan"
	e3-scene -q --frames 6 | e3-infer -v --device cpu --threads 1 --segment 0 --budget 4f 2>"$T/e" >/dev/null
	measured=$(sed -n 's/.*resident memory at most \([0-9.]*\) MiB.*/\1/p' "$T/e")
	awk -v m="$measured" '/^total/ { d = $2 - m; exit !(m > 50 && d > -25 && d < 25) }' "$T/plan" || { cat "$T/plan"; echo "measured $measured"; return 1; }
}

@test "the demo model and a source that is none for it: one warning; none for rendered frames" {
	cd "$T"
	ffmpeg -v error -f lavfi -i testsrc2=s=70x56:r=5:d=1 phone.mp4
	for f in phone.mp4 "$DEMO/clip.mp4"; do
		e3-decode -q --all --max-frames 1 "$f" | e3-infer --no-evict -o x.e3 2>>"$T/e"
	done
	e3-scene -q --frames 1 | e3-infer --no-evict -o x.e3 2>>"$T/e"
	e3-decode -q --all --max-frames 1 phone.mp4 | e3-infer --model seed:tiny:7 --no-evict -o x.e3 2>>"$T/e"
	[ "$(grep -c 'demo model' "$T/e")" -eq 1 ]
	grep -q '^e3-infer: this is the demo model, .* for phone.mp4 its results mean nothing' "$T/e"
}

@test "--each: every frame gives what it would give as the first of a stream" {
	e3-infer -q --model seed:tiny:7 --each -o "$T/each.e3" "$frames"
	for k in 0 1 3; do
		e3-cat --skip $k --take 1 "$frames" | e3-infer -q --model seed:tiny:7 --no-evict -o "$T/one.e3" -
		/usr/bin/python3 - "$ROOT/tests" "$T/each.e3" "$T/one.e3" $k <<-'PY'
		import sys
		sys.path.insert(0, sys.argv[1])
		import e3read, numpy as np
		each, one = (e3read.messages(p, "pred") for p in sys.argv[2:4])
		a, b = each[int(sys.argv[4])], one[0]
		for key in ("i", "pose", "depth", "depth_conf", "points", "points_conf", "rgb"):
		    assert np.array_equal(a[key], b[key]), key
		assert not e3read.messages(sys.argv[2], "evict")
		PY
	done
	fails 2 "--each remembers nothing" -- e3-infer --each --P 0.5 "$frames"
	fails 2 "--each remembers nothing" -- e3-infer --each --budget 4f "$frames"
	fails 2 "--each remembers nothing" -- e3-infer --each --camera-frames 9 "$frames"
	fails 2 "--each remembers nothing" -- e3-infer --each --save-cache "$T/c" "$frames"
}

#!/usr/bin/env bats
# e3-infer with key frames, and LingBot-Map's own rule: what begins together, what is kept, limits, saving and resuming.

load common
load infer
bats_require_minimum_version 1.5.0

# ling ARG...: the small network of LingBot-Map on the eight frames.
ling() { e3-infer --device cpu --model seed:lingbot-tiny:7 "$@" >"$T/o.e3" 2>"$T/e" || { cat "$T/e"; return 1; }; }

@test "LingBot-Map: its own rule if nothing else is said; frames that begin together come one after the other" {
	cd "$T" || return 1
	e3-scene --seed 1 --frames 6 --size 112x84 >"$T/scene.e3"
	ling --start 4 --window 1 scene.e3
	check o.e3 <<-'PY'
		assert h["policy"] == "lingbot"
		assert [x["i"] for x in p] == list(range(6)) == [x["i"] for x in e]
		kinds = [(k, x["i"]) for k, x in m if k in ("pred", "truth")]
		assert kinds == [(k, i) for i in range(6) for k in ("pred", "truth")], kinds
		n, s = h["tokens_per_frame"], h["tokens_per_frame"] - h["patch_grid"][0] * h["patch_grid"][1]
		assert s == 6
		# Four of the start, a window of one: frame 4 goes after frame 4, so that frame 5 finds room.
		assert [x["layers"][0]["k_after"] for x in e] == [n, 2 * n, 3 * n, 4 * n, 4 * n + s, 4 * n + 2 * s]
	PY
	e3-evict-stats --check o.e3 | grep -q "every rule holds"
	ling --budget 4f scene.e3
	check o.e3 <<<'assert h["policy"] == "evict3r"'
	ling --each scene.e3
	check o.e3 <<<'assert len(p) == 6 and not e'
}

@test "LingBot-Map: a stream shorter than its start begins with what it has; the start is not larger than the budget" {
	cd "$T" || return 1
	e3-cat --take 3 "$f/endless.e3" >three.e3
	ling three.e3 && mv o.e3 default.e3
	ling --start 3 three.e3
	same default.e3 o.e3 pred
	ling --start 1 three.e3
	differ default.e3 o.e3 pred
	ling --segment 0 --budget 5f "$frames" && mv o.e3 fits.e3
	ling --segment 0 --budget 5f --start 5 "$frames"
	same fits.e3 o.e3 pred evict
	fails 1 "planning: --start of 2 frames: StreamVGGT begins with one" -- e3-infer --device cpu --model seed:tiny:7 --no-evict --start 2 "$frames"
	fails 1 "planning: --budget is too small: the 6 frames of the --start must fit" -- e3-infer --device cpu \
		--model seed:lingbot-tiny:7 --segment 0 --budget 5f --start 6 "$frames"
}

@test "key frames: the records say which are kept, with every policy; each rule holds" {
	cd "$T" || return 1
	for o in "--budget 3f" "--no-evict" "--policy k4" "--policy window --budget 3f" "--policy lingbot --window 2"; do
		# shellcheck disable=SC2086
		infer $o --keyframe 3
		check o.e3 <<<'assert [x.get("passing", 0) for x in e] == [0, 0, 1, 1, 0, 1, 1, 0], e'
		e3-evict-stats --check o.e3 >stats
		grep -q "every rule holds" stats
	done
	grep -q "special tokens: 100.0 % kept" stats # of key frames
	edit o.e3 bad.e3 'v = next(x for k, x in m if k == 4 and x.get("passing")); del v["passing"]'
	fails 1 "4 violations" -- e3-evict-stats --check bad.e3
}

@test "key frames and a start: a session goes on where it was saved, bit for bit" {
	cd "$T" || return 1
	e3-cat --take 5 "$f/endless.e3" >five.e3
	for o in "--window 2 --start 3 --keyframe 2" "--window 2 --start 2 --keyframe auto --segment 5" "--start 4"; do
		# shellcheck disable=SC2086
		ling $o "$f/endless.e3" && mv o.e3 whole.e3
		# shellcheck disable=SC2086
		ling $o --save-cache c.e3cache five.e3 && mv o.e3 a.e3
		ling --load-cache c.e3cache "$f/endless.e3" && mv o.e3 b.e3
		e3-cat a.e3 --then b.e3 >joined.e3
		same whole.e3 joined.e3 pred evict edge
	done
	fails 1 "was saved with --window 64, this run asks for --budget 5f" -- e3-infer --device cpu --model seed:lingbot-tiny:7 \
		--load-cache c.e3cache --continue --budget 5f "$f/endless.e3"
	ling --load-cache c.e3cache --freeze "$f/endless.e3"
	check o.e3 <<<'assert len(p) == 8 and h["frozen"] and h["policy"] == "lingbot"'
	fails 1 "was saved with --start 4, this run asks for --start 3" -- e3-infer --device cpu --model seed:lingbot-tiny:7 \
		--load-cache c.e3cache --start 3 "$f/endless.e3"
}

@test "the limit of key frames: segments, a note, or a message" {
	cd "$T" || return 1
	ling --window 2 --camera-frames 5 --start 2 "$frames"
	grep -q "8 frames are more than one piece can have with this network and --policy lingbot: segments of 5" e
	check o.e3 <<<'assert [x.get("segment", 0) for x in p] == [0] * 5 + [1] * 3, p'
	for o in "" "--budget 10f" "--budget 3000f" "--P 0.1 --frames 5000" "--no-evict"; do
		# shellcheck disable=SC2086
		ling --plan $o
	done
	fails 1 "a segment of 2000 frames: has 2000 key frames, and there can be 1024" -- e3-infer --device cpu \
		--model seed:lingbot-tiny:7 --segment 2000 "$f/endless.e3"
	ling --window 2 --camera-frames 8 "$frames"
	[ ! -s e ]
	fails 1 "planning: a stream of 8 frames: has 8 key frames, and there can be 5: give --segment or --keyframe" -- \
		e3-infer --device cpu --model seed:tiny:7 --policy lingbot --segment 0 --camera-frames 5 "$frames"
	fails 1 "frame 5: 5 key frames, which is the most: give --segment or --keyframe" -- \
		e3-infer --device cpu --model seed:tiny:7 --policy lingbot --segment 0 --camera-frames 5 "$f/endless.e3"
	fails 1 "--window: only with --policy lingbot" -- e3-infer --device cpu --model seed:tiny:7 --window 3 "$frames"
	fails 2 "it takes no --P, no --budget and no --vram" -- e3-infer --policy lingbot --budget 3f "$frames"
}

@test "SIGINT while frames wait to begin together: a stream that ends properly" {
	cd "$T" || return 1
	mkfifo in
	e3-infer --device cpu --model seed:lingbot-tiny:7 in >o.e3 2>e &
	pid=$!
	exec 7>in
	e3-cat --take 3 "$f/endless.e3" | head -c -40 >&7
	wait_until 20 size_above o.e3 0 # the head is sent with the first frame
	kill -INT "$pid"
	rc=0
	wait "$pid" || rc=$?
	exec 7>&-
	[ "$rc" = 130 ]
	check o.e3 <<<'assert m[-1][0] == "end" and not p'
}

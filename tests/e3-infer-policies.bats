#!/usr/bin/env bats
# e3-infer --policy: those that keep whole frames against a simulation in numpy, from what the run itself dumped; --protect-first, --seed.
load common
bats_require_minimum_version 1.5.0

setup_file() {
	export PATH="$B/bin:$PATH"
	local f=$BATS_FILE_TMPDIR
	# k8 keeps frames that are 48 old; for the others 24 will do.
	e3-scene --seed 5 --path walk --length 6 --frames 70 --size 70x56 >"$f/frames.e3"
	e3-cat --take 24 "$f/frames.e3" >"$f/short.e3"
	e3-cat --take 8 "$f/frames.e3" >"$f/eight.e3"
}

prepare() {
	f=$BATS_FILE_TMPDIR
	frames=$f/frames.e3
	short=$f/short.e3
	export PYTHONPATH=$ROOT/tests PYTHONDONTWRITEBYTECODE=1
}

infer() { # infer ARG...: the small seeded network, to $T/o.e3, messages to $T/e
	e3-infer --device cpu --model seed:tiny:7 "$@" >"$T/o.e3" 2>"$T/e" || { echo "exit $?: $*"; cat "$T/e"; return 1; }
}
same() { /usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$@"; }
differ() { ! same "$@" >/dev/null; }

@test "k4, k6 and k8 keep the frames that their formulas say, and --check finds nothing wrong" {
	for policy in k4 k6 k8; do
		[ $policy != k8 ] || short=$frames
		infer --policy $policy --dump "$T/$policy" --dump-layers 0 "$short"
		e3-evict-stats --check "$T/o.e3" >"$T/stats"
		/usr/bin/python3 "$ROOT/tests/whole_frames.py" "$policy" "$T/o.e3" "$T/$policy"
	done
}

@test "xstream, ovggt and frames: records hold, budgets too, and another policy gives other results" {
	infer --budget 3f "$short"
	mv "$T/o.e3" "$T/evict3r.e3"
	for how in "ovggt --budget 3f" "ovggt --P 0.2 --compat ovggt" "ovggt --budget 2f --protect-first no" "xstream --budget 3f" "xstream --P 0.2" "frames --budget 3f" "frames --budget 12f" "frames --P 0.1" "frames --budget 3f --protect-first no"; do
		read -r -a words <<<"--policy $how"
		infer "${words[@]}" "$short"
		e3-evict-stats --check "$T/o.e3" >"$T/stats" || { cat "$T/stats"; echo "$how"; return 1; }
		/usr/bin/python3 - "$T/o.e3" "${words[1]}" "$T/evict3r.e3" <<-'PY'
			import sys
			import numpy as np
			from e3read import messages, stream
			m = list(stream(sys.argv[1]))
			h, N = m[0][1], m[0][1]["tokens_per_frame"]
			assert h["policy"] == sys.argv[2]
			e = [x for k, x in m if k == "evict"]
			assert any((x["depth"] != y["depth"]).any() for x, y in zip((x for k, x in m if k == "pred"), messages(sys.argv[3], "pred")))
			assert all(sum(r["k_after"] for r in x["layers"]) < max(h["budget"], 2 * N * len(x["layers"])) + len(x["layers"]) for x in e[1:-1])
			went = [np.asarray(r["removed"]) for x in e for r in x["layers"]]
			assert sum(map(len, went)) > 1000
			if sys.argv[2] == "frames":  # whole ones
			    assert all(len(w) % N == 0 and set(w // N) == set(w[::N] // N) for w in went)
		PY
	done
	infer --policy ovggt --budget 3f "$f/eight.e3"
	mv "$T/o.e3" "$T/own.e3"
	infer --policy ovggt --budget 3f --compat ovggt "$f/eight.e3"
	differ "$T/o.e3" "$T/own.e3" pred
	fails 2 "--compat ovggt: only with --policy ovggt" -- e3-infer --compat ovggt "$short"
	for policy in frames window random xstream lingbot; do
		fails 2 "--policy $policy keeps as much in every layer: it takes no --temp" -- e3-infer --policy $policy --temp 1 "$short"
	done
	fails 2 "--temp: only where tokens are evicted" -- e3-infer --no-evict --temp 1 "$short"
	fails 2 "--policy xstream cannot be combined with --compat f16-sums or starve" -- e3-infer --policy xstream --compat starve "$short"
	fails 1 "--budget is too small: frame 0 and the newest frame must fit; the smallest that works is --budget 2.0000f" -- \
		e3-infer --model seed:tiny:7 --policy frames --budget 1.5f "$short"
}

@test "a policy with a budget of its own takes no other" {
	infer --policy k6 --budget 6f "$f/eight.e3"
	mv "$T/o.e3" "$T/given.e3"
	infer --policy k6 "$f/eight.e3"
	same "$T/o.e3" "$T/given.e3"
	e3-dump --json "$T/o.e3" | head -n 1 >"$T/head"
	grep -q '"policy": *"k6"' "$T/head"
	for words in "--budget 4f" "--budget 600" "--P 0.5" "--vram 6G"; do
		read -r -a some <<<"$words"
		fails 2 "--policy k6 keeps 6 frames: it takes no --P, no --vram, and no --budget but 6f" -- e3-infer --policy k6 "${some[@]}" "$frames"
	done
	fails 2 "--policy k4: the camera head remembers the frames that the cache keeps" -- e3-infer --policy k4 --camera-frames 9 "$frames"
	fails 2 "--policy k8 keeps as much in every layer: it takes no --temp" -- e3-infer --policy k8 --temp 1 "$frames"
	fails 2 "--policy k4 cannot be combined with --compat f16-sums or starve" -- e3-infer --policy k4 --compat starve "$frames"
	infer --policy k4 --compat camera "$f/eight.e3"
	e3-infer --policy k4 --plan --model seed:tiny:7 >"$T/four"
	e3-infer --policy k8 --plan --model seed:tiny:7 >"$T/eight"
	differ_plan=$(diff "$T/four" "$T/eight" | wc -l)
	[ "$differ_plan" -gt 0 ]
}

@test "k4 measures nothing: no mass, no scores, no choice, no moves" {
	infer --policy k4 --counters "$f/eight.e3"
	grep -q ' mean_rows ' "$T/e"
	if grep -E ' (mass|score|choose|move) ' "$T/e" | awk '$NF > 0 { bad = 1 } END { exit !bad }'; then
		grep -E 'mass|score|choose|move' "$T/e"
		return 1
	fi
	infer --budget 4f --counters "$f/eight.e3"
	grep -q ' mass ' "$T/e"
}

@test "a resumed k8 run gives what one run gives" {
	infer --policy k8 "$frames"
	mv "$T/o.e3" "$T/whole.e3"
	e3-cat --take 55 "$frames" >"$T/part.e3"
	infer --policy k8 --save-cache "$T/c" "$T/part.e3"
	mv "$T/o.e3" "$T/1.e3"
	infer --load-cache "$T/c" "$frames"
	e3-cat "$T/1.e3" --then "$T/o.e3" >"$T/both.e3"
	same "$T/both.e3" "$T/whole.e3" pred evict
	fails 1 "was saved with --policy k8, this run asks for --policy k4" -- e3-infer --model seed:tiny:7 --load-cache "$T/c" --policy k4 "$frames"
}

@test "--protect-first no: frame 0 is evicted like others; the first frame's results stay" {
	for how in "evict3r --budget 3f" "window --budget 2f" "random --budget 2.5f" "spread --budget 2.5f"; do
		read -r -a words <<<"--policy $how"
		infer "${words[@]}" "$short"
		mv "$T/o.e3" "$T/yes.e3"
		infer "${words[@]}" --protect-first no "$short"
		e3-evict-stats --check "$T/o.e3" >"$T/stats"
		/usr/bin/python3 - "$T/yes.e3" "$T/o.e3" "${words[1]}" <<-'PY'
			import sys
			import numpy as np
			from e3read import stream
			gone, first = [], []
			for name in sys.argv[1:3]:
			    m = list(stream(name))
			    N = m[0][1]["tokens_per_frame"]
			    e = [x for k, x in m if k == "evict"]
			    gone.append(sum(int((np.asarray(r["removed"]) < N).sum()) for x in e for r in x["layers"]))
			    first.append([x for k, x in m if k == "pred"][0]["depth"])
			    assert gone[-1] == 0 or len(gone) == 2, sys.argv[3]
			assert gone[1] > N, (sys.argv[3], gone)
			assert np.array_equal(*first)
		PY
	done
	infer --policy window --budget 2f --protect-first yes "$short"
	mv "$T/o.e3" "$T/yes.e3"
	infer --policy window --budget 2f "$short"
	same "$T/o.e3" "$T/yes.e3"
	for words in f16-sums starve evict3r; do
		fails 2 "--protect-first no cannot be combined with --compat" -- e3-infer --protect-first no --compat $words "$short"
	done
	infer --policy window --budget 2f --protect-first no --save-cache "$T/c" "$f/eight.e3"
	fails 1 "was saved with --protect-first no, this run asks for --protect-first yes" -- \
		e3-infer --model seed:tiny:7 --load-cache "$T/c" --protect-first yes "$short"
	infer --policy window --budget 2f --protect-first no "$short"
	e3-cat --skip 8 "$T/o.e3" >"$T/rest.e3"
	infer --load-cache "$T/c" "$short"
	same "$T/o.e3" "$T/rest.e3" pred evict
}

@test "--seed: another draw each; 0 is the default" {
	infer --policy random --budget 2.5f "$f/eight.e3"
	cp "$T/o.e3" "$T/default.e3"
	infer --policy random --budget 2.5f --seed 0 "$f/eight.e3"
	same "$T/o.e3" "$T/default.e3"
	infer --policy random --budget 2.5f --seed 1 "$f/eight.e3"
	cp "$T/o.e3" "$T/one.e3"
	differ "$T/one.e3" "$T/default.e3" pred
	infer --policy random --budget 2.5f --seed 4294967295 --save-cache "$T/c" "$f/eight.e3"
	differ "$T/o.e3" "$T/one.e3" pred
	e3-evict-stats --check "$T/o.e3" >"$T/stats"
	fails 1 "was saved with --seed 4294967295, this run asks for --seed 0" -- \
		e3-infer --model seed:tiny:7 --load-cache "$T/c" --seed 0 "$frames"
	fails 2 "--seed: only with --policy random" -- e3-infer --budget 3f --seed 1 "$frames"
}

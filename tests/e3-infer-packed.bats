#!/usr/bin/env bats
# e3-infer --precision bf16, int8 and fp8 on the CPU: results close to f32's, what is said, what a plan counts.
load common
bats_require_minimum_version 1.5.0

setup_file() {
	export PATH="$B/bin:$PATH" PYTHONPATH=$BATS_TEST_DIRNAME:$BATS_TEST_DIRNAME/gpu PYTHONDONTWRITEBYTECODE=1
	# The eight pictures of the golden run.
	/usr/bin/python3 - "$BATS_TEST_DIRNAME/data/golden/tiny.golden.safetensors" "$BATS_FILE_TMPDIR/frames.e3" <<-'PY'
		import sys
		from e3read import safetensors
		from parity import write_frames
		golden = safetensors(sys.argv[1])
		write_frames(sys.argv[2], [golden[f"image.{i}"].transpose(1, 2, 0) for i in range(8)])
	PY
}

setup() {
	T=$BATS_TEST_TMPDIR frames=$BATS_FILE_TMPDIR/frames.e3
}

@test "--precision int8 and fp8: one byte a value, results close to f32's, and what was chosen is said" {
	e3-infer --device cpu --model seed:tiny:7 --no-evict "$frames" >"$T/f32.e3"
	for p in int8 fp8; do
		e3-infer --device cpu --precision $p --model seed:tiny:7 --no-evict "$frames" >"$T/$p.e3" 2>"$T/e"
		grep -q "^e3-infer: $p: 4[0-9] of 48 matrices; [01] stay in f32; error of a product at most [0-9.]* %" "$T/e"
		/usr/bin/python3 - "$T/f32.e3" "$T/$p.e3" <<-'PY'
			import sys
			import numpy as np
			from e3read import messages
			a, b = [np.stack([p["depth"] for p in messages(f, "pred")]) for f in sys.argv[1:]]
			d = np.linalg.norm(a - b) / np.linalg.norm(a)
			print(f"depth differs by {d:.1e}")
			assert 1e-5 < d < 2e-2
		PY
	done
	e3-infer --plan --device cpu --model seed:full:1 --budget 4f >"$T/wide"
	e3-infer --plan --device cpu --model seed:full:1 --budget 4f --precision int8 >"$T/narrow"
	grep -q '^weights .* MiB  with [0-9.]* kept for matrices that stay in more than 8 bits$' "$T/narrow"
	wide=$(awk '/^weights/ { print int($2) }' "$T/wide")
	narrow=$(awk '/^weights/ { print int($2) }' "$T/narrow")
	[ "$narrow" -lt $((wide / 2)) ]
	[ "$narrow" -gt $((wide / 4)) ]
}

@test "a session in 8 bits is resumed bit for bit, and only with the same precision" {
	local o=(--device cpu --model seed:tiny:7 --budget 3f --segment 0)
	e3-infer -q "${o[@]}" --precision fp8 "$frames" >"$T/whole.e3"
	e3-cat --take 4 "$frames" | e3-infer -q "${o[@]}" --precision fp8 --save-cache "$T/c" - >"$T/first.e3"
	e3-infer --device cpu --model seed:tiny:7 --precision fp8 --load-cache "$T/c" "$frames" >"$T/rest.e3" 2>"$T/e"
	grep -q '^e3-infer: fp8: 4[0-9] of 48 matrices; [01] stay in f32, as in the saved cache$' "$T/e"
	/usr/bin/python3 - "$T/whole.e3" "$T/first.e3" "$T/rest.e3" <<-'PY'
		import sys
		import numpy as np
		from e3read import messages
		whole, first, rest = (list(messages(f, "pred")) for f in sys.argv[1:])
		assert len(first) == 4 and len(rest) == 4
		for a, b in zip(whole, first + rest):
		    assert np.array_equal(a["depth"], b["depth"]) and np.array_equal(a["pose"], b["pose"])
	PY
	# Saved again without a frame, it is the same file.
	e3-cat --take 4 "$frames" | e3-infer -q --device cpu --model seed:tiny:7 --precision fp8 --load-cache "$T/c" --save-cache "$T/again" - -o "$T/none.e3"
	cmp "$T/c" "$T/again"
	fails 1 "was saved with matrices in fp8, this run has them in int8 (see --precision)" -- e3-infer --device cpu --model seed:tiny:7 --precision int8 --load-cache "$T/c" "$frames"
	fails 1 "was saved with matrices in fp8, this run has them in 16 bits or f32 (see --precision)" -- e3-infer --device cpu --model seed:tiny:7 --load-cache "$T/c" "$frames"
}

@test "several streams at a time: the network is calibrated once, with the first frame that comes" {
	e3-infer -q --device cpu --model seed:tiny:7 --no-evict --precision int8 "$frames" >"$T/one.e3"
	e3-infer --device cpu --model seed:tiny:7 --no-evict --precision int8 --streams 2 "$frames" "$frames" -o "$T/a.e3" -o "$T/b.e3" 2>"$T/e"
	[ "$(grep -c "stay in f32" "$T/e")" = 1 ]
	/usr/bin/python3 - "$T/one.e3" "$T/a.e3" "$T/b.e3" <<-'PY'
		import sys
		import numpy as np
		from e3read import messages
		one, a, b = (np.stack([p["depth"] for p in messages(f, "pred")]) for f in sys.argv[1:])
		assert np.linalg.norm(a - one) <= 1e-4 * np.linalg.norm(one) and np.linalg.norm(b - one) <= 1e-4 * np.linalg.norm(one)
	PY
}

@test "--precision bf16: close to f32, or refused where the processor has no such products" {
	o=(--model "$BATS_TEST_DIRNAME/../pipelines/demo/model.safetensors" --no-evict)
	e3-scene --seed 3 --frames 2 >"$T/room.e3"
	if grep -qw amx_bf16 /proc/cpuinfo; then
		e3-infer -q --device cpu "${o[@]}" "$T/room.e3" >"$T/f32.e3"
		e3-infer -q --device cpu --precision bf16 "${o[@]}" "$T/room.e3" >"$T/bf16.e3"
		/usr/bin/python3 - "$T/f32.e3" "$T/bf16.e3" <<-'PY'
			import sys
			import numpy as np
			from e3read import messages
			a, b = [np.stack([p["depth"] for p in messages(f, "pred")]) for f in sys.argv[1:]]
			d = np.linalg.norm(a - b) / np.linalg.norm(a)
			print(f"depth differs by {d:.1e}")
			assert 1e-5 < d < 3e-3
		PY
	else
		fails 1 "this processor has no products of it (AMX): give --precision f32" -- e3-infer --device cpu --precision bf16 "${o[@]}" "$T/room.e3"
		e3-infer --device cpu "${o[@]}" "$T/room.e3" >"$T/f32.e3"
	fi
}

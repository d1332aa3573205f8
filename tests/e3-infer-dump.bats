#!/usr/bin/env bats
# e3-infer --dump, --dump-layers and --counters: names and shapes of the files, values against the golden run, results unchanged.
load common
bats_require_minimum_version 1.5.0

setup_file() {
	export PATH="$B/bin:$PATH" PYTHONPATH=$BATS_TEST_DIRNAME:$BATS_TEST_DIRNAME/gpu PYTHONDONTWRITEBYTECODE=1
	local f=$BATS_FILE_TMPDIR
	# The eight pictures of the golden run.
	/usr/bin/python3 - "$BATS_TEST_DIRNAME/data/golden/tiny.golden.safetensors" "$f/frames.e3" <<-'PY'
		import sys
		from e3read import safetensors
		from parity import write_frames
		golden = safetensors(sys.argv[1])
		write_frames(sys.argv[2], [golden[f"image.{i}"].transpose(1, 2, 0) for i in range(8)])
	PY
	e3-infer -q --device cpu --model seed:tiny:7 --no-evict "$f/frames.e3" >"$f/plain.e3"
	e3-infer -q --device cpu --model seed:tiny:7 --no-evict --dump "$f/all/of/it" --counters "$f/frames.e3" >"$f/dumped.e3" 2>"$f/counters"
}

@test "dumped activations are those of the golden run" {
	/usr/bin/python3 - "$BATS_TEST_DIRNAME/data/golden/tiny.golden.safetensors" "$BATS_FILE_TMPDIR/all/of/it" <<-'PY'
		import sys
		import numpy as np
		from e3read import relative, safetensors
		golden, folder, n = safetensors(sys.argv[1]), sys.argv[2], 0
		for frame in 0, 1, 7:
		    for layer in range(4):
		        got = np.concatenate([np.load(f"{folder}/frame{frame:06d}.agg.{layer:02d}.{part}.npy") for part in ("frame", "global")], 1)
		        want = golden[f"off.tokens.{frame}.{layer}"]
		        assert got.dtype == np.float32 and got.shape == want.shape == (25, 256), (got.dtype, got.shape)
		        assert relative(got, want) < 1e-5, (frame, layer, relative(got, want))
		        n += 1
		assert n == 12
	PY
}

@test "every stage is dumped, under the names of the manual" {
	/usr/bin/python3 - "$BATS_FILE_TMPDIR/all/of/it" "$BATS_FILE_TMPDIR/plain.e3" <<-'PY'
		import os
		import sys
		import numpy as np
		from e3read import stream
		want = {"vit.tokens": (20, 128)}
		want |= {f"vit.{k:02d}": (25, 128) for k in range(2)}
		want |= {f"agg.{k:02d}.{part}": (25, 128) for k in range(4) for part in ("frame", "global")}
		want |= {f"camera.{k:02d}.trunk": (256,) for k in range(4)} | {f"camera.{k:02d}.pose": (9,) for k in range(4)}
		sizes = [(16, 20), (8, 10), (4, 5), (2, 3)]
		for head in "depth", "point":
		    want |= {f"{head}.{k:02d}.level": sizes[k] + (32,) for k in range(4)}
		    want |= {f"{head}.{k:02d}.fused": sizes[max(k - 1, 0)] + (32,) for k in range(4)}
		names = {f"frame{i:06d}.{name}.npy" for i in range(8) for name in want}
		assert set(os.listdir(sys.argv[1])) == names, set(os.listdir(sys.argv[1])) ^ names
		for name, shape in want.items():
		    got = np.load(f"{sys.argv[1]}/frame000003.{name}.npy")
		    assert got.shape == shape and np.isfinite(got).all(), (name, got.shape)
		preds = [m for kind, m in stream(sys.argv[2]) if kind == "pred"]
		for i in range(8):
		    pose = np.load(f"{sys.argv[1]}/frame{i:06d}.camera.03.pose.npy")
		    assert (pose[:7] == np.asarray(preds[i]["pose"], np.float32)[:7]).all()
	PY
}

@test "--dump and --counters leave the results as they are" {
	/usr/bin/python3 "$BATS_TEST_DIRNAME/stream_equal.py" "$BATS_FILE_TMPDIR/plain.e3" "$BATS_FILE_TMPDIR/dumped.e3" pred evict
}

@test "--dump-layers takes the named blocks only" {
	e3-cat --take 2 "$BATS_FILE_TMPDIR/frames.e3" |
		e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 3f --dump "$T/d" --dump-layers 1,3 -o /dev/null
	run -0 bash -c "cd '$T/d' && ls | sed -n 's/^frame000001\.//p' | grep -E '^(vit|agg)' | tr '\n' ' '"
	[ "$output" = "agg.01.frame.npy agg.01.global.npy agg.03.frame.npy agg.03.global.npy vit.01.npy vit.tokens.npy " ]
}

@test "--counters counts every operation, by stage, and the pages of the cache" {
	cat "$BATS_FILE_TMPDIR/counters"
	/usr/bin/python3 - "$BATS_FILE_TMPDIR/counters" <<-'PY'
		import sys
		rows, total = {}, None
		for line in open(sys.argv[1]):
		    word = line.split()
		    if len(word) == 6 and word[0] != "stage":
		        rows[word[0], word[1]] = int(word[2])
		    elif word[0] == "all":
		        total = int(word[1])
		# 8 frames: 2 blocks of the ViT, 4 frame blocks and 4 global ones, 3 linear layers in each; 4 refinements of 2 blocks.
		assert rows["vit", "attend"] == 16 and rows["agg", "attend"] == 64 and rows["camera", "attend"] == 64, rows
		assert rows["agg", "linear"] == 192 and rows["depth", "dense"] == rows["point", "dense"] == 8, rows
		assert rows["depth", "conv"] == 8 * 18 and ("agg", "mass") not in rows, rows
		assert total == sum(rows.values()), (total, rows)
	PY
	grep -q '^cache: [1-9][0-9]* pages in use at the last frame$' "$BATS_FILE_TMPDIR/counters"
}

@test "a folder that cannot be made is refused before anything is read" {
	echo file >"$T/file"
	run ! e3-infer -q --device cpu --model seed:tiny:7 --dump "$T/file/below" -o "$T/o.e3" - </dev/null
	echo "$output"
	[[ $output == *"--dump"*"$T/file"* ]]
	[ ! -e "$T/o.e3" ]
	run -2 e3-infer --dump-layers 1 -o /dev/null "$BATS_FILE_TMPDIR/frames.e3"
	[[ $output == *"--dump-layers: needs --dump"* ]]
	run -1 e3-infer --device cpu --model seed:tiny:7 --dump "$T/d" --dump-layers 1,7 -o /dev/null "$BATS_FILE_TMPDIR/frames.e3"
	[[ $output == *"--dump-layers: block 7: vit has blocks 0 to 1, agg 0 to 3"* ]]
}

@test "compare_dumps.py names the first activation that differs" {
	local a=$BATS_FILE_TMPDIR/all/of/it
	"$ROOT/tests/compare_dumps.py" "$a" "$a" >"$T/same"
	[ "$(tail -1 "$T/same")" = "first beyond 1e-05: none" ]
	cp -r "$a" "$T/other"
	/usr/bin/python3 - "$T/other" <<-'PY'
		import sys
		import numpy as np
		for name in "frame000002.agg.03.frame", "frame000002.agg.02.global", "frame000003.vit.00":
		    path = f"{sys.argv[1]}/{name}.npy"
		    np.save(path, np.load(path) * np.float32(1.001))
	PY
	rc=0
	"$ROOT/tests/compare_dumps.py" "$T/other" "$a" >"$T/differ" || rc=$?
	[ "$rc" -eq 1 ]
	[ "$(tail -1 "$T/differ")" = "first beyond 1e-05: frame000002.agg.02.global.npy" ]
}

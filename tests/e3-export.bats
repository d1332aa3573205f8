load common
# e3-export's files, read back by programs that share no code with it: tests/export_check.py (numpy, zlib), the Khronos validator.

prepare() {
	mkdir "$T/out" "$T/tmp"
	export TMPDIR=$T/tmp
}
check() { /usr/bin/python3 -B "$ROOT/tests/export_check.py" "$@"; }
# wait_lines N FILE: until it has that many, at most 10 s
wait_lines() {
	wait_until 10 eval "[ \$(wc -l <'$2') -ge $1 ]"
}
nothing_left() {
	local found
	found=$(find "$T/out" "$T/tmp" -mindepth 1)
	[ -z "$found" ] || {
		echo "left behind: $found"
		return 1
	}
}

@test "points, colours, confidences and cameras of a GLB are those of the stream" {
	stream "$T/x.e3" nan=7 src_w=640 src_h=480
	e3-export --points map --conf-pct 20 --up first --cameras all --glb "$T/x.glb" --glb-conf "$T/x.e3" 2>"$T/stderr"
	grep -q "left out 21 points with a coordinate or confidence that is not finite" "$T/stderr"
	check points "$T/x.glb" "$T/x.e3"
	check cameras "$T/x.glb" "$T/x.e3"
	e3-export -q --points map --glb "$T/x.glb" --conf-pct 71.5 --glb-color upstream "$T/x.e3"
	check points "$T/x.glb" "$T/x.e3" 71.5
	e3-export -q --points map --glb "$T/x.glb" --conf-pct 0 --no-cameras "$T/x.e3"
	check points "$T/x.glb" "$T/x.e3" 0
	e3-export -q --conf-pct 20 --glb "$T/x.glb" --glb-conf "$T/x.e3"
	check points "$T/x.glb" "$T/x.e3" 20 depth
	e3-export -q --conf-pct 20 --glb "$T/y.glb" --glb-conf --points depth "$T/x.e3"
	cmp "$T/x.glb" "$T/y.glb"
	stream "$T/x.e3" without=pose
	e3-export --conf-pct 20 --glb "$T/x.glb" --no-cameras "$T/x.e3" 2>"$T/stderr"
	grep -q "the stream has no depth with poses: points come from the point map" "$T/stderr"
	check points "$T/x.glb" "$T/x.e3"
}

@test "a GLB on a pipe is the GLB in a file" {
	stream "$T/x.e3"
	e3-export -q --glb "$T/x.glb" "$T/x.e3"
	e3-export -q --glb - <"$T/x.e3" | cmp - "$T/x.glb"
}

@test "fewer points: exactly --max-points of them, or one for each voxel" {
	stream "$T/x.e3" frames=4 w=60 h=40
	e3-export -q --points map --conf-pct 20 --glb "$T/x.glb" --max-points 1000 "$T/x.e3"
	check points "$T/x.glb" "$T/x.e3" 20 points 1000
	e3-export -q --points map --ply "$T/a.ply" --conf-pct 20 --glb "$T/again.glb" --max-points 1000 "$T/x.e3"
	cmp "$T/x.glb" "$T/again.glb"
	[ "$(head -4 "$T/a.ply" | tail -1)" = "element vertex 1000" ]
	e3-export -q --points map --glb "$T/x.glb" --conf-pct 0 --voxel 0.25 "$T/x.e3"
	check voxels "$T/x.glb" "$T/x.e3" 0.25
	e3-export -v --points map --glb "$T/x.glb" --conf-pct 0 --voxel auto --max-points 500 "$T/x.e3" 2>"$T/stderr"
	check voxels "$T/x.glb" "$T/x.e3" "$(sed -n 's/.*voxel \([0-9.]*\),.*/\1/p' "$T/stderr")"
	e3-export -q --glb "$T/x.glb" --conf-pct 0 --stride 3 "$T/x.e3"
	check count "$T/x.glb" $((4 * 20 * 14))
}

@test "each output is reported with its points, confidence threshold and frames" {
	stream "$T/x.e3" conf=2.5 frames=1
	e3-export --conf-min 2.25 --glb "$T/x.glb" --ply - --tum "$T/x.tum" "$T/x.e3" 2>"$T/stderr" >"$T/x.ply"
	diff "$T/stderr" - <<-ROWS
		e3-export: $T/x.glb: 384 points of 384 (384 passed confidence 2.25 and masks), 1 frame
		e3-export: standard output: 384 points of 384 (384 passed confidence 2.25 and masks), 1 frame
		e3-export: $T/x.tum: 1 frame
	ROWS
	e3-export --points map --conf-pct 50 --conf-min 1 --glb "$T/x.glb" --max-points 7 "$T/x.e3" 2>"$T/stderr"
	grep -qF "x.glb: 7 points of 384 (384 passed confidence 2.5 and masks), 1 frame" "$T/stderr"
}

@test "colour masks, mask folders and thresholds drop the points they describe" {
	stream "$T/white.e3" colour=241,255,250
	stream "$T/grey.e3" colour=240,255,250
	stream "$T/black.e3" colour=5,5,5
	fails 1 "none of 1152 is left" -- e3-export --glb "$T/out/x.glb" --mask-white "$T/white.e3"
	fails 1 "none of 1152 is left" -- e3-export --glb "$T/out/x.glb" --mask-black "$T/black.e3"
	fails 1 "none of 1152 is left" -- e3-export --glb "$T/out/x.glb" --conf-min 1000 "$T/grey.e3"
	nothing_left
	e3-export -q --glb "$T/x.glb" --conf-pct 0 --mask-white --mask-black "$T/grey.e3"
	check count "$T/x.glb" 1152
	mkdir "$T/masks"
	for i in 0 1 2; do printf 'P2\n2 1\n255\n0 %d\n' $((i == 1 ? 0 : 7)) >"$T/masks/$i.pgm"; done
	e3-export -q --glb "$T/x.glb" --conf-pct 0 --mask-dir "$T/masks" "$T/grey.e3"
	check count "$T/x.glb" 384
	rm "$T/masks/2.pgm"
	fails 1 "no mask for frame 2" -- e3-export --glb "$T/out/x.glb" --mask-dir "$T/masks" "$T/grey.e3"
	nothing_left
}

@test "--conf-min means no percentile, even 0; a percentile that ties make useless is said" {
	stream "$T/x.e3"
	e3-export --conf-min 0 --ply "$T/x.ply" "$T/x.e3" 2>"$T/stderr"
	grep -q "1152 points of 1152" "$T/stderr"
	e3-export --conf-min 0 --conf-pct 50 --ply "$T/x.ply" "$T/x.e3" 2>"$T/stderr"
	grep -q " 576 points of 1152" "$T/stderr"
	grep -c "conf-pct" "$T/stderr" | grep -qx 0
	stream "$T/same.e3" conf=1
	e3-export --conf-pct 20 --ply "$T/x.ply" "$T/same.e3" 2>"$T/stderr"
	grep -qF -- "--conf-pct 20 dropped 0 of 1152 points: 1152 have the confidence at that percentile, 1.25, and stay" "$T/stderr"
	mkdir "$T/masks"
	for i in 0 1 2; do printf 'P2\n2 1\n255\n0 1\n' >"$T/masks/$i.pgm"; done
	e3-export --conf-pct 20 --ply "$T/x.ply" --mask-dir "$T/masks" "$T/x.e3" 2>"$T/stderr"
	grep -qF -- "--conf-pct 20 dropped no point: 576 of 1152 are masked" "$T/stderr"
}

@test "--compat upstream equals the reference's own file" {
	check upstream-input "$ROOT/tests/data/golden/io/upstream_2x4x6_input.npz" "$T/x.e3"
	e3-export -q --compat upstream --conf-pct 50 --glb "$T/x.glb" "$T/x.e3"
	check upstream-golden "$T/x.glb" "$ROOT/tests/data/golden/io/upstream_2x4x6_pct50_cam.glb"
}

@test "--compat upstream treats depth and an empty cloud as the reference does" {
	stream "$T/x.e3"
	e3-export -q --compat upstream --points depth --conf-pct 0 --glb "$T/x.glb" --npz "$T/x.npz" "$T/x.e3"
	check points "$T/x.glb" "$T/x.e3" 0 points
	check npz "$T/x.npz" "$T/x.e3" 1
	e3-export -q --compat upstream --conf-min 1000 --glb "$T/x.glb" "$T/x.e3"
	check count "$T/x.glb" 1
}

@test "Khronos glTF validator: no error and no warning on any variant" {
	[ -e "$ROOT/tests/node_modules/gltf-validator/package.json" ] || skip "needs npm ci in tests/"
	stream "$T/x.e3" frames=4 w=60 h=40
	stream "$T/one.e3" frames=1 w=1 h=1
	stream "$T/nopose.e3" without=pose,depth
	stream "$T/nopoints.e3" without=points
	stream "$T/long.e3" frames=3 w=2 h=2 repeat=100
	stream "$T/big.e3" frames=2 w=800 h=640
	local n=0
	make() { e3-export -q --glb "$T/v$((n += 1)).glb" "$@"; }
	make "$T/x.e3"
	make --no-cameras "$T/x.e3"
	make "$T/one.e3"
	make --no-cameras --conf-pct 100 "$T/one.e3"
	make --conf-pct 0 "$T/big.e3"
	make --glb-conf "$T/x.e3"
	make --glb-conf --glb-color upstream "$T/x.e3"
	make --frustum mesh "$T/x.e3"
	make --frustum mesh "$T/long.e3"
	make --frustum mesh --cameras all "$T/long.e3"
	make --cameras all "$T/long.e3"
	make --cameras path "$T/long.e3"
	make --cameras 1 "$T/long.e3"
	make "$T/long.e3"
	make --voxel 0.2 "$T/x.e3"
	make --max-points 7 "$T/x.e3"
	make --conf-min 1000 --allow-empty "$T/x.e3"
	make --conf-min 1000 --allow-empty --no-cameras "$T/x.e3"
	make --compat upstream "$T/x.e3"
	make --compat upstream --conf-min 1000 "$T/x.e3"
	make --compat upstream --no-cameras "$T/x.e3"
	make --align upstream "$T/x.e3"
	make --align none "$T/x.e3"
	make "$T/nopose.e3"
	make "$T/nopoints.e3"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/x.e3" "$T/nofov.e3" \
		"m[2][1]['pose']['data'] = m[2][1]['pose']['data'][:28] + bytes(8)"
	e3-export --glb "$T/nofov.glb" "$T/nofov.e3" 2>"$T/stderr"
	grep -q "1 of 4 cameras have no frustum and no glTF camera: no usable field of view" "$T/stderr"
	[ "$n" -eq 25 ]
	node "$ROOT/tests/validate_gltf.js" "$T"/v*.glb "$T/nofov.glb"
}

@test "PLY: size, positions, colours, confidences; one file or one per frame" {
	stream "$T/x.e3" nan=3
	e3-export -q --points map --conf-pct 20 --ply "$T/x.ply" "$T/x.e3"
	check ply "$T/x.ply" "$T/x.e3"
	e3-export -q --points map --no-ply-conf --conf-pct 0 --ply - <"$T/x.e3" >"$T/x.ply"
	check ply "$T/x.ply" "$T/x.e3" 0
	[ "$(stat -c %s "$T/x.ply")" -eq $(($(sed '/^end_header/q' "$T/x.ply" | wc -c) + 15 * (3 * 24 * 16 - 9))) ]
	e3-export -q --points map --conf-pct 20 --ply-frame --per-frame --ply "$T/out/p" "$T/x.e3"
	for i in 0 1 2; do check ply "$T/out/p/frame_00000$i.ply" "$T/x.e3" 20 $i; done
	[ "$(find "$T/out/p" -mindepth 1 | wc -l)" -eq 3 ]
}

@test "TUM, KITTI and intrinsics hold the poses of the stream, in source and in model pixels" {
	stream "$T/x.e3" frames=6 src_w=1080 src_h=1920 fit=0.0222222,0.0234375,0,-14.5
	e3-export -q --tum "$T/t" --kitti "$T/k" --intrinsics-txt "$T/i" "$T/x.e3"
	check trajectory "$T/x.e3" "$T/t" "$T/k" "$T/i" source
	e3-export -q --tum "$T/t" --kitti "$T/k" --intrinsics-txt "$T/i" --intrinsics model "$T/x.e3"
	check trajectory "$T/x.e3" "$T/t" "$T/k" "$T/i" model
	e3-export -q --kitti - --first-identity "$T/x.e3" | head -1 | awk '{
		for (k = 1; k <= 12; k++) if (($k - (k % 5 == 1)) ^ 2 > 1e-18) exit 1 }'
}

@test "a trajectory on a pipe is written frame by frame" {
	stream "$T/x.e3" end=0
	mkfifo "$T/in"
	e3-export -q --tum - <"$T/in" >"$T/t" &
	exec 7>"$T/in"
	cat "$T/x.e3" >&7
	wait_lines 4 "$T/t"
	exec 7>&-
	rc=0
	wait $! || rc=$?
	[ "$rc" -eq 1 ] # truncated
}

@test "npz: numpy reads nine arrays with the stream's values, from a file and from a pipe" {
	stream "$T/x.e3" nan=2
	e3-export -q --npz "$T/x.npz" "$T/x.e3"
	check npz "$T/x.npz" "$T/x.e3"
	e3-export -q --npz - "$T/x.e3" | cmp - "$T/x.npz"
	stream "$T/x.e3" without=points
	e3-export --npz "$T/x.npz" "$T/x.e3" 2>"$T/stderr"
	grep -q "left out 2 of the nine arrays" "$T/stderr"
	check npz "$T/x.npz" "$T/x.e3"
}

@test "16-bit depth by one factor for the run, colours by one range" {
	stream "$T/x.e3" frames=5
	e3-export -q --depth "$T/d" --depth-color "$T/c" "$T/x.e3"
	check depth "$T/x.e3" "$T/d"
	check depth-color "$T/x.e3" "$T/c"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/x.e3" "$T/y.e3" \
		"d = m[3][1]['depth']; d['data'] = struct.pack('<4f', nan, inf, 0, -1) + d['data'][16:]"
	for factor in 0 100 20000; do
		rm -r "$T/d"
		e3-export --depth "$T/d" --depth-scale "${factor/#0/auto}" "$T/y.e3" 2>"$T/stderr"
		check depth "$T/y.e3" "$T/d" "$factor"
	done
	grep -q "depths, too large for the factor 20000" "$T/stderr"
	e3-export -q --depth-color "$T/c" "$T/y.e3"
	check depth-color "$T/y.e3" "$T/c"
	e3-export -q --depth-color "$T/c" --depth-range 100:200 --depth-cmap grey "$T/x.e3"
	/usr/bin/python3 -B -c "
import sys; sys.path.insert(0, '$ROOT/tests')
import export_check
assert (export_check.png('$T/c/000000.png')[0] == 255).all()"
}

@test "PFM: depth comes back exactly, unknown as 0, also through OpenCV where it is installed" {
	stream "$T/x.e3" frames=3
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/x.e3" "$T/y.e3" \
		"d = m[1][1]['depth']; d['data'] = struct.pack('<5f', nan, inf, 0, -1, 1e-9) + d['data'][20:]"
	e3-export -q --depth-pfm "$T/p" "$T/y.e3"
	[ "$(find "$T/p" -type f | wc -l)" -eq 3 ]
	cat >"$T/compare.py" <<-'PYTHON'
		import sys
		sys.path.insert(0, sys.argv[1])
		import numpy as np
		import e3read
		try:
		    import cv2
		except ImportError:
		    cv2 = None
		for p in e3read.messages(sys.argv[2], "pred"):
		    want = np.where(np.isfinite(p["depth"]) & (p["depth"] > 1e-8), p["depth"], np.float32(0))
		    assert (want == 0).sum() == (5 if p["i"] == 0 else 0)
		    path = f"{sys.argv[3]}/{p['i']:06d}.pfm"
		    kind, size, scale, rows = open(path, "rb").read().split(b"\n", 3)
		    assert (kind, size, scale) == (b"Pf", b"%d %d" % want.shape[::-1], b"-1.0"), (kind, size, scale)
		    assert np.array_equal(np.frombuffer(rows, "<f4").reshape(want.shape)[::-1], want), path
		    assert cv2 is None or np.array_equal(cv2.imread(path, cv2.IMREAD_UNCHANGED), want), path
	PYTHON
	/usr/bin/python3 -B "$T/compare.py" "$ROOT/tests" "$T/y.e3" "$T/p"
}

@test "run.json holds what was read and chosen" {
	stream "$T/x.e3" src_w=640 src_h=480 fit=0.0375,0.0333,0,0.5
	e3-export -q --points map --conf-pct 20 --run-json "$T/run.json" --glb "$T/x.glb" "$T/x.e3"
	check run-json "$T/run.json" "$T/x.e3"
}

@test "an error names what the stream lacks" {
	stream "$T/nopose.e3" without=pose
	stream "$T/poses.e3" without=depth,points
	fails 1 "no pose for frame 0" -- e3-export --tum "$T/out/t" "$T/nopose.e3"
	fails 1 "the stream has no pose" -- e3-export --points depth --glb "$T/out/g" "$T/nopose.e3"
	fails 1 "the stream has no point map" -- e3-export --points map --glb "$T/out/g" "$T/poses.e3"
	fails 1 "the stream has none for frame 0" -- e3-export --depth "$T/out/d" "$T/poses.e3"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/poses.e3" "$T/frames.e3" \
		"for k in list(m[0][1]): k in ('v', 'tool', 'version', 'source', 'frames', 'fps') or m[0][1].pop(k)"
	fails 1 "holds frames, not predictions: put e3-infer between" -- e3-export --glb "$T/out/g" "$T/frames.e3"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/poses.e3" "$T/empty.e3" "del m[1:4]; m[1][1]['frames'] = 0"
	fails 1 "the stream has no predictions" -- e3-export --glb "$T/out/g" "$T/empty.e3"
	nothing_left
}

@test "what one output cannot hold of a later frame costs no other output" {
	stream "$T/x.e3"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/x.e3" "$T/y.e3" "del m[3][1]['pose']"
	fails 1 "3 of 5 outputs failed" -- e3-export --glb "$T/out/g" --tum "$T/out/t" --npz "$T/out/n" --depth "$T/out/d" --run-json "$T/out/j" "$T/y.e3"
	grep -q "$T/out/t: the stream has no pose for frame 2: .*; the other outputs continue" "$T/stderr"
	[ "$(cd "$T/out" && echo *)" = "d g.partial j n.partial t.partial" ]
	[ "$(ls "$T/out/d" | wc -l) $(grep -vc '^#' "$T/out/t.partial")" = "3 2" ]
	rm -r "$T"/out/*
	nothing_left
}

@test "a truncated or aborted stream: the frames that came stay as FILE.partial; the error names the stage that failed" {
	all=(--glb "$T/out/x.glb" --ply "$T/out/p" --per-frame --npz "$T/out/x.npz" --tum "$T/out/t" --depth "$T/out/d" --run-json "$T/out/j")
	stream "$T/x.e3" end=0
	fails 1 "truncated" -- e3-export "${all[@]}" "$T/x.e3"
	stream "$T/x.e3" abort="the GPU went away"
	fails 1 "e3-infer" -- e3-export "${all[@]}" "$T/x.e3"
	grep -q "the GPU went away" "$T/stderr"
	[ "$(cd "$T/out" && echo *)" = "d j.partial p t.partial x.glb.partial x.npz.partial" ]
	[ "$(cd "$T/out" && echo p/*)" = "p/frame_000000.ply p/frame_000001.ply p/frame_000002.ply" ]
	stream "$T/x.e3"
	e3-export -q --voxel none --glb "$T/x.glb" --tum "$T/t" "$T/x.e3"
	cmp "$T/x.glb" "$T/out/x.glb.partial"
	cmp "$T/t" "$T/out/t.partial"
	rm -r "$T"/out/*
	nothing_left
}

@test "a full disk is an error of the output that is on it: the others appear" {
	stream "$T/x.e3"
	for o in --glb --ply --tum --kitti --intrinsics-txt --npz --run-json; do
		fails 1 "1 of 2 outputs failed: writing: /dev/full: No space left on device" -- e3-export $o /dev/full --depth "$T/out/d" "$T/x.e3"
		[ "$(cd "$T/out" && echo d/*)" = "d/000000.png d/000001.png d/000002.png" ]
		rm -r "$T/out/d"
		fails 1 "/dev/full" -- e3-export $o /dev/full "$T/x.e3"
		nothing_left
	done
	fails 1 "writing" -- bash -c "e3-export --glb - '$T/x.e3' >/dev/full"
}

# limited BLOCKS COMMAND...: exit 1 where no file may have more than so many KiB.
limited() {
	fails 1 "File too large" -- bash -c 'ulimit -f "$1"; shift; exec "$@"' - "$@"
}

@test "temporary files that fill their disk: what needs none is complete, the others keep the frames before as FILE.partial" {
	stream "$T/x.e3" frames=20 w=60 h=40
	text=(--tum "$T/out/t" --kitti "$T/out/k" --run-json "$T/out/j")
	limited 90 e3-export --conf-pct 60 "${text[@]}" --glb "$T/out/g" --ply "$T/out/p" --depth "$T/out/d" "$T/x.e3"
	grep -q "exporting: 3 of 6 outputs failed: writing: $T/out/[gpd]: writing to a temporary file (TMPDIR chooses where): File too large" "$T/stderr"
	grep -q "$T/out/g: writing to a temporary file (TMPDIR chooses where): File too large; the other outputs continue" "$T/stderr"
	[ "$(cd "$T/out" && echo *)" = "d g.partial j k p.partial t" ]
	/usr/bin/python3 -c '
import json, sys
j = json.load(open(sys.argv[1]))
assert j["complete"] and len(j["frames"]) == j["frames_total"] == 20
assert sorted(j["failed"]) == ["depth", "glb", "ply"] and "File too large" in j["failed"]["glb"], j["failed"]' "$T/out/j"
	mkdir "$T/want"
	e3-export -q --tum "$T/want/t" --kitti "$T/want/k" "$T/x.e3"
	n=$(sed -n "s|.*$T/out/g: cut short: the \([0-9]*\) frames that came are kept in.*|\1|p" "$T/stderr")
	[ "$n" -gt 1 ]
	e3-cat -q --take "$n" "$T/x.e3" | e3-export -q --conf-pct 60 --glb "$T/want/g.partial" --ply "$T/want/p.partial"
	n=$(sed -n "s|.*$T/out/d: cut short: the \([0-9]*\) frames that came are kept in it|\1|p" "$T/stderr")
	[ "$n" -gt 1 ]
	e3-cat -q --take "$n" "$T/x.e3" | e3-export -q --depth "$T/want/d"
	rm "$T/out/j"
	diff -r "$T/out" "$T/want"
	rm -r "$T"/out/*
	limited 180 e3-export --npz "$T/out/n" "$T/x.e3" # the file is longer than its temporary one: nothing of it
	nothing_left
}

@test "a text that may not grow keeps its whole lines; predictions that wait for corrections are kept" {
	stream "$T/x.e3" repeat=10
	limited 2 e3-export --tum "$T/out/t" --intrinsics-txt "$T/out/i" "$T/x.e3"
	e3-export -q --tum "$T/t" --intrinsics-txt "$T/i" "$T/x.e3"
	n=$(wc -l <"$T/out/t.partial")
	[ "$n" -gt 5 ]
	head -n "$n" "$T/t" | cmp - "$T/out/t.partial"
	cmp "$T/i" "$T/out/i"
	rm "$T"/out/*
	stream "$T/x.e3" frames=20 w=60 h=40
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/x.e3" "$T/a.e3" 'm[0][1]["corrects"] = 1'
	limited 300 e3-export --tum "$T/out/t" "$T/a.e3"
	n=$(grep -vc '#' "$T/out/t.partial")
	[ "$n" -gt 1 ]
	rm "$T"/out/*
	nothing_left
}

@test "a reader that exits ends its own output: the others appear" {
	stream "$T/x.e3"
	left() { /usr/bin/python3 -c 'import select; p = select.poll(); p.register(1, 0); exit(not p.poll(10000))'; }
	set +o pipefail
	{ left && e3-export -q --tum - --glb "$T/out/g" "$T/x.e3" 2>"$T/e" || echo $? >"$T/rc"; } | true
	[ "$(cat "$T/rc")" -eq 1 ]
	grep -q "1 of 2 outputs failed: writing: standard output: Broken pipe" "$T/e"
	e3-export -q --glb "$T/g" "$T/x.e3"
	cmp "$T/g" "$T/out/g"
	{ left && e3-export --tum - "$T/x.e3" 2>"$T/e" || echo $? >"$T/rc"; } | true
	[ "$(cat "$T/rc")" -eq 141 ]
	[ ! -s "$T/e" ]
}

@test "SIGINT: every output is finished with the frames so far" {
	stream "$T/x.e3"
	mkfifo "$T/in"
	e3-export -q --points map --conf-pct 20 --glb "$T/x.glb" --ply "$T/p" --per-frame --npz "$T/x.npz" --tum - --depth "$T/d" --run-json "$T/j" <"$T/in" >"$T/t" &
	pid=$!
	exec 7>"$T/in"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/x.e3" - "del m[-1]" >&7
	wait_lines 4 "$T/t"
	kill -INT $pid
	rc=0
	wait $pid || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ]
	check points "$T/x.glb" "$T/x.e3"
	check npz "$T/x.npz" "$T/x.e3"
	check depth "$T/x.e3" "$T/d"
	check ply "$T/p/frame_000002.ply" "$T/x.e3" 20 2
	[ "$(wc -l <"$T/t")" -eq 4 ]
	grep -q '"complete":false' "$T/j"
	[ -z "$(find "$T/tmp" -mindepth 1)" ]
}

@test "memory does not grow with the number of frames" {
	all=(--glb "$T/x.glb" --ply "$T/x.ply" --npz "$T/x.npz" --tum "$T/t" --depth "$T/d" --depth-color "$T/c" --run-json "$T/j")
	peak() {
		stream "$T/x.e3" frames=10 w=80 h=60 repeat="$1"
		# freed memory that a sanitizer keeps back is not ours
		ASAN_OPTIONS=quarantine_size_mb=0:thread_local_quarantine_size_kb=0 check peak-memory e3-export -q "${all[@]}" "$T/x.e3"
	}
	few=$(peak 3)
	many=$(peak 20)
	echo "# 30 frames: $few KiB, 200 frames: $many KiB"
	# 22 MB of stream more; cameras in the GLB may take half a kilobyte a frame
	[ "$many" -le $((few + 512)) ]
}

@test "wrong usage exits 2 and the error names it" {
	fails 2 "nothing to write: give at least one of --glb" -- e3-export
	fails 2 "--glb and --ply have the same name, $T/x: give them different names" -- e3-export --glb "$T/x" --ply "$T/x"
	fails 2 "--tum and --kitti: only one output can be standard output" -- e3-export --tum - --kitti -
	fails 2 "--show-cam and --no-cameras" -- e3-export --glb "$T/x" --show-cam --no-cameras
	fails 2 "--depth and --depth-color have the same name, $T/d: give them different names" -- e3-export --depth "$T/d" --depth-color "$T/d"
	fails 2 "--per-frame needs --ply" -- e3-export --glb "$T/x" --per-frame
	fails 2 "--depth: a folder cannot be standard output" -- e3-export --depth -
	fails 2 "from 0 to 100" -- e3-export --glb "$T/x" --conf-pct 101
	fails 2 "option --depth-range: expected LO:HI with LO below HI" -- e3-export --depth-color "$T/d" --depth-range 3:2
	fails 2 "option --depth-range: expected LO:HI such as" -- e3-export --depth-color "$T/d" --depth-range 3
	fails 2 "auto|map|depth" -- e3-export --glb "$T/x" --points cloud
	fails 2 "one stream at a time" -- e3-export --glb "$T/x" a b
	stream "$T/run.e3"
	cp "$T/run.e3" "$T/copy.e3"
	ln -s run.e3 "$T/link.e3"
	fails 2 "$T/run.e3 is the stream that is read" -- e3-export --ply "$T/run.e3" "$T/run.e3"
	fails 2 "$T/run.e3 is the stream that is read" -- e3-export --tum "$T/run.e3" "$T/link.e3"
	cmp "$T/run.e3" "$T/copy.e3"
	fails 1 "$T/absent" -- e3-export --glb "$T/out/x" "$T/absent"
	fails 1 "$T/run.e3/x.glb" -- e3-export --glb "$T/run.e3/x.glb" /dev/null
	nothing_left
}

#!/usr/bin/env bats
# Every data set, from a tree that e3-scene --as writes to the frames and truth that e3-decode --dataset makes of it; what a layout lacks,
# what is damaged, what is prepared on the way.
load common

scene() { # NAME [options]: a small tree of it in $T/NAME
	local name=$1
	shift
	e3-scene --as "$name" --seed 3 --frames 4 --size 250x180 --noise 0 "$@" "$T/$name"
}

decode() { # NAME [options]: its only sequence
	local name=$1
	shift
	e3-decode --dataset "$name" --root "$T/$name" "$@"
}

# NAME: tree, stream, and the scene's own stream with the same camera, compared.
round_trip() {
	local name=$1 wh=250x180 options=(--fit 224) camera=(--size 250x180)
	shift
	case $name in
	7scenes) wh=240x180 camera=(--size 241x181 --fov 62.938557517047656) options+=(--stride 1) ;;
	nrgbd) wh=240x180 camera=(--size 241x181 --fov 60.20653297339998) options+=(--stride 1) ;;
	co3d) options=(--draw 4 --min-frames 4) ;;
	esac
	scene "$name" --size $wh
	decode "$name" "${options[@]}" "$@" -o "$T/decoded.e3"
	e3-scene --seed 3 --frames 4 --noise 0 --metres "${camera[@]}" -o "$T/scene.e3"
	/usr/bin/python3 "$ROOT/tests/sets_check.py" "$name" "$T/$name" "$T/decoded.e3" "$T/scene.e3"
	[ "$(e3-dump "$T/decoded.e3" | sed -n 's/^head.* source=\([^/]*\).*/\1/p')" = "$name" ]
}

@test "sintel: written, read, compared" { round_trip sintel; }
@test "kitti: written, read, compared" { round_trip kitti; }
@test "bonn: written, read, compared" { round_trip bonn; }
@test "nyu: written, read, compared" { round_trip nyu; }
@test "7scenes: written, read, compared" { round_trip 7scenes; }
@test "nrgbd: written, read, compared" { round_trip nrgbd; }
@test "tum: written, read, compared" { round_trip tum; }
@test "scannet: written, read, compared" { round_trip scannet; }
@test "co3d: written, read, compared" { round_trip co3d; }

@test "sintel: for poses pictures are cropped instead of scaled, and depth is not needed" {
	scene sintel
	rm -r "$T/sintel/training/depth"
	decode sintel --task pose --fit 224 -o "$T/p.e3"
	e3-dump "$T/p.e3" | sed -n 's/^frame.* fit=\([^ ]*\) w=\([0-9]*\) h=\([0-9]*\).*/\1 \2 \3/p' | head -1 >"$T/fit"
	# 250 x 180 to 224 x 161, the middle 154 rows of it
	grep -qx '\[0.896,0.8944444444444445,0,-3\] 224 154' "$T/fit" || { cat "$T/fit"; return 1; }
	[ "$(e3-dump "$T/p.e3" | grep -c '^truth.*depth=')" -eq 0 ]
	[ "$(e3-dump "$T/p.e3" | grep -c '^truth.*pose=')" -eq 4 ]
	fails 1 "training/depth/alley_2: No such file or directory" -- e3-decode --dataset sintel --root "$T/sintel" -o "$T/q.e3"
}

@test "the root may be the folder above, and a stream goes through the network at its own size" {
	mkdir "$T/data"
	e3-scene --as bonn --seed 3 --frames 2 --size 250x180 "$T/data/bonn"
	e3-decode --dataset bonn --root "$T/data" --fit 140 | e3-infer --segment 0 --budget 4f --model "$DEMO/model.safetensors" -q -o "$T/p.e3"
	# long side 140, then multiples of 14: the model was made for 224, and nothing resizes
	[ "$(e3-dump "$T/p.e3" | sed -n 's/^pred.* w=\([0-9]*\) h=\([0-9]*\) .*/\1 \2/p' | sort -u)" = "140 98" ]
	[ "$(e3-dump "$T/p.e3" | grep -c '^truth.*depth=f32\[180x250\]')" -eq 2 ]
}

@test "--list reports what exists, what is published and what is missing" {
	scene sintel
	e3-scene --as sintel --sequence mine --seed 1 --frames 3 --size 64x48 "$T/sintel"
	rm "$T/sintel/training/depth/mine/frame_0002.dpt"
	decode sintel --list >"$T/list"
	grep -qP '^alley_2\t4\t4\t4\t4\tyes\t-$' "$T/list"
	grep -qP '^cave_2\t0\t0\t0\t0\tyes\tnot found$' "$T/list"
	grep -qP '^mine\t0\t0\t0\t0\tno\tsintel: mine: reading: .*/training/depth/mine/frame_0002.dpt: missing: there are 3 pictures and 2 of these$' "$T/list"
	[ "$(grep -c 'yes' "$T/list")" -eq 23 ]
	decode sintel --list --json | /usr/bin/python3 -c '
import json, sys
rows = {r["sequence"]: r for r in json.load(sys.stdin)}
assert len(rows) == 24
assert rows["alley_2"] == {"sequence": "alley_2", "frames": 4, "images": 4, "depths": 4, "poses": 4, "published": True, "missing": None}
assert rows["cave_2"]["missing"] == "not found" and not rows["mine"]["published"]'
	[ "$(decode sintel --task pose --list | grep -c yes)" -eq 14 ]
	[ "$(decode sintel --list --sequence 'a*_2' | cut -f1 | tr '\n' ' ')" = "# sequence alley_2 ambush_2 " ]
}

@test "several sequences: a stream each, named by %s; refused without it, with their number" {
	scene sintel
	e3-scene --as sintel --sequence cave_2 --seed 1 --frames 3 --size 64x48 "$T/sintel"
	fails 1 "2 sequences, from alley_2 to cave_2: choose one with --sequence, or give -o a name with %s in it" -- \
		e3-decode --dataset sintel --root "$T/sintel" -o "$T/one.e3"
	[ ! -e "$T/one.e3" ]
	decode sintel --fit 56 --max-frames 2 -o "$T/s-%s.e3"
	[ "$(e3-dump "$T/s-alley_2.e3" | grep -c ^frame)" -eq 2 ]
	[ "$(e3-dump "$T/s-cave_2.e3" | grep -c ^frame)" -eq 2 ]
	fails 1 "no sequence matches temple* here" -- e3-decode --dataset sintel --root "$T/sintel" --sequence 'temple*'
	fails 1 "sintel: temple_2: reading: $T/sintel/: not found" -- e3-decode --dataset sintel --root "$T/sintel" --sequence temple_2 -o "$T/x.e3"
}

@test "the message names what a root lacks and what is there" {
	mkdir -p "$T/r/some" && touch "$T/r/file"
	fails 1 "opening: kitti: $T/r: expected depth_selection/val_selection_cropped/groundtruth_depth_gathered/DRIVE_02/*.png, or val/DRIVE/proj_depth/groundtruth/image_02/*.png, here or in kitti/; found some/, file" -- \
		e3-decode --dataset kitti --root "$T/r"
	fails 1 "no such folder" -- e3-decode --dataset tum --root "$T/none"
	fails 1 "co3d: $T/r: expected CATEGORY_test.jgz (or, with annotations elsewhere, CATEGORY/), here or in co3d/; found some/, file" -- \
		e3-decode --dataset co3d --root "$T/r"
	mkdir "$T/r/apple"
	fails 1 "co3d: $T/r/some: expected annotations: apple_test.jgz and so on" -- e3-decode --dataset co3d --root "$T/r" --annotations "$T/r/some"
	fails 1 "no truth for the task recon: it has truth for depth, video-depth" -- e3-decode --dataset bonn --root "$T/r" --task recon
	# and downstream learns of it
	rc=0
	e3-decode --dataset kitti --root "$T/r" 2>/dev/null | e3-dump - >/dev/null 2>"$T/told" || rc=$?
	[ $rc -eq 1 ]
	grep -q "e3-decode failed (exit 1): opening: kitti: .*: expected depth_selection" "$T/told" || { cat "$T/told"; return 1; }
}

@test "the manual page and the published tables name the data sets of the registry, with their tasks" {
	local name task said
	e3-decode --dataset '?' 2>&1 | sed -n "s/.*expected one of \(.*\), got '?'/\1/p" | tr '|' '\n' >"$T/names"
	[ "$(wc -l <"$T/names")" -ge 9 ]
	sed -n '/^\.It [a-z0-9]*$/ { N; s/^\.It \(.*\)\n\([a-z, -]*\):$/\1: \2/p }' "$ROOT/man/e3-datasets.7" >"$T/manual"
	while read -r name; do
		said=
		for task in depth video-depth recon pose pairs; do
			e3-decode --dataset "$name" --root "$T/none" --task $task 2>&1 | grep -q 'no truth for the task' || said+=" $task"
		done
		grep "^$name: " "$T/manual" | sed 's/.*: //; s/, /\n/g' | sort | tr '\n' ' ' >"$T/tasks"
		[ "$(tr ' ' '\n' <<<"${said# }" | sort | tr '\n' ' ')" = "$(cat "$T/tasks")" ] || { echo "$name: tasks$said; the manual: $(cat "$T/tasks")"; return 1; }
	done <"$T/names"
	[ "$(wc -l <"$T/manual")" -eq "$(wc -l <"$T/names")" ]
	awk '!/^#/ && NF { sub("/.*", "", $3); print $3 }' "$ROOT/pipelines/eval/tables" | sort -u | grep -vxFf "$T/names" >"$T/unknown" || true
	[ ! -s "$T/unknown" ] || { echo "pipelines/eval/tables names:"; cat "$T/unknown"; return 1; }
}

@test "options that do not go together are refused" {
	fails 2 "--dataset needs --root" -- e3-decode --dataset kitti
	fails 2 "takes no INPUT" -- e3-decode --dataset kitti --root . clip.mp4
	fails 2 "--stride: needs --dataset" -- e3-decode --stride 2 clip.mp4
	fails 2 "only --stride and --max-frames" -- e3-decode --dataset kitti --root . --every 1
	fails 2 "--fast-eval do not go with kitti" -- e3-decode --dataset kitti --root . --draw 4
	fails 2 "--reject-invalid does not go with kitti" -- e3-decode --dataset kitti --root . --reject-invalid
	fails 2 "not a multiple of 14" -- e3-decode --dataset nrgbd --root . --fit 200
	fails 2 "--json: needs --list" -- e3-decode --dataset kitti --root . --json
	fails 2 "--as needs one folder" -- e3-scene --as kitti
	fails 2 "--as does not go with --output" -- e3-scene --as kitti -o x "$T/k"
	fails 2 "its readers know one camera" -- e3-scene --as 7scenes --fov 60 "$T/k"
	fails 1 "its readers expect the proportions of 640 × 480" -- e3-scene --as 7scenes --size 250x180 "$T/k"
	fails 1 "expected a name such as chess/seq-03 (SCENE/seq-NN)" -- e3-scene --as 7scenes --sequence ../seq-1 --size 64x48 "$T/k"
	scene tum --frames 1
	fails 1 "exists already" -- e3-scene --as tum --size 64x48 --frames 1 "$T/tum"
}

@test "a writer that fails removes what it wrote" {
	mkdir "$T/full"
	touch "$T/full/apple_test.jgz"
	fails 1 "apple_test.jgz: truncated" -- e3-scene --as co3d --frames 2 --size 64x48 "$T/full"
	[ "$(find "$T/full" | wc -l)" -eq 2 ]
	mkdir -p "$T/f2/training"
	touch "$T/f2/training/depth"
	fails 1 "training/depth" -- e3-scene --as sintel --frames 2 --size 64x48 "$T/f2"
	[ "$(find "$T/f2" -type f | wc -l)" -eq 1 ]
}

@test "co3d: frames are drawn as by NumPy, with one generator for all sequences" {
	for s in b/2 a/1; do
		e3-scene --as co3d --sequence "$(tr ab 'ba' <<<"${s%/*}" | sed 's/a/apple/; s/b/banana/')/s${s#*/}" --seed 3 --frames 12 --size 28x20 "$T/co3d"
	done
	decode co3d --draw 5 --min-frames 10 -o "$T/%s.e3"
	for f in apple_s2 banana_s1; do e3-dump "$T/$f.e3" | sed -n 's/^frame.* src_i=\([0-9]*\).*/\1/p' | tr '\n' ' '; done >"$T/got"
	/usr/bin/python3 -c '
import numpy as np
np.random.seed(0)
print(*[k for _ in range(2) for k in np.random.choice(12, 5, replace=False)], end=" ")' >"$T/want"
	diff "$T/got" "$T/want"
	decode co3d --draw 5 --min-frames 10 --seed 7 --sequence 'apple/*' | e3-dump - | sed -n 's/^frame.* src_i=\([0-9]*\).*/\1/p' | tr '\n' ' ' >"$T/got"
	/usr/bin/python3 -c 'import numpy as np; np.random.seed(7); print(*np.random.choice(12, 5, replace=False), end=" ")' | diff "$T/got" -
	[ "$(decode co3d --co3d-size 518 --draw 5 --min-frames 10 --sequence 'apple/*' | e3-dump - | sed -n 's/^frame.* w=\([0-9]*\) h=\([0-9]*\).*/\1 \2/p' | sort -u)" = "518 364" ]
}

# frames_of NAME STRIDE: the numbers that are sent.
frames_of() {
	decode "$1" --fit 56 ${2:+--stride "$2"} | e3-dump - | sed -n 's/^frame.* src_i=\([0-9]*\).*/\1/p' | tr '\n' ' '
}

@test "7scenes and nrgbd: strides select the same frames as the reference" {
	scene 7scenes --frames 1 --size 64x48
	d=$T/7scenes/chess/seq-03
	for k in $(seq 1 999); do printf '%s/frame-%06d.color.png ' "$d" "$k"; done | xargs touch
	for k in $(seq 25 25 975); do
		for end in color.png depth.proj.png pose.txt; do printf '%s/frame-%06d.%s\n' "$d" "$k" $end; done
	done >"$T/links"
	for end in color.png depth.proj.png pose.txt; do grep "$end\$" "$T/links" | xargs -n 1 ln -sf frame-000000.$end; done
	[ "$(frames_of 7scenes '')" = "0 200 400 600 800 " ]
	[ "$(frames_of 7scenes 25 | wc -w)" -eq 40 ]
	[ "$(decode 7scenes --list --stride 25 | cut -f2 | tail -n +2 | sort -n | tail -1)" = 40 ]
	rm "$d"/frame-0005*.color.png "$d"/frame-000[6-9]*.color.png
	[ "$(frames_of 7scenes '')" = "0 200 400 " ]
	printf 'sequence3\nsequence12\nseq-04\nsequence01\n' >"$T/7scenes/chess/TestSplit.txt"
	[ "$(decode 7scenes --list | grep -o '^chess/seq-[0-9]*' | sort | tr '\n' ' ')" = "chess/seq-01 chess/seq-03 chess/seq-04 chess/seq-05 chess/seq-12 " ]
	scene nrgbd --frames 1 --size 64x48
	d=$T/nrgbd/breakfast_room
	for k in $(seq 1 1166); do printf '%s/images/img%d.png ' "$d" "$k"; done | xargs touch
	for k in 197 394 500 1000; do
		ln -sf img0.png "$d/images/img$k.png"
		ln -sf depth0.png "$d/depth/depth$k.png"
	done
	first=$(head -4 "$d/poses.txt")
	for k in $(seq 1 1166); do echo "$first"; done >"$T/more"
	cat "$T/more" >>"$d/poses.txt"
	[ "$(frames_of nrgbd '')" = "0 500 1000 " ]
	for k in $(seq 1000 1166); do printf '%s/images/img%d.png ' "$d" "$k"; done | xargs rm
	[ "$(frames_of nrgbd '')" = "0 500 " ]
	for k in $(seq 395 999); do printf '%s/images/img%d.png ' "$d" "$k"; done | xargs rm
	[ "$(frames_of nrgbd '')" = "0 197 394 " ]
}

@test "nrgbd: a pose that is missing counts as the identity" {
	scene nrgbd --size 64x48
	sed -i '5s/[^ ]* /nan /' "$T/nrgbd/breakfast_room/poses.txt"
	decode nrgbd --stride 1 --fit 56 -o "$T/n.e3"
	[ "$(e3-dump "$T/n.e3" | grep -c '^truth.*pose=')" -eq 4 ]
	# the world is frame 0's camera: in it the identity, turned to OpenCV's axes, is that camera's own place
	/usr/bin/python3 - "$ROOT/tests" "$T/n.e3" "$T/nrgbd/breakfast_room/poses.txt" <<-'PY'
	import sys
	sys.path.insert(0, sys.argv[1])
	import e3read, numpy as np
	first = np.array([l.split() for l in open(sys.argv[3]).readlines()[:4]], float) @ np.diag([1, -1, -1, 1])
	want = np.diag([1.0, -1, -1, 1]) @ first
	got = e3read.messages(sys.argv[2], "truth")[1]["pose"]
	off = np.abs(got[:3] - want[:3, 3]).max()
	assert off < 1e-6, (got, want)
	PY
}

@test "7scenes: raw depth is registered; --reject-invalid leaves out the invalid code" {
	scene 7scenes --size 640x480 --frames 1
	d=$T/7scenes/chess/seq-03
	/usr/bin/python3 - "$d" <<-'PY'
	import sys, numpy as np
	from PIL import Image
	raw = np.full((480, 640), 2000, np.uint16)
	raw[300:, 400:] = 65535
	Image.fromarray(raw).save(sys.argv[1] + "/frame-000000.depth.png")
	PY
	decode 7scenes --reject-invalid -o "$T/clean.e3"
	rm "$d/frame-000000.depth.proj.png"
	decode 7scenes -o "$T/raw.e3"
	/usr/bin/python3 - "$ROOT/tests" "$T/raw.e3" "$T/clean.e3" <<-'PY'
	import sys
	sys.path.insert(0, sys.argv[1])
	import e3read, numpy as np
	raw, clean = (e3read.messages(p, "truth")[0]["depth"] for p in sys.argv[2:])
	plane = clean > 0
	assert abs(np.median(clean[plane]) - 2.0) < 0.05 and plane.mean() > 0.5, (np.median(clean[plane]), plane.mean())
	assert np.array_equal(raw[plane], clean[plane])
	wrapped = raw[~plane]
	assert (wrapped > 0).any() and wrapped.max() < 1, wrapped.max()  # 65.5 m, modulo 65536 mm
	PY
	fails 1 "expected the depth map, raw, or registered as .depth.proj.png" -- bash -c "rm '$d/frame-000000.depth.png'; e3-decode --dataset 7scenes --root '$T/7scenes'"
}

@test "bonn: unprepared folders give items 30 to 139 by index" {
	scene bonn --size 28x20 --frames 145 --fps 30
	d=$T/bonn/rgbd_bonn_dataset/rgbd_bonn_balloon2
	decode bonn --fit 28 -o "$T/a.e3"
	mv "$d/rgb_110" "$d/rgb"
	mv "$d/depth_110" "$d/depth"
	decode bonn --fit 28 -o "$T/b.e3"
	[ "$(e3-dump "$T/b.e3" | grep -c ^frame)" -eq 110 ]
	decode bonn --fit 28 --whole -o "$T/whole.e3"
	e3-dump "$T/a.e3" | sed -n 's/^frame.* pts=\([^ ]*\) .*/\1/p' | sed -n '31,$p' >"$T/want"
	e3-dump "$T/whole.e3" | sed -n 's/^frame.* pts=\([^ ]*\) .*/\1/p' | diff - "$T/want"
	[ "$(wc -l <"$T/want")" -eq 115 ]
	[ "$(decode bonn --whole --list | awk -F'\t' '$1 == "balloon2" { print $2, $3 }')" = "115 145" ]
	e3-dump "$T/a.e3" | sed -n 's/^frame.* pts=\([^ ]*\) .*/\1/p' | sed -n '31,140p' >"$T/want"
	e3-dump "$T/b.e3" | sed -n 's/^frame.* pts=\([^ ]*\) .*/\1/p' | diff - "$T/want"
	ls "$d"/depth/* | head -1 | xargs rm
	fails 1 "depth_110: No such file" -- bash -c "mkdir '$d/rgb_110'; cp '$d'/rgb/*7.png '$d/rgb_110'; e3-decode --dataset bonn --root '$T/bonn'"
}

@test "tum: unprepared folders are paired by time, every third pair" {
	scene tum --size 28x20 --frames 30 --fps 30
	d=$T/tum/rgbd_dataset_freiburg3_sitting_static
	decode tum --fit 28 -o "$T/a.e3"
	mv "$d/rgb_90" "$d/rgb"
	# stamps 4 ms off, twice as many poses as pictures, the list in another order, commas
	awk '{ printf "%.6f %s\n%.6f 9 9 9 0 0 0 1\n", $1 + 0.004, substr($0, index($0, " ") + 1), $1 + 0.017 }' "$d/groundtruth_90.txt" >"$d/groundtruth.txt"
	rm "$d/groundtruth_90.txt"
	{ echo "# stamp file"; ls -r "$d/rgb" | sed 's|\(.*\)\.png|\1,rgb/\1.png|'; } >"$d/rgb.txt"
	decode tum --fit 28 -o "$T/b.e3"
	e3-dump --json "$T/a.e3" >"$T/a" 2>/dev/null
	/usr/bin/python3 - "$ROOT/tests" "$T/a.e3" "$T/b.e3" <<-'PY'
	import sys
	sys.path.insert(0, sys.argv[1])
	import e3read, numpy as np
	a, b = (e3read.messages(p, "truth") for p in sys.argv[2:])
	fa, fb = (e3read.messages(p, "frame") for p in sys.argv[2:])
	assert len(b) == 10, len(b)
	for k in range(10):
	    assert np.array_equal(fa[3 * k]["rgb"], fb[k]["rgb"])
	    assert np.allclose(a[3 * k]["pose"], b[k]["pose"], atol=1e-6)
	    assert abs(fb[k]["pts"] - fa[3 * k]["pts"] - 0.004) < 1e-5
	PY
	# the whole recording, also beside a prepared part
	mkdir "$d/rgb_90"
	decode tum --fit 28 --whole -o "$T/c.e3"
	decode tum --fit 28 --whole --stride 2 --max-frames 4 -o "$T/d.e3"
	/usr/bin/python3 - "$ROOT/tests" "$T/a.e3" "$T/c.e3" "$T/d.e3" <<-'PY'
	import sys
	sys.path.insert(0, sys.argv[1])
	import e3read, numpy as np
	a, c, d = ([m["rgb"] for m in e3read.messages(p, "frame")] for p in sys.argv[2:])
	assert len(c) == 30 and all(np.array_equal(x, y) for x, y in zip(a, c))
	assert len(d) == 4 and all(np.array_equal(x, y) for x, y in zip(a[::2], d))
	PY
	rmdir "$d/rgb_90"
	rm "$d/rgb.txt"
	fails 1 "rgb.txt: it names the pictures of the recording" -- e3-decode --dataset tum --root "$T/tum" --whole -o "$T/o.e3"
	fails 2 "--whole does not go with sintel" -- e3-decode --dataset sintel --root "$T/tum" --whole
	fails 1 "rgb.txt: neither this nor rgb_90 exists" -- e3-decode --dataset tum --root "$T/tum" -o "$T/o.e3"
}

@test "scannet: a .sens file gives every third of its first 270 frames" {
	scene scannet --size 64x48 --frames 7
	d=$T/scannet/scene0707_00
	decode scannet --fit 56 -o "$T/a.e3"
	/usr/bin/python3 - "$d" <<-'PY'
	import glob, struct, sys, numpy as np
	home = sys.argv[1]
	poses = np.loadtxt(home + "/pose_90.txt").reshape(-1, 16).astype("<f4")
	name = b"StructureSensor"
	out = struct.pack("<IQ", 4, len(name)) + name + np.tile(np.eye(4, dtype="<f4").ravel(), 4).tobytes()
	out += struct.pack("<iiIIIIfQ", 2, 1, 64, 48, 64, 48, 1000.0, len(poses))
	for k, f in enumerate(sorted(glob.glob(home + "/color_90/*.jpg"))):
	    colour = open(f, "rb").read()
	    pose = poses[k] if k % 3 == 0 else np.full(16, -np.inf, "<f4")  # what is not used may be missing
	    out += pose.tobytes() + struct.pack("<QQQQ", k, k, len(colour), 5) + colour + b"depth"
	open(home + "/scene0707_00.sens", "wb").write(out)
	PY
	rm -r "$d/color_90" "$d/pose_90.txt"
	decode scannet --fit 56 -o "$T/b.e3"
	/usr/bin/python3 - "$ROOT/tests" "$T/a.e3" "$T/b.e3" <<-'PY'
	import sys
	sys.path.insert(0, sys.argv[1])
	import e3read, numpy as np
	(fa, ta), (fb, tb) = ((e3read.messages(p, "frame"), e3read.messages(p, "truth")) for p in sys.argv[2:])
	assert [f["src_i"] for f in fb] == [0, 3, 6]
	for k in range(3):
	    assert np.array_equal(fa[3 * k]["rgb"], fb[k]["rgb"]) and np.allclose(ta[3 * k]["pose"], tb[k]["pose"], atol=1e-5)
	PY
	cp "$d/scene0707_00.sens" "$T/keep"
	bad() { # OFFSET BYTES TEXT
		printf '%b' "$2" | dd of="$d/scene0707_00.sens" bs=1 seek="$1" conv=notrunc status=none
		fails 1 "$d/scene0707_00.sens: $3" -- e3-decode --dataset scannet --root "$T/scannet" --fit 56 -o "$T/o.e3"
		cp "$T/keep" "$d/scene0707_00.sens"
	}
	bad 283 '\001' "colour compression 1: expected 2 (JPEG)"
	bad 319 '\0000\0000\0300\0177' "frame 0: the pose is missing"
	bad 319 '\0000\0000\0000\0101' "frame 0: the matrix is not a rotation"
	bad 399 '\0000\0000\0000\0000\0001\0000\0000\0000' "frame 0: truncated: 4294967296 bytes expected"
	truncate -s -300 "$d/scene0707_00.sens"
	fails 1 "scene0707_00.sens: frame 6: truncated" -- e3-decode --dataset scannet --root "$T/scannet" -o "$T/o.e3"
	printf '\5' | dd of="$d/scene0707_00.sens" bs=1 conv=notrunc status=none
	fails 1 ".sens version 5: expected 4" -- e3-decode --dataset scannet --root "$T/scannet" -o "$T/o.e3"
	rm "$d/scene0707_00.sens"
	fails 1 "neither this nor color_90 exists" -- e3-decode --dataset scannet --root "$T/scannet" -o "$T/o.e3"
}

@test "a stop in the middle leaves a complete tree" {
	e3-scene --as tum --frames 100000 --size 64x48 "$T/stop" &
	pid=$!
	wait_until 10 test -e "$T/stop/rgbd_dataset_freiburg3_sitting_static/rgb_90"
	wait_until 10 eval '[ "$(ls "$T/stop/rgbd_dataset_freiburg3_sitting_static/rgb_90" | wc -l)" -ge 5 ]'
	kill -INT $pid
	rc=0
	wait $pid || rc=$?
	[ $rc -eq 130 ]
	n=$(ls "$T"/stop/*/rgb_90 | wc -l)
	[ "$n" -gt 1 ]
	[ "$(wc -l <"$T"/stop/*/groundtruth_90.txt)" -eq "$n" ]
}

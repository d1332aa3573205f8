#!/usr/bin/env bats
# Data sets as they lie on people's disks: as handed out, in other capitals, among other files, behind links, with blanks in their paths,
# a folder too high or too low; sequences sent twice; lists of trees that lack something.
load common

scene() { # NAME DIR [options]
	e3-scene --as "$1" --seed 3 --frames 3 --size 64x48 --noise 0 "${@:3}" "$2"
}

# The messages of two streams must be the same but for times and memory.
same_frames() {
	/usr/bin/python3 - "$ROOT/tests" "$@" <<-'PY'
	import sys
	sys.path.insert(0, sys.argv[1])
	import e3read, numpy as np
	for kind in ("frame", "truth"):
	    a, b = (e3read.messages(p, kind) for p in sys.argv[2:4])
	    assert len(a) == len(b) > 0, (kind, len(a), len(b))
	    for x, y in zip(a, b):
	        assert x.keys() == y.keys(), (x.keys(), y.keys())
	        for k in x:
	            assert np.array_equal(np.asarray(x[k]), np.asarray(y[k])), (kind, k, x[k], y[k])
	PY
}

@test "kitti's own archives: val/ and the raw recording, the first 110 maps, pictures of the same numbers" {
	name=2011_09_26_drive_0002_sync
	e3-scene --as kitti --seed 3 --frames 120 --size 28x20 "$T/gathered"
	g=$T/gathered/depth_selection/val_selection_cropped d=$T/kitti/val/$name/proj_depth/groundtruth/image_02
	i=$T/kitti/2011_09_26/$name/image_02/data
	mkdir -p "$d" "$i"
	cp "$g/groundtruth_depth_gathered/${name}_02"/*.png "$d"
	cp "$g/image_gathered/${name}_02"/*.png "$i"
	e3-decode --dataset kitti --root "$T/kitti" --fit 28 -o "$T/raw.e3"
	e3-decode --dataset kitti --root "$T/gathered" --fit 28 --max-frames 110 -o "$T/gathered.e3"
	same_frames "$T/raw.e3" "$T/gathered.e3"
	e3-decode --dataset kitti --root "$T" --list --sequence "${name}_02" | grep -qP "^${name}_02\t110\t120\t120\t0\tyes\t-$"
	cp -r "$T/gathered/depth_selection" "$T/kitti" # the whole recording is not there, but in the original files
	rm "$T/kitti/depth_selection/val_selection_cropped/groundtruth_depth_gathered/${name}_02"/*[1-9].png
	e3-decode --dataset kitti --root "$T/kitti" --fit 28 --whole -o "$T/whole.e3"
	e3-decode --dataset kitti --root "$T/gathered" --fit 28 -o "$T/gathered120.e3"
	same_frames "$T/whole.e3" "$T/gathered120.e3"
	rm -r "$T/kitti/depth_selection"
	rm "$d/0000000000.png" "$d/0000000001.png" # a recording begins before its annotation
	e3-decode --dataset kitti --root "$T/kitti" --fit 28 -o "$T/raw.e3"
	[ "$(e3-dump "$T/raw.e3" | sed -n 's/^frame.* src_i=\([0-9]*\) .*/\1/p' | sed -n '1p;$p' | tr '\n' ' ')" = "2 111 " ]
	rm "$i/0000000007.png"
	fails 1 "$i/0000000007.png: missing: there are 118 depth maps and 119 of these" -- e3-decode --dataset kitti --root "$T/kitti" -o "$T/o.e3"
	rm -r "$T/kitti/2011_09_26"
	fails 1 "pictures: reading: $i: No such file or directory" -- e3-decode --dataset kitti --root "$T/kitti" -o "$T/o.e3"
	# a gathered drive goes before
	cp -r "$T/gathered/depth_selection" "$T/kitti"
	e3-decode --dataset kitti --root "$T/kitti" --fit 28 --max-frames 110 -o "$T/both.e3"
	same_frames "$T/both.e3" "$T/gathered.e3"
}

@test "a gathered folder with unequal numbers of files is refused, naming the file without a partner" {
	scene kitti "$T/k"
	g=$T/k/depth_selection/val_selection_cropped name=2011_09_26_drive_0002_sync_02
	cp "$g/image_gathered/$name/0000000002.png" "$g/image_gathered/$name/0000000009.png"
	fails 1 "$g/image_gathered/$name/0000000009.png: nothing of that name among the 3 depth maps: there are 4 of these" -- \
		e3-decode --dataset kitti --root "$T/k" -o "$T/o.e3"
	scene sintel "$T/s"
	rm "$T/s/training/final/alley_2/frame_0002.png"
	fails 1 "training/depth/alley_2/frame_0002.dpt: nothing of that name among the 2 pictures: there are 3 of these" -- \
		e3-decode --dataset sintel --root "$T/s" -o "$T/o.e3"
	rm -r "$T/s/training/depth"
	fails 1 "training/camdata_left/alley_2/frame_0002.cam: nothing of that name among the 2 pictures" -- \
		e3-decode --dataset sintel --root "$T/s" --task pose -o "$T/o.e3"
	scene nyu "$T/n"
	mv "$T/n/val/nyu_depths/scene_0001.npy" "$T/n/val/nyu_depths/scene_0007.npy" # as many, but others
	fails 1 "val/nyu_depths/scene_0001.npy: missing: there are 3 pictures and 3 of these" -- e3-decode --dataset nyu --root "$T/n" -o "$T/o.e3"
	for f in "$T"/n/val/nyu_depths/*; do mv "$f" "${f/scene/map}"; done # no name in common: by order, as the reference
	[ "$(e3-decode --dataset nyu --root "$T/n" --fit 56 | e3-dump - | grep -c ^truth)" -eq 3 ]
}

@test "other case of names, hidden and foreign files, links, blanks in paths" {
	dir="$T/my data (copy)"
	mkdir "$dir"
	scene sintel "$dir/MPI"
	e3-decode --dataset sintel --root "$dir/MPI" --fit 56 -o "$T/want.e3"
	mv "$dir/MPI" "$dir/Sintel"
	final=$dir/Sintel/training/final/alley_2
	for f in "$final"/*.png; do mv "$f" "${f%.png}.PNG"; done
	for f in "$dir"/Sintel/training/depth/alley_2/*; do mv "$f" "${f%.dpt}.DPT"; done
	touch "$final/.DS_Store" "$final/._frame_0001.png" "$final/Thumbs.db" "$final/frame_list.txt" "$dir/.DS_Store" "$dir/Sintel/README.txt"
	mkdir "$dir/Sintel/__MACOSX"
	mv "$final/frame_0002.PNG" "$T/elsewhere.png"
	ln -s "$T/elsewhere.png" "$final/frame_0002.PNG"
	ln -s "$dir" "$T/link"
	for root in "$dir" "$dir/Sintel/" "$T/link"; do
		e3-decode --dataset sintel --root "$root" --fit 56 -o "$T/got.e3"
		same_frames "$T/want.e3" "$T/got.e3"
	done
	rm "$T/elsewhere.png"
	fails 1 "reading: $final/frame_0002.PNG: No such file or directory" -- e3-decode --dataset sintel --root "$dir" -o "$T/o.e3"
	scene tum "$dir/TUM"
	home=$dir/TUM/rgbd_dataset_freiburg3_sitting_static
	/usr/bin/python3 -c '
import glob, sys
from PIL import Image
for p in glob.glob(sys.argv[1] + "/*.png"):
    Image.open(p).save(p[:-3] + "JPG", "JPEG", quality=95)' "$home/rgb_90"
	rm "$home"/rgb_90/*.png
	[ "$(e3-decode --dataset tum --root "$dir" --fit 56 | e3-dump - | grep -c ^frame)" -eq 3 ]
}

@test "for a root too high or too low the message says which folder to give" {
	for set in sintel:MPI-complete bonn:rgbd 7scenes:7s nrgbd:rooms kitti:k nyu:n tum:t scannet:sc co3d:c; do
		name=${set%:*} dir=$T/all/${set#*:}
		scene "$name" "$dir"
		fails 1 "the data set is elsewhere: give $T/all/" -- e3-decode --dataset "$name" --root "$T/all" --list
	done
	fails 1 "; the data set is elsewhere: give $T/all/MPI-complete/" -- e3-decode --dataset sintel --root "$T/all"
	fails 1 "; the data set is elsewhere: give $T/all/MPI-complete/" -- e3-decode --dataset sintel --root "$T/all/MPI-complete/training"
	fails 1 "; the data set is elsewhere: give $T/all/MPI-complete/" -- e3-decode --dataset sintel --root "$T/all/MPI-complete/training/final/"
	fails 1 "; the data set is elsewhere: give $T/all/7s/" -- e3-decode --dataset 7scenes --root "$T/all/7s/chess"
	fails 1 "; the data set is elsewhere: give $T/all/rgbd/rgbd_bonn_dataset/" -- e3-decode --dataset bonn --root "$T/all/rgbd/rgbd_bonn_dataset/rgbd_bonn_balloon2"
	mv "$T/all/rgbd" "$T/all/BONN"
	e3-decode --dataset bonn --root "$T/all" --list >"$T/list" # BONN is bonn
	[ "$(grep -cP '\t-$' "$T/list")" -eq 1 ]
	mkdir "$T/all/empty"
	fails 1 "found nothing; the data set is elsewhere: give $T/all/BONN/rgbd_bonn_dataset/" -- e3-decode --dataset bonn --root "$T/all/empty" --list
	mkdir -p "$T/lone/a/b/c/d"
	fails 1 "found nothing" -- e3-decode --dataset bonn --root "$T/lone/a/b/c/d" --list
	[ "$(grep -c "is elsewhere" "$T/stderr")" -eq 0 ]
}

@test "nyu's own files are refused, saying what to do" {
	mkdir "$T/nyu"
	touch "$T/nyu/nyu_depth_v2_labeled.mat" "$T/00001.h5"
	text="expected val/nyu_images and val/nyu_depths, found a MATLAB or HDF5 file: pipelines/eval/nyu.py makes them of it"
	fails 1 "opening: nyu: $T/nyu/nyu_depth_v2_labeled.mat: $text" -- e3-decode --dataset nyu --root "$T/nyu"
	fails 1 "opening: nyu: $T/nyu/nyu_depth_v2_labeled.mat: $text" -- e3-decode --dataset nyu --root "$T/nyu/nyu_depth_v2_labeled.mat"
	rm -r "$T/nyu"
	fails 1 "opening: nyu: $T/00001.h5: $text" -- e3-decode --dataset nyu --root "$T"
}

# The same rooms as they are handed out: official/*.h5, and labeled.mat, whose first picture is not a test picture.
packed_nyu() {
	scene nyu "$T/want"
	mkdir "$T/official"
	/usr/bin/python3 - "$T" <<-'PY'
	import glob, sys, h5py, numpy as np
	from PIL import Image
	t = sys.argv[1]
	rgb = [np.asarray(Image.open(p)) for p in sorted(glob.glob(t + "/want/val/nyu_images/*"))]
	depth = [np.load(p) for p in sorted(glob.glob(t + "/want/val/nyu_depths/*"))]
	for k in range(3):
	    with h5py.File(f"{t}/official/{k:05d}.h5", "w") as f:
	        f["rgb"], f["depth"] = np.moveaxis(rgb[k], -1, 0), depth[k]
	blank = [np.zeros_like(rgb[0])], [np.zeros_like(depth[0])]  # the first is of the training split
	with h5py.File(t + "/labeled.mat", "w") as f:
	    f["images"] = np.stack([a.transpose(2, 1, 0) for a in blank[0] + rgb])
	    f["depths"] = np.stack([a.T for a in blank[1] + depth])
	PY
}

convert() { /usr/bin/python3 "$ROOT/pipelines/eval/nyu.py" "$@"; }

@test "nyu.py converts .h5 files; when stopped; damaged files" {
	/usr/bin/python3 -c 'import h5py' 2>/dev/null || skip "needs python3-h5py"
	packed_nyu
	convert "$T/official" "$T/nyu_v2"
	e3-decode --dataset nyu --root "$T/want" --fit 56 -o "$T/want.e3"
	e3-decode --dataset nyu --root "$T" --fit 56 -o "$T/got.e3"
	same_frames "$T/want.e3" "$T/got.e3"
	rm "$T/nyu_v2/val/nyu_depths/00001.npy"
	touch -d 2020-01-01 "$T/nyu_v2/val/nyu_images/00000.png"
	convert "$T/official" "$T/nyu_v2" # what is there is kept
	[ "$(date -r "$T/nyu_v2/val/nyu_images/00000.png" +%Y)" = 2020 ]
	e3-decode --dataset nyu --root "$T" --fit 56 -o "$T/got.e3"
	same_frames "$T/want.e3" "$T/got.e3"
	truncate -s 300 "$T/official/00002.h5"
	fails 1 "nyu.py: $T/official/00002.h5: " -- /usr/bin/python3 "$ROOT/pipelines/eval/nyu.py" "$T/official" "$T/other"
	/usr/bin/python3 -c 'import h5py, sys; h5py.File(sys.argv[1], "w")["rgb"] = 0' "$T/official/00002.h5"
	[ ! -e "$T/other/val/nyu_images/00002.png" ]
	fails 1 "00002.h5: no depth in it: found rgb" -- /usr/bin/python3 "$ROOT/pipelines/eval/nyu.py" "$T/official" "$T/other"
	fails 1 "no .h5 files: expected those of val/official" -- /usr/bin/python3 "$ROOT/pipelines/eval/nyu.py" "$T/want" "$T/other"
	fails 1 "give --split splits.mat" -- /usr/bin/python3 "$ROOT/pipelines/eval/nyu.py" "$T/labeled.mat" "$T/other"
}

@test "nyu.py converts the test pictures of the .mat file with its split" {
	/usr/bin/python3 -c 'import h5py, scipy.io' 2>/dev/null || skip "needs python3-h5py and python3-scipy"
	packed_nyu
	e3-decode --dataset nyu --root "$T/want" --fit 56 -o "$T/want.e3"
	/usr/bin/python3 -c 'import scipy.io, sys; scipy.io.savemat(sys.argv[1], {"testNdxs": [[2], [3], [4]]})' "$T/splits.mat"
	convert --split "$T/splits.mat" "$T/labeled.mat" "$T/mat"
	e3-decode --dataset nyu --root "$T/mat" --fit 56 -o "$T/got.e3"
	same_frames "$T/want.e3" "$T/got.e3"
	/usr/bin/python3 -c 'import scipy.io, sys; scipy.io.savemat(sys.argv[1], {"testNdxs": [[5]]})' "$T/splits.mat"
	fails 1 "picture 5: $T/labeled.mat has 1 to 4" -- /usr/bin/python3 "$ROOT/pipelines/eval/nyu.py" --split "$T/splits.mat" "$T/labeled.mat" "$T/mat"
}

@test "co3d.py makes the evaluation's annotations from the original ones" {
	for s in 1 2; do e3-scene --as co3d --sequence apple/s$s --seed $s --frames 6 --size 28x20 "$T/co3d"; done
	e3-decode --dataset co3d --root "$T/co3d" --draw 3 --min-frames 4 -o "$T/want-%s.e3"
	/usr/bin/python3 - "$T/co3d" <<-'PY'
	import gzip, json, os, sys
	root = sys.argv[1]
	ours = json.load(gzip.open(root + "/apple_test.jgz"))
	frames, test, train = [], [], []
	for name in ("s2", "s1"):  # the set list's order is kept; e3-decode sorts sequences
	    for k, f in enumerate(ours[name]):
	        frames.append({"sequence_name": name, "frame_number": k + 7, "image": {"path": f["filepath"]}, "viewpoint": {x: f[x] for x in f if x != "filepath"}})
	        test.append([name, k + 7, f["filepath"]])
	frames.append(dict(frames[0], sequence_name="blurred"))
	test.append(["blurred", 7, "apple/blurred/images/frame000001.jpg"])
	sequences = [{"sequence_name": n, "viewpoint_quality_score": q} for n, q in (("s1", 0.9), ("s2", 0.51), ("blurred", 0.5), ("none", None))]
	os.makedirs(root + "/apple/set_lists")
	for path, what in (("frame_annotations.jgz", frames), ("sequence_annotations.jgz", sequences)):
	    gzip.open(f"{root}/apple/{path}", "wt").write(json.dumps(what))
	json.dump({"train": train, "test": test}, open(root + "/apple/set_lists/set_lists_fewview_dev.json", "w"))
	os.remove(root + "/apple_test.jgz")
	PY
	fails 1 "expected CATEGORY_test.jgz" -- e3-decode --dataset co3d --root "$T/co3d" --list
	/usr/bin/python3 "$ROOT/pipelines/eval/co3d.py" "$T/co3d" "$T/annotations"
	e3-decode --dataset co3d --root "$T/co3d" --annotations "$T/annotations" --draw 3 --min-frames 4 -o "$T/got-%s.e3"
	[ "$(find "$T" -name 'got-*' | wc -l)" -eq 2 ]
	for s in apple_s1 apple_s2; do same_frames "$T/want-$s.e3" "$T/got-$s.e3"; done
	rm "$T/annotations/apple_test.jgz"
	sed -i 's/"s1", 9/"s1", 99/' "$T/co3d/apple/set_lists/set_lists_fewview_dev.json"
	fails 1 "frame_annotations.jgz: lacks frame 99 of s1" -- /usr/bin/python3 "$ROOT/pipelines/eval/co3d.py" "$T/co3d" "$T/annotations"
	truncate -s 60 "$T/co3d/apple/frame_annotations.jgz"
	fails 1 "co3d.py: $T/co3d/apple/frame_annotations.jgz: " -- /usr/bin/python3 "$ROOT/pipelines/eval/co3d.py" "$T/co3d" "$T/annotations"
	fails 1 "expected CATEGORY/frame_annotations.jgz" -- /usr/bin/python3 "$ROOT/pipelines/eval/co3d.py" "$T" "$T/annotations"
	[ -z "$(ls "$T/annotations")" ]
}

@test "--list of incomplete trees: every data set names file, expected and found, and goes on" {
	for name in sintel kitti bonn nyu 7scenes nrgbd tum scannet co3d; do
		scene "$name" "$T/$name"
		if [ $name = sintel ]; then scene sintel "$T/sintel" --sequence cave_2; fi
	done
	listed() { # NAME SEQUENCE TEXT [options]: its row says so
		e3-decode --dataset "$1" --root "$T/$1" --list "${@:4}" >"$T/list"
		awk -F'\t' -v s="$2" '$1 == s { print $7 }' "$T/list" >"$T/why"
		grep -qF -- "$3" "$T/why" || { cat "$T/list"; return 1; }
	}
	rm -r "$T/sintel/training/depth/alley_2"
	listed sintel alley_2 "depth maps: reading: $T/sintel/training/depth/alley_2: No such file or directory"
	listed sintel cave_2 "-"
	listed sintel alley_2 "-" --task pose
	rm "$T"/kitti/depth_selection/val_selection_cropped/image_gathered/*/*
	listed kitti 2011_09_26_drive_0002_sync_02 "no pictures: expected *.png|.jpg|.jpeg here"
	find "$T/bonn" -path '*/depth_110/*' -print -quit | tr '\n' '\0' | xargs -0 rm
	listed bonn balloon2 "rgb_110: 3 pictures, but 2 depth maps in"
	rm "$T/nyu/val/nyu_depths/scene_0001.npy"
	listed nyu val "nyu_images: 3 pictures, but 2 depth maps in $T/nyu/val/nyu_depths"
	rm "$T/7scenes/chess/seq-03/frame-000001.pose.txt"
	listed 7scenes chess/seq-03 "frame-000001.pose.txt: No such file" --stride 1
	listed 7scenes chess/seq-03 "-"
	listed 7scenes fire/seq-03 "not found"
	rm "$T/nrgbd/breakfast_room/poses.txt"
	fails 1 "expected SCENE/poses.txt" -- e3-decode --dataset nrgbd --root "$T/nrgbd" --list
	scene nrgbd "$T/nrgbd" --sequence kitchen
	listed nrgbd breakfast_room "poses.txt: No such file or directory"
	rm "$T"/tum/*/groundtruth_90.txt
	listed tum rgbd_dataset_freiburg3_sitting_static "groundtruth_90.txt: No such file or directory"
	rm -r "$T/scannet/scene0707_00/color_90"
	listed scannet scene0707_00 "scene0707_00.sens: neither this nor color_90 exists"
	[ "$(grep -c '^scene0[78].*not found$' "$T/list")" -eq 99 ]
	rm "$T"/co3d/apple/110_13051_23361/images/*2.jpg
	listed co3d apple/110_13051_23361 "named in the annotations: No such file" --min-frames 3 --draw 3
	[ "$(grep -cP '\t0\t0\t0\t0\tyes\tnot found$' "$T/list")" -eq 40 ]
	for name in sintel kitti bonn nyu 7scenes nrgbd tum scannet co3d; do
		e3-decode --dataset $name --root "$T/$name" --list --json | /usr/bin/python3 -c 'import json, sys; assert json.load(sys.stdin)'
	done
}

@test "--repeat: frame numbers continue, only the last pass has truth and is scored" {
	scene tum "$T/tum" --frames 4
	e3-decode --dataset tum --root "$T/tum" --fit 140 --repeat 3 -o "$T/r.e3"
	e3-decode --dataset tum --root "$T/tum" --fit 140 -o "$T/once.e3"
	/usr/bin/python3 - "$ROOT/tests" "$T/r.e3" "$T/once.e3" <<-'PY'
	import sys
	sys.path.insert(0, sys.argv[1])
	import e3read, numpy as np
	f, once = (e3read.messages(p, "frame") for p in sys.argv[2:])
	t, truth = (e3read.messages(p, "truth") for p in sys.argv[2:])
	assert [x["i"] for x in f] == list(range(12)) and [x["src_i"] for x in f] == 3 * [0, 1, 2, 3]
	assert all(np.array_equal(f[k]["rgb"], once[k % 4]["rgb"]) for k in range(12))
	assert [x["i"] for x in t] == [8, 9, 10, 11]
	assert all(np.array_equal(a["pose"], b["pose"]) for a, b in zip(t, truth))
	assert e3read.messages(sys.argv[2], "head")[0]["frames"] == 12
	PY
	e3-infer -q --no-evict --model "$DEMO/model.safetensors" "$T/r.e3" -o "$T/p.e3"
	e3-eval pose --json "$T/p.e3" >"$T/all.json"
	e3-eval pose --json --truth "$T/tum/rgbd_dataset_freiburg3_sitting_static/groundtruth_90.txt" <(e3-cat --skip 8 "$T/p.e3") >"$T/last.json"
	/usr/bin/python3 - "$T/all.json" "$T/last.json" <<-'PY'
	import json, sys
	a, b = (json.load(open(p))["average"]["pose"]["Sim(3)"] for p in sys.argv[1:])
	assert a["ate"] > 1e-3 and abs(a["ate"] - b["ate"]) < 1e-6 * a["ate"] + 1e-7, (a, b)
	PY
	fails 2 "--repeat does not go with --list" -- e3-decode --dataset tum --root "$T/tum" --list --repeat 2
	fails 2 "--repeat: needs --dataset" -- e3-decode --repeat 2 clip.mp4
}

#!/usr/bin/env bats
# Damaged data-set files, format by format: truncated, wrong tag, wrong size, not a number, 8 bits where 16 are due, a pose that is missing.
# Each is refused with the file's name, what was expected and what was found; exit 1, nothing written, and the stage downstream learns of it.
load common

# The arrays and pictures that files are replaced by, as picture and array name them: made once, NumPy takes longer to start than e3-decode.
setup_file() {
	/usr/bin/python3 - "$BATS_FILE_TMPDIR" <<-'PY'
		import sys
		import numpy as np
		from PIL import Image
		for mode, shape, value in (("uint8", (20, 32, 3), 7), ("uint8", (48, 64, 3), 7), ("uint8", (48, 64), 200), ("uint16", (30, 20), 2000),
		                           ("uint16", (48, 64), 200)):
		    Image.fromarray(np.full(shape, value, mode)).save("%s/%s-%s-%d" % (sys.argv[1], mode, "x".join(map(str, shape)), value), "PNG")
		for name, a in (("i4", np.ones((48, 64), "i4")), ("u1", np.ones((48, 64), "u1")), ("f2", np.ones((48, 64), "f2")),
		                ("3d", np.ones((48, 64, 1), "f4")), ("fortran", np.ones((64, 48), "f4").T), ("47", np.ones((47, 64), "f4"))):
		    np.save("%s/%s.npy" % (sys.argv[1], name), a)
	PY
}

scene() { # NAME [options]: a small tree of it in $T/NAME
	e3-scene --as "$1" --seed 3 --frames 4 --size 64x48 --noise 0 "${@:2}" "$T/$1"
}

# damage NAME FILE TEXT COMMAND: the file (its path as find has it, the second of them if there are more) damaged by the command ($f), the
# stream refused with these words and the file's name, nothing written; then the file is whole again.
damage() {
	local name=$1 text=$3 f options=(--fit 56 --stride 1)
	[ "$name" != co3d ] || options=(--draw 4 --min-frames 4)
	local -a found
	mapfile -t found < <(find "$T/$name" -path "$2" | sort)
	f=${found[1]:-${found[0]:-}}
	[ -n "$f" ] || { echo "no $2"; return 1; }
	cp "$f" "$T/keep"
	(export f && eval "$4") || { echo "the damage failed: $4"; return 1; }
	fails 1 "$text" -- e3-decode --dataset "$name" --root "$T/$name" "${options[@]}" -o "$T/out.e3" || { echo "after: $4"; return 1; }
	grep -qF "$f" "$T/stderr" || { echo "does not name $f:"; cat "$T/stderr"; return 1; }
	[ ! -e "$T/out.e3" ]
	cp "$T/keep" "$f"
}

poke() { # OFFSET BYTES: of $f, as a shell command
	echo "printf '$2' | dd of=\"\$f\" bs=1 seek=$1 conv=notrunc status=none"
}

# picture MODE SHAPE VALUE, array NAME: shell text that makes $f such a PNG, such a .npy (setup_file).
picture() { echo "cp '$BATS_FILE_TMPDIR/$1-$2-$3' \"\$f\""; }
array() { echo "cp '$BATS_FILE_TMPDIR/$1.npy' \"\$f\""; }

nan4='\000\000\300\177' nan8='\000\000\000\000\000\000\370\177'

@test "damage: .dpt" {
	scene sintel
	damage sintel '*.dpt' "truncated: 12299 bytes: 64 × 48 pixels take 12300" 'truncate -s -1 "$f"'
	damage sintel '*.dpt' "truncated: 11 bytes: the header alone has 12" 'truncate -s 11 "$f"'
	damage sintel '*.dpt' "reading: $T/sintel/training/depth/alley_2/frame_0002.dpt: truncated: 0 bytes" ': >"$f"'
	damage sintel '*.dpt' "too long: 12301 bytes: 64 × 48 pixels take 12300" 'printf x >>"$f"'
	damage sintel '*.dpt' "begins with 58 49 45 48: expected the tag 50 49 45 48" "$(poke 0 X)"
	damage sintel '*.dpt' "truncated: 12300 bytes: 65 × 48 pixels take 12492" "$(poke 4 '\101')"
	damage sintel '*.dpt' "a depth map of 48 × 64: its picture $T/sintel/training/final/alley_2/frame_0002.png is 64 × 48" "$(poke 4 '\060\000\000\000\100')"
	damage sintel '*.dpt' "-1 × 48 pixels: expected positive sizes" "$(poke 4 '\377\377\377\377')"
	damage sintel '*.dpt' "pixel 0, 0: not a number" "$(poke 12 "$nan4")"
	damage sintel '*.dpt' "missing: there are 4 pictures and 3 of these" 'rm "$f"'
}

@test "damage: .cam" {
	scene sintel
	damage sintel '*.cam' "truncated: 171 bytes: a camera has 172" 'truncate -s -1 "$f"'
	damage sintel '*.cam' "too long: 173 bytes: a camera has 172" 'printf x >>"$f"'
	damage sintel '*.cam' "begins with 50 49 45 58: expected the tag" "$(poke 3 X)"
	damage sintel '*.cam' "number 10 is not finite: the pose is missing" "$(poke 76 "$nan8")"
	damage sintel '*.cam' "number 1 is not finite: the intrinsics are missing" "$(poke 4 "$nan8")"
	damage sintel '*.cam' "focal lengths 0 and" "$(poke 4 '\0\0\0\0\0\0\0\0')"
	damage sintel '*.cam' "the matrix is not a rotation" "$(poke 76 '\0\0\0\0\0\0\0\100')"
	damage sintel '*.cam' "missing: there are 4 pictures and 3 of these" 'rm "$f"'
}

@test "damage: pictures" {
	scene sintel
	damage sintel '*/final/*.png' "truncated" 'truncate -s 300 "$f"'
	damage sintel '*/final/*.png' "empty" ': >"$f"'
	damage sintel '*/final/*.png' "frame_0002.png: " "$(poke 1 zzz)"
	damage sintel '*/final/*.png' "is 32 × 20" "$(picture uint8 20x32x3 7)"
	scene scannet
	damage scannet '*.jpg' "frame_0001.jpg: " 'truncate -s 300 "$f"'
	damage scannet '*.jpg' "frame_0001.jpg: " "$(poke 0 XX)"
	scene co3d
	damage co3d '*.jpg' "images/frame000002.jpg: " 'truncate -s 300 "$f"'
	damage co3d '*.jpg' "named in the annotations: No such file" 'rm "$f"'
}

@test "damage: 16-bit PNG" {
	local name file deep
	while read -r name file deep; do
		scene "$name"
		damage "$name" "$file" "expected 16 bits of grey" "$(picture uint8 48x64x3 7)"
		damage "$name" "$file" "8 bits of grey: expected 16 bits of grey" "$(picture uint8 48x64 200)"
		damage "$name" "$file" "truncated" 'truncate -s 200 "$f"'
		damage "$name" "$file" "not a PNG picture" "$(poke 0 X)"
		damage "$name" "$file" "a depth map of 20 × 30: its picture" "$(picture uint16 30x20 2000)"
		[ "$deep" = no ] || damage "$name" "$file" "its highest value is 200: expected 16 bits in use" "$(picture uint16 48x64 200)"
	done <<-'END'
		kitti *groundtruth*.png yes
		bonn */depth_110/*.png yes
		7scenes *.depth.proj.png no
		nrgbd */depth/*.png no
	END
	# 7-Scenes' raw map, read where the registered one is not there
	find "$T/7scenes" -name '*.depth.proj.png' | while read -r f; do mv "$f" "${f/.proj/}"; done
	damage 7scenes '*.depth.png' "8 bits of grey: expected 16 bits of grey" "$(picture uint8 48x64 200)"
	damage 7scenes '*.depth.png' "truncated" 'truncate -s 200 "$f"'
	damage 7scenes '*.depth.png' "expected the depth map, raw, or registered as .depth.proj.png: No such file" 'rm "$f"'
}

@test "damage: .npy" {
	scene nyu
	damage nyu '*.npy' "truncated: 48 × 64 numbers take 12288 bytes, 12287 are there" 'truncate -s -1 "$f"'
	damage nyu '*.npy' "too long: 48 × 64 numbers take 12288 bytes, 12289 are there" 'printf x >>"$f"'
	damage nyu '*.npy' "truncated: its header claims 118 bytes, 40 are there" 'truncate -s 50 "$f"'
	damage nyu '*.npy' "not a .npy file" "$(poke 1 X)"
	damage nyu '*.npy' "row 0, column 1: not a finite number" "$(poke 132 "$nan4")"
	for type in 'i4' 'u1' 'f2'; do
		damage nyu '*.npy' "expected '<f4' or '<f8'" "$(array $type)"
	done
	damage nyu '*.npy' "shape (48, 64, 1): expected a matrix" "$(array 3d)"
	damage nyu '*.npy' "in Fortran order: expected C order" "$(array fortran)"
	damage nyu '*.npy' "a depth map of 64 × 47: its picture" "$(array 47)"
}

@test "damage: poses of 7-Scenes and NRGBD" {
	scene 7scenes
	damage 7scenes '*.pose.txt' "the text ends after 12 of the 16 numbers" 'sed -i 4d "$f"'
	damage 7scenes '*.pose.txt' "2 poses: expected one" 'cat "$f" "$f" >"$f.2"; mv "$f.2" "$f"'
	damage 7scenes '*.pose.txt' "line 1: number 1 is not finite: the pose is missing" 'sed -i "1s/^[^ ]*/nan/" "$f"'
	damage 7scenes '*.pose.txt' "line 2: " 'sed -i "2s/^[^ ]*/here/" "$f"'
	damage 7scenes '*.pose.txt' "is not a rotation" 'sed -i "1s/^[^ ]*/7/" "$f"'
	damage 7scenes '*.pose.txt' "frame-000001.pose.txt: holds no pose" ': >"$f"'
	damage 7scenes '*.pose.txt' "frame-000001.pose.txt: No such file" 'rm "$f"'
	scene nrgbd
	damage nrgbd '*/poses.txt' "3 poses: expected one for each of the 4 pictures" 'sed -i "13,\$d" "$f"'
	damage nrgbd '*/poses.txt' "line 15: the text ends inside a matrix of 4 lines" 'sed -i "15,\$d" "$f"'
	damage nrgbd '*/poses.txt' "line 5: number 1 is not finite" 'sed -i "5s/^[^ ]*/inf/" "$f"'
	damage nrgbd '*/poses.txt' "line 1: " 'sed -i "1s/ .*//" "$f"'
	damage nrgbd '*/poses.txt' "poses.txt: " ': >"$f"'
}

@test "damage: poses of TUM and ScanNet" {
	scene tum
	damage tum '*groundtruth_90.txt' "3 poses, but 4 pictures" 'sed -i 2d "$f"'
	damage tum '*groundtruth_90.txt' "line 2: " 'sed -i "2s/ [^ ]*\$//" "$f"'
	damage tum '*groundtruth_90.txt' "line 2: number 2 is not finite: the pose is missing" 'sed -i "2s/ [^ ]* / nan /" "$f"'
	damage tum '*groundtruth_90.txt' "line 3: " 'sed -i "3s/\$/ 1/" "$f"'
	damage tum '*groundtruth_90.txt' "line 2: " 'sed -i "2s/\([^ ]* [^ ]* [^ ]* [^ ]*\).*/\1 0 0 0 0/" "$f"'
	damage tum '*groundtruth_90.txt' "groundtruth_90.txt: No such file" 'rm "$f"'
	scene scannet
	damage scannet '*pose_90.txt' "line 1: number 1 is not finite: the pose is missing" 'sed -i "1s/^[^ ]* /-inf /" "$f"'
	damage scannet '*pose_90.txt' "3 poses, but 4 pictures" 'sed -i 2d "$f"'
	damage scannet '*pose_90.txt' "line 1: the last row of the matrix is not 0 0 0 1" 'sed -i "1s/ [^ ]*\$/ 5/" "$f"'
	damage scannet '*pose_90.txt' "the text ends after" 'sed -i "\$s/ [^ ]*\$//" "$f"'
	damage scannet '*pose_90.txt' "pose_90.txt: No such file" 'rm "$f"'
}

@test "the next stage is told of damage, and the network received the intact frames" {
	scene tum
	rc=0
	truncate -s 300 "$T"/tum/*/rgb_90/1548266469.166667.png
	e3-decode --dataset tum --root "$T/tum" --fit 56 2>"$T/first" | e3-dump - >"$T/dump" 2>"$T/second" || rc=$?
	[ "$rc" -eq 1 ]
	[ "$(grep -c ^frame "$T/dump")" -eq 2 ]
	grep -q "1548266469.166667.png: truncated" "$T/first"
	grep -q "e3-decode failed (exit 1): .*1548266469.166667.png: truncated" "$T/second" || { cat "$T/second"; return 1; }
}

@test "damage: CO3D's annotations" {
	scene co3d
	jgz=$T/co3d/apple_test.jgz
	cp "$jgz" "$T/keep.gz"
	bad() { # TEXT COMMAND on the JSON in $j
		zcat "$T/keep.gz" >"$T/j"
		j=$T/j bash -c "$2"
		gzip -c "$T/j" >"$jgz"
		fails 1 "$1" -- e3-decode --dataset co3d --root "$T/co3d" --draw 2 --min-frames 4 -o "$T/o.e3"
	}
	bad "110_13051_23361: frame 0: T is not 3 numbers: the pose is missing" 'sed -i "s/\"T\":\[[^,]*,/\"T\":[/" "$j"'
	bad "R is not 3 × 3 numbers" 'sed -i "s/\"R\"/\"Q\"/" "$j"'
	bad "the matrix is not a rotation" 'sed -i "s/\"R\":\[\[[^,]*,/\"R\":[[3,/" "$j"'
	bad "not JSON" 'sed -i "s/\"R\":\[\[[^,]*,/\"R\":[[NaN,/" "$j"'
	bad "filepath is missing" 'sed -i "s/\"filepath\"/\"file\"/g" "$j"'
	bad "leaves the data set" 'sed -i "s/\"apple\/110/\"..\/110/g" "$j"'
	bad "not a list of frames" 'echo "{\"a\": 3}" >"$j"'
	bad "not JSON" 'echo "{" >"$j"'
	bad "expected an object" 'echo "[]" >"$j"'
	echo nothing >"$jgz"
	fails 1 "not a gzip file" -- e3-decode --dataset co3d --root "$T/co3d" -o "$T/o.e3"
	head -c 100 "$T/keep.gz" >"$jgz"
	fails 1 "truncated: the gzip data end early" -- e3-decode --dataset co3d --root "$T/co3d" -o "$T/o.e3"
	# far away, or short: left out, as the reference does
	zcat "$T/keep.gz" | sed 's/"T":\[[^,]*,/"T":[100002,/' | gzip -c >"$jgz"
	fails 1 "no sequence is here" -- e3-decode --dataset co3d --root "$T/co3d" --draw 2 --min-frames 4 -o "$T/o.e3"
	cp "$T/keep.gz" "$jgz"
	fails 1 "no sequence is here" -- e3-decode --dataset co3d --root "$T/co3d" -o "$T/o.e3"
}

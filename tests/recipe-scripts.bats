#!/usr/bin/env bats
# The scripts of pipelines/recipes, with names that have blanks, from another folder, on the first frames of the demo's clip.
load common

setup_file() {
	export PATH="$B/bin:$PATH"
	ffmpeg -v error -i "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" -frames:v 8 -c:v libx264 -pix_fmt yuv420p "$BATS_FILE_TMPDIR/a clip.mp4"
}

prepare() {
	recipes=$ROOT/pipelines/recipes
	clip="$BATS_FILE_TMPDIR/a clip.mp4"
	export HOME=$T XDG_CACHE_HOME=$T/cache OMP_NUM_THREADS=1 # no checkpoint of the user
	background=()
	cd "$T" || return
}

teardown() {
	local pid
	for pid in "${background[@]}"; do
		kill -KILL -- "-$pid" 2>/dev/null || true
	done
}

points() { /usr/bin/python3 -B "$ROOT/tests/glb_facts.py" "$1" | grep -qE '^POINTS [1-9]' || { echo "$1 has no points"; return 1; }; }
preds() { e3-dump -q "$1" 2>/dev/null | grep -c '^pred'; }
# behind NAME COMMAND...: in the background, a process group of its own
behind() {
	local name=$1
	shift
	setsid timeout 300 "$@" >"$name.out" 2>"$name.err" 3>&- &
	background+=($!)
}

@test "each recipe says what it does, refuses what it cannot use, and is in e3-pipelines(7) and here" {
	local s name
	for s in "$recipes"/*.sh; do
		name=${s##*/}
		grep -qx 'set -eu -o pipefail' "$s"
		"$s" -h >help
		grep -q "^  $name " help || { echo "$name -h: no usage"; cat help; return 1; }
		grep -q '^To change: ' help
		fails 2 "usage: $name " -- "$s"
		fails 2 "usage: $name " -- "$s" only-one-word
		grep -q "^\.It Pa $name" "$ROOT/man/e3-pipelines.7" || { echo "e3-pipelines(7) lacks $name"; return 1; }
		[ "$(grep -cF "\"\$recipes\"/$name" "$BATS_TEST_DIRNAME/recipe-scripts.bats")" -gt 0 ] || { echo "no test runs $name"; return 1; }
	done
	fails 1 "no.mp4: no such file" -- "$recipes"/clip-to-splats.sh no.mp4 x
	fails 1 "no.mp4: no such file" -- "$recipes"/resume.sh no.mp4 x
	fails 2 "novel: e3-infer has no such policy" -- "$recipes"/compare.sh "$clip" x evict3r novel
	fails 1 "./gpu.key is missing" -- "$recipes"/three-hosts.sh gpu 5555 host:5556
	fails 2 "usage: " -- "$recipes"/three-hosts.sh results here x
	fails 2 "usage: " -- "$recipes"/many-clips.sh --gpus
	[ ! -e x ]
}

@test "clip-to-splats.sh: a COLMAP folder, splats, and cameras that COLMAP refined" {
	refine=()
	! command -v colmap >/dev/null || refine=(-r)
	"$recipes"/clip-to-splats.sh "${refine[@]}" -e 0.1 -b 4f "$clip" "my room" >said 2>err || { cat err; return 1; }
	n=$(find "my room/colmap/images" -type f | wc -l)
	[ "$n" -ge 6 ]
	[ "$(grep -vc '^#' "my room/colmap/sparse/0/images.txt")" -eq $((2 * n)) ]
	[ "$(/usr/bin/python3 -c 'import json; print(len(json.load(open("my room/colmap/transforms.json"))["frames"]))')" -eq "$n" ]
	points "my room/scene.glb"
	head -n 20 "my room/splat.ply" | grep -aE '^element vertex [1-9]' >/dev/null
	fails 1 "my room/pictures is there already" -- "$recipes"/clip-to-splats.sh "$clip" "my room"
	[ ${#refine[@]} -gt 0 ] || skip "all but -r: needs colmap"
	grep -qx 'train with: gsplat --data_dir my room/refined' said
	[ -e "my room/refined/images/$(ls "my room/colmap/images" | head -n 1)" ]
	colmap model_converter --input_path "my room/refined/sparse/0" --output_path . --output_type TXT >/dev/null 2>&1
	[ "$(grep -v '^#' images.txt | grep -c '\.png$')" -eq "$n" ]
	[ "$(grep -vc '^#' points3D.txt)" -ge 20 ]
}

@test "three-hosts.sh: camera, GPU and results on loopback, with keys; every frame arrives" {
	local a b r
	a=$(port) b=$(port)
	for r in camera gpu results; do E3_KEYS="keys of $r" "$recipes"/three-hosts.sh keys $r; done
	fails 1 "camera.key is there already" -- env E3_KEYS="keys of camera" "$recipes"/three-hosts.sh keys camera
	cp "keys of gpu/gpu.key.pub" "keys of camera"
	cp "keys of gpu/gpu.key.pub" "keys of results"
	cp "keys of camera/camera.key.pub" "keys of results/results.key.pub" "keys of gpu"
	export E3_WAIT=300
	E3_KEYS="keys of results" behind results "$recipes"/three-hosts.sh results "$b" "the results"
	E3_KEYS="keys of gpu" behind gpu "$recipes"/three-hosts.sh gpu "$a" 127.0.0.1:"$b" all
	E3_KEYS="keys of camera" timeout 300 "$recipes"/three-hosts.sh camera "$clip" 127.0.0.1:"$a" --all
	wait "${background[1]}" || { cat gpu.err; return 1; }
	wait "${background[0]}" || { cat results.err; return 1; }
	[ "$(preds "the results/run.e3")" -eq 8 ]
	points "the results/scene.glb"
	[ "$(grep -vc '^#' "the results/cameras.tum")" -eq 8 ]
}

@test "many-clips.sh: results of each, the reason of one that fails; again: only what is missing" {
	parallel --version 2>/dev/null | grep -q '^GNU parallel' || skip "needs GNU parallel"
	head -c 900 "$clip" >"cut short.mp4"
	rc=0
	"$recipes"/many-clips.sh --jobs 2 --demo-model "all clips" "$clip" "cut short.mp4" >said 2>err || rc=$?
	[ "$rc" -eq 1 ] || { cat err; return 1; }
	grep -qx '1 of 2 clips are done: all clips/records.jsonl' said
	grep -q '^cut short: failed: e3-decode: .*no moov' said
	points "all clips/a clip/scene.glb"
	[ -s "all clips/a clip/mesh.glb" ]
	cp "$clip" "cut short.mp4"
	"$recipes"/many-clips.sh --demo-model "all clips" "$clip" "cut short.mp4" >said 2>err
	grep -q '2 clips, 1 to process' err
	grep -qx '2 of 2 clips are done: all clips/records.jsonl' said
	fails 1 "e3-clips: " -- "$recipes"/many-clips.sh other "$clip" # no checkpoint: not the demo model unasked
}

@test "resume.sh: stopped, killed and run again it makes what one run makes" {
	# The first runs get five frames, seven, and wait for more.
	mkdir bin
	# shellcheck disable=SC2016
	printf '#!/bin/sh\n"%s/bin/e3-decode" "$@" | { head -c "$BYTES"; exec sleep 600; }\n' "$B" >bin/e3-decode
	chmod +x bin/e3-decode
	export BUDGET=4f SAVE_EVERY=2
	BYTES=600000 PATH=$T/bin:$PATH behind first "$recipes"/resume.sh "$clip" "my scan"
	wait_until 30 eval '[ "$(preds "my scan/part1.e3")" -ge 3 ]' || { cat first.err; return 1; }
	kill -TERM -- "-${background[0]}"
	wait_until 30 test -s "my scan/session.e3cache"
	wait_until 30 eval '! kill -0 -- "-${background[0]}"'
	BYTES=820000 PATH=$T/bin:$PATH behind second "$recipes"/resume.sh "$clip" "my scan"
	wait_until 30 eval '[ "$(preds "my scan/part2.e3")" -ge 1 ]' || { cat second.err; return 1; }
	kill -KILL -- "-${background[1]}"
	wait_until 30 eval '! kill -0 -- "-${background[1]}"'
	[ ! -e "my scan/run.e3" ]
	"$recipes"/resume.sh "$clip" "my scan" 2>err || { cat err; return 1; }
	[ -s "my scan/part3.e3" ]
	e3-decode --all "$clip" | e3-infer -q --budget 4f --loops -o whole.e3
	/usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "my scan/run.e3" whole.e3 pred evict
	points "my scan/scene.glb"
	before=$(cksum "my scan/run.e3")
	"$recipes"/resume.sh "$clip" "my scan" 2>err
	grep -q 'my scan/run.e3 is complete' err
	[ "$(cksum "my scan/run.e3")" = "$before" ]
}

@test "compare.sh: two policies against all frames kept, and against the truth" {
	export E3_MODEL=seed:tiny:7 # any network has rules to compare
	"$recipes"/compare.sh -b 3f "$clip" "two rules" evict3r window >said 2>err || { cat err; return 1; }
	[ "$(grep -c '^== ' said)" -eq 2 ]
	grep -qE '^8 frames in [0-9.]+ s, at most [1-9][0-9]* MiB of memory$' said
	grep -q '^truth: 8 frames' "two rules/window.txt"
	! cmp -s "two rules/window.txt" "two rules/evict3r.txt" || return 1
	e3-scene -q --frames 4 --size 112x84 -o room.e3
	"$recipes"/compare.sh -b 2f room.e3 truth evict3r random >said 2>err || { cat err; return 1; }
	[ ! -e truth/none.e3 ]
	grep -q '^truth: 4 frames' truth/random.txt
}

#!/usr/bin/env bats
# Typical mistakes: each ends with the right status, and its message says what to do next. A row: status, what the message must have,
# the command, for a shell that has `set -o pipefail`.
load common

setup_file() {
	export PATH="$B/bin:$PATH"
	cd "$BATS_FILE_TMPDIR" || return
	ffmpeg -v error -i "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" -frames:v 2 -pix_fmt yuv420p clip.mp4
	ffmpeg -v error -i clip.mp4 -frames:v 1 -pix_fmt rgb24 picture.png
	cp clip.mp4 "my clip's.mp4"
	e3-scene -q --frames 3 --size 28x28 -o frames.e3
	e3-model seed --config tiny --seed 7 -o model.st
	e3-infer -q --device cpu --model model.st --segment 0 --budget 2f frames.e3 -o run.e3 --save-cache session.e3cache
	e3-export -q --ply cloud.ply --glb scene.glb --npz arrays.npz --allow-empty run.e3
	echo "some words, no stream" >notes.txt
	mkdir empty r.e3d
	cp run.e3 r.e3d
	head -c 3000 run.e3 >cut.e3
}

prepare() {
	cp -r "$BATS_FILE_TMPDIR/." "$T/"
	cd "$T" || return
	export HOME=$T
	unset E3_MODEL
}

# row STATUS WORDS COMMAND
row() {
	local rc=0
	timeout 300 bash -o pipefail -c "$3" >"$T/.o" 2>"$T/.e" </dev/null || rc=$?
	rows=$((rows + 1))
	[ "$rc" -eq "$1" ] || { echo "exit $rc, expected $1: $3"; cat "$T/.e"; return 1; }
	[ -n "$2" ] || [ ! -s "$T/.e" ] || { echo "said by: $3"; cat "$T/.e"; return 1; }
	[ -z "$2" ] || grep -qF -- "$2" "$T/.e" || { echo "'$2' is not said by: $3"; cat "$T/.e"; return 1; }
	! grep -qE 'Broken pipe|core dumped' "$T/.e" || { echo "noise from: $3"; cat "$T/.e"; return 1; }
}

@test "typical mistakes: the message says what to do next" {
	rows=0 I='e3-infer -q --device cpu --model model.st --segment 0'
	while IFS='|' read -r status words command; do
		status=${status// /} words=${words# } words=${words% } command=${command# }
		[ -z "$status" ] || row "$status" "${words//§/|}" "${command//§/|}"
	done <<-END
		1 | clip.mp4: this is a video (MP4): e3-decode clip.mp4 § e3-infer ... | e3-infer clip.mp4
		1 | standard input: this is a video (MP4): e3-decode FILE § e3-infer ... | cat clip.mp4 § e3-infer
		1 | this is a video (MP4): e3-decode 'my clip'\''s.mp4' § e3-infer § e3-export ... | e3-export --glb o.glb "my clip's.mp4"
		1 | picture.png: this is a picture (PNG): e3-decode picture.png § e3-infer ... | e3-infer <picture.png -- picture.png
		1 | model.st: this is a checkpoint (.safetensors): e3-infer --model model.st ... takes it | e3-infer model.st
		1 | session.e3cache: this is a saved session of e3-infer: e3-infer --load-cache session.e3cache resumes it | e3-infer session.e3cache
		1 | scene.glb: this is a 3D scene (GLB): e3-export writes such files and reads none; open it with a viewer | e3-export --tum o.tum scene.glb
		1 | cloud.ply: this is points (PLY): e3-export writes such files and reads none | e3-dump cloud.ply
		1 | arrays.npz: this is arrays (npz): expected what e3-decode, e3-infer or e3-cat have written | e3-cat arrays.npz
		1 | notes.txt: this is text: expected what e3-decode, e3-infer or e3-cat have written | e3-evict-stats notes.txt
		1 | run.e3: this is a stream of e3: e3-export --glb out.glb run.e3 writes files of it | e3-decode run.e3
		1 | frames.e3: this is a stream of e3: e3-infer frames.e3 § e3-export ... | e3-decode frames.e3
		1 | model.st: this is a checkpoint (.safetensors): e3-infer --model model.st takes it | e3-decode model.st
		1 | reading: empty: Is a directory: if it holds pictures: e3-decode empty § e3-infer ... | e3-infer empty
		1 | reading: r.e3d: Is a directory: these are results of e3: the recording is r.e3d/run.e3 | e3-export --glb o.glb r.e3d
		2 | e3: --mask person: nothing makes masks but of the sky by itself: give a model, as in --mask.onnx FILE | e3 --mask person clip.mp4
		1 | copies failed: writing: /dev/full: No space left on device | e3-cat run.e3 --tee /dev/full -o o.e3
		1 | neither safetensors nor a torch archive: this is a video (MP4) | e3-infer --device cpu --model clip.mp4 frames.e3
		1 | clip.mp4: this is a video (MP4): e3-decode clip.mp4 § e3-infer § e3-eval ... | e3-eval clip.mp4
		1 | frames.e3: holds frames, not predictions: put e3-infer between: e3-infer frames.e3 § e3-export ... | e3-export --glb o.glb frames.e3
		1 | holds frames, not predictions: put e3-infer between: ... § e3-infer § e3-align ... | e3-decode -q clip.mp4 § e3-align
		1 | run.e3: holds predictions already, not frames: e3-export --glb out.glb run.e3 writes files of them | e3-infer run.e3
		2 | --glb: run.e3 holds a stream, which would be lost: give the output before it: e3-export --glb OUTPUT run.e3 | e3-export --glb run.e3
		2 | nothing to write: give at least one of --glb | e3-export run.e3
		2 | --mesh-voxel: needs --mesh | e3-export --glb o.glb --mesh-voxel 0.1 run.e3
		2 | --conf-pct: needs --glb, --ply, --splat, --mcap or --colmap | e3-export --tum o.tum --conf-pct 20 run.e3
		2 | --depth-scale: needs --depth | e3-export --depth-pfm o --depth-scale auto run.e3
		2 | --align gl, upstream and none: need --glb or --mesh | e3-export --ply o.ply --align gl run.e3
		2 | --turn-sigma: needs --poses | e3-align --gps x --turn-sigma 1 run.e3
		2 | --max-gap: needs --poses or --gps | e3-align --max-gap 1 run.e3
		2 | --robust: not with --no-loops | e3-align --no-loops --robust huber run.e3
		2 | --listen: not with --html | e3-view --html o.html --listen :0 run.e3
		2 | --columns: needs --sheet | e3-evict-stats --png o --columns 3 run.e3
		2 | --icp: needs the task recon | e3-eval pose --icp 1 run.e3
		2 | --max-depth: needs the task depth or video-depth, or --png | e3-eval pose --max-depth 1 run.e3
		2 | --patch: needs --fit or --fit-mode | e3-decode --patch 28 clip.mp4
		2 | unknown option --budgte: is --budget meant? | e3-infer --budgte 10f frames.e3
		2 | unknown option --frames: is --max-frames meant? | e3-decode --frames 3 clip.mp4
		2 | expected FRAMESf, TOKENS, TOKENSk, BYTESM or BYTESG, as in 10f | e3-infer --budget ten frames.e3
		1 | the smallest that works is --budget | $I --budget 1f frames.e3 -o o.e3
		1 | --P: the stream does not say how many frames it has: give --frames N, or an absolute budget with --budget | cat picture.png § e3-decode -q - § $I --P 0.5 -o o.e3
		2 | clip.mp4 is the input: give the output another name | e3-decode clip.mp4 -o clip.mp4
		2 | no input: give a video | e3-decode
		1 | empty: no picture | e3-decode empty
		1 | opening: absent.st: No such file or directory | e3-infer --device cpu --model absent.st frames.e3
		1 | streamvggt: there is no such file: expected a file or seed:CONFIG:N. 'e3-model fetch' | e3-infer --device cpu --model streamvggt frames.e3
		1 | creating a temporary file in /absent (TMPDIR chooses where): No such file | TMPDIR=/absent e3-export --glb o.glb run.e3
		1 | opening: absent.e3: No such file or directory | $I absent.e3
		1 | truncated | e3-cat cut.e3 -o o.e3
		1 | No space left on device | $I --budget 2f frames.e3 >/dev/full
		1 | No space left on device | e3-export -q --tum /dev/full run.e3
		141 | | { (while echo; do sleep 0.1; done); e3-dump run.e3; } § true
		141 | | { (while echo; do sleep 0.1; done); e3-cat run.e3; } § true
		1 | e3-export: opening: /sys/x.glb: | e3-export --glb /sys/x.glb run.e3
		1 | e3-infer: opening: /sys/x.e3: | $I --budget 2f frames.e3 -o /sys/x.e3
		1 | e3: creating a directory: /sys/x: | e3 -o /sys/x clip.mp4
		1 | give another folder with -o | e3 -o /sys/x clip.mp4
		2 | several stages have it: say which: --decode.timeout, --infer.timeout | e3 --timeout 5 clip.mp4
		2 | help: there is no 'exprot': is e3-export meant? | e3 help exprot
		1 | e3: opening: clop.mp4: No such file or directory | e3 clop.mp4
	END
	[ "$rows" -ge 30 ]
}

# The process is the program by now, not a shell, which may handle signals too.
has_begun() { [ "$(cat "/proc/$1/comm")" = "$2" ]; }

@test "Ctrl-C in each stage: its status, and nothing is said" {
	mkfifo in
	exec 7<>in
	for cmd in "e3-decode in -o o.e3" "e3-infer --device cpu --model model.st --budget 2f in -o o.e3" "e3-align in -o o.e3" \
		"e3-evict-stats in" "e3-export --glb o.glb in" "e3-cat in o.e3" "e3-dump in" "e3-eval in"; do
		# As from a terminal: the stage, and one that it feeds.
		$cmd 2>err >/dev/null 7>&- &
		pid=$!
		wait_until 10 has_begun $pid "${cmd%% *}"
		wait_until 10 handles_signals $pid
		kill -INT $pid
		rc=0
		wait $pid || rc=$?
		[ "$rc" -eq 130 ] || { echo "exit $rc: $cmd"; return 1; }
		! grep -vE 'no frame came|interrupted before the first frame|has no predictions|segments of' err || { echo "said by: $cmd"; return 1; }
	done
	exec 7>&-
}

@test "binary data for a terminal: refused before anything is computed" {
	for cmd in "e3-decode clip.mp4" "e3-infer --device cpu --model seed:full:1 --budget 4f frames.e3" "e3-cat run.e3" "e3-scene" \
		"e3-export --glb - run.e3" "e3-align run.e3"; do
		rc=0
		timeout 300 script -qec "$cmd" /dev/null </dev/null >o 2>&1 || rc=$?
		[ "$rc" -eq 1 ] || [ "$rc" -eq 2 ] || { echo "exit $rc: $cmd"; return 1; }
		grep -q 'standard output: is a terminal; send the binary stream to a pipe or a file' o || { cat o; return 1; }
	done
}

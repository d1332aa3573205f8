#!/usr/bin/env bats
# Every recipe of e3-pipelines(7), run as it is printed. Only hosts, ports and devices are replaced, ssh and scp stay on this machine,
# the model is the seeded tiny one, and endless sources get --max-frames. The recipe for a cluster is in slurm.bats.
load common
load recipes

setup_file() {
	cc -std=c11 -D_GNU_SOURCE -O1 -shared -fPIC -o "$BATS_FILE_TMPDIR/fake_camera.so" "$BATS_TEST_DIRNAME/fake_camera.c" -ldl
	ffmpeg -v error -f lavfi -i testsrc2=s=96x64:r=10:d=3 -pix_fmt yuv420p -c:v libx264 "$BATS_FILE_TMPDIR/clip.mp4"
}

prepare() {
	port=$(port)
	background=()
	mkdir "$T/bin" "$T/gpu" "$T/here"
	cd "$T/here" || return 1
	cp "$BATS_FILE_TMPDIR/clip.mp4" .
	printf '#!/bin/sh\nexec "%s/bin/e3-infer" --model seed:tiny:1 "$@"\n' "$B" >"$T/bin/e3-infer"
	printf '#!/bin/sh\n[ "$1" = gpu ] || exit 255\nshift\nexec "$@"\n' >"$T/bin/ssh"
	# shellcheck disable=SC2016
	printf '#!/bin/sh\ncase $1 in gpu:*) cp "%s/gpu/${1#gpu:}" "$2" ;; *) cp "$1" "%s/gpu/${2#gpu:}" ;; esac\n' "$T" "$T" >"$T/bin/scp"
	chmod +x "$T"/bin/*
	PATH=$T/bin:$PATH
}

teardown() {
	local pid
	for pid in "${background[@]}"; do
		kill -- "-$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}

# Replaces what differs between the page and the test.
here() {
	sed -E "s#tcp://gpu:5555#tcp://127.0.0.1:$port#g; s#tcp://\*:5555#tcp://*:$port#g; s#rtsp://camera/#rtsp://127.0.0.1:$port/#g
		s#/dev/video0#v4l2:/dev/video42#g; s#--pixfmt mjpeg#--pixfmt yuyv422#g"
}

# cook NAME [SED]: runs a recipe to its end, within minutes
cook() {
	recipe "$1" | here | sed -E "${2:-}" >"$T/$1.sh"
	[ -s "$T/$1.sh" ]
	timeout 300 bash -e -o pipefail "$T/$1.sh" >"$T/$1.out" 2>"$T/$1.err" || { echo "exit $?: $(cat "$T/$1.sh")"; cat "$T/$1.err"; return 1; }
}

# simmer NAME [SED]: in the background, a process group of its own
simmer() {
	recipe "$1" | here | sed -E "${2:-}" >"$T/$1.sh"
	[ -s "$T/$1.sh" ]
	setsid timeout 300 bash -o pipefail "$T/$1.sh" >"$T/$1.out" 2>"$T/$1.err" 3>&- &
	background+=($!)
}

done_within() { # SECONDS PID: it ends with status 0
	wait_until "$1" gone "$2" && wait "$2"
}

glb() { /usr/bin/python3 -B "$ROOT/tests/glb_facts.py" "$1" | grep -qE '^POINTS [1-9]' || { echo "$1 has no points"; return 1; }; }
preds() { e3-dump "$1" | grep -c '^pred'; }

@test "every recipe is run by a test" {
	sed -n 's/^\.\\" recipe: //p' "$ROOT/man/e3-pipelines.7" | sort >"$T/printed"
	grep -hoE '(cook|simmer|recipe) [a-z-]+' "$BATS_TEST_DIRNAME"/{recipes,slurm}.bats | cut -d' ' -f2 | sort -u | comm -23 "$T/printed" - >"$T/missing"
	[ ! -s "$T/missing" ] || { echo "no test runs: $(cat "$T/missing")"; return 1; }
	[ "$(wc -l <"$T/printed")" -eq "$(grep -c '^\.Bd -literal' "$ROOT/man/e3-pipelines.7")" ]
}

@test "one host: one-host, stats; record and replay: record, budgets, resume" {
	cook one-host
	glb out.glb
	[ "$(grep -vc '^#' out.txt)" -eq 6 ]
	cook stats
	grep -q '^run .* 6 frames' cache.txt
	cmp -n 8 cache.png "$DEMO/demo.png"
	cook record
	glb all.glb
	glb sharp.glb
	[ "$(stat -c %s sharp.glb)" -lt "$(stat -c %s all.glb)" ]
	/usr/bin/python3 -m json.tool stats.json >/dev/null
	cook budgets
	for b in 5f 10f 20f; do glb $b.glb; done
	# The first part ends after three frames, where a user would press Ctrl-C.
	cook resume 's#frames.e3 -o part1.e3#-o part1.e3 <(e3-cat --take 3 frames.e3)#'
	[ "$(preds part1.e3)" -eq 3 ]
	e3-infer --segment 0 --budget 10f frames.e3 -o whole.e3
	/usr/bin/python3 -B "$ROOT/tests/stream_equal.py" run.e3 whole.e3 pred evict
}

@test "a long clip, and metres: metres" {
	cook metres
	glb all.glb
	[ "$(grep -vc '^#' path.tum)" -eq 6 ]
	e3-export -q --tum metres.tum metres.e3
	/usr/bin/python3 -c 'import numpy as np
p = np.loadtxt("metres.tum")[:, 1:4]
assert abs(np.linalg.norm(p[0] - p[5]) - 2.5) < 0.003, p'
}

@test "two hosts: ssh; keys-gpu, keys-camera, listen, connect" {
	cook ssh
	glb out.glb
	(cd "$T/gpu" && cook keys-gpu)
	cook keys-camera
	cp gpu.key.pub mine.pub
	cd "$T/gpu" || return 1
	simmer listen
	cd "$T/here" || return 1
	cook connect
	done_within 20 "${background[0]}"
	[ "$(preds "$T/gpu/run.e3")" -eq 6 ]
	# A writer with another key is refused.
	e3-cat --keygen camera2.key
	cd "$T/gpu" || return 1
	simmer listen 's#run.e3#other.e3#; s#e3-infer#e3-infer --timeout 6#'
	cd "$T/here" || return 1
	fails 1 "e3-decode: " -- timeout 30 e3-decode --curve-key camera2.key --curve-server gpu.key.pub --timeout 4 -o "zmq:push:tcp://127.0.0.1:$port" clip.mp4
	local rc=0
	done_within 20 "${background[1]}" || rc=$?
	[ "$rc" -eq 1 ]
	[ ! -e "$T/gpu/other.e3" ]
}

@test "a camera: camera, and without one; rtsp" {
	touch "$T/plug"
	local fake="FAKE_CAMERA=$T/plug LD_PRELOAD=$BATS_FILE_TMPDIR/fake_camera.so ASAN_OPTIONS=verify_asan_link_order=0"
	cook camera "s#e3-decode#$fake e3-decode --max-frames 4#"
	[ "$(preds scan.e3)" -eq 4 ]
	[ "$(e3-dump scan.e3 | grep -c ' src_w=1280 src_h=720 .* t_capture=')" -eq 4 ]
	cook camera "s#e3-decode.*video42#e3-decode --max-frames 3 lavfi:testsrc2=s=640x480:r=30#"
	[ "$(preds scan.e3)" -eq 3 ]
	setsid bash -c 'sleep 600 | /usr/bin/python3 -B "$0" "$1"' "$ROOT/tests/rtsp_server.py" "$port" >"$T/server" 3>&- &
	background+=($!)
	wait_until 10 has_text "$T/server" ready
	cook rtsp "s#e3-decode#e3-decode --max-frames 3#"
	[ "$(preds scan.e3)" -eq 3 ]
}

@test "a camera on a small computer, a GPU elsewhere: small, gpu" {
	touch "$T/plug"
	(cd "$T/gpu" && cook keys-gpu)
	cook keys-camera
	cd "$T/gpu" || return 1
	simmer gpu
	cd "$T/here" || return 1
	cook small "s#e3-decode#FAKE_CAMERA=$T/plug LD_PRELOAD=$BATS_FILE_TMPDIR/fake_camera.so ASAN_OPTIONS=verify_asan_link_order=0 e3-decode --max-frames 10#"
	done_within 20 "${background[0]}"
	local n
	n=$(preds "$T/gpu/scan.e3") || { cat "$T"/*.err; e3-dump "$T/gpu/scan.e3"; return 1; }
	[ "$n" -ge 1 ]
	[ "$n" -le 10 ]
	e3-dump --json "$T/gpu/scan.e3" | tail -n 1 | grep -q '"latency_mean":'
}

@test "fan-out, subscribe, and a live view by files: view" {
	# The source ends when everything has been seen.
	printf '#!/bin/sh\n"$@" & echo $! >"%s/source"; wait $!; [ $? -eq 143 ]\n' "$T" >"$T/bin/until-it-is-stopped"
	chmod +x "$T/bin/until-it-is-stopped"
	simmer fan-out 's#e3-decode#until-it-is-stopped e3-decode#; s#r=30#r=20#'
	wait_until 10 test -S live
	simmer subscribe
	simmer view 's#--take 30#--take 5#'
	local seen=0 last=none
	viewed_twice() {
		local now
		now=$(stat -c %i.%Y.%Z live.glb 2>/dev/null || echo none)
		[ "$now" = "$last" ] || { glb live.glb && seen=$((seen + 1)) last=$now; }
		[ "$seen" -ge 2 ]
	}
	wait_until 30 viewed_twice || { cat "$T"/*.err; return 1; }
	kill -- "-${background[2]}"
	wait_until 20 eval '[ "$(grep -c "^pred" "$T/subscribe.out")" -ge 5 ]'
	kill -TERM "$(cat "$T/source")"
	done_within 30 "${background[0]}"
	glb scan.glb
	done_within 10 "${background[1]}" || { cat "$T/subscribe.err"; return 1; }
	grep -q '^head' "$T/subscribe.out"
	[ "$(grep -c '^pred' "$T/subscribe.out")" -ge 5 ]
	# The copy in the file is complete.
	[ "$(preds scan.e3)" -eq "$(e3-dump --json scan.e3 | tail -n 1 | sed 's/.*"frames":\([0-9]*\).*/\1/')" ]
}

@test "many clips: clips" {
	parallel --version 2>/dev/null | grep -q '^GNU parallel' || skip "needs GNU parallel"
	ln -s "$B/bin/e3-clips" "$T/bin/e3-clips" # beside the e3-infer of this test
	export E3_MODEL=seed:tiny:1
	mkdir clips
	for k in 1 2 3; do cp clip.mp4 clips/$k.mp4; done
	cook clips "s#--gpus 8#--jobs 2#; s#--model weights.pth ##" # no GPUs here
	[ "$(grep -c '"status":"done","frames":6,' records.jsonl)" -eq 3 ] || { cat records.jsonl; return 1; }
	glb out/2/model.glb
}

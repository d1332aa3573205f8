#!/usr/bin/env bats
# Live sources: the reader gets the newest frame, dated by its capture, in constant memory; sources that are lost, come back, hang or
# do not exist. No camera and no network is needed: FFmpeg draws pictures, and the tests play a server and a driver.
load common

setup_file() {
	cc -std=c11 -D_GNU_SOURCE -O1 -shared -fPIC -o "$BATS_FILE_TMPDIR/fake_camera.so" "$BATS_TEST_DIRNAME/fake_camera.c" -ldl
	ffmpeg -v error -f lavfi -i testsrc2=s=64x48:r=25:d=1.2 -pix_fmt yuv420p -c:v libx264 -g 5 "$BATS_FILE_TMPDIR/clip.mp4"
}

prepare() {
	port=$(port)
	background=()
}

teardown() {
	local pid
	for pid in "${background[@]}"; do
		kill -9 "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}

live() { /usr/bin/python3 -B "$ROOT/tests/live_read.py" "$@"; } # what a reader of a live stream finds; see there

# Starts a command in the background, killed when the test ends; $! is its process.
start() {
	"$@" 7>&- &
	background+=($!)
}

ends() { # ends STATUS PID: by itself
	local rc=0
	wait_until 20 eval "! kill -0 $2" || { kill -9 "$2"; return 1; }
	wait "$2" || rc=$?
	[ "$rc" -eq "$1" ] || { echo "exit $rc, expected $1"; cat "$T"/err*; return 1; }
}

camera() { # e3-decode on a camera that is not there; $T/plug is its plug
	FAKE_CAMERA=$T/plug LD_PRELOAD=$BATS_FILE_TMPDIR/fake_camera.so ASAN_OPTIONS=verify_asan_link_order=0 e3-decode "$@" v4l2:/dev/video42
}

# After the first frames (the pipe was empty), 15 source frames go by for each one taken, and none is older than the reader's own 0.3 s and
# some more: three in a row.
newest='len(seen) > 5 and all(b.i - a.i >= 8 and b.age < 0.75 for a, b in zip(seen[-4:], seen[-3:]))'

@test "a slow reader gets the newest frame, not the next one" {
	e3-decode -v lavfi:testsrc2=s=320x240:r=50 2>"$T/err" | live --wait 0.3 --until "$newest" || [ "${PIPESTATUS[1]}" -eq 0 ]
}

@test "fresh frames over a network: e3-cat --drop oldest --queue 1 takes every frame and passes on the newest" {
	start e3-decode lavfi:testsrc2=s=320x240:r=50 -o "zmq:push:tcp://127.0.0.1:$port" 2>"$T/err"
	e3-cat --drop oldest --queue 1 "zmq:pull:tcp://127.0.0.1:$port" 2>"$T/err2" | live --wait 0.3 --until "$newest" || [ "${PIPESTATUS[1]}" -eq 0 ]
	grep -qE 'standard output: [0-9]+ of [0-9]+ frames were dropped' "$T/err2"
}

# passed OPTION...: how many frames of the source go by while the tenth to the 22nd are taken.
passed() {
	start e3-decode "$@" lavfi:testsrc2=s=640x480:r=50 -o "zmq:push:ipc://$T/s" 2>"$T/err"
	e3-cat "zmq:pull:ipc://$T/s" 2>"$T/err2" | live --wait 0.2 --take 22 >"$T/seen" || [ "${PIPESTATUS[1]}" -eq 0 ]
	cat "$T/seen"
	awk 'NR == 10 { i = $1 } END { print $1 - i }' "$T/seen" >"$T/passed"
}

@test "fresh frames over a network when the reader connects itself: one frame waits at the socket, unless --queue allows more" {
	# Some eight frames are on the way without a queue, then each is a fresh one, of 50 a second. With a queue they were taken right after
	# those before them, in the first second. A busy machine makes few of them, and misses some of those: once in five times.
	local k
	for k in 1 2 3 4 5; do passed; [ "$(cat "$T/passed")" -lt 36 ] || break; done
	[ "$(cat "$T/passed")" -ge 36 ]
	for k in 1 2 3 4 5; do passed --queue 20; [ "$(cat "$T/passed")" -ge 36 ] || break; done
	[ "$(cat "$T/passed")" -lt 36 ]
}

@test "when the reader goes away, e3-decode ends, also while the source gives nothing" {
	mkfifo "$T/cam"
	exec 7<>"$T/cam" # a source that is there and silent
	start bash -c "e3-decode --live latest '$T/cam' 7>&-; echo \$? >'$T/rc'" 2>"$T/err" > >(wait_until 10 test -e "$T/go")
	wait_until 10 pgrep -f "e3-decode --live latest $T/cam"
	wait_until 10 handles_signals "$(pgrep -f "^e3-decode --live latest $T/cam")"
	touch "$T/go"
	wait_until 10 test -s "$T/rc"
	exec 7>&-
	[ "$(cat "$T/rc")" -eq 141 ] || { cat "$T/rc" "$T/err"; return 1; }
}

@test "a fast reader gets every frame, evenly dated" {
	e3-decode --max-frames 40 lavfi:testsrc2=s=64x48:r=50 2>"$T/err" | live >"$T/seen"
	[ "$(wc -l <"$T/seen")" -eq 40 ]
	# Times of capture are pts plus a constant; frames that were skipped count in pts too.
	awk 'NR == 1 { i = $1; p = $2 } { d = ($2 - p) - ($1 - i) / 50; if (d < -0.02 || d > 0.2) bad = 1 } END { exit bad }' "$T/seen" || { cat "$T/seen"; return 1; }
	live --constant <(e3-decode --max-frames 10 lavfi:testsrc2=s=64x48:r=50)
}

@test "--live off reads pictures that FFmpeg draws as if they were a file: the same pictures each time, as fast as it goes" {
	e3-decode --live off --every 0.5 lavfi:testsrc2=s=64x48:r=25:d=40 -o "$T/a"
	e3-decode --live off --every 0.5 lavfi:testsrc2=s=64x48:r=25:d=40 -o "$T/b"
	e3-dump "$T/a" | grep '^frame' >"$T/da"
	e3-dump "$T/b" | grep '^frame' | diff - "$T/da"
	[ "$(wc -l <"$T/da")" -eq 83 ]
}

@test "--live all sends every frame of the source, however slow the reader is" {
	e3-decode --live all --max-frames 12 lavfi:testsrc2=s=320x240:r=100 | live --wait 0.05 >"$T/seen"
	[ "$(cut -d' ' -f1 "$T/seen" | paste -sd' ')" = "0 1 2 3 4 5 6 7 8 9 10 11" ] || { cat "$T/seen"; return 1; }
}

chosen() { # TIMES NUMBERS OPTION...
	for ((k = 0; k < $1; k++)); do
		e3-decode --live all "${@:3}" lavfi:testsrc2=s=64x48:r=25 | live >"$T/seen"
		[ "$(cut -d' ' -f1 "$T/seen" | paste -sd' ')" != "$2" ] || return 0
	done
	cat "$T/seen"
	return 1
}

@test "frames are chosen by time, by number, and from --start to --end" {
	# By the time of capture, which a busy machine makes late for some frames: exactly these, once in five times at least.
	chosen 5 "0 5 10 15 20" --every 0.2 --end 1
	chosen 5 "11 18" --step 7 --start 0.2 --end 1
}

@test "a file is played in real time on request, and is not live otherwise" {
	local start=$EPOCHREALTIME
	e3-decode --live all "$BATS_FILE_TMPDIR/clip.mp4" | live >"$T/seen"
	[ "$(wc -l <"$T/seen")" -eq 30 ]
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { exit !(b - a > 1.15) }'
	e3-decode --all "$BATS_FILE_TMPDIR/clip.mp4" | e3-dump | { ! grep -q t_capture; }
}

@test "the latency of every stage is in predictions, e3-infer's end, progress lines and e3-evict-stats" {
	e3-decode --max-frames 6 lavfi:testsrc2=s=64x48:r=20 | e3-infer -q --model seed:tiny:1 --segment 0 --budget 3f -o "$T/p.e3"
	e3-dump --json "$T/p.e3" >"$T/dump"
	[ "$(grep -c '"kind":"pred".*"t_capture":1[0-9]\{9\}' "$T/dump")" -eq 6 ] || { cut -c1-200 "$T/dump"; return 1; }
	/usr/bin/python3 - "$T/dump" <<-'PY'
		import json, sys
		end = [json.loads(l) for l in open(sys.argv[1])][-1]
		assert 0 < end["latency_mean"] <= end["latency_max"] < 3600, end
	PY
	e3-evict-stats --json "$T/p.e3" >"$T/stats"
	/usr/bin/python3 - "$T/dump" "$T/stats" <<-'PY'
		import json, sys
		import numpy as np
		lines = [json.loads(l) for l in open(sys.argv[1])]
		each = [m["latency"] for m in lines if m["kind"] == "pred"]
		said, end = json.load(open(sys.argv[2]))["latency"], lines[-1]
		found = {"frames": len(each), "mean": np.mean(each), "p50": np.percentile(each, 50), "p99": np.percentile(each, 99), "max": max(each)}
		assert len(each) == 6 and said.keys() == found.keys(), said
		assert all(abs(said[k] - found[k]) < 1e-6 for k in found), (said, found)
		assert abs(said["mean"] - end["latency_mean"]) < 1e-6 and abs(said["max"] - end["latency_max"]) < 1e-6, (said, end)
	PY
	e3-evict-stats "$T/p.e3" | grep -qE '^latency     from capture to prediction: median [0-9.]+ s, 99 % within [0-9.]+ s, at most [0-9.]+ s$'
	script -qec "e3-decode --max-frames 12 lavfi:testsrc2=s=64x48:r=20 | e3-infer --model seed:tiny:1 --segment 0 --budget 3f -o $T/q.e3" /dev/null </dev/null >"$T/tty" 2>&1
	grep -aqE 'frame [0-9]+: .* [0-9.]+ s behind \(mean [0-9.]+\)' "$T/tty" || { cat -v "$T/tty"; return 1; }
	script -qec "e3-decode --max-frames 12 lavfi:testsrc2=s=64x48:r=20 | e3-infer -q --model seed:tiny:1 --segment 0 --budget 3f | e3-export --tum $T/q.txt" /dev/null </dev/null >"$T/tty" 2>&1
	grep -aqE 'frame [0-9]+, .* spooled, [0-9.]+ s behind \(mean [0-9.]+\)' "$T/tty" || { cat -v "$T/tty"; return 1; }
	# What was recorded is not behind anything.
	e3-decode --all --max-frames 2 "$BATS_FILE_TMPDIR/clip.mp4" | e3-infer -q --model seed:tiny:1 --segment 0 --budget 3f >"$T/r.e3"
	e3-dump "$T/r.e3" >"$T/o"
	if grep -q latency "$T/o"; then return 1; fi
	e3-evict-stats --json "$T/r.e3" | grep -q '"latency":null,'
}

@test "memory does not grow while nobody reads" {
	! ldd "$(command -v e3-decode)" | grep -q libasan || skip "a sanitizer build keeps freed memory"
	mkfifo "$T/out"
	exec 8<>"$T/out" # a reader that does not read
	start e3-decode lavfi:testsrc2=s=320x240:r=100 >&8 2>"$T/err"
	local pid=$! early late
	wait_until 10 has_unread "$T/out" # the head: no frame is sent before it is read
	early=$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")
	sleep 1.5 # fixed: 150 frames come in this time
	late=$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")
	echo "# resident: $early kB at the start, $late kB 150 frames of 225 kB later"
	[ "$late" -lt $((early + 2048)) ]
	exec 8<&-
}

@test "after SIGINT and SIGTERM the stream is closed, exit 130 and 143, also with a slow reader" {
	for how in "INT 130" "TERM 143"; do
		# shellcheck disable=SC2086
		set -- $how
		start e3-decode lavfi:testsrc2=s=64x48:r=25 -o "$T/$1.e3" 2>"$T/err"
		local pid=$!
		wait_until 10 size_above "$T/$1.e3.tmp.$pid" 30000 # the head and some frames
		kill -"$1" "$pid"
		ends "$2" "$pid"
		live <"$T/$1.e3" >"$T/seen"
		[ "$(wc -l <"$T/seen")" -ge 2 ]
		! grep -v ' skipped: newer ones had come when the reader was ready$' "$T/err" || return 1 # as a busy machine has it
	done
}

@test "a pipe that is fed in real time gives fresh frames, dated on arrival where the format has no times" {
	mkfifo "$T/cam"
	start ffmpeg -v error -re -f lavfi -i testsrc2=s=320x240:r=20 -pix_fmt yuv420p -c:v libx264 -qp 5 -g 10 -tune zerolatency -y -f h264 "$T/cam"
	# The source gives 20 a second.
	e3-decode --live latest "$T/cam" 2>"$T/err" | live --wait 0.2 --until 'len(seen) > 5 and max(f.age for f in seen[-3:]) < 0.75 and
		16 < (seen[-1].i - seen[-4].i) / (seen[-1].pts - seen[-4].pts) < 24' || [ "${PIPESTATUS[1]}" -eq 0 ]
}

# even FILE: after a gap of a second and more, in which the camera was away, ten frames are 50 ms after the one before, by their stamps.
# Where the first packets waited, on a busy machine, each that waited less than all before it pulls the times together, until one was on
# time: so the mean distance is short, by as much as they waited. Dates by a counted rate, or of bursts, are never even.
even() {
	live <"$1" 2>/dev/null | awk 'NR > 1 { d = $2 - p; if (d > 1) { gap = 1; n = 0 }; d /= $1 - i; if (d > 0.045 && d < 0.055) n++ }
		{ i = $1; p = $2 } END { exit !(gap && n >= 10) }'
}

@test "RTSP: frames as they come, and again after the camera was lost" {
	mkfifo "$T/life"
	plug_in() { start bash -c 'exec /usr/bin/python3 -B "$0" "$1" <"$2" >"$3"' "$ROOT/tests/rtsp_server.py" "$port" "$T/life" "$T/server"; }
	plug_in
	exec 7>"$T/life"
	wait_until 20 grep -q ready "$T/server"
	start e3-decode --reconnect 300 "rtsp://127.0.0.1:$port/cam" -o "$T/s.e3" 2>"$T/err"
	local pid=$!
	wait_until 20 size_above "$T/s.e3.tmp.$pid" 500000
	exec 7>&- # the camera loses power
	wait_until 20 grep -q 'connecting again, for 300 s at most' "$T/err"
	plug_in
	exec 7>"$T/life"
	wait_until 30 grep -q "rtsp://127.0.0.1:$port/cam: back after" "$T/err"
	size=$(stat -c %s "$T/s.e3.tmp.$pid")
	wait_until 10 size_above "$T/s.e3.tmp.$pid" $((size + 1200000)) # twenty frames
	wait_until 20 even "$T/s.e3.tmp.$pid"
	kill -INT "$pid"
	ends 130 "$pid"
	exec 7>&-
	grep -q 'the connection was lost 1 time' "$T/err" || { cat "$T/err"; return 1; }
	live --constant "$T/s.e3"
	even "$T/s.e3" || { live <"$T/s.e3"; return 1; }
}

@test "JPEG pictures over HTTP: fresh, evenly dated, connected again after the answer ended, given up in the end" {
	mkfifo "$T/life"
	start bash -c 'exec /usr/bin/python3 -B "$0" "$1" "$4" <"$2" >"$3"' "$ROOT/tests/http_camera.py" "$port" "$T/life" "$T/server" "$BATS_FILE_TMPDIR/clip.mp4"
	exec 7>"$T/life"
	wait_until 20 grep -q ready "$T/server"
	e3-decode --live latest "http://127.0.0.1:$port/cam" 2>"$T/err" 7>&- | live --wait 0.2 --until 'len(seen) > 7 and
		max(f.age for f in seen[-5:]) < 0.75 and 15 < (seen[-1].i - seen[-6].i) / (seen[-1].pts - seen[-6].pts) < 24.5' || [ "${PIPESTATUS[1]}" -eq 0 ]
	start e3-decode --live latest --reconnect 300 "http://127.0.0.1:$port/short" -o "$T/s.e3" 2>"$T/err"
	local pid=$!
	wait_until 30 grep -q "/short: back after" "$T/err"
	size=$(stat -c %s "$T/s.e3.tmp.$pid")
	wait_until 10 size_above "$T/s.e3.tmp.$pid" "$size"
	exec 7>&- # the camera loses power
	kill -INT "$pid"
	ends 130 "$pid"
	live --constant "$T/s.e3"
}

@test "over HTTP: a file with a length ends, an answer without a length may come back, a truncated file is an error" {
	mkfifo "$T/life"
	start bash -c 'exec /usr/bin/python3 -B "$0" "$1" "$4" <"$2" >"$3"' "$ROOT/tests/http_camera.py" "$port" "$T/life" "$T/server" "$BATS_FILE_TMPDIR/clip.mp4"
	exec 7>"$T/life"
	wait_until 20 grep -q ready "$T/server"
	timeout 300 e3-decode --live all "http://127.0.0.1:$port/file" 2>"$T/err" 7>&- | live >"$T/seen"
	[ "$(wc -l <"$T/seen")" -eq 30 ]
	[ ! -s "$T/err" ] || { cat "$T/err"; return 1; }
	fails 1 "reading: http://127.0.0.1:$port/short: it ended: not back within 1 s" -- timeout 300 e3-decode --live latest --reconnect 1 "http://127.0.0.1:$port/short" -o "$T/s.e3"
	[ "$(live <"$T/s.e3" | wc -l)" -ge 2 ]
	fails 1 "reading: http://127.0.0.1:$port/part: " -- timeout 300 e3-decode --live all --reconnect 0 "http://127.0.0.1:$port/part" -o "$T/p.e3"
	exec 7>&-
}

@test "when a network source does not come back, the frames so far are a whole stream; exit 1" {
	start e3-decode --reconnect 12 "tcp://127.0.0.1:$port?listen" -o "$T/s.e3" 2>"$T/err"
	local pid=$!
	wait_until 20 eval "ffmpeg -v quiet -re -f lavfi -i testsrc2=s=64x48:r=20 -t 1 -pix_fmt yuv420p -c:v libx264 -g 5 -tune zerolatency -f mpegts tcp://127.0.0.1:$port"
	ends 1 "$pid"
	grep -q "tcp://127.0.0.1:$port?listen: .*: not back within 12 s" "$T/err" || { cat "$T/err"; return 1; }
	live <"$T/s.e3" >"$T/seen"
	[ "$(wc -l <"$T/seen")" -ge 2 ]
}

@test "a network source that stalls is noticed; one that does not exist fails at once, unless --reconnect is given" {
	start /usr/bin/python3 -c "import socket, time; s = socket.create_server(('127.0.0.1', $port)); c = s.accept(); print('in', flush=True); time.sleep(60)"
	wait_until 10 eval "ss -ltn 2>/dev/null | grep -q :$port || grep -qi $(printf '%04X' "$port") /proc/net/tcp"
	fails 1 "e3-decode: reading: tcp://127.0.0.1:$port: nothing came for 1 s" -- e3-decode --stall 1 --reconnect 0 "tcp://127.0.0.1:$port"
	fails 1 "reading: rtsp://127.0.0.1:1/x: Connection refused" -- timeout 300 e3-decode rtsp://127.0.0.1:1/x
	local start=$SECONDS
	fails 1 "reading: rtsp://127.0.0.1:1/x: Connection refused" -- timeout 300 e3-decode --reconnect 2 rtsp://127.0.0.1:1/x
	[ $((SECONDS - start)) -ge 1 ]
}

@test "a camera: its size and its pictures, dated by the driver" {
	touch "$T/plug"
	camera -v --size 96x64 --rate 20 --max-frames 12 -o "$T/s.e3" 2>"$T/err"
	grep -q 'live: rawvideo, yuyv422, 96 x 64, 20.000 frames/s' "$T/err" || { cat "$T/err"; return 1; }
	live <"$T/s.e3" >"$T/seen"
	[ "$(wc -l <"$T/seen")" -eq 12 ]
	# Picture k is grey of 16 + 2k, that is 2k in 219; the driver dates it 30 ms before it hands it out.
	awk '{ g = int(2 * $1 * 255 / 219 + 0.5); if ($4 < g - 2 || $4 > g + 2) bad = 1 } NR > 1 { d = $2 - p - ($1 - i) / 20; if (d < -0.004 || d > 0.004) bad = 1 } { p = $2; i = $1 } END { exit bad }' "$T/seen" || { cat "$T/seen"; return 1; }
	camera --max-frames 8 | live >"$T/seen"
	awk '$3 < 0.03 { bad = 1 } END { exit bad }' "$T/seen" || { cat "$T/seen"; return 1; }
}

@test "when a camera is unplugged: the frames so far, exit 1; with --reconnect it may come back" {
	touch "$T/plug"
	camera -o "$T/s.e3" 2>"$T/err" &
	background+=($!)
	local pid=$!
	wait_until 20 written_above "$T/s.e3" 120000
	rm "$T/plug"
	ends 1 "$pid"
	grep -q 'reading: v4l2:/dev/video42: No such device' "$T/err" || { cat "$T/err"; return 1; }
	live <"$T/s.e3" >"$T/seen"
	[ "$(wc -l <"$T/seen")" -ge 5 ]
	touch "$T/plug"
	camera --reconnect 300 -o "$T/t.e3" 2>"$T/err2" &
	background+=($!)
	pid=$!
	wait_until 20 written_above "$T/t.e3" 120000
	rm "$T/plug"
	wait_until 10 grep -q 'No such device: connecting again' "$T/err2"
	touch "$T/plug"
	wait_until 20 grep -q 'v4l2:/dev/video42: back after' "$T/err2"
	size=$(cat "$T"/t.e3.tmp.* | wc -c)
	wait_until 20 written_above "$T/t.e3" $((size + 40000))
	kill -INT "$(pgrep -P "$pid" || echo "$pid")"
	ends 130 "$pid"
	live <"$T/t.e3" >"$T/seen"
	# The pictures began again at black.
	awk 'NR > 1 && $4 < last { again = 1 } { last = $4 } END { exit !again }' "$T/seen"
}

@test "a camera that hangs, is busy, is no camera, or does not exist" {
	echo hang >"$T/plug"
	local rc=0
	camera --stall 1 >"$T/o" 2>"$T/err" || rc=$?
	[ "$rc" -eq 1 ]
	grep -q 'reading: v4l2:/dev/video42: nothing came for 1 s' "$T/err" || { cat "$T/err"; return 1; }
	echo busy >"$T/plug"
	rc=0
	camera >"$T/o" 2>"$T/err" || rc=$?
	[ "$rc" -eq 1 ]
	grep -q 'reading: v4l2:/dev/video42: Device or resource busy' "$T/err" || { cat "$T/err"; return 1; }
	fails 1 "reading: v4l2:/dev/null: not a camera" -- e3-decode v4l2:/dev/null
	fails 1 "reading: /dev/video77: No such file or directory" -- e3-decode /dev/video77
	fails 1 "reading: v4l2:$T/plug: not a camera" -- e3-decode "v4l2:$T/plug"
}

@test "a device is a camera by its number; without permission the message says so" {
	mknod "$T/video0" c 81 63 2>/dev/null || skip "needs the right to make a device node"
	chmod 600 "$T/video0"
	local rc=0
	e3-decode "$T/video0" >"$T/o" 2>"$T/err" || rc=$?
	[ "$rc" -eq 1 ]
	grep -qE "reading: $T/video0: (No such device( or address)?|Operation not permitted)\$" "$T/err" || { cat "$T/err"; return 1; }
	chmod a+rx "$T" "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR" 2>/dev/null
	chmod 000 "$T/video0"
	command -v setpriv >/dev/null || skip "needs setpriv"
	rc=0
	setpriv --reuid 65534 --clear-groups "$(command -v e3-decode)" "$T/video0" >"$T/o" 2>"$T/err" || rc=$?
	grep -q "e3-decode: " "$T/err" || skip "another user cannot start the tool from here"
	[ "$rc" -eq 1 ]
	grep -qE "reading: $T/video0: (Permission denied|Operation not permitted)\$" "$T/err" || { cat "$T/err"; return 1; }
}

@test "options of other kinds of sources are refused, and so are unknown options of FFmpeg" {
	fails 1 "reading: lavfi:testsrc2: --size is for cameras" -- e3-decode --size 64x48 lavfi:testsrc2
	fails 1 "--reconnect is for cameras and network streams" -- e3-decode --reconnect 5 lavfi:testsrc2
	fails 1 "input option 'foo': not one that FFmpeg's lavfi input has" -- e3-decode --input-option foo=bar lavfi:testsrc2
	fails 1 "input option 'foo': not one that FFmpeg's" -- e3-decode --input-option foo=bar "$BATS_FILE_TMPDIR/clip.mp4"
	fails 2 "expected WIDTHxHEIGHT such as 640x480, got '64'" -- e3-decode --size 64 x
	fails 2 "expected KEY=VALUE, got 'foo'" -- e3-decode --input-option foo x
	fails 1 "No such filter: 'nosuchthing'" -- e3-decode -v lavfi:nosuchthing
}

@test "without FFmpeg's library of devices a message says so, and files are read" {
	local version
	version=$(pkg-config --modversion libavdevice)
	mkdir -p "$T/bin" "$T/lib/e3"
	cp "$B/bin/e3-decode" "$T/bin"
	echo damaged >"$T/lib/e3/libavdevice.so.${version%%.*}"
	fails 1 "opening: lavfi:testsrc2: lavfi inputs: $T/bin/../lib/e3/libavdevice.so.${version%%.*}: " -- "$T/bin/e3-decode" lavfi:testsrc2
	"$T/bin/e3-decode" --max-frames 1 --all "$BATS_FILE_TMPDIR/clip.mp4" >"$T/o"
}

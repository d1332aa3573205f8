#!/usr/bin/env bats
# e3-align: segments whose truth is known (tests/align_stream.py), aligned by loops, poses, positions and distances.
load common

prepare() {
	cd "$T" || return 1
	made=$ROOT/tests/align_stream.py
}
make_stream() { "$made" make "$@"; }
# close_to LIMIT STREAM TUM: every pose, centre and scale is within LIMIT of the truth. Prints the figures.
close_to() { "$made" check "$2" "$3" "$1"; }
far_from() { ! "$made" check "$2" "$3" "$1" || { echo "within $1 of the truth"; return 1; }; }
# figure FILE EXPRESSION: a Python expression of the JSON report r is true
figure() {
	/usr/bin/python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); assert eval(sys.argv[2]), r' "$1" "$2"
}

@test "without loops and without anything known nothing changes" {
	make_stream in.e3 noise=0.01
	e3-align in.e3 >out.e3
	"$made" same in.e3 out.e3
	[ "$(e3-dump out.e3 | grep -c '^correct')" -eq 0 ]
	[ "$(e3-dump --json out.e3 | head -1 | grep -c '"corrects": *1')" -eq 1 ]
	# Where nothing could change, not even the head does. --final announces nothing.
	e3-align --no-loops in.e3 | cmp - in.e3
	e3-align --final in.e3 | cmp - in.e3
	make_stream loops.e3 loops=8
	e3-align --no-loops loops.e3 | cmp - loops.e3
}

@test "exact joins and loops return the truth to 1e-5" {
	make_stream in.e3 drift=0 loops=8 truth=truth.tum
	e3-align in.e3 >out.e3
	close_to 1e-5 out.e3 truth.tum
	e3-align --final in.e3 >final.e3
	close_to 1e-5 final.e3 truth.tum
}

@test "one loop removes a drift of scale of 3 % a segment, to 1e-5" {
	make_stream in.e3 loops=8 rounds=1.0909091 truth=truth.tum
	far_from 0.3 in.e3 truth.tum
	e3-align --json --report report.json in.e3 >out.e3
	close_to 1e-5 out.e3 truth.tum
	figure report.json 'r["loops_used"] == 1 and r["loops_refused"] == 0 and r["segments"] == 12 and r["joins"] == 11'
	figure report.json 'r["residual_before"] > 100 and r["residual_after"] < 1'
	figure report.json 'r["edges"][-1]["type"] == "loop" and r["edges"][-1]["residual_before"] > 100 > 1 > r["edges"][-1]["residual_after"]'
}

@test "later loops correct what was sent before; --final writes it corrected" {
	make_stream in.e3 loops=8 truth=truth.tum
	e3-align in.e3 >out.e3
	close_to 0.05 out.e3 truth.tum
	[ "$(e3-dump out.e3 | grep -c '^correct')" -gt 12 ]
	# Predictions after a loop leave in the newest world, and their corrections are relative to that.
	/usr/bin/python3 -B - out.e3 <<-'PY'
		import sys, msgpack
		data, at, told, sent = open(sys.argv[1], "rb").read(), 0, {}, {}
		while at < len(data):
		    n, kind = int.from_bytes(data[at + 1:at + 5], "big"), data[at + 5]
		    m = msgpack.unpackb(data[at + 6:at + 6 + n])
		    at += 6 + n
		    if kind == 3:
		        sent[m["i"]] = m["world"]
		    if kind == 10:
		        told.update({i: m["sim"][0] for i in range(m["from"], m["to"] + 1)})
		final = [sent[i][0] * told.get(i, 1) for i in sorted(sent)]
		segment = [final[k:k + 8] for k in range(0, 96, 8)]
		assert all(max(s) - min(s) < 1e-6 * s[0] for s in segment), segment  # one scale for all frames of a segment
		assert abs(told[50] - 1) < 0.05 < abs(told[40] - 1), (told[40], told[50])
	PY
	e3-align --final in.e3 >final.e3
	[ "$(e3-dump final.e3 | grep -c '^correct')" -eq 0 ]
	[ "$(e3-dump --json final.e3 | head -1 | grep -c corrects)" -eq 0 ]
	close_to 0.05 final.e3 truth.tum
	# Both found the same.
	e3-export -q --tum a.tum out.e3
	e3-export -q --tum b.tum final.e3
	/usr/bin/python3 -c 'import numpy as np; assert np.abs(np.loadtxt("a.tum") - np.loadtxt("b.tum")).max() < 1e-5'
	# A stream that was aligned: its corrections are applied, and nothing else.
	e3-align --final out.e3 >baked.e3
	close_to 0.05 baked.e3 truth.tum
	fails 1 "e3-align: reading: the stream has been aligned already: option --final" -- e3-align out.e3
	make_stream k.e3 tum=metric.tum
	fails 1 "known poses, positions and distances belong into that run" -- e3-align --final --poses metric.tum out.e3
}

@test "false loops are refused by the robust loss, and not by squares" {
	make_stream in.e3 loops=4 truth=truth.tum
	make_stream false.e3 loops=4 false=4
	e3-align in.e3 >out.e3
	e3-align --json --report r.json false.e3 >robust.e3
	close_to 0.05 out.e3 truth.tum
	close_to 0.05 robust.e3 truth.tum
	figure r.json 'r["loops_refused"] >= 2 and r["loops_used"] >= 12'
	figure r.json 'all(not e["refused"] for e in r["edges"] if e["frames"][1] - e["frames"][0] == 48)'
	e3-align --robust square false.e3 >square.e3
	far_from 0.1 square.e3 truth.tum
}

@test "known poses: the world is theirs, for a chain of segments and for a stream without" {
	for segment in 8 0; do
		make_stream in.e3 segment=$segment noise=0.002 tum=metric.tum
		for final in "" --final; do
			# shellcheck disable=SC2086
			e3-align $final --poses metric.tum in.e3 >out.e3
			close_to 2e-3 out.e3 metric.tum
		done
	done
	e3-dump --json out.e3 | grep '"kind": *"pred"' | head -1 | grep -q '"world"' # says what has been applied
}

@test "known positions: the same, and in degrees" {
	for segment in 8 0; do
		make_stream in.e3 segment=$segment tum=metric.tum gps=metric.gps lla=metric.lla
		e3-align --gps metric.gps --gps-sigma 0.001 in.e3 >out.e3
		close_to 0.05 out.e3 metric.tum
	done
	e3-align --json --report r.json --gps metric.lla --gps-lla in.e3 >out.e3
	figure r.json 'r["known_world"] and abs(r["origin"][0] - 48.5) < 0.01 and abs(r["origin"][1] - 9) < 0.01 and r["known_frames"] >= 64'
	e3-export -q --tum out.tum out.e3
	# East, north and up of the first position: the same shape as in metres.
	/usr/bin/python3 -c 'import numpy as np
a, b = np.loadtxt("out.tum")[:, 1:4], np.loadtxt("metric.gps")[:, 1:4]
assert np.abs(a[0]).max() < 0.05, a[0]
assert np.abs(a - (b - b[0])).max() < 0.05, np.abs(a - (b - b[0])).max()'
}

@test "a known distance gives the scale" {
	length=$(make_stream in.e3 segment=0 length=3,40 truth=truth.tum)
	e3-align --distance "3,40,$length" in.e3 >out.e3
	e3-export -q --tum out.tum out.e3
	/usr/bin/python3 -c 'import numpy as np, sys
p = np.loadtxt("out.tum")[:, 1:4]
assert abs(np.linalg.norm(p[3] - p[40]) - float(sys.argv[1])) < 1e-4
assert np.abs(p[0]).max() < 1e-6' "$length"
	fails 2 "expected I,J,LENGTH" -- e3-align --distance 3,40 in.e3
	fails 2 "expected two different frames" -- e3-align --distance 3,3,1 in.e3
	e3-align --distance 3,400,1 in.e3 2>err | "$made" same in.e3 /dev/stdin
	grep -q "1 of 1 known distances not used: the stream lacks one of the frames, or its pose" err
	e3-align --distance "3,40,$length" --distance "0,50,1e-3" in.e3 2>err >out.e3
	grep -q "a known distance is missed by a factor of [0-9.]*: what is known disagrees" err
}

@test "what does not determine a world is said, and changes nothing" {
	make_stream in.e3 line=1 drift=0 gps=line.gps lla=line.lla tum=metric.tum
	e3-align --gps line.gps in.e3 2>err >out.e3
	grep -q "do not determine a world" err
	awk '!/^#/ { print $1, $2, $3, $4, 1, 0, 0, 0 }' metric.tum >body.tum # turned: of a body
	e3-align --poses body.tum in.e3 2>err | e3-dump - >/dev/null
	grep -q "or their orientations are not the cameras', as where they are of a body (--gps takes" err
	"$made" same in.e3 out.e3
	# Places on the Earth do: up is known, and cameras are upright on average.
	e3-align --gps-lla --gps line.lla --gps-sigma 0.1 in.e3 >out.e3 2>err
	[ ! -s err ]
	e3-export -q --tum out.tum out.e3
	/usr/bin/python3 -c 'import numpy as np
a, b = np.loadtxt("out.tum")[:, 1:], np.loadtxt("metric.tum")[:, 1:]
assert np.abs(a[:, :3] - (b - b[0])[:, :3]).max() < 0.05 and np.abs(a[:, 3:] - b[:, 3:]).max() < 0.01, (a[5], b[5])'
	e3-align --poses metric.tum in.e3 >out.e3 # orientations do too
	close_to 1e-3 out.e3 metric.tum
	e3-align --gps line.gps --time-offset 1000 in.e3 2>err >out.e3
	grep -q "no frame is within 0.02 s of its times, 1000 to 1009.5 (see --max-gap, --time-offset)" err
	"$made" same in.e3 out.e3
}

@test "a stream that begins in its middle, lacks joins or has them late is aligned all the same" {
	make_stream in.e3 first=7 frame=1000 loops=8 truth=truth.tum
	e3-align in.e3 >out.e3
	close_to 0.05 out.e3 truth.tum
	make_stream in.e3 joins=0 loops=8
	e3-align --json --report r.json in.e3 >out.e3
	close_to 0.05 out.e3 truth.tum
	figure r.json 'r["joins"] == 0 and r["joins_assumed"] == 11'
	make_stream in.e3 order=late loops=8
	e3-align --json --report r.json in.e3 >out.e3
	close_to 0.05 out.e3 truth.tum
	figure r.json 'r["joins"] == 11 and r["joins_assumed"] == 0'
	# A loop to a segment that is not there.
	e3-cat --skip 24 in.e3 cut.e3
	e3-align --json --report r.json cut.e3 >out.e3
	figure r.json 'r["edges_unused"] >= 3 and r["loops_used"] == 3'
}

@test "segments do not go back" {
	make_stream in.e3
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" in.e3 bad.e3 'for x in m:
    if x[0] == 3 and x[1]["i"] == 50: x[1]["segment"] = 2'
	fails 1 "e3-align: pred 50: aligning: segment 2 after segment 6: segments do not go back" -- e3-align bad.e3
	fails 1 "segments do not go back" -- e3-align --final bad.e3
}

@test "files of poses and positions that are wrong are named with their line, before the stream is read" {
	printf '0 0 0 0 0 0 0 1\n0.1 0 0 0 0 0 1\n' >poses
	fails 1 "e3-align: reading: poses: line 2: 7 numbers: expected 8" -- e3-align --poses poses absent.e3
	printf '0 1 2 3\n1 1 x 3\n' >gps
	fails 1 "e3-align: reading: gps: line 2: 'x' is not a finite number" -- e3-align --gps gps absent.e3
	printf '0 500000 4200000 3\n' >gps
	fails 1 "coordinate 500000: expected at most 100000: predictions have single precision; subtract an origin" -- e3-align --gps gps absent.e3
	echo "# nothing" >gps
	fails 1 "e3-align: reading: gps: holds no line of numbers" -- e3-align --gps gps absent.e3
	fails 1 "absent.gps" -- e3-align --gps absent.gps absent.e3
	touch file
	fails 1 "file/r" -- e3-align --report file/r absent.e3
	fails 2 "--gps-lla: needs --gps" -- e3-align --gps-lla in.e3
	fails 2 "--report and --edges need a file" -- e3-align --report - in.e3
}

@test "the table of edges has joins and loops with their places" {
	make_stream in.e3 drift=0 loops=8 truth=truth.tum
	e3-align --edges edges.tsv in.e3 >out.e3
	[ "$(head -1 edges.tsv | cut -f 1-5)" = $'type\ta\tb\tframe_a\tframe_b' ]
	[ "$(grep -c '^join' edges.tsv)" -eq 11 ]
	[ "$(grep -c '^loop' edges.tsv)" -eq 6 ]
	# Exact loops: both cameras are in the same place.
	awk -F'\t' '$1 == "loop" { for (k = 6; k <= 8; k++) if (($k - $(k + 3)) ^ 2 > 1e-8) { print; exit 1 } }' edges.tsv
	e3-align -v in.e3 2>err >out.e3
	grep -q '^loops  *6 used, 0 refused (geman-mcclure, width 10), 0 edges not used$' err
	grep -q '^loop  *frames 0 and 48, segments 0 and 6: residual' err
}

@test "f16 predictions stay f16 until the world is known" {
	make_stream in.e3 half=1 loops=8 tum=metric.tum
	e3-align in.e3 | e3-dump --json - | grep '"kind": *"pred"' | tail -1 | grep -q '"f16"'
	e3-align --poses metric.tum in.e3 | e3-dump --json - | grep '"kind": *"pred"' | tail -1 >last
	[ "$(grep -c '"f16"' last)" -eq 0 ]
	grep -q '"f32"' last
}

@test "in a pipeline: segments of e3-infer, and a known distance" {
	e3-scene --frames 12 --size 56x42 | e3-infer -q --model seed:tiny:7 --budget 3f --segment 5f >in.e3
	[ "$(e3-dump in.e3 | grep -c '^edge')" -ge 2 ]
	e3-align <in.e3 | "$made" same in.e3 /dev/stdin
	e3-cat in.e3 | e3-align --distance 0,9,4 | e3-export -q --tum out.tum
	/usr/bin/python3 -c 'import numpy as np
p = np.loadtxt("out.tum")[:, 1:4]
assert abs(np.linalg.norm(p[0] - p[9]) - 4) < 0.004, np.linalg.norm(p[0] - p[9])'
}

# Starts e3-align with these options on a fifo, sends it all of in.e3 but the end, waits until it is read, sends SIGNAL.
interrupt() { # interrupt SIGNAL OPTION...
	local signal=$1
	shift
	mkfifo fifo
	e3-align "$@" -o out.e3 <fifo 2>err &
	pid=$!
	exec 7>fifo
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" in.e3 - 'del m[-1]' >&7
	wait_until 20 all_read fifo
	kill "-$signal" "$pid"
}

@test "SIGINT finishes the stream with the frames so far, corrected; kill -9 leaves nothing" {
	make_stream in.e3 loops=8 truth=truth.tum
	export TMPDIR=$T/spool
	mkdir spool
	for final in "" --final; do
		rm -f fifo out.e3
		# shellcheck disable=SC2086
		interrupt INT $final
		rc=0
		wait "$pid" || rc=$?
		exec 7>&-
		[ "$rc" -eq 130 ]
		close_to 0.05 out.e3 truth.tum
	done
	rm fifo out.e3
	interrupt KILL --final
	wait "$pid" || true
	exec 7>&-
	[ ! -e out.e3 ]
	[ -z "$(ls -A spool)" ]
	rm -f ./*.tmp.*
}

@test "an abort and a truncated stream pass downstream, and nothing is finished" {
	make_stream in.e3 loops=8
	head -c 20000 in.e3 >cut.e3
	fails 1 "truncated" -- e3-align -o out.e3 cut.e3
	fails 1 "truncated" -- e3-align --final -o out.e3 cut.e3
	[ ! -e out.e3 ]
	for final in "" --final; do
		set +e
		# shellcheck disable=SC2086
		e3-cat cut.e3 2>e1 | e3-align $final 2>e2 | e3-export -q --tum x.tum 2>e3
		rc="${PIPESTATUS[*]}"
		set -e
		[ "$rc" = "1 1 1" ]
		grep -q "e3-cat failed" e2
		grep -q "e3-cat failed" e3
	done
}

@test "--final: a TMPDIR that fills costs the messages that it does not hold" {
	make_stream in.e3 loops=8
	blocks=$(($(stat -c %s in.e3) / 2048))
	fails 1 "writing to a temporary file (TMPDIR chooses where): File too large" -- \
		bash -c 'ulimit -f "$1"; exec e3-align --final -o out.e3 in.e3' - "$blocks"
	[ ! -e out.e3 ]
	n=$(e3-dump out.e3.partial 2>/dev/null | grep -c '^pred')
	[ "$n" -gt 10 ]
	grep -q "out.e3: cut short: the $n frames that came are kept in out.e3.partial" "$T/stderr"
}

@test "memory is bounded by the number of segments" {
	! ldd "$(command -v e3-align)" | grep -q libasan || skip "a sanitizer build keeps freed memory"
	peak() { # KB of a run over N frames of a stream
		make_stream long.e3 "frames=$1" "rounds=$2" loops=64 drift=0.0003 segment=16
		/usr/bin/python3 -c 'import resource, subprocess, sys
subprocess.run(["e3-align", "long.e3"], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)'
	}
	short=$(peak 640 4)
	long=$(peak 6400 40)
	echo "# 40 segments: $short KiB, 400 segments: $long KiB"
	[ $(((long - short) * 1024 / 360)) -lt 20000 ] # bytes a segment
}

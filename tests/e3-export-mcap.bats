#!/usr/bin/env bats
# e3-export --mcap: read back by tests/mcap_check.py (the specification, numpy, protobuf), which shares no code with it, and by Foxglove's library.
load common

prepare() {
	mkdir "$T/tmp"
	export TMPDIR=$T/tmp
	cd "$T" || return 1
}
edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }
mcap() { /usr/bin/python3 -B "$ROOT/tests/mcap_check.py" "$@"; }

@test "--mcap: cameras, pictures, depth, points and path of every frame, at its time" {
	stream x.e3 frames=5 w=60 h=40
	e3-export -q --mcap x.mcap --ply x.ply --ply-frame x.e3
	mcap frames x.mcap x.e3 x.ply
	e3-export -q --mcap - x.e3 | cmp - x.mcap
	e3-export -q --conf-pct 20 --max-points 1000 --mcap x.mcap --ply x.ply --ply-frame x.e3 # not merged: each frame has points of its own
	mcap frames x.mcap x.e3 x.ply
	mcap facts x.mcap >facts
	diff <(grep -v "^chunks" facts) - <<-ROWS
		/tf 5
		/camera/calibration 5
		/camera/image 5
		/camera/depth 5
		/points 5
		/map 1
		/path 1
		times 0 2000000000
		e3 tool $(e3-export --version)
		e3 source made up
		e3 model none
		e3 policy none
		e3 device cpu
		e3 frames 5
		e3 complete true
		e3 world world = first camera, OpenCV axes (x right, y down, z forward), scale arbitrary
	ROWS
	e3-export --mcap x.mcap x.e3 2>err
	grep -qE "^e3-export: x.mcap: [0-9]+ points of 12000 \([0-9]+ passed confidence [0-9.]+ and masks\), 5 frames$" err
	[ -z "$(ls tmp)" ]
}

@test "--mcap: many chunks, which readers find by their times" {
	stream x.e3 frames=3 w=320 h=240 repeat=7
	e3-export -q --stride 8 --conf-pct 20 --mcap x.mcap --ply x.ply --ply-frame x.e3
	mcap frames x.mcap x.e3 x.ply >said
	cat said
	[ "$(sed -n 's/.* \([0-9]*\) chunks.*/\1/p' said)" -ge 2 ]
}

@test "--mcap: Foxglove's library reads it as a stream, by its index, and from any time" {
	[ -e "$ROOT/tests/node_modules/@mcap/core/package.json" ] || skip "needs npm ci in tests/"
	stream x.e3 frames=3 w=320 h=240 repeat=5
	stream few.e3 frames=2 without=pose colour=250,120,10
	e3-export -q --stride 8 --conf-pct 20 --mcap x.mcap x.e3
	e3-export -q --points map --mcap few.mcap few.e3
	node "$ROOT/tests/read_mcap.js" x.mcap few.mcap >said
	cat said
	diff <(cut -d' ' -f1,2,4,5 said) - <<-ROWS
		x.mcap 77 7 15
		few.mcap 9 7 2
	ROWS
	[ "$(sed -n '1s/^x.mcap 77 \([0-9]*\) .*/\1/p' said)" -ge 2 ]
	# it would say so: a byte of a point, and one of the index
	for at in 2000000 -100; do
		/usr/bin/python3 -c '
import sys
b = bytearray(open("x.mcap", "rb").read())
b[int(sys.argv[1])] ^= 1
open("bad.mcap", "wb").write(b)' $at
		fails 1 "CRC" -- node "$ROOT/tests/read_mcap.js" bad.mcap
		fails 1 "differs: " -- mcap whole bad.mcap
	done
}

@test "--mcap: times of a live source, before zero and backwards; frames without a pose, depth, a lens or points" {
	stream x.e3 frames=4
	edit x.e3 live.e3 'for k, p in m: k == 3 and p.update(t_capture=1.7e9 + 0.25 + p["pts"] * 1.01)'
	edit x.e3 early.e3 'for k, p in m: k == 3 and p.update(pts=p["pts"] - 0.75)'
	edit x.e3 back.e3 'for k, p in m: k == 3 and p.update(pts=5 - p["pts"] * 1.5)'
	for s in live early; do
		e3-export -q --mcap $s.mcap --ply $s.ply --ply-frame $s.e3
		mcap frames $s.mcap $s.e3 $s.ply
	done
	mcap facts live.mcap >facts
	grep -qx "times 1700000000250000000 1700000001750000000" facts
	mcap facts early.mcap >facts
	grep -qx "times 0 1500000000" facts
	e3-export -q --mcap back.mcap back.e3
	mcap facts back.mcap >facts
	grep -qx "times 2750000000 5000000000" facts
	stream plain.e3 without=pose,depth
	e3-export -q --mcap plain.mcap --ply plain.ply --ply-frame plain.e3
	mcap frames plain.mcap plain.e3 plain.ply
	edit x.e3 odd.e3 'for k, p in m: k == 3 and p["i"] == 1 and p["pose"].update(data=p["pose"]["data"][:28] + bytes(8))'
	e3-export --points map --mcap odd.mcap --ply odd.ply --ply-frame odd.e3 2>err
	grep -q "odd.mcap: 1 of 4 frames have no usable field of view: their focal lengths are 0" err
	mcap frames odd.mcap odd.e3 odd.ply
	e3-export -q --conf-min 1000 --allow-empty --mcap none.mcap --ply none.ply --ply-frame x.e3
	mcap frames none.mcap x.e3 none.ply
	fails 1 "frame 0: points: the stream has no depth" -- e3-export --mcap no.mcap <(stream - without=points,depth)
	[ ! -e no.mcap ]
}

@test "--mcap: a scale that is known; the upright axes follow --up" {
	stream x.e3 frames=3
	e3-export -q --mcap x.mcap x.e3
	e3-export -q --scale 2 --up y --mcap two.mcap --tum two.tum x.e3
	/usr/bin/python3 -B - "$ROOT/tests" <<-'PY'
		import sys
		sys.path.insert(0, sys.argv[1])
		import numpy as np, make_pred
		from mcap_check import Mcap, numbers
		a, b = Mcap("x.mcap"), Mcap("two.mcap")
		one, two = ([t for _, t in m.topic(m.classes(), "/tf")] for m in (a, b))
		for x, y in zip(one, two):
		    assert np.allclose(2 * np.array(numbers(x.transforms[1].translation)), numbers(y.transforms[1].translation))
		tum = np.loadtxt("two.tum")
		assert np.allclose(tum[:, 1:4], [numbers(t.transforms[1].translation) for t in two])
		assert np.allclose(make_pred.rotation(numbers(two[0].transforms[0].rotation)) @ [0, 1, 0], [0, 0, 1])
		assert b.metadata["e3"]["world"].endswith("lengths times 2"), b.metadata
	PY
}

@test "--mcap: a full disk, a file that may not grow and a stream that breaks off leave what the manual says" {
	stream x.e3 frames=4 w=60 h=40
	mkdir out
	fails 1 "writing: /dev/full: No space left on device" -- e3-export --mcap /dev/full x.e3
	fails 1 "writing: standard output: No space left on device" -- bash -c "e3-export --mcap - x.e3 >/dev/full"
	fails 1 "1 of 2 outputs failed: writing: /dev/full: No space left on device" -- e3-export --mcap /dev/full --tum out/t x.e3
	[ "$(wc -l <out/t)" -eq 5 ]
	rm out/t
	fails 1 "out/x.mcap" -- bash -c 'ulimit -f 130; exec e3-export --conf-pct 0 --stride 2 --mcap out/x.mcap x.e3'
	[ -z "$(find out tmp -mindepth 1)" ]
	edit x.e3 cut.e3 'del m[-2:]'
	fails 1 "out/x.mcap: cut short: the 3 frames that came are kept in out/x.mcap.partial" -- e3-export --mcap out/x.mcap cut.e3
	[ "$(ls out)" = x.mcap.partial ]
	mcap facts out/x.mcap.partial >facts
	grep -qx "/tf 3" facts
	grep -qx "e3 complete false" facts
	[ -z "$(ls tmp)" ]
}

@test "--mcap: memory does not grow with the number of frames" {
	peak() {
		stream x.e3 frames=10 w=80 h=60 repeat="$1"
		ASAN_OPTIONS=quarantine_size_mb=0:thread_local_quarantine_size_kb=0 \
			/usr/bin/python3 -B "$ROOT/tests/export_check.py" peak-memory e3-export -q --stride 2 --conf-pct 20 --mcap x.mcap x.e3
	}
	few=$(peak 10) many=$(peak 30)
	echo "# 100 frames: $few KiB, 300 frames: $many KiB"
	[ $((many - few)) -lt 2048 ]
}

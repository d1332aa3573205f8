#!/usr/bin/env bats
# e3-eval recon: the truth fed back, known shifts and scales, cameras, result files, what cannot be scored.
load common

edit() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/edit_stream.py" "$@"; }

# A rendered room, its truth fed back as depth, camera and points (in the first camera's frame) of the same size; $1: Python on the
# points p of a frame i, [h, w, 3].
room() {
	e3-scene --seed 3 --frames 3 --size 96x72 -o "$T/frames.e3"
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/eval_stream.py" predict "$T/frames.e3" "$T/perfect.e3" "$T/off.e3"
	points "$T/perfect.e3" "$T/room.e3" "$1"
}
points() {
	edit "$1" "$2" "import numpy as np
def array(a, n): return np.frombuffer(a['data'], n)
truth = {f['i']: f for k, f in m if k == 8}
first = None
for k, f in m:
    if k != 3: continue
    i, t = f['i'], truth[f['i']]
    d = array(t['depth'], '<f4').reshape(f['h'], f['w']).astype(float)
    fx, fy, cx, cy = t['intrinsics']['data'] and array(t['intrinsics'], '<f8') if isinstance(t['intrinsics'], dict) else t['intrinsics']
    e = array(t['pose'], '<f4').astype(float)
    x, y, z, w = e[3:7] / np.linalg.norm(e[3:7])
    r = np.array([[1-2*(y*y+z*z), 2*(x*y-z*w), 2*(x*z+y*w)], [2*(x*y+z*w), 1-2*(x*x+z*z), 2*(y*z-x*w)], [2*(x*z-y*w), 2*(y*z+x*w), 1-2*(x*x+y*y)]])
    first = first or (r, e[:3])
    v, u = np.mgrid[0:f['h'], 0:f['w']]
    p = np.stack([(u - cx) * d / fx, (v - cy) * d / fy, d], -1)
    p = (p - e[:3]) @ r
    p = p @ first[0].T + first[1]
    $3
    c = dict(f['depth_conf'])
    f['points'] = dict(f['depth'], shape=[f['h'], f['w'], 3], data=p.astype('<f4').tobytes())
    f['points_conf'] = c"
}

holds() {
	/usr/bin/python3 - "$@" <<-'PY'
		import json, sys
		j = json.load(open(sys.argv[1]))
		s = j["sequences"][0]["recon"].get("points", {})
		for text in sys.argv[2:]:
		    if not eval(text):
		        sys.exit(f"not so: {text}\n{json.dumps(j, indent=1)}")
	PY
}

@test "the truth as prediction has no error; shift and scale are removed; the crop and the number of points" {
	room pass
	e3-eval recon --json "$T/room.e3" >"$T/j"
	holds "$T/j" 's["acc"] < 1e-5 and s["comp"] < 1e-5 and s["nc"] > 0.999 and s["fitness"] == 1' 's["points"] == 3 * 96 * 72' \
		'abs(s["scale"] - 1) < 1e-5' 's["not_finite"] == 0'
	edit "$T/room.e3" "$T/x.e3" 'for k, f in m:
    if k == 3: f.pop("depth"); f.pop("depth_conf")' # points alone
	e3-eval recon --json "$T/x.e3" >"$T/k"
	holds "$T/k" 's["points"] == 3 * 96 * 72 and s["acc"] < 1e-5'
	points "$T/perfect.e3" "$T/x.e3" 'p = 4 * p + [0, 0, 2.5]'
	e3-eval recon --json --crop 40 "$T/x.e3" >"$T/j"
	holds "$T/j" 's["acc"] < 1e-5 and s["comp"] < 1e-5' 'abs(s["scale"] - 0.25) < 1e-6' 's["points"] == 3 * 40 * 40'
	points "$T/perfect.e3" "$T/x.e3" 'p[::2, :, 0] += 0.02; p[1::2, :, 0] -= 0.02'
	e3-eval recon --json --icp 0 "$T/x.e3" >"$T/j"
	holds "$T/j" '0.0005 < s["acc"] <= 0.021' 's["nc"] < 0.9999' 's["fitness"] == 0'
}

@test "figures do not depend on the number of threads" {
	room 'p[..., 2] += 0.03 * np.sin(np.arange(96))'
	for n in 1 3; do
		e3-eval recon --json --threads $n "$T/room.e3" >"$T/j$n"
	done
	holds "$T/j1" 's["acc"] > 1e-3'
	cmp "$T/j1" "$T/j3"
}

@test "points from predicted depth and cameras; a similarity removes the scale of the cameras" {
	room pass
	e3-eval recon --json --use-proj "$T/perfect.e3" >"$T/j" # the room's principal point is half a pixel off the network's
	holds "$T/j" 's["acc"] < 2e-3 and s["nc"] > 0.99'
	edit "$T/perfect.e3" "$T/x.e3" 'import numpy as np
for k, f in m:
    if k != 3: continue
    f["depth"]["data"] = (3 * np.frombuffer(f["depth"]["data"], "<f4")).astype("<f4").tobytes()
    f["pose"]["data"] = (np.frombuffer(f["pose"]["data"], "<f4") * np.array([3, 3, 3, 1, 1, 1, 1, 1, 1])).astype("<f4").tobytes()'
	e3-eval recon --json --use-proj "$T/x.e3" >"$T/k"
	/usr/bin/python3 - "$T/j" "$T/k" <<-'PY'
		import json, sys
		a, b = (json.load(open(f))["sequences"][0]["recon"]["points"] for f in sys.argv[1:])
		assert abs(a["acc"] - b["acc"]) < 1e-5 and abs(a["nc"] - b["nc"]) < 1e-3 and abs(3 * b["scale"] / a["scale"] - 1) < 1e-4, (a, b)
	PY
	run e3-eval recon "$T/perfect.e3"
	[ "$status" = 1 ]
	[[ $output == *"no frame has predicted points; --use-proj computes them from depth and camera"* ]]
	[[ $output == *"nothing could be scored"* ]]
}

@test "points that are not finite are left out and counted; the result files" {
	room 'p[0, :5, 1] = np.nan'
	cp "$T/room.e3" "$T/other.e3"
	e3-eval recon --json --results "$T/r" "$T/room.e3" "$T/other.e3" >"$T/j"
	holds "$T/j" 's["not_finite"] == 15 and s["points"] == 3 * 96 * 72 - 15 and s["acc"] < 1e-3' 'j["average"]["recon"]["points"]["acc"] == s["acc"]'
	[ "$(wc -l <"$T/r/logs_0.txt")" = 2 ]
	grep -Eq '^Idx: room, Acc: [0-9.e-]+, Comp: [0-9.e-]+, NC1: [0-9.]+, NC2: [0-9.]+ - Acc_med: [0-9.e-]+, Compc_med: [0-9.e-]+, NC1c_med: [0-9.]+, NC2c_med: [0-9.]+$' "$T/r/logs_0.txt"
	cmp "$T/r/logs_0.txt" <(head -2 "$T/r/logs_all.txt")
	grep -Eq '^mean                : acc: 0\.000 \| comp: 0\.000 \| nc1: [01]\.[0-9]{3} \| nc2: [01]\.[0-9]{3} \| acc_med: 0\.000 \| comp_med: 0\.000 \| nc1_med: 1\.000 \| nc2_med: 1\.000 \| nc: [01]\.[0-9]{3} \| nc_med: 1\.000 \| $' "$T/r/logs_all.txt"
}

@test "the demo model is scored from frames to figures" {
	e3-scene --seed 7 --frames 3 | e3-infer --model "$DEMO/model.safetensors" -q | e3-eval recon >"$T/text"
	grep -q 'Acc.*Comp.*NC' "$T/text"
	[ "$(wc -l <"$T/text")" -le 25 ]
}

@test "a signal ends the scoring of many points without a report; its progress" {
	e3-scene -q --seed 5 --frames 12 | e3-infer -q --model "$DEMO/model.safetensors" --budget 4f --segment 0 -o "$T/x.e3"
	e3-eval recon --threads 1 --icp 0.5 --ply "$T/ply" "$T/x.e3" -o "$T/report" 2>"$T/e" 3>&- &
	local pid=$! rc=0
	wait_until 20 test -s "$T/ply/x-mask.ply" # reading is over
	kill -TERM $pid
	wait $pid || rc=$?
	[ "$rc" -eq 143 ] || { cat "$T/e"; return 1; }
	[ ! -e "$T/report" ]
	[ ! -e "$T/ply/x-mask_align.ply" ]
	[ ! -s "$T/e" ] || { cat "$T/e"; return 1; } # who stopped it knows
	# How far it is can be seen on a terminal.
	e3-cat --take 3 "$T/x.e3" -o "$T/y.e3"
	/usr/bin/python3 -B "$ROOT/tests/terminal.py" "e3-eval recon --threads 1 '$T/y.e3' >'$T/report'" >"$T/seen"
	grep -q 'y: ICP, step [0-9]* of at most 30: [0-9]* %' "$T/seen"
	grep -q 'y: normals: [0-9]* %' "$T/seen"
}

@test "a signal while it reads: the frames so far are scored" {
	room pass
	mkfifo "$T/pipe"
	e3-eval recon --json "$T/pipe" >"$T/j" 2>"$T/e" 3>&- &
	local pid=$! rc=0
	exec 7>"$T/pipe"
	head -c $(($(wc -c <"$T/room.e3") / 2)) "$T/room.e3" >&7
	wait_until 10 all_read "$T/pipe"
	kill -INT $pid
	wait $pid || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ] || { cat "$T/e"; return 1; }
	holds "$T/j" '0 < s["points"] < 3 * 96 * 72 and s["acc"] < 1e-5' 'j["sequences"][0]["interrupted"]'
}

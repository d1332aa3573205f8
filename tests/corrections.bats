#!/usr/bin/env bats
# Corrections (e3-stream(5), correct) in all that reads predictions: what comes out is what comes out of a stream whose predictions
# were corrected by numpy (tests/correct_stream.py) before.
load common

prepare() {
	mkdir "$T/tmp"
	export TMPDIR=$T/tmp
	cd "$T" || return 1
}
correct() { /usr/bin/python3 -B "$ROOT/tests/correct_stream.py" "$@"; }
check() { /usr/bin/python3 -B "$ROOT/tests/export_check.py" "$@"; }
edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }
# Frames 1 to 2 turned by 90 degrees about z, 3 to 4 by 180 about x; 0 and 5 stay: numbers that f32 holds exactly
turns=("1,2,2,0,0,1,1,8,-4,0.5" "3,4,0.5,1,0,0,0,-3,0.25,16")

@test "e3-export: every format holds the corrected predictions" {
	stream x.e3 frames=6 src_w=640 src_h=480
	correct x.e3 corrected.e3 applied.e3 "${turns[@]}"
	all=(--glb x.glb --cameras all --up first --ply x.ply --ply-frame --tum t --kitti k --intrinsics-txt i --intrinsics source --npz x.npz --depth d --depth-color c
		--depth-pfm p --mcap x.mcap --run-json run.json)
	e3-export -q --points map --conf-pct 20 "${all[@]}" corrected.e3
	check points x.glb applied.e3
	check cameras x.glb applied.e3
	check ply x.ply applied.e3
	check trajectory applied.e3 t k i source
	check npz x.npz applied.e3 0 loose
	/usr/bin/python3 -B "$ROOT/tests/mcap_check.py" frames x.mcap applied.e3 x.ply
	check depth applied.e3 d
	check depth-color applied.e3 c
	check run-json run.json applied.e3
	for f in p/*.pfm; do cp "$f" "ours-${f##*/}"; done
	rm -r p
	e3-export -q --depth-pfm p applied.e3
	for f in p/*.pfm; do cmp "$f" "ours-${f##*/}"; done
	e3-export -q --conf-pct 20 --glb x.glb --points depth corrected.e3
	check points x.glb applied.e3 20 depth
	# the corrections did something, and none of it is left in the temporary folder
	fails 1 "positions" -- /usr/bin/python3 -B "$ROOT/tests/export_check.py" ply x.ply x.e3
	[ -z "$(ls tmp)" ]
}

@test "e3-export: a corrected stream on a pipe; one that is announced and never corrected" {
	stream x.e3 frames=6
	correct x.e3 corrected.e3 applied.e3 "${turns[@]}"
	e3-export -q --ply a.ply corrected.e3
	e3-export -q --ply - <corrected.e3 | cmp - a.ply
	edit x.e3 announced.e3 'm[0][1]["corrects"] = 1'
	e3-export -q --glb a.glb --tum a.tum x.e3
	e3-export -q --glb b.glb --tum b.tum announced.e3
	cmp a.glb b.glb
	cmp a.tum b.tum
}

@test "e3-export: SIGINT: the frames so far, corrected as far as is known" {
	stream x.e3 frames=6
	correct x.e3 corrected.e3 applied.e3 "${turns[@]}"
	mkfifo in
	e3-export -q --points map --conf-pct 20 --ply a.ply --tum a.tum in &
	pid=$!
	exec 7>in
	head -c -10 corrected.e3 >&7
	wait_until 10 all_read in
	kill -INT $pid
	rc=0
	wait $pid || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ]
	[ "$(grep -vc '^#' a.tum)" -eq 6 ]
	check ply a.ply applied.e3
}

@test "e3-eval: figures of corrected predictions, in the stream itself and as the other side" {
	/usr/bin/python3 -B "$ROOT/tests/eval_stream.py" write perfect.e3
	bend=("0,1,1.5,0.1,-0.2,0.3,0.9,1,2,-1" "3,4,0.7,0.5,0.1,0,0.8,-2,0,0.5")
	correct perfect.e3 unused bent.e3 "${bend[@]/#//}"
	correct bent.e3 corrected.e3 back.e3 "${bend[@]}"
	e3-eval --json --align metric bent.e3 >bent.json
	e3-eval --json --align metric corrected.e3 >corrected.json
	e3-eval --json --align metric back.e3 >back.json
	e3-eval --json --align metric --against corrected.e3 perfect.e3 >against.json
	/usr/bin/python3 - <<-'PY'
		import json
		at = {n: json.load(open(n + ".json"))["sequences"][0] for n in ("bent", "corrected", "back", "against")}
		ate = {n: s["pose"]["Sim(3)"]["ate"] for n, s in at.items()}
		rel = {n: s["video_depth"]["metric"]["abs_rel"] for n, s in at.items()}
		print(ate, rel)
		assert ate["bent"] > 0.1 and rel["bent"] > 0.1
		assert ate["corrected"] < 1e-6 and ate["back"] < 1e-6 and ate["against"] < 1e-6
		assert rel["corrected"] < 1e-6 and rel["back"] < 1e-6 and rel["against"] < 1e-6
		assert at["corrected"]["frames"] == at["corrected"]["frames_with_pose"] == 6
	PY
	[ -z "$(ls tmp)" ]
}

@test "a correction that the head did not announce is refused" {
	stream x.e3 frames=6
	correct x.e3 corrected.e3 applied.e3 "${turns[@]}"
	edit corrected.e3 bad.e3 'm[0][1].pop("corrects")'
	for tool in "e3-export --tum t" e3-eval e3-evict-stats e3-dump; do
		fails 1 "a correct, but the head does not announce corrections (corrects)" -- $tool bad.e3
	done
	fails 1 "a correct, but the head does not announce corrections (corrects)" -- e3-cat bad.e3 out.e3
	[ ! -e t ]
	[ ! -e out.e3 ]
}

@test "a temporary folder that cannot be written is an error, where something has to wait" {
	stream x.e3 frames=6
	correct x.e3 corrected.e3 applied.e3 "${turns[@]}"
	TMPDIR=$T/missing fails 1 "temporary file" -- e3-eval corrected.e3
}

kinds() { e3-dump "$1" | cut -d' ' -f1 | uniq -c | awk '{ printf "%s%s ", $2, ($1 > 1 ? "*" $1 : "") }'; }

@test "e3-cat --take reads on for the corrections of what it took, and of nothing else" {
	stream x.e3 frames=6
	correct x.e3 corrected.e3 applied.e3 "${turns[@]}"
	for skip in 0 1 3; do
		e3-cat --skip $skip --take 2 corrected.e3 part.e3
		e3-cat --skip $skip --take 2 applied.e3 part-applied.e3
		e3-export -q --ply a.ply --tum a.tum part.e3
		e3-export -q --ply b.ply --tum b.tum part-applied.e3
		cmp a.ply b.ply
		[ "$(grep -vc '^#' a.tum)" -eq 2 ]
	done
	# the last one: frames 3 and 4; the wrong and the right correction of them
	[ "$(kinds part.e3)" = "head pred*2 correct*2 end " ]
	# the index of the second is beyond the part: it counts as no frame
	e3-cat --take 3 part.e3 again.e3
	cmp part.e3 again.e3
	e3-dump part.e3 | grep -q '^correct .* i=5 from=3 to=4 '
	# without corrections, or with none announced, the input ends at once
	[ "$(head -c $(($(stat -c %s x.e3) - 1)) x.e3 | e3-cat --take 2 - part.e3; kinds part.e3)" = "head pred*2 end " ]
	fails 1 "truncated" -- e3-cat --take 2 <(head -c -1 corrected.e3) o.e3
}

@test "e3-cat --then: numbers of segments go on, and corrections come after joining" {
	stream x.e3 frames=6
	numbered='
n = 0
for k, f in m:
    if k == 3: f.update(segment=n // 2 + START, world=[1.0, 0, 0, 0, 1, 0, 0, 0]); n += 1'
	edit x.e3 one.e3 "${numbered/START/0}"
	later='
m[0][1].update(seen=6, after=5)
for k, f in m:
    if k == 3: f["i"] += 6'
	edit x.e3 two.e3 "${numbered/START/2}$later"
	e3-cat one.e3 --then two.e3 both.e3
	[ "$(e3-dump both.e3 | sed -n 's/^pred.* segment=\([0-9]*\) .*/\1/p' | tr '\n' ' ')" = "0 0 1 1 2 2 2 2 3 3 4 4 " ]
	edit x.e3 two.e3 "${numbered/START/1}$later"
	fails 1 "joining: two.e3: frame 6 is of segment 1, but segment 2 came before" -- e3-cat one.e3 --then two.e3 both.e3
	edit x.e3 two.e3 "${numbered/START/2}$later"$'\nm[0][1]["corrects"] = 1'
	fails 1 "joining: two.e3: announces corrections, which one.e3 does not: join first, then correct" -- e3-cat one.e3 --then two.e3 both.e3
	edit one.e3 first.e3 'm[0][1]["corrects"] = 1'
	e3-cat first.e3 --then two.e3 both.e3
}

@test "edges and corrections stay when their frames are dropped for a slow reader" {
	stream x.e3 frames=6
	correct x.e3 corrected.e3 applied.e3 "${turns[@]}"
	edit corrected.e3 edges.e3 '
edge = lambda i: [11, {"i": i, "type": "join", "a": 0, "b": 1, "frames": [0, 0], "sim": [1, 0, 0, 0, 1, 0, 0, 0], "sigma": [0, 0, 0]}]
m[:] = [y for x in m for y in ([x, edge(x[1]["i"])] if x[0] == 3 else [x])]'
	# as in e3-cat.bats: nothing is read until everything was dropped that will be
	mkfifo in
	e3-cat --drop oldest --queue 1 in - 2>err | { wait_until 20 test -e go; cat; } >o.e3 &
	writer=$!
	exec 7>in
	cat edges.e3 >&7
	wait_until 10 all_read in
	exec 7>&-
	touch go
	wait $writer
	grep -q "5 of 6 frames were dropped" err
	[ "$(e3-dump o.e3 | grep -c '^edge ')" -eq 6 ]
	[ "$(e3-dump o.e3 | grep -c '^correct ')" -eq 4 ]
	[ "$(e3-dump o.e3 | grep -c '^pred ')" -eq 1 ]
	e3-export -q --ply a.ply o.e3
	e3-cat --skip 5 applied.e3 last.e3
	e3-export -q --ply b.ply last.e3
	cmp a.ply b.ply
}

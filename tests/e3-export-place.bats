#!/usr/bin/env bats
# Scale and place of a whole run: a factor, known distances, a known path, in every output. The walks are made and the outputs read by
# tests/place_check.py, which shares no code with e3-export.
load common

check() { /usr/bin/python3 -B "$ROOT/tests/place_check.py" "$@"; }

setup_file() {
	f=$BATS_FILE_TMPDIR
	mkdir "$f/block" "$f/line"
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/place_check.py" walk "$f/block/x.e3" "$f/block"
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/place_check.py" walk "$f/line/x.e3" "$f/line" line=1 frames=40
}
prepare() {
	cp -r "$BATS_FILE_TMPDIR/block/." "$T"
	cd "$T" || return
}

# every FOLDER OPTION...: all outputs whose numbers a place changes
every() {
	local d=$1
	mkdir "$d"
	shift
	e3-export --conf-pct 0 --align none --ply "$d/c.ply" --glb "$d/c.glb" --tum "$d/c.tum" --kitti "$d/c.kitti" --npz "$d/c.npz" \
		--depth-pfm "$d/pfm" --intrinsics-txt "$d/c.txt" --run-json "$d/run.json" "$@" x.e3
	cp truth.npz "$d"
}
comment() { sed -n 's/^comment //p;/^end_header/q' "$1"; }

@test "every output is moved: by a factor, by known distances, by GPS on a walk of 100 m" {
	every plain -q
	comment plain/c.ply | grep -q "world = first camera, .*, scale arbitrary"
	every factor -q --scale 2.5
	check moved plain factor factor/run.json
	comment factor/c.ply | grep -q "world = first camera, .*, lengths times 2.5"
	every distances -q --known-distance 0:10=21.8457 --known-distance 5:40=30.1
	check moved plain distances distances/run.json
	comment distances/c.ply | grep -q "lengths in the unit of known distances"
	every gps --align gps.csv 2>stderr
	grep -q "gps.csv: 51 places: scale 2[.0-9]*, 51 of 51 frames matched, 0.0 % of them do not fit" stderr
	check moved plain gps gps/run.json
	check place gps/run.json 1e-6
	check lengths gps/c.tum . 1e-6
	comment gps/c.ply | grep -q "world = metres east, north and up of latitude 48.775, longitude 9.18, altitude 251.5"
	! grep -q "scale arbitrary" -r factor distances gps
}

@test "a GLB stands upright: by what the file says is up, and by the cameras, which look down" {
	e3-export -q --glb a.glb --ply /dev/null --align gps.csv x.e3
	check upright a.glb . 0.01 placed
	e3-export -q --glb a.glb x.e3
	check upright a.glb . 0.1
	e3-export -q --glb a.glb --up first x.e3
	fails 1 "up" -- /usr/bin/python3 -B "$ROOT/tests/place_check.py" upright a.glb . 11
	fails 2 "expected gravity, first, or an axis of the stream: x, -x, y, -y, z or -z, got 'w'" -- e3-export --up w --glb a.glb x.e3
}

@test "wrong positions, columns in any order, holes, a telephone's log, times between lines" {
	placed() { e3-export --tum o.tum --run-json run.json "$@" x.e3 2>stderr; }
	placed --align bad.csv
	grep -q "bad.csv: 51 positions: scale 2.5[0-9]*, 51 of 51 frames matched, 29.4 % of them do not fit" stderr
	check place ./run.json 1e-6
	check lengths o.tum . 1e-6
	placed --align hole.csv
	grep -q "21 of 51 frames matched" stderr
	check place ./run.json 1e-6
	placed --align t.tum
	grep -q "known orientations differ from the cameras' by" stderr
	check place ./run.json 1e-6
	placed --align plain.txt --time-offset 1 # every frame is between two lines
	grep -q "50 of 51 frames matched" stderr
	check place ./run.json 0.1
	placed --align phone.csv --time-offset start
	check place ./run.json 0.02
	check lengths o.tum . 0.02
	grep -q '"origin":\[48.77' run.json
	# the clock as a date: 1.7e9 is 2023-11-14T22:13:20Z
	awk -F, 'NR == 1 { print; next } { printf "2023-11-14T22:%02d:%02d.000Z,%s,%s,%s\n", 13 + int((20 + $1) / 60), (20 + $1) % 60, $2, $3, $4 }' \
		gps.csv >date.csv
	placed --align date.csv --time-offset -1700000000
	check place ./run.json 1e-6
}

@test "a path on a line: turned by orientations, by what is up, or refused" {
	cd "$BATS_FILE_TMPDIR/line"
	cp truth.npz "$T"
	out=(--tum "$T/o.tum" --run-json "$T/run.json")
	e3-export "${out[@]}" --align t.tum x.e3 2>"$T/stderr"
	grep -q "the path is a line: the turn about it is from the known orientations" "$T/stderr"
	check place "$T/run.json" 1e-4
	e3-export "${out[@]}" --align gps.csv x.e3 2>"$T/stderr"
	grep -q "the path is a line: the turn about it is from the cameras, which are taken as upright" "$T/stderr"
	check place "$T/run.json" 1e-4
	rm "$T"/o.tum "$T"/run.json
	fails 1 "aligning with: xyz.csv: the path is a line (29.6 long, " -- \
		e3-export "${out[@]}" --align xyz.csv x.e3
	[ ! -e "$T/o.tum" ]
	e3-export -q "${out[@]}" --align xyz.csv --up z x.e3
	check place "$T/run.json" 1e-4
}

@test "lengths between points of the pictures; one that is mistaken" {
	e3-export --tum o.tum --run-json run.json --known-distance 0:10=21.8457 --known-distance 2@1,4:2@11,4=10 --known-distance 5:40=30 \
		--known-distance 7:30=5 x.e3 2>stderr
	grep -q "from 4 known distances" stderr
	grep -q "which does not fit the others" stderr
	e3-export -q --up z --run-json run.json x.e3 # which says what is up
	grep -q '"up": *{"from": *"given"' run.json
	fails 1 "finding the scale: known distance 1: frame 77 did not come: the stream has 51 frames, 0 to 50" -- \
		e3-export --tum no.tum --known-distance 0:77=1 x.e3
	fails 1 "known distance 1: frame 3: pixel 12.5,1 is outside of the picture, which is 12 × 8" -- \
		e3-export --tum no.tum --known-distance 3@12.5,1:4=1 x.e3
	[ ! -e no.tum ]
	for bad in 1:2 1:2=0 1:1=2 1@2:3=4 1@2,3:1@2,3=4 x:2=3 1.5:2=3 1:2=3x; do
		fails 2 "option --known-distance: expected " -- e3-export --tum no.tum --known-distance "$bad" x.e3
	done
}

@test "what does not fit is refused with numbers, and nothing is written" {
	mkdir out
	fails 1 "placing frame 0: depth " -- e3-export --depth-pfm out/pfm --scale 1e-9 x.e3
	has_text "$T/stderr" "which counts as unknown: expected more than 1e-08"
	[ ! -e out/pfm ]
	no() { fails 1 "$1" -- e3-export --tum out/o.tum --glb out/o.glb --align "${@:2}" x.e3; }
	no "later.csv: 0 of 51 frames have a known position, at least 3 are needed: the frames are from 0 to 100 s, the 51 lines of the file from 1000 to 1100 s" later.csv
	no "one.csv: 51 positions: they are all in one place" one.csv
	no "aligning: ./none: no such file, and not gl, upstream or none" ./none
	echo "speed,mood" >odd.csv
	no "reading: odd.csv: line 1: 'speed,mood': expected names of columns: time, lat, lon, alt" odd.csv
	printf 'time,lat,lon,alt\n1,48,9,\n' >odd.csv
	no "reading: odd.csv: line 2: z or altitude is missing" odd.csv
	printf 'time,lat,lon,alt\n1,48,x,3\n' >odd.csv
	no "reading: odd.csv: line 2: 'x' is not a finite number" odd.csv
	[ -z "$(ls out)" ]
	cp xyz.csv none
	e3-export -q --tum o.tum --glb o.glb --align ./none --align none x.e3
	check lengths o.tum . 1e-6
	fails 2 "contradict each other: each gives the scale" -- e3-export --tum o.tum --scale 2 --align xyz.csv x.e3
	fails 2 "contradict each other: each gives the scale" -- e3-export --tum o.tum --scale 2 --known-distance 1:2=3 x.e3
	fails 2 "--max-gap needs a file of positions for --align" -- e3-export --tum o.tum --max-gap 2 --align gl x.e3
}

@test "a stream that breaks off is placed by what came; one that cannot be placed and does not come again is kept" {
	head -c 60000 x.e3 >cut.e3
	fails 1 "cut short: the" -- e3-export --tum a.tum --align gps.csv cut.e3
	n=$(grep -vc '#' a.tum.partial)
	[ "$n" -gt 5 ]
	e3-export -q --tum b.tum --align gps.csv x.e3
	/usr/bin/python3 -c 'import numpy as np, sys
a, b = (np.loadtxt(f) for f in sys.argv[1:]); print(abs(a - b[:len(a)]).max()); assert abs(a - b[:len(a)]).max() < 1e-4' a.tum.partial b.tum
	# text goes on a pipe as the stream comes, where the scale is known
	[ "$(e3-export -q --scale 2 --tum - cut.e3 2>stderr | wc -l)" -eq $((n + 1)) ]
	rc=0
	cat x.e3 | e3-export --tum c.tum --align later.csv 2>stderr || rc=$?
	[ "$rc" -eq 1 ]
	grep -q "aligning with: later.csv: 0 of 51 frames have a known position" stderr
	e3-export -q --tum plain.tum x.e3
	cmp c.tum.partial plain.tum
	[ ! -e c.tum ]
}

@test "a corrected stream is placed as it was corrected" {
	/usr/bin/python3 -B "$ROOT/tests/align_stream.py" make s.e3 frames=60 rounds=1 segment=12 drift=0.02 loops=3 lla=l.txt tum=t.tum
	e3-align -q --poses t.tum s.e3 -o a.e3
	awk '!/#/ { print $1, $2 * 3, $3 * 3, $4 * 3 }' t.tum >three.txt
	e3-export --tum o.tum --align three.txt a.e3 2>stderr
	/usr/bin/python3 -c 'import numpy as np, sys
a, b = (np.loadtxt(f)[:, 1:4] for f in sys.argv[1:]); print(abs(a - b).max()); assert abs(a - b).max() < 0.05' o.tum three.txt
	grep -qE "scale (2.99|3)[0-9.]*, 60 of 60 frames" stderr
}

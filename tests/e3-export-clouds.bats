load common
# Clouds for other programs: axes, normals, splats. Read back by tests/cloud_check.py and tests/splat_check.py, which share no code with
# e3-export.

check() { /usr/bin/python3 -B "$ROOT/tests/cloud_check.py" "$@"; }
splat() { /usr/bin/python3 -B "$ROOT/tests/splat_check.py" "$@"; }

@test "--ply-axes: the cloud upright as the first camera, y up or z up, in one file and in one per frame" {
	stream "$T/x.e3"
	e3-export -q --conf-pct 0 --ply "$T/x.ply" "$T/x.e3"
	for axes in y-up z-up; do
		e3-export -q --conf-pct 0 --up first --ply-axes "$axes" --ply "$T/$axes.ply" "$T/x.e3"
		check axes "$T/x.ply" "$T/$axes.ply" "$axes" "$T/x.e3"
	done
	e3-export -q --conf-pct 0 --ply-axes opencv --ply - "$T/x.e3" | cmp - "$T/x.ply"
	e3-export -q --conf-pct 0 --per-frame --ply "$T/p" "$T/x.e3"
	e3-export -q --conf-pct 0 --per-frame --up first --ply-axes y-up --ply "$T/up" "$T/x.e3"
	for k in "$T"/p/*.ply; do check axes "$k" "$T/up/${k##*/}" y-up "$T/x.e3"; done
	fails 2 "opencv|y-up|z-up" -- e3-export --ply-axes x-up --ply "$T/x.ply" "$T/x.e3"
}

@test "--ply-normals: unit length, the walls of the room, towards the cameras" {
	e3-scene -q --seed 3 --frames 2 --size 120x90 -o "$T/a.e3"
	splat views "$T/a.e3" "$T/v.e3"
	e3-export -q --conf-pct 0 --ply-normals --ply "$T/x.ply" "$T/v.e3"
	check normals "$T/x.ply" "$T/v.e3"
	e3-export -q --conf-pct 0 --ply "$T/y.ply" "$T/v.e3"
	check without "$T/x.ply" "$T/y.ply"
}

@test "--splat: discs that look like the room from elsewhere, and less so with wrong sizes, rotations or colours" {
	for k in 120x90 240x180; do e3-scene -q --seed 3 --frames 6 --length 0.5 --noise 0 --size $k -o "$T/$k.e3"; done
	splat views "$T/120x90.e3" "$T/v.e3"
	e3-export -q --conf-pct 0 --splat "$T/x.ply" "$T/v.e3"
	splat record "$T/x.ply"
	splat pictures "$T/x.ply" "$T/240x180.e3"
	e3-export -q --conf-pct 0 --splat - "$T/v.e3" | cmp - "$T/x.ply"
	e3-export -q --conf-pct 0 --max-points 2000 --ply-axes y-up --splat "$T/few.ply" "$T/v.e3"
	splat record "$T/few.ply"
	grep -aqx "element vertex 2000" "$T/few.ply"
}

@test "--splat: one point, points on one spot and no point at all" {
	stream "$T/x.e3" frames=1 w=2 h=2 without=depth
	e3-export -q --conf-pct 0 --max-points 1 --points map --splat "$T/one.ply" "$T/x.e3"
	grep -aqx "element vertex 1" "$T/one.ply"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/x.e3" "$T/y.e3" \
		"d = m[1][1]['points']; d['data'] = struct.pack('<12f', *[1, 2, 3] * 4)"
	e3-export -q --conf-pct 0 --points map --splat "$T/spot.ply" "$T/y.e3"
	e3-export -q --conf-min 1000 --allow-empty --points map --splat "$T/none.ply" "$T/x.e3"
	for k in one spot none; do check finite "$T/$k.ply"; done
	grep -aqx "element vertex 4" "$T/spot.ply"
	grep -aqx "element vertex 0" "$T/none.ply"
}

@test "no frame has a field of view or a point map: the message says that, and the rest of the scene can be had" {
	stream "$T/x.e3"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$T/x.e3" "$T/dark.e3" 'for k, b in m:
	if k == 3:
		b["pose"]["data"] = b["pose"]["data"][:28] + bytes(8)
		b.pop("points", None), b.pop("points_conf", None)'
	fails 1 "selecting points: no frame has any: they need depth above 0 and a usable field of view" -- e3-export -q --glb "$T/x.glb" "$T/dark.e3"
	e3-export -q --allow-empty --glb "$T/x.glb" "$T/dark.e3"
	[ -s "$T/x.glb" ]
}

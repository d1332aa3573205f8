load common
# Clouds for other programs: axes. Read back by tests/cloud_check.py, which shares no code with e3-export.

stream() { /usr/bin/python3 -B "$ROOT/tests/make_pred.py" "$@"; }
check() { /usr/bin/python3 -B "$ROOT/tests/cloud_check.py" "$@"; }

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

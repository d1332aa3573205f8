#!/usr/bin/env bats
# e3-eval: perfect predictions, known perturbations, the same figures by numpy, truth from elsewhere, files, bad input.
load common

make_stream() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/eval_stream.py" write "$@"; }
judge() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/eval_stream.py" judge "$@"; }
edit() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/edit_stream.py" "$@"; }

# holds JSON-FILE EXPRESSION...: each Python expression over the report j, its first sequence s and the average a is true.
holds() {
	/usr/bin/python3 - "$@" <<-'PY'
		import json, math, sys
		j = json.load(open(sys.argv[1]))
		s, a = j["sequences"][0], j["average"]
		near = lambda x, y, e=1e-6: abs(x - y) <= e * max(1, abs(y))
		for text in sys.argv[2:]:
		    if not eval(text):
		        print("not so:", text)
		        print(json.dumps(j, indent=1)[:3000])
		        sys.exit(1)
	PY
}

@test "a perfect prediction has no error, wherever the truth comes from" {
	for order in before after; do
		make_stream "$T/x.e3" order=$order
		e3-eval --json --align median,scale,scale\&shift,metric,lstsq "$T/x.e3" >"$T/j"
		holds "$T/j" 's["frames"] == s["frames_with_depth"] == s["frames_with_pose"] == 6' 's["depth"]["per image"]["abs_rel"] < 1e-7' \
			's["depth"]["per image"]["d103"] == 1' 'sorted(s["video_depth"]) == ["lstsq", "median", "metric", "scale", "scale&shift"]' \
			'all(v["abs_rel"] < 1e-6 and v["rmse"] < 1e-6 and v["d103"] == 1 for v in s["video_depth"].values())' \
			's["pose"]["Sim(3)"]["ate"] < 1e-6 and s["pose"]["Sim(3)"]["rpe_r"] < 1e-4 and s["pose"]["Sim(3)"]["rotation"] < 1e-4' \
			'near(s["pose"]["Sim(3)"]["scale"], 1)' 's["pairs"]["all pairs"] == {**s["pairs"]["all pairs"], "auc30": 1, "auc3": 1, "rra3": 1,
			"rta3": 1, "pairs": 15}'
	done
}

@test "known perturbations have the errors of the closed form" {
	make_stream "$T/x.e3" depth=2,0,0 path=3 turn=12
	e3-eval --json --align median,metric "$T/x.e3" >"$T/j"
	holds "$T/j" 's["depth"]["per image"]["abs_rel"] < 1e-6' 'near(s["video_depth"]["median"]["s"], 0.5)' \
		'near(s["video_depth"]["metric"]["abs_rel"], 1)' 'near(s["video_depth"]["metric"]["log_rmse"], math.log(2))' \
		's["video_depth"]["metric"]["d2"] == 0 and s["video_depth"]["metric"]["d3"] == 0' 's["pose"]["Sim(3)"]["ate"] < 1e-6' \
		'near(s["pose"]["Sim(3)"]["scale"], 1 / 3)' 'near(s["pose"]["Sim(3)"]["rotation"], 12, 1e-5)' \
		'near(s["pose"]["Sim(3)"]["rotation_max"], 12, 1e-5)'
	# a tenth above and below, pixel by pixel: nothing to align by least squares but the mean
	make_stream "$T/x.e3" depth_at=checker
	e3-eval --json --align metric "$T/x.e3" >"$T/j"
	holds "$T/j" 'near(s["video_depth"]["metric"]["abs_rel"], 0.1)' 's["video_depth"]["metric"]["d103"] == 0' \
		's["video_depth"]["metric"]["d1"] == 1'
	# a shift: least squares takes it away, a scale does not; a truth of 4 times 1.1 is beyond a median of one image
	make_stream "$T/x.e3" depth=0.5,1,0
	e3-eval --json --align lstsq,scale "$T/x.e3" >"$T/j"
	holds "$T/j" 's["video_depth"]["lstsq"]["abs_rel"] < 1e-6' 'near(s["video_depth"]["lstsq"]["s"], 2)' \
		'near(s["video_depth"]["lstsq"]["t"], -2)' 's["video_depth"]["scale"]["abs_rel"] > 0.05'
	# inverse depth is aligned in its own domain: 0.02 + 1 / d would not be
	make_stream "$T/x.e3" depth_at=ramp depth=1,0,0 frames=2
	edit "$T/x.e3" "$T/inverse.e3" 'import numpy as np
for k, f in m:
    if k == 3: f["depth"]["data"] = (3 / np.frombuffer(f["depth"]["data"], "<f4")).astype("<f4").tobytes()'
	edit "$T/inverse.e3" "$T/y.e3" 'for k, f in m:
    if k == 8: f["depth"]["data"] = (lambda np: (3 / np.frombuffer([g for q, g in m if q == 3 and g["i"] == f["i"]][0]["depth"]["data"], "<f4")).astype("<f4").tobytes())(__import__("numpy"))'
	e3-eval video-depth --disparity --json --align median,scale "$T/y.e3" >"$T/j"
	holds "$T/j" 's["video_depth"]["median"]["abs_rel"] < 1e-5' 'near(s["video_depth"]["median"]["s"], 1 / 3, 1e-5)' \
		's["video_depth"]["scale"]["abs_rel"] < 1e-5'
}

@test "every figure equals that of numpy" {
	local k=0
	for options in "depth=0.8,0.3,0.05 jitter=0.1 turn=3 holes=40" "depth=1.3,0,0.2 jitter=0.4 path=0.2 seed=5 frames=11 order=before" \
		"depth=0.4,0,0.1 jitter=1 turn=-20 seed=9 frames=2" "depth=1,0,0.3 frames=9 truth=odd jitter=0.2 seed=2"; do
		# shellcheck disable=SC2086
		make_stream "$T/x.e3" $options
		if [ $((k++)) -eq 2 ]; then # two positions lie on a line
			fails 1 "evaluating pose: nothing could be scored" -- e3-eval pose "$T/x.e3"
			grep -q 'pose: x: not scored: .*on a line' "$T/stderr"
			continue
		fi
		e3-eval --json --align median,scale,metric,lstsq "$T/x.e3" >"$T/j"
		judge "$T/x.e3" "$T/j"
	done
	make_stream "$T/x.e3" depth=0.8,0.3,0.05 jitter=0.1
	e3-eval --json --max-depth 3 --align median,scale,metric,lstsq "$T/x.e3" >"$T/j"
	judge "$T/x.e3" "$T/j" 3
}

@test "prediction and truth of different sizes" {
	# the whole source at another size; a truth beside the network's picture; a crop; white borders
	make_stream "$T/x.e3" depth=2,0,0 tw=60 th=40 src_w=48 src_h=32 fit=0.5,0.5,0,0
	e3-eval --json "$T/x.e3" >"$T/j"
	holds "$T/j" 's["depth"]["per image"]["pixels"] == 6 * 60 * 40' 's["depth"]["per image"]["abs_rel"] < 1e-6' 's["pixels_cropped"] == 0'
	make_stream "$T/x.e3" tw=48 th=64 src_w=24 src_h=32 fit=1,1,0,-8
	e3-eval --json "$T/x.e3" >"$T/j"
	holds "$T/j" 's["depth"]["per image"]["pixels"] == 6 * 48 * 32' 's["pixels_cropped"] == 6 * 48 * 32'
	e3-eval "$T/x.e3" | grep -qx 'note: 50.0 % of the pixels with truth were cropped before the network: not scored'
	# 10 columns of border on either side of a 4 x 16 picture: the border's depth is nobody's
	make_stream "$T/x.e3" tw=8 th=32 src_w=4 src_h=16 fit=1,1,10,0
	edit "$T/x.e3" "$T/y.e3" 'import numpy as np
for k, f in m:
    if k == 3:
        d = np.frombuffer(f["depth"]["data"], "<f4").reshape(16, 24).copy()
        d[:, :10] = d[:, 14:] = 99
        f["depth"]["data"] = d.tobytes()'
	e3-eval video-depth --align metric --json "$T/y.e3" >"$T/j"
	holds "$T/j" 's["video_depth"]["metric"]["pixels"] == 6 * 8 * 32' 's["video_depth"]["metric"]["rmse"] < 1e-6'
	make_stream "$T/x.e3" tw=40 th=40
	fails 1 "truth of 40 × 40 pixels: it has neither the size of the network's picture (24 × 16) nor the shape of the source" -- e3-eval "$T/x.e3"
}

@test "--against compares with other predictions instead of the truth" {
	make_stream "$T/a.e3" depth=1,0,0 truth=none -- "$T/b.e3" depth=1.25,0,0 jitter=0.1
	e3-eval --json --align metric --against "$T/a.e3" "$T/b.e3" "$T/a.e3" >"$T/j"
	holds "$T/j" 'near(s["video_depth"]["metric"]["abs_rel"], 0.25)' 's["pose"]["Sim(3)"]["ate"] > 0.01' 's["frames_with_depth"] == 6' \
		'j["sequences"][1]["video_depth"]["metric"]["abs_rel"] == 0' 'j["sequences"][1]["pose"]["Sim(3)"]["ate"] < 1e-9'
	# the other way round it is the other share, and no truth of b.e3's counts
	e3-eval depth --json --align metric --against "$T/b.e3" "$T/a.e3" >"$T/j"
	holds "$T/j" 'near(s["depth"]["per image"]["abs_rel"], 0.2)'
	fails 2 "--against replaces --truth" -- e3-eval --against "$T/a.e3" --truth "$T/a.e3" "$T/b.e3"
	e3-export -q --tum "$T/a.tum" "$T/a.e3"
	fails 1 "comparing with $T/a.tum: expected a stream of predictions" -- e3-eval pose --against "$T/a.tum" "$T/b.e3"
	head -c 3000 "$T/a.e3" >"$T/cut.e3"
	fails 1 "$T/cut.e3" -- e3-eval --against "$T/cut.e3" "$T/b.e3"
}

@test "truth from another stream, from trajectory files, one for several inputs" {
	make_stream "$T/truth.e3" jitter=0 -- "$T/bare.e3" truth=none depth=1.2,0,0.1 jitter=0.1 -- "$T/told.e3" depth=1.2,0,0.1 jitter=0.1
	e3-eval --json "$T/told.e3" | sed 's/told/bare/g' >"$T/want"
	e3-eval --json --truth "$T/truth.e3" "$T/bare.e3" | cmp - "$T/want"
	e3-eval --json --truth "$T/truth.e3" "$T/bare.e3" "$T/bare.e3" >"$T/j"
	holds "$T/j" 'j["inputs"] == j["scored"] == 2' 'j["sequences"][0]["depth"] == j["sequences"][1]["depth"]' \
		'near(a["depth"]["per image"]["abs_rel"], s["depth"]["per image"]["abs_rel"], 1e-12)'
	fails 2 "--truth was given 2 times for 3 inputs" -- e3-eval --truth a --truth b x y z
	# trajectories: what e3-export writes is what the stream says, but for its digits
	e3-export --tum "$T/est.tum" --kitti "$T/est.kitti" "$T/bare.e3"
	e3-eval pose --json "$T/told.e3" >"$T/want"
	edit "$T/truth.e3" "$T/poses.e3" 'm[:] = [x for x in m if x[0] != 8]'
	e3-export -q --tum "$T/ref.tum" --kitti "$T/ref.kitti" "$T/poses.e3"
	for f in tum kitti; do
		e3-eval pose --json --truth "$T/ref.$f" "$T/est.$f" >"$T/j"
		/usr/bin/python3 - "$T/j" "$T/want" <<-'PY'
			import json, sys
			a, b = (json.load(open(f))["sequences"][0]["pose"]["Sim(3)"] for f in sys.argv[1:])
			for k in b:
			    assert abs(a[k] - b[k]) <= 1e-5 * max(1, abs(b[k])), (k, a[k], b[k])
		PY
		e3-eval pose --json --truth "$T/ref.$f" "$T/bare.e3" >"$T/j"
		holds "$T/j" 's["pose"]["Sim(3)"]["frames"] == 6' 's["pose"]["Sim(3)"]["ate"] > 0.01'
	done
	# scalar first, by option and by name
	awk '/^#/ { print; next } { print $1, $2, $3, $4, $8, $5, $6, $7 }' "$T/est.tum" >"$T/pred_traj.txt"
	cp "$T/pred_traj.txt" "$T/first.txt"
	e3-eval pose --json --truth "$T/ref.kitti" "$T/pred_traj.txt" 2>"$T/e" | sed 's/pred_traj.txt/est.tum/; s/pred_traj/est/' >"$T/a"
	grep -q 'read as scalar-first' "$T/e"
	e3-eval pose --json --truth "$T/ref.kitti" "$T/est.tum" >"$T/b"
	cmp "$T/a" "$T/b"
	# EuRoC: scalar first, nanoseconds, further columns, told by its names
	awk 'BEGIN { print "#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z [], v_RS_R_x [m s^-1]" }
		!/^#/ { printf "%.0f,%s,%s,%s,%s,%s,%s,%s,7\r\n", $1 * 1e9, $2, $3, $4, $8, $5, $6, $7 }' "$T/est.tum" >"$T/data.csv"
	printf '\xef\xbb\xbf# a byte order mark is no number\n' | cat - "$T/est.tum" >"$T/marked.txt"
	e3-eval pose --json --max-diff 0.001 --truth "$T/data.csv" "$T/marked.txt" >"$T/j"
	holds "$T/j" 's["pose"]["Sim(3)"]["frames"] == 6' 's["pose"]["Sim(3)"]["ate"] < 1e-9' 's["pose"]["Sim(3)"]["rpe_r"] < 1e-4'
	echo "1 0.5 0.5 0.5 0.5 1 2 3 1 a.png" >"$T/odd.txt"
	fails 1 "$T/odd.txt: this is text that begins with no line of a trajectory: expected a trajectory: a line of 8" -- e3-eval pose --truth "$T/odd.txt" "$T/est.tum"
	# the option holds for both files
	e3-eval pose --json --traj-format wxyz --truth "$T/first.txt" "$T/first.txt" >"$T/j"
	holds "$T/j" 's["pose"]["Sim(3)"]["ate"] < 1e-9'
	# by number, or by time
	sed -n '1,4p' "$T/ref.tum" >"$T/short.tum"
	fails 1 "6 predicted, 3 true ones in $T/short.tum: --max-diff SEC pairs them by time" -- e3-eval pose --truth "$T/short.tum" "$T/est.tum"
	e3-eval pose --json --max-diff 0.01 --truth "$T/short.tum" "$T/est.tum" >"$T/j"
	holds "$T/j" 's["frames"] == 6 and s["pose"]["Sim(3)"]["frames"] == 3'
	# four predictions for each true pose: that at its time has it, and the others between them have none
	path() { awk -v step="$1" 'BEGIN { for (t = 0; t <= 5; t += step) print t, t, t * t, sin(t), 0, 0, 0, 1 }'; }
	path 1 >"$T/slow.tum"
	path 0.25 >"$T/fast.tum"
	e3-eval pose --json --max-diff 0.3 --truth "$T/slow.tum" "$T/fast.tum" >"$T/j"
	holds "$T/j" 's["pose"]["Sim(3)"]["frames"] == 6 and s["pose"]["Sim(3)"]["ate"] < 1e-5'
}

@test "the text report has at most 25 lines of at most 150 characters, for one sequence and for thirty" {
	local k more=()
	for k in {2..30}; do more+=(-- "$T/s$k.e3" seed="$k" "depth=1.2,0,0.1" jitter=0.1 frames=3 w=6 h=4); done
	make_stream "$T/s1.e3" depth=1.2,0,0.1 jitter=0.1 name=clip "${more[@]}"
	e3-eval "$T/s1.e3" >"$T/o"
	[ "$(wc -l <"$T/o")" -eq 11 ]
	[ "$(awk '{ if (length > n) n = length } END { print n }' "$T/o")" -le 150 ]
	grep -qx 's1: 6 frames, model none on cpu, policy none, cache 2.0 of 3.0 MiB' "$T/o"
	e3-eval "$T"/s?.e3 "$T"/s??.e3 >"$T/o"
	[ "$(wc -l <"$T/o")" -le 25 ]
	grep -qx '30 of 30 sequences scored, 93 frames' "$T/o"
	[ "$(grep -c '^  average' "$T/o")" -eq 5 ]
	e3-eval pose "$T"/s?.e3 "$T"/s??.e3 >"$T/o"
	[ "$(wc -l <"$T/o")" -le 25 ]
	[ "$(wc -l <"$T/o")" -ge 20 ]
	# the worst are shown, and that they are
	sed -n 2p "$T/o" | grep -q '^pose, worst 22 of 30 '
	e3-eval --json pose "$T"/s?.e3 "$T"/s??.e3 >"$T/j"
	worst=$(/usr/bin/python3 -c 'import json, sys; print(max(json.load(open(sys.argv[1]))["sequences"], key=lambda s: s["pose"]["Sim(3)"]["ate"])["name"])' "$T/j")
	[ "$(sed -n 3p "$T/o" | awk '{ print $1 }')" = "$worst" ]
}

@test "averages: weighted by pixels, unweighted, pooled; by folder" {
	mkdir -p "$T/apple" "$T/pear"
	make_stream "$T/apple/a.e3" depth=1.2,0,0.1 jitter=0.2 frames=5
	make_stream "$T/apple/b.e3" depth=0.7,0,0.3 jitter=0.6 turn=4 frames=4 holes=200 seed=4
	make_stream "$T/pear/c.e3" depth=0.7,0,0.2 jitter=0.4 frames=7 seed=3
	e3-eval --json "$T"/*/*.e3 >"$T/j"
	holds "$T/j" 'j["scored"] == 3' 'sum(q["depth"]["per image"]["pixels"] for q in j["sequences"]) == a["depth"]["per image"]["pixels"]' \
		'all(near(sum(q[t][r][f] * q[t][r]["pixels"] for q in j["sequences"]) / a[t][r]["pixels"], a[t][r][f], 1e-10)
		for t, r in (("depth", "per image"), ("video_depth", "scale")) for f in ("abs_rel", "rmse", "log_rmse", "d1"))' \
		'all(near(sum(q["pose"]["Sim(3)"][f] for q in j["sequences"]) / 3, a["pose"]["Sim(3)"][f], 1e-10) for f in ("ate", "rpe_t", "rpe_r"))' \
		'all(near(sum(q["pairs"]["all pairs"][f] * q["pairs"]["all pairs"]["pairs"] for q in j["sequences"]) / (10 + 6 + 21),
		a["pairs"]["all pairs"][f], 1e-10) for f in ("auc30", "rta5"))'
	e3-eval pairs --json --by-folder "$T"/*/*.e3 >"$T/f"
	e3-eval pairs --json "$T"/apple/*.e3 >"$T/apple.json"
	e3-eval pairs --json "$T"/pear/c.e3 >"$T/pear.json"
	/usr/bin/python3 - "$T/f" "$T/apple.json" "$T/pear.json" <<-'PY'
		import json, sys
		f, apple, pear = (json.load(open(x)) for x in sys.argv[1:])
		part = lambda x: x["pairs"]["all pairs"]
		assert [s["name"].split("/")[-1] for s in f["sequences"]] == ["apple", "pear"] and f["inputs"] == 3
		assert part(f["sequences"][0]) == part(apple["average"])
		for k in ("auc30", "auc5", "rra5", "rta15"):
		    assert abs(part(f["average"])[k] - (part(apple["average"])[k] + part(pear["sequences"][0])[k]) / 2) < 1e-12, k
	PY
}

@test "the reference's result files" {
	make_stream "$T/alley_2.e3" depth=1.2,0.1,0.1 jitter=0.2
	make_stream "$T/cave_2.e3" depth=0.9,0.1,0.1 jitter=0.1 seed=2
	e3-eval --json --dataset sintel --align scale,scale\&shift --results "$T/r" --npy "$T/alley_2.e3" "$T/cave_2.e3" >"$T/j"
	[ "$(cd "$T/r" && find . -type f | grep -vc npy)" -eq 12 ]
	/usr/bin/python3 - "$T/r" "$T/j" "$T/alley_2.e3" "$BATS_TEST_DIRNAME" <<-'PY'
		import json, re, sys
		import numpy as np
		sys.path.insert(0, sys.argv[4])
		from e3read import messages
		r, j = sys.argv[1], json.load(open(sys.argv[2]))
		names = ("abs_rel", "sq_rel", "rmse", "log_rmse", None, "d1", "d2", "d3")
		for f, want in (("metric.json", j["average"]["depth"]["per image"]), ("result_scale.json", j["average"]["video_depth"]["scale"]),
		                ("result_scale&shift.json", j["average"]["video_depth"]["scale&shift"])):
		    text = open(f"{r}/{f}").read()
		    got = json.loads(text)
		    assert text == json.dumps(got), text # Python's own form: the fewest digits, escapes, no newline
		    assert list(got) == ["Abs Rel", "Sq Rel", "RMSE", "Log RMSE", "δ < 1.", "δ < 1.25", "δ < 1.25^2", "δ < 1.25^3"]
		    for x, key in zip(got.values(), names):
		        assert abs(x - (want[key] if key else 0)) < 1e-11
		preds = messages(sys.argv[3], "pred")
		for i, p in enumerate(preds):
		    assert (np.load(f"{r}/alley_2/frame_{i:04d}.npy") == p["depth"]).all()
		traj = np.loadtxt(f"{r}/alley_2/pred_traj.txt")
		x, y, z, w = preds[3]["pose"][3:7].astype(float) / np.linalg.norm(preds[3]["pose"][3:7].astype(float))
		q = np.array([w, -x, -y, -z])
		assert traj.shape == (6, 8) and traj[3][0] == 3 and min(abs(traj[3][4:] - q).max(), abs(traj[3][4:] + q).max()) < 1e-9
		# the reference's save_focals and save_intrinsics
		k = np.zeros((6, 3, 3))
		for i, p in enumerate(preds):
		    fov = p["pose"][7:9].astype(float)
		    k[i] = [[p["w"] / 2 / np.tan(fov[1] / 2), 0, p["w"] / 2], [0, p["h"] / 2 / np.tan(fov[0] / 2), p["h"] / 2], [0, 0, 1]]
		assert k[0, 0, 0] != k[0, 1, 1]
		for f, want in (("pred_focal.txt", k[:, 0, 0]), ("pred_intrinsics.txt", k.reshape(-1, 9))):
		    np.savetxt(f"{r}/want", want, fmt="%.6f")
		    assert open(f"{r}/alley_2/{f}", "rb").read() == open(f"{r}/want", "rb").read(), f
		pose = [s["pose"]["Sim(3)"] for s in j["sequences"]]
		log = open(f"{r}/_error_log.txt").read()
		want = "".join("sintel-%-16s | ATE: %.5f, RPE trans: %.5f, RPE rot: %.5f\n%.5f\n%.5f\n%.5f\n" % ((s["name"],) + 2 * tuple(
		    s["pose"]["Sim(3)"][k] for k in ("ate", "rpe_t", "rpe_r"))) for s in j["sequences"])
		mean = [sum(float("%.6f" % p[k]) for p in pose) / 2 for k in ("ate", "rpe_t", "rpe_r")]
		assert log == want + "Average ATE: %.5f, Average RPE trans: %.5f, Average RPE rot: %.5f\n" % tuple(mean), log
		text = open(f"{r}/alley_2_eval_metric.txt").read()
		assert re.findall("rmse\t([0-9.]+)", text) == ["%.6f" % pose[0][k] for k in ("ate", "rpe_r", "rpe_t")], text
	PY
	fails 1 "would both be alley_2" -- e3-eval --results "$T/r2" "$T/alley_2.e3" "$T/alley_2.e3"
	[ ! -e "$T/r2" ]
	fails 2 "--npy: needs --results" -- e3-eval --npy "$T/alley_2.e3"
}

@test "result files and layouts equal those of the vectors" {
	/usr/bin/python3 - "$ROOT/tests/data/eval/vectors.json" "$T" <<-'PY'
		import json, sys
		v = json.load(open(sys.argv[1]))["vectors"]["pose/sim3_ate_rpe"]["inputs"]
		for name, rows in (("ref.txt", v["ref_xyz_qwxyz"]), ("demo.txt", v["est_xyz_qwxyz"])):
		    with open(f"{sys.argv[2]}/{name}", "w") as f:
		        for i, row in enumerate(rows):
		            print(i, *row, file=f)
	PY
	e3-eval pose --traj-format wxyz --truth "$T/ref.txt" --results "$T/r" "$T/demo.txt" >"$T/o"
	/usr/bin/python3 - "$ROOT/tests/data/eval/vectors.json" "$T/r" <<-'PY'
		import json, sys
		v = json.load(open(sys.argv[1]))["vectors"]
		assert open(sys.argv[2] + "/demo_eval_metric.txt").read() == v["pose/eval_metric_txt"]["expected"]
		# the layout of the line, with this sequence's numbers
		want = v["pose/error_log_lines"]["expected"].splitlines()[0]
		got = open(sys.argv[2] + "/_error_log.txt").read().splitlines()
		assert len(got) == 5 and got[0].index(" | ATE: ") - len("e3-") == want.index(" | ATE: ") - len("sintel-"), got
		assert got[0].split(" | ")[1] == "ATE: 0.02892, RPE trans: 0.04389, RPE rot: 2.82657" and got[1:4] == ["0.02892", "0.04389", "2.82657"]
		assert v["depth/json_line"]["expected"].startswith('{"Abs Rel": 0.25, "Sq Rel": 1.5') # its form: tested with Python's above
	PY
}

@test "memory does not grow with the pixels of a sequence" {
	make_stream "$T/short.e3" frames=10 w=160 h=120 -- "$T/long.e3" frames=250 w=160 h=120
	/usr/bin/python3 - "$T/short.e3" "$T/long.e3" <<-'PY'
		import os, subprocess, sys
		peak = []
		for f in sys.argv[1:]:
		    p = subprocess.Popen(["e3-eval", f], stdout=subprocess.DEVNULL)
		    _, status, use = os.wait4(p.pid, 0)
		    assert status == 0
		    peak.append(use.ru_maxrss / 1024)
		print(peak)
		assert peak[1] - peak[0] < 8, peak # its pixels alone are 35 MiB more
	PY
}

@test "after an interruption it reports the frames so far" {
	make_stream "$T/x.e3" frames=40
	mkfifo "$T/pipe"
	e3-eval --json "$T/pipe" >"$T/j" 2>"$T/e" 3>&- &
	local pid=$! rc=0 size
	size=$(wc -c <"$T/x.e3")
	exec 7>"$T/pipe"
	head -c $((size / 2)) "$T/x.e3" >&7
	wait_until 10 all_read "$T/pipe"
	kill -INT $pid
	wait $pid || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ] || { cat "$T/e"; return 1; }
	holds "$T/j" 's["interrupted"] and 15 < s["frames"] < 25' 's["depth"]["per image"]["abs_rel"] < 1e-6'
}

@test "predictions that are not finite are counted and named, and left out on request" {
	make_stream "$T/x.e3" nan=5 depth=1.1,0,0.1
	e3-eval --json "$T/x.e3" >"$T/j"
	holds "$T/j" 's["pixels_not_finite"] == 5 and s["first_not_finite"] == 1' 's["depth"]["per image"]["abs_rel"] is None'
	e3-eval "$T/x.e3" | grep -qx 'warning: 5 pixels with predictions that are not finite, first in x frame 1 (--finite leaves them out)'
	e3-eval --json --finite "$T/x.e3" >"$T/j"
	holds "$T/j" 's["depth"]["per image"]["pixels"] == 6 * 24 * 16 - 5' '0 < s["depth"]["per image"]["abs_rel"] < 0.2' \
		's["pixels_not_finite"] == 5'
}

@test "predictions of 0 and below are counted and named; NaN figures are explained" {
	make_stream "$T/x.e3" depth=1.1,0,0.1
	edit "$T/x.e3" "$T/zero.e3" 'for k, f in m:
    if k == 3 and f["i"] > 1: f["depth"]["data"] = bytes(len(f["depth"]["data"]))'
	edit "$T/x.e3" "$T/none.e3" 'for k, f in m:
    if k == 3: f["depth"]["data"] = struct.pack("<f", nan) * (24 * 16)'
	e3-eval "$T/zero.e3" >"$T/o"
	grep -qx 'warning: 1536 pixels predicted 0 or less, first in zero frame 2: if half of all pixels are, no alignment is meaningful' "$T/o"
	grep -Eq '^  zero +per image +nan +nan +nan +nan ' "$T/o"
	e3-eval --json "$T/zero.e3" "$T/x.e3" >"$T/j"
	holds "$T/j" 's["pixels_not_positive"] == 4 * 24 * 16 and s["first_not_positive"] == 2' 's["pixels_not_finite"] == 0' \
		's["depth"]["per image"]["abs_rel"] is None and a["depth"]["per image"]["abs_rel"] is None' \
		'j["sequences"][1]["pixels_not_positive"] == 0 and j["sequences"][1]["first_not_positive"] is None'
	/usr/bin/python3 -c 'import json, sys; json.load(open(sys.argv[1]), parse_constant=lambda x: sys.exit(x))' "$T/j"
	fails 1 "evaluating depth: nothing could be scored" -- e3-eval depth --finite "$T/none.e3"
	grep -q 'depth: none: not scored: no pixel with a truth has a finite prediction' "$T/stderr"
}

@test "what cannot be scored is reported, and bad input ends the program" {
	make_stream "$T/x.e3" -- "$T/bare.e3" truth=none -- "$T/poses.e3" truth=pose -- "$T/still.e3" still=1 -- "$T/single.e3" frames=1
	fails 1 "evaluating: $T/bare.e3: no truth beside its 6 predictions" -- e3-eval "$T/bare.e3"
	fails 1 "evaluating depth: nothing could be scored" -- e3-eval depth "$T/poses.e3"
	grep -q 'no frame has both a predicted and a true depth' "$T/stderr"
	e3-eval "$T/poses.e3" >"$T/o"
	grep -qx 'depth: not scored: no frame has both a predicted and a true depth' "$T/o"
	grep -q '^pose ' "$T/o"
	fails 1 "evaluating pose: nothing could be scored" -- e3-eval pose "$T/still.e3"
	grep -q 'degenerate: they are all in one place' "$T/stderr"
	e3-eval pose --json "$T/still.e3" "$T/x.e3" >"$T/j" 2>"$T/e"
	grep -q 'pose: still: not scored: .*degenerate' "$T/e"
	holds "$T/j" 's["pose"] == {}' 'a["pose"]["Sim(3)"]["frames"] == 6'
	e3-eval "$T/single.e3" >"$T/o"
	grep -qx 'truth: 1 frame with depth (24 x 16, predicted at 24 x 16), 1 with pose' "$T/o"
	grep -qx 'pose: not scored: a path needs two or more frames with poses' "$T/o"
	grep -qx 'pairs: not scored: a pair needs two frames with poses' "$T/o"
	edit "$T/x.e3" "$T/apart.e3" 'for k, f in m:
    if k == 8: f["i"] += 100'
	fails 1 "evaluating: $T/apart.e3: its 6 predictions and its 6 truths have no frame in common" -- e3-eval "$T/apart.e3"
	cat "$T/x.e3" "$T/x.e3" >"$T/twice.e3"
	fails 1 "reading: $T/twice.e3: more bytes after the end of the stream" -- e3-eval "$T/twice.e3"
	head -c 20000 "$T/x.e3" >"$T/cut.e3"
	fails 1 "truncated" -- e3-eval --results "$T/none" "$T/x.e3" "$T/cut.e3"
	[ ! -s "$T/stdout" ]
	[ ! -e "$T/none" ]
	e3-eval --compat "$T/x.e3" "$T/cut.e3" >"$T/o" 2>"$T/e"
	grep -qx '1 of 2 sequences scored, 6 frames' "$T/o"
	grep -q 'cut.e3: .*truncated.*: left out' "$T/e"
	edit "$T/x.e3" "$T/abort.e3" 'm[-1] = [7, {"tool": "e3-infer", "code": 1, "text": "no more film"}]'
	fails 1 "no more film" -- e3-eval "$T/abort.e3"
	printf 'hello\n' >"$T/text"
	fails 1 "reading: $T/text: this is text that begins with no line of a trajectory" -- e3-eval pose --truth "$T/text" "$T/x.e3"
	head -c 100 /dev/zero >"$T/zeros"
	fails 1 "not a stream, a safetensors file or a trajectory" -- e3-eval "$T/zeros"
	fails 1 "a safetensors file, expected a prediction stream" -- e3-eval "$DEMO/model.safetensors"
	fails 1 "neither a tensor 'depth' nor a tensor 'pose'" -- e3-eval --truth "$DEMO/model.safetensors" "$T/x.e3"
	printf '0 0 0 0 0 0 0 1\n' >"$T/one.txt"
	fails 1 "evaluating: $T/one.txt: a trajectory file carries no truth: --truth FILE attaches it" -- e3-eval pose "$T/one.txt"
	fails 2 "expected one of median|scale|scale&shift|metric|lstsq" -- e3-eval --align best "$T/x.e3"
	fails 2 "the task depth takes one --align" -- e3-eval depth --align median,scale "$T/x.e3"
	fails 1 "$T/absent.e3: No such file" -- e3-eval "$T/absent.e3"
	[ -e /dev/full ] || return 0
	e3-eval "$T/x.e3" >/dev/full 2>"$T/e" && return 1
	grep -q 'No space left' "$T/e"
}

# e3-scene --as NAME, e3-decode --dataset NAME, its truth fed back: no error but rounding; then with known errors, which are found.
data_set() {
	local name=$1 wh=120x90 options=(--fit 112)
	case $name in
	7scenes | nrgbd) wh=160x120 options+=(--stride 1) ;;
	co3d) options=(--draw 4 --min-frames 4) ;;
	esac
	e3-scene --as "$name" --seed 3 --frames 4 --size $wh "$T/$name"
	e3-decode --dataset "$name" --root "$T/$name" "${options[@]}" -o "$T/frames.e3"
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/eval_stream.py" predict "$T/frames.e3" "$T/perfect.e3" "$T/off.e3"
	e3-eval --align metric --json "$T/perfect.e3" >"$T/p.json"
	e3-eval --align metric,median --json "$T/off.e3" >"$T/o.json"
	case $name in
	tum | scannet | co3d) ;;
	*)
		holds "$T/p.json" 's["frames_with_depth"] == 4' 's["depth"]["per image"]["rmse"] == 0' 's["video_depth"]["metric"]["d103"] == 1'
		holds "$T/o.json" 'near(s["video_depth"]["metric"]["abs_rel"], 0.1)' 'near(s["video_depth"]["median"]["s"], 1 / 1.1)' \
			's["depth"]["per image"]["abs_rel"] < 1e-6'
		;;
	esac
	case $name in
	bonn | kitti | nyu) ;;
	*)
		holds "$T/p.json" 's["frames_with_pose"] == 4' 's["pose"]["Sim(3)"]["ate"] < 2e-6 and s["pose"]["Sim(3)"]["rpe_r"] < 1e-4' \
			's["pairs"]["all pairs"]["auc3"] == 1'
		holds "$T/o.json" 's["pose"]["Sim(3)"]["ate"] < 2e-6' 'near(s["pose"]["Sim(3)"]["scale"], 0.5, 1e-5)' \
			'near(s["pose"]["Sim(3)"]["rotation"], 5, 1e-4)'
		;;
	esac
}

@test "data sets for depth, from their own files to the metric" { for n in sintel kitti bonn nyu; do data_set $n; done; }
@test "data sets for reconstruction, from their own files to the metric" { for n in 7scenes nrgbd; do data_set $n; done; }
@test "data sets for poses, from their own files to the metric" { for n in tum scannet co3d; do data_set $n; done; }

@test "charts: errors at the right places, paths, accuracy against memory" {
	make_stream "$T/a.e3" tw=48 th=32 w=48 h=32 src_w=48 src_h=32 frames=20
	edit "$T/a.e3" "$T/b.e3" 'import numpy as np
for k, f in m:
    if k == 3:
        d = np.frombuffer(f["depth"]["data"], "<f4").reshape(32, 48).copy()
        d[8:16, 4:10] *= 2
        f["depth"]["data"] = d.tobytes()
    if k == 6: f["cache_peak"] = 1 << 20'
	e3-eval --png "$T/png" "$T/a.e3" "$T/b.e3" >"$T/o"
	[ "$(cd "$T/png" && find . -type f | sort | tr '\n' ' ')" = "./a/depth.png ./a/errors.png ./a/path.png ./a/position.png \
./a/rotation.png ./b/depth.png ./b/errors.png ./b/path.png ./b/position.png ./b/rotation.png ./memory_depth.png ./memory_pose.png " ] ||
		find "$T/png" >&2
	/usr/bin/python3 - "$T/png" <<-'PY'
		import sys
		import numpy as np
		from PIL import Image
		load = lambda f: np.asarray(Image.open(f"{sys.argv[1]}/{f}"), int)
		none, all_ = [0, 0, 4], [252, 253, 191] # magma's ends
		found = []
		for s in "ab":
		    im = load(f"{s}/errors.png")
		    # eight tiles of 48 x 32, the last of four rows: at the bottom, 16 from the edge
		    tiles = [im[-48:-16, 16 + 56 * k:64 + 56 * k] for k in range(8)]
		    for t in tiles:
		        spoiled = np.zeros((32, 48), bool)
		        spoiled[8:16, 4:10] = s == "b"
		        assert (t[spoiled] == all_).all() and (t[~spoiled] == none).all()
		    # beside them the scale of their colours
		    assert (im[-48, 464:478] == all_).all() and (im[-17, 464:478] == none).all()
		    found.append(im)
		assert found[0].shape == found[1].shape
		im = load("memory_depth.png").reshape(-1, 3)
		colours = np.unique(im[np.ptp(im, 1) > 40], axis=0)
		assert len(colours) >= 2 # two inputs, two colours
		red = lambda im: ((im[..., 0] > 150) & (im[..., 1] < 110) & (im[..., 2] < 110)).sum()
		assert red(load("a/path.png")) > 100 and red(load("a/rotation.png")) == 0
	PY
	e3-eval pose --png "$T/p2" --clip 1 "$T/a.e3" >"$T/o" # which the pictures of depth show
	[ ! -e "$T/p2/memory_pose.png" ]
	e3-eval recon --use-proj --png "$T/p3" "$T/a.e3" "$T/b.e3" >"$T/o"
	[ "$(cd "$T/p3" && echo *.png)" = memory_recon.png ]
	/usr/bin/python3 - "$T/p3/memory_recon.png" <<-'PY'
		import sys
		import numpy as np
		from PIL import Image
		im = np.asarray(Image.open(sys.argv[1]), int)[64:490, 94:990]
		spots = [tuple(c) for c in np.unique(im[np.ptp(im, 2) > 40], axis=0)]
		at = {c: np.argwhere((im == c).all(-1)).mean(0) for c in spots if (im == c).all(-1).sum() > 12}
		(ya, xa), (yb, xb) = sorted(at.values(), key=lambda p: -p[1]) # a held twice the memory
		assert len(at) == 2 and abs(xa - 2 * xb) < 3 and ya > yb, at # and is nearer to the truth
	PY
	fails 1 "$T/a.e3/x" -- e3-eval --png "$T/a.e3/x" "$T/a.e3"
}

@test "a rendered room through the pipeline in one command" {
	e3-scene --seed 7 --frames 6 | e3-infer -q --model "$DEMO/model.safetensors" --P 0.5 | e3-eval --json >"$T/j"
	holds "$T/j" 's["frames"] == s["frames_with_depth"] == s["frames_with_pose"] == 6' 's["depth"]["per image"]["abs_rel"] < 0.2' \
		's["pose"]["Sim(3)"]["rotation"] < 5' 's["policy"] == "evict3r"' 's["cache_peak"] > 0'
}

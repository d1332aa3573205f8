#!/usr/bin/env bats
# e3-eval recon on the data sets it is scored on, from their own files to the figures and the clouds: the truth fed back, known errors,
# everything against numpy.
load common

recon() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/recon_stream.py" "$@"; }

# NAME OPTIONS...: every second or third of six frames, as the loader of the data set makes them
frames_of() {
	local name=$1
	shift
	[ -e "$T/$name" ] || e3-scene --as "$name" --seed 3 --frames 6 --size 160x120 --noise 0 "$T/$name"
	e3-decode --dataset "$name" --root "$T/$name" --fit 112 "$@" -o "$T/$name.frames"
}

# scene STREAM CODE: predictions, called as their scene
scene() { recon predict "$T/$1.frames" "$T/$1.e3" "${2:-pass}"; }

holds() {
	/usr/bin/python3 - "$@" <<-'PY'
		import json, sys
		j = json.load(open(sys.argv[1]))
		s = j["sequences"][0]["recon"]["points"]
		for text in sys.argv[2:]:
		    if not eval(text):
		        sys.exit(f"not so: {text}\n{json.dumps(j, indent=1)}")
	PY
}

@test "7-Scenes and NRGBD: the truth as prediction has no error; shift and scale are removed" {
	for name in 7scenes nrgbd; do
		options=() views=2 # of 6 frames NRGBD's loader takes every third whatever the stride
		[ $name = nrgbd ] || options=(--stride 2) views=3
		frames_of $name "${options[@]}"
		[ "$(e3-dump "$T/$name.frames" | grep -c ^truth)" -eq $views ]
		scene $name
		e3-eval recon --dataset $name --results "$T/$name.r" --json "$T/$name.e3" >"$T/j"
		grep -q "^Idx: $([ $name = nrgbd ] && echo breakfast_room || echo chess/seq-03), Acc: " "$T/$name.r/logs_0.txt"
		holds "$T/j" "s['points'] == $views * 112 * 84 - s['not_finite'] and s['not_finite'] == 0" 's["acc"] < 1e-6 and s["comp"] < 1e-6' \
			's["nc"] > 0.9999' 'abs(s["scale"] - 1) < 1e-6 and s["fitness"] == 1'
		scene $name 'p *= 7; p[..., 2] -= 40'
		e3-eval recon --dataset $name --json --crop 60 "$T/$name.e3" >"$T/j"
		holds "$T/j" "s['points'] == $views * 60 * 60" 's["acc"] < 2e-5 and s["comp"] < 2e-5' 'abs(7 * s["scale"] - 1) < 1e-5'
	done
}

@test "known errors: ICP removes a shift; without ICP it is the distance; points beyond the radius stay" {
	for name in 7scenes nrgbd; do
		# one picture of 7-Scenes, whose points are farther apart than they are moved; of NRGBD two, which hardly ever meet closer
		frames_of $name --stride 6
		[ "$(e3-dump "$T/$name.frames" | grep -c ^truth)" -eq "$([ $name = nrgbd ] && echo 2 || echo 1)" ]
		scene $name 'p[..., 0] += 0.001'
		e3-eval recon --json --icp 0 "$T/$name.e3" >"$T/j"
		holds "$T/j" 'abs(s["acc_med"] - 0.001) < 1e-6 and abs(s["comp_med"] - 0.001) < 1e-6' 's["fitness"] == 0 and s["rmse"] == 0' \
			"abs(s['acc'] - 0.001) < $([ $name = nrgbd ] && echo 1e-5 || echo 1e-6)"
		e3-eval recon --json "$T/$name.e3" >"$T/j"
		holds "$T/j" 's["acc"] < 1e-5 and s["comp"] < 1e-5' 's["fitness"] == 1'
	done
	frames_of 7scenes --stride 6
	# every other row to the right, every other to the left: no motion helps
	scene 7scenes 'p[::2, :, 0] += 0.001; p[1::2, :, 0] -= 0.001'
	e3-eval recon --json "$T/7scenes.e3" >"$T/j"
	holds "$T/j" 'abs(s["acc_med"] - 0.001) < 5e-5 and abs(s["comp_med"] - 0.001) < 5e-5' 'abs(s["rmse"] - 0.001) < 5e-5'
	# four pixels a hundred metres off: 4 of 9408 points, whose distance is in Acc alone
	scene 7scenes 'p[40, 50:54, 1] += 100'
	e3-eval recon --json "$T/7scenes.e3" >"$T/j"
	holds "$T/j" 'abs(s["fitness"] - (1 - 4 / 9408)) < 1e-12' 'abs(s["acc"] - (4 * 100 / 9408 * s["scale"] + s["acc_med"])) < 1e-3' \
		's["comp"] < 3e-3' # they move the medians that scale is made of a little
}

@test "every figure and every cloud equals that of numpy: crops, radii, depth and camera instead of points" {
	frames_of 7scenes --stride 2
	frames_of nrgbd
	local code='p *= 1.3; p += 0.03 * rng.normal(size=p.shape); p[..., 2] += 0.2; d *= 1 + 0.01 * rng.normal(size=d.shape); c *= 1.1; c += 0.02 * rng.normal(size=3)'
	for name in 7scenes nrgbd; do
		scene $name "$code"
		for options in "--crop 24 --use-proj" "--crop 24 --icp 0.03"; do
			[ "$name $options" != "nrgbd --crop 24 --use-proj" ] || continue
			# shellcheck disable=SC2086
			e3-eval recon --json --ply "$T/ply" $options "$T/$name.e3" >"$T/j"
			keys=$(sed 's/--use-proj/proj=1/; s/--\([a-z]*\) \([0-9.]*\)/\1=\2/g' <<<"$options")
			# shellcheck disable=SC2086
			recon judge "$T/$name.e3" "$T/j" "$T/ply" $name $keys
		done
	done
}

@test "clouds: file names are safe, files are complete or absent, impossible requests are refused" {
	frames_of nrgbd
	scene nrgbd 'p[0, :5, 1] = np.nan'
	e3-eval recon --json --crop 0 --ply "$T/a/b" "$T/nrgbd.e3" >"$T/j"
	holds "$T/j" 's["not_finite"] == 10 and s["points"] == 2 * 112 * 84 - 10'
	[ "$(cd "$T/a/b" && echo *)" = "nrgbd-gt.ply nrgbd-mask.ply nrgbd-mask_align.ply" ]
	for f in "$T"/a/b/*; do
		grep -aqx "element vertex $((2 * 112 * 84 - 10))" "$f"
		[ "$(stat -c %s "$f")" -eq $(($(head -13 "$f" | wc -c) + 27 * (2 * 112 * 84 - 10))) ] || head -13 "$f"
	done
	fails 2 "--ply: needs the task recon" -- e3-eval --ply "$T/p" "$T/nrgbd.e3"
	mkdir "$T/c"
	cp "$T/nrgbd.e3" "$T/c/nrgbd.e3"
	fails 1 "would both be nrgbd" -- e3-eval recon --ply "$T/p" "$T/nrgbd.e3" "$T/c/nrgbd.e3"
	[ ! -e "$T/p" ]
	touch "$T/file"
	fails 1 "$T/file" -- e3-eval recon --ply "$T/file" "$T/nrgbd.e3"
}

#!/usr/bin/env bats
# Every vector of tests/data/eval/vectors.json is compared by a test, or is marked as informative. Vectors about lists of files are
# compared here, on data sets that e3-scene writes. The other vectors are compared by the unit tests, which log the names they use.
load common

vectors() { echo "$ROOT/tests/data/eval/vectors.json"; }

# numbers NAME STRIDE: the frames that are sent
numbers() {
	e3-decode --dataset "$1" --root "$T/$1" --fit 56 --stride "$2" | e3-dump - | sed -n 's/^frame.* src_i=\([0-9]*\).*/\1/p' | tr '\n' ' '
}

@test "mv/frame_sampling" {
	/usr/bin/python3 - "$(vectors)" >"$T/cases" <<-'PY'
		import json, re, sys
		for k, want in json.load(open(sys.argv[1]))["vectors"]["mv/frame_sampling"]["expected"].items():
		    name, n, stride = re.match(r"(\w+) N=(\d+) kf=(\d+)", k).groups()
		    print(name, n, stride, want if isinstance(want, int) else " ".join(map(str, want)))
	PY
	[ "$(wc -l <"$T/cases")" -eq 7 ]
	for name in 7scenes nrgbd; do e3-scene --as $name --seed 3 --frames 1 --size 64x48 --noise 0 "$T/$name"; done
	sort -k1,1 -k2,2nr "$T/cases" | while read -r name n stride want; do # the largest first: then some go
		/usr/bin/python3 - "$T/$name" "$n" "$want" <<-'PY'
			import glob, os, sys
			root, n, want = sys.argv[1], int(sys.argv[2]), [int(x) for x in sys.argv[3].split()]
			seven = root.endswith("7scenes")
			home = glob.glob(root + ("/*/seq-*" if seven else "/breakfast_room"))[0]
			image = lambda k: f"{home}/frame-{k:06d}.color.png" if seven else f"{home}/images/img{k}.png"
			others = lambda k: [f"{home}/frame-{k:06d}.{x}" for x in ("depth.proj.png", "pose.txt")] if seven else [f"{home}/depth/depth{k}.png"]
			for k in range(1, n): # pictures are counted
			    open(image(k), "a").close()
			for k in range(n, 1200):
			    if os.path.lexists(image(k)):
			        os.remove(image(k))
			for k in want if len(want) > 1 else range(0, n, 25): # and these are read
			    for to, of in zip([image(k)] + others(k), [image(0)] + others(0)):
			        if k:
			            os.path.lexists(to) and os.remove(to)
			            os.symlink(of, to)
			if not seven:
			    rows = open(f"{home}/poses.txt").readlines()[:4]
			    open(f"{home}/poses.txt", "w").write("".join(rows) * n)
		PY
		got=$(numbers "$name" "$stride")
		[[ $want == *" "* ]] || got="$(wc -w <<<"$got") " # a count
		[ "$got" = "$want " ] || { echo "$name, $n frames, every $stride: $got, expected $want"; return 1; }
	done
}

@test "mv/testsplit_parse" {
	/usr/bin/python3 - "$(vectors)" "$T" <<-'PY'
		import json, os, sys
		v = json.load(open(sys.argv[1]))["vectors"]["mv/testsplit_parse"]
		os.makedirs(f"{sys.argv[2]}/s/room")
		open(f"{sys.argv[2]}/s/room/TestSplit.txt", "w").write("\n".join(v["inputs"]) + "\n")
		open(f"{sys.argv[2]}/want", "w").write("".join(f"room/{x}\n" for x in sorted(v["expected"])))
	PY
	e3-decode --dataset 7scenes --root "$T/s" --list | cut -f1 | grep '^room/' | sort | diff - "$T/want"
}

@test "co3d/pytorch3d_to_opencv" {
	e3-scene --as co3d --seed 3 --frames 2 --size 64x48 "$T/co3d"
	/usr/bin/python3 - "$(vectors)" "$T/co3d/apple_test.jgz" <<-'PY'
		import gzip, json, sys
		v = json.load(open(sys.argv[1]))["vectors"]["co3d/pytorch3d_to_opencv"]["inputs"]
		j = json.load(gzip.open(sys.argv[2]))
		for frames in j.values():
		    frames[0].update(R=[[-1, 0, 0], [0, -1, 0], [0, 0, 1]], T=[0, 0, 0]) # the world
		    frames[1].update(v)
		gzip.open(sys.argv[2], "wt").write(json.dumps(j))
	PY
	e3-decode --dataset co3d --root "$T/co3d" --draw 2 --min-frames 2 -o "$T/x.e3"
	PYTHONPATH=$BATS_TEST_DIRNAME /usr/bin/python3 -B - "$(vectors)" "$T/x.e3" <<-'PY'
		import json, sys
		import numpy as np
		from e3read import messages
		from make_pred import rotation
		want = np.array(json.load(open(sys.argv[1]))["vectors"]["co3d/pytorch3d_to_opencv"]["expected"])
		order = [f["src_i"] for f in messages(sys.argv[2], "frame")]
		pose = messages(sys.argv[2], "truth")[1]["pose"].astype(float)
		r, t = rotation(pose[3:7]), pose[:3]
		if order == [1, 0]: # the drawn order: camera 0 seen from camera 1
		    r, t = r.T, -r.T @ t
		assert abs(np.column_stack([r, t]) - want).max() < 2e-6, (order, r, t, want) # the vector has six digits
	PY
}

@test "every vector is compared by a test or marked as informative" {
	local program
	export E3_VECTORS_SEEN=$T/seen
	for program in eval_vectors eval_recon sets_vectors eval_results; do
		"$B/tests/test_$program" >"$T/out" 2>&1 || { cat "$T/out"; return 1; }
	done
	/usr/bin/python3 - "$(vectors)" "$T/seen" "$BATS_TEST_DIRNAME" <<-'PY' >&3
		import json, re, sys
		vectors = json.load(open(sys.argv[1]))["vectors"]
		seen = set(open(sys.argv[2]).read().split())
		here = set(re.findall(r'^@test "(\w+/\w+)"', open(f"{sys.argv[3]}/eval-vectors.bats").read(), re.M))
		files = {"pose/eval_metric_txt"} # e3-eval.bats: a file that the tool writes
		assert all(f'v["{x}"]["expected"]' in open(f"{sys.argv[3]}/e3-eval.bats").read() for x in files)
		informs = {k for k, v in vectors.items() if "informative" in v["confirmed_by"]}
		compared = (seen | here | files) - informs
		print(f"# {len(compared & set(vectors)) + len(informs)} of {len(vectors)} vectors: {len(compared)} compared, informative: {', '.join(sorted(informs))}")
		missing = set(vectors) - compared - informs
		assert not missing, f"no test compares {sorted(missing)}"
		assert compared <= set(vectors), f"not in the file: {sorted(compared - set(vectors))}"
	PY
}

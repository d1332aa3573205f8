#!/usr/bin/env bats
# pipelines/study/long.sh and its programs: figures against independent computations, runs kept and resumed, bad input.
load common

prepare() {
	run=$ROOT/pipelines/study/long.sh
	study=$B/study
	export B
	cd "$T" || return 1
	small=(--seeds 1 --first-seed 100 --kinds rooms360 --model seed:tiny:7 --scene "--frames 20 --size 70x56 --laps 0.1" --segment "--segment 8 --overlap 3")
	few=(--policies "evict3r window random none k6" --budgets 4f --draws 2 --plot 4f --less window)
}
png() { [ "$(head -c 4 "$1" | tail -c 3)" = PNG ]; }

@test "walk: errors, cloud and loops equal those computed with numpy" {
	e3-scene -q --seed 5 --rooms 2 --laps 0.4 --frames 45 --size 70x56 | e3-infer -q --model seed:tiny:7 --segment 0 --budget 4f --outputs pose,depth -o plain.e3
	# two loops, one of them between places that are far apart; and a join
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" plain.e3 p.e3 'e = lambda t, a, b: [11, {"i": 44, "type": t, "a": 0, "b": 1, "frames": [a, b], "sim": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], "sigma": [1.0] * 3}]
m[-1:-1] = [e("join", 20, 20), e("loop", 2, 4), e("loop", 0, 44)]'
	"$study/walk" --path path p.e3 >got
	e3-eval --json p.e3 >report
	PYTHONPATH=$ROOT/tests /usr/bin/python3 -B - <<-'PY'
		import json
		import numpy as np
		from e3read import stream
		from demo_truth import rotation
		pred, truth = {}, {}
		for kind, m in stream("p.e3"):
		    if kind == "pred":
		        pred[m["i"]] = m
		    if kind == "truth":
		        truth[m["i"]] = m
		n = len(pred)
		def centre(m):
		    R = rotation(np.array(m["pose"], dtype=np.float64))
		    return R, -R.T @ np.array(m["pose"][:3], dtype=np.float64)
		def fit(a, b):
		    ma, mb = a.mean(0), b.mean(0)
		    U, D, V = np.linalg.svd((b - mb).T @ (a - ma) / len(a))
		    S = np.diag([1, 1, np.sign(np.linalg.det(U) * np.linalg.det(V))])
		    R = U @ S @ V
		    s = np.trace(np.diag(D) @ S) / ((a - ma) ** 2).sum(1).mean()
		    return s * a @ R.T + mb - s * R @ ma
		def points(m, k):
		    d = np.array(m["depth"], dtype=np.float64)
		    h, w = d.shape
		    u, v = ((2 * np.arange(28) + 1) * w) // 56, ((2 * np.arange(21) + 1) * h) // 42
		    R, C = centre(m)
		    z = d[np.ix_(v, u)]
		    x = np.stack([(u[None] - k[2]) * z / k[0], (v[:, None] - k[3]) * z / k[1], z], -1).reshape(-1, 3)
		    return x @ R + C
		def lens(m):
		    h, w = np.array(m["depth"]).shape
		    return w / 2 / np.tan(m["pose"][8] / 2), h / 2 / np.tan(m["pose"][7] / 2), (w - 1) / 2, (h - 1) / 2
		P, Q = [centre(pred[i]) for i in range(n)], [centre(truth[i]) for i in range(n)]
		t = np.array([c for _, c in Q])
		error = np.linalg.norm(fit(np.array([c for _, c in P]), t) - t, axis=1)
		turn = np.array([np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))) for (a, _), (b, _) in zip(P, Q)])
		usable = [i for i in range(n) if all(0 < v < np.pi for v in pred[i]["pose"][7:])] # the random network has others too
		assert len(usable) > 10
		g = np.concatenate([points(pred[i], lens(pred[i])) for i in usable])
		q = np.concatenate([points(truth[i], truth[i]["intrinsics"]) for i in usable])
		off = np.linalg.norm(fit(g, q) - q, axis=1)
		got, ev = json.load(open("got")), json.load(open("report"))["sequences"][0]["pose"]["Sim(3)"]
		near = lambda a, b: abs(a - b) <= 2e-5 * abs(b)
		assert near(got["ate"], np.sqrt((error ** 2).mean())) and near(got["ate"], ev["ate"]), (got["ate"], ev["ate"])
		assert near(got["rotation"], turn.mean()) and near(got["rotation"], ev["rotation"]), got["rotation"]
		assert near(got["length"], np.linalg.norm(np.diff(t, axis=0), axis=1).sum())
		assert near(got["cloud"]["mean"], off.mean()) and near(got["cloud"]["median"], np.sort(off)[len(off) // 2]), (got["cloud"], off.mean())
		assert got["cloud"]["points"] == len(usable) * 28 * 21 and got["frames"] == n
		for key, v in (("along", error), ("turned", turn)):
		    for b, x in enumerate(got[key]):
		        part = v[b * n // 40:(b + 1) * n // 40]
		        assert near(x, part.mean()) if len(part) else x is None, (key, b, x)
		assert got["joins"] == 1 and [x[:2] for x in got["loops"]] == [[2, 4], [0, 44]], got["loops"]
		for a, b, d in got["loops"]:
		    assert near(d, np.linalg.norm(t[int(a)] - t[int(b)])), (a, b, d)
		rows = [x.split() for x in open("path")]
		assert len(rows) == n + 2 and rows[-1] == ["loop", "0", "44"]
		assert np.allclose([float(x) for x in rows[7][2:5]], t[7], atol=1e-5)
	PY
	"$study/above" --title here -o above.png one=path two=path
	png above.png
}

@test "long: means, paired differences and ratios equal those of an independent bootstrap; draws count as their mean" {
	/usr/bin/python3 - <<-'PY'
		import json, random
		random.seed(5)
		with open("runs", "w") as f:
		    for kind in ("walk360", "rooms360"):
		        for mode in ("whole", "loops"):
		            for policy, draws in (("evict3r", [0]), ("random", [1, 2, 3])):
		                for seed in range(5):
		                    for draw in draws:
		                        v = random.uniform(0.05, 0.4)
		                        one = {"cache_peak": 3 * 2 ** 20, "frames": 30, "seconds": 10, "pose": {"Sim(3)": {"ate": v, "rotation": 10 * v, "drift_t": 3 * v}},
		                            "video_depth": {"median": {"abs_rel": None if seed == 2 else v}}}
		                        walk = {"cloud": {"mean": 2 * v}, "along": [v] * 40, "loops": [[1, 9, 0.2], [3, 8, 1.5]] if mode == "loops" else []}
		                        f.write(json.dumps({"kind": kind, "seed": seed, "policy": policy, "budget": "8f", "mode": mode, "draw": draw,
		                            "eval": {"sequences": [one]}, "walk": walk}) + "\n")
	PY
	"$study/long" --png . runs >out
	/usr/bin/python3 - <<-'PY'
		import json, re
		M = 2 ** 64 - 1
		def interval(v, by=None):
		    state, all = 1, []
		    for _ in range(10000):
		        a = b = 0
		        for _ in v:
		            state = (state + 0x9e3779b97f4a7c15) & M
		            z = state
		            z = ((z ^ z >> 30) * 0xbf58476d1ce4e5b9) & M
		            z = ((z ^ z >> 27) * 0x94d049bb133111eb) & M
		            k = (z ^ z >> 31) % len(v)
		            a += v[k]
		            b += by[k] if by else 1
		        all.append(a / b)
		    all.sort()
		    return (sum(v) / (sum(by) if by else len(v)), all[250], all[9749])
		runs = [json.loads(x) for x in open("runs")]
		def scene(kind, mode, policy, get):
		    out = {}
		    for r in runs:
		        if (r["kind"], r["mode"], r["policy"]) == (kind, mode, policy):
		            out.setdefault(r["seed"], []).append(get(r["eval"]["sequences"][0]))
		    return {s: sum(v) / len(v) for s, v in out.items() if None not in v}
		sections = {x.split("\n")[0]: x.split("\n")[2:] for x in open("out").read().strip().split("\n\n")}
		row = lambda title, mode, policy: re.sub(r"\s+", " ", [x for x in sections[title] if x.split()[:2] == [mode, policy]][0])
		ate, depth = lambda s: s["pose"]["Sim(3)"]["ate"], lambda s: s["video_depth"]["median"]["abs_rel"]
		for kind in ("walk360", "rooms360"):
		    for title, get, n in (("ATE, after a similarity over the whole path", ate, 5), ("AbsRel of depth, one scale a clip", depth, 4)):
		        base = list(scene(kind, "whole", "evict3r", get).values())
		        for mode in ("whole", "loops"):
		            rival = scene(kind, mode, "random", get)
		            for policy in ("evict3r", "random"):
		                v = scene(kind, mode, policy, get)
		                want = "%s %s 8f %d %.4f [%.4f, %.4f]" % (mode, policy, n, *interval(list(v.values())))
		                want += " -" if policy == "random" else " %+.4f [%+.4f, %+.4f]" % interval([v[s] - rival[s] for s in v])
		                want += " x %.3f [%.3f, %.3f]" % interval(list(v.values()), base)
		                assert row(f"{kind}: {title}", mode, policy) == want, (want, row(f"{kind}: {title}", mode, policy))
		    summary = row(f"{kind}: means over scenes", "loops", "random").split()
		    mean = sum(scene(kind, "loops", "random", ate).values()) / 5
		    assert summary[3:5] == ["5", f"{mean:.4f}"] and summary[7] == summary[9] == "-", summary
		    assert summary[6] == f"{3 * mean:.4f}" and summary[10:15] == [f"{2 * mean:.4f}", "3.00", "3.00", "2.00", "1.00"], summary
		    assert any("drift of position" in x for x in sections) and not any("drift of rotation" in x for x in sections)
	PY
	png along-walk360.png
	png along-rooms360.png
}

@test "a scene through all of it: the figures are those of the tools; finished runs are not repeated; the time limit" {
	"$run" --out o "${small[@]}" "${few[@]}" >table 2>log
	# evict3r and window at 4 and, for k6, at 6 frames; two draws
	grep -q "long.sh: 1 scenes, 24 runs each" log
	[ "$(wc -l <o/long.jsonl)" -eq 24 ]
	[ "$(awk '$3 == "whole" { print $1 $2 $4 }' o/plan | tr '\n' ' ')" = "evict3r4f0 window4f0 random4f1 random4f2 noneall0 evict3r6f0 window6f0 k66f0 " ]
	cmp table o/table.txt
	png o/along-rooms360.png
	png o/above-rooms360-100.png
	e3-scene -q --seed 100 --rooms 2 --laps 0.1 --frames 20 --size 70x56 -o s.e3
	e3-infer -q --model seed:tiny:7 --outputs pose,depth --policy window --budget 4f --segment 8 --overlap 3 s.e3 -o w.e3
	e3-eval --json --align median w.e3 >report
	e3-infer -q --model seed:tiny:7 --outputs pose,depth --no-evict --segment 8 --overlap 3 --loops s.e3 | e3-align -q --final -o l.e3
	e3-eval --json --align median l.e3 >aligned
	"$study/walk" w.e3 >walk
	/usr/bin/python3 - <<-'PY'
		import json
		r, = [r for r in map(json.loads, open("o/long.jsonl")) if (r["policy"], r["mode"], r["budget"]) == ("window", "segments", "4f")]
		assert (r["kind"], r["seed"], r["budget"], r["draw"]) == ("rooms360", 100, "4f", 0)
		a, b = r["eval"]["sequences"][0], json.load(open("report"))["sequences"][0]
		for part in ("video_depth", "pose", "depth"):
		    assert a[part] == b[part], part
		assert r["walk"] == json.load(open("walk")) and r["walk"]["segments"] > 1
		r, = [r for r in map(json.loads, open("o/long.jsonl")) if (r["policy"], r["mode"]) == ("none", "loops")]
		assert r["eval"]["sequences"][0]["pose"] == json.load(open("aligned"))["sequences"][0]["pose"]
		none, = [r for r in map(json.loads, open("o/long.jsonl")) if (r["policy"], r["mode"]) == ("none", "whole")]
		assert none["budget"] == "all" and none["eval"]["sequences"][0]["cache_peak"] == none["eval"]["sequences"][0]["cache_full"]
	PY
	[ "$(sort -u <(grep -o '"ate":[0-9.e-]*' o/runs/rooms360-100/whole.random.4f.?.json) | wc -l)" -eq 4 ] # in two reports each
	touch -d 2020-01-01 o/runs/rooms360-100/*
	rm o/runs/rooms360-100/segments.window.4f.0.json
	"$run" --out o "${small[@]}" "${few[@]}" --minutes 0 >again 2>log
	grep -q "the time is over: the same command continues" log
	[ "$(wc -l <o/long.jsonl)" -eq 23 ]
	"$run" --out o "${small[@]}" "${few[@]}" >again 2>log
	[ "$(find o/runs -type f -newermt 2021-01-01 -printf '%f ')" = "segments.window.4f.0.json " ]
	[ "$(wc -l <o/long.jsonl)" -eq 24 ]
	"$run" --out o "${small[@]}" "${few[@]}" --show >again
	grep -q '^segments *window' again
	fails 1 "o holds runs with other options" -- "$run" --out o "${small[@]}" "${few[@]}" --segment "--segment 9"
}

@test "a run that fails is named, the others are kept" {
	printf '#!/bin/sh\ncase "$*" in *window*) echo "e3-infer: no" >&2; exit 1;; esac\nexec %s/bin/e3-infer "$@"\n' "$B" >e3-infer
	chmod +x e3-infer
	cp -r "$ROOT/pipelines/study" . # the same script, with another e3-infer before it
	sed -i "s|^PATH=.*|PATH=$T:$B/bin:\$PATH|; s|^here=.*|here=$T/study|" study/long.sh
	fails 1 "rooms360 100: whole window 4f failed" -- study/long.sh --out o "${small[@]}" "${few[@]}" --modes whole
	grep -qF "1 scenes failed" stderr
	grep -q '^whole *evict3r' stdout
	[ -e o/runs/rooms360-100/whole.evict3r.4f.0.json ]
}

@test "bad options and damaged runs" {
	fails 2 "no kind 'tall': walk360, " -- "$run" --kinds tall
	fails 2 "no policy 'newest': evict3r, " -- "$run" --policies "window newest"
	fails 2 "no policy 'none'" -- "$run" --less none
	fails 2 "no mode 'half'" -- "$run" --modes half
	fails 2 "'8' is not a budget in frames" -- "$run" --budgets 8
	fails 2 "'x' is not a whole number" -- "$run" --seeds x
	fails 2 "--out needs a value" -- "$run" --out
	fails 1 "there is nothing in o" -- "$run" --out o --show
	fails 1 "reading none: No such file" -- "$study/long" none
	: >empty
	fails 1 "it contains no run" -- "$study/long" empty
	echo '{"kind":"walk360","policy":"window","budget":"8f","seed":1}' >bare
	fails 1 "line 1: not a run: it lacks 'mode'" -- "$study/long" bare
	fails 1 "none: No such file" -- "$study/walk" none
	e3-scene -q --frames 2 --size 32x24 -o s.e3
	fails 1 "0 frames have a pose and a true one: three are needed" -- "$study/walk" s.e3
	echo "frame 1 2" >torn
	fails 1 "reading torn: line 1: expected 'frame' with seven numbers" -- "$study/above" -o x.png a=torn
	fails 2 "-o and 1 to 8 paths are expected" -- "$study/above" a=torn
}

@test "SIGTERM ends the tools too, and keeps what is done" {
	# an e3-infer that says that it runs, and then waits for its end
	printf '#!/bin/sh\ncase "$*" in *window*) echo $$ >%s/pid; exec sleep 600;; esac\nexec %s/bin/e3-infer "$@"\n' "$T" "$B" >e3-infer
	chmod +x e3-infer
	cp -r "$ROOT/pipelines/study" .
	sed -i "s|^PATH=.*|PATH=$T:$B/bin:\$PATH|; s|^here=.*|here=$T/study|" study/long.sh
	study/long.sh --out o "${small[@]}" "${few[@]}" --modes whole >table 2>log &
	pid=$!
	wait_until 60 test -s pid
	rc=0
	kill -TERM "$pid"
	wait "$pid" || rc=$?
	[ "$rc" -eq 130 ]
	wait_until 10 gone "$(cat pid)"
	grep -q "stopped: results so far are kept in o, the same command continues" log
	[ "$(cd o/runs/rooms360-100 && echo ./*)" = "./whole.evict3r.4f.0.json" ]
}

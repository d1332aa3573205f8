#!/usr/bin/env bats
# pipelines/study: the statistics against an independent computation, runs kept and resumed, bad input.
load common

prepare() {
	run=$ROOT/pipelines/study/run.sh
	table=$B/study/table
	export B
	cd "$T" || return 1
	older=(--policies "evict3r window random")
	small=(--seeds 1 --first-seed 1000 --scene "--frames 6 --size 112x84" --fractions 0.5 --temps 0.5)
}

@test "means, paired differences and intervals equal those of an independent bootstrap" {
	/usr/bin/python3 - <<-'PY'
		import json, random
		random.seed(3)
		with open("runs", "w") as f:
		    lines = []
		    for kind, n in (("short", 4), ("long", 3)):
		        for seed in range(n):
		            base = random.uniform(0.02, 0.08)
		            for policy, temp, p in (("none", None, 1), ("evict3r", 0.5, 0.25), ("window", None, 0.25), ("evict3r", 1.5, 0.25)):
		                v = base + random.uniform(0, 0.03)
		                one = lambda x: {"sequences": [{"cache_peak": 30, "cache_full": 100, "video_depth": {"median": {"abs_rel": x, "d103": 1 - x}},
		                    "pose": {"Sim(3)": {"ate": None if seed == 1 and policy == "window" else 2 * x, "rotation": 10 * x}}}]}
		                lines.append(json.dumps({"kind": kind, "seed": seed, "policy": policy, "temp": temp, "p": p, "truth": one(v), "full": one(v / 7)}))
		    random.shuffle(lines)
		    f.write("\n".join(lines) + "\n")
	PY
	"$table" runs >out
	"$table" --less window runs >than-window
	/usr/bin/python3 - <<-'PY'
		import json, re
		runs = [json.loads(x) for x in open("runs")]
		M = 2 ** 64 - 1
		def interval(strata):
		    state, means, n = 1, [], sum(map(len, strata))
		    for b in range(10000):
		        s = 0
		        for v in strata:
		            for _ in v:
		                state = (state + 0x9e3779b97f4a7c15) & M
		                z = state
		                z = ((z ^ z >> 30) * 0xbf58476d1ce4e5b9) & M
		                z = ((z ^ z >> 27) * 0x94d049bb133111eb) & M
		                s += v[(z ^ z >> 31) % len(v)]
		        means.append(s / n)
		    means.sort()
		    return sum(map(sum, strata)) / n, means[250], means[9749], n
		def value(policy, temp, kind, seed, get):
		    r, = [r for r in runs if (r["policy"], r["temp"], r["kind"], r["seed"]) == (policy, temp, kind, seed)]
		    return get(r["truth"]["sequences"][0])
		def want(policy, temp, other, get):
		    out = []
		    for kind, n in (("long", 3), ("short", 4)):
		        v = [(value(policy, temp, kind, s, get), value(*other, kind, s, get) if other else 0) for s in range(n)]
		        out.append([a - b for a, b in v if a is not None and b is not None])
		    return interval(out)
		def check(file, rival):
		    sections = open(file).read().strip().split("\n\n")
		    assert len(sections) == 7, len(sections)
		    for number, get in ((0, lambda s: s["video_depth"]["median"]["abs_rel"]), (2, lambda s: s["pose"]["Sim(3)"]["ate"])):
		        for policy, temp in (("none", None), ("evict3r", 0.5), ("evict3r", 1.5), ("window", None)):
		            row, = [x for x in sections[number].split("\n")[2:] if x.split()[:2] == [policy, "-" if temp is None else str(temp)]]
		            mean = want(policy, temp, None, get)
		            assert row.split()[3:5] == ["0.30", str(mean[3])], row
		            text = "%.4f [%.4f, %.4f]" % mean[:3]
		            for other in (("none", None), rival):
		                if policy != "none" and (policy, temp) != other:
		                    text += "  " + "%+.4f [%+.4f, %+.4f]" % want(policy, temp, other, get)[:3]
		            assert re.sub(r"\s+", " ", text) in re.sub(r"\s+", " ", row), (text, row)
		check("out", ("evict3r", 0.5))
		check("than-window", ("window", None))
	PY
}

@test "scenes through the pipeline: the figures equal those of e3-eval; finished runs are not repeated; other settings are other studies" {
	"$run" --out o --kinds short "${small[@]}" "${older[@]}" >table 2>log
	grep -q "run.sh: 1 scenes, 5 runs each" log
	e3-scene --seed 1000 --frames 6 --size 112x84 -o s.e3
	for k in "none --no-evict" "window --policy window --P 0.5" "whole --policy window --P 1" "lot --policy random --P 1"; do
		# shellcheck disable=SC2086
		e3-infer -q --model "$DEMO/model.safetensors" --outputs pose,depth ${k#* } s.e3 -o "${k%% *}.e3"
	done
	e3-eval --json --align median window.e3 >truth
	e3-eval --json --align median --against none.e3 window.e3 >full
	/usr/bin/python3 - <<-'PY'
		import json
		r, = [r for r in map(json.loads, open("o/study.jsonl")) if r["policy"] == "window"]
		for k in ("truth", "full"):
		    a, b = r[k]["sequences"][0], json.load(open(k))["sequences"][0]
		    for part in ("video_depth", "pose"):
		        assert a[part] == b[part], (k, part, a[part], b[part])
		assert a["video_depth"]["median"]["abs_rel"] > 0
	PY
	# at 1 the policies that share evenly keep everything: the study counts on it
	e3-eval --json --align median --against none.e3 whole.e3 lot.e3 |
		/usr/bin/python3 -c 'import json, sys; assert [s["video_depth"]["median"]["abs_rel"] for s in json.load(sys.stdin)["sequences"]] == [0, 0]'
	touch -d 2020-01-01 o/runs/short-1000/*
	rm o/runs/short-1000/random-null-0.5
	"$run" --out o --kinds short "${small[@]}" "${older[@]}" >again 2>log
	cmp table again
	[ "$(find o/runs -type f -newermt 2021-01-01 -printf '%f ')" = "random-null-0.5 " ]
	"$run" --out o --kinds short "${small[@]}" "${older[@]}" >again 2>log
	cmp table again
	grep -q "run.sh: 0 scenes" log
	# another policy joins what is there
	touch -d 2020-01-01 o/runs/short-1000/*
	"$run" --out o --kinds short "${small[@]}" --policies spread >again 2>log
	[ "$(find o/runs -type f -newermt 2021-01-01 -printf '%f ')" = "spread-null-0.5 " ]
	grep -q '^spread ' again
	cmp table <(grep -v '^spread ' again)
	"$run" --out o --kinds short "${small[@]}" >again 2>log
	grep -q "run.sh: 0 scenes, 6 runs each" log
	for p in depth within position rotation depth_moved position_moved rotation_moved; do
		[ "$(head -c 4 o/$p.png | tail -c 3)" = PNG ]
	done
	fails 1 "o holds runs with other options" -- "$run" --out o --seeds 1
}

@test "bad options and damaged runs" {
	fails 2 "no kind 'tall'" -- "$run" --kinds tall
	fails 2 "'x' is not a whole number" -- "$run" --seeds x
	fails 2 "'0,5' is not a number" -- "$run" --fractions 0,5
	fails 2 "no policy 'newest': evict3r, window, random, spread" -- "$run" --policies "window newest"
	fails 2 "no policy 'oldest'" -- "$run" --less oldest
	for k in k4 k6 k8; do
		fails 2 "$k keeps a number of frames of its own, not a fraction: long.sh compares it" -- "$run" --policies "window $k"
	done
	fails 2 "--out needs a value" -- "$run" --out
	fails 1 "there is nothing in o" -- "$run" --out o --show
	fails 1 "reading none: No such file" -- "$table" none
	: >empty
	fails 1 "it contains no run" -- "$table" empty
	echo '{"kind":"short","seed":1,' >torn
	fails 1 "reading torn: line 1" -- "$table" torn
	echo '{"kind":"short","seed":1,"policy":"none","p":1,"truth":{}}' >bare
	fails 1 "line 1: not a run: it lacks a report of e3-eval" -- "$table" bare
	s='{"sequences":[{}]}'
	printf '{"kind":"short","seed":1,"policy":"none","p":1,"truth":%s,"full":%s}\n' "$s" "$s" "$s" "$s" >twice
	fails 1 "the same run twice: short 1" -- "$table" twice
}

#!/usr/bin/env bats
# pipelines/eval: the published tables on small trees, with the demo model: what is averaged and how, resumed, refused, missing.
load common

prepare() {
	run=$ROOT/pipelines/eval/run.sh
	export B
	cd "$T" || return 1
	weights=(--model "$DEMO/model.safetensors")
	small=(--decode "--fit 56 --max-frames 3")
}

sintel() { e3-scene --as sintel --sequence "$1" --seed "$2" --frames "$3" --size 96x72 data/sintel; }

@test "video depth: sequences weighted by pixels, as e3-eval itself does it over all; figures beside the published" {
	sintel alley_2 1 3
	sintel cave_2 2 2
	rc=0
	"$run" --data data "${weights[@]}" "${small[@]}" --sets sintel --jobs 2 evict3r-1 >table 2>log || rc=$?
	[ "$rc" -eq 1 ] # 21 sequences are missing, and it says so
	grep -q "2 of 23; alley_1: not found" table
	grep -q "^weights: e3-demo-rooms on cpu$" table
	grep -q "^model: model.safetensors, $(stat -Lc %s "$DEMO/model.safetensors") bytes, sha256 " table
	for s in alley_2 cave_2; do
		e3-decode --dataset sintel --root data --sequence $s --fit 56 | e3-infer -q --model "$DEMO/model.safetensors" --P 0.8 --temp 1.5 --compat evict3r -o $s.e3
	done
	e3-eval video-depth --dataset sintel --json alley_2.e3 cave_2.e3 |
		python3 -c 'import json, sys; a = json.load(sys.stdin)["average"]["video_depth"]["scale"]; print("Abs Rel %.3f / 0.330   δ<1.25 %% %.1f / 65.0" % (a["abs_rel"], 100 * a["d1"]))' >want
	grep "B=0.8" table | grep -qFf want || { cat table want; return 1; }
}

@test "a run goes on where it was; other weights or options need another folder; a sequence that fails is named and tried again" {
	sintel alley_2 1 2
	"$run" --data data "${weights[@]}" "${small[@]}" --sets sintel --rows 'B=0.2' evict3r-1 >/dev/null 2>log || true
	grep -q "run.sh: 1 pieces of work" log
	one=out/eval/runs/sintel-video-depth/P0.2-temp1.5/alley_2.json
	touch -d 2020-01-01 "$one"
	sintel cave_2 2 2
	: >data/sintel/training/final/cave_2/frame_0002.png
	"$run" --data data "${weights[@]}" "${small[@]}" --sets sintel --rows 'B=0.2' evict3r-1 >table 2>log || true
	grep -q "run.sh: 1 pieces of work" log
	grep -q "sintel-video-depth/P0.2-temp1.5: cave_2 failed: .*frame_0002.png: empty" log
	grep -q "1 of 23; 1 failed, first cave_2: .*frame_0002.png: empty" table
	cp data/sintel/training/final/cave_2/frame_0001.png data/sintel/training/final/cave_2/frame_0002.png
	"$run" --data data "${weights[@]}" "${small[@]}" --sets sintel --rows 'B=0.2' evict3r-1 >table 2>log || true
	grep -q "2 of 23" table
	[ "$(date -r "$one" +%Y)" = 2020 ] # not measured again
	"$run" --out out/eval --show --rows 'B=0.2' --sets sintel evict3r-1 >again || true
	diff table again
	fails 1 "holds results of another kind" -- "$run" --data data "${weights[@]}" --sets sintel evict3r-1
	fails 1 "holds results of another kind" -- "$run" --data data --model seed:tiny:1 "${small[@]}" --sets sintel evict3r-1
	[ -z "$(find out -name '*.part.*')" ]
}

@test "every picture by itself; camera paths averaged plainly; pairs pooled over a category, then the mean over categories" {
	e3-scene --as nyu --seed 3 --frames 2 --size 96x72 data/nyu-v2
	for s in static xyz; do e3-scene --as tum --sequence rgbd_dataset_freiburg3_sitting_$s --seed ${#s} --frames 3 --size 96x72 data/tum; done
	"$run" --data data "${weights[@]}" "${small[@]}" --sets nyu,tum --rows 'StreamVGGT' streamvggt-depth streamvggt-pose >table 2>log || true
	e3-decode --dataset nyu --root data --fit 56 | e3-infer -q --model "$DEMO/model.safetensors" --each | e3-eval depth --dataset nyu --json - |
		python3 -c 'import json, sys; a = json.load(sys.stdin)["average"]["depth"]["per image"]; print("Abs Rel %.3f / 0.055   δ<1.25 %% %.1f / 95.9   (1 of 1)" % (a["abs_rel"], 100 * a["d1"]))' >want
	grep nyu table | grep -qFf want || { cat table want log; return 1; }
	for s in static xyz; do
		e3-decode --dataset tum --root data --sequence "*_$s" --fit 56 | e3-infer -q --model "$DEMO/model.safetensors" --no-evict --compat evict3r | e3-eval pose --json - >$s.json
	done
	python3 -c '
import json, sys
a = [json.load(open(p))["average"]["pose"]["Sim(3)"] for p in ("static.json", "xyz.json")]
print("ATE %.3f / 0.026   RPE rot %.3f / 0.316   (2 of 8" % tuple(sum(x[k] for x in a) / 2 for k in ("ate", "rpe_r")))' >want
	grep tum table | grep -qFf want || { cat table want log; return 1; }

	for s in apple/a apple/b banana/c; do e3-scene --as co3d --sequence $s --seed ${#s} --frames 4 --size 56x42 data/co3d; done
	draw="--draw 3 --min-frames 4"
	"$run" --data data "${weights[@]}" --decode "$draw" --out co3d streamvggt-co3d >table 2>log || true
	for s in apple_a apple_b banana_c; do
		# shellcheck disable=SC2086
		e3-decode --dataset co3d --root data $draw --sequence "${s/_//}" | e3-infer -q --model "$DEMO/model.safetensors" --no-evict --outputs pose --compat evict3r -o $s.e3
	done
	e3-eval pairs --json apple_a.e3 apple_b.e3 >apple.json
	e3-eval pairs --json banana_c.e3 >banana.json
	python3 -c '
import json
n = lambda p: [s["pairs"]["all pairs"] for s in json.load(open(p))["sequences"]]
mean = lambda rows: sum(r["auc30"] * r["pairs"] for r in rows) / sum(r["pairs"] for r in rows)
print("AUC@30 %.1f / 82.4?   (2 of 41" % (50 * (mean(n("apple.json")) + mean(n("banana.json")))))' >want
	grep co3d table | grep -qFf want || { cat table want log; return 1; }
}

@test "what is not there is said, row by row" {
	mkdir data
	rc=0
	"$run" --data data "${weights[@]}" evict3r-1 >table 2>log || rc=$?
	[ "$rc" -eq 1 ]
	grep "^  sintel" table | grep -q "Abs Rel - / 0.325 .*opening: sintel: data: expected training/final/"
	grep "^  kitti" table | grep -q "(e3-decode: opening: kitti: data: expected "
	"$run" "${weights[@]}" --root sintel=data evict3r-1 >table 2>log || true
	grep "^  kitti" table | grep -q "no folder given: --data, or --root kitti=DIR"
	fails 2 "no table evict3r-9" -- "$run" evict3r-9
	fails 2 "unknown option --frames" -- "$run" --frames 3
	fails 2 "Usage: run.sh" -- "$run"
	fails 2 "no row of evict3r-1 matches" -- "$run" --data data "${weights[@]}" --rows nothing evict3r-1
	"$run" --help | grep -q "Tables: evict3r-1 .* all$"
}

#!/usr/bin/env bats
# pipelines/eval: the published tables on small trees, with the demo model: what is averaged and how, resumed, refused, missing.
load common

prepare() {
	run=$ROOT/pipelines/eval/run.sh
	export B
	cd "$T" || return 1
	weights=(--model seed:tiny:7) # where it does not matter which
	small=(--decode "--fit 56 --max-frames 3")
}

sintel() { e3-scene --as sintel --sequence "$1" --seed "$2" --frames "$3" --size 96x72 data/sintel; }

@test "video depth: sequences weighted by pixels, as by e3-eval over all of them; figures beside the published ones" {
	weights=(--model "$DEMO/model.safetensors")
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

@test "a run continues where it stopped; other weights or options need another folder; a failed sequence is named and tried again" {
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
	fails 1 "contains results with other weights or options" -- "$run" --data data "${weights[@]}" --sets sintel evict3r-1
	fails 1 "contains results with other weights or options" -- "$run" --data data --model seed:tiny:8 "${small[@]}" --sets sintel evict3r-1
	[ -z "$(find out -name '*.part')" ]
}

@test "single pictures; camera paths with unweighted averages; pairs pooled over a category, then the mean over categories" {
	e3-scene --as nyu --seed 3 --frames 2 --size 96x72 data/nyu-v2
	for s in static xyz; do e3-scene --as tum --sequence rgbd_dataset_freiburg3_sitting_$s --seed ${#s} --frames 3 --size 96x72 data/tum; done
	"$run" --data data "${weights[@]}" "${small[@]}" --sets nyu,tum --rows 'StreamVGGT' streamvggt-depth streamvggt-pose >table 2>log || true
	e3-decode --dataset nyu --root data --fit 56 | e3-infer -q "${weights[@]}" --each | e3-eval depth --dataset nyu --json - |
		python3 -c 'import json, sys; a = json.load(sys.stdin)["average"]["depth"]["per image"]; print("Abs Rel %.3f / 0.055   δ<1.25 %% %.1f / 95.9   (1 of 1)" % (a["abs_rel"], 100 * a["d1"]))' >want
	grep nyu table | grep -qFf want || { cat table want log; return 1; }
	for s in static xyz; do
		e3-decode --dataset tum --root data --sequence "*_$s" --fit 56 | e3-infer -q "${weights[@]}" --no-evict --compat evict3r | e3-eval pose --json - >$s.json
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
		e3-decode --dataset co3d --root data $draw --sequence "${s/_//}" | e3-infer -q "${weights[@]}" --no-evict --outputs pose --compat evict3r -o $s.e3
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

@test "missing data is reported row by row" {
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

rooms() { # SET SEQUENCE SEED [options]: a small one under data/SET
	e3-scene --as "$1" --sequence "$2" --seed "$3" --frames 4 --size 64x48 "${@:4}" "data/$1"
}

@test "reconstruction: means over scenes beside the published ones, medians, the highest memory; also as JSON" {
	weights=(--model "$DEMO/model.safetensors")
	rooms 7scenes chess/seq-03 1
	rooms 7scenes fire/seq-04 2
	rooms nrgbd kitchen 3
	small=(--decode "--fit 56 --stride 2")
	rc=0
	"$run" --data data "${weights[@]}" "${small[@]}" --rows 'StreamVGGT*' evict3r-4 streamvggt-recon >table 2>log || rc=$?
	[ "$rc" -eq 1 ]
	[ "$(grep -c "pieces of work" log)" -eq 1 ]
	for s in 7scenes:chess/seq-03 7scenes:fire/seq-04 nrgbd:kitchen; do
		f=${s#*:}
		e3-decode --dataset "${s%:*}" --root data --sequence "$f" --fit 56 --stride 2 |
			e3-infer -q --model "$DEMO/model.safetensors" --no-evict --compat evict3r -o "${f//\//_}.e3"
	done
	e3-eval recon --json chess_seq-03.e3 fire_seq-04.e3 >7scenes.json
	e3-eval recon --json kitchen.e3 >nrgbd.json
	python3 - <<-'PY' >want
	import glob, json
	# the sequences' strides are the --decode option's here: both tables come to the same figures
	text = "{:<20} {:<12} Acc {:.3f} / {}   Comp {:.3f} / {}   NC {:.3f} / {}   median Acc {:.3f} / {}   Comp {:.3f} / {}   NC {:.3f} / {}"
	keys = "acc", "comp", "nc", "acc_med", "comp_med", "nc_med"
	for set, of, every, published, rest in (
	        ("7scenes", "2 of 18", (25, 200), ("0.044 0.031 0.688 - - -", "0.129 0.115 0.751 0.056? 0.041? 0.865?"), 18.63),
	        ("nrgbd", "1 of 9", (50, 500), ("0.088 0.058 0.816 - - -", "0.084 0.074 0.861 0.044? 0.041? 0.986?"), 16.41)):
	    a = json.load(open(set + ".json"))["average"]["recon"]["points"]
	    ours = [a[k] for k in keys]
	    for row, stride, theirs, gb in zip(("StreamVGGT*", "StreamVGGT"), every, published, (rest, None)):
	        cells = [x for pair in zip(ours, theirs.split()) for x in pair]
	        line = "  " + text.format(f"{set} every {stride}th", row, *cells)
	        if gb:
	            used = [json.load(open(p))["sequences"][0]["peak_rss"] for p in glob.glob(f"out/eval/runs/{set}-recon-every-{stride}/no-evict/*.json")]
	            line += f"   GB {max(used) / 2**30:.2f} / {gb:.2f}"
	        print(line + f"   ({of}; ")
	PY
	[ "$(wc -l <want)" -eq 4 ]
	while IFS= read -r line; do grep -qF -- "$line" table || { cat table want; return 1; }; done <want
	grep -q "^GB (2^30 bytes): highest resident memory of e3-infer on the CPU; published: PyTorch's peak allocated$" table
	grep -q "^ran: e3-infer [0-9.]*.* on $(uname -n): $(nproc) x " table
	"$run" --show --json --rows 'StreamVGGT*' evict3r-4 >j || true
	python3 -c '
import json
j = json.load(open("j"))
r = {x["set"]: x for x in j["rows"]}["7scenes"]
want = json.load(open("7scenes.json"))["average"]["recon"]["points"]
assert abs(r["figures"]["acc"]["ours"] - want["acc"]) < 1e-9 and r["figures"]["acc"]["published"] == 0.044, r
assert r["figures"]["acc_med"]["published"] is None and r["sequences"] == 2 and not r["complete"] and r["infer"] == "--no-evict"
assert j["weights"] == ["e3-demo-rooms on cpu"] and len(j["machines"]) == 1 and "sha256" in j["identity"][0]'
}

# The figures of a folder of results, without what changes from run to run.
figures_of() {
	python3 - "$1" <<-'PY'
	import glob, json, sys
	for p in sorted(glob.glob(sys.argv[1] + "/runs/**/*.json", recursive=True)):
	    print(p[len(sys.argv[1]):], json.dumps(json.load(open(p))["average"], sort_keys=True))
	PY
}

# fake_infer SCRIPT: the tools, but e3-infer is this.
fake_infer() {
	mkdir -p "$T/fake/bin"
	ln -sf "$B"/bin/* "$T/fake/bin/"
	rm "$T/fake/bin/e3-infer"
	printf '#!/bin/bash\n[ "$1" != --version ] || { echo e3-infer 0; exit; }\n%s\n' "$1" >"$T/fake/bin/e3-infer"
	chmod +x "$T/fake/bin/e3-infer"
}

@test "killed in the middle: no partial file is left, only what is missing runs again, with the same figures" {
	for s in alley_1 alley_2 ambush_2 ambush_4 bamboo_1 cave_2; do sintel $s ${#s} 3; done
	options=(--data data "${weights[@]}" --decode "--fit 140" --sets sintel --rows "B=0.2" --jobs 2)
	"$run" "${options[@]}" --out whole evict3r-1 >table 2>log || true
	[ "$(find whole -name '*.json' | wc -l)" -eq 6 ]
	# all but the first two wait, so that it is killed in the middle however fast the machine is
	fake_infer ''
	mkdir turns
	printf '#!/bin/bash\n[[ $* != *--model* ]] || mkdir turns/1 2>/dev/null || mkdir turns/2 2>/dev/null || sleep 300\nexec %q/bin/e3-infer "$@"\n' "$B" >fake/bin/e3-infer
	B=$T/fake "$run" "${options[@]}" --out cut evict3r-1 >/dev/null 2>log 3>&- &
	pid=$!
	wait_until 120 eval '[ -n "$(find cut -name "*.json" 2>/dev/null)" ]'
	group=$(pgrep -P $pid xargs)
	kill -KILL $pid
	kill -KILL -- "-$group"
	wait $pid || true
	n=$(find cut -name '*.json' | wc -l)
	[ "$n" -ge 1 ] && [ "$n" -lt 6 ] || { echo "$n were done"; return 1; }
	wait_until 60 flock -n cut/lock true
	find cut -name '*.json' -exec touch -d 2020-01-01 {} +
	"$run" "${options[@]}" --out cut evict3r-1 >table2 2>log || true
	grep -q "run.sh: $((6 - n)) pieces of work, 2 at a time" log
	[ "$(find cut -name '*.json' ! -newermt 2021-01-01 | wc -l)" -eq "$n" ]
	[ -z "$(find cut -name '*.part' -o -name '*.err')" ]
	figures_of whole >a
	figures_of cut >b
	diff a b
	diff table table2
}

@test "SIGTERM ends it and all that it started, exit 130; a second run in the same folder is refused; a killed stage is reported" {
	sintel alley_2 1 2
	sintel cave_2 2 2
	options=(--data data "${weights[@]}" --sets sintel --rows "B=0.2")
	fake_infer 'touch "$E3_TEST_STARTED"; sleep 100; exit 1'
	export E3_TEST_STARTED=$T/started
	B=$T/fake "$run" "${options[@]}" evict3r-1 >/dev/null 2>log 3>&- &
	pid=$!
	wait_until 120 test -e started
	group=$(pgrep -P $pid xargs)
	fails 1 "another run.sh is running in out/eval" -- "$run" "${options[@]}" evict3r-1
	kill -TERM $pid
	rc=0
	wait $pid || rc=$?
	[ "$rc" -eq 130 ] || { cat log; return 1; }
	grep -q "run.sh: stopped: results so far are kept in out/eval, the same command continues" log
	! pgrep -g "$group" || return 1
	[ -z "$(find out/eval/runs -type f ! -name list)" ] || { find out/eval/runs; return 1; }
	# shellcheck disable=SC2016
	fake_infer 'kill -KILL $$'
	B=$T/fake "$run" "${options[@]}" evict3r-1 >table 2>log || true
	grep -q "2 failed, first alley_2: run.sh: e3-infer was ended by signal 9: is there memory enough?" table || { cat table log; return 1; }
}

@test "--revisit scores the last pass; --jobs and paths are checked; blanks in paths work" {
	for s in static xyz; do e3-scene --as tum --sequence rgbd_dataset_freiburg3_sitting_$s --seed ${#s} --frames 3 --size 96x72 "my data/tum"; done
	options=(--data "my data" "${weights[@]}" --decode "--fit 56" --rows StreamVGGT --sets tum --out "my out" streamvggt-pose)
	"$run" --revisit 2 "${options[@]}" >table 2>log || true
	for s in static xyz; do
		e3-decode --dataset tum --root "my data" --sequence "*_$s" --fit 56 --repeat 2 | e3-infer -q "${weights[@]}" --no-evict --compat evict3r | e3-eval pose --json - >$s.json
	done
	python3 -c '
import json
a = [json.load(open(p))["average"]["pose"]["Sim(3)"] for p in ("static.json", "xyz.json")]
assert all(x["frames"] == 3 for x in a), a
print("ATE %.3f / 0.026   RPE rot %.3f / 0.316   (2 of 8" % tuple(sum(x[k] for x in a) / 2 for k in ("ate", "rpe_r")))' >want
	grep tum table | grep -qFf want || { cat table want log; return 1; }
	grep -q "^e3-decode: --fit 56, each sequence 2 times, scored the last time$" table
	fails 1 "contains results with other weights or options" -- "$run" "${options[@]}"
	fails 2 "--jobs 0: expected a number from 1" -- "$run" --jobs 0 "${options[@]}"
	fails 2 "--revisit x: expected a number from 1" -- "$run" --revisit x "${options[@]}"
	fails 2 "paths with a |" -- "$run" --out 'a|b' streamvggt-pose
}

@test "every row of the tables names a data set, a task that it has truth for, and figures of e3-eval" {
	local -A seen=()
	mkdir empty
	while read -r table row set task stride infer figures; do
		case $table in \#* | '') continue ;; esac
		[[ $stride =~ ^(-|(whole:)?[1-9][0-9]*(:[1-9][0-9]*)?)$ ]] || { echo "$table $row: $stride"; return 1; }
		options=()
		[[ $stride != whole:* ]] || options=(--whole)
		[ -n "${seen[${set%%/*}-$task${options[*]}]:-}" ] ||
			fails 1 "opening: ${set%%/*}: empty: expected" -- e3-decode --dataset "${set%%/*}" --root empty --task "$task" "${options[@]}" --list
		seen[${set%%/*}-$task${options[*]}]=1
		infer=${infer#own,}
		# shellcheck disable=SC2086
		[ -n "${seen[$infer]:-}" ] || e3-infer -q --plan --model seed:tiny:1 --frames 1000 ${infer//,/ } >/dev/null || { echo "$table $row: $infer"; return 1; }
		seen[$infer]=1
		case $task in
		depth | video-depth) keys='abs_rel|d1|memory' ;;
		recon) keys='acc|comp|nc|acc_med|comp_med|nc_med|memory' ;;
		pose) keys='ate|rpe_t|rpe_r|memory' ;;
		pairs) keys='auc30' ;;
		esac
		for f in $figures; do [[ $f =~ ^($keys)=(-|[0-9.]+\??|out-of-memory)$ ]] || { echo "$table $row: $f"; return 1; }; done
	done <"$ROOT/pipelines/eval/tables"
	# no table has a row twice
	awk '!/^#/ && NF { print $1, $2, $3, $4, $5 }' "$ROOT/pipelines/eval/tables" | sort | uniq -d >twice
	[ ! -s twice ]
}

# original TUM: the recording under its own names
recording() { # SEQUENCE SEED FRAMES
	local d=data/tum/$1
	e3-scene --as tum --sequence "$1" --seed "$2" --path walk --frames "$3" --size 96x72 --fps 30 data/tum
	mv "$d/rgb_90" "$d/rgb"
	mv "$d/groundtruth_90.txt" "$d/groundtruth.txt"
	for f in "$d"/rgb/*.png; do
		f=${f##*/}
		echo "${f%.png} rgb/$f"
	done >"$d/rgb.txt"
}

@test "long sequences: one recording a row, its first frames, with the policies of the papers and in segments" {
	room=rgbd_dataset_freiburg1_room xyz=rgbd_dataset_freiburg3_sitting_xyz
	recording $room 5 12
	recording $xyz 6 30
	for which in "K4 estream-long" "[slw]* long-pose"; do
		rc=0
		"$run" --data data "${weights[@]}" --decode "--fit 42" --rows "${which% *}" "${which#* }" >>table 2>log || rc=$?
		[ "$rc" -eq 1 ] # of freiburg2 and of seven others nothing is there
	done
	segments="--budget 8f --segment 24 --overlap 8"
	for what in "K4:--policy k4 --compat camera" "segments:$segments" "whole:--budget 8f --segment 0" "loops:$segments --loops"; do
		if [[ $what == K4:* ]]; then sequence=$room row=tum/$room; else sequence=$xyz row=tum; fi
		# shellcheck disable=SC2086
		e3-decode -q --dataset tum --root data --whole --sequence $sequence --fit 42 |
			e3-infer -q --model seed:tiny:7 --outputs pose ${what#*:} |
			if [[ $what == loops:* ]]; then e3-align -q --final; else cat; fi | e3-eval pose --json - >one.json
		python3 -c '
import json
p = json.load(open("one.json"))["average"]["pose"]["Sim(3)"]
print("ATE %.3f / " % p["ate"])' >want
		grep -F " $row 500 frames" table | grep " ${what%%:*} " | grep -F "$(cat want)" | grep -q "(1 of " || { cat want table; return 1; }
	done
	grep -F "tum/$room 1000 frames" table | grep -q "K4 .*ATE [0-9.]* / 1.012   RPE trans [0-9.]* / 0.073   RPE rot [0-9.]* / 12.294   GB [0-9.]* / 7.84   (1 of 1)"
	grep -F "tum/rgbd_dataset_freiburg2_desk 100 frames" table | grep -qF "(0 of 1; rgbd_dataset_freiburg2_desk: not found)"
	grep -q "^  tum 500 frames *segments .*(1 of 8; .*not found)" table
	# fewer frames: the selection is the row's
	"$run" --data data "${weights[@]}" --decode "--fit 42 --max-frames 10" --out ten --rows 'K4' estream-long >ten.txt 2>log || true
	[ "$(python3 -c '
import glob, json
print(json.load(open(glob.glob("ten/runs/tum-*room-pose-every-whole-1-100/policyk4/*.json")[0]))["sequences"][0]["frames"])')" -eq 10 ]
	grep -q "^estream-long: eStreamVGGT" table
	grep -q "^long-pose: long sequences, doc/evaluation.md 9.4" table
}

@test "results do not go into the data, nor into a folder that holds them" {
	mkdir -p data/sintel work/data
	echo kept >data/film.part
	ln -s ../data work/link
	for out in data data/sintel/.. . "$T"; do
		fails 2 "data, which is read, lies in it: give a folder of its own" -- "$run" --data data --out "$out" "${weights[@]}" --sets sintel evict3r-1
	done
	fails 2 "lies in it" -- "$run" --root sintel=data/sintel --out work/link "${weights[@]}" --sets sintel evict3r-1
	[ "$(cat data/film.part)" = kept ]
	[ "$(ls data)" = "$(printf 'film.part\nsintel')" ]
}

#!/usr/bin/env bats
# e3-clips with GNU parallel: a record for each clip, one that fails stops no other, what is done is not done again.
load common

setup_file() {
	mkdir "$BATS_FILE_TMPDIR/clips"
	cd "$BATS_FILE_TMPDIR/clips" || return 1
	for k in 1 2 3; do
		ffmpeg -v error -f lavfi -i "testsrc2=s=64x48:r=10:d=0.$((k + 2))" -pix_fmt yuv420p -c:v libx264 "c$k.mp4"
	done
	head -c 900 c3.mp4 >bad.mp4
}

prepare() {
	parallel --version 2>/dev/null | grep -q '^GNU parallel' || skip "needs GNU parallel"
	cp -r "$BATS_FILE_TMPDIR/clips" "$T"
	cd "$T" || return 1
	with=(--decode --all --infer "--model seed:tiny:1 --budget 2f")
}

field() { # FILE NAME: of each record, sorted by clip
	/usr/bin/python3 -c 'import json, sys; print(*[r[sys.argv[2]] for r in sorted(map(json.loads, open(sys.argv[1])), key=lambda r: r["clip"])])' "$1" "$2"
}
is() { [ "$(field "$1" "$2")" = "$3" ] || { echo "$2: $(field "$1" "$2"), expected $3"; cat "$1"; return 1; }; }

@test "one clip fails and the others are done; a second run processes only that one, a third none" {
	rc=0
	e3-clips run --jobs 2 "${with[@]}" out clips/*.mp4 >first 2>err || rc=$?
	[ "$rc" -eq 1 ]
	is first clip "bad c1 c2 c3"
	is first status "failed done done done"
	is first frames "0 3 4 5"
	is first source "$T/clips/bad.mp4 $T/clips/c1.mp4 $T/clips/c2.mp4 $T/clips/c3.mp4"
	is first error "e3-decode: reading: $T/clips/bad.mp4: its index is missing (no moov): the recording was cut off before it was written: repair it in the camera or with a tool that rebuilds the index from a whole recording of the same camera None None None"
	is first outputs "[] ['c1/model.glb', 'c1/run.json', 'c1/trajectory.txt'] ['c2/model.glb', 'c2/run.json', 'c2/trajectory.txt'] ['c3/model.glb', 'c3/run.json', 'c3/trajectory.txt']"
	/usr/bin/python3 -c 'import json; assert all(0 < json.loads(l)["seconds"] < 3600 for l in open("first"))'
	/usr/bin/python3 -B "$ROOT/tests/glb_facts.py" out/c3/model.glb | grep -q POINTS
	[ ! -e out/bad/model.glb ]
	grep -q '^e3-clips: 3 of 4 done' err
	stat -c '%n %Y %Z' out/c*/model.glb >before
	cp clips/c1.mp4 clips/bad.mp4
	e3-clips run --jobs 2 "${with[@]}" out clips/*.mp4 >second 2>err
	grep -q '^e3-clips: 4 clips, 1 to process$' err
	is second status "done done done done"
	is second frames "3 3 4 5"
	stat -c '%n %Y %Z' out/c*/model.glb | cmp - before
	e3-clips run "${with[@]}" out clips/*.mp4 >third 2>err
	grep -q '^e3-clips: 4 clips, 0 to process$' err
	cmp <(sort second) <(sort third)
	e3-clips status out >status
	cmp <(sort second) <(sort status)
}

@test "a clip is processed again when it, an option or an output changed, and with --again" {
	run() { e3-clips run "${with[@]}" "$@" out clips/c1.mp4 clips/c2.mp4 >o 2>err || { cat o err; return 1; }; }
	to_do() { grep -qx "e3-clips: 2 clips, $1 to process" err || { cat err; return 1; }; }
	run && to_do 2
	run && to_do 0
	rm out/c1/model.glb
	run && to_do 1
	touch -d '1 hour ago' clips/c2.mp4
	run && to_do 1
	run --export '--ply {}/points.ply' && to_do 2
	is o outputs "['c1/points.ply', 'c1/run.json'] ['c2/points.ply', 'c2/run.json']"
	[ ! -e out/c1/model.glb ] # what the other options made is gone
	run --export '--ply {}/points.ply' --again && to_do 2
}

@test "killed in the middle: incomplete clips are not done, and the next run processes them" {
	mkfifo clips/slow.mp4
	e3-clips run "${with[@]}" --decode '--live all' out clips/c1.mp4 clips/slow.mp4 >o 2>err &
	pid=$!
	exec 7<>clips/slow.mp4 # a video that does not come
	wait_until 20 has_text out/slow/clip.json running
	rc=0
	e3-clips status out >s || rc=$?
	[ "$rc" -eq 1 ]
	is s status "done running"
	# Another run leaves it to the first.
	e3-clips run "${with[@]}" --decode '--live all' out clips/slow.mp4 >o2 2>err2 7>&- || true
	grep -q 'slow: another process works on it' err2
	kill -TERM "$pid"
	rc=0
	wait "$pid" || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ] || { echo "exit $rc"; cat err; return 1; }
	e3-clips status out >s || true
	is s status "done interrupted"
	rm clips/slow.mp4
	cp clips/c2.mp4 clips/slow.mp4
	e3-clips run "${with[@]}" --decode '--live all' out clips/c1.mp4 clips/slow.mp4 >o 2>err
	grep -qx 'e3-clips: 2 clips, 1 to process' err
	is o status "done done"
}

@test "a clip whose worker was killed is interrupted, not running" {
	mkdir -p out/x out/.clips
	printf 'x\t%s\n' "$T/clips/c1.mp4" >out/.clips/1.all
	echo '{"clip":"x","source":"c1.mp4","status":"running","frames":0,"seconds":0,"outputs":[],"error":null}' >out/x/clip.json
	e3-clips status out >s || true
	is s status interrupted
	is s error "it was killed"
}

@test "clips that run at the same time get different GPUs" {
	mkdir bin
	printf '#!/bin/sh\ncase $* in *--plan*) exit 0 ;; esac\necho "e3-infer: GPU $CUDA_VISIBLE_DEVICES: $*" >&2
		>began.$$; n=0; until [ "$(ls began.* | wc -l)" -ge 2 ] || [ $n -ge 600 ]; do n=$((n + 1)); sleep 0.1; done; exit 1\n' >bin/e3-infer # both at once
	chmod +x bin/e3-infer
	for t in e3-decode e3-export; do ln -s "$B/bin/$t" "bin/$t"; done
	cp "$B/bin/e3-clips" bin/
	export E3_MODEL=seed:tiny:1
	CUDA_VISIBLE_DEVICES=4,7 bin/e3-clips run --gpus 2 out clips/c1.mp4 clips/c2.mp4 >o 2>err || true
	is o status "failed failed"
	[ "$(field o error | grep -o 'GPU [0-9]' | sort | paste -sd' ')" = "GPU 4 GPU 7" ] || { cat o; return 1; }
	[ "$(field o error | grep -o 'GPU [0-9]: --threads 1 --device cuda' | wc -l)" -eq 2 ] # not the CPU instead
	rm began.*
	bin/e3-clips run --gpus 2 out clips/c1.mp4 clips/c2.mp4 >o 2>err || true
	[ "$(field o error | grep -o 'GPU [0-9]' | sort | paste -sd' ')" = "GPU 0 GPU 1" ] || { cat o; return 1; }
}

@test "names of clips: last part of the path, whole path with --tree, from a list, unusual characters" {
	mkdir -p a b
	cp clips/c1.mp4 a/video.mp4
	cp clips/c2.mp4 b/video.mp4
	fails 2 "a/video.mp4 and b/video.mp4 would both go to $T/out/video: give --tree, or rename one" -- e3-clips run out a/video.mp4 b/video.mp4
	printf 'a/video.mp4\nb/video.mp4\n' >list
	e3-clips run "${with[@]}" --tree --list list out >o 2>err
	is o clip "a/video.mp4 b/video.mp4"
	is o frames "3 4"
	[ -s out/b/video.mp4/model.glb ]
	odd=$'clips/an "odd" \\ näme \xff.mp4'
	cp clips/c1.mp4 "$odd"
	e3-clips run "${with[@]}" out "$odd" >o 2>err || { cat o err; return 1; }
	is o status "done"
	is o clip 'an "odd" \ näme '
	fails 2 "its name cannot be used for a folder" -- e3-clips run --tree out ../x.mp4
	fails 2 "contains a tab or a line break" -- e3-clips run out $'a\nb.mp4'
}

@test "errors of the command line" {
	fails 2 "no command" -- e3-clips
	fails 2 "unknown command 'walk'" -- e3-clips walk out x
	e3-clips walk out x 2>err & # which lets it ignore SIGINT
	! wait $! || return 1
	grep -q "unknown command 'walk'" err
	fails 2 "unknown option --frobnicate" -- e3-clips run --frobnicate out x
	fails 2 "option --jobs needs an argument" -- e3-clips run out x --jobs
	fails 2 "option --jobs: expected a whole number from 1 on, got '0'" -- e3-clips run out x --jobs 0
	fails 2 "no clips" -- e3-clips run out
	fails 2 "no folder for the results" -- e3-clips run
	fails 2 "--demo-model, and a model in --infer: give one" -- e3-clips run --demo-model --infer '-m x' out x
	fails 1 "reading: nolist: cannot be read" -- e3-clips run --list nolist out
	fails 1 "no clips were run or submitted there" -- e3-clips status out
	mkdir gone
	fails 1 "e3-clips: out: the current folder does not exist any more" -- bash -c 'cd gone && rmdir ../gone && e3-clips run --demo-model out x'
	e3-clips --version | grep -qE '^e3-clips [0-9]+\.[0-9]+\.[0-9]+$'
}

@test "a clip is no place for results, and no two clips write one file" {
	no() { fails 2 "$1" -- e3-clips run "${with[@]}" "${@:2}"; }
	mkdir -p out/c1 out/sub
	cp clips/c1.mp4 out/c1/
	cp clips/c1.mp4 out/c2
	ln -s ../clips out/c3
	find . -type f ! -name before -exec cksum {} + | sort >before
	no "$T/out/c1/c1.mp4 lies in $T/out/c1, where the results of out/c1/c1.mp4 go: give another folder" out out/c1/c1.mp4
	cp clips/c1.mp4 out/c1/other.mp4
	no "$T/out/c1/other.mp4 lies in $T/out/c1, where the results of clips/c1.mp4 go" out clips/c1.mp4 out/c1/other.mp4
	rm out/c1/other.mp4
	no "$T/out/c2 lies in $T/out/c2, where the results of out/c2 go" out out/c2
	no "$T/clips/c3.mp4 lies in $T/out/c3, where the results of clips/c3.mp4 go" out clips/c3.mp4
	no "--export: ./clips/c1.mp4 is a clip that is read: give another name" --export '--glb ./clips/c1.mp4' new clips/c1.mp4
	no "--export: --glb new.glb: every clip would write it" --export '--glb new.glb' new clips/*.mp4
	no "--infer: --save-cache c: every clip would write it" --infer '--budget 2f --save-cache=c' new clips/*.mp4
	no "--decode: --png pics: every clip would write it" --decode '--png pics' new clips/*.mp4
	no "--decode: --images pics: every clip would write it" --decode '--images pics' new clips/*.mp4
	[ ! -e new ]
	find . -type f ! -name 'std*' ! -name before -exec cksum {} + | sort | diff before - || return 1
	# clips beside the folders of their results are fine
	e3-clips run "${with[@]}" clips clips/c1.mp4 2>err >o || { cat err; return 1; }
	[ -e clips/c1/model.glb ]
}

@test "without a model nothing begins, unless the bundled one is asked for; the model belongs to the inputs of a result" {
	export HOME=$T
	for infer in '--budget 2f' '--P 0.5'; do
		fails 1 "e3-clips: no model was given: --infer '--model FILE', or E3_MODEL" -- e3-clips run --infer "$infer" out clips/c1.mp4
	done
	fails 1 "no model was given" -- e3-clips submit out clips/c1.mp4 || grep -q "sbatch is not installed" stderr
	[ ! -e out ]
	e3-clips run --demo-model --decode '--all --max-frames 1' --infer '--budget 2f --device cpu' out clips/c1.mp4 >o 2>err
	is o status "done"
	E3_MODEL=seed:tiny:1 e3-clips run --decode '--all --max-frames 1' --infer '--budget 2f --device cpu' out clips/c1.mp4 >o 2>err
	grep -qx 'e3-clips: 1 clip, 1 to process' err
	mkdir -p .cache/e3
	e3-model seed tiny:2 .cache/e3/own.safetensors 2>/dev/null || cp "$DEMO/model.safetensors" .cache/e3/own.safetensors
	e3-clips run --decode '--all --max-frames 1' --infer '--budget 2f --device cpu' out clips/c1.mp4 >o 2>err
	grep -qx 'e3-clips: 1 clip, 1 to process' err
	grep -q '"model":' out/c1/run.json
}

@test "--gpus without a GPU: nothing begins" {
	export E3_MODEL=seed:tiny:1 CUDA_VISIBLE_DEVICES=
	! nvidia-smi -L >/dev/null 2>&1 || export CUDA_VISIBLE_DEVICES=99
	fails 1 "cannot be used: opening the device: cuda" -- e3-clips run --gpus 2 out clips/c1.mp4
	[ ! -e out ]
}

@test "notes of the stages are in the logs, and warnings are shown" {
	e3-clips run "${with[@]}" --infer '-v --model seed:tiny:1 --budget 2f --device auto' out clips/c1.mp4 >o 2>err
	grep -q '^e3-export: .*model.glb: .* points of ' out/c1/export.log
	grep -qE '^e3-infer: (device: the CPU|segments of)' out/c1/infer.log
	! grep -q 'points of' err || return 1
	printf '#!/bin/sh\n"%s/bin/e3-export" "$@" && [ "$1" != --help ] || exit\n%s\n' "$B" 'echo "<4>e3-export: beware" >&2; echo "<5>e3-export: by the way" >&2' >e3-export
	chmod +x e3-export
	mkdir bin
	mv e3-export bin/
	for t in e3-decode e3-infer; do ln -s "$B/bin/$t" "bin/$t"; done
	cp "$B/bin/e3-clips" bin/
	bin/e3-clips run -q "${with[@]}" out2 clips/c1.mp4 >o 2>err
	is o status "done"
	grep -qx 'e3-clips: c1: e3-export: beware' err
	! grep 'by the way' err || return 1
	grep -qx 'e3-export: beware' out2/c1/export.log
	grep -qx 'e3-export: by the way' out2/c1/export.log
}

# The network works on its first frame, and e3-clips is stopped: it ends after its stages, and no other one begins beside them.
@test "TERM, INT, HUP, or INT for the whole group: no stage is left, the clip is interrupted, and runs again" {
	mkfifo clips/slow.mp4
	for signal in TERM INT HUP group; do
		rm -rf out
		[ $signal != group ] || set -m
		e3-clips run "${with[@]}" --decode '--live all' out clips/slow.mp4 clips/c2.mp4 >o 2>err &
		pid=$!
		set +m
		exec 7<>clips/slow.mp4
		wait_until 20 has_text out/slow/clip.json running
		wait_until 20 test -e out/slow/infer.log
		if [ $signal = group ]; then kill -INT -- "-$pid"; else kill -$signal $pid; fi
		rc=0
		wait $pid || rc=$?
		[ "$rc" -eq 130 ] || { echo "$signal: exit $rc"; cat err; return 1; }
		[ -z "$(lsof -t out/slow/.lock 2>/dev/null || fuser out/slow/.lock 2>/dev/null)" ]
		flock -n out/slow/.lock true # the stages held it as long as they lived
		is o status "interrupted"
		[ -z "$(compgen -G 'out/.clips/*.run.*')" ]
		exec 7>&-
	done
	e3-clips status out >s || true
	is s status "missing interrupted"
	rm clips/slow.mp4
	cp clips/c1.mp4 clips/slow.mp4
	e3-clips run "${with[@]}" out clips/slow.mp4 clips/c2.mp4 >o 2>err
	is o status "done done"
}

@test "a stage that ignores the signal is killed after ten seconds; until then the clip is locked" {
	mkdir bin
	printf '#!/bin/bash\ntrap "" TERM INT HUP\ntouch began\nwhile :; do sleep 0.1; done\n' >bin/e3-infer
	chmod +x bin/e3-infer
	for t in e3-decode e3-export; do ln -s "$B/bin/$t" "bin/$t"; done
	cp "$B/bin/e3-clips" bin/
	bin/e3-clips run "${with[@]}" out clips/c1.mp4 >o 2>err &
	pid=$!
	wait_until 20 test -e began
	kill -TERM $pid
	sleep 0.5
	! flock -n out/c1/.lock true || return 1
	rc=0
	wait_until 20 gone $pid
	wait $pid || rc=$?
	[ "$rc" -eq 130 ]
	flock -n out/c1/.lock true
}

@test "e3-clips itself is killed: its stages end too" {
	setpriv --pdeathsig TERM true 2>/dev/null || skip "needs setpriv --pdeathsig"
	mkfifo clips/slow.mp4
	e3-clips run "${with[@]}" --decode '--live all' out clips/slow.mp4 >o 2>err &
	pid=$!
	exec 7<>clips/slow.mp4
	wait_until 20 has_text out/slow/clip.json running
	wait_until 20 test -e out/slow/infer.log
	kill -KILL $pid
	wait_until 10 flock -n out/slow/.lock true # which the stages hold
	wait_until 10 has_text out/slow/clip.json interrupted
	exec 7>&-
}

@test "--streams: one e3-infer for all clips; results are the same, one that fails stops no other" {
	e3-clips run "${with[@]}" out clips/c*.mp4 >alone 2>err
	rc=0
	e3-clips run --streams 2 "${with[@]}" many clips/*.mp4 >o 2>err || rc=$?
	[ "$rc" -eq 1 ]
	is o clip "bad c1 c2 c3"
	is o status "failed done done done"
	is o frames "0 3 4 5"
	is o outputs "[] ['c1/model.glb', 'c1/run.json', 'c1/trajectory.txt'] ['c2/model.glb', 'c2/run.json', 'c2/trajectory.txt'] ['c3/model.glb', 'c3/run.json', 'c3/trajectory.txt']"
	grep -q '"error":"e3-decode: reading: .*bad.mp4: its index is missing' o
	for c in c1 c2 c3; do
		cmp out/$c/model.glb many/$c/model.glb
		cmp out/$c/trajectory.txt many/$c/trajectory.txt
	done
	[ -z "$(find many -name '.frames' -o -name '.predictions' -o -name '*.infer.*' -o -name '*.list.0')" ]
	cp clips/c1.mp4 clips/bad.mp4
	e3-clips run --streams 2 "${with[@]}" many clips/*.mp4 >o 2>err
	grep -q '^e3-clips: 4 clips, 1 to process$' err
}

@test "--streams: when their e3-infer ends, the clips fail and say why; a signal ends all of it" {
	rc=0
	timeout 300 e3-clips run --streams 2 --decode --all --infer "--model seed:none:1" out clips/c1.mp4 clips/c2.mp4 >o 2>err || rc=$?
	[ "$rc" -eq 1 ]
	is o status "failed failed"
	[ "$(grep -c "\"error\":\"e3-infer: .*no configuration 'none'" o)" -eq 2 ] || { cat o; return 1; }
	mkfifo clips/slow.mp4
	e3-clips run --streams 2 "${with[@]}" --decode '--live all' many clips/slow.mp4 clips/c2.mp4 >o 2>err &
	pid=$!
	exec 7<>clips/slow.mp4
	wait_until 20 has_text many/slow/clip.json running
	kill -TERM $pid
	rc=0
	wait $pid || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ] || { echo "exit $rc"; cat err; return 1; }
	flock -n many/slow/.lock true
	fails 2 'its options cannot name the clip' -- e3-clips run --streams 2 --infer '--save-cache {}/c' x clips/c1.mp4
}

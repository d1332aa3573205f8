#!/usr/bin/env bats
# e3-clips on a real Slurm cluster of one node: slurmctld, slurmd and munged on the loopback address. Skips where they are missing
# (Debian: slurmctld slurmd slurm-client munge), and where the test does not run as root.
load common
load slurm
load recipes

setup_file() {
	local c
	for c in slurmctld slurmd sbatch munged; do
		command -v "$c" >/dev/null || { echo "$c" >"$BATS_FILE_TMPDIR/missing"; return 0; }
	done
	[ "$(id -u)" -eq 0 ] || { echo "to run as root" >"$BATS_FILE_TMPDIR/missing"; return 0; }
	# The path of a socket is limited to 107 bytes.
	d=$(mktemp -d /tmp/e3-slurm.XXXXXX)
	echo "$d" >"$BATS_FILE_TMPDIR/cluster"
	cluster_start "$d" >"$BATS_FILE_TMPDIR/start" 2>&1 3>&- || echo "a cluster that starts: $(tail -n 3 "$BATS_FILE_TMPDIR/start")" >"$BATS_FILE_TMPDIR/missing"
}

teardown_file() {
	[ -s "$BATS_FILE_TMPDIR/cluster" ] || return 0
	d=$(cat "$BATS_FILE_TMPDIR/cluster")
	cluster_stop "$d"
	rm -rf "$d"
}

prepare() {
	[ ! -s "$BATS_FILE_TMPDIR/missing" ] || skip "needs $(cat "$BATS_FILE_TMPDIR/missing")"
	export SLURM_CONF
	SLURM_CONF=$(cat "$BATS_FILE_TMPDIR/cluster")/slurm.conf
	cd "$T" || return 1
	mkdir clips
	for k in 1 2 3 4 5; do
		ffmpeg -v error -f lavfi -i "testsrc2=s=64x48:r=10:d=0.$((k + 2))" -pix_fmt yuv420p -c:v libx264 "clips/c$k.mp4"
	done
	head -c 900 clips/c3.mp4 >clips/bad.mp4
	submit=(timeout 600 e3-clips submit --wait --decode --all --infer "--model seed:tiny:1 --budget 2f --threads 1")
}

field() { # FILE NAME: of each record, in order
	/usr/bin/python3 -c 'import json, sys; print(*[json.loads(l)[sys.argv[2]] for l in open(sys.argv[1])])' "$1" "$2"
}

@test "an array of 6 clips, one of which fails: five results, one clear failure; a second submission runs only that one" {
	rc=0
	"${submit[@]}" --limit 2 out clips/*.mp4 >first 2>err || rc=$?
	[ "$rc" -eq 1 ] || { echo "exit $rc"; cat err first; tail -n 20 out/.clips/*.log; return 1; }
	[ "$(field first clip)" = "bad c1 c2 c3 c4 c5" ]
	[ "$(field first status)" = "failed done done done done done" ] || { cat first; return 1; }
	[ "$(field first frames)" = "0 3 4 5 6 7" ]
	grep -q '"clip":"bad".*"error":"e3-decode: reading: .*/clips/bad.mp4: its index is missing (no moov)' first
	for k in 1 2 3 4 5; do
		/usr/bin/python3 -B "$ROOT/tests/glb_facts.py" "out/c$k/model.glb" >facts
		grep -q POINTS facts
		[ "$(grep -vc '^#' "out/c$k/trajectory.txt")" -eq $((k + 2)) ]
	done
	[ ! -e out/bad/model.glb ]
	# Slurm itself knows which task failed.
	scontrol show job -o | grep -c 'ArrayTaskId=1 .*JobState=FAILED' | grep -qx 1
	stat -c '%n %Y %Z' out/c*/model.glb >before
	cp clips/c2.mp4 clips/bad.mp4
	"${submit[@]}" out clips/*.mp4 >second 2>err
	grep -q '^e3-clips: 6 clips, 1 to process$' err
	[ "$(field second status)" = "done done done done done done" ]
	[ "$(field second frames)" = "4 3 4 5 6 7" ]
	stat -c '%n %Y %Z' out/c*/model.glb | cmp - before
	# A third submission has nothing to do.
	"${submit[@]}" out clips/*.mp4 2>err >/dev/null
	grep -q '^e3-clips: 6 clips, 0 to process$' err
}

@test "a stopped task is recorded as interrupted, and runs again" {
	mkfifo clips/slow.mp4
	e3-clips submit --decode '--live all' --infer "--model seed:tiny:1 --budget 2f --threads 1" out2 clips/slow.mp4 2>err
	job=$(sed -n 's/.*submitted as job \([0-9]*\),.*/\1/p' err)
	exec 7<>clips/slow.mp4 # it waits for a video that does not come
	wait_until 20 has_text out2/slow/clip.json running
	scancel --batch --signal=TERM "$job"
	wait_until 20 eval '! grep -qs running out2/slow/clip.json'
	exec 7>&-
	e3-clips status out2 >s || true
	[ "$(field s status)" = interrupted ] || { cat s; return 1; }
	grep -q '"error":"stopped by a signal"' s
	cp clips/c1.mp4 video && mv video clips/slow.mp4
	timeout 300 e3-clips submit --wait --decode --all --infer "--model seed:tiny:1 --budget 2f --threads 1" out2 clips/slow.mp4 >s 2>err
	[ "$(field s status) $(field s frames)" = "done 3" ]
}

@test "the recipe of e3-pipelines(7): cluster; and as a script, many-clips.sh" {
	mkdir few
	ffmpeg -v error -i "$DEMO/clip.mp4" -frames:v 7 -c:v libx264 -pix_fmt yuv420p few/room.mp4
	mv clips/bad.mp4 few
	rc=0
	timeout 300 "$ROOT/pipelines/recipes/many-clips.sh" --demo-model --slurm '--cpus-per-task=1 --time=1:00:00' --limit 2 'of few' few/*.mp4 >s 2>err || rc=$?
	[ "$rc" -eq 1 ] || { cat err; return 1; }
	grep -qx '1 of 2 clips are done: of few/records.jsonl' s || { cat s err 'of few/records.jsonl'; return 1; }
	grep -q '^bad: failed: e3-decode: ' s
	# This cluster has no GPUs and few cores; the network is the tiny one.
	recipe cluster | sed "s#--gres=gpu:1 --cpus-per-task=4#--cpus-per-task=1#; s#--every 0.5#--every 0.1#; s#--model weights.pth#--model seed:tiny:1#" >recipe.sh
	grep -q 'cpus-per-task=1 --time=1:00:00.*--limit 16' recipe.sh
	timeout 300 bash recipe.sh >s 2>err || true # status tells that they are not done yet
	grep -q 'submitted as job' err || { cat err; return 1; }
	wait_until 30 eval 'e3-clips status out >s'
	[ "$(field s status)" = "done done done done done" ] || { cat s; return 1; }
}

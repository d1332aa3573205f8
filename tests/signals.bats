#!/usr/bin/env bats
# Signals at any moment, and streams that fail: what is left, the exit status, the time, no process. tests/signals.py has the table of
# cases; `tests/signals.py DIR --full` tries every signal with every case.
load common

setup_file() {
	export PATH="$B/bin:$PATH"
	e3-scene -q --size 70x56 --frames 4 -o "$BATS_FILE_TMPDIR/frames.e3"
	e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 2f "$BATS_FILE_TMPDIR/frames.e3" -o "$BATS_FILE_TMPDIR/preds.e3"
}

prepare() {
	frames=$BATS_FILE_TMPDIR/frames.e3
	preds=$BATS_FILE_TMPDIR/preds.e3
	cd "$T" || return 1
}

small() { e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 2f "$@"; }

# kinds FILE: the kinds of its messages, with their index.
kinds() { e3-dump --json "$1" 2>/dev/null | /usr/bin/python3 -c '
import json, sys
print(*(m["kind"] + str(m.get("i", "")) for m in map(json.loads, sys.stdin)))'; }

@test "every tool, before the first frame, in the middle and at the end: files, exit status, time, no process left" {
	/usr/bin/python3 -B "$ROOT/tests/signals.py" "$T/m"
}

@test "timeout, which signals the child and its group, leaves the recording" {
	# On a busy machine a second may be over before e3-decode has begun, or before it has a frame.
	for seconds in 1 5 25 125; do
		if timeout -s TERM $seconds e3-decode -q lavfi:testsrc2=s=64x48:r=30 | small -o scan.e3 2>err; then
			! kinds scan.e3 | grep -q pred || break
		else
			grep -q "truncated: empty, expected a head" err
		fi
	done
	[ "$(kinds scan.e3 | tail -c 4)" = end ]
	[ "$(kinds scan.e3 | tr ' ' '\n' | grep -c pred)" -ge 1 ]
	[ "$(echo scan*)" = scan.e3 ]
}

@test "with E3_DRAIN a signal does not end reading: what is on its way is in the results" {
	e3-export -q --glb whole.glb "$preds"
	mkfifo in
	E3_DRAIN=1 e3-export -q --glb x.glb in 3>&- &
	pid=$!
	exec 7>in
	head -c 6 "$preds" >&7
	wait_until 20 all_read in
	kill -INT $pid
	tail -c +7 "$preds" >&7
	exec 7>&-
	rc=0
	wait $pid || rc=$?
	[ "$rc" -eq 130 ]
	cmp x.glb whole.glb
}

# none_pending PID: no signal waits to be handled.
none_pending() { ! grep -qE '^S(ig|hd)Pnd:.*[1-9a-f]' "/proc/$1/status"; }

@test "a signal more than a second after the first ends a tool at once; a stream that has a frame stays as FILE.partial" {
	e3-scene -q --frames 3 --size 640x480 -o frames.e3
	for way in "INT TERM 143" "TERM INT 130" "HUP HUP 129"; do
		set -- $way
		rm -f copy.e3* stuck
		mkfifo stuck
		exec 7<>stuck # its reader takes nothing
		e3-cat -q frames.e3 stuck --tee-block copy.e3 2>/dev/null 7>&- &
		pid=$!
		wait_until 10 written_above copy.e3 500000
		kill "-$1" "$pid" "$pid" # the same request
		wait_until 10 none_pending "$pid"
		sleep 1.1 # what makes the next one another request
		[ -d "/proc/$pid" ]
		kill "-$2" "$pid"
		wait_until 2 gone "$pid"
		rc=0
		wait "$pid" || rc=$?
		[ "$rc" -eq "$3" ] || { echo "$way: exit $rc"; return 1; }
		[ "$(echo copy.e3*)" = copy.e3.partial ]
		e3-cat -q copy.e3.partial -o whole.e3
		[ "$(kinds whole.e3 | cut -d' ' -f1-2)" = "head frame0" ]
	done
}

@test "signals that end a tool at once, and a fault: a stream stays as FILE.partial, no unfinished file is left" {
	for way in "QUIT 131" "USR1 138" "ALRM 142" "SEGV 139"; do
		set -- $way
		env --default-signal=QUIT e3-scene -q --endless --size 70x56 -o live.e3 3>&- 2>err &
		pid=$!
		wait_until 20 written_above live.e3 60000
		kill -"$1" $pid
		rc=0
		wait $pid || rc=$?
		[ "$rc" -eq "$2" ] || { echo "$1: exit $rc"; return 1; }
		[ "$(echo live*)" = live.e3.partial ] || { echo "$1: $(echo live*)"; return 1; }
		e3-dump live.e3.partial 2>&1 | grep -q '^frame .*i=0 '
		[ "$1" != SEGV ] || grep -q "e3-scene: ended by a fault of the program" err
		rm live*
	done
	env --default-signal=QUIT e3-export -q --glb x.glb --tum y.tum zmq:pull:ipc://nobody 3>&- &
	pid=$!
	wait_until 20 test -e y.tum.tmp.$pid
	kill -QUIT $pid
	wait $pid || true
	[ "$(echo x* y*)" = 'x* y*' ]
}

@test "pictures of a source that fails stay, with their table as FILE.partial" {
	for k in 1 2 3; do
		printf 'P6\n70 56\n255\n' && head -c 11760 /dev/zero
	done >three.ppm
	head -c 30000 three.ppm >cut.ppm
	fails 1 "cut short: the 2 pictures that came are kept in it, listed in out/frames.tsv.partial" -- bash -c 'e3-decode - --png out --strict <cut.ppm'
	[ "$(cd out && echo *)" = "000000.png 000001.png frames.tsv.partial" ]
	[ "$(wc -l <out/frames.tsv.partial)" -eq 3 ]
}

@test "nohup: a signal that is ignored stays ignored" {
	mkfifo in
	(trap '' HUP; exec e3-cat -q in -o out.e3) &
	pid=$!
	wait_until 10 handles_signals "$pid"
	exec 7>in
	kill -HUP "$pid"
	cat "$frames" >&7
	exec 7>&-
	wait "$pid"
	cmp out.e3 "$frames"
}

@test "a signal to a whole pipeline whose first stage is no e3 tool: the output has its own name" {
	mkfifo in
	exec 7<>in
	for k in 1 2 3; do
		rm -f out.e3*
		setsid bash -c 'cat in | e3-cat -q - -o out.e3' 7>&- &
		wait_until 10 pgrep -s $! -x e3-cat # of this session: other tests run beside this one
		pid=$(pgrep -s $! -x e3-cat)
		wait_until 10 handles_signals "$pid"
		head -c 30000 "$frames" >in # a frame, its truth, and a piece of the next
		wait_until 10 written_above out.e3 20000
		kill -TERM -- "-$(ps -o pgid= "$pid" | tr -d ' ')"
		wait $! || true
		wait_until 5 gone "$pid"
		[ "$(echo out.e3*)" = out.e3 ]
		kinds out.e3 | grep -q 'end$'
	done
}

# joined FILE: joined.e3 is the same, joined between its first frame and what belongs to that.
joined() {
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$1" joined.e3 'del m[1]
m[-1][1]["frames"] -= 1
m[0][1]["frames"] = None'
}

@test "joined between a frame and what belongs to it: that is left out, by every tool" {
	joined "$frames" # begins with truth 0
	[ "$(kinds joined.e3)" = "head truth0 frame1 truth1 frame2 truth2 frame3 truth3 end" ] # e3-dump shows what is there
	small joined.e3 -o out.e3
	[ "$(kinds out.e3)" = "head pred1 evict1 truth1 pred2 evict2 truth2 pred3 evict3 truth3 end" ]
	e3-cat --take 1 joined.e3 -o out.e3
	[ "$(kinds out.e3)" = "head frame1 truth1 end" ]
	small --attn-layers 1 "$frames" | e3-cat -q - -o attn.e3
	joined attn.e3
	[ "$(kinds joined.e3 | cut -d' ' -f1-5)" = "head evict0 attn0 truth0 pred1" ]
	e3-cat joined.e3 -o out.e3
	[ "$(kinds out.e3 | cut -d' ' -f1-5)" = "head pred1 evict1 attn1 truth1" ]
	e3-align -q joined.e3 -o out.e3
	[ "$(kinds out.e3 | cut -d' ' -f1-3)" = "head pred1 evict1" ]
	e3-export -q --tum out.tum joined.e3
	[ "$(grep -vc '^#' out.tum)" -eq 3 ]
	e3-eval -q joined.e3 >/dev/null
	# The eviction records of a cache build on each other.
	fails 1 "the beginning of the stream is missing" -- e3-evict-stats joined.e3
}

@test "every tool reads FILE.partial to its end, warns once, and exits 0" {
	head -c "$(($(stat -c %s "$preds") - 3000))" "$preds" >cut.e3
	fails 1 truncated -- e3-cat cut.e3 -o p.e3
	head -c 30000 "$frames" >cut.e3
	fails 1 truncated -- e3-cat cut.e3 -o f.e3
	mv f.e3.partial f.partial
	head -c "$(($(stat -c %s "$preds") - 3000))" "$preds" >q.e3.partial # its writer was ended at once
	for p in p.e3.partial q.e3.partial; do
		for cmd in "e3-cat -o x.e3" "e3-align -o x.e3" "e3-align --final -o x.e3" "e3-export --tum x.tum" "e3-evict-stats --check -o x.txt" "e3-eval -o x.txt" e3-dump; do
			$cmd "$p" >/dev/null 2>err || { echo "$cmd $p: exit $?"; cat err; return 1; }
			[ "$(grep -c "reading: $p: the stream was cut short after 4 frames" err)" -eq 1 ] || { echo "$cmd"; cat err; return 1; }
		done
	done
	small f.partial -o x.e3 2>err
	grep -q "reading: f.partial: the stream was cut short after 1 frame" err
	e3-dump x.e3 2>/dev/null | tail -1 | grep -q "cut=" # what is made of it says so too
}

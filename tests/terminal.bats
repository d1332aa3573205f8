#!/usr/bin/env bats
# What a user sees on a terminal: one line of progress, whoever writes it; messages that it does not cover; no estimate of the time
# left that means nothing.
load common

prepare() {
	cd "$T" || return 1
	e3-scene -q --frames 12 >frames.e3
	e3-infer -q --device cpu --model seed:tiny:7 --no-evict frames.e3 >preds.e3
}

terminal() { /usr/bin/python3 -B "$ROOT/tests/terminal.py" "$1" >seen || { cat seen; return 1; }; }

# slow FILE: its bytes, so slowly that each of its messages is worth a line of progress.
slow() {
	cat >slow.py <<-'END'
		import sys, time
		data = open(sys.argv[1], "rb").read()
		step = len(data) // 12 + 1
		for at in range(0, len(data), step):
		    sys.stdout.buffer.write(data[at:at + step])
		    sys.stdout.buffer.flush()
		    time.sleep(0.12)
	END
	echo "/usr/bin/python3 slow.py $1"
}

@test "in a pipeline only the last stage writes the line of progress, and messages clear it" {
	terminal "$(slow frames.e3) | e3-infer --device cpu --model seed:tiny:7 --segment 0 --budget 2f | e3-export --ply x.ply"
	grep -q $'^\033\\[Kframe [0-9]* of 12, .* spooled' seen
	[ "$(grep -c "frame [0-9]*: .*cache" seen)" -eq 0 ] # e3-infer's
	grep -q $'^\033\\[Ke3-export: x.ply: ' seen
	# Nothing is written after a line of progress but what clears it.
	! grep -v $'^\033\\[K' seen | grep . || { cat -v seen; return 1; }
}

@test "a stage whose reader writes no line does so itself" {
	terminal "$(slow frames.e3) | e3-infer --device cpu --model seed:tiny:7 --segment 0 --budget 2f | cat >/dev/null"
	grep -q $'^\033\\[Kframe [0-9]*: .*cache' seen
}

@test "of processes that share a terminal without a pipe one writes the line; when it ends the other one does" {
	mkfifo a b
	/usr/bin/python3 -B "$ROOT/tests/terminal.py" "{ e3-cat a x.e3; touch gone; } & until [ -e go ]; do sleep 0.05; done; e3-cat b y.e3 & wait" >seen &
	pid=$!
	e3-cat -q --skip 6 preds.e3 late.e3
	n=$(($(stat -c %s preds.e3) / 3)) m=$(($(stat -c %s late.e3) / 3))
	exec 7>a
	head -c $n preds.e3 >&7
	wait_until 10 written_above x.e3 1000
	wait_until 10 grep -q $'^\033\\[Kframe ' seen
	touch go
	exec 8>b
	head -c $m late.e3 >&8
	wait_until 10 written_above y.e3 1000
	! grep -E 'frame ([6-9]|1[01])' seen || return 1 # what is there is the first one's, which has a third of its frames
	tail -c +$((n + 1)) preds.e3 >&7
	exec 7>&-
	wait_until 10 test -e gone # its lock is free now
	before=$(wc -c <seen)
	for ((k = 0; k < 10; k++)); do # in pieces: it asks for the line ten times a second at most
		tail -c +$((m + k * (m / 10) + 1)) late.e3 | head -c $((m / 10)) >&8
		sleep 0.05
	done
	wait_until 10 size_above seen "$before"
	tail -c +$((m + 10 * (m / 10) + 1)) late.e3 >&8
	exec 8>&-
	wait $pid
	cmp x.e3 preds.e3
	cmp y.e3 late.e3
}

@test "the time left is not told before it means something" {
	terminal "e3-cat preds.e3 x.e3; e3-export --ply x.ply preds.e3; e3-decode --all $DEMO/clip.mp4 -o y.e3; e3-scene --frames 20 -o z.e3"
	! grep "s left" seen || return 1
}

@test "a large model: it is said before it is loaded, and a signal ends loading" {
	e3-infer --device cpu --model seed:full:1 --budget 4f frames.e3 >/dev/null 2>err &
	pid=$!
	wait_until 10 grep -qx 'e3-infer: loading the model for the CPU: 1191 M parameters' err
	kill -TERM $pid
	rc=0
	wait $pid || rc=$?
	[ "$rc" -eq 143 ]
}

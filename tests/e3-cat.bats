#!/usr/bin/env bats
# e3-cat: the same bytes between pipes, files and ZeroMQ; parts of a stream; copies; what happens when an end fails.
load common
load network

prepare() {
	golden=$BATS_TEST_DIRNAME/data/stream/golden.e3
	mkdir "$T/out"
	cd "$T" || return 1
}

@test "pipe, file, operands and -o: the same bytes" {
	e3-cat <"$golden" | cmp - "$golden"
	e3-cat "$golden" | e3-cat - | e3-cat - - | cmp - "$golden"
	e3-cat "$golden" a.e3
	cmp a.e3 "$golden"
	e3-cat -o b.e3 "$golden"
	cmp b.e3 "$golden"
	fails 2 "a.e3 is the stream that is read" -- e3-cat a.e3 a.e3
	cmp a.e3 "$golden"
	nothing_left
}

@test "--skip and --take select frames with their records, and correct the counts" {
	many 6 >six.e3
	e3-cat --skip 2 --take 2 six.e3 x.e3
	[ "$(kinds x.e3)" = "head:2 truth:2 pred:2 evict:2 truth:3 pred:3 evict:3 end:2" ]
	e3-cat --skip 5 six.e3 x.e3
	[ "$(kinds x.e3)" = "head:1 truth:5 pred:5 evict:5 end:1" ]
	e3-cat --take 1 six.e3 x.e3
	[ "$(kinds x.e3)" = "head:1 truth:0 pred:0 evict:0 end:1" ]
	for none in "--take 0" "--skip 6" "--skip 100"; do
		e3-cat $none six.e3 | cat >none.e3
		[ "$(kinds none.e3)" = "head:0 end:0" ]
		fails 1 "closing: x.e3: the stream has no frame: the file stays as it was" -- e3-cat $none six.e3 x.e3
		[ "$(kinds x.e3)" = "head:1 truth:0 pred:0 evict:0 end:1" ]
	done
	nothing_left
	e3-cat --skip 4 --take 100 six.e3 x.e3
	[ "$(kinds x.e3)" = "head:2 truth:4 pred:4 evict:4 truth:5 pred:5 evict:5 end:2" ]
	e3-cat --take 6 six.e3 x.e3
	cmp x.e3 six.e3
}

@test "an unknown length stays unknown; unknown fields of the end are kept" {
	many 3 >three.e3
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" three.e3 open.e3 'm[0][1]["frames"] = None'
	e3-cat --skip 1 open.e3 x.e3
	[ "$(kinds x.e3)" = "head:None truth:1 pred:1 evict:1 truth:2 pred:2 evict:2 end:2" ]
	e3-dump x.e3 | tail -1 | grep -q 'added_later=kept'
}

@test "--take ends while the input continues" {
	mkfifo in
	many 4 >four.e3
	e3-cat --take 2 in x.e3 &
	pid=$!
	exec 7>in
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" four.e3 - 'del m[-1]' >&7
	ends 0 "$pid"
	exec 7>&-
	[ "$(kinds x.e3)" = "head:2 truth:0 pred:0 evict:0 truth:1 pred:1 evict:1 end:2" ]
}

@test "each message is written before the next arrives" {
	mkfifo in
	many 3 >three.e3
	e3-cat <in >x.e3 &
	pid=$!
	exec 7>in
	# Everything up to the second prediction, and one byte of what follows.
	n=$(e3-dump --json three.e3 | head -6 | sed 's/.*"bytes":\([0-9]*\).*/\1/' | awk '{ n += $1 } END { print n }')
	head -c "$((n + 1))" three.e3 >&7
	wait_until 10 size_is x.e3 "$n"
	tail -c "+$((n + 2))" three.e3 >&7
	exec 7>&-
	ends 0 "$pid"
	cmp x.e3 three.e3
}

@test "--tee and --tee-block: copies to files, a pipe and ZeroMQ" {
	many 5 320 240 >five.e3
	mkfifo pipe
	e3-cat "zmq:pull:ipc://$T/s" z.e3 &
	a=$!
	cat pipe >p.e3 &
	b=$!
	e3-cat --tee t.e3 --tee-block pipe --tee-block "zmq:push:ipc://$T/s" five.e3 >o.e3
	ends 0 $a
	ends 0 $b
	for f in t.e3 p.e3 z.e3 o.e3; do cmp $f five.e3; done
	nothing_left
}

@test "--tee: a reader that reads nothing delays no output; its oldest frames are dropped and its end counts the rest" {
	many 300 64 48 >many.e3
	mkfifo slow
	e3-cat --queue 10 --tee slow --tee t.e3 many.e3 o.e3 2>err &
	pid=$!
	wait_until 20 test -e o.e3 # complete before the slow copy is read
	cmp o.e3 many.e3
	exec 8<slow
	e3-cat - s.e3 <&8
	exec 8<&-
	ends 0 $pid
	cmp t.e3 many.e3
	# The head, what the pipe had taken, and the last frames.
	sent=$(kinds s.e3 | tr ' ' '\n' | grep -c '^pred:')
	dropped=$(sed -n 's/.*slow: \([0-9]*\) of 300 frames were dropped.*/\1/p' err)
	[ "$sent" -gt 0 ]
	[ "$sent" -lt 300 ]
	[ $((sent + dropped)) -eq 300 ]
	[[ "$(kinds s.e3)" == "head:None "* && "$(kinds s.e3)" == *" pred:299 evict:299 end:$sent" ]]
	for kind in truth evict; do # a frame went with all that belongs to it
		[ "$(kinds s.e3 | tr ' ' '\n' | grep "^$kind" | cut -d: -f2)" = "$(kinds s.e3 | tr ' ' '\n' | grep '^pred' | cut -d: -f2)" ]
	done
}

@test "--drop oldest --queue 1: the newest frame is always sent, and the end after it" {
	many 6 >six.e3
	# Nothing is read until everything was dropped that will be: the pipe holds the head, the queue one frame.
	mkfifo in
	e3-cat --drop oldest --queue 1 in - 2>err | { wait_until 20 test -e go; cat; } >x.e3 &
	writer=$!
	exec 7>in
	cat six.e3 >&7
	wait_until 10 all_read in
	exec 7>&-
	touch go
	wait $writer
	[ "$(kinds x.e3)" = "head:None truth:5 pred:5 evict:5 end:1" ]
	grep -q "5 of 6 frames were dropped" err
}

@test "--tee into a full disk or to a reader that exits: the other outputs are complete, exit 1" {
	rc=0
	e3-cat --tee /dev/full --tee t.e3 "$golden" >o.e3 2>err || rc=$?
	[ "$rc" -eq 1 ]
	grep -q "^e3-cat: writing: /dev/full: No space left on device" err
	grep -q "^e3-cat: copying: 1 of 2 copies failed: writing: /dev/full: No space left on device$" err
	cmp t.e3 "$golden"
	cmp o.e3 "$golden"
	many 40 640 480 >forty.e3
	mkfifo pipe
	head -c 100000 pipe >/dev/null &
	rc=0
	e3-cat --tee-block pipe forty.e3 o.e3 2>err || rc=$?
	[ "$rc" -eq 1 ]
	grep -q "^e3-cat: writing: pipe: Broken pipe" err
	cmp o.e3 forty.e3
	nothing_left
}

@test "--keygen: only the owner can read the secret, and no file is overwritten" {
	(umask 0; e3-cat --keygen k)
	[ "$(stat -c %a k)" = 600 ]
	grep -qE '^curve-secret .{40}$' k
	grep -qE '^curve-public .{40} k@' k.pub
	before=$(cat k k.pub)
	fails 1 "e3-cat: writing the key: k: File exists" -- e3-cat --keygen k
	rm k
	fails 1 "e3-cat: writing the key: k.pub: File exists" -- e3-cat --keygen k
	[ ! -e k ] # no secret without its public key
	e3-cat --keygen absent/k # the folder is made
	[ "$(stat -c %a absent/k)" = 600 ]
	fails 1 "creating a directory: k.pub: exists and is not a directory" -- e3-cat --keygen k.pub/k
	fails 2 "--keygen only makes keys: it takes no endpoints" -- e3-cat --keygen k in
}

@test "ZeroMQ over ipc and loopback TCP, either side first, messages of several megabytes" {
	many 6 800 600 >six.e3
	for address in "ipc://$T/s" "tcp://127.0.0.1:$(port)" "tcp://localhost:$(port)" "tcp://[::1]:$(port)"; do
		e3-cat "zmq:pull:$address" x.e3 &
		pid=$!
		e3-cat six.e3 "zmq:push:$address"
		ends 0 $pid
		cmp x.e3 six.e3
	done
	for address in "ipc://$T/s" "tcp://127.0.0.1:$(port)"; do
		e3-cat six.e3 "zmq:push:$address" &
		pid=$!
		wait_until 10 handles_signals $pid # started first
		e3-cat "zmq:pull:$address" x.e3
		ends 0 $pid
		cmp x.e3 six.e3
	done
	# The other way round: the writer listens.
	e3-cat six.e3 "zmq:push:@ipc://$T/r" &
	pid=$!
	e3-cat "zmq:pull:>ipc://$T/r" x.e3
	ends 0 $pid
	cmp x.e3 six.e3
	[ ! -e s ]
	[ ! -e r ] # the sockets are gone from the file system
}

@test "ZeroMQ: a slow reader slows the writer down and loses nothing" {
	many 40 640 480 >forty.e3
	mkfifo pipe
	e3-cat "zmq:pull:ipc://$T/s" pipe &
	reader=$!
	e3-cat forty.e3 "zmq:push:ipc://$T/s" &
	writer=$!
	exec 8<pipe
	wait_until 10 is_full pipe
	kill -0 $writer # 150 MB do not fit anywhere on the way
	peak=$(awk '/VmHWM/ { print $2 }' "/proc/$writer/status")
	echo "# writer's peak memory: $((peak / 1024)) MiB for a stream of $(($(stat -c %s forty.e3) >> 20)) MiB"
	cmp - forty.e3 <&8
	exec 8<&-
	ends 0 $writer
	ends 0 $reader
}

@test "ZeroMQ: after a killed writer the stream is truncated, after a killed reader the writer fails" {
	mkfifo in
	e3-cat in "zmq:push:ipc://$T/s" &
	sender=$!
	e3-cat -v "zmq:pull:ipc://$T/s" x.e3 2>err &
	reader=$!
	exec 7>in
	head -c 1500 "$golden" >&7
	said err "a writer connected"
	wait_until 10 all_read in
	kill -9 $sender
	ends 1 $reader
	grep -q "truncated: the writer disconnected before the end of the stream" err
	[ ! -e x.e3 ]
	exec 7>&-
	e3-cat -v in "zmq:push:ipc://$T/s" 2>err &
	sender=$!
	e3-cat "zmq:pull:ipc://$T/s" x.e3 &
	reader=$!
	exec 7>in
	head -c 1500 "$golden" >&7
	said err "a reader connected"
	wait_until 10 all_read in
	kill -9 $reader
	said err "a reader disconnected"
	tail -c +1501 "$golden" >&7 || true
	exec 7>&-
	ends 1 $sender
	grep -q "the reader disconnected before the end of the stream" err
}

@test "ZeroMQ: a signal ends the wait for a peer, and no file is written" {
	e3-cat "$golden" "zmq:push:ipc://$T/s" 2>/dev/null &
	a=$!
	e3-cat "zmq:pull:ipc://$T/r" x.e3 2>/dev/null &
	b=$!
	wait_until 10 handles_signals $a
	wait_until 10 handles_signals $b
	wait_until 10 test -S r
	kill -INT $a
	kill -TERM $b
	ends 130 $a
	ends 143 $b
	[ ! -e x.e3 ]
	nothing_left
}

@test "endpoints that reach beyond this machine need --insecure" {
	p=$(port)
	fails 1 "--insecure" -- e3-cat "zmq:pull:tcp://*:$p"
	fails 1 "127.0.0.1" -- e3-cat "$golden" zmq:push:tcp://192.0.2.1:5
	e3-cat --insecure "zmq:pull:tcp://*:$p" x.e3 &
	pid=$!
	e3-cat "$golden" "zmq:push:tcp://127.0.0.1:$p"
	ends 0 $pid
	cmp x.e3 "$golden"
}

@test "an abort keeps the stage that failed first, over pipes and ZeroMQ; what came stays as FILE.partial" {
	head -c 2598 "$golden" >cut.e3
	e3-cat "zmq:pull:ipc://$T/s" z.e3 2>err3 &
	pid=$!
	set +e
	e3-cat cut.e3 2>err1 | e3-cat 2>err2 | e3-cat --tee t.e3 - "zmq:push:ipc://$T/s" 2>err4
	rc="${PIPESTATUS[*]}"
	set -e
	[ "$rc" = "1 1 1" ]
	ends 1 $pid
	text="reading: cut.e3: truncated: message 8 (pred): expected 717 bytes, got 130"
	[ "$(cat err1)" = "e3-cat: $text" ]
	for k in 2 3 4; do
		[ "$(tail -1 err$k)" = "e3-cat: e3-cat failed (exit 1): $text" ]
	done
	[ "$(wc -l <err2)" -eq 1 ]
	for k in z:3 t:4; do
		[ ! -e "${k%:*}.e3" ]
		[ "$(head -1 "err${k#*:}")" = "e3-cat: writing: ${k%:*}.e3: cut short: the 1 frame that came is kept in ${k%:*}.e3.partial" ]
		e3-cat "${k%:*}.e3.partial" 2>err5 | cat >whole.e3
		[ "$(kinds whole.e3)" = "$(kinds "$golden" | cut -d" " -f1-7) end:1" ]
		[ "$(cat err5)" = "e3-cat: reading: ${k%:*}.e3.partial: the stream was cut short after 1 frame: e3-cat failed (exit 1): $text" ]
	done
	nothing_left
}

@test "SIGINT in the middle: a complete stream of the frames so far, exit 130" {
	mkfifo in
	many 4 >four.e3
	e3-cat in x.e3 --tee t.e3 &
	pid=$!
	exec 7>in
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" four.e3 - 'del m[-4:]' >&7
	wait_until 10 all_read in
	kill -INT "$pid"
	ends 130 "$pid"
	exec 7>&-
	for f in x.e3 t.e3; do
		[ "$(kinds $f)" = "head:4 truth:0 pred:0 evict:0 truth:1 pred:1 evict:1 truth:2 pred:2 evict:2 end:3" ]
	done
	nothing_left
}

@test "SIGINT while the reader reads nothing: the process still ends" {
	many 10 640 480 >ten.e3
	mkfifo pipe
	exec 8<>pipe # open, never read
	e3-cat ten.e3 pipe 2>err &
	pid=$!
	wait_until 10 is_full pipe
	kill -INT "$pid"
	ends 130 "$pid"
	exec 8>&-
	grep -q "interrupted while the reader accepts no data" err
}

@test "the reader of standard output exits: SIGPIPE without a message, and no incomplete copy" {
	many 10 640 480 >ten.e3
	set +e +o pipefail
	{ e3-cat --tee t.e3 ten.e3 2>err; echo $? >rc; } | head -c 1000 >first
	set -e
	[ "$(cat rc)" -eq 141 ]
	[ ! -s err ]
	[ ! -e t.e3 ]
	nothing_left
}

@test "usage" {
	fails 2 "two outputs" -- e3-cat -o a in out
	fails 2 "too many operands: c" -- e3-cat a b c
	fails 2 "option --take: expected a whole number from 0" -- e3-cat --take -1
	fails 2 "option --skip: expected a whole number from 0" -- e3-cat --skip x
	fails 1 "opening: absent: No such file or directory" -- e3-cat absent
	fails 1 "truncated: empty, expected a head" -- e3-cat
}

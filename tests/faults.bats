#!/usr/bin/env bats
# Failures between stages over TCP, each with a bounded time: stages that are killed; peers that never come, leave, come back, or
# do not send a stream; full disks; slow readers. Nothing may hang, no incomplete file may remain, and every stage that survives names
# the one that failed.
load common
load network

prepare() {
	cd "$T" || return 1
	golden=$BATS_TEST_DIRNAME/data/stream/golden.e3
	a=tcp://127.0.0.1:$(port)
	b=tcp://127.0.0.1:$(port)
}

# Three stages: frames from the FIFO "in" through e3-cat, e3-infer and e3-export. Two frames have gone through all of it.
three_stages() {
	e3-decode --all --max-frames 3 "$DEMO/clip.mp4" >three.e3
	n=$(e3-dump --json three.e3 | head -3 | sed 's/.*"bytes":\([0-9]*\).*/\1/' | awk '{ n += $1 } END { print n }')
	mkfifo in
	e3-export -q "zmq:pull:$b" --tum out.txt --glb out.glb 2>err3 &
	pid3=$!
	e3-infer --model seed:tiny:7 --no-evict --log-every 1 "zmq:pull:$a" -o "zmq:push:$b" 2>err2 &
	pid2=$!
	e3-cat in "zmq:push:$a" 2>err1 &
	pid1=$!
	exec 7>in
	head -c "$n" three.e3 >&7
	said err2 "frame 1: "
	kill -0 $pid1 && kill -0 $pid2 && kill -0 $pid3
}
no_output() { # killing e3-export leaves its temporary files, and never a half result
	exec 7>&-
	[ ! -e out.txt ]
	[ ! -e out.glb ]
	[ "${1:-}" = killed ] || nothing_left
}

@test "the first of three stages is killed: the second reports it, the third names the second" {
	three_stages
	kill -9 $pid1
	ends 1 $pid2 5
	ends 1 $pid3 5
	said err2 "reading: zmq:pull:$a: truncated: the writer disconnected before the end of the stream"
	said err3 "e3-infer failed (exit 1): reading: zmq:pull:$a: truncated: the writer disconnected before the end of the stream"
	no_output
}

@test "the second of three stages is killed: both neighbours report it, also one that is not writing" {
	three_stages
	kill -9 $pid2
	ends 1 $pid1 5
	ends 1 $pid3 5
	said err1 "e3-cat: writing: zmq:push:$a: the reader disconnected before the end of the stream"
	said err3 "e3-export: reading: zmq:pull:$b: truncated: the writer disconnected before the end of the stream"
	no_output
}

@test "the third of three stages is killed: the second reports it, and the first ends too" {
	three_stages
	kill -9 $pid3
	ends 1 $pid2 5
	ends 1 $pid1 5
	said err2 "e3-infer: writing: zmq:push:$b: the reader disconnected before the end of the stream"
	said err1 "e3-cat: writing: zmq:push:$a: the reader disconnected before the end of the stream"
	no_output killed
}

@test "the reader of an idle pipe exits: the stages before it end without a message" {
	mkfifo in out
	e3-cat in 2>err >out &
	pid=$!
	exec 8<out
	exec 7>in
	cat "$golden" | head -c 1500 >&7
	wait_until 10 all_read in
	exec 8<&-
	ends 141 $pid 5
	exec 7>&-
	[ ! -s err ]
}

@test "no peer connects: exit 1 after --timeout, for every kind of socket" {
	fails 1 "writing: zmq:push:$a: no reader connected within 1 s (--timeout)" -- e3-cat --timeout 1 "$golden" "zmq:push:$a"
	fails 1 "reading: zmq:pull:$a: no writer connected within 1 s (--timeout)" -- e3-cat --timeout 1 "zmq:pull:$a" x.e3
	fails 1 "reading: zmq:sub:$a: no publisher connected within 1 s (--timeout)" -- e3-cat --timeout 1 "zmq:sub:$a" x.e3
	fails 1 "reading: zmq:pull:ipc://$T/s: no writer connected within 1 s (--timeout)" -- e3-cat --timeout 1 "zmq:pull:ipc://$T/s" x.e3
	fails 1 "reading: zmq:pull:$a: no writer connected within 1 s (--timeout)" -- e3-infer -q --timeout 1 --model seed:tiny:7 --no-evict "zmq:pull:$a"
	mkfifo in
	exec 7<>in
	fails 1 "reading: in: no data arrived for 1 s (--timeout)" -- e3-cat --timeout 1 in x.e3
	many 20 640 480 >twenty.e3
	fails 1 "writing: in: the reader accepts no data (--timeout)" -- e3-cat --timeout 1 twenty.e3 in
	exec 7>&-
	[ ! -e x.e3 ]
	nothing_left
}

@test "a connected peer that sends nothing is an error only with --timeout" {
	mkfifo in
	e3-cat in "zmq:push:$a" 2>err1 &
	writer=$!
	exec 7>in
	head -c 1500 "$golden" >&7
	rc=0
	e3-cat --timeout 5 "zmq:pull:$a" x.e3 2>err2 || rc=$?
	[ "$rc" -eq 1 ]
	said err2 "reading: zmq:pull:$a: no message for 5 s (--timeout)"
	ends 1 $writer 5
	exec 7>&-
	said err1 "the reader disconnected before the end of the stream"
	[ ! -e x.e3 ]
}

@test "a reader disconnects before the stream begins and another connects: nothing is lost" {
	mkfifo in
	e3-cat -v in "zmq:push:$a" 2>err1 &
	writer=$!
	exec 7>in
	e3-cat "zmq:pull:$a" x.e3 7>&- &
	reader=$!
	said err1 "a reader connected"
	kill -9 $reader
	said err1 "a reader disconnected"
	e3-cat -v "zmq:pull:$a" y.e3 2>err2 7>&- &
	reader=$!
	said err2 "a writer connected"
	cat "$golden" >&7
	exec 7>&-
	ends 0 $writer
	ends 0 $reader
	cmp y.e3 "$golden"
}

@test "a writer disconnects before the stream begins and another connects" {
	mkfifo in
	e3-cat -v "zmq:pull:$a" y.e3 2>err &
	reader=$!
	e3-cat in "zmq:push:$a" &
	writer=$!
	exec 7>in
	said err "a writer connected"
	kill -9 $writer
	exec 7>&-
	said err "a writer disconnected"
	e3-cat "$golden" "zmq:push:$a"
	ends 0 $reader
	cmp y.e3 "$golden"
}

@test "a publisher is killed and restarted: the subscriber waits, continues, and reports what is missing" {
	many 9 >nine.e3
	mkfifo in1 in2
	e3-cat -v in1 "zmq:pub:$a" 2>err1 &
	first=$!
	exec 7>in1
	e3-cat "zmq:sub:$a" x.e3 2>err 7>&- &
	subscriber=$!
	said err1 "a subscriber connected"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" nine.e3 - 'm[:] = m[:7]' >&7 # frames 0 and 1
	wait_until 10 all_read in1
	kill -9 $first
	exec 7>&-
	said err "the publisher disconnected; waiting for it to connect again"
	e3-cat -v in2 "zmq:pub:$a" 2>err2 &
	second=$!
	exec 7>in2
	said err "the publisher is back"
	said err2 "a subscriber connected"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" nine.e3 - $'del m[1:16]\nm[-1][1]["frames"] = 4' >&7 # frames 5 to 8, and the end
	exec 7>&-
	ends 0 $second
	ends 0 $subscriber
	said err "3 messages are missing before pred 5"
	[ "$(kinds x.e3 | tr ' ' '\n' | grep ^pred | tr '\n' ' ')" = "pred:0 pred:1 pred:5 pred:6 pred:7 pred:8 " ]
	[ "$(kinds x.e3 | sed 's/.* //')" = end:6 ]
}

@test "a publisher is not restarted, or restarts with another stream" {
	mkfifo in
	for again in no yes; do
		patience=$([ $again = no ] && echo 6 || echo 300)
		e3-cat -v in "zmq:pub:$a" 2>err1 &
		publisher=$!
		exec 7>in
		e3-cat --timeout $patience "zmq:sub:$a" x.e3 2>err 7>&- &
		subscriber=$!
		said err1 "a subscriber connected"
		head -c 2000 "$golden" >&7
		wait_until 10 all_read in
		kill -9 $publisher
		exec 7>&-
		if [ $again = yes ]; then
			said err "waiting for it to connect again"
			e3-cat -v in "zmq:pub:$a" 2>err2 &
			publisher=$!
			exec 7>in
			said err "is back"
			said err2 "a subscriber connected"
			cat "$golden" >&7
			exec 7>&-
			said err "(the publisher may have restarted)"
			ends 0 $publisher
		else
			said err "no publisher connected again within 6 s (--timeout)"
		fi
		ends 1 $subscriber
		[ ! -e x.e3 ]
	done
	nothing_left
}

@test "late subscribers get the head first, and the index at which they joined" {
	many 9 >nine
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" nine nine.e3 'm = m' # the bytes that the same tool writes below
	mkfifo in
	e3-cat -v in "zmq:pub:$a" 2>err &
	publisher=$!
	exec 7>in
	e3-cat "zmq:sub:$a" early.e3 2>err1 7>&- &
	early=$!
	said err "a subscriber connected"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" nine.e3 - 'm[:] = m[:13]' >&7 # frames 0 to 3
	wait_until 10 all_read in
	e3-cat "zmq:sub:$a" late.e3 2>err2 7>&- &
	late=$!
	wait_until 10 count_is err "a subscriber connected" 2
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" nine.e3 - 'del m[:13]' >&7
	exec 7>&-
	ends 0 $publisher
	ends 0 $early
	ends 0 $late
	cmp early.e3 nine.e3
	[ ! -s err1 ]
	[[ "$(kinds late.e3)" == "head:5 truth:4 pred:4 evict:4 truth:5 "*" evict:8 end:5" ]]
	said err2 "joined at pred 4"
	said err2 "5 of 9 frames arrived"
}

@test "a subscriber that connects after the end gets head and end while another still reads" {
	many 200 160 120 >many.e3
	mkfifo in slow
	e3-cat -v --queue 4 in "zmq:pub:$a" 2>err1 &
	publisher=$!
	exec 7>in
	e3-cat "zmq:sub:$a" slow 7>&- &
	reader=$!
	exec 8<slow # not read: the publisher has to wait for this one
	said err1 "a subscriber connected"
	cat many.e3 >&7
	wait_until 10 all_read in
	exec 7>&-
	kill -0 $publisher
	timeout 300 e3-cat "zmq:sub:$a" late.e3 2>err # it does not wait for the other subscriber
	[ "$(kinds late.e3)" = "head:0 end:0" ]
	said err "0 of 200 frames arrived"
	kill -0 $publisher
	cat <&8 >/dev/null
	exec 8<&-
	ends 0 $reader
	ends 0 $publisher 5
}

@test "a slow subscriber loses messages and reports it; the publisher and the others do not wait for it" {
	many 200 160 120 >many.e3
	mkfifo in slow
	e3-cat -v --queue 4 in "zmq:pub:$a" 2>err1 &
	publisher=$!
	exec 7>in
	e3-cat "zmq:sub:$a" slow 2>err 7>&- &
	reader=$!
	exec 8<slow
	said err1 "a subscriber connected"
	cat many.e3 >&7
	wait_until 10 all_read in
	exec 7>&-
	e3-cat - x.e3 <&8
	exec 8<&-
	ends 0 $publisher
	ends 0 $reader
	got=$(kinds x.e3 | tr ' ' '\n' | grep -c ^pred)
	[ "$got" -gt 0 ]
	[ "$got" -lt 200 ]
	# (a gap is named only where a frame comes after it: the publisher that is restarted, above; here all that is lost may be the last ones)
	said err "$got of 200 frames arrived"
}

@test "data from a foreign peer that is not a message is refused with the reason, and no file is written" {
	while IFS='|' read -r what text; do
		e3-cat "zmq:pull:$a" x.e3 2>err &
		pid=$!
		peer "$what" "$a"
		ends 1 $pid
		said err "$text"
		[ ! -e x.e3 ]
	done <<-'END'
		parts|a ZeroMQ message of several parts; expected one part a message
		short|message 2: 3 bytes, less than an envelope
		noise|message 2: byte 0x47 where a message should begin with 0xc9
		kind|message 2: unknown kind 99; this version knows 1 to
		head|bytes; at most 65536 are allowed
		length|message 2: 7 bytes, its envelope says 1006
	END
	nothing_left
}

@test "a message of one tebibyte is refused before memory is allocated" {
	! ldd "$B/bin/e3-cat" | grep -q asan || skip "not under a sanitizer"
	(
		ulimit -v 400000
		exec e3-cat --timeout 300 "zmq:pull:$a" x.e3 2>err
	) &
	pid=$!
	wait_until 10 listens "${a##*:}"
	peer huge 127.0.0.1 "${a##*:}"
	ends 1 $pid
	said err "truncated: the writer disconnected before the end of the stream"
	[ ! -e x.e3 ]
	nothing_left
}

@test "a client of another kind is told so, and the reader accepts a writer that comes right after it" {
	e3-cat -v "zmq:pull:$a" x.e3 2>err &
	reader=$!
	wait_until 10 listens "${a##*:}"
	fails 1 "the peer closes the connection: it requires keys, or is of another kind (push goes with pull, pub with sub)" -- e3-cat --timeout 5 "zmq:sub:$a" y.e3
	said err "refused a client from 127.0.0.1: it closed the connection"
	e3-cat "$golden" "zmq:push:$a"
	ends 0 $reader
	cmp x.e3 "$golden"
}

@test "a client that is not an e3 peer does not disturb the stream, before and while the writer is connected" {
	mkfifo in
	e3-cat -v "zmq:pull:$a" x.e3 2>err &
	reader=$!
	wait_until 10 listens "${a##*:}"
	peer stray 127.0.0.1 "${a##*:}"
	said err ": it closed the connection: it does not speak ZeroMQ, or is of another kind" # until then the stray counts as a peer
	e3-cat in "zmq:push:$a" &
	writer=$!
	exec 7>in
	head -c 1500 "$golden" >&7
	said err "a writer connected"
	peer stray 127.0.0.1 "${a##*:}"
	# A second writer: a client of another kind may hear of that first.
	fails 1 "it has a peer already" -- e3-cat --timeout 300 "$golden" "zmq:push:$a"
	sleep 1.2 # fixed: longer than a reader waits for the rest after its writer left; nothing may happen in this time
	kill -0 $reader
	tail -c +1501 "$golden" >&7
	exec 7>&-
	ends 0 $writer
	ends 0 $reader
	cmp x.e3 "$golden"
}

@test "writing to a server of another protocol is a failure, not a success" {
	peer ssh 127.0.0.1 "${a##*:}" >listening &
	server=$!
	said listening listening
	fails 1 "e3-cat: closing: zmq:push:$a: the peer is not an e3 reader: it does not follow the ZeroMQ protocol" -- e3-cat "$golden" "zmq:push:$a"
	kill $server
}

@test "a tool that waits for a peer reports it, with the reason if known, before --timeout is over" {
	rc=0
	e3-cat --timeout 8.5 "$golden" "zmq:push:$a" 2>err || rc=$?
	[ "$rc" -eq 1 ]
	[ "$(cat err)" = "e3-cat: zmq:push:$a: waiting for a reader, at most 8.5 s
e3-cat: writing: zmq:push:$a: no reader connected within 8.5 s (--timeout)" ]
}

@test "plain ZeroMQ peers read and write streams" {
	e3-cat "zmq:pull:$a" x.e3 &
	pid=$!
	peer push "$a" "$golden"
	ends 0 $pid
	cmp x.e3 "$golden"
	peer pull "$a" >n &
	pid=$!
	e3-cat --timeout 300 "$golden" "zmq:push:@$a"
	ends 0 $pid
	[ "$(cat n)" = 9 ]
}

@test "a full disk at the end of a pipeline: the reader reports it, the writer ends too, and what fitted stays" {
	e3-cat "zmq:pull:$a" /dev/full 2>err2 &
	reader=$!
	many 40 320 240 >forty.e3
	fails 1 "writing: zmq:push:$a: the reader disconnected before the end of the stream" -- e3-cat forty.e3 "zmq:push:$a"
	ends 1 $reader
	said err2 "writing: /dev/full: No space left on device"
	mkdir small
	mount -t tmpfs -o size=1m none small 2>/dev/null || skip "a small file system cannot be mounted here; /dev/full was tried"
	e3-cat "zmq:pull:$a" small/x.e3 2>err2 &
	reader=$!
	rc=0
	e3-cat forty.e3 "zmq:push:$a" 2>err1 || rc=$?
	left=$(ls -A small)
	cp small/* .
	umount small
	[ "$rc" -eq 1 ]
	ends 1 $reader
	said err1 "the reader disconnected before the end of the stream"
	said err2 "No space left on device"
	[ "$left" = x.e3.partial ]
	e3-dump x.e3.partial >whole 2>err3
	said err3 "No space left on device"
	[ "$(grep -c '^pred' whole)" -ge 1 ]
	e3-dump forty.e3 | grep '^pred' | head -n "$(grep -c '^pred' whole)" | cmp - <(grep '^pred' whole)
}

@test "--drop: a writer does not wait for a slow reader, keeps the newest or the first frames, and reports how many it dropped" {
	many 300 64 48 >many.e3
	mkfifo slow
	for which in oldest newest; do
		e3-cat --drop $which --queue 6 many.e3 slow 2>err &
		pid=$!
		exec 8<slow
		said err "the reader is slower than the stream: dropping the $which frames"
		wait_until 10 has_read $pid many.e3
		e3-cat - x.e3 <&8
		exec 8<&-
		ends 0 $pid
		got=$(kinds x.e3 | tr ' ' '\n' | grep -c ^pred)
		said err "$((300 - got)) of 300 frames were dropped: the reader was slower than the stream"
		[[ "$(kinds x.e3)" == "head:None truth:"*" end:$got" ]]
		case $which in
		oldest) [[ "$(kinds x.e3)" == *" pred:299 evict:299 end:$got" ]] ;;
		newest) [[ "$(kinds x.e3)" == "head:None truth:0 pred:0 "* && "$(kinds x.e3)" != *" pred:299 "* ]] ;;
		esac
	done
	fails 2 "option --drop: expected one of none|oldest|newest" -- e3-cat --drop all
	fails 2 "option --queue: expected a whole number from 1" -- e3-cat --queue 0
	fails 2 "option --queue" -- e3-cat --queue 4,x
}

@test "SIGINT to a writer and a reader that wait for each other, and to a publisher" {
	many 5 >five.e3
	mkfifo in
	e3-cat "zmq:pull:$a" x.e3 &
	reader=$!
	e3-cat -v in "zmq:push:$a" 2>err1 &
	writer=$!
	exec 7>in
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" five.e3 - 'del m[-1]' >&7
	said err1 "a reader connected"
	wait_until 10 all_read in
	kill -INT $writer
	ends 130 $writer
	ends 0 $reader
	exec 7>&-
	[ "$(kinds x.e3 | sed 's/.* //')" = end:5 ]
	e3-cat -v in "zmq:pub:$a" 2>err1 &
	publisher=$!
	exec 7>in
	e3-cat "zmq:sub:$a" y.e3 7>&- &
	reader=$!
	said err1 "a subscriber connected"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" five.e3 - 'del m[-1]' >&7
	wait_until 10 all_read in
	kill -TERM $publisher
	ends 143 $publisher
	ends 0 $reader
	exec 7>&-
	cmp x.e3 y.e3 || [ "$(kinds y.e3)" = "$(kinds x.e3)" ]
}

@test "100,000 messages through three stages over TCP: none is missing, and memory stays flat" {
	! ldd "$B/bin/e3-cat" | grep -q asan || skip "not under a sanitizer"
	/usr/bin/python3 -B "$ROOT/tests/flat_stages.py" 100000 "$a" "$b"
}

#!/usr/bin/env bats
# The stream at the level of processes: cut and damaged streams, memory that does not depend on claimed sizes, and the examples of
# e3-stream(5), run as they are printed. The tables of damage by field are in tests/test_wire_damage.c.
load common

prepare() {
	golden=$BATS_TEST_DIRNAME/data/stream/golden.e3
	cd "$T" || return 1
}

# example WORD: the literal display of e3-stream(5) whose first line begins with WORD.
example() {
	awk -v word="$1" '/^\.Bd -literal/ { getline; show = index($0, word) == 1 } /^\.Ed/ { show = 0 } show' "$ROOT/man/e3-stream.5"
}

@test "the Python reader in e3-stream(5) finds what e3-dump finds" {
	example "import sys" >read.py
	[ "$(wc -l <read.py)" -gt 8 ]
	sed -i '1i import warnings; warnings.simplefilter("ignore")' read.py
	/usr/bin/python3 -B "$ROOT/tests/data/stream/many.py" 3 >three.e3
	/usr/bin/python3 read.py <three.e3 >o
	[ "$(cat o)" = $'0 (6, 8) 0.0 47.0\n1 (6, 8) 1.0 48.0\n2 (6, 8) 2.0 49.0' ]
	[ "$(e3-dump three.e3 | grep -o ' depth=f32\[6x8\]([^ ]*' | head -1)" = " depth=f32[6x8](0..47" ]
}

@test "the Python writer in e3-stream(5) writes a valid stream" {
	example "import struct" >write.py
	[ "$(wc -l <write.py)" -gt 8 ]
	/usr/bin/python3 write.py >w.e3
	e3-cat w.e3 | cmp - w.e3
	[ "$(e3-dump --full w.e3 | sed -n 2p)" = \
		"frame bytes=93 i=0 pts=0 src_i=0 src_w=2 src_h=1 rot=0 fit=[1,1,0,0] w=2 h=1 rgb=u8[1x2x3][255,0,0,0,0,255]" ]
}

@test "a stream cut at every boundary and inside every message: exit 1 with the reason; the frames before it stay as FILE.partial" {
	/usr/bin/python3 - "$golden" <<-'PY' >cuts
		import struct, sys
		data = open(sys.argv[1], "rb").read()
		at, number = 0, 0
		while at < len(data):
		    n = 6 + struct.unpack(">I", data[at + 1:at + 5])[0]
		    print(f"{at}|truncated: " + (f"the stream stops after message {number}, before its end" if number else "empty, expected a head"))
		    number += 1
		    print(f"{at + 5}|truncated: message {number}: expected 6 bytes of envelope, got 5")
		    print(f"{at + n // 2}|expected {n} bytes, got {n // 2}")
		    print(f"{at + n - 1}|expected {n} bytes, got {n - 1}")
		    at += n
	PY
	[ "$(wc -l <cuts)" -eq 36 ]
	kept=0
	while IFS='|' read -r bytes text; do
		head -c "$bytes" "$golden" >part
		fails 1 "e3-cat: reading: part: " -- e3-cat part out.e3
		grep -qF "$text" stderr || { echo "cut at $bytes: $(cat stderr), expected $text"; return 1; }
		rc=0
		head -c "$bytes" "$golden" | e3-dump 2>err >/dev/null || rc=$?
		[ "$rc" -eq 1 ]
		grep -q "^e3-dump: reading: standard input: " err
		grep -qF "$text" err
		if grep -q "cut short" stderr; then
			[ "$(find . -name 'out.e3*')" = ./out.e3.partial ]
			e3-cat out.e3.partial 2>/dev/null | e3-dump >whole
			[ "$(grep -vc '^end' whole)" -eq "$(e3-dump part 2>/dev/null | wc -l)" ]
			rm out.e3.partial
			kept=$((kept + 1))
		fi
		[ -z "$(find . -name 'out.e3*')" ]
	done <cuts
	[ "$kept" -ge 8 ] # the others were cut before the first frame
}

@test "a length of 512 MiB without data allocates no memory" {
	! ldd "$B/bin/e3-cat" | grep -q asan || skip "not under a sanitizer"
	/usr/bin/python3 -c '
import struct, sys
data = open(sys.argv[1], "rb").read()
n = 6 + struct.unpack(">I", data[1:5])[0]
sys.stdout.buffer.write(data[:n] + struct.pack(">BIB", 0xC9, 512 << 20, 3) + b"\x81\xa1x" + bytes(1000))' "$golden" >claim
	(
		ulimit -v 300000
		fails 1 "truncated: message 2 (pred): expected 536870918 bytes, got 1009" -- e3-cat claim out.e3
		fails 1 "truncated: message 2 (pred): expected 536870918 bytes, got 1009" -- bash -c "cat claim | e3-dump"
	)
}

@test "memory does not grow with the length of the stream" {
	! ldd "$B/bin/e3-cat" | grep -q asan || skip "not under a sanitizer"
	/usr/bin/python3 -B "$ROOT/tests/data/stream/many.py" 20 320 240 >short.e3
	/usr/bin/python3 -B "$ROOT/tests/data/stream/many.py" 400 320 240 >long.e3
	for f in short long; do
		mkfifo $f.fifo
		e3-cat $f.e3 $f.fifo &
		pid=$!
		exec 8<$f.fifo
		# All but the last bytes: e3-cat is still there to be looked at.
		head -c $(($(stat -c %s $f.e3) - 2000000)) <&8 >/dev/null
		awk '/VmHWM/ { print $2 }' "/proc/$pid/status" >$f.kb
		cat <&8 >/dev/null
		exec 8<&-
		wait $pid
	done
	echo "# $(stat -c %s short.e3) bytes: $(cat short.kb) KiB; $(stat -c %s long.e3) bytes: $(cat long.kb) KiB"
	[ "$(cat long.kb)" -le $(($(cat short.kb) + 1024)) ]
}

@test "a stream of another version, another kind of file and a directory are refused" {
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$golden" x.e3 'm[0][1]["v"] = 2'
	fails 1 "e3-dump: reading: x.e3: message 1: head: stream version 2; this program reads version 1" -- e3-dump x.e3
	printf '\211PNG\r\n' >x.png
	fails 1 "e3-dump: reading: x.png: not an e3 stream: byte 0x89 where a message should begin with 0xc9" -- e3-dump x.png
	fails 1 "e3-dump: reading: .: Is a directory: if it holds pictures: e3-decode . | e3-dump ..." -- e3-dump .
	cat "$golden" "$golden" >twice.e3
	fails 1 "e3-dump: reading: twice.e3: more bytes after the end of the stream (message 9)" -- e3-dump twice.e3
}

#!/usr/bin/env bats
# e3-infer --streams: each stream is what it is alone, whoever else is there, fails, waits or ends.
load common
load infer

# a.e3 ... d.e3: other frames, and fewer of them; alone-?.e3: what they are alone.
setup_file() {
	export PATH="$B/bin:$PATH"
	local f=$BATS_FILE_TMPDIR n=8 k
	for k in a b c d; do
		e3-scene -q --seed "$n" --frames "$n" --size 112x84 -o "$f/$k.e3"
		e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 3f "$f/$k.e3" -o "$f/alone-$k.e3"
		n=$((n - 1))
	done
}

streams() { # N INPUT...: to o1.e3, o2.e3 and so on
	local n=$1 to=() k=1 x
	shift
	for x in "$@"; do to+=(-o "$T/o$k.e3"); k=$((k + 1)); done
	e3-infer --device cpu --model seed:tiny:7 --segment 0 --budget 3f --streams "$n" "$@" "${to[@]}" 2>"$T/e"
}

@test "two and four streams are what they are alone, also when more wait than go at a time" {
	for n in 1 2 4; do
		streams "$n" "$f"/{a,b,c,d}.e3 || { cat "$T/e"; return 1; }
		[ ! -s "$T/e" ]
		k=1
		for x in a b c d; do
			same "$T/o$k.e3" "$f/alone-$x.e3"
			k=$((k + 1))
		done
	done
}

@test "pictures of other sizes, with segments and loops, and every frame on its own" {
	e3-scene -q --seed 3 --frames 4 --size 84x112 -o "$T/tall.e3"
	for how in "--budget 3f --segment 4 --overlap 2" "--each" "--policy lingbot --window 2 --keyframe 2"; do
		for x in "$f/a.e3" "$T/tall.e3"; do
			# shellcheck disable=SC2086 # words
			e3-infer -q --device cpu --model seed:tiny:7 $how "$x" -o "$T/alone-${x##*/}"
		done
		# shellcheck disable=SC2086 # words
		e3-infer -q --device cpu --model seed:tiny:7 $how --streams 2 "$f/a.e3" "$T/tall.e3" -o "$T/x.e3" -o "$T/y.e3"
		same "$T/x.e3" "$T/alone-a.e3"
		same "$T/y.e3" "$T/alone-tall.e3"
	done
}

@test "a stream that is broken, missing or none costs the others nothing, and is named" {
	head -c 100000 "$f/b.e3" >"$T/short.e3"
	echo "no stream" >"$T/text"
	rc=0
	streams 3 "$T/short.e3" "$f/a.e3" "$T/text" "$T/absent.e3" "$f/c.e3" || rc=$?
	[ "$rc" -eq 1 ]
	same "$T/o2.e3" "$f/alone-a.e3"
	same "$T/o5.e3" "$f/alone-c.e3"
	grep -qF "e3-infer: $T/short.e3: reading: $T/short.e3" "$T/e"
	grep -qF "e3-infer: $T/text: reading: $T/text: " "$T/e"
	grep -qF "e3-infer: $T/absent.e3: opening: $T/absent.e3: No such file" "$T/e"
	tail -1 "$T/e" | grep -qx 'e3-infer: inferring: 3 of 5 streams failed'
	[ ! -e "$T/o3.e3" ]
}

@test "a slow stream does not delay the others, and goes on when its frames come" {
	mkfifo "$T/slow"
	streams 2 "$T/slow" "$f/a.e3" &
	pid=$!
	exec 7>"$T/slow"
	head -c 200000 "$f/b.e3" >&7
	wait_until 60 test -s "$T/o2.e3" # it has its name when it is complete
	same "$T/o2.e3" "$f/alone-a.e3"
	kill -0 $pid
	tail -c +200001 "$f/b.e3" >&7
	exec 7>&-
	wait $pid
	same "$T/o1.e3" "$f/alone-b.e3"
}

@test "a reader that goes away ends its own stream" {
	mkfifo "$T/out"
	e3-infer --device cpu --model seed:tiny:7 --segment 0 --budget 3f --streams 2 "$f/a.e3" "$f/b.e3" -o "$T/out" -o "$T/o.e3" 2>"$T/e" &
	pid=$!
	head -c 1000 "$T/out" >/dev/null
	rc=0
	wait $pid || rc=$?
	[ "$rc" -eq 1 ] || { echo "exit $rc"; cat "$T/e"; return 1; }
	grep -qF "e3-infer: $f/a.e3: writing" "$T/e"
	same "$T/o.e3" "$f/alone-b.e3"
}

@test "a stream that nobody reads yet holds up no other" {
	e3-infer --device cpu --model seed:tiny:7 --segment 0 --budget 3f --timeout 300 --streams 2 "$f/c.e3" "$f/d.e3" -o "zmq:push:ipc://$T/s" -o "$T/o2.e3" 2>"$T/e" &
	pid=$!
	wait_until 5 test -s "$T/o2.e3" || { cat "$T/e"; kill $pid; return 1; }
	e3-cat -q "zmq:pull:ipc://$T/s" "$T/o1.e3"
	wait $pid
	same "$T/o1.e3" "$f/alone-c.e3"
	same "$T/o2.e3" "$f/alone-d.e3"
}

@test "SIGINT ends all of them; what was computed is there" {
	mkfifo "$T/in1" "$T/in2"
	streams 3 "$T/in1" "$T/in2" "$f/a.e3" &
	pid=$!
	exec 7>"$T/in1" 8>"$T/in2"
	head -c 250000 "$f/b.e3" >&7
	head -c 250000 "$f/c.e3" >&8
	wait_until 60 test -s "$T/o3.e3"
	wait_until 60 all_read "$T/in1"
	wait_until 60 all_read "$T/in2"
	child=$(pgrep -P $pid -x e3-infer || echo $pid)
	kill -INT "$child"
	rc=0
	wait $pid || rc=$?
	exec 7>&- 8>&-
	[ "$rc" -eq 130 ] || { echo "exit $rc"; cat "$T/e"; return 1; }
	for k in 1 2 3; do e3-dump "$T/o$k.e3" | tail -1 | grep -q '^end' || return 1; done
	same "$T/o3.e3" "$f/alone-a.e3"
}

@test "SIGTERM while pipes are waited for that nobody opens" {
	mkfifo "$T/in" "$T/out"
	e3-infer --device cpu --model seed:tiny:7 --budget 3f --streams 2 "$T/in" "$f/a.e3" -o "$T/x.e3" -o "$T/out" 2>"$T/e" &
	pid=$!
	wait_until 20 handles_signals $pid
	sleep 0.5 # for it to wait; earlier is right too
	kill -TERM $pid
	rc=0
	wait_until 20 gone $pid
	wait $pid || rc=$?
	[ "$rc" -eq 143 ] || { echo "exit $rc"; cat "$T/e"; return 1; }
}

@test "streams that are named while it runs" {
	mkfifo "$T/list"
	e3-infer --device cpu --model seed:tiny:7 --segment 0 --budget 3f --streams 2 --streams-from "$T/list" "$f/d.e3" -o "$T/o4.e3" 2>"$T/e" &
	pid=$!
	exec 7>"$T/list"
	printf '%s\t%s\n' "$f/a.e3" "$T/o1.e3" >&7
	wait_until 60 test -s "$T/o1.e3"
	printf '%s\t%s\r\n' "$f/b.e3" "$T/o2.e3" >&7 # as Windows ends a line
	printf '%s\t%s\n' "$f/c.e3" "$T/o3.e3" >&7
	printf 'nonsense\n%s\t%s' "$f/c.e3" "$T/o5.e3" >&7
	exec 7>&-
	rc=0
	wait $pid || rc=$?
	[ "$rc" -eq 1 ]
	for x in 1a 2b 3c 4d 5c; do same "$T/o${x%?}.e3" "$f/alone-${x#?}.e3"; done
	grep -qF "e3-infer: reading: --streams-from: expected an input and an output with a tab between them, got 'nonsense'" "$T/e"
}

@test "a named pipe of a stream that is over serves another one" {
	mkfifo "$T/list" "$T/p"
	e3-infer --device cpu --model seed:tiny:7 --segment 0 --budget 3f --streams 1 --streams-from "$T/list" 2>"$T/e" &
	pid=$!
	exec 7>"$T/list"
	for k in 1 2; do
		cat "$T/p" >"$T/p$k.e3" &
		reader=$!
		printf '%s\t%s\n' "$f/a.e3" "$T/p" >&7
		wait_until 60 gone $reader
		same "$T/p$k.e3" "$f/alone-a.e3"
	done
	exec 7>&-
	wait $pid || { cat "$T/e"; return 1; }
}

@test "streams over ZeroMQ" {
	for k in a b; do e3-cat "$f/$k.e3" -o "zmq:push:ipc://$T/in-$k" & done
	e3-infer --device cpu --model seed:tiny:7 --segment 0 --budget 3f --streams 2 "zmq:pull:ipc://$T/in-a" "zmq:pull:ipc://$T/in-b" \
		-o "zmq:push:ipc://$T/out-a" -o "zmq:push:ipc://$T/out-b" 2>"$T/e" &
	e3-cat "zmq:pull:ipc://$T/out-a" -o "$T/a.e3" &
	e3-cat "zmq:pull:ipc://$T/out-b" -o "$T/b.e3"
	wait
	same "$T/a.e3" "$f/alone-a.e3"
	same "$T/b.e3" "$f/alone-b.e3"
}

@test "what cannot be is refused" {
	fails 2 "got '$f/b.e3' too: --streams N takes several" -- e3-infer "$f/a.e3" "$f/b.e3"
	fails 2 "2 inputs and 1 outputs: expected an -o for each" -- e3-infer --streams 2 "$f/a.e3" "$f/b.e3" -o "$T/x.e3"
	fails 2 "expected inputs, or --streams-from FILE" -- e3-infer --streams 2
	fails 2 "--streams-from: needs --streams" -- e3-infer --streams-from "$f/a.e3"
	fails 2 "--save-cache: not with --streams: a saved session is of one stream" -- e3-infer --streams 2 --save-cache "$T/c" "$f/a.e3" -o "$T/x.e3"
	fails 2 "--load-cache: not with --streams" -- e3-infer --streams 2 --load-cache "$f/a.e3" "$f/a.e3" -o "$T/x.e3"
	fails 1 "reading: --streams-from: $f/a.e3: no list of streams: expected lines of text" -- e3-infer --device cpu --model seed:tiny:7 --streams 2 --streams-from "$f/a.e3"
	grep -q "1 of 1 streams failed" "$T/stderr"
	fails 2 "--dump: not with --streams" -- e3-infer --streams 2 --dump "$T/d" "$f/a.e3" -o "$T/x.e3"
	fails 2 "$T/x.e3" -- e3-infer --streams 2 "$f/a.e3" "$f/b.e3" -o "$T/x.e3" -o "$T/x.e3"
}

@test "--plan INPUT: the size and the length are those of the stream" {
	plan() { e3-infer --device cpu --model seed:tiny:7 --segment 0 --plan "$@"; }
	plan "$f/a.e3" >"$T/of"
	plan --size 112x84 --frames 8 >"$T/said"
	grep -qx "stream     $f/a.e3: 8 frames of 112 × 84" "$T/of"
	caches() { grep -E '^(frames|cache|streams) ' "$1"; } # the rest is of this process
	diff <(caches "$T/of") <(caches "$T/said")
	e3-decode -q --fit 70 --max-frames 1 "$ROOT/pipelines/demo/clip.mp4" -o "$T/fit.e3"
	plan --budget 3f - <"$T/fit.e3" | grep -qx 'stream     -: 1 frame of 70 × 56'
	plan --streams 3 "$f/c.e3" "$f/a.e3" >"$T/of"
	plan --streams 2 --size 112x84 --frames 8 >"$T/said"
	diff <(caches "$T/of") <(caches "$T/said")
	e3-scene -q --frames 1 --size 84x112 -o "$T/tall.e3"
	fails 1 "planning: $T/tall.e3: 70 × 70 for the network, 70 × 56 of the stream before" -- plan --streams 2 "$f/a.e3" "$T/tall.e3"
	fails 2 "--size: $f/a.e3 has a size of its own" -- plan --size 112x84 "$f/a.e3"
	fails 2 "--streams-from: not with --plan" -- plan --streams 2 --streams-from "$f/a.e3"
	fails 1 "$T/absent.e3" -- plan "$T/absent.e3"
	# Every frame on its own: no memory of cameras for a stream without an end.
	edit "$f/a.e3" "$T/endless.e3" 'm[0][1]["frames"] = None'
	value() { awk -v what="$1" '$1 == what { print $2 }' "$2"; }
	e3-infer --device cpu --model seed:tiny:7 --plan --each "$T/endless.e3" >"$T/each"
	plan --no-evict "$T/endless.e3" >"$T/all"
	grep -q '^cache .* 0.1 MiB of one frame$' "$T/each"
	awk -v a="$(value scratch "$T/each")" -v b="$(value scratch "$T/all")" 'BEGIN { exit !(a < 2 && b > 10) }'
}

@test "--plan: a cache for each stream, the weights once" {
	for n in 1 4; do e3-infer --device cpu --model seed:tiny:7 --budget 40f --streams $n --plan >"$T/plan$n"; done
	value() { awk -v what="$1" '$1 == what { print $2 }' "$2"; }
	/usr/bin/python3 -c 'import sys; a, b = map(float, sys.argv[1:]); assert abs(a - b) < 1, (a, b)' \
		"$(value weights "$T/plan1")" "$(value weights "$T/plan4")"
	/usr/bin/python3 -c 'import sys; a, b = map(float, sys.argv[1:]); assert 3.9 * a < b < 4.1 * a, (a, b)' \
		"$(value cache "$T/plan1")" "$(value cache "$T/plan4")"
	grep -q '^streams *4, the frames of 4 go together at most' "$T/plan4"
	grep -q 'of each stream' "$T/plan4"
}

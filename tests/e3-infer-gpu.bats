#!/usr/bin/env bats
# What e3-infer does with a GPU, on the CPU in its place (fake_cuda.c): it begins with the next frame before this one is
# done, and computes --streams in two sets.
load common
load infer

# video.e3: frames alone, as of a video. truth.e3: ground truth follows each.
setup_file() {
	export PATH="$B/bin:$PATH"
	local f=$BATS_FILE_TMPDIR
	if [ -e "$B/lib/e3/libe3-cuda.so" ]; then return; fi
	# shellcheck disable=SC2046 # words
	cc -std=c11 -D_GNU_SOURCE -O1 -shared -fPIC -I"$BATS_TEST_DIRNAME/../lib" -o "$f/libe3-cuda.so" "$BATS_TEST_DIRNAME/fake_cuda.c" \
		"$B/libdev.a" "$B/libbase.a" $(pkg-config --libs openblas) -Wl,-Bsymbolic -lm
	e3-scene -q --seed 3 --frames 7 --size 112x84 -o "$f/truth.e3"
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/edit_stream.py" "$f/truth.e3" "$f/video.e3" 'm[:] = [x for x in m if x[0] != 8]'
}

setup() {
	[ -e "$BATS_FILE_TMPDIR/libe3-cuda.so" ] || skip "this build has the backend itself"
	PATH="$B/bin:$PATH" T=$BATS_TEST_TMPDIR
	export ROOT=$BATS_TEST_DIRNAME/..
	prepare
	export LD_LIBRARY_PATH=$f
}

on() { # on DEVICE ARG...
	e3-infer -q --device "$1" --model seed:tiny:7 "${@:2}" 2>"$T/e" || { echo "exit $?: $*"; cat "$T/e"; return 1; }
}

same_results() { same "$1" "$2" pred evict edge truth; }

# Runs on the CPU, and on the GPU with a look ahead: the first frames, then the rest from what was saved.
both() { # STREAM PRECISION HOW
	local d vits aggregators
	e3-cat -q --take 5 "$1" -o "$T/five.e3"
	for d in cpu cuda; do
		# shellcheck disable=SC2086 # words
		FAKE_CUDA_TELLS=$T/begun on $d $2 $3 --budget 3f --save-cache "$T/$d.e3c" --save-every 4 "$T/five.e3" -o "$T/$d-1.e3"
		# shellcheck disable=SC2086
		on $d $2 --load-cache "$T/$d.e3c" --save-cache "$T/$d-2.e3c" "$1" -o "$T/$d-2.e3"
	done
	read -r vits aggregators _ <"$T/begun"
	[ "$vits" -ge 1 ]
	[ "$aggregators" -ge 1 ]
	same_results "$T/cpu-1.e3" "$T/cuda-1.e3"
	same_results "$T/cpu-2.e3" "$T/cuda-2.e3"
	cmp "$T/cpu.e3c" "$T/cuda.e3c"
	cmp "$T/cpu-2.e3c" "$T/cuda-2.e3c"
}

@test "a run that looks ahead gives and saves what one without does, also resumed, in segments and in 8 bits" {
	both "$f/video.e3" "" "--segment 0"
	both "$f/truth.e3" "" "--segment 5 --overlap 2"
	both "$f/video.e3" "--precision int8" "--segment 0 --kv int8"
}

@test "--streams go on in one set when there is no memory for the second, and say so; --plan too" {
	on cuda --budget 3f --segment 0 "$f/video.e3" -o "$T/a.e3"
	on cuda --budget 3f --segment 0 "$f/truth.e3" -o "$T/b.e3"
	said="e3-infer: opening the device: cuda: out of device memory: 3 of 80 MiB are left: all streams are computed in one set, where two may be faster"
	for most in 1 2; do
		FAKE_CUDA_OPENS=$most e3-infer --device cuda --model seed:tiny:7 --budget 3f --segment 0 --streams 2 "$f/video.e3" "$f/truth.e3" -o "$T/1.e3" -o "$T/2.e3" 2>"$T/e"
		same_results "$T/1.e3" "$T/a.e3"
		same_results "$T/2.e3" "$T/b.e3"
		if [ $most = 1 ]; then [ "$(cat "$T/e")" = "$said" ]; else [ ! -s "$T/e" ]; fi
	done
	FAKE_CUDA_OPENS=1 e3-infer --plan --device cuda --model seed:tiny:7 --budget 3f --streams 4 >"$T/plan" 2>"$T/e"
	[ "$(cat "$T/e")" = "$said" ]
	grep -q '^streams    4, the frames of 4 go together at most$' "$T/plan"
	e3-infer --plan --device cuda --model seed:tiny:7 --budget 3f --streams 4 >"$T/plan"
	grep -q '^streams    4, the frames of 2 go together at most, in two sets side by side$' "$T/plan"
}

# streams [NAME=VALUE...] [-b SIZE] -- INPUT...: to o1.e3, o2.e3 and so on, what is said to $T/e
streams() {
	local set=() to=() k=1 x budget=3f
	while [ "$1" != -- ]; do
		if [ "$1" = -b ]; then budget=$2; shift; else set+=("$1"); fi
		shift
	done
	shift
	for x in "$@"; do to+=(-o "$T/o$k.e3"); k=$((k + 1)); done
	env "${set[@]}" e3-infer --device cuda --model seed:tiny:7 --budget "$budget" --segment 0 --streams $# "$@" "${to[@]}" -y 2>"$T/e"
}

@test "--streams without memory for one more: it waits, goes on by itself, or fails alone" {
	e3-scene -q --seed 5 --frames 3 --size 112x84 -o "$T/c.e3"
	e3-scene -q --seed 6 --frames 3 --size 84x112 -o "$T/tall.e3"
	e3-infer --device cuda --model seed:tiny:7 --budget 3f --segment 0 --log-every 1 "$f/video.e3" -o "$T/a.e3" 2>"$T/e"
	one=$(sed -n 's/.*, device \([0-9.]*\) MiB$/\1/p' "$T/e" | sort -n | tail -1)
	on cuda --budget 3f --segment 0 "$T/c.e3" -o "$T/c-alone.e3"
	for more in 100 1500 4000; do # KiB: none, and two streams, for what three need
		streams FAKE_CUDA_KIB="$(awk -v m="$one" -v k=$more 'BEGIN { print int(m * 1024 + k) }')" -- "$f/video.e3" "$T/c.e3" "$f/video.e3"
		grep -q "out of device memory: 3 of 80 MiB are left: this stream \(waits until\|is computed for itself\)" "$T/e" || { echo $more; cat "$T/e"; return 1; }
		same_results "$T/o1.e3" "$T/a.e3"
		same_results "$T/o2.e3" "$T/c-alone.e3"
		same_results "$T/o3.e3" "$T/a.e3"
	done
	# A frame for which there is no memory in a set is computed alone.
	streams FAKE_CUDA_OPENS=1 FAKE_CUDA_ROWS=25 -- "$f/video.e3" "$T/c.e3"
	same_results "$T/o1.e3" "$T/a.e3"
	same_results "$T/o2.e3" "$T/c-alone.e3"
	# Too little for one of them only: 400 frames of larger pictures.
	for x in c tall; do edit "$T/$x.e3" "$T/$x-endless.e3" 'm[0][1]["frames"] = None'; done
	one=$(e3-infer --device cuda --model seed:tiny:7 --budget 400f --segment 0 --plan "$T/c-endless.e3" | awk '$1 == "total" { print $2 }')
	rc=0
	streams FAKE_CUDA_KIB="$(awk -v m="$one" 'BEGIN { print int(m * 1024 + 2000) }')" -b 400f -- "$T/tall-endless.e3" "$T/c-endless.e3" || rc=$?
	[ $rc -eq 1 ]
	grep -q "^e3-infer: $T/tall-endless.e3: .*: too little for this stream, also without the others (--plan says what it takes)$" "$T/e" || { cat "$T/e"; return 1; }
	tail -1 "$T/e" | grep -qx "e3-infer: inferring: 1 of 2 streams failed"
	same "$T/o2.e3" "$T/c-alone.e3" pred # three frames: nothing is evicted
}

@test "--streams without memory for one more: a signal ends those that wait" {
	mkfifo "$T/in" "$T/list"
	one=$(e3-infer --device cuda --model seed:tiny:7 --budget 3f --segment 0 --log-every 1 "$f/video.e3" 2>&1 >/dev/null | sed -n 's/.*, device \([0-9.]*\) MiB$/\1/p' | tail -1)
	FAKE_CUDA_KIB=$(awk -v m="$one" 'BEGIN { print int(m * 1024 + 100) }') e3-infer --device cuda --model seed:tiny:7 --budget 3f --segment 0 --streams 2 \
		--log-every 1 --streams-from "$T/list" "$T/in" -o "$T/o1.e3" 2>"$T/e" &
	pid=$!
	exec 8>"$T/list" # which is opened first
	exec 7>"$T/in"
	head -c 200000 "$f/video.e3" >&7
	wait_until 60 grep -q "frame 1: " "$T/e"
	printf '%s\t%s\n' "$f/video.e3" "$T/o2.e3" >&8
	wait_until 60 grep -q "waits until another one has ended" "$T/e"
	kill -INT $pid
	rc=0
	wait_until 20 gone $pid
	wait $pid || rc=$?
	exec 7>&- 8>&-
	[ "$rc" -eq 130 ] || { echo "exit $rc"; cat "$T/e"; return 1; }
}

@test "--vram: the smallest that works is said, works, and is never exceeded, in segments and with attention maps" {
	smallest() { # OPTION...: MiB
		e3-infer --device cuda --model seed:tiny:7 --vram 1M "$@" "$f/endless.e3" 2>&1 >/dev/null | sed -n 's/.*the smallest that works is \([0-9]*\)M$/\1/p'
	}
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/edit_stream.py" "$f/video.e3" "$f/endless.e3" 'm[0][1]["frames"] = None'
	whole=$(smallest --segment 0)
	chain=$(smallest)
	# Segments of a few frames need no camera memory for a thousand.
	[ "$chain" -lt "$whole" ]
	within() { # MIB OPTION...: nor while the length of segments is searched for
		FAKE_CUDA_TELLS=$T/tells e3-infer --device cuda --model seed:tiny:7 --log-every 1 --vram "$1M" "${@:2}" "$f/endless.e3" -o "$T/o.e3" 2>"$T/e"
		echo "--vram $*: at most $(cut -d ' ' -f 3 "$T/tells") KiB"
		[ "$(cut -d ' ' -f 3 "$T/tells")" -le "$(($1 * 1024))" ]
		[ "$(sed -n 's/.*, device \([0-9]*\)\.[0-9]* MiB$/\1/p' "$T/e" | sort -n | tail -1)" -lt "$1" ]
	}
	within "$chain"
	within "$whole" --segment 0
	within "$((chain + 6))" --attn-layers 1,3 --attn-map
	# What is there is used, but for the ends of blocks (4 MiB), and --plan says the same of it.
	used() { # MIB OPTION...
		within "$@"
		e3-infer --plan --device cuda --model seed:tiny:7 --vram "$1M" "${@:2}" "$f/endless.e3" >"$T/plan"
		local total run
		total=$(awk '$1 == "total" { print $2 }' "$T/plan")
		run=$(sed -n 's/.*, device \([0-9.]*\) MiB$/\1/p' "$T/e" | sort -n | tail -1)
		echo "--vram $*: run $run, plan $total"
		awk -v a="$run" -v b="$total" -v most="$1" 'BEGIN { exit !(a - b < 0.2 && b - a < 0.2 && a > most - 4) }'
	}
	used "$((chain + 6))"
	used "$((chain + 24))" --overlap 3
	used "$((whole + 5))" --segment 0
	# All of several streams have the segments that were fitted: a few frames more take twice the camera head's memory.
	e3-infer --device cuda --model seed:tiny:7 --log-every 1 --vram 90M --precision int8 --kv int8 --streams 3 "$f/endless.e3" "$f/endless.e3" "$f/endless.e3" \
		-o "$T/1.e3" -o "$T/2.e3" -o "$T/3.e3" 2>"$T/e"
	[ "$(sed -n 's/.*, device \([0-9]*\)\.[0-9]* MiB$/\1/p' "$T/e" | sort -n | tail -1)" -lt 90 ]
	[ "$(sed -n 's/.*segments of \([0-9]*\) frames.*/\1/p' "$T/e" | uniq | wc -l)" -eq 1 ]
}

@test "a backend that is there and lacks a library says which one" {
	mkdir "$T/lib"
	echo 'int e3_needed;' | cc -shared -x c -o "$T/lib/libneeded.so" -
	echo 'extern int e3_needed; int *e3_use = &e3_needed;' | cc -shared -fPIC -x c -o "$T/lib/libe3-cuda.so" - -L"$T/lib" -lneeded
	rm "$T/lib/libneeded.so"
	LD_LIBRARY_PATH=$T/lib fails 1 "libneeded.so: cannot open shared object file" -- e3-infer --device cuda --model seed:tiny:7 "$f/video.e3"
	LD_LIBRARY_PATH='' fails 1 "the plug-in libe3-cuda.so is not installed" -- e3-infer --device cuda --model seed:tiny:7 "$f/video.e3"
}

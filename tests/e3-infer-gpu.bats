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
	read -r vits aggregators <"$T/begun"
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

@test "--vram: the smallest that works is said, works, and is never exceeded, in segments and with attention maps" {
	smallest() { # OPTION...: MiB
		e3-infer --device cuda --model seed:tiny:7 --vram 1M "$@" "$f/endless.e3" 2>&1 >/dev/null | sed -n 's/.*the smallest that works is \([0-9]*\)M$/\1/p'
	}
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/edit_stream.py" "$f/video.e3" "$f/endless.e3" 'm[0][1]["frames"] = None'
	whole=$(smallest --segment 0)
	chain=$(smallest)
	# Segments of a few frames need no camera memory for a thousand.
	[ "$chain" -lt "$whole" ]
	within() { # MIB OPTION...
		e3-infer --device cuda --model seed:tiny:7 --log-every 1 --vram "$1M" "${@:2}" "$f/endless.e3" -o "$T/o.e3" 2>"$T/e"
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
}

@test "a backend that is there and lacks a library says which one" {
	mkdir "$T/lib"
	echo 'int e3_needed;' | cc -shared -x c -o "$T/lib/libneeded.so" -
	echo 'extern int e3_needed; int *e3_use = &e3_needed;' | cc -shared -fPIC -x c -o "$T/lib/libe3-cuda.so" - -L"$T/lib" -lneeded
	rm "$T/lib/libneeded.so"
	LD_LIBRARY_PATH=$T/lib fails 1 "libneeded.so: cannot open shared object file" -- e3-infer --device cuda --model seed:tiny:7 "$f/video.e3"
	LD_LIBRARY_PATH='' fails 1 "the plug-in libe3-cuda.so is not installed" -- e3-infer --device cuda --model seed:tiny:7 "$f/video.e3"
}

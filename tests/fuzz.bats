#!/usr/bin/env bats
# A short run of every fuzz target (make fuzz runs each a million times): builds them with clang, then the corpus and 50,000
# variations of it each (fewer where one takes longer). A crash leaves its input in $B/fuzz.
load common

setup_file() {
	command -v clang >/dev/null || skip "needs clang"
	# Without the jobs and variables of a make that started this test.
	env -u MAKEFLAGS -u MAKELEVEL make -s -j2 -C "$BATS_TEST_DIRNAME/.." B="$B/fuzz" CC=clang SAN=fuzzer-no-link,address,undefined fuzz-bins
}

short_run() {
	local corpus
	corpus=$(find "$ROOT/tests/fuzz/corpus/$1" -type f | wc -l)
	[ "$corpus" -gt 0 ] || { echo "no corpus for $1"; return 1; }
	make -s -C "$ROOT" B="$B" FUZZERS="$1" RUNS="${runs:-50000}" fuzz >"$T/o" 2>&1 || { tail -40 "$T/o"; return 1; }
	echo "# $1: $corpus files in the corpus"
}

@test "fuzz: stream" {
	short_run stream
}

@test "fuzz: recordings that a page looks at" {
	runs=10000 short_run recording
}

@test "fuzz: requests to a page, and what its clients say" {
	runs=10000 short_run view_client
}

@test "fuzz: safetensors" {
	short_run safetensors
}

@test "fuzz: pth" {
	short_run pth
}

@test "fuzz: PNM" {
	short_run pnm
}

@test "fuzz: headers and ends of pictures" {
	short_run picture
}

@test "fuzz: saved caches" {
	short_run cache
}

@test "fuzz: known poses and positions" {
	short_run known
}

@test "fuzz: data sets" {
	short_run sets
}

@test "fuzz: ONNX models" {
	short_run onnx
}

@test "every fuzz target is run above" {
	for f in "$ROOT"/tests/fuzz/fuzz_*.c; do
		name=${f##*/fuzz_}
		grep -q "short_run ${name%.c}\$" "$BATS_TEST_FILENAME" || { echo "$f is not run"; return 1; }
	done
}

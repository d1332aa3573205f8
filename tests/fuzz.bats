#!/usr/bin/env bats
# A short run of every fuzz target (make fuzz runs each a million times): builds them with clang, then the whole corpus, and as many
# variations of it as take one or two seconds. A crash leaves its input in $B/fuzz.
load common

setup_file() {
	command -v clang >/dev/null || skip "needs clang"
	local flags=()
	! command -v mold >/dev/null || flags=(LDFLAGS=-fuse-ld=mold)
	# Without the jobs and variables of a make that started this test.
	env -u MAKEFLAGS -u MAKELEVEL make -s -j2 -C "$BATS_TEST_DIRNAME/.." B="$B" "${flags[@]}" CFLAGS=-gline-tables-only fuzz-build
}

short_run() { # short_run RUNS TARGET
	local corpus
	corpus=$(find "$ROOT/tests/fuzz/corpus/$2" -type f | wc -l)
	[ "$corpus" -gt 0 ] || { echo "no corpus for $2"; return 1; }
	"$ROOT/tests/fuzz/run.sh" "$2" "$1" >"$T/o" 2>&1 || { tail -40 "$T/o"; return 1; }
	echo "# $2: $corpus files in the corpus"
}

@test "fuzz: stream" {
	short_run 12500 stream
}

@test "fuzz: recordings that a page looks at" {
	short_run 3000 recording
}

@test "fuzz: requests to a page, and what its clients say" {
	short_run 5000 view_client
}

@test "fuzz: safetensors" {
	short_run 20000 safetensors
}

@test "fuzz: pth" {
	short_run 15000 pth
}

@test "fuzz: PNM" {
	short_run 25000 pnm
}

@test "fuzz: headers and ends of pictures" {
	short_run 12500 picture
}

@test "fuzz: saved caches" {
	short_run 1250 cache
}

@test "fuzz: known poses and positions" {
	short_run 25000 known
}

@test "fuzz: data sets" {
	short_run 2000 sets
}

@test "fuzz: ONNX models" {
	short_run 25000 onnx
}

@test "every fuzz target is run above" {
	for f in "$ROOT"/tests/fuzz/fuzz_*.c; do
		name=${f##*/fuzz_}
		grep -q "short_run [0-9]* ${name%.c}\$" "$BATS_TEST_FILENAME" || { echo "$f is not run"; return 1; }
	done
}

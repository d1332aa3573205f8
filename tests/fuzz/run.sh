#!/bin/bash
# A fuzz target over its whole corpus, then RUNS variations of it: run.sh TARGET RUNS. make fuzz-build builds the targets.
# What is found by the way is kept in $B/fuzz/found for the next time; a crash leaves its input in $B/fuzz.
set -eu
cd "$(dirname "$0")/../.."
dir=${B:-build}/fuzz
mkdir -p "$dir/found/$1"
exec "$dir/fuzz_$1" -runs="$2" -rss_limit_mb=2048 -timeout=10 -verbosity=0 -artifact_prefix="$dir/crash-$1-" "$dir/found/$1" "tests/fuzz/corpus/$1"

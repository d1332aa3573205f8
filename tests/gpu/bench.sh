#!/bin/bash
# make bench-gpu: what CUDA reaches on this machine: operation by operation (stages), end to end as a user sees it and memory (speed),
# several streams at a time: the same results (together), how fast (streams); the start with a checkpoint from a file (load). bench.sh
# stages|speed|together|streams|load: one of them; bench.sh peer: beside PyTorch (tests/bench/torch_peer.py).
# FRAMES=500 frames of the end-to-end run. OLD=DIR: before and after, in turn with the older build in DIR (tests/gpu/end_to_end.py).
# PORTABLE=1: the stages also with the kernels that every GPU has.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
export B PATH=$B/bin:$PATH
python=${PYTHON:-/usr/bin/python3}
out=$(mktemp -d "${TMPDIR:-/tmp}/e3-bench.XXXXXX")
trap 'rm -rf "$out"' EXIT
rc=0

for what in ${1:-stages speed together streams load}; do
	case $what in
	stages) "$python" -B tests/gpu/stages.py 100 10 || rc=1 ;;
	speed) "$python" -B tests/gpu/end_to_end.py "${FRAMES:-500}" "$out" || rc=1 ;;
	together) "$python" -B tests/gpu/streams.py check "$out" || rc=1 ;;
	streams)
		"$python" -B tests/gpu/streams.py speed "${STREAM_FRAMES:-200}" "$out" --budget 10f --segment 0 || rc=1
		COUNTS=${COUNTS:-1,2,3,4} "$python" -B tests/gpu/streams.py speed "${STREAM_FRAMES:-200}" "$out" --budget 10f --segment 0 --precision int8 || rc=1
		"$python" -B tests/gpu/streams.py clips "$out" || rc=1
		;;
	load) "$python" -B tests/gpu/load.py "$out" || rc=1 ;;
	peer)
		"$python" -B tests/bench/torch_peer.py check || rc=1
		"$python" -B tests/bench/torch_peer.py e3 100 || rc=1
		for how in "" "--evict 10" "--published" "--published --evict 10"; do
			# shellcheck disable=SC2086 # words
			"$python" -B tests/bench/torch_peer.py 100 $how || rc=1
		done
		;;
	*) echo "bench.sh: expected stages, speed, together, streams, load or peer, got '$what'" >&2 && rc=2 ;;
	esac
done
exit $rc

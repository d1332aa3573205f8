#!/bin/bash
# A scan that may be interrupted: by Ctrl-C, by a killed job, by a power cut. Run the same line again, and it goes on where the last saved
# session ended. The result is, bit for bit, that of one run without interruption.
#
#   resume.sh CLIP OUT
#
# OUT/session.e3cache   what the network knows so far, saved every SAVE_EVERY frames (100) and at the end
# OUT/part1.e3, ...     what each run computed; OUT/run.e3: joined, when the clip has come to its end
# OUT/scene.glb, OUT/cameras.tum
#
# To change: e3-decode --every 0.5 instead of --all; BUDGET (10f). The clip and these options have to stay the same from run to run.
# E3_MODEL names the checkpoint; `e3-model fetch streamvggt` gets one.
set -eu -o pipefail
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }
usage() { echo "usage: ${0##*/} CLIP OUT (-h: more)" >&2; exit 2; }
case ${1:-} in -h | --help) help; exit ;; esac
[ $# -eq 2 ] || usage
clip=$1 out=$2
case $out in -*) out=./$out ;; esac
[ -e "$clip" ] || { echo "${0##*/}: $clip: no such file" >&2; exit 1; }
mkdir -p "$out"

frames_in() { { e3-dump -q "$1" 2>/dev/null || true; } | grep -c '^pred' || true; }

session=$out/session.e3cache
if [ -e "$out/run.e3" ]; then
	echo "${0##*/}: $out/run.e3 is complete; remove it and $session to begin anew" >&2
else
	if [ -e "$session" ]; then
		how=(--load-cache "$session")
	else
		how=(--budget "${BUDGET:-10f}" --loops)
		rm -f "$out"/part*.e3 # of a run that was killed before it saved anything
	fi
	n=1
	while [ -e "$out/part$n.e3" ]; do n=$((n + 1)); done
	# (A plain redirection: what a killed run wrote stays, and e3-cat --then can use it.)
	e3-decode --all -- "$clip" | e3-infer "${how[@]}" --save-cache "$session" --save-every "${SAVE_EVERY:-100}" >"$out/part$n.e3"

	parts=()
	for ((k = 1; k <= n; k++)); do
		[ "$(frames_in "$out/part$k.e3")" -gt 0 ] || continue # stopped before its first frame
		[ ${#parts[@]} -eq 0 ] || parts+=(--then)
		parts+=("$out/part$k.e3")
	done
	e3-cat "${parts[@]}" -o "$out/run.e3"
fi
e3-align "$out/run.e3" | e3-export --glb "$out/scene.glb" --tum "$out/cameras.tum"

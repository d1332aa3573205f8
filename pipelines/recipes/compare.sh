#!/bin/bash
# Two or more rules of eviction on the same frames: how far each is from the truth, or, where there is none, from a run that keeps
# everything; and what each costs.
#
#   compare.sh [-b BUDGET] SOURCE OUT POLICY POLICY...
#
#   -b       the cache that each gets (10f: ten frames of each layer)
#   SOURCE   a clip, pictures, or a recording of frames: `e3-scene -o room.e3` and `e3-decode --dataset` have the truth
#   POLICY   evict3r, random, window, spread, ...: e3-infer(1)
#
# OUT/POLICY.e3 and OUT/POLICY.txt, the errors, are printed too. Without truth OUT/none.e3 is the run that keeps everything: a
# clip of some hundred frames at most, since its memory grows.
#
# To change: --segment 0, which compares the rules in one piece; without it long streams run in segments. One clip says little:
# pipelines/study compares rules on many scenes, with intervals.
set -eu -o pipefail
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }
usage() { echo "usage: ${0##*/} [-b BUDGET] SOURCE OUT POLICY POLICY... (-h: more)" >&2; exit 2; }

budget=10f
while getopts b:h o; do
	case $o in
	b) budget=$OPTARG ;;
	h) help; exit ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 4 ] || usage
source=$1 out=$2
shift 2
case $out in -*) out=./$out ;; esac
case $source in -*) source=./$source ;; esac
policies=$(e3-infer --help)
for policy; do
	grep -qwF -- "$policy" <<<"$policies" || { echo "${0##*/}: $policy: e3-infer has no such policy (man e3-infer)" >&2; exit 2; }
done

mkdir -p "$out"
case $source in
*.e3) frames=$source ;;
*) frames=$out/frames.e3 && e3-decode --all --fit 518 -o "$frames" -- "$source" ;;
esac
against=()
if ! e3-dump "$frames" | grep '^truth' >/dev/null; then
	e3-infer --outputs pose,depth --no-evict --segment 0 -o "$out/none.e3" "$frames"
	against=(--against "$out/none.e3")
fi
for policy; do
	e3-infer --outputs pose,depth --budget "$budget" --segment 0 --policy "$policy" -o "$out/$policy.e3" "$frames"
	e3-eval "${against[@]}" -o "$out/$policy.txt" "$out/$policy.e3"
	echo "== $policy, $budget"
	cat "$out/$policy.txt"
	e3-dump "$out/$policy.e3" | awk '/^end/ { for (k = 2; k <= NF; k++) { split($k, a, "="); v[a[1]] = a[2] } }
		END { printf "%d frames in %.1f s, at most %.0f MiB of memory\n", v["frames"], v["seconds"], v["peak_rss"] / 1048576 }'
done

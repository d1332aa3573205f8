#!/bin/bash
# Accuracy against memory: every policy at every fraction of the cache over rendered scenes, paired scene by scene. Each run is one line
# of JSON in the output folder; finished runs are not repeated. Prints the table and draws the plots.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
self=$here/${0##*/}
B=${B:-$here/../../build}
PATH=$B/bin:$PATH
# shellcheck source=pipelines/study/policies.sh
. "$here/policies.sh"
# shellcheck source=pipelines/group.sh
. "$here/../group.sh"

# The settings of the study. Its seeds are reserved for the report: choose and tune on others (--first-seed 1000).
kinds="short long revisit"
seeds=14
first_seed=2000
fractions="0.5 0.25 0.15 0.1 0.05"
temps="0.5 1.5"
policies="evict3r window random spread"
less=evict3r
declare -A scene=(
	[short]="--kind short --frames 24"
	[long]="--kind long --frames 60 --length 2"
	[revisit]="--kind revisit --frames 60"
)
out=out/study
jobs=1
infer=
show=

usage() {
	cat <<-EOF
		Usage: run.sh [options]
		  --out DIR          folder for the runs (default $out)
		  --jobs N           scenes at the same time, one thread each (default $jobs)
		  --seeds N          scenes of each kind (default $seeds)
		  --first-seed N     their seeds are N, N+1, ... (default $first_seed: the report; others for development)
		  --kinds LIST       default "$kinds"
		  --fractions LIST   of the cache (default "$fractions"; evict3r also at 1, where the others keep everything)
		  --policies LIST    beside no eviction (default "$policies");
		                     not k4, k6 and k8, which keep a number of frames of their own: long.sh compares them
		  --temps LIST       of evict3r (default "$temps")
		  --infer OPTIONS    more options for e3-infer, as in '--device cuda --precision f32'
		  --scene OPTIONS    more options for e3-scene, as in '--frames 6': another study, give another --out
		  --less POLICY      the policy that the others are compared with (default $less)
		  --show             print and draw existing runs, run nothing
	EOF
}
die() {
	echo "run.sh: $1" >&2
	exit "${2:-1}"
}

# --- one scene: all its runs, each against the truth and against the prediction without eviction ---

predict() { # TO OPTION...: into TO.e3
	# shellcheck disable=SC2086 # a list of options
	e3-infer -q --model "$E3_STUDY_MODEL" --threads 1 --outputs pose,depth ${E3_STUDY_INFER:-} "${@:2}" "$temp/scene.e3" -o "$temp/$1.e3"
}

score() { # TO POLICY TEMP P FILE
	local truth full
	truth=$(e3-eval --json --align median "$temp/$5.e3") && full=$(e3-eval --json --align median --against "$temp/none.e3" "$temp/$5.e3") || return 1
	printf '{"kind":"%s","seed":%d,"policy":"%s","temp":%s,"p":%s,"truth":%s,"full":%s}\n' "$kind" "$seed" "$2" "$3" "$4" "$truth" "$full" >"$1.part.$$"
	mv "$1.part.$$" "$1"
}

if [ "${1:-}" = --piece ]; then
	read -r kind seed options <<<"$2"
	folder=$E3_STUDY_OUT/runs/$kind-$seed
	temp=$(mktemp -d)
	trap 'rm -rf "$temp"; rm -f "$folder"/*.part.$$' EXIT
	trap 'exit 143' TERM HUP
	trap 'exit 130' INT
	mkdir -p "$folder"
	# shellcheck disable=SC2086
	e3-scene -q --seed "$seed" $options -o "$temp/scene.e3"
	predict none --no-evict
	[ -e "$folder/none" ] || score "$folder/none" none null 1 none
	while read -r policy temperature p; do
		to=$folder/$policy-$temperature-$p
		[ ! -e "$to" ] || continue
		more=()
		[ "$temperature" = null ] || more=(--temp "$temperature")
		predict run --policy "$policy" "${more[@]}" --P "$p"
		score "$to" "$policy" "$temperature" "$p" run
	done <"$E3_STUDY_OUT/plan"
	echo "run.sh: $kind $seed: done" >&2
	exit
fi

# --- the study ---

more_scene=
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage && exit ;;
	--show) show=1 && shift && continue ;;
	--out | --jobs | --seeds | --first-seed | --kinds | --fractions | --policies | --less | --temps | --infer | --scene) [ $# -ge 2 ] || die "$1 needs a value" 2 ;;
	*) die "what is '$1'? --help lists the options" 2 ;;
	esac
	case $1 in
	--out) out=$2 ;;
	--jobs) jobs=$2 ;;
	--seeds) seeds=$2 ;;
	--first-seed) first_seed=$2 ;;
	--kinds) kinds=$2 ;;
	--fractions) fractions=$2 ;;
	--policies) policies=$2 ;;
	--less) less=$2 ;;
	--temps) temps=$2 ;;
	--infer) infer=$2 ;;
	--scene) more_scene=$2 ;;
	esac
	shift 2
done
for n in "$jobs" "$seeds" "$first_seed"; do
	[[ $n =~ ^(0|[1-9][0-9]{0,8})$ ]] || die "'$n' is not a whole number" 2
done
if [ "$jobs" -lt 1 ] || [ "$seeds" -lt 1 ]; then die "--jobs and --seeds are at least 1" 2; fi
for x in $fractions $temps; do
	[[ $x =~ ^(0|[1-9][0-9]*)(\.[0-9]+)?$ ]] || die "'$x' is not a number" 2
done
for kind in $kinds; do
	[ -n "${scene[$kind]+known}" ] || die "no kind '$kind': short, long, revisit" 2
done
for tool in e3-scene e3-infer e3-eval; do
	command -v $tool >/dev/null || die "$tool is not there: run make first, or say where it is with B=DIR"
done
known=$(study_policies) # in the order of the table
for policy in $policies $less; do
	[[ " $known " == *" $policy "* ]] || die "no policy '$policy': ${known// /, }" 2
	[[ ! $policy =~ ^k[468]$ ]] || die "$policy keeps a number of frames of its own, not a fraction: long.sh compares it" 2
done
[ -x "$B/study/table" ] || die "$B/study/table is not there: run make study"

# The settings that decide about a figure, except seeds and fractions, which have their own files.
mkdir -p "$out/runs"
identity() {
	local kind
	for kind in short long revisit; do echo "$kind: ${scene[$kind]} $more_scene"; done
	echo "infer: $infer"
}
if [ -e "$out/identity" ]; then
	identity | cmp -s - "$out/identity" || { [ -n "$show" ] || die "$out holds runs with other options: give another --out, or remove it"; }
else
	[ -z "$show" ] || die "there is nothing in $out"
	identity >"$out/identity"
fi

if [ -z "$show" ]; then
	{
		for policy in $policies; do
			if [ "$policy" = evict3r ]; then
				for t in $temps; do
					for p in 1 $fractions; do echo "evict3r $t $p"; done
				done
			else
				for p in $fractions; do echo "$policy null $p"; done
			fi
		done
	} >"$out/plan"
	work=()
	for ((s = first_seed; s < first_seed + seeds; s++)); do
		for kind in $kinds; do
			missing=
			[ -e "$out/runs/$kind-$s/none" ] || missing=1
			while read -r policy temperature p; do
				[ -e "$out/runs/$kind-$s/$policy-$temperature-$p" ] || missing=1
			done <"$out/plan"
			[ -z "$missing" ] || work+=("$kind $s ${scene[$kind]} $more_scene")
		done
	done
	echo "run.sh: ${#work[@]} scenes, $(($(wc -l <"$out/plan") + 1)) runs each, $jobs at a time" >&2
	export B E3_STUDY_MODEL=$here/../demo/model.safetensors E3_STUDY_OUT=$out E3_STUDY_INFER=$infer
	pieces() { printf '%s\0' "${work[@]}" | xargs -0 -n 1 -P "$jobs" bash "$self" --piece; }
	status=0
	[ ${#work[@]} -eq 0 ] || in_group pieces || status=$?
	[ $status -ne 130 ] || die "stopped: runs so far are kept in $out, the same command continues" 130
	[ $status -eq 0 ] || exit $status
fi
for policy in none $known; do
	find "$out/runs" -type f \( -name "$policy" -o -name "$policy-*" \) ! -name '*.part.*' -print0 | LC_ALL=C sort -z | xargs -0 -r cat
done >"$out/study.jsonl"
"$B/study/table" --less "$less" --png "$out" "$out/study.jsonl" | tee "$out/table.txt"

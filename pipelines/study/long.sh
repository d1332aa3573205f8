#!/bin/bash
# Long walks: every policy, in one piece, in segments, and in segments with loops, over rendered scenes of 360 and 1,000 frames, paired
# scene by scene. Each run is a file in the output folder; finished runs are not repeated. Prints the table and draws the plots.
# Needs nothing but bash, coreutils, awk and the built tools, so that it runs where nothing is installed.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
self=$here/${0##*/}
B=${B:-$here/../../build}
PATH=$B/bin:$PATH
# shellcheck source=pipelines/study/policies.sh
. "$here/policies.sh"

# The settings of the study. Its seeds are reserved for the report: choose and tune on seeds below 3000.
seeds=20
first_seed=3000
# The scenes; 360 and 1,000 frames of a kind at one speed.
all_kinds="walk360 revisit360 rooms360 alike360 walk1000 revisit1000 rooms1000 alike1000"
declare -A scene=(
	[walk360]="--path walk --length 12 --frames 360"
	[walk1000]="--path walk --length 33.33 --frames 1000"
	[revisit360]="--path walk --revisit --length 6 --frames 360"
	[revisit1000]="--path walk --revisit --length 16.67 --frames 1000"
	[rooms360]="--rooms 2 --laps 1.2 --frames 360"
	[rooms1000]="--rooms 2 --laps 3.333 --frames 1000"
	[alike360]="--rooms 2 --alike --laps 1.2 --frames 360"
	[alike1000]="--rooms 2 --alike --laps 3.333 --frames 1000"
)
kinds=$all_kinds
budgets="4f 8f 16f"
all_modes="whole segments loops"
modes=$all_modes
draws=3
segment="--segment 9f"
loops="--loops"
align=
known=$(study_policies)
policies="$known none"
out=out/long
jobs=1
keep=1
less=random
base=evict3r
plot=8f
minutes=
infer=
model=$here/../demo/model.safetensors
more_scene=
show=

usage() {
	cat <<-EOF
		Usage: long.sh [options]
		  --out DIR          folder for the runs (default $out)
		  --jobs N           scenes at the same time, one thread each (default $jobs)
		  --minutes N        begin no run later than that; the same command continues (default: no limit)
		  --seeds N          scenes of each kind (default $seeds)
		  --first-seed N     their seeds are N, N+1, ... (default $first_seed: the report; below 3000 for development)
		  --kinds LIST       of $all_kinds
		                     (default: all)
		  --policies LIST    default "$policies"
		  --budgets LIST     of the cache (default "$budgets"; k4, k6 and k8 have their own; none keeps everything,
		                     which in segments is bounded too)
		  --modes LIST       whole: in one piece; segments; loops: segments with loops, aligned (default: all)
		  --draws N          seeds of the policy random (default $draws)
		  --segment OPTIONS  of e3-infer, for segments (default "$segment")
		  --loops OPTIONS    of e3-infer, for loops (default "$loops")
		  --align OPTIONS    of e3-align, beside --final
		  --infer OPTIONS    more options for e3-infer, as in '--device cuda'
		  --model FILE       weights (default: the bundled demo model)
		  --scene OPTIONS    more options for e3-scene, as in '--frames 30': another study, give another --out
		  --less POLICY      the policy that others are compared with, same cache and mode (default $less)
		  --base POLICY      the policy whose figure in one piece is 1 (default $base)
		  --plot BUDGET      the budget that is drawn (default $plot)
		  --keep N           scenes of each kind whose paths are kept for drawing (default $keep)
		  --show             print and draw existing runs, run nothing
	EOF
}
die() {
	echo "long.sh: $1" >&2
	exit "${2:-1}"
}

# --- one scene: all its runs ---

# predict OPTION...: $temp/scene.e3 to $temp/run.e3
predict() {
	local command=(e3-infer -q --model "$E3_STUDY_MODEL" --threads 1 --outputs "pose,depth")
	# shellcheck disable=SC2206 # a list of options
	command+=(${E3_STUDY_INFER:-} "$@" "$temp/scene.e3")
	if [ "$mode" = loops ]; then
		# shellcheck disable=SC2086
		"${command[@]}" | e3-align -q --final ${E3_STUDY_ALIGN:-} - -o "$temp/run.e3"
	else
		"${command[@]}" -o "$temp/run.e3"
	fi
}

# run KIND SEED POLICY BUDGET MODE DRAW: one run, to its file.
run() {
	local kind=$1 seed=$2 policy=$3 budget=$4 mode=$5 draw=$6 to options=() eval walk
	to=$E3_STUDY_OUT/runs/$kind-$seed/$mode.$policy.$budget.$draw
	[ ! -e "$to.json" ] || return 0
	if [ "$policy" = none ]; then options=(--no-evict); else options=(--policy "$policy" --budget "$budget"); fi
	[ "$draw" = 0 ] || options+=(--seed "$draw")
	# shellcheck disable=SC2206
	case $mode in
	segments) options+=($E3_STUDY_SEGMENT) ;;
	loops) options+=($E3_STUDY_SEGMENT $E3_STUDY_LOOPS) ;;
	esac
	predict "${options[@]}" || return 1
	eval=$(e3-eval --json --align median "$temp/run.e3") || return 1
	walk=$("$B/study/walk" --path "$temp/path" "$temp/run.e3") || return 1
	if [ "$seed" -lt "$E3_STUDY_KEEP" ]; then
		mkdir -p "$E3_STUDY_OUT/paths/$kind-$seed"
		cp "$temp/path" "$E3_STUDY_OUT/paths/$kind-$seed/$mode.$policy.$budget.$draw.txt"
	fi
	printf '{"kind":"%s","seed":%d,"policy":"%s","budget":"%s","mode":"%s","draw":%d,"jobs":%d,"eval":%s,"walk":%s}\n' \
		"$kind" "$seed" "$policy" "$budget" "$mode" "$draw" "$E3_STUDY_JOBS" "$eval" "$walk" >"$to.part"
	mv "$to.part" "$to.json"
}

if [ "${1:-}" = --piece ]; then
	read -r kind seed options <<<"$2"
	temp=$(mktemp -d)
	trap 'rm -rf "$temp"' EXIT
	trap 'exit 143' TERM HUP
	trap 'exit 130' INT
	mkdir -p "$E3_STUDY_OUT/runs/$kind-$seed"
	# shellcheck disable=SC2086
	e3-scene -q --threads 1 --seed "$seed" $options -o "$temp/scene.e3"
	while read -r policy budget mode draw; do
		[ -z "$E3_STUDY_UNTIL" ] || [ "$(date +%s)" -lt "$E3_STUDY_UNTIL" ] || exit 75
		run "$kind" "$seed" "$policy" "$budget" "$mode" "$draw" || die "$kind $seed: $mode $policy $budget failed"
	done <"$E3_STUDY_OUT/plan"
	echo "long.sh: $kind $seed: done" >&2
	exit
fi

# --- the study ---

while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage && exit ;;
	--show) show=1 && shift && continue ;;
	--out | --jobs | --minutes | --seeds | --first-seed | --kinds | --policies | --budgets | --modes | --draws | --segment | --loops | --align | \
		--infer | --model | --scene | --less | --base | --plot | --keep) [ $# -ge 2 ] || die "$1 needs a value" 2 ;;
	*) die "what is '$1'? --help lists the options" 2 ;;
	esac
	case $1 in
	--first-seed) first_seed=$2 ;;
	--scene) more_scene=$2 ;;
	*) declare "${1#--}=$2" ;;
	esac
	shift 2
done
for n in "$jobs" "$seeds" "$first_seed" "$draws" "$keep" ${minutes:+"$minutes"}; do
	[[ $n =~ ^(0|[1-9][0-9]{0,8})$ ]] || die "'$n' is not a whole number" 2
done
for n in "$jobs" "$seeds" "$draws"; do [ "$n" -ge 1 ] || die "--jobs, --seeds and --draws are at least 1" 2; done
for kind in $kinds; do [ -n "${scene[$kind]+known}" ] || die "no kind '$kind': ${all_kinds// /, }" 2; done
for policy in $policies; do
	[[ " $known none " == *" $policy "* ]] || die "no policy '$policy': ${known// /, }, none" 2
done
for policy in $less $base; do [[ " $known " == *" $policy "* ]] || die "no policy '$policy': ${known// /, }" 2; done
for mode in $modes; do [[ " $all_modes " == *" $mode "* ]] || die "no mode '$mode': ${all_modes// /, }" 2; done
for budget in $budgets $plot; do [[ $budget =~ ^[1-9][0-9]{0,5}f$ ]] || die "'$budget' is not a budget in frames, as in 8f" 2; done
for tool in e3-scene e3-infer e3-eval; do
	command -v $tool >/dev/null || die "$tool is not there: run make first, or say where it is with B=DIR"
done
[[ $modes != *loops* || -n $show ]] || command -v e3-align >/dev/null || die "e3-align is not there: run make first, or leave out the mode loops"
for program in walk long above; do [ -x "$B/study/$program" ] || die "$B/study/$program is not there: run make study"; done

# What decides about a figure, except what a run's own file says.
identity() {
	local kind
	for kind in $all_kinds; do echo "$kind: ${scene[$kind]} $more_scene"; done
	echo "infer: $infer"
	if [ -f "$model" ]; then echo "model: ${model##*/}, $(cksum <"$model")"; else echo "model: $model"; fi
	echo "segments: $segment; loops: $loops; align: $align"
}
mkdir -p "$out/runs"
if [ -e "$out/identity" ]; then
	[ "$(identity)" = "$(<"$out/identity")" ] || [ -n "$show" ] || die "$out holds runs with other options: give another --out, or remove it"
else
	[ -z "$show" ] || die "there is nothing in $out"
	identity >"$out/identity"
fi

# fixed POLICY: the cache of a policy that keeps so many frames and takes no other budget.
fixed() { [[ ! $1 =~ ^k([0-9]+)$ ]] || echo "${BASH_REMATCH[1]}f"; }

# budgets_of POLICY: those it runs with. What the others are compared with has theirs too.
budgets_of() {
	local all=$budgets policy
	case $1 in
	none) echo all && return ;;
	k[0-9]*) fixed "$1" && return ;;
	"$less" | "$base") for policy in $policies; do all+=" $(fixed "$policy")"; done ;;
	esac
	# shellcheck disable=SC2086 # a list
	printf '%s\n' $all | sort -nu
}

# The runs of a scene, one a line; those that are drawn first, so that a study that is stopped early has them.
plan() {
	settings | awk -v first="$plot" '$2 == first || $2 == "all" { print; next } { rest = rest $0 "\n" } END { printf "%s", rest }'
}
settings() {
	local mode policy budget draw
	for mode in $modes; do
		for policy in $policies; do
			for budget in $(budgets_of "$policy"); do
				if [ "$policy" = random ]; then
					for ((draw = 1; draw <= draws; draw++)); do echo "random $budget $mode $draw"; done
				else
					echo "$policy $budget $mode 0"
				fi
			done
		done
	done
}

missing() { # KIND SEED: whether it lacks a run
	local policy budget mode draw
	while read -r policy budget mode draw; do
		[ -e "$out/runs/$1-$2/$mode.$policy.$budget.$draw.json" ] || return 0
	done <"$out/plan"
	return 1
}

# All pieces, $jobs at a time. A piece that fails does not stop the others. Each is a process group, so that a signal ends its tools too.
work() {
	local piece pid pids=() running=0 status failed=0 stopped='' late=''
	trap 'stopped=${stopped:-$EPOCHSECONDS}; for pid in "${pids[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done' INT TERM HUP
	for piece in "$@"; do
		while [ "$running" -ge "$jobs" ]; do
			status=0
			wait -n || status=$?
			running=$((running - 1))
			case $status in 0) ;; 75) late=1 ;; *) failed=$((failed + 1)) ;; esac
		done
		[ -z "$stopped$late" ] || break
		set -m
		bash "$self" --piece "$piece" </dev/null &
		set +m
		pids+=($!) running=$((running + 1))
	done
	while [ "$running" -gt 0 ]; do
		status=0
		wait -n || status=$?
		running=$((running - 1))
		case $status in 0) ;; 75) late=1 ;; *) failed=$((failed + 1)) ;; esac
	done
	if [ -n "$stopped" ]; then # their tools too; what does not end is killed
		for pid in "${pids[@]}"; do
			while kill -0 -- "-$pid" 2>/dev/null; do
				[ $((EPOCHSECONDS - stopped)) -lt 10 ] || kill -KILL -- "-$pid" 2>/dev/null || true
				sleep 0.05
			done
		done
	fi
	trap - INT TERM HUP
	[ -z "$stopped" ] || die "stopped: results so far are kept in $out, the same command continues" 130
	[ -z "$late" ] || echo "long.sh: the time is over: the same command continues" >&2
	[ "$failed" -eq 0 ] || echo "long.sh: $failed scenes failed: the same command tries them again" >&2
	[ "$failed" -eq 0 ]
}

rc=0
if [ -z "$show" ]; then
	plan >"$out/plan"
	pieces=()
	for ((s = first_seed; s < first_seed + seeds; s++)); do
		for kind in $kinds; do
			! missing "$kind" "$s" || pieces+=("$kind $s ${scene[$kind]} $more_scene")
		done
	done
	echo "long.sh: ${#pieces[@]} scenes, $(wc -l <"$out/plan") runs each, $jobs at a time" >&2
	export B E3_STUDY_OUT=$out E3_STUDY_MODEL=$model E3_STUDY_INFER=$infer E3_STUDY_SEGMENT=$segment E3_STUDY_LOOPS=$loops E3_STUDY_ALIGN=$align
	export E3_STUDY_JOBS=$jobs E3_STUDY_KEEP=$((first_seed + keep)) E3_STUDY_UNTIL=${minutes:+$(($(date +%s) + 60 * minutes))}
	[ ${#pieces[@]} -eq 0 ] || work "${pieces[@]}" || rc=1
fi

# The table, in the order of modes and policies; then the pictures.
shopt -s nullglob
for kind in $all_kinds; do
	for mode in $all_modes; do
		for policy in $known none; do
			files=("$out/runs/$kind"-*/"$mode.$policy."*.json)
			[ ${#files[@]} -eq 0 ] || cat "${files[@]}"
		done
	done
done >"$out/long.jsonl.part"
mv "$out/long.jsonl.part" "$out/long.jsonl"
[ -s "$out/long.jsonl" ] || die "there is no run in $out"
"$B/study/long" --less "$less" --base "$base" --plot "$plot" --png "$out" "$out/long.jsonl" | tee "$out/table.txt"
for folder in "$out"/paths/*/; do
	files=()
	for mode in $all_modes; do
		for file in "$folder$mode.$base.$plot.0.txt" "$folder$mode.$base.$plot.1.txt"; do [ ! -e "$file" ] || files+=("$mode=$file"); done
	done
	name=${folder%/} name=${name##*/}
	[ ${#files[@]} -eq 0 ] || "$B/study/above" --title "$name, $base, $plot" -o "$out/above-$name.png" "${files[@]}"
done
exit $rc

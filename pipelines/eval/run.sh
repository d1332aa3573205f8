#!/bin/bash
# Reproduces the published tables on your copy of the data: run.sh [options] TABLE... (all: every table). Results are kept in the output
# folder, one file for each sequence; the same command continues a run that was stopped. Prints our figures beside the published ones.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
self=$here/${0##*/}
PATH=${B:-$here/../../build}/bin:$PATH
# shellcheck source=pipelines/group.sh
. "$here/../group.sh"

usage() {
	cat <<-EOF
		Usage: run.sh [options] TABLE...
		Tables: $(awk '!/^#/ && NF { if (!seen[$1]++) printf "%s ", $1 }' "$here/tables")all
		  --data DIR        contains the data sets, each in its usual folder (default \$E3_DATA)
		  --root SET=DIR    folder of one data set; may be repeated
		  --annotations DIR folder of CO3D's .jgz files (default: that of its pictures)
		  --model FILE      weights, as e3-infer takes them (default: what it finds)
		  --out DIR         folder for the results (default out/eval)
		  --jobs N          sequences at the same time, which share the processors (default 1)
		  --sets LIST       only these data sets, with commas
		  --rows PATTERN    only these rows, as the shell matches them
		  --own             e3's defaults instead of --compat evict3r, which imitates the papers' code
		  --revisit N       every sequence N times, scoring the last pass: the papers' --revisit
		  --infer OPTIONS   more options for e3-infer, as in '--device cuda'
		  --decode OPTIONS  more options for e3-decode, as in '--max-frames 3': figures are no longer comparable
		  --show            print the tables of existing results, measure nothing
		  --json            print them as one JSON object
		Exit status: 0 every row has all its sequences; 1 some are missing, and named; 2 usage error; 130 stopped: the same command continues.
	EOF
}
die() {
	echo "run.sh: $1" >&2
	exit "${2:-1}"
}

# --- one piece of work: a sequence (CO3D: a category) through the network; its figures to $out/runs/FOLDER/NAME.json ---

# stage COMMAND...: reports a stage that was killed, which cannot report itself.
stage() {
	local status=0
	"$@" || status=$?
	case $status in
	0 | 1 | 2 | 130 | 141 | 143) ;;
	*) echo "run.sh: $1 was ended by signal $((status - 128))$([ $status -ne 137 ] || echo ': is there memory enough?')" >&2 ;;
	esac
	return $status
}

# frames FRAMES: which of a sequence, as options of e3-decode into the array more. - | [whole:]EVERY[:MOST]
frames() {
	local every=$1
	[ "$every" != - ] || return 0
	[[ $every != whole:* ]] || more+=(--whole)
	every=${every#whole:}
	more+=(--stride "${every%%:*}")
	[[ $every != *:* ]] || more+=(--max-frames "${every#*:}")
}

# stream SET DIR TASK FRAMES NAME [-o ENDPOINT]
stream() {
	local more=()
	frames "$4"
	[ -z "${E3_EVAL_REVISIT:-}" ] || more+=(--repeat "$E3_EVAL_REVISIT")
	[ "$3" != pairs ] || [ -z "${E3_EVAL_ANNOTATIONS:-}" ] || more+=(--annotations "$E3_EVAL_ANNOTATIONS")
	# shellcheck disable=SC2086 # lists of options
	stage e3-decode -q --dataset "$1" --root "$2" --task "$3" --sequence "$5" "${more[@]}" "${@:6}" ${E3_EVAL_DECODE:-}
}

infer() { # TASK INFER
	local outputs=depth keep=${2#own,} like=${E3_EVAL_COMPAT:-} more=()
	case $1 in
	pose | pairs) outputs=pose ;;
	recon) outputs=pose,points ;;
	esac
	case ,$2, in
	,own,*) like= ;;
	*,k[0-9],*) [ -z "$like" ] || like="--compat camera" ;; # without masses there is nothing else to imitate
	esac
	[ -z "${E3_EVAL_THREADS:-}" ] || more=(--threads "$E3_EVAL_THREADS")
	# shellcheck disable=SC2086
	stage e3-infer -q --outputs $outputs --model "$E3_EVAL_MODEL" "${more[@]}" ${keep//,/ } $like ${E3_EVAL_INFER:-} |
		if [[ ,$keep, == *,--loops,* ]]; then stage e3-align -q --final -; else cat; fi
}

measure() { # TASK SET FILE...
	stage e3-eval "$1" --dataset "$2" --json "${@:3}"
}

category() { # SET DIR TASK FRAMES INFER NAME TEMP: pooled over its sequences
	local f
	mkdir -p "$7/$6" # e3-eval calls a category after its folder
	stream "$1" "$2" "$3" "$4" "$6/*" -o "$7/%s.e3" || return 1
	for f in "$7"/*.e3; do
		infer "$3" "$5" <"$f" >"$7/$6/${f##*/}" || return 1
		rm "$f"
	done
	measure "$3" "$1" --by-folder "$7/$6"/*.e3
}

# The message that explains a failed piece: that of a killed stage, or the last one.
reason() { grep -m 1 'was ended by signal' "$1" || tail -n 1 "$1"; }

if [ "${1:-}" = --piece ]; then
	IFS='|' read -r folder set dir task frames infer name <<<"$2"
	to=$folder/${name//\//_}
	trap 'rm -rf "$to.part" "$to.said.part" "$to.temp.part"' EXIT
	trap 'exit 143' TERM HUP
	trap 'exit 130' INT
	echo "run.sh: ${folder##*/runs/}: $name" >&2
	if {
		if [ "$task" = pairs ]; then
			category "$set" "$dir" "$task" "$frames" "$infer" "$name" "$to.temp.part"
		else
			stream "$set" "$dir" "$task" "$frames" "$name" | infer "$task" "$infer" | measure "$task" "$set" -
		fi
	} >"$to.part" 2>"$to.said.part"; then
		mv "$to.part" "$to.json"
		rm -f "$to.err"
		sed "s|^|run.sh: ${folder##*/runs/}: $name: |" "$to.said.part" >&2 # warnings
	else
		mv "$to.said.part" "$to.err"
		echo "run.sh: ${folder##*/runs/}: $name failed: $(reason "$to.err")" >&2
	fi
	exit 0
fi

# --- all of it ---

data=${E3_DATA:-} annotations='' model='' out=out/eval jobs=1 sets='' rows='*' show='' json='' compat='--compat evict3r' infer='' decode=''
revisit='' tables=()
declare -A root=()
while [ $# -gt 0 ]; do
	case $1 in
	--data | --annotations | --model | --out | --jobs | --sets | --rows | --infer | --decode | --revisit)
		[ $# -gt 1 ] || die "$1 needs an argument" 2
		declare "${1#--}=$2"
		shift
		;;
	--root)
		[[ ${2:-} == *=* ]] || die "--root needs SET=DIR" 2
		root[${2%%=*}]=${2#*=}
		shift
		;;
	--own) compat='' ;;
	--show) show=1 ;;
	--json) json=--json ;;
	-h | --help) usage && exit 0 ;;
	-*) die "unknown option $1; try --help" 2 ;;
	all) mapfile -t tables < <(awk '!/^#/ && NF { if (!seen[$1]++) print $1 }' "$here/tables") ;;
	*)
		grep -q "^$1 " "$here/tables" || die "no table $1; try --help" 2
		tables+=("$1")
		;;
	esac
	shift
done
[ ${#tables[@]} -gt 0 ] || { usage >&2 && exit 2; }
[[ $jobs =~ ^[1-9][0-9]{0,3}$ ]] || die "--jobs $jobs: expected a number from 1" 2
[[ $revisit =~ ^([1-9][0-9]{0,2})?$ ]] || die "--revisit $revisit: expected a number from 1" 2
[[ $out$data${root[*]} != *[\|$'\n']* ]] || die "paths with a | or a line break are not possible here" 2
command -v python3 >/dev/null || die "printing the tables needs python3"
for tool in e3-decode e3-infer e3-eval; do command -v $tool >/dev/null || die "$tool is not built: make"; done

# The weights: those e3-infer would take (see its manual).
find_model() {
	local f LC_ALL=C
	for f in "${HOME:-/nowhere}"/.cache/e3/* "$here/../demo/model.safetensors"; do
		case $f in *.pt | *.pth | *.safetensors) [ ! -f "$f" ] || echo "$f" ;; esac
	done | head -n 1
}
if [ -z "$show" ]; then
	[ -n "$model" ] || model=${E3_MODEL:-$(find_model)}
	[ -n "$model" ] || die "no weights: give --model"
	[ ! "$model" -ef "$here/../demo/model.safetensors" ] || echo "run.sh: the demo model knows only rendered rooms: the figures say nothing about the papers'" >&2
	# Old pieces of work are removed everywhere in the folder for the results.
	for dir in "$data" "$annotations" "${root[@]}"; do
		[[ -z $dir || $(realpath -m -- "$dir")/ != "$(realpath -m -- "$out")"/* ]] || die "--out $out: $dir, which is read, lies in it: give a folder of its own" 2
	done
	mkdir -p "$out"
	exec 9>"$out/lock" # held by all processes started from here, so that no running piece is removed
	flock -n 9 || die "another run.sh is running in $out"
	find "$out" -name '*.part' -prune -exec rm -rf {} + # of a run that was killed
fi

# What the figures depend on: it must be the same for all results in a folder.
identity() {
	if [ -f "$model" ]; then
		echo "model: ${model##*/}, $(stat -Lc %s "$model") bytes, sha256 $(sha256sum <"$model" | cut -c1-16)"
	else
		echo "model: $model"
	fi
	echo "e3-infer: the row's options${compat:+ $compat}${infer:+ $infer}"
	echo "e3-decode: ${decode:-as the papers}${revisit:+, each sequence $revisit times, scored the last time}"
}
if [ -z "$show" ]; then
	identity >"$out/identity.new"
	if [ -e "$out/identity" ] && ! diff "$out/identity" "$out/identity.new" >&2; then
		rm "$out/identity.new"
		die "$out contains results with other weights or options (<): give another --out, or remove it"
	fi
	mv "$out/identity.new" "$out/identity"
fi

# What the figures should not depend on: version and machine, for the record.
machine() {
	local build
	build=$(git -C "$here" describe --always --dirty --exclude '*' 2>/dev/null || true)
	echo "$(e3-infer --version)${build:+ ($build)} on $(uname -n): $(nproc) x$(sed -n 's/^model name[^:]*:/ /p' /proc/cpuinfo | head -1 | tr -s ' ')$(
		nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | sed 's/^/, /' | tr -d '\n' || true)"
}

place() { echo "${root[$1]:-$data}"; }
folder_of() { # SET TASK FRAMES INFER
	local frames='' kept=${4#own,} own=
	[ "$3" = - ] || frames=-every-${3//:/-}
	[ "$kept" = "$4" ] || own=own-
	kept=${kept#--}
	kept=${kept//,--/-}
	echo "$out/runs/${1//\//-}-$2$frames/$own${kept//,/}"
}

declare -A why=() # by SET-TASK[-whole]: why there is nothing to measure; empty: there is something

look() { # SET TASK DIR WHOLE: lists the sequences into $out/SET-TASK[-whole].list
	local key=$1-$2${4:+-whole} err more=()
	err=$out/$key.part
	why[$key]=
	if [ -z "$3" ]; then
		why[$key]="no folder given: --data, or --root $1=DIR"
		return
	fi
	[ "$2" != pairs ] || [ -z "$annotations" ] || more+=(--annotations "$annotations")
	[ -z "$4" ] || more+=(--whole)
	# shellcheck disable=SC2086 # a list of options
	e3-decode --dataset "$1" --root "$3" --task "$2" --list "${more[@]}" $decode >"$out/$key.list" 2>"$err" || why[$key]=$(tail -1 "$err")
	rm -f "$err"
}
# The one sequence that a row names, as if it were all that is published.
only() {
	awk -F'\t' -v OFS='\t' -v name="$1" '
		$1 == name { $6 = "yes"; print; found = 1 }
		END { if (!found) print name, 0, 0, 0, 0, "yes", "not found" }'
}
published() { awk -F'\t' '$6 == "yes" && $7 == "-" { print $1 }'; }
categories() { published | sed 's|/.*||' | sort -u; }

# Writes the requested rows into $chosen, and the missing pieces of work into $todo.
plan() {
	local table row sequences set task frames keep figures folder dir name names whole key
	while read -r table row sequences task frames keep figures; do
		[[ $table != \#* && -n $table && " ${tables[*]} " == *" $table "* ]] || continue
		set=${sequences%%/*}
		# shellcheck disable=SC2053 # a pattern
		[[ $row == $rows && (-z $sets || ,$sets, == *,$set,*) ]] || continue
		folder=$(folder_of "$sequences" "$task" "$frames" "$keep")
		echo "$table|$row|$sequences|$task|$frames|$keep|$folder|$figures" >>"$chosen"
		[ -z "$show" ] || continue
		mkdir -p "$folder"
		dir=$(place "$set")
		whole=
		[[ $frames != whole:* ]] || whole=yes
		key=$set-$task${whole:+-whole}
		[ -n "${why[$key]+known}" ] || look "$set" "$task" "$dir" "$whole"
		rm -f "$folder/none"
		if [ -n "${why[$key]}" ]; then
			echo "${why[$key]}" >"$folder/none"
			continue
		fi
		if [ "$sequences" = "$set" ]; then cp "$out/$key.list" "$folder/list"; else only "${sequences#*/}" <"$out/$key.list" >"$folder/list"; fi
		names=published
		[ "$task" != pairs ] || names=categories # a category's pairs are pooled
		"$names" <"$folder/list" |
			while read -r name; do
				[ -e "$folder/${name//\//_}.json" ] || echo "$folder|$set|$dir|$task|$frames|$keep|$name"
			done >>"$todo"
	done <"$here/tables"
}

work() {
	local status=0
	sort -u "$todo" | tr '\n' '\0' >"$todo.0"
	echo "run.sh: $(tr -dc '\0' <"$todo.0" | wc -c) pieces of work, $jobs at a time" >&2
	machine >"$out/machine.part"
	grep -qxFf "$out/machine.part" "$out/machines" 2>/dev/null || cat "$out/machine.part" >>"$out/machines"
	rm "$out/machine.part"
	export E3_EVAL_ANNOTATIONS=$annotations E3_EVAL_MODEL=$model E3_EVAL_COMPAT=$compat E3_EVAL_INFER=$infer E3_EVAL_DECODE=$decode
	export E3_EVAL_REVISIT=$revisit E3_EVAL_THREADS=
	[[ $jobs -eq 1 || " $infer " == *" --threads "* ]] || E3_EVAL_THREADS=$(($(nproc) / jobs > 0 ? $(nproc) / jobs : 1))
	in_group xargs -0 -n 1 -P "$jobs" -a "$todo.0" bash "$self" --piece </dev/null || status=$?
	[ $status -ne 130 ] || die "stopped: results so far are kept in $out, the same command continues" 130
}

temp=$(mktemp -d)
todo=$temp/todo chosen=$temp/chosen
trap 'rm -rf "$temp"' EXIT
: >"$todo"
plan
[ -e "$chosen" ] || die "no row of ${tables[*]} matches --sets and --rows" 2
[ ! -s "$todo" ] || work
python3 "$here/print_tables.py" $json "$out" "$chosen"

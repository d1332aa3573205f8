#!/bin/bash
# The published tables on your copy of the data: run.sh [options] TABLE... (all: every one). What was measured is kept in the output
# folder, sequence by sequence; a run that was stopped goes on where it was. Prints our figures beside the published ones.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
self=$here/${0##*/}
PATH=${B:-$here/../../build}/bin:$PATH

usage() {
	cat <<-EOF
		Usage: run.sh [options] TABLE...
		Tables: $(awk '!/^#/ && NF { if (!seen[$1]++) printf "%s ", $1 }' "$here/tables")all
		  --data DIR        holds the data sets, each in its usual folder (default \$E3_DATA)
		  --root SET=DIR    where one of them lies instead; may be repeated
		  --annotations DIR where CO3D's .jgz files lie (default: with its pictures)
		  --model FILE      weights, as e3-infer takes them (default: what it finds)
		  --out DIR         where results are kept (default out/eval)
		  --jobs N          sequences at a time (default 1)
		  --sets LIST       only these data sets, with commas
		  --rows PATTERN    only these rows, as the shell matches them
		  --own             as e3 does it by default; without it, --compat evict3r: as the papers' code does it
		  --infer OPTIONS   more options for e3-infer, as in '--device cuda'
		  --decode OPTIONS  more options for e3-decode, as in '--max-frames 3': figures are no longer comparable
		  --show            print the tables of what is there, measure nothing
	EOF
}
die() {
	echo "run.sh: $1" >&2
	exit "${2:-1}"
}

# --- one piece of work: a sequence (CO3D: a category) through the network; its figures to $out/FOLDER/NAME.json ---

# stream SET DIR TASK STRIDE NAME [-o ENDPOINT]
stream() {
	local more=()
	[ "$4" = - ] || more+=(--stride "$4")
	[ "$1" != co3d ] || [ -z "${E3_EVAL_ANNOTATIONS:-}" ] || more+=(--annotations "$E3_EVAL_ANNOTATIONS")
	# shellcheck disable=SC2086 # lists of options
	e3-decode --dataset "$1" --root "$2" --task "$3" --sequence "$5" "${more[@]}" "${@:6}" ${E3_EVAL_DECODE:-}
}

infer() { # TASK INFER
	local outputs=depth
	case $1 in
	pose | pairs) outputs=pose ;;
	recon) outputs=pose,points ;;
	esac
	# shellcheck disable=SC2086
	e3-infer -q --outputs $outputs ${E3_EVAL_MODEL:+--model "$E3_EVAL_MODEL"} ${2//,/ } ${E3_EVAL_COMPAT:-} ${E3_EVAL_INFER:-}
}

measure() { # TASK SET FILE...
	local dataset=(--dataset "$2")
	[ "$1" != recon ] || dataset=()
	e3-eval "$1" "${dataset[@]}" --json "${@:3}"
}

category() { # SET DIR TASK STRIDE INFER NAME: pooled over its sequences
	local f
	temp=$(mktemp -d)
	mkdir "$temp/$6" # e3-eval calls a category after its folder
	stream "$1" "$2" "$3" "$4" "$6/*" -o "$temp/%s.e3" || return 1
	for f in "$temp"/*.e3; do
		infer "$3" "$5" <"$f" >"$temp/$6/${f##*/}" || return 1
		rm "$f"
	done
	measure "$3" "$1" --by-folder "$temp/$6"/*.e3
}

if [ "${1:-}" = --piece ]; then
	IFS='|' read -r folder set dir task stride infer name <<<"$2"
	to=$folder/${name//\//_}
	trap 'rm -f "$to.part.$$"; [ -z "${temp:-}" ] || rm -rf "$temp"' EXIT
	echo "run.sh: ${folder##*/runs/}: $name" >&2
	if {
		if [ "$set" = co3d ]; then
			category "$set" "$dir" "$task" "$stride" "$infer" "$name"
		else
			stream "$set" "$dir" "$task" "$stride" "$name" | infer "$task" "$infer" | measure "$task" "$set" -
		fi
	} >"$to.part.$$" 2>"$to.err"; then
		mv "$to.part.$$" "$to.json"
		rm -f "$to.err"
	else
		echo "run.sh: ${folder##*/runs/}: $name failed: $(tail -1 "$to.err")" >&2
	fi
	exit 0
fi

# --- all of it ---

data=${E3_DATA:-} annotations='' model='' out=out/eval jobs=1 sets='' rows='*' show='' compat='--compat evict3r' infer='' decode='' tables=()
declare -A root=()
while [ $# -gt 0 ]; do
	case $1 in
	--data | --annotations | --model | --out | --jobs | --sets | --rows | --infer | --decode)
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
command -v python3 >/dev/null || die "printing the tables needs python3"
for tool in e3-decode e3-infer e3-eval; do command -v $tool >/dev/null || die "$tool is not built: make"; done
mkdir -p "$out"

# The weights, and what else the figures depend on: one folder of results holds one kind.
identity() {
	local what=${model:-${E3_MODEL:-}}
	if [ -f "$what" ]; then
		echo "model: ${what##*/}, $(stat -Lc %s "$what") bytes, sha256 $(sha256sum <"$what" | cut -c1-16)"
	else
		echo "model: ${what:-the default of e3-infer}"
	fi
	echo "e3-infer: the row's options${compat:+ $compat}${infer:+ $infer}"
	echo "e3-decode: ${decode:-as the papers}"
}
if [ -z "$show" ]; then
	identity >"$out/identity.new"
	if [ -e "$out/identity" ] && ! diff "$out/identity" "$out/identity.new" >&2; then
		rm "$out/identity.new"
		die "$out holds results of another kind (<): give another --out, or remove it"
	fi
	mv "$out/identity.new" "$out/identity"
fi

place() { echo "${root[$1]:-$data}"; }
folder_of() { # SET TASK STRIDE INFER
	local stride='' kept=${4#--}
	[ "$3" = - ] || stride=-every-$3
	kept=${kept//,--/-}
	echo "$out/runs/$1-$2$stride/${kept//,/}"
}

work=$out/work.$$
trap 'rm -f "$work"' EXIT
: >"$work"
has_recon=$(e3-eval --help | grep -c '\brecon\b' || true)
declare -A why=() # there is nothing to measure, by SET-TASK; empty: there is

look() { # SET TASK DIR: what is there, into $out/SET-TASK.list
	local err=$out/$1-$2.err
	why[$1-$2]=
	if [ -z "$3" ]; then
		why[$1-$2]="no folder given: --data, or --root $1=DIR"
	elif [ "$2" = recon ] && [ "$has_recon" -eq 0 ]; then
		why[$1-$2]="this e3-eval has no recon"
	else
		local more=()
		[ "$1" != co3d ] || [ -z "$annotations" ] || more+=(--annotations "$annotations")
		# shellcheck disable=SC2086 # a list of options
		e3-decode --dataset "$1" --root "$3" --task "$2" --list "${more[@]}" $decode >"$out/$1-$2.list" 2>"$err" || why[$1-$2]=$(tail -1 "$err")
		rm -f "$err"
	fi
}
published() { awk -F'\t' '$6 == "yes" && $7 == "-" { print $1 }'; }
categories() { published | sed 's|/.*||' | sort -u; }

while read -r table row set task stride keep figures; do
	[[ $table != \#* && -n $table && " ${tables[*]} " == *" $table "* ]] || continue
	# shellcheck disable=SC2053 # a pattern
	[[ $row == $rows && (-z $sets || ,$sets, == *,$set,*) ]] || continue
	folder=$(folder_of "$set" "$task" "$stride" "$keep")
	echo "$table|$row|$set|$task|$stride|$keep|$folder|$figures" >>"$work.rows"
	[ -z "$show" ] || continue
	mkdir -p "$folder"
	dir=$(place "$set")
	[ -n "${why[$set-$task]+known}" ] || look "$set" "$task" "$dir"
	rm -f "$folder/none"
	if [ -n "${why[$set-$task]}" ]; then
		echo "${why[$set-$task]}" >"$folder/none"
		continue
	fi
	cp "$out/$set-$task.list" "$folder/list"
	whole=published
	[ "$set" != co3d ] || whole=categories
	"$whole" <"$folder/list" |
		while read -r name; do
			[ -e "$folder/${name//\//_}.json" ] || echo "$folder|$set|$dir|$task|$stride|$keep|$name"
		done >>"$work"
done <"$here/tables"
trap 'rm -f "$work" "$work.rows"' EXIT

if [ -s "$work" ]; then
	sort -u "$work" -o "$work"
	echo "run.sh: $(wc -l <"$work") pieces of work, $jobs at a time" >&2
	export E3_EVAL_ANNOTATIONS=$annotations E3_EVAL_MODEL=$model E3_EVAL_COMPAT=$compat E3_EVAL_INFER=$infer E3_EVAL_DECODE=$decode
	tr '\n' '\0' <"$work" | xargs -0 -n 1 -P "$jobs" bash "$self" --piece
fi
[ -e "$work.rows" ] || die "no row of ${tables[*]} matches --sets and --rows" 2
python3 "$here/print_tables.py" "$out" "$work.rows"

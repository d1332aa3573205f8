#!/bin/bash
# e3-clips: processes many clips, each on its own GPU or cores: with GNU parallel on this machine, or as a Slurm array on a cluster.
# Prints a line of JSON for each clip; skips clips that are done. See e3-clips(1).
#
# OUT/NAME holds the results of a clip, with clip.json (its record), the logs of the stages, .lock (held while the clip is processed)
# and .done (inputs and results: a clip without .done, or whose inputs differ from it, is processed again). OUT/.clips holds the
# submissions.
set -u -o pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/${0##*/}
[ ! -x "$here/e3-decode" ] || PATH=$here:$PATH

# A shell that starts a command with & lets it ignore SIGINT, and bash cannot undo that; the other tools heed it then too.
while read -r key value; do
	[ "$key" != SigIgn: ] || ignored=$value
done 2>/dev/null <"/proc/$$/status"
! ((0x${ignored:-0} & 2)) || [ -n "${E3_CLIPS_AGAIN:-}" ] || E3_CLIPS_AGAIN=1 exec env --default-signal=INT bash "$self" "$@"
unset E3_CLIPS_AGAIN

usage() {
	cat <<-'EOF'
		Usage: e3-clips run|submit [options] OUT [CLIP...]
		       e3-clips status OUT
		Runs the pipeline on many clips, each on its own GPU or cores; the results of a clip go to OUT/NAME.

		Commands
		  run                       process clips here with GNU parallel; print a line of JSON for each
		  submit                    process them on a cluster, as a Slurm array
		  status                    print a line of JSON for each clip; exit 1 unless all are done

		Which clips
		      --list FILE           add the paths in FILE, one on each line
		      --tree                name folders after the whole path of a clip, not its last part
		      --again               process clips again that are done

		Options of the stages ({} is the clip's folder)
		      --decode OPTIONS      of e3-decode
		      --infer OPTIONS       of e3-infer (default: --budget 10f), with --model unless $E3_MODEL is set
		      --demo-model          use the bundled model, which knows only rendered rooms
		      --export OPTIONS      of e3-export (default: --glb {}/model.glb --tum {}/trajectory.txt)

		Parallelism
		      --gpus N              N clips at a time, each on its own GPU
		      --jobs N              N clips at a time (default: from --gpus and --cores, else 1)
		      --streams N           N clips at a time with one copy of the network, on each GPU or here
		      --cores N             N cores for each clip (default: all, divided by --jobs)

		Slurm
		      --sbatch OPTIONS      of sbatch, as in '--gres=gpu:1 --time=2:00:00'
		      --limit N             at most N clips of the array at a time
		      --wait                wait for the array, then print status

		Everywhere
		  -q, --quiet               errors only
		  -h, --help                print this and exit
		      --version             print the version and exit
	EOF
}
# For programs, as the other tools list them: name, letter, argument, what it is, its words, help.
list_options() {
	usage | sed -nE 's/^  (-(.), |    )--([a-z-]+)( ([A-Z]+))? +(.*)/\3\t\2\t\5\t\t-\t\6/p' |
		awk -F '\t' -v OFS='\t' '{ $4 = $3 == "" ? "flag" : $3 == "FILE" ? "reads" : "value"; for (k = 2; k < 4; k++) if ($k == "") $k = "-"; print }'
}
say() { [ -n "${quiet:-}" ] || warn "$@"; }
warn() { echo "e3-clips: $*" >&2; }
die() { # STATUS MESSAGE
	echo "e3-clips: $2" >&2
	[ "$1" -ne 2 ] || echo "Try 'e3-clips --help'." >&2
	exit "$1"
}

# shellcheck source=pipelines/clips/clip.sh
. "$here/clip.sh"

# --- many ---

name_of() { # CLIP
	local n=${1%/}
	if [ -z "$tree" ]; then
		n=${n##*/}
		[ "${n%.*}" = "" ] || n=${n%.*}
	else
		n=${n#"${n%%[!/]*}"}
		while [[ $n == ./* ]]; do n=${n#./}; done
	fi
	printf %s "$n"
}

# No clip may lie where results go: they are written there, and removed before the clip is processed again.
check_clip() { # SOURCE [LINK...]: names whose folder of results is a link, which leads elsewhere
	local at=1 name rest=${1#"$out"/}
	for name in "${@:2}"; do
		[[ $1/ != "$(realpath -m -- "$out/$name")"/* ]] || die 2 "$1 lies in $out/$name, where the results of ${taken[$name]} go: give another folder"
	done
	[ "$rest" != "$1" ] || return 0
	for ((at = 1; at <= ${#rest}; at++)); do
		[[ $at -eq ${#rest} || ${rest:at:1} == / ]] || continue
		name=${rest:0:at}
		[ -z "${taken[$name]:-}" ] || die 2 "$1 lies in $out/$name, where the results of ${taken[$name]} go: give another folder"
	done
}

# A file that the options name is the same for every clip: none of the clips, and no output of more than one.
check_words() { # STAGE OPTIONS OUTPUT...: the stage's options that write
	local -a words
	local w before='' s
	read -r -a words <<<"$2"
	for w in "${words[@]}"; do
		if [[ $w == --*=* ]]; then before=${w%%=*} w=${w#*=}; fi
		for s in "${sources[@]}"; do
			[ -e "$w" ] || break
			[[ ! $w -ef $s ]] || die 2 "--$1: $w is a clip that is read: give another name"
		done
		if [[ ${#sources[@]} -gt 1 && " ${*:3} " == *" ${before:--} "* && $w != *{}* && $w != - && $w != /dev/* && $w != zmq:* ]]; then
			die 2 "--$1: $before $w: every clip would write it: give it a name with {}, the clip's folder"
		fi
		before=$w
	done
}

check_places() {
	local s outputs links=()
	for s in "${names[@]}"; do [ ! -L "$out/$s" ] || links+=("$s"); done
	for s in "${sources[@]}"; do check_clip "$s" "${links[@]}"; done
	mapfile -t outputs < <(e3-export --help | awk '/^Outputs/ { on = 1 } on && /^$/ { exit } on { print $1 }')
	check_words decode "$decode" --png --images --output -o
	check_words infer "$infer" --save-cache --dump --output -o
	[[ -z $streams || $infer != *{}* ]] || die 2 "--infer: $infer: with --streams one e3-infer serves many clips: its options cannot name the clip's folder"
	check_words export "$export" "${outputs[@]}"
}

# Names and absolute paths of all clips asked for, in `names` and `sources`.
collect() {
	local clip n k
	local -A taken=()
	names=() sources=()
	for clip in "${clips[@]}"; do
		[[ $clip != *[$'\t\n']* ]] || die 2 "a clip's path contains a tab or a line break: $(json_text "$clip")"
		n=$(name_of "$clip")
		[[ -n $n && /$n/ != */../* && $n != .* ]] || die 2 "$clip: its name cannot be used for a folder"
		[ -z "${taken[$n]:-}" ] || die 2 "${taken[$n]} and $clip would both go to $out/$n: give --tree, or rename one"
		taken[$n]=$clip
		names+=("$n")
		sources+=("$(realpath -m -- "$clip")")
	done
	[ ${#names[@]} -gt 0 ] || die 2 "no clips"
	check_places
}

# What is still to do becomes a submission: its name in `job`, its size in `todo`; empty when there is nothing.
prepare() {
	local k v
	mkdir -p "$out/.clips" || exit 1
	job=$(date +%Y%m%dT%H%M%S)-$$ todo=0
	for k in "${!names[@]}"; do
		printf '%s\t%s\n' "${names[k]}" "${sources[k]}"
	done | save "$out/.clips/$job.all" || die 1 "writing: $out/.clips: failed"
	for k in "${!names[@]}"; do
		if [ -z "$again" ] && is_done "${names[k]}" "${sources[k]}"; then
			[ "$command" != run ] || show "${names[k]}" "${sources[k]}"
		else
			printf '%s\t%s\n' "${names[k]}" "${sources[k]}" >>"$out/.clips/$job.list"
			todo=$((todo + 1))
		fi
	done
	for v in decode infer export model again gpus threads quiet streams; do
		printf '%s=%q\n' "$v" "${!v}"
	done | save "$out/.clips/$job.conf" || die 1 "writing: $out/.clips: failed"
	say "${#names[@]} clip$([ ${#names[@]} -eq 1 ] || echo s), $todo to process"
}

summary() { # of the clips of this submission; 1 unless all are done
	local n s line total=0 good=0
	while IFS=$'\t' read -r n s; do
		line=$(show "$n" "$s")
		total=$((total + 1))
		[[ $line != *'"status":"done"'* ]] || good=$((good + 1))
	done <"$out/.clips/$job.all"
	say "$good of $total done; records: $out/*/clip.json"
	[ "$good" -eq "$total" ]
}

# --- what a hundred clips would fail for, or be nonsense with, is refused before the first ---

named_by() { # TEXT PATTERN...: an option of the text matches one of the patterns
	local list w p
	read -r -a list <<<"$1"
	for w in "${list[@]}"; do
		# shellcheck disable=SC2053 # patterns
		for p in "${@:2}"; do [[ $w != $p ]] || return 0; done
	done
	return 1
}

# The weights that e3-infer would take (see its manual), in `model`; empty when --infer names them.
find_model() {
	local f tools LC_ALL=C
	model=
	if named_by "$infer" '-m*' '--m' '--mo*'; then
		[ -z "$demo_model" ] || die 2 "--demo-model, and a model in --infer: give one"
		return
	fi
	if [ -n "$demo_model" ]; then
		tools=$(dirname "$(readlink -f "$(command -v e3-infer)")")
		for f in "$tools/../share/e3/demo.safetensors" "$tools/../../pipelines/demo/model.safetensors"; do
			[ ! -r "$f" ] || { model=$(realpath "$f") && return; }
		done
		die 1 "the bundled model is not installed"
	fi
	model=${E3_MODEL:-}
	for f in "${HOME:-/nowhere}"/.cache/e3/*; do
		case $f in *.pt | *.pth | *.safetensors) [ -n "$model" ] || [ ! -f "$f" ] || model=$f ;; esac
	done
	[ -n "$model" ] || die 1 "no model was given: --infer '--model FILE', or E3_MODEL in the environment; --demo-model is the bundled one, which knows only rendered rooms"
	[ ! -e "$model" ] || model=$(realpath "$model")
}

# Every GPU that clips would run on, with the smallest network.
check_gpus() {
	local all gpu text
	IFS=, read -r -a all <<<"${CUDA_VISIBLE_DEVICES:-$(seq -s, 0 $((gpus - 1)))}"
	for gpu in "${all[@]:0:gpus}"; do
		text=$(CUDA_VISIBLE_DEVICES=$gpu e3-infer --device cuda --model seed:tiny:1 --plan --size 70x56 --budget 2f 2>&1 >/dev/null) ||
			die 1 "--gpus $gpus: GPU $gpu cannot be used: ${text#e3-infer: }"
	done
}

# --- run ---

# A signal is passed on to each clip that runs, as often as it came; those that begin meanwhile get it too.
declare -A told=()
pass_on() {
	local f p
	for f in "$out/.clips/$job".run.*; do
		p=${f##*.}
		if [ -e "$f" ] && [ "${told[$p]:-0}" -lt "$stopped" ]; then
			kill -TERM "$p" 2>/dev/null
			told[$p]=$stopped
		fi
	done
}

# One e3-infer for each GPU (or one in all), which takes the clips of its places one after the other: their names come through a pipe.
servers=() pipes=()
start_servers() {
	local g fd list more=() all=()
	read -r -a list <<<"$infer"
	[ -z "$threads" ] || more=(--threads "$threads")
	[ -z "$gpus" ] || more+=(--device cuda)
	IFS=, read -r -a all <<<"${CUDA_VISIBLE_DEVICES:-$(seq -s, 0 $((${gpus:-1} - 1)))}"
	for ((g = 0; g < ${gpus:-1}; g++)); do
		mkfifo "$said.list.$g" || die 1 "writing: $out/.clips: failed"
		exec {fd}<>"$said.list.$g"
		pipes+=("$fd")
		(
			trap '' INT HUP
			[ -z "$model" ] || export E3_MODEL=$model
			[ -z "$gpus" ] || export CUDA_VISIBLE_DEVICES=${all[g % ${#all[@]}]}
			E3_LEVELS=1 exec "${with_me[@]}" e3-infer "${more[@]}" "${list[@]}" --streams "$streams" --streams-from "$said.list.$g" \
				{fd}>&- </dev/null >/dev/null 2>"$said.infer.$g.log"
		) &
		servers+=("$!")
		echo "$!" >"$said.infer.$g.pid"
	done
}

end_servers() { # when no clip is left they end by themselves
	local fd pid
	for fd in "${pipes[@]}"; do exec {fd}>&-; done
	for pid in "${servers[@]}"; do
		[ "$stopped" -eq 0 ] || kill -TERM "$pid" 2>/dev/null
		while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
	done
	rm -f "$said".list.* "$said".infer.*
}

run() {
	local pid='' stopped=0 said with_me=()
	parallel --version 2>/dev/null | grep -q '^GNU parallel' || die 1 "GNU parallel is not installed (Debian: apt-get install parallel)"
	collect
	find_model
	[ -z "$streams" ] || [ -n "$jobs" ] || jobs=$((${gpus:-1} * streams))
	[ -n "$jobs" ] || jobs=${gpus:-$([ -z "$cores" ] && echo 1 || echo $(($(nproc) / cores > 0 ? $(nproc) / cores : 1)))}
	threads=$cores
	[ -n "$threads$streams" ] || [ "$jobs" -eq 1 ] || threads=$(($(nproc) / jobs > 0 ? $(nproc) / jobs : 1))
	[ -z "$gpus" ] || check_gpus
	prepare
	if [ "$todo" -gt 0 ]; then
		said=$out/.clips/$job.parallel
		# In a process group of its own, so that signals arrive here alone. After HUP parallel starts no more clips, and ends with
		# those that run.
		trap 'stopped=$((stopped + 1)); [ -z "$pid" ] || kill -HUP "$pid" 2>/dev/null' TERM INT HUP
		seq "$todo" >"$said.todo"
		! setpriv --pdeathsig TERM true 2>/dev/null || with_me=(setpriv --pdeathsig TERM) # if this shell is killed
		[ -z "$streams" ] || start_servers
		set -m
		"${with_me[@]}" parallel --will-cite --jobs "$jobs" --line-buffer --termseq TERM,15000,KILL,25 \
			"$(printf '%q one %q %q' "$self" "$out" "$job") {} 2>&6" <"$said.todo" 6>&2 2>"$said" &
		pid=$!
		set +m
		[ "$stopped" -eq 0 ] || kill -HUP "$pid" 2>/dev/null
		while kill -0 "$pid" 2>/dev/null; do
			if [ "$stopped" -gt 0 ]; then
				pass_on
				sleep 0.05
			else
				wait "$pid"
			fi
		done
		[ "$stopped" -gt 0 ] || cat "$said" >&2
		end_servers
		rm -f "$said" "$said.todo"
	fi
	[ "$stopped" -eq 0 ] || { summary; exit 130; }
	summary
}

submit() {
	local size at n id options=() waits=() array
	[ -z "$streams" ] || die 2 "--streams: for run: a task of the array has one clip"
	command -v sbatch >/dev/null || die 1 "sbatch is not installed: this machine does not belong to a Slurm cluster"
	collect
	find_model
	threads=
	prepare
	read -r -a options <<<"$sbatch"
	size=$(scontrol show config 2>/dev/null | sed -n 's/^MaxArraySize *= *\([0-9]*\).*/\1/p')
	size=$((${size:-1001} - 1))
	for ((at = 0; at < todo; at += size)); do
		n=$((todo - at < size ? todo - at : size))
		array=1-$n${limit:+%$limit}
		# B: the script itself gets the signal, half a minute before its time is over, and can say so.
		id=$(sbatch --parsable --job-name=e3-clips --array="$array" --output="$out/.clips/$job-%A-%a.log" --signal=B:TERM@30 "${options[@]}" <<-END
			#!/bin/bash
			exec $(printf '%q one %q %q' "$self" "$out" "$job") \$((SLURM_ARRAY_TASK_ID + $at))
		END
		) || die 1 "sbatch refused"
		say "submitted as job $id, clips $((at + 1)) to $((at + n)) of $todo"
		waits+=("${id%%;*}")
	done
	[ -n "$wait" ] || return 0
	for id in "${waits[@]}"; do
		while squeue -h -j "$id" 2>/dev/null | grep -q .; do sleep 1; done
	done
	status
}

status() { # every clip of every submission, once
	local n s rc=0 line
	[ -d "$out/.clips" ] || die 1 "reading: $out: no clips were run or submitted there"
	while IFS=$'\t' read -r n s; do
		line=$(show "$n" "$s")
		printf '%s\n' "$line"
		[[ $line == *'"status":"done"'* ]] || rc=1
	done < <(cat "$out"/.clips/*.all | awk -F'\t' '!seen[$1]++')
	return "$rc"
}

# --- the command line ---

clips=() quiet='' again='' tree='' wait='' streams='' demo_model='' model='' gpus='' jobs='' cores='' limit='' sbatch='' threads=''
decode='' infer='--budget 10f' export='--glb {}/model.glb --tum {}/trajectory.txt'
operands=()

count() { # OPTION VALUE: a whole number from 1 on
	[[ $2 =~ ^[1-9][0-9]{0,5}$ ]] || die 2 "option $1: expected a whole number from 1 on, got '$2'"
}
read_list() { # FILE
	local line
	[ "$1" = - ] || [ -r "$1" ] || die 1 "reading: $1: cannot be read"
	while IFS= read -r line || [ -n "$line" ]; do
		[ -z "$line" ] || clips+=("$line")
	done < <(cat -- "$1")
}

lists=()
while [ $# -gt 0 ]; do
	case $1 in
	--list | --decode | --infer | --export | --gpus | --jobs | --cores | --streams | --sbatch | --limit)
		[ $# -gt 1 ] || die 2 "option $1 needs an argument"
		case $1 in --gpus | --jobs | --cores | --streams | --limit) count "$1" "$2" ;; esac
		case $1 in --list) lists+=("$2") ;; *) printf -v "${1#--}" %s "${2//$'\n'/ }" ;; esac
		shift
		;;
	--demo-model) demo_model=1 ;;
	--tree | --again | --wait) printf -v "${1#--}" 1 ;;
	-q | --quiet) quiet=1 ;;
	-h | --help) usage; exit ;;
	--list-options) list_options; exit ;;
	--version) e3-decode --version | sed 's/^e3-decode/e3-clips/'; exit ;;
	--) shift; operands+=("$@"); break ;;
	-?*) die 2 "unknown option $1" ;;
	*) operands+=("$1") ;;
	esac
	shift
done

command=${operands[0]:-}
case $command in
run | submit | status | one) ;;
'') die 2 "no command: run, submit or status" ;;
*) die 2 "unknown command '$command': run, submit or status" ;;
esac
[ -n "${operands[1]:-}" ] || die 2 "no folder for the results"
case ${operands[1]} in *[$'\t\n']*) die 2 "the folder's path contains a tab or a line break" ;; esac
out=$(realpath -m -- "${operands[1]}" 2>/dev/null)
[[ $out == /* ]] || die 1 "${operands[1]}: the current folder does not exist any more"
if [ "$command" = one ]; then
	one "${operands[2]:?}" "${operands[3]:?}"
	exit
fi
clips=("${operands[@]:2}")
for file in "${lists[@]}"; do read_list "$file"; done
[ "$command" != status ] || [ ${#clips[@]} -eq 0 ] || die 2 "status takes no clips"
"$command"

# shellcheck shell=bash
# Part of e3-clips (the Makefile puts it there): one clip, its record, its stages and how they are stopped.
# shellcheck disable=SC2154 # the settings, of e3-clips.sh

# --- records ---

json_text() { # TEXT: as a JSON string
	local s
	s=$(printf %s "$1" | iconv -c -f UTF-8 -t UTF-8 | tr '\000-\037\177' ' ')
	s=${s//\\/\\\\}
	printf '"%s"' "${s//\"/\\\"}"
}

record() { # NAME SOURCE STATUS FRAMES SECONDS ERROR [OUTPUT...]: one line
	local outputs='' o error=null
	for o in "${@:7}"; do outputs+=${outputs:+,}$(json_text "$o"); done
	[ -z "$6" ] || error=$(json_text "$6")
	printf '{"clip":%s,"source":%s,"status":"%s","frames":%s,"seconds":%s,"outputs":[%s],"error":%s}\n' \
		"$(json_text "$1")" "$(json_text "$2")" "$3" "$4" "$5" "$outputs" "$error"
}

save() { # FILE: standard input, whole or not at all
	if ! { cat >"$1.tmp.$$" && mv "$1.tmp.$$" "$1"; }; then
		rm -f "$1.tmp.$$"
		return 1
	fi
}

# The inputs of a clip's results; when they change, the clip is processed again.
key_of() { # SOURCE
	printf '%s|%s|%s|%s|%s%s' "$1" "$(stat -Lc '%s %Y' -- "$1" 2>/dev/null)" "$decode" "$infer" "$export" "${model:+|$model}"
}

is_done() { # NAME SOURCE
	local done_file=$out/$1/.done key o
	[ -f "$done_file" ] && [ -f "$out/$1/clip.json" ] || return 1
	{
		IFS= read -r key && [ "$key" = "$(key_of "$2")" ] || return 1
		while IFS= read -r o; do [ -e "$out/$o" ] || return 1; done
	} <"$done_file"
}

show() { # NAME SOURCE: the record; of a clip that nobody works on any more, that it was interrupted
	local file=$out/$1/clip.json line
	if ! [ -f "$file" ]; then
		record "$1" "$2" missing 0 0 ""
		return
	fi
	IFS= read -r line <"$file"
	if [[ $line == *'"status":"running"'* ]] && { exec 8>>"$out/$1/.lock"; flock -n 8; }; then
		record "$1" "$2" interrupted 0 0 "it was killed"
	else
		printf '%s\n' "$line"
	fi
	exec 8>&-
}

# --- one clip ---

words() { # TEXT: its words in the array `list`, {} being the clip's folder
	read -r -a list <<<"$1"
	list=("${list[@]//\{\}/$dir}")
}

# The three stages; each keeps its own log, with the notes that -q would swallow, and holds the clip's lock. Their exit statuses go to
# .statuses. A signal for the group is for the stages: this shell waits for them.
pipeline() {
	local list more=() a b c
	trap : TERM INT HUP
	export E3_LEVELS=1
	[ -z "${model:-}" ] || export E3_MODEL=$model
	[ -z "${E3_CLIPS_THREADS:-}" ] || more=(--threads "$E3_CLIPS_THREADS")
	# Who asks for a GPU is not served by a processor.
	[ -z "${gpus:-}${SLURM_JOB_GPUS:-}" ] || more+=(--device cuda)
	words "$decode" && a=("${list[@]}")
	words "$infer" && b=("${list[@]}")
	words "$export" && c=("${list[@]}")
	if [ -n "${list_file:-}" ]; then
		shared
		return
	fi
	e3-decode "${a[@]}" -- "$source" 2>"$dir/decode.log" </dev/null |
		e3-infer "${more[@]}" "${b[@]}" 2>"$dir/infer.log" |
		e3-export --run-json "$dir/run.json" "${c[@]}" 2>"$dir/export.log"
	echo "${PIPESTATUS[*]}" >"$dir/.statuses"
}

# The network is that of an e3-infer that runs already (--streams): it gets the names of two pipes.
shared() {
	local decode_status=0 export_status=0
	mkfifo "$dir/.frames" "$dir/.predictions" || return
	e3-export --run-json "$dir/run.json" "${c[@]}" "$dir/.predictions" 2>"$dir/export.log" </dev/null &
	local exporter=$!
	printf '%s\t%s\n' "$dir/.frames" "$dir/.predictions" >"$list_file"
	e3-decode "${a[@]}" -o "$dir/.frames" -- "$source" 2>"$dir/decode.log" </dev/null || decode_status=$?
	# It may have failed before it opened the pipe, which e3-infer waits for.
	local opener=''
	[ "$decode_status" -eq 0 ] || { : >"$dir/.frames" & opener=$!; }
	wait "$exporter" || export_status=$?
	[ -z "$opener" ] || kill "$opener" 2>/dev/null
	echo "$decode_status 0 $export_status" >"$dir/.statuses"
}

server_lost() { [ -n "${server:-}" ] && ! kill -0 "$server" 2>/dev/null; }

running() { kill -0 -- "-$1" 2>/dev/null; } # GROUP: does any of its processes live?

end_stages() { # from the trap for signals; the first begins the time that stages have to end
	stopped=$((stopped + 1)) since=${since:-$EPOCHSECONDS}
	[ -z "$pid" ] || kill -TERM -- "-$pid" 2>/dev/null
}

await_stages() { # until none of them is left: those that do not end after a signal are killed
	[ "$stopped" -eq 0 ] || kill -TERM -- "-$pid" 2>/dev/null
	while running "$pid"; do
		if server_lost && [ -z "$lost" ]; then
			lost=1 since=$EPOCHSECONDS
			kill -TERM -- "-$pid" 2>/dev/null
		fi
		if [ "$stopped" -eq 0 ] && [ -z "$lost" ] && [ -z "${server:-}" ]; then
			wait "$pid"
		elif [ "$stopped" -eq 0 ] && [ -z "$lost" ]; then
			sleep 0.05
		else
			# A stage that was about to open a pipe when the signal came waits for it as if there had been none.
			[ -z "$lost" ] || [ $((EPOCHSECONDS - since)) -lt 2 ] || kill -TERM -- "-$pid" 2>/dev/null
			[ $((EPOCHSECONDS - since)) -lt 10 ] || kill -KILL -- "-$pid" 2>/dev/null
			sleep 0.05
		fi
	done
}

# Warnings of the stages in `warnings`; their logs keep everything, without the levels (E3_LEVELS of e3(7)).
read_logs() {
	local stage log line
	warnings=()
	[ -z "${server_log:-}" ] || grep -F "e3-infer: $dir/.frames: " "$server_log" | sed "s|e3-infer: .*/\.frames: |e3-infer: |" >"$dir/infer.log"
	for stage in decode infer export; do
		log=$dir/$stage.log
		while IFS= read -r line; do warnings+=("${line#<4>}"); done < <(grep '^<4>' "$log" 2>/dev/null)
		sed -i 's/^<[0-9]>//' "$log" 2>/dev/null
	done
}

show_warnings() { # ERROR: which is shown as such
	local w n=0
	for w in "${warnings[@]}"; do
		[ "$w" != "$1" ] || continue
		n=$((n + 1))
		[ $n -gt 5 ] || warn "$name: $w"
	done
	[ $n -le 5 ] || warn "$name: $((n - 5)) warnings more: $dir/*.log"
}

why() { # what the stage said that failed first
	local stages=(decode infer export) statuses k line
	if [ -n "$lost" ]; then
		line=$(grep '^\(<[0-9]>\)\?e3-' "$server_log" | tail -n 1)
		line=${line#<[0-9]>}
		echo "${line:-e3-infer ended}"
		return
	fi
	read -r -a statuses <"$dir/.statuses" 2>/dev/null || { echo "the pipeline was killed"; return; }
	for k in 0 1 2; do
		case ${statuses[k]} in 0 | 141) continue ;; esac
		line=$(grep '^e3-' "$dir/${stages[k]}.log" | tail -n 1)
		echo "${line:-e3-${stages[k]}: exit status ${statuses[k]}}"
		return
	done
	[ "${statuses[*]}" = "0 0 0" ] || echo "e3-export ended early"
}

remove_old() { # what an earlier run of this clip made
	local o first=1
	[ -f "$dir/.done" ] || return 0
	while IFS= read -r o; do
		[ -n "$first" ] || case $o in "$name"/*) rm -rf -- "${out:?}/$o" ;; esac
		first=
	done <"$dir/.done"
	rm -f "$dir/.done"
}

one() { # JOB NUMBER: clip NUMBER of a submission; prints its record; 1 unless it is done
	local job=$out/.clips/$1 name source dir start seconds pid='' stopped=0 since='' error frames status=failed lost='' server='' server_log='' list_file=''
	local -a outputs=() warnings=()
	# shellcheck source=/dev/null
	. "$job.conf" || die 1 "reading: $job.conf: does not exist"
	IFS=$'\t' read -r name source < <(sed -n "$2p" "$job.list")
	[ -n "${source:-}" ] || die 1 "reading: $job.list: there is no clip $2"
	dir=$out/$name
	mkdir -p "$dir" || exit 1
	exec 9>>"$dir/.lock"
	flock -n 9 || { say "$name: another process works on it"; show "$name" "$source"; return 0; }
	trap end_stages TERM INT HUP
	run_file=$job.run.$$
	trap 'rm -f "$run_file"' EXIT
	echo >"$run_file"
	if [ -z "${again:-}" ] && is_done "$name" "$source"; then
		show "$name" "$source"
		return 0
	fi
	remove_old
	rm -f "$dir/.statuses"
	record "$name" "$source" running 0 0 "" | save "$dir/clip.json" || die 1 "writing: $dir/clip.json: failed"
	# A GPU of its own, of those this process may use.
	if [ -n "${gpus:-}" ] && [ -n "${PARALLEL_JOBSLOT:-}" ]; then
		local -a all
		IFS=, read -r -a all <<<"${CUDA_VISIBLE_DEVICES:-$(seq -s, 0 $((gpus - 1)))}"
		export CUDA_VISIBLE_DEVICES=${all[(PARALLEL_JOBSLOT - 1) % ${#all[@]}]}
	fi
	if [ -n "${streams:-}" ] && [ -n "${PARALLEL_JOBSLOT:-}" ]; then
		local at=$job.parallel g=$(((PARALLEL_JOBSLOT - 1) / streams % ${gpus:-1}))
		list_file=$at.list.$g server_log=$at.infer.$g.log
		read -r server <"$at.infer.$g.pid"
		rm -f "$dir/.frames" "$dir/.predictions"
	fi
	E3_CLIPS_THREADS=${SLURM_CPUS_PER_TASK:-${threads:-}}
	start=$EPOCHREALTIME
	set -m
	pipeline &
	pid=$!
	set +m
	await_stages
	read_logs
	seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')
	error=$(why)
	frames=$(sed -n 's/^ "frames_total":\([0-9]*\),.*/\1/p' "$dir/run.json" 2>/dev/null)
	if [ "$stopped" -gt 0 ]; then
		status=interrupted error="stopped by a signal"
	elif [ -z "$error" ]; then
		status="done"
		mapfile -d '' outputs < <(cd "$out" && find "$name" -mindepth 1 -maxdepth 1 ! -name '.*' ! -name '*.log' ! -name 'clip.json*' -print0 | sort -z)
		{ key_of "$source"; echo; printf '%s\n' "${outputs[@]}"; } | save "$dir/.done" || { status=failed error="writing $dir/.done failed"; }
	fi
	find "$dir" -maxdepth 1 -name '*.log' -empty -delete
	rm -f "$dir/.statuses" "$dir/.frames" "$dir/.predictions"
	record "$name" "$source" "$status" "${frames:-0}" "$seconds" "$error" "${outputs[@]}" | save "$dir/clip.json"
	cat "$dir/clip.json"
	[ "$stopped" -gt 0 ] || show_warnings "$error"
	if [ -n "$error" ]; then
		say "$name: $status after $seconds s: $error"
	else
		say "$name: done: ${frames:-0} frames in $seconds s"
	fi
	[ "$status" = "done" ]
}

#!/usr/bin/env bats
# Limits of the process (ulimit): each tool with too little memory, too small files, too few descriptors or threads gives a message
# and exit status 1, within seconds, and leaves nothing. No signal, no abort, no core.
load common

setup_file() {
	export PATH="$B/bin:$PATH"
	cd "$BATS_FILE_TMPDIR" || return 1
	e3-scene --frames 4 >frames.e3
	e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 2f frames.e3 >preds.e3
	cp "$BATS_TEST_DIRNAME/../pipelines/demo/model.safetensors" "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" .
}

prepare() {
	! ldd "$B/bin/e3-cat" | grep -qE 'lib(asan|tsan)' || skip "sanitizers need much memory, and report aborts themselves"
	TOOLS=$(sed -n 's/^TOOLS := e3 //p' "$ROOT/Makefile") # e3 runs the others
	as=()
	open=$(mktemp -d) # not below BATS_TMPDIR, which other users may not enter
	cp "$BATS_FILE_TMPDIR"/* "$open"
	out=$open/out
	mkdir "$out"
	chmod a+rx "$open"
	chmod 777 "$out"
	cd "$open" || return 1
	ulimit -c 0
	unset OPENBLAS_NUM_THREADS
}
teardown() { [ -z "${open:-}" ] || rm -rf "$open"; }

# making TOOL: cmd becomes a command line that makes it compute and write something, into $out where it writes files.
making() {
	case $1 in
	e3-decode) cmd=(e3-decode -q --all --max-frames 3 clip.mp4 -o "$out/x.e3") ;;
	e3-infer) cmd=(e3-infer -q --device cpu --threads 2 --model seed:tiny:7 --no-evict frames.e3 -o "$out/x.e3") ;;
	e3-align) cmd=(e3-align preds.e3 -o "$out/x.e3") ;;
	e3-evict-stats) cmd=(e3-evict-stats --png "$out/pictures" preds.e3) ;;
	e3-export) cmd=(e3-export -q --ply "$out/x.ply" --glb "$out/x.glb" preds.e3) ;;
	e3-mask)
		mkdir -p masks
		printf 'P5 1 1 255 x' | tee masks/{a,b,c,d,e,f}.pgm >/dev/null
		cmd=(e3-mask --from masks --class sky frames.e3 -o "$out/x.e3")
		;;
	e3-cat) cmd=(e3-cat preds.e3 "$out/x.e3") ;;
	e3-dump) cmd=(e3-dump preds.e3) ;;
	e3-view) cmd=(e3-view -q --listen 127.0.0.1:0 preds.e3 -o "$out/x.e3") ;;
	e3-model) cmd=(e3-model convert model.safetensors "$out/m.safetensors") ;;
	e3-scene) cmd=(e3-scene --frames 3 -o "$out/x.e3") ;;
	e3-eval) cmd=(e3-eval preds.e3) ;;
	*) echo "no command for $1" && return 1 ;;
	esac
}

# under LIMIT COMMAND...: rc of the command under `ulimit LIMIT`. Anything but success and a decent failure is an error; exit 127 is the
# dynamic loader's, before there is a tool.
under() {
	local limit=$1 left
	shift
	rm -rf "${out:?}"/*
	rc=0
	timeout -s KILL 300 "${as[@]}" bash -c 'ulimit "${1% *}" "${1#* }"; shift; exec "$@"' - "$limit" "$@" >"$T/o" 2>"$T/e" </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- || rc=$?
	case $rc in
	0) return ;;
	1) grep -q "^$1: " "$T/e" || { echo "no message: ulimit $limit; $*"; cat "$T/e"; return 1; } ;;
	127) grep -q "error while loading shared libraries" "$T/e" || { echo "exit 127: ulimit $limit; $*"; cat "$T/e"; return 1; } ;;
	*) echo "exit $rc: ulimit $limit; $*"; cat "$T/e"; return 1 ;;
	esac
	# A picture is whole; frames that had come stay in NAME.partial, which is said.
	left=$(find "$out" \( -type f -o -type s \) ! -path '*/pictures/*.png' ! -name '*.partial')
	[ -z "$(find "$out" -name '*.partial')" ] || grep -qF ".partial" "$T/e" || left+=" and .partial, unsaid"
	[ -z "$left" ] || { echo "ulimit $limit; $*: left behind: $left"; return 1; }
}

# Every limit tried on the way to the smallest that works (and to the smallest with which the loader works) is a case of its own.
@test "too little memory: a message and exit 1 at once" {
	local t low high middle first refused
	for t in $TOOLS; do
		making "$t"
		first=0 low=10000 high=1200000 refused=0
		while [ $((high - low)) -gt 4000 ]; do
			middle=$(((low + high) / 2))
			under "-v $middle" "${cmd[@]}"
			[ "$rc" -ne 127 ] || first=$middle
			[ "$rc" -ne 1 ] || refused=$((refused + 1))
			if [ "$rc" -eq 0 ]; then high=$middle; else low=$middle; fi
		done
		low=$first
		while [ $((high - low)) -gt 4000 ]; do
			middle=$(((low + high) / 2))
			under "-v $middle" "${cmd[@]}"
			[ "$rc" -ne 1 ] || refused=$((refused + 1))
			if [ "$rc" -ne 127 ]; then high=$middle; else low=$middle; fi
		done
		echo "$t: $refused refused"
		[ "$t" != e3-infer ] || [ "$refused" -ge 5 ]
	done
}

@test "the network of several threads: enough memory for one of them is not enough" {
	making e3-infer
	under "-v 300000" "${cmd[@]}" --threads 8
	[ "$rc" -eq 1 ]
	grep -q 'OpenBLAS needs .* for each of 8 threads: out of memory' "$T/e"
}

@test "files that may not grow: a message and exit 1" {
	local t
	for t in $TOOLS; do
		making "$t"
		under "-f 1" "${cmd[@]}"
		case $t in
		e3-dump | e3-eval) ;; # little text
		*) [ "$rc" -eq 1 ] || { echo "exit $rc: ${cmd[*]}"; return 1; } ;;
		esac
		[ "$rc" -eq 0 ] || grep -q "File too large" "$T/e" || { cat "$T/e"; return 1; }
	done
}

@test "few descriptors: a message and exit 1, also from ZeroMQ" {
	local t n
	for t in $TOOLS; do
		making "$t"
		for n in 4 5 6 7; do under "-n $n" "${cmd[@]}"; done
	done
	for n in 4 5 6 7 8 9 10 11; do
		under "-n $n" e3-cat --timeout 0.1 preds.e3 "zmq:push:ipc://$out/s"
		[ "$rc" -eq 1 ]
	done
}

@test "few threads: a message and exit 1, also from libraries that start threads before main" {
	local t n
	[ "$(id -u)" -eq 0 ] || skip "needs root, to become a user without processes"
	command -v setpriv >/dev/null || skip "needs setpriv"
	as=(setpriv --reuid 61234 --clear-groups)
	"${as[@]}" test -r "$PWD/frames.e3" -a -x "$B/bin/e3-cat" || skip "another user cannot read $PWD or $B"
	for t in $TOOLS; do
		making "$t"
		for n in 1 2 3; do under "-u $n" "${cmd[@]}"; done
	done
	making e3-infer
	under "-u 1" "${cmd[@]}"
	[ "$rc" -eq 1 ]
	grep -q "cannot create a thread" "$T/e"
	for n in 1 2 3; do
		under "-u $n" e3-cat --timeout 0.1 preds.e3 "zmq:push:ipc://$out/s"
		[ "$rc" -eq 1 ]
	done
}

@test "libraries start no threads of their own, and the environment is whole" {
	making e3-align
	OPENBLAS_VERBOSE=0 OLDPWD=/here bash -c 'exec "$@"' - "${cmd[@]}"
	mkfifo "$T/in"
	OLDPWD=/here e3-align "$T/in" >/dev/null &
	exec 7>"$T/in"
	wait_until 10 handles_signals $!
	[ "$(ls "/proc/$!/task" | wc -l)" -eq 1 ]
	kill $!
	exec 7>&-
}

@test "a limit of CPU time: a message and exit 1" {
	under "-St 1" e3-infer -q --device cpu --model seed:full:1 --budget 4f -o "$T/none.e3"
	[ "$rc" -eq 1 ]
	grep -qx "e3-infer: ended: the limit of CPU time is reached (ulimit -t)" "$T/e"
}

#!/usr/bin/env bats
# Rules that every tool follows (doc/design.md 8, e3(7)): exit status, messages, terminals, full disks, readers that go away, stages
# that are killed, signals.
load common

TOOLS=$(sed -n 's/^TOOLS := //p' "$BATS_TEST_DIRNAME/../Makefile")
# The tools that read an input.
READERS=${TOOLS/ e3-scene/}

# A short frame stream and prediction stream of the bundled clip through the seeded tiny network.
setup_file() {
	export PATH="$B/bin:$PATH"
	e3-decode --all --max-frames 4 "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" >"$BATS_FILE_TMPDIR/frames.e3"
	e3-infer --model seed:tiny:7 --segment 0 --budget 2f <"$BATS_FILE_TMPDIR/frames.e3" >"$BATS_FILE_TMPDIR/preds.e3"
	e3-scene --frames 4 | e3-infer --model seed:tiny:7 --segment 0 --budget 2f >"$BATS_FILE_TMPDIR/told.e3"
}

prepare() {
	frames=$BATS_FILE_TMPDIR/frames.e3
	preds=$BATS_FILE_TMPDIR/preds.e3
	export TMPDIR=$T/spool
	mkdir "$TMPDIR" "$T/out"
}

# reading TOOL FILE: cmd becomes the command line that makes it read that file and write to standard output.
reading() {
	case $1 in
	e3) cmd=(e3 --device cpu --model seed:tiny:7 --max-frames 3 -o "$T/made.e3d" "$2") ;;
	e3-decode) cmd=(e3-decode --all "$2") ;;
	e3-infer) cmd=(e3-infer -q --model seed:tiny:7 --no-evict "$2") ;;
	e3-align) cmd=(e3-align "$2") ;;
	e3-evict-stats) cmd=(e3-evict-stats "$2") ;;
	e3-export) cmd=(e3-export --ply - "$2") ;;
	e3-mask) mkdir -p "$T/masks" && printf 'P5 1 1 255 x' | tee "$T/masks/"{a,b,c,d}.pgm >/dev/null && cmd=(e3-mask --from "$T/masks" --class sky "$2") ;;
	e3-cat) cmd=(e3-cat "$2") ;;
	e3-dump) cmd=(e3-dump "$2") ;;
	e3-view) cmd=(e3-view -q --listen 127.0.0.1:0 --pass "$2") ;;
	e3-model) cmd=(e3-model list "$2") ;;
	e3-scene) cmd=(e3-scene --frames 12) ;;
	e3-eval) cmd=(e3-eval "$2") ;;
	esac
}
input_of() {
	case $1 in
	e3 | e3-decode) echo "$DEMO/clip.mp4" ;;
	e3-infer | e3-mask) echo "$frames" ;;
	e3-model) echo "$DEMO/model.safetensors" ;;
	e3-eval) echo "$BATS_FILE_TMPDIR/told.e3" ;;
	*) echo "$preds" ;;
	esac
}

nothing_left() { # no temporary file in the working folder, the output folder or the spool
	local left
	left=$(find "$T/out" "$TMPDIR" -type f; find "$T" -name '*.tmp.*')
	[ -z "$left" ] || { echo "left behind: $left"; return 1; }
}

wait_for() { # wait_for STATUS PID: the process ends by itself, with this status
	local rc=0
	wait_until 20 gone "$2" || true
	! kill -9 "$2" 2>/dev/null || { echo "it still runs"; return 1; }
	wait "$2" || rc=$?
	[ "$rc" -eq "$1" ] || { echo "exit $rc, expected $1"; return 1; }
}

said() { # said FILE TEXT
	grep -qF -- "$2" "$1" || { echo "'$2' is not in:"; cat "$1"; return 1; }
}

@test "--help and --version print to standard output only and exit 0" {
	for t in $TOOLS; do
		"$t" --help >"$T/o" 2>"$T/e"
		[ ! -s "$T/e" ]
		head -1 "$T/o" | grep -q "^Usage: $t "
		"$t" --version >"$T/o" 2>"$T/e"
		[ ! -s "$T/e" ]
		grep -qE "^$t [0-9]+\.[0-9]+\.[0-9]+\$" "$T/o"
	done
	[ "$(for t in $TOOLS; do "$t" --version; done | awk '{ print $2 }' | sort -u | wc -l)" -eq 1 ]
}

@test "--help into a full disk is a failure" {
	for t in $TOOLS; do
		rc=0
		"$t" --help >/dev/full 2>"$T/e" || rc=$?
		[ "$rc" -eq 1 ] || { echo "$t: exit $rc"; return 1; }
		said "$T/e" "$t: writing: standard output: No space left on device"
	done
}

@test "a tool started without standard input, output or error fails if it needs them, and opens no file in their place" {
	for t in $TOOLS; do
		reading "$t" "$(input_of "$t")"
		rc=0
		"${cmd[@]}" >&- 2>"$T/e" || rc=$?
		[ "$rc" -eq 1 ] || { echo "$t without standard output: exit $rc"; cat "$T/e"; return 1; }
		said "$T/e" "Bad file descriptor"
	done
	fails 1 "e3-cat: reading: standard input: failed: Bad file descriptor" -- bash -c 'e3-cat <&-'
	# The files opened next would get the free numbers: messages, and what goes to standard output, must not land in them.
	e3-infer --model seed:tiny:7 --segment 0 --budget 2f -v -o "$T/out/x.e3" "$frames" <&- >&- 2>&-
	e3-dump "$T/out/x.e3" | sed 's/ ms=[^ ]*//' >"$T/a"
	e3-dump "$preds" | sed 's/ ms=[^ ]*//' >"$T/b"
	[ "$(grep -c '^pred' "$T/a")" -eq 4 ]
	diff <(grep '^pred' "$T/a") <(grep '^pred' "$T/b")
	e3-export --glb "$T/out/x.glb" "$preds" 2>&-
	e3-export --glb "$T/out/y.glb" "$preds"
	cmp "$T/out/x.glb" "$T/out/y.glb"
}

@test "an unknown option and a missing argument are usage errors: exit 2 and a hint" {
	for t in $TOOLS; do
		fails 2 "$t: unknown" -- "$t" --no-such-option
		fails 2 "Try '$t --help'." -- "$t" --no-such-option
		[ ! -s "$T/stdout" ]
	done
	fails 2 "e3-decode: option --max-frames needs an argument" -- e3-decode --max-frames
	fails 2 "e3-decode: option --max-frames: expected" -- e3-decode --max-frames 1x clip.mp4
}

@test "a missing file is named: exit 1, nothing on standard output" {
	for t in $READERS; do
		reading "$t" "$T/absent"
		fails 1 "$t: " -- "${cmd[@]}"
		said "$T/stderr" "$T/absent"
			[ "$(wc -l <"$T/stderr")" -eq 1 ] || { cat "$T/stderr"; return 1; }
	done
}

@test "a directory, an empty file and a file of another kind are refused" {
	: >"$T/empty"
	head -c 5000 "$frames" | tail -c 4000 >"$T/noise"
	for t in $READERS; do
		who=$t
		[ "$t" != e3 ] || who=e3-decode # what it says is shown
		for f in "$T/empty" "$T/noise"; do
			reading "$t" "$f"
			fails 1 "$who: " -- "${cmd[@]}"
		done
		reading "$t" "$T/out" # an empty folder
		fails 1 "$who: " -- "${cmd[@]}"
	done
}

@test "binary output to a terminal is refused" {
	for t in e3-decode e3-infer e3-align e3-cat e3-scene; do
		rc=0
		reading "$t" "$(input_of "$t")"
		script -qec "${cmd[*]}" /dev/null </dev/null >"$T/o" 2>&1 || rc=$?
		[ "$rc" -ne 0 ] || { echo "$t wrote to a terminal"; return 1; }
		said "$T/o" "terminal"
		[ "$(wc -c <"$T/o")" -lt 500 ]
	done
}

@test "text may go to a terminal" {
	script -qec "e3-dump $frames" /dev/null </dev/null | grep -q head
}

@test "a full disk is a failure for every output" {
	for t in $TOOLS; do
		rc=0
		reading "$t" "$(input_of "$t")"
		"${cmd[@]}" >/dev/full 2>"$T/e" </dev/null || rc=$?
		[ "$rc" -eq 1 ] || { echo "$t: exit $rc"; cat "$T/e"; return 1; }
		said "$T/e" "No space left on device"
	done
	nothing_left
}

# Standard output is a pipe that has no reader any more (POLLERR).
reader_left() {
	/usr/bin/python3 -c 'import select; p = select.poll(); p.register(1, 0); exit(not p.poll(0))'
}

@test "every stage ends without a message when its reader exits, also when the parent ignored SIGPIPE" {
	for t in e3-decode e3-infer e3-align e3-cat e3-dump e3-scene; do
		reading "$t" "$(input_of "$t")"
		for ignored in no yes; do
			(
				[ $ignored = no ] || trap '' PIPE
				set +o pipefail
				# The tool starts when the reader has closed: then a write to the pipe fails.
				{ wait_until 10 reader_left; rc=0; "${cmd[@]}" 2>"$T/e" || rc=$?; echo "$rc" >"$T/rc"; } | :
			)
			[ "$(cat "$T/rc")" -eq 141 ] || { echo "$t: exit $(cat "$T/rc") (SIGPIPE ignored: $ignored)"; cat "$T/e"; return 1; }
			[ ! -s "$T/e" ] || { echo "$t was not quiet:"; cat "$T/e"; return 1; }
		done
	done
}

@test "a stage that fails sends the reason downstream, and every later stage reports that first failure" {
	# The folder's second picture is damaged where only decoding shows it.
	mkdir "$T/pictures"
	ffmpeg -v error -i "$DEMO/clip.mp4" -frames:v 2 "$T/pictures/%d.png"
	printf 'damage' | dd of="$T/pictures/2.png" bs=1 seek=3000 conv=notrunc status=none
	set +e
	e3-decode --strict "$T/pictures" 2>"$T/e1" | e3-infer --model seed:tiny:7 --no-evict 2>"$T/e2" | e3-cat 2>"$T/e3" |
		e3-export --glb "$T/out/x.glb" 2>"$T/e4"
	rc="${PIPESTATUS[*]}"
	set -e
	[ "$rc" = "1 1 1 1" ] || { echo "exit $rc"; cat "$T"/e?; return 1; }
	said "$T/e1" "e3-decode: "
	said "$T/e1" "2.png"
	for k in 2 3 4; do
		said "$T/e$k" "e3-decode"
		said "$T/e$k" "2.png"
	done
	said "$T/e4" "cut short: the 1 frame that came is kept in $T/out/x.glb.partial"
	rm "$T/out/x.glb.partial"
	nothing_left
}

@test "when a stage is killed, the next reports a truncated stream and the later ones name that stage" {
	mkfifo "$T/pictures"
	set +e
	{ e3-decode - <"$T/pictures" 2>"$T/e1" & echo $! >"$T/pid"; wait $!; echo $? >"$T/rc"; } |
		e3-infer --model seed:tiny:7 --no-evict 2>"$T/e2" | e3-export --glb "$T/out/x.glb" 2>"$T/e3" &
	set -e
	whole=$!
	exec 7>"$T/pictures"
	# Two pictures arrive, the third never does.
	ffmpeg -v error -i "$DEMO/clip.mp4" -frames:v 2 -f image2pipe -c:v ppm - >&7
	wait_until 10 all_read "$T/pictures"
	kill -9 "$(cat "$T/pid")"
	exec 7>&-
	wait_for 1 "$whole"
	[ "$(cat "$T/rc")" -eq 137 ]
	said "$T/e2" "e3-infer: "
	said "$T/e2" "truncated"
	said "$T/e3" "e3-export: "
	said "$T/e3" "e3-infer"
	said "$T/e3" "cut short: the 2 frames that came are kept in $T/out/x.glb.partial"
	rm "$T/out/x.glb.partial"
	nothing_left
}

# Starts e3-export on a fifo, sends it all of $preds but the end, sends SIGNAL.
interrupt_export() {
	mkfifo "$T/in"
	e3-export --glb "$T/out/x.glb" --ply "$T/out/x.ply" <"$T/in" 2>"$T/e" &
	pid=$!
	exec 7>"$T/in"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$preds" - 'del m[-1]' >&7
	wait_until 10 all_read "$T/in"
	kill -"$1" "$pid"
}

@test "SIGINT in the middle of a stream: the files are complete, exit 130" {
	interrupt_export INT
	wait_for 130 "$pid"
	exec 7>&-
	/usr/bin/python3 -B "$ROOT/tests/glb_facts.py" "$T/out/x.glb" >"$T/facts"
	said "$T/facts" "POINTS"
	head -2 "$T/out/x.ply" | grep -q 'format binary_little_endian'
	[ -z "$(find "$T/out" "$TMPDIR" -type f ! -name x.glb ! -name x.ply)" ]
}

@test "SIGTERM in the middle of a stream: the files are complete, exit 143" {
	interrupt_export TERM
	wait_for 143 "$pid"
	exec 7>&-
	/usr/bin/python3 -B "$ROOT/tests/glb_facts.py" "$T/out/x.glb" >/dev/null
}

@test "SIGINT to e3-infer and e3-decode: exit 130, and the next stage gets a stream with its end" {
	mkfifo "$T/in"
	e3-infer --model seed:tiny:7 --no-evict -o "$T/out/x.e3" <"$T/in" 2>"$T/e" &
	pid=$!
	exec 7>"$T/in"
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$frames" - 'del m[-1]' >&7
	all_computed() { [ "$(e3-dump "$T"/out/x.e3.tmp.* | grep -c '^pred')" -eq 4 ]; }
	wait_until 20 all_computed # it reads a frame ahead, which a signal leaves out
	kill -INT "$pid"
	wait_for 130 "$pid"
	exec 7>&-
	# Finished with the frames so far: a whole stream.
	[ "$(e3-dump "$T/out/x.e3" | grep -c '^pred')" -eq 4 ]
	mkfifo "$T/pictures"
	e3-decode - <"$T/pictures" >"$T/x.e3" 2>"$T/e" &
	pid=$!
	exec 7>"$T/pictures"
	ffmpeg -v error -i "$DEMO/clip.mp4" -frames:v 3 -f image2pipe -c:v ppm - >&7
	wait_until 10 all_read "$T/pictures"
	kill -INT "$pid"
	wait_for 130 "$pid"
	exec 7>&-
	e3-dump "$T/x.e3" >"$T/o"
	said "$T/o" "end"
}

# kept FILE FRAMES: of the output FILE there is only FILE.partial, which every tool reads to its end.
kept() {
	[ "$(find "${1%/*}" -name "${1##*/}*")" = "$1.partial" ]
	said "$T/stderr" "writing: $1: cut short: the $2 frame$([ "$2" -eq 1 ] && echo " that came is" || echo "s that came are") kept in $1.partial"
}

@test "output files are complete, or what came before a failure stays as FILE.partial" {
	head -c 300000 "$frames" >"$T/cut.e3"
	fails 1 "truncated" -- e3-cat -o "$T/out/x.e3" "$T/cut.e3"
	kept "$T/out/x.e3" 2
	fails 1 "truncated" -- e3-infer --model seed:tiny:7 --no-evict -o "$T/out/x.e3" "$T/cut.e3"
	kept "$T/out/x.e3" 2
	[ "$(e3-dump "$T/out/x.e3.partial" 2>/dev/null | cut -d' ' -f1 | tr '\n' ' ')" = "head pred evict pred evict end " ]
	rm "$T/out/x.e3.partial"
	head -c 300000 "$preds" >"$T/cut.e3"
	e3-cat -q --take 2 "$preds" >"$T/two.e3" # what is whole of it
	e3-export -q --glb "$T/two.glb" --tum "$T/two.tum" --depth-pfm "$T/two" "$T/two.e3"
	fails 1 "truncated" -- e3-export --glb "$T/out/x.glb" --tum "$T/out/x.tum" --run-json "$T/out/x.json" --depth-pfm "$T/out/x" --ply - "$T/cut.e3"
	[ ! -s "$T/stdout" ]
	said "$T/stderr" "writing: $T/out/x: cut short: the 2 frames that came are kept in it"
	diff -r "$T/out/x" "$T/two"
	rm -r "$T/out/x"
	for k in glb tum json; do
		kept "$T/out/x.$k" 2
	done
	cmp "$T/out/x.glb.partial" "$T/two.glb"
	cmp "$T/out/x.tum.partial" "$T/two.tum"
	grep -qE '"complete": ?false' "$T/out/x.json.partial"
	# A file that was there stays as it was, an earlier part is replaced, and nothing replaces nothing.
	echo old >"$T/out/x.glb"
	echo old >"$T/out/x.glb.partial"
	fails 1 "truncated" -- e3-export --glb "$T/out/x.glb" "$T/cut.e3"
	[ "$(cat "$T/out/x.glb")" = old ]
	cmp "$T/out/x.glb.partial" "$T/two.glb"
	head -c 300 "$preds" >"$T/cut.e3"
	fails 1 "truncated" -- e3-export --glb "$T/out/x.glb" "$T/cut.e3"
	cmp "$T/out/x.glb.partial" "$T/two.glb"
	rm "$T"/out/x.*
	nothing_left
}

@test "the message names a folder that cannot be" {
	fails 1 "e3-cat: opening: $frames/x.e3: creating a directory: $frames: exists and is not a directory" -- e3-cat "$frames" -o "$frames/x.e3"
	fails 1 "$preds: exists and is not a directory" -- e3-export --glb "$preds/x.glb" "$preds"
}

@test "no escape sequence from a file reaches the terminal" {
	name=$T/$(printf 'a\033[31mb\rc')
	for t in $READERS; do
		reading "$t" "$name"
		rc=0
		"${cmd[@]}" 2>"$T/e" </dev/null || rc=$?
		[ "$rc" -eq 1 ]
		! grep -q $'\033' "$T/e" || { echo "$t printed an escape sequence"; return 1; }
	done
}

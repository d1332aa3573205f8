#!/usr/bin/env bats
# The command e3: what it runs, where results go, what it says when a stage fails, help and doctor. tests/signals.py stops it.
load common

# A clip of three frames, and small networks.
setup_file() {
	export PATH="$B/bin:$PATH"
	cd "$BATS_FILE_TMPDIR" || return
	ffmpeg -v error -i "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" -frames:v 3 -c:v libx264 -pix_fmt yuv420p clip.mp4
	e3-scene -q --frames 3 --size 112x84 -o frames.e3
}

prepare() {
	f=$BATS_FILE_TMPDIR
	cd "$T" || return
	few=(--device cpu --threads 1)
}

# The results but for what holds times: names, and sums.
sums() { (cd "$1" && cksum cameras.tum mesh.glb points.ply scene.glb sheet.png); }

@test "e3 CLIP makes the folder; -n prints what it runs, and that makes the same with a shell, whatever the names" {
	name=$(printf -- "-it's \"my\"\n clip.mp4")
	cp "$f/clip.mp4" "./$name"
	e3 -n "${few[@]}" -o "$(printf "o'ut 1\n")" -- "$name" >run.sh
	[ ! -e "o'ut 1" ]
	e3 "${few[@]}" -o "$(printf "o'ut 1\n")" -- "$name" >list 2>err
	[ "$(grep -c . err)" -eq 1 ]
	grep -q '^e3-infer: this is the demo model' err
	for file in scene.glb mesh.glb points.ply cameras.tum sheet.png sheet.txt run.e3; do
		[ -s "o'ut 1/$file" ]
		grep -q "^o'ut 1/$file " list
	done
	grep -q '^3 frames in .* frames/s, on the CPU (no GPU)$' list
	[ "$(find "o'ut 1" -type f | wc -l)" -eq 7 ]
	mv "o'ut 1" first
	sh run.sh 2>/dev/null
	diff <(sums first) <(sums "o'ut 1")
	diff <(e3-dump first/run.e3 | sed 's/ ms=[^ ]*//; /^end/d') <(e3-dump "o'ut 1/run.e3" | sed 's/ ms=[^ ]*//; /^end/d')
	# without -o, the folder has the clip's name and lies here; a name with a dash in front is no option
	e3 -n -- "$name" | grep -qF 'scene.glb'
	e3 -n "$f/clip.mp4" >run.sh
	grep -qx 'mkdir -p -- clip.e3d' run.sh
	grep -q '^e3-decode --all ' run.sh
	grep -q '^    e3-infer --outputs pose,depth --P 0.5 |$' run.sh
}

@test "sources: a live one gets a budget, segments and loops; recordings are not made again; stages beside e3 come first" {
	e3 -n -o x lavfi:testsrc2 >run.sh
	grep -q '^    e3-infer --outputs pose,depth --budget 10f --loops |$' run.sh
	grep -q '^    e3-align |$' run.sh
	e3 -n rtsp://camera/stream | grep -qx 'mkdir -p -- stream.e3d'
	e3 -n - </dev/null | grep -qx 'mkdir -p -- out.e3d'
	# recorded frames, then recorded predictions; these may be in their folder
	e3 -q "${few[@]}" "$f/frames.e3" -o r.e3d
	before=$(cksum r.e3d/run.e3)
	rm r.e3d/cameras.tum
	e3 r.e3d/run.e3 >list
	[ -s r.e3d/cameras.tum ]
	[ "$(cksum r.e3d/run.e3)" = "$before" ]
	! grep -q run.e3 list || return 1
	fails 1 "these are results of e3: e3 r.e3d/run.e3 makes them again" -- e3 r.e3d
	fails 2 "e3: option --budget is for e3-infer, which has nothing to do: r.e3d/run.e3 holds predictions already" -- e3 --budget 3f r.e3d/run.e3
	# a recording that lacks its beginning has no sheet
	e3-cat -q --skip 1 r.e3d/run.e3 part.e3
	e3 -n part.e3 >run.sh
	! grep -q evict-stats run.sh || return 1
	# where PATH has none, or another one
	mkdir bin
	printf '#!/bin/sh\nexit 1\n' >bin/e3-infer
	chmod +x bin/e3-infer
	PATH=$T/bin:$PATH "$B/bin/e3" -n "$f/clip.mp4" | grep -q "^    $B/bin/e3-infer "
	PATH=/usr/bin:/bin "$B/bin/e3" -n "$f/clip.mp4" | grep -q "^$B/bin/e3-decode "
}

@test "options go to the stage that has them; a mistake names the nearest, or the stages to choose from" {
	e3 -n -b 5f --every=0.1 --voxel 0.01 --columns 3 --infer.timeout 5 --fit-mode long "$f/clip.mp4" >run.sh
	grep -q '^e3-decode --every 0.1 ' run.sh
	grep -q '^    e3-infer --outputs pose,depth --budget 5f --timeout 5 --fit-mode long |$' run.sh
	grep -q 'e3-evict-stats .* --columns 3 |$' run.sh
	grep -q 'e3-export .* --voxel 0.01$' run.sh
	! grep -q max-points run.sh || return 1
	e3 -n --glb other.glb "$f/clip.mp4" >run.sh
	grep -q -- '--glb other.glb' run.sh
	! grep -q scene.glb run.sh || return 1
	fails 2 "e3: unknown option --budgte: is --budget, of e3-infer, meant?" -- e3 --budgte 10f clip.mp4
	fails 2 "e3: unknown option --ouput: is --output meant?" -- e3 --ouput x clip.mp4
	fails 2 "e3: unknown option --qqqqqqqq: neither e3 nor a stage has it" -- e3 --qqqqqqqq clip.mp4
	fails 2 "say which: --decode.timeout, --infer.timeout, " -- e3 --timeout 5 clip.mp4
	fails 2 "e3-infer has no --columns" -- e3 --infer.columns 5 clip.mp4
	fails 2 "option --budget needs an argument" -- e3 clip.mp4 --budget
	# nothing is written by -n, and no stage leaves the next one without a stream
	for o in --decode.png=p --decode.output=p --infer.output=p --plan --streams=2 --list --infer.help; do
		fails 2 "passes no stream on: run e3-" -- e3 -n "$o" "$f/clip.mp4"
	done
	[ ! -e p ]
	fails 2 "option --loops of e3-infer takes no argument" -- e3 --loops=3 clip.mp4
	fails 2 "no input: give a video" -- e3
	fails 2 "Try 'e3 --help'." -- e3 --budgte 10f
	# The list that they come from is that of --help.
	for t in $(sed -n 's/^TOOLS := //p' "$ROOT/Makefile"); do
		diff <("$t" --list-options | cut -f1 | sort -u) <("$t" --help | sed -nE 's/^ +(-[A-Za-z0-9], )?--([A-Za-z0-9-]+).*/\2/p' | sort -u)
	done
}

@test "the reason of the stage that failed comes first and alone, and its status is e3's" {
	few+=(--model seed:tiny:7)
	one_line() { [ "$(wc -l <"$T/stderr")" -eq 1 ] || { cat "$T/stderr"; return 1; }; }
	fails 1 "e3: opening: absent.mp4: No such file or directory" -- e3 absent.mp4
	one_line
	[ ! -e absent.e3d ]
	head -c 3000 "$DEMO/clip.mp4" >cut.mp4
	fails 1 "e3-decode: reading: cut.mp4: " -- e3 cut.mp4
	fails 1 "e3-infer: planning: --budget is too small" -- e3 --budget 1f "${few[@]}" "$DEMO/clip.mp4" --max-frames 3 -o x
	one_line
	fails 1 "e3-infer: reading model: opening: absent.st: No such file" -- e3 --model absent.st "$DEMO/clip.mp4" --max-frames 3 -o x -y
	one_line
	fails 2 "e3-infer: --P and --budget: give only one of them" -- e3 --P 0.5 --budget 3f "$DEMO/clip.mp4" --max-frames 3 -o x -y
	one_line
	fails 1 "No space left on device" -- e3 --tum /dev/full "${few[@]}" "$DEMO/clip.mp4" --max-frames 3 -o y
	one_line
	[ -s y/scene.glb ]
	grep -q '^y/scene.glb ' stdout
	# a folder in which nothing was made does not stay; no temporary folder is needed to look at a source
	fails 1 "e3-decode: reading: rtsp://127.0.0.1:1/x: Connection refused" -- e3 rtsp://127.0.0.1:1/x -o w
	one_line
	[ ! -e w ]
	# why no frame came, not what it means for the stages behind it
	fails 1 "e3-decode: reading: standard input: no frame was kept: the source is shorter than one interval" -- \
		bash -c 'cat "$1" | e3 --device cpu -o v -' - "$f/clip.mp4"
	one_line
	# a model in XDG_CACHE_HOME is not fetched
	mkdir -p c/e3
	echo none >c/e3/skyseg.onnx
	XDG_CACHE_HOME=$T/c fails 1 "skyseg.onnx: not an ONNX model" -- e3 --mask sky "${few[@]}" "$f/clip.mp4" -o w
	one_line
	XDG_CACHE_HOME=$T/c e3 doctor | grep -qE '^-- +masks .*skyseg.onnx: not an ONNX model'
	# a stage that is killed, or stopped alone
	mkdir bin
	printf '#!/bin/sh\n[ "$1" != --list-options ] || exec %q/bin/e3-infer "$@"\nkill -9 $$\n' "$B" >bin/e3-infer
	cp "$B/bin/e3" bin
	chmod +x bin/e3-infer
	fails 137 "e3-infer: killed by signal 9" -- bin/e3 "$DEMO/clip.mp4" --max-frames 3 -o z
	one_line
	sed -i 's/kill -9/exit 143 #/' bin/e3-infer
	fails 143 "e3-infer: stopped by signal 15" -- bin/e3 "$DEMO/clip.mp4" --max-frames 3 -o z
	one_line
	# everything with -v
	fails 1 "e3-infer: planning: --budget is too small" -- e3 -v --budget 1f "${few[@]}" "$DEMO/clip.mp4" --max-frames 3 -o x
	grep -q '^e3-export: e3-infer failed' stderr
}

@test "on a terminal: one line of progress; Ctrl-C leaves what there is and no noise; who types is asked before files are replaced" {
	typed() { # typed KEYS TEXT COMMAND: types the keys when the terminal shows the text
		/usr/bin/python3 -B "$ROOT/tests/typed.py" "$@" >seen
	}
	typed '' '' "e3 ${few[*]} -o x '$f/clip.mp4'"
	grep -q $'^\033\\[Kframe [0-9]* of 3' seen
	rc=0
	e3-decode -q --all --fit 70 --png small "$f/clip.mp4"
	typed $'\003' "frame " "{ cat small/*.png; sleep 20; } | e3 ${few[*]} --segment 0 --no-evict -o live -" || rc=$?
	[ "$rc" -eq 130 ]
	[ -s live/scene.glb ]
	[ "$(e3-dump live/run.e3 | grep -c '^pred')" -ge 1 ]
	! grep -E 'e3-[a-z]+:|Broken|interrupted' seen || return 1
	# the question, of e3 and of a stage whose input is a pipe
	cp x/scene.glb old.glb
	rc=0
	typed $'n\n' '[y/N]' "e3 ${few[*]} -o x '$f/clip.mp4'" || rc=$?
	[ "$rc" -eq 1 ]
	grep -q 'e3: x/.* and 5 more files in x exist: replace them? \[y/N\]' seen
	cmp x/scene.glb old.glb
	rc=0
	typed $'n\n' '[y/N]' "e3-cat x/run.e3 | e3-export --glb old.glb --max-points 9" || rc=$?
	[ "$rc" -eq 1 ]
	grep -q 'e3-export: old.glb stays as it was' seen
	cmp x/scene.glb old.glb
	typed $'y\n' '[y/N]' "e3-cat x/run.e3 | e3-export --glb old.glb --max-points 9"
	! cmp -s x/scene.glb old.glb || return 1
	# a question that waits at another terminal holds up nobody
	/usr/bin/python3 -B "$ROOT/tests/typed.py" x never "e3-export --glb old.glb --max-points 9 x/run.e3" >/dev/null 3>&- &
	pid=$!
	asks() { [ -n "$(find /proc/[0-9]*/fd -lname /dev/tty 2>/dev/null)" ]; }
	wait_until 10 asks
	typed $'y\n' '[y/N]' "e3-export --max-points 9 --glb old.glb x/run.e3"
	kill $pid
	# not with -y, not in a script, and not without a terminal
	typed '' '' "e3-export -y --glb old.glb x/run.e3"
	! grep -q 'y/N' seen || return 1
	echo "e3-export --max-points 9 --glb old.glb x/run.e3" >script
	typed '' '' "sh script; true"
	! grep -q 'y/N' seen || return 1
	! cmp -s x/scene.glb old.glb || return 1
}

@test "e3 help finds a page by any name, e3 doctor says what is there" {
	MANPAGER=cat PAGER=cat e3 help infer | grep -qi 'e3-infer'
	fails 2 "help: there is no 'infr': is e3-infer meant?" -- e3 help infr
	mkdir bin
	cp "$B/bin/e3" bin
	PATH=$T/bin:$B/bin e3 help export | grep -q '^Usage: e3-export' # there is no man
	e3 doctor >out
	grep -qE '^ok +tools +e3 [0-9.]+ and its stages' out
	grep -qE '^(ok|--) +GPU +' out
	grep -qE '^(ok|--) +masks ' out
	grep -qE '^-- +model +e3-demo-rooms, ' out
	grep -qE '^ok +libraries .*libzmq' out
	grep -qE '^ok +disk ' out
	# stopped
	printf '#!/bin/sh\nkill -INT $PPID\n' >bin/e3-infer
	chmod +x bin/e3-infer
	rc=0
	bin/e3 doctor >out 2>&1 || rc=$?
	[ "$rc" -eq 130 ]
	! grep -E 'e3-infer|GPU|model' out || return 1
	# it does not start
	printf '#!/bin/sh\nexit 127\n' >bin/e3-infer
	fails 1 "bin/e3-infer: it does not run: is a library missing" -- bin/e3 --P 0.5 "$DEMO/clip.mp4"
	rc=0
	E3_MODEL=$T/absent e3 doctor >out || rc=$?
	[ "$rc" -eq 1 ]
	grep -qE '^BAD +model .*absent' out
	grep -q 'E3_MODEL' out
}

@test "--colmap makes a model with the source's pictures; --mask sky runs e3-mask and fetches its model" {
	e3 -q "${few[@]}" --colmap -o c "$f/clip.mp4" 2>/dev/null
	[ "$(find c/colmap/images -type f | wc -l)" -eq 3 ]
	[ -s c/colmap/sparse/0/cameras.bin ]
	e3 -n --mask sky "$f/clip.mp4" >run.sh
	grep -qx '    e3-mask --sky |' run.sh
	grep -q 'e3-export .* --mask sky$' run.sh
	mkdir masks
	printf 'P5 1 1 255 x' | tee masks/{a,b,c}.pgm >/dev/null
	e3 -q "${few[@]}" --mask.from masks --mask.class sky --mask sky -o m "$f/clip.mp4" 2>/dev/null || true # all is masked
	e3-dump m/run.e3 | grep -q '^mask '
	HOME=$T HF_ENDPOINT=http://127.0.0.1:1 fails 1 "skyseg" -- e3 -y --mask sky "$f/clip.mp4" -o n
	[ ! -e n ]
}

@test "--view runs e3-view in front of e3-export, and says where the page is" {
	e3 -n --view "$f/clip.mp4" | grep -q '^    e3-view --pass |$'
	e3 -n --listen 127.0.0.1:0 "$f/clip.mp4" | grep -q '^    e3-view --pass --listen 127.0.0.1:0 |$'
	e3 --view --listen 127.0.0.1:0 "${few[@]}" -o x "$f/frames.e3" >list 2>err
	grep -q '^e3-view: the page: http://127.0.0.1:[0-9]*/$' err
	[ -s x/scene.glb ]
	grep -q '^x/run.e3 .*e3-view' list
	fails 2 "option --html: with it e3-view passes no stream on" -- e3 --html x.html "$f/clip.mp4"
}

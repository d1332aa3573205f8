#!/usr/bin/env bats
# No output of a run is one of its inputs, or another of its outputs: refused with exit 2 before anything is opened (e3(7), CONDUCT).
load common

setup_file() {
	PATH="$B/bin:$PATH"
	f=$BATS_FILE_TMPDIR
	mkdir "$f/pics"
	cd "$f" || return
	cp "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" .
	e3-scene -q --frames 3 --size 28x28 -o s.e3
	e3-model seed --config tiny --seed 7 -o m.st
	e3-infer -q --device cpu --model m.st --budget 3f s.e3 -o p.e3
	e3-decode -q --max-frames 3 --fit 28 --png pics clip.mp4
}

prepare() {
	cp -r "$BATS_FILE_TMPDIR/." "$T/"
	cd "$T" || return
}

# refused TEXT COMMAND: by the shell, so that it may redirect; with exit 2 and the text; and nothing has changed.
refused() {
	local rc=0 before after
	before=$(contents)
	bash -c "$2" >/dev/null 2>"$T.stderr" || rc=$?
	after=$(contents)
	[ "$rc" -eq 2 ] || { echo "exit $rc, expected 2: $2"; cat "$T.stderr"; return 1; }
	grep -qF -- "$1" "$T.stderr" || { echo "no '$1' from: $2"; cat "$T.stderr"; return 1; }
	[ "$before" = "$after" ] || { echo "changed by: $2"; diff <(echo "$before") <(echo "$after"); return 1; }
}
# What is in the folder: names, types, links, and when something was last done to them, which nobody can set.
contents() { find . -printf '%p %y %l %i %s %T@ %C@\n' | sort; }


@test "an output that is an input is refused" {
	I="e3-infer -q --device cpu --model m.st --budget 4f"
	ln -s clip.mp4 l.mp4
	refused "--output: clip.mp4 is the input: give the output another name" "e3-decode clip.mp4 -o clip.mp4"
	refused "--output: clip.mp4 is the input (l.mp4)" "e3-decode l.mp4 -o clip.mp4"
	refused "--output: s.e3 is the stream that is read" "$I s.e3 -o s.e3"
	refused "--output: s.e3 is standard input" "$I -o s.e3 <s.e3"
	refused "--save-cache: s.e3 is the stream that is read" "$I s.e3 --save-cache s.e3 -o o.e3"
	refused "--output: m.st is the file of --model" "$I s.e3 -o m.st"
	refused "p.e3 is the stream that is read" "e3-cat --take 1 p.e3 p.e3"
	refused "--tee: p.e3 is the stream that is read" "e3-cat p.e3 --tee p.e3 --take 1 -o o.e3"
	refused "standard output is the stream that is read (p.e3)" "e3-cat p.e3 >>p.e3"
	refused "--output: p.e3 is the stream that is read" "e3-evict-stats p.e3 -o p.e3"
	refused "--output: p.e3 is the file of --against" "e3-eval p.e3 --against p.e3 -o p.e3"
	refused "m.st is the checkpoint that is read" "e3-model convert --dtype f16 m.st m.st"
	refused "--tum: p.e3 is standard input" "e3-export --tum p.e3 <p.e3"
	refused "--png: pics is the input" "e3-decode --fit 70 --png pics pics"
}

@test "a folder that is written, and what is in it" {
	refused "--png pics would replace files such as pics/000000.png, which is the input" "e3-decode pics/0*.png --png pics"
	refused "--png: ./pics/ is the input (pics)" "e3-decode pics --png ./pics/"
	refused "--png: pics is the input (pics/../pics)" "e3-decode pics/../pics --png pics"
	refused "--output pics/000002.png is one of the files in pics, the input" "e3-decode pics -o pics/000002.png"
	ln -s pics/000002.png soft.png
	ln pics/000002.png hard.png
	refused "--output soft.png is one of the files in pics" "e3-decode pics -o soft.png"
	refused "--output hard.png is one of the files in pics" "e3-decode pics -o hard.png"
	refused "--png pics would replace files such as" "e3-decode - --png pics <pics/000001.png"
	# a folder of links: what is written there would go where they lead
	mkdir links
	ln -s ../pics/000000.png links/000005.png
	refused "links/000005.png is one of the files in pics" "e3-decode pics --png links"
	refused "--png: links/000005.png is the input (pics/000000.png)" "e3-decode pics/000000.png pics/000001.png --png links"
	# names that FFmpeg takes apart
	refused "--png: pics is the input" "e3-decode pics/%06d.png --png pics"
	refused "--png: pics is the input" "e3-decode --input-option pattern_type=glob 'pics/*.png' --png pics"
	refused "--output pics/000001.png is one of the files in pics/" "e3-decode pics/%06d.png -o pics/000001.png"
	refused "--output: clip.mp4 is the input" "e3-decode file:clip.mp4 -o clip.mp4"
	refused "--output: clip.mp4 is the input" "e3-decode 'concat:s.e3|clip.mp4' -o clip.mp4"
	# lists of files
	printf '%s\n' "ffconcat version 1.0" "# two" "file s.e3" "duration 1" "  file  'clip'\''.mp4'" >list.txt
	cp clip.mp4 "clip'.mp4"
	refused "--output: clip'.mp4 is the input" "e3-decode list.txt -o \"clip'.mp4\""
	refused "--output: s.e3 is the input (./s.e3)" "e3-decode ./list.txt -o s.e3"
	printf '#EXTM3U\nclip.mp4\nhttp://x/y.ts\n' >list.m3u8
	refused "--output: clip.mp4 is the input" "e3-decode list.m3u8 -o clip.mp4"
	# two outputs in one place
	refused "--output new/frames.tsv is a file that --png new writes" "e3-decode clip.mp4 --png new -o new/frames.tsv"
	refused "--output new/summary.json is a file that --tsv new writes" "e3-evict-stats --tsv new -o new/summary.json p.e3"
	refused "--tsv pics and --png pics/. are the same folder" "e3-evict-stats --tsv pics --png pics/. p.e3"
	refused "--sheet pics/tokens.png is a file that --png pics writes" "e3-evict-stats --png pics --sheet pics/tokens.png p.e3"
	refused "--results: pics is the folder of --truth" "e3-eval --truth pics --results pics p.e3"
	mkdir results
	cp p.e3 results/pred_traj.txt
	refused "--results results would replace files such as results/pred_traj.txt, which is the input" \
		"e3-eval pose --results results results/pred_traj.txt"
	refused "--depth and --depth-pfm have the same name, d: give them different names" "e3-export --depth d --depth-pfm d p.e3"
	refused "--depth: pics is the folder of --mask-dir" "e3-export --depth pics --mask-dir pics p.e3"
	refused "--glb pics/000000.png is one of the files in pics, the folder of --mask-dir" \
		"e3-export --glb pics/000000.png --mask-dir pics p.e3"
}

@test "data sets: the files of the root, and an output for each sequence" {
	e3-scene -q --as tum --sequence rgbd_dataset_a --frames 2 --size 32x24 tum
	picture=$(find tum -name '*.png' | head -n 1)
	[ -n "$picture" ]
	refused "--output $picture is one of the files in tum, the folder of --root" "e3-decode --dataset tum --root tum -o $picture"
	ln -s "$picture" soft
	refused "--output soft is one of the files in tum" "e3-decode --dataset tum --root tum -o soft"
	refused "--output: tum is the folder of --root" "e3-decode --dataset tum --root tum -o tum"
	# the name of a sequence is put in when it is known
	cp s.e3 rgbd_dataset_a
	refused "--output: rgbd_dataset_a is the file of --curve-key" \
		"e3-decode --dataset tum --root tum --sequence '*' --curve-key rgbd_dataset_a -o %s"
}

@test "a model that is found by default, keys, operands" {
	I="e3-infer -q --device cpu s.e3"
	refused "--output: m.st is the model that \$E3_MODEL names (./m.st)" "E3_MODEL=./m.st $I -o m.st"
	mkdir -p home/.cache/e3
	cp m.st home/.cache/e3/m.safetensors
	refused "is the model that is read" "HOME=\$PWD/home $I --save-cache home/.cache/e3/m.safetensors"
	refused "standard output is the checkpoint that is read (m.st)" "e3-model list m.st >>m.st"
	ln m.st hard.st
	refused "hard.st is the checkpoint that is read (m.st)" "e3-model convert m.st hard.st"
	cp m.st m.st.tmp.7
	refused "m.st: writing it removes m.st.tmp.7, which is the checkpoint that is read" "e3-model convert m.st.tmp.7 m.st"
	refused "--tee ./p.e3 and p.e3 are the same file" "e3-cat s.e3 --tee ./p.e3 p.e3"
	refused "--tee ./new and new are the same file" "e3-cat s.e3 --tee ./new new"
	ln -s k k.pub
	refused "--keygen k and --keygen k.pub are the same file" "e3-cat --keygen k"
	refused "only one output can be standard output" "e3-cat s.e3 --tee -"
	refused "only one output can be standard output" "e3-evict-stats --pass -o - p.e3"
	refused "--tee p.e3 and standard output are the same file" "e3-cat s.e3 --tee p.e3 >>p.e3"
	refused "--output p.e3 and standard output are the same file" "e3-infer s.e3 -o p.e3 >>p.e3"
	refused "s.e3 is the file of --then" "e3-cat p.e3 --then s.e3 s.e3"
}
@test "a later stage does not write onto what the first one reads" {
	I="e3-infer -q --device cpu --model seed:tiny:7 --budget 3f"
	no_stage() { # TEXT COMMAND
		local rc=0
		bash -c "$2" >/dev/null 2>"$T.stderr" || rc=$?
		[ "$rc" -eq 1 ] || { echo "exit $rc: $2"; cat "$T.stderr"; return 1; }
		grep -qF -- "$1: give the output another" "$T.stderr" || { cat "$T.stderr"; return 1; }
	}
	sums() { find . -type f -exec cksum {} + | sort; }
	sums >"$T.before"
	no_stage "--output: clip.mp4 is the source of the stream" "e3-decode --max-frames 2 clip.mp4 | $I -o clip.mp4"
	no_stage "clip.mp4 is the source of the stream (./clip.mp4)" "e3-decode --max-frames 2 ./clip.mp4 | e3-cat - clip.mp4"
	no_stage "--depth: pics is the source of the stream" "e3-decode pics | $I | e3-export --depth pics"
	no_stage "--png pics would replace files such as pics/000000.png, which is the source of the stream" \
		"e3-decode pics/000000.png | $I | e3-evict-stats --png pics"
	sums | diff "$T.before" -
	# a recorded stream says it too; where the name leads to nothing, or to another file, there is no clash
	e3-decode --max-frames 2 clip.mp4 | $I -o run.e3
	no_stage "--glb: clip.mp4 is the source of the stream" "e3-export --glb clip.mp4 run.e3"
	mkdir other
	cd other
	e3-export -q --conf-pct 0 --glb clip.mp4 ../run.e3
	e3-export -q --conf-pct 0 --glb clip.mp4 ../run.e3
	no_stage "--glb: ../clip.mp4 is the source of the stream" "e3-export --glb ../clip.mp4 ../run.e3"
}

@test "what is left of a failed run is not replaced while it is read" {
	e3-scene -q --frames 20 --size 70x70 -o long.e3
	mv long.e3 run.e3.partial
	sum=$(cksum <run.e3.partial)
	rc=0
	(ulimit -f 100 && e3-cat run.e3.partial -o run.e3) 2>"$T.stderr" || rc=$?
	[ "$rc" -eq 1 ] || { cat "$T.stderr"; return 1; }
	[ "$(cksum <run.e3.partial)" = "$sum" ] || { echo replaced; ls -l; cat "$T.stderr"; return 1; }
	e3-cat run.e3.partial -o run.e3
	[ "$(cksum <run.e3.partial)" = "$sum" ]
}

@test "what is no clash" {
	e3-evict-stats -q --tsv . --png charts --sheet sheet.png -o report p.e3
	e3-cat <p.e3 --tee /dev/null -o /dev/null
	e3-decode -q --png . clip.mp4 --max-frames 2 -o pics/run.e3
	e3-decode -q pics -o pics/run.e3 # again: it is no picture
	e3-decode -q pics --png pics/out
	e3-decode -q --png . clip.mp4 --max-frames 2 # those of before are replaced
	e3-eval -q depth --truth s.e3 --png . --results results -o p.txt p.e3
	# a saved session is read whole before it is written
	I="e3-infer -q --device cpu --model seed:tiny:7"
	e3-cat --take 2 s.e3 | $I --budget 3f --save-cache c -o 1.e3
	cp c before
	$I --load-cache c --save-cache ./c s.e3 -o 2.e3
	! cmp -s c before || return 1
	e3-cat 1.e3 --then 2.e3 joined.e3
	# one file may be read twice
	e3-eval -q --against p.e3 p.e3 >/dev/null
	mkfifo fifo
	cat fifo >copy &
	e3-cat p.e3 -o fifo
	wait
	cmp copy p.e3
}

# --- the matrix: every output option of every tool, and every input that it takes ---

# What the options read and write, as the tables say it.
options() { [ -s "$BATS_FILE_TMPDIR/options" ] || /usr/bin/python3 "$ROOT/tests/claims.py" "$ROOT" >"$BATS_FILE_TMPDIR/options"; cat "$BATS_FILE_TMPDIR/options"; }
of() { options | awk -v t="$1" -v r="$2" '$1 == t && $2 == r { print $3 }'; } # of TOOL reads|writes: its options

# Files for every input of a tool, and the command line that names them all, in `line`. None is opened: a refusal comes before.
inputs_of() { # TOOL
	local o
	line=("$1") inputs=()
	for o in $(of "$1" reads); do
		line+=("--$o" "in.$o")
		inputs+=("in.$o")
	done
	case $1 in e3-scene) ;; *) inputs+=(in.operand) ;; esac
	case $1 in e3-decode) line+=(--dataset kitti) ;; e3-export) line+=(--colmap out.colmap) ;; esac # which some of them need
	for o in "${inputs[@]}"; do
		echo "$o" >"$o"
		ln -s "$o" "soft.$o"
		ln "$o" "hard.$o"
	done
}

# no TEXT COMMAND...: refused with the text. What it may have changed is looked at once for many of them.
no() {
	local rc=0
	"${@:2}" >/dev/null 2>"$T.stderr" </dev/null || rc=$?
	no_was "$@"
}
no_was() {
	local said
	read -rd '' said <"$T.stderr" || true
	[ "$rc" -eq 2 ] || { echo "exit $rc, expected 2: ${*:2}: $said"; return 1; }
	[[ $said == *"$1"* ]] || { echo "no '$1' from: ${*:2}: $said"; return 1; }
}

# matrix TOOL: each output against each input: by name, by links, by other spellings in turn, so that every output and every input
# meets several of them, and the first output with the first input all; by standard input.
matrix() {
	local tool=$1 out in name names rc line inputs before turn=0
	inputs_of "$tool"
	before=$(contents)
	for out in $(of "$tool" writes); do
		for in in "${inputs[@]}"; do
			# the one may be replaced, the other takes no operand
			case $out-$in in save-cache-in.load-cache | keygen-in.operand) continue ;; esac
			names=("$in" "./$in" "soft.$in" "hard.$in" "../${PWD##*/}//$in")
			[ "$turn" -eq 0 ] || names=("${names[turn % 5]}")
			turn=$((turn + 1))
			for name in "${names[@]}"; do
				no "--$out: $name is " "${line[@]}" "--$out" "$name" in.operand
			done
		done
		turn=$((turn + ${#inputs[@]} % 5 == 0)) # (else an input would always be spelled alike)
		case $tool-$out in e3-scene-* | e3-cat-keygen) continue ;; esac
		rc=0
		"${line[@]}" "--$out" soft.in.operand - >/dev/null 2>"$T.stderr" <in.operand || rc=$?
		no_was "--$out: soft.in.operand is standard input" "${line[@]}" "--$out"
	done
	[ "$before" = "$(contents)" ] || { diff <(echo "$before") <(contents); return 1; }
	# Standard output is an output too.
	for in in "${inputs[@]}"; do
		rc=0
		"${line[@]}" in.operand >>"hard.$in" 2>"$T.stderr" </dev/null || rc=$?
		no_was "standard output is " "${line[@]}" ">>hard.$in"
	done
	[ "$(contents | cut -d' ' -f1-4)" = "$(cut -d' ' -f1-4 <<<"$before")" ]
}

# twins TOOL: each pair of its outputs as one file: one that is there, by its links; one that is not yet, by other spellings. In turn,
# and the first pair all.
twins() {
	local tool=$1 a b before all rc which turn=0
	echo old >have
	ln have hard.have
	ln -s have soft.have
	ln -s new dangling
	before=$(contents)
	mapfile -t all < <(of "$tool" writes)
	for a in "${all[@]}"; do
		for b in "${all[@]}"; do
			[ "$a" != "$b" ] || break
			turn=$((turn + 1))
			for which in $([ "$turn" -eq 1 ] && echo 0 1 2 3 4 || echo $((turn % 5))); do
				case $which in
				0) no "are the same " "$tool" "--$a" have "--$b" hard.have in.operand ;;
				1) no "are the same " "$tool" "--$a" soft.have "--$b" ./have in.operand ;;
				2) no "are the same " "$tool" "--$a" new "--$b" pics/../new in.operand ;;
				3) no "are the same " "$tool" "--$a" dangling "--$b" new in.operand ;;
				4) no "have the same name, new" "$tool" "--$b" new "--$a" new in.operand ;;
				esac
			done
		done
		rc=0
		"$tool" "--$a" soft.have in.operand >>have 2>"$T.stderr" || rc=$?
		no_was "standard output" "$tool --$a soft.have >>have"
	done
	[ "$before" = "$(contents)" ] || { diff <(echo "$before") <(contents); return 1; }
}

@test "every option that names a file says whether it is read or written" {
	options >all
	[ "$(wc -l <all)" -gt 60 ]
	grep unknown all && return 1
	# Those that the matrix below knows nothing of are found here.
	[ "$(cut -d' ' -f1 all | sort -u | wc -l)" -eq "$(find "$ROOT/cmd" -mindepth 1 -maxdepth 1 | wc -l)" ]
}

@test "matrix: e3-decode" {
	matrix e3-decode
	twins e3-decode
}

@test "matrix: e3-infer" {
	matrix e3-infer
	twins e3-infer
}

@test "matrix: e3-align" {
	matrix e3-align
	twins e3-align
}

@test "matrix: e3-mask" {
	matrix e3-mask
	twins e3-mask
	mv m.st m.onnx
	refused "--output: m.onnx is the model that is read" "e3-mask --sky m.onnx s.e3 -o m.onnx"
}

@test "matrix: e3-export" {
	matrix e3-export
	twins e3-export
}

@test "matrix: e3-eval" {
	matrix e3-eval
	twins e3-eval
}

@test "matrix: e3-evict-stats" {
	matrix e3-evict-stats
	twins e3-evict-stats
}

@test "matrix: e3-view" {
	matrix e3-view
	twins e3-view
}

@test "matrix: e3-cat" {
	matrix e3-cat
	twins e3-cat
}

@test "matrix: e3-scene" {
	matrix e3-scene
	twins e3-scene
}

@test "matrix: e3-model, e3-dump" {
	local name rc command
	ln m.st hard.st
	ln -s m.st soft.st
	before=$(contents)
	for name in m.st ./m.st pics/../m.st hard.st soft.st "$PWD//m.st"; do
		no "$name is the checkpoint that is read" e3-model convert m.st "$name"
		no "$name is the checkpoint that is read" e3-model convert --drop-track soft.st "$name"
		for command in "e3-model list" "e3-model check --json" "e3-dump" "e3-dump --json --full"; do
			rc=0
			$command "$name" >>hard.st 2>"$T.stderr" || rc=$?
			no_was "standard output is the " "$command $name"
		done
		rc=0
		e3-dump <"$name" >>soft.st 2>"$T.stderr" || rc=$?
		no_was "standard output is standard input" "e3-dump <$name"
	done
	[ "$before" = "$(contents)" ]
}

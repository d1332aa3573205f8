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
# What is in the folder: names, types, links, bytes.
contents() { find . -printf '%p %y %l %i %T@\n' | sort && find . -type f -exec cksum {} + | sort; }

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

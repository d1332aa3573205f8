#!/usr/bin/env bats
# The commands of README.md, as they are printed: those that need no network, GPU, camera or hours are run from beginning to end in one
# shell, the others are checked as far as that goes without them (names, options, targets). The clips are shortened.
load common

# Lines that are not run. Each is checked by "what is not run".
NOT_RUN='^(make |e3-model fetch|e3 -y|e3 --mask sky|e3 -o room /dev/|e3 --view|e3-view clip)'

# The blocks that are indented by four spaces, without the one above the first heading (a synopsis).
commands() { sed -n '/^## /,$p' "$ROOT/README.md" | sed -n 's/^    \([^ ].*\)/\1/p'; }

@test "README's commands run as they are printed, one after the other" {
	# a tree with the tools and a clip of six frames, and a user without a checkpoint
	cd "$T" || return 1
	mkdir -p tree/pipelines/demo home
	ln -s "$B" tree/build
	ln -s "$ROOT/pipelines/recipes" tree/pipelines/recipes
	ffmpeg -v error -i "$DEMO/clip.mp4" -frames:v 6 -c:v libx264 -pix_fmt yuv420p tree/pipelines/demo/clip.mp4
	commands | grep -vE "$NOT_RUN" | sed "s/--frames 12/--frames 6/" >session.sh
	[ "$(grep -cE '^(e3|\.\./)' session.sh)" -ge 15 ]
	(cd tree && HOME=$T/home XDG_CACHE_HOME=$T/home PATH=/usr/local/bin:/usr/bin:/bin timeout 900 bash -e -o pipefail ../session.sh) >out 2>err || {
		echo "exit $?"
		tail -n 5 err
		return 1
	}
	cd tree/out || return 1
	# what README says is made
	sed -n 's/^| `\([a-z]*\.[a-z0-9]*\)` | .*/\1/p' "$ROOT/README.md" | sort >"$T/promised"
	[ "$(wc -l <"$T/promised")" -eq 6 ]
	for f in $(cat "$T/promised"); do [ -s "clip.e3d/$f" ] || { echo "no clip.e3d/$f"; return 1; }; done
	for f in splats/colmap/transforms.json metres/scene.glb run.glb run-mesh.glb run.tum run.ply far.e3 room.e3; do [ -s $f ] || { echo "no $f"; return 1; }; done
	# (more points than fit into a buffer)
	[ "$(stat -c %s clouds/room-gt.ply)" -gt 1000000 ]
	for d in depth pictures charts clouds splats2/colmap/images scan all/clip rules; do [ -n "$(ls $d)" ] || { echo "nothing in $d"; return 1; }; done
}

@test "what is not run: options exist, e3 knows the pipeline, the Makefile has the targets" {
	local line words t w targets=()
	commands | grep -E "$NOT_RUN" | sed 's/  *#.*//' >"$T/lines"
	[ "$(wc -l <"$T/lines")" -ge 4 ]
	clip=$DEMO/clip.mp4
	while read -r line; do
		read -ra words <<<"$line"
		case $line in
		'make '*) targets+=("${words[@]:1}") ;;
		'e3-model fetch '*) e3-model fetch --help | grep -qw "${words[2]}" ;;
		'e3-view '*)
			grep -q "127.0.0.1:8033" <(e3-view --help)
			[ "${words[*]}" = "e3-view clip.e3d/run.e3" ]
			;;
		e3\ *)
			line=${line//\/dev\/video0/lavfi:testsrc2} # a camera that is there
			(cd "$T" && eval "e3 -n ${line#e3 }") >"$T/printed"
			grep -q '^    e3-infer ' "$T/printed"
			;;
		*) echo "unchecked: $line"; return 1 ;;
		esac
	done <"$T/lines"
	# targets of the text too
	for t in $(grep -oE '`make [a-z -]+' "$ROOT/README.md" | cut -d' ' -f2-); do targets+=("$t"); done
	[ ${#targets[@]} -ge 4 ]
	for t in "${targets[@]}"; do
		grep -qE "^([a-z -]* )?$t( [a-z -]*)?:" "$ROOT/Makefile" || { echo "make $t: no such target"; return 1; }
	done
}

@test "the tree may lie in a folder with a space in its name" {
	mkdir "$T/my code"
	ln -s "$ROOT"/* "$T/my code"
	rm "$T/my code/build" 2>/dev/null || true
	env -u B -u MAKEFLAGS -u MAKELEVEL make -n -C "$T/my code" all >"$T/would" 2>"$T/e" || { cat "$T/e"; return 1; }
	[ ! -s "$T/e" ]
	grep -q ' build/bin/e3-infer ' "$T/would"
}

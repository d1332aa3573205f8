#!/usr/bin/env bats
# The shape of the source (doc/design.md 5): which layer may include which, what each tool links, how long files and functions may be,
# and that comments cite sections that exist.
load common

prepare() {
	cd "$ROOT" || return 1
	# What a layer may include beside itself. A public header names its layer in its first words: "/* wire: ...".
	declare -gA may=(
		[base]="" [data]="base" [wire]="base data" [stage]="base data wire" [image]="base data" [picture]="base data image" [video]="base data image picture" [dev]="base"
		[model]="base data dev" [geom]="base data" [hold]="base data wire geom" [place]="base data geom" [graph]="base data geom place" [surface]="base data geom" [mask]="base data image" [export]="base data geom image mask surface"
		[sets]="base data geom image" [scene]="base data" [eval]="base data wire image model geom hold place export sets"
		[trace]="base data image" [view]="base data wire image geom trace hold" [track]="base data dev model geom"
	)
}

# The first line of a public header: "/* LAYER: ...". What is included is looked up by awk alone: a loop of the shell takes a minute here.
# forbidden ALLOWED FILE...: what these files include and their line of ALLOWED, "FOLDER: LAYER...", does not have; private headers of
# other folders included.
forbidden() {
	local allowed=$1
	shift
	awk '
	pass == 1 { split($0, a, ": *"); may[a[1]] = " " a[1] " " a[2] " " }
	pass == 2 && FNR == 1 { of[substr(FILENAME, 5)] = match($0, /^\/\* [a-z]*:/) ? substr($2, 1, length($2) - 1) : "" }
	pass == 3 && FNR == 1 {
		split(FILENAME, p, "/")
		own = p[2] == "e3" && p[1] == "lib" ? of["e3/" p[3]] : p[2]
		if (!(own in may))
			print FILENAME ": nothing is known of " own
	}
	pass == 3 && /^[ \t]*#[ \t]*include "[^"]+"/ {
		split($0, q, "\"")
		if (split(q[2], r, "/") == 1)
			next
		other = r[1] == "e3" ? of[q[2]] : r[1]
		seen++
		if (other == "" || !index(may[own], " " other " "))
			print FILENAME " (" own ") includes " (other == "" ? q[2] : other)
	}
	END { if (seen < 50) print "only " seen + 0 " lines of #include found" }' pass=1 "$allowed" pass=2 lib/e3/*.h pass=3 "$@"
}

@test "every public header names the layer it belongs to" {
	for h in lib/e3/*.h; do
		l=$(sed -n '1s|^/\* \([a-z]*\):.*|\1|p' "$h")
		[ -n "${may[${l:--}]+known}" ] || { echo "$h opens with '$(head -1 "$h")', not with '/* LAYER: '"; return 1; }
	done
}

@test "no two public headers define a type of the same name" {
	# A source could not include both.
	for h in lib/e3/*.h; do
		sed -nE 's/^(typedef .*|\})[ *(](e3_[a-z0-9_]+)(\)\(.*)?;.*/\2/p' "$h" | sort -u
	done | sort >"$T/types"
	[ "$(wc -l <"$T/types")" -gt 100 ]
	twice=$(uniq -d "$T/types")
	[ -z "$twice" ] || { echo "defined twice: $twice"; return 1; }
}

@test "every source file opens by saying what it owns" {
	bad=$(awk 'FNR == 1 && !/^\/\* [a-z0-9-]+: / { print FILENAME ": " $0 }' lib/*/*.[ch] cmd/*/*.[ch] && find lib cmd -name '*.[ch]' -empty)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

@test "an include only goes to a layer that may be included" {
	for l in "${!may[@]}"; do echo "$l: ${may[$l]}"; done >"$T/may"
	bad=$(forbidden "$T/may" lib/*/*.[ch])
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

@test "a tool includes only the layers its Makefile line names, and no private header" {
	sed -n 's/^USES_\([^ ]*\) :=/\1:/p' Makefile >"$T/uses"
	bad=$(forbidden "$T/uses" cmd/*/*.[ch])
	private=$(grep -HnE "#[ \t]*include \"($(IFS='|' && echo "${!may[*]}"))/" cmd/*/*.[ch] || true)
	[ -z "$bad$private" ] || { echo "$bad$private"; return 1; }
}

@test "the library neither prints nor exits" {
	# base owns the conduct of the tools (tool.c, leave.c) and the option table (opt.c).
	bad=$(grep -nE '\b(printf|puts|putchar|perror|exit|_exit|abort) *\(|\bfprintf *\( *std(out|err)' lib/*/*.c |
		grep -vE '^lib/base/(tool|leave|opt)\.c:' || true)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

@test "the library does not know the command line" {
	# base has the option table, stage the rows that the tools share.
	bad=$(grep -nE '"([^"\\]|\\.)*--[a-z]|#[ \t]*include "e3/(tool|opt)\.h"' lib/*/*.c | grep -vE '^lib/(base/(tool|progress|opt|ask)|stage/[a-z]+)\.c:' || true)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

@test "threads, JSON and option rows are made in one way" {
	bad=$(
		grep -nE '\bpthread_create *\(' lib/*/*.c cmd/*/*.c | grep -v '^lib/base/thread\.c:'
		grep -nE '\\"[a-z_]+\\" *:' lib/*/*.c cmd/*/*.c
		grep -nE 'E3_ROW_[A-Z]' lib/*/*.[ch] cmd/*/*.[ch] | grep -vE '^lib/(base/opt\.c|e3/opt\.h):'
		true
	)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

@test "only e3-decode links FFmpeg (without its devices) and libheif, only e3-infer BLAS, only e3-align SuiteSparse, only e3-export OpenEXR, only e3-view libwebsockets, nothing CUDA" {
	for t in "$B"/bin/e3 "$B"/bin/e3-*; do
		[ "$(head -c 2 "$t")" != "#!" ] || continue
		needs=$(readelf -d "$t" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')
		case ${t##*/} in
		e3-decode) allowed='libav(format|codec|util)|libsw|libheif|libtiff|libwebp|libzmq|libmsgpack|libpng|libturbojpeg|libjansson|libz\.' ;;
		e3-infer) allowed='libopenblas|libblas|libzmq|libmsgpack|libpng|libturbojpeg|libjansson|libz\.' ;;
		e3-align) allowed='libcholmod|libzmq|libmsgpack' ;;
		e3-evict-stats) allowed='libzmq|libmsgpack|libpng|libturbojpeg' ;;
		e3-export) allowed='libzmq|libmsgpack|libpng|libturbojpeg|libOpenEXRCore|libz\.' ;;
		e3 | e3-cat | e3-dump) allowed='libzmq|libmsgpack' ;;
		e3-scene) allowed='libzmq|libmsgpack|libpng|libturbojpeg|libjansson|libz\.' ;;
		e3-model) allowed='libjansson|libz\.|libcurl' ;;
		e3-mask) allowed='libzmq|libmsgpack|libpng|libturbojpeg|libz\.' ;;
		e3-eval) allowed='libzmq|libmsgpack|libpng|libturbojpeg|libjansson|libz\.' ;;
		e3-view) allowed='libwebsockets|libcap|libjansson|libzmq|libmsgpack|libpng|libturbojpeg' ;;
		*) echo "a tool this test does not know: $t"; return 1 ;;
		esac
		always='lib(c|m|dl|pthread|gcc_s|asan|ubsan)\.so|ld-linux'
		extra=$(grep -vE "^($always|$allowed)" <<<"$needs" || true)
		[ -z "$extra" ] || { echo "${t##*/} links $extra"; return 1; }
	done
}

@test "no file is longer than 500 lines" {
	bad=$(wc -l lib/*/*.[ch] cmd/*/*.[ch] tests/*.[ch] tests/*.bats tests/*.sh tests/*.py tests/fuzz/*.[ch] |
		awk '$1 > 500 && $2 != "total" { print $2 ": " $1 " lines" }')
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

@test "no function is longer than 100 lines" {
	ctags --version 2>/dev/null | grep -q Universal || skip "needs universal-ctags"
	ctags -f - --languages=C --c-kinds=f --fields=+ne lib/*/*.c cmd/*/*.c tests/*.c 2>/dev/null | awk -F'\t' '{
		first = last = 0
		for (i = 4; i <= NF; i++) {
			if ($i ~ /^line:/) first = substr($i, 6)
			if ($i ~ /^end:/) last = substr($i, 5)
		}
		functions++
		if (last - first >= 100) print $2 ": " $1 ": " last - first + 1 " lines"
	}
	END { if (functions < 100) print "only " functions + 0 " functions found" }' >"$T/long"
	[ ! -s "$T/long" ] || { cat "$T/long"; return 1; }
}

@test "every citation of doc/ names a section that exists" {
	tests/citations.py
}

@test "paths of source files in HACKING.md, README.md and doc/ exist" {
	tests/citations.py --paths
}

@test "a citation of a missing document, section or source file is reported" {
	# Written in pieces, so that this file holds no wrong citation itself.
	local d=doc/
	printf '/* dev: what (%snetwork.md 5.2,\n * 99.1). */\n' "$d" >"$T/section.c"
	printf '# see %snothing.md 1\n' "$d" >"$T/file.sh"
	printf 'lib/e3/data.h and lib/e3/nothing.h\n' >"$T/path.md"
	printf '/* %snetwork.md 5.1 to 5.3 and %sdesign.md 6, %sformats.md */\n' "$d" "$d" "$d" >"$T/good.c"
	tests/citations.py "$T/good.c"
	rc=0
	tests/citations.py --paths "$T/section.c" "$T/file.sh" "$T/path.md" >"$T/out" || rc=$?
	[ "$rc" -eq 1 ]
	[ "$(wc -l <"$T/out")" -eq 3 ]
	grep -q 'path.md:1: lib/e3/nothing.h does not exist$' "$T/out"
	grep -q 'section.c:1: doc/network.md has no section 99.1$' "$T/out"
	grep -q "file.sh:1: ${d}nothing.md does not exist\$" "$T/out"
}

@test "doc/design.md 5 has the table of layers that is checked here" {
	for l in "${!may[@]}"; do echo "$l: ${may[$l]}"; done | sed 's/ *$//' | sort >"$T/here"
	sed -n '/^## 5\. /,/^## 6\. /s/^    \([a-z]*\) *: \(.*\)/\1: \2/p' doc/design.md | sed 's/  .*//; s/ *(nothing)//' | sort >"$T/there"
	diff "$T/here" "$T/there"
}

#!/bin/bash
# Everything that can be said about the tree without running it: warnings are errors (gcc and clang), manual pages, shell,
# white space, traces of a particular machine. The rules about layers and lengths are tests (tests/layers.bats).
# tests/lint.sh [PART...]: gcc, clang, text; all without one.
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
rc=0
# A checkout that belongs to somebody else (CI runs as root) is still ours to list.
git() { command git -c safe.directory="$PWD" "$@"; }
complain() {
	echo "lint: $1" >&2
	rc=1
}

parts=" ${*:-gcc clang text} "
for part in $parts; do
	case $part in
	gcc | clang | text) ;;
	*) echo "usage: tests/lint.sh [gcc|clang|text]..." >&2; exit 2 ;;
	esac
done

if [[ $parts == *" gcc "* ]]; then
	make -s -j2 B="$B/lint-gcc" WERROR=1 OPT=-O2 TEST_OPT= CFLAGS=-g0 all units study || complain "gcc -Werror"
fi
if [[ $parts == *" clang "* ]] && command -v clang >/dev/null; then
	# That a loop was not vectorized as its pragma asks is no error: gcc does it. clang compiles once, for the fuzz targets; what is in
	# none of them it only reads, because optimization and code add no warning here.
	link=()
	! command -v mold >/dev/null || link=(LDFLAGS=-fuse-ld=mold)
	make -s -j"${LINT_JOBS:-2}" B="$B" "${link[@]}" WERROR=1 CFLAGS=-gline-tables-only fuzz-build || complain "clang -Werror"
	make -s -j"${LINT_JOBS:-2}" B="$B/lint-clang" CC=clang WERROR=1 OPT=-O0 CFLAGS=-fsyntax-only unfuzzed || complain "clang -Werror"
fi
[[ $parts == *" text "* ]] || exit "$rc"

mandoc -Tlint -W warning man/*.[1-9] || complain "mandoc"

mapfile -t shell < <(git ls-files '*.sh' .ci/run)
mapfile -t bats < <(git ls-files '*.bats' '*.bash')
shellcheck -x "${shell[@]}" || complain "shellcheck"
# Assignments in prepare() are used in the tests (2034, 2154); a test of exit status reads better with the command in front (2181).
shellcheck -x -s bats -e SC2034,SC2154,SC2181 -S warning "${bats[@]}" || complain "shellcheck of bats files"

# bash -e does not stop when A of "A && B" fails, so a test would go on: one check a line, or "|| return 1".
check='(\[\[? |test |grep |cmp |diff )'
grep -nE "^[ 	]*!? ?$check.* && !? ?$check" "${bats[@]}" | grep -v ' || ' && complain "a check that cannot fail: A of A && B"

mapfile -t text < <(git ls-files | grep -E '\.([chS]|cu|cuh|cpp|sh|bash|bats|md|py|[1-9])$|^(Makefile|\.ci/run|\.gitignore)$')
grep -nE '[ 	]+$' "${text[@]}" && complain "white space at the end of a line"
grep -nE '^	* +	' "${text[@]}" && complain "a space before a tab"
grep -n "$(printf '\r')" "${text[@]}" && complain "a carriage return"
for f in "${text[@]}"; do
	[ -z "$(tail -c1 "$f")" ] || complain "$f: no newline at its end"
done
mapfile -t c < <(git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp')
# Other versions of clang-format lay out some lines in another way: only version 14 decides.
format=$(command -v clang-format-14 || command -v clang-format)
if [ -n "$format" ] && "$format" --version | grep -q 'version 14\.'; then
	"$format" --dry-run -Werror "${c[@]}" 2>&1 | grep -F 'error:' | head -20
	[ "${PIPESTATUS[0]}" -eq 0 ] || complain "layout of C sources: run make format"
else
	echo "lint: skipped the layout of C sources: there is no clang-format 14"
fi

tests/citations.py --paths || complain "a citation of a document, a section or a source file that does not exist"

# Absolute paths of somebody's home or work folders have no place in the tree (this file spells them so that it does not match).
git grep -nIE '/(w[o]rk|h[o]me/[a-z]|r[o]ot|Us[e]rs)/' -- . ':!tests/fuzz/corpus' && complain "a path of one machine"
git grep -nIwE 'TO[D]O|FIX[M]E|XX[X]' -- . ':!tests/fuzz/corpus' && complain "unfinished work"
exit "$rc"

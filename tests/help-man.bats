#!/usr/bin/env bats
# --help, the manual page and the tool agree.
load common

TOOLS=$(sed -nE 's/^(TOOLS|SCRIPTS) := //p' "$BATS_TEST_DIRNAME/../Makefile" | paste -sd' ')

# What --help says, of every tool: hundreds of options are looked up in it.
setup_file() {
	for t in $TOOLS; do "$B/bin/$t" --help >"$BATS_FILE_TMPDIR/$t"; done
}

prepare() {
	tools=$TOOLS
	said=$BATS_FILE_TMPDIR
}

# Options as "letter name" or "- name" lines, sorted.
help_options() {
	sed -nE 's/^ +(-([A-Za-z0-9]), )?--([A-Za-z0-9-]+).*/\2 \3/p' "$said/$1" | sed 's/^ /- /' | sort
}
man_options() {
	sed -nE 's/^\.It Fl (([A-Za-z0-9]) , )?(Fl )?-([A-Za-z0-9-]+).*/\2 \4/p' "$ROOT/man/$1.1" | sed 's/^ /- /' | sort
}

@test "every tool has a manual page that is clean for mandoc" {
	for t in $tools; do
		[ -f "$ROOT/man/$t.1" ] || { echo "man/$t.1 is missing"; return 1; }
	done
	mandoc -Tlint -W warning "$ROOT"/man/*.[1-9]
}

@test "the options in --help are those in the manual page" {
	for t in $tools; do
		help_options "$t" >"$T/help"
		man_options "$t" >"$T/man"
		[ "$(wc -l <"$T/help")" -ge 4 ] || { echo "$t --help shows $(wc -l <"$T/help") options"; return 1; }
		diff "$T/help" "$T/man" >"$T/diff" || { echo "$t: --help (<) and man page (>) differ:"; cat "$T/diff"; return 1; }
	done
}

@test "the argument of every option is the same in --help and in the manual page" {
	for t in $tools; do
		sed -nE 's/^ +(-[A-Za-z0-9], )?--([A-Za-z0-9-]+) ([^ ]+).*/\2 \3/p' "$said/$t" | sort >"$T/help"
		# Without macros and blanks; where --help has a name for it, the manual may list the words instead.
		sed -nE 's/^\.It Fl ([A-Za-z0-9] , )?(Fl )?-([A-Za-z0-9-]+) (.*)/\3 \4/p' "$ROOT/man/$t.1" |
			sed -E 's/ (Ar|Cm|Ns|Oo|Oc|Op|Li)\b//g; s/ +//2g' | sort >"$T/man"
		bad=$(join -a 1 -a 2 -e none -o 0,1.2,2.2 "$T/help" "$T/man" | awk '$2 != $3 && !(index($3, "|") && !index($2, "|"))')
		[ -z "$bad" ] || { echo "$t: option, argument in --help, in the manual:"; echo "$bad"; return 1; }
	done
}

@test "every option in --help is one the tool accepts, and its argument is asked for" {
	for t in $tools; do
		while read -r name argument; do
			# Without an argument it is taken, and the next, unknown option is what it stops at.
			next=--no-such-option expected=--no-such-option
			[ -z "$argument" ] || next='' expected='needs an argument'
			rc=0
			out=$("$t" "--$name" $next 2>&1 </dev/null) || rc=$?
			[[ $rc -eq 2 && $out == *"$expected"* ]] || { echo "$t --$name: exit $rc"; echo "$out"; return 1; }
		done < <(sed -nE 's/^ +(-[A-Za-z0-9], )?--([A-Za-z0-9-]+)( [A-Z0-9])?.*/\2\3/p' "$said/$t" | grep -vE '^(help|version)\b')
	done
}

@test "every page referred to exists" {
	bad=$(grep -HE '^\.Xr (e3[^ ]*) [1-9]' "$ROOT"/man/*.[1-9] | while read -r line; do
		set -- ${line#*.Xr}
		[ -f "$ROOT/man/$1.$2" ] || echo "${line%%:*}: $1($2)"
	done)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

@test "every example in the manual pages uses options that exist" {
	local -A has
	for t in $tools; do
		while read -r _ name; do has["$t --$name"]=1; done < <(help_options "$t")
	done
	bad=$(for page in "$ROOT"/man/*.[1-9]; do
		# Displayed literal text; the tool's name and the options after it, up to the next pipe. What is quoted is for another program.
		sed -n '/^\.Bd -literal/,/^\.Ed/p; s/^\.Dl //p' "$page" | sed -z 's/\\\\en/\n/g; s/\\e\n */ /g' | grep -oE 'e3-[a-z-]+[^|&;)]*' |
			sed "s/'[^']*'//g; s/\\\\-/-/g" | while read -r t rest; do
				[[ $t != *: ]] || continue # a message, not a command
				[ -x "$B/bin/$t" ] || { echo "${page##*/}: $t is no tool"; continue; }
				for word in $rest; do
					[[ $word != --[a-zA-Z]* || -n ${has["$t ${word%%=*}"]:-} ]] || echo "${page##*/}: $t has no ${word%%=*}"
				done
			done
	done)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

@test "every option in README belongs to some tool" {
	for t in $tools; do help_options "$t"; done | sed 's/.* /--/' | sort -u >"$T/known"
	grep -oE '(^|[ `|(])--[a-zA-Z][a-zA-Z0-9-]*' "$ROOT/README.md" | tr -d ' `|(' | sort -u >"$T/used"
	comm -13 "$T/known" "$T/used" >"$T/unknown"
	[ ! -s "$T/unknown" ] || { echo "README names options no tool has:"; cat "$T/unknown"; return 1; }
}

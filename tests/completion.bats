#!/usr/bin/env bats
# Completion as bash gives it, and that zsh and fish read theirs; made by packaging/completion.sh.
load common

prepare() {
	tools=$(sed -nE 's/^(TOOLS|SCRIPTS) := //p' "$ROOT/Makefile" | paste -sd' ')
	made=$B/completion
	cd "$T" || return
}

# What bash offers for the last of the words.
offered() {
	(
		# shellcheck disable=SC1090 # made by the build
		. "$made/bash/$1"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		"_${1//-/_}" 2>/dev/null
		printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}
	)
}

@test "bash offers the options that --help shows, of every tool" {
	for t in $tools; do
		"$t" --help | sed -nE 's/^ +(-[A-Za-z0-9], )?(--[A-Za-z0-9-]+).*/\2/p' | sort >help
		[ "$(wc -l <help)" -ge 4 ]
		if [ "$t" = e3 ]; then # and those of its stages
			offered e3 -- | sort >all
			[ -z "$(comm -23 help all)" ]
			[ "$(wc -l <all)" -gt 100 ]
			grep -qx -- --budget all
			grep -qx -- --infer.timeout all
			! grep -qx -- --timeout all || return 1
		else
			diff help <(offered "$t" -- | sort)
		fi
	done
}

@test "e3 takes what is offered for it" {
	# all at once, each with an argument where it takes one; the stages are not started
	sed -nE "s/^complete -c e3 -l ([^ ]+)( -s .)?( -[xr])? .*/\\1\\3/p" "$made/fish/e3.fish" |
		sed -E '/^(help|version)$/d; s/^/--/; s/ -[xr]$/=1/' >words
	[ "$(wc -l <words)" -gt 100 ]
	mapfile -t words <words
	fails 2 "unknown option --no-such-option" -- e3 "${words[@]}" --no-such-option
}

@test "bash: words of an option, with and without =; commands; numbers and files are left alone" {
	[ "$(offered e3-export --axe)" = "" ]
	[ "$(offered e3-export --frustum m)" = mesh ]
	[ "$(offered e3-export --frustum '=' | paste -sd' ')" = "lines mesh" ]
	[ "$(offered e3-export --frustum '=' l)" = lines ]
	[ "$(offered e3-model che)" = check ]
	[ "$(offered e3-model fetch s | paste -sd' ')" = "streamvggt skyseg" ]
	[ "$(offered e3 doc)" = doctor ]
	[ "$(offered e3 help e3-ex)" = e3-export ]
	[ "$(offered e3-clips s | paste -sd' ')" = "submit status" ]
	[ -z "$(offered e3-export --stride 1)" ]
	[ -z "$(offered e3-export --glb x)" ]
	[ -z "$(offered e3-export -- --gl)" ]
	# the commands and names are those that the tools know
	for t in e3 e3-model e3-eval e3-clips; do
		for word in $(offered "$t" ''); do "$t" --help | grep -qw -- "$word" || { echo "$t $word"; return 1; }; done
	done
	for word in $(offered e3-model fetch ''); do e3-model --help | grep -qw "$word"; done
}

@test "an interactive bash completes a file with a space in its name, and folders where a folder is meant" {
	mkdir "a folder"
	: >"a file.e3"
	cat >rc <<-END
		PS1=
		bind 'set enable-bracketed-paste off'
		. '$made/bash/e3-export'
		e3-export() { printf '<%s>\n' "\$@" >>args; }
	END
	printf 'e3-export --glb x a\\ fi\t\ne3-export --depth a\t\ne3-export --frustum me\t\ne3-export --frustum-s\t0.2\nexit\n' |
		script -qec "bash --noprofile --rcfile rc -i" /dev/null >out 2>&1
	printf '<%s>\n' --glb x "a file.e3" --depth "a folder/" --frustum mesh --frustum-size 0.2 | diff - args
}

@test "zsh and fish read their completion" {
	for t in $tools; do
		[ -s "$made/zsh/_$t" ]
		[ -s "$made/fish/$t.fish" ]
	done
	command -v zsh >/dev/null || command -v fish >/dev/null || skip "neither zsh nor fish is here"
	if command -v zsh >/dev/null; then
		for t in $tools; do zsh -fn "$made/zsh/_$t"; done
		# compinit finds them all
		zsh -fc "fpath=('$made/zsh' \$fpath); autoload -U compinit; compinit -u -D; for t in $tools; do print \$_comps[\$t]; done" >found
		diff found <(printf '_%s\n' $tools)
	fi
	if command -v fish >/dev/null; then
		for t in $tools; do fish -n "$made/fish/$t.fish"; done
		fish -Nc "source '$made/fish/e3-export.fish'; complete -C 'e3-export --frustum m'; complete -C 'e3-export --dep'" >found 2>err
		grep -q '^mesh' found
		grep -q '^--depth-exr' found
		[ ! -s err ]
	fi
}

@test "install and uninstall put completion where the shells look, and take it away" {
	if [[ -n ${SAN:-} ]]; then skip "of the plain build only"; fi
	make -s -C "$ROOT" B="$B" -o all DESTDIR="$T/to" PREFIX="/my usr" install >/dev/null
	for t in $tools; do
		[ -s "to/my usr/share/bash-completion/completions/$t" ]
		[ -s "to/my usr/share/zsh/site-functions/_$t" ]
		[ -s "to/my usr/share/fish/vendor_completions.d/$t.fish" ]
	done
	make -s -C "$ROOT" B="$B" DESTDIR="$T/to" PREFIX="/my usr" uninstall
	find to ! -type d >left
	[ ! -s left ]
}

#!/bin/sh
# Completion for bash, zsh and fish, from the tables of options: completion.sh BIN OUT TOOL...
# Every tool lists its options for programs (--list-options: name, letter, argument, what it is, its words, help). OUT gets
# bash/TOOL, zsh/_TOOL and fish/TOOL.fish, as the shells call them. An argument DIR is completed by folders, another path by files.
set -eu
bin=$1 out=$2
shift 2
here=$(dirname "$0")
tab=$(printf '\t')
lists=$out/lists
rm -rf "$out"
mkdir -p "$lists" "$out/bash" "$out/zsh" "$out/fish"

# The first word of a tool that has commands, and what may follow one of them: COMMAND=WORD,... (tests compare with --help)
commands() {
	case $1 in
	e3) echo help doctor ;;
	e3-model) echo list check convert seed fetch ;;
	e3-eval) echo depth video-depth pose pairs recon ;;
	e3-clips) echo run submit status ;;
	esac
}
after() {
	case $1 in
	e3) echo "help=$names" ;;
	e3-model) echo fetch=streamvggt,lingbot-map,lingbot-map-long,skyseg ;;
	esac
}

names=$(echo "$*" | tr ' ' ',')
for tool in "$@"; do
	# ("%s" in a help stands for all of the words)
	"$bin/$tool" --list-options |
		awk -F "$tab" -v OFS="$tab" '{ words = $5; gsub(/[|]/, ", ", words); gsub(/%s/, words, $6); print }' >"$lists/$tool"
done

# e3 hands every option that is not its own to the stage that has it; where several have it, --STAGE.OPTION says which. e3-mask runs
# only where it is named, but for --sky. It refuses those with which a stage passes no stream on.
stages="e3-decode e3-mask e3-infer e3-align e3-evict-stats e3-view e3-export"
# shellcheck disable=SC2086 # a list of names
(cd "$lists" && awk -F "$tab" -v OFS="$tab" '
	FILENAME == "e3" { print; own[$1] = 1; next }
	own[$1] { next }
	{ stage = substr(FILENAME, 4) }
	stage != "mask" || $1 == "sky" { many[$1]++ }
	stage == "decode" && ($1 == "list" || $1 == "png") || stage == "infer" && ($1 == "plan" || $1 ~ /^streams/) || stage == "view" && $1 == "html" || stage != "evict-stats" && $1 == "output" { next }
	{ line[++n] = $0; of[n] = stage }
	END {
		for (k = 1; k <= n; k++) {
			$0 = line[k]
			$2 = "-"
			if (of[k] == "mask" ? $1 != "sky" : many[$1] > 1)
				$1 = of[k] "." $1
			print
		}
	}' e3 $stages >e3.all)
mv "$lists/e3.all" "$lists/e3"

for tool in "$@"; do
	for shell in bash zsh fish; do
		case $shell in bash) file=$tool ;; zsh) file=_$tool ;; fish) file=$tool.fish ;; esac
		LC_ALL=C awk -F "$tab" -v tool="$tool" -v commands="$(commands "$tool")" -v after="$(after "$tool")" \
			-f "$here/$shell.awk" "$lists/$tool" >"$out/$shell/$file"
	done
done
rm -r "$lists"

# Completion for bash of one tool. Files are left to bash itself (-o default), which knows how to quote their names.
function pattern(name, letter) { return "--" name (letter != "-" ? " | -" letter : "") }
{
	options = options " --" $1
	if ($4 == "flag")
		next
	how = $5 != "-" && $5 != "" ? "words " q tr($5) q : $4 == "value" ? "none" : $3 == "DIR" ? "folders" : "files"
	cases[how] = cases[how] (cases[how] ? " | " : "") pattern($1, $2)
	if (!(how in seen))
		order[++n] = how
	seen[how] = 1
}
function tr(words) { gsub(/\|/, " ", words); return words }
BEGIN { q = "'" }
END {
	f = tool
	gsub(/-/, "_", f)
	print "# bash completion for " tool "; made from its table of options"
	print "_" f "() {"
	print "\tlocal cur=${COMP_WORDS[COMP_CWORD]} opt=${COMP_WORDS[COMP_CWORD - 1]} words= k"
	print "\t# --option=value comes as three words"
	print "\tif [[ $cur == '=' ]]; then"
	print "\t\tcur="
	print "\telif [[ $opt == '=' && COMP_CWORD -gt 2 ]]; then"
	print "\t\topt=${COMP_WORDS[COMP_CWORD - 2]}"
	print "\tfi"
	print "\tCOMPREPLY=()"
	print "\tfor ((k = 1; k < COMP_CWORD; k++)); do"
	print "\t\t[[ ${COMP_WORDS[k]} != -- ]] || return 0"
	print "\tdone"
	print "\tcase $opt in"
	for (k = 1; k <= n; k++) {
		print "\t" cases[order[k]] ")"
		if (order[k] == "files")
			print "\t\treturn 0"
		else if (order[k] == "folders")
			print "\t\tcompopt -o dirnames +o default 2>/dev/null\n\t\treturn 0"
		else if (order[k] == "none")
			print "\t\tcompopt +o default 2>/dev/null\n\t\treturn 0"
		else {
			print "\t\tcompopt +o default 2>/dev/null"
			print "\t\tmapfile -t COMPREPLY < <(compgen -W " substr(order[k], 7) " -- \"$cur\")"
			print "\t\treturn 0"
		}
		print "\t\t;;"
	}
	print "\tesac"
	print "\tif [[ $cur == -* ]]; then"
	print "\t\twords='" substr(options, 2) "'"
	if (commands) {
		print "\telif ((COMP_CWORD == 1)); then"
		print "\t\twords='" commands "'"
	}
	if (after) {
		m = split(after, a, "=")
		gsub(/,/, " ", a[2])
		print "\telif ((COMP_CWORD == 2)) && [[ $opt == " a[1] " ]]; then"
		print "\t\twords='" a[2] "'"
		print "\t\tcompopt +o default 2>/dev/null"
	}
	print "\tfi"
	print "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")"
	if (commands) {
		print "\t# a command or a file"
		print "\t[[ $cur == -* ]] || ((COMP_CWORD > 1)) || compopt -o plusdirs 2>/dev/null"
	}
	print "\treturn 0"
	print "}"
	print "complete -o default -F _" f " " tool
}

# Completion for fish of one tool. Operands are files, which fish completes by itself.
function quote(s) { gsub(/\\/, "\\\\", s); gsub(/'/, "\\'", s); return "'" s "'" }
NR == 1 { print "# fish completion for " tool "; made from its table of options" }
{
	how = ""
	if ($4 != "flag") {
		how = " -x"
		if ($5 != "-" && $5 != "") {
			words = $5
			gsub(/\|/, " ", words)
			how = " -x -a " quote(words)
		} else if ($4 != "value")
			how = $3 == "DIR" ? " -x -a '(__fish_complete_directories)'" : " -r -F"
	}
	print "complete -c " tool " -l " $1 ($2 != "-" ? " -s " $2 : "") how " -d " quote($6)
}
END {
	if (commands)
		print "complete -c " tool " -n __fish_is_first_token -a " quote(commands)
	if (after) {
		split(after, a, "=")
		gsub(/,/, " ", a[2])
		print "complete -c " tool " -n '__fish_seen_subcommand_from " a[1] "' -f -a " quote(a[2])
	}
}

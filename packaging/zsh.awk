# Completion for zsh of one tool: a call of _arguments.
function quote(s) { gsub(/'/, "'\\''", s); return s }
function text(s) { gsub(/\\/, "\\\\", s); gsub(/\[/, "\\[", s); gsub(/\]/, "\\]", s); gsub(/:/, "\\:", s); return quote(s) }
{
	action = ""
	if ($4 != "flag") {
		action = " "
		if ($5 != "-" && $5 != "") {
			words = $5
			gsub(/\|/, " ", words)
			action = "(" words ")"
		} else if ($4 != "value")
			action = $3 == "DIR" ? "_files -/" : "_files"
		action = ":" text($3) ":" quote(action)
	}
	eq = $4 == "flag" ? "" : "="
	if ($2 != "-")
		spec[++n] = "'(-" $2 " --" $1 ")'{-" $2 (eq ? "+" : "") ",--" $1 eq "}'[" text($6) "]" action "'"
	else
		spec[++n] = "'--" $1 eq "[" text($6) "]" action "'"
}
END {
	print "#compdef " tool
	print "# made from its table of options"
	if (after) {
		split(after, a, "=")
		gsub(/,/, " ", a[2])
		print "if [[ $CURRENT -eq 3 && $words[2] == " a[1] " ]]; then"
		print "\tcompadd " a[2]
		print "\treturn"
		print "fi"
	}
	print "_arguments -s -S \\"
	for (k = 1; k <= n; k++)
		print "\t" spec[k] " \\"
	if (commands)
		print "\t'1: :_alternative \"commands:command:(" commands ")\" \"files:file:_files\"' \\"
	print "\t'*:file:_files'"
}

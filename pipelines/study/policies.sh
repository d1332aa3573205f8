# shellcheck shell=bash
# Sourced by the studies: the one list of policies is e3-infer's.

# study_policies: all but "none", in the order of e3-infer's table.
study_policies() {
	e3-infer --help | awk '
		/^ *-/ { inside = /--policy NAME/ }
		inside && /^ +[a-z0-9-]+  / && $1 != "none" && !/--/ { printf "%s%s", n++ ? " " : "", $1 }'
}

# recipe NAME: the display of e3-pipelines(7) of that name, as it is printed there.
recipe() {
	awk -v name="$1" '$0 == ".\\\" recipe: " name { wanted = 1 } /^\.Bd -literal/ { show = wanted; wanted = 0; next } /^\.Ed/ { show = 0 } show' \
		"$ROOT/man/e3-pipelines.7" | sed 's/\\e$/\\/' | grep . || { echo "e3-pipelines(7) has no recipe $1" >&2; return 1; }
}

# Loaded by every .bats file: the tools on PATH, a fresh folder per test, and exact checks of exit status and messages.
setup() {
	PATH="${B:?B is not set: run through make test}/bin:$PATH"
	T=$BATS_TEST_TMPDIR
	ROOT=$BATS_TEST_DIRNAME/..
	DEMO=$ROOT/pipelines/demo
	unset E3_MODEL NO_COLOR
	if declare -F prepare >/dev/null; then prepare; fi
}

# fails STATUS TEXT -- COMMAND...: the command must exit with exactly STATUS, say TEXT on standard error, and write no core.
fails() {
	local status=$1 text=$2 rc=0
	shift 3
	"$@" >"$T/stdout" 2>"$T/stderr" </dev/null || rc=$?
	if [ "$rc" -ne "$status" ]; then
		echo "exit $rc, expected $status: $*"
		cat "$T/stderr"
		return 1
	fi
	grep -qF -- "$text" "$T/stderr" || {
		echo "standard error lacks '$text':"
		cat "$T/stderr"
		return 1
	}
}

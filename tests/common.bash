# Loaded by every .bats file: the tools on PATH, a fresh folder per test, and exact checks of exit status and messages.
setup() {
	PATH="${B:?B is not set: run through make test}/bin:$PATH"
	T=$BATS_TEST_TMPDIR
	ROOT=$BATS_TEST_DIRNAME/..
	DEMO=$ROOT/pipelines/demo
	unset E3_MODEL NO_COLOR
	if declare -F prepare >/dev/null; then prepare; fi
}

# stream OUT [KEY=VALUE]...: predictions (OUT may be -) of tests/make_pred.py; with the same keys they are made once a file of tests, since NumPy takes
# 0.2 s of processor time to start.
stream() {
	local made="$BATS_FILE_TMPDIR/made ${*:2}"
	[ -e "$made" ] || /usr/bin/python3 -B "$ROOT/tests/make_pred.py" "$made" "${@:2}" || return 1
	if [ "$1" = - ]; then cat "$made"; else cp "$made" "$1"; fi
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

# wait_until SECONDS COMMAND...: runs the command again and again until it succeeds; fails when it has not after SECONDS, of a machine
# that does nothing else: ten times as long is waited, a minute at least, since only a test that fails pays for it.
wait_until() {
	local seconds=$(($1 > 6 ? 10 * $1 : 60)) end
	end=$((SECONDS + seconds))
	shift
	until "$@" 2>/dev/null; do
		[ "$SECONDS" -le "$end" ] || { echo "not within $seconds s: $*"; return 1; }
		sleep 0.05
	done
}

# Conditions to wait for.
size_is() { [ "$(stat -c %s "$1")" -eq "$2" ]; }  # size_is FILE BYTES
size_above() { [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt "$2" ]; } # size_above FILE BYTES
written_above() { [ "$(cat "$1".tmp.* 2>/dev/null | wc -c)" -gt "$2" ]; } # written_above FILE BYTES: so much under its temporary name
lines_are() { [ "$(wc -l <"$1")" -eq "$2" ]; }    # lines_are FILE N
has_text() { grep -qsF -- "$2" "$1"; }            # has_text FILE TEXT
gone() { ! kill -0 "$1" 2>/dev/null; }            # gone PID
# handles_signals PID: the process has installed its handlers of SIGINT and SIGTERM.
handles_signals() { (((0x$(awk '/^SigCgt/ { print $2 }' "/proc/$1/status") & 0x4002) == 0x4002)); }
# unread FIFO: how many bytes were written to it and not yet read.
unread() {
	/usr/bin/python3 -c '
import fcntl, os, struct, sys, termios
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
print(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0])' "$1"
}
all_read() { [ "$(unread "$1")" -eq 0 ]; }        # all_read FIFO
has_unread() { [ "$(unread "$1")" -gt 0 ]; }      # has_unread FIFO
is_full() { [ "$(unread "$1")" -ge 60000 ]; }     # is_full FIFO: its reader takes nothing
count_is() { [ "$(grep -cF -- "$2" "$1")" -eq "$3" ]; } # count_is FILE TEXT N: N lines have the text
# listens PORT: a process of this machine listens on the TCP port.
listens() { grep -qiE "^ *[0-9]+: [0-9A-F]+:$(printf '%04X' "$1") [0-9A-F]+:0000 0A" /proc/net/tcp /proc/net/tcp6; }
# has_read PID FILE: the process has read the file, which it has open, to its end.
has_read() {
	local fd
	for fd in /proc/"$1"/fd/*; do
		[ "$fd" -ef "$2" ] || continue
		[ "$(awk '/^pos/ { print $2 }' "/proc/$1/fdinfo/${fd##*/}")" -eq "$(stat -c %s "$2")" ] && return
	done
	return 1
}

port() { # a TCP port that is free; no two tests of a run get the same. Below those that the system gives to connections by itself.
	local p
	mkdir -p "$B/tap/ports"
	for ((p = 20000 + RANDOM % 10000; ; p++)); do
		grep -qi ":$(printf '%04X' $p) " /proc/net/tcp /proc/net/tcp6 && continue
		mkdir "$B/tap/ports/$p" 2>/dev/null && { echo $p; return; }
	done
}

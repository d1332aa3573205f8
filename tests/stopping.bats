#!/usr/bin/env bats
# Scripts that are stopped end after everything that they started, also when the signal is for the script alone. Those of e3-clips, the
# published tables and the long walks are in e3-clips.bats, eval-tables.bats and study-long.bats.
load common

# fake: tools in which e3-infer takes half a second to end after a signal.
prepare() {
	cd "$T" || return 1
	mkdir -p fake/bin
	ln -s "$B"/bin/* fake/bin/
	[ ! -d "$B/study" ] || ln -s "$B/study" fake/study
	rm fake/bin/e3-infer
	cat >fake/bin/e3-infer <<-END
		#!/bin/bash
		case "\$*" in *--help*) exec "$B/bin/e3-infer" "\$@" ;; esac
		trap 'sleep 0.5; echo ended >>"$T/ended"; exit 143' TERM INT
		echo began >>"$T/began"
		while :; do sleep 0.05; done
	END
	chmod +x fake/bin/e3-infer
}

stops() { # SIGNAL COMMAND...: exit 130, after its e3-infer
	local rc=0 pid
	rm -f began ended
	B=$T/fake "${@:2}" >out.txt 2>err.txt 3>&- &
	pid=$!
	wait_until 30 test -s began
	kill "-$1" $pid
	wait $pid || rc=$?
	[ "$rc" -eq 130 ] || { echo "exit $rc"; cat out.txt err.txt; return 1; }
	[ -s ended ] || { echo "e3-infer had not ended"; return 1; }
}

@test "the demo" {
	stops TERM "$ROOT/pipelines/demo/run.sh" out
	stops HUP "$ROOT/pipelines/demo/run.sh" out
	[ ! -e out/demo.glb ]
}

@test "the study of policies" {
	[ -x "$B/study/table" ] || skip "needs make study"
	stops TERM "$ROOT/pipelines/study/run.sh" --out o --seeds 1 --kinds short --policies random --fractions 0.5 --scene "--frames 2"
	grep -q "stopped: runs so far are kept in o" err.txt
	[ -z "$(find o/runs -name '*.part*')" ]
}

@test "a command's own status comes through" {
	rc=0
	bash -c '. "$0"; f() { return 7; }; in_group f' "$ROOT/pipelines/group.sh" || rc=$?
	[ "$rc" -eq 7 ]
	bash -c 'set -eu; . "$0"; f() { true; }; in_group f; echo fine' "$ROOT/pipelines/group.sh" | grep -qx fine
}

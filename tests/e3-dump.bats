#!/usr/bin/env bats
# e3-dump: every field of every message, compared with an independent reader; damage; output that cannot be written.
load common

prepare() {
	golden=$BATS_TEST_DIRNAME/data/stream/golden.e3
	cd "$T" || return 1
}

@test "text: one line for each message, its kind first" {
	e3-dump "$golden" >o
	[ "$(cut -d' ' -f1 o | tr '\n' ' ')" = "head frame truth mask pred evict attn pred end " ]
	sed -n 2p o >line
	[ "$(cat line)" = "frame bytes=203 i=0 pts=0 src_i=0 src_w=1920 src_h=1080 rot=90 fit=[0.25,0.5,-1.5,2] w=6 h=4 rgb=u8[4x6x3](0..252 mean 124.1)" ]
	grep '^truth' o | grep -qF 'depth=f32[4x6](-3..-0.125 mean -1.449 non-finite 2)'
	grep -qxF "mask bytes=98 i=0 class=sky fit=[0.125,0.25,0,-1] mask=u8[2x3](0..255 mean 127.5)" o
	grep '^evict' o | grep -qF 'removed=u32[3](790..70001 mean 2.393e+04)'
	grep '^evict' o | grep -qF 'score_q=f32[9](non-finite 9) max_evicted=nan'
	[ "$(tail -1 o)" = "end bytes=97 frames=2 seconds=1.75 peak_rss=8589934592 cache_now=1000 cache_peak=2000 cache_full=18446744073709551615" ]
}

@test "text: edges, corrections, and whose cache a record is about" {
	e3-dump "${golden%/*}/segments.e3" >o
	[ "$(cut -d' ' -f1 o | tr '\n' ' ')" = "head pred pred evict evict attn edge correct end " ]
	grep -q '^head.* corrects=1$' o
	grep '^pred.* i=1 ' o | grep -qF ' segment=1 world=[0.5,0,0,0,1,0,0,-2]'
	[ "$(grep -c '^evict.* segment=1 first=1 ' o)" -eq 1 ]
	grep -qF 'edge bytes=147 i=1 type=loop a=0 b=1 frames=[0,1] sim=[1.25,0,0,0.5,0.5,-1,2.5,3] sigma=[0.015625,0.0625,0.03125]' o
	grep -qF 'correct bytes=97 i=1 from=0 to=1 sim=[0.75,0,0,0,1,0.125,0,-4]' o
}

@test "JSON with --full equals what Python's msgpack and numpy read" {
	e3-dump --json --full "$golden" >o
	e3-dump --json --full "${golden%/*}/segments.e3" >o2
	/usr/bin/python3 -B - "$ROOT/tests" "$golden" "${golden%/*}/segments.e3" <<-'PY'
		import json, sys
		sys.path.insert(0, sys.argv[1])
		import numpy as np
		from e3read import stream

		checked = 0
		def same(where, got, want):
		    global checked
		    checked += 1
		    if isinstance(want, np.ndarray):
		        flat = want.ravel().astype(np.float64)
		        finite = flat[np.isfinite(flat)]
		        assert got["shape"] == list(want.shape), where
		        assert got["dtype"] == {"uint8": "u8", "uint32": "u32", "float16": "f16", "float32": "f32"}[want.dtype.name], where
		        assert got["nonfinite"] == flat.size - finite.size, where
		        values = np.array([float(v) for v in got["values"]])
		        assert np.array_equal(values.astype(want.dtype), want.ravel(), equal_nan=want.dtype.kind == "f"), where
		        if finite.size:
		            assert (got["min"], got["max"]) == (finite.min(), finite.max()), where
		            assert abs(got["mean"] - finite.mean()) <= 1e-8 * max(1, abs(finite.mean())), where
		        else:
		            assert got["min"] is got["max"] is got["mean"] is None, where
		    elif isinstance(want, dict):
		        for k, v in want.items():
		            same(f"{where}.{k}", got[k], v)
		    elif isinstance(want, list):
		        assert len(got) == len(want), where
		        for k, v in enumerate(want):
		            same(f"{where}[{k}]", got[k], v)
		    elif isinstance(want, float) and want != want:
		        assert got == "nan", where
		    else:
		        assert got == want, (where, got, want)

		lines = [json.loads(line) for name in ("o", "o2") for line in open(name)]
		messages = list(stream(sys.argv[2])) + list(stream(sys.argv[3]))
		assert len(lines) == len(messages) == 9 + 9
		for line, (kind, fields) in zip(lines, messages):
		    assert line["kind"] == kind
		    same(kind, line, fields)
		print(f"# {checked} values")
		assert checked > 100
	PY
}

@test "--arrays prints small arrays only" {
	e3-dump --json --arrays "$golden" >o
	/usr/bin/python3 - <<-'PY'
		import json
		m = [json.loads(x) for x in open("o")]
		assert m[4]["pose"]["values"] == [1, 2, 3, 0, 0, 0.5, -1, 0.75, 1.25]
		assert "values" not in m[4]["rgb"] and "values" not in m[4]["points"]
		assert m[5]["layers"][0]["removed"]["values"] == [790, 1000, 70001]
		assert m[5]["layers"][1]["score_q"]["values"] == ["nan"] * 9
	PY
	e3-dump --json "$golden" | grep '"kind":"evict"' >o
	[ "$(grep -c values o || true)" -eq 0 ]
	e3-dump --arrays "$golden" | grep -qF 'pose=f32[9][1,2,3,0,0,0.5,-1,0.75,1.25]'
}

@test "unknown fields and values are shown" {
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$golden" x.e3 'm[1][1]["new field"] = {"a": [1, None, True, 1.5], "b": b"xy", "t": "say \"hi\"\n"}'
	e3-dump x.e3 | sed -n 2p | grep -qF 'new field"={a=[1,nil,true,1.5] b=(2 bytes) t="say "hi"?"}'
	e3-dump --json x.e3 | sed -n 2p | /usr/bin/python3 -c '
import json, sys
assert json.loads(sys.stdin.read())["new field"] == {"a": [1, None, True, 1.5], "b": "(2 bytes)", "t": "say \"hi\"\n"}'
}

@test "a damaged stream is shown up to the damage" {
	head -c 2598 "$golden" >cut.e3
	fails 1 "e3-dump: reading: cut.e3: truncated: message 8 (pred): expected 717 bytes, got 130" -- e3-dump cut.e3
	[ "$(wc -l <stdout)" -eq 7 ]
	cmp <(e3-dump "$golden" | head -7) stdout
}

@test "an abort is shown, then reported" {
	head -c 2598 "$golden" >cut.e3
	e3-cat cut.e3 >aborted.e3 2>/dev/null || true
	fails 1 "e3-dump: e3-cat failed (exit 1): reading: cut.e3: truncated" -- e3-dump --json aborted.e3
	[ "$(wc -l <stdout)" -eq 8 ]
	[ "$(tail -1 stdout | /usr/bin/python3 -c 'import json, sys; m = json.loads(sys.stdin.read()); print(m["kind"], m["tool"], m["code"])')" = "abort e3-cat 1" ]
}

@test "lines appear as messages arrive" {
	mkfifo in
	e3-dump <in >o &
	exec 7>in
	head -c 400 "$golden" >&7 # head, frame and a bit
	wait_until 10 lines_are o 2
	tail -c +401 "$golden" >&7
	exec 7>&-
	wait $!
	[ "$(wc -l <o)" -eq 9 ]
}

@test "SIGINT while waiting: all messages so far are shown, exit 130, nothing on standard error" {
	mkfifo in
	e3-dump <in >o 2>err &
	pid=$!
	exec 7>in
	head -c 400 "$golden" >&7
	wait_until 10 lines_are o 2
	kill -INT $pid
	rc=0
	wait $pid || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ]
	[ ! -s err ]
	[ "$(wc -l <o)" -eq 2 ]
}

@test "ZeroMQ input, a full disk, usage" {
	e3-dump "zmq:pull:ipc://$T/s" >o &
	e3-cat "$golden" "zmq:push:ipc://$T/s"
	wait $!
	cmp o <(e3-dump "$golden")
	rc=0
	e3-dump "$golden" >/dev/full 2>err || rc=$?
	[ "$rc" -eq 1 ]
	[ "$(cat err)" = "e3-dump: writing: standard output: No space left on device" ]
	fails 2 "too many operands: b" -- e3-dump a b
	fails 1 "opening: absent: No such file or directory" -- e3-dump absent
	fails 1 "--insecure" -- e3-dump zmq:pull:tcp://192.0.2.1:5
}

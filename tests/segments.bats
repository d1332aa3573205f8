#!/usr/bin/env bats
# e3-evict-stats on streams in segments: the figures of each segment are those of that segment alone, pooled figures are counted again
# from the tables of tokens (tests/evict_segments.py), pictures pixel by pixel, records that do not fit.
load common

made() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/evict_segments.py" "$@"; }
edit() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/edit_stream.py" "$@"; }

prepare() {
	cd "$T" || return 1
	made write d attn=0,2 start=7
}

@test "every figure, for several plans of segments" {
	for plan in "start=7" "segments=5 length=6 overlap=0" "segments=4 length=9 overlap=4 layers=1 seed=8" "segments=2 length=5 overlap=3 special=0"; do
		# shellcheck disable=SC2086
		made write x $plan
		e3-evict-stats --check --json --tsv x/tsv x/run.e3 >x/run.json
		for one in x/[0-9].e3; do e3-evict-stats --json --tsv "${one%.e3}.tsv" "$one" >"${one%.e3}.json"; done
		made judge x
	done
}

@test "pictures: what a segment held at its end, what the cache that answered held at a time, attention" {
	e3-evict-stats --png d/png --style hide d/run.e3 >o
	e3-evict-stats --png d/now --style hide --view now --layers 0 d/run.e3 >o
	e3-evict-stats --attn d --range 0:0.2 d/run.e3 >o
	made pictures d
	e3-evict-stats --png age --view age --sheet s.png d/run.e3 >o
	head -c 8 s.png | cmp - <(printf '\x89PNG\r\n\x1a\n')
}

@test "the report says what the segments are, and stays within 25 lines" {
	e3-evict-stats --check d/run.e3 >o
	[ "$(wc -l <o)" -le 25 ]
	[ "$(awk '{ if (length > n) n = length } END { print n }' o)" -le 120 ]
	grep -qx 'segments    3, of at most 8 frames; 6 frames in two of them: figures are of each until its end' o
	grep -qx 'check       24 steps of 3 layers: every rule holds' o
	# one segment alone is a run as ever
	e3-evict-stats --tsv tsv d/0.e3 >o
	[ "$(grep -c segment o tsv/*.tsv | grep -vc ':0$')" -eq 0 ]
}

@test "--check names the segment; --pass forwards every byte" {
	edit d/run.e3 bad.e3 'e = [f for k, f in m if k == 4 and f.get("segment") == 1][4]
e["layers"][2]["k_before"] += 2; e["layers"][2]["k_after"] += 2'
	fails 1 "checking: bad.e3: " -- e3-evict-stats --check bad.e3
	grep -q '^violation   frame 16, segment 1, layer 2: count: expected [0-9]* tokens before, found [0-9]*$' stdout
	e3-evict-stats --check --json bad.e3 2>/dev/null >j || true
	/usr/bin/python3 -c 'import json; assert json.load(open("j"))["violations"][0]["segment"] == 1'
	fails 1 "frame 16, segment 1, layer 2: count: " -- e3-evict-stats bad.e3
	e3-evict-stats --pass -o report d/run.e3 | cmp - d/run.e3
}

@test "segments that do not fit are refused with the reason" {
	edit d/run.e3 bad.e3 'm[:] = [x for x in m if not (x[0] == 4 and x[1]["i"] == 12 and x[1].get("segment") == 1)]'
	fails 1 "the beginning of segment 1 is missing: its first frame is 12, its first record that of frame 13" -- e3-evict-stats bad.e3
	edit d/run.e3 bad.e3 'e = [f for k, f in m if k == 4 and f["i"] == 15][0]
m.insert(next(k for k, x in enumerate(m) if x[1] is e) + 1, [4, {**e, "segment": 0, "first": 7}])'
	fails 1 "frame 15: a record of segment 0, which ended before: segment 1 had answered" -- e3-evict-stats bad.e3
	e3-cat --skip 9 d/run.e3 cut.e3
	fails 1 "the beginning of segment 1 is missing" -- e3-evict-stats cut.e3
	edit d/run.e3 bad.e3 'a = [f for k, f in m if k == 5 and f.get("segment") == 1]; a[0]["first"] = a[0]["i"]; del a[0]["frame_mass"]["data"]
a[0]["frame_mass"].update(shape=[1], data=struct.pack("<f", 1.0))'
	fails 1 "attention at frame 15: mass over 1 frames at step 3 of the run" -- e3-evict-stats --attn a bad.e3
	[ ! -e a ]
}

@test "a run of e3-infer --segment: every rule holds, and the peak is what e3-infer says" {
	e3-scene --seed 5 --size 70x56 --frames 18 -o frames.e3
	for budget in "--budget 3f" "--budget 4f --policy window" --no-evict; do
		# shellcheck disable=SC2086
		e3-infer -q --model seed:tiny:7 --segment 8f --overlap 3 $budget --attn-layers 0 frames.e3 -o run.e3
		e3-evict-stats --check --json --png png --attn a run.e3 >j
		e3-dump --json run.e3 >dump
		/usr/bin/python3 - <<-'PY'
			import json
			j = json.load(open("j"))
			m = [json.loads(x) for x in open("dump")]
			assert j["frames"] == 18 and j["violations_total"] == 0
			assert [s["first"] for s in j["segments"]] == [0, 5, 10, 15][:len(j["segments"])] and len(j["segments"]) >= 3, j["segments"]
			assert sum(s["answered"] for s in j["segments"]) == 18
			assert sum(s["frames"] for s in j["segments"]) == sum(x["kind"] == "evict" for x in m)
			assert j["cache"]["bytes_peak"] == m[-1]["cache_peak"], (j["cache"], m[-1])
			assert j["cache"]["bytes_now"] == m[-1]["cache_now"], (j["cache"], m[-1])
		PY
	done
}

#!/usr/bin/env bats
# Tools given damaged streams: every row changes one thing, and the tool must name it, exit 1 and leave no output.
# The tables of the codec are in tests/test_wire_*.c; these tests are about what users see.
load common

setup_file() {
	export PATH="$B/bin:$PATH"
	e3-decode --all --max-frames 4 --fit 112 "$BATS_TEST_DIRNAME/../pipelines/demo/clip.mp4" >"$BATS_FILE_TMPDIR/frames.e3"
	e3-infer -q --model seed:tiny:7 --segment 0 --budget 2f <"$BATS_FILE_TMPDIR/frames.e3" >"$BATS_FILE_TMPDIR/preds.e3"
}

prepare() {
	frames=$BATS_FILE_TMPDIR/frames.e3
	preds=$BATS_FILE_TMPDIR/preds.e3
	export TMPDIR=$T/spool
	mkdir "$TMPDIR" "$T/out"
	edit=$ROOT/tests/edit_stream.py
}

# A hang fails: exit 124 or 137.
within() { timeout -k 5 300 "$@"; }
infer() { within e3-infer -q --model seed:tiny:7 --no-evict -o "$T/out/x.e3" "$1"; }
export_all() { within e3-export --points map -q --glb "$T/out/x.glb" --ply "$T/out/x.ply" --npz "$T/out/x.npz" --tum "$T/out/x.tum" "$1"; }
stats() { within e3-evict-stats --png "$T/out/png" --tsv "$T/out/tsv" "$1"; }
align() { within e3-align --final -o "$T/out/x.e3" "$1"; }
copy() { within e3-cat -o "$T/out/x.e3" "$1"; }
dump() { within e3-dump --json "$1"; }

# refused TOOL EXPECTED: the tool (one of the functions above) given $T/bad.e3 exits 1 and says EXPECTED in one line. What came
# before the damage may stay as FILE.partial, each named in a line of its own; a stream so kept can be read to its end.
refused() {
	local rc=0 left kept
	"$1" "$T/bad.e3" >"$T/o" 2>"$T/e" </dev/null || rc=$?
	[ "$rc" -eq 1 ] || { echo "$1: exit $rc, expected 1 ('$2')"; cat "$T/e"; return 1; }
	grep -qF -- "$2" "$T/e" || { echo "$1 does not say '$2':"; cat "$T/e"; return 1; }
	grep -vE 'kept in .*\.partial$|(cameras|frames) have no (frustum|usable field of view)|rounds .* depths by more than|wrote 0 \(unknown\)' "$T/e" >"$T/said" || true
	[ "$(wc -l <"$T/said")" -eq 1 ] || { echo "$1: not one line:"; cat "$T/e"; return 1; }
	while read -r left; do
		grep -qF -- "kept in $left" "$T/e" || { echo "$1 left $left ('$2')"; return 1; }
		kept=$left
		[[ $kept != *.e3.partial ]] || e3-cat -q -o /dev/null "$kept" || return 1
		rm "$kept"
	done < <(find "$T/out" "$TMPDIR" -type f)
}

# table STREAM TOOL... : rows on standard input, "EXPECTED | CODE" (see tests/edit_stream.py, which is started once).
table() {
	local stream=$1 expected code tool row rows=0
	local -a wanted=() codes=() edits=()
	shift
	while IFS='|' read -r expected code; do
		read -r expected <<<"$expected"
		[ -n "$expected" ] || continue
		wanted+=("$expected")
		codes+=("${code# }")
		edits+=("$T/row${#wanted[@]}" "${code# }")
	done
	/usr/bin/python3 -B "$edit" "$stream" "${edits[@]}" || return 1
	for row in "${!wanted[@]}"; do
		mv "$T/row$((row + 1))" "$T/bad.e3"
		for tool; do
			refused "$tool" "${wanted[row]}" || { echo "after: ${codes[row]}"; return 1; }
		done
		rows=$((rows + 1))
	done
	echo "# $rows rows, each for: $*"
	[ "$rows" -gt 0 ]
}

@test "every tool accepts the undamaged streams" {
	infer "$frames"
	copy "$preds"
	export_all "$preds"
	stats "$preds" >/dev/null
}

@test "every tool refuses damaged envelopes and messages in a wrong order" {
	table "$frames" infer copy <<-'ROWS'
		stream version 2; this program reads version 1 | m[0][1]["v"] = 2
		unknown kind 12 | raw[at[1] + 5] = 12
		unknown kind 0 | raw[at[1] + 5] = 0
		frame before the head | del m[0]
		a second head | m.insert(2, m[0])
		indices must increase | m[2][1]["i"] = 0
		indices must increase | m[1], m[2] = m[2], m[1]
		end counts 7 frames | m[-1][1]["frames"] = 7
		end counts 4 frames, the stream had 3 | del m[2]
		truncated | del m[-1]
		truncated | raw = raw[:at[1]]
		truncated | raw = raw[:at[2] + 3]
		truncated | raw = raw[:at[3] + 1000]
		truncated | raw = raw[:-1]
		at most | raw[at[1] + 1:at[1] + 5] = b"\xff\xff\xff\xff"
		damaged | raw[at[1] + 1:at[1] + 5] = struct.pack(">I", 100)
		byte 0x00 | raw[at[1]] = 0
		byte 0x52 | raw = b"RIFF" + raw
	ROWS
}

@test "frames with impossible sizes, arrays and numbers are refused" {
	table "$frames" infer <<-'ROWS'
		frame 1: rgb: missing | del m[2][1]["rgb"]
		frame 0: w: missing | del m[1][1]["w"]
		frame 1: rgb | m[2][1]["w"] = 100
		frame 1: rgb | m[2][1]["rgb"]["dtype"] = "f32"
		frame 1: rgb | m[2][1]["rgb"]["data"] = m[2][1]["rgb"]["data"][:-1]
		frame 1: rgb | m[2][1]["rgb"] = b"abc"
		frame 0: rgb | m[1][1]["w"] = m[1][1]["h"] = 65535; m[1][1]["rgb"]["shape"] = [65535, 65535, 3]
		frame 0: rgb | m[1][1]["rgb"]["shape"] = [4294967295, 4294967295, 3]
		frame 0: | m[1][1]["w"] = 0; m[1][1]["rgb"].update(shape=[84, 0, 3], data=b"")
		frame 0: | m[1][1]["w"] = -112
		frame 0: | m[1][1]["w"] = 2**40
		frame 0: | m[1][1]["src_w"] = 0
		frame 0: | m[1][1]["rot"] = 45
		frame 2: pts: is not a number | m[3][1]["pts"] = nan
		frame 2: pts: is infinite | m[3][1]["pts"] = inf
		frame 2: fit | m[3][1]["fit"][0] = nan
		frame 2: fit | m[3][1]["fit"][0] = 0
		head: fps | m[0][1]["fps"] = -1
		head: fps | m[0][1]["fps"] = inf
		head: frames | m[0][1]["frames"] = "many"
	ROWS
}

@test "valid frames that no network can process are refused" {
	table "$frames" infer <<-'ROWS'
		65535 | m[1][1].update(w=65535, h=1); m[1][1]["rgb"].update(shape=[1, 65535, 3], data=bytes(3 * 65535))
		65535 | m[1][1].update(w=1, h=65535); m[1][1]["rgb"].update(shape=[65535, 1, 3], data=bytes(3 * 65535))
		frame 2 | m[3][1].update(w=84, h=112); m[3][1]["rgb"].update(shape=[112, 84, 3])
	ROWS
}

@test "predictions with impossible arrays and numbers are refused" {
	table "$preds" export_all stats align <<-'ROWS'
		pose[0]: is not a number | a = bytearray(m[1][1]["pose"]["data"]); a[:4] = struct.pack("<f", nan); m[1][1]["pose"]["data"] = bytes(a)
		pred 0: pose | m[1][1]["pose"]["shape"] = [8]
		depth without depth_conf | del m[1][1]["depth_conf"]
		pred 0: depth | m[1][1]["depth"]["shape"].reverse()
		pred 0: points | m[1][1]["points"]["dtype"] = "u8"
		pred 0: rgb | m[1][1]["h"] += 1
		truncated | del m[-1]
		truncated | raw = raw[:at[4] + 77]
		lens?[31m cap | m[-1] = [7, {"tool": "e3-x", "code": 1, "text": "lens\x1b[31m cap"}]
		e3-x | m[-1] = [7, {"tool": "e3-x", "code": 1, "text": "lens"}]
	ROWS
}

@test "tools that need predictions refuse a stream without them, and e3-infer refuses one with them" {
	cp "$frames" "$T/bad.e3"
	refused export_all "predictions"
	refused stats "predictions"
	cp "$preds" "$T/bad.e3"
	refused infer "predictions"
}

@test "--check finds eviction records that contradict themselves" {
	# The violations are the report, on standard output: as one line on standard error for this table.
	check() {
		within e3-evict-stats --check "$1" 2>/dev/null | awk '/^violation/ { all = all "; " $0 } END { print all }' >&2
		return "${PIPESTATUS[0]}"
	}
	e3-evict-stats --check "$preds" >/dev/null
	# The first record in which a layer evicts something.
	local first='l = next(l for k, f in m if k == 4 for l in f["layers"] if l["removed"]["data"])'
	table "$preds" check <<-ROWS
		special tokens and frame 0 kept | $first; l["removed"]["data"] = struct.pack("<I", 0) + l["removed"]["data"][4:]
		alpha | $first; l["alpha"] += 0.25
		ids below | $first; l["removed"]["data"] = l["removed"]["data"][:-4] + struct.pack("<I", 100000)
	ROWS
	table "$preds" stats <<-ROWS
		tokens before | $first; l["k_after"] += 1
		tokens before | $first; l["k_before"] -= 1
		ids must ascend | $first; l["removed"]["data"] = l["removed"]["data"][:4] * (len(l["removed"]["data"]) // 4)
	ROWS
}

@test "values that are not finite in dense arrays do not reach the files" {
	/usr/bin/python3 -B "$edit" "$preds" "$T/x.e3" '
for k, f in m:
	if k == 3:
		for name in ("depth", "points", "depth_conf", "points_conf"):
			a = bytearray(f[name]["data"])
			a[:8] = struct.pack("<2f", nan, inf)
			a[400:404] = struct.pack("<f", -inf)
			f[name]["data"] = bytes(a)'
	e3-export -q --conf-pct 0 --glb "$T/out/x.glb" "$T/x.e3"
	# glb_facts compares the bounds with the data; nan compares false.
	/usr/bin/python3 -B "$ROOT/tests/glb_facts.py" "$T/out/x.glb" >"$T/facts"
	[ "$(grep -cE 'nan|inf' "$T/facts")" -eq 0 ]
	grep -q POINTS "$T/facts"
	e3-dump "$T/x.e3" >"$T/o"
}

@test "flipped bytes anywhere: exit 0 or 1, never a signal, never a hang" {
	/usr/bin/python3 -B - "$frames" "$T/f" "$preds" "$T/p" <<-'PY'
		import random, sys
		for source, to in zip(sys.argv[1::2], sys.argv[2::2]):
		    data = open(source, "rb").read()
		    for seed in range(12):
		        r, b = random.Random(seed), bytearray(data)
		        for _ in range(1 + seed % 5):
		            # Half of the flips near a message boundary, where the structure is.
		            at = r.randrange(len(b)) if r.random() < 0.5 else min(len(b) - 1, r.choice([k for k in range(0, len(b)) if b[k] == 0xC9]) + r.randrange(300))
		            b[at] ^= 1 << r.randrange(8)
		        open(f"{to}{seed}", "wb").write(b)
	PY
	for k in {0..11}; do
		for run in "infer $T/f$k" "export_all $T/p$k" "stats $T/p$k" "align $T/p$k" "copy $T/p$k" "dump $T/p$k"; do
			rc=0
			$run >"$T/o" 2>"$T/e" </dev/null || rc=$?
			[ "$rc" -le 1 ] || { echo "$run: exit $rc"; cat "$T/e"; return 1; }
			[ "$rc" -eq 0 ] || [ -s "$T/e" ] || { echo "$run: exit $rc without a word"; return 1; }
			rm -rf "$T/out" && mkdir "$T/out"
		done
	done
}

#!/usr/bin/env bats
# e3-infer --kv: packed keys and values, as a user meets them. The arithmetic is in tests/test_dev_packed.c, sessions in
# tests/test_model_kv.c.
load common
load infer
bats_require_minimum_version 1.5.0

@test "--kv: the stream says how the cache is packed and what a token takes; results are near" {
	infer() { e3-infer -q --model seed:tiny:7 --segment 0 --budget 2f "$@" "$frames"; }
	infer >"$T/plain.e3"
	for kv in bf16 fp8 int8 k8v4; do
		infer --kv "$kv" >"$T/$kv.e3"
		KV=$kv PLAIN=$T/plain.e3 check "$T/$kv.e3" <<-'PY'
			import os
			kv, q = os.environ["KV"], [x for k, x in stream(os.environ["PLAIN"]) if k == "pred"]
			heads, d = 2, 64
			each = {"bf16": 4 * d, "fp8": 2 * d + 4, "int8": 2 * d + 4, "k8v4": d + 2 + d // 2 + 8}[kv]
			assert h["kv"] == kv and h["kv_token_bytes"] == heads * each, h
			off = max(np.linalg.norm(a["depth"] - b["depth"]) / np.linalg.norm(b["depth"]) for a, b in zip(p[:2], q[:2]))
			assert 0 < off < 0.05, off
		PY
		e3-evict-stats --check "$T/$kv.e3" | grep -q ", packed as $kv$"
		[ "$(e3-evict-stats --json "$T/$kv.e3" | jq -r .cache.kv)" = "$kv" ]
	done
	check "$T/plain.e3" <<<'assert "kv" not in h'
	fails 2 "option --kv" -- e3-infer --kv int4 "$frames"
}

@test "--kv: a saved cache keeps its packing, another one is refused" {
	infer() { e3-infer -q --model seed:tiny:7 --segment 0 "$@"; }
	e3-cat --take 3 "$frames" >"$T/three.e3"
	infer --budget 2f --kv int8 --save-cache "$T/c" "$T/three.e3" >/dev/null
	infer --budget 2f --kv int8 "$frames" >"$T/all.e3"
	infer --load-cache "$T/c" "$frames" >"$T/rest.e3"
	e3-cat --skip 3 "$T/all.e3" >"$T/want.e3"
	ALL=$T/want.e3 check "$T/rest.e3" <<-'PY'
		import os
		q = [x for k, x in stream(os.environ["ALL"]) if k == "pred"]
		assert h["kv"] == "int8" and len(p) == len(q) > 0
		for a, b in zip(p, q):
		    assert (a["depth"] == b["depth"]).all() and (a["pose"] == b["pose"]) if isinstance(a["pose"], list) else (a["pose"] == b["pose"]).all()
	PY
	fails 1 "$T/c: was saved with --kv int8, this run asks for --kv fp8" -- infer --load-cache "$T/c" --kv fp8 "$frames"
	infer --load-cache "$T/c" --kv int8 "$frames" >"$T/again.e3"
}

@test "--kv: --plan says what it takes; the same bytes hold more" {
	plan() { e3-infer --device cpu --plan --model seed:tiny:7 --size 70x70 --segment 0 "$@"; }
	plan --budget 10f >"$T/a"
	plan --budget 10f --kv k8v4 >"$T/b"
	grep -q "tokens, packed as k8v4: 10.00 frames in each" "$T/b"
	bytes() { sed -n 's/^cache *\([0-9.]*\) MiB.*/\1/p' "$1"; }
	awk -v a="$(bytes "$T/a")" -v b="$(bytes "$T/b")" 'BEGIN { exit !(b < a / 2) }'
	keeps() { sed -n 's/.* keeps \([0-9]*\) tokens.*/\1/p' "$1"; }
	plan --budget 1M >"$T/a"
	plan --budget 1M --kv int8 >"$T/b"
	[ "$(keeps "$T/b")" -gt $((2 * $(keeps "$T/a"))) ]
}

#!/usr/bin/env bats
# e3-model as its user meets it.
load common

prepare() {
	demo=$DEMO/model.safetensors
	pth=$ROOT/tests/data/pth
	mkdir "$T/out"
}

# json EXPRESSION: what Python makes of the object `d` on standard input
json() { /usr/bin/python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
nothing_in_out() { [ -z "$(ls -A "$T/out")" ] || { ls -A "$T/out"; return 1; }; }

@test "list: name, type and shape, in the order of the file" {
	e3-model list "$pth/plain.pth" >"$T/o"
	diff - "$T/o" <<-'END'
		a_weight  F32   [3,4]
		a_bias    F32   [4]
		scalar    F32   []
		empty     F32   [0,5]
	END
	[ "$(e3-model list "$demo" | wc -l)" -eq 547 ]
	e3-model list --json "$demo" >"$T/j"
	[ "$(json 'len(d["tensors"])' <"$T/j")" -eq 547 ]
	[ "$(json 'd["metadata"]["e3.dpt_layers"]' <"$T/j")" = 1,3,5,7 ]
	[ "$(json '[(t["dtype"], t["shape"]) for t in d["tensors"] if t["name"] == "aggregator.patch_embed.pos_embed"]' <"$T/j")" = "[('F16', [1, 257, 192])]" ]
}

@test "check: the configuration of the demo model" {
	e3-model check "$demo" >"$T/o"
	grep -qx 'embed              192' "$T/o"
	grep -qx 'vit_heads          3' "$T/o"
	grep -qx 'dpt_layers         1 3 5 7' "$T/o"
	grep -qx 'parameters         16991192' "$T/o"
	e3-model check --json "$demo" >"$T/j"
	[ "$(json 'd["ok"], d["problems"], d["config"]["layers"], d["config"]["point_channels"]' <"$T/j")" = '(True, [], 8, [48, 96, 192, 192])' ]
}

@test "check: every problem is printed, and the status is 1" {
	fails 1 'problems: ' -- e3-model check "$pth/plain.pth"
	grep -qx 'missing: aggregator.camera_token: expected \[1,2,1,?\]' "$T/stdout"
	grep -qx 'unknown: a_weight: F32 \[3,4\]' "$T/stdout"
	fails 1 'problems: ' -- e3-model check --json "$pth/plain.pth"
	[ "$(json 'd["ok"]' <"$T/stdout")" = False ]
	[ "$(json 'sum(p.startswith("unknown: ") for p in d["problems"])' <"$T/stdout")" -eq 4 ]
}

@test "check: values that are not finite are found" {
	e3-model seed --config tiny --seed 1 -o "$T/a.safetensors"
	size=$(stat -c %s "$T/a.safetensors")
	printf '\0\0\300\177\0\0\200\377' | dd of="$T/a.safetensors" bs=1 seek=$((size - 8)) conv=notrunc status=none # NaN, -infinity
	fails 1 '1 tensors hold values that are not finite' -- e3-model check "$T/a.safetensors"
	grep -qx 'values: depth_head.scratch.output_conv2.2.bias: 2 of 2 are not finite' "$T/stdout"
}

@test "seed: a file of seeded weights equals the generator, on standard output too" {
	e3-model seed --config tiny --seed 7 -o "$T/a.safetensors"
	e3-model seed --config tiny --seed 7 >"$T/b.safetensors"
	cmp "$T/a.safetensors" "$T/b.safetensors"
	e3-model convert seed:tiny:7 "$T/c.safetensors"
	cmp "$T/a.safetensors" "$T/c.safetensors"
	diff <(e3-model list seed:tiny:7) <(e3-model list "$T/a.safetensors")
	diff <(e3-model check seed:tiny:7 | grep -v format) <(e3-model check "$T/a.safetensors" | grep -v format)
	e3-model seed --config tiny --seed 8 >"$T/d.safetensors"
	if cmp -s "$T/a.safetensors" "$T/d.safetensors"; then false; fi
}

@test "convert: types there and back, metadata kept, set and removed" {
	e3-model convert --dtype f32 "$demo" "$T/f32.safetensors"
	[ "$(e3-model list --json "$T/f32.safetensors" | json '{t["dtype"] for t in d["tensors"]}')" = "{'F32'}" ]
	e3-model convert --dtype f16 --meta e3.note= --meta e3.name=mine --meta e3.name=yours "$T/f32.safetensors" "$T/f16.safetensors"
	[ "$(e3-model list --json "$T/f16.safetensors" | json '[d["metadata"].get("e3." + k) for k in ("name", "note", "license")]')" = "['yours', None, 'MIT']" ]
	# The same halves as the original: compared by Python, that knows nothing of e3.
	/usr/bin/python3 - "$demo" "$T/f16.safetensors" "$T/f32.safetensors" <<-'END'
		import json, struct, sys
		import numpy as np
		def load(path):
		    b = open(path, "rb").read()
		    n = struct.unpack("<Q", b[:8])[0]
		    assert (8 + n) % 64 == 0 or path == sys.argv[1]
		    h = json.loads(b[8:8 + n])
		    h.pop("__metadata__")
		    ends = sorted(v["data_offsets"] for v in h.values())
		    assert ends[0][0] == 0 and all(a[1] == b[0] for a, b in zip(ends, ends[1:])) and ends[-1][1] == len(b) - 8 - n
		    t = {"F16": np.float16, "F32": np.float32}
		    return {k: np.frombuffer(b[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]], t[v["dtype"]]) for k, v in h.items()}
		a, b, c = map(load, sys.argv[1:])
		assert list(a) == list(b) and all((a[k] == b[k]).all() and (a[k].astype(np.float32) == c[k]).all() for k in a)
	END
}

@test "convert: views of a .pth" {
	e3-model convert "$pth/views_shared_storage.pth" "$T/v.safetensors"
	[ "$(e3-model list "$T/v.safetensors")" = "$(e3-model list "$pth/views_shared_storage.pth")" ]
	[ "$(e3-model list --json "$T/v.safetensors" | json 'd["metadata"]')" = '{}' ]
}

@test "convert: a network saved by torch; its metadata; bfloat16 rounded as torch does" {
	/usr/bin/python3 -c 'import torch' 2>/dev/null || skip "needs python3-torch"
	e3-model seed --config tiny --seed 2 -o "$T/s.safetensors"
	/usr/bin/python3 - "$T/s.safetensors" "$T/net.pth" <<-'END'
		import json, struct, sys, torch
		b = open(sys.argv[1], "rb").read()
		n = struct.unpack("<Q", b[:8])[0]
		h = json.loads(b[8:8 + n])
		h.pop("__metadata__")
		state = {k: torch.frombuffer(bytearray(b[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]), dtype=torch.float32)
		         .reshape(v["shape"]) for k, v in h.items()}
		state["track_head.x.weight"] = torch.ones(2, 2)
		torch.save({"model": {"module." + k: v for k, v in state.items()}, "epoch": 1}, sys.argv[2])
		torch.save({k: v.bfloat16() for k, v in state.items()}, sys.argv[2] + ".bf16")
	END
	fails 1 'dpt_layers 4,11,17,23: expected ascending, below the 4 layers' -- e3-model check "$T/net.pth"
	args=(--drop-track --meta 'e3.dpt_layers=0,1,2,3' --meta e3.camera_heads=4 --meta e3.image_size=70)
	e3-model convert "${args[@]}" "$T/net.pth" "$T/a.safetensors"
	e3-model check "$T/a.safetensors"
	diff <(e3-model list "$T/a.safetensors") <(e3-model list "$T/s.safetensors")
	e3-model convert "${args[@]}" --dtype bf16 "$T/net.pth" "$T/b.safetensors"
	e3-model convert "${args[@]}" "$T/net.pth.bf16" "$T/c.safetensors" # rounded by torch
	cmp "$T/b.safetensors" "$T/c.safetensors"
	# Once the configuration is complete, the rest of it is written down too.
	e3-model convert "$T/a.safetensors" "$T/d.safetensors"
	[ "$(e3-model list --json "$T/d.safetensors" | json '[d["metadata"]["e3." + k] for k in ("vit_heads", "rope_angles", "arch")]')" = "['2', 'bf16', 'streamvggt']" ]
}

write_pth() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/write_pth.py" "$@"; }

# numbers FILE: the values of a safetensors file, in single precision
numbers() {
	/usr/bin/python3 - "$1" <<-'END'
		import json, struct, sys
		import numpy as np
		b = open(sys.argv[1], "rb").read()
		n = struct.unpack("<Q", b[:8])[0]
		h = json.loads(b[8:8 + n])
		h.pop("__metadata__", None)
		for k in sorted(h):
		    a, e = h[k]["data_offsets"]
		    print(k, np.frombuffer(b[8 + n + a:8 + n + e], {"F32": "<f4", "I64": "<i8"}[h[k]["dtype"]]).reshape(h[k]["shape"]).tolist())
	END
}

@test "views: expanded, transposed, overlapping, of a storage that is longer; double precision; names of wrapped modules" {
	write_pth "$T/v.pth" 's = storage(np.arange(12), "Double", extra=24)
state = {"state_dict": OrderedDict(("module._orig_mod." + k, v) for k, v in dict(a=tensor(s, [3, 4], [4, 1]),
    b=tensor(s, [4, 3], [1, 4]), c=tensor(s, [5, 4], [0, 1], 8), d=tensor(s, [2, 3, 2], [0, 0, 3], 1), e=tensor(s, [], [], 7),
    f=tensor(s, [3, 2], [1, 1], 8), n=whole(np.array([7]), "Long"), o=tensor(s, [0, 5], [5, 1], 12)).items()), "epoch": 3}'
	e3-model convert --dtype f32 "$T/v.pth" "$T/v.safetensors"
	cat >"$T/want" <<-'END'
		a [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]]
		b [[0.0, 4.0, 8.0], [1.0, 5.0, 9.0], [2.0, 6.0, 10.0], [3.0, 7.0, 11.0]]
		c [[8.0, 9.0, 10.0, 11.0], [8.0, 9.0, 10.0, 11.0], [8.0, 9.0, 10.0, 11.0], [8.0, 9.0, 10.0, 11.0], [8.0, 9.0, 10.0, 11.0]]
		d [[[1.0, 4.0], [1.0, 4.0], [1.0, 4.0]], [[1.0, 4.0], [1.0, 4.0], [1.0, 4.0]]]
		e 7.0
		f [[8.0, 9.0], [9.0, 10.0], [10.0, 11.0]]
		n [7]
		o []
	END
	cmp "$T/want" <(numbers "$T/v.safetensors")
	write_pth "$T/v.pth" 'state = {"x": tensor(storage(np.arange(12)), [3, 2], [1, 1], 9)}'
	fails 1 "tensor 'x': the view of 6 elements from 9 does not fit its storage of 12" -- e3-model list "$T/v.pth"
	write_pth "$T/v.pth" 'state = {"x": tensor(storage(np.arange(12)), [1 << 20, 1 << 20], [0, 0])}'
	fails 1 "tensor 'x': repeats its storage of 12 as 1099511627776 elements, at most 4294967296 are read" -- e3-model list "$T/v.pth"
}

@test "what training scripts save beside the weights is passed over" {
	write_pth "$T/v.pth" 'import pathlib, argparse
state = {"epoch": 3, "best": np.float64(0.5), "step": np.int64(7), "out": pathlib.PosixPath("/a/b"), "lr": [1e-3, 2.5],
    "args": argparse.Namespace(size=518, to=pathlib.PosixPath("x"), seed=np.int32(1)), "done": False, "note": None, "raw": b"\0\1",
    "state_dict": OrderedDict(w=whole(np.arange(6).reshape(2, 3), "Half"))}'
	[ "$(e3-model list "$T/v.pth")" = "w  F16   [2,3]" ]
	write_pth "$T/v.pth" 'import fractions
state = {"epoch": fractions.Fraction(1, 3), "model": {"w": whole(np.arange(6))}}'
	fails 1 "refused: it names fractions.Fraction" -- e3-model list "$T/v.pth"
}

@test "a network in double precision, compiled, parallel, its weights in one storage, is the network" {
	e3-model seed --config tiny --seed 2 -o "$T/s.safetensors"
	write_pth "$T/net.pth" "n = load('$T/s.safetensors')"'
flat = storage(np.concatenate([v.ravel() for v in n.values()]), "Double")
at, model = 0, OrderedDict()
for k, v in n.items():
    name = "module._orig_mod." + k.replace("aggregator.", "aggregator._orig_mod.", 1)
    strides = [int(np.prod(v.shape[d + 1:])) for d in range(v.ndim)]
    model[name] = tensor(flat, v.shape, strides, at)
    at += v.size
state = {"model": model, "optimizer": {"state": {0: {"step": 1}}}}'
	args=(--meta 'e3.dpt_layers=0,1,2,3' --meta e3.camera_heads=4 --meta e3.image_size=70 --meta e3.vit_heads=2 --meta e3.rope_angles=f32)
	e3-model convert --dtype f32 "${args[@]}" "$T/net.pth" "$T/a.safetensors"
	e3-model check "$T/a.safetensors"
	write_pth "$T/none.pth" "a, b = load('$T/a.safetensors'), load('$T/s.safetensors')"'
assert set(a) == set(b) and len(a) > 100 and all((a[k] == b[k]).all() for k in a)
state = {}'
	e3-model list "$T/net.pth" | grep -q '^aggregator.*F64' # as it is in the file
	# The same names in a safetensors file.
	/usr/bin/python3 - "$T/s.safetensors" "$T/t.safetensors" <<-'END'
		import json, struct, sys
		b = open(sys.argv[1], "rb").read()
		n = struct.unpack("<Q", b[:8])[0]
		h = json.loads(b[8:8 + n])
		h = {k if k == "__metadata__" else "_orig_mod.module." + k: v for k, v in h.items()}
		text = json.dumps(h).encode()
		open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + b[8 + n:])
	END
	e3-model check "$T/t.safetensors"
	cmp <(e3-model list "$T/t.safetensors") <(e3-model list "$T/s.safetensors")
	e3-scene --seed 3 --frames 2 --size 28x28 -o "$T/frames.e3"
	for f in s t a; do
		e3-infer -q --device cpu --model "$T/$f.safetensors" "$T/frames.e3" | /usr/bin/python3 -c '
import msgpack, sys
u = msgpack.Unpacker(sys.stdin.buffer, ext_hook=lambda k, b: (k, msgpack.unpackb(b)))
for k, m in u:
    if k == 3: print(m["pose"]["data"].hex(), m["depth"]["data"].hex())' >"$T/$f.out"
	done
	[ "$(wc -l <"$T/s.out")" -eq 2 ]
	cmp "$T/s.out" "$T/t.out"
	cmp "$T/s.out" "$T/a.out"
}

@test "every bad checkpoint is refused with one line, and nothing runs" {
	cd "$T/out"
	for f in legacy_tar deflated evil_os_system truncated_half truncated_directory short_storage big_endian list; do
		fails 1 "e3-model: reading model: $pth/$f.pth: " -- e3-model list "$pth/$f.pth"
		[ "$(wc -l <"$T/stderr")" -eq 1 ]
		[ ! -s "$T/stdout" ]
		fails 1 "$f.pth" -- e3-model convert "$pth/$f.pth" x.safetensors
	done
	nothing_in_out
	head -c 30000000 "$demo" >"$T/cut.safetensors"
	fails 1 'truncated: tensor ' -- e3-model check "$T/cut.safetensors"
	fails 1 'No such file' -- e3-model check "$T/none.safetensors"
	fails 1 'not a regular file' -- e3-model check "$T"
	: >"$T/empty.pth"
	fails 1 '0 bytes: neither safetensors nor a torch archive' -- e3-model list "$T/empty.pth"
}

@test "an output that cannot be written leaves nothing" {
	fails 1 'writing: /dev/full' -- e3-model convert "$demo" /dev/full
	e3-model seed --config tiny --seed 1 -o "$T/big.safetensors"
	fails 1 "creating a directory: $T/big.safetensors: exists and is not a directory" -- e3-model convert "$demo" "$T/big.safetensors/x"
	size=$(stat -c %s "$T/big.safetensors")
	printf '\0\0\200\107' | dd of="$T/big.safetensors" bs=1 seek=$((size - 4)) conv=notrunc status=none # 65536
	fails 1 "tensor 'depth_head.scratch.output_conv2.2.bias': 65536 does not fit F16" -- \
		e3-model convert --dtype f16 "$T/big.safetensors" "$T/out/x.safetensors"
	nothing_in_out
	# A file that was there stays as it was.
	echo precious >"$T/out/x.safetensors"
	fails 1 'does not fit F16' -- e3-model convert --dtype f16 "$T/big.safetensors" "$T/out/x.safetensors"
	[ "$(cat "$T/out/x.safetensors")" = precious ]
}

@test "a model is not converted onto itself" {
	e3-model seed --config tiny --seed 1 -o "$T/a.safetensors"
	cp "$T/a.safetensors" "$T/b.safetensors"
	fails 2 "a.safetensors is the checkpoint that is read" -- e3-model convert --dtype bf16 "$T/a.safetensors" "$T/a.safetensors"
	cmp "$T/a.safetensors" "$T/b.safetensors"
}

@test "stopped by a signal" {
	local rc=0
	timeout -s INT 0.3 e3-model seed --config full --seed 1 --dtype bf16 -o "$T/out/full.safetensors" 2>"$T/e" || rc=$?
	[ "$rc" -eq 124 ] # timeout's own; the tool's is looked at next
	nothing_in_out
	e3-model seed --config full --seed 1 -o /dev/null & pid=$!
	wait_until 10 handles_signals "$pid"
	kill -TERM "$pid"
	rc=0
	wait "$pid" || rc=$?
	[ "$rc" -eq 143 ]
}

@test "LingBot-Map is known by its tensors, also under the key model of a .pth; its licence and its source are named" {
	e3-model seed --config lingbot-tiny --seed 7 -o "$T/s.safetensors"
	[ "$(e3-model list "$T/s.safetensors" | grep -c 'scale_token  *F32   \[1,2,1,128\]\|point_head')" -eq 1 ]
	write_pth "$T/l.pth" "state = {'model': {k: whole(v) for k, v in load('$T/s.safetensors').items()}, 'epoch': 3}"
	fails 1 'dpt_layers 4,11,17,23: expected ascending, below the 4 layers' -- e3-model check "$T/l.pth"
	grep -qx 'arch               lingbot-map' "$T/stdout"
	args=(--meta 'e3.dpt_layers=0,1,2,3' --meta e3.camera_heads=4 --meta e3.image_size=70 --meta e3.rope_angles=f32)
	e3-model convert "${args[@]}" "$T/l.pth" "$T/a.safetensors"
	e3-model check "$T/a.safetensors" >"$T/o"
	grep -qx 'arch               lingbot-map' "$T/o"
	grep -qx 'license            -' "$T/o"
	grep -q '^authors_license    not settled' "$T/o"
	grep -q '^authors_weights    https://.*robbyant/lingbot-map$' "$T/o"
	grep -qx 'parameters         4399876' "$T/o"
	grep -qx 'point_head         no' "$T/o"
	[ "$(e3-model check --json "$T/a.safetensors" | json 'd["ok"], d["config"]["arch"]')" = "(True, 'lingbot-map')" ]
	e3-model convert "$T/a.safetensors" "$T/b.safetensors" # complete: the rest is written down
	[ "$(e3-model list --json "$T/b.safetensors" | json 'd["metadata"]["e3.arch"]')" = lingbot-map ]
	e3-model convert --meta e3.arch=streamvggt "$T/b.safetensors" "$T/c.safetensors"
	fails 1 'unknown: aggregator.scale_token: F32 [1,2,1,128]' -- e3-model check "$T/c.safetensors"
	e3-model list seed:lingbot-full:1 | wc -l >"$T/n"
	[ "$(cat "$T/n")" -eq 1341 ] # and mask_token, which nobody uses
}

@test "usage: commands, operands, and options that a command does not use" {
	fails 2 'expected a command' -- e3-model
	fails 2 "got 'show'" -- e3-model show x
	fails 2 'list: expected 1 file name, got 0' -- e3-model list
	fails 2 'convert: expected 2 file names, got 1' -- e3-model convert x
	fails 2 'list: has no use for --dtype' -- e3-model list --dtype f16 x
	fails 2 'convert: has no use for --seed' -- e3-model convert --seed 1 x y
	fails 2 'seed: needs --config and --seed' -- e3-model seed --config tiny
	fails 2 'expected KEY=VALUE' -- e3-model convert --meta x a b
	fails 2 'expected one of f32|f16|bf16' -- e3-model convert --dtype f64 a b
	fails 1 "no configuration 'huge': expected tiny, full, lingbot-tiny or lingbot-full" -- e3-model seed --config huge --seed 1 -o "$T/out/x"
	nothing_in_out
}

@test "convert keeps only a small part of the file in memory" {
	if grep -q __asan_init "$(command -v e3-model)"; then skip "a sanitizer needs memory of its own"; fi
	/usr/bin/python3 - "$demo" "$T/a.safetensors" <<-'END'
		import resource, subprocess, sys
		subprocess.run(["e3-model", "convert", "--dtype", "bf16", sys.argv[1], sys.argv[2]], check=True)
		kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
		print(f"# convert of 34 MB: {kib} KiB resident")
		assert kib < 16000, kib
	END
}

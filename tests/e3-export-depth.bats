load common
# Depth as EXR and at the size of the source. Read back by tests/depth_check.py, which shares no code with e3-export.

prepare() {
	mkdir "$T/out" "$T/tmp"
	export TMPDIR=$T/tmp
}
check() { /usr/bin/python3 -B "$ROOT/tests/depth_check.py" "$@"; }

@test "EXR: channel Z has the depth of the stream, exactly" {
	stream "$T/x.e3" w=70 h=37
	e3-export -q --depth-exr "$T/exr" --depth-pfm "$T/pfm" "$T/x.e3"
	check same "$T/x.e3" "$T/exr" "$T/pfm"
	e3-export -q --depth-size source --depth-exr "$T/as-it-is" "$T/x.e3"
	diff -r "$T/exr" "$T/as-it-is"
}

@test "EXR: a file that cannot be written is an error, and nothing stays" {
	stream "$T/x.e3" frames=1 w=400 h=300
	(
		trap '' XFSZ
		ulimit -f 40
		fails 1 "File too large" -- e3-export --depth-exr "$T/out/d" "$T/x.e3"
		grep -qF "000000.exr" "$T/stderr"
	)
	[ -z "$(find "$T/out" "$T/tmp" -mindepth 1)" ]
}

@test "--depth-size source: exact on a plane, unknown where the network saw nothing, and free of its padding" {
	check plane "$T/x.e3"
	e3-export -q --depth-size source --depth-exr "$T/d" "$T/x.e3"
	check on-plane "$T/d"
}

@test "--depth-size source: beside the truth no pixel lies between two surfaces, unlike bilinear; all formats alike" {
	for k in 128x96 512x384; do e3-scene -q --seed 3 --frames 2 --size $k -o "$T/$k.e3"; done
	check shrink "$T/128x96.e3" "$T/x.e3"
	e3-export -q --depth-size source --depth-exr "$T/d" --depth-pfm "$T/pfm" --depth "$T/png" --depth-color "$T/color" "$T/x.e3"
	check truth "$T/x.e3" "$T/512x384.e3" "$T/d"
	check same "$T/x.e3" "$T/d" "$T/pfm" "$T/png"
	check colours "$T/d" "$T/color"
}

@test "--depth-size source: a source that is too large fails that output alone" {
	stream "$T/x.e3" src_w=60000 src_h=60000 fit=0.1,0.1,0,0
	fails 1 "gives it 60000 × 60000 pixels" -- e3-export --depth-size source --depth-pfm "$T/d" --tum "$T/t" "$T/x.e3"
	[ "$(grep -vc "^#" "$T/t")" -eq 3 ]
}

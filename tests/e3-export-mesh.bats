load common
# e3-export --mesh: what it makes of exact depth is the room; files that other programs read; what it refuses.

prepare() {
	cd "$T"
	export TMPDIR=$T
	e3-scene -q --noise 0 --seed 7 --frames 6 --size 112x84 -o room.e3
	/usr/bin/python3 -B "$ROOT/tests/recon_stream.py" predict room.e3 exact.e3
}
edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }

@test "other endings, and streams without depth or pose, are refused before anything is written" {
	fails 2 "--mesh: x.obj: the name must end in .glb|.ply" -- e3-export --mesh x.obj exact.e3
	/usr/bin/python3 -B "$ROOT/tests/make_pred.py" nodepth.e3 without=depth
	/usr/bin/python3 -B "$ROOT/tests/make_pred.py" nopose.e3 without=pose
	fails 1 "a mesh needs depth and pose" -- e3-export --mesh x.glb nodepth.e3
	fails 1 "a mesh needs depth and pose" -- e3-export --mesh x.glb nopose.e3
	[ ! -e x.glb ]
}

@test "a mesh as GLB passes the Khronos validator; on a pipe it is the same" {
	e3-export --mesh room.GLB exact.e3 2>said
	grep -qE "room.GLB: [0-9]+ triangles, [0-9]+ vertices, voxel [0-9.]+, 6 frames" said
	e3-export -q --mesh - <exact.e3 | cmp - room.GLB
	[ -e "$ROOT/tests/node_modules/gltf-validator/package.json" ] || skip "needs npm ci in tests/"
	node "$ROOT/tests/validate_gltf.js" room.GLB
}

@test "memory for voxels is a limit: larger ones are used, with a warning" {
	e3-export --mesh all.ply --mesh-voxel 0.005 exact.e3
	e3-export -v --mesh less.ply --mesh-voxel 0.005 --mesh-memory 4M exact.e3 2>said
	grep -qE "less.ply: voxels of 0.005 would take more than 4 MiB: made with 0.0[0-9]+" said
	[ "$(stat -c %s less.ply)" -lt $(($(stat -c %s all.ply) / 2)) ]
}

load common
# e3-export --mesh: what it makes of exact depth is the room; files that other programs read; what it refuses.

prepare() {
	cd "$T" || return 1
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
	e3-export --mesh least.ply --allow-empty --mesh-memory 1 exact.e3 2>said
	grep -q "least.ply: voxels of .* would take more than .*: made with" said
}

# facts FILE.ply: the mesh as numpy arrays v (xyz normal rgb) and f
python() { PYTHONPATH=$ROOT/tests:$ROOT/tests/bench /usr/bin/python3 -B -c "import numpy as np, mesh_truth
from mesh_truth import read_ply
$1"; }

@test "the mesh of exact depth is the room: position, orientation, normals, colour; masks leave out what they cover" {
	e3-export -q --mesh room.ply exact.e3
	/usr/bin/python3 -B "$ROOT/tests/bench/mesh_truth.py" room.ply exact.e3 room.e3 0.03 >said
	cat said
	awk '{ for (i = 1; i < NF; i++) v[$i] = $(i + 1) } END { exit !(v["p95"] < 0.012 && v["beyond"] < 0.002 && v["covered"] > 0.9 && v["normals"] < 5) }' said
	python "
v, f = read_ply('room.ply')
a, b, c = (v['xyz'][f[:, k]].astype(float) for k in range(3))
n = np.cross(b - a, c - a)
assert ((n * v['normal'][f[:, 0]]).sum(1) > 0).mean() > 0.995
assert ((n * -a).sum(1) > 0).mean() > 0.99 # the cameras are near the origin
assert v['rgb'].std(0).min() > 10
"
	mkdir masks
	for i in 0 1 2 3 4 5; do printf 'P2\n2 1\n255\n0 255\n' >"masks/$i.pgm"; done
	e3-export -q --mesh half.ply --mask-dir masks exact.e3
	python "
a, b = read_ply('room.ply')[0]['xyz'], read_ply('half.ply')[0]['xyz']
assert (a[:, 0] / a[:, 2]).min() < -0.4 and (b[:, 0] / b[:, 2]).min() > -0.15, (b[:, 0] / b[:, 2]).min()
assert len(b) > 0.3 * len(a)
"
}

@test "frames without a field of view are left out and counted; no surface is an error unless it is allowed" {
	edit exact.e3 one.e3 "p = [f for k, f in m if k == 3][1]['pose']; p['data'] = p['data'][:28] + bytes(8)"
	e3-export --mesh x.ply one.e3 2>said
	grep -q "x.ply: 1 frame left out: no usable field of view" said
	grep -qE "x.ply: [0-9]+ triangles, .*, 5 frames" said
	edit exact.e3 none.e3 "for k, f in m:
    if k == 3: f['depth']['data'] = bytes(len(f['depth']['data']))"
	fails 1 "no surface is left: depth is unknown everywhere" -- e3-export --mesh none.glb none.e3
	fails 1 "no surface is left with voxels of 1e+06: they are too small or too large" -- e3-export --mesh-voxel 1e6 --mesh none.glb exact.e3
	[ ! -e none.glb ]
	e3-export -q --mesh none.glb --allow-empty none.e3
	e3-export -q --mesh none.ply --allow-empty none.e3
	grep -aq "element vertex 0" none.ply
	[ ! -e "$ROOT/tests/node_modules/gltf-validator/package.json" ] || node "$ROOT/tests/validate_gltf.js" none.glb
}

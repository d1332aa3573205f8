load common
# What e3-export makes of the exact truth of a rendered room, as the predictions of a network that errs nowhere.

prepare() {
	cd "$T" || return 1
	export TMPDIR=$T
	e3-scene -q --noise 0 --seed 7 --frames 3 --size 48x36 -o room.e3
	/usr/bin/python3 -B "$ROOT/tests/recon_stream.py" predict room.e3 exact.e3
}
edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }
# ply FILE as a numpy array, and what else the checks below need
python() { PYTHONPATH=$ROOT/tests /usr/bin/python3 -B -c "import struct, json, numpy as np, e3read, make_pred
def ply(f):
    d = open(f, 'rb').read()
    e = d.index(b'end_header\n') + 11
    kinds = {'float': '<f4', 'uchar': 'u1', 'int': '<i4'}
    return np.frombuffer(d[e:], [(l.split()[2], kinds[l.split()[1]]) for l in d[:e].decode().split('\n') if l.startswith('property')])
def xyz(p): return np.stack([p[c] for c in 'xyz'], -1).astype(float)
def pixels(points, line, k):
    t = [float(v) for v in line.split()]
    x = (points - t[1:4]) @ make_pred.rotation(np.array(t[4:8]))
    return x[:, :2] / x[:, 2:] * k[:2] + k[2:4]
$1"; }

@test "points of exact depth and cameras are the room's, and lie at their pixels' centres" {
	e3-export -q --points depth --conf-pct 0 --ply depth.ply --ply-frame --tum t --intrinsics-txt k --npz x.npz --glb x.glb --align none exact.e3
	e3-export -q --points map --conf-pct 0 --ply map.ply --ply-frame exact.e3
	python "
d, m, z = ply('depth.ply'), ply('map.ply'), np.load('x.npz')
assert len(d) == len(m) == 3 * 48 * 36
assert np.abs(xyz(d) - xyz(m)).max() < 2e-5, np.abs(xyz(d) - xyz(m)).max()
assert np.abs(z['world_points_from_depth'].reshape(-1, 3) - xyz(d)).max() == 0
v, u = np.mgrid[0:36, 0:48]
centre = np.stack([u + 0.5, v + 0.5], -1).reshape(-1, 2)
tum, k = open('t').read().split('\n')[1:], np.loadtxt('k')
assert (k[:, 2:] == [24, 18, 48, 36]).all(), k
for p in d, m:
    for i in range(3):
        got = pixels(xyz(p[p['frame'] == i]), tum[i], k[i])
        assert np.abs(got - centre).max() < 1e-3, (i, np.abs(got - centre).max())
        assert (np.floor(got) == centre - 0.5).all()
# through the cameras of the GLB, which have no principal point: it is the middle of the picture
b = open('x.glb', 'rb').read()
g = json.loads(b[20:20 + struct.unpack('<I', b[12:16])[0]])
for i, n in enumerate(n for n in g['nodes'] if 'camera' in n):
    c = g['cameras'][n['camera']]['perspective']
    x = (xyz(d[d['frame'] == i]) - n.get('translation', [0, 0, 0])) @ make_pred.rotation(np.array(n['rotation']))
    y = np.tan(c['yfov'] / 2)
    got = np.stack([(x[:, 0] / -x[:, 2] / (y * c['aspectRatio']) + 1) * 24, (1 + x[:, 1] / x[:, 2] / y) * 18], -1)
    assert np.abs(got - centre).max() < 1e-3, (i, np.abs(got - centre).max())
"
}

@test "intrinsics of the source picture and masks count pixels as the points do" {
	# the room as a crop of a source picture three times as large, rows 6 to 42 of its scaled copy
	edit exact.e3 crop.e3 'for k, f in m:
    if k == 3: f.update(src_w=144, src_h=144, fit=[1 / 3, 1 / 3, 0.0, -6.0])'
	mkdir masks
	python "
for i in range(3):
    m = np.zeros((144, 144), np.uint8)
    m[3 * (6 + 10):3 * (6 + 11), 3 * (20 + i):3 * (21 + i)] = 255
    open('masks/%d.pgm' % i, 'wb').write(b'P5 144 144 255\n' + m.tobytes())"
	e3-export -q --points depth --conf-pct 0 --ply x.ply --ply-frame --tum t --intrinsics-txt k --mask-dir masks crop.e3
	python "
p, tum, k = ply('x.ply'), open('t').read().split('\n')[1:], np.loadtxt('k')
assert list(p['frame']) == [0, 1, 2]
for i in range(3):
    got = pixels(xyz(p[i:i + 1]), tum[i], k[i])[0]
    assert np.abs(got - [3 * (20.5 + i), 3 * 16.5]).max() < 1e-2, (i, got)
"
}

@test "--compat upstream takes integer indices for the places of pixels, half a pixel to the upper left" {
	edit exact.e3 depth.e3 'for k, f in m:
    f.pop("points", 0), f.pop("points_conf", 0)'
	e3-export -q --compat upstream --conf-pct 0 --ply x.ply --ply-frame --tum t --intrinsics-txt k depth.e3
	python "
p, tum, k = ply('x.ply'), open('t').read().split('\n')[1:], np.loadtxt('k')
v, u = np.mgrid[0:36, 0:48]
for i in range(3):
    got = pixels(xyz(p[p['frame'] == i]), tum[i], k[i])
    assert np.abs(got - np.stack([u, v], -1).reshape(-1, 2)).max() < 1e-3
"
}

@test "a few depths that are far away or very near are unknown in 16 bits, and said; the others and the colours stay as they were" {
	edit exact.e3 far.e3 'import struct
for k, f in m:
    if k == 3 and f["i"] == 1:
        d = f["depth"]["data"]
        f["depth"]["data"] = struct.pack("<2f", 1e6, 2e-5) + d[8:]'
	e3-export -q --depth d --depth-color c exact.e3
	e3-export --depth far --depth-color farc far.e3 2>err
	grep -q "far: wrote 0 (unknown) for 1 of 5184 depths, too large for the factor 5000" err
	grep -q "far: wrote 0 (unknown) for 1 of 5184 depths, too small for the factor 5000" err
	python "
import export_check
for i in range(3):
    a, b = export_check.png('d/%06d.png' % i), export_check.png('far/%06d.png' % i)
    assert a[1] == b[1] and a[1]['depth_scale'] == '5000', (a[1], b[1])
    x, y = a[0].reshape(-1), b[0].reshape(-1)
    assert (x != y).sum() == (2 if i == 1 else 0) and (i != 1 or (y[:2] == 0).all())
    p, q = export_check.png('c/%06d.png' % i)[0], export_check.png('farc/%06d.png' % i)[0]
    assert np.abs(p - q).reshape(-1, 3)[2:].max() <= 16
"
	# one in twenty is very near: the colours of the others are still told apart
	edit exact.e3 near.e3 'import numpy as np
for k, f in m:
    if k == 3:
        d = np.frombuffer(f["depth"]["data"], "<f4").copy()
        d[::20] = 1e-3
        f["depth"]["data"] = d.tobytes()'
	e3-export -q --depth-color nearc near.e3
	python "
import export_check
p = export_check.png('nearc/000000.png')[0].reshape(-1, 3)
assert len(np.unique(p[np.arange(len(p)) % 20 > 0], axis=0)) > 12
"
	e3-export --depth coarse --depth-scale 2 exact.e3 2>err
	grep -q "coarse: the factor 2 rounds 5184 of 5184 depths by more than 1 %" err
}

@test "frames without a usable field of view: focal lengths 0, no camera, counted in warnings" {
	edit exact.e3 x.e3 'import struct
for k, f in m:
    if k == 3 and f["i"]:
        f["pose"]["data"] = f["pose"]["data"][:28] + struct.pack("<2f", *((0, 0), (3.3, 1))[f["i"] - 1])'
	e3-export --points map --conf-pct 0 --intrinsics-txt i --intrinsics model --npz x.npz --glb x.glb --kitti k --tum t x.e3 2>err
	e3-export --conf-pct 0 --ply borrowed.ply x.e3 2>err2
	grep -q "2 frames took the point map instead: no usable field of view to unproject the depth" err2
	e3-export --conf-pct 0 --points map --ply map.ply x.e3
	e3-export --conf-pct 0 --points depth --ply depth.ply x.e3 2>err2
	grep -q "2 frames without points: no usable field of view" err2
	python "
a, b, c = (xyz(ply(n + '.ply')) for n in ('borrowed', 'map', 'depth'))
assert np.array_equal(a[1728:], b[1728:]) and len(c) == 1728 and np.array_equal(a[:1728], c)
"
	[ "$(tail -n +2 i)" = $'0 0 24 18 48 36\n0 0 24 18 48 36' ]
	for n in i x.npz; do grep -q "$n: 2 of 3 frames have no usable field of view: their focal lengths are 0" err; done
	grep -q "x.glb: 2 of 3 cameras have no frustum and no glTF camera: no usable field of view" err
	run grep -ciE 'inf|nan' i k t
	[ "$output" = $'i:0\nk:0\nt:0' ]
	python "
z, g = np.load('x.npz'), open('x.glb', 'rb').read()
assert (z['intrinsic'][:, 0, 0] > 0).tolist() == [True, False, False] and np.isfinite(z['intrinsic']).all()
assert np.isfinite(z['world_points_from_depth'][0]).all() and np.isnan(z['world_points_from_depth'][1:]).all()
g = json.loads(g[20:20 + struct.unpack('<I', g[12:16])[0]])
assert len(g['cameras']) == 1 and [n['name'] for n in g['nodes'] if 'camera' in n] == ['cam_000000']
"
}

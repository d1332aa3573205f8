load common
# e3-export --clean and --voxel on a rendered room: exact depth, and depth with the faults that networks have.

prepare() {
	cd "$T" || return 1
	export TMPDIR=$T
	e3-scene -q --noise 0 --seed 3 --frames 24 --size 112x84 -o room.e3
	predict exact.e3 ""
}
predict() { /usr/bin/python3 -B "$ROOT/tests/recon_stream.py" predict room.e3 "$@"; }
# facts OPTIONS...: makes x.glb and x.json
facts() { e3-export -q --glb x.glb --run-json x.json "$@"; }
# holds EXPRESSION of p, the points of x.json
holds() { /usr/bin/python3 -B -c "
import json, sys
p = json.load(open('x.json'))['points']
sys.exit(0 if $1 else '%s does not hold: %s' % ('''$1''', p))"; }

@test "exact depth: nothing is seen through, little is an edge; scale, source and corrections make no difference" {
	facts --clean none exact.e3 --conf-pct 0
	holds "p['kept'] == p['candidates'] == 24 * 112 * 84 and p['at_edges'] == p['seen_through'] == p['too_far'] == 0"
	facts --clean consistent --conf-pct 0 exact.e3
	holds "p['seen_through'] < 0.005 * p['candidates'] and 0.005 < p['at_edges'] / p['candidates'] < 0.04 and p['too_far'] == 0"
	cp x.json exact.json
	facts --clean consistent --conf-pct 0 --mask-white exact.e3 # nothing is white
	holds "p['kept'] == json.load(open('exact.json'))['points']['kept']"
	facts --clean consistent --conf-pct 0 --scale 1000 exact.e3
	holds "all(abs(p[k] - json.load(open('exact.json'))['points'][k]) < 50 for k in ('at_edges', 'seen_through', 'kept'))"
	facts --clean consistent --conf-pct 0 --points map exact.e3
	holds "p['from'] == 'map' and abs(p['kept'] - json.load(open('exact.json'))['points']['kept']) < 0.01 * p['kept']"
	# the second half is sent three times as large, and corrected: as if it had been sent right
	/usr/bin/python3 -B "$ROOT/tests/correct_stream.py" exact.e3 corrected.e3 applied.e3 "12,23,3,0,0,0,1,0,0,0"
	/usr/bin/python3 -B "$ROOT/tests/correct_stream.py" applied.e3 back.e3 again.e3 "/12,23,3,0,0,0,1,0,0,0"
	facts --clean consistent --conf-pct 0 back.e3
	holds "abs(p['kept'] - json.load(open('exact.json'))['points']['kept']) < 50"
	facts --clean consistent --conf-pct 0 applied.e3
	holds "p['seen_through'] > 0.05 * p['candidates']" # uncorrected, the halves contradict each other
}

@test "ramps at edges, a thing in the air in one frame and far pixels are dropped, the surface stays" {
	predict faults.e3 '
q = np.pad(1 / d, 2, "edge")
q = sum(np.roll(np.roll(q, a, 0), b, 1) for a in (-1, 0, 1) for b in (-1, 0, 1))[2:-2, 2:-2] / 9
d = 1 / q
if i == 5: d[30:42, 20:36] *= 0.5
if i == 9: d[0, :3] = 1e6'
	"$ROOT/tests/bench/clean_truth.py" faults.e3 faults.e3 >table
	cat table
	# columns: three options and their values, points, flying, covered, of first
	row() { sed -n "/--clean $1 --conf-pct 0 --voxel $2/s/[%]//gp" table | awk '{ print $8, $10 }'; }
	read -r none all < <(row none auto)
	read -r edges edges_left < <(row edges auto)
	read -r clean left < <(row consistent auto)
	[ -n "$clean" ] && awk "BEGIN { exit !($none > 5 && $all > 99) }"
	awk "BEGIN { exit !($edges < 0.3 * $none && $edges_left > 97) }"
	awk "BEGIN { exit !($clean < 0.15 * $none && $clean < $edges && $left > 97) }"
	facts --clean consistent faults.e3
	holds "p['too_far'] == 3 and p['seen_through'] > 0.9 * 12 * 16"
	e3-export --glb x.glb faults.e3 2>err
	grep -q "cleaning dropped .* % of the points at edges, .* % that other frames see through, .* % too far away" err
	facts faults.e3
	holds "p['clean'] == 'consistent' and p['conf_pct'] == 35 and p['voxel'] > 0"
	facts --conf-min 0 faults.e3
	holds "p['clean'] == 'none' and p['conf_pct'] == 0 and p['voxel'] == 0"
}

@test "a standing camera: many pictures of a surface become one layer of points" {
	e3-scene -q --noise 0 --seed 3 --frames 24 --length 0 --size 48x36 -o room.e3
	predict still.e3 'd *= 1 + 0.004 * rng.standard_normal(d.shape)'
	facts still.e3
	holds "300 < p['glb'] < 1.5 * 48 * 36"
	facts --conf-pct 0 --voxel 1e-15 still.e3 # as good as none
	holds "p['glb'] == 24 * 48 * 36"
	facts --voxel none still.e3
	holds "p['glb'] > 10 * 48 * 36"
}

#!/usr/bin/env bats
# e3-infer --segment: which segment answers, what is sent beside the predictions, and what does not change.
load common
load infer
bats_require_minimum_version 1.5.0

@test "--segment: a chain of segments; each record and prediction names its segment, each joint is an edge" {
	infer --budget 3f --segment 4f --overlap 2
	mv "$T/o.e3" "$T/chain.e3"
	check "$T/chain.e3" <<-'PY'
		ms = [(k, x) for k, x in m if k in ("pred", "evict", "edge")]
		assert [x.get("segment", 0) for x in p] == [0, 0, 0, 0, 1, 1, 2, 2], [x.get("segment", 0) for x in p]
		# The side's records come with the next frame; frames 2, 3 (segment 1), 4, 5 (segment 2) are seen twice. The last segment has no successor.
		assert [(x["i"], x.get("segment", 0), x.get("first", 0)) for x in e] == [(0, 0, 0), (1, 0, 0), (2, 0, 0), (2, 1, 2), (3, 0, 0), (3, 1, 2), (4, 1, 2),
			(4, 2, 4), (5, 1, 2), (5, 2, 4), (6, 2, 4), (7, 2, 4)], [(x["i"], x.get("segment", 0), x.get("first", 0)) for x in e]
		edges = [x for k, x in ms if k == "edge"]
		assert [(x["i"], x["type"], x["a"], x["b"], list(x["frames"])) for x in edges] == [(3, "join", 0, 1, [3, 3]), (5, "join", 1, 2, [5, 5])], edges
		def mat(q):
		    x, y, z, w = q / np.linalg.norm(q)
		    return np.array([[1-2*(y*y+z*z), 2*(x*y-z*w), 2*(x*z+y*w)], [2*(x*y+z*w), 1-2*(x*x+z*z), 2*(y*z-x*w)], [2*(x*z-y*w), 2*(y*z+x*w), 1-2*(x*x+y*y)]])
		def times(a, b):
		    return a[0] * b[0], a[1] @ b[1], a[0] * a[1] @ b[2] + a[2]
		world = (1, np.eye(3), np.zeros(3))
		for k, i in enumerate((4, 6)):  # the worlds are the products of the joints
		    s = np.array(edges[k]["sim"]); world = times(world, (s[0], mat(s[1:5]), s[5:]))
		    got = np.array(p[i]["world"])
		    assert abs(got[0] - world[0]) < 1e-9 and np.abs(mat(got[1:5]) - world[1]).max() < 1e-9 and np.abs(got[5:] - world[2]).max() < 1e-9
	PY
	# Frame 4 is the third frame of segment 1: what a session that begins with frame 2 says of it, moved into the world.
	e3-cat --skip 2 --take 3 "$frames" | e3-infer -q --device cpu --model seed:tiny:7 --budget 3f >"$T/late.e3"
	/usr/bin/python3 - "$T/chain.e3" "$T/late.e3" <<-'PY'
		import sys
		import numpy as np
		from e3read import stream
		a, b = ([x for k, x in stream(f) if k == "pred"] for f in sys.argv[1:3])
		s = a[4]["world"][0]
		assert np.abs(a[4]["depth"] / (s * b[2]["depth"]) - 1).max() < 1e-6
		assert (a[4]["depth_conf"] == b[2]["depth_conf"]).all() and (a[4]["pose"][7:] == b[2]["pose"][7:]).all()
		assert np.abs(a[4]["pose"][:7] - b[2]["pose"][:7]).max() > 1e-4 or s == 1
	PY
}

@test "--segment: until the first one ends, and when the stream has no more frames than one, nothing differs, bit for bit" {
	infer --budget 3f --segment 8f
	same "$T/o.e3" "$f/three.e3"
	infer --budget 3f --segment 100f --overlap 1
	same "$T/o.e3" "$f/three.e3"
	edit "$f/frames.e3" "$T/endless.e3" 'm[0][1]["frames"] = None'
	e3-infer -q --device cpu --model seed:tiny:7 --budget 3f --segment 9f --overlap 2 "$T/endless.e3" >"$T/a.e3"
	same "$T/a.e3" "$f/three.e3" pred
	# A fraction is one of the segment, so the length need not be known.
	e3-infer -q --device cpu --model seed:tiny:7 --P 0.5 --segment 6f --overlap 2 "$T/endless.e3" >"$T/b.e3"
	e3-cat --take 6 "$frames" | e3-infer -q --device cpu --model seed:tiny:7 --P 0.5 >"$T/c.e3"
	e3-cat --take 6 "$T/b.e3" >"$T/d.e3"
	same "$T/d.e3" "$T/c.e3" pred
}

@test "--segment: only the outputs asked for are sent; lengths that do not go together are refused" {
	infer --budget 3f --segment 4f --overlap 2 --outputs points
	check "$T/o.e3" <<-'PY'
		assert all("points" in x and "pose" not in x and "depth" not in x for x in p)
	PY
	fails 2 "--overlap of 5 frames: expected 1 to 4, half of --segment" -- e3-infer --segment 8f --overlap 5 "$frames"
	fails 2 "--segment of 3 frames: --loops needs 3 that are not shared" -- e3-infer --segment 3f --loops "$frames"
	fails 2 "--overlap: needs --segment" -- e3-infer --overlap 5 "$frames"
	fails 2 "--loop-places: needs --loops" -- e3-infer --segment 8f --loop-places 9 "$frames"
	fails 2 "--each remembers nothing: it takes no --segment" -- e3-infer --each --segment 8f "$frames"
	fails 2 "expected" -- e3-infer --segment 1f "$frames"
	fails 2 "expected" -- e3-infer --segment 12x "$frames"
}

@test "--budget alone: segments of one frame more than it keeps, which is said; whole with --segment 0, --policy, --compat, --P" {
	e3-infer --device cpu --model seed:tiny:7 --budget 4f "$frames" >"$T/a.e3" 2>"$T/e"
	grep -q '^e3-infer: segments of 5 frames, chosen by the budget (--segment 0: one piece)$' "$T/e"
	infer --budget 4f --segment 5f
	same "$T/a.e3" "$T/o.e3"
	for whole in "--segment 0" "--policy evict3r" "--compat camera" "--temp 0.4" "--protect-first yes"; do
		# shellcheck disable=SC2086
		e3-infer --device cpu --model seed:tiny:7 --budget 4f $whole "$frames" 2>"$T/e" | e3-dump >"$T/d"
		! grep -q 'segment' "$T/e" "$T/d" || { echo "$whole"; cat "$T/e"; return 1; }
	done
	e3-infer --device cpu --model seed:tiny:7 --P 0.5 "$frames" 2>"$T/e" | e3-dump >"$T/d"
	run ! grep -q 'segment' "$T/e" "$T/d"
	# Bytes pay for the frame that the next segment sees too, also when the length is known: only the last frame of a segment evicts.
	for s in frames endless; do
		e3-infer --device cpu --model seed:tiny:7 --budget 1.3M "$f/$s.e3" >"$T/o.e3" 2>"$T/e"
		grep -q '^e3-infer: segments of 6 frames, chosen by the budget' "$T/e"
		check "$T/o.e3" <<-'PY'
			assert 500 <= h["budget"] < 600, h["budget"]
			evicts = [(x["i"], x.get("segment", 0)) for x in e if any(len(l["removed"]) for l in x["layers"])]
			assert evicts == [(5, 0)], evicts
		PY
	done
	# The stream that has no more frames than a segment has one piece.
	e3-infer --device cpu --model seed:tiny:7 --budget 8f "$frames" >"$T/b.e3" 2>"$T/e"
	run ! grep -q 'segment' "$T/e"
	infer --no-evict
	same "$T/b.e3" "$T/o.e3" pred
}
